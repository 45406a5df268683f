package cause

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/route"
)

// A walk shows what no log tells: which proxy was chosen by which setting, what it
// answered, and whether another way is open. The rules of this file read it. A
// failure that Windows reported and that the walk predicts to the code proves its
// cause; without such a report the walk is strong evidence. Go's network stack is
// not Schannel and not SYSTEM, so on the sick machine itself it is never more.

// leg is one request of the walk with the way that decides it and the hop at which
// that ends; hop is nil if the request was answered.
type leg struct {
	trip *route.Trip
	way  *route.Attempt
	hop  *host.Hop
}

// legs returns the walked requests, those that updating depends on first.
func (l *look) legs() []leg {
	if l.Route == nil {
		return nil
	}
	var out []leg
	for _, vital := range []bool{true, false} {
		for i := range l.Route.Trips {
			t := &l.Route.Trips[i]
			if a := t.Deciding(); a != nil && t.Task.Vital == vital {
				out = append(out, leg{t, a, a.Exchange.Broken()})
			}
		}
	}
	return out
}

// broken returns the first leg that fails and that fits.
func (l *look) broken(fits func(leg) bool) (leg, bool) {
	for _, g := range l.legs() {
		if g.hop != nil && fits(g) {
			return g, true
		}
	}
	return leg{}, false
}

// fault reports that a leg ends with one of the faults.
func (g leg) fault(list ...host.Fault) bool {
	return g.hop != nil && slices.Contains(list, g.hop.Fault)
}

// proxied reports that a proxy was chosen, and returns its host and port.
func (g leg) proxied() (string, bool) {
	via := g.way.Exchange.Request.Via
	if via.Direct() {
		return "", false
	}
	_, at, ok := strings.Cut(via.Proxy, "://")
	if !ok {
		at = via.Proxy
	}
	return at, true
}

// atProxy reports that the way ends at the proxy itself: it is not found, does
// not answer, or answers with a refusal of its own.
func (g leg) atProxy() bool {
	at, ok := g.proxied()
	if !ok || g.hop == nil {
		return false
	}
	name, _, _ := net.SplitHostPort(at)
	return g.hop.Kind == host.HopProxy || g.hop.Target == at || strings.EqualFold(g.hop.Target, name)
}

// unreached reports that the proxy was not found or did not answer at all.
func (g leg) unreached() bool {
	return g.atProxy() && (g.hop.Kind == host.HopDNS || g.hop.Kind == host.HopTCP)
}

// directOpen reports that the same request is answered without a proxy.
func (g leg) directOpen() bool {
	for i := range g.trip.Attempts {
		a := &g.trip.Attempts[i]
		if a.Walked && a.Exchange.Request.Via.Direct() && a.Exchange.Broken() == nil {
			return true
		}
	}
	return false
}

// own reports a request to a server that policy names.
func (g leg) own() bool {
	id := g.trip.Task.ID
	return strings.HasPrefix(id, "wsus.") || strings.HasPrefix(id, "wusp.") || id == "reporting.wsus" || id == "download.alternate"
}

// ownDirect reports that the machine asks its own update server without a proxy: if
// one answers all the same, no setting of this machine chose it.
func (l *look) ownDirect() bool {
	return slices.ContainsFunc(l.legs(), func(g leg) bool {
		_, proxied := g.proxied()
		return g.own() && g.trip.Task.Caller == route.Agent && !proxied
	})
}

// ownPastClosed returns the request to the machine's own update server that a proxy
// refuses to a stranger, if nobody answers it past the proxy either: then no bypass is
// what the machine lacks.
func (l *look) ownPastClosed() (leg, bool) {
	return l.broken(func(g leg) bool {
		return g.own() && g.atProxyAuth() && slices.ContainsFunc(g.trip.Attempts, func(a route.Attempt) bool {
			return a.Walked && a.Exchange.Request.Via.Direct()
		}) && !g.directOpen()
	})
}

