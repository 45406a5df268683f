package lab

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// WorldSpec is everything that a scenario says about the world around its machine.
// The zero value is a healthy world with Microsoft's public service in it, no
// proxy and no WSUS. Faults are data: each list below is searched in order.
//
// Hosts are named by patterns: a name, or one with * for any characters, in any
// letter case, and :port if only one is meant ("*.update.microsoft.com:443").
type WorldSpec struct {
	Seed    uint64            `json:"seed,omitempty"` // of everything that happens by chance
	Time    time.Time         `json:"time,omitzero"`  // the true time when the world opens; the real time if zero
	Machine Place             `json:"machine,omitzero"`
	Names   map[string][]Addr `json:"names,omitempty"`  // true names beside those that services bring along
	Web     []string          `json:"web,omitempty"`    // further unrelated web sites, http and https
	Caches  []string          `json:"caches,omitempty"` // Connected Cache nodes: content by http, on the machine's network
	WSUS    []WSUS            `json:"wsus,omitempty"`
	Proxies []Proxy           `json:"proxies,omitempty"`
	Scripts []Script          `json:"scripts,omitempty"` // PAC files and where they lie
	Middle  []Middle          `json:"middle,omitempty"`  // boxes that sit in the way and take part unasked

	Lookups      []Lookup      `json:"lookups,omitempty"`      // what is wrong with names
	Paths        []Path        `json:"paths,omitempty"`        // what is wrong with ways
	Certificates []Certificate `json:"certificates,omitempty"` // what is wrong with certificates and handshakes
	NoEcho       []string      `json:"no_echo,omitempty"`      // hosts, addresses and prefixes that answer no ping
	Clocks       []Clock       `json:"clocks,omitempty"`       // servers whose time is wrong
	Troubles     []Trouble     `json:"troubles,omitempty"`     // what is wrong with answers
	Content      []Content     `json:"content,omitempty"`      // what is wrong with content
	Catalogue    Catalogue     `json:"catalogue,omitzero"`     // what is wrong with the update catalogue
}

// Place is where the world's requests come from: the machine as its network sees it.
type Place struct {
	Clock     Duration          `json:"clock,omitzero"`      // how far its clock is ahead of the truth
	Addresses []Addr            `json:"addresses,omitempty"` // 192.0.2.20 and 2001:db8:2::20 if empty
	Suffixes  []string          `json:"suffixes,omitempty"`  // of DNS, tried for names without a dot
	Hosts     map[string]string `json:"hosts,omitempty"`     // its hosts file: name to address
	Trusts    []string          `json:"trusts,omitempty"`    // names of intercepting authorities that were installed on it
	Login     *Login            `json:"login,omitempty"`     // credentials for proxies that are saved on it
}

// Login is a saved user name and password.
type Login struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// Addr is an IP address in JSON.
type Addr = netip.Addr

// Duration is a time.Duration that JSON writes as "1.5s".
type Duration time.Duration

// MarshalText writes the form that [time.ParseDuration] reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what [time.ParseDuration] reads.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// ParseWorld reads a scenario's world.json. Fields that nobody knows are errors.
func ParseWorld(b []byte) (WorldSpec, error) {
	var spec WorldSpec
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&spec); err != nil {
		return WorldSpec{}, fmt.Errorf("read world: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return WorldSpec{}, errors.New("read world: more than one JSON value")
	}
	return spec, nil
}

// World is everything that Windows Update talks to, and everything that can break on
// the way, in one process and without a socket. Its two methods DialContext and
// LookupNetIP stand in for the operating system's. All methods may be called from
// several goroutines.
type World struct {
	spec    WorldSpec
	opened  time.Time    // by the process's clock
	start   time.Time    // the world's true time then
	skipped atomic.Int64 // time that passed without anybody waiting for it
	ahead   atomic.Int64 // how far the machine's clock is ahead of the truth

	zone      map[string][]netip.Addr // true names, lower case; "*.x" matches what has no entry of its own
	sites     map[netip.AddrPort]*site
	known     map[netip.Addr]bool // addresses that somebody has
	machine   *party
	own       *Machine // whose firewall and memory of names stand before the world; nil: none
	pki       *pki
	store     *store
	catalogue *catalogue
	server    *http.Server
	inbox     chan net.Conn
	ctx       context.Context
	cancel    context.CancelFunc

	mu        sync.Mutex
	random    *rand.Rand
	log       []Seen
	struck    map[*int]int // how often a fault with a limit was applied
	conns     map[*conn]struct{}
	open      int // connections of the machine
	peak      int
	port      uint16
	leaving   []func() // what Close has to stop
	closed    bool
	forgotten int            // what the log had no place for
	busy      sync.WaitGroup // goroutines of the world's own
	serving   sync.WaitGroup // goroutines of net/http's
}

