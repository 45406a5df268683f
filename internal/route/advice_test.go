package route_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/proxyauth"
	"updoc/internal/route"
	"updoc/internal/route/pac"
)

// corporate is a walk of a machine with a WSUS and a proxy with exceptions.
func corporate() *route.Walk {
	return &route.Walk{Settings: route.Settings{
		Machine: route.Proxy{Known: true, Static: "http=proxy.fabrikam.example:8080;https=proxy.fabrikam.example:8443", Bypass: "<local>;*.branch.fabrikam.example;10.0.0.0/8"},
		WSUS:    "http://WSUS01.corp.fabrikam.example:8530", WSUSStatus: "http://WSUS01.corp.fabrikam.example:8530", CacheHost: "192.0.2.44",
	}}
}

func snippet(t *testing.T, w *route.Walk, kind route.SnippetKind) string {
	t.Helper()
	for _, s := range route.Advice(w, "") {
		if s.Kind == kind {
			return s.Text
		}
	}
	t.Fatalf("no snippet for %s", kind)
	return ""
}

func TestAdviceFits(t *testing.T) {
	scripted := corporate()
	scripted.Settings.Machine = route.Proxy{Known: true, PAC: "http://pac.fabrikam.example/proxy.pac"}
	scripted.Trips = []route.Trip{{Task: route.Task{ID: "wsus.config"}, Attempts: []route.Attempt{{
		Walked: true, Script: &route.ScriptAnswer{List: "PROXY proxy.fabrikam.example:8080"},
		Exchange: host.Exchange{Hops: []host.Hop{{Kind: host.HopProxy, Fault: host.FaultProxyAuth, Agent: "1.1 Fabrikam Gateway 9"}}},
	}}}}
	for _, tt := range []struct {
		cause string
		walk  *route.Walk
		want  route.SnippetKind
	}{
		{"proxy-auth-required", corporate(), route.SquidAllow},
		{"proxy-auth-required", scripted, route.HostList}, // the proxy says that it is another product
		{"proxy-misconfigured-winhttp", corporate(), route.WinHTTP},
		{"proxy-misconfigured-winhttp", scripted, route.PACDirect},
		{"proxy-misconfigured-winhttp", &route.Walk{}, route.HostList}, // what is set now is not known
		{"proxy-wpad-wrong", corporate(), route.PACDirect},
		{"proxy-pac-case-sensitive", corporate(), route.PACLowerCase},
		{"tls-interception", corporate(), route.SquidIntact},
		{"bits-blocked-range-requests", corporate(), route.SquidRanges},
		{"firewall-block", corporate(), route.HostList},
		{"proxy-stale", corporate(), route.WinHTTPReset},
		{"proxy-stale", &route.Walk{}, ""}, // what is set now is not known
		{"proxy-user-only", userOnly(), route.WinHTTPUser},
		{"proxy-user-only", corporate(), ""}, // the system has one of its own
		{"component-store-corrupt", corporate(), ""},
		{"", corporate(), ""},
	} {
		var fits []route.SnippetKind
		for i, s := range route.Advice(tt.walk, tt.cause) {
			if s.Fits {
				fits = append(fits, s.Kind)
				if i != 0 {
					t.Errorf("%s: what fits is not first", tt.cause)
				}
			}
			if s.Title == "" || strings.HasPrefix(s.Title, "snippet.") {
				t.Errorf("%s has no title", s.Kind)
			}
			for line := range strings.Lines(s.Text) {
				if len(line) > 81 && !strings.HasPrefix(string(s.Kind), "winhttp") || strings.ContainsAny(line, "\t\r\x1b") {
					t.Errorf("%s: line %q", s.Kind, line)
				}
			}
		}
		if tt.want == "" && len(fits) > 0 || tt.want != "" && (len(fits) != 1 || fits[0] != tt.want) {
			t.Errorf("%s: fits %q, want %q", tt.cause, fits, tt.want)
		}
	}
}

