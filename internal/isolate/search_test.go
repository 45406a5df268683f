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

// random makes a machine with 20 to 300 entries of vendors that have a few each, as
// service, task or Run value. Any may be to blame, the unlikely as often as the likely.
func random(rng *rand.Rand, kind int, informed bool) *machine {
	n := 20 + rng.IntN(281)
	m := &machine{rng: rng}
	for len(m.items) < n {
		vendor := fmt.Sprintf("vendor %d", len(m.items))
		weight := []float64{1, 1, 1, 2, 2, 4, 8}[rng.IntN(7)]
		for range 1 + rng.IntN(1+rng.IntN(8)) {
			it := Item{Group: vendor, Weight: weight}
			switch x := rng.Float64(); {
			case x < 0.5: // a service that can be stopped
				it.Live, it.Weight = true, 2*weight
			case x < 0.55: // one that cannot
				it.Weight = 2 * weight
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
		m.culprit = [][]int{pick[:2]}
	case noCulprit:
		m.culprit = [][]int{{}}
	case flakyFailure:
		m.flaky = 0.2 + 0.6*rng.Float64()
	}
	return m
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
// which it can be told, with few restarts.
func TestThousandMachines(t *testing.T) {
	restarts, tries, logon := map[int][]int{}, map[int][]int{}, []int(nil)
	classes := map[string][]int{}
	defer func() {
		for k, v := range classes {
			t.Log(k, len(v), median(v), slices.Max(v))
		}
	}()
	wrong, byHand := 0, []int(nil)
	for n := range 1000 {
		kind := n % kinds
		m := random(rand.New(rand.NewPCG(20261121, uint64(n))), kind, n/kinds%2 == 0)
		f, err := Search(m.items, generous, m)
		if err != nil {
			t.Fatalf("machine %d: %v", n, err)
		}
		if kind == flakyFailure {
			if f.State == Found { // that it fails with everything off as well is true of it
				t.Logf("machine %d, flaky with %.2f: %s", n, m.flaky, f.State)
				wrong++
			}
			continue
		}
		if err := m.right(f); err != nil {
			t.Errorf("machine %d, kind %d, %d items, culprits %v: %v", n, kind, len(m.items), m.culprit, err)
		}
		restarts[kind], tries[kind] = append(restarts[kind], f.Restarts), append(tries[kind], f.Tries)
		if kind == oneCulprit {
			class := "restart"
			if i := m.culprit[0][0]; m.items[i].Live {
				class = fmt.Sprint("live ", m.lingers[i], m.waits[i])
			}
			class = fmt.Sprint(n/kinds%2 == 0, class)
			classes[class] = append(classes[class], f.Restarts)
			if i := m.culprit[0][0]; !m.items[i].Live || m.lingers[i] {
				logon = append(logon, f.Restarts)
			}
			byHand = append(byHand, recipe(m))
		}
	}
	for kind, name := range []string{"one culprit", "two culprits", "a conflict of two", "none"} {
		t.Logf("%-18s restarts: median %d, 90 %% %d, most %d; attempts: median %d, most %d", name,
			median(restarts[kind]), percentile(restarts[kind], 90), slices.Max(restarts[kind]), median(tries[kind]), slices.Max(tries[kind]))
	}
	t.Logf("one culprit that needs restarts to be seen (%d): median %d, most %d", len(logon), median(logon), slices.Max(logon))
	t.Logf("by hand, one culprit: median %d, most %d", median(byHand), slices.Max(byHand))
	if got := median(restarts[oneCulprit]); got > 6 {
		t.Errorf("median of %d restarts for one culprit, want at most 6", got)
	}
	if wrong > 0 {
		t.Errorf("%d of 200 flaky machines got an answer", wrong)
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
		if it.Live || it.Weight > 1 && i%2 == 0 {
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
