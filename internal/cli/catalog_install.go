package cli

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"updoc/internal/authenticode"
	"updoc/internal/catalog"
	"updoc/internal/durable"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/repair"
	"updoc/internal/report"
)

func newCatalogInstall(env *Env) *cobra.Command {
	var planOnly, yes bool
	var t treating
	cmd := &cobra.Command{
		Use:   "install KIT|FILE",
		Short: "Install packages of an offline kit, verified first",
		Long: `Installs the packages of an offline kit that 'updoc catalog download' made, or a
single .msu or .cab. They are copied to an empty folder that administrators alone may
write to; each copy has to be what the kit says and signed by Microsoft. What each
package is and whether it fits this machine is shown before anything is asked.

wusa or DISM installs them. What these end with is told in words, with what to do
next; another installation that is at work is waited for; a restart is asked for, and
the rest is done after it. Whether they are installed is then read from the state that
Windows keeps of packages and from its build. An update is not taken back by 'updoc
undo': Windows itself uninstalls updates.

Exit codes: 0 installed, 1 nothing fits or it was not installed, 2 wrong usage or no
such kit, 3 installed, as it seems, and not proved, 4 a package was refused (nothing
was changed) or the installation failed, 5 restart needed, 6 not allowed.`,
		Example: `  updoc catalog install D:\kit --plan       verify it, and show what would be done
  updoc catalog install D:\kit              do it, asking first
  updoc catalog install windows10.0-kb5034122-x64.msu`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := t.check(); err != nil {
				return err
			}
			return t.install(cmd.Context(), env, args[0], planOnly, yes)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&planOnly, "plan", false, "verify the packages, show the plan and change nothing")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask before they are installed")
	f.StringVar(&t.format, "format", "text", "text, or json: one document or event a line")
	f.StringVar(&t.lab, "lab", "", "install on the simulated machine in this directory ('updoc lab --machine' makes one)")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
	return cmd
}

// packagesFolder holds the packages of runs, on the machine.
const packagesFolder = `C:\ProgramData\updoc\packages`

// placed is a machine whose paths are others here: a simulated one.
type placed interface {
	Place(path string) string
}

