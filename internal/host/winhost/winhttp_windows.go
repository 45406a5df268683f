package winhost

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// How long WinHTTP may take for each leg. They are those of the walk over Go's own
// network, so that the two can be laid side by side.
const (
	nameTime    = 5 * time.Second
	connectTime = 5 * time.Second
	answerTime  = 10 * time.Second
	wholeTime   = 30 * time.Second // for all of it
	reasonTime  = 3 * time.Second  // to ask why a connection cannot be made
	closeTime   = 5 * time.Second  // until a handle that is closed has let go
)

// Options and flags of WinHTTP. learn.microsoft.com: "Option Flags (WinHTTP)".
const (
	flagAsync         = 0x10000000
	flagSecure        = 0x00800000
	flagEscapeDisable = 0x00000040

	optionContext        = 45
	optionFeatures       = 63 // WINHTTP_OPTION_DISABLE_FEATURE
	optionSecurityFlags  = 31
	optionRedirectPolicy = 88
	optionServerCert     = 78
	optionSecurityInfo   = 151

	disableCookies   = 1
	disableRedirects = 2
	disableKeepAlive = 8

	ignoreAllOfTLS = 0x3300 // unknown CA, wrong usage, wrong name, wrong date

	queryRawHeaders = 22 // WINHTTP_QUERY_RAW_HEADERS_CRLF
	addHeader       = 0x20000000
	replaceHeader   = 0x80000000

	allNotifications = 0xFFFFFFFF
)

// WinHTTP sends requests as Windows Update does: with Schannel, the machine's own
// roots and WinHTTP's handling of proxies, as the account of the process. It
// implements [host.Exchanger], and is the deciding witness for TLS and for
// firewalls that tell programs and accounts apart. It follows no redirect, keeps
// no cookie and no connection. The zero value works.
type WinHTTP struct {
	// Judge says what is wrong with a chain that Windows accepts, such as an
	// issuer other than Microsoft for a pinned request; nil: nothing.
	Judge func(host.Request, []*x509.Certificate) (host.Fault, string)
}

// Exchange implements [host.Exchanger].
func (x *WinHTTP) Exchange(ctx context.Context, req host.Request) (host.Exchange, error) {
	u, err := target(req)
	if err != nil {
		return host.Exchange{}, err
	}
	if err := ctx.Err(); err != nil {
		return host.Exchange{}, err
	}
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, wholeTime)
	defer cancel()
	w := &witness{req: req, url: u, now: began, judge: x.Judge, dial: func(a netip.AddrPort) host.Fault { return whyNot(ctx, a) }}
	if !req.Via.Direct() {
		if _, err := parseProxy(req.Via.Proxy); err != nil {
			return w.exchange(began), nil
		}
	}
	if err := send(limited, w, 0, keep(req)); err != nil {
		return host.Exchange{}, fmt.Errorf("request %s: %w", req.ID, err)
	}
	if ctx.Err() != nil { // it was stopped, so the fault is ours
		return host.Exchange{}, ctx.Err()
	}
	if w.errno != 0 && len(w.chain) == 0 && (w.insecure()&^insecureChannel != 0 || w.errno == errSecureFailure) {
		w.chain = chainOf(limited, req, u)
	}
	if w.tls == nil && len(w.chain) > 0 {
		w.tls = &host.TLS{Chain: certificates(w.chain)}
	}
	return w.exchange(began), nil
}

// keep is how much of the body is to be kept.
func keep(r host.Request) int {
	const most = 16 << 20
	if r.Keep > 0 {
		return min(r.Keep, most)
	}
	return 64 << 10
}

// chainOf asks once more, for the chain alone, where Windows refused it: who
// intercepts stands in it. Nothing is sent that the first request did not hold.
func chainOf(ctx context.Context, req host.Request, u *url.URL) []*x509.Certificate {
	req.Method, req.Body, req.Header = "HEAD", nil, nil
	w := &witness{req: req, url: u}
	if err := send(ctx, w, ignoreAllOfTLS, 0); err != nil {
		return nil
	}
	return w.chain
}

