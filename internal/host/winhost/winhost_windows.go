package winhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// Host is the Windows that updoc runs on. It is safe for concurrent use.
type Host struct {
	// Progress, if not nil, is told what long work is doing. It is set before the
	// host is used and called from the goroutine that does the work.
	Progress func(Progress)

	places places
	limits limits
	com    workers // what may be at COM at once

	mu     sync.Mutex
	extra  map[string]host.File // files that stand elsewhere than the evidence: exported event logs
	gaps   map[string]string    // what was found and could not be read, and why
	traced map[string]bool      // traces whose events are in the WindowsUpdate.log that was made of them, lower case
	closes []func() error
	logs   func() ([]host.File, error) // exports the event logs once
}

// Open opens this machine. It needs no elevation: what an account may not read is
// answered with host.ErrDenied.
func Open(ctx context.Context) (*Host, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p, err := findPlaces()
	if err != nil {
		return nil, fmt.Errorf("open this machine: %w", err)
	}
	h := &Host{places: p, limits: limits{start: startLimit, stop: stopLimit}, extra: map[string]host.File{}, gaps: map[string]string{}, com: make(workers, maxWorkers)}
	h.logs = sync.OnceValues(func() ([]host.File, error) { return h.eventLogs(context.WithoutCancel(ctx)) })
	return h, nil
}

// Close removes what was exported for reading.
func (h *Host) Close() error {
	h.mu.Lock()
	closes := h.closes
	h.closes = nil
	h.mu.Unlock()
	var errs []error
	for _, c := range closes {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// onClose has f called by Close.
func (h *Host) onClose(f func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closes = append(h.closes, f)
}

// Elevated reports whether this process has the rights of an administrator.
func (h *Host) Elevated() bool { return windows.GetCurrentProcessToken().IsElevated() }

// question answers what has a name of its own. Its value is marshalled as JSON.
type question func(ctx context.Context, h *Host, args map[string]string) (any, error)

// Ask answers the questions of questions(); any other was never asked of a live
// machine and is host.ErrNotRecorded.
func (h *Host) Ask(ctx context.Context, q host.Question) (host.Answer, error) {
	ask, ok := questions()[q.Name]
	if !ok {
		return host.Answer{}, fmt.Errorf("ask %s: %w", q.Name, host.ErrNotRecorded)
	}
	v, err := ask(ctx, h, q.Args)
	if err != nil {
		return host.Answer{}, fmt.Errorf("ask %s: %w", q.Name, err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return host.Answer{}, fmt.Errorf("ask %s: %w", q.Name, err)
	}
	return host.Answer{JSON: b, Source: "live " + q.Name}, nil
}
