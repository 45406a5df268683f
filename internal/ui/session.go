package ui

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"updoc/internal/repair"
)

// Session is one visit: of a person, or of one person in several windows. All it knows
// beyond what the doctor tells it is what it is at; a visit that begins while a run waits
// for a restart begins there. Safe for concurrent use.
type Session struct {
	doctor Doctor
	now    func() time.Time
	back   Returner // nil: nobody does

	ctx  context.Context // of all work
	end  context.CancelFunc
	work sync.WaitGroup

	mu      sync.Mutex
	state   State
	changed chan struct{} // closed at each change
	stop    context.CancelFunc
	goOn    chan struct{} // closed when a pause ends
	answers chan bool
	asked   int
	files   int
}

// Errors of what does not fit the moment.
var (
	ErrNow  = errors.New("this cannot be done now")
	ErrGone = errors.New("there is no such thing any more")
)

// Options of a visit; the zero value is right.
type Options struct {
	Now    func() time.Time // the clock; nil: the system's
	Run    string           // that the visit comes back to after a restart; "": the one that waits, if any
	Return Returner         // has the visit come back; nil: it does not
}

// New begins a visit, which looks at the machine first.
func New(ctx context.Context, d Doctor, o Options) *Session {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Session{doctor: d, now: o.Now, back: o.Return, changed: make(chan struct{})}
	s.ctx, s.end = context.WithCancel(ctx)
	s.state = State{Version: 1, Phase: Looking, Since: s.now(), At: -1}
	s.async(func(ctx context.Context) {
		s.begin(ctx, o.Run)
		s.examine(ctx)
	})
	return s
}

// begin finds out where the machine is: at the run that a visit comes back to, else at one
// that is not at its end.
func (s *Session) begin(ctx context.Context, run string) {
	named := run != ""
	if !named {
		list, err := s.doctor.Runs(ctx)
		if err != nil || len(list) == 0 || list[0].Result != "" || list[0].Err != "" {
			return
		}
		run = list[0].Run
	}
	r, err := s.doctor.Run(ctx, run)
	_, can := s.doctor.(Admitter)
	switch {
	case err == nil:
		s.change(func(st *State) { s.adopt(st, r) })
		s.follow(r)
	case named && can && errors.Is(err, ErrNotAllowed):
		s.change(func(st *State) { st.Phase, st.Run, st.Hidden = Waiting, run, true })
	}
}

// Reveal shows the run that a visit came back to, with the rights of an administrator.
func (s *Session) Reveal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.doctor.(Admitter)
	if !s.state.Hidden || s.state.Asking || !ok {
		return ErrNow
	}
	run := s.state.Run
	s.update(func(st *State) { st.Asking, st.Err = true, nil })
	s.async(func(ctx context.Context) {
		var r *Run
		err := a.Admit(ctx)
		if err == nil {
			r, err = s.doctor.Run(ctx, run)
		}
		s.change(func(st *State) {
			if st.Asking, st.Err = false, err; err == nil {
				st.Hidden = false
				s.adopt(st, r)
			}
		})
		if err == nil {
			s.follow(r)
		}
	})
	return nil
}

// followEvery is how often the journal of a run is read again that somebody else carries
// out: after a restart Windows itself has it go on.
const followEvery = 2 * time.Second

// follow shows what happens in a run that was adopted, as long as the visit is at it and it
// is not at its end.
func (s *Session) follow(r *Run) {
	if r.Result != "" {
		return
	}
	s.async(func(ctx context.Context) {
		tick := time.NewTicker(followEvery)
		defer tick.Stop()
		for seen := len(r.Entries); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			at := func(st *State) bool { return st.Phase == Waiting && st.Run == r.Run && !st.Hidden }
			if st, _ := s.State(); !at(&st) {
				return
			}
			now, err := s.doctor.Run(ctx, r.Run)
			if err != nil || len(now.Entries) == seen && now.Result == "" {
				continue // it may be written just now
			}
			seen = len(now.Entries)
			s.change(func(st *State) {
				if at(st) {
					s.adopt(st, now)
					st.Live = st.Phase == Waiting && st.Result != repair.Restart
				}
			})
			if now.Result != "" {
				s.stay()
				s.again()
				return
			}
		}
	})
}