// party is somebody who opens connections: the machine, or a proxy.
type party struct {
	name  string // "" is the machine
	addrs []netip.Addr
}

// address returns where a party's connections to an address come from.
func (p *party) address(to netip.Addr) netip.Addr {
	if to.IsLoopback() {
		return to
	}
	for _, a := range p.addrs {
		if a.Is4() == to.Unmap().Is4() {
			return a
		}
	}
	return netip.Addr{}
}

// site is who answers at an address and port.
type site struct {
	name   string // as the log calls it, with its port
	names  []string
	issuer string                              // who signs its certificate; "" if it does not speak TLS
	http   http.Handler                        // or
	raw    func(*visit, net.Conn)              // another protocol, or
	packet func(netip.AddrPort, []byte) []byte // UDP
}

// visit is one connection at the side of whoever answers.
type visit struct {
	world  *World
	from   *party
	source netip.AddrPort
	server netip.AddrPort
	site   *site
	conn   *conn
	plan   plan
	middle *Middle
	note   any // what a proxy remembers about the connection
}

type visitKey struct{}

// visitOf returns the connection that a request came over.
func visitOf(r *http.Request) *visit {
	v, _ := r.Context().Value(visitKey{}).(*visit)
	return v
}

// arrived is a connection that knows its visit.
type arrived struct {
	net.Conn
	visit *visit
}

// Open builds a world. It fails only on a specification that makes no sense.
func Open(spec WorldSpec) (*World, error) {
	w := &World{
		spec:   spec,
		opened: time.Now(),
		start:  spec.Time,
		zone:   map[string][]netip.Addr{},
		sites:  map[netip.AddrPort]*site{},
		known:  map[netip.Addr]bool{},
		struck: map[*int]int{},
		conns:  map[*conn]struct{}{},
		inbox:  make(chan net.Conn),
		port:   49151,
		random: rand.New(rand.NewPCG(spec.Seed, 0x8024401b)),
	}
	if w.start.IsZero() {
		w.start = w.opened
	}
	w.ahead.Store(int64(spec.Machine.Clock))
	w.ctx, w.cancel = context.WithCancel(context.Background())
	if err := w.build(); err != nil {
		w.cancel()
		return nil, fmt.Errorf("open world: %w", err)
	}
	w.server = &http.Server{
		Handler:        http.HandlerFunc(w.serveHTTP),
		ErrorLog:       silent(),
		ConnContext:    connContext,
		ConnState:      w.connState,
		MaxHeaderBytes: 64 << 10,
		Protocols:      new(http.Protocols),
	}
	w.server.Protocols.SetHTTP1(true)
	w.spawn(func() { _ = w.server.Serve(inbox{w}) })
	return w, nil
}

// build fills the world from its specification.
func (w *World) build() error {
	s := &w.spec
	if len(s.Machine.Addresses) == 0 {
		s.Machine.Addresses = []Addr{netip.MustParseAddr("192.0.2.20"), netip.MustParseAddr("2001:db8:2::20")}
	}
	w.machine = &party{addrs: s.Machine.Addresses}
	for _, a := range s.Machine.Addresses {
		w.known[a] = true
	}
	var err error
	if w.pki, err = newPKI(w.Now()); err != nil {
		return err
	}
	w.store = newStore(s.Seed)
	for name, addrs := range s.Names {
		w.addName(name, addrs...)
	}
	for _, step := range []func() error{w.buildPublic, w.buildCatalogue, w.buildWeb, w.buildDNS, w.buildWSUS, w.buildProxies, w.buildScripts, w.buildMiddle, w.check} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// check refuses faults that nobody would apply: a misspelt one would make a scenario
// pass for the wrong reason.
func (w *World) check() error {
	var wrong []error
	for i := range w.spec.Lookups {
		wrong = append(wrong, w.spec.Lookups[i].check())
	}
	for i := range w.spec.Paths {
		wrong = append(wrong, w.spec.Paths[i].check())
	}
	for i := range w.spec.Certificates {
		wrong = append(wrong, w.spec.Certificates[i].check())
	}
	for i := range w.spec.Troubles {
		wrong = append(wrong, w.spec.Troubles[i].check())
	}
	for i := range w.spec.Content {
		wrong = append(wrong, w.spec.Content[i].check())
	}
	return errors.Join(wrong...)
}

// Close ends every connection and waits until all that the world does is over.
func (w *World) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	conns := make([]*conn, 0, len(w.conns))
	for c := range w.conns {
		conns = append(conns, c)
	}
	leaving := w.leaving
	w.mu.Unlock()
	for _, c := range conns { // before the server closes its ends: that would be an orderly end
		c.Reset()
	}
	w.cancel()
	err := w.server.Close()
	for _, f := range leaving {
		f()
	}
	w.busy.Wait()
	w.serving.Wait()
	return err
}

