package isolate

import (
	"cmp"
	"errors"
	"math"
	"slices"

	"updoc/internal/sorted"
)

// Item is one thing that can be switched off, as far as a search needs to know it.
type Item struct {
	Group  string  // who made it: the members of a group are kept together as long as there are other groups
	Weight float64 // how likely it is to blame, beside the others; more than 0
	Live   bool    // it is switched off and on without a restart of the machine
	Needs  []int   // what it cannot work without: switched off with these
}

// Set says of each item whether it is in.
type Set []bool

func (s Set) with(list ...int) Set {
	s = slices.Clone(s)
	for _, i := range list {
		s[i] = true
	}
	return s
}

func (s Set) list() (out []int) {
	for i, in := range s {
		if in {
			out = append(out, i)
		}
	}
	return out
}

func (s Set) without(t Set) Set {
	s = slices.Clone(s)
	for i := range s {
		s[i] = s[i] && !t[i]
	}
	return s
}

// within reports that all of s is in t.
func (s Set) within(t Set) bool {
	for i := range s {
		if s[i] && !t[i] {
			return false
		}
	}
	return true
}

// Result is how an attempt went.
type Result int

// The results of an attempt.
const (
	Fails     Result = iota
	Otherwise        // it fails, and in another way than with everything on
	Works
)

// Round is one attempt with some items off.
type Round struct {
	Off     Set
	Restart bool // of the machine, before the attempt

	// What a person wants to know meanwhile.
	Number   int // of the attempt, from 1
	Suspects int // items that come into question
	Left     int // restarts that it will take from here on, about
}

// Prober makes the rounds of a search. An error ends the search where it is.
type Prober interface {
	Try(Round) (Result, error)
}

// Limits bound a search.
type Limits struct {
	Tries    int `json:"tries"`
	Restarts int `json:"restarts"`
	// Once says that an attempt which works leaves nothing to be tried again: an
	// update that is installed cannot fail a second time.
	Once bool `json:"once,omitempty"`
}

// State says how a search ended.
type State string

// How a search ends.
const (
	Running   State = "running"   // it did not end
	Healthy   State = "healthy"   // it does not fail now
	Flaky     State = "flaky"     // it fails and works with the same things off: undecidable
	None      State = "none"      // it fails with everything off as well
	Different State = "different" // with everything off it fails in another way
	Found     State = "found"     // Finding.Causes are to blame
	Narrowed  State = "narrowed"  // it worked once, and one of Finding.Suspects was to blame
	Exhausted State = "exhausted" // the bounds were reached, and Finding.Suspects are left
)

// Finding is what a search found, or has found so far.
type Finding struct {
	State    State
	Causes   [][]int // each: items that together, with all others off, make it fail; none can be left out
	Cure     []int   // with these off, and everything else on, it works after a restart
	Suspects []int
	Tries    int
	Restarts int
}

var (
	errBound = errors.New("the bounds of the search are reached")
	errFlaky = errors.New("the same gives different results")

	// errDeceived: what was believed without a restart was not so, or more than one item
	// is to blame.
	errDeceived = errors.New("the answers without a restart do not add up")
)

// known is what an attempt showed.
type known struct {
	off   Set
	works bool
	// sure: nothing that was stopped may still have had an effect, and nothing that was
	// started may not yet have had one, so that a restart would show the same.
	sure bool
}

// search finds the smallest sets of items that make updating fail, by divide and
// conquer: QuickXplain (Junker, AAAI 2004), which asks for less than delta debugging
// (Zeller and Hildebrandt, 2002) where few are to blame, and finds the same minimal
// sets. Two things are added: halves are those of the likelihood and not of the
// number, and what a restart costs decides how daring a question is.
//
// It believes in one law: switching off more never makes worse what works. What
// breaks it is told as undecidable.
type search struct {
	items  []Item
	limits Limits
	prober Prober

	off      Set // now
	stopped  Set // of these, what was stopped since the last start of the machine
	started  Set // what was started since then, of what is on
	tries    int
	restarts int

	// What is believed without a restart: that what is stopped has no effect from then
	// on, and that what is started has one.
	stops, starts bool
	missed        bool // it failed with everything off that needs no restart
	facts         []known

	found    []int
	suspects []int
}

