package cli

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"updoc/internal/repair"
	"updoc/internal/report"
)

// resetRemedy is what 'updoc reset' carries out.
const resetRemedy = "reset-update-components"

func newReset(env *Env) *cobra.Command {
	var planOnly, yes bool
	var t treating
	cmd := &cobra.Command{
		Use:   "reset",
		Short: "Reset the update components, so that it can be taken back",
		Long: `Does what people ask for when they ask for "the reset": gives Windows Update a fresh
SoftwareDistribution, catroot2 and download queue. The old ones are renamed and not
deleted, the history of updates is kept, and 'updoc undo' puts everything back.

It does not touch proxies, policies, service rights or the component store, and it
says so when what was found cannot be cured by it: 'updoc fix' then knows better.

Exit codes are those of 'updoc fix'.`,
		Example: `  updoc reset --plan     what it would do
  updoc reset            do it, asking first
  updoc undo             take it back`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := t.check(); err != nil {
				return err
			}
			return t.reset(cmd, env, planOnly, yes)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&planOnly, "plan", false, "show the plan and change nothing")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask before it is carried out")
	t.flags(cmd)
	return cmd
}

func (t *treating) reset(cmd *cobra.Command, env *Env, planOnly, yes bool) error {
	ctx := cmd.Context()
	p, state, err := t.patient(ctx, env)
	if err != nil {
		return err
	}
	defer p.Close()
	bar := env.progress()
	x, err := examine(ctx, p, repair.RiskRestart, t.blind, bar)
	bar.done()
	if err != nil {
		return err
	}
	plan, why := repair.One(x.facts, x.diagnosis, resetRemedy, repair.Options{Run: x.plan.Run})
	if why.ID != "" {
		return &hinted{fmt.Errorf("not now: %s", report.Sentence(why)), "'updoc fix' finds out what does help", ExitProblems}
	}
	if t.format == "json" {
		err = t.event(env, map[string]any{"kind": "plan", "verdict": x.doc.Verdict, "plan": report.NewPlan(plan)})
	} else {
		if useless(x.plan) {
			fmt.Fprintf(env.Stdout, "What was found on this machine, %s, is not cured by a reset. 'updoc fix' would begin with: %s.\n\n",
				report.CauseTitle(x.plan.Causes[0]), report.RemedyTitle(x.plan.Treatments[0].ID))
		}
		err = report.PlanText(env.Stdout, plan, false, env.style(env.Stdout))
	}
	if err != nil || planOnly {
		return err
	}
	return t.agree(ctx, env, p, state, plan, yes)
}

// useless reports that the machine has a plan of its own, and a reset is no part of it.
func useless(plan *repair.Plan) bool {
	return len(plan.Causes) > 0 && len(plan.Treatments) > 0 &&
		!slices.ContainsFunc(plan.Treatments, func(t repair.Treatment) bool { return t.ID == resetRemedy })
}
