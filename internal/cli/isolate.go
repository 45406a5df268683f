package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"updoc/internal/durable"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/isolate"
	"updoc/internal/message"
	"updoc/internal/repair"
	"updoc/internal/report"
)

// isolateRemedy is what 'updoc isolate' carries out.
const isolateRemedy = "run-clean-boot"

// isolating is what one was asked for.
type isolating struct {
	treating
	list, planOnly, yes bool
	restarts            int
	from                []string
}

func newIsolate(env *Env) *cobra.Command {
	var i isolating
	cmd := &cobra.Command{
		Use:   "isolate",
		Short: "Find the program that breaks updating: the clean boot, done by itself",
		Long: `Switches off programs that start with Windows, tries the update again, and narrows
down which of them is to blame: a service, a scheduled task, a program at sign-in; one,
several, or two that do not get on with each other. First it tries what needs no
restart; then it restarts the machine, a few times as a rule, and goes on by itself
after you have signed in. It shows how many restarts are left.

Drivers are never switched off, nor is anything that the machine needs to start, to
sign in, to decrypt, to connect or to stay protected: --list shows what stays on, and
why. Everything is switched on again at the end, and also after Ctrl-C, a crash, a start
that failed (in safe mode) or when nobody goes on with it for some hours.

Exit codes: 1 a program was found, or none is to blame; 0 it does not fail now; 2 wrong
usage, 3 could not find out, 4 it was stopped (nothing is lost), 5 restart needed,
6 not allowed.`,
		Example: `  updoc isolate --list                     what starts with Windows, and what of it stays on
  updoc isolate                            search, asking first
  updoc isolate --yes --max-restarts 6     search without asking, with six restarts at most
  updoc isolate --list --from bundle.zip   what started with another machine's Windows`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := i.check(); err != nil {
				return err
			}
			switch {
			case i.restarts < 0 || i.restarts > 100:
				return usage("between 0, which is as many as it takes, and 100", "--max-restarts %d", i.restarts)
			case len(i.from) > 0 && !i.list:
				return usage("add --list: what is on another machine can only be listed", "--from without --list")
			case len(i.from) > 0:
				return i.listRecorded(cmd.Context(), env)
			case i.list:
				return i.listHere(cmd.Context(), env)
			}
			return i.search(cmd.Context(), env)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&i.list, "list", false, "list what starts with Windows and what of it stays on; change nothing")
	f.BoolVar(&i.planOnly, "plan", false, "show what would be done and change nothing")
	f.BoolVarP(&i.yes, "yes", "y", false, "do not ask before it begins")
	f.IntVar(&i.restarts, "max-restarts", 0, "end the search after so many restarts; 0: as many as it takes")
	f.StringArrayVar(&i.from, "from", nil, "with --list: of this bundle, folder or file; may be repeated")
	i.flags(cmd)
	return cmd
}

// startupTime is what the look at what starts may take: each program is read to check
// its signature.
const startupTime = 3 * time.Minute

// startup asks a machine what starts with it.
func startup(ctx context.Context, h host.Reader, bar *bar) (host.Startup, error) {
	bar.show("looking who made what starts with Windows")
	ctx, cancel := context.WithTimeout(ctx, startupTime)
	defer cancel()
	a, err := h.Ask(ctx, host.Question{Name: host.AskStartup})
	if err != nil {
		return host.Startup{}, err
	}
	var s host.Startup
	if err := json.Unmarshal(a.JSON, &s); err != nil {
		return s, fmt.Errorf("what starts with Windows: %w", err)
	}
	return s, nil
}

// listHere lists what starts with this machine.
func (i *isolating) listHere(ctx context.Context, env *Env) error {
	if i.lab != "" {
		p, _, err := openLab(i.lab)
		if err != nil {
			return err
		}
		defer p.Close()
		return i.listOf(ctx, env, p)
	}
	if env.Live == nil {
		return usage("run it on the sick Windows machine, or list a bundle with --from", "this machine does not run Windows")
	}
	h, done, err := env.openLive(ctx)
	if err != nil {
		return err
	}
	defer done()
	return i.listOf(ctx, env, h)
}

