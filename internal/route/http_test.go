package route

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
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"updoc/internal/host"
	"updoc/internal/proxyauth"
)

// stage is a network in which every name is one address and every connection is
// played by one function, in memory: with testing/synctest no test waits for time.
type stage func(net.Conn)

func (s stage) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.AddrFrom4([4]byte{203, 0, 113, 1})}, nil
}

func (s stage) DialContext(context.Context, string, string) (net.Conn, error) {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		s(there)
	}()
	c := &buffered{Conn: here, out: make(chan []byte, 1<<10), closed: make(chan struct{})}
	go c.send()
	return c, nil
}

// buffered takes what is written while the other side does not read, and after it has
// closed, as a kernel does.
type buffered struct {
	net.Conn
	out    chan []byte
	closed chan struct{}
	once   sync.Once
}

func (c *buffered) Write(b []byte) (int, error) {
	select {
	case c.out <- bytes.Clone(b):
		return len(b), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *buffered) send() {
	for {
		select {
		case b := <-c.out:
			_, _ = c.Conn.Write(b)
		case <-c.closed:
			return
		}
	}
}

func (c *buffered) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// readRequest reads a request's head and body; nil when the client is gone.
func readRequest(in *bufio.Reader) []byte {
	var head []byte
	for {
		line, err := in.ReadSlice('\n')
		if head = append(head, line...); err != nil {
			return nil
		}
		if len(line) <= 2 {
			return head
		}
	}
}

// says answers each request of a connection with the next text, and closes after the last.
func says(answers ...string) stage {
	return func(c net.Conn) {
		in := bufio.NewReader(c)
		for _, a := range answers {
			if readRequest(in) == nil {
				return
			}
			if _, err := io.WriteString(c, a); err != nil {
				return
			}
		}
	}
}

// drips answers with a beginning and then with the same bytes again and again.
func drips(begin, rest string, pause time.Duration) stage {
	return func(c net.Conn) {
		if readRequest(bufio.NewReader(c)) == nil {
			return
		}
		go func() { _, _ = io.Copy(io.Discard, c) }()
		if _, err := io.WriteString(c, begin); err != nil {
			return
		}
		again := []byte(rest)
		for {
			if pause > 0 {
				time.Sleep(pause)
			}
			if _, err := c.Write(again); err != nil {
				return
			}
		}
	}
}

const okHead = "HTTP/1.1 200 OK\r\n"

// TestHostileAnswers: whatever a server sends, an exchange ends in bounded time with
// bounded memory, with a fault that names it, and leaves nothing behind: synctest fails
// when a goroutine does not end.
func TestHostileAnswers(t *testing.T) {
	many := strings.Repeat("X-Field: value\r\n", 100)
	for name, tt := range map[string]struct {
		stage  stage
		fault  host.Fault
		within time.Duration // of simulated time
	}{
		"fields without end":         {drips(okHead, many, 0), host.FaultEndless, answerTime},
		"a field without end":        {drips(okHead+"X: ", strings.Repeat("a", 4096), 0), host.FaultEndless, answerTime},
		"a first line without end":   {drips("HTTP/1.1 200 ", strings.Repeat("OK ", 1000), 0), host.FaultEndless, answerTime},
		"257 fields":                 {says(okHead + strings.Repeat("A: b\r\n", 257) + "\r\n"), host.FaultEndless, time.Second},
		"interim answers for ever":   {drips("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 0), host.FaultEndless, answerTime},
		"interim answers, slowly":    {drips("", "HTTP/1.1 100 Continue\r\n\r\n", 3*time.Second), host.FaultTimeout, answerTime},
		"a head, byte by byte":       {drips("HTTP/1.1 2", "0", time.Second), host.FaultTimeout, answerTime},
		"nothing at all":             {drips("", "", time.Hour), host.FaultTimeout, answerTime},
		"a body, byte by byte":       {drips(okHead+"Content-Length: 5000\r\n\r\n", "x", time.Second), host.FaultTimeout, bodyTime},
		"chunks, byte by byte":       {drips(okHead+"Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", time.Second), host.FaultTimeout, bodyTime},
		"a body without end":         {drips(okHead+"\r\n", strings.Repeat("x", 1<<16), 0), host.FaultEndless, bodyTime},
		"chunks without end":         {drips(okHead+"Transfer-Encoding: chunked\r\n\r\n", "8000\r\n"+strings.Repeat("x", 0x8000)+"\r\n", 0), host.FaultEndless, bodyTime},
		"a chunk beyond int64":       {says(okHead + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx\r\n"), host.FaultNotHTTP, time.Second},
		"a chunk of minus one":       {says(okHead + "Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n"), host.FaultNotHTTP, time.Second},
		"a chunk line without end":   {drips(okHead+"Transfer-Encoding: chunked\r\n\r\n1;", "aaaaaaaaaaaaaaaa", 0), host.FaultNotHTTP, bodyTime},
		"a chunk that is cut":        {says(okHead + "Transfer-Encoding: chunked\r\n\r\n100\r\nabc"), host.FaultClosed, time.Second},
		"a negative length":          {says(okHead + "Content-Length: -1\r\n\r\n"), host.FaultNotHTTP, time.Second},
		"a length beyond int64":      {says(okHead + "Content-Length: 99999999999999999999\r\n\r\n"), host.FaultNotHTTP, time.Second},
		"an enormous length":         {says(okHead + "Content-Length: 9223372036854775807\r\n\r\nabc"), host.FaultLength, time.Second},
		"lengths that contradict":    {says(okHead + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), host.FaultNotHTTP, time.Second},
		"a coding that nobody knows": {says(okHead + "Transfer-Encoding: gzip, identity\r\n\r\n"), host.FaultNotHTTP, time.Second},
		"a status that is none":      {says("HTTP/1.1 2000 OK\r\n\r\n"), host.FaultNotHTTP, time.Second},
		"another protocol":           {says("SSH-2.0-OpenSSH_9.2p1\r\n"), host.FaultNotHTTP, time.Second},
		"HTTP/2":                     {says("\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"), host.FaultNotHTTP, time.Second},
		"closed at once":             {func(net.Conn) {}, host.FaultClosed, time.Second},
		"closed in the head":         {says(okHead + "Content-"), host.FaultClosed, time.Second},
		"fewer bytes than announced": {says(okHead + "Content-Length: 10\r\n\r\nabc"), host.FaultLength, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var ex host.Exchange
			var took time.Duration
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				var err error
				ex, err = NewProber(Prober{Net: tt.stage}).Exchange(t.Context(), host.Request{ID: "t", Method: "GET", URL: "http://www.fabrikam.example/"})
				if err != nil {
					t.Fatal(err)
				}
				took = time.Since(begin)
				time.Sleep(2 * time.Hour) // the server finds out that nobody listens
			})
			runtime.ReadMemStats(&after)
			b := ex.Broken()
			if b == nil || b.Fault != tt.fault {
				t.Errorf("told as %s, want %s", b.Tell(), tt.fault)
			}
			if took > tt.within+time.Second {
				t.Errorf("it took %s, want %s", took, tt.within)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 8<<20 {
				t.Errorf("it allocated %d KiB", n>>10)
			}
			if len(ex.Body) > keepBody {
				t.Errorf("%d bytes were kept", len(ex.Body))
			}
		})
	}
}

// TestHostileProxies: the same of what stands before the server.
func TestHostileProxies(t *testing.T) {
	ntlm := base64.StdEncoding.EncodeToString([]byte("NTLMSSP\x00\x02\x00\x00\x00" + strings.Repeat("\x00", 40)))
	ask := func(challenge string) string {
		return "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: " + challenge + "\r\nContent-Length: 0\r\n\r\n"
	}
	forever := func(text string) stage {
		return func(c net.Conn) {
			in := bufio.NewReader(c)
			for readRequest(in) != nil {
				if _, err := io.WriteString(c, text); err != nil {
					return
				}
			}
		}
	}
	for name, tt := range map[string]struct {
		stage stage
		fault host.Fault
	}{
		"asks for ever, Basic":         {forever(ask(`Basic realm="x"`)), host.FaultSignIn},
		"asks for ever, Digest":        {forever(ask(`Digest realm="x", nonce="a"`)), host.FaultSignIn},
		"asks for ever, stale Digest":  {forever(ask(`Digest realm="x", nonce="a", stale=true`)), host.FaultSignIn},
		"asks for ever, NTLM":          {forever(ask("NTLM " + ntlm)), host.FaultProxyAuth},
		"asks for nothing it names":    {forever(ask("")), host.FaultProxyAuth},
		"a page without end with it":   {drips("HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\nContent-Length: 999999999\r\n\r\n", strings.Repeat("x", 1<<15), 0), host.FaultEndless},
		"a tunnel to nothing":          {says("HTTP/1.1 200 OK\r\n\r\n"), host.FaultClosed},
		"a tunnel to another protocol": {says("HTTP/1.1 200 OK\r\n\r\n220 mail.fabrikam.example ESMTP\r\n"), host.FaultNotTLS},
		"a tunnel to silence":          {drips("HTTP/1.1 200 OK\r\n\r\n", "", time.Hour), host.FaultTimeout},
		"a tunnel with a body":         {says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), host.FaultNotTLS},
		"a redirect":                   {says("HTTP/1.1 302 Found\r\nLocation: http://portal.example/\r\nContent-Length: 0\r\n\r\n"), host.FaultProxyStatus},
		"fields without end":           {drips("HTTP/1.1 407 No\r\n", strings.Repeat("Proxy-Authenticate: Basic realm=\"x\"\r\n", 50), 0), host.FaultEndless},
		"closes":                       {says(""), host.FaultClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := NewProber(Prober{Net: tt.stage, SignIn: func(string) (proxyauth.Credentials, bool) {
					return proxyauth.ParseLogin("anna", "hunter2hunter2"), true
				}})
				begin := time.Now()
				ex, err := p.Exchange(t.Context(), host.Request{ID: "t", Method: "GET", URL: "https://www.fabrikam.example/", Via: host.Via{Proxy: "http://proxy.fabrikam.example:8080"}})
				if err != nil {
					t.Fatal(err)
				}
				if b := ex.Broken(); b == nil || b.Fault != tt.fault {
					t.Errorf("told as %s, want %s", b.Tell(), tt.fault)
				}
				if took := time.Since(begin); took > connectTime {
					t.Errorf("it took %s", took)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

// TestEcho: a proxy that sends back what it was sent, wherever it can. The password is
// in nothing that an exchange holds, in no form.
func TestEcho(t *testing.T) {
	const password = `Tr0ub4dor&3 "x"/@%41`
	cred := proxyauth.ParseLogin(`FABRIKAM\anna`, password)
	echo := func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			head := readRequest(in)
			if head == nil {
				return
			}
			basic := ""
			for line := range strings.Lines(string(head)) {
				if v, ok := strings.CutPrefix(line, "Proxy-Authorization: "); ok {
					basic = strings.TrimSpace(v)
				}
			}
			_, token, _ := strings.Cut(basic, " ")
			clear, _ := base64.StdEncoding.DecodeString(token)
			_, pass, _ := strings.Cut(string(clear), ":")
			body := "<html>" + basic + " " + string(clear) + "</html>"
			fmt.Fprintf(c, "HTTP/1.1 407 %s %s\r\nProxy-Authenticate: Basic realm=%q\r\nProxy-Authenticate: X-%s realm=\"%s\"\r\nVia: 1.1 %s\r\nServer: %s\r\nX-Squid-Error: %s\r\nX-%s: y\r\nContent-Length: %d\r\n\r\n%s",
				pass, basic, pass, token, basic, pass, clear, basic, token, len(body), body)
		}
	}
	for _, url := range []string{"https://www.fabrikam.example/", "http://www.fabrikam.example/"} {
		synctest.Test(t, func(t *testing.T) {
			p := NewProber(Prober{Net: stage(echo), SignIn: func(string) (proxyauth.Credentials, bool) { return cred, true }})
			ex, err := p.Exchange(t.Context(), host.Request{ID: "t", Method: "GET", URL: url, Via: host.Via{Proxy: "http://proxy.fabrikam.example:8080"}})
			if err != nil {
				t.Fatal(err)
			}
			if b := ex.Broken(); b == nil || b.Fault != host.FaultSignIn {
				t.Fatalf("told as %s", b.Tell())
			}
			out, err := json.Marshal(ex)
			if err != nil {
				t.Fatal(err)
			}
			all := string(out) + fmt.Sprintf("%+v %#v %s %s", ex, ex, ex.Body, ex.Broken().Tell())
			quoted, _ := json.Marshal(password)
			for _, secret := range []string{
				password, string(quoted[1 : len(quoted)-1]), fmt.Sprintf("%q", password), "Tr0ub4dor",
				base64.StdEncoding.EncodeToString([]byte(cred.Login() + ":" + password)),
			} {
				if i := strings.Index(all, secret); i >= 0 {
					t.Errorf("%s: %q is shown: %q", url, secret, all[max(0, i-60):min(len(all), i+60)])
				}
			}
		})
	}
}

// chain makes a server's certificate and n more behind it, each as large as asked.
func chain(t *testing.T, n, size int) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var out tls.Certificate
	out.PrivateKey = key
	for i := range n {
		c := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: fmt.Sprintf("Link %d", i)},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"www.fabrikam.example"},
		}
		if size > 0 {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 311, 99}, Value: bytes.Repeat([]byte{4}, size)}}
		}
		der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		out.Certificate = append(out.Certificate, der)
	}
	return out
}

