package pac

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Proxy is one entry of a script's answer.
type Proxy struct {
	Kind Kind
	Host string // name or address, without brackets; "" for DIRECT
	Port uint16 // as written, or the default of the kind
	Text string // the entry as written, without credentials
	Bad  string // why nobody can use the entry; "" if it is well formed
}

// Kind is how an entry wants to be used.
type Kind string

// The kinds. PROXY and SOCKS are Netscape's; the others came later and are known
// to browsers ("Proxy Auto-Configuration (PAC) file", developer.mozilla.org).
// WinHTTP's pages promise nothing beyond HTTP proxies.
const (
	Direct Kind = "DIRECT"
	HTTP   Kind = "PROXY" // also written HTTP
	HTTPS  Kind = "HTTPS" // spoken to over TLS
	SOCKS  Kind = "SOCKS" // version 4 or 5, as the client likes
	SOCKS4 Kind = "SOCKS4"
	SOCKS5 Kind = "SOCKS5"
)

// maxProxies bounds the entries of one answer.
const maxProxies = 64

// Address returns "host:port" as a dialler wants it; "" for DIRECT.
func (p Proxy) Address() string {
	if p.Host == "" {
		return ""
	}
	return net.JoinHostPort(p.Host, strconv.Itoa(int(p.Port)))
}

// URL returns the proxy in the form of host.Via: "http://proxy.example:8080",
// "" for DIRECT.
func (p Proxy) URL() string {
	scheme := map[Kind]string{HTTP: "http", HTTPS: "https", SOCKS: "socks", SOCKS4: "socks4", SOCKS5: "socks5"}[p.Kind]
	if scheme == "" || p.Host == "" {
		return ""
	}
	return scheme + "://" + p.Address()
}

// Parse reads the answer of a script: entries in the order in which they are to
// be tried, separated by semicolons. The empty answer means DIRECT, as
// Netscape's text has it. Entries that nobody can use are kept, with the reason
// in Bad, because they are often the very mistake that is looked for; if every
// entry is bad, there is no usable proxy and no direct way either. At most 64
// entries are read. The result is never nil.
func Parse(list string) []Proxy {
	proxies := []Proxy{}
	for entry := range strings.SplitSeq(list, ";") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		if len(proxies) == maxProxies {
			break
		}
		proxies = append(proxies, parseEntry(entry))
	}
	if len(proxies) == 0 {
		proxies = append(proxies, Proxy{Kind: Direct, Text: string(Direct)})
	}
	return proxies
}

func parseEntry(entry string) Proxy {
	fields := strings.Fields(entry)
	p := Proxy{Kind: Kind(strings.ToUpper(fields[0])), Text: printable(entry, maxText)}
	switch p.Kind {
	case Direct:
		if len(fields) > 1 {
			p.Bad = "words after DIRECT"
		}
		return p
	case HTTP:
		p.Port = 80
	case "HTTP":
		p.Kind, p.Port = HTTP, 80
	case HTTPS:
		p.Port = 443
	case SOCKS, SOCKS4, SOCKS5:
		p.Port = 1080
	default:
		p.Kind, p.Bad = "", "no kind of proxy"
		if len(fields) == 1 && strings.ContainsAny(fields[0], ".:") {
			p.Bad = "PROXY is missing before the address"
		}
		return p
	}
	switch len(fields) {
	case 1:
		p.Bad = "no address"
		return p
	case 2:
	default:
		p.Bad = "more than one address, or a wrong separator"
		return p
	}
	p.Host, p.Port, p.Bad = parseAddress(fields[1], p.Port)
	return p
}

// parseAddress reads host, host:port, [v6] and [v6]:port.
func parseAddress(s string, port uint16) (host string, _ uint16, bad string) {
	switch {
	case strings.Contains(s, "@"):
		return "", 0, "a name and password before the address; no client reads them"
	case strings.Contains(s, "://"):
		return "", 0, "a URL where host and port are due"
	case strings.Contains(s, ","):
		return "", 0, "a comma where a semicolon is due"
	case strings.ContainsAny(s, "/?#\\"):
		return "", 0, "a path after the address"
	}
	digits := ""
	if inner, ok := strings.CutPrefix(s, "["); ok {
		var after string
		if host, after, ok = strings.Cut(inner, "]"); !ok {
			return "", 0, "a bracket that is not closed"
		}
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
			return "", 0, "no IPv6 address in the brackets"
		}
		if after != "" && after[0] != ':' {
			return "", 0, "words after the bracket"
		}
		digits = after
	} else {
		host = s
		if i := strings.IndexByte(s, ':'); i >= 0 {
			host, digits = s[:i], s[i:]
		}
		if strings.Count(digits, ":") > 1 {
			return "", 0, "an IPv6 address without brackets"
		}
		if !isHostName(host) {
			return "", 0, "no host name"
		}
	}
	if digits == "" {
		return host, port, ""
	}
	n, err := strconv.ParseUint(digits[1:], 10, 16)
	if err != nil || n == 0 {
		return "", 0, "no port from 1 to 65535 after the colon"
	}
	return host, uint16(n), ""
}

// isHostName reports that s has the letters of a host name or an IPv4 address.
// Underscores occur in Windows networks.
func isHostName(s string) bool {
	if s == "" || len(s) > 255 || s[0] == '.' || s[0] == '-' || strings.Contains(s, "..") {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
