package term

import (
	"context"
	"errors"
	"fmt"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"updoc/internal/report"
)

// Page is a text that is written anew for the width of the window.
type Page struct {
	Title string
	Text  func(report.Style) string
}

// Pages shows texts side by side, each in a tab, until the person ends it: what is
// longer than a screen is read there and not in what scrolled by.
func Pages(ctx context.Context, list []Page, opt Options) error {
	m := pages{list: list, style: opt.Style, top: make([]int, len(list)), width: 80, height: 24}
	p := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(opt.In), tea.WithOutput(opt.Out), tea.WithEnvironment(opt.Env), tea.WithoutSignalHandler())
	_, err := p.Run()
	if errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, tea.ErrInterrupted) {
		return nil
	}
	return err
}

type pages struct {
	list          []Page
	style         report.Style
	at            int
	top           []int
	width, height int
}

func (m pages) Init() tea.Cmd { return nil }

func (m pages) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		n := len(m.list)
		switch k := msg.String(); k {
		case "q", "esc", "ctrl+c":
			return m, tea.Quit
		case "tab", "right":
			m.at = (m.at + 1) % n
		case "shift+tab", "left":
			m.at = (m.at + n - 1) % n
		case "up", "down", "pgup", "pgdown", "home", "end":
			page := max(m.height-frame, 1)
			m.top[m.at] = scrolled(k, m.top[m.at], page, len(m.body()))
		default:
			if len(k) == 1 && '1' <= k[0] && int(k[0]-'1') < n {
				m.at = int(k[0] - '1')
			}
		}
	}
	return m, nil
}

// scrolled is the first line that is shown after a key.
func scrolled(key string, top, page, lines int) int {
	by := map[string]int{"up": -1, "down": 1, "pgup": -page, "pgdown": page, "home": -lines, "end": lines}[key]
	return min(max(top+by, 0), max(lines-page, 0))
}

func (m pages) body() []string {
	st := m.style
	st.Width = min(m.width, maxWidth)
	return strings.Split(strings.TrimRight(m.list[m.at].Text(st), "\n"), "\n")
}

func (m pages) View() tea.View {
	v := tea.NewView(m.screen())
	v.AltScreen, v.WindowTitle = true, "updoc"
	return v
}

func (m pages) screen() string {
	if m.width < minWidth || m.height < minHeight {
		return say("term.small", "w", minWidth, "h", minHeight)
	}
	body, page := m.body(), m.height-frame
	top := min(m.top[m.at], max(len(body)-page, 0))
	var b strings.Builder
	for i, p := range m.list {
		name := fmt.Sprintf(" %d %s ", i+1, p.Title)
		if i == m.at {
			name = fmt.Sprintf("[%d %s]", i+1, p.Title)
			if m.style.Color {
				name = "\x1b[1;7m" + name + "\x1b[0m"
			}
		}
		b.WriteString(name)
	}
	b.WriteString("\n\n")
	for i := range page {
		if top+i < len(body) {
			b.WriteString(ansi.Truncate(body[top+i], m.width, ""))
		}
		b.WriteByte('\n')
	}
	foot := say("term.pages", "n", len(m.list))
	if len(body) > page {
		foot += " | " + say("term.more", "from", top+1, "to", min(top+page, len(body)), "n", len(body))
	}
	if m.style.ASCII {
		foot = strings.NewReplacer("↑", "Up", "↓", "Down").Replace(foot)
	}
	if m.style.Color {
		foot = "\x1b[2m" + foot + "\x1b[0m"
	}
	return b.String() + "\n" + ansi.Truncate(foot, m.width, "")
}
