package isolate

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// machine is a machine in memory. What is to blame has effect while it runs; what
// lingers has effect until the next restart, and what waits has none before it.
type machine struct {
	items   []Item
	culprit [][]int // it fails while all of one of these have effect
	lingers []bool
	waits   []bool
	flaky   float64 // it fails by chance, whatever is on
	rng     *rand.Rand

	effect   Set
	off      Set
	tries    int
	restarts int
}

func (m *machine) Try(r Round) (Result, error) {
	m.tries++
	if m.effect == nil {
		m.effect, m.off = make(Set, len(m.items)), make(Set, len(m.items))
		for i := range m.effect {
			m.effect[i] = true
		}
	}
	if r.Restart {
		m.restarts++
	}
	for i, off := range r.Off {
		switch {
		case r.Restart:
			m.effect[i] = !off
		case off == m.off[i]:
		case !m.items[i].Live:
			return Fails, fmt.Errorf("item %d cannot be switched without a restart", i)
		case off:
			m.effect[i] = m.lingers[i]
		default:
			m.effect[i] = !m.waits[i]
		}
	}
	for i, off := range r.Off { // what is needed is on
		for _, n := range m.items[i].Needs {
			if !off && r.Off[n] {
				return Fails, fmt.Errorf("item %d is on without %d", i, n)
			}
		}
	}
	m.off = slices.Clone(r.Off)
	if m.flaky > 0 {
		if m.rng.Float64() < m.flaky {
			return Fails, nil
		}
		return Works, nil
	}
	for _, together := range m.culprit {
		if !slices.ContainsFunc(together, func(i int) bool { return !m.effect[i] }) {
			return Fails, nil
		}
	}
	return Works, nil
}

// Kinds of machines.
const (
	oneCulprit = iota
	twoCulprits
	conflictOfTwo
	noCulprit
	flakyFailure
	kinds
)

// mix is what is installed on an invented machine: kinds of programs of rules.tsv with
// their weights, and how many of a hundred vendors make such.
var mix = []struct {
	weight float64
	share  int
}{{1, 55}, {2, 20}, {3, 8}, {6, 6}, {10, 3}, {12, 4}, {18, 3}, {30, 1}}

// random makes a machine with 20 to 300 entries of vendors that have a few each, as
// service, task or Run value. informed: what is likely to blame is so as often as it is
// likely; else anything is as often as anything else.
func random(rng *rand.Rand, kind int, informed bool) *machine {
	n := 20 + rng.IntN(281)
	m := &machine{rng: rng}
	for len(m.items) < n {
		vendor, weight := fmt.Sprintf("vendor %d", len(m.items)), 0.0
		for x := rng.IntN(100); weight == 0; {
			for _, k := range mix {
				if x -= k.share; x < 0 {
					weight = k.weight
					break
				}
			}
		}
		for range 1 + rng.IntN(1+rng.IntN(8)) {
			it := Item{Group: vendor, Weight: weight}
			switch x := rng.IntN(100); {
			case x < 50: // a service that can be stopped
				it.Live, it.Weight = true, service*weight
			case x < 55: // one that cannot
				it.Weight = service * weight
			}
			if k := len(m.items); it.Live && k > 0 && m.items[k-1].Group == vendor && m.items[k-1].Live && rng.IntN(10) == 0 {
				it.Needs = []int{k - 1}
			}
			m.items = append(m.items, it)
		}
	}
	m.items = m.items[:n]
	m.lingers, m.waits = make([]bool, n), make([]bool, n)
	for i := range n {
		m.lingers[i], m.waits[i] = rng.IntN(4) == 0, rng.IntN(5) == 0
	}
	pick := rng.Perm(n)
	if informed {
		pick = m.draw(rng)
	}
	switch kind {
	case oneCulprit:
		m.culprit = [][]int{pick[:1]}
	case twoCulprits:
		m.culprit = [][]int{pick[:1], pick[1:2]}
	case conflictOfTwo:
		// What needs the other cannot run without it, and is then to blame alone.
		two := []int{pick[0]}
		for _, i := range pick[1:] {
			if !m.needs(i, two[0]) && !m.needs(two[0], i) {
				two = append(two, i)
				break
			}
		}
		m.culprit = [][]int{two}
	case noCulprit:
		m.culprit = [][]int{{}}
	case flakyFailure:
		m.flaky = 0.2 + 0.6*rng.Float64()
	}
	return m
}

// needs reports whether an item cannot work without another.
func (m *machine) needs(i, other int) bool {
	return slices.ContainsFunc(m.items[i].Needs, func(n int) bool { return n == other || m.needs(n, other) })
}

// draw orders the items by chance, the likely first as often as they are likely.
func (m *machine) draw(rng *rand.Rand) []int {
	at, order := make([]float64, len(m.items)), make([]int, len(m.items))
	for i, it := range m.items {
		order[i], at[i] = i, rng.ExpFloat64()/it.Weight
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(at[a], at[b]) })
	return order
}

var generous = Limits{Tries: 400, Restarts: 60}

// right reports whether a finding names what is to blame.
func (m *machine) right(f Finding) error {
	if f.Tries != m.tries || f.Restarts != m.restarts {
		return fmt.Errorf("counts %d tries and %d restarts, there were %d and %d", f.Tries, f.Restarts, m.tries, m.restarts)
	}
	if len(m.culprit) == 1 && len(m.culprit[0]) == 0 {
		if f.State != None {
			return fmt.Errorf("%s, nothing is to blame", f.State)
		}
		return nil
	}
	if f.State != Found {
		return fmt.Errorf("%s, want found", f.State)
	}
	var want []string
	for _, c := range m.culprit {
		c = slices.Clone(c)
		slices.Sort(c)
		want = append(want, fmt.Sprint(c))
	}
	var got []string
	for _, c := range f.Causes {
		got = append(got, fmt.Sprint(c))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		return fmt.Errorf("causes %v, want %v", got, want)
	}
	return nil
}

