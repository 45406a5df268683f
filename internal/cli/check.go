package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"updoc/internal/cause"
	"updoc/internal/durable"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/report"
)

// checkDay of each month: the updates come on its second Tuesday, the 8th to the 14th,
// and by then every machine had time for them.
const checkDay = 25

// What the last check found, beside the journals.
const (
	checkText = "check.txt"
	checkJSON = "check.json"
)

func newCheck(env *Env) *cobra.Command {
	var (
		monthly string
		walk    bool
		t       treating
	)
	cmd := &cobra.Command{
		Use:   "check [--monthly on|off|now]",
		Short: "Look once a month whether Windows Update works",
		Long: `Has Windows look once a month whether updating works, or no longer. The check reads
and changes nothing, sends nothing to anybody, and uses no network unless you say
--walk. What it found stands in the Application event log (source updoc, number 8)
and in the folder of updoc's journals, as check.txt and check.json.

It is your own wish and no part of a repair: 'updoc undo' leaves it as it is.
Without --monthly it says whether the check is on and what the last one found.

Exit codes: 0 done or healthy, 1 problems found, 2 wrong usage, 3 could not find out,
6 not allowed.`,
		Example: `  updoc check --monthly on
  updoc check --monthly now      what the task does
  updoc check --monthly off`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := t.check(); err != nil {
				return err
			}
			if !slices.Contains([]string{"", "on", "off", "now"}, monthly) {
				return usage("--monthly is on, off or now", "no such choice: %q", monthly)
			}
			ctx := cmd.Context()
			p, state, err := t.patient(ctx, env)
			if err != nil {
				return err
			}
			defer p.Close()
			a := attendance{env: env, p: p, state: state}
			switch monthly {
			case "on":
				return a.checkOn(ctx, walk)
			case "off":
				return a.checkOff(ctx)
			case "now":
				return t.checkNow(ctx, a, walk)
			}
			return a.checkState(ctx)
		},
	}
	f := cmd.Flags()
	f.StringVar(&monthly, "monthly", "", "on, off, or now: do what the task does")
	f.BoolVar(&walk, "walk", false, "walk the route of updates too, which uses the network")
	t.flags(cmd)
	_ = f.MarkHidden("no-network") // it is the default here
	_ = cmd.RegisterFlagCompletionFunc("monthly", cobra.FixedCompletions([]string{"on", "off", "now"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (a attendance) checkOn(ctx context.Context, walk bool) error {
	if err := os.MkdirAll(a.state, 0o700); err != nil {
		return notAllowed(err)
	}
	args := []string{"check", "--monthly", "now"}
	if walk {
		args = append(args, "--walk")
	}
	if err := a.schedule(ctx, host.Task{Name: host.TaskCheck, Args: args, Monthly: checkDay}); err != nil {
		return notScheduled(err)
	}
	_, err := fmt.Fprintf(a.env.Stdout, "Windows looks on the %dth of each month. 'updoc check' says what it found, 'updoc check --monthly off' ends it.\n", checkDay)
	return err
}

func (a attendance) checkOff(ctx context.Context) error {
	if err := a.p.Unschedule(ctx, host.TaskCheck); err != nil {
		return notScheduled(err)
	}
	a.tidy(ctx)
	_, err := fmt.Fprintln(a.env.Stdout, "Windows does not look any more.")
	return err
}

func notScheduled(err error) error {
	if errors.Is(err, host.ErrDenied) || errors.Is(err, fs.ErrPermission) {
		return notAllowed(err)
	}
	return &hinted{err, "the service Task Scheduler (Schedule) has to run", ExitUnknown}
}

// checked is what a check leaves for the next one who asks.
type checked struct {
	Time     time.Time        `json:"time"`
	Document *report.Document `json:"document"`
}

// checkNow diagnoses the machine and leaves a report and an entry in the event log.
func (t *treating) checkNow(ctx context.Context, a attendance, walk bool) error {
	if err := os.MkdirAll(a.state, 0o700); err != nil {
		return notAllowed(err)
	}
	bar := a.env.progress()
	f := facts.Collect(ctx, a.p, facts.Options{Progress: bar.update})
	if walk && ctx.Err() == nil {
		f.AddWalk(a.p.Walk(ctx, f))
	}
	bar.done()
	if err := ctx.Err(); err != nil {
		return err
	}
	doc := report.New(f, cause.Diagnose(f), report.Options{})
	var text bytes.Buffer
	if err := report.Text(&text, doc, report.Style{ASCII: true}); err != nil {
		return err
	}
	b, err := json.MarshalIndent(checked{a.p.Now().UTC().Truncate(time.Second), doc}, "", "  ")
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{checkText: text.Bytes(), checkJSON: append(b, '\n')} {
		if err := durable.WriteFile(durable.OS{}, filepath.Join(a.state, name), content); err != nil {
			return notAllowed(err)
		}
	}
	a.note(report.CheckNote(doc))
	if t.format == "json" {
		_, err = a.env.Stdout.Write(append(b, '\n'))
	} else {
		err = report.Text(a.env.Stdout, doc, a.env.style(a.env.Stdout))
	}
	if err != nil {
		return err
	}
	return verdict([]diagnosed{{doc: doc}})
}

// checkState says whether the check is on, and what the last one found.
func (a attendance) checkState(ctx context.Context) error {
	task, err := a.p.Scheduled(ctx, host.TaskCheck)
	switch {
	case errors.Is(err, host.ErrNotExist):
		fmt.Fprintln(a.env.Stdout, "The monthly check is off.")
	case err != nil:
		return notScheduled(err)
	default:
		fmt.Fprintf(a.env.Stdout, "The monthly check is on, on the %dth of each month.\n", task.Monthly)
	}
	b, err := os.ReadFile(filepath.Join(a.state, checkJSON))
	if errors.Is(err, fs.ErrNotExist) {
		_, err := fmt.Fprintln(a.env.Stdout, "There was no check yet.")
		return err
	}
	if err != nil {
		return notAllowed(err)
	}
	var last checked
	if err := json.Unmarshal(b, &last); err != nil || last.Document == nil {
		return &hinted{fmt.Errorf("what the last check left cannot be read: %s", checkJSON), "'updoc check --monthly now' looks again", ExitUnknown}
	}
	_, err = fmt.Fprintf(a.env.Stdout, "The last one, on %s: %s\n", last.Time.Local().Format("2006-01-02"), report.CheckNote(last.Document).Text)
	return err
}
