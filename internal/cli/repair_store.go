package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"updoc/internal/catalog"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/procedure"
	"updoc/internal/repair"
	"updoc/internal/report"
	"updoc/internal/route"
	"updoc/internal/store"
)

func newRepairStore(env *Env) *cobra.Command {
	r := storeRepair{}
	cmd := &cobra.Command{
		Use:   "repair-store",
		Short: "Repair the component store as an expert does, and prove it",
		Long: `Reads what servicing's own log and registry tell before anything runs: what is
damaged, by component, file, package and update; what was tried; which codes were met
and what comes after each. Then DISM repairs from the first source that has the files:
Windows Update where the way to it works, the place that policy names, what --source
gives, the exact package of the catalogue. Last sfc puts back what lies outside of the
store. What cannot help is left out, and it is said why. How it ended is read from
exit codes and from what servicing writes down, never from what a tool prints.

  --source takes the ISO file of a Windows medium, which is read as it is, install.wim
           or install.esd (the right index is found; PATH:INDEX names one), a folder
           with them, a Windows folder that is mounted or shared by a healthy machine,
           a .msu or .cab, or a kit of 'updoc catalog download'.
  --check  tells what is known and changes nothing.
  --from   tells it of another machine's logs or bundle.

A repair that was begun is not broken off: Ctrl-C lets the tool end what it does.
It cannot be taken back; nothing of yours is changed.

Exit codes: 0 whole or repaired, 1 damaged and not repaired, 2 wrong usage, 3 could
not find out, 4 a repair failed, 5 restart needed, 6 not allowed.`,
		Example: `  updoc repair-store --check                               what is damaged?
  updoc repair-store                                       repair it, asking first
  updoc repair-store --source D:\                          with a medium at hand
  updoc repair-store --source C:\windows.iso               with an ISO file
  updoc repair-store --source \\pc-2\windows --yes         from a healthy machine
  updoc repair-store --check --from CBS.log                read another machine's log`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := r.check(); err != nil {
				return err
			}
			return r.run(cmd.Context(), env)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&r.look, "check", false, "tell what is known, and change nothing")
	f.StringVar(&r.source, "source", "", "where good files are: an ISO file, an image, a medium, a Windows folder, a package, a kit")
	f.BoolVarP(&r.yes, "yes", "y", false, "do not ask before it is carried out")
	f.StringArrayVar(&r.from, "from", nil, "tell of this bundle, folder or log instead of this machine; may be repeated")
	r.flags(cmd)
	return cmd
}

// storeRepair is one run of the command.
type storeRepair struct {
	treating
	look, yes bool
	source    string
	from      []string
}

func (r *storeRepair) run(ctx context.Context, env *Env) error {
	if len(r.from) > 0 {
		return r.recorded(ctx, env)
	}
	p, state, err := r.patient(ctx, env)
	if err != nil {
		return err
	}
	defer p.Close()
	run, err := newRun(time.Now())
	if err != nil {
		return err
	}
	bar := env.progress()
	f := facts.Collect(ctx, p, facts.Options{Progress: bar.update})
	if !r.blind {
		f.AddWalk(p.Walk(ctx, f))
	}
	bar.done()
	if err := ctx.Err(); err != nil {
		return err
	}
	var opt store.Options
	kit := false
	switch {
	case r.source == "":
	case packageFile(r.source):
		if r.look { // nothing is copied for a look
			break
		}
		release, err := hold(state)
		if err != nil {
			return err
		}
		opt.Packages, err = r.packages(ctx, env, p, state, run)
		if err = errors.Join(err, release()); err != nil {
			dropPackages(p, state, run)
			return err
		}
		kit = true
	default:
		if opt.Image, opt.Index, err = askImage(ctx, p, r.place, r.source); err != nil {
			return err
		}
	}
	a := store.Assess(f, opt)
	if !r.blind && !kit && len(a.KBs()) > 0 {
		if opt.Packages, err = r.find(ctx, env, f, p, state, run, a.KBs()); err != nil && ctx.Err() == nil {
			fmt.Fprintf(env.Stderr, "updoc: the catalogue could not be asked: %s\n", oneLine(err.Error()))
		}
		a = store.Assess(f, opt)
	}
	if err := r.tell(env, a); err != nil {
		return err
	}
	if r.look {
		return storeExit(a)
	}
	err = r.carry(ctx, env, p, state, f, a, run)
	if kit {
		var code exit
		if !errors.As(err, &code) || code != ExitRestart { // after a restart they are needed still
			dropPackages(p, state, run)
		}
	}
	return err
}

// carry plans the repair and carries it out.
func (r *storeRepair) carry(ctx context.Context, env *Env, p Patient, state string, f *facts.Facts, a store.Assessment, run string) error {
	plan, why, err := repair.StorePlan(f, a, run)
	switch {
	case err != nil:
		return err
	case plan == nil && a.State == store.Sound && len(a.Packages) == 0:
		return nil
	case plan == nil:
		return &hinted{fmt.Errorf("no repair now: %s", report.Sentence(why)), storeHint(a), ExitProblems}
	}
	if err := r.showCourse(env, plan); err != nil {
		return err
	}
	ask := newAsker(env, r.format == "json")
	ask.agreed = true // who asks for this repair and agrees has answered what is asked of what stays
	if !r.yes {
		if err := ask.must(ctx, "Repair it? This cannot be taken back by updoc.",
			"nobody is there to agree to the repair", "--yes repairs without asking, --check only tells what is known"); err != nil {
			return err
		}
	}
	release, err := hold(state)
	if err != nil {
		return err
	}
	defer release()
	return r.begin(ctx, env, p, state, plan, ask)
}

