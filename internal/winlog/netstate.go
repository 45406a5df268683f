package winlog

import (
	"io"
	"net/netip"
	"strconv"
	"strings"

	"updoc/internal/codes"
)

// ipconfig prints sections: a title at the start of a line, then lines
//
//	   Key . . . . . . . . . . . . . : value
//
// with further values below, indented to the value's column. Keys are
// translated, except for the names of protocols in them (DNS, DHCP, IPv4, IPv6);
// the order within a section is fixed: [media state,] suffix, description,
// physical address, DHCP, autoconfiguration, IPv6 addresses, pairs of IPv4
// address and mask, leases, gateway, DHCP server, DNS servers, WINS, NetBIOS.

// IPConfiguration is the output of ipconfig, with or without /all.
type IPConfiguration struct {
	Host       string   // /all only
	Suffix     string   // primary DNS suffix, /all only
	SearchList []string // DNS suffix search list, /all only
	Adapters   []NetAdapter
}

// NetAdapter is one section of ipconfig.
type NetAdapter struct {
	Line        int
	Title       string // "Ethernet adapter Ethernet", translated
	Description string // name of the device, /all only
	MAC         string // "00-15-5D-01-02-03", /all only
	Suffix      string // connection-specific DNS suffix
	Connected   bool   // has an address other than a link-local one
	DHCP        bool   // a DHCP server is named
	Addrs       []netip.Addr
	Gateways    []netip.Addr
	DNS         []netip.Addr
	VPN         string // product whose adapter this is, "" if it is none that is known
}

// ReadIPConfig reads the output of ipconfig or ipconfig /all in any display language.
func ReadIPConfig(r io.Reader) (IPConfiguration, error) {
	lines, err := readDocument(r)
	if err != nil {
		return IPConfiguration{}, err
	}
	var c IPConfiguration
	var section []ipField
	title, at := "", 0
	flush := func() {
		switch {
		case len(section) == 0:
		case title == "" || !strings.HasSuffix(title, ":") && !strings.HasSuffix(title, "："):
			if len(c.Adapters) == 0 {
				c.global(section)
			}
		default:
			a := readAdapter(section)
			a.Line, a.Title = at, strings.TrimRight(title, " :：")
			a.VPN = vpnProduct(a.Description + " " + a.Title)
			c.Adapters = append(c.Adapters, a)
		}
		section = nil
	}
	for i, line := range lines {
		t := strings.TrimSpace(line)
		if t == "" {
			continue
		}
		if f, ok := parseIPField(line); ok {
			if len(section) < 64 {
				section = append(section, f)
			}
			continue
		}
		if !isSpace(line[0]) {
			flush()
			title, at = t, i+1
			if isPrompt(t) {
				title = ""
			}
			continue
		}
		if n := len(section); n > 0 && len(section[n-1].values) < 64 {
			section[n-1].values = append(section[n-1].values, t)
		}
	}
	flush()
	return c, nil
}

// ipField is a line of a section, with the lines that continue it.
type ipField struct {
	key    string
	values []string // the first may be ""
}

var dotLeader = newPattern(`^(.{1,80}?)[ .]*(?: \.)+ ?[:：] ?(.*)$`)

// parseIPField reads "   Key . . . : value". A key that fills its column has no
// leader; then the indentation must tell it from the values that continue a line.
func parseIPField(line string) (ipField, bool) {
	t := strings.TrimSpace(line)
	if m := dotLeader.FindStringSubmatch(t); m != nil {
		return ipField{key: strings.TrimSpace(m[1]), values: []string{strings.TrimSpace(m[2])}}, true
	}
	indent := len(line) - len(strings.TrimLeft(line, " "))
	if indent == 0 || indent > 8 {
		return ipField{}, false
	}
	key, value, ok := cutColon(t)
	return ipField{key: strings.TrimRight(key, " ."), values: []string{value}}, ok && key != ""
}

