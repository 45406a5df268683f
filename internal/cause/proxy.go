package cause

import (
	"net/netip"
	"slices"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/route"
)

// What a proxy does to updating is seen through one code more than any other:
// 0x8024401B, an HTTP 407. The code names the answer, not the reason. The causes
// of this file tell the reasons apart: who asked, for which host, by which
// setting, and what the proxy offered. learn.microsoft.com: "How the Windows
// Update client determines which proxy server to use".

// Registry places that proxy causes read.
const (
	keyUpdatePolicy     = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`
	keyAUPolicy         = keyUpdatePolicy + `\AU`
	keyUserInternet     = `HKCU\Software\Microsoft\Windows\CurrentVersion\Internet Settings`
	keySystemInternet   = `HKU\S-1-5-18\Software\Microsoft\Windows\CurrentVersion\Internet Settings`
	keyMachineInternet  = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings`
	keyInternetPolicy   = `HKLM\SOFTWARE\Policies\Microsoft\Windows\CurrentVersion\Internet Settings`
	keyWinHTTPAutoProxy = `HKLM\SYSTEM\CurrentControlSet\Services\WinHttpAutoProxySvc`
)

// The forms that an HTTP 407 takes: the update agent, BITS, Windows Web Services.
var codes407 = []codes.HRESULT{0x8024401B, 0x80190197, 0x803D0016, 0x803D0018, 0x803D0019, 0x803D001A, 0x803D001B}

// Codes of a request that reached nobody: name, connection, time-out.
var codesUnreached = []codes.HRESULT{
	0x80072EE2, 0x80072EE7, 0x80072EFD, 0x80072EFE, 0x80072EEF, 0x8024402C, 0x80240438, 0x8024401C,
	0x80244021, 0x80244022, 0x80244023, 0x80D02002, 0x80246005, 0x8024502D, 0x80072F85, 0x80200035,
}

