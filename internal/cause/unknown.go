package cause

import "updoc/internal/facts"

// UNKNOWN returns the cause that stands for what the catalogue does not have.
// Only what is known to lie outside of the catalogue speaks for it, such as an
// agent that refuses to install for a remote session; else it comes first only
// where nothing fits better than chance.
func UNKNOWN() []*Cause {
	return []*Cause{{
		ID: "unknown-other", Family: "-", Prior: 20,
		Stages:   []facts.Stage{facts.StageAny},
		Remedies: []string{"collect-support-report", "read-update-log", "read-servicing-log"},
		Check: evidence(
			strong("wusa-remote-denied"),
			cures("sign-in-interactively", "wusa-remote-denied"),
			cures("install-update-from-catalog", "wusa-remote-denied"),
			missing("the log of the failed step, whole, and the time of the failure"),
		),
	}}
}
