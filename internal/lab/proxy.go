package lab

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
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Proxy is a proxy that clients are told to use.
type Proxy struct {
	Name      string `json:"name"`
	Addresses []Addr `json:"addresses,omitempty"`
	Port      int    `json:"port,omitempty"`  // 8080 if zero
	SOCKS     bool   `json:"socks,omitempty"` // it speaks SOCKS 5 instead of HTTP
	Agent     string `json:"agent,omitempty"` // what it calls itself in Via and Server: "squid/5.7"

	Auth         []string          `json:"auth,omitempty"`         // schemes that it offers, in order: Negotiate, NTLM, Digest, Basic; none: anybody may
	Realm        string            `json:"realm,omitempty"`        //
	Users        map[string]string `json:"users,omitempty"`        // "FABRIKAM\\jo" or "jo" to password
	KerberosOnly bool              `json:"kerberosOnly,omitempty"` // Negotiate with anything but Kerberos is refused
	Digest       string            `json:"digest,omitempty"`       // its algorithm: MD5 (if empty), MD5-sess, SHA-256, SHA-256-sess
	NonceLife    Duration          `json:"nonceLife,omitzero"`     // of Digest; then the challenge says that it is stale
	Closes       bool              `json:"closes,omitempty"`       // it ends the connection with each 407, which no NTLM survives
	Echo         bool              `json:"echo,omitempty"`         // its error pages repeat what the client sent to sign in

	Parent string `json:"parent,omitempty"` // host and port of the proxy that it sends everything to; that one's 407 is passed on

	Rules  []Rule `json:"rules,omitempty"`
	Opens  string `json:"opens,omitempty"` // it opens TLS in tunnels; its authority's name
	Mangle Mangle `json:"mangle,omitzero"`
}

// Rule is what a proxy does with some requests. The first that fits decides; where
// none does, the proxy asks for a sign-in if it has schemes, and lets pass.
type Rule struct {
	To     string   `json:"to,omitempty"`     // host pattern; "" is everything
	Method string   `json:"method,omitempty"` // CONNECT, POST, ...; "plain" is everything but CONNECT; "" is all
	Do     string   `json:"do"`               // RuleExempt, ...
	Times  int      `json:"times,omitempty"`  // only the first so many requests; 0: all
	Delay  Duration `json:"delay,omitzero"`
}

// What a rule does.
const (
	RuleExempt    = "exempt"    // nobody has to sign in
	RuleChallenge = "challenge" // one has to
	RuleDeny      = "deny"      // 403 and the proxy's own page
	RulePage      = "page"      // 200 and a block page
	RuleReset     = "reset"     // the connection is torn down
	RuleDrop      = "drop"      // no answer
	Rule502       = "502"       // the server could not be reached
	Rule503       = "503"       // too busy
	Rule504       = "504"       // the server did not answer in time
)

func (r *Rule) check() error {
	if !slices.Contains([]string{RuleExempt, RuleChallenge, RuleDeny, RulePage, RuleReset, RuleDrop, Rule502, Rule503, Rule504}, r.Do) {
		return fmt.Errorf("rule for %q: unknown %q", r.To, r.Do)
	}
	return nil
}

// proxy is a running one.
type proxy struct {
	w     *World
	spec  *Proxy
	party *party
	via   *forwarder
	auth  *gate
	opens *authority
}

func (w *World) buildProxies() error {
	for i := range w.spec.Proxies {
		spec := &w.spec.Proxies[i]
		addrs, err := w.settle(spec.Name, spec.Addresses)
		if err != nil {
			return err
		}
		for k := range spec.Rules {
			if err := spec.Rules[k].check(); err != nil {
				return fmt.Errorf("proxy %s: %w", spec.Name, err)
			}
		}
		p := &proxy{w: w, spec: spec, party: &party{name: spec.Name, addrs: addrs}}
		if addrs[0].IsLoopback() { // a program on the machine itself goes out as the machine
			p.party.addrs = w.machine.addrs
		} else { // a proxy has both families towards the outside
			p.party.addrs = append(slices.Clone(addrs), netip.AddrFrom4([4]byte{192, 0, 2, 3}), netip.MustParseAddr("2001:db8:2::3"))
		}
		if p.auth, err = newGate(w, spec); err != nil {
			return fmt.Errorf("proxy %s: %w", spec.Name, err)
		}
		if spec.Opens != "" {
			if p.opens, err = w.pki.intercepting(spec.Opens); err != nil {
				return err
			}
		}
		p.via = w.newForwarder(p.party, spec.Mangle, p.agent())
		if p.via.parent = spec.Parent; spec.Parent != "" {
			p.via.transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: spec.Parent})
		}
		w.onClose(p.via.transport.CloseIdleConnections)
		s := site{names: []string{spec.Name}, http: p}
		if spec.SOCKS {
			s.http, s.raw = nil, p.serveSOCKS
		}
		if err := w.addSite(uint16(or(spec.Port, 8080)), s); err != nil {
			return err
		}
	}
	return nil
}

