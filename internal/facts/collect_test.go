package facts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// machine collects the facts of a machine that left these files.
func machine(t *testing.T, files map[string]string) *Facts {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	h, err := host.OpenFS(context.Background(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	return Collect(context.Background(), h, Options{})
}

// brief is what a test says of a failure.
type brief struct {
	Kind        FailureKind
	Code        codes.HRESULT
	Extend      uint32
	Stage       Stage
	KB          string
	Count       int
	Resolved    bool
	Consequence bool
}

func briefs(list []Failure) []brief {
	var out []brief
	for _, x := range list {
		out = append(out, brief{x.Kind, x.Code, x.Extend, x.Stage, x.Update.KB, x.Count, x.Resolved, x.Consequence})
	}
	return out
}

func suffering(t *testing.T, f *Facts, want ...brief) {
	t.Helper()
	if d := cmp.Diff(want, briefs(f.Suffering())); d != "" {
		t.Errorf("suffering (-want +got):\n%s", d)
	}
}

// filler makes a log long enough that it is no excerpt in which every line counts.
func filler(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format+"\r\n", i/3600%24, i/60%60, i%60, i)
	}
	return b.String()
}

const wuFiller = "2031/03/02 %02d:%02d:%02d.0000000 1032  4120  Agent           Nothing to do, pass %d"