func (i *isolating) listRecorded(ctx context.Context, env *Env) error {
	groups, err := machines(i.from)
	if err != nil {
		return err
	}
	for _, g := range groups {
		rec, err := host.OpenRecorded(ctx, g.paths...)
		if err != nil {
			return err
		}
		err = i.listOf(ctx, env, rec)
		if cerr := rec.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (i *isolating) listOf(ctx context.Context, env *Env, h host.Reader) error {
	bar := env.progress()
	s, err := startup(ctx, h, bar)
	bar.done()
	if err != nil {
		return notStocked(err)
	}
	stock, err := isolate.Stock(s, "")
	if err != nil {
		return err
	}
	if i.format == "json" {
		return i.event(env, newStock(stock, s))
	}
	return stockText(env, stock, s)
}

func notStocked(err error) error {
	if errors.Is(err, host.ErrNotRecorded) {
		return &hinted{errors.New("what starts with this Windows was not recorded"), "'updoc collect' records it since this version", ExitUnknown}
	}
	return &hinted{fmt.Errorf("what starts with this Windows cannot be listed: %w", err), "try it as an administrator", ExitUnknown}
}

// stockEntry is an entry in JSON.
type stockEntry struct {
	host.StartupEntry
	Vendor string  `json:"vendor"`
	Keep   string  `json:"keep,omitempty"` // why it is never switched off
	For    string  `json:"for,omitempty"`
	Weight float64 `json:"weight,omitempty"`
	Class  string  `json:"class,omitempty"`
}

type stock struct {
	Kind    string             `json:"kind"`
	Trusted bool               `json:"trusted"` // signatures can be told on this machine
	Entries []stockEntry       `json:"entries"`
	Filters []host.ClassFilter `json:"filters"`
	Unseen  []host.Unseen      `json:"unseen"`
}

func newStock(list []isolate.Listed, s host.Startup) stock {
	out := stock{Kind: "startup", Trusted: isolate.Trusted(s), Entries: []stockEntry{}, Filters: append([]host.ClassFilter{}, s.Filters...), Unseen: append([]host.Unseen{}, s.Unseen...)}
	for _, l := range list {
		e := stockEntry{StartupEntry: l.StartupEntry, Vendor: l.Vendor, Keep: string(l.Keep), For: l.For}
		if l.Touched() {
			e.Weight, e.Class = l.Weight, l.Class
		}
		out.Entries = append(out.Entries, e)
	}
	return out
}

// stockText lists what may be switched off, what stays on with the reason, and what is
// Windows' own as a number.
func stockText(env *Env, list []isolate.Listed, s host.Startup) error {
	words := message.English()
	var touched, kept []isolate.Listed
	microsoft, drivers := 0, 0
	for _, l := range list {
		switch {
		case l.Touched():
			touched = append(touched, l)
		case l.Keep == isolate.KeepMicrosoft:
			microsoft++
		case l.Keep == isolate.KeepDriver && isolate.Microsoft(l.Program):
			drivers++
		default:
			kept = append(kept, l)
		}
	}
	slices.SortStableFunc(touched, func(a, b isolate.Listed) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.Vendor, b.Vendor))
	})
	slices.SortStableFunc(kept, func(a, b isolate.Listed) int {
		return cmp.Or(cmp.Compare(a.Keep, b.Keep), cmp.Compare(a.Vendor, b.Vendor))
	})
	clean := func(s string) string { return cmp.Or(report.Clean(s), "-") }
	w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "May be switched off for the search, the likeliest first: %d\n", len(touched))
	for _, l := range touched {
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\n", l.Kind, clean(l.Name), clean(l.Vendor), clean(l.Version), clean(l.File))
	}
	fmt.Fprintf(w, "\nNever switched off: %d, and %d programs and %d drivers of Windows\n", len(kept), microsoft, drivers)
	for _, l := range kept {
		why := words.Text("isolate.keep." + string(l.Keep))
		if l.For != "" {
			why += " (" + clean(l.For) + ")"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", l.Kind, clean(l.Name), clean(l.Vendor), why)
	}
	if len(s.Filters) > 0 {
		fmt.Fprintf(w, "\nFilter drivers above and below devices, which stay:\n")
		for _, f := range s.Filters {
			fmt.Fprintf(w, "  %s\tupper: %s\tlower: %s\n", clean(cmp.Or(f.Name, f.Class)), clean(strings.Join(f.Upper, ", ")), clean(strings.Join(f.Lower, ", ")))
		}
	}
	for _, u := range s.Unseen {
		fmt.Fprintf(w, "\nCould not be looked at: %s (%s)\n", clean(u.Part), clean(u.Why))
	}
	if !isolate.Trusted(s) {
		fmt.Fprintf(w, "\n%s\n", words.Text("isolate.not-trusted"))
	}
	return w.Flush()
}

