package report

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"updoc/internal/message"
)

// Bounds of what a page shows. A document may hold more; a person reads less.
const (
	maxFailuresShown = 12
	maxRowsShown     = 200 // of a table
	maxProof         = 12
	maxRunes         = 1200 // of a quoted line
)

// WriteMarkdown writes machines for a ticket, in GitHub's Markdown: a table first
// if there are several, then each.
//
// Everything that a machine wrote stands in code spans and fences that it cannot
// end, so it can neither become markup, nor a link, nor mention anybody.
func WriteMarkdown(w io.Writer, list []Named) error {
	list = labelled(list)
	m := &markdown{Writer: bufio.NewWriter(w), words: message.English()}
	if len(list) == 1 && list[0].Document != nil {
		m.document(list[0].Document, 2)
		return m.Flush()
	}
	m.line("## %s\n", m.say("page.title-several", "n", len(list)))
	m.table("page.machine", "page.verdict", "page.code", "page.probability", "page.cause-name")
	for _, n := range list {
		verdict, code, sure, why := m.summary(n)
		m.row(cell(n.Name), verdict, code, sure, why)
	}
	for _, n := range list {
		if n.Document == nil {
			continue
		}
		m.line("\n## %s\n", span(n.Name))
		m.document(n.Document, 3)
	}
	return m.Flush()
}

// markdown writes a document; an error of the writer shows at Flush.
type markdown struct {
	*bufio.Writer
	words *message.Catalog
	level int // of the headings
}

func (m *markdown) line(format string, args ...any) { fmt.Fprintf(m, format+"\n", args...) }

func (m *markdown) say(key string, args ...any) string {
	return mdEscape(m.words.Text(key, args...))
}

func (m *markdown) heading(key string, args ...any) {
	m.line("\n%s %s\n", strings.Repeat("#", m.level), m.say(key, args...))
}

func (m *markdown) table(keys ...string) {
	m.WriteString("|")
	for _, k := range keys {
		m.WriteString(" " + m.say(k) + " |")
	}
	m.WriteString("\n|" + strings.Repeat("---|", len(keys)) + "\n")
}

func (m *markdown) row(cells ...string) { m.line("| %s |", strings.Join(cells, " | ")) }

func (m *markdown) more(n int) {
	if n > 0 {
		m.line("\n%s", m.say("page.more", "n", n))
	}
}

func (m *markdown) summary(n Named) (verdict, code, sure, why string) {
	if n.Err != nil {
		return m.say("page.verdict-unread"), "", "", cell(n.Err.Error())
	}
	d := n.Document
	verdict = m.say("page.verdict-" + d.Verdict)
	if f, ok := firstFailure(d); ok && f.Code != "" {
		code = cell(f.Code)
	}
	if len(d.Causes) > 0 {
		sure, why = percent(d.Causes[0].Probability), m.own(d.Causes[0].Title)+" "+cell(d.Causes[0].ID)
	}
	return verdict, code, sure, why
}

// own writes a sentence of the catalogue.
func (m *markdown) own(s string) string { return mdEscape(s) }

func (m *markdown) document(doc *Document, level int) {
	m.level = level + 1
	v := verdictOf(doc, m.words)
	if level == 2 {
		m.line("## %s\n", m.own(v.Headline))
	} else {
		m.line("**%s**\n", m.own(v.Headline))
	}
	if v.Lead != "" {
		m.line("%s\n", m.own(v.Lead))
	}
	if about := machineLine(doc.Machine, m.words); about != "" {
		m.line("%s\n", span(about))
	}
	if doc.Verdict != "healthy" && doc.Verdict != "unknown" {
		m.stages(doc)
	}
	m.failures(doc)
	switch doc.Verdict {
	case "problems":
		m.cause(doc)
		m.route(doc)
		m.cure(doc)
	default:
		m.successes(doc)
		if doc.Verdict == "healthy" {
			m.heading("page.next")
			m.line("%s", m.say("page.next-healthy"))
		} else {
			m.heading("page.next")
			m.line("%s", m.say("page.next-unknown"))
		}
	}
	m.rejected(doc)
	m.gaps(doc)
	m.read(doc)
	m.escalation(doc)
	m.line("\n---\n")
	if doc.Redacted() {
		m.line("%s %s", m.say("page.made"), m.say("page.redacted"))
	} else {
		m.line("%s %s", m.say("page.made"), m.say("page.plain"))
	}
}

