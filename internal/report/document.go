// Package report turns a diagnosis into one value and writes it: as text for a
// terminal, JSON for programs, Markdown for tickets, HTML for people. One file
// per format; none of them decides anything.
package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"updoc/internal/cause"
	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/message"
	"updoc/internal/redact"
	"updoc/internal/repair"
	"updoc/internal/sorted"
)

// Schema names the JSON form of a Document.
const Schema = "updoc.diagnosis/1"

// Document is a diagnosis as people and programs get it. Ids may be added; an id
// never changes its meaning.
type Document struct {
	Schema   string    `json:"schema"`
	Verdict  string    `json:"verdict"` // healthy, problems, unknown
	Machine  Machine   `json:"machine"`
	Failures []Failure `json:"failures"`
	Causes   []Cause   `json:"causes"`   // by probability
	Remedies []Remedy  `json:"remedies"` // in the order in which a plan would try them
	Gaps     []Gap     `json:"gaps"`

	Checked    []Checked   `json:"checked,omitempty"`    // what was read
	Successes  []Success   `json:"successes,omitempty"`  // the last that went well, by stage
	Escalation *Escalation `json:"escalation,omitempty"` // for whoever takes over
	Rejected   []Rejected  `json:"rejected,omitempty"`   // with --why-not
	Other      float64     `json:"other,omitempty"`      // probability that it is none of the catalogue
	Route      *RoutePart  `json:"route,omitempty"`      // where the walk of its route breaks; nil: it was not walked

	redactor *redact.Redactor // what redacted it; nil if nothing did
	drawn    *RouteDocument   // the walk, for those who draw it
}

// Machine is the head of a report.
type Machine struct {
	Name   string `json:"name,omitempty"`
	OS     string `json:"os"`
	Build  string `json:"build"`
	Arch   string `json:"arch"`
	Source string `json:"source"`
}

// Failure is one observed trouble.
type Failure struct {
	Kind     string     `json:"kind"`
	Code     string     `json:"code,omitempty"`
	Extend   string     `json:"extend,omitempty"` // setup's extend code
	Phase    string     `json:"phase,omitempty"`  // the phase and operation it stands for
	Symbol   string     `json:"symbol,omitempty"`
	Meaning  string     `json:"meaning,omitempty"`
	Stage    string     `json:"stage"`
	Count    int        `json:"count"`
	Update   Update     `json:"update"`
	First    *time.Time `json:"first,omitempty"`
	Last     *time.Time `json:"last,omitempty"`
	Resolved bool       `json:"resolved,omitempty"` // the same step succeeded later
	Seen     []Seen     `json:"seen"`
}

// Update names what was being installed.
type Update struct {
	Title string `json:"title"`
	KB    string `json:"kb"`
	ID    string `json:"id"`
}

// Seen is a quoted line.
type Seen struct {
	Source string `json:"source"`
	Text   string `json:"text"`
}

// Cause is a finding.
type Cause struct {
	ID          string     `json:"id"`
	Title       string     `json:"title"`
	Plain       string     `json:"plain,omitempty"`
	Probability float64    `json:"probability"`
	Root        bool       `json:"root"`
	Stage       string     `json:"stage"`
	Evidence    []Evidence `json:"evidence"`
	Missing     []string   `json:"missing"`
	Explains    []string   `json:"explains"`
	Remedies    []string   `json:"remedies"`
}

// Evidence is one reason for or against a cause.
type Evidence struct {
	Weight string `json:"weight"`
	For    bool   `json:"for"`
	Source string `json:"source"`
	Seen   string `json:"seen"`
}

// Remedy is a step of the cure.
type Remedy struct {
	ID      string `json:"id"`
	Title   string `json:"title"`
	How     string `json:"how,omitempty"`
	Mode    string `json:"mode,omitempty"` // automatic, guided, advice
	Risk    string `json:"risk"`
	Minutes int    `json:"minutes"`
	Restart string `json:"restart"`
}

// Gap is something that was not looked at.
type Gap struct {
	Source string `json:"source"`
	Why    string `json:"why"`
}