// packages is where the packages of a run lie: by the machine's own path, and as it is
// reached from here. state is the directory of the journals.
func packages(p Patient, state, run string) (there, here string) {
	if m, ok := p.(placed); ok {
		there = packagesFolder + `\` + run
		return there, m.Place(there)
	}
	here = filepath.Join(state, "packages", run)
	return here, here
}

// dropPackages removes the packages of a run that is over. They can be made again.
func dropPackages(p Patient, state, run string) {
	_, here := packages(p, state, run)
	_ = os.RemoveAll(here)
	_ = os.Remove(filepath.Dir(here)) // if nothing else is in it
}

// tidyPackages removes the packages of runs that are over, or that a kill ended before
// they began: nobody else does.
func tidyPackages(p Patient, state string) {
	_, one := packages(p, state, "run")
	all := filepath.Dir(one)
	entries, _ := os.ReadDir(all) // none, as a rule
	for _, e := range entries {
		j, err := repair.OpenJournal(durable.OS{}, filepath.Join(state, e.Name()))
		if errors.Is(err, fs.ErrNotExist) || err == nil && j.Summary().Result != "" {
			_ = os.RemoveAll(filepath.Join(all, e.Name()))
		}
	}
	_ = os.Remove(all) // if nothing is in it
}

func (t *treating) install(ctx context.Context, env *Env, from string, planOnly, yes bool) error {
	src, err := catalog.OpenSource(from)
	if err != nil {
		return installSourceError(err)
	}
	return t.held(ctx, env, func(p Patient, state string) error {
		return t.installOn(ctx, env, p, state, src, planOnly, yes)
	})
}

func (t *treating) installOn(ctx context.Context, env *Env, p Patient, state string, src *catalog.Source, planOnly, yes bool) error {
	tidyPackages(p, state)
	defer tidyPackages(p, state) // what was prepared for nothing
	run, err := newRun(time.Now())
	if err != nil {
		return err
	}
	there, here := packages(p, state, run)
	bar := env.progress()
	ready, err := t.prepare(ctx, env, p, src, here, bar)
	bar.done()
	if err != nil {
		return refused(err)
	}
	machine, err := p.Machine(ctx)
	if err != nil {
		return &hinted{fmt.Errorf("read what machine this is: %w", err), "run it as an administrator", ExitUnknown}
	}
	in, err := t.choose(env, ready, machine, there, here)
	if err != nil {
		return err
	}
	if len(in.Packages) == 0 {
		return exit(ExitProblems)
	}
	plan, why, err := repair.InstallPlan(&facts.Facts{Machine: machine}, in, run)
	if err != nil {
		return err
	}
	if why.ID != "" {
		return &hinted{fmt.Errorf("not now: %s", report.Sentence(why)), "'updoc diagnose' tells what is in the way", ExitProblems}
	}
	if err := t.showCourse(env, plan); err != nil || planOnly {
		return err
	}
	ask := newAsker(env, t.format == "json")
	ask.agreed = true // who names a package and agrees has answered what is asked of what stays
	if !yes {
		if err := ask.must(ctx, "Install them? This cannot be taken back by updoc.",
			"nobody is there to agree to the plan", "--yes installs them without asking, --plan only shows what would be done"); err != nil {
			return err
		}
	}
	return t.begin(ctx, env, p, state, plan, ask)
}

// prepare copies and verifies the packages.
func (t *treating) prepare(ctx context.Context, env *Env, p Patient, src *catalog.Source, here string, bar *bar) ([]catalog.Ready, error) {
	trust := catalog.Trust{Roots: env.PackageRoots, Now: p.Now(), Witness: env.Trust}
	if m, ok := p.(labPatient); ok {
		root, err := m.World().PackageRoot()
		if err != nil {
			return nil, err
		}
		trust.Roots, trust.Witness = []*x509.Certificate{root}, nil
	}
	return src.Prepare(ctx, here, trust, func(done, total int64) {
		if total > 0 {
			bar.show("verifying the packages: %3d %% of %d MB", done*100/total, total>>20)
		}
	})
}

// shownPackage is a package as JSON.
type shownPackage struct {
	Kind   string           `json:"kind"` // "package"
	Title  string           `json:"title"`
	File   string           `json:"file"`
	What   *catalog.Package `json:"package"`
	Signer any              `json:"signer,omitempty"`
	Inside []catalog.Inside `json:"inside,omitempty"` // of an image: its signed cabinets
	Fits   bool             `json:"fits"`
	Why    string           `json:"why,omitempty"` // it is not installed
}

// choose shows what each package is, and returns those that can be installed on the
// machine.
func (t *treating) choose(env *Env, ready []catalog.Ready, m host.Machine, there, here string) (repair.Install, error) {
	target := catalog.Target{Build: m.Build, Arch: m.Arch}
	var in repair.Install
	for _, r := range ready {
		title := r.KB
		if title == "" {
			title = r.Checked.KB
		}
		if title == "" {
			title = filepath.Base(r.File)
		}
		why := ""
		if l, bad := r.Misfit(target); bad {
			why = report.Sentence(l)
		} else if !r.Installable() {
			why = message.English().Text("install.no-package", "name", title)
		}
		if err := t.showPackage(env, title, r, why); err != nil {
			return in, err
		}
		if why != "" {
			continue
		}
		rel, err := filepath.Rel(here, r.File)
		if err != nil {
			return in, err
		}
		file := r.File
		if there != here {
			file = there + `\` + strings.ReplaceAll(filepath.ToSlash(rel), "/", `\`)
		}
		in.Packages = append(in.Packages, repair.InstallPackage{
			File: file, Identity: r.Identity, Build: r.Build, Title: title, Stack: r.Stack, Image: r.Checked.Kind == catalog.KindWIM,
		})
	}
	return in, nil
}

func (t *treating) showPackage(env *Env, title string, r catalog.Ready, why string) error {
	if t.format == "json" {
		e := shownPackage{Kind: "package", Title: title, File: filepath.Base(r.File), What: r.Package, Inside: r.Inside, Fits: why == "", Why: why}
		if r.Signer != nil {
			e.Signer = r.Signer
		}
		return t.event(env, e)
	}
	say := func(format string, args ...any) {
		fmt.Fprintf(env.Stdout, "  %s\n", report.Clean(fmt.Sprintf(format, args...)))
	}
	heading := title
	if r.KitUpdate.Title != "" && r.KitUpdate.Title != title {
		heading += ": " + r.KitUpdate.Title
	}
	fmt.Fprintln(env.Stdout, report.Clean(heading))
	say("%s", filepath.Base(r.File))
	if r.Identity != "" {
		say("%s", r.Identity)
	}
	if r.Build != "" {
		say("brings build %s", r.Build)
	}
	words := message.English()
	switch s := r.Signer; {
	case s == nil:
		say("%s", words.Text("install.by-digest"))
		by := map[string][]string{}
		for _, x := range r.Inside {
			by[x.Signer.Name] = append(by[x.Signer.Name], x.Name)
		}
		for _, name := range slices.Sorted(maps.Keys(by)) {
			say("%s", words.Text("install.inside", "files", strings.Join(by[name], ", "), "name", name))
		}
	case s.Time.IsZero():
		say("%s", words.Text("install.signed-now", "name", s.Name))
	default:
		say("%s", words.Text("install.signed", "name", s.Name, "date", s.Time.UTC().Format(time.DateOnly)))
	}
	if why != "" {
		say("not installed: %s", why)
	}
	return nil
}

func installSourceError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return usage("name the folder of a kit that 'updoc catalog download' made, or a .msu or .cab", "%w", err)
	case errors.Is(err, catalog.ErrKit), errors.Is(err, catalog.ErrName):
		return usage("'updoc catalog download KB -o DIR' makes a kit", "%w", err)
	}
	return err
}

// refused says of a package that is not what it should be what to do.
func refused(err error) error {
	hint := "nothing was changed; fetch the kit again with 'updoc catalog download', and carry it over a way that nobody else writes to"
	switch {
	case errors.Is(err, context.Canceled):
		return &hinted{errors.New("stopped while the packages were verified"), "nothing was changed", ExitBroken}
	case errors.Is(err, catalog.ErrSpace):
		return &hinted{err, "nothing was changed; free room on the system drive", ExitBroken}
	case errors.Is(err, authenticode.ErrExpired):
		hint = "nothing was changed; if the clock of this machine is wrong, set it, else fetch the package again"
	case errors.Is(err, catalog.ErrUnproven):
		hint = "nothing was changed; make a kit with 'updoc catalog download', which has the digest, or keep the name that the catalogue gave to the file"
	case errors.Is(err, catalog.ErrAnother):
		hint = "nothing was changed; the kit holds another package than it says: fetch it again"
	case errors.Is(err, fs.ErrPermission):
		return notAllowed(err)
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		hint = "nothing was changed; kit.json is damaged: fetch the kit again"
	}
	return &hinted{err, hint, ExitBroken}
}
