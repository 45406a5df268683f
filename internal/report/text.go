package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"updoc/internal/message"
)

// Style says how text may look.
type Style struct {
	Color bool // a terminal that shows colour, and nobody said NO_COLOR
	ASCII bool // no other characters than ASCII
	Width int  // columns; 0 means 80
	Plan  bool // a plan of the cure follows, so that its steps need no telling here
}

// Text writes a document for a terminal: one screen that says what is wrong, why,
// how that is known, what to do, and what was not looked at.
func Text(w io.Writer, doc *Document, style Style) error {
	if style.Width == 0 {
		style.Width = 80
	}
	p := &printer{w: bufio.NewWriter(w), style: style, words: message.English()}
	switch doc.Verdict {
	case "healthy":
		p.healthy(doc)
	case "problems":
		p.problems(doc)
	default:
		p.unknown(doc)
	}
	p.rejected(doc)
	return p.w.Flush()
}

// printer writes lines. Everything from a machine passes through clean.
type printer struct {
	w     *bufio.Writer
	style Style
	words *message.Catalog
}

func (p *printer) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

func (p *printer) word(key string, args ...any) string { return p.words.Text("report."+key, args...) }

// The colours; empty when there are none.
func (p *printer) paint(code, s string) string {
	if !p.style.Color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
func (p *printer) bold(s string) string  { return p.paint("1", s) }
func (p *printer) red(s string) string   { return p.paint("1;31", s) }
func (p *printer) green(s string) string { return p.paint("1;32", s) }
func (p *printer) amber(s string) string { return p.paint("1;33", s) }
func (p *printer) faint(s string) string { return p.paint("2", s) }

// pick returns the character for the style.
func (p *printer) pick(fancy, plain string) string {
	if p.style.ASCII {
		return plain
	}
	return fancy
}

// wrap writes text in lines of the width, each indented.
func (p *printer) wrap(indent, text string) {
	margin := utf8.RuneCountInString(indent)
	for para := range strings.SplitSeq(text, "\n\n") {
		col := 0
		for _, word := range p.pieces(para, p.style.Width-margin) {
			n := utf8.RuneCountInString(word)
			switch {
			case col == 0:
				p.w.WriteString(indent)
				col = margin
			case col+1+n > p.style.Width:
				p.w.WriteString("\n" + strings.Repeat(" ", margin))
				col = margin
			default:
				p.w.WriteByte(' ')
				col++
			}
			p.w.WriteString(word)
			col += n
		}
		p.w.WriteByte('\n')
	}
}

// pieces splits text into words; a word longer than a line (a package identity, a
// path) is broken.
func (p *printer) pieces(text string, width int) []string {
	var out []string
	for _, word := range strings.Fields(text) {
		r := []rune(word)
		for len(r) > width {
			out = append(out, string(r[:width]))
			r = r[width:]
		}
		out = append(out, string(r))
	}
	return out
}

// fitted cuts text to the given columns.
func (p *printer) fitted(text string, columns int) string {
	text = p.clean(text)
	if utf8.RuneCountInString(text) <= columns {
		return text
	}
	r := []rune(text)
	return string(r[:max(columns-1, 0)]) + p.pick("…", "~")
}

// clean makes text from a machine safe for a terminal: no escape sequences, no
// control or bidirectional characters, nothing invisible; line ends become blanks.
func (p *printer) clean(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), r == utf8.RuneError:
			return -1
		case p.style.ASCII && r > 0x7E:
			return '?'
		}
		return r
	}, s)), " ")
}

func (p *printer) heading(key string) { p.line("%s", p.bold(p.word(key))) }

func (p *printer) head(doc *Document) {
	m := doc.Machine
	var parts []string
	if m.OS != "" {
		parts = append(parts, m.OS)
	}
	if m.Build != "" {
		parts = append(parts, p.word("build", "build", m.Build))
	}
	if m.Arch != "" {
		parts = append(parts, m.Arch)
	}
	name := m.Name
	if name == "" {
		name = p.word("this-machine")
	}
	title := p.word("title", "machine", name)
	if len(parts) > 0 {
		title += " (" + strings.Join(parts, ", ") + ")"
	}
	p.line("%s", p.fitted(title, p.style.Width))
	p.line("")
}

