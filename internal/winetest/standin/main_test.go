package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"updoc/internal/winlog"
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

// TestStoreReports: what dism and sfc leave in CBS.log is read as what the real ones do.
func TestStoreReports(t *testing.T) {
	const torn = "CSI Payload Corrupt\tamd64_fabrikam-paper_31bf3856ad364e35_10.0.18362.1_none_0011223344556677\\paper.dll"
	for name, tt := range map[string]struct {
		tool            string
		script          script
		args            []string
		by              string
		found, repaired int
		result          uint32
	}{
		"a look":              {"dism", script{Faults: []string{torn}}, []string{"/online", "/cleanup-image", "/scanhealth"}, "dism", 1, 0, 0},
		"a repair":            {"dism", script{Faults: []string{torn}}, []string{"/online", "/cleanup-image", "/restorehealth"}, "dism", 1, 1, 0},
		"a repair that fails": {"dism", script{Faults: []string{torn}, Exit: 0x800F081F}, []string{"/online", "/cleanup-image", "/restorehealth"}, "dism", 1, 0, 0x800F081F},
		"sfc":                 {"sfc", script{Files: []string{`C:\Windows\System32\paper.dll`}}, []string{"/scannow"}, "sfc", 1, 1, 0},
		"sfc finds no copy":   {"sfc", script{Files: []string{`C:\Windows\System32\paper.dll`}, Exit: 1}, []string{"/scannow"}, "sfc", 1, 0, 0},
	} {
		_, _, windows := start(t, tt.tool, tt.script, tt.args...)
		f, err := os.Open(filepath.Join(windows, "Logs", "CBS", "CBS.log"))
		if err != nil {
			t.Fatal(err)
		}
		var r winlog.StoreReader
		_, err = winlog.Scan(t.Context(), winlog.CBS, f, winlog.Options{}, func(rec *winlog.Record) error {
			r.Record(rec)
			return nil
		})
		f.Close()
		checks := r.Log().Checks
		if err != nil || len(checks) != 1 {
			t.Fatalf("%s: %+v, %v", name, checks, err)
		}
		if c := checks[0]; c.By != tt.by || c.Found != tt.found || c.Repaired != tt.repaired || uint32(c.Result) != tt.result || !c.Whole {
			t.Errorf("%s: %+v", name, c)
		}
	}
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
