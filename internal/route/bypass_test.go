package route

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What an entry lets past. The pages are named at Bypass; rows marked "measured"
// were read off WinHTTP and WinINET of Windows 11 by the authors of proxy-watch.
func TestBypass(t *testing.T) {
	tests := []struct {
		name, list, target string
		want               bool
		entry              string
	}{
		{"no list", "", "http://wsus.fabrikam.example/", false, ""},
		{"local", "<local>", "http://wsus:8530/", true, "<local>"},
		{"local in capitals", "<LOCAL>", "wsus", true, "<LOCAL>"},
		{"local means no dot", "<local>", "http://wsus.fabrikam.example/", false, ""},
		{"local is no IPv6 address (measured)", "<local>", "http://[2001:db8::1]/", false, ""},
		{"local is no IPv4 address", "<local>", "http://10.0.0.1/", false, ""},
		{"below", "*.fabrikam.example", "http://wsus.fabrikam.example:8530/", true, "*.fabrikam.example"},
		{"below, deep", "*.fabrikam.example", "wsus.corp.fabrikam.example", true, "*.fabrikam.example"},
		{"below is not itself (measured)", "*.fabrikam.example", "fabrikam.example", false, ""},
		{"below is not beside", "*.fabrikam.example", "wsus.notfabrikam.example", false, ""},
		{"a name is one host (measured)", "fabrikam.example", "wsus.fabrikam.example", false, ""},
		{"a name", "wsus.fabrikam.example", "wsus.fabrikam.example", true, "wsus.fabrikam.example"},
		{"letter case", "WSUS.Fabrikam.Example", "http://wsus.FABRIKAM.example/", true, "WSUS.Fabrikam.Example"},
		{"star at the end", "wsus.*", "wsus.corp.fabrikam.example", true, "wsus.*"},
		{"star in the middle", "wsus*.fabrikam.example", "wsus01.fabrikam.example", true, "wsus*.fabrikam.example"},
		{"stars all over", "*sus*.*.example", "wsus01.fabrikam.example", true, "*sus*.*.example"},
		{"star alone", "*", "https://slscr.update.microsoft.com/", true, "*"},
		{"star for nothing", "wsus*.fabrikam.example", "wsus.fabrikam.example", true, "wsus*.fabrikam.example"},
		{"star before the end", "*.fabrikam.example", "x.fabrikam.example.evil.example", false, ""},
		{"address as text", "10.*", "http://10.1.2.3/", true, "10.*"},
		{"address, several stars", "123.1*.66.*", "123.144.66.12", true, "123.1*.66.*"},
		{"address is text (measured)", "012.1.2.3", "10.1.2.3", false, ""},
		{"a prefix of an address is none", "10.1", "10.1.2.3", false, ""},
		{"IPv6", "[2001:db8::1]", "http://[2001:DB8::1]:8530/", true, "[2001:db8::1]"},
		{"IPv6 without brackets", "2001:db8::1", "http://[2001:db8::1]/", true, "2001:db8::1"},
		{"IPv6 is text", "2001:db8:0::1", "http://[2001:db8::1]/", false, ""},
		{"IPv6 with a star", "[2001:db8:*]", "http://[2001:db8::7]/", true, "[2001:db8:*]"},
		{"port", "wsus.fabrikam.example:8530", "http://wsus.fabrikam.example:8530/", true, "wsus.fabrikam.example:8530"},
		{"other port", "wsus.fabrikam.example:8530", "https://wsus.fabrikam.example:8531/", false, ""},
		{"port of the scheme", "wsus.fabrikam.example:443", "https://wsus.fabrikam.example/", true, "wsus.fabrikam.example:443"},
		{"port against a host alone", "wsus.fabrikam.example:8530", "wsus.fabrikam.example", true, "wsus.fabrikam.example:8530"},
		{"scheme", "http://*.fabrikam.example", "http://wsus.fabrikam.example/", true, "http://*.fabrikam.example"},
		{"other scheme", "http://*.fabrikam.example", "https://wsus.fabrikam.example/", false, ""},
		{"blanks separate", "a.example *.fabrikam.example\t<local>", "wsus", true, "<local>"},
		{"blanks around semicolons", "a.example ; *.fabrikam.example ;", "x.fabrikam.example", true, "*.fabrikam.example"},
		{"the first that matches", "*.example;wsus.fabrikam.example", "wsus.fabrikam.example", true, "*.example"},
		{"trailing dot of the target is kept", "wsus.fabrikam.example", "http://wsus.fabrikam.example./", false, ""},
		{"loopback by itself (measured)", "", "http://127.0.0.1:8080/", true, ""},
		{"loopback by name", "", "http://LocalHost/", true, ""},
		{"loopback, IPv6", "", "http://[::1]/", true, ""},
		{"link-local by itself (measured)", "", "http://169.254.1.1/", true, ""},
		{"not loopback", "<local>;<-loopback>", "http://localhost/", false, "<-loopback>"},
		{"the later one counts", "<-loopback>;<local>", "http://localhost/", true, "<local>"},
		{"WinHTTP keeps 127 (measured)", "<-loopback>", "http://127.0.0.2/", true, ""},
		{"netsh without exceptions", "(none)", "none", false, ""},
		{"no target", "*", "", false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Bypass(tt.list, tt.target)
			if r.Direct != tt.want || r.Entry != tt.entry {
				t.Errorf("Bypass(%q, %q) = %v by %q, want %v by %q", tt.list, tt.target, r.Direct, r.Entry, tt.want, tt.entry)
			}
		})
	}
}