func storeHint(a store.Assessment) string {
	switch {
	case a.Pending:
		return "restart the machine, and run it again"
	case a.Wandering:
		return "test the memory with mdsched, and the disk"
	}
	return "give a source of this build and edition with --source, e.g. the drive of a Windows medium"
}

// storeExit is the exit code of a look.
func storeExit(a store.Assessment) error {
	switch {
	case a.State == store.Unknown:
		return exit(ExitUnknown)
	case a.State != store.Sound, len(a.Packages) > 0:
		return exit(ExitProblems)
	}
	return nil
}

// recorded tells of what was recorded of other machines.
func (r *storeRepair) recorded(ctx context.Context, env *Env) error {
	groups, err := machines(r.from)
	if err != nil {
		return err
	}
	var worst error
	for _, g := range groups {
		rec, err := host.OpenRecorded(ctx, g.paths...)
		if err != nil {
			return err
		}
		bar := env.progress()
		f := facts.Collect(ctx, rec, facts.Options{Progress: bar.update})
		bar.done()
		a := store.Assess(f, store.Options{})
		if err := errors.Join(ctx.Err(), r.tell(env, a), rec.Close()); err != nil {
			return err
		}
		if err := storeExit(a); worst == nil || errors.Is(err, exit(ExitProblems)) {
			worst = err
		}
	}
	return worst
}

// tell says what is known.
func (r *storeRepair) tell(env *Env, a store.Assessment) error {
	if r.format == "json" {
		return r.event(env, map[string]any{"kind": "assessment", "assessment": a})
	}
	w := &lines{w: env.Stdout}
	say := func(indent string, l repair.Line) { w.say("%s%s\n", indent, report.Clean(report.Sentence(l))) }
	say("", repair.Line{ID: "store.state." + string(a.State)})
	const few = 12
	for _, l := range store.FaultLines(a.Faults, a.More, few) {
		say("  ", l)
	}
	for _, p := range a.Packages {
		w.say("  %s\n", report.Clean(words("store.half", "package", p.Name, "state", host.PackageState(p.State).String())))
	}
	if len(a.Tried) > 0 {
		w.say("\n")
	}
	for _, x := range a.Tried {
		id := "store.tried.look"
		switch {
		case x.By != "dism":
			id = "store.tried.files"
		case x.Repair:
			id = "store.tried.repair"
		}
		w.say("  %s\n", report.Clean(words(id, "at", x.At.Format(time.DateTime), "found", strconv.Itoa(x.Found), "left", strconv.Itoa(x.Left), "code", x.Result.String(), "source", x.Source)))
	}
	if a.State != store.Sound {
		for _, n := range a.Codes {
			w.say("\n%s\n", report.Clean(report.Sentence(n.Line())))
		}
	}
	if len(a.Steps) > 0 {
		w.say("\n")
	}
	for _, s := range a.Steps {
		say("  ", repair.Line{ID: "store.step." + s})
		if s == "repair" {
			for i, x := range a.Sources {
				w.say("    %d. %s\n", i+1, report.Clean(words("store.source."+string(x.Kind), "name", x.Name)))
			}
		}
	}
	for _, l := range a.LeftOut {
		what := l.What
		if name := "store.left." + l.What; words(name) != name {
			what = words(name)
		}
		w.say("  %s\n", report.Clean(words("store.left-out", "what", what, "why", report.Sentence(l.Why))))
	}
	return w.err
}

// packageFile reports a source that is a package or a kit of packages.
func packageFile(p string) bool {
	switch strings.ToLower(filepath.Ext(p)) {
	case ".msu", ".cab":
		return true
	}
	_, err := os.Stat(filepath.Join(p, catalog.KitName))
	return err == nil
}

// packages copies and verifies the packages that were given.
func (r *storeRepair) packages(ctx context.Context, env *Env, p Patient, state, run string) ([]store.Package, error) {
	src, err := catalog.OpenSource(r.source)
	if err != nil {
		return nil, installSourceError(err)
	}
	there, here := packages(p, state, run)
	bar := env.progress()
	ready, err := r.prepare(ctx, env, p, src, here, bar)
	bar.done()
	if err != nil {
		return nil, refused(err)
	}
	machine, err := p.Machine(ctx)
	if err != nil {
		return nil, err
	}
	in, err := r.choose(env, ready, machine, there, here)
	if err != nil {
		return nil, err
	}
	var out []store.Package
	for _, x := range in.Packages {
		kb, _, _ := strings.Cut(x.Title, " ")
		out = append(out, store.Package{KB: kb, Image: x.Image, Fetch: procedure.Fetch{To: x.File}})
	}
	return out, nil
}

