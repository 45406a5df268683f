package winhost

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc/mgr"

	"updoc/internal/host"
)

// TestStartup: what starts with this machine, and who made it.
func TestStartup(t *testing.T) {
	h := open(t)
	a, err := h.Ask(t.Context(), host.Question{Name: host.AskStartup})
	if err != nil {
		t.Fatal(err)
	}
	var s host.Startup
	if err := json.Unmarshal(a.JSON, &s); err != nil {
		t.Fatal(err)
	}
	kinds, signed := map[string]int{}, map[string]int{}
	for _, e := range s.Entries {
		kinds[e.Kind]++
		signed[e.Signed]++
		if e.Name == "" || e.Kind == host.StartService && e.File == "" {
			t.Errorf("%+v", e)
		}
	}
	t.Logf("%d entries %v, signatures %v, %d roles, %d filters, unseen %+v", len(s.Entries), kinds, signed, len(s.Roles), len(s.Filters), s.Unseen)
	if kinds[host.StartService] == 0 {
		t.Error("no service starts with this Windows")
	}
	if !wine(t, h) && signed[host.SignedCatalog]+signed[host.SignedInside] < 20 {
		t.Error("hardly anything of this Windows is signed")
	}
}

// TestProgram: a file of Windows, one of nobody, and none.
func TestProgram(t *testing.T) {
	h := open(t)
	s := startupSystem{drives{h.places}}
	kernel := s.Program(t.Context(), h.places.windows+`\System32\kernel32.dll`)
	if kernel.Version == "" || !strings.HasPrefix(kernel.Company, "Microsoft") {
		t.Errorf("kernel32.dll: %+v", kernel)
	}
	if !wine(t, h) && (kernel.Owner != "Microsoft Corporation" || kernel.Signer == "") {
		t.Errorf("kernel32.dll: %+v", kernel)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if own := s.Program(t.Context(), self); own.Signed == host.SignedInside || own.Signed == host.SignedCatalog || own.Signer != "" {
		t.Errorf("this test: %+v", own)
	}
	if none := s.Program(t.Context(), filepath.Join(t.TempDir(), "none.exe")); none.Signed != host.SignedMissing {
		t.Errorf("no file: %+v", none)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if p := s.Program(stopped, self); p != (host.Program{}) {
		t.Errorf("%+v", p)
	}
}

// Sizes as wintrust.h and mscat.h have them, with 64 bits.
func TestTrustSizes(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("they are others with 32 bits")
	}
	for name, sizes := range map[string][2]uintptr{
		"WINTRUST_CATALOG_INFO": {unsafe.Sizeof(catalogInfo{}), 72},
		"CATALOG_INFO":          {unsafe.Sizeof(foundCatalog{}), 524},
		"CRYPT_PROVIDER_CERT":   {unsafe.Offsetof(providerCert{}.Cert), 8},
	} {
		if sizes[0] != sizes[1] {
			t.Errorf("%s: %d, want %d", name, sizes[0], sizes[1])
		}
	}
}

// TestGuard: the service and its keys come, change and go.
func TestGuard(t *testing.T) {
	h := open(t)
	g := host.Guard{Program: `C:\ProgramData\updoc\updoc-1234.exe`, Run: "20310203-120000-4f2a"}
	err := h.Guard(t.Context(), g)
	if errors.Is(err, host.ErrDenied) {
		t.Skip("it takes an administrator")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Unguard(context.Background()) })
	g.Run, g.User = "20310203-120001-0000", "S-1-5-21-1-2-3-1001"
	if err := h.Guard(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	m, err := mgr.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Disconnect()
	s, err := m.OpenService(guardName)
	if err != nil {
		t.Fatal(err)
	}
	c, err := serviceConfig(s.Handle)
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if want := `"` + g.Program + `" ` + guardWord + " " + g.Run + " " + g.User; c.binary != want || c.start.Type != mgr.StartAutomatic {
		t.Errorf("starts %s with type %d, want %s", c.binary, c.start.Type, want)
	}
	for _, mode := range safeModes {
		k, err := registry.OpenKey(registry.LOCAL_MACHINE, safeBoot+`\`+mode+`\`+guardName, registry.QUERY_VALUE)
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		text, _, err := k.GetStringValue("")
		if err := errors.Join(err, k.Close()); err != nil || text != "Service" {
			t.Errorf("%s: %q, %v", mode, text, err)
		}
	}
	for range 2 { // that there is none is no error
		if err := h.Unguard(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := m.OpenService(guardName); err == nil {
		t.Error("the service is there still")
		_ = s.Close()
	}
	for _, mode := range safeModes {
		if k, err := registry.OpenKey(registry.LOCAL_MACHINE, safeBoot+`\`+mode+`\`+guardName, registry.QUERY_VALUE); err == nil {
			t.Errorf("%s: the key is there still", mode)
			_ = k.Close()
		}
	}
	for _, bad := range []host.Guard{{}, {Program: `\\server\x.exe`, Run: "a"}, {Program: `C:\x.exe`, Run: "a b"}, {Program: `C:\x.exe`, Run: "a", User: "S-1-5 /x"}} {
		if err := h.Guard(t.Context(), bad); !errors.Is(err, host.ErrRefused) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestServeGuard: the role is played for nobody but the service manager.
func TestServeGuard(t *testing.T) {
	never := func(context.Context, []string) int { t.Error("it ran"); return 0 }
	for _, tt := range []struct {
		args []string
		code int
		ok   bool
	}{
		{nil, 0, false},
		{[]string{"diagnose"}, 0, false},
		{[]string{guardWord}, 2, true},
		{[]string{guardWord, "a", "b"}, 2, true},
		{[]string{guardWord, "../x"}, 2, true},
		{[]string{guardWord, "a", "S-1-5-18", "more"}, 2, true},
	} {
		if code, ok := ServeGuard(t.Context(), tt.args, never); code != tt.code || ok != tt.ok {
			t.Errorf("%q: %d, %v", tt.args, code, ok)
		}
	}
}
