package repair_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"updoc/internal/codes"
	"updoc/internal/durable"
	"updoc/internal/host"
	"updoc/internal/repair"
)

// watch records what a run asks to be done around it.
type watch struct {
	said  []string
	fails error
}

func (w *watch) attach(r *repair.Runner) {
	r.AtStart = func(_ context.Context, on bool, at time.Time) error {
		s := "off"
		if on {
			s = "on"
		}
		if !at.IsZero() {
			s += at.Format(" 15:04")
		}
		w.said = append(w.said, s)
		return w.fails
	}
	r.Awake = func() func() {
		w.said = append(w.said, "awake")
		return func() { w.said = append(w.said, "asleep") }
	}
	r.Tell = func(e repair.Event) { w.said = append(w.said, string(e.Kind)) }
}

func (w *watch) all() string {
	s := strings.Join(w.said, ", ")
	w.said = nil
	return s
}

// While a run waits for a restart, the machine goes on with it by itself, and no
// longer once it is over.
func TestWakesAfterRestart(t *testing.T) {
	tr := automatic("restart-machine")
	tr.Restart = "yes"
	r := runner(t, machine(), &agent{results: []codes.HRESULT{0}}, durable.NewLossy(1), tr)
	var w watch
	w.attach(r)
	r.Started = func(context.Context) (time.Time, error) { return noon.Add(-time.Hour), nil }
	if res, err := r.Run(t.Context()); err != nil || res != repair.Restart {
		t.Fatal(res, err)
	}
	if got, want := w.all(), "awake, treated, on, restart, asleep, on"; got != want {
		t.Errorf("before the restart: %s, want %s", got, want)
	}
	if on, at := r.Journal.Wakes(); !on || !at.IsZero() {
		t.Errorf("Wakes %v, %v", on, at)
	}
	if s := r.Journal.Summary(); !s.Wakes || !s.WakeAt.IsZero() {
		t.Errorf("summary %+v", s)
	}
	r.Started = func(context.Context) (time.Time, error) { return noon.Add(time.Hour), nil }
	if res, err := r.Run(t.Context()); err != nil || res != repair.Cured {
		t.Fatal(res, err)
	}
	if got, want := w.all(), "awake, tried, end, asleep, off"; got != want {
		t.Errorf("after it: %s, want %s", got, want)
	}
}

// A machine that cannot start updoc by itself is restarted all the same; the person
// is told.
func TestCannotWakeAfterRestart(t *testing.T) {
	tr := automatic("restart-machine")
	tr.Restart = "yes"
	r := runner(t, machine(), &agent{results: []codes.HRESULT{0}}, durable.NewLossy(1), tr)
	r.Started = func(context.Context) (time.Time, error) { return noon.Add(-time.Hour), nil }
	r.AtStart = func(context.Context, bool, time.Time) error { return errors.New("no scheduler") }
	told := ""
	r.Tell = func(e repair.Event) { told += e.Err }
	if res, err := r.Run(t.Context()); err != nil || res != repair.Restart || told != "no scheduler" {
		t.Fatal(res, err, told)
	}
}

// An experiment is begun only once its end is sure, and the machine stops to wake up
// for it when it has ended.
func TestWakesForExperiment(t *testing.T) {
	tr := automatic("test-without-ipv6", host.Set(policies, "A", dword(1)), host.Set(policies, "B", dword(1)))
	tr.Steps[0].Lease, tr.Steps[1].Lease = 10, 5
	h := machine()
	r := runner(t, h, &agent{results: []codes.HRESULT{0}}, durable.NewLossy(1), tr)
	var w watch
	w.attach(r)
	if res, err := r.Run(t.Context()); err != nil || res != repair.Shown {
		t.Fatal(res, err)
	}
	want := "awake, on 12:10, begin, done, on 12:05, begin, done, treated, tried, undoing, undone, undoing, undone, end, asleep, off"
	if got := w.all(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}

	w.fails = errors.New("no scheduler")
	r = runner(t, h, &agent{results: []codes.HRESULT{0x80072EE7}}, durable.NewLossy(2), tr)
	w.attach(r)
	if res, err := r.Run(t.Context()); err != nil || res != repair.Broken {
		t.Fatal(res, err)
	}
	if got := w.all(); strings.Contains(got, "begin") {
		t.Errorf("it was begun: %s", got)
	}
	if got := value(t, h, policies, "A"); got != "no key" {
		t.Errorf("A is %s", got)
	}
}

