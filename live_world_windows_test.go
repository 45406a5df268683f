package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc/mgr"

	"updoc/internal/cli"
	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/host/hosttest"
	"updoc/internal/host/winhost"
	"updoc/internal/lab"
	"updoc/internal/winlog"
)

// TestLiveWorld takes a Windows through all of it: the suite of hosts, a diagnosis whose
// walk leads over WinHTTP to a proxy that asks who one is, the bundle, a reset, what
// takes the reset back, and the walk again once another proxy lets everybody pass. The
// registry, the service manager, the files and WinHTTP are Windows' own; the proxies and
// the update service behind them are the lab's, on sockets of this machine.
func TestLiveWorld(t *testing.T) {
	underWine(t)
	world, err := lab.Open(lab.WorldSpec{WSUS: []lab.WSUS{{Name: "wsus.fabrikam.example"}}, Proxies: []lab.Proxy{
		{Name: "proxy.fabrikam.example", Agent: "squid/5.7", Auth: []string{"Negotiate", "NTLM", "Basic"}, Realm: "Fabrikam web access"},
		{Name: "gate.fabrikam.example", Port: 3128, Agent: "squid/5.7"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { world.Close() })
	doors, err := world.Listen(netip.Prefix{})
	if err != nil {
		t.Fatal(err)
	}
	door := func(name string, port uint16) string {
		d, ok := doors.Find("tcp", name, port)
		if !ok {
			t.Fatalf("no door to %s", name)
		}
		return d.Real.String()
	}
	asking, open := door("proxy.fabrikam.example", 8080), door("gate.fabrikam.example", 3128)
	likeWindows(t)
	stateDir := t.TempDir()
	as := helpers(t.TempDir())

	t.Run("suite", func(t *testing.T) { suite(t) })

	const connections = `SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\Connections`
	setting := winlog.ProxyBlob{Mark: winlog.MarkWinHTTPNew, Flags: 3, Proxy: asking, Bypass: "<local>"}
	key := setBinary(t, connections, "WinHttpSettings", setting.Encode())
	// A WSUS is asked over plain HTTP. Of a proxy's answer to CONNECT Wine hands out
	// nothing, so that of all requests of the agent these alone can show a 407 there.
	const server = "http://wsus.fabrikam.example:8530"
	policy(t, server)
	log := filepath.Join(os.Getenv("SystemRoot"), "SoftwareDistribution", "ReportingEvents.log")
	history(t, log)
	before := tree(t, filepath.Dir(log))

	t.Run("diagnosed", func(t *testing.T) {
		code, out := updocAs(t, as, stateDir, "diagnose", "--format", "json")
		doc := readDoc(t, out)
		if code != cli.ExitProblems || len(doc.Causes) == 0 || doc.Causes[0].ID != "proxy-auth-required" {
			t.Fatalf("exit %d, %+v", code, doc.Causes)
		}
		if !slices.ContainsFunc(doc.Causes[0].Evidence, func(e evidence) bool {
			return e.For && e.Weight == "conclusive" && strings.HasPrefix(e.Source, "walk ")
		}) {
			t.Errorf("what was walked does not prove it: %+v", doc.Causes[0].Evidence)
		}
	})
	t.Run("walked", func(t *testing.T) {
		code, out := updocAs(t, as, stateDir, "trace", "--format", "json")
		r := readRoute(t, out)
		if code != cli.ExitProblems || r.Verdict != "broken" || !slices.Contains(r.codes(), "0x8024401B") {
			t.Errorf("exit %d, %s, predicted %v", code, r.Verdict, r.codes())
		}
		if !strings.Contains(r.As, "system") && !strings.Contains(strings.ToLower(r.As), "s-1-5-18") {
			t.Errorf("walked as %q", r.As)
		}
	})
	t.Run("bundled", func(t *testing.T) {
		to := filepath.Join(t.TempDir(), "bundle.zip")
		if code, out := updocAs(t, as, stateDir, "collect", "--yes", "-o", to); code != cli.ExitHealthy {
			t.Fatalf("exit %d\n%s", code, out)
		}
		told := func(args ...string) (out []string) {
			_, text := updocAs(t, as, stateDir, append([]string{"diagnose", "--no-network", "--format", "json"}, args...)...)
			for _, c := range readDoc(t, text).Causes {
				out = append(out, c.ID)
			}
			return out
		}
		if live, bundle := told(), told("--from", to); !slices.Equal(live, bundle) || len(live) == 0 {
			t.Errorf("the machine: %v\nits bundle: %v", live, bundle)
		}
	})
	t.Run("reset", func(t *testing.T) {
		if code, out := updocAs(t, as, stateDir, "reset", "--yes", "--no-network"); code == cli.ExitUsage || code == cli.ExitBroken || code == cli.ExitNotAllowed {
			t.Fatalf("exit %d\n%s", code, out)
		}
		if _, err := os.Stat(log); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the history is where it was: %v", err)
		}
		if b, _, err := key.GetBinaryValue("WinHttpSettings"); err != nil || !slices.Equal(b, setting.Encode()) {
			t.Errorf("a reset keeps the proxy, and it is %x, %v", b, err)
		}
		if s := wsus(t); s != server {
			t.Errorf("a reset keeps the policy, and the server is %q", s)
		}
		if code, out := updocAs(t, as, stateDir, "undo"); code != cli.ExitHealthy {
			t.Fatalf("undo: exit %d\n%s", code, out)
		}
		same(t, "after undo", before, tree(t, filepath.Dir(log)))
	})
	t.Run("let pass", func(t *testing.T) {
		setting.Proxy = open
		if err := key.SetBinaryValue("WinHttpSettings", setting.Encode()); err != nil {
			t.Fatal(err)
		}
		code, out := updocAs(t, as, stateDir, "trace", "--format", "json")
		r := readRoute(t, out)
		if code != cli.ExitHealthy || r.Verdict != "open" || len(r.codes()) > 0 {
			t.Errorf("exit %d, %s, predicted %v", code, r.Verdict, r.codes())
		}
		calls := map[string]bool{} // what the update server behind the proxy was asked, and answered
		for _, s := range world.Requests("wsus.fabrikam.example") {
			if s.Status == http.StatusOK && s.Action != "" {
				calls[s.Action] = true
			}
		}
		if !calls["GetConfig"] {
			t.Errorf("the update server was asked %v", calls)
		}
	})
	t.Run("errors", func(t *testing.T) { hresults(t) })
}

// helpers walks as SYSTEM by a copy of this program in a folder of the test.
func helpers(dir string) func(context.Context, string) (host.Exchanger, func(), error) {
	return func(ctx context.Context, account string) (host.Exchanger, func(), error) {
		if account != "system" {
			return as(ctx, account)
		}
		a := &winhost.Account{SID: "S-1-5-18", Dir: dir}
		return a, func() { _ = a.Close() }, nil
	}
}

// updocAs runs a command line that may walk.
func updocAs(t *testing.T, as func(context.Context, string) (host.Exchanger, func(), error), stateDir string, args ...string) (code int, out string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	began := time.Now()
	code = cli.Run(ctx, cli.Env{
		Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" },
		GOOS: "windows", Version: "test", Live: live, As: as, State: func() (string, error) { return stateDir, nil },
	}, args)
	t.Logf("updoc %s: exit %d after %v\n%s", strings.Join(args, " "), code, time.Since(began).Round(time.Millisecond), stderr.String())
	return code, stdout.String()
}

type evidence struct {
	Weight, Source, Seen string
	For                  bool
}

type diagnosis struct {
	Verdict string
	Causes  []struct {
		ID       string
		Evidence []evidence
	}
}

func readDoc(t *testing.T, out string) (d diagnosis) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return d
}

type walked struct {
	Verdict, As string
	Routes      []struct {
		ID        string
		Vital     bool
		State     string
		Predicted *struct{ Code string }
		Ways      []struct {
			Decides bool
			Hops    []struct {
				Kind, Fault string
				Status      int
			}
		}
	}
}

func readRoute(t *testing.T, out string) (w walked) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &w); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return w
}

