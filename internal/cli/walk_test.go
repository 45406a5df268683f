package cli

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"updoc/internal/cause"
	"updoc/internal/codes"
	"updoc/internal/lab"
	"updoc/internal/report"
	"updoc/internal/route"
)

var update = flag.Bool("update", false, "rewrite the part of docs/benchmarks.md that these tests measure")

// judged is what a walked scenario was to show, and what it showed.
type judged struct {
	name        string
	cause, told string // root cause: expected, found
	code, gave  string // HRESULT: expected, predicted
}

// TestWalkedScenarios walks every simulated machine that has a world: the root cause
// must be told first, with its remedy, and the code that Windows would report must be
// the one that is expected. What was taken for what stands in docs/benchmarks.md.
func TestWalkedScenarios(t *testing.T) {
	const atOnce = 4 // most of the time they wait
	var (
		mu  sync.Mutex
		all []judged
		wg  sync.WaitGroup
	)
	var scenarios []*lab.Scenario
	for _, name := range lab.Names() {
		s, err := lab.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.Walked() {
			scenarios = append(scenarios, s)
		}
	}
	// Those that wait in vain for somebody come first, so that the others pass meanwhile.
	slices.SortStableFunc(scenarios, func(a, b *lab.Scenario) int { return cmp.Compare(patience(b.World), patience(a.World)) })
	places := make(chan struct{}, atOnce)
	for _, s := range scenarios {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			t.Run(s.Name, func(t *testing.T) {
				v := walkScenario(t, s)
				mu.Lock()
				defer mu.Unlock()
				all = append(all, v)
			})
		})
	}
	wg.Wait()
	if len(all) < len(scenarios) {
		return // only some were asked for
	}
	slices.SortFunc(all, func(a, b judged) int { return cmp.Compare(a.name, b.name) })
	matrix := confusion(all)
	t.Logf("\n%s", matrix)
	under := map[string]bool{}
	for _, v := range all {
		if v.gave == manyCauses && v.code == manyCauses && v.cause == v.told {
			under[v.cause] = true
		}
	}
	if len(under) < 12 {
		t.Errorf("%d root causes are told apart under %s, want a dozen: %v", len(under), manyCauses, slices.Sorted(maps.Keys(under)))
	}
	keep(t, matrix)
}

// manyCauses is the code that the doctor was born for: an HTTP 407, for a dozen reasons.
const manyCauses = "0x8024401B"

// patience counts what in a world answers late or never.
func patience(w *lab.WorldSpec) int {
	n := 0
	for _, p := range w.Paths {
		if p.Fault == lab.PathDrop || p.Fault == lab.PathStall || p.MTU > 0 || p.Loss > 0 || p.Rate > 0 {
			n++
		}
	}
	for _, l := range w.Lookups {
		if l.Fault == lab.NameSilent {
			n++
		}
	}
	for _, x := range w.Troubles {
		if x.Delay > 0 || x.Body == lab.BodySlow {
			n += 2
		}
	}
	return n
}

