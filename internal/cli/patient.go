package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"updoc/internal/durable"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/repair"
	"updoc/internal/route"
)

// Patient is a machine that updoc can treat: it can be read, changed, and asked to
// try updating again.
type Patient interface {
	host.Host
	host.Agent
	host.Attendant
	// Started is when the machine was last started.
	Started(context.Context) (time.Time, error)
	Now() time.Time // by the clock that Started is given by
	// Walk walks the route of its updates with the settings that were collected.
	Walk(context.Context, *facts.Facts) *route.Walk
	// Program puts updoc where the machine can start it by itself, and returns its path
	// there; state is the directory of the journals.
	Program(state string) (string, error)
	Close() error
}

// treatable is a host that updoc can change and prove a cure on: a live Windows.
type treatable interface {
	host.Host
	host.Agent
	host.Attendant
	Started(context.Context) (time.Time, error)
	Close() error
}

// livePatient is the machine that updoc runs on.
type livePatient struct {
	treatable
	env *Env
	bar *bar
}

// openPatient opens this machine to treat it, and the directory of its journals.
func (env *Env) openPatient(ctx context.Context) (Patient, string, error) {
	if env.Live == nil || env.State == nil {
		return nil, "", usage("run it on the sick Windows machine, or rehearse with 'updoc fix --from BUNDLE'; 'updoc demo' shows it all", "this machine does not run Windows")
	}
	h, done, err := env.openLive(ctx)
	if err != nil {
		return nil, "", err
	}
	t, ok := h.(treatable)
	if !ok {
		done()
		return nil, "", usage("rehearse with 'updoc fix --from BUNDLE'", "this machine can be read and not treated")
	}
	state, err := env.State()
	if err != nil {
		done()
		return nil, "", notAllowed(err)
	}
	p := livePatient{t, env, env.progress()}
	if w, ok := h.(interface{ Watch(func(host.Work)) }); ok {
		w.Watch(p.bar.long)
	}
	return p, state, nil
}

// RestorePoint implements [host.RestorePoints].
func (p livePatient) RestorePoint(ctx context.Context, name string) (host.RestorePoint, error) {
	m, ok := p.treatable.(host.RestorePoints)
	if !ok {
		return host.RestorePoint{}, host.ErrNotExist
	}
	return m.RestorePoint(ctx, name)
}

// Remind implements [host.Reminder].
func (p livePatient) Remind(ctx context.Context, text string) error {
	m, ok := p.treatable.(host.Reminder)
	if !ok {
		return host.ErrNotExist
	}
	return m.Remind(ctx, text)
}

// Ask implements [host.Reader].
func (p livePatient) Ask(ctx context.Context, q host.Question) (host.Answer, error) {
	return p.env.remembering(p.treatable).Ask(ctx, q)
}

// Ask implements [host.Reader].
func (p labPatient) Ask(ctx context.Context, q host.Question) (host.Answer, error) {
	return remembering{p.labMachine, p.state, time.UTC, p.Now}.Ask(ctx, q)
}

// remembering is a machine that knows what updoc cured on it.
type remembering struct {
	host.Reader
	state string         // directory of the journals; "": it is not known
	zone  *time.Location // of the machine's clock
	now   func() time.Time
}

// remembering adds to this machine what its journals tell.
func (env *Env) remembering(h host.Reader) host.Reader {
	if env.State == nil {
		return h
	}
	state, err := env.State()
	if err != nil {
		return h // nobody but an administrator knows
	}
	return remembering{h, state, time.Local, time.Now}
}

// Ask implements [host.Reader].
func (r remembering) Ask(ctx context.Context, q host.Question) (host.Answer, error) {
	if q.Name != host.AskRepairs {
		return r.Reader.Ask(ctx, q)
	}
	known, err := repair.Proofs(durable.OS{}, r.state, r.zone, r.now())
	if err != nil {
		return host.Answer{}, fmt.Errorf("answer %s: %w: %w", q.Name, host.ErrNotRecorded, err)
	}
	b, err := json.Marshal(known)
	return host.Answer{JSON: b, Source: "answer " + q.Name}, err
}

// Now implements [Patient].
func (livePatient) Now() time.Time { return time.Now() }

// Walk implements [Patient].
func (p livePatient) Walk(ctx context.Context, f *facts.Facts) *route.Walk {
	defer p.bar.done()
	return p.env.walkLive(ctx, f, p.bar)
}

type labMachine = lab.Machine // whose own name is that of a method

// labPatient is a simulated machine in its world.
type labPatient struct {
	*labMachine
	state string // directory of the journals
}

// openLab opens a simulated machine and the directory of its journals, which lie
// beside its files and are none of them.
func openLab(dir string) (Patient, string, error) {
	m, err := lab.OpenMachine(dir)
	if err != nil {
		return nil, "", usage("'updoc lab --machine DIR SCENARIO' makes one", "no simulated machine: %w", err)
	}
	state := filepath.Join(dir, "updoc")
	return labPatient{m, state}, state, nil
}

// newLabPatient makes the machine of a scenario in an empty directory.
func newLabPatient(dir string, s *lab.Scenario) (p labPatient, state string, err error) {
	m, err := lab.NewMachine(dir, s)
	if errors.Is(err, lab.ErrNoMachine) {
		return p, "", usage("'updoc lab --list' names the scenarios that have one", "no simulated machine: %w", err)
	}
	if err != nil {
		return p, "", err
	}
	state = filepath.Join(dir, "updoc")
	return labPatient{m, state}, state, nil
}

// Now implements [Patient].
func (p labPatient) Now() time.Time { return p.World().Now() }

// Walk implements [Patient].
func (p labPatient) Walk(ctx context.Context, f *facts.Facts) *route.Walk {
	return walkWorld(ctx, f, p.World(), nil, false)
}