// global reads the section that stands before the adapters.
func (c *IPConfiguration) global(section []ipField) {
	dns := 0
	for i, f := range section {
		switch {
		case i == 0:
			c.Host = f.values[0]
		case !strings.Contains(strings.ToUpper(f.key), "DNS"):
		case dns == 0:
			c.Suffix = f.values[0]
			dns++
		default:
			for _, v := range f.values {
				if v != "" {
					c.SearchList = append(c.SearchList, v)
				}
			}
		}
	}
}

var macAddress = newPattern(`^(?:[0-9A-F]{2}-){5,15}[0-9A-F]{2}$`)

// readAdapter reads the section of an adapter. Where a line stands to the
// physical address and to the subnet mask tells what it is.
func readAdapter(section []ipField) NetAdapter {
	var a NetAdapter
	mac, mask := -1, -1
	for i, f := range section {
		if mac < 0 && macAddress.MatchString(f.values[0]) {
			mac = i
		}
		if isNetmask(f.values[0]) && i > 0 {
			if _, ok := ipValue(section[i-1].values[0]); ok {
				mask = i
			}
		}
	}
	if mac > 0 {
		a.MAC = section[mac].values[0]
		a.Description = section[mac-1].values[0]
	}
	gateway := false
	for i, f := range section {
		if i > 0 && a.Description == "" && strings.Contains(strings.ToUpper(section[i-1].key), "DNS") && f.values[0] != "" && len(ipValues(f.values)) == 0 {
			a.Description = f.values[0] // tunnels have no physical address
		}
		upper := strings.ToUpper(f.key)
		addrs := ipValues(f.values)
		switch {
		case strings.Contains(upper, "DNS"):
			if len(addrs) > 0 {
				a.DNS = append(a.DNS, addrs...)
			} else if a.Suffix == "" && a.DNS == nil && !strings.ContainsAny(f.values[0], " ") {
				a.Suffix = f.values[0]
			}
		case strings.Contains(upper, "DHCP"):
			// "DHCP enabled" has a translated yes or no, DHCPv6 an id; the server an address.
			a.DHCP = a.DHCP || len(addrs) > 0 && addrs[0].Is4()
		case i == mask || isNetmask(f.values[0]):
		case len(addrs) > 0 && !gateway && (i < mask || mask < 0 && (strings.Contains(f.values[0], "(") || strings.Contains(upper, "IPV6"))):
			a.Addrs = append(a.Addrs, addrs...)
		case len(addrs) > 0 && !gateway && i > mask:
			a.Gateways = append(a.Gateways, addrs...)
			gateway = true
		}
	}
	for _, ip := range a.Addrs {
		a.Connected = a.Connected || !ip.IsLinkLocalUnicast()
	}
	return a
}

func isNetmask(v string) bool {
	ip, err := netip.ParseAddr(v)
	if err != nil || !ip.Is4() {
		return false
	}
	b := ip.As4()
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	return n >= 0xFF000000 && ^n&(^n+1) == 0
}

// ipValue reads "192.0.2.1(Preferred)" or "fe80::1%5".
func ipValue(v string) (netip.Addr, bool) {
	if i := strings.IndexAny(v, "( （"); i >= 0 {
		v = v[:i]
	}
	ip, err := netip.ParseAddr(v)
	return ip, err == nil
}

func ipValues(values []string) (out []netip.Addr) {
	for _, v := range values {
		if ip, ok := ipValue(v); ok {
			out = append(out, ip)
		}
	}
	return out
}

