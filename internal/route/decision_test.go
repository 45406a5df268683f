package route

import (
	"slices"
	"strings"
	"testing"

	"updoc/internal/host"
)

// Each rule, with the page that gives it.
func TestDecide(t *testing.T) {
	yes, no := ptr(true), ptr(false)
	home := []string{"home.arpa"}
	account := func(a Account, p Proxy) map[Account]Proxy { return map[Account]Proxy{a: p} }
	bitsProxy := Proxy{Known: true, Static: "bits.fabrikam.example:80", Source: "system.reg:3"}
	const (
		client = "How the Windows Update client determines which proxy server to use"
		bits   = "Service Accounts and BITS"
		do     = "Using a proxy with Delivery Optimization"
		admx   = "SetProxyBehaviorForUpdateDetection"
		field  = "no page"
	)
	tests := []struct {
		name   string
		caller Caller
		own    bool
		s      Settings
		want   string // see drawnDecision
		page   string // of the last decision
	}{
		{"scan: the system's, then the user's", Agent, false, Settings{Machine: netshProxy, User: userStatic, SignedIn: yes}, "system=proxy.fabrikam.example:8080, user=surf.fabrikam.example:3128?", client},
		{"scan: WPAD where nothing is set", Agent, false, Settings{Machine: noProxy, User: userPAC, SignedIn: yes, Suffixes: home}, "system=wpad, user=http://pac.fabrikam.example/proxy.pac?", client},
		{"scan: WPAD by DHCP", Agent, false, Settings{Machine: noProxy, User: userPAC, SignedIn: yes, DHCPWPAD: "http://pac/"}, "system=wpad, user=http://pac.fabrikam.example/proxy.pac?", client},
		{"scan: WPAD without a place to look", Agent, false, Settings{Machine: noProxy, User: userPAC, SignedIn: yes}, "system=direct, user=http://pac.fabrikam.example/proxy.pac?", client},
		{"scan: detection switched off", Agent, false, Settings{Machine: noProxy, NoWPAD: true, Suffixes: home, User: userPAC, SignedIn: yes}, "system=direct, user=http://pac.fabrikam.example/proxy.pac?", client},
		{"scan: a script from advproxy", Agent, false, Settings{Machine: userPAC, User: direct, SignedIn: yes}, "system=http://pac.fabrikam.example/proxy.pac, user=direct?", client},
		{"scan: detection and a proxy from advproxy", Agent, false, Settings{Machine: Proxy{Known: true, Detect: true, Static: "a:1"}, User: direct, SignedIn: yes}, "system=wpad+a:1, user=direct?", client},
		{"scan: nobody is signed in", Agent, false, Settings{Machine: netshProxy, User: userStatic, SignedIn: no}, "system=proxy.fabrikam.example:8080, [user=surf.fabrikam.example:3128?]", client},
		{"scan: unknown whether somebody is signed in", Agent, false, Settings{Machine: netshProxy, User: userStatic}, "system=proxy.fabrikam.example:8080, user=surf.fabrikam.example:3128?", client},
		{"scan: the same for both", Agent, false, Settings{Machine: netshProxy, User: netshProxy, SignedIn: yes}, "system=proxy.fabrikam.example:8080, [user=proxy.fabrikam.example:8080?]", client},
		{"scan: per machine instead of per user", Agent, false, Settings{Machine: netshProxy, Internet: userPAC, User: userStatic, SignedIn: yes}, "system=proxy.fabrikam.example:8080, user=http://pac.fabrikam.example/proxy.pac?", client},
		{"locator: as the scan", Locator, false, Settings{Machine: netshProxy, User: userStatic, SignedIn: yes}, "system=proxy.fabrikam.example:8080, user=surf.fabrikam.example:3128?", client},
		{"WSUS: the system's alone", Agent, true, Settings{Machine: netshProxy, User: userStatic, SignedIn: yes}, "system=proxy.fabrikam.example:8080, [user=surf.fabrikam.example:3128?]", admx},
		{"WSUS: the user's if policy allows", Agent, true, Settings{Machine: netshProxy, User: userStatic, SignedIn: yes, UserFallback: true}, "system=proxy.fabrikam.example:8080, user=surf.fabrikam.example:3128?", admx},
		{"WSUS: allowed, but nobody is signed in", Agent, true, Settings{Machine: netshProxy, User: userStatic, SignedIn: no, UserFallback: true}, "system=proxy.fabrikam.example:8080, [user=surf.fabrikam.example:3128?]", admx},
		{"reports: the user's, then the system's", Other, false, Settings{Machine: netshProxy, User: userStatic, SignedIn: yes}, "user=surf.fabrikam.example:3128, system=proxy.fabrikam.example:8080?", client},
		{"reports: nobody is signed in, so the first is the system's", Other, false, Settings{Machine: netshProxy, User: userStatic, SignedIn: no}, "[user=surf.fabrikam.example:3128], system=proxy.fabrikam.example:8080", client},
		{"BITS: its owner's, never netsh's", BITS, false, Settings{Machine: netshProxy, Accounts: account(System, bitsProxy)}, "system=bits.fabrikam.example:80, [system=proxy.fabrikam.example:8080]", bits},
		{"BITS: none by default", BITS, false, Settings{Machine: netshProxy, User: userStatic, SignedIn: yes}, "system=assumed, [system=proxy.fabrikam.example:8080]", bits},
		{"BITS: another account's is not the owner's", BITS, false, Settings{Accounts: account(NetworkService, bitsProxy)}, "system=assumed", bits},
		{"BITS: machine-wide settings are LocalSystem's too", BITS, false, Settings{Internet: userPAC, Accounts: account(System, bitsProxy)}, "system=http://pac.fabrikam.example/proxy.pac", do},
		{"DO: signed in, the user's and not netsh's", DO, false, Settings{Machine: netshProxy, User: userStatic, SignedIn: yes}, "user=surf.fabrikam.example:3128, [network=proxy.fabrikam.example:8080]", do},
		{"DO: signed in, netsh alone is not used", DO, false, Settings{Machine: netshProxy, User: direct, SignedIn: yes}, "user=direct, [network=proxy.fabrikam.example:8080]", do},
		{"DO: signed in, machine-wide", DO, false, Settings{Machine: netshProxy, Internet: userPAC, SignedIn: yes}, "user=http://pac.fabrikam.example/proxy.pac, [network=proxy.fabrikam.example:8080]", do},
		{"DO: alone, netsh wins", DO, false, Settings{Machine: netshProxy, Internet: userPAC, SignedIn: no}, "network=proxy.fabrikam.example:8080, [network=http://pac.fabrikam.example/proxy.pac]", do},
		{"DO: alone, machine-wide", DO, false, Settings{Machine: noProxy, Internet: userPAC, SignedIn: no}, "network=http://pac.fabrikam.example/proxy.pac", do},
		{"DO: alone, per user is not used", DO, false, Settings{Machine: noProxy, User: userStatic, SignedIn: no}, "network=assumed, [user=surf.fabrikam.example:3128]", do},
		{"DO: alone, its own account's", DO, false, Settings{Machine: noProxy, Accounts: account(NetworkService, bitsProxy), SignedIn: no}, "network=bits.fabrikam.example:80", do},
		{"DO: unknown, both", DO, false, Settings{Machine: netshProxy, User: userStatic}, "user=surf.fabrikam.example:3128, [network=proxy.fabrikam.example:8080], network=proxy.fabrikam.example:8080, [user=surf.fabrikam.example:3128]", do},
		{"root lists: as the system", Crypt, false, Settings{Machine: netshProxy, User: userStatic, SignedIn: yes}, "network=proxy.fabrikam.example:8080", field},
		{"root lists: WPAD", Crypt, false, Settings{Machine: noProxy, User: userStatic, Suffixes: home}, "network=wpad", field},
		{"Store: the user's", Store, false, Settings{Machine: netshProxy, User: userStatic, SignedIn: yes}, "user=surf.fabrikam.example:3128", field},
		{"Store: nobody", Store, false, Settings{Machine: netshProxy, User: userStatic, SignedIn: no}, "[user=surf.fabrikam.example:3128]", field},
		{"environment variables are nobody's", Agent, false, Settings{Machine: noProxy, NoWPAD: true, Environ: userStatic, User: direct, SignedIn: yes}, "system=direct, [user=direct?]", client},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := tt.s.Decide(tt.caller, tt.own)
			var got []string
			for _, x := range d {
				got = append(got, drawnDecision(x))
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("got  %s\nwant %s", s, tt.want)
			}
			if last := d[len(d)-1]; !strings.Contains(last.Source, tt.page) {
				t.Errorf("by %q, want %q", last.Source, tt.page)
			}
		})
	}
}