// walkScenario walks one scenario and holds that it is judged as expected.
func walkScenario(t *testing.T, s *lab.Scenario) judged {
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	f, err := collectScenario(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	doc := report.New(f, cause.Diagnose(f), report.Options{})
	found, remedies := causeIDs(doc), remedyIDs(doc)
	wrong := s.Expect.Check(doc.Verdict, found, remedies)
	if wrong != nil {
		t.Error(wrong)
	}
	v := judged{name: s.Name, cause: cmp.Or(s.Expect.First, "nothing"), told: "nothing", code: lab.Success, gave: lab.Success}
	if s.Expect.Predict != lab.Success {
		want, err := codes.Parse(s.Expect.Predict)
		if err != nil {
			t.Fatal(err)
		}
		v.code = want.String()
	}
	if len(found) > 0 {
		v.told = found[0]
	}
	trip := expectedTrip(f.Route, s.Expect.Task)
	switch {
	case trip == nil && s.Expect.Task != "":
		t.Errorf("no request %s was planned", s.Expect.Task)
	case trip != nil && trip.Predict.Code != 0:
		v.gave = trip.Predict.Code.String()
	}
	if v.gave != v.code {
		t.Errorf("%s is predicted, want %s", v.gave, v.code)
	}
	if t.Failed() {
		t.Log(tellWalk(f.Route))
		for i, c := range doc.Causes[:min(4, len(doc.Causes))] {
			t.Logf("%d. %s %.3f", i+1, c.ID, c.Probability)
			for _, e := range c.Evidence {
				t.Logf("     %s for=%t %s: %s", e.Weight, e.For, e.Source, e.Seen)
			}
		}
	}
	t.Logf("%s", time.Since(began).Round(10*time.Millisecond))
	return v
}

// expectedTrip is the request that a prediction is expected for: the one that is
// named, or the first that updating depends on and that fails.
func expectedTrip(w *route.Walk, task string) *route.Trip {
	for i := range w.Trips {
		t := &w.Trips[i]
		if task == t.Task.ID || task == "" && t.Task.Vital && t.Predict.Code != 0 {
			return t
		}
	}
	return nil
}

// tellWalk is what somebody needs who wonders why a scenario is judged wrongly.
func tellWalk(w *route.Walk) string {
	var b strings.Builder
	for i := range w.Trips {
		t := &w.Trips[i]
		fmt.Fprintf(&b, "%-18s %s\n", t.Task.ID, t.Predict.Code)
		for j := range t.Attempts {
			a := &t.Attempts[j]
			if !a.Walked {
				continue
			}
			mark := " "
			if j == t.Decided {
				mark = "*"
			}
			fmt.Fprintf(&b, "    %s %s via %q: %s\n", mark, a.Decision.Why, a.Exchange.Request.Via.Proxy, a.Exchange.Broken().Tell())
		}
	}
	for _, o := range w.Stray {
		fmt.Fprintf(&b, "%s: %s\n", o.ID, o.Seen)
	}
	if w.Clock != nil {
		fmt.Fprintf(&b, "clock: %s ± %s, %d agree\n", w.Clock.Offset, w.Clock.Uncertainty, w.Clock.Agree)
	}
	fmt.Fprintf(&b, "gaps: %v\n", w.Gaps)
	return b.String()
}

// confusion is the document's part: two confusion matrices without their zeros, and
// the causes under the one code.
func confusion(all []judged) string {
	var b strings.Builder
	b.WriteString(matrixHeading + "\n\n")
	right, code := 0, 0
	for _, v := range all {
		if v.cause == v.told {
			right++
		}
		if v.code == v.gave {
			code++
		}
	}
	fmt.Fprintf(&b, "%d simulated machines whose world is walked: root cause first in %d, predicted HRESULT right in %d. The matrices are written without their zeros.\n", len(all), right, code)
	matrix := func(title string, of func(judged) (want, got string)) {
		counts := map[string]map[string]int{}
		for _, v := range all {
			want, got := of(v)
			if counts[want] == nil {
				counts[want] = map[string]int{}
			}
			counts[want][got]++
		}
		fmt.Fprintf(&b, "\n| %s | right | taken for another |\n|---|---|---|\n", title)
		for _, want := range slices.Sorted(maps.Keys(counts)) {
			n := 0
			var others []string
			for _, got := range slices.Sorted(maps.Keys(counts[want])) {
				n += counts[want][got]
				if got != want {
					others = append(others, fmt.Sprintf("%s (%d)", got, counts[want][got]))
				}
			}
			fmt.Fprintf(&b, "| %s | %d of %d | %s |\n", want, counts[want][want], n, cmp.Or(strings.Join(others, ", "), "-"))
		}
	}
	matrix("root cause", func(v judged) (string, string) { return v.cause, v.told })
	matrix("HRESULT", func(v judged) (string, string) { return v.code, v.gave })
	under := map[string][]string{}
	for _, v := range all {
		if v.code == manyCauses {
			under[v.cause] = append(under[v.cause], v.name)
		}
	}
	fmt.Fprintf(&b, "\n%s alone, with %d root causes:\n\n| root cause | scenarios (`updoc demo NAME`) |\n|---|---|\n", manyCauses, len(under))
	for _, id := range slices.Sorted(maps.Keys(under)) {
		fmt.Fprintf(&b, "| %s | %s |\n", id, strings.Join(under[id], ", "))
	}
	return b.String()
}

const matrixHeading = "## Causes told apart on the route: `go test ./internal/cli -run TestWalkedScenarios -v`"

// keep holds that the part of docs/benchmarks.md is what was found, or writes it.
func keep(t *testing.T, part string) {
	path := filepath.Join("..", "..", "docs", "benchmarks.md")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	before, rest, ok := strings.Cut(doc, matrixHeading+"\n")
	after := ""
	if !ok {
		before = strings.TrimRight(doc, "\n") + "\n\n"
	} else if i := strings.Index(rest, "\n## "); i >= 0 {
		after = rest[i:]
	}
	now := before + part + after
	switch {
	case now == doc:
	case !*update:
		t.Error("docs/benchmarks.md is stale: run go test ./internal/cli -run TestWalkedScenarios -update")
	default:
		if err := os.WriteFile(path, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
