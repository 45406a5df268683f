package route

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"updoc/internal/host"
)

// Bounds of a list of proxies or exceptions. Internet Options keeps either in a
// registry value of a few KB; what is longer was not written by a person.
const (
	maxListBytes   = 64 << 10
	maxListEntries = 1024
)

// Flaw says why an entry of a proxy list or bypass list does not do what whoever
// wrote it meant.
type Flaw string

// The flaws.
const (
	FlawComma       Flaw = "comma"        // entries are separated by semicolons or blanks; with a comma two names are one that nobody has
	FlawSlash       Flaw = "slash"        // a path or a trailing slash
	FlawCIDR        Flaw = "cidr"         // 10.0.0.0/8: Windows compares text, the entry is written 10.*
	FlawRange       Flaw = "range"        // 10.0.0.1-10.0.0.9
	FlawRegexp      Flaw = "regexp"       // the only wildcard is the star
	FlawQuote       Flaw = "quote"        // quotation marks are part of the name
	FlawLeadingDot  Flaw = "leading-dot"  // .corp.example is written *.corp.example
	FlawTrailingDot Flaw = "trailing-dot" // no name ends in a dot; the beginning of an address is written 10.1.*
	FlawBrackets    Flaw = "brackets"     // an IPv6 address stands in brackets, and nothing else does
	FlawMacro       Flaw = "macro"        // angle brackets around something else than local or -loopback
	FlawPort        Flaw = "port"         // not a number from 1 to 65535
	FlawScheme      Flaw = "scheme"       // not a scheme that Windows knows here
	FlawNoHost      Flaw = "no-host"      // nothing is left that could be a host
	FlawCharacter   Flaw = "character"    // a character that is in no host name
	FlawCredentials Flaw = "credentials"  // a user name or password; Windows reads none here
	FlawTooLong     Flaw = "too-long"     // longer than a host name may be, or the list is longer than what is read
)

// Spoils reports that, in the bypass list of the Internet settings, an entry with
// this flaw takes the whole list with it and not only itself: Microsoft's article
// 4551930 says so of slashes, and on Windows 11 every destination then goes direct.
func (f Flaw) Spoils() bool { return f == FlawSlash || f == FlawCIDR }

// Malformed is an entry of a list that means nothing to Windows. Text never holds
// credentials.
type Malformed struct {
	Text string
	Flaw Flaw
}

// ProxyList is a static list of proxies.
type ProxyList struct {
	Entries   []ProxyEntry
	Malformed []Malformed
}

// ProxyEntry is one proxy of a list.
type ProxyEntry struct {
	For     string // scheme of the requests that it is for: http, https, ftp, gopher, socks; "" for all
	Scheme  string // how one speaks to the proxy: http, https, socks
	Host    string // as written; an IPv6 address without brackets
	Port    uint16
	Guessed bool // no port was written
}

// ParseProxyList reads a static proxy list: entries
//
//	([<scheme>=][<scheme>"://"]<server>[":"<port>])
//
// separated by semicolons or blanks. learn.microsoft.com: WINHTTP_PROXY_INFO. A
// proxy without a port is asked on the one of its own scheme. Entries that make
// no sense are told in Malformed, the others count.
func ParseProxyList(list string) ProxyList {
	var l ProxyList
	fields, cut := listFields(list)
	for _, field := range fields {
		e, flaw := parseProxyEntry(field)
		if flaw != "" {
			l.Malformed = append(l.Malformed, Malformed{hideUser(field), flaw})
			continue
		}
		l.Entries = append(l.Entries, e)
	}
	if cut {
		l.Malformed = append(l.Malformed, Malformed{"...", FlawTooLong})
	}
	return l
}

