package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"updoc/internal/cause"
	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/procedure"
	"updoc/internal/repair"
	"updoc/internal/report"
	"updoc/internal/upgrade"
)

func newUpgrade(env *Env) *cobra.Command {
	u := upgrading{}
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Install Windows over itself, keeping files and programs",
		Long: `The last cure: setup installs Windows over itself from installation media, and files,
programs and settings stay. Before anything starts, the media are held against this
machine (edition, language, processor, version) and the machine is looked at (room on
every partition, power, BitLocker, a restart that is due); then setup itself looks, and
what it finds in the way is named. updoc never goes around a block.

  --media takes an ISO file, a folder with its files, or the one file (.esd) that
          Microsoft's Media Creation Tool fetches, of which media are made. Without it
          updoc says which media fit, and whether Windows can do it by its settings.
  --get-media
          fetches that file into a folder, with its digest verified; with --from for the
          machine of a bundle. Enterprise, LTSC and Server come by other ways.
  --check has setup look, and nothing is installed.
  --from  reads what setup left behind, and says why an upgrade failed; with --media it
          holds the media against the recorded machine.

It cannot be taken back by updoc; Windows' own way back works for ten days.

Exit codes: 0 cured, or nothing in the way; 1 something is in the way, or not cured;
2 wrong usage; 3 could not find out; 4 setup failed; 5 restart needed; 6 not allowed.`,
		Example: `  updoc upgrade                                   which media fit this machine
  updoc upgrade --media C:\windows.iso --check    would it work?
  updoc upgrade --media C:\windows.iso            do it, asking first
  updoc upgrade --get-media C:\media              fetch media that fit
  updoc upgrade --from C:\Windows\Panther         why the last one failed`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := u.check(); err != nil {
				return err
			}
			return u.run(cmd.Context(), env)
		},
	}
	f := cmd.Flags()
	f.StringVar(&u.path, "media", "", "ISO file of Windows, a folder with its files, or an ESD file")
	f.BoolVar(&u.look, "check", false, "only look whether it would work; nothing is installed")
	f.BoolVarP(&u.yes, "yes", "y", false, "do not ask before it is carried out")
	f.BoolVar(&u.key, "recovery-key-kept", false, "the recovery key of a drive that BitLocker holds is kept elsewhere")
	f.BoolVar(&u.noDrivers, "no-drivers", false, "setup takes no drivers from Windows Update")
	f.StringArrayVar(&u.from, "from", nil, "read setup's logs, or a bundle, instead of this machine; may be repeated")
	f.StringVar(&u.to, "get-media", "", "fetch the file of the Media Creation Tool that fits into this folder")
	f.StringVar(&u.products, "products", "", "the tool's catalogue, products.cab, if it cannot be fetched from here")
	u.flags(cmd)
	return cmd
}

// upgrading is one run of the command.
type upgrading struct {
	treating
	path                      string
	look, yes, key, noDrivers bool
	from                      []string
	to, products              string
}

func (u *upgrading) run(ctx context.Context, env *Env) error {
	if u.to != "" {
		return u.getMedia(ctx, env)
	}
	if u.products != "" {
		return usage("--get-media DIR says where the media are to go", "--products is for --get-media")
	}
	if len(u.from) > 0 {
		return u.recorded(ctx, env)
	}
	if u.lab == "" && env.Live == nil && u.path != "" { // no Windows here: what the media hold is all that can be said
		m, err := openMedia(u.path, "")
		if err != nil {
			return err
		}
		return u.tellMedia(env, m)
	}
	p, state, err := u.patient(ctx, env)
	if err != nil {
		return err
	}
	defer p.Close()
	media, err := u.media(p)
	if err != nil {
		return err
	}
	bar := env.progress()
	x, err := examine(ctx, p, repair.RiskRestart, true, bar)
	bar.done()
	if err != nil {
		return err
	}
	checks, err := u.assess(env, x.facts, media)
	switch {
	case err != nil:
		return err
	case upgrade.Stopped(checks):
		return exit(ExitProblems)
	case media == nil:
		return nil
	}
	spec, err := upgrade.NewSpec(upgrade.MachineOf(x.facts), *media, checks, upgrade.Options{Look: u.look, Drivers: u.noDrivers})
	if err != nil {
		return usage("give the full path of an ISO file or a folder on a drive of this machine", "%w", err)
	}
	if u.look && media.ESD() { // media would have to be made first, which takes room and time
		if u.format != "json" {
			_, err = fmt.Fprintln(env.Stdout, words("upgrade.esd-check"))
		}
		return err
	}
	if u.look {
		return u.lookOnly(ctx, env, p, spec)
	}
	return u.install(ctx, env, p, state, x, spec, checks)
}

