package lab

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"updoc/internal/sorted"
)

// Door is where one address and port of the world is reached by other programs.
type Door struct {
	Network string         `json:"network"` // tcp or udp
	Names   []string       `json:"names"`
	World   netip.AddrPort `json:"world"`
	Real    netip.AddrPort `json:"real"`
}

// Doors is a world on real sockets.
type Doors struct {
	Doors []Door         `json:"doors"`
	DNS   netip.AddrPort `json:"dns"`   // a name server on UDP, whose answers lead to the doors
	Same  bool           `json:"same"`  // every door has the port of the world: names and ports are enough to reach it
	Roots []byte         `json:"roots"` // PEM of the authorities that stand for Microsoft's
	All   []byte         `json:"all"`   // and of all that the machine trusts
}

// Find returns the door to a name and port.
func (d *Doors) Find(network, name string, port uint16) (Door, bool) {
	for _, door := range d.Doors {
		if door.Network == network && door.World.Port() == port && slices.ContainsFunc(door.Names, func(n string) bool { return wild(n, name) }) {
			return door, true
		}
	}
	return Door{}, false
}

// Listen serves the world on loopback sockets until it is closed. Each of its addresses
// of version 4 becomes one of the prefix, with the same ports, where the system allows
// it; otherwise each door is some free port of 127.77.0.1, or of 127.0.0.1 on systems
// that have no other loopback address. The zero prefix asks for the latter. An address
// that is refused to every connection gets no door; faults that strike before a connection
// stands strike right after it here.
func (w *World) Listen(prefix netip.Prefix) (*Doors, error) {
	if prefix.IsValid() && (!prefix.Addr().IsLoopback() || !prefix.Addr().Is4() || prefix.Bits() > 16) {
		return nil, fmt.Errorf("listen at %s: want a loopback network of at most 16 bits", prefix)
	}
	d := &Doors{Same: prefix.IsValid(), Roots: w.pki.pem(authMicrosoft)}
	d.All = w.pki.pem(w.trustedIDs()...)
	real := map[netip.Addr]netip.Addr{} // by address of the world
	var at []netip.AddrPort
	for to := range w.sites {
		if to.Addr().Is4() {
			at = append(at, to)
		}
	}
	sorted.By(at, func(a, b netip.AddrPort) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Port(), b.Port()))
	})
	next := prefix.Masked().Addr()
	one := netip.Addr{} // that all share
	if !prefix.IsValid() || !bindable(next.Next()) {
		one, d.Same = loopback(), false
	}
	for _, to := range at {
		a, ok := real[to.Addr()]
		if !ok {
			if a = one; !a.IsValid() {
				next = next.Next()
				a = next
			}
			real[to.Addr()] = a
		}
		if err := w.openDoors(d, to, a); err != nil {
			return nil, err
		}
	}
	dns, err := w.serveDNS(real)
	d.DNS = dns
	return d, err
}

