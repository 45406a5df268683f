package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"updoc/internal/cause"
	"updoc/internal/durable"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/procedure"
	"updoc/internal/repair"
	"updoc/internal/report"
	"updoc/internal/store"
	"updoc/internal/wim"
)

func newFix(env *Env) *cobra.Command {
	var (
		planOnly, yes bool
		plain         bool
		maxRisk       string
		from          []string
		source        string
		t             treating
	)
	cmd := &cobra.Command{
		Use:   "fix",
		Short: "Cure this machine, step by step, so that each step can be taken back",
		Long: `Diagnoses this machine, shows the plan of its cure, and carries it out once you
agree: the step that most likely helps for the least cost and risk first. Before a
change is made, what takes it back is written down. After each step the part of
updating that failed is tried again, and updoc stops at the first cure. Proxies and
policies stay as they are unless they are the proven cause. What cannot be taken back
is done only with --max-risk permanent, and has a question of its own even with --yes.

With --from it rehearses the plan on a bundle and changes nothing. With --source it may
bring services of updating that were deleted back from an image of the same Windows.

Exit codes: 0 cured or healthy, 1 not cured, 2 wrong usage, 3 could not find out,
4 a repair failed (nothing is lost), 5 restart needed, 6 not allowed.`,
		Example: `  updoc fix --plan                       what it would do, and why
  updoc fix                              do it, asking first
  updoc fix --yes --max-risk reversible  do what can be taken back, without asking
  updoc fix --source C:\windows.iso       with an ISO file of this Windows at hand
  updoc fix --from bundle.zip            rehearse it on another machine's bundle`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := t.check(); err != nil {
				return err
			}
			if !slices.Contains([]string{"reversible", "restart", "permanent"}, maxRisk) {
				return usage("--max-risk is reversible, restart or permanent", "no such risk: %q", maxRisk)
			}
			if len(from) > 0 && source != "" {
				return usage("--source is for this machine", "--from and --source together")
			}
			if len(from) > 0 {
				return t.rehearse(cmd.Context(), env, from, repair.Risk(maxRisk))
			}
			if !planOnly && !yes && !plain && source == "" && t.format == "text" && env.fullScreen() {
				return t.fixOnTerminal(cmd.Context(), env, repair.Risk(maxRisk))
			}
			return t.fix(cmd.Context(), env, fixing{planOnly, yes, repair.Risk(maxRisk), source})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&planOnly, "plan", false, "show the plan and change nothing")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask before the plan is carried out")
	f.BoolVar(&plain, "plain", false, "ask line by line, and do not fill the terminal")
	f.StringVar(&maxRisk, "max-risk", "restart", "the greatest risk: reversible, restart or permanent")
	f.StringVar(&source, "source", "", "an ISO file, an install.wim, a medium or a Windows folder of this machine's build and edition")
	f.StringArrayVar(&from, "from", nil, "rehearse on this bundle, folder or file; may be repeated")
	f.BoolVar(&t.advice, "advice", false, "show all that others have to be told, with texts for their settings")
	t.flags(cmd)
	return cmd
}

// treating is what fix, undo, resume and history have in common: which machine,
// where its journals lie, and how they tell.
type treating struct {
	lab    string // directory of a simulated machine
	format string
	advice bool // say all that others have to be told
	blind  bool // do not use the network to find out more

	atStart bool   // the machine started it by itself: nobody is there
	user    string // whose registry HKCU is; "": of whoever runs it
}

func (t *treating) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.format, "format", "text", "text, or json: one document or event a line")
	f.StringVar(&t.lab, "lab", "", "treat the simulated machine in this directory ('updoc lab --machine' makes one)")
	f.BoolVar(&t.blind, "no-network", false, "do not walk the update's route to find out more")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
}

func (t *treating) check() error {
	if t.format != "text" && t.format != "json" {
		return usage("the formats are text, json", "no such format: %q", t.format)
	}
	return nil
}

// place is the full path of a file that somebody named, where it is on this machine.
func (t *treating) place(name string) string {
	if full, err := filepath.Abs(name); err == nil && t.lab == "" {
		return full
	}
	return name
}

