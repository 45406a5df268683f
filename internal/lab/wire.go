package lab

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// window is how many bytes one way of a connection holds before its writer has to
// wait: what the buffers of both systems hold of a real one.
const window = 64 << 10

// Retransmission times of TCP as Windows has them by default: a lost first packet is
// sent again after one second, then two; a lost later one after at least 300 ms.
// learn.microsoft.com: TCP/IP and NBT configuration parameters.
const (
	synAgain     = time.Second
	segmentAgain = 300 * time.Millisecond
)

// line is how one direction of a connection behaves. The zero value is a perfect one.
type line struct {
	latency time.Duration // each byte is that much later
	jitter  time.Duration // and up to that much more, in order
	rate    int           // bytes a second; 0: unlimited
	loss    float64       // share of writes that have to be sent again
	segment int           // a packet larger than this vanishes, and with it all that follows: an MTU black hole
	packet  int           // no packet is larger: what the two ends agreed on; 0: a packet is a write
	stall   int64         // so many bytes get through, then nothing
	reset   int64         // so many bytes get through, then both sides are torn down
	end     int64         // so many bytes get through, then the reader sees an orderly end
}

// conn is one end of a TCP-like connection that lives in memory. Unlike net.Pipe it
// has buffers, addresses, half-closes, resets, and lines with faults; time and
// blocking are visible to testing/synctest.
type conn struct {
	in, out       *half
	local, remote netip.AddrPort
	once          sync.Once
	closed        func() // told once, when this end is closed or reset
}

// pair makes a connection: what a writes travels over up, what b writes over down.
func pair(a, b netip.AddrPort, up, down line, random func() float64) (*conn, *conn) {
	u, d := newHalf(up, random), newHalf(down, random)
	u.other, d.other = d, u
	return &conn{in: d, out: u, local: a, remote: b}, &conn{in: u, out: d, local: b, remote: a}
}

// half carries bytes one way.
type half struct {
	mu     sync.Mutex
	change sync.Cond
	line   line
	random func() float64
	other  *half // the way back

	queue    []segment
	held     int       // bytes in queue
	passed   int64     // bytes that were ever queued
	free     time.Time // when the line has sent what it was given
	last     time.Time // when the last byte arrives: order is kept
	stalled  bool      // what is written now goes nowhere
	ended    bool      // no more will be written
	deaf     bool      // nobody reads any more
	torn     bool      // reset
	lost     func()    // told once when it stalls; nil: nobody is
	readBy   deadline
	writeBy  deadline
	swallows int // bytes lost in a black hole; they fill the writer's buffer
}

type segment struct {
	data []byte
	due  time.Time
}

type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) over() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func newHalf(l line, random func() float64) *half {
	h := &half{line: l, random: random}
	h.change.L = &h.mu
	if random == nil {
		h.random = rand.Float64
	}
	return h
}

func (h *half) wake() {
	h.mu.Lock()
	h.change.Broadcast()
	h.mu.Unlock()
}

// wait sleeps until something changes, at the latest at that time.
func (h *half) wait(until time.Time) {
	if until.IsZero() {
		h.change.Wait()
		return
	}
	t := time.AfterFunc(time.Until(until), h.wake)
	h.change.Wait()
	t.Stop()
}

func (h *half) setDeadline(d *deadline, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = at
	if !at.IsZero() {
		if left := time.Until(at); left > 0 {
			d.timer = time.AfterFunc(left, h.wake)
		}
	}
	h.change.Broadcast()
}

var errReset = errors.New("reset") // turned into the system's own error by conn

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.deaf:
			return 0, net.ErrClosed
		case h.torn:
			return 0, errReset
		case h.readBy.over():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		}
		if len(h.queue) == 0 {
			if h.ended && !h.stalled {
				return 0, io.EOF
			}
			h.wait(time.Time{})
			continue
		}
		if s := &h.queue[0]; time.Now().Before(s.due) {
			h.wait(s.due)
			continue
		}
		n := 0
		for len(h.queue) > 0 && n < len(p) && !time.Now().Before(h.queue[0].due) {
			s := &h.queue[0]
			k := copy(p[n:], s.data)
			n += k
			if s.data = s.data[k:]; len(s.data) == 0 {
				h.queue = h.queue[1:]
			}
		}
		h.held -= n
		h.change.Broadcast()
		return n, nil
	}
}

