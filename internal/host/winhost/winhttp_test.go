package winhost

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"updoc/internal/host"
)

// story is what WinHTTP would report: "1ms resolving", "2ms resolved 192.0.2.7".
func story(t *testing.T, lines string) []note {
	t.Helper()
	names := map[string]uint32{
		"resolving": statusResolving, "resolved": statusResolved, "connecting": statusConnecting, "connected": statusConnected,
		"sending": statusSending, "sent": statusSent, "receiving": statusReceiving, "received": statusReceived, "insecure": statusInsecure,
	}
	var out []note
	for line := range strings.SplitSeq(lines, ",") {
		f := strings.Fields(line)
		at, err := time.ParseDuration(f[0])
		if err != nil || names[f[1]] == 0 {
			t.Fatalf("%q: %v", line, err)
		}
		n := note{at: at, status: names[f[1]]}
		if len(f) > 2 {
			n.text = f[2]
			_, _ = fmt.Sscanf(f[2], "0x%x", &n.number)
		}
		out = append(out, n)
	}
	return out
}

func told(hops []host.Hop) string {
	var s []string
	for _, h := range hops {
		one := string(h.Kind)
		if h.Fault != "" {
			one += "!" + string(h.Fault)
		}
		s = append(s, one)
	}
	return strings.Join(s, " ")
}

const reached = "1ms resolving,5ms resolved 192.0.2.7,6ms connecting 192.0.2.7,20ms connected 192.0.2.7"

