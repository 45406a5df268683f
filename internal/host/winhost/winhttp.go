package winhost

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"updoc/internal/host"
	"updoc/internal/httpwire"
	"updoc/internal/proxyauth"
)

// What WinHTTP reports while it works. learn.microsoft.com:
// "WINHTTP_STATUS_CALLBACK callback function".
const (
	statusResolving    = 0x00000001
	statusResolved     = 0x00000002
	statusConnecting   = 0x00000004
	statusConnected    = 0x00000008
	statusSending      = 0x00000010
	statusSent         = 0x00000020
	statusReceiving    = 0x00000040
	statusReceived     = 0x00000080
	statusClosing      = 0x00000800 // of a handle
	statusInsecure     = 0x00010000 // SECURE_FAILURE
	statusHeaders      = 0x00020000
	statusAvailable    = 0x00040000
	statusRead         = 0x00080000
	statusError        = 0x00200000
	statusSendComplete = 0x00400000
)

// Errors of WinHTTP. learn.microsoft.com: "WinHTTP Error Messages".
const (
	errTimeout         = 12002
	errNameNotResolved = 12007
	errCannotConnect   = 12029
	errConnection      = 12030
	errResend          = 12032
	errClientCert      = 12044
	errInvalidResponse = 12152
	errChannel         = 12157
	errSecureFailure   = 12175
	errHeaderCount     = 12181
	errHeaderSize      = 12182
)

// Reasons of a secure failure: WINHTTP_CALLBACK_STATUS_FLAG_*.
const (
	insecureRevFailed = 0x00000001
	insecureInvalid   = 0x00000002
	insecureRevoked   = 0x00000004
	insecureCA        = 0x00000008
	insecureName      = 0x00000010
	insecureDate      = 0x00000020
	insecureUsage     = 0x00000040
	insecureChannel   = 0x80000000
)

// note is one thing that WinHTTP reported.
type note struct {
	at     time.Duration // since the exchange began
	status uint32
	text   string
	number uint32
}

// witness is all that one exchange over WinHTTP showed.
type witness struct {
	req   host.Request
	url   *url.URL
	notes []note
	end   time.Duration

	errno   uint32 // of WinHTTP or Windows; 0: an answer came
	reading bool   // the error came while the body was read
	answer  *httpwire.Message
	body    []byte // of the answer, its first bytes
	length  int64
	tls     *host.TLS
	chain   []*x509.Certificate // also of a connection that was refused for it, where it could be had
	now     time.Time
	judge   func(host.Request, []*x509.Certificate) (host.Fault, string)
	dial    func(netip.AddrPort) host.Fault // why a connection cannot be made, asked of the same machine and account
}

// when returns the time of the n-th report of a kind, from 0.
func (w *witness) when(status uint32, n int) (time.Duration, bool) {
	for _, x := range w.notes {
		if x.status == status {
			if n == 0 {
				return x.at, true
			}
			n--
		}
	}
	return 0, false
}

