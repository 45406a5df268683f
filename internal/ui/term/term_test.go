package term

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/repair"
	"updoc/internal/report"
	"updoc/internal/ui"
)

// doctor is a machine with one thing wrong, which one remedy cures.
type doctor struct {
	ui.Doctor
	ask    bool // the remedy asks a person
	answer bool
	runs   []repair.Summary
	undone string
	hold   chan struct{} // if not nil, the repair waits for it
}

const evil = "\x1b]0;owned\x07\x1b[31mred<script>\u202e"

func (d *doctor) Examine(context.Context, func(ui.Work)) (*ui.Patient, error) {
	t := repair.Treatment{ID: "set-winhttp-proxy", Risk: repair.RiskReversible, How: repair.Automatic, Minutes: 3, Chance: 0.9, Restart: "no", Steps: []repair.Step{{
		Change: host.Change{Kind: host.ServiceRun, Path: "wuauserv"},
	}}}
	p := &repair.Plan{Schema: repair.Schema, Run: "20310203-040506-aaaa", Causes: []string{"proxy-auth-required"}, Failure: repair.Failure{Stage: "scan"}, Treatments: []repair.Treatment{t}}
	doc := &report.Document{
		Schema: report.Schema, Verdict: "problems", Machine: report.Machine{Name: "FRIEDA-PC", OS: "Windows 11 Pro"},
		Failures: []report.Failure{{Kind: "error", Code: "0x8024401B", Stage: "scan", Count: 3, Seen: []report.Seen{{Source: "a.log:1", Text: evil}}}},
		Causes: []report.Cause{{
			ID: "proxy-auth-required", Title: "A proxy wants a password", Plain: "In plain words. " + evil, Probability: .97, Root: true, Stage: "scan",
			Evidence: []report.Evidence{{Weight: "conclusive", For: true, Source: "WindowsUpdate.log:17", Seen: evil + strings.Repeat("long ", 200)}},
		}},
	}
	return &ui.Patient{Doc: doc, Plan: p, Hash: p.Hash()}, nil
}

func (d *doctor) Fix(ctx context.Context, _ ui.Order, w ui.Watch) (repair.Result, error) {
	c := host.Change{Kind: host.ServiceRun, Path: "wuauserv"}
	if d.ask {
		ok, err := w.Ask(ctx, repair.Treatment{ID: "set-winhttp-proxy", Risk: repair.RiskReversible, How: repair.Guided})
		if d.answer = ok; err != nil || !ok {
			return repair.Left, err
		}
	}
	w.Tell(repair.Event{Kind: repair.EntryBegin, Treatment: "set-winhttp-proxy", Step: 1, Steps: 1, Change: &c})
	if d.hold != nil {
		select {
		case <-d.hold:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	w.Tell(repair.Event{Kind: repair.EntryDone, Treatment: "set-winhttp-proxy", Step: 1, Steps: 1, Change: &c})
	w.Tell(repair.Event{Kind: repair.EntryTried, Treatment: "set-winhttp-proxy"})
	d.runs = []repair.Summary{{Run: "20310203-040506-aaaa", Result: repair.Cured, Standing: 1, Undoable: 1, Helped: "set-winhttp-proxy", Began: time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)}}
	return repair.Cured, nil
}

func (d *doctor) Undo(_ context.Context, run string, _ func(repair.Event)) (repair.Undone, error) {
	d.undone, d.runs[0].Standing, d.runs[0].Undoable = run, 0, 0
	return repair.Undone{Back: 1}, nil
}

func (d *doctor) Runs(context.Context) ([]repair.Summary, error) { return d.runs, nil }

func (d *doctor) Run(_ context.Context, run string) (*ui.Run, error) {
	for _, s := range d.runs {
		if s.Run == run {
			return &ui.Run{Summary: s}, nil
		}
	}
	return nil, errors.New("no such run")
}

func (d *doctor) Explain(text string) (*report.Explanations, error) {
	c, err := codes.Parse(text)
	if err != nil {
		return nil, err
	}
	return report.Explain([]codes.Code{c}), nil
}

func (d *doctor) Open(context.Context, []string, func(ui.Work)) (*ui.Patient, error) {
	return nil, errors.New("unreadable: " + evil)
}

// hides reports a text that the screen shows and should not.
func (x *screen) hides(what string) {
	x.Helper()
	if strings.Contains(x.m.screen(), what) {
		x.Errorf("the screen shows %q", what)
	}
}

// screen is a model that a test drives as bubbletea does.
type screen struct {
	*testing.T
	m model
}

func newScreen(t *testing.T, d *doctor, width, height int, style report.Style) *screen {
	t.Helper()
	s := ui.New(t.Context(), d, ui.Options{})
	t.Cleanup(s.Close)
	x := &screen{t, newModel(t.Context(), s, Options{Style: style})}
	x.send(tea.WindowSizeMsg{Width: width, Height: height})
	x.settle()
	return x
}

// settle waits until nothing goes on, and takes the session's state.
func (x *screen) settle() {
	synctest.Wait()
	x.send(changed{})
}

// send sends a message, and what comes of it.
func (x *screen) send(msg tea.Msg) {
	next, cmd := x.m.Update(msg)
	x.m = next.(model)
	if _, waits := msg.(changed); cmd != nil && !waits {
		if msg := cmd(); msg != nil {
			x.send(msg)
		}
	}
}

func (x *screen) press(keys ...string) {
	for _, k := range keys {
		msg := tea.KeyPressMsg{Text: k}
		switch k {
		case "tab":
			msg = tea.KeyPressMsg{Code: tea.KeyTab}
		case "enter":
			msg = tea.KeyPressMsg{Code: tea.KeyEnter}
		case "esc":
			msg = tea.KeyPressMsg{Code: tea.KeyEscape}
		case "end":
			msg = tea.KeyPressMsg{Code: tea.KeyEnd}
		case "ctrl+c":
			msg = tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}
		default:
			msg.Code = []rune(k)[0]
		}
		x.send(msg)
		x.settle()
	}
}

