package repair_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"updoc/internal/cause"
	"updoc/internal/isolate"
	"updoc/internal/procedure"
	"updoc/internal/repair"
	"updoc/internal/store"
	"updoc/internal/upgrade"
)

// simulation is a sanity check of the order in which remedies are tried, and no
// measurement: its parameters are assumptions, and stand in a file so that they
// can be argued about. The chance that a diagnosis is right is what was measured
// on reports that nobody here had seen.
type simulation struct {
	Machines  int
	Seed      uint64
	Minutes   float64   // of a diagnosis
	Shares    []float64 // probabilities that a diagnosis gives to its first causes
	Diagnoses []accuracy
	Fits      float64   // chance that a remedy for a cause which the machine does not have finds anything to change
	Proof     float64   // minutes of trying again
	Cures     []float64 // chance that a cause's first, second, ... remedy cures it; the last for all others
	Ask       float64   // minutes until somebody else is asked, at the end
	Strong    []strong  // the courses, in the order in which they are tried where the plan did not help
	Guide     []guideStep
	Script    []guideStep
}

// strong is a remedy that updoc carries out as a course. Its minutes are those that the
// course itself gives.
type strong struct {
	Remedy string
	Look   float64 // minutes after which it leaves a machine that it cannot help
	Cures  float64 // chance that it cures a cause that it is a remedy of
	course float64 // minutes
}

// courses makes the courses, as a machine of the usual kind would have them.
func (s simulation) courses(t *testing.T) {
	t.Helper()
	minutes := map[string]int{}
	spec := func(name string, v any, decode func(json.RawMessage) (procedure.Procedure, error)) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		p, err := decode(b)
		if err != nil {
			t.Fatal(err)
		}
		minutes[name] = p.Bounds().Minutes
	}
	spec("run-dism-restorehealth", store.Spec{Look: true, Files: true, Sources: []store.Source{{Kind: store.FromUpdate}}}, store.Decode)
	data := isolate.Data{Run: "simulated", Stage: "scan", Limits: isolate.New(nil, "", "scan", isolate.Limits{}).Limits}
	for n := range 60 {
		data.Entries = append(data.Entries, isolate.Entry{Kind: "service", Name: fmt.Sprintf("Fabrikam%d", n), Vendor: "Fabrikam", Weight: 1})
	}
	spec("run-clean-boot", data, isolate.Decode)
	spec("run-in-place-upgrade", upgrade.Spec{
		Media: `C:\windows.iso`, Machine: upgrade.Machine{Edition: "Professional", Arch: "amd64"}, Target: upgrade.Version{Build: 22631}, EULA: true,
	}, upgrade.Decode)
	for i, x := range s.Strong {
		n, ok := minutes[x.Remedy]
		if !ok || n == 0 {
			t.Fatalf("no course is %s", x.Remedy)
		}
		s.Strong[i].course = float64(n)
	}
}

// accuracy is how often the true cause stands where in a diagnosis.
type accuracy struct {
	Name                 string
	First, Second, Third float64
}

type guideStep struct {
	Name     string
	Minutes  float64
	Remedies []string
}

// sick is a machine: its cause, and which remedies happen to cure it. Whoever has
// to ask somebody else in the end, because nothing on the machine can be done, is
// done when that is clear.
type sick struct {
	cause   *cause.Cause
	cured   map[string]bool // by a person's hand, as a guide has it
	course  map[string]bool // by updoc's course
	outside bool
}

// tally is what it took until a machine was cured.
type tally struct {
	minutes   float64
	permanent bool // something was done that nothing takes back
}

// does adds a remedy that is carried out.
func (t *tally) does(id string, minutes float64) {
	x, _ := repair.Lookup(id)
	t.minutes += minutes
	t.permanent = t.permanent || x.Risk == repair.RiskPermanent
}

func (s simulation) draw(r *rand.Rand, causes []*cause.Cause, weights []float64) sick {
	m := sick{cause: causes[pick(r, weights)], cured: map[string]bool{}, course: map[string]bool{}, outside: true}
	for i, id := range m.cause.Remedies {
		x, ok := repair.Lookup(id)
		if !ok {
			continue
		}
		if x.Risk != repair.RiskOutside && x.How != repair.Advice && x.Risk != repair.RiskNone {
			m.outside = false
		}
		m.cured[id] = r.Float64() < s.Cures[min(i, len(s.Cures)-1)]
	}
	for _, x := range s.Strong {
		if by := r.Float64(); slices.Contains(m.cause.Remedies, x.Remedy) {
			m.course[x.Remedy] = m.cured[x.Remedy] || by < x.Cures
		}
	}
	return m
}

func pick(r *rand.Rand, weights []float64) int {
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	x := r.Float64() * sum
	for i, w := range weights {
		if x -= w; x < 0 {
			return i
		}
	}
	return len(weights) - 1
}

// fixed goes through steps in their order, as a guide or a script does.
func (s simulation) fixed(m sick, steps []guideStep) tally {
	var t tally
	for _, step := range steps {
		t.minutes += step.Minutes + s.Proof
		for _, id := range step.Remedies {
			t.does(id, 0)
		}
		if slices.ContainsFunc(step.Remedies, func(id string) bool { return m.cured[id] }) {
			return t
		}
	}
	t.minutes += s.Ask
	return t
}

