package route

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/host"
)

func TestParseProxyList(t *testing.T) {
	tests := []struct {
		list string
		want []ProxyEntry
		bad  []Malformed
	}{
		{"", nil, nil},
		{" ; ;\t", nil, nil},
		{"proxy.fabrikam.example:8080", []ProxyEntry{{"", "http", "proxy.fabrikam.example", 8080, false}}, nil},
		{"proxy", []ProxyEntry{{"", "http", "proxy", 80, true}}, nil},
		{"http://proxy:3128", []ProxyEntry{{"", "http", "proxy", 3128, false}}, nil},
		{"http://proxy:3128/", []ProxyEntry{{"", "http", "proxy", 3128, false}}, nil},
		{"https://proxy", []ProxyEntry{{"", "https", "proxy", 443, true}}, nil},
		{
			"http=a:80;https=b:443;ftp=c:21;socks=d",
			[]ProxyEntry{{"http", "http", "a", 80, false}, {"https", "http", "b", 443, false}, {"ftp", "http", "c", 21, false}, {"socks", "socks", "d", 1080, true}},
			nil,
		},
		{"HTTP=A:80\r\nHttps=http://B", []ProxyEntry{{"http", "http", "A", 80, false}, {"https", "http", "B", 80, true}}, nil},
		{"[2001:db8::1]:3128 [2001:db8::2]", []ProxyEntry{{"", "http", "2001:db8::1", 3128, false}, {"", "http", "2001:db8::2", 80, true}}, nil},
		{"192.0.2.7:8080", []ProxyEntry{{"", "http", "192.0.2.7", 8080, false}}, nil},
		{"a:1;b:2", []ProxyEntry{{"", "http", "a", 1, false}, {"", "http", "b", 2, false}}, nil},
		// One bad entry leaves the others.
		{"http=a:99999;https=b:2", []ProxyEntry{{"https", "http", "b", 2, false}}, []Malformed{{"http=a:99999", FlawPort}}},
		{"a:", nil, []Malformed{{"a:", FlawPort}}},
		{"a:+80", nil, []Malformed{{"a:+80", FlawPort}}},
		{":8080", nil, []Malformed{{":8080", FlawNoHost}}},
		{"https=", nil, []Malformed{{"https=", FlawNoHost}}},
		{"a:80,b:80", nil, []Malformed{{"a:80,b:80", FlawComma}}},
		{"http://proxy:80/proxy.pac", nil, []Malformed{{"http://proxy:80/proxy.pac", FlawSlash}}},
		{"tls=a:1", nil, []Malformed{{"tls=a:1", FlawScheme}}},
		{"gopher://a:1", nil, []Malformed{{"gopher://a:1", FlawScheme}}},
		{`"proxy:80"`, nil, []Malformed{{`"proxy:80"`, FlawPort}}},
		{"“proxy”", nil, []Malformed{{"“proxy”", FlawQuote}}},
		{"[proxy]:80", nil, []Malformed{{"[proxy]:80", FlawBrackets}}},
		{"[::1:80", nil, []Malformed{{"[::1:80", FlawBrackets}}},
		{"pro_xy.example:80 pro%xy", []ProxyEntry{{"", "http", "pro_xy.example", 80, false}}, []Malformed{{"pro%xy", FlawCharacter}}},
		{"proxy.", nil, []Malformed{{"proxy.", FlawTrailingDot}}},
		{"http=anna:s3cret@proxy:80", nil, []Malformed{{"http=***@proxy:80", FlawCredentials}}},
		{"http://anna:p@ss@proxy:80", nil, []Malformed{{"http://***@proxy:80", FlawCredentials}}},
		{"anna:x=y@proxy", nil, []Malformed{{"***@proxy", FlawCredentials}}},
	}
	for _, tt := range tests {
		l := ParseProxyList(tt.list)
		if d := cmp.Diff(tt.want, l.Entries); d != "" {
			t.Errorf("%q (-want +got):\n%s", tt.list, d)
		}
		if d := cmp.Diff(tt.bad, l.Malformed); d != "" {
			t.Errorf("%q, malformed (-want +got):\n%s", tt.list, d)
		}
	}
}

func TestProxyListIsBounded(t *testing.T) {
	l := ParseProxyList(strings.Repeat("a:1;", 1<<20))
	if len(l.Entries) != maxListEntries || len(l.Malformed) != 1 || l.Malformed[0].Flaw != FlawTooLong {
		t.Errorf("%d entries, %v", len(l.Entries), l.Malformed)
	}
}

