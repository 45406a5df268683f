package winhost

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// raw answers every connection with the same bytes and closes it.
func raw(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(10 * time.Second))
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					_, _ = io.WriteString(c, answer)
				}
			}()
		}
	}()
	return l.Addr().String()
}

func exchange(t *testing.T, req host.Request) host.Exchange {
	t.Helper()
	if req.Method == "" {
		req.Method = "GET"
	}
	began := time.Now()
	ex, err := (&WinHTTP{}).Exchange(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range ex.Hops {
		t.Logf("%-8s %-40s %8v +%v %s %s %d", h.Kind, h.Target, h.At.Round(time.Millisecond), h.Took.Round(time.Millisecond), h.Fault, h.Seen, h.Status)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	return ex
}

func kinds(ex host.Exchange) string {
	var s []string
	for _, h := range ex.Hops {
		s = append(s, string(h.Kind))
	}
	return strings.Join(s, " ")
}

func TestWinHTTP(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen", r.Method+" "+r.Header.Get("X-Sent")+" "+r.UserAgent()+" "+r.URL.RequestURI())
		b, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/big":
			_, _ = w.Write(make([]byte, 200_000))
		default:
			fmt.Fprintf(w, "got %d bytes", len(b))
		}
	}))
	defer s.Close()
	ex := exchange(t, host.Request{
		Method: "POST", URL: s.URL + "/a%20b?q=1", Body: []byte("hello"),
		Header: []host.Field{{Name: "User-Agent", Value: "Windows-Update-Agent/1.0"}, {Name: "X-Sent", Value: "yes"}},
	})
	if b := ex.Broken(); b != nil || ex.Status != 200 || string(ex.Body) != "got 5 bytes" || ex.Length != 11 {
		t.Errorf("%+v: %d %q", b, ex.Status, ex.Body)
	}
	if got := ex.Get("x-seen"); got != "POST yes Windows-Update-Agent/1.0 /a%20b?q=1" {
		t.Errorf("sent as %q", got)
	}
	if k := kinds(ex); k != "dns tcp http" && k != "tcp http" {
		t.Errorf("hops %s", k)
	}
	if ex := exchange(t, host.Request{URL: s.URL + "/moved"}); ex.Status != 302 {
		t.Errorf("followed to %d", ex.Status)
	}
	if ex := exchange(t, host.Request{URL: s.URL + "/big", Keep: 1000}); ex.Length != 200_000 || len(ex.Body) != 1000 {
		t.Errorf("%d bytes, %d kept", ex.Length, len(ex.Body))
	}
}