func (m *markdown) stages(doc *Document) {
	var parts []string
	for _, s := range lifeLine(doc) {
		switch s.Mark {
		case markBroken:
			parts = append(parts, "❌ **"+s.Name+"**")
		case markDone:
			parts = append(parts, "✓ "+s.Name)
		default:
			parts = append(parts, s.Name)
		}
	}
	m.line("%s", strings.Join(parts, " → "))
}

func (m *markdown) failures(doc *Document) {
	if len(doc.Failures) == 0 {
		return
	}
	m.heading("page.failures")
	m.table("page.failure", "page.stage", "page.update", "page.times", "page.first", "page.last")
	for _, f := range doc.Failures[:min(len(doc.Failures), maxFailuresShown)] {
		name := m.own(failureName(f, m.words))
		if f.Code != "" {
			name = span(failureName(f, m.words))
		}
		if f.Symbol != "" {
			name += " " + span(f.Symbol)
		}
		if f.Resolved {
			name += " (" + m.say("page.resolved") + ")"
		}
		update := ""
		if text := updateName(f.Update); text != "" {
			update = cell(text)
		}
		var first, last string
		if f.First != nil && f.Last != nil {
			first, last = stamp(*f.First), stamp(*f.Last)
		}
		m.row(name, m.say("stage."+stageName(f.Stage)), update, strconv.Itoa(f.Count), first, last)
	}
	m.more(len(doc.Failures) - maxFailuresShown)
	var lines []string
	for _, f := range doc.Failures[:min(len(doc.Failures), 4)] {
		for _, s := range f.Seen[:min(len(f.Seen), 3)] {
			lines = append(lines, quoted(s.Source, s.Text))
		}
	}
	m.fence(lines)
}

func (m *markdown) cause(doc *Document) {
	if len(doc.Causes) == 0 {
		return
	}
	c := doc.Causes[0]
	m.heading("page.cause")
	m.line("**%s** (%s, %s)\n", m.own(c.Title), percent(c.Probability), span(c.ID))
	m.paragraphs(c.Plain)
	m.heading("page.proof")
	m.proof(c.Evidence)
	if len(c.Evidence) == 0 {
		m.line("%s", m.say("report.no-proof"))
	}
	if len(c.Missing) > 0 {
		m.line("\n%s:\n", m.say("page.missing"))
		for _, x := range c.Missing[:min(len(c.Missing), maxProof)] {
			m.line("- %s", span(x))
		}
	}
	if rest := doc.Causes[1:]; len(rest) > 0 {
		m.heading("page.others")
		m.table("page.probability", "page.cause-name", "page.id")
		for _, o := range rest {
			m.row(percent(o.Probability), m.own(o.Title), span(o.ID))
		}
	}
}

func (m *markdown) paragraphs(text string) {
	m.line("%s", m.own(text)) // paragraphs are parted by empty lines there and here
}

// proof quotes evidence, what speaks for a cause first.
func (m *markdown) proof(list []Evidence) {
	parted := ""
	for _, side := range []struct {
		key string
		yes bool
	}{{"page.speaks-for", true}, {"page.speaks-against", false}} {
		var lines []string
		for _, e := range list {
			if e.For == side.yes && len(lines) < maxProof {
				lines = append(lines, quoted(e.Source, e.Seen))
			}
		}
		if len(lines) > 0 {
			m.line("%s%s:", parted, m.say(side.key))
			m.fence(lines)
			parted = "\n"
		}
	}
}

func (m *markdown) cure(doc *Document) {
	if len(doc.Remedies) == 0 {
		return
	}
	m.heading("page.cure")
	for i, r := range doc.Remedies {
		m.line("%d. **%s** (%s; %s)", i+1, m.own(r.Title), m.own(strings.Join(cost3(r, m.words), "; ")), span(r.ID))
		if r.How != "" && i < 3 {
			m.line("   %s", m.own(strings.ReplaceAll(r.How, "\n\n", " ")))
		}
	}
}

