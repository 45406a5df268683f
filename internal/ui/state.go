package ui

import (
	"slices"
	"time"

	"updoc/internal/repair"
)

// Phase is what a visit is at.
type Phase string

// The phases.
const (
	Looking Phase = "looking" // at the machine
	Ready   Phase = "ready"   // it was looked at, nothing is being done
	Failed  Phase = "failed"  // it could not be looked at
	Working Phase = "working" // a plan is carried out
	Waiting Phase = "waiting" // for a restart of the machine
	Over    Phase = "over"    // a plan was carried out, or broken off
	Undoing Phase = "undoing" // a run is taken back
	Undone  Phase = "undone"  // it was taken back
)

// Busy reports a phase in which the machine is being changed.
func (p Phase) Busy() bool { return p == Working || p == Undoing }

// State is a visit at one moment: a value that nobody changes any more.
type State struct {
	Version int64 // grows with each change
	Phase   Phase
	Since   time.Time // of the phase
	Work    Work      // while Looking, or of a tool while Working
	Patient *Patient  // nil until the machine was looked at
	Err     error     // why the last thing asked for did not go

	Run      string        // that is carried out, or was
	Plan     *repair.Plan  // of that run
	Parts    []Part        // one for each treatment of that plan
	At       int           // the treatment that is being carried out, -1: none
	Log      []Line        // what happened, at most maxLog, the last ones
	Lines    int           // that were told in all
	Question *Question     // that a person has to answer
	Paused   bool          // between two changes, until a person goes on
	Stopping bool          // as soon as the change that is being made is
	Result   repair.Result // how the run ended, or why it waits
	Returns  bool          // the visit comes back by itself after the restart that the run waits for
	Live     bool          // somebody else carries the run out: its journal grows while the visit waits
	Hidden   bool          // that there is the run is all that is known: an administrator may read more
	Asking   bool          // the person is asked for an administrator's rights, to read it

	Undoable int            // changes of that run that taking it back takes back
	Lasting  int            // and those that stay whatever is done
	Undone   *repair.Undone // what taking a run back did

	Files []File // evidence that somebody handed over
}

// Mark is how a part of a plan stands.
type Mark string

// The marks.
const (
	MarkWaits  Mark = "waits"  // its turn has not come
	MarkNow    Mark = "now"    // it is being carried out
	MarkCured  Mark = "cured"  // after it, what failed went well
	MarkDone   Mark = "done"   // it was carried out, and updating fails still or could not be tried
	MarkPassed Mark = "passed" // it was passed over
	MarkFailed Mark = "failed" // a change could not be made, and what there was of it is taken back
	MarkBack   Mark = "back"   // it was taken back
)

// Part is how far one treatment has come.
type Part struct {
	Mark  Mark
	Steps []Mark // waits, now, done, passed (it was so already), failed, back
	Tried *Tried // what trying again showed; nil: not tried
	Began time.Time
}

// Tried is the failed stage, repeated.
type Tried struct {
	Good bool
	Code string // where it failed
	Err  string // why it could not be tried
}

// Line is one event of a run.
type Line struct {
	Time  time.Time
	Event repair.Event
}

// Question waits for a person.
type Question struct {
	ID        int // which an answer names
	Treatment repair.Treatment
	Index     int // in the plan
}

// File is evidence of another machine.
type File struct {
	ID      int
	Name    string // as it was called
	Bytes   int64
	Work    Work
	Patient *Patient // nil: it is still read, or Err says why it cannot be
	Err     error
}

const (
	maxLog   = 2000
	maxFiles = 8
)

// clone makes a value that later changes do not reach.
func (s *State) clone() State {
	out := *s
	out.Parts = slices.Clone(s.Parts)
	for i := range out.Parts {
		out.Parts[i].Steps = slices.Clone(out.Parts[i].Steps)
	}
	out.Log, out.Files = slices.Clone(s.Log), slices.Clone(s.Files)
	return out
}

// Progress is how much of the plan lies behind, from 0 to 1, by the minutes that its
// treatments take.
func (s *State) Progress() float64 {
	done, all := 0.0, 0.0
	for i, p := range s.Parts {
		minutes := float64(max(s.Plan.Treatments[i].Minutes, 1))
		if s.mine(i) {
			all += minutes
			done += minutes * p.share()
		}
	}
	if all == 0 {
		return 0
	}
	return done / all
}

// mine reports a treatment that updoc carries out.
func (s *State) mine(i int) bool {
	t := s.Plan.Treatments[i]
	return t.Risk != repair.RiskOutside && t.How != repair.Advice
}

func (p Part) share() float64 {
	switch {
	case p.Mark == MarkWaits:
		return 0
	case p.Mark != MarkNow:
		return 1
	case len(p.Steps) == 0:
		return .5
	}
	n := 0.0
	for _, m := range p.Steps {
		if m != MarkWaits && m != MarkNow {
			n++
		}
	}
	return n / float64(len(p.Steps)+1) // trying again is a step too
}

// Left is how long the treatment that is carried out may take at most, and the ones
// after it if it does not help. 0: not known.
func (s *State) Left(now time.Time) (this, all time.Duration) {
	if s.Plan == nil {
		return 0, 0
	}
	for i, p := range s.Parts {
		minutes := time.Duration(max(s.Plan.Treatments[i].Minutes, 1)) * time.Minute
		switch {
		case !s.mine(i):
		case p.Mark == MarkNow:
			this = max(minutes-now.Sub(p.Began), 30*time.Second)
			if s.Work.Left > 0 {
				this = s.Work.Left
			}
			all += this
		case p.Mark == MarkWaits:
			all += minutes
		}
	}
	return this, all
}
