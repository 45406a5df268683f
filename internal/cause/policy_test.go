package cause

import (
	"slices"
	"strings"
	"testing"
	"time"

	"updoc/internal/facts"
)

// Short descriptions of updates that somebody or something keeps off; nine of ten
// must lead to the cause.
func TestPolicyReports(t *testing.T) { checkReports(t, "reports/policy.txt") }

func TestLifecycle(t *testing.T) {
	rows, err := lifecycle()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range rows {
		key := r.String() + " " + r.edition + " " + time.Duration(r.build).String()
		if seen[key] {
			t.Errorf("%s stands twice", key)
		}
		seen[key] = true
		if !r.extended.IsZero() && !r.extended.After(r.end) {
			t.Errorf("%s: extended updates end before the others", key)
		}
		if wd := r.end.Weekday(); wd != time.Tuesday && r.build != 25398 {
			t.Errorf("%s ends on a %s; support ends on the second Tuesday", key, wd)
		}
	}
	for _, bad := range []string{"", "1\tWindows\t-\tclient\t2020-01-01", "x\tWindows\t-\tclient\t2020-01-01\t-", "1\tWindows\t-\tclient\tsoon\t-", "1\tWindows\t-\tclient\t2020-01-01\tsoon"} {
		if _, err := parseRelease(strings.Split(bad, "\t")); err == nil {
			t.Errorf("parseRelease(%q) = nil error", bad)
		}
	}
}

func TestMachineRelease(t *testing.T) {
	tests := []struct {
		os, build string
		want      string // release and its last day, "" if it cannot be told
	}{
		{"Windows 10 Pro", "19044.3086", "Windows 10 21H2 2023-06-13"},
		{"Microsoft Windows 10 Enterprise", "19044", "Windows 10 21H2 2024-06-11"},
		{"Microsoft Windows 10 Enterprise LTSC", "17763", "Windows 10 1809 2029-01-09"},
		{"Microsoft Windows 10 Enterprise LTSC", "19044", "Windows 10 21H2 2027-01-12"},
		{"Microsoft Windows 10 IoT Enterprise LTSC", "19044.4780", "Windows 10 21H2 2032-01-13"},
		{"Windows 10 LTSC", "19044", "Windows 10 21H2 2032-01-13"}, // which of the two is not said
		{"Microsoft Windows 10 IoT Enterprise LTSC", "17763", "Windows 10 1809 2029-01-09"},
		{"Microsoft Windows 11 Enterprise LTSC", "26100.4061", "Windows 11 24H2 2029-10-09"},
		{"Microsoft Windows Server 2019 Standard", "17763", "Windows Server 2019 2029-01-09"},
		{"", "17763", "Windows 10 1809 2029-01-09"}, // the edition is not known: the longest
		{"", "18363", "Windows 10 1909 2022-05-10"},
		{"Windows 7", "", "Windows 7 2020-01-14"},
		{"Windows 7 SP1", "7601", "Windows 7 2020-01-14"},
		{"Windows Server 2012 R2", "", "Windows Server 2012 R2 2023-10-10"},
		{"Windows Server 2012", "", "Windows Server 2012 2023-10-10"},
		{"Windows 8.1", "", "Windows 8.1 2023-01-10"},
		{"Windows 8", "", "Windows 8 2016-01-12"},
		{"Windows 10 Home 1903", "", "Windows 10 1903 2020-12-08"},
		{"Windows 11 21H2", "", "Windows 11 21H2 2024-10-08"},
		{"Windows 12", "", ""},
		{"", "", ""},
	}
	for _, tt := range tests {
		f := &facts.Facts{}
		f.Machine.OS, f.Machine.Build = tt.os, tt.build
		got := ""
		if r, ok := machineRelease(&look{Facts: f}); ok {
			got = r.String() + " " + r.end.Format(time.DateOnly)
		}
		if got != tt.want {
			t.Errorf("%q build %q = %q, want %q", tt.os, tt.build, got, tt.want)
		}
	}
}