// For returns the proxies for requests of a scheme, in the order in which they
// are tried: those that the list names for the scheme, else those for all. None
// means that such requests go direct: a list "http=a:1" says nothing of https.
// Entries "socks=" are not among them: WinHTTP speaks no SOCKS.
// learn.microsoft.com: WinINet vs. WinHTTP.
func (l ProxyList) For(scheme string) []ProxyEntry {
	var own, all []ProxyEntry
	for _, e := range l.Entries {
		switch e.For {
		case scheme:
			own = append(own, e)
		case "":
			all = append(all, e)
		}
	}
	if len(own) > 0 {
		return own
	}
	return all
}

// URL returns the address of the proxy: "http://proxy.example:8080".
func (e ProxyEntry) URL() string {
	return e.Scheme + "://" + net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
}

// Choice is where the static part of a setting sends a request.
type Choice struct {
	// Via holds the ways in the order in which they are tried, the direct one
	// included. It is empty if the setting names a proxy and nobody can say which:
	// the update agent then reports WU_E_INVALID_PROXY_SERVER.
	Via       []host.Via
	Bypass    BypassResult // of the exceptions; the zero value if there is no proxy to go past
	Gap       bool         // the list has proxies, but none for the scheme of this request: it goes direct
	Malformed []Malformed  // entries of the proxy list
}

// Choose tells which way the static part of a setting sends a request for an
// address. Scripts and detection come before it and are not looked at: WinHTTP
// asks what it detects first, then the script that is named, then the static
// list. learn.microsoft.com: WINHTTP_CURRENT_USER_IE_PROXY_CONFIG, "Setting
// WinINet Proxy Configurations in WinHTTP".
func (p Proxy) Choose(target string) Choice {
	direct := []host.Via{{Source: p.Source}}
	if strings.TrimSpace(p.Static) == "" {
		return Choice{Via: direct}
	}
	list := ParseProxyList(p.Static)
	c := Choice{Malformed: list.Malformed}
	if len(list.Entries) == 0 {
		return c
	}
	if c.Bypass = Bypass(p.Bypass, target); c.Bypass.Direct {
		c.Via = direct
		return c
	}
	proxies := list.For(parseTarget(target).scheme)
	if len(proxies) == 0 {
		c.Gap, c.Via = true, direct
		return c
	}
	for _, e := range proxies {
		c.Via = append(c.Via, host.Via{Proxy: e.URL(), Source: p.Source})
	}
	return c
}

// Clean returns the setting without user names and passwords. Windows never reads
// any from these values; what stands there was put there by mistake.
func (p Proxy) Clean() Proxy {
	p.Static, p.Bypass = hideUsers(p.Static), hideUsers(p.Bypass)
	if u, err := url.Parse(p.PAC); err == nil && u.User != nil {
		u.User = nil
		p.PAC = u.String()
	} else if err != nil {
		p.PAC = hideUser(p.PAC)
	}
	return p
}

// listFields splits a list at semicolons and blanks; cut reports that it was longer
// than what is read.
func listFields(list string) (fields []string, cut bool) {
	if len(list) > maxListBytes {
		list, cut = list[:maxListBytes], true
	}
	for f := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ';' || unicode.IsSpace(r) }) {
		if len(fields) == maxListEntries {
			return fields, true
		}
		fields = append(fields, f)
	}
	return fields, cut
}

func parseProxyEntry(s string) (ProxyEntry, Flaw) {
	e := ProxyEntry{Scheme: "http"}
	if i := strings.IndexAny(s, "=:/?#@["); i >= 0 && s[i] == '=' {
		e.For = strings.ToLower(s[:i])
		if !slices.Contains([]string{"http", "https", "ftp", "gopher", "socks"}, e.For) {
			return e, FlawScheme
		}
		if s = s[i+1:]; e.For == "socks" {
			e.Scheme = "socks"
		}
	}
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		switch e.Scheme = strings.ToLower(scheme); e.Scheme {
		case "http", "https":
		case "socks", "socks4", "socks5":
			e.Scheme = "socks"
		default:
			return e, FlawScheme
		}
		s = rest
	}
	s = strings.TrimSuffix(s, "/")
	switch {
	case strings.Contains(s, "@"):
		return e, FlawCredentials
	case strings.Contains(s, ","):
		return e, FlawComma
	case strings.ContainsAny(s, `/\?#`):
		return e, FlawSlash
	}
	name, port, flaw := splitEntry(s)
	if flaw != "" {
		return e, flaw
	}
	if e.Host = name; name == "" {
		return e, FlawNoHost
	}
	if flaw := nameFlaw(name); flaw != "" {
		return e, flaw
	}
	switch {
	case port != 0:
		e.Port = port
	case e.Scheme == "socks":
		e.Port, e.Guessed = 1080, true
	case e.Scheme == "https":
		e.Port, e.Guessed = 443, true
	default:
		e.Port, e.Guessed = 80, true
	}
	return e, ""
}

