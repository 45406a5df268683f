package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"updoc/internal/sorted"
)

// Lookup is what is wrong with names.
type Lookup struct {
	From  string   `json:"from,omitempty"` // "" the machine, a proxy's name, or *
	Name  string   `json:"name,omitempty"` // pattern; "" is every name
	Fault string   `json:"fault"`          // NameUnknown, ...
	Addrs []Addr   `json:"addresses,omitempty"`
	Delay Duration `json:"delay,omitzero"`
	Times int      `json:"times,omitempty"`
	Share float64  `json:"share,omitempty"` // only that share of the questions, by chance; 0: all
}

// Faults of names.
const (
	NameSlow    = "slow"     // only the delay
	NameUnknown = "nxdomain" // there is no such name
	NameEmpty   = "empty"    // the name has no address
	NameFailed  = "servfail" // the resolver could not find out
	NameSilent  = "timeout"  // nobody answers
	NameLie     = "lie"      // other addresses
	NameSunk    = "sunk"     // 0.0.0.0 and ::
	NameIPv6    = "ipv6"     // only the AAAA records
	NameIPv4    = "ipv4"     // only the A records
)

func (l *Lookup) check() error {
	known := []string{NameSlow, NameUnknown, NameEmpty, NameFailed, NameSilent, NameLie, NameSunk, NameIPv6, NameIPv4}
	if !slices.Contains(known, l.Fault) {
		return fmt.Errorf("lookup of %q: unknown fault %q", l.Name, l.Fault)
	}
	if l.Fault == NameLie && len(l.Addrs) == 0 {
		return fmt.Errorf("lookup of %q: a lie without addresses", l.Name)
	}
	return nil
}

// resolverName is the machine's DNS server.
const resolverName = "dns.fabrikam.example"

func (w *World) buildDNS() error {
	w.addName(resolverName, netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("2001:db8:2::53"))
	return w.addSite(53, site{names: []string{resolverName}, raw: w.dnsOverTCP, packet: func(from netip.AddrPort, q []byte) []byte {
		return w.dnsAnswer(w.machine, q, 512, nil)
	}})
}

// LookupNetIP asks the machine's resolver, after its hosts file, for the addresses of
// a name. Networks are ip, ip4 and ip6; errors are [*net.DNSError], as package net
// has them. A name that exists without an address gives none and no error. Addresses of
// version 6 come first if the machine has one, as from getaddrinfo (RFC 6724).
func (w *World) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if w.own != nil {
		return w.own.resolve(ctx, network, host)
	}
	addrs, err := w.lookup(ctx, w.machine, network, host)
	if slices.ContainsFunc(w.machine.addrs, netip.Addr.Is6) {
		addrs = slices.Clone(addrs)
		sorted.By(addrs, func(a, b netip.Addr) int { return b.BitLen() - a.BitLen() })
	}
	return addrs, err
}

func (w *World) lookup(ctx context.Context, from *party, network, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return family(network, []netip.Addr{a}), nil
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if a, ok := w.local(from, name); ok {
		return family(network, []netip.Addr{a}), nil
	}
	names := []string{name}
	if !strings.Contains(name, ".") {
		for _, s := range w.spec.Machine.Suffixes {
			names = append(names, name+"."+strings.ToLower(s))
		}
	}
	var last answer
	for _, n := range names {
		last = w.resolve(from, n)
		w.see(Seen{Kind: "lookup", From: from.name, Host: n, Fault: last.fault})
		if err := w.sleep(ctx, last.delay); err != nil {
			return nil, &net.DNSError{Err: err.Error(), Name: host, IsTimeout: true, UnwrapErr: err}
		}
		if last.fault != NameUnknown {
			break
		}
	}
	switch last.fault {
	case NameUnknown:
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	case NameFailed:
		return nil, &net.DNSError{Err: "server misbehaving", Name: host, Server: "192.0.2.53:53", IsTemporary: true}
	case NameSilent:
		return nil, &net.DNSError{Err: "i/o timeout", Name: host, Server: "192.0.2.53:53", IsTimeout: true, IsTemporary: true}
	}
	return family(network, last.addrs), nil
}

// local is what a machine knows without asking anybody.
func (w *World) local(from *party, name string) (netip.Addr, bool) {
	if from == w.machine {
		for n, a := range w.spec.Machine.Hosts {
			if strings.EqualFold(n, name) {
				addr, err := netip.ParseAddr(a)
				return addr, err == nil
			}
		}
	}
	if name == "localhost" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), true
	}
	return netip.Addr{}, false
}

func family(network string, addrs []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool {
		return network == "ip4" && !a.Is4() || network == "ip6" && a.Is4()
	})
}

// answer is what the resolver says about a name.
type answer struct {
	fault string
	addrs []netip.Addr
	delay time.Duration
}

// silence is how long a client waits for a resolver that says nothing: Windows asks
// again after 1, 1, 2, 4 and 4 seconds. learn.microsoft.com: NET: DNS client
// resolution timeouts.
const silence = 12 * time.Second

