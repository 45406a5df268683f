package repair

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"updoc/internal/host"
	"updoc/internal/sorted"
)

// Undone is what an undo did.
type Undone struct {
	Back      int        `json:"back"`              // changes that were taken back
	Conflicts []Conflict `json:"conflicts"`         // changes that were left, because somebody changed the same thing since
	Lasting   []string   `json:"lasting"`           // remedies of which something cannot be taken back
	Restart   bool       `json:"restart,omitempty"` // the next restart makes the rest of it
	Kept      []string   `json:"kept"`              // what Windows made since in the place of what was put back, and where it lies now
	Waiting   []Conflict `json:"waiting"`           // changes that stand, because this host cannot take them back: see Runner.Able
}

// Conflict is a change that was not taken back.
type Conflict struct {
	Treatment string        `json:"treatment"`
	Change    host.Change   `json:"change"` // what updoc had made
	Now       []host.Change `json:"now"`    // what is there now, and stays
	Err       string        `json:"error,omitempty"`
}

// Undo takes back what the run changed and what is not taken back yet, the last
// change first. What somebody changed since is left as it is and reported. An
// error leaves the rest for another Undo. A run that was not at its end ends so: who
// takes back what it did does not want it gone on with.
func (r *Runner) Undo(ctx context.Context) (Undone, error) {
	defer r.attend(ctx)()
	u := Undone{Conflicts: []Conflict{}, Lasting: []string{}, Kept: []string{}, Waiting: []Conflict{}}
	err := r.takeBack(ctx, func([2]int) bool { return true }, &u)
	if err == nil && r.Journal.progress().end == "" {
		err = r.end(Stopped)
	}
	return u, err
}

// Expired takes back the experiments whose time is over, for whoever comes first
// after the process that made them was killed.
func (r *Runner) Expired(ctx context.Context) (Undone, error) {
	defer r.attend(ctx)()
	u := Undone{Conflicts: []Conflict{}, Lasting: []string{}, Kept: []string{}, Waiting: []Conflict{}}
	now, begun := r.Now(), r.Journal.progress().begun
	return u, r.takeBack(ctx, func(at [2]int) bool {
		return !begun[at].Until.IsZero() && now.After(begun[at].Until)
	}, &u)
}

// takeBack undoes the chosen changes, last first; u may be nil.
func (r *Runner) takeBack(ctx context.Context, chosen func([2]int) bool, u *Undone) error {
	if u == nil {
		u = &Undone{}
	}
	plan, p := r.Journal.Plan(), r.Journal.progress()
	var list []Entry
	for at, e := range p.begun {
		if chosen(at) {
			list = append(list, e)
		}
	}
	sorted.By(list, func(a, b Entry) int { return b.Seq - a.Seq })
	left := len(u.Waiting)
	for i, e := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(u.Waiting) > left && i > 0 && list[i-1].Treatment == e.Treatment && slices.ContainsFunc(list[i-1].Undo, host.ByPerson) {
			continue // what stands in for something that is off stays until that is on
		}
		if e.Treatment < 0 || e.Treatment >= len(plan.Treatments) {
			return fmt.Errorf("undo: %w: entry %d names no treatment of the plan", ErrJournal, e.Seq)
		}
		t := plan.Treatments[e.Treatment]
		s, ok := t.stepOf(e)
		if !ok {
			return fmt.Errorf("undo: %w: entry %d names no step of the plan", ErrJournal, e.Seq)
		}
		if err := r.undo(ctx, e, t, s, u); err != nil {
			return err
		}
	}
	return nil
}

// undo takes one change back, unless somebody made another since.
func (r *Runner) undo(ctx context.Context, e Entry, t Treatment, s Step, u *Undone) error {
	ev := Event{Treatment: t.ID, Step: e.Step + 1, Steps: len(t.Steps), Change: &s.Change}
	patient := ctx // which ends the waiting for a person, and no change that was begun
	ctx = context.WithoutCancel(ctx)
	if len(e.Undo) == 0 {
		if s.Lasting == "" && !s.Change.Looks() && !slices.Contains(u.Lasting, t.ID) {
			u.Lasting = append(u.Lasting, t.ID)
		}
		// Nothing is taken back, and nobody is told that something was.
		return r.Journal.Append(Entry{Kind: EntryUndone, Treatment: e.Treatment, Step: e.Step}, r.Now())
	}
	if r.Able != nil && slices.ContainsFunc(e.Undo, func(c host.Change) bool { return !r.Able(c) }) {
		u.Waiting = append(u.Waiting, Conflict{Treatment: t.ID, Change: s.Change})
		return nil
	}
	back := func(now []host.Change, err error) error {
		c := Conflict{Treatment: t.ID, Change: s.Change, Now: now}
		entry := Entry{Kind: EntryConflict, Treatment: e.Treatment, Step: e.Step, After: now}
		if err != nil {
			c.Err, entry.Err, ev.Err = err.Error(), err.Error(), err.Error()
		}
		u.Conflicts = append(u.Conflicts, c)
		return r.write(entry, ev)
	}
	// A done says how it was left. After a begin alone, or an undo that was cut off,
	// whatever is there now is updoc's own half.
	if e.Kind == EntryDone && len(e.After) > 0 && !s.Change.Passing() && !s.Anew {
		now, err := r.Host.Inverse(ctx, s.Change)
		switch {
		case err != nil:
			return back(nil, err)
		case !host.Same(now, e.After) && !host.Same(now, e.Undo):
			return back(now, nil)
		}
	}
	for _, c := range e.Undo {
		if err := c.Check(); err != nil {
			return back(nil, err)
		}
	}
	if e.Kind != EntryUndoing {
		if err := r.write(Entry{Kind: EntryUndoing, Treatment: e.Treatment, Step: e.Step}, ev); err != nil {
			return err
		}
	}
	for _, c := range e.Undo {
		err := r.byPerson(patient, c, ev)
		switch over := r.Now().Sub(e.Until) > reminders; {
		case errors.Is(err, host.ErrPerson) && over && !e.Until.IsZero():
			return back(nil, err)
		case errors.Is(err, host.ErrPerson):
			u.Waiting = append(u.Waiting, Conflict{Treatment: t.ID, Change: s.Change})
			return r.write(Entry{Kind: EntryOff, Treatment: e.Treatment, Step: e.Step}, ev)
		case err == nil:
			err = r.Host.Apply(ctx, c)
		}
		if errors.Is(err, host.ErrRestart) {
			u.Restart, err = true, nil
		}
		if drops := c.Kind == host.FolderDrop || c.Kind == host.KeyDrop; drops && errors.Is(err, host.ErrInTheWay) {
			return back(nil, err) // what somebody put into it is not updoc's to take away
		}
		if c.Kind == host.Switch && errors.Is(err, host.ErrNotExist) {
			return back(nil, err) // what was switched is gone: its program took it away
		}
		if err != nil {
			return fmt.Errorf("undo %s, step %d: %s %s: %w", t.ID, e.Step+1, c.Kind, c.Path, err)
		}
		if since := c.Path + host.Since; c.Kind == host.Restore && r.exists(ctx, since) {
			u.Kept = append(u.Kept, since)
		}
	}
	u.Back++
	return r.write(Entry{Kind: EntryUndone, Treatment: e.Treatment, Step: e.Step}, ev)
}

// exists reports whether a file or folder is there.
func (r *Runner) exists(ctx context.Context, path string) bool {
	c := host.Change{Kind: host.FolderMake, Path: path}
	now, err := r.Host.Inverse(ctx, c)
	return errors.Is(err, host.ErrInTheWay) || err == nil && host.Same(now, []host.Change{c})
}
