package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/procedure"
)

// Result is how a run ended, or why it waits.
type Result string

// The results.
const (
	Cured    Result = "cured"     // the stage that failed ended well
	NotCured Result = "not-cured" // everything was tried, and it fails still
	Unproven Result = "unproven"  // everything was done, and whether it helped could not be tried here
	Left     Result = "left"      // not cured; what is left of the plan needs a person, and none did it
	Shown    Result = "shown"     // an experiment showed the cause and was taken back: a person decides what stays
	Restart  Result = "restart"   // it goes on after a restart of the machine
	Broken   Result = "broken"    // a change could not be made; nothing is lost
	Stopped  Result = "stopped"   // a person, or a signal, ended it
)

// Runner carries out the plan of a journal. Its Run is also the way to go on
// after a crash or a restart, since all it knows stands in the journal.
type Runner struct {
	Host    host.Host
	Agent   host.Agent // repeats the failed stage; nil: nothing can be proved here
	Journal *Journal
	Now     func() time.Time
	// Started is when the machine was started; a restart that is waited for has been
	// once it lies after the journal's entry.
	Started func(context.Context) (time.Time, error)
	// Approve is asked before each treatment that needs a person, or that cannot be taken
	// back. nil, or false, passes over it.
	Approve func(context.Context, Treatment) (bool, error)
	// Tell, if not nil, is told what happens, in order.
	Tell func(Event)
	// Sleep waits, or returns the context's error; nil waits by the clock.
	Sleep func(context.Context, time.Duration) error
	// AtStart, if not nil, has the machine go on with the run by itself at its next
	// start and, if it is not zero, at a time; or no longer. It is called before what
	// makes that necessary, and when the run is left. See [Journal.Wakes].
	AtStart func(ctx context.Context, on bool, at time.Time) error
	// Awake, if not nil, keeps the machine from going to sleep until release.
	Awake func() (release func())
	// User is the security identifier of the user whose registry HKCU of Host is.
	User string
	// Points, if not nil, makes restore points.
	Points host.RestorePoints
	// Fetch, if not nil, brings a file to where it says on the machine, whole and verified,
	// and leaves what is there already and is that file. Stopped, it goes on where it
	// was when it is called again. Without it courses cannot fetch.
	Fetch func(context.Context, procedure.Fetch) error
	// Able, if not nil, reports whether the host can make a change at all: a Windows
	// that does not run cannot start a service. What it cannot take back stands.
	Able func(host.Change) bool
}

// Event is something that happened in a run, for those who watch.
type Event struct {
	Kind      EntryKind     `json:"kind"`
	Treatment string        `json:"treatment,omitempty"` // id of the remedy
	Step      int           `json:"step,omitempty"`      // from 1
	Steps     int           `json:"steps,omitempty"`
	Change    *host.Change  `json:"change,omitempty"`
	Code      codes.HRESULT `json:"code,omitempty"`
	Err       string        `json:"error,omitempty"`
	Wait      time.Duration `json:"wait,omitempty"` // until it is tried again; restart: until all is put back, if it is not restarted

	// Of an act of a course: the sentence "procedure.ABOUT" with its arguments, and
	// whether it repeated the stage that failed.
	About string            `json:"about,omitempty"`
	Args  map[string]string `json:"args,omitempty"`
	Tried bool              `json:"tried,omitempty"`

	// Of what was tried: the course that is all of the plan, and so what the proof is of.
	Course string `json:"course,omitempty"`

	// Of an install that was tried: what Windows itself says for it and against it.
	Said    []Line `json:"said,omitempty"`
	Against []Line `json:"against,omitempty"`

	// Of what was tried without something: what it shows, see [Plan.Trial].
	Trial string `json:"trial,omitempty"`

	Point *host.RestorePoint `json:"point,omitempty"` // what came of the wish for one; nil: Err
}

// progress is where a run stands, by its journal.
type progress struct {
	begun   map[[2]int]Entry // changes that were begun and not taken back
	settled map[[2]int]bool  // steps that are done or were left out
	over    map[int]bool     // treatments that are over, however they ended
	broken  map[int]bool     // of these, the ones with a change that could not be made
	treated map[int]bool     // treatments all of whose steps are made
	tried   map[int]Entry    // the proof after a treatment
	waits   map[int]Entry    // restarts that were asked for
	courses map[int]*doings  // what courses did
	witness map[int]*host.Installed
	pointed bool // a restore point was wished for
	end     Result
}

