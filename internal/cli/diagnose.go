package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/redact"
	"updoc/internal/report"
	"updoc/internal/route"
	"updoc/internal/route/pac"
)

var formats = []string{"text", "json", "md", "html"}

func newDiagnose(env *Env) *cobra.Command {
	var (
		from      []string
		format    string
		output    string
		redacted  bool
		stats     bool
		whyNot    bool
		noNetwork bool
	)
	cmd := &cobra.Command{
		Use:   "diagnose [--from DIR|ZIP|FILE...]",
		Short: "Say why updating fails, from what the machine wrote",
		Long: `Reads this machine, or with --from a folder, zip or files from a sick one, and
says what failed, at which stage, why, with the lines that prove it, and what to do.

On this machine it also walks the route of Windows Update, as 'updoc trace' does,
unless --no-network is given.

Each folder or zip is one machine; loose files together are one machine. Things
may carry the names they have on a machine (WindowsUpdate.log, CBS.log, *.evtx,
*.reg, netsh-winhttp-show-proxy.txt, notes.txt ...), in any case and depth, or any
other name: content is recognised. Evidence alone never needs the network. Nothing
is changed.

Exit codes: 0 healthy, 1 problems found, 2 wrong usage or no such input,
3 could not find out.`,
		Example: `  updoc diagnose                                        this Windows machine
  updoc diagnose --from evidence.zip
  updoc diagnose --from CBS.log WindowsUpdate.log notes.txt
  updoc diagnose --from *.zip                           one line each, then the details
  updoc diagnose --from bundle --format md -o ticket.md
  updoc diagnose --from bundle --why-not                why it is not the others`,
		RunE: func(cmd *cobra.Command, args []string) error {
			from = append(from, args...)
			if len(from) == 0 && env.Live == nil {
				return usage("give the evidence with --from DIR|ZIP|FILE..., or run 'updoc demo' to see an example", "no evidence was given")
			}
			if !slices.Contains(formats, format) {
				return usage("the formats are "+strings.Join(formats, ", "), "no such format: %q", format)
			}
			if !cmd.Flags().Changed("redact") {
				redacted = format == "md" || format == "html"
			}
			groups, err := machines(from)
			if err != nil {
				return err
			}
			if err := spare(groups, output); err != nil {
				return err
			}
			w, done, err := env.output(output)
			if err != nil {
				return err
			}
			bar := env.progress()
			fo, ro := facts.Options{Full: stats, Progress: bar.update}, report.Options{WhyNot: whyNot, Redact: redacted}
			var docs []diagnosed
			if len(from) > 0 {
				docs, err = diagnoseAll(cmd.Context(), groups, fo, ro)
			} else {
				docs, err = env.diagnoseLive(cmd.Context(), fo, ro, !noNetwork, bar)
			}
			bar.done()
			if err != nil {
				return done(err)
			}
			if stats {
				if err := writeStats(env.Stderr, docs); err != nil {
					return done(err)
				}
			}
			if err := write(w, docs, format, env.style(w)); err != nil {
				return done(err)
			}
			if len(from) == 0 && format == "text" && docs[0].facts.Route != nil {
				if _, err := fmt.Fprintln(w); err != nil {
					return done(err)
				}
				if err := report.RouteText(w, report.NewRoute(docs[0].facts.Route, docs[0].doc), env.style(w), report.RouteOptions{Told: true}); err != nil {
					return done(err)
				}
			}
			return done(verdict(docs))
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&from, "from", nil, "evidence: a folder, zip or file; may be repeated")
	f.StringVar(&format, "format", "text", "text, json, md (tickets) or html (one file)")
	f.StringVarP(&output, "output", "o", "", "write to this file instead of standard output")
	f.BoolVar(&redacted, "redact", false, "replace names and addresses by pseudonyms (on for md and html)")
	f.BoolVar(&stats, "stats", false, "read every line and say how many were understood, on standard error")
	f.BoolVar(&whyNot, "why-not", false, "list the causes that were rejected, with the reason")
	f.BoolVar(&noNetwork, "no-network", false, "do not walk the route of this machine (evidence alone never does)")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
	return cmd
}

// group is the evidence of one machine.
type group struct {
	name  string
	paths []string
}

// machines sorts the given paths: each folder or zip is a machine of its own,
// loose files belong together.
func machines(paths []string) ([]group, error) {
	var out []group
	loose := -1
	paths, err := expand(paths)
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		info, err := os.Stat(p)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, usage("check the path given to --from; 'updoc demo' needs none", "no such file or folder: %s", p)
		}
		if err != nil {
			return nil, err
		}
		if info.IsDir() || strings.EqualFold(filepath.Ext(p), ".zip") {
			out = append(out, group{p, []string{p}})
			continue
		}
		if loose < 0 {
			loose = len(out)
			out = append(out, group{name: p})
		}
		out[loose].paths = append(out[loose].paths, p)
	}
	return out, nil
}

