package route

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"updoc/internal/host"
	"updoc/internal/lab"
)

// TestProberTLS: what can be wrong with a certificate or a handshake, and with the
// machine that looks at it; pinned requests accept Microsoft's own alone.
func TestProberTLS(t *testing.T) {
	const microsoft, public = "https://slscr.update.microsoft.com/", "https://www.example.com/"
	bad := func(fault string) lab.WorldSpec {
		return lab.WorldSpec{Certificates: []lab.Certificate{{Host: "*", Fault: fault}}}
	}
	for name, tt := range map[string]struct {
		spec   lab.WorldSpec
		url    string
		pinned bool
		maxTLS uint16
		kind   host.HopKind // "" is tls
		fault  host.Fault
		seen   string
	}{
		"sound, pinned":                  {url: microsoft, pinned: true},
		"sound, not pinned":              {url: public},
		"not Microsoft's, pinned":        {url: public, pinned: true, fault: host.FaultIssuer},
		"over":                           {spec: bad(lab.CertExpired), url: public, fault: host.FaultExpired},
		"over, pinned":                   {spec: bad(lab.CertExpired), url: microsoft, pinned: true, fault: host.FaultExpired},
		"to come":                        {spec: bad(lab.CertNotYet), url: public, fault: host.FaultNotYet},
		"the clock is years ahead":       {spec: lab.WorldSpec{Machine: lab.Place{Clock: lab.Duration(20 * 365 * 24 * time.Hour)}}, url: public, fault: host.FaultExpired},
		"the clock is years behind":      {spec: lab.WorldSpec{Machine: lab.Place{Clock: lab.Duration(-20 * 365 * 24 * time.Hour)}}, url: microsoft, pinned: true, fault: host.FaultNotYet},
		"another name":                   {spec: bad(lab.CertName), url: public, fault: host.FaultCertName, seen: "issued for"},
		"nobody's":                       {spec: bad(lab.CertUnknown), url: public, fault: host.FaultUntrusted, seen: "issued by"},
		"its own":                        {spec: bad(lab.CertSelf), url: public, fault: host.FaultUntrusted},
		"its own, pinned":                {spec: bad(lab.CertSelf), url: microsoft, pinned: true, fault: host.FaultIssuer},
		"the company's":                  {spec: bad(lab.CertCompany), url: public},
		"the company's, pinned":          {spec: bad(lab.CertCompany), url: microsoft, pinned: true, fault: host.FaultIssuer, seen: "issued by"},
		"an old server":                  {spec: bad(lab.CertSHA1), url: public, fault: host.FaultVersion, seen: "TLS 1.0"},
		"an alert":                       {spec: bad(lab.CertAlert), url: public, fault: host.FaultVersion},
		"no TLS":                         {spec: bad(lab.CertPlain), url: public, fault: host.FaultNotTLS},
		"a machine without TLS 1.2":      {url: public, maxTLS: tls.VersionTLS11, fault: host.FaultVersion},
		"a machine without TLS 1.3":      {url: public, maxTLS: tls.VersionTLS12},
		"wants a certificate of clients": {spec: bad(lab.CertClient), url: public, maxTLS: tls.VersionTLS12, fault: host.FaultAlert},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, err := lab.Open(tt.spec)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			p := NewProber(Prober{Net: w, Roots: w.Trusted(), Microsoft: w.Roots(), Now: w.MachineNow, MaxTLS: tt.maxTLS})
			ex, err := p.Exchange(t.Context(), host.Request{ID: "t", Method: "GET", URL: tt.url, Pinned: tt.pinned})
			if err != nil {
				t.Fatal(err)
			}
			b := ex.Broken()
			kind := tt.kind
			if kind == "" {
				kind = host.HopTLS
			}
			switch {
			case tt.fault == "" && b != nil:
				t.Errorf("told as %s", b.Tell())
			case tt.fault != "" && (b == nil || b.Kind != kind || b.Fault != tt.fault || !strings.Contains(b.Seen, tt.seen)):
				t.Errorf("told as %s, want %s/%s %q", b.Tell(), kind, tt.fault, tt.seen)
			}
			for _, h := range ex.Hops {
				if h.Kind == host.HopTLS && h.TLS != nil && (len(h.TLS.Chain) == 0 || h.TLS.Version == "" || h.TLS.Trusted != (h.Fault == "" || h.Fault == host.FaultAlert)) {
					t.Errorf("recorded of the handshake: %+v", h.TLS)
				}
			}
		})
	}
}