func median(list []int) int {
	slices.Sort(list)
	return list[len(list)/2]
}

func percentile(list []int, p int) int {
	slices.Sort(list)
	return list[min(len(list)-1, len(list)*p/100)]
}

// TestThousandMachines is the promise: what is to blame is named on every machine on
// which it can be told.
func TestThousandMachines(t *testing.T) {
	restarts, tries := map[int][]int{}, map[int][]int{}
	for n := range 1000 {
		kind := n % kinds
		m := random(rand.New(rand.NewPCG(20261121, uint64(n))), kind, n/kinds%2 == 0)
		f, err := Search(m.items, generous, m)
		if err != nil {
			t.Fatalf("machine %d: %v", n, err)
		}
		if kind == flakyFailure { // that it fails with everything off as well is true of it
			if f.State == Found || f.State == Different {
				t.Errorf("machine %d, which fails by chance, %.2f of the time: %s", n, m.flaky, f.State)
			}
			continue
		}
		if err := m.right(f); err != nil {
			t.Errorf("machine %d, kind %d, %d items, culprits %v: %v", n, kind, len(m.items), m.culprit, err)
		}
		restarts[kind], tries[kind] = append(restarts[kind], f.Restarts), append(tries[kind], f.Tries)
	}
	for kind, name := range []string{"one culprit", "two culprits", "a conflict of two", "none"} {
		t.Logf("%-18s restarts: %s; attempts: %s", name, figures(restarts[kind]), figures(tries[kind]))
	}
	if got := median(restarts[oneCulprit]); got > 6 {
		t.Errorf("one culprit takes %d restarts in the median, want at most 6", got)
	}
}

func figures(list []int) string {
	return fmt.Sprintf("median %d, 90 %% %d, most %d", median(list), percentile(list, 90), slices.Max(list))
}

// TestRestarts counts what one culprit costs, beside the recipe by hand.
func TestRestarts(t *testing.T) {
	for _, informed := range []bool{true, false} {
		var all, slow, byHand, tries []int
		for n := range 400 {
			m := random(rand.New(rand.NewPCG(8, uint64(n))), oneCulprit, informed)
			f, err := Search(m.items, generous, m)
			if err == nil {
				err = m.right(f)
			}
			if err != nil {
				t.Fatalf("machine %d: %v", n, err)
			}
			all, tries, byHand = append(all, f.Restarts), append(tries, f.Tries), append(byHand, recipe(m))
			if i := m.culprit[0][0]; !m.items[i].Live {
				slow = append(slow, f.Restarts)
			}
		}
		name, most := "culprits as likely as the priors say", 6
		if !informed {
			name, most = "culprits anywhere", 9
		}
		t.Logf("%s: restarts %s; attempts %s", name, figures(all), figures(tries))
		t.Logf("  of these %d that no stopping shows: restarts %s", len(slow), figures(slow))
		t.Logf("  by hand: restarts %s", figures(byHand))
		if got := median(all); got > most {
			t.Errorf("%s: median of %d restarts, want at most %d", name, got, most)
		}
		if median(all) > median(byHand) {
			t.Errorf("%s: by hand it takes less", name)
		}
	}
}

// recipe counts the restarts of the clean boot by hand, as "How to perform a clean
// boot in Windows" (support.microsoft.com) has it: everything off; then half of the
// services on, and half of what is left, until one is left; then the same with the
// start-up items; a restart each. It knows no vendors and proves nothing in the end.
func recipe(m *machine) int {
	culprit := m.culprit[0][0]
	var services, others []int
	for i, it := range m.items {
		if it.Live || i%11 == 0 {
			services = append(services, i)
		} else {
			others = append(others, i)
		}
	}
	n := 1 // everything off: it works
	n++    // all services on: is it one of them?
	c := others
	if slices.Contains(services, culprit) {
		c = services
	}
	for len(c) > 1 {
		n++
		if half := c[:len(c)/2]; slices.Contains(half, culprit) {
			c = half
		} else {
			c = c[len(c)/2:]
		}
	}
	return n + 1 // everything as it was
}

// TestSearchEnds: a prober's error stops it, and bounds hold.
func TestSearchEnds(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for n := range 200 {
		m := random(rng, n%kinds, true)
		limits := Limits{Tries: 3 + n%30, Restarts: n % 7}
		f, err := Search(m.items, limits, m)
		if err != nil {
			t.Fatal(err)
		}
		if m.tries > limits.Tries || m.restarts > limits.Restarts {
			t.Errorf("machine %d: %d tries and %d restarts of %+v", n, m.tries, m.restarts, limits)
		}
		if f.State == Running || f.State == Exhausted && len(f.Suspects) == 0 {
			t.Errorf("machine %d: %+v", n, f)
		}
		if f.State == Found && n%kinds != flakyFailure {
			if err := m.right(f); err != nil {
				t.Errorf("machine %d: %v", n, err)
			}
		}
	}
	broken := errors.New("no")
	for at := range 12 {
		m := random(rng, oneCulprit, true)
		p := &stopping{machine: m, at: at, err: broken}
		f, err := Search(m.items, generous, p)
		if err == nil {
			continue // it was over before
		}
		if !errors.Is(err, broken) || f.State != Running || f.Tries != at || len(f.Suspects) == 0 {
			t.Errorf("stopped after %d: %v, %+v", at, err, f)
		}
	}
}

type stopping struct {
	*machine
	at  int
	err error
}

func (s *stopping) Try(r Round) (Result, error) {
	if s.at == 0 {
		return Fails, s.err
	}
	s.at--
	return s.machine.Try(r)
}
