package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"updoc/internal/cause"
	"updoc/internal/lab"
	"updoc/internal/report"
)

func newDemo(env *Env) *cobra.Command {
	var list bool
	cmd := &cobra.Command{
		Use:   "demo [SCENARIO]",
		Short: "Show a diagnosis of a simulated sick PC",
		Long: `Diagnoses a simulated PC on which Windows Update fails with 0x8024401B, the way
'updoc diagnose' does with a real one, and checks that the verdict is right.
Needs no network and touches nothing. Exits 0 when it went as it should.`,
		Example: `  updoc demo
  updoc demo --list
  updoc demo clock-skew`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return lab.Names(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				_, err := fmt.Fprintln(env.Stdout, strings.Join(lab.Names(), "\n"))
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
			f, err := collectScenario(cmd.Context(), s)
			if err != nil {
				return err
			}
			doc := report.New(f, cause.Diagnose(f), report.Options{})
			fmt.Fprintf(env.Stdout, "A simulated machine. %s\n\n", strings.Join(strings.Fields(s.Story), " "))
			if err := report.Text(env.Stdout, doc, env.style(env.Stdout)); err != nil {
				return err
			}
			if f.Route != nil {
				fmt.Fprintln(env.Stdout)
				if err := report.RouteText(env.Stdout, report.NewRoute(f.Route, doc), env.style(env.Stdout), report.RouteOptions{Told: true}); err != nil {
					return err
				}
			}
			if wrong := s.Expect.Check(doc.Verdict, causeIDs(doc), remedyIDs(doc)); wrong != nil {
				return &hinted{fmt.Errorf("the demo went wrong: %w", wrong), "this is a defect of updoc: please report it", ExitProblems}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&list, "list", false, "name the scenarios")
	return cmd
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