// indexed is a path with the number of a Windows in the image: "D:\install.wim:6",
// "C:\windows.iso:6",
// also with the prefix that DISM has for it.
var indexed = regexp.MustCompile(`(?i)^(?:wim:|esd:)?(.+\.(?:wim|esd|iso)):(\d{1,3})$`)

// askImage looks at the image that was given; place makes a full path of a name.
func askImage(ctx context.Context, p Patient, place func(string) string, source string) (*host.Image, int, error) {
	name, index := source, 0
	if m := indexed.FindStringSubmatch(name); m != nil {
		name = m[1]
		index, _ = strconv.Atoi(m[2])
	}
	name = place(name)
	a, err := p.Ask(ctx, host.Question{Name: host.AskImage, Args: map[string]string{"path": name}})
	var img host.Image
	switch {
	case errors.Is(err, host.ErrNotExist):
		return nil, 0, usage("check the path given to --source", "there is no %s", name)
	case errors.Is(err, host.ErrNoImage):
		return nil, 0, usage("give an ISO file of Windows, install.wim, install.esd, a medium, a Windows folder, a .msu or .cab", "%w", err)
	case errors.Is(err, host.ErrDenied):
		return nil, 0, notAllowed(err)
	case err != nil:
		return nil, 0, &hinted{err, "copy the image to a drive of this machine, and name it there", ExitUnknown}
	}
	if err := json.Unmarshal(a.JSON, &img); err != nil {
		return nil, 0, fmt.Errorf("answer %s: %w", host.AskImage, err)
	}
	return &img, index, nil
}

// maxAsked bounds the updates that the catalogue is asked for.
const maxAsked = 4

// find asks the catalogue for the updates that what is damaged came with.
func (r *storeRepair) find(ctx context.Context, env *Env, f *facts.Facts, p Patient, state, run string, kbs []string) ([]store.Package, error) {
	bar := env.progress()
	defer bar.done()
	if m, ok := p.(labPatient); ok { // the world that it stands in already
		root, err := m.World().PackageRoot()
		if err != nil {
			return nil, err
		}
		in := *env
		in.Live, in.PackageRoots = nil, []*x509.Certificate{root}
		in.Network = route.Prober{Net: m.World(), Roots: m.World().Trusted(), Microsoft: m.World().Roots(), Now: m.World().MachineNow}
		env = &in
	}
	w, err := env.way(ctx, wayFlags{passwordFD: -1}, bar)
	if err != nil {
		return nil, err
	}
	defer w.close()
	s := w.shop(bar)
	defer s.close()
	target := targetOf(f)
	there, here := packages(p, state, run)
	join := func(kb, name string) string {
		if there != here {
			return there + `\` + kb + `\` + name
		}
		return filepath.Join(there, kb, name)
	}
	var out []store.Package
	var failed error
	for _, kb := range kbs[:min(len(kbs), maxAsked)] {
		o, err := s.order(ctx, kb, "", &target)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", kb, err))
			continue
		}
		for i, x := range o.set.Files {
			out = append(out, store.Package{
				KB: kb, Image: imagePackages(target), Beside: i < len(o.set.Files)-1,
				Fetch: procedure.Fetch{URL: x.URL, To: join(kb, x.Name), SHA256: x.SHA256, SHA1: x.SHA1},
			})
		}
	}
	return out, failed
}

// imagePackages reports a Windows whose .msu are images.
func imagePackages(t catalog.Target) bool {
	build, _, _ := strings.Cut(t.Build, ".")
	n, err := strconv.Atoi(build)
	const release24H2 = 26100
	return err == nil && n >= release24H2
}

// Fetch brings a file of the catalogue to this machine, through the proxy that its
// route decides, whole and signed.
func (p livePatient) Fetch(ctx context.Context, f procedure.Fetch) error {
	w, err := p.env.way(ctx, wayFlags{passwordFD: -1}, p.bar)
	if err != nil {
		return err
	}
	defer w.close()
	s := w.shop(p.bar)
	defer s.close()
	return fetchTo(ctx, s.fetch, f, f.To, func(name string) error {
		_, err := w.signed(name, false)
		return err
	})
}

// Fetch brings a file of the world's catalogue to the machine.
func (p labPatient) Fetch(ctx context.Context, f procedure.Fetch) error {
	n := catalog.Network{Dial: p.World().DialContext, Proxy: func(context.Context, *url.URL) (*url.URL, error) { return nil, nil }, TLS: &tls.Config{RootCAs: p.World().Trusted(), Time: p.World().MachineNow, MinVersion: tls.VersionTLS12}}
	t := n.Transport()
	defer t.CloseIdleConnections()
	return fetchTo(ctx, &catalog.Fetcher{Transport: t}, f, p.Place(f.To), nil)
}

func fetchTo(ctx context.Context, by *catalog.Fetcher, f procedure.Fetch, to string, check func(string) error) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	_, err := by.Fetch(ctx, catalog.Want{URL: f.URL, Size: f.Size, SHA256: f.SHA256, SHA1: f.SHA1, Check: check}, to)
	return err
}
