package winlog

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const setupDiagXML = `<?xml version="1.0" encoding="utf-16"?>
<SetupDiag xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns="https://learn.microsoft.com/windows/deployment/upgrade/setupdiag">
  <Version>1.7.0.0</Version>
  <ProfileName>FindSPFatalError</ProfileName>
  <ProfileGuid>A4028172-1B09-48F8-AD3B-86CDD7D55852</ProfileGuid>
  <SystemInfo>
    <MachineName>Offline</MachineName>
    <Model>FABRIKAM &amp; SONS &lt;3&gt;</Model>
    <BiosVersion />
    <HostOSBuildString>19045.1.amd64fre.vb_release.310203-0405</HostOSBuildString>
  </SystemInfo>
  <LogErrorLine>2031-02-03 04:05:06, Error                 SP     Operation failed: Result = 0xC1900101[gle=0x00000002]</LogErrorLine>
  <FailureData>
Error: SetupDiag reports Fatal Error.
Last Setup Phase = Finalize
Error: 0xC1900101 - 0x30018</FailureData>
  <FailureData>LogEntry: 2031-02-03 04:05:07, Warning               MOUPG  x</FailureData>
  <FailureData>Warning: Found Disk Space Hard Block.</FailureData>
  <FailureDetails>Err = 0xC1900101, ExCode = 0x30018, LastPhase = Finalize</FailureDetails>
  <Remediation>Free "20003" MB.</Remediation>
  <SetupPhaseInfo><PhaseName>Finalize</PhaseName></SetupPhaseInfo>
</SetupDiag>
`

const setupDiagXMLFailure = "Error: SetupDiag reports Fatal Error.\nLast Setup Phase = Finalize\nError: 0xC1900101 - 0x30018"