// loopback returns an address of this machine that stands for all of a world. Block lists
// lead names to 127.0.0.1: whoever looks for those would take the world for one. macOS
// has no other unless it is told to.
func loopback() netip.Addr {
	if a := netip.AddrFrom4([4]byte{127, 77, 0, 1}); bindable(a) {
		return a
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// bindable reports that this machine lets a program listen at an address.
func bindable(a netip.Addr) bool {
	l, err := net.Listen("tcp", netip.AddrPortFrom(a, 0).String())
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func (w *World) trustedIDs() []string {
	ids := []string{authMicrosoft, authPublic, authCompany}
	for _, b := range w.spec.Machine.Trusts {
		ids = append(ids, "box "+b)
	}
	return ids
}

// openDoors listens for one address and port of the world.
func (w *World) openDoors(d *Doors, to netip.AddrPort, a netip.Addr) error {
	s := w.sites[to]
	door := Door{Names: s.names, World: to}
	if (s.http != nil || s.raw != nil) && !w.alwaysRefused(to) {
		l, err := listenTCP(a, to.Port(), d)
		if err != nil {
			return err
		}
		door.Network, door.Real = "tcp", addrPort(l.Addr())
		d.Doors = append(d.Doors, door)
		w.onClose(func() { _ = l.Close() })
		w.spawn(func() { w.acceptAt(l, to) })
	}
	if s.packet != nil {
		c, err := listenUDP(a, to.Port(), d)
		if err != nil {
			return err
		}
		door.Network, door.Real = "udp", addrPort(c.LocalAddr())
		d.Doors = append(d.Doors, door)
		w.onClose(func() { _ = c.Close() })
		w.spawn(func() {
			w.answerPackets(c, func(from netip.AddrPort, b []byte) []byte {
				if p := w.plan(w.machine, to, true); p.fault != "" || w.chance() < p.down.loss {
					return nil
				}
				return s.packet(from, b)
			})
		})
	}
	return nil
}

func listenTCP(a netip.Addr, port uint16, d *Doors) (net.Listener, error) {
	if d.Same {
		l, err := net.Listen("tcp", netip.AddrPortFrom(a, port).String())
		if err == nil {
			return l, nil
		}
		d.Same = false
	}
	l, err := net.Listen("tcp", netip.AddrPortFrom(a, 0).String())
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

func listenUDP(a netip.Addr, port uint16, d *Doors) (net.PacketConn, error) {
	if d.Same {
		c, err := net.ListenPacket("udp", netip.AddrPortFrom(a, port).String())
		if err == nil {
			return c, nil
		}
		d.Same = false
	}
	c, err := net.ListenPacket("udp", netip.AddrPortFrom(a, 0).String())
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return c, nil
}

func addrPort(a net.Addr) netip.AddrPort {
	ap, _ := netip.ParseAddrPort(a.String())
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// onClose remembers what Close has to stop, or stops it if that is over.
func (w *World) onClose(f func()) {
	w.mu.Lock()
	closed := w.closed
	if !closed {
		w.leaving = append(w.leaving, f)
	}
	w.mu.Unlock()
	if closed {
		f()
	}
}

// alwaysRefused reports whether nobody ever gets a connection there.
func (w *World) alwaysRefused(to netip.AddrPort) bool {
	for _, p := range w.spec.Paths {
		if p.From != "" || p.UDP || p.Share != 0 || p.Times != 0 || !w.leadsTo(p.To, to) {
			continue
		}
		switch p.Fault {
		case PathRefuse:
			return true
		case PathOpen:
			return false
		}
	}
	return false
}

// acceptAt connects whoever comes to a door to what is behind it.
func (w *World) acceptAt(l net.Listener, to netip.AddrPort) {
	for {
		c, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || w.sleep(w.ctx, 50*time.Millisecond) != nil {
				return
			}
			continue
		}
		w.spawn(func() {
			defer c.Close()
			stop := make(chan struct{})
			defer close(stop)
			w.spawn(func() { // the end of the world ends it too
				select {
				case <-w.ctx.Done():
					resetConn(c)
				case <-stop:
				}
			})
			in, err := w.connect(w.ctx, w.machine, "tcp", to)
			if err != nil {
				resetConn(c)
				return
			}
			defer in.Close()
			splice(c, in)
		})
	}
}

// answerPackets answers each packet by itself.
func (w *World) answerPackets(c net.PacketConn, answer func(netip.AddrPort, []byte) []byte) {
	buf := make([]byte, 4096)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) || w.sleep(w.ctx, 10*time.Millisecond) != nil {
				return
			}
			continue
		}
		q := slices.Clone(buf[:n])
		w.spawn(func() {
			if a := answer(addrPort(from), q); a != nil {
				_, _ = c.WriteTo(a, from)
			}
		})
	}
}

// serveDNS opens a name server whose answers are the doors.
func (w *World) serveDNS(real map[netip.Addr]netip.Addr) (netip.AddrPort, error) {
	c, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(0)))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("listen: %w", err)
	}
	w.onClose(func() { _ = c.Close() })
	w.spawn(func() {
		w.answerPackets(c, func(_ netip.AddrPort, q []byte) []byte {
			return w.dnsAnswer(w.machine, q, 512, func(a netip.Addr) (netip.Addr, bool) {
				if at, ok := real[a]; ok {
					return at, true
				}
				return a, a.Is4() // an address of nobody leads nowhere; version 6 has no doors
			})
		})
	})
	return addrPort(c.LocalAddr()), nil
}
