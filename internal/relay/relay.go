// Package relay is a forwarder for the machine whose proxy will not let the update
// services through and that nobody can change: it listens on loopback, answers the
// proxy's challenge with credentials that were given to it, and passes requests for
// update hosts on, nothing else. It lives for a lease and then ends by itself.
//
// It obeys these rules:
//   - only connections from this machine are served, and on Windows only those of the
//     services that update it; any program may read the configuration script;
//   - only hosts of the table of update endpoints, and the machine's own update
//     servers if they are given, on their ports; everything else is refused and counted;
//   - credentials are held in memory, sent to the one proxy alone, and never shown;
//   - messages pass unchanged but for the fields that belong to one connection.
package relay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"updoc/internal/httpwire"
	"updoc/internal/proxyauth"
	"updoc/internal/route"
)

// Limits of what one relay serves.
const (
	maxConns    = 1024             // at once; Delivery Optimization uses some dozens
	maxReplay   = 1 << 20          // bytes of a request's body that are kept to send again after a challenge
	maxDrain    = 256 << 10        // bytes of a refusal's page that are read to keep its connection
	maxLegs     = 8                // of one sign-in
	dialTime    = 20 * time.Second // a proxy that does not answer by then is gone
	idleTime    = 2 * time.Minute  // without a byte in either direction; WinHTTP itself waits 30 s for an answer (learn.microsoft.com: WinHttpSetTimeouts)
	drainOnStop = 5 * time.Second  // what is under way when the lease ends may still finish
)

// Relay forwards. Its fields are set before Serve and not changed.
type Relay struct {
	Proxy       string // "proxy.example:8080": where everything is sent
	Credentials proxyauth.Credentials
	Tokens      proxyauth.Tokener // Kerberos or SSPI; nil: none
	Own         []string          // hosts beside the table of update endpoints: the machine's WSUS
	Before      Before            // the decisions that the PAC file leaves as they were
	Scripts     map[string]Before // further scripts by their path ("/system.pac"), for settings that decide otherwise

	// Admit, if not nil, says why the program at the client's end of a connection may not
	// send through the relay; self is the relay's end. nil: whoever is on this machine may.
	Admit func(client, self netip.AddrPort) error

	Dial func(ctx context.Context, network, addr string) (net.Conn, error) // nil: the system's

	stats   counters
	refused atomic.Bool // the proxy refused the credentials
	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	address string
}

// Stats is what a relay has done. Refused counts by reason.
type Stats struct {
	Passed, Failed           int64
	RefusedHost, RefusedPeer int64 // other destinations, other machines
	RefusedProgram           int64 // connections of programs that are not admitted
	RefusedBusy, Malformed   int64
	Scripts                  int64 // configuration scripts that were fetched
	Sent, Received           int64 // bytes, from the client and to it
	Open                     int64 // connections of clients now
}

type counters struct {
	passed, failed, host, peer, program, busy, malformed, scripts, sent, received, open atomic.Int64
}

// Stats returns the counts so far.
func (r *Relay) Stats() Stats {
	s := &r.stats
	return Stats{
		Passed: s.passed.Load(), Failed: s.failed.Load(), RefusedHost: s.host.Load(), RefusedPeer: s.peer.Load(),
		RefusedProgram: s.program.Load(), RefusedBusy: s.busy.Load(), Malformed: s.malformed.Load(), Scripts: s.scripts.Load(),
		Sent: s.sent.Load(), Received: s.received.Load(), Open: s.open.Load(),
	}
}

// ErrLoopback: a relay that others can reach would lend them the credentials.
var ErrLoopback = errors.New("a relay listens on loopback only")

// Listen opens a listener for a relay; the error is [ErrLoopback] if others could
// reach it.
func Listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	if !onLoopback(l.Addr()) {
		l.Close()
		return nil, ErrLoopback
	}
	return l, nil
}

// Serve serves clients until the context ends, which is how a lease ends. What is
// under way then has a few seconds to finish. It returns nil after that.
func (r *Relay) Serve(ctx context.Context, l net.Listener) error {
	defer l.Close()
	if !onLoopback(l.Addr()) {
		return ErrLoopback
	}
	r.address = l.Addr().String()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var wg sync.WaitGroup
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				continue
			}
			r.closeAll()
			cancel()
			wg.Wait()
			return fmt.Errorf("accept: %w", err)
		}
		if !onLoopback(conn.RemoteAddr()) {
			r.stats.peer.Add(1)
			conn.Close()
			continue
		}
		if r.stats.open.Add(1) > maxConns {
			r.stats.busy.Add(1)
			r.stats.open.Add(-1)
			answer(patient{conn}, http.StatusServiceUnavailable, "the relay has too many connections")
			conn.Close()
			continue
		}
		r.keep(conn)
		wg.Go(func() {
			defer func() {
				r.forget(conn)
				r.stats.open.Add(-1)
			}()
			r.client(work, ctx, conn)
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(drainOnStop):
	}
	cancel()
	r.closeAll()
	<-done
	return nil
}

