package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/procedure"
	"updoc/internal/sorted"
	"updoc/internal/winlog"
)

// Spec is a repair of the component store as data, frozen in a plan.
type Spec struct {
	Look    bool     `json:"look,omitempty"` // the logs do not tell what is damaged: it is looked for first
	Sources []Source `json:"sources,omitempty"`
	Files   bool     `json:"files,omitempty"`  // files outside of the store are checked in the end
	Damage  []Fault  `json:"damage,omitempty"` // known beforehand, for the story
	More    int      `json:"more,omitempty"`
	Half    []string `json:"half,omitempty"` // packages that are neither installed nor gone
}

// Bounds of a spec that comes out of a journal.
const (
	maxSources  = 8
	maxPackages = 16 // of one source
	maxDamage   = 40
	maxWords    = 1 << 10
)

// Spec is the repair that an assessment comes to; false says that none would help, or
// that nothing is to be repaired.
func (a Assessment) Spec() (Spec, bool) {
	s := Spec{Look: slices.Contains(a.Steps, "look"), Files: slices.Contains(a.Steps, "files"), More: a.More}
	if slices.Contains(a.Steps, "repair") {
		s.Sources = a.Sources
	}
	s.Damage = a.Faults[:min(len(a.Faults), maxDamage)]
	s.More += len(a.Faults) - len(s.Damage)
	for _, p := range a.Packages[:min(len(a.Packages), maxDamage)] {
		s.Half = append(s.Half, p.Name)
	}
	return s, len(a.Steps) > 0
}

// Decode makes the procedure of a spec, or refuses what no assessment would have
// written.
func Decode(data json.RawMessage) (procedure.Procedure, error) {
	var s Spec
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return nil, fmt.Errorf("repair of the component store: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("repair of the component store: something follows")
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("repair of the component store: %w", err)
	}
	return repair{s}, nil
}

func (s Spec) check() error {
	if len(s.Sources) > maxSources || len(s.Damage) > maxDamage || len(s.Half) > maxDamage || !s.Look && len(s.Sources) == 0 && !s.Files {
		return fmt.Errorf("%d sources, %d faults", len(s.Sources), len(s.Damage))
	}
	for _, x := range s.Sources {
		ok := false
		switch x.Kind {
		case FromUpdate, FromPolicy:
			ok = x.Arg == "" && len(x.Packages) == 0
		case FromImage, FromFolder:
			ok = host.RepairSource(x.Arg) && len(x.Packages) == 0
		case FromPackage:
			ok = x.Arg == "" && 0 < len(x.Packages) && len(x.Packages) <= maxPackages
		}
		if !ok || len(x.Name) > maxWords {
			return fmt.Errorf("no such source: %s %q", x.Kind, x.Arg)
		}
		for _, p := range x.Packages {
			if err := p.add().Check(); err != nil {
				return err
			}
		}
	}
	for _, f := range s.Damage {
		if len(f.Component)+len(f.File)+len(f.Package)+len(f.Source)+len(f.Name)+len(f.KB)+len(f.Version) > 4*maxWords {
			return errors.New("names without end")
		}
	}
	for _, name := range s.Half {
		if !host.PackageName(name) {
			return fmt.Errorf("no package: %q", name)
		}
	}
	return nil
}

// The tools' command lines. learn.microsoft.com: "Repair a Windows Image", "sfc".
func dism(args ...string) host.Change {
	return host.Change{Kind: host.Run, Path: "dism", Args: append([]string{"/Online", "/Cleanup-Image"}, args...)}
}

func scan() host.Change    { return dism("/ScanHealth") }
func cleanup() host.Change { return dism("/StartComponentCleanup") }

func files() host.Change {
	return host.Change{Kind: host.Run, Path: "sfc", Args: []string{"/scannow"}}
}

// restore is the repair from a source. With one that is given the update service is
// left alone: it may not be asked for by accident where it is slow or forbidden.
func (s Source) restore() host.Change {
	if s.Arg == "" {
		return dism("/RestoreHealth")
	}
	return dism("/RestoreHealth", "/Source:"+s.Arg, "/LimitAccess")
}

func (p Package) add() host.Change {
	if strings.HasSuffix(strings.ToLower(p.Fetch.To), ".msu") && !p.Image {
		return host.Change{Kind: host.Run, Path: "wusa", Args: []string{p.Fetch.To, "/quiet", "/norestart"}}
	}
	return host.Change{Kind: host.Run, Path: "dism", Args: []string{"/Online", "/Add-Package", "/PackagePath:" + p.Fetch.To, "/NoRestart"}}
}