// TestAdviceWinHTTP holds that the command keeps what is set, leaves out what Windows
// does not understand, and that the exceptions do what they are for by Windows' own
// rules.
func TestAdviceWinHTTP(t *testing.T) {
	text := snippet(t, corporate(), route.WinHTTP)
	_, rest, ok := strings.Cut(text, `netsh winhttp set proxy proxy-server="http=proxy.fabrikam.example:8080;https=proxy.fabrikam.example:8443" bypass-list="`)
	list, end, _ := strings.Cut(rest, `"`)
	if !ok || end != "\n" {
		t.Fatalf("%s", text)
	}
	for _, want := range []string{"<local>;*.branch.fabrikam.example;wsus01.corp.fabrikam.example;192.0.2.44;", ";*.windowsupdate.com"} {
		if !strings.Contains(list, want) {
			t.Errorf("%q is not in %s", want, list)
		}
	}
	if strings.Contains(list, "10.0.0.0/8") || !strings.Contains(text, "rem Left out, Windows does not understand it: 10.0.0.0/8\n") {
		t.Errorf("the entry that Windows does not understand:\n%s", text)
	}
	p := route.Proxy{Known: true, Static: "proxy.fabrikam.example:8080", Bypass: list}
	for address, direct := range map[string]bool{
		"http://WSUS01.corp.fabrikam.example:8530/ClientWebService/client.asmx": true,
		"https://slscr.update.microsoft.com/SLS/":                               true,
		"http://windowsupdate.com/":                                             true,
		"http://download.windowsupdate.com/x.cab":                               true,
		"https://www.fabrikam.example/":                                         false,
		"http://notwindowsupdate.com/":                                          false,
	} {
		if c := p.Choose(address); c.Via[0].Direct() != direct || len(c.Bypass.Malformed) > 0 {
			t.Errorf("%s: %v", address, c)
		}
	}
	// No walk gives a command that does more than it says.
	for _, static := range []string{`p:80" & calc & "`, "p:80\nwhoami", "$(calc):80", "%PATH%:1", "p:80`n", "", "http://svc:Winter-99@proxy.fabrikam.example:8080", "socks=p:1\x00"} {
		w := corporate()
		w.Settings.Machine.Static = static
		for _, s := range route.Advice(w, "") {
			if s.Kind == route.WinHTTP {
				t.Errorf("%q: %s", static, s.Text)
			}
		}
	}
	w := corporate()
	w.Settings.Machine.Bypass = `a" & calc;x:Winter-99@y;ok.example`
	if text := snippet(t, w, route.WinHTTP); strings.Contains(text, "Winter") || strings.Contains(text, "calc\"") || !strings.Contains(text, ";ok.example;") && !strings.Contains(text, `"ok.example;`) {
		t.Errorf("%s", text)
	}
}

// TestAdviceHostileNames: the name of a server comes from a machine's registry, and
// must not become a rule.
// userOnly is a machine on which only the signed-in person has a proxy.
func userOnly() *route.Walk {
	return &route.Walk{Settings: route.Settings{
		Machine: route.Proxy{Known: true}, User: route.Proxy{Known: true, Static: "proxy.fabrikam.example:8080", Bypass: "<local>;*.fabrikam.example"},
	}}
}

// TestAdviceOtherProxy: the commands that give WinHTTP another proxy, or none, say how it
// was; they are given for their cause alone and hold nothing that a shell obeys.
func TestAdviceOtherProxy(t *testing.T) {
	one := func(w *route.Walk, cause string) string {
		for _, s := range route.Advice(w, cause) {
			if s.Kind == route.WinHTTPUser || s.Kind == route.WinHTTPReset {
				return s.Text
			}
		}
		return ""
	}
	want := "netsh winhttp set proxy proxy-server=\"proxy.fabrikam.example:8080\" bypass-list=\"<local>;*.fabrikam.example\"\n"
	if got := one(userOnly(), "proxy-user-only"); !strings.HasSuffix(got, "\n"+want) || !strings.Contains(got, "rem Back, where none was set before: netsh winhttp reset proxy\n") {
		t.Errorf("%s", got)
	}
	if got := one(corporate(), "proxy-stale"); !strings.HasSuffix(got, "\nnetsh winhttp reset proxy\n") ||
		!strings.Contains(got, "\nrem netsh winhttp set proxy proxy-server=\"http=proxy.fabrikam.example:8080;https=proxy.fabrikam.example:8443\" bypass-list=\"") {
		t.Errorf("%s", got)
	}
	for _, cause := range []string{"", "proxy-auth-required", "proxy-misconfigured-winhttp", "firewall-block"} {
		if got := one(corporate(), cause) + one(userOnly(), cause); got != "" {
			t.Errorf("%s: %s", cause, got)
		}
	}
	for _, bad := range []string{`p:80" & calc & "`, "p:80\nwhoami", "$(calc):80", "%PATH%:1", "p:80`n", ""} {
		user, stale := userOnly(), corporate()
		user.Settings.User.Static, stale.Settings.Machine.Static = bad, bad
		if got := one(user, "proxy-user-only") + one(stale, "proxy-stale"); got != "" {
			t.Errorf("%q: %s", bad, got)
		}
	}
	secret := userOnly()
	secret.Settings.User.Static = "http://svc:Winter-99@proxy.fabrikam.example:8080"
	if got := one(secret, "proxy-user-only"); strings.Contains(got, "Winter") {
		t.Errorf("%s", got)
	}
}

