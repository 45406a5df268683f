package lab_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/cause"
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
	prober := route.NewProber(route.Prober{Net: w, Roots: w.Trusted(), Microsoft: w.Roots(), Now: m.Now, MaxTLS: settings.MaxTLS, Hosts: hostsOf(f)})
	walker := route.Walker{
		Exchanger: prober, As: "the lab", Scripts: constantScripts{}, Net: w, Echo: w, Now: m.Now, Times: []string{"time.windows.com:123"}, Repeat: 2,
		Env: pac.Env{Dialect: pac.JScript, Lookup: prober.Lookup, Now: m.Now()},
	}
	f.AddWalk(walker.Walk(ctx, settings, settings.Plan(route.PlanOptions{Now: m.Now()})))
	if err := ctx.Err(); err != nil {
		t.Fatal(err)
	}
	return f
}

// constantScripts evaluates the scripts that simulated machines have, which send
// everything the same way.
type constantScripts struct{}

func (constantScripts) Evaluate(_ context.Context, script []byte, _ pac.Env, calls []pac.Call) ([]pac.Result, error) {
	_, rest, _ := strings.Cut(string(script), `return "`)
	list, _, _ := strings.Cut(rest, `"`)
	var out []pac.Result
	for _, c := range calls {
		out = append(out, pac.Result{Call: c, List: list, Proxies: pac.Parse(list)})
	}
	return out, nil
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

// treat plans the cure of what was found and carries out what updoc does by itself,
// and of the rest what a person would agree to.
func treat(t *testing.T, m *lab.Machine, f *facts.Facts) (*repair.Runner, repair.Result) {
	t.Helper()
	plan := repair.New(f, cause.Diagnose(f), repair.Options{Run: "run1", MaxRisk: repair.RiskPermanent})
	j, err := repair.CreateJournal(durable.OS{}, t.TempDir()+"/run1", plan, m.World().Now())
	if err != nil {
		t.Fatal(err)
	}
	r := &repair.Runner{
		Awake: func() func() {
			release, err := m.Awake("a test")
			if err != nil {
				t.Error(err)
			}
			return release
		},
		Host: m, Agent: m, Journal: j, Now: m.World().Now, Started: m.Started, Sleep: m.Sleep,
		Approve: func(_ context.Context, x repair.Treatment) (bool, error) {
			return x.Risk != repair.RiskOutside, nil // a person who does their part
		},
		Tell: func(e repair.Event) {
			if e.Change != nil {
				t.Logf("%s %s %d/%d: %s %s %s %s", e.Kind, e.Treatment, e.Step, e.Steps, e.Change.Kind, e.Change.Path, e.Change.Name, e.Err)
			} else {
				t.Logf("%s %s %v %s", e.Kind, e.Treatment, e.Code, e.Err)
			}
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

// managed are the policies and the system's proxy that are not as they were. Every machine
// has some of both that a company set.
func managed(before, now map[string]string) []string {
	var out []string
	all := maps.Clone(before)
	maps.Copy(all, now)
	for k := range all {
		low := strings.ToLower(k)
		if (strings.Contains(low, `\policies\`) || strings.HasSuffix(low, "|winhttpsettings")) && before[k] != now[k] {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// TestMachines goes the full circle with every simulated machine: it fails as its
// state implies; what it writes then, and what its route shows, lead to the cause that
// the scenario is about; the cure works and leaves alone what others decide; and taken
// back, it leaves the machine as it was, and as sick.
func TestMachines(t *testing.T) {
	for _, name := range lab.MachineNames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of the time they wait
			s, m := newMachine(t, name)
			try := func() host.Outcome {
				t.Helper()
				out, err := m.Try(t.Context(), host.Attempt{Stage: s.Cure.Fails})
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			for range 2 {
				if out := try(); out.Result.String() != s.Cure.Result {
					t.Fatalf("%s ends with %v at %s, want %s", s.Cure.Fails, out.Result, out.Stage, s.Cure.Result)
				}
			}
			before, keeps := snapshot(t, m), kept(t, m, s)
			f := examine(t, m)
			doc := report.New(f, cause.Diagnose(f), report.Options{})
			causes, remedies := ids(doc)
			if err := s.Expect.Check(doc.Verdict, causes, remedies); err != nil {
				t.Error(err)
			}

			r, res := treat(t, m, f)
			plan := r.Journal.Plan()
			sum := r.Journal.Summary()
			by := sum.Helped
			if res == repair.Shown {
				by = sum.Showed
			}
			if !s.Cure.As(string(res), by) {
				t.Fatalf("%s by %q %q, want %q by one of %v; the plan is %v", res, sum.Helped, sum.Showed, s.Cure.Ends, s.Cure.CuredBy, treatments(plan))
			}
			if order := treatments(plan); !slices.Equal(order[:min(len(order), len(s.Cure.Order))], s.Cure.Order) {
				t.Errorf("the plan is %v, want first %v", order, s.Cure.Order)
			}
			if out := try(); out.Result.Failed() != (res == repair.Shown && s.Cure.Fails == "scan") { // an experiment is over by itself
				t.Errorf("after the cure: %v", out)
			}
			// A note that its user wrote before has no time, and stays.
			if notes, _ := m.Files(t.Context(), "notes.txt"); res == repair.Cured && len(notes) == 0 {
				now := facts.Collect(t.Context(), cured{m, r.Journal}, facts.Options{})
				if d := cause.Diagnose(now); d.Outcome != cause.Healthy {
					t.Errorf("after the cure it is %s: %s", d.Outcome, still(now, d))
				}
			}
			for _, k := range managed(before, snapshot(t, m)) {
				if !slices.Contains(s.Cure.Own, k) {
					t.Errorf("is managed, and another after the cure: %s", k)
				}
			}
			if now := kept(t, m, s); now != keeps {
				t.Errorf("was to stay as it is:\n%s\nand is:\n%s", keeps, now)
			}

			u, err := r.Undo(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			after := snapshot(t, m)
			for _, c := range u.Conflicts {
				if !slices.Contains(s.Cure.Left, c.Change.Path+"|"+c.Change.Name) {
					t.Errorf("left by the undo: %s %s %s", c.Change.Kind, c.Change.Path, c.Change.Name)
				}
			}
			for _, k := range s.Cure.Left {
				delete(before, k)
				delete(after, k)
			}
			sameAfterUndo(t, before, after)
			if s.Cure.Fails != "scan" || len(u.Conflicts) > 0 || lasting(r.Journal) {
				return // the download is done, the update installed, the clock right
			}
			if err := m.Restart(); err != nil { // a service that runs goes on although it is disabled
				t.Fatal(err)
			}
			if out := try(); out.Result.String() != s.Cure.Result {
				t.Errorf("after the undo it ends with %v, as if something of the cure were left", out.Result)
			}
		})
	}
}

// cured is a machine that knows what a run cured on it.
type cured struct {
	host.Reader
	run *repair.Journal
}

func (c cured) Ask(ctx context.Context, q host.Question) (host.Answer, error) {
	if q.Name != host.AskRepairs {
		return c.Reader.Ask(ctx, q)
	}
	var known host.Repairs
	if p, ok := c.run.Proof(time.UTC); ok {
		known.Proved = append(known.Proved, p)
	}
	b, err := json.Marshal(known)
	return host.Answer{JSON: b, Source: "answer repairs"}, err
}

// still says what a machine is sick of that was cured.
func still(f *facts.Facts, d cause.Diagnosis) string {
	var b strings.Builder
	for _, x := range f.Suffering() {
		fmt.Fprintf(&b, "\n  %s at %s, %+v, %v: %+v", x.Code, x.Stage, x.Update, x.Last, x.Seen)
	}
	for _, x := range d.Findings {
		if x.State == facts.Present {
			fmt.Fprintf(&b, "\n  %s: %+v", x.ID, x.Evidence)
		}
	}
	return b.String()
}

// sameAfterUndo holds that everything is as it was. Besides, there may be what stood
// where something came back to.
func sameAfterUndo(t *testing.T, before, after map[string]string) {
	t.Helper()
	maps.DeleteFunc(after, func(k, _ string) bool {
		_, was := before[k]
		return !was && strings.Contains(k, ".since")
	})
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("after the undo (-before +after):\n%s", diff)
	}
}

// lasting reports that something was done which nobody takes back: a clock is right, or
// time has passed, and nothing else was done.
func lasting(j *repair.Journal) bool {
	if !slices.ContainsFunc(j.Entries(), func(e repair.Entry) bool { return e.Kind == repair.EntryDone }) {
		return true
	}
	return slices.ContainsFunc(j.Entries(), func(e repair.Entry) bool {
		s := j.Plan().Treatments
		if e.Kind == repair.EntryRestart { // what hung does so no more
			return true
		}
		return e.Kind == repair.EntryDone && s[e.Treatment].Steps[e.Step].Lasting != ""
	})
}

func treatments(p *repair.Plan) []string {
	var out []string
	for _, t := range p.Treatments {
		if t.Risk != repair.RiskOutside {
			out = append(out, t.ID)
		}
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

// onlyLook are the automatic remedies that cure nothing: they tell what is the matter.
var onlyLook = []string{
	"check-disk-health", "check-proxy-state", "check-service-state", "check-setup-requirements", "check-update-policies", "check-wsus-reachability",
	"read-inner-code", "read-servicing-log", "read-update-log", "run-connectivity-test", "run-dism-scanhealth", "run-setupdiag",
}

// TestEveryAutomaticRemedyHasAMachine: for each remedy that updoc carries out by itself
// a simulated machine is cured by it, or by what its experiment showed, but for those
// that only look. The system file checker by itself is the last thing that is tried for a
// damaged store; the repair of the store runs it in its place, see TestMachineStore.
func TestEveryAutomaticRemedyHasAMachine(t *testing.T) {
	tried := map[string]bool{}
	for _, name := range lab.MachineNames() {
		s, err := lab.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range slices.Concat(s.Cure.CuredBy, s.Cure.Order) {
			if _, ok := repair.Lookup(id); !ok {
				t.Errorf("%s: no such remedy: %s", name, id)
			}
			tried[id] = true
		}
	}
	for _, r := range repair.Catalogue() {
		switch looks := slices.Contains(onlyLook, r.ID); {
		case looks && (repair.Carried(r) != repair.Automatic || r.Risk != repair.RiskNone || tried[r.ID]):
			t.Errorf("%s does more than look", r.ID)
		case !looks && repair.Carried(r) == repair.Automatic && r.ID != "run-sfc" && !tried[r.ID]:
			t.Errorf("%s: no machine is cured by it", r.ID)
		}
	}
}