func TestBypassMalformed(t *testing.T) {
	tests := []struct {
		entry string
		want  Flaw
	}{
		{"a.example,b.example", FlawComma},
		{"10.0.0.0/8", FlawCIDR},
		{"10.0.0/8", FlawCIDR},
		{"2001:db8::/32", FlawCIDR},
		{"wsus.fabrikam.example/", FlawSlash},
		{"http://wsus.fabrikam.example/selfupdate", FlawSlash},
		{"10.0.0.1-10.0.0.9", FlawRange},
		{`.*\.fabrikam\.example`, FlawRegexp},
		{"^wsus", FlawRegexp},
		{"wsus(01|02)", FlawRegexp},
		{`"*.fabrikam.example"`, FlawQuote},
		{"’wsus’", FlawQuote},
		{".fabrikam.example", FlawLeadingDot},
		{"wsus.fabrikam.example.", FlawTrailingDot},
		{"10.1.", FlawTrailingDot},
		{"[wsus]", FlawBrackets},
		{"[2001:db8::zz]", FlawBrackets},
		{"2001:db8::1::2", FlawBrackets},
		{"<loopback>", FlawMacro},
		{"wsus:", FlawPort},
		{"wsus:http", FlawPort},
		{"wsus:99999", FlawPort},
		{"ldap://wsus", FlawScheme},
		{":8530", FlawNoHost},
		{"wsus?", FlawCharacter},
		{"%computername%", FlawCharacter},
		{strings.Repeat("a", 300), FlawTooLong},
	}
	for _, tt := range tests {
		r := Bypass("<local>;"+tt.entry+";*.corp.example", "x.corp.example")
		if d := cmp.Diff([]Malformed{{tt.entry, tt.want}}, r.Malformed); d != "" {
			t.Errorf("%q (-want +got):\n%s", tt.entry, d)
		}
		if !r.Direct || r.Entry != "*.corp.example" {
			t.Errorf("%q takes its neighbours with it: %+v", tt.entry, r)
		}
		if Bypass(tt.entry, strings.Trim(tt.entry, "./\"’")).Direct {
			t.Errorf("%q lets something past", tt.entry)
		}
	}
	if !FlawCIDR.Spoils() || !FlawSlash.Spoils() || FlawComma.Spoils() {
		t.Error("a slash, and only a slash, spoils the list")
	}
	r := Bypass("anna:s3cret@wsus", "wsus")
	if d := cmp.Diff([]Malformed{{"***@wsus", FlawCredentials}}, r.Malformed); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func FuzzBypass(f *testing.F) {
	f.Add("<local>;*.fabrikam.example", "http://wsus.fabrikam.example:8530/")
	f.Add("<-loopback>;[::1];10.*;a,b;c/8", "https://[::1]")
	f.Add("*a*b*c*", "aXbXc")
	f.Add("http://x:1", "x")
	f.Add("\xff;\x00", "\xff")
	f.Fuzz(func(t *testing.T, list, target string) {
		r := Bypass(list, target)
		if r.Entry != "" && !strings.Contains(list, r.Entry) {
			t.Errorf("decided by %q, which is not in %q", r.Entry, list)
		}
		for _, m := range r.Malformed {
			if m.Flaw == "" || r.Entry == m.Text && m.Text != "" && strings.Count(list, m.Text) == 1 {
				t.Errorf("%q: %+v and decided by %q", list, m, r.Entry)
			}
		}
		if up := Bypass(strings.ToUpper(list), target); isASCII(list+target) && up.Direct != r.Direct {
			t.Errorf("letter case decides: %q, %q", list, target)
		}
	})
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > '~' }) < 0
}

func BenchmarkBypass(b *testing.B) {
	list := strings.Repeat("*.some-domain.example;", 60) + "<local>;*.fabrikam.example"
	for b.Loop() {
		Bypass(list, "http://wsus.fabrikam.example:8530/ClientWebService/client.asmx")
	}
}
