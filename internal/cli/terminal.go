package cli

import (
	"context"
	"os"
	"strings"

	"golang.org/x/term"

	"updoc/internal/message"
	"updoc/internal/repair"
	"updoc/internal/report"
	"updoc/internal/ui"
	uiterm "updoc/internal/ui/term"
)

// fullScreen reports whether a person sits at a terminal that can be drawn on: both
// its ends are one, and it says what it is.
func (env *Env) fullScreen() bool {
	in, ok := env.Stdin.(*os.File)
	out, also := env.Stdout.(*os.File)
	if !ok || !also || !term.IsTerminal(int(in.Fd())) || !term.IsTerminal(int(out.Fd())) {
		return false
	}
	name := env.Getenv("TERM")
	return env.GOOS == "windows" && name == "" || name != "" && name != "dumb"
}

// terminal shows a visit on the terminal, and returns where it stood when the person
// ended it.
func (env *Env) terminal(ctx context.Context, d ui.Doctor, view uiterm.View) (ui.State, error) {
	visit := ui.New(ctx, d, ui.Options{})
	defer visit.Close()
	opt := env.terminalOptions()
	opt.View = view
	return uiterm.Run(ctx, visit, opt)
}

func (env *Env) terminalOptions() uiterm.Options {
	opt := uiterm.Options{In: env.Stdin, Out: env.Stdout, Style: env.style(env.Stdout)}
	for _, name := range []string{"TERM", "COLORTERM", "NO_COLOR", "TMUX", "WT_SESSION"} {
		if v := env.Getenv(name); v != "" {
			opt.Env = append(opt.Env, name+"="+v)
		}
	}
	return opt
}

// fixOnTerminal shows the plan of a cure on the terminal and carries it out there.
func (t *treating) fixOnTerminal(ctx context.Context, env *Env, most repair.Risk) error {
	p, state, err := t.patient(ctx, env)
	if err != nil {
		return err
	}
	defer p.Close()
	d := &doctor{env: env, p: p, state: state, blind: t.blind, risk: most}
	var treat ui.Doctor = d
	if _, ok := p.(labPatient); ok {
		treat = &labDoctor{d}
	}
	if l, ok := p.(livePatient); ok {
		l.bar.to = d.worked // the terminal is not the bar's
	}
	st, err := env.terminal(ctx, treat, uiterm.Plan)
	switch {
	case err != nil:
		return err
	case st.Result != "":
		return exitOf(st.Result)
	case st.Phase == ui.Failed:
		return st.Err
	case st.Patient == nil:
		return exit(ExitUnknown)
	}
	switch st.Patient.Doc.Verdict {
	case "healthy":
		return nil
	case "problems":
		return exit(ExitProblems)
	}
	return exit(ExitUnknown)
}

// showRoute shows a walk on the terminal: what is broken, every hop, and what can be
// pasted.
func (env *Env) showRoute(ctx context.Context, doc *report.RouteDocument) error {
	page := func(id string, opt report.RouteOptions) uiterm.Page {
		return uiterm.Page{Title: message.English().Text("term.page." + id), Text: func(style report.Style) string {
			var b strings.Builder
			_ = report.RouteText(&b, doc, style, opt) // memory takes it all
			return b.String()
		}}
	}
	return uiterm.Pages(ctx, []uiterm.Page{
		page("route", report.RouteOptions{}), page("hops", report.RouteOptions{All: true}), page("paste", report.RouteOptions{Advice: true}),
	}, env.terminalOptions())
}
