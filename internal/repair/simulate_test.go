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
	"updoc/internal/repair"
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
	Upgrade   string    // the remedy that mends whatever lies in Windows itself
	Guide     []guideStep
	Script    []guideStep
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
	cured   map[string]bool
	outside bool
}

func (s simulation) draw(r *rand.Rand, causes []*cause.Cause, weights []float64) sick {
	m := sick{cause: causes[pick(r, weights)], cured: map[string]bool{}, outside: true}
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
func (s simulation) fixed(m sick, steps []guideStep) float64 {
	minutes := 0.0
	for _, step := range steps {
		minutes += step.Minutes + s.Proof
		if slices.ContainsFunc(step.Remedies, func(id string) bool { return m.cured[id] }) {
			return minutes
		}
	}
	return minutes + s.Ask
}

// updoc goes by the plan of a diagnosis that is as good as measured.
func (s simulation) updoc(r *rand.Rand, m sick, a accuracy, causes []*cause.Cause) float64 {
	place := pick(r, []float64{a.First, a.Second, a.Third, 1 - a.First - a.Second - a.Third}) // 3: not among the first three
	d := cause.Diagnosis{Outcome: cause.Problems}
	for i, share := range s.Shares {
		c := m.cause
		for i != place && c == m.cause {
			c = causes[r.IntN(len(causes))]
		}
		d.Findings = append(d.Findings, cause.Finding{Cause: c, Probability: share})
	}
	minutes := s.Minutes
	for _, c := range repair.Order(d) {
		switch {
		case c.Risk == repair.RiskNone && !strings.HasPrefix(c.ID, "retry-") && !strings.HasPrefix(c.ID, "wait-"):
			continue // the diagnosis has looked
		case c.Risk == repair.RiskOutside || c.How == repair.Advice:
			minutes += float64(c.Minutes)
			if m.cured[c.ID] || m.outside && place < 3 && slices.Contains(c.Causes, m.cause.ID) {
				return minutes + s.Ask
			}
			continue
		case !slices.Contains(c.Causes, m.cause.ID) && r.Float64() >= s.Fits:
			continue // nothing to change, and the plan says so
		}
		minutes += float64(c.Minutes) + s.Proof
		if m.cured[c.ID] {
			return minutes
		}
	}
	if !m.cured[s.Upgrade] {
		return minutes + s.Ask
	}
	up, _ := repair.Lookup(s.Upgrade)
	return minutes + float64(up.Minutes) + s.Proof
}

// oracle knows what cures.
func (s simulation) oracle(m sick) float64 {
	best := s.Ask
	for id, cures := range m.cured {
		if x, _ := repair.Lookup(id); cures && x.Risk != repair.RiskOutside && x.How != repair.Advice {
			best = min(best, float64(x.Minutes)+s.Proof)
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
	var causes []*cause.Cause
	var priors []float64
	for _, c := range cause.Catalogue() {
		if len(c.Remedies) > 0 && c.ID != "unknown-other" { // which is no cause, but that none is known
			causes, priors = append(causes, c), append(priors, c.Prior)
		}
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%-56s %7s %7s %7s %7s\n", "mean minutes", "updoc", "guide", "script", "oracle")
	for _, a := range s.Diagnoses {
		for _, shuffled := range []bool{false, true} {
			r := rand.New(rand.NewPCG(s.Seed, 1))
			weights, name := slices.Clone(priors), a.Name+", the catalogue's priors"
			if shuffled {
				name = a.Name + ", shuffled priors"
				r.Shuffle(len(weights), func(i, j int) { weights[i], weights[j] = weights[j], weights[i] })
			}
			var sum [4]float64
			for range s.Machines {
				m := s.draw(r, causes, weights)
				for i, minutes := range []float64{s.updoc(r, m, a, causes), s.fixed(m, s.Guide), s.fixed(m, s.Script), s.oracle(m)} {
					sum[i] += minutes / float64(s.Machines)
				}
			}
			fmt.Fprintf(&table, "%-56s %7.1f %7.1f %7.1f %7.1f\n", name, sum[0], sum[1], sum[2], sum[3])
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
