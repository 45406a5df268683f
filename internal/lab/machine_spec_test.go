package lab

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/winlog"
)

// machineOf unpacks a machine of a healthy world.
func machineOf(t *testing.T, sections string) (*Machine, error) {
	t.Helper()
	files := txtar.Parse([]byte(sections)).Files
	m, err := NewMachine(t.TempDir(), &Scenario{Name: "test", machine: files})
	if err == nil {
		t.Cleanup(func() { _ = m.Close() })
	}
	return m, err
}

// TestMachineSections: a section that nobody knows, or that makes no sense, would let
// a scenario pass for the wrong reason.
func TestMachineSections(t *testing.T) {
	for name, bad := range map[string]string{
		"unknown":          "-- machine/registery.reg --\n",
		"no key":           "-- machine/registry.reg --\nnothing\n",
		"services":         "-- machine/services.json --\n[]\n",
		"a service":        "-- machine/services.json --\n{\"wuauserv\": {\"start\": \"off\"}}\n",
		"settings":         "-- machine/settings.json --\n{\"a\": 1}\n",
		"clock":            "-- machine/clock --\na year\n",
		"out of the drive": "-- machine/files/C/../../x --\nx\n",
		"no drive":         "-- machine/files/Windows/x --\nx\n",
		"cache":            "-- machine/cache.json --\n{\"x\": \"here\"}\n",
	} {
		if _, err := machineOf(t, bad); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	s, err := Load("proxy-auth-required")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewMachine(t.TempDir(), s); !errors.Is(err, ErrNoMachine) {
		t.Errorf("evidence is no machine: %v", err)
	}
}

// TestHealthyMachine: on a machine of no scenario everything works, and the logs say so.
func TestHealthyMachine(t *testing.T) {
	m, err := machineOf(t, "-- machine/registry.reg --\nWindows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\\Connections]\n\"WinHttpSettings\"=-\n")
	if err != nil {
		t.Fatal(err)
	}
	var first host.Outcome
	for _, stage := range []string{"scan", "download", "install"} {
		a := host.Attempt{Stage: stage}
		if len(first.Updates) > 0 {
			a.Update = first.Updates[0].ID
		}
		out, err := m.Try(t.Context(), a)
		if err != nil || out.Result != 0 {
			t.Fatalf("%s: %+v, %v", stage, out, err)
		}
		if stage == "scan" {
			if first = out; len(out.Updates) != 3 {
				t.Fatalf("%d updates", len(out.Updates))
			}
		}
	}
	if out, err := m.Try(t.Context(), host.Attempt{Stage: "scan"}); err != nil || len(out.Updates) != 2 {
		t.Errorf("after an installation %d updates are offered, want 2; %v", len(out.Updates), err)
	}
	if out, err := m.Try(t.Context(), host.Attempt{Stage: "install", Update: first.Updates[0].ID}); err != nil || out.Result != eAlreadyThere {
		t.Errorf("installed again: %+v, %v", out, err)
	}
	if _, err := m.Try(t.Context(), host.Attempt{Stage: "dance"}); err == nil {
		t.Error("no such stage, and it was tried")
	}
	log, err := os.ReadFile(m.place(agentLog))
	if err != nil || strings.Contains(string(log), "*FAILED*") || !strings.Contains(string(log), "Installing updates") {
		t.Errorf("%v\n%s", err, log)
	}
}

// TestMachineInUse: what a service has open cannot be renamed, and the error says so
// in Windows' own number.
func TestMachineInUse(t *testing.T) {
	m, err := machineOf(t, "-- machine/clock --\n0s\n")
	if err != nil {
		t.Fatal(err)
	}
	c := host.Change{Kind: host.Move, Path: `C:\Windows\System32\catroot2`, To: `C:\Windows\System32\catroot2.old`}
	var h codes.HRESULT
	if err := m.Apply(t.Context(), c); !errors.As(err, &h) || h != eSharing {
		t.Fatalf("renamed although Cryptographic Services has it open: %v", err)
	}
	for _, c := range []host.Change{{Kind: host.ServiceStop, Path: "cryptsvc"}, c, {Kind: host.ServiceRun, Path: "cryptsvc"}} {
		if err := m.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if !m.exists(catalogues) || !m.sound(catalogues) {
		t.Error("the service made no new store")
	}
	disabled := host.Change{Kind: host.ServiceStart, Path: "BITS", Start: &host.Start{Type: winlog.ServiceDisabled}}
	if err := m.Apply(t.Context(), disabled); err != nil {
		t.Fatal(err)
	}
	if err := m.Apply(t.Context(), host.Change{Kind: host.ServiceRun, Path: "BITS"}); !errors.As(err, &h) || h != eServiceDisabled {
		t.Errorf("a disabled service was started: %v", err)
	}
}

func TestMachineLetterCase(t *testing.T) {
	m, err := machineOf(t, "-- machine/clock --\n0s\n")
	if err != nil {
		t.Fatal(err)
	}
	if !m.exists(`c:\windows\SYSTEM32\Drivers\ETC\HOSTS`) {
		t.Error("Windows does not care about letter case")
	}
	if err := m.Apply(t.Context(), host.Change{Kind: host.Write, Path: `c:\WINDOWS\system32\drivers\etc\HOSTS`, Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	entries, err := fs.ReadDir(os.DirFS(m.place(`C:\Windows\System32\drivers\etc`)), ".")
	if err != nil || len(entries) != 1 || entries[0].Name() != "hosts" {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestProxyChoice(t *testing.T) {
	for _, c := range []struct {
		list, bypass, url, want string
		ok                      bool
	}{
		{"", "", "http://a.example/", "", true},
		{"p.example:8080", "", "http://a.example/", "p.example:8080", true},
		{"http://p.example:8080/", "", "http://a.example/", "", false},
		{"p.example", "", "http://a.example/", "p.example:80", true},
		{"http=p.example:1;https=q.example:2", "", "https://a.example/", "q.example:2", true},
		{"http=p.example:1", "", "https://a.example/", "", true},
		{"p.example:8080", "*.example", "http://a.example/", "", true},
		{"p.example:8080", "<local>;b.example", "http://intranet/", "", true},
		{"p.example:8080", "<local>;b.example", "http://a.example/", "p.example:8080", true},
		{"p.example:99999", "", "http://a.example/", "", false},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		via, ok := proxySetting{list: c.list, bypass: c.bypass}.choose(u)
		got := ""
		if via != nil {
			got = via.Host
		}
		if got != c.want || ok != c.ok {
			t.Errorf("%q bypass %q for %s: %q, %v; want %q, %v", c.list, c.bypass, c.url, got, ok, c.want, c.ok)
		}
	}
}

func TestMayStart(t *testing.T) {
	for sddl, want := range map[string]bool{
		"":                              true,
		defaultSDDL:                     true,
		"D:(A;;GA;;;SY)":                true,
		"D:(A;;CCLCSWLOCRRC;;;SY)":      false,
		"D:(A;;GA;;;BA)":                false,
		"D:(D;;RP;;;SY)(A;;GA;;;SY)":    false,
		"D:(A;;GA;;;BA":                 false,
		"O:SYG:SYD:(A;;LCRP;;;SY)S:(x)": true,
	} {
		if got := mayStart(sddl); got != want {
			t.Errorf("%s: %v, want %v", sddl, got, want)
		}
	}
}
