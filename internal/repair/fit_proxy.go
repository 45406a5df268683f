package repair

import (
	"net"
	"net/netip"
	"strings"

	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/route"
	"updoc/internal/winlog"
)

// Registry places of proxy settings.
const (
	keyMachineNet  = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings`
	keyConnections = keyMachineNet + `\Connections`
	keyNetPolicy   = `HKLM\SOFTWARE\Policies\Microsoft\Windows\CurrentVersion\Internet Settings`
	keyUserPolicy  = `HKCU\Software\Policies\Microsoft\Windows\CurrentVersion\Internet Settings`
	winHTTPValue   = "WinHttpSettings"
)

// fitProxy fits the remedies for which proxy, by which setting.
func fitProxy() map[string]fitter {
	return map[string]fitter{
		"clear-winhttp-proxy": fitClearWinHTTP,
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
	switch through, direct := f.ways(now); {
	case through == open:
		f.not("plan.proxy.answers", "proxy", hideUser(set))
		return
	case direct == closed:
		f.not("plan.proxy.no-other-way", "proxy", hideUser(set))
		return
	case direct == untried && !loopback(now.Proxy):
		f.out.How = Guided
		f.lead("plan.proxy.not-walked", "proxy", hideUser(set))
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
func (f *fit) winHTTP() (winlog.ProxyBlob, bool) {
	v := f.Value(keyConnections, winHTTPValue)
	switch v.State {
	case facts.Absent:
		return winlog.ProxyBlob{Mark: winlog.MarkWinHTTP, Flags: winlog.ProxyFlagDirect}, true
	case facts.Present:
		b, err := winlog.ParseWinHTTPBlob(v.Value.Data)
		if err == nil && v.Value.Type == winlog.RegBinary {
			return b, true
		}
		f.lead("plan.proxy.not-understood", "value", keyConnections+`\`+winHTTPValue)
		f.lead("remedy." + f.out.ID + ".how")
		return b, false
	}
	f.unlooked(keyConnections + `\` + winHTTPValue)
	return winlog.ProxyBlob{}, false
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

// ways says how requests for Microsoft's hosts fare through the fixed proxy or the
// script of a setting, and how the same requests fare without any.
func (f *fit) ways(set winlog.ProxyBlob) (through, direct way) {
	if f.Route == nil {
		return untried, untried
	}
	for i := range f.Route.Trips {
		t := &f.Route.Trips[i]
		if u := hostOf(t.Task.Request.URL); !updateHost(u) || !t.Task.Vital {
			continue
		}
		tripThrough, tripDirect := untried, untried
		for j := range t.Attempts {
			a := &t.Attempts[j]
			if !a.Walked {
				continue
			}
			w := open
			if a.Exchange.Broken() != nil {
				w = closed
			}
			switch p := a.Decision.Proxy; {
			case a.Exchange.Request.Via.Direct():
				tripDirect = max(tripDirect, w)
			case set.Static() && p.Static != "" && sameProxy(p.Static, set.Proxy), set.Auto() && p.PAC != "" && p.PAC == set.PAC:
				tripThrough = max(tripThrough, w)
			}
		}
		through = max(through, tripThrough)
		if tripThrough != untried {
			direct = max(direct, tripDirect)
		}
	}
	return through, direct
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
