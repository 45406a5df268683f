package route

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/sorted"
)

// SnippetKind says what a snippet is pasted into.
type SnippetKind string

// The kinds.
const (
	SquidAllow   SnippetKind = "squid"        // let update hosts through without a sign-in
	SquidIntact  SnippetKind = "squid-tls"    // do not open their TLS
	SquidRanges  SnippetKind = "squid-ranges" // hand ranges on as they are asked for
	PACDirect    SnippetKind = "pac"          // send update hosts the direct way
	PACLowerCase SnippetKind = "pac-case"     // compare host names in small letters
	WinHTTP      SnippetKind = "winhttp"      // exceptions of WinHTTP's proxy, with the present value kept
	WinHTTPUser  SnippetKind = "winhttp-user" // the user's proxy as WinHTTP's
	WinHTTPReset SnippetKind = "winhttp-none" // no proxy for WinHTTP, with the way back
	HostList     SnippetKind = "list"         // names and ports, for any other product
)

// Snippet is advice that can be pasted. What it is pasted into belongs to somebody
// who must read it first: it explains itself in comments of its own language.
type Snippet struct {
	Kind  SnippetKind
	Title string
	Text  string // lines of at most 80 characters, but for WinHTTP's one command; no tab, no control character
	Fits  bool   // it is meant for the cause that was given
}

// Advice returns what can be pasted against trouble with a proxy: what fits the cause
// (an id of the catalogue of causes; "" if none is known) and this walk first, then the
// same for whoever decides elsewhere. Hosts are those of the endpoint table and the
// machine's own servers; a name that no host can have is left out.
func Advice(w *Walk, cause string) []Snippet {
	a := adviser{w: w, own: ownServers(w.Settings)}
	kinds := []struct {
		kind SnippetKind
		text string
	}{
		{SquidAllow, a.squidAllow()},
		{SquidIntact, a.squidIntact()},
		{SquidRanges, a.squidRanges()},
		{PACDirect, a.pacDirect()},
		{PACLowerCase, a.pacLowerCase()},
		{WinHTTP, a.winHTTP()},
		{WinHTTPUser, a.winHTTPUser()},
		{WinHTTPReset, a.winHTTPReset()},
		{HostList, a.list()},
	}
	fits := a.fitting(cause)
	var out []Snippet
	for _, k := range kinds {
		other := k.kind == WinHTTPUser || k.kind == WinHTTPReset // another proxy, and not other exceptions
		switch {
		case other && k.kind != fits:
			continue // a proxy stays what it is unless it is the cause
		case k.text == "" && k.kind == fits && !other: // the setting that would have to be changed is not known
			fits = HostList
			continue
		case k.text == "":
			continue
		}
		out = append(out, Snippet{
			Kind: k.kind, Title: message.English().Text("snippet." + string(k.kind)),
			Text: strings.TrimRight(k.text, "\n") + "\n", Fits: k.kind == fits,
		})
	}
	sorted.By(out, func(x, y Snippet) int {
		switch {
		case x.Fits == y.Fits:
			return 0
		case x.Fits:
			return -1
		}
		return 1
	})
	return out
}

// adviser writes the snippets of one walk.
type adviser struct {
	w   *Walk
	own []server
}

// fitting picks the kind that settles a cause; "" where pasting settles nothing.
func (a adviser) fitting(cause string) SnippetKind {
	switch cause {
	case "proxy-auth-required", "proxy-negotiate-refused", "proxy-plain-http-challenged", "proxy-credentials-cached":
		if agent := a.agent(); agent != "" && !strings.Contains(strings.ToLower(agent), "squid") {
			return HostList
		}
		return SquidAllow
	case "proxy-misconfigured-winhttp":
		if a.scripted() {
			return PACDirect
		}
		return WinHTTP
	case "proxy-user-only":
		return WinHTTPUser
	case "proxy-stale":
		return WinHTTPReset
	case "proxy-wpad-wrong":
		return PACDirect
	case "proxy-pac-case-sensitive":
		return PACLowerCase
	case "tls-interception":
		return SquidIntact
	case "bits-blocked-range-requests", "proxy-mangles-headers":
		return SquidRanges
	case "firewall-block":
		return HostList
	}
	return ""
}

