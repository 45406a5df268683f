package repair

import (
	"context"
	"errors"

	"updoc/internal/host"
)

// A restore point of Windows is made before the first change of a run that cannot be
// taken back, or that wants a restart: the last resort of a person whose machine does not
// come up again. It is no inverse of anything, and that there is none stops nothing:
// what cannot be taken back has a question of its own.

// wantsPoint reports whether a treatment is one before which a point is made.
func (t Treatment) wantsPoint() bool {
	return (t.Risk == RiskPermanent || t.Risk == RiskRestart) && (len(t.Steps) > 0 || t.Course != nil)
}

// WantsPoint reports whether Windows is asked for a restore point while the plan is
// carried out.
func (p *Plan) WantsPoint() bool {
	for _, t := range p.Treatments {
		if t.wantsPoint() && t.How != Advice {
			return true
		}
	}
	return false
}

// point has the machine make a restore point, once in a run.
func (r *Runner) point(ctx context.Context, i int, t Treatment, p *progress) error {
	if r.Points == nil || p.pointed || !t.wantsPoint() {
		return nil
	}
	e, ev := Entry{Kind: EntryPoint, Treatment: i}, Event{Treatment: t.ID}
	made, err := r.Points.RestorePoint(ctx, "updoc "+r.Journal.Plan().Run)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, host.ErrNotExist):
		e.Err = "this Windows has no System Restore"
	case err != nil:
		e.Err = err.Error()
	default:
		e.Point = &made
	}
	ev.Err, ev.Point = e.Err, e.Point
	p.pointed = true
	return r.write(e, ev)
}
