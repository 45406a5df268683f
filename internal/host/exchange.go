package host

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"updoc/internal/codes"
	"updoc/internal/httpwire"
)

// Exchanger sends one request and tells what happened to it, hop by hop. A hop
// that fails is a result, not an error; an error means that nothing was tried:
// the context had ended, the URL made no sense, or a recording does not hold the
// request ([ErrNotRecorded]). Implementations are safe for concurrent use.
type Exchanger interface {
	Exchange(ctx context.Context, r Request) (Exchange, error)
}

// Request is one HTTP request as a part of Windows would send it. It holds no
// credentials, so that it may be recorded and shown.
type Request struct {
	ID     string  `json:"id"` // its name in the plan: "scan.sls"
	Method string  `json:"method"`
	URL    string  `json:"url"`
	Header []Field `json:"header,omitempty"` // in the order of the wire; Host and Content-Length are added where they are missing
	Body   []byte  `json:"body,omitempty"`
	Via    Via     `json:"via"`
	Keep   int     `json:"keep,omitempty"`   // bytes of the answer's body to keep; 0 means 64 KiB
	Pinned bool    `json:"pinned,omitempty"` // the caller accepts Microsoft's own roots only
}

// Field is one header field, with the letter case of the wire.
type Field = httpwire.Field

// Via is how a request leaves the machine, and who decided so.
type Via struct {
	Proxy  string `json:"proxy,omitempty"`  // "http://proxy.example:8080" or "socks5://..."; "" is the direct way
	Source string `json:"source,omitempty"` // the setting that says so: "netsh winhttp show proxy", "PAC http://wpad/wpad.dat"
}

// Direct reports whether no proxy stands in between.
func (v Via) Direct() bool { return v.Proxy == "" }

// Exchange is what happened to one request.
type Exchange struct {
	Request Request       `json:"request"`
	Began   time.Time     `json:"began"`
	Took    time.Duration `json:"took"` // nanoseconds
	Hops    []Hop         `json:"hops"` // in the order in which they were made; at most one has a fault, and it is the last
	Status  int           `json:"status,omitempty"`
	Header  []Field       `json:"answer,omitempty"` // of the answer, as received
	Body    []byte        `json:"body,omitempty"`   // its first bytes, decoded from chunks
	Closed  bool          `json:"closed,omitempty"` // whoever answered lets nothing follow on the connection
	Length  int64         `json:"length,omitempty"` // bytes of body that were received
}

// Broken returns the hop that failed, or nil if the request was answered as it
// should be.
func (e *Exchange) Broken() *Hop {
	for i := range e.Hops {
		if e.Hops[i].Fault != "" {
			return &e.Hops[i]
		}
	}
	return nil
}