// TestProberClientCertificate: TLS 1.3 tells a client that it lacks a certificate only
// after its handshake, where the answer is due.
func TestProberClientCertificate(t *testing.T) {
	cert := chain(t, 1, 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_ = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13}).Handshake()
		_, _ = io.Copy(io.Discard, c)
	}()
	trust := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	trust.AddCert(leaf)
	ex, err := NewProber(Prober{Net: to(l.Addr().String()), Roots: trust}).Exchange(t.Context(), host.Request{ID: "t", Method: "GET", URL: "https://www.fabrikam.example/"})
	if err != nil {
		t.Fatal(err)
	}
	if b := ex.Broken(); b == nil || b.Kind != host.HopHTTP || b.Fault != host.FaultAlert {
		t.Errorf("told as %s", b.Tell())
	}
	if p := Predict(Agent, &ex); p.Code != 0x80072F0C {
		t.Errorf("predicted is %v", p.Code)
	}
}

// to is a network in which everything is at one real address.
type to string

func (to) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.AddrFrom4([4]byte{203, 0, 113, 1})}, nil
}

func (a to) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	return OS{}.DialContext(ctx, network, string(a))
}

// TestProberTrust: roots that are given beside others.
func TestProberTrust(t *testing.T) {
	w, _ := world(t, lab.WorldSpec{})
	nobody := w.Roots() // Microsoft's sign for no other site
	for _, trust := range []bool{false, true} {
		p := Prober{Net: w, Roots: nobody, Now: w.MachineNow}
		if trust {
			p.Trust = w.Trusted()
		}
		ex, err := NewProber(p).Exchange(t.Context(), host.Request{ID: "t", Method: "GET", URL: "https://www.example.com/"})
		if err != nil {
			t.Fatal(err)
		}
		if (ex.Broken() == nil) != trust {
			t.Errorf("with the root %t: %s", trust, ex.Broken().Tell())
		}
	}
}