func (h *half) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.line.segment > 0 && (h.line.packet == 0 || h.line.packet > h.line.segment) && len(p) > h.line.segment {
		h.swallow()
	}
	n := 0
	for {
		switch {
		case h.ended:
			return n, net.ErrClosed
		case h.torn, h.deaf:
			return n, errReset
		case h.writeBy.over():
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, nil
		}
		room := window - h.held - h.swallows
		if room <= 0 {
			h.wait(time.Time{})
			continue
		}
		piece := p[:min(room, len(p))]
		if h.line.rate > 0 { // small pieces, so that a slow line looks like one
			piece = piece[:min(len(piece), max(512, h.line.rate/20))]
		}
		p, n = p[len(piece):], n+len(piece)
		h.put(piece)
	}
}

// swallow has all that is written from now on vanish. The lock is held.
func (h *half) swallow() {
	if h.stalled = true; h.lost != nil {
		h.lost()
		h.lost = nil
	}
}

// put queues bytes as the line has it. The lock is held.
func (h *half) put(b []byte) {
	l := h.line
	if h.stalled {
		h.swallows += len(b)
		return
	}
	for _, stop := range []struct {
		at int64
		do func()
	}{
		{l.stall, h.swallow},
		{l.end, func() { h.ended = true }},
		{l.reset, nil},
	} {
		if stop.at <= 0 || h.passed+int64(len(b)) < stop.at {
			continue
		}
		lost := h.passed + int64(len(b)) - stop.at
		b = b[:len(b)-int(lost)]
		if stop.do != nil {
			stop.do()
			h.swallows += int(lost)
			continue
		}
		h.queueUp(b)
		// The reader gets what arrived before the reset, then the reset.
		time.AfterFunc(time.Until(h.last)+time.Millisecond, h.tear)
		h.stalled = true
		return
	}
	h.queueUp(b)
}

func (h *half) queueUp(b []byte) {
	if len(b) == 0 {
		h.change.Broadcast()
		return
	}
	l, now := h.line, time.Now()
	if h.free.Before(now) {
		h.free = now
	}
	if l.rate > 0 {
		h.free = h.free.Add(time.Duration(len(b)) * time.Second / time.Duration(l.rate))
	}
	due := h.free.Add(l.latency)
	if l.jitter > 0 {
		due = due.Add(time.Duration(h.random() * float64(l.jitter)))
	}
	due = due.Add(resend(l.loss, segmentAgain, h.random))
	if due.Before(h.last) {
		due = h.last
	}
	h.last = due
	h.queue = append(h.queue, segment{append([]byte(nil), b...), due})
	h.held += len(b)
	h.passed += int64(len(b))
	h.change.Broadcast()
}

// resend is how much later a packet arrives that is lost with the given chance each
// time it is sent; after six times it gets through.
func resend(loss float64, first time.Duration, random func() float64) time.Duration {
	var late time.Duration
	for again, i := first, 0; i < 6 && loss > 0 && random() < loss; i++ {
		late += again
		again *= 2
	}
	return late
}

// tear resets both directions.
func (h *half) tear() {
	for _, x := range []*half{h, h.other} {
		x.mu.Lock()
		x.torn = true
		x.stopTimers()
		x.change.Broadcast()
		x.mu.Unlock()
	}
}

func (h *half) stopTimers() {
	for _, d := range []*deadline{&h.readBy, &h.writeBy} {
		if d.timer != nil {
			d.timer.Stop()
			d.timer = nil
		}
	}
}

func (h *half) mark(set func()) {
	h.mu.Lock()
	set()
	h.change.Broadcast()
	h.mu.Unlock()
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.in.read(p)
	return n, c.wrap("read", err)
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.out.write(p)
	return n, c.wrap("write", err)
}

