package lab_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/lab"
)

// runSetup starts setup of media and returns what it ends with.
func runSetup(t *testing.T, m *lab.Machine, args ...string) codes.HRESULT {
	t.Helper()
	err := m.Apply(t.Context(), host.Change{Kind: host.Run, Path: host.ToolSetup, Args: args})
	var h codes.HRESULT
	if err != nil && !errors.As(err, &h) {
		t.Fatal(err)
	}
	return h
}

var (
	lookOnly = []string{"/auto", "upgrade", "/quiet", "/compat", "scanonly", "/dynamicupdate", "enable", "/eula", "accept"}
	install  = []string{"/auto", "upgrade", "/quiet", "/noreboot", "/dynamicupdate", "enable", "/eula", "accept", "/showoobe", "none"}
)

// TestMachineSetup: setup ends as the state of the machine implies, and what it writes
// says so.
func TestMachineSetup(t *testing.T) {
	for _, c := range []struct {
		scenario, media string
		look, run       codes.HRESULT
		build           string // after the restart
		rolled          bool
		log             string // that its logs hold
	}{
		{"upgrade-repairs-store", `C:\Media\windows.iso`, 0, 0, "22631.2861", false, "Successfully processed execution phase Post OOBE"},
		{"upgrade-program-blocks", `C:\Media`, 0xC1900208, 0xC1900208, "22631.3371", false, "Found Application Block for Fabrikam Shield 4"},
		{"upgrade-driver-crashes", `C:\Media`, 0, 0, "22631.3371", true, "fabraid.sys"},
		{"upgrade-profile-twice", `C:\Media`, 0, 0x80070002, "22631.3371", false, "Duplicate user profile"},
		{"upgrade-media-wrong", `C:\Media\home`, 0xC1900204, 0xC1900204, "22631.3371", false, "MigChoice"},
		{"upgrade-media-wrong", `C:\Media\german.iso`, 0xC1900204, 0xC1900204, "22631.3371", false, "MismatchedLanguage"},
		{"upgrade-not-now", `C:\Media`, 0xC190020E, 0xC190020E, "22631.3371", false, "SystemDriveDiskSpace"},
	} {
		t.Run(c.scenario+c.media[len(`C:\Media`):], func(t *testing.T) {
			_, m := newMachine(t, c.scenario)
			if strings.HasSuffix(c.media, ".iso") {
				if h := runSetup(t, m, append([]string{c.media}, lookOnly...)...); h != 0x80070003 {
					t.Errorf("before it is mounted: %v", h)
				}
				mount := host.Change{Kind: host.Switch, Path: host.ImageSetting(c.media), State: "on"}
				if err := m.Apply(t.Context(), mount); err != nil {
					t.Fatal(err)
				}
			}
			if h := runSetup(t, m, append([]string{c.media}, lookOnly...)...); h != c.look {
				t.Errorf("a look: %v, want %v", h, c.look)
			}
			if h := runSetup(t, m, append([]string{c.media}, install...)...); h != c.run {
				t.Errorf("a run: %v, want %v", h, c.run)
			}
			if err := m.Restart(); err != nil {
				t.Fatal(err)
			}
			machine, err := m.Machine(t.Context())
			if err != nil || machine.Build != c.build {
				t.Errorf("build %s, %v; want %s", machine.Build, err, c.build)
			}
			a, err := m.Ask(t.Context(), host.Question{Name: host.AskSetup})
			if err != nil || strings.Contains(string(a.JSON), `"rolledBack":true`) != c.rolled {
				t.Errorf("%s, %v", a.JSON, err)
			}
			if text := setupLogs(t, m); !strings.Contains(text, c.log) {
				t.Errorf("no %q in\n%s", c.log, text)
			}
		})
	}
}

// setupLogs is what setup wrote.
func setupLogs(t *testing.T, m *lab.Machine) string {
	t.Helper()
	var b strings.Builder
	files, err := m.Files(t.Context(), "setup*.log")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		r, err := m.Open(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		var buf [1 << 16]byte
		n, _ := r.Read(buf[:])
		b.Write(buf[:n])
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	return b.String()
}

func TestUpgradeScenarios(t *testing.T) {
	names := lab.UpgradeNames()
	if len(names) < 6 {
		t.Errorf("%d scenarios", len(names))
	}
	for _, name := range names {
		if slices.Contains(lab.Names(), name) {
			t.Error(fmt.Errorf("%s counts as evidence", name))
		}
	}
}
