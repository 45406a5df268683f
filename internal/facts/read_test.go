package facts

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/codes"
	"updoc/internal/winlog"
	"updoc/internal/winlog/evtxtest"
)

const updateClient = "Microsoft-Windows-WindowsUpdateClient"

// updateEventAt is an event of the update client as it stands in the System log.
func updateEventAt(at time.Time, id uint32, level uint8, data ...evtxtest.Field) evtxtest.Event {
	return evtxtest.Event{Provider: updateClient, Channel: "System", ID: id, Level: level, Time: at, Data: data}
}

func evtx(t *testing.T, events ...evtxtest.Event) string {
	t.Helper()
	var b bytes.Buffer
	if err := evtxtest.Write(&b, events); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func title(s string) evtxtest.Field { return evtxtest.Field{Name: "updateTitle", Value: s} }

func guid(s string) evtxtest.Field {
	return evtxtest.Field{Name: "updateGuid", Value: evtxtest.GUID(s)}
}

func errorCode(h uint32) evtxtest.Field {
	return evtxtest.Field{Name: "errorCode", Value: evtxtest.Hex32(h)}
}

func TestEventLog(t *testing.T) {
	at := time.Date(2031, 4, 5, 6, 7, 8, 0, time.UTC)
	const id = "7A1B2C3D-0000-4000-8000-000000000001"
	const cumulative = "2031-04 Cumulative Update for Windows 11 for x64-based Systems (KB5055523)"
	failed := updateEventAt(at, 20, 2, errorCode(0x800F0922), title(cumulative), guid(id))
	for _, tt := range []struct {
		name   string
		events []evtxtest.Event
		want   []brief
	}{
		{"20: an installation failed", []evtxtest.Event{failed}, []brief{{Kind: KindError, Code: 0x800F0922, Stage: StageInstall, KB: "KB5055523", Count: 1}}},
		{"25: a search failed", []evtxtest.Event{updateEventAt(at, 25, 2, errorCode(0x8024402C))}, []brief{{Kind: KindError, Code: 0x8024402C, Stage: StageScan, Count: 1}}},
		{"31: a download failed", []evtxtest.Event{updateEventAt(at, 31, 2, errorCode(0x80D02002), title(cumulative), guid(id))}, []brief{{Kind: KindError, Code: 0x80D02002, Stage: StageDownload, KB: "KB5055523", Count: 1}}},
		{"19 after it: it was installed", []evtxtest.Event{failed, updateEventAt(at.Add(time.Hour), 19, 4, title(cumulative), guid(id))}, nil},
		{"19 before it", []evtxtest.Event{updateEventAt(at.Add(-time.Hour), 19, 4, title(cumulative), guid(id)), failed}, []brief{{Kind: KindError, Code: 0x800F0922, Stage: StageInstall, KB: "KB5055523", Count: 1}}},
		{"19 of another update", []evtxtest.Event{failed, updateEventAt(at.Add(time.Hour), 19, 4, title("Definition Update (KB2267602)"), guid(id))}, []brief{{Kind: KindError, Code: 0x800F0922, Stage: StageInstall, KB: "KB5055523", Count: 1}}},
		{"twice", []evtxtest.Event{failed, updateEventAt(at.Add(time.Hour), 20, 2, errorCode(0x800F0922), title(cumulative), guid(id))}, []brief{{Kind: KindError, Code: 0x800F0922, Stage: StageInstall, KB: "KB5055523", Count: 2}}},
		{"another program's event", []evtxtest.Event{{Provider: "Fabrikam Backup", Channel: "Application", ID: 20, Level: 2, Time: at, Data: []evtxtest.Field{{Value: "backup failed with 0x80070005"}}}}, nil},
		{"19 alone", []evtxtest.Event{updateEventAt(at, 19, 4, title(cumulative), guid(id))}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := machine(t, map[string]string{"System.evtx": evtx(t, tt.events...)})
			suffering(t, f, tt.want...)
		})
	}

	f := machine(t, map[string]string{"System.evtx": evtx(t, failed)})
	x := f.Failures[0]
	if x.Update.Title != cumulative || !strings.Contains(strings.ToUpper(x.Update.ID), id) {
		t.Errorf("update %+v", x.Update)
	}
	if !x.First.Equal(at) || x.Seen[0].Source != "System.evtx:1" {
		t.Errorf("at %v, seen %s", x.First, x.Seen[0].Source)
	}
}