// TestProberNames: what a resolver and a hosts file can say.
func TestProberNames(t *testing.T) {
	none := func(string) ([]netip.Addr, string) { return nil, "" }
	sink := func(string) ([]netip.Addr, string) { return []netip.Addr{netip.IPv4Unspecified()}, "hosts:12" }
	for name, tt := range map[string]struct {
		lookup lab.Lookup
		hosts  func(string) ([]netip.Addr, string)
		url    string
		fault  host.Fault
	}{
		"known":                {url: "http://www.example.com/"},
		"unknown":              {lookup: lab.Lookup{Fault: lab.NameUnknown}, url: "http://www.example.com/", fault: host.FaultNoName},
		"without an address":   {lookup: lab.Lookup{Fault: lab.NameEmpty}, url: "http://www.example.com/", fault: host.FaultNoAddress},
		"the resolver fails":   {lookup: lab.Lookup{Fault: lab.NameFailed}, url: "http://www.example.com/", fault: host.FaultNoResolver},
		"nobody answers":       {lookup: lab.Lookup{Fault: lab.NameSilent}, url: "http://www.example.com/", fault: host.FaultNoResolver},
		"sunk":                 {lookup: lab.Lookup{Fault: lab.NameSunk}, url: "http://slscr.update.microsoft.com/", fault: host.FaultSunk},
		"sunk by a hosts file": {hosts: sink, url: "http://slscr.update.microsoft.com/", fault: host.FaultSunk},
		"an empty hosts file":  {hosts: none, url: "http://www.example.com/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := lab.WorldSpec{}
			if tt.lookup.Fault != "" {
				spec.Lookups = []lab.Lookup{tt.lookup}
			}
			w, err := lab.Open(spec)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			begin := time.Now()
			ex, err := NewProber(Prober{Net: w, Hosts: tt.hosts}).Exchange(t.Context(), host.Request{ID: "t", Method: "GET", URL: tt.url})
			if err != nil {
				t.Fatal(err)
			}
			h := ex.Hops[0]
			if h.Kind != host.HopDNS || h.Fault != tt.fault {
				t.Errorf("told as %s, want %s", h.Tell(), tt.fault)
			}
			if tt.fault == host.FaultSunk && tt.hosts != nil && (h.Resolver != "hosts file" || h.Seen != "hosts:12") {
				t.Errorf("the line is not told: %+v", h)
			}
			if took := time.Since(begin); took > connectTime+3*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// TestProberRefuses: what is no request, and what no proxy of WinHTTP is.
func TestProberRefuses(t *testing.T) {
	p := NewProber(Prober{Net: says()})
	for _, url := range []string{"", "ftp://a/", "http://", "http://anna:hunter2@%zz/", "::", "http://a b/"} {
		_, err := p.Exchange(t.Context(), host.Request{ID: "t", Method: "GET", URL: url})
		if !errors.Is(err, errURL) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
	for _, proxy := range []string{"socks5://proxy.example:1080", "https://proxy.example", "http://", "http://anna:hunter2@%zz"} {
		ex, err := p.Exchange(t.Context(), host.Request{ID: "t", Method: "GET", URL: "http://a.example/", Via: host.Via{Proxy: proxy}})
		if err != nil || ex.Broken() == nil || ex.Broken().Fault != host.FaultNoProxy || strings.Contains(fmt.Sprint(ex.Hops), "hunter2") {
			t.Errorf("%q: %v, %s", proxy, err, ex.Broken().Tell())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Exchange(ctx, host.Request{ID: "t", Method: "GET", URL: "http://a.example/"}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped before it began: %v", err)
	}
}

// recorder keeps what a server was sent.
type recorder struct{ heads chan string }

func (r recorder) stage(answer string) stage {
	return func(c net.Conn) {
		head := readRequest(bufio.NewReader(c))
		r.heads <- string(head)
		_, _ = io.WriteString(c, answer)
	}
}

// TestProberWire: a request on the wire has the fields that it was given, in their
// order and letters, and nothing that the caller in Windows would not send.
func TestProberWire(t *testing.T) {
	const answer = okHead + "Content-Length: 0\r\n\r\n"
	for _, tt := range []struct {
		req  host.Request
		want string
	}{
		{
			host.Request{ID: "t", Method: "GET", URL: "http://a.example/x?y=%20z", Header: []host.Field{{Name: "cOnnection", Value: "Keep-Alive"}, {Name: "User-Agent", Value: "W"}}},
			"GET /x?y=%20z HTTP/1.1\r\nHost: a.example\r\ncOnnection: Keep-Alive\r\nUser-Agent: W\r\n\r\n",
		},
		{
			host.Request{ID: "t", Method: "HEAD", URL: "http://A.example:8530", Via: host.Via{Proxy: "proxy.example"}},
			"HEAD http://A.example:8530 HTTP/1.1\r\nHost: A.example:8530\r\n\r\n",
		},
		{
			host.Request{ID: "t", Method: "POST", URL: "https://anna:hunter2@a.example/", Body: []byte("x"), Header: []host.Field{{Name: "User-Agent", Value: "W\r\nEvil: 1"}}, Via: host.Via{Proxy: "http://proxy.example:8080"}},
			"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: WEvil: 1\r\nProxy-Connection: Keep-Alive\r\nPragma: no-cache\r\n\r\n",
		},
	} {
		r := recorder{make(chan string, 1)}
		if _, err := NewProber(Prober{Net: r.stage(answer)}).Exchange(t.Context(), tt.req); err != nil {
			t.Fatal(err)
		}
		if got := <-r.heads; got != tt.want {
			t.Errorf("sent:\n%q, want\n%q", got, tt.want)
		}
	}
}

// TestStrangeWSUS: servers that differ from Microsoft's in what the standards leave
// open, or are merely sloppy, are update services all the same.
func TestStrangeWSUS(t *testing.T) {
	w, prober := world(t, lab.WorldSpec{WSUS: []lab.WSUS{{Name: "wsus.fabrikam.example"}}})
	direct := Proxy{Known: true}
	s := Settings{Machine: direct, Internet: direct, User: direct, WSUS: "http://wsus.fabrikam.example:8530", UseWSUS: true}
	plan := s.Plan(PlanOptions{Only: []string{"wsus.config"}, Now: w.MachineNow()})
	sound, err := prober.Exchange(t.Context(), plan[0].Request)
	if err != nil || sound.Broken() != nil {
		t.Fatal(err, sound.Broken().Tell())
	}
	body := string(sound.Body)
	if !strings.Contains(body, "GetConfigResult") {
		t.Fatalf("no answer of GetConfig: %.200s", body)
	}
	plain := func(head, body string) string {
		return head + "Content-Type: text/xml; charset=utf-8\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	prefix := body[strings.IndexByte(body, '<')+1 : strings.Index(body, ":Envelope")]
	if i := strings.LastIndexByte(prefix, '<'); i >= 0 {
		prefix = prefix[i+1:]
	}
	other := strings.NewReplacer("<"+prefix+":", "<SOAP-ENV:", "</"+prefix+":", "</SOAP-ENV:", "xmlns:"+prefix+"=", "xmlns:SOAP-ENV=").Replace(body)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = io.WriteString(z, body)
	z.Close()
	half := len(body) / 2
	for name, answer := range map[string]string{
		"as it is":         plain(okHead, body),
		"another prefix":   plain(okHead, other),
		"a declaration":    plain(okHead, "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<!-- hello -->\r\n"+body[strings.Index(body, "<"+prefix+":Envelope"):]),
		"HTTP/1.0":         plain("HTTP/1.0 200 OK\r\n", body),
		"no length":        "HTTP/1.0 200 OK\r\ncontent-type: text/xml\r\n\r\n" + body,
		"chunks":           okHead + "content-type: text/xml\r\ntransfer-encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n%X;ext=1\r\n%s\r\n0\r\nTrailer: x\r\n\r\n", half, body[:half], len(body)-half, body[half:]),
		"small letters":    strings.ToLower(okHead[:0]) + okHead + "content-type: application/soap+xml\r\ncontent-length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body,
		"many fields":      plain(okHead+"Server: nginx\r\nX-Powered-By: Rust\r\nStrict-Transport-Security: max-age=1\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nDate: yesterday\r\n", body),
		"no type":          okHead + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body,
		"interim answer":   "HTTP/1.1 100 Continue\r\n\r\n" + plain(okHead, body),
		"no reason phrase": plain("HTTP/1.1 200\r\n", body),
	} {
		t.Run(name, func(t *testing.T) {
			walker := Walker{Exchanger: NewProber(Prober{Net: patient(answer)}), Now: w.MachineNow}
			walk := walker.Walk(t.Context(), s, plan)
			if b := walk.Trips[0].Deciding().Exchange.Broken(); b != nil {
				t.Errorf("told as %s", b.Tell())
			}
		})
	}
	// gzip that nobody asked for: no client has to read it, and it is said what came.
	walker := Walker{Exchanger: NewProber(Prober{Net: patient(okHead + "Content-Encoding: gzip\r\nContent-Length: " + strconv.Itoa(packed.Len()) + "\r\n\r\n" + packed.String())}), Now: w.MachineNow}
	if b := walker.Walk(t.Context(), s, plan).Trips[0].Deciding().Exchange.Broken(); b != nil && !strings.Contains(b.Seen, "gzip") {
		t.Errorf("gzip unasked is told as %s", b.Tell())
	}
}

// patient reads a whole request before it answers.
func patient(answer string) stage {
	return func(c net.Conn) {
		in := bufio.NewReader(c)
		head := string(readRequest(in))
		for line := range strings.Lines(strings.ToLower(head)) {
			if v, ok := strings.CutPrefix(line, "content-length:"); ok {
				n, _ := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
				_, _ = io.CopyN(io.Discard, in, n)
			}
		}
		_, _ = io.WriteString(c, answer)
	}
}

// TestSteady: probes that are lost, late or fast.
func TestSteady(t *testing.T) {
	tcp := func(took time.Duration, fault host.Fault) host.Exchange {
		return host.Exchange{Hops: []host.Hop{{Kind: host.HopDNS}, {Kind: host.HopTCP, Took: took, Fault: fault}}}
	}
	const ms = time.Millisecond
	for name, tt := range map[string]struct {
		answers []host.Exchange
		want    Steady
	}{
		"steady":       {[]host.Exchange{tcp(10*ms, ""), tcp(12*ms, ""), tcp(11*ms, "")}, Steady{Sent: 3, Fastest: 10 * ms, Mean: 11 * ms}},
		"one lost":     {[]host.Exchange{tcp(10*ms, ""), tcp(5*time.Second, host.FaultTimeout), tcp(10*ms, "")}, Steady{Sent: 3, Lost: 1, Fastest: 10 * ms, Mean: 10 * ms}},
		"one late":     {[]host.Exchange{tcp(10*ms, ""), tcp(1010*ms, "")}, Steady{Sent: 2, Lost: 1, Fastest: 10 * ms, Mean: 510 * ms}},
		"slow is fine": {[]host.Exchange{tcp(800*ms, ""), tcp(900*ms, "")}, Steady{Sent: 2, Fastest: 800 * ms, Mean: 850 * ms}},
		"down":         {[]host.Exchange{tcp(5*time.Second, host.FaultTimeout), tcp(5*time.Second, host.FaultTimeout)}, Steady{Sent: 2, Lost: 2}},
		"refused":      {[]host.Exchange{tcp(ms, host.FaultRefused)}, Steady{Sent: 1}}, // that does not come and go
	} {
		t.Run(name, func(t *testing.T) {
			turns := make(chan host.Exchange, len(tt.answers))
			for _, a := range tt.answers {
				turns <- a
			}
			w := Walker{Exchanger: exchanger(func(context.Context, host.Request) (host.Exchange, error) { return <-turns, nil }), Repeat: len(tt.answers)}
			got := w.steady(t.Context(), host.Request{})
			got.Jitter = 0 // depends on the order in which they ended
			if got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

type exchanger func(context.Context, host.Request) (host.Exchange, error)

func (f exchanger) Exchange(ctx context.Context, r host.Request) (host.Exchange, error) {
	return f(ctx, r)
}

// TestReadClock: the offset on which most agree.
func TestReadClock(t *testing.T) {
	const s = time.Second
	src := func(offset, uncertainty time.Duration) ClockSource {
		return ClockSource{Offset: offset, Uncertainty: uncertainty}
	}
	dead := ClockSource{Fault: string(host.FaultTimeout)}
	for name, tt := range map[string]struct {
		sources []ClockSource
		agree   int
		offset  time.Duration
	}{
		"two agree":                   {[]ClockSource{src(10*s, s), src(11*s, s)}, 2, 10500 * time.Millisecond},
		"one alone":                   {[]ClockSource{src(10*s, s)}, 0, 0},
		"two contradict":              {[]ClockSource{src(10*s, s), src(100*s, s)}, 0, 0},
		"a liar among three":          {[]ClockSource{src(0, s), src(7200*s, s), src(0, s)}, 2, 0},
		"a tie of four":               {[]ClockSource{src(0, s), src(0, s), src(100*s, s), src(100*s, s)}, 0, 0},
		"the dead do not count":       {[]ClockSource{dead, dead, dead, src(-5*s, s), src(-5*s, s)}, 2, -5 * s},
		"the wide contains the exact": {[]ClockSource{src(0, 60*s), src(5*s, s), src(5*s, s)}, 3, 5 * s},
		"they touch":                  {[]ClockSource{src(0, s), src(2*s, s)}, 2, s},
	} {
		t.Run(name, func(t *testing.T) {
			c := readClock(tt.sources)
			if c.Agree != tt.agree || (c.Offset-tt.offset).Abs() > time.Millisecond {
				t.Errorf("%+v, want %d that agree on %s", c, tt.agree, tt.offset)
			}
		})
	}
	if c := readClock(nil); c != nil {
		t.Errorf("of no sources: %+v", c)
	}
}

// TestObserve: what several trips show together.
func TestObserve(t *testing.T) {
	trip := func(ex host.Exchange) Trip {
		return Trip{Attempts: []Attempt{{Walked: true, Exchange: ex}}}
	}
	name := func(n, addr string) host.Exchange {
		return host.Exchange{Hops: []host.Hop{{Kind: host.HopDNS, Target: n, Addresses: []netip.Addr{netip.MustParseAddr(addr)}}}}
	}
	issuer := func(target, by string) host.Exchange {
		return host.Exchange{Hops: []host.Hop{{Kind: host.HopTLS, Target: target, Fault: host.FaultIssuer, TLS: &host.TLS{Chain: []host.Certificate{{Issuer: by}}}}}}
	}
	small := host.Exchange{Request: host.Request{URL: "http://a.example/"}, Status: 200, Length: 22, Hops: []host.Hop{{Kind: host.HopHTTP}}}
	stopped := host.Exchange{Request: host.Request{URL: "http://b.example/"}, Status: 206, Length: 900, Hops: []host.Hop{{Kind: host.HopHTTP, Fault: host.FaultTimeout, Silent: 12 * time.Second}}}
	for title, tt := range map[string]struct {
		exs  []host.Exchange
		want []string
	}{
		"nothing":                         {nil, nil},
		"a private address":               {[]host.Exchange{name("slscr.update.microsoft.com", "10.1.2.3")}, []string{"resolver-lies"}},
		"of a name of nobody's":           {[]host.Exchange{name("wsus.fabrikam.example", "10.1.2.3")}, nil},
		"one address for everybody":       {[]host.Exchange{name("slscr.update.microsoft.com", "203.0.113.9"), name("download.windowsupdate.com", "203.0.113.9"), name("www.msftconnecttest.com", "203.0.113.9")}, []string{"resolver-lies"}},
		"one address for two":             {[]host.Exchange{name("slscr.update.microsoft.com", "203.0.113.9"), name("download.windowsupdate.com", "203.0.113.9")}, nil},
		"an interceptor":                  {[]host.Exchange{issuer("a.example", "Fabrikam CA"), issuer("b.example", "Fabrikam CA"), issuer("c.example", "Other CA")}, []string{"intercepted", "intercepted"}},
		"small comes, large stops":        {[]host.Exchange{small, stopped}, []string{"mtu"}},
		"large stops, nothing small came": {[]host.Exchange{stopped}, nil},
	} {
		t.Run(title, func(t *testing.T) {
			var w Walk
			for _, ex := range tt.exs {
				w.Trips = append(w.Trips, trip(ex))
			}
			var got []string
			for _, o := range observe(&w) {
				got = append(got, o.ID)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
	before := []host.Field{{Name: "ETag", Value: "1"}, {Name: "Date", Value: "a"}, {Name: "accept-ranges", Value: "bytes"}}
	after := []host.Field{{Name: "etag", Value: "1"}, {Name: "Date", Value: "b"}, {Name: "X-Filter", Value: "on"}}
	if got := DiffHeader(before, after); !slices.Equal(got, []string{"-accept-ranges: bytes", "+X-Filter: on"}) {
		t.Errorf("differences: %q", got)
	}
}
