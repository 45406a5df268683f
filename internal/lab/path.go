package lab

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Path is what is wrong, or slow, on the way to some address. Delays, losses and
// limits of all paths that fit a connection add up; of the faults the first counts.
type Path struct {
	From string `json:"from,omitempty"` // "" the machine, "tunnel" likewise while its VPN is connected, a proxy's name, or *
	To   string `json:"to,omitempty"`   // host pattern, address or prefix, each perhaps with :port; "" is everywhere. A name means all its addresses
	UDP  bool   `json:"udp,omitempty"`  // it concerns packets, not connections

	Fault string   `json:"fault,omitempty"` // PathRefuse, ...
	When  string   `json:"when,omitempty"`  // of reset, close and stall: WhenAccept (default), WhenHello, WhenName, WhenBody
	Names []string `json:"names,omitempty"` // of WhenName: patterns of what SNI or Host says
	After int64    `json:"after,omitempty"` // of WhenBody: bytes from the server that get through
	Times int      `json:"times,omitempty"` // only the first so many connections; 0: all
	Share float64  `json:"share,omitempty"` // only that share of the connections, by chance; 0: all

	MTU     int      `json:"mtu,omitempty"`    // a piece larger than this is lost without a word, each time it is sent again
	Out     bool     `json:"out,omitempty"`    // the MTU, rate and loss are those from the machine, not to it
	Latency Duration `json:"latency,omitzero"` // one way
	Jitter  Duration `json:"jitter,omitzero"`
	Loss    float64  `json:"loss,omitempty"` // share of packets that are lost and sent again
	Rate    int      `json:"rate,omitempty"` // bytes a second
}

// Faults of a way.
const (
	PathRefuse      = "refuse"      // a reset answers the first packet
	PathDrop        = "drop"        // nothing answers, ever
	PathUnreachable = "unreachable" // a router says that there is no way
	PathBlocked     = "blocked"     // this machine's own firewall says no
	PathReset       = "reset"       // the connection stands, then is torn down
	PathClose       = "close"       // the same with an orderly end
	PathStall       = "stall"       // the same, and nothing more is heard
	PathOpen        = "open"        // none: an exception from the faults that follow in the list
)

// When a connection that stands is broken.
const (
	WhenAccept = "accept" // at once
	WhenHello  = "hello"  // when the client has spoken
	WhenName   = "name"   // when the client has named one of certain hosts, in SNI or Host
	WhenBody   = "body"   // when the server has sent some bytes
)

func (p *Path) check() error {
	bad := func(what string) error { return fmt.Errorf("path to %q: %s", p.To, what) }
	later := p.Fault == PathReset || p.Fault == PathClose || p.Fault == PathStall
	switch {
	case !slices.Contains([]string{"", PathRefuse, PathDrop, PathUnreachable, PathBlocked, PathReset, PathClose, PathStall, PathOpen}, p.Fault):
		return bad("unknown fault " + p.Fault)
	case !slices.Contains([]string{"", WhenAccept, WhenHello, WhenName, WhenBody}, p.When):
		return bad("unknown moment " + p.When)
	case p.When != "" && !later:
		return bad("a moment without reset, close or stall")
	case p.When == WhenName && len(p.Names) == 0:
		return bad("no names")
	case p.When == WhenBody && p.After <= 0:
		return bad("after how many bytes?")
	case p.Loss < 0 || p.Loss > 1 || p.Share < 0 || p.Share > 1:
		return bad("a share is between 0 and 1")
	}
	return nil
}

// plan is what one connection will meet.
type plan struct {
	up, down line
	fault    string // instead of a connection
	when     string // moment at which the connection is broken by its far end
	atEnd    string // how
	words    []string
}

func (p *plan) names(said string) bool {
	return slices.ContainsFunc(p.words, func(word string) bool { return wild(word, said) })
}

