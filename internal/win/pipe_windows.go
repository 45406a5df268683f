package win

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Pipe is one end of a connection between two of updoc's processes. Reads and writes
// may go on at the same time.
type Pipe struct {
	*os.File
	h windows.Handle
}

const pipeBuffer = 64 << 10

// Listen opens the pipe of the elevated process, for one user beside the
// administrators, and for one connection. It fails if somebody made a pipe of that
// name before.
// learn.microsoft.com: "CreateNamedPipeW", FILE_FLAG_FIRST_PIPE_INSTANCE.
func Listen(name, user string) (*Pipe, error) {
	path, err := pipePath(name)
	if err != nil {
		return nil, err
	}
	if sid, err := windows.StringToSid(user); err != nil || sid.String() != user {
		return nil, fmt.Errorf("pipe: %q is no security identifier", user)
	}
	sd, err := windows.SecurityDescriptorFromString(pipeRights(user))
	if err != nil {
		return nil, fmt.Errorf("pipe: its rights: %w", err)
	}
	sa := &windows.SecurityAttributes{SecurityDescriptor: sd}
	sa.Length = uint32(unsafe.Sizeof(*sa))
	path16, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	const one = 1 // instance
	h, err := windows.CreateNamedPipe(path16, windows.PIPE_ACCESS_DUPLEX|windows.FILE_FLAG_FIRST_PIPE_INSTANCE|windows.FILE_FLAG_OVERLAPPED,
		windows.PIPE_TYPE_BYTE|windows.PIPE_READMODE_BYTE|windows.PIPE_WAIT|windows.PIPE_REJECT_REMOTE_CLIENTS, one, pipeBuffer, pipeBuffer, 0, sa)
	if err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	return newPipe(h, path), nil
}

func newPipe(h windows.Handle, path string) *Pipe { return &Pipe{os.NewFile(uintptr(h), path), h} }

// Accept waits until somebody opens the pipe, and returns who it is; [ErrStranger]
// if it is nobody that may. Only another process of this same program, on this desktop,
// of the user for whom the pipe was opened, may. The same program is the same file, which
// nobody can change meanwhile (see [Pin]), and so has the same signer.
func (p *Pipe) Accept(ctx context.Context, user string) (Caller, error) {
	event, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return Caller{}, fmt.Errorf("pipe: %w", err)
	}
	defer func() { _ = windows.CloseHandle(event) }() // it was made
	o := &windows.Overlapped{HEvent: event | 1}       // the low bit: tell the event alone, and no completion port
	err = windows.ConnectNamedPipe(p.h, o)
	for err == windows.ERROR_IO_PENDING {
		const pause = 50 // milliseconds between two looks at the context
		switch e, werr := windows.WaitForSingleObject(event, pause); {
		case werr != nil:
			err = werr
		case e == windows.WAIT_OBJECT_0:
			var n uint32
			err = windows.GetOverlappedResult(p.h, o, &n, false)
		case ctx.Err() != nil:
			_ = windows.CancelIoEx(p.h, o)
			var n uint32
			_ = windows.GetOverlappedResult(p.h, o, &n, true) // o is in use until it is over
			return Caller{}, fmt.Errorf("pipe: nobody came: %w", ctx.Err())
		}
	}
	if err != nil && err != windows.ERROR_PIPE_CONNECTED {
		return Caller{}, fmt.Errorf("pipe: %w", err)
	}
	return p.caller(user)
}

// caller is who opened the pipe.
func (p *Pipe) caller(user string) (c Caller, err error) {
	if err := windows.GetNamedPipeClientProcessId(p.h, &c.PID); err != nil {
		return c, fmt.Errorf("who opened the pipe: %w", err)
	}
	if err := c.look(); err != nil {
		return c, fmt.Errorf("who opened the pipe: %w", err)
	}
	own := Caller{PID: windows.GetCurrentProcessId()}
	if err := own.look(); err != nil {
		return c, fmt.Errorf("own process: %w", err)
	}
	return c, c.strange(own, user)
}

