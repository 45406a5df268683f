package winhost_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"updoc/internal/cause"
	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/host/winhost"
	"updoc/internal/lab"
)

// From the disk and the registry of a live machine to the cause, in the time that a
// person waits for it.
func TestDiagnoseLive(t *testing.T) {
	if windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() != nil {
		t.Skip("writes logs to the Windows folder: only where it is thrown away afterwards")
	}
	windir, err := windows.GetSystemWindowsDirectory()
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(windir, "SoftwareDistribution", "ReportingEvents.log")
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		t.Fatal(err)
	}
	const line = "{11111111-2222-3333-4444-555555555555}\t2031-02-03 04:05:06:789+0100\t1\t148 [AGENT_DETECTION_FAILED]\t101\t" +
		"{00000000-0000-0000-0000-000000000000}\t0\t80070422\tUpdateOrchestrator\tFailure\tSoftware Synchronization\t" +
		"Windows Update Client failed to detect with error 0x80070422.\r\n"
	if err := os.WriteFile(log, []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	// What was written before is packed: newer Windows keep months of it.
	const packed = "2031-01-03 04:05:06, Error                 CBS    Failed to perform operation.  [HRESULT = 0x800f0831 - CBS_E_STORE_CORRUPTION]\r\n"
	archive := filepath.Join(windir, "Logs", "CBS", "CbsPersist_20310103040506.cab")
	if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(archive, lab.Cabinet(lab.Packed{Name: "CbsPersist_20310103040506.log", Data: []byte(packed)}), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(archive) })
	h, err := winhost.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()

	began := time.Now()
	f := facts.Collect(t.Context(), h, facts.Options{})
	d := cause.Diagnose(f)
	took := time.Since(began)

	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	t.Logf("%v, %d MiB from the system, %d sources, %d gaps", took.Round(time.Millisecond), mem.Sys>>20, len(f.Sources), len(f.Gaps))
	if f.Machine.Source != "live" || f.Machine.OS == "" {
		t.Errorf("machine %+v", f.Machine)
	}
	if len(f.Failures) == 0 || f.Failures[0].Code != codes.HRESULT(0x80070422) {
		t.Fatalf("failures %+v", f.Failures)
	}
	if seen, ok := f.Code(0x800F0831); !ok || !strings.HasPrefix(seen.Source, "CbsPersist_20310103040506.log") {
		t.Errorf("what is packed was not read: %v, gaps %v", seen, f.Gaps)
	}
	if d.Outcome != cause.Problems || len(d.Findings) == 0 {
		t.Fatalf("outcome %v, %d findings", d.Outcome, len(d.Findings))
	}
	t.Logf("first cause: %s", d.Findings[0].ID)
	if took > 20*time.Second { // 3 s on a machine that does nothing else
		t.Errorf("took %v", took)
	}
	if mem.Sys > 160<<20 {
		t.Errorf("took %d MiB", mem.Sys>>20)
	}
}
