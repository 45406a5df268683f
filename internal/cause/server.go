package cause

import (
	"strings"

	"updoc/internal/codes"
	"updoc/internal/facts"
)

// SERVER returns the causes that lie with the maker of the updates: a service
// that fails, or an update that does.
func SERVER() []*Cause {
	return []*Cause{
		{
			ID: "server-side-outage", Family: "server", Prior: 1,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload},
			Remedies: []string{"wait-and-retry", "wait-server-side-fix", "retry-scan"},
			Check: evidence(
				walkOutage,
				strong("note-outage"),
				strong("note-many-networks"),
				both(Strong, "note-everybody", "note-passed-by-itself"),
				moderate("note-everybody"),
				moderate("note-passed-by-itself"),
				weak("note-survives-reinstall"),
				weak("note-legacy-update-site"),
				strong("load-shedding"),
				publicServerError,
				ownServerInstead,
				cures("wait-server-side-fix", "note-outage"),
				missing("whether other machines on other networks fail too", "Microsoft's service health page"),
			),
		},
		{
			ID: "known-issue", Family: "server", Prior: 1,
			Stages:   []facts.Stage{facts.StageScan, facts.StageDownload, facts.StageInstall, facts.StageRestart, facts.StageSetup},
			Remedies: []string{"tell-known-issue", "install-latest-cumulative-update", "hide-update", "uninstall-faulty-update"},
			Check: evidence(
				knownIssue,
				moderate("note-known-issue"),
				moderate("note-since-this-update"),
				cures("uninstall-faulty-update", "note-uninstall-helped"),
				missing("the KB number of the failing update", "the build before it"),
			),
		},
	}
}

// Codes with which a server says that it is the one at fault.
var codesServerFault = []codes.HRESULT{
	0x80244022, 0x80244023, 0x8024401F, 0x80244021, 0x80244008, 0x8024402D,
	0x801901F4, 0x801901F6, 0x801901F7, 0x801901F8,
}

// publicServerError: Microsoft's own host answers with a server's fault.
func publicServerError(l *look) {
	seen, ok := l.hit(codesServerFault)
	if !ok {
		return
	}
	if m, _ := l.machineProxy(); m.proxy != "" || usedProxy(l) {
		return
	}
	for _, m := range l.Marks("wu-service-url") {
		for _, host := range hostsInURLs(m.Text) {
			if updateHostRole(host) == roleVital {
				l.For(Moderate, seen.Source, "%s: %s", host, seen.Text)
				return
			}
		}
	}
}

// ownServerInstead: the machine asks a server of its owner's; its trouble is
// not Microsoft's.
func ownServerInstead(l *look) {
	if host, source, text := serverSeen(l); isOwn(l, host) {
		l.Against(Moderate, source, "%s", text)
	}
}

// knownIssue looks the named updates up among those that Microsoft says are
// faulty. An update alone is only a name, and a list of installed updates names
// many; with the code that Microsoft gives, on a build that Microsoft names, it
// is the fault that Microsoft describes.
func knownIssue(l *look) {
	failing := map[string]facts.Seen{}
	coded, broken := false, Moderate
	for _, f := range l.Failures {
		coded = coded || f.Code != 0
		switch f.Kind {
		case facts.KindRestartLoop, facts.KindNoBoot, facts.KindReverted:
			broken = Strong // what codeless issues mostly do
		}
		if f.Update.KB != "" && len(f.Seen) > 0 {
			failing[canonicalKB(f.Update.KB)] = f.Seen[0]
		}
	}
	named := map[string]bool{}
	for _, kb := range l.KBs {
		named[canonicalKB(kb)] = true
	}
	var best *facts.KnownIssue
	var seen facts.Seen
	weight := Weight(0)
	for _, issue := range facts.KnownIssues() {
		at, fails := failing[issue.KB]
		if !fails && !named[issue.KB] || !issue.Fits(l.Machine.Build) {
			continue
		}
		var w Weight
		switch {
		case issue.Code != 0:
			var ok bool
			if at, ok = l.Code(issue.Code); !ok {
				continue
			}
			w = Strong
		case fails:
			w = Moderate
		case !coded && len(named) <= fewKBs: // a person who names the update and a symptom
			w, at.Source = broken, "notes"
		default:
			continue
		}
		if issue.Root != "" {
			w = min(w, Moderate) // that cause is in the catalogue and has evidence of its own
		}
		if w > weight {
			best, seen, weight = &issue, at, w
		}
	}
	if best == nil {
		return
	}
	l.For(weight, seen.Source, "%s: %s (%s)", best.KB, best.Says, best.Source)
	if strings.HasPrefix(best.FixedBy, "KB") {
		l.Cure("tell-known-issue", "install-latest-cumulative-update")
	} else {
		l.Cure("tell-known-issue", "hide-update")
	}
}

// fewKBs is how many updates a person names who speaks of one; more are a list
// of what is installed.
const fewKBs = 3

// canonicalKB writes "kb 5034441" and "5034441" as KB5034441.
func canonicalKB(s string) string {
	s = strings.ToUpper(strings.ReplaceAll(s, " ", ""))
	if !strings.HasPrefix(s, "KB") {
		s = "KB" + s
	}
	return s
}
