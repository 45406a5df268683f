package cause

import (
	"testing"

	"updoc/internal/facts"
)

// Descriptions of troubles with a WSUS and with the agent's own state.
func TestWSUSReports(t *testing.T) { checkReports(t, "reports/wsus.txt") }

func TestAddressFault(t *testing.T) {
	tests := []struct {
		address string
		ok      bool
	}{
		{"http://wsus01:8530", true},
		{"HTTP://WSUS01.CORP.EXAMPLE:8530", true},
		{"https://wsus01.corp.example:8531/", true},
		{"http://wsus01", true},
		{" http://wsus01:8530 ", true}, // WinHTTP takes blanks at the ends
		{"http://[fd00::5]:8530", true},
		{"wsus01:8530", false},
		{"corp.fabrikam.example", false},
		{"//wsus01:8530", false},
		{"http:/wsus01:8530", false},
		{"http//wsus01:8530", false},
		{`http:\\wsus01:8530`, false},
		{`http://wsus01\wsus`, false},
		{"http://http://wsus01:8530", false},
		{"http://:8530", false},
		{"http://", false},
		{"http://wsus 01:8530", false},
		{`http://"wsus01":8530`, false},
		{"http://wsus01:85300", false},
		{"http://wsus01:port", false},
		{"ftp://wsus01", false},
	}
	for _, tt := range tests {
		if fault := addressFault(tt.address); (fault == "") != tt.ok {
			t.Errorf("addressFault(%q) = %q", tt.address, fault)
		}
	}
}

func FuzzAddressFault(f *testing.F) {
	for _, s := range []string{"http://wsus01:8530", "wsus", `http:\\x`, "http://[::1", "http://%zz", "https://a:0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if addressFault(s) == "" && hostOf(s) == "" && hostOf(s+"/") == "" {
			t.Errorf("%q passes, but names no host", s)
		}
	})
}

func TestDeadOnPurpose(t *testing.T) {
	for _, host := range []string{"localhost", "127.0.0.1", "127.1.2.3", "::1", "0.0.0.0", "", "update.invalid", "nothing", "Does.Not.Exist"} {
		if !deadOnPurpose(host) {
			t.Errorf("%q is a server", host)
		}
	}
	for _, host := range []string{"wsus01", "10.0.0.5", "update.fabrikam.example", "nothingtown.example"} {
		if deadOnPurpose(host) {
			t.Errorf("%q is no server", host)
		}
	}
}

// state returns what a cause's check says of a machine.
func state(t *testing.T, d Diagnosis, id string) facts.State {
	t.Helper()
	for _, x := range d.Findings {
		if x.ID == id {
			return x.State
		}
	}
	t.Fatalf("no cause %s", id)
	return facts.Unknown
}

// The values of the policy decide more than words.
func TestWSUSPolicyValues(t *testing.T) {
	const head = "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate]\r\n"
	const au = "\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate\\AU]\r\n\"UseWUServer\"=dword:0000000"
	tests := []struct {
		name, reg, note, cause string
		want                   facts.State
	}{
		{"not used", head + "\"WUServer\"=\"http://old:8530\"\r\n" + au + "0\r\n", "0x8024402c", "wsus-unreachable", facts.Absent},
		{"on purpose", head + "\"WUServer\"=\"http://127.0.0.1\"\r\n" + au + "1\r\n", "0x80240438", "wsus-policy-stale", facts.Absent},
		{"on purpose, unreachable", head + "\"WUServer\"=\"http://127.0.0.1\"\r\n" + au + "1\r\n", "0x80240438", "wsus-unreachable", facts.Unknown},
		{"unreachable", head + "\"WUServer\"=\"http://wsus01:8530\"\r\n" + au + "1\r\n", "0x80072ee2", "wsus-unreachable", facts.Present},
		{"no server", head + "\"ElevateNonAdmins\"=dword:00000000\r\n" + au + "1\r\n", "0x80244011", "wsus-policy-stale", facts.Present},
		{"wrong scheme", head + "\"WUServer\"=\"https://wsus01:8530\"\r\n" + au + "1\r\n", "0x80072f7d", "wsus-unreachable", facts.Present},
		{"feature", head + "\"WUServer\"=\"http://wsus01:8530\"\r\n" + au + "1\r\n", "RSAT: 0x800f0954", "wsus-blocks-fod-source", facts.Present},
		{"feature, not used", head + "\"WUServer\"=\"http://wsus01:8530\"\r\n" + au + "0\r\n", "RSAT: 0x800f0954", "wsus-blocks-fod-source", facts.Unknown},
		{"well formed", head + "\"WUServer\"=\"http://wsus01:8530\"\r\n" + au + "1\r\n", "0x80072ee2", "wsus-url-invalid", facts.Absent},
		{"plain http", head + "\"WUServer\"=\"http://wsus01:8530\"\r\n" + au + "1\r\n", "0x80072f8f", "wsus-certificate", facts.Unknown},
		{"https", head + "\"WUServer\"=\"https://wsus01:8531\"\r\n" + au + "1\r\n", "0x80072f8f", "wsus-certificate", facts.Present},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := diagnosed(t, map[string]string{"policies.reg": tt.reg, "notes.txt": tt.note})
			if got := state(t, d, tt.cause); got != tt.want {
				t.Errorf("%s: state %d, want %d", tt.cause, got, tt.want)
			}
		})
	}
}

// HTTP 503 from Microsoft's own server is no WSUS's answer, and where group policy
// names none there is hardly one.
func TestBusyWithoutWSUS(t *testing.T) {
	const head = "2024/03/04 10:11:12.1180312 1180  9120  Agent           * START * Finding updates CallerId = UpdateOrchestrator  Id = 3\r\n"
	const tail = "2024/03/04 10:11:13.2280312 1180  9120  ProtocolTalker  *FAILED* [80244022] Sync of Updates\r\n" +
		"2024/03/04 10:11:13.2380312 1180  9120  Agent           * END * Finding updates CallerId = UpdateOrchestrator, Id = 3, Exit code = 0x80244022\r\n"
	url := func(host string) string {
		return head + "2024/03/04 10:11:12.2180312 1180  9120  ProtocolTalker  ServiceId = {9482F4B4-E343-43B6-B170-9A65BC822C77}, Server URL = " + host + "/ClientWebService/client.asmx\r\n" + tail
	}
	for name, tt := range map[string]struct {
		files map[string]string
		first string
	}{
		"Microsoft asked": {map[string]string{"WindowsUpdate.log": url("https://fe2cr.update.microsoft.com/v6")}, "server-side-outage"},
		"WSUS asked":      {map[string]string{"WindowsUpdate.log": url("http://wsus01:8530")}, "wsus-server-overloaded"},
		"policy without one": {map[string]string{
			"notes.txt": "0x80244022 when I check for updates\r\n",
			"wu.reg":    "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate]\r\n\"ElevateNonAdmins\"=dword:00000001\r\n",
		}, "server-side-outage"},
	} {
		if d := diagnosed(t, tt.files); d.Findings[0].ID != tt.first {
			t.Errorf("%s: first is %s (%.2f)", name, d.Findings[0].ID, d.Findings[0].Probability)
		}
	}
}
