package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"updoc/internal/cause"
	"updoc/internal/message"
)

// WriteExplanations writes explanations as text, json or md. The short form of
// a code fits on a screen; all adds every cause, every piece of common advice
// with its reason, how to do the remedies, and the way by hand.
func WriteExplanations(w io.Writer, e *Explanations, format string, style Style, all bool) error {
	switch format {
	case "json":
		return encode(w, e)
	case "md":
		return explainMarkdown(w, e, all)
	}
	return explainText(w, e, style, all)
}

func explainText(w io.Writer, doc *Explanations, style Style, all bool) error {
	if style.Width == 0 {
		style.Width = 80
	}
	p := &printer{w: bufio.NewWriter(w), style: style, words: message.English()}
	for i := range doc.Codes {
		if i > 0 {
			p.line("")
			p.line("%s", p.faint(strings.Repeat(p.pick("─", "-"), style.Width)))
		}
		p.explained(&doc.Codes[i], all)
	}
	if doc.More > 0 {
		p.line("")
		p.line("%s", p.say("explain.more-codes", "n", doc.More))
	}
	return p.w.Flush()
}

func (p *printer) say(key string, args ...any) string { return p.words.Text(key, args...) }

func (p *printer) explained(e *Explanation, all bool) {
	p.explainedHead(e)
	p.hanging("  ", e.Meaning)
	if e.Not != "" {
		p.hanging("  ", e.Not)
	}
	switch e.Kind {
	case kindSuccess:
		p.line("")
		p.line("  %s", p.green(p.say("explain.success")))
		return
	case kindRestart:
		p.line("")
		p.line("  %s", p.green(p.say("explain.restart")))
		return
	case kindWrapper:
		p.line("  %s", p.amber(p.say("explain.inner")))
	}
	if e.Inner != "" {
		p.hanging("  ", e.Inner)
	}
	if all || !e.Known {
		p.structure(e)
	}
	p.near(e)
	p.line("")
	p.usual(e, all)
	p.tries(e, all)
	p.apart(e, all)
	if all {
		p.opinions("explain.suspects", e.Suspects)
		p.opinions("explain.advice", e.Advice)
		p.byHand(e)
		return
	}
	p.advice(e)
	p.hints(e)
}

// explainedHead is the code, its name and where it belongs.
func (p *printer) explainedHead(e *Explanation) {
	name := e.Symbol
	if name == "" {
		name = p.say("explain.no-symbol")
	}
	p.line("%s  %s", p.bold(e.Code), p.bold(p.fitted(name, p.style.Width-2-len(e.Code))))
	var about []string
	if e.reread() {
		about = append(about, p.say("explain.read-as", "given", p.fitted(e.Given, 30), "form", p.say("form."+e.Form)))
	}
	if e.Owner != "" {
		about = append(about, e.Owner)
	}
	if e.Stage != "" {
		stage := p.say("explain.any-stage")
		if e.Stage != "any" {
			stage = p.say("explain.stage", "stage", p.say("stage."+e.Stage))
		}
		about = append(about, stage)
	}
	if e.HTTP != 0 {
		about = append(about, p.say("explain.http", "status", e.HTTP))
	}
	if len(about) > 0 {
		p.hanging("", strings.Join(about, "; "))
	}
	if len(e.Also) > 0 {
		p.codeList(p.say("explain.also"), e.Also)
	}
	p.line("")
}

func (p *printer) codeList(title string, list []CodeName) {
	var names []string
	for _, n := range list {
		s := n.Code
		if n.Symbol != "" {
			s += " " + n.Symbol
		}
		if n.Meaning != "" {
			s += " (" + n.Meaning + ")"
		}
		names = append(names, s)
	}
	p.hanging("", title+": "+strings.Join(names, "; "))
}

// hanging writes text in lines of the width; words of our own catalogue only
// need their characters checked when the terminal has no others than ASCII.
func (p *printer) hanging(indent, text string) { p.wrap(indent, p.clean(text)) }

func (p *printer) structure(e *Explanation) {
	if len(e.Structure) == 0 {
		return
	}
	p.line("")
	p.line("%s", p.bold(p.say("explain.structure")))
	for _, part := range e.Structure {
		text := part.Value
		if part.Meaning != "" {
			text += "  " + part.Meaning
		}
		p.line("  %-18s %s", p.say("piece."+part.Kind), p.fitted(text, p.style.Width-21))
	}
}

func (p *printer) near(e *Explanation) {
	if len(e.Near) > 0 {
		p.line("")
		p.codeList(p.say("explain.near"), e.Near)
	}
}

// usual lists the causes; in the short form as many as fit a screen.
func (p *printer) usual(e *Explanation, all bool) {
	if len(e.Causes) == 0 {
		p.hanging("  ", p.say("explain.no-causes"))
		p.line("")
		return
	}
	p.line("%s", p.bold(p.say("explain.causes")))
	show := len(e.Causes)
	if !all {
		show = min(show, 5)
	}
	for _, c := range e.Causes[:show] {
		room := p.style.Width - 9
		title, id := p.clean(c.Title), ""
		if rest := room - utf8.RuneCountInString(title) - 2; rest >= len(c.ID) {
			id = "  " + p.faint(c.ID)
		}
		p.line("  %5s  %s%s", share(c.Share), p.fitted(title, room), id)
	}
	if n := len(e.Causes) - show; n > 0 {
		p.line("  %5s  %s", "", p.faint(p.say("explain.rarer", "n", n)))
	}
	p.line("")
}

