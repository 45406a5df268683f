package repair

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"sync"

	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/procedure"
)

// installRemedy is what the installation of packages is in a plan.
const installRemedy = "install-update-from-catalog"

// installCourse is the name of its course.
const installCourse = "install-packages"

// Install is packages that lie on the machine, in the order in which they are to be
// installed. Each lies in a folder of its own, with the checkpoints that it builds on
// and nothing else.
type Install struct {
	Packages []InstallPackage `json:"packages"`
}

// InstallPackage is one of them. That it is what it should be was verified before.
type InstallPackage struct {
	File     string `json:"file"`               // full path on the machine
	Identity string `json:"identity,omitempty"` // as servicing names it; "" unknown
	Build    string `json:"build,omitempty"`    // that Windows has with it: "22621.3374"; "" if it changes none, or unknown
	Title    string `json:"title"`              // for people: "KB5999123"
	Stack    bool   `json:"stack,omitempty"`    // a servicing stack
	Image    bool   `json:"image,omitempty"`    // a .msu of Windows 11 24H2 and later
}

// maxInstall bounds the packages of one plan.
const maxInstall = 64

// Check reports what is wrong with it.
func (in Install) Check() error {
	if len(in.Packages) == 0 || len(in.Packages) > maxInstall {
		return fmt.Errorf("install: %d packages", len(in.Packages))
	}
	for _, p := range in.Packages {
		if err := p.run().Check(); err != nil {
			return fmt.Errorf("install: %w", err)
		}
		if p.Identity != "" && !host.PackageName(p.Identity) {
			return fmt.Errorf("install: %q is no name of a package", p.Identity)
		}
		if _, _, ok := buildNumbers(p.Build); p.Build != "" && !ok {
			return fmt.Errorf("install: %q is no build", p.Build)
		}
		if p.Title == "" || len(p.Title) > 200 {
			return errors.New("install: a package without a name")
		}
	}
	return nil
}

// run is the change that installs the package. wusa reads a .msu of the old style;
// DISM reads cabinets, and of images it finds the checkpoints beside them.
// learn.microsoft.com: "Checkpoint cumulative updates and Microsoft Update Catalog usage".
func (p InstallPackage) run() host.Change {
	if strings.HasSuffix(strings.ToLower(p.File), ".msu") && !p.Image {
		return host.Change{Kind: host.Run, Path: "wusa", Args: []string{p.File, "/quiet", "/norestart"}}
	}
	return host.Change{Kind: host.Run, Path: "dism", Args: []string{"/Online", "/Add-Package", "/PackagePath:" + p.File, "/NoRestart"}}
}

// InstallPlan plans the installation of packages. A line with an id says why not now.
func InstallPlan(f *facts.Facts, in Install, run string) (*Plan, Line, error) {
	if err := in.Check(); err != nil {
		return nil, Line{}, err
	}
	data, err := json.Marshal(in)
	if err != nil {
		return nil, Line{}, fmt.Errorf("plan an installation: %w", err)
	}
	r, ok := Lookup(installRemedy)
	if !ok {
		return nil, Line{}, fmt.Errorf("plan an installation: no remedy %s", installRemedy)
	}
	p := &Plan{Schema: Schema, Run: run, Machine: f.Machine, Causes: []string{}, LeftOut: []LeftOut{}}
	last := in.Packages[len(in.Packages)-1]
	p.Failure = Failure{Stage: facts.StageInstall, Update: facts.Update{Title: last.Title}}
	if strings.HasPrefix(last.Title, "KB") {
		p.Failure.Update.KB, _, _ = strings.Cut(last.Title, " ")
	}
	t := Treatment{
		ID: r.ID, Risk: r.Risk, How: Automatic, Minutes: r.Minutes, Restart: r.Restart, Causes: []string{},
		Course: &Course{Name: installCourse, Data: data},
	}
	for _, x := range in.Packages {
		t.Lead = append(t.Lead, message.Say("plan.object", "name", x.Title))
	}
	p.Treatments = []Treatment{t}
	return p, Line{}, p.Check()
}

// decodeInstall makes the procedure of what a plan keeps of it.
func decodeInstall(data json.RawMessage) (procedure.Procedure, error) {
	var in Install
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, err
	}
	return installing{in}, in.Check()
}

// installing installs packages one after the other.
type installing struct{ Install }

// Attempts at one package: at first, after a restart, and after a servicing stack.
const maxAttempts = 4

