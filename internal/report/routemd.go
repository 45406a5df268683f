package report

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"

	"updoc/internal/message"
)

// RouteMarkdown writes a walk for a ticket: what is said in a sentence, the drawing and
// what can be pasted in fences that nothing in them can end.
func RouteMarkdown(w io.Writer, doc *RouteDocument) error {
	m := &markdown{Writer: bufio.NewWriter(w), words: message.English(), level: 3}
	m.line("## %s\n", m.own(routeVerdict(doc, m.words)))
	m.line("%s", span(m.words.Text("report.route.walked", "as", doc.As, "took", took(doc.TookMS))))
	if len(doc.Causes) > 0 && doc.Verdict == "broken" {
		c := doc.Causes[0]
		m.heading("page.cause")
		m.line("**%s** (%s, %s)\n", m.own(c.Title), percent(c.Probability), span(c.ID))
		m.paragraphs(c.Plain)
	}
	m.heading("page.route")
	if err := m.drawing(doc); err != nil {
		return err
	}
	for _, a := range doc.Advice {
		if a.Fits {
			m.heading("report.route.paste", "what", a.Title)
			m.fence(strings.Split(strings.TrimRight(a.Text, "\n"), "\n"))
		}
	}
	note := "page.plain"
	if doc.Redacted() {
		note = "page.redacted"
	}
	m.line("\n%s", m.say(note))
	return m.Flush()
}

// drawing writes the routes as text does, in a fence.
func (m *markdown) drawing(doc *RouteDocument) error {
	var b bytes.Buffer
	p := &printer{w: bufio.NewWriter(&b), style: Style{Width: 80}, words: m.words}
	p.routes(doc, RouteOptions{})
	p.together(doc, RouteOptions{})
	p.routeGaps(doc)
	if err := p.w.Flush(); err != nil {
		return fmt.Errorf("draw the route: %w", err)
	}
	m.fence(strings.Split(strings.Trim(b.String(), "\n"), "\n"))
	return nil
}

// route draws the broken routes of a machine's document, one of each kind.
func (m *markdown) route(doc *Document) {
	if doc.drawn == nil || len(doc.drawn.groups()) == 0 {
		return
	}
	m.heading("page.route")
	m.line("%s", m.own(routeVerdict(doc.drawn, m.words)))
	var b bytes.Buffer
	p := &printer{w: bufio.NewWriter(&b), style: Style{Width: 80}, words: m.words}
	for _, g := range doc.drawn.groups()[:min(len(doc.drawn.groups()), maxGroupsDrawn)] {
		p.oneRoute(g.Route, false)
		p.same(g)
	}
	_ = p.w.Flush() // a buffer takes everything
	m.fence(strings.Split(strings.Trim(b.String(), "\n"), "\n"))
}
