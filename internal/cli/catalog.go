package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"updoc/internal/authenticode"
	"updoc/internal/catalog"
	"updoc/internal/facts"
	"updoc/internal/message"
	"updoc/internal/report"
)

func newCatalog(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "catalog",
		Short: "Find, fetch and install packages of the Microsoft Update Catalog",
		Long: `For a machine that does not get an update by itself: finds the right package in the
Microsoft Update Catalog, brings it whole through whatever lies in between, and
makes an offline kit of it that can be carried to a machine without a network.`,
		Example: `  updoc catalog search KB5043080 --for 26100.1/amd64
  updoc catalog download KB5043080 --for 26100.1/amd64 -o kit
  updoc catalog install D:\kit                              on that machine`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCatalogSearch(env), newCatalogDownload(env), newCatalogInstall(env))
	return cmd
}

// searchFlags are those of catalog search.
type searchFlags struct {
	way         wayFlags
	product, to string
	exact, all  bool
	format      string
}

func newCatalogSearch(env *Env) *cobra.Command {
	var t searchFlags
	cmd := &cobra.Command{
		Use:   "search KB|TEXT...",
		Short: "Search the Microsoft Update Catalog, and say what fits a machine",
		Long: `Searches the Microsoft Update Catalog for an article or for words, newest first.
With --for it says which of what it found fits that machine, by build, architecture,
edition, language and what replaces what; --all tells of each other one why not.

A page of the catalogue that is not built as updoc knows it is an error that says so,
and never "nothing found".

Exit codes: 0 something was found, 1 nothing was, or nothing fits, 2 wrong usage,
3 the catalogue could not be read.`,
		Example: `  updoc catalog search KB5043080
  updoc catalog search cumulative update windows 11 23h2 --for 22631.3007/amd64
  updoc catalog search .net framework 4.8.1 --product "windows server 2019"
  updoc catalog search KB5043080 --for this --all     on the machine itself`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.catalogSearch(cmd.Context(), t, strings.Join(args, " "))
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.product, "product", "", "only updates whose products or title have these words")
	f.StringVar(&t.to, "for", "", "say what fits a machine: this, or BUILD/ARCHITECTURE[/server], e.g. 22631.3007/amd64")
	f.BoolVar(&t.exact, "exact", false, "take the words as a phrase")
	f.BoolVar(&t.all, "all", false, "read all pages of the result, and tell why updates were left out")
	f.StringVar(&t.format, "format", "text", "text or json")
	t.way.add(cmd)
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
	return cmd
}

// catalogResult is what a search tells, as JSON.
type catalogResult struct {
	Schema string          `json:"schema"` // updoc.catalog/1
	Query  string          `json:"query"`
	For    *catalog.Target `json:"for,omitempty"`
	Total  int             `json:"total"`          // rows that the catalogue has
	More   bool            `json:"more,omitempty"` // not all of them were read
	Rows   []catalog.Row   `json:"rows,omitempty"` // without a machine
	Fits   []fitting       `json:"fits,omitempty"` // for one
	Left   []leftOut       `json:"left,omitempty"`
}

type fitting struct {
	catalog.Row
	Notes []string `json:"notes,omitempty"`
}

type leftOut struct {
	catalog.Row
	Why string `json:"why"`
	ID  string `json:"reason"` // id of the sentence
}

func (env *Env) catalogSearch(ctx context.Context, t searchFlags, text string) error {
	if t.format != "text" && t.format != "json" {
		return usage("the formats are text, json", "no such format: %q", t.format)
	}
	if strings.TrimSpace(text) == "" {
		return usage("e.g. updoc catalog search KB5043080", "there is nothing to search for")
	}
	bar := env.progress()
	defer bar.done()
	w, err := env.way(ctx, t.way, bar)
	if err != nil {
		return err
	}
	defer w.close()
	target, err := w.target(t.to)
	if err != nil {
		return err
	}
	s := w.shop(bar)
	defer s.close()
	q := catalog.Query{Text: text, Exact: t.exact, Product: t.product}
	if !t.all && target == nil && t.product == "" {
		q.Pages = 1
	}
	res, err := s.client.Search(ctx, q)
	if err != nil {
		return w.tell(err)
	}
	out := catalogResult{Schema: "updoc.catalog/1", Query: text, For: target, Total: max(res.Total, len(res.Rows)), More: res.More, Rows: res.Rows}
	if target != nil {
		choice, err := s.choose(ctx, res.Rows, *target, asked(text))
		if err != nil {
			return w.tell(err)
		}
		out.Rows = nil
		for _, f := range choice.Fits {
			out.Fits = append(out.Fits, fitting{f.Row, spellAll(f.Notes)})
		}
		for _, l := range choice.Left {
			out.Left = append(out.Left, leftOut{l.Row, spell(l.Why), strings.TrimPrefix(l.Why.ID, "catalog.left.")})
		}
	}
	bar.done()
	if t.format == "json" {
		e := json.NewEncoder(env.Stdout)
		e.SetEscapeHTML(false)
		err = e.Encode(out)
	} else {
		err = out.text(env.Stdout, t.all)
	}
	if err != nil {
		return err
	}
	if len(out.Rows) == 0 && len(out.Fits) == 0 {
		return exit(ExitProblems)
	}
	return nil
}