// repair is the procedure. It is written as one course of events, which is followed
// through what was done so far up to the first act that was not.
type repair struct{ spec Spec }

// How long things take on a machine with a disk of today, in minutes, and how often.
const (
	lookMinutes    = 10
	restoreMinutes = 25
	filesMinutes   = 15
	packageMinutes = 15
	tries          = 2 // of one source: what a restart, a clean-up or a minute of patience may cure
	restarts       = 3
)

// Bounds implements [procedure.Procedure].
func (r repair) Bounds() procedure.Bounds {
	b := procedure.Bounds{Asks: []string{host.AskStore}, Restarts: restarts, Acts: 3}
	add := func(c host.Change, times, minutes int) {
		if !slices.ContainsFunc(b.Changes, func(o host.Change) bool { return host.Same([]host.Change{o}, []host.Change{c}) }) {
			b.Changes = append(b.Changes, c)
		}
		b.Acts += 2 * times // with the question after it
		b.Minutes += minutes
	}
	add(scan(), 2, lookMinutes)
	if len(r.spec.Sources) > 0 {
		add(cleanup(), 1, 0)
	}
	for i, s := range r.spec.Sources {
		for _, p := range s.Packages {
			if p.Fetch.URL != "" && !slices.Contains(b.Fetches, p.Fetch) {
				b.Fetches = append(b.Fetches, p.Fetch)
			}
			if b.Acts += tries; !p.Beside {
				add(p.add(), tries, packageMinutes)
			}
		}
		minutes := 0
		if i == 0 { // as a rule the first does it
			minutes = restoreMinutes
		}
		add(s.restore(), tries, minutes)
		b.Acts += 3 * tries // restarts with the question after them
	}
	if r.spec.Files {
		add(files(), 2, filesMinutes)
		b.Acts += 2
	}
	return b
}

// Next implements [procedure.Procedure].
func (r repair) Next(done []procedure.Done) (procedure.Act, bool) {
	f := r.follow(done)
	if f.next == nil {
		return procedure.Act{}, false
	}
	return *f.next, true
}

// Story implements [procedure.Procedure].
func (r repair) Story(done []procedure.Done) []message.Line { return r.follow(done).lines }

// Verdict is how a repair ended.
type Verdict string

// The verdicts. The last line of the story is "store.end." and the verdict.
const (
	Going      Verdict = ""           // it has not ended
	Whole      Verdict = "sound"      // the store is whole, and so are the files
	FilesLeft  Verdict = "files-left" // the store is whole, some files are not
	HalfLeft   Verdict = "half-left"  // the store is whole, an update is half installed still
	Unrepaired Verdict = "unrepaired" // no source had what is damaged
	Unproven   Verdict = "unproven"   // everything ended well, and no log shows it
	Blocked    Verdict = "blocked"    // a restart that was made did not end what waits for it
)

const endsWith = "store.end."

// Ended returns the verdict of a story, [Going] if it has none.
func Ended(story []message.Line) Verdict {
	for _, l := range story {
		if v, ok := strings.CutPrefix(l.ID, endsWith); ok {
			return Verdict(v)
		}
	}
	return Going
}

// following is a repair being followed through what was done.
type following struct {
	done     []procedure.Done
	next     *procedure.Act
	before   host.Store // the last answer
	restarts int
	lines    []message.Line
}

// errNext says that what comes next was not done yet.
var errNext = errors.New("not done yet")

// follow goes through what was done.
func (r repair) follow(done []procedure.Done) *following {
	f := &following{done: done}
	v, err := f.course(r.spec)
	if err == nil {
		f.tell(endsWith + string(v))
	}
	return f
}

func (f *following) tell(id string, args ...string) {
	f.lines = append(f.lines, message.Say(id, args...))
}

// do is what came of an act, or errNext if it is the next.
func (f *following) do(a procedure.Act) (procedure.Done, error) {
	if len(f.done) == 0 {
		f.next = &a
		return procedure.Done{}, errNext
	}
	d := f.done[0]
	f.done = f.done[1:]
	return d, nil
}

// ask asks how it stands with the store. Without an answer nothing is known to have
// changed since the last one.
func (f *following) ask() error {
	d, err := f.do(procedure.Act{About: "store-ask", Ask: &host.Question{Name: host.AskStore}})
	if err != nil || !d.OK() {
		return err
	}
	var s host.Store
	if json.Unmarshal(d.Answer, &s) == nil {
		f.before = s
	}
	return nil
}

