package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// curl runs Debian's curl, a client that shares nothing with the lab.
func curl(t *testing.T, args ...string) (out string, status string) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed (Debian package curl)")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	body := filepath.Join(t.TempDir(), "body")
	cmd := exec.CommandContext(ctx, "curl", append([]string{"-sS", "--max-time", "20", "-o", body, "-w", "%{http_connect} %{http_code} %{exitcode}"}, args...)...)
	b, _ := cmd.CombinedOutput()
	content, _ := os.ReadFile(body)
	return string(content), strings.TrimSpace(string(b))
}

func listen(t *testing.T, w *World) *Doors {
	t.Helper()
	d, err := w.Listen(netip.Prefix{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Every scheme as curl speaks it (its NTLM knows ASCII only), on plain requests and tunnels, over real sockets.
func TestProxySchemesWithCurl(t *testing.T) {
	w := open(t, `{"proxies":[{"name":"proxy.fabrikam.example","auth":["NTLM","Digest","Basic"],"users":{"FABRIKAM\\jo":"pä ss:word","FABRIKAM\\ann":"p ss:word"}},
		{"name":"closes.fabrikam.example","auth":["NTLM","Basic"],"closes":true,"users":{"ann":"p ss:word"}},
		{"name":"sha.fabrikam.example","auth":["Digest"],"digest":"SHA-256","users":{"jo":"pw"}}]}`)
	d := listen(t, w)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, d.All, 0o600); err != nil {
		t.Fatal(err)
	}
	door := func(name string) string {
		p, ok := d.Find("tcp", name, 8080)
		if !ok {
			t.Fatal("no door")
		}
		return "http://" + p.Real.String()
	}
	const plain = "http://ctldl.windowsupdate.com/msdownload/update/v3/static/trustedr/en/disallowedcertstl.cab"
	for _, tt := range []struct {
		name, proxy, scheme, user string
		url, want                 string
	}{
		{"basic", "proxy.fabrikam.example", "--proxy-basic", `FABRIKAM\jo:pä ss:word`, plain, "000 200 0"},
		{"basic tunnel", "proxy.fabrikam.example", "--proxy-basic", `jo:pä ss:word`, slsURL, "200 200 0"},
		{"digest", "proxy.fabrikam.example", "--proxy-digest", `jo:pä ss:word`, plain, "000 200 0"},
		{"digest tunnel", "proxy.fabrikam.example", "--proxy-digest", `jo:pä ss:word`, slsURL, "200 200 0"},
		{"digest sha-256", "sha.fabrikam.example", "--proxy-digest", `jo:pw`, slsURL, "200 200 0"},
		{"ntlm", "proxy.fabrikam.example", "--proxy-ntlm", `FABRIKAM\ann:p ss:word`, plain, "000 200 0"},
		{"ntlm tunnel", "proxy.fabrikam.example", "--proxy-ntlm", `FABRIKAM\ann:p ss:word`, slsURL, "200 200 0"},
		{"any", "proxy.fabrikam.example", "--proxy-anyauth", `ann:p ss:word`, slsURL, "200 200 0"},
		{"basic wrong", "proxy.fabrikam.example", "--proxy-basic", `jo:no`, plain, "000 407 0"},
		{"digest wrong", "proxy.fabrikam.example", "--proxy-digest", `jo:no`, plain, "000 407 0"},
		{"ntlm wrong", "proxy.fabrikam.example", "--proxy-ntlm", `FABRIKAM\jo:no`, plain, "000 407 0"},
		{"ntlm closed", "closes.fabrikam.example", "--proxy-ntlm", `ann:p ss:word`, plain, "000 407 0"},
		{"basic closed", "closes.fabrikam.example", "--proxy-basic", `ann:p ss:word`, plain, "000 200 0"},
		{"ntlm other user", "proxy.fabrikam.example", "--proxy-ntlm", `FABRIKAM\bo:no`, slsURL, "407 000 56"},
		{"nobody", "proxy.fabrikam.example", "--proxy-basic", ``, slsURL, "407 000 56"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"--cacert", roots, "--proxy", door(tt.proxy), tt.scheme, "-g", tt.url}
			if tt.user != "" {
				args = append(args, "--proxy-user", tt.user)
			}
			body, status := curl(t, args...)
			_, code, ok := strings.Cut(status, tt.want)
			if !ok || code != "" {
				t.Errorf("curl says %q, want %q", status, tt.want)
			}
			if strings.HasSuffix(tt.want, "200 0") && !strings.HasPrefix(body, "MSCF") {
				t.Errorf("body %.20q", body)
			}
		})
	}
	if t.Failed() {
		for _, s := range w.Log() {
			if s.Kind == "request" {
				t.Logf("%s %s %s %v %d %s", s.Site, s.Method, s.Target, s.Header["Proxy-Authorization"], s.Status, s.User)
			}
		}
	}
}

