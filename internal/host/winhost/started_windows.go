package winhost

import (
	"context"
	"time"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// Started is when this Windows was started, by its own clock: the ticks since then
// also count while the machine sleeps (learn.microsoft.com: "GetTickCount64"). With
// fast startup a shutdown is none and only a restart counts, since the kernel is
// put back as it was.
func (h *Host) Started(ctx context.Context) (time.Time, error) {
	return time.Now().Add(-windows.DurationSinceBoot()), ctx.Err()
}

// Try implements [host.Agent] by the update agent of this machine.
func (h *Host) Try(ctx context.Context, a host.Attempt) (host.Outcome, error) {
	return h.Agent().Try(ctx, a)
}

// Watch has f told what long work is doing, from the goroutine that does the work. It
// is called before the host is used.
func (h *Host) Watch(f func(Progress)) { h.Progress = f }
