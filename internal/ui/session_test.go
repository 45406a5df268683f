package ui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/repair"
	"updoc/internal/report"
)

// fake is a doctor whose machine does what a test says.
type fake struct {
	plan    *repair.Plan
	runs    []repair.Summary
	entries []repair.Entry
	fix     func(ctx context.Context, o Order, w Watch) (repair.Result, error)
	fail    error
	restart int
}

func (f *fake) Examine(context.Context, func(Work)) (*Patient, error) {
	if f.fail != nil {
		return nil, f.fail
	}
	return &Patient{Doc: &report.Document{Verdict: "problems"}, Plan: f.plan, Hash: f.plan.Hash()}, nil
}

func (f *fake) Open(context.Context, []string, func(Work)) (*Patient, error) {
	return f.Examine(context.Background(), nil)
}
func (f *fake) Explain(string) (*report.Explanations, error) { return nil, nil }
func (f *fake) Fix(ctx context.Context, o Order, w Watch) (repair.Result, error) {
	return f.fix(ctx, o, w)
}

func (f *fake) Undo(_ context.Context, run string, tell func(repair.Event)) (repair.Undone, error) {
	tell(repair.Event{Kind: repair.EntryUndone, Treatment: "one", Step: 1})
	return repair.Undone{Back: 1}, nil
}
func (f *fake) Runs(context.Context) ([]repair.Summary, error) { return f.runs, nil }
func (f *fake) Run(_ context.Context, run string) (*Run, error) {
	return &Run{Summary: repair.Summary{Run: run}, Plan: f.plan, Entries: f.entries}, nil
}
func (f *fake) Pack(context.Context, bool, func(Work)) (*Pack, error) { return nil, nil }
func (f *fake) Restart(context.Context) error                         { f.restart++; return nil }

// course is a plan of two treatments of two steps each, and one that others have to do.
func course() *repair.Plan {
	step := repair.Step{Change: host.Change{Kind: host.ServiceStop, Path: "wuauserv"}}
	return &repair.Plan{
		Schema: repair.Schema, Run: "r-1", Failure: repair.Failure{Stage: facts.StageScan},
		Treatments: []repair.Treatment{
			{ID: "one", How: repair.Automatic, Risk: repair.RiskReversible, Minutes: 2, Steps: []repair.Step{step, step}},
			{ID: "tell", How: repair.Advice, Risk: repair.RiskOutside},
			{ID: "two", How: repair.Guided, Risk: repair.RiskReversible, Minutes: 3, Steps: []repair.Step{step, step}},
		},
	}
}

// stage waits until everything that goes on waits, and returns the state.
func stage(s *Session) State {
	synctest.Wait()
	st, _ := s.State()
	return st
}