// patient opens the machine and the directory of its journals.
func (t *treating) patient(ctx context.Context, env *Env) (p Patient, state string, err error) {
	if t.lab != "" {
		if p, state, err = openLab(t.lab); err == nil {
			p.(labPatient).Watch(env.progress().long)
		}
	} else {
		p, state, err = env.openPatient(ctx)
	}
	if err == nil {
		attendance{env: env, p: p, state: state}.tidyOld(ctx, time.Now().Add(-fresh))
	}
	return p, state, err
}

// hold keeps other updocs away from the machine until release.
func hold(state string) (release func() error, err error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, notAllowed(err)
	}
	release, err = durable.Lock(filepath.Join(state, "updoc.lock"))
	switch {
	case errors.Is(err, durable.ErrLocked):
		return nil, &hinted{errors.New("another updoc is repairing this machine"), "wait until it is done; 'updoc history' shows how far it is", ExitNotAllowed}
	case err != nil:
		return nil, notAllowed(err)
	}
	return release, nil
}

// notAllowed is that updoc could not write what it has to before it changes anything.
func notAllowed(err error) error {
	switch {
	case durable.IsFull(err):
		return &hinted{err, "nothing was changed: what takes a change back is written down first, and the disk is full; free some megabytes on it and run this again", ExitBroken}
	case durable.IsReadOnly(err):
		return &hinted{err, "nothing was changed: what takes a change back is written down first, and the disk is write-protected or was switched to read-only after errors; look at it with chkdsk", ExitNotAllowed}
	}
	return &hinted{err, "repairing needs an administrator: start updoc from a command prompt that was opened with 'Run as administrator'", ExitNotAllowed}
}

// fixing is how a plan is carried out.
type fixing struct {
	planOnly, yes bool
	maxRisk       repair.Risk
	source        string // an image of this Windows
}

func (t *treating) fix(ctx context.Context, env *Env, how fixing) error {
	p, state, err := t.patient(ctx, env)
	if err != nil {
		return err
	}
	defer p.Close()
	bar := env.progress()
	x, err := examine(ctx, p, how.maxRisk, t.blind, bar)
	if err == nil {
		err = x.stock(ctx, p, how.maxRisk, bar)
	}
	if err == nil && how.source != "" {
		err = x.shipped(ctx, env, p, t.place, how)
	}
	bar.done()
	if err == nil && how.source == "" && !how.planOnly && !how.yes && x.plan.WantsImage() {
		err = x.askSource(ctx, env, p, t.place, how, newAsker(env, t.format == "json"))
	}
	if err != nil {
		return err
	}
	doc, plan := x.doc, x.plan
	if err := t.showPlan(env, doc, plan); err != nil {
		return err
	}
	switch {
	case doc.Verdict == "healthy":
		return nil
	case doc.Verdict != "problems":
		return exit(ExitUnknown)
	case how.planOnly:
		return exit(ExitProblems)
	case !slices.ContainsFunc(plan.Treatments, func(t repair.Treatment) bool { return t.Risk != repair.RiskOutside }):
		return exit(ExitProblems) // it is for others to act
	}
	return t.agree(ctx, env, p, state, plan, how.yes)
}

// agree asks whether a plan that was shown is to be carried out, and does it.
func (t *treating) agree(ctx context.Context, env *Env, p Patient, state string, plan *repair.Plan, yes bool) error {
	ask := newAsker(env, t.format == "json")
	if !yes {
		if err := ask.must(ctx, "Carry it out?",
			"nobody is there to agree to the plan", "--yes carries the plan out without asking, --plan only shows it"); err != nil {
			return err
		}
	}
	release, err := hold(state)
	if err != nil {
		return err
	}
	defer release()
	return t.begin(ctx, env, p, state, plan, ask)
}

// begin makes the journal of a plan and carries it out. The state directory is held.
func (t *treating) begin(ctx context.Context, env *Env, p Patient, state string, plan *repair.Plan, ask *asker) error {
	j, err := repair.CreateJournal(durable.OS{}, filepath.Join(state, plan.Run), plan, p.Now())
	if err != nil {
		return notAllowed(err)
	}
	return t.carryOut(ctx, env, t.runner(env, p, state, j), ask)
}

