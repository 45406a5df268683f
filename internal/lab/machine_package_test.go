package lab

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// machineWith is a healthy machine with settings of its own, and a package on it.
func machineWith(t *testing.T, settings map[string]string) *Machine {
	t.Helper()
	s, err := Load("treat-store-damaged")
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMachine(t.TempDir(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if err := m.change(func(s *state) error {
		s.Settings[setStore] = "sound"
		for k, v := range settings {
			s.Settings[k] = v
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return m
}

func put(t *testing.T, m *Machine, name string, b []byte) string {
	t.Helper()
	path := `C:\ProgramData\updoc\packages\x\` + name
	if err := os.MkdirAll(filepath.Dir(m.Place(path)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.Place(path), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wusa and DISM end on a simulated machine as they do on Windows.
func TestAddPackage(t *testing.T) {
	lcu := UpdatePackage{KB: "KB5999123", Version: "22631.9374.1.7", Arch: "amd64", Title: "x", Parents: []string{"10.0.22621.1"}}
	other := lcu
	other.Parents = []string{"10.0.19041.1"}
	arm := lcu
	arm.Arch = "arm64"
	old := lcu
	old.Version = "22631.1.1.7"
	feature := UpdatePackage{KB: "KB5999125", Name: "Package_for_KB5999125", Version: "10.0.1.0", Arch: "amd64", Title: "x"}
	stack := UpdatePackage{KB: "KB5999124", Name: "Package_for_ServicingStack_9374", Version: "22631.9374.1.0", Arch: "amd64", Title: "x"}
	p, err := NewPublisher("Microsoft Corporation", "Microsoft Windows", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		u        UpdatePackage
		settings map[string]string
		wusa     error
		dism     error
	}{
		{"an update", lcu, nil, host.ErrRestart, host.ErrRestart},
		{"a small one", feature, nil, nil, nil},
		{"a servicing stack", stack, nil, nil, nil},
		{"of another release", other, nil, eNotForThis, eNotApplicable},
		{"of another architecture", arm, nil, eNotForThis, eNotApplicable},
		{"an older one", old, nil, eNotForThis, eNotApplicable},
		{"while another one is at work", lcu, map[string]string{setBusy: "yes"}, eInstallerBusy, eInstallerBusy},
		{"without its servicing stack", lcu, map[string]string{setNeedsStack + "kb5999123": "9374"}, eNewerStack, eNewerStack},
		{"a damaged store", lcu, map[string]string{setStore: "damaged"}, eStoreCorrupt, eStoreCorrupt},
		{"as the scenario has it", lcu, map[string]string{setResults + "kb5999123": "0x800F0922"}, codes.HRESULT(0x800F0922), codes.HRESULT(0x800F0922)},
	} {
		for tool, want := range map[string]error{"wusa": c.wusa, "dism": c.dism} {
			m := machineWith(t, c.settings)
			b, err := c.u.MSU(p)
			if err != nil {
				t.Fatal(err)
			}
			err = add(t.Context(), m, tool, put(t, m, "a.msu", b))
			if !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("%s, %s: %v, want %v", c.name, tool, err, want)
			}
		}
	}
}

func add(ctx context.Context, m *Machine, tool, path string) error {
	args := []string{path, "/quiet", "/norestart"}
	if tool == "dism" {
		args = []string{"/Online", "/Add-Package", "/PackagePath:" + path, "/NoRestart"}
	}
	return m.Apply(ctx, host.Change{Kind: host.Run, Path: tool, Args: args})
}

// A restart finishes what waits for it, and the machine shows it: state and build.
func TestPackageAfterRestart(t *testing.T) {
	m := machineWith(t, map[string]string{setNeedsStack + "kb5999123": "9374"})
	lcu := UpdatePackage{KB: "KB5999123", Version: "22631.9374.1.7", Arch: "amd64", Title: "x"}
	stack := UpdatePackage{KB: "KB5999124", Name: "Package_for_ServicingStack_9374", Version: "22631.9374.1.0", Arch: "amd64", Title: "x"}
	bytesOf := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	update, first := put(t, m, "a.msu", bytesOf(lcu.MSU(nil))), put(t, m, "b.cab", bytesOf(stack.Cabinet(nil)))
	if err := add(t.Context(), m, "wusa", update); !errors.Is(err, eNewerStack) {
		t.Fatal(err)
	}
	if err := add(t.Context(), m, "dism", first); err != nil {
		t.Fatal(err)
	}
	if err := add(t.Context(), m, "wusa", update); !errors.Is(err, host.ErrRestart) {
		t.Fatal(err)
	}
	state := func() uint32 {
		k, err := m.Key(t.Context(), packagesKey+lcu.Identity())
		if err != nil {
			t.Fatal(err)
		}
		v, _ := k.Value("CurrentState")
		n, _ := v.DWord()
		return n
	}
	if state() != uint32(host.PackageInstallPending) {
		t.Errorf("state %#x", state())
	}
	if err := m.Restart(); err != nil {
		t.Fatal(err)
	}
	info, err := m.Machine(t.Context())
	if err != nil || state() != uint32(host.PackageInstalled) || info.Build != "22631.9374" {
		t.Errorf("after the restart: state %#x, build %s, %v", state(), info.Build, err)
	}
	if err := add(t.Context(), m, "wusa", update); !errors.Is(err, eAlreadyThere) {
		t.Errorf("again: %v", err)
	}
}

func TestReadPackageHostile(t *testing.T) {
	for _, b := range [][]byte{nil, []byte("MSCF"), Cabinet(), Cabinet(Packed{"a.cab", Cabinet(Packed{"b.cab", Cabinet(Packed{"c.cab", nil})})})} {
		if _, ok := readPackage(b, 0); ok {
			t.Errorf("%.20q is a package", b)
		}
	}
}
