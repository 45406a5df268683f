package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"updoc/internal/message"
)

// Bounds of what a drawing shows; the document holds all.
const (
	maxGroupsDrawn = 8
	maxSameDrawn   = 16
	maxOpenDrawn   = 40
	maxSeenDrawn   = 8
	maxGapsDrawn   = 8
	maxHopLines    = 3 // of the hop that is broken, or of a decision that needs telling
)

// RouteOptions says how much of a route is drawn.
type RouteOptions struct {
	All    bool // every hop of every way
	Advice bool // everything that can be pasted, and not only what fits the cause
	Told   bool // a report around it has told the cause
}

// RouteText draws a walk for a terminal: what is broken hop by hop, what is open
// in a line each, and what can be pasted against it.
func RouteText(w io.Writer, doc *RouteDocument, style Style, opt RouteOptions) error {
	if style.Width == 0 {
		style.Width = 80
	}
	p := &printer{w: bufio.NewWriter(w), style: style, words: message.English()}
	p.line("%s", p.bold(routeVerdict(doc, p.words)))
	p.line("%s", p.faint(p.fitted(p.word("route.walked", "as", doc.As, "took", took(doc.TookMS)), p.style.Width)))
	if !opt.Told {
		p.routeCause(doc)
	}
	p.routes(doc, opt)
	p.together(doc, opt)
	p.snippets(doc, opt.Advice)
	p.routeGaps(doc)
	return p.w.Flush()
}

func routeVerdict(doc *RouteDocument, words *message.Catalog) string {
	broken := len(doc.with("broken"))
	args := []any{"broken", broken, "routes", len(doc.Routes)}
	switch {
	case doc.Verdict == "broken":
		return words.Text("report.route.broken", args...)
	case doc.Verdict == "open" && broken > 0:
		return words.Text("report.route.mostly-open", args...)
	case doc.Verdict == "open":
		return words.Text("report.route.open", args...)
	}
	return words.Text("report.route.unknown")
}

func (p *printer) routeCause(doc *RouteDocument) {
	if len(doc.Causes) == 0 || doc.Verdict != "broken" {
		return
	}
	p.line("")
	if undecided(&Document{Causes: doc.Causes}) {
		p.line("%s", p.bold(p.amber(p.word("several"))))
		for _, c := range doc.Causes[:min(len(doc.Causes), 3)] {
			p.line("  %5s  %s", percent(c.Probability), p.fitted(c.Title+"  "+c.ID, p.style.Width-9))
		}
		return
	}
	c := doc.Causes[0]
	p.line("%s  %s", p.bold(p.word("cause")), p.bold(p.fitted(c.Title, p.style.Width-2-utf8.RuneCountInString(p.word("cause")))))
	p.line("  %s", p.faint(p.word("sure", "percent", percent(c.Probability), "id", c.ID)))
}

// routes draws what is broken, one of each kind hop by hop and the others of its kind
// in a line each, then what is open.
func (p *printer) routes(doc *RouteDocument, opt RouteOptions) {
	if opt.All {
		for _, r := range doc.Routes {
			p.oneRoute(r, true)
		}
		return
	}
	groups := doc.groups()
	for _, g := range groups[:min(len(groups), maxGroupsDrawn)] {
		p.oneRoute(g.Route, false)
		p.same(g)
	}
	if n := len(groups) - maxGroupsDrawn; n > 0 {
		p.line("")
		p.line("%s", p.faint(p.word("route.more-broken", "n", n)))
	}
	p.open(doc.with("open"))
	if rest := doc.with("unknown"); len(rest) > 0 {
		p.line("")
		p.heading("route.not-walked")
		for _, r := range rest[:min(len(rest), maxGapsDrawn)] {
			p.line("  %s %s", p.amber("?"), p.fitted(r.Purpose, p.style.Width-4))
		}
		p.andMore(len(rest) - maxGapsDrawn)
	}
}

func (p *printer) andMore(n int) {
	if n > 0 {
		p.line("  %s", p.faint(p.word("more-gaps", "n", n)))
	}
}

