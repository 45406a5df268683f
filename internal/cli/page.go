package cli

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"updoc/internal/cause"
	"updoc/internal/codes"
	"updoc/internal/durable"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/redact"
	"updoc/internal/repair"
	"updoc/internal/report"
	"updoc/internal/ui"
	uiterm "updoc/internal/ui/term"
	"updoc/internal/ui/web"
)

// pageFlags say how the page is opened.
type pageFlags struct {
	noBrowser bool
	run       string // that it comes back to after a restart
	terminal  bool
	lang      string
}

func (f *pageFlags) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.noBrowser, "no-browser", false, "only say the page's address")
	cmd.Flags().BoolVar(&f.terminal, "terminal", false, "show it on this terminal and not in a browser")
	cmd.Flags().StringVar(&f.lang, "lang", "", "language of the page: en or de (default: the browser's)")
	_ = cmd.RegisterFlagCompletionFunc("lang", cobra.FixedCompletions([]string{"en", "de"}, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
}

func (f *pageFlags) check() error {
	if f.run != "" {
		if err := checkRun(f.run); err != nil {
			return usage("'updoc history' lists the runs", "no such run: %q", f.run)
		}
	}
	if f.lang != "" && f.lang != "en" && f.lang != "de" {
		return usage("the languages are en, de", "no such language: %q", f.lang)
	}
	return nil
}

func newPage(env *Env) *cobra.Command {
	var f pageFlags
	var t treating
	var signedIn bool
	cmd := &cobra.Command{
		Use:   "page",
		Short: "Show it all on a page in the browser",
		Long: `Opens a page in the browser: what is wrong with updating on this PC, how that is known,
the plan of its cure, and what was done. It looks first and changes nothing until you
press "Fix it". The page is served on this machine alone, to you alone, and ends with
its last window. On Windows 'updoc' without a command does the same.`,
		Example: `  updoc page
  updoc page --no-browser    only say the address
  updoc page --terminal      the same on a terminal: over SSH, on Server Core`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if signedIn {
				return env.pageApart(f, t)
			}
			return env.page(cmd.Context(), f, t)
		},
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&f.run, "run", "", "open it at this run, as after a restart")
	cmd.Flags().BoolVar(&signedIn, signInFlag, false, "open it in a process of its own")
	_ = cmd.Flags().MarkHidden(signInFlag) // fails only for a flag that is not there
	cmd.Flags().StringVar(&t.lab, "lab", "", "treat the simulated machine in this directory ('updoc lab --machine' makes one)")
	cmd.Flags().BoolVar(&t.blind, "no-network", false, "do not walk the update's route to find out more")
	return cmd
}

// doubleClick lets updoc be started from Explorer: cobra would say that it is a tool for
// the command line, and end.
var doubleClick = sync.OnceFunc(func() { cobra.MousetrapHelpText = "" })

// newcomer helps somebody who never saw updoc, in ten lines.
func (env *Env) newcomer() error {
	_, err := fmt.Fprint(env.Stdout, `updoc finds out why Windows Update fails, and cures it so that you can undo it.

  updoc demo                   see it all on a simulated PC; it touches nothing
  updoc explain 0x8024401B     what an error code really means
  updoc diagnose               on the sick Windows: why its updates fail
  updoc fix                    cure it, asking first; 'updoc undo' takes it back
  updoc collect                pack a file for who helps, without your secrets
  updoc diagnose --from FILE   read such a file, or logs, on any computer

'updoc help' lists all commands, 'updoc help fix' explains one with examples.
`)
	return err
}

// start is what updoc does without a command: a person on Windows gets the page, or,
// where there is no browser or an administrator's rights are there already, the same on
// the terminal. Everybody else is helped along.
func (env *Env) start(cmd *cobra.Command) error {
	out, ok := env.Stdout.(*os.File)
	if env.GOOS != "windows" || env.Live == nil || !ok || !term.IsTerminal(int(out.Fd())) {
		return env.newcomer()
	}
	f := pageFlags{terminal: env.Rights != nil && env.Rights.Elevated() || env.core(cmd.Context())}
	if f.terminal && !env.fullScreen() {
		return env.newcomer()
	}
	return env.page(cmd.Context(), f, treating{})
}

// core reports a Windows without a desktop, which has no browser
// (learn.microsoft.com: What is Server Core).
func (env *Env) core(ctx context.Context) bool {
	h, done, err := env.openLive(ctx)
	if err != nil {
		return false
	}
	defer done()
	k, err := h.Key(ctx, `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`)
	if err != nil {
		return false
	}
	v, _ := k.Value("InstallationType")
	kind, _ := v.String()
	return strings.EqualFold(kind, "Server Core")
}

