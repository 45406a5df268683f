package repair

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"updoc/internal/cause"
	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
)

// Schema names the JSON form of a Plan.
const Schema = "updoc.plan/1"

// Plan is the frozen cure of one machine: what will be tried, in which order, and
// what each part changes. It is shown, approved, journaled and applied; nothing
// is added to it while it is applied.
type Plan struct {
	Schema     string       `json:"schema"`
	Run        string       `json:"run"` // names the run, and what is moved aside in it
	Machine    host.Machine `json:"machine"`
	Failure    Failure      `json:"failure"`
	Causes     []string     `json:"causes"` // that the plan is for, likeliest first
	Treatments []Treatment  `json:"treatments"`
	LeftOut    []LeftOut    `json:"leftOut"` // remedies of these causes that do not come into question, and why
}

// Failure is what is wrong, and so what has to end well for a cure.
type Failure struct {
	Code   codes.HRESULT `json:"code"`
	Stage  facts.Stage   `json:"stage"`
	Update facts.Update  `json:"update"`
}

// Treatment is one remedy fitted to one machine.
type Treatment struct {
	ID      string   `json:"id"` // of the remedy
	Risk    Risk     `json:"risk"`
	How     string   `json:"how"` // automatic, guided, advice: of this treatment; never more than the remedy's own
	Minutes int      `json:"minutes"`
	Restart string   `json:"restart"`
	Causes  []string `json:"causes"` // that it is for
	Chance  float64  `json:"chance"` // that it settles the failure, as far as is known beforehand
	Steps   []Step   `json:"steps,omitempty"`
	Lead    []Line   `json:"lead,omitempty"`  // what the person does, or tells whom
	Again   int      `json:"again,omitempty"` // how often it is tried again where it fails still, because time may cure
	Pause   int      `json:"pause,omitempty"` // minutes before the first of these; each pause is twice as long as the one before
	// Course, if not nil, is a procedure in the place of steps.
	Course *Course `json:"course,omitempty"`
}

// Step is one change of a treatment. What it asks for is also its own test: a
// step whose state is there already is left out, and is done once it is.
type Step struct {
	Change host.Change `json:"change"`
	// Undo takes back what the host has no inverse of.
	Undo []host.Change `json:"undo,omitempty"`
	// Lasting is the id of the sentence that says why nothing has to be taken back:
	// a cache that fills by itself, a clock that is right.
	Lasting string `json:"lasting,omitempty"`
	Restart bool   `json:"restart,omitempty"` // has effect after a restart of the machine
	// Anew says that Windows writes by itself what the change takes away, so that what
	// stands there later is nobody's decision, and an undo puts the old in its place.
	Anew bool `json:"anew,omitempty"`
	// Lease, if not 0, is for how many minutes the change may stand: an experiment
	// that is taken back by itself, even if updoc is killed.
	Lease int `json:"lease,omitempty"`
	// Unseen says that a person may have made the change so that Windows does not see
	// it: the attempt is made all the same.
	Unseen bool `json:"unseen,omitempty"`
}

// Line is a sentence of the message catalogue with its arguments.
type Line = message.Line

// LeftOut is a remedy that is no part of a plan, and the sentence that says why.
type LeftOut struct {
	ID  string `json:"id"`
	Why Line   `json:"why"`
}

// Options of New.
type Options struct {
	Run     string // names the run; letters, digits and hyphens
	MaxRisk Risk   // the greatest risk of a treatment; "" means restart
	Relay   *Relay // that runs on the machine and that updates can be sent to
}

// New plans the cure of what a diagnosis found. It is pure. The plan of a healthy
// machine has no treatment.
func New(f *facts.Facts, d cause.Diagnosis, opt Options) *Plan {
	p := &Plan{Schema: Schema, Run: opt.Run, Machine: f.Machine, Treatments: []Treatment{}, LeftOut: []LeftOut{}, Causes: []string{}}
	p.Failure = failure(f)
	if d.Outcome != cause.Problems {
		return p
	}
	for i, c := range Order(d) {
		if i >= certain && c.Chance < hopeless {
			continue
		}
		for _, id := range c.Causes {
			if !slices.Contains(p.Causes, id) {
				p.Causes = append(p.Causes, id)
			}
		}
		if !opt.MaxRisk.allows(c.Remedy) {
			p.LeftOut = append(p.LeftOut, LeftOut{c.ID, Line{ID: "plan.too-risky", Args: map[string]string{"risk": string(c.Risk)}}})
			continue
		}
		t, why := c.fitTo(f, d, opt)
		if why.ID != "" {
			p.LeftOut = append(p.LeftOut, LeftOut{c.ID, why})
			continue
		}
		p.Treatments = append(p.Treatments, t)
	}
	p.useless(d)
	return p
}

// popular is what guides and scripts try whatever the cause is.
var popular = []string{"reset-update-components", "clear-winhttp-proxy", "run-sfc", "run-dism-restorehealth", "run-clean-boot", "run-in-place-upgrade"}

