package winhost

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"updoc/internal/host"
)

// Requests of a walk are passed to a process of another account and their
// exchanges back, over one connection: frames of a length, four bytes
// little-endian, and that much JSON. Many may be under way at once.

// Accounts of services. learn.microsoft.com: "Well-known SIDs".
const (
	sidSystem         = "S-1-5-18"
	sidNetworkService = "S-1-5-20"
)

// maxFrame bounds a frame; an exchange that keeps the largest body is 22 MiB of it.
const maxFrame = 32 << 20

// frame is one message. The service's first one is its greeting: ID 0, with the
// account that it runs as.
type frame struct {
	ID       uint64         `json:"id"`
	Account  string         `json:"account,omitempty"`  // greeting
	Request  *host.Request  `json:"request,omitempty"`  // to the service
	Cancel   bool           `json:"cancel,omitempty"`   // to the service: nobody waits any more
	Exchange *host.Exchange `json:"exchange,omitempty"` // from the service
	Err      string         `json:"err,omitempty"`      // from the service: nothing was tried
}

var (
	errFrame = errors.New("a message that makes no sense")
	errGone  = errors.New("the helper of the other account is gone")
)

func readFrame(r io.Reader) (frame, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxFrame {
		return frame{}, fmt.Errorf("%w: %d bytes", errFrame, n)
	}
	b, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err == nil && len(b) < int(n) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return frame{}, err
	}
	var f frame
	if err := json.Unmarshal(b, &f); err != nil {
		return frame{}, fmt.Errorf("%w: %w", errFrame, err)
	}
	return f, nil
}

// sender writes frames, one at a time.
type sender struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sender) send(f frame) error {
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("write a message: %w", err)
	}
	if len(b) > maxFrame {
		return fmt.Errorf("write a message: %w: %d bytes", errFrame, len(b))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.w.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

// maxUnderWay bounds the requests that a service makes at once.
const maxUnderWay = 64

// serveExchanges makes the requests that come over conn, until it ends. Whatever is
// under way then is stopped.
func serveExchanges(ctx context.Context, conn io.ReadWriter, account string, x host.Exchanger) error {
	ctx, stop := context.WithCancel(ctx)
	out := &sender{w: conn}
	if err := out.send(frame{Account: account}); err != nil {
		stop()
		return err
	}
	var (
		mu      sync.Mutex
		cancels = map[uint64]context.CancelFunc{}
		wg      sync.WaitGroup
		gate    = make(chan struct{}, maxUnderWay)
	)
	defer wg.Wait()
	defer stop()
	in := bufio.NewReader(conn)
	for {
		f, err := readFrame(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		mu.Lock()
		if f.Cancel {
			if cancel, ok := cancels[f.ID]; ok {
				cancel()
			}
			mu.Unlock()
			continue
		}
		if _, twice := cancels[f.ID]; f.Request == nil || f.ID == 0 || twice {
			mu.Unlock()
			return errFrame
		}
		one, cancel := context.WithCancel(ctx)
		cancels[f.ID] = cancel
		mu.Unlock()
		wg.Go(func() {
			defer func() {
				cancel()
				mu.Lock()
				delete(cancels, f.ID)
				mu.Unlock()
			}()
			select {
			case gate <- struct{}{}:
				defer func() { <-gate }()
			case <-one.Done():
				return
			}
			answer := frame{ID: f.ID}
			if ex, err := x.Exchange(one, *f.Request); err != nil {
				answer.Err = err.Error()
			} else {
				answer.Exchange = &ex
			}
			_ = out.send(answer) // a connection that broke is seen by the reader
		})
	}
}

// remote is the other end: an Exchanger whose requests are made elsewhere.
type remote struct {
	account string
	out     sender
	gone    chan struct{} // closed when the connection has ended

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan frame
}

// newRemote reads the greeting and then the answers, until conn ends.
func newRemote(conn io.ReadWriter) (*remote, error) {
	in := bufio.NewReader(conn)
	hello, err := readFrame(in)
	if err != nil {
		return nil, fmt.Errorf("greeting of the other account: %w", err)
	}
	if hello.ID != 0 || hello.Account == "" {
		return nil, fmt.Errorf("greeting of the other account: %w", errFrame)
	}
	r := &remote{account: hello.Account, out: sender{w: conn}, gone: make(chan struct{}), waiting: map[uint64]chan frame{}}
	go func() {
		defer close(r.gone)
		for {
			f, err := readFrame(in)
			if err != nil {
				return
			}
			r.mu.Lock()
			c := r.waiting[f.ID]
			delete(r.waiting, f.ID)
			r.mu.Unlock()
			if c != nil {
				c <- f // has room for one, and gets one
			}
		}
	}()
	return r, nil
}

// Exchange implements [host.Exchanger].
func (r *remote) Exchange(ctx context.Context, req host.Request) (host.Exchange, error) {
	if err := ctx.Err(); err != nil {
		return host.Exchange{}, err
	}
	answer := make(chan frame, 1)
	r.mu.Lock()
	r.next++
	id := r.next
	r.waiting[id] = answer
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		delete(r.waiting, id)
		r.mu.Unlock()
	}()
	if err := r.out.send(frame{ID: id, Request: &req}); err != nil {
		return host.Exchange{}, fmt.Errorf("request %s: %w: %w", req.ID, errGone, err)
	}
	select {
	case f := <-answer:
		if f.Exchange == nil {
			return host.Exchange{}, fmt.Errorf("request %s as %s: %s", req.ID, r.account, f.Err)
		}
		return *f.Exchange, nil
	case <-r.gone:
		return host.Exchange{}, fmt.Errorf("request %s as %s: %w", req.ID, r.account, errGone)
	case <-ctx.Done():
		_ = r.out.send(frame{ID: id, Cancel: true}) // it answers in its own time otherwise
		return host.Exchange{}, ctx.Err()
	}
}