// strong carries a course out, or has it leave a machine that it cannot help.
func (s simulation) strong(t *tally, m sick, x strong) (cured bool) {
	if !slices.Contains(m.cause.Remedies, x.Remedy) {
		t.minutes += x.Look
		return false
	}
	t.does(x.Remedy, x.course+s.Proof)
	return m.course[x.Remedy]
}

// updoc goes by the plan of a diagnosis that is as good as measured, and then by the
// courses.
func (s simulation) updoc(r *rand.Rand, m sick, a accuracy, causes []*cause.Cause) tally {
	place := pick(r, []float64{a.First, a.Second, a.Third, 1 - a.First - a.Second - a.Third}) // 3: not among the first three
	d := cause.Diagnosis{Outcome: cause.Problems}
	for i, share := range s.Shares {
		c := m.cause
		for i != place && c == m.cause {
			c = causes[r.IntN(len(causes))]
		}
		d.Findings = append(d.Findings, cause.Finding{Cause: c, Probability: share})
	}
	t := tally{minutes: s.Minutes}
	left := slices.Clone(s.Strong)
	for _, c := range repair.Order(d) {
		if i := slices.IndexFunc(left, func(x strong) bool { return x.Remedy == c.ID }); i >= 0 {
			if s.strong(&t, m, left[i]) {
				return t
			}
			left = slices.Delete(left, i, i+1)
			continue
		}
		switch {
		case c.Risk == repair.RiskNone && !strings.HasPrefix(c.ID, "retry-") && !strings.HasPrefix(c.ID, "wait-"):
			continue // the diagnosis has looked
		case c.Risk == repair.RiskOutside || c.How == repair.Advice:
			t.minutes += float64(c.Minutes)
			if m.cured[c.ID] || m.outside && place < 3 && slices.Contains(c.Causes, m.cause.ID) {
				t.minutes += s.Ask
				return t
			}
			continue
		case !slices.Contains(c.Causes, m.cause.ID) && r.Float64() >= s.Fits:
			continue // nothing to change, and the plan says so
		}
		t.does(c.ID, float64(c.Minutes)+s.Proof)
		if m.cured[c.ID] {
			return t
		}
	}
	for _, x := range left {
		if s.strong(&t, m, x) {
			return t
		}
	}
	t.minutes += s.Ask
	return t
}

// oracle knows what cures.
func (s simulation) oracle(m sick) tally {
	best := tally{minutes: s.Ask}
	try := func(id string, minutes float64) {
		if minutes += s.Proof; minutes < best.minutes {
			best = tally{}
			best.does(id, minutes)
		}
	}
	for id, cures := range m.cured {
		if x, _ := repair.Lookup(id); cures && x.Risk != repair.RiskOutside && x.How != repair.Advice {
			try(id, float64(x.Minutes))
		}
	}
	for _, x := range s.Strong {
		if m.course[x.Remedy] {
			try(x.Remedy, x.course)
		}
	}
	return best
}

// TestSimulation compares the minutes until a machine is cured, or until it is
// clear that somebody else has to act: the plan, a guide's fixed order, a reset
// script, and whoever knows. docs/benchmarks.md keeps the table.
func TestSimulation(t *testing.T) {
	b, err := os.ReadFile("testdata/simulation.json")
	if err != nil {
		t.Fatal(err)
	}
	var s simulation
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	s.courses(t)
	var causes []*cause.Cause
	var priors []float64
	for _, c := range cause.Catalogue() {
		if len(c.Remedies) > 0 && c.ID != "unknown-other" { // which is no cause, but that none is known
			causes, priors = append(causes, c), append(priors, c.Prior)
		}
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%-56s %7s %7s %7s %7s   %s\n", "mean minutes", "updoc", "guide", "script", "oracle", "of 100, something was done for good")
	for _, a := range s.Diagnoses {
		for _, shuffled := range []bool{false, true} {
			r := rand.New(rand.NewPCG(s.Seed, 1))
			weights, name := slices.Clone(priors), a.Name+", the catalogue's priors"
			if shuffled {
				name = a.Name + ", shuffled priors"
				r.Shuffle(len(weights), func(i, j int) { weights[i], weights[j] = weights[j], weights[i] })
			}
			var sum, lasting [4]float64
			for range s.Machines {
				m := s.draw(r, causes, weights)
				for i, x := range []tally{s.updoc(r, m, a, causes), s.fixed(m, s.Guide), s.fixed(m, s.Script), s.oracle(m)} {
					sum[i] += x.minutes / float64(s.Machines)
					if x.permanent {
						lasting[i] += 100 / float64(s.Machines)
					}
				}
			}
			fmt.Fprintf(&table, "%-56s %7.1f %7.1f %7.1f %7.1f   %7.1f %7.1f %7.1f %7.1f\n", name, sum[0], sum[1], sum[2], sum[3], lasting[0], lasting[1], lasting[2], lasting[3])
			if lasting[0] > lasting[1] {
				t.Errorf("%s: the plan does more for good than the guide, %.1f and %.1f of 100", name, lasting[0], lasting[1])
			}
			if sum[1] < 5*sum[0] {
				t.Errorf("%s: the guide takes %.1f minutes, the plan %.1f: less than five times as long", name, sum[1], sum[0])
			}
			if sum[3] > sum[0] {
				t.Errorf("%s: the plan beats whoever knows: the simulation is wrong", name)
			}
		}
	}
	t.Logf("\n%s", &table)
}
