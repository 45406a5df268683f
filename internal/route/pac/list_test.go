package pac_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/route/pac"
)

func TestParse(t *testing.T) {
	direct := pac.Proxy{Kind: pac.Direct, Text: "DIRECT"}
	for _, c := range []struct {
		list string
		want []pac.Proxy
	}{
		{"", []pac.Proxy{direct}},
		{" ; ;", []pac.Proxy{direct}},
		{"DIRECT", []pac.Proxy{direct}},
		{"direct", []pac.Proxy{{Kind: pac.Direct, Text: "direct"}}},
		{"PROXY w3proxy.example:8080; PROXY second.example:8081; DIRECT", []pac.Proxy{
			{Kind: pac.HTTP, Host: "w3proxy.example", Port: 8080, Text: "PROXY w3proxy.example:8080"},
			{Kind: pac.HTTP, Host: "second.example", Port: 8081, Text: "PROXY second.example:8081"},
			direct,
		}},
		{"proxy p;HTTP q:3128;HTTPS r;SOCKS s;SOCKS4 t:1;SOCKS5 u:65535", []pac.Proxy{
			{Kind: pac.HTTP, Host: "p", Port: 80, Text: "proxy p"},
			{Kind: pac.HTTP, Host: "q", Port: 3128, Text: "HTTP q:3128"},
			{Kind: pac.HTTPS, Host: "r", Port: 443, Text: "HTTPS r"},
			{Kind: pac.SOCKS, Host: "s", Port: 1080, Text: "SOCKS s"},
			{Kind: pac.SOCKS4, Host: "t", Port: 1, Text: "SOCKS4 t:1"},
			{Kind: pac.SOCKS5, Host: "u", Port: 65535, Text: "SOCKS5 u:65535"},
		}},
		{"PROXY [2001:db8::8]:3128;PROXY [2001:db8::8]", []pac.Proxy{
			{Kind: pac.HTTP, Host: "2001:db8::8", Port: 3128, Text: "PROXY [2001:db8::8]:3128"},
			{Kind: pac.HTTP, Host: "2001:db8::8", Port: 80, Text: "PROXY [2001:db8::8]"},
		}},
		// What people write.
		{"proxy.example:8080", []pac.Proxy{{Text: "proxy.example:8080", Bad: "PROXY is missing before the address"}}},
		{"PROXY http://proxy.example:8080", []pac.Proxy{{Kind: pac.HTTP, Text: "PROXY http://proxy.example:8080", Bad: "a URL where host and port are due"}}},
		{"PROXY a:1,PROXY b:2", []pac.Proxy{{Kind: pac.HTTP, Port: 80, Text: "PROXY a:1,PROXY b:2", Bad: "more than one address, or a wrong separator"}}},
		{"PROXY a:1,b:2", []pac.Proxy{{Kind: pac.HTTP, Text: "PROXY a:1,b:2", Bad: "a comma where a semicolon is due"}}},
		{"PROXY", []pac.Proxy{{Kind: pac.HTTP, Port: 80, Text: "PROXY", Bad: "no address"}}},
		{"DIRECT maybe", []pac.Proxy{{Kind: pac.Direct, Text: "DIRECT maybe", Bad: "words after DIRECT"}}},
		{"undefined", []pac.Proxy{{Text: "undefined", Bad: "no kind of proxy"}}},
		{"PROXY a:0; PROXY a:65536; PROXY a:; PROXY a:b", []pac.Proxy{
			{Kind: pac.HTTP, Text: "PROXY a:0", Bad: "no port from 1 to 65535 after the colon"},
			{Kind: pac.HTTP, Text: "PROXY a:65536", Bad: "no port from 1 to 65535 after the colon"},
			{Kind: pac.HTTP, Text: "PROXY a:", Bad: "no port from 1 to 65535 after the colon"},
			{Kind: pac.HTTP, Text: "PROXY a:b", Bad: "no port from 1 to 65535 after the colon"},
		}},
		{"PROXY 2001:db8::8", []pac.Proxy{{Kind: pac.HTTP, Text: "PROXY 2001:db8::8", Bad: "an IPv6 address without brackets"}}},
		{"PROXY a:8080/path", []pac.Proxy{{Kind: pac.HTTP, Text: "PROXY a:8080/path", Bad: "a path after the address"}}},
		{"PROXY :8080", []pac.Proxy{{Kind: pac.HTTP, Text: "PROXY :8080", Bad: "no host name"}}},
		{"PROXY pro\x00xy:1", []pac.Proxy{{Kind: pac.HTTP, Text: "PROXY pro\uFFFDxy:1", Bad: "no host name"}}},
		{"PROXY [::1:80", []pac.Proxy{{Kind: pac.HTTP, Text: "PROXY [::1:80", Bad: "a bracket that is not closed"}}},
		{"PROXY [name]:80", []pac.Proxy{{Kind: pac.HTTP, Text: "PROXY [name]:80", Bad: "no IPv6 address in the brackets"}}},
		{"PROXY svc:Pa55@w0rd@proxy.example:8080", []pac.Proxy{{
			Kind: pac.HTTP, Text: "PROXY [removed]@proxy.example:8080",
			Bad: "a name and password before the address; no client reads them",
		}}},
	} {
		if diff := cmp.Diff(c.want, pac.Parse(c.list)); diff != "" {
			t.Errorf("Parse(%q):\n%s", c.list, diff)
		}
	}
	if n := len(pac.Parse(strings.Repeat("PROXY p:1;", 1000))); n != 64 {
		t.Errorf("a list of 1000 has %d entries", n)
	}
}

