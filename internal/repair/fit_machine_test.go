package repair_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"updoc/internal/cause"
	"updoc/internal/durable"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/repair"
)

// TestTreatments: each remedy is fitted to a machine that fails for its cause,
// cures it alone, and is taken back so that everything it touched is as before.
func TestTreatments(t *testing.T) {
	for _, c := range []struct{ scenario, remedy string }{
		{"treat-services-disabled", "restore-service-start-types"},
		{"treat-datastore-damaged", "rename-datastore"},
		{"treat-datastore-damaged", "rename-softwaredistribution"},
		{"treat-datastore-damaged", "reset-update-components"},
		{"treat-catroot2-damaged", "rename-catroot2"},
		{"treat-catroot2-damaged", "reset-update-components"},
	} {
		t.Run(c.scenario+"/"+c.remedy, func(t *testing.T) {
			s, err := lab.Load(c.scenario)
			if err != nil {
				t.Fatal(err)
			}
			m, err := lab.NewMachine(t.TempDir(), s)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			out, err := m.Try(t.Context(), host.Attempt{Stage: s.Cure.Fails})
			if err != nil || !out.Result.Failed() {
				t.Fatalf("%s ends with %v, %v", s.Cure.Fails, out.Result, err)
			}
			f := facts.Collect(t.Context(), m, facts.Options{})
			d := cause.Diagnose(f)
			p := repair.New(f, d, repair.Options{Run: "20310507-1"})
			i := slices.IndexFunc(p.Treatments, func(x repair.Treatment) bool { return x.ID == c.remedy })
			if i < 0 {
				t.Fatalf("%s is not in the plan; left out %+v", c.remedy, p.LeftOut)
			}
			p.Treatments = p.Treatments[i : i+1]
			if p.Treatments[0].How != repair.Automatic {
				t.Errorf("carried out %s", p.Treatments[0].How)
			}
			before := states(t, m, p.Treatments[0])

			j, err := repair.CreateJournal(durable.OS{}, filepath.Join(t.TempDir(), p.Run), p, m.Now())
			if err != nil {
				t.Fatal(err)
			}
			r := repair.Runner{Host: m, Agent: m, Journal: j, Now: func() time.Time { return m.Now() }}
			if res, err := r.Run(t.Context()); res != repair.Cured || err != nil {
				t.Fatalf("ends %q, %v; journal %+v", res, err, last(j))
			}
			u, err := r.Undo(t.Context())
			if err != nil || len(u.Conflicts) > 0 || len(u.Lasting) > 0 {
				t.Fatalf("undo: %+v, %v", u, err)
			}
			after := states(t, m, p.Treatments[0])
			for k, s := range p.Treatments[0].Steps {
				if !s.Change.Passing() && !host.Same(before[k], after[k]) {
					t.Errorf("%s %s: %+v after the undo, was %+v", s.Change.Kind, s.Change.Path, after[k], before[k])
				}
			}
			if c.remedy == "restore-service-start-types" {
				return // what runs goes on until it is stopped, disabled or not
			}
			if out, err := m.Try(t.Context(), host.Attempt{Stage: s.Cure.Fails}); err != nil || !out.Result.Failed() {
				t.Errorf("after the undo %s ends with %v, %v", s.Cure.Fails, out.Result, err)
			}
		})
	}
}

// states asks how everything is that a treatment touches.
func states(t *testing.T, h host.Host, x repair.Treatment) [][]host.Change {
	t.Helper()
	var out [][]host.Change
	for _, s := range x.Steps {
		now, err := h.Inverse(t.Context(), s.Change)
		if err != nil {
			t.Errorf("%s %s: %v", s.Change.Kind, s.Change.Path, err)
		}
		out = append(out, now)
	}
	return out
}

func last(j *repair.Journal) repair.Entry {
	e := j.Entries()
	return e[len(e)-1]
}
