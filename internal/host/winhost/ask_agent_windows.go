package winhost

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"time"
	"unsafe"

	"github.com/go-ole/go-ole"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// agentTime is what the agent may take to tell of itself. Its service is started by
// the question where it does not run, which takes a minute on a slow disk.
const agentTime = 60 * time.Second

// maxHistory bounds the entries; the agent itself keeps a few hundred.
const maxHistory = 300

// agentState asks the update agent about itself. Each part is asked on a worker of
// its own, so that one that hangs leaves the others.
func agentState(ctx context.Context, h *Host, _ map[string]string) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, agentTime)
	defer cancel()
	out := host.AgentState{Total: -1, History: []host.HistoryEntry{}}
	var failed error
	part := func(name string, f func(*apartment, *host.AgentState) error) {
		got, err := inApartment(ctx, h.com, name, func(a *apartment) (host.AgentState, error) {
			copied := out
			err := f(a, &copied)
			return copied, err
		})
		if err != nil {
			failed, out.Unseen = err, append(out.Unseen, unseenPart(name, err))
			return
		}
		out = got
	}
	part("version", func(a *apartment, s *host.AgentState) error {
		info, err := a.create("Microsoft.Update.AgentInfo")
		if err != nil {
			return err
		}
		v, err := info.call("GetInfo", "ProductVersionString")
		s.Version, _ = v.(string)
		return err
	})
	part("restart", func(a *apartment, s *host.AgentState) error {
		info, err := a.create("Microsoft.Update.SystemInfo")
		if err != nil {
			return err
		}
		v, err := info.get("RebootRequired")
		if b, ok := v.(bool); ok {
			s.Restart = &b
		}
		return err
	})
	part("enabled", automatic)
	part("services", agentServices)
	part("history", agentHistory)
	if len(out.Unseen) == 5 { // whatever the number, it says that nobody could look, not that there is no agent
		return nil, blind("update agent", failed)
	}
	return out, nil
}

func automatic(a *apartment, s *host.AgentState) error {
	auto, err := a.create("Microsoft.Update.AutoUpdate")
	if err != nil {
		return err
	}
	v, err := auto.get("ServiceEnabled")
	if err != nil {
		return err
	}
	if b, ok := v.(bool); ok {
		s.Enabled = &b
	}
	if results, err := auto.object("Results"); err == nil { // null where nothing was ever found
		s.Searched, s.Done = results.time("LastSearchSuccessDate"), results.time("LastInstallationSuccessDate")
	}
	return nil
}

func agentServices(a *apartment, s *host.AgentState) error {
	manager, err := a.create("Microsoft.Update.ServiceManager")
	if err != nil {
		return err
	}
	list, err := manager.object("Services")
	if err != nil {
		return err
	}
	return list.items(100, func(_ int, item object) error {
		s.Services = append(s.Services, host.UpdateService{
			ID: item.text("ServiceID"), Name: item.text("Name"), URL: withoutPassword(item.text("ServiceUrl")),
			Managed: item.flag("IsManaged"), Default: item.flag("IsDefaultAUService"),
		})
		return nil
	})
}

func agentHistory(a *apartment, s *host.AgentState) error {
	session, err := a.create("Microsoft.Update.Session")
	if err != nil {
		return err
	}
	searcher, err := session.method("CreateUpdateSearcher")
	if err != nil {
		return err
	}
	v, err := searcher.call("GetTotalHistoryCount")
	if err != nil {
		return err
	}
	total, _ := v.(int64)
	s.Total = int(total)
	if total == 0 {
		return nil
	}
	list, err := searcher.method("QueryHistory", int32(0), int32(min(total, maxHistory)))
	if err != nil {
		return err
	}
	return list.items(maxHistory, func(_ int, item object) error {
		e, err := historyEntry(item)
		if err == nil {
			s.History = append(s.History, e)
		}
		return err
	})
}

func historyEntry(item object) (host.HistoryEntry, error) {
	e := host.HistoryEntry{
		At: item.time("Date"), Title: item.text("Title"), Client: item.text("ClientApplicationID"), Service: item.text("ServiceID"),
	}
	var err error
	if e.Result, err = item.result("HResult"); err != nil {
		return e, err
	}
	outcome, err := item.number("ResultCode")
	if err != nil {
		return e, err
	}
	operation, _ := item.number("Operation")
	e.Outcome, e.Operation = int(outcome), int(operation)
	e.Unmapped, _ = item.result("UnmappedResultCode")
	if id, err := item.object("UpdateIdentity"); err == nil {
		e.ID = id.text("UpdateID")
	}
	e.KB = kbOf(e.Title)
	return e, nil
}

var kbPattern = regexp.MustCompile(`\bKB(\d{6,8})\b`)

