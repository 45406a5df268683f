package lab

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Codes of SOCKS 5. RFC 1928 sections 3 to 6, RFC 1929.
const (
	socks5          = 5
	socksNoAuth     = 0
	socksPassword   = 2
	socksNoMethod   = 0xff
	socksConnect    = 1
	socksIPv4       = 1
	socksName       = 3
	socksIPv6       = 4
	socksOK         = 0
	socksFailed     = 1
	socksRefused    = 5
	socksNoCommand  = 7
	socksNoAddrType = 8
)

// serveSOCKS is the proxy for a client that speaks SOCKS 5.
func (p *proxy) serveSOCKS(v *visit, c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(reachTime))
	if !p.greetSOCKS(c) {
		return
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil || head[0] != socks5 {
		return
	}
	reply := func(code byte) {
		_, _ = c.Write([]byte{socks5, code, 0, socksIPv4, 0, 0, 0, 0, 0, 0})
	}
	host, ok := readSOCKSHost(c, head[3])
	if !ok {
		reply(socksNoAddrType)
		return
	}
	var port [2]byte
	if _, err := io.ReadFull(c, port[:]); err != nil {
		return
	}
	if head[1] != socksConnect {
		reply(socksNoCommand)
		return
	}
	to := net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(port[:]))))
	p.w.see(Seen{Kind: "request", From: v.from.name, Source: v.source, Server: v.server, Site: v.siteName(), Method: "SOCKS", Host: to})
	ctx, cancel := context.WithTimeout(p.w.ctx, reachTime)
	out, err := p.w.dial(ctx, p.party, "tcp", to)
	cancel()
	if err != nil {
		reply(socksRefused)
		return
	}
	defer out.Close()
	reply(socksOK)
	_ = c.SetDeadline(time.Time{})
	splice(c, out)
}

// greetSOCKS agrees on a way to sign in, and checks it.
func (p *proxy) greetSOCKS(c net.Conn) bool {
	var head [2]byte
	if _, err := io.ReadFull(c, head[:]); err != nil || head[0] != socks5 {
		return false
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(c, methods); err != nil {
		return false
	}
	want := byte(socksNoAuth)
	if len(p.spec.Auth) > 0 {
		want = socksPassword
	}
	for _, m := range methods {
		if m != want {
			continue
		}
		if _, err := c.Write([]byte{socks5, want}); err != nil {
			return false
		}
		return want == socksNoAuth || p.signInSOCKS(c)
	}
	_, _ = c.Write([]byte{socks5, socksNoMethod})
	return false
}

func (p *proxy) signInSOCKS(c net.Conn) bool {
	var parts [2]string
	var b [1]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return false
	}
	for i := range parts {
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return false
		}
		text := make([]byte, b[0])
		if _, err := io.ReadFull(c, text); err != nil {
			return false
		}
		parts[i] = string(text)
	}
	_, password, ok := p.auth.account("", parts[0])
	if !ok || password != parts[1] {
		_, _ = c.Write([]byte{1, socksFailed})
		return false
	}
	_, err := c.Write([]byte{1, socksOK})
	return err == nil
}

func readSOCKSHost(c net.Conn, kind byte) (string, bool) {
	n := map[byte]int{socksIPv4: 4, socksIPv6: 16}[kind]
	if kind == socksName {
		var b [1]byte
		if _, err := io.ReadFull(c, b[:]); err != nil {
			return "", false
		}
		n = int(b[0])
	}
	if n == 0 {
		return "", false
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		return "", false
	}
	if kind == socksName {
		return string(b), true
	}
	a, ok := netip.AddrFromSlice(b)
	return a.String(), ok
}