// PROXY returns the causes that lie in a proxy or in the choice of one.
func PROXY() []*Cause {
	return []*Cause{
		{
			ID: "proxy-auth-required", Family: "proxy", Prior: 3,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			Remedies: []string{"tell-proxy-allow-without-sign-in", "correct-proxy-bypass", "tell-network-correct-pac-or-wpad", "use-relay", "set-system-wininet-proxy", "set-winhttp-proxy", "retry-scan"},
			Check: evidence(
				walkProxyAsks,
				walkOpen,
				strong("http-407"),
				publicHost407,
				strong("note-proxy-wants-sign-in"),
				strong("event-proxy-auth"),
				moderate("proxy-offers-basic"),
				ownServer407,
				cures("set-system-wininet-proxy", "bits-407"),
				missing("what the proxy offers: the Proxy-Authenticate header of its answer to a request made as SYSTEM", "netsh winhttp show advproxy"),
			),
		},
		{
			ID: "proxy-misconfigured-winhttp", Family: "proxy", Prior: 3,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			LeadsTo:  []string{"proxy-auth-required", "proxy-unreachable", "wsus-unreachable"},
			Remedies: []string{"correct-proxy-bypass", "import-winhttp-proxy-from-user", "set-winhttp-proxy", "tell-network-correct-pac-or-wpad", "set-proxy-auto-detect", "clear-winhttp-proxy"},
			Check: evidence(
				walkNeedless,
				walkOpen,
				pacNotOverHTTP,
				strong("pac-is-a-file"),
				code(Strong, 0x80240030, 0x8020003F, 0x80200018, 0x80200019, 0x80072F86),
				strong("proxy-list-invalid"),
				ownServerThroughProxy,
				bypassMisspelt,
				proxyPartMissing,
				userProxyDiffers,
				namedProxyFails,
				strong("note-winhttp-setting-wrong"),
				helped(Moderate, "note-import-proxy-helped"),
				moderate("note-proxy-bypass", "note-proxy-mismatch"),
				moderate("note-user-has-proxy"),
				proxyTopic,
				cures("import-winhttp-proxy-from-user", "note-import-proxy-helped", "note-proxy-mismatch"),
				cures("correct-proxy-bypass", "note-proxy-bypass"),
				cures("tell-network-correct-pac-or-wpad", "pac-is-a-file"),
				cures("set-winhttp-proxy", "pac-is-a-file", "note-user-has-proxy"),
				cures("tell-network-correct-pac-or-wpad", "note-wpad"),
				missing("netsh winhttp show advproxy", "the Internet Settings of the user and of S-1-5-18", "WUServer in the update policy"),
			),
		},
		{
			ID: "proxy-pac-case-sensitive", Family: "proxy", Prior: 0.3,
			Stages:   []facts.Stage{facts.StageScan},
			LeadsTo:  []string{"proxy-auth-required", "proxy-misconfigured-winhttp", "proxy-unreachable", "wsus-unreachable"},
			Remedies: []string{"correct-wsus-url", "tell-network-correct-pac-or-wpad", "correct-proxy-bypass"},
			Check: evidence(
				walkScriptCase,
				upperCaseServer,
				strong("note-case-sensitive-pac"),
				moderate("note-upper-case-server"),
				missing("WUServer as written in the policy", "the text of the PAC file"),
			),
		},
		{
			ID: "proxy-wpad-wrong", Family: "proxy", Prior: 0.8,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			LeadsTo:  []string{"proxy-auth-required", "proxy-unreachable", "wsus-unreachable"},
			Remedies: []string{"tell-network-correct-pac-or-wpad", "set-proxy-auto-detect", "correct-proxy-bypass"},
			Check: evidence(
				walkDetected,
				walkOpen,
				strong("note-wpad-wrong"),
				strong("note-proxy-not-ours"),
				helped(Strong, "note-wpad-off-cured"),
				both(Strong, "note-wpad-fetched", "note-no-proxy-set"),
				wpadNamed,
				detectedProxy,
				strong("wpad-event"),
				cures("set-proxy-auto-detect", "note-auto-detect-off-helped", "note-wpad-off-cured"),
				missing("which wpad name or DHCP option 252 answers on this network", "the DNS suffix search list"),
			),
		},
		{
			ID: "proxy-user-only", Family: "proxy", Prior: 1,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			LeadsTo:  []string{"proxy-misconfigured-winhttp", "proxy-auth-required", "firewall-block", "dns-failure", "wsus-unreachable"},
			Remedies: []string{"import-winhttp-proxy-from-user", "set-winhttp-proxy", "set-system-wininet-proxy", "enable-wsus-user-proxy-fallback"},
			Check: evidence(
				walkUserOnly,
				userProxyOnly,
				strong("note-works-signed-in-only"),
				moderate("note-browser-has-proxy"),
				strong("clientdiag-user-proxy-only"),
				strong("note-winhttp-empty"),
				helped(Strong, "note-import-proxy-helped"),
				directBehindProxy,
				userFallbackOff,
				cures("enable-wsus-user-proxy-fallback", "note-fallback-policy"),
				missing("netsh winhttp show advproxy", "the user's Internet Settings"),
			),
		},
		{
			ID: "proxy-stale", Family: "proxy", Prior: 1.5,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			LeadsTo:  []string{"proxy-unreachable", "proxy-auth-required", "dns-failure", "firewall-block"},
			Remedies: []string{"clear-winhttp-proxy", "test-without-user-proxy", "set-winhttp-proxy"},
			Check: evidence(
				walkDeadProxy,
				trial("test-without-user-proxy"),
				walkOpen,
				loopbackProxy,
				strong("note-old-proxy"),
				helped(Strong, "note-reset-proxy-helped"),
				against(Strong, "note-saved-credentials-wrong"),
				strong("note-local-proxy-address"),
				moderate("note-local-proxy-tool"),
				moderate("note-winhttp-proxy-left"),
				cures("test-without-user-proxy", "note-user-proxy-left"),
				missing("netsh winhttp show proxy", "whether the proxy answers on its port"),
			),
		},
		{
			ID: "proxy-unreachable", Family: "proxy", Prior: 1,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			LeadsTo:  []string{"proxy-auth-required", "server-side-outage", "network-unstable"},
			Remedies: []string{"tell-proxy-slow-or-down", "correct-proxy-bypass", "wait-and-retry"},
			Check: evidence(
				walkProxyDown,
				walkOpen,
				strong("note-proxy-down"),
				strong("proxy-error-page"),
				moderate("http-502-504"),
				namedProxyAnd5xx,
				missing("a request to the proxy's own port", "the proxy's error page"),
			),
		},
		{
			ID: "proxy-mangles-headers", Family: "proxy", Prior: 1,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			Remedies: []string{"tell-proxy-pass-traffic-unchanged", "tell-network-allow-update-hosts", "tell-network-exempt-tls-inspection", "set-proxy-auto-detect"},
			Check: evidence(
				walkMangled,
				walkOpen,
				moderate("http-odd-status"),
				strong("note-proxy-alters"),
				moderate("note-without-proxy-works"),
				moderate("note-web-gateway"),
				strong("html-instead-of-soap"),
				missing("the answer of the update service as it arrives, headers included"),
			),
		},
		{
			ID: "proxy-negotiate-refused", Family: "proxy", Prior: 0.4,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			LeadsTo:  []string{"proxy-auth-required"},
			Remedies: []string{"tell-proxy-allow-without-sign-in", "correct-proxy-bypass", "use-relay"},
			Check: evidence(
				walkKerberosOnly,
				code(Strong, 0x8024043C),
				strong("proxy-wants-integrated"),
				strong("agent-tried-proxy-scheme"),
				strong("note-machine-account-refused"),
				moderate("note-integrated-proxy"),
				missing("the Proxy-Authenticate header", "whether the machine account may sign in at the proxy"),
			),
		},
		{
			ID: "proxy-plain-http-challenged", Family: "proxy", Prior: 0.4,
			Stages:   []facts.Stage{facts.StageDownload},
			LeadsTo:  []string{"proxy-auth-required"},
			Remedies: []string{"tell-proxy-allow-without-sign-in", "set-system-wininet-proxy", "correct-proxy-bypass", "use-relay"},
			Check: evidence(
				walkOnlyOneKind,
				scanPassesDownload407,
				strong("note-scan-works-download-407"),
				moderate("payload-host-407"),
				missing("a plain HTTP request for download.windowsupdate.com through the same proxy"),
			),
		},
		{
			ID: "proxy-credentials-cached", Family: "proxy", Prior: 0.4,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			LeadsTo:  []string{"proxy-auth-required"},
			Remedies: []string{"clear-proxy-credentials", "tell-proxy-allow-without-sign-in"},
			Check: evidence(
				walkRefused,
				strong("note-saved-credentials-wrong"),
				moderate("note-password-changed"),
				strong("bits-credentials-refused"),
				missing("cmdkey /list as the user and as SYSTEM"),
			),
		},
		{
			ID: "bits-blocked-range-requests", Family: "proxy", Prior: 0.6,
			Stages:   []facts.Stage{facts.StageDownload},
			LeadsTo:  []string{"corrupt-download"},
			Remedies: []string{"tell-proxy-pass-traffic-unchanged", "correct-proxy-bypass", "set-delivery-optimization-simple-mode"},
			Check: evidence(
				walkRanges,
				code(Strong, 0x80D05001, 0x80D05011, 0x80200013, 0x801901A0),
				strong("range-refused"),
				strong("note-range-requests"),
				moderate("note-caching-proxy"),
				both(Moderate, "note-without-proxy-works", "wu-non-range"),
				missing("a request with a Range header for a payload file, through the same proxy"),
			),
		},
	}
}