// Close ends the visit and waits for its work. A change that is being made is made to
// its end.
func (s *Session) Close() {
	s.end()
	s.work.Wait()
}

// Doctor is who the session asks.
func (s *Session) Doctor() Doctor { return s.doctor }

// Now is the session's clock.
func (s *Session) Now() time.Time { return s.now() }

// State returns where the visit stands, and a channel that is closed once that is over.
func (s *Session) State() (State, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.clone(), s.changed
}

// change changes the state and tells of it.
func (s *Session) change(f func(*State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.update(f)
}

// update is change for those who hold the lock.
func (s *Session) update(f func(*State)) {
	phase := s.state.Phase
	f(&s.state)
	s.state.Version++
	if s.state.Phase != phase {
		s.state.Since = s.now()
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Session) async(f func(context.Context)) {
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		f(s.ctx)
	}()
}

// Go does something beside the visit, until the visit ends.
func (s *Session) Go(f func(context.Context)) { s.async(f) }

// Touch tells whoever waits that something they show has changed, though the state has
// not.
func (s *Session) Touch() { s.change(func(*State) {}) }

// Look looks at the machine again.
func (s *Session) Look() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Phase == Looking || s.state.Phase.Busy() {
		return ErrNow
	}
	s.update(func(st *State) {
		*st = State{Version: st.Version, Phase: Looking, Since: st.Since, At: -1, Patient: st.Patient, Files: st.Files}
	})
	s.async(s.examine)
	return nil
}

func (s *Session) examine(ctx context.Context) {
	p, err := s.doctor.Examine(ctx, func(w Work) { s.change(func(st *State) { st.Work = w }) })
	s.change(func(st *State) {
		st.Work = Work{}
		if err == nil {
			st.Patient = p
		}
		if st.Phase != Looking {
			return // a run that waits
		}
		if st.Phase = Ready; err != nil {
			st.Phase, st.Err = Failed, err
		}
	})
}

// Fix carries out the plan that was shown, by its hash.
func (s *Session) Fix(hash string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.state.Patient
	switch {
	case s.state.Phase.Busy() || s.state.Phase == Looking || p == nil || p.Plan == nil:
		return ErrNow
	case p.Hash != hash:
		return ErrPlan
	}
	s.run(Order{Hash: hash}, p.Plan)
	return nil
}

// GoOn goes on with the run that waits.
func (s *Session) GoOn() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Hidden || s.state.Phase != Waiting && (s.state.Phase != Over || s.state.Result != repair.Stopped) {
		return ErrNow
	}
	s.run(Order{Run: s.state.Run}, s.state.Plan)
	return nil
}

// Restart restarts the machine for the run that waits for it, and goes on where that is
// this program's to do.
func (s *Session) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.doctor.(Restarter)
	if s.state.Phase != Waiting || s.state.Hidden || !ok {
		return ErrNow
	}
	s.async(func(ctx context.Context) {
		if err := r.Restart(ctx); err != nil {
			s.change(func(st *State) { st.Err = err })
			return
		}
		_ = s.GoOn()
	})
	return nil
}