func TestDigestReplayAndStale(t *testing.T) {
	w := open(t, `{"proxies":[{"name":"proxy.fabrikam.example","auth":["Digest"],"nonceLife":"50ms","users":{"jo":"pw"}}]}`)
	c := browser(t, w, "http://proxy.fabrikam.example:8080")
	g := get(t, c, "http://www.example.com/")
	p := authParams(strings.TrimPrefix(g.header.Get("Proxy-Authenticate"), "Digest "))
	d := &digest{algorithm: "MD5"}
	answer := func(nc string) map[string]string {
		ha := d.sum(d.sum("jo", p["realm"], "pw"), p["nonce"], nc, "0a", "auth", d.sum("GET", "http://www.example.com/"))
		return map[string]string{"Proxy-Authorization": fmt.Sprintf(`Digest username="jo", realm=%q, nonce=%q, uri="http://www.example.com/", qop=auth, nc=%s, cnonce="0a", response=%q`, p["realm"], p["nonce"], nc, ha)}
	}
	send := func(nc string) got {
		g, err := do(t, c, "GET", "http://www.example.com/", answer(nc), "")
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	if g := send("00000001"); g.status != 200 {
		t.Errorf("first: %d", g.status)
	}
	if g := send("00000001"); g.status != 407 {
		t.Errorf("replay: %d", g.status)
	}
	time.Sleep(60 * time.Millisecond)
	if g := send("00000002"); g.status != 407 || !strings.Contains(g.header.Get("Proxy-Authenticate"), "stale=true") {
		t.Errorf("late: %d %v", g.status, g.header["Proxy-Authenticate"])
	}
}

// The example of RFC 7616 section 3.9.1.
func TestDigestExample(t *testing.T) {
	for algorithm, want := range map[string]string{
		"MD5":     "8ca523f5e9506fed4657c9700eebdbec",
		"SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
	} {
		d := &digest{algorithm: algorithm}
		got := d.sum(d.sum("Mufasa", "http-auth@example.org", "Circle of Life"), "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
			"00000001", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "auth", d.sum("GET", "/dir/index.html"))
		if got != want {
			t.Errorf("%s: %s, want %s", algorithm, got, want)
		}
	}
}

// The values of [MS-NLMP] section 4.2.4: user "User", password "Password", domain "Domain".
func TestNTLMExample(t *testing.T) {
	key := hmacMD5(ntHash("Password"), utf16le("USER"+"Domain"))
	if got := fmt.Sprintf("%x", key); got != "0c868a403bfd7a93a3001ef22ef02e3f" {
		t.Errorf("NTOWFv2 %s", got)
	}
	if got := fmt.Sprintf("%x", ntHash("Password")); got != "a4f49c406510bdcab6824ee7c30fd852" {
		t.Errorf("NTOWFv1 %s", got)
	}
	temp := []byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0, 0, 0, 0}
	temp = append(temp, 2, 0, 12, 0)
	temp = append(temp, utf16le("Domain")...)
	temp = append(temp, 1, 0, 12, 0)
	temp = append(temp, utf16le("Server")...)
	temp = append(temp, 0, 0, 0, 0, 0, 0, 0, 0)
	if got := fmt.Sprintf("%x", hmacMD5(key, []byte{1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}, temp)); got != "68cd0ab851e51c96aabc927bebef6a1c" {
		t.Errorf("NTProofStr %s", got)
	}
}

