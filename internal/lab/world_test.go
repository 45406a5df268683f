package lab

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a world for one test.
func open(t testing.TB, spec string) *World {
	t.Helper()
	s, err := ParseWorld([]byte(spec))
	if err != nil {
		t.Fatal(err)
	}
	w, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// browser is Go's own HTTP client in the world: it shares nothing with the servers
// but net/http's parser.
func browser(t testing.TB, w *World, proxy string) *http.Client {
	t.Helper()
	tr := &http.Transport{DialContext: w.DialContext, TLSClientConfig: &tls.Config{RootCAs: w.Trusted(), Time: w.MachineNow}}
	if proxy != "" {
		u, err := url.Parse(proxy)
		if err != nil {
			t.Fatal(err)
		}
		tr.Proxy = http.ProxyURL(u)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// most is how much of an answer the tests read.
const most = 8 << 20

type got struct {
	status int
	header http.Header
	body   []byte
}

func do(t testing.TB, c *http.Client, method, url string, header map[string]string, body string) (got, error) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	resp, err := c.Do(r)
	if err != nil {
		return got{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, most))
	return got{resp.StatusCode, resp.Header, b}, err
}

func get(t testing.TB, c *http.Client, url string) got {
	t.Helper()
	g, err := do(t, c, "GET", url, nil, "")
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	return g
}

const slsURL = "https://slscr.update.microsoft.com/SLS/%7B9482F4B4-E343-43B6-B170-9A65BC822C77%7D/x64/10.0.22631.3007/0?CH=1&L=en-US&P=&PT=0x30&WUA=10.0"

func TestHealthyWorld(t *testing.T) {
	w := open(t, `{"seed":1,"time":"2026-03-04T05:06:07Z"}`)
	c := browser(t, w, "")
	g := get(t, c, slsURL)
	if g.status != 200 || !bytes.HasPrefix(g.body, []byte("MSCF")) || g.header.Get("ETag") == "" {
		t.Errorf("locator: %d %.8q %v", g.status, g.body, g.header)
	}
	if d := g.header.Get("Date"); !strings.HasPrefix(d, "Wed, 04 Mar 2026 05:06:") {
		t.Errorf("Date is %q, not the world's", d)
	}
	g, err := do(t, c, "GET", slsURL, map[string]string{"If-None-Match": g.header.Get("ETag")}, "")
	if err != nil || g.status != 304 {
		t.Errorf("same ETag: %d, %v", g.status, err)
	}
	if g := get(t, c, "http://www.msftconnecttest.com/connecttest.txt"); string(g.body) != "Microsoft Connect Test" {
		t.Errorf("NCSI: %q", g.body)
	}
	for _, f := range w.Files() {
		for _, u := range f.URLs {
			g := get(t, c, u)
			sum := sha1.Sum(g.body)
			if g.status != 200 || int64(len(g.body)) != f.Size || base64.StdEncoding.EncodeToString(sum[:]) != f.SHA1 {
				t.Errorf("%s: %d, %d bytes, want %d with %s", u, g.status, len(g.body), f.Size, f.SHA1)
			}
		}
	}
	if len(w.Wrote()) != 0 {
		t.Errorf("reading wrote: %v", w.Wrote())
	}
	peak, open := w.Peak()
	if peak == 0 || open > peak {
		t.Errorf("peak %d, open %d", peak, open)
	}
}

func TestScenarioWorldsOpen(t *testing.T) {
	for _, name := range Names() {
		s, err := Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.World == nil {
			continue
		}
		w, err := Open(*s.World)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = w.Close()
	}
}

func TestCaches(t *testing.T) {
	w := open(t, `{"caches":["cache01.fabrikam.example"]}`)
	g := get(t, browser(t, w, ""), "http://cache01.fabrikam.example/filestreamingservice/files/7bc846e0-af9c-49be-a03d-bb04428c9bb5/Microsoft.png?cacheHostOrigin=dl.delivery.mp.microsoft.com")
	if g.status != 200 || g.header.Get("Content-Type") != "image/png" || !bytes.HasPrefix(g.body, []byte("\x89PNG")) {
		t.Errorf("%d %v", g.status, g.header)
	}
}

// Chains are judged by crypto/tls, against the pool of Microsoft's authorities only.
func TestChains(t *testing.T) {
	for _, tt := range []struct{ fault, want string }{
		{"", ""},
		{"expired", "expired"},
		{"not-yet", "not yet valid"},
		{"other-name", "not slscr"},
		{"unknown", "unknown authority"},
		{"company", "unknown authority"},
		{"self-signed", "unknown authority"},
		{"no-chain", "unknown authority"},
		{"tls1.0", "protocol version"},
		{"alert", "handshake failure"},
		{"plain", "first record does not look like a TLS handshake"},
		{"wants-client", "handshake failure"},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			spec := `{"time":"2026-03-04T05:06:07Z"}`
			if tt.fault != "" {
				spec = fmt.Sprintf(`{"time":"2026-03-04T05:06:07Z","certificates":[{"host":"*.update.microsoft.com","fault":%q}]}`, tt.fault)
			}
			w := open(t, spec)
			c, err := w.DialContext(t.Context(), "tcp", "slscr.update.microsoft.com:443")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			tc := tls.Client(c, &tls.Config{RootCAs: w.Roots(), Time: w.MachineNow, ServerName: "slscr.update.microsoft.com"})
			err = tc.HandshakeContext(t.Context())
			if err == nil && tt.fault == "wants-client" {
				_, err = tc.Read(make([]byte, 1))
			}
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				chain := tc.ConnectionState().PeerCertificates
				if got := chain[0].Issuer.CommonName; got != "Microsoft Update Secure Server CA 2.1" {
					t.Errorf("issuer %q", got)
				}
				return
			}
			ok := false
			for want := range strings.SplitSeq(tt.want, "|") {
				ok = ok || err != nil && strings.Contains(err.Error(), want)
			}
			if !ok {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestMachineClock(t *testing.T) {
	w := open(t, `{"machine":{"clock":"-26280h"}}`)
	_, err := do(t, browser(t, w, ""), "GET", slsURL, nil, "")
	if err == nil || !strings.Contains(err.Error(), "not yet valid") {
		t.Errorf("three years behind: %v", err)
	}
}

func TestPathFaults(t *testing.T) {
	const to = "slscr.update.microsoft.com:443"
	for _, tt := range []struct {
		name, path string
		want       error
		say        string // sent after connecting
	}{
		{"refuse", `{"fault":"refuse"}`, errnoRefused, ""},
		{"unreachable", `{"fault":"unreachable"}`, errnoUnreachable, ""},
		{"blocked", `{"fault":"blocked"}`, errnoBlocked, ""},
		{"drop", `{"fault":"drop"}`, context.DeadlineExceeded, ""},
		{"reset", `{"fault":"reset"}`, errnoReset, "x"},
		{"reset after hello", `{"fault":"reset","when":"hello"}`, errnoReset, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"reset by name", `{"fault":"reset","when":"name","names":["*.bad.example"]}`, errnoReset, "GET / HTTP/1.1\r\nHost: x.bad.example\r\n\r\n"},
		{"close", `{"fault":"close","when":"accept"}`, io.EOF, ""},
		{"stall", `{"fault":"stall","when":"hello"}`, os.ErrDeadlineExceeded, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, `{"paths":[`+strings.Replace(tt.path, "{", `{"to":"`+to+`",`, 1)+`]}`)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			c, err := w.DialContext(ctx, "tcp", to)
			if err == nil {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(200 * time.Millisecond))
				_, _ = io.WriteString(c, tt.say)
				_, err = io.Copy(io.Discard, c)
				if err == nil {
					err = io.EOF
				}
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			var oe *net.OpError
			if err != io.EOF && !errors.As(err, &oe) {
				t.Errorf("%T is no *net.OpError", err)
			}
			// Others are not touched.
			if g := get(t, browser(t, w, ""), "http://www.example.com/"); g.status != 200 {
				t.Errorf("www.example.com: %d", g.status)
			}
		})
	}
}

func TestNames(t *testing.T) {
	w := open(t, `{"machine":{"suffixes":["corp.fabrikam.example"],"hosts":{"fe2cr.update.microsoft.com":"127.0.0.1"}},
		"names":{"wsus01.corp.fabrikam.example":["192.0.2.9"]},
		"lookups":[
			{"name":"nx.example","fault":"nxdomain"},{"name":"www.example.com","fault":"empty"},{"name":"www.example.org","fault":"servfail"},
			{"name":"slscr.*","fault":"lie","addresses":["203.0.113.99"]},{"name":"fe3cr.*","fault":"sunk"},{"name":"sls.*","fault":"ipv6"},
			{"name":"www.example.net","fault":"timeout"}]}`)
	for _, tt := range []struct{ network, name, want string }{
		{"ip", "nx.example", "not found"},
		{"ip", "never.heard.of.example", "not found"},
		{"ip", "www.example.com", "[]"},
		{"ip", "www.example.org", "temporary"},
		{"ip", "www.example.net", "timeout"},
		{"ip", "slscr.update.microsoft.com", "[203.0.113.99]"},
		{"ip", "fe3cr.delivery.mp.microsoft.com", "[:: 0.0.0.0]"},
		{"ip", "sls.update.microsoft.com", "[2001:db8:100::a]"},
		{"ip4", "sls.update.microsoft.com", "[]"},
		{"ip", "FE2CR.update.microsoft.com.", "[127.0.0.1]"},
		{"ip", "WSUS01", "[192.0.2.9]"},
		{"ip4", "7.au.download.windowsupdate.com", "[198.51.100.20]"},
		{"ip4", "tlu.dl.delivery.mp.microsoft.com", "[198.51.100.20]"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		addrs, err := w.LookupNetIP(ctx, tt.network, tt.name)
		cancel()
		var de *net.DNSError
		got := fmt.Sprint(addrs)
		switch {
		case errors.As(err, &de) && de.IsNotFound:
			got = "not found"
		case errors.As(err, &de) && de.IsTimeout:
			got = "timeout"
		case errors.As(err, &de) && de.IsTemporary:
			got = "temporary"
		case err != nil:
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// Go's own resolver asks the world's DNS server, over UDP and TCP.
func TestDNSServer(t *testing.T) {
	w := open(t, `{"lookups":[{"name":"nx.example","fault":"nxdomain"},{"name":"www.example.org","fault":"servfail"}]}`)
	for _, network := range []string{"udp", "tcp"} {
		r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return w.DialContext(ctx, network, "192.0.2.53:53")
		}}
		addrs, err := r.LookupNetIP(t.Context(), "ip", "www.example.com.")
		want := []netip.Addr{netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("2001:db8:113::a")}
		if err != nil || len(addrs) != 2 || addrs[0].Unmap() != want[0] || addrs[1] != want[1] {
			t.Errorf("%s: %v, %v", network, addrs, err)
		}
		var de *net.DNSError
		if _, err := r.LookupNetIP(t.Context(), "ip", "nx.example."); !errors.As(err, &de) || !de.IsNotFound {
			t.Errorf("%s: NXDOMAIN gave %v", network, err)
		}
		if _, err := r.LookupNetIP(t.Context(), "ip", "www.example.org."); !errors.As(err, &de) || !de.IsTemporary {
			t.Errorf("%s: SERVFAIL gave %v", network, err)
		}
	}
}

func TestProxyBasic(t *testing.T) {
	w := open(t, `{"proxies":[{"name":"proxy.fabrikam.example","auth":["Basic"],"realm":"Fabrikam web","users":{"jo":"secret-7"},
		"rules":[{"to":"www.example.org","do":"exempt"},{"to":"www.example.net","do":"deny"}]}],
		"paths":[{"to":"198.51.100.0/24","fault":"drop"}]}`)
	without := browser(t, w, "http://proxy.fabrikam.example:8080")
	if g := get(t, without, "http://www.example.com/"); g.status != 407 || g.header.Get("Proxy-Authenticate") != `Basic realm="Fabrikam web"` || !strings.Contains(g.header.Get("Via"), "squid") {
		t.Errorf("plain: %d %v", g.status, g.header)
	}
	if _, err := do(t, without, "GET", slsURL, nil, ""); err == nil || !strings.Contains(err.Error(), "Proxy Authentication Required") {
		t.Errorf("CONNECT: %v", err)
	}
	if g := get(t, without, "http://www.example.org/"); g.status != 200 {
		t.Errorf("exempt: %d", g.status)
	}
	with := browser(t, w, "http://jo:secret-7@proxy.fabrikam.example:8080")
	if g := get(t, with, slsURL); g.status != 200 || !bytes.HasPrefix(g.body, []byte("MSCF")) {
		t.Errorf("tunnel: %d", g.status)
	}
	if g := get(t, with, "http://ctldl.windowsupdate.com/msdownload/update/v3/static/trustedr/en/disallowedcertstl.cab"); g.status != 200 || g.header.Get("Via") == "" {
		t.Errorf("absolute form: %d %v", g.status, g.header)
	}
	if g := get(t, with, "http://www.example.net/"); g.status != 403 {
		t.Errorf("denied: %d", g.status)
	}
	if g := get(t, browser(t, w, "http://jo:wrong@proxy.fabrikam.example:8080"), "http://www.example.com/"); g.status != 407 {
		t.Errorf("wrong password: %d", g.status)
	}
	users := 0
	for _, s := range w.Log() {
		if strings.Contains(fmt.Sprintf("%+v", s), "secret-7") || strings.Contains(fmt.Sprintf("%+v", s), base64.StdEncoding.EncodeToString([]byte("jo:secret-7"))) {
			t.Errorf("the log holds a password: %+v", s)
		}
		if s.User == "jo" {
			users++
		}
	}
	if users == 0 {
		t.Error("the log does not say who signed in")
	}
}

// TestBomb: the bomb is small on the wire and a gigabyte for whoever unpacks it.
func TestBomb(t *testing.T) {
	var packed bytes.Buffer
	bomb(&packed)
	if packed.Len() > 2<<20 {
		t.Errorf("%d bytes travel", packed.Len())
	}
	z, err := gzip.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, z); n != 1<<30 || err != nil {
		t.Errorf("%d bytes are in it (%v)", n, err)
	}
}
