package winlog

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestServicing(t *testing.T) {
	const at = "2031-02-03T04:05:06Z"
	runLines(t, CBS, []lineCase{
		{"CBS", "2031-02-03 04:05:06, Info                  CBS    Session: 31000000_1 initialized by client WindowsUpdateAgent.", entry{
			Time: at, Level: LevelInfo, Component: "CBS", Text: "Session: 31000000_1 initialized by client WindowsUpdateAgent.",
		}},
		{"CBS error", "2031-02-03 04:05:06, Error                 CBS    Failed to resolve execution package: Package_for_X~31bf3856ad364e35~amd64~~1.0.0.1 [HRESULT = 0x800f0831 - CBS_E_STORE_CORRUPTION]", entry{
			Time: at, Level: LevelError, Component: "CBS", Code: 0x800F0831,
			Text: "Failed to resolve execution package: Package_for_X~31bf3856ad364e35~amd64~~1.0.0.1 [HRESULT = 0x800f0831 - CBS_E_STORE_CORRUPTION]",
		}},
		{"CSI", `2031-02-03 04:05:06, Info                  CSI    0000002a [SR] Cannot repair member file [l:8]"fabr.dll" of Fabrikam-Core`, entry{
			Time: at, Level: LevelInfo, Component: "CSI", Text: `0000002a [SR] Cannot repair member file [l:8]"fabr.dll" of Fabrikam-Core`,
		}},
		{"CSI failure mark", "2031-02-03 04:05:06, Error                 CSI    00000017 (F) c0000034 [Error,Facility=FACILITY_NTSSTATUS,Code=52 (0x0034)] #1# from Windows::Rtl", entry{
			Time: at, Level: LevelError, Component: "CSI", Code: 0xC0000034,
			Text: "00000017 (F) c0000034 [Error,Facility=FACILITY_NTSSTATUS,Code=52 (0x0034)] #1# from Windows::Rtl",
		}},
		{"DISM", "2031-02-03 04:05:06, Error                 DISM   DISM Package Manager: PID=6980 TID=18464 Failed processing package changes - CDISMPackageManager::Internal_Finalize(hr:0x800f081f)", entry{
			Time: at, Level: LevelError, PID: 6980, TID: 18464, Component: "DISM", Code: 0x800F081F,
			Text: "DISM Package Manager: PID=6980 TID=18464 Failed processing package changes - CDISMPackageManager::Internal_Finalize(hr:0x800f081f)",
		}},
		{"DISM of Windows 7", "2031-02-03 04:05:06, Info                  DISM   DISM Provider Store: PID=10500 Getting Provider - CDISMProviderStore::GetProvider", entry{
			Time: at, Level: LevelInfo, PID: 10500, Component: "DISM", Text: "DISM Provider Store: PID=10500 Getting Provider - CDISMProviderStore::GetProvider",
		}},
		{"DISM of Windows 7, no name", "2031-02-03 04:05:06, Info                  DISM   PID=10500 Scratch directory set. - CDISMManager::put_ScratchDir", entry{
			Time: at, Level: LevelInfo, PID: 10500, Component: "DISM", Text: "PID=10500 Scratch directory set. - CDISMManager::put_ScratchDir",
		}},
		{"DISM, no process", "2031-02-03 04:05:06, Info                  DISM   DISM.EXE: Dism.exe version: 10.0.19041.844", entry{
			Time: at, Level: LevelInfo, Component: "DISM", Text: "DISM.EXE: Dism.exe version: 10.0.19041.844",
		}},
		{"setup", "2031-02-03 04:05:06, Warning               MOUPG  SetupManager: waiting", entry{
			Time: at, Level: LevelWarning, Component: "MOUPG", Text: "SetupManager: waiting",
		}},
		{"setup, message number", "2031-02-03 04:05:06, Error      [0x0606ae] IBS    [SetupCl library] Required profile hive does not exist", entry{
			Time: at, Level: LevelError, Component: "IBS", ID: 0x0606AE, Text: "[SetupCl library] Required profile hive does not exist",
		}},
		{"setup, no component", "2031-02-03 04:05:06, Info                         PublishDisk: disk 0 of 2", entry{
			Time: at, Level: LevelInfo, Text: "PublishDisk: disk 0 of 2",
		}},
		{"setup, no component, a capital first word", "2031-02-03 04:05:06, Warning                      WMI Helper Library: no namespace (0x80010119)", entry{
			Time: at, Level: LevelWarning, Code: 0x80010119, Text: "WMI Helper Library: no namespace (0x80010119)",
		}},
		{"setup, fatal", "2031-02-03 04:05:06, Fatal                 SP     Result = 0xC1900101[gle=0x00000002]", entry{
			Time: at, Level: LevelFatal, Component: "SP", Code: 0xC1900101, Text: "Result = 0xC1900101[gle=0x00000002]",
		}},
		{"setup, long level", "2031-02-03 04:05:06, FatalError [0x090001] PANTHR Exception (code 0xC0000005: ACCESS_VIOLATION)", entry{
			Time: at, Level: LevelFatal, Component: "PANTHR", ID: 0x090001, Code: 0xC0000005, Text: "Exception (code 0xC0000005: ACCESS_VIOLATION)",
		}},
		{"perf", "2031-02-03 04:05:06, Perf                  CBS    Shtd: 5 s", entry{Time: at, Level: LevelInfo, Component: "CBS", Text: "Shtd: 5 s"}},
		{"no text", "2031-02-03 04:05:06, Info                  CBS", entry{Time: at, Level: LevelInfo, Component: "CBS"}},
		{"level alone", "2031-02-03 04:05:06, Info", entry{Time: at, Level: LevelInfo}},

		{"blanks collapsed", "2031-02-03 04:05:06, Error CBS Failed to get FOD [HRESULT = 0x800f0954]", entry{
			Time: at, Level: LevelError, Component: "CBS", Code: 0x800F0954, Text: "Failed to get FOD [HRESULT = 0x800f0954]",
		}},
		{"date replaced", "<DateTime>, Error CSI 00000001 (F) c000003a", entry{
			Level: LevelError, Component: "CSI", Code: 0xC000003A, Text: "00000001 (F) c000003a",
		}},
		{"date made unreadable", "20xx-xx-06 xx:51:15, Info CBS Exec: Processing complete. [HRESULT = 0x80073712]", entry{
			Level: LevelInfo, Component: "CBS", Code: 0x80073712, Text: "Exec: Processing complete. [HRESULT = 0x80073712]",
		}},
		{"date lost", "Error                 CBS    Startup: Failed to process [HRESULT = 0x800f0922]", entry{
			Level: LevelError, Component: "CBS", Code: 0x800F0922, Text: "Startup: Failed to process [HRESULT = 0x800f0922]",
		}},
		{"behind a file's name", `C:\Windows\Logs\CBS\CbsPersist_20310203.log:2031-02-03 04:05:06, Info                  CSI    00000006 [SR] Verify complete`, entry{
			Time: at, Level: LevelInfo, Component: "CSI", Text: "00000006 [SR] Verify complete",
		}},
		{"behind a line's number", "1207:2031-02-03 04:05:06, Error                 CBS    x", entry{Time: at, Level: LevelError, Component: "CBS", Text: "x"}},

		{"date of another log", "2031/02/03 04:05:06.1234567 1200  1300  Agent           x", entry{Loose: true, Text: "2031/02/03 04:05:06.1234567 1200  1300  Agent           x"}},
		{"unknown level", "2031-02-03 04:05:06, Gossip                CBS    x", entry{Loose: true, Text: "2031-02-03 04:05:06, Gossip                CBS    x"}},
	})
}

