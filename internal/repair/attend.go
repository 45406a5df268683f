package repair

import (
	"context"
	"time"
)

// Wakes reports whether somebody has to go on with the run by itself: at the next
// start of the machine, and at a time if it is not zero. So it is while the run
// waits for a restart, and while an experiment stands that has to be ended.
func (j *Journal) Wakes() (on bool, at time.Time) {
	p := j.progress()
	for _, e := range p.begun {
		if !e.Until.IsZero() && (at.IsZero() || e.Until.Before(at)) {
			on, at = true, e.Until
		}
	}
	for i := range p.waits {
		on = on || p.end == "" && !p.over[i]
	}
	for i, d := range p.courses {
		on = on || p.end == "" && !p.over[i] && d.wait != nil
	}
	return on, at
}

// wake has the machine go on by itself, at the latest at a time that is not zero.
func (r *Runner) wake(ctx context.Context, until time.Time) error {
	if r.AtStart == nil {
		return nil
	}
	_, at := r.Journal.Wakes()
	if at.IsZero() || !until.IsZero() && until.Before(at) {
		at = until
	}
	return r.AtStart(ctx, true, at)
}

// attend keeps the machine awake until the function that it returns is called;
// that one also leaves the machine to wake up by itself if, and only if, the journal
// says that it must.
func (r *Runner) attend(ctx context.Context) (leave func()) {
	release := func() {}
	if r.Awake != nil {
		release = r.Awake()
	}
	return func() {
		release()
		if r.AtStart == nil {
			return
		}
		on, at := r.Journal.Wakes()
		// What went wrong is told by who was asked; it changes nothing of the run.
		_ = r.AtStart(context.WithoutCancel(ctx), on, at)
	}
}