func (j *Journal) progress() progress {
	p := progress{map[[2]int]Entry{}, map[[2]int]bool{}, map[int]bool{}, map[int]bool{}, map[int]bool{}, map[int]Entry{}, map[int]Entry{}, map[int]*doings{}, map[int]*host.Installed{}, false, ""}
	treatments := j.Plan().Treatments
	for _, e := range j.entries {
		at := [2]int{e.Treatment, e.Step}
		var course *doings
		if i := e.Treatment; e.Kind != EntryPlan && e.Kind != EntryEnd && i >= 0 && i < len(treatments) && treatments[i].Course != nil && !p.treated[i] {
			if course = p.courses[i]; course == nil {
				course = &doings{}
				p.courses[i] = course
			}
			course.take(e)
		}
		switch e.Kind {
		case EntryBegin:
			p.begun[at] = e
		case EntryDone:
			b := p.begun[at]
			b.After, b.Late, b.Kind = e.After, e.Late, EntryDone
			p.begun[at], p.settled[at] = b, true
		case EntrySkipped, EntryAct:
			p.settled[at] = true
		case EntryUndoing:
			b := p.begun[at]
			b.Kind = EntryUndoing
			p.begun[at] = b
		case EntryUndone, EntryConflict:
			delete(p.begun, at)
		case EntryFailed:
			p.over[e.Treatment], p.broken[e.Treatment] = true, true
		case EntryPassed:
			p.over[e.Treatment] = true
		case EntryPoint:
			p.pointed = true
		case EntryWitness:
			p.witness[e.Treatment] = e.Witness
		case EntryTreated:
			p.treated[e.Treatment] = true
		case EntryRestart:
			if course == nil {
				p.waits[e.Treatment] = e
			}
		case EntryTried:
			p.tried[e.Treatment], p.over[e.Treatment] = e, true
		case EntryEnd:
			p.end = e.Result
		}
	}
	for at, b := range p.begun { // each act of a course renews the lease of all that it changed
		if d := p.courses[at[0]]; d != nil && !b.Until.IsZero() {
			b.Until = d.until
			p.begun[at] = b
		}
	}
	return p
}

// Run carries out what the journal's plan has left to do, and stops at the first
// cure. An error means that the journal could not be written, or the context
// ended: the machine is consistent, and Run goes on where it stopped.
func (r *Runner) Run(ctx context.Context) (Result, error) {
	p := r.Journal.progress()
	if p.end != "" {
		return p.end, nil
	}
	defer r.attend(ctx)()
	seen := map[Result]bool{}
	for i, t := range r.Journal.Plan().Treatments {
		var res Result
		var err error
		if p.over[i] {
			res = p.result(i, t)
		} else if res, err = r.treat(ctx, i, t, &p); err != nil {
			return "", err
		}
		// An experiment ends here, whatever it showed, and also if the process that
		// made it was killed after it had seen the result.
		if t.leased() && res != Restart {
			if err := r.takeBack(ctx, func(at [2]int) bool { return at[0] == i }, nil); err != nil {
				return "", err
			}
		}
		switch res {
		case Cured:
			return Cured, r.end(Cured)
		case Restart:
			return Restart, nil
		case Shown:
			if r.attempt().Stage == "download" {
				// What an experiment let through is there: it comes again whatever is done
				// now, and would be taken for the cure.
				return Shown, r.end(Shown)
			}
		}
		seen[res] = true
	}
	if seen[""] { // a treatment that was passed over was not tried
		seen[Left] = true
	}
	for _, res := range []Result{Shown, Unproven, Broken, Left} {
		if seen[res] {
			return res, r.end(res)
		}
	}
	return NotCured, r.end(NotCured)
}

// result is how a treatment that is over ended.
func (p progress) result(i int, t Treatment) Result {
	e, tried := p.tried[i]
	switch {
	case p.broken[i]:
		return Broken
	case !tried:
		return ""
	}
	return proved(e, t)
}

// proved is what an attempt proves. An experiment proves the cause and not a cure,
// unless what it let through was the install itself.
func proved(e Entry, t Treatment) Result {
	switch {
	case e.Result != "": // of a course, which left nothing to be proved
		return e.Result
	case e.Outcome == nil:
		return Unproven
	case e.Outcome.Result.Failed() && !e.Outcome.Result.Benign():
		return NotCured
	case t.leased() && (e.Tried == nil || e.Tried.Stage != "install"):
		return Shown
	}
	return Cured
}