func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{plan: course()}
		f.fix = func(ctx context.Context, o Order, w Watch) (repair.Result, error) {
			if o.Hash != f.plan.Hash() {
				return "", ErrPlan
			}
			say := func(kind repair.EntryKind, id string, step int, code codes.HRESULT) {
				w.Tell(repair.Event{Kind: kind, Treatment: id, Step: step, Code: code})
			}
			say(repair.EntryBegin, "one", 1, 0)
			time.Sleep(time.Minute)
			say(repair.EntryDone, "one", 1, 0)
			say(repair.EntrySkipped, "one", 2, 0)
			say(repair.EntryTreated, "one", 0, 0)
			say(repair.EntryTried, "one", 0, 0x80070422)
			yes, err := w.Ask(ctx, f.plan.Treatments[2])
			if err != nil {
				return "", err
			}
			if !yes {
				say(repair.EntryPassed, "two", 0, 0)
				return repair.Left, nil
			}
			say(repair.EntryBegin, "two", 1, 0)
			say(repair.EntryDone, "two", 1, 0)
			say(repair.EntryTried, "two", 0, 0)
			return repair.Cured, nil
		}
		s := New(t.Context(), f, Options{})
		defer s.Close()
		st := stage(s)
		if st.Phase != Ready || st.Patient == nil {
			t.Fatalf("after looking: %+v", st)
		}
		if err := s.Fix("another"); !errors.Is(err, ErrPlan) {
			t.Errorf("a plan that was not shown: %v", err)
		}
		if err := s.Fix(st.Patient.Hash); err != nil {
			t.Fatal(err)
		}
		st = stage(s)
		this, all := st.Left(s.Now())
		if st.Phase != Working || st.At != 0 || st.Parts[0].Mark != MarkNow || this != 2*time.Minute || all != 5*time.Minute || st.Progress() != 0 {
			t.Errorf("while it works: %+v, %v of %v left", st, this, all)
		}
		for name, err := range map[string]error{"fix": s.Fix(st.Patient.Hash), "look": s.Look(), "undo": s.Undo("r-1"), "go on": s.GoOn(), "answer": s.Answer(1, true), "restart": s.Restart()} {
			if err == nil {
				t.Errorf("%s can be done while it works", name)
			}
		}
		if err := s.Pause(true); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Minute)
		st = stage(s)
		if !st.Paused || !slices.Equal(st.Parts[0].Steps, []Mark{MarkDone, MarkWaits}) {
			t.Errorf("in the pause: %+v", st.Parts[0])
		}
		if err := s.Pause(false); err != nil {
			t.Error(err)
		}
		st = stage(s)
		if st.Question == nil || st.Question.Index != 2 || st.Parts[0].Mark != MarkDone || st.Parts[0].Tried.Code != "0x80070422" || !slices.Equal(st.Parts[0].Steps, []Mark{MarkDone, MarkPassed}) {
			t.Fatalf("at the question: %+v", st)
		}
		id := st.Question.ID
		if err := s.Answer(id+1, true); !errors.Is(err, ErrGone) {
			t.Errorf("an answer to nothing: %v", err)
		}
		if err := s.Answer(id, true); err != nil {
			t.Error(err)
		}
		if err := s.Answer(id, false); !errors.Is(err, ErrGone) {
			t.Errorf("a second answer: %v", err)
		}
		st = stage(s)
		if st.Phase != Over || st.Result != repair.Cured || st.Parts[2].Mark != MarkCured || st.Question != nil || st.Progress() != 1 || len(st.Log) != 8 {
			t.Errorf("at the end: %+v", st)
		}
		if err := s.Undo("r-1"); err != nil {
			t.Error(err)
		}
		if st = stage(s); st.Phase != Undone || st.Undone.Back != 1 || st.Parts[0].Mark != MarkBack {
			t.Errorf("taken back: %+v", st)
		}
	})
}

// TestStop: a run that is stopped, also while it waits for a person or in a pause, ends
// whole and can be gone on with.
func TestStop(t *testing.T) {
	for _, where := range []string{"question", "pause", "work"} {
		t.Run(where, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{plan: course()}
				var orders []Order
				f.fix = func(ctx context.Context, o Order, w Watch) (repair.Result, error) {
					if orders = append(orders, o); len(orders) == 2 {
						return repair.Cured, nil
					}
					switch where {
					case "question":
						if _, err := w.Ask(ctx, f.plan.Treatments[2]); err != nil {
							return "", fmt.Errorf("ask: %w", err)
						}
					case "pause":
						w.Tell(repair.Event{Kind: repair.EntryBegin, Treatment: "one", Step: 1})
						time.Sleep(time.Second)
						w.Tell(repair.Event{Kind: repair.EntryDone, Treatment: "one", Step: 1})
					case "work":
						<-ctx.Done()
					}
					return "", ctx.Err()
				}
				s := New(t.Context(), f, Options{})
				defer s.Close()
				if err := s.Fix(stage(s).Patient.Hash); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if where == "pause" {
					if err := s.Pause(true); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Hour)
				}
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
				if st := stage(s); st.Phase != Over || st.Result != repair.Stopped || st.Question != nil || st.Paused {
					t.Fatalf("%+v", st)
				}
				if err := s.GoOn(); err != nil {
					t.Error(err)
				}
				if st := stage(s); st.Phase != Over || st.Result != repair.Cured || orders[1].Run != "r-1" {
					t.Errorf("%+v, orders %+v", st, orders)
				}
			})
		})
	}
}

