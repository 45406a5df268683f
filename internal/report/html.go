package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"sync"

	"updoc/internal/message"
)

// The page is one file that asks for nothing: its style stands in it, its pictures
// are drawn here, and what unfolds does so without a script. Its content security
// policy forbids everything else, so that even a mistake in escaping could load
// and run nothing.

//go:embed page.html
var pageSource string

//go:embed page.css
var sheetStyle string

// pageStyle is the style of a saved page: the look that it shares with the page that
// updoc opens, and what a sheet of paper needs.
var pageStyle = lookStyle + sheetStyle

var pageTemplate = sync.OnceValues(func() (*template.Template, error) {
	t, err := Components(message.English())
	if err != nil {
		return nil, err
	}
	return t.New("page").Parse(pageSource)
})

// page is what the template draws.
type page struct {
	Style    template.CSS
	Policy   string
	Title    string
	Several  bool
	Redacted bool
	Machines []machinePage
}

// machinePage is one machine of a page.
type machinePage struct {
	Drawing
	Anchor string
	From   string // as it was named on the command line
	Err    string
}

const (
	maxNarrated = 4  // failures told in full
	maxQuotes   = 12 // lines quoted for one failure or cause
)

// WriteHTML writes machines as one self-contained page: a summary first if there
// are several, then each.
func WriteHTML(w io.Writer, list []Named) error {
	t, err := pageTemplate()
	if err != nil {
		return fmt.Errorf("page: %w", err)
	}
	list = labelled(list)
	style := pageStyle
	if slices.ContainsFunc(list, func(n Named) bool { return n.Document != nil && n.Document.drawn != nil }) {
		style += routeStyle
	}
	p := page{Style: template.CSS(style), Several: len(list) != 1, Policy: policyFor(style)}
	words := message.English()
	for i, n := range list {
		m := newMachinePage(n, words)
		m.Anchor = "machine-" + strconv.Itoa(i+1)
		p.Machines = append(p.Machines, m)
		p.Redacted = p.Redacted || n.Document.Redacted()
	}
	p.Title = words.Text("page.title-several", "n", len(list))
	if !p.Several {
		p.Title = titleOf(p.Machines[0], words)
	}
	return t.Execute(w, p)
}

func titleOf(m machinePage, words *message.Catalog) string {
	name := words.Text("report.this-machine")
	if m.Document != nil && m.Machine.Name != "" {
		name = shown(m.Machine.Name)
	}
	if m.State == "problems" {
		return words.Text("page.title", "machine", name)
	}
	return words.Text("page.title-healthy", "machine", name)
}

func newMachinePage(n Named, words *message.Catalog) machinePage {
	m := machinePage{From: shown(n.Name), Drawing: Drawing{State: "unread"}}
	if n.Document == nil {
		if n.Err != nil {
			m.Err = shown(n.Err.Error())
		}
		m.Verdict.Headline = words.Text("page.verdict-unread")
		return m
	}
	m.Drawing = Draw(n.Document, words)
	return m
}

// bounded returns a document with no more in it than a page can bear.
func bounded(d *Document) *Document {
	out := *d
	out.Failures = cut(d.Failures, maxRowsShown)
	for i := range out.Failures {
		out.Failures[i].Seen = cut(out.Failures[i].Seen, maxQuotes)
	}
	out.Causes = cut(d.Causes, maxRowsShown)
	for i := range out.Causes {
		out.Causes[i].Evidence = cut(out.Causes[i].Evidence, maxQuotes)
		out.Causes[i].Missing = cut(out.Causes[i].Missing, maxQuotes)
	}
	out.Rejected = cut(d.Rejected, maxRowsShown)
	for i := range out.Rejected {
		out.Rejected[i].Against = cut(out.Rejected[i].Against, maxQuotes)
	}
	out.Gaps = cut(d.Gaps, maxRowsShown)
	out.Checked = cut(d.Checked, maxRowsShown)
	if d.Escalation != nil {
		e := *d.Escalation
		e.Lines, e.Hashes = cut(e.Lines, maxQuotes), cut(e.Hashes, maxHashes)
		out.Escalation = &e
	}
	return &out
}

// cut copies the first n of a list.
func cut[T any](list []T, n int) []T { return append([]T(nil), list[:min(len(list), n)]...) }
