package route

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"updoc/internal/host"
	"updoc/internal/proxyauth"
)

// How long it may take. Windows waits longer (WinHTTP: 60 s to connect, 30 s to
// send, 30 s to receive; learn.microsoft.com: WinHttpSetTimeouts). A doctor does
// not: on a line that needs more than this, updates fail all the same.
const (
	// Until a connection is ready for the request, counted from when the request was
	// asked for: its name, its addresses, the proxy's tunnel and the handshake together.
	connectTime = 5 * time.Second
	// What each of these legs may take whatever the ones before it took: a leg is called
	// late for its own sake alone.
	leastTime  = 3 * time.Second
	answerTime = 10 * time.Second // until the head of the answer is there
	bodyTime   = 15 * time.Second // until the body is
)

// Bounds of what a peer may send.
const (
	maxBody  = 16 << 20
	keepBody = 64 << 10
)

// Bounds of what is open at once: every request has one connection for itself, and those
// that race several addresses share some more. With those that [Walker.families] asks for
// they are never more than 64.
const (
	maxExchanges = 32
	maxSpare     = 24
)

// Net is the network that a walk uses: the operating system's, or a lab's.
type Net interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Prober sends requests over Go's own network stack, one connection each, and
// records every hop. It implements [host.Exchanger]. Go's stack is not Schannel:
// on Windows what it sees of TLS and of firewalls that tell programs apart is an
// indication, and WinHTTP in the right account is the witness.
//
// The zero value uses the operating system's network, roots and clock.
type Prober struct {
	Net       Net
	Roots     *x509.CertPool                                      // trusted roots; nil: the system's
	Trust     *x509.CertPool                                      // further roots that are trusted; nil: none
	Microsoft *x509.CertPool                                      // the roots that pinned requests must lead to; nil: judged by the names of the issuers
	MaxTLS    uint16                                              // the newest TLS version that the sick machine speaks; 0: no limit
	Now       func() time.Time                                    // the clock that certificates are judged by; nil: time.Now
	SignIn    func(proxy string) (proxyauth.Credentials, bool)    // credentials for a proxy ("host:port"), if any were given
	Tokens    func(proxy string) proxyauth.Tokener                // Kerberos tickets for a proxy; nil: none
	Hosts     func(name string) (addrs []netip.Addr, line string) // the hosts file; nil: the system's resolver reads it unseen
	gate      chan struct{}                                       // one place for each exchange
	spare     chan struct{}                                       // and those for further connections
}

// NewProber returns a prober that holds a bounded number of connections.
func NewProber(p Prober) *Prober {
	p.gate, p.spare = make(chan struct{}, maxExchanges), make(chan struct{}, maxSpare)
	return &p
}

var errURL = errors.New("not an http or https address")

// Exchange implements [host.Exchanger].
func (p *Prober) Exchange(ctx context.Context, req host.Request) (host.Exchange, error) {
	return p.exchange(ctx, req, time.Now())
}

// exchange makes a request that was asked for at a time: that it waited for the processor
// since then makes no wait longer. That it waited for others to end is not counted.
func (p *Prober) exchange(ctx context.Context, req host.Request, asked time.Time) (host.Exchange, error) {
	u, err := url.Parse(req.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return host.Exchange{}, fmt.Errorf("request %s: %w", req.ID, errURL) // the address is not quoted: it may hold a password
	}
	u.User = nil
	if p.gate != nil {
		select {
		case p.gate <- struct{}{}:
		default:
			select {
			case p.gate <- struct{}{}:
				asked = time.Now()
			case <-ctx.Done():
				return host.Exchange{}, ctx.Err()
			}
		}
		defer func() { <-p.gate }()
	}
	r := &run{p: p, req: req, url: u, ready: asked.Add(connectTime)}
	r.ex.Request = req
	r.ex.Began = p.now()
	r.start = time.Now()
	defer r.close()
	r.walk(ctx)
	r.scrub()
	r.ex.Took = time.Since(r.start)
	if ctx.Err() != nil && r.ex.Broken() != nil { // it was stopped, so the fault is ours
		return host.Exchange{}, ctx.Err()
	}
	return r.ex, nil
}

// Lookup resolves a name as the prober does, for scripts that ask.
func (p *Prober) Lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	if p.Hosts != nil {
		if addrs, _ := p.Hosts(name); len(addrs) > 0 {
			return addrs, nil
		}
	}
	return p.net().LookupNetIP(ctx, "ip", name)
}

func (p *Prober) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

func (p *Prober) net() Net {
	if p.Net != nil {
		return p.Net
	}
	return OS{}
}

// OS is the operating system's network. The zero value uses its resolver and
// lets it choose the address to send from.
type OS struct {
	Source netip.Addr // the address to send from, on a machine with several
	DNS    string     // "host:port" of the name server to ask; "": the system's resolver
}

