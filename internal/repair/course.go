package repair

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/isolate"
	"updoc/internal/message"
	"updoc/internal/procedure"
	"updoc/internal/store"
	"updoc/internal/upgrade"
)

// Course is a procedure of a treatment as data: which one, and what it was given. It
// is frozen in the plan, and the procedure is made of it again whenever the run goes on.
type Course struct {
	Name string          `json:"name"`
	Data json.RawMessage `json:"data,omitempty"`
}

// courses makes procedures from what a plan keeps of them, by the name of the course.
// What they are given comes out of a journal, and so from a sick machine's disk:
// each refuses what it would not have written. It is a table and never written to.
var courses = map[string]func(json.RawMessage) (procedure.Procedure, error){
	installCourse: decodeInstall,
	"isolate":     isolate.Decode,
	"store":       store.Decode,
	upgrade.Name:  upgrade.Decode,
}

// Limits of a course, whoever wrote it.
const (
	maxCourse  = 4 << 20 // bytes of its data, and of one answer
	maxActs    = 10_000
	maxRounds  = 100 // restarts
	maxLease   = 24 * 60
	maxMinutes = 7 * 24 * 60
)

// Procedure makes the procedure of a course.
func (c *Course) Procedure() (procedure.Procedure, error) {
	make, ok := courses[c.Name]
	if !ok {
		return nil, fmt.Errorf("no such course: %q", c.Name)
	}
	if len(c.Data) > maxCourse {
		return nil, fmt.Errorf("course %s: %d bytes", c.Name, len(c.Data))
	}
	p, err := make(c.Data)
	if err != nil {
		return nil, fmt.Errorf("course %s: %w", c.Name, err)
	}
	return p, nil
}

// check holds a course to the rules that every plan obeys.
func (c *Course) check(r Remedy) error {
	p, err := c.Procedure()
	if err != nil {
		return err
	}
	b := p.Bounds()
	switch {
	case b.Acts < 1 || b.Acts > maxActs, b.Restarts < 0 || b.Restarts > maxRounds, b.Minutes < 0 || b.Minutes > maxMinutes, b.Lease < 0 || b.Lease > maxLease:
		return fmt.Errorf("course %s: %d acts, %d restarts, %d minutes, a lease of %d", c.Name, b.Acts, b.Restarts, b.Minutes, b.Lease)
	case b.Passing && b.Lease == 0:
		return fmt.Errorf("course %s: it takes back what it changes, and nothing would do so if it were killed", c.Name)
	case b.Lease > 0 && !b.Passing:
		return fmt.Errorf("course %s: a lease of what stays", c.Name)
	}
	for _, x := range b.Changes {
		if err := x.Check(); err != nil {
			return fmt.Errorf("course %s: %w", c.Name, err)
		}
		if x.Kind == host.Run && !x.Looks() && r.Risk != RiskPermanent && r.Risk != RiskNone {
			return fmt.Errorf("course %s: %s cannot be taken back, and the remedy claims that it can", c.Name, x.Path)
		}
	}
	for _, x := range b.Fetches {
		u, err := url.Parse(x.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			return fmt.Errorf("course %s: no address of a file: %q", c.Name, x.URL)
		}
		if err := kept(x).Check(); err != nil {
			return fmt.Errorf("course %s: %w", c.Name, err)
		}
		if !digest(x.SHA256, 32) && !(x.SHA256 == "" && digest(x.SHA1, 20)) || x.Size < 0 {
			return fmt.Errorf("course %s: %s: nothing says what it has to be", c.Name, x.URL)
		}
	}
	return nil
}

func digest(text string, size int) bool {
	b, err := hex.DecodeString(text)
	return err == nil && len(b) == size
}

// kept is what a fetch leaves on the machine, as a change.
func kept(f procedure.Fetch) host.Change { return host.Change{Kind: host.Write, Path: f.To} }