// page opens the page of a machine.
func (env *Env) page(ctx context.Context, f pageFlags, t treating) error {
	if t.lab != "" {
		p, state, err := openLab(t.lab)
		if err != nil {
			return err
		}
		defer p.Close()
		return env.visit(ctx, f, &labDoctor{&doctor{env: env, p: p, state: state, blind: t.blind}}, env.returning(p, `C:\Downloads\updoc.exe`))
	}
	if env.Rights != nil && env.Rights.Elevated() && !f.terminal {
		return &hinted{errors.New("the page is for a person's own rights, and this is an administrator's"), "start updoc without 'Run as administrator', it asks when it needs to; or use 'updoc page --terminal'", ExitNotAllowed}
	}
	d, done, err := env.liveDoctor(ctx, t.blind)
	if err != nil {
		return err
	}
	defer done()
	if env.Rights == nil || env.Rights.Elevated() {
		return env.visit(ctx, f, d, nil)
	}
	asking := env.asking(d)
	defer asking.Close()
	var back ui.Returner
	if self, err := os.Executable(); err == nil && d.p != nil {
		back = env.returning(d.p, self)
	}
	return env.visit(ctx, f, asking, back)
}

// labPace is how long the demo shows each event: a simulated machine is faster than
// anybody can read.
const labPace = 700 * time.Millisecond

// demoPage shows a scenario's machine on the page.
func (env *Env) demoPage(ctx context.Context, f pageFlags, open func(dir string) (labPatient, string, error), fails string) error {
	dir, err := os.MkdirTemp("", "updoc-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, state, err := open(filepath.Join(dir, "pc"))
	if err != nil {
		return err
	}
	defer p.Close()
	if _, err := p.Try(ctx, host.Attempt{Stage: fails}); err != nil {
		return err
	}
	return env.visit(ctx, f, &labDoctor{&doctor{env: env, p: p, state: state, wait: func() { time.Sleep(labPace) }}}, env.returning(p, `C:\Downloads\updoc.exe`))
}

// visit shows a machine where the flags say. back has a page come back after a restart;
// nil: nobody does.
func (env *Env) visit(ctx context.Context, f pageFlags, d ui.Doctor, back ui.Returner) error {
	if !f.terminal {
		return env.servePage(ctx, f, d, back)
	}
	if !env.fullScreen() {
		return usage("use 'updoc diagnose' and 'updoc fix' where there is none", "this is no terminal that can be drawn on")
	}
	_, err := env.terminal(ctx, d, uiterm.Today)
	return err
}

// servePage serves a visit until its last window is closed.
func (env *Env) servePage(ctx context.Context, f pageFlags, d ui.Doctor, back ui.Returner) error {
	visit := ui.New(ctx, d, ui.Options{Run: f.run, Return: back})
	defer visit.Close()
	server := &web.Server{Session: visit, Lang: f.lang, Peer: env.Peer}
	if f.run != "" {
		server.At = "plan?begun" // or what came of it
	}
	page, err := server.Listen()
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "updoc shows it on a page of this PC, in your browser. Close its window to end it.\n\n  %s\n\nThe address works once, and for you alone.\n", page.URL)
	if !f.noBrowser {
		if err := env.browse(page.URL); err != nil {
			fmt.Fprintf(env.Stderr, "updoc: no browser was found: open the address yourself\n")
		}
	}
	return page.Serve(ctx)
}

// browse opens an address in the person's browser.
func (env *Env) browse(url string) error {
	if env.Browse != nil {
		return env.Browse(url)
	}
	var cmd *exec.Cmd
	switch env.GOOS {
	case "windows": // what Explorer itself does with an address; by its full path, so that nothing else by that name is run
		cmd = exec.Command(filepath.Join(env.Getenv("SystemRoot"), "System32", "rundll32.exe"), "url.dll,FileProtocolHandler", url)
	case "darwin":
		cmd = exec.Command("/usr/bin/open", url)
	default:
		cmd = exec.Command("xdg-open", url)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }()
	return nil
}

// doctor does for a page or a terminal what the commands do.
type doctor struct {
	env   *Env
	h     host.Reader // this machine, to be read; nil: p
	p     Patient     // this machine, to be treated; nil: it cannot be
	state string      // directory of the journals; "": it is asked for when it is needed
	blind bool        // do not use the network to find out more
	risk  repair.Risk // the greatest of a plan; "": one with a restart
	user  string      // whose registry HKCU is; "": of whoever runs this process
	wait  func()      // before each event is told; nil: it is told at once

	mu   sync.Mutex
	plan *repair.Plan // that was shown last
	work func(ui.Work)
}

// worked tells whoever waits how far a tool of Windows has come.
func (d *doctor) worked(w ui.Work) {
	d.mu.Lock()
	tell := d.work
	d.mu.Unlock()
	if tell != nil {
		tell(w)
	}
}