func TestWindowsUpdateLog(t *testing.T) {
	const failing = "2031/03/03 08:00:01.0000000 1032  4120  WebServices     WS error: There was an error communicating with the endpoint.\r\n" +
		"2031/03/03 08:00:02.0000000 1032  4120  ProtocolTalker  *FAILED* [80072EE2] SyncUpdates_WithRecovery failed.\r\n" +
		"2031/03/03 08:00:03.0000000 1032  4120  Agent           * END * Finding updates CallerId = UpdateOrchestrator  Id = 7, Exit code = 0x80072EE2 (cV = aB3.0.0)\r\n"
	t.Run("the end of a call", func(t *testing.T) {
		f := machine(t, map[string]string{"WindowsUpdate.log": filler(100, wuFiller) + failing})
		suffering(t, f, brief{Kind: KindError, Code: 0x80072EE2, Stage: StageScan, Count: 2})
		x := f.Failures[0]
		if x.Weight != decisive || x.First.Second() != 2 || x.Last.Second() != 3 {
			t.Errorf("weight %v from %v to %v", x.Weight, x.First, x.Last)
		}
		if got := x.Seen[0].Source; got != "WindowsUpdate.log:102" {
			t.Errorf("seen at %s", got)
		}
		if !strings.Contains(x.Seen[1].Text, "* END * Finding updates") {
			t.Errorf("quotes %q", x.Seen[1].Text)
		}
	})
	t.Run("success after it", func(t *testing.T) {
		f := machine(t, map[string]string{"WindowsUpdate.log": filler(100, wuFiller) + failing +
			"2031/03/03 09:00:03.0000000 1032  4120  Agent           * END * Finding updates CallerId = UpdateOrchestrator  Id = 8, Exit code = 0x00000000 (cV = aB4.0.0)\r\n"})
		suffering(t, f)
		if len(f.Failures) != 1 || !f.Failures[0].Resolved {
			t.Errorf("%+v, want one failure, resolved", briefs(f.Failures))
		}
		if len(f.Successes) != 1 || f.Successes[0].Stage != StageScan {
			t.Errorf("successes %+v", f.Successes)
		}
	})
	t.Run("success before it", func(t *testing.T) {
		f := machine(t, map[string]string{"WindowsUpdate.log": filler(100, wuFiller) +
			"2031/03/03 07:00:03.0000000 1032  4120  Agent           * END * Finding updates CallerId = UpdateOrchestrator  Id = 6, Exit code = 0x00000000 (cV = aB2.0.0)\r\n" + failing})
		suffering(t, f, brief{Kind: KindError, Code: 0x80072EE2, Stage: StageScan, Count: 2})
	})
	t.Run("success of another stage", func(t *testing.T) {
		f := machine(t, map[string]string{"WindowsUpdate.log": filler(100, wuFiller) + failing +
			"2031/03/03 09:00:03.0000000 1032  4120  Agent           * END * Installing updates CallerId = UpdateOrchestrator, Exit code = 0x00000000 (cV = aB4.0.0)\r\n"})
		suffering(t, f, brief{Kind: KindError, Code: 0x80072EE2, Stage: StageScan, Count: 2})
	})
	t.Run("noise alone is no failure", func(t *testing.T) {
		f := machine(t, map[string]string{"WindowsUpdate.log": filler(100, wuFiller) +
			"2031/03/03 08:00:01.0000000 1032  4120  DataStore       *FAILED* [80248007] GetDeploymentInformation\r\n" +
			"2031/03/03 08:00:02.0000000 1032  4120  Agent           *FAILED* [8024000C] no operation\r\n" +
			"2031/03/03 08:00:03.0000000 1032  4120  DownloadManager *FAILED* [80246007] IsCommitRequired\r\n" +
			"2031/03/03 08:00:04.0000000 1032  4120  Misc            *FAILED* [80070032] Evaluating AppX bundle\r\n"})
		if len(f.Failures) != 0 {
			t.Errorf("failures %+v", briefs(f.Failures))
		}
		if seen, ok := f.Code(0x80248007); ok {
			t.Errorf("noise is remembered as a code: %+v", seen)
		}
	})
	t.Run("a code that is noise in some lines only", func(t *testing.T) {
		f := machine(t, map[string]string{"WindowsUpdate.log": filler(100, wuFiller) +
			"2031/03/03 08:00:03.0000000 1032  4120  Agent           *FAILED* [80246007] Install of update 4 needs its file\r\n"})
		suffering(t, f, brief{Kind: KindError, Code: 0x80246007, Stage: StageInstall, Count: 1})
	})
	t.Run("older Windows", func(t *testing.T) {
		f := machine(t, map[string]string{"WindowsUpdate.log": "2019-05-06\t10:11:12:345\t 892\tb04\tMisc\t===========  Logging initialized (build: 7.6.7601.24436, tz: +0100)  ===========\r\n" +
			"2019-05-06\t10:11:13:000\t 892\t1a4\tPT\tWARNING: SendRequest failed with hr = 80072ee2. Proxy List used: <(null)> Bypass List used : <(null)> Auth Schemes used : <>\r\n" +
			"2019-05-06\t10:11:13:010\t 892\t1a4\tAgent\t  * WARNING: Exit code = 0x80072EE2\r\n" +
			"2019-05-06\t10:11:13:020\t 892\t1a4\tAgent\t*********\r\n"})
		suffering(t, f, brief{Kind: KindError, Code: 0x80072EE2, Stage: StageScan, Count: 2})
		if got := f.Failures[0].Last; got != time.Date(2019, 5, 6, 10, 11, 13, 10e6, time.UTC) {
			t.Errorf("last %v", got)
		}
	})
	t.Run("build", func(t *testing.T) {
		f := machine(t, map[string]string{"WindowsUpdate.log": filler(3, wuFiller) +
			"2031/03/03 08:00:03.0000000 1032  4120  Misc              OS Version = 10.0.22631.3007 (ge_release)\r\n"})
		if f.Machine.Build != "22631.3007" {
			t.Errorf("build %q", f.Machine.Build)
		}
	})
}

const cbsFiller = "2031-03-02 %02d:%02d:%02d, Info                  CBS    Appl: pass %d, nothing to do"