// useless says of the popular remedies which cannot cure what was found.
func (p *Plan) useless(d cause.Diagnosis) {
	if len(d.Findings) == 0 || d.Findings[0].Probability < 0.5 {
		return
	}
	found := d.Findings[0].ID
	for _, id := range popular {
		planned := slices.ContainsFunc(p.Treatments, func(t Treatment) bool { return t.ID == id }) ||
			slices.ContainsFunc(p.LeftOut, func(l LeftOut) bool { return l.ID == id })
		r, _ := Lookup(id)
		if !planned && !slices.Contains(r.Cures, found) && !slices.Contains(d.Findings[0].CureOrder(), id) {
			p.LeftOut = append(p.LeftOut, LeftOut{id, Line{ID: "plan.useless", Args: map[string]string{"cause": found}}})
		}
	}
}

// One plans a single remedy, whatever the diagnosis says of causes: for a person who
// wants just that. A line with an id says why it does not fit this machine.
func One(f *facts.Facts, d cause.Diagnosis, id string, opt Options) (*Plan, Line) {
	r, ok := Lookup(id)
	if !ok {
		return nil, Line{ID: "plan.no-such-remedy"}
	}
	p := &Plan{Schema: Schema, Run: opt.Run, Machine: f.Machine, LeftOut: []LeftOut{}, Causes: []string{}, Failure: failure(f)}
	t, why := Choice{Remedy: r, Causes: []string{}}.fitTo(f, d, opt)
	if why.ID == "" {
		p.Treatments = []Treatment{t}
	}
	return p, why
}

// The first few remedies are in a plan however little they promise; others only if
// they promise something.
const (
	certain  = 3
	hopeless = 0.05
)

// Only is the name of the course that is all of the plan, "" of any other: a plan for
// one piece of work is told in words of its own.
func (p *Plan) Only() string {
	if len(p.Treatments) == 1 && len(p.Causes) == 0 && p.Treatments[0].Course != nil {
		return p.Treatments[0].Course.Name
	}
	return ""
}

// WantsImage reports a plan that could do more with an image of this Windows at hand:
// services are gone of which the machine keeps no copy.
func (p *Plan) WantsImage() bool {
	return slices.ContainsFunc(p.Treatments, func(t Treatment) bool {
		return slices.ContainsFunc(t.Lead, func(l Line) bool { return l.ID == lacksServices })
	})
}

// Hash identifies exactly this plan: who approved one hash approved every change
// in it.
func (p *Plan) Hash() string {
	b, err := json.Marshal(p)
	if err != nil { // a Plan holds nothing that JSON cannot say
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Check holds a plan to the rules that every plan obeys, whoever wrote it: a plan
// comes back from a journal, and a journal is data on a sick machine's disk.
func (p *Plan) Check() error {
	if p.Schema != Schema {
		return fmt.Errorf("plan: schema %q, want %q", p.Schema, Schema)
	}
	if !validRun(p.Run) {
		return fmt.Errorf("plan: %q is no name of a run", p.Run)
	}
	for _, t := range p.Treatments {
		r, ok := Lookup(t.ID)
		if !ok {
			return fmt.Errorf("plan: no such remedy: %q", t.ID)
		}
		if t.Again < 0 || t.Again > 10 || t.Pause < 0 || t.Pause > 60 {
			return fmt.Errorf("plan: %s: %d more attempts, %d minutes apart", t.ID, t.Again, t.Pause)
		}
		if t.Course != nil {
			if len(t.Steps) > 0 {
				return fmt.Errorf("plan: %s: steps beside a course", t.ID)
			}
			if err := t.Course.check(r); err != nil {
				return fmt.Errorf("plan: %s: %w", t.ID, err)
			}
		}
		for i, s := range t.Steps {
			for _, c := range slices.Concat([]host.Change{s.Change}, s.Undo) {
				if err := c.Check(); err != nil {
					return fmt.Errorf("plan: %s, step %d: %w", t.ID, i+1, err)
				}
			}
			if s.Change.Kind == host.Run && !s.Change.Looks() && s.Undo == nil && s.Lasting == "" && r.Risk != RiskPermanent && r.Risk != RiskNone {
				return fmt.Errorf("plan: %s, step %d: cannot be taken back, and the remedy claims that it can", t.ID, i+1)
			}
		}
	}
	return nil
}

func validRun(run string) bool {
	for _, r := range run {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-') {
			return false
		}
	}
	return run != "" && len(run) <= 64
}

// failure picks what has to end well: the heaviest failure that was not settled.
func failure(f *facts.Facts) Failure {
	for _, x := range f.Failures {
		if !x.Resolved && !x.Consequence {
			return Failure{x.Code, x.Stage, x.Update}
		}
	}
	return Failure{Stage: facts.StageScan}
}

// allows reports whether a remedy is within the greatest risk that was asked for.
// What somebody else has to do hurts nothing here.
func (most Risk) allows(r Remedy) bool {
	if most == "" {
		most = RiskRestart
	}
	scale := []Risk{RiskNone, RiskReversible, RiskRestart, RiskPermanent}
	return r.Risk == RiskOutside || slices.Index(scale, r.Risk) <= slices.Index(scale, most)
}