func (d *doctor) listen(tell func(ui.Work)) (done func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.work = tell
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.work = nil
	}
}

// Examine implements [ui.Doctor].
func (d *doctor) Examine(ctx context.Context, tell func(ui.Work)) (*ui.Patient, error) {
	h := d.h
	if h == nil {
		h = d.p
	}
	defer d.listen(tell)()
	x, err := d.look(ctx, h, d.blind, tell)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.plan = x.Plan
	d.mu.Unlock()
	return x, nil
}

func (d *doctor) look(ctx context.Context, h host.Reader, blind bool, tell func(ui.Work)) (*ui.Patient, error) {
	most, bar := cmp.Or(d.risk, repair.RiskRestart), &bar{to: tell}
	x, err := examine(ctx, h, most, blind, bar)
	if err == nil {
		err = x.stock(ctx, h, most, bar)
	}
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if p, ok := h.(Patient); ok {
		now = p.Now()
	}
	doc := report.New(x.facts, x.diagnosis, report.Options{WhyNot: true})
	return &ui.Patient{Doc: doc, Plan: x.plan, Hash: x.plan.Hash(), When: now}, nil
}

// Open implements [ui.Doctor].
func (d *doctor) Open(ctx context.Context, paths []string, tell func(ui.Work)) (*ui.Patient, error) {
	rec, err := host.OpenRecorded(ctx, paths...)
	if err != nil {
		return nil, err
	}
	defer rec.Close()
	return d.look(ctx, rec, true, tell)
}

// Explain implements [ui.Doctor].
func (d *doctor) Explain(text string) (*report.Explanations, error) {
	var list []codes.Code
	if c, err := codes.Parse(strings.TrimSpace(text)); err == nil {
		list = []codes.Code{c}
	} else {
		list = pasted(strings.Fields(text))
	}
	if len(list) == 0 {
		return nil, usage("a code looks like 0x8024401B", "there is no code in this text")
	}
	return report.Explain(list), nil
}

// treated opens the directory of the journals.
func (d *doctor) treated() (p Patient, state string, err error) {
	if d.p == nil {
		return nil, "", fmt.Errorf("this machine can be read and not treated: %w", ui.ErrNotAllowed)
	}
	if state = d.state; state != "" {
		return d.p, state, nil
	}
	if d.env.State == nil {
		return nil, "", fmt.Errorf("this machine can be read and not treated: %w", ui.ErrNotAllowed)
	}
	if state, err = d.env.State(); err != nil {
		return nil, "", fmt.Errorf("%w: %w", ui.ErrNotAllowed, err)
	}
	return d.p, state, nil
}

// runner opens what carries out a run, or takes it back, while no other updoc can.
func (d *doctor) runner(open func(p Patient, state string) (*repair.Journal, error), w ui.Watch) (r *repair.Runner, done func(), err error) {
	p, state, err := d.treated()
	if err != nil {
		return nil, nil, err
	}
	release, err := hold(state)
	if err != nil {
		if errors.Is(err, durable.ErrLocked) {
			return nil, nil, fmt.Errorf("%w: %w", ui.ErrBusy, err)
		}
		return nil, nil, fmt.Errorf("%w: %w", ui.ErrNotAllowed, err)
	}
	j, err := open(p, state)
	if err != nil {
		return nil, nil, errors.Join(err, release())
	}
	user := d.user
	if user == "" {
		user, _ = p.Account() // without it, whoever goes on takes HKCU as it is
	}
	r = &repair.Runner{
		Journal: j, Now: p.Now, Started: p.Started, Approve: w.Ask,
		Tell: func(e repair.Event) {
			if d.wait != nil {
				d.wait()
			}
			if w.Tell != nil {
				w.Tell(e)
			}
		},
	}
	arm(r, p, cmp.Or(j.User(), d.user)) // another user's run is taken back in their settings
	attendance{d.env, p, state, user}.attend(r)
	stop := d.listen(w.Work)
	return r, func() { stop(); _ = release() }, nil
}

// Fix implements [ui.Doctor].
func (d *doctor) Fix(ctx context.Context, o ui.Order, w ui.Watch) (repair.Result, error) {
	r, done, err := d.runner(func(p Patient, state string) (*repair.Journal, error) {
		if o.Run != "" {
			return openRun(state, o.Run)
		}
		d.mu.Lock()
		plan := d.plan
		d.mu.Unlock()
		if plan == nil || plan.Hash() != o.Hash {
			return nil, ui.ErrPlan
		}
		return repair.CreateJournal(durable.OS{}, filepath.Join(state, plan.Run), plan, p.Now())
	}, w)
	if err != nil {
		return "", err
	}
	defer done()
	note := attendance{p: d.p}.note
	if o.Run != "" {
		if _, err := r.Expired(ctx); err != nil {
			return "", err
		}
	}
	note(report.BeginNote(r.Journal.Plan(), o.Run != ""))
	res, err := r.Run(ctx)
	if err != nil {
		return "", err
	}
	note(report.ResultNote(r.Journal.Plan(), res, r.Journal.Summary()))
	return res, nil
}