func TestEventText(t *testing.T) {
	f := machine(t, map[string]string{"events.txt": "Log Name:      System\r\n" +
		"Source:        Microsoft-Windows-WindowsUpdateClient\r\n" +
		"Date:          4/5/2031 6:07:08 AM\r\n" +
		"Event ID:      20\r\n" +
		"Task Category: Windows Update Agent\r\n" +
		"Level:         Error\r\n" +
		"Keywords:      Failure,Installation\r\n" +
		"User:          SYSTEM\r\n" +
		"Computer:      pc1.fabrikam.example\r\n" +
		"Description:\r\n" +
		"Installation Failure: Windows failed to install the following update with error 0x80070643: Security Update (KB5034441).\r\n"})
	suffering(t, f, brief{Kind: KindError, Code: 0x80070643, Stage: StageInstall, KB: "KB5034441", Count: 1})
}

func TestNotes(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []brief
	}{
		{"a code", "Since Tuesday the update stops with 0x80240438.", []brief{{Kind: KindError, Code: 0x80240438, Stage: StageScan, Count: 1}}},
		{"a symbol", "Log says WU_E_PT_ENDPOINT_UNREACHABLE", []brief{{Kind: KindError, Code: 0x80240438, Stage: StageScan, Count: 1}}},
		{"setup's pair", "Upgrade ends with 0xC1900101 - 0x20017", []brief{{Kind: KindError, Code: 0xC1900101, Extend: 0x20017, Stage: StageSetup, Count: 1}}},
		{"the update named beside it", "KB5034441 fails with 0x80070643", []brief{{Kind: KindError, Code: 0x80070643, Stage: StageInstall, KB: "KB5034441", Count: 1}}},
		{"trouble that is over", "An earlier error 0x80070005 was fixed last year.\nAll is well since.", nil},
		{"reverted", "At 98 % it says: We couldn't complete the updates, undoing changes. Then the old version is back.", []brief{{Kind: KindReverted, Stage: StageInstall, Count: 1}}},
		{"not offered", "Windows says you're up to date, but 24H2 is not offered to this PC.", []brief{{Kind: KindNotOffered, Stage: StageScan, Count: 1}}},
		{"plain complaint", "Updating does not work any more on this PC.", []brief{{Kind: KindError, Stage: StageAny, Count: 1}}},
		{"no word of complaint, but a question", "Our task sequence has a step for the updates of a reference image and it goes past it in two seconds, where is the switch?", []brief{{Kind: KindError, Stage: StageAny, Count: 1}}},
		{"another language", "新しい端末で累積更新プログラムの適用に失敗する。", []brief{{Kind: KindError, Stage: StageAny, Count: 1}}},
		{"trouble there is none of", "Ran the monthly updates on this server, no errors and no other problems, all good.", nil},
		{"content, with a but", "Updates are installed fine on the desktop, but where do they come from on the laptop of my son?", []brief{{Kind: KindError, Stage: StageAny, Count: 1}}},
		{"the others are up to date too", "All of them say they are up to date, only the first one got 24H2.", []brief{{Kind: KindNotOffered, Stage: StageScan, Count: 1}}},
		{"nothing wrong", "This machine stands in the library.\nIt is five years old.", nil},
		{"success codes", "The command ended with 0x00000000 and, later, 0x00240006.", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			suffering(t, machine(t, map[string]string{"notes.txt": tt.text}), tt.want...)
		})
	}
}