// tries lists the remedies to begin with.
func (p *printer) tries(e *Explanation, all bool) {
	if len(e.Remedies) == 0 {
		return
	}
	p.line("%s", p.bold(p.say("explain.first")))
	show := len(e.Remedies)
	if !all {
		show = min(show, 4)
	}
	for i, r := range e.Remedies[:show] {
		note := p.say("risk." + r.Risk)
		if r.Minutes > 1 {
			note += ", " + p.word("minutes", "n", r.Minutes)
		}
		if used := 5 + utf8.RuneCountInString(r.Title) + 2 + utf8.RuneCountInString(note); used > p.style.Width {
			note = p.say("risk." + r.Risk)
		}
		p.line("  %d. %s  %s", i+1, p.fitted(r.Title, p.style.Width-7-utf8.RuneCountInString(note)), p.faint(note))
		if all {
			p.hanging("     ", r.How)
		}
	}
	p.line("")
}

func (p *printer) apart(e *Explanation, all bool) {
	if len(e.TellApart) == 0 || len(e.Causes) < 2 {
		return
	}
	p.line("%s", p.bold(p.say("explain.apart")))
	show := e.TellApart
	if !all {
		show = show[:min(len(show), 3)]
	}
	for _, t := range show {
		p.bullet(t.Look)
	}
	p.line("")
}

// bullet writes a paragraph that hangs from a dash.
func (p *printer) bullet(text string) {
	first := true
	for _, l := range wrapped(p.clean(text), p.style.Width-4) {
		mark := " "
		if first {
			mark = "-"
		}
		p.line("  %s %s", mark, l)
		first = false
	}
}

// wrapped breaks text into lines of at most width characters.
func wrapped(text string, width int) []string {
	var lines []string
	col := 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		if len(lines) == 0 || col+1+n > width {
			lines, col = append(lines, word), n
			continue
		}
		lines[len(lines)-1] += " " + word
		col += 1 + n
	}
	return lines
}

// worthOrder is the order in which verdicts are listed.
var worthOrder = [...]cause.Worth{cause.Can, cause.Seldom, cause.Around, cause.Cannot, cause.Harmful}

// maxAdvice is how many pieces of advice a line of the short form names.
const maxAdvice = 5

// advice is the short form: one line a verdict, then what matters most.
func (p *printer) advice(e *Explanation) {
	if len(e.Advice) == 0 {
		return
	}
	p.line("%s", p.bold(p.say("explain.advice")))
	for _, w := range worthOrder {
		var titles []string
		more := 0
		for _, o := range e.Advice {
			if o.Verdict != string(w) {
				continue
			}
			if len(titles) == maxAdvice {
				more++
				continue
			}
			titles = append(titles, lowerFirst(o.Title))
		}
		if len(titles) == 0 {
			continue
		}
		text := strings.Join(titles, ", ")
		if more > 0 {
			text += ", " + p.say("explain.more-advice", "n", more)
		}
		label := fmt.Sprintf("%-11s", p.say("worth."+string(w)))
		for i, l := range wrapped(p.clean(text), p.style.Width-2-len(label)) {
			if i == 0 {
				p.line("  %s%s", p.worth(w, label), l)
				continue
			}
			p.line("  %*s%s", len(label), "", l)
		}
	}
	for _, o := range e.Advice { // the commonest wrong advice is answered
		if o.Special && o.Verdict != string(cause.Can) {
			p.hanging("  ", o.Title+": "+lowerFirst(sentences(o.Why, 2)))
			break
		}
	}
	p.line("")
}

func (p *printer) worth(w cause.Worth, s string) string {
	switch w {
	case cause.Can:
		return p.green(s)
	case cause.Harmful, cause.Cannot:
		return p.red(s)
	}
	return p.amber(s)
}

// opinions is the long form: every verdict with its reason.
func (p *printer) opinions(heading string, list []Opinion) {
	if len(list) == 0 {
		return
	}
	p.line("%s", p.bold(p.say(heading)))
	for _, w := range worthOrder {
		for _, o := range list {
			if o.Verdict != string(w) {
				continue
			}
			p.line("  %s%s", p.worth(w, fmt.Sprintf("%-11s", p.say("worth."+o.Verdict))), p.bold(p.clean(o.Title)))
			p.hanging("             ", o.Why)
			if o.Costs != "" {
				p.paragraph("             ", o.Costs)
			}
		}
	}
	p.line("")
}

// paragraph writes text faintly; the colour is put around each line, so that
// widths stay right.
func (p *printer) paragraph(indent, text string) {
	for _, l := range wrapped(p.clean(text), p.style.Width-len(indent)) {
		p.line("%s%s", indent, p.faint(l))
	}
}

func (p *printer) byHand(e *Explanation) {
	if len(e.ByHand) == 0 {
		return
	}
	p.line("%s", p.bold(p.say("explain.hand")))
	for i, s := range e.ByHand {
		p.line("  %d. %s", i+1, p.bold(p.clean(s.Title)))
		p.hanging("     ", s.Text)
	}
}

// hints names the commands that tell more.
func (p *printer) hints(e *Explanation) {
	list := []string{"updoc explain " + e.Code + " --all"}
	if len(e.Causes) > 0 {
		list = append(list, "updoc causes "+e.Causes[0].ID)
	}
	p.hanging("", p.say("explain.more", "hints", strings.Join(list, ", ")))
}

// sentences returns the first n sentences of a text.
func sentences(text string, n int) string {
	at := 0
	for range n {
		i := strings.Index(text[at:], ". ")
		if i < 0 {
			return text
		}
		at += i + 2
	}
	return text[:at-1]
}

// lowerFirst begins a sentence in the middle of a line; names keep their letters.
func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if next, _ := utf8.DecodeRuneInString(s[n:]); n == 0 || next >= 'A' && next <= 'Z' || !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZ", r) {
		return s
	}
	return string(r+'a'-'A') + s[n:]
}