// restart restarts the machine, where that is still allowed.
func (f *following) restart() (bool, error) {
	if f.restarts == restarts {
		return false, nil
	}
	f.restarts++
	_, err := f.do(procedure.Act{About: "store-restart", Restart: true})
	return err == nil, err
}

// result is what a tool came to: by its exit code, and by what it wrote down of what
// it found. What it said in words is nothing.
type result struct {
	code  codes.HRESULT
	check *winlog.StoreCheck // nil: the log tells nothing of it
}

func (r result) ok() bool { return !r.code.Failed() }

// left is how many faults there are still; -1 if nothing tells.
func (r result) left() int {
	if r.check == nil {
		return -1
	}
	return r.check.Left()
}

// unknownFailure is E_FAIL: what a tool ended with that has no code.
const unknownFailure codes.HRESULT = 0x80004005

// run runs a tool and asks what came of it.
func (f *following) run(about, by string, c host.Change, args map[string]string) (result, error) {
	d, err := f.do(procedure.Act{About: about, Args: args, Change: &c})
	if err != nil {
		return result{}, err
	}
	if !d.Started.IsZero() {
		f.restarts++ // the tool itself asked for it
	}
	before := f.before
	if err := f.ask(); err != nil {
		return result{}, err
	}
	r := result{code: d.Code, check: newest(before.Log, f.before.Log, by)}
	switch {
	case !d.OK() && !r.code.Failed():
		r.code = unknownFailure
	case d.OK():
		r.code = 0
	}
	if r.check != nil && r.check.Whole && r.check.Result.Failed() && (r.ok() || r.code == unknownFailure) {
		r.code = r.check.Result // the log knows it better
	}
	return r, nil
}

// newest returns the last check of a tool that a log has and had not before. The log
// writes seconds: two checks may look alike, so they are counted.
func newest(before, now winlog.StoreLog, by string) *winlog.StoreCheck {
	for i := len(now.Checks) - 1; i >= 0; i-- {
		c := &now.Checks[i]
		if c.By != by {
			continue
		}
		if alike(c, now) > alike(c, before) {
			return c
		}
		return nil
	}
	return nil
}

// alike counts the checks of a log that nothing tells from c.
func alike(c *winlog.StoreCheck, l winlog.StoreLog) int {
	n := 0
	for _, o := range l.Checks {
		if o.By == c.By && o.Begin.Equal(c.Begin) && o.End.Equal(c.End) && o.Found == c.Found && o.Whole == c.Whole {
			n++
		}
	}
	return n
}

// course is the course of events.
func (f *following) course(s Spec) (Verdict, error) {
	if err := f.ask(); err != nil {
		return "", err
	}
	if f.before.Pending {
		if ok, err := f.restart(); err != nil || !ok {
			return Blocked, err
		}
		if err := f.ask(); err != nil {
			return "", err
		}
		if f.before.Pending {
			f.tell("store.told.still-pending")
			return Blocked, nil
		}
		f.tell("store.told.restarted")
	}
	damaged := true
	if s.Look {
		r, err := f.run("store-look", winlog.StoreByDISM, scan(), nil)
		if err != nil {
			return "", err
		}
		damaged = f.looked(r)
	} else {
		f.tellFaults(s.Damage, s.More)
	}
	for _, name := range s.Half {
		f.tell("store.told.half", "package", name)
	}
	sound := !damaged
	if sound { // what is half installed is put in again where it can be had
		s.Sources = slices.DeleteFunc(slices.Clone(s.Sources), func(x Source) bool { return x.Kind != FromPackage || len(s.Half) == 0 })
		damaged = len(s.Sources) > 0
	}
	unproven, half := false, false
	if damaged {
		repaired, proven, err := f.mend(s)
		switch {
		case err != nil:
			return "", err
		case !repaired && sound: // the store is whole, an update is as it was
			half, proven = true, true
		case !repaired:
			if s.Files {
				f.tell("store.told.files-left-out")
			}
			return Unrepaired, nil
		}
		unproven = !proven
	}
	left := 0
	if s.Files {
		var err error
		if left, err = f.mendFiles(); err != nil {
			return "", err
		}
	}
	if damaged && unproven { // nothing has shown yet that the repair did what it said
		r, err := f.run("store-verify", winlog.StoreByDISM, scan(), nil)
		switch {
		case err != nil:
			return "", err
		case r.left() > 0:
			f.tellFaults(faultsOf(r.check), r.check.More)
			return Unrepaired, nil
		case r.left() < 0 || !r.ok():
			return Unproven, nil
		}
	}
	switch {
	case left > 0:
		return FilesLeft, nil
	case half || sound && len(s.Half) > 0 && !damaged:
		return HalfLeft, nil
	}
	return Whole, nil
}

