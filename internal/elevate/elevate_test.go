package elevate

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"updoc/internal/repair"
	"updoc/internal/report"
	"updoc/internal/ui"
)

// doctor stands for what does the work at one end: it plans what it is told to, and
// remembers what it was asked to do.
type doctor struct {
	ui.Doctor // what is not asked for here

	mu     sync.Mutex
	name   string // of its runs, without a number
	step   string // what the plan consists of
	hidden bool   // its runs may not be read
	run    int
	did    []string
	order  ui.Order
	fix    func(context.Context, ui.Watch) (repair.Result, error)
}

func (d *doctor) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.did = append(d.did, fmt.Sprintf(format, args...))
}

func (d *doctor) done() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.did)
}

func (d *doctor) Examine(_ context.Context, tell func(ui.Work)) (*ui.Patient, error) {
	tell(ui.Work{What: "ui.work.read", Done: 1, Total: 2})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.run++
	p := &repair.Plan{Schema: repair.Schema, Run: fmt.Sprintf("%s-%d", d.name, d.run), Treatments: []repair.Treatment{{ID: d.step}}}
	return &ui.Patient{Doc: &report.Document{Schema: report.Schema, Verdict: "problems"}, Plan: p, Hash: p.Hash()}, nil
}

func (d *doctor) Fix(ctx context.Context, o ui.Order, w ui.Watch) (repair.Result, error) {
	d.note("fix")
	d.order = o
	return d.fix(ctx, w)
}

func (d *doctor) Undo(_ context.Context, run string, tell func(repair.Event)) (repair.Undone, error) {
	d.note("undo %s", run)
	tell(repair.Event{Kind: repair.EntryUndone, Treatment: d.step})
	return repair.Undone{Back: 1}, nil
}

func (d *doctor) Runs(context.Context) ([]repair.Summary, error) {
	return []repair.Summary{{Run: "20310203-040506-aaaa", Result: repair.Cured}}, nil
}

func (d *doctor) Run(_ context.Context, run string) (*ui.Run, error) {
	if d.hidden {
		return nil, ui.ErrNotAllowed
	}
	return &ui.Run{Summary: repair.Summary{Run: run}}, nil
}

// pair connects a page's doctor with one that has the rights.
func pair(t *testing.T, page, admin *doctor) (d *Doctor, served chan error) {
	t.Helper()
	served = make(chan error, 1)
	d = &Doctor{Doctor: page, Start: func(ctx context.Context) (io.ReadWriteCloser, error) {
		here, there := net.Pipe()
		go func() {
			served <- Serve(context.WithoutCancel(ctx), there, admin)
			_ = there.Close()
		}()
		return here, nil
	}}
	return d, served
}

func quiet(ui.Work) {}