func (r *Runner) end(res Result) error { return r.write(Entry{Kind: EntryEnd, Result: res}, Event{}) }

// write appends an entry and tells of it.
func (r *Runner) write(e Entry, ev Event) error {
	if err := r.Journal.Append(e, r.Now()); err != nil {
		return err
	}
	ev.Kind = e.Kind
	if r.Tell != nil {
		r.Tell(ev)
	}
	return nil
}

// treat carries out one treatment, or what is left of it, and tries whether it
// helped. The result is Cured, NotCured, Unproven, Broken, Restart, or "" if it
// was passed over.
func (r *Runner) treat(ctx context.Context, i int, t Treatment, p *progress) (Result, error) {
	asks := t.How != Automatic || t.Risk == RiskPermanent // what cannot be taken back has a question of its own
	if asks && !p.treated[i] && !p.started(i) {
		ok, err := r.approved(ctx, t)
		if err != nil {
			return "", err
		}
		if !ok {
			return "", r.write(Entry{Kind: EntryPassed, Treatment: i}, Event{Treatment: t.ID})
		}
	}
	if t.leased() && p.treated[i] && !p.standing(i) {
		// Its time was over before anybody looked whether it helped.
		return "", r.write(Entry{Kind: EntryPassed, Treatment: i}, Event{Treatment: t.ID})
	}
	if !p.treated[i] {
		if r.User != "" && r.Journal.User() == "" && slices.ContainsFunc(t.Changes(), host.OfUser) {
			if err := r.write(Entry{Kind: EntryUser, Treatment: i, User: r.User}, Event{Treatment: t.ID}); err != nil {
				return "", err
			}
		}
		if err := r.point(ctx, i, t, p); err != nil {
			return "", err
		}
		if err := r.before(ctx, i, *p); err != nil {
			return "", err
		}
	}
	if t.Course != nil && !p.treated[i] {
		if res, over, err := r.course(ctx, i, t, *p); over || err != nil {
			return res, err
		}
	} else if !p.treated[i] {
		restart, err := r.steps(ctx, i, t, *p)
		var failed *stepError
		switch {
		case errors.As(err, &failed):
			// Half a treatment is no treatment: what it changed so far goes back.
			if err := r.takeBack(ctx, func(at [2]int) bool { return at[0] == i }, nil); err != nil {
				return "", err
			}
			e, ev := failed.entry(i)
			ev.Treatment, ev.Steps = t.ID, len(t.Steps)
			return Broken, r.write(e, ev)
		case errors.Is(err, host.ErrPerson):
			// The person did not do it after all.
			if err := r.takeBack(ctx, func(at [2]int) bool { return at[0] == i }, nil); err != nil {
				return "", err
			}
			return "", r.write(Entry{Kind: EntryPassed, Treatment: i}, Event{Treatment: t.ID})
		case err != nil:
			return "", err
		}
		if err := r.write(Entry{Kind: EntryTreated, Treatment: i}, Event{Treatment: t.ID}); err != nil {
			return "", err
		}
		if restart || len(t.Steps) == 0 && t.Restart == "yes" {
			e, ev := Entry{Kind: EntryRestart, Treatment: i}, Event{Treatment: t.ID}
			// Where it cannot go on by itself, a person does it.
			if err := r.wake(ctx, time.Time{}); err != nil {
				ev.Err = err.Error()
			}
			if err := r.write(e, ev); err != nil {
				return "", err
			}
			p.waits[i] = Entry{Time: r.Now()}
		}
	}
	if e, ok := p.waits[i]; ok {
		started, err := r.started(ctx)
		if err != nil {
			return "", err
		}
		if !started.After(e.Time) {
			return Restart, nil
		}
	}
	return r.prove(ctx, i, t, *p)
}

// started reports that a treatment was approved and begun before.
func (p progress) started(treatment int) bool {
	for at := range p.settled {
		if at[0] == treatment {
			return true
		}
	}
	return p.standing(treatment)
}

// standing reports that a treatment has changes that were not taken back.
func (p progress) standing(treatment int) bool {
	for at := range p.begun {
		if at[0] == treatment {
			return true
		}
	}
	return false
}

func (r *Runner) approved(ctx context.Context, t Treatment) (bool, error) {
	if r.Approve == nil {
		return false, ctx.Err()
	}
	return r.Approve(ctx, t)
}

