package winhost

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/go-ole/go-ole"
	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// The Task Scheduler's numbers. learn.microsoft.com: TASK_CREATION, TASK_LOGON_TYPE.
const (
	taskCreateOrUpdate = 6
	taskNoLogon        = 0
	taskServiceAccount = 5
)

// taskFolder is the root folder of the Task Scheduler.
func (a *apartment) taskFolder() (object, error) {
	service, err := a.create("Schedule.Service")
	if err != nil {
		return object{}, err
	}
	if _, err := service.call("Connect"); err != nil {
		return object{}, err
	}
	v, err := service.call("GetFolder", `\`)
	return asObject("open the folder of tasks", v, err)
}

// Schedule implements [host.Attendant] by the Task Scheduler.
func (h *Host) Schedule(ctx context.Context, t host.Task) error {
	definition, err := taskXML(t)
	if err != nil {
		return err
	}
	_, err = inApartment(ctx, h.com, "schedule "+t.Name, func(a *apartment) (struct{}, error) {
		folder, err := a.taskFolder()
		if err != nil {
			return struct{}{}, err
		}
		nothing := &ole.VARIANT{} // VT_EMPTY: what an optional argument is that is left out
		_, err = folder.call("RegisterTask", t.Name, definition, taskCreateOrUpdate, systemSID, nothing, taskServiceAccount, nothing)
		if err != nil && !errors.Is(err, host.ErrDenied) {
			// Then by the account that stands in the definition, as schtasks /xml does.
			_, err = folder.call("RegisterTask", t.Name, definition, taskCreateOrUpdate, nothing, nothing, taskNoLogon, nothing)
		}
		return struct{}{}, err
	})
	return err
}

// Unschedule implements [host.Attendant].
func (h *Host) Unschedule(ctx context.Context, name string) error {
	_, err := inApartment(ctx, h.com, "unschedule "+name, func(a *apartment) (struct{}, error) {
		folder, err := a.taskFolder()
		if err == nil {
			_, err = folder.call("DeleteTask", name, 0)
		}
		// Nor is there one where there is no Task Scheduler.
		if errors.Is(err, host.ErrNotExist) || err != nil && resultOf(err) == comNotImpl {
			err = nil
		}
		return struct{}{}, err
	})
	return err
}

// Scheduled implements [host.Attendant].
func (h *Host) Scheduled(ctx context.Context, name string) (host.Task, error) {
	return inApartment(ctx, h.com, "look for the task "+name, func(a *apartment) (host.Task, error) {
		folder, err := a.taskFolder()
		if err != nil {
			return host.Task{}, err
		}
		v, err := folder.call("GetTask", name)
		task, err := asObject("open it", v, err)
		if err != nil {
			return host.Task{}, err
		}
		if v, err = task.get("Xml"); err != nil {
			return host.Task{}, err
		}
		text, _ := v.(string)
		return parseTask(name, text)
	})
}

// powerReason is REASON_CONTEXT with a text of its own.
type powerReason struct {
	version, flags uint32
	text           *uint16
	_, _           uint32 // the longer form of the union
	_              uintptr
}

// learn.microsoft.com: REASON_CONTEXT, POWER_REQUEST_TYPE, SetThreadExecutionState.
const (
	reasonText             = 1 // POWER_REQUEST_CONTEXT_SIMPLE_STRING
	powerSystemRequired    = 1
	powerExecutionRequired = 3 // a machine with modern standby would halt the process
	stateContinuous        = 0x80000000
	stateSystemRequired    = 1
)

// Awake implements [host.Attendant] by a power request, which 'powercfg /requests'
// shows with its reason. The display may go dark. A person who closes the lid, or an
// empty battery, has the last word.
func (h *Host) Awake(why string) (release func(), err error) {
	text, err := windows.UTF16PtrFromString(why)
	if err != nil {
		return nil, err
	}
	request, err := powerCreateRequest(&powerReason{flags: reasonText, text: text})
	if err != nil {
		return awakeThread()
	}
	if err := powerSetRequest(request, powerSystemRequired); err != nil {
		closeHandle(request)
		return nil, wrap("keep the machine awake", err)
	}
	_ = powerSetRequest(request, powerExecutionRequired) // Windows 7 knows no such thing
	return func() { closeHandle(request) }, nil          // which ends what it asked for
}

// awakeThread does the same by a thread that says that it needs the system.
func awakeThread() (release func(), err error) {
	result, done := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if setThreadExecutionState(stateContinuous|stateSystemRequired) == 0 {
			result <- errors.New("keep the machine awake: Windows does not")
			return
		}
		result <- nil
		<-done
		setThreadExecutionState(stateContinuous)
	}()
	if err := <-result; err != nil {
		return nil, err
	}
	return func() { close(done) }, nil
}

// noteSource is what stands beside updoc's entries in the Application log. It is not
// registered, since that would be a change of its own: the Event Viewer says that it
// has no description and shows the text, which is whole.
const noteSource = "updoc"

// maxNote bounds a text; ReportEvent takes 31,839 characters.
const maxNote = 16_000

// Note implements [host.Attendant] by the Application log.
// learn.microsoft.com: "ReportEvent".
func (h *Host) Note(ctx context.Context, n host.Note) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	kind, ok := map[host.Level]uint16{
		host.Info: windows.EVENTLOG_INFORMATION_TYPE, host.Warning: windows.EVENTLOG_WARNING_TYPE, host.Error: windows.EVENTLOG_ERROR_TYPE,
	}[n.Level]
	if !ok {
		return fmt.Errorf("note %d: %w: level %q", n.ID, host.ErrRefused, n.Level)
	}
	text := n.Text
	if len(text) > maxNote {
		text = text[:maxNote] + "..."
	}
	line, err := windows.UTF16PtrFromString(text)
	if err != nil {
		return fmt.Errorf("note %d: %w", n.ID, err)
	}
	source, err := windows.UTF16PtrFromString(noteSource)
	if err != nil {
		return err
	}
	log, err := windows.RegisterEventSource(nil, source)
	if err != nil {
		return wrap("open the event log", err)
	}
	defer func() { _ = windows.DeregisterEventSource(log) }() // it was opened
	var who uintptr
	if u, err := windows.GetCurrentProcessToken().GetTokenUser(); err == nil {
		who = uintptr(unsafe.Pointer(u.User.Sid))
		defer runtime.KeepAlive(u)
	}
	return wrap("write to the event log", windows.ReportEvent(log, kind, 0, n.ID, who, 1, 0, &line, nil))
}

// Account implements [host.Attendant].
func (h *Host) Account() (string, error) {
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return "", wrap("whose process this is", err)
	}
	return u.User.Sid.String(), nil
}

// Remind implements [host.Reminder]: a box in the session of whoever sits at the machine,
// for which nobody waits. learn.microsoft.com: "WTSSendMessageW function".
func (h *Host) Remind(ctx context.Context, text string) error {
	const (
		nobody   = 0xFFFFFFFF // of WTSGetActiveConsoleSessionId
		seconds  = 300        // after which it goes by itself
		iconWarn = 0x30       // MB_ICONWARNING
	)
	if err := ctx.Err(); err != nil {
		return err
	}
	session := windows.WTSGetActiveConsoleSessionId()
	if session == nobody {
		return fmt.Errorf("remind: %w: nobody sits at the machine", host.ErrNotExist)
	}
	title, err := windows.UTF16FromString("updoc")
	if err != nil {
		return err
	}
	words, err := windows.UTF16FromString(text)
	if err != nil {
		return fmt.Errorf("remind: %w", err)
	}
	var answer uint32
	_, err = invokeBool(
		dllTerminal, "WTSSendMessageW", 0, uintptr(session), uintptr(unsafe.Pointer(&title[0])), uintptr(2*(len(title)-1)),
		uintptr(unsafe.Pointer(&words[0])), uintptr(2*(len(words)-1)), iconWarn, seconds, uintptr(unsafe.Pointer(&answer)), 0,
	)
	return err
}
