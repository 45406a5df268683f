package repair_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"updoc/internal/codes"
	"updoc/internal/durable"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/procedure"
	"updoc/internal/repair"
)

// script is a procedure whose acts a test writes down.
type script struct {
	bounds procedure.Bounds
	next   func(done []procedure.Done) (procedure.Act, bool)
}

func (s script) Bounds() procedure.Bounds                         { return s.bounds }
func (s script) Next(done []procedure.Done) (procedure.Act, bool) { return s.next(done) }
func (s script) Story(done []procedure.Done) []message.Line {
	return []message.Line{{ID: "story", Args: map[string]string{"acts": fmt.Sprint(len(done))}}}
}
func (s script) decode(json.RawMessage) (procedure.Procedure, error) { return s, nil }

// list is a script of acts that follow each other whatever happens.
func list(b procedure.Bounds, acts ...procedure.Act) script {
	if b.Acts == 0 {
		b.Acts = len(acts)
	}
	return script{b, func(done []procedure.Done) (procedure.Act, bool) {
		if len(done) == len(acts) {
			return procedure.Act{}, false
		}
		return acts[len(done)], true
	}}
}

// course is a treatment with the course of a script.
func course(t testing.TB, s script) repair.Treatment {
	t.Helper()
	repair.SetCourse(t, "script", s.decode)
	return repair.Treatment{ID: "run-clean-boot", Risk: repair.RiskRestart, How: repair.Automatic, Course: &repair.Course{Name: "script"}}
}

func change(c host.Change) procedure.Act { return procedure.Act{Change: &c} }

func try() procedure.Act { return procedure.Act{Try: true} }

func back(n int) procedure.Act { return procedure.Act{Back: &n} }

// told is a machine that answers a question.
type asked struct {
	host.Host
	answer string
}

func (a asked) Ask(_ context.Context, q host.Question) (host.Answer, error) {
	if q.Name != "example" {
		return host.Answer{}, host.ErrNotRecorded
	}
	return host.Answer{JSON: json.RawMessage(a.answer)}, nil
}

// Every kind of act leads to what the procedure is told, and the journal tells the
// same when it is read again.
func TestCourse(t *testing.T) {
	a, b := host.Set(policies, "A", dword(1)), host.Set(policies, "B", dword(2))
	file := procedure.Fetch{URL: "http://download.fabrikam.example/a.cab", To: `C:\ProgramData\updoc\a.cab`, SHA256: strings.Repeat("0a", 32)}
	gone := host.Change{Kind: host.ServiceRun, Path: "missing"}
	var last []procedure.Done
	s := list(procedure.Bounds{Changes: []host.Change{a, b, gone}, Fetches: []procedure.Fetch{file}, Asks: []string{"example", "nothing"}, Tries: true, Acts: 20},
		change(a), change(a), change(b), back(2), change(gone),
		procedure.Act{Ask: &host.Question{Name: "example"}}, procedure.Act{Ask: &host.Question{Name: "nothing"}},
		procedure.Act{Fetch: &file}, try())
	next := s.next
	s.next = func(done []procedure.Done) (procedure.Act, bool) {
		last = done
		return next(done)
	}
	h, disk := asked{machine(), "{ \"n\": 1 }"}, durable.NewLossy(1)
	r := runner(t, h, &agent{results: []codes.HRESULT{0x80240022, 0}}, disk, course(t, s))
	r.Fetch = func(ctx context.Context, f procedure.Fetch) error {
		return h.Apply(ctx, host.Change{Kind: host.Write, Path: f.To, Data: []byte("cabinet")})
	}
	res, err := r.Run(t.Context())
	if err != nil || res != repair.Cured {
		t.Fatalf("%s, %v", res, err)
	}
	var got []string
	for _, d := range last {
		x := "ok"
		switch {
		case d.Skipped:
			x = "so already"
		case d.Err != "":
			x = "failed"
		case d.Answer != nil:
			x = string(d.Answer)
		case d.Outcome != nil:
			x = d.Outcome.Result.String()
		}
		got = append(got, x)
	}
	if want := []string{"ok", "so already", "ok", "ok", "failed", `{"n":1}`, "failed", "ok", "0x80240022"}; cmp.Diff(want, got) != "" {
		t.Errorf("done (-want +got):\n%s", cmp.Diff(want, got))
	}
	if v := value(t, h, policies, "A") + value(t, h, policies, "B"); v != "[1 0 0 0]-" {
		t.Errorf("A and B are %s", v)
	}
	live := last
	j, err := repair.OpenJournal(disk, "state/r1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(live, repair.Doings(j, 0)); diff != "" {
		t.Errorf("the journal tells another story (-live +read):\n%s", diff)
	}
	if got := j.Story(); len(got) != 1 || got[0].Lines[0].Args["acts"] != "9" {
		t.Errorf("story %+v", got)
	}
	u, err := r.Undo(t.Context())
	if err != nil || u.Back != 2 || value(t, h, policies, "A") != "no key" {
		t.Errorf("undo: %+v, %v", u, err)
	}
	if ok, err := host.Holds(t.Context(), h, host.Change{Kind: host.FileDrop, Path: file.To}); err != nil || !ok {
		t.Errorf("what was fetched is there after the undo: %v", err)
	}
}

