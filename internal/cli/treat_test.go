package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"updoc/internal/durable"
	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/repair"
)

// sickPC makes a scenario's machine and lets it fail.
func sickPC(t testing.TB, name string) (*lab.Scenario, string) {
	t.Helper()
	dir := t.TempDir()
	return sickIn(t, name, dir), dir
}

// sickIn does so in a folder.
func sickIn(t testing.TB, name, dir string) *lab.Scenario {
	t.Helper()
	s, err := lab.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := lab.NewMachine(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.Try(t.Context(), host.Attempt{Stage: s.Cure.Fails})
	if err != nil || out.Result.String() != s.Cure.Result {
		t.Fatalf("its %s ends with %v, %v, want %s", s.Cure.Fails, out.Result, err, s.Cure.Result)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// opened is a sick machine, opened as updoc opens it.
func opened(t testing.TB, dir string) labPatient {
	t.Helper()
	p, _, err := openLab(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p.(labPatient)
}

func snapshot(t testing.TB, p labPatient) map[string]string {
	t.Helper()
	s, err := p.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// differ lists what two snapshots do not have in common. What Windows made anew in
// the place of what was moved is kept beside it, and is no difference.
func differ(before, after map[string]string) []string {
	var out []string
	for k, v := range before {
		if after[k] != v {
			out = append(out, fmt.Sprintf("%s: %.200q, was %.200q", k, after[k], v))
		}
	}
	for k := range after {
		if _, ok := before[k]; !ok && !strings.Contains(k, host.Since) {
			out = append(out, k+" is new")
		}
	}
	slices.Sort(out)
	return out
}

// without leaves out what Windows keeps as it made it meanwhile.
func without(names []string, snapshot map[string]string) map[string]string {
	for _, n := range names {
		delete(snapshot, n)
	}
	return snapshot
}

// kept is what a scenario says must be as before.
func kept(t testing.TB, p labPatient, list []lab.Kept) string {
	t.Helper()
	var b strings.Builder
	for _, k := range list {
		key, err := p.Key(context.Background(), k.Key)
		if err != nil && !errors.Is(err, host.ErrNotExist) {
			t.Fatal(err)
		}
		for _, v := range key.Values {
			if k.Name == "" || strings.EqualFold(k.Name, v.Name) {
				fmt.Fprintf(&b, "%s %s %d %x\n", k.Key, v.Name, v.Type, v.Data)
			}
		}
	}
	return b.String()
}

// TestTreated: every machine of the lab is diagnosed, cured by a remedy that may
// cure it, in the order that costs least, with everything kept that somebody else
// decides about; and taken back to what it was.
func TestTreated(t *testing.T) {
	for _, name := range lab.MachineNames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dir := sickPC(t, name)
			p := opened(t, dir)
			before, keeps := snapshot(t, p), kept(t, p, s.Cure.Keeps)
			if keeps == "" {
				t.Error("nothing is set that must be kept")
			}
			x, err := examine(t.Context(), p, repair.RiskPermanent, false, (&Env{}).progress())
			if err != nil {
				t.Fatal(err)
			}
			doc, plan := x.doc, x.plan
			if err := s.Expect.Check(doc.Verdict, causeIDs(doc), remedyIDs(doc)); err != nil {
				t.Errorf("diagnosis: %v", err)
			}
			var order []string
			for _, tr := range plan.Treatments {
				if tr.Risk != repair.RiskOutside {
					order = append(order, tr.ID)
				}
			}
			if n := len(s.Cure.Order); len(order) < n || !slices.Equal(order[:n], s.Cure.Order) {
				t.Errorf("plan %v, want %v first", order, s.Cure.Order)
			}
			j, err := repair.CreateJournal(durable.OS{}, filepath.Join(dir, "updoc", plan.Run), plan, p.Now())
			if err != nil {
				t.Fatal(err)
			}
			r := runnerFor(p, j)
			r.Approve = func(context.Context, repair.Treatment) (bool, error) { return true, nil } // a person who does their part
			res, err := r.Run(t.Context())
			for res == repair.Restart && err == nil {
				if err := p.Restart(); err != nil {
					t.Fatal(err)
				}
				res, err = r.Run(t.Context())
			}
			sum := j.Summary()
			if err != nil || !s.Cure.As(string(res), cmp.Or(sum.Helped, sum.Showed)) {
				t.Errorf("%s by %q %q, %v; want %s by one of %v\n%s", res, sum.Helped, sum.Showed, err, cmp.Or(s.Cure.Ends, "cured"), s.Cure.CuredBy, told(j))
			}
			if now := kept(t, p, s.Cure.Keeps); now != keeps {
				t.Errorf("what must be kept was\n%sand is\n%s", keeps, now)
			}
			// A note that its user wrote before has no time, and stays.
			if notes, _ := p.Files(t.Context(), "notes.txt"); res == repair.Cured && len(notes) == 0 {
				if x, err := examine(t.Context(), p, repair.RiskPermanent, true, (&Env{}).progress()); err != nil || x.doc.Verdict != "healthy" || len(x.plan.Treatments) > 0 {
					t.Errorf("once it is cured it is %s with %d treatments, %v: %v", x.doc.Verdict, len(x.plan.Treatments), err, causeIDs(x.doc))
				}
			}
			u, err := r.Undo(t.Context())
			if err != nil || len(u.Conflicts) > 0 {
				t.Errorf("undo: %+v, %v", u, err)
			}
			if len(u.Lasting) == 0 {
				if d := differ(without(s.Cure.Left, before), without(s.Cure.Left, snapshot(t, p))); len(d) > 0 {
					t.Errorf("after undo:\n%s", strings.Join(d, "\n"))
				}
			}
		})
	}
}

func noSleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

func runnerFor(p Patient, j *repair.Journal) *repair.Runner {
	r := &repair.Runner{Journal: j, Now: p.Now, Started: p.Started, Sleep: noSleep}
	arm(r, p, j.User())
	return r
}

func told(j *repair.Journal) string {
	var b strings.Builder
	for _, e := range j.Entries() {
		id := ""
		if e.Treatment < len(j.Plan().Treatments) {
			id = j.Plan().Treatments[e.Treatment].ID
		}
		fmt.Fprintf(&b, "%d %s %s %d %s\n", e.Seq, e.Kind, id, e.Step, e.Err)
	}
	return b.String()
}

var errPower = errors.New("the power went")

// TestKilledMachines cuts the power at a point of every kind: in the middle of a
// change, of a journal's write, of an undo. Opened again, the machine is gone on
// with or taken back, and is never half of anything.
func TestKilledMachines(t *testing.T) {
	kills := 100
	if os.Getenv("UPDOC_FULL") != "" {
		kills = 1000
	}
	names := lab.MachineNames()
	patients, dir := make([]planned, len(names)), t.TempDir()
	t.Run("plans", func(t *testing.T) { // most of the time they wait
		for i, name := range names {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				patients[i] = planFirst(t, name, filepath.Join(dir, name))
			})
		}
	})
	if t.Failed() {
		return
	}
	random := rand.New(rand.NewPCG(20310203, 2))
	var hit atomic.Int64
	t.Run("kills", func(t *testing.T) {
		for i := range kills {
			p, at, undo := patients[i%len(patients)], 1+random.IntN(30), random.IntN(2) == 0
			t.Run(fmt.Sprintf("%s at %d", p.Name, at), func(t *testing.T) {
				t.Parallel()
				if p.killed(t, at, undo) {
					hit.Add(1)
				}
			})
		}
	})
	if n := int(hit.Load()); n < kills/2 {
		t.Errorf("only %d of %d were killed: the points lie behind the end", n, kills)
	}
}