// Changes are all that a treatment may do to the machine, and what takes it back where
// that is known beforehand.
func (t Treatment) Changes() []host.Change {
	var out []host.Change
	for _, s := range t.Steps {
		out = append(append(out, s.Change), s.Undo...)
	}
	if t.Course == nil {
		return out
	}
	p, err := t.Course.Procedure()
	if err != nil { // a plan that was checked has none
		return out
	}
	b := p.Bounds()
	out = append(out, b.Changes...)
	for _, f := range b.Fetches {
		out = append(out, kept(f))
	}
	return out
}

// stepOf is the step that an entry of the journal is about: one of the treatment, or
// what an act of its course changes.
func (t Treatment) stepOf(e Entry) (Step, bool) {
	switch {
	case e.Step < 0:
	case t.Course == nil && e.Step < len(t.Steps):
		return t.Steps[e.Step], true
	case t.Course != nil && e.Act != nil && e.Act.Change != nil:
		return Step{Change: *e.Act.Change}, true
	case t.Course != nil && e.Act != nil && e.Act.Fetch != nil:
		return Step{Change: kept(*e.Act.Fetch), Anew: true}, true
	}
	return Step{}, false
}

// Told is what a treatment tells of itself, beyond its steps.
type Told struct {
	Treatment string `json:"treatment"` // id of the remedy
	Lines     []Line `json:"lines"`
}

// Story tells what the courses of the run found and did so far, and where Windows
// contradicted what its update agent said, in the plan's order.
func (j *Journal) Story() []Told {
	var out []Told
	p := j.progress()
	for i, t := range j.Plan().Treatments {
		var lines []Line
		if d := p.courses[i]; d != nil && len(d.done) > 0 {
			if pr, err := t.Course.Procedure(); err == nil {
				lines = pr.Story(d.done)
			}
		}
		for _, e := range j.entries {
			if e.Kind == EntryPoint && e.Treatment == i && e.Point != nil && e.Point.New {
				lines = append(slices.Clone(lines), message.Say("point.made", "n", strconv.Itoa(int(e.Point.Sequence))))
			}
		}
		if against := p.tried[i].Against; len(against) > 0 {
			lines = append(append(slices.Clone(lines), Line{ID: "proof.contradicts"}), against...)
		}
		if len(lines) > 0 {
			out = append(out, Told{t.ID, lines})
		}
	}
	return out
}

// doings is what was done of a course, by the journal.
type doings struct {
	done  []procedure.Done
	open  *Entry       // a begin without an end
	late  bool         // the last act is made in whole by a restart
	wait  *Entry       // the restart that was asked for and has not been
	until time.Time    // when the lease is over
	left  map[int]bool // acts whose change stays, since somebody made another
	bad   bool         // the entries do not follow each other
}

// take adds what an entry tells.
func (d *doings) take(e Entry) {
	if !e.Until.IsZero() {
		d.until = e.Until
	}
	end := func(act *procedure.Act, began time.Time) {
		if act == nil || e.Step != len(d.done) {
			d.bad = true
			return
		}
		x := procedure.Done{Act: *act, Began: began, Ended: e.Time, Skipped: e.Kind == EntrySkipped, Err: e.Err, Answer: e.Answer, Outcome: e.Outcome}
		_ = x.Code.UnmarshalText([]byte(e.Code)) // 0 where there is none
		d.done, d.open, d.late = append(d.done, x), nil, e.Late
	}
	switch e.Kind {
	case EntryBegin:
		d.open = &e
	case EntryDone:
		if d.open == nil || d.open.Step != e.Step {
			d.bad = true
			return
		}
		end(d.open.Act, d.open.Time)
	case EntrySkipped, EntryAct:
		began := e.Began
		if began.IsZero() {
			began = e.Time
		}
		end(e.Act, began)
	case EntryUndone:
		if d.open != nil && d.open.Step == e.Step { // half a change; it is made anew
			d.open = nil
		}
	case EntryConflict:
		if d.left == nil {
			d.left = map[int]bool{}
		}
		d.left[e.Step] = true
	case EntryRestart:
		d.wait = &e
	case EntryStarted:
		if len(d.done) == 0 {
			d.bad = true
			return
		}
		d.wait, d.late = nil, false
		d.done[len(d.done)-1].Started = e.Started
	}
}

