package redact

import (
	"math/bits"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func common4(a, b netip.Addr) int {
	x, y := a.As4(), b.As4()
	n := 0
	for i := range 4 {
		z := bits.LeadingZeros8(x[i] ^ y[i])
		n += z
		if z < 8 {
			break
		}
	}
	return n
}

func TestIPv4KeepsRangesAndPrefixes(t *testing.T) {
	ranges := []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"}
	rapid.Check(t, func(t *rapid.T) {
		r := &Redactor{Key: []byte(rapid.String().Draw(t, "key"))}
		net := netip.MustParsePrefix(rapid.SampledFrom(ranges).Draw(t, "range"))
		draw := func(label string) netip.Addr {
			a := net.Addr().As4()
			v := rapid.Uint32().Draw(t, label) >> net.Bits()
			a[0] |= byte(v >> 24)
			a[1] |= byte(v >> 16)
			a[2] |= byte(v >> 8)
			a[3] |= byte(v)
			return netip.AddrFrom4(a)
		}
		a, b := draw("a"), draw("b")
		s := &scanner{r: r}
		pa, ok := s.ipv4(a.As4())
		if !ok {
			t.Fatalf("%s stayed", a)
		}
		x := netip.AddrFrom4(pa)
		if !net.Contains(x) || x == a {
			t.Fatalf("%s became %s", a, x)
		}
		if b == x {
			return // the pseudonym of a, which stays
		}
		pb, _ := s.ipv4(b.As4())
		y := netip.AddrFrom4(pb)
		if common4(a, b) != common4(x, y) {
			t.Fatalf("%s and %s share %d bits, %s and %s share %d", a, b, common4(a, b), x, y, common4(x, y))
		}
	})
}

func TestPublicIPv4(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Redactor
		v := rapid.Uint32Range(0x0B000000, 0xDFFFFFFF).Draw(t, "address")
		a := netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
		if a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || netip.MustParsePrefix("100.64.0.0/10").Contains(a) {
			t.Skip()
		}
		s := &scanner{r: &r}
		p, ok := s.ipv4(a.As4())
		x := netip.AddrFrom4(p)
		if !ok || x == a || p[0] < 32 || p[0] > 223 || x.IsPrivate() || x.IsLoopback() || x.IsLinkLocalUnicast() || !x.IsGlobalUnicast() {
			t.Fatalf("%s became %s", a, x)
		}
		if q, ok := s.ipv4(p); ok || q != p {
			t.Fatalf("%v became %v", p, q)
		}
		if q, ok := (&scanner{r: &Redactor{Redacted: true}}).ipv4(p); ok || q != p {
			t.Fatalf("%v became %v though it was said to be redacted", p, q)
		}
		w := a.As4()
		w[3] ^= 1
		if q, _ := s.ipv4(w); q != [4]byte{p[0], p[1], p[2], p[3] ^ 1} {
			t.Fatalf("neighbours %v and %v became %v and %v", a, w, p, q)
		}
	})
}

func TestIPv6(t *testing.T) {
	var r Redactor
	for _, tt := range []struct{ in, want string }{
		{"from 2001:db8:1:2::5 to", `^from 3ffe:[0-9a-f:]+ to$`},
		{"from 2001:DB8:1:2::A5 to", `^from 3FFE:[0-9A-F:]+ to$`},
		{"http://[2001:db8::1]:8530/", `^http://\[3ffe:[0-9a-f:]+\]:8530/$`},
		{"fe80::1c2b:3dff:fe4a:5b6c%12", `^fe80::2ec:[0-9a-f:]+%12$`},
		{"fd12:3456:789a::1", `^fdec:ac[0-9a-f]{2}:[0-9a-f:]+$`},
		{"DNS . : fec0:0:0:ffff::1%1", `^DNS \. : 3ffe:[0-9a-f:]+%1$`},
		{"::ffff:10.20.30.40 asked", `^::ffff:10\.\d+\.\d+\.\d+ asked$`},
		{"2001:db8::1. Then", `^3ffe:[0-9a-f:]+\. Then$`},
		{"0123:4567:89ab:cdef:0123:4567:89ab:cdef", `^3ffe:[0-9a-f:]+$`},
	} {
		got := r.String(tt.in)
		if !regexp.MustCompile(tt.want).MatchString(got) || got == tt.in {
			t.Errorf("%q became %q, want %s", tt.in, got, tt.want)
		}
		if again := (&Redactor{}).String(got); again != got && !strings.Contains(tt.in, "ffff:10.") {
			t.Errorf("%q became %q by another Redactor", got, again)
		}
	}
	// One subnet stays one subnet, whatever the spelling.
	a := r.String("x 2001:db8:1:2:0:0:0:5 y")
	b := r.String("x 2001:DB8:1:2::5 y")
	if !strings.EqualFold(a, b) {
		t.Errorf("one address, two pseudonyms: %q %q", a, b)
	}
	c := netip.MustParseAddr(strings.Fields(r.String("x 2001:db8:1:2::6 y"))[1])
	if p := netip.MustParseAddr(strings.Fields(a)[1]); netip.PrefixFrom(p, 64).Masked() != netip.PrefixFrom(c, 64).Masked() {
		t.Errorf("one subnet, two pseudonyms: %s %s", p, c)
	}
}