// looked tells what a look found, and whether there is something to repair. A scan
// ends with 0 whether it found damage or not; only its report tells.
func (f *following) looked(r result) bool {
	switch {
	case r.left() > 0:
		f.tellFaults(faultsOf(r.check), r.check.More)
		return true
	case r.left() == 0 && r.ok():
		f.tell("store.told.nothing-found")
		return false
	case !r.ok():
		f.tellCode("store.told.look-failed", r.code)
		return true
	}
	f.tell("store.told.look-untold")
	return true // what nobody can tell is repaired: that hurts nothing that is sound
}

func faultsOf(c *winlog.StoreCheck) []Fault {
	var out []Fault
	for _, x := range c.Faults {
		if !x.Fixed {
			out = append(out, Fault{StoreFault: x, At: c.End})
		}
	}
	return out
}

// mend repairs the store from one source after the other. proven says that the report
// of the repair itself shows it.
func (f *following) mend(s Spec) (repaired, proven bool, err error) {
	queue := slices.Clone(s.Sources)
	cleaned := false
	var last codes.HRESULT
	for len(queue) > 0 {
		src := queue[0]
		queue = queue[1:]
		for try := 0; try < tries; try++ {
			r, brought, err := f.from(src)
			if err != nil {
				return false, false, err
			}
			if !brought {
				break
			}
			if r.ok() && r.left() <= 0 {
				f.tell("store.told.repaired."+string(src.Kind), "source", src.Name, "count", counted(r.check))
				if r.check != nil && r.check.Restart {
					if _, err := f.restart(); err != nil {
						return false, false, err
					}
				}
				return true, r.check != nil && r.check.Repair && r.check.Whole, nil
			}
			if r.ok() { // it says that it did, and its report says that it did not
				r.code = sourceMissing
			}
			last = r.code
			n, _ := After(r.code)
			f.tellCode("store.told.failed."+string(src.Kind), r.code, "source", src.Name)
			again, err := f.prepare(n.Then, &cleaned)
			if err != nil {
				return false, false, err
			}
			if n.Then == ThenPackage { // the package that is named comes first
				sorted.By(queue, func(a, b Source) int { return rank(a) - rank(b) })
			}
			if n.Then == ThenStop {
				queue = slices.DeleteFunc(queue, func(q Source) bool { return q.Kind != FromPackage })
			}
			if !again {
				break
			}
		}
	}
	if last.Failed() {
		if n, ok := After(last); ok {
			f.lines = append(f.lines, n.Line())
		}
	}
	return false, false, nil
}

const sourceMissing codes.HRESULT = 0x800F081F

func rank(s Source) int {
	if s.Kind == FromPackage {
		return 0
	}
	return 1
}

func counted(c *winlog.StoreCheck) string {
	if c == nil {
		return "0"
	}
	return strconv.Itoa(c.Repaired)
}

// from repairs from one source; brought is false if what it needs could not be had.
func (f *following) from(src Source) (r result, brought bool, err error) {
	for _, p := range src.Packages {
		if p.Fetch.URL == "" {
			continue
		}
		d, err := f.do(procedure.Act{About: "store-fetch", Args: map[string]string{"kb": p.KB, "name": base(p.Fetch.To)}, Fetch: &p.Fetch})
		if err != nil {
			return result{}, false, err
		}
		if !d.OK() {
			f.tell("store.told.not-fetched", "kb", p.KB, "why", d.Err)
			return result{}, false, nil
		}
	}
	for _, p := range src.Packages {
		if p.Beside {
			continue
		}
		c := p.add()
		d, err := f.do(procedure.Act{About: "store-add", Args: map[string]string{"kb": p.KB}, Change: &c})
		if err != nil {
			return result{}, false, err
		}
		if !d.Started.IsZero() {
			f.restarts++
		}
		if !d.OK() && d.Code != notApplicable && d.Code != notForThis {
			code := d.Code
			if !code.Failed() {
				code = unknownFailure
			}
			return result{code: code}, true, nil
		}
	}
	r, err = f.run("store-from-"+string(src.Kind), winlog.StoreByDISM, src.restore(), map[string]string{"source": src.Name})
	return r, true, err
}

// notApplicable is CBS_E_NOT_APPLICABLE: the package is superseded or there in whole,
// which is what it was to be.
const (
	notApplicable codes.HRESULT = 0x800F081E
	notForThis    codes.HRESULT = 0x80240017 // WU_E_NOT_APPLICABLE: wusa's word for it
)