// Names in descriptions of virtual adapters. They are the vendors' own and not
// translated. The order matters: the particular before the general.
var vpnNames = []struct{ mark, product string }{
	{"nordlynx", "NordVPN"},
	{"tap-nordvpn", "NordVPN"},
	{"protonvpn", "Proton VPN"},
	{"proton vpn", "Proton VPN"},
	{"mullvad", "Mullvad"},
	{"expressvpn", "ExpressVPN"},
	{"surfshark", "Surfshark"},
	{"cyberghost", "CyberGhost"},
	{"cloudflare", "Cloudflare WARP"},
	{"tailscale", "Tailscale"},
	{"zerotier", "ZeroTier"},
	{"hamachi", "Hamachi"},
	{"radmin vpn", "Radmin VPN"},
	{"softether", "SoftEther"},
	{"vpn client adapter", "SoftEther"},
	{"cisco anyconnect", "Cisco AnyConnect"},
	{"cisco secure client", "Cisco AnyConnect"},
	{"cisco systems vpn", "Cisco VPN Client"},
	{"fortinet", "FortiClient"},
	{"fortissl", "FortiClient"},
	{"pangp", "GlobalProtect"},
	{"globalprotect", "GlobalProtect"},
	{"juniper", "Pulse/Ivanti Secure"},
	{"pulse secure", "Pulse/Ivanti Secure"},
	{"ivanti", "Pulse/Ivanti Secure"},
	{"check point", "Check Point"},
	{"sonicwall", "SonicWall"},
	{"netextender", "SonicWall"},
	{"sophos", "Sophos"},
	{"watchguard", "WatchGuard"},
	{"barracuda", "Barracuda"},
	{"zscaler", "Zscaler"},
	{"netskope", "Netskope"},
	{"citrix", "Citrix Secure Access"},
	{"f5 networks", "F5"},
	{"f5 vpn", "F5"},
	{"array networks", "Array Networks"},
	{"ncp secure client", "NCP"},
	{"lancom", "LANCOM"},
	{"shrew", "Shrew Soft"},
	{"kerio", "Kerio"},
	{"securepoint", "Securepoint"},
	{"appgate", "Appgate"},
	{"tap-windows", "OpenVPN (TAP-Windows)"},
	{"tap-win32", "OpenVPN (TAP-Windows)"},
	{"openvpn", "OpenVPN"},
	{"wireguard", "WireGuard"},
	{"wintun", "Wintun"},
}

func vpnProduct(description string) string {
	low := strings.ToLower(description)
	for _, v := range vpnNames {
		if strings.Contains(low, v.mark) {
			return v.product
		}
	}
	return ""
}

// w32tm /query /status prints nine lines in a fixed order with translated keys:
// leap indicator "0(...)", stratum "4 (...)", precision "-23 (...)", root delay
// and root dispersion "0.0312537s", reference id "0x14651B4D (...)", time of the
// last synchronisation, source, poll interval "10 (1024s)"; /verbose adds phase
// offset "0.0012345s", clock rate, state, flags, role and last error.
// w32tm /stripchart prints "03:04:05, +00.0212345s" or "03:04:07, error: 0x800705B4".
// learn.microsoft.com: "Windows Time service tools and settings".

// TimeStatus is what w32tm says of the clock.
type TimeStatus struct {
	Known       bool   // the document holds any of its outputs
	Leap        int    // 0 no warning, 3 not synchronised; -1 not told
	Stratum     int    // 0 unspecified, 1 primary; -1 not told
	ReferenceID uint32 // 0: none, 0x4C4F434C "LOCL": the local clock
	Source      string // "time.example.com,0x8"; translated if it is the local clock
	LastSync    string // as printed
	Server      string // that a stripchart compares with
	Samples     int    // answers in a stripchart
	Failures    int    // missing answers in a stripchart
	Offset      float64
	HasOffset   bool            // Offset, in seconds, is the server's clock minus the machine's: last sample, or phase offset
	Codes       []codes.HRESULT // errors reported, each once
}

// Synchronised reports whether the clock follows an outside source; known is
// false if the document does not tell.
func (t TimeStatus) Synchronised() (yes, known bool) {
	const local = 0x4C4F434C // "LOCL"
	switch {
	case t.Leap < 0 && t.Stratum < 0:
		return false, false
	case t.Leap == 3, t.Stratum == 0, t.ReferenceID == 0, t.ReferenceID == local:
		return false, true
	}
	return true, true
}

