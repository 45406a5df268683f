package route

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/beevik/ntp"

	"updoc/internal/host"
	"updoc/internal/sorted"
)

// dates reads the clocks of the servers that answered, and those of proxies that
// answered for themselves: the Date field of HTTP, one source per host. A clock that
// is wrong breaks TLS, but plain HTTP and an error page carry a date all the same.
func dates(w *Walk) []ClockSource {
	best := map[string]ClockSource{}
	add := func(address string, ex *host.Exchange, at time.Time) {
		u, err := url.Parse(address)
		if err != nil || ex.Began.IsZero() {
			return
		}
		// The answer was made between the request and its head; it counts whole seconds.
		sent, got := answeredWithin(ex)
		middle := ex.Began.Add((sent + got) / 2)
		c := ClockSource{
			Name: u.Hostname(), Offset: middle.Sub(at.Add(500 * time.Millisecond)),
			Uncertainty: 500*time.Millisecond + (got-sent)/2,
		}
		if have, ok := best[c.Name]; !ok || c.Uncertainty < have.Uncertainty {
			best[c.Name] = c
		}
	}
	for _, a := range w.walked {
		ex := &a.Exchange
		if b := ex.Broken(); b != nil && b.Kind == host.HopProxy && !b.Date.IsZero() {
			add(ex.Request.Via.Proxy, ex, b.Date)
			continue
		}
		at, err := http.ParseTime(ex.Get("Date"))
		if err != nil {
			continue
		}
		if age, err := strconv.Atoi(ex.Get("Age")); err == nil && age > 0 {
			continue // a cache's answer carries the date at which it was stored (RFC 9111)
		}
		add(ex.Request.URL, ex, at)
	}
	var out []ClockSource
	for _, c := range best {
		out = append(out, c)
	}
	sorted.By(out, func(a, b ClockSource) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// answeredWithin is when the request was sent and when its head was there, since the
// exchange began.
func answeredWithin(ex *host.Exchange) (sent, got time.Duration) {
	got = ex.Took
	for _, h := range ex.Hops {
		if h.Kind == host.HopHTTP || h.Kind == host.HopProxy {
			sent, got = h.At, h.At+h.Took
		}
	}
	return sent, max(got, sent)
}

// askTime asks one time server over SNTP. Where UDP port 123 is closed, as it often
// is, the source has a fault.
func (w *Walker) askTime(ctx context.Context, server string) ClockSource {
	c := ClockSource{Name: server + " (SNTP)"}
	ctx, cancel := context.WithTimeout(ctx, sntpTime)
	defer cancel()
	name, port, err := net.SplitHostPort(server)
	if err != nil {
		name, port = server, "123"
	}
	addrs, err := w.Net.LookupNetIP(ctx, "ip", name)
	if err != nil || len(addrs) == 0 {
		c.Fault = string(host.FaultNoName)
		return c
	}
	r, err := ntp.QueryWithOptions(net.JoinHostPort(addrs[0].Unmap().String(), port), ntp.QueryOptions{
		Timeout: sntpTime,
		Dialer: func(_, remote string) (net.Conn, error) {
			return w.Net.DialContext(ctx, "udp", remote)
		},
		GetSystemTime: w.Now,
	})
	if err == nil {
		err = r.Validate()
	}
	if err != nil {
		c.Fault = string(host.FaultTimeout)
		return c
	}
	c.Offset, c.Uncertainty = -r.ClockOffset, r.RTT/2+r.RootDistance
	return c
}

const sntpTime = 3 * time.Second

// readClock finds the offset on which most sources agree (Marzullo's algorithm): the
// smallest interval that lies within the bounds of as many as possible. One source is
// no witness: a single server may be wrong itself.
func readClock(sources []ClockSource) *Clock {
	if len(sources) == 0 {
		return nil
	}
	type edge struct {
		at   time.Duration
		kind int // -1 begins, +1 ends
	}
	var edges []edge
	good := 0
	for _, s := range sources {
		if s.Fault == "" {
			good++
			edges = append(edges, edge{s.Offset - s.Uncertainty, -1}, edge{s.Offset + s.Uncertainty, +1})
		}
	}
	c := &Clock{Sources: sources}
	sorted.By(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.kind, b.kind)) })
	best, depth := 0, 0
	var low, high time.Duration
	for i, e := range edges {
		depth -= e.kind
		if depth > best && i+1 < len(edges) {
			best, low, high = depth, e.at, edges[i+1].at
		}
	}
	if best < 2 || best*2 <= good {
		return c // nobody agrees: nothing is said about the clock
	}
	c.Agree, c.Offset, c.Uncertainty = best, low+(high-low)/2, (high-low)/2
	return c
}
