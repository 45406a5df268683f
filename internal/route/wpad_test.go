package route

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWPAD(t *testing.T) {
	tests := []struct {
		name string
		s    Settings
		want []string
	}{
		{"nothing known", Settings{}, nil},
		// WinHttpDetectAutoProxyConfigUrl: DNS only if DHCP has nothing.
		{"DHCP first and alone", Settings{DHCPWPAD: "http://pac.fabrikam.example:8080/p.dat\x00", Suffixes: []string{"fabrikam.example"}}, []string{"http://pac.fabrikam.example:8080/p.dat"}},
		{"one suffix", Settings{Suffixes: []string{"fabrikam.example"}}, []string{"http://wpad.fabrikam.example/wpad.dat"}},
		// ADMX_DnsClient: connections before parents; two labels are left.
		{"devolution", Settings{Suffixes: []string{"sales.emea.corp.fabrikam.example", "home.arpa"}}, []string{
			"http://wpad.sales.emea.corp.fabrikam.example/wpad.dat", "http://wpad.home.arpa/wpad.dat",
			"http://wpad.emea.corp.fabrikam.example/wpad.dat", "http://wpad.corp.fabrikam.example/wpad.dat", "http://wpad.fabrikam.example/wpad.dat",
		}},
		{"devolution to three", Settings{Suffixes: []string{"emea.corp.fabrikam.example"}, Devolve: 3}, []string{
			"http://wpad.emea.corp.fabrikam.example/wpad.dat", "http://wpad.corp.fabrikam.example/wpad.dat",
		}},
		{"never fewer than two", Settings{Suffixes: []string{"corp.fabrikam.example"}, Devolve: 1}, []string{
			"http://wpad.corp.fabrikam.example/wpad.dat", "http://wpad.fabrikam.example/wpad.dat",
		}},
		{"no devolution", Settings{Suffixes: []string{"corp.fabrikam.example"}, Devolve: -1}, []string{"http://wpad.corp.fabrikam.example/wpad.dat"}},
		{"one label", Settings{Suffixes: []string{"fabrikam"}}, []string{"http://wpad.fabrikam/wpad.dat"}},
		{"twice", Settings{Suffixes: []string{"Fabrikam.Example", "fabrikam.example."}}, []string{"http://wpad.fabrikam.example/wpad.dat"}},
		{"no names", Settings{Suffixes: []string{"", ".", "a b", "x/../y", "evil.example/?"}}, nil},
		{"switched off", Settings{NoWPAD: true, DHCPWPAD: "http://x/", Suffixes: []string{"fabrikam.example"}}, nil},
	}
	for _, tt := range tests {
		var got []string
		for _, c := range tt.s.WPAD() {
			got = append(got, c.URL)
			if c.Source == "" || (c.By == "dns") != (c.Suffix != "") {
				t.Errorf("%s: %+v", tt.name, c)
			}
		}
		if d := cmp.Diff(tt.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
	long := Settings{Suffixes: []string{strings.Repeat("a.", 120) + "example"}}
	if n := len(long.WPAD()); n != maxSuffixes {
		t.Errorf("%d places, want %d at most", n, maxSuffixes)
	}
}