// expand replaces patterns by what they match: cmd.exe and PowerShell hand
// *.zip on as it is.
func expand(paths []string) ([]string, error) {
	var out []string
	for _, p := range paths {
		if _, err := os.Lstat(p); err != nil && strings.ContainsAny(p, "*?[") {
			matches, err := filepath.Glob(p)
			if err != nil || len(matches) == 0 {
				return nil, usage("check the pattern given to --from; 'updoc demo' needs none", "nothing matches %s", p)
			}
			out = append(out, matches...)
			continue
		}
		out = append(out, p)
	}
	return out, nil
}

// spare keeps a report from taking the place of the evidence it is made from.
func spare(groups []group, output string) error {
	if output == "" || output == "-" {
		return nil
	}
	to, err := os.Stat(output)
	if err != nil {
		return nil // a new file
	}
	for _, g := range groups {
		for _, p := range g.paths {
			if info, err := os.Stat(p); err == nil && !info.IsDir() && os.SameFile(info, to) {
				return usage("choose another name for the report", "-o %s is the evidence itself", output)
			}
		}
	}
	return nil
}

// diagnosed is a machine's document and what was read for it.
type diagnosed struct {
	name  string
	doc   *report.Document
	facts *facts.Facts
	err   error
}

// diagnoseAll diagnoses one machine after the other. If the reports are redacted,
// they are with one redactor: a server that several machines speak of has one
// pseudonym, and who reads them sees that it is one.
func diagnoseAll(ctx context.Context, groups []group, fo facts.Options, ro report.Options) ([]diagnosed, error) {
	var out []diagnosed
	if ro.Redact && ro.Redactor == nil {
		ro.Redactor = &redact.Redactor{}
	}
	for _, g := range groups {
		d := diagnosed{name: g.name}
		d.facts, d.doc, d.err = diagnoseOne(ctx, g, fo, ro)
		if d.err != nil && (len(groups) == 1 || ctx.Err() != nil) {
			return nil, d.err
		}
		out = append(out, d)
	}
	return out, nil
}

func diagnoseOne(ctx context.Context, g group, fo facts.Options, ro report.Options) (*facts.Facts, *report.Document, error) {
	h, err := host.OpenRecorded(ctx, g.paths...)
	if err != nil {
		return nil, nil, err
	}
	defer h.Close()
	f := facts.Collect(ctx, h, fo)
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	return f, report.New(f, cause.Diagnose(f), ro), nil
}

