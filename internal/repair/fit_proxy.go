package repair

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/route"
	"updoc/internal/sorted"
	"updoc/internal/winlog"
)

// Registry places of proxy settings.
const (
	keyInternet    = `Software\Microsoft\Windows\CurrentVersion\Internet Settings`
	keyMachineNet  = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings`
	keyConnections = keyMachineNet + `\Connections`
	keyNetPolicy   = `HKLM\SOFTWARE\Policies\Microsoft\Windows\CurrentVersion\Internet Settings`
	keyUserPolicy  = `HKCU\Software\Policies\Microsoft\Windows\CurrentVersion\Internet Settings`
	winHTTPValue   = "WinHttpSettings"
)

// fitProxy fits the remedies for which proxy, by which setting.
func fitProxy() map[string]fitter {
	return map[string]fitter{
		"check-proxy-state":               fitLookProxy,
		"set-winhttp-proxy":               fitSetWinHTTP,
		"import-winhttp-proxy-from-user":  fitImportWinHTTP,
		"clear-winhttp-proxy":             fitClearWinHTTP,
		"correct-proxy-bypass":            fitBypass,
		"set-system-wininet-proxy":        fitSystemInternet,
		"set-proxy-auto-detect":           fitDetect,
		"enable-wsus-user-proxy-fallback": fitUserFallback,
		"clear-proxy-credentials":         fitCredentials,
		"test-without-user-proxy":         fitWithoutUserProxy,
		"use-relay":                       fitRelay,

		"tell-network-allow-update-hosts":    tell(route.HostList, route.SquidAllow),
		"tell-proxy-allow-without-sign-in":   tell(route.SquidAllow, route.HostList),
		"tell-network-exempt-tls-inspection": tell(route.SquidIntact, route.HostList),
		"tell-proxy-pass-traffic-unchanged":  tell(route.SquidRanges, route.HostList),
		"tell-proxy-slow-or-down":            tell(),
		"tell-network-correct-pac-or-wpad":   fitTellScript,
	}
}

// fitClearWinHTTP takes the fixed proxy of the services away. It cuts a machine off
// from updates if the network lets nothing out except through that proxy: where the
// walk shows that, it does not fit, and where nobody walked, a person decides.
func fitClearWinHTTP(f *fit) {
	now, ok := f.winHTTP()
	switch {
	case !ok:
		return
	case !now.Static() && !now.Auto():
		f.not("plan.proxy.none-set")
		return
	}
	set := now.Proxy
	if !now.Static() {
		set = now.PAC
	}
	if name := f.proxyPolicy(); name != "" && sameProxy(f.policyProxy(), now.Proxy) {
		f.not("plan.owned", "owner", name)
		return
	}
	switch through, direct := f.ways(now, updateHost); {
	case through == open:
		f.not("plan.proxy.answers", "proxy", hideUser(set))
		return
	case direct == closed:
		f.not("plan.proxy.no-other-way", "proxy", hideUser(set))
		return
	case direct == untried && !loopback(now.Proxy):
		f.out.How = Guided
		f.lead("plan.proxy.not-walked", "proxy", hideUser(set))
	case f.refuses(now):
		f.out.How = Guided
		f.lead("plan.proxy.refuses", "proxy", hideUser(set))
	}
	next := now
	if next.Static() {
		next.Flags &^= winlog.ProxyFlagStatic
		next.Proxy, next.Bypass = "", ""
	} else {
		next.Flags &^= winlog.ProxyFlagAuto
		next.PAC = ""
	}
	f.setWinHTTP(next)
}

// winHTTP returns the setting of the services as it is kept. Where it is not known,
// or not understood, it leads the person instead; nothing is written over what is
// not understood.
func (f *fit) winHTTP() (winlog.ProxyBlob, bool) { return f.need(f.winHTTPBlob()) }

// need takes a setting that a remedy cannot do without.
func (f *fit) need(b winlog.ProxyBlob, why Line) (winlog.ProxyBlob, bool) {
	if why.ID != "" {
		f.out.Lead = append(f.out.Lead, why)
		f.lead("remedy." + f.out.ID + ".how")
	}
	return b, why.ID == ""
}

func (f *fit) winHTTPBlob() (winlog.ProxyBlob, Line) {
	none := winlog.ProxyBlob{Mark: winlog.MarkWinHTTP, Flags: winlog.ProxyFlagDirect}
	return f.blob(keyConnections, winHTTPValue, winlog.ParseWinHTTPBlob, none)
}

// blob reads a binary proxy setting; none is what a value that is missing means, and
// a line with an id says why it is not known.
func (f *fit) blob(key, name string, parse func([]byte) (winlog.ProxyBlob, error), none winlog.ProxyBlob) (winlog.ProxyBlob, Line) {
	v := f.Value(key, name)
	switch v.State {
	case facts.Absent:
		return none, Line{}
	case facts.Present:
		b, err := parse(v.Value.Data)
		if err != nil || v.Value.Type != winlog.RegBinary {
			return none, message.Say("plan.proxy.not-understood", "value", key+`\`+name)
		}
		return b, Line{}
	}
	return none, message.Say("plan.not-looked", "what", key+`\`+name)
}

func (f *fit) setWinHTTP(p winlog.ProxyBlob) {
	p.Flags |= winlog.ProxyFlagDirect
	f.do(host.Set(keyConnections, winHTTPValue, winlog.RegValue{Type: winlog.RegBinary, Data: p.Encode()}))
}

// way is what the walk shows of a way out.
type way uint8

const (
	untried way = iota
	closed
	open
)

// wayOf is what an attempt that was made says of its way.
func wayOf(a *route.Attempt) way {
	if a.Exchange.Broken() != nil {
		return closed
	}
	return open
}

// fares says how a request fared on those of its ways to a proxy that are meant, and
// without one; and whose settings led to the last of the former.
func fares(t *route.Trip, meant func(*route.Attempt) bool) (through, direct way, who route.Account) {
	for i := range t.Attempts {
		a := &t.Attempts[i]
		switch {
		case !a.Walked:
		case a.Exchange.Request.Via.Direct():
			direct = max(direct, wayOf(a))
		case meant(a):
			through, who = max(through, wayOf(a)), a.Decision.As
		}
	}
	return through, direct, who
}

// ways says how vital requests for some hosts fare through the fixed proxy or the
// script of a setting, and how the same requests fare without any.
func (f *fit) ways(set winlog.ProxyBlob, hosts func(name string) bool) (through, direct way) {
	if f.Route == nil {
		return untried, untried
	}
	for i := range f.Route.Trips {
		t := &f.Route.Trips[i]
		if !t.Task.Vital || !hosts(hostOf(t.Task.Request.URL)) {
			continue
		}
		tripThrough, tripDirect, _ := fares(t, func(a *route.Attempt) bool { return sentBy(set, a) })
		through = max(through, tripThrough)
		if tripThrough != untried {
			direct = max(direct, tripDirect)
		}
	}
	return through, direct
}

// sentBy reports that a setting sent a request to a proxy.
func sentBy(set winlog.ProxyBlob, a *route.Attempt) bool {
	p := a.Decision.Proxy
	return set.Static() && p.Static != "" && sameProxy(p.Static, set.Proxy) || set.Auto() && p.PAC != "" && p.PAC == set.PAC
}

// refuses reports that the proxy of a setting is there: it was connected to, and
// what went wrong came after. Somebody runs it, and may want it to be used.
func (f *fit) refuses(set winlog.ProxyBlob) bool {
	if f.Route == nil {
		return false
	}
	for i := range f.Route.Trips {
		for j := range f.Route.Trips[i].Attempts {
			a := &f.Route.Trips[i].Attempts[j]
			if b := a.Exchange.Broken(); a.Walked && b != nil && sentBy(set, a) && !a.Exchange.Request.Via.Direct() &&
				b.Kind != host.HopDecision && b.Kind != host.HopDNS && b.Kind != host.HopTCP {
				return true
			}
		}
	}
	return false
}

// ownedProxy reports that somebody's policy sets the proxies, and says whose: what it
// sets is not for updoc to change.
func (f *fit) ownedProxy() bool {
	name := f.proxyPolicy()
	if name != "" {
		f.not("plan.owned", "owner", name)
	}
	return name != ""
}

// proxyPolicy says whose policy sets proxies here, "" if none does, or if it is a
// leftover on a machine that nobody manages. ADMX_InetRes: Make proxy settings
// per-machine (rather than per-user).
func (f *fit) proxyPolicy() string {
	perUser := f.DWord(keyNetPolicy, "ProxySettingsPerUser")
	set := perUser.State == facts.Present && perUser.Value == 0
	for _, key := range []string{keyNetPolicy, keyUserPolicy} {
		for _, name := range []string{"ProxyServer", "AutoConfigURL"} {
			set = set || f.Text(key, name).Value != ""
		}
	}
	if !set {
		return ""
	}
	name, known := f.manager()
	if !known {
		return message.English().Text("plan.owner.policy")
	}
	return name
}

// policyProxy is the fixed proxy that a policy sets, "" if none does.
func (f *fit) policyProxy() string {
	for _, key := range []string{keyNetPolicy, keyUserPolicy} {
		if v := f.Text(key, "ProxyServer"); v.Value != "" {
			return v.Value
		}
	}
	return f.RouteSettings().Internet.Static
}

// sameProxy reports that two proxy lists lead to the same server first.
func sameProxy(a, b string) bool {
	x, y := route.ParseProxyList(a).Entries, route.ParseProxyList(b).Entries
	return len(x) > 0 && len(y) > 0 && strings.EqualFold(x[0].Host, y[0].Host) && x[0].Port == y[0].Port
}

// loopback reports a proxy on the machine itself: a program's, such as an ad blocker
// or a tunnel, and no way out of a network.
func loopback(list string) bool {
	entries := route.ParseProxyList(list).Entries
	for _, e := range entries {
		ip, err := netip.ParseAddr(e.Host)
		if !strings.EqualFold(e.Host, "localhost") && (err != nil || !ip.IsLoopback() && !ip.IsUnspecified()) {
			return false
		}
	}
	return len(entries) > 0
}

// hideUser takes credentials that somebody put into a setting out of it.
func hideUser(list string) string { return route.Proxy{Static: list}.Clean().Static }

// hostOf returns the host of an address, in lower case and without its port.
func hostOf(address string) string {
	_, rest, ok := strings.Cut(address, "://")
	if !ok {
		rest = address
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	if h, _, err := net.SplitHostPort(rest); err == nil {
		rest = h
	}
	return strings.ToLower(strings.Trim(strings.TrimSuffix(rest, "."), "[]"))
}

// fitImportWinHTTP gives the services the fixed proxy of the signed-in user, as
// netsh winhttp import proxy does: no script, no detection, no credentials.
func fitImportWinHTTP(f *fit) {
	now, ok := f.winHTTP()
	if !ok {
		return
	}
	if f.ownedProxy() {
		return
	}
	user, ok := f.userProxy()
	switch {
	case !ok:
	case user.Static == "" && user.PAC != "":
		f.not("plan.proxy.user-has-script", "script", user.PAC)
	case user.Static == "":
		f.not("plan.proxy.user-has-none")
	case loopback(user.Static):
		f.not("plan.proxy.user-own-program", "proxy", user.Static)
	case now.Static() && strings.EqualFold(now.Proxy, user.Static) && now.Bypass == user.Bypass:
		f.not("plan.nothing-to-change", "what", keyConnections+`\`+winHTTPValue)
	case f.fails(user.Static):
		f.not("plan.proxy.fails-too", "proxy", user.Static)
	default:
		now.Flags |= winlog.ProxyFlagStatic
		now.Proxy, now.Bypass = user.Static, user.Bypass
		f.setWinHTTP(now)
	}
}

// userProxy is the setting of the signed-in user, or the machine-wide one that a
// policy puts in its place. Whoever started updoc as an administrator may be another
// account than the one that is signed in: where its own setting is empty and exactly
// one person on the machine has one, that is it.
func (f *fit) userProxy() (route.Proxy, bool) {
	s := f.RouteSettings()
	if s.Internet.Known {
		return s.Internet, true
	}
	if !s.User.Known || s.User.Direct() {
		var others []route.Proxy
		for _, u := range f.UserProxy.Value.Users {
			p := route.Proxy{Known: true, Static: u.Proxy, Bypass: u.Bypass, PAC: u.PAC, Source: f.UserProxy.Source}.Clean()
			if person(u.Account) && (p.Static != "" || p.PAC != "") && !slices.Contains(others, p) {
				others = append(others, p)
			}
		}
		if len(others) == 1 {
			return others[0], true
		}
	}
	if !s.User.Known {
		f.unlooked(`HKCU\` + keyInternet)
	}
	return s.User, s.User.Known
}

// person reports the account of a person: of the machine or a domain, or of Entra.
// learn.microsoft.com: Security identifiers.
func person(sid string) bool {
	return strings.HasPrefix(sid, "S-1-5-21-") || strings.HasPrefix(sid, "S-1-12-1-")
}

// fails reports that the walk tried a fixed proxy and nothing passed.
func (f *fit) fails(list string) bool {
	through, _ := f.ways(winlog.ProxyBlob{Flags: winlog.ProxyFlagStatic, Proxy: list}, updateHost)
	return through == closed
}

// fitSetWinHTTP sets the fixed proxy of the services to one that is known to work
// here, and leaves it to a person to say that it is the right one.
func fitSetWinHTTP(f *fit) {
	now, ok := f.winHTTP()
	if !ok {
		return
	}
	if f.ownedProxy() {
		return
	}
	next := now
	next.Flags |= winlog.ProxyFlagStatic
	if part := forHTTPS(now); part != "" {
		next.Proxy = now.Proxy + ";https=" + part
	} else if next.Proxy = f.workingProxy(); next.Proxy == "" || now.Static() && sameProxy(next.Proxy, now.Proxy) {
		return // whoever runs the network has to say which: the sentence says so
	}
	if s := f.RouteSettings(); !now.Static() && sameProxy(next.Proxy, s.User.Static) {
		next.Bypass = s.User.Bypass
	}
	f.lead("plan.proxy.set", "proxy", next.Proxy)
	f.setWinHTTP(next)
}

// forHTTPS returns the proxy for plain HTTP where a list has none for https: the
// search then goes the direct way, and only the download through the proxy.
func forHTTPS(p winlog.ProxyBlob) string {
	http := ""
	if !p.Static() {
		return ""
	}
	for _, e := range route.ParseProxyList(p.Proxy).Entries {
		switch e.For {
		case "", "https":
			return ""
		case "http":
			http = net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
		}
	}
	return http
}

// workingProxy is a proxy through which the walk got to the update service, or the
// fixed one that the user or a policy has; "" if none is known.
func (f *fit) workingProxy() string {
	if f.Route != nil {
		for i := range f.Route.Trips {
			t := &f.Route.Trips[i]
			for j := range t.Attempts {
				a := &t.Attempts[j]
				at, ok := strings.CutPrefix(a.Exchange.Request.Via.Proxy, "http://")
				if a.Walked && ok && t.Task.Vital && a.Exchange.Broken() == nil && !loopback(at) {
					return at
				}
			}
		}
	}
	s := f.RouteSettings()
	for _, p := range []route.Proxy{s.Internet, s.User} {
		if p.Static != "" && !loopback(p.Static) && !f.fails(p.Static) {
			return p.Static
		}
	}
	return ""
}

// fitBypass mends the list of hosts that go past the services' proxy: what Windows
// cannot read is put right or left out, and the organisation's own server is added,
// or Microsoft's where the walk shows that the direct way to them is open.
func fitBypass(f *fit) {
	now, ok := f.winHTTP()
	switch {
	case !ok:
		return
	case !now.Static():
		f.lead("plan.proxy.list-elsewhere")
		f.lead("remedy." + f.out.ID + ".how")
		f.paste(route.PACDirect)
		return
	}
	if f.ownedProxy() {
		return
	}
	entries := readableEntries(now.Bypass)
	list := func() string { return strings.Join(entries, ";") }
	add := func(name string) {
		if !route.Bypass(list(), name).Direct {
			entries = append(entries, name)
		}
	}
	if own := f.ownServer(); own != "" {
		if _, direct := f.ways(now, func(name string) bool { return name == own }); direct == closed {
			f.not("plan.proxy.own-closed", "server", own)
			return
		}
		add(own)
		if short, _, cut := strings.Cut(own, "."); cut && net.ParseIP(own) == nil {
			add(short)
		}
	} else if _, direct := f.ways(now, updateHost); direct == open {
		for _, e := range route.AllowList(route.AllowUpdates) {
			if family, wild := strings.CutPrefix(e.Host, "*."); wild {
				add(family)
				if !route.Bypass(list(), "x."+family).Direct {
					entries = append(entries, e.Host)
				}
				continue
			}
			add(e.Host)
		}
	}
	next := now
	next.Bypass = list()
	if next.Bypass == strings.TrimRight(now.Bypass, "; ") {
		f.not("plan.proxy.list-complete", "list", cmp.Or(now.Bypass, "-"))
		return
	}
	f.lead("plan.proxy.bypass", "before", cmp.Or(now.Bypass, "-"), "after", next.Bypass)
	f.setWinHTTP(next)
}

// readableEntries returns the entries of an exceptions list without what Windows
// cannot read in it: support articles on 0x8024402C name commas, quotation marks and
// stray characters.
func readableEntries(list string) []string {
	const never = "\"'|\\{}^`"
	var out []string
	for e := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ';' || r == ',' || r <= ' ' }) {
		e = strings.Trim(e, never)
		if e == "" || strings.ContainsFunc(e, func(r rune) bool { return r > '~' || strings.ContainsRune(never, r) }) || slices.Contains(out, e) {
			continue
		}
		out = append(out, e)
	}
	return out
}

