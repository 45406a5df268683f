package relay_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/lab"
	"updoc/internal/proxyauth"
	"updoc/internal/relay"
	"updoc/internal/route"
	"updoc/internal/route/pac"
)

func TestMain(m *testing.M) {
	if os.Getenv(pac.Role) == pac.Child {
		os.Exit(pac.Serve(os.Stdin, os.Stdout, nil))
	}
	os.Exit(m.Run())
}

const proxyName = "proxy.fabrikam.example"

// world is a network whose only way out is a proxy that wants a sign-in.
func world(t *testing.T, schemes ...string) *lab.World {
	t.Helper()
	w, err := lab.Open(lab.WorldSpec{
		Proxies: []lab.Proxy{{Name: proxyName, Port: 8080, Auth: schemes, Realm: "web", Users: map[string]string{`FABRIKAM\anna`: "s3cret pass"}}},
		WSUS:    []lab.WSUS{{Name: "wsus.fabrikam.example"}},
		Paths:   []lab.Path{{To: proxyName, Fault: lab.PathOpen}, {Fault: lab.PathRefuse}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// start serves a relay and returns its address.
func start(t *testing.T, r *relay.Relay) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func client(w *lab.World, relayAt string) *http.Client {
	return &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{
		Proxy:             http.ProxyURL(&url.URL{Scheme: "http", Host: relayAt}),
		TLSClientConfig:   &tls.Config{RootCAs: w.Trusted(), Time: w.Now},
		DisableKeepAlives: false, MaxIdleConnsPerHost: 64,
	}}
}

func TestSchemes(t *testing.T) {
	for _, scheme := range []string{"", "Basic", "Digest", "NTLM"} {
		t.Run(cmpOr(scheme, "open"), func(t *testing.T) {
			var schemes []string
			if scheme != "" {
				schemes = []string{scheme}
			}
			w := world(t, schemes...)
			r := &relay.Relay{Proxy: proxyName + ":8080", Credentials: proxyauth.ParseLogin(`FABRIKAM\anna`, "s3cret pass"), Dial: w.DialContext}
			c := client(w, start(t, r))
			for _, address := range []string{
				"https://slscr.update.microsoft.com/SLS/{9482F4B4-E343-43B6-B170-9A65BC822C77}/x64/10.0.22631.1/0?CH=1&L=en-US&P=&PT=0x30&WUA=10.0.1.1",
				"http://ctldl.windowsupdate.com/msdownload/update/v3/static/trustedr/en/disallowedcertstl.cab",
				"http://download.windowsupdate.com/microsoftupdate/v6/wsusscan/wsusscn2.cab",
			} {
				resp, err := c.Get(address)
				if err != nil {
					t.Fatal(err)
				}
				n, err := io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 || err != nil || n == 0 || resp.ContentLength > 0 && n != resp.ContentLength {
					t.Errorf("%s: %s, %d of %d bytes, %v", address, resp.Status, n, resp.ContentLength, err)
				}
			}
			// A request is counted once its last byte was handed on, a moment after the
			// client has it.
			s := r.Stats()
			for end := time.Now().Add(5 * time.Second); s.Passed+s.Failed < 3 && time.Now().Before(end); s = r.Stats() {
				time.Sleep(time.Millisecond)
			}
			if s.Passed != 3 || s.Failed != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// A range of a file passes as it is: the download is what the relay is for.
func TestRange(t *testing.T) {
	w := world(t, "NTLM")
	r := &relay.Relay{Proxy: proxyName + ":8080", Credentials: proxyauth.ParseLogin(`FABRIKAM\anna`, "s3cret pass"), Dial: w.DialContext}
	c := client(w, start(t, r))
	req, _ := http.NewRequest("GET", "http://download.windowsupdate.com/microsoftupdate/v6/wsusscan/wsusscn2.cab", nil)
	req.Header.Set("Range", "bytes=1048576-2097151")
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != 206 || n != 1<<20 || err != nil || !strings.HasPrefix(resp.Header.Get("Content-Range"), "bytes 1048576-2097151/") {
		t.Errorf("%s, %d bytes, %q, %v", resp.Status, n, resp.Header.Get("Content-Range"), err)
	}
}

// Everything but update hosts is refused and counted, and never reaches the proxy.
func TestRefused(t *testing.T) {
	w := world(t, "Basic")
	r := &relay.Relay{Proxy: proxyName + ":8080", Credentials: proxyauth.ParseLogin(`FABRIKAM\anna`, "s3cret pass"), Dial: w.DialContext, Own: []string{"wsus.fabrikam.example:8530"}}
	at := start(t, r)
	before := len(w.Log())
	for _, head := range []string{
		"CONNECT www.example.com:443 HTTP/1.1\r\n\r\n",
		"GET http://www.example.com/ HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
		"CONNECT slscr.update.microsoft.com:22 HTTP/1.1\r\n\r\n",
		"CONNECT evilupdate.microsoft.com.example:443 HTTP/1.1\r\n\r\n",
		"CONNECT notupdate.microsoft.com:443 HTTP/1.1\r\n\r\n",
		"GET http://download.windowsupdate.com@www.example.com/ HTTP/1.1\r\n\r\n",
		"GET http://127.0.0.1:80/ HTTP/1.1\r\n\r\n",
		"GET /etc/passwd HTTP/1.1\r\n\r\n",
		"CONNECT wsus.fabrikam.example:8531 HTTP/1.1\r\n\r\n",
		"GET https://slscr.update.microsoft.com/ HTTP/1.1\r\n\r\n",
		"nonsense\r\n\r\n",
	} {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, head)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Errorf("%q: %v", head, err)
		} else if resp.StatusCode != 403 && resp.StatusCode != 400 {
			t.Errorf("%q: %s", head, resp.Status)
		}
		c.Close()
	}
	if n := len(w.Log()) - before; n != 0 {
		t.Errorf("the proxy was asked %d times", n)
	}
	if s := r.Stats(); s.RefusedHost+s.Malformed != 11 || s.Passed != 0 {
		t.Errorf("%+v", s)
	}
	if resp, err := client(w, at).Get("http://wsus.fabrikam.example:8530/ClientWebService/wusserverversion.xml"); err != nil || resp.StatusCode != 200 {
		t.Errorf("the machine's own WSUS: %v, %v", resp, err)
	}
}

// A wrong password is presented once and never again, whatever many clients ask.
func TestWrongPassword(t *testing.T) {
	for _, scheme := range []string{"Basic", "Digest", "NTLM"} {
		t.Run(scheme, func(t *testing.T) {
			w := world(t, scheme)
			r := &relay.Relay{Proxy: proxyName + ":8080", Credentials: proxyauth.ParseLogin(`FABRIKAM\anna`, "wr0ng pass"), Dial: w.DialContext}
			c := client(w, start(t, r))
			for range 5 {
				resp, err := c.Get("http://ctldl.windowsupdate.com/msdownload/update/v3/static/trustedr/en/authrootstl.cab")
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 502 || strings.Contains(string(body), "wr0ng") {
					t.Errorf("%s: %s", resp.Status, body)
				}
			}
			asked := 0
			for _, s := range w.Log() {
				if s.Status == http.StatusProxyAuthRequired {
					asked++
				}
			}
			if asked > 3 {
				t.Errorf("the proxy was asked %d times", asked)
			}
		})
	}
}

// A program that is not admitted sends nothing through the relay, and may read the
// script all the same: who fetches it decides for others.
func TestAdmit(t *testing.T) {
	w := world(t, "Basic")
	var asked [][2]netip.AddrPort
	var mu sync.Mutex
	verdict := errors.New("a game")
	r := &relay.Relay{
		Proxy: proxyName + ":8080", Credentials: proxyauth.ParseLogin(`FABRIKAM\anna`, "s3cret pass"), Dial: w.DialContext,
		Scripts: map[string]relay.Before{"/system.pac": {Static: "old.corp.example:3128"}},
		Admit: func(client, self netip.AddrPort) error {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, [2]netip.AddrPort{client, self})
			return verdict
		},
	}
	at := start(t, r)
	for path, want := range map[string]string{relay.PACPath: "var updocWays = {\"http\":\"DIRECT\"", "/system.pac": "PROXY old.corp.example:3128", "/other.pac": ""} {
		resp, err := http.Get("http://" + at + path)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want == "" && resp.StatusCode != 403 || want != "" && (resp.StatusCode != 200 || !strings.Contains(string(text), want)) {
			t.Errorf("%s: %s\n%s", path, resp.Status, text)
		}
	}
	before := len(w.Log())
	const list = "http://ctldl.windowsupdate.com/msdownload/update/v3/static/trustedr/en/disallowedcertstl.cab"
	if resp, err := client(w, at).Get(list); err != nil || resp.StatusCode != 403 {
		t.Errorf("%v, %v", resp, err)
	}
	if n := len(w.Log()) - before; n != 0 {
		t.Errorf("the proxy was asked %d times", n)
	}
	if s := r.Stats(); s.RefusedProgram != 2 || s.Scripts != 2 || s.Passed != 0 {
		t.Errorf("%+v", s)
	}
	mu.Lock()
	if len(asked) == 0 || asked[0][1].String() != at || !asked[0][0].IsValid() {
		t.Errorf("asked about %v", asked)
	}
	verdict = nil
	n := len(asked)
	mu.Unlock()
	c := client(w, at)
	for range 3 { // over one connection, which is looked at once
		resp, err := c.Get(list)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if len(asked) != n+1 {
		t.Errorf("asked %d times", len(asked)-n)
	}
}

// Whether the proxy lets the relay through is known before anything depends on it.
func TestTry(t *testing.T) {
	for login, want := range map[string]string{"s3cret pass": "", "wr0ng pass": "refused"} {
		w := world(t, "NTLM")
		r := &relay.Relay{Proxy: proxyName + ":8080", Credentials: proxyauth.ParseLogin(`FABRIKAM\anna`, login), Dial: w.DialContext}
		if err := r.Try(t.Context()); (err == nil) != (want == "") || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%q: %v", login, err)
		}
	}
	w := world(t)
	gone := &relay.Relay{Proxy: "gone.fabrikam.example:8080", Dial: w.DialContext}
	if err := gone.Try(t.Context()); err == nil {
		t.Error("a proxy that is not there opened a way")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := gone.Try(ended); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// The lease ends the relay: nothing new is taken, what is idle is closed.
func TestLease(t *testing.T) {
	w := world(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay.Relay{Proxy: proxyName + ":8080", Dial: w.DialContext}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, l) }()
	idle, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it goes on")
	}
	idle.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := idle.Read(make([]byte, 1)); err != io.EOF && !strings.Contains(fmt.Sprint(err), "reset") {
		t.Errorf("an idle connection stays: %v", err)
	}
	if c, err := net.DialTimeout("tcp", l.Addr().String(), time.Second); err == nil {
		c.Close()
		t.Error("it still listens")
	}
}

func TestLoopbackOnly(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Skip("cannot listen: ", err)
	}
	if err := (&relay.Relay{}).Serve(context.Background(), l); err != relay.ErrLoopback {
		t.Errorf("%v", err)
	}
}

// A thousand requests at once leave neither goroutines nor memory behind.
func TestThousand(t *testing.T) {
	w := world(t, "Digest")
	r := &relay.Relay{Proxy: proxyName + ":8080", Credentials: proxyauth.ParseLogin(`FABRIKAM\anna`, "s3cret pass"), Dial: w.DialContext}
	at := start(t, r)
	run := func(n int) {
		c := client(w, at)
		defer c.CloseIdleConnections()
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				resp, err := c.Get("http://ctldl.windowsupdate.com/msdownload/update/v3/static/trustedr/en/disallowedcertstl.cab")
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Error(resp.Status)
				}
			})
		}
		wg.Wait()
	}
	run(50)
	settle := func() (int, uint64) {
		var m runtime.MemStats
		for range 50 {
			runtime.GC()
			if r.Stats().Open == 0 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapAlloc
	}
	goroutines, heap := settle()
	run(1000)
	after, heapAfter := settle()
	if after > goroutines+20 {
		t.Errorf("%d goroutines before, %d after", goroutines, after)
	}
	if heapAfter > heap+32<<20 {
		t.Errorf("%d MB before, %d after", heap>>20, heapAfter>>20)
	}
	if s := r.Stats(); s.Passed != 1050 || s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

// The relay's script sends update hosts to the relay and decides about everything else
// as it was decided before, whatever that was.
func TestPAC(t *testing.T) {
	addresses := []string{
		"http://www.example.com/", "https://www.example.com/a?b", "http://intranet/", "https://intranet/", "http://10.1.2.3/", "http://a.corp.example:8080/",
		"http://a.corp.example/", "http://localhost/x", "http://127.0.0.1:8080/", "https://update.example.net/", "http://windowsupdate.com.example.org/",
		"http://WWW.Example.COM/", "https://printer.lan:8443/",
	}
	updates := []string{
		"https://slscr.update.microsoft.com/SLS/", "http://download.windowsupdate.com/x.cab", "HTTP://DOWNLOAD.WINDOWSUPDATE.COM/x.cab", "http://wsus.corp.example:8530/ClientWebService/client.asmx",
	}
	const script = `var home = "PROXY old.corp.example:3128";
function FindProxyForURL(url, host) {
  if (isPlainHostName(host) || shExpMatch(host, "*.corp.example")) return "DIRECT";
  if (url.substring(0, 6) == "https:") return "PROXY tls.corp.example:8443; DIRECT";
  return home;
}`
	for name, before := range map[string]relay.Before{
		"direct":     {},
		"one proxy":  {Static: "old.corp.example:3128", Bypass: "<local>;*.corp.example;10.*"},
		"per scheme": {Static: "http=a.example:1;https=b.example:2", Bypass: "https://printer.lan:8443 *.example.org"},
		"no https":   {Static: "http=a.example:1"},
		"malformed":  {Static: "old.corp.example:3128", Bypass: `10.0.0.0/8;a,b;*.corp.example:8080;"x`},
		"script":     {Script: script},
	} {
		t.Run(name, func(t *testing.T) {
			r := &relay.Relay{Proxy: proxyName + ":8080", Own: []string{"wsus.corp.example"}, Before: before}
			at := start(t, r)
			resp, err := http.Get("http://" + at + relay.PACPath)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.Header.Get("Content-Type") != "application/x-ns-proxy-autoconfig" {
				t.Fatal(resp.Header, err)
			}
			ask := func(script string, list []string) []string {
				var calls []pac.Call
				for _, a := range list {
					c, err := pac.NewCall(a)
					if err != nil {
						t.Fatal(err)
					}
					calls = append(calls, c)
				}
				env := pac.Env{Dialect: pac.JScript, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.20")}}
				results, err := (&pac.Sandbox{}).Evaluate(context.Background(), []byte(script), env, calls)
				if err != nil {
					t.Fatal(err)
				}
				var out []string
				for _, res := range results {
					if res.Err != nil {
						t.Fatalf("%s: %v\n%s", res.Call.URL, res.Err, script)
					}
					out = append(out, res.List)
				}
				return out
			}
			for i, list := range ask(string(text), updates) {
				if list != "PROXY "+at {
					t.Errorf("%s: %s", updates[i], list)
				}
			}
			got := ask(string(text), addresses)
			var want []string
			if before.Script != "" {
				want = ask(before.Script, addresses)
			} else {
				for _, a := range addresses {
					var parts []string
					for _, via := range (route.Proxy{Known: true, Static: before.Static, Bypass: before.Bypass}).Choose(a).Via {
						if via.Direct() {
							parts = append(parts, "DIRECT")
						} else {
							parts = append(parts, "PROXY "+strings.TrimPrefix(via.Proxy, "http://"))
						}
					}
					want = append(want, strings.Join(parts, "; "))
				}
			}
			for i := range got {
				if diff := cmp.Diff(want[i], got[i]); diff != "" {
					t.Errorf("%s: %s", addresses[i], diff)
				}
			}
		})
	}
}
