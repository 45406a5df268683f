package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"updoc/internal/message"
)

// explainMarkdown writes explanations for a ticket or a wiki.
func explainMarkdown(w io.Writer, doc *Explanations, all bool) error {
	b := bufio.NewWriter(w)
	words := message.English()
	for i := range doc.Codes {
		e := &doc.Codes[i]
		if i > 0 {
			b.WriteString("\n")
		}
		explainOneMarkdown(b, e, words, all)
	}
	if doc.More > 0 {
		fmt.Fprintf(b, "\n%s\n", words.Text("explain.more-codes", "n", doc.More))
	}
	return b.Flush()
}

func explainOneMarkdown(b *bufio.Writer, e *Explanation, words *message.Catalog, all bool) {
	say := words.Text
	fmt.Fprintf(b, "## %s", e.Code)
	if e.Symbol != "" {
		fmt.Fprintf(b, " `%s`", e.Symbol)
	}
	b.WriteString("\n\n")
	var about []string
	if e.reread() {
		about = append(about, say("explain.read-as", "given", mdLiteral(e.Given), "form", say("form."+e.Form)))
	}
	if e.Owner != "" {
		about = append(about, e.Owner)
	}
	if e.Stage != "" && e.Stage != "any" {
		about = append(about, say("explain.stage", "stage", say("stage."+e.Stage)))
	}
	if e.HTTP != 0 {
		about = append(about, say("explain.http", "status", e.HTTP))
	}
	if len(about) > 0 {
		fmt.Fprintf(b, "%s\n\n", strings.Join(about, "; "))
	}
	fmt.Fprintf(b, "%s\n", mdEscape(e.Meaning))
	if e.Not != "" {
		fmt.Fprintf(b, "\n%s\n", mdEscape(e.Not))
	}
	switch e.Kind {
	case kindSuccess:
		fmt.Fprintf(b, "\n%s\n", say("explain.success"))
		return
	case kindRestart:
		fmt.Fprintf(b, "\n%s\n", say("explain.restart"))
		return
	case kindWrapper:
		fmt.Fprintf(b, "\n**%s**\n", say("explain.inner"))
	}
	if e.Inner != "" {
		fmt.Fprintf(b, "\n%s\n", mdEscape(e.Inner))
	}
	if all || !e.Known {
		fmt.Fprintf(b, "\n### %s\n\n| | | |\n|---|---|---|\n", say("explain.structure"))
		for _, p := range e.Structure {
			fmt.Fprintf(b, "| %s | `%s` | %s |\n", say("piece."+p.Kind), p.Value, mdEscape(p.Meaning))
		}
	}
	for _, l := range []struct {
		key  string
		list []CodeName
	}{{"explain.also", e.Also}, {"explain.near", e.Near}} {
		if len(l.list) == 0 {
			continue
		}
		fmt.Fprintf(b, "\n%s:\n\n", say(l.key))
		for _, n := range l.list {
			fmt.Fprintf(b, "- %s `%s` %s\n", n.Code, n.Symbol, mdEscape(n.Meaning))
		}
	}
	if len(e.Causes) > 0 {
		fmt.Fprintf(b, "\n### %s\n\n| %% | cause | id |\n|--:|---|---|\n", say("explain.causes"))
		for _, c := range e.Causes {
			fmt.Fprintf(b, "| %s | %s | `%s` |\n", share(c.Share), mdEscape(c.Title), c.ID)
		}
	}
	if len(e.Remedies) > 0 {
		fmt.Fprintf(b, "\n### %s\n\n", say("explain.first"))
		for i, r := range e.Remedies {
			fmt.Fprintf(b, "%d. **%s** (%s, `%s`)\n", i+1, mdEscape(r.Title), say("risk."+r.Risk), r.ID)
			if all {
				fmt.Fprintf(b, "   %s\n", mdEscape(r.How))
			}
		}
	}
	if len(e.TellApart) > 0 && len(e.Causes) > 1 {
		fmt.Fprintf(b, "\n### %s\n\n", say("explain.apart"))
		for _, t := range e.TellApart {
			fmt.Fprintf(b, "- %s (`%s`)\n", mdEscape(t.Look), t.Cause)
		}
	}
	if all {
		mdOpinions(b, say, "explain.suspects", e.Suspects)
	}
	mdOpinions(b, say, "explain.advice", e.Advice)
	if all && len(e.ByHand) > 0 {
		fmt.Fprintf(b, "\n### %s\n\n", say("explain.hand"))
		for i, s := range e.ByHand {
			fmt.Fprintf(b, "%d. **%s.** %s\n", i+1, mdEscape(s.Title), mdEscape(s.Text))
		}
	}
}

// mdOpinions writes a table of verdicts.
func mdOpinions(b *bufio.Writer, say func(string, ...any) string, heading string, list []Opinion) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### %s\n\n| | verdict | why |\n|---|---|---|\n", say(heading))
	for _, w := range worthOrder {
		for _, o := range list {
			if o.Verdict == string(w) {
				fmt.Fprintf(b, "| %s | **%s** | %s |\n", mdEscape(o.Title), say("worth."+o.Verdict), mdEscape(o.Why))
			}
		}
	}
}

// mdEscape keeps our own sentences, which are full of paths, from being read as
// markup; text from outside is written with mdLiteral.
func mdEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "|", `\|`, "<", "&lt;", "~", `\~`, "$", `\$`, "`", "'").Replace(s)
}

// mdLiteral writes text from outside as code that cannot end early.
func mdLiteral(s string) string {
	return "`" + strings.NewReplacer("`", "'", "|", "/", "\n", " ", "\r", " ").Replace(s) + "`"
}