// search plans the search and carries it out.
func (i *isolating) search(ctx context.Context, env *Env) error {
	p, state, err := i.patient(ctx, env)
	if err != nil {
		return err
	}
	defer p.Close()
	bar := env.progress()
	x, err := examine(ctx, p, repair.RiskRestart, i.blind, bar)
	if err == nil && x.facts.Startup.State != facts.Present {
		var s host.Startup
		if s, err = startup(ctx, p, bar); err != nil {
			err = notStocked(err)
		}
		x.facts.Startup = facts.Fact[host.Startup]{State: facts.Present, Value: s, Source: host.AskStartup}
	}
	bar.done()
	if err != nil {
		return err
	}
	plan, why := repair.One(x.facts, x.diagnosis, isolateRemedy, repair.Options{Run: x.plan.Run})
	if why.ID != "" {
		return &hinted{fmt.Errorf("not now: %s", report.Sentence(why)), "'updoc isolate --list' shows what stays on, and why", ExitProblems}
	}
	t := &plan.Treatments[0]
	if t.Course == nil {
		return &hinted{errors.New(message.English().Text("isolate.not-trusted")), "'updoc repair-store' mends the catalogues that signatures are looked up in", ExitUnknown}
	}
	t.How = repair.Automatic // whoever asks for it by its name has no second question to answer
	if err := i.limit(t); err != nil {
		return err
	}
	if i.format == "json" {
		err = i.event(env, map[string]any{"kind": "plan", "verdict": x.doc.Verdict, "plan": report.NewPlan(plan)})
	} else {
		err = report.PlanText(env.Stdout, plan, false, env.style(env.Stdout))
	}
	if err != nil || i.planOnly {
		return err
	}
	return i.agree(ctx, env, p, state, plan, i.yes)
}

// limit has the search end after fewer restarts.
func (i *isolating) limit(t *repair.Treatment) error {
	if i.restarts == 0 {
		return nil
	}
	var d isolate.Data
	if err := json.Unmarshal(t.Course.Data, &d); err != nil {
		return err
	}
	d.Limits.Restarts = i.restarts
	b, err := json.Marshal(d)
	t.Course.Data = b
	return err
}

// guarded adds to what wakes a run a guard that starts before anybody signs in, and in
// safe mode too, for plans that change what starts with the machine.
func (a attendance) guarded(j *repair.Journal, wake func(context.Context, bool, time.Time) error) func(context.Context, bool, time.Time) error {
	g := guardian(a.p)
	if g == nil || !j.Plan().Passing() {
		return wake
	}
	const enough = 30 * time.Minute // a lease is hours, and each act renews it
	stands, until := false, time.Time{}
	return func(ctx context.Context, on bool, at time.Time) error {
		switch {
		case on && stands && !at.IsZero() && !at.Before(until) && at.Sub(until) < enough:
			return nil
		case on && !stands:
			program, err := a.p.Program(a.state)
			if err == nil {
				err = g.Guard(ctx, host.Guard{Program: program, Run: j.Plan().Run, User: a.user})
			}
			if err != nil {
				return fmt.Errorf("stand guard: %w", err)
			}
			stands = true
		case !on:
			if err := g.Unguard(ctx); err != nil {
				return fmt.Errorf("end the guard: %w", err)
			}
			stands = false
		}
		err := wake(ctx, on, at)
		if err == nil && on {
			until = at
		}
		return err
	}
}

// guardian is what of a patient stands guard, nil if nothing does.
func guardian(p Patient) host.Guardian {
	switch x := p.(type) {
	case userPatient:
		return guardian(x.Patient)
	case livePatient:
		g, _ := x.treatable.(host.Guardian)
		return g
	}
	g, _ := p.(host.Guardian)
	return g
}

// newGuard is what the guard does at a start of the machine: it is no command for people.
func newGuard(env *Env) *cobra.Command {
	var t treating
	safe := false
	cmd := &cobra.Command{
		Use:    "stand-guard RUN",
		Short:  "Take back what a run left, where nobody goes on with it",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.standGuard(cmd.Context(), env, args[0], safe)
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&safe, "safe-mode", false, "Windows came up in safe mode")
	cmd.Flags().StringVar(&t.user, "user", "", "the security identifier of the user whose run it is")
	return cmd
}

// standGuard takes a run back if Windows came up in safe mode, or if nobody went on with
// it in time. What belongs to a user who is not signed in waits. A run of which nothing is
// left needs no guard any more.
func (t *treating) standGuard(ctx context.Context, env *Env, run string, safe bool) error {
	if filepath.Base(run) != run {
		return usage("it is given the name of a run", "no such run: %s", run)
	}
	return t.held(ctx, env, func(p Patient, state string) error { return t.standGuardOn(ctx, env, p, state, run, safe) })
}

func (t *treating) standGuardOn(ctx context.Context, env *Env, p Patient, state, run string, safe bool) error {
	j, err := repair.OpenJournal(durable.OS{}, filepath.Join(state, run))
	if err != nil {
		return err
	}
	r := t.runner(env, p, state, j)
	h := r.Host
	r.Able = func(c host.Change) bool {
		u, other := h.(userPatient)
		return !host.OfUser(c) || !other || u.user.Here(ctx)
	}
	if safe {
		_, err = t.undo(ctx, r)
	} else {
		_, err = r.Expired(ctx)
	}
	if err != nil || j.Summary().Standing > 0 {
		return err
	}
	if on, _ := j.Wakes(); on {
		return nil
	}
	if g := guardian(p); g != nil {
		return g.Unguard(ctx)
	}
	return nil
}