func (g leg) source() string { return facts.WalkSource + g.trip.Task.ID }

// proof is how far a leg speaks for what it shows.
func (l *look) proof(g leg) Weight {
	for _, x := range l.Suffering() {
		if len(x.Seen) > 0 && !strings.HasPrefix(x.Seen[0].Source, facts.WalkSource) && g.trip.Predict.Agrees(x.Code) {
			return Conclusive
		}
	}
	return Strong
}

// show records what a leg shows.
func (l *look) show(g leg) { l.For(l.proof(g), g.source(), "%s", g.tell()) }

// tell says which way was taken, by which setting, and how it ended.
func (g leg) tell() string {
	way := "directly"
	if at, ok := g.proxied(); ok {
		way = "through " + at + " (" + g.way.Exchange.Request.Via.Source + ")"
	}
	text := hostOf(g.trip.Task.Request.URL) + " " + way + ": " + g.hop.Tell()
	if !g.way.Exchange.Request.Via.Direct() && g.directOpen() {
		text += "; the direct way is open"
	}
	return text
}

// kerberosOnly reports that a proxy offers no scheme but those of Kerberos, which
// LocalSystem can answer only where the proxy lets the computer's account in.
func kerberosOnly(h *host.Hop) bool {
	return len(h.Challenges) > 0 && !slices.ContainsFunc(h.Challenges, func(c host.Challenge) bool {
		return c.Scheme != "Negotiate" && c.Scheme != "Kerberos"
	})
}

// upstream reports a 407 that is not of the proxy that was asked but of one behind it: the
// answer has passed two (RFC 9110 section 7.6.3). It is the first that would have to sign
// in there (section 15.5.8), and no client can for it.
func upstream(h *host.Hop) bool {
	passed := 0
	for entry := range strings.SplitSeq(h.Agent, ", ") {
		protocol, by, ok := strings.Cut(entry, " ")
		if ok && by != "" && strings.Contains("1.0 1.1 HTTP/1.0 HTTP/1.1 http/1.0 http/1.1", protocol) {
			passed++
		}
	}
	return h.Kind == host.HopProxy && h.Status == 407 && passed > 1
}

// walkProxyAsks: a proxy demands a sign-in and there is no way past it.
func walkProxyAsks(l *look) {
	if g, ok := l.broken(func(g leg) bool {
		return g.fault(host.FaultProxyAuth) && !kerberosOnly(g.hop) && !upstream(g.hop) && (!g.own() || !g.directOpen())
	}); ok {
		if g.directOpen() {
			l.For(Moderate, g.source(), "%s", g.tell())
			return
		}
		l.show(g)
		return
	}
	// Nobody configured a proxy and yet one answers: it sits in the way, unless the hosts
	// file leads to it.
	if g, ok := l.broken(func(g leg) bool {
		_, proxied := g.proxied()
		return !proxied && g.fault(host.FaultStatus) && g.hop.Status == 407
	}); ok {
		if g.pinnedByHosts() {
			l.Against(Conclusive, g.source(), "%s; no proxy was chosen, the address is from the hosts file", g.tell())
			return
		}
		l.show(g)
	}
}

// walkNeedless: a fixed proxy or a script sends update traffic to a proxy that
// refuses it, and the direct way is open.
func walkNeedless(l *look) {
	if g, ok := l.broken(func(g leg) bool { return g.fault(host.FaultNoProxy) }); ok {
		l.show(g)
		l.Cure("correct-proxy-bypass", "set-winhttp-proxy")
		return
	}
	g, ok := l.broken(func(g leg) bool {
		return g.atProxy() && !g.unreached() && g.directOpen() && !l.leftBehind(g) && (g.way.Script == nil || !g.way.Script.Detected && g.way.Script.Lower == "")
	})
	if !ok {
		return
	}
	l.show(g)
	switch {
	case g.way.Script != nil && g.way.Script.Fault == "":
		l.Cure("tell-network-correct-pac-or-wpad")
	case g.own():
		l.Cure("correct-proxy-bypass")
	default:
		l.Cure("correct-proxy-bypass", "clear-winhttp-proxy")
	}
}