func (f *catalogResult) text(w io.Writer, all bool) error {
	var b strings.Builder
	row := func(r catalog.Row) {
		fmt.Fprintf(&b, "%s\n    %s  %s  %s  %s\n", report.Clean(r.Title), r.ID, r.Date.Format("2006-01-02"), megabytes(r.Size), report.Clean(r.Classification))
	}
	switch {
	case f.Total == 0 && len(f.Left) == 0:
		fmt.Fprintf(&b, "The catalogue has nothing for %q.\n", report.Clean(f.Query))
	case f.For == nil && len(f.Rows) == 0:
		b.WriteString("Nothing of what was found is for that product.\n")
	case f.For == nil:
		for _, r := range f.Rows {
			row(r)
		}
		if f.More {
			fmt.Fprintf(&b, "%d of %d; --all reads the rest, more words narrow it.\n", len(f.Rows), f.Total)
		}
	default:
		if len(f.Fits) == 0 {
			fmt.Fprintf(&b, "Of %d updates none fits %s.\n", len(f.Left), f.For)
		}
		for _, x := range f.Fits {
			row(x.Row)
			for _, n := range x.Notes {
				b.WriteString("    " + n + "\n")
			}
		}
		switch {
		case len(f.Left) > 0 && all:
			b.WriteString("\nLeft out:\n")
			for _, l := range f.Left {
				fmt.Fprintf(&b, "%s\n    %s\n", report.Clean(l.Title), l.Why)
			}
		case len(f.Left) > 0:
			fmt.Fprintf(&b, "%d others do not fit %s; --all says why.\n", len(f.Left), f.For)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func megabytes(n int64) string {
	switch {
	case n <= 0:
		return "size unknown"
	case n < 10<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d MB", n>>20)
}

// asked is how precisely a text asks.
func asked(text string) catalog.Asked {
	_, kb := catalog.KB(text)
	_, id := catalog.ID(text)
	return catalog.Asked{Name: kb || id}
}

// spell is a line of the catalogue of messages, as one line.
func spell(l message.Line) string {
	var args []any
	for k, v := range l.Args {
		args = append(args, k, report.Clean(v))
	}
	return message.English().Text(l.ID, args...)
}

func spellAll(list []message.Line) []string {
	var out []string
	for _, l := range list {
		out = append(out, spell(l))
	}
	return out
}

// target is the machine that --for means; nil if none was named.
func (w *way) target(to string) (*catalog.Target, error) {
	switch {
	case to == "":
		return nil, nil
	case to == "this" && w.facts == nil:
		return nil, usage("name it: --for BUILD/ARCHITECTURE, e.g. --for 22631.3007/amd64; 'winver' shows the build", "--for this: this machine does not run Windows")
	case to == "this":
		t := targetOf(w.facts)
		t.Language = w.language
		if t.Build == "" || t.Arch == "" {
			return nil, &hinted{errors.New("--for this: the build of this machine cannot be read"), "name it: --for BUILD/ARCHITECTURE, e.g. --for 22631.3007/amd64", ExitUnknown}
		}
		return &t, nil
	}
	t, err := catalog.ParseTarget(to)
	if err != nil {
		return nil, usage("e.g. --for 22631.3007/amd64, --for 20348.2113/amd64/server, or --for this", "--for: %w", err)
	}
	return &t, nil
}

// targetOf is the machine that facts tell of.
func targetOf(f *facts.Facts) catalog.Target {
	const version = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	t := catalog.Target{Build: f.RouteSettings().Build, Arch: f.Machine.Arch, Edition: f.Text(version, "EditionID").Value}
	// learn.microsoft.com: OPERATING_SYSTEM_SKU; the type of installation is "Client",
	// "Server" or "Server Core" in every language.
	kind := f.Text(version, "InstallationType").Value
	t.Server = strings.HasPrefix(kind, "Server") || kind == "" && (strings.HasPrefix(t.Edition, "Server") || strings.Contains(f.Machine.OS, "Windows Server"))
	return t
}

// shop is the catalogue at the end of a way.
type shop struct {
	w      *way
	client *catalog.Client
	fetch  *catalog.Fetcher
	close  func()
}

func (w *way) shop(bar *bar) *shop {
	t := w.net.Transport()
	return &shop{
		w: w,
		client: &catalog.Client{Transport: t, Sleep: w.env.Sleep, Page: func(n, of int) {
			bar.show("searching: page %d%s", n, map[bool]string{true: fmt.Sprintf(" of %d", of)}[of > 0])
		}},
		fetch: &catalog.Fetcher{Transport: t, Sleep: w.env.Sleep},
		close: t.CloseIdleConnections,
	}
}

// maxDetails bounds the pages that are asked for to choose.
const maxDetails = 12

// choose says what fits, by the rows first, and then by the pages of those that are left.
func (s *shop) choose(ctx context.Context, rows []catalog.Row, t catalog.Target, asked catalog.Asked) (catalog.Choice, error) {
	var list []catalog.Candidate
	for _, r := range rows {
		list = append(list, catalog.Candidate{Row: r})
	}
	first := catalog.Choose(list, t, asked)
	if len(first.Fits) > maxDetails {
		return first, nil
	}
	var fits []catalog.Candidate
	for _, f := range first.Fits {
		d, err := s.client.Details(ctx, f.Row.ID)
		if err != nil {
			return first, err
		}
		fits = append(fits, catalog.Candidate{Row: f.Row, Details: d})
	}
	second := catalog.Choose(fits, t, asked)
	second.Left = slices.Concat(second.Left, first.Left)
	return second, nil
}

// tell makes of an error what a person reads, and how the command ends.
func (w *way) tell(err error) error {
	var no *noWay
	var status *catalog.StatusError
	hint, code := "", ExitUnknown
	switch {
	case errors.As(err, new(*hinted)):
		return err
	case errors.Is(err, context.Canceled):
		return &hinted{errors.New("stopped"), "what has come is kept: run it again to go on", ExitUnknown}
	case errors.Is(err, catalog.ErrPageChanged):
		hint = "the site was rebuilt, or something in between answers in its place: look at " + catalog.Site + " with a browser, and for a newer updoc"
	case errors.Is(err, catalog.ErrSite):
		hint = "it is busy at times: try it again in some minutes"
	case errors.Is(err, catalog.ErrNoUpdate):
		hint, code = "'updoc catalog search' shows the ids; updates are withdrawn at times", ExitUsage
	case errors.Is(err, catalog.ErrSignIn), errors.As(err, &no) && no.signIn:
		hint = `name who signs in at the proxy: --user DOMAIN\name, or --kerberos`
	case no != nil:
		hint = "'updoc trace --url " + no.host + "' shows where it ends; --proxy names another way"
	case errors.Is(err, catalog.ErrHost), errors.Is(err, catalog.ErrClear), errors.Is(err, catalog.ErrElsewhere):
		hint, code = "packages come from Microsoft's content hosts alone; something in between may lead elsewhere: try another network", ExitBroken
	case errors.Is(err, catalog.ErrDigest), errors.Is(err, catalog.ErrSize), errors.Is(err, catalog.ErrMoving):
		hint, code = "nothing of it was kept; something in between changes or replaces files: try another network, or --proxy", ExitBroken
	case errors.Is(err, authenticode.ErrUnsigned), errors.Is(err, authenticode.ErrStripped), errors.Is(err, authenticode.ErrMalformed), errors.Is(err, authenticode.ErrDigest), errors.Is(err, authenticode.ErrForged),
		errors.Is(err, authenticode.ErrTimestamp), errors.Is(err, authenticode.ErrRoot), errors.Is(err, authenticode.ErrExpired), errors.Is(err, authenticode.ErrWeak), errors.Is(err, authenticode.ErrSigner), errors.Is(err, authenticode.ErrFormat):
		hint, code = "nothing of it was kept: it is not signed as Microsoft signs packages", ExitBroken
	case errors.Is(err, catalog.ErrSpace):
		hint, code = "make room, or name a folder on another disk with -o", ExitBroken
	case errors.Is(err, catalog.ErrPage):
		hint = "a proxy or a sign-in page of the network answers: open any web page with a browser, or name the proxy with --proxy"
	case errors.Is(err, catalog.ErrBusy):
		hint = "wait until the other one is done"
	case errors.As(err, &status):
		hint = "run it again in some minutes: what has come is kept; 'updoc trace' shows what stands in between"
	default:
		hint = "run it again: what has come is kept; 'updoc trace --url " + catalog.Site + "' shows where the way ends"
	}
	return &hinted{err, hint, code}
}
