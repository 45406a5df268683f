// Package term draws a visit of updoc on a terminal: in Windows' console, over SSH, in
// tmux. It shows what the page shows ([ui.State]), in report's own text, decides
// nothing, and sends the few commands there are.
package term

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	tea "charm.land/bubbletea/v2"

	"updoc/internal/repair"
	"updoc/internal/report"
	"updoc/internal/ui"
)

// Options of Run.
type Options struct {
	In    io.Reader // a terminal's
	Out   io.Writer
	Style report.Style // its Width is the terminal's own, whatever stands here
	Env   []string     // "TERM=xterm"; what the terminal can do is read from it
	View  View         // to begin with
}

// View is one of the views.
type View int

// The views, in the order of the tabs.
const (
	Today View = iota
	Why
	Plan
	History
	Help
	Other
	Explain
	views
)

// Run shows a session until the person ends it, and returns where it stood then. What
// is being changed at that moment is ended whole first.
func Run(ctx context.Context, s *ui.Session, opt Options) (ui.State, error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	p := tea.NewProgram(newModel(ctx, s, opt), tea.WithContext(ctx), tea.WithInput(opt.In), tea.WithOutput(opt.Out),
		tea.WithEnvironment(opt.Env), tea.WithoutSignalHandler())
	_, err := p.Run()
	if errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, tea.ErrInterrupted) {
		err = nil // the context ended, or the person did
	}
	st, changed := s.State()
	for st.Phase.Busy() {
		if !st.Stopping && st.Phase == ui.Working {
			_ = s.Stop() // it is over by itself if it cannot be stopped any more
		}
		<-changed
		st, changed = s.State()
	}
	return st, err
}

// What the program is told of.
type (
	changed struct{}                         // the session is at another state
	runs    struct{ list []repair.Summary }  // the history was read
	packed  struct{ pack *ui.Pack }          // a bundle is prepared
	written struct{ note string }            // it is written
	failed  struct{ err error }              // something that was asked for did not go
	told    struct{ e *report.Explanations } // codes were explained
	opened  struct{ id int }                 // evidence was handed over
	unknown struct{ text string }            // no codes in it
)

// question waits for y or n at the foot of the screen.
type question struct {
	text string
	yes  func(*model) tea.Cmd
}

// model is the screen. It is a value; what it points to is shared and read alone.
type model struct {
	ctx     context.Context
	session *ui.Session
	opt     Options

	state   ui.State
	changes <-chan struct{}

	view          View
	width, height int
	top           [views]int // first line that is shown, by view
	keys          bool       // all keys are shown
	ask           *question
	err           error

	history []repair.Summary
	chosen  int // of the history
	pack    *ui.Pack
	hosts   bool
	note    string // of a bundle that was written
	input   [views]string
	codes   *report.Explanations
	nothing string // text without a code
	file    int    // id of the evidence of another machine
}

func newModel(ctx context.Context, s *ui.Session, opt Options) model {
	m := model{ctx: ctx, session: s, opt: opt, view: opt.View, width: 80, height: 24}
	m.state, m.changes = s.State()
	return m
}

// Init implements [tea.Model].
func (m model) Init() tea.Cmd { return m.wait() }

// wait waits for the next state of the session.
func (m model) wait() tea.Cmd {
	return func() tea.Msg {
		select {
		case <-m.changes:
		case <-m.ctx.Done():
		}
		return changed{}
	}
}

// Update implements [tea.Model].
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case changed:
		if m.ctx.Err() != nil {
			return m, tea.Quit
		}
		before := m.state.Phase
		m.state, m.changes = m.session.State()
		switch m.state.Phase {
		case before, ui.Looking, ui.Ready, ui.Failed, ui.Waiting:
		default: // something is done to the machine, or was
			m.view, m.top[Plan] = Plan, 0
		}
		return m, m.wait()
	case tea.KeyPressMsg:
		m.err = nil
		cmd := m.key(msg)
		return m, cmd
	case tea.PasteMsg:
		if m.types() {
			m.input[m.view] = bounded(m.input[m.view] + msg.Content)
		}
	case runs:
		m.history, m.chosen = msg.list, min(m.chosen, max(len(msg.list)-1, 0))
	case packed:
		m.pack = msg.pack
	case written:
		m.note = msg.note
	case told:
		m.codes, m.nothing, m.top[Explain] = msg.e, "", 0
	case unknown:
		m.codes, m.nothing = nil, msg.text
	case opened:
		m.file, m.top[Other] = msg.id, 0
	case failed:
		m.err = msg.err
	}
	return m, nil
}