func TestChoose(t *testing.T) {
	via := func(proxies ...string) []host.Via {
		var out []host.Via
		for _, p := range proxies {
			out = append(out, host.Via{Proxy: p, Source: "netsh"})
		}
		return out
	}
	direct := via("")
	const scan, content = "https://slscr.update.microsoft.com/SLS/", "http://download.windowsupdate.com/x"
	tests := []struct {
		name, static, bypass, target string
		want                         []host.Via
		gap                          bool
	}{
		{"none", "", "", scan, direct, false},
		{"one for all", "proxy:8080", "", scan, via("http://proxy:8080"), false},
		{"its own", "http=a:80;https=b:81", "", scan, via("http://b:81"), false},
		{"its own before the one for all", "a:80;https=b:81", "", scan, via("http://b:81"), false},
		{"two for all", "a:80;b:81", "", content, via("http://a:80", "http://b:81"), false},
		// A list for http alone: the scan goes direct, the download does not.
		{"no part for https", "http=a:80", "", scan, direct, true},
		{"no part for https, content", "http=a:80", "", content, via("http://a:80"), false},
		// WinINet vs. WinHTTP: no SOCKS.
		{"socks only", "socks=a:1080", "", scan, direct, true},
		{"past it", "proxy:8080", "*.microsoft.com", scan, direct, false},
		{"not past it", "proxy:8080", "*.windowsupdate.com", scan, via("http://proxy:8080"), false},
		{"IPv6", "[2001:db8::1]:3128", "", scan, via("http://[2001:db8::1]:3128"), false},
		{"nobody can say", "proxy:port", "", scan, nil, false},
	}
	for _, tt := range tests {
		c := Proxy{Known: true, Static: tt.static, Bypass: tt.bypass, Source: "netsh"}.Choose(tt.target)
		if d := cmp.Diff(tt.want, c.Via); d != "" || c.Gap != tt.gap {
			t.Errorf("%s: gap %v (-want +got):\n%s", tt.name, c.Gap, d)
		}
	}
}

func TestClean(t *testing.T) {
	p := Proxy{
		Static: "http=anna:s3cret@a:80;https=b:81 c://x:s3cret@d", Bypass: "<local>;s3cret@x;*.y",
		PAC: "http://anna:s3cret@pac.fabrikam.example/p.pac",
	}.Clean()
	want := Proxy{Static: "http=***@a:80;https=b:81 c://***@d", Bypass: "<local>;***@x;*.y", PAC: "http://pac.fabrikam.example/p.pac"}
	if d := cmp.Diff(want, p); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func FuzzProxyList(f *testing.F) {
	for _, s := range []string{
		"proxy:8080", "http=a:80;https=b:443;ftp=c;socks=d:1080", "[::1]:3128 http://x/", "a,b", "user:pass@host:1", "=;=", "http=http://=", "::", "[]:1", "\xff:1",
	} {
		f.Add(s, "http://x.example/")
	}
	f.Fuzz(func(t *testing.T, list, target string) {
		l := ParseProxyList(list)
		for _, e := range l.Entries {
			again := ParseProxyList(e.URL())
			if e.Scheme == "socks" || e.Scheme == "https" || e.Scheme == "http" {
				if len(again.Entries) != 1 || again.Entries[0].Host != e.Host || again.Entries[0].Port != e.Port {
					t.Errorf("%q gives %q, which reads as %+v", list, e.URL(), again)
				}
			}
			if e.Port == 0 || e.Host == "" {
				t.Errorf("%q: %+v", list, e)
			}
		}
		for _, m := range l.Malformed {
			if m.Flaw == "" || m.Text == "" {
				t.Errorf("%q: %+v", list, m)
			}
		}
		p := Proxy{Static: list, Bypass: target}
		for _, v := range p.Choose(target).Via {
			if strings.Contains(v.Proxy, "@") {
				t.Errorf("%q: %q", list, v.Proxy)
			}
		}
		if c := p.Clean(); c.Clean() != c {
			t.Errorf("cleaning %q again changes it: %q", list, c.Static)
		}
	})
}

func BenchmarkParseProxyList(b *testing.B) {
	for b.Loop() {
		ParseProxyList("http=proxy-a.fabrikam.example:8080;https=proxy-b.fabrikam.example:8080;ftp=proxy-c.fabrikam.example:21")
	}
}