func TestServicingContinued(t *testing.T) {
	const text = "2031-02-03 04:05:06, Info                  CSI    0000002b Performing 2 operations:\r\n" +
		"  (0)  LockComponentPath (10): flags: 0\r\n" +
		"[gle=0x80004005]\r\n" +
		"\r\n" +
		"=================================\r\n" +
		"(p)\tCSI Payload Corrupt\t\t\tamd64_fabrikam\\fabr.dll\r\n" +
		"Operation result: 0x800f0820\r\n" +
		"2031-02-03 04:05:07, Error                 CBS    next\r\n" +
		"Informationen: not a level\r\n"
	got, st := readLog(t, CBS, text)
	inherit := func(line int, text string) entry {
		return entry{Line: line, Time: "2031-02-03T04:05:06Z", Level: LevelInfo, Component: "CSI", Text: text, Continued: true}
	}
	want := []entry{
		inherit(1, "0000002b Performing 2 operations:"),
		inherit(2, "  (0)  LockComponentPath (10): flags: 0"),
		inherit(3, "[gle=0x80004005]"),
		inherit(5, "================================="),
		inherit(6, "(p)\tCSI Payload Corrupt\t\t\tamd64_fabrikam\\fabr.dll"),
		inherit(7, "Operation result: 0x800f0820"),
		{Line: 8, Time: "2031-02-03T04:05:07Z", Level: LevelError, Component: "CBS", Text: "next"},
		{Line: 9, Time: "2031-02-03T04:05:07Z", Level: LevelError, Component: "CBS", Text: "Informationen: not a level", Continued: true},
	}
	want[0].Continued = false
	want[2].Code, want[5].Code = 0x80004005, 0x800F0820
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if st.Records != 2 || st.Unread != 0 || st.Lines != 9 {
		t.Errorf("%+v", st)
	}
}

