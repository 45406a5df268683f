package repair

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"updoc/internal/host"
	"updoc/internal/store"
	"updoc/internal/winlog"
)

// specOf is the repair of the store that a treatment is.
func specOf(t *testing.T, x Treatment) store.Spec {
	t.Helper()
	var s store.Spec
	if x.Course == nil || x.Course.Name != storeCourse || json.Unmarshal(x.Course.Data, &s) != nil {
		t.Fatalf("no course: %+v", x)
	}
	if _, err := x.Course.Procedure(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFitStore(t *testing.T) {
	wsus := map[string]string{"wsus.reg": export(`[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU]`, `"UseWUServer"=dword:00000001`)}
	place := map[string]string{"servicing.reg": export(`[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\Servicing]`, `"UseWindowsUpdate"=dword:00000002`, `"LocalSourcePath"="D:\\media"`)}
	for _, tt := range []struct {
		name, remedy string
		files        map[string]string
		why, kinds   string
	}{
		{"plain", restoreRemedy, nil, "", "update"},
		{"a file waits for a restart", restoreRemedy, map[string]string{"answers/restart.json": `{"files":3}`}, "", "update"},
		{"a WSUS", restoreRemedy, wsus, "store.not.wsus", ""},
		{"policy names a place", restoreRemedy, place, "", "policy"},
		{"plain", filesRemedy, nil, "", ""},
	} {
		x, why := fitted(t, tt.remedy, seenOn(t, tt.files))
		if why.ID != tt.why {
			t.Errorf("%s: %q, want %q", tt.name, why.ID, tt.why)
		}
		if tt.why != "" {
			continue
		}
		s := specOf(t, x)
		var kinds []string
		for _, src := range s.Sources {
			kinds = append(kinds, string(src.Kind))
		}
		if strings.Join(kinds, ",") != tt.kinds || s.Look || s.Files != (tt.remedy == filesRemedy) || len(x.Steps) > 0 || x.How != Automatic {
			t.Errorf("%s: %+v of %+v", tt.name, s, x)
		}
	}
	if x, why := fitted(t, mediaRemedy, seenOn(t, nil)); why.ID != "" || x.Course != nil || x.How != Guided {
		t.Errorf("%+v, %v", x, why)
	}
}

// TestStorePlan: what an assessment comes to is a plan that holds to the rules.
func TestStorePlan(t *testing.T) {
	f := seenOn(t, nil)
	a := store.Assess(f, store.Options{})
	p, why, err := StorePlan(f, a, "run-1")
	if err != nil || why.ID != "" || !p.storeOnly() || p.Treatments[0].ID != restoreRemedy {
		t.Fatalf("%+v, %v, %v", p, why, err)
	}
	if s := specOf(t, p.Treatments[0]); !s.Look || !s.Files || len(s.Sources) != 1 {
		t.Errorf("%+v", s)
	}
	a.Steps, a.LeftOut = nil, []store.LeftOut{{What: "repair", Why: Line{ID: "store.not.sound"}}}
	if p, why, err := StorePlan(f, a, "run-1"); p != nil || why.ID != "store.not.sound" || err != nil {
		t.Errorf("%+v, %v, %v", p, why, err)
	}
}

// answering answers questions about the store.
type answering struct {
	host.Reader
	s host.Store
}

func (a answering) Ask(context.Context, host.Question) (host.Answer, error) {
	b, err := json.Marshal(a.s)
	return host.Answer{JSON: b}, err
}

// TestStoreProof: the newest report of each tool counts, and none is no proof.
func TestStoreProof(t *testing.T) {
	check := func(by string, left int) winlog.StoreCheck {
		return winlog.StoreCheck{By: by, Whole: true, Found: left}
	}
	for name, tt := range map[string]struct {
		checks []winlog.StoreCheck
		failed bool
		err    bool
	}{
		"nothing":             {nil, false, true},
		"sfc alone":           {[]winlog.StoreCheck{check("sfc", 0)}, false, true},
		"whole":               {[]winlog.StoreCheck{check("dism", 3), check("sfc", 2), check("dism", 0), check("sfc", 0)}, false, false},
		"the store is not":    {[]winlog.StoreCheck{check("dism", 0), check("dism", 3)}, true, false},
		"a file is not":       {[]winlog.StoreCheck{check("dism", 0), check("sfc", 1)}, true, false},
		"one that was broken": {[]winlog.StoreCheck{check("dism", 0), {By: "dism", Found: 4}}, false, false},
	} {
		p := &Plan{Treatments: []Treatment{{ID: restoreRemedy, Course: &Course{Name: storeCourse}}}}
		out, err := p.Proved(answering{s: host.Store{Log: winlog.StoreLog{Checks: tt.checks}}}, nil).Try(t.Context(), host.Attempt{})
		if (err != nil) != tt.err || out.Result.Failed() != tt.failed {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
}