// media reads the media that were named, nil if none were.
func (u *upgrading) media(p Patient) (*upgrade.Media, error) {
	if u.path == "" {
		return nil, nil
	}
	at := ""
	if w, ok := p.(interface{ Where(string) string }); ok {
		at = w.Where(u.path)
	} else if full, err := filepath.Abs(u.path); err == nil {
		u.path = full
	}
	m, err := openMedia(u.path, at)
	return &m, err
}

func openMedia(path, at string) (upgrade.Media, error) {
	m, err := upgrade.OpenMedia(path, at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m, usage("--media takes an ISO file, or a folder with setup.exe and sources", "there is no %s", path)
	case err != nil:
		return m, &hinted{err, "download the ISO file again, from https://www.microsoft.com/software-download; what stands in it cannot be read", ExitProblems}
	}
	return m, nil
}

func (u *upgrading) tellMedia(env *Env, m upgrade.Media) error {
	if u.format == "json" {
		return u.event(env, map[string]any{"kind": "media", "media": m})
	}
	for _, x := range m.Images {
		if _, err := fmt.Fprintf(env.Stdout, "%2d  %-28s %-20s %-6s %-12s %s\n", x.Index, report.Clean(x.Name), report.Clean(x.Edition), x.Arch, x.Build, report.Clean(x.Default)); err != nil {
			return err
		}
	}
	return nil
}

// assess holds media and machine against each other and tells of it.
func (u *upgrading) assess(env *Env, f *facts.Facts, media *upgrade.Media) ([]upgrade.Check, error) {
	checks := upgrade.Assess(f, media)
	m := upgrade.MachineOf(f)
	first := upgrade.FixFromSettings(f)
	if u.format == "json" {
		v := map[string]any{"kind": "checks", "machine": m, "checks": checks, "stopped": upgrade.Stopped(checks), "settings": first}
		if media != nil {
			v["media"] = media
		}
		return checks, u.event(env, v)
	}
	w := &lines{w: env.Stdout}
	if first {
		w.say("%s\n\n", words("upgrade.first"))
	}
	for _, c := range checks {
		w.say("  %-5s %s\n", mark(c), report.Clean(report.Sentence(c.Line())))
	}
	switch {
	case upgrade.Stopped(checks):
		w.say("\n%s\n", words("upgrade.stopped"))
	case media != nil:
		w.say("\n%s\n", words("upgrade.ready"))
	}
	if media == nil {
		if why := upgrade.NotCovered(m.Edition); why != "" {
			w.say("\n%s\n", words("upgrade.not-covered", "what", why))
		} else {
			w.say("\n%s\n", words("upgrade.get-media", "edition", orUnknown(m.Edition), "language", orUnknown(m.Language), "arch", orUnknown(m.Arch), "version", orUnknown(m.Version.String())))
		}
	}
	return checks, w.err
}

// mark is what stands before a check.
func mark(c upgrade.Check) string {
	switch c.State {
	case upgrade.Pass:
		return "ok"
	case upgrade.Unknown:
		return "?"
	}
	return string(c.State)
}

// lines writes until something goes wrong.
type lines struct {
	w   io.Writer
	err error
}

func (l *lines) say(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.w, format, args...)
	}
}

// words is a sentence of the catalogue; arguments come as name, value, name, value.
func words(id string, args ...string) string {
	return report.Sentence(message.Say(id, args...))
}

func orUnknown(s string) string {
	if s == "" || s == "0" {
		return "unknown"
	}
	return s
}

