package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/repair"
	"updoc/internal/report"
	"updoc/internal/ui"
)

// part is a piece of a page that is drawn anew by itself.
type part struct {
	ID    string
	Class string
	HTML  template.HTML // made by a template, which escapes what it shows
}

// draws is a view being drawn.
type draws struct {
	page    *Page
	ctx     context.Context
	words   *message.Catalog
	view    string // "plan", "other/3/plan", "run/20310203-120000-4f2a"
	name    string // "plan"
	st      ui.State
	file    *ui.File    // whose evidence is shown; nil: this machine
	patient *ui.Patient // the machine that is shown; nil: not looked at yet
	query   url.Values
}

func (p *Page) drawing(ctx context.Context, words *message.Catalog, view string, st ui.State) *draws {
	d := &draws{page: p, ctx: ctx, words: words, view: view, name: view, st: st, patient: st.Patient}
	if rest, ok := strings.CutPrefix(view, "other/"); ok {
		d.patient = nil
		id, name, _ := strings.Cut(rest, "/")
		d.name = name
		for i := range st.Files {
			if strconv.Itoa(st.Files[i].ID) == id && st.Files[i].Patient != nil {
				d.file, d.patient = &st.Files[i], st.Files[i].Patient
			}
		}
		if d.file == nil {
			d.name = "gone"
		}
	}
	if strings.HasPrefix(view, "run/") {
		d.name = "run"
	}
	return d
}

// count says how many of something there are; one has a sentence of its own.
func (d *draws) count(key string, n int, args ...any) string {
	if n == 1 {
		key += "-1"
	}
	return d.words.Text(key, append(args, "n", n)...)
}

func (d *draws) say(key string, args ...any) string { return d.words.Text(key, args...) }

func (d *draws) render(name string, data any) (template.HTML, error) {
	var b bytes.Buffer
	err := d.page.views[d.words.Lang].ExecuteTemplate(&b, name, data)
	return template.HTML(b.String()), err
}

// layout is the frame around the parts.
type layout struct {
	Lang, Title, Root, View, Phase, CSRF string
	PC                                   template.HTML
	Nav                                  []navItem
	Parts                                []part
}

type navItem struct {
	Title            string // of a group
	URL, Label, Icon string
	Now              bool
}

func (d *draws) layout(parts []part) layout {
	out := layout{Lang: d.words.Lang, Root: d.page.base, View: d.view, Phase: string(d.st.Phase), CSRF: d.page.csrf}
	for _, x := range parts {
		if x.ID == "pc" {
			out.PC = x.HTML
		} else {
			out.Parts = append(out.Parts, x)
		}
	}
	item := func(view, icon string) {
		url := d.page.base + view
		if view == "today" {
			url = d.page.base
		}
		out.Nav = append(out.Nav, navItem{URL: url, Label: d.say("ui.nav." + view), Icon: icon, Now: d.file == nil && d.name == view || d.name == "run" && view == "history"})
	}
	group := func(key string) { out.Nav = append(out.Nav, navItem{Title: d.say(key)}) }
	if d.file != nil {
		group("ui.nav.other-pc")
		for _, v := range []string{"today", "why", "plan"} {
			path := v
			if v == "today" {
				path = ""
			}
			out.Nav = append(out.Nav, navItem{URL: d.here() + path, Label: d.say("ui.nav." + v), Icon: v, Now: d.name == v})
		}
	}
	group("ui.nav.this-pc")
	item("today", "today")
	item("why", "why")
	item("plan", "plan")
	item("history", "history")
	group("ui.nav.help-group")
	item("help", "help")
	item("other", "other")
	item("explain", "explain")
	title := d.name
	switch title {
	case "run", "after":
		title = "history"
	case "gone", "missing":
		title = "today"
	}
	out.Title = d.say("ui.title", "view", d.say("ui.nav."+title))
	return out
}

// here is where the views of the shown machine are.
func (d *draws) here() string {
	if d.file != nil {
		return d.page.base + "other/" + strconv.Itoa(d.file.ID) + "/"
	}
	return d.page.base
}

// parts draws the view; ErrGone: there is nothing to draw.
func (d *draws) parts() ([]part, error) {
	name := ""
	if d.patient != nil {
		name = d.patient.Doc.Machine.Name
	}
	pc, err := d.render("pc", name)
	if err != nil {
		return nil, err
	}
	list, err := d.main()
	list = append([]part{{ID: "pc", HTML: pc}}, list...)
	if d.words.Lang != "en" && (d.name != "explain" || d.query != nil) { // an explanation is drawn once, and its stream has no question
		x := part{ID: "foreign"}
		if d.foreign() {
			x.HTML = template.HTML(`<p class="quiet foreign">` + template.HTMLEscapeString(d.say("ui.foreign")) + "</p>")
		}
		list = append(list, x)
	}
	return list, err
}

