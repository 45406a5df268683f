package winhost

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/host/hosttest"
	"updoc/internal/winlog"
)

// onWine: a prefix that is thrown away, which may be changed as one likes.
func onWine() bool {
	return windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil
}

func live(t *testing.T) *Host {
	t.Helper()
	h, err := Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// apply makes changes that nothing is held of.
func apply(t *testing.T, h *Host, list ...host.Change) {
	t.Helper()
	for _, c := range list {
		if err := h.Apply(context.WithoutCancel(t.Context()), c); err != nil { // also when the test cleans up
			t.Fatal(err)
		}
	}
}

func inverse(t *testing.T, h *Host, c host.Change) []host.Change {
	t.Helper()
	back, err := h.Inverse(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func TestMachine(t *testing.T) {
	m, err := live(t).Machine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m.Source != "live" || m.Name == "" || !strings.HasPrefix(m.OS, "Windows") || m.Arch == "" {
		t.Errorf("%+v", m)
	}
	_, _, build := windows.RtlGetNtVersionNumbers()
	if !strings.HasPrefix(m.Build, fmt.Sprint(build)) {
		t.Errorf("build %s, want %d", m.Build, build)
	}
}

// evidenceBed puts evidence where Windows keeps it, by path below the Windows folder.
func evidenceBed(t *testing.T, h *Host) (content map[string]string) {
	t.Helper()
	content = map[string]string{
		`Logs\CBS\CBS.log`:                         "2031-02-03 04:05:06, Info                  CBS    Session: 30000000_1 initialized by client Fabrikam, external staging directory: (null)\r\n",
		`SoftwareDistribution\ReportingEvents.log`: "{11111111-2222-3333-4444-555555555555}\t2031-02-03 04:05:06:789+0100\t1\t148 [AGENT_DETECTION_FAILED]\t101\t{00000000-0000-0000-0000-000000000000}\t0\t8024401b\tUpdateOrchestrator\tFailure\tSoftware Synchronization\tWindows Update Client failed to detect with error 0x8024401b.\r\n",
		`System32\drivers\etc\hosts`:               "# local names\r\n192.0.2.7 wsus.fabrikam.example\r\n",
	}
	for name, text := range content {
		p := h.places.windows + `\` + name
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return content
}

// The live machine passes what every host passes. Files are written only where they
// are thrown away afterwards.
func TestSuite(t *testing.T) {
	h := live(t)
	want := hosttest.Fixture{
		Source: "live",
		Files:  map[string]winlog.Kind{"hosts": winlog.Hosts},
		Subkeys: []hosttest.Value{
			{Key: `HKLM\SYSTEM\CurrentControlSet\Services`, Name: "BITS"},
		},
		NoServices:     []string{"updoc-nothing"},
		UnaskedAnswers: []string{"nothing"},
	}
	key := `HKCU\Software\updoc-test`
	if onWine() {
		key = `HKLM\SOFTWARE\updoc-test`
		want.Content = map[string]string{}
		for name, text := range evidenceBed(t, h) {
			want.Content[path.Base(filepath.ToSlash(name))] = text
		}
		want.Files["CBS.log"], want.Files["ReportingEvents.log"] = winlog.CBS, winlog.Reporting
	}
	apply(t, h, host.Set(key+`\Below`, "Number", winlog.RegValue{Type: winlog.RegDWord, Data: []byte{31, 0, 0, 0}}),
		host.Set(key, "Text", winlog.RegValue{Type: winlog.RegSZ, Data: utf16le("Grüße\x00")}))
	t.Cleanup(func() {
		apply(t, h, host.Change{Kind: host.ValueDel, Path: key + `\Below`, Name: "Number"}, host.Change{Kind: host.KeyDrop, Path: key + `\Below`},
			host.Change{Kind: host.ValueDel, Path: key, Name: "Text"}, host.Change{Kind: host.KeyDrop, Path: key})
	})
	const version = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	want.Values = []hosttest.Value{
		{Key: key, Name: "Text", Text: "Grüße"},
		{Key: key + `\Below`, Name: "Number", Number: 31},
		{Key: version, Name: "CurrentBuild", Text: value(t, h, version, "CurrentBuild")},
	}
	want.NoValues = []hosttest.Value{{Key: key, Name: "Number"}}
	want.Subkeys = append(want.Subkeys, hosttest.Value{Key: key, Name: "Below"})
	want.NoKeys = []string{key + `\Other`, `HKLM\SOFTWARE\updoc-nothing\x`, `HKU\S-1-5-21-1-2-3-9999`}
	rpc, err := h.Service(t.Context(), "RpcSs") // always running
	if err != nil {
		t.Fatal(err)
	}
	want.Services = map[string]host.Service{"RpcSs": rpc}
	hosttest.Suite(t, h, want)
}

func value(t *testing.T, h *Host, key, name string) string {
	t.Helper()
	k, err := h.Key(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := k.Value(name)
	s, _ := v.String()
	return s
}

// The 32-bit view has its own path, and is not the other one.
func TestViews(t *testing.T) {
	h := live(t)
	key, err := h.Key(t.Context(), `HKLM\SOFTWARE\WOW6432Node`)
	if err != nil {
		t.Fatal(err)
	}
	native, err := h.Key(t.Context(), `HKLM\SOFTWARE`)
	if err != nil {
		t.Fatal(err)
	}
	if len(key.Subkeys) == 0 || len(native.Subkeys) <= len(key.Subkeys) {
		t.Errorf("the 32-bit view has %d subkeys, the other one %d", len(key.Subkeys), len(native.Subkeys))
	}
}

// What may be changed is changed and comes back.
func TestChangeSuite(t *testing.T) {
	h := live(t)
	may := hosttest.Changes{Key: `HKCU\Software`, NoService: "updoc-nothing", Folder: temp(t)}
	if onWine() {
		may.Key, may.Folder, may.Running = `HKLM\SOFTWARE`, h.places.windows+`\Temp`, "BITS"
		may.Make = true
		if triggersKnown(t, "MSIServer") {
			may.Events = "MSIServer"
		}
		may.Switch, may.States = host.Setting("task", task(t, h, "Suite")), [2]string{"on", "off"}
		script(t, h, `{}`)
	} else {
		// Who tests stays in the list, or the test could not clean up.
		user, err := windows.GetCurrentProcessToken().GetTokenUser()
		if err != nil {
			t.Fatal(err)
		}
		me := "(A;;FA;;;" + user.User.Sid.String() + ")"
		may.SDDL = []string{"D:P(A;;FA;;;SY)" + me, "D:P" + me + "(A;;FR;;;BU)"}
	}
	hosttest.ChangeSuite(t, h, may)
}

// temp is a temporary folder by its real name: %TEMP% may be a short one.
func temp(t *testing.T) string {
	t.Helper()
	name, err := ptr(filepath.Clean(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	d, err := windows.CreateFile(name, windows.FILE_READ_ATTRIBUTES, shareAll, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer closeHandle(d)
	p, err := finalPath(d)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(p, `\\?\`)
}

// What the suite does with the rights of files is done on Windows alone.
func TestFileRights(t *testing.T) {
	h := live(t)
	p := temp(t) + `\file`
	apply(t, h, host.Change{Kind: host.Write, Path: p, Data: []byte("x")})
	c := host.Change{Kind: host.Security, Path: p, SDDL: "D:P(A;;FA;;;WD)"}
	back := inverse(t, h, c)
	if len(back) != 1 || !strings.Contains(back[0].SDDL, "D:") {
		t.Errorf("rights %+v", back)
	}
	apply(t, h, c)
	if onWine() {
		t.Skip("SetSecurityInfo: Wine keeps rights of files only as far as Linux has such")
	}
	if ok, err := host.Holds(t.Context(), h, c); !ok || err != nil {
		t.Errorf("holds %v, %v", ok, err)
	}
	apply(t, h, back...)
	if now := inverse(t, h, c); !host.Same(now, back) {
		t.Errorf("%+v, was %+v", now, back)
	}
}

func TestServiceRights(t *testing.T) {
	h := live(t)
	c := host.Change{Kind: host.ServiceSecurity, Path: "BITS", SDDL: "D:(A;;CCLCSWLOCRRC;;;IU)"}
	back, err := h.Inverse(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(back) != 1 || back[0].Kind != host.ServiceSecurity || !strings.HasPrefix(back[0].SDDL, "D:") {
		t.Errorf("rights %+v", back)
	}
	if onWine() {
		t.Skip("SetServiceObjectSecurity: Wine keeps no rights of services")
	}
	if err := h.Apply(t.Context(), back[0]); err != nil && !errors.Is(err, host.ErrDenied) { // as they are
		t.Error(err)
	}
}

func TestDelayedStart(t *testing.T) {
	if onWine() {
		t.Skip("ChangeServiceConfig2: Wine has no delayed start")
	}
	s, err := live(t).Service(t.Context(), "wuauserv")
	if err != nil {
		t.Fatal(err)
	}
	if s.Triggers == 0 {
		t.Errorf("Windows Update starts by triggers, and has none: %+v", s)
	}
}

func TestDependents(t *testing.T) {
	if onWine() {
		t.Skip("EnumDependentServices: Wine lists none")
	}
	list, err := dependents("RpcSs")
	if err != nil || len(list) < 10 {
		t.Errorf("%q depend on RpcSs, %v", list, err)
	}
}

func TestHolders(t *testing.T) {
	p := temp(t) + `\held`
	f, err := os.Create(p)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	by, err := holders([]string{p})
	if onWine() {
		t.Skip("RmGetList: Wine names nobody")
	}
	if err != nil || len(by) != 1 || by[0].Process != uint32(os.Getpid()) {
		t.Errorf("%+v, %v; want this process, %d", by, err, os.Getpid())
	}
}

func TestMoveFolderInUse(t *testing.T) {
	h := live(t)
	dir := temp(t) + `\Store`
	apply(t, h, host.Change{Kind: host.FolderMake, Path: dir}, host.Change{Kind: host.Write, Path: dir + `\file`, Data: []byte("x")})
	f, err := os.Open(dir + `\file`)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if onWine() {
		t.Skip("MoveFileEx: Wine moves a folder although a file in it is in use")
	}
	used := h.usedBy(t.Context(), dir, rename(dir, dir+".updoc-1"))
	if used == nil || len(used.By) == 0 || used.By[0].Process != uint32(os.Getpid()) {
		t.Errorf("%+v", used)
	}
}

// A service that never stops is named with its process, in bounded time.
func TestStuckService(t *testing.T) {
	if flag.Arg(0) == "stuck" {
		if err := svc.Run("updoc-stuck", stuck{}); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !onWine() {
		t.Skip("makes a service: only where it is thrown away afterwards")
	}
	h := live(t)
	h.limits = limits{start: 20 * time.Second, stop: 500 * time.Millisecond}
	makeService(t, "updoc-stuck", fmt.Sprintf(`"%s" -test.run ^TestStuckService$ stuck`, os.Args[0]))
	run, stop := host.Change{Kind: host.ServiceRun, Path: "updoc-stuck"}, host.Change{Kind: host.ServiceStop, Path: "updoc-stuck"}
	apply(t, h, run)
	if now := inverse(t, h, stop); !host.Same(now, []host.Change{run}) {
		t.Errorf("while it runs: %+v", now)
	}
	s, err := h.Service(t.Context(), "updoc-stuck")
	if err != nil || s.State != 4 || s.Process == 0 || !strings.Contains(s.Binary, "stuck") {
		t.Fatalf("%+v, %v", s, err)
	}
	defer func() {
		if p, err := os.FindProcess(int(s.Process)); err == nil {
			_ = p.Kill()
		}
	}()
	began := time.Now()
	err = h.Apply(t.Context(), stop)
	var what *StuckService
	var code codes.HRESULT
	if !errors.As(err, &what) || what.Process != s.Process || what.State != windows.SERVICE_STOP_PENDING ||
		!strings.EqualFold(what.Image, filepath.Base(os.Args[0])) || !errors.As(err, &code) || code != 0x8007041D {
		t.Errorf("%v", err)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}

// stuck takes the order to stop and does not.
type stuck struct{}

func (stuck) Execute(_ []string, orders <-chan svc.ChangeRequest, status chan<- svc.Status) (bool, uint32) {
	status <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop}
	for o := range orders {
		switch o.Cmd {
		case svc.Interrogate:
			status <- o.CurrentStatus
		case svc.Stop:
			status <- svc.Status{State: svc.StopPending, WaitHint: 1000}
		}
	}
	return false, 0
}

// makeService makes a service for the time of the test.
func makeService(t *testing.T, name, command string) {
	t.Helper()
	manager, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CREATE_SERVICE)
	if err != nil {
		t.Fatal(err)
	}
	defer closeService(manager)
	n, err := windows.UTF16PtrFromString(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := windows.UTF16PtrFromString(command)
	if err != nil {
		t.Fatal(err)
	}
	s, err := windows.CreateService(manager, n, n, windows.SERVICE_ALL_ACCESS, windows.SERVICE_WIN32_OWN_PROCESS, windows.SERVICE_DEMAND_START,
		windows.SERVICE_ERROR_NORMAL, c, nil, nil, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := windows.DeleteService(s); err != nil {
			t.Error(err)
		}
		closeService(s)
	})
}

// Every start type that Windows has, each way; a delay where there is one.
func TestStartTypes(t *testing.T) {
	if !onWine() {
		t.Skip("changes a service: only where it is thrown away afterwards")
	}
	h := live(t)
	start := func(n uint32) host.Change {
		return host.Change{Kind: host.ServiceStart, Path: "BITS", Start: &host.Start{Type: n}}
	}
	was := inverse(t, h, start(2))
	for _, n := range []uint32{4, 2, 3, 4, 3, 2} {
		apply(t, h, start(n), start(n))
		if ok, err := host.Holds(t.Context(), h, start(n)); !ok || err != nil {
			t.Errorf("start type %d: holds %v, %v", n, ok, err)
		}
	}
	apply(t, h, start(4))
	err := h.Apply(t.Context(), host.Change{Kind: host.ServiceRun, Path: "BITS"})
	var code codes.HRESULT
	if !errors.As(err, &code) || code != 0x80070422 {
		t.Errorf("a disabled service: %v", err)
	}
	apply(t, h, was...)
	if now := inverse(t, h, start(2)); !host.Same(now, was) {
		t.Errorf("%+v, was %+v", now[0].Start, was[0].Start)
	}
}

// The error of a call is found in what a person reads, and by its code.
func TestErrors(t *testing.T) {
	h := live(t)
	_, err := h.Service(t.Context(), "updoc-nothing")
	var code codes.HRESULT
	if !errors.Is(err, host.ErrNotExist) || !errors.As(err, &code) || code != 0x80070424 || !strings.Contains(err.Error(), "0x80070424") {
		t.Errorf("%v", err)
	}
	_, err = h.Key(t.Context(), `HKLM\SOFTWARE\updoc-nothing`)
	if !errors.Is(err, host.ErrNotExist) || !errors.As(err, &code) || code != 0x80070002 {
		t.Errorf("%v", err)
	}
	if wrap("x", nil) != nil {
		t.Error("no error became one")
	}
	if err := wrap("x", errors.New("ours")); !errors.As(err, &code) || code != 0x8000FFFF {
		t.Errorf("%v", err)
	}
}

// Structures that Windows fills in.
func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(rmProcessInfo{}); n != 668 {
		t.Errorf("RM_PROCESS_INFO has %d bytes, restartmanager.h says 668", n)
	}
}

// A file that is in use is moved with the next restart, once, and not if that is
// called off.
func TestMoveAtRestart(t *testing.T) {
	if !onWine() {
		t.Skip("leaves something to the next restart: only where it is thrown away afterwards")
	}
	h := live(t)
	p := h.places.windows + `\Temp\updoc-in-use`
	apply(t, h, host.Change{Kind: host.Write, Path: p, Data: []byte("in use")})
	name, err := ptr(p)
	if err != nil {
		t.Fatal(err)
	}
	holder, err := windows.CreateFile(name, windows.GENERIC_READ, windows.FILE_SHARE_READ, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	move := host.Change{Kind: host.Move, Path: p, To: p + ".updoc-1"}
	back := inverse(t, h, move)
	for range 2 {
		err := h.Apply(t.Context(), move)
		var used *InUse
		var code codes.HRESULT
		if !errors.Is(err, host.ErrRestart) || !errors.As(err, &used) || !used.AtRestart || !errors.As(err, &code) || code != 0x80070020 {
			t.Fatalf("%v", err)
		}
		k, err := h.Key(t.Context(), sessionManager)
		if err != nil {
			t.Fatal(err)
		}
		v, _ := k.Value(pendingName)
		if n := strings.Count(strings.ToLower(strings.Join(splitMulti(v.Data), "|")), "updoc-in-use|"); n != 1 {
			t.Fatalf("%d times in %q", n, splitMulti(v.Data))
		}
	}
	if now := inverse(t, h, back[0]); host.Same(now, back) {
		t.Error("what the next restart moves away counts as restored")
	}
	apply(t, h, back...)
	if waits, err := pendingHas(p, move.To); waits || err != nil {
		t.Errorf("the restart still moves it: %v, %v", waits, err)
	}
	if now := inverse(t, h, back[0]); !host.Same(now, back) {
		t.Errorf("not restored: %+v", now)
	}
	closeHandle(holder)
	apply(t, h, move)
	apply(t, h, back...)
	apply(t, h, host.Change{Kind: host.FileDrop, Path: p})
}

// The marks of a file that is written anew stay, and its time of making.
func TestWriteKeepsMarks(t *testing.T) {
	h := live(t)
	p := temp(t) + `\hosts`
	if onWine() {
		p = h.places.windows + `\Temp\updoc-hosts`
	}
	apply(t, h, host.Change{Kind: host.Write, Path: p, Data: []byte("before")})
	name, err := ptr(p)
	if err != nil {
		t.Fatal(err)
	}
	const marks = windows.FILE_ATTRIBUTE_READONLY | windows.FILE_ATTRIBUTE_HIDDEN
	if err := windows.SetFileAttributes(name, marks); err != nil {
		t.Fatal(err)
	}
	apply(t, h, host.Change{Kind: host.Write, Path: p, Data: []byte("after")})
	if got, err := windows.GetFileAttributes(name); err != nil || got&marks != marks {
		t.Errorf("marks %#x, %v", got, err)
	}
	if b, err := readKept(p); err != nil || string(b) != "after" {
		t.Errorf("%q, %v", b, err)
	}
	apply(t, h, host.Change{Kind: host.FileDrop, Path: p})
}

// A change does not reach through a link, neither below it nor at its end.
func TestLinks(t *testing.T) {
	h := live(t)
	dir := temp(t)
	outside, link := filepath.Join(dir, "outside"), filepath.Join(dir, "link")
	if err := os.Mkdir(outside, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, link); err != nil {
		t.Skipf("CreateSymbolicLink: %v", err)
	}
	if _, err := os.Lstat(link); err != nil {
		t.Skip("CreateSymbolicLink: it says that it made one, and there is none")
	}
	for _, c := range []host.Change{
		{Kind: host.Write, Path: link + `\x`, Data: []byte("x")},
		{Kind: host.FolderMake, Path: link + `\a\b`},
		{Kind: host.Security, Path: link, SDDL: "D:P(A;;FA;;;BA)"},
	} {
		if err := h.Apply(t.Context(), c); !errors.Is(err, host.ErrRefused) {
			t.Errorf("%s %s: %v", c.Kind, c.Path, err)
		}
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("it reached %v, %v", left, err)
	}
}

// script tells the stand-ins what goes wrong; see internal/winetest/standin.
func script(t *testing.T, h *Host, text string) {
	t.Helper()
	if !onWine() {
		t.Skip("runs tools that change the machine: only stand-ins under Wine")
	}
	p := h.places.system + `\standin.json`
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(p) })
}

func TestRunTools(t *testing.T) {
	h := live(t)
	var seen []Progress
	h.Progress = func(p Progress) { seen = append(seen, p) }
	script(t, h, `{"dism":{"exit":2148468767,"silence":"600ms"},"sfc":{"silence":"600ms"},"chkdsk":{"exit":3},"reagentc":{"exit":3010}}`)
	for _, c := range []struct {
		tool    string
		args    []string
		code    codes.HRESULT
		percent float64
		line    string
	}{
		{"dism", []string{"/Online", "/Cleanup-Image", "/RestoreHealth"}, 0x800F081F, 62.3, "62.3%"},
		{"sfc", []string{"/scannow"}, 0, 50, "Checked 50%."},
		{"chkdsk", []string{"/scan"}, 0x80004005, -1, ""},
		{"usoclient", []string{"StartScan"}, 0, -1, ""},
	} {
		seen = nil
		err := h.Apply(t.Context(), host.Change{Kind: host.Run, Path: c.tool, Args: c.args})
		var code codes.HRESULT
		errors.As(err, &code)
		if code != c.code || (err == nil) != (c.code == 0) {
			t.Errorf("%s: %v, want %v", c.tool, err, c.code)
		}
		if c.percent < 0 {
			continue
		}
		told := func(p Progress) bool { return p.Percent == c.percent && strings.Contains(p.Line, c.line) }
		if !slices.ContainsFunc(seen, told) {
			t.Errorf("%s: progress %+v, want %v %q", c.tool, seen, c.percent, c.line)
		}
	}
	if err := h.Apply(t.Context(), host.Change{Kind: host.Run, Path: "reagentc", Args: []string{"/enable"}}); !errors.Is(err, host.ErrRestart) {
		t.Errorf("reagentc that wants a restart: %v", err)
	}
}

// A tool that never ends is ended with whoever waits for it; one that servicing does its
// work with is waited for.
func TestRunCancelled(t *testing.T) {
	h := live(t)
	script(t, h, `{"chkdsk":{"silence":"1h"},"sfc":{"silence":"1500ms"}}`)
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := h.Apply(ctx, host.Change{Kind: host.Run, Path: "chkdsk", Args: []string{"/scan"}})
	if !errors.Is(err, ctx.Err()) || time.Since(began) > 20*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began = time.Now()
	if err := h.Apply(ctx, host.Change{Kind: host.Run, Path: "sfc", Args: []string{"/scannow"}}); err != nil || time.Since(began) < time.Second {
		t.Errorf("sfc was not left to its end: %v after %v", err, time.Since(began))
	}
}

// task makes a scheduled task, as far as it is a file.
func task(t *testing.T, h *Host, name string) string {
	t.Helper()
	name = `\updoc\` + name
	p := h.places.system + `\Tasks` + name
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, utf16le("\uFEFF<Task><Settings><Enabled>true</Enabled></Settings></Task>"), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestTasks(t *testing.T) {
	h := live(t)
	script(t, h, `{}`)
	name := task(t, h, "Schedule Scan")
	off := host.Change{Kind: host.Switch, Path: host.Setting("task", name), State: "off"}
	back := inverse(t, h, off)
	apply(t, h, off, off)
	if ok, err := host.Holds(t.Context(), h, off); !ok || err != nil {
		t.Errorf("off: %v, %v", ok, err)
	}
	apply(t, h, back...)
	if now := inverse(t, h, off); !host.Same(now, back) {
		t.Errorf("%+v", now)
	}
	// The tool says that it did it, and did not.
	script(t, h, `{"schtasks":{"exit":4294967295}}`)
	var failed *ToolFailed
	if err := h.Apply(t.Context(), off); !errors.As(err, &failed) {
		t.Errorf("schtasks that fails: %v", err)
	}
	for _, none := range []string{`\updoc\none`, `\..\..\x`} {
		if _, err := h.Inverse(t.Context(), host.Change{Kind: host.Switch, Path: host.Setting("task", none), State: "off"}); !errors.Is(err, host.ErrNotExist) {
			t.Errorf("%s: %v", none, err)
		}
	}
	if _, err := h.Inverse(t.Context(), host.Change{Kind: host.Switch, Path: "weather/x", State: "on"}); !errors.Is(err, host.ErrNotRecorded) {
		t.Errorf("a setting that nobody knows: %v", err)
	}
}

func BenchmarkKey(b *testing.B) {
	h, err := Open(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := h.Key(b.Context(), `HKLM\SYSTEM\CurrentControlSet\Services\BITS`); err != nil {
			b.Fatal(err)
		}
	}
}

// Settings that WMI and NTFS have: what is not there does not exist, and what
// cannot be looked at is an error, never a state.
func TestSettings(t *testing.T) {
	h := live(t)
	for _, path := range []string{"firewall-rule/updoc-nothing", "ipv6/updoc's adapter", "mtu/updoc's adapter", "mtu6/updoc's adapter", "hidden-update/x", "txf-log/1:"} {
		state, err := h.Inverse(t.Context(), host.Change{Kind: host.Switch, Path: path, State: "off"})
		if err == nil {
			t.Errorf("%s: %+v", path, state)
		}
		if group, _, _ := strings.Cut(path, "/"); errors.Is(err, host.ErrNotRecorded) {
			t.Errorf("%s: settings of the kind %s are unknown: %v", path, group, err)
		}
		if !onWine() && !errors.Is(err, host.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if onWine() {
		t.Skip("MSFT_NetFirewallRule, MSFT_NetIPInterface, FSCTL_TXFS_QUERY_RM_INFORMATION: Wine has none")
	}
	if state, err := getContainers(t.Context(), h, h.places.drive); err != nil {
		t.Logf("transaction log: %v", err)
	} else if n, err := strconv.Atoi(state); err != nil || n < 2 {
		t.Errorf("transaction log: %q", state)
	}
}
