package winlog

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestWindowsUpdate(t *testing.T) {
	const at = "2031-02-03T04:05:06.789Z"
	runLines(t, WindowsUpdate, []lineCase{
		{"legacy", "2031-02-03\t04:05:06:789\t 712\t1a2b\tPT\tWARNING: SyncUpdates failure, error = 0x8024401B, soap client error = 10, soap error code = 0, HTTP status code = 407", entry{
			Time: at, Level: LevelWarning, PID: 712, TID: 0x1A2B, Component: "PT", Code: 0x8024401B,
			Text: "WARNING: SyncUpdates failure, error = 0x8024401B, soap client error = 10, soap error code = 0, HTTP status code = 407",
		}},
		{"legacy, nested", "2031-02-03\t04:05:06:789\t 712\t1a2b\tAgent\t  * WSUS server: http://wsus.fabrikam.example:8530", entry{
			Time: at, PID: 712, TID: 0x1A2B, Component: "Agent", Text: "* WSUS server: http://wsus.fabrikam.example:8530",
		}},
		{"legacy, fatal", "2031-02-03\t04:05:06:789\t1840\t c8\tAU\tFATAL: Error: 0x8024000b. wuauclt handler: failed to spawn", entry{
			Time: at, Level: LevelFatal, PID: 1840, TID: 0xC8, Component: "AU", Code: 0x8024000B,
			Text: "FATAL: Error: 0x8024000b. wuauclt handler: failed to spawn",
		}},
		{"legacy, bare code", "2031-02-03\t04:05:06:789\t 712\t1a2b\tMisc\tWARNING: Send failed with hr = 80072ee2.", entry{
			Time: at, Level: LevelWarning, PID: 712, TID: 0x1A2B, Component: "Misc", Code: 0x80072EE2, Text: "WARNING: Send failed with hr = 80072ee2.",
		}},
		{"legacy, tabs became blanks", "2031-02-03 04:05:06:789  712 1a2b Report REPORT EVENT: {11111111-2222-3333-4444-555555555555} 2031-02-03 04:05:05:000+0100 1 147 101", entry{
			Time: at, PID: 712, TID: 0x1A2B, Component: "Report",
			Text: "REPORT EVENT: {11111111-2222-3333-4444-555555555555} 2031-02-03 04:05:05:000+0100 1 147 101",
		}},
		{"legacy, columns glued", "2031-02-0304:05:06 992810Service*************", entry{
			Time: "2031-02-03T04:05:06Z", Component: "Service", Text: "*************",
		}},
		{"legacy, columns glued, text with a blank", "2031-02-0304:05:06:123 99210d8Agent  * Prerequisites: 0x80070005", entry{
			Time: "2031-02-03T04:05:06.123Z", Component: "Agent", Text: "* Prerequisites: 0x80070005", Code: 0x80070005,
		}},
		{"converted", "2031/02/03 04:05:06.1234567 4321  8765  ProtocolTalker  *FAILED* [8024401B] SyncUpdates failure, soap client error = 10, HTTP status code = 407", entry{
			Time: "2031-02-03T04:05:06.1234567Z", Level: LevelError, PID: 4321, TID: 8765, Component: "ProtocolTalker", Code: 0x8024401B,
			Text: "*FAILED* [8024401B] SyncUpdates failure, soap client error = 10, HTTP status code = 407",
		}},
		{"converted, component of full width", "2031/02/03 04:05:06.1234567 14321 18765 DownloadManager Preparing update for install", entry{
			Time: "2031-02-03T04:05:06.1234567Z", PID: 14321, TID: 18765, Component: "DownloadManager", Text: "Preparing update for install",
		}},
		{"converted, nested", "2031/02/03 04:05:06.1234567 4321  8765  Agent               Title = Update for Fabrikam", entry{
			Time: "2031-02-03T04:05:06.1234567Z", PID: 4321, TID: 8765, Component: "Agent", Text: "Title = Update for Fabrikam",
		}},
		{"converted, hyphens", "2031-02-03 04:05:06.7890000 1276  556   ComApi          *FAILED* [80246007] ISusInternal::IsCommitRequired", entry{
			Time: at, Level: LevelError, PID: 1276, TID: 556, Component: "ComApi", Code: 0x80246007, Text: "*FAILED* [80246007] ISusInternal::IsCommitRequired",
		}},
		{"converted, digits that are no hex thread", "2031/02/03 04:05:06.1234567 4321  10     Misc            x", entry{
			Time: "2031-02-03T04:05:06.1234567Z", PID: 4321, TID: 10, Component: "Misc", Text: "x",
		}},
		{"converted, blanks collapsed", "2031/02/03 04:05:06.1234567 676 10488 WebServices WS error: There was an error communicating with the endpoint", entry{
			Time: "2031-02-03T04:05:06.1234567Z", Level: LevelError, PID: 676, TID: 10488, Component: "WebServices", Text: "WS error: There was an error communicating with the endpoint",
		}},
		{"converted, indented as a quotation", "   2031/02/03 04:05:06.1234567 676 10488 Shared          Power status changed", entry{
			Time: "2031-02-03T04:05:06.1234567Z", PID: 676, TID: 10488, Component: "Shared", Text: "Power status changed",
		}},
		{"older converter", "2031/02/03 04:05:06.12345 AM 1092 10968 downloadmanager_cpp16907 [DownloadManager] Preparing update", entry{
			Time: "2031-02-03T04:05:06.12345Z", PID: 1092, TID: 10968, Component: "DownloadManager", Text: "Preparing update",
		}},
		{"older converter, afternoon", "2031/02/03 04:05:06.12345 PM 1092 10968 agent_cpp1 [Agent] x", entry{Time: "2031-02-03T16:05:06.12345Z", PID: 1092, TID: 10968, Component: "Agent", Text: "x"}},
		{"older converter, midnight", "2031/02/03 12:05:06.12345 am 1092 10968 agent_cpp1 [Agent] x", entry{Time: "2031-02-03T00:05:06.12345Z", PID: 1092, TID: 10968, Component: "Agent", Text: "x"}},
		{"older converter, placeholders for the time", "hh:mm:ss.fffff tt 1092 10968 uhwinsetup_cpp739 [Handler] * START * Windows Setup Install, error 0xC1900101", entry{
			PID: 1092, TID: 10968, Component: "Handler", Text: "* START * Windows Setup Install, error 0xC1900101", Code: 0xC1900101,
		}},
		{"line of ReportingEvents.log", "{11111111-2222-3333-4444-555555555555} 2031-02-03 04:05:06:789-0400 1 148 [AGENT_DETECTION_FAILED] 101 {00000000-0000-0000-0000-000000000000} 0", entry{
			Time: "2031-02-03T04:05:06.789-04:00", ID: 148, Fields: "event=AGENT_DETECTION_FAILED; update={00000000-0000-0000-0000-000000000000}; revision=0",
		}},

		{"such a line torn", "{11111111-2222-3333-4444-555555555555} 2031-02-03 04:05:06:789-0400 1 148 ", entry{
			Loose: true, Text: "{11111111-2222-3333-4444-555555555555} 2031-02-03 04:05:06:789-0400 1 148 ",
		}},
		{"no header", "Windows failed to download from http://download.example.com/x.cab with error 0x80070070", entry{
			Loose: true, Code: 0x80070070, Text: "Windows failed to download from http://download.example.com/x.cab with error 0x80070070",
		}},
		{"a date alone", "2031/02/03 04:05:06.1234567", entry{Loose: true, Text: "2031/02/03 04:05:06.1234567"}},
		{"torn in the pid", "2031/02/03 04:05:06.1234567 43", entry{Loose: true, Text: "2031/02/03 04:05:06.1234567 43"}},
		{"torn in the thread id", "2031/02/03 04:05:06.1234567 4321  87", entry{Loose: true, Text: "2031/02/03 04:05:06.1234567 4321  87"}},
		{"no such time", "2031/02/03 24:05:06.1234567 4321  8765  Agent           x", entry{Loose: true, Text: "2031/02/03 24:05:06.1234567 4321  8765  Agent           x"}},
		{"pid beyond 32 bits", "2031/02/03 04:05:06.1234567 99999999999  8765  Agent  x", entry{Loose: true, Text: "2031/02/03 04:05:06.1234567 99999999999  8765  Agent  x"}},
	})
}