// Checked is a source that was read.
type Checked struct {
	Source string `json:"source"`
	Kind   string `json:"kind"`
	Lines  int    `json:"lines"`
	Unread int    `json:"unread"`
}

// Success is the last of its stage that went well.
type Success struct {
	Stage string    `json:"stage"`
	What  string    `json:"what"`
	KB    string    `json:"kb,omitempty"`
	Time  time.Time `json:"time,omitzero"`
	Seen  Seen      `json:"seen"`
}

// Escalation is what the next engineer asks first.
type Escalation struct {
	Build     string   `json:"build,omitempty"`
	Stack     string   `json:"servicingStack,omitempty"`
	Session   string   `json:"session,omitempty"`
	Client    string   `json:"client,omitempty"`
	Package   string   `json:"package,omitempty"`
	Component string   `json:"component,omitempty"`
	Installer string   `json:"installer,omitempty"`
	KB        string   `json:"kb,omitempty"`
	Chain     []string `json:"chain,omitempty"`  // HRESULTs in the order in which they were passed up
	Vectors   []string `json:"cv,omitempty"`     // correlation vectors of the failing calls
	Lines     []Seen   `json:"lines,omitempty"`  // what the failing session wrote
	Hashes    []Hash   `json:"hashes,omitempty"` // SHA-256 of the lines as quoted in this document
}

// Hash lets two people make sure that they speak of the same line.
type Hash struct {
	Source string `json:"source"`
	SHA256 string `json:"sha256"`
}

// Rejected is a cause that was considered and why it is not the one.
type Rejected struct {
	ID          string     `json:"id"`
	Title       string     `json:"title"`
	Probability float64    `json:"probability"`
	Why         string     `json:"why"`
	Against     []Evidence `json:"against,omitempty"`
}

// Options of New.
type Options struct {
	WhyNot bool // list the rejected causes
	Redact bool // replace names and addresses, remove credentials
	// Redactor, if not nil, gives the pseudonyms of Redact, so that several reports
	// call the same thing by the same name.
	Redactor *redact.Redactor
}

const (
	maxCauses   = 6    // a report that names more names none
	worthNaming = 0.02 // probability under which a cause is not listed
	maxRemedies = 8
)

// New makes the document of a diagnosis.
func New(f *facts.Facts, d cause.Diagnosis, opt Options) *Document {
	doc := assemble(f, d, opt)
	doc.settle(f, newRedactor(opt))
	doc.addRoute(f)
	return doc
}

func assemble(f *facts.Facts, d cause.Diagnosis, opt Options) *Document {
	words := message.English()
	doc := &Document{
		Schema: Schema, Verdict: string(d.Outcome),
		Machine:  Machine{Name: f.Machine.Name, OS: f.Machine.OS, Build: f.Machine.Build, Arch: f.Machine.Arch, Source: f.Machine.Source},
		Failures: []Failure{}, Causes: []Cause{}, Remedies: []Remedy{}, Gaps: []Gap{},
	}
	for _, x := range f.Failures {
		if x.Weight < 0.5 && d.Outcome != cause.Problems || len(doc.Failures) >= 50 {
			continue
		}
		doc.Failures = append(doc.Failures, newFailure(x))
	}
	for _, g := range f.Gaps {
		why := g.Why
		if words.Has(why) {
			why = words.Text(why)
		}
		doc.Gaps = append(doc.Gaps, Gap{g.Source, why})
	}
	for _, s := range f.Sources {
		doc.Checked = append(doc.Checked, Checked{s.Path, string(s.Kind), s.Stats.Lines, s.Stats.Unread})
	}
	doc.Successes = successes(f)
	if d.Outcome != cause.Problems {
		return doc
	}
	for _, x := range d.Findings {
		if len(doc.Causes) < maxCauses && (x.Probability >= worthNaming || len(doc.Causes) == 0) {
			doc.Causes = append(doc.Causes, newCause(x, words))
		}
	}
	doc.Remedies = remedies(d, words)
	doc.Other = round(d.Other)
	doc.Escalation = escalation(f)
	if opt.WhyNot {
		for _, x := range d.Findings {
			if x.WhyNot == "" {
				continue
			}
			r := Rejected{ID: x.ID, Title: words.Text("cause." + x.ID + ".title"), Probability: round(x.Probability), Why: words.Text(x.WhyNot)}
			for _, e := range x.Evidence {
				if !e.For {
					r.Against = append(r.Against, newEvidence(e))
				}
			}
			doc.Rejected = append(doc.Rejected, r)
		}
	}
	return doc
}