// walkDeadProxy: the proxy that is set is not there any more: the direct way is
// open, or it was one of this machine's own programs. Or it is there and refuses, and
// this is not the network that it was set for.
func walkDeadProxy(l *look) {
	if g, ok := l.broken(func(g leg) bool {
		return g.unreached() && (g.directOpen() || g.loopback()) && (g.way.Script == nil || !g.way.Script.Detected) ||
			g.atProxy() && g.directOpen() && l.leftBehind(g)
	}); ok {
		l.show(g)
		l.Cure("clear-winhttp-proxy")
	}
}

// leftBehind reports a fixed proxy that was set for another place or by a program: it
// is one of this machine's own, or one of the organisation that the machine belongs
// to, while the machine is on a network of somebody else's.
func (l *look) leftBehind(g leg) bool {
	if g.way.Script != nil {
		return false
	}
	if g.loopback() {
		return true
	}
	at, ok := g.proxied()
	if !ok || l.Network.State != facts.Present || !related(at, l.Network.Value.Suffix) {
		return false
	}
	away := false
	for _, a := range l.Network.Value.Adapters {
		if !a.Connected || a.Suffix == "" {
			continue
		}
		if related(at, a.Suffix) {
			return false
		}
		away = true
	}
	return away
}

// related reports that two names, perhaps with ports, belong to one organisation: that
// their last two labels are the same. Where registries sell third labels it takes
// strangers for relatives, and then nothing is concluded.
func related(a, b string) bool {
	domain := func(s string) string {
		if h, _, err := net.SplitHostPort(s); err == nil {
			s = h
		}
		labels := strings.Split(strings.ToLower(strings.Trim(s, ".")), ".")
		return strings.Join(labels[max(0, len(labels)-2):], ".")
	}
	return b != "" && domain(a) == domain(b)
}

// below reports that a name lies under a DNS suffix.
func below(name, suffix string) bool {
	name, suffix = strings.ToLower(strings.Trim(name, ".")), strings.ToLower(strings.Trim(suffix, "."))
	return suffix != "" && (name == suffix || strings.HasSuffix(name, "."+suffix))
}

// walkTunnel: the adapter of a VPN brings a DNS suffix, and the proxy that refuses, or
// the script that names it, lies under that suffix. The way without it is open.
func walkTunnel(l *look) {
	if l.Network.State != facts.Present {
		return
	}
	for _, a := range l.Network.Value.Adapters {
		if a.VPN == "" || !a.Connected || a.Suffix == "" {
			continue
		}
		if g, ok := l.broken(func(g leg) bool {
			at, _ := g.proxied()
			name, _, _ := net.SplitHostPort(at)
			return g.atProxy() && g.directOpen() && (below(name, a.Suffix) || g.way.Script != nil && below(hostOf(g.way.Script.URL), a.Suffix))
		}); ok {
			l.For(Conclusive, g.source(), "%s; %s is the suffix that %s brings", g.tell(), a.Suffix, a.VPN)
			return
		}
	}
}

// walkForeignServer: nobody here knows the name of the update server that policy
// names, and it is of another organisation than this machine and its network.
func walkForeignServer(l *look) {
	g, ok := l.broken(func(g leg) bool {
		name := hostOf(g.trip.Task.Request.URL)
		return g.own() && strings.Contains(name, ".") && g.noDirectName() && l.strange(name)
	})
	if !ok {
		return
	}
	l.For(Conclusive, g.source(), "%s; the name is not known here, and the machine belongs to %s", g.tell(), strings.Join(l.Route.Settings.Suffixes, ", "))
	l.Cure("remove-stale-wsus-policy")
}

