package winhost

import (
	"context"
	"fmt"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// How System Restore is asked over WMI. learn.microsoft.com: "CreateRestorePoint method
// of the SystemRestore class". It does what SRSetRestorePoint does, in a process of
// Windows' own, whose security COM has set up as System Restore wants it.
const (
	restoreNamespace = `root\default`
	restoreClass     = "SystemRestore"

	modifySettings    = 12  // RestorePointType
	beginSystemChange = 100 // EventType
	endSystemChange   = 101

	restoreTime = 5 * time.Minute // a snapshot of a slow disk
	restoreList = 10 * time.Second
	maxPoints   = 1000
)

// RestorePoint implements [host.RestorePoints].
func (h *Host) RestorePoint(ctx context.Context, name string) (host.RestorePoint, error) {
	ctx, cancel := context.WithTimeout(ctx, restoreTime)
	defer cancel()
	return inApartment(ctx, h.com, "restore point", func(a *apartment) (host.RestorePoint, error) {
		before, err := a.restorePoints()
		if err != nil {
			return host.RestorePoint{}, err
		}
		if err := a.createRestorePoint(name, beginSystemChange); err != nil {
			return host.RestorePoint{}, err
		}
		_ = a.createRestorePoint(name, endSystemChange) // the point is there; this closes what it was begun for
		for until := time.Now().Add(restoreList); ; {   // the list may come later than the answer
			now, err := a.restorePoints()
			if err != nil {
				return host.RestorePoint{}, err
			}
			if p := host.Made(before, now); p.New || time.Now().After(until) {
				return p, nil
			}
			select {
			case <-ctx.Done():
				return host.RestorePoint{}, ctx.Err()
			case <-time.After(pollTime):
			}
		}
	})
}

// restorePoints lists the numbers of the points that there are.
func (a *apartment) restorePoints() ([]uint32, error) {
	var out []uint32
	err := a.wmi(restoreNamespace, restoreClass, []string{"SequenceNumber"}, maxPoints, func(row map[string]any) error {
		if n, ok := row["SequenceNumber"].(int64); ok {
			out = append(out, uint32(n))
		}
		return nil
	})
	return out, err
}

// createRestorePoint calls the method of the class. Its answer is no more than that the
// wish was heard.
func (a *apartment) createRestorePoint(name string, event int32) error {
	locator, err := a.create("WbemScripting.SWbemLocator")
	if err != nil {
		return err
	}
	v, err := locator.call("ConnectServer", ".", restoreNamespace)
	services, err := asObject("connect to "+restoreNamespace, v, err)
	if err != nil {
		return err
	}
	v, err = services.call("Get", restoreClass)
	class, err := asObject(restoreClass, v, err)
	if err != nil {
		return err
	}
	v, err = class.call("CreateRestorePoint", name, int32(modifySettings), event)
	if err != nil {
		return err
	}
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("create a restore point: it answers %v", v)
	}
	h := codes.HRESULT(uint32(n))
	if h != 0 && h>>16 == 0 { // a plain error of Windows: 1058, System Restore is switched off
		h = codes.FromWin32(uint32(h))
	}
	if h.Failed() {
		return &failure{op: "create a restore point", err: h, code: h}
	}
	return nil
}