// helped is evidence from a cure that a person tells of. Notes also list what was
// tried in vain; where one does, the very sentence has to tell that this cured.
func helped(w Weight, ids ...string) rule {
	return func(l *look) {
		if seen, ok := l.first(ids); ok && (!l.vain() || facts.TellsCure(seen.Text)) {
			l.add(true, w, seen)
		}
	}
}

// hit reports whether any of the codes was seen, and where.
func (l *look) hit(hs []codes.HRESULT) (facts.Seen, bool) {
	for _, h := range hs {
		if seen, ok := l.Code(h); ok {
			return seen, true
		}
	}
	return facts.Seen{}, false
}

// saw407 reports an HTTP 407 in any of its forms.
func (l *look) saw407() (facts.Seen, bool) {
	if seen, ok := l.Mark("http-407"); ok {
		return seen, true
	}
	return l.hit(codes407)
}

// policyServer is the host of WUServer as the policy writes it, letter case and
// all; empty when there is none, or when UseWUServer says that it is not used.
func policyServer(l *look) string {
	if use := l.DWord(keyAUPolicy, "UseWUServer"); use.State == facts.Present && use.Value == 0 {
		return ""
	}
	return hostOf(l.Text(keyUpdatePolicy, "WUServer").Value)
}

// serverSeen is the update service of the machine's own: from the policy, else
// from the addresses that the log shows. The letters are those that were read.
func serverSeen(l *look) (host, source, text string) {
	if host = policyServer(l); host != "" {
		v := l.Text(keyUpdatePolicy, "WUServer")
		return host, v.Source, "WUServer = " + v.Value
	}
	for _, seen := range append(l.Marks("wu-service-url"), l.Marks("note-service-url")...) {
		hosts := hostsInURLs(seen.Text)
		if slices.ContainsFunc(hosts, func(h string) bool { return updateHostRole(h) != roleNone }) {
			continue // Microsoft was asked; another name on the line is the proxy's
		}
		if len(hosts) > 0 {
			return hosts[0], seen.Source, seen.Text
		}
	}
	return "", "", ""
}