// A log of the years in which a release was supported says nothing of its age,
// whatever year it is now.
func TestOutOfSupportComparesWithTheLogs(t *testing.T) {
	at := func(day string) map[string]string {
		return map[string]string{
			"systeminfo.txt": "OS Name:                   Microsoft Windows 10 Pro\r\nOS Version:                10.0.18363 N/A Build 18363\r\n",
			"WindowsUpdate.log": day + " 18:31:07.7710046 3912  6720  Agent           * START * Finding updates CallerId = UpdateOrchestrator  Id = 31\r\n" +
				day + " 18:31:11.1290036 3912  6720  Agent           * END * Finding updates CallerId = UpdateOrchestrator, Id = 31, Exit code = 0x00000000\r\n",
			"notes.txt": "It says up to date, but the update of this month is not offered.\r\n",
		}
	}
	for day, want := range map[string]bool{"2020/03/02": false, "2022/03/02": true} {
		d := diagnosed(t, at(day))
		got := d.Findings[0].ID == "out-of-support-os"
		if got != want {
			t.Errorf("%s: first is %s (%.2f)", day, d.Findings[0].ID, d.Findings[0].Probability)
		}
	}
}

// What gets no updates any more is not undone by one: a restart loop has another reason.
func TestOutOfSupportExplainsNoLoop(t *testing.T) {
	for note, want := range map[string]Weight{
		"It says up to date, but the update of this month is not offered.\r\n": Strong,
		"The PC is in a boot loop.\r\n":                                        Weak,
	} {
		f := collected(t, map[string]string{
			"systeminfo.txt": "OS Name:                   Microsoft Windows 10 Pro\r\nOS Version:                10.0.18363 N/A Build 18363\r\n",
			"WindowsUpdate.log": "2022/03/02 18:31:07.7710046 3912  6720  Agent           * START * Finding updates CallerId = UpdateOrchestrator  Id = 31\r\n" +
				"2022/03/02 18:31:11.1290036 3912  6720  Agent           * END * Finding updates CallerId = UpdateOrchestrator, Id = 31, Exit code = 0x00000000\r\n",
			"notes.txt": note,
		})
		if len(f.Suffering()) == 0 {
			t.Fatalf("no trouble in %q", note)
		}
		l := &look{Facts: f}
		outOfSupport(l)
		if e := l.verdict.Evidence; len(e) != 1 || e[0].Weight != want {
			t.Errorf("%q: %+v, want %v (%+v)", note, e, want, f.Suffering())
		}
	}
}

// A server's 503 is not a WSUS's where none is named.
func TestNoServerNamed(t *testing.T) {
	const at = "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate]\r\n"
	files := func(value string) map[string]string {
		return map[string]string{"ReportingEvents.log": event("80244022"), "wu.reg": at + value + "\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\PolicyManager\\current\\device\\Update]\r\n\"AllowAutoUpdate\"=dword:00000001\r\n"}
	}
	wantFirst(t, diagnosed(t, files("\"ElevateNonAdmins\"=dword:00000000\r\n")), "server-side-outage")
	wantFirst(t, diagnosed(t, files("\"WUServer\"=\"http://wsus1.fourthcoffee.example:8530\"\r\n")), "wsus-server-overloaded")
}

// The policy of a machine that nobody manages is taken out; that of a company is
// reported to its owner.
func TestOwnedPolicyIsReported(t *testing.T) {
	const policy = "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate]\r\n\"DisableWindowsUpdateAccess\"=dword:00000001\r\n"
	for note, want := range map[string]string{
		"Home PC, no domain. 0x8024002e\r\n":                       "remove-leftover-update-policy",
		"Domain joined, the GPO comes from our IT. 0x8024002e\r\n": "tell-policy-owner",
	} {
		d := diagnosed(t, map[string]string{"policies.reg": policy, "notes.txt": note})
		first := d.Findings[0]
		if first.ID != "policy-disabled-updates" || len(first.Cures) == 0 || first.Cures[0] != want {
			t.Errorf("%q: %s, cures %v, want %s first", note, first.ID, first.Cures, want)
		}
	}
}

