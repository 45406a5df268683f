package report

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// TestWhyNot holds that the causes that were rejected stand below their reason,
// whole and in 80 columns, however long their names and evidence are.
func TestWhyNot(t *testing.T) {
	const code, stage = "It does not give the codes that were seen.", "Possible, but others are likelier on this evidence."
	doc := problemsDocument()
	doc.Rejected = []Rejected{
		{ID: "missing-checkpoint-prerequisite", Probability: 0.031, Why: stage},
		{ID: "clock-skew", Why: code, Against: []Evidence{{Weight: "weak", Source: "notes.txt:3", Seen: strings.Repeat("the clock is right ", 9)}}},
		{ID: "third-party-software-conflict", Why: code},
		{ID: "user-account-missing-profile", Why: code},
		{ID: "wsus-server-metadata-corrupt", Why: code},
	}
	text := render(t, []Named{{Document: doc}}, "txt")
	_, got, _ := strings.Cut(text, "Why not the others\n")
	want := strings.Join([]string{
		"  Possible, but others are likelier on this evidence.",
		"      3 %  missing-checkpoint-prerequisite",
		"  It does not give the codes that were seen.",
		"      0 %  clock-skew",
		"           - notes.txt:3 the clock is right the clock is right the clock is rig…",
		"    third-party-software-conflict, user-account-missing-profile,",
		"    wsus-server-metadata-corrupt",
		"",
	}, "\n")
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, l := range strings.Split(text, "\n") {
		if n := utf8.RuneCountInString(l); n > 80 {
			t.Errorf("%d columns: %s", n, l)
		}
	}
}
