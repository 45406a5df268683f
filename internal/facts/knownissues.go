package facts

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"

	"updoc/internal/codes"
)

// KnownIssue is a fault of an update that Microsoft has confirmed, or that its
// own article on the update names. From the release health pages
// (learn.microsoft.com/windows/release-health) and the updates' articles.
type KnownIssue struct {
	KB      string        // "KB5034441"
	Builds  []string      // base builds that are touched; empty means all
	Code    codes.HRESULT // the code that Microsoft gives, 0 if it gives none
	Says    string        // what happens, in a few words
	FixedBy string        // KB that mends it, or what became of it
	Root    string        // a cause of the catalogue that this is an instance of, or ""
	Source  string        // Microsoft's page
}

// Fits reports whether a machine of this build, such as "22631.3007", is
// touched. An unknown build may be.
func (k *KnownIssue) Fits(build string) bool {
	base, _, _ := strings.Cut(build, ".")
	if base == "" || len(k.Builds) == 0 {
		return true
	}
	for _, b := range k.Builds {
		if b == base {
			return true
		}
	}
	return false
}

//go:embed data/known-issues.tsv
var knownIssueTable string

var knownIssues = sync.OnceValue(func() []KnownIssue {
	var out []KnownIssue
	for line := range strings.Lines(knownIssueTable) {
		cols := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if len(cols) != 7 || cols[0] == "kb" {
			continue
		}
		k := KnownIssue{KB: cols[0], Says: cols[3], FixedBy: cols[4], Root: cols[5], Source: cols[6]}
		if cols[1] != "*" {
			k.Builds = strings.Split(cols[1], ",")
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
