// Package cause is the catalogue of root causes: why updating fails on a
// machine, how each cause shows itself, and how likely it is given what was
// found. It is pure: facts in, findings out; no files, no network, no clock.
//
// A cause is a Go value with a typed check, one file per family. What people
// read about it stands in the message catalogue under "cause.ID.title" and
// "cause.ID.plain"; which codes it explains, and how often, stands in
// explains.tsv; the log signatures it looks for are rows of
// internal/facts/signatures. CONTRIBUTING.md shows how to add one.
package cause

import (
	"updoc/internal/codes"
	"updoc/internal/facts"
)

// Family groups causes by what they are about; one file each.
type Family string

// Cause is one root cause of the catalogue.
type Cause struct {
	ID     string        // stable; never changes its meaning
	Family Family        //
	Stages []facts.Stage // where in an update's life it strikes
	Prior  float64       // how often it is the cause among all failures, before any evidence; relative
	// LeadsTo names causes that this one brings about: when both are present,
	// the other is a consequence and not a root.
	LeadsTo []string
	// Remedies in the order in which an expert would try them, by id. The check
	// may put others first when the evidence singles them out.
	Remedies []string
	// Silent is set for causes that show no code: updates are just not offered.
	Silent bool
	Check  func(*facts.Facts) Verdict

	Explains []codes.HRESULT // filled from explains.tsv, most typical first
}

// Verdict is what a check says of one machine.
type Verdict struct {
	State    facts.State
	Evidence []Evidence
	Missing  []string // what to look at next, most telling first
	Cures    []string // remedies that the evidence singles out; they go first
}

// Evidence is one reason for or against a cause.
type Evidence struct {
	For    bool
	Weight Weight
	Source string // "WindowsUpdate.log:17"
	Seen   string // the very line or value
	Like   bool   // reports of the cause use such words; nothing of it was found
}

// Weight is how far one piece of evidence moves the odds.
type Weight uint8

// The scale. A weight stands for a likelihood ratio: how much more often the
// evidence is seen when the cause is there than when it is not.
const (
	Weak       Weight = 1 + iota // 2
	Moderate                     // 6
	Strong                       // 30
	Conclusive                   // 1000
)

// ratios by weight; the inverse applies to evidence against.
var ratios = [...]float64{Weak: 2, Moderate: 6, Strong: 30, Conclusive: 1000}

// Ratio returns the likelihood ratio that w stands for.
func (w Weight) Ratio() float64 { return ratios[w] }

func (w Weight) String() string {
	switch w {
	case Weak:
		return "weak"
	case Moderate:
		return "moderate"
	case Strong:
		return "strong"
	case Conclusive:
		return "conclusive"
	}
	return "none"
}