// lookOnly has setup look at the machine. Nothing is changed by it but that an ISO file
// is mounted for a while, so it needs no journal.
func (u *upgrading) lookOnly(ctx context.Context, env *Env, p Patient, spec upgrade.Spec) error {
	data, err := spec.Encode()
	if err != nil {
		return err
	}
	course, err := upgrade.Decode(data)
	if err != nil {
		return err
	}
	var done []procedure.Done
	for {
		act, more := course.Next(done)
		if !more || ctx.Err() != nil && act.Back == nil { // what was mounted is unmounted all the same
			break
		}
		done = append(done, u.act(ctx, env, p, done, act))
	}
	if err := ctx.Err(); err != nil {
		return &hinted{err, "nothing was installed; run it again", ExitUnknown}
	}
	story := course.Story(done)
	if u.format == "json" {
		err = u.event(env, map[string]any{"kind": "result", "story": report.NewStory([]repair.Told{{Treatment: "run-in-place-upgrade", Lines: story}})})
	} else {
		for _, l := range story {
			if _, err = fmt.Fprintf(env.Stdout, "%s\n", report.Clean(report.Sentence(l))); err != nil {
				break
			}
		}
	}
	if err != nil {
		return err
	}
	for _, l := range story {
		if l.ID == "upgrade.story.clean" {
			return nil
		}
	}
	return exit(ExitProblems)
}

// act makes one act of a look.
func (u *upgrading) act(ctx context.Context, env *Env, p Patient, done []procedure.Done, a procedure.Act) procedure.Done {
	d := procedure.Done{Act: a, Began: p.Now()}
	var err error
	switch {
	case a.Change != nil:
		if d.Skipped, err = host.Holds(ctx, p, *a.Change); err == nil && !d.Skipped {
			err = p.Apply(ctx, *a.Change)
		}
	case a.Back != nil:
		c := *done[*a.Back].Act.Change
		c.State = "off"
		err = p.Apply(context.WithoutCancel(ctx), c)
	case a.Ask != nil:
		var answer host.Answer
		answer, err = p.Ask(ctx, *a.Ask)
		d.Answer = answer.JSON
	}
	if d.Ended = p.Now(); err != nil {
		d.Err = err.Error()
		_ = errors.As(err, &d.Code)
	}
	if u.format == "json" {
		_ = u.event(env, map[string]any{"kind": "act", "about": a.About, "code": codeText(d.Code), "error": d.Err})
	}
	return d
}

func codeText(h codes.HRESULT) string {
	if h == 0 {
		return ""
	}
	return h.String()
}

// install plans and carries out the upgrade.
func (u *upgrading) install(ctx context.Context, env *Env, p Patient, state string, x examined, spec upgrade.Spec, checks []upgrade.Check) error {
	run, err := newRun(time.Now())
	if err != nil {
		return err
	}
	plan, err := repair.UpgradePlan(x.facts, x.diagnosis, spec, run)
	if err != nil {
		return err
	}
	if err := u.showCourse(env, plan); err != nil {
		return err
	}
	ask := newAsker(env, u.format == "json")
	ask.agreed = true // whoever names media and says yes wants just that
	if upgrade.NeedsKey(checks) && !u.key {
		if err := ask.must(ctx, "Do you have the BitLocker recovery key elsewhere than on this machine?",
			"the drive of Windows may be encrypted, and nobody says that its recovery key is kept", "keep the recovery key elsewhere than on this machine, then say --recovery-key-kept"); err != nil {
			return err
		}
	}
	if !u.yes {
		if err := ask.must(ctx, "Install Windows over itself now? It takes one to two hours.",
			"nobody is there to agree to it", "--yes carries it out without asking, --check only looks"); err != nil {
			return err
		}
	}
	release, err := hold(state)
	if err != nil {
		return err
	}
	defer release()
	return u.begin(ctx, env, p, state, plan, ask)
}

// recorded tells why an upgrade failed, by what setup left behind, and holds media
// against the machine that left it.
func (u *upgrading) recorded(ctx context.Context, env *Env) error {
	rec, err := host.OpenRecorded(ctx, u.from...)
	if err != nil {
		return err
	}
	defer rec.Close()
	bar := env.progress()
	f := facts.Collect(ctx, rec, facts.Options{Progress: bar.update})
	bar.done()
	if err := ctx.Err(); err != nil {
		return err
	}
	if u.path != "" {
		media, err := openMedia(u.path, "")
		if err != nil {
			return err
		}
		checks, err := u.assess(env, f, &media)
		if err == nil && upgrade.Stopped(checks) {
			err = exit(ExitProblems)
		}
		return err
	}
	return u.tellSetup(env, f)
}

