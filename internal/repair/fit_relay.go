package repair

import (
	"cmp"
	"net"
	"strconv"
	"strings"

	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/route"
	"updoc/internal/winlog"
)

// Relay is a relay that runs on the machine, see [Options].
type Relay struct {
	Address string // "127.0.0.1:49500"
	Minutes int    // for how long the settings may lead to it
}

// Redirected is a proxy setting that is made to lead to a relay, by a script of its
// own: update hosts go to the relay, everything else as Now decides.
type Redirected struct {
	Script string      // path of the script at the relay: "/services.pac"
	Now    route.Proxy // what decides now; Detect also where the services look for a proxy because none is set
}

// Redirect says which settings of a machine can be made to lead update requests to a
// relay. A line with an id says why none can.
func Redirect(f *facts.Facts) ([]Redirected, Line) {
	var out []Redirected
	list, why := (&fit{Facts: f}).redirects()
	for _, r := range list {
		out = append(out, Redirected{r.script, r.now})
	}
	return out, why
}

// redirect is a setting that can lead to a relay, and how it is made to.
type redirect struct {
	script string
	now    route.Proxy
	set    func(f *fit, script string, lease int)
}

// scriptsSince is the first build whose netsh sets a script for the services too:
// Windows Server 2022 and Windows 11. learn.microsoft.com: "Netsh.exe commands",
// set advproxy.
const scriptsSince = 20348

// redirects lists the settings that decide about updates: that of the services, which
// the search goes by, and those of the accounts that download.
//
// A fixed proxy that is set stays set below the script. So Windows goes back to it by
// itself when nobody gives the script any more: WinHTTP takes detection, script and
// fixed proxy in this order, and passes over what fails.
func (f *fit) redirects() ([]redirect, Line) {
	if name := f.proxyPolicy(); name != "" {
		return nil, message.Say("plan.owned", "owner", name)
	}
	settings := f.RouteSettings()
	if settings.Internet.Known { // and not the accounts' own count
		return nil, message.Say("plan.owned", "owner", message.English().Text("plan.owner.policy"))
	}
	services, why := f.winHTTPBlob()
	if why.ID != "" {
		return nil, why
	}
	next, ok := f.scripted(services)
	if !ok {
		return nil, message.Say("plan.relay.fixed-only")
	}
	now := settings.Machine
	now.Detect = now.Detect || now.Direct() && !settings.NoWPAD
	list := []redirect{{"/services.pac", now, func(f *fit, script string, lease int) {
		next := next
		next.Flags |= winlog.ProxyFlagDirect | winlog.ProxyFlagAuto
		next.Flags &^= winlog.ProxyFlagDetect
		next.PAC = script
		f.step(Step{Change: host.Set(keyConnections, winHTTPValue, winlog.RegValue{Type: winlog.RegBinary, Data: next.Encode()}), Lease: lease})
	}}}
	for _, a := range []struct {
		account route.Account
		script  string
	}{{route.System, "/system.pac"}, {route.NetworkService, "/network.pac"}} {
		root := `HKU\` + string(a.account) + `\`
		blob, why := f.connectionBlob(root)
		if why.ID != "" {
			continue // what nobody looked at, or does not understand, is left alone
		}
		list = append(list, redirect{a.script, settings.Accounts[a.account], func(f *fit, script string, lease int) {
			next := blob
			next.Flags |= winlog.ProxyFlagAuto
			next.Flags &^= winlog.ProxyFlagDetect
			next.PAC = script
			f.setConnection(root, next, lease)
		}})
	}
	return list, Line{}
}

// scripted returns the services' setting in a form that has room for a script.
func (f *fit) scripted(b winlog.ProxyBlob) (winlog.ProxyBlob, bool) {
	build, _, _ := strings.Cut(cmp.Or(f.Machine.Build, f.Text(keyCurrentVersion, "CurrentBuild").Value), ".")
	if n, err := strconv.Atoi(build); err == nil && n >= scriptsSince && b.Mark == winlog.MarkWinHTTP && len(b.Tail) == 0 {
		b.Mark = winlog.MarkWinHTTPNew
	}
	const any = "http://127.0.0.1/"
	try := b
	try.PAC = any
	again, err := winlog.ParseWinHTTPBlob(try.Encode())
	return b, err == nil && again.PAC == any
}

// fitRelay sends update requests to a relay that signs in at the proxy. Where none
// runs, a person with a login is told how to start one: the relay itself asks for the
// password, and takes the settings back when it ends.
func fitRelay(f *fit) {
	list, why := f.redirects()
	switch {
	case f.relay == nil && (why.ID == "" || why.ID == "plan.not-looked"):
		f.out.How = Advice // there is nothing to be asked meanwhile: the command does it all
		f.lead("remedy." + f.out.ID + ".how")
		if at := f.relayProxy(); at != "" {
			f.lead("plan.relay.start", "proxy", at)
		}
		return
	case why.ID != "":
		f.why = why
		return
	}
	for _, r := range list {
		r.set(f, "http://"+f.relay.Address+r.script, f.relay.Minutes)
	}
	f.lead("plan.relay.sends", "relay", f.relay.Address, "minutes", strconv.Itoa(f.relay.Minutes))
}

// relayProxy is the proxy that wants the login, "" if no setting names one.
func (f *fit) relayProxy() string {
	s := f.RouteSettings()
	for _, p := range []route.Proxy{s.Machine, s.User, s.Accounts[route.System]} {
		for _, e := range route.ParseProxyList(p.Static).Entries {
			if at := net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))); !loopback(at) {
				return at
			}
		}
	}
	return ""
}
