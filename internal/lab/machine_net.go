package lab

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // the digest that update metadata names
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/sorted"
	"updoc/internal/winlog"
)

// caller is the part of Windows that asks: each wraps the same trouble into codes of
// its own. learn.microsoft.com: "WUA Networking Error Codes", "WinHTTP Error Messages",
// "BITS Return Values".
type caller int

const (
	locator caller = iota // the update agent's first request, by WinHTTP itself
	agent                 // its SOAP, by Windows Web Services on top of WinHTTP
	bits                  // downloads
)

// Codes of requests that were not answered as they should.
const (
	eNameUnresolved  codes.HRESULT = 0x80072EE7
	eCannotConnect   codes.HRESULT = 0x80072EFD
	eTimedOut        codes.HRESULT = 0x80072EE2
	eConnectionEnded codes.HRESULT = 0x80072EFE
	eSecureFailure   codes.HRESULT = 0x80072F8F
	eAgentUnresolved codes.HRESULT = 0x8024402C
	eAgentUnreached  codes.HRESULT = 0x80240438
	eAgentTimedOut   codes.HRESULT = 0x8024401C
	eAgentAnswer     codes.HRESULT = 0x8024400A
	eProxyAuth       codes.HRESULT = 0x8024401B
	eTooManyTrips    codes.HRESULT = 0x80244010
	eBadDigest       codes.HRESULT = 0x80246002
	eNoRanges        codes.HRESULT = 0x80200013
	eInvalidProxy    codes.HRESULT = 0x80240030
	ePTCookie        codes.HRESULT = 0x80244015
)

// patience is how long a connection is waited for in real time, and inWindows how long
// it would be in Windows: the rest of it passes in the world alone. Who answers at all
// is given more, as the machine that plays all this may be busy.
const (
	patience  = 1500 * time.Millisecond
	answering = 15 * time.Second
	inWindows = 60 * time.Second
)

// proxySetting is a proxy as one setting has it.
type proxySetting struct {
	list, bypass string
	// decide, if not nil, is a script that says for each address what the list is; false
	// means that it fails, which is passed over.
	decide func(u *url.URL) (list string, ok bool)
}

// proxy is the setting that the services go by: that of WinHTTP, and where it is
// empty what is detected. learn.microsoft.com: "How the Windows Update client
// determines which proxy server to use to connect to the Windows Update Web site".
func (m *Machine) proxy(ctx context.Context) proxySetting {
	m.mu.RLock()
	r := m.now.Registry
	v, _ := r.value(internetSettings+`\Connections`, "WinHttpSettings")
	account, _ := r.value(`HKU\S-1-5-18\Software\Microsoft\Windows\CurrentVersion\Internet Settings\Connections`, "DefaultConnectionSettings")
	quiet := r.on(internetSettings+`\WinHttp`, "DisableWpad")
	m.mu.RUnlock()
	b, err := winlog.ParseWinHTTPBlob(v.Data)
	if err == nil && b.Auto() {
		if set, ok := m.script(ctx, b.PAC); ok {
			return set
		}
	}
	if err == nil && b.Static() {
		return proxySetting{list: b.Proxy, bypass: b.Bypass}
	}
	if own, err := winlog.ParseConnectionBlob(account.Data); err == nil && !own.Detect() {
		quiet = true
	}
	if set, ok := m.detect(ctx); ok && !quiet {
		return set
	}
	return proxySetting{}
}

// delivery is the setting that downloads go by: that of the user who is signed in, who
// is here always. learn.microsoft.com: "Using a proxy with Delivery Optimization".
func (m *Machine) delivery(ctx context.Context) proxySetting {
	v := read(m, func(s *state) winlog.RegValue {
		v, _ := s.Registry.value(`HKCU\Software\Microsoft\Windows\CurrentVersion\Internet Settings\Connections`, "DefaultConnectionSettings")
		return v
	})
	b, err := winlog.ParseConnectionBlob(v.Data)
	if err != nil {
		return m.proxy(ctx) // the user has never set anything
	}
	if b.Auto() {
		if set, ok := m.script(ctx, b.PAC); ok {
			return set
		}
	}
	if b.Detect() {
		if set, ok := m.detect(ctx); ok {
			return set
		}
	}
	if b.Static() {
		return proxySetting{list: b.Proxy, bypass: b.Bypass}
	}
	return proxySetting{}
}

