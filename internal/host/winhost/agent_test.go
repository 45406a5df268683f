package winhost

import (
	"testing"

	"updoc/internal/codes"
	"updoc/internal/host"
)

func TestCriteria(t *testing.T) {
	const id = "0F2A1D9C-1111-4222-8333-0123456789AB"
	for _, tt := range []struct {
		a    host.Attempt
		want string // "" is refused
	}{
		{host.Attempt{Stage: "scan"}, "IsInstalled=0 and IsHidden=0"},
		{host.Attempt{Stage: "scan", Update: id}, "IsInstalled=0 and IsHidden=0"},
		{host.Attempt{Stage: "download", Update: id}, "UpdateID='0f2a1d9c-1111-4222-8333-0123456789ab'"},
		{host.Attempt{Stage: "install", KB: "KB5030001"}, "IsInstalled=0 or IsInstalled=1"},
		{host.Attempt{Stage: "install", KB: "5030001", Update: id}, "UpdateID='0f2a1d9c-1111-4222-8333-0123456789ab'"},
		{host.Attempt{Stage: "install"}, ""},
		{host.Attempt{Stage: "install", Update: "' or '1'='1"}, ""},
		{host.Attempt{Stage: "install", KB: "KB1'--"}, ""},
		{host.Attempt{Stage: "uninstall", Update: id}, ""},
		{host.Attempt{}, ""},
	} {
		got, err := criteria(tt.a)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%+v: %q, %v", tt.a, got, err)
		}
	}
}

// What did not succeed is a failure, whether there is a number or not; and the
// number that tells most is kept.
func TestVerdict(t *testing.T) {
	const wu, full = 0x80240022, 0x80070070 // WU_E_ALL_UPDATES_FAILED, ERROR_DISK_FULL
	for name, tt := range map[string]struct {
		e    ended
		want codes.HRESULT
	}{
		"success":                        {ended{outcome: resultSucceeded}, 0},
		"success, restart needed":        {ended{outcome: resultSucceeded, each: 0x00240005}, 0},
		"the update's own number":        {ended{outcome: resultFailed, result: wu, each: full}, full},
		"the operation's":                {ended{outcome: resultFailed, result: wu}, wu},
		"a warning's":                    {ended{outcome: resultWithErrors, warnings: []codes.HRESULT{0, full}}, full},
		"no number at all":               {ended{outcome: resultFailed}, agentUnknown},
		"aborted":                        {ended{outcome: resultAborted}, agentAborted},
		"success that says it failed":    {ended{outcome: resultSucceeded, each: full}, full},
		"neither begun nor ended":        {ended{}, agentUnknown},
		"still at it":                    {ended{outcome: resultInProgress}, agentUnknown},
		"with errors, yet none is shown": {ended{outcome: resultWithErrors}, agentUnknown},
	} {
		if got := tt.e.verdict(); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// A restart is due only after what went well: a failure is not cured by one.
func TestAfter(t *testing.T) {
	if got := (ended{outcome: resultSucceeded, restart: true}).after(stageInstall); got.Result != 0 || !got.Restart || got.Stage != stageInstall {
		t.Errorf("%+v", got)
	}
	if got := (ended{outcome: resultFailed, restart: true}).after(stageInstall); got.Result != agentUnknown || got.Restart {
		t.Errorf("%+v", got)
	}
}

func TestScanVerdict(t *testing.T) {
	const proxy, host407 = 0x8024401B, 0x80244022
	for name, tt := range map[string]struct {
		e      ended
		found  int
		logged codes.HRESULT
		want   codes.HRESULT
	}{
		"found":                     {ended{outcome: resultSucceeded}, 3, 0, 0},
		"found, with a warning":     {ended{outcome: resultSucceeded, warnings: []codes.HRESULT{proxy}}, 3, 0, 0},
		"nothing to do":             {ended{outcome: resultSucceeded}, 0, 0, 0},
		"nothing, with a warning":   {ended{outcome: resultSucceeded, warnings: []codes.HRESULT{proxy}}, 0, 0, proxy},
		"nothing, and the log says": {ended{outcome: resultSucceeded}, 0, host407, host407},
		"failed":                    {ended{outcome: resultFailed, result: proxy}, 0, host407, proxy},
		"failed, with leftovers":    {ended{outcome: resultFailed, result: proxy}, 5, 0, proxy},
	} {
		if got := scanVerdict(tt.e, tt.found, tt.logged); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestFailureIn(t *testing.T) {
	const event = `<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='Microsoft-Windows-WindowsUpdateClient' Guid='{945a8954-c147-4acd-923f-40c45405a658}'/><EventID>25</EventID><Version>1</Version><Level>2</Level><Task>1</Task><Opcode>17</Opcode><Keywords>0x4000000000000028</Keywords><TimeCreated SystemTime='2026-05-06T07:08:09.1234567Z'/><EventRecordID>117</EventRecordID><Channel>Microsoft-Windows-WindowsUpdateClient/Operational</Channel><Computer>ws-17.fabrikam.example</Computer><Security UserID='S-1-5-18'/></System><EventData><Data Name='errorCode'>0x8024401c</Data></EventData></Event>`
	if got := failureIn(t.Context(), event); got != 0x8024401C {
		t.Errorf("%v", got)
	}
	if got := failureIn(t.Context(), ""); got != 0 {
		t.Errorf("%v out of nothing", got)
	}
	if got := failureIn(t.Context(), "<Event><System>"); got != 0 {
		t.Errorf("%v out of a torn event", got)
	}
}
