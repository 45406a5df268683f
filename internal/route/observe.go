package route

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"updoc/internal/host"
	"updoc/internal/sorted"
)

// observe says what several trips show together.
func observe(w *Walk) []Observation {
	var out []Observation
	for _, f := range []func(*Walk) []Observation{interceptors, liars, blackHole, changed, hangsUp} {
		out = append(out, f(w)...)
	}
	return out
}

// walked yields every exchange that was made.
func (w *Walk) walked(yield func(*Trip, *Attempt) bool) {
	for i := range w.Trips {
		t := &w.Trips[i]
		for j := range t.Attempts {
			if a := &t.Attempts[j]; a.Walked && !yield(t, a) {
				return
			}
		}
	}
}

// interceptors names who signs in Microsoft's place, and for whom.
func interceptors(w *Walk) []Observation {
	hosts := map[string][]string{}
	for _, a := range w.walked {
		for _, h := range a.Exchange.Hops {
			if h.Fault == host.FaultIssuer && h.TLS != nil && len(h.TLS.Chain) > 0 {
				name := h.TLS.Chain[len(h.TLS.Chain)-1].Issuer
				if !slices.Contains(hosts[name], h.Target) {
					hosts[name] = append(hosts[name], h.Target)
				}
			}
		}
	}
	var out []Observation
	for name, list := range hosts {
		slices.Sort(list)
		out = append(out, Observation{ID: "intercepted", Hop: host.HopTLS, Seen: fmt.Sprintf("%s signs for %s", name, strings.Join(list, ", "))})
	}
	sorted.By(out, func(a, b Observation) int { return cmp.Compare(a.Seen, b.Seen) })
	return out
}

// liars: a resolver that gives a private address for a host of Microsoft's, or one
// address for everybody. What stands there is not the update service.
func liars(w *Walk) []Observation {
	byAddress := map[netip.Addr][]string{}
	private := ""
	for _, a := range w.walked {
		for _, h := range a.Exchange.Hops {
			if h.Kind != host.HopDNS || len(h.Addresses) == 0 {
				continue
			}
			if _, known := EndpointOf(h.Target); !known {
				continue
			}
			first := h.Addresses[0]
			if first.IsPrivate() {
				private = cmp.Or(private, fmt.Sprintf("the name server says that %s is %s, an address of a private network", h.Target, first))
			}
			if d := domainOf(h.Target); !first.IsLoopback() && !first.IsUnspecified() && !slices.Contains(byAddress[first], d) {
				byAddress[first] = append(byAddress[first], d)
			}
		}
	}
	var out []Observation
	if private != "" {
		out = append(out, Observation{ID: "resolver-lies", Hop: host.HopDNS, Seen: private})
	}
	for addr, domains := range byAddress {
		if len(domains) >= 3 { // nobody hosts all of them in one place
			slices.Sort(domains)
			out = append(out, Observation{ID: "resolver-lies", Hop: host.HopDNS, Seen: fmt.Sprintf("the name server says that %s are all %s", strings.Join(domains, ", "), addr)})
		}
	}
	sorted.By(out, func(a, b Observation) int { return cmp.Compare(a.Seen, b.Seen) })
	return out
}

// domainOf is the part of a name that its owner registered, for the names of this
// program's table: the last two labels.
func domainOf(name string) string {
	labels := strings.Split(strings.ToLower(strings.TrimSuffix(name, ".")), ".")
	return strings.Join(labels[max(0, len(labels)-2):], ".")
}

// smallAnswer fits one packet on any line that the internet is made of, head and
// all. RFC 8200: every link carries 1280 bytes.
const smallAnswer = 1000