func TestSetupDiagXML(t *testing.T) {
	const p, si = "profile=FindSPFatalError", "profile=FindSPFatalError; parent=SystemInfo"
	want := []entry{
		{Line: 3, Component: "Version", Text: "1.7.0.0"},
		{Line: 4, Component: "ProfileName", Text: "FindSPFatalError", Fields: p},
		{Line: 5, Component: "ProfileGuid", Text: "A4028172-1B09-48F8-AD3B-86CDD7D55852", Fields: p},
		{Line: 7, Component: "MachineName", Text: "Offline", Fields: si},
		{Line: 8, Component: "Model", Text: "FABRIKAM & SONS <3>", Fields: si},
		{Line: 10, Component: "HostOSBuildString", Text: "19045.1.amd64fre.vb_release.310203-0405", Fields: si},
		{Line: 12, Component: "LogErrorLine", Time: "2031-02-03T04:05:06Z", Level: LevelError, Code: 0xC1900101, Fields: p, Text: "2031-02-03 04:05:06, Error                 SP     Operation failed: Result = 0xC1900101[gle=0x00000002]"},
		{Line: 14, Component: "FailureData", Level: LevelError, Code: 0xC1900101, Fields: "extend=0x30018; " + p, Text: setupDiagXMLFailure},
		{Line: 17, Component: "FailureData", Time: "2031-02-03T04:05:07Z", Level: LevelWarning, Fields: p, Text: "LogEntry: 2031-02-03 04:05:07, Warning               MOUPG  x"},
		{Line: 18, Component: "FailureData", Level: LevelWarning, Fields: p, Text: "Warning: Found Disk Space Hard Block."},
		{Line: 19, Component: "FailureDetails", Code: 0xC1900101, Fields: "extend=0x30018; " + p, Text: "Err = 0xC1900101, ExCode = 0x30018, LastPhase = Finalize"},
		{Line: 20, Component: "Remediation", Fields: p, Text: `Free "20003" MB.`},
		{Line: 21, Component: "PhaseName", Fields: p + "; parent=SetupPhaseInfo", Text: "Finalize"},
	}
	for name, text := range map[string]string{
		"UTF-8":   setupDiagXML,
		"UTF-16":  "\xFF\xFE" + utf16Bytes(setupDiagXML, false),
		"CRLF":    strings.ReplaceAll(setupDiagXML, "\n", "\r\n"),
		"no root": strings.Replace(setupDiagXML, "</SetupDiag>", "", 1),
	} {
		t.Run(name, func(t *testing.T) {
			got, st := readLog(t, SetupDiag, text)
			if diff := cmp.Diff(want, normalEnds(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if st.Records != len(want) || st.Unread != 0 || st.Lines < 21 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// normalEnds makes the line ends inside of texts LF.
func normalEnds(es []entry) []entry {
	for i := range es {
		es[i].Text = strings.ReplaceAll(es[i].Text, "\r\n", "\n")
	}
	return es
}

func TestSetupDiagFragments(t *testing.T) {
	leaf := func(e entry) string {
		return fmt.Sprintf("%d %s=%s code=%v %s", e.Line, e.Component, e.Text, e.Code, e.Fields)
	}
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{
			"elements without a root", " <LogErrorLine>x 0xC190020E</LogErrorLine>\n  <FailureData>y</FailureData>\n",
			[]string{"1 LogErrorLine=x 0xC190020E code=0xC190020E ", "2 FailureData=y code=0x00000000 "},
		},
		{
			"cut off at the end", "<SetupDiag><ProfileName>FindX</ProfileName>\n<FailureData>Error: 0xC1900101 - 0x2",
			[]string{"1 ProfileName=FindX code=0x00000000 profile=FindX", "2 FailureData=Error: 0xC1900101 - 0x2 code=0xC1900101 profile=FindX"},
		},
		{
			"cut off inside a tag", "<SetupDiag><ProfileName>FindX</ProfileName>\n<FailureData>Error: z</Fail",
			[]string{"1 ProfileName=FindX code=0x00000000 profile=FindX", "2 FailureData=Error: z code=0x00000000 profile=FindX"},
		},
		{
			"cut off at the beginning", "<!-- --> 01 - 0x30018</FailureData>\n<FailureDetails>Err = 0xC1900101</FailureDetails></SetupDiag>",
			[]string{"1 FailureData=01 - 0x30018 code=0x00000000 extend=0x30018", "2 FailureDetails=Err = 0xC1900101 code=0xC1900101 "},
		},
		{
			"two results in one file", "<SetupDiag><Version>1</Version><ProfileName>A</ProfileName></SetupDiag>\n<SetupDiag><Version>2</Version><ProfileName>B</ProfileName><Remediation>r</Remediation></SetupDiag>",
			[]string{"1 Version=1 code=0x00000000 ", "1 ProfileName=A code=0x00000000 profile=A", "2 Version=2 code=0x00000000 ", "2 ProfileName=B code=0x00000000 profile=B", "2 Remediation=r code=0x00000000 profile=B"},
		},
		{
			"a less-than sign and an ampersand that are text", "<A>x & y < z 0x80070005</A>\n<B>w</B>",
			[]string{"1 A=x & y < z 0x80070005 code=0x80070005 ", "2 B=w code=0x00000000 "},
		},
		{
			"an entity of its own is not expanded", `<!DOCTYPE a [<!ENTITY b "boom">]><A>&b;</A>`,
			[]string{"1 A=&b; code=0x00000000 "},
		},
		{
			"CDATA", "<A><![CDATA[x < 0x80070002]]></A>",
			[]string{"1 A=x < 0x80070002 code=0x80070002 "},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			es, _ := readLog(t, SetupDiag, c.text)
			var got []string
			for _, e := range es {
				got = append(got, leaf(e))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

const setupDiagJSON = `{
    "Version":"1.6.0.0",
    "ProfileName":"FindSPFatalError",
    "SystemInfo":{
        "BiosVersion":"F3",
        "CommercialId":null,
        "Model":"FAB\/1 \"x\" \u00e9",
        "Count":12,
        "UpgradeEndTime":"\/Date(1559884909000-0700)\/"
    },
    "LogErrorLine":"2031-02-03 04:05:06, Error                 SP     Result = 0xC1900101[
        gle=0x00000057
    ]",
    "FailureData":[
        "\u000aError: SetupDiag reports Fatal Error.\u000aError: 0xC1900101 - 0x20017",
        "Refer to \"https:\/\/learn.microsoft.com\/\""
    ],
    "Remediation":[

    ],
    "SetupPhaseInfo":[{"PhaseName":"Finalize"}],
    "SetupOperationInfo":null
}
`

func TestSetupDiagJSON(t *testing.T) {
	const p, si = "profile=FindSPFatalError", "profile=FindSPFatalError; parent=SystemInfo"
	want := []entry{
		{Line: 2, Component: "Version", Text: "1.6.0.0"},
		{Line: 3, Component: "ProfileName", Text: "FindSPFatalError", Fields: p},
		{Line: 5, Component: "BiosVersion", Text: "F3", Fields: si},
		{Line: 7, Component: "Model", Text: `FAB/1 "x" é`, Fields: si},
		{Line: 8, Component: "Count", Text: "12", Fields: si},
		{Line: 9, Component: "UpgradeEndTime", Text: "/Date(1559884909000-0700)/", Fields: si},
		{Line: 11, Component: "LogErrorLine", Time: "2031-02-03T04:05:06Z", Level: LevelError, Code: 0xC1900101, Fields: p, Text: "2031-02-03 04:05:06, Error                 SP     Result = 0xC1900101[\n        gle=0x00000057\n    ]"},
		{Line: 15, Component: "FailureData", Level: LevelError, Code: 0xC1900101, Fields: "extend=0x20017; " + p, Text: "Error: SetupDiag reports Fatal Error.\nError: 0xC1900101 - 0x20017"},
		{Line: 16, Component: "FailureData", Fields: p, Text: `Refer to "https://learn.microsoft.com/"`},
		{Line: 21, Component: "PhaseName", Fields: p + "; parent=SetupPhaseInfo", Text: "Finalize"},
	}
	got, st := readLog(t, SetupDiag, setupDiagJSON)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if st.Records != len(want) {
		t.Errorf("%+v", st)
	}
	// Cut off anywhere, the leaves that are whole stay the same.
	for n := range len(setupDiagJSON) {
		got, _ := readLog(t, SetupDiag, setupDiagJSON[:n])
		for i := range got[:max(0, len(got)-1)] {
			if diff := cmp.Diff(want[i], got[i]); diff != "" {
				t.Fatalf("cut at %d, record %d (-want +got):\n%s", n, i, diff)
			}
		}
	}
}

const setupDiagLog = `SetupDiag v1.5.0.0
Copyright (c) Microsoft Corporation. All rights reserved.

SetupDiag: processing rule: CompatScanOnly.
...No match.

SetupDiag: processing rule: FindRollbackFailure.
....
Matching Profile found: FindRollbackFailure - 3A43C9B5-05B3-4F7C-A955-88F991BB5A48
System Information:
    Machine Name = Offline
    Host OS Version = 10.0.15063
    HostOSBuildString = 15063.0.amd64fre.rs2_release.170317-1834

Error: SetupDiag reports rollback failure found.
Last Phase = Finalize
Last Operation = Remove System Restore checkpoints
Error = 0x80070003-0x40008
LogEntry: 2031-02-03 04:05:06, Error                 SP     y
Last Operation: Finalize
....Error: SetupDiag reports abrupt down-level failure. Last Operation: Finalize, Error: 0xC1900208 - 0x4000C
Refer to https://learn.microsoft.com/windows/deployment/upgrade/upgrade-error-codes for error information.

SetupDiag found 1 matching issue.
Warning: Found Application Block for: "Fabrikam Endpoint".
SetupDiag results were logged to: c:\setupdiag\results.log
`

func TestSetupDiagLog(t *testing.T) {
	const p = "profile=FindRollbackFailure"
	want := []entry{
		{Line: 1, Text: "SetupDiag v1.5.0.0"},
		{Line: 2, Text: "Copyright (c) Microsoft Corporation. All rights reserved."},
		{Line: 4, Component: "Rule", Text: "CompatScanOnly", Fields: "profile=CompatScanOnly"},
		{Line: 5, Component: "NoMatch", Text: "CompatScanOnly", Fields: "profile=CompatScanOnly"},
		{Line: 7, Component: "Rule", Text: "FindRollbackFailure", Fields: p},
		{Line: 9, Component: "ProfileName", Text: "FindRollbackFailure", Fields: p},
		{Line: 9, Component: "ProfileGuid", Text: "3A43C9B5-05B3-4F7C-A955-88F991BB5A48", Fields: p},
		{Line: 10, Text: "System Information:", Fields: p},
		{Line: 11, Component: "MachineName", Text: "Offline", Fields: p},
		{Line: 12, Component: "HostOSVersion", Text: "10.0.15063", Fields: p},
		{Line: 13, Component: "HostOSBuildString", Text: "15063.0.amd64fre.rs2_release.170317-1834", Fields: p},
		{Line: 15, Level: LevelError, Text: "Error: SetupDiag reports rollback failure found.", Fields: p},
		{Line: 16, Component: "LastPhase", Text: "Finalize", Fields: p},
		{Line: 17, Component: "LastOperation", Text: "Remove System Restore checkpoints", Fields: p},
		{Line: 18, Component: "Error", Level: LevelError, Code: 0x80070003, Text: "0x80070003-0x40008", Fields: "extend=0x40008; " + p},
		{Line: 19, Component: "LogEntry", Time: "2031-02-03T04:05:06Z", Level: LevelError, Text: "2031-02-03 04:05:06, Error                 SP     y", Fields: p},
		{Line: 20, Component: "LastOperation", Text: "Finalize", Fields: p},
		{Line: 21, Level: LevelError, Code: 0xC1900208, Fields: "extend=0x4000C; " + p, Text: "Error: SetupDiag reports abrupt down-level failure. Last Operation: Finalize, Error: 0xC1900208 - 0x4000C"},
		{Line: 22, Text: "Refer to https://learn.microsoft.com/windows/deployment/upgrade/upgrade-error-codes for error information.", Fields: p},
		{Line: 24, Text: "SetupDiag found 1 matching issue."},
		{Line: 25, Level: LevelWarning, Text: `Warning: Found Application Block for: "Fabrikam Endpoint".`},
		{Line: 26, Text: `SetupDiag results were logged to: c:\setupdiag\results.log`},
	}
	got, _ := readLog(t, SetupDiag, setupDiagLog)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Nesting, size and number of what a hostile file holds are bounded.
func TestSetupDiagHostile(t *testing.T) {
	for name, text := range map[string]string{
		"deep XML":     strings.Repeat("<a>", 100_000) + "x" + strings.Repeat("</a>", 100_000),
		"deep JSON":    strings.Repeat(`{"a":[`, 100_000) + `"x"`,
		"stray starts": "<" + strings.Repeat("< ", 100_000),
		"stray ends":   "<a>" + strings.Repeat("</b>y", 10_000),
		"comments":     strings.Repeat("<!--", 1<<20),
		"quotes":       strings.Repeat("<a b=\"", 1<<20),
		"CDATA":        strings.Repeat("<![CDATA[", 1<<19),
		"long name":    "<" + strings.Repeat("n", 1<<20) + ">x",
		"open string":  `{"` + strings.Repeat(`\`, 1<<20),
		"long text":    "<a>" + strings.Repeat("x", maxSetupDiag+100) + "</a>",
	} {
		t.Run(name, func(t *testing.T) { checkScan(t, SetupDiag, []byte(text)) })
	}
}

// setupDiagBenchmark makes a file of n results.
func setupDiagBenchmark(n int) []byte {
	return bytes.Repeat([]byte(strings.TrimPrefix(setupDiagXML, "<?xml version=\"1.0\" encoding=\"utf-16\"?>\n")), n)
}

func FuzzSetupDiag(f *testing.F) {
	f.Add([]byte(setupDiagXML))
	f.Add([]byte(setupDiagJSON))
	f.Add([]byte(setupDiagLog))
	f.Add([]byte("\xFF\xFE" + utf16Bytes(setupDiagXML[:200], false)))
	f.Add([]byte("<a>&#0;&#xFFFFFFFF;&lt</a><b a='<'>x</c>"))
	f.Add([]byte(`{"a":{"b":["c","\ud800\udc00`))
	f.Fuzz(func(t *testing.T, data []byte) { checkScan(t, SetupDiag, data) })
}

func BenchmarkSetupDiag(b *testing.B) { benchmarkScan(b, SetupDiag, setupDiagBenchmark(100)) }