// TestHostileTLS: handshakes that stall, and certificates beyond any measure.
func TestHostileTLS(t *testing.T) {
	server := func(cert tls.Certificate, change func(*tls.Config)) stage {
		return func(c net.Conn) {
			cfg := &tls.Config{Certificates: []tls.Certificate{cert}}
			if change != nil {
				change(cfg)
			}
			s := tls.Server(c, cfg)
			if s.Handshake() == nil {
				says(okHead + "Content-Length: 0\r\n\r\n")(s)
			}
		}
	}
	silent := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	bytesThenSilence := func(b string) stage {
		return func(c net.Conn) {
			go func() { _, _ = io.WriteString(c, b) }()
			silent(c)
		}
	}
	now := time.Now() // the simulated time is another one
	for name, tt := range map[string]struct {
		stage stage
		fault host.Fault
	}{
		"says nothing":             {silent, host.FaultTimeout},
		"half a record":            {bytesThenSilence("\x16\x03\x03\x40\x00\x02"), host.FaultTimeout},
		"an alert":                 {bytesThenSilence("\x15\x03\x03\x00\x02\x02\x70"), host.FaultAlert},
		"alerts nothing in common": {bytesThenSilence("\x15\x03\x03\x00\x02\x02\x28"), host.FaultVersion},
		"HTTP":                     {bytesThenSilence("HTTP/1.1 400 Bad Request\r\n\r\n"), host.FaultNotTLS},
		"garbage in a record":      {bytesThenSilence("\x16\x03\x03\x00\x08\xff\xff\xff\xff\xff\xff\xff\xff"), host.FaultNotTLS},
		"a certificate of 1 MB":    {server(chain(t, 1, 1<<20), nil), host.FaultNotTLS},
		"100 certificates":         {server(chain(t, 100, 0), nil), host.FaultUntrusted},
		"old TLS":                  {server(chain(t, 1, 0), func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), host.FaultVersion},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				p := NewProber(Prober{Net: tt.stage, Roots: x509.NewCertPool(), Now: func() time.Time { return now }})
				ex, err := p.Exchange(t.Context(), host.Request{ID: "t", Method: "GET", URL: "https://www.fabrikam.example/"})
				if err != nil {
					t.Fatal(err)
				}
				if b := ex.Broken(); b == nil || b.Kind != host.HopTLS || b.Fault != tt.fault {
					t.Errorf("told as %s, want %s", b.Tell(), tt.fault)
				}
				if took := time.Since(begin); took > connectTime {
					t.Errorf("it took %s", took)
				}
				if h := ex.Broken(); h != nil && h.TLS != nil && len(h.TLS.Chain) > 10 {
					t.Errorf("%d certificates are kept", len(h.TLS.Chain))
				}
			})
		})
	}
}