// problems is the main screen.
func (p *printer) problems(doc *Document) {
	p.head(doc)
	p.stages(doc)
	p.failures(doc)
	switch {
	case len(doc.Causes) == 0:
	case undecided(doc):
		p.several(doc)
	default:
		p.cause(doc)
	}
	if !p.style.Plan {
		p.cure(doc)
	}
	p.gaps(doc)
}

var lifeOfAnUpdate = []string{"scan", "download", "verify", "install", "restart"}

// brokenAt returns the stage to mark: that of the first failure, or of the cause
// when the failure does not tell.
func brokenAt(doc *Document) string {
	for _, f := range doc.Failures {
		if f.Stage != "any" && f.Stage != "" && !f.Resolved {
			return f.Stage
		}
	}
	if len(doc.Causes) > 0 {
		first, _, _ := strings.Cut(doc.Causes[0].Stage, ",")
		return first
	}
	return ""
}

// stages draws the update's life as a line with the broken stage marked.
func (p *printer) stages(doc *Document) {
	var parts []string
	for _, s := range lifeLine(doc) {
		switch s.Mark {
		case markBroken:
			parts = append(parts, p.red(p.pick("✗ ", "[X] ")+strings.ToUpper(s.Name)))
		case markDone:
			parts = append(parts, p.green(s.Name))
		default:
			parts = append(parts, p.faint(s.Name))
		}
	}
	p.line("  %s", strings.Join(parts, p.pick(" ─── ", " --- ")))
	p.line("")
}

// failures says what was observed, at most four lines of it.
func (p *printer) failures(doc *Document) {
	n := 0
	for _, f := range doc.Failures {
		if f.Resolved {
			continue
		}
		if n++; n <= maxFailures {
			p.failure(f)
		}
	}
	if n > maxFailures {
		p.line("  %s", p.faint(p.word("more-failures", "n", n-maxFailures)))
	}
	if n > 0 {
		p.line("")
	}
}

// maxFailures is how many failures a screen names.
const maxFailures = 4

// failure is one line: what failed, then which update, how often and when.
func (p *printer) failure(f Failure) {
	var tail []string
	if f.Update.KB != "" {
		tail = append(tail, f.Update.KB)
	}
	if f.Count > 1 {
		tail = append(tail, p.word("times", "n", f.Count))
	}
	if f.Last != nil {
		tail = append(tail, p.word("last", "time", stamp(*f.Last)))
	}
	rest := p.fitted(strings.Join(tail, ", "), p.style.Width*3/5)
	what := strings.TrimSpace(f.Code + " " + f.Symbol)
	switch {
	case f.Extend != "":
		what = f.Code + " - " + f.Extend + "  " + cmp.Or(f.Phase, f.Symbol)
	case what == "" && len(f.Seen) > 0:
		what = p.words.Text("kind."+f.Kind) + ": " + f.Seen[0].Text
	case what == "":
		what = p.words.Text("kind." + f.Kind)
	}
	p.line("  %s", strings.TrimRight(p.fitted(what, p.style.Width-4-utf8.RuneCountInString(rest))+"  "+rest, " "))
}

func stamp(t time.Time) string { return t.Format("2006-01-02 15:04") }

// cause says what is behind it, how sure that is, and by what.
func (p *printer) cause(doc *Document) {
	c := doc.Causes[0]
	p.line("%s  %s", p.bold(p.word("cause")), p.bold(p.clean(c.Title)))
	p.line("  %s", p.faint(p.word("sure", "percent", percent(c.Probability), "id", c.ID)))
	p.wrap("  ", p.clean(c.Plain))
	p.line("")
	p.proof(c)
	if rest := doc.Causes[1:]; len(rest) > 0 {
		p.heading("others")
		for _, o := range rest[:min(len(rest), 3)] {
			p.line("  %5s  %s", percent(o.Probability), p.fitted(o.Title+"  "+o.ID, p.style.Width-9))
		}
		if len(c.Missing) > 0 {
			p.wrap("  ", p.clean(p.word("tell-apart", "what", strings.Join(c.Missing[:min(2, len(c.Missing))], "; "))))
		}
		p.line("")
	}
}

