// Package elevate lets a page that runs with a person's own rights have a machine
// repaired by a process that has an administrator's. The two talk over a pipe.
//
// The process with the rights takes nothing from the other that says what to change.
// It looks at the machine itself, plans itself, and carries out a plan only if it is
// told the hash of exactly that one: what a person saw and agreed to. The worst that
// whoever gets hold of the other end can do is what this person could have agreed to.
package elevate

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"updoc/internal/repair"
	"updoc/internal/ui"
)

// What may be asked for. There is no other word in the language.
const (
	doExamine = "examine" // look, plan, and answer with both
	doFix     = "fix"     // carry out the plan with a hash
	doResume  = "resume"  // go on with a run
	doUndo    = "undo"    // take a run back
	doRuns    = "runs"    // list the runs
	doRun     = "run"     // read one
	doRestart = "restart" // restart the machine
	doNext    = "next"    // an event was taken
	doAnswer  = "answer"  // of a question
	doStop    = "stop"    // what is being done, after the change that is being made
)

// request is all that the process with the rights ever reads.
type request struct {
	Do   string `json:"do"`
	Hash string `json:"hash,omitempty"` // fix: of the plan
	Run  string `json:"run,omitempty"`  // resume, undo, run: its name
	Yes  bool   `json:"yes,omitempty"`  // answer
}

// reply is what it says. Work, Event and Ask come before the reply that ends a
// request, which has Done.
type reply struct {
	Work  *ui.Work          `json:"work,omitempty"`
	Event *repair.Event     `json:"event,omitempty"` // waits for a doNext
	Ask   *repair.Treatment `json:"ask,omitempty"`   // waits for a doAnswer

	Done    bool             `json:"done,omitempty"`
	Err     string           `json:"err,omitempty"`
	Kind    string           `json:"kind,omitempty"` // of Err: see kinds
	Patient *ui.Patient      `json:"patient,omitempty"`
	Result  repair.Result    `json:"result,omitempty"`
	Undone  *repair.Undone   `json:"undone,omitempty"`
	Runs    []repair.Summary `json:"runs,omitempty"`
	Run     *ui.Run          `json:"run,omitempty"`
}

// kinds are the errors that mean the same at both ends.
var kinds = map[string]error{"now": ui.ErrNow, "gone": ui.ErrGone, "busy": ui.ErrBusy, "plan": ui.ErrPlan, "not-allowed": ui.ErrNotAllowed}

func (r *reply) fail(err error) {
	r.Err = err.Error()
	for name, kind := range kinds {
		if errors.Is(err, kind) {
			r.Kind = name
		}
	}
}

func (r *reply) error() error {
	switch {
	case r.Err == "":
		return nil
	case kinds[r.Kind] != nil:
		return fmt.Errorf("%w: %s", kinds[r.Kind], r.Err)
	}
	return errors.New(r.Err)
}

const (
	maxRequest = 1 << 10
	maxReply   = 64 << 20 // a diagnosis quotes many lines
)

// wire is one end of the pipe: a JSON value a line. Values are sent one at a time,
// whoever sends them.
type wire struct {
	rw io.ReadWriter
	in *bufio.Scanner
	mu sync.Mutex
}

func newWire(rw io.ReadWriter, most int) *wire {
	in := bufio.NewScanner(rw)
	in.Buffer(make([]byte, 0, 1<<10), most)
	return &wire{rw: rw, in: in}
}

func (w *wire) send(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.rw.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	return nil
}

// errClosed says that the other end is gone.
var errClosed = errors.New("pipe: the other end is gone")

func (w *wire) receive(v any) error {
	if !w.in.Scan() {
		if err := w.in.Err(); err != nil {
			return fmt.Errorf("pipe: %w", err)
		}
		return errClosed
	}
	if err := json.Unmarshal(w.in.Bytes(), v); err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	return nil
}
