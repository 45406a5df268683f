package report

import (
	"bufio"
	"io"

	"updoc/internal/message"
)

// Bounds of what WhyText tells; the document holds all.
const maxEvidenceTold = 200

// WhyText tells everything a diagnosis stands on: each cause with all that speaks for
// and against it, every failure, where the route breaks, what it is not, and what was
// not looked at.
func WhyText(w io.Writer, doc *Document, style Style) error {
	if style.Width == 0 {
		style.Width = 80
	}
	p := &printer{w: bufio.NewWriter(w), style: style, words: message.English()}
	told := 0
	for _, c := range doc.Causes {
		p.line("%5s  %s", percent(c.Probability), p.bold(p.fitted(c.Title, style.Width-7)))
		p.line("       %s", p.faint(c.ID))
		for _, e := range c.Evidence {
			if told++; told > maxEvidenceTold {
				break
			}
			sign := p.green("+")
			if !e.For {
				sign = p.red("-")
			}
			p.line("       %s %s", sign, p.faint(p.fitted(e.Source+", "+e.Weight, style.Width-9)))
			p.wrap("         ", p.clean(e.Seen))
		}
		for _, m := range c.Missing {
			p.wrap("       ? ", p.clean(m))
		}
		p.line("")
	}
	if len(doc.Failures) > 0 {
		p.heading("failures")
		for _, f := range doc.Failures {
			p.failure(f)
		}
		p.line("")
	}
	if doc.drawn != nil {
		if err := p.w.Flush(); err != nil {
			return err
		}
		if err := RouteText(w, doc.drawn, style, RouteOptions{Told: true}); err != nil {
			return err
		}
		p.line("")
	}
	if len(doc.Gaps) > 0 {
		p.heading("gaps")
		for _, g := range doc.Gaps {
			p.line("  %s", p.fitted(g.Source+": "+g.Why, style.Width-2))
		}
	}
	p.rejected(doc)
	return p.w.Flush()
}