func TestServicingCascade(t *testing.T) {
	const session = "2031-03-03 04:10:00, Info                  CBS    Loaded Servicing Stack v10.0.22631.3807 with Core: C:\\Windows\\winsxs\\amd64_microsoft-windows-servicingstack_31bf3856ad364e35_10.0.22631.3807_none_1\\cbscore.dll\r\n" +
		"2031-03-03 04:10:01, Info                  CBS    Session: 31200100_2220001000 initialized by client UpdateAgentLCU, external staging directory: (null), external registry directory: (null)\r\n"
	const cascade = "2031-03-03 04:12:00, Error                 CSI    00000211 (F) Failed execution of queue item Installer: Fabrikam Widgets ({11112222-3333-4444-5555-666677778888}) with HRESULT 80070005.\r\n" +
		"2031-03-03 04:12:01, Error                 CBS    Failed to process package: Package_for_RollupFix~31bf3856ad364e35~amd64~~22631.3880.1.9 for KB5040442 [HRESULT = 0x800f0922 - CBS_E_INSTALLERS_FAILED]\r\n" +
		"2031-03-03 04:12:02, Error                 CBS    Failed to perform operation.  [HRESULT = 0x80004005 - E_FAIL]\r\n" +
		"2031-03-03 04:12:03, Info                  CBS    Exec: Processing complete.  Session: 31200100_2220001000, Package: Package_for_RollupFix~31bf3856ad364e35~amd64~~22631.3880.1.9 [HRESULT = 0x800f0922 - CBS_E_INSTALLERS_FAILED]\r\n"

	f := machine(t, map[string]string{"CBS.log": filler(100, cbsFiller) + session + cascade})
	s := f.Suffering()
	if len(s) == 0 {
		t.Fatal("nothing failed")
	}
	byCode := map[codes.HRESULT]Failure{}
	for _, x := range s {
		byCode[x.Code] = x
	}
	if x := byCode[0x80070005]; x.Consequence || x.Count != 1 {
		t.Errorf("the first failure of the cascade: %+v", x)
	}
	if x := byCode[0x80004005]; !x.Consequence {
		t.Errorf("what follows it: %+v", x)
	}
	want := Servicing{
		StackVersion: "10.0.22631.3807", Session: "31200100_2220001000", Client: "UpdateAgentLCU",
		Package: "Package_for_RollupFix~31bf3856ad364e35~amd64~~22631.3880.1.9", Installer: "Fabrikam Widgets", KB: "KB5040442",
		Chain: []codes.HRESULT{0x80070005, 0x800F0922, 0x80004005, 0x800F0922},
	}
	got := f.Servicing
	if len(got.Seen) != len(got.Chain) {
		t.Errorf("%d lines for a chain of %d", len(got.Seen), len(got.Chain))
	}
	got.Seen = nil
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("servicing (-want +got):\n%s", d)
	}
	if f.Machine.Build != "22631.3807" {
		t.Errorf("build %q", f.Machine.Build)
	}

	t.Run("another session begins anew", func(t *testing.T) {
		f := machine(t, map[string]string{"CBS.log": filler(100, cbsFiller) + session + cascade +
			"2031-03-03 04:12:10, Info                  CBS    Session: 31200100_2220001001 initialized by client DISM Package Manager Provider, external staging directory: (null)\r\n" +
			"2031-03-03 04:12:11, Error                 CBS    Failed to load the payload [HRESULT = 0x800f081f - CBS_E_SOURCE_MISSING]\r\n"})
		for _, x := range f.Suffering() {
			if x.Code == 0x800F081F && x.Consequence {
				t.Error("a failure of another session counts as a consequence")
			}
		}
		if f.Servicing.Session != "31200100_2220001000" {
			t.Errorf("session %q, want the first that failed", f.Servicing.Session)
		}
	})
	t.Run("the same words again", func(t *testing.T) {
		var again strings.Builder
		for i := range 50 {
			fmt.Fprintf(&again, "2031-03-03 04:%02d:00, Error                 CSI    %08x (F) STATUS_OBJECT_NAME_NOT_FOUND #%d# from something, [HRESULT = 0x80070003]\r\n", 10+i, i, 7)
		}
		f := machine(t, map[string]string{"CBS.log": filler(100, cbsFiller) + again.String()})
		suffering(t, f, brief{Kind: KindError, Code: 0x80070003, Stage: StageInstall, Count: 50})
	})
	t.Run("a healthy log", func(t *testing.T) {
		f := machine(t, map[string]string{"CBS.log": filler(100, cbsFiller) + session +
			"2031-03-03 04:11:00, Info                  CBS    Failed to find a matching version for servicing stack: C:\\x [HRESULT = 0x80070490 - ERROR_NOT_FOUND] autorepairneeded\r\n" +
			"2031-03-03 04:11:01, Info                  CBS    Failed to open package [HRESULT = 0x800f0805 - CBS_E_INVALID_PACKAGE]\r\n" +
			"2031-03-03 04:11:02, Error                 CBS    SQM: Failed to upload [HRESULT = 0x80004005 - E_FAIL]\r\n" +
			"2031-03-03 04:12:03, Info                  CBS    Exec: Processing complete.  Session: 31200100_2220001000, Package: Package_for_KB5040000~31bf3856ad364e35~amd64~~22631.1.1.1, [HRESULT = 0x00000000]\r\n"})
		suffering(t, f)
		if len(f.Successes) == 0 || f.Successes[0].Update.KB != "KB5040000" {
			t.Errorf("successes %+v", f.Successes)
		}
	})
}

