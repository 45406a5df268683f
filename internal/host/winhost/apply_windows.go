package winhost

import (
	"context"
	"errors"
	"fmt"
	"time"

	"updoc/internal/host"
)

// Inverse says how it is now, as the changes that make it so again.
func (h *Host) Inverse(ctx context.Context, c host.Change) ([]host.Change, error) {
	if err := errors.Join(ctx.Err(), c.Check()); err != nil {
		return nil, err
	}
	back, err := h.inverse(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", c.Kind, c.Path, err)
	}
	return back, nil
}

func (h *Host) inverse(ctx context.Context, c host.Change) ([]host.Change, error) {
	switch c.Kind {
	case host.KeyMake, host.KeyDrop, host.ValueSet, host.ValueDel:
		return h.inverseRegistry(c)
	case host.ServiceStart, host.ServiceRun, host.ServiceStop, host.ServiceSecurity, host.ServiceTriggers, host.ServiceNeeds:
		return h.inverseService(c)
	case host.ServiceMake, host.ServiceDrop:
		return inverseMake(c)
	case host.Switch:
		return h.inverseSwitch(ctx, c)
	case host.Run:
		return nil, nil
	}
	return h.inverseFile(ctx, c)
}

// Apply makes a change. host.ErrRestart says that the next restart makes the rest
// of it; a [InUse], a [StuckService] and a [ToolFailed] say what was in the way.
func (h *Host) Apply(ctx context.Context, c host.Change) error {
	if err := errors.Join(ctx.Err(), c.Check()); err != nil {
		return err
	}
	if err := h.apply(ctx, c); err != nil {
		return fmt.Errorf("%s %s: %w", c.Kind, c.Path, err)
	}
	return nil
}

func (h *Host) apply(ctx context.Context, c host.Change) error {
	switch c.Kind {
	case host.KeyMake, host.KeyDrop, host.ValueSet, host.ValueDel:
		return h.applyRegistry(c)
	case host.ServiceStart, host.ServiceRun, host.ServiceStop, host.ServiceSecurity, host.ServiceTriggers, host.ServiceNeeds:
		return h.applyService(ctx, c)
	case host.ServiceMake:
		return h.makeService(c)
	case host.ServiceDrop:
		return h.dropService(ctx, c.Path)
	case host.Switch:
		return h.applySwitch(ctx, c)
	case host.Run:
		if c.Path == host.ToolSetup {
			return h.runSetup(ctx, c.Args)
		}
		if !installs(c.Path, c.Args) {
			return h.run(ctx, c.Path, c.Args)
		}
		return whileBusy(ctx, pause, func(since time.Duration) { h.progress(Progress{What: c.Path, Percent: -1, Elapsed: since}) },
			func() error { return h.run(ctx, c.Path, c.Args) })
	}
	return h.applyFile(ctx, c)
}
