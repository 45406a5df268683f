package cause

import (
	"fmt"

	"updoc/internal/codes"
	"updoc/internal/facts"
)

// A check is written as a list of rules, read top to bottom:
//
//	Check: evidence(
//		conclusive("hosts-sinks-update-host"),
//		moderate("note-hosts-edited"),
//		against(strong, "scan-succeeded-later"),
//		func(l *look) { ... },              // anything typed: registry, services, proxies
//		missing("the hosts file"),
//	)
//
// Rules name signatures by id (internal/facts/signatures/*.tsv). A test holds
// that every id named here exists there, and every id there is used.
type rule func(*look)

// look is one check at work on one machine.
type look struct {
	*facts.Facts
	verdict Verdict
	odds    float64 // product of the likelihood ratios so far
}

func evidence(rules ...rule) func(*facts.Facts) Verdict {
	return func(f *facts.Facts) Verdict {
		l := &look{Facts: f, odds: 1}
		for _, r := range rules {
			r(l)
		}
		return l.judge()
	}
}

// judge makes a verdict of the odds.
func (l *look) judge() Verdict {
	switch {
	case l.odds >= Strong.Ratio():
		l.verdict.State = facts.Present
	case l.odds <= 1/Strong.Ratio():
		l.verdict.State = facts.Absent
	}
	return l.verdict
}

// add records one piece of evidence. A line is one piece, however many
// signatures it fits: the heaviest counts.
func (l *look) add(isFor bool, w Weight, seen facts.Seen) {
	for i := range l.verdict.Evidence {
		e := &l.verdict.Evidence[i]
		if e.For == isFor && e.Source == seen.Source && e.Seen == seen.Text {
			if w > e.Weight {
				l.weigh(isFor, w, e.Weight)
				e.Weight = w
			}
			return
		}
	}
	l.verdict.Evidence = append(l.verdict.Evidence, Evidence{For: isFor, Weight: w, Source: seen.Source, Seen: seen.Text})
	l.weigh(isFor, w, 0)
}

// weigh moves the odds by w, less what the same line weighed before.
func (l *look) weigh(isFor bool, w, before Weight) {
	ratio := w.Ratio()
	if before != 0 {
		ratio /= before.Ratio()
	}
	if isFor {
		l.odds *= ratio
	} else {
		l.odds /= ratio
	}
}

// For and Against record typed evidence: a setting, a service, a proxy.
func (l *look) For(w Weight, source, format string, args ...any) {
	l.add(true, w, facts.Seen{Source: source, Text: fmt.Sprintf(format, args...)})
}

// Against records evidence that speaks against the cause.
func (l *look) Against(w Weight, source, format string, args ...any) {
	l.add(false, w, facts.Seen{Source: source, Text: fmt.Sprintf(format, args...)})
}

// Cure puts remedies first that the evidence singles out.
func (l *look) Cure(ids ...string) { l.verdict.Cures = append(l.verdict.Cures, ids...) }

// Miss names what to look at next.
func (l *look) Miss(what string) { l.verdict.Missing = append(l.verdict.Missing, what) }

// Mark returns the first sighting of a signature that its note does not take back.
func (l *look) Mark(id string) (facts.Seen, bool) {
	for _, seen := range l.Marks(id) {
		if !seen.Dismissed {
			return seen, true
		}
	}
	return facts.Seen{}, false
}

// mentioned reports whether a signature was recognised at all, also in a sentence that
// dismisses what it names.
func (l *look) mentioned(id string) bool {
	_, ok := l.Facts.Mark(id)
	return ok
}

// first returns the first sighting of any of the signatures.
func (l *look) first(ids []string) (facts.Seen, bool) {
	for _, id := range ids {
		if seen, ok := l.Mark(id); ok {
			return seen, true
		}
	}
	return facts.Seen{}, false
}

// sign is evidence for the cause when any of the signatures was recognised;
// signatures that mean the same thing stand in one rule, so that they count once.
func sign(w Weight, ids ...string) rule {
	return func(l *look) {
		if seen, ok := l.first(ids); ok {
			l.add(true, w, seen)
		}
	}
}

func conclusive(ids ...string) rule { return sign(Conclusive, ids...) }
func strong(ids ...string) rule     { return sign(Strong, ids...) }
func moderate(ids ...string) rule   { return sign(Moderate, ids...) }
func weak(ids ...string) rule       { return sign(Weak, ids...) }

// against is evidence against the cause when any of the signatures was recognised.
func against(w Weight, ids ...string) rule {
	return func(l *look) {
		for _, id := range ids {
			if seen, ok := l.Facts.Mark(id); ok {
				l.add(false, w, seen)
				return
			}
		}
	}
}

// both counts only when every signature was recognised.
func both(w Weight, ids ...string) rule {
	return func(l *look) {
		var last facts.Seen
		for _, id := range ids {
			seen, ok := l.Mark(id)
			if !ok {
				return
			}
			last = seen
		}
		l.add(true, w, last)
	}
}

// code is evidence for the cause when any of the codes was seen anywhere: as a
// failure, inside a log line, in a note. Codes that merely make the cause
// possible belong in explains.tsv; only codes that tell it apart belong here.
func code(w Weight, hs ...codes.HRESULT) rule {
	return func(l *look) {
		for _, h := range hs {
			if seen, ok := l.Code(h); ok {
				l.add(true, w, seen)
				return
			}
		}
	}
}

// cures puts remedies first when any of the signatures was recognised.
func cures(remedy string, ids ...string) rule {
	return func(l *look) {
		if _, ok := l.first(ids); ok {
			l.Cure(remedy)
		}
	}
}

// missing names what would settle the cause, unless a signature already did.
func missing(what ...string) rule {
	return func(l *look) {
		if l.odds < Strong.Ratio() {
			l.verdict.Missing = append(l.verdict.Missing, what...)
		}
	}
}
