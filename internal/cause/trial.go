package cause

import (
	"slices"

	"updoc/internal/facts"
	"updoc/internal/host"
)

// trial is what an attempt without something showed of the failure that still is: what
// works without it is shown to be in the way; what fails alike is something else. A
// firewall of the network's own may block as well as one that was switched off, so that
// there it speaks against nothing.
func trial(remedy string) rule {
	return func(l *look) {
		for _, t := range l.Repairs.Value.Trials {
			still := slices.ContainsFunc(l.Suffering(), func(x facts.Failure) bool { return x.Code == t.Code && string(x.Stage) == t.Stage })
			if t.Remedy != remedy || !still {
				continue
			}
			at := "run " + t.Run
			switch {
			case t.Came == host.TrialShown:
				l.For(Conclusive, at, "without it the %s worked once, on %s", t.Stage, t.At.Format("2006-01-02 15:04"))
			case t.Came == host.TrialAlike && remedy != "test-without-third-party-firewall":
				l.Against(Strong, at, "without it the %s failed alike, on %s", t.Stage, t.At.Format("2006-01-02 15:04"))
			}
			return // the newest counts
		}
	}
}
