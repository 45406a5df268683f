package cause

import (
	"testing"

	"updoc/internal/facts"
)

func TestKnownIssue(t *testing.T) {
	tests := []struct {
		name, note string
		want       facts.State
	}{
		{"kb, code and build", "KB5031356 fails with 0x8007000d on build 19045.3448", facts.Present},
		{"kb and code", "kb 5031356 fails with 0x8007000d", facts.Present},
		{"other build", "KB5031356 fails with 0x8007000d on build 22631.2428", facts.Unknown},
		{"other code", "KB5031356 fails with 0x80070020", facts.Unknown},
		{"root is in the catalogue", "KB5034441 fails with 0x80070643", facts.Unknown},
		{"nothing named", "an update fails with 0x8007000d", facts.Unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := diagnosed(t, map[string]string{"notes.txt": tt.note})
			for _, x := range d.Findings {
				if x.ID == "known-issue" && x.State != tt.want {
					t.Errorf("state %d, want %d: %v", x.State, tt.want, x.Evidence)
				}
			}
		})
	}
}

func TestCanonicalKB(t *testing.T) {
	for _, s := range []string{"KB5034441", "kb5034441", "KB 5034441", "5034441"} {
		if got := canonicalKB(s); got != "KB5034441" {
			t.Errorf("canonicalKB(%q) = %q", s, got)
		}
	}
}