func TestProxyURL(t *testing.T) {
	for list, want := range map[string]string{
		"DIRECT": "", "PROXY p:8080": "http://p:8080", "HTTPS p": "https://p:443", "SOCKS p": "socks://p:1080",
		"SOCKS4 p": "socks4://p:1080", "SOCKS5 p": "socks5://p:1080", "PROXY [::1]:3128": "http://[::1]:3128", "PROXY": "",
	} {
		if got := pac.Parse(list)[0].URL(); got != want {
			t.Errorf("%q is %q, want %q", list, got, want)
		}
	}
}

func TestNewCall(t *testing.T) {
	for _, c := range []struct{ address, url, host string }{
		{"http://WSUS01.fabrikam.example:8530/ClientWebService/client.asmx", "http://WSUS01.fabrikam.example:8530/ClientWebService/client.asmx", "WSUS01.fabrikam.example"},
		{"https://svc:Pa55w0rd@Host.example/x?y=1#z", "https://Host.example/x?y=1", "Host.example"},
		{"http://[2001:db8::5]:8530/", "http://[2001:db8::5]:8530/", "2001:db8::5"},
	} {
		got, err := pac.NewCall(c.address)
		if err != nil || got != (pac.Call{URL: c.url, Host: c.host}) {
			t.Errorf("NewCall(%q) = %+v, %v", c.address, got, err)
		}
	}
	for _, bad := range []string{"", "wsus01", "http://", "://x", "http://svc:Pa55w0rd@\x7f/", "http://h/" + strings.Repeat("x", pac.MaxURL)} {
		_, err := pac.NewCall(bad)
		if err == nil || strings.Contains(err.Error(), "Pa55w0rd") {
			t.Errorf("NewCall(%.40q): %v", bad, err)
		}
	}
}

func TestLower(t *testing.T) {
	for _, c := range []struct{ url, want string }{
		{"HTTP://WSUS01.Corp.example:8530/Content/AB.cab", "http://wsus01.corp.example:8530/Content/AB.cab"},
		{"http://WSUS01", "http://wsus01"},
		{"http://WSUS01?Q=A", "http://wsus01?Q=A"},
		{"no URL", "no URL"},
	} {
		if got := (pac.Call{URL: c.url, Host: "WSUS01"}).Lower(); got.URL != c.want || got.Host != "wsus01" {
			t.Errorf("%q in lower case is %+v", c.url, got)
		}
	}
}

