package cause

import (
	"slices"
	"testing"
)

// Reports in the manner of those that nobody wrote for this program: codes in
// passing, lists of tries, wrappers around Windows Update; nine of ten must lead to
// the cause.
func TestFieldReports(t *testing.T) {
	reports := readReports(t, "reports/field.txt")
	right, confident := 0, 0
	for _, r := range reports {
		first := diagnosed(t, r.files).Findings[0]
		if first.ID == r.want || slices.Contains(r.alt, first.ID) {
			right++
			continue
		}
		if first.Probability > 0.8 {
			confident++
		}
		t.Logf("%s (%.2f) for %s: %.200q", first.ID, first.Probability, r.want, r.files)
	}
	t.Logf("%d of %d right, %d wrong and sure of it", right, len(reports), confident)
	if right*10 < len(reports)*9 {
		t.Errorf("%d of %d right, want nine of ten", right, len(reports))
	}
	if confident > len(reports)/50 {
		t.Errorf("%d answers are wrong and sure of it", confident)
	}
}
