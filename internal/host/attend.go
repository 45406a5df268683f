package host

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Attendant does for a machine what a treatment needs around it: updoc is started
// again by itself, the machine stays awake, and what was done stands in the
// machine's own log.
type Attendant interface {
	// Schedule has the machine start updoc by itself, in the place of the task of the
	// same name if there is one.
	Schedule(ctx context.Context, t Task) error
	// Unschedule takes a task away; that there is none is no error.
	Unschedule(ctx context.Context, name string) error
	// Scheduled returns a task, or [ErrNotExist].
	Scheduled(ctx context.Context, name string) (Task, error)
	// Awake keeps the machine from going to sleep until release is called or the
	// process ends.
	Awake(why string) (release func(), err error)
	// Note writes an entry into the machine's event log.
	Note(ctx context.Context, n Note) error
	// Account is the security identifier of the user whose registry HKCU is.
	Account() (string, error)
}

// Reminder is a machine that can put a few words before whoever sits at it.
type Reminder interface {
	Remind(ctx context.Context, text string) error
}

// The tasks of updoc.
const (
	TaskResume = "updoc resume" // goes on with a run, or ends an experiment
	TaskCheck  = "updoc check"  // looks, once a month
)

// Task is when the machine starts updoc by itself, as its own system account and
// without a window.
type Task struct {
	Name    string    `json:"name"`
	About   string    `json:"about"`   // for people who find it
	Program string    `json:"program"` // full path of the program
	Args    []string  `json:"args,omitempty"`
	AtStart bool      `json:"atStart,omitempty"` // at every start of the machine
	At      time.Time `json:"at,omitzero"`       // and then, and every ten minutes from then on
	Monthly int       `json:"monthly,omitempty"` // and on that day of each month, 1 to 28
}

// Check refuses a task that updoc never makes.
func (t Task) Check() error {
	bad := func(why string) error { return fmt.Errorf("task %q: %w: %s", t.Name, ErrRefused, why) }
	switch {
	case t.Name != TaskResume && t.Name != TaskCheck:
		return bad("not a task of updoc")
	case !localPath(t.Program):
		return bad("no full path of a program")
	case !t.AtStart && t.At.IsZero() && t.Monthly == 0:
		return bad("never")
	case t.Monthly < 0 || t.Monthly > 28:
		return bad("no day of every month")
	}
	for _, a := range t.Args {
		if a == "" || strings.ContainsFunc(a, func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7F }) {
			return bad("an argument that would have to be quoted")
		}
	}
	return nil
}

// Note is an entry of the event log.
type Note struct {
	ID    uint32 `json:"id"`
	Level Level  `json:"level"`
	Text  string `json:"text"`
}

// Level says how much a note matters.
type Level string

// The levels, those of the event log.
const (
	Info    Level = "information"
	Warning Level = "warning"
	Error   Level = "error"
)

// The numbers of updoc's notes. They never change their meaning.
const (
	NoteBegin  uint32 = 1 // a run begins, or is gone on with
	NoteChange uint32 = 2 // a change is about to be made
	NoteFailed uint32 = 3 // one could not be made
	NoteTried  uint32 = 4 // the stage that failed was tried again
	NoteResult uint32 = 5 // how the run ended, or why it waits
	NoteUndone uint32 = 6 // a change was taken back
	NoteLeft   uint32 = 7 // one was not, since somebody changed the same thing
	NoteCheck  uint32 = 8 // what the monthly check found
	NoteOff    uint32 = 9 // what a person switched off for an attempt is off still
)