func TestWinHTTPFaults(t *testing.T) {
	const challenge = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: Basic realm=\"fabrikam\"\r\nVia: 1.1 proxy.fabrikam.example\r\nContent-Length: 4\r\nConnection: close\r\n\r\nauth"
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := silent.Addr().String()
	_ = silent.Close()
	self := httptest.NewUnstartedServer(http.NotFoundHandler())
	self.Config.ErrorLog = log.New(io.Discard, "", 0)
	self.StartTLS()
	defer self.Close()
	via := func(address string) host.Via { return host.Via{Proxy: "http://" + address, Source: "test"} }
	for name, tt := range map[string]struct {
		req    host.Request
		kind   host.HopKind
		faults []host.Fault
	}{
		"a proxy that asks who, plain":  {host.Request{URL: "http://download.fabrikam.example/x", Via: via(raw(t, challenge))}, host.HopProxy, []host.Fault{host.FaultProxyAuth}},
		"a proxy that asks who, tunnel": {host.Request{URL: "https://fe3.fabrikam.example/x", Via: via(raw(t, challenge))}, host.HopProxy, []host.Fault{host.FaultProxyAuth}},
		"a proxy that refuses": {
			host.Request{URL: "http://download.fabrikam.example/x", Via: via(raw(t, "HTTP/1.1 403 Forbidden\r\nX-Squid-Error: ERR_ACCESS_DENIED 0\r\nContent-Length: 0\r\n\r\n"))},
			host.HopProxy,
			[]host.Fault{host.FaultProxyDenied},
		},
		"nobody there":           {host.Request{URL: "http://" + nobody + "/"}, host.HopTCP, []host.Fault{host.FaultRefused}},
		"no proxy there":         {host.Request{URL: "http://download.fabrikam.example/", Via: via(nobody)}, host.HopTCP, []host.Fault{host.FaultRefused}},
		"no such name":           {host.Request{URL: "http://nobody.invalid/"}, host.HopDNS, []host.Fault{host.FaultNoName}},
		"no HTTP":                {host.Request{URL: "http://" + raw(t, "SSH-2.0-x\r\n\r\n") + "/"}, host.HopHTTP, []host.Fault{host.FaultNotHTTP, host.FaultReset}},
		"an answer that is none": {host.Request{URL: "http://" + raw(t, "") + "/"}, host.HopHTTP, []host.Fault{host.FaultReset, host.FaultNotHTTP}},
		"a foreign certificate":  {host.Request{URL: self.URL + "/"}, host.HopTLS, []host.Fault{host.FaultUntrusted, host.FaultAlert}},
		"not TLS":                {host.Request{URL: "https://" + raw(t, "HTTP/1.1 400 Bad\r\n\r\n") + "/"}, host.HopTLS, []host.Fault{host.FaultAlert, host.FaultReset, host.FaultTimeout}},
		"no address of a proxy":  {host.Request{URL: "http://x.example/", Via: host.Via{Proxy: "socks5://p:1"}}, host.HopDecision, []host.Fault{host.FaultNoProxy}},
	} {
		t.Run(name, func(t *testing.T) {
			ex := exchange(t, tt.req)
			b := ex.Broken()
			if name == "a proxy that asks who, tunnel" && b != nil && b.Kind == host.HopTLS && wine(t, open(t)) {
				t.Skip("WinHttpReceiveResponse: Wine hands out no proxy's answer to CONNECT but 12157")
			}
			if b == nil {
				t.Fatalf("went well: %+v", ex)
			}
			ok := false
			for _, f := range tt.faults {
				ok = ok || b.Fault == f
			}
			if b.Kind != tt.kind || !ok {
				t.Errorf("%s %s (%s), want %s %v", b.Kind, b.Fault, b.Seen, tt.kind, tt.faults)
			}
			if b.Fault == host.FaultProxyAuth && (len(b.Challenges) != 2 || b.Challenges[1].Realm != "fabrikam" || ex.Status != 0) {
				t.Errorf("challenges %+v, status %d", b.Challenges, ex.Status)
			}
		})
	}
}

// Many at once, each with its own answer; and none left behind.
func TestWinHTTPMany(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat(r.URL.Path, 5000))
	}))
	defer s.Close()
	errs := make(chan error)
	for i := range 40 {
		go func() {
			path := fmt.Sprintf("/%04d", i)
			ex, err := (&WinHTTP{}).Exchange(t.Context(), host.Request{Method: "GET", URL: s.URL + path, Keep: 1 << 20})
			if err == nil && string(ex.Body) != strings.Repeat(path, 5000) {
				err = fmt.Errorf("%s: %d bytes of another answer, %v", path, len(ex.Body), ex.Broken())
			}
			errs <- err
		}()
	}
	for range 40 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	all := theWires()
	all.mu.Lock()
	defer all.mu.Unlock()
	if len(all.all) != 0 {
		t.Errorf("%d are left", len(all.all))
	}
}

// A request that is stopped is no fault of the network's, and ends at once.
func TestWinHTTPCancelled(t *testing.T) {
	hold := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	defer s.Close()
	defer close(hold)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := (&WinHTTP{}).Exchange(ctx, host.Request{Method: "GET", URL: s.URL})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	if _, err := (&WinHTTP{}).Exchange(t.Context(), host.Request{URL: "ftp://x"}); !errors.Is(err, errAddress) {
		t.Error(err)
	}
}

func TestWhyNot(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := l.Addr().(*net.TCPAddr).AddrPort()
	if f := whyNot(t.Context(), a); f != "" {
		t.Errorf("somebody is there: %s", f)
	}
	_ = l.Close()
	if f := whyNot(t.Context(), a); f != host.FaultRefused {
		t.Errorf("nobody is there: %q", f)
	}
}

func TestWinHTTPSizes(t *testing.T) {
	for name, tt := range map[string]struct{ got, want uintptr }{
		"WINHTTP_ASYNC_RESULT":  {unsafe.Sizeof(asyncResult{}), 16},
		"WINHTTP_SECURITY_INFO": {unsafe.Sizeof(securityInfo{}), 28 + 4*4 + 5*128 + 6*4},
		"CERT_CONTEXT":          {unsafe.Sizeof(windows.CertContext{}), 40},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %d bytes, want %d", name, tt.got, tt.want)
		}
	}
}
