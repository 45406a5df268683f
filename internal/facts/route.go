package facts

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"updoc/internal/route"
	"updoc/internal/winlog"
)

// Registry places that say where update requests go.
const (
	keyInternet      = `Software\Microsoft\Windows\CurrentVersion\Internet Settings`
	keyMachineNet    = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings`
	keyNetPolicy     = `HKLM\SOFTWARE\Policies\Microsoft\Windows\CurrentVersion\Internet Settings`
	keyUpdatePolicy  = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`
	keyDOPolicy      = `HKLM\SOFTWARE\Policies\Microsoft\Windows\DeliveryOptimization`
	keyMDMUpdate     = `HKLM\SOFTWARE\Microsoft\PolicyManager\current\device\Update`
	keyMDMDO         = `HKLM\SOFTWARE\Microsoft\PolicyManager\current\device\DeliveryOptimization`
	keyWindowsUpdate = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate`
	keyWindows       = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	keyDNSPolicy     = `HKLM\SOFTWARE\Policies\Microsoft\Windows NT\DNSClient`
	keyTCPIP         = `HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`
	keyDnscache      = `HKLM\SYSTEM\CurrentControlSet\Services\Dnscache\Parameters`
)

// RouteSettings returns what of the facts decides where update requests go. What
// nobody looked at stays unknown; credentials that somebody put into a setting are
// left out. The environment of programs is not among the facts: it holds secrets, and
// no part of Windows Update reads it. Names that are pseudonyms of a redacted bundle are listed in Redacted:
// no request for them can be sent.
func (f *Facts) RouteSettings() route.Settings {
	s := route.Settings{
		Machine:  f.machineProxy(),
		User:     f.internetProxy(`HKCU\` + keyInternet),
		Accounts: map[route.Account]route.Proxy{},

		NoInternet: f.policyOn("DoNotConnectToWindowsUpdateInternetLocations"),
		NoPinning:  f.policyOn("DoNotEnforceEnterpriseTLSCertPinningForUpdateDetection"),

		MaxTLS:   f.maxTLS(),
		Build:    f.build(),
		Arch:     f.Machine.Arch,
		ClientID: f.Text(keyWindowsUpdate, "SusClientId").Value,
	}
	for _, a := range []route.Account{route.System, route.LocalService, route.NetworkService} {
		if p := f.internetProxy(`HKU\` + string(a) + `\` + keyInternet); p.Known {
			s.Accounts[a] = p
		}
	}
	// ADMX_InetRes: Make proxy settings per-machine (rather than per-user).
	if v := f.DWord(keyNetPolicy, "ProxySettingsPerUser"); v.State == Present && v.Value == 0 {
		if s.Internet = f.internetProxy(keyMachineNet); !s.Internet.Known || s.Internet.Direct() {
			if p := f.internetProxy(keyNetPolicy); p.Known && !p.Direct() {
				s.Internet = p
			}
		}
	}
	f.wsusSettings(&s)
	f.deliverySettings(&s)
	f.wpadSettings(&s)
	s.Computer = computerName(f.Machine.Name, s.Suffixes)
	s.Redacted = redactedNames(s)
	return s
}

// machineProxy is the setting of the services: what netsh shows, else the value
// that it is kept in. A value that is not there is no proxy.
func (f *Facts) machineProxy() route.Proxy {
	if w := f.WinHTTP; w.State == Present && w.Value.Known && w.Value.Scope != "user" {
		return route.Proxy{
			Known: true, Static: w.Value.Proxy, Bypass: w.Value.Bypass, PAC: w.Value.PAC, Detect: w.Value.AutoDetect, Source: w.Source,
		}.Clean()
	}
	v := f.Value(keyMachineNet+`\Connections`, "WinHttpSettings")
	switch v.State {
	case Absent:
		return route.Proxy{Known: true, Source: v.Source}
	case Present:
		if b, err := winlog.ParseWinHTTPBlob(v.Value.Data); err == nil {
			return blobProxy(b, v.Source)
		}
	}
	return route.Proxy{}
}

// internetProxy reads the Internet settings below a key: the values that Internet
// Options and policies write, else the binary one that keeps the same. Only the
// latter tells of detection.
func (f *Facts) internetProxy(key string) route.Proxy {
	var p route.Proxy
	known := false
	enabled := f.DWord(key, "ProxyEnable")
	if server := f.Text(key, "ProxyServer"); server.State == Present && server.Value != "" && (!enabled.Known() || enabled.Value != 0) {
		p.Static, p.Source, known = server.Value, server.Source, true
		p.Bypass = f.Text(key, "ProxyOverride").Value
	}
	if script := f.Text(key, "AutoConfigURL"); script.State == Present && script.Value != "" {
		p.PAC, p.Source, known = script.Value, cmp.Or(p.Source, script.Source), true
	}
	if v := f.DWord(key, "AutoDetect"); v.State == Present {
		p.Detect, p.Source, known = v.Value != 0, cmp.Or(p.Source, v.Source), true
	}
	switch v := f.Value(key+`\Connections`, "DefaultConnectionSettings"); v.State {
	case Present:
		b, err := winlog.ParseConnectionBlob(v.Value.Data)
		switch {
		case err != nil:
		case p.Static == "" && p.PAC == "":
			p, known = blobProxy(b, v.Source), true
		default:
			p.Detect = p.Detect || b.Detect()
		}
	case Absent:
		known = true
		p.Source = cmp.Or(p.Source, v.Source)
	}
	if enabled.State == Present && !known {
		p.Source, known = enabled.Source, true
	}
	if p.Known = known; !known {
		return route.Proxy{}
	}
	return p.Clean()
}

// blobProxy keeps of a binary setting what is switched on.
func blobProxy(b winlog.ProxyBlob, source string) route.Proxy {
	p := route.Proxy{Known: true, Detect: b.Detect(), Source: source}
	if b.Static() {
		p.Static, p.Bypass = b.Proxy, b.Bypass
	}
	if b.Auto() {
		p.PAC = b.PAC
	}
	return p.Clean()
}

// policyOn reads a policy that is a number, as group policy or management sets it.
func (f *Facts) policyOn(name string) bool {
	v := f.policyNumber(keyUpdatePolicy, keyMDMUpdate, name)
	return v.State == Present && v.Value != 0
}

// policyNumber prefers what group policy says to what management says.
// learn.microsoft.com: MDMWinsOverGP is off by default.
func (f *Facts) policyNumber(group, managed, name string) Fact[uint32] {
	if v := f.DWord(group, name); v.State == Present {
		return v
	}
	return f.DWord(managed, name)
}

func (f *Facts) policyText(group, managed, name, managedName string) Fact[string] {
	if v := f.Text(group, name); v.State == Present && strings.TrimSpace(v.Value) != "" {
		return v
	}
	return f.Text(managed, managedName)
}

// wsusSettings reads "Specify intranet Microsoft update service location" and what
// belongs to it. A server that is named is taken to be used unless UseWUServer says
// no: the policy writes both, evidence often shows but one. Management has no
// UseWUServer. learn.microsoft.com: Policy CSP Update (UpdateServiceUrl).
func (f *Facts) wsusSettings(s *route.Settings) {
	group := f.Text(keyUpdatePolicy, "WUServer")
	if use := f.DWord(keyUpdatePolicy+`\AU`, "UseWUServer"); group.State == Present && group.Value != "" {
		s.WSUS, s.UseWSUS = group.Value, use.State != Present || use.Value != 0
	} else if v := f.Text(keyMDMUpdate, "UpdateServiceUrl"); v.State == Present && strings.Contains(v.Value, "://") {
		s.WSUS, s.UseWSUS = v.Value, true
	}
	s.WSUSStatus = f.Text(keyUpdatePolicy, "WUStatusServer").Value
	s.Alternate = f.policyText(keyUpdatePolicy, keyMDMUpdate, "UpdateServiceUrlAlternate", "UpdateServiceUrlAlternate").Value
	s.FillEmptyURL = f.policyOn("FillEmptyContentUrls")
	s.UserFallback = f.policyOn("SetProxyBehaviorForUpdateDetection")
	for _, text := range []*string{&s.WSUS, &s.WSUSStatus, &s.Alternate} {
		*text = route.Proxy{PAC: *text}.Clean().PAC // takes credentials out of an address
	}
	s.FromMicrosoft = f.fromMicrosoft()
}

// fromMicrosoft returns the classes of updates that policy takes from Microsoft
// beside a WSUS. The values are read only with UseUpdateClassPolicySource, and on
// Windows 10 not with DisableDualScan. learn.microsoft.com: Use Windows Update client
// policies and WSUS together; Windows Update scan source policies.
func (f *Facts) fromMicrosoft() []string {
	gate := f.DWord(keyUpdatePolicy+`\AU`, "UseUpdateClassPolicySource")
	number, _, _ := strings.Cut(f.build(), ".")
	n, _ := strconv.Atoi(number)
	if n > 0 && n < 22000 && f.policyOn("DisableDualScan") {
		return nil
	}
	var out []string
	for _, class := range []string{"Feature", "Quality", "Driver", "Other"} {
		name := "SetPolicyDrivenUpdateSourceFor" + class + "Updates"
		v := f.DWord(keyUpdatePolicy, name)
		if gate.State != Present || gate.Value == 0 {
			v = Fact[uint32]{} // set by hand and without effect
		}
		if v.State != Present {
			v = f.DWord(keyMDMUpdate, name)
		}
		if v.State == Present && v.Value == 0 {
			out = append(out, strings.ToLower(class))
		}
	}
	return out
}

// deliverySettings reads what Delivery Optimization is told.
// learn.microsoft.com: Delivery Optimization reference.
func (f *Facts) deliverySettings(s *route.Settings) {
	switch v := f.policyNumber(keyDOPolicy, keyMDMDO, "DODownloadMode"); {
	case v.State == Present && (v.Value == 99 || v.Value == 100):
		s.DODisabled = true
	}
	s.CacheHost = f.policyText(keyDOPolicy, keyMDMDO, "DOCacheHost", "DOCacheHost").Value
}

// maxSearchList bounds the suffixes that are kept; Windows takes no more.
const maxSearchList = 32

// wpadSettings reads what WPAD has to go by. A search list that somebody set takes
// the place of the suffixes and ends devolution. ADMX_DnsClient: Primary DNS suffix
// devolution; learn.microsoft.com: Disable HTTP proxy features (DisableWpad).
func (f *Facts) wpadSettings(s *route.Settings) {
	add := func(names ...string) {
		for _, n := range names {
			n = strings.Trim(strings.TrimSpace(n), ".")
			if n != "" && len(s.Suffixes) < maxSearchList && !slices.ContainsFunc(s.Suffixes, func(have string) bool { return strings.EqualFold(have, n) }) {
				s.Suffixes = append(s.Suffixes, n)
			}
		}
	}
	off := f.DWord(keyMachineNet+`\WinHttp`, "DisableWpad")
	service := f.Service("WinHttpAutoProxySvc")
	start := f.DWord(`HKLM\SYSTEM\CurrentControlSet\Services\WinHttpAutoProxySvc`, "Start")
	s.NoWPAD = off.State == Present && off.Value != 0 || service.State == Present && service.Value.Start == 4 || start.State == Present && start.Value == 4

	list := f.Text(keyDNSPolicy, "SearchList")
	if list.State != Present || strings.TrimSpace(list.Value) == "" {
		list = f.Text(keyTCPIP, "SearchList")
	}
	if list.State == Present && strings.TrimSpace(list.Value) != "" {
		add(strings.FieldsFunc(list.Value, func(r rune) bool { return r == ',' || r == ' ' })...)
		s.Devolve = -1
		return
	}
	add(f.Text(keyTCPIP, "Domain").Value)
	if f.Network.State == Present {
		add(f.Network.Value.Suffix)
		for _, a := range f.Network.Value.Adapters {
			add(a.Suffix)
		}
		add(f.Network.Value.SearchList...)
	}
	add(f.Text(keyTCPIP, "DhcpDomain").Value)
	for _, key := range []string{keyDNSPolicy, keyDnscache, keyTCPIP} {
		if v := f.DWord(key, "UseDomainNameDevolution"); v.State == Present {
			if v.Value == 0 {
				s.Devolve = -1
				return
			}
			break
		}
	}
	for _, key := range []string{keyDNSPolicy, keyDnscache} {
		if v := f.DWord(key, "DomainNameDevolutionLevel"); v.State == Present && v.Value >= 2 && v.Value <= 128 {
			s.Devolve = int(v.Value)
			return
		}
	}
}

// build returns "22631.3007", or as much of it as is known.
func (f *Facts) build() string {
	number := f.Text(keyWindows, "CurrentBuildNumber").Value
	if number == "" || strings.Trim(number, "0123456789") != "" {
		return f.Machine.Build
	}
	if ubr := f.DWord(keyWindows, "UBR"); ubr.State == Present {
		number += "." + strconv.FormatUint(uint64(ubr.Value), 10)
	}
	if strings.HasPrefix(f.Machine.Build, number) {
		return f.Machine.Build
	}
	return cmp.Or(number, f.Machine.Build)
}

// computerName is the DNS name of the machine, as it introduces itself to a WSUS.
func computerName(name string, suffixes []string) string {
	if name == "" || strings.Contains(name, ".") || len(suffixes) == 0 {
		return name
	}
	return strings.ToLower(name) + "." + suffixes[0]
}

// redactedNames lists the hosts of the settings that are pseudonyms. An IPv4 address
// does not show that it is one; among pseudonyms it is taken for one.
func redactedNames(s route.Settings) []string {
	var names []string
	add := func(host string) {
		if host = strings.ToLower(strings.Trim(host, "[].")); host != "" {
			names = append(names, host)
		}
	}
	proxies := []route.Proxy{s.Machine, s.Internet, s.User}
	for _, a := range []route.Account{route.System, route.LocalService, route.NetworkService} {
		proxies = append(proxies, s.Accounts[a])
	}
	for _, p := range proxies {
		for _, e := range route.ParseProxyList(p.Static).Entries {
			add(e.Host)
		}
		add(hostIn(p.PAC))
	}
	for _, address := range []string{s.WSUS, s.WSUSStatus, s.Alternate} {
		add(hostIn(address))
	}
	for name := range strings.FieldsFuncSeq(s.CacheHost, func(r rune) bool { return r == ',' || r == ' ' || r == ';' }) {
		add(hostIn("http://" + name))
	}
	for _, suffix := range s.Suffixes {
		add(suffix)
	}
	add(s.Computer)
	if strings.HasPrefix(strings.ToLower(s.ClientID), pseudonymGUID) {
		add(s.ClientID)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if !slices.ContainsFunc(names, isPseudonym) {
		return nil
	}
	return slices.DeleteFunc(names, func(n string) bool {
		a, err := netip.ParseAddr(n)
		return !isPseudonym(n) && (err != nil || a.IsLoopback() || a.Is6())
	})
}

// hostIn returns the host of an address, "" if there is none.
func hostIn(address string) string {
	_, rest, ok := strings.Cut(address, "://")
	if !ok {
		return ""
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, ']') {
		rest = rest[:i]
	}
	return rest
}

// What redaction makes of names: package redact derives them, and its documentation
// of pseudonyms gives these shapes. They hold no vowels, so that no real name has them.
const (
	pseudonymGUID       = "edac7ed0-"
	pseudonymConsonants = "bcdfghjkmnpqrstvwxz"
)

// isPseudonym reports that a label of a host name, or an IPv6 address or a GUID, is
// what redaction puts in the place of a real one.
func isPseudonym(name string) bool {
	name = strings.ToLower(name)
	if strings.HasPrefix(name, pseudonymGUID) {
		return true
	}
	if a, err := netip.ParseAddr(name); err == nil {
		b := a.As16()
		return a.Is6() && (b[0] == 0x3F && b[1] == 0xFE || b[0] == 0xFD && b[1] == 0xEC && b[2] == 0xAC || b[0] == 0xFE && b[1] == 0x80 && b[8] == 0x02 && b[9] == 0xEC)
	}
	for label := range strings.SplitSeq(name, ".") {
		word, ok := strings.CutPrefix(label, "h-")
		if !ok {
			continue
		}
		head, tail, cut := strings.Cut(word, "-")
		letters := len(head) + len(tail)
		if strings.Trim(head+tail, pseudonymConsonants) == "" && (letters == 7 && !cut || letters == 12 && (!cut || len(head) == 7)) {
			return true
		}
	}
	return false
}