func TestRepairReport(t *testing.T) {
	report := func(found, repaired int) string {
		return filler(100, cbsFiller) + fmt.Sprintf("2031-03-03 04:20:00, Info                  CBS    =================================\r\nChecking System Update Readiness.\r\n\r\n"+
			"(p)\tCSI Payload Corrupt\t(n)\t\t\tamd64_fabrikam_31bf3856ad364e35_10.0.1.1_none_1\\widget.dll\r\n\r\n"+
			"Summary:\r\nOperation: Detect and Repair \r\nOperation result: 0x0\r\nLast Successful Step: Remove staged packages completes.\r\n"+
			"Total Detected Corruption:\t%d\r\n\tCBS Manifest Corruption:\t0\r\nTotal Repaired Corruption:\t%d\r\n", found, repaired)
	}
	for _, tt := range []struct {
		found, repaired int
		fails, heals    bool
	}{{3, 0, true, false}, {3, 3, false, true}, {0, 0, false, false}, {12, 11, true, false}} {
		f := machine(t, map[string]string{"CBS.log": report(tt.found, tt.repaired)})
		if _, left := f.Mark("checksur-unrepaired"); left != tt.fails {
			t.Errorf("%d of %d repaired: unrepaired %v", tt.repaired, tt.found, left)
		}
		if got := len(f.Suffering()) > 0; got != tt.fails {
			t.Errorf("%d of %d repaired: suffers %v", tt.repaired, tt.found, got)
		}
		if got := len(f.Successes) > 0; got != tt.heals {
			t.Errorf("%d of %d repaired: success %v", tt.repaired, tt.found, got)
		}
	}
}

func TestSFCLines(t *testing.T) {
	f := machine(t, map[string]string{"CBS.log": filler(100, cbsFiller) +
		"2031-03-03 04:10:00, Info                  CBS    Loaded Servicing Stack v10.0.22631.3807 with Core: C:\\Windows\\winsxs\\x\\cbscore.dll\r\n" +
		"2031-03-03 04:20:00, Info                  CSI    000001ca [SR] Cannot repair member file [l:10]'widget.dll' of Fabrikam-Widgets, version 10.0.22631.1, arch amd64, nonSxS, pkt {l:8 b:31bf3856ad364e35} in the store, hash mismatch\r\n"})
	suffering(t, f, brief{Kind: KindError, Stage: StageVerify, Count: 1})
	if !strings.Contains(f.Servicing.Component, "widget.dll") {
		t.Errorf("component %q", f.Servicing.Component)
	}
}

func TestSetupRun(t *testing.T) {
	const filler = "2031-04-01 %02d:%02d:%02d, Info                  SP     Doing step %d"
	var log strings.Builder
	for i := range 100 {
		fmt.Fprintf(&log, filler+"\r\n", 1, i/60, i%60, i)
	}
	// An early run of errors that setup got over.
	log.WriteString("2031-04-01 01:10:00, Error                 SP     Cannot read optional file, hr = 0x80070002\r\n")
	log.WriteString("2031-04-01 01:10:01, Info                  SP     Going on\r\n")
	// The run in which it gave up.
	log.WriteString("2031-04-01 02:00:00, Error                 SP     Cannot apply package, hr = 0x80070490\r\n" +
		"2031-04-01 02:00:01, Error                 SP     Operation failed: Add drivers. Error: 0x8007042B[gle=0x000000b7]\r\n" +
		"2031-04-01 02:00:02, Error                 MOUPG  CSetupHost: Execute failed. Result = 0x8007042B\r\n")
	f := machine(t, map[string]string{"setupact.log": log.String()})
	s := f.Suffering()
	if len(s) == 0 || s[0].Code != 0x80070490 || s[0].Stage != StageSetup || s[0].Consequence {
		t.Fatalf("suffering %+v, want 0x80070490 first", briefs(s))
	}
	for _, x := range f.Failures {
		switch x.Code {
		case 0x8007042B:
			if !x.Consequence {
				t.Error("what passes the result up counts as the fault")
			}
		case 0x80070002:
			if x.Weight >= reported {
				t.Error("an error that setup got over counts")
			}
		}
	}
}