// held does something with a machine while no other updoc can.
func (t *treating) held(ctx context.Context, env *Env, do func(p Patient, state string) error) error {
	p, state, err := t.patient(ctx, env)
	if err != nil {
		return err
	}
	defer p.Close()
	release, err := hold(state)
	if err != nil {
		return err
	}
	defer release()
	return do(p, state)
}

// examined is a machine that was looked at, with the plan of its cure.
type examined struct {
	facts     *facts.Facts
	diagnosis cause.Diagnosis
	doc       *report.Document
	plan      *repair.Plan
}

// examine diagnoses a machine, walking its route if it is one that can be treated
// and it may, and plans its cure.
func examine(ctx context.Context, h host.Reader, most repair.Risk, blind bool, bar *bar) (examined, error) {
	f := facts.Collect(ctx, h, facts.Options{Progress: bar.update})
	if p, ok := h.(Patient); ok && !blind {
		f.AddWalk(p.Walk(ctx, f))
	}
	if err := ctx.Err(); err != nil {
		return examined{}, err
	}
	d := cause.Diagnose(f)
	run, err := newRun(time.Now())
	if err != nil {
		return examined{}, err
	}
	return examined{f, d, report.New(f, d, report.Options{}), repair.New(f, d, repair.Options{Run: run, MaxRisk: most})}, nil
}

// stock looks at what starts with the machine, where the plan holds a search for the one
// of it that is in the way and nobody has looked: it takes a while, since every program's
// signature is read. What cannot be found out stays unknown, and a person is led.
func (x *examined) stock(ctx context.Context, h host.Reader, most repair.Risk, bar *bar) error {
	if !x.plan.Searches() || x.facts.Startup.State != facts.Unknown {
		return nil
	}
	s, err := startup(ctx, h, bar)
	if err != nil {
		return ctx.Err()
	}
	x.facts.Startup = facts.Fact[host.Startup]{State: facts.Present, Value: s, Source: host.AskStartup}
	x.plan = repair.New(x.facts, x.diagnosis, repair.Options{Run: x.plan.Run, MaxRisk: most})
	return nil
}

// shipped looks for services that are gone in an image that somebody gave. One that is not
// the machine's own Windows is refused by what it lacks.
func (x *examined) shipped(ctx context.Context, env *Env, p Patient, place func(string) string, how fixing) error {
	img, index, err := askImage(ctx, p, place, how.source)
	if err != nil {
		return err
	}
	e, why := store.Fit(x.facts, *img, index)
	if why.ID != "" {
		return usage("give an image of the build and the edition that this machine has", "%s: %s", img.Path, report.Sentence(why))
	}
	if !slices.ContainsFunc(x.plan.Treatments, func(t repair.Treatment) bool { return t.ID == "restore-deleted-service" }) {
		fmt.Fprintln(env.Stderr, "updoc: nothing of what was found needs --source: no service of updating is missing")
		return nil
	}
	a, err := p.Ask(ctx, host.Question{Name: host.AskServiceCopies, Args: map[string]string{"path": img.Path, "index": strconv.Itoa(e.Index)}})
	var found host.ServiceCopies
	switch {
	case errors.Is(err, wim.ErrFormat):
		return &hinted{
			fmt.Errorf("%s holds its files in a way that updoc does not read", img.Path),
			fmt.Sprintf("DISM makes one of it that it reads: dism /Export-Image /SourceImageFile:%s /SourceIndex:%d /DestinationImageFile:C:\\install.wim /Compress:max", img.Path, e.Index), ExitUnknown,
		}
	case err != nil:
		return &hinted{err, "copy the image to a drive of this machine, and name it there", ExitUnknown}
	}
	if err := json.Unmarshal(a.JSON, &found); err != nil {
		return fmt.Errorf("answer %s: %w", host.AskServiceCopies, err)
	}
	if len(found.Copies) == 0 {
		fmt.Fprintln(env.Stderr, "updoc: what is missing is not in", img.Path)
		return nil
	}
	c := &x.facts.Copies
	c.State, c.Source = facts.Present, cmp.Or(c.Source, a.Source)
	c.Value.Copies = append(c.Value.Copies, found.Copies...) // behind what the machine itself keeps
	x.plan = repair.New(x.facts, x.diagnosis, repair.Options{Run: x.plan.Run, MaxRisk: how.maxRisk})
	return nil
}

