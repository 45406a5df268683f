package route

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// BypassResult tells whether a request goes past the proxy, and by which entry.
type BypassResult struct {
	Direct bool
	// Entry is what decided, as written. It is empty when nothing did, and when the
	// target is the machine itself or on the link, which needs no entry.
	Entry     string
	Malformed []Malformed // entries that let nothing past, and why
}

// Bypass tells whether a bypass list lets a request past the proxy, the way WinHTTP
// reads it. The target is an address (http://wsus.corp.example:8530/...) or a host
// with or without a port; a scheme or port that the target leaves out fits any.
//
// Entries are separated by semicolons or blanks. learn.microsoft.com:
// WINHTTP_PROXY_INFO. An entry is compared with the host as text, without regard to
// letter case: names are not resolved and addresses are not calculated with. A star
// stands for any text, anywhere and as often as one likes: *.corp.example,
// www.*.example, 10.*, 123.1*.66.* ("Working with Proxy Servers" in the Internet
// Explorer deployment guide). A bare name is that one host and nothing below it, and
// *.corp.example is not corp.example. An entry may name a scheme (http://*.example)
// and a port (wsus.corp.example:8530), and then is for those alone. <local> stands for
// names without a dot. Loopback and link-local targets go direct by themselves;
// <-loopback> takes that away from the machine's names, and WinHTTP still keeps
// 127.* for itself.
//
// WinHTTP and WinINET agree in all of that but the last: WinINET lets go of 127.0.0.1
// too, and of the 127 network it never knew more. They differ in what they do with
// entries that are malformed: [Flaw.Spoils]. WinINET also refuses a whole list for a
// leading dot where it is given by a program, WinHTTP does not.
func Bypass(list, target string) BypassResult {
	var r BypassResult
	t := parseTarget(target)
	loop, link := t.isLoopback(), t.isLinkLocal()
	r.Direct = loop || link
	fields, cut := listFields(list)
	for _, field := range fields {
		switch strings.ToLower(field) {
		case "<local>":
			if t.host != "" && !strings.ContainsAny(t.host, ".:") && (!r.Direct || r.Entry == "") {
				r.Direct, r.Entry = true, field
			}
			continue
		case "<-loopback>":
			if (loop || link) && !strings.HasPrefix(t.host, "127.") {
				r.Direct, r.Entry = false, field
			}
			continue
		}
		e, flaw := parseBypassEntry(field)
		if flaw != "" {
			r.Malformed = append(r.Malformed, Malformed{hideUser(field), flaw})
			continue
		}
		if e.matches(t) && (!r.Direct || r.Entry == "") {
			r.Direct, r.Entry = true, field
		}
	}
	if cut {
		r.Malformed = append(r.Malformed, Malformed{"...", FlawTooLong})
	}
	return r
}

// target is what a bypass entry is compared with.
type target struct {
	scheme string // lower case; "" if unknown
	host   string // lower case, without brackets
	port   uint16 // 0 if unknown
}

func parseTarget(s string) target {
	s = strings.TrimSpace(s)
	var t target
	if u, err := url.Parse(s); err == nil && u.Host != "" {
		t.scheme, t.host = strings.ToLower(u.Scheme), strings.ToLower(u.Hostname())
		n, _ := strconv.ParseUint(u.Port(), 10, 16)
		t.port = uint16(n)
		switch {
		case t.port != 0:
		case t.scheme == "http":
			t.port = 80
		case t.scheme == "https":
			t.port = 443
		}
		return t
	}
	if scheme, rest, ok := strings.Cut(s, "://"); ok { // an address that url does not like still has a host
		t.scheme, s = strings.ToLower(scheme), rest
	}
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		s = s[:i]
	}
	s = s[strings.LastIndexByte(s, '@')+1:]
	name, port, flaw := splitEntry(s)
	if flaw != "" {
		name = strings.Trim(s, "[]")
	}
	t.host, t.port = strings.ToLower(name), port
	return t
}

// isLoopback: WinINET knows two names and two addresses, WinHTTP the network 127.*.
func (t target) isLoopback() bool {
	if t.host == "localhost" || t.host == "loopback" {
		return true
	}
	ip, err := netip.ParseAddr(t.host)
	return err == nil && ip.IsLoopback() && !ip.Is4In6()
}

func (t target) isLinkLocal() bool {
	ip, err := netip.ParseAddr(t.host)
	return err == nil && ip.IsLinkLocalUnicast() && !ip.Is4In6()
}

// bypassEntry is one exception.
type bypassEntry struct {
	scheme  string // "" for all
	pattern string // lower case, without brackets
	port    uint16 // 0 for all
}

func (e bypassEntry) matches(t target) bool {
	return (e.scheme == "" || t.scheme == "" || e.scheme == t.scheme) &&
		(e.port == 0 || t.port == 0 || e.port == t.port) &&
		t.host != "" && starMatch(e.pattern, t.host)
}

func parseBypassEntry(s string) (bypassEntry, Flaw) {
	var e bypassEntry
	s = strings.ToLower(s)
	switch {
	case strings.Contains(s, "@"):
		return e, FlawCredentials
	case strings.Contains(s, ","):
		return e, FlawComma
	case strings.HasPrefix(s, "<"):
		return e, FlawMacro
	}
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		if scheme != "http" && scheme != "https" && scheme != "ftp" && scheme != "gopher" {
			return e, FlawScheme
		}
		e.scheme, s = scheme, rest
	}
	if i := strings.IndexByte(s, '/'); i >= 0 {
		if _, err := netip.ParsePrefix(s); err == nil || isDottedNumbers(s[:i]) {
			return e, FlawCIDR
		}
		return e, FlawSlash
	}
	if !strings.HasPrefix(s, "[") {
		// The wildcards of other languages, before their signs are taken for something else.
		if flaw := characterFlaw(s, "*:"); flaw != "" {
			return e, flaw
		}
	}
	name, port, flaw := splitEntry(s)
	switch {
	case flaw != "":
		return e, flaw
	case name == "":
		return e, FlawNoHost
	case len(name) > 255:
		return e, FlawTooLong
	case strings.HasPrefix(name, "."):
		return e, FlawLeadingDot
	case strings.HasSuffix(name, "."):
		return e, FlawTrailingDot
	}
	if from, to, ok := strings.Cut(name, "-"); ok && isAddressStart(from) && isDottedNumbers(to) {
		return e, FlawRange
	}
	if strings.Contains(name, ":") && !strings.Contains(name, "*") {
		if _, err := netip.ParseAddr(name); err != nil {
			return e, FlawBrackets
		}
	} else if flaw := characterFlaw(name, "*:"); flaw != "" {
		return e, flaw
	}
	e.pattern, e.port = name, port
	return e, ""
}

// isDottedNumbers reports digits and dots, at least one of the former.
func isDottedNumbers(s string) bool {
	return s != "" && strings.Trim(s, "0123456789.") == "" && strings.Trim(s, ".") != ""
}

// isAddressStart reports an IPv4 address, whole or its first octets.
func isAddressStart(s string) bool { return isDottedNumbers(s) && strings.Contains(s, ".") }

// starMatch matches a name against a pattern in which a star is any text.
func starMatch(pattern, name string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	if !strings.HasPrefix(name, first) {
		return false
	}
	name = name[len(first):]
	for {
		part, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], more
	}
}
