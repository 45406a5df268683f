package cause

import (
	"updoc/internal/codes"
	"updoc/internal/facts"
)

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
			ownDefect,
			refusedRemotely,
			needsUser,
			cures("sign-in-interactively", "wusa-remote-denied"),
			cures("install-update-from-catalog", "wusa-remote-denied"),
			missing("the log of the failed step, whole, and the time of the failure"),
		),
	}}
}

// codesUser say that the wrong person asked, or nobody was there to be asked:
// learn.microsoft.com: Common Windows Update errors.
var codesUser = []codes.HRESULT{0x80240020, 0x80240044, 0x80246017, 0x80070522}

// needsUser: these codes name their own cure, and nothing of the catalogue is wrong.
func needsUser(l *look) {
	if seen, ok := l.hit(codesUser); ok {
		l.add(true, Strong, seen)
		l.Cure("sign-in-interactively", "retry-install")
	}
}

// refusedRemotely: the agent denies access to whoever calls it from another
// machine, whatever his rights: learn.microsoft.com: Using WUA From a Remote Computer.
func refusedRemotely(l *look) {
	if _, denied := l.Code(0x80070005); !denied {
		return
	}
	if seen, ok := l.Mark("wusa-remote-denied"); ok {
		l.add(true, Conclusive, seen)
	}
}

// ownDefect: a tool stumbled over itself. Where Windows gave no code, nothing in
// Windows is known to have failed.
func ownDefect(l *look) {
	seen, ok := l.Mark("tool-own-defect")
	if !ok {
		return
	}
	for _, f := range l.Suffering() {
		if f.Code != 0 {
			l.add(true, Strong, seen)
			return
		}
	}
	l.add(true, Conclusive, seen)
}
