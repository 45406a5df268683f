package web

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"updoc/internal/host"
	"updoc/internal/repair"
	"updoc/internal/report"
	"updoc/internal/ui"
)

// The plan: what is to be done, what is being done, what is left out.

// treatment is one of a plan.
type treatment struct {
	N         int
	ID, Title string
	Mark      string
	MarkText  string
	Icon      string
	Costs     []cost
	Against   string
	Chance    string
	Asks      bool
	Permanent bool
	Open      bool // its changes are shown
	Steps     []change
	Course    *report.CourseText // in the place of steps: what it may do at most
	Leads     []lead
}

// lead is what a person should know: paragraphs, and what to paste.
type lead struct {
	Paras []para
	Paste string
}

// para is a paragraph; a long list in it folds out.
type para struct {
	Begin, Text string
	Long        bool
}

func newLead(text, paste string) lead {
	l := lead{Paste: paste}
	for p := range strings.SplitSeq(text, "\n\n") {
		x := para{Text: report.Clean(p)}
		if strings.Count(x.Text, ";") > 6 && len(x.Text) > 240 {
			x.Long = true
			cut := strings.IndexByte(x.Text, ';')
			x.Begin = strings.TrimRight(x.Text[:cut], "\"") + " …"
		}
		l.Paras = append(l.Paras, x)
	}
	return l
}

type cost struct{ Icon, Text string }

// change is one step in words.
type change struct{ Text, Note, Mark, MarkText, Icon string }

func (d *draws) treatment(i int, t repair.Treatment) treatment {
	x := treatment{ID: t.ID, Title: report.RemedyTitle(t.ID), Mark: string(ui.MarkWaits), Asks: t.How == repair.Guided || t.Risk == repair.RiskPermanent, Permanent: t.Risk == repair.RiskPermanent}
	x.Costs = d.costs(t)
	if len(t.Causes) > 0 {
		x.Against = report.CauseTitle(t.Causes[0])
	}
	x.Chance = d.say("ui.plan.chance", "percent", fmt.Sprintf("%.0f %%", min(100*t.Chance, 99)))
	for _, s := range t.Steps {
		x.Steps = append(x.Steps, d.step(s, ui.MarkWaits))
	}
	if c, ok := report.NewCourseText(t, ""); ok {
		x.Course = &c
	}
	for _, l := range t.Lead {
		x.Leads = append(x.Leads, newLead(report.Sentence(l), report.WithoutPasswords(l.Paste)))
	}
	return x
}

func (d *draws) costs(t repair.Treatment) []cost {
	minutes := d.say("ui.cost.minutes", "n", t.Minutes)
	if t.Minutes <= 1 {
		minutes = d.say("ui.cost.minute")
	}
	out := []cost{{"clock", minutes}}
	if t.Restart == "" || t.Restart == "no" {
		out = append(out, cost{"restart", d.say("ui.cost.no-restart")})
	} else {
		out = append(out, cost{"restart", d.say("ui.cost.restart-" + t.Restart)})
	}
	switch {
	case report.Passing(t):
		out = append(out, cost{"undo", d.say("ui.cost.passing")})
	case t.Risk == repair.RiskPermanent:
		out = append(out, cost{"lock", d.say("ui.cost.permanent")})
	case t.Risk == repair.RiskNone:
		out = append(out, cost{"eye", d.say("ui.cost.none")})
	default:
		out = append(out, cost{"undo", d.say("ui.cost.undo")})
	}
	if t.How == repair.Guided {
		out = append(out, cost{"person", d.say("ui.cost.asks")})
	}
	return out
}

func (d *draws) step(s repair.Step, m ui.Mark) change {
	c := change{Text: report.ChangeText(s.Change), Mark: string(m), Icon: iconOf(m)}
	switch {
	case s.Lease > 0:
		c.Note = d.say("ui.step.lease", "n", s.Lease)
	case s.Lasting != "":
		c.Note = d.say("ui.step.lasting")
	case s.Change.Kind == host.Run && len(s.Undo) == 0:
		c.Note = d.say("ui.step.no-undo")
	}
	if m != ui.MarkWaits {
		c.MarkText = d.say("ui.step." + string(m))
	}
	return c
}

func iconOf(m ui.Mark) string {
	switch m {
	case ui.MarkDone, ui.MarkCured:
		return "check"
	case ui.MarkPassed:
		return "dash"
	case ui.MarkFailed:
		return "cross"
	case ui.MarkBack:
		return "undo"
	case ui.MarkNow:
		return "arrow"
	}
	return "dot"
}

// planHead is the top of a plan: what it is at, and the commands.
type planHead struct {
	common
	MachineName      string
	Summary          string
	LeftText         string
	Paused, Stopping bool
	Undoing, Asking  bool
	CanRestart       bool
	Undoable         int
	MayReturn        bool // a restart may be needed, after which the page comes back by itself
	Run              string
}

// question is what a person is asked.
type question struct {
	common
	Question *asked
}

type asked struct {
	treatment
	ID int
}

// planRest is what follows the steps.
type planRest struct {
	Root, Run string
	Outsiders []treatment
	LeftOut   []leftOut
	Log       []logLine
	LogCount  int
	LogMore   bool
}

type leftOut struct {
	Titles []string
	Why    string
}

type logLine struct {
	Time time.Time
	Text string
}

const logShown = 60

