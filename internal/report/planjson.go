package report

import (
	"updoc/internal/host"
	"updoc/internal/repair"
)

// The JSON forms of plans and runs say what is changed and never with which bytes:
// a registry value may hold a password. The bytes stand in the journal alone, which
// administrators may read.

// PlanDocument is the JSON form of a plan, updoc.plan/1.
type PlanDocument struct {
	Schema     string          `json:"schema"`
	Run        string          `json:"run"`
	Hash       string          `json:"hash"` // identifies the plan with all its bytes
	Machine    Machine         `json:"machine"`
	Stage      string          `json:"stage"` // what has to end well
	Code       string          `json:"code,omitempty"`
	Causes     []string        `json:"causes"`
	Treatments []PlanTreatment `json:"treatments"`
	LeftOut    []PlanLeftOut   `json:"leftOut"`
}

// PlanTreatment is one remedy of a plan.
type PlanTreatment struct {
	ID      string        `json:"id"`
	Title   string        `json:"title"`
	Risk    string        `json:"risk"`
	Mode    string        `json:"mode"`
	Minutes int           `json:"minutes"`
	Restart string        `json:"restart"`
	Causes  []string      `json:"causes"`
	Chance  float64       `json:"chance"`
	Steps   []ShownChange `json:"steps"`
	Lead    []PlanLead    `json:"lead"`
	Course  *PlanCourse   `json:"course,omitempty"` // in the place of steps
}

// PlanLead is a sentence for a person, and what to paste.
type PlanLead struct {
	Text  string `json:"text"`
	Paste string `json:"paste,omitempty"`
}

// PlanLeftOut is a remedy that is no part of a plan.
type PlanLeftOut struct {
	ID  string `json:"id"`
	Why string `json:"why"`
}

// ShownChange is a change as people and programs get to see it.
type ShownChange struct {
	Kind    string `json:"kind"`
	Path    string `json:"path"`
	Name    string `json:"name,omitempty"`
	To      string `json:"to,omitempty"`
	Text    string `json:"text"`
	Undo    bool   `json:"undo"` // it can be taken back, or needs no taking back
	Restart bool   `json:"restart,omitempty"`
	Lease   int    `json:"lease,omitempty"` // minutes
}

// NewPlan makes the JSON form of a plan.
func NewPlan(p *repair.Plan) PlanDocument {
	d := PlanDocument{
		Schema: p.Schema, Run: p.Run, Hash: p.Hash(), Stage: string(p.Failure.Stage), Causes: p.Causes,
		Machine:    Machine{Name: p.Machine.Name, OS: p.Machine.OS, Build: p.Machine.Build, Arch: p.Machine.Arch, Source: p.Machine.Source},
		Treatments: []PlanTreatment{}, LeftOut: []PlanLeftOut{},
	}
	if p.Failure.Code != 0 {
		d.Code = p.Failure.Code.String()
	}
	for _, t := range p.Treatments {
		x := PlanTreatment{
			ID: t.ID, Title: RemedyTitle(t.ID), Risk: string(t.Risk), Mode: t.How, Minutes: t.Minutes, Restart: t.Restart,
			Causes: t.Causes, Chance: round(t.Chance), Steps: []ShownChange{}, Lead: []PlanLead{}, Course: newPlanCourse(t.Course),
		}
		for _, s := range t.Steps {
			c := Shown(s.Change)
			c.Undo = c.Undo || len(s.Undo) > 0 || s.Lasting != ""
			c.Restart, c.Lease = s.Restart, s.Lease
			x.Steps = append(x.Steps, c)
		}
		for _, l := range t.Lead {
			x.Lead = append(x.Lead, PlanLead{Sentence(l), WithoutPasswords(l.Paste)})
		}
		d.Treatments = append(d.Treatments, x)
	}
	for _, l := range p.LeftOut {
		d.LeftOut = append(d.LeftOut, PlanLeftOut{l.ID, Sentence(l.Why)})
	}
	return d
}

// Shown is a change without its bytes.
func Shown(c host.Change) ShownChange {
	return ShownChange{
		Kind: string(c.Kind), Path: WithoutPasswords(c.Path), Name: WithoutPasswords(c.Name), To: WithoutPasswords(c.To),
		Text: ChangeText(c), Undo: c.Kind != host.Run || c.Looks(),
	}
}