// A tool that ends with a code has ended; what follows is the procedure's decision.
func TestCourseTool(t *testing.T) {
	dism := host.Change{Kind: host.Run, Path: "dism", Args: []string{"/Online", "/Cleanup-Image", "/RestoreHealth"}}
	sfc := host.Change{Kind: host.Run, Path: "sfc", Args: []string{"/scannow"}}
	b := procedure.Bounds{Changes: []host.Change{dism, sfc}, Acts: 3}
	s := script{b, func(done []procedure.Done) (procedure.Act, bool) {
		switch {
		case len(done) == 0:
			return change(dism), true
		case len(done) == 1 && done[0].Code == 0x800F081F:
			return change(sfc), true
		}
		return procedure.Act{}, false
	}}
	tr := course(t, s)
	tr.ID = "run-dism-restorehealth"
	h := &failing{Overlay: machine(), fails: map[string]error{"dism": codes.HRESULT(0x800F081F)}}
	r := runner(t, h, &agent{results: []codes.HRESULT{0x800F081F}}, durable.NewLossy(1), tr)
	if res, err := r.Run(t.Context()); err != nil || res != repair.NotCured {
		t.Fatalf("%s, %v", res, err)
	}
	if want := "plan begin act begin done treated tried end"; kinds(r.Journal) != want {
		t.Errorf("journal: %s, want %s", kinds(r.Journal), want)
	}
	if u, err := r.Undo(t.Context()); err != nil || len(u.Lasting) != 1 {
		t.Errorf("undo does not say that it cannot be taken back: %+v, %v", u, err)
	}
}

// failing is a machine that cannot make some changes; of those to files and keys it
// makes half.
type failing struct {
	*host.Overlay
	fails map[string]error // by path
	half  bool
}

func (f *failing) Apply(ctx context.Context, c host.Change) error {
	err := f.fails[c.Path]
	switch {
	case err == nil:
		if c.Kind == host.Run {
			return nil
		}
		return f.Overlay.Apply(ctx, c)
	case f.half:
		_ = f.Overlay.Apply(ctx, c)
	}
	return fmt.Errorf("%s: %w", c.Path, err)
}

// Half a change is taken back before the procedure hears of it.
func TestCourseHalfAChange(t *testing.T) {
	c := host.Set(policies, "A", dword(1))
	h := &failing{Overlay: machine(), fails: map[string]error{policies: codes.HRESULT(0x80070005)}, half: true}
	var seen string
	b := procedure.Bounds{Changes: []host.Change{c}, Acts: 2}
	r := runner(t, h, &agent{results: []codes.HRESULT{0}}, durable.NewLossy(1), course(t, script{b, func(done []procedure.Done) (procedure.Act, bool) {
		if len(done) == 0 {
			return change(c), true
		}
		seen = done[0].Code.String() + " " + value(t, h, policies, "A")
		return procedure.Act{}, false
	}}))
	// The half is made through Apply, and so is what takes it back.
	h.fails = map[string]error{policies: codes.HRESULT(0x80070005)}
	once := h.fails
	r.Tell = func(e repair.Event) {
		if e.Kind == repair.EntryUndoing {
			h.fails = nil
		}
	}
	if res, err := r.Run(t.Context()); err != nil || res != repair.Cured {
		t.Fatalf("%s, %v", res, err)
	}
	if want := "0x80070005 no key"; seen != want || len(once) != 1 {
		t.Errorf("the procedure sees %s, want %s", seen, want)
	}
}