// askSource asks a person for an image of this Windows, where the plan could do more with
// one; a name that does not do is asked for again.
func (x *examined) askSource(ctx context.Context, env *Env, p Patient, place func(string) string, how fixing, ask *asker) error {
	for range 5 {
		name, err := ask.line(ctx, report.AskSourceText())
		if errors.Is(err, errNobody) || err == nil && name == "" {
			return nil // --source is named in the plan
		}
		if err != nil {
			return err
		}
		how.source = strings.Trim(name, `"`)
		err = x.shipped(ctx, env, p, place, how)
		var known *hinted
		if !errors.As(err, &known) {
			return err
		}
		fmt.Fprintf(env.Stderr, "updoc: error: %s\nupdoc: hint: %s\n", oneLine(known.Error()), oneLine(known.hint))
	}
	return nil
}

// newRun names a run: when, and a few letters that no other run of that second has.
func newRun(now time.Time) (string, error) {
	b := make([]byte, 2)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return now.UTC().Format("20060102-150405") + "-" + hex.EncodeToString(b), nil
}

// showCourse shows a plan that was asked for by its name, below what was said before.
func (t *treating) showCourse(env *Env, plan *repair.Plan) error {
	if t.format == "json" {
		return t.event(env, map[string]any{"kind": "plan", "plan": report.NewPlan(plan)})
	}
	fmt.Fprintln(env.Stdout)
	return report.PlanText(env.Stdout, plan, false, env.style(env.Stdout))
}

func (t *treating) showPlan(env *Env, doc *report.Document, plan *repair.Plan) error {
	if t.format == "json" {
		return t.event(env, map[string]any{"kind": "plan", "verdict": doc.Verdict, "plan": report.NewPlan(plan)})
	}
	style := env.style(env.Stdout)
	style.Plan = true
	if err := report.Text(env.Stdout, doc, style); err != nil || doc.Verdict != "problems" {
		return err
	}
	return report.PlanText(env.Stdout, plan, t.advice, style)
}

// event writes one line of JSON.
func (t *treating) event(env *Env, v any) error { return json.NewEncoder(env.Stdout).Encode(v) }

// carryOut runs what a journal has left to do, and tells how it ended.
func (t *treating) carryOut(ctx context.Context, env *Env, r *repair.Runner, ask *asker) error {
	p, j := r.Host.(Patient), r.Journal
	r.Approve = ask.treatment
	note := attendance{p: p}.note
	note(report.BeginNote(j.Plan(), len(j.Entries()) > 1))
	res, err := r.Run(ctx)
	switch {
	case errors.Is(err, context.Canceled):
		res = repair.Stopped
	case errors.Is(err, errNobody):
		note(report.PersonNote(j.Plan().Run))
		_, err := fmt.Fprintln(env.Stdout, report.PersonText())
		return errors.Join(err, exitOf(repair.Stopped))
	case err != nil:
		hint := "nothing is lost: 'updoc resume' goes on, 'updoc undo' takes back what was done"
		if durable.IsFull(err) {
			hint = "the disk is full; free some megabytes on it. N" + hint[1:]
		}
		return &hinted{err, hint, ExitBroken}
	}
	end := j.Summary()
	note(report.ResultNote(j.Plan(), res, end))
	if t.format == "json" {
		err = t.event(env, map[string]any{"kind": "result", "result": res, "run": j.Plan().Run, "standing": end.Standing, "undoable": end.Undoable, "story": report.NewStory(j.Story())})
	} else {
		text := report.ResultText(j.Plan(), res, end.Undoable, end.Lasting())
		if story := report.StoryText(j.Story()); story != "" {
			text = story + "\n\n" + text
		}
		_, err = fmt.Fprintf(env.Stdout, "\n%s\n", text)
	}
	if err != nil {
		return err
	}
	return exitOf(res)
}