// isOwn reports whether a host is the machine owner's: no public update host,
// and a name that only means something inside: a bare label, a private or
// link-local address, or a name that the policy gives as WUServer.
func isOwn(l *look, host string) bool {
	if host == "" || updateHostRole(host) != roleNone {
		return false
	}
	if strings.EqualFold(host, policyServer(l)) || !strings.Contains(host, ".") {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast()
	}
	return true // the agent asks nobody but Microsoft and the server it is told
}

// publicHost407: an HTTP 407 while asking Microsoft itself. A machine cannot be
// expected to reach it past a proxy, so the proxy's demand is the cause.
func publicHost407(l *look) {
	seen, ok := l.saw407()
	if !ok {
		return
	}
	if host, _, _ := serverSeen(l); host != "" {
		return
	}
	for _, m := range l.Marks("wu-service-url") {
		for _, host := range hostsInURLs(m.Text) {
			if updateHostRole(host) == roleVital {
				l.For(Moderate, seen.Source, "%s", m.Text)
				return
			}
		}
	}
}

// ownServer407: a 407 while asking a server of one's own. Such a server is to be
// reached without a proxy, so the demand is a consequence of how it was chosen.
func ownServer407(l *look) {
	if _, ok := l.saw407(); !ok || l.ownDirect() {
		return
	}
	if host, source, text := serverSeen(l); isOwn(l, host) {
		l.Against(Moderate, source, "%s", text)
	}
}