func TestSetupExtend(t *testing.T) {
	f := machine(t, map[string]string{"setupact.log": "2031-04-01 02:00:02, Error                 MOUPG  Setup ended with 0xC1900101-0x20017\r\n"})
	s := f.Suffering()
	if len(s) != 1 || s[0].Code != 0xC1900101 || s[0].Extend != 0x20017 || s[0].Stage != StageSetup {
		t.Errorf("suffering %+v", briefs(s))
	}
}

func TestReportingEvents(t *testing.T) {
	const guid = "{7A1B2C3D-0000-4000-8000-000000000001}"
	line := func(at, number, name, update, result, status, kind, message string) string {
		return strings.Join([]string{guid, at, "1", number + " [" + name + "]", "101", update, "200", result, "UpdateOrchestrator", status, kind, message}, "\t") + "\r\n"
	}
	failed := line("2031-05-06 07:08:09:123+0100", "182", "AGENT_INSTALLING_FAILED", "{0A0B0C0D-0000-4000-8000-00000000000A}", "80070643", "Failure", "Content Install",
		"Installation Failure: Windows failed to install the following update with error 0x80070643: 2031-01 Security Update (KB5034441).")
	t.Run("failure", func(t *testing.T) {
		f := machine(t, map[string]string{"ReportingEvents.log": failed})
		suffering(t, f, brief{Kind: KindError, Code: 0x80070643, Stage: StageInstall, KB: "KB5034441", Count: 1})
		if got := f.Failures[0].Update.ID; !strings.EqualFold(got, "{0A0B0C0D-0000-4000-8000-00000000000A}") {
			t.Errorf("update id %q", got)
		}
	})
	succeeded := func(kb string) string {
		return line("2031-05-07 07:08:09:123+0100", "183", "AGENT_INSTALLING_SUCCEEDED", "{0A0B0C0D-0000-4000-8000-00000000000A}", "0", "Success", "Content Install",
			"Installation Successful: Windows successfully installed the following update: 2031-01 Security Update ("+kb+")")
	}
	t.Run("the same update later", func(t *testing.T) {
		f := machine(t, map[string]string{"ReportingEvents.log": failed + succeeded("KB5034441")})
		suffering(t, f)
	})
	t.Run("another update later", func(t *testing.T) {
		f := machine(t, map[string]string{"ReportingEvents.log": failed + succeeded("KB5011111")})
		suffering(t, f, brief{Kind: KindError, Code: 0x80070643, Stage: StageInstall, KB: "KB5034441", Count: 1})
	})
}

func TestConfigMgrLogs(t *testing.T) {
	line := func(text, component string, kind int) string {
		return fmt.Sprintf("<![LOG[%s]LOG]!><time=\"10:11:12.345-060\" date=\"03-02-2031\" component=\"%s\" context=\"\" type=\"%d\" thread=\"4120\" file=\"x.cpp:1\">\r\n", text, component, kind)
	}
	f := machine(t, map[string]string{
		"WUAHandler.log": line("OnSearchComplete - Failed to end search job. Error = 0x80244022.", "WUAHandler", 3) +
			line("Scan failed with error = 0x80244022.", "WUAHandler", 3),
		"UpdatesDeployment.log": line("Job error (0x87d00692) received for assignment", "UpdatesDeploymentAgent", 3),
	})
	suffering(t, f, brief{Kind: KindError, Code: 0x80244022, Stage: StageScan, Count: 2})
}

func TestGaps(t *testing.T) {
	f := machine(t, map[string]string{
		"WindowsUpdate.20310302.101112.345.1.etl": "\x00\x10\x00\x00trace",
		"WindowsUpdate.log":                       strings.Repeat("1600/12/31 19:00:00.0000000 2144  3060                  Unknown( 10): GUID=638e22b1-a858-3f40-8a43-af2c2ff651a4 (No Format Information found).\r\n", 80),
		"picture.bin":                             strings.Repeat("\x00\xFE\x01\x00\x00\x9C\x13", 200),
	})
	why := map[string]string{}
	for _, g := range f.Gaps {
		why[g.Source] = g.Why
	}
	want := map[string]string{
		"WindowsUpdate.20310302.101112.345.1.etl": "gap.etl",
		"WindowsUpdate.log":                       "gap.undecoded-etl",
		"picture.bin":                             "gap.binary",
	}
	if d := cmp.Diff(want, why); d != "" {
		t.Errorf("gaps (-want +got):\n%s", d)
	}
	if _, ok := f.Mark("wu-log-undecoded"); !ok {
		t.Error("a log that Windows could not convert is not marked")
	}
	suffering(t, f)
}

