package facts

import (
	"encoding/json"
	"testing"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// TestProved: what updoc proved settles what the logs told before, each by its own clock,
// and nothing that came after.
func TestProved(t *testing.T) {
	const failed codes.HRESULT = 0x80070643
	cure := time.Date(2031, 3, 4, 12, 0, 0, 0, time.UTC)
	proof := host.Proof{Run: "r1", Code: failed, Stage: "install", KB: "KB5030001", At: cure, Wall: cure.Add(2 * time.Hour)}
	failure := func(source string, at time.Time, kb string) Failure {
		return Failure{
			Kind: KindError, Code: failed, Stage: StageInstall, Update: Update{KB: kb}, First: at, Last: at, Count: 1, Weight: decisive,
			Seen: []Seen{{Source: source, Time: at, Code: failed}},
		}
	}
	for name, tt := range map[string]struct {
		list []Failure
		want int // that the person suffers from still
	}{
		"before":                        {[]Failure{failure("System.evtx", cure.Add(-time.Minute), "KB5030001")}, 0},
		"after":                         {[]Failure{failure("System.evtx", cure.Add(time.Minute), "KB5030001")}, 1},
		"before, by the clock at hand":  {[]Failure{failure("CBS.log:7", cure.Add(time.Hour), "KB5030001")}, 0},
		"after, by that clock":          {[]Failure{failure("CBS.log:7", cure.Add(3*time.Hour), "KB5030001")}, 1},
		"again, in one of two sources":  {[]Failure{failure("CBS.log:7", cure.Add(time.Hour), "KB5030001"), failure("System.evtx", cure.Add(time.Hour), "KB5030001")}, 1},
		"another update":                {[]Failure{failure("System.evtx", cure.Add(-time.Minute), "KB5030002")}, 1},
		"no update named":               {[]Failure{failure("CBS.log:7", cure.Add(-time.Minute), "")}, 0},
		"of the same attempt, nameless": {[]Failure{failure("System.evtx", cure.Add(-time.Minute), "KB5030001"), {Kind: KindError, Code: 0xD000003A, Stage: StageInstall, Last: cure.Add(-time.Minute), Count: 1, Weight: decisive, Seen: []Seen{{Source: "CBS.log:3"}}}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := &Facts{Failures: tt.list, marks: map[string][]Seen{"m": {{Time: tt.list[0].Last, Source: tt.list[0].Seen[0].Source}, {Source: "notes.txt"}}}, codes: map[codes.HRESULT]Seen{failed: tt.list[0].Seen[0]}}
			f.Repairs.Value.Proved = []host.Proof{proof}
			f.joinFailures()
			if got := len(f.Suffering()); got != tt.want {
				t.Errorf("%d failures are left, want %d: %+v", got, tt.want, f.Failures)
			}
			_, code := f.Now().Code(failed)
			if marks := len(f.Marks("m")); (marks == 2) != (tt.want > 0) || code != (tt.want > 0) {
				t.Errorf("%d sightings are left, the code is there: %v", marks, code)
			}
		})
	}
	var again host.Repairs
	if b, err := json.Marshal(host.Repairs{Proved: []host.Proof{proof}}); err != nil || json.Unmarshal(b, &again) != nil || again.Proved[0] != proof {
		t.Errorf("it comes back from a bundle as %+v, %v", again, err)
	}
}

func TestSettles(t *testing.T) {
	kb := func(s string) Update { return Update{KB: s} }
	for name, tt := range map[string]struct {
		s    Success
		x    Failure
		want bool
	}{
		"a search":                       {Success{Stage: StageScan}, Failure{Stage: StageScan}, true},
		"a download is no search":        {Success{Stage: StageDownload}, Failure{Stage: StageScan}, false},
		"a search is no install":         {Success{Stage: StageScan}, Failure{Stage: StageInstall, Update: kb("KB1")}, false},
		"installed after its download":   {Success{Stage: StageInstall, Update: kb("KB1")}, Failure{Stage: StageDownload, Update: kb("KB1")}, true},
		"another was installed":          {Success{Stage: StageInstall, Update: kb("KB2")}, Failure{Stage: StageInstall, Update: kb("KB1")}, false},
		"by its id":                      {Success{Stage: StageInstall, Update: Update{ID: "A-1"}}, Failure{Stage: StageInstall, Update: Update{ID: "a-1"}}, true},
		"one id, two numbers":            {Success{Stage: StageInstall, Update: Update{"", "KB2", "a"}}, Failure{Stage: StageInstall, Update: Update{"", "KB1", "a"}}, false},
		"a whole file":                   {Success{Stage: StageDownload}, Failure{Stage: StageVerify, Code: 0x80246002}, true},
		"a whole file with no signature": {Success{Stage: StageDownload}, Failure{Stage: StageVerify, Code: 0x800B0100}, false},
		"at no stage in particular":      {Success{Stage: StageScan}, Failure{Stage: StageAny}, false},
	} {
		if got := tt.s.settles(tt.x); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What worked once without something that was put back settles nothing.
func TestTrialSettlesNothing(t *testing.T) {
	noon := time.Date(2031, 5, 7, 12, 0, 0, 0, time.UTC)
	trial := host.Trial{Remedy: "test-without-vpn", Stage: "scan", Came: host.TrialShown, Began: noon, At: noon.Add(time.Minute), Wall: noon.Add(2*time.Hour + time.Minute)}
	for at, want := range map[time.Duration]int{
		-time.Minute: 0, 30 * time.Second: 1, 90 * time.Second: 1, 10 * time.Minute: 0, 2*time.Hour + 30*time.Second: 1, 3 * time.Hour: 0,
	} {
		f := &Facts{
			Failures:  []Failure{{Kind: KindError, Code: 0x8024401B, Stage: StageScan, Last: noon.Add(-time.Hour), Count: 1, Weight: decisive, Seen: []Seen{{Source: "System.evtx", Time: noon.Add(-time.Hour)}}}},
			Successes: []Success{{Stage: StageScan, Seen: Seen{Source: "System.evtx", Time: noon.Add(at)}}},
			marks:     map[string][]Seen{}, codes: map[codes.HRESULT]Seen{},
		}
		f.Repairs.Value.Trials = []host.Trial{trial}
		f.joinFailures()
		if got := len(f.Suffering()); got != want {
			t.Errorf("a search ended well %v later: %d failures are left, want %d", at, got, want)
		}
	}
}