func TestCheckSource(t *testing.T) {
	for _, c := range []struct {
		address, kind string
		size          int64
		want          pac.Fault
	}{
		{"http://wpad.example/wpad.dat", "text/plain", 4000, ""},
		{"https://proxy.example/PROXY.PAC?x=1", "text/html", 4000, ""},
		{"HTTP://proxy.example/a.js", "", 0, ""},
		{"http://proxy.example/a.jvs", "", 0, ""},
		{"http://proxy.example/script", "Application/x-ns-proxy-autoconfig; charset=utf-8", 1 << 20, ""},
		{"http://proxy.example/script", "application/x-javascript-config", 10, pac.FaultType},
		{"http://proxy.example/script", "", 10, pac.FaultType},
		{"http://proxy.example/proxy.php", "text/html", 10, pac.FaultType},
		{"file:///C:/proxy.pac", "", 10, pac.FaultScheme},
		{"file://server/share/proxy.pac", "", 10, pac.FaultScheme},
		{"ftp://proxy.example/proxy.pac", "", 10, pac.FaultScheme},
		{`C:\proxy.pac`, "", 10, pac.FaultScheme},
		{"", "", 10, pac.FaultScheme},
		{"http://wpad.example/wpad.dat", "", 1<<20 + 1, pac.FaultSize},
	} {
		got := pac.CheckSource(c.address, c.kind, c.size)
		if (got == nil) != (c.want == "") || got != nil && got.Fault != c.want {
			t.Errorf("CheckSource(%q, %q, %d) = %v, want %q", c.address, c.kind, c.size, got, c.want)
		}
	}
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		in, want string
		encoding pac.Encoding
	}{
		{"abc", "abc", pac.ASCII},
		{"", "", pac.ASCII},
		{"\xEF\xBB\xBFabc", "abc", pac.UTF8BOM},
		{"b\xC3\xBCro", "büro", pac.UTF8},
		{"b\xFCro \x80\x92", "büro €’", pac.Windows1252},
		{"\xFF\xFEa\x00\xFC\x00", "aü", pac.UTF16LE},
		{"\xFE\xFF\x00a\x00\xFC", "aü", pac.UTF16BE},
		{"\xFF\xFE\x00\xD8a\x00", "\uFFFDa", pac.UTF16LE},
		{"\xFF\xFEa\x00\xFC", "a", pac.UTF16LE},
	} {
		got, encoding := pac.Decode([]byte(c.in))
		if got != c.want || encoding != c.encoding {
			t.Errorf("Decode(%q) = %q, %s", c.in, got, encoding)
		}
	}
}

// Any list at all gives entries of which each is either usable or says why not.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "DIRECT", "PROXY a:8080; DIRECT", "SOCKS5 [::1]:1", "PROXY u:p@h:1", "PROXY a:1,PROXY b:2", "HTTPS \x00", ";;;", "PROXY [", "PROXY a:99999999999",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		proxies := pac.Parse(list)
		if len(proxies) == 0 || len(proxies) > 64 {
			t.Fatalf("%d entries", len(proxies))
		}
		for _, p := range proxies {
			switch {
			case p.Bad != "":
				if p.Host != "" || p.URL() != "" {
					t.Errorf("%+v is bad and usable", p)
				}
				continue
			case p.Kind == pac.Direct:
				if p.Host != "" || p.Port != 0 {
					t.Errorf("%+v", p)
				}
				continue
			}
			if p.Host == "" || p.Port == 0 || p.URL() == "" {
				t.Errorf("%+v is neither", p)
			}
			// What is usable survives being written and read again.
			again := pac.Parse(string(p.Kind) + " " + p.Address())
			if again[0].Host != p.Host || again[0].Port != p.Port || again[0].Kind != p.Kind {
				t.Errorf("%+v becomes %+v", p, again[0])
			}
		}
	})
}
