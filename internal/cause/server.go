package cause

import (
	"cmp"
	"maps"
	"slices"
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
				strong("note-many-have-it"),
				moderate("note-since-this-update"),
				sameUpdateEverywhere,
				onlyThisUpdate,
				cures("uninstall-faulty-update", "note-uninstall-helped"),
				func(l *look) {
					if n := namedUpdates(l); len(n.failing) == 0 && len(n.said) == 0 {
						missing("the KB number of the failing update")(l)
					}
				},
				missing("the build that ran before the update"),
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

// knownIssue looks the updates of the machine up among those that Microsoft says are
// faulty. An update alone is only a name, and a list of installed updates names
// many; with the code that Microsoft gives, on a build that Microsoft names, it
// is the fault that Microsoft describes. Which update is meant can be told by its number,
// by that of a later one that still had the fault, by the month of a version of Windows,
// or by the build that runs.
func knownIssue(l *look) {
	best, weight, seen := likeliestIssue(l, func(k *facts.KnownIssue, w Weight) Weight {
		if k.Root != "" {
			return min(w, Moderate) // that cause is in the catalogue and has evidence of its own
		}
		return w
	})
	if best == nil {
		return
	}
	l.For(weight, seen.Source, "%s: %s (%s)", best.KB, best.Says, best.Source)
	if weight == Strong && best.Code != 0 {
		// the code and the update that gives it are two things that were seen
		l.For(Moderate, seen.Source, "%s", best.KB)
	}
	if strings.HasPrefix(best.FixedBy, "KB") {
		l.Cure("tell-known-issue", "install-latest-cumulative-update")
	} else {
		l.Cure("tell-known-issue", "hide-update")
	}
}

// issueOf is evidence for a cause where Microsoft says that an update fails by it.
func issueOf(cause string) rule {
	return func(l *look) {
		best, weight, seen := likeliestIssue(l, func(k *facts.KnownIssue, w Weight) Weight {
			if k.Root != cause {
				return 0
			}
			return w
		})
		if best != nil {
			l.For(weight, seen.Source, "%s: %s (%s)", best.KB, best.Says, best.Source)
		}
	}
}

// likeliestIssue returns the issue that most tells for, as the caller counts it, how much
// that is and where it is seen; nil if nothing tells for any.
func likeliestIssue(l *look, count func(*facts.KnownIssue, Weight) Weight) (best *facts.KnownIssue, weight Weight, seen facts.Seen) {
	if len(l.Failures) == 0 && len(l.KBs) == 0 {
		return nil, 0, seen
	}
	n := namedUpdates(l)
	list := facts.KnownIssues()
	for i := range list {
		k := &list[i]
		if count(k, Strong) == 0 || !k.Fits(n.build) || k.Mended(n.build) {
			continue
		}
		w, at := n.weigh(l, k)
		if w = count(k, w); w > weight {
			best, weight, seen = k, w, at
		}
	}
	return best, weight, seen
}

// sameUpdateEverywhere: one update that several machines cannot install is more likely
// faulty than they all are.
func sameUpdateEverywhere(l *look) {
	seen, ok := l.Mark("note-everybody")
	if !ok || len(l.KBs) == 0 || len(l.KBs) > fewKBs {
		return
	}
	for _, f := range l.Failures {
		if f.Stage == facts.StageScan || f.Stage == facts.StageDownload {
			return // that is rather the way to it
		}
	}
	l.add(true, Moderate, seen)
}

// onlyThisUpdate: where one update fails and all others go in, the way to updates and what
// installs them work, and the update is likelier the fault than on other machines.
func onlyThisUpdate(l *look) {
	seen, ok := l.Mark("note-only-this-update")
	if !ok {
		return
	}
	switch n := namedUpdates(l); {
	case len(n.failing)+len(n.said) == 0:
	case n.coded: // the code tells more
		l.add(true, Moderate, seen)
	default:
		l.add(true, Strong, seen)
	}
}

// updatesNamed is what the evidence tells of the updates that a failure is about.
type updatesNamed struct {
	build   string                // that runs, "22631.5189", or the base build of the version that is named
	failing map[string]facts.Seen // updates that failed, where that is seen
	said    []string              // updates that a person names who speaks of one, by number or by month
	listed  []string              // all that are named, as in a list of what is installed
	coded   bool                  // some failure has a code
	kinds   map[facts.FailureKind]bool
}

func namedUpdates(l *look) *updatesNamed {
	n := &updatesNamed{build: l.Machine.Build, failing: map[string]facts.Seen{}, kinds: map[facts.FailureKind]bool{}}
	if n.build == "" {
		n.build = facts.BaseBuild(l.Machine.OS)
	}
	for _, f := range l.Failures {
		n.coded = n.coded || f.Code != 0
		n.kinds[f.Kind] = true
		if f.Update.KB != "" && len(f.Seen) > 0 {
			n.failing[canonicalKB(f.Update.KB)] = f.Seen[0]
		}
	}
	named := map[string]bool{}
	for _, kb := range l.KBs {
		named[canonicalKB(kb)] = true
	}
	n.listed = slices.Sorted(maps.Keys(named))
	for _, kb := range l.Installed {
		n.listed = append(n.listed, canonicalKB(kb))
	}
	if len(named) > fewKBs {
		return n
	}
	n.said = slices.Sorted(maps.Keys(named))
	if len(named) == 0 {
		n.byMonth(l)
	}
	return n
}

// byMonth takes the updates that a person names by the month, for the version of Windows
// that runs or is named.
func (n *updatesNamed) byMonth(l *look) {
	for _, t := range l.Texts {
		if !t.Written {
			continue
		}
		build := cmp.Or(n.build, facts.VersionNamed(t.Text))
		if build == "" {
			continue
		}
		for _, m := range facts.MonthsNamed(t.Text) {
			of := facts.UpdatesOf(build, m)
			n.listed = append(n.listed, of...)
			if m.Year != 0 {
				n.said = append(n.said, of...)
			}
			n.build = build
		}
	}
}

// weigh says how much tells for an issue, and where that is seen. The update is one thing
// and what it does another: where it is named but something else is complained of, little
// is said.
func (n *updatesNamed) weigh(l *look, issue *facts.KnownIssue) (Weight, facts.Seen) {
	at, fails := facts.Seen{Source: "notes"}, false
	for kb, seen := range n.failing {
		if issue.Covers(kb) {
			at, fails = seen, true
		}
	}
	said, listed := slices.ContainsFunc(n.said, issue.Covers), slices.ContainsFunc(n.listed, issue.Covers)
	runs := issue.In(n.build)
	if !fails && !said && !listed && !runs {
		return 0, at
	}
	if issue.Code != 0 {
		seen, ok := l.Code(issue.Code)
		switch {
		case ok && (fails || said || listed):
			return Strong, seen
		case ok && issue.Kind != facts.IssueInstall: // an update that fails does not run
			return Moderate, seen
		case ok || n.coded:
			return 0, at
		}
	}
	symptom := n.shows(issue.Kind)
	switch {
	case said && !n.coded && symptom:
		return Strong, at
	case runs && issue.Kind == facts.IssueNext && issue.Code == 0 && len(l.Failures) > 0:
		return Weak, facts.Seen{Source: "the build that runs"}
	case fails && (symptom || !n.coded || issue.Kind == facts.IssueInstall), said && (symptom || !n.coded):
		return Moderate, at
	}
	return 0, at
}

// shows reports a failure without a code that is what issues of this kind mostly do.
func (n *updatesNamed) shows(kind facts.IssueKind) bool {
	switch kind {
	case facts.IssueBoot:
		return n.kinds[facts.KindRestartLoop] || n.kinds[facts.KindNoBoot] || n.kinds[facts.KindReverted]
	case facts.IssueInstall:
		return n.kinds[facts.KindReverted] || n.kinds[facts.KindReinstalls] || n.kinds[facts.KindStuck] ||
			n.kinds[facts.KindRestartLoop] || n.kinds[facts.KindNoBoot]
	case facts.IssueOffer, facts.IssueNext, facts.IssueUpgrade:
		return n.kinds[facts.KindNotOffered]
	}
	return false
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
