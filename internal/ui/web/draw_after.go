package web

import (
	"fmt"
	"slices"

	"updoc/internal/host"
	"updoc/internal/repair"
	"updoc/internal/report"
	"updoc/internal/ui"
)

// What has been done: a run that is over, and the list of them.

// afterData is a run that is over, or where it stands.
type afterData struct {
	common
	Nothing          bool
	Seal, When, Run  string
	Headline, Lead   string
	Stage, Before    string
	Proofs           []proof
	Changed          []change
	Conflicts        []string
	Undoable         int
	Story            []report.ShownStory // what courses tell of themselves
	Cured            bool
	Helped           string
	CanGoOn, CanLook bool
	Log              []logLine
}

type proof struct {
	Title, Code string
	Good        bool
}

// after draws a run by its journal, so that it is the same after a restart.
func (d *draws) after(run string) ([]part, error) {
	a := afterData{common: d.common()}
	if run == "" {
		a.Nothing = true
		return d.one("after", a)
	}
	r, err := d.page.Session.Doctor().Run(d.ctx, run)
	if err != nil {
		if d.name == "run" {
			return nil, fmt.Errorf("%w: %w", ui.ErrGone, err)
		}
		a.Nothing = true
		return d.one("after", a)
	}
	here := run == d.st.Run && !d.st.Phase.Busy()
	a.Run, a.Undoable, a.Helped, a.Stage = run, r.Undoable, r.Helped, d.stage(r.Plan)
	a.Story = report.NewStory(r.Told)
	a.When = d.say("ui.after.kicker", "when", r.Began.Local().Format("2006-01-02 15:04"))
	if c := r.Plan.Failure.Code; c != 0 {
		a.Before = c.String()
	}
	last, acts := map[[2]int]int{}, map[[2]int]*host.Change{}
	for _, e := range r.Entries {
		if e.Treatment < 0 || e.Treatment >= len(r.Plan.Treatments) {
			continue
		}
		t := r.Plan.Treatments[e.Treatment]
		at := [2]int{e.Treatment, e.Step}
		set := func(m ui.Mark) {
			i, ok := last[at]
			switch {
			case !ok:
			case e.Step < len(t.Steps):
				a.Changed[i] = d.step(t.Steps[e.Step], m)
			case acts[at] != nil:
				a.Changed[i] = d.step(repair.Step{Change: *acts[at]}, m)
			}
		}
		switch e.Kind {
		case repair.EntryBegin:
			if e.Act != nil && e.Act.Change != nil && !e.Act.Change.Looks() && !report.Passing(t) {
				acts[at] = e.Act.Change
			}
			if e.Step < len(t.Steps) || acts[at] != nil {
				if _, ok := last[at]; !ok {
					last[at] = len(a.Changed)
					a.Changed = append(a.Changed, change{})
				}
				set(ui.MarkNow)
			}
		case repair.EntryDone:
			set(ui.MarkDone)
			if i, ok := last[at]; ok {
				a.Changed[i].MarkText = "" // which is what the heading says
			}
		case repair.EntryUndone:
			set(ui.MarkBack)
		case repair.EntryConflict:
			set(ui.MarkPassed)
			if e.Step < len(t.Steps) {
				a.Conflicts = append(a.Conflicts, report.ChangeText(t.Steps[e.Step].Change))
			}
		case repair.EntryTried:
			p := proof{Title: report.RemedyTitle(t.ID)}
			if e.Outcome != nil {
				if p.Good = !e.Outcome.Result.Failed() || e.Outcome.Result.Benign(); !p.Good {
					p.Code = e.Outcome.Result.String()
				}
			}
			a.Proofs = append(a.Proofs, p)
		}
	}
	a.Changed = slices.DeleteFunc(a.Changed, func(c change) bool { return c.Text == "" })
	result, undone := r.Result, len(a.Changed) > 0 && r.Standing == 0
	if here && d.st.Result != "" {
		result = d.st.Result
	}
	a.Cured = result == repair.Cured
	a.Seal, a.Headline, a.Lead = d.outcome(result, undone, a.Stage, r.Plan.Only())
	if here {
		a.CanGoOn = result == repair.Stopped && r.Result == ""
		a.CanLook = true
	}
	if d.name == "run" {
		a.Log = logOf(r.Events())
	} else {
		a.Log = logOf(d.st.Log)
	}
	return d.one("after", a)
}

// outcome is how a run ended, in words.
func (d *draws) outcome(res repair.Result, undone bool, stage, course string) (seal, headline, lead string) {
	key := string(res)
	switch {
	case undone && (res == repair.Cured || res == repair.Stopped || res == repair.Unproven || res == repair.Left):
		key, seal = "undone", "unknown"
	case res == repair.Cured:
		seal = "healthy"
	case res == repair.Restart:
		seal = "waiting"
	case res == "":
		key, seal = "unfinished", "waiting"
	case res == repair.Broken || res == repair.NotCured:
		seal = "problems"
	default:
		seal = "unknown"
	}
	say := func(id string) string { return ui.OfCourse(d.words, id+key, course, "stage", stage) }
	return seal, say("ui.result."), say("ui.result-lead.")
}

// historyData is the list of runs.
type historyData struct {
	Root, Error string
	Runs        []runItem
}

type runItem struct {
	repair.Summary
	Mark, Icon, Headline, Cause, StandingText string
}

func (d *draws) history() historyData {
	h := historyData{Root: d.page.base}
	list, err := d.page.Session.Doctor().Runs(d.ctx)
	if err != nil {
		h.Error = d.trouble(err)
		return h
	}
	const most = 200
	for _, s := range list[:min(len(list), most)] {
		x := runItem{Summary: s, Icon: "dash", StandingText: d.say("ui.history.none")}
		if s.Standing > 0 {
			x.StandingText = d.count("ui.history.standing", s.Standing)
		}
		if s.Lasting() > 0 {
			x.StandingText += ", " + d.count("ui.history.lasting", s.Lasting())
		}
		undone := s.Helped != "" && s.Standing == 0
		_, x.Headline, _ = d.outcome(s.Result, undone, d.say("stage.any"), s.Course)
		switch {
		case s.Err != "":
			x.Headline, x.Icon = d.say("ui.history.unreadable"), "cross"
		case undone:
			x.Icon = "undo"
		case s.Result == repair.Cured:
			x.Mark, x.Icon = "cured", "check"
		case s.Result == repair.Broken || s.Result == repair.NotCured:
			x.Mark, x.Icon = "failed", "cross"
		case s.Result == "":
			x.Icon = "clock"
		}
		if len(s.Causes) > 0 {
			x.Cause = report.CauseTitle(s.Causes[0])
		}
		h.Runs = append(h.Runs, x)
	}
	return h
}
