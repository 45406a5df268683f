package route

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"updoc/internal/host"
	"updoc/internal/lab"
)

// line is a way that carries packets of up to a limit and loses some of the others too.
type line struct {
	limit map[netip.Addr]int // 0: nobody answers there
	first bool               // the first packet of each size is lost
	err   error

	mu   sync.Mutex
	sent map[int]int
}

func (l *line) Echo(_ context.Context, to netip.Addr, size int) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sent == nil {
		l.sent = map[int]int{}
	}
	l.sent[size]++
	return l.err == nil && size <= l.limit[to] && !(l.first && l.sent[size] == 1), l.err
}

func TestPackets(t *testing.T) {
	near, far := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.7")
	six := netip.MustParseAddr("2001:db8::7")
	all := func(n int) map[netip.Addr]int { return map[netip.Addr]int{near: n, far: n} }
	for name, tt := range map[string]*struct {
		line
		want int // 0: not measured
	}{
		"a limit":                {line: line{limit: all(1300)}, want: 1300},
		"of PPPoE":               {line: line{limit: all(1492), first: true}, want: 1492},
		"the least":              {line: line{limit: all(576)}, want: 576},
		"one byte less":          {line: line{limit: all(1499)}, want: 1499},
		"none":                   {line: line{limit: all(1500)}},
		"more than Ethernet":     {line: line{limit: all(9000)}},
		"nobody answers":         {},
		"one answers":            {line: line{limit: map[netip.Addr]int{near: 1400}}, want: 1400},
		"the narrower of two":    {line: line{limit: map[netip.Addr]int{near: 1500, far: 1280}}, want: 1280},
		"nobody can be asked":    {line: line{limit: all(1300), err: errors.New("no ping here")}},
		"less than anybody does": {line: line{limit: all(500)}},
		"over IPv6":              {line: line{limit: map[netip.Addr]int{six: 1420, near: 1500}}, want: 1420},
		"a tunnel over IPv6":     {line: line{limit: map[netip.Addr]int{six: 1280}, first: true}, want: 1280},
		"too narrow for IPv6":    {line: line{limit: map[netip.Addr]int{six: 1200}}},
	} {
		t.Run(name, func(t *testing.T) {
			walk := &Walk{Stray: []Observation{{ID: "mtu", Seen: "large ones stop"}}}
			for _, to := range []netip.Addr{near, far, six, far} {
				walk.Trips = append(walk.Trips, Trip{Attempts: []Attempt{{Walked: true, Exchange: host.Exchange{Hops: []host.Hop{
					{Kind: host.HopTCP, Remote: netip.AddrPortFrom(to, 443)}, {Kind: host.HopHTTP, Fault: host.FaultTimeout},
				}}}}})
			}
			w := Walker{Echo: &tt.line}
			w.measure(t.Context(), walk)
			got := 0
			if len(walk.Packets) == 1 {
				got = walk.Packets[0].Size
			}
			if got != tt.want {
				t.Errorf("%d bytes, want %d", got, tt.want)
			}
			if said := strings.Contains(walk.Stray[0].Seen, "packets of up to"); said != (tt.want > 0) {
				t.Errorf("it says %q", walk.Stray[0].Seen)
			}
			if n := len(tt.sent); n > 4*sizesAtOnce*echoWays+1 {
				t.Errorf("%d sizes were asked for", n)
			}
			stopped, stop := context.WithCancel(t.Context())
			stop()
			if again := w.packets(stopped, walk); len(again) > 0 {
				t.Errorf("a stopped walk measures %+v", again)
			}
		})
	}
	// Where nothing showed that large packets vanish, nobody is asked.
	l := &line{limit: all(1300)}
	walk := &Walk{}
	if (&Walker{Echo: l}).measure(t.Context(), walk); len(l.sent) > 0 || walk.Packets != nil {
		t.Errorf("asked %v for nothing", l.sent)
	}
}

// TestPacketsOfWorld: what is measured in a world is what its path carries.
func TestPacketsOfWorld(t *testing.T) {
	const update = "fe3cr.delivery.mp.microsoft.com"
	w, _ := world(t, lab.WorldSpec{Paths: []lab.Path{{To: update, MTU: 1337}}})
	addrs, err := w.LookupNetIP(t.Context(), "ip4", update)
	if err != nil || len(addrs) == 0 {
		t.Fatal(addrs, err)
	}
	walker := Walker{Echo: w}
	if n := walker.largest(t.Context(), addrs[0]); n != 1337 {
		t.Errorf("%d bytes, want 1337", n)
	}
}