func TestNegotiate(t *testing.T) {
	w := open(t, `{"proxies":[{"name":"k.fabrikam.example","auth":["Negotiate"],"kerberosOnly":true,"users":{"jo":"pw"}},
		{"name":"n.fabrikam.example","auth":["Negotiate","NTLM"],"users":{"jo":"pw"}}]}`)
	first := "TlRMTVNTUAABAAAAB4IIAAAAAAAAAAAAAAAAAAAAAAA="
	for _, tt := range []struct {
		proxy, sent string
		more        bool // the server goes on
	}{
		{"k", "Negotiate " + first, false},
		{"n", "Negotiate " + first, true},
		{"n", "NTLM " + first, true},
		{"n", "Negotiate YIIBbQYGKwYBBQUC", false}, // Kerberos, cut short
		{"n", "Negotiate !!!", false},
		{"n", "NTLM " + "TlRMTVNTUAADAAAA", false},
	} {
		c := browser(t, w, "http://"+tt.proxy+".fabrikam.example:8080")
		g, err := do(t, c, "GET", "http://www.example.com/", map[string]string{"Proxy-Authorization": tt.sent}, "")
		if err != nil || g.status != 407 {
			t.Fatalf("%v: %d, %v", tt, g.status, err)
		}
		offers := g.header["Proxy-Authenticate"]
		scheme, _, _ := strings.Cut(tt.sent, " ")
		if more := len(offers) == 1 && strings.HasPrefix(offers[0], scheme+" TlRMTVNTUAAC"); more != tt.more {
			t.Errorf("%v: %v", tt, offers)
		}
	}
}

func TestProxyRules(t *testing.T) {
	w := open(t, `{"proxies":[{"name":"proxy.fabrikam.example","rules":[
		{"method":"CONNECT","to":"*.update.microsoft.com","do":"challenge"},{"method":"plain","to":"*.windowsupdate.com","do":"challenge"},
		{"to":"a.example","do":"502"},{"to":"b.example","do":"504"},{"to":"c.example","do":"page"},{"to":"d.example","do":"reset"},{"method":"POST","do":"deny"}]}],
		"paths":[{"from":"proxy.fabrikam.example","to":"www.example.org","fault":"refuse"}],
		"lookups":[{"from":"proxy.fabrikam.example","name":"www.example.net","fault":"nxdomain"}]}`)
	c := browser(t, w, "http://proxy.fabrikam.example:8080")
	for _, tt := range []struct {
		method, url string
		want        int
	}{
		{"GET", "http://7.au.download.windowsupdate.com/x", 407},
		{"GET", "http://www.example.com/", 200},
		{"POST", "http://www.example.com/", 403},
		{"GET", "http://a.example/", 502},
		{"GET", "http://b.example/", 504},
		{"GET", "http://c.example/", 200},
		{"GET", "http://www.example.org/", 502},
		{"GET", "http://www.example.net/", 503},
		{"HEAD", "http://www.example.com/", 200},
		{"GET", "https://fe3cr.delivery.mp.microsoft.com/ClientWebService/client.asmx", 200},
		{"GET", "https://www.example.com/", 200},
	} {
		g, err := do(t, c, tt.method, tt.url, nil, "")
		if err != nil || g.status != tt.want {
			t.Errorf("%s %s: %d, %v; want %d", tt.method, tt.url, g.status, err, tt.want)
		}
	}
	if _, err := do(t, c, "GET", slsURL, nil, ""); err == nil || !strings.Contains(err.Error(), "Proxy Authentication") {
		t.Errorf("tunnel: %v", err)
	}
	if _, err := do(t, c, "GET", "http://d.example/", nil, ""); !errors.Is(err, errnoReset) {
		t.Errorf("reset: %v", err)
	}
}

