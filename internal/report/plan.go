package report

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/repair"
	"updoc/internal/winlog"
)

// PlanText writes a plan for a terminal: each treatment with what it changes, what
// it risks and how long it takes, what is for others to do, and what was left out
// and why. With whole it says all that others have to be told, with the texts for
// their settings; else what is to be asked of them.
func PlanText(w io.Writer, plan *repair.Plan, whole bool, style Style) error {
	if style.Width == 0 {
		style.Width = 80
	}
	p := &printer{w: bufio.NewWriter(w), style: style, words: message.English()}
	name := plan.Machine.Name
	if name == "" {
		name = p.word("this-machine")
	}
	p.line("%s", p.bold(p.clean(p.words.Text("fix.title", "machine", name))))
	doing, telling := 0, false
	for _, t := range plan.Treatments {
		if t.Risk == repair.RiskOutside || t.How == repair.Advice {
			telling = true
			continue
		}
		doing++
		p.treatment(doing, t, string(plan.Failure.Stage))
	}
	switch {
	case doing > 0:
		if plan.WantsPoint() {
			p.line("")
			p.wrap("  ", p.words.Text("point.plan"))
		}
		p.line("")
		p.wrap("  ", ofCourse("fix.prove", plan.Only(), "stage", string(plan.Failure.Stage)))
	case !telling:
		p.wrap("  ", p.words.Text("fix.nothing"))
	}
	if telling {
		p.line("")
		p.line("%s", p.bold(p.words.Text("fix.ask")))
		for _, t := range plan.Treatments {
			if t.Risk == repair.RiskOutside || t.How == repair.Advice {
				p.line("  %s", p.fitted(p.words.Text("remedy."+t.ID+".title")+"  "+t.ID, style.Width-2))
				if !whole {
					t.Lead = t.Lead[:min(1, len(t.Lead))]
				}
				p.leads(t)
			}
		}
	}
	if telling && !whole {
		p.wrap("  ", p.faint(p.words.Text("fix.whole")))
	}
	if len(plan.LeftOut) > 0 {
		p.line("")
		p.line("%s", p.bold(p.words.Text("fix.left-out")))
		for i := 0; i < len(plan.LeftOut); {
			why := Sentence(plan.LeftOut[i].Why)
			var titles []string
			for ; i < len(plan.LeftOut) && Sentence(plan.LeftOut[i].Why) == why; i++ {
				titles = append(titles, RemedyTitle(plan.LeftOut[i].ID))
			}
			p.wrap("  "+p.pick("· ", "- "), p.clean(strings.Join(titles, "; ")+": "+why))
		}
	}
	return p.w.Flush()
}

func (p *printer) treatment(n int, t repair.Treatment, stage string) {
	about := []string{
		p.words.Text("fix.minutes", "n", t.Minutes), riskText(t),
	}
	if t.Chance > 0 { // what a person asked for by name has none
		about = append(about, p.words.Text("fix.chance", "percent", percent(t.Chance)))
	}
	if t.How == repair.Guided {
		about = append(about, p.words.Text("fix.person"))
	}
	if len(t.Causes) > 0 {
		about = append(about, p.words.Text("fix.against", "cause", t.Causes[0]))
	}
	p.line("%2d  %s", n, p.bold(p.clean(p.words.Text("remedy."+t.ID+".title"))))
	p.wrap("    ", p.faint(strings.Join(about, ", ")+" ("+t.ID+")"))
	for _, s := range t.Steps {
		text := ChangeText(s.Change)
		switch {
		case s.Lease > 0 && s.Lasting == "":
			text += "; " + p.words.Text("fix.lease", "n", s.Lease)
		case s.Lasting != "":
			text += "; " + p.words.Text("fix.lasting", "why", lowerFirst(p.words.Text(s.Lasting)))
		case s.Change.Looks():
			text += "; " + p.words.Text("course.looks")
		case s.Change.Kind == host.Run && len(s.Undo) == 0 && t.Risk == repair.RiskPermanent:
			text += "; " + p.words.Text("fix.no-undo")
		}
		p.wrap("    "+p.pick("· ", "- "), p.clean(text))
	}
	if t.Course != nil {
		p.course(t, stage)
	}
	p.leads(t)
}

