package route

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"updoc/internal/host"
)

// Echoer asks an address for an ICMP echo in one packet that no router may cut: none does
// so over IPv6, and over IPv4 the packet says it.
type Echoer interface {
	// Echo reports whether a packet of size bytes, its headers among them, came back
	// whole before the context ended. An error means that nobody could be asked; a
	// packet that was lost, or was too large for a router on the way, is none.
	Echo(ctx context.Context, to netip.Addr, size int) (bool, error)
}

// Packets is how much of a packet the way carries.
type Packets struct {
	To   netip.Addr // who sent packets back
	Size int        // bytes of the largest that came back, headers and all; larger ones did not
}

// Sizes between which the limit of a way is looked for: what every host has to take
// (RFC 791; RFC 8200, 5), and what Ethernet carries.
const (
	leastPacket4 = 576
	leastPacket6 = 1280
	mostPacket   = 1500
)

func leastPacket(to netip.Addr) int {
	if to.Is6() {
		return leastPacket6
	}
	return leastPacket4
}

// How the limit is looked for: so many sizes at once, each in so many packets, since
// one may be lost on any line; so long for their answers, which is what ping waits
// for where the other end is on the other side of the world.
const (
	sizesAtOnce = 16
	eachSize    = 2
	echoTime    = time.Second
	echoHosts   = 6 // addresses that are asked whether they send anything back
	echoWays    = 3 // of these, so many are measured
)

// packets measures what the way carries where large packets vanish, of each family of
// addresses the narrower way. Of one that is not there nothing can be told: many hosts send
// no echo, and some lines lose only what answers.
func (w *Walker) packets(ctx context.Context, walk *Walk) []Packets {
	var out []Packets
	for _, is := range []func(netip.Addr) bool{netip.Addr.Is4, netip.Addr.Is6} {
		hosts := slices.DeleteFunc(walk.remotes(), func(a netip.Addr) bool { return !is(a) })
		if p := w.narrowest(ctx, hosts[:min(len(hosts), echoHosts)]); p != nil {
			out = append(out, *p)
		}
	}
	if ctx.Err() != nil { // what was not answered then was not lost
		return nil
	}
	return out
}

// narrowest measures the ways to some hosts; nil if none has a limit.
func (w *Walker) narrowest(ctx context.Context, hosts []netip.Addr) *Packets {
	answer := make([]bool, len(hosts))
	var wg sync.WaitGroup
	for i, to := range hosts {
		wg.Go(func() { answer[i] = w.echo(ctx, to, leastPacket(to)) })
	}
	wg.Wait()
	var best *Packets
	var mu sync.Mutex
	ways := 0
	for i, to := range hosts {
		if !answer[i] || ways == echoWays {
			continue
		}
		ways++
		wg.Go(func() {
			size := w.largest(ctx, to)
			mu.Lock()
			defer mu.Unlock()
			if size < mostPacket && (best == nil || size < best.Size) {
				best = &Packets{To: to, Size: size}
			}
		})
	}
	wg.Wait()
	return best
}

// largest returns the size of the largest packet that comes back from an address. Only
// what came back counts: a packet may be lost on the way whatever its size.
func (w *Walker) largest(ctx context.Context, to netip.Addr) int {
	passes, limit := leastPacket(to), mostPacket
	for passes < limit && ctx.Err() == nil {
		n := min(sizesAtOnce, limit-passes)
		back := make([]bool, n+1)
		size := func(i int) int { return passes + (limit-passes)*i/n }
		var wg sync.WaitGroup
		for i := 1; i <= n; i++ {
			wg.Go(func() { back[i] = w.echo(ctx, to, size(i)) })
		}
		wg.Wait()
		best := n
		for best > 0 && !back[best] {
			best--
		}
		low, high := size(best), limit
		if best < n {
			high = size(best+1) - 1
		}
		passes, limit = low, high
	}
	return passes
}

// echo reports whether one of some packets came back.
func (w *Walker) echo(ctx context.Context, to netip.Addr, size int) bool {
	ctx, cancel := context.WithTimeout(ctx, echoTime)
	defer cancel()
	back := make(chan bool, eachSize)
	for range eachSize {
		go func() {
			ok, err := w.Echo.Echo(ctx, to, size)
			back <- ok && err == nil
		}()
	}
	found := false
	for range eachSize {
		if <-back {
			found = true
			cancel() // of what is on its way nothing more is needed
		}
	}
	return found
}

// remotes lists the addresses that the walk connected to, those first at which
// something large stopped.
func (w *Walk) remotes() []netip.Addr {
	var stopped, others []netip.Addr
	for _, a := range w.walked {
		b := a.Exchange.Broken()
		for _, h := range a.Exchange.Hops {
			to := h.Remote.Addr().Unmap()
			switch {
			case h.Kind != host.HopTCP || h.Fault != "" || !to.IsValid() || to.IsLoopback():
			case b != nil && b.Fault == host.FaultTimeout && !slices.Contains(stopped, to):
				stopped = append(stopped, to)
			case !slices.Contains(others, to):
				others = append(others, to)
			}
		}
	}
	for _, to := range others {
		if !slices.Contains(stopped, to) {
			stopped = append(stopped, to)
		}
	}
	return stopped
}

// measure finds out how large a packet may be where the walk showed that large ones
// vanish, and says so beside that.
func (w *Walker) measure(ctx context.Context, walk *Walk) {
	i := slices.IndexFunc(walk.Stray, func(o Observation) bool { return o.ID == "mtu" })
	if i < 0 || w.Echo == nil {
		return
	}
	walk.Packets = w.packets(ctx, walk)
	for _, p := range walk.Packets {
		walk.Stray[i].Seen += fmt.Sprintf("; packets of up to %d bytes come back from %s, larger ones do not", p.Size, p.To)
	}
}