// owes reports that the last act wants a restart that has not been.
func (d *doings) owes() bool {
	if len(d.done) == 0 {
		return false
	}
	last := d.done[len(d.done)-1]
	return (last.Act.Restart || d.late) && last.Started.IsZero()
}

// restarts is how many there were, or are due.
func (d *doings) restarts() int {
	n := 0
	for _, x := range d.done {
		if x.Act.Restart || !x.Started.IsZero() {
			n++
		}
	}
	if d.late && d.owes() && !d.done[len(d.done)-1].Act.Restart {
		n++
	}
	return n
}

// errBounds says that a procedure wanted what was not agreed to.
var errBounds = errors.New("the course wants more than was agreed to")

// course carries out what is left of the course of a treatment. over says that the
// treatment is over with a result, or waits for a restart; else it is to be proved.
func (r *Runner) course(ctx context.Context, i int, t Treatment, p progress) (res Result, over bool, err error) {
	c := &walk{Runner: r, i: i, t: t, d: p.courses[i]}
	if c.d == nil {
		c.d = &doings{}
	}
	c.seen = len(r.Journal.entries)
	if c.p, err = t.Course.Procedure(); err != nil {
		return c.fail(ctx, err)
	}
	c.b = c.p.Bounds()
	if c.b.Lease > 0 && !c.d.until.IsZero() && r.Now().After(c.d.until) {
		return c.leave(ctx) // its time was over before anybody went on with it
	}
	for {
		if err := ctx.Err(); err != nil { // between two acts everything is whole
			if c.b.Passing {
				if _, _, err := c.leave(ctx); err != nil {
					return "", true, err
				}
			}
			return "", true, err
		}
		switch err := c.next(ctx); {
		case errors.Is(err, errOver):
			return c.end(ctx)
		case errors.Is(err, errWait):
			return Restart, true, nil
		case errors.Is(err, errBounds), errors.Is(err, ErrJournal), errors.Is(err, errAlone):
			return c.fail(ctx, err)
		case err != nil && ctx.Err() == nil:
			return "", true, err
		}
	}
}

var (
	errOver  = errors.New("the course is over")
	errWait  = errors.New("the machine has to be restarted")
	errAlone = errors.New("nothing would take it back if updoc were killed")
)

// walk is a course being carried out.
type walk struct {
	*Runner
	i    int
	t    Treatment
	p    procedure.Procedure
	b    procedure.Bounds
	d    *doings
	seen int // entries of the journal that d knows
}

// write writes an entry of the course, which renews its lease, and tells of it.
func (c *walk) write(e Entry, ev Event) error {
	e.Treatment, ev.Treatment = c.i, c.t.ID
	if c.b.Lease > 0 {
		e.Until = c.Now().Add(time.Duration(c.b.Lease) * time.Minute)
	}
	err := c.Runner.write(e, ev)
	c.catchUp()
	return err
}

// catchUp has d know what was written.
func (c *walk) catchUp() {
	for _, e := range c.Journal.entries[c.seen:] {
		if e.Treatment == c.i {
			c.d.take(e)
		}
	}
	c.seen = len(c.Journal.entries)
}

// takeBack takes back what stands of the course, or of one act of it. Whoever wants to
// stop does not want half of it.
func (c *walk) takeBack(ctx context.Context, chosen func(act int) bool, u *Undone) error {
	err := c.Runner.takeBack(context.WithoutCancel(ctx), func(at [2]int) bool { return at[0] == c.i && chosen(at[1]) }, u)
	c.catchUp()
	return err
}

func all(int) bool { return true }