// A quote from a text names the line it stands on, also past blank lines and
// in the second piece of a long text.
// Who writes about updating and is content has nothing that fails; who only tells what
// the machine does has, because people write when something is wrong.
func TestContent(t *testing.T) {
	for text, complains := range map[string]bool{
		"Looked into the servicing log out of interest, updates install fine.":                                                         false,
		"Just curious what these lines of CBS.log mean, Windows Update runs normally here.":                                            false,
		"All updates of this month went in without any trouble, the log is for the record.":                                            false,
		"The update was installed successfully and the PC restarted once, as expected.":                                                false,
		"Nothing is wrong with this server, the log belongs to a machine for comparison with another after the update.":                false,
		"Every update since the spring has been installed properly and none of them failed.":                                           false,
		"The upgrade to 24H2 completed cleanly and took about forty minutes on this laptop.":                                           false,
		"Nach dem Update läuft alles einwandfrei, das Protokoll ist nur zur Ansicht für euch.":                                         false,
		"Updates download and install as usual on this PC, only checking the log for the record.":                                      false,
		"The installation stood at one third for a quarter of an hour, but then it continued fine and all is current.":                 false,
		"Somebody writes that with this program updates cannot be found; I have it too, and mine install fine every month on this PC.": false,
		"Somebody writes that with this program updates cannot be found, and here on this PC it is the same.":                          true,
		"The download went fine, but then it all fell apart: the update sits at 30 percent on this laptop.":                            true,
		"Windows Update works fine at home but at the office the same laptop finds no server.":                                         true,
		"Windows Update says that my organisation manages updates, this is a PC at home.":                                              true,
		"The update to 24H2 comes up every evening and asks me to restart once more.":                                                  true,
		"Since the patch of June the laptop asks for the BitLocker key at each start of Windows.":                                      true,
		"Updates install fine except KB5031358, which has been at 0 percent since Monday.":                                             true,
		"Nothing helps, Windows Update shows the same code whenever I press the button.":                                               true,
		"Update läuft seit gestern abend bei 20 Prozent, der Lüfter dreht hoch dabei.":                                                 true,
	} {
		if got := len(machine(t, map[string]string{"notes.txt": text + "\r\n"}).Failures) > 0; got != complains {
			t.Errorf("complains %v, want %v: %s", got, complains, text)
		}
	}
}

func TestTextLines(t *testing.T) {
	f := machine(t, map[string]string{"notes.txt": "One.\r\n\r\n\r\nIt ends with 0x80070643 again.\r\n"})
	if got := f.Failures[0].Seen[0]; got.Source != "notes.txt:4" || got.Text != "It ends with 0x80070643 again." {
		t.Errorf("seen %+v", got)
	}
	long := strings.Repeat("Nothing of note stands in this line of the protocol.\r\n", 2*maxText/50) + "It ends with 0x80070643 again.\r\n"
	f = machine(t, map[string]string{"console-output.txt": long})
	want := strings.Count(long, "\n")
	if got := f.Failures[0].Seen[0]; got.Source != "console-output.txt:"+strconv.Itoa(want) {
		t.Errorf("seen at %s, want line %d", got.Source, want)
	}
}

func TestSetupDiagResult(t *testing.T) {
	f := machine(t, map[string]string{"SetupDiagResults.xml": `<?xml version="1.0" encoding="utf-16"?><SetupDiag xmlns="https://docs.microsoft.com/en-us/windows/deployment/upgrade/setupdiag">
  <Version>1.7.0.0</Version><ProfileName>FindRollbackFailure</ProfileName><ProfileGuid>3A43C9B5-05B3-4F7C-A955-88F991BB5A48</ProfileGuid>
  <FailureData>Last Operation: Add drivers</FailureData><FailureDetails>Err = 0xC1900101, ExtendedErr = 0x30018</FailureDetails>
</SetupDiag>`})
	s := f.Suffering()
	if len(s) != 1 || s[0].Code != 0xC1900101 || s[0].Stage != StageSetup {
		t.Errorf("suffering %+v", briefs(s))
	}
}