// Whoever comes after a kill ends what is over and waits for the rest.
func TestWakesAgain(t *testing.T) {
	tr := automatic("test-without-ipv6", host.Set(policies, "A", dword(1)), host.Set(policies, "B", dword(1)))
	tr.Steps[0].Lease, tr.Steps[1].Lease = 10, 5
	r := runner(t, machine(), dying{}, durable.NewLossy(1), tr)
	if err := life(func() error { _, err := r.Run(t.Context()); return err }); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	var w watch
	w.attach(r)
	r.Now = func() time.Time { return noon.Add(6 * time.Minute) }
	if u, err := r.Expired(t.Context()); err != nil || u.Back != 1 {
		t.Fatal(u, err)
	}
	if got, want := w.all(), "awake, undoing, undone, asleep, on 12:10"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if u, err := r.Undo(t.Context()); err != nil || u.Back != 1 {
		t.Fatal(u, err)
	}
	if got, want := w.all(), "awake, undoing, undone, end, asleep, off"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A run that was taken back is not gone on with.
func TestUndoEnds(t *testing.T) {
	first, second := automatic("sync-clock", host.Set(policies, "A", dword(1))), automatic("wait-and-retry", host.Set(policies, "B", dword(1)))
	first.Steps[0].Restart = true
	h := machine()
	r := runner(t, h, &agent{results: []codes.HRESULT{0x80072EE7}}, durable.NewLossy(1), first, second)
	r.Started = func(context.Context) (time.Time, error) { return noon.Add(-time.Hour), nil }
	if res, err := r.Run(t.Context()); err != nil || res != repair.Restart {
		t.Fatal(res, err)
	}
	if u, err := r.Undo(t.Context()); err != nil || u.Back != 1 {
		t.Fatal(u, err)
	}
	r.Started = func(context.Context) (time.Time, error) { return noon.Add(time.Hour), nil }
	if res, err := r.Run(t.Context()); err != nil || res != repair.Stopped {
		t.Error(res, err)
	}
	if on, _ := r.Journal.Wakes(); on {
		t.Error("it waits still")
	}
	if got := fmt.Sprint(value(t, h, policies, "A"), value(t, h, policies, "B")); got != "no keyno key" {
		t.Errorf("values %s", got)
	}
}

// What a host cannot take back stands, and another can take it back later.
func TestUndoWaits(t *testing.T) {
	h := machine()
	tr := automatic("sync-clock", host.Set(policies, "A", dword(1)), host.Change{Kind: host.ServiceStart, Path: "bits", Start: &host.Start{Type: 4}})
	r := runner(t, h, &agent{results: []codes.HRESULT{0}}, durable.NewLossy(1), tr)
	if res, err := r.Run(t.Context()); err != nil || res != repair.Cured {
		t.Fatal(res, err)
	}
	r.Able = func(c host.Change) bool { return c.Kind != host.ServiceStart }
	u, err := r.Undo(t.Context())
	if err != nil || u.Back != 1 || len(u.Waiting) != 1 || u.Waiting[0].Change.Path != "bits" || r.Journal.Summary().Standing != 1 {
		t.Fatalf("%+v, %v", u, err)
	}
	r.Able = nil
	if u, err := r.Undo(t.Context()); err != nil || u.Back != 1 || len(u.Waiting) != 0 || r.Journal.Summary().Standing != 0 {
		t.Fatalf("%+v, %v", u, err)
	}
}
