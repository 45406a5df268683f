package lab_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/cause"
	"updoc/internal/codes"
	"updoc/internal/durable"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/repair"
	"updoc/internal/report"
	"updoc/internal/route"
	"updoc/internal/route/pac"
)

// newMachine unpacks a scenario's machine.
func newMachine(t *testing.T, name string) (*lab.Scenario, *lab.Machine) {
	t.Helper()
	s, err := lab.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := lab.NewMachine(t.TempDir(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, m
}

// examine collects a machine's facts and walks its route.
func examine(t *testing.T, m *lab.Machine) *facts.Facts {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f := facts.Collect(ctx, m, facts.Options{})
	settings := f.RouteSettings()
	w := m.World()
	prober := route.NewProber(route.Prober{Net: m, Roots: w.Trusted(), Microsoft: w.Roots(), Now: m.Now, MaxTLS: settings.MaxTLS, Hosts: hostsOf(f)})
	walker := route.Walker{
		Exchanger: prober, As: "the lab", Net: m, Now: m.Now, Times: []string{"time.windows.com:123"}, Repeat: 2,
		Env: pac.Env{Dialect: pac.JScript, Lookup: prober.Lookup, Now: m.Now()},
	}
	f.AddWalk(walker.Walk(ctx, settings, settings.Plan(route.PlanOptions{Now: m.Now()})))
	if err := ctx.Err(); err != nil {
		t.Fatal(err)
	}
	return f
}

// hostsOf answers from the hosts file that was read.
func hostsOf(f *facts.Facts) func(string) ([]netip.Addr, string) {
	return func(name string) (addrs []netip.Addr, line string) {
		for _, l := range f.Hosts.Value {
			for _, n := range l.Names {
				if strings.EqualFold(n, name) {
					addrs, line = append(addrs, l.Addr.Unmap()), l.Source
				}
			}
		}
		return addrs, line
	}
}

// TestMachinesShowTheirSymptoms: what a machine writes when the stage fails, and what
// its route shows, lead a diagnosis to the cause that the scenario is about.
func TestMachinesShowTheirSymptoms(t *testing.T) {
	for _, name := range lab.MachineNames() {
		t.Run(name, func(t *testing.T) {
			s, m := newMachine(t, name)
			for range 2 {
				out, err := m.Try(t.Context(), host.Attempt{Stage: s.Cure.Fails})
				if err != nil {
					t.Fatal(err)
				}
				var want codes.HRESULT
				if err := want.UnmarshalText([]byte(s.Cure.Result)); err != nil {
					t.Fatal(err)
				}
				if out.Result != want {
					t.Fatalf("%s ends with %v at %s, want %v", s.Cure.Fails, out.Result, out.Stage, want)
				}
			}
			f := examine(t, m)
			doc := report.New(f, cause.Diagnose(f), report.Options{})
			causes, remedies := ids(doc)
			if err := s.Expect.Check(doc.Verdict, causes, remedies); err != nil {
				t.Error(err)
			}
			if len(doc.Causes) > 1 {
				t.Logf("%s %.2f, %s %.2f", doc.Causes[0].ID, doc.Causes[0].Probability, doc.Causes[1].ID, doc.Causes[1].Probability)
			}
			for _, k := range s.Cure.Keeps {
				key, err := m.Key(t.Context(), k.Key)
				if err != nil {
					t.Errorf("is to be kept: %v", err)
				} else if _, ok := key.Value(k.Name); k.Name != "" && !ok {
					t.Errorf("%s has no value %s to keep", k.Key, k.Name)
				}
			}
		})
	}
}

// treat diagnoses a machine, plans its cure and carries out what updoc does by
// itself; guided treatments are agreed to.
func treat(t *testing.T, m *lab.Machine, most repair.Risk) (*repair.Runner, repair.Result) {
	t.Helper()
	f := examine(t, m)
	plan := repair.New(f, cause.Diagnose(f), repair.Options{Run: "run1", MaxRisk: most})
	j, err := repair.CreateJournal(durable.OS{}, t.TempDir()+"/run1", plan, m.World().Now())
	if err != nil {
		t.Fatal(err)
	}
	r := &repair.Runner{
		Host: m, Agent: m, Journal: j, Now: m.World().Now, Started: m.Started,
		Tell: func(e repair.Event) {
			t.Logf("%s %s %d/%d %v %v %s", e.Kind, e.Treatment, e.Step, e.Steps, e.Change, e.Code, e.Err)
		},
	}
	var res repair.Result
	for range 8 { // every treatment may want a restart
		if res, err = r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if res != repair.Restart {
			break
		}
		if err := m.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	return r, res
}

// kept are the values that nobody may touch, in words.
func kept(t *testing.T, m *lab.Machine, s *lab.Scenario) string {
	t.Helper()
	var b strings.Builder
	for _, k := range s.Cure.Keeps {
		key, err := m.Key(t.Context(), k.Key)
		if err != nil {
			t.Errorf("is to be kept: %v", err)
		}
		for _, v := range key.Values {
			if k.Name == "" || strings.EqualFold(k.Name, v.Name) {
				fmt.Fprintf(&b, "%s %s %d %x\n", k.Key, v.Name, v.Type, v.Data)
			}
		}
	}
	return b.String()
}

// TestMachinesAreCured goes the full circle: the machine fails, is treated, works,
// and is as it was after the cure was taken back, sick as before.
func TestMachinesAreCured(t *testing.T) {
	for _, name := range lab.MachineNames() {
		t.Run(name, func(t *testing.T) {
			s, m := newMachine(t, name)
			try := func() host.Outcome {
				t.Helper()
				out, err := m.Try(t.Context(), host.Attempt{Stage: s.Cure.Fails})
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			if out := try(); !out.Result.Failed() {
				t.Fatalf("nothing fails: %v", out)
			}
			before, keeps := snapshot(t, m), kept(t, m, s)
			r, res := treat(t, m, repair.RiskPermanent)
			var treated []string
			for _, e := range r.Journal.Entries() {
				if e.Kind == repair.EntryTreated {
					treated = append(treated, r.Journal.Plan().Treatments[e.Treatment].ID)
				}
			}
			if res != repair.Cured || len(treated) == 0 || !slices.Contains(s.Cure.CuredBy, treated[len(treated)-1]) {
				t.Fatalf("%s by %v, want one of %v; the plan is %v", res, treated, s.Cure.CuredBy, treatments(r.Journal.Plan()))
			}
			if out := try(); out.Result.Failed() {
				t.Errorf("after the cure: %v", out)
			}
			if now := kept(t, m, s); now != keeps {
				t.Errorf("was to stay as it is:\n%s\nand is:\n%s", keeps, now)
			}
			u, err := r.Undo(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(u.Conflicts) > 0 || len(u.Lasting) > 0 {
				t.Logf("left by the undo: %+v %v", u.Conflicts, u.Lasting)
			}
			sameAfterUndo(t, before, snapshot(t, m))
			if err := m.Restart(); err != nil { // a service that runs goes on although it is disabled
				t.Fatal(err)
			}
			if out := try(); len(u.Lasting) == 0 && !lasting(r.Journal) && out.Result.String() != s.Cure.Result {
				t.Errorf("after the undo it ends with %v, as if something of the cure were left", out.Result)
			}
		})
	}
}

// sameAfterUndo holds that everything is as it was. What Windows made meanwhile may
// be there besides: downloads, and what stood where something came back to.
func sameAfterUndo(t *testing.T, before, after map[string]string) {
	t.Helper()
	maps.DeleteFunc(after, func(k, _ string) bool {
		_, was := before[k]
		return !was && (strings.Contains(k, ".since") || strings.HasPrefix(k, `C:\Windows\SoftwareDistribution\Download\`))
	})
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("after the undo (-before +after):\n%s", diff)
	}
}

// lasting reports that something was done which nobody takes back: a clock is right.
func lasting(j *repair.Journal) bool {
	return slices.ContainsFunc(j.Entries(), func(e repair.Entry) bool {
		return e.Kind == repair.EntryDone && j.Plan().Treatments[e.Treatment].Steps[e.Step].Lasting != ""
	})
}

func treatments(p *repair.Plan) []string {
	var out []string
	for _, t := range p.Treatments {
		out = append(out, t.ID)
	}
	for _, l := range p.LeftOut {
		out = append(out, "not "+l.ID+": "+l.Why.ID)
	}
	return out
}

func snapshot(t *testing.T, m *lab.Machine) map[string]string {
	t.Helper()
	s, err := m.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return s
}