// tellSetup says how upgrades failed: by rule, with the lines, the cause and the next step.
func (u *upgrading) tellSetup(env *Env, f *facts.Facts) error {
	found := f.SetupFindings()
	var failed []facts.Failure
	for _, x := range f.Failures {
		if x.Stage == facts.StageSetup && !x.Resolved && !x.Consequence {
			failed = append(failed, x)
		}
	}
	d := cause.Diagnose(f)
	likely := ""
	if len(d.Findings) > 0 && d.Outcome == cause.Problems && d.Findings[0].Probability >= 0.5 {
		likely = d.Findings[0].ID
	}
	if u.format == "json" {
		if err := u.event(env, newSetupDocument(found, failed, likely)); err != nil {
			return err
		}
	} else if err := setupText(env.Stdout, found, failed, likely); err != nil {
		return err
	}
	switch {
	case slices.ContainsFunc(found, func(x facts.SetupFinding) bool { return x.Fails() }), len(failed) > 0:
		return exit(ExitProblems)
	case len(found) == 0:
		return exit(ExitUnknown)
	}
	return nil
}

// setupDocument is what --from tells, "updoc.setup/1".
type setupDocument struct {
	Kind     string         `json:"kind"`
	Schema   string         `json:"schema"`
	Rules    []setupRule    `json:"rules"`
	Failures []setupFailure `json:"failures"`
	Likely   string         `json:"likely,omitempty"` // the most probable cause, if it is more likely than not
}

type setupRule struct {
	Rule   string      `json:"rule"`
	GUID   string      `json:"guid"`
	Means  string      `json:"means"`
	Cause  string      `json:"cause,omitempty"`
	Remedy string      `json:"remedy,omitempty"`
	Seen   []setupSeen `json:"seen"`
}

type setupSeen struct {
	Source string `json:"source"`
	Text   string `json:"text"`
}

type setupFailure struct {
	Code   string `json:"code"`
	Extend string `json:"extend,omitempty"`
	Source string `json:"source,omitempty"`
}

func newSetupDocument(found []facts.SetupFinding, failed []facts.Failure, likely string) setupDocument {
	doc := setupDocument{Kind: "setup", Schema: "updoc.setup/1", Rules: []setupRule{}, Failures: []setupFailure{}, Likely: likely}
	for _, x := range found {
		r := setupRule{Rule: x.Name, GUID: x.GUID, Means: x.Means, Cause: x.Cause, Remedy: x.Remedy}
		for _, s := range x.Seen {
			r.Seen = append(r.Seen, setupSeen{s.Source, oneLine(s.Text)})
		}
		doc.Rules = append(doc.Rules, r)
	}
	for _, x := range failed {
		e := setupFailure{Code: x.Code.String()}
		if x.Extend != 0 {
			e.Extend = fmt.Sprintf("0x%X", x.Extend)
		}
		if len(x.Seen) > 0 {
			e.Source = x.Seen[0].Source
		}
		doc.Failures = append(doc.Failures, e)
	}
	return doc
}

func setupText(to io.Writer, found []facts.SetupFinding, failed []facts.Failure, likely string) error {
	w := &lines{w: to}
	if len(found) == 0 && len(failed) == 0 {
		w.say("Nothing of an upgrade was found. Setup's logs lie in C:\\$WINDOWS.~BT\\Sources\\Panther and C:\\Windows\\Panther.\n")
		return w.err
	}
	for _, x := range failed {
		code := x.Code.String()
		if x.Extend != 0 {
			phase, operation := codes.Extend(x.Extend)
			code += fmt.Sprintf(" - 0x%X: %s, %s", x.Extend, phase.Meaning, operation.Meaning)
		}
		w.say("Setup ended with %s\n", code)
	}
	for _, x := range found {
		w.say("\n%s  (%s)\n", x.Means, x.Name)
		for _, s := range x.Seen {
			w.say("  %s\n    %s\n", report.Clean(s.Source), oneLine(s.Text))
		}
		if x.Cause != "" {
			w.say("  Cause  %s (%s)\n", report.CauseTitle(x.Cause), x.Cause)
		}
		if x.Remedy != "" {
			w.say("  Next   %s\n", report.RemedyTitle(x.Remedy))
		}
	}
	if likely != "" && !slices.ContainsFunc(found, func(x facts.SetupFinding) bool { return x.Cause == likely }) {
		w.say("\nMost likely behind it: %s (%s). 'updoc diagnose' with the same files shows the proof.\n", report.CauseTitle(likely), likely)
	}
	return w.err
}
