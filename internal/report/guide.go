package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"

	"updoc/internal/cause"
	"updoc/internal/codes"
	"updoc/internal/message"
)

// guideCodes are the columns of the table of advice: the codes that people meet
// most, one or two of each stage.
var guideCodes = [...]codes.HRESULT{
	0x8024401B, 0x80072EE2, 0x8024402C, 0x80072F8F, 0x80244022, 0x80070422, 0x80246002, 0x80073712, 0x800F0922, 0x80070643, 0xC1900101,
}

// GuideDoc writes docs/guide.md: how an update comes in and how it fails, who
// asks whom as which account, where it is logged, what to do by hand, and what
// common advice is worth. Texts come from the message catalogue; the tables of
// codes and of advice are computed.
func GuideDoc(w io.Writer) error {
	g := &guide{Writer: bufio.NewWriter(w), words: message.English()}
	fmt.Fprintf(g, "# %s\n\n%s\n\n%s\n", g.say("title"), g.say("generated"), g.say("intro"))
	g.stages()
	g.table("accounts")
	g.table("hosts")
	g.table("logs")
	g.hand()
	g.advice()
	g.myths()
	g.proxy()
	return g.Flush()
}

type guide struct {
	*bufio.Writer
	words *message.Catalog
}

func (g *guide) say(key string) string { return g.words.Text("guide." + key) }

func (g *guide) stages() {
	fmt.Fprintf(g, "\n## %s\n\n%s\n", g.say("stages.title"), g.say("stages.intro"))
	for _, stage := range []string{"scan", "download", "verify", "install", "restart", "setup"} {
		fmt.Fprintf(g, "\n### %s\n\n", g.say(stage+".title"))
		for _, part := range []string{"what", "fails", "look"} {
			fmt.Fprintf(g, "**%s.** %s\n\n", g.say(part), g.say(stage+"."+part))
		}
		g.codesOf(stage)
	}
}

// codesOf lists the codes of a stage that have a text and a usual cause: the
// ones that are most often mistaken, which have a second text that says so.
func (g *guide) codesOf(stage string) {
	const most, few = 16, 4
	type row struct {
		code  codes.HRESULT
		name  string
		cause cause.Share
	}
	var rows, mistaken []row
	for info := range codes.All() {
		own := "code." + info.Code.String()
		usual := cause.Usual(info.Code, 0)
		// WinHTTP reports to whoever asked; its codes are met in searches.
		at := info.Stage == stage || stage == "scan" && info.Family == "winhttp"
		if !at || len(usual) == 0 || !g.words.Has(own) {
			continue
		}
		rows = append(rows, row{info.Code, info.Symbol(), usual[0]})
		if g.words.Has(own + ".not") {
			mistaken = append(mistaken, rows[len(rows)-1])
		}
	}
	if len(mistaken) >= few {
		rows = mistaken
	}
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(g, "**%s**\n\n| %s | | %s | %s |\n|---|---|---|---|\n", g.say("codes"), g.say("code"), g.say("meaning"), g.say("usual"))
	for _, r := range rows[:min(len(rows), most)] {
		fmt.Fprintf(g, "| %v | `%s` | %s | [%s](causes.md#%s), %s |\n", r.code, r.name,
			mdEscape(sentences(g.words.Text("code."+r.code.String()), 1)),
			mdEscape(g.words.Text("cause."+r.cause.Cause+".title")), r.cause.Cause, share(r.cause.Weight))
	}
}

// table writes a chapter that is one table: keys KEY.head, KEY.1, KEY.2, ...
// with cells between bars.
func (g *guide) table(key string) {
	fmt.Fprintf(g, "\n## %s\n\n", g.say(key+".title"))
	if g.words.Has("guide." + key + ".intro") {
		fmt.Fprintf(g, "%s\n\n", g.say(key+".intro"))
	}
	head := g.say(key + ".head")
	fmt.Fprintf(g, "| %s |\n|%s\n", head, strings.Repeat("---|", strings.Count(head, "|")+1))
	for n := 1; g.words.Has(fmt.Sprintf("guide.%s.%d", key, n)); n++ {
		fmt.Fprintf(g, "| %s |\n", g.say(fmt.Sprintf("%s.%d", key, n)))
	}
}

func (g *guide) hand() {
	fmt.Fprintf(g, "\n## %s\n\n%s\n\n", g.say("hand.title"), g.say("hand.intro"))
	for n := 1; g.words.Has(fmt.Sprintf("guide.hand.%d", n)); n++ {
		fmt.Fprintf(g, "%d. **%s.** %s\n", n, g.say(fmt.Sprintf("hand.%d.title", n)), g.say(fmt.Sprintf("hand.%d", n)))
	}
}

func (g *guide) advice() {
	all := cause.CommonAdvice()
	fmt.Fprintf(g, "\n## %s\n\n%s\n\n| %s |\n|---|---|---|\n", g.say("advice.title"), g.say("advice.intro"), g.say("advice.head"))
	for _, a := range all {
		key := "advice." + a.ID
		fmt.Fprintf(g, "| %s | %s | %s |\n", g.words.Text(key+".title"), mdEscape(g.words.Text(key+".mends")), mdEscape(g.words.Text(key+".what")))
	}
	fmt.Fprintf(g, "\n### %s\n\n%s\n\n| |", g.say("advice.matrix"), g.say("advice.legend"))
	worth := map[string]string{}
	for _, h := range guideCodes {
		fmt.Fprintf(g, " %v |", h)
		for _, j := range cause.JudgeAdvice(cause.Usual(h, 0)) {
			worth[j.ID+h.String()] = g.say("worth." + string(j.Worth))
		}
	}
	fmt.Fprintf(g, "\n|---|%s\n", strings.Repeat(":-:|", len(guideCodes)))
	for _, a := range all {
		fmt.Fprintf(g, "| %s |", g.words.Text("advice."+a.ID+".title"))
		for _, h := range guideCodes {
			fmt.Fprintf(g, " %s |", cmp.Or(worth[a.ID+h.String()], "?"))
		}
		g.WriteString("\n")
	}
}

func (g *guide) myths() {
	fmt.Fprintf(g, "\n## %s\n\n", g.say("myths.title"))
	for n := 1; g.words.Has(fmt.Sprintf("guide.myths.%d", n)); n++ {
		fmt.Fprintf(g, "%d. %s\n", n, g.say(fmt.Sprintf("myths.%d", n)))
	}
}

// proxy is the code this program began with, in full.
func (g *guide) proxy() {
	fmt.Fprintf(g, "\n## %s\n\n%s\n\n", g.say("proxy.title"), g.say("proxy.intro"))
	e := Explain([]codes.Code{{HRESULT: 0x8024401B, Given: "0x8024401B", Form: codes.FormHex}}).Codes[0]
	var b strings.Builder
	own := bufio.NewWriter(&b)
	explainOneMarkdown(own, &e, g.words, true)
	own.Flush()
	// Its own heading is the chapter's.
	_, rest, _ := strings.Cut(b.String(), "\n\n")
	g.WriteString(rest)
}