// Dial opens a pipe once it is there, and holds the process that serves it to the one
// that was started. It may look at who calls, and act in nobody's name.
// learn.microsoft.com: "CreateFileW", SECURITY_IDENTIFICATION.
func Dial(ctx context.Context, name string, server uint32) (*Pipe, error) {
	path, err := pipePath(name)
	if err != nil {
		return nil, err
	}
	path16, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	for {
		h, err := windows.CreateFile(path16, windows.GENERIC_READ|windows.GENERIC_WRITE, 0, nil, windows.OPEN_EXISTING,
			windows.FILE_FLAG_OVERLAPPED|windows.SECURITY_SQOS_PRESENT|windows.SECURITY_IDENTIFICATION, 0)
		if err == nil {
			var pid uint32
			if err := windows.GetNamedPipeServerProcessId(h, &pid); err != nil || pid != server {
				_ = windows.CloseHandle(h) // nothing was said
				return nil, fmt.Errorf("pipe: %w", ErrStranger)
			}
			return newPipe(h, path), nil
		}
		if !errors.Is(err, windows.ERROR_FILE_NOT_FOUND) {
			return nil, fmt.Errorf("pipe: %w", err)
		}
		select { // the process is starting
		case <-ctx.Done():
			return nil, fmt.Errorf("pipe: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Pin keeps the file of this program from being written to, renamed or replaced until
// it is closed: a path says which program runs only as long as its file stays.
// learn.microsoft.com: "CreateFileW", dwShareMode.
func Pin() (io.Closer, error) {
	own := Caller{PID: windows.GetCurrentProcessId()}
	if err := own.look(); err != nil {
		return nil, fmt.Errorf("own program: %w", err)
	}
	name, err := windows.UTF16PtrFromString(own.Program)
	if err != nil {
		return nil, fmt.Errorf("own program: %w", err)
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ, windows.FILE_SHARE_READ, nil, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return nil, fmt.Errorf("own program: %w", err)
	}
	return os.NewFile(uintptr(h), own.Program), nil
}

// look fills in what the kernel knows of a process.
func (c *Caller) look() error {
	p, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, c.PID)
	if err != nil {
		return err
	}
	defer func() { _ = windows.CloseHandle(p) }() // it was opened
	buf := make([]uint16, windows.MAX_LONG_PATH)
	n := uint32(len(buf))
	if err := windows.QueryFullProcessImageName(p, 0, &buf[0], &n); err != nil {
		return err
	}
	c.Program = windows.UTF16ToString(buf[:n])
	if c.File, err = identify(c.Program); err != nil {
		return err
	}
	if err := windows.ProcessIdToSessionId(c.PID, &c.Session); err != nil {
		return err
	}
	var token windows.Token
	if err := windows.OpenProcessToken(p, windows.TOKEN_QUERY, &token); err != nil {
		return err
	}
	defer func() { _ = token.Close() }() // it was opened
	u, err := token.GetTokenUser()
	if err != nil {
		return err
	}
	c.User = u.User.Sid.String()
	return nil
}

// User is the security identifier of the user that this process runs as.
func User() (string, error) {
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return "", fmt.Errorf("own user: %w", err)
	}
	return u.User.Sid.String(), nil
}

// Elevated reports whether this process has an administrator's rights.
func Elevated() bool { return windows.GetCurrentProcessToken().IsElevated() }

// Process is one that was started with an administrator's rights.
type Process struct {
	PID    uint32
	handle windows.Handle
}

// Close lets go of the process and does not end it.
func (p *Process) Close() error { return windows.CloseHandle(p.handle) }

// Done reports whether the process has ended.
func (p *Process) Done() bool {
	e, err := windows.WaitForSingleObject(p.handle, 0)
	return err != nil || e != uint32(windows.WAIT_TIMEOUT)
}

// Elevate starts a program with an administrator's rights, once the person agreed to
// it in Windows' own prompt; [ErrDeclined] says that they did not. The arguments are
// words that nothing has to be quoted in.
// learn.microsoft.com: "ShellExecuteExW", verb runas.
func Elevate(program string, args ...string) (*Process, error) {
	for _, a := range args {
		if a == "" || strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r > '~' }) {
			return nil, fmt.Errorf("elevate: an argument that would have to be quoted: %q", a)
		}
	}
	verb, err := windows.UTF16PtrFromString("runas")
	if err != nil {
		return nil, err
	}
	file, err := windows.UTF16PtrFromString(program)
	if err != nil {
		return nil, fmt.Errorf("elevate: %w", err)
	}
	line, err := windows.UTF16PtrFromString(strings.Join(args, " "))
	if err != nil {
		return nil, fmt.Errorf("elevate: %w", err)
	}
	const (
		keepProcess = 0x00000040 // SEE_MASK_NOCLOSEPROCESS
		noAsync     = 0x00000100 // SEE_MASK_NOASYNC: this thread has no message loop
		hidden      = 0          // SW_HIDE: the page is the window
	)
	info := shellExecuteInfo{mask: keepProcess | noAsync, verb: verb, file: file, parameters: line, show: hidden}
	info.size = uint32(unsafe.Sizeof(info))
	if ok, _, err := shellExecuteEx.Call(uintptr(unsafe.Pointer(&info))); ok == 0 {
		if errors.Is(err, windows.ERROR_CANCELLED) {
			return nil, ErrDeclined
		}
		return nil, fmt.Errorf("elevate: %w", err)
	}
	if info.process == 0 {
		return nil, errors.New("elevate: Windows started no process")
	}
	pid, err := windows.GetProcessId(info.process)
	if err != nil {
		_ = windows.CloseHandle(info.process) // the error counts
		return nil, fmt.Errorf("elevate: %w", err)
	}
	return &Process{pid, info.process}, nil
}

var shellExecuteEx = windows.NewLazySystemDLL("shell32.dll").NewProc("ShellExecuteExW")

// shellExecuteInfo is SHELLEXECUTEINFOW.
type shellExecuteInfo struct {
	size       uint32
	mask       uint32
	window     windows.HWND
	verb       *uint16
	file       *uint16
	parameters *uint16
	directory  *uint16
	show       int32
	instance   windows.Handle
	idList     uintptr
	class      *uint16
	keyClass   windows.Handle
	hotKey     uint32
	monitor    windows.Handle
	process    windows.Handle
}
