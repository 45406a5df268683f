package winhost

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// triggerInfo is SERVICE_TRIGGER_INFO, the others are what it points to.
// learn.microsoft.com: "SERVICE_TRIGGER_INFO structure (winsvc.h)".
type triggerInfo struct {
	count    uint32
	triggers *trigger
	reserved *byte
}

// trigger is SERVICE_TRIGGER.
type trigger struct {
	kind, action uint32
	subtype      *windows.GUID
	count        uint32
	data         *triggerData
}

// triggerData is SERVICE_TRIGGER_SPECIFIC_DATA_ITEM.
type triggerData struct {
	kind, size uint32
	data       *byte
}

// maxConfig bounds what a service control manager may say of one service: 64 triggers
// with 64 pieces of 1 KiB each would be more than any service has.
const maxConfig = 1 << 20

// readTriggers asks what starts and stops a service.
func readTriggers(s windows.Handle) ([]host.Trigger, error) {
	needed := uint32(8192)
	var buf []uint64 // aligned as the structures are
	for {
		buf = make([]uint64, (needed+7)/8)
		err := windows.QueryServiceConfig2(s, windows.SERVICE_CONFIG_TRIGGER_INFO, (*byte)(unsafe.Pointer(&buf[0])), uint32(len(buf)*8), &needed)
		if err == nil {
			break
		}
		if !is(err, windows.ERROR_INSUFFICIENT_BUFFER) || needed <= uint32(len(buf)*8) || needed > maxConfig {
			return nil, err
		}
	}
	out := triggersOf((*triggerInfo)(unsafe.Pointer(&buf[0])))
	runtime.KeepAlive(buf)
	return out, nil
}

// triggersOf copies what the structures say.
func triggersOf(info *triggerInfo) []host.Trigger {
	var out []host.Trigger
	for _, t := range unsafe.Slice(info.triggers, info.count) {
		x := host.Trigger{Type: t.kind, Action: t.action}
		if t.subtype != nil {
			x.Subtype = host.GUIDText(*(*[16]byte)(unsafe.Pointer(t.subtype)))
		}
		for _, d := range unsafe.Slice(t.data, t.count) {
			x.Data = append(x.Data, host.TriggerData{Type: d.kind, Data: slices.Clone(unsafe.Slice(d.data, d.size))})
		}
		out = append(out, x)
	}
	return out
}

// triggerInfoOf makes the structures that say it.
func triggerInfoOf(list []host.Trigger) (*triggerInfo, error) {
	made := make([]trigger, len(list))
	for i, t := range list {
		id, err := host.GUIDBytes(t.Subtype)
		if err != nil {
			return nil, err
		}
		data := make([]triggerData, len(t.Data))
		for n, d := range t.Data {
			data[n] = triggerData{kind: d.Type, size: uint32(len(d.Data)), data: unsafe.SliceData(d.Data)}
		}
		made[i] = trigger{kind: t.Type, action: t.Action, subtype: (*windows.GUID)(unsafe.Pointer(&id)), count: uint32(len(data)), data: unsafe.SliceData(data)}
	}
	return &triggerInfo{count: uint32(len(made)), triggers: unsafe.SliceData(made)}, nil
}

// setTriggers has the service control manager start and stop a service by other
// events, at once and in its database.
// learn.microsoft.com: "ChangeServiceConfig2W function (winsvc.h)".
func setTriggers(name string, want []host.Trigger) error {
	s, err := openService(name, windows.SERVICE_CHANGE_CONFIG|windows.SERVICE_QUERY_CONFIG)
	if err != nil {
		return err
	}
	defer closeService(s)
	now, err := readTriggers(s)
	if err != nil {
		return wrap("triggers of service "+name, err)
	}
	if host.SameTriggers(now, want) { // none where there is none is a wrong parameter
		return nil
	}
	info, err := triggerInfoOf(want)
	if err != nil {
		return fmt.Errorf("triggers of service %s: %w", name, err)
	}
	err = windows.ChangeServiceConfig2(s, windows.SERVICE_CONFIG_TRIGGER_INFO, (*byte)(unsafe.Pointer(info)))
	runtime.KeepAlive(info)
	if err != nil {
		return wrap("triggers of service "+name, err)
	}
	return flushService(name)
}

// needsOf reads what a service needs: services first, and then groups, which have a +
// before them. learn.microsoft.com: QUERY_SERVICE_CONFIGW, lpDependencies.
func needsOf(q *windows.QUERY_SERVICE_CONFIG) []string {
	out := []string{}
	for p := q.Dependencies; p != nil && *p != 0; {
		n := windows.UTF16PtrToString(p)
		out = append(out, n)
		p = (*uint16)(unsafe.Add(unsafe.Pointer(p), 2*len(windows.StringToUTF16(n))))
	}
	isGroup := func(n string) int {
		if strings.HasPrefix(n, "+") {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(out, func(a, b string) int { return isGroup(a) - isGroup(b) })
	return out
}

// multiText is a list of texts that ends in an empty one, nil for none.
func multiText(list []string) ([]uint16, error) {
	var out []uint16
	for _, n := range list {
		u, err := windows.UTF16FromString(n)
		if err != nil {
			return nil, err
		}
		out = append(out, u...)
	}
	if out != nil {
		out = append(out, 0)
	}
	return out, nil
}

// setNeeds has a service need others. learn.microsoft.com: "ChangeServiceConfigW
// function (winsvc.h)": an empty text is none, no text no change.
func setNeeds(name string, want []string) error {
	s, err := openService(name, windows.SERVICE_CHANGE_CONFIG|windows.SERVICE_QUERY_CONFIG)
	if err != nil {
		return err
	}
	defer closeService(s)
	list, err := multiText(want)
	if err != nil {
		return fmt.Errorf("service %s: %w", name, err)
	}
	if len(list) == 0 {
		list = []uint16{0, 0}
	}
	const same = windows.SERVICE_NO_CHANGE
	if err := windows.ChangeServiceConfig(s, same, same, same, nil, nil, nil, &list[0], nil, nil, nil); err != nil {
		return wrap("needs of service "+name, err)
	}
	return flushService(name)
}