// hops tells what happened leg by leg. WinHTTP names the beginnings and ends of its
// legs; a fault belongs to the leg that had begun and not ended.
func (w *witness) hops() []host.Hop {
	var out []host.Hop
	target := hostPort(w.url)
	var proxy *url.URL
	if !w.req.Via.Direct() {
		var err error
		if proxy, err = parseProxy(w.req.Via.Proxy); err != nil {
			return []host.Hop{{Kind: host.HopDecision, Target: "proxy", Fault: host.FaultNoProxy, Seen: err.Error()}}
		}
		target = proxy.Host
	}
	add := func(h host.Hop, from, to time.Duration) *host.Hop {
		h.At, h.Took = from, max(0, to-from)
		out = append(out, h)
		return &out[len(out)-1]
	}

	// The name.
	name, _, _ := strings.Cut(target, ":")
	if u, err := url.Parse("//" + target); err == nil {
		name = u.Hostname()
	}
	if from, ok := w.when(statusResolving, 0); ok {
		to, ok := w.when(statusResolved, 0)
		if !ok {
			h := add(host.Hop{Kind: host.HopDNS, Target: name, Seen: w.said()}, from, w.end)
			h.Fault = host.FaultNoName
			if w.errno == errTimeout {
				h.Fault = host.FaultNoResolver
			}
			return out
		}
		add(host.Hop{Kind: host.HopDNS, Target: name, Addresses: w.addresses()}, from, to)
	}

	// The connection.
	connected, ok := w.when(statusConnected, 0)
	if at, tried := w.when(statusConnecting, 0); !ok && tried && w.handshook() {
		connected, ok = at, true // who fails in a handshake has a connection
	}
	if from, tried := w.when(statusConnecting, 0); tried || w.errno == errCannotConnect {
		h := host.Hop{Kind: host.HopTCP, Target: target}
		h.Tried = w.tried()
		if len(h.Tried) > 0 {
			h.Remote = h.Tried[len(h.Tried)-1].Remote
		}
		if !ok {
			h.Fault, h.Seen = w.connectFault(h.Remote), w.said()
			for i := range h.Tried {
				h.Tried[i].Fault = h.Fault
			}
			add(h, from, w.end)
			return out
		}
		add(h, from, connected)
	} else if w.errno != 0 && !ok {
		add(host.Hop{Kind: host.HopTCP, Target: target, Fault: w.fault(), Seen: w.said()}, 0, w.end)
		return out
	}

	secure := w.url.Scheme == "https"
	through := w.tls != nil || len(w.chain) > 0
	began := connected
	if proxy != nil && secure { // CONNECT
		h := host.Hop{Kind: host.HopProxy, Target: proxy.Host}
		done, received := w.when(statusReceived, 0)
		switch {
		case through:
			if !received {
				done = began
			}
			add(h, began, done)
			began = done
		case w.answer != nil: // nobody shook hands: this is the proxy's own answer
			w.proxySays(&h)
			add(h, began, w.end)
			return out
		case w.handshook():
			add(h, began, done)
			began = max(began, done)
		default:
			h.Fault, h.Seen = w.fault(), w.said()
			add(h, began, w.end)
			return out
		}
	}
	if secure {
		done, sent := w.when(statusSent, 0)
		if proxy != nil {
			done, sent = w.when(statusSent, 1) // the first was CONNECT
		}
		h := host.Hop{Kind: host.HopTLS, Target: w.url.Hostname(), TLS: w.tls}
		fault, seen := w.tlsFault(sent)
		if h.Fault, h.Seen = fault, seen; fault != "" {
			add(h, began, w.end)
			return out
		}
		if !sent {
			done = began
		}
		add(h, began, done)
		began = done
	}

	// The request.
	h := host.Hop{Kind: host.HopHTTP, Target: w.url.String()}
	if proxy != nil && !secure {
		h.Kind = host.HopProxy
	}
	if w.answer == nil {
		h.Fault, h.Seen = w.fault(), w.said()
		add(h, began, w.end)
		return out
	}
	h.Status, h.Agent = w.answer.Status, agentOf(w.answer)
	if h.Kind == host.HopProxy {
		if proxySpeaks(w.answer) {
			w.proxySays(&h)
			add(h, began, w.end)
			return out
		}
		answered, _ := w.when(statusReceived, 0)
		add(h, began, answered)
		began = max(began, answered)
		h = host.Hop{Kind: host.HopHTTP, Target: w.url.String(), Status: w.answer.Status, Agent: w.answer.Get("Server")}
	}
	if w.reading {
		h.Fault, h.Seen = w.fault(), w.said()
	}
	add(h, began, w.end)
	return out
}

// handshook reports whether an error is one of a handshake.
func (w *witness) handshook() bool {
	return w.errno == errChannel || w.errno == errSecureFailure || w.errno == errClientCert || w.insecure() != 0
}

// exchange is all that a witness saw, as a walk records it.
func (w *witness) exchange(began time.Time) host.Exchange {
	ex := host.Exchange{Request: w.req, Began: began, Took: w.end, Hops: w.hops(), Body: w.body, Length: w.length}
	if a := w.answer; a != nil && !w.own(ex.Hops) {
		ex.Status, ex.Header = a.Status, a.Fields
	}
	return ex
}

// own reports whether the answer is the proxy's and not the server's.
func (w *witness) own(hops []host.Hop) bool {
	return len(hops) > 0 && hops[len(hops)-1].Kind == host.HopProxy
}