// What a course leaves nothing of shows a cause, or that there is none.
func TestPassingCourse(t *testing.T) {
	stop := host.Change{Kind: host.ServiceStart, Path: "ExampleFilter", Start: &host.Start{Type: 4}}
	b := procedure.Bounds{Changes: []host.Change{stop}, Tries: true, Passing: true, Lease: 30, Acts: 8}
	const bad codes.HRESULT = 0x80070005
	for _, tt := range []struct {
		name  string
		acts  []procedure.Act
		tries []codes.HRESULT
		want  repair.Result
	}{
		{"it works without it", []procedure.Act{try(), change(stop), try()}, []codes.HRESULT{bad, 0}, repair.Shown},
		{"and again with it", []procedure.Act{try(), change(stop), try(), back(1), try()}, []codes.HRESULT{bad, 0, bad}, repair.Shown},
		{"it never works", []procedure.Act{try(), change(stop), try()}, []codes.HRESULT{bad, bad}, repair.NotCured},
		{"it works as it is", []procedure.Act{try(), try()}, []codes.HRESULT{0, 0}, repair.Cured},
		{"now so and now otherwise", []procedure.Act{try(), try()}, []codes.HRESULT{bad, 0}, repair.Unproven},
		{"nobody tried", []procedure.Act{change(stop)}, []codes.HRESULT{0}, repair.Unproven},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := machine()
			r := runner(t, h, &agent{results: tt.tries}, durable.NewLossy(1), course(t, list(b, tt.acts...)))
			if res, err := r.Run(t.Context()); err != nil || res != tt.want {
				t.Fatalf("%s, %v, want %s", res, err, tt.want)
			}
			if s, _ := h.Service(t.Context(), "ExampleFilter"); s.Start != 2 {
				t.Errorf("the service starts as %d", s.Start)
			}
			if n := r.Journal.Summary().Standing; n != 0 {
				t.Errorf("%d changes stand", n)
			}
			if res, err := r.Run(t.Context()); err != nil || res != tt.want {
				t.Errorf("asked again: %s, %v", res, err)
			}
		})
	}
}

// A course waits for its restarts, goes on by itself and learns when they were.
func TestCourseRestarts(t *testing.T) {
	stop := host.Change{Kind: host.ServiceStart, Path: "ExampleFilter", Start: &host.Start{Type: 4}}
	b := procedure.Bounds{Changes: []host.Change{stop}, Tries: true, Passing: true, Lease: 30, Acts: 8, Restarts: 2}
	at := change(stop)
	at.Restart = true
	disk := durable.NewLossy(1)
	var last []procedure.Done
	s := list(b, try(), at, try(), back(1), procedure.Act{Restart: true})
	next := s.next
	s.next = func(done []procedure.Done) (procedure.Act, bool) { last = done; return next(done) }
	r := runner(t, machine(), &agent{results: []codes.HRESULT{0x80070005, 0}}, disk, course(t, s))
	now, started := noon, noon.Add(-time.Hour)
	r.Now = func() time.Time { now = now.Add(time.Second); return now }
	r.Started = func(context.Context) (time.Time, error) { return started, nil }
	var tasks []string
	r.AtStart = func(_ context.Context, on bool, at time.Time) error {
		tasks = append(tasks, fmt.Sprint(on, !at.IsZero()))
		return nil
	}
	for round := range 2 {
		for range 2 {
			if res, err := r.Run(t.Context()); err != nil || res != repair.Restart {
				t.Fatalf("round %d: %s, %v", round, res, err)
			}
		}
		if on, at := r.Journal.Wakes(); !on || round == 0 && at.Before(now) {
			t.Errorf("round %d: wakes %v, %v", round, on, at)
		}
		now = now.Add(time.Minute)
		started = now
		var err error
		if r.Journal, err = repair.OpenJournal(disk, "state/r1"); err != nil {
			t.Fatal(err)
		}
	}
	if res, err := r.Run(t.Context()); err != nil || res != repair.Shown {
		t.Fatalf("%s, %v", res, err)
	}
	if len(last) != 5 || !last[4].Started.Equal(started) || last[1].Started.IsZero() || !last[0].Started.IsZero() {
		t.Errorf("done %+v", last)
	}
	if want := "false false"; tasks[len(tasks)-1] != want {
		t.Errorf("at its end the machine is left with the task %s", tasks[len(tasks)-1])
	}
	if want := "plan act begin done restart started act undoing undone act act restart started tried end"; kinds(r.Journal) != want {
		t.Errorf("journal: %s, want %s", kinds(r.Journal), want)
	}
}