func (r *Runner) started(ctx context.Context) (time.Time, error) {
	if r.Started == nil {
		return time.Time{}, nil
	}
	return r.Started(ctx)
}

// stepError is a change that the host could not make.
type stepError struct {
	step int
	err  error
}

func (s *stepError) Error() string { return s.err.Error() }
func (s *stepError) Unwrap() error { return s.err }

func (s *stepError) entry(treatment int) (Entry, Event) {
	e := Entry{Kind: EntryFailed, Treatment: treatment, Step: s.step, Err: s.err.Error()}
	ev := Event{Step: s.step + 1, Err: e.Err}
	var h codes.HRESULT
	if errors.As(s.err, &h) {
		e.Code, ev.Code = h.String(), h
	}
	return e, ev
}

// steps makes the steps of a treatment that are not made yet; restart says that
// one of them has effect after a restart only.
func (r *Runner) steps(ctx context.Context, i int, t Treatment, p progress) (restart bool, err error) {
	for k, s := range t.Steps {
		at := [2]int{i, k}
		if p.settled[at] {
			e, changed := p.begun[at]
			restart = restart || (s.Restart || e.Late) && changed
			continue
		}
		// Between two changes everything is whole: the place to stop.
		if err := ctx.Err(); err != nil {
			return false, err
		}
		m := making{at: at, step: s, event: Event{Treatment: t.ID, Step: k + 1, Steps: len(t.Steps), Change: &s.Change}, write: r.write}
		if b, ok := p.begun[at]; ok {
			m.begun = &b
		}
		if s.Lease > 0 {
			m.until = r.Now().Add(time.Duration(s.Lease) * time.Minute)
		}
		changed, late, err := r.step(ctx, m)
		if s.Unseen && errors.Is(err, host.ErrPerson) {
			if err := r.takeBack(ctx, func(a [2]int) bool { return a == at }, nil); err != nil {
				return false, err
			}
			continue
		}
		if err != nil {
			return false, err
		}
		restart = restart || s.Restart && changed || late
	}
	return restart, nil
}

// making is one change that is to be made.
type making struct {
	at    [2]int
	step  Step
	act   *procedure.Act // of which it is the change; nil: of a step
	event Event
	begun *Entry    // its begin, if it was begun before a crash
	until time.Time // when its lease is over; zero: it has none
	write func(Entry, Event) error
}

// step makes one change. What it takes to undo it is in the journal before it is
// touched; a change that was begun before a crash is simply made again, with the
// undo of its first beginning.
func (r *Runner) step(ctx context.Context, m making) (changed, late bool, err error) {
	s, k := m.step, m.at[1]
	if err := s.Change.Check(); err != nil {
		return false, false, &stepError{k, err}
	}
	if m.begun == nil {
		holds, err := host.Holds(ctx, r.Host, s.Change)
		if s.Change.Kind == host.Move && errors.Is(err, host.ErrNotExist) {
			holds, err = true, nil // nothing stands in the way of a fresh start
		}
		if err != nil {
			return false, false, r.trouble(ctx, k, err)
		}
		if holds {
			return false, false, m.write(Entry{Kind: EntrySkipped, Treatment: m.at[0], Step: k, Act: m.act}, m.event)
		}
		undo := s.Undo
		if undo == nil && s.Change.Kind != host.Run {
			if undo, err = r.Host.Inverse(ctx, s.Change); err != nil {
				return false, false, r.trouble(ctx, k, err)
			}
		}
		begin := Entry{Kind: EntryBegin, Treatment: m.at[0], Step: k, Undo: undo, Act: m.act, Until: m.until}
		if !m.until.IsZero() {
			// What nobody would end if this process is killed is not begun.
			if err := r.wake(ctx, m.until); err != nil {
				return false, false, r.trouble(ctx, k, fmt.Errorf("have it ended by itself: %w", err))
			}
		}
		if err := m.write(begin, m.event); err != nil {
			return false, false, err
		}
	}
	err = r.byPerson(ctx, s.Change, m.event)
	if errors.Is(err, host.ErrPerson) || err != nil && ctx.Err() != nil {
		return false, false, err
	}
	// A change that was begun is ended, whoever wants to stop: half of one is worse
	// than none and worse than all.
	ctx = context.WithoutCancel(ctx)
	if err == nil {
		err = r.Host.Apply(ctx, s.Change)
	}
	late = errors.Is(err, host.ErrRestart) // the restart makes the rest
	if err != nil && !late {
		return false, false, &stepError{k, fmt.Errorf("%s %s: %w", s.Change.Kind, s.Change.Path, err)}
	}
	done := Entry{Kind: EntryDone, Treatment: m.at[0], Step: k, Late: late}
	if s.Change.Kind != host.Run && !late {
		if done.After, err = r.Host.Inverse(ctx, s.Change); err != nil {
			return false, false, &stepError{k, err}
		}
		if !s.Change.Passing() && !host.Same(done.After, []host.Change{s.Change}) {
			return false, false, &stepError{k, fmt.Errorf("%s %s: it was made and does not stand: something changes it back", s.Change.Kind, s.Change.Path)}
		}
	}
	return true, late, m.write(done, m.event)
}