// run carries out an order; the lock is held.
func (s *Session) run(o Order, plan *repair.Plan) {
	ctx, stop := context.WithCancel(s.ctx)
	s.stop = stop
	s.update(func(st *State) {
		if o.Run == "" || len(st.Parts) != len(plan.Treatments) {
			st.Parts = newParts(plan)
			st.Log, st.Lines = nil, 0
		}
		st.Phase, st.Plan, st.Run, st.At = Working, plan, plan.Run, -1
		st.Err, st.Result, st.Undone, st.Paused, st.Stopping, st.Live, st.Work = nil, "", nil, false, false, false, Work{}
	})
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		defer stop()
		res, err := s.doctor.Fix(ctx, o, Watch{
			Ask: s.ask, Tell: func(e repair.Event) { s.told(ctx, e) },
			Work: func(w Work) { s.change(func(st *State) { st.Work = w }) },
			Begin: func(p *repair.Plan) {
				s.change(func(st *State) { st.Plan, st.Run, st.Parts = p, p.Run, newParts(p) })
			},
		})
		switch { // what else ends a run may be the restart itself, which takes one process after the other
		case err == nil && res == repair.Restart:
			s.comeBack()
		case err == nil || errors.Is(err, context.Canceled):
			s.stay()
		}
		st, _ := s.State()
		stands := s.stands(st.Run) // which Begin may have named anew
		s.change(func(st *State) {
			stands(st)
			st.At, st.Question, st.Paused, st.Stopping, st.Work = -1, nil, false, false, Work{}
			for i := range st.Parts {
				if st.Parts[i].Mark == MarkNow && res != repair.Restart {
					st.Parts[i].Mark = MarkWaits
				}
			}
			switch {
			case errors.Is(err, context.Canceled):
				st.Phase, st.Result = Over, repair.Stopped
			case errors.Is(err, ErrPlan) || errors.Is(err, ErrBusy) || errors.Is(err, ErrNotAllowed) || errors.Is(err, ErrPlace):
				st.Phase, st.Err, st.Run = Ready, err, ""
			case err != nil:
				st.Phase, st.Err, st.Result = Over, err, repair.Broken
			case res == repair.Restart:
				st.Phase, st.Result = Waiting, res
			default:
				st.Phase, st.Result = Over, res
			}
		})
		s.again()
	}()
}

// stands says what of a run stands, by its journal; a run that cannot be read is offered
// to nobody to be taken back.
func (s *Session) stands(run string) func(*State) {
	r, err := s.doctor.Run(s.ctx, run)
	return func(st *State) {
		if st.Undoable, st.Lasting = 0, 0; err == nil {
			st.Undoable, st.Lasting = r.Undoable, r.Lasting()
		}
	}
}

// comeBack has the visit begin again at its run after the restart. Where that cannot be,
// the person starts updoc again by themselves, and it begins there too.
func (s *Session) comeBack() {
	if s.back == nil {
		return
	}
	st, _ := s.State()
	err := s.back.ComeBack(s.ctx, st.Run)
	s.change(func(st *State) { st.Returns = err == nil })
}

// CanReturn reports whether the visit can come back by itself after a restart.
func (s *Session) CanReturn() bool { return s.back != nil }

// stay takes that back: the run waits for no restart any more.
func (s *Session) stay() {
	if st, _ := s.State(); !st.Returns {
		return
	}
	if err := s.back.Stay(s.ctx); err == nil { // else it opens once more, and shows a run that is over
		s.change(func(st *State) { st.Returns = false })
	}
}

// again looks at the machine once more after it was changed, so that there is a plan for
// how it is now; what the visit is at stays. What was cured is proved, and better than by
// logs that are written later.
func (s *Session) again() {
	if st, _ := s.State(); st.Phase != Waiting && st.Result != repair.Cured && s.ctx.Err() == nil {
		s.change(func(st *State) { st.Patient = nil }) // its plan is that of the run that was
		s.examine(s.ctx)
	}
}

func newParts(plan *repair.Plan) []Part {
	out := make([]Part, len(plan.Treatments))
	for i, t := range plan.Treatments {
		out[i] = Part{Mark: MarkWaits, Steps: slices.Repeat([]Mark{MarkWaits}, len(t.Steps))}
	}
	return out
}