// A setting that its owner may choose is no finding where nothing is wrong.
func TestLawfulSettingsAreHealthy(t *testing.T) {
	const log = "2025/06/20 18:31:07.7710046 3912  6720  Agent           * START * Finding updates CallerId = UpdateOrchestrator  Id = 31\r\n" +
		"2025/06/20 18:31:11.1290036 3912  6720  Agent           * END * Finding updates CallerId = UpdateOrchestrator, Id = 31, Exit code = 0x00000000\r\n"
	const head = "Windows Registry Editor Version 5.00\r\n\r\n"
	const policies = head + "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate"
	for name, reg := range map[string]string{
		"pause":    head + "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\WindowsUpdate\\UX\\Settings]\r\n\"PauseUpdatesExpiryTime\"=\"2025-07-20T08:11:52Z\"\r\n",
		"deferral": policies + "]\r\n\"DeferQualityUpdates\"=dword:00000001\r\n\"DeferQualityUpdatesPeriodInDays\"=dword:00000007\r\n",
		"pin":      policies + "]\r\n\"TargetReleaseVersion\"=dword:00000001\r\n\"TargetReleaseVersionInfo\"=\"23H2\"\r\n",
		"limit":    head + "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\DeliveryOptimization]\r\n\"DOMaxBackgroundDownloadBandwidth\"=dword:00000010\r\n",
		"wsus": policies + "]\r\n\"WUServer\"=\"http://wsus.fabrikam.example:8530\"\r\n\"DoNotConnectToWindowsUpdateInternetLocations\"=dword:00000001\r\n\r\n" +
			"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate\\AU]\r\n\"UseWUServer\"=dword:00000001\r\n",
	} {
		d := diagnosed(t, map[string]string{"settings.reg": reg, "WindowsUpdate.log": log})
		if d.Outcome != Healthy {
			t.Errorf("%s: %s, first %s (%.2f)", name, d.Outcome, d.Findings[0].ID, d.Findings[0].Probability)
		}
	}
}

// Lines that healthy machines write tell more of a short log than others do.
func TestHarmlessLines(t *testing.T) {
	line := "AudMig: RegOpenKeyEx can't open audioendpointbuilder Upgrade key with Hresult 0x80070002. Most likely not an upgrade\r\n"
	for name, tt := range map[string]struct {
		log  string
		want Outcome
	}{
		"harmless":         {line + line, Healthy},
		"nothing known":    {"2031-02-03 04:05:06, Info                  SP     Reading\r\n", Unclear},
		"beside a failure": {line + "2031-02-03 04:05:06, Error                 SP     Operation failed: Add [1] package. Error: 0x80070002[gle=0x00000002]\r\n", Problems},
	} {
		if got := Diagnose(collected(t, map[string]string{"setupact.log": tt.log})).Outcome; got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// What a version gets only when it is paid for tells by its number; an earlier one and
// a version without such updates do not.
func TestPaidUpdates(t *testing.T) {
	for name, tt := range map[string]struct {
		note string
		want bool
	}{
		"Windows 7, a year later":     {"Windows 7 SP1. KB5001335 ends with: Failure configuring Windows updates, reverting changes.", true},
		"Windows 7, in its time":      {"Windows 7 SP1. KB4489878 ends with: Failure configuring Windows updates, reverting changes.", false},
		"Windows 10 22H2, afterwards": {"Windows 10 Pro 22H2, build 19045.6456. KB5068781 was undone after the restart.", true},
		"Windows 8.1 has none":        {"Windows 8.1. KB5034819 was undone after the restart.", false},
	} {
		d := diagnosed(t, map[string]string{"notes.txt": tt.note})
		got := slices.ContainsFunc(d.Findings, func(x Finding) bool {
			return x.ID == "esu-not-entitled" && slices.ContainsFunc(x.Evidence, func(e Evidence) bool { return strings.Contains(e.Seen, "comes only with") })
		})
		if got != tt.want {
			t.Errorf("%s: said %v", name, got)
		}
	}
}

// A release that had its last update long ago is the cause of years without any.
func TestNothingForYears(t *testing.T) {
	d := diagnosed(t, map[string]string{"notes.txt": "Windows 10 1909 Home says it is up to date, but nothing has come for two years, 22H2 is not offered either."})
	if d.Findings[0].ID != "out-of-support-os" {
		t.Errorf("first %s, evidence %+v", d.Findings[0].ID, d.Findings[0].Evidence)
	}
}
