package repair

import (
	"context"
	"errors"
	"time"

	"updoc/internal/host"
)

// How long a person has for what they were just asked to do, and how often it is looked
// whether they did it.
const (
	personTries = 60
	personPause = 5 * time.Second
)

// reminders is for how long it is said, after the time of an experiment is over, that
// something is off still. Then it is taken for what the person wants.
const reminders = 24 * time.Hour

// EventPerson is an Event without an entry: a person is asked to make a change, and updoc
// looks whether they did.
const EventPerson EntryKind = "person"

// byPerson has a change made that a person alone makes, and waits until they did, so that
// what follows is done at once. The error is [host.ErrPerson] if they did not. Other
// changes are not made here.
func (r *Runner) byPerson(ctx context.Context, c host.Change, ev Event) error {
	if !host.ByPerson(c) {
		return nil
	}
	err := r.Host.Apply(ctx, c)
	if errors.Is(err, host.ErrPerson) && r.Tell != nil && r.Approve != nil {
		ev.Kind, ev.Change = EventPerson, &c
		r.Tell(ev)
	}
	for n := 0; errors.Is(err, host.ErrPerson) && r.Approve != nil && n < personTries; n++ {
		if serr := r.sleep(ctx, personPause); serr != nil {
			return serr
		}
		err = r.Host.Apply(ctx, c)
	}
	return err
}

// Off are the things that a person switched off for an attempt, as far as the journal
// knows, and that are to be on again.
func (j *Journal) Off() []host.Change {
	var out []host.Change
	for _, e := range j.progress().begun {
		for _, c := range e.Undo {
			if host.ByPerson(c) {
				out = append(out, c)
			}
		}
	}
	return out
}