// whyNot connects to an address as this account and names what Windows says of it.
func whyNot(ctx context.Context, a netip.AddrPort) host.Fault {
	ctx, cancel := context.WithTimeout(ctx, reasonTime)
	defer cancel()
	c, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", a.String())
	if err == nil {
		_ = c.Close()
		return ""
	}
	// learn.microsoft.com: "Windows Sockets Error Codes".
	switch {
	case is(err, 10013):
		return host.FaultBlocked // WSAEACCES: the filtering platform denies it
	case is(err, 10061):
		return host.FaultRefused
	case is(err, 10050, 10051, 10065, 10049):
		return host.FaultUnreachable
	case is(err, 10060), errors.Is(err, context.DeadlineExceeded):
		return host.FaultTimeout
	case is(err, 10054, 10053):
		return host.FaultReset
	}
	return ""
}

// wire is one request of WinHTTP under way. Its buffers belong to WinHTTP until
// the handles are closed, which it says in a callback.
type wire struct {
	began time.Time
	buf   [16 << 10]byte
	body  []byte // of the request

	mu     sync.Mutex
	notes  []note
	events []event
	wake   chan struct{}
	closed chan struct{} // the last handle has let go
	main   internet      // it
}

// event is what a request waits for.
type event struct {
	status uint32
	n      uint32 // bytes read or available
	errno  uint32
}

// maxNotes bounds the reports of one request: an answer that trickles gives many.
const maxNotes = 2000

// wires finds the request that a callback belongs to. WinHTTP calls with a number
// and never with a pointer, so a call that comes too late finds nothing.
type wires struct {
	mu   sync.Mutex
	next uintptr
	all  map[uintptr]*wire
	call uintptr
}

func (w *wires) add(x *wire) uintptr {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next++
	w.all[w.next] = x
	return w.next
}

func (w *wires) get(id uintptr) *wire {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all[id]
}

func (w *wires) drop(id uintptr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, id)
}

// theWires is there once: a callback of Go's is never freed.
var theWires = sync.OnceValue(func() *wires {
	w := &wires{all: map[uintptr]*wire{}}
	w.call = syscall.NewCallback(func(handle, id, status uintptr, info unsafe.Pointer, size uintptr) uintptr {
		if x := w.get(id); x != nil && x.report(internet(handle), uint32(status), info, uint32(size)) {
			w.drop(id)
			close(x.closed)
		}
		return 0
	})
	return w
})

// asyncResult is WINHTTP_ASYNC_RESULT.
type asyncResult struct {
	Result uintptr
	Error  uint32
}

// report is called by WinHTTP, from its own threads, and only takes down. It
// returns whether this was the last of it.
func (x *wire) report(handle internet, status uint32, info unsafe.Pointer, size uint32) (last bool) {
	n := note{at: time.Since(x.began), status: status}
	var e event
	switch status {
	case statusResolving, statusResolved, statusConnecting, statusConnected:
		if info != nil {
			n.text = windows.UTF16PtrToString((*uint16)(info))
		}
	case statusInsecure:
		if info != nil {
			n.number = *(*uint32)(info)
		}
	case statusSending, statusSent, statusReceiving, statusReceived:
	case statusSendComplete, statusHeaders:
		e.status = status
	case statusRead:
		e = event{status: status, n: size}
	case statusError:
		e.status = status
		if info != nil {
			e.errno = (*asyncResult)(info).Error
		}
	case statusClosing:
		x.mu.Lock()
		defer x.mu.Unlock()
		return handle == x.main
	default:
		return false
	}
	x.mu.Lock()
	if len(x.notes) < maxNotes {
		x.notes = append(x.notes, n)
	}
	if e.status != 0 {
		x.events = append(x.events, e)
	}
	x.mu.Unlock()
	select {
	case x.wake <- struct{}{}:
	default:
	}
	return false
}