// planned is a sick machine with the plan of its cure.
type planned struct {
	*lab.Scenario
	dir   string
	plan  *repair.Plan
	discs []string // ISO files, none of which is mounted in the end
	tools []string // folders in which tools of Windows leave things, which are theirs
}

func planFirst(t *testing.T, name, dir string) planned {
	t.Helper()
	s := sickIn(t, name, dir)
	p := opened(t, dir)
	x, err := examine(t.Context(), p, repair.RiskPermanent, false, (&Env{}).progress())
	if err != nil {
		t.Fatal(err)
	}
	return planned{Scenario: s, dir: dir, plan: x.plan}
}

// lasting reports that a run did something that nothing takes back, as far as its
// journal knows: an undo that was killed has told it to nobody.
func lasting(j *repair.Journal) bool {
	for _, e := range j.Entries() {
		switch t := j.Plan().Treatments[e.Treatment]; {
		case e.Kind != repair.EntryBegin || len(e.Undo) > 0:
		case t.Course == nil && t.Steps[e.Step].Lasting == "", t.Course != nil && e.Act.Change != nil && !e.Act.Change.Looks():
			return true
		}
	}
	return false
}

// points is how many places there are at which a whole treatment can die.
func (s planned) points(t *testing.T) int {
	t.Helper()
	dir := copyPC(t, s.dir)
	p, n := opened(t, dir), 0
	p.Crash = func(string) { n++ }
	j, err := repair.CreateJournal(durable.OS{}, filepath.Join(dir, "updoc", s.plan.Run), s.plan, p.Now())
	if err != nil {
		t.Fatal(err)
	}
	r := runnerFor(p, j)
	r.Approve = func(context.Context, repair.Treatment) (bool, error) { return true, nil }
	res, err := r.Run(t.Context())
	for res == repair.Restart && err == nil {
		if err = p.Restart(); err == nil {
			res, err = r.Run(t.Context())
		}
	}
	if err != nil || res != repair.Cured {
		t.Fatalf("%s: it ends %s, %v\n%s", s.Name, res, err, told(j))
	}
	return n
}