// TestBegin: a visit begins where the machine is, by its journals.
func TestBegin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{plan: course(), runs: []repair.Summary{{Run: "r-1"}, {Run: "r-0", Result: repair.Cured}}}
		f.entries = []repair.Entry{
			{Kind: repair.EntryPlan, Plan: f.plan},
			{Kind: repair.EntryBegin, Treatment: 0, Step: 0},
			{Kind: repair.EntryBegin, Treatment: 99, Step: 99}, // of no plan
			{Kind: repair.EntryDone, Treatment: 0, Step: 0},
			{Kind: repair.EntryTreated, Treatment: 0},
			{Kind: repair.EntryRestart, Treatment: 0},
		}
		f.fix = func(_ context.Context, o Order, w Watch) (repair.Result, error) {
			if o.Run != "r-1" || f.restart != 1 {
				t.Errorf("order %+v after %d restarts", o, f.restart)
			}
			w.Tell(repair.Event{Kind: repair.EntryTried, Treatment: "one"})
			return repair.Cured, nil
		}
		s := New(t.Context(), f, Options{})
		defer s.Close()
		st := stage(s)
		if st.Phase != Waiting || st.Result != repair.Restart || st.Run != "r-1" || st.Parts[0].Steps[0] != MarkDone || st.Patient == nil || len(st.Log) != 4 {
			t.Fatalf("%+v", st)
		}
		if err := s.Restart(); err != nil {
			t.Error(err)
		}
		if st = stage(s); st.Phase != Over || st.Result != repair.Cured || st.Parts[0].Mark != MarkCured || st.Parts[0].Steps[0] != MarkDone {
			t.Errorf("%+v", st)
		}
	})
}

// TestTrouble: what does not go leaves a visit that can be gone on with.
func TestTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{plan: course(), fail: errors.New("no")}
		s := New(t.Context(), f, Options{})
		defer s.Close()
		if st := stage(s); st.Phase != Failed || st.Err == nil {
			t.Fatalf("%+v", st)
		}
		f.fail = nil
		if err := s.Look(); err != nil {
			t.Error(err)
		}
		st := stage(s)
		if st.Phase != Ready {
			t.Fatalf("%+v", st)
		}
		for _, tt := range []struct {
			err   error
			phase Phase
		}{{ErrBusy, Ready}, {ErrNotAllowed, Ready}, {ErrPlan, Ready}, {errors.New("the disk is full"), Over}} {
			f.fix = func(context.Context, Order, Watch) (repair.Result, error) { return "", fmt.Errorf("fix: %w", tt.err) }
			if err := s.Fix(st.Patient.Hash); err != nil {
				t.Error(err)
			}
			if st := stage(s); st.Phase != tt.phase || !errors.Is(st.Err, tt.err) {
				t.Errorf("%v: %s, %v", tt.err, st.Phase, st.Err)
			}
		}
		for i := range maxFiles {
			if id, err := s.Open("a.zip", 1, nil, func() {}); err != nil || id != i+1 {
				t.Fatalf("file %d: %d, %v", i, id, err)
			}
		}
		if _, err := s.Open("a.zip", 1, nil, func() {}); !errors.Is(err, ErrNow) {
			t.Errorf("one file too many: %v", err)
		}
		stage(s)
		if err := s.Forget(3); err != nil {
			t.Error(err)
		}
		if err := s.Forget(3); !errors.Is(err, ErrGone) {
			t.Errorf("forgotten twice: %v", err)
		}
	})
}