// resolve answers from the true names, unless something is wrong.
func (w *World) resolve(from *party, name string) answer {
	var out answer
	addrs, exists := w.zone[name]
	for rest := name; !exists; {
		_, parent, ok := strings.Cut(rest, ".")
		if !ok {
			break
		}
		addrs, exists = w.zone["*."+parent]
		rest = parent
	}
	out.addrs = slices.Clone(addrs)
	if !exists {
		out.fault = NameUnknown
	}
	for i := range w.spec.Lookups {
		l := &w.spec.Lookups[i]
		if !(l.From == "*" || strings.EqualFold(l.From, from.name)) || l.Name != "" && !wild(l.Name, name) {
			continue
		}
		if l.Share > 0 && w.chance() >= l.Share || !w.strike(&l.Times) {
			continue
		}
		out.delay += time.Duration(l.Delay)
		if l.Fault == NameSlow {
			continue
		}
		switch l.Fault {
		case NameLie:
			out.fault, out.addrs = "", slices.Clone(l.Addrs)
		case NameSunk:
			out.fault, out.addrs = "", []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
		case NameIPv6:
			out.addrs = family("ip6", out.addrs)
		case NameIPv4:
			out.addrs = family("ip4", out.addrs)
		case NameEmpty:
			out.fault, out.addrs = "", nil
		case NameSilent:
			out.fault, out.addrs = NameSilent, nil
			out.delay += silence
		default:
			out.fault, out.addrs = l.Fault, nil
		}
		break
	}
	return out
}

// DNS messages. RFC 1035 section 4.
const (
	typeA    = 1
	typeAAAA = 28
	classIN  = 1

	rcodeFormat   = 1
	rcodeFailed   = 2
	rcodeNoName   = 3
	rcodeNotThere = 4
)

var errNotDNS = errors.New("not a DNS question")

// dnsQuestion reads the one question of a message: its name, type and class, and where
// it ends.
func dnsQuestion(m []byte) (name string, kind, class uint16, end int, err error) {
	if len(m) < 12 || m[2]&0x80 != 0 || binary.BigEndian.Uint16(m[4:]) != 1 {
		return "", 0, 0, 0, errNotDNS
	}
	at := 12
	var labels []string
	for {
		if at >= len(m) {
			return "", 0, 0, 0, errNotDNS
		}
		n := int(m[at])
		at++
		if n == 0 {
			break
		}
		if n > 63 || at+n > len(m) || at-12+n > 254 { // no pointers: there is nothing before to point to
			return "", 0, 0, 0, errNotDNS
		}
		labels = append(labels, string(m[at:at+n]))
		at += n
	}
	if at+4 > len(m) {
		return "", 0, 0, 0, errNotDNS
	}
	return strings.ToLower(strings.Join(labels, ".")), binary.BigEndian.Uint16(m[at:]), binary.BigEndian.Uint16(m[at+2:]), at + 4, nil
}

// dnsAnswer answers one message, in at most so many bytes; nil is silence. Addresses
// may be given in another form, or left out.
func (w *World) dnsAnswer(from *party, q []byte, most int, form func(netip.Addr) (netip.Addr, bool)) []byte {
	name, kind, class, end, err := dnsQuestion(q)
	if err != nil {
		if len(q) < 12 || q[2]&0x80 != 0 {
			return nil
		}
		return dnsHead(q, 12, rcodeFormat, 0)
	}
	if class != classIN || q[2]&0x78 != 0 {
		return dnsHead(q, end, rcodeNotThere, 0)
	}
	a := w.resolve(from, name)
	w.see(Seen{Kind: "lookup", From: from.name, Host: name, Fault: a.fault})
	if a.fault == NameSilent || w.sleep(w.ctx, a.delay) != nil {
		return nil
	}
	switch a.fault {
	case NameUnknown:
		return dnsHead(q, end, rcodeNoName, 0)
	case NameFailed:
		return dnsHead(q, end, rcodeFailed, 0)
	}
	out, n := dnsHead(q, end, 0, 0), uint16(0)
	for _, addr := range a.addrs {
		if form != nil {
			var ok bool
			if addr, ok = form(addr); !ok {
				continue
			}
		}
		if (kind == typeA) != addr.Is4() || kind != typeA && kind != typeAAAA {
			continue
		}
		data := addr.AsSlice()
		if len(out)+12+len(data) > most {
			out[2] |= 2 // truncated
			break
		}
		out = append(out, 0xc0, 12) // the name of the question
		out = binary.BigEndian.AppendUint16(out, kind)
		out = binary.BigEndian.AppendUint16(out, classIN)
		out = binary.BigEndian.AppendUint32(out, 60)
		out = binary.BigEndian.AppendUint16(out, uint16(len(data)))
		out = append(out, data...)
		n++
	}
	binary.BigEndian.PutUint16(out[6:], n)
	return out
}

// dnsHead begins an answer: the header, and the question as it came.
func dnsHead(q []byte, end, rcode int, answers uint16) []byte {
	out := append([]byte(nil), q[:end]...)
	out[2] = out[2]&0x79 | 0x80 // an answer
	out[3] = 0x80 | byte(rcode) // recursion available
	clear(out[4:12])
	if end > 12 {
		out[5] = 1
	}
	binary.BigEndian.PutUint16(out[6:], answers)
	return out
}

// dnsOverTCP answers questions on a connection, each after its length. RFC 1035
// section 4.2.2.
func (w *World) dnsOverTCP(v *visit, c net.Conn) {
	defer c.Close()
	for range 100 {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		var size [2]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		q := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, q); err != nil {
			return
		}
		a := w.dnsAnswer(v.from, q, 65535, nil)
		if a == nil {
			return
		}
		if _, err := c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...)); err != nil {
			return
		}
	}
}
