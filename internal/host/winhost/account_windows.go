package winhost

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"updoc/internal/host"
)

// The helper service is named for the process that made it, so that what a process
// that died left behind can be told from what a living one uses.
const (
	servicePrefix = "updoc-walk-"
	serviceWord   = "walk-service" // the first argument of the program as a service
	copyPrefix    = "walk-"
	pipePrefix    = `\\.\pipe\updoc-`

	greetTime = 20 * time.Second // from the start of the service until it greets
	leaveTime = 10 * time.Second // from its last connection until it has ended
)

// Account sends requests over [WinHTTP] as an account of services: what Windows
// Update itself would meet, with that account's proxy, certificates and rights. It
// does so with a short-lived service of updoc's own, which is made at the first
// request and is gone after [Account.Close], or when this process ends however it
// does: the service ends with its connection, and is marked for deletion as soon as
// it runs. It implements [host.Exchanger] and is safe for concurrent use.
//
// The service is a copy of this program in Dir, started with the words for which
// [ServeWalk] waits.
type Account struct {
	// SID is the account: S-1-5-18 (LocalSystem), S-1-5-20 (NetworkService).
	SID string
	// Dir is where the copy lies, which only administrators may write to.
	Dir string

	mu     sync.Mutex
	remote *remote
	undo   []func() // newest last
}

// Exchange implements [host.Exchanger].
func (a *Account) Exchange(ctx context.Context, req host.Request) (host.Exchange, error) {
	if _, err := target(req); err != nil {
		return host.Exchange{}, err
	}
	r, err := a.start(ctx)
	if err != nil {
		return host.Exchange{}, err
	}
	return r.Exchange(ctx, req)
}

// Close ends the service and removes it. The account may be used again.
func (a *Account) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.takeDown()
	return nil
}

func (a *Account) takeDown() {
	for _, f := range slices.Backward(a.undo) {
		f()
	}
	a.undo, a.remote = nil, nil
}

var errAccount = errors.New("the service does not run as the account that was asked for")

// start makes the service if it is not there, and returns the way to it.
func (a *Account) start(ctx context.Context) (*remote, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.remote != nil {
		select {
		case <-a.remote.gone:
			a.takeDown() // it ended: somebody stopped it
		default:
			return a.remote, nil
		}
	}
	r, err := a.bring(ctx)
	if err != nil {
		a.takeDown()
		return nil, fmt.Errorf("helper service as %s: %w", a.SID, err)
	}
	a.remote = r
	return r, nil
}

func (a *Account) bring(ctx context.Context) (*remote, error) {
	account, ok := map[string]string{sidSystem: "", sidNetworkService: `NT AUTHORITY\NetworkService`}[a.SID]
	if !ok {
		return nil, fmt.Errorf("%w: %s", errAccount, a.SID)
	}
	ctx, cancel := context.WithTimeout(ctx, greetTime)
	defer cancel()
	manager, err := mgr.Connect()
	if err != nil {
		return nil, wrap("connect to the service manager", err)
	}
	a.undo = append(a.undo, func() { _ = manager.Disconnect() })
	removeLeftovers(manager, a.Dir)

	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	secret := hex.EncodeToString(id[:])
	name := servicePrefix + strconv.Itoa(os.Getpid()) + "-" + secret[:8]
	pipe, err := listenPipe(pipePrefix+secret, a.SID)
	if err != nil {
		return nil, err
	}
	hangUp := func() { _ = windows.CloseHandle(pipe) }
	a.undo = append(a.undo, func() { hangUp() })
	exe, err := copySelf(a.Dir, a.SID)
	if err != nil {
		return nil, err
	}
	a.undo = append(a.undo, func() { removeSoon(exe) })

	service, err := manager.CreateService(name, exe, mgr.Config{
		ServiceType: windows.SERVICE_WIN32_OWN_PROCESS, StartType: mgr.StartManual, ErrorControl: mgr.ErrorIgnore,
		DisplayName: "updoc: one walk along the update route", ServiceStartName: account,
	}, serviceWord, secret)
	if err != nil {
		return nil, wrap("create "+name, err)
	}
	a.undo = append(a.undo, func() {
		_ = service.Delete() // is marked already, as a rule
		_ = service.Close()
	})
	if err := service.Start(); err != nil {
		return nil, wrap("start "+name, err)
	}
	a.undo = append(a.undo, func() { awaitEnd(service) })
	if err := connectPipe(ctx, pipe); err != nil {
		return nil, err
	}
	if err := sameProcess(pipe, service); err != nil {
		return nil, err
	}
	// From here on Windows removes it when it ends, whatever becomes of this process.
	if err := service.Delete(); err != nil {
		return nil, wrap("mark "+name, err)
	}
	conn := os.NewFile(uintptr(pipe), name)
	hangUp = func() { _ = conn.Close() } // which owns the handle now
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	r, err := newRemote(conn)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	if r.account != a.SID && !isWine() {
		return nil, fmt.Errorf("%w but as %s", errAccount, r.account)
	}
	// The connection is what holds the service: it goes first.
	a.undo = append(a.undo, func() { _ = conn.Close() })
	return r, nil
}