func (m *markdown) successes(doc *Document) {
	m.heading("page.successes")
	if len(doc.Successes) == 0 {
		m.line("%s", m.say("page.none-successes"))
		return
	}
	m.table("page.stage", "page.update", "page.time", "page.source")
	for _, s := range doc.Successes {
		when, kb := "", ""
		if !s.Time.IsZero() {
			when = stamp(s.Time)
		}
		if s.KB != "" {
			kb = cell(s.KB)
		}
		m.row(m.say("stage."+stageName(s.Stage)), kb, when, cell(s.Seen.Source))
	}
}

func (m *markdown) rejected(doc *Document) {
	if len(doc.Rejected) == 0 {
		return
	}
	m.heading("page.whynot")
	m.table("page.probability", "page.cause-name", "page.reason")
	for _, r := range doc.Rejected[:min(len(doc.Rejected), maxRowsShown)] {
		why := m.own(r.Why)
		for _, e := range r.Against[:min(len(r.Against), 2)] {
			why += " " + cell(e.Source+"  "+e.Seen)
		}
		m.row(percent(r.Probability), m.own(r.Title)+" "+span(r.ID), why)
	}
}

func (m *markdown) gaps(doc *Document) {
	if len(doc.Gaps) == 0 {
		return
	}
	m.heading("page.gaps")
	for _, g := range doc.Gaps[:min(len(doc.Gaps), maxFailuresShown)] {
		m.line("- %s: %s", span(g.Source), span(g.Why))
	}
	m.more(len(doc.Gaps) - maxFailuresShown)
}

func (m *markdown) read(doc *Document) {
	if len(doc.Checked) == 0 {
		return
	}
	m.heading("page.read", "n", len(doc.Checked))
	m.table("page.source", "page.kind", "page.read-lines", "page.unread")
	for _, c := range doc.Checked[:min(len(doc.Checked), maxRowsShown)] {
		m.row(cell(c.Source), cell(c.Kind), strconv.Itoa(c.Lines), strconv.Itoa(c.Unread))
	}
	m.more(len(doc.Checked) - maxRowsShown)
}

func (m *markdown) escalation(doc *Document) {
	e := doc.Escalation
	if e == nil {
		return
	}
	m.heading("page.escalation")
	for _, f := range escalationFields(e) {
		m.line("- %s: %s", m.say(f.Key), span(f.Value))
	}
	if len(e.Lines) > 0 {
		m.line("\n%s:", m.say("page.esc.lines"))
		var lines []string
		for _, s := range e.Lines[:min(len(e.Lines), maxProof)] {
			lines = append(lines, quoted(s.Source, s.Text))
		}
		m.fence(lines)
	}
	if len(e.Hashes) > 0 {
		if len(escalationFields(e))+len(e.Lines) > 0 {
			m.line("")
		}
		m.line("%s", m.say("page.hashes-note"))
		var lines []string
		for _, h := range e.Hashes[:min(len(e.Hashes), maxHashes)] {
			lines = append(lines, h.SHA256+"  "+shown(h.Source))
		}
		m.fence(lines)
	}
}

// fence writes lines as a block of code that none of them can end.
func (m *markdown) fence(lines []string) {
	if len(lines) == 0 {
		return
	}
	n := 3
	for _, l := range lines {
		n = max(n, longestRun(l, '`')+1)
	}
	mark := strings.Repeat("`", n)
	m.line("\n%s\n%s\n%s", mark+"text", strings.Join(lines, "\n"), mark)
}

// quoted is a line with its source, on one line.
func quoted(source, text string) string { return shown(source) + "  " + shown(text) }

// shown makes text from a machine fit to be shown: on one line, nothing unseen, not
// endless.
func shown(s string) string {
	s = visible(s)
	if utf8.RuneCountInString(s) > maxRunes {
		s = string([]rune(s)[:maxRunes]) + quoteEnd
	}
	return s
}