func TestSOCKS(t *testing.T) {
	w := open(t, `{"proxies":[{"name":"socks.fabrikam.example","port":1080,"socks":true,"auth":["Basic"],"users":{"jo":"pw"}}]}`)
	if g := get(t, browser(t, w, "socks5://jo:pw@socks.fabrikam.example:1080"), slsURL); g.status != 200 {
		t.Errorf("%d", g.status)
	}
	if _, err := do(t, browser(t, w, "socks5://jo:no@socks.fabrikam.example:1080"), "GET", slsURL, nil, ""); err == nil {
		t.Error("a wrong password was good enough")
	}
	door, _ := listen(t, w).Find("tcp", "socks.fabrikam.example", 1080)
	if _, status := curl(t, "--socks5-hostname", door.Real.String(), "--proxy-user", "jo:pw", "http://www.example.com/"); status != "000 200 0" {
		t.Errorf("curl: %s", status)
	}
}

func TestOpenedTunnels(t *testing.T) {
	const spec = `{"proxies":[{"name":"proxy.fabrikam.example","opens":"Example Security Gateway CA"}]%s}`
	w := open(t, fmt.Sprintf(spec, ""))
	if _, err := do(t, browser(t, w, "http://proxy.fabrikam.example:8080"), "GET", slsURL, nil, ""); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("not installed: %v", err)
	}
	w = open(t, fmt.Sprintf(spec, `,"machine":{"trusts":["Example Security Gateway CA"]}`))
	c := browser(t, w, "http://proxy.fabrikam.example:8080")
	resp, err := c.Get(slsURL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	if resp.TLS.PeerCertificates[0].Issuer.CommonName != "Example Security Gateway CA" || !bytes.HasPrefix(b, []byte("MSCF")) {
		t.Errorf("issuer %v, %d bytes", resp.TLS.PeerCertificates[0].Issuer, len(b))
	}
	if len(w.Requests("slscr.update.microsoft.com")) < 2 {
		t.Errorf("the log shows %d requests, want those of both sides", len(w.Requests("slscr.update.microsoft.com")))
	}
}

func TestMiddle(t *testing.T) {
	for _, tt := range []struct {
		name, spec, url string
		status          int
		body, err       string
	}{
		{"hidden proxy", `{"middle":[{"to":"*:80"}]}`, "http://www.example.com/", 200, "Nothing to see", ""},
		{"hidden proxy wants a sign-in", `{"middle":[{"to":"*:80","status":407}]}`, "http://www.example.com/", 407, "", ""},
		{"block page", `{"middle":[{"to":"*.windowsupdate.com:80","mangle":{"page":true}}]}`, "http://ctldl.windowsupdate.com/x", 200, "Access blocked", ""},
		{"block page elsewhere", `{"middle":[{"to":"*.windowsupdate.com:80","mangle":{"page":true}}]}`, "http://www.example.com/", 200, "Nothing to see", ""},
		{"tls passes", `{"middle":[{}]}`, slsURL, 200, "MSCF", ""},
		{"tls opened", `{"middle":[{"opens":"Example Box CA"}]}`, slsURL, 0, "", "unknown authority"},
		{"tls opened, installed", `{"machine":{"trusts":["Example Box CA"]},"middle":[{"opens":"Example Box CA"}]}`, slsURL, 200, "MSCF", ""},
		{"portal", `{"middle":[{"portal":"redirect"}]}`, "http://www.msftconnecttest.com/connecttest.txt", 302, "", ""},
		{"portal page", `{"middle":[{"portal":"page"}]}`, "http://www.msftconnecttest.com/connecttest.txt", 200, "Guest network", ""},
		{"portal's own page", `{"middle":[{"portal":"redirect"}]}`, "http://portal.fabrikam.example/login", 200, "Guest network", ""},
		{"portal with tls", `{"middle":[{"portal":"page"}]}`, slsURL, 0, "", "not slscr.update.microsoft.com|unknown authority"},
		{"portal takes what nobody has", `{"middle":[{"portal":"page"}],"names":{"a.example":["203.0.113.77"]}}`, "http://a.example/", 200, "Guest network", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, tt.spec)
			g, err := do(t, browser(t, w, ""), "GET", tt.url, nil, "")
			if tt.err != "" {
				a, b, _ := strings.Cut(tt.err, "|")
				if err == nil || !strings.Contains(err.Error(), a) && (b == "" || !strings.Contains(err.Error(), b)) {
					t.Errorf("got %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || g.status != tt.status || !bytes.Contains(g.body, []byte(tt.body)) {
				t.Errorf("%d %.80q, %v", g.status, g.body, err)
			}
		})
	}
}