// fitSystemInternet gives BITS a proxy for its jobs, which it takes from the
// Internet settings of the account that owns them, LocalSystem for updates.
// learn.microsoft.com: Service accounts and BITS; bitsadmin /util /setieproxy.
func fitSystemInternet(f *fit) {
	const root = `HKU\S-1-5-18\`
	now, ok := f.connection(root)
	if !ok {
		return
	}
	if f.ownedProxy() {
		return
	}
	next := now
	switch s := f.RouteSettings(); {
	case s.Machine.Static != "" && !f.fails(s.Machine.Static):
		next.Flags |= winlog.ProxyFlagStatic
		next.Proxy, next.Bypass = s.Machine.Static, s.Machine.Bypass
	case f.workingProxy() != "":
		next.Flags |= winlog.ProxyFlagStatic
		next.Proxy = f.workingProxy()
		if sameProxy(next.Proxy, s.User.Static) {
			next.Bypass = s.User.Bypass
		}
	case strings.HasPrefix(strings.ToLower(s.User.PAC), "http"):
		next.Flags |= winlog.ProxyFlagAuto
		next.PAC = s.User.PAC
	default:
		return // the sentence says how to find out
	}
	if next.Flags == now.Flags && next.Proxy == now.Proxy && next.Bypass == now.Bypass && next.PAC == now.PAC {
		f.not("plan.nothing-to-change", "what", root+keyInternet)
		return
	}
	f.lead("plan.proxy.set-bits", "proxy", cmp.Or(next.Proxy, next.PAC))
	f.setConnection(root, next, 0)
}

// connection returns the Internet settings of an account as they are kept, as
// winHTTP does for the services.
func (f *fit) connection(root string) (winlog.ProxyBlob, bool) { return f.need(f.connectionBlob(root)) }

func (f *fit) connectionBlob(root string) (winlog.ProxyBlob, Line) {
	none := winlog.ProxyBlob{Mark: winlog.MarkConnection, Flags: winlog.ProxyFlagDirect, Tail: make([]byte, 32)}
	return f.blob(root+keyInternet+`\Connections`, "DefaultConnectionSettings", winlog.ParseConnectionBlob, none)
}

// setConnection writes the Internet settings of an account in all the places in
// which Internet Options keeps them: both binary values, which must not differ, and
// the values that programs read. lease is that of [Step].
func (f *fit) setConnection(root string, p winlog.ProxyBlob, lease int) {
	p.Flags |= winlog.ProxyFlagDirect
	p.Counter++
	set := func(c host.Change) { f.step(Step{Change: c, Lease: lease}) }
	blob := winlog.RegValue{Type: winlog.RegBinary, Data: p.Encode()}
	for _, name := range []string{"DefaultConnectionSettings", "SavedLegacySettings"} {
		set(host.Set(root+keyInternet+`\Connections`, name, blob))
	}
	enabled := f.DWord(root+keyInternet, "ProxyEnable")
	switch {
	case p.Static():
		set(host.Set(root+keyInternet, "ProxyEnable", numberValue(1)))
		set(host.Set(root+keyInternet, "ProxyServer", textValue(p.Proxy)))
		if p.Bypass != "" {
			set(host.Set(root+keyInternet, "ProxyOverride", textValue(p.Bypass)))
		}
	case enabled.State == facts.Present && enabled.Value != 0:
		set(host.Set(root+keyInternet, "ProxyEnable", numberValue(0)))
	}
	script := f.Text(root+keyInternet, "AutoConfigURL")
	switch {
	case p.Auto():
		set(host.Set(root+keyInternet, "AutoConfigURL", textValue(p.PAC)))
	case script.State == facts.Present:
		set(host.Change{Kind: host.ValueDel, Path: root + keyInternet, Name: "AutoConfigURL"})
	}
}

// accounts are the roots of the Internet settings that Windows Update may ask.
var accounts = []struct {
	who  route.Account
	root string
}{
	{route.System, `HKU\S-1-5-18\`}, {route.NetworkService, `HKU\S-1-5-20\`}, {route.LocalService, `HKU\S-1-5-19\`}, {route.User, `HKCU\`},
}

// fitDetect switches the detection of proxies off where the walk shows that what it
// finds refuses, and on where it shows that only what it finds lets through.
func fitDetect(f *fit) {
	if f.ownedProxy() {
		return
	}
	off, on := f.detected()
	switch {
	case len(off) > 0:
		for _, a := range accounts {
			if b, why := f.connectionBlob(a.root); why.ID == "" && b.Detect() && slices.Contains(off, a.who) {
				b.Flags &^= winlog.ProxyFlagDetect
				f.setConnection(a.root, b, 0)
			}
		}
		// Services without any setting ask WPAD all the same. learn.microsoft.com:
		// Disable HTTP proxy features (DisableWpad).
		if w, why := f.winHTTPBlob(); why.ID == "" && w.Direct() && slices.Contains(off, route.System) {
			f.do(host.Set(keyMachineNet+`\WinHttp`, "DisableWpad", numberValue(1)))
		}
	case len(on) > 0:
		for _, a := range accounts {
			if b, why := f.connectionBlob(a.root); why.ID == "" && !b.Detect() && slices.Contains(on, a.who) {
				b.Flags |= winlog.ProxyFlagDetect
				f.setConnection(a.root, b, 0)
			}
		}
	default:
		f.unlooked(message.English().Text("plan.what.detection"))
		return
	}
	if len(f.out.Steps) == 0 {
		f.not("plan.nothing-to-change", "what", message.English().Text("plan.what.detect-flag"))
	}
}

// detected says for which accounts a proxy that detection found is in the way while
// the direct way is open, and for which it is the only way.
func (f *fit) detected() (off, on []route.Account) {
	if f.Route == nil {
		return nil, nil
	}
	for i := range f.Route.Trips {
		t := &f.Route.Trips[i]
		through, direct, who := fares(t, func(a *route.Attempt) bool { return a.Script != nil && a.Script.Detected })
		switch {
		case through == closed && direct == open && !slices.Contains(off, who):
			off = append(off, who)
		case through == open && direct == closed && !slices.Contains(on, who):
			on = append(on, who)
		}
	}
	return off, on
}

// fitUserFallback lets searches at a WSUS try the user's proxy second, which
// Microsoft switched off in September 2020. ADMX_WindowsUpdate:
// SetProxyBehaviorForUpdateDetection.
func fitUserFallback(f *fit) {
	s := f.RouteSettings()
	user, ok := f.userProxy()
	switch {
	case s.WSUS == "" || !s.UseWSUS:
		f.not("plan.policy.no-wsus")
	case s.UserFallback:
		f.not("plan.nothing-to-change", "what", keyUpdatePolicy+`\SetProxyBehaviorForUpdateDetection`)
	case !ok:
	case user.Direct():
		f.not("plan.proxy.user-has-none")
	case f.owned():
	default:
		f.do(host.Set(keyUpdatePolicy, "SetProxyBehaviorForUpdateDetection", numberValue(1)))
	}
}

// fitCredentials names the proxies whose saved password may be wrong.
func fitCredentials(f *fit) {
	f.lead("remedy." + f.out.ID + ".how")
	s := f.RouteSettings()
	for _, p := range []route.Proxy{s.Machine, s.User, s.Internet} {
		for _, e := range route.ParseProxyList(p.Static).Entries {
			if l := message.Say("plan.proxy.credentials", "proxy", e.Host); !slices.ContainsFunc(f.out.Lead, func(o Line) bool { return o.Args["proxy"] == e.Host }) {
				f.out.Lead = append(f.out.Lead, l)
			}
		}
	}
}

// experiment is how long a setting may stand that is changed for one attempt.
const experiment = 10 // minutes

// fitWithoutUserProxy makes one attempt without the proxy of the signed-in user. The
// addresses stay in the settings; only the switches are turned.
func fitWithoutUserProxy(f *fit) {
	user := f.RouteSettings().User
	if !user.Known {
		f.unlooked(`HKCU\` + keyInternet)
		return
	}
	if user.Static == "" && user.PAC == "" {
		f.not("plan.proxy.user-has-none")
		return
	}
	if f.ownedProxy() {
		return
	}
	blob, ok := f.connection(`HKCU\`)
	if !ok {
		return
	}
	if _, direct := f.ways(winlog.ProxyBlob{Flags: winlog.ProxyFlagStatic | winlog.ProxyFlagAuto, Proxy: user.Static, PAC: user.PAC}, updateHost); direct == closed {
		f.not("plan.proxy.no-other-way", "proxy", cmp.Or(user.Static, user.PAC))
		return
	}
	blob.Flags &^= winlog.ProxyFlagStatic | winlog.ProxyFlagAuto
	f.setConnection(`HKCU\`, blob, experiment)
}

// tell hands a remedy to somebody else: its sentence, what was seen of the causes
// that it is for, and what can be pasted.
func tell(snippets ...route.SnippetKind) fitter {
	return func(f *fit) {
		f.lead("remedy." + f.out.ID + ".how")
		f.evidence()
		f.paste(snippets...)
	}
}

// How much is quoted to whoever has to act.
const (
	quotedLines = 4
	quotedRunes = 300
)

// evidence quotes what speaks for the causes of the remedy, what says most first.
func (f *fit) evidence() {
	var seen []cause.Evidence
	for _, x := range f.diagnosis.Findings {
		if !slices.Contains(f.out.Causes, x.ID) {
			continue
		}
		for _, e := range x.Evidence {
			if e.For && e.Seen != "" && e.Source != "" && !slices.ContainsFunc(seen, func(o cause.Evidence) bool { return o.Seen == e.Seen }) {
				seen = append(seen, e)
			}
		}
	}
	sorted.By(seen, func(a, b cause.Evidence) int { return cmp.Compare(b.Weight, a.Weight) })
	for _, e := range seen[:min(len(seen), quotedLines)] {
		text := []rune(strings.TrimSpace(e.Seen))
		f.lead("plan.tell.seen", "source", e.Source, "seen", string(text[:min(len(text), quotedRunes)]))
	}
}

// paste adds what can be pasted into a proxy's settings, with the machine's own
// servers in it.
func (f *fit) paste(kinds ...route.SnippetKind) {
	w := f.Route
	if w == nil {
		w = &route.Walk{Settings: f.RouteSettings()}
	}
	for _, s := range route.Advice(w, "") {
		if slices.Contains(kinds, s.Kind) {
			f.out.Lead = append(f.out.Lead, Line{ID: "plan.tell.paste", Args: map[string]string{"title": s.Title}, Paste: s.Text})
		}
	}
}

// fitTellScript tells whoever keeps the proxy script or the detection what is wrong
// with it.
func fitTellScript(f *fit) {
	kind := route.PACDirect
	if slices.Contains(f.out.Causes, "proxy-pac-case-sensitive") {
		kind = route.PACLowerCase
	}
	tell()(f)
	s := f.RouteSettings()
	for _, p := range []route.Proxy{s.Machine, s.Internet, s.User, s.Accounts[route.System]} {
		if p.PAC != "" && !slices.ContainsFunc(f.out.Lead, func(l Line) bool { return l.Args["script"] == p.PAC }) {
			f.lead("plan.tell.script", "script", p.PAC)
		}
	}
	f.paste(kind)
}

// fitLookProxy says which proxy each party uses.
func fitLookProxy(f *fit) {
	s := f.RouteSettings()
	words := message.English()
	for _, p := range []struct {
		who   string
		proxy route.Proxy
	}{
		{"services", s.Machine},
		{"machine", s.Internet},
		{"user", s.User},
		{"system", s.Accounts[route.System]},
		{"network", s.Accounts[route.NetworkService]},
	} {
		who := words.Text("plan.look.who." + p.who)
		switch {
		case !p.proxy.Known && p.who == "machine": // no policy asks for one
		case !p.proxy.Known:
			f.lead("plan.look.proxy-unknown", "who", who)
		default:
			f.lead("plan.look.proxy", "who", who, "setting", tellProxy(p.proxy), "source", cmp.Or(p.proxy.Source, "-"))
		}
	}
}

// tellProxy says a setting in the words of the setting itself.
func tellProxy(p route.Proxy) string {
	words := message.English()
	var parts []string
	if p.Static != "" {
		parts = append(parts, p.Static)
		if p.Bypass != "" {
			parts = append(parts, words.Text("plan.look.past", "list", p.Bypass))
		}
	}
	if p.PAC != "" {
		parts = append(parts, words.Text("plan.look.script", "script", p.PAC))
	}
	if p.Detect {
		parts = append(parts, words.Text("plan.look.detection"))
	}
	if len(parts) == 0 {
		return words.Text("plan.look.none")
	}
	return strings.Join(parts, ", ")
}