func (p *printer) leads(t repair.Treatment) {
	for _, l := range t.Lead {
		for para := range strings.SplitSeq(Sentence(l), "\n\n") {
			p.wrap("    ", p.clean(para))
		}
		for row := range strings.Lines(l.Paste) {
			p.line("      %s", strings.TrimRight(p.cleanRow(WithoutPasswords(row)), " "))
		}
	}
}

// cleanRow is clean without folding blanks: the row of a text to be pasted.
func (p *printer) cleanRow(row string) string {
	indent := len(row) - len(strings.TrimLeft(row, " "))
	return strings.Repeat(" ", indent) + p.clean(row)
}

// Sentence is a line of a plan in words. Arguments come from the machine.
func Sentence(l repair.Line) string {
	var args []any
	for name, v := range l.Args {
		if name == "cause" {
			v = CauseTitle(v)
		}
		args = append(args, name, v)
	}
	return WithoutPasswords(message.English().Text(l.ID, args...))
}

// ChangeText says what a change does, in one line without secrets.
func ChangeText(c host.Change) string {
	words := message.English()
	if host.Mounts(c) {
		_, file, _ := strings.Cut(c.Path, "/")
		return WithoutPasswords(words.Text("change.mount-"+c.State, "path", file))
	}
	if group, name, ok := strings.Cut(c.Path, "/"); ok && c.Kind == host.Switch && words.Has("change.switch."+group+"."+c.State) {
		if host.ByPerson(c) {
			name = productName(c)
		}
		return WithoutPasswords(words.Text("change.switch."+group+"."+c.State, "name", name))
	}
	args := []any{"path", c.Path, "to", c.To, "name", c.Name, "value", strings.TrimSpace(c.State + strings.Join(c.Args, " "))}
	if c.Name == "" {
		args[5] = words.Text("change.default-value")
	}
	switch {
	case c.Value != nil:
		args[7] = valueText(c)
	case c.Start != nil:
		args[7] = startText(*c.Start)
	case c.Kind == host.ServiceTriggers && len(c.Triggers) == 0:
		args[7] = words.Text("change.no-triggers")
	case c.Kind == host.ServiceTriggers:
		args[7] = words.Text("change.triggers", "n", len(c.Triggers))
	case c.Kind == host.ServiceNeeds && len(c.Needs) == 0:
		args[7] = words.Text("change.no-needs")
	case c.Kind == host.ServiceNeeds:
		args[7] = strings.Join(c.Needs, ", ")
	}
	return WithoutPasswords(strings.TrimSpace(words.Text("change."+string(c.Kind), args...)))
}

// productName is what of a setting the maker calls the product.
func productName(c host.Change) string { return offName(c.Path) }

func offName(setting string) string {
	_, rest, _ := strings.Cut(setting, "/")
	_, name, _ := strings.Cut(rest, "/")
	return name
}

// valueText is a registry value for people: text and numbers as they are, of a
// binary proxy setting what it says, of anything else how long it is.
func valueText(c host.Change) string {
	if n, ok := c.Value.DWord(); ok {
		return fmt.Sprint(n)
	}
	if s, ok := c.Value.String(); ok && len(s) <= 120 {
		return fmt.Sprintf("%q", s)
	}
	if list, ok := c.Value.Strings(); ok && len(list) <= 8 {
		return strings.Join(list, ", ")
	}
	for _, parse := range []func([]byte) (winlog.ProxyBlob, error){winlog.ParseWinHTTPBlob, winlog.ParseConnectionBlob} {
		if b, err := parse(c.Value.Data); err == nil {
			return proxyText(b)
		}
	}
	return message.English().Text("change.bytes", "n", len(c.Value.Data))
}

func proxyText(b winlog.ProxyBlob) string {
	var parts []string
	if b.Static() {
		parts = append(parts, b.Proxy)
		if b.Bypass != "" {
			parts = append(parts, message.English().Text("change.exceptions", "n", strings.Count(strings.Trim(b.Bypass, "; "), ";")+1))
		}
	}
	if b.Auto() {
		parts = append(parts, "PAC "+b.PAC)
	}
	if b.Detect() {
		parts = append(parts, "WPAD")
	}
	if len(parts) == 0 {
		return message.English().Text("change.no-proxy")
	}
	return strings.Join(parts, " ")
}