// noDirectName reports that the way without a proxy ends at the server's name.
func (g leg) noDirectName() bool {
	for i := range g.trip.Attempts {
		a := &g.trip.Attempts[i]
		if a.Walked && a.Exchange.Request.Via.Direct() {
			if b := a.Exchange.Broken(); b != nil && b.Kind == host.HopDNS && b.Fault == host.FaultNoName {
				return true
			}
		}
	}
	return false
}

// strange reports a name of another organisation than those whose suffixes this
// machine has. Addresses belong to nobody.
func (l *look) strange(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil || len(l.Route.Settings.Suffixes) == 0 {
		return false
	}
	return !slices.ContainsFunc(l.Route.Settings.Suffixes, func(s string) bool { return related(name, s) })
}

// loopback reports a proxy on this machine.
func (g leg) loopback() bool {
	at, _ := g.proxied()
	name, _, _ := net.SplitHostPort(at)
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.IsLoopback() || strings.EqualFold(name, "localhost")
}

// walkProxyDown: the proxy does not answer, or does not reach anybody, and there is
// no other way.
func walkProxyDown(l *look) {
	if g, ok := l.broken(func(g leg) bool {
		return (g.unreached() && !g.loopback() || g.atProxy() && g.fault(host.FaultProxyGateway, host.FaultNotHTTP, host.FaultTimeout, host.FaultClosed, host.FaultReset) ||
			g.fault(host.FaultProxyAuth) && upstream(g.hop)) && !g.directOpen()
	}); ok {
		l.show(g)
	}
}

// walkScriptCase: the script decides otherwise for the same name in small letters,
// and what it decides for the capitals fails.
func walkScriptCase(l *look) {
	if source, list := l.sameInSmallLetters(); source != "" {
		l.Against(Conclusive, source, "the script says %s, for small letters too", list)
		return
	}
	if g, ok := l.broken(func(g leg) bool { return g.way.Script != nil && g.way.Script.Lower != "" }); ok {
		l.For(Conclusive, g.source(), "%s; the script says %s, and for small letters %s", g.tell(), g.way.Script.List, g.way.Script.Lower)
	}
}

// sameInSmallLetters reports that the script was asked for a server whose name policy
// writes with capitals, and decides no otherwise for small letters.
func (l *look) sameInSmallLetters() (source, list string) {
	for _, g := range l.legs() {
		name, s := hostOf(g.trip.Task.Request.URL), g.way.Script
		if g.own() && name != strings.ToLower(name) && s != nil && s.Fault == "" && s.Lower == "" {
			return g.source(), s.List
		}
	}
	return "", ""
}

// walkDetected: a proxy that WPAD found refuses or is not there, and the direct way
// is open.
func walkDetected(l *look) {
	if g, ok := l.broken(func(g leg) bool {
		return g.way.Script != nil && g.way.Script.Detected && g.way.Script.Fault == "" && g.atProxy() && g.directOpen()
	}); ok {
		l.For(Conclusive, g.source(), "%s", g.tell())
	}
}

// walkUserOnly: the user's proxy leads to the service, the services' own way does
// not, and Windows may not use the former.
func walkUserOnly(l *look) {
	for _, g := range l.legs() {
		if g.hop == nil || g.atProxy() {
			continue
		}
		for i := range g.trip.Attempts {
			a := &g.trip.Attempts[i]
			if a.Beside && a.Walked && a.Decision.As == route.User && !a.Exchange.Request.Via.Direct() && a.Exchange.Broken() == nil {
				l.For(Conclusive, g.source(), "%s; through the user's proxy %s it is answered, but: %s", g.tell(), a.Exchange.Request.Via.Proxy, a.Decision.Skipped)
				return
			}
		}
	}
}

// walkKerberosOnly: the proxy offers nothing but Kerberos. A computer's account has
// a ticket only where the domain and the proxy let it.
func walkKerberosOnly(l *look) {
	if g, ok := l.broken(func(g leg) bool {
		return g.fault(host.FaultProxyAuth) && kerberosOnly(g.hop) && !g.directOpen()
	}); ok {
		l.show(g)
	}
}