// shows holds the screen to what has to be on it, and to its size.
func (x *screen) shows(wants ...string) {
	x.Helper()
	text := x.m.screen()
	lines := strings.Split(text, "\n")
	if len(lines) != x.m.height {
		x.Errorf("%d lines in a window of %d", len(lines), x.m.height)
	}
	for _, l := range lines {
		if n := utf8.RuneCountInString(l); n > x.m.width {
			x.Errorf("%d columns in a window of %d: %.200q", n, x.m.width, l)
		}
		if i := strings.IndexFunc(l, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }); i >= 0 {
			x.Errorf("a control character in %q", l)
		}
		if x.m.opt.Style.ASCII && strings.ContainsFunc(l, func(r rune) bool { return r > 0x7E }) {
			x.Errorf("not ASCII: %q", l)
		}
	}
	for _, want := range wants {
		if !strings.Contains(text, want) {
			x.Errorf("the screen does not show %q:\n%s", want, text)
		}
	}
}

// Every view fits the window, small or large, and lets nothing from a machine through.
func TestViews(t *testing.T) {
	for name, tt := range map[string]struct {
		width, height int
		style         report.Style
	}{
		"80x24":        {80, 24, report.Style{}},
		"200x60":       {200, 60, report.Style{}},
		"40x10, ASCII": {40, 10, report.Style{ASCII: true}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newScreen(t, &doctor{}, tt.width, tt.height, tt.style)
				for _, want := range []string{"FRIEDA-PC", "A proxy wants", "1  ", "", "", "", ""} {
					x.shows(want)
					x.press("end")
					x.shows()
					x.press("tab")
				}
				x.press("1", "?")
				x.shows("Keys", "another view")
				x.press("q")
				x.shows("1")
			})
		})
	}
}

// The whole story: a look, the plan, a question, the cure, the history, taking back.
func TestStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &doctor{ask: true}
		x := newScreen(t, d, 100, 40, report.Style{})
		x.shows("0x8024401B", "f fix")
		x.press("f")
		x.shows("Carry the plan out?")
		x.press("n")
		if x.m.state.Phase != ui.Ready {
			t.Fatalf("declined, and %s", x.m.state.Phase)
		}
		x.press("f", "y")
		x.shows("May updoc do this?")
		x.press("y")
		x.shows("Cured", "wuauserv")
		if !d.answer {
			t.Error("the answer did not arrive")
		}
		x.shows("Take it back with")
		x.press("4")
		x.shows("2031-02-03", "u take back")
		d.runs[0].Undoable = 0 // what it did stays: nobody is offered to take it back
		x.press("4")
		x.settle()
		x.hides("u take back")
		x.shows("one of them to stay")
		d.runs[0].Undoable = 1
		x.press("4")
		x.settle()
		x.press("u", "y")
		x.shows("Taken back")
		if d.undone != "20310203-040506-aaaa" {
			t.Errorf("took back %q", d.undone)
		}
	})
}

// While something is being changed the program does not end without a question, and the
// person can hold and stop it.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &doctor{hold: make(chan struct{})}
		x := newScreen(t, d, 80, 24, report.Style{})
		x.press("f", "y")
		x.shows("Repairing", "p pause")
		x.press("p")
		x.shows("Paused")
		x.press("p", "ctrl+c")
		x.shows("Stop after the change")
		x.press("n")
		x.shows("Repairing")
		x.press("s")
		x.shows("Stopped")
	})
}

func TestExplain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newScreen(t, &doctor{}, 80, 24, report.Style{})
		x.press("7")
		for _, r := range "0x8024401B" {
			x.press(string(r))
		}
		x.press("enter")
		x.shows("WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQ")
		x.send(tea.PasteMsg{Content: evil + strings.Repeat("x", 1<<20)})
		x.shows()
		if len(x.m.input[Explain]) > maxInput {
			t.Error("a paste without end was kept")
		}
	})
}

func TestSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newScreen(t, &doctor{}, 20, 5, report.Style{})
		if !strings.Contains(x.m.screen(), "too small") {
			t.Errorf("%q", x.m.screen())
		}
	})
}

// A look at ten thousand lines of a plan's events costs no more than the lines that
// are seen.
func BenchmarkScreen(b *testing.B) {
	s := ui.New(b.Context(), &doctor{}, ui.Options{})
	defer s.Close()
	for {
		st, ch := s.State()
		if st.Phase == ui.Ready {
			break
		}
		<-ch
	}
	m := newModel(b.Context(), s, Options{})
	m.width, m.height, m.view = 120, 50, Why
	for b.Loop() {
		_ = m.screen()
	}
}
