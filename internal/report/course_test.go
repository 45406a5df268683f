package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/procedure"
	"updoc/internal/repair"
)

// What a course may change is said by what is alike, not two hundred times.
func TestKinds(t *testing.T) {
	var list []host.Change
	for i := range 40 {
		list = append(list,
			host.Change{Kind: host.ServiceStart, Path: fmt.Sprint("Example", i), Start: &host.Start{Type: 4}},
			host.Change{Kind: host.ServiceStop, Path: fmt.Sprint("Example", i)})
	}
	list = append(list,
		host.Change{Kind: host.Run, Path: "sfc", Args: []string{"/scannow"}}, host.Change{Kind: host.Run, Path: "dism", Args: []string{"/Online"}},
		host.Change{Kind: host.Switch, Path: `task/\Fabrikam\Helper`, State: "off"}, host.Change{Kind: host.ServiceStart, Path: "bad"})
	var got []int
	for _, g := range kinds(list) {
		got = append(got, len(g))
	}
	if diff := cmp.Diff([]int{40, 40, 1, 1, 1, 1}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNeeds(t *testing.T) {
	for _, tt := range []struct {
		b    procedure.Bounds
		want string
	}{
		{procedure.Bounds{Acts: 9}, "at most 9 steps"},
		{procedure.Bounds{Acts: 9, Restarts: 1, Minutes: 20, Tries: true}, "at most 9 steps, one restart, about 20 minutes, it tries the install again on the way"},
		{procedure.Bounds{Acts: 9, Restarts: 6}, "at most 9 steps, at most 6 restarts"},
	} {
		if got := needs(tt.b, "install"); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	if got := fetchText(procedure.Fetch{URL: "http://download.fabrikam.example/a.cab", To: `C:\a.cab`, Size: 5 << 20}); got != `fetch http://download.fabrikam.example/a.cab (5 MB) to C:\a.cab` {
		t.Error(got)
	}
}

// The acts of a course are told by their own sentences.
func TestCourseEvents(t *testing.T) {
	c := host.Change{Kind: host.ServiceStop, Path: "Example"}
	for _, tt := range []struct {
		e    repair.Event
		want string
	}{
		{repair.Event{Kind: repair.EntryBegin}, ""},
		{repair.Event{Kind: repair.EntryBegin, Change: &c}, "stop the service Example"},
		{repair.Event{Kind: repair.EntryAct}, ""},
		{repair.Event{Kind: repair.EntryAct, Err: "no"}, "could not be done: no"},
		{repair.Event{Kind: repair.EntryAct, Tried: true}, "tried again: it works"},
		{repair.Event{Kind: repair.EntryAct, Tried: true, Code: 0x80070005}, "tried again: it still fails with 0x80070005 E_ACCESSDENIED"},
		{repair.Event{Kind: repair.EntryAct, Tried: true, Code: codes.HRESULT(0x00240006)}, "tried again: it works"},
		{repair.Event{Kind: repair.EntryRestart}, "restart the machine; 'updoc resume' goes on afterwards"},
		{repair.Event{Kind: repair.EntryRestart, Wait: 30 * time.Minute}, "restart the machine within 30 minutes; it goes on by itself afterwards. Later than that everything is put back as it was"},
		{repair.Event{Kind: repair.EntryStarted}, "the machine was restarted; it goes on"},
	} {
		if got := EventText(tt.e); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.e, got, tt.want)
		}
	}
	if _, ok := EventNote("r1", repair.Event{Kind: repair.EntryBegin}); ok {
		t.Error("a question stands in the event log")
	}
	story := []repair.Told{{Treatment: "run-clean-boot", Lines: []repair.Line{{ID: "course.needs.acts", Args: map[string]string{"n": "3"}}}}}
	if got, want := StoryText(story), RemedyTitle("run-clean-boot")+"\n  at most 3 steps"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A plan says all that a course may do, also as JSON, and what of it only looks.
func TestPlanOfACourse(t *testing.T) {
	plan := &repair.Plan{
		Schema: repair.Schema, Run: "r1", Failure: repair.Failure{Code: 0x80073712, Stage: facts.StageInstall},
		Treatments: []repair.Treatment{{
			ID: "run-dism-restorehealth", Risk: repair.RiskPermanent, How: repair.Automatic, Minutes: 40, Restart: "maybe",
			Course: &repair.Course{Name: "store", Data: json.RawMessage(`{"look":true,"sources":[{"kind":"update"}]}`)},
		}},
	}
	if err := plan.Check(); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := PlanText(&b, plan, false, Style{Width: 200}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"what comes next depends on what each step shows", "/ScanHealth; only looks", "/RestoreHealth; cannot be taken back", "at most ",
		"Windows is asked for a restore point",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("does not say %q:\n%s", want, b.String())
		}
	}
	c := NewPlan(plan).Treatments[0].Course
	if c == nil || c.Name != "store" || c.Acts == 0 || len(c.Changes) == 0 {
		t.Fatalf("%+v", c)
	}
	for _, x := range c.Changes {
		if x.Undo != strings.Contains(x.Text, "ScanHealth") {
			t.Errorf("%s: can be taken back: %v", x.Text, x.Undo)
		}
	}
}

// What is one course alone is told in its own words, and an undo is offered only where
// something can be taken back.
func TestWordsOfACourse(t *testing.T) {
	course := func(id, name, data string) *repair.Plan {
		return &repair.Plan{
			Schema: repair.Schema, Run: "r1", Failure: repair.Failure{Stage: facts.StageInstall},
			Treatments: []repair.Treatment{{ID: id, Risk: repair.RiskPermanent, How: repair.Automatic, Course: &repair.Course{Name: name, Data: json.RawMessage(data)}}},
		}
	}
	store := course("run-dism-restorehealth", "store", `{"look":true,"sources":[{"kind":"update"}]}`)
	among := course("run-dism-restorehealth", "store", `{"look":true,"sources":[{"kind":"update"}]}`)
	among.Causes = []string{"component-store-corrupt"}
	for _, tt := range []struct {
		name              string
		plan              *repair.Plan
		res               repair.Result
		undoable, lasting int
		want              string
	}{
		{"store", store, repair.Cured, 0, 2, "Repaired: servicing reports the component store as whole."},
		{"store, not", store, repair.NotCured, 0, 2, "Not repaired in whole: servicing still reports damage."},
		{"store, a file was fetched", store, repair.Unproven, 1, 2, "The repair is over. No log of servicing tells whether the component store is whole now.\nSome of it stays. Take back the rest with: updoc undo r1"},
		{"store as one of the cures", among, repair.Cured, 0, 1, "Cured: the install works again."},
		{"a setting", &repair.Plan{Run: "r1", Failure: repair.Failure{Stage: facts.StageScan}}, repair.NotCured, 1, 0, "Not cured. Everything in the plan was tried, and the scan still fails.\nTake it back with: updoc undo r1"},
		{"stopped before anything", store, repair.Stopped, 0, 0, "Stopped between two changes. Everything is whole; 'updoc resume' goes on."},
		{"upgrade", course("run-in-place-upgrade", "upgrade", "{}"), repair.Cured, 0, 1, "Windows was installed over itself, and the install works again."},
		{"search", course("run-clean-boot", "isolate", "{}"), repair.Shown, 0, 0, "The culprit is shown: without it the install works. Everything was put back as it was; what becomes of it is for you to decide."},
		{"package", course("install-update", "install-packages", "{}"), repair.NotCured, 0, 1, "Not installed: Windows does not count it as installed."},
	} {
		if got := ResultText(tt.plan, tt.res, tt.undoable, tt.lasting); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	for e, want := range map[*repair.Event]string{
		{Kind: repair.EntryTried, Course: "store"}:                              "looked again: servicing reports the component store as whole",
		{Kind: repair.EntryTried, Course: "install-packages", Code: 0x80240022}: "looked again: Windows does not count it as installed, 0x80240022 WU_E_ALL_UPDATES_FAILED",
		{Kind: repair.EntryTried, Course: "upgrade"}:                            "tried again: it works",
	} {
		if got := EventText(*e); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	var b bytes.Buffer
	if err := PlanText(&b, store, false, Style{Width: 200}); err != nil || strings.Contains(b.String(), "the install is tried") {
		t.Errorf("%v\n%s", err, b.String())
	}
	b.Reset()
	if err := UndoneText(&b, "r1", repair.Undone{Lasting: []string{"run-in-place-upgrade"}}, Style{}); err != nil || !strings.HasPrefix(b.String(), "Nothing of run r1 can be taken back.\nCannot be taken back: ") {
		t.Errorf("%v\n%s", err, b.String())
	}
	for s, want := range map[*repair.Summary]string{{}: "-", {Standing: 3, Undoable: 3}: "3", {Standing: 3}: "3, to stay", {Standing: 3, Undoable: 1}: "3, of them 1 to undo"} {
		if got := StandingText(*s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