// walkRefused: credentials were given in full and refused.
func walkRefused(l *look) {
	if g, ok := l.broken(func(g leg) bool { return g.fault(host.FaultSignIn) }); ok {
		l.show(g)
	}
}

// walkOnlyOneKind: the same proxy lets tunnels through and challenges plain HTTP, or
// the reverse: scan and download fare differently.
func walkOnlyOneKind(l *look) {
	open := map[string]string{} // proxy -> scheme that passes
	for _, g := range l.legs() {
		if at, ok := g.proxied(); ok && g.hop == nil {
			open[at+g.scheme()] = g.trip.Task.ID
		}
	}
	if g, ok := l.broken(func(g leg) bool {
		at, proxied := g.proxied()
		return proxied && g.fault(host.FaultProxyAuth) && open[at+g.otherScheme()] != "" && open[at+g.scheme()] == ""
	}); ok {
		at, _ := g.proxied()
		l.For(Conclusive, g.source(), "%s; %s passes the same proxy", g.tell(), open[at+g.otherScheme()])
	}
}

func (g leg) scheme() string {
	s, _, _ := strings.Cut(g.trip.Task.Request.URL, ":")
	return s
}

func (g leg) otherScheme() string {
	if g.scheme() == "http" {
		return "https"
	}
	return "http"
}

// walkRanges: a range of a file was asked for, and something on the way answers
// with the whole file or not at all.
func walkRanges(l *look) {
	if g, ok := l.broken(func(g leg) bool { return g.hop.Kind == host.HopContent && g.fault(host.FaultRange) }); ok {
		l.show(g)
	}
}

// refusedMethod are the statuses with which something refuses a kind of request that
// the server itself knows.
var refusedMethod = []int{400, 403, 405, 411, 413, 415, 501}

// walkMangled: what comes back is not what the server sent, or a method that updates
// need is forbidden on the way.
func walkMangled(l *look) {
	if g, ok := l.broken(func(g leg) bool {
		return g.hop.Kind == host.HopContent && g.fault(host.FaultLength, host.FaultHeader, host.FaultDigest)
	}); ok {
		l.show(g)
		return
	}
	if g, ok := l.broken(func(g leg) bool {
		_, proxied := g.proxied()
		return proxied && g.fault(host.FaultAnswer) && g.unaskedCoding()
	}); ok {
		l.show(g)
		return
	}
	if g, ok := l.broken(func(g leg) bool {
		if _, proxied := g.proxied(); !proxied { // a box in the way that nobody set
			return g.fault(host.FaultStatus) && slices.Contains(refusedMethod, g.hop.Status) && l.otherMethodPasses(g)
		}
		return !g.atProxyAuth() && g.fault(host.FaultStatus, host.FaultProxyDenied, host.FaultProxyStatus, host.FaultNotHTTP, host.FaultAnswer, host.FaultRedirect) && g.hop.Status != 404 && l.otherMethodPasses(g)
	}); ok {
		l.show(g)
	}
}

// unaskedCoding reports a body that was packed although the request does not say that
// its sender can unpack.
func (g leg) unaskedCoding() bool {
	ex := &g.way.Exchange
	coding := ex.Get("Content-Encoding")
	return coding != "" && !strings.EqualFold(coding, "identity") && !slices.ContainsFunc(ex.Request.Header, func(f host.Field) bool {
		return strings.EqualFold(f.Name, "Accept-Encoding")
	})
}

func (g leg) atProxyAuth() bool { return g.fault(host.FaultProxyAuth, host.FaultSignIn) }

// otherMethodPasses reports that another request reaches the same server by the same
// proxy: it is the request that is refused, not the host. Of a WSUS only
// the sign-in service counts: a server may want https for that and for the scan, and
// never does for content and reports. learn.microsoft.com: Configure WSUS (SSL).
func (l *look) otherMethodPasses(g leg) bool {
	at, _ := g.proxied()
	for _, o := range l.legs() {
		to, _ := o.proxied()
		if o.hop == nil && to == at && hostOf(o.trip.Task.Request.URL) == hostOf(g.trip.Task.Request.URL) && (!g.own() || o.trip.Task.ID == "wsus.auth") && o.trip.Task.Request.Method != g.trip.Task.Request.Method {
			return true
		}
	}
	return false
}