// maxInput is how much a person types or pastes, in bytes.
const maxInput = 64 << 10

func bounded(s string) string {
	if len(s) > maxInput {
		return s[:maxInput]
	}
	return s
}

// types reports a view with a line to type in.
func (m *model) types() bool { return m.view == Explain || m.view == Other }

// key does what a key says.
func (m *model) key(msg tea.KeyPressMsg) tea.Cmd {
	k := msg.String()
	if k == "ctrl+c" {
		return m.end()
	}
	if q := m.asked(); q != nil {
		switch k {
		case "y":
			m.ask = nil
			return q.yes(m)
		case "n", "esc":
			m.ask = nil
			if st := m.state.Question; st != nil {
				m.do(m.session.Answer(st.ID, false))
			}
		case "up", "down", "pgup", "pgdown", "home", "end":
			m.scroll(k)
		}
		return nil
	}
	if m.keys {
		m.keys = false
		return nil
	}
	switch k {
	case "tab":
		return m.show((m.view + 1) % views)
	case "shift+tab":
		return m.show((m.view + views - 1) % views)
	case "up", "down", "pgup", "pgdown", "home", "end":
		if m.view == History && (k == "up" || k == "down") {
			m.chosen = min(max(m.chosen+map[string]int{"up": -1, "down": 1}[k], 0), max(len(m.history)-1, 0))
			return nil
		}
		m.scroll(k)
		return nil
	}
	if m.types() {
		return m.typed(k, msg.Text)
	}
	switch k {
	case "right":
		return m.show((m.view + 1) % views)
	case "left":
		return m.show((m.view + views - 1) % views)
	case "?":
		m.keys = true
	case "q":
		return m.end()
	case "1", "2", "3", "4", "5", "6", "7":
		return m.show(View(k[0] - '1'))
	}
	return m.command(k)
}

// typed edits the line of a view that has one.
func (m *model) typed(k, text string) tea.Cmd {
	line := &m.input[m.view]
	switch {
	case k == "backspace":
		if r := []rune(*line); len(r) > 0 {
			*line = string(r[:len(r)-1])
		}
	case k == "ctrl+u", k == "esc" && *line != "":
		*line = ""
	case k == "esc":
		return m.show(Today)
	case k == "enter" && strings.TrimSpace(*line) != "":
		return m.entered(strings.TrimSpace(*line))
	case text != "":
		*line = bounded(*line + text)
	}
	return nil
}

// entered takes a line.
func (m *model) entered(text string) tea.Cmd {
	if m.view == Explain {
		d := m.session.Doctor()
		return func() tea.Msg {
			e, err := d.Explain(text)
			if err != nil {
				return unknown{text}
			}
			return told{e}
		}
	}
	info, err := os.Stat(text)
	if err != nil {
		m.err = err
		return nil
	}
	if m.file != 0 {
		_ = m.session.Forget(m.file) // it may be gone
		m.file = 0
	}
	id, err := m.session.Open(filepath.Base(text), info.Size(), []string{text}, func() {})
	if err != nil {
		m.err = err
		return nil
	}
	return func() tea.Msg { return opened{id} }
}

// command does what a letter says in this view and phase, if anything.
func (m *model) command(k string) tea.Cmd {
	st := &m.state
	switch {
	case k == "l" && (st.Phase == ui.Ready || st.Phase == ui.Failed || st.Phase == ui.Over || st.Phase == ui.Undone):
		m.do(m.session.Look())
	case k == "f" && m.mayFix():
		m.view = Plan
		m.ask = &question{say("term.ask.fix"), func(m *model) tea.Cmd {
			m.do(m.session.Fix(m.state.Patient.Hash))
			return nil
		}}
	case k == "p" && st.Phase == ui.Working && !st.Stopping:
		m.do(m.session.Pause(!st.Paused))
	case k == "s" && st.Phase == ui.Working && m.view != Help:
		m.do(m.session.Stop())
	case k == "r" && st.Phase == ui.Waiting:
		m.do(m.session.Restart())
	case k == "g" && (st.Phase == ui.Waiting || st.Phase == ui.Over && st.Result == repair.Stopped):
		m.do(m.session.GoOn())
	case k == "u" && m.undoable() != "":
		run := m.undoable()
		m.ask = &question{say("term.ask.undo", "run", run), func(m *model) tea.Cmd {
			m.do(m.session.Undo(run))
			return nil
		}}
	case m.view == Help:
		return m.helps(k)
	}
	return nil
}