// Who is not there when a restart was asked for gets the machine back as it was.
func TestCourseLease(t *testing.T) {
	stop := host.Change{Kind: host.ServiceStart, Path: "ExampleFilter", Start: &host.Start{Type: 4}}
	b := procedure.Bounds{Changes: []host.Change{stop}, Tries: true, Passing: true, Lease: 30, Acts: 8, Restarts: 2}
	at := change(stop)
	at.Restart = true
	h := machine()
	r := runner(t, h, &agent{results: []codes.HRESULT{0}}, durable.NewLossy(1), course(t, list(b, at, try())))
	now := noon
	r.Now = func() time.Time { return now }
	r.Started = func(context.Context) (time.Time, error) { return now, nil }
	if res, err := r.Run(t.Context()); err != nil || res != repair.Restart {
		t.Fatalf("%s, %v", res, err)
	}
	now = now.Add(29 * time.Minute)
	if u, err := r.Expired(t.Context()); err != nil || u.Back != 0 {
		t.Errorf("within its time: %+v, %v", u, err)
	}
	now = now.Add(2 * time.Minute)
	if u, err := r.Expired(t.Context()); err != nil || u.Back != 1 {
		t.Errorf("after its time: %+v, %v", u, err)
	}
	if res, err := r.Run(t.Context()); err != nil || res != repair.Left {
		t.Errorf("%s, %v", res, err)
	}
	if s, _ := h.Service(t.Context(), "ExampleFilter"); s.Start != 2 {
		t.Errorf("the service starts as %d", s.Start)
	}
}

// Who stops an experiment has the machine as it was; who stops a repair has it whole.
func TestCourseStopped(t *testing.T) {
	for _, passing := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		a := host.Set(policies, "A", dword(1))
		b := procedure.Bounds{Changes: []host.Change{a}, Asks: []string{"example"}, Acts: 8, Passing: passing, Lease: map[bool]int{true: 10}[passing]}
		h := asked{machine(), "0"}
		acts := list(b, change(a), procedure.Act{Ask: &host.Question{Name: "example"}})
		r := runner(t, h, &agent{results: []codes.HRESULT{0}}, durable.NewLossy(1), course(t, acts))
		r.Tell = func(e repair.Event) {
			if e.Kind == repair.EntryDone {
				cancel()
			}
		}
		if _, err := r.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("%v", err)
		}
		if got, want := value(t, h, policies, "A"), map[bool]string{false: "[1 0 0 0]", true: "no key"}[passing]; got != want {
			t.Errorf("passing %v: stopped, A is %s, want %s", passing, got, want)
		}
		res, err := r.Run(t.Context())
		if want := map[bool]repair.Result{false: repair.Cured, true: repair.Left}[passing]; err != nil || res != want {
			t.Errorf("passing %v: gone on with: %s, %v, want %s", passing, res, err, want)
		}
	}
}

// A course is held to what was agreed to: who goes beyond loses all that it did.
func TestCourseBounds(t *testing.T) {
	a, other := host.Set(policies, "A", dword(1)), host.Set(policies, "A", dword(2))
	for name, s := range map[string]script{
		"another change":     list(procedure.Bounds{Changes: []host.Change{a}, Acts: 5}, change(a), change(other)),
		"an act too many":    list(procedure.Bounds{Changes: []host.Change{a}, Acts: 1}, change(a), change(a)),
		"a restart":          list(procedure.Bounds{Changes: []host.Change{a}, Acts: 5}, change(a), procedure.Act{Restart: true}),
		"without an end":     {procedure.Bounds{Changes: []host.Change{a}, Acts: 50}, func([]procedure.Done) (procedure.Act, bool) { return change(a), true }},
		"an unasked attempt": list(procedure.Bounds{Changes: []host.Change{a}, Acts: 5}, change(a), try()),
	} {
		t.Run(name, func(t *testing.T) {
			h := machine()
			r := runner(t, h, &agent{results: []codes.HRESULT{0}}, durable.NewLossy(1), course(t, s))
			if res, err := r.Run(t.Context()); err != nil || res != repair.Broken {
				t.Errorf("%s, %v", res, err)
			}
			if got := value(t, h, policies, "A"); got != "no key" {
				t.Errorf("A is %s", got)
			}
		})
	}
}