// DialContext implements [Net].
func (n OS) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	if n.Source.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: n.Source.AsSlice(), Zone: n.Source.Zone()}
		if strings.HasPrefix(network, "udp") {
			d.LocalAddr = &net.UDPAddr{IP: n.Source.AsSlice(), Zone: n.Source.Zone()}
		}
	}
	return d.DialContext(ctx, network, addr)
}

// LookupNetIP implements [Net].
func (n OS) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	if n.DNS == "" {
		return net.DefaultResolver.LookupNetIP(ctx, network, name)
	}
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return n.DialContext(ctx, network, n.DNS)
	}}
	return r.LookupNetIP(ctx, network, name)
}

// run is one exchange at work.
type run struct {
	p     *Prober
	req   host.Request
	url   *url.URL
	ex    host.Exchange
	start time.Time
	ready time.Time // when the connection must be ready
	conn  net.Conn
	in    *bufio.Reader

	secret proxyauth.Credentials // what was used to sign in at a proxy

	refused bool // the proxy refused it
}

func (r *run) close() {
	if r.conn != nil {
		r.conn.Close()
	}
}

// begin starts a hop; end finishes it. The returned pointer is good until the next begin.
func (r *run) begin(kind host.HopKind, target string) *host.Hop {
	r.ex.Hops = append(r.ex.Hops, host.Hop{Kind: kind, Target: target, At: time.Since(r.start)})
	return &r.ex.Hops[len(r.ex.Hops)-1]
}

// end notes how long the hop took and why it failed; it reports whether it went well.
func (r *run) end(h *host.Hop, fault host.Fault, seen string) bool {
	h.Took = time.Since(r.start) - h.At
	h.Fault = fault
	if seen != "" {
		h.Seen = seen
	}
	return fault == ""
}

// connecting bounds one leg of the way to a connection that is ready.
func (r *run) connecting(ctx context.Context) (context.Context, context.CancelFunc) {
	end := time.Now().Add(leastTime)
	if r.ready.After(end) {
		end = r.ready
	}
	return context.WithDeadline(ctx, end)
}

// walk makes the hops one after the other and stops at the first that fails.
func (r *run) walk(ctx context.Context) {
	first := hostPort(r.url)
	var proxy *url.URL
	if !r.req.Via.Direct() {
		var err error
		if proxy, err = parseProxy(r.req.Via.Proxy); err != nil {
			r.end(r.begin(host.HopDecision, "proxy"), host.FaultNoProxy, err.Error())
			return
		}
		first = proxy.Host
	}
	if !r.connect(ctx, first) {
		return
	}
	if proxy != nil && r.url.Scheme == "https" {
		if !r.tunnel(ctx, proxy) {
			return
		}
	}
	if r.url.Scheme == "https" && !r.handshake(ctx) {
		return
	}
	r.ask(ctx, proxy)
}

// parseProxy reads the address of a proxy: "http://host:port", or without the scheme.
func parseProxy(s string) (*url.URL, error) {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, errors.New("the address of the proxy makes no sense") // not quoted: it may hold a password
	case u.Scheme != "http":
		return nil, fmt.Errorf("WinHTTP does not speak to %s proxies", u.Scheme)
	}
	u.Host = hostPort(u)
	return u, nil
}

// hostPort returns host and port of a URL, the port of its scheme where none is given.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// connect makes the dns and tcp hops to a server or proxy.
func (r *run) connect(ctx context.Context, target string) bool {
	name, port, err := net.SplitHostPort(target)
	if err != nil {
		return r.end(r.begin(host.HopDNS, target), host.FaultNoName, "the address makes no sense")
	}
	var addrs []netip.Addr
	if ip, err := netip.ParseAddr(name); err == nil {
		addrs = []netip.Addr{ip}
	} else if addrs = r.resolve(ctx, name); addrs == nil {
		return false
	}
	return r.dial(ctx, target, addrs, port)
}

// resolve makes the dns hop; nil when it failed.
func (r *run) resolve(ctx context.Context, name string) []netip.Addr {
	h := r.begin(host.HopDNS, name)
	if r.p.Hosts != nil {
		if addrs, line := r.p.Hosts(name); len(addrs) > 0 {
			h.Addresses, h.Resolver = addrs, "hosts file"
			if sunk(name, addrs) {
				r.end(h, host.FaultSunk, line)
				return nil
			}
			r.end(h, "", line)
			return addrs
		}
	}
	ctx, cancel := r.connecting(ctx)
	defer cancel()
	addrs, err := r.p.net().LookupNetIP(ctx, "ip", name)
	addrs = slices.Clone(addrs) // a resolver may hand the same list to everybody
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	h.Addresses = addrs
	switch {
	case err != nil:
		fault, seen := dnsFault(err)
		r.end(h, fault, seen)
		return nil
	case len(addrs) == 0:
		r.end(h, host.FaultNoAddress, "")
		return nil
	case sunk(name, addrs):
		r.end(h, host.FaultSunk, addrs[0].String())
		return nil
	}
	r.end(h, "", "")
	return addrs
}