// Tools say in their own words that they ended well; beside trouble it means nothing.
func TestGoodEndings(t *testing.T) {
	for _, tt := range []struct {
		name, file, text string
		want             int
	}{
		{"ansible, nothing left", "ansible.log", "ok: [srv]\r\n    \"found_update_count\": 0,\r\n    \"failed_update_count\": 0,\r\n", 1},
		{"ansible, installed", "ansible.log", "changed: [srv]\r\n    \"found_update_count\": 3,\r\n    \"installed_update_count\": 3,\r\n    \"failed\": false\r\n", 1},
		{"ansible, one failed", "ansible.log", "changed: [srv]\r\n    \"installed_update_count\": 3,\r\n    \"failed_update_count\": 1,\r\n", 0},
		{"packer", "packer.log", "    vm: Searching for Windows updates...\r\n    vm: No Windows updates found\r\n", 1},
		{"packer in trouble", "packer.log", "    vm: Error: time-out\r\n    vm: No Windows updates found\r\n", 0},
		{"history", "powershell.txt", "PC7   Installation   Succeeded  3/2/2025  2025-02 Cumulative Update\r\n", 1},
		{"setup", "SetupDiagResults.log", "ProfileName        : FindSuccessfulUpgrade\r\nFailureData        : {SetupDiag reports successful upgrade found.}\r\n", 1},
		{"boxstarter", "boxstarter.log", "12 Updates found\r\n12 updates installed\r\nRestart not required\r\n", 1},
		{"setup, only looked", "SetupDiagResults.log", "SetupDiag v1.7.0.0\r\nSetupDiag: processing rule: FindSuccessfulUpgrade.\r\n..No match.\r\n", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := machine(t, map[string]string{tt.file: tt.text}).Successes; len(got) != tt.want {
				t.Errorf("%d successes, want %d: %+v", len(got), tt.want, got)
			}
		})
	}
}

func TestTypedReaders(t *testing.T) {
	f := machine(t, map[string]string{
		"hosts": "# comment\r\n127.0.0.1 localhost\r\n0.0.0.0 fe2.update.microsoft.com sls.update.microsoft.com # blocked\r\n",
		"netsh-winhttp-show-proxy.txt": "\r\nCurrent WinHTTP proxy settings:\r\n\r\n    Proxy Server(s) :  proxy.fabrikam.example:8080\r\n" +
			"    Bypass List     :  *.fabrikam.example;<local>\r\n",
		"sc-qc-wuauserv.txt": "[SC] QueryServiceConfig SUCCESS\r\n\r\nSERVICE_NAME: wuauserv\r\n        TYPE               : 20  WIN32_SHARE_PROCESS\r\n" +
			"        START_TYPE         : 4   DISABLED\r\n        ERROR_CONTROL      : 1   NORMAL\r\n        BINARY_PATH_NAME   : C:\\Windows\\system32\\svchost.exe -k netsvcs -p\r\n" +
			"        DISPLAY_NAME       : Windows Update\r\n        SERVICE_START_NAME : LocalSystem\r\n",
		"sc-query-bits.txt": "C:\\>sc query bits\r\n[SC] EnumQueryServicesStatus:OpenService FAILED 1060:\r\n\r\nThe specified service does not exist as an installed service.\r\n",
		"systeminfo.txt": "\r\nHost Name:                     PC-0042\r\nOS Name:                       Microsoft Windows 11 Pro\r\nOS Version:                    10.0.22631 N/A Build 22631\r\n" +
			"OS Manufacturer:               Microsoft Corporation\r\nSystem Type:                   x64-based PC\r\nHotfix(s):                     1 Hotfix(s) Installed.\r\n                               [01]: KB5027397\r\n",
		"dism-output.txt": "\r\nDeployment Image Servicing and Management tool\r\nVersion: 10.0.22621.2792\r\n\r\nImage Version: 10.0.22631.3007\r\n\r\n" +
			"[==========================100.0%==========================] The restore operation completed successfully.\r\nThe operation completed successfully.\r\n",
		"w32tm-stripchart.txt": "Tracking time.fabrikam.example [203.0.113.9:123].\r\nCollecting 1 samples.\r\nThe current time is 3/14/2031 10:02:11 AM.\r\n10:02:11, +7200.0912235s\r\n",
		"fltmc.txt":            "\r\nFilter Name                     Num Instances    Altitude    Frame\r\n------------------------------  -------------  ------------  -----\r\nWdFilter                                6       328010         0\r\nFabrikamVault                           6       268150         0\r\n",
	})
	if f.Hosts.State != Present || len(f.Hosts.Value) == 0 {
		t.Fatalf("hosts %+v", f.Hosts)
	}
	found := false
	for _, l := range f.Hosts.Value {
		for _, name := range l.Names {
			found = found || name == "sls.update.microsoft.com" && l.Source == "hosts:3"
		}
	}
	if !found {
		t.Errorf("hosts %+v, want sls.update.microsoft.com on line 3", f.Hosts.Value)
	}
	if w := f.WinHTTP; w.State != Present || w.Value.Proxy != "proxy.fabrikam.example:8080" || w.Value.Bypass != "*.fabrikam.example;<local>" {
		t.Errorf("WinHTTP %+v", w)
	}
	if s := f.Service("WUAUSERV"); s.State != Present || s.Value.Start != 4 || s.Value.State != -1 {
		t.Errorf("wuauserv %+v", s)
	}
	if s := f.Service("bits"); s.State != Absent {
		t.Errorf("bits %+v, want absent", s)
	}
	if s := f.Service("cryptsvc"); s.State != Unknown {
		t.Errorf("cryptsvc %+v, want unknown", s)
	}
	build, _, _ := strings.Cut(f.Machine.Build, ".")
	want := [4]string{"PC-0042", "Windows 11 Pro", "22631", "amd64"}
	if got := [4]string{f.Machine.Name, f.Machine.OS, build, f.Machine.Arch}; got != want {
		t.Errorf("machine %q, want %q", got, want)
	}
	if len(f.Successes) != 1 || f.Successes[0].Stage != StageVerify {
		t.Errorf("successes %+v", f.Successes)
	}
	if c := f.Clock; c.State != Present || c.Value.Round(time.Second) != -2*time.Hour {
		t.Errorf("clock %+v, want two hours behind", c)
	}
	if len(f.Filters.Value) != 2 {
		t.Errorf("filters %+v", f.Filters)
	}
	suffering(t, f)
}