// Get returns the first header field of the answer with that name, in any letter case.
func (e *Exchange) Get(name string) string {
	for _, f := range e.Header {
		if equalFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// HopKind says which leg of a route a hop is.
type HopKind string

// The legs, in the order in which a request makes them. A proxy's tunnel is the
// proxy hop; what travels through it has its own tls and http hops.
const (
	HopDecision HopKind = "decision" // which proxy, by which setting
	HopDNS      HopKind = "dns"
	HopTCP      HopKind = "tcp"
	HopProxy    HopKind = "proxy" // CONNECT, or the proxy's own answer to a plain request
	HopTLS      HopKind = "tls"
	HopHTTP     HopKind = "http"
	HopService  HopKind = "service" // what the answer says: SOAP, service locator
	HopContent  HopKind = "content" // ranges, lengths, digests
)

// Hop is one leg of a request's way. Only the fields of its kind are set.
type Hop struct {
	Kind   HopKind       `json:"kind"`
	Target string        `json:"target"` // host name, address and port, or URL without credentials
	At     time.Duration `json:"at"`     // since the exchange began
	Took   time.Duration `json:"took"`
	Fault  Fault         `json:"fault,omitempty"` // "" if the leg went well
	Seen   string        `json:"seen,omitempty"`  // what was seen, in a few technical words; may hold data from the wire

	Addresses  []netip.Addr   `json:"addresses,omitempty"`  // dns: all answers of both families
	Resolver   string         `json:"resolver,omitempty"`   // dns: "hosts file", or the server that was asked, if known
	Remote     netip.AddrPort `json:"remote,omitzero"`      // tcp: where the connection stands, or the last address tried
	Tried      []Dial         `json:"tried,omitempty"`      // tcp: every address that was dialled
	Status     int            `json:"status,omitempty"`     // proxy, http
	Challenges []Challenge    `json:"challenges,omitempty"` // proxy: what a 407 offers
	Agent      string         `json:"agent,omitempty"`      // proxy, http: Via or Server of who answered
	Date       time.Time      `json:"date,omitzero"`        // proxy: the time that its own answer carries
	SignedIn   string         `json:"signedIn,omitempty"`   // proxy: the scheme that the given credentials satisfied
	Silent     time.Duration  `json:"silent,omitempty"`     // http: how long nothing had come when the time for the body was over
	TLS        *TLS           `json:"tls,omitempty"`
	Result     codes.HRESULT  `json:"result,omitzero"` // service: what the update agent makes of the answer, where that says so exactly
}

// Dial is one attempt to connect.
type Dial struct {
	Remote netip.AddrPort `json:"remote"`
	Took   time.Duration  `json:"took"`
	Fault  Fault          `json:"fault,omitempty"`
}

// Challenge is one way of signing in that a proxy offers.
type Challenge struct {
	Scheme string `json:"scheme"` // Basic, Digest, NTLM, Negotiate, ...
	Realm  string `json:"realm,omitempty"`
}

// TLS is what a handshake showed.
type TLS struct {
	Version string        `json:"version,omitempty"` // "TLS 1.2"
	Cipher  string        `json:"cipher,omitempty"`
	Chain   []Certificate `json:"chain,omitempty"` // as presented, the server's first
	Trusted bool          `json:"trusted"`         // it leads to a root that was given, at the time of the walk, for this name
}

// Certificate is what of a certificate tells who stands behind it.
type Certificate struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Names     []string  `json:"names,omitempty"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	SHA256    string    `json:"sha256"` // of the certificate, lower-case hex
}

// Fault names why a leg failed. Faults are what predictions and causes are keyed
// on, so that no message of an operating system has to be matched.
type Fault string

// The faults, by the leg that shows them.
const (
	FaultPAC     Fault = "pac"      // decision: the script could not be fetched or failed; Seen says which
	FaultNoProxy Fault = "no-proxy" // decision: a list that names no usable proxy

	FaultNoName       Fault = "no-name"       // dns: the resolver says that there is no such name
	FaultNoAddress    Fault = "no-address"    // dns: the name exists without an address
	FaultNoResolver   Fault = "no-resolver"   // dns: nobody answered, or the resolver failed
	FaultSunk         Fault = "sunk"          // dns: the name leads to an address that cannot be it (0.0.0.0, loopback)
	FaultRefused      Fault = "refused"       // tcp: reset in answer to the first packet
	FaultTimeout      Fault = "timeout"       // any: nothing came in time
	FaultReset        Fault = "reset"         // tls, http, content, proxy: the connection was torn down
	FaultUnreachable  Fault = "unreachable"   // tcp: a router or the system says that there is no way
	FaultBlocked      Fault = "blocked"       // tcp: this machine's own firewall forbids it
	FaultClosed       Fault = "closed"        // tls, http, content: an orderly end where an answer was due
	FaultProxyAuth    Fault = "proxy-auth"    // proxy: 407 that was not satisfied
	FaultSignIn       Fault = "sign-in"       // proxy: 407 again, after the given credentials were presented in full
	FaultProxyDenied  Fault = "proxy-denied"  // proxy: 403 and the like, by the proxy itself
	FaultProxyGateway Fault = "proxy-gateway" // proxy: 502, 503, 504: the proxy did not reach the server
	FaultProxyStatus  Fault = "proxy-status"  // proxy: any other refusal

	FaultNotTLS    Fault = "not-tls"    // tls: the answer is not TLS
	FaultAlert     Fault = "alert"      // tls: the server ends the handshake with an alert
	FaultVersion   Fault = "version"    // tls: no common version or cipher suite
	FaultIssuer    Fault = "issuer"     // tls: a chain that does not lead to Microsoft: somebody intercepts
	FaultUntrusted Fault = "untrusted"  // tls: a chain to a root that is not trusted
	FaultExpired   Fault = "expired"    // tls: by this clock, a certificate is over
	FaultNotYet    Fault = "not-yet"    // tls: by this clock, a certificate is not valid yet
	FaultCertName  Fault = "cert-name"  // tls: a certificate for another name
	FaultNotHTTP   Fault = "not-http"   // http, proxy: the answer is not HTTP
	FaultEndless   Fault = "endless"    // http: a header without an end, or a body beyond every bound
	FaultStatus    Fault = "status"     // http: a status other than the one asked for; Status says which
	FaultRedirect  Fault = "redirect"   // http: sent elsewhere where nothing should
	FaultPortal    Fault = "portal"     // http: a web page where none is due: a sign-in or block page
	FaultSOAP      Fault = "soap-fault" // service: the service answers with a fault; Seen holds its code
	FaultAnswer    Fault = "answer"     // service: an answer that is not what the service sends
	FaultRange     Fault = "range"      // content: a range was asked for, the answer is none or another
	FaultLength    Fault = "length"     // content: no length, a wrong one, or fewer bytes than announced
	FaultDigest    Fault = "digest"     // content: other bytes than the digest says
	FaultHeader    Fault = "header"     // content: header fields were changed or taken away on the way
)

// Tell says what a hop showed in a few technical words, for quotes: its kind, its
// target, its fault and what was seen.
func (h *Hop) Tell() string {
	if h == nil {
		return "answered"
	}
	parts := []string{string(h.Kind) + " " + h.Target, string(h.Fault)}
	if h.Status != 0 { // who answered and what says it all
		parts = []string{string(h.Kind) + " answers " + strconv.Itoa(h.Status)}
	}
	var schemes []string
	for _, c := range h.Challenges {
		if !slices.Contains(schemes, c.Scheme) {
			schemes = append(schemes, c.Scheme)
		}
	}
	if len(schemes) > 0 {
		parts = append(parts, "offers "+strings.Join(schemes, "/"))
	}
	if h.Seen != "" {
		parts = append(parts, h.Seen)
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}