func onLoopback(a net.Addr) bool {
	at, err := netip.ParseAddrPort(a.String())
	return err == nil && at.Addr().Unmap().IsLoopback()
}

func (r *Relay) keep(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conns == nil {
		r.conns = map[net.Conn]struct{}{}
	}
	r.conns[c] = struct{}{}
}

func (r *Relay) forget(c net.Conn) {
	c.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

func (r *Relay) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.Close()
	}
}

// client serves one connection: requests one after the other, or one tunnel.
func (r *Relay) client(ctx, lease context.Context, conn net.Conn) {
	in := bufio.NewReaderSize(patient{conn}, 8<<10)
	up := &upstream{relay: r, ctx: ctx}
	defer up.close()
	admitted := false
	for lease.Err() == nil {
		stop := context.AfterFunc(lease, func() { conn.Close() }) // nothing new begins after the lease
		m, err := httpwire.ReadRequest(in)
		if !stop() && err == nil {
			return
		}
		if err != nil {
			if errors.Is(err, httpwire.ErrNotHTTP) || errors.Is(err, httpwire.ErrEndless) {
				r.stats.malformed.Add(1)
				answer(conn, http.StatusBadRequest, "that is no request for a proxy")
			}
			return
		}
		if before, ok := r.script(m); ok {
			r.servePAC(patient{conn}, before)
			return
		}
		if !admitted && !r.admit(conn) {
			r.stats.program.Add(1)
			answer(patient{conn}, http.StatusForbidden, "the relay serves what updates this machine only")
			return
		}
		admitted = true
		if !r.one(patient{conn}, in, up, m) || m.Close {
			return
		}
	}
}

// admit reports whether the program at the other end of a connection may use the relay.
func (r *Relay) admit(conn net.Conn) bool {
	if r.Admit == nil {
		return true
	}
	client, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return false
	}
	self, err := netip.ParseAddrPort(conn.LocalAddr().String())
	return err == nil && r.Admit(client, self) == nil
}

// one serves one request; it reports whether another may follow.
func (r *Relay) one(conn patient, in *bufio.Reader, up *upstream, m *httpwire.Message) bool {
	host, port, ok := destination(m)
	switch {
	case !ok:
		r.stats.malformed.Add(1)
		answer(conn, http.StatusBadRequest, "that is no request for a proxy")
		return false
	case !r.Allows(host, port):
		r.stats.host.Add(1)
		answer(conn, http.StatusForbidden, "the relay passes update hosts only")
		return false
	}
	if m.Method == http.MethodConnect {
		return r.tunnel(conn, in, up, m)
	}
	return r.forward(conn, up, m)
}

// destination is the host and port that a request for a proxy names.
func destination(m *httpwire.Message) (host string, port int, ok bool) {
	text := m.Target
	if m.Method != http.MethodConnect {
		u, err := url.Parse(m.Target)
		if err != nil || u.Scheme != "http" || u.Host == "" || u.User != nil {
			return "", 0, false
		}
		if text = u.Host; u.Port() == "" {
			text = net.JoinHostPort(u.Hostname(), "80")
		}
	}
	host, p, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, false
	}
	port, err = strconv.Atoi(p)
	return host, port, err == nil && port > 0 && port < 65536 && host != ""
}

// Allows reports whether a destination may be reached through the relay.
func (r *Relay) Allows(host string, port int) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, own := range r.Own {
		name, p, err := net.SplitHostPort(own)
		if err != nil {
			name, p = own, ""
		}
		if strings.EqualFold(name, host) && (p == "" || p == strconv.Itoa(port)) {
			return true
		}
	}
	if port != 80 && port != 443 {
		return false
	}
	return route.Allowed(route.AllowAll, host)
}

