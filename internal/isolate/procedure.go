package isolate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
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

// Course is the name under which a plan keeps this procedure.
const Course = "isolate"

// Data is what a plan freezes of a search: all that it may touch.
type Data struct {
	Run     string  `json:"run"`   // names what is moved aside
	Stage   string  `json:"stage"` // of updating, that fails
	Entries []Entry `json:"entries"`
	Kept    []Kept  `json:"kept,omitempty"` // how much is left alone, by reason
	Limits  Limits  `json:"limits"`
}

// Entry is one thing that may be switched off.
type Entry struct {
	Kind    string  `json:"kind"`
	Name    string  `json:"name"`
	Where   string  `json:"where,omitempty"`
	Display string  `json:"display,omitempty"`
	File    string  `json:"file,omitempty"`
	Version string  `json:"version,omitempty"`
	Signer  string  `json:"signer,omitempty"`
	Vendor  string  `json:"vendor"`
	Class   string  `json:"class,omitempty"`
	Weight  float64 `json:"weight"`
	Live    bool    `json:"live,omitempty"`
	Needs   []int   `json:"needs,omitempty"`
}

// Kept counts what is not touched for one reason.
type Kept struct {
	Reason Reason `json:"reason"`
	Count  int    `json:"count"`
}

// Bounds of a search that nobody bounds otherwise: of 1,000 random machines with one or
// two things to blame none took more.
const (
	defaultTries    = 120
	defaultRestarts = 40
	maxEntries      = 600
	maxActs         = 10_000
	lease           = 180 // minutes: a night's sleep of the person is none of them, a tool that hangs is
)

// New freezes a search among the entries of a stock that may be touched, for a run and
// the stage that fails. Zero limits take values that are enough.
func New(stock []Listed, run, stage string, limits Limits) Data {
	if limits.Tries == 0 {
		limits.Tries = defaultTries
	}
	if limits.Restarts == 0 {
		limits.Restarts = defaultRestarts
	}
	// Only looking for updates can be repeated once it went well.
	limits.Once = stage != "scan"
	d := Data{Run: run, Stage: stage, Limits: limits}
	kept := map[Reason]int{}
	at := map[string]int{}
	for _, l := range stock {
		if !l.Touched() {
			if l.Keep != KeepMicrosoft && l.Keep != KeepOff {
				kept[l.Keep]++
			}
			continue
		}
		e := Entry{
			Kind: l.Kind, Name: l.Name, Where: l.Where, Display: l.Display, File: l.File, Version: l.Version, Signer: l.Signer,
			Vendor: l.Vendor, Class: l.Class, Weight: l.Weight, Live: l.Kind == host.StartService && l.Running && l.Stops,
		}
		// What cannot be changed in the form in which it is registered is left alone.
		if slices.ContainsFunc(e.changes(run), func(c host.Change) bool { return c.Check() != nil }) || len(d.Entries) >= maxEntries {
			kept[KeepUnknown]++
			continue
		}
		if e.Kind == host.StartService {
			at[strings.ToLower(e.Name)] = len(d.Entries)
		}
		d.Entries = append(d.Entries, e)
	}
	for _, l := range stock {
		i, ok := at[strings.ToLower(l.Name)]
		if !ok || l.Kind != host.StartService {
			continue
		}
		for _, n := range l.Needs {
			if k, ok := at[strings.ToLower(n)]; ok && k != i {
				d.Entries[i].Needs = append(d.Entries[i].Needs, k)
			}
		}
	}
	for r, n := range kept {
		d.Kept = append(d.Kept, Kept{r, n})
	}
	sorted.By(d.Kept, func(a, b Kept) int { return strings.Compare(string(a.Reason), string(b.Reason)) })
	return d
}