func TestSFCOutput(t *testing.T) {
	f := machine(t, map[string]string{"sfc-output.txt": "\r\nBeginning system scan.  This process will take some time.\r\n\r\nBeginning verification phase of system scan.\r\nVerification 100% complete.\r\n\r\nWindows Resource Protection did not find any integrity violations.\r\n"})
	if len(f.Successes) != 1 || f.Successes[0].Stage != StageVerify {
		t.Errorf("successes %+v", f.Successes)
	}
	f = machine(t, map[string]string{"sfc-output.txt": "Windows Resource Protection found corrupt files but was unable to fix some of them.\r\nFor online repairs, details are included in the CBS log file located at\r\nwindir\\Logs\\CBS\\CBS.log.\r\n"})
	if len(f.Successes) != 0 {
		t.Errorf("successes %+v after a repair that failed", f.Successes)
	}
}

// Of a key that was exported, what it lacks is absent; of a key that nobody
// exported, nothing is known.
func TestRegistryStates(t *testing.T) {
	const policy = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`
	f := machine(t, map[string]string{"policies.reg": "Windows Registry Editor Version 5.00\r\n\r\n" +
		"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate]\r\n\"WUServer\"=\"http://wsus01.fabrikam.example:8530\"\r\n\"DisableDualScan\"=dword:00000001\r\n\r\n" +
		"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate\\AU]\r\n\"UseWUServer\"=dword:00000001\r\n"})
	if v := f.Text(policy, "wuserver"); v.State != Present || v.Value != "http://wsus01.fabrikam.example:8530" || !strings.HasPrefix(v.Source, "policies.reg") {
		t.Errorf("WUServer %+v", v)
	}
	if v := f.DWord(strings.ToLower(policy)+`\au`, "UseWUServer"); v.State != Present || v.Value != 1 {
		t.Errorf("UseWUServer %+v", v)
	}
	if v := f.Text(policy, "WUStatusServer"); v.State != Absent {
		t.Errorf("WUStatusServer %+v, want absent: its key was exported", v)
	}
	if v := f.DWord(policy, "WUServer"); v.State != Unknown {
		t.Errorf("a text read as a number: %+v, want unknown", v)
	}
	if v := f.DWord(`HKLM\SOFTWARE\Policies\Microsoft\Windows\DeliveryOptimization`, "DODownloadMode"); v.State != Unknown {
		t.Errorf("DODownloadMode %+v, want unknown: nobody exported its key", v)
	}
	if k := f.Subkeys(policy); k.State != Present || len(k.Value) != 1 {
		t.Errorf("subkeys %+v", k)
	}
	if k := f.Subkeys(`HKLM\SYSTEM\Setup\MoSetup`); k.State != Unknown {
		t.Errorf("subkeys %+v, want unknown", k)
	}
}

func TestKeys(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Keys() {
		if seen[strings.ToLower(k)] {
			t.Errorf("%s stands twice", k)
		}
		seen[strings.ToLower(k)] = true
		root, _, _ := strings.Cut(k, `\`)
		if root != "HKLM" && root != "HKCU" && root != "HKU" || strings.TrimRight(k, `\ `) != k {
			t.Errorf("%q is no path of a key", k)
		}
	}
}

func TestLearn(t *testing.T) {
	for text, want := range map[string][2]string{
		"I run Windows 11 Pro 23H2 (build 22631.3007) here": {"Windows 11 Pro 23H2", "22631.3007"},
		"Windows Server 2012 R2, all updates":               {"Windows Server 2012 R2", ""},
		"a Server 2019 machine at 10.0.17763.5329":          {"Windows Server 2019", "17763.5329"},
		"nothing to see":          {"", ""},
		"Windows Update on my PC": {"", ""},
		"Microsoft Windows [Version 10.0.19045.3930] follows": {"", "19045.3930"},
	} {
		r := &reading{}
		r.learn(text)
		if got := [2]string{r.machine.OS, r.machine.Build}; got != want {
			t.Errorf("learn(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestBuildOf(t *testing.T) {
	got := map[string]string{}
	want := map[string]string{"10.0.22621.3672": "22621.3672", "6.1.7601.24436": "7601", "10.0.22621": "22621", "": "", "10": ""}
	for v := range want {
		got[v] = buildOf(v)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestPackageAndInstaller(t *testing.T) {
	for in, want := range map[string]string{
		"Failed to process package: Package_for_RollupFix~31bf3856ad364e35~amd64~~22631.1.1.9, later": "Package_for_RollupFix~31bf3856ad364e35~amd64~~22631.1.1.9",
		"~31bf3856ad364e35~": "~31bf3856ad364e35~",
		"none here":          "",
	} {
		if got := packageName([]byte(in)); got != want {
			t.Errorf("packageName(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"Failed execution of queue item Installer: Root Devices ({guid}) with HRESULT": "Root Devices",
		`Installer name: [12]"Root Devices"`:                                           "Root Devices",
		"Installer name: none":                                                         "",
		"":                                                                             "",
	} {
		if got := installerName([]byte(in)); got != want {
			t.Errorf("installerName(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRank(t *testing.T) {
	for _, tt := range []struct{ first, then Failure }{
		{Failure{Code: 0x800F0922, Weight: decisive}, Failure{Code: 0x800F0922, Weight: reported}},
		{Failure{Code: 0x800F0922, Weight: reported}, Failure{Code: 0x800F0922, Weight: decisive, Resolved: true}},
		{Failure{Code: 0x800F0922, Weight: decisive}, Failure{Code: 0x800F0922, Weight: decisive, Consequence: true}},
		{Failure{Code: 0x800F0922, Weight: decisive}, Failure{Kind: KindStuck, Weight: decisive}},
		{Failure{Code: 0x800F0922, Weight: decisive}, Failure{Code: cancelled, Weight: decisive}},
		{Failure{Code: 0x80070003, Weight: decisive}, Failure{Code: 0x8024200B, Weight: decisive}}, // an installer failed
	} {
		if tt.first.rank() <= tt.then.rank() {
			t.Errorf("%+v does not come before %+v", brief{Code: tt.first.Code}, brief{Code: tt.then.Code})
		}
	}
}

func TestStageOf(t *testing.T) {
	for h, want := range map[codes.HRESULT]Stage{0x8024401B: StageScan, 0x800F0922: StageInstall, 0xC1900101: StageSetup} {
		if got := stageOf(h); got != want {
			t.Errorf("stage of %v: %s, want %s", h, got, want)
		}
	}
	for text, want := range map[string]Stage{
		"* END * Finding updates CallerId": StageScan, "Downloading updates CallerId": StageDownload, "Installing updates CallerId": StageInstall, "": StageAny,
	} {
		if got := stageOfText([]byte("Agent"), []byte(text)); got != want {
			t.Errorf("stage of %q: %s, want %s", text, got, want)
		}
	}
}

// Every kind of file is read by something that takes its records.
func TestDigests(t *testing.T) {
	for _, k := range []winlog.Kind{
		winlog.WindowsUpdate, winlog.CBS, winlog.DISM, winlog.Setup, winlog.SetupAPI, winlog.SetupDiag, winlog.Reporting, winlog.CMTrace, winlog.EVTX,
		winlog.EventText, winlog.Output, winlog.Note, winlog.Unknown,
	} {
		r := &reading{
			source: Source{Kind: k}, match: newIndex(nil, whereOf(k)).matcher(),
			marks: map[string][]Seen{}, codes: map[codes.HRESULT]Seen{}, index: map[failureKey]int{},
		}
		d := newDigest(r)
		for _, rec := range []winlog.Record{{}, {Text: []byte("x")}, {Code: 0x80070005, Text: []byte("failed 0x80070005"), Level: winlog.LevelFatal}} {
			if err := d.record(&rec); err != nil {
				t.Errorf("%s: %v", k, err)
			}
		}
		d.finish()
	}
}

// A transcript of a console holds several outputs; each is read by its reader.
func TestTranscript(t *testing.T) {
	f := machine(t, map[string]string{"console.txt": "C:\\>netsh winhttp show proxy\r\n\r\nCurrent WinHTTP proxy settings:\r\n\r\n    Direct access (no proxy server).\r\n\r\n" +
		"C:\\>sc query wuauserv\r\n\r\nSERVICE_NAME: wuauserv\r\n        TYPE               : 30  WIN32\r\n        STATE              : 1  STOPPED\r\n        WIN32_EXIT_CODE    : 1058  (0x422)\r\n" +
		"        SERVICE_EXIT_CODE  : 0  (0x0)\r\n        CHECKPOINT         : 0x0\r\n        WAIT_HINT          : 0x0\r\n"})
	if s := f.Service("wuauserv"); s.State != Present || s.Value.State != 1 || s.Value.Exit != 1058 {
		t.Errorf("wuauserv %+v", s)
	}
	if f.WinHTTP.State != Present || f.WinHTTP.Value.Proxy != "" {
		t.Errorf("WinHTTP %+v", f.WinHTTP)
	}
}

// What the registry says of a service stays where sc query does not ask for it.
func TestServiceOfTwoSources(t *testing.T) {
	f := machine(t, map[string]string{
		"services.reg": "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\wuauserv]\r\n\"ImagePath\"=\"C:\\\\Windows\\\\system32\\\\svchost.exe -k netsvcs -p\"\r\n\"ObjectName\"=\"LocalSystem\"\r\n\"Start\"=dword:00000003\r\n",
		"sc-query.txt": "SERVICE_NAME: wuauserv\r\n        TYPE               : 30  WIN32\r\n        STATE              : 4  RUNNING\r\n        WIN32_EXIT_CODE    : 0  (0x0)\r\n",
	})
	s := f.Service("wuauserv")
	if s.State != Present || s.Value.State != 4 || s.Value.Start != 3 || s.Value.Account != "LocalSystem" || !strings.HasSuffix(s.Value.Binary, "-k netsvcs -p") {
		t.Errorf("wuauserv %+v", s)
	}
}

// A package that DISM gives up without a code is a failure all the same.
func TestPackageWithoutCode(t *testing.T) {
	f := machine(t, map[string]string{"output.txt": "Add-WindowsPackage : An error occurred applying the Unattend.xml file from the .msu package.\r\nFor more information, review the log file.\r\n"})
	suffering(t, f, brief{Kind: KindError, Stage: StageAny, Count: 1})
}