// Try signs in at the proxy and has it open a way to an update host, which is closed
// again: what clients will be able to do.
func (r *Relay) Try(ctx context.Context) error {
	up := &upstream{relay: r, ctx: ctx}
	defer up.close()
	const target = "slscr.update.microsoft.com:443"
	m := &httpwire.Message{Method: http.MethodConnect, Target: target, Fields: []httpwire.Field{
		{Name: "Host", Value: target}, {Name: "Proxy-Connection", Value: "Keep-Alive"},
	}}
	got, err := up.ask(m, nil)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%s: %w", r.Proxy, err)
	case got.Status/100 != 2:
		return fmt.Errorf("%s answered %d to a tunnel for %s", r.Proxy, got.Status, target)
	}
	return nil
}

// answer writes a short answer of the relay's own.
func answer(w io.Writer, status int, text string) {
	text += "\n"
	m := httpwire.Message{Status: status, Reason: http.StatusText(status), Fields: []httpwire.Field{
		{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		{Name: "Content-Length", Value: strconv.Itoa(len(text))},
		{Name: "Connection", Value: "close"},
		{Name: "Server", Value: "updoc relay"},
	}}
	_, _ = w.Write(append(m.AppendHead(nil), text...)) // the client may have gone
}

// tunnel passes a CONNECT: the proxy's answer, then bytes both ways.
func (r *Relay) tunnel(conn patient, in *bufio.Reader, up *upstream, m *httpwire.Message) bool {
	up.close() // a tunnel gets a connection of its own
	m.Drop("Proxy-Authorization", "Connection", "Proxy-Connection", "Keep-Alive")
	m.Set("Proxy-Connection", "Keep-Alive")
	got, err := up.ask(m, nil)
	if err != nil {
		r.stats.failed.Add(1)
		answer(conn, http.StatusBadGateway, reason(err))
		return false
	}
	if got.Status/100 != 2 {
		r.stats.failed.Add(1)
		r.refusal(conn, got)
		return false
	}
	r.stats.passed.Add(1)
	ok := httpwire.Message{Status: http.StatusOK, Reason: "Connection established"}
	if _, err := conn.Write(ok.AppendHead(nil)); err != nil {
		return false
	}
	var wg sync.WaitGroup
	pipe := func(to patient, from io.Reader, n *atomic.Int64) {
		k, _ := io.Copy(to, from)
		n.Add(k)
		_ = to.CloseWrite()
	}
	wg.Go(func() { pipe(*up.conn, in, &r.stats.sent) })
	wg.Go(func() { pipe(conn, up.in, &r.stats.received) })
	wg.Wait()
	return false
}

// forward passes one request in absolute form, and its answer.
func (r *Relay) forward(conn patient, up *upstream, m *httpwire.Message) bool {
	body, err := io.ReadAll(io.LimitReader(m.Body, maxReplay+1))
	if err != nil || len(body) > maxReplay {
		r.stats.malformed.Add(1)
		answer(conn, http.StatusRequestEntityTooLarge, "requests of updates are small")
		return false
	}
	m.Drop("Proxy-Authorization", "Proxy-Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade")
	if m.Chunked {
		m.Set("Content-Length", strconv.Itoa(len(body)))
	}
	r.stats.sent.Add(int64(len(body)))
	got, err := up.ask(m, body)
	if err != nil {
		r.stats.failed.Add(1)
		answer(conn, http.StatusBadGateway, reason(err))
		return false
	}
	if got.Status == http.StatusProxyAuthRequired {
		r.stats.failed.Add(1)
		r.refusal(conn, got)
		return false
	}
	n, whole := pass(conn, got)
	r.stats.received.Add(n)
	if !whole {
		r.stats.failed.Add(1)
		return false
	}
	r.stats.passed.Add(1)
	if got.Close {
		up.close()
	}
	return !got.Close || got.Chunked
}

// reason says why there is no answer, without what the network said in words.
func reason(err error) string {
	if errors.Is(err, errRefused) {
		return errRefused.Error()
	}
	return "the proxy did not answer"
}

// pass writes an answer to the client as it came.
func pass(conn patient, m *httpwire.Message) (n int64, whole bool) {
	m.Drop("Proxy-Authenticate", "Proxy-Connection", "Proxy-Authentication-Info", "Keep-Alive")
	if _, err := conn.Write(m.AppendHead(nil)); err != nil {
		return 0, false
	}
	if !m.Chunked {
		n, err := io.Copy(conn, m.Body)
		return n, err == nil && (m.Size < 0 || n == m.Size || n == 0)
	}
	w := httputil.NewChunkedWriter(conn)
	n, err := io.Copy(w, m.Body)
	if err != nil || w.Close() != nil {
		return n, false
	}
	_, err = io.WriteString(conn, "\r\n")
	return n, err == nil
}

// refusal tells the client that the proxy refused. The proxy's own page and challenge
// stay here: the client could answer neither, and they may hold what was sent.
func (r *Relay) refusal(conn patient, m *httpwire.Message) {
	status := m.Status
	if status == http.StatusProxyAuthRequired {
		status = http.StatusBadGateway
	}
	answer(conn, status, fmt.Sprintf("the proxy answered %d", m.Status))
}

// upstream is a connection to the proxy, signed in as far as that belongs to one.
type upstream struct {
	relay  *Relay
	ctx    context.Context
	conn   *patient
	in     *bufio.Reader
	client *proxyauth.Client
	stop   func() bool // leaves the connection open when ctx ends
}

func (u *upstream) close() {
	if u.conn != nil {
		u.stop()
		u.relay.forget(u.conn.Conn)
		u.conn = nil
	}
}

func (u *upstream) dial() error {
	ctx, cancel := context.WithTimeout(u.ctx, dialTime)
	defer cancel()
	dial := u.relay.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	conn, err := dial(ctx, "tcp", u.relay.Proxy)
	if err != nil {
		return err
	}
	u.relay.keep(conn)
	u.stop = context.AfterFunc(u.ctx, func() { conn.Close() })
	u.conn = &patient{conn}
	u.in = bufio.NewReaderSize(u.conn, 8<<10)
	return nil
}

// errRefused: the credentials were refused once. They are not tried again, on no
// connection: a few more attempts would lock the account.
// learn.microsoft.com: Account lockout threshold.
var errRefused = errors.New("the proxy refused the credentials")

// ask sends a request to the proxy, signs in when it is asked to, and returns the
// answer, whose body is unread.
func (u *upstream) ask(m *httpwire.Message, body []byte) (*httpwire.Message, error) {
	if u.relay.refused.Load() {
		return nil, errRefused
	}
	if u.client == nil {
		u.client = &proxyauth.Client{Credentials: u.relay.Credentials, Tokens: u.relay.Tokens}
	}
	idle := u.conn != nil // it may have been closed meanwhile
	if !idle {
		if err := u.dial(); err != nil {
			return nil, err
		}
	}
	authorization := u.client.Header(m.Method, m.Target)
	for leg := 1; ; leg++ {
		send := *m
		if authorization != "" {
			send.Fields = append(m.Fields[:len(m.Fields):len(m.Fields)], httpwire.Field{Name: "Proxy-Authorization", Value: authorization})
		}
		got, err := u.roundTrip(&send, body)
		switch {
		case err != nil && idle:
			idle = false
			u.client.Reconnected()
			authorization = u.client.Header(m.Method, m.Target)
			if err := u.redial(); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		case got.Status != http.StatusProxyAuthRequired:
			u.client.Accepted()
			return got, nil
		case leg == maxLegs:
			return got, nil
		}
		idle = false
		if got.Close {
			u.client.Reconnected()
		}
		_, authorization, err = u.client.Answer(m.Method, m.Target, proxyauth.ParseChallenges(got.Values("Proxy-Authenticate")))
		switch {
		case errors.Is(err, proxyauth.ErrRefused):
			u.relay.refused.Store(true)
			return nil, errRefused
		case err != nil:
			return got, nil // nothing to answer with: the 407 stands
		}
		if !got.Close && !u.client.Fresh() {
			n, err := io.Copy(io.Discard, io.LimitReader(got.Body, maxDrain))
			if err == nil && n < maxDrain {
				continue
			}
		}
		if !got.Close {
			u.client.Reconnected()
		}
		if err := u.redial(); err != nil {
			return nil, err
		}
	}
}

func (u *upstream) redial() error {
	u.close()
	return u.dial()
}

func (u *upstream) roundTrip(m *httpwire.Message, body []byte) (*httpwire.Message, error) {
	if _, err := u.conn.Write(append(m.AppendHead(nil), body...)); err != nil {
		return nil, err
	}
	return httpwire.ReadAnswer(u.in, m.Method)
}

// patient is a connection on which nothing may take longer than idleTime.
type patient struct{ net.Conn }

func (p patient) Read(b []byte) (int, error) {
	p.Conn.SetReadDeadline(time.Now().Add(idleTime))
	return p.Conn.Read(b)
}

func (p patient) Write(b []byte) (int, error) {
	p.Conn.SetWriteDeadline(time.Now().Add(idleTime))
	return p.Conn.Write(b)
}

// CloseWrite ends one direction, where the connection can.
func (p patient) CloseWrite() error {
	if c, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return p.Conn.Close()
}