// await returns the next event, or an error of WinHTTP.
func (x *wire) await(ctx context.Context, want uint32) (event, uint32) {
	for {
		x.mu.Lock()
		for len(x.events) > 0 {
			e := x.events[0]
			x.events = x.events[1:]
			if e.status == want || e.status == statusError {
				x.mu.Unlock()
				return e, e.errno
			}
		}
		x.mu.Unlock()
		select {
		case <-x.wake:
		case <-ctx.Done():
			return event{}, errTimeout
		}
	}
}

// errnoOf is the number of an error of Windows.
func errnoOf(err error) uint32 {
	var errno windows.Errno
	if errors.As(err, &errno) && errno != 0 {
		return uint32(errno)
	}
	return uint32(windows.ERROR_GEN_FAILURE)
}

// send makes one request and fills in the witness. An error means that WinHTTP could
// not even be asked.
func send(ctx context.Context, w *witness, ignore uint32, keep int) error {
	access, proxy := uint32(accessNoProxy), ""
	if !w.req.Via.Direct() {
		p, err := parseProxy(w.req.Via.Proxy)
		if err != nil {
			return err
		}
		access, proxy = accessNamedProxy, p.Host
	}
	session, err := openSession(access, proxy, "", flagAsync)
	if err != nil {
		return err
	}
	all := theWires()
	x := &wire{began: time.Now(), body: slices.Clone(w.req.Body), wake: make(chan struct{}, 1), closed: make(chan struct{})}
	id := all.add(x)
	connection, request := internet(0), internet(0)
	defer func() {
		// The request goes first: when it has let go, nobody writes to the buffer.
		last := session
		for _, h := range []internet{request, connection} {
			if h != 0 {
				last = h
				break
			}
		}
		x.mu.Lock()
		x.main = last
		x.mu.Unlock()
		for _, h := range []internet{request, connection, session} {
			if h != 0 {
				h.close()
			}
		}
		// Until it has let go it stays where it is found: a buffer must not be gone
		// while somebody writes to it.
		patience := closeTime
		if ctx.Err() != nil {
			patience = 50 * time.Millisecond
		}
		select {
		case <-x.closed:
		case <-time.After(patience):
		}
		w.end = time.Since(x.began)
		x.mu.Lock()
		w.notes = slices.Clone(x.notes)
		x.mu.Unlock()
	}()
	if err := session.set(optionContext, unsafe.Pointer(&id), unsafe.Sizeof(id)); err != nil {
		return err
	}
	if r, err := invoke(dllWinHTTP, "WinHttpSetStatusCallback", uintptr(session), all.call, allNotifications, 0); r == ^uintptr(0) {
		return wrap("WinHttpSetStatusCallback", err)
	}
	if _, err := invokeBool(dllWinHTTP, "WinHttpSetTimeouts", uintptr(session), ms(nameTime), ms(connectTime), ms(answerTime), ms(answerTime)); err != nil {
		return err
	}
	port := portOf(w.url)
	r, err := invokeBool(dllWinHTTP, "WinHttpConnect", uintptr(session), uintptr(unsafe.Pointer(utf16ptr(w.url.Hostname()))), uintptr(port), 0)
	if err != nil {
		return err
	}
	connection = internet(r)
	flags := uintptr(flagEscapeDisable)
	if w.url.Scheme == "https" {
		flags |= flagSecure
	}
	r, err = invokeBool(dllWinHTTP, "WinHttpOpenRequest", uintptr(connection), uintptr(unsafe.Pointer(utf16ptr(w.req.Method))),
		uintptr(unsafe.Pointer(utf16ptr(w.url.RequestURI()))), 0, 0, 0, flags)
	if err != nil {
		return err
	}
	request = internet(r)
	if err := request.configure(w.req, ignore); err != nil {
		return err
	}
	w.errno = x.run(ctx, w, request, keep, id)
	return nil
}