// ask puts a treatment before whoever looks, and waits.
func (s *Session) ask(ctx context.Context, t repair.Treatment) (bool, error) {
	if t.Risk == repair.RiskOutside || t.How == repair.Advice {
		return false, ctx.Err()
	}
	answers := make(chan bool, 1)
	s.change(func(st *State) {
		s.asked++
		s.answers = answers
		i := slices.IndexFunc(st.Plan.Treatments, func(x repair.Treatment) bool { return x.ID == t.ID })
		st.Question = &Question{ID: s.asked, Treatment: t, Index: i}
	})
	defer s.change(func(st *State) { st.Question = nil })
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case yes := <-answers:
		return yes, nil
	}
}

// Answer answers a question, which it names: of two windows one is first.
func (s *Session) Answer(id int, yes bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Question == nil || s.state.Question.ID != id || s.answers == nil {
		return ErrGone
	}
	s.answers <- yes
	s.answers = nil
	return nil
}

// Pause holds a run between two changes, or has it go on. What stands in the journal at
// that place is whole: also a machine that is switched off then is.
func (s *Session) Pause(on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Phase != Working || s.state.Paused == on {
		return ErrNow
	}
	if on {
		s.goOn = make(chan struct{})
	} else {
		close(s.goOn)
	}
	s.update(func(st *State) { st.Paused = on })
	return nil
}

// Stop ends a run after the change that is being made.
func (s *Session) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Phase != Working || s.stop == nil {
		return ErrNow
	}
	s.stop()
	s.update(func(st *State) { st.Stopping = true })
	return nil
}

// Undo takes a run back.
func (s *Session) Undo(run string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Phase.Busy() || s.state.Phase == Looking || s.state.Hidden {
		return ErrNow
	}
	s.update(func(st *State) {
		if st.Run != run {
			st.Parts, st.Plan, st.Log, st.Lines = nil, nil, nil, 0
		}
		st.Phase, st.Run, st.Err, st.Undone, st.Result = Undoing, run, nil, nil, ""
	})
	s.async(func(ctx context.Context) {
		s.stay()
		u, err := s.doctor.Undo(ctx, run, func(e repair.Event) { s.change(func(st *State) { s.note(st, e) }) })
		stands := s.stands(run)
		s.change(func(st *State) {
			stands(st)
			if st.Err = err; err != nil {
				st.Phase = Over
				return
			}
			st.Phase, st.Undone = Undone, &u
		})
		s.again()
	})
	return nil
}

// told takes an event of a run, and holds the run where a person wants a pause: only
// behind an entry after which the machine is whole.
func (s *Session) told(ctx context.Context, e repair.Event) {
	s.change(func(st *State) { s.note(st, e) })
	switch e.Kind {
	case repair.EntryDone, repair.EntrySkipped, repair.EntryPassed, repair.EntryTreated, repair.EntryTried, repair.EntryFailed:
	default:
		return
	}
	for {
		s.mu.Lock()
		paused, goOn := s.state.Paused, s.goOn
		s.mu.Unlock()
		if !paused {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-goOn:
		}
	}
}

// note puts an event into the state.
func (s *Session) note(st *State, e repair.Event) {
	st.Lines++
	if st.Log = append(st.Log, Line{s.now(), e}); len(st.Log) > maxLog {
		st.Log = slices.Clone(st.Log[len(st.Log)-maxLog:])
	}
	if st.Plan == nil {
		return
	}
	i := slices.IndexFunc(st.Plan.Treatments, func(t repair.Treatment) bool { return t.ID == e.Treatment })
	if i < 0 || i >= len(st.Parts) {
		return
	}
	p := &st.Parts[i]
	step := func(m Mark) {
		if k := e.Step - 1; k >= 0 && k < len(p.Steps) {
			p.Steps[k] = m
		}
	}
	now := func() {
		if p.Mark != MarkNow {
			p.Mark, p.Began = MarkNow, s.now()
		}
		st.At = i
	}
	switch e.Kind {
	case repair.EntryBegin:
		now()
		step(MarkNow)
	case repair.EntryDone:
		step(MarkDone)
	case repair.EntrySkipped:
		now()
		step(MarkPassed)
	case repair.EntryFailed:
		p.Mark = MarkFailed
		step(MarkFailed)
	case repair.EntryPassed:
		p.Mark = MarkPassed
	case repair.EntryTreated:
		now()
	case repair.EntryTried:
		p.Tried = &Tried{Good: e.Err == "" && !e.Code.Failed(), Err: e.Err}
		p.Mark = MarkDone
		if p.Tried.Good {
			p.Mark = MarkCured
		} else if e.Err == "" {
			p.Tried.Code = e.Code.String()
		}
	case repair.EntryUndone:
		step(MarkBack)
		if st.Phase == Undoing {
			p.Mark = MarkBack
		}
	}
}