func TestAdviceHostileNames(t *testing.T) {
	for _, name := range []string{"http://a b/", "http://x\nhttp_access allow all", `http://"];evil();["/`, "http://%0Ahttp_access%20allow%20all/", "http://xn--\u202e/", "http://*.com/", "http://[::1%25\"]/", "http://-kx/"} {
		w := corporate()
		w.Settings.WSUS, w.Settings.WSUSStatus = name, name
		for _, s := range route.Advice(w, "") {
			for _, bad := range []string{"allow all", "evil", "\u202e", "-kx", " a b", "\"\"", "*.com\n"} {
				if strings.Contains(s.Text, bad) {
					t.Errorf("%q in %s:\n%s", bad, s.Kind, s.Text)
				}
			}
		}
	}
}

// TestAdvicePAC puts the fragments where they say that they belong, into a script that
// sends everything to a proxy or compares letter by letter, and evaluates it as WinHTTP
// would.
func TestAdvicePAC(t *testing.T) {
	t.Parallel()
	const (
		proxy  = "PROXY proxy.fabrikam.example:8080"
		script = `function FindProxyForURL(url, host) {
    if (host == "wsus01.corp.fabrikam.example") return "DIRECT";
    return "` + proxy + `";
}
`
		head = "function FindProxyForURL(url, host) {\n"
	)
	fragment := snippet(t, corporate(), route.PACDirect)
	lower := snippet(t, corporate(), route.PACLowerCase)
	line := `if (isWindowsUpdate(host)) return "DIRECT";`
	if !strings.Contains(fragment, "//     "+line) {
		t.Fatalf("the fragment does not say how it is used:\n%s", fragment)
	}
	const wsus = "http://WSUS01.CORP.fabrikam.example:8530/ClientWebService/client.asmx"
	for _, tt := range []struct {
		name, script string
		direct       map[string]bool
	}{
		{"before", script, map[string]bool{wsus: false, strings.ToLower(wsus): true, "https://slscr.update.microsoft.com/": false}},
		{"direct", strings.Replace(script, head, head+line+"\n", 1) + fragment, map[string]bool{
			wsus: true, strings.ToLower(wsus): true, "https://SLSCR.update.microsoft.com/": true, "https://update.microsoft.com/": true,
			"http://192.0.2.44/": true, "http://x.au.download.windowsupdate.com/": true,
			"https://www.fabrikam.example/": false, "http://notupdate.microsoft.com/": false, "http://update.microsoft.com.evil.example/": false,
		}},
		{"lower case", strings.Replace(script, head, head+lower, 1), map[string]bool{wsus: true, "https://www.fabrikam.example/": false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var calls []pac.Call
			for address := range tt.direct {
				c, err := pac.NewCall(address)
				if err != nil {
					t.Fatal(err)
				}
				calls = append(calls, c)
			}
			var s pac.Sandbox // its child is this program: see TestMain
			results, err := s.Evaluate(t.Context(), []byte(tt.script), pac.Env{Dialect: pac.JScript}, calls)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				want := proxy
				if tt.direct[r.Call.URL] {
					want = "DIRECT"
				}
				if r.Err != nil || r.List != want {
					t.Errorf("%s: %q, %v, want %s", r.Call.URL, r.List, r.Err, want)
				}
			}
		})
	}
}