// The whole of a repair crosses the pipe: what happens is told in order, a person is
// asked, and the result comes back.
func TestFix(t *testing.T) {
	page, admin := &doctor{name: "page", step: "flush-dns"}, &doctor{name: "admin", step: "flush-dns"}
	admin.fix = func(ctx context.Context, w ui.Watch) (repair.Result, error) {
		w.Tell(repair.Event{Kind: repair.EntryBegin, Treatment: "flush-dns", Step: 1, Steps: 1})
		w.Work(ui.Work{What: "dism", Done: 20, Total: 100})
		if ok, err := w.Ask(ctx, repair.Treatment{ID: "flush-dns"}); !ok || err != nil {
			return "", fmt.Errorf("asked: %v, %w", ok, err)
		}
		w.Tell(repair.Event{Kind: repair.EntryEnd})
		return repair.Cured, nil
	}
	d, served := pair(t, page, admin)
	p, err := d.Examine(t.Context(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	var heard []string
	named := ""
	res, err := d.Fix(t.Context(), ui.Order{Hash: p.Hash}, ui.Watch{
		Tell:  func(e repair.Event) { heard = append(heard, string(e.Kind)) },
		Work:  func(w ui.Work) { heard = append(heard, w.What) },
		Begin: func(p *repair.Plan) { named = p.Run },
		Ask:   func(context.Context, repair.Treatment) (bool, error) { heard = append(heard, "?"); return true, nil },
	})
	if res != repair.Cured || err != nil {
		t.Fatalf("%q, %v", res, err)
	}
	if got, want := strings.Join(heard, " "), "ui.work.read begin dism ? end"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	if named != "admin-1" {
		t.Errorf("the run is taken for %q, and its journal is found nowhere", named)
	}
	if len(page.done()) != 0 {
		t.Error("the page's own process repaired")
	}
	if admin.order.Hash == p.Hash {
		t.Error("the page's hash was carried out: every process names its own runs")
	}
	if runs, err := d.Runs(t.Context()); err != nil || len(runs) != 1 {
		t.Errorf("runs %v, %v", runs, err)
	}
	if u, err := d.Undo(t.Context(), "20310203-040506-aaaa", func(repair.Event) {}); err != nil || u.Back != 1 {
		t.Errorf("undo %+v, %v", u, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Errorf("the process with the rights ended with %v", err)
	}
}

// Whoever has the rights sees another machine: nothing is done, the person is shown
// that plan, and may agree to it then.
func TestAnotherPlan(t *testing.T) {
	page, admin := &doctor{name: "page", step: "flush-dns"}, &doctor{name: "admin", step: "run-sfc"}
	admin.fix = func(context.Context, ui.Watch) (repair.Result, error) { return repair.Cured, nil }
	d, _ := pair(t, page, admin)
	defer func() { _ = d.Close() }()
	p, err := d.Examine(t.Context(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Fix(t.Context(), ui.Order{Hash: p.Hash}, ui.Watch{}); !errors.Is(err, ui.ErrPlan) {
		t.Fatalf("another plan than was shown: %v", err)
	}
	if len(admin.done()) != 0 {
		t.Fatal("it was carried out")
	}
	if p, err = d.Examine(t.Context(), quiet); err != nil || p.Plan.Treatments[0].ID != "run-sfc" {
		t.Fatalf("shown %+v, %v", p, err)
	}
	if res, err := d.Fix(t.Context(), ui.Order{Hash: p.Hash}, ui.Watch{}); res != repair.Cured || err != nil {
		t.Errorf("%q, %v", res, err)
	}
}

// A person who does not agree to Windows' prompt has changed nothing.
func TestDeclined(t *testing.T) {
	page := &doctor{name: "page", step: "flush-dns"}
	d := &Doctor{Doctor: page, Start: func(context.Context) (io.ReadWriteCloser, error) { return nil, ui.ErrNotAllowed }}
	p, err := d.Examine(t.Context(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Fix(t.Context(), ui.Order{Hash: p.Hash}, ui.Watch{}); !errors.Is(err, ui.ErrNotAllowed) {
		t.Errorf("%v", err)
	}
	if runs, err := func() ([]repair.Summary, error) { return d.Runs(t.Context()) }(); err != nil || len(runs) != 1 {
		t.Errorf("afterwards nothing goes: %v, %v", runs, err)
	}
}

// A page that comes back after a restart may not read the journals by itself: it can
// with the rights, which the person is asked for.
func TestAdmit(t *testing.T) {
	page, admin := &doctor{name: "page", hidden: true}, &doctor{name: "admin"}
	d, _ := pair(t, page, admin)
	defer func() { _ = d.Close() }()
	if _, err := d.Run(t.Context(), "20310203-040506-aaaa"); !errors.Is(err, ui.ErrNotAllowed) {
		t.Errorf("without the rights: %v", err)
	}
	if err := d.Admit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := d.Run(t.Context(), "20310203-040506-aaaa"); err != nil || r.Summary.Run != "20310203-040506-aaaa" {
		t.Errorf("with them: %+v, %v", r, err)
	}
}

// Stopping crosses the pipe, and is waited for: the change that is being made is made
// to its end. While a repair goes on nothing else is asked of the one who repairs.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page, admin := &doctor{name: "page", step: "flush-dns"}, &doctor{name: "admin", step: "flush-dns"}
		whole := false
		admin.fix = func(ctx context.Context, w ui.Watch) (repair.Result, error) {
			<-ctx.Done()
			whole = true
			return "", ctx.Err()
		}
		d, _ := pair(t, page, admin)
		p, err := d.Examine(t.Context(), quiet)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan error)
		go func() {
			_, err := d.Fix(ctx, ui.Order{Hash: p.Hash}, ui.Watch{})
			over <- err
		}()
		synctest.Wait()
		if _, err := d.Runs(t.Context()); !errors.Is(err, ui.ErrNow) {
			t.Errorf("asked while it repairs: %v", err)
		}
		stop()
		if err := <-over; !errors.Is(err, context.Canceled) || !whole {
			t.Errorf("stopped: %v, to its end %v", err, whole)
		}
		_ = d.Close()
	})
}

// A page that is gone stops what is being done, and the process ends.
func TestGone(t *testing.T) {
	admin := &doctor{name: "admin", step: "flush-dns"}
	begun := make(chan struct{})
	admin.fix = func(ctx context.Context, w ui.Watch) (repair.Result, error) {
		close(begun)
		<-ctx.Done()
		admin.note("stopped")
		return "", ctx.Err()
	}
	d, served := pair(t, &doctor{name: "page", step: "flush-dns"}, admin)
	p, err := d.Examine(t.Context(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = d.Fix(context.WithoutCancel(t.Context()), ui.Order{Hash: p.Hash}, ui.Watch{}) }()
	<-begun
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Errorf("ended with %v", err)
	}
	if got := admin.done(); !slices.Contains(got, "stopped") {
		t.Errorf("did %v", got)
	}
}

// Somebody else at the other end can have nothing done: no plan of their own, none that
// nobody made, nothing before anything was looked at, and no flood.
func TestAttacks(t *testing.T) {
	examine := `{"do":"examine"}`
	long := `{"do":"fix","hash":"` + strings.Repeat("a", 2<<10) + `"}`
	for name, lines := range map[string][]string{
		"a fix without a look":        {`{"do":"fix","hash":"0000"}`},
		"a fix without a hash":        {examine, `{"do":"fix"}`},
		"a hash that was made up":     {examine, `{"do":"fix","hash":"` + strings.Repeat("a", 64) + `"}`},
		"a plan instead of a hash":    {examine, `{"do":"fix","plan":{"schema":"updoc.plan/1","treatments":[{"id":"run-sfc"}]}}`},
		"a change":                    {`{"do":"apply","change":{"kind":"run","path":"cmd"}}`},
		"a word that there is not":    {`{"do":"run-this"}`},
		"an answer nobody asked for":  {`{"do":"answer","yes":true}`},
		"a line without an end":       {long},
		"no JSON":                     {`fix`},
		"no run":                      {`{"do":"resume"}`},
		"no run to take back":         {`{"do":"undo"}`},
		"several hashes in one":       {examine, `{"do":"fix","hash":["a","b"]}`},
		"a restart that is not there": {`{"do":"restart"}`},
	} {
		t.Run(name, func(t *testing.T) {
			admin := &doctor{name: "admin", step: "flush-dns"}
			admin.fix = func(context.Context, ui.Watch) (repair.Result, error) { return repair.Cured, nil }
			here, there := net.Pipe()
			served := make(chan error, 1)
			go func() {
				served <- Serve(t.Context(), there, admin)
				_ = there.Close()
			}()
			replies := bufio.NewScanner(here)
			for _, line := range lines {
				if _, err := io.WriteString(here, line+"\n"); err != nil {
					break
				}
				for replies.Scan() {
					var r reply
					if err := json.Unmarshal(replies.Bytes(), &r); err != nil {
						t.Fatal(err)
					}
					if r.Result != "" {
						t.Errorf("carried out: %s", r.Result)
					}
					if r.Done {
						break
					}
				}
			}
			_ = here.Close()
			<-served
			if got := admin.done(); len(got) != 0 {
				t.Errorf("did %v", got)
			}
		})
	}
}

// Whatever comes over the pipe, nothing is repaired without the hash of a plan.
func FuzzServe(f *testing.F) {
	f.Add([]byte(`{"do":"examine"}` + "\n" + `{"do":"fix","hash":"x"}` + "\n"))
	f.Add([]byte(`{"do":"next"}` + "\n" + `{"do":"stop"}` + "\n"))
	f.Add([]byte(`{"do":"runs"}` + "\n" + `{"do":"runs"}` + "\n" + `{"do":"run","run":"..\\x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		admin := &doctor{name: "admin", step: "flush-dns"}
		admin.fix = func(context.Context, ui.Watch) (repair.Result, error) { return repair.Cured, nil }
		rw := struct {
			io.Reader
			io.Writer
		}{strings.NewReader(string(b)), io.Discard}
		_ = Serve(t.Context(), rw, admin) // whatever it says
		if slices.Contains(admin.done(), "fix") && admin.order.Run == "" {
			t.Errorf("repaired by %q", b)
		}
	})
}