// helps prepares and writes a bundle.
func (m *model) helps(k string) tea.Cmd {
	d, ctx, hosts := m.session.Doctor(), m.ctx, m.hosts
	switch {
	case k == "h":
		m.hosts, m.pack, m.note = !m.hosts, nil, ""
	case k == "s":
		m.note = ""
		return func() tea.Msg {
			p, err := d.Pack(ctx, hosts, func(ui.Work) {})
			if err != nil {
				return failed{err}
			}
			return packed{p}
		}
	case k == "w" && m.pack != nil:
		pack := m.pack
		return func() tea.Msg {
			note, err := write(ctx, pack)
			if err != nil {
				return failed{err}
			}
			return written{note}
		}
	}
	return nil
}

// write writes a bundle into the working directory, for its owner alone, and never
// over a file that is there.
func write(ctx context.Context, pack *ui.Pack) (note string, err error) {
	f, err := os.OpenFile(pack.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			_ = os.Remove(pack.Name) // half a bundle helps nobody
		}
	}()
	done, err := pack.Write(ctx, f, func(ui.Work) {})
	if err != nil {
		return "", err
	}
	return say("term.written", "name", pack.Name, "size", size(done.Bytes)) + "\n\n" + done.Note, nil
}

// asked is the question at the foot of the screen: the person's own command, or a
// treatment's.
func (m *model) asked() *question {
	if m.ask != nil {
		return m.ask
	}
	if q := m.state.Question; q != nil {
		return &question{say("term.ask.treatment"), func(m *model) tea.Cmd {
			m.do(m.session.Answer(q.ID, true))
			return nil
		}}
	}
	return nil
}

// mayFix reports that there is a plan of which updoc can do something.
func (m *model) mayFix() bool {
	p := m.state.Patient
	if m.state.Phase != ui.Ready && m.state.Phase != ui.Undone || p == nil || p.Plan == nil {
		return false
	}
	for _, t := range p.Plan.Treatments {
		if t.Risk != repair.RiskOutside && t.How != repair.Advice {
			return true
		}
	}
	return false
}

// undoable is the run that the key u takes back here; "" none.
func (m *model) undoable() string {
	st := &m.state
	switch {
	case st.Phase.Busy() || st.Phase == ui.Looking:
	case m.view == History && m.chosen < len(m.history) && m.history[m.chosen].Undoable > 0:
		return m.history[m.chosen].Run
	case m.view == Plan && (st.Phase == ui.Over || st.Phase == ui.Waiting) && st.Undoable > 0:
		return st.Run
	}
	return ""
}

// show changes to a view.
func (m *model) show(v View) tea.Cmd {
	m.view = v
	if v != History {
		return nil
	}
	d, ctx := m.session.Doctor(), m.ctx
	return func() tea.Msg {
		list, err := d.Runs(ctx)
		if err != nil {
			return failed{err}
		}
		return runs{list}
	}
}

// end ends the visit, after a question while something is being changed.
func (m *model) end() tea.Cmd {
	if !m.state.Phase.Busy() || m.ask != nil && m.ask.text == say("term.ask.end") {
		return tea.Quit
	}
	m.ask = &question{say("term.ask.end"), func(*model) tea.Cmd { return tea.Quit }}
	return nil
}

// do keeps the error of a command for the person to see.
func (m *model) do(err error) { m.err = err }

// scroll moves the view.
func (m *model) scroll(k string) {
	page := max(m.height-frame, 1)
	m.top[m.view] = scrolled(k, m.top[m.view], page, len(m.body()))
}