// isWine: every process there has the account of the user.
func isWine() bool { return dllNT.NewProc("wine_get_version").Find() == nil }

// awaitEnd waits until a service has ended; one that does not is told to.
func awaitEnd(service *mgr.Service) {
	for until := time.Now().Add(leaveTime); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		st, err := service.Query()
		if err != nil || st.State == svc.Stopped {
			return
		}
		if time.Until(until) < leaveTime/2 {
			_, _ = service.Control(svc.Stop)
		}
	}
}

// removeSoon deletes a file that a process may be about to let go of.
func removeSoon(name string) {
	for range 20 {
		if err := os.Remove(name); err == nil || errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// copySelf copies this program to where nobody but administrators can exchange it,
// and lets the account start it. The copy is made under a new name.
func copySelf(dir, sid string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	src, err := os.Open(self)
	if err != nil {
		return "", wrap("open this program", err)
	}
	defer src.Close()
	sd, err := windows.SecurityDescriptorFromString("D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;GRGX;;;" + sid + ")" + alsoSelf("FA"))
	if err != nil {
		return "", wrap("rights of the copy", err)
	}
	sa := &windows.SecurityAttributes{SecurityDescriptor: sd}
	sa.Length = uint32(unsafe.Sizeof(*sa))
	name := filepath.Join(dir, copyPrefix+strings.ToLower(rand.Text())+".exe")
	h, err := windows.CreateFile(utf16ptr(name), windows.GENERIC_WRITE, 0, sa, windows.CREATE_NEW, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return "", wrap("copy this program", err)
	}
	dst := os.NewFile(uintptr(h), name)
	_, err = io.Copy(dst, src)
	if err = errors.Join(err, dst.Close()); err != nil {
		removeSoon(name)
		return "", fmt.Errorf("copy this program: %w", err)
	}
	return name, nil
}

// alsoSelf lets this account in under Wine, which has no administrators.
func alsoSelf(rights string) string {
	if isWine() {
		return "(A;;" + rights + ";;;" + callerSID() + ")"
	}
	return ""
}

// listenPipe makes the pipe for one client of an account, on this machine.
func listenPipe(name, sid string) (windows.Handle, error) {
	sd, err := windows.SecurityDescriptorFromString("D:P(A;;GRGW;;;" + sid + ")" + alsoSelf("GA"))
	if err != nil {
		return 0, wrap("rights of the pipe", err)
	}
	sa := &windows.SecurityAttributes{SecurityDescriptor: sd}
	sa.Length = uint32(unsafe.Sizeof(*sa))
	h, err := windows.CreateNamedPipe(utf16ptr(name), windows.PIPE_ACCESS_DUPLEX|windows.FILE_FLAG_FIRST_PIPE_INSTANCE|windows.FILE_FLAG_OVERLAPPED,
		windows.PIPE_TYPE_BYTE|windows.PIPE_REJECT_REMOTE_CLIENTS, 1, 64<<10, 64<<10, 0, sa)
	if err != nil {
		return 0, wrap("make the pipe", err)
	}
	return h, nil
}

// connectPipe waits for the client.
func connectPipe(ctx context.Context, pipe windows.Handle) error {
	event, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		return wrap("wait for the service", err)
	}
	defer windows.CloseHandle(event)
	o := &windows.Overlapped{HEvent: event}
	err = windows.ConnectNamedPipe(pipe, o)
	switch {
	case err == nil, is(err, windows.ERROR_PIPE_CONNECTED):
		return nil
	case !is(err, windows.ERROR_IO_PENDING):
		return wrap("wait for the service", err)
	}
	for {
		r, err := windows.WaitForSingleObject(event, 50)
		if err != nil {
			return wrap("wait for the service", err)
		}
		if r == windows.WAIT_OBJECT_0 {
			return nil
		}
		if ctx.Err() != nil {
			var n uint32
			_ = windows.CancelIoEx(pipe, o)
			_ = windows.GetOverlappedResult(pipe, o, &n, true) // until Windows has let go of o
			return fmt.Errorf("wait for the service: %w", ctx.Err())
		}
	}
}

// sameProcess refuses a client that is another process than the service: the pipe's
// rights let every service of the account in.
func sameProcess(pipe windows.Handle, service *mgr.Service) error {
	st, err := service.Query()
	if err != nil {
		return wrap("look at the service", err)
	}
	var client uint32
	if err := windows.GetNamedPipeClientProcessId(pipe, &client); err != nil {
		return wrap("who connected", err)
	}
	if st.ProcessId != client {
		return fmt.Errorf("%w: process %d connected, the service is %d", errAccount, client, st.ProcessId)
	}
	return nil
}

// removeLeftovers removes services and copies of processes that are gone. What
// belongs to one that lives is left.
func removeLeftovers(manager *mgr.Mgr, dir string) {
	names, err := manager.ListServices()
	if err != nil {
		return // the new one is made all the same
	}
	used := false
	for _, name := range names {
		rest, ours := strings.CutPrefix(strings.ToLower(name), servicePrefix)
		if !ours {
			continue
		}
		pid, _, _ := strings.Cut(rest, "-")
		if n, err := strconv.ParseUint(pid, 10, 32); err == nil && alive(uint32(n)) {
			used = true
			continue
		}
		s, err := manager.OpenService(name)
		if err != nil {
			continue
		}
		_, _ = s.Control(svc.Stop)
		_ = s.Delete()
		_ = s.Close()
	}
	if used {
		return // whose copy is whose cannot be told
	}
	copies, _ := filepath.Glob(filepath.Join(dir, copyPrefix+"*.exe"))
	for _, c := range copies {
		_ = os.Remove(c) // one that runs cannot be removed
	}
}

func alive(pid uint32) bool {
	h, err := windows.OpenProcess(windows.SYNCHRONIZE|windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return is(err, windows.ERROR_ACCESS_DENIED)
	}
	defer windows.CloseHandle(h)
	r, err := windows.WaitForSingleObject(h, 0)
	return err == nil && r != windows.WAIT_OBJECT_0
}

// RemoveLeftovers removes what a process that died while its helper service was
// being made has left: the service, and the copy of the program in dir. It is called
// when updoc starts with an administrator's rights, and costs nothing where there is none.
func (h *Host) RemoveLeftovers(dir string) error {
	manager, err := mgr.Connect()
	if err != nil {
		return wrap("connect to the service manager", err)
	}
	defer func() { _ = manager.Disconnect() }()
	removeLeftovers(manager, dir)
	return nil
}

// ServeWalk is the role of the program as the helper service of [Account]: args are
// those behind the program's name. It returns false if they ask for something else.
// Requests are made with x, for as long as the connection lasts.
func ServeWalk(ctx context.Context, args []string, x host.Exchanger) (code int, ok bool) {
	if len(args) != 2 || args[0] != serviceWord {
		return 0, false
	}
	w := &walkService{ctx: ctx, pipe: pipePrefix + args[1], x: x}
	if _, err := hex.DecodeString(args[1]); err != nil || len(args[1]) != 32 {
		return 2, true
	}
	if err := svc.Run("", w); err != nil {
		return 1, true // somebody starts it by hand: there is no service manager to answer to
	}
	return 0, true
}

// walkService is the service itself.
type walkService struct {
	ctx  context.Context
	pipe string
	x    host.Exchanger
}

// Execute implements svc.Handler.
func (w *walkService) Execute(_ []string, orders <-chan svc.ChangeRequest, status chan<- svc.Status) (bool, uint32) {
	ctx, stop := context.WithCancel(w.ctx)
	defer stop()
	status <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	done := make(chan error, 1)
	go func() { done <- w.serve(ctx) }()
	for {
		select {
		case err := <-done:
			status <- svc.Status{State: svc.StopPending}
			if err != nil {
				return true, 1
			}
			return false, 0
		case o := <-orders:
			switch o.Cmd {
			case svc.Interrogate:
				status <- o.CurrentStatus
			case svc.Stop, svc.Shutdown:
				status <- svc.Status{State: svc.StopPending}
				return false, 0 // the process ends, and with it everything
			}
		}
	}
}

// serve connects to whoever started the service. It does not let itself be
// impersonated beyond its name: a pipe is whatever made it.
func (w *walkService) serve(ctx context.Context) error {
	const identification = windows.SECURITY_SQOS_PRESENT | windows.SECURITY_IDENTIFICATION
	h, err := windows.CreateFile(utf16ptr(w.pipe), windows.GENERIC_READ|windows.GENERIC_WRITE, 0, nil, windows.OPEN_EXISTING,
		windows.FILE_FLAG_OVERLAPPED|identification, 0)
	if err != nil {
		return wrap("connect", err)
	}
	conn := os.NewFile(uintptr(h), w.pipe)
	defer conn.Close()
	return serveExchanges(ctx, conn, callerSID(), w.x)
}
