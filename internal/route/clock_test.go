package route

import (
	"testing"
	"time"

	"updoc/internal/host"
)

// TestProxyIsAClock: where a proxy answers for itself, its date is a source beside
// those of servers and time servers; one source alone is no witness.
func TestProxyIsAClock(t *testing.T) {
	began := time.Date(2026, time.March, 4, 5, 6, 7, 0, time.UTC)
	refused := func(via string, at time.Time) Trip {
		return Trip{Attempts: []Attempt{{Walked: true, Exchange: host.Exchange{
			Began: began, Took: 20 * time.Millisecond,
			Request: host.Request{URL: "https://fe2cr.update.microsoft.com/v6/", Via: host.Via{Proxy: via}},
			Hops:    []host.Hop{{Kind: host.HopTCP}, {Kind: host.HopProxy, Took: 20 * time.Millisecond, Fault: host.FaultProxyAuth, Date: at}},
		}}}}
	}
	w := &Walk{Trips: []Trip{
		refused("http://proxy.fabrikam.example:8080", began.Add(3*time.Hour)),
		refused("http://proxy.fabrikam.example:8080", began.Add(3*time.Hour)),
		refused("http://silent.fabrikam.example:8080", time.Time{}),
	}}
	got := dates(w)
	if len(got) != 1 || got[0].Name != "proxy.fabrikam.example" || (got[0].Offset+3*time.Hour).Abs() > time.Second {
		t.Fatalf("sources: %+v", got)
	}
	if c := readClock(got); c.Agree != 0 {
		t.Errorf("one source is believed: %+v", c)
	}
	c := readClock(append(got, ClockSource{Name: "time.windows.com:123 (SNTP)", Offset: -3 * time.Hour, Uncertainty: 10 * time.Millisecond}))
	if c.Agree != 2 || (c.Offset+3*time.Hour).Abs() > time.Second {
		t.Errorf("two sources are not believed: %+v", c)
	}
}

// TestTransient: a length that is missing is a change on the way, one that is not kept
// is a line that broke.
func TestTransient(t *testing.T) {
	for _, tt := range []struct {
		hop  *host.Hop
		want bool
	}{
		{nil, false},
		{&host.Hop{Kind: host.HopHTTP, Fault: host.FaultLength}, true},
		{&host.Hop{Kind: host.HopContent, Fault: host.FaultLength}, false},
		{&host.Hop{Kind: host.HopTLS, Fault: host.FaultReset}, true},
		{&host.Hop{Kind: host.HopProxy, Fault: host.FaultProxyAuth}, false},
	} {
		if got := transient(tt.hop); got != tt.want {
			t.Errorf("transient(%+v) = %t", tt.hop, got)
		}
	}
}