// plan puts together what a connection of a party to an address meets.
func (w *World) plan(from *party, to netip.AddrPort, udp bool) plan {
	var out plan
	decided, tunnelled := false, from == w.machine && w.own != nil && w.own.tunnelled()
	for i := range w.spec.Paths {
		p := &w.spec.Paths[i]
		if p.UDP != udp || !(p.From == "*" || strings.EqualFold(p.From, from.name) || p.From == fromTunnel && tunnelled) || !w.leadsTo(p.To, to) {
			continue
		}
		if p.Share > 0 && w.chance() >= p.Share || !w.strike(&p.Times) {
			continue
		}
		out.up.latency += time.Duration(p.Latency)
		out.down.latency += time.Duration(p.Latency)
		out.up.jitter += time.Duration(p.Jitter)
		out.down.jitter += time.Duration(p.Jitter)
		l := &out.down
		if p.Out {
			l = &out.up
		}
		l.loss = 1 - (1-l.loss)*(1-p.Loss)
		if !p.Out { // the first packets of both sides are lost alike
			out.up.loss = 1 - (1-out.up.loss)*(1-p.Loss)
		}
		l.segment = least(l.segment, p.MTU)
		l.rate = least(l.rate, p.Rate)
		if p.Fault == "" || decided {
			continue
		}
		decided = true
		switch p.Fault {
		case PathReset, PathClose, PathStall:
			if p.When != WhenBody {
				out.when, out.atEnd, out.words = p.When, p.Fault, p.Names
				if p.When == "" {
					out.when = WhenAccept
				}
				break
			}
			switch p.Fault {
			case PathReset:
				out.down.reset = p.After
			case PathClose:
				out.down.end = p.After
			case PathStall:
				out.down.stall = p.After
			}
		default:
			out.fault = p.Fault
		}
	}
	return out
}

// least returns the smaller of two limits; zero is none.
func least(a, b int) int {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// connectUDP makes the near end of an exchange of packets.
func (w *World) connectUDP(from *party, source netip.Addr, to netip.AddrPort, p plan) (net.Conn, error) {
	src := netip.AddrPortFrom(source, w.nextPort())
	st := w.sites[to]
	silent := p.fault != "" || st == nil || st.packet == nil
	c := newPacketConn(src, to, p.up, w.chance, w.spawn, func(b []byte) []byte {
		if silent {
			return nil
		}
		w.see(Seen{Kind: "packet", From: from.name, Source: src, Server: to, Site: st.name, Received: int64(len(b))})
		return st.packet(src, b)
	})
	return c, nil
}

// firstBytes bounds what is overheard: a ClientHello, or the head of a request.
const firstBytes = 16 << 10

// overhear reads until a ClientHello or a request's head is complete, or it is clear
// that neither comes.
func overhear(c net.Conn) ([]byte, error) {
	var got []byte
	buf := make([]byte, 4096)
	for len(got) < firstBytes {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			return got, err
		}
		if complete(got) {
			break
		}
	}
	return got, nil
}

func complete(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	if b[0] == 0x16 { // a TLS record with a handshake: RFC 8446 section 5.1
		return len(b) >= 5 && len(b) >= 5+(int(b[3])<<8|int(b[4]))
	}
	if b[0] < 'A' || b[0] > 'Z' {
		return true
	}
	return strings.Contains(string(b), "\r\n\r\n")
}

// nameIn returns the host that a client names in its first bytes: in the server name
// of a ClientHello, in the target of CONNECT, or in Host.
func nameIn(b []byte) string {
	if len(b) > 0 && b[0] == 0x16 {
		return serverName(b)
	}
	head, _, _ := strings.Cut(string(b), "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	if target, ok := strings.CutPrefix(lines[0], "CONNECT "); ok {
		target, _, _ = strings.Cut(target, " ")
		host, _ := cutPort(target)
		return host
	}
	for _, l := range lines[1:] {
		name, value, ok := strings.Cut(l, ":")
		if ok && strings.EqualFold(strings.TrimSpace(name), "Host") {
			host, _ := cutPort(strings.TrimSpace(value))
			return host
		}
	}
	return ""
}

// serverName reads the SNI of a ClientHello.
func serverName(b []byte) string {
	var name string
	stop := errors.New("enough")
	server := tls.Server(&oneWay{in: b}, &tls.Config{GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		name = h.ServerName
		return nil, stop
	}})
	_ = server.Handshake()
	return name
}

// oneWay is a connection that holds what was said and takes no answer.
type oneWay struct {
	net.Conn // nil: nothing else is called
	in       []byte
}

func (o *oneWay) Read(p []byte) (int, error) {
	if len(o.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, o.in)
	o.in = o.in[n:]
	return n, nil
}
func (o *oneWay) Write(p []byte) (int, error) { return len(p), nil }
func (o *oneWay) Close() error                { return nil }
func (o *oneWay) SetDeadline(time.Time) error { return nil }
func (o *oneWay) SetWriteDeadline(time.Time) error {
	return nil
}