// same lists the routes that break in the same way, with the code of each.
func (p *printer) same(g group) {
	if len(g.Same) == 0 {
		return
	}
	p.line("  %s", p.word("route.same"))
	for _, r := range g.Same[:min(len(g.Same), maxSameDrawn)] {
		p.line("    %-10s  %s", r.Predict.code(), p.fitted(r.Purpose, p.style.Width-16))
	}
	if n := len(g.Same) - maxSameDrawn; n > 0 {
		p.line("    %s", p.faint(p.word("more-gaps", "n", n)))
	}
}

// open lists open routes in a line each, by the way they go.
func (p *printer) open(list []Route) {
	var ways []string
	for _, r := range list {
		if way := p.wayName(r.Deciding()); !slices.Contains(ways, way) {
			ways = append(ways, way)
		}
	}
	n := 0
	for _, way := range ways {
		p.line("")
		p.line("%s", p.bold(p.fitted(p.word("route.open-ways", "way", way), p.style.Width)))
		for _, r := range list {
			w := r.Deciding()
			if p.wayName(w) != way {
				continue
			}
			if n++; n > maxOpenDrawn {
				continue
			}
			p.line("  %s %8s  %s", p.green(p.pick("✓", "+")), took(w.TookMS), p.fitted(r.Purpose, p.style.Width-14))
		}
	}
	p.andMore(n - maxOpenDrawn)
}

// oneRoute draws one request: what it is for, where it goes, each hop of the way that
// decides, how the other ways fared in a line each, and what Windows would report.
func (p *printer) oneRoute(r Route, all bool) {
	mark := p.green(p.pick("✓", "+"))
	switch r.State {
	case "broken":
		mark = p.red(p.pick("✗", "x"))
	case "unknown":
		mark = p.amber("?")
	}
	p.line("")
	p.line("%s %s", mark, p.bold(p.fitted(r.Purpose, p.style.Width-2)))
	p.line("  %s", p.faint(p.address(r.Method+" "+r.URL, p.style.Width-2)))
	if all {
		for _, w := range r.Ways {
			p.way(r, w)
		}
	} else {
		if w := r.Deciding(); w.Walked() {
			p.way(r, w)
		}
		for _, w := range r.others() {
			p.beside(w)
		}
	}
	if r.Predict != nil {
		text := p.word("route.predict", "code", strings.TrimSpace(r.Predict.Code+" "+r.Predict.Symbol))
		if len(r.Predict.Also) > 0 {
			text += ", " + p.word("route.also", "codes", strings.Join(r.Predict.Also, ", "))
		}
		p.wrap("  ", p.clean(text))
	}
}

// wayName says where a request goes.
func (p *printer) wayName(w Way) string { return wayName(w, p.words) }

func wayName(w Way, words *message.Catalog) string {
	if w.Proxy == "" {
		return words.Text("report.route.direct")
	}
	return words.Text("report.route.through", "proxy", proxyName(w.Proxy))
}

// way draws one way, hop by hop.
func (p *printer) way(r Route, w Way) {
	title := p.wayName(w)
	if w.Setting != "" && w.Setting != "beside" {
		title += " (" + w.Setting + ")"
	}
	switch {
	case w.Beside:
		title = p.word("route.beside", "way", title)
	case !w.Walked():
		p.wrap("  ", p.clean(p.word("route.skipped", "way", cmp.Or(w.Why, title), "why", w.Skipped)))
		return
	case !w.Decides:
		title = p.word("route.before", "way", title)
	}
	p.line("  %s", p.address(title, p.style.Width-2))
	for _, h := range w.Hops {
		if h.Fault != "" || hopSays(r, w, h) {
			p.hop(h)
		}
	}
	if s := w.Steady; s != nil {
		p.line("    %s", p.fitted(steadiness(s, w.Broken() != nil, p.words), p.style.Width-4))
	}
}

// hopSays reports that a hop says something that its way's title does not.
func hopSays(r Route, w Way, h Hop) bool {
	switch h.Kind {
	case "decision":
		return w.Script != nil || h.Seen != "" && h.Seen != "direct" && h.Seen != proxyName(w.Proxy)
	case "content", "service":
		return h.Seen != ""
	}
	return true
}