// ofTool reports something that lies where tools of Windows leave things.
func (s planned) ofTool(what string) bool {
	return slices.ContainsFunc(s.tools, func(folder string) bool { return strings.HasPrefix(what, folder) })
}

// killed treats a copy of a machine that dies at the given point, opens it again, and takes
// everything back, at once or after going on to the end.
func (s planned) killed(t *testing.T, at int, undoAtOnce bool) (hit bool) {
	dir := copyPC(t, s.dir)
	p := opened(t, dir)
	before, keeps := snapshot(t, p), kept(t, p, s.Cure.Keeps)
	state := filepath.Join(dir, "updoc", s.plan.Run)
	points := 0
	p.Crash = func(string) {
		if points++; points == at {
			panic(errPower)
		}
	}
	live := func(p labPatient, all bool) (u repair.Undone, err error) {
		defer func() {
			if x := recover(); x != nil {
				if x != any(errPower) {
					panic(x)
				}
				err = errPower
			}
		}()
		j, err := repair.OpenJournal(durable.OS{}, state)
		if errors.Is(err, fs.ErrNotExist) {
			j, err = repair.CreateJournal(durable.OS{}, state, s.plan, p.Now())
		}
		if err != nil {
			return u, err
		}
		r := runnerFor(p, j)
		r.Approve = func(context.Context, repair.Treatment) (bool, error) { return true, nil }
		if all {
			res, err := r.Run(t.Context())
			for res == repair.Restart && err == nil {
				if err = p.Restart(); err == nil {
					res, err = r.Run(t.Context())
				}
			}
			if err != nil {
				return u, err
			}
			if string(res) != cmp.Or(s.Cure.Ends, string(repair.Cured)) {
				return u, fmt.Errorf("it ends %s\n%s", res, told(j))
			}
		}
		return r.Undo(t.Context())
	}
	u, err := live(p, true)
	if errors.Is(err, errPower) {
		hit = true
		p = opened(t, dir) // what the process knew is gone
		u, err = live(p, !undoAtOnce)
	}
	u.Conflicts = slices.DeleteFunc(u.Conflicts, func(c repair.Conflict) bool { return c.Change.Kind == host.FolderMake && s.ofTool(c.Change.Path) })
	if err != nil || len(u.Conflicts) > 0 {
		t.Fatalf("%+v, %v", u, err)
	}
	if now := kept(t, p, s.Cure.Keeps); now != keeps {
		t.Errorf("what must be kept was\n%sand is\n%s", keeps, now)
	}
	j, err := repair.OpenJournal(durable.OS{}, state)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range s.discs {
		off, err := host.Holds(t.Context(), p, host.Change{Kind: host.Switch, Path: host.ImageSetting(file), State: "off"})
		if err != nil || !off {
			t.Errorf("%s is mounted still, %v", file, err)
		}
	}
	if !lasting(j) {
		d := differ(without(s.Cure.Left, before), without(s.Cure.Left, snapshot(t, p)))
		if d = slices.DeleteFunc(d, s.ofTool); len(d) > 0 {
			t.Errorf("after undo:\n%s\n%s", strings.Join(d, "\n"), told(j))
		}
	}
	return hit
}