func startText(s host.Start) string {
	names := []string{"system", "system", "automatic", "manual", "disabled"}
	name := names[min(int(s.Type), len(names)-1)]
	if s.Delayed {
		name = "delayed"
	}
	return message.English().Text("change.start." + name)
}

// EventText says what happened in a run, in one line; "" for what goes without
// saying.
func EventText(e repair.Event) string {
	words := message.English()
	change := ""
	if e.Change != nil {
		change = ChangeText(*e.Change)
	}
	switch e.Kind {
	case repair.EntryBegin:
		if e.About != "" {
			return Sentence(repair.Line{ID: "procedure." + e.About, Args: e.Args})
		}
		return words.Text("fix.begin", "change", change) // "" of a question
	case repair.EntrySkipped, repair.EntryUndone, repair.EntryConflict:
		return words.Text("fix."+string(e.Kind), "change", change)
	case repair.EntryPoint:
		switch {
		case e.Point == nil:
			return words.Text("point.failed", "error", WithoutPasswords(e.Err))
		case e.Point.New:
			return words.Text("point.made", "n", e.Point.Sequence)
		case e.Point.Sequence > 0:
			return words.Text("point.skipped", "n", e.Point.Sequence)
		}
		return words.Text("point.none")
	case repair.EntryStarted:
		return words.Text("course.restarted")
	case repair.EntryAct:
		switch {
		case e.Err != "":
			return words.Text("course.failed", "error", WithoutPasswords(e.Err))
		case !e.Tried:
			return ""
		case e.Code.Failed():
			return words.Text("fix.tried.bad", "code", codeText(e.Code))
		}
		return words.Text("fix.tried.good")
	case repair.EntryFailed:
		return words.Text("fix.failed", "error", WithoutPasswords(e.Err))
	case repair.EntryPassed, repair.EntryRestart:
		if e.Wait > 0 {
			return words.Text("course.restart-soon", "minutes", int(e.Wait.Minutes()))
		}
		return words.Text("fix." + string(e.Kind))
	case repair.EventPerson:
		return words.Text("fix.person-"+e.Change.State, "name", productName(*e.Change))
	case repair.EntryOff:
		return words.Text("fix.off", "name", productName(*e.Change))
	case repair.EventWait:
		return words.Text("fix.wait", "code", codeText(e.Code), "minutes", int(e.Wait.Minutes()))
	case repair.EntryTried:
		if e.Trial != "" && e.Err == "" {
			return words.Text("fix.tried."+e.Trial, "code", codeText(e.Code))
		}
		good, bad := ofCourse("fix.tried.good", e.Course), ofCourse("fix.tried.bad", e.Course, "code", codeText(e.Code))
		switch {
		case e.Err != "" && len(e.Against) > 0:
			return words.Text("proof.unproven", "what", inOne(e.Against))
		case e.Err != "":
			return words.Text("fix.tried.not", "error", WithoutPasswords(e.Err))
		case e.Code.Failed():
			return bad + inBrackets(e.Against)
		}
		return good + inBrackets(e.Said)
	}
	return ""
}

func inOne(list []repair.Line) string {
	var out []string
	for _, l := range list {
		out = append(out, Sentence(l))
	}
	return strings.Join(out, "; ")
}

func inBrackets(list []repair.Line) string {
	if len(list) == 0 {
		return ""
	}
	return " (" + inOne(list) + ")"
}

func codeText(h codes.HRESULT) string { return strings.TrimSpace(h.String() + " " + h.Symbol()) }

// ResultText says how a run ended, and how to take it back where there is something to
// take back: undoable of its changes can be, lasting stay.
func ResultText(plan *repair.Plan, res repair.Result, undoable, lasting int) string {
	words := message.English()
	out := []string{ofCourse("fix.result."+string(res), plan.Only(), "stage", string(plan.Failure.Stage))}
	switch {
	case undoable > 0 && lasting > 0:
		out = append(out, words.Text("fix.undo-some", "run", plan.Run))
	case undoable > 0:
		out = append(out, words.Text("fix.undo-with", "run", plan.Run))
	}
	return strings.Join(slices.DeleteFunc(out, func(s string) bool { return s == "" }), "\n")
}