// TestAdviceSquid starts squid with a rule that asks everybody to sign in, walks the
// scan of a machine behind it, pastes the advice, and walks again.
func TestAdviceSquid(t *testing.T) {
	t.Parallel()
	squidProgram(t)
	w, err := lab.Open(lab.WorldSpec{WSUS: []lab.WSUS{{Name: "wsus.corp.fabrikam.example"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	doors, err := w.Listen(netip.Prefix{})
	if err != nil {
		t.Fatal(err)
	}
	door, ok := doors.Find("tcp", "wsus.corp.fabrikam.example", 8530)
	if !ok {
		t.Fatalf("no WSUS in %+v", doors.Doors)
	}
	settings := func(proxy string) route.Settings {
		p := route.Proxy{Known: true, Static: proxy, Source: "test"}
		return route.Settings{
			Machine: p, Internet: p, User: p, UseWSUS: true,
			WSUS: "http://wsus.corp.fabrikam.example:" + strconv.Itoa(int(door.Real.Port())),
		}
	}
	// Nothing listens on their ports: what squid does not challenge, it cannot reach.
	names := door.Real.Addr().String() + " wsus.corp.fabrikam.example\n127.0.0.1 intranet.fabrikam.example update.microsoft.com.fabrikam.example notwindowsupdate.com\n"
	for _, e := range route.AllowList(route.AllowUpdates) {
		names += "127.0.0.1 " + strings.TrimPrefix(e.Host, "*.") + " " + strings.Replace(e.Host, "*.", "some.", 1) + "\n"
	}

	before := squid(t, "", signIn, names)
	walk := scan(t, settings(before))
	trip := walk.Trips[0]
	if trip.Predict.Code != 0x8024401B {
		t.Fatalf("before: the scan is predicted to give %s: %+v", trip.Predict.Code, trip.Deciding())
	}
	advice := route.Advice(walk, "proxy-auth-required")[0]
	if advice.Kind != route.SquidAllow || !advice.Fits {
		t.Fatalf("before: advice is %s", advice.Kind)
	}

	after := squid(t, advice.Text, signIn, names)
	walk = scan(t, settings(after))
	if trip := walk.Trips[0]; trip.Predict.Code != 0 || trip.Deciding().Exchange.Status != 200 || trip.Deciding().Exchange.Request.Via.Direct() {
		t.Errorf("after: %s, %+v", trip.Predict.Code, trip.Deciding())
	}
	for _, e := range route.AllowList(route.AllowUpdates) {
		for _, name := range []string{strings.TrimPrefix(e.Host, "*."), strings.Replace(e.Host, "*.", "some.", 1)} {
			for _, port := range e.Ports {
				method, target := http.MethodGet, fmt.Sprintf("http://%s:%d/", name, port)
				if port == 443 {
					method, target = http.MethodConnect, name+":443"
				}
				if ask(t, before, method, target) != 407 {
					t.Errorf("before: %s is not challenged", target)
				}
				if got := ask(t, after, method, target); got == 407 || got == 403 {
					t.Errorf("after: %s gets %d", target, got)
				}
			}
		}
	}
	for _, target := range []string{"intranet.fabrikam.example:443", "update.microsoft.com.fabrikam.example:443", "notwindowsupdate.com:443", "slscr.update.microsoft.com:22"} {
		if got := ask(t, after, http.MethodConnect, target); got != 407 {
			t.Errorf("after: %s gets %d, want 407 as before", target, got)
		}
	}
	if got := ask(t, after, http.MethodGet, "http://intranet.fabrikam.example/"); got != 407 {
		t.Errorf("after: another site gets %d, want 407 as before", got)
	}
}

// TestAdviceSquidIntact: a squid that opens every TLS connection opens those of update
// hosts no longer, and all others as before.
func TestAdviceSquidIntact(t *testing.T) {
	t.Parallel()
	origin := httptest.NewTLSServer(http.NotFoundHandler())
	defer origin.Close()
	port := origin.Listener.Addr().(*net.TCPAddr).Port
	names := "127.0.0.1 slscr.update.microsoft.com www.fabrikam.example\n"
	before, after := squid(t, "", bump, names), squid(t, snippet(t, corporate(), route.SquidIntact), bump, names)
	for _, tt := range []struct {
		proxy, name string
		opened      bool
	}{
		{before, "slscr.update.microsoft.com", true},
		{before, "www.fabrikam.example", true},
		{after, "slscr.update.microsoft.com", false},
		{after, "www.fabrikam.example", true},
	} {
		conn, err := net.DialTimeout("tcp", tt.proxy, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(conn, "CONNECT %s:%d HTTP/1.1\r\n\r\n", tt.name, port)
		if resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodConnect}); err != nil || resp.StatusCode != 200 {
			t.Fatalf("CONNECT %s: %v, %v", tt.name, resp, err)
		}
		c := tls.Client(conn, &tls.Config{ServerName: tt.name, InsecureSkipVerify: true}) // whose certificate it is, is the question
		if err := c.Handshake(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		chain := c.ConnectionState().PeerCertificates
		if opened := chain[0].Issuer.CommonName == inspector; opened != tt.opened {
			t.Errorf("%s is signed by %s", tt.name, chain[0].Issuer)
		}
	}
}

// TestAdviceSquidRanges: ranges of updates pass a squid that asks for whole files, or that
// takes the field out, and those of other sites fare as before.
func TestAdviceSquidRanges(t *testing.T) {
	t.Parallel()
	var seen atomic.Value
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Header.Get("Range"))
		http.ServeContent(w, r, "x.cab", time.Time{}, bytes.NewReader(make([]byte, 4096)))
	}))
	defer origin.Close()
	port := origin.Listener.Addr().(*net.TCPAddr).Port
	const names = "127.0.0.1 download.windowsupdate.com www.fabrikam.example\n"
	advice := snippet(t, corporate(), route.SquidRanges)
	const (
		whole = "http_port ADDRESS\nADVICE\ncache allow all\nrange_offset_limit none\nhttp_access allow all\n"
		taken = "http_port ADDRESS\nADVICE\nrequest_header_access Range deny all\nhttp_access allow all\n"
		plain = "http_port ADDRESS\nADVICE\nhttp_access allow all\n"
	)
	for _, tt := range []struct {
		name, rules, advice string
		updates, others     bool // the range reaches the server
	}{
		{"whole files, before", whole, "", false, false},
		{"whole files, after", whole, advice, true, false},
		{"field taken out, before", taken, "", false, false},
		{"field taken out, after", taken, strings.ReplaceAll(advice, "\n#re", "\nre"), true, false},
		{"nothing wrong, after", plain, advice, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			proxy := squid(t, tt.advice, tt.rules, names)
			for name, want := range map[string]bool{"download.windowsupdate.com": tt.updates, "www.fabrikam.example": tt.others} {
				seen.Store("")
				conn, err := net.DialTimeout("tcp", proxy, 5*time.Second)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				fmt.Fprintf(conn, "GET http://%s:%d/x.cab HTTP/1.1\r\nHost: %s:%d\r\nRange: bytes=1024-2047\r\nConnection: close\r\n\r\n", name, port, name, port)
				resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodGet})
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if got := seen.Load() == "bytes=1024-2047"; got != want || want && (resp.StatusCode != 206 || resp.ContentLength != 1024) {
					t.Errorf("%s: %d, %d bytes, the server saw range %q", name, resp.StatusCode, resp.ContentLength, seen.Load())
				}
			}
		})
	}
}