// Now is the true time in the world.
func (w *World) Now() time.Time {
	return w.start.Add(time.Since(w.opened) + time.Duration(w.skipped.Load()))
}

// Advance lets time pass in the world, for all clocks alike.
func (w *World) Advance(d time.Duration) { w.skipped.Add(int64(d)) }

// MachineNow is what the machine's clock shows.
func (w *World) MachineNow() time.Time { return w.Now().Add(time.Duration(w.ahead.Load())) }

// SetMachineClock sets how far the machine's clock is ahead of the truth.
func (w *World) SetMachineClock(ahead time.Duration) { w.ahead.Store(int64(ahead)) }

// Roots returns what Windows Update accepts at the end of a chain: the authorities
// that stand for Microsoft's own in this world.
func (w *World) Roots() *x509.CertPool { return w.pki.pool(authMicrosoft) }

// Trusted returns what the machine trusts: Microsoft's authorities, those of the
// public web and of the company, and whatever was installed on it.
func (w *World) Trusted() *x509.CertPool { return w.pki.trusted(w.spec.Machine.Trusts) }

// addName adds addresses to a true name.
func (w *World) addName(name string, addrs ...netip.Addr) {
	name = strings.ToLower(name)
	for _, a := range addrs {
		if !slices.Contains(w.zone[name], a) {
			w.zone[name] = append(w.zone[name], a)
		}
	}
}

// addSite puts somebody at a port of all addresses of its first name.
func (w *World) addSite(port uint16, s site) error {
	s.name = net.JoinHostPort(s.names[0], strconv.Itoa(int(port)))
	addrs := w.zone[strings.ToLower(s.names[0])]
	if len(addrs) == 0 {
		return fmt.Errorf("%s has no address", s.name)
	}
	for _, a := range addrs {
		w.known[a] = true
		at := netip.AddrPortFrom(a, port)
		if there := w.sites[at]; there != nil {
			return fmt.Errorf("%s and %s are both at %s", there.name, s.name, at)
		}
		w.sites[at] = &s
	}
	return nil
}

// freeAddr returns an address of the machine's network that nobody has.
func (w *World) freeAddr() (netip.Addr, error) {
	for i := byte(100); i < 250; i++ {
		a := netip.AddrFrom4([4]byte{192, 0, 2, i})
		if !w.known[a] {
			w.known[a] = true
			return a, nil
		}
	}
	return netip.Addr{}, errors.New("no address is left in 192.0.2.0/24")
}

// settle makes sure that a service's name has an address, and returns it.
func (w *World) settle(name string, given []Addr) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(name); err == nil {
		w.addName(name, addr)
	}
	w.addName(name, given...)
	addrs := w.zone[strings.ToLower(name)]
	if len(addrs) == 0 {
		a, err := w.freeAddr()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		w.addName(name, a)
		addrs = []netip.Addr{a}
	}
	for _, a := range addrs {
		w.known[a] = true
	}
	return addrs, nil
}

