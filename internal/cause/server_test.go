package cause

import (
	"slices"
	"strings"
	"testing"

	"updoc/internal/facts"
)

func TestKnownIssue(t *testing.T) {
	t.Parallel()
	const present, unknown = facts.Present, facts.Unknown
	tests := []struct {
		name, note string
		want       facts.State
	}{
		{"kb, code and build", "KB5031356 fails with 0x8007000d on build 19045.3448", present},
		{"kb and code", "kb 5031356 fails with 0x8007000d", present},
		{"other build", "KB5031356 fails with 0x8007000d on build 22631.2428", unknown},
		{"other code", "KB5031356 fails with 0x80070020", unknown},
		{"root is in the catalogue", "KB5034441 fails with 0x80070643", unknown},
		{"nothing named", "an update fails with 0x8007000d", unknown},

		{"a later update that still has it", "On Windows 11 23H2 KB5055629 makes our clients fail to fetch 24H2 from WSUS: 0x80240069.", present},
		{"the one that mends it", "On Windows 11 23H2 KB5058405 fails with 0x80240069.", unknown},
		{"a build that has the mending one", "KB5055528 is long in. Build 22631.5768, 0x80240069 from the server.", unknown},
		{"a month of a version", "Since the April 2025 cumulative update our Windows 11 23H2 machines get 0x80240069 from WSUS.", present},
		{"the title's month", "2025-04 Cumulative Update for Windows 11 Version 23H2: now 0x80240069.", present},
		{"a month without a version", "Since the April 2025 cumulative update 0x80240069.", unknown},
		{"another month", "Since the January 2025 cumulative update our Windows 11 23H2 machines get 0x80240069.", unknown},
		{"a month and what it does", "Windows 10 22H2 with the May 2025 security update: the PC does not boot any more, BitLocker recovery.", present},
		{"a month without a year", "24H2: the October update fails with 0x800F081F since the clean-up of the store.", present},
		{"an update that starts no more", "After KB5058379 the notebook no longer boots, only the BitLocker recovery screen.", present},
		{"named for something else", "KB5009543 cannot be installed: error 0x80070070, disk full.", unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := diagnosed(t, map[string]string{"notes.txt": tt.note})
			found := facts.Unknown
			for _, x := range d.Findings {
				if x.ID == "known-issue" {
					found = x.State
				}
			}
			if found != tt.want {
				t.Errorf("state %d, want %d: %+v", found, tt.want, d.Findings)
			}
		})
	}
}

// The build that runs tells which faults a machine has; alone it makes nothing present.
func TestKnownIssueByBuild(t *testing.T) {
	t.Parallel()
	for note, want := range map[string]bool{
		"Build 22631.5189 fails to get the feature update from WSUS with 0x80240069.": true,
		"Build 22631.5126 fails to get the feature update from WSUS with 0x80240069.": false, // came before
		"Build 22631.5768 fails to get the feature update from WSUS with 0x80240069.": false, // is mended
		"Build 26100.2033, installed from a stick: no update goes in, it fails.":      true,
		"Build 26100.4061: no update goes in, it fails.":                              false,
	} {
		l := &look{Facts: collected(t, map[string]string{"notes.txt": note}), odds: 1}
		knownIssue(l)
		if got := len(l.verdict.Evidence) > 0; got != want {
			t.Errorf("%q: evidence %+v", note, l.verdict.Evidence)
		}
		if l.odds >= Strong.Ratio() {
			t.Errorf("%q: the build alone makes it present", note)
		}
	}
}

// A row may name a cause that it is an instance of; it must be one of the catalogue, and
// the row speaks for it.
func TestKnownIssueRoots(t *testing.T) {
	t.Parallel()
	known := map[string]*Cause{}
	for _, c := range Catalogue() {
		known[c.ID] = c
	}
	for _, k := range facts.KnownIssues() {
		if k.Root == "" {
			continue
		}
		c := known[k.Root]
		if c == nil {
			t.Errorf("%s: no cause %q", k.KB, k.Root)
			continue
		}
		note := k.KB + " fails"
		if k.Code != 0 {
			note += " with " + k.Code.String()
		}
		v := c.Check(collected(t, map[string]string{"notes.txt": note}))
		if !slices.ContainsFunc(v.Evidence, func(e Evidence) bool { return e.For && strings.Contains(e.Seen, k.Says) }) {
			t.Errorf("%s says nothing for %s: %+v", note, k.Root, v.Evidence)
		}
	}
}

func TestCanonicalKB(t *testing.T) {
	for _, s := range []string{"KB5034441", "kb5034441", "KB 5034441", "5034441"} {
		if got := canonicalKB(s); got != "KB5034441" {
			t.Errorf("canonicalKB(%q) = %q", s, got)
		}
	}
}
