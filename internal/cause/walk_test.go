package cause

import "testing"

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
