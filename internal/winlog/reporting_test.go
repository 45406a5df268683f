package winlog

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	reportFailed = "{11111111-2222-3333-4444-555555555555}\t2031-02-03 04:05:06:789+0100\t1\t148 [AGENT_DETECTION_FAILED]\t101\t{00000000-0000-0000-0000-000000000000}\t0\t8024401b\tAzure VM Guest Patching\tFailure\tSoftware Synchronization\tWindows Update Client failed to detect with error 0x8024401b."
	reportDone   = "{11111111-2222-3333-4444-666666666666}\t2031-02-03 04:06:00:000-0530\t1\t183 [AGENT_INSTALLING_SUCCEEDED]\t101\t{77777777-2222-3333-4444-555555555555}\t200\t0\tUpdateOrchestrator\tSuccess\tContent Install\tInstallation Successful: Windows successfully installed the following update: 2031-02 Update for Fabrikam (KB5990001)\tabcdEFGHijklMNOP.1.2.3.0"
)

const zeroUpdate = "update={00000000-0000-0000-0000-000000000000}"

func failedReport(line int) entry {
	return entry{
		Line: line, Time: "2031-02-03T04:05:06.789+01:00", Level: LevelError, Component: "Azure VM Guest Patching", Code: 0x8024401B, ID: 148,
		Text:   "Windows Update Client failed to detect with error 0x8024401b.",
		Fields: "event=AGENT_DETECTION_FAILED; " + zeroUpdate + "; revision=0; caller=Azure VM Guest Patching; status=Failure; kind=Software Synchronization",
	}
}

func TestReporting(t *testing.T) {
	runLines(t, Reporting, []lineCase{
		{"twelve columns", reportFailed, failedReport(1)},
		{"thirteen columns", reportDone, entry{
			Time: "2031-02-03T04:06:00-05:30", Level: LevelInfo, Component: "UpdateOrchestrator", ID: 183,
			Text:   "Installation Successful: Windows successfully installed the following update: 2031-02 Update for Fabrikam (KB5990001)",
			Fields: "event=AGENT_INSTALLING_SUCCEEDED; update={77777777-2222-3333-4444-555555555555}; revision=200; caller=UpdateOrchestrator; status=Success; kind=Content Install; cv=abcdEFGHijklMNOP.1.2.3.0",
		}},
		{"tabs became blanks", strings.ReplaceAll(reportFailed, "\t", " "), failedReport(1)},
		{"tabs became several blanks", "  " + strings.ReplaceAll(reportFailed, "\t", "    "), failedReport(1)},
		{"number without a name", "{11111111-2222-3333-4444-555555555555}\t2004-02-03 04:05:06:789+0000\t1\t147\t101\t{00000000-0000-0000-0000-000000000000}\t0\t0\tAutomaticUpdates\tSuccess\tSoftware Synchronization\tAgent has finished detecting items.", entry{
			Time: "2004-02-03T04:05:06.789Z", Level: LevelInfo, Component: "AutomaticUpdates", ID: 147, Text: "Agent has finished detecting items.",
			Fields: zeroUpdate + "; revision=0; caller=AutomaticUpdates; status=Success; kind=Software Synchronization",
		}},
		{"number and name apart, point before the milliseconds", "{11111111-2222-3333-4444-555555555555}\t2031-02-03 04:05:06.789+0100\t1\t162\t[AGENT_DOWNLOAD_FAILED]\t101\t{00000000-0000-0000-0000-000000000000}\t1\t80240022\tWindows Update Agent\tFailure\tContent Download\tx", entry{
			Time: "2031-02-03T04:05:06.789+01:00", Level: LevelError, Component: "Windows Update Agent", Code: 0x80240022, ID: 162, Text: "x",
			Fields: "event=AGENT_DOWNLOAD_FAILED; " + zeroUpdate + "; revision=1; caller=Windows Update Agent; status=Failure; kind=Content Download",
		}},
		{"empty caller", "{11111111-2222-3333-4444-555555555555}\t2031-02-03 04:05:06:789+0100\t1\t148 [AGENT_DETECTION_FAILED]\t101\t{00000000-0000-0000-0000-000000000000}\t0\t8024402c\t\tFailure\tSoftware Synchronization\tx", entry{
			Time: "2031-02-03T04:05:06.789+01:00", Level: LevelError, Code: 0x8024402C, ID: 148, Text: "x",
			Fields: "event=AGENT_DETECTION_FAILED; " + zeroUpdate + "; revision=0; status=Failure; kind=Software Synchronization",
		}},
		{"translated kind, blanks", "{11111111-2222-3333-4444-555555555555} 2031-02-03 04:05:06:789+0100 1 148 [AGENT_DETECTION_FAILED] 101 {00000000-0000-0000-0000-000000000000} 0 8024402c UpdateOrchestrator Failure Softwaresynchronisierung Fehler 0x8024402c.", entry{
			Time: "2031-02-03T04:05:06.789+01:00", Level: LevelError, Component: "UpdateOrchestrator", Code: 0x8024402C, ID: 148, Text: "Softwaresynchronisierung Fehler 0x8024402c.",
			Fields: "event=AGENT_DETECTION_FAILED; " + zeroUpdate + "; revision=0; caller=UpdateOrchestrator; status=Failure",
		}},
		{"torn behind the name", reportFailed[:strings.Index(reportFailed, "\t{0000")], entry{
			Time: "2031-02-03T04:05:06.789+01:00", ID: 148, Fields: "event=AGENT_DETECTION_FAILED",
		}},
		{"not an event", "2031-02-03 04:05:06:789 712 1a2b Agent x", entry{Loose: true, Text: "2031-02-03 04:05:06:789 712 1a2b Agent x"}},
		{"torn in the date", "{11111111-2222-3333-4444-555555555555}\t2031-02", entry{Loose: true, Text: "{11111111-2222-3333-4444-555555555555}\t2031-02"}},
		{"torn in the number", "{11111111-2222-3333-4444-555555555555}\t2031-02-03 04:05:06:789+0100\t1\t148", entry{
			Loose: true, Text: "{11111111-2222-3333-4444-555555555555}\t2031-02-03 04:05:06:789+0100\t1\t148",
		}},
		{"bracket not closed", "{11111111-2222-3333-4444-555555555555}\t2031-02-03 04:05:06:789+0100\t1\t148 [AGENT", entry{
			Loose: true, Text: "{11111111-2222-3333-4444-555555555555}\t2031-02-03 04:05:06:789+0100\t1\t148 [AGENT",
		}},
	})
}