func newFailure(x facts.Failure) Failure {
	out := Failure{
		Kind: string(x.Kind), Stage: string(x.Stage), Count: x.Count, Resolved: x.Resolved,
		Update: Update(x.Update), Seen: []Seen{},
	}
	if x.Code != 0 {
		out.Code, out.Symbol = x.Code.String(), x.Code.Symbol()
		if info, ok := codes.Lookup(x.Code); ok {
			out.Meaning = info.Meaning
		}
	}
	if x.Extend != 0 {
		out.Extend = fmt.Sprintf("0x%X", x.Extend)
		phase, operation := codes.Extend(x.Extend)
		out.Phase = strings.Trim(phase.Meaning+", "+operation.Meaning, ", ")
	}
	if !x.First.IsZero() {
		out.First, out.Last = &x.First, &x.Last
	}
	for _, s := range x.Seen {
		out.Seen = append(out.Seen, Seen{s.Source, s.Text})
	}
	return out
}

func newCause(x cause.Finding, words *message.Catalog) Cause {
	out := Cause{
		ID: x.ID, Title: words.Text("cause." + x.ID + ".title"), Plain: words.Text("cause." + x.ID + ".plain"),
		Probability: round(x.Probability), Root: x.Root, Stage: stages(x.Stages),
		Evidence: []Evidence{}, Missing: []string{}, Explains: []string{}, Remedies: x.CureOrder(),
	}
	// What was found comes before what only reads like it, and the weightiest first.
	found := slices.Clone(x.Evidence)
	sorted.By(found, func(a, b cause.Evidence) int {
		switch {
		case a.Like == b.Like:
			return cmp.Compare(b.Weight, a.Weight)
		case a.Like:
			return 1
		}
		return -1
	})
	for _, e := range found {
		out.Evidence = append(out.Evidence, newEvidence(e))
	}
	out.Missing = append(out.Missing, x.Missing...)
	for _, h := range x.Explains {
		out.Explains = append(out.Explains, h.String())
	}
	return out
}

func newEvidence(e cause.Evidence) Evidence {
	return Evidence{Weight: e.Weight.String(), For: e.For, Source: e.Source, Seen: e.Seen}
}

func stages(list []facts.Stage) string {
	parts := make([]string, len(list))
	for i, s := range list {
		parts[i] = string(s)
	}
	return strings.Join(parts, ",")
}

// round keeps probabilities readable; more than three digits would be a claim,
// and so would 1.
func round(p float64) float64 { return min(float64(int(p*1000+0.5))/1000, 0.999) }

// remedies are the first cures of the plan.
func remedies(d cause.Diagnosis, words *message.Catalog) []Remedy {
	out := []Remedy{}
	for _, c := range repair.Order(d) {
		if len(out) == maxRemedies {
			break
		}
		out = append(out, Remedy{
			ID: c.ID, Title: words.Text("remedy." + c.ID + ".title"), How: words.Text("remedy." + c.ID + ".how"), Mode: c.How,
			Risk: string(c.Risk), Minutes: c.Minutes, Restart: c.Restart,
		})
	}
	return out
}

func successes(f *facts.Facts) []Success {
	var out []Success
	for _, s := range f.Successes {
		v := Success{Stage: string(s.Stage), What: s.What, KB: s.Update.KB, Time: s.Seen.Time, Seen: Seen{s.Seen.Source, s.Seen.Text}}
		i := slices.IndexFunc(out, func(o Success) bool { return o.Stage == v.Stage })
		switch {
		case i < 0:
			out = append(out, v)
		case !v.Time.Before(out[i].Time):
			out[i] = v
		}
	}
	return out
}
