package cause

import (
	"slices"
	"testing"

	"updoc/internal/facts"
	"updoc/internal/winlog"
)

// Descriptions of failures in which other software or the machine itself stood
// in the way; nine of ten must lead to the cause.
func TestSetupReports(t *testing.T) {
	const wanted = 0.9
	reports := readReports(t, "testdata/setup-reports.txt")
	right, confident := 0, 0
	for _, r := range reports {
		d := diagnosed(t, r.files)
		first := d.Findings[0]
		if first.ID == r.want || slices.Contains(r.alt, first.ID) {
			right++
			continue
		}
		if first.Probability > 0.8 {
			confident++
		}
		t.Logf("%s (%.2f) for %s: %.200q", first.ID, first.Probability, r.want, r.files)
	}
	share := float64(right) / float64(len(reports))
	t.Logf("%d of %d right (%.0f %%), %d wrong and sure of it", right, len(reports), 100*share, confident)
	if share < wanted {
		t.Errorf("%.2f right, want %.2f", share, wanted)
	}
	if confident > len(reports)/50 {
		t.Errorf("%d answers are wrong and sure of it", confident)
	}
}

var _ = facts.Present
var _ = winlog.Filter{}