// sunk reports that a name of Microsoft's leads to an address that block lists
// use: nothing, or this machine.
func sunk(name string, addrs []netip.Addr) bool {
	if _, known := EndpointOf(name); !known {
		return false
	}
	for _, a := range addrs {
		if !a.IsUnspecified() && a != loopback4 && a != netip.IPv6Loopback() {
			return false
		}
	}
	return len(addrs) > 0
}

var loopback4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func dnsFault(err error) (host.Fault, string) {
	var de *net.DNSError
	switch {
	case errors.As(err, &de) && de.IsNotFound:
		return host.FaultNoName, ""
	case errors.As(err, &de) && de.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		return host.FaultNoResolver, "nobody answers"
	}
	return host.FaultNoResolver, "the resolver failed"
}

// Dialling: an address a moment after the one before, whether or not that has been given
// up on, as RFC 8305 advises, so that one that lives is found behind several that are dead.
const (
	maxDials  = 8
	dialPause = 250 * time.Millisecond
)

// dialled is the end of one attempt to connect.
type dialled struct {
	i    int // which address
	conn net.Conn
	err  error
	took time.Duration
}

// dial makes the tcp hop: the first address that answers wins.
func (r *run) dial(ctx context.Context, target string, addrs []netip.Addr, port string) bool {
	h := r.begin(host.HopTCP, target)
	addrs = interleave(addrs, maxDials)
	ctx, cancel := r.connecting(ctx)
	defer cancel()
	results := make(chan dialled, len(addrs))
	tried := make([]host.Dial, len(addrs))
	started, waiting := 0, 0
	next := func() {
		if started == len(addrs) || started > 0 && ctx.Err() != nil || waiting > 0 && !r.p.takeSpare() {
			return
		}
		i := started
		started++
		waiting++
		ap, err := netip.ParseAddrPort(net.JoinHostPort(addrs[i].String(), port))
		tried[i].Remote = ap
		go func() {
			begin := time.Now()
			var conn net.Conn
			if err == nil {
				conn, err = r.p.net().DialContext(ctx, "tcp", ap.String())
			}
			results <- dialled{i, conn, err, time.Since(begin)}
		}()
	}
	next()
	pause := time.NewTicker(dialPause)
	defer pause.Stop()
	var worst dialled // of the address that is preferred
	for waiting > 0 {
		select {
		case <-pause.C:
			next()
		case res := <-results:
			waiting--
			tried[res.i].Took = res.took
			if res.err == nil { // it has the place of the exchange, those that lost have the others
				cancel()
				go r.p.closeLate(results, waiting)
				r.conn, r.in = res.conn, bufio.NewReaderSize(res.conn, 4<<10)
				h.Remote, h.Tried = tried[res.i].Remote, finished(tried[:started])
				return r.end(h, "", "")
			}
			tried[res.i].Fault, _ = faultOf(res.err)
			if worst.err == nil || res.i < worst.i {
				worst = res
			}
			if waiting > 0 {
				r.p.leaveSpare()
			}
			next()
		}
	}
	h.Remote, h.Tried = tried[worst.i].Remote, finished(tried[:started])
	fault, seen := faultOf(worst.err)
	return r.end(h, fault, seen)
}

// takeSpare takes one of the places for further connections, if one is free.
func (p *Prober) takeSpare() bool {
	if p.spare == nil {
		return true
	}
	select {
	case p.spare <- struct{}{}:
		return true
	default:
		return false
	}
}

func (p *Prober) leaveSpare() {
	if p.spare != nil {
		<-p.spare
	}
}

// closeLate closes the connections that come after one has won.
func (p *Prober) closeLate(results <-chan dialled, n int) {
	for range n {
		if late := <-results; late.conn != nil {
			late.conn.Close()
		}
		p.leaveSpare()
	}
}

// finished leaves out dials that were given up because another one won.
func finished(tried []host.Dial) []host.Dial {
	out := tried[:0]
	for _, d := range tried {
		if d.Took > 0 {
			out = append(out, d)
		}
	}
	return out
}

// interleave takes addresses of both families in turn, the first family first.
func interleave(addrs []netip.Addr, n int) []netip.Addr {
	var first, second []netip.Addr
	for _, a := range addrs {
		if a.Is4() == addrs[0].Is4() {
			first = append(first, a)
		} else {
			second = append(second, a)
		}
	}
	var out []netip.Addr
	for i := 0; len(out) < min(n, len(addrs)); i++ {
		if i < len(first) {
			out = append(out, first[i])
		}
		if i < len(second) && len(out) < n {
			out = append(out, second[i])
		}
	}
	return out
}

// within runs one step of the exchange under a time limit: reads and writes of
// the connection end with it, and with the context.
func (r *run) within(ctx context.Context, limit time.Duration, step func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn := r.conn
	conn.SetDeadline(time.Time{})
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return step()
}