// proxySays fills in what a proxy answered itself.
func (w *witness) proxySays(h *host.Hop) {
	h.Status, h.Agent = w.answer.Status, agentOf(w.answer)
	if at, err := http.ParseTime(w.answer.Get("Date")); err == nil {
		h.Date = at
	}
	for _, c := range proxyauth.ParseChallenges(w.answer.Values("Proxy-Authenticate")) {
		h.Challenges = append(h.Challenges, host.Challenge{Scheme: c.Scheme, Realm: c.Realm})
	}
	switch h.Status {
	case http.StatusProxyAuthRequired:
		h.Fault = host.FaultProxyAuth
	case http.StatusForbidden, http.StatusUnauthorized, http.StatusMethodNotAllowed, http.StatusUnavailableForLegalReasons:
		h.Fault = host.FaultProxyDenied
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		h.Fault = host.FaultProxyGateway
	default:
		h.Fault = host.FaultProxyStatus
	}
}

// proxySpeaks reports whether an answer to a plain request is the proxy's own.
func proxySpeaks(a *httpwire.Message) bool {
	if a.Status == http.StatusProxyAuthRequired {
		return true
	}
	return a.Status >= 400 && slices.ContainsFunc([]string{"X-Squid-Error", "Proxy-Authenticate", "Proxy-Status", "X-Proxy-Error", "Proxy-Connection"},
		func(name string) bool { return a.Get(name) != "" })
}

func agentOf(a *httpwire.Message) string {
	for _, name := range []string{"Via", "Server", "X-Squid-Error"} {
		if v := a.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// said is WinHTTP's own error, for quotes.
func (w *witness) said() string {
	if w.errno == 0 {
		return ""
	}
	s := "WinHTTP " + strconv.FormatUint(uint64(w.errno), 10)
	if f := w.insecure(); f != 0 {
		s += fmt.Sprintf(", secure failure %#x", f)
	}
	return s
}

// insecure joins the reasons of all secure failures.
func (w *witness) insecure() uint32 {
	var f uint32
	for _, n := range w.notes {
		if n.status == statusInsecure {
			f |= n.number
		}
	}
	return f
}

func (w *witness) addresses() []netip.Addr {
	var out []netip.Addr
	for _, n := range w.notes {
		if n.status != statusResolved {
			continue
		}
		for s := range strings.FieldsFuncSeq(n.text, func(r rune) bool { return r == ';' || r == ',' || r == ' ' }) {
			if a, err := netip.ParseAddr(s); err == nil && len(out) < 64 {
				out = append(out, a.Unmap())
			}
		}
	}
	return out
}

// tried lists the addresses that WinHTTP connected to, in order. It names an
// address without its port.
func (w *witness) tried() []host.Dial {
	port := portOf(w.url)
	if !w.req.Via.Direct() {
		if p, err := parseProxy(w.req.Via.Proxy); err == nil {
			port = portOf(p)
		}
	}
	var out []host.Dial
	for i, n := range w.notes {
		if n.status != statusConnecting || len(out) >= 64 {
			continue
		}
		a, err := netip.ParseAddr(strings.Trim(n.text, "[]"))
		if err != nil {
			continue
		}
		d := host.Dial{Remote: netip.AddrPortFrom(a.Unmap(), port), Took: w.end - n.at}
		for _, later := range w.notes[i+1:] {
			if later.status == statusConnected || later.status == statusConnecting {
				d.Took = later.at - n.at
				break
			}
		}
		out = append(out, d)
	}
	return out
}

// connectFault: WinHTTP gives one error for a refusal, a dead route and a filter;
// the same account asks Windows itself.
func (w *witness) connectFault(remote netip.AddrPort) host.Fault {
	if w.errno == errTimeout {
		return host.FaultTimeout
	}
	if w.dial != nil && remote.IsValid() {
		if f := w.dial(remote); f != "" {
			return f
		}
	}
	return host.FaultRefused
}

// fault names an error at a leg where nothing more is known.
func (w *witness) fault() host.Fault {
	switch w.errno {
	case errTimeout:
		return host.FaultTimeout
	case errNameNotResolved:
		return host.FaultNoName
	case errCannotConnect:
		return host.FaultRefused
	case errInvalidResponse:
		return host.FaultNotHTTP
	case errHeaderCount, errHeaderSize:
		return host.FaultEndless
	case errClientCert, errChannel:
		return host.FaultAlert
	}
	return host.FaultReset
}

// tlsFault says what was wrong with a handshake. sent: the request went out after it.
func (w *witness) tlsFault(sent bool) (host.Fault, string) {
	flags := w.insecure()
	var issuer string
	if len(w.chain) > 0 {
		issuer = "issued by " + w.chain[0].Issuer.String()
	}
	switch {
	case w.errno == 0 || flags == 0 && sent:
		if w.judge != nil {
			return w.judge(w.req, w.chain)
		}
		return "", ""
	case flags&insecureDate != 0:
		for _, c := range w.chain {
			if w.now.Before(c.NotBefore) {
				return host.FaultNotYet, w.said()
			}
		}
		return host.FaultExpired, w.said()
	case flags&(insecureCA|insecureInvalid|insecureRevoked|insecureUsage) != 0:
		if w.judge != nil && w.req.Pinned {
			if f, seen := w.judge(w.req, w.chain); f == host.FaultIssuer {
				return f, seen
			}
		}
		return host.FaultUntrusted, strings.TrimPrefix(strings.TrimSuffix(w.said()+", "+issuer, ", "), ", ")
	case flags&insecureName != 0:
		return host.FaultCertName, w.said()
	case flags&insecureRevFailed != 0:
		return host.FaultUntrusted, w.said()
	case w.errno == errTimeout:
		return host.FaultTimeout, w.said()
	case w.errno == errChannel || w.errno == errSecureFailure || flags&insecureChannel != 0:
		return host.FaultAlert, w.said()
	}
	return w.fault(), w.said()
}

var errProxyAddress = errors.New("not the address of an http proxy")

// parseProxy reads "http://host:port" or "host:port". WinHTTP knows no other kind.
func parseProxy(s string) (*url.URL, error) {
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" {
		return nil, errProxyAddress // not quoted: it may hold a password
	}
	u.User = nil
	if u.Port() == "" {
		u.Host += ":80"
	}
	return u, nil
}

// portOf is the port of an address, by its scheme where it names none.
func portOf(u *url.URL) uint16 {
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		return uint16(n)
	}
	if u.Scheme == "https" {
		return 443
	}
	return 80
}