// changes are what switches an entry off, in their order.
func (e Entry) changes(run string) []host.Change {
	switch e.Kind {
	case host.StartService:
		off := host.Change{Kind: host.ServiceStart, Path: e.Name, Start: &host.Start{Type: winlog.ServiceDisabled}}
		if !e.Live {
			return []host.Change{off}
		}
		// In this order, since what is taken back last first may start before it is started.
		return []host.Change{{Kind: host.ServiceStop, Path: e.Name}, off}
	case host.StartTask:
		return []host.Change{{Kind: host.Switch, Path: host.Setting("task", e.Name), State: "off"}}
	case host.StartRun:
		return []host.Change{{Kind: host.ValueDel, Path: e.Where, Name: e.Name}}
	case host.StartFolder:
		// Windows opens whatever lies in a startup folder: it is moved out of it.
		up := e.Where[:max(0, strings.LastIndexByte(e.Where, '\\'))]
		return []host.Change{{Kind: host.Move, Path: e.Where + `\` + e.Name, To: up + `\` + e.Name + ".updoc-" + run}}
	}
	return nil
}

// Decode makes the procedure of what a plan kept. It refuses what New does not make.
func Decode(b json.RawMessage) (procedure.Procedure, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	p := &isolation{}
	if err := d.Decode(&p.Data); err != nil {
		return nil, fmt.Errorf("isolate: %w", err)
	}
	bad := func(format string, args ...any) error { return fmt.Errorf("isolate: "+format, args...) }
	if n := len(p.Entries); n > maxEntries {
		return nil, bad("%d entries", n)
	}
	if l := p.Limits; l.Tries < 1 || l.Tries > 1000 || l.Restarts < 0 || l.Restarts > 100 {
		return nil, bad("%d attempts, %d restarts", l.Tries, l.Restarts)
	}
	seen := map[string]bool{}
	for i, e := range p.Entries {
		if !(e.Weight > 0) || math.IsInf(e.Weight, 0) {
			return nil, bad("entry %d: weight %v", i, e.Weight)
		}
		if e.Live && e.Kind != host.StartService {
			return nil, bad("entry %d: a %s is not stopped", i, e.Kind)
		}
		changes := e.changes(p.Run)
		if len(changes) == 0 {
			return nil, bad("entry %d: nobody switches off a %q", i, e.Kind)
		}
		for _, c := range changes {
			if err := c.Check(); err != nil {
				return nil, fmt.Errorf("isolate: entry %d: %w", i, err)
			}
		}
		if e.Kind == host.StartRun && !runKey(e.Where) {
			return nil, bad("entry %d: %s is no key of what starts at a sign-in", i, e.Where)
		}
		id := strings.ToLower(e.Kind + "\x00" + e.Where + "\x00" + e.Name)
		if seen[id] {
			return nil, bad("entry %d stands twice", i)
		}
		seen[id] = true
		for _, n := range e.Needs {
			if n < 0 || n >= len(p.Entries) || n == i {
				return nil, bad("entry %d needs %d", i, n)
			}
		}
	}
	p.items = make([]Item, len(p.Entries))
	for i, e := range p.Entries {
		p.items[i] = Item{Group: e.Vendor, Weight: e.Weight, Live: e.Live, Needs: e.Needs}
	}
	return p, nil
}

// runKey reports whether a key is one of those from which programs are started at a
// sign-in: the data of a plan lies on a sick machine's disk, and no other value is to go.
func runKey(p string) bool {
	low := strings.ToLower(p)
	return (strings.HasPrefix(low, `hklm\software\`) || strings.HasPrefix(low, `hkcu\software\`)) && strings.HasSuffix(low, `\microsoft\windows\currentversion\run`)
}

// isolation is the procedure.
type isolation struct {
	Data
	items []Item
}

// Bounds implements [procedure.Procedure].
func (p *isolation) Bounds() procedure.Bounds {
	b := procedure.Bounds{Tries: true, Restarts: p.Limits.Restarts, Passing: true, Lease: lease}
	for _, e := range p.Entries {
		b.Changes = append(b.Changes, e.changes(p.Run)...)
	}
	// Everything goes off twice, and comes on and goes off by halves after it.
	b.Acts = min(maxActs, 16*len(b.Changes)+2*p.Limits.Tries+p.Limits.Restarts+16)
	const try, restart = 2, 5 // minutes
	usual := min(p.Limits.Restarts, 3+int(math.Ceil(math.Log2(float64(len(p.Entries)+1)))))
	b.Minutes = 12*try + usual*restart
	return b
}

// Next implements [procedure.Procedure].
func (p *isolation) Next(done []procedure.Done) (procedure.Act, bool) {
	c := p.play(done)
	return c.next, c.wants
}

// play goes through what was done, and stops where the search wants something new.
func (p *isolation) play(done []procedure.Done) *conductor {
	c := &conductor{isolation: p, done: done, standing: make([][]int, len(p.items)), stubborn: make([]bool, len(p.items)), off: make(Set, len(p.items))}
	c.finding, c.err = Search(p.items, p.Limits, c)
	return c
}

var (
	errPending = errors.New("to be done")
	errUntried = errors.New("it could not be tried")
	errAstray  = errors.New("what was done is not what was asked for")
)

// conductor makes acts of rounds, and rounds of what was done.
type conductor struct {
	*isolation
	done []procedure.Done
	at   int

	next  procedure.Act
	wants bool

	off      Set
	standing [][]int // of each entry: the acts whose change stands
	stubborn []bool  // it could not be switched off
	codes    []codes.HRESULT

	finding Finding
	err     error
}

// do is one act: the one that was done, or the one that comes next.
func (c *conductor) do(a procedure.Act) (procedure.Done, error) {
	if c.at == len(c.done) {
		c.next, c.wants = a, true
		return procedure.Done{}, errPending
	}
	d := c.done[c.at]
	if !same(d.Act, a) {
		return d, errAstray
	}
	c.at++
	return d, nil
}

// same reports whether an act is the one that was asked for, whatever was said of it.
func same(a, b procedure.Act) bool {
	if a.Restart != b.Restart || a.Try != b.Try || (a.Change == nil) != (b.Change == nil) || (a.Back == nil) != (b.Back == nil) {
		return false
	}
	if a.Change != nil && !host.Same([]host.Change{*a.Change}, []host.Change{*b.Change}) {
		return false
	}
	return a.Back == nil || *a.Back == *b.Back
}

// Try implements [Prober].
func (c *conductor) Try(r Round) (Result, error) {
	args := map[string]string{
		"round": strconv.Itoa(r.Number), "off": strconv.Itoa(len(r.Off.list())), "all": strconv.Itoa(len(r.Off)),
		"suspects": strconv.Itoa(r.Suspects), "left": strconv.Itoa(r.Left),
	}
	if err := c.turn(r.Off, args); err != nil {
		return Fails, err
	}
	if r.Restart {
		if _, err := c.do(procedure.Act{About: "isolate-restart", Args: args, Restart: true}); err != nil {
			return Fails, err
		}
	}
	for range 2 { // what could not be tried is tried once more
		d, err := c.do(procedure.Act{About: "isolate-try", Args: args, Try: true})
		switch {
		case err != nil:
			return Fails, err
		case d.Worked():
			return Works, nil
		case !d.Failed():
			continue
		}
		h := d.Outcome.Result
		if len(r.Off.list()) == 0 { // this is how it fails
			c.codes = append(c.codes, h)
		} else if !slices.Contains(c.codes, h) {
			return Otherwise, nil
		}
		return Fails, nil
	}
	return Fails, errUntried
}

// turn switches entries on that are to be on, and then off what is to be off; what
// needs others goes off before them and comes on after them.
func (c *conductor) turn(off Set, args map[string]string) error {
	order := c.order()
	for _, i := range slices.Backward(order) {
		if off[i] || !c.off[i] {
			continue
		}
		for len(c.standing[i]) > 0 {
			last := len(c.standing[i]) - 1
			act := c.standing[i][last]
			// What cannot be taken back now is when all is over; the attempt tells how it
			// is meanwhile.
			if _, err := c.do(procedure.Act{About: "isolate-on", Args: c.named(i, args), Back: &act}); err != nil {
				return err
			}
			c.standing[i] = c.standing[i][:last]
		}
		c.off[i] = false
	}
	for _, i := range order {
		if !off[i] || c.off[i] || c.stubborn[i] {
			continue
		}
		for _, change := range c.Entries[i].changes(c.Run) {
			n, about := c.at, "isolate-off"
			if change.Kind == host.ServiceStop {
				about = "isolate-stop"
			}
			d, err := c.do(procedure.Act{About: about, Args: c.named(i, args), Change: &change})
			switch {
			case err != nil:
				return err
			case d.OK() && !d.Skipped:
				c.standing[i] = append(c.standing[i], n)
			case !d.OK() && change.Kind != host.ServiceStop: // which does not stop now is off after a restart
				c.stubborn[i] = true // it stays on, and is told
			}
		}
		c.off[i] = !c.stubborn[i]
	}
	return nil
}

func (c *conductor) named(i int, args map[string]string) map[string]string {
	e := c.Entries[i]
	out := map[string]string{"name": e.title(), "vendor": e.Vendor}
	for _, k := range []string{"round", "left"} {
		out[k] = args[k]
	}
	return out
}

// order lists the entries so that each comes before what it needs.
func (p *isolation) order() []int {
	var out []int
	seen := make([]bool, len(p.items))
	var visit func(i int)
	visit = func(i int) {
		if seen[i] {
			return
		}
		seen[i] = true
		for _, n := range p.items[i].Needs {
			visit(n)
		}
		out = append(out, i)
	}
	for i := range p.items {
		visit(i)
	}
	slices.Reverse(out)
	return out
}

// title is what a person knows an entry by.
func (e Entry) title() string {
	if e.Display != "" && !strings.HasPrefix(e.Display, "@") && e.Kind != host.StartTask {
		return e.Display
	}
	return e.Name
}

// Story implements [procedure.Procedure].
func (p *isolation) Story(done []procedure.Done) []message.Line {
	c := p.play(done)
	f := c.finding
	var out []message.Line
	say := func(id string, args ...string) { out = append(out, message.Say("isolate."+id, args...)) }
	switch {
	case errors.Is(c.err, errUntried):
		say("untried")
	case errors.Is(c.err, errAstray):
		say("astray")
	case f.State == Running:
		say("running", "tries", strconv.Itoa(f.Tries), "suspects", strconv.Itoa(len(f.Suspects)))
	case f.State != Found:
		say(string(f.State), "suspects", strconv.Itoa(len(f.Suspects)), "all", strconv.Itoa(len(p.Entries)))
	}
	for _, cause := range f.Causes {
		id := "blame"
		if len(cause) > 1 {
			id = "conflict"
		}
		say(id, "count", strconv.Itoa(len(cause)))
		for _, i := range cause {
			p.tell(say, i)
		}
	}
	if len(f.Causes) > 1 {
		say("several", "count", strconv.Itoa(len(f.Causes)))
	}
	if f.State == Narrowed || f.State == Exhausted || f.State == Running && len(f.Suspects) <= few {
		list := slices.Clone(f.Suspects)
		sorted.By(list, func(a, b int) int {
			switch {
			case p.Entries[a].Weight > p.Entries[b].Weight:
				return -1
			case p.Entries[a].Weight < p.Entries[b].Weight:
				return 1
			}
			return a - b
		})
		for _, i := range list[:min(few, len(list))] {
			say("suspect", p.args(i)...)
		}
	}
	for i, stays := range c.stubborn {
		if stays {
			say("stubborn", p.args(i)...)
		}
	}
	if f.State == None || f.State == Different {
		for _, k := range p.Kept {
			say("left-on."+string(k.Reason), "count", strconv.Itoa(k.Count))
		}
	}
	if f.Tries > 0 {
		say("effort", "tries", strconv.Itoa(f.Tries), "restarts", strconv.Itoa(f.Restarts))
	}
	return out
}

// few is how many suspects are named one by one.
const few = 8

func (p *isolation) args(i int) []string {
	e := p.Entries[i]
	unknown := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	return []string{"name", e.title(), "kind", e.Kind, "file", unknown(e.File), "version", unknown(e.Version), "signer", unknown(e.Signer), "vendor", e.Vendor}
}

// tell names what is to blame, and what to do about it.
func (p *isolation) tell(say func(string, ...string), i int) {
	say("culprit."+p.Entries[i].Kind, p.args(i)...)
	switch class := p.Entries[i].Class; class {
	case "blocker", "freezer", "net-filter", "tuner", "guard":
		say("advice."+class, p.args(i)...)
	default:
		say("advice.other", p.args(i)...)
	}
}

// Finding is what a search that a plan froze has found, by what was done.
func (d Data) Finding(done []procedure.Done) (Finding, error) {
	b, err := json.Marshal(d)
	if err != nil {
		return Finding{}, err
	}
	p, err := Decode(b)
	if err != nil {
		return Finding{}, err
	}
	c := p.(*isolation).play(done) //nolint:forcetypeassert // Decode makes nothing else
	if errors.Is(c.err, errPending) {
		c.err = nil
	}
	return c.finding, c.err
}
