package cause

import (
	"testing"
	"time"

	"updoc/internal/codes"
	"updoc/internal/facts"
)

// The same TLS code, other evidence, another cause.
func TestReasonsForTLSFailure(t *testing.T) {
	const failed = "2024/03/05 09:14:07.1230456 5120  7332  Misc            *FAILED* [80072F8F] WinHttp: SendRequestToServerForFileInformation (retrying with default proxy)\r\n" +
		"2024/03/05 09:14:09.1302210 5120  7332  Agent           * END * Finding updates CallerId = UpdateOrchestrator, Id = 6, Exit code = 0x80072F8F (cV = kF0m2Pp1xUW3bQz5.1.0.1)\r\n"
	const reg = "Windows Registry Editor Version 5.00\r\n\r\n"
	tests := []struct{ want, file, text string }{
		{"clock-skew", "notes.txt", "The clock is wrong again, it shows the year 2012."},
		{"tls-interception", "openssl-output.txt", "issuer=CN = Sophos SSL CA\nIssuer: C = GB, O = Sophos, CN = Sophos SSL CA_C4ABC"},
		{"tls-version-disabled", "schannel.reg", reg + `[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client]` + "\r\n\"Enabled\"=dword:00000000\r\n"},
		{"tls-version-disabled", "winhttp.reg", reg + `[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\WinHttp]` + "\r\n\"DefaultSecureProtocols\"=dword:000000a0\r\n"},
		{"missing-root-certificate", "roots.reg", reg + `[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\SystemCertificates\AuthRoot]` + "\r\n\"DisableRootAutoUpdate\"=dword:00000001\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			wantFirst(t, diagnosed(t, map[string]string{"WindowsUpdate.log": failed, tt.file: tt.text}), tt.want)
		})
	}
}

func TestMeasuredClock(t *testing.T) {
	tests := []struct {
		off  time.Duration
		want facts.State
	}{
		{time.Second, facts.Absent},
		{-8 * time.Minute, facts.Unknown},
		{26 * time.Hour, facts.Present},
		{-4000 * time.Hour, facts.Present},
	}
	for _, tt := range tests {
		f := &facts.Facts{Clock: facts.Fact[time.Duration]{State: facts.Present, Value: tt.off, Source: "ntp"}}
		if got := evidence(measuredClock)(f).State; got != tt.want {
			t.Errorf("offset %s: state %d, want %d", tt.off, got, tt.want)
		}
	}
	if v := evidence(measuredClock)(&facts.Facts{}); len(v.Evidence) != 0 {
		t.Errorf("nobody measured, and yet: %v", v.Evidence)
	}
}

func TestFailuresInThePast(t *testing.T) {
	before, after := time.Date(2009, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	failure := func(first, last time.Time) facts.Failure {
		return facts.Failure{Code: codes.HRESULT(0x80072F8F), First: first, Last: last, Seen: []facts.Seen{{Source: "WindowsUpdate.log:1"}}}
	}
	tests := []struct {
		name, build string
		failure     facts.Failure
		want        facts.State
	}{
		{"jump back", "19045.4291", failure(before, after), facts.Present},
		{"old system", "7601", failure(before, after), facts.Unknown},
		{"all of it old", "19045.4291", failure(before, before), facts.Unknown}, // a log with replaced dates
		{"today", "19045.4291", failure(after, after), facts.Unknown},
	}
	for _, tt := range tests {
		f := &facts.Facts{Failures: []facts.Failure{tt.failure}}
		f.Machine.Build = tt.build
		if got := evidence(failuresInThePast)(f).State; got != tt.want {
			t.Errorf("%s: state %d, want %d", tt.name, got, tt.want)
		}
	}
}

// What a note lists as tried in vain is no evidence.
func TestTriedInVain(t *testing.T) {
	d := diagnosed(t, map[string]string{
		"notes.txt": "0x80073712 each month. Tried: disabled the VPN, flushed DNS, netsh winhttp reset proxy, turned off the firewall. Nothing helped.",
	})
	for _, x := range d.Findings {
		switch x.Family {
		case "proxy", "network":
			if x.State == facts.Present {
				t.Errorf("%s is present: %v", x.ID, x.Evidence)
			}
		}
	}
}