// A trace is no gap where the log that Windows made of it is there; one that began
// later is, and one whose name tells no time.
func TestConvertedTraces(t *testing.T) {
	f := machine(t, map[string]string{
		"WindowsUpdate.20310302.101112.345.1.etl": "\x00\x10\x00\x00trace",
		"windowsupdate.20310304.080910.345.1.etl": "\x00\x10\x00\x00trace",
		"other.etl":         "\x00\x10\x00\x00trace",
		"WindowsUpdate.log": "2031/03/03 18:31:07.7710046 3912  6720  Agent           * START * Finding updates CallerId = UpdateOrchestrator  Id = 31\r\n2031/03/03 18:31:11.1290036 3912  6720  Agent           * END * Finding updates CallerId = UpdateOrchestrator, Id = 31, Exit code = 0x00000000\r\n",
	})
	var got []string
	for _, g := range f.Gaps {
		got = append(got, g.Source+" "+g.Why)
	}
	slices.Sort(got)
	if d := cmp.Diff([]string{"other.etl gap.etl", "windowsupdate.20310304.080910.345.1.etl gap.etl"}, got); d != "" {
		t.Errorf("gaps (-want +got):\n%s", d)
	}
}

// broken is a host whose files cannot be opened or end early, and whose registry
// refuses.
type broken struct {
	*host.Recorded
	open error
	cut  int
}

func (b broken) Open(ctx context.Context, f host.File) (io.ReadCloser, error) {
	if b.open != nil {
		return nil, b.open
	}
	rc, err := b.Recorded.Open(ctx, f)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(rc, int64(b.cut)), failingReader{}), rc}, nil
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("bad sector") }

func (b broken) Key(context.Context, string) (host.Key, error) { return host.Key{}, host.ErrDenied }

