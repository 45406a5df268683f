package repair

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"updoc/internal/durable"
	"updoc/internal/host"
	"updoc/internal/sorted"
)

// Summary is one run, for a list of them.
type Summary struct {
	Run      string    `json:"run"`
	Began    time.Time `json:"began"`
	Last     time.Time `json:"last"`             // when its last entry was written
	Result   Result    `json:"result,omitempty"` // "" if it was not carried to its end
	Causes   []string  `json:"causes"`
	Helped   string    `json:"helped,omitempty"` // the remedy after which it worked
	Course   string    `json:"course,omitempty"` // that is all of its plan, see Plan.Only
	Showed   string    `json:"showed,omitempty"` // the experiment that showed the cause
	Standing int       `json:"standing"`         // changes that were not taken back
	Undoable int       `json:"undoable"`         // of these, the ones that an undo takes back
	Wakes    bool      `json:"wakes,omitempty"`  // it is gone on with by itself, see Journal.Wakes
	WakeAt   time.Time `json:"wakeAt,omitzero"`
	Story    []Told    `json:"-"`               // what its courses tell
	Off      []string  `json:"off,omitempty"`   // what a person switched off for an attempt and is to be on again, as settings
	Err      string    `json:"error,omitempty"` // the journal cannot be read
}

// Summary tells a journal in short.
func (j *Journal) Summary() Summary {
	p, plan := j.progress(), j.Plan()
	s := Summary{
		Run: plan.Run, Began: j.entries[0].Time, Last: j.entries[len(j.entries)-1].Time,
		Result: p.end, Causes: plan.Causes, Course: plan.Only(),
	}
	for at, e := range p.begun {
		if plan.looks(at, e) {
			continue
		}
		s.Standing++
		if slices.ContainsFunc(e.Undo, func(c host.Change) bool { return !host.Mounts(c) }) {
			s.Undoable++
		}
	}
	s.Wakes, s.WakeAt = j.Wakes()
	s.Story = j.Story()
	for _, c := range j.Off() {
		s.Off = append(s.Off, c.Path)
	}
	for i, e := range p.tried {
		if i >= len(plan.Treatments) {
			continue
		}
		switch proved(e, plan.Treatments[i]) {
		case Cured:
			s.Helped = plan.Treatments[i].ID
		case Shown:
			s.Showed = plan.Treatments[i].ID
		}
	}
	return s
}

// Lasting is how many of the standing changes an undo leaves.
func (s Summary) Lasting() int { return s.Standing - s.Undoable }

// looks reports a change that was begun and leaves nothing.
func (p *Plan) looks(at [2]int, e Entry) bool {
	if c := changeOf(e); len(c) > 0 {
		return c[0].Looks()
	}
	if at[0] < 0 || at[0] >= len(p.Treatments) || at[1] < 0 || at[1] >= len(p.Treatments[at[0]].Steps) {
		return false
	}
	return p.Treatments[at[0]].Steps[at[1]].Change.Looks()
}

// History lists the runs in a state directory, the newest first. A journal that
// cannot be read is listed with the reason.
func History(fsys durable.FS, dir string) ([]Summary, error) {
	names, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return []Summary{}, nil
	}
	if err != nil {
		return nil, err
	}
	out := []Summary{}
	for _, name := range names {
		if !validRun(name) {
			continue
		}
		j, err := OpenJournal(fsys, filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist): // a run that never began
		case err != nil:
			out = append(out, Summary{Run: name, Causes: []string{}, Err: err.Error()})
		default:
			out = append(out, j.Summary())
		}
	}
	sorted.By(out, func(a, b Summary) int { return b.Began.Compare(a.Began) })
	return out, nil
}
