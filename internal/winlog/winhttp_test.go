package winlog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// 直接アクセス (プロキシ サーバーなし)。 as code page 932 writes it.
const directJapanese932 = "\r\n\x8c\xbb\x8d\xdd\x82\xcc WinHTTP \x83v\x83\x8d\x83L\x83V\x90\xdd\x92\xe8:\r\n\r\n    \x92\xbc\x90\xda\x83A\x83N\x83Z\x83X (\x83v\x83\x8d\x83L\x83V \x83T\x81[\x83o\x81[\x82\xc8\x82\xb5)\x81B\r\n"

func TestReadWinHTTP(t *testing.T) {
	direct := WinHTTPProxy{Known: true, Direct: true}
	for name, c := range map[string]struct {
		in   string
		want WinHTTPProxy
	}{
		"english direct": {"\nCurrent WinHTTP proxy settings:\n\n    Direct access (no proxy server).\n\n", direct},
		"german direct":  {"\nAktuelle WinHTTP-Proxyeinstellungen:\n\n    Direktzugriff (kein Proxyserver).\n\n", direct},
		"french direct, code page 850": {
			oem850("\nParamètres de proxy WinHTTP actuels :\n\n    Accès direct (sans serveur proxy).\n\n"), direct,
		},
		"japanese direct, code page 932": {directJapanese932, direct},
		"chinese direct, wide colon":     {"当前的 WinHTTP 代理服务器设置：\n\n    直接访问(没有代理服务器)。\n", direct},
		"direct, blanks lost":            {"C:\\Windows\\system32>netsh winhttp show proxy\nCurrent WinHTTP proxy settings:\nDirect access (no proxy server).\nC:\\Windows\\system32>", direct},
		"direct, utf-16":                 {utf16LE("\uFEFF\r\nCurrent WinHTTP proxy settings:\r\n\r\n    Direct access (no proxy server).\r\n"), direct},
		"english proxy": {
			"\nCurrent WinHTTP proxy settings:\n\n    Proxy Server(s) :  proxy.fabrikam.example:8080\n    Bypass List     :  (none)\n\n",
			WinHTTPProxy{Known: true, Proxy: "proxy.fabrikam.example:8080"},
		},
		"german proxy": {
			"\nAktuelle WinHTTP-Proxyeinstellungen:\n\n    Proxyserver :  http=10.1.2.3:3128;https=10.1.2.3:3129\n    Umgehungsliste     :  <local>;*.fabrikam.example\n",
			WinHTTPProxy{Known: true, Proxy: "http=10.1.2.3:3128;https=10.1.2.3:3129", Bypass: "<local>;*.fabrikam.example"},
		},
		"german proxy without bypass": {
			"Aktuelle WinHTTP-Proxyeinstellungen:\n\n    Proxyserver :  proxy:80\n    Umgehungsliste     :  (keine)\n",
			WinHTTPProxy{Known: true, Proxy: "proxy:80"},
		},
		"japanese proxy": {
			"現在の WinHTTP プロキシ設定:\n\n    プロキシ サーバー:  proxy.fabrikam.example:8080\n    バイパス一覧     :  （なし）\n",
			WinHTTPProxy{Known: true, Proxy: "proxy.fabrikam.example:8080"},
		},
		"spanish proxy with a scheme": {
			"Configuración actual del proxy WinHTTP:\n\n    Servidores proxy:  http://[fd00::5]:8080\n    Lista de omisión :  (ninguno)\n",
			WinHTTPProxy{Known: true, Proxy: "http://[fd00::5]:8080"},
		},
		"advanced": {
			"\nCurrent WinHTTP advanced proxy settings:\n\n{\n\t\"ProxyIsEnabled\":\ttrue,\n\t\"Proxy\":\t\"proxy.fabrikam.example:8080\",\n\t\"ProxyBypass\":\t\"*.fabrikam.example\",\n" +
				"\t\"AutoConfigIsEnabled\":\tfalse,\n\t\"AutoconfigUrl\":\t\" \",\n\t\"AutoDetect\":\tfalse,\n\t\"PerUserProxySettings\":\ttrue\n}\n",
			WinHTTPProxy{Known: true, Advanced: true, Proxy: "proxy.fabrikam.example:8080", Bypass: "*.fabrikam.example"},
		},
		"advanced, proxy switched off": {
			`{"ProxyIsEnabled": false, "Proxy": "127.0.0.1:8888", "AutoDetect": false}`,
			WinHTTPProxy{Known: true, Advanced: true, Direct: true},
		},
		"advanced, script and detection": {
			"{\n\"AutoconfigUrl\": \"http://wpad.fabrikam.example/proxy.pac\",\n\"AutoDetect\": true\n}",
			WinHTTPProxy{Known: true, Advanced: true, PAC: "http://wpad.fabrikam.example/proxy.pac", AutoDetect: true},
		},
		"plain and advanced of two scopes": {
			"C:\\>netsh winhttp show proxy\n\nCurrent WinHTTP proxy settings:\n\n    Direct access (no proxy server).\n\n" +
				"C:\\>netsh winhttp show advproxy setting-scope=user\n\n{\n  \"Proxy\": \"a:1\"\n}\n" +
				"C:\\>netsh winhttp show advproxy setting-scope=machine\n\n{\n  \"Proxy\": \"localhost:8080\",\n  \"ProxyBypass\": \"*\"\n}\n",
			WinHTTPProxy{
				Known: true, Advanced: true, Scope: "machine", Proxy: "localhost:8080", Bypass: "*",
				Others: []WinHTTPProxy{direct, {Known: true, Advanced: true, Scope: "user", Proxy: "a:1"}},
			},
		},
		"unknown command":  {"The following command was not found: winhttp show advproxy.\n", WinHTTPProxy{}},
		"title alone":      {"Current WinHTTP proxy settings:\n\n", WinHTTPProxy{}},
		"prose below":      {"These are my WinHTTP settings:\n\nI set nothing at all\nand it still fails\n", WinHTTPProxy{}},
		"value no address": {"Current WinHTTP proxy settings:\n\n    Error : access was denied!\n", WinHTTPProxy{}},
		"empty":            {"", WinHTTPProxy{}},
	} {
		t.Run(name, func(t *testing.T) {
			for form, in := range map[string]string{"LF": c.in, "CRLF": crlf(c.in)} {
				if strings.Contains(c.in, "\r") && form == "CRLF" {
					continue
				}
				got, err := ReadWinHTTP(strings.NewReader(in))
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(c.want, got); d != "" {
					t.Errorf("%s (-want +got):\n%s", form, d)
				}
			}
		})
	}
}

func FuzzReadWinHTTP(f *testing.F) {
	f.Add([]byte("Current WinHTTP proxy settings:\n\n    Proxy Server(s) :  p:8080\n    Bypass List     :  (none)\n"))
	f.Add([]byte(directJapanese932))
	f.Add([]byte(`{"Proxy": "a:1", "AutoDetect": true}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ReadWinHTTP(strings.NewReader(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		if p.Direct && (p.Proxy != "" || p.PAC != "" || p.AutoDetect) {
			t.Fatalf("direct and yet %+v", p)
		}
		if !p.Known && p.Direct {
			t.Fatalf("direct but not known")
		}
	})
}

func BenchmarkReadWinHTTP(b *testing.B) {
	const text = "\r\nCurrent WinHTTP proxy settings:\r\n\r\n    Proxy Server(s) :  proxy.fabrikam.example:8080\r\n    Bypass List     :  (none)\r\n"
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if p, err := ReadWinHTTP(strings.NewReader(text)); err != nil || !p.Known {
			b.Fatal(p, err)
		}
	}
}