// fail ends a course that cannot be gone on with.
func (c *walk) fail(ctx context.Context, err error) (Result, bool, error) {
	if err := c.takeBack(ctx, all, nil); err != nil {
		return "", true, err
	}
	e, ev := Entry{Kind: EntryFailed, Step: len(c.d.done), Err: err.Error()}, Event{Step: len(c.d.done) + 1, Err: err.Error()}
	return Broken, true, c.write(e, ev)
}

// leave ends a course that was not carried to its end.
func (c *walk) leave(ctx context.Context) (Result, bool, error) {
	if err := c.takeBack(ctx, all, nil); err != nil {
		return "", true, err
	}
	return "", true, c.write(Entry{Kind: EntryPassed}, Event{})
}

// end ends a course that was carried to its end. One that leaves nothing has its
// result; what another one changed is still to be proved.
func (c *walk) end(ctx context.Context) (Result, bool, error) {
	if !c.b.Passing {
		return "", false, c.write(Entry{Kind: EntryTreated}, Event{})
	}
	if err := c.takeBack(ctx, all, nil); err != nil {
		return "", true, err
	}
	e := Entry{Kind: EntryTried, Tried: c.attempt()}
	e.Result, e.Outcome = shows(c.d.done, *e.Tried)
	ev := Event{Course: c.Journal.Plan().Only()}
	if e.Outcome != nil {
		ev.Code = e.Outcome.Result
	} else {
		ev.Err = "the course did not try it"
	}
	return e.Result, true, c.write(e, ev)
}

// shows is what a course proves that leaves nothing. What worked while it had changed
// something shows the cause. What worked with nothing changed is well as it is, but
// only if it never failed so. An install that went well is a cure, whatever stood then.
func shows(done []procedure.Done, a host.Attempt) (Result, *host.Outcome) {
	standing := map[int]bool{}
	var good, failed, bare *host.Outcome
	baseline := false // it failed with nothing changed
	for n, x := range done {
		switch {
		case x.Act.Change != nil && x.OK() && !x.Skipped:
			standing[n] = true
		case x.Act.Back != nil && x.OK():
			delete(standing, *x.Act.Back)
		case x.Worked() && a.Stage == "install":
			return Cured, x.Outcome
		case x.Worked() && len(standing) > 0:
			good = x.Outcome
		case x.Worked():
			bare = x.Outcome
		case x.Failed():
			failed = x.Outcome
			baseline = baseline || len(standing) == 0
		}
	}
	switch {
	case good != nil:
		return Shown, good
	case bare != nil && !baseline:
		return Cured, bare
	case bare != nil:
		return Unproven, bare
	case failed != nil:
		return NotCured, failed
	}
	return Unproven, nil
}

// next makes the next act, or what is left of it. What cannot be done is an outcome,
// which the procedure decides about; an error says that it is over, waits, or stops.
func (c *walk) next(ctx context.Context) error {
	n := len(c.d.done)
	switch {
	case c.d.bad:
		return ErrJournal
	case c.d.wait != nil:
		started, err := c.started(ctx)
		if err != nil {
			return err
		}
		if !started.After(c.d.wait.Time) {
			return errWait
		}
		return c.write(Entry{Kind: EntryStarted, Step: n - 1, Started: started.UTC().Round(0)}, Event{})
	case c.d.owes():
		if c.d.restarts() > c.b.Restarts {
			return fmt.Errorf("%w: a restart more than the %d", errBounds, c.b.Restarts)
		}
		ev := Event{Step: n, Wait: time.Duration(c.b.Lease) * time.Minute}
		if err := c.wake(ctx, c.until()); err != nil { // where it cannot go on by itself, a person does it
			if c.b.Passing {
				return fmt.Errorf("%w: %w", errAlone, err)
			}
			ev.Err = err.Error()
		}
		return c.write(Entry{Kind: EntryRestart, Step: n - 1}, ev)
	}
	act, more := c.p.Next(slices.Clip(slices.Clone(c.d.done)))
	if c.d.open != nil && c.d.open.Act != nil { // what was begun is ended
		act, more = *c.d.open.Act, true
	}
	if !more {
		return errOver
	}
	if !c.b.Allows(act, n, c.d.restarts()) {
		return fmt.Errorf("%w: act %d", errBounds, n+1)
	}
	if (act.Change != nil || act.Fetch != nil) && c.b.Lease > 0 {
		if err := c.wake(ctx, c.until()); err != nil {
			return fmt.Errorf("%w: %w", errAlone, err)
		}
	}
	return c.act(ctx, n, act)
}

