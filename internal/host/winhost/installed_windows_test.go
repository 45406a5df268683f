package winhost

import (
	"encoding/json"
	"strings"
	"testing"

	"updoc/internal/host"
)

var _ host.RestorePoints = (*Host)(nil)

// What Windows says of installs: the build that runs is that of the registry, and what
// cannot be read is named.
func TestInstalled(t *testing.T) {
	h := attendant(t)
	a, err := h.Ask(t.Context(), host.Question{Name: host.AskInstalled, Args: map[string]string{"kb": "KB5999001"}})
	if err != nil {
		t.Fatal(err)
	}
	var x host.Installed
	if err := json.Unmarshal(a.JSON, &x); err != nil {
		t.Fatal(err)
	}
	k, err := h.Key(t.Context(), `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := k.Value("CurrentBuild")
	if build, _ := v.String(); build == "" || !strings.HasPrefix(x.Build, build) {
		t.Errorf("build %q, the registry has %q", x.Build, build)
	}
	gap := false
	for _, u := range x.Unseen {
		gap = gap || u.Part == "events" && u.Why != ""
	}
	if onWine() {
		if !gap {
			t.Error("Wine has no event log to query, and nothing says so")
		}
		return
	}
	if gap {
		t.Errorf("the log System cannot be read: %+v", x.Unseen)
	}
	for _, e := range x.Events {
		if e.ID != host.EventInstalled && e.ID != host.EventFailed || e.Record == 0 || e.At.IsZero() || e.Update == "" {
			t.Errorf("%+v", e)
		}
	}
}

// A restore point that was not made is never said to be. The test makes none: where one
// can be, that is a person's decision.
func TestRestorePoints(t *testing.T) {
	h := attendant(t)
	if !onWine() {
		t.Skip("it would make a restore point on this machine")
	}
	p, err := h.RestorePoint(t.Context(), "updoc test") // Wine knows the class and cannot do it
	if err == nil || p.New {
		t.Errorf("%+v, %v", p, err)
	}
}
