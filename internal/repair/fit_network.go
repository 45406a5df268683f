package repair

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/route"
	"updoc/internal/winlog"
)

// Registry places of names, time and encryption.
const (
	keyTCPIP      = `HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`
	keyTime       = `HKLM\SYSTEM\CurrentControlSet\Services\W32Time`
	keyTimePolicy = `HKLM\SOFTWARE\Policies\Microsoft\W32Time`
)

// fitNetwork fits the remedies for names, firewall, clock, certificates, TLS.
func fitNetwork() map[string]fitter {
	return map[string]fitter{
		"run-connectivity-test":             fitLookRoute,
		"flush-dns-cache":                   fitFlushDNS,
		"comment-out-hosts-entries":         fitHosts,
		"disable-blocking-firewall-rules":   fitFirewall,
		"sync-clock":                        fitClock,
		"enable-tls12-and-ciphers":          fitTLS,
		"enable-root-auto-update":           fitRoots,
		"prefer-ipv4-over-ipv6":             fitPreferIPv4,
		"set-lower-mtu":                     fitMTU,
		"test-without-ipv6":                 fitWithoutIPv6,
		"test-without-vpn":                  fitWithoutVPN,
		"disconnect-vpn-during-updates":     fitPastVPN,
		"sign-in-captive-portal":            fitPortal,
		"add-missing-root-certificate":      tell(),
		"test-without-antivirus-shield":     fitWithoutProduct("antivirus"),
		"test-without-third-party-firewall": fitWithoutProduct("firewall"),

		"tell-network-route-fault": tell(),
		"tell-dns-filter-owner":    tell(),
	}
}

func fitFlushDNS(f *fit) { f.runs("plan.lasting.cache", "ipconfig", "/flushdns") }

// fitHosts puts a comment sign before the lines that lead update hosts astray.
func fitHosts(f *fit) {
	path := f.hostsPath()
	switch {
	case !f.Hosts.Known():
		f.unlooked(path)
		return
	case f.HostsText == nil || !plainText(f.HostsText):
		f.lead("plan.hosts.by-hand", "path", path)
		f.lead("remedy." + f.out.ID + ".how")
		return
	}
	text, n := silenceHosts(f.HostsText, f.ownServer())
	if n == 0 {
		f.not("plan.nothing-to-change", "what", path)
		return
	}
	f.do(host.Change{Kind: host.Write, Path: path, Data: text})
	f.runs("plan.lasting.cache", "ipconfig", "/flushdns")
}