func TestMangle(t *testing.T) {
	const cab = "http://ctldl.windowsupdate.com/msdownload/update/v3/static/trustedr/en/authrootstl.cab"
	for _, tt := range []struct {
		name, mangle, method string
		body                 string
		check                func(g got, err error, seen Seen) bool
	}{
		{"as it is", `{}`, "GET", "", func(g got, _ error, s Seen) bool {
			return g.status == 206 && len(g.body) == 100 && g.header.Get("Via") != "" && s.Header.Get("Via") != ""
		}},
		{"hidden", `{"hidden":true}`, "GET", "", func(g got, _ error, s Seen) bool {
			return g.status == 206 && g.header.Get("Via") == "" && s.Header.Get("Via") == ""
		}},
		{"no ranges", `{"strip":["Range"],"stripAnswer":["Accept-Ranges"]}`, "GET", "", func(g got, _ error, s Seen) bool {
			return g.status == 200 && len(g.body) > 70000 && s.Header.Get("Range") == ""
		}},
		{"no length", `{"stripAnswer":["Content-Length"]}`, "GET", "", func(g got, _ error, _ Seen) bool {
			return g.status == 206 && g.header.Get("Content-Length") == "" && len(g.body) == 100
		}},
		{"other agent", `{"set":{"User-Agent":"Mozilla/5.0"}}`, "GET", "", func(_ got, _ error, s Seen) bool {
			return s.Header.Get("User-Agent") == "Mozilla/5.0"
		}},
		{"cap", `{"strip":["Range"],"cap":1000}`, "GET", "", func(g got, err error, _ Seen) bool {
			return errors.Is(err, io.ErrUnexpectedEOF) && len(g.body) == 1000
		}},
		{"no HEAD", `{"refuse":["HEAD"]}`, "HEAD", "", func(g got, _ error, _ Seen) bool { return g.status == 501 }},
		{"no POST", `{"refuse":["POST"],"refuseAs":405}`, "POST", "x", func(g got, _ error, _ Seen) bool { return g.status == 405 }},
		{"small bodies", `{"maxBody":3}`, "POST", "1234", func(g got, _ error, _ Seen) bool { return g.status == 413 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, `{"proxies":[{"name":"proxy.fabrikam.example","mangle":`+tt.mangle+`}]}`)
			g, err := do(t, browser(t, w, "http://proxy.fabrikam.example:8080"), tt.method, cab, map[string]string{"Range": "bytes=50-149"}, tt.body)
			var seen Seen
			for _, s := range w.Log() {
				if s.Kind == "request" && s.From == "proxy.fabrikam.example" {
					seen = s
				}
			}
			if !tt.check(g, err, seen) {
				t.Errorf("%d %d bytes %v, %v; the server saw %v", g.status, len(g.body), g.header, err, seen.Header)
			}
		})
	}
	t.Run("recompress", func(t *testing.T) {
		w := open(t, `{"proxies":[{"name":"proxy.fabrikam.example","mangle":{"recompress":true}}]}`)
		u, _ := url.Parse("http://proxy.fabrikam.example:8080")
		tr := &http.Transport{DialContext: w.DialContext, DisableCompression: true, Proxy: http.ProxyURL(u)}
		defer tr.CloseIdleConnections()
		g := get(t, &http.Client{Transport: tr}, cab)
		if g.header.Get("Content-Encoding") != "gzip" || !bytes.HasPrefix(g.body, []byte{0x1f, 0x8b}) {
			t.Errorf("%v", g.header)
		}
	})
}

