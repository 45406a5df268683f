package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"strings"
	"time"

	"updoc/internal/message"
)

// What is drawn for people is made of the same parts, whether it is saved as a file or
// shown by a running updoc: one look, one set of pictures, one way to quote a line.

//go:embed look.css
var lookStyle string

//go:embed parts.html
var partsSource string

// Look is the style of the parts: type, space, colour in two themes, pictures. What
// shows them adds its own layout.
func Look() string { return lookStyle + routeStyle }

// Components returns the parts as templates with their functions, in the words of a
// catalogue. Each takes the value that [Draw] made for it:
//
//	stages     a Drawing            timeline   Drawing.Time
//	evidence   an Evidence          waterfall  Drawing.Fall
//	quote      a Seen               advice     a RouteDocument
//	waterfall-picture  the same without its heading
//	route-group  one of Drawing.Broken
//
// The functions are say (a text of the catalogue), shown (text of a stranger made safe
// and short), stamp, iso, percent, paras, stage, name, cost, update, took.
func Components(words *message.Catalog) (*template.Template, error) {
	t, err := template.New("parts").Funcs(routeFuncs(words)).Funcs(template.FuncMap{
		"say":     words.Text,
		"shown":   shown,
		"stamp":   stamp,
		"iso":     func(t time.Time) string { return t.Format("2006-01-02T15:04:05") },
		"percent": percent,
		"paras":   func(s string) []string { return strings.Split(s, "\n\n") },
		"stage":   func(s string) string { return words.Text("stage." + stageName(s)) },
		"name":    func(f Failure) string { return failureName(f, words) },
		"cost":    func(r Remedy) string { return strings.Join(cost3(r, words), ", ") },
		"fields":  escalationFields,
		"update":  updateName,
		"width":   share100,
	}).Parse(partsSource + routeSource)
	if err != nil {
		return nil, fmt.Errorf("parts of a page: %w", err)
	}
	return t, nil
}

// Drawing is a document worked out for a page: cut to what a person reads, with its
// pictures as plain values.
type Drawing struct {
	*Document
	About    string
	Verdict  verdictWords
	State    string // healthy, problems, unknown, unread
	Code     string
	Why      string
	Stages   []stageMark
	StageAlt string
	Told     []Failure // in full
	Rest     []Failure // as a table
	Cause    *Cause
	Others   []Cause
	Time     *timeline
	Walk     string       // what a walk of the route says in a line; "" if there was none
	Broken   []routeGroup // where the route breaks
	Fall     *waterfall   // the times of the whole walk; nil if there was none
	Sure     string       // how sure the first cause is, in words
}

// Draw works a document out in the words of a catalogue.
func Draw(d *Document, words *message.Catalog) Drawing {
	doc := bounded(d)
	m := Drawing{Document: doc, State: doc.Verdict, About: shown(machineLine(doc.Machine, words)), Verdict: verdictOf(doc, words)}
	m.Stages = lifeLineIn(doc, words)
	var alt []string
	for _, s := range m.Stages {
		alt = append(alt, s.Name+": "+s.Says)
	}
	m.StageAlt = words.Text("page.stages") + ". " + strings.Join(alt, ", ")
	if f, ok := firstFailure(doc); ok {
		m.Code = f.Code
	}
	m.Told = doc.Failures[:min(len(doc.Failures), maxNarrated)]
	m.Rest = doc.Failures[len(m.Told):]
	if len(doc.Causes) > 0 {
		m.Cause, m.Others, m.Why = &doc.Causes[0], doc.Causes[1:], doc.Causes[0].Title
		m.Sure = words.Text("page.sure-" + sureness(doc.Causes[0].Probability))
	}
	m.Time = newTimeline(doc, words)
	if doc.drawn != nil {
		m.Walk, m.Broken, m.Fall = routeVerdict(doc.drawn, words), routeGroups(doc.drawn, words), newWaterfall(doc.drawn, words)
	}
	return m
}