func TestHardware(t *testing.T) {
	var r Redactor
	for _, tt := range []struct{ in, want string }{
		{"Physical Address. . : 3C-52-82-AA-BB-CC", `^Physical Address\. \. : 02-EC(-[0-9A-F]{2}){4}$`},
		{"mac 3c:52:82:aa:bb:cc up", `^mac 02:ec(:[0-9a-f]{2}){4} up$`},
		{"MACAddress=3C5282AABBCC", `^MACAddress=02EC[0-9A-F]{8}$`},
		{"DHCPv6 Client DUID. : 00-01-00-01-2A-4D-11-22-3C-52-82-AA-BB-CC", `^DHCPv6 Client DUID\. : 00-01-00-01-00-00-00-00-02-EC(-[0-9A-F]{2}){4}$`},
		{"Physical Address. . : 00-00-00-00-00-00-00-E0", `^Physical Address\. \. : 00-00-00-00-00-00-00-E0$`},
		{"ff-ff-ff-ff-ff-ff", `^ff-ff-ff-ff-ff-ff$`},
		{"01-00-5e-00-00-16 static", `^01-00-5e-00-00-16 static$`},
		{"S-1-5-21-1111111111-2222222222-3333333333-1001", `^S-1-5-21-4040404040-\d+-\d+-1001$`},
		{"S-1-5-21-1111111111-2222222222-3333333333-500_Classes", `^S-1-5-21-4040404040-\d+-\d+-500_Classes$`},
		{"S-1-12-1-1111111111-2222222222-3333333333-444444444", `^S-1-12-1-4040404040-\d+-\d+-\d+$`},
		{"thumbprint 3c:52:82:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa", `^thumbprint 3c:52:82:aa:bb:cc:dd:ee:ff:00:11:22:33:44:55:66:77:88:99:aa$`},
		{"ReferenceId: 0xC0A80705 (source IP:  192.168.7.5)", `^ReferenceId: 0xC0A8[0-9A-F]{4} \(source IP:  192\.168\.\d+\.\d+\)$`},
	} {
		got := r.String(tt.in)
		if !regexp.MustCompile(tt.want).MatchString(got) {
			t.Errorf("%q became %q, want %s", tt.in, got, tt.want)
		}
		if again := r.String(got); again != got {
			t.Errorf("%q became %q", got, again)
		}
	}
	if got := r.String("ReferenceId: 0xC0A80705 (source IP:  192.168.7.5)"); strings.Contains(got, "C0A80705") {
		t.Errorf("the address stayed in the reference id: %q", got)
	}
	if a, b := r.String("3C-52-82-AA-BB-CC"), r.String("3c:52:82:aa:bb:cc"); !strings.EqualFold(a, strings.ReplaceAll(b, ":", "-")) {
		t.Errorf("one card, two pseudonyms: %q %q", a, b)
	}
}

// Version numbers of any form in the places where Windows writes them are never taken for addresses.
func TestVersionsStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		octet := rapid.IntRange(0, 255)
		quad := func() string {
			parts := make([]string, 4)
			for i := range parts {
				parts[i] = itoa(octet.Draw(t, "octet"))
			}
			return strings.Join(parts, ".")
		}
		v := quad()
		if rapid.Bool().Draw(t, "windows") {
			v = rapid.SampledFrom([]string{"10.0.", "6.1.", "6.3."}).Draw(t, "major") +
				itoa(rapid.IntRange(256, 30000).Draw(t, "build")) + "." + itoa(rapid.IntRange(0, 30000).Draw(t, "revision"))
		}
		format := rapid.SampledFrom([]string{
			"2031-02-03 04:05:06, Info                  CBS    Package_for_KB5099999~31bf3856ad364e35~amd64~~%, applicable State: Installed",
			"winsxs\\amd64_x-servicingstack_31bf3856ad364e35_%_none_0123456789abcdef\\cbscore.dll",
			"wcp.dll version % (WinBuild.160101.0800)",
			"Loaded Servicing Stack v% with Core",
			"Fabrikam.App_%_x64__8wekyb3d8bbwe",
			"Version=%, Culture=neutral",
			"ProductVersion: %",
			"FileVersion = '%'",
			"<assemblyIdentity version=\"%\" name=\"x\"/>",
			"Windows-Update-Agent/% Client-Protocol/2.90",
			"build % here",
			"Agent Version=%, Path=C:\\WINDOWS\\uus",
			"C:\\Program Files\\Fabrikam\\%\\x.exe",
			"ModuleVer:%|LoadProps:3",
			"cV = xS24Yd5ZFEOijniv.%.1",
			"WUA=%&MK=X",
		}).Draw(t, "format")
		in := strings.ReplaceAll(format, "%", v)
		var r Redactor
		if got := r.String(in); got != in {
			t.Fatalf("%q became %q", in, got)
		}
	})
}

func itoa(n int) string {
	return string(appendInt(nil, n))
}

func appendInt(b []byte, n int) []byte {
	if n >= 10 {
		b = appendInt(b, n/10)
	}
	return append(b, byte('0'+n%10))
}
