package lab_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"updoc/internal/cause"
	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/lab"
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
	prober := route.NewProber(route.Prober{Net: w, Roots: w.Trusted(), Microsoft: w.Roots(), Now: m.Now, MaxTLS: settings.MaxTLS, Hosts: hostsOf(f)})
	walker := route.Walker{
		Exchanger: prober, As: "the lab", Net: w, Now: m.Now, Times: []string{"time.windows.com:123"}, Repeat: 2,
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