func TestWindowsUpdateUndecoded(t *testing.T) {
	const text = "1600/12/31 16:00:00.0000000 1234  4321                  Unknown( 10): GUID=11111111-2222-3333-4444-555555555555 (No Format Information found).\r\n" +
		"2031/02/03 04:05:06.1234567 4321  8765  Agent           x\r\n"
	got, st := readLog(t, WindowsUpdate, text)
	if st.Undecoded != 1 || st.Lines != 2 || len(got) != 2 {
		t.Errorf("%+v\n%+v", st, got)
	}
}

// windowsUpdateLog makes a log of n lines as a healthy machine writes it.
func windowsUpdateLog(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "2031/02/03 04:%02d:%02d.%07d %-5d %-5d %-15s %s\r\n", i/60%60, i%60, i%1e7, 4000+i%7, 8000+i%31,
			[]string{"Agent", "DownloadManager", "ProtocolTalker", "Misc"}[i%4],
			[]string{"* END * Finding updates CallerId = UpdateOrchestrator, Id = 12, Exit code = 0x00000000 (cV = abcdefghijkl.1.0)", "  Title = 2031-02 Update for Fabrikam (KB5990001)", "*FAILED* [80248007] file.cpp @734"}[i%3])
	}
	return b.Bytes()
}

func FuzzWindowsUpdate(f *testing.F) {
	f.Add([]byte(encoded))
	f.Add(windowsUpdateLog(5))
	f.Add([]byte("2031-02-03\t04:05:06:789\t 712\t1a2b\tPT\tWARNING: x, error = 0x8024401B\r\n2031-02-0304:05:06 992810Service***\r\n"))
	f.Add([]byte("hh:mm:ss.fffff tt 1092 10968 uhwinsetup_cpp739 [Handler] x\n{11111111-2222-3333-4444-555555555555} 2031-02-03 04:05:06:789-0400 1 148 [A] 101\n"))
	f.Add([]byte(strings.Repeat("2", 300) + "_cpp1 [\x00]"))
	f.Fuzz(func(t *testing.T, data []byte) { checkScan(t, WindowsUpdate, data) })
}

func BenchmarkWindowsUpdate(b *testing.B) { benchmarkScan(b, WindowsUpdate, windowsUpdateLog(20_000)) }

// benchmarkScan measures a scan of data, with nothing done to its records.
func benchmarkScan(b *testing.B, kind Kind, data []byte) {
	b.Helper()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		st, err := Scan(b.Context(), kind, bytes.NewReader(data), Options{}, func(*Record) error { return nil })
		if err != nil || st.Records == 0 || st.Unread > 0 {
			b.Fatal(st, err)
		}
	}
}