// until is when the lease of what is done now is over.
func (c *walk) until() time.Time {
	if c.b.Lease == 0 {
		return time.Time{}
	}
	return c.Now().Add(time.Duration(c.b.Lease) * time.Minute)
}

// act makes one act.
func (c *walk) act(ctx context.Context, n int, act procedure.Act) error {
	began := c.Now().UTC().Round(0)
	ev := Event{Step: n + 1, About: act.About, Args: act.Args, Change: act.Change}
	e := Entry{Kind: EntryAct, Step: n, Act: &act, Began: began}
	var err error
	switch {
	case act.Change != nil:
		return c.change(ctx, n, act, ev)
	case act.Fetch != nil:
		return c.fetch(ctx, n, act, ev)
	case c.Tell != nil:
		begin := ev
		begin.Kind, begin.Treatment = EntryBegin, c.t.ID
		c.Tell(begin)
	}
	switch {
	case act.Back != nil:
		e.Late, err = c.back(ctx, *act.Back)
	case act.Ask != nil:
		e.Answer, err = c.ask(ctx, *act.Ask)
	case act.Try:
		ev.Tried = true
		e.Tried = c.attempt()
		e.Outcome, err = c.try(ctx, *e.Tried)
		if e.Outcome != nil {
			ev.Code = e.Outcome.Result
		}
	}
	if ctx.Err() != nil && err != nil && act.Back == nil {
		return ctx.Err() // it is made again
	}
	return c.over(e, ev, err)
}

// over writes that an act is over, with what went wrong.
func (c *walk) over(e Entry, ev Event, err error) error {
	if err != nil {
		e.Err, ev.Err = err.Error(), err.Error()
		var h codes.HRESULT
		if errors.As(err, &h) {
			e.Code, ev.Code = h.String(), h
		}
	}
	return c.write(e, ev)
}

// change makes a change. One that could not be made is taken back, and the procedure
// decides; a tool that ended with an error has done what it has.
func (c *walk) change(ctx context.Context, n int, act procedure.Act, ev Event) error {
	_, _, err := c.step(ctx, making{
		at: [2]int{c.i, n}, step: Step{Change: *act.Change}, act: &act, event: ev, begun: c.d.open, until: c.until(), write: c.write,
	})
	var failed *stepError
	if !errors.As(err, &failed) {
		return err
	}
	began := c.Now().UTC().Round(0)
	if c.d.open != nil {
		began = c.d.open.Time
	}
	if act.Change.Kind != host.Run {
		if err := c.takeBack(ctx, func(act int) bool { return act == n }, nil); err != nil {
			return err
		}
	}
	return c.over(Entry{Kind: EntryAct, Step: n, Act: &act, Began: began}, ev, failed.err)
}

// fetch brings a file. What stood in its place before is not updoc's to take away.
func (c *walk) fetch(ctx context.Context, n int, act procedure.Act, ev Event) error {
	made := kept(*act.Fetch)
	if ev.Change = &made; c.Fetch == nil {
		return c.over(Entry{Kind: EntryAct, Step: n, Act: &act, Began: c.Now().UTC().Round(0)}, ev, errors.New("nothing can be fetched here"))
	}
	if c.d.open == nil {
		begin := Entry{Kind: EntryBegin, Step: n, Act: &act}
		if !c.exists(ctx, act.Fetch.To) {
			begin.Undo = []host.Change{{Kind: host.FileDrop, Path: act.Fetch.To}}
		}
		if err := c.write(begin, ev); err != nil {
			return err
		}
	}
	began := c.d.open.Time
	err := c.Fetch(ctx, *act.Fetch)
	switch {
	case err == nil:
		return c.write(Entry{Kind: EntryDone, Step: n}, ev)
	case ctx.Err() != nil:
		return ctx.Err() // gone on with where it stopped
	}
	if err := c.takeBack(ctx, func(act int) bool { return act == n }, nil); err != nil {
		return err
	}
	return c.over(Entry{Kind: EntryAct, Step: n, Act: &act, Began: began}, ev, err)
}

