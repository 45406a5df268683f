package facts

import (
	"regexp"
	"strings"
	"testing"
)

func TestKnownIssues(t *testing.T) {
	list := KnownIssues()
	rows := strings.Count(strings.TrimSpace(knownIssueTable), "\n")
	if len(list) != rows || len(list) < 40 {
		t.Fatalf("%d issues of %d rows, want all and at least 40", len(list), rows)
	}
	kb, build := regexp.MustCompile(`^KB\d{7}$`), regexp.MustCompile(`^\d{4,5}$`)
	seen := map[string]bool{}
	for _, k := range list {
		key := k.KB + k.Code.String()
		if seen[key] {
			t.Errorf("%s stands twice", key)
		}
		seen[key] = true
		if !kb.MatchString(k.KB) || k.Says == "" || k.FixedBy == "" || !strings.HasPrefix(k.Source, "https://") {
			t.Errorf("incomplete: %+v", k)
		}
		for _, b := range k.Builds {
			if !build.MatchString(b) {
				t.Errorf("%s: build %q", k.KB, b)
			}
		}
	}
}

func TestKnownIssueFits(t *testing.T) {
	some, all := KnownIssue{Builds: []string{"22621", "22631"}}, KnownIssue{}
	for build, want := range map[string]bool{"22631.3007": true, "22621": true, "19045.1": false, "": true} {
		if got := some.Fits(build); got != want {
			t.Errorf("Fits(%q) = %v, want %v", build, got, want)
		}
	}
	if !all.Fits("7601") {
		t.Error("an issue without builds fits every build")
	}
}
