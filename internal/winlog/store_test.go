package winlog

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// readStore reads a log as CBS.log.
func readStore(t testing.TB, log string, opt Options) StoreLog {
	t.Helper()
	var r StoreReader
	if _, err := Scan(context.Background(), CBS, strings.NewReader(log), opt, func(rec *Record) error {
		r.Record(rec)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return r.Log()
}

// line writes a line of CBS.log.
func line(at, component, format string, args ...any) string {
	return fmt.Sprintf("2031-02-03 %s, Info                  %-6s %s\r\n", at, component, fmt.Sprintf(format, args...))
}

const (
	labPayload  = `amd64_fabrikam-windows-paper_31bf3856ad364e35_10.0.26100.1742_none_00112233445566aa`
	labManifest = `wow64_fabrikam-windows-under_score_31bf3856ad364e35_10.0.26100.1_none_00112233445566bb`
	labPackage  = `Package_for_KB5099001~31bf3856ad364e35~amd64~~26100.1742.1.9`
)

// restoreReport is what RestoreHealth writes: since Windows 10 every line has its
// head, before that the report has none.
func restoreReport(headed bool, operation, result string, found, repaired int, faults ...string) string {
	var b strings.Builder
	add := func(s string) {
		if headed {
			b.WriteString(line("04:10:00", "CBS", "%s", s))
		} else {
			b.WriteString(s + "\r\n")
		}
	}
	b.WriteString(line("04:05:06", "CBS", "Exec: Session processing started.  Client: Manual, Session(DISM Package Manager Provider Store Corruption Detect/Repair): 31100001_7"))
	if !headed {
		b.WriteString(line("04:10:00", "CBS", ""))
	}
	for _, s := range append(append([]string{"=================================", "Checking System Update Readiness.", ""}, faults...),
		"", "Summary:", "Operation: "+operation+" ", "Operation result: "+result, "Last Successful Step: Entire operation completes.",
		fmt.Sprintf("Total Detected Corruption:\t%d", found), "\tCBS Manifest Corruption:\t0", fmt.Sprintf("\tCSI Payload Corruption:\t%d", found),
		fmt.Sprintf("Total Repaired Corruption:\t%d", repaired), "\tCSI Store Metadata refreshed:\tTrue", "", "Total Operation Time: 294 seconds.") {
		add(s)
	}
	doing := "Repairing"
	if strings.HasPrefix(operation, "Detect only") {
		doing = "Detecting"
	}
	code := "0x00000000"
	if result != "0x0" {
		code = result
	}
	b.WriteString(line("04:10:01", "CBS", "Exec: Processing complete, session(Corruption %s): 31100001_7 [HRESULT = %s - X]", doing, code))
	return b.String()
}

func at(clock string) time.Time {
	t, err := time.Parse(time.DateTime, "2031-02-03 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

func TestStoreReader(t *testing.T) {
	payload := StoreFault{Kind: FaultPayload, Name: "CSI Payload Corrupt", Component: labPayload, Version: "10.0.26100.1742", File: `en-US\paper size.dll.mui`}
	manifest := StoreFault{Kind: FaultManifest, Name: "CSI Manifest Missing", Component: labManifest, Version: "10.0.26100.1"}
	mum := StoreFault{Kind: FaultPackage, Name: "CBS MUM Missing", Package: labPackage, KB: "KB5099001"}
	with := func(f StoreFault, line int, change ...func(*StoreFault)) StoreFault {
		f.Line = line
		for _, c := range change {
			c(&f)
		}
		return f
	}
	fixed := func(f *StoreFault) { f.Fixed = true }
	lost := func(f *StoreFault) { f.NoSource = true }
	for name, tt := range map[string]struct {
		log  string
		want StoreLog
	}{
		"a look finds damage and ends well": {
			restoreReport(true, "Detect only", "0x0", 2, 0,
				"(p)\tCSI Payload Corrupt\t(n)\t\t\t"+labPayload+`\en-US\paper size.dll.mui`, "(p)\tCSI Manifest Missing\t(n)\t\t\t"+labManifest),
			StoreLog{Checks: []StoreCheck{{
				By: StoreByDISM, Begin: at("04:05:06"), End: at("04:10:01"), Line: 1, Whole: true, Found: 2,
				Faults: []StoreFault{with(payload, 5), with(manifest, 6)},
			}}},
		},
		"a repair mends one of two": {
			restoreReport(true, "Detect and Repair", "0x800f081f", 2, 1,
				"(p)\tCSI Payload Corrupt\t(w)\t(Fixed)\t\t"+labPayload+`\en-US\paper size.dll.mui`, "(p)\tCBS MUM Missing\t(n)\t\t\t"+labPackage),
			StoreLog{Checks: []StoreCheck{{
				By: StoreByDISM, Repair: true, Begin: at("04:05:06"), End: at("04:10:01"), Line: 1, Whole: true, Result: 0x800F081F, Found: 2, Repaired: 1,
				Faults: []StoreFault{with(payload, 5, fixed), with(mum, 6)},
			}}},
		},
		"Windows 8 writes the report without heads": {
			restoreReport(false, "Detect and Repair", "0x800f081f", 1, 0,
				"(p)\tCSI Payload Corrupt\t\t\t"+labPayload+`\en-US\paper size.dll.mui`, "Repair failed: Missing replacement payload."),
			StoreLog{Checks: []StoreCheck{{
				By: StoreByDISM, Repair: true, Begin: at("04:05:06"), End: at("04:10:01"), Line: 1, Whole: true, Result: 0x800F081F, Found: 1,
				Faults: []StoreFault{with(payload, 6, lost)},
			}}},
		},
		"a source that cannot be read": {
			line("04:05:05", "CBS", `Exec: Addsource called, Session: 31100001_7, Client: DISM Package Manager Provider, from GPO: No, Path: d:\sources\install.wim`) +
				line("04:05:05", "CBS", "The alternate source path directory could not be accessed [HRESULT = 0x8007010b - ERROR_DIRECTORY]") +
				restoreReport(true, "Detect and Repair", "0x800f081f", 0, 0),
			StoreLog{Checks: []StoreCheck{{
				By: StoreByDISM, Repair: true, Begin: at("04:05:05"), End: at("04:10:01"), Line: 1, Whole: true, Result: 0x800F081F,
				Sources: []string{`d:\sources\install.wim`}, SourceResult: 0x8007010B,
			}}},
		},
		"a session that was cut off, and another": {
			line("03:00:00", "CBS", "Exec: Session processing started.  Client: Manual, Session(Store Corruption Detect/Repair): 1_1") +
				restoreReport(true, "Detect only", "0x0", 0, 0),
			StoreLog{Checks: []StoreCheck{
				{By: StoreByDISM, Begin: at("03:00:00"), End: at("03:00:00"), Line: 1},
				{By: StoreByDISM, Begin: at("04:05:06"), End: at("04:10:01"), Line: 2, Whole: true},
			}},
		},
		"sfc mends one file and cannot mend another": {
			line("05:00:00", "CSI", "00000001 [SR] Verifying 100 components") +
				line("05:00:01", "CSI", "00000002 [SR] Beginning Verify and Repair transaction") +
				line("05:00:02", "CSI", "00000003 [SR] Cannot repair member file [l:9]'paper.dll' of Fabrikam-Windows-Paper, version 10.0.26100.1742, arch amd64, nonSxS, pkt {l:8 b:31bf3856ad364e35} in the store, hash mismatch") +
				line("05:00:02", "CSI", "00000004 [SR] This component was referenced by [l:60]'%s.Reference'", labPackage) +
				line("05:00:03", "CSI", `00000005 [SR] Could not reproject corrupted file \??\C:\Windows\System32\\paper.dll; source file in store is also corrupted`) +
				line("05:00:04", "CSI", `00000006 [SR] Repairing corrupted file [ml:48{24},l:46{23}]"\??\C:\Windows\System32"\[l:16{8}]"hole.exe" from store`) +
				line("05:00:05", "CSI", "00000007 [SR] Verify complete") +
				line("05:00:06", "CSI", "00000008 [SR] Repairing 2 components") +
				line("05:00:07", "CSI", "00000009 [SR] Repair complete") +
				line("05:00:08", "CSI", "0000000a [SR] Cannot commit interactively, there are boot critical components being repaired"),
			StoreLog{Checks: []StoreCheck{{
				By: StoreBySFC, Repair: true, Begin: at("05:00:00"), End: at("05:00:08"), Line: 1, Whole: true, Found: 3, Repaired: 1, Restart: true,
				Faults: []StoreFault{
					{Kind: FaultPayload, Component: "Fabrikam-Windows-Paper", Version: "10.0.26100.1742", File: "paper.dll", Package: labPackage + ".Reference", KB: "KB5099001", NoSource: true, Line: 3},
					{Kind: FaultFile, File: `C:\Windows\System32\paper.dll`, Line: 5},
					{Kind: FaultFile, File: `C:\Windows\System32\hole.exe`, Fixed: true, Line: 6},
				},
			}}},
		},
		"sfc takes the good copy from the backup; and runs again": {
			line("05:00:00", "CSI", "00000001 [SR] Verifying 1 components") +
				line("05:00:01", "CSI", "00000002 [SR] Cannot repair member file [l:9]'paper.dll' of Fabrikam-Windows-Paper, version 10.0.26100.1742, arch amd64, nonSxS in the store, hash mismatch") +
				line("05:00:02", "CSI", `00000003 [SR] Repaired file \SystemRoot\WinSxS\%s\\[l:9]'paper.dll' by copying from backup`, labPayload) +
				line("05:00:03", "CSI", "00000004 [SR] Repairing 1 components") + line("05:00:04", "CSI", "00000005 [SR] Repair complete") +
				line("06:00:00", "CSI", "00000001 [SR] Verifying 1 components") + line("06:00:01", "CSI", "00000002 [SR] Verify complete") +
				line("06:00:02", "CSI", "00000003 [SR] Repairing 0 components") + line("06:00:02", "CSI", "00000004 [SR] Repair complete"),
			StoreLog{Checks: []StoreCheck{
				{
					By: StoreBySFC, Repair: true, Begin: at("05:00:00"), End: at("05:00:04"), Line: 1, Whole: true, Found: 1, Repaired: 1,
					Faults: []StoreFault{{Kind: FaultPayload, Component: "Fabrikam-Windows-Paper", Version: "10.0.26100.1742", File: "paper.dll", Fixed: true, Line: 2}},
				},
				{By: StoreBySFC, Begin: at("06:00:00"), End: at("06:00:02"), Line: 6, Whole: true},
			}},
		},
		"packages that servicing misses": {
			line("04:05:06", "CBS", "Store corruption, manifest missing for package: %s", labPackage) +
				line("04:05:06", "CBS", "Failed to resolve package '%s' [HRESULT = 0x800f0831 - CBS_E_STORE_CORRUPTION]", labPackage) +
				line("04:05:07", "CBS", "Failed to pin deployment while resolving Update: Fabrikam-Paper-Package~31bf3856ad364e35~amd64~~10.0.26100.1.Paper from file: (null) [HRESULT = 0x80073701 - ERROR_SXS_ASSEMBLY_MISSING]"),
			StoreLog{Missing: []StoreFault{
				{Kind: FaultPackage, Package: labPackage, KB: "KB5099001", Line: 1, Time: at("04:05:06")},
				{Kind: FaultManifest, Component: "Fabrikam-Paper-Package~31bf3856ad364e35~amd64~~10.0.26100.1.Paper", Package: "Fabrikam-Paper-Package~31bf3856ad364e35~amd64~~10.0.26100.1.Paper", Line: 3, Time: at("04:05:07")},
			}},
		},
		"CheckSUR of Windows 7": {
			"Checking System Update Readiness.\r\n(f)\tCBS MUM Missing\t0x00000002\tservicing\\packages\\Package_for_KB2799001~31bf3856ad364e35~amd64~~6.1.1.0.mum\r\n" +
				"(f)\tCSI Payload File Corrupt\t0x00000000\tpaper.dll\tamd64_fabrikam-paper_31bf3856ad364e35_6.1.7601.17514_none_00112233445566cc\r\n" +
				"(fix)\tCSI Payload File Corrupt\tCSI File Replaced\tFile: paper.dll From: C:\\x.cab\r\n(w)\tUnable to get system disk properties\t0x0000045D\r\n",
			StoreLog{Checks: []StoreCheck{{
				By: StoreByDISM, Line: 1,
				Faults: []StoreFault{
					{Kind: FaultPackage, Name: "CBS MUM Missing", Package: "Package_for_KB2799001~31bf3856ad364e35~amd64~~6.1.1.0", KB: "KB2799001", Line: 2},
					{Kind: FaultPayload, Name: "CSI Payload File Corrupt", Component: "amd64_fabrikam-paper_31bf3856ad364e35_6.1.7601.17514_none_00112233445566cc", Version: "6.1.7601.17514", File: "paper.dll", Fixed: true, Line: 3},
				},
			}}},
		},
		"what says nothing of the store": {
			line("04:05:06", "CBS", "Session: 1_1 initialized by client Fabrikam.") + "(p)\r\n(\r\n" + line("04:05:06", "CSI", "00000001 [SR] "),
			StoreLog{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, readStore(t, tt.log, Options{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestStoreSparse: of a large log the same is read sparsely as in full.
func TestStoreSparse(t *testing.T) {
	var b bytes.Buffer
	for b.Len() < sparseFrom+2*sparseBlock {
		b.WriteString(restoreReport(true, "Detect only", "0x0", 1, 0, "(p)\tCSI Payload Corrupt\t(n)\t\t\t"+labPayload+`\paper.dll`))
		b.WriteString(line("05:00:00", "CSI", "00000001 [SR] Verifying 100 components"))
		b.WriteString(line("05:00:01", "CSI", "00000002 [SR] Cannot repair member file [l:9]'paper.dll' of Fabrikam-Windows-Paper, version 10.0.26100.1742, arch amd64 in the store, hash mismatch"))
		b.WriteString(line("05:00:03", "CSI", "00000004 [SR] Repairing 1 components"))
		for range 400 {
			b.WriteString(line("05:00:04", "CBS", "Appl: Evaluating package applicability for package %s, applicable state: Installed", labPackage))
		}
	}
	log := b.String()
	full := readStore(t, log, Options{})
	var r StoreReader
	if _, err := Scan(context.Background(), CBS, strings.NewReader(log), Options{Sparse: true, Size: int64(len(log))}, func(rec *Record) error {
		r.Record(rec)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(full.Checks) != maxChecks {
		t.Errorf("%d checks kept, want the newest %d", len(full.Checks), maxChecks)
	}
	if diff := cmp.Diff(full, r.Log()); diff != "" {
		t.Error(diff)
	}
}

// TestStoreRealLogs: what the real logs tell, as a person read it there.
func TestStoreRealLogs(t *testing.T) {
	type told struct {
		By              string
		Repair, Restart bool
		Result          string
		Found, Repaired int
	}
	for name, want := range map[string][]told{
		"loghub-Windows_2k-CBS.log": nil,
		"alborz25-CBS.log": {
			{"dism", true, false, "0x800F0820", 0, 0}, // somebody stopped it
			{"dism", true, false, "0x800F081F", 3, 0},
			{"dism", true, false, "0x800F081F", 3, 0},
			{"sfc", true, false, "0x00000000", 1, 0},
		},
		"WinErros-CBS.log": {
			{"dism", true, false, "0x00000000", 5, 0}, // the log breaks off in its midst
			{"sfc", true, true, "0x00000000", 14, 2},
			{"dism", false, false, "0x00000000", 8, 0},
			{"dism", false, false, "0x00000000", 9, 0},
			{"sfc", true, false, "0x00000000", 15, 0},
			{"sfc", true, false, "0x00000000", 18, 0},
		},
	} {
		f, err := os.ReadFile("../../../shared/logs/" + name)
		if err != nil {
			t.Skipf("NOT RUN: the real logs are not here: %v", err)
		}
		var have []told
		for _, c := range readStore(t, string(f), Options{}).Checks {
			have = append(have, told{c.By, c.Repair, c.Restart, c.Result.String(), c.Found, c.Repaired})
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func FuzzStoreReader(f *testing.F) {
	f.Add(restoreReport(true, "Detect and Repair", "0x800f081f", 2, 1, "(p)\tCSI Payload Corrupt\t(w)\t(Fixed)\t\t"+labPayload+`\a.dll`))
	f.Add(line("05:00:00", "CSI", `00000003 [SR] Repaired file \SystemRoot\WinSxS\%s\\[l:9]'paper.dll' by copying from backup`, labPayload))
	f.Add("(f)\tCBS MUM Missing\t0x2\tservicing\\packages\\~~~~.mum\n")
	f.Fuzz(func(t *testing.T, log string) {
		l := readStore(t, log, Options{})
		if len(l.Checks) > maxChecks || len(l.Missing) > maxFaults {
			t.Errorf("%d checks, %d missing", len(l.Checks), len(l.Missing))
		}
		for _, c := range l.Checks {
			if len(c.Faults) > maxFaults || c.Found < 0 || c.Repaired < 0 || c.Left() < 0 || c.Line < 1 {
				t.Errorf("%+v", c)
			}
			for _, x := range c.Faults {
				if len(x.Component) > maxStoreWords || len(x.File) > maxStoreWords || len(x.Package) > maxStoreWords {
					t.Errorf("unbounded: %+v", x)
				}
			}
		}
	})
}

func BenchmarkStoreReader(b *testing.B) {
	log := strings.Repeat(restoreReport(true, "Detect only", "0x0", 1, 0, "(p)\tCSI Payload Corrupt\t(n)\t\t\t"+labPayload+`\a.dll`)+
		strings.Repeat(line("05:00:04", "CBS", "Appl: Evaluating package applicability for package %s, applicable state: Installed", labPackage), 500), 40)
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		readStore(b, log, Options{})
	}
}