func (p *proxy) agent() string {
	if p.spec.Agent != "" {
		return p.spec.Agent
	}
	return "squid/5.7"
}

// target is the host and port that a request wants to reach.
func target(r *http.Request) (host string, port uint16) {
	hostport, otherwise := r.Host, uint16(80)
	if r.Method == http.MethodConnect {
		hostport, otherwise = r.RequestURI, 443
	} else if r.URL.Host != "" {
		hostport = r.URL.Host
		if r.URL.Scheme == "https" {
			otherwise = 443
		}
	}
	if h, p, err := net.SplitHostPort(hostport); err == nil {
		if n, err := strconv.ParseUint(p, 10, 16); err == nil {
			return h, uint16(n)
		}
	}
	return strings.Trim(hostport, "[]"), otherwise
}

// rule finds what the proxy does with a request; nil is what it does by itself.
func (p *proxy) rule(r *http.Request) *Rule {
	host, port := target(r)
	for i := range p.spec.Rules {
		rule := &p.spec.Rules[i]
		fit := rule.Method == "" || rule.Method == r.Method || rule.Method == "plain" && r.Method != http.MethodConnect
		if fit && fits(rule.To, host, port) && p.w.strike(&rule.Times) {
			return rule
		}
	}
	return nil
}

// ServeHTTP is the proxy: its rules, its sign-in, then the way on.
func (p *proxy) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect && !r.URL.IsAbs() {
		p.page(rw, r, http.StatusBadRequest, "ERR_INVALID_URL")
		return
	}
	do := ""
	if rule := p.rule(r); rule != nil {
		do = rule.Do
		if p.w.sleep(r.Context(), time.Duration(rule.Delay)) != nil {
			panic(http.ErrAbortHandler)
		}
	}
	if do != RuleExempt && (do == RuleChallenge || len(p.spec.Auth) > 0) && do != RuleReset && do != RuleDrop {
		user, challenges := p.auth.admit(r)
		if challenges != nil {
			rw.Header()["Proxy-Authenticate"] = challenges
			if p.spec.Closes {
				rw.Header().Set("Connection", "close")
			}
			p.page(rw, r, http.StatusProxyAuthRequired, "ERR_CACHE_ACCESS_DENIED")
			return
		}
		seenOf(rw).User = user
	}
	switch do {
	case RuleDeny:
		p.page(rw, r, http.StatusForbidden, "ERR_ACCESS_DENIED")
	case RulePage:
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(rw, blockPage)
	case Rule502:
		p.page(rw, r, http.StatusBadGateway, "ERR_CONNECT_FAIL 111")
	case Rule503:
		p.page(rw, r, http.StatusServiceUnavailable, "ERR_CONNECT_FAIL 110")
	case Rule504:
		p.page(rw, r, http.StatusGatewayTimeout, "ERR_READ_TIMEOUT 0")
	case RuleReset:
		visitOf(r).conn.Reset()
		panic(http.ErrAbortHandler)
	case RuleDrop:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	default:
		if r.Method == http.MethodConnect {
			p.tunnel(rw, r)
			return
		}
		p.via.forward(rw, r, r.URL, p.page)
	}
}

// page answers for the proxy itself.
func (p *proxy) page(rw http.ResponseWriter, r *http.Request, status int, code string) {
	h := rw.Header()
	h.Set("Server", p.agent())
	h.Set("Via", "1.1 "+p.spec.Name+" ("+p.agent()+")")
	h.Set("X-Squid-Error", code)
	h.Set("Content-Type", "text/html;charset=utf-8")
	h.Set("Cache-Control", "no-store")
	echo := ""
	if p.spec.Echo {
		echo = "<pre>" + esc(strings.Join(r.Header["Proxy-Authorization"], "\n")) + "</pre>"
	}
	body := fmt.Sprintf("<html><head><title>ERROR: %d</title></head><body><h1>%s</h1><p>%s</p>%s</body></html>", status, http.StatusText(status), code, echo)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	rw.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(rw, body)
	}
}

// gatewayStatus is what a proxy answers when it cannot reach a server.
func gatewayStatus(err error) (int, string) {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return http.StatusServiceUnavailable, "ERR_DNS_FAIL 0"
	case errors.As(err, &timeout) && timeout.Timeout():
		return http.StatusGatewayTimeout, "ERR_CONNECT_FAIL 110"
	}
	return http.StatusBadGateway, "ERR_CONNECT_FAIL 111"
}

