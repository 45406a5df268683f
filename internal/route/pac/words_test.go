package pac

import (
	"net/netip"
	"strconv"
	"testing"
	"time"
)

// answerOf evaluates one expression in this process.
func answerOf(t *testing.T, dialect Dialect, expression string, w world) outcome {
	t.Helper()
	p, fault := compile("function FindProxyForURL(url, host) { return String("+expression+"); }", dialect)
	if fault != nil {
		t.Fatalf("%s: %v", expression, fault)
	}
	o := p.evaluate(Call{"http://www.fabrikam.example/a/b.cab", "www.fabrikam.example"}, w, 5*time.Second)
	if o.Err != nil {
		t.Fatalf("%s: %v", expression, o.Err)
	}
	return o
}

// names is a resolver of documentation addresses.
var names = map[string][]netip.Addr{
	"www.fabrikam.example":    {netip.MustParseAddr("2001:db8::80"), netip.MustParseAddr("198.51.100.80")},
	"intern.fabrikam.example": {netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.8")},
	"six.fabrikam.example":    {netip.MustParseAddr("2001:db8:6::1")},
	"mapped.fabrikam.example": {netip.MustParseAddr("::ffff:203.0.113.9")},
}

func testWorld(now time.Time) world {
	return world{
		now: func() time.Time { return now },
		addresses: []netip.Addr{
			netip.MustParseAddr("127.0.0.1"),
			netip.MustParseAddr("192.0.2.40"), netip.MustParseAddr("fe80::1%15"), netip.MustParseAddr("2001:db8::40"),
		},
		lookup: func(host string) ([]netip.Addr, error) {
			if a, ok := names[host]; ok {
				return a, nil
			}
			return nil, errNoName
		},
	}
}

// The examples of Netscape's and Microsoft's texts stand first in each group,
// with reserved names and addresses in place of theirs.
func TestFunctions(t *testing.T) {
	for _, c := range []struct{ expression, want string }{
		{`isPlainHostName("www.fabrikam.example")`, "false"},
		{`isPlainHostName("www")`, "true"},
		{`isPlainHostName("")`, "true"},
		{`isPlainHostName("www.")`, "false"},

		{`dnsDomainIs("www.fabrikam.example", ".fabrikam.example")`, "true"},
		{`dnsDomainIs("www", ".fabrikam.example")`, "false"},
		{`dnsDomainIs("WWW.FABRIKAM.EXAMPLE", ".fabrikam.example")`, "false"},
		{`dnsDomainIs("www.fabrikam.example", ".FABRIKAM.example")`, "false"},
		{`dnsDomainIs("notfabrikam.example", "fabrikam.example")`, "true"}, // as widely feared
		{`dnsDomainIs("fabrikam.example", ".fabrikam.example")`, "false"},
		{`dnsDomainIs("www.fabrikam.example.", ".fabrikam.example")`, "false"},

		{`localHostOrDomainIs("www.fabrikam.example", "www.fabrikam.example")`, "true"},
		{`localHostOrDomainIs("www", "www.fabrikam.example")`, "true"},
		{`localHostOrDomainIs("www.contoso.example", "www.fabrikam.example")`, "false"},
		{`localHostOrDomainIs("home.fabrikam.example", "www.fabrikam.example")`, "false"},
		{`localHostOrDomainIs("www.fabrikam", "www.fabrikam.example")`, "false"},
		{`localHostOrDomainIs("WWW", "www.fabrikam.example")`, "false"},
		{`localHostOrDomainIs("", "www.fabrikam.example")`, "false"},

		{`isResolvable("www.fabrikam.example")`, "true"},
		{`isResolvable("bogus.fabrikam.example")`, "false"},
		{`isResolvable("six.fabrikam.example")`, "false"}, // no IPv4
		{`isResolvable("mapped.fabrikam.example")`, "true"},
		{`isResolvable("192.0.2.1")`, "true"},
		{`isResolvable("not a name")`, "false"},
		{`isResolvable(null)`, "false"},

		{`isInNet("198.51.100.249", "198.51.100.249", "255.255.255.255")`, "true"},
		{`isInNet(host, "198.51.0.0", "255.255.0.0")`, "true"},
		{`isInNet("198.51.100.7", "198.51.0.0", "255.255.0.0")`, "true"},
		{`isInNet("198.52.100.7", "198.51.0.0", "255.255.0.0")`, "false"},
		{`isInNet("intern.fabrikam.example", "192.0.2.7", "255.255.255.255")`, "true"},
		{`isInNet("intern.fabrikam.example", "192.0.2.8", "255.255.255.255")`, "false"}, // the first address counts
		{`isInNet("10.1.2.3", "10.99.2.99", "255.0.255.0")`, "true"},
		{`isInNet("10.1.2.3", "010.001.000.000", "255.255.0.0")`, "true"},
		{`isInNet("10.1.2.3", "10.0.0.0/8", "255.0.0.0")`, "false"},
		{`isInNet("10.1.2.3", "10.0.0.0")`, "false"},
		{`isInNet("10.1.2.300", "10.0.0.0", "255.0.0.0")`, "false"},
		{`isInNet("six.fabrikam.example", "0.0.0.0", "0.0.0.0")`, "false"},
		{`isInNet("2001:db8::1", "0.0.0.0", "0.0.0.0")`, "false"},
		{`isInNet(dnsResolve("bogus.fabrikam.example"), "10.0.0.0", "255.0.0.0")`, "false"},

		{`dnsResolve("intern.fabrikam.example")`, "192.0.2.7"},
		{`dnsResolve("www.fabrikam.example")`, "198.51.100.80"},
		{`dnsResolve("bogus.fabrikam.example")`, "null"},
		{`dnsResolve("six.fabrikam.example")`, "null"},
		{`dnsResolve("192.0.2.99")`, "192.0.2.99"},

		{`convert_addr("104.16.41.2")`, "1745889538"},
		{`convert_addr("192.0.2.172")`, "-1073741140"},
		{`convert_addr("255.255.255.0") & convert_addr("0.0.0.255")`, "0"},
		{`convert_addr("no address")`, "0"},

		{`myIpAddress()`, "192.0.2.40"},
		{`myIpAddressEx()`, "fe80::1%15;2001:db8::40;127.0.0.1;192.0.2.40"},

		{`dnsDomainLevels("www")`, "0"},
		{`dnsDomainLevels("fabrikam.example")`, "1"},
		{`dnsDomainLevels("www.fabrikam.example")`, "2"},

		{`shExpMatch("http://home.fabrikam.example/people/ari/index.html", "*/ari/*")`, "true"},
		{`shExpMatch("http://home.fabrikam.example/people/montulli/index.html", "*/ari/*")`, "false"},
		{`shExpMatch("WSUS01.fabrikam.example", "wsus*.fabrikam.example")`, "false"},
		{`shExpMatch("wsus01", "wsus0?")`, "true"},
		{`shExpMatch("wsus0", "wsus0?")`, "false"},
		{`shExpMatch("a.b", "a?b")`, "true"},
		{`shExpMatch("axb", "a.b")`, "false"},
		{`shExpMatch("a[1]", "a[1]")`, "true"},
		{`shExpMatch("a1", "a[1]")`, "false"},
		{`shExpMatch("", "")`, "true"},
		{`shExpMatch("", "*")`, "true"},
		{`shExpMatch("x", "")`, "false"},
		{`shExpMatch("a*b", "a*b")`, "true"},
		{`shExpMatch("abcabd", "*ab?")`, "true"},
		{`shExpMatch("büro.example", "b?ro.*")`, "true"},
		{`shExpMatch("http://x/" + Array(3000).join("a"), "*a*a*a*a*a*a*a*b")`, "false"},

		// Microsoft's functions.
		{`isResolvableEx("six.fabrikam.example")`, "true"},
		{`isResolvableEx("bogus.fabrikam.example")`, "false"},
		{`dnsResolveEx("www.fabrikam.example")`, "2001:db8::80;198.51.100.80"},
		{`dnsResolveEx("bogus.fabrikam.example") === ""`, "true"},
		{`isInNetEx("198.51.100.249", "198.51.100.249/32")`, "true"},
		{`isInNetEx(host, "198.51.0.0/16")`, "true"},
		{`isInNetEx("3ffe:8311:ffff::5", "3ffe:8311:ffff/48")`, "true"},
		{`isInNetEx("3ffe:8311:fffe::5", "3ffe:8311:ffff::/48")`, "false"},
		{`isInNetEx("fe80::1%15", "fe80::/10")`, "true"},
		{`isInNetEx("192.0.2.1", "2001:db8::/32")`, "false"},
		{`isInNetEx("192.0.2.1", "192.0.2.0")`, "false"},
		{`isInNetEx("192.0.2.1", "192.0.2.0/33")`, "false"},
		{`isInNetEx("not an address", "nonsense")`, "false"},
		{
			`sortIpAddressList("2001:4898:28:3:201:2ff:feea:fc14; 157.59.139.22; fe80::5efe:157.59.139.22")`,
			"fe80::5efe:157.59.139.22;2001:4898:28:3:201:2ff:feea:fc14;157.59.139.22",
		},
		{`sortIpAddressList("192.0.2.9;2001:db8::2;192.0.2.10;2001:db8::1")`, "2001:db8::1;2001:db8::2;192.0.2.9;192.0.2.10"},
		{`sortIpAddressList("192.0.2.1;bogus") === ""`, "true"},
		{`sortIpAddressList("") === ""`, "true"},
		{`getClientVersion()`, "1.0"},
	} {
		if got := answerOf(t, Modern, c.expression, testWorld(time.Now())).List; got != c.want {
			t.Errorf("%s = %s, want %s", c.expression, got, c.want)
		}
	}
}

func TestMyIPAddressWithoutAny(t *testing.T) {
	if got := answerOf(t, Modern, `myIpAddress() + "," + myIpAddressEx()`, world{}).List; got != "127.0.0.1," {
		t.Errorf("got %q", got)
	}
}

// The time functions at given moments, in a zone two hours east.
func TestTimeFunctions(t *testing.T) {
	zone := time.FixedZone("", 2*60*60)
	at := func(s string) time.Time {
		when, err := time.ParseInLocation("2006-01-02 15:04:05", s, zone)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, c := range []struct {
		now, expression string
		want            bool
	}{
		// 2027-03-01 is a Monday.
		{"2027-03-01 09:00:00", `weekdayRange("MON", "FRI")`, true},
		{"2027-03-07 09:00:00", `weekdayRange("MON", "FRI")`, false},
		{"2027-03-06 09:00:00", `weekdayRange("SAT")`, true},
		{"2027-03-07 01:00:00", `weekdayRange("SAT", "GMT")`, true},
		{"2027-03-07 01:00:00", `weekdayRange("SAT")`, false},
		{"2027-03-07 12:00:00", `weekdayRange("FRI", "MON")`, true}, // over the end of the week
		{"2027-03-03 12:00:00", `weekdayRange("FRI", "MON")`, false},
		{"2027-03-01 00:30:00", `weekdayRange("MON", "FRI", "GMT")`, false}, // still Sunday there
		{"2027-03-01 09:00:00", `weekdayRange("Monday")`, false},
		{"2027-03-01 09:00:00", `weekdayRange("MON", "XXX")`, false},
		{"2027-03-01 09:00:00", `weekdayRange()`, false},
		{"2027-03-01 09:00:00", `weekdayRange("GMT")`, false},

		{"2027-03-01 09:00:00", `dateRange(1)`, true},
		{"2027-03-02 00:30:00", `dateRange(1)`, false},
		{"2027-03-02 00:30:00", `dateRange(1, "GMT")`, true},
		{"2027-03-15 09:00:00", `dateRange(1, 15)`, true},
		{"2027-03-16 09:00:00", `dateRange(1, 15)`, false},
		{"2027-12-24 09:00:00", `dateRange(24, "DEC")`, true},
		{"2027-12-24 09:00:00", `dateRange(24, "DEC", 2027)`, true},
		{"2027-12-24 09:00:00", `dateRange(24, "DEC", 2026)`, false},
		{"2027-03-31 09:00:00", `dateRange("JAN", "MAR")`, true},
		{"2027-04-01 09:00:00", `dateRange("JAN", "MAR")`, false},
		{"2027-01-10 09:00:00", `dateRange("NOV", "FEB")`, true}, // over the end of the year
		{"2027-06-10 09:00:00", `dateRange("NOV", "FEB")`, false},
		{"2027-06-01 00:00:00", `dateRange(1, "JUN", 15, "AUG")`, true},
		{"2027-08-15 23:59:59", `dateRange(1, "JUN", 15, "AUG")`, true},
		{"2027-08-16 00:00:00", `dateRange(1, "JUN", 15, "AUG")`, false},
		{"2027-01-02 00:00:00", `dateRange(20, "DEC", 6, "JAN")`, true},
		{"2027-07-01 09:00:00", `dateRange(1, "JUN", 2027, 15, "AUG", 2027)`, true},
		{"2028-07-01 09:00:00", `dateRange(1, "JUN", 2027, 15, "AUG", 2027)`, false},
		{"2027-12-01 09:00:00", `dateRange("OCT", 2027, "MAR", 2028)`, true},
		{"2028-03-31 09:00:00", `dateRange("OCT", 2027, "MAR", 2028)`, true},
		{"2028-04-01 09:00:00", `dateRange("OCT", 2027, "MAR", 2028)`, false},
		{"2027-04-01 09:00:00", `dateRange(2027)`, true},
		{"2027-04-01 09:00:00", `dateRange(2026, 2028)`, true},
		{"2027-04-01 09:00:00", `dateRange(2028, 2026)`, false}, // years do not come again
		{"2027-04-01 09:00:00", `dateRange("APR")`, true},
		{"2027-04-01 09:00:00", `dateRange(32)`, false},
		{"2027-04-01 09:00:00", `dateRange(0)`, false},
		{"2027-04-01 09:00:00", `dateRange(1.5)`, false},
		{"2027-04-01 09:00:00", `dateRange(1, "JUN", 2027)`, false},
		{"2027-04-01 09:00:00", `dateRange(1, 2027)`, false},
		{"2027-04-01 09:00:00", `dateRange(-2000000000, 2000000000)`, false},
		{"2027-04-01 09:00:00", `dateRange(1, "APR", 2, 3)`, false},
		{"2027-04-01 09:00:00", `dateRange()`, false},
		{"2027-04-01 09:00:00", `dateRange({}, [], null, undefined, NaN, true, "x")`, false},

		{"2027-03-01 12:00:00", `timeRange(12)`, true},
		{"2027-03-01 12:59:59", `timeRange(12)`, true},
		{"2027-03-01 13:00:00", `timeRange(12)`, false},
		{"2027-03-01 13:00:00", `timeRange(12, 13)`, true},
		{"2027-03-01 13:00:01", `timeRange(12, 13)`, false},
		{"2027-03-01 14:30:00", `timeRange(12, "GMT")`, true},
		{"2027-03-01 09:00:00", `timeRange(9, 17)`, true},
		{"2027-03-01 08:29:59", `timeRange(8, 30, 17, 0)`, false},
		{"2027-03-01 08:30:00", `timeRange(8, 30, 17, 0)`, true},
		{"2027-03-01 00:00:30", `timeRange(0, 0, 0, 0, 0, 30)`, true},
		{"2027-03-01 00:00:31", `timeRange(0, 0, 0, 0, 0, 30)`, false},
		{"2027-03-01 23:30:00", `timeRange(22, 6)`, true}, // over midnight
		{"2027-03-01 12:00:00", `timeRange(22, 6)`, false},
		{"2027-03-01 12:00:00", `timeRange(12, 0, 13)`, false},
		{"2027-03-01 12:00:00", `timeRange(25)`, false},
		{"2027-03-01 12:00:00", `timeRange(0, 60, 23, 0)`, false},
		{"2027-03-01 12:00:00", `timeRange("12")`, false},
		{"2027-03-01 12:00:00", `timeRange(-2000000000, 2000000000)`, false},
		{"2027-03-01 12:00:00", `timeRange()`, false},
	} {
		now := at(c.now)
		o := answerOf(t, Modern, c.expression, testWorld(now))
		if o.List != strconv.FormatBool(c.want) {
			t.Errorf("%s at %s = %s", c.expression, c.now, o.List)
		}
		if !o.Clock {
			t.Errorf("%s: the result does not say that the clock was read", c.expression)
		}
	}
}

func TestLookedOnce(t *testing.T) {
	asked := 0
	w := testWorld(time.Now())
	inner := w.lookup
	w.lookup = func(host string) ([]netip.Addr, error) { asked++; return inner(host) }
	o := answerOf(t, Modern, `isInNet(host, "10.0.0.0", "255.0.0.0") || isResolvable("bogus.example") || isResolvable(host)`, w)
	if len(o.Looked) != 2 || o.Looked[0] != "www.fabrikam.example" || o.Looked[1] != "bogus.example" {
		t.Errorf("looked up %q", o.Looked)
	}
	if asked != 3 {
		t.Errorf("the world was asked %d times", asked)
	}
}