// A plan is data: what no procedure would write is refused with it.
func TestCourseRefused(t *testing.T) {
	fetch := procedure.Fetch{URL: "http://download.fabrikam.example/a.cab", To: `C:\ProgramData\updoc\a.cab`, SHA1: strings.Repeat("0a", 20)}
	with := func(f func(*procedure.Fetch)) procedure.Bounds {
		x := fetch
		f(&x)
		return procedure.Bounds{Acts: 1, Fetches: []procedure.Fetch{x}}
	}
	for name, b := range map[string]procedure.Bounds{
		"no act":                  {},
		"a million acts":          {Acts: 1e6},
		"servicing's key":         {Acts: 1, Changes: []host.Change{{Kind: host.KeyDrop, Path: `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`}}},
		"a tool":                  {Acts: 1, Changes: []host.Change{{Kind: host.Run, Path: "dism", Args: []string{"/Online", "/Cleanup-Image", "/RestoreHealth"}}}},
		"nothing takes it back":   {Acts: 1, Passing: true},
		"a lease of what stays":   {Acts: 1, Lease: 5},
		"a file without a digest": with(func(f *procedure.Fetch) { f.SHA1 = "" }),
		"a short digest":          with(func(f *procedure.Fetch) { f.SHA256 = "0a" }),
		"another scheme":          with(func(f *procedure.Fetch) { f.URL = "file:///C:/a.cab" }),
		"a place in the store":    with(func(f *procedure.Fetch) { f.To = `C:\Windows\WinSxS\a.cab` }),
		"no place":                with(func(f *procedure.Fetch) { f.To = `a.cab` }),
	} {
		t.Run(name, func(t *testing.T) {
			p := &repair.Plan{Schema: repair.Schema, Run: "r1", Treatments: []repair.Treatment{course(t, list(b))}}
			if err := p.Check(); err == nil {
				t.Error("accepted")
			}
		})
	}
	good := &repair.Plan{Schema: repair.Schema, Run: "r1", Treatments: []repair.Treatment{course(t, list(with(func(*procedure.Fetch) {})))}}
	if err := good.Check(); err != nil {
		t.Errorf("refused: %v", err)
	}
	good.Treatments[0].Course.Name = "no such"
	if err := good.Check(); err == nil {
		t.Error("a course that there is none of is accepted")
	}
}

// wild is a procedure that does anything, and depends on nothing but what was done.
type wild struct {
	Seed   uint64           `json:"seed"`
	Length int              `json:"length"`
	Limits procedure.Bounds `json:"bounds"`
	look   func([]procedure.Done)
}

func (w wild) Bounds() procedure.Bounds              { return w.Limits }
func (w wild) Story([]procedure.Done) []message.Line { return nil }

func (w wild) Next(done []procedure.Done) (procedure.Act, bool) {
	w.look(done)
	n := len(done)
	if n >= w.Length {
		return procedure.Act{}, false
	}
	h := fnv.New64a()
	restarts := 0
	for _, d := range done {
		fmt.Fprint(h, d.Err, d.Skipped, d.Worked())
		if d.Act.Restart {
			restarts++
		}
	}
	fmt.Fprint(h, w.Seed, n)
	x := h.Sum64()
	pick := func(k int) int { defer func() { x /= uint64(k) }(); return int(x % uint64(k)) }
	var a procedure.Act
	switch pick(8) {
	case 0:
		a = procedure.Act{Ask: &host.Question{Name: "example"}}
	case 1:
		a = try()
	case 2, 3:
		if n > 0 {
			a = back(pick(n))
			break
		}
		fallthrough
	default:
		c := w.Limits.Changes[pick(len(w.Limits.Changes))]
		a = change(c)
	}
	a.Restart = restarts < w.Limits.Restarts && pick(5) == 0
	return a, true
}