// Bounds implements [procedure.Procedure].
func (in installing) Bounds() procedure.Bounds {
	n := len(in.Packages)
	b := procedure.Bounds{Acts: n*maxAttempts + n, Restarts: n + 1, Minutes: 20 * n}
	for _, p := range in.Packages {
		b.Changes = append(b.Changes, p.run())
	}
	return b
}

// installed is how the attempts at one package went so far.
type installed struct {
	tries   int
	last    procedure.Done
	outcome string // see installs.tsv; "installed", "restart" and "failed" besides
}

// progress tells how far the packages are.
func (in installing) progress(done []procedure.Done) map[int]installed {
	out := map[int]installed{}
	for _, d := range done {
		if d.Act.Change == nil {
			continue
		}
		for i, p := range in.Packages {
			if !host.Same([]host.Change{p.run()}, []host.Change{*d.Act.Change}) {
				continue
			}
			out[i] = installed{out[i].tries + 1, d, outcomeOf(d)}
			break
		}
	}
	return out
}

// Next implements [procedure.Procedure]. What is busy or waits for a restart is tried
// again after one; what wants a newer servicing stack, after the stack that comes along.
// What does not apply is no reason to leave out the others; any other failure is.
func (in installing) Next(done []procedure.Done) (procedure.Act, bool) {
	state := in.progress(done)
	restarts := 0
	for _, d := range done {
		if d.Act.Restart || !d.Started.IsZero() {
			restarts++
		}
	}
	act := func(i int) (procedure.Act, bool) {
		c := in.Packages[i].run()
		return procedure.Act{About: "install", Args: map[string]string{"name": in.Packages[i].Title}, Change: &c}, true
	}
	for i := range in.Packages {
		s := state[i]
		switch s.outcome {
		case "":
			return act(i)
		case "installed", "restart", "already", "not-applicable", "wrong-machine":
			continue
		}
		if s.tries >= maxAttempts {
			break
		}
		switch s.outcome {
		case "busy", "restart-first":
			switch {
			case restarted(done, s.last): // and so it can be tried again
				return act(i)
			case restarts <= len(in.Packages):
				return procedure.Act{About: "install-restart", Restart: true}, true
			}
		case "newer-stack":
			for k := range in.Packages {
				if in.Packages[k].Stack && state[k].outcome == "" {
					return act(k)
				}
				// It came since: the attempt that failed lies before it.
				if in.Packages[k].Stack && state[k].last.OK() && state[k].last.Began.After(s.last.Began) {
					return act(i)
				}
			}
		}
		return procedure.Act{}, false
	}
	return procedure.Act{}, false
}

// restarted reports that the machine was restarted after an act.
func restarted(done []procedure.Done, last procedure.Done) bool {
	for _, d := range done {
		if !d.Started.IsZero() && d.Started.After(last.Began) {
			return true
		}
	}
	return false
}

// Story implements [procedure.Procedure]: of each package how it went, and what to do
// next where that is something.
func (in installing) Story(done []procedure.Done) []message.Line {
	state := in.progress(done)
	var out []message.Line
	for i, p := range in.Packages {
		s := state[i]
		if s.outcome == "" {
			out = append(out, message.Say("install.not-reached", "name", p.Title))
			continue
		}
		out = append(out, message.Say("install."+s.outcome, "name", p.Title, "code", s.last.Code.String()))
	}
	return out
}

//go:embed installs.tsv
var installsTSV string

var installOutcomes = sync.OnceValues(func() (map[codes.HRESULT]string, error) { return parseInstalls(installsTSV) })

func parseInstalls(text string) (map[codes.HRESULT]string, error) {
	out := map[codes.HRESULT]string{}
	for l := range strings.Lines(text) {
		l = strings.TrimRight(l, "\r\n")
		if l == "" || l[0] == '#' {
			continue
		}
		code, outcome, ok := strings.Cut(l, "\t")
		var h codes.HRESULT
		if err := h.UnmarshalText([]byte(code)); err != nil || !ok || outcome == "" || out[h] != "" {
			return nil, fmt.Errorf("installs.tsv: %q", l)
		}
		out[h] = outcome
	}
	return out, nil
}

// outcomeOf is what the end of an installer means.
func outcomeOf(d procedure.Done) string {
	if d.OK() {
		if d.Act.Restart || !d.Started.IsZero() {
			return "restart"
		}
		return "installed"
	}
	table, err := installOutcomes()
	if err != nil { // a test rules it out
		return "failed"
	}
	if o, ok := table[d.Code]; ok {
		return o
	}
	return "failed"
}

