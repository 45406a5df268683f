package cause

import (
	"testing"
	"time"

	"updoc/internal/host"
	"updoc/internal/route"
)

// A bypass is what is missing where the way past the proxy is open; where nobody
// answers there either, it is the proxy's sign-in.
func TestOwnServerPastProxy(t *testing.T) {
	via := host.Via{Proxy: "http://proxy.fourthcoffee.example:8080", Source: "registry"}
	asks := host.Hop{Kind: host.HopProxy, Target: "proxy.fourthcoffee.example:8080", Status: 407, Fault: host.FaultProxyAuth, Challenges: []host.Challenge{{Scheme: "NTLM"}}}
	for name, tt := range map[string]struct {
		past host.Hop
		want string
	}{
		"open":   {host.Hop{Kind: host.HopHTTP, Status: 200}, "proxy-misconfigured-winhttp"},
		"closed": {host.Hop{Kind: host.HopDNS, Target: "wsus1.fourthcoffee.example", Fault: host.FaultNoName}, "proxy-auth-required"},
	} {
		t.Run(name, func(t *testing.T) {
			f := collected(t, map[string]string{"WindowsUpdate.log": atOwnServer + scan407, "netsh.txt": throughProx})
			trip := route.Trip{Task: route.Task{ID: "wsus.config", Caller: route.Agent, Vital: true, Request: host.Request{URL: "http://wsus1.fourthcoffee.example:8530/ClientWebService/client.asmx"}}}
			for i, way := range []struct {
				via host.Via
				hop host.Hop
			}{{via, asks}, {host.Via{}, tt.past}} {
				ex := host.Exchange{Request: trip.Task.Request, Hops: []host.Hop{way.hop}, Status: way.hop.Status}
				ex.Request.Via = way.via
				trip.Attempts = append(trip.Attempts, route.Attempt{Beside: i > 0, Walked: true, Exchange: ex})
			}
			trip.Predict = route.Predict(route.Agent, &trip.Attempts[0].Exchange)
			f.AddWalk(&route.Walk{Began: time.Now(), Trips: []route.Trip{trip}})
			wantFirst(t, Diagnose(f), tt.want)
		})
	}
}

// TestRelated: what is taken for one organisation, and what for another.
func TestRelated(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"proxy.corp.fabrikam.example:8080", "fabrikam.example", true},
		{"proxy.corp.fabrikam.example:8080", "BRANCH.Fabrikam.Example.", true},
		{"proxy.fabrikam.example:8080", "home.example", false},
		{"proxy.fabrikam.example:8080", "", false},
		{"192.0.2.7:8080", "fabrikam.example", false},
		{"[2001:db8::7]:8080", "fabrikam.example", false},
		{"fabrikam.co.uk", "northwind.co.uk", true}, // nothing is concluded of these
	} {
		if got := related(tt.a, tt.b); got != tt.want {
			t.Errorf("related(%q, %q) = %t", tt.a, tt.b, got)
		}
	}
}

// TestBelow: a suffix ends at a dot.
func TestBelow(t *testing.T) {
	for _, tt := range []struct {
		name, suffix string
		want         bool
	}{
		{"px.vpn.fabrikam.example", "vpn.fabrikam.example", true},
		{"VPN.fabrikam.example.", "vpn.fabrikam.example", true},
		{"px-vpn.fabrikam.example", "vpn.fabrikam.example", false},
		{"px.vpn.fabrikam.example", "", false},
	} {
		if got := below(tt.name, tt.suffix); got != tt.want {
			t.Errorf("below(%q, %q) = %t", tt.name, tt.suffix, got)
		}
	}
}