func recorded(t *testing.T, files map[string]string) *host.Recorded {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	h, err := host.OpenFS(context.Background(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// What cannot be read is a gap, and what was read before still counts.
func TestBrokenHost(t *testing.T) {
	h := recorded(t, map[string]string{"notes.txt": "fails with 0x80070643"})
	f := Collect(context.Background(), broken{Recorded: h, open: host.ErrDenied}, Options{})
	if !slices.ContainsFunc(f.Gaps, func(g Gap) bool { return g.Source == "notes.txt" }) || len(f.Failures) != 0 {
		t.Errorf("gaps %+v, failures %+v", f.Gaps, f.Failures)
	}
	denied := 0
	for _, g := range f.Gaps {
		if g.Why == "gap.denied" {
			denied++
		}
	}
	if denied != len(Keys()) {
		t.Errorf("%d keys denied, want %d", denied, len(Keys()))
	}
	if v := f.DWord(Keys()[0], "x"); v.Known() {
		t.Error("a key that was denied is known")
	}

	log := "2031-03-03 04:12:02, Error                 CBS    Failed to perform operation.  [HRESULT = 0x80070003 - ERROR_PATH_NOT_FOUND]\r\n"
	h = recorded(t, map[string]string{"CBS.log": log + strings.Repeat("x", 1000)})
	f = Collect(context.Background(), broken{Recorded: h, cut: len(log)}, Options{})
	if len(f.Failures) != 1 || f.Failures[0].Code != 0x80070003 {
		t.Errorf("failures %+v, want the one before the bad sector", briefs(f.Failures))
	}
	if !slices.ContainsFunc(f.Gaps, func(g Gap) bool { return g.Source == "CBS.log" && strings.Contains(g.Why, "bad sector") }) {
		t.Errorf("gaps %+v", f.Gaps)
	}
}

func TestCancelledCollect(t *testing.T) {
	h := recorded(t, map[string]string{"CBS.log": filler(1000, cbsFiller)})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f := Collect(ctx, h, Options{})
	if !slices.ContainsFunc(f.Gaps, func(g Gap) bool { return g.Source == "all" }) {
		t.Errorf("gaps %+v, want one that says that not everything was read", f.Gaps)
	}
}

// The order of files decides the order of what was found, whichever is read first.
func TestCollectIsDeterministic(t *testing.T) {
	files := map[string]string{}
	for i := range 12 {
		files[fmt.Sprintf("CBS-%02d.log", i)] = filler(10*i, cbsFiller) + fmt.Sprintf("2031-03-03 04:12:%02d, Error                 CBS    Failed to do thing %d.  [HRESULT = 0x8007%04x - E]\r\n", i, i, 0x10+i%4)
	}
	first := machine(t, files)
	for range 5 {
		again := machine(t, files)
		if d := cmp.Diff(briefs(first.Failures), briefs(again.Failures)); d != "" {
			t.Fatalf("another order (-first +again):\n%s", d)
		}
		if d := cmp.Diff(first.Failures[0].Seen, again.Failures[0].Seen); d != "" {
			t.Fatalf("another quote (-first +again):\n%s", d)
		}
	}
}

func TestProgress(t *testing.T) {
	h := recorded(t, map[string]string{"a.txt": "one 0x80070005", "b.txt": "two 0x80070002"})
	var last, total int64
	Collect(context.Background(), h, Options{Progress: func(d, n int64) { last, total = d, n }})
	if last != total || total != 28 {
		t.Errorf("ended at %d of %d bytes, want 28", last, total)
	}
}

func TestSuffering(t *testing.T) {
	f := &Facts{Failures: []Failure{
		{Code: 1, Weight: decisive}, {Code: 2, Weight: mentioned}, {Code: 3, Weight: decisive, Resolved: true}, {Code: 4, Weight: reported},
	}}
	suffering(t, f, brief{Code: 1}, brief{Code: 4})
	if got := (&Facts{}).Suffering(); got != nil {
		t.Errorf("nothing known, yet suffering %+v", got)
	}
}

// What is quoted is bounded, valid and free of torn characters.
func TestQuote(t *testing.T) {
	long := strings.Repeat("ä", maxQuote)
	for _, in := range []string{"", "  short  ", long, "a" + long, "torn \xC3", string([]byte{0xFF, 0xFE, 'x'})} {
		got := quote([]byte(in))
		if len(got) > maxQuote+len(" …") || !bytes.Equal([]byte(got), []byte(strings.ToValidUTF8(got, "?"))) {
			t.Errorf("quote(%.20q): %d bytes", in, len(got))
		}
	}
}

func TestFindKB(t *testing.T) {
	for in, want := range map[string]string{
		"Package_for_KB5034441~31bf": "KB5034441", "kb5034441": "KB5034441", "KB 5034441": "", "XKB5034441": "", "KB12345": "", "KB50344411": "",
		"": "", "KB": "", "see KB123456.": "KB123456", "(KB5034441)": "KB5034441",
	} {
		if got := findKB([]byte(in)); got != want {
			t.Errorf("findKB(%q) = %q, want %q", in, got, want)
		}
	}
}

func BenchmarkCollect(b *testing.B) {
	const size = 64 << 20
	line := "2031-03-02 04:05:06, Info                  CBS    Appl: detect Parent, Package: Package_for_KB5040000~31bf3856ad364e35~amd64~~22631.1.1.1, Parent: Fabrikam-Foundation-Package~31bf3856ad364e35~amd64~~10.0.22631.1, Disposition = Detect\r\n"
	failing := "2031-03-02 04:05:07, Error                 CBS    Failed to resolve package 'Fabrikam-Widgets-Package~31bf3856ad364e35~amd64~~10.0.1.1' [HRESULT = 0x800f0831 - CBS_E_STORE_CORRUPTION]\r\n"
	log := strings.Repeat(strings.Repeat(line, 999)+failing, size/(999*len(line)+len(failing)))
	for _, name := range []string{"CBS.log", "WindowsUpdate.log"} {
		text := log
		if name == "WindowsUpdate.log" {
			one := fmt.Sprintf(wuFiller+"\r\n", 1, 2, 3, 4)
			text = strings.Repeat(one, size/len(one))
		}
		b.Run(name, func(b *testing.B) {
			h, err := host.OpenFS(context.Background(), fstest.MapFS{name: {Data: []byte(text)}})
			if err != nil {
				b.Fatal(err)
			}
			defer h.Close()
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				Collect(context.Background(), h, Options{})
			}
		})
	}
}