// Search looks for what is to blame. An error is the prober's; the finding is then
// what is known so far.
func Search(items []Item, limits Limits, p Prober) (Finding, error) {
	n := len(items)
	s := &search{items: items, limits: limits, prober: p, off: make(Set, n), stopped: make(Set, n), started: make(Set, n)}
	s.suspects = s.all().list()
	f, err := s.run()
	switch {
	case errors.Is(err, errBound):
		f, err = Finding{State: Exhausted}, nil
	case errors.Is(err, errFlaky):
		f, err = Finding{State: Flaky}, nil
	case err != nil:
		f = Finding{State: Running}
	}
	if f.State == Running || f.State == Exhausted || f.State == Narrowed {
		f.Suspects = s.suspects
	}
	f.Tries, f.Restarts = s.tries, s.restarts
	return f, err
}

func (s *search) all() Set {
	out := make(Set, len(s.items))
	for i := range out {
		out[i] = true
	}
	return out
}

func (s *search) none() Set { return make(Set, len(s.items)) }

// liveItems are the items that can be switched without a restart.
func (s *search) liveItems() Set {
	out := s.none()
	for i, it := range s.items {
		out[i] = it.Live
	}
	return out
}

func (s *search) run() (Finding, error) {
	// A failure that does not come each time proves nothing by not coming.
	works := 0
	for range 2 {
		r, err := s.attempt(s.none(), false)
		if err != nil {
			return Finding{}, err
		}
		if r == Works {
			works++
		}
	}
	switch {
	case works == 2:
		return Finding{State: Healthy}, nil
	case works == 1:
		return Finding{}, errFlaky
	case len(s.items) == 0:
		return Finding{State: None}, nil
	}
	s.facts = append(s.facts, known{s.none(), false, true})
	if s.limits.Once {
		return s.runOnce()
	}

	// First what needs no restart.
	if live := s.liveItems(); len(live.list()) > 0 {
		s.stops = true
		stopped, err := s.holds(worksWithout(), live, false)
		if err != nil {
			return Finding{}, err
		}
		if stopped {
			r, err := s.attempt(s.none(), false)
			if err != nil {
				return Finding{}, err
			}
			s.starts = r != Works // else it has effect from a start of the machine on
			if f, ok, err := s.pin(live); ok || err != nil {
				return f, err
			}
			s.stops, s.starts = false, false
			if f, ok, err := s.pin(live); ok || err != nil {
				return f, err
			}
		}
		s.stops, s.missed = false, !stopped
		s.facts = slices.DeleteFunc(s.facts, func(k known) bool { return !k.sure })
	}

	s.suspects = s.all().list()
	ok, err := s.holds(worksWithout(), s.all(), false)
	if err != nil {
		return Finding{}, err
	}
	if !ok {
		r, err := s.attempt(s.off, false) // what ends the search is seen twice
		switch {
		case err != nil:
			return Finding{}, err
		case r == Works:
			return Finding{}, errFlaky
		case r == Otherwise:
			return Finding{State: Different}, nil
		}
		return Finding{State: None}, nil
	}
	for _, s.starts = range []bool{true, false} {
		if f, ok, err := s.pin(s.all()); ok || err != nil {
			return f, err
		}
	}
	return Finding{}, errFlaky
}

// pin finds out which items of a set, with which it works, are to blame. false: what
// it found did not stand the proof, since something has effect from a start of the
// machine on.
func (s *search) pin(among Set) (Finding, bool, error) {
	cure, err := s.cures(among)
	if errors.Is(err, errDeceived) {
		return Finding{}, false, nil
	}
	if err != nil {
		return Finding{}, false, err
	}
	if cure, err = s.dependents(cure); err != nil {
		return Finding{}, false, err
	}
	if ok, err := s.holds(worksWithout(), s.none().with(cure...), true); !ok || err != nil {
		return Finding{}, false, err
	}
	f := Finding{State: Found, Cure: cure}
	for _, i := range cure {
		blamed, ok, err := s.explain(i)
		if !ok || err != nil {
			return Finding{}, false, err
		}
		if !slices.ContainsFunc(f.Causes, func(c []int) bool { return slices.Equal(c, blamed) }) {
			f.Causes = append(f.Causes, blamed)
		}
	}
	return f, true, nil
}

