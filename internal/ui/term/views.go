package term

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"updoc/internal/message"
	"updoc/internal/repair"
	"updoc/internal/report"
	"updoc/internal/ui"
)

// writer gathers the lines of a view.
type writer struct {
	b     *strings.Builder
	style report.Style
}

func (w *writer) lines() []string {
	return strings.Split(strings.TrimRight(w.b.String(), "\n"), "\n")
}

func (w *writer) line(s string) { w.b.WriteString(s + "\n") }

func (w *writer) paint(code, s string) string {
	if !w.style.Color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (w *writer) heading(s string) { w.line(w.paint("1", w.clean(s))) }

func (w *writer) title(s string) { w.heading(s); w.line("") }

func (w *writer) faint(s string) string { return w.paint("2", s) }

// clean makes text safe for the terminal.
func (w *writer) clean(s string) string {
	s = report.Clean(s)
	if w.style.ASCII {
		s = strings.Map(func(r rune) rune {
			if r > 0x7E {
				return '?'
			}
			return r
		}, s)
	}
	return s
}

// text writes a text in lines of the width, each indented; paint is the colour.
func (w *writer) text(indent, code, s string) {
	width := max(w.style.Width-utf8.RuneCountInString(indent), 10)
	for para := range strings.SplitSeq(s, "\n\n") {
		for _, l := range fold(w.clean(para), width) {
			w.line(indent + w.paint(code, l))
			indent = strings.Repeat(" ", utf8.RuneCountInString(indent))
		}
	}
}

// field is a line to type in, its end in sight.
func (w *writer) field(title, input string) {
	w.text("", "1", title)
	r := []rune(w.clean(input))
	if n := w.style.Width - 4; len(r) > n {
		r = r[len(r)-n:]
	}
	w.line("> " + string(r) + w.paint("7", " "))
	w.line("")
}

// fold breaks text into lines of a width, words that are longer too.
func fold(s string, width int) []string {
	var out []string
	line := []rune{}
	for _, word := range strings.Fields(s) {
		r := []rune(word)
		if len(line) > 0 && len(line)+1+len(r) > width {
			out, line = append(out, string(line)), line[:0]
		}
		if len(line) > 0 {
			line = append(line, ' ')
		}
		for len(line)+len(r) > width {
			n := width - len(line)
			out, r, line = append(out, string(append(line, r[:n]...))), r[n:], line[:0]
		}
		line = append(line, r...)
	}
	if len(line) > 0 {
		out = append(out, string(line))
	}
	return out
}

// told keeps what a report could not write: it writes to memory and does not fail.
func (w *writer) told(err error) {
	if err != nil {
		w.text("", "1;31", err.Error())
	}
}

func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
}

// patient writes something of the machine, or why it was not looked at.
func (m *model) patient(w *writer, f func(*ui.Patient)) {
	switch st := &m.state; {
	case st.Patient != nil:
		f(st.Patient)
	case st.Phase == ui.Failed:
		w.title(say("ui.failed"))
		w.text("", "", say("ui.failed-lead"))
		if st.Err != nil {
			w.text("", "1;31", problem(st.Err))
		}
	default:
		w.title(say("ui.looking"))
		w.text("", "", say("ui.looking-lead"))
		w.line("")
		w.work(st.Work)
	}
}

// work writes how far something is.
func (w *writer) work(x ui.Work) {
	if x.What == "" {
		return
	}
	what := x.What
	switch {
	case strings.HasPrefix(what, "ui.work."):
		what = say(what)
	case x.Stage != "":
		what += ": " + say("store.stage."+x.Stage)
	}
	w.line("  " + w.clean(what) + w.bar(x))
	if x.Still > 0 {
		w.text("  ", "", say("ui.work.still", "n", int(x.Still.Minutes())))
	}
}

// bar is a bar of how far something is, and what is left.
func (w *writer) bar(x ui.Work) string {
	if x.Total <= 0 {
		return ""
	}
	const cells = 24
	part := min(max(float64(x.Done)/float64(x.Total), 0), 1)
	n := int(part * cells)
	full, empty := "█", "░"
	if w.style.ASCII {
		full, empty = "#", "."
	}
	out := fmt.Sprintf("  %s %3.0f %%", strings.Repeat(full, n)+strings.Repeat(empty, cells-n), part*100)
	if x.Left > 0 {
		out += "  " + minutes(x.Left)
	}
	return out
}

func minutes(d time.Duration) string {
	if d < time.Minute {
		return say("ui.left.soon")
	}
	return say("ui.left.all", "n", int((d+time.Minute-1)/time.Minute))
}

// today is the verdict on one screen.
func (m *model) today(w *writer) {
	m.patient(w, func(p *ui.Patient) {
		m.standing(w)
		style := w.style
		style.Plan = m.mayFix()
		doc := *p.Doc
		doc.Rejected = nil // that is the next view's
		w.told(report.Text(w.b, &doc, style))
		if m.mayFix() {
			t := p.Plan.Treatments[slices.IndexFunc(p.Plan.Treatments, func(t repair.Treatment) bool {
				return t.Risk != repair.RiskOutside && t.How != repair.Advice
			})]
			w.line("")
			w.line(w.paint("1", say("ui.act.helps")))
			w.text("  ", "1;32", report.RemedyTitle(t.ID))
			w.text("  ", "2", cost(t))
		}
	})
}