// plan draws the plan that is carried out, or that would be.
func (d *draws) plan() ([]part, error) {
	c := d.common()
	plan := d.running()
	if plan == nil && d.patient != nil && c.Screen != "hidden" {
		plan = d.patient.Plan
	}
	if c.Screen == "hidden" {
		html, err := d.render("plan-head", planHead{common: c})
		return []part{{ID: "head", HTML: html}, {ID: "question"}, {ID: "rest"}}, err
	}
	if plan == nil {
		return d.one("nothing-yet", nil)
	}
	head := planHead{common: c, Paused: d.st.Paused, Stopping: d.st.Stopping, Undoing: d.st.Phase == ui.Undoing, Asking: d.st.Question != nil, Run: d.st.Run, Undoable: d.st.Undoable}
	_, head.CanRestart = d.page.Session.Doctor().(ui.Restarter)
	if head.MachineName = plan.Machine.Name; head.MachineName == "" {
		head.MachineName = d.say("ui.this-pc")
	}
	if d.file == nil {
		head.LeftText = d.left()
		head.WorkText = d.work(d.st.Work)
	}
	var steps []part
	var list []treatment
	rest := planRest{Root: d.page.base, Run: d.st.Run}
	minutes, n := 0, 0
	for i, t := range plan.Treatments {
		x := d.treatment(i, t)
		if !mine(t) {
			rest.Outsiders = append(rest.Outsiders, x)
			continue
		}
		n++
		x.N = n
		head.MayReturn = head.MayReturn || t.Restart != "" && t.Restart != "no" && d.page.Session.CanReturn()
		minutes += max(t.Minutes, 1)
		if d.running() != nil && i < len(d.st.Parts) {
			d.mark(&x, t, d.st.Parts[i])
		}
		list = append(list, x)
	}
	switch {
	case n == 0 && len(rest.Outsiders) > 0:
		head.Summary = d.say("ui.plan.only-outside")
	case n == 0:
		head.Summary = d.say("ui.plan.empty")
	default:
		head.Summary = d.count("ui.plan.summary", n, "minutes", minutes, "stage", d.stage(plan))
	}
	for _, l := range plan.LeftOut {
		why, n := report.Clean(report.Sentence(l.Why)), len(rest.LeftOut)
		if n == 0 || rest.LeftOut[n-1].Why != why {
			rest.LeftOut = append(rest.LeftOut, leftOut{Why: why})
			n++
		}
		rest.LeftOut[n-1].Titles = append(rest.LeftOut[n-1].Titles, report.RemedyTitle(l.ID))
	}
	if d.running() != nil {
		log := d.st.Log
		if rest.LogCount = d.st.Lines; len(log) > logShown {
			log, rest.LogMore = log[len(log)-logShown:], true
		}
		rest.Log = logOf(log)
	}
	q := question{common: c}
	if s := d.st.Question; s != nil && d.file == nil {
		x := asked{treatment: d.treatment(s.Index, s.Treatment), ID: s.ID}
		x.Open = true
		q.Question = &x
	}
	add := func(id, class, name string, data any) error {
		html, err := d.render(name, data)
		steps = append(steps, part{ID: id, Class: class, HTML: html})
		return err
	}
	if err := add("head", "", "plan-head", head); err != nil {
		return nil, err
	}
	if err := add("question", "", "plan-question", q); err != nil {
		return nil, err
	}
	for _, x := range list {
		if err := add("t-"+strconv.Itoa(x.N), "", "plan-step", x); err != nil {
			return nil, err
		}
	}
	return steps, add("rest", "", "plan-rest", rest)
}

// running is the plan that is carried out, or waits, or has cured; nil: there is one to
// be begun, if any.
func (d *draws) running() *repair.Plan {
	switch {
	case d.file != nil:
	case d.st.Phase.Busy(), d.st.Phase == ui.Waiting, d.st.Phase == ui.Over && d.st.Result == repair.Cured:
		return d.st.Plan
	}
	return nil
}

func (d *draws) stage(plan *repair.Plan) string {
	s := string(plan.Failure.Stage)
	if s == "" {
		s = "any"
	}
	return d.say("stage." + s)
}

// mark puts into a treatment how far it has come.
func (d *draws) mark(x *treatment, t repair.Treatment, p ui.Part) {
	x.Mark, x.Icon = string(p.Mark), iconOf(p.Mark)
	if p.Mark != ui.MarkWaits {
		x.MarkText = d.say("ui.mark." + string(p.Mark))
	}
	if p.Mark == ui.MarkDone && p.Tried != nil && p.Tried.Err != "" {
		x.MarkText = d.say("ui.mark.not-tried")
	}
	for k := range x.Steps {
		if k < len(p.Steps) {
			x.Steps[k] = d.step(t.Steps[k], p.Steps[k])
		}
	}
	x.Open = p.Mark == ui.MarkNow
}

// left says how long it may take.
func (d *draws) left() string {
	if d.st.Phase != ui.Working {
		return ""
	}
	if d.st.Question != nil {
		return d.say("ui.left.you")
	}
	this, all := d.st.Left(d.page.Session.Now())
	n := func(t time.Duration) int { return int((t + time.Minute - 1) / time.Minute) }
	switch {
	case this == 0 && all == 0:
		return ""
	case this == 0:
		return d.say("ui.left.all", "n", n(all))
	case this < time.Minute && n(all) <= 1:
		return d.say("ui.left.soon")
	}
	return d.say("ui.left.this", "n", n(this), "all", n(all))
}

func logOf(list []ui.Line) []logLine {
	var out []logLine
	for _, l := range list {
		text := report.EventText(l.Event)
		if text == "" {
			continue
		}
		if l.Event.Treatment != "" {
			text = report.RemedyTitle(l.Event.Treatment) + ": " + text
		}
		out = append(out, logLine{l.Time, report.Clean(text)})
	}
	return out
}