// span writes text from a machine as code that it cannot end (CommonMark 6.1).
func span(s string) string {
	s = shown(s)
	if s == "" {
		return ""
	}
	mark := strings.Repeat("`", longestRun(s, '`')+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return mark + s + mark
}

// cell is span for a table. A bar would end the cell even inside code, and how a
// backslash before it is read depends on the reader, so it becomes another bar.
func cell(s string) string { return span(strings.ReplaceAll(s, "|", "¦")) }

func longestRun(s string, b byte) int {
	longest, run := 0, 0
	for i := range len(s) {
		if s[i] != b {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// verdictWords is the verdict as a person reads it first.
type verdictWords struct {
	Headline string // one sentence
	Lead     string // where, and how sure
}

func verdictOf(doc *Document, words *message.Catalog) verdictWords {
	switch {
	case doc.Verdict == "healthy":
		return verdictWords{Headline: words.Text("page.healthy")}
	case doc.Verdict != "problems":
		return verdictWords{Headline: words.Text("page.unknown"), Lead: words.Text("report.unknown-why")}
	}
	where := words.Text("page.fails")
	if s := brokenAt(doc); s != "" && s != "any" {
		where = words.Text("page.fails-at", "stage", words.Text("stage."+stageName(s)))
	}
	if len(doc.Causes) == 0 {
		return verdictWords{words.Text("page.no-cause"), where}
	}
	p := doc.Causes[0].Probability
	title := doc.Causes[0].Title
	if p < 0.55 {
		title = words.Text("page.perhaps", "title", title)
	}
	return verdictWords{title + ".", fmt.Sprintf("%s %s: %s.", where, words.Text("page.sure-"+sureness(p)), percent(p))}
}

// sureness puts a probability into one of five words.
func sureness(p float64) string {
	switch {
	case p >= 0.95:
		return "5"
	case p >= 0.8:
		return "4"
	case p >= 0.55:
		return "3"
	case p >= 0.3:
		return "2"
	}
	return "1"
}

// machineLine is the machine in one line; "" if nothing is known.
func machineLine(m Machine, words *message.Catalog) string {
	build := ""
	if m.Build != "" {
		build = words.Text("report.build", "build", m.Build)
	}
	return strings.Join(nonEmpty(m.Name, m.OS, build, m.Arch), ", ")
}

// firstFailure is the failure that the verdict is about.
func firstFailure(doc *Document) (Failure, bool) {
	for _, f := range doc.Failures {
		if !f.Resolved {
			return f, true
		}
	}
	return Failure{}, false
}

// updateName is the title of an update, with its KB if the title leaves it out.
func updateName(u Update) string {
	if strings.Contains(u.Title, u.KB) {
		return u.Title
	}
	return strings.Join(nonEmpty(u.KB, u.Title), " ")
}

// stageName keeps the key of a stage inside the catalogue.
func stageName(s string) string {
	if s == "" {
		return "any"
	}
	return s
}

// cost3 is what a remedy takes: risk, time, restart.
func cost3(r Remedy, words *message.Catalog) []string {
	out := []string{words.Text("risk." + r.Risk)}
	switch {
	case r.Minutes == 1:
		out = append(out, words.Text("page.minute"))
	case r.Minutes > 1:
		out = append(out, words.Text("page.minutes", "n", r.Minutes))
	}
	if r.Risk != "outside" && r.Restart != "no" && r.Restart != "" {
		out = append(out, words.Text("page.restart-"+r.Restart))
	}
	return out
}

// field is one line of the escalation; Key is of the message catalogue.
type field struct{ Key, Value string }

func escalationFields(e *Escalation) []field {
	var out []field
	for _, f := range []field{
		{"page.esc.build", e.Build},
		{"page.esc.stack", e.Stack},
		{"page.esc.session", e.Session},
		{"page.esc.client", e.Client},
		{"page.esc.kb", e.KB},
		{"page.esc.package", e.Package},
		{"page.esc.component", e.Component},
		{"page.esc.installer", e.Installer},
		{"page.esc.chain", strings.Join(e.Chain[:min(len(e.Chain), maxProof)], " → ")},
		{"page.esc.cv", strings.Join(e.Vectors[:min(len(e.Vectors), maxProof)], ", ")},
	} {
		if f.Value != "" {
			out = append(out, f)
		}
	}
	return out
}