// servicingLog makes a CBS.log of n lines.
func servicingLog(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		switch i % 5 {
		case 4:
			fmt.Fprintf(&b, "  (%d)  HardLinkFile (10): flags: 0 path: \\SystemRoot\\WinSxS\\amd64_fabrikam-core_31bf3856ad364e35\r\n", i)
		default:
			fmt.Fprintf(&b, "2031-02-03 04:%02d:%02d, %-22s%-7s%s\r\n", i/60%60, i%60,
				[]string{"Info", "Info", "Warning", "Error"}[i%4], []string{"CBS", "CSI", "DISM"}[i%3],
				[]string{"Appl: detect Parent, Package: Package_for_KB5990001~31bf3856ad364e35~amd64~~1.0.0.1, disposition state from detectParent: Installed", "Failed to internally open package. [HRESULT = 0x800f0805 - CBS_E_INVALID_PACKAGE]"}[i%2])
		}
	}
	return b.Bytes()
}

func FuzzServicing(f *testing.F) {
	f.Add(servicingLog(7))
	f.Add([]byte("2031-02-03 04:05:06, Error      [0x0606ae] IBS    x\r\n[gle=0x00000002]\r\n<DateTime>, Error CSI y\r\n"))
	f.Add([]byte("a:b:1207:2031-02-03 04:05:06, Info\r\n20xx-xx-06 xx:51:15, Info CBS z [HRESULT = 0x80073712]"))
	f.Add([]byte("2031-02-03 04:05:06, Info [0x\n2031-02-03 04:05:06, Info [0x]\n2031-02-03\n"))
	f.Fuzz(func(t *testing.T, data []byte) { checkScan(t, CBS, data) })
}

func BenchmarkServicing(b *testing.B) { benchmarkScan(b, CBS, servicingLog(20_000)) }

// The log in the Windows folder holds lines of parts that put their own name where
// the header would be.
func TestSetupParts(t *testing.T) {
	tests := []struct {
		line, text string
		want       time.Time
	}{
		{"AudMig: Migrated {a45c254e-df1c-4efd-8020-67d146a850e0},2 property at 1", "AudMig: Migrated {a45c254e-df1c-4efd-8020-67d146a850e0},2 property at 1", time.Time{}},
		{"[05/08/2025 09:40.53.963] WudfCoInstaller: ImpersonationLevel set to 2", "WudfCoInstaller: ImpersonationLevel set to 2", time.Date(2025, 5, 8, 9, 40, 53, 963e6, time.UTC)},
	}
	for _, tt := range tests {
		rec := Record{Line: 3}
		if !parseSetup([]byte(tt.line), &rec) || rec.Continued || string(rec.Text) != tt.text || !rec.Time.Equal(tt.want) {
			t.Errorf("%s: got %q at %v, continued %v", tt.line, rec.Text, rec.Time, rec.Continued)
		}
	}
	for _, other := range []string{"[99/08/2025 09:40.53.963] WudfCoInstaller: x", "AudMig", "  AudMigrate: no part"} {
		rec := Record{Line: 4}
		if parseSetup([]byte(other), &rec) && !rec.Continued {
			t.Errorf("%s: taken for a record", other)
		}
	}
}
