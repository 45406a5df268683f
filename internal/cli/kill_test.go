package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"updoc/internal/cause"
	"updoc/internal/durable"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/repair"
	"updoc/internal/store"
	"updoc/internal/ui"
	"updoc/internal/upgrade"
)

// copyPC is a copy of a machine, in memory where the system has a place for that: one
// that is killed in the middle of its writes waits for a disk at every one of them.
func copyPC(t testing.TB, from string) string {
	t.Helper()
	to, err := os.MkdirTemp("/dev/shm", "updoc-pc-")
	if err != nil {
		to = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(to) })
	dir := filepath.Join(to, "pc")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// powered does something on a machine until its power goes, if it does.
func powered(do func() error) (err error) {
	defer func() {
		if x := recover(); x != nil {
			if x != any(errPower) {
				panic(x)
			}
			err = errPower
		}
	}()
	return do()
}

// TestIsolateKilled: a search that is killed anywhere is taken back to the byte: by an
// undo, by the guard in safe mode, or when its time is over.
func TestIsolateKilled(t *testing.T) {
	kills := 42
	if os.Getenv("UPDOC_FULL") != "" {
		kills = 420
	}
	type sick struct {
		dir    string
		plan   *repair.Plan
		points int // places to die at
	}
	var machines []sick
	for _, breaks := range [][]int{{0}, {5}, {1, 4}} { // one culprit that is found early, one late, two that conflict together
		x := sick{dir: crowdedPC(t, 6, breaks)}
		p := opened(t, x.dir)
		x.plan = isolation(t, p)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		dir := copyPC(t, x.dir)
		whole := opened(t, dir)
		whole.Crash = func(string) { x.points++ }
		j, err := repair.CreateJournal(durable.OS{}, filepath.Join(dir, "updoc", x.plan.Run), x.plan, whole.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := searched(whole, guardedRunner(whole, dir, j)); err != nil {
			t.Fatal(err)
		}
		machines = append(machines, x)
	}
	rng := rand.New(rand.NewPCG(5, 5))
	var hit atomic.Int64
	t.Run("kills", func(t *testing.T) {
		for n := range kills {
			x := machines[n%len(machines)]
			at := 1 + rng.IntN(x.points)
			t.Run(fmt.Sprint(n, " at ", at), func(t *testing.T) {
				t.Parallel()
				dir := copyPC(t, x.dir)
				p := opened(t, dir)
				before := snapshot(t, p)
				j, err := repair.CreateJournal(durable.OS{}, filepath.Join(dir, "updoc", x.plan.Run), x.plan, p.Now())
				if err != nil {
					t.Fatal(err)
				}
				left := at
				p.Crash = func(string) {
					if left--; left == 0 {
						panic(errPower)
					}
				}
				err = powered(func() error { return searched(p, guardedRunner(p, dir, j)) })
				killed := errors.Is(err, errPower)
				if err != nil && !killed {
					t.Fatal(err)
				}
				m := opened(t, dir) // another process, after another start of the machine
				if err := m.Restart(); err != nil {
					t.Fatal(err)
				}
				if killed {
					hit.Add(1)
					rescued(t, m, dir, x.plan.Run, n/len(machines)%3)
				}
				if d := differ(before, snapshot(t, opened(t, dir))); len(d) > 0 {
					t.Errorf("killed at %d:\n%s", at, strings.Join(d, "\n"))
				}
			})
		}
	})
	if n := int(hit.Load()); n < kills*9/10 {
		t.Errorf("%d of %d were killed", n, kills)
	}
}

// searched carries a search to its end, with the restarts that it asks for.
func searched(p labPatient, r *repair.Runner) error {
	for {
		res, err := r.Run(context.Background())
		if err != nil || res != repair.Restart {
			return err
		}
		if err := p.Restart(); err != nil {
			return err
		}
	}
}

// rescued has a search taken back that was killed: by an undo, by the guard as Windows
// starts in safe mode, or by the guard when nobody went on with it for hours.
func rescued(t *testing.T, m labPatient, dir, run string, how int) {
	t.Helper()
	if how == 0 {
		if code, out := runLine(t, dir, "undo", run); code != ExitHealthy {
			t.Errorf("undo: exit code %d\n%s", code, out)
		}
		return
	}
	j, err := repair.OpenJournal(durable.OS{}, filepath.Join(dir, "updoc", run))
	if err != nil {
		t.Fatal(err)
	}
	g, err := m.Guarded()
	if err != nil && j.Summary().Standing == 0 { // before anything was changed
		return
	}
	if err != nil || g.Run != run {
		t.Fatalf("nobody stands guard: %+v, %v", g, err)
	}
	args := []string{"stand-guard", g.Run, "--safe-mode"}
	if how == 2 {
		m.World().Advance(200 * time.Minute)
		if err := errors.Join(m.Restart(), m.Close()); err != nil {
			t.Fatal(err)
		}
		args = args[:2]
	}
	if code, out := runLine(t, dir, args...); code != ExitHealthy {
		t.Errorf("guard: exit code %d\n%s", code, out)
	}
}

// TestKilledCourses cuts the power in the middle of repairs of the component store and of
// installations of Windows over itself, wherever that is: gone on with it ends as if
// nothing had been, taken back it leaves nothing but what a tool of Windows did.
func TestKilledCourses(t *testing.T) {
	kills := 45
	if os.Getenv("UPDOC_FULL") != "" {
		kills = 450
	}
	patients := []planned{
		storePatient(t, "components-update", ""), storePatient(t, "components-disc-file", `C:\Media\windows.iso`),
		storePatient(t, "components-policy-medium", `D:\`), storePatient(t, "components-healthy-machine", `E:\Windows`),
		storePatient(t, "components-package-missing", ""), storePatient(t, "components-half-installed", ""),
		upgradePatient(t, "upgrade-repairs-store", `C:\Media\windows.iso`), upgradePatient(t, "upgrade-from-esd", `C:\Media\22631.2861.fab.esd`),
		upgradePatient(t, "upgrade-encrypted", `C:\Media\windows.iso`),
	}
	points := make([]int, len(patients))
	for i, p := range patients {
		points[i] = p.points(t)
	}
	rng := rand.New(rand.NewPCG(20310507, 5))
	var hit atomic.Int64
	t.Run("kills", func(t *testing.T) {
		for i := range kills {
			n := i % len(patients)
			p, at, undo := patients[n], 1+rng.IntN(points[n]), rng.IntN(2) == 0
			t.Run(fmt.Sprintf("%s at %d of %d", p.Name, at, points[n]), func(t *testing.T) {
				t.Parallel()
				if p.killed(t, at, undo) {
					hit.Add(1)
				}
			})
		}
	})
	if n := int(hit.Load()); n < kills*9/10 {
		t.Errorf("%d of %d were killed", n, kills)
	}
}

// storePatient is a machine with a damaged store and the plan of its repair, from the
// source that was given or from the catalogue.
func storePatient(t *testing.T, name, source string) planned {
	t.Helper()
	s, dir := sickPC(t, name)
	p := opened(t, dir)
	defer p.Close()
	f := facts.Collect(t.Context(), p, facts.Options{})
	f.AddWalk(p.Walk(t.Context(), f))
	var opt store.Options
	r := storeRepair{source: source}
	r.lab = dir
	var err error
	if source != "" {
		if opt.Image, opt.Index, err = askImage(t.Context(), p, r.place, source); err != nil {
			t.Fatal(err)
		}
	} else if a := store.Assess(f, opt); len(a.KBs()) > 0 {
		env := Env{Stderr: io.Discard, Getenv: func(string) string { return "" }}
		if opt.Packages, err = r.find(t.Context(), &env, f, p, filepath.Join(dir, "updoc"), "killed", a.KBs()); err != nil {
			t.Fatal(err)
		}
	}
	plan, why, err := repair.StorePlan(f, store.Assess(f, opt), "killed")
	if err != nil || plan == nil {
		t.Fatalf("%s: %v, %v", name, why, err)
	}
	return planned{Scenario: s, dir: dir, plan: plan}
}

// upgradePatient is a machine and the plan to install Windows over itself.
func upgradePatient(t *testing.T, name, media string) planned {
	t.Helper()
	s, dir := sickPC(t, name)
	p := opened(t, dir)
	defer p.Close()
	f := facts.Collect(t.Context(), p, facts.Options{})
	m, err := upgrade.OpenMedia(media, p.Where(media))
	if err != nil {
		t.Fatal(err)
	}
	spec, err := upgrade.NewSpec(upgrade.MachineOf(f), m, upgrade.Assess(f, &m), upgrade.Options{})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := repair.UpgradePlan(f, cause.Diagnose(f), spec, "killed")
	if err != nil {
		t.Fatal(err)
	}
	x := planned{Scenario: s, dir: dir, plan: plan}
	x.tools = []string{`C:\$WINDOWS.~BT`, `C:\Media\` + host.UnpackedMedia}
	if m.ISO() {
		x.discs = []string{media}
	}
	return x
}

// TestInterruptedCourses: Ctrl-C in the middle of a course lets the tool of Windows that
// is at work end what it does, with the result that it would have had. The machine is
// whole, nothing is begun twice, and gone on with it ends as if nobody had stopped it.
func TestInterruptedCourses(t *testing.T) {
	for _, p := range []planned{
		storePatient(t, "components-disc-file", `C:\Media\windows.iso`), storePatient(t, "components-update", ""),
		storePatient(t, "components-package-missing", ""), upgradePatient(t, "upgrade-repairs-store", `C:\Media\windows.iso`),
	} {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			for at := 1; p.interrupted(t, at); at++ {
				if at == 100 {
					t.Fatal("it never ends")
				}
			}
		})
	}
}

// interrupted carries a plan out and stops it as the given act of its course begins; false
// says that it was over before.
func (s planned) interrupted(t *testing.T, at int) (hit bool) {
	t.Helper()
	dir := copyPC(t, s.dir)
	p := opened(t, dir)
	j, err := repair.CreateJournal(durable.OS{}, filepath.Join(dir, "updoc", s.plan.Run), s.plan, p.Now())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	begun := map[string]int{} // how often a tool was begun on
	r := runnerFor(p, j)
	r.Approve = func(context.Context, repair.Treatment) (bool, error) { return true, nil }
	r.Tell = func(e repair.Event) {
		if e.Kind != repair.EntryBegin {
			return
		}
		if e.Change != nil && e.Change.Kind == host.Run {
			begun[fmt.Sprint(e.Step, e.Change.Args)]++
		}
		if at--; at == 0 {
			hit = true
			stop()
		}
	}
	run := func(ctx context.Context) (repair.Result, error) {
		for {
			res, err := r.Run(ctx)
			if err != nil || res != repair.Restart {
				return res, err
			}
			if err := p.Restart(); err != nil {
				return res, err
			}
		}
	}
	res, err := run(ctx)
	if hit && !errors.Is(err, context.Canceled) && res != repair.Cured { // the last act has nothing behind it
		t.Fatalf("stopped it ends %s, %v\n%s", res, err, told(j))
	}
	if last := j.Entries()[len(j.Entries())-1]; last.Kind == repair.EntryBegin && last.Act != nil && last.Act.Change != nil {
		t.Fatalf("a change is begun and not ended\n%s", told(j))
	}
	if res != repair.Cured {
		if res, err = run(t.Context()); err != nil || res != repair.Cured {
			t.Fatalf("gone on with it ends %s, %v\n%s", res, err, told(j))
		}
	}
	for what, n := range begun {
		if n > 1 {
			t.Errorf("%s was begun %d times\n%s", what, n, told(j))
		}
	}
	return hit
}

// TestStallIsTold: where a tool of servicing stands still, that is said, also where no
// terminal shows a bar, and it is waited for.
func TestStallIsTold(t *testing.T) {
	s, err := lab.Load("components-update")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m, err := lab.NewMachine(dir, s.With(map[string]string{"state/stall": "12"}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Try(t.Context(), host.Attempt{Stage: s.Cure.Fails}); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := storeRun(t, "--lab", dir, "--yes")
	const says = "updoc: dism: nothing has moved for 12 minutes"
	if code != ExitHealthy || !strings.Contains(stderr, says) || !strings.Contains(stderr, "sfc: nothing") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
	if n := strings.Count(stderr, says); n != 1 {
		t.Errorf("said %d times of one stall\n%s", n, stderr)
	}
	var told []ui.Work
	b := &bar{to: func(w ui.Work) { told = append(told, w) }}
	b.long(host.Work{What: "dism", Percent: 62.3, Elapsed: time.Hour, Still: 12 * time.Minute})
	if len(told) != 1 || told[0].Still != 12*time.Minute {
		t.Errorf("the page is told %+v", told)
	}
}