// reachTime is how long a proxy tries to reach a server.
const reachTime = 20 * time.Second

// tunnel answers CONNECT.
func (p *proxy) tunnel(rw http.ResponseWriter, r *http.Request) {
	host, port := target(r)
	v := visitOf(r)
	if p.opens != nil {
		p.open(rw, r, v, host, port)
		return
	}
	to := p.spec.Parent
	if to == "" {
		to = net.JoinHostPort(host, strconv.Itoa(int(port)))
	}
	ctx, cancel := context.WithTimeout(r.Context(), reachTime)
	out, err := p.w.dial(ctx, p.party, "tcp", to)
	cancel()
	if err != nil {
		status, code := gatewayStatus(err)
		p.page(rw, r, status, code)
		return
	}
	defer out.Close()
	if p.spec.Parent != "" && !p.through(rw, r, out) {
		return
	}
	seenOf(rw).Status = http.StatusOK
	_ = takeOver(rw, r, func(c net.Conn) {
		if _, err := io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
			return
		}
		splice(c, out)
	})
}

// through asks the parent for the tunnel over a connection to it. A refusal is passed on,
// with both of them in its Via (RFC 9110 section 7.6.3).
func (p *proxy) through(rw http.ResponseWriter, r *http.Request, parent net.Conn) bool {
	stop := context.AfterFunc(r.Context(), func() { resetConn(parent) })
	defer stop()
	in := bufio.NewReader(parent)
	_, err := fmt.Fprintf(parent, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nVia: 1.1 %s (%s)\r\n\r\n", r.RequestURI, r.RequestURI, p.spec.Name, p.agent())
	if err != nil {
		p.page(rw, r, http.StatusBadGateway, "ERR_CONNECT_FAIL 104")
		return false
	}
	answer, err := http.ReadResponse(in, r)
	if err != nil {
		p.page(rw, r, http.StatusBadGateway, "ERR_READ_ERROR 104")
		return false
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 == 2 {
		return true // nothing comes behind it before the client has spoken
	}
	p.via.hand(rw, r, answer)
	return false
}

// open answers CONNECT, then plays the server inside with a certificate of its own.
func (p *proxy) open(rw http.ResponseWriter, r *http.Request, v *visit, host string, port uint16) {
	seenOf(rw).Status = http.StatusOK
	_ = takeOver(rw, r, func(c net.Conn) {
		if _, err := io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
			return
		}
		first, err := overhear(c)
		if err != nil {
			return
		}
		inner := &replay{Conn: c, first: first}
		if len(first) == 0 || first[0] != 0x16 {
			return
		}
		p.via.serveOpened(v, inner, p.opens, host, port, p.page)
	})
}

// splice carries bytes both ways until both sides have ended, and a reset as a reset.
func splice(a, b net.Conn) {
	var wg sync.WaitGroup
	copyTo := func(to, from net.Conn) {
		_, err := io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from})
		if err != nil {
			resetConn(to)
			resetConn(from)
			return
		}
		closeWrite(to)
	}
	wg.Go(func() { copyTo(a, b) })
	copyTo(b, a)
	wg.Wait()
}

// under finds the connection that others are wrapped around.
func under(c net.Conn) net.Conn {
	for {
		switch x := c.(type) {
		case *arrived:
			c = x.Conn
		case *replay:
			c = x.Conn
		case *overheard:
			return x.conn
		default:
			return c
		}
	}
}

func resetConn(c net.Conn) {
	switch x := under(c).(type) {
	case *conn:
		x.Reset()
	case *net.TCPConn:
		_ = x.SetLinger(0)
		_ = x.Close()
	default:
		_ = c.Close()
	}
}

func closeWrite(c net.Conn) {
	if x, ok := under(c).(interface{ CloseWrite() error }); ok {
		_ = x.CloseWrite()
		return
	}
	_ = c.Close()
}

// forwarder sends requests on, as a proxy or a box in the way does.
type forwarder struct {
	w         *World
	party     *party
	mangle    Mangle
	agent     string
	parent    string // where everything is sent, if not to its host
	transport *http.Transport
}

func (w *World) newForwarder(from *party, m Mangle, agent string) *forwarder {
	f := &forwarder{w: w, party: from, mangle: m, agent: agent}
	f.transport = &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, reachTime)
			defer cancel()
			return w.dial(ctx, from, network, addr)
		},
		TLSClientConfig:    &tls.Config{RootCAs: w.pki.trusted(nil), Time: w.Now, MinVersion: tls.VersionTLS12},
		DisableCompression: true,
		IdleConnTimeout:    30 * time.Second,
	}
	return f
}

// Fields that belong to one connection. RFC 9110 section 7.6.1.
var hopByHop = []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