// blackHole: connections stand, small answers come whole, and large ones stop after
// the first bytes or never begin. A router on the way drops large packets and does
// not say so (RFC 2923).
func blackHole(w *Walk) []Observation {
	small, handshake, body := "", "", ""
	for _, a := range w.walked {
		ex := &a.Exchange
		b := ex.Broken()
		switch {
		case ex.Status != 0 && b == nil && ex.Length < smallAnswer:
			small = cmp.Or(small, ex.Request.URL)
		case b == nil || b.Fault != host.FaultTimeout:
		case b.Kind == host.HopTLS:
			handshake = cmp.Or(handshake, b.Target)
		case b.Kind == host.HopHTTP && ex.Status != 0 && b.Silent < bodyTime/2:
			// Bytes went on coming: the line is slow.
		case b.Kind == host.HopHTTP && (ex.Status != 0 || largeRequest(ex)):
			body = cmp.Or(body, ex.Request.URL)
		case b.Kind == host.HopHTTP && wantsMuch(ex):
			body = cmp.Or(body, ex.Request.URL)
		}
	}
	if small == "" || body == "" {
		return nil
	}
	seen := fmt.Sprintf("the small answer of %s came whole, the large one of %s stopped", small, body)
	if handshake != "" {
		seen += "; the handshake with " + handshake + ", whose certificates fill several packets, stopped too"
	}
	return []Observation{{ID: "mtu", Hop: host.HopContent, Seen: seen}}
}

func largeRequest(ex *host.Exchange) bool { return len(ex.Request.Body) > smallAnswer }

// wantsMuch reports a request for a range of a file.
func wantsMuch(ex *host.Exchange) bool { return asked(ex, "Range") }

// unstable are header fields that differ from answer to answer by themselves.
var unstable = []string{
	"age", "cache-control", "connection", "date", "expires", "keep-alive", "ms-cv", "proxy-connection", "server-timing",
	"set-cookie", "transfer-encoding", "vary", "via", "x-cache", "x-cache-lookup", "x-ccc", "x-cid", "x-azure-ref", "x-msedge-ref",
}

// changed compares what came through a proxy with what came directly: fields that
// are gone, new or different on the way.
func changed(w *Walk) []Observation {
	var out []Observation
	for i := range w.Trips {
		t := &w.Trips[i]
		d, b := t.Deciding(), t.Beside()
		if d == nil || b == nil || d.Exchange.Request.Via.Direct() || !b.Exchange.Request.Via.Direct() || d.Exchange.Status == 0 || b.Exchange.Status == 0 {
			continue
		}
		if diff := DiffHeader(b.Exchange.Header, d.Exchange.Header); len(diff) > 0 && len(out) < 5 {
			out = append(out, Observation{ID: "headers-changed", Hop: host.HopHTTP, Seen: t.Task.ID + " through the proxy: " + strings.Join(diff, ", ")})
		}
	}
	return out
}

// hangsUp: a proxy that ends the connection after each answer. Delivery Optimization
// fetches a file in pieces of 1 MiB and keeps its connections; with a new one for each
// piece, and a sign-in for each of those, downloads crawl.
func hangsUp(w *Walk) []Observation {
	for i := range w.Trips {
		t := &w.Trips[i]
		d := t.Deciding()
		if c := t.Task.Caller; d == nil || c != DO && c != BITS || d.Exchange.Request.Via.Direct() || !d.Exchange.Closed {
			continue
		}
		if b := t.Beside(); b != nil && b.Exchange.Status != 0 && !b.Exchange.Closed {
			return []Observation{{ID: "no-keep-alive", Hop: host.HopProxy, Seen: t.Task.ID + ": the proxy closes the connection after each answer, the server does not"}}
		}
	}
	return nil
}

// DiffHeader lists the fields that differ: "-Name: value" is gone, "+Name: value" is
// new. Fields that differ by themselves are left out, order and letter case of
// names do not count.
func DiffHeader(before, after []host.Field) []string {
	var out []string
	has := func(list []host.Field, f host.Field) bool {
		return slices.ContainsFunc(list, func(g host.Field) bool { return strings.EqualFold(f.Name, g.Name) && f.Value == g.Value })
	}
	add := func(sign string, from, to []host.Field) {
		for _, f := range from {
			if !slices.Contains(unstable, strings.ToLower(f.Name)) && !has(to, f) && len(out) < 20 {
				out = append(out, fmt.Sprintf("%s%s: %.80s", sign, f.Name, f.Value))
			}
		}
	}
	add("-", before, after)
	add("+", after, before)
	return out
}

// probes is what is found beside the requests of the plan.
type probes struct {
	families []Observation
	dead     []netip.Addr // addresses at which nothing comes back
	clocks   []ClockSource
}