const inspector = "Fabrikam Inspection"

// certificateStore makes what squid needs to sign for others.
func certificateStore(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: inspector}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	db := filepath.Join(dir, "certdb")
	if out, err := exec.CommandContext(t.Context(), "/usr/lib/squid/security_file_certgen", "-c", "-s", db, "-M", "4MB").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	err = filepath.WalkDir(db, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o777)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAdviceSquidTakes holds that squid reads every snippet, alone and together,
// without an error or a warning.
func TestAdviceSquidTakes(t *testing.T) {
	program := squidProgram(t)
	allow, intact, ranges := snippet(t, corporate(), route.SquidAllow), snippet(t, corporate(), route.SquidIntact), snippet(t, corporate(), route.SquidRanges)
	for name, conf := range map[string]string{"allow": allow, "intact": intact, "ranges": ranges, "together": allow + intact + ranges} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "squid.conf")
			if err := os.WriteFile(path, []byte("http_port 127.0.0.1:3128\nvisible_hostname x\n"+conf+"\nhttp_access deny all\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), program, "-k", "parse", "-f", path).CombinedOutput()
			if err != nil || bytes.Contains(out, []byte("WARNING")) || bytes.Contains(out, []byte("ERROR")) || bytes.Contains(out, []byte("FATAL")) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// scan walks the update agent's first request to its WSUS server.
func scan(t *testing.T, s route.Settings) *route.Walk {
	t.Helper()
	plan := s.Plan(route.PlanOptions{Only: []string{"wsus.config"}, Now: time.Now()})
	if len(plan) != 1 || plan[0].ID != "wsus.config" {
		t.Fatalf("the plan is %+v", plan)
	}
	w := route.Walker{Exchanger: route.NewProber(route.Prober{Net: route.OS{}, SignIn: func(string) (proxyauth.Credentials, bool) { return proxyauth.Credentials{}, false }}), Strict: true}
	return w.Walk(t.Context(), s, plan)
}

// ask makes one request at a proxy and returns the status.
func ask(t *testing.T, proxy, method, target string) int {
	t.Helper()
	conn, err := net.DialTimeout("tcp", proxy, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	hostname := strings.TrimSuffix(strings.TrimPrefix(target, "http://"), "/")
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", method, target, hostname)
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func squidProgram(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("squid")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/squid"); err != nil {
			t.Skip("squid is not installed (package squid-openssl)")
		}
	}
	return program
}

// signIn are the rules of a proxy that asks everybody, and bump those of one that opens
// every TLS connection. ADVICE is where a snippet belongs.
const (
	signIn = `http_port ADDRESS
auth_param basic program /usr/lib/squid/basic_ncsa_auth DIR/users
auth_param basic children 1
auth_param basic realm Fabrikam web access
acl signed proxy_auth REQUIRED
ADVICE
http_access allow signed
http_access deny all
`
	bump = `http_port ADDRESS ssl-bump cert=DIR/ca.pem generate-host-certificates=on dynamic_cert_mem_cache_size=1MB
sslcrtd_program /usr/lib/squid/security_file_certgen -s DIR/certdb -M 4MB
sslcrtd_children 1
tls_outgoing_options flags=DONT_VERIFY_PEER
ADVICE
acl begin at_step SslBump1
ssl_bump peek begin
ssl_bump bump all
http_access allow all
`
)

// squid runs one by the given rules, with the advice in them, until the test ends.
// hosts is its hosts file.
func squid(t *testing.T, advice, rules, hosts string) (address string) {
	t.Helper()
	program := squidProgram(t)
	for _, helper := range []string{"/usr/lib/squid/basic_ncsa_auth", "/usr/lib/squid/security_file_certgen"} {
		if _, err := os.Stat(helper); err != nil {
			t.Skip("squid's helpers are not where Debian puts them: " + helper)
		}
	}
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // squid, started by root, goes on as another user
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(rules, "DIR/certdb") {
		certificateStore(t, dir)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = l.Addr().String()
	l.Close()
	for name, text := range map[string]string{
		"hosts": hosts, "users": "",
		"squid.conf": strings.NewReplacer("DIR", dir, "ADDRESS", address, "ADVICE", advice).Replace(rules + `
cache deny all
cache_mem 0
memory_cache_shared off
access_log none
cache_log DIR/cache.log
pid_filename DIR/squid.pid
coredump_dir DIR
hosts_file DIR/hosts
visible_hostname proxy.fabrikam.example
icp_port 0
pinger_enable off
shutdown_lifetime 0 seconds
dns_nameservers 127.0.0.1
dns_timeout 1 seconds
connect_timeout 2 seconds
`),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "-N", "-f", filepath.Join(dir, "squid.conf"))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return address
		}
		select {
		case <-ended:
			t.Fatalf("squid ended at once:\n%s", out.Bytes())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("squid does not listen:\n%s", out.Bytes())
		}
	}
}