// ShownEvent is an event of a run.
type ShownEvent struct {
	Kind      string       `json:"kind"`
	Treatment string       `json:"treatment,omitempty"`
	Step      int          `json:"step,omitempty"`
	Steps     int          `json:"steps,omitempty"`
	About     string       `json:"about,omitempty"` // of an act of a course
	Change    *ShownChange `json:"change,omitempty"`
	Code      string       `json:"code,omitempty"`
	Err       string       `json:"error,omitempty"`
	Minutes   float64      `json:"minutes,omitempty"` // until it is tried again, or put back unless the machine is restarted
	Said      []string     `json:"said,omitempty"`    // of an install that was tried: what Windows says for it
	Against   []string     `json:"against,omitempty"` // and what against
	Text      string       `json:"text,omitempty"`
}

// NewEvent makes the JSON form of an event.
func NewEvent(e repair.Event) ShownEvent {
	out := ShownEvent{
		Kind: string(e.Kind), Treatment: e.Treatment, Step: e.Step, Steps: e.Steps, About: e.About, Err: WithoutPasswords(e.Err),
		Minutes: e.Wait.Minutes(), Text: EventText(e),
	}
	for _, l := range e.Said {
		out.Said = append(out.Said, Sentence(l))
	}
	for _, l := range e.Against {
		out.Against = append(out.Against, Sentence(l))
	}
	if e.Change != nil {
		c := Shown(*e.Change)
		out.Change = &c
	}
	if e.Code != 0 {
		out.Code = e.Code.String()
	}
	return out
}

// UndoneDocument is the JSON form of an undo.
type UndoneDocument struct {
	Kind      string          `json:"kind"` // undo
	Run       string          `json:"run"`
	Back      int             `json:"back"`
	Conflicts []ShownConflict `json:"conflicts"`
	Lasting   []string        `json:"lasting"`
	Kept      []string        `json:"kept"`
	Restart   bool            `json:"restart,omitempty"`
	Waiting   []ShownChange   `json:"waiting,omitempty"` // that stand until the Windows runs
}

// ShownConflict is a change that was left, because somebody made another since.
type ShownConflict struct {
	Treatment string        `json:"treatment"`
	Change    ShownChange   `json:"change"`
	Now       []ShownChange `json:"now"`
	Err       string        `json:"error,omitempty"`
}

// NewUndone makes the JSON form of an undo.
func NewUndone(run string, u repair.Undone) UndoneDocument {
	d := UndoneDocument{Kind: "undo", Run: run, Back: u.Back, Conflicts: []ShownConflict{}, Lasting: u.Lasting, Kept: u.Kept, Restart: u.Restart}
	for _, c := range u.Conflicts {
		x := ShownConflict{Treatment: c.Treatment, Change: Shown(c.Change), Now: []ShownChange{}, Err: WithoutPasswords(c.Err)}
		for _, now := range c.Now {
			x.Now = append(x.Now, Shown(now))
		}
		d.Conflicts = append(d.Conflicts, x)
	}
	for _, c := range u.Waiting {
		d.Waiting = append(d.Waiting, Shown(c.Change))
	}
	return d
}

// ShownRehearsal is how one step of a plan went on an overlay.
type ShownRehearsal struct {
	Treatment string        `json:"treatment"`
	Change    ShownChange   `json:"change"`
	So        bool          `json:"so,omitempty"` // it is so already
	Undo      []ShownChange `json:"undo"`
	Err       string        `json:"error,omitempty"`
}

// NewRehearsal makes the JSON form of a rehearsal.
func NewRehearsal(steps []repair.Rehearsed) []ShownRehearsal {
	out := []ShownRehearsal{}
	for _, s := range steps {
		x := ShownRehearsal{Treatment: s.Treatment, Change: Shown(s.Change), So: s.So, Undo: []ShownChange{}, Err: WithoutPasswords(s.Err)}
		for _, c := range s.Undo {
			x.Undo = append(x.Undo, Shown(c))
		}
		out = append(out, x)
	}
	return out
}
