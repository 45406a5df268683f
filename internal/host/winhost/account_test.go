package winhost

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"updoc/internal/host"
)

// echo answers with the request's own address, waits where it says so, and refuses.
type echo struct{ stopped chan string }

func (e echo) Exchange(ctx context.Context, r host.Request) (host.Exchange, error) {
	switch {
	case strings.Contains(r.URL, "wait"):
		<-ctx.Done()
		e.stopped <- r.URL
		return host.Exchange{}, ctx.Err()
	case strings.Contains(r.URL, "refuse"):
		return host.Exchange{}, errAddress
	}
	return host.Exchange{Request: r, Status: 200, Body: []byte(r.URL), Hops: []host.Hop{{Kind: host.HopTCP, Target: "192.0.2.7:443", Took: time.Second}}}, nil
}

// pair serves one end of a connection and returns the other.
func pair(t *testing.T, x host.Exchanger) (*remote, net.Conn, chan error) {
	t.Helper()
	here, there := net.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- serveExchanges(context.Background(), there, sidSystem, x)
		_ = there.Close()
	}()
	r, err := newRemote(here)
	if err != nil {
		t.Fatal(err)
	}
	return r, here, served
}

func TestRemote(t *testing.T) {
	defer goleak.VerifyNone(t)
	r, conn, served := pair(t, echo{})
	if r.account != sidSystem {
		t.Errorf("account %q", r.account)
	}
	errs := make(chan error)
	for i := range 100 {
		go func() {
			u := fmt.Sprintf("http://a.example/%d", i)
			ex, err := r.Exchange(t.Context(), host.Request{URL: u, Header: []host.Field{{Name: "X-y", Value: "z"}}})
			if err == nil && (string(ex.Body) != u || ex.Hops[0].Took != time.Second || ex.Request.Header[0].Name != "X-y") {
				err = fmt.Errorf("%s: %+v", u, ex)
			}
			errs <- err
		}()
	}
	for range 100 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if _, err := r.Exchange(t.Context(), host.Request{URL: "refuse"}); err == nil || !strings.Contains(err.Error(), errAddress.Error()) {
		t.Error(err)
	}
	_ = conn.Close()
	if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "closed") {
		t.Error(err)
	}
	if _, err := r.Exchange(t.Context(), host.Request{URL: "x"}); !errors.Is(err, errGone) {
		t.Error(err)
	}
}

// Who stops waiting stops the request on the other side.
func TestRemoteCancelled(t *testing.T) {
	defer goleak.VerifyNone(t)
	x := echo{stopped: make(chan string, 2)}
	r, conn, served := pair(t, x)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := r.Exchange(ctx, host.Request{URL: "wait 1"}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := <-x.stopped; got != "wait 1" {
		t.Error(got)
	}
	// And the end of the connection stops everything.
	lost := make(chan error)
	go func() {
		_, err := r.Exchange(t.Context(), host.Request{URL: "wait 2"})
		lost <- err
	}()
	time.Sleep(20 * time.Millisecond)
	_ = conn.Close()
	if got := <-x.stopped; got != "wait 2" {
		t.Error(got)
	}
	if err := <-lost; !errors.Is(err, errGone) {
		t.Error(err)
	}
	<-served
}

func FuzzFrame(f *testing.F) {
	var b bytes.Buffer
	_ = (&sender{w: &b}).send(frame{ID: 7, Request: &host.Request{URL: "http://a.example/"}})
	f.Add(b.Bytes())
	f.Add([]byte{255, 255, 255, 255, '{'})
	f.Add([]byte{2, 0, 0, 0, '{', '}'})
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := readFrame(bytes.NewReader(in))
		if err != nil {
			return
		}
		if n := binary.LittleEndian.Uint32(in); int(n) > len(in)-4 {
			t.Fatalf("%+v out of %d bytes", got, len(in))
		}
		var b bytes.Buffer
		if err := (&sender{w: &b}).send(got); err != nil {
			t.Fatal(err)
		}
	})
}
