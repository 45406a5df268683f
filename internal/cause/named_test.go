package cause

import "testing"

// What evidence names outweighs what usually stands behind a code, behind a tool or behind
// a word beside it; without it, the usual cause is first again.
func TestWhatIsNamed(t *testing.T) {
	const (
		complaint = "Updates are not found any more (0x80070057)."
		scm       = "Event ID: 7000\r\nSource: Service Control Manager\r\nLevel: Error\r\n"
	)
	tests := []struct {
		name    string
		files   map[string]string
		want    string
		without string // the cause that is first without the evidence: anything but want
	}{
		{
			"a service that cannot start as it is written", map[string]string{
				"notes.txt":         complaint,
				"System-events.txt": scm + "The Background Intelligent Transfer Service service failed to start due to the following error:\r\nThe parameter is incorrect.\r\n",
			}, "service-missing", complaint,
		},
		{
			"the same by its number alone", map[string]string{
				"notes.txt":         complaint,
				"System-events.txt": "Event ID: 10005\r\nSource: Microsoft-Windows-DistributedCOM\r\nLevel: Error\r\nVon DCOM wurde der Fehler \"87\" empfangen, als der Dienst wuauserv gestartet wurde.\r\n",
			}, "service-missing", complaint,
		},
		{
			"a file of a service that is not there", map[string]string{
				"notes.txt":         complaint,
				"System-events.txt": scm + "The Update Orchestrator Service service failed to start due to the following error:\r\nThe system cannot find the file specified.\r\n",
			}, "service-missing", complaint,
		},
		{
			"services that a tool set", map[string]string{
				"notes.txt": "After a debloat script, which disabled several services, the cumulative update rolls back with 0x800f0922.",
			}, "service-disabled", "After a debloat script the cumulative update rolls back with 0x800f0922.",
		},
		{
			"a program that setup names", map[string]string{
				"notes.txt": "The upgrade to Windows 11 from a mounted ISO stops. Setup wants ExampleShell removed first: it causes security or performance issues on Windows.",
			}, "app-incompatible-block", "The upgrade to Windows 11 from a mounted ISO stops.",
		},
		{
			"a processor that the check names", map[string]string{
				"notes.txt": "A virtual machine with a virtual TPM and Secure Boot gets no newer version of Windows 11. PC Health Check says: The processor isn't currently supported for Windows 11.",
			}, "hardware-unsupported", "A virtual machine without a virtual TPM gets no newer version of Windows 11.",
		},
		{
			"a policy beside a complaint without a code", map[string]string{
				"notes.txt":    "A button of the update page in Settings is gone since last week.",
				"policies.reg": "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate]\r\n\"DoNotConnectToWindowsUpdateInternetLocations\"=dword:00000000\r\n",
			}, "policy-disabled-updates", "A button of the update page in Settings is gone since last week.",
		},
		{
			"a server that only the office knows", map[string]string{
				"notes.txt": "Company laptop: at home the search ends with 0x8024402C, in the office it works.",
			}, "wsus-unreachable", "Company laptop: the search ends with 0x8024402C.",
		},
		{
			"the same in German", map[string]string{
				"notes.txt": "Firmenlaptop, daheim endet die Suche mit 0x8024402C, in der Firma läuft sie.",
			}, "wsus-unreachable", "Firmenlaptop, die Suche endet mit 0x8024402C.",
		},
		{
			"one update alone", map[string]string{
				"notes.txt": "KB5031999 fails to install on this server again and again. All the other updates of that month are in.",
			}, "known-issue", "KB5031999 fails to install on this server again and again.",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if f := diagnosed(t, tt.files).Findings[0]; f.ID != tt.want {
				t.Errorf("%s (%.2f) is first, want %s", f.ID, f.Probability, tt.want)
			}
			if f := diagnosed(t, map[string]string{"notes.txt": tt.without}).Findings[0]; f.ID == tt.want {
				t.Errorf("%s (%.2f) is first without the evidence", f.ID, f.Probability)
			}
		})
	}
}

// What somebody says was not done has no words that speak for it.
func TestNotDone(t *testing.T) {
	for text, want := range map[string]string{
		"It does not disable the Windows Update service, it says.": "It , it says.",
		"We haven't removed any packages.":                         "We .",
		"Der Dienst ist nicht deaktiviert.":                        "Der Dienst .",
		"It disabled the service.":                                 "It disabled the service.",
	} {
		if got := notDone().ReplaceAllLiteralString(text, ""); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