// back takes back the change of an act; late says that a restart makes the rest of it.
// What a later act changed as well goes back before it, or the later one would bring it
// again.
func (c *walk) back(ctx context.Context, n int) (late bool, err error) {
	begun := c.Journal.progress().begun
	if e, ok := begun[[2]int{c.i, n}]; ok {
		for at, x := range begun {
			if at[0] == c.i && at[1] > n && overlap(e, x) {
				return false, fmt.Errorf("act %d changed the same thing since, and goes back first", at[1]+1)
			}
		}
	}
	var u Undone
	if err := c.takeBack(ctx, func(act int) bool { return act == n }, &u); err != nil {
		return false, err
	}
	if c.d.left[n] {
		return u.Restart, errors.New("somebody changed the same thing since; it stays")
	}
	return u.Restart, nil
}

// overlap reports that two acts changed the same thing, or one a thing that the other
// lies in.
func overlap(a, b Entry) bool {
	for _, x := range append(slices.Clone(a.Undo), changeOf(a)...) {
		for _, y := range append(slices.Clone(b.Undo), changeOf(b)...) {
			if touch(x, y) {
				return true
			}
		}
	}
	return false
}

func changeOf(e Entry) []host.Change {
	switch {
	case e.Act == nil:
	case e.Act.Change != nil:
		return []host.Change{*e.Act.Change}
	case e.Act.Fetch != nil:
		return []host.Change{kept(*e.Act.Fetch)}
	}
	return nil
}

func touch(x, y host.Change) bool {
	value := func(c host.Change) bool { return c.Kind == host.ValueSet || c.Kind == host.ValueDel }
	service := func(c host.Change) bool { return strings.HasPrefix(string(c.Kind), "service-") }
	switch {
	case x.Kind == host.Run || y.Kind == host.Run:
		return false
	case service(x) || service(y):
		return x.Kind == y.Kind && strings.EqualFold(x.Path, y.Path) && !x.Passing()
	case value(x) && value(y):
		return strings.EqualFold(x.Path, y.Path) && strings.EqualFold(x.Name, y.Name)
	}
	for _, p := range []string{x.Path, x.To} {
		for _, q := range []string{y.Path, y.To} {
			p, q := strings.ToLower(p)+`\`, strings.ToLower(q)+`\`
			if len(p) > 1 && len(q) > 1 && (strings.HasPrefix(p, q) || strings.HasPrefix(q, p)) {
				return true
			}
		}
	}
	return false
}

// ask asks the machine.
func (c *walk) ask(ctx context.Context, q host.Question) (json.RawMessage, error) {
	a, err := c.Host.Ask(ctx, q)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Compact(&b, a.JSON); err != nil { // as it comes out of the journal
		return nil, fmt.Errorf("ask %s: %w", q.Name, err)
	}
	if b.Len() > maxCourse {
		return nil, fmt.Errorf("ask %s: an answer of %d bytes", q.Name, b.Len())
	}
	return b.Bytes(), nil
}

// try repeats the stage that failed.
func (c *walk) try(ctx context.Context, a host.Attempt) (*host.Outcome, error) {
	if c.Agent == nil {
		return nil, errors.New("it cannot be tried here")
	}
	out, err := c.Agent.Try(ctx, a)
	if err != nil {
		return nil, err
	}
	return &out, nil
}