// trouble tells a host that cannot do something from a run that is stopped.
func (r *Runner) trouble(ctx context.Context, step int, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &stepError{step, err}
}

// prove repeats the stage that failed; where time may cure, more than once. An
// install that a restart has to finish is proved after it, by what Windows says then;
// what failed in the restart is not begun again.
func (r *Runner) prove(ctx context.Context, i int, t Treatment, p progress) (Result, error) {
	e := Entry{Kind: EntryTried, Treatment: i, Tried: r.attempt()}
	done := func(res Result) (Result, error) {
		ev := Event{Treatment: t.ID, Course: r.Journal.Plan().Only(), Err: e.Err, Said: e.Said, Against: e.Against, Trial: r.Journal.Plan().Trial(e)}
		if e.Outcome != nil {
			ev.Code = e.Outcome.Result
		}
		return res, r.write(e, ev)
	}
	testify := func(restarted bool) bool {
		if e.Tried.Stage != "install" || p.witness[i] == nil {
			return true
		}
		e.Witness = r.witness(ctx, *e.Tried)
		testify(p.witness[i], e.Witness, *e.Tried, restarted).judge(&e)
		return len(e.Against) == 0
	}
	restarted := p.waits[i].Tried != nil // to finish an install
	if restarted && !testify(true) {
		return done(proved(e, t))
	}
	pause := time.Duration(t.Pause) * time.Minute
	for n := 0; ; n++ {
		e.Outcome, e.Err, e.Said, e.Against = nil, "", nil, nil
		if r.Agent != nil {
			out, err := r.Agent.Try(ctx, *e.Tried)
			switch {
			case ctx.Err() != nil:
				return "", ctx.Err()
			case err != nil:
				e.Err = err.Error()
			default:
				e.Outcome = &out
			}
		}
		res := proved(e, t)
		if (res == Cured || res == Shown) && e.Outcome.Restart {
			if !restarted {
				return Restart, r.write(Entry{Kind: EntryRestart, Treatment: i, Tried: e.Tried, Outcome: e.Outcome}, Event{Treatment: t.ID})
			}
			e.Outcome, e.Err, res = nil, "the update wants a restart again after it had one", Unproven
		}
		if res == Cured && !testify(restarted) {
			res = proved(e, t)
		}
		if res != NotCured || n >= t.Again {
			return done(res)
		}
		if r.Tell != nil {
			r.Tell(Event{Kind: EventWait, Treatment: t.ID, Wait: pause, Code: e.Outcome.Result})
		}
		if err := r.sleep(ctx, pause); err != nil {
			return "", err
		}
		pause *= 2
	}
}

// EventWait is an Event without an entry: it is tried again after a pause.
const EventWait EntryKind = "wait"

func (r *Runner) sleep(ctx context.Context, d time.Duration) error {
	if r.Sleep != nil {
		return r.Sleep(ctx, d)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func (t Treatment) leased() bool {
	for _, s := range t.Steps {
		if s.Lease > 0 {
			return true
		}
	}
	return false
}

// attempt is the stage that has to end well: a good scan never proves an install.
func (r *Runner) attempt() *host.Attempt {
	f := r.Journal.Plan().Failure
	a := &host.Attempt{Stage: string(f.Stage), Update: f.Update.ID, KB: f.Update.KB, Title: f.Update.Title}
	switch a.Stage {
	case "scan", "download", "install":
	case "verify":
		a.Stage = "download"
	case "restart", "setup":
		a.Stage = "install"
	default:
		a.Stage = "scan"
	}
	return a
}
