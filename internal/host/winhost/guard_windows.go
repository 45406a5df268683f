package winhost

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"updoc/internal/host"
)

// The guard is a service that starts with Windows, in safe mode too, where no task is
// started. It does one thing and ends.
const (
	guardName = "updoc-guard"
	guardWord = "guard-service" // the first argument of the program as this service

	safeBoot = `SYSTEM\CurrentControlSet\Control\SafeBoot`
)

// safeModes are the two kinds of safe mode, by their keys: what has a key of its name
// below them starts in it. learn.microsoft.com: "Boot options in Windows", safe mode;
// the key's default value says what it names.
var safeModes = [...]string{"Minimal", "Network"}

// Guard implements [host.Guardian].
func (h *Host) Guard(ctx context.Context, g host.Guard) error {
	if err := errors.Join(ctx.Err(), g.Check()); err != nil {
		return err
	}
	for _, mode := range safeModes {
		k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, safeBoot+`\`+mode+`\`+guardName, registry.SET_VALUE)
		if err != nil {
			return wrap("guard in safe mode", err)
		}
		err = errors.Join(k.SetStringValue("", "Service"), regFlushKey(windows.Handle(k)), k.Close())
		if err != nil {
			return wrap("guard in safe mode", err)
		}
	}
	manager, err := mgr.Connect()
	if err != nil {
		return wrap("connect to the service manager", err)
	}
	defer func() { _ = manager.Disconnect() }()
	args := []string{guardWord, g.Run}
	if g.User != "" {
		args = append(args, g.User)
	}
	config := mgr.Config{
		ServiceType: windows.SERVICE_WIN32_OWN_PROCESS, StartType: mgr.StartAutomatic, ErrorControl: mgr.ErrorIgnore,
		DisplayName: "updoc: takes back an unfinished search", ServiceStartName: "LocalSystem",
		Description: "Switches on again what updoc switched off, if Windows came up in safe mode or nobody goes on with it. It goes away by itself.",
	}
	s, err := manager.OpenService(guardName)
	if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
		if s, err = manager.CreateService(guardName, g.Program, config, args...); err != nil {
			return wrap("create "+guardName, err)
		}
		return wrap("create "+guardName, s.Close())
	}
	if err != nil {
		return wrap("open "+guardName, err)
	}
	// The program's path is a local one without a quote, and the arguments hold letters,
	// digits and hyphens alone.
	line := utf16ptr(`"` + g.Program + `" ` + strings.Join(args, " "))
	err = windows.ChangeServiceConfig(s.Handle, windows.SERVICE_NO_CHANGE, windows.SERVICE_AUTO_START, windows.SERVICE_ERROR_IGNORE, line, nil, nil, nil, nil, nil, nil)
	return wrap("configure "+guardName, errors.Join(err, s.Close()))
}

// Unguard implements [host.Guardian].
func (h *Host) Unguard(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var errs []error
	manager, err := mgr.Connect()
	if err != nil {
		return wrap("connect to the service manager", err)
	}
	defer func() { _ = manager.Disconnect() }()
	s, err := manager.OpenService(guardName)
	switch {
	case err == nil: // one that runs is gone when it ends
		if err := s.Delete(); !errors.Is(err, windows.ERROR_SERVICE_MARKED_FOR_DELETE) {
			errs = append(errs, wrap("remove "+guardName, err))
		}
		errs = append(errs, s.Close())
	case !errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		errs = append(errs, wrap("open "+guardName, err))
	}
	for _, mode := range safeModes {
		err := registry.DeleteKey(registry.LOCAL_MACHINE, safeBoot+`\`+mode+`\`+guardName)
		if err != nil && !errors.Is(err, registry.ErrNotExist) {
			errs = append(errs, wrap("guard in safe mode", err))
		}
	}
	return errors.Join(errs...)
}

// ServeGuard is the role of the program as the guard: args are those behind the
// program's name. It returns false if they ask for something else. run carries out a
// command line of updoc.
func ServeGuard(ctx context.Context, args []string, run func(ctx context.Context, args []string) int) (code int, ok bool) {
	if len(args) == 0 || args[0] != guardWord {
		return 0, false
	}
	g := host.Guard{Program: `C:\updoc.exe`}
	switch len(args) {
	case 3:
		g.User = args[2]
		fallthrough
	case 2:
		g.Run = args[1]
	}
	if g.Check() != nil {
		return 2, true
	}
	if err := svc.Run(guardName, &guardService{ctx: ctx, guard: g, run: run}); err != nil {
		return 1, true // somebody starts it by hand: there is no service manager to answer to
	}
	return 0, true
}

type guardService struct {
	ctx   context.Context
	guard host.Guard
	run   func(ctx context.Context, args []string) int
}

// Execute implements svc.Handler.
func (g *guardService) Execute(_ []string, orders <-chan svc.ChangeRequest, status chan<- svc.Status) (bool, uint32) {
	ctx, stop := context.WithCancel(g.ctx)
	defer stop()
	status <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	args := []string{"stand-guard", g.guard.Run}
	if g.guard.User != "" {
		args = append(args, "--user", g.guard.User)
	}
	if safeMode() {
		args = append(args, "--safe-mode")
	}
	done := make(chan int, 1)
	go func() { done <- g.run(ctx, args) }()
	for {
		select {
		case code := <-done:
			status <- svc.Status{State: svc.StopPending}
			if code != 0 {
				return true, uint32(code)
			}
			return false, 0
		case o := <-orders:
			switch o.Cmd {
			case svc.Interrogate:
				status <- o.CurrentStatus
			case svc.Stop, svc.Shutdown:
				stop() // between two changes
				status <- svc.Status{State: svc.StopPending, WaitHint: 20_000}
			}
		}
	}
}

// safeMode reports whether this Windows came up in safe mode.
// learn.microsoft.com: "GetSystemMetrics function", SM_CLEANBOOT.
func safeMode() bool {
	const cleanBoot = 67
	return systemMetric(cleanBoot)
}

// systemMetric reports one of the measures of Windows that are not 0 where something is so.
func systemMetric(which uintptr) bool {
	r, err := invoke(windows.NewLazySystemDLL("user32.dll"), "GetSystemMetrics", which)
	var failed *failure
	return r != 0 && !errors.As(err, &failed)
}

var _ host.Guardian = (*Host)(nil)
