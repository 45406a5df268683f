package web

import (
	"bytes"
	"context"
	"errors"
	"html/template"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

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
	Live             bool // somebody else carries the run out
	Returns, Rights  bool // the page comes back by itself; the person is asked for rights
	Promille         int  // of a bar; -1: nobody knows
	WorkText         string
	Error, ErrorText string
	First            *treatment // what would be done first
	Outside          string     // what others have to do
}

func (d *draws) common() common {
	c := common{Lang: d.words.Lang, Root: d.page.base, Here: d.here(), CSRF: d.page.csrf, File: d.file != nil, Promille: -1, Busy: d.st.Phase.Busy() && d.file == nil, Restarts: d.st.Phase == ui.Waiting && d.st.Result == repair.Restart, Live: d.st.Live}
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
