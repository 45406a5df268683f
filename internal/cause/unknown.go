package cause

import "updoc/internal/facts"

// UNKNOWN returns the cause that stands for what the catalogue does not have.
// It gains by nothing: it comes first only where nothing else fits.
func UNKNOWN() []*Cause {
	return []*Cause{{
		ID: "unknown-other", Family: "-", Prior: 0.3,
		Stages:   []facts.Stage{facts.StageAny},
		Remedies: []string{"collect-support-report", "read-update-log", "read-servicing-log"},
		Check:    evidence(missing("the log of the failed step, whole, and the time of the failure")),
	}}
}