// diagnoseLive diagnoses this machine and, if it may, walks its route.
func (env *Env) diagnoseLive(ctx context.Context, fo facts.Options, ro report.Options, walk bool, bar *bar) ([]diagnosed, error) {
	h, done, err := env.openLive(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	f := facts.Collect(ctx, env.remembering(h), fo)
	if walk && ctx.Err() == nil {
		f.AddWalk(env.walkLive(ctx, f, bar))
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return []diagnosed{{name: cmp.Or(f.Machine.Name, "this machine"), doc: report.New(f, cause.Diagnose(f), ro), facts: f}}, nil
}

// sender sends the requests of a live machine: as SYSTEM if that is possible, else as
// the user, over WinHTTP where there is one and with Go's network stack elsewhere.
func (env *Env) sender(ctx context.Context, prober *route.Prober) (x host.Exchanger, as string, done func()) {
	for _, account := range []string{asSystem, asUser} {
		if x, as, done, err := env.senderAs(ctx, account); err == nil {
			return x, as, done
		}
	}
	return prober, currentUser(), func() {}
}

// The accounts that a live machine can be walked as.
const (
	asSystem = "system" // which Windows Update runs as
	asUser   = "user"   // whoever started updoc
)

// senderAs sends requests over WinHTTP as an account. Whether that can be had shows at
// its first request, which is made here and leads nowhere.
func (env *Env) senderAs(ctx context.Context, account string) (x host.Exchanger, as string, done func(), err error) {
	if env.As == nil {
		return nil, "", nil, errors.New("this is no Windows")
	}
	if x, done, err = env.As(ctx, account); err != nil {
		return nil, "", nil, err
	}
	if _, err := x.Exchange(ctx, host.Request{ID: "probe", Method: "HEAD", URL: "http://127.0.0.1:9/"}); err != nil {
		done()
		return nil, "", nil, err
	}
	if account == asUser {
		account = currentUser()
	}
	return x, account, done, nil
}

// walkLive walks this machine's route with its own settings.
func (env *Env) walkLive(ctx context.Context, f *facts.Facts, bar *bar) *route.Walk {
	settings := f.RouteSettings()
	p := env.Network
	if p.Net == nil {
		p.Net = route.OS{}
	}
	p.MaxTLS, p.Hosts = settings.MaxTLS, hostsFile(f)
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	prober := route.NewProber(p)
	x, as, done := env.sender(ctx, prober)
	defer done()
	walker := route.Walker{
		Exchanger: x, As: as, Scripts: &pac.Sandbox{}, Net: p.Net, Echo: env.Echo, Now: p.Now, Times: []string{"time.windows.com:123"}, Repeat: diagnoseRepeat,
		Env:  pac.Env{Dialect: pac.JScript, Lookup: prober.Lookup, Now: now()},
		Done: func(n, total int) { bar.step("walking", n, total) },
	}
	return walker.Walk(ctx, settings, settings.Plan(route.PlanOptions{Now: now()}))
}

// write writes one document in its format, or several: a line each, then the details.
func write(w io.Writer, docs []diagnosed, format string, style report.Style) error {
	var list []report.Named
	for _, d := range docs {
		list = append(list, report.Named{Name: d.name, Document: d.doc, Err: d.err})
	}
	switch format {
	case "json":
		return report.WriteJSON(w, list)
	case "md":
		return report.WriteMarkdown(w, list)
	case "html":
		return report.WriteHTML(w, list)
	}
	return report.WriteText(w, list, style)
}

// verdict turns documents into the exit code: the worst one counts.
func verdict(docs []diagnosed) error {
	code := ExitHealthy
	for _, d := range docs {
		switch {
		case d.err != nil || d.doc.Verdict == string(cause.Unclear):
			if code == ExitHealthy {
				code = ExitUnknown
			}
		case d.doc.Verdict == string(cause.Problems):
			code = ExitProblems
		}
	}
	if code == ExitHealthy {
		return nil
	}
	return exit(code)
}

// writeStats says how much of each file was understood.
func writeStats(w io.Writer, docs []diagnosed) error {
	if _, err := fmt.Fprintf(w, "%-44s %-18s %12s %10s %10s %9s %9s\n", "file", "format", "bytes", "lines", "records", "unread", "unread %"); err != nil {
		return err
	}
	for _, d := range docs {
		if d.facts == nil {
			continue
		}
		for _, s := range d.facts.Sources {
			share := 0.0
			if s.Stats.Lines > 0 {
				share = 100 * float64(s.Stats.Unread) / float64(s.Stats.Lines)
			}
			fmt.Fprintf(w, "%-44s %-18s %12d %10d %10d %9d %9.3f\n", oneLine(s.Path), s.Kind, s.Stats.Bytes, s.Stats.Lines, s.Stats.Records, s.Stats.Unread, share)
			if n := s.Stats.Cut + s.Stats.Undecoded; n > 0 {
				fmt.Fprintf(w, "  of these: %d cut at %d bytes, %d that Windows could not convert\n", s.Stats.Cut, 256<<10, s.Stats.Undecoded)
			}
		}
	}
	return nil
}
