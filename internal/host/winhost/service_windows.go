package winhost

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// How long a service is waited for. The service control manager gives up on one
// that reports no progress after 30 s; those of updating finish transactions when
// they stop, TrustedInstaller minutes' worth of them.
const (
	startLimit = 90 * time.Second
	stopLimit  = 120 * time.Second
	pollEvery  = 100 * time.Millisecond
)

// limits are how long services are waited for.
type limits struct{ start, stop time.Duration }

// StuckService is the error of a service that does not reach the state that it was
// asked for. Its process is named so that somebody can judge what it waits for;
// updoc ends no process.
type StuckService struct {
	Name    string
	State   uint32 // 2 start pending, 3 stop pending
	Process uint32
	Image   string // what runs in it: svchost.exe as a rule, with other services
	After   time.Duration
}

func (e *StuckService) Error() string {
	what := "stop"
	if e.State == windows.SERVICE_START_PENDING {
		what = "start"
	}
	return fmt.Sprintf("service %s has been about to %s for %v, in process %d (%s)", e.Name, what, e.After.Round(time.Second), e.Process, e.Image)
}

// Unwrap makes it ERROR_SERVICE_REQUEST_TIMEOUT.
func (e *StuckService) Unwrap() error {
	return codes.FromWin32(uint32(windows.ERROR_SERVICE_REQUEST_TIMEOUT))
}

// openService opens a service; whoever gets it closes it.
func openService(name string, access uint32) (windows.Handle, error) {
	n, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return 0, fmt.Errorf("service %s: %w", name, host.ErrNotExist)
	}
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return 0, wrap("service control manager", err)
	}
	defer closeService(manager)
	s, err := windows.OpenService(manager, n, access)
	return s, wrap("service "+name, err)
}

func closeService(s windows.Handle) { _ = windows.CloseServiceHandle(s) } // a handle that was opened closes

// Service asks the service control manager.
func (h *Host) Service(ctx context.Context, name string) (host.Service, error) {
	const source = "service control manager"
	if err := ctx.Err(); err != nil {
		return host.Service{}, fmt.Errorf("service %s: %w", name, err)
	}
	s, err := openService(name, windows.SERVICE_QUERY_STATUS|windows.SERVICE_QUERY_CONFIG)
	mayConfig := true
	if errors.Is(err, host.ErrDenied) { // some let everybody see how they are and nobody how they are made
		mayConfig = false
		s, err = openService(name, windows.SERVICE_QUERY_STATUS)
	}
	if err != nil {
		return host.Service{Source: source}, err
	}
	defer closeService(s)
	out := host.Service{Name: name, State: -1, Start: -1, Source: source}
	st, err := serviceStatus(s)
	if err != nil {
		return host.Service{}, wrap("service "+name, err)
	}
	out.State, out.Exit, out.Process = int(st.CurrentState), exitOf(st), st.ProcessId
	if !mayConfig {
		return out, nil
	}
	c, err := serviceConfig(s)
	if err != nil {
		return host.Service{}, wrap("service "+name, err)
	}
	out.Start, out.Delayed = int(c.start.Type), c.start.Delayed
	out.Account, out.Binary, out.Needs = c.account, c.binary, c.needs
	if list, err := readTriggers(s); err == nil { // Wine has no such thing
		out.Triggers = len(list)
	}
	return out, nil
}

// exitOf is the error a service ended with; one of its own has its place elsewhere.
func exitOf(st windows.SERVICE_STATUS_PROCESS) uint32 {
	if st.Win32ExitCode == uint32(windows.ERROR_SERVICE_SPECIFIC_ERROR) {
		return st.ServiceSpecificExitCode
	}
	return st.Win32ExitCode
}

func serviceStatus(s windows.Handle) (windows.SERVICE_STATUS_PROCESS, error) {
	var st windows.SERVICE_STATUS_PROCESS
	var needed uint32
	err := windows.QueryServiceStatusEx(s, windows.SC_STATUS_PROCESS_INFO, (*byte)(unsafe.Pointer(&st)), uint32(unsafe.Sizeof(st)), &needed)
	return st, err
}

type config struct {
	start           host.Start
	account, binary string
	needs           []string
}

func serviceConfig(s windows.Handle) (config, error) {
	// learn.microsoft.com: "QueryServiceConfigW": 8 KiB are the most there can be.
	buf := make([]uint64, 8192/8)
	q := (*windows.QUERY_SERVICE_CONFIG)(unsafe.Pointer(&buf[0]))
	var needed uint32
	if err := windows.QueryServiceConfig(s, q, uint32(len(buf)*8), &needed); err != nil {
		return config{}, err
	}
	c := config{
		start:   host.Start{Type: q.StartType},
		account: windows.UTF16PtrToString(q.ServiceStartName), binary: windows.UTF16PtrToString(q.BinaryPathName), needs: needsOf(q),
	}
	if q.StartType == windows.SERVICE_AUTO_START {
		var d windows.SERVICE_DELAYED_AUTO_START_INFO
		err := windows.QueryServiceConfig2(s, windows.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, (*byte)(unsafe.Pointer(&d)), uint32(unsafe.Sizeof(d)), &needed)
		if err != nil && !is(err, windows.ERROR_INVALID_LEVEL) { // drivers, and Wine, have no such thing
			return config{}, err
		}
		c.start.Delayed = d.IsDelayedAutoStartUp != 0
	}
	return c, nil
}

