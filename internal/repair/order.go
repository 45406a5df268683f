package repair

import (
	"cmp"
	"slices"

	"updoc/internal/cause"
	"updoc/internal/sorted"
)

// Choice is a remedy that may be tried, with the chance that it settles the
// failure.
type Choice struct {
	Remedy
	Causes []string // findings that it is for, likeliest first
	Chance float64  // the probability of its causes times that it cures them
	value  float64  // chance per cost
}

// A remedy's chance to cure a cause that it is listed for falls by this factor
// with its place in the list, which is the order in which an expert would go.
const nextInLine = 0.6

// worthTrying is the probability of a cause under which nothing is done for it
// while a likelier one has a remedy.
const worthTrying = 0.05

// Order puts the remedies of all findings in the order in which to try them: by
// the chance that one settles the failure for what it costs, which minimises the
// expected cost of the whole (decision-theoretic troubleshooting, Breese and
// Heckerman 1996). Looking competes with doing.
func Order(d cause.Diagnosis) []Choice {
	var list []Choice
	for _, x := range d.Findings {
		if x.Probability < worthTrying && len(list) > 0 {
			break
		}
		chance := x.Probability
		for _, id := range x.CureOrder() {
			r, ok := Lookup(id)
			if !ok {
				continue
			}
			i := slices.IndexFunc(list, func(c Choice) bool { return c.ID == id })
			if i < 0 {
				i = len(list)
				list = append(list, Choice{Remedy: r})
			}
			list[i].Causes = append(list[i].Causes, x.ID)
			list[i].Chance += chance
			list[i].value += chance / cost(r)
			chance *= nextInLine
		}
	}
	sorted.By(list, func(a, b Choice) int { return cmp.Compare(b.value, a.value) })
	for i := range list {
		list[i].Chance = min(list[i].Chance, 0.99)
	}
	return list
}

// cost is what trying a remedy takes: time on a gentle scale, and what it can hurt.
func cost(r Remedy) float64 {
	c := 1 + float64(r.Minutes)/60
	switch r.Risk {
	case RiskRestart:
		c *= 1.2
	case RiskPermanent:
		c *= 1.4
	}
	return c
}
