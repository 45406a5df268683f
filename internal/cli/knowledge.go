package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"updoc/internal/cause"
	"updoc/internal/message"
	"updoc/internal/repair"
	"updoc/internal/report"
)

func newCauses(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "causes [ID]",
		Short: "The catalogue of causes, or one of them",
		Example: `  updoc causes
  updoc causes proxy-auth-required`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return everyCause(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			words := message.English()
			if len(args) == 0 {
				w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
				for _, c := range cause.Catalogue() {
					fmt.Fprintf(w, "%s\t%s\n", c.ID, words.Text("cause."+c.ID+".title"))
				}
				return w.Flush()
			}
			for _, c := range cause.Catalogue() {
				if c.ID == args[0] {
					return report.CausePage(env.Stdout, c)
				}
			}
			return usage(nearest("updoc causes", args[0], everyCause()), "no such cause: %s", args[0])
		},
	}
}

func newRemedies(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "remedies [ID]",
		Short: "The catalogue of remedies, or one of them",
		Example: `  updoc remedies
  updoc remedies correct-proxy-bypass`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return everyRemedy(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			words := message.English()
			if len(args) == 0 {
				w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
				for _, r := range repair.Catalogue() {
					fmt.Fprintf(w, "%s\t%s\t%s\n", r.ID, r.Risk, words.Text("remedy."+r.ID+".title"))
				}
				return w.Flush()
			}
			r, ok := repair.Lookup(args[0])
			if !ok {
				return usage(nearest("updoc remedies", args[0], everyRemedy()), "no such remedy: %s", args[0])
			}
			return report.RemedyPage(env.Stdout, r)
		},
	}
}

func everyCause() []string {
	var ids []string
	for _, c := range cause.Catalogue() {
		ids = append(ids, c.ID)
	}
	return ids
}

func everyRemedy() []string {
	var ids []string
	for _, r := range repair.Catalogue() {
		ids = append(ids, r.ID)
	}
	return ids
}

// nearest hints at the ids that come next to one that there is not, as cobra does for
// commands; where none does, at the command that lists them.
func nearest(command, typed string, ids []string) string {
	list := &cobra.Command{SuggestionsMinimumDistance: 4}
	for _, id := range ids {
		list.AddCommand(&cobra.Command{Use: id, Run: func(*cobra.Command, []string) {}})
	}
	if near := list.SuggestionsFor(typed); len(near) > 0 && typed != "" {
		return "perhaps " + strings.Join(near[:min(3, len(near))], " or ") + "; '" + command + "' lists them"
	}
	return "'" + command + "' lists them"
}