// walkPortal: a web page answers where Windows expects its own text or service.
func walkPortal(l *look) {
	for _, g := range l.legs() {
		if g.trip.Task.ID == "verify.portal" && g.fault(host.FaultPortal, host.FaultRedirect) {
			l.For(Conclusive, g.source(), "%s", g.tell())
			return
		}
	}
	if g, ok := l.broken(func(g leg) bool { return g.fault(host.FaultPortal) }); ok {
		l.For(Moderate, g.source(), "%s", g.tell())
	}
}

// walkNames: names of the update service do not resolve.
func walkNames(l *look) {
	if g, ok := l.broken(func(g leg) bool {
		return g.hop.Kind == host.HopDNS && g.fault(host.FaultNoName, host.FaultNoAddress, host.FaultNoResolver) && !g.atProxy() && !g.own()
	}); ok {
		l.show(g)
	}
	if g, ok := l.broken(leg.lied); ok {
		l.show(g)
	}
	for _, o := range l.observed("resolver-lies") {
		l.For(Strong, facts.WalkSource+"dns", "%s", o.Seen)
	}
}

// lied reports that the name server led a name of Microsoft's into a private network,
// by which the leg went.
func (g leg) lied() bool {
	return slices.ContainsFunc(g.way.Exchange.Hops, func(h host.Hop) bool {
		_, known := route.EndpointOf(h.Target)
		return known && h.Kind == host.HopDNS && h.Resolver == "" && len(h.Addresses) > 0 && h.Addresses[0].IsPrivate()
	})
}

// pinnedByHosts reports that the hosts file chose the address at which the leg ends.
func (g leg) pinnedByHosts() bool {
	_, proxied := g.proxied()
	return !proxied && slices.ContainsFunc(g.way.Exchange.Hops, func(h host.Hop) bool {
		return h.Kind == host.HopDNS && h.Resolver == "hosts file" && h.Fault == ""
	})
}

// walkSunk: a name of Microsoft's leads to nothing or to this machine.
func walkSunk(l *look) {
	if g, ok := l.broken(func(g leg) bool { return g.fault(host.FaultSunk) }); ok {
		w := l.proof(g)
		if g.hop.Resolver == "hosts file" {
			w = Conclusive
			l.Cure("comment-out-hosts-entries")
		} else {
			l.Cure("tell-dns-filter-owner")
		}
		l.For(w, g.source(), "%s", g.tell())
		return
	}
	if g, ok := l.broken(leg.pinnedByHosts); ok {
		l.For(Conclusive, g.source(), "%s; the address is from the hosts file", g.tell())
		l.Cure("comment-out-hosts-entries")
	}
}

// walkFiltered: connections to the update service are dropped, reset or refused on
// the way, without a proxy.
func walkFiltered(l *look) {
	if g, ok := l.broken(func(g leg) bool { return g.fault(host.FaultBlocked) }); ok {
		l.For(Conclusive, g.source(), "%s", g.tell())
		l.Cure("disable-blocking-firewall-rules", "test-without-third-party-firewall")
		return
	}
	if g, ok := l.broken(func(g leg) bool {
		_, proxied := g.proxied()
		return !proxied && !g.own() && !g.lied() && !g.pinnedByHosts() && !g.onlyIPv6() && (g.hop.Kind == host.HopTCP || g.hop.Kind == host.HopTLS || g.hop.Kind == host.HopHTTP) &&
			g.fault(host.FaultTimeout, host.FaultReset, host.FaultRefused, host.FaultUnreachable, host.FaultClosed) && !l.unsteady() && len(l.observed("mtu")) == 0
	}); ok {
		l.show(g)
	}
}