// wrap gives an error the form that package net gives it.
func (c *conn) wrap(op string, err error) error {
	switch err {
	case nil, io.EOF:
		return err
	case errReset:
		err = os.NewSyscallError(op, errnoReset)
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// Close ends the connection. As in TCP, unread bytes make it a reset.
func (c *conn) Close() error {
	unread := false
	c.in.mark(func() {
		unread = c.in.held > 0 && !c.in.deaf
		c.in.deaf = true
		c.in.queue, c.in.held = nil, 0
		c.in.stopTimers()
	})
	c.out.mark(func() {
		c.out.ended = true
		c.out.stopTimers()
	})
	if unread {
		c.out.tearAfter()
	}
	c.leave()
	return nil
}

// tearAfter makes the reader see a reset once it has read what was sent.
func (h *half) tearAfter() {
	h.mark(func() {
		if h.held == 0 {
			h.torn = true
		}
	})
}

// CloseWrite tells the other side that no more will come.
func (c *conn) CloseWrite() error {
	c.out.mark(func() { c.out.ended = true })
	return nil
}

// Reset tears the connection down without ceremony.
func (c *conn) Reset() {
	c.in.tear()
	c.leave()
}

// giveUp ends this end's waiting so long after the line began to swallow what either end
// sends: nothing ever comes, and whoever plays a patient caller need not sit it out.
func (c *conn) giveUp(after time.Duration) {
	lost := func() { time.AfterFunc(after, func() { _ = c.SetDeadline(time.Now()) }) }
	for _, h := range []*half{c.in, c.out} {
		h.mark(func() {
			if h.lost = lost; h.stalled {
				h.swallow()
			}
		})
	}
}

func (c *conn) leave() {
	c.once.Do(func() {
		if c.closed != nil {
			c.closed()
		}
	})
}

func (c *conn) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }
func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

func (c *conn) SetDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readBy, t)
	c.out.setDeadline(&c.out.writeBy, t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readBy, t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writeBy, t)
	return nil
}

// packetConn is a UDP-like connection to one server: each packet written is answered,
// or not, by a function.
type packetConn struct {
	local, remote netip.AddrPort
	answer        func([]byte) []byte
	spawn         func(func())
	line          line
	random        func() float64

	h      *half // for its lock, its deadlines and its condition
	queue  []segment
	closed bool
	done   func()
	once   sync.Once
}

func newPacketConn(local, remote netip.AddrPort, l line, random func() float64, spawn func(func()), answer func([]byte) []byte) *packetConn {
	return &packetConn{local: local, remote: remote, answer: answer, spawn: spawn, line: l, random: random, h: newHalf(line{}, random)}
}

// packets is how many answers wait to be read; more are lost, as with UDP.
const packets = 64

func (c *packetConn) Write(p []byte) (int, error) {
	c.h.mu.Lock()
	if c.closed {
		c.h.mu.Unlock()
		return 0, c.wrap("write", net.ErrClosed)
	}
	c.h.mu.Unlock()
	if c.line.stall > 0 || c.random() < c.line.loss || c.line.segment > 0 && len(p) > c.line.segment {
		return len(p), nil
	}
	q := append([]byte(nil), p...)
	c.spawn(func() {
		reply := c.answer(q)
		if reply == nil || c.random() < c.line.loss || c.line.segment > 0 && len(reply) > c.line.segment {
			return
		}
		due := time.Now().Add(2*c.line.latency + time.Duration(c.random()*float64(c.line.jitter)))
		c.h.mark(func() {
			if len(c.queue) < packets {
				c.queue = append(c.queue, segment{reply, due})
			}
		})
	})
	return len(p), nil
}

func (c *packetConn) Read(p []byte) (int, error) {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, c.wrap("read", net.ErrClosed)
		case c.h.readBy.over():
			return 0, c.wrap("read", os.ErrDeadlineExceeded)
		}
		if len(c.queue) == 0 {
			c.h.wait(time.Time{})
			continue
		}
		if s := c.queue[0]; time.Now().Before(s.due) {
			c.h.wait(s.due)
			continue
		}
		n := copy(p, c.queue[0].data)
		c.queue = c.queue[1:]
		return n, nil
	}
}

// ReadFrom and WriteTo make it a [net.PacketConn], by which package net tells packets
// from streams.
func (c *packetConn) ReadFrom(p []byte) (int, net.Addr, error) {
	n, err := c.Read(p)
	return n, c.RemoteAddr(), err
}

// WriteTo sends to the one server that there is.
func (c *packetConn) WriteTo(p []byte, _ net.Addr) (int, error) { return c.Write(p) }

func (c *packetConn) wrap(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

func (c *packetConn) Close() error {
	c.h.mark(func() {
		c.closed = true
		c.queue = nil
		c.h.stopTimers()
	})
	c.once.Do(func() {
		if c.done != nil {
			c.done()
		}
	})
	return nil
}

func (c *packetConn) LocalAddr() net.Addr  { return net.UDPAddrFromAddrPort(c.local) }
func (c *packetConn) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.remote) }

func (c *packetConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

func (c *packetConn) SetReadDeadline(t time.Time) error {
	c.h.setDeadline(&c.h.readBy, t)
	return nil
}

func (c *packetConn) SetWriteDeadline(time.Time) error { return nil }

// overheard is a connection whose first bytes were read already.
type overheard struct {
	*conn
	first []byte
}

func (c *overheard) Read(p []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.conn.Read(p)
}