// pacNotOverHTTP: WinHTTP reads scripts over http and https only, so a file:
// script leaves the services without a proxy. learn.microsoft.com: WinHTTP
// AutoProxy Support; support page on file:// PAC in Internet Explorer 11.
func pacNotOverHTTP(l *look) {
	for _, key := range []string{keyUserInternet, keySystemInternet, keyMachineInternet, keyInternetPolicy} {
		v := l.Text(key, "AutoConfigURL")
		if v.State != facts.Present || v.Value == "" {
			continue
		}
		lower := strings.ToLower(v.Value)
		if !strings.HasPrefix(lower, "http://") && !strings.HasPrefix(lower, "https://") {
			l.For(Strong, v.Source, "AutoConfigURL = %s", v.Value)
			l.Cure("tell-network-correct-pac-or-wpad", "set-winhttp-proxy")
			return
		}
	}
}

// ownServerThroughProxy: the scan goes to a server of one's own, yet a proxy
// stands in between: by the setting, or because the answer is a proxy's.
func ownServerThroughProxy(l *look) {
	host, source, text := serverSeen(l)
	if !isOwn(l, host) || l.ownDirect() {
		return
	}
	m, known := l.machineProxy()
	_, is407 := l.saw407()
	_, unreached := l.hit(codesUnreached)
	closed, pastClosed := l.ownPastClosed()
	switch {
	case known && m.proxy != "" && bypasses(m.bypass, host):
		l.Against(Moderate, m.source, "%s goes past the proxy by the bypass list %s", host, m.bypass)
	case is407 && pastClosed:
		l.Against(Moderate, closed.source(), "past the proxy %s is not reached either", host)
	case known && m.proxy != "" && (is407 || unreached):
		l.For(Strong, m.source, "%s goes to the proxy %s; bypass list: %q", host, m.proxy, m.bypass)
		l.Cure("correct-proxy-bypass")
	case is407:
		l.For(Strong, source, "%s", text)
		l.Cure("correct-proxy-bypass")
	case unreached && usedProxy(l):
		seen, _ := l.Mark("wu-proxy-used")
		l.For(Strong, seen.Source, "%s", seen.Text)
		l.Cure("correct-proxy-bypass")
	}
}

// usedProxy reports that the log shows a request through a named proxy. The
// marks are lines such as "+ Proxy list used = host:80": the value decides.
func usedProxy(l *look) bool {
	for _, seen := range l.Marks("wu-proxy-used") {
		if proxyInLine(seen.Text) != "" {
			return true
		}
	}
	return false
}

// bypassMisspelt: the list holds a character that WinHTTP cannot read; Windows
// then fails to resolve names that are fine (0x8024402C). Microsoft's article
// on that code names commas, blanks beside the separators and stray marks.
func bypassMisspelt(l *look) {
	check := func(list, source string) bool {
		if i := strings.IndexFunc(list, func(r rune) bool {
			return r < ' ' || r > '~' || strings.ContainsRune(`,"'|\{}^`+"`", r)
		}); i >= 0 {
			l.For(Strong, source, "bypass list: %q", list)
			l.Cure("correct-proxy-bypass")
			return true
		}
		if bad := route.Bypass(list, "").Malformed; len(bad) > 0 { // an entry that lets nothing past, but harms no other
			l.For(Weak, source, "bypass list: %q lets nothing past", bad[0].Text)
			l.Cure("correct-proxy-bypass")
			return true
		}
		return false
	}
	if m, known := l.machineProxy(); known && m.proxy != "" && check(m.bypass, m.source) {
		return
	}
	if u, known := l.userProxy(); known && u.proxy != "" {
		check(u.bypass, u.source)
	}
}

// proxyPartMissing: a list for single schemes that leaves https out sends the
// scan direct and only the download through the proxy.
func proxyPartMissing(l *look) {
	m, known := l.machineProxy()
	lower := strings.ToLower(m.proxy)
	if !known || !strings.Contains(lower, "http=") || strings.Contains(lower, "https=") {
		return
	}
	if _, ok := l.hit(codesUnreached); ok {
		l.For(Moderate, m.source, "the proxy list %q has no part for https", m.proxy)
		l.Cure("set-winhttp-proxy")
	}
}