// dependents lists the running services that have to stop before name, in the
// order in which they have to.
func dependents(name string) ([]string, error) {
	s, err := openService(name, windows.SERVICE_ENUMERATE_DEPENDENTS)
	if err != nil {
		return nil, err
	}
	defer closeService(s)
	buf := make([]uint64, 64<<10/8)
	var needed, count uint32
	first := (*windows.ENUM_SERVICE_STATUS)(unsafe.Pointer(&buf[0]))
	if err := windows.EnumDependentServices(s, windows.SERVICE_ACTIVE, first, uint32(len(buf)*8), &needed, &count); err != nil {
		return nil, wrap("dependents of service "+name, err)
	}
	var out []string
	for _, d := range unsafe.Slice(first, count) {
		out = append(out, windows.UTF16PtrToString(d.ServiceName))
	}
	return out, nil
}

// inverseService says what restores how a service is.
func (h *Host) inverseService(c host.Change) ([]host.Change, error) {
	if c.Kind == host.ServiceSecurity {
		now, err := serviceSDDL(c.Path, c.SDDL)
		if err != nil {
			return nil, err
		}
		return inverseSDDL(c, now)
	}
	s, err := openService(c.Path, windows.SERVICE_QUERY_STATUS|windows.SERVICE_QUERY_CONFIG)
	if err != nil {
		return nil, err
	}
	defer closeService(s)
	switch c.Kind {
	case host.ServiceStart, host.ServiceNeeds:
		now, err := serviceConfig(s)
		if err != nil {
			return nil, wrap("service "+c.Path, err)
		}
		if c.Kind == host.ServiceNeeds {
			return []host.Change{{Kind: c.Kind, Path: c.Path, Needs: now.needs}}, nil
		}
		return []host.Change{{Kind: c.Kind, Path: c.Path, Start: &now.start}}, nil
	case host.ServiceTriggers:
		now, err := readTriggers(s)
		if err != nil {
			return nil, wrap("triggers of service "+c.Path, err)
		}
		return []host.Change{{Kind: c.Kind, Path: c.Path, Triggers: now}}, nil
	}
	st, err := serviceStatus(s)
	if err != nil {
		return nil, wrap("service "+c.Path, err)
	}
	stop, start := host.Change{Kind: host.ServiceStop, Path: c.Path}, host.Change{Kind: host.ServiceRun, Path: c.Path}
	switch {
	case st.CurrentState == windows.SERVICE_STOPPED:
		if stop.Check() != nil { // one that nobody may stop: it ends by itself when it has nothing to do
			return nil, nil
		}
		return []host.Change{stop}, nil
	case c.Kind == host.ServiceRun && st.CurrentState != windows.SERVICE_RUNNING:
		return nil, nil // on its way already, wherever to: nobody's state to come back to
	case c.Kind == host.ServiceRun:
		return []host.Change{start}, nil
	}
	back := []host.Change{start}
	deps, err := dependents(c.Path)
	if err != nil {
		return nil, err
	}
	for _, d := range slices.Backward(deps) {
		back = append(back, host.Change{Kind: host.ServiceRun, Path: d})
	}
	return back, nil
}

