package cause

import (
	"slices"
	"testing"

	"updoc/internal/facts"
	"updoc/internal/winlog"
)

// The loaded filters speak for one cause and against another.
func TestFilters(t *testing.T) {
	const head = "Filter Name                     Num Instances    Altitude    Frame\r\n------------------------------  -------------  ------------  -----\r\n"
	const own = "WdFilter                                5       328010         0\r\nluafv                                   1       135000         0\r\n"
	tests := []struct {
		name, filters, cause string
		isFor                bool
	}{
		{"antivirus", own + "klif                                    6       323600         0\r\n", "third-party-antivirus", true},
		{"none", own, "third-party-antivirus", false},
		{"none of any kind", own, "third-party-filter-driver", false},
		{"encryption", own + "pgpwdefs                                3       144200         0\r\n", "third-party-filter-driver", true},
		{"endpoint protection", own + "CSAgent                                 6       321410         0\r\n", "edr-wdac-block", true},
		{"endpoint protection is no antivirus", own + "CSAgent                                 6       321410         0\r\n", "third-party-antivirus", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := finding(t, diagnosed(t, map[string]string{"fltmc.txt": head + tt.filters}), tt.cause)
			if !slices.ContainsFunc(x.Evidence, func(e Evidence) bool { return e.Source == "fltmc.txt" && e.For == tt.isFor }) {
				t.Errorf("evidence: %v", x.Evidence)
			}
		})
	}
}

func TestManagedFilters(t *testing.T) {
	for name, want := range map[string]bool{"CSAgent": true, "SentinelMonitor": true, "elastic-endpoint-driver": true, "parity": true, "parityfilter": false, "aswMonFlt": false, "WdFilter": false} {
		if got := isManaged(winlog.Filter{Name: name}); got != want {
			t.Errorf("isManaged(%s) = %v", name, got)
		}
	}
}

// A restart that a program asked for is the cause only if it cut setup off.
func TestRestartByProgram(t *testing.T) {
	const restart = "Log Name:      System\r\nSource:        User32\r\nDate:          5/7/2024 10:13:58 PM\r\nEvent ID:      1074\r\nLevel:         Information\r\nDescription:\r\nThe process C:\\Program Files\\Juniper Agent\\agent.exe (ELM-1) has initiated the restart of computer ELM-1 on behalf of user NT AUTHORITY\\SYSTEM for the following reason: Other (Unplanned)\r\n"
	const cut = "2024-05-07 22:14:05, Error                 MIG    Failed to create CBS session 9. hr = 0x8007045B[gle=0x000003f0]\r\n"
	if x := finding(t, diagnosed(t, map[string]string{"system-events.txt": restart}), "third-party-software-reboot"); x.State == facts.Present {
		t.Errorf("present by a restart alone: %v", x.Evidence)
	}
	wantFirst(t, diagnosed(t, map[string]string{"system-events.txt": restart, "setupact.log": cut}), "third-party-software-reboot")
}

// Who closes setup gets the results of an abort, which no program restarted.
func TestSetupThatSomebodyClosed(t *testing.T) {
	const aborted = "2024-05-07 22:14:05, Error                 MOUPG  CSetupUIManager::OnProgressChanged(378): Result = 0x800704D3\r\n"
	const closed = "2024-05-07 22:14:04, Info                  MOUPG  CInstallUI::ConfirmCanceled: User cancel confirmed\r\n"
	const note = "The upgrade stands at 40 % for hours, so I close it: no progress, no message, the task never ends."
	by := func(log string) float64 {
		return finding(t, diagnosed(t, map[string]string{"notes.txt": note, "setupact.log": log}), "third-party-software-reboot").Probability
	}
	if alone, told := by(aborted), by(closed+aborted); told*3 > alone {
		t.Errorf("%.2f of an abort, %.2f of one by a person", alone, told)
	}
}

// An antivirus that was switched off in vain is no evidence; nor are tools that
// are named where nothing is missing.
func TestConflictsTriedInVain(t *testing.T) {
	tests := []struct{ note, cause string }{
		{"0x80073712 each month. Tried: uninstalled Avast, clean boot, sfc, DISM. Nothing helped.", "third-party-antivirus"},
		{"0x80073712 each month. Tried: uninstalled Avast, clean boot, sfc, DISM. Nothing helped.", "third-party-software-conflict"},
		{"0x8024401C from our WSUS. No antivirus but Defender.", "third-party-antivirus"},
		{"0x8024401C from our WSUS. No antivirus but Defender.", "edr-wdac-block"},
		{"0x80072EE2 since I used O&O ShutUp10.", "removed-system-component"},
	}
	for _, tt := range tests {
		if x := finding(t, diagnosed(t, map[string]string{"notes.txt": tt.note}), tt.cause); x.State == facts.Present {
			t.Errorf("%s is present for %q: %v", tt.cause, tt.note, x.Evidence)
		}
	}
}