// namesOf lists the true names of an address.
func (w *World) namesOf(a netip.Addr) []string {
	var out []string
	for name, addrs := range w.zone {
		if slices.Contains(addrs, a) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// chance returns a number in [0,1) of the world's own sequence.
func (w *World) chance() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.Float64()
}

// strike counts one use of a fault and tells whether it still applies. A limit of
// zero is none.
func (w *World) strike(limit *int) bool {
	if *limit == 0 {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.struck[limit]++
	return w.struck[limit] <= *limit
}

// DialContext connects the machine to a host and port in the world. Networks are tcp,
// tcp4, tcp6 and udp. Errors have the form that [net.Dialer] gives them.
func (w *World) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if w.own != nil {
		return w.own.connect(ctx, network, addr)
	}
	return w.dial(ctx, w.machine, network, addr)
}

func (w *World) dial(ctx context.Context, from *party, network, addr string) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.AddrError{Err: "unknown port", Addr: addr}}
	}
	family := "ip" + strings.TrimLeft(network, "tcpud")
	addrs, err := w.lookup(ctx, from, family, host)
	if err == nil && len(addrs) == 0 {
		err = &net.AddrError{Err: "no suitable address", Addr: host}
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	var first error
	for _, a := range addrs {
		c, err := w.connect(ctx, from, network, netip.AddrPortFrom(a.Unmap(), uint16(port)))
		if err == nil {
			return c, nil
		}
		first = cmpErr(first, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// connect opens one connection to one address, with everything that can go wrong.
func (w *World) connect(ctx context.Context, from *party, network string, to netip.AddrPort) (net.Conn, error) {
	udp := strings.HasPrefix(network, "udp")
	source := from.address(to.Addr())
	fail := func(err error) (net.Conn, error) {
		w.see(Seen{Kind: "connect", From: from.name, Server: to, Fault: err.Error()})
		var addr net.Addr = net.TCPAddrFromAddrPort(to)
		if udp {
			addr = net.UDPAddrFromAddrPort(to)
		}
		return nil, &net.OpError{Op: "dial", Net: network, Addr: addr, Err: err}
	}
	errno := func(n error) (net.Conn, error) { return fail(os.NewSyscallError("connect", n)) }
	switch {
	case ctx.Err() != nil:
		return fail(timeoutError{ctx.Err()})
	case to.Addr().IsUnspecified():
		return errno(errnoSunk)
	case !source.IsValid():
		return errno(errnoUnreachable)
	}
	p := w.plan(from, to, udp)
	if udp {
		return w.connectUDP(from, source, to, p)
	}
	if from == w.machine && w.own != nil {
		p.up.packet = w.own.largestPacket(to.Addr()) - headers
		p.down.packet = p.up.packet // each end says what it takes: RFC 9293, maximum segment size
	}
	late := 2*p.up.latency + resend(p.up.loss, synAgain, w.chance)
	if err := w.sleep(ctx, late); err != nil {
		return fail(err)
	}
	st, middle := w.sites[to], w.middleFor(from, to)
	if st != nil && st.http == nil && st.raw == nil {
		st = nil // it speaks UDP only
	}
	fault := p.fault
	if fault == "" && st == nil && middle == nil {
		fault = PathDrop
		if w.known[to.Addr()] || to.Addr().IsLoopback() {
			fault = PathRefuse
		}
	}
	switch fault {
	case PathRefuse:
		return errno(errnoRefused)
	case PathUnreachable:
		return errno(errnoUnreachable)
	case PathBlocked:
		return errno(errnoBlocked)
	case PathDrop:
		return fail(w.sleep(ctx, time.Duration(1<<62)))
	}
	src := netip.AddrPortFrom(source, w.nextPort())
	near, far := pair(src, to, p.up, p.down, w.chance)
	v := &visit{world: w, from: from, source: src, server: to, site: st, conn: far, plan: p, middle: middle}
	if !w.enter(near, far, from) {
		return fail(net.ErrClosed)
	}
	w.see(Seen{Kind: "connect", From: from.name, Source: src, Server: to, Site: v.siteName()})
	w.spawn(func() { w.arrive(v) })
	return near, nil
}

// headers are the bytes of a packet that are not TCP's data: 20 of IPv4, 20 of TCP. IPv6
// has 20 more, which make no difference here.
const headers = 40

// Echo sends the machine's ping: an ICMP echo request in one packet of size bytes. It reports whether the packet came back, before the time for that was over.
func (w *World) Echo(ctx context.Context, to netip.Addr, size int) (bool, error) {
	if w.own != nil && size > w.own.largestPacket(to) {
		return false, ctx.Err()
	}
	p := w.plan(w.machine, netip.AddrPortFrom(to, 0), false)
	if err := w.sleep(ctx, 2*p.up.latency); err != nil {
		return false, nil //nolint:nilerr // too late is lost
	}
	deaf := slices.ContainsFunc(w.spec.NoEcho, func(host string) bool { return w.leadsTo(host, netip.AddrPortFrom(to, 0)) })
	for _, l := range []line{p.up, p.down} {
		if l.segment > 0 && size > l.segment || w.chance() < l.loss {
			return false, nil
		}
	}
	return w.known[to] && !deaf && p.fault == "", nil
}

func (v *visit) siteName() string {
	if v.site == nil {
		return ""
	}
	return v.site.name
}

// enter counts a connection in, and out again when the one who made it closes it.
func (w *World) enter(near, far *conn, from *party) bool {
	mine := from == w.machine
	near.closed = func() { w.leave(near, mine) }
	far.closed = func() { w.leave(far, false) }
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.conns[near], w.conns[far] = struct{}{}, struct{}{}
	if mine {
		w.open++
		w.peak = max(w.peak, w.open)
	}
	return true
}

func (w *World) leave(c *conn, mine bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c)
	if mine {
		w.open--
	}
}

// spawn starts a goroutine that Close waits for, or none in a closed world.
func (w *World) spawn(f func()) {
	if w.begin() {
		go func() {
			defer w.busy.Done()
			f()
		}()
	}
}

// begin counts work that Close waits for, unless the world is closed.
func (w *World) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.busy.Add(1)
	}
	return !w.closed
}