// agent is how the proxy that breaks the route names itself.
func (a adviser) agent() string {
	for _, at := range a.w.walked {
		for _, h := range at.Exchange.Hops {
			if h.Kind == host.HopProxy && h.Fault != "" && h.Agent != "" {
				return h.Agent
			}
		}
	}
	return ""
}

// scripted reports that a script sends a broken request where it breaks.
func (a adviser) scripted() bool {
	for i := range a.w.Trips {
		if d := a.w.Trips[i].Deciding(); d != nil && d.Exchange.Broken() != nil && d.Script != nil && d.Script.Fault == "" {
			return true
		}
	}
	return false
}

// server is a server of the organisation's own that policy names.
type server struct {
	name string // in lower case; an address without brackets
	addr netip.Addr
	port uint16
}

func ownServers(s Settings) []server {
	var out []server
	for _, raw := range []string{s.WSUS, s.WSUSStatus, s.Alternate, s.CacheHost} {
		if raw == "" {
			continue
		}
		if !strings.Contains(raw, "://") {
			raw = "http://" + raw
		}
		u, err := url.Parse(raw)
		if err != nil {
			continue
		}
		v := server{name: strings.ToLower(u.Hostname()), port: 80}
		if strings.EqualFold(u.Scheme, "https") {
			v.port = 443
		}
		if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil && n > 0 {
			v.port = uint16(n)
		}
		if ip, err := netip.ParseAddr(v.name); err == nil {
			v.addr = ip.WithZone("")
			v.name = v.addr.String()
		} else if !plainName(v.name) {
			continue
		}
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// plainName reports a name that means nothing but itself in any of the languages
// that snippets are written in.
func plainName(s string) bool {
	return s != "" && len(s) <= 253 && s[0] != '-' && s[0] != '.' && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_'
	})
}

// names returns the names of the own servers, addresses left out.
func (a adviser) names() []string {
	var out []string
	for _, s := range a.own {
		if !s.addr.IsValid() && !slices.Contains(out, s.name) {
			out = append(out, s.name)
		}
	}
	return out
}

func (a adviser) addresses() []string {
	var out []string
	for _, s := range a.own {
		if s.addr.IsValid() && !slices.Contains(out, s.name) {
			out = append(out, s.name)
		}
	}
	return out
}

// ports returns every port that the hosts of a list and the own servers are asked on.
func (a adviser) ports(list []Endpoint) []string {
	var all []uint16
	for _, e := range list {
		all = append(all, e.Ports...)
	}
	for _, s := range a.own {
		all = append(all, s.port)
	}
	slices.Sort(all)
	var out []string
	for _, p := range slices.Compact(all) {
		out = append(out, strconv.Itoa(int(p)))
	}
	return out
}

// The names of the lists in a squid.conf, apart from each other, so that snippets can
// be pasted together.
const (
	aclHosts  = "windowsupdate"
	aclOwn    = "windowsupdate_own"
	aclPorts  = "windowsupdate_ports"
	aclIntact = "windowsupdate_intact"
	aclFiles  = "windowsupdate_files"
)

// acl writes a list of squid's: lines that begin alike add up.
func acl(b *strings.Builder, name, kind string, values []string) {
	const width = 78
	head := "acl " + name + " " + kind
	line := head
	for _, v := range values {
		if line != head && len(line)+1+len(v) > width {
			b.WriteString(line + "\n")
			line = head
		}
		line += " " + v
	}
	if line != head {
		b.WriteString(line + "\n")
	}
}