const internetSettings = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings`

// detect asks for a script under the names that WPAD makes of the DNS suffixes.
func (m *Machine) detect(ctx context.Context) (proxySetting, bool) {
	if read(m, func(s *state) bool { return s.start("WinHttpAutoProxySvc").Type == winlog.ServiceDisabled }) {
		return proxySetting{}, false
	}
	for _, suffix := range m.suffixes() {
		if set, ok := m.script(ctx, "http://wpad."+suffix+"/wpad.dat"); ok {
			return set, true
		}
	}
	return proxySetting{}, false
}

// suffixes are the names under which a proxy is looked for: the DNS suffix, and those
// above it that are no public suffix.
func (m *Machine) suffixes() []string {
	var out []string
	all := slices.Clone(m.world.spec.Machine.Suffixes)
	if m.tunnelled() {
		all = append(all, read(m, func(s *state) string { return s.Tunnel.Suffix }))
	}
	for _, suffix := range all {
		for ; strings.Count(suffix, ".") >= 1; _, suffix, _ = strings.Cut(suffix, ".") {
			out = append(out, suffix)
		}
	}
	return out
}

// constantScript is the one form of script that this machine understands by itself: it
// sends everything the same way. Other scripts take an interpreter: see Machine.Script.
var constantScript = regexp.MustCompile(`^\s*function\s+FindProxyForURL\s*\(\s*\w+\s*,\s*\w+\s*\)\s*\{\s*return\s*"([^"]*)"\s*;?\s*\}\s*$`)

// script fetches a script and returns how it decides.
func (m *Machine) script(ctx context.Context, address string) (proxySetting, bool) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return proxySetting{}, false
	}
	res := m.send(req, nil, locator, "")
	match := constantScript.FindSubmatch(res.body)
	switch {
	case res.result.Failed():
		return proxySetting{}, false
	case match != nil:
		return proxySetting{list: proxiesOf(string(match[1]))}, true
	case m.Script == nil:
		return proxySetting{}, false
	}
	return proxySetting{decide: func(u *url.URL) (string, bool) {
		said, err := m.Script(ctx, res.body, u.String())
		return proxiesOf(said), err == nil
	}}, true
}

// proxiesOf turns what a script says into a list: the proxies before the first
// DIRECT, "" for none.
func proxiesOf(said string) string {
	var list []string
	for entry := range strings.SplitSeq(said, ";") {
		kind, at, ok := strings.Cut(strings.TrimSpace(entry), " ")
		if strings.EqualFold(kind, "DIRECT") {
			break
		}
		if ok && strings.EqualFold(kind, "PROXY") {
			list = append(list, strings.TrimSpace(at))
		}
	}
	return strings.Join(list, ";")
}

// choose returns the proxy for an address, nil for the direct way; false means that
// the setting names one that nobody can be.
func (p proxySetting) choose(u *url.URL) (*url.URL, bool) {
	if p.decide != nil {
		list, ok := p.decide(u)
		if !ok {
			return nil, true
		}
		p.list = list
	}
	if strings.TrimSpace(p.list) == "" || p.bypasses(u.Hostname()) {
		return nil, true
	}
	for field := range strings.FieldsFuncSeq(p.list, func(r rune) bool { return r == ';' || r == ' ' }) {
		scheme, at, ok := strings.Cut(field, "=")
		if !ok {
			scheme, at = u.Scheme, field
		}
		if !strings.EqualFold(scheme, u.Scheme) {
			continue
		}
		if _, rest, ok := strings.Cut(at, "://"); ok {
			at = rest
		}
		host, port, err := net.SplitHostPort(at)
		if err != nil {
			host, port = at, "80"
		}
		if n, err := strconv.Atoi(port); host == "" || err != nil || n < 1 || n > 65535 {
			return nil, false
		}
		return &url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}, true
	}
	return nil, true
}

func (p proxySetting) bypasses(host string) bool {
	for entry := range strings.FieldsFuncSeq(p.bypass, func(r rune) bool { return r == ';' || r == ' ' }) {
		if strings.EqualFold(entry, "<local>") && !strings.Contains(host, ".") || wild(entry, host) {
			return true
		}
	}
	return false
}

// reply is how a request went.
type reply struct {
	result codes.HRESULT
	status int
	body   []byte
	sent   bool   // a range came as it was asked for
	seen   string // what went wrong, in words of the log
	proxy  string
}

// statusError is a proxy's refusal of a tunnel.
type statusError int

func (e statusError) Error() string { return "HTTP status " + strconv.Itoa(int(e)) }

