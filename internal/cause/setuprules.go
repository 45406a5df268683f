package cause

import (
	"slices"

	"updoc/internal/facts"
)

// weights by the names that tables give them.
var weights = map[string]Weight{"weak": Weak, "moderate": Moderate, "strong": Strong, "conclusive": Conclusive}

// setupSays adds to what a check found the rules that were recognised in setup's logs
// and that name its cause. Setup stops at one thing: a line that surely names another
// cause speaks against those that other lines would have named. A line that the check
// counted already counts once.
func setupSays(c *Cause, f *facts.Facts, v Verdict, found []facts.SetupFinding) Verdict {
	if len(found) == 0 {
		return v
	}
	l := &look{Facts: f, verdict: v, odds: odds(v.Evidence)}
	mine := func(r facts.SetupFinding) bool { return r.Cause == c.ID }
	switch {
	case slices.ContainsFunc(found, mine):
		for _, r := range found {
			if mine(r) {
				l.add(true, weights[r.Weight], r.Seen[0])
				l.Cure(r.Remedy)
			}
		}
	case slices.ContainsFunc(facts.SetupRules(), func(r facts.SetupRule) bool { return r.Cause == c.ID }):
		i := slices.IndexFunc(found, func(r facts.SetupFinding) bool { return r.Cause != "" && weights[r.Weight] == Conclusive })
		if i < 0 {
			return v
		}
		l.add(false, Strong, found[i].Seen[0])
	default:
		return v
	}
	return l.judge()
}