// hop draws one leg in a line; the one that is broken, and a decision, may take more.
func (p *printer) hop(h Hop) {
	const indent = 23
	mark, name := " ", fmt.Sprintf("%-8s", p.fitted(h.Kind, 8))
	text := h.Seen
	if text == "" && (h.Kind == "tcp" || h.Kind == "dns") {
		text = h.Target
	}
	if h.Fault != "" {
		mark, name = p.red(p.pick("✗", "x")), p.red(name)
		text = strings.TrimSuffix(faultName(h.Fault, p.words)+": "+text, ": ")
	}
	lines := 1
	if h.Fault != "" || h.Kind == "decision" {
		lines = maxHopLines
	}
	for i, l := range p.folded(text, p.style.Width-indent, lines) {
		if i > 0 {
			p.line("%*s%s", indent, "", l)
			continue
		}
		p.line("%s", strings.TrimRight(fmt.Sprintf("  %s %s %8s  %s", mark, name, took(h.TookMS), l), " "))
	}
}

// beside says in a line how a way fared that does not decide, and why Windows does not
// go it.
func (p *printer) beside(w Way) {
	result := p.word("route.result-open", "took", took(w.TookMS), "status", w.Status)
	if h := w.Broken(); h != nil {
		result = p.word("route.result-broken", "hop", h.Kind, "fault", faultName(h.Fault, p.words))
	}
	title := p.wayName(w)
	if w.Beside {
		title = p.word("route.beside", "way", title)
	} else {
		title = p.word("route.before", "way", title)
	}
	text := title + ": " + result
	if w.Beside && w.Skipped != "" {
		text += "; " + p.word("route.not-so-windows", "why", w.Skipped)
	}
	for i, l := range p.folded(text, p.style.Width-4, maxHopLines) {
		p.line("  %s%s", strings.Repeat("  ", min(i, 1)), l)
	}
}

// folded breaks text into at most so many lines of the given width; what is more is
// cut.
func (p *printer) folded(text string, width, lines int) []string {
	text = p.clean(text)
	var out []string
	for _, word := range p.pieces(text, width) {
		n := len(out)
		if n > 0 && utf8.RuneCountInString(out[n-1])+1+utf8.RuneCountInString(word) <= width {
			out[n-1] += " " + word
			continue
		}
		if n == lines {
			r := []rune(out[n-1])
			out[n-1] = strings.TrimRight(string(r[:min(len(r), width-1)]), " ,;:") + p.pick("…", "~")
			return out
		}
		out = append(out, word)
	}
	if len(out) == 0 {
		return []string{""}
	}
	return out
}

// address cuts an address in the middle: its host and the end of its path tell most.
func (p *printer) address(text string, columns int) string {
	text = p.clean(text)
	r := []rune(text)
	if len(r) <= columns {
		return text
	}
	mark := []rune(p.pick("…", "~~"))
	if i := strings.IndexByte(text, '?'); i >= 0 { // a query tells least
		if head := []rune(text[:i+1]); len(head)+len(mark) <= columns {
			return string(head) + string(mark)
		} else if len(head) > 1 {
			r = head[:len(head)-1]
			text = string(r)
		}
	}
	if len(r) <= columns {
		return text
	}
	head := columns * 3 / 5
	if i := strings.Index(text, "://"); i >= 0 {
		if j := strings.IndexByte(text[i+3:], '/'); j >= 0 {
			if n := utf8.RuneCountInString(text[:i+3+j+1]); n < columns-len(mark)-8 {
				head = n
			}
		}
	}
	tail := r[len(r)-(columns-head-len(mark)):]
	if i := slices.Index(tail, '/'); i >= 0 && i < len(tail)*2/3 {
		tail = tail[i:]
	}
	return string(r[:head]) + string(mark) + string(tail)
}

func steadiness(s *Steady, broken bool, words *message.Catalog) string {
	args := []any{"sent", s.Sent, "lost", s.Lost, "mean", took(s.MeanMS), "jitter", took(s.JitterMS)}
	switch {
	case s.Sent == 0 || s.Lost >= s.Sent:
		return words.Text("report.route.down", args...)
	case s.Lost > 0:
		return words.Text("report.route.flaky", args...)
	case broken:
		return words.Text("report.route.same-again", args...)
	}
	return words.Text("report.route.steady", args...)
}