// proxyTopic: a person who cannot reach the service speaks of a proxy. Why else
// would one name it? The general message of Windows names it too, and says nothing.
func proxyTopic(l *look) {
	if _, message := l.Mark("note-windows-message"); message {
		return
	}
	if _, unreached := l.hit(codesUnreached); !unreached {
		return
	}
	if seen, ok := l.Mark("note-proxy"); ok {
		l.add(true, Moderate, seen)
	}
}

// userProxyDiffers: the user's fixed proxy and the machine's are two different
// ones; what works in the browser then fails in the services.
func userProxyDiffers(l *look) {
	m, known := l.machineProxy()
	u, ok := l.userProxy()
	if !known || !ok || m.proxy == "" || u.proxy == "" {
		return
	}
	if a, b := proxyHosts(m.proxy), proxyHosts(u.proxy); len(a) > 0 && len(b) > 0 && !strings.EqualFold(a[0], b[0]) {
		l.For(Moderate, m.source, "the machine's proxy is %s, the user's is %s", m.proxy, u.proxy)
		l.Cure("import-winhttp-proxy-from-user")
	}
}

// namedProxyFails: the log of an older agent names its fixed proxy, and the
// requests through it fail before any answer. Nobody says that the network
// needs a proxy, so the setting itself is the suspect.
func namedProxyFails(l *look) {
	seen, named := l.Mark("wu-named-proxy")
	if !named {
		return
	}
	if _, ok := l.hit(codesUnreached); !ok {
		return
	}
	if _, needed := l.first([]string{"note-user-has-proxy", "note-behind-proxy", "note-proxy-mismatch"}); needed {
		l.add(true, Moderate, seen)
		return
	}
	l.add(true, Strong, seen)
	l.Cure("clear-winhttp-proxy")
}

// upperCaseServer: the update server is written with capitals and a script
// decides about proxies. Scripts compare letter by letter; browsers hide it, as
// they put names in lower case first. learn.microsoft.com: "Bad gateway error
// when deploying software updates".
func upperCaseServer(l *look) {
	host, source, text := serverSeen(l)
	if !isOwn(l, host) || host == strings.ToLower(host) {
		return
	}
	_, is407 := l.saw407()
	_, unreached := l.hit(codesUnreached)
	if !is407 && !unreached {
		return
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return
	}
	w := Moderate
	if l.hasScript() {
		w = Strong
		if is407 {
			w = Conclusive
		}
	}
	l.For(w, source, "%s", text)
}

// hasScript reports that a proxy script or WPAD decides on this machine.
func (l *look) hasScript() bool {
	if m, _ := l.machineProxy(); m.script != "" || m.detect {
		return true
	}
	if u, _ := l.userProxy(); u.script != "" {
		return true
	}
	_, ok := l.first([]string{"note-pac", "note-wpad", "pac-is-a-file"})
	return ok
}

// wpadNamed: a person names WPAD. Where the matter is a server of one's own that
// should go past the proxy, the answer of WPAD may be right but for its exceptions.
func wpadNamed(l *look) {
	seen, ok := l.Mark("note-wpad-named")
	w := Strong
	if !ok {
		seen, ok = l.Mark("note-wpad")
		w = Moderate
	}
	if !ok {
		return
	}
	if _, bypass := l.Mark("note-proxy-bypass"); bypass {
		w = Moderate
	}
	l.add(true, w, seen)
}

// detectedProxy: a proxy answers although none is set, so it was found by WPAD.
func detectedProxy(l *look) {
	seen, ok := l.saw407()
	if !ok {
		seen, ok = l.Mark("http-502-504")
	}
	m, known := l.machineProxy()
	if !ok || !known || m.proxy != "" || m.script != "" {
		return
	}
	if u, _ := l.userProxy(); u.proxy != "" || u.script != "" {
		return
	}
	l.For(Moderate, m.source, "no proxy is set, and yet one answered: %s", seen.Text)
}