// kbOf finds the number of the article in a title, where it stands in every language.
func kbOf(title string) string { return kbPattern.FindString(title) }

// method is call for a method whose result is an object.
func (o object) method(name string, args ...any) (object, error) {
	v, err := o.call(name, args...)
	return asObject("call "+name, v, err)
}

// bitsTime is what BITS may take to list its queue.
const bitsTime = 10 * time.Second

var (
	classBITS    = ole.NewGUID("{4991D34B-80A1-4291-83B6-3328366B9097}") // BackgroundCopyManager
	iidBITS      = ole.NewGUID("{5CE34C0D-0DC9-4C1F-897C-DAA1B78CEE7C}") // IBackgroundCopyManager
	maxTransfers = 1000
)

// Places of the methods in the tables of BITS. learn.microsoft.com: the interfaces
// IBackgroundCopyManager, IEnumBackgroundCopyJobs, IBackgroundCopyJob and
// IBackgroundCopyError, in the order of bits.h.
const (
	bitsEnumJobs    = 5
	bitsNext        = 3
	bitsGetID       = 10
	bitsGetProgress = 12
	bitsGetState    = 14
	bitsGetError    = 15
	bitsGetName     = 18
	bitsErrorGet    = 3
)

// bitsProgress is BG_JOB_PROGRESS.
type bitsProgress struct {
	Total, Done           uint64
	FilesTotal, FilesDone uint32
}

// vcall calls a method of a COM object that has no automation interface.
//
//go:uintptrescapes
func vcall(op string, u *ole.IUnknown, method int, args ...uintptr) error {
	table := (*[64]uintptr)(unsafe.Pointer(u.RawVTable))
	r := syscallN(table[method], append([]uintptr{uintptr(unsafe.Pointer(u))}, args...)...)
	return hresult(op, r)
}

// bitsQueue lists the queue, of all users where the caller may.
func bitsQueue(ctx context.Context, h *Host, _ map[string]string) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, bitsTime)
	defer cancel()
	return inApartment(ctx, h.com, "BITS", func(*apartment) (host.TransferQueue, error) {
		out := host.TransferQueue{Jobs: []host.Transfer{}, All: true}
		manager, err := ole.CreateInstance(classBITS, iidBITS)
		if err != nil {
			return out, comError("create BackgroundCopyManager", err)
		}
		defer manager.Release()
		const allUsers = 1
		var list *ole.IUnknown
		err = vcall("EnumJobs", manager, bitsEnumJobs, allUsers, uintptr(unsafe.Pointer(&list)))
		if errors.Is(err, host.ErrDenied) {
			out.All = false
			err = vcall("EnumJobs", manager, bitsEnumJobs, 0, uintptr(unsafe.Pointer(&list)))
		}
		if err != nil {
			return out, err
		}
		defer list.Release()
		for len(out.Jobs) < maxTransfers {
			var job *ole.IUnknown
			var n uint32
			if err := vcall("next job", list, bitsNext, 1, uintptr(unsafe.Pointer(&job)), uintptr(unsafe.Pointer(&n))); err != nil {
				return out, err
			}
			if n == 0 || job == nil {
				break
			}
			out.Jobs = append(out.Jobs, transfer(job))
			job.Release()
		}
		return out, nil
	})
}

// transfer describes one job; a job that is gone meanwhile has no name.
func transfer(job *ole.IUnknown) host.Transfer {
	t := host.Transfer{State: -1}
	var id ole.GUID
	if vcall("job id", job, bitsGetID, uintptr(unsafe.Pointer(&id))) == nil {
		t.ID = strings.Trim(id.String(), "{}")
	}
	var name *uint16
	if vcall("job name", job, bitsGetName, uintptr(unsafe.Pointer(&name))) == nil && name != nil {
		t.Name = ole.UTF16PtrToString(name)
		ole.CoTaskMemFree(uintptr(unsafe.Pointer(name)))
	}
	var state uint32
	if vcall("job state", job, bitsGetState, uintptr(unsafe.Pointer(&state))) == nil {
		t.State = int(state)
	}
	var p bitsProgress
	if vcall("job progress", job, bitsGetProgress, uintptr(unsafe.Pointer(&p))) == nil {
		t.Done, t.Total = p.Done, p.Total
	}
	const failed, transient = 4, 5
	if t.State == failed || t.State == transient {
		var e *ole.IUnknown
		if vcall("job error", job, bitsGetError, uintptr(unsafe.Pointer(&e))) == nil && e != nil {
			var where uint32
			var code int32
			if vcall("job error", e, bitsErrorGet, uintptr(unsafe.Pointer(&where)), uintptr(unsafe.Pointer(&code))) == nil {
				t.Result = codes.HRESULT(uint32(code))
			}
			e.Release()
		}
	}
	return t
}