// dstdomains writes hosts as squid compares them: ".x" is x and every name below it.
// squid-cache.org: acl, dstdomain.
func dstdomains(list []Endpoint, names []string) []string {
	var out []string
	for _, e := range list {
		out = append(out, strings.TrimPrefix(e.Host, "*"))
	}
	for _, n := range names {
		if !slices.ContainsFunc(list, func(e Endpoint) bool { return e.matches(n) }) {
			out = append(out, n)
		}
	}
	return out
}

// squidAllow lets the hosts through before the rule that asks for a sign-in: squid
// takes the first http_access line that fits.
func (a adviser) squidAllow() string {
	var b strings.Builder
	list := AllowList(AllowUpdates)
	b.WriteString(`# Windows Update runs as the computer itself and cannot answer a sign-in.
# Into squid.conf, below "http_access deny CONNECT !SSL_ports" and above the
# first http_access line that names a proxy_auth list. Then:
#   squid -k parse && squid -k reconfigure
# If others than your own networks reach this proxy: "allow localnet" each.
`)
	acl(&b, aclHosts, "dstdomain", dstdomains(list, a.names()))
	acl(&b, aclOwn, "dst", a.addresses())
	acl(&b, aclPorts, "port", a.ports(list))
	fmt.Fprintf(&b, "http_access allow %s %s\n", aclHosts, aclPorts)
	if len(a.addresses()) > 0 {
		fmt.Fprintf(&b, "http_access allow %s %s\n", aclOwn, aclPorts)
	}
	return b.String()
}

// squidIntact hands TLS on unopened: the name is read from the greeting, nothing else.
// squid-cache.org: SslPeekAndSplice.
func (a adviser) squidIntact() string {
	var b strings.Builder
	b.WriteString(`# Windows Update accepts Microsoft's own certificates only: TLS to these hosts
# must not be opened. Into squid.conf, above the first ssl_bump line.
acl windowsupdate_greeting at_step SslBump1
`)
	acl(&b, aclIntact, "ssl::server_name", dstdomains(AllowList(AllowIntact), a.names()))
	fmt.Fprintf(&b, "ssl_bump peek windowsupdate_greeting\nssl_bump splice %s\n", aclIntact)
	return b.String()
}

// squidRanges keeps squid from asking for whole files where a part was asked for,
// which guides to caching updates recommend. squid-cache.org: range_offset_limit,
// quick_abort_min.
func (a adviser) squidRanges() string {
	var b strings.Builder
	b.WriteString(`# Updates are fetched in parts: Range must reach the server, and its answer,
# 206 with Content-Range and Content-Length, must come back as it is.
# Into squid.conf, above all lines that begin with range_offset_limit. Take out
# "quick_abort_min -1": with it, whole files are fetched where parts are wanted.
`)
	acl(&b, aclFiles, "dstdomain", dstdomains(AllowList(AllowRanges), a.names()))
	fmt.Fprintf(&b, "range_offset_limit 0 %s\nquick_abort_min 0 KB\nquick_abort_max 0 KB\n", aclFiles)
	// Not without the comment sign: where no line denies a field, an allow for some
	// hosts would deny it to all others.
	b.WriteString("# Where a line below denies one of these fields, its line before that one:\n")
	for _, f := range []string{"Range", "If-Range"} {
		fmt.Fprintf(&b, "#request_header_access %s allow %s\n", f, aclFiles)
	}
	for _, f := range []string{"Accept-Ranges", "Content-Range", "Content-Length"} {
		fmt.Fprintf(&b, "#reply_header_access %s allow %s\n", f, aclFiles)
	}
	return b.String()
}