// runner carries out a journal's plan and tells what happens. The journal lies in the
// directory state, and HKCU is the registry of t.user, or of this process' user.
func (t *treating) runner(env *Env, p Patient, state string, j *repair.Journal) *repair.Runner {
	last := ""
	user := t.user
	if user == "" {
		user, _ = p.Account() // without it, whoever goes on takes HKCU as it is
	}
	r := &repair.Runner{
		Journal: j, Now: p.Now, Started: p.Started,
		Tell: func(e repair.Event) {
			if last = t.tell(env, e, last); e.Kind == repair.EntryEnd {
				dropPackages(p, state, j.Plan().Run)
			}
		},
	}
	arm(r, p, cmp.Or(t.user, j.User()))
	attendance{env, p, state, user}.attend(r)
	return r
}

// arm gives a runner all that a machine can do. HKCU is the registry of the user, or of
// this process' own.
func arm(r *repair.Runner, p Patient, user string) {
	whose := forUser(p, user)
	if r.User = user; user == "" {
		r.User, _ = p.Account() // without it, whoever goes on takes HKCU as it is
	}
	r.Awake = func() (release func()) { return awake(p) }
	r.Host, r.Agent = whose, r.Journal.Plan().Proved(p, p)
	if u, ok := whose.(userPatient); ok {
		// What is another user's and cannot be reached now waits for the user.
		r.Able = func(c host.Change) bool { return !host.OfUser(c) || u.user.Here(context.Background()) }
	}
	if m, ok := p.(host.RestorePoints); ok {
		r.Points = m
	}
	if f, ok := p.(fetcher); ok {
		r.Fetch = f.Fetch
	}
	if s, ok := p.(sleeper); ok {
		r.Sleep = s.Sleep
	}
}

// sleeper is a machine on which time passes as it likes: a simulated one.
type sleeper interface {
	Sleep(context.Context, time.Duration) error
}

// fetcher is a machine to which files can be brought, see [repair.Runner].
type fetcher interface {
	Fetch(context.Context, procedure.Fetch) error
}

// exitOf is the exit code of a result.
func exitOf(res repair.Result) error {
	switch res {
	case repair.Cured:
		return nil
	case repair.Unproven:
		return exit(ExitUnknown)
	case repair.Restart:
		return exit(ExitRestart)
	case repair.Broken, repair.Stopped:
		return exit(ExitBroken)
	}
	return exit(ExitProblems)
}

// tell writes an event; it returns the treatment whose heading stands above.
func (t *treating) tell(env *Env, e repair.Event, last string) string {
	if t.format == "json" {
		_ = t.event(env, report.NewEvent(e)) // a pipe that is closed does not stop a repair half-way
		return last
	}
	text := report.EventText(e)
	if text == "" {
		return last
	}
	if e.Treatment != last {
		fmt.Fprintf(env.Stdout, "\n%s\n", report.RemedyTitle(e.Treatment))
	}
	fmt.Fprintf(env.Stdout, "  %s\n", report.Clean(text))
	return e.Treatment
}

// rehearse plans the cure of a bundle's machine and carries it out on an overlay.
func (t *treating) rehearse(ctx context.Context, env *Env, from []string, most repair.Risk) error {
	groups, err := machines(from)
	if err != nil {
		return err
	}
	worst := error(nil)
	for _, g := range groups {
		rec, err := host.OpenRecorded(ctx, g.paths...)
		if err != nil {
			return err
		}
		bar := env.progress()
		x, err := examine(ctx, rec, most, true, bar)
		bar.done()
		if err == nil {
			err = t.showPlan(env, x.doc, x.plan)
		}
		if err == nil && x.doc.Verdict == "unknown" && worst == nil {
			worst = exit(ExitUnknown)
		}
		if err == nil && x.doc.Verdict == "problems" {
			worst = exit(ExitProblems)
			err = t.showRehearsal(env, x.plan, repair.Rehearse(ctx, host.NewOverlay(rec), x.plan))
		}
		if err := errors.Join(err, rec.Close()); err != nil {
			return err
		}
	}
	return worst
}

func (t *treating) showRehearsal(env *Env, plan *repair.Plan, steps []repair.Rehearsed) error {
	if t.format == "json" {
		return t.event(env, map[string]any{"kind": "rehearsal", "run": plan.Run, "steps": report.NewRehearsal(steps)})
	}
	return report.RehearsalText(env.Stdout, steps, env.style(env.Stdout))
}