// TestStateIsAValue: who holds a state is not reached by later changes.
func TestStateIsAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{plan: course()}
		turn := make(chan struct{})
		f.fix = func(_ context.Context, _ Order, w Watch) (repair.Result, error) {
			w.Tell(repair.Event{Kind: repair.EntryBegin, Treatment: "one", Step: 1})
			<-turn
			for range 3 * maxLog {
				w.Tell(repair.Event{Kind: repair.EntryDone, Treatment: "one", Step: 1})
			}
			return repair.NotCured, nil
		}
		s := New(t.Context(), f, Options{})
		defer s.Close()
		if err := s.Fix(stage(s).Patient.Hash); err != nil {
			t.Fatal(err)
		}
		before := stage(s)
		close(turn)
		after := stage(s)
		if before.Parts[0].Steps[0] != MarkNow || len(before.Log) != 1 || after.Parts[0].Steps[0] != MarkDone {
			t.Errorf("before %+v, after %+v", before.Parts[0], after.Parts[0])
		}
		if len(after.Log) > maxLog || after.Lines != 3*maxLog+1 {
			t.Errorf("%d lines are held, %d counted", len(after.Log), after.Lines)
		}
	})
}

// homing remembers what has a visit come back.
type homing struct {
	did  []string
	fail error
}

func (h *homing) ComeBack(_ context.Context, run string) error {
	h.did = append(h.did, "back "+run)
	return h.fail
}
func (h *homing) Stay(context.Context) error { h.did = append(h.did, "stay"); return nil }

// TestReturn: a visit whose run waits for a restart is made to come back, and no longer
// once the run goes on, or is taken back. A plan that another process carries out has a
// run of another name, which is the one that counts.
func TestReturn(t *testing.T) {
	for _, tt := range []struct {
		name  string
		act   func(*Session) error
		fail  error
		again repair.Result // of the run when it goes on
		lost  error
		want  []string
	}{
		{"goes on", (*Session).GoOn, nil, repair.Cured, nil, []string{"back r-9", "stay"}},
		{"is stopped", (*Session).GoOn, nil, "", context.Canceled, []string{"back r-9", "stay"}},
		{"the restart is yet to come", (*Session).Restart, nil, repair.Restart, nil, []string{"back r-9", "back r-9"}},
		{"the restart ends the other process first", (*Session).Restart, nil, "", errors.New("lost"), []string{"back r-9"}},
		{"taken back", func(s *Session) error { return s.Undo("r-9") }, nil, "", nil, []string{"back r-9", "stay"}},
		{"closed", func(*Session) error { return nil }, nil, "", nil, []string{"back r-9"}},
		{"it cannot be", (*Session).GoOn, errors.New("denied"), repair.Cured, nil, []string{"back r-9"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, h := &fake{plan: course()}, &homing{fail: tt.fail}
				var orders []Order
				f.fix = func(_ context.Context, o Order, w Watch) (repair.Result, error) {
					if orders = append(orders, o); len(orders) == 2 {
						return tt.again, tt.lost
					}
					theirs := course()
					theirs.Run = "r-9"
					w.Begin(theirs)
					return repair.Restart, nil
				}
				s := New(t.Context(), f, Options{Return: h})
				if err := s.Fix(stage(s).Patient.Hash); err != nil {
					t.Fatal(err)
				}
				if st := stage(s); st.Phase != Waiting || st.Run != "r-9" || st.Returns != (tt.fail == nil) {
					t.Errorf("while it waits: %+v", st)
				}
				if err := tt.act(s); err != nil {
					t.Error(err)
				}
				st := stage(s)
				s.Close()
				if !slices.Equal(h.did, tt.want) || slices.Contains(tt.want, "stay") && st.Returns {
					t.Errorf("did %v, want %v; state %+v", h.did, tt.want, st)
				}
				if len(orders) == 2 && orders[1].Run != "r-9" {
					t.Errorf("went on with %+v", orders[1])
				}
			})
		})
	}
}

// shut is a doctor that tells of no run before it was admitted.
type shut struct {
	*fake
	open   bool
	mu     sync.Mutex // guards result and entries, which grow while the visit looks on
	result repair.Result
	denied error
}

// goOn is what somebody else does in the run.
func (d *shut) goOn(result repair.Result, entries ...repair.Entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.result, d.entries = result, append(d.entries, entries...)
}

func (d *shut) Admit(context.Context) error {
	time.Sleep(time.Second) // Windows asks
	d.open = d.denied == nil
	return d.denied
}