// cures returns items of a set without which it works, and of which none can be left on.
func (s *search) cures(among Set) ([]int, error) {
	if !s.trusting() {
		return s.minimal(among.list(), worksWithout())
	}
	// One item as a rule; where that is not all, the others are looked for beside it.
	var cure []int
	for len(cure) < several {
		q := question{off: func(x Set) Set { return x.with(cure...) }, works: true}
		more, err := s.minimal(among.without(s.none().with(cure...)).list(), q)
		deceived := errors.Is(err, errDeceived)
		switch {
		case deceived:
			more = s.found[:1]
		case err != nil:
			return nil, err
		}
		if cure = append(cure, more...); !deceived {
			break
		}
	}
	for k := 0; len(cure) > 1 && k < len(cure); k++ { // none is there by mistake
		rest := slices.Delete(slices.Clone(cure), k, k+1)
		ok, err := s.holds(worksWithout(), s.none().with(rest...), true)
		if err != nil {
			return nil, err
		}
		if ok {
			cure, k = rest, -1
		}
	}
	return cure, nil
}

// several is how many items a search takes to be to blame before it doubts what it was
// told.
const several = 2

// explain returns what makes it fail with one item on and nothing else: the item
// itself, or the item and what it does not get on with.
func (s *search) explain(i int) ([]int, bool, error) {
	q := question{
		off:   func(on Set) Set { return s.all().without(s.needed(on.with(i))) },
		works: false,
	}
	s.found, s.suspects = nil, []int{i}
	alone, err := s.holds(q, s.none(), true)
	if err != nil || alone {
		return []int{i}, true, err
	}
	with, err := s.minimal(s.all().without(s.none().with(i)).list(), q)
	if errors.Is(err, errDeceived) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if ok, err := s.holds(q, s.none().with(with...), true); !ok || err != nil {
		return nil, false, err
	}
	blamed := append(with, i)
	slices.Sort(blamed)
	return blamed, true, nil
}

// dependents takes an item out of the blame if it is enough to switch off what
// cannot work without it.
func (s *search) dependents(cure []int) ([]int, error) {
	for k, i := range cure {
		more := s.closed(s.none().with(i)).without(s.none().with(i)).list()
		if len(more) == 0 {
			continue
		}
		rest := slices.Delete(slices.Clone(cure), k, k+1)
		q := question{off: func(off Set) Set { return off.with(rest...) }, works: true}
		ok, err := s.holds(q, s.none().with(more...), false)
		if err != nil {
			return nil, err
		}
		if ok {
			less, err := s.minimal(more, q)
			if err != nil {
				return nil, err
			}
			return s.dependents(append(rest, less...))
		}
	}
	slices.Sort(cure)
	return cure, nil
}

// question is about sets of items: whether it works, or fails, with what off makes
// of a set switched off. If it holds for a set it holds for every larger one.
type question struct {
	off   func(Set) Set
	works bool
}

// worksWithout asks whether it works with the items of a set off.
func worksWithout() question { return question{off: func(x Set) Set { return x }, works: true} }

// holds asks a question. With surely, no answer is taken that a restart might change.
func (s *search) holds(q question, x Set, surely bool) (bool, error) {
	off := s.closed(q.off(x))
	works, told := s.infer(off, surely || !s.trusting())
	if !told {
		var err error
		if works, err = s.ask(off, surely || s.restartFor(off), surely); err != nil {
			return false, err
		}
	}
	return works == q.works, nil
}