// hostsPath is where the resolver reads the hosts file.
// learn.microsoft.com: TCP/IP and NBT configuration parameters (DataBasePath).
func (f *fit) hostsPath() string {
	folder := f.expand(f.Text(keyTCPIP, "DataBasePath").Value)
	if len(folder) < 4 || folder[1] != ':' || strings.Contains(folder, "%") {
		folder = f.windows() + `\System32\drivers\etc`
	}
	return strings.TrimRight(folder, `\`) + `\hosts`
}

// expand fills in the variables that registry values begin with.
func (f *fit) expand(s string) string {
	for _, name := range []string{"%systemroot%", "%windir%"} {
		if len(s) >= len(name) && strings.EqualFold(s[:len(name)], name) {
			return f.windows() + s[len(name):]
		}
	}
	return s
}

// plainText reports text of one byte a character, which is all that the resolver
// reads; other text is left as it is.
func plainText(b []byte) bool { return !bytes.Contains(b, []byte{0}) }

// silenceHosts returns a hosts file without the mappings of update hosts: their
// lines become comments, and other names of such a line get a line of their own. A
// server of the organisation's own may be mapped, but not to nowhere. n is how many
// lines were changed; all others are as they were, to the byte.
func silenceHosts(text []byte, own string) (out []byte, n int) {
	out = make([]byte, 0, len(text)+256)
	for line := range bytes.Lines(text) {
		astray, others := hostsLine(line, own)
		if !astray {
			out = append(out, line...)
			continue
		}
		n++
		end := line[len(bytes.TrimRight(line, "\r\n")):]
		out = append(append(out, "# "...), line...)
		if len(others) == 0 {
			continue
		}
		if len(end) == 0 { // the last line of the file, without an end
			end = []byte("\r\n")
			out = append(out, end...)
		}
		out = append(append(out, strings.Join(others, " ")...), end...)
	}
	return out, n
}

// hostsLine reports a line that leads an update host astray, and returns what stays
// of it: the address and its other names, or nothing.
func hostsLine(line []byte, own string) (astray bool, others []string) {
	line = bytes.TrimPrefix(line, []byte("\uFEFF"))
	line, _, _ = bytes.Cut(line, []byte{'#'})
	words := strings.Fields(string(line))
	if len(words) < 2 {
		return false, nil
	}
	addr, err := netip.ParseAddr(words[0])
	if err != nil {
		return false, nil
	}
	sinks := winlog.HostsEntry{Addr: addr}.Sinks()
	others = words[:1:1]
	for _, name := range words[1:] {
		switch {
		case updateHost(name), own != "" && sinks && strings.EqualFold(strings.TrimSuffix(name, "."), own):
			astray = true
		default:
			others = append(others, name)
		}
	}
	if len(others) == 1 {
		others = nil
	}
	return astray, others
}

// updateHost reports a name that Windows Update asks for.
func updateHost(name string) bool {
	e, ok := route.EndpointOf(name)
	return ok && (e.Role == route.RoleVital || e.Role == route.RoleHelper) && (e.Direction == route.ByClient || e.Direction == route.ByPeer)
}

// What the time service does with a clock that is wrong by more than this, as it is
// set where nobody set anything else: nothing. learn.microsoft.com: Windows Time
// service tools and settings (MaxPosPhaseCorrection, MaxNegPhaseCorrection).
const (
	phaseCorrection = 54000 // seconds, on a machine that is in no domain
	anyCorrection   = 0xFFFFFFFF
	clockTolerated  = 5 * time.Minute // Kerberos' own
)

// fitClock has the time service set the clock, after it was switched on and told
// where to ask if it knew neither.
func fitClock(f *fit) {
	off := f.Clock
	if off.Known() && off.Value.Abs() < clockTolerated {
		f.not("plan.clock.right", "offset", off.Value.Abs().Round(time.Second).String())
		return
	}
	switch {
	case f.Service("w32time").State == facts.Absent:
		f.lead("plan.clock.no-service")
		f.lead("remedy." + f.out.ID + ".how")
		return
	case f.disabled("W32Time"): // Windows ships it to be started by a trigger
		f.do(host.Change{Kind: host.ServiceStart, Path: "W32Time", Start: &host.Start{Type: winlog.ServiceDemandStart}})
	}
	configured := f.timeSource()
	restore := f.allowCorrection(off)
	f.do(host.Change{Kind: host.ServiceRun, Path: "W32Time"})
	if configured || len(restore) > 0 {
		f.runs("plan.lasting.reread", "w32tm", "/config", "/update")
	}
	f.runs("plan.lasting.clock", "w32tm", "/resync", "/rediscover")
	f.do(restore...)
	if wholeHours(off) {
		f.lead("plan.clock.zone", "offset", off.Value.Abs().Round(time.Minute).String())
	}
}

// timeSource gives a machine that is in no domain Microsoft's time server if it was
// told to ask nobody. Policy and membership of a domain decide before that.
// learn.microsoft.com: Windows Time service tools and settings (Type, NtpServer).
func (f *fit) timeSource() bool {
	parameters := keyTime + `\Parameters`
	kind := f.Text(parameters, "Type")
	server := f.Text(parameters, "NtpServer")
	manager, known := f.manager()
	if !kind.Known() || manager != "" || !known || f.Text(keyTimePolicy+`\Parameters`, "Type").State == facts.Present {
		return false
	}
	n := len(f.out.Steps)
	if !strings.EqualFold(kind.Value, "NTP") && !strings.EqualFold(kind.Value, "AllSync") {
		f.do(host.Set(parameters, "Type", textValue("NTP")))
	}
	if server.Known() && strings.TrimSpace(server.Value) == "" {
		f.do(host.Set(parameters, "NtpServer", textValue("time.windows.com,0x9")))
	}
	return len(f.out.Steps) > n
}

// allowCorrection lets the time service make a correction that is larger than it is
// allowed to make by itself, and returns what takes the permission back.
func (f *fit) allowCorrection(off facts.Fact[time.Duration]) (restore []host.Change) {
	if !off.Known() {
		return nil
	}
	name := "MaxNegPhaseCorrection" // the machine is ahead
	if off.Value < 0 {
		name = "MaxPosPhaseCorrection"
	}
	config := keyTime + `\Config`
	now := f.Value(config, name)
	limit := f.DWord(config, name)
	switch {
	case now.State == facts.Present && !limit.Known(), now.State == facts.Unknown:
		return nil
	case now.State == facts.Absent:
		limit.Value = phaseCorrection
	}
	if limit.Value == anyCorrection || off.Value.Abs() < time.Duration(limit.Value)*time.Second {
		return nil
	}
	f.do(host.Set(config, name, numberValue(anyCorrection)))
	if now.State == facts.Absent {
		return []host.Change{{Kind: host.ValueDel, Path: config, Name: name}}
	}
	return []host.Change{host.Set(config, name, now.Value)}
}

// wholeHours reports a clock that is wrong by hours, to the minute, as one is that
// somebody set by hand in a wrong time zone.
func wholeHours(off facts.Fact[time.Duration]) bool {
	d := off.Value.Abs()
	return off.Known() && d <= 15*time.Hour && (d-d.Round(time.Hour)).Abs() < time.Minute
}

// Registry places of the firewall's rules, and of those that a policy brings.
const (
	keyFirewall       = `HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules`
	keyFirewallPolicy = `HKLM\SOFTWARE\Policies\Microsoft\WindowsFirewall\FirewallRules`
	keyFirewallServer = `HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\Mdm\FirewallRules`
)

// fitFirewall switches local rules off that keep the update services from the
// network. Rules that a policy brings are named, not touched.
func fitFirewall(f *fit) {
	rules, known := f.rules()
	if !known {
		f.unlooked(keyFirewall)
		return
	}
	owned := ""
	for _, r := range rules {
		switch {
		case !blocks(r):
		case r.Policy:
			owned = cmp.Or(owned, ruleName(r))
		default:
			f.lead("plan.firewall.rule", "rule", ruleName(r))
			f.do(host.Change{Kind: host.Switch, Path: host.Setting("firewall-rule", r.Name), State: "off"})
		}
	}
	if len(f.out.Steps) > 0 {
		return
	}
	for _, p := range f.Firewall.Value.Profiles {
		if p.Active && p.Enabled && p.BlockOutbound && !p.Policy {
			f.lead("plan.firewall.outbound", "profile", p.Name)
			f.lead("remedy." + f.out.ID + ".how")
			return
		}
	}
	if owned != "" {
		f.not("plan.firewall.policy", "rule", owned)
		return
	}
	f.not("plan.firewall.none")
}

// rules returns the rules of the firewall that block what goes out: as Windows itself tells
// them, or as the registry keeps them.
func (f *fit) rules() (list []host.FirewallRule, known bool) {
	if f.Firewall.State == facts.Present {
		return f.Firewall.Value.Blocking, true
	}
	local := f.Values(keyFirewall)
	for _, key := range []string{keyFirewall, keyFirewallPolicy, keyFirewallServer} {
		for _, v := range f.Values(key).Value {
			text, _ := v.String()
			if r, ok := host.ParseFirewallRule(v.Name, text); ok {
				r.Policy = key != keyFirewall
				list = append(list, r)
			}
		}
	}
	return list, local.Known()
}

// ruleName is what people call a rule: its display name, unless that is a resource of a
// library.
func ruleName(r host.FirewallRule) string {
	if strings.HasPrefix(r.Display, "@") {
		return r.Name
	}
	return cmp.Or(r.Display, r.Name)
}

// webServices are the services that talk to update servers; "*" stands for all.
var webServices = []string{"wuauserv", "bits", "dosvc", "usosvc", "cryptsvc", "*"}

// blocks reports a rule that stops what the update services send out: theirs by name or
// program, or everybody's on the ports of the web.
func blocks(r host.FirewallRule) bool {
	some := func(list string) bool { return list != "" && list != "*" }
	if some(r.Remote) || r.Protocol != 6 && r.Protocol != 256 {
		return false
	}
	ports := strings.Split(r.Ports, ",")
	if some(r.Ports) && !slices.ContainsFunc(ports, func(p string) bool { return covers(p, 80) || covers(p, 443) }) {
		return false
	}
	service, program := strings.ToLower(r.Service), strings.ToLower(r.Program)
	program = program[strings.LastIndexAny(program, `\/`)+1:]
	switch {
	case service != "":
		return slices.Contains(webServices, service) && (program == "" || program == "svchost.exe")
	case program != "":
		return slices.Contains([]string{"svchost.exe", "usoclient.exe", "mousocoreworker.exe", "wuauclt.exe"}, program)
	}
	return some(r.Ports)
}

// covers reports that a port, or a range of ports, holds n.
func covers(ports string, n int) bool {
	from, to, ranged := strings.Cut(ports, "-")
	a, err := strconv.Atoi(from)
	if err != nil {
		return false
	}
	if !ranged {
		return a == n
	}
	b, err := strconv.Atoi(to)
	return err == nil && a <= n && n <= b
}

// Registry places of encryption.
const (
	keyTLS12        = `HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client`
	keyWinHTTP      = keyMachineNet + `\WinHttp`
	keyCipherPolicy = `HKLM\SOFTWARE\Policies\Microsoft\Cryptography\Configuration\SSL\00010002`
	secureTLS12     = 0x800  // of DefaultSecureProtocols
	secureTLS13     = 0x2000 // likewise
)

// neededSuites are those of which Microsoft's update servers take at least one.
// learn.microsoft.com: Windows Update error 0x80072EFE with cipher suite configuration.
var neededSuites = []string{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"}

// fitTLS lets clients on the machine speak TLS 1.2 again, and adds the cipher suites
// that a policy of the machine's own leaves out.
// learn.microsoft.com: Transport Layer Security (TLS) registry settings.
func fitTLS(f *fit) {
	set := func(key, name string, v winlog.RegValue) {
		f.step(Step{Change: host.Set(key, name, v), Restart: true})
	}
	enabled, hidden := f.DWord(keyTLS12, "Enabled"), f.DWord(keyTLS12, "DisabledByDefault")
	protocols := f.DWord(keyWinHTTP, "DefaultSecureProtocols")
	if enabled.State == facts.Present && enabled.Value == 0 {
		set(keyTLS12, "Enabled", numberValue(1))
	}
	if hidden.State == facts.Present && hidden.Value != 0 {
		set(keyTLS12, "DisabledByDefault", numberValue(0))
	}
	if protocols.State == facts.Present && protocols.Value&(secureTLS12|secureTLS13) == 0 {
		set(keyWinHTTP, "DefaultSecureProtocols", numberValue(protocols.Value|secureTLS12))
	}
	if suites, ok := f.withSuites(); ok {
		switch name, known := f.manager(); {
		case name == "" && known:
			set(keyCipherPolicy, "Functions", suites)
		case len(f.out.Steps) == 0 && name != "":
			f.not("plan.owned", "owner", name)
		default:
			f.lead("plan.tls.suites", "value", keyCipherPolicy+`\Functions`, "suites", strings.Join(neededSuites, ", "))
		}
	}
	if len(f.out.Steps) > 0 || len(f.out.Lead) > 0 || f.why.ID != "" {
		return
	}
	if !enabled.Known() || !protocols.Known() {
		f.unlooked(keyTLS12)
		return
	}
	f.not("plan.nothing-to-change", "what", keyTLS12)
}

// withSuites returns the list of cipher suites that a policy allows with those that
// update servers take, in the form in which it is kept; false if nothing lacks.
func (f *fit) withSuites() (winlog.RegValue, bool) {
	v := f.Value(keyCipherPolicy, "Functions")
	list, multi := v.Value.Strings()
	if text, ok := v.Value.String(); ok {
		list = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r <= ' ' })
	}
	if v.State != facts.Present || len(list) == 0 || slices.ContainsFunc(list, func(s string) bool {
		return slices.ContainsFunc(neededSuites, func(n string) bool { return strings.HasPrefix(strings.ToUpper(s), n) })
	}) {
		return winlog.RegValue{}, false
	}
	list = append(slices.Clone(list), neededSuites...)
	if !multi {
		out := textValue(strings.Join(list, ","))
		out.Type = v.Value.Type
		return out, true
	}
	var data []byte
	for _, s := range list {
		data = append(data, textValue(s).Data...)
	}
	return winlog.RegValue{Type: winlog.RegMultiSZ, Data: append(data, 0, 0)}, true
}

// fitRoots lets Windows fetch root certificates again. learn.microsoft.com: Configure
// trusted roots and disallowed certificates.
func fitRoots(f *fit) {
	const key = `HKLM\SOFTWARE\Policies\Microsoft\SystemCertificates\AuthRoot`
	switch v := f.DWord(key, "DisableRootAutoUpdate"); {
	case !v.Known():
		f.unlooked(key + `\DisableRootAutoUpdate`)
	case v.State == facts.Absent || v.Value == 0:
		f.not("plan.nothing-to-change", "what", key+`\DisableRootAutoUpdate`)
	case f.owned():
	default:
		f.do(host.Change{Kind: host.ValueDel, Path: key, Name: "DisableRootAutoUpdate"})
	}
}

// fitPreferIPv4 has IPv4 tried first and leaves IPv6 on. learn.microsoft.com:
// Configure IPv6 in Windows (DisabledComponents).
func fitPreferIPv4(f *fit) {
	const key = `HKLM\SYSTEM\CurrentControlSet\Services\Tcpip6\Parameters`
	const preferIPv4, allOff = 0x20, 0xFF
	switch v := f.DWord(key, "DisabledComponents"); {
	case !v.Known():
		f.unlooked(key + `\DisabledComponents`)
	case v.Value&preferIPv4 != 0:
		f.not("plan.nothing-to-change", "what", key+`\DisabledComponents`)
	default:
		f.step(Step{Change: host.Set(key, "DisabledComponents", numberValue(v.Value&allOff|preferIPv4)), Restart: true})
	}
}

// smallPackets pass every line that carries IPv6, and tunnels over it. RFC 8200, 5.
const smallPackets = 1280

// fitMTU makes the packets of the adapter that leads out as small as the way wants them, of
// IPv4, of IPv6 or both: as it was measured, and where it could not be, small enough for any
// line.
func fitMTU(f *fit) {
	a, ok := f.adapter(func(a winlog.NetAdapter) bool { return len(a.Gateways) > 0 })
	if !ok {
		return
	}
	measured := []route.Packets{{Size: smallPackets}}
	if f.Route != nil && len(f.Route.Packets) > 0 {
		measured = f.Route.Packets
	}
	name, already := adapterName(a), ""
	for _, p := range measured {
		setting, why := "mtu", "plan.mtu.measured"
		switch {
		case p.To.Is6():
			setting, why = "mtu6", "plan.mtu.measured6"
		case !p.To.IsValid():
			why = "plan.mtu.small"
		}
		if i := slices.IndexFunc(f.Adapters.Value.Adapters, func(live host.Adapter) bool { return live.Name == name && 0 < live.MTU && int(live.MTU) <= p.Size }); i >= 0 && setting == "mtu" {
			already = strconv.Itoa(int(f.Adapters.Value.Adapters[i].MTU))
			continue
		}
		size := strconv.Itoa(p.Size)
		if f.lead(why, "adapter", name, "size", size); why == "plan.mtu.small" {
			f.lead("remedy." + f.out.ID + ".how")
		}
		f.do(host.Change{Kind: host.Switch, Path: host.Setting(setting, name), State: size})
	}
	if len(f.out.Steps) == 0 {
		f.not("plan.mtu.already", "adapter", name, "size", already)
	}
}

// fitWithoutIPv6 makes one attempt with IPv6 off on the adapter that has it.
func fitWithoutIPv6(f *fit) {
	six := func(list []netip.Addr) bool {
		return slices.ContainsFunc(list, func(a netip.Addr) bool { return a.Is6() && !a.Is4In6() && a.IsGlobalUnicast() })
	}
	a, ok := f.adapter(func(a winlog.NetAdapter) bool { return six(a.Addrs) })
	if !ok {
		return
	}
	f.step(Step{Change: host.Change{Kind: host.Switch, Path: host.Setting("ipv6", adapterName(a)), State: "off"}, Lease: experiment})
}

// adapter returns the connected adapter that fits, no tunnel if it can be helped, and
// says so if there is none.
func (f *fit) adapter(fits func(winlog.NetAdapter) bool) (winlog.NetAdapter, bool) {
	if !f.Network.Known() {
		f.unlooked(message.English().Text("plan.what.adapters"))
		return winlog.NetAdapter{}, false
	}
	for _, tunnel := range []bool{false, true} {
		for _, a := range f.Network.Value.Adapters {
			if a.Connected && fits(a) && (a.VPN != "") == tunnel && adapterName(a) != "" {
				return a, true
			}
		}
	}
	f.not("plan.adapter.none")
	return winlog.NetAdapter{}, false
}

// adapterName is the name by which Windows' tools know an adapter. ipconfig writes
// it behind the kind of the adapter: "Ethernet adapter Ethernet 2".
func adapterName(a winlog.NetAdapter) string {
	if _, name, ok := strings.Cut(a.Title, " adapter "); ok {
		return strings.TrimSpace(name)
	}
	return strings.TrimSpace(a.Title)
}

// tunnels names the adapters of VPN products.
func (f *fit) tunnels() []string {
	var out []string
	for _, a := range f.Network.Value.Adapters {
		if a.VPN != "" {
			out = append(out, cmp.Or(adapterName(a), a.VPN)+" ("+a.VPN+")")
		}
	}
	return out
}

// fitWithoutVPN makes one attempt with the VPNs off that are up: their adapters are
// switched off, and connections of Windows' own hung up. Where a company decides about
// the machine, or nobody looked, a person is led.
func fitWithoutVPN(f *fit) {
	var up []host.Adapter
	for _, a := range f.Adapters.Value.Adapters {
		if a.VPN != "" && a.Up {
			up = append(up, a)
		}
	}
	looked := f.Adapters.State == facts.Present
	if looked && len(up) == 0 {
		f.not("plan.vpn.none")
		return
	}
	for _, a := range up {
		switch c := f.Caller.Value; {
		case a.Forced != "":
			f.not("plan.vpn."+a.Forced, "adapter", a.Name)
		case c.Remote && (c.Over == 0 || c.Over == a.Index):
			f.not("plan.vpn.remote", "adapter", a.Name)
		}
	}
	if f.why.ID != "" {
		return
	}
	owner, known := f.manager()
	if looked && owner == "" && known && f.ownServer() == "" {
		for _, a := range up {
			minutes := strconv.Itoa(experiment)
			if a.Type != host.IfPPP {
				f.lead("plan.vpn.switched", "adapter", a.Name, "minutes", minutes)
				f.step(Step{Change: host.Change{Kind: host.Switch, Path: host.Setting("adapter", a.Name), State: "off"}, Lease: experiment})
				continue
			}
			f.lead("plan.vpn.hung-up", "adapter", a.Name)
			f.step(Step{
				Change: host.Change{Kind: host.Switch, Path: host.Setting("vpn-connection", a.Name), State: "off"}, Lease: experiment,
				Lasting: "plan.lasting.vpn",
			})
		}
		return
	}
	if owner != "" && len(up) > 0 {
		f.lead("plan.vpn.managed", "owner", owner)
	}
	f.ledFromVPN()
}

// ledFromVPN names the tunnel that a person is to close, for an attempt or for good.
func (f *fit) ledFromVPN() {
	f.lead("remedy." + f.out.ID + ".how")
	if names := f.tunnels(); len(names) > 0 {
		f.lead("plan.vpn.seen", "adapters", strings.Join(names, ", "))
	}
	if own := f.ownServer(); own != "" {
		f.lead("plan.policy.inside", "server", own)
	}
}

// fitPastVPN says how updates go past the tunnel, with the hosts that it has to leave out.
func fitPastVPN(f *fit) {
	f.ledFromVPN()
	f.paste(route.HostList)
}

// fitWithoutProduct has a person pause the products of other makers for an attempt, since
// these protect themselves: updoc watches by what the Security Center says, tries at once,
// and watches that they are on again. Windows' own firewall stands in for another one.
// Where Windows knows of all of them and there is none, there is nothing to pause; on a
// machine that is managed, and where nobody looked, a person is led.
func fitWithoutProduct(kind string) fitter {
	return func(f *fit) {
		var names, on []string
		for _, p := range f.Security.Value.Products {
			if p.Kind != kind || p.Defender || slices.Contains(names, p.Name) {
				continue
			}
			if names = append(names, p.Name); p.On {
				on = append(on, p.Name)
			}
		}
		looked := f.Security.State == facts.Present
		switch {
		case looked && len(names) == 0:
			f.not("plan.product.none")
			return
		case looked && len(on) == 0 && kind == "firewall": // of an antivirus a shield may be on alone
			f.not("plan.product.off", "names", strings.Join(names, ", "))
			return
		}
		f.lead("remedy." + f.out.ID + ".how")
		if len(names) > 0 {
			f.lead("plan.product.seen", "names", strings.Join(names, ", "))
		}
		f.evidence()
		if owner, known := f.manager(); !looked || !known || owner != "" || len(on) == 0 {
			return
		}
		if kind == "firewall" && !f.standIn() {
			return
		}
		f.lead("plan.product.watched", "minutes", strconv.Itoa(experiment))
		for _, name := range on {
			f.step(Step{
				Change: host.Change{Kind: host.Switch, Path: host.Product(kind, name), State: "off"}, Lease: experiment,
				Unseen: kind == "antivirus", // of which a shield may be paused alone
			})
		}
	}
}

// standIn has Windows' own firewall on in the network that is in use; false if nobody
// knows how it is, or a policy keeps it off.
func (f *fit) standIn() bool {
	active := slices.IndexFunc(f.Firewall.Value.Profiles, func(p host.FirewallProfile) bool { return p.Active })
	if f.Firewall.State != facts.Present || active < 0 {
		return false
	}
	p := f.Firewall.Value.Profiles[active]
	switch {
	case p.Enabled:
		f.lead("plan.product.firewall-stays", "profile", p.Name)
	case p.Policy:
		f.not("plan.product.firewall-policy")
		return false
	default:
		f.lead("plan.product.firewall-on", "profile", p.Name)
	}
	// It is looked again when the time has come: products switch it as they like.
	f.step(Step{Change: host.Change{Kind: host.Switch, Path: host.Setting("firewall-profile", p.Name), State: "on"}, Lease: experiment})
	return true
}

// fitPortal names the page at which a network wants people to sign in.
func fitPortal(f *fit) {
	f.lead("remedy." + f.out.ID + ".how")
	if f.Route == nil {
		return
	}
	for i := range f.Route.Trips {
		t := &f.Route.Trips[i]
		a := t.Deciding()
		if t.Task.ID != "verify.portal" || a == nil {
			continue
		}
		// No more than the host: what follows it may be a token of this machine's.
		if page := hostOf(a.Exchange.Get("Location")); page != "" && strings.Contains(a.Exchange.Get("Location"), "://") {
			f.lead("plan.portal.page", "host", page)
		}
	}
}

// fitLookRoute says which requests that updating depends on are answered.
func fitLookRoute(f *fit) { f.trips(func(t *route.Trip) bool { return t.Task.Vital }) }

// trips says how the requests of the walk that fit ended.
func (f *fit) trips(fits func(*route.Trip) bool) {
	if f.Route == nil {
		f.lead("plan.look.not-walked")
		return
	}
	answered := 0
	n := 0
	for i := range f.Route.Trips {
		t := &f.Route.Trips[i]
		a := t.Deciding()
		if a == nil || !fits(t) {
			continue
		}
		n++
		if broken := a.Exchange.Broken(); broken != nil {
			f.lead("plan.look.broken", "host", cmp.Or(hostOf(t.Task.Request.URL), t.Task.ID), "seen", broken.Tell())
		} else {
			answered++
		}
	}
	f.lead("plan.look.answered", "answered", strconv.Itoa(answered), "all", strconv.Itoa(n))
}
