package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"updoc/internal/cause"
	"updoc/internal/durable"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/repair"
	"updoc/internal/report"
)

func newDemo(env *Env) *cobra.Command {
	var list, page bool
	var how pageFlags
	cmd := &cobra.Command{
		Use:   "demo [SCENARIO]",
		Short: "Show the cure of a simulated sick PC",
		Long: `Makes a simulated PC on which Windows Update fails with 0x8024401B, diagnoses it and
walks its route the way 'updoc diagnose' does, plans its cure, carries it out, tries
again, and takes everything back, as 'updoc fix' and 'updoc undo' do. It checks that
each of these went as it should. Needs no network and touches nothing. Exits 0 when
it did.

Scenarios that hold evidence alone are diagnosed; those whose names begin with
treat- are machines, and are cured. With --page such a machine is shown on the page in
the browser that 'updoc' opens on Windows, with --terminal on the terminal, and is
yours to cure.`,
		Example: `  updoc demo
  updoc demo --page
  updoc demo --terminal
  updoc demo --list
  updoc demo clock-skew`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return scenarios(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				_, err := fmt.Fprintln(env.Stdout, strings.Join(scenarios(), "\n"))
				return err
			}
			name := lab.Demo
			if len(args) == 1 {
				name = args[0]
			}
			s, err := lab.Load(name)
			if errors.Is(err, fs.ErrNotExist) {
				return usage("'updoc demo --list' names the scenarios", "no such scenario: %s", name)
			}
			if err != nil {
				return err
			}
			if page || how.terminal {
				if err := how.check(); err != nil {
					return err
				}
				if !s.Treatable() {
					return usage("those whose names begin with treat- do: 'updoc demo --list'", "the scenario %s has no machine to show", name)
				}
				return env.demoPage(cmd.Context(), how, func(dir string) (labPatient, string, error) { return newLabPatient(dir, s) }, s.Cure.Fails)
			}
			fmt.Fprintf(env.Stdout, "A simulated machine. %s\n\n", strings.Join(strings.Fields(s.Story), " "))
			var wrong error
			if s.Treatable() {
				wrong, err = env.demoCure(cmd.Context(), s)
			} else {
				wrong, err = env.demoDiagnosis(cmd.Context(), s)
			}
			if err == nil && wrong != nil {
				err = &hinted{fmt.Errorf("the demo went wrong: %w", wrong), "this is a defect of updoc: please report it", ExitProblems}
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&list, "list", false, "name the scenarios")
	cmd.Flags().BoolVar(&page, "page", false, "show the machine on the page in the browser")
	how.flags(cmd)
	return cmd
}

func scenarios() []string { return append(lab.Names(), lab.MachineNames()...) }

// demoDiagnosis shows what is found in a scenario's evidence; wrong says how that is
// not what it should be.
func (env *Env) demoDiagnosis(ctx context.Context, s *lab.Scenario) (wrong, err error) {
	f, err := collectScenario(ctx, s)
	if err != nil {
		return nil, err
	}
	doc := report.New(f, cause.Diagnose(f), report.Options{})
	return s.Expect.Check(doc.Verdict, causeIDs(doc), remedyIDs(doc)), env.demoReport(f, doc, env.style(env.Stdout))
}

func (env *Env) demoReport(f *facts.Facts, doc *report.Document, style report.Style) error {
	if err := report.Text(env.Stdout, doc, style); err != nil || f.Route == nil {
		return err
	}
	fmt.Fprintln(env.Stdout)
	return report.RouteText(env.Stdout, report.NewRoute(f.Route, doc), style, report.RouteOptions{Told: true})
}

// demoCure shows the whole circle on a scenario's machine: failure, walk, plan,
// repair, proof, undo.
func (env *Env) demoCure(ctx context.Context, s *lab.Scenario) (wrong, err error) {
	dir, err := os.MkdirTemp("", "updoc-demo-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	p, state, err := newLabPatient(filepath.Join(dir, "pc"), s)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	if _, err := p.Try(ctx, host.Attempt{Stage: s.Cure.Fails}); err != nil {
		return nil, err
	}
	before, err := p.Snapshot()
	if err != nil {
		return nil, err
	}
	most := repair.RiskRestart
	for _, id := range s.Cure.CuredBy {
		if r, ok := repair.Lookup(id); ok && r.Risk == repair.RiskPermanent {
			most = r.Risk
		}
	}
	sick, err := examine(ctx, p, most, false, env.progress())
	if err != nil {
		return nil, err
	}
	style := env.style(env.Stdout)
	style.Plan = true
	if err := env.demoReport(sick.facts, sick.doc, style); err != nil {
		return nil, err
	}
	fmt.Fprintln(env.Stdout)
	if err := report.PlanText(env.Stdout, sick.plan, false, style); err != nil {
		return nil, err
	}
	wrong = s.Expect.Check(sick.doc.Verdict, causeIDs(sick.doc), remedyIDs(sick.doc))

	j, err := repair.CreateJournal(durable.OS{}, filepath.Join(state, sick.plan.Run), sick.plan, p.Now())
	if err != nil {
		return wrong, err
	}
	t := &treating{format: "text"}
	r := t.runner(env, p, state, j)
	r.Approve = func(context.Context, repair.Treatment) (bool, error) { return true, nil } // a person who agrees and does their part
	res, err := r.Run(ctx)
	for res == repair.Restart && err == nil {
		fmt.Fprintf(env.Stdout, "\n%s\n", report.ResultText(sick.plan, res, 0, 0))
		if err = p.Restart(); err == nil {
			res, err = r.Run(ctx)
		}
	}
	if err != nil {
		return wrong, err
	}
	fmt.Fprintf(env.Stdout, "\n%s\n", report.ResultText(sick.plan, res, 0, 0))
	if sum := j.Summary(); !s.Cure.As(string(res), cmp.Or(sum.Helped, sum.Showed)) {
		wrong = errors.Join(wrong, fmt.Errorf("it ended %s by %q, want %s by one of %v", res, cmp.Or(sum.Helped, sum.Showed), cmp.Or(s.Cure.Ends, "cured"), s.Cure.CuredBy))
	}

	fmt.Fprintf(env.Stdout, "\nAnd all of it taken back, as 'updoc undo' does:\n")
	u, err := r.Undo(ctx)
	if err != nil {
		return wrong, err
	}
	after, err := p.Snapshot()
	if err != nil {
		return wrong, err
	}
	for path, was := range before {
		if after[path] != was && len(u.Lasting) == 0 && !slices.Contains(s.Cure.Left, path) { // what cannot be taken back is said
			wrong = errors.Join(wrong, fmt.Errorf("after undo %s is not as it was", path))
		}
	}
	return wrong, report.UndoneText(env.Stdout, sick.plan.Run, u, style)
}

func causeIDs(doc *report.Document) []string {
	var ids []string
	for _, c := range doc.Causes {
		ids = append(ids, c.ID)
	}
	return ids
}

func remedyIDs(doc *report.Document) []string {
	var ids []string
	for _, r := range doc.Remedies {
		ids = append(ids, r.ID)
	}
	return slices.Clip(ids)
}
