package redact

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
)

// IP addresses keep their prefixes: two addresses share as many leading bits after redaction as before, as in
// Crypto-PAn (Xu, Fan, Ammar, Moon 2002); in the first octet of public IPv4 addresses only whole octets count. So a route, a subnet mask and isInNet in a proxy script decide as they did.
// Every range is mapped into itself: a private address stays in its private range, a public one stays public and does
// not become reserved or a sinkhole. IPv6 has room for a mark in it (3ffe::/16, returned in 2006 and used by nobody),
// IPv4 has not.

// octetKey names the permutation of one octet: it depends on all octets before it.
type octetKey struct {
	space  string
	prefix [16]byte
	n      uint8
}

// flips returns 255 bits, one for each node of the binary tree over an octet's bits.
func (r *Redactor) flips(space string, prefix []byte) [32]byte {
	k := octetKey{space: space, n: uint8(len(prefix))}
	copy(k.prefix[:], prefix)
	r.mu.Lock()
	f, ok := r.octets[k]
	r.mu.Unlock()
	if ok {
		return f
	}
	f = r.digest(space, append([]byte{byte(len(prefix))}, prefix...))
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.octets == nil {
		r.octets = make(map[octetKey][32]byte)
	}
	if len(r.octets) < maxCached {
		r.octets[k] = f
	}
	return f
}

// permute maps one octet, keeping its first fixed bits. If differ is set, the first bit that may change does, so that
// the result is never what it was.
func permute(c byte, fixed int, differ bool, flips [32]byte) byte {
	out := byte(0)
	node := 1
	for bit := range 8 {
		in := c >> (7 - bit) & 1
		flip := byte(0)
		if bit >= fixed {
			flip = flips[node/8] >> (node % 8) & 1
			if differ && bit == fixed {
				flip = 1
			}
		}
		out = out<<1 | in ^ flip
		node = node*2 + int(in)
	}
	return out
}

// ipv4 returns the pseudonym of an address; ok is false if it stays as it is.
func (s *scanner) ipv4(a [4]byte) (p [4]byte, ok bool) {
	fixed := 0 // leading bits that stay
	switch {
	case a[0] == 0, a[0] == 127, a[0] >= 224:
		// "This host", loopback, multicast, reserved, netmasks.
		return a, false
	case a[0] == 10:
		fixed = 8
	case a[0] == 172 && a[1]&0xF0 == 16:
		fixed = 12
	case a[0] == 192 && a[1] == 168, a[0] == 169 && a[1] == 254:
		fixed = 16
	case a[0] == 100 && a[1]&0xC0 == 64: // shared by providers (RFC 6598)
		fixed = 10
	}
	if s.r.isGiven(a) {
		return a, false
	}
	for i := range 4 {
		switch keep := fixed - 8*i; {
		case keep >= 8:
			p[i] = a[i]
		default:
			// The subnet and the host part both move.
			differ := i == 3 || fixed > 0 && i == fixed/8
			p[i] = permute(a[i], max(keep, 0), differ, s.r.flips("ipv4", a[:i]))
		}
	}
	if fixed == 0 {
		p[0] = s.r.publicOctet(a[0])
	}
	s.r.give(p)
	return p, true
}

// publicOctet maps the first octet of a public address to one under which there are public addresses only.
func (r *Redactor) publicOctet(c byte) byte {
	f := r.flips("public", []byte{c})
	for n := binary.BigEndian.Uint32(f[:]); ; n++ {
		// Below 32 it would look like a version number.
		switch c := byte(32 + n%(224-32)); c {
		case 100, 127, 169, 172, 192, 198, 203:
		default:
			return c
		}
	}
}

