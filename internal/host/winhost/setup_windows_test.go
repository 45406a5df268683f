package winhost

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"updoc/internal/authenticode"
	"updoc/internal/host"
	"updoc/internal/lab"
)

// TestSetupMustBeSigned: what calls itself setup.exe and is not Microsoft's is not
// started, and neither is one whose helpers are not.
func TestSetupMustBeSigned(t *testing.T) {
	h := open(t)
	media := t.TempDir()
	run := host.Change{Kind: host.Run, Path: host.ToolSetup, Args: []string{media, "/auto", "upgrade", "/quiet", "/compat", "scanonly", "/dynamicupdate", "enable"}}
	if err := h.Apply(t.Context(), run); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without setup.exe: %v", err)
	}
	p, err := lab.NewPublisher("Fabrikam", "Fabrikam Setup", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	program := lab.Program64([]byte("setup"))
	signed, err := p.Program(program)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file []byte
		want error
	}{"unsigned": {program, authenticode.ErrUnsigned}, "signed by somebody": {signed, authenticode.ErrRoot}, "no program": {[]byte("MZ"), authenticode.ErrFormat}} {
		if err := os.WriteFile(filepath.Join(media, "setup.exe"), c.file, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := h.Apply(t.Context(), run); !errors.Is(err, c.want) && !errors.Is(err, authenticode.ErrMalformed) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestSetupState(t *testing.T) {
	h := open(t)
	a, err := h.Ask(t.Context(), host.Question{Name: host.AskSetup})
	if err != nil {
		t.Fatal(err)
	}
	var s host.SetupState
	if err := json.Unmarshal(a.JSON, &s); err != nil || s.Build == "" || s.Running {
		t.Errorf("%s, %v", a.JSON, err)
	}
}

func TestImageSetting(t *testing.T) {
	h := open(t)
	none := host.Change{Kind: host.Switch, Path: host.ImageSetting(`C:\no\such.iso`), State: "on"}
	if _, err := h.Inverse(t.Context(), none); !errors.Is(err, host.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if isWine() {
		t.Skip("Wine has no virtual disks: mounting an ISO file is not exercised here")
	}
}