// together says what no single route shows, and how the line and the clock are.
func (p *printer) together(doc *RouteDocument, opt RouteOptions) {
	var good []string
	if text := lineOf(doc, p.words); text != "" && !opt.All {
		good = append(good, text)
	}
	wrong := ""
	if c := doc.Clock; c != nil {
		switch c.State {
		case "wrong":
			wrong = clockText(c, p.words)
		case "right":
			good = append(good, clockText(c, p.words))
		}
	}
	if len(doc.Seen) > 0 || wrong != "" {
		p.line("")
		p.heading("route.together")
		if wrong != "" {
			p.wrap("  ", p.red(wrong))
		}
		for _, s := range doc.Seen[:min(len(doc.Seen), maxSeenDrawn)] {
			for i, l := range p.folded(s.Text, p.style.Width-4, maxHopLines) {
				p.line("  %s%s", strings.Repeat("  ", min(i, 1)), l)
			}
		}
		p.andMore(len(doc.Seen) - maxSeenDrawn)
	}
	if len(good) > 0 {
		p.line("")
		for _, g := range good {
			p.line("%s", p.faint(p.fitted(g, p.style.Width)))
		}
	}
}

// lineOf says that the line is steady, if that was measured and nothing speaks
// against it: what speaks against it stands among what was seen together.
func lineOf(doc *RouteDocument, words *message.Catalog) string {
	sent, lost, sites, jitter := 0, 0, 0, 0.0
	for _, r := range doc.Routes {
		if s := r.Deciding().Steady; s != nil {
			sent += s.Sent
			lost += s.Lost
			sites++
			jitter = max(jitter, s.JitterMS)
		}
	}
	if sent == 0 || lost > 0 || slices.ContainsFunc(doc.Seen, func(s RouteSeen) bool { return s.ID == "line-unsteady" }) {
		return ""
	}
	return words.Text("report.route.line-steady", "sent", sent, "sites", sites, "jitter", took(jitter))
}

func clockText(c *Clock, words *message.Catalog) string {
	offset := time.Duration(c.OffsetMS * float64(time.Millisecond))
	off := offset.Abs() + time.Duration(c.UncertaintyMS*float64(time.Millisecond))
	switch {
	case c.State == "right":
		return words.Text("report.route.clock-right", "within", span2(off), "n", c.Agree)
	case offset > 0:
		return words.Text("report.route.clock-ahead", "by", span2(offset), "n", c.Agree)
	}
	return words.Text("report.route.clock-behind", "by", span2(-offset), "n", c.Agree)
}

// span2 writes a long time with its two largest units.
func span2(d time.Duration) string {
	switch {
	case d < time.Minute:
		return took(ms(d))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}

// snippets writes what can be pasted, as it is: nothing is wrapped or cut.
func (p *printer) snippets(doc *RouteDocument, all bool) {
	shown := 0
	for _, a := range doc.Advice {
		if !all && !a.Fits {
			continue
		}
		shown++
		p.line("")
		p.line("%s", p.bold(p.fitted(p.word("route.paste", "what", a.Title), p.style.Width)))
		for line := range strings.Lines(a.Text) {
			p.line("%s", eachLine(strings.TrimRight(line, "\n"), visible))
		}
	}
	if n := len(doc.Advice) - shown; n > 0 && shown > 0 {
		p.line("%s", p.faint(p.word("route.more-advice")))
	}
}

func (p *printer) routeGaps(doc *RouteDocument) {
	if len(doc.Gaps) == 0 {
		return
	}
	p.line("")
	p.heading("route.gaps")
	for _, g := range doc.Gaps[:min(len(doc.Gaps), maxGapsDrawn)] {
		text := strings.TrimSuffix(g.Source+": "+g.Why, ": ")
		p.line("  %s", p.fitted(text, p.style.Width-2))
	}
	p.andMore(len(doc.Gaps) - maxGapsDrawn)
}

// took writes a time as people read it.
func took(ms float64) string {
	switch {
	case ms < 9.95:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 999.5:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f s", ms/1000)
}
