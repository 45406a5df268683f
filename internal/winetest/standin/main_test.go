package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// start runs a tool in a Windows folder of its own.
func start(t *testing.T, name string, s script, args ...string) (code uint32, out []byte, windows string) {
	t.Helper()
	windows = t.TempDir()
	var b bytes.Buffer
	tl := tools()[name]
	r := &runner{script: s, out: &b, system: filepath.Join(windows, "System32"), args: args, wide: tl.wide}
	return tl.run(r), b.Bytes(), windows
}

func TestTools(t *testing.T) {
	t.Run("sfc prints UTF-16 without a mark", func(t *testing.T) {
		code, out, windows := start(t, "sfc", script{}, "/scannow")
		if code != 0 || !bytes.Contains(out, utf16le("\rChecked 50%.")) || out[0] != '\r' || out[1] != 0 {
			t.Errorf("%d, %q", code, out)
		}
		if log, err := os.ReadFile(filepath.Join(windows, "Logs", "CBS", "CBS.log")); err != nil || !strings.Contains(string(log), "[SR] Verify complete") {
			t.Errorf("CBS.log: %q, %v", log, err)
		}
	})
	t.Run("dism fails with an HRESULT and logs it", func(t *testing.T) {
		code, out, windows := start(t, "dism", script{Exit: 0x800F081F}, "/online", "/cleanup-image", "/restorehealth")
		if code != 0x800F081F || !strings.Contains(string(out), "62.3%") || strings.Contains(string(out), "100.0%") {
			t.Errorf("%#x, %q", code, out)
		}
		if log, err := os.ReadFile(filepath.Join(windows, "Logs", "DISM", "dism.log")); err != nil || !strings.Contains(string(log), "hr:0x800f081f") {
			t.Errorf("dism.log: %q, %v", log, err)
		}
	})
	t.Run("dism knows wrong usage", func(t *testing.T) {
		if code, _, _ := start(t, "dism", script{}, "/restorehealth"); code != 87 {
			t.Errorf("%d", code)
		}
	})
	t.Run("silence", func(t *testing.T) {
		began := time.Now()
		if start(t, "usoclient", script{Silence: "30ms"}, "StartScan"); time.Since(began) < 30*time.Millisecond {
			t.Error("it was not silent for long enough")
		}
	})
	t.Run("schtasks edits the task", func(t *testing.T) {
		system := t.TempDir()
		p := filepath.Join(system, "Tasks", "Fabrikam")
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, utf16le("<Settings><Enabled>true</Enabled></Settings>"), 0o600); err != nil {
			t.Fatal(err)
		}
		r := &runner{out: &bytes.Buffer{}, system: system, args: []string{"/Change", "/TN", `\Fabrikam`, "/DISABLE"}}
		code := schtasks(r)
		if b, err := os.ReadFile(p); code != 0 || !bytes.Contains(b, utf16le("<Enabled>false</Enabled>")) {
			t.Errorf("%d, %q, %v", code, b, err)
		}
		r.args[2] = `\No such task`
		if code := schtasks(r); code != 1 {
			t.Errorf("no such task: %d", code)
		}
	})
}