// open tells which of the two groups of hosts, the machine's own servers and
// Microsoft's, may be sent the direct way: both, unless the walk saw that one is
// closed there.
func (a adviser) open() (own, microsoft bool) {
	seen := map[bool][2]int{} // own or not: closed, open
	for i := range a.w.Trips {
		t := &a.w.Trips[i]
		u, err := url.Parse(t.Task.Request.URL)
		if err != nil {
			continue
		}
		_, public := EndpointOf(u.Hostname())
		for _, at := range t.Attempts {
			if !at.Walked || !at.Exchange.Request.Via.Direct() {
				continue
			}
			n := seen[!public]
			if at.Exchange.Broken() == nil {
				n[1]++
			} else {
				n[0]++
			}
			seen[!public] = n
		}
	}
	passes := func(n [2]int) bool { return n[1] > 0 || n[0] == 0 }
	own, microsoft = passes(seen[true]), passes(seen[false])
	if !own && !microsoft || len(a.own) == 0 && !microsoft {
		return true, true // nothing is open now: what is to be opened first is not this snippet's matter
	}
	return own && len(a.own) > 0, microsoft
}

// direct are the hosts that may go the direct way: names that match exactly, and
// families, each without its star.
func (a adviser) direct() (exact, families []string) {
	own, microsoft := a.open()
	if own {
		for _, s := range a.own {
			if !slices.Contains(exact, s.name) {
				exact = append(exact, s.name)
			}
		}
	}
	if microsoft {
		for _, e := range AllowList(AllowUpdates) {
			if family, ok := strings.CutPrefix(e.Host, "*."); ok {
				families = append(families, family)
			} else {
				exact = append(exact, e.Host)
			}
		}
	}
	return exact, families
}

// pacDirect is written in the language of 1999, which WinHTTP runs scripts with.
func (a adviser) pacDirect() string {
	exact, families := a.direct()
	var b strings.Builder
	b.WriteString(`// Make this the first line of FindProxyForURL (and of FindProxyForURLEx):
//     if (isWindowsUpdate(host)) return "DIRECT";
// and put this function beside it.
function isWindowsUpdate(host) {
    var name = host.toLowerCase(), i;
`)
	array := func(what string, list []string) {
		fmt.Fprintf(&b, "    var %s = [\n", what)
		for i, s := range list {
			end := ","
			if i == len(list)-1 {
				end = "" // JScript counts one element more after a last comma
			}
			fmt.Fprintf(&b, "        %q%s\n", s, end)
		}
		b.WriteString("    ];\n")
	}
	array("exact", exact)
	array("families", families)
	b.WriteString(`    for (i = 0; i < exact.length; i++) {
        if (name == exact[i]) return true;
    }
    for (i = 0; i < families.length; i++) {
        if (name == families[i]) return true;
        if (dnsDomainIs(name, "." + families[i])) return true;
    }
    return false;
}
`)
	return b.String()
}

// pacLowerCase mends a script that compares names letter by letter. Browsers hand
// over names in small letters; Windows Update hands over WUServer as it is written.
func (a adviser) pacLowerCase() string {
	return `// Make this the first line of FindProxyForURL (and of FindProxyForURLEx):
// Windows Update hands over the host name in the letters of the policy.
    host = host.toLowerCase();
`
}

// winHTTP is one command. It holds what is set now: set proxy replaces all of it.
// learn.microsoft.com: Netsh Commands for Windows Hypertext Transfer Protocol.
func (a adviser) winHTTP() string {
	p := a.w.Settings.Machine.Clean()
	static := ParseProxyList(p.Static)
	if !p.Known || len(static.Entries) == 0 || strings.ContainsFunc(p.Static, unquotable) {
		return ""
	}
	var bypass, left []string
	add := func(s string) {
		if !slices.ContainsFunc(bypass, func(o string) bool { return strings.EqualFold(o, s) }) {
			bypass = append(bypass, s)
		}
	}
	fields, _ := listFields(p.Bypass)
	for _, f := range fields {
		macro := strings.EqualFold(f, "<local>") || strings.EqualFold(f, "<-loopback>")
		if _, flaw := parseBypassEntry(f); !macro && (flaw != "" || strings.ContainsFunc(f, unquotable)) {
			left = append(left, strings.Map(func(r rune) rune {
				if unquotable(r) {
					return '?'
				}
				return r
			}, hideUser(f)))
			continue
		}
		add(f)
	}
	exact, families := a.direct()
	for _, s := range exact {
		if ip, err := netip.ParseAddr(s); err == nil && ip.Is6() {
			s = "[" + s + "]"
		}
		add(s)
	}
	for _, s := range families {
		add(s)
		add("*." + s)
	}
	var b strings.Builder
	b.WriteString("rem As administrator. The proxy and the exceptions that are set now are kept.\n")
	for _, s := range left[:min(len(left), 5)] {
		fmt.Fprintf(&b, "rem Left out, Windows does not understand it: %.32s\n", s)
	}
	fmt.Fprintf(&b, "netsh winhttp set proxy proxy-server=%q bypass-list=%q\n", p.Static, strings.Join(bypass, ";"))
	return b.String()
}