// standing says that a repair goes on or waits.
func (m *model) standing(w *writer) {
	key := map[ui.Phase]string{ui.Working: "ui.working", ui.Undoing: "ui.undoing", ui.Waiting: "ui.unfinished"}[m.state.Phase]
	if m.state.Phase == ui.Waiting && m.state.Result == repair.Restart {
		key = "ui.restart"
	}
	if key != "" {
		w.line(w.paint("1;33", say(key)) + "  " + w.faint("3"))
		w.line("")
	}
}

// cost is what a treatment takes, in words.
func cost(t repair.Treatment) string {
	parts := []string{say("ui.cost.minutes", "n", t.Minutes)}
	if t.Minutes <= 1 {
		parts[0] = say("ui.cost.minute")
	}
	switch t.Restart {
	case "yes":
		parts = append(parts, say("ui.cost.restart-yes"))
	case "maybe":
		parts = append(parts, say("ui.cost.restart-maybe"))
	default:
		parts = append(parts, say("ui.cost.no-restart"))
	}
	switch {
	case report.Passing(t):
		parts = append(parts, say("ui.cost.passing"))
	case t.Risk == repair.RiskPermanent:
		parts = append(parts, say("ui.cost.permanent"))
	case t.Risk == repair.RiskNone:
		parts = append(parts, say("ui.cost.none"))
	default:
		parts = append(parts, say("ui.cost.undo"))
	}
	if t.How == repair.Guided {
		parts = append(parts, say("ui.cost.asks"))
	}
	return strings.Join(parts, ", ")
}

// plan is the plan before it is carried out, how far it is, and what became of it.
func (m *model) plan(w *writer) {
	st := &m.state
	if st.Plan == nil || st.Phase == ui.Ready || st.Phase == ui.Looking {
		m.patient(w, func(p *ui.Patient) {
			if p.Plan != nil {
				w.told(report.PlanText(w.b, p.Plan, true, w.style))
			}
		})
		return
	}
	m.head(w)
	if q := st.Question; q != nil {
		w.told(report.TreatmentText(w.b, q.Treatment, w.style))
		w.line("")
	}
	for i, t := range st.Plan.Treatments {
		m.part(w, i, t)
	}
	if st.Undone != nil {
		w.line("")
		w.told(report.UndoneText(w.b, st.Run, *st.Undone, w.style))
	}
	m.log(w)
}

// head says how it stands with the run.
func (m *model) head(w *writer) {
	st := &m.state
	switch {
	case st.Phase == ui.Undoing:
		w.heading(say("ui.undoing"))
	case st.Phase == ui.Undone:
		w.heading(say("ui.result.undone"))
	case st.Phase == ui.Waiting && st.Result == repair.Restart:
		w.heading(say("ui.restart"))
		w.text("", "", say("ui.result-lead.restart"))
	case st.Phase == ui.Waiting:
		w.heading(say("ui.unfinished"))
		lead := "ui.unfinished-lead"
		if st.Live {
			lead = "ui.unfinished-live"
		}
		w.text("", "", say(lead))
	case st.Phase == ui.Over && st.Result != "":
		code := "1"
		if st.Result == repair.Cured {
			code = "1;32"
		}
		w.line(w.paint(code, ui.OfCourse(message.English(), "ui.result."+string(st.Result), st.Plan.Only())))
		w.line("")
		w.text("", "", report.ResultText(st.Plan, st.Result, st.Undoable, st.Lasting))
		if st.Err != nil {
			w.text("", "1;31", problem(st.Err))
		}
	case st.Stopping:
		w.heading(say("ui.stopping"))
	case st.Paused:
		w.heading(say("ui.paused"))
	case st.Question != nil:
		w.heading(say("ui.ask"))
	default:
		w.line(w.paint("1", say("ui.working")) + w.bar(ui.Work{Done: int64(st.Progress() * 1000), Total: 1000}))
		if this, all := st.Left(m.session.Now()); this > 0 {
			w.text("", "2", say("ui.left.this", "n", int((this+time.Minute-1)/time.Minute), "all", say("ui.cost.minutes", "n", int((all+time.Minute-1)/time.Minute))))
		}
		w.work(st.Work)
	}
	w.line("")
}