// nextPort returns the next ephemeral port. RFC 6335 section 6.
func (w *World) nextPort() uint16 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.port++; w.port < 49152 {
		w.port = 49152
	}
	return w.port
}

// sleep waits, unless the context or the world ends before.
func (w *World) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return timeoutError{ctx.Err()}
	case <-w.ctx.Done():
		return net.ErrClosed
	}
}

// timeoutError is the end of a context as package net reports it.
type timeoutError struct{ err error }

func (e timeoutError) Error() string {
	if e.Timeout() {
		return "i/o timeout"
	}
	return "operation was canceled"
}
func (e timeoutError) Timeout() bool   { return errors.Is(e.err, context.DeadlineExceeded) }
func (e timeoutError) Temporary() bool { return e.Timeout() }
func (e timeoutError) Unwrap() error   { return e.err }

// arrive is what happens to a connection at its far end.
func (w *World) arrive(v *visit) {
	var c net.Conn = v.conn
	if v.plan.when == WhenAccept {
		v.breakOff()
		return
	}
	if v.plan.when == WhenHello || v.plan.when == WhenName || v.middle != nil {
		first, err := overhear(v.conn)
		if err != nil && len(first) == 0 {
			v.conn.Close()
			return
		}
		if v.plan.when == WhenHello || v.plan.when == WhenName && v.plan.names(nameIn(first)) {
			v.breakOff()
			return
		}
		c = &overheard{conn: v.conn, first: first}
		if v.middle != nil {
			w.intercept(v, c, first)
			return
		}
	}
	w.serve(v, c)
}

// breakOff ends a connection in the way that its plan says.
func (v *visit) breakOff() {
	switch v.plan.atEnd {
	case PathClose:
		v.conn.Close()
	case PathStall: // it stays open, and nobody is there
		<-v.world.ctx.Done()
	default:
		v.conn.Reset()
	}
}

// serve hands a connection to the site it was made to.
func (w *World) serve(v *visit, c net.Conn) {
	switch {
	case v.site == nil:
		v.conn.Reset()
	case v.site.raw != nil:
		v.site.raw(v, c)
	case v.site.issuer != "":
		w.serveTLS(v, c)
	default:
		w.toHTTP(v, c)
	}
}

// toHTTP gives a connection to the HTTP server.
func (w *World) toHTTP(v *visit, c net.Conn) {
	select {
	case w.inbox <- &arrived{Conn: c, visit: v}:
	case <-w.ctx.Done():
		v.conn.Reset()
	}
}

// inbox is the listener of the HTTP server.
type inbox struct{ w *World }

func (i inbox) Accept() (net.Conn, error) {
	select {
	case c := <-i.w.inbox:
		return c, nil
	case <-i.w.ctx.Done():
		return nil, net.ErrClosed
	}
}
func (i inbox) Close() error   { return nil }
func (i inbox) Addr() net.Addr { return &net.TCPAddr{} }

// silent is a log for what net/http complains about; the world's own log says more.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }

func connContext(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = t.NetConn()
	}
	if a, ok := c.(*arrived); ok {
		return context.WithValue(ctx, visitKey{}, a.visit)
	}
	return ctx
}

// connState counts net/http's goroutines, so that Close can wait for them.
func (w *World) connState(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		w.serving.Add(1)
	case http.StateClosed, http.StateHijacked:
		w.serving.Done()
	}
}