func TestWitness(t *testing.T) {
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	leaf := &x509.Certificate{Issuer: pkix.Name{CommonName: "Fabrikam Inspection CA"}, NotBefore: now.AddDate(0, -1, 0), NotAfter: now.AddDate(0, 1, 0)}
	later := &x509.Certificate{NotBefore: now.AddDate(0, 0, 3), NotAfter: now.AddDate(1, 0, 0)}
	answer := func(head string) *witness {
		m, err := parseHead(head, "GET")
		if err != nil {
			t.Fatal(err)
		}
		return &witness{answer: m}
	}
	for name, tt := range map[string]struct {
		url, proxy, notes string
		w                 *witness
		want              string
	}{
		"plain": {
			"http://download.fabrikam.example/x", "", reached + ",21ms sending,22ms sent,23ms receiving,40ms received",
			answer("HTTP/1.1 200 OK\r\nServer: x"), "dns tcp http",
		},
		"secure": {
			"https://fe3.fabrikam.example/x", "", reached + ",60ms sending,61ms sent,62ms receiving,80ms received",
			&witness{answer: answer("HTTP/1.1 200 OK").answer, tls: &host.TLS{}}, "dns tcp tls http",
		},
		"secure, the server's own 403": {
			"https://fe3.fabrikam.example/x", "", reached + ",60ms sending,61ms sent,62ms receiving,80ms received",
			&witness{answer: answer("HTTP/1.1 403 No").answer, tls: &host.TLS{}}, "dns tcp tls http",
		},
		"a tunnel": {
			"https://fe3.fabrikam.example/x", "http://proxy.fabrikam.example:8080", reached + ",21ms sending,22ms sent,23ms receiving,40ms received,70ms sending,71ms sent,72ms receiving,90ms received",
			&witness{answer: answer("HTTP/1.1 200 OK").answer, tls: &host.TLS{}}, "dns tcp proxy tls http",
		},
		"a tunnel that asks who": {
			"https://fe3.fabrikam.example/x", "http://proxy.fabrikam.example:8080", reached + ",21ms sending,22ms sent,23ms receiving,40ms received",
			answer("HTTP/1.1 407 Who\r\nProxy-Authenticate: NTLM"), "dns tcp proxy!proxy-auth",
		},
		"a tunnel that is cut": {
			"https://fe3.fabrikam.example/x", "http://proxy.fabrikam.example:8080", reached + ",21ms sending,22ms sent",
			&witness{errno: errConnection}, "dns tcp proxy!reset",
		},
		"interception behind a tunnel": {
			"https://fe3.fabrikam.example/x", "http://proxy.fabrikam.example:8080", reached + ",21ms sending,22ms sent,23ms receiving,40ms received,60ms insecure 0x8",
			&witness{errno: errSecureFailure, chain: []*x509.Certificate{leaf}}, "dns tcp proxy tls!untrusted",
		},
		"untrusted":           {"https://fe3.fabrikam.example/x", "", reached + ",60ms insecure 0x8", &witness{errno: errSecureFailure, chain: []*x509.Certificate{leaf}}, "dns tcp tls!untrusted"},
		"no reason, no chain": {"https://fe3.fabrikam.example/x", "", reached, &witness{errno: errSecureFailure}, "dns tcp tls!alert"},
		"another name":        {"https://fe3.fabrikam.example/x", "", reached + ",60ms insecure 0x10", &witness{errno: errSecureFailure}, "dns tcp tls!cert-name"},
		"over":                {"https://fe3.fabrikam.example/x", "", reached + ",60ms insecure 0x20", &witness{errno: errSecureFailure, chain: []*x509.Certificate{leaf}}, "dns tcp tls!expired"},
		"not yet":             {"https://fe3.fabrikam.example/x", "", reached + ",60ms insecure 0x20", &witness{errno: errSecureFailure, chain: []*x509.Certificate{later}}, "dns tcp tls!not-yet"},
		"cut in the handshake": {
			"https://fe3.fabrikam.example/x", "", reached, &witness{errno: errConnection}, "dns tcp tls!reset",
		},
		"slow in the handshake": {"https://fe3.fabrikam.example/x", "", reached, &witness{errno: errTimeout}, "dns tcp tls!timeout"},
		"a certificate is asked for afterwards": {
			"https://fe3.fabrikam.example/x", "", reached + ",60ms sending,61ms sent,62ms receiving", &witness{errno: errClientCert, tls: &host.TLS{}}, "dns tcp tls http!alert",
		},
		"no name":             {"http://nobody.example/", "", "1ms resolving", &witness{errno: errNameNotResolved}, "dns!no-name"},
		"no resolver":         {"http://nobody.example/", "", "1ms resolving", &witness{errno: errTimeout}, "dns!no-resolver"},
		"no connection":       {"http://a.example/", "", "1ms resolving,2ms resolved 192.0.2.7,3ms connecting 192.0.2.7", &witness{errno: errCannotConnect}, "dns tcp!refused"},
		"a slow connection":   {"http://a.example/", "", "1ms resolving,2ms resolved 192.0.2.7,3ms connecting 192.0.2.7", &witness{errno: errTimeout}, "dns tcp!timeout"},
		"a slow answer":       {"http://a.example/", "", reached + ",21ms sending,22ms sent,23ms receiving", &witness{errno: errTimeout}, "dns tcp http!timeout"},
		"a body cut short":    {"http://a.example/", "", reached + ",21ms sending,22ms sent,30ms received", &witness{answer: answer("HTTP/1.1 200 OK").answer, reading: true, errno: errConnection}, "dns tcp http!reset"},
		"a proxy's gateway":   {"http://a.example/", "http://p.example:1", reached + ",21ms sending,22ms sent,30ms received", answer("HTTP/1.1 504 No\r\nX-Squid-Error: ERR 1"), "dns tcp proxy!proxy-gateway"},
		"a server's 404":      {"http://a.example/", "http://p.example:1", reached + ",21ms sending,22ms sent,30ms received", answer("HTTP/1.1 404 No\r\nServer: x"), "dns tcp proxy http"},
		"nothing was tried":   {"http://a.example/", "", "0ms sending", &witness{errno: 12005}, "tcp!reset"},
		"no address of proxy": {"http://a.example/", "socks5://p.example:1", "0ms sending", &witness{}, "decision!no-proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := url.Parse(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			w := *tt.w
			w.req, w.url, w.notes, w.end, w.now = host.Request{URL: tt.url, Via: host.Via{Proxy: tt.proxy}}, u, story(t, tt.notes), 100*time.Millisecond, now
			hops := w.hops()
			if got := told(hops); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			for i, h := range hops {
				if h.Took < 0 || h.At < 0 || i > 0 && h.At < hops[i-1].At || h.At+h.Took > w.end {
					t.Errorf("%s at %v for %v", h.Kind, h.At, h.Took)
				}
				if h.Fault != "" && i != len(hops)-1 {
					t.Errorf("%s has a fault and is not the last", h.Kind)
				}
			}
		})
	}
}

// Why a connection is not made is asked of Windows, for the port that was tried.
func TestWitnessDial(t *testing.T) {
	u, _ := url.Parse("https://a.example/")
	var asked netip.AddrPort
	w := &witness{
		req: host.Request{URL: u.String()}, url: u, errno: errCannotConnect, end: time.Second,
		notes: story(t, "1ms resolving,2ms resolved 2001:db8::7,3ms connecting 2001:db8::7,500ms connecting 192.0.2.7"),
		dial:  func(a netip.AddrPort) host.Fault { asked = a; return host.FaultBlocked },
	}
	h := w.hops()[1]
	if h.Fault != host.FaultBlocked || asked != netip.MustParseAddrPort("192.0.2.7:443") || len(h.Tried) != 2 || h.Tried[0].Took != 497*time.Millisecond {
		t.Errorf("%+v, asked %v", h, asked)
	}
}