func ms(d time.Duration) uintptr { return uintptr(d / time.Millisecond) }

func (i internet) set(option uint32, value unsafe.Pointer, size uintptr) error {
	_, err := invokeBool(dllWinHTTP, "WinHttpSetOption", uintptr(i), uintptr(option), uintptr(value), size)
	return err
}

func (i internet) setNumber(option, value uint32) error {
	return i.set(option, unsafe.Pointer(&value), unsafe.Sizeof(value))
}

// configure sets what a request may not do, and its fields.
func (i internet) configure(req host.Request, ignore uint32) error {
	if err := i.setNumber(optionRedirectPolicy, 0); err != nil { // never
		return err
	}
	if err := i.setNumber(optionFeatures, disableCookies|disableRedirects|disableKeepAlive); err != nil {
		return err
	}
	if ignore != 0 {
		if err := i.setNumber(optionSecurityFlags, ignore); err != nil && strings.HasPrefix(req.URL, "https") {
			return err
		}
	}
	for _, f := range req.Header {
		if strings.ContainsAny(f.Name+f.Value, "\r\n\x00") {
			return fmt.Errorf("field %q: %w", f.Name, errAddress)
		}
		line := f.Name + ": " + f.Value + "\r\n"
		if _, err := invokeBool(dllWinHTTP, "WinHttpAddRequestHeaders", uintptr(i), uintptr(unsafe.Pointer(utf16ptr(line))), ^uintptr(0)&0xFFFFFFFF, addHeader|replaceHeader); err != nil {
			return err
		}
	}
	return nil
}

// run sends the request and reads its answer; it returns the error of WinHTTP.
func (x *wire) run(ctx context.Context, w *witness, request internet, keep int, id uintptr) uint32 {
	var body uintptr
	if len(x.body) > 0 {
		body = uintptr(unsafe.Pointer(&x.body[0])) // x holds it until the handle is closed
	}
	const maxLegs = 8 // of a sign-in with the account's own credentials, which WinHTTP makes by itself
	for leg := 1; ; leg++ {
		if _, err := invokeBool(dllWinHTTP, "WinHttpSendRequest", uintptr(request), 0, 0, body, uintptr(len(x.body)), uintptr(len(x.body)), id); err != nil {
			return errnoOf(err)
		}
		_, errno := x.await(ctx, statusSendComplete)
		w.tls, w.chain = request.handshake()
		if errno != 0 {
			return errno
		}
		if _, err := invokeBool(dllWinHTTP, "WinHttpReceiveResponse", uintptr(request), 0); err != nil {
			return errnoOf(err)
		}
		_, errno = x.await(ctx, statusHeaders)
		if errno == errResend && leg < maxLegs {
			continue
		}
		if errno != 0 {
			return errno
		}
		break
	}
	if w.tls == nil { // a tunnel's handshake comes only now, as does that of a resent request
		w.tls, w.chain = request.handshake()
	}
	raw, err := request.head()
	if err != nil {
		return errnoOf(err)
	}
	if w.answer, err = parseHead(raw, w.req.Method); err != nil {
		return errInvalidResponse
	}
	const maxBody = 16 << 20
	for w.length < maxBody {
		if _, err := invokeBool(dllWinHTTP, "WinHttpReadData", uintptr(request), uintptr(unsafe.Pointer(&x.buf[0])), uintptr(len(x.buf)), 0); err != nil {
			w.reading = true
			return errnoOf(err)
		}
		e, errno := x.await(ctx, statusRead)
		if errno != 0 {
			w.reading = true
			return errno
		}
		n := min(int(e.n), len(x.buf))
		if n == 0 {
			return 0
		}
		w.length += int64(n)
		w.body = append(w.body, x.buf[:min(n, keep-len(w.body))]...)
	}
	return 0
}