// winHTTPUser gives services the proxy that people have. netsh could import it ("import
// proxy source=ie"), but takes whoever runs it for the user.
func (a adviser) winHTTPUser() string {
	s := a.w.Settings
	user := s.User.Clean()
	if s.Internet.Known {
		user = s.Internet.Clean()
	}
	if !user.Known || len(ParseProxyList(user.Static).Entries) == 0 || s.Machine.Static != "" || unsafe(user) {
		return ""
	}
	return "rem As administrator. The services of Windows get the proxy of the signed-in user.\n" +
		"rem Back, where none was set before: netsh winhttp reset proxy\n" + setProxy(user)
}

// winHTTPReset takes away a proxy that is not there any more, where it is a fixed one: a
// script is found again. The way back stands above it.
func (a adviser) winHTTPReset() string {
	p := a.w.Settings.Machine.Clean()
	if !p.Known || len(ParseProxyList(p.Static).Entries) == 0 || unsafe(p) {
		return ""
	}
	return "rem As administrator. Only if that proxy is gone for good. Back:\nrem " + setProxy(p) + "netsh winhttp reset proxy\n"
}

// setProxy is the command that sets a proxy as it is.
func setProxy(p Proxy) string {
	if p.Bypass == "" {
		return fmt.Sprintf("netsh winhttp set proxy proxy-server=%q\n", p.Static)
	}
	return fmt.Sprintf("netsh winhttp set proxy proxy-server=%q bypass-list=%q\n", p.Static, p.Bypass)
}

// unsafe reports a setting that a command cannot hold.
func unsafe(p Proxy) bool {
	return strings.ContainsFunc(p.Static, unquotable) || strings.ContainsFunc(p.Bypass, unquotable)
}

// unquotable reports a character that does not stand for itself between the quotation
// marks of cmd.exe or PowerShell.
func unquotable(r rune) bool {
	return r <= ' ' && r != ' ' || r > '~' || strings.ContainsRune("\"`$%!^'\\&|", r)
}

// list is for products whose rules look otherwise.
func (a adviser) list() string {
	var b strings.Builder
	table := func(head string, list []Endpoint, own bool) {
		b.WriteString(head)
		if own {
			for _, s := range a.own {
				fmt.Fprintf(&b, "%-42s %d\n", s.name, s.port)
			}
		}
		for _, e := range list {
			var ports []string
			for _, p := range e.Ports {
				ports = append(ports, strconv.Itoa(int(p)))
			}
			fmt.Fprintf(&b, "%-42s %s\n", e.Host, strings.Join(ports, ","))
		}
	}
	table("# To be let through without a sign-in, by name: Microsoft publishes no\n# addresses. *.x is x and every name below it.\n", AllowList(AllowUpdates), true)
	table("\n# Among them and beside them: TLS that must not be opened.\n", AllowList(AllowIntact), false)
	table("\n# And HEAD, Range, 206, Content-Length and Content-Range must pass as they are.\n", AllowList(AllowRanges), false)
	return b.String()
}
