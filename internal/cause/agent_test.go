package cause

import (
	"testing"

	"updoc/internal/facts"
)

// What healthy machines write must not look like damage.
func TestAgentNoise(t *testing.T) {
	causes := []string{
		"datastore-corrupt", "catroot2-corrupt", "corrupt-download", "bits-queue-stuck", "agent-outdated",
		"store-outdated", "device-ticket-missing", "defender-definitions", "wsus-client-identity", "wsus-unreachable", "wsus-server-overloaded",
	}
	tests := []struct{ name, file, text string }{
		{"database starts", "Application-events.txt", `Log Name:      Application
Source:        ESENT
Event ID:      102
Level:         Information
Description:
wuaueng.dll (4988,P,98) SUS20ClientDataStore: The database engine (10.00.19041.0000) is starting a new instance (0).
`},
		{"slow disk", "Application-events.txt", `Log Name:      Application
Source:        ESENT
Event ID:      508
Level:         Warning
Description:
wuaueng.dll (4988,D,50) SUS20ClientDataStore: A request to write to the file "C:\WINDOWS\SoftwareDistribution\DataStore\DataStore.edb" at offset 8192 (0x0000000000002000) for 16384 (0x00004000) bytes succeeded, but took an abnormally long time (17 seconds) to be serviced by the OS.
`},
		{"no user ticket", "WindowsUpdate.log", `2024/03/12 09:00:00.1000000 1000  2000  Agent           * START * Finding updates CallerId = UpdateOrchestrator  Id = 7
2024/03/12 09:00:00.2000000 1000  2000  Misc            GetUserTickets: No user tickets found. Returning WU_E_NO_USERTOKEN.
2024/03/12 09:00:01.1000000 1000  2000  Agent           * END * Finding updates CallerId = UpdateOrchestrator, Id = 7, Exit code = 0x00000000
`},
		{"answers without data", "WindowsUpdate.log", `2024/03/12 09:00:00.1000000 1000  2000  Agent           * START * Finding updates CallerId = UpdateOrchestrator  Id = 7
2024/03/12 09:00:00.2000000 1000  2000  Misc            *FAILED* [80248007] Method failed [DataStore::GetServiceData:100]
2024/03/12 09:00:01.1000000 1000  2000  Agent           * END * Finding updates CallerId = UpdateOrchestrator, Id = 7, Exit code = 0x00000000
`},
		{"cookie renewed", "WindowsUpdate.log", `2019-09-10	19:01:09:518	 868	e08	PT	+++++++++++  PT: Synchronizing server updates  +++++++++++
2019-09-10	19:01:09:518	 868	e08	PT	  + ServiceId = {3DA21691-E39D-4DA6-8A4B-B43877BCB1B7}, Server URL = http://wsus01:8530/ClientWebService/client.asmx
2019-09-10	19:01:09:700	 868	e08	PT	WARNING: Cached cookie has expired or new PID is available
2019-09-10	19:01:09:700	 868	e08	PT	Initializing simple targeting cookie, clientId = 6b1f0c7e-2a55-4d0c-8a7f-1de6a1b20c11, target group = , DNS name = pc1
2019-09-10	19:01:14:900	 868	e08	Agent	  * Found 3 updates and 70 categories in search; evaluated appl. rules of 622 out of 1150 deployed entities
2019-09-10	19:01:14:900	 868	e08	Agent	**  END  **  Agent: Finding updates [CallerId = AutomaticUpdates]
`},
		{"definitions installed", "System-events.txt", `Log Name:      System
Source:        Microsoft-Windows-WindowsUpdateClient
Event ID:      19
Level:         Information
Description:
Installation Successful: Windows successfully installed the following update: Security Intelligence Update for Microsoft Defender Antivirus - KB2267602 (Version 1.419.512.0)
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := diagnosed(t, map[string]string{tt.file: tt.text})
			if d.Outcome == Problems {
				t.Errorf("outcome %s", d.Outcome)
			}
			for _, id := range causes {
				if state(t, d, id) == facts.Present {
					t.Errorf("%s is present", id)
				}
			}
		})
	}
}

// A failing update of Windows beside failing definitions is not Defender's matter.
func TestOnlyDefinitions(t *testing.T) {
	const failed = "Log Name:      System\r\nSource:        Microsoft-Windows-WindowsUpdateClient\r\nEvent ID:      20\r\nLevel:         Error\r\nDescription:\r\nInstallation Failure: Windows failed to install the following update with error "
	const definitions = failed + "0x80070643: Security Intelligence Update for Microsoft Defender Antivirus - KB2267602 (Version 1.419.512.0).\r\n\r\n"
	const cumulative = failed + "0x800f0922: 2024-10 Cumulative Update for Windows 11 Version 23H2 for x64-based Systems (KB5044285).\r\n\r\n"
	tests := []struct {
		name, text string
		first      bool
	}{
		{"definitions", definitions, true},
		{"both", definitions + cumulative, false},
		{"cumulative", cumulative, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := diagnosed(t, map[string]string{"System-events.txt": tt.text})
			if got := d.Findings[0].ID == "defender-definitions"; got != tt.first {
				t.Errorf("first is %s", d.Findings[0].ID)
			}
		})
	}
}