// foreign reports that texts of the catalogue of causes, which is English, stand on a page
// of another language.
func (d *draws) foreign() bool {
	switch {
	case d.words.Lang == "en":
		return false
	case d.name == "today" || d.name == "why":
		return d.patient != nil && len(d.patient.Doc.Causes) > 0
	case d.name == "explain":
		return d.query.Get("code") != ""
	}
	return slices.Contains([]string{"plan", "after", "run", "history"}, d.name)
}

// main draws what is the view's own.
func (d *draws) main() ([]part, error) {
	switch d.name {
	case "today":
		return d.one("today", d.today())
	case "why":
		return d.one("why", d.why())
	case "plan":
		return d.plan()
	case "after":
		return d.after(d.st.Run)
	case "run":
		return d.after(strings.TrimPrefix(d.view, "run/"))
	case "history":
		return d.one("history", d.history())
	case "help":
		return d.one("help", d.help())
	case "other":
		return d.other()
	case "explain":
		return d.explain()
	case "missing":
		return d.one("missing", map[string]any{"Root": d.page.base})
	}
	return nil, ui.ErrGone
}

func (d *draws) one(name string, data any) ([]part, error) {
	html, err := d.render(name, data)
	return []part{{ID: name, HTML: html}}, err
}

// common is what views of a machine have in common.
type common struct {
	Root, Here, CSRF string
	Lang             string
	Screen           string // looking, failed, hidden, waiting, working, ready
	Draw             *report.Drawing
	Foreign          bool // a text is English on a page that is not
	File             bool // another machine's evidence
	When             time.Time
	Hash             string
	Headline, Lead   string
	Busy, Restarts   bool
	Returns, Rights  bool // the page comes back by itself; the person is asked for rights
	Promille         int  // of a bar; -1: nobody knows
	WorkText         string
	Error, ErrorText string
	First            *treatment // what would be done first
	Outside          string     // what others have to do
}

func (d *draws) common() common {
	c := common{Lang: d.words.Lang, Root: d.page.base, Here: d.here(), CSRF: d.page.csrf, File: d.file != nil, Promille: -1, Busy: d.st.Phase.Busy() && d.file == nil, Restarts: d.st.Phase == ui.Waiting && d.st.Result == repair.Restart}
	if d.file == nil {
		c.Returns, c.Rights = d.st.Returns, d.st.Asking
	}
	switch {
	case d.file != nil:
		c.Screen = "ready"
	case d.st.Phase.Busy():
		c.Screen = "working"
		c.Promille = d.promille()
	case d.st.Hidden:
		c.Screen = "hidden"
	case d.st.Phase == ui.Waiting:
		c.Screen = "waiting"
	case d.st.Phase == ui.Over && d.st.Result == repair.Cured:
		c.Screen = "cured"
	case d.patient == nil && d.st.Err != nil:
		c.Screen, c.ErrorText = "failed", d.st.Err.Error()
	case d.patient == nil || d.st.Phase == ui.Looking:
		c.Screen = "looking"
	default:
		c.Screen = "ready"
	}
	if c.Screen == "looking" || d.patient == nil {
		c.Promille, c.WorkText = promille(d.st.Work), d.work(d.st.Work)
	}
	if d.file == nil && d.st.Err != nil {
		c.Error = d.trouble(d.st.Err)
	}
	if d.query.Has("late") {
		c.Error = d.say("ui.late")
	}
	if c.Screen == "cured" {
		_, c.Headline, c.Lead = d.outcome(repair.Cured, false, d.stage(d.st.Plan), d.st.Plan.Only())
		return c
	}
	if d.patient == nil {
		return c
	}
	draw := report.Draw(d.patient.Doc, d.words)
	c.Draw, c.When, c.Hash = &draw, d.patient.When, d.patient.Hash
	c.Headline, c.Lead = draw.Verdict.Headline, draw.Verdict.Lead
	switch draw.State {
	case "problems":
		c.Foreign = d.words.Lang != "en" && draw.Cause != nil
	case "healthy":
		c.Headline, c.Lead = d.say("ui.healthy"), d.say("ui.healthy-lead")
	default:
		c.Headline, c.Lead = d.say("ui.unknown"), d.say("ui.unknown-lead")
	}
	if plan := d.patient.Plan; plan != nil {
		for i := range plan.Treatments {
			switch t := plan.Treatments[i]; {
			case mine(t) && c.First == nil:
				x := d.treatment(i, t)
				c.First = &x
			case !mine(t) && c.Outside == "":
				c.Outside = report.RemedyTitle(t.ID)
			}
		}
	}
	return c
}

