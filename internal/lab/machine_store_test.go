package lab

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/codes"
	"updoc/internal/host"
)

const storeSections = `-- machine/registry.reg --
Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\Connections]
"WinHttpSettings"=-
-- machine/store.json --
{
  "faults": [
    {"name": "CSI Payload Corrupt", "component": "amd64_fabrikam-paper_31bf3856ad364e35_10.0.22631.3007_none_0011223344556677", "file": "paper.dll", "needs": "3007", "in": ["image", "folder"]},
    {"name": "CSI Manifest Missing", "component": "amd64_fabrikam-pen_31bf3856ad364e35_10.0.22631.1_none_0011223344556688", "in": ["update", "image"]},
    {"name": "file", "file": "C:\\Windows\\System32\\paper.dll"}
  ],
  "images": {
    "D:\\sources\\install.wim": [
      {"index": 1, "edition": "Core", "arch": "amd64", "build": "22631.3007"},
      {"index": 6, "edition": "Professional", "arch": "amd64", "build": "22631.3007"},
      {"index": 7, "edition": "Professional", "arch": "amd64", "build": "22631.2428"}
    ]
  }
}
-- machine/files/E/Windows/WinSxS/ --
-- machine/files/E/Windows/servicing/Version/10.0.22631.3447/ --
`

// TestMachineStore: DISM and sfc find what is damaged, repair what a source has, and
// end as the real ones do; their reports are read as real ones are.
func TestMachineStore(t *testing.T) {
	m, err := machineOf(t, storeSections)
	if err != nil {
		t.Fatal(err)
	}
	run := func(tool string, args ...string) codes.HRESULT {
		t.Helper()
		err := m.Apply(t.Context(), host.Change{Kind: host.Run, Path: tool, Args: args})
		var h codes.HRESULT
		if err != nil && !errors.As(err, &h) {
			t.Fatal(err)
		}
		return h
	}
	restore := func(source string) codes.HRESULT {
		args := []string{"/Online", "/Cleanup-Image", "/RestoreHealth"}
		if source != "" {
			args = append(args, "/Source:"+source, "/LimitAccess")
		}
		return run("dism", args...)
	}
	type told struct {
		By              string
		Result          codes.HRESULT
		Found, Repaired int
		Sources         int
		Source          codes.HRESULT
	}
	last := func() told {
		t.Helper()
		a, err := m.Ask(t.Context(), host.Question{Name: host.AskStore})
		if err != nil {
			t.Fatal(err)
		}
		var s host.Store
		if err := json.Unmarshal(a.JSON, &s); err != nil || len(s.Log.Checks) == 0 {
			t.Fatalf("%s: %v", a.JSON, err)
		}
		c := s.Log.Checks[len(s.Log.Checks)-1]
		return told{c.By, c.Result, c.Found, c.Repaired, len(c.Sources), c.SourceResult}
	}
	for _, step := range []struct {
		what string
		run  func() codes.HRESULT
		want codes.HRESULT
		told told
	}{
		{"a look", func() codes.HRESULT { return run("dism", "/Online", "/Cleanup-Image", "/ScanHealth") }, 0, told{By: "dism", Found: 2}},
		{"sfc finds no good copy", func() codes.HRESULT { return run("sfc", "/scannow") }, 0, told{By: "sfc", Found: 2}},
		{"no such file", func() codes.HRESULT { return restore(`wim:D:\gone.wim:6`) }, 0x800F081F, told{"dism", 0x800F081F, 2, 0, 1, 0x8007010B}},
		{"no such number", func() codes.HRESULT { return restore(`wim:D:\sources\install.wim:9`) }, 0x800F081F, told{"dism", 0x800F081F, 2, 0, 1, 0x8007010B}},
		{"another edition", func() codes.HRESULT { return restore(`wim:D:\sources\install.wim:1`) }, 0x800F081F, told{"dism", 0x800F081F, 2, 0, 1, 0}},
		{"Windows Update has one", func() codes.HRESULT { return restore("") }, 0x800F081F, told{"dism", 0x800F081F, 2, 1, 0, 0}},
		{"an older build", func() codes.HRESULT { return restore(`wim:D:\sources\install.wim:7`) }, 0x800F081F, told{"dism", 0x800F081F, 1, 0, 1, 0}},
		{"another machine's Windows", func() codes.HRESULT { return restore(`E:\Windows`) }, 0, told{"dism", 0, 1, 1, 1, 0}},
		{"sfc again", func() codes.HRESULT { return run("sfc", "/scannow") }, 0, told{By: "sfc", Found: 1, Repaired: 1}},
		{"a last look", func() codes.HRESULT { return run("dism", "/Online", "/Cleanup-Image", "/ScanHealth") }, 0, told{By: "dism"}},
	} {
		if have := step.run(); have != step.want {
			t.Errorf("%s: %v, want %v", step.what, have, step.want)
		}
		if diff := cmp.Diff(step.told, last()); diff != "" {
			t.Errorf("%s: %s", step.what, diff)
		}
	}
	if s, _ := m.setting(setStore); s != "sound" {
		t.Errorf("the store is %s", s)
	}
}

// TestMachineImage: images are looked at by the paths of the machine.
func TestMachineImage(t *testing.T) {
	m, err := machineOf(t, storeSections)
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]string{
		`D:\`: `D:\sources\install.wim`, `d:\sources\INSTALL.wim`: `d:\sources\INSTALL.wim`, `E:\Windows`: `E:\Windows`, `E:\`: `E:\Windows`,
	} {
		a, err := m.Ask(t.Context(), host.Question{Name: host.AskImage, Args: map[string]string{"path": p}})
		var img host.Image
		if err != nil || json.Unmarshal(a.JSON, &img) != nil || !strings.EqualFold(img.Path, want) || len(img.Entries) == 0 {
			t.Errorf("%s: %s, %v", p, a.JSON, err)
		}
	}
	if _, err := m.Ask(t.Context(), host.Question{Name: host.AskImage, Args: map[string]string{"path": `D:\gone`}}); !errors.Is(err, host.ErrNotExist) {
		t.Error(err)
	}
}

// TestMachineStorePolicy: what policy and WSUS forbid is not fetched.
func TestMachineStorePolicy(t *testing.T) {
	const servicing = "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Policies\\Servicing]\n"
	for name, tt := range map[string]struct {
		reg  string
		want codes.HRESULT
	}{
		"never":               {servicing + "\"UseWindowsUpdate\"=dword:00000002\n", 0x800F0907},
		"never, but a place":  {servicing + "\"UseWindowsUpdate\"=dword:00000002\n\"LocalSourcePath\"=\"wim:D:\\\\sources\\\\install.wim:6\"\n", 0},
		"WSUS":                {"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate\\AU]\n\"UseWUServer\"=dword:00000001\n", 0x800F0906},
		"a place without use": {servicing + "\"LocalSourcePath\"=\"D:\\\\nothing\"\n", 0x800F081F},
	} {
		m, err := machineOf(t, strings.Replace(storeSections, "\"WinHttpSettings\"=-\n", "\"WinHttpSettings\"=-\n\n"+tt.reg, 1))
		if err != nil {
			t.Fatal(err)
		}
		err = m.Apply(t.Context(), host.Change{Kind: host.Run, Path: "dism", Args: []string{"/Online", "/Cleanup-Image", "/RestoreHealth"}})
		var h codes.HRESULT
		if errors.As(err, &h); h != tt.want {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}