// undecided reports that no cause stands out: the evidence fits several.
func undecided(doc *Document) bool {
	return len(doc.Causes) > 1 && doc.Causes[0].Probability < 0.5 && doc.Causes[1].Probability > doc.Causes[0].Probability/3
}

// several is the screen for evidence that fits more than one cause: each with
// what speaks for it, and what would tell them apart.
func (p *printer) several(doc *Document) {
	p.line("%s", p.bold(p.amber(p.word("several"))))
	var missing []string
	for _, c := range doc.Causes[:min(len(doc.Causes), 4)] {
		p.line("  %5s  %s", percent(c.Probability), p.fitted(c.Title+"  "+c.ID, p.style.Width-9))
		for _, e := range c.Evidence[:min(len(c.Evidence), 2)] {
			sign := p.green("+")
			if !e.For {
				sign = p.red("-")
			}
			p.line("         %s %s", sign, p.fitted(e.Source+"  "+e.Seen, p.style.Width-11))
		}
		for _, m := range c.Missing[:min(len(c.Missing), 1)] {
			if !slices.Contains(missing, m) {
				missing = append(missing, m)
			}
		}
	}
	if doc.Other >= worthNaming {
		p.line("  %5s  %s", percent(doc.Other), p.word("something-else"))
	}
	p.line("")
	if len(missing) > 0 {
		p.heading("look-next")
		for _, m := range missing[:min(len(missing), 3)] {
			p.wrap("  - ", p.clean(m))
		}
		p.line("")
	}
}

// percent never says 100: evidence makes a cause probable, not certain.
func percent(v float64) string { return fmt.Sprintf("%.0f %%", min(v*100, 99)) }

func (p *printer) proof(c Cause) {
	p.heading("proof")
	n := 0
	for _, e := range c.Evidence {
		if n++; n > 4 {
			break
		}
		sign := p.green("+")
		if !e.For {
			sign = p.red("-")
		}
		p.line("  %s %s", sign, p.faint(p.fitted(e.Source, p.style.Width-4)))
		p.wrap("    ", p.fitted(e.Seen, 2*(p.style.Width-6)))
	}
	if n == 0 {
		p.wrap("  ", p.word("no-proof"))
	}
	p.line("")
}

func (p *printer) cure(doc *Document) {
	if len(doc.Remedies) == 0 {
		return
	}
	p.heading("cure")
	for i, r := range doc.Remedies[:min(len(doc.Remedies), 4)] {
		note := p.words.Text("risk." + r.Risk)
		if r.Minutes > 1 {
			note += ", " + p.word("minutes", "n", r.Minutes)
		}
		if r.Restart == "yes" && r.Risk != "restart" {
			note += ", " + p.word("restart")
		}
		title := p.clean(r.Title)
		p.line("  %d. %s", i+1, p.bold(title)+"  "+p.faint(p.fitted(note, max(p.style.Width-7-utf8.RuneCountInString(title), 12))))
		if i == 0 && r.How != "" {
			p.wrap("     ", p.clean(r.How))
		}
	}
	p.line("")
}

// maxGapsTold is of how many reasons the text tells what was not looked at for them.
const maxGapsTold = 4

// gaps tells what was not looked at and why, in full: the reason may be the command
// that makes it readable.
func (p *printer) gaps(doc *Document) {
	if len(doc.Gaps) == 0 {
		return
	}
	p.heading("gaps")
	p.gapsBy(doc, maxGapsTold)
}