// Undo implements [ui.Doctor].
func (d *doctor) Undo(ctx context.Context, run string, tell func(repair.Event)) (repair.Undone, error) {
	r, done, err := d.runner(func(_ Patient, state string) (*repair.Journal, error) { return openRun(state, run) }, ui.Watch{Tell: tell})
	if err != nil {
		return repair.Undone{}, err
	}
	defer done()
	return (&treating{}).undo(ctx, r)
}

// Runs implements [ui.Doctor].
func (d *doctor) Runs(context.Context) ([]repair.Summary, error) {
	_, state, err := d.treated()
	if err != nil {
		return nil, err
	}
	return repair.History(durable.OS{}, state)
}

// Run implements [ui.Doctor].
func (d *doctor) Run(_ context.Context, run string) (*ui.Run, error) {
	_, state, err := d.treated()
	if err != nil {
		return nil, err
	}
	j, err := openRun(state, run)
	if err != nil {
		return nil, err
	}
	return &ui.Run{Summary: j.Summary(), Plan: j.Plan(), Entries: j.Entries(), Told: j.Story()}, nil
}

// checkRun holds what somebody says to what a run may be called: it becomes a path, and
// part of a command line.
func checkRun(run string) error {
	if run == "" || strings.HasPrefix(run, "-") || strings.Trim(run, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" || len(run) > 64 {
		return fmt.Errorf("%w: no such run", ui.ErrGone)
	}
	return nil
}

// openRun opens the journal of a run that somebody named.
func openRun(state, run string) (*repair.Journal, error) {
	if err := checkRun(run); err != nil {
		return nil, err
	}
	return repair.OpenJournal(durable.OS{}, filepath.Join(state, run))
}

// Pack implements [ui.Doctor].
func (d *doctor) Pack(ctx context.Context, keepHosts bool, tell func(ui.Work)) (*ui.Pack, error) {
	h := d.h
	if h == nil {
		h = d.p
	}
	began := time.Now()
	rec := &host.Record{Reader: h}
	progress := &bar{to: tell}
	f := facts.Collect(ctx, rec, facts.Options{Progress: progress.update, Within: lookTime})
	askAll(ctx, rec, progress, leftToAsk(began))
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	red := &redact.Redactor{KeepHosts: keepHosts}
	doc := report.New(f, cause.Diagnose(f), report.Options{Redact: true, Redactor: red}) // teaches it the names as well
	pack := &ui.Pack{Preview: rec.Preview(host.Limits{}), KeepHosts: keepHosts, Name: time.Now().Format("updoc-20060102-150405.zip")}
	within := leftToPack(time.Since(began))
	pack.Write = func(ctx context.Context, w io.Writer, tell func(ui.Work)) (ui.Packed, error) {
		sum := &sumWriter{w: w, sum: sha256.New()}
		t := &teller{collectFlags: collectFlags{keepHosts: keepHosts, output: pack.Name}, w: io.Discard, words: message.English()}
		note := ""
		m, err := rec.Write(ctx, sum, host.WriteOptions{
			Version: d.env.Version, Redactor: red, Within: within,
			Note:     func(m host.Manifest) string { note = t.note(m, doc); return note },
			Progress: func(p host.Progress) { tell(ui.Work{What: "ui.work.pack"}) },
		})
		if err != nil {
			return ui.Packed{}, err
		}
		out := ui.Packed{Name: pack.Name, Bytes: sum.n, SHA256: hex.EncodeToString(sum.sum.Sum(nil)), Note: note, Files: len(m.Files)}
		if m.Redaction != nil {
			out.Replaced = m.Redaction.Replaced
		}
		return out, nil
	}
	return pack, nil
}

// Restart implements [ui.Restarter].
func (d *doctor) Restart(ctx context.Context) error {
	p := d.p
	if u, ok := p.(userPatient); ok {
		p = u.Patient
	}
	if l, ok := p.(livePatient); ok {
		if r, ok := l.treatable.(ui.Restarter); ok {
			return r.Restart(ctx)
		}
	}
	return ui.ErrNotAllowed
}

// labDoctor treats a simulated machine, which it can restart.
type labDoctor struct{ *doctor }

// Restart implements [ui.Restarter].
func (d *labDoctor) Restart(context.Context) error {
	p, ok := d.p.(labPatient)
	if !ok {
		return ui.ErrNotAllowed
	}
	return p.Restart()
}