// walkIntercepted: somebody else's certificate stands before a service whose roots
// are pinned.
func walkIntercepted(l *look) {
	if g, ok := l.broken(func(g leg) bool { return g.fault(host.FaultIssuer) && !g.lied() && !g.pinnedByHosts() }); ok {
		l.For(Conclusive, g.source(), "%s", g.tell())
		if issuer := strings.ToLower(g.hop.Seen); slices.ContainsFunc(antivirusIssuers, func(s string) bool { return strings.Contains(issuer, s) }) {
			l.Cure("test-without-antivirus-shield")
		}
	}
}

// antivirusIssuers are parts of the names with which products on the machine itself
// sign: the vendors' pages on scanning of encrypted connections name them.
var antivirusIssuers = []string{"antivirus", "anti-virus", "mail shield", "eset ssl filter", "kaspersky", "bitdefender", "avast", "avg ", "dr.web", "netfilter"}

// walkOldTLS: the two sides have no version or cipher suite in common.
func walkOldTLS(l *look) {
	if g, ok := l.broken(func(g leg) bool { return g.fault(host.FaultVersion) && !g.own() }); ok {
		l.show(g)
	}
}

// walkUntrusted: the chain of a server that is not pinned cannot be built.
func walkUntrusted(l *look) {
	if g, ok := l.broken(func(g leg) bool { return g.fault(host.FaultUntrusted) && !g.own() }); ok {
		l.show(g)
	}
}

// clockMatters is how far a clock may be off before certificates and tickets suffer:
// Kerberos allows five minutes. learn.microsoft.com: Maximum tolerance for computer
// clock synchronization.
const clockMatters = 5 * time.Minute

// walkClock: other clocks agree that this one is wrong.
func walkClock(l *look) {
	if l.Route == nil {
		return
	}
	g, dated := l.broken(func(g leg) bool {
		return g.fault(host.FaultExpired, host.FaultNotYet) || strings.Contains(g.hop.Seen, "MessageExpired")
	})
	if c := l.Route.Clock; c != nil && c.Agree > 0 {
		if c.Offset.Abs() > clockMatters+c.Uncertainty {
			// A ticket carries the time at which it was asked for, as a certificate does.
			_, tickets := l.broken(func(g leg) bool { return g.fault(host.FaultProxyAuth) && kerberosOnly(g.hop) })
			_, other := l.broken(func(g leg) bool { return g.trip.Task.Vital })
			w := Strong
			switch {
			case dated || tickets:
				w = Conclusive
			case other: // something is broken that no clock breaks
				w = Moderate
			}
			l.For(w, facts.WalkSource+"clock", "this clock is off by %s (± %s, %d sources agree)", c.Offset.Round(time.Second), c.Uncertainty.Round(time.Millisecond), c.Agree)
		} else {
			l.Against(Strong, facts.WalkSource+"clock", "this clock is right within %s", (c.Offset.Abs() + c.Uncertainty).Round(time.Millisecond))
		}
		return
	}
	if dated && !g.own() {
		l.show(g)
	}
}

// walkUnsteady: the same way answers at one time and not at another.
func walkUnsteady(l *look) {
	for _, o := range l.observed("line-unsteady") {
		l.For(Conclusive, facts.WalkSource+"steady", "%s", o.Seen)
	}
}

func (l *look) unsteady() bool { return len(l.observed("line-unsteady")) > 0 }

// walkMTU: small packets pass, large ones vanish.
func walkMTU(l *look) {
	for _, o := range l.observed("mtu") {
		l.For(Conclusive, facts.WalkSource+"mtu", "%s", o.Seen)
	}
}

// walkIPv6: the same hosts answer over IPv4 and not over IPv6.
func walkIPv6(l *look) {
	for _, o := range l.observed("ipv6-dead") {
		l.For(Conclusive, facts.WalkSource+"ipv6", "%s", o.Seen)
	}
	g, dead := l.broken(leg.onlyIPv6)
	four := slices.ContainsFunc(l.legs(), func(g leg) bool {
		return slices.ContainsFunc(g.way.Exchange.Hops, func(h host.Hop) bool {
			return h.Kind == host.HopTCP && h.Fault == "" && h.Remote.Addr().Is4()
		})
	})
	if dead && four {
		l.show(g)
	}
}