func (d *shut) Runs(context.Context) ([]repair.Summary, error) { return nil, ErrNotAllowed }
func (d *shut) Run(_ context.Context, run string) (*Run, error) {
	if !d.open {
		return nil, ErrNotAllowed
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return &Run{Summary: repair.Summary{Run: run, Result: d.result}, Plan: d.plan, Entries: slices.Clone(d.entries)}, nil
}

// TestComeBack: a visit that comes back begins at its run; where that may not be read
// it says so, and shows it once the person agreed.
func TestComeBack(t *testing.T) {
	for _, tt := range []struct {
		name   string
		result repair.Result
		open   bool
		denied error
		phase  Phase
	}{
		{"cured meanwhile", repair.Cured, true, nil, Over},
		{"cured, and for administrators alone", repair.Cured, false, nil, Over},
		{"not over yet", "", false, nil, Waiting},
		{"not agreed to", repair.Cured, false, ErrNotAllowed, Waiting},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &shut{fake: &fake{plan: course()}, open: tt.open, result: tt.result, denied: tt.denied}
				s := New(t.Context(), d, Options{Run: "r-1"})
				defer s.Close()
				st := stage(s)
				if st.Run != "r-1" || st.Hidden == tt.open || st.Patient == nil {
					t.Fatalf("it begins at %+v", st)
				}
				if st.Hidden {
					if s.GoOn() == nil || s.Restart() == nil || s.Undo("r-1") == nil {
						t.Error("something can be done to a run that nobody saw")
					}
					if err := s.Reveal(); err != nil {
						t.Fatal(err)
					}
					if st := stage(s); !st.Asking || s.Reveal() == nil {
						t.Errorf("while Windows asks: %+v", st)
					}
					time.Sleep(2 * time.Second)
					st = stage(s)
				}
				if st.Phase != tt.phase || st.Result == repair.Cured != (tt.phase == Over) || st.Hidden != (tt.denied != nil) || !errors.Is(st.Err, tt.denied) || st.Asking {
					t.Errorf("then it is at %+v", st)
				}
			})
		})
	}
}

// TestFollow: what somebody else does in the run that the visit is at is shown while it
// happens, up to its end; and no longer once the visit is elsewhere.
func TestFollow(t *testing.T) {
	entry := func(kind repair.EntryKind, step int) repair.Entry { return repair.Entry{Kind: kind, Step: step} }
	begin := func(t *testing.T) (*shut, *Session) {
		d := &shut{fake: &fake{plan: course()}, open: true}
		d.goOn("", entry(repair.EntryBegin, 0), entry(repair.EntryDone, 0), repair.Entry{Kind: repair.EntryRestart})
		s := New(t.Context(), d, Options{Run: "r-1"})
		if st := stage(s); st.Phase != Waiting || st.Result != repair.Restart || st.Live {
			t.Fatalf("it begins at %+v", st)
		}
		return d, s
	}
	synctest.Test(t, func(t *testing.T) {
		d, s := begin(t)
		defer s.Close()
		before, _ := s.State()
		time.Sleep(10 * followEvery)
		if st := stage(s); st.Version > before.Version+1 { // the look at the machine
			t.Errorf("nothing happened, and it was told %d times", st.Version-before.Version)
		}
		d.goOn("", entry(repair.EntryBegin, 1))
		time.Sleep(2 * followEvery)
		if st := stage(s); !st.Live || st.Lines != 4 || len(st.Log) != 4 || st.Parts[0].Steps[1] != MarkNow || st.Result == repair.Restart {
			t.Errorf("under way: %+v", st)
		}
		d.goOn(repair.Cured, entry(repair.EntryDone, 1))
		time.Sleep(2 * followEvery)
		if st := stage(s); st.Live || st.Phase != Over || st.Result != repair.Cured || st.Lines != 5 || st.Parts[0].Steps[1] != MarkDone {
			t.Errorf("at its end: %+v", st)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		d, s := begin(t)
		defer s.Close()
		if err := s.Look(); err != nil {
			t.Fatal(err)
		}
		d.goOn(repair.Cured)
		time.Sleep(2 * followEvery)
		if st := stage(s); st.Phase != Ready || st.Run != "" {
			t.Errorf("it was called back: %+v", st)
		}
	})
}