// part is one treatment and how it stands.
func (m *model) part(w *writer, i int, t repair.Treatment) {
	if i >= len(m.state.Parts) {
		return
	}
	p := m.state.Parts[i]
	sign, code := "·", "2"
	switch p.Mark {
	case ui.MarkNow:
		sign, code = "▶", "1;33"
	case ui.MarkCured:
		sign, code = "✓", "1;32"
	case ui.MarkDone:
		sign, code = "•", ""
	case ui.MarkFailed:
		sign, code = "✗", "1;31"
	case ui.MarkBack:
		sign, code = "↩", ""
	}
	if w.style.ASCII {
		sign = map[ui.Mark]string{ui.MarkNow: ">", ui.MarkCured: "+", ui.MarkDone: "*", ui.MarkFailed: "x", ui.MarkBack: "<"}[p.Mark]
		if sign == "" {
			sign = "-"
		}
	}
	w.text(sign+" ", code, report.RemedyTitle(t.ID))
	if p.Mark == ui.MarkWaits {
		return
	}
	key := "ui.mark." + string(p.Mark)
	if p.Mark == ui.MarkDone && p.Tried != nil && p.Tried.Err != "" {
		key = "ui.mark.not-tried"
	}
	about := say(key)
	if p.Tried != nil && p.Tried.Code != "" {
		about += " (" + p.Tried.Code + ")"
	}
	w.text("    ", "2", about)
	for k, mark := range p.Steps {
		if k < len(t.Steps) && mark != ui.MarkWaits {
			w.text("    - ", "", report.ChangeText(t.Steps[k].Change)+": "+say("ui.step."+string(mark)))
		}
	}
}

// log is what happened, the last first.
func (m *model) log(w *writer) {
	if len(m.state.Log) == 0 {
		return
	}
	w.line("")
	w.line(w.paint("1", say("ui.log", "n", m.state.Lines)))
	for _, l := range slices.Backward(m.state.Log) {
		if text := report.EventText(l.Event); text != "" {
			w.text("  "+l.Time.Format("15:04:05")+"  ", "2", text)
		}
	}
}

// count says how many, in words of their own for one.
func count(key string, n int) string {
	if n == 1 {
		return say(key + "-1")
	}
	return say(key, "n", n)
}

// past is the history.
func (m *model) past(w *writer) {
	w.title(say("ui.history"))
	if len(m.history) == 0 {
		w.text("", "", say("ui.history.empty"))
		return
	}
	w.text("", "", say("ui.history-lead"))
	w.line("")
	for i, r := range m.history {
		result := r.Result
		if result == "" {
			result = "unfinished"
		}
		about := ui.OfCourse(message.English(), "ui.result."+string(result), r.Course)
		if r.Err != "" {
			about = say("ui.history.unreadable")
		}
		line := "  " + r.Began.Local().Format("2006-01-02 15:04") + "  " + w.clean(about)
		if i == m.chosen {
			line = w.paint("7", ">"+line[1:])
		}
		w.line(line)
		standing := say("ui.history.none")
		if r.Standing > 0 {
			standing = count("ui.history.standing", r.Standing)
		}
		if r.Lasting() > 0 {
			standing += ", " + count("ui.history.lasting", r.Lasting())
		}
		w.text("      ", "2", standing)
		if r.Helped != "" {
			w.text("      ", "2", report.RemedyTitle(r.Helped))
		}
	}
}

// help prepares the bundle for somebody who helps.
func (m *model) help(w *writer) {
	w.title(say("ui.help"))
	w.text("", "", say("ui.help-lead"))
	w.line("")
	if m.pack == nil {
		for _, id := range []string{"in-logs", "in-settings", "redacted", "nothing-sent"} {
			w.text("  - ", "", say("ui.help."+id))
		}
		return
	}
	w.line(w.paint("1", say("ui.help.inside")))
	p := m.pack.Preview
	w.line(fmt.Sprintf("  %s: %d, %s", say("ui.help.files"), len(p.Files), size(p.Bytes)))
	w.line(fmt.Sprintf("  %s: %d", say("ui.help.keys"), p.Keys))
	w.line(fmt.Sprintf("  %s: %d", say("ui.help.services"), p.Services))
	w.line("")
	if m.note != "" {
		note, rest, _ := strings.Cut(m.note, "\n\n")
		w.text("", "1;32", note)
		w.line("")
		for l := range strings.Lines(rest) {
			w.text("  ", "", l)
		}
		w.line("")
	}
	for _, f := range p.Files {
		w.text("  ", "2", f.Path+"  "+size(f.Take))
	}
}

// other is another machine, by what it wrote.
func (m *model) other(w *writer) {
	w.field(say("term.open"), m.input[Other])
	i := slices.IndexFunc(m.state.Files, func(f ui.File) bool { return f.ID == m.file })
	if i < 0 {
		return
	}
	switch f := m.state.Files[i]; {
	case f.Err != nil:
		w.text("", "1;31", problem(f.Err))
	case f.Patient == nil:
		w.work(f.Work)
	default:
		w.told(report.Text(w.b, f.Patient.Doc, w.style))
		w.line("")
		w.told(report.WhyText(w.b, f.Patient.Doc, w.style))
	}
}

// explain says what codes mean.
func (m *model) explain(w *writer) {
	w.field(say("term.explain"), m.input[Explain])
	switch {
	case m.nothing != "":
		w.text("", "1;33", say("ui.explain.none"))
	case m.codes == nil:
		w.text("", "2", say("term.explain.try"))
	default:
		w.told(report.WriteExplanations(w.b, m.codes, "text", w.style, false))
	}
}
