package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

var (
	here  = netip.MustParseAddrPort("192.0.2.20:50000")
	there = netip.MustParseAddrPort("198.51.100.10:80")
)

// half the time: a random number that never loses.
func never() float64 { return 0.999 }

func TestWireIsAConnection(t *testing.T) {
	a, b := pair(here, there, line{}, line{}, never)
	if a.LocalAddr().String() != here.String() || a.RemoteAddr().String() != there.String() || b.LocalAddr().String() != there.String() {
		t.Errorf("addresses: %v %v %v", a.LocalAddr(), a.RemoteAddr(), b.LocalAddr())
	}
	sent := newStore(1).bytes("wire", 300_000)
	go func() {
		_, _ = a.Write(sent)
		_ = a.CloseWrite()
	}()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	// The other way is still open.
	if _, err := b.Write([]byte("bye")); err != nil {
		t.Error(err)
	}
	_ = b.Close()
	if got, err := io.ReadAll(a); err != nil || string(got) != "bye" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after CloseWrite: %v", err)
	}
	_ = a.Close()
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}
}

func TestWireReset(t *testing.T) {
	a, b := pair(here, there, line{}, line{}, never)
	b.Reset()
	var oe *net.OpError
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, errnoReset) || !errors.As(err, &oe) || oe.Op != "read" {
		t.Errorf("read: %v", err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, errnoReset) {
		t.Errorf("write: %v", err)
	}
}

func TestWireDeadlines(t *testing.T) {
	a, _ := pair(here, there, line{}, line{}, never)
	_ = a.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, err := a.Read(make([]byte, 1))
	var ne net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("read: %v", err)
	}
	_ = a.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
	n, err := a.Write(make([]byte, 1<<20)) // nobody reads
	if n != window || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %d, %v", n, err)
	}
	_ = a.SetDeadline(time.Time{})
	done := make(chan error)
	go func() { _, err := a.Read(make([]byte, 1)); done <- err }()
	time.Sleep(10 * time.Millisecond)
	_ = a.SetReadDeadline(time.Unix(1, 0)) // as net/http does to stop a read
	if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past deadline: %v", err)
	}
}

// Slow lines in no time: the clock of the test is not that of the wall.
func TestWireTimes(t *testing.T) {
	for _, tt := range []struct {
		name     string
		line     line
		bytes    int
		min, max time.Duration
	}{
		{"perfect", line{}, 100_000, 0, 0},
		{"latency", line{latency: 80 * time.Millisecond}, 10, 80 * time.Millisecond, 80 * time.Millisecond},
		{"rate", line{rate: 10_000}, 50_000, 5 * time.Second, 5100 * time.Millisecond},
		{"both", line{latency: time.Second, rate: 1000}, 2000, 3 * time.Second, 3100 * time.Millisecond},
		{"jitter", line{latency: time.Second, jitter: time.Second}, 10, 1990 * time.Millisecond, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := pair(here, there, tt.line, line{}, never)
				began := time.Now()
				go func() {
					_, _ = a.Write(make([]byte, tt.bytes))
					_ = a.CloseWrite()
				}()
				n, err := io.Copy(io.Discard, b)
				if took := time.Since(began); err != nil || n != int64(tt.bytes) || took < tt.min || took > tt.max {
					t.Errorf("%d bytes in %v, %v; want %d in %v to %v", n, took, err, tt.bytes, tt.min, tt.max)
				}
			})
		})
	}
}

func TestWireLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		draws := []float64{0.1, 0.1, 0.9} // lost, lost, through
		a, b := pair(here, there, line{loss: 0.5}, line{}, func() float64 {
			d := draws[0]
			draws = append(draws[1:], d)
			return d
		})
		began := time.Now()
		_, _ = a.Write([]byte("x"))
		_, err := b.Read(make([]byte, 1))
		if took := time.Since(began); err != nil || took != 3*segmentAgain {
			t.Errorf("%v, %v", took, err)
		}
	})
}

func TestWireLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			name  string
			line  line
			write []int
			reads int
			want  error
		}{
			{"black hole passes small pieces", line{segment: 1400}, []int{500, 1400}, 1900, os.ErrDeadlineExceeded},
			{"black hole", line{segment: 1400}, []int{500, 1401, 10}, 500, os.ErrDeadlineExceeded},
			{"stall", line{stall: 1000}, []int{600, 600, 600}, 1000, os.ErrDeadlineExceeded},
			{"reset", line{reset: 1000}, []int{600, 600}, 1000, errnoReset},
			{"end", line{end: 1000}, []int{600, 600}, 1000, nil},
		} {
			a, b := pair(here, there, line{}, tt.line, never)
			for _, n := range tt.write {
				_, _ = b.Write(make([]byte, n))
			}
			_ = a.SetReadDeadline(time.Now().Add(time.Minute))
			got, err := io.ReadAll(a)
			if len(got) != tt.reads || !errors.Is(err, tt.want) {
				t.Errorf("%s: %d bytes, %v; want %d, %v", tt.name, len(got), err, tt.reads, tt.want)
			}
		}
	})
}

// The whole world runs on a clock that does not wait: a dropped connection takes its
// twenty seconds in no time.
func TestWorldInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec, err := ParseWorld([]byte(`{"paths":[{"to":"slscr.update.microsoft.com:443","fault":"drop"},{"to":"fe2cr.update.microsoft.com","mtu":1000},{"to":"www.example.com","latency":"300ms"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		w, err := Open(spec)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		c := browser(t, w, "")
		c.Timeout = 30 * time.Second
		defer c.CloseIdleConnections()
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if _, err := w.DialContext(ctx, "tcp", "slscr.update.microsoft.com:443"); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 20*time.Second {
			t.Errorf("drop: %v after %v", err, time.Since(began))
		}
		began = time.Now()
		if _, err := do(t, c, "GET", "https://fe2cr.update.microsoft.com/", nil, ""); err == nil || time.Since(began) < 10*time.Second {
			t.Errorf("black hole: %v after %v", err, time.Since(began))
		}
		began = time.Now()
		g := get(t, c, "http://www.example.com/")
		if took := time.Since(began); g.status != 200 || took != 1200*time.Millisecond { // two there and back
			t.Errorf("latency: %d after %v", g.status, took)
		}
	})
}

func TestBrokenIPv6(t *testing.T) {
	w := open(t, `{"paths":[{"to":"::/0","fault":"drop"}]}`)
	for addr, want := range map[string]bool{"198.51.100.10:443": true, "[2001:db8:100::a]:443": false} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		c, err := w.DialContext(ctx, "tcp", addr)
		cancel()
		if (err == nil) != want {
			t.Errorf("%s: %v", addr, err)
		}
		if c != nil {
			_ = c.Close()
		}
	}
	w = open(t, `{"machine":{"addresses":["192.0.2.20"]}}`)
	if _, err := w.DialContext(t.Context(), "tcp", "[2001:db8:100::a]:443"); !errors.Is(err, errnoUnreachable) {
		t.Errorf("no IPv6 at all: %v", err)
	}
}

func TestLoopback(t *testing.T) {
	w := open(t, `{"proxies":[{"name":"127.0.0.1","port":9050}]}`)
	if _, err := w.DialContext(t.Context(), "tcp", "127.0.0.1:8118"); !errors.Is(err, errnoRefused) {
		t.Errorf("a dead local proxy: %v", err)
	}
	if g := get(t, browser(t, w, "http://127.0.0.1:9050"), slsURL); g.status != 200 {
		t.Errorf("a living one: %d", g.status)
	}
	if _, err := w.DialContext(t.Context(), "tcp", "0.0.0.0:80"); !errors.Is(err, errnoSunk) {
		t.Errorf("sunk: %v", err)
	}
}

// A share of the connections fails, the same ones for the same seed.
func TestFlaky(t *testing.T) {
	run := func() (out string) {
		w := open(t, `{"seed":3,"paths":[{"to":"www.example.com","fault":"refuse","share":0.3}]}`)
		for range 60 {
			c, err := w.DialContext(t.Context(), "tcp", "203.0.113.10:80")
			if err != nil {
				out += "x"
				continue
			}
			out += "."
			_ = c.Close()
		}
		return out
	}
	a, b := run(), run()
	if n := bytes.Count([]byte(a), []byte("x")); a != b || n < 8 || n > 30 {
		t.Errorf("%s\n%s", a, b)
	}
}

func TestPeak(t *testing.T) {
	w := open(t, `{}`)
	var conns []net.Conn
	for range 7 {
		c, err := w.DialContext(t.Context(), "tcp", "www.example.com:80")
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	if peak, now := w.Peak(); peak != 7 || now != 7 {
		t.Errorf("%d, %d", peak, now)
	}
	for _, c := range conns {
		_ = c.Close()
	}
	if peak, now := w.Peak(); peak != 7 || now != 0 {
		t.Errorf("%d, %d", peak, now)
	}
}

// A client of SNTP by the letters of RFC 4330.
func TestTime(t *testing.T) {
	w := open(t, `{"time":"2026-03-04T05:06:07Z","clocks":[{"host":"pool.ntp.org","ahead":"2h"},{"host":"www.example.net","ahead":"-48h"}],"paths":[{"to":"time.example.org:123","udp":true,"fault":"drop"}]}`)
	ask := func(name string) (time.Time, error) {
		c, err := w.DialContext(t.Context(), "udp", name+":123")
		if err != nil {
			return time.Time{}, err
		}
		defer c.Close()
		q := make([]byte, 48)
		q[0] = 4<<3 | 3
		copy(q[40:], "original")
		_, _ = c.Write(q)
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		a := make([]byte, 100)
		n, err := c.Read(a)
		if err != nil {
			return time.Time{}, err
		}
		if n != 48 || a[0] != 4<<3|4 || string(a[24:32]) != "original" {
			t.Errorf("%s: %x", name, a[:n])
		}
		s := binary.BigEndian.Uint64(a[40:])
		return time.Unix(int64(s>>32)-2208988800, int64((s&0xffffffff)*1e9>>32)), nil
	}
	near := func(name string, got, want time.Time, err error) {
		if err != nil || got.Sub(want).Abs() > 5*time.Second {
			t.Errorf("%s: %v, %v; want %v", name, got, err, want)
		}
	}
	got, err := ask("time.windows.com")
	near("right", got, w.Now(), err)
	got, err = ask("pool.ntp.org")
	near("liar", got, w.Now().Add(2*time.Hour), err)
	if _, err := ask("time.example.org"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("silent: %v", err)
	}
	c := browser(t, w, "")
	for host, ahead := range map[string]time.Duration{"www.example.com": 0, "www.example.net": -48 * time.Hour} {
		got, err := time.Parse(time.RFC1123, get(t, c, "http://"+host+"/").header.Get("Date"))
		near(host, got, w.Now().Add(ahead), err)
	}
}

// The end of a world ends what is under way.
func TestCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, `{"paths":[{"to":"www.example.org","fault":"drop"}],"troubles":[{"host":"www.example.com","body":"slow"}]}`)
		done := make(chan error, 2)
		c, err := w.DialContext(t.Context(), "tcp", "www.example.com:80")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
		go func() { _, err := io.Copy(io.Discard, c); done <- err }()
		go func() { _, err := w.DialContext(t.Context(), "tcp", "www.example.org:80"); done <- err }()
		synctest.Wait() // both are under way
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		for range 2 {
			select {
			case err := <-done:
				if err == nil {
					t.Error("it went well")
				}
			default:
				t.Fatal("something goes on")
			}
		}
		if _, err := w.DialContext(t.Context(), "tcp", "www.example.com:80"); err == nil {
			t.Error("a closed world connects")
		}
	})
}

func TestSpecMistakes(t *testing.T) {
	for _, spec := range []string{
		`{"path":[]}`, `{} {}`, `[`,
		`{"paths":[{"fault":"refused"}]}`, `{"paths":[{"fault":"reset","when":"later"}]}`, `{"paths":[{"when":"hello"}]}`, `{"paths":[{"fault":"reset","when":"name"}]}`, `{"paths":[{"loss":3}]}`,
		`{"lookups":[{"fault":"x"}]}`, `{"lookups":[{"fault":"lie"}]}`,
		`{"certificates":[{"fault":"old"}]}`, `{"troubles":[{"body":"?"}]}`, `{"troubles":[{"status":7}]}`, `{"troubles":[{"on":"/x","soap":"ServerBusy"}]}`,
		`{"content":[{"fault":"?"}]}`, `{"proxies":[{"name":"p.example","auth":["Kerberos"]}]}`, `{"proxies":[{"name":"p.example","rules":[{"do":"?"}]}]}`,
		`{"proxies":[{"name":"p.example"},{"name":"p.example"}]}`, `{"middle":[{"portal":"?"}]}`, `{"machine":{"clock":"soon"}}`,
	} {
		s, err := ParseWorld([]byte(spec))
		if err == nil {
			var w *World
			if w, err = Open(s); err == nil {
				_ = w.Close()
			}
		}
		if err == nil {
			t.Errorf("%s is accepted", spec)
		}
	}
}