// Places in the registry that tell what is installed.
const (
	keyCBSPackages = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages`
	keyWindows     = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
)

// ErrContradiction says that the machine tells two things of one package.
var ErrContradiction = errors.New("what the machine tells of the package does not agree")

// Standing is how it stands with a package on a machine.
type Standing struct {
	State host.PackageState
	Known bool // the machine could be asked
	// Raised says that Windows has the build of the package, or a later one; nil: not to be told.
	Raised *bool
}

// Look reads how it stands with the package: its state in servicing's registry, and
// the build and revision of Windows.
func (p InstallPackage) Look(ctx context.Context, r host.Reader) (Standing, error) {
	var s Standing
	if p.Identity != "" {
		k, err := r.Key(ctx, keyCBSPackages+`\`+p.Identity)
		switch {
		case errors.Is(err, host.ErrNotExist):
			s.Known = true
		case err != nil:
			return s, fmt.Errorf("read the state of %s: %w", p.Identity, err)
		default:
			v, _ := k.Value("CurrentState")
			n, ok := v.DWord()
			s.State, s.Known = host.PackageState(n), ok
		}
	}
	if build, revision, ok := buildNumbers(p.Build); ok {
		k, err := r.Key(ctx, keyWindows)
		if err != nil {
			return s, fmt.Errorf("read the build of Windows: %w", err)
		}
		now, _ := k.Value("CurrentBuild")
		ubr, _ := k.Value("UBR")
		text, _ := now.String()
		have, err := strconv.Atoi(text)
		n, ok := ubr.DWord()
		// A release that is only switched on has the build of another: its updates bear
		// that one, 22621 for 22631 or 26100 for 26200, and raise the same revision.
		const near = 100
		if err == nil && ok && build <= have && have <= build+near {
			raised := int(n) >= revision
			s.Raised = &raised
		}
	}
	return s, nil
}

func buildNumbers(s string) (build, revision int, ok bool) {
	b, r, dotted := strings.Cut(s, ".")
	build, err1 := strconv.Atoi(b)
	revision, err2 := strconv.Atoi(r)
	return build, revision, dotted && err1 == nil && err2 == nil && build > 0 && revision >= 0
}

// Outcome is what a standing proves.
func (s Standing) Outcome() (host.Outcome, error) {
	out := host.Outcome{Stage: "install"}
	raised, known := s.Raised != nil && *s.Raised, s.Raised != nil
	there := s.State == host.PackageInstalled || s.State == host.PackagePermanent || s.State == host.PackageSuperseded
	pending := s.State == host.PackageInstallPending || s.State == host.PackagePartly
	switch {
	case !s.Known && !known:
		return out, errors.New("neither the package's state nor the build of Windows can be read")
	case s.Known && pending:
		out.Restart = true
		return out, nil
	case there && known && !raised:
		return out, fmt.Errorf("%w: servicing says that it is %s, and the build of Windows is an older one", ErrContradiction, s.State)
	case there, raised: // raised without it: a later update brought what it has
		return out, nil
	}
	out.Result = 0x80240022 // WU_E_ALL_UPDATES_FAILED
	return out, nil
}

// Proved returns the agent that proves the plan. Whether packages are installed is told
// by the machine itself, which may have no network, and not by another attempt; of any
// other plan it is the machine's own agent.
func (p *Plan) Proved(r host.Reader, own host.Agent) host.Agent {
	if p.storeOnly() {
		return p.storeProof(r)
	}
	for _, t := range p.Treatments {
		if t.ID != installRemedy || t.Course == nil || t.Course.Name != installCourse {
			continue
		}
		var in Install
		if json.Unmarshal(t.Course.Data, &in) == nil && in.Check() == nil {
			return installProof{in, r}
		}
	}
	return own
}

type installProof struct {
	Install
	host.Reader
}

// Try implements [host.Agent]: it looks and changes nothing.
func (p installProof) Try(ctx context.Context, _ host.Attempt) (host.Outcome, error) {
	var out host.Outcome
	var unknown error
	for _, x := range p.Packages {
		s, err := x.Look(ctx, p.Reader)
		if err != nil {
			return host.Outcome{}, err
		}
		one, err := s.Outcome()
		switch {
		case err != nil:
			unknown = fmt.Errorf("%s: %w", path.Base(strings.ReplaceAll(x.File, `\`, "/")), err)
		case one.Result.Failed():
			return one, nil
		}
		out.Restart = out.Restart || one.Restart
	}
	out.Stage = "install"
	return out, unknown
}