// codes are the predictions for the requests that updating cannot do without.
func (w *walked) codes() (out []string) {
	for _, r := range w.Routes {
		if r.Vital && r.Predicted != nil && !slices.Contains(out, r.Predicted.Code) {
			out = append(out, r.Predicted.Code)
		}
	}
	return out
}

// shippedServices are those that Windows has and Wine lacks or starts otherwise.
var shippedServices = map[string]string{
	"wuauserv": `%SystemRoot%\system32\svchost.exe -k netsvcs -p`, "bits": `%SystemRoot%\system32\svchost.exe -k netsvcs -p`,
	"cryptsvc": `%SystemRoot%\system32\svchost.exe -k NetworkService -p`, "UsoSvc": `%SystemRoot%\system32\svchost.exe -k netsvcs -p`,
	"TrustedInstaller": `%SystemRoot%\servicing\TrustedInstaller.exe`,
}

// likeWindows gives the machine the services of updating, as far as they are looked at.
func likeWindows(t *testing.T) {
	t.Helper()
	m, err := mgr.Connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Disconnect() })
	for name, path := range shippedServices {
		s, err := m.OpenService(name)
		if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
			if s, err = m.CreateService(name, "", mgr.Config{StartType: mgr.StartManual}); err == nil {
				t.Cleanup(func() { _ = s.Delete() })
			}
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Cleanup(func() { _ = s.Close() })
		key, err := registry.OpenKey(registry.LOCAL_MACHINE, `SYSTEM\CurrentControlSet\Services\`+name, registry.QUERY_VALUE|registry.SET_VALUE)
		if err != nil {
			t.Fatal(err)
		}
		was, _, err := key.GetStringValue("ImagePath")
		if err == nil {
			t.Cleanup(func() { _ = key.SetExpandStringValue("ImagePath", was) })
		}
		if err := setPath(s, path); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if was != "" {
			t.Cleanup(func() { _ = setPath(s, was) })
		}
	}
}

func setPath(s *mgr.Service, path string) error {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	return windows.ChangeServiceConfig(s.Handle, windows.SERVICE_NO_CHANGE, windows.SERVICE_NO_CHANGE, windows.SERVICE_NO_CHANGE, p, nil, nil, nil, nil, nil, nil)
}

// setBinary sets a value of the machine for the time of a test.
func setBinary(t *testing.T, path, name string, data []byte) registry.Key {
	t.Helper()
	key, _, err := registry.CreateKey(registry.LOCAL_MACHINE, path, registry.ALL_ACCESS)
	if err != nil {
		t.Fatal(err)
	}
	old, _, oldErr := key.GetBinaryValue(name)
	if err := key.SetBinaryValue(name, data); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if oldErr == nil {
			_ = key.SetBinaryValue(name, old)
		} else {
			_ = key.DeleteValue(name)
		}
		_ = key.Close()
	})
	return key
}

const updatePolicy = `SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`

func wsus(t *testing.T) string {
	t.Helper()
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, updatePolicy, registry.QUERY_VALUE)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	s, _, err := key.GetStringValue("WUServer")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// policy names a WSUS for the time of a test.
func policy(t *testing.T, server string) {
	t.Helper()
	const path = updatePolicy
	au, existed, err := registry.CreateKey(registry.LOCAL_MACHINE, path+`\AU`, registry.ALL_ACCESS)
	if err != nil {
		t.Fatal(err)
	}
	defer au.Close()
	if existed {
		t.Fatal("there is an update policy on this machine")
	}
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.ALL_ACCESS)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	// Somebody manages the machine, or the policy would be a leftover.
	const enrolments, id = `SOFTWARE\Microsoft\Enrollments`, `{7C1F0B6E-3D1B-4B7E-9C59-2A6B5D0E8F11}`
	enrolled, _, err := registry.CreateKey(registry.LOCAL_MACHINE, enrolments+`\`+id, registry.ALL_ACCESS)
	if err != nil {
		t.Fatal(err)
	}
	defer enrolled.Close()
	if err := errors.Join(enrolled.SetStringValue("ProviderID", "MS DM Server"), enrolled.SetDWordValue("EnrollmentState", 1)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = registry.DeleteKey(registry.LOCAL_MACHINE, enrolments+`\`+id)
		_ = registry.DeleteKey(registry.LOCAL_MACHINE, path+`\AU`)
		_ = registry.DeleteKey(registry.LOCAL_MACHINE, path)
	})
	if err := errors.Join(key.SetStringValue("WUServer", server), key.SetStringValue("WUStatusServer", server), au.SetDWordValue("UseWUServer", 1)); err != nil {
		t.Fatal(err)
	}
}

// history is what the update agent wrote of a scan that failed at the proxy.
func history(t *testing.T, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(name)) })
	line := "{1B5C7F60-3A0E-4D62-9C1A-5F1A2B3C4D5E}\t" + time.Now().Add(-time.Hour).Format("2006-01-02 15:04:05:000-0700") + "\t1\t148 [AGENT_DETECTION_FAILED]\t101\t" +
		"{00000000-0000-0000-0000-000000000000}\t0\t8024401b\tUpdateOrchestrator\tFailure\tSoftware Synchronization\t" +
		"Windows Update Client failed to detect with error 0x8024401b.\r\n"
	if err := os.WriteFile(name, []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
}

// suite holds that the machine is what every host is.
func suite(t *testing.T) {
	h, err := winhost.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	hosttest.Suite(t, h, hosttest.Fixture{
		Source: "live", Files: map[string]winlog.Kind{"hosts": winlog.Hosts},
		Subkeys:    []hosttest.Value{{Key: `HKLM\SYSTEM\CurrentControlSet\Services`, Name: "cryptsvc"}},
		NoKeys:     []string{`HKLM\SOFTWARE\updoc-nothing\x`},
		NoServices: []string{"updoc-nothing"}, UnaskedAnswers: []string{"nothing"},
	})
	hosttest.ChangeSuite(t, h, hosttest.Changes{Key: `HKLM\SOFTWARE\Microsoft`, Folder: t.TempDir(), NoService: "updoc-nothing"})
}

// hresults: what Windows said is found in an error however deep it lies.
func hresults(t *testing.T) {
	h, err := winhost.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for what, tt := range map[string]struct {
		do   func() error
		want codes.HRESULT
		is   error
	}{
		"a service that is not there": {func() error { _, err := h.Service(t.Context(), "updoc-nothing"); return err }, 0x80070424, host.ErrNotExist},
		"a key that is not there":     {func() error { _, err := h.Key(t.Context(), `HKLM\SOFTWARE\updoc-nothing`); return err }, 0x80070002, host.ErrNotExist},
		"starting what is not there": {func() error {
			return h.Apply(t.Context(), host.Change{Kind: host.ServiceRun, Path: "updoc-nothing"})
		}, 0x80070424, host.ErrNotExist},
		"a scan where there is no agent": {func() error {
			out, err := h.Try(t.Context(), host.Attempt{Stage: "scan"})
			if err == nil {
				return fmt.Errorf("it ended: %w", out.Result)
			}
			return err
		}, 0x80004001, nil}, // E_NOTIMPL, which is Wine's answer
	} {
		err := tt.do()
		var got codes.HRESULT
		if !errors.As(fmt.Errorf("what a caller adds: %w", err), &got) || got != tt.want {
			t.Errorf("%s: %v: %v, want %v", what, err, got, tt.want)
		}
		if tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("%s: %v is no %v", what, err, tt.is)
		}
	}
}