func TestScripts(t *testing.T) {
	w := open(t, `{"machine":{"suffixes":["corp.fabrikam.example"]},"scripts":[
		{"host":"wpad.corp.fabrikam.example","text":"function FindProxyForURL(u,h){return 'DIRECT'}"},
		{"host":"pac.fabrikam.example","port":8081,"path":"/a.pac","text":"x","type":"text/plain"},
		{"host":"pac.fabrikam.example","port":8081,"path":"/page.pac","page":true},
		{"host":"pac.fabrikam.example","port":8081,"path":"/gone.pac"}]}`)
	c := browser(t, w, "")
	if g := get(t, c, "http://wpad/wpad.dat"); g.status != 200 || g.header.Get("Content-Type") != "application/x-ns-proxy-autoconfig" {
		t.Errorf("wpad: %d %v", g.status, g.header)
	}
	for path, want := range map[string]string{"/a.pac": "200 text/plain", "/page.pac": "200 text/html", "/gone.pac": "404 text/html"} {
		g := get(t, c, "http://pac.fabrikam.example:8081"+path)
		if got := fmt.Sprint(g.status, " ", g.header.Get("Content-Type")); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

// openssl judges the chain of the locator, over a real socket.
func TestChainWithOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed (Debian package openssl)")
	}
	for fault, want := range map[string]string{"": "Verify return code: 0 (ok)", "expired": "certificate has expired", "unknown": "unable to get local issuer certificate"} {
		spec := `{}`
		if fault != "" {
			spec = `{"certificates":[{"host":"slscr.*","fault":"` + fault + `"}]}`
		}
		d := listen(t, open(t, spec))
		door, _ := d.Find("tcp", "slscr.update.microsoft.com", 443)
		roots := filepath.Join(t.TempDir(), "roots.pem")
		if err := os.WriteFile(roots, d.Roots, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, "openssl", "s_client", "-connect", door.Real.String(), "-servername", "slscr.update.microsoft.com", "-verify_hostname", "slscr.update.microsoft.com", "-CAfile", roots)
		if out, _ := cmd.CombinedOutput(); !bytes.Contains(out, []byte(want)) {
			t.Errorf("%q: openssl says %s", fault, out)
		}
	}
}

// Names and ports are enough where the system gives the world's own ports.
func TestListenSamePorts(t *testing.T) {
	w := open(t, `{"paths":[{"to":"www.example.org","fault":"refuse"},{"to":"www.example.net","fault":"reset","when":"hello"}]}`)
	d, err := w.Listen(netip.MustParsePrefix("127.77.0.0/16"))
	if err != nil {
		t.Fatal(err)
	}
	if !d.Same {
		t.Skip("ports below 1024 or 127.77.0.0/16 are not for this user")
	}
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", d.DNS.String())
	}}
	tr := &http.Transport{DialContext: (&net.Dialer{Resolver: r}).DialContext}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr, Timeout: 10 * time.Second}
	if g := get(t, c, "http://www.example.com/"); g.status != 200 {
		t.Errorf("%d", g.status)
	}
	if _, err := do(t, c, "GET", "http://www.example.org/", nil, ""); !errors.Is(err, errnoRefused) {
		t.Errorf("refused: %v", err)
	}
	if _, err := do(t, c, "GET", "http://www.example.net/", nil, ""); !errors.Is(err, errnoReset) && !errors.Is(err, io.EOF) {
		t.Errorf("reset: %v", err)
	}
}