// minimal returns a set of candidates for which a question holds, and of which none
// can be left out. It must hold for all of them together.
func (s *search) minimal(candidates []int, q question) ([]int, error) {
	s.found, s.suspects = nil, candidates
	if ok, err := s.holds(q, s.none(), false); ok || err != nil {
		return nil, err
	}
	var look func(base Set, asked bool, c []int) ([]int, error)
	look = func(base Set, asked bool, c []int) ([]int, error) {
		if asked {
			if ok, err := s.holds(q, base, false); ok || err != nil {
				return nil, err
			}
		}
		s.suspects = append(slices.Clone(s.found), c...)
		if len(c) == 1 {
			// It is needed. If it is all that is, one question settles the rest.
			s.found = append(s.found, c[0])
			if only := s.none().with(s.found...); s.trusting() || !base.within(only) {
				ok, err := s.holds(q, only, true)
				if err != nil {
					return nil, err
				}
				if !ok && s.trusting() {
					return nil, errDeceived
				}
			}
			return c, nil
		}
		c, k := s.split(q, base, c)
		right, err := look(base.with(c[:k]...), true, c[k:])
		if err != nil {
			return nil, err
		}
		left, err := look(base.with(right...), len(right) > 0, c[:k])
		return append(left, right...), err
	}
	out, err := look(s.none(), false, candidates)
	slices.Sort(out)
	return out, err
}

// Shares of the likelihood that belong to the next question. Where the way to it costs
// no restart and the way back does, small steps get the most for a restart: most of
// them are not taken back.
const (
	evenly  = 0.5
	careful = 0.94
)

// split orders candidates and returns how many of them belong to the next question.
func (s *search) split(q question, base Set, c []int) ([]int, int) {
	c = slices.Clone(c)
	oneWay := s.starts != s.stops // there without a restart, and back with one
	key := func(i int) string {
		rank := "0"
		if oneWay && s.items[i].Live == (q.works == s.starts) {
			rank = "1" // so that the step there is one without a restart
		}
		return rank + s.items[i].Group
	}
	weights, total := map[string]float64{}, 0.0
	for _, i := range c {
		weights[key(i)] += s.weight(i)
		total += s.weight(i)
	}
	sorted.By(c, func(a, b int) int {
		ka, kb := key(a), key(b)
		if ka != kb {
			return cmp.Or(cmp.Compare(ka[:1], kb[:1]), cmp.Compare(weights[kb], weights[ka]), cmp.Compare(ka, kb))
		}
		return cmp.Or(cmp.Compare(s.weight(b), s.weight(a)), cmp.Compare(a, b))
	})
	whole := key(c[0]) == key(c[len(c)-1]) // one group is left: it is cut
	cut := func(share float64) int {
		best, at, sum := math.Inf(1), 1, 0.0
		for k := 1; k < len(c); k++ {
			sum += s.weight(c[k-1])
			if !whole && key(c[k-1]) == key(c[k]) {
				continue
			}
			if d := math.Abs(sum/total - share); d < best {
				best, at = d, k
			}
		}
		return at
	}
	if oneWay {
		share := careful
		if q.works != s.starts { // what is switched comes first
			share = 1 - careful
		}
		if k := cut(share); !s.restartFor(s.closed(q.off(base.with(c[:k]...)))) {
			return c, k
		}
	}
	return c, cut(evenly)
}

// weight is how likely an item is to blame by now: most of what can be stopped at once
// has no effect from then on, and would have shown itself.
func (s *search) weight(i int) float64 {
	const lingering = 0.3
	if w := s.items[i].Weight; !s.missed || !s.items[i].Live {
		return w
	}
	return lingering * s.items[i].Weight
}

// trusting reports whether anything is believed but what a restart shows.
func (s *search) trusting() bool { return s.stops || s.starts }

// closed adds what cannot work without what is in the set.
func (s *search) closed(off Set) Set {
	off = slices.Clone(off)
	for more := true; more; {
		more = false
		for i, it := range s.items {
			if !off[i] && slices.ContainsFunc(it.Needs, func(n int) bool { return off[n] }) {
				off[i], more = true, true
			}
		}
	}
	return off
}

// needed adds what the items of a set cannot work without.
func (s *search) needed(on Set) Set {
	on = slices.Clone(on)
	for queue := on.list(); len(queue) > 0; queue = queue[1:] {
		for _, n := range s.items[queue[0]].Needs {
			if !on[n] {
				on[n], queue = true, append(queue, n)
			}
		}
	}
	return on
}

// infer answers from what is known: more off works where less off does.
func (s *search) infer(off Set, sure bool) (works, told bool) {
	for _, k := range s.facts {
		switch {
		case sure && !k.sure:
		case k.works && k.off.within(off):
			return true, true
		case !k.works && off.within(k.off):
			return false, true
		}
	}
	return false, false
}