// ofCourse is a sentence in the words of the course that is all of a plan, if it has its
// own.
func ofCourse(id, course string, args ...any) string {
	words := message.English()
	if own := id + "." + course; course != "" && words.Has(own) {
		id = own
	}
	return words.Text(id, args...)
}

// riskText says what a treatment risks.
func riskText(t repair.Treatment) string {
	if Passing(t) {
		return message.English().Text("fix.risk.passing")
	}
	return message.English().Text("fix.risk." + string(t.Risk))
}

// Passing reports a treatment that puts everything back by itself.
func Passing(t repair.Treatment) bool {
	if t.Course == nil {
		return false
	}
	pr, err := t.Course.Procedure()
	return err == nil && pr.Bounds().Passing
}

// RemedyTitle is what a remedy is called.
func RemedyTitle(id string) string { return message.English().Text("remedy." + id + ".title") }

// CauseTitle is what a cause is called, in the middle of a sentence.
func CauseTitle(id string) string {
	return lowerFirst(message.English().Text("cause." + id + ".title"))
}

// TreatmentText writes one treatment, before a person is asked about it.
func TreatmentText(w io.Writer, t repair.Treatment, style Style) error {
	if style.Width == 0 {
		style.Width = 80
	}
	p := &printer{w: bufio.NewWriter(w), style: style, words: message.English()}
	p.line("")
	p.treatment(1, t, "")
	return p.w.Flush()
}

// UndoneText writes what an undo did.
func UndoneText(w io.Writer, run string, u repair.Undone, style Style) error {
	if style.Width == 0 {
		style.Width = 80
	}
	p := &printer{w: bufio.NewWriter(w), style: style, words: message.English()}
	if u.Back == 0 && len(u.Conflicts)+len(u.Lasting)+len(u.Waiting) == 0 {
		p.line("%s", p.words.Text("undo.nothing", "run", run))
		return p.w.Flush()
	}
	if u.Back == 0 && len(u.Conflicts)+len(u.Waiting) == 0 {
		p.line("%s", p.words.Text("undo.none", "run", run))
	} else {
		p.line("%s", p.words.Text("undo.done", "n", u.Back, "run", run))
	}
	if len(u.Conflicts) > 0 {
		p.line("%s", p.words.Text("undo.conflicts"))
		for _, c := range u.Conflicts {
			p.wrap("  - ", p.clean(ChangeText(c.Change)))
		}
	}
	if u.Restart {
		p.line("%s", p.words.Text("undo.restart"))
	}
	for _, ofUser := range []bool{false, true} {
		said := false
		for _, c := range u.Waiting {
			if host.OfUser(c.Change) != ofUser {
				continue
			}
			if !said {
				p.line("%s", p.words.Text(map[bool]string{false: "undo.waiting", true: "undo.waiting-user"}[ofUser]))
				said = true
			}
			p.wrap("  - ", p.clean(ChangeText(c.Change)))
		}
	}
	for _, path := range u.Kept {
		p.wrap("", p.clean(p.words.Text("undo.kept", "path", path)))
	}
	for _, id := range u.Lasting {
		p.wrap("", p.words.Text("undo.lasting", "what", RemedyTitle(id)))
	}
	return p.w.Flush()
}

// RehearsalText says how far a plan could be rehearsed.
func RehearsalText(w io.Writer, steps []repair.Rehearsed, style Style) error {
	if style.Width == 0 {
		style.Width = 80
	}
	p := &printer{w: bufio.NewWriter(w), style: style, words: message.English()}
	p.line("")
	p.wrap("", p.bold(p.words.Text("fix.rehearsal")))
	for _, s := range steps {
		if s.Err == "" {
			continue
		}
		p.wrap("  - ", p.clean(p.words.Text("fix.unrehearsed", "change", ChangeText(s.Change))))
	}
	return p.w.Flush()
}