// send makes one request by a setting, as one of Windows' callers.
func (m *Machine) send(req *http.Request, setting *proxySetting, who caller, pinned string) reply {
	var via *url.URL
	if setting != nil {
		var ok bool
		if via, ok = setting.choose(req.URL); !ok {
			return reply{result: eInvalidProxy, seen: "Invalid proxy server name"}
		}
	}
	out := reply{}
	if via != nil {
		out.proxy = via.Host
	}
	ctx, cancel := context.WithTimeout(req.Context(), answering)
	defer cancel()
	var connected, waited atomic.Bool
	tr := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			c, err := m.dial(ctx, network, addr)
			if near, ok := c.(*conn); ok {
				near.giveUp(patience)
			}
			connected.Store(err == nil)
			waited.Store(err != nil && ctx.Err() != nil)
			return c, err
		},
		Proxy:           func(*http.Request) (*url.URL, error) { return via, nil },
		TLSClientConfig: m.tls(pinned),
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
			if res.StatusCode != http.StatusOK {
				return statusError(res.StatusCode)
			}
			return nil
		},
	}
	defer tr.CloseIdleConnections()
	res, err := tr.RoundTrip(req.WithContext(ctx))
	if err == nil {
		defer res.Body.Close()
		out.status = res.StatusCode
		out.sent = res.StatusCode == http.StatusPartialContent
		const most = 64 << 20
		out.body, err = io.ReadAll(io.LimitReader(res.Body, most))
	}
	var refused statusError
	switch {
	case errors.As(err, &refused):
		out.status, out.result = int(refused), who.status(int(refused))
		out.seen = fmt.Sprintf("The server returned HTTP status code '%d (0x%X)' with text '%s'.", refused, int(refused), http.StatusText(int(refused)))
	case err != nil:
		var timeout interface{ Timeout() bool }
		late := errors.As(err, &timeout) && timeout.Timeout()
		if out.result, out.seen = who.fault(err, connected.Load()); late || waited.Load() || ctx.Err() != nil {
			m.world.Advance(inWindows - patience)
		}
	case out.status >= http.StatusBadRequest:
		out.result = who.status(out.status)
		out.seen = fmt.Sprintf("The server returned HTTP status code '%d (0x%X)' with text '%s'.", out.status, out.status, http.StatusText(out.status))
	}
	return out
}