// TestCourseKilled: whatever a procedure does, whatever fails and wherever the power
// goes, going on ends the course with what the journal says of it, an experiment leaves
// nothing, and an undo restores the machine.
func TestCourseKilled(t *testing.T) {
	var look func([]procedure.Done)
	repair.SetCourse(t, "wild", func(data json.RawMessage) (procedure.Procedure, error) {
		w := wild{look: look}
		return w, json.Unmarshal(data, &w)
	})
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		h := &mortal{Overlay: machine()}
		for range rapid.IntRange(0, 5).Draw(t, "before") {
			c := drawChange(t)
			if c.Kind == host.Move || c.Check() != nil {
				continue
			}
			_ = h.Overlay.Apply(ctx, c)
		}
		passing := rapid.Bool().Draw(t, "passing")
		w := wild{Seed: rapid.Uint64().Draw(t, "acts"), Length: rapid.IntRange(1, 14).Draw(t, "length")}
		w.Limits = procedure.Bounds{Asks: []string{"example"}, Tries: true, Acts: w.Length, Restarts: 2, Passing: passing}
		if passing {
			w.Limits.Lease = 60
		}
		var all []repair.Step
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			c := drawChange(t)
			w.Limits.Changes, all = append(w.Limits.Changes, c), append(all, repair.Step{Change: c})
		}
		data, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		tr := automatic("run-clean-boot")
		tr.Course = &repair.Course{Name: "wild", Data: data}
		treatments := []repair.Treatment{tr}
		if rapid.Bool().Draw(t, "steps after") {
			c := drawChange(t)
			all = append(all, repair.Step{Change: c})
			treatments = append(treatments, automatic("sync-clock", c))
		}
		before := state(t, h.Overlay, all)

		// What the procedure is told of one act never changes, but that a restart followed.
		var known []procedure.Done
		look = func(done []procedure.Done) {
			for i := range min(len(known), len(done)) {
				old := known[i]
				if old.Started.IsZero() {
					old.Started = done[i].Started
				}
				if diff := cmp.Diff(old, done[i]); diff != "" {
					t.Fatalf("act %d is told otherwise now (-before +now):\n%s", i, diff)
				}
			}
			known = done
		}

		disk := durable.NewLossy(rapid.Uint64().Draw(t, "seed"))
		plan := &repair.Plan{Schema: repair.Schema, Run: "r1", Treatments: treatments}
		clock, started := noon, noon.Add(-time.Hour)
		calls, cut := 0, rapid.IntRange(1, 200).Draw(t, "cut")
		h.at, h.after = rapid.IntRange(0, 20).Draw(t, "kill"), rapid.Bool().Draw(t, "after")
		fails := rapid.SliceOfN(rapid.IntRange(1, 20), 0, 3).Draw(t, "fails")
		h.fails = func(n int) bool { return contains(fails, n) }
		disk.Before = func(string) bool {
			calls++
			return calls != cut
		}
		late := rapid.Bool().Draw(t, "nobody comes in time")
		undo := rapid.Bool().Draw(t, "undo")
		for lives := 0; ; lives++ {
			if lives > 12 {
				t.Fatal("it never ends")
			}
			var res repair.Result
			err := life(func() error {
				j, err := repair.OpenJournal(disk, "state/r1")
				if errors.Is(err, fs.ErrNotExist) {
					j, err = repair.CreateJournal(disk, "state/r1", plan, noon)
				}
				if err != nil {
					return err
				}
				r := &repair.Runner{
					Host: asked{h, `{"answer":1}`}, Journal: j,
					Agent:   &agent{results: []codes.HRESULT{0x80070422, 0, 0x80070422}},
					Now:     func() time.Time { clock = clock.Add(time.Second); return clock },
					Started: func(context.Context) (time.Time, error) { return started, nil },
				}
				if lives > 0 && undo {
					res = repair.Stopped
				} else {
					if _, err := r.Expired(ctx); err != nil {
						return err
					}
					if res, err = r.Run(ctx); err != nil || res == repair.Restart {
						return err
					}
					if s := j.Summary(); passing && len(treatments) == 1 && s.Standing > 0 {
						t.Fatalf("%s, and %d changes stand", res, s.Standing)
					}
				}
				if passing && len(treatments) == 1 && !undo {
					return nil
				}
				u, err := r.Undo(ctx)
				if err != nil {
					return err
				}
				if len(u.Conflicts) > 0 {
					t.Fatalf("conflicts with itself: %+v", u.Conflicts)
				}
				return nil
			})
			switch {
			case errors.Is(err, errKilled), errors.Is(err, durable.ErrLost):
				disk.Crash()
				known = nil // what was not written may go otherwise
			case errors.Is(err, errFails): // it could not be taken back: gone on with
			case err != nil:
				t.Fatal(err)
			case res != repair.Restart:
				if after := state(t, h.Overlay, all); after != before {
					t.Fatalf("%s\nbefore:\n%s\nafter:\n%s", res, before, after)
				}
				return
			}
			if late {
				clock = clock.Add(2 * time.Hour)
			}
			clock = clock.Add(time.Minute)
			started = clock
		}
	})
}

var errFails = errors.New("it cannot be done")

func contains(list []int, n int) bool {
	for _, x := range list {
		if x == n {
			return true
		}
	}
	return false
}
