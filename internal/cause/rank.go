package cause

import (
	"cmp"
	"math"
	"slices"

	"updoc/internal/facts"
	"updoc/internal/sorted"
	"updoc/internal/winlog"
)

// Outcome is the verdict on a machine.
type Outcome string

// The outcomes. Unknown is an answer: nothing that tells of updating was seen.
const (
	Healthy  Outcome = "healthy"
	Problems Outcome = "problems"
	Unclear  Outcome = "unknown"
)

// Finding is a cause on this machine.
type Finding struct {
	*Cause
	Verdict
	Probability float64
	Root        bool   // not brought about by another finding
	WhyNot      string // message key of the reason it was rejected, "" if it was not
}

// CureOrder returns the remedies of the finding, those first that its evidence
// singles out.
func (f Finding) CureOrder() []string {
	out := []string{}
	for _, id := range slices.Concat(f.Cures, f.Remedies) {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// Diagnosis is what the facts of a machine amount to.
type Diagnosis struct {
	Outcome  Outcome
	Findings []Finding // all of the catalogue, the most probable first
	Other    float64   // probability that none of the catalogue is the cause
}

// How the ranking weighs what it cannot know. Tuned on nothing; each number says
// what it stands for.
const (
	// otherWithCode is the share left for causes the catalogue does not have when
	// a code is known; otherWithout when only words or settings are.
	otherWithCode = 0.08
	otherWithout  = 0.15
	// strayShare is how much of a code's mass goes to causes that are not known to
	// give it: codes are passed on, wrapped and mistyped.
	strayShare = 0.06
	// maxOdds bounds what evidence can do together, since pieces of it are rarely
	// independent: two log lines about one proxy are not two proofs.
	maxOdds = 5000
	// dependent is the power to which the odds of a piece of evidence for a cause are
	// raised where the same signs count by their likeness to reports too; what is
	// conclusive is so by itself.
	dependent = 0.75
	// absorbed is what a root takes over of the probability of its consequences.
	absorbed = 0.8
	// confidence corrects what many small shares of causes that nobody thinks of take
	// away together: on reports that the catalogue was not written on, answers given
	// with 50 % were right three times of four (temperature scaling: Guo and others, On
	// Calibration of Modern Neural Networks, 2017).
	confidence = 1.4
	// tellable is one by the least difference of two probabilities that counts: below it
	// the order is the catalogue's, however the last bits of a sum fall.
	tellable = 1e9
)

// Diagnose ranks the catalogue on the facts: prior odds times the likelihood
// ratios of the evidence, normalised over all causes and "something else".
func Diagnose(f *facts.Facts) Diagnosis {
	if len(f.Texts) == 0 {
		return diagnose(f, Catalogue(), nil)
	}
	return diagnose(f, Catalogue(), words())
}

// diagnose ranks; without a vocabulary by the rules alone.
func diagnose(f *facts.Facts, catalogue []*Cause, v *vocabulary) Diagnosis {
	f = f.Now()
	suffering := f.Suffering()
	prior, other := priors(catalogue, suffering)
	d := Diagnosis{Findings: make([]Finding, 0, len(catalogue))}
	score := make([]float64, len(catalogue))
	setup := f.SetupFindings()
	for i, c := range catalogue {
		d.Findings = append(d.Findings, Finding{Cause: c, Verdict: setupSays(c, f, c.Check(f), setup), Root: true})
		score[i] = prior[i]
	}
	count, told := odds, v.compare(f.Texts, signsOf(f))
	if told != nil {
		count = besideLikeness
	}
	for i := range d.Findings {
		score[i] *= min(max(count(d.Findings[i].Evidence), 1/float64(maxOdds)), maxOdds)
		score[i] *= math.Exp(told.speak(&d.Findings[i]))
	}
	subordinate(d.Findings, score)
	other = sharpen(score, other)
	total := other
	for _, s := range score {
		total += s
	}
	for i := range d.Findings {
		d.Findings[i].Probability = math.Round(score[i]/total*tellable) / tellable
	}
	d.Other = other / total
	sorted.By(d.Findings, func(a, b Finding) int { return cmp.Compare(b.Probability, a.Probability) })
	for i := range d.Findings {
		d.Findings[i].WhyNot = whyNot(&d.Findings[i], suffering)
	}
	d.Outcome = outcome(f, suffering, d.Findings)
	return d
}

// sharpen raises scores to the power of confidence, in place, so that a probability
// says how often such an answer is right. The order stays.
func sharpen(score []float64, other float64) float64 {
	total := other
	for _, s := range score {
		total += s
	}
	total = max(total, math.SmallestNonzeroFloat64)
	for i, s := range score {
		score[i] = math.Pow(s/total, confidence)
	}
	return math.Pow(other/total, confidence)
}

// besideLikeness is what pieces of evidence make of even odds where what was recognised
// counts by its likeness to reports too.
func besideLikeness(evidence []Evidence) float64 {
	out := 1.0
	for _, e := range evidence {
		switch ratio := e.Weight.Ratio(); {
		case !e.For:
			out /= ratio
		case e.Weight == Conclusive:
			out *= ratio
		default:
			out *= math.Pow(ratio, dependent)
		}
	}
	return out
}

// odds is what pieces of evidence make of even odds.
func odds(evidence []Evidence) float64 {
	out := 1.0
	for _, e := range evidence {
		if e.For {
			out *= e.Weight.Ratio()
		} else {
			out /= e.Weight.Ratio()
		}
	}
	return out
}

// priors gives each cause its weight before evidence, and the weight of
// "something else", from the failures the person suffers from.
func priors(catalogue []*Cause, suffering []facts.Failure) ([]float64, float64) {
	byID := make(map[string]int, len(catalogue))
	base := make([]float64, len(catalogue))
	total := 0.0
	for i, c := range catalogue {
		byID[c.ID] = i
		// How often a cause stands behind reports was counted on reports with a code.
		// Its root keeps the order and lets what was seen speak before what is common.
		base[i] = math.Sqrt(c.Prior) * fit(c, suffering)
		total += base[i]
	}
	for i := range base {
		base[i] /= max(total, math.SmallestNonzeroFloat64)
	}
	// The first failure of a cascade says most of where it comes from; the ones
	// after it say how it went on.
	var weights []float64
	var shares [][]Share
	sum := 0.0
	for i, x := range suffering {
		if x.Code == 0 {
			continue
		}
		w := x.Weight / float64(1+i)
		if x.Consequence {
			w /= 3
		}
		if x.Code.Wrapper() && x.Extend == 0 {
			w /= 5
		}
		s := Usual(x.Code, x.Extend)
		if len(s) == 0 {
			w /= 4 // a code the table does not know says little
		}
		weights, shares, sum = append(weights, w), append(shares, s), sum+w
	}
	if sum == 0 {
		return base, otherWithout
	}
	out := make([]float64, len(catalogue))
	for i := range out {
		out[i] = strayShare * base[i]
	}
	left := 0.0
	for j, list := range shares {
		known := 0.0
		for _, s := range list {
			known += s.Weight
		}
		scale := weights[j] / sum * (1 - strayShare)
		if len(list) == 0 { // nothing known: what fits the stage
			for i := range out {
				out[i] += scale * base[i]
			}
			continue
		}
		for _, s := range list {
			if i, ok := byID[s.Cause]; ok {
				out[i] += scale * s.Weight / max(known, 1)
			}
		}
		left += scale * max(0, 1-known)
	}
	return out, max(otherWithCode, min(left, 0.3))
}

// fit is how well a cause goes with the kinds and stages of the failures.
func fit(c *Cause, suffering []facts.Failure) float64 {
	if len(suffering) == 0 {
		return 1
	}
	best := 0.1
	for _, x := range suffering {
		v := 0.1
		switch {
		case x.Stage == facts.StageAny || slices.Contains(c.Stages, x.Stage) || slices.Contains(c.Stages, facts.StageAny):
			v = 1
		case x.Stage == facts.StageRestart && (slices.Contains(c.Stages, facts.StageInstall) || slices.Contains(c.Stages, facts.StageSetup)):
			v = 0.8
		}
		if x.Kind == facts.KindNotOffered && !c.Silent || c.Silent && x.Code != 0 {
			v *= 0.1
		}
		best = max(best, v)
	}
	return best
}

// subordinate moves weight from consequences to the cause that brings them about.
func subordinate(findings []Finding, score []float64) {
	for i := range findings {
		if findings[i].State != facts.Present {
			continue
		}
		for j := range findings {
			if i == j || score[j] == 0 || !slices.Contains(findings[i].LeadsTo, findings[j].ID) || slices.Contains(findings[j].LeadsTo, findings[i].ID) {
				continue
			}
			if findings[j].State == facts.Present {
				findings[j].Root = false
			}
			score[i] += absorbed * score[j]
			score[j] *= 1 - absorbed
		}
	}
}

// Reasons for rejecting a cause; the sentences stand in the message catalogue.
const (
	WhyNotEvidence = "whynot.evidence" // something seen speaks against it
	WhyNotCode     = "whynot.code"     // it does not give the codes that were seen
	WhyNotStage    = "whynot.stage"    // it strikes at another stage
	WhyNotLikelier = "whynot.likelier" // possible, but others are likelier
	WhyNotFollows  = "whynot.follows"  // it follows from another cause
)

// rejected is the probability under which a cause counts as rejected.
const rejected = 0.02

func whyNot(x *Finding, suffering []facts.Failure) string {
	switch {
	case !x.Root:
		return WhyNotFollows
	case x.Probability >= rejected:
		return ""
	case x.State == facts.Absent:
		return WhyNotEvidence
	}
	explained, hasCode := false, false
	for _, s := range suffering {
		if s.Code == 0 {
			continue
		}
		hasCode = true
		explained = explained || slices.ContainsFunc(Usual(s.Code, s.Extend), func(u Share) bool { return u.Cause == x.ID })
	}
	switch {
	case hasCode && !explained:
		return WhyNotCode
	case fit(x.Cause, suffering) < 0.5:
		return WhyNotStage
	}
	return WhyNotLikelier
}

// outcome decides between the three answers.
func outcome(f *facts.Facts, suffering []facts.Failure, findings []Finding) Outcome {
	if len(suffering) > 0 {
		return Problems
	}
	for _, x := range findings {
		if x.State == facts.Present {
			return Problems
		}
	}
	if len(f.Successes) > 0 {
		return Healthy
	}
	read := 0
	for _, s := range f.Sources {
		switch s.Kind {
		case winlog.WindowsUpdate, winlog.CBS, winlog.DISM, winlog.Setup, winlog.Reporting, winlog.CMTrace, winlog.EVTX:
			if s.Stats.Undecoded*2 < s.Stats.Lines {
				read += s.Stats.Records + harmlessLine*s.Harmless
			}
		}
	}
	if read >= enoughRead {
		return Healthy
	}
	return Unclear
}

// enoughRead is how many records of update logs without a failure make a machine
// healthy when none of them says that something went well; a line or two say
// nothing either way. One whose error healthy machines write too says more than
// another: it is what the person who sends it worries about.
const (
	enoughRead   = 5
	harmlessLine = 3
)
