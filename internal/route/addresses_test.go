package route

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"updoc/internal/host"
	"updoc/internal/lab"
)

// TestCompareAddresses: what it means that some addresses of a host answer.
func TestCompareAddresses(t *testing.T) {
	const a4, b4, a6, b6 = "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"
	for name, tt := range map[string]struct {
		seen string // address=fault
		id   string
		dead string
		text string
	}{
		"all answer":            {a6 + "= " + a4 + "=", "", "", ""},
		"none does":             {a6 + "=timeout " + a4 + "=timeout", "", "", ""},
		"IPv6 is dead":          {a6 + "=timeout " + b6 + "=timeout " + a4 + "=", "ipv6-dead", a6 + " " + b6, "answers at 192.0.2.1 and not at 2001:db8::1 (timeout); WinHTTP asks one"},
		"IPv6 is refused":       {a6 + "=refused " + a4 + "=", "ipv6-dead", "", "(refused)"},
		"there is no IPv6":      {a6 + "=unreachable " + a4 + "=", "", "", ""},
		"IPv4 is dead":          {a6 + "= " + a4 + "=timeout", "address-dead", a4, "answers at 2001:db8::1 and not at 192.0.2.1 (timeout)"},
		"one of IPv6 is dead":   {a6 + "=timeout " + b6 + "= " + a4 + "=", "address-dead", a6, "answers at 192.0.2.1 and not at 2001:db8::1 (timeout)"},
		"one of two is dead":    {a4 + "=timeout " + b4 + "=", "address-dead", a4, "first waits for the dead one"},
		"one of two refuses":    {a4 + "=refused " + b4 + "=", "address-dead", "", "(refused)"},
		"dead and without ways": {a6 + "=unreachable " + a4 + "=timeout " + b4 + "=", "address-dead", a4, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var addrs []netip.Addr
			var faults []host.Fault
			for field := range strings.FieldsSeq(tt.seen) {
				addr, fault, _ := strings.Cut(field, "=")
				addrs, faults = append(addrs, netip.MustParseAddr(addr)), append(faults, host.Fault(fault))
			}
			o, dead := compareAddresses("www.fabrikam.example", addrs, faults)
			var got []string
			for _, a := range dead {
				got = append(got, a.String())
			}
			if o.ID != tt.id || strings.Join(got, " ") != tt.dead || !strings.Contains(o.Seen, tt.text) {
				t.Errorf("told as %+v, dead are %s", o, dead)
			}
		})
	}
}

// TestInTurn: where a race hides that addresses are dead, the prediction says that Windows
// asks them first; it gets through all the same.
func TestInTurn(t *testing.T) {
	for name, tt := range map[string]struct {
		drop  []string
		seen  string
		waits bool
	}{
		"healthy":      {nil, "", false},
		"IPv6 is dead": {[]string{"2001:db8:100::/48", "2001:db8:113::/48"}, "ipv6-dead", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var spec lab.WorldSpec
			for _, to := range tt.drop {
				spec.Paths = append(spec.Paths, lab.Path{To: to, Fault: lab.PathDrop})
			}
			w, err := lab.Open(spec)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			s := Settings{Machine: Proxy{Known: true}, User: Proxy{Known: true}, Internet: Proxy{Known: true}}
			walker := Walker{Exchanger: NewProber(Prober{Net: w, Roots: w.Trusted(), Microsoft: w.Roots(), Now: w.MachineNow}), Net: w, Now: w.MachineNow}
			walk := walker.Walk(t.Context(), s, s.Plan(PlanOptions{Only: []string{"scan"}, Now: w.MachineNow()}))
			if got := slices.ContainsFunc(walk.Stray, func(o Observation) bool { return o.ID == "ipv6-dead" }); got != (tt.seen != "") {
				t.Errorf("observed: %+v", walk.Stray)
			}
			for _, trip := range walk.Trips {
				if trip.Predict.Code != 0 || trip.Predict.Waits > 0 != tt.waits {
					t.Errorf("%s: predicted %+v", trip.Task.ID, trip.Predict)
				}
			}
		})
	}
}

// TestBefore counts the addresses that Windows asks first.
func TestBefore(t *testing.T) {
	a, b, c := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("192.0.2.1")
	ex := &host.Exchange{Hops: []host.Hop{
		{Kind: host.HopDNS, Addresses: []netip.Addr{a, b, c}},
		{Kind: host.HopTCP, Remote: netip.AddrPortFrom(c, 443)},
	}}
	if n := before(ex, netip.Addr.Is6); n != 2 {
		t.Errorf("%d dead ones come first", n)
	}
	if n := before(ex, func(x netip.Addr) bool { return x == b }); n != 1 {
		t.Errorf("%d dead ones come first", n)
	}
	ex.Hops[1].Remote = netip.AddrPortFrom(a, 443)
	if n := before(ex, netip.Addr.Is6); n != 0 {
		t.Errorf("%d dead ones come first", n)
	}
	ex.Hops[1].Fault = host.FaultTimeout
	if n := before(ex, netip.Addr.Is6); n != 0 {
		t.Errorf("%d dead ones come before none", n)
	}
}