// tls is how far the machine trusts whom, and what it speaks.
func (m *Machine) tls(pinned string) *tls.Config {
	c := &tls.Config{RootCAs: m.world.Trusted(), Time: m.Now, MaxVersion: tls.VersionTLS13, MinVersion: tls.VersionTLS10}
	if pinned != "" {
		c.RootCAs = m.world.Roots()
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, v := range []struct {
		name  string
		below uint16
	}{{"TLS 1.3", tls.VersionTLS12}, {"TLS 1.2", tls.VersionTLS11}, {"TLS 1.1", tls.VersionTLS10}} {
		key := `HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\` + v.name + `\Client`
		enabled, set := m.now.Registry.number(key, "Enabled")
		if off := set && enabled == 0 || m.now.Registry.on(key, "DisabledByDefault"); !off {
			break
		}
		c.MaxVersion = v.below
	}
	return c
}

// errSunk says that the hosts file leads a name to an address where nobody can be.
var errSunk = errors.New("the hosts file leads nowhere")

// connect is the world's DialContext for whoever is on the machine: past its own
// firewall, to the addresses that resolve gives.
func (m *Machine) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	name, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	if ip, err := netip.ParseAddr(name); err == nil && ip.IsLoopback() && m.Local != nil {
		return m.Local(ctx, network, addr) // which no firewall is asked about
	}
	if m.filtered(network, port) || read(m, func(s *state) bool { return s.held(port) }) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("connect", errnoBlocked)}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return m.world.dial(ctx, m.world.machine, network, addr)
	}
	addrs, err := m.resolve(ctx, "ip", name)
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	var first error
	for _, a := range addrs {
		c, err := m.world.dial(ctx, m.world.machine, network, net.JoinHostPort(a.String(), port))
		if err == nil {
			return c, nil
		}
		first = cmpErr(first, err)
	}
	return nil, first
}

// resolve asks what the machine's DNS client remembers, then the world's resolver. The
// hosts file is not asked: whoever walks the route reads it beforehand.
func (m *Machine) resolve(ctx context.Context, network, name string) ([]netip.Addr, error) {
	m.mu.RLock()
	components, _ := m.now.Registry.number(`HKLM\SYSTEM\CurrentControlSet\Services\Tcpip6\Parameters`, "DisabledComponents")
	m.mu.RUnlock()
	if off, _ := m.setting("ipv6/ethernet"); off == "off" || components&noIPv6 == noIPv6 {
		switch network {
		case "ip6":
			return nil, nil
		case "ip":
			network = "ip4"
		}
	}
	kept, remembered := Addr{}, false
	m.mu.RLock()
	kept, remembered = m.now.Cache[strings.ToLower(strings.TrimSuffix(name, "."))]
	m.mu.RUnlock()
	switch {
	case remembered && !kept.IsValid():
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	case remembered:
		return family(network, []netip.Addr{kept}), nil
	}
	addrs, err := m.world.lookup(ctx, m.world.machine, network, name)
	// Windows prefers IPv6 where the machine has an address of it. RFC 6724.
	sorted.By(addrs, func(a, b netip.Addr) int {
		if components&preferIPv4 != 0 {
			a, b = b, a
		}
		return b.BitLen() - a.BitLen()
	})
	return addrs, err
}

// Bits of DisabledComponents. learn.microsoft.com: "Guidance for configuring IPv6 in
// Windows for advanced users".
const (
	preferIPv4 = 0x20
	noIPv6     = 0xff
)

// dial is DialContext after a look into the hosts file.
func (m *Machine) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	name, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	addrs, err := m.hosts(name)
	if err != nil {
		return nil, err
	}
	switch {
	case len(addrs) == 0:
		return m.connect(ctx, network, addr)
	case addrs[0].IsUnspecified() || addrs[0].IsLoopback():
		return nil, &net.OpError{Op: "dial", Net: network, Err: errSunk}
	}
	return m.connect(ctx, network, net.JoinHostPort(addrs[0].String(), port))
}

// hosts returns what the hosts file has for a name.
func (m *Machine) hosts(name string) ([]netip.Addr, error) {
	f, err := headOf(m.place(hostsFile))
	if err != nil {
		return nil, nil //nolint:nilerr // without a hosts file, names are asked for
	}
	list, err := winlog.ReadHosts(bytes.NewReader(f))
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, e := range list.Entries {
		if slices.ContainsFunc(e.Names, func(n string) bool { return strings.EqualFold(n, name) }) {
			out = append(out, e.Addr.Unmap())
		}
	}
	return out, nil
}

const hostsFile = `C:\Windows\System32\drivers\etc\hosts`

// filtered reports whether an active rule of the machine's own firewall stops
// connections to a port. learn.microsoft.com: [MS-FASP], firewall rule syntax.
func (m *Machine) filtered(network, port string) bool {
	if !strings.HasPrefix(network, "tcp") {
		return false
	}
	fw, err := m.firewall(context.Background())
	if err != nil {
		return false
	}
	return slices.ContainsFunc(fw.Blocking, func(r host.FirewallRule) bool {
		return r.Profiles&private != 0 && (r.Ports == "" || slices.Contains(strings.Split(r.Ports, ","), port))
	})
}

// private is the profile of the network that the machine is in, as a bit.
// learn.microsoft.com: "NET_FW_PROFILE_TYPE2".
const private = 2

// firewall is what the machine's firewall goes by: nothing where its service does not run.
func (m *Machine) firewall(ctx context.Context) (host.Firewall, error) {
	fw, err := host.ReadFirewall(ctx, m)
	if err != nil {
		return fw, err
	}
	fw.By = "com"
	for i := range fw.Profiles {
		fw.Profiles[i].Active = fw.Profiles[i].Name == "private"
	}
	s, err := m.Service(ctx, "mpssvc")
	if err == nil {
		fw.Service = s.State
	}
	if off := !fw.Profiles[slices.IndexFunc(fw.Profiles, func(p host.FirewallProfile) bool { return p.Active })].Enabled; err != nil || s.State != winlog.ServiceRunning || off {
		fw.Blocking = []host.FirewallRule{} // which are there and stop nothing
	}
	return fw, nil
}

const firewallRules = `HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules`

// status is the code of an HTTP status.
func (who caller) status(n int) codes.HRESULT {
	if who == bits {
		return codes.HRESULT(0x80190000 + n)
	}
	known := map[int]codes.HRESULT{
		400: 0x80244016, 401: 0x80244017, 403: 0x80244018, 404: 0x80244019, 405: 0x8024401A, 407: eProxyAuth, 408: eAgentTimedOut,
		409: 0x8024401D, 410: 0x8024401E, 500: 0x8024401F, 501: 0x80244020, 502: 0x80244021, 503: 0x80244022, 504: 0x80244023, 505: 0x80244024,
	}
	if h, ok := known[n]; ok {
		return h
	}
	return 0x8024402B
}

// fault is the code of a request that nobody answered, and words for it.
func (who caller) fault(err error, connected bool) (codes.HRESULT, string) {
	pick := func(soap, other codes.HRESULT) codes.HRESULT {
		if who == agent {
			return soap
		}
		return other
	}
	const endpoint = "There was an error communicating with the endpoint."
	var (
		unresolved *net.DNSError
		cert       *tls.CertificateVerificationError
		timeout    interface{ Timeout() bool }
		alert      tls.AlertError
		header     tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &unresolved):
		return pick(eAgentUnresolved, eNameUnresolved), "The name of the server or of the proxy could not be resolved."
	case errors.As(err, &cert), errors.As(err, new(x509.UnknownAuthorityError)), errors.As(err, new(x509.CertificateInvalidError)), errors.As(err, new(x509.HostnameError)):
		return eSecureFailure, "A secure channel could not be made."
	case errors.As(err, &alert), errors.As(err, &header):
		return eConnectionEnded, "The connection was ended abnormally."
	case errors.As(err, &timeout) && timeout.Timeout():
		if !connected {
			return pick(eAgentUnreached, eTimedOut), endpoint
		}
		return pick(eAgentTimedOut, eTimedOut), "The operation did not end in the time allotted."
	case !connected:
		return pick(eAgentUnreached, eCannotConnect), endpoint
	}
	return eConnectionEnded, "The connection was ended abnormally."
}

// soap calls an operation of an update service. The error is what the agent reports.
func (m *Machine) soap(ctx context.Context, via proxySetting, address, ns, op, body string) (*element, codes.HRESULT) {
	envelope := `<s:Envelope xmlns:s="` + nsSOAP11 + `"><s:Body>` + tag(op+` xmlns="`+ns+`"`, body) + `</s:Body></s:Envelope>`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(envelope))
	if err != nil {
		m.trace("ProtocolTalker", "*FAILED* [80240037] %s: the address of the server makes no sense", op)
		return nil, 0x80240037 // WU_E_NOT_SUPPORTED
	}
	req.Header.Set("Content-Type", "text/xml; charset=utf-8")
	req.Header.Set("SOAPAction", `"`+ns+"/"+op+`"`)
	req.Header.Set("User-Agent", "Windows-Update-Agent/1312.2403.27022.0 Client-Protocol/2.71")
	pinned := ""
	if strings.HasSuffix(req.URL.Hostname(), ".microsoft.com") {
		pinned = "Microsoft"
	}
	r := m.send(req, &via, agent, pinned)
	if r.proxy != "" {
		m.trace("WebServices", "Proxy List: '%s', Bypass List: '%s'", via.list, via.bypass)
	}
	fail := func(h codes.HRESULT) (*element, codes.HRESULT) {
		m.trace("WebServices", "WS error: There was an error communicating with the endpoint at '%s'.", address)
		m.trace("WebServices", "WS error: %s", r.seen)
		m.trace("ProtocolTalker", "*FAILED* [%08X] %s failure, error = 0x%08X, soap client error = 10, soap error code = 0, HTTP status code = %d", uint32(h), op, uint32(h), r.status)
		return nil, h
	}
	var doc *element
	if r.status == 0 || r.status == http.StatusOK || r.status == http.StatusInternalServerError {
		doc, err = parseXML(bytes.NewReader(r.body))
	}
	switch {
	case r.result.Failed() && r.status != http.StatusInternalServerError:
		return fail(r.result)
	case err != nil || doc == nil || !doc.kid("Body").there():
		if r.result.Failed() {
			return fail(r.result)
		}
		r.seen = "The answer is not what the service gives."
		return fail(eAgentAnswer)
	case doc.kid("Body", "Fault").there():
		r.seen = "The service refused: " + doc.kid("Body", "Fault", "detail", "ErrorCode").text
		switch strings.TrimSpace(doc.kid("Body", "Fault", "detail", "ErrorCode").text) {
		case "InvalidCookie", "CookieExpired", "ConfigChanged", "RegistrationRequired":
			return fail(ePTCookie)
		}
		return fail(0x80244007) // WU_E_PT_SOAPCLIENT_SOAPFAULT
	}
	return doc.kid("Body", op+"Response", op+"Result"), 0
}

// digestOf is a digest as update metadata has it.
func digestOf(b []byte) string {
	sum := sha1.Sum(b) //nolint:gosec // see above
	return base64.StdEncoding.EncodeToString(sum[:])
}