// head is the head of the answer, as it was received.
func (i internet) head() (string, error) {
	size := uint32(64 << 10)
	for range 2 {
		buf := make([]uint16, size/2+1)
		size = uint32(2 * len(buf))
		_, err := invokeBool(dllWinHTTP, "WinHttpQueryHeaders", uintptr(i), queryRawHeaders, 0, uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0)
		if err == nil {
			return windows.UTF16ToString(buf), nil
		}
		if !is(err, windows.ERROR_INSUFFICIENT_BUFFER) || size > 1<<20 {
			return "", err
		}
	}
	return "", wrap("WinHttpQueryHeaders", windows.ERROR_INSUFFICIENT_BUFFER)
}

// securityInfo is WINHTTP_SECURITY_INFO: SecPkgContext_ConnectionInfo and
// SecPkgContext_CipherInfo, as far as they are read. Windows 10 2004 and later.
type securityInfo struct {
	Protocol uint32
	_        [6]uint32 // cipher, hash and exchange with their strengths

	Version     uint32
	Protocol2   uint32
	CipherSuite uint32
	BaseSuite   uint32
	Suite       [64]uint16
	Cipher      [64]uint16
	CipherLen   uint32
	BlockLen    uint32
	Hash        [64]uint16
	HashLen     uint32
	Exchange    [64]uint16
	MinExchange uint32
	MaxExchange uint32
	Certificate [64]uint16
	KeyType     uint32
}

// handshake returns what TLS showed, nil if there was none.
func (i internet) handshake() (*host.TLS, []*x509.Certificate) {
	var cert *windows.CertContext
	size := uint32(unsafe.Sizeof(cert))
	if _, err := invokeBool(dllWinHTTP, "WinHttpQueryOption", uintptr(i), optionServerCert, uintptr(unsafe.Pointer(&cert)), uintptr(unsafe.Pointer(&size))); err != nil || cert == nil {
		return nil, nil
	}
	defer windows.CertFreeCertificateContext(cert)
	chain := chainFrom(cert)
	seen := &host.TLS{Chain: certificates(chain), Trusted: true}
	var info securityInfo
	size = uint32(unsafe.Sizeof(info))
	if _, err := invokeBool(dllWinHTTP, "WinHttpQueryOption", uintptr(i), optionSecurityInfo, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size))); err == nil {
		seen.Version = protocolName(info.Protocol)
		seen.Cipher = windows.UTF16ToString(info.Suite[:])
	}
	return seen, chain
}

// protocolName names a protocol of Schannel: SP_PROT_*_CLIENT.
func protocolName(p uint32) string {
	return map[uint32]string{0x20: "SSL 3.0", 0x80: "TLS 1.0", 0x200: "TLS 1.1", 0x800: "TLS 1.2", 0x2000: "TLS 1.3"}[p]
}

// chainFrom reads a certificate with those that came with it.
func chainFrom(c *windows.CertContext) []*x509.Certificate {
	leaf := parsed(c)
	if leaf == nil {
		return nil
	}
	var others []*x509.Certificate
	var next *windows.CertContext
	for len(others) < 50 && c.Store != 0 {
		var err error
		if next, err = windows.CertEnumCertificatesInStore(c.Store, next); err != nil || next == nil {
			next = nil
			break
		}
		if x := parsed(next); x != nil {
			others = append(others, x)
		}
	}
	if next != nil {
		_ = windows.CertFreeCertificateContext(next)
	}
	return ordered(leaf, others)
}

func parsed(c *windows.CertContext) *x509.Certificate {
	const maxCertificate = 1 << 20
	if c.EncodedCert == nil || c.Length == 0 || c.Length > maxCertificate {
		return nil
	}
	x, err := x509.ParseCertificate(slices.Clone(unsafe.Slice(c.EncodedCert, c.Length)))
	if err != nil {
		return nil
	}
	return x
}