// probe looks, while the walk goes on, at what no single request shows. The
// returned function waits for it.
func (w *Walker) probe(ctx context.Context, plan []Task) func() probes {
	if w.Net == nil {
		return func() probes { return probes{} }
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var found probes
	for _, u := range twoHosts(plan) {
		wg.Go(func() {
			o, dead := w.families(ctx, u)
			mu.Lock()
			defer mu.Unlock()
			if o.ID != "" {
				found.families = append(found.families, o)
			}
			found.dead = append(found.dead, dead...)
		})
	}
	for _, server := range w.Times {
		wg.Go(func() {
			c := w.askTime(ctx, server)
			mu.Lock()
			found.clocks = append(found.clocks, c)
			mu.Unlock()
		})
	}
	return func() probes {
		wg.Wait()
		sorted.By(found.families, func(a, b Observation) int { return cmp.Compare(a.Seen, b.Seen) })
		sorted.By(found.clocks, func(a, b ClockSource) int { return cmp.Compare(a.Name, b.Name) })
		return found
	}
}

// twoHosts picks a host of the scan and one of the content.
func twoHosts(plan []Task) []*url.URL {
	var out []*url.URL
	for _, scheme := range []string{"https", "http"} {
		for _, t := range plan {
			if u, err := url.Parse(t.Request.URL); err == nil && u.Scheme == scheme && t.Vital {
				out = append(out, u)
				break
			}
		}
	}
	return out
}

// maxProbed is how many addresses of each family a host is asked at.
const maxProbed = 2

// families asks a host at addresses of each family, each by itself, and returns those at
// which nothing comes back. A machine without IPv6 is not broken; one that has a way for
// IPv6 on which nothing comes back is: each new connection of Windows first waits in vain.
func (w *Walker) families(ctx context.Context, u *url.URL) (Observation, []netip.Addr) {
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	lctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	all, err := w.Net.LookupNetIP(lctx, "ip", u.Hostname())
	if err != nil {
		return Observation{}, nil
	}
	var addrs []netip.Addr
	probed := map[bool]int{} // by family
	for _, a := range all {
		if a = a.Unmap(); probed[a.Is4()] < maxProbed {
			probed[a.Is4()]++
			addrs = append(addrs, a)
		}
	}
	if len(addrs) < 2 {
		return Observation{}, nil
	}
	faults := make([]host.Fault, len(addrs))
	var wg sync.WaitGroup
	for i, a := range addrs {
		wg.Go(func() {
			dctx, cancel := context.WithTimeout(ctx, connectTime)
			defer cancel()
			conn, err := w.Net.DialContext(dctx, "tcp", net.JoinHostPort(a.String(), port))
			if err == nil {
				conn.Close()
			}
			faults[i], _ = faultOf(err)
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return Observation{}, nil
	}
	return compareAddresses(u.Hostname(), addrs, faults)
}

// compareAddresses says what it means that some addresses of a host answer and others do
// not, and which of them are dead.
func compareAddresses(name string, addrs []netip.Addr, faults []host.Fault) (Observation, []netip.Addr) {
	var alive, silent netip.Addr // the first that answers, the first that does not
	var dead []netip.Addr
	var seen host.Fault
	six := false // IPv6 answers
	for i, a := range addrs {
		switch f := faults[i]; {
		case f == "":
			if !alive.IsValid() || a.Is4() && !alive.Is4() {
				alive = a
			}
			six = six || a.Is6()
		case f != host.FaultUnreachable: // without a way it is not tried in Windows either
			if !silent.IsValid() {
				silent, seen = a, f
			}
			if f == host.FaultTimeout {
				dead = append(dead, a)
			}
		}
	}
	if !alive.IsValid() || !silent.IsValid() {
		return Observation{}, nil
	}
	o := Observation{ID: "address-dead", Hop: host.HopTCP, Seen: fmt.Sprintf("%s answers at %s and not at %s (%s)", name, alive, silent, seen)}
	if silent.Is6() && alive.Is4() && !six {
		o.ID = "ipv6-dead"
	}
	if len(dead) > 0 {
		o.Seen += "; WinHTTP asks one address after the other, so a new connection first waits for the dead one"
	}
	return o, dead
}

// lateSYN is how much later than the fastest a connection stands when its first
// packet was lost: the system sends it again after one second (RFC 6298).
const lateSYN = 900 * time.Millisecond

// repeat asks the deciding way of the first vital request of each host again and
// again, and tells steady from flaky. All of it together takes little longer than
// one request.
func (w *Walker) repeat(ctx context.Context, walk *Walk) {
	if w.Repeat <= 0 || !walk.answered() {
		return // where nothing is answered, nothing is unsteady
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]bool{}
	for i := range walk.Trips {
		t := &walk.Trips[i]
		a := t.Deciding()
		if a == nil || !t.Task.Vital {
			continue
		}
		u, err := url.Parse(t.Task.Request.URL)
		if err != nil || seen[u.Host] || len(seen) >= 4 {
			continue
		}
		seen[u.Host] = true
		if slow(walk, &a.Exchange) {
			continue // it waits as long again and tells nothing new
		}
		wg.Go(func() {
			s := w.steady(ctx, a.Exchange.Request)
			mu.Lock()
			defer mu.Unlock()
			a.Steady = &s
			switch lost := s.Lost; {
			case lost > 0 && lost < s.Sent, lost == 0 && transient(a.Exchange.Broken()):
				walk.Stray = append(walk.Stray, Observation{
					ID: "line-unsteady", Hop: host.HopTCP,
					Seen: fmt.Sprintf("%d of %d short requests to %s were lost or late (fastest %s, jitter %s)", max(lost, 1), s.Sent, u.Hostname(), s.Fastest.Round(time.Millisecond), s.Jitter.Round(time.Millisecond)),
				})
			}
		})
	}
	wg.Wait()
}

// slow reports an exchange that ran out of time for a reason that lies at the server or
// in the size of what was sent: the line carried the request.
func slow(w *Walk, ex *host.Exchange) bool {
	b := ex.Broken()
	if b == nil || b.Fault != host.FaultTimeout {
		return false
	}
	return b.Kind == host.HopHTTP && ex.Status == 0 || slices.ContainsFunc(w.Stray, func(o Observation) bool { return o.ID == "mtu" })
}

// answered reports that some request got through.
func (w *Walk) answered() bool {
	for i := range w.Trips {
		if a := w.Trips[i].Deciding(); a != nil && a.Exchange.Broken() == nil {
			return true
		}
	}
	return false
}

// transient reports a failure that comes and goes with the line. A length that is
// missing from a whole answer is none.
func transient(h *host.Hop) bool {
	if h == nil {
		return false
	}
	switch h.Fault {
	case host.FaultTimeout, host.FaultReset, host.FaultClosed:
		return true
	case host.FaultLength:
		return h.Kind != host.HopContent
	}
	return false
}

// probePause lies between two probes of one way, so that they do not share a burst.
const probePause = 50 * time.Millisecond

// steady sends short probes of one way. A probe is lost if it ends in a fault that
// comes and goes, or if its connection stood only after a packet was sent again.
func (w *Walker) steady(ctx context.Context, req host.Request) Steady {
	req.Keep = 1
	var wg sync.WaitGroup
	exs := make([]host.Exchange, w.Repeat)
	errs := make([]error, w.Repeat)
	for i := range exs {
		select {
		case <-time.After(probePause):
		case <-ctx.Done():
		}
		wg.Go(func() { exs[i], errs[i] = w.Exchanger.Exchange(ctx, req) })
	}
	wg.Wait()
	var s Steady
	var times []time.Duration
	lost := 0
	for i := range exs {
		if errs[i] != nil {
			continue
		}
		s.Sent++
		if transient(exs[i].Broken()) {
			lost++
			continue
		}
		for _, h := range exs[i].Hops {
			if h.Kind == host.HopTCP && h.Fault == "" {
				times = append(times, h.Took)
				break
			}
		}
	}
	s.Lost = lost
	if len(times) == 0 {
		return s
	}
	s.Fastest = slices.Min(times)
	var sum, jumps time.Duration
	for i, t := range times {
		sum += t
		if t > s.Fastest+lateSYN {
			s.Lost++
		}
		if i > 0 {
			jumps += (t - times[i-1]).Abs()
		}
	}
	s.Mean = sum / time.Duration(len(times))
	s.Jitter = jumps / time.Duration(max(1, len(times)-1))
	return s
}
