package cli

import (
	"context"
	"os"

	"golang.org/x/term"

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
	visit := ui.New(ctx, d, nil)
	defer visit.Close()
	return uiterm.Run(ctx, visit, uiterm.Options{
		In: env.Stdin, Out: env.Stdout, Style: env.style(env.Stdout), View: view,
		Env: []string{"TERM=" + env.Getenv("TERM"), "COLORTERM=" + env.Getenv("COLORTERM"), "NO_COLOR=" + env.Getenv("NO_COLOR"), "TMUX=" + env.Getenv("TMUX"), "WT_SESSION=" + env.Getenv("WT_SESSION")},
	})
}