// The page: the user's proxy is tried if the agent "fails to reach the service".
func TestFallsBackWhenUnreached(t *testing.T) {
	after := Settings{Machine: netshProxy, User: userStatic, SignedIn: ptr(true)}.Decide(Agent, false)[1].After
	for _, f := range []host.Fault{host.FaultProxyAuth, host.FaultRefused, host.FaultNoName, host.FaultTimeout, host.FaultReset, host.FaultIssuer, host.FaultStatus, host.FaultPAC} {
		if !slices.Contains(after, f) {
			t.Errorf("%s does not make the agent try the user's proxy", f)
		}
	}
	for _, f := range []host.Fault{host.FaultSOAP, host.FaultAnswer, host.FaultRange, host.FaultLength, host.FaultDigest, host.FaultHeader} {
		if slices.Contains(after, f) {
			t.Errorf("%s was answered by the service", f)
		}
	}
}

// Before Windows 10 2004 Delivery Optimization went to a cache past any proxy.
func TestCacheDecisions(t *testing.T) {
	for build, want := range map[string]string{
		"18363.1556": "network=direct",
		"19041.1":    "user=surf.fabrikam.example:3128",
		"":           "user=surf.fabrikam.example:3128",
		"junk":       "user=surf.fabrikam.example:3128",
	} {
		d := Settings{Build: build, User: userStatic, SignedIn: ptr(true)}.cache()
		if got := drawnDecision(d[0]); got != want {
			t.Errorf("build %q: %s, want %s", build, got, want)
		}
	}
}