func TestReportingWrapped(t *testing.T) {
	blanks := strings.ReplaceAll(reportFailed, "\t", " ")
	for _, c := range []struct {
		name, text string
		want       []entry
	}{
		{"blanks, wrapped before the result and the caller", strings.NewReplacer(" 8024401b ", "\n8024401b\n").Replace(blanks), []entry{failedReport(1)}},
		{"tabs, wrapped at each from the source on", reportFailed[:90] + strings.ReplaceAll(reportFailed[90:], "\t", "\t\n"), []entry{failedReport(1)}},
		{"tabs, wrapped behind the caller, next event", strings.Replace(reportFailed, "\tFailure", "\t\n Failure", 1) + "\n" + reportFailed, []entry{failedReport(1), failedReport(3)}},
		{"a line of another log follows", strings.Replace(blanks, " 8024401b ", "\n8024401b ", 1) + "\n2031-02-03 08:45:10:060 1084 3a10 Agent x\n", []entry{
			failedReport(1),
			{Line: 3, Loose: true, Text: "2031-02-03 08:45:10:060 1084 3a10 Agent x"},
		}},
		{"a blank line ends it", strings.Replace(blanks, " 8024401b ", "\n8024401b ", 1) + "\n\nsomebody's words\n", []entry{
			failedReport(1),
			{Line: 4, Loose: true, Text: "somebody's words"},
		}},
		{"a message of two lines", reportFailed + "\nsee 0x80072ee2\n" + reportFailed, []entry{
			failedReport(1),
			func() entry {
				e := failedReport(2)
				e.Text, e.Code, e.ID, e.Fields, e.Continued = "see 0x80072ee2", 0x80072EE2, 0, "", true
				return e
			}(),
			failedReport(3),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _ := readLog(t, Reporting, c.text)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	// An event that never becomes whole takes no more than its share of lines.
	got, st := readLog(t, Reporting, reportFailed[:90]+"\n"+strings.Repeat("x\n", 100))
	if st.Unread < 100-maxWrapped || len(got) < 100-maxWrapped {
		t.Errorf("%d records, %+v", len(got), st)
	}
}

func TestReportingIdentified(t *testing.T) {
	for _, text := range []string{reportFailed, strings.ReplaceAll(reportDone, "\t", " ")} {
		if kind := Identify("ticket.txt", []byte(text+"\r\n")); kind != Reporting {
			t.Errorf("identified as %q", kind)
		}
	}
}

func reportingLog(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "%s\r\n", []string{reportFailed, reportDone}[i%2])
	}
	return b.Bytes()
}

func FuzzReporting(f *testing.F) {
	f.Add(reportingLog(3))
	f.Add([]byte("\xFF\xFE" + utf16Bytes(reportFailed+"\r\n"+reportDone, false)))
	f.Add([]byte(strings.ReplaceAll(reportFailed, "\t", "\n")))
	f.Add([]byte(strings.ReplaceAll(reportFailed, "\t", " ") + "\nx\n\ny"))
	f.Fuzz(func(t *testing.T, data []byte) { checkScan(t, Reporting, data) })
}

func BenchmarkReporting(b *testing.B) { benchmarkScan(b, Reporting, reportingLog(5000)) }
