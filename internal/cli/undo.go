package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"updoc/internal/durable"
	"updoc/internal/host"
	"updoc/internal/repair"
	"updoc/internal/report"
)

func newUndo(env *Env) *cobra.Command {
	var t treating
	var offline string
	cmd := &cobra.Command{
		Use:   "undo [RUN]",
		Short: "Take back what a run changed",
		Long: `Takes back the changes of a run, the last one first: of the newest run that has any,
or of the one that is named. What somebody else changed since is left as it is and
listed. 'updoc history' lists the runs.

With --offline it does so for a Windows that no longer starts: from the recovery
environment, or on a PC that its disk was put into. It needs an administrator, loads
no user's registry, and leaves for later what only a running Windows can do.

Exit codes: 0 all is taken back, 1 something was left, 2 no such run, 4 it was broken
off (run it again), 6 not allowed.`,
		Example: `  updoc undo
  updoc undo 20310203-120000-4f2a
  updoc undo --offline D:\`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := t.check(); err != nil {
				return err
			}
			if offline != "" {
				return t.undoOffline(cmd.Context(), env, offline, args)
			}
			return t.withRun(cmd.Context(), env, args, undoable,
				func(r *repair.Runner) error { return t.undoRun(cmd.Context(), env, r) })
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&offline, "offline", "", "take back on the Windows in this folder, which does not start: D:\\")
	return cmd
}

// undoRun takes a run back and tells what came of it.
func (t *treating) undoRun(ctx context.Context, env *Env, r *repair.Runner) error {
	u, err := t.undo(ctx, r)
	if err != nil {
		return &hinted{err, "run 'updoc undo' again: it goes on where it stopped", ExitBroken}
	}
	return t.showUndone(env, r.Journal.Plan().Run, u)
}

func newResume(env *Env) *cobra.Command {
	var t treating
	cmd := &cobra.Command{
		Use:   "resume",
		Short: "Go on with a repair that was stopped, or that waited for a restart",
		Long: `Goes on where the last run of 'updoc fix' stopped: after a restart of the machine, a
crash or Ctrl-C. It carries out what is left of the plan that was agreed to, nothing
else, and takes back experiments whose time is over.

Exit codes are those of 'updoc fix'.`,
		Example: `  updoc resume`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := t.check(); err != nil {
				return err
			}
			if t.atStart {
				return t.wake(cmd.Context(), env)
			}
			return t.withRun(cmd.Context(), env, nil, []func(repair.Summary) bool{unfinished}, func(r *repair.Runner) error {
				if _, err := r.Expired(cmd.Context()); err != nil {
					return err
				}
				return t.carryOut(cmd.Context(), env, r, newAsker(env, t.format == "json"))
			})
		},
	}
	t.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&t.atStart, "at-start", false, "the machine started it by itself")
	f.StringVar(&t.user, "user", "", "the security identifier of the user whose run it is")
	for _, name := range []string{"at-start", "user"} { // for the task that updoc makes
		_ = f.MarkHidden(name)
	}
	return cmd
}

func unfinished(s repair.Summary) bool { return s.Result == "" }

// undo takes a run back and has the machine's event log tell of it.
func (t *treating) undo(ctx context.Context, r *repair.Runner) (repair.Undone, error) {
	run := r.Journal.Plan().Run
	note := func(host.Note) {}
	if p, ok := r.Host.(Patient); ok {
		note = attendance{p: p}.note
	}
	note(report.UndoNote(run))
	u, err := r.Undo(ctx)
	if err == nil {
		note(report.UndoneNote(run, u))
	}
	return u, err
}

// wake is what a machine does that was started, or on which the time of an experiment
// is over: it ends every experiment that is, and goes on with the newest run that
// waits, as far as that needs nobody.
//
// If another updoc is at it, the task starts again in some minutes.
func (t *treating) wake(ctx context.Context, env *Env) error {
	return t.held(ctx, env, func(p Patient, state string) error { return t.wakeOn(ctx, env, p, state) })
}

func (t *treating) wakeOn(ctx context.Context, env *Env, p Patient, state string) error {
	list, err := repair.History(durable.OS{}, state)
	if err != nil {
		return notAllowed(err)
	}
	var result error
	gone := false // on with a run
	for _, s := range list {
		if !s.Wakes || s.Err != "" {
			continue
		}
		j, err := repair.OpenJournal(durable.OS{}, filepath.Join(state, s.Run))
		if err != nil {
			return err
		}
		r := t.runner(env, p, state, j)
		if away(ctx, r.Host.(Patient), j.Plan()) {
			if err := r.AtStart(ctx, true, p.Now()); err != nil {
				return err
			}
			fmt.Fprintln(env.Stdout, report.UserAwayText())
			continue
		}
		if _, err := r.Expired(ctx); err != nil {
			return err
		}
		if s.Result == "" && early(ctx, r.Host.(Patient), j.Plan()) {
			if err := r.AtStart(ctx, true, p.Now()); err != nil {
				return err
			}
			fmt.Fprintln(env.Stdout, report.UserAwayText())
			continue
		}
		if s.Result == "" && !gone {
			gone = true
			ask := newAsker(env, true)
			ask.wait = true
			result = t.carryOut(ctx, env, r, ask)
		}
	}
	if len(list) == 0 || !slices.ContainsFunc(list, func(s repair.Summary) bool { return s.Wakes }) {
		return attendance{env, p, state, t.user}.atStart(ctx, attendance{env, p, state, t.user}.others(""), false, time.Time{})
	}
	return result
}

func newHistory(env *Env) *cobra.Command {
	var t treating
	cmd := &cobra.Command{
		Use:     "history",
		Short:   "List what updoc did on this machine",
		Long:    `Lists the runs of 'updoc fix' on this machine, the newest first: when, what for, how each ended, what helped, and how many of its changes still stand.`,
		Example: "  updoc history\n  updoc history --format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := t.check(); err != nil {
				return err
			}
			p, state, err := t.patient(cmd.Context(), env)
			if err != nil {
				return err
			}
			defer p.Close()
			list, err := repair.History(durable.OS{}, state)
			if err != nil {
				return notAllowed(err)
			}
			shown := make([]report.ShownSummary, len(list))
			for i, s := range list {
				shown[i] = report.ShownSummary{Summary: s, Story: report.NewStory(s.Story)}
			}
			return t.showHistory(env, shown)
		},
	}
	t.flags(cmd)
	return cmd
}

// withRun opens a run, the named one or else the newest that is wanted, and does
// something with it while no other updoc can.
func (t *treating) withRun(ctx context.Context, env *Env, name []string, wanted []func(repair.Summary) bool, do func(*repair.Runner) error) error {
	return t.held(ctx, env, func(p Patient, state string) error {
		j, err := t.journal(env, state, name, wanted)
		if j == nil || err != nil {
			return err
		}
		return do(t.runner(env, p, state, j))
	})
}

func sayNothing(env *Env) error {
	_, err := fmt.Fprintln(env.Stdout, "Nothing to do: no run of 'updoc fix' on this machine needs it.")
	return err
}

// undoable are the runs that an undo is for: first those of which something can be taken
// back, else those that changed something, so that it is said of them that it cannot.
var undoable = []func(repair.Summary) bool{
	func(s repair.Summary) bool { return s.Undoable > 0 },
	func(s repair.Summary) bool { return s.Standing > 0 },
}

// pickRun is the run that was named, else the newest that is wanted: the first of the
// wishes that one fits counts.
func pickRun(state string, name []string, wanted []func(repair.Summary) bool) (string, error) {
	if len(name) > 0 {
		if filepath.Base(name[0]) != name[0] {
			return "", usage("'updoc history' lists the runs", "no such run: %s", name[0])
		}
		return name[0], nil
	}
	list, err := repair.History(durable.OS{}, state)
	if err != nil {
		return "", notAllowed(err)
	}
	for _, fits := range wanted {
		for _, s := range list {
			if s.Err == "" && fits(s) {
				return s.Run, nil
			}
		}
	}
	return "", nil
}

func (t *treating) showUndone(env *Env, run string, u repair.Undone) error {
	if t.format == "json" {
		if err := t.event(env, report.NewUndone(run, u)); err != nil {
			return err
		}
	} else if err := report.UndoneText(env.Stdout, run, u, env.style(env.Stdout)); err != nil {
		return err
	}
	switch {
	case len(u.Conflicts)+len(u.Waiting) > 0:
		return exit(ExitProblems)
	case u.Restart:
		return exit(ExitRestart)
	}
	return nil
}

func (t *treating) showHistory(env *Env, list []report.ShownSummary) error {
	if t.format == "json" {
		return t.event(env, list)
	}
	if len(list) == 0 {
		_, err := fmt.Fprintln(env.Stdout, "updoc has changed nothing on this machine.")
		return err
	}
	w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RUN\tBEGAN\tRESULT\tHELPED\tCHANGES")
	for _, s := range list {
		result, helped := string(s.Result), s.Helped
		switch {
		case s.Err != "":
			result = "unreadable"
		case result == "":
			result = "unfinished"
		}
		if helped == "" {
			helped = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Run, s.Began.Local().Format("2006-01-02 15:04"), result, helped, report.StandingText(s.Summary))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range list {
		for _, story := range s.Story {
			fmt.Fprintf(env.Stdout, "\n%s, %s\n  %s\n", s.Run, story.Title, strings.Join(story.Text, "\n  "))
		}
	}
	return nil
}