// prepare does what a code asks for before the same is tried again.
func (f *following) prepare(t Then, cleaned *bool) (again bool, err error) {
	switch t {
	case ThenRestart:
		again, err = f.restart()
		if again {
			err = f.ask()
		}
		return again, err
	case ThenAgain:
		return true, nil
	case ThenCleanup:
		if *cleaned {
			return false, nil
		}
		*cleaned = true
		_, err := f.run("store-cleanup", winlog.StoreByDISM, cleanup(), nil)
		return err == nil, err
	}
	return false, nil
}

// mendFiles has sfc put back what lies outside of the store, and says how many files
// it could not.
func (f *following) mendFiles() (left int, err error) {
	for range 2 {
		r, err := f.run("store-files", winlog.StoreBySFC, files(), nil)
		if err != nil {
			return 0, err
		}
		switch {
		case r.check == nil && r.ok():
			f.tell("store.told.files-untold")
			return 0, nil
		case r.check == nil:
			f.tellCode("store.told.files-failed", r.code)
			return 1, nil
		case r.check.Restart: // what is in use is put in place by the start, and looked at after it
			f.tell("store.told.files-restart")
			if ok, err := f.restart(); err != nil || !ok {
				return r.left(), err
			}
			if err := f.ask(); err != nil {
				return 0, err
			}
			continue
		case r.left() > 0:
			f.tellFaults(faultsOf(r.check), r.check.More)
			f.tell("store.told.files-left", "count", strconv.Itoa(r.left()))
			return r.left(), nil
		case r.check.Found > 0:
			f.tell("store.told.files-repaired", "count", strconv.Itoa(r.check.Repaired))
		default:
			f.tell("store.told.files-fine")
		}
		return 0, nil
	}
	return 1, nil
}

// tellCode tells of a code.
func (f *following) tellCode(id string, h codes.HRESULT, args ...string) {
	n, _ := After(h)
	name := h.String()
	if info, ok := codes.Lookup(h); ok && info.Symbol() != "" {
		name += " " + info.Symbol()
	} else if n.Symbol != "" {
		name += " " + n.Symbol
	}
	f.tell(id, append(args, "code", name)...)
}

// maxTold is how many things a story names one by one.
const maxTold = 6

// tellFaults names what is damaged, things of one component together.
func (f *following) tellFaults(faults []Fault, more int) {
	f.lines = append(f.lines, FaultLines(faults, more, maxTold)...)
}

// FaultLines says in words what is damaged, a few of them one by one; files of one
// component are one line.
func FaultLines(faults []Fault, more, few int) []message.Line {
	var out []message.Line
	type group struct {
		Fault
		files []string
	}
	var groups []*group
	for _, x := range faults {
		i := slices.IndexFunc(groups, func(g *group) bool {
			return g.Kind == x.Kind && g.Component == x.Component && g.Version == x.Version && x.Component != "" && g.Package == x.Package
		})
		if i < 0 {
			groups = append(groups, &group{Fault: x})
			i = len(groups) - 1
		}
		if x.File != "" {
			groups[i].files = append(groups[i].files, x.File)
		}
	}
	for _, g := range groups[:min(len(groups), few)] {
		args := []string{
			"kind", g.Kind, "component", g.Component, "version", g.Version, "file", strings.Join(g.files[:min(len(g.files), 3)], ", "),
			"package", g.Package, "kb", g.KB, "count", strconv.Itoa(len(g.files)), "source", g.Source,
		}
		id := "store.fault." + g.Kind
		switch {
		case g.Kind == winlog.FaultPayload && len(g.files) > 3:
			id += ".many"
		case g.Kind == winlog.FaultMetadata && g.Component == "" && g.Package != "":
			id += ".package"
		}
		out = append(out, message.Say(id, args...))
		switch {
		case g.Package == "" || g.Kind == winlog.FaultPackage || g.Kind == winlog.FaultCatalog || strings.HasSuffix(id, ".package"):
			if g.KB != "" {
				out = append(out, message.Say("store.fault.update", "kb", g.KB))
			}
		case g.KB != "":
			out = append(out, message.Say("store.fault.owner-update", "package", g.Package, "kb", g.KB))
		default:
			out = append(out, message.Say("store.fault.owner", "package", g.Package))
		}
	}
	if n := len(groups) - few; n > 0 || more > 0 {
		out = append(out, message.Say("store.fault.more", "count", strconv.Itoa(max(n, 0)+more)))
	}
	return out
}
