package lab_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/repair"
	"updoc/internal/report"
)

func diagnose(t *testing.T, h *host.Recorded) (*report.Document, *repair.Plan) {
	t.Helper()
	defer h.Close()
	f := facts.Collect(context.Background(), h, facts.Options{})
	d := cause.Diagnose(f)
	return report.New(f, d, report.Options{}), repair.New(f, d, repair.Options{Run: "plan", MaxRisk: repair.RiskPermanent})
}

func ids(doc *report.Document) (causes, remedies []string) {
	for _, c := range doc.Causes {
		causes = append(causes, c.ID)
	}
	for _, r := range doc.Remedies {
		remedies = append(remedies, r.ID)
	}
	return causes, remedies
}

// TestScenarios diagnoses every simulated machine.
func TestScenarios(t *testing.T) {
	for _, name := range lab.Names() {
		t.Run(name, func(t *testing.T) {
			s, err := lab.Load(name)
			if err != nil {
				t.Fatal(err)
			}
			if s.Walked() {
				return // the command line's tests walk it
			}
			h, err := host.OpenFS(context.Background(), s.Evidence)
			if err != nil {
				t.Fatal(err)
			}
			doc, _ := diagnose(t, h)
			causes, remedies := ids(doc)
			if err := s.Expect.Check(doc.Verdict, causes, remedies); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCases measures the diagnosis on real cases, where they are to be had.
func TestCases(t *testing.T) {
	root := filepath.Join("..", "..", "..", "shared", "cases")
	dirs, _ := filepath.Glob(filepath.Join(root, "case-*"))
	if len(dirs) == 0 {
		t.Skip("../shared/cases is not here: accuracy on real cases is not measured")
	}
	type row struct {
		name, want, got string
		p               float64
		first, three    bool
		benign          bool
	}
	var rows []row
	var planned, remedyAll, harmful int
	for _, dir := range dirs {
		var want struct {
			Root    string   `json:"root_cause"`
			Also    []string `json:"acceptable_alternatives"`
			Fixes   []string `json:"fix_ids"`
			Harmful []string `json:"harmful_if_first"`
		}
		b, err := os.ReadFile(filepath.Join(dir, "expected.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		h, err := host.OpenRecorded(context.Background(), filepath.Join(dir, "evidence"))
		if err != nil {
			t.Fatalf("%s: %v", dir, err)
		}
		doc, plan := diagnose(t, h)
		causes, _ := ids(doc)
		ok := func(id string) bool { return id == want.Root || slices.Contains(want.Also, id) }
		r := row{name: filepath.Base(dir), want: want.Root, benign: want.Root == "none"}
		switch {
		case r.benign:
			r.got = doc.Verdict
			r.first = doc.Verdict == string(cause.Healthy)
			r.three = r.first
			if r.first {
				r.p = 1
			}
		case len(causes) > 0:
			r.got = causes[0]
			r.first = ok(causes[0])
			r.three = slices.ContainsFunc(causes[:min(3, len(causes))], ok)
			r.p = doc.Causes[0].Probability
		default:
			r.got = doc.Verdict
		}
		rows = append(rows, r)
		if len(want.Fixes) > 0 {
			remedyAll++
			var steps []string
			for _, x := range plan.Treatments {
				steps = append(steps, x.ID)
			}
			at := slices.IndexFunc(steps, func(id string) bool { return slices.Contains(want.Fixes, id) })
			if at >= 0 && at < 3 {
				planned++
			} else {
				t.Logf("%s: cured by %v, planned %v", r.name, want.Fixes, steps[:min(4, len(steps))])
			}
			if i := slices.IndexFunc(steps, func(id string) bool { return slices.Contains(want.Harmful, id) }); i >= 0 && (at < 0 || i < at) {
				harmful++
				t.Logf("%s: %s stands before the cure", r.name, steps[i])
			}
		}
	}
	var first, three, benign, benignOK int
	var brier float64
	var table strings.Builder
	for _, r := range rows {
		mark := "  "
		switch {
		case r.first:
			first++
		case r.three:
			mark = "3 "
		default:
			mark = "X "
		}
		hit := 0.0
		if r.first {
			hit = 1
		}
		if r.three {
			three++
		}
		if r.benign {
			benign++
			if r.first {
				benignOK++
			}
		}
		brier += (r.p - hit) * (r.p - hit)
		fmt.Fprintf(&table, "%s%s  %-32s %-32s %.2f\n", mark, r.name, r.want, r.got, r.p)
	}
	n := len(rows)
	low, high := wilson(first, n)
	t.Logf("\n%stop-1 %d/%d = %.3f [%.3f, %.3f], top-3 %d, benign healthy %d/%d, Brier %.3f, cure among the plan's first three %d/%d, harmful before it %d",
		table.String(), first, n, float64(first)/float64(n), low, high, three, benignOK, benign, brier/float64(n), planned, remedyAll, harmful)
	if float64(first) < 0.9*float64(n) {
		t.Errorf("root cause first in %d of %d, want nine in ten", first, n)
	}
	if three < n-2 {
		t.Errorf("root cause among three in %d of %d, want all but two", three, n)
	}
	if float64(planned) < 0.85*float64(remedyAll) || harmful > 0 {
		t.Errorf("what cured is among the first three of the plan in %d of %d, want 85 in 100; something harmful stands before it in %d", planned, remedyAll, harmful)
	}
	if benignOK < benign {
		t.Errorf("%d of %d healthy machines called healthy", benignOK, benign)
	}
}

// wilson is the 95 % interval of a share (Wilson 1927).
func wilson(k, n int) (low, high float64) {
	const z = 1.96
	p, m := float64(k)/float64(n), float64(n)
	mid := p + z*z/(2*m)
	half := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return (mid - half) / (1 + z*z/m), (mid + half) / (1 + z*z/m)
}