func TestWitnessJudge(t *testing.T) {
	u, _ := url.Parse("https://a.example/")
	w := &witness{
		req: host.Request{URL: u.String(), Pinned: true}, url: u, end: time.Second, tls: &host.TLS{}, chain: []*x509.Certificate{{}},
		notes: story(t, reached+",60ms sending,61ms sent"),
		judge: func(host.Request, []*x509.Certificate) (host.Fault, string) {
			return host.FaultIssuer, "issued by Fabrikam"
		},
	}
	if got := told(w.hops()); got != "dns tcp tls!issuer" {
		t.Error(got)
	}
}

// The status of an answer is the server's; what a proxy says itself is not.
func TestWitnessExchange(t *testing.T) {
	began := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	u, _ := url.Parse("http://a.example/x")
	m, err := parseHead("HTTP/1.1 403 No\r\nX-Squid-Error: ERR 1\r\nServer: x", "GET")
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{req: host.Request{URL: u.String()}, url: u, answer: m, body: []byte("no"), length: 2, end: 90 * time.Millisecond, notes: story(t, reached)}
	if ex := w.exchange(began); ex.Status != 403 || ex.Get("server") != "x" || ex.Length != 2 || string(ex.Body) != "no" || ex.Took != w.end || !ex.Began.Equal(began) {
		t.Errorf("%+v", ex)
	}
	w.req.Via.Proxy = "http://p.example:8080"
	if ex := w.exchange(began); ex.Status != 0 || ex.Header != nil || ex.Broken() == nil || ex.Broken().Status != 403 || len(ex.Body) != 2 {
		t.Errorf("%+v", ex)
	}
}

// A chain is put in order whatever the order in which it came, and ends where it
// leads nowhere or in a circle.
func TestOrdered(t *testing.T) {
	c := func(subject, issuer string) *x509.Certificate {
		return &x509.Certificate{Raw: []byte(subject + issuer), RawSubject: []byte(subject), RawIssuer: []byte(issuer), Subject: pkix.Name{CommonName: subject}, Issuer: pkix.Name{CommonName: issuer}}
	}
	leaf, between, root := c("leaf", "between"), c("between", "root"), c("root", "root")
	for name, tt := range map[string]struct {
		others []*x509.Certificate
		want   string
	}{
		"whole":    {[]*x509.Certificate{root, leaf, between}, "leaf between root"},
		"a gap":    {[]*x509.Certificate{root}, "leaf"},
		"no root":  {[]*x509.Certificate{between}, "leaf between"},
		"a circle": {[]*x509.Certificate{c("between", "leaf")}, "leaf between"},
	} {
		var got []string
		for _, x := range certificates(ordered(leaf, tt.others)) {
			got = append(got, strings.TrimPrefix(x.Subject, "CN="))
			if len(x.SHA256) != 64 {
				t.Errorf("%s: %q", name, x.SHA256)
			}
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: %s, want %s", name, s, tt.want)
		}
	}
}

func FuzzWitness(f *testing.F) {
	f.Add("http://a.example/", "", "HTTP/1.1 200 OK", []byte{1, 2, 3, 4, 5}, uint32(0))
	f.Add("https://a.example/", "http://p:1", "", []byte{1, 2, 3, 4, 9, 9}, uint32(12175))
	f.Add("https://a.example/", "p", "HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM", []byte{4, 3, 2, 1}, uint32(0))
	all := []uint32{statusResolving, statusResolved, statusConnecting, statusConnected, statusSending, statusSent, statusReceiving, statusReceived, statusInsecure}
	f.Fuzz(func(t *testing.T, address, proxy, head string, order []byte, errno uint32) {
		u, err := target(host.Request{URL: address})
		if err != nil {
			return
		}
		w := &witness{req: host.Request{URL: address, Via: host.Via{Proxy: proxy}}, url: u, errno: errno, end: time.Second}
		if m, err := parseHead(head, "GET"); err == nil {
			w.answer = m
		}
		for i, b := range order {
			w.notes = append(w.notes, note{at: time.Duration(i), status: all[int(b)%len(all)], text: head, number: uint32(b)})
		}
		for i, h := range w.hops() {
			if h.Took < 0 || h.Fault != "" && i != len(w.hops())-1 {
				t.Fatalf("%+v", h)
			}
		}
	})
}
