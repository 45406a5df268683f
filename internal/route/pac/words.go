package pac

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"updoc/internal/sorted"
)

// The functions of this file are the predefined ones that need nobody's answer.
// What they do is Netscape's text of March 1996, "Navigator Proxy Auto-Config
// File Format", and Microsoft's pages on the IPv6 functions. All compare host
// names letter by letter: that is what makes an upper-case name miss its rule.

// isPlainHostName: no dots.
func isPlainHostName(host string) bool { return !strings.Contains(host, ".") }

// dnsDomainIs: the host name ends with the domain, dot and all if it is written.
func dnsDomainIs(host, domain string) bool { return strings.HasSuffix(host, domain) }

// localHostOrDomainIs: the very name, or the same name without any domain.
func localHostOrDomainIs(host, full string) bool {
	if host == full {
		return true
	}
	first, _, ok := strings.Cut(full, ".")
	return ok && host == first
}

// dnsDomainLevels: the number of dots.
func dnsDomainLevels(host string) int { return strings.Count(host, ".") }

// shExpMatch matches a shell expression, in which * stands for any characters
// and ? for one. The brackets that one browser knows stand for themselves.
// It needs time proportional to the product of both lengths at worst.
func shExpMatch(text, pattern string) bool {
	t, p := []rune(text), []rune(pattern)
	star, mark := -1, 0 // the last * and where in t it began
	i, j := 0, 0
	for i < len(t) {
		switch {
		case j < len(p) && p[j] == '*': // before the letters: the text may hold a *
			star, mark = j, i
			j++
		case j < len(p) && (p[j] == '?' || p[j] == t[i]):
			i++
			j++
		case star >= 0: // let the star take one more
			mark++
			i, j = mark, star+1
		default:
			return false
		}
	}
	for j < len(p) && p[j] == '*' {
		j++
	}
	return j == len(p)
}

// dotted reads four decimal numbers of at most three digits. Leading zeros are
// decimal, as in "010.001.000.000", which scripts are full of.
func dotted(s string) (netip.Addr, bool) {
	var a [4]byte
	for i := range a {
		part, rest, more := strings.Cut(s, ".")
		if more != (i < 3) || part == "" || len(part) > 3 || strings.Trim(part, "0123456789") != "" {
			return netip.Addr{}, false
		}
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil {
			return netip.Addr{}, false
		}
		a[i], s = byte(n), rest
	}
	return netip.AddrFrom4(a), true
}

// inMask: the address has the pattern's bits wherever the mask has ones. A mask
// need not be contiguous.
func inMask(a netip.Addr, pattern, mask string) bool {
	p, ok := dotted(pattern)
	m, ok2 := dotted(mask)
	if !ok || !ok2 || !a.Is4() {
		return false
	}
	x, y, z := a.As4(), p.As4(), m.As4()
	for i := range x {
		if x[i]&z[i] != y[i]&z[i] {
			return false
		}
	}
	return true
}

// convertAddr gives the four bytes as the signed 32-bit number that JavaScript's
// own bit operators make of them; 0 if it is no address.
func convertAddr(s string) int32 {
	a, ok := dotted(s)
	if !ok {
		return 0
	}
	b := a.As4()
	return int32(uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]))
}

// prefix reads "198.51.100.0/24" and "2001:db8::/32", and the form of Microsoft's
// own example, which leaves the colons of an IPv6 prefix out: "3ffe:8311:ffff/48".
func prefix(s string) (netip.Prefix, bool) {
	address, bits, ok := strings.Cut(strings.TrimSpace(s), "/")
	if !ok {
		return netip.Prefix{}, false
	}
	a, err := netip.ParseAddr(address)
	if err != nil && strings.Count(address, ":") < 7 && !strings.Contains(address, "::") && strings.Contains(address, ":") {
		a, err = netip.ParseAddr(address + "::")
	}
	n, err2 := strconv.ParseUint(bits, 10, 8)
	if err != nil || err2 != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	p, err := a.Prefix(int(n))
	return p, err == nil
}

// ordered puts IPv6 before IPv4 and changes nothing else: the order in which the
// functions with Ex give addresses ("IPv6-Aware Proxy Helper API Definitions").
func ordered(addresses []netip.Addr) []netip.Addr {
	addresses = slices.Clone(addresses)
	sorted.By(addresses, func(a, b netip.Addr) int { return cmp.Compare(family(a), family(b)) })
	return addresses
}

func family(a netip.Addr) int {
	if a.Is4() || a.Is4In6() {
		return 1
	}
	return 0
}

func join(addresses []netip.Addr) string {
	text := make([]string, len(addresses))
	for i, a := range addresses {
		text[i] = a.Unmap().String()
	}
	return strings.Join(text, ";")
}

// sortAddresses sorts a list, keeps the spelling of its addresses and gives ""
// if one of them is none. IPv6 comes before IPv4, a narrower scope before a wider
// one, smaller numbers before larger: Microsoft's example has fe80:: before
// 2001::, as the address selection of RFC 3484 has, and not by number.
func sortAddresses(list string) string {
	type entry struct {
		netip.Addr
		text string
	}
	var entries []entry
	for text := range strings.SplitSeq(list, ";") {
		text = strings.TrimSpace(text)
		a, err := netip.ParseAddr(text)
		if err != nil {
			return ""
		}
		entries = append(entries, entry{a, text})
	}
	sorted.By(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(family(a.Addr), family(b.Addr)), cmp.Compare(scope(a.Addr), scope(b.Addr)), a.Compare(b.Addr))
	})
	text := make([]string, len(entries))
	for i, e := range entries {
		text[i] = e.text
	}
	return strings.Join(text, ";")
}

// scope is the reach of an IPv6 address, in the numbers of RFC 4291. IPv4 has one.
func scope(a netip.Addr) int {
	switch {
	case family(a) == 1:
		return 0
	case a.IsLoopback(), a.IsLinkLocalUnicast():
		return 2
	case a.As16()[0] == 0xFE && a.As16()[1]&0xC0 == 0xC0: // site-local, given up by RFC 3879
		return 5
	}
	return 14
}
