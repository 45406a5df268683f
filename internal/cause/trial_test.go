package cause

import (
	"testing"
	"time"

	"updoc/internal/facts"
	"updoc/internal/host"
)

// TestTrial: what was tried without something counts while the same still fails.
func TestTrial(t *testing.T) {
	failing := facts.Failure{Code: 0x8024401B, Stage: facts.StageScan, Weight: 1, Count: 1, Seen: []facts.Seen{{Source: "WindowsUpdate.log:1", Text: "failed"}}}
	find := func(trials []host.Trial, failures ...facts.Failure) Finding {
		f := &facts.Facts{Failures: failures}
		f.Repairs = facts.Fact[host.Repairs]{State: facts.Present, Value: host.Repairs{Trials: trials}}
		for _, x := range Diagnose(f).Findings {
			if x.ID == "vpn-client" {
				return x
			}
		}
		return Finding{}
	}
	tried := func(came string) host.Trial {
		return host.Trial{Run: "r1", Remedy: "test-without-vpn", Code: failing.Code, Stage: "scan", Came: came, At: time.Date(2031, 5, 7, 12, 0, 0, 0, time.UTC)}
	}
	nothing := find(nil, failing)
	shown, alike := find([]host.Trial{tried(host.TrialShown)}, failing), find([]host.Trial{tried(host.TrialAlike)}, failing)
	if shown.State != facts.Present || shown.Probability < 0.9 {
		t.Errorf("shown: %v, %.2f", shown.State, shown.Probability)
	}
	if alike.Probability >= nothing.Probability && nothing.Probability > 0 {
		t.Errorf("alike: %.3f, and %.3f with nothing tried", alike.Probability, nothing.Probability)
	}
	if x := find([]host.Trial{tried(host.TrialAlike), tried(host.TrialShown)}, failing); x.State == facts.Present {
		t.Error("the older one counts")
	}
	other := failing
	other.Code = 0x80072EE2
	if x := find([]host.Trial{tried(host.TrialShown)}, other); x.State == facts.Present {
		t.Error("it counts for another failure")
	}
	if x := find([]host.Trial{tried(host.TrialShown)}); x.State == facts.Present {
		t.Error("it counts where nothing fails")
	}
}
