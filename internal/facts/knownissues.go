package facts

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"

	"updoc/internal/codes"
)

// IssueKind says what a fault of an update does: what a report of it complains of.
type IssueKind string

// The kinds.
const (
	IssueInstall IssueKind = "install" // the update itself fails, rolls back or comes again and again
	IssueOffer   IssueKind = "offer"   // it cannot be found, is offered late, or to the wrong machines
	IssueNext    IssueKind = "next"    // with it, later updates or the search for them fail
	IssueUpgrade IssueKind = "upgrade" // a new version of Windows is withheld or fails
	IssueBoot    IssueKind = "boot"    // Windows does not start, or asks for the recovery key
	IssueReset   IssueKind = "reset"   // recovery, reset or taking updates off fails
	IssueServer  IssueKind = "server"  // WSUS or Configuration Manager
	IssueAfter   IssueKind = "after"   // something else breaks, so that people take the update off
)

// KnownIssue is a fault of an update that Microsoft has confirmed, or that its
// own article on the update names. From the release health pages
// (learn.microsoft.com/windows/release-health) and the updates' articles.
type KnownIssue struct {
	KB      string        // where it begins: "KB5034441"
	Builds  string        // base builds that are touched, "22621,22631"; "" means all
	Code    codes.HRESULT // the code that Microsoft gives, 0 if it gives none
	Kind    IssueKind
	Says    string // what happens, in a few words
	FixedBy string // KB that mends it, or what became of it
	Root    string // a cause of the catalogue that this is an instance of, or ""
	Source  string // Microsoft's page
}

// Fits reports whether a machine of this build, such as "22631.3007", is
// touched. An unknown build may be.
func (k *KnownIssue) Fits(build string) bool {
	base, _, _ := strings.Cut(build, ".")
	if base == "" || k.Builds == "" {
		return true
	}
	for b := range strings.SplitSeq(k.Builds, ",") {
		if b == base {
			return true
		}
	}
	return false
}

// span is from which revision of a build on the fault is there, and from which on it is
// mended; ok is false where the one or the other is not known, or the build is none that
// the updates make.
func (k *KnownIssue) span(base string) (from, mended uint16, ok bool) {
	of := family(base)
	first, ok1 := release(kbNumber(k.KB), of)
	last, ok2 := release(kbNumber(k.mending()), of)
	return first.revision, last.revision, ok1 && ok2 && first.revision < last.revision
}

// mending is the update that mends it, "" if it is none.
func (k *KnownIssue) mending() string {
	kb, _, _ := strings.Cut(k.FixedBy, " ")
	if kb = strings.Trim(kb, ",;"); strings.HasPrefix(kb, "KB") {
		return kb
	}
	return ""
}

// Covers reports whether the fault is one of this update: of the one where it begins, and
// of those that came after it until it was mended.
func (k *KnownIssue) Covers(kb string) bool {
	n := kbNumber(kb)
	if n == 0 || n == kbNumber(k.KB) {
		return n != 0
	}
	for base := range strings.SplitSeq(k.Builds, ",") {
		from, mended, ok := k.span(base)
		if r, known := release(n, family(base)); ok && known && from <= r.revision && r.revision < mended {
			return true
		}
	}
	return false
}

// In reports whether a machine that runs this build, such as "22631.5189", has the fault:
// it has the update, and none that mends it.
func (k *KnownIssue) In(build string) bool {
	base, revision, _ := strings.Cut(build, ".")
	from, mended, ok := k.span(base)
	n := number(revision)
	return ok && n != 0 && k.Fits(build) && uint64(from) <= n && n < uint64(mended)
}

// Mended reports whether a machine that runs this build has an update that mends it.
func (k *KnownIssue) Mended(build string) bool {
	base, revision, _ := strings.Cut(build, ".")
	_, mended, ok := k.span(base)
	return ok && number(revision) >= uint64(mended)
}

//go:embed data/known-issues.tsv
var knownIssueTable string

var knownIssues = sync.OnceValue(func() []KnownIssue {
	out := make([]KnownIssue, 0, strings.Count(knownIssueTable, "\n"))
	for line := range strings.Lines(knownIssueTable) {
		cols := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if len(cols) != 8 || cols[0] == "kb" {
			continue
		}
		k := KnownIssue{KB: cols[0], Kind: IssueKind(cols[3]), Says: cols[4], FixedBy: cols[5], Root: cols[6], Source: cols[7]}
		if cols[1] != "*" {
			k.Builds = cols[1]
		}
		if n, err := strconv.ParseUint(cols[2], 0, 32); err == nil {
			k.Code = codes.HRESULT(n)
		}
		out = append(out, k)
	}
	return out
})

// KnownIssues returns the table of confirmed faults of updates.
func KnownIssues() []KnownIssue { return knownIssues() }