// splitEntry splits "host", "host:port", "[v6]" and "[v6]:port". A port that is not
// there is 0. Brackets are taken off.
func splitEntry(s string) (name string, port uint16, flaw Flaw) {
	digits, found := "", false
	if strings.HasPrefix(s, "[") {
		i := strings.IndexByte(s, ']')
		if i < 0 {
			return "", 0, FlawBrackets
		}
		rest := s[i+1:]
		if name = s[1:i]; strings.Count(name, ":") < 2 {
			return "", 0, FlawBrackets
		}
		if digits, found = strings.CutPrefix(rest, ":"); !found && rest != "" {
			return "", 0, FlawBrackets
		}
	} else {
		if strings.Count(s, ":") > 1 { // an IPv6 address; where its port would begin nobody can say
			return s, 0, ""
		}
		name, digits, found = strings.Cut(s, ":")
	}
	if found {
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || n == 0 {
			return "", 0, FlawPort
		}
		port = uint16(n)
	}
	return name, port, ""
}

// nameFlaw judges what is neither wildcard nor macro: a name or an address.
func nameFlaw(name string) Flaw {
	if strings.Contains(name, ":") {
		if _, err := netip.ParseAddr(name); err != nil {
			return FlawBrackets
		}
		return ""
	}
	switch {
	case len(name) > 255:
		return FlawTooLong
	case strings.HasPrefix(name, "."):
		return FlawLeadingDot
	case strings.HasSuffix(name, "."):
		return FlawTrailingDot
	}
	return characterFlaw(name, "")
}

// characterFlaw names the first character that no host name holds, by what it was
// probably meant for; those of allowed may stand there all the same.
func characterFlaw(name, allowed string) Flaw {
	for _, r := range name {
		switch {
		case r == '-', r == '.', r == '_', unicode.IsLetter(r), unicode.IsDigit(r), unicode.IsMark(r), strings.ContainsRune(allowed, r):
		case strings.ContainsRune("\"'`´‘’“”„«»", r):
			return FlawQuote
		case strings.ContainsRune(`^$()[]{}|+\`, r):
			return FlawRegexp
		case r == '<' || r == '>':
			return FlawMacro
		default:
			return FlawCharacter
		}
	}
	return ""
}

// hideUsers hides the credentials in every entry of a list and leaves the rest as
// it was written.
func hideUsers(list string) string {
	if !strings.Contains(list, "@") {
		return list
	}
	var b strings.Builder
	start := 0
	for i, r := range list + ";" {
		if r != ';' && !unicode.IsSpace(r) {
			continue
		}
		b.WriteString(hideUser(list[start:i]))
		if i < len(list) {
			b.WriteRune(r)
			start = i + len(string(r))
		}
	}
	return b.String()
}

// hideUser puts stars in place of what stands before the last @ of an entry: it may
// be a password, and a password may hold any sign.
func hideUser(entry string) string {
	at := strings.LastIndexByte(entry, '@')
	if at < 0 {
		return entry
	}
	start := 0
	if i := strings.Index(entry[:at], "://"); i >= 0 {
		start = i + len("://")
	} else if i := strings.IndexByte(entry[:at], '='); i >= 0 && i < 7 && !strings.Contains(entry[:i], ":") {
		start = i + 1
	}
	return entry[:start] + "***" + entry[at:]
}