// applyService changes a service.
func (h *Host) applyService(ctx context.Context, c host.Change) error {
	switch c.Kind {
	case host.ServiceStart:
		return setStart(c.Path, *c.Start)
	case host.ServiceRun:
		return h.runService(ctx, c.Path)
	case host.ServiceSecurity:
		return setServiceSDDL(c.Path, c.SDDL)
	case host.ServiceTriggers:
		return setTriggers(c.Path, c.Triggers)
	case host.ServiceNeeds:
		return setNeeds(c.Path, c.Needs)
	}
	deps, err := dependents(c.Path)
	if err != nil {
		return err
	}
	for _, d := range deps {
		if err := (host.Change{Kind: host.ServiceStop, Path: d}).Check(); err != nil {
			return fmt.Errorf("%s depends on it: %w", d, err)
		}
	}
	for _, d := range append(deps, c.Path) {
		if err := h.stopService(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

func setStart(name string, want host.Start) error {
	s, err := openService(name, windows.SERVICE_CHANGE_CONFIG|windows.SERVICE_QUERY_CONFIG)
	if err != nil {
		return err
	}
	defer closeService(s)
	now, err := serviceConfig(s)
	if err != nil {
		return wrap("service "+name, err)
	}
	if now.start.Type != want.Type {
		const same = windows.SERVICE_NO_CHANGE
		if err := windows.ChangeServiceConfig(s, same, want.Type, same, nil, nil, nil, nil, nil, nil, nil); err != nil {
			return wrap("start type of service "+name, err)
		}
		if now, err = serviceConfig(s); err != nil { // a delay is kept while it counts nothing
			return wrap("service "+name, err)
		}
	}
	if now.start.Delayed != want.Delayed && want.Type == windows.SERVICE_AUTO_START {
		var d windows.SERVICE_DELAYED_AUTO_START_INFO
		if want.Delayed {
			d.IsDelayedAutoStartUp = 1
		}
		if err := windows.ChangeServiceConfig2(s, windows.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, (*byte)(unsafe.Pointer(&d))); err != nil {
			return wrap("delayed start of service "+name, err)
		}
	}
	return flushService(name)
}

// flushService has the database of the services written, which is a part of the
// registry.
func flushService(name string) error {
	key, err := openKey(`HKLM\SYSTEM\CurrentControlSet\Services\`+name, windows.KEY_QUERY_VALUE)
	if err != nil {
		return err
	}
	defer closeKey(key)
	return flush(key)
}

// runService starts a service and waits until it runs. One that had nothing to do
// and ended well by itself has run.
func (h *Host) runService(ctx context.Context, name string) error {
	s, err := openService(name, windows.SERVICE_START|windows.SERVICE_QUERY_STATUS)
	if err != nil {
		return err
	}
	defer closeService(s)
	// One that is about to stop cannot be started before it has.
	if st, err := serviceStatus(s); err == nil && st.CurrentState == windows.SERVICE_STOP_PENDING {
		if _, err := h.await(ctx, s, name, windows.SERVICE_STOP_PENDING, h.limits.stop); err != nil {
			return err
		}
	}
	if err := startService(ctx, s); err != nil {
		return wrap("start service "+name, err)
	}
	st, err := h.await(ctx, s, name, windows.SERVICE_START_PENDING, h.limits.start)
	if err != nil {
		return err
	}
	if code := exitOf(st); st.CurrentState == windows.SERVICE_STOPPED && code != 0 {
		f := &failure{op: "start service " + name, err: fmt.Errorf("it ended with %d", code), code: codes.FromWin32(code)}
		if hr := codes.HRESULT(code); hr.Failed() { // services of updating report their HRESULT
			f.code = hr
		}
		return f
	}
	return nil
}

// startService starts a service as soon as the database of services is not locked,
// which it is while another one starts.
func startService(ctx context.Context, s windows.Handle) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for began := time.Now(); ; {
		err := windows.StartService(s, 0, nil)
		switch {
		case err == nil, is(err, windows.ERROR_SERVICE_ALREADY_RUNNING):
			return nil
		case !is(err, windows.ERROR_SERVICE_DATABASE_LOCKED) || time.Since(began) > startLimit:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// stopService stops one service and waits until it has.
func (h *Host) stopService(ctx context.Context, name string) error {
	s, err := openService(name, windows.SERVICE_STOP|windows.SERVICE_QUERY_STATUS)
	if err != nil {
		return err
	}
	defer closeService(s)
	if _, err := h.await(ctx, s, name, windows.SERVICE_START_PENDING, h.limits.start); err != nil { // takes no orders before
		return err
	}
	var st windows.SERVICE_STATUS
	err = windows.ControlService(s, windows.SERVICE_CONTROL_STOP, &st)
	if err != nil && !is(err, windows.ERROR_SERVICE_NOT_ACTIVE, windows.ERROR_SERVICE_CANNOT_ACCEPT_CTRL) {
		return wrap("stop service "+name, err)
	}
	now, err := h.await(ctx, s, name, windows.SERVICE_STOP_PENDING, h.limits.stop)
	if err == nil && now.CurrentState != windows.SERVICE_STOPPED {
		err = &failure{op: "stop service " + name, err: fmt.Errorf("it is in state %d", now.CurrentState), code: codes.FromWin32(uint32(windows.ERROR_SERVICE_CANNOT_ACCEPT_CTRL))}
	}
	return err
}

// await waits for as long as a service is in a state that passes, and no longer
// than limit.
func (h *Host) await(ctx context.Context, s windows.Handle, name string, passing uint32, limit time.Duration) (windows.SERVICE_STATUS_PROCESS, error) {
	began := time.Now()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		st, err := serviceStatus(s)
		if err != nil {
			return st, wrap("service "+name, err)
		}
		if st.CurrentState != passing {
			return st, nil
		}
		if d := time.Since(began); d > limit {
			return st, &StuckService{Name: name, State: passing, Process: st.ProcessId, Image: imageOf(st.ProcessId), After: d}
		}
		h.progress(Progress{What: name, Percent: -1, Elapsed: time.Since(began)})
		select {
		case <-ctx.Done():
			return st, fmt.Errorf("service %s: %w", name, ctx.Err())
		case <-tick.C:
		}
	}
}

// imageOf names the program of a process, or says nothing.
func imageOf(pid uint32) string {
	p, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, pid)
	if err != nil {
		return "unknown"
	}
	defer closeHandle(p)
	buf := make([]uint16, windows.MAX_LONG_PATH)
	n := uint32(len(buf))
	if err := windows.QueryFullProcessImageName(p, 0, &buf[0], &n); err != nil {
		return "unknown"
	}
	return filepath.Base(windows.UTF16ToString(buf[:n]))
}

func (h *Host) progress(p Progress) {
	if h.Progress != nil {
		h.Progress(p)
	}
}