// isGiven says whether an address was given out as a pseudonym.
func (r *Redactor) isGiven(a [4]byte) bool {
	if r.Redacted {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.given[a]
	return ok
}

func (r *Redactor) give(a [4]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.given == nil {
		r.given = make(map[[4]byte]struct{})
	}
	if len(r.given) < maxGiven {
		r.given[a] = struct{}{}
	}
}

// ipv6 returns the pseudonym of an address; ok is false if it stays as it is.
func (s *scanner) ipv6(a [16]byte) (p [16]byte, ok bool) {
	addr := netip.AddrFrom16(a)
	switch {
	case addr.IsUnspecified(), addr.IsLoopback(), addr.IsMulticast():
		return a, false
	case bytes.HasPrefix(a[:], []byte{1, 0, 0, 0, 0, 0, 0, 0}): // discard (RFC 6666)
		return a, false
	case addr.Is4In6():
		v4, ok := s.ipv4(addr.As4())
		copy(a[12:], v4[:])
		return a, ok
	case addr.IsLinkLocalUnicast():
		// The interface id often holds the MAC address: fe80::2ec:... is the mark.
		if a[8] == 0x02 && a[9] == 0xEC {
			return a, false
		}
		p = a
		p[8], p[9] = 0x02, 0xEC
		f := s.r.flips("fe80", a[:10])
		for i := 10; i < 16; i++ {
			p[i] = permute(a[i], 0, i == 15, s.r.flips("ipv6", append(f[:2:2], a[10:i]...)))
		}
		return p, true
	case a[0]&0xFE == 0xFC: // unique local (RFC 4193)
		if a[0] == 0xFD && a[1] == 0xEC && a[2] == 0xAC {
			return a, false
		}
		p[0], p[1], p[2] = 0xFD, 0xEC, 0xAC
		return s.ipv6Tail(a, p, 3), true
	}
	if a[0] == 0x3F && a[1] == 0xFE {
		return a, false
	}
	p[0], p[1] = 0x3F, 0xFE
	return s.ipv6Tail(a, p, 2), true
}

func (s *scanner) ipv6Tail(a, p [16]byte, from int) [16]byte {
	for i := from; i < 16; i++ {
		p[i] = permute(a[i], 0, i == 15, s.r.flips("ipv6", a[:i]))
	}
	return p
}

func appendIPv4(dst []byte, a [4]byte) []byte {
	for i, c := range a {
		if i > 0 {
			dst = append(dst, '.')
		}
		dst = strconv.AppendUint(dst, uint64(c), 10)
	}
	return dst
}

// quad reads four decimal octets at the beginning of b. It is strict: no leading zeros, nothing above 255.
func quad(b []byte) (a [4]byte, n int) {
	for i := range 4 {
		if i > 0 {
			if n >= len(b) || b[n] != '.' {
				return a, 0
			}
			n++
		}
		start, v := n, 0
		for n < len(b) && byteClass[b[n]]&isDigit != 0 {
			v = v*10 + int(b[n]-'0')
			n++
			if n-start > 3 {
				return a, 0
			}
		}
		if n == start || v > 255 || n-start > 1 && b[start] == '0' {
			return a, 0
		}
		a[i] = byte(v)
	}
	return a, n
}

// isAddress says whether b is an IP address, perhaps with a zone.
func isAddress(b []byte) bool {
	if len(b) > 64 {
		return false
	}
	_, err := netip.ParseAddr(string(b))
	return err == nil
}

// isAddressPattern says whether b is an IPv4 address or the beginning of one with wildcards: 10.*, 192.168.7.*.
func isAddressPattern(b []byte) bool {
	dots, digits := 0, 0
	for i, c := range b {
		switch {
		case c == '.':
			if i == 0 || b[i-1] == '.' {
				return false
			}
			dots++
		case byteClass[c]&isDigit != 0:
			digits++
		case c != '*':
			return false
		}
	}
	return digits > 0 && dots > 0 && dots <= 3 && byteClass[b[0]]&isDigit != 0
}

// addressPattern replaces the known octets of a pattern.
func (s *scanner) addressPattern(i, end int) {
	b := s.cur[i:end]
	if i < s.done {
		return
	}
	if a, n := quad(b); n == len(b) {
		s.replaceIPv4(i, end, a)
		return
	}
	var a [4]byte
	count := 0
	rest := b
	for count < 3 {
		n := bytes.IndexByte(rest, '.')
		if n < 0 || !allDigits(rest[:n]) {
			break
		}
		v, err := strconv.ParseUint(string(rest[:n]), 10, 8)
		if err != nil {
			return
		}
		a[count] = byte(v)
		count++
		rest = rest[n+1:]
	}
	if count == 0 || len(bytes.Trim(rest, ".*")) > 0 || count == 1 && a[0] == 10 {
		return
	}
	// Which pattern this is depends on the known octets alone, so the others do not matter. Whether it has been
	// replaced already is asked of the pattern with zeros behind it.
	if s.r.isGiven(a) {
		return
	}
	p, ok := s.ipv4(a)
	if !ok || bytes.Equal(p[:count], a[:count]) {
		return
	}
	shown := p
	clear(shown[count:])
	s.r.give(shown)
	s.count(Address, b)
	s.cut(i, end)
	for _, c := range p[:count] {
		s.out = append(strconv.AppendUint(s.out, uint64(c), 10), '.')
	}
	s.out = append(s.out, rest...)
}

func (s *scanner) replaceIPv4(i, end int, a [4]byte) {
	text := s.cur[i:end]
	if s.r.KeepHosts || s.r.keeps(text) {
		return
	}
	p, ok := s.ipv4(a)
	if !ok {
		return
	}
	s.count(Address, text)
	s.cut(i, end)
	s.out = appendIPv4(s.out, p)
}

// ipv4Addresses replaces IPv4 addresses. The logs of servicing are full of version numbers of the same form.
func (s *scanner) ipv4Addresses(f features) {
	if s.r.KeepHosts {
		return
	}
	before := s.cur
	s.begin()
	b := s.cur
	for i := 0; ; {
		k := bytes.IndexByte(b[i:], '.')
		if k < 0 {
			break
		}
		i += k
		start := i
		for start > 0 && i-start < 4 && byteClass[b[start-1]]&isDigit != 0 {
			start--
		}
		if start == i || start < s.done {
			i++
			continue
		}
		a, n := quad(b[start:])
		if n == 0 {
			i++
			continue
		}
		i = start + n
		if s.isVersion(start, i, a) {
			continue
		}
		s.replaceIPv4(start, i, a)
	}
	edited := s.edited
	s.end()
	if edited && f&hasColon != 0 {
		s.referenceID(before)
	}
}

// referenceID follows an address into the reference id of w32tm, which is the address of the time source in hex:
// ReferenceId: 0xC0000205 (source IP: 192.0.2.5).
func (s *scanner) referenceID(before []byte) {
	k := foldIndex(s.cur, "referenceid: 0x", 0)
	if k < 0 {
		if k = foldIndex(s.cur, "referenz-id: 0x", 0); k < 0 {
			return
		}
	}
	i := k + len("referenceid: 0x")
	if i+8 > len(s.cur) || !allHex(s.cur[i:i+8]) {
		return
	}
	raw, err := hex.DecodeString(string(s.cur[i : i+8]))
	if err != nil || !bytes.Contains(before, appendIPv4(nil, [4]byte(raw))) {
		return
	}
	p, ok := s.ipv4([4]byte(raw))
	if !ok {
		return
	}
	s.begin()
	s.replace(i, i+8, string(bytes.ToUpper(hex.AppendEncode(nil, p[:]))))
	s.end()
}

// isVersion decides by what stands around four numbers with dots whether they are a version and not an address.
func (s *scanner) isVersion(start, end int, a [4]byte) bool {
	b := s.cur
	prev, next := byte(' '), byte(' ')
	if start > 0 {
		prev = b[start-1]
	}
	if end < len(b) {
		next = b[end]
	}
	// Part of something longer: 31bf3856ad364e35~amd64~~10.0.1.1, Name_1.8.2.0_x64, v4.0.0.0, a correlation vector
	// xS24Yd5Z.1.0.1.0, an object id 1.3.6.1.5.
	if joinsWord(prev) || prev == '~' || prev == '.' || joinsWord(next) || next == '~' {
		return true
	}
	if next == '.' && end+1 < len(b) && joinsWord(b[end+1]) {
		return true
	}
	if next == '-' && end+1 < len(b) && byteClass[b[end+1]]&isLetter != 0 {
		return true
	}
	if a[0] == 2 && a[1] == 5 || a[0] == 1 && a[1] == 3 && a[2] == 6 && a[3] == 1 {
		return true // object ids: 2.5.29.x, 1.3.6.1
	}
	// What only addresses have around them.
	port := next == ':' && end+1 < len(b) && byteClass[b[end+1]]&isDigit != 0
	mask := next == '/' && end+1 < len(b) && byteClass[b[end+1]]&isDigit != 0
	url := start >= 3 && prev == '/' && b[start-2] == '/' && b[start-3] == ':'
	unc := start >= 2 && prev == '\\' && b[start-2] == '\\' && (start == 2 || b[start-3] != ':' && !joinsWord(b[start-3]))
	if port || mask || url || unc || prev == '@' {
		return false
	}
	// Folders and product tokens: \1.2.3.4\, Edg/120.0.0.0, /1.2.3.4/.
	if prev == '\\' || prev == '/' && !s.isAddressPath(start-1) {
		return true
	}
	if prev == '-' && start >= 2 && byteClass[b[start-2]]&isLetter != 0 {
		return true
	}
	word := s.contextWord(start)
	if isVersionWord(word) {
		return true
	}
	private := a[0] == 10 || a[0] == 172 && a[1]&0xF0 == 16 || a[0] == 192 && a[1] == 168 || a[0] == 169 && a[1] == 254
	if private && !(a[0] == 10 && a[1] == 0 && a[2] == 0 && a[3] == 0) {
		return false
	}
	if a[1] == 0 && a[2] == 0 && a[3] == 0 && a[0] != 10 {
		return true // 4.0.0.0
	}
	if prev == '[' && next == ']' || isAddressWord(word) || s.isHostsLine(start, end) {
		return false
	}
	switch {
	case a[0] == 6 && a[1] <= 4: // Windows Vista to 8.1
		return true
	case a[3] == 0 && a[0] < 32 && a[0] != 10: // 11.2.1.0: a network would have its mask behind it
		return true
	}
	// "Realtek - Net - 10.50.5.2", as drivers are called, but with a number that no private network has.
	if start >= 3 && prev == ' ' && b[start-2] == '-' && b[start-3] == ' ' && a[0] < 32 {
		return true
	}
	return false
}

// isAddressPath says whether the word before a slash is a protocol, as in HTTP/192.0.2.7, a service principal, or there
// is none.
func (s *scanner) isAddressPath(slash int) bool {
	start := slash
	for start > 0 && joinsWord(s.cur[start-1]) {
		start--
	}
	switch string(bytes.ToLower(s.cur[start:slash])) {
	case "http", "https", "host", "ldap", "tcp", "udp", "rpc", "cifs", "wsman", "termsrv", "ip", "dns":
		return true
	case "":
		// "192.0.2.1/192.0.2.2", "name/192.0.2.1" no; a list does.
		return start > 0 && byteClass[s.cur[start-1]]&isSpace != 0
	}
	return allDigits(s.cur[start:slash]) && start > 0 && s.cur[start-1] == '.'
}

// contextWord returns the word before a number, over blanks, quotes and signs: "version" in "Version = '1.2.3.4'".
func (s *scanner) contextWord(i int) []byte {
	b := s.cur
	for i > 0 && (byteClass[b[i-1]]&isSpace != 0 || bytes.IndexByte([]byte(`="':([`), b[i-1]) >= 0) {
		i--
	}
	start := i
	for start > 0 && i-start < 40 && isNameByte(b[start-1]) {
		start--
	}
	return b[start:i]
}

// onlyLetters returns the letters of a word, in lower case.
func onlyLetters(word []byte) string {
	var buf [40]byte
	b := buf[:0]
	for _, c := range word {
		if byteClass[c]&(isLower|isUpper) != 0 {
			b = append(b, lower(c))
		}
	}
	return string(b)
}

// isVersionWord knows what versions are called.
func isVersionWord(word []byte) bool {
	k := onlyLetters(word)
	switch k {
	case "v", "ver", "vers", "rev", "pv", "wua", "build", "release", "revision", "ubr", "driver", "treiber", "signature",
		"engine", "update", "firmware", "bios", "runtime", "framework", "package", "paket", "level", "msi", "dism",
		"foundation", "networking", "bridge", "to", "product", "agent", "client", "stack", "platform", "plattform",
		"schema", "assembly", "edge", "chrome", "firefox", "webview", "onedrive", "office", "silverlight", "java", "flash",
		"section", "abschnitt", "spec", "rfc", "chapter", "kapitel", "reader", "provider", "module", "sdk", "ssu", "lcu", "kb", "oid", "appversion", "clr", "operation", "endpoint",
		"service", "host", "intelligence", "definition", "definitions":
		// "to" and "host" also stand before addresses: only versions that are plainly not addresses profit below.
		return k != "to" && k != "host" && k != "client" && k != "service" && k != "update" && k != "agent"
	}
	return hasSuffix(k, "version", "versionsnummer", "versions", "build", "revision", "release") || bytes.HasSuffix(word, []byte("Ver"))
}

// isAddressWord knows what addresses are called, so that even an address like 1.1.1.1 or 4.0.0.0 is seen as one.
func isAddressWord(word []byte) bool {
	k := onlyLetters(word)
	switch k {
	case "ip", "ipv", "gateway", "dns", "dhcp", "addr", "address", "addresses", "adresse", "adressen", "from", "von",
		"server", "servers", "host", "proxy", "peer", "source", "destination", "ziel", "quelle", "resolver", "nameserver",
		"ping", "pinging", "connect", "connected", "connecting", "network", "subnet", "remote", "local", "client", "router",
		"resolved", "listen", "bind", "bound", "reply", "antwort", "wins", "ntp", "endpoint", "cidr", "netz", "hop", "via", "route":
		return true
	}
	return hasSuffix(k, "address", "adresse", "addr", "gateway", "dnsserver", "subnet")
}

// isHostsLine says whether the address begins the line and a name follows, as in the hosts file, or is all there is,
// as in the lists of ipconfig.
func (s *scanner) isHostsLine(start, end int) bool {
	before, after := s.cur[:start], s.cur[end:]
	if len(bytes.TrimSpace(before)) > 0 && string(bytes.TrimSpace(before)) != "#" {
		return false
	}
	rest := bytes.TrimLeft(after, " \t")
	if len(rest) == 0 {
		return start > 0
	}
	return len(rest) < len(after) && (byteClass[rest[0]]&(isLower|isUpper|isDigit) != 0)
}

// hardwareAddresses replaces MAC addresses with hyphens, and the DHCPv6 client identifiers that contain one.
func (s *scanner) hardwareAddresses() {
	s.begin()
	b := s.cur
	for i := 0; ; {
		k := bytes.IndexByte(b[i:], '-')
		if k < 0 {
			break
		}
		i += k
		start, end := i, i
		for start > s.done && byteClass[b[start-1]]&isHex != 0 && i-start < 3 {
			start--
		}
		for end < len(b) && (byteClass[b[end]]&isHex != 0 || b[end] == '-') {
			end++
		}
		if (start == 0 || !joinsWord(b[start-1]) && b[start-1] != '-') && (end == len(b) || !joinsWord(b[end])) {
			s.macAt(start, end, '-')
		}
		i = end
	}
	s.end()
}

// macAt replaces cur[i:end] if it is made of 6 or 8 pairs of hex digits, or of the 14 of a DUID with time (RFC 8415).
func (s *scanner) macAt(i, end int, sep byte) bool {
	text := s.cur[i:end]
	n := (len(text) + 1) / 3
	if len(text) != 3*n-1 || n != 6 && n != 8 && n != 14 && n != 10 {
		return false
	}
	raw := make([]byte, n)
	for j := range n {
		if j > 0 && text[3*j-1] != sep {
			return false
		}
		hi, lo := text[3*j], text[3*j+1]
		if byteClass[hi]&isHex == 0 || byteClass[lo]&isHex == 0 {
			return false
		}
		raw[j] = unhex(hi)<<4 | unhex(lo)
	}
	mac := raw
	if n == 10 || n == 14 {
		// 00-01: link-layer address and time; 00-03: link-layer address.
		if raw[0] != 0 || n == 14 && raw[1] != 1 || n == 10 && raw[1] != 3 {
			return false
		}
		mac = raw[n-6:]
	}
	if !s.hideMAC(mac) {
		return n == 6
	}
	if n == 14 {
		clear(raw[4:8]) // the time at which the identifier was made
	}
	s.count(Hardware, canonical(text))
	s.cut(i, end)
	start := len(s.out)
	for j, c := range raw {
		if j > 0 {
			s.out = append(s.out, sep)
		}
		s.out = hex.AppendEncode(s.out, []byte{c})
	}
	if caseOf(text) != lowerCase || sep == '-' && allDigits(bytes.ReplaceAll(text, []byte("-"), nil)) {
		for j := start; j < len(s.out); j++ {
			s.out[j] = upper(s.out[j])
		}
	}
	return true
}

// hideMAC puts the pseudonym of a MAC address in its place: 02-EC and four bytes, a locally administered address.
// Broadcast, multicast and empty addresses stay.
func (s *scanner) hideMAC(mac []byte) bool {
	if mac[0]&1 != 0 || mac[0] == 0x02 && mac[1] == 0xEC || len(bytes.Trim(mac[:len(mac)-1], "\x00")) == 0 {
		return false
	}
	sum := s.r.digest("mac", mac)
	copy(mac, sum[:])
	mac[0], mac[1] = 0x02, 0xEC
	return true
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

// bareMAC replaces a MAC address without separators in a field that says it is one.
func (s *scanner) bareMAC(i, end int) {
	text := s.cur[i:end]
	if len(text) != 12 || !allHex(text) || i < s.done {
		return
	}
	raw, err := hex.DecodeString(string(text))
	if err != nil || !s.hideMAC(raw) {
		return
	}
	s.count(Hardware, canonical(text))
	p := hex.AppendEncode(nil, raw)
	if caseOf(text) != lowerCase {
		p = bytes.ToUpper(p)
	}
	s.replace(i, end, string(p))
}

// colonAddresses replaces IPv6 addresses, and MAC addresses with colons.
func (s *scanner) colonAddresses() {
	s.begin()
	b := s.cur
	for i := 0; ; {
		k := bytes.IndexByte(b[i:], ':')
		if k < 0 {
			break
		}
		i += k
		start, end := i, i
		for start > s.done && i-start < 5 && byteClass[b[start-1]]&isHex != 0 {
			start--
		}
		colons := 0
		for end < len(b) && (byteClass[b[end]]&isHex != 0 || b[end] == ':' || b[end] == '.') {
			if b[end] == ':' {
				colons++
			}
			end++
		}
		i = end
		for end > start && (b[end-1] == '.' || b[end-1] == ':' && (end-2 < start || b[end-2] != ':')) {
			end--
		}
		if colons < 2 || end-start > 64 || start > 0 && (joinsWord(b[start-1]) || b[start-1] == '.' || b[start-1] == ':') || end < len(b) && joinsWord(b[end]) {
			continue
		}
		if end-start == 17 && s.macAt(start, end, ':') {
			continue
		}
		s.ipv6At(start, end)
	}
	s.end()
}

func (s *scanner) ipv6At(i, end int) {
	text := s.cur[i:end]
	if s.r.KeepHosts || len(text) < 3 || !bytes.Contains(text, []byte("::")) && bytes.Count(text, []byte(":")) != 7 && bytes.IndexByte(text, '.') < 0 {
		return
	}
	// Ace::Bad is a name in C++.
	digits, groups := false, 0
	for j, c := range text {
		if byteClass[c]&isDigit != 0 {
			digits = true
		}
		if c != ':' && (j == 0 || text[j-1] == ':') {
			groups++
		}
	}
	if !digits && groups < 3 {
		return
	}
	addr, err := netip.ParseAddr(string(text))
	if err != nil || !addr.Is6() || s.r.keeps(text) {
		return
	}
	p, ok := s.ipv6(addr.As16())
	if !ok {
		return
	}
	s.count(Address, addr.AppendTo(nil))
	s.cut(i, end)
	start := len(s.out)
	s.out = netip.AddrFrom16(p).AppendTo(s.out)
	if caseOf(text) == upperCase {
		for j := start; j < len(s.out); j++ {
			s.out[j] = upper(s.out[j])
		}
	}
}