// restartFor reports whether it takes a restart to have exactly these items off.
func (s *search) restartFor(off Set) bool {
	for i, it := range s.items {
		switch {
		case s.stopped[i] && off[i] && !s.stops, s.started[i] && !off[i] && !s.starts:
			return true // how it is by now cannot be told
		case off[i] == s.off[i]:
		case !it.Live, off[i] && !s.stops, !off[i] && !s.starts:
			return true
		}
	}
	return false
}

// Attempts that have to end alike: a failure that comes and goes gives any answer once.
const (
	decisive = 3 // for what a finding rests on
	settled  = 2 // for what works
)

// ask makes an attempt, and repeats it where more rests on its result.
func (s *search) ask(off Set, restart, surely bool) (bool, error) {
	r, err := s.attempt(off, restart)
	if err != nil {
		return false, err
	}
	works, times := r == Works, 1
	switch {
	case surely:
		times = decisive
	case works && (restart || s.stops):
		times = settled
	}
	for range times - 1 {
		r, err := s.attempt(off, false)
		if err != nil {
			return false, err
		}
		if works != (r == Works) {
			return false, errFlaky
		}
	}
	k := known{off: off, works: works, sure: true}
	for i := range off {
		if works && s.started[i] && !off[i] || !works && s.stopped[i] && off[i] {
			k.sure = false
		}
	}
	for _, old := range s.facts {
		if !k.sure || !old.sure || old.works == works {
			continue
		}
		if works && off.within(old.off) || !works && old.off.within(off) {
			return false, errFlaky
		}
	}
	s.facts = append(s.facts, k)
	return works, nil
}

// attempt has some items off, and tries.
func (s *search) attempt(off Set, restart bool) (Result, error) {
	if s.tries >= s.limits.Tries || restart && s.restarts >= s.limits.Restarts {
		return Fails, errBound
	}
	r, err := s.prober.Try(Round{Off: off, Restart: restart, Number: s.tries + 1, Suspects: len(s.suspects), Left: s.left()})
	if err != nil {
		return r, err
	}
	s.tries++
	if restart {
		s.restarts++
	}
	for i := range off {
		s.stopped[i] = !restart && off[i] && (s.stopped[i] || !s.off[i])
		s.started[i] = !restart && !off[i] && (s.started[i] || s.off[i])
	}
	s.off = slices.Clone(off)
	return r, nil
}

// left is how many restarts it will take, about: halving the groups that are left, and
// the proof.
func (s *search) left() int {
	const proof = 2
	if s.stops {
		return proof
	}
	groups := map[string]bool{}
	for _, i := range s.suspects {
		groups[s.items[i].Group] = true
	}
	n := proof + int(math.Ceil(math.Log2(float64(max(1, len(groups))))))
	return min(n, s.limits.Restarts-s.restarts)
}

// runOnce narrows down what is to blame where only one attempt can work: more and
// more is switched off, the likeliest first, and what is added last before it works is
// suspect.
func (s *search) runOnce() (Finding, error) {
	const parts = 4
	for _, live := range []bool{true, false} {
		s.stops = live
		among := s.all().list()
		if live {
			among = s.liveItems().list()
		}
		if len(among) == 0 {
			continue
		}
		s.starts = s.stops // by likelihood alone
		order, _ := s.split(worksWithout(), s.none(), among)
		before, total, sum, part := s.none(), 0.0, 0.0, 1
		for _, i := range order {
			total += s.items[i].Weight
		}
		for k, i := range order {
			if sum += s.items[i].Weight; sum < total*float64(part)/parts && k < len(order)-1 {
				continue
			}
			part = int(sum/total*parts) + 1
			off := s.closed(s.none().with(order[:k+1]...))
			s.suspects = off.without(before).list()
			r, err := s.attempt(off, s.restartFor(off))
			if err != nil {
				return Finding{}, err
			}
			if r == Works {
				return Finding{State: Narrowed}, nil
			}
			before = off
			if k == len(order)-1 && !live && r == Otherwise {
				return Finding{State: Different}, nil
			}
		}
	}
	return Finding{State: None}, nil
}