// userProxyOnly: the user has a proxy, the services have none.
func userProxyOnly(l *look) {
	m, known := l.machineProxy()
	u, ok := l.userProxy()
	if !known || !ok || m.proxy != "" || m.script != "" || u.proxy == "" && u.script == "" {
		return
	}
	has := u.proxy
	if has == "" {
		has = "the script " + u.script
	}
	w := Moderate
	if _, failed := l.hit(codesUnreached); failed {
		w = Strong
	} else if _, is407 := l.saw407(); is407 {
		w = Weak
	}
	l.For(w, u.source, "the user's proxy is %s; the services have none (%s)", has, m.source)
	if u.proxy == "" {
		l.Cure("set-winhttp-proxy") // importing copies static values only
	}
}

// directBehindProxy: the services go direct on a network that, as a person says,
// is left through a proxy.
func directBehindProxy(l *look) {
	m, known := l.machineProxy()
	if !known || !m.direct() {
		return
	}
	if _, is407 := l.saw407(); is407 {
		return // a proxy was found, so they do not go direct
	}
	if seen, ok := l.first([]string{"note-behind-proxy", "note-browser-has-proxy", "note-user-has-proxy", "note-proxy-wants-sign-in"}); ok {
		l.For(Strong, m.source, "the services go direct, yet: %s", seen.Text)
		l.Cure("import-winhttp-proxy-from-user", "set-winhttp-proxy")
	}
}

// userFallbackOff: against WSUS the user's proxy is not tried since September
// 2020 unless a policy allows it. ADMX: SetProxyBehaviorForUpdateDetection.
func userFallbackOff(l *look) {
	u, _ := l.userProxy()
	if u.proxy == "" && u.script == "" || policyServer(l) == "" {
		return
	}
	v := l.DWord(keyUpdatePolicy, "SetProxyBehaviorForUpdateDetection")
	if v.Known() && v.Value == 0 {
		l.For(Weak, v.Source, "SetProxyBehaviorForUpdateDetection does not allow the user's proxy for scans against WSUS")
	}
}

// loopbackProxy: a proxy on the machine itself is a program's, such as a web
// debugger, an ad blocker or a tunnel. When it is gone, nothing answers there.
func loopbackProxy(l *look) {
	judge := func(list, source string) bool {
		for _, host := range proxyHosts(list) {
			ip, err := netip.ParseAddr(host)
			if (err == nil && (ip.IsLoopback() || ip.IsUnspecified())) || strings.EqualFold(host, "localhost") {
				w := Moderate
				if _, failed := l.hit(codesUnreached); failed {
					w = Strong
				}
				l.For(w, source, "the proxy is %s", list)
				return true
			}
		}
		return false
	}
	if m, known := l.machineProxy(); known && judge(m.proxy, m.source) {
		return
	}
	if u, _ := l.userProxy(); judge(u.proxy, u.source) {
		l.Cure("test-without-user-proxy")
	}
}

// namedProxyAnd5xx: a proxy is set and answers for the far side with 502 to 504.
func namedProxyAnd5xx(l *look) {
	m, known := l.machineProxy()
	if !known || m.proxy == "" {
		return
	}
	if host, _, _ := serverSeen(l); host != "" && bypasses(m.bypass, host) {
		return
	}
	if _, ok := l.hit([]codes.HRESULT{0x80244021, 0x80244022, 0x80244023}); ok {
		l.For(Moderate, m.source, "the proxy is %s", m.proxy)
	}
}

// scanPassesDownload407: the search ended well and the download was challenged.
// Tunnels for https pass the proxy, plain http does not.
func scanPassesDownload407(l *look) {
	seen, ok := l.Code(0x80190197)
	if !ok {
		return
	}
	if _, scan := l.Code(0x8024401B); scan {
		return
	}
	for _, s := range l.Successes {
		if s.Stage == facts.StageScan {
			l.For(Strong, seen.Source, "%s; the search before ended well (%s)", seen.Text, s.Seen.Source)
			return
		}
	}
}