// onlyIPv6 reports that the name led to IPv6 addresses alone, and that none of them was
// reached.
func (g leg) onlyIPv6() bool {
	return g.hop.Kind == host.HopTCP && len(g.hop.Tried) > 0 && !slices.ContainsFunc(g.hop.Tried, func(d host.Dial) bool {
		return d.Remote.Addr().Unmap().Is4()
	})
}

func (l *look) observed(id string) []route.Observation {
	if l.Route == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(l.Route.Stray), func(o route.Observation) bool { return o.ID != id })
}

// walkOwn is evidence for a cause of a WSUS of one's own, where the walk to it ends in
// one of the faults without a proxy to blame.
func walkOwn(fits func(leg) bool) rule {
	return func(l *look) {
		if g, ok := l.broken(func(g leg) bool { return g.own() && !g.atProxy() && fits(g) }); ok {
			l.show(g)
		}
	}
}

func wsusGone(g leg) bool {
	return g.hop.Kind == host.HopDNS || g.hop.Kind == host.HopTCP || g.hop.Kind == host.HopHTTP && g.hop.Status == 404 && g.trip.Task.ID == "wsus.config"
}

func wsusBusy(g leg) bool {
	return g.hop.Kind == host.HopHTTP && (g.hop.Status == 502 || g.hop.Status == 503 || g.hop.Status == 504 || g.fault(host.FaultTimeout)) ||
		g.fault(host.FaultSOAP) && strings.Contains(g.hop.Seen, "ServerBusy") ||
		g.hop.Result == 0x80244010 // more round trips than an agent makes
}

func wsusLimit(g leg) bool {
	return g.fault(host.FaultSOAP) && strings.Contains(g.hop.Seen, "InvalidParameters")
}

func wsusCertificate(g leg) bool {
	return g.hop.Kind == host.HopTLS && g.fault(host.FaultUntrusted, host.FaultExpired, host.FaultNotYet, host.FaultCertName, host.FaultIssuer, host.FaultVersion)
}

// walkOwnCertificate: who has to act depends on what is wrong with the certificate.
func walkOwnCertificate(l *look) {
	walkOwn(wsusCertificate)(l)
	g, ok := l.broken(func(g leg) bool { return g.own() && !g.atProxy() && wsusCertificate(g) })
	switch {
	case !ok:
	case g.fault(host.FaultExpired, host.FaultNotYet, host.FaultVersion):
		l.Cure("tell-wsus-correct-iis-site")
	case g.fault(host.FaultCertName):
		l.Cure("correct-wsus-url", "tell-wsus-correct-iis-site")
	}
}

func wsusEmpty(g leg) bool {
	return strings.HasPrefix(g.trip.Task.ID, "wsus.content") && g.hop.Kind == host.HopHTTP && g.hop.Status >= 400 && g.hop.Status < 500
}

// walkOutage: the service is reached and says itself that it cannot.
func walkOutage(l *look) {
	if g, ok := l.broken(func(g leg) bool {
		return !g.own() && !g.atProxy() && g.hop.Kind == host.HopHTTP && (g.hop.Status >= 500 || g.hop.Status == 429)
	}); ok {
		l.show(g)
	}
}

// walkOpen speaks against causes that lie on the route: every request that updating
// depends on was answered, now and from here.
func walkOpen(l *look) {
	n := 0
	for _, g := range l.legs() {
		if g.trip.Task.Vital {
			if g.hop != nil {
				return
			}
			n++
		}
	}
	if n > 0 && len(l.Route.Stray) == 0 {
		l.Against(Moderate, facts.WalkSource+"all", "all %d requests that updating depends on are answered", n)
	}
}
