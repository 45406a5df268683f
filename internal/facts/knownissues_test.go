package facts

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The pages that a row may name: Microsoft's.
var issuePage = regexp.MustCompile(`^https://(support|learn|techcommunity|devblogs)\.microsoft\.com/`)

func TestKnownIssues(t *testing.T) {
	list := KnownIssues()
	rows := strings.Count(strings.TrimSpace(knownIssueTable), "\n")
	if len(list) != rows || len(list) < 90 {
		t.Fatalf("%d issues of %d rows, want all and at least 90", len(list), rows)
	}
	kb, build := regexp.MustCompile(`^KB\d{6,7}$`), regexp.MustCompile(`^\d{4,5}$`)
	kinds := map[IssueKind]bool{
		IssueInstall: true, IssueOffer: true, IssueNext: true, IssueUpgrade: true,
		IssueBoot: true, IssueReset: true, IssueServer: true, IssueAfter: true,
	}
	seen := map[string]bool{}
	for _, k := range list {
		key := k.KB + k.Builds + k.Code.String() + string(k.Kind) + k.Says
		if seen[key] {
			t.Errorf("%s stands twice", key)
		}
		seen[key] = true
		if !kb.MatchString(k.KB) || k.Says == "" || k.FixedBy == "" || !issuePage.MatchString(k.Source) || !kinds[k.Kind] {
			t.Errorf("incomplete: %+v", k)
		}
		if k.Builds == "" {
			continue
		}
		for b := range strings.SplitSeq(k.Builds, ",") {
			if !build.MatchString(b) {
				t.Errorf("%s: build %q", k.KB, b)
			}
			first, ok := release(kbNumber(k.KB), family(b))
			last, mended := release(kbNumber(k.mending()), family(b))
			if ok && mended && first.revision >= last.revision {
				t.Errorf("%s on %s: %s mends it before it begins", k.KB, b, k.mending())
			}
		}
	}
}

func TestKnownIssueFits(t *testing.T) {
	some, all := KnownIssue{Builds: "22621,22631"}, KnownIssue{}
	for build, want := range map[string]bool{"22631.3007": true, "22621": true, "19045.1": false, "": true, "2262": false} {
		if got := some.Fits(build); got != want {
			t.Errorf("Fits(%q) = %v, want %v", build, got, want)
		}
	}
	if !all.Fits("7601") {
		t.Error("an issue without builds fits every build")
	}
}

// An issue belongs to the update where it begins and to those after it, until one mends it.
func TestKnownIssueSpan(t *testing.T) {
	k := KnownIssue{KB: "KB5055528", Builds: "22621,22631", FixedBy: "KB5058405"}
	for kb, want := range map[string]bool{
		"KB5055528": true, "kb 5055528": true, // where it begins
		"KB5055629": true,  // the preview after it
		"KB5058405": false, // mends it
		"KB5053657": false, // came before
		"KB5055523": false, // another version of Windows
		"KB1":       false, "": false,
	} {
		if got := k.Covers(kb); got != want {
			t.Errorf("Covers(%q) = %v, want %v", kb, got, want)
		}
	}
	type state struct{ in, mended bool }
	for build, want := range map[string]state{
		"22631.5126": {}, "22631.5189": {in: true}, "22621.5262": {in: true}, "22631.5335": {mended: true}, "22631.6060": {mended: true},
		"26100.5200": {}, "22631": {}, "": {}, "junk": {},
	} {
		if got := (state{k.In(build), k.Mended(build)}); got != want {
			t.Errorf("build %q: %+v, want %+v", build, got, want)
		}
	}
	open := KnownIssue{KB: "KB5055528", Builds: "22631", FixedBy: "Known Issue Rollback"}
	if open.Covers("KB5055629") || open.In("22631.5262") || open.Mended("22631.9999") {
		t.Error("nobody knows how long an issue lasts that no update mends")
	}
}

func TestReleases(t *testing.T) {
	list := releases()
	lines := 0
	for line := range strings.Lines(releaseTable) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "build") {
			lines += strings.Count(line, " ") + 1
		}
	}
	if len(list) != lines || len(list) < 1000 {
		t.Fatalf("%d releases of %d entries", len(list), lines)
	}
	byRevision := map[[2]uint16]uint32{}
	for _, r := range list {
		if r.kb < 3_000_000 || r.kb > 9_999_999 || r.family < 10_000 || r.month%100 > 12 {
			t.Errorf("odd: %+v", r)
		}
		at := [2]uint16{r.family, r.revision}
		if kb, ok := byRevision[at]; ok && kb != r.kb {
			t.Errorf("%d.%d is of KB%d and KB%d", r.family, r.revision, kb, r.kb)
		}
		byRevision[at] = r.kb
	}
	for build, want := range map[string][]string{
		"22631.3007": {"KB5034123", "KB5034204"}, "22621": {"KB5034123", "KB5034204"}, "": nil, "7601": nil,
	} {
		if diff := cmp.Diff(want, UpdatesOf(build, Month{2024, 1})); diff != "" {
			t.Errorf("January 2024 of %q: %s", build, diff)
		}
	}
}

func TestBaseBuild(t *testing.T) {
	for name, want := range map[string]string{
		"Windows 11 Pro 24H2": "26100", "Windows 11 25H2": "26200", "Windows 10 Enterprise 1809": "17763", "Windows Server 2019": "17763",
		"Microsoft Windows Server 2012 R2 Standard": "9600", "Windows Server 2012": "9200", "Windows 7": "7601", "Windows 8.1": "9600",
		"Windows 11": "", "Windows 10": "", "": "",
	} {
		if got := BaseBuild(name); got != want {
			t.Errorf("BaseBuild(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestMonthsNamed(t *testing.T) {
	for text, want := range map[string][]Month{
		"2025-05 Cumulative Update for Windows 11":            {{2025, 5}},
		"since the May 2025 update it restarts":               {{2025, 5}},
		"after Patch Tuesday of October 14, 2025":             {{2025, 10}},
		"seit dem kumulativen Update vom März 2024":           {{2024, 3}},
		"the January 2024 and February 2024 security updates": {{2024, 1}, {2024, 2}},
		"on 2025-05-13 the update failed":                     nil, // a day
		"bought in May 2025":                                  nil,
		"Windows Server 2022 update":                          nil,
		"update of 2024-13":                                   nil,
		"202505 update 2025":                                  nil,
		"24H2 from media with the October update":             {{0, 10}},
		"seit dem Juli-Patch":                                 {{0, 7}},
		"May update":                                          {{0, 5}},
		"the update may fail, you may update":                 nil,
		"in October we update":                                nil,
		"":                                                    nil,
		"20":                                                  nil,
		"update 20":                                           nil,
	} {
		if diff := cmp.Diff(want, MonthsNamed(text)); diff != "" {
			t.Errorf("MonthsNamed(%q): %s", text, diff)
		}
	}
}

func FuzzMonthsNamed(f *testing.F) {
	f.Add("2025-05 Cumulative Update")
	f.Add("update März 2024")
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range MonthsNamed(text) {
			if m.Month < 1 || m.Month > 12 || m.Year != 0 && (m.Year < 2015 || m.Year > 2099) { // 0: "the October update"
				t.Errorf("%q: %v", text, m)
			}
		}
	})
}
