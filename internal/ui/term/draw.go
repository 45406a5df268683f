package term

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"updoc/internal/message"
	"updoc/internal/repair"
	"updoc/internal/report"
	"updoc/internal/ui"
)

// The screen: a line of tabs, an empty one, the view, an empty one, and the keys.
const (
	frame     = 4
	minWidth  = 40
	minHeight = 10
	maxWidth  = 110 // longer lines are hard to read
)

// keyNames are the keys and what each does.
var keyNames = []struct{ keys, does string }{
	{"1 to 7, Tab, Left, Right", "view"},
	{"Up, Down, PgUp, PgDn", "scroll"},
	{"f", "fix"},
	{"p", "pause"},
	{"s", "stop"},
	{"r, g", "go-on"},
	{"u", "undo"},
	{"l", "look"},
	{"y, n", "answer"},
	{"q, Ctrl-C", "end"},
}

// names are the views' ids in the catalogue, and their names in a narrow window.
var names = [views]struct{ id, short string }{
	{"today", "Today"}, {"why", "Why"}, {"plan", "Plan"}, {"history", "History"}, {"help", "Help"}, {"other", "Other"}, {"explain", "Code"},
}

func say(key string, args ...any) string { return message.English().Text(key, args...) }

// View implements [tea.Model].
func (m model) View() tea.View {
	v := tea.NewView(m.screen())
	v.AltScreen = true
	v.WindowTitle = "updoc"
	return v
}

// screen draws everything.
func (m *model) screen() string {
	if m.width < minWidth || m.height < minHeight {
		return say("term.small", "w", minWidth, "h", minHeight)
	}
	body, page := m.body(), m.height-frame
	top := min(m.top[m.view], max(len(body)-page, 0))
	if m.keys {
		top = 0
	}
	shown := body[top:min(top+page, len(body))]
	var b strings.Builder
	b.WriteString(m.tabs() + "\n\n")
	for i := range page {
		if i < len(shown) {
			b.WriteString(ansi.Truncate(shown[i], m.width, ""))
		}
		b.WriteByte('\n')
	}
	foot := m.foot()
	if len(body) > page {
		at := say("term.more", "from", top+1, "to", top+len(shown), "n", len(body))
		if n := m.width - utf8.RuneCountInString(foot) - utf8.RuneCountInString(at) - 1; n > 0 && m.err == nil && m.asked() == nil {
			foot += strings.Repeat(" ", n) + at
		}
	}
	b.WriteString("\n" + m.footed(foot))
	return b.String()
}

// tabs is the first line: the views, the present one marked, as many as fit.
func (m *model) tabs() string {
	var parts []string
	width := 0
	for v := range views {
		name := say("ui.nav." + names[v].id)
		if m.width < 100 {
			name = names[v].short
		}
		name = fmt.Sprintf("%d %s", v+1, name)
		if v == m.view {
			name = "[" + name + "]"
		} else {
			name = " " + name + " "
		}
		if width += utf8.RuneCountInString(name); width > m.width {
			break
		}
		if v == m.view {
			name = m.paint("1;7", name)
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, "")
}

// foot is the last line: what is asked, what went wrong, or the keys.
func (m *model) foot() string {
	switch {
	case m.asked() != nil:
		return report.Clean(m.asked().text)
	case m.err != nil:
		return report.Clean(problem(m.err))
	}
	var keys []string
	key := func(ok bool, id string, args ...any) {
		if ok {
			keys = append(keys, say("term.key."+id, args...))
		}
	}
	st := &m.state
	key(m.mayFix() && !m.types(), "fix")
	key(st.Phase == ui.Working && !st.Paused, "pause")
	key(st.Phase == ui.Working && st.Paused, "go-on")
	key(st.Phase == ui.Working, "stop")
	_, restarts := m.session.Doctor().(ui.Restarter)
	key(st.Phase == ui.Waiting && restarts, "restart")
	key(st.Phase == ui.Waiting || st.Phase == ui.Over && st.Result == repair.Stopped, "resume")
	key(m.undoable() != "", "undo")
	key(m.view == Today && st.Phase != ui.Looking && !st.Phase.Busy(), "look")
	key(m.view == Help && m.pack == nil, "pack")
	key(m.view == Help && m.pack != nil && m.note == "", "save")
	key(m.view == Help && m.note == "", "hosts", "on", say(map[bool]string{true: "term.yes", false: "term.no"}[m.hosts]))
	key(m.view == Explain, "enter", "what", say("term.explain.what"))
	key(m.view == Other, "enter", "what", say("term.open.what"))
	all := ""
	if len(keys) > 0 {
		all = strings.Join(keys, " | ") + " | "
	}
	id := "term.keys"
	if m.width < 100 {
		id = "term.keys-short"
	}
	return say(id, "keys", all)
}

// footed gives the last line its look.
func (m *model) footed(line string) string {
	line = m.plain(line)
	if r := []rune(line); len(r) > m.width {
		line = string(r[:m.width])
	}
	switch {
	case m.asked() != nil:
		return m.paint("1;33", line)
	case m.err != nil:
		return m.paint("1;31", line)
	}
	return m.paint("2", line)
}

// problem says what went wrong in a line.
func problem(err error) string {
	switch {
	case errors.Is(err, ui.ErrBusy):
		return say("ui.error.busy")
	case errors.Is(err, ui.ErrPlan):
		return say("ui.error.plan")
	case errors.Is(err, ui.ErrNotAllowed):
		return say("ui.error.not-allowed")
	case errors.Is(err, ui.ErrNow), errors.Is(err, ui.ErrGone):
		return say("ui.late")
	}
	return say("ui.error.other", "error", report.WithoutPasswords(err.Error()))
}

func (m *model) paint(code, s string) string {
	if !m.opt.Style.Color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// plain leaves ASCII alone where the terminal shows nothing else.
func (m *model) plain(s string) string {
	if !m.opt.Style.ASCII {
		return s
	}
	s = strings.NewReplacer("↑", "Up", "↓", "Down").Replace(s)
	return strings.Map(func(r rune) rune {
		if r > 0x7E {
			return '?'
		}
		return r
	}, s)
}

// style is report's, for this window.
func (m *model) style() report.Style {
	st := m.opt.Style
	st.Width = min(m.width, maxWidth)
	return st
}

// body is the view in whole, by lines.
func (m *model) body() []string {
	var b strings.Builder
	w := &writer{&b, m.style()}
	if m.keys {
		w.title(say("term.keys.title"))
		for _, k := range keyNames {
			w.text(fmt.Sprintf("  %-24s  ", k.keys), "", say("term.does."+k.does))
		}
		return w.lines()
	}
	switch m.view {
	case Today:
		m.today(w)
	case Why:
		m.patient(w, func(p *ui.Patient) { w.told(report.WhyText(w.b, p.Doc, w.style)) })
	case Plan:
		m.plan(w)
	case History:
		m.past(w)
	case Help:
		m.help(w)
	case Other:
		m.other(w)
	case Explain:
		m.explain(w)
	}
	return w.lines()
}