// gapsBy writes the gaps by their reasons, the first few of them: a folder holds
// dozens of traces, and one command converts them all.
func (p *printer) gapsBy(doc *Document, reasons int) {
	of := map[string][]string{}
	var order []string
	for _, g := range doc.Gaps {
		if of[g.Why] == nil {
			order = append(order, g.Why)
		}
		of[g.Why] = append(of[g.Why], g.Source)
	}
	told := 0
	for _, why := range order[:min(len(order), reasons)] {
		names := of[why]
		told += len(names)
		list := strings.Join(names[:min(len(names), 2)], ", ")
		if n := len(names) - 2; n > 0 {
			list += " " + p.word("more-gaps", "n", n)
		}
		p.wrap("  ", p.clean(list)+": "+p.clean(why))
	}
	if n := len(doc.Gaps) - told; n > 0 {
		p.line("  %s", p.word("more-gaps", "n", n))
	}
}

// healthy is five lines: verdict, last successes, what was checked, what could
// not be, what next.
func (p *printer) healthy(doc *Document) {
	p.head(doc)
	p.line("%s", p.green(p.word("healthy")))
	var last []string
	for _, s := range doc.Successes {
		text := p.words.Text("stage." + s.Stage)
		if !s.Time.IsZero() {
			text += " " + stamp(s.Time)
		}
		if s.KB != "" {
			text += " (" + s.KB + ")"
		}
		last = append(last, text)
	}
	if len(last) == 0 {
		last = []string{p.word("none-recorded")}
	}
	p.line("%s", p.fitted(p.word("last-success", "list", strings.Join(last, ", ")), p.style.Width))
	p.line("%s", p.fitted(p.word("checked", "list", checkedNames(doc, p.word("nothing"))), p.style.Width))
	p.line("%s", p.fitted(p.word("unchecked", "list", gapNames(doc, p.word("nothing"))), p.style.Width))
	p.wrap("", p.word("healthy-next"))
}

// checkedNames is what was read, with the lines of what has lines.
func checkedNames(doc *Document, none string) string {
	var names []string
	for _, c := range doc.Checked {
		switch {
		case c.Lines > 0:
			names = append(names, fmt.Sprintf("%s (%d)", c.Source, c.Lines))
		case !slices.ContainsFunc(doc.Gaps, func(g Gap) bool { return g.Source == c.Source }):
			names = append(names, c.Source) // a part of the registry: read by its keys
		}
	}
	return cmp.Or(strings.Join(names, ", "), none)
}

func gapNames(doc *Document, none string) string {
	var names []string
	for _, g := range doc.Gaps {
		names = append(names, g.Source)
	}
	return cmp.Or(strings.Join(names, ", "), none)
}

// unknown says that nothing could be said, and what would change that.
func (p *printer) unknown(doc *Document) {
	p.head(doc)
	p.line("%s", p.amber(p.word("unknown")))
	p.wrap("", p.word("unknown-why"))
	p.line("%s", p.fitted(p.word("checked", "list", checkedNames(doc, p.word("nothing"))), p.style.Width))
	if len(doc.Gaps) == 0 {
		p.line("%s", p.word("unchecked", "list", p.word("nothing")))
	} else {
		p.line("%s", strings.TrimSpace(p.word("unchecked", "list", "")))
		p.gapsBy(doc, maxGapsTold)
	}
	p.wrap("", p.word("unknown-next"))
}

// rejected lists the causes that it is not, by the reason: each with what speaks
// against it, and in one list those of which nothing more is to be said.
func (p *printer) rejected(doc *Document) {
	if len(doc.Rejected) == 0 {
		return
	}
	p.line("")
	p.heading("whynot")
	var reasons []string
	for _, r := range doc.Rejected {
		if !slices.Contains(reasons, r.Why) {
			reasons = append(reasons, r.Why)
		}
	}
	for _, why := range reasons {
		p.wrap("  ", p.clean(why))
		var rest []string
		for _, r := range doc.Rejected {
			switch {
			case r.Why != why:
			case len(r.Against) == 0 && r.Probability < worthNaming:
				rest = append(rest, r.ID)
			default:
				p.line("    %5s  %s", percent(r.Probability), p.fitted(r.ID, p.style.Width-11))
				for _, e := range r.Against {
					p.line("           - %s", p.fitted(e.Source+"  "+e.Seen, p.style.Width-13))
				}
			}
		}
		if len(rest) > 0 {
			p.wrap("    ", strings.Join(rest, ", "))
		}
	}
}