func dropHops(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
}

// forward sends a request to where it wants to go and gives the answer back, as the
// mangling has it.
func (f *forwarder) forward(rw http.ResponseWriter, r *http.Request, to *url.URL, page func(http.ResponseWriter, *http.Request, int, string)) {
	if f.mangle.refuses(rw, r, page) {
		return
	}
	out := r.Clone(r.Context())
	u := *to
	out.URL, out.RequestURI, out.Close = &u, "", false
	dropHops(out.Header)
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header["User-Agent"] = nil // net/http would add its own
	}
	if r.ContentLength == 0 {
		out.Body = http.NoBody
	}
	if !f.mangle.Hidden {
		out.Header.Add("Via", "1.1 "+f.name()+" ("+f.agent+")")
		out.Header.Add("X-Forwarded-For", r.RemoteAddr)
	}
	f.mangle.request(out.Header)
	answer, err := f.transport.RoundTrip(out)
	if err != nil {
		status, code := gatewayStatus(err)
		page(rw, r, status, code)
		return
	}
	defer answer.Body.Close()
	f.hand(rw, r, answer)
}

// hand gives an answer to the client, as the mangling has it.
func (f *forwarder) hand(rw http.ResponseWriter, r *http.Request, answer *http.Response) {
	challenges := answer.Header["Proxy-Authenticate"]
	dropHops(answer.Header)
	if f.parent != "" && answer.StatusCode == http.StatusProxyAuthRequired {
		answer.Header["Proxy-Authenticate"] = challenges
	}
	h := rw.Header()
	for name, values := range answer.Header {
		h[name] = values
	}
	if !f.mangle.Hidden {
		h.Add("Via", "1.1 "+f.name()+" ("+f.agent+")")
		h.Set("Via", strings.Join(h["Via"], ", "))
		h.Set("X-Cache", "MISS from "+f.name())
	}
	f.mangle.answer(rw, r, answer)
}

func (f *forwarder) name() string {
	if f.party.name == "" {
		return "gateway"
	}
	return f.party.name
}

// serveOpened plays a TLS server on a connection whose client meant another, and sends
// on what it is asked for.
func (f *forwarder) serveOpened(v *visit, c net.Conn, a *authority, host string, port uint16, page func(http.ResponseWriter, *http.Request, int, string)) {
	var leafErr error
	cfg := &tls.Config{Time: f.w.Now, MinVersion: tls.VersionTLS12, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		name := host
		if h.ServerName != "" {
			name = h.ServerName
		}
		leaf, err := f.w.pki.leaf(a, []string{name}, "")
		leafErr = err
		return leaf, err
	}}
	server := tls.Server(c, cfg)
	_ = server.SetDeadline(time.Now().Add(reachTime))
	if err := server.HandshakeContext(f.w.ctx); err != nil || leafErr != nil {
		f.w.see(Seen{Kind: "request", From: v.from.name, Source: v.source, Server: v.server, Site: v.siteName(), Method: "TLS", Host: host, Fault: "the client ends the handshake"})
		c.Close()
		return
	}
	_ = server.SetDeadline(time.Time{})
	serveOn(f.w.ctx, server, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: rw, seen: Seen{
			Kind: "request", From: v.from.name, Source: v.source, Server: v.server, Site: v.siteName(), TLS: server.ConnectionState().ServerName,
			Method: r.Method, Host: r.Host, Target: r.RequestURI, Header: withoutSecrets(r.Header),
		}}
		r.Body = counted{r.Body, &rec.seen.Received}
		defer func() { f.w.see(rec.seen) }()
		to := *r.URL
		to.Scheme, to.Host = "https", net.JoinHostPort(host, strconv.Itoa(int(port)))
		if port == 443 {
			to.Host = host
		}
		f.forward(rec, r, &to, page)
	}))
}

// serveOn answers the requests of one connection, and returns when it has ended.
func serveOn(ctx context.Context, c net.Conn, h http.Handler) {
	done := make(chan struct{})
	l := &one{conn: c, done: done}
	server := &http.Server{
		Handler: h, ErrorLog: silent(), MaxHeaderBytes: 64 << 10, Protocols: new(http.Protocols),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed || s == http.StateHijacked {
				l.once.Do(func() { close(done) })
			}
		},
	}
	server.Protocols.SetHTTP1(true)
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	_ = server.Serve(l)
}

// one is a listener with one connection; it ends with it.
type one struct {
	conn net.Conn
	done chan struct{}
	once sync.Once
}

func (l *one) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.done
	return nil, net.ErrClosed
}
func (l *one) Close() error   { return nil }
func (l *one) Addr() net.Addr { return &net.TCPAddr{} }
