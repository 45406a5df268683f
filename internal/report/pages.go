package report

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"updoc/internal/cause"
	"updoc/internal/message"
	"updoc/internal/repair"
)

// CausePage writes what the catalogue knows of a cause, as Markdown that reads
// well on a terminal. docs/causes.md is made of these pages.
func CausePage(w io.Writer, c *cause.Cause) error {
	b := bufio.NewWriter(w)
	words := message.English()
	fmt.Fprintf(b, "## %s\n\n%s.\n\n", c.ID, words.Text("cause."+c.ID+".title"))
	fmt.Fprintf(b, "%s\n\n", words.Text("cause."+c.ID+".plain"))
	fmt.Fprintf(b, "- Family: %s\n- Stages: %s\n", c.Family, strings.ReplaceAll(stages(c.Stages), ",", ", "))
	if codes := cause.CodesOf(c.ID); len(codes) > 0 {
		var parts []string
		for _, k := range codes[:min(len(codes), 12)] {
			parts = append(parts, fmt.Sprintf("%s (%s)", k.Name, percent(k.Weight)))
		}
		fmt.Fprintf(b, "- Codes, with its share of each: %s\n", strings.Join(parts, ", "))
	}
	if len(c.LeadsTo) > 0 {
		fmt.Fprintf(b, "- Leads to: %s\n", strings.Join(c.LeadsTo, ", "))
	}
	if len(c.Remedies) > 0 {
		fmt.Fprintf(b, "\nRemedies, in the order to try them:\n\n")
		for i, id := range c.Remedies {
			r, _ := repair.Lookup(id)
			fmt.Fprintf(b, "%d. %s (`%s`, %s)\n", i+1, words.Text("remedy."+id+".title"), id, words.Text("risk."+string(r.Risk)))
		}
	}
	return b.Flush()
}

// RemedyPage writes what the catalogue knows of a remedy, as Markdown.
func RemedyPage(w io.Writer, r repair.Remedy) error {
	b := bufio.NewWriter(w)
	words := message.English()
	fmt.Fprintf(b, "## %s\n\n%s.\n\n%s\n\n", r.ID, words.Text("remedy."+r.ID+".title"), words.Text("remedy."+r.ID+".how"))
	fmt.Fprintf(b, "- Risk: %s (%s)\n- How: %s\n- Carried out: %s\n- Minutes: about %d\n- Restart: %s\n", r.Risk, words.Text("risk."+string(r.Risk)), r.How, repair.Carried(r), r.Minutes, r.Restart)
	var cures []string
	for _, c := range cause.Catalogue() {
		if slices.Contains(c.Remedies, r.ID) {
			cures = append(cures, c.ID)
		}
	}
	if len(cures) > 0 {
		fmt.Fprintf(b, "- Tried for: %s\n", strings.Join(cures, ", "))
	}
	return b.Flush()
}

// CausesDoc writes docs/causes.md.
func CausesDoc(w io.Writer) error {
	b := bufio.NewWriter(w)
	words := message.English()
	fmt.Fprintf(b, "# The causes\n\nGenerated from the code by `go test ./internal/report -run TestDocs -update`; do not edit.\n\n")
	fmt.Fprintf(b, "| id | family | stages | what it is |\n|---|---|---|---|\n")
	for _, c := range cause.Catalogue() {
		fmt.Fprintf(b, "| [%s](#%s) | %s | %s | %s |\n", c.ID, c.ID, c.Family, strings.ReplaceAll(stages(c.Stages), ",", ", "), words.Text("cause."+c.ID+".title"))
	}
	for _, c := range cause.Catalogue() {
		b.WriteString("\n")
		if err := CausePage(b, c); err != nil {
			return err
		}
	}
	return b.Flush()
}

// RemediesDoc writes docs/remedies.md.
func RemediesDoc(w io.Writer) error {
	b := bufio.NewWriter(w)
	words := message.English()
	fmt.Fprintf(b, "# The remedies\n\nGenerated from the code by `go test ./internal/report -run TestDocs -update`; do not edit.\n\n")
	fmt.Fprintf(b, "| id | risk | carried out | minutes | restart | what it does |\n|---|---|---|---|---|---|\n")
	for _, r := range repair.Catalogue() {
		fmt.Fprintf(b, "| [%s](#%s) | %s | %s | %d | %s | %s |\n", r.ID, r.ID, r.Risk, repair.Carried(r), r.Minutes, r.Restart, words.Text("remedy."+r.ID+".title"))
	}
	for _, r := range repair.Catalogue() {
		b.WriteString("\n")
		if err := RemedyPage(b, r); err != nil {
			return err
		}
	}
	return b.Flush()
}
