package lab

import (
	"net/netip"
	"strconv"
	"strings"
)

// wild reports whether a text fits a pattern, in which * stands for any characters.
// Letter case does not matter.
func wild(pattern, text string) bool {
	pattern, text = strings.ToLower(pattern), strings.ToLower(text)
	head, rest, ok := strings.Cut(pattern, "*")
	if !ok {
		return pattern == text
	}
	if !strings.HasPrefix(text, head) {
		return false
	}
	text = text[len(head):]
	for {
		part, more, ok := strings.Cut(rest, "*")
		if !ok {
			return strings.HasSuffix(text, rest)
		}
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text, rest = text[at+len(part):], more
	}
}

// cutPort divides a pattern of a host and perhaps a port. Addresses of version 6 with
// a port stand in brackets.
func cutPort(pattern string) (host string, port int) {
	if strings.HasPrefix(pattern, "[") {
		h, p, _ := strings.Cut(pattern[1:], "]")
		port, _ = strconv.Atoi(strings.TrimPrefix(p, ":"))
		return h, port
	}
	if strings.Count(pattern, ":") == 1 {
		h, p, _ := strings.Cut(pattern, ":")
		port, _ = strconv.Atoi(p)
		return h, port
	}
	return pattern, 0
}

// fits reports whether a host and port fit a pattern; "" fits all.
func fits(pattern, host string, port uint16) bool {
	if pattern == "" {
		return true
	}
	h, p := cutPort(pattern)
	return (p == 0 || p == int(port)) && (h == "" || wild(h, host))
}

// leadsTo reports whether a pattern means an address: by a true name of it, by itself
// or by a prefix.
func (w *World) leadsTo(pattern string, to netip.AddrPort) bool {
	if pattern == "" {
		return true
	}
	host, port := cutPort(pattern)
	if port != 0 && port != int(to.Port()) {
		return false
	}
	if host == "" || host == "*" {
		return true
	}
	if p, err := netip.ParsePrefix(host); err == nil {
		return p.Contains(to.Addr())
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return a == to.Addr()
	}
	for _, name := range w.namesOf(to.Addr()) {
		if wild(host, name) {
			return true
		}
	}
	return false
}