// trouble is an error in words for the person.
func (d *draws) trouble(err error) string {
	switch {
	case errors.Is(err, ui.ErrBusy):
		return d.say("ui.error.busy")
	case errors.Is(err, ui.ErrPlan):
		return d.say("ui.error.plan")
	case errors.Is(err, ui.ErrPlace):
		return d.say("ui.error.place")
	case errors.Is(err, ui.ErrNotAllowed):
		return d.say("ui.error.not-allowed")
	case errors.Is(err, context.Canceled):
		return d.say("ui.error.stopped")
	}
	return d.say("ui.error.other", "error", report.Clean(err.Error()))
}

func mine(t repair.Treatment) bool { return t.Risk != repair.RiskOutside && t.How != repair.Advice }

func promille(w ui.Work) int {
	if w.Total <= 0 {
		return -1
	}
	return int(min(max(w.Done, 0), w.Total) * 1000 / w.Total)
}

// work says what is being done.
func (d *draws) work(w ui.Work) string {
	switch {
	case w.What == "":
		return ""
	case w.Still > 0:
		return report.Clean(w.What) + ": " + d.say("ui.work.still", "n", int(w.Still.Minutes()))
	case w.Stage != "" && d.words.Has("store.stage."+w.Stage):
		return report.Clean(w.What) + ": " + d.say("store.stage."+w.Stage)
	case !d.words.Has(w.What):
		return report.Clean(w.What)
	case w.What == "ui.work.read" && w.Total > 0:
		return d.say("ui.work.read-mb", "n", w.Total>>20)
	}
	return d.say(w.What, "n", w.Done, "all", w.Total)
}

// promille is how far the run has come.
func (d *draws) promille() int {
	if d.st.Phase == ui.Undoing {
		return -1
	}
	return int(d.st.Progress() * 1000)
}

func (d *draws) today() common { return d.common() }

// whyData is the view of the evidence.
type whyData struct {
	common
	Lines    lineList
	LineText string
}

// lineList is some of the lines that speak for or against a cause.
type lineList struct {
	List []report.Evidence
	Next string // where there are more
	Left int
}

const linesAtOnce = 40

func (d *draws) why() whyData {
	st := d.st
	if d.st.Phase == ui.Over { // it tells what was the matter
		d.st.Phase = ui.Ready
	}
	w := whyData{common: d.common()}
	d.st = st
	if d.patient != nil && len(d.patient.Doc.Causes) > 0 {
		w.LineText = d.count("ui.why.lines", len(d.patient.Doc.Causes[0].Evidence))
		w.Lines = d.lines(0)
	}
	return w
}

func (d *draws) lines(from int) lineList {
	all := d.patient.Doc.Causes[0].Evidence
	from = min(from, len(all))
	to := min(from+linesAtOnce, len(all))
	out := lineList{List: all[from:to], Left: len(all) - to}
	if out.Left > 0 {
		of := ""
		if d.file != nil {
			of = strconv.Itoa(d.file.ID)
		}
		out.Next = d.page.base + "lines?" + url.Values{"of": {of}, "from": {strconv.Itoa(to)}}.Encode()
	}
	return out
}

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

// saying is what a screen reader tells of what has changed; "" says nothing.
func (d *draws) saying() string {
	if d.file != nil {
		return ""
	}
	switch {
	case d.st.Question != nil:
		return d.say("ui.say.question", "what", report.RemedyTitle(d.st.Question.Treatment.ID))
	case d.st.Paused:
		return d.say("ui.paused")
	case d.st.Phase == ui.Working && d.st.At >= 0 && d.st.Plan != nil:
		return d.say("ui.say.step", "what", report.RemedyTitle(d.st.Plan.Treatments[d.st.At].ID))
	case d.st.Phase == ui.Looking:
		return d.say("ui.looking")
	case d.st.Phase == ui.Ready && d.patient != nil:
		return d.common().Headline
	case d.st.Phase == ui.Undoing:
		return d.say("ui.undoing")
	case d.st.Phase == ui.Waiting && d.st.Result == repair.Restart:
		return d.say("ui.restart")
	}
	return ""
}
