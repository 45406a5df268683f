// Package ui is what a page and a terminal have in common: what they may ask of updoc
// (a [Doctor]), and where a visit stands (a [Session]). It draws nothing and decides
// nothing. Who draws takes a [State], which is a value, and waits for the next one.
package ui

import (
	"context"
	"errors"
	"io"
	"time"

	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/repair"
	"updoc/internal/report"
)

// Doctor is what a person can ask of updoc. Calls that change the machine are made one
// at a time; the others may be made at any time.
type Doctor interface {
	// Examine looks at the machine and plans its cure. It changes nothing. The plan that
	// it made last is the one that Fix may be asked for.
	Examine(ctx context.Context, tell func(Work)) (*Patient, error)
	// Open looks in the same way at what another machine wrote, in files that somebody
	// handed over: one bundle, or loose files of one machine.
	Open(ctx context.Context, paths []string, tell func(Work)) (*Patient, error)
	// Explain says what the codes in a text mean. An error says that there are none.
	Explain(text string) (*report.Explanations, error)

	// Fix carries out a plan that was shown, or goes on with a run. ErrBusy: another
	// updoc is at work; ErrPlan: the machine is not as it was when the plan was made.
	Fix(ctx context.Context, o Order, w Watch) (repair.Result, error)
	// Undo takes a run back.
	Undo(ctx context.Context, run string, tell func(repair.Event)) (repair.Undone, error)
	// Runs lists the runs on the machine, the newest first.
	Runs(ctx context.Context) ([]repair.Summary, error)
	// Run reads one of them.
	Run(ctx context.Context, run string) (*Run, error)

	// Pack prepares the bundle that is sent to somebody who helps.
	Pack(ctx context.Context, keepHosts bool, tell func(Work)) (*Pack, error)
}

// OfCourse is a sentence in the words of the course that is all of a plan, see
// [repair.Plan.Only], if it has its own.
func OfCourse(words *message.Catalog, id, course string, args ...any) string {
	if own := id + "." + course; course != "" && words.Has(own) {
		id = own
	}
	return words.Text(id, args...)
}

// Restarter is a Doctor that can restart the machine. Who is none tells the person to.
type Restarter interface {
	Restart(ctx context.Context) error
}

// Admitter is a Doctor that knows of a machine's runs only with an administrator's rights.
type Admitter interface {
	// Admit asks the person for them, where they are not there yet.
	Admit(ctx context.Context) error
}

// Returner has a visit come back by itself after the machine was restarted.
type Returner interface {
	// ComeBack has it begin again, at a run, when this person signs in next.
	ComeBack(ctx context.Context, run string) error
	// Stay takes that back.
	Stay(ctx context.Context) error
}

// Why the machine is not treated. Test with errors.Is.
var (
	ErrBusy       = errors.New("another updoc is repairing this machine")
	ErrPlan       = errors.New("the machine has changed since the plan was made")
	ErrNotAllowed = errors.New("not allowed")
	ErrPlace      = errors.New("others may change this program where it lies")
)

// Order says what is to be carried out: the plan with a hash, which is exactly what a
// person saw, or what is left of a run.
type Order struct {
	Hash string
	Run  string
}

// Watch is who is asked and told while a plan is carried out.
type Watch struct {
	// Ask puts a treatment before a person, who alone may say that it is done: it needs
	// their hands or their word, or it cannot be taken back.
	Ask func(context.Context, repair.Treatment) (bool, error)
	// Tell is told what happens, in order. The run waits until it returns.
	Tell func(repair.Event)
	// Work is told how far a tool of Windows has come.
	Work func(Work)
	// Begin is told the plan that is carried out, where it is not the one that was shown
	// but one of the same substance, which calls its run by another name. nil: nobody asks.
	Begin func(*repair.Plan)
}

// Work is how far something has come that takes its time.
type Work struct {
	What string // an id of the message catalogue, "ui.work.read", or what a tool of Windows calls it
	// Done of Total: bytes, requests, percent. Total 0: nobody knows.
	Done, Total int64
	Left        time.Duration // 0: not known
	Stage       string        // of a tool, see [host.Work]; "": not known
	Still       time.Duration // how long nothing has moved, see [host.Work]; 0: something does
}

// Patient is a machine that was looked at.
type Patient struct {
	Doc  *report.Document
	Plan *repair.Plan
	Hash string    // of the plan
	When time.Time // it was looked at
}

// Run is a run as its journal tells it.
type Run struct {
	repair.Summary
	Plan    *repair.Plan
	Entries []repair.Entry
	Told    []repair.Told // what its courses tell
}

// Pack is a bundle that can be written.
type Pack struct {
	Preview   host.Preview
	KeepHosts bool
	Name      string // of the file: "updoc-20310203-120000.zip"
	// Write writes the bundle, as often as it is asked to, and returns what came of it.
	Write func(ctx context.Context, w io.Writer, tell func(Work)) (Packed, error)
}

// Packed is a bundle that was written.
type Packed struct {
	Name     string
	Bytes    int64
	SHA256   string // hexadecimal
	Note     string // the covering note
	Replaced []host.Replaced
	Files    int
}
