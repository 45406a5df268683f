package repair

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/store"
	"updoc/internal/winlog"
)

// storeCourse is the name of the course that repairs the component store.
const storeCourse = "store"

// The remedies that are this course, each with a part of it.
const (
	restoreRemedy = "run-dism-restorehealth"
	mediaRemedy   = "run-dism-restorehealth-from-source"
	filesRemedy   = "run-sfc"
)

// StorePlan plans the repair of the component store that an assessment comes to, for
// whoever wants just that. A line with an id says why not.
func StorePlan(f *facts.Facts, a store.Assessment, run string) (*Plan, message.Line, error) {
	s, ok := a.Spec()
	if !ok {
		why := message.Line{ID: "plan.nothing-to-change", Args: map[string]string{"what": "component store"}}
		for _, l := range a.LeftOut {
			if l.What == "repair" {
				why = l.Why
			}
		}
		return nil, why, nil
	}
	id := restoreRemedy
	for _, x := range s.Sources {
		if x.Kind != store.FromUpdate && x.Kind != store.FromPolicy {
			id = mediaRemedy
		}
	}
	if len(s.Sources) == 0 && s.Files && !s.Look {
		id = filesRemedy
	}
	r, known := Lookup(id)
	if !known {
		return nil, message.Line{}, fmt.Errorf("plan a repair of the component store: no remedy %s", id)
	}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, message.Line{}, fmt.Errorf("plan a repair of the component store: %w", err)
	}
	p := &Plan{Schema: Schema, Run: run, Machine: f.Machine, Failure: failure(f), Causes: []string{}, LeftOut: []LeftOut{}}
	t := Treatment{
		ID: r.ID, Risk: r.Risk, How: Automatic, Minutes: r.Minutes, Restart: r.Restart, Causes: []string{},
		Course: &Course{Name: storeCourse, Data: data},
	}
	if len(s.Sources) > 0 {
		t.Lead = append(t.Lead, message.Say("store.step.repair"))
	}
	for _, x := range s.Sources {
		t.Lead = append(t.Lead, message.Say("store.source."+string(x.Kind), "name", x.Name))
	}
	p.Treatments = []Treatment{t}
	return p, message.Line{}, p.Check()
}

// storeOnly reports a plan of [StorePlan].
func (p *Plan) storeOnly() bool {
	return p.Only() == storeCourse
}

// fitRestoreHealth mends the store from Windows Update, or from where policy sends
// repairs. learn.microsoft.com: "Configure a Windows Repair Source".
func fitRestoreHealth(f *fit) {
	if f.restartPending() {
		return
	}
	a := store.Assess(f.Facts, store.Options{})
	switch {
	case a.Wandering:
		f.not("store.not.wandering")
		return
	case len(a.Sources) == 0:
		why := message.Line{ID: "store.not.source"}
		for _, l := range a.LeftOut {
			if l.What == "Windows Update" {
				why = l.Why
			}
		}
		f.why = why
		return
	}
	s, _ := a.Spec()
	// What failed already says that there is something to repair: DISM looks for itself,
	// and sfc has its turn if the update fails still.
	s.Look, s.Files, s.Sources, s.Half = false, false, a.Sources, nil
	f.course(storeCourse, s)
}

// fitFromSource: a medium has to be given by a person.
func fitFromSource(f *fit) {
	fitFromMedia(f)
	f.lead("store.command")
}

// fitSystemFiles: sfc takes the files from the store, and refuses while a restart
// is pending.
func fitSystemFiles(f *fit) {
	if !f.restartPending() {
		f.course(storeCourse, store.Spec{Files: true})
	}
}

// storeProof is what proves the plan.
func (p *Plan) storeProof(r host.Reader) storeProof {
	var s store.Spec
	_ = json.Unmarshal(p.Treatments[0].Course.Data, &s) // a plan that was checked has one
	return storeProof{r, s.Half}
}

// storeProof proves the repair of the component store by what servicing wrote down of
// it: the newest look of each tool.
type storeProof struct {
	host.Reader
	half []string // packages that were half installed
}

// errNoReport says that no log tells how it stands with the store.
var errNoReport = errors.New("no log tells how it stands with the component store")

// Try implements [host.Agent]: it looks and changes nothing.
func (p storeProof) Try(ctx context.Context, _ host.Attempt) (host.Outcome, error) {
	a, err := p.Ask(ctx, host.Question{Name: host.AskStore})
	if err != nil {
		return host.Outcome{}, err
	}
	var s host.Store
	if err := json.Unmarshal(a.JSON, &s); err != nil {
		return host.Outcome{}, fmt.Errorf("answer %s: %w", host.AskStore, err)
	}
	out := host.Outcome{Stage: "verify"}
	seen := map[string]bool{}
	for i := len(s.Log.Checks) - 1; i >= 0; i-- {
		c := s.Log.Checks[i]
		if seen[c.By] || !c.Whole {
			continue
		}
		seen[c.By] = true
		if c.Left() > 0 {
			const corrupt codes.HRESULT = 0x80073712
			out.Result = corrupt
			return out, nil
		}
	}
	if !seen[winlog.StoreByDISM] {
		return out, errNoReport
	}
	for _, x := range s.Packages {
		if slices.Contains(p.half, x.Name) {
			const allFailed codes.HRESULT = 0x80240022 // WU_E_ALL_UPDATES_FAILED
			out.Result = cmp.Or(x.Result, allFailed)
			return out, nil
		}
	}
	return out, nil
}