var (
	leapLine    = newPattern(`^([0-3])\s?[(（]`)
	stratumLine = newPattern(`^(\d{1,2}) ?[(（]`)
	minusLine   = newPattern(`^-?\d{1,3} ?[(（]`)
	secondsLine = newPattern(`^([+-]?\d+[.,]\d+) ?s$`)
	refIDLine   = newPattern(`^0x([0-9A-Fa-f]{8})(?:\s|$)`)
	pollLine    = newPattern(`^\d{1,2} ?[(（]\d+s[)）]$`)
	stripSample = newPattern(`^\d{1,2}[:.]\d\d[:.]\d\d,? (?:d:\S+ )?(?:o:)?([+-]\d+[.,]\d+)s`)
	stripError  = newPattern(`^\d{1,2}[:.]\d\d[:.]\d\d,? .{0,40}?(0x[0-9A-Fa-f]{8})`)
	stripServer = newPattern(`^.{1,40}?\b(\S+) \[[0-9A-Fa-f.:\[\]]+:123\]`)
	timeErrors  = newPattern(`[(（](0x[0-9A-Fa-f]{8})[)）]`)
)

// ReadW32TM reads the outputs of w32tm /query /status, /stripchart and /resync
// in any display language.
func ReadW32TM(r io.Reader) (TimeStatus, error) {
	t := TimeStatus{Leap: -1, Stratum: -1}
	lines, err := readDocument(r)
	if err != nil {
		return t, err
	}
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		if n := t.status(lines, i); n > 0 {
			i += n - 1
			continue
		}
		switch {
		case stripError.MatchString(line):
			t.Failures++
			t.Known = true
			t.fail(stripError.FindStringSubmatch(line)[1])
		case stripSample.MatchString(line):
			t.Samples++
			t.Known = true
			t.offset(stripSample.FindStringSubmatch(line)[1])
		case stripServer.MatchString(line):
			t.Server, t.Known = stripServer.FindStringSubmatch(line)[1], true
		default:
			for _, m := range timeErrors.FindAllStringSubmatch(line, 10) {
				t.fail(m[1])
			}
		}
	}
	return t, nil
}

func (t *TimeStatus) fail(hex string) {
	v, err := strconv.ParseUint(hex[2:], 16, 32)
	h := codes.HRESULT(v)
	if err != nil || !h.Failed() {
		return
	}
	for _, have := range t.Codes {
		if have == h {
			return
		}
	}
	t.Codes = append(t.Codes, h)
	t.Known = true
}

func (t *TimeStatus) offset(seconds string) {
	if v, err := strconv.ParseFloat(strings.Replace(seconds, ",", ".", 1), 64); err == nil {
		t.Offset, t.HasOffset = v, true
	}
}

// status reads the block of /query /status that begins at line i, if one does,
// and returns how many lines it has.
func (t *TimeStatus) status(lines []string, i int) int {
	var values []string
	for k := i; k < len(lines) && len(values) < 20; k++ {
		_, v, ok := cutColon(lines[k])
		if !ok || strings.TrimSpace(lines[k]) == "" && len(values) < 9 {
			break
		}
		values = append(values, v)
	}
	if len(values) < 9 || !leapLine.MatchString(values[0]) || !stratumLine.MatchString(values[1]) || !minusLine.MatchString(values[2]) ||
		!secondsLine.MatchString(values[3]) || !secondsLine.MatchString(values[4]) || !refIDLine.MatchString(values[5]) || !pollLine.MatchString(values[8]) {
		return 0
	}
	t.Known = true
	t.Leap, _ = strconv.Atoi(leapLine.FindStringSubmatch(values[0])[1])
	t.Stratum, _ = strconv.Atoi(stratumLine.FindStringSubmatch(values[1])[1])
	id, _ := strconv.ParseUint(refIDLine.FindStringSubmatch(values[5])[1], 16, 32)
	t.ReferenceID = uint32(id)
	t.LastSync, t.Source = values[6], values[7]
	if len(values) > 9 {
		if m := secondsLine.FindStringSubmatch(values[9]); m != nil && !t.HasOffset {
			t.offset(m[1])
		}
	}
	for _, v := range values[9:] {
		// The last error stands as its number: "1 (...)" has no code of its own,
		// but HRESULTs appear as -2147023728 or 0x800705B4.
		if m := timeErrors.FindStringSubmatch(v); m != nil {
			t.fail(m[1])
		}
	}
	return len(values)
}