// adopt shows a run that another visit, or the machine itself, began: what its journal
// tells happened, in order.
func (s *Session) adopt(st *State, r *Run) {
	st.Run, st.Plan, st.Parts, st.Phase, st.Log, st.Lines = r.Run, r.Plan, newParts(r.Plan), Waiting, nil, 0
	st.Undoable, st.Lasting = r.Undoable, r.Lasting()
	for _, l := range r.Events() {
		s.note(st, l.Event)
		st.Log[len(st.Log)-1].Time = l.Time
	}
	st.At, st.Result = -1, repair.Stopped
	if r.Result != "" { // while nobody looked
		st.Phase, st.Result = Over, r.Result
	} else if n := len(r.Entries); n > 0 && r.Entries[n-1].Kind == repair.EntryRestart {
		st.Result = repair.Restart
	}
}

// Events are what the entries of a journal were told by, in order.
func (r *Run) Events() []Line {
	var out []Line
	for _, e := range r.Entries {
		if e.Kind == repair.EntryPlan || e.Treatment < 0 || e.Treatment >= len(r.Plan.Treatments) {
			continue
		}
		t := r.Plan.Treatments[e.Treatment]
		ev := repair.Event{Kind: e.Kind, Treatment: t.ID, Step: e.Step + 1, Steps: len(t.Steps), Err: e.Err, Said: e.Said, Against: e.Against, Point: e.Point}
		if e.Step >= 0 && e.Step < len(t.Steps) {
			ev.Change = &t.Steps[e.Step].Change
		}
		if a := e.Act; a != nil {
			ev.About, ev.Args, ev.Change, ev.Tried = a.About, a.Args, a.Change, a.Try
		}
		if e.Kind == repair.EntryTried {
			ev.Course, ev.Trial = r.Plan.Only(), r.Plan.Trial(e)
		}
		if e.Outcome != nil {
			ev.Code = e.Outcome.Result
		}
		out = append(out, Line{e.Time, ev})
	}
	return out
}

// Open reads files that somebody handed over, and returns the id of what becomes of
// them. done is called once they are not needed any more.
func (s *Session) Open(name string, size int64, paths []string, done func()) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.state.Files) >= maxFiles {
		return 0, ErrNow
	}
	s.files++
	id := s.files
	s.update(func(st *State) {
		st.Files = append(st.Files, File{ID: id, Name: name, Bytes: size, Work: Work{What: "ui.work.read"}})
	})
	s.async(func(ctx context.Context) {
		set := func(f func(*File)) {
			s.change(func(st *State) {
				if i := slices.IndexFunc(st.Files, func(f File) bool { return f.ID == id }); i >= 0 {
					f(&st.Files[i])
				}
			})
		}
		read := func() (*Patient, error) {
			defer done() // before anybody is told that it is read
			return s.doctor.Open(ctx, paths, func(w Work) { set(func(f *File) { f.Work = w }) })
		}
		p, err := read()
		set(func(f *File) { f.Patient, f.Err, f.Work = p, err, Work{} })
	})
	return id, nil
}

// Forget closes what was handed over.
func (s *Session) Forget(id int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.state.Files, func(f File) bool { return f.ID == id })
	if i < 0 {
		return ErrGone
	}
	s.update(func(st *State) { st.Files = slices.Delete(slices.Clone(st.Files), i, i+1) })
	return nil
}