func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	return u.Host + ":" + strconv.Itoa(int(portOf(u)))
}

// parseHead reads the head of an answer as WinHTTP keeps it.
func parseHead(raw, method string) (*httpwire.Message, error) {
	raw = strings.TrimRight(raw, "\x00")
	if !strings.HasSuffix(raw, "\r\n\r\n") {
		raw = strings.TrimRight(raw, "\r\n") + "\r\n\r\n"
	}
	m, err := httpwire.ReadAnswer(bufio.NewReader(strings.NewReader(raw)), method)
	if err != nil {
		return nil, fmt.Errorf("read the head of an answer: %w", err)
	}
	return m, nil
}

// certificates describes a chain.
func certificates(chain []*x509.Certificate) []host.Certificate {
	var out []host.Certificate
	for _, c := range chain {
		sum := sha256.Sum256(c.Raw)
		out = append(out, host.Certificate{
			Subject: c.Subject.String(), Issuer: c.Issuer.String(), Names: c.DNSNames[:min(20, len(c.DNSNames))],
			NotBefore: c.NotBefore, NotAfter: c.NotAfter, SHA256: hex.EncodeToString(sum[:]),
		})
	}
	return out
}

// ordered puts certificates into the order of a chain, the leaf first.
func ordered(leaf *x509.Certificate, others []*x509.Certificate) []*x509.Certificate {
	const maxChain = 10
	out := []*x509.Certificate{leaf}
	for len(out) < maxChain {
		last := out[len(out)-1]
		if bytes.Equal(last.RawIssuer, last.RawSubject) {
			break
		}
		i := slices.IndexFunc(others, func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, last.RawIssuer) && !slices.ContainsFunc(out, c.Equal)
		})
		if i < 0 {
			break
		}
		out = append(out, others[i])
	}
	return out
}

var errAddress = errors.New("not an http or https address")

// target reads the address of a request.
func target(r host.Request) (*url.URL, error) {
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("request %s: %w", r.ID, errAddress)
	}
	u.User = nil
	return u, nil
}
