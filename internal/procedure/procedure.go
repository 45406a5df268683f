// Package procedure says what a strong cure is: work of many steps and restarts, each
// of which depends on how the earlier ones went. The component store is repaired from
// one source after the other; a program that interferes is found by halving.
//
// A procedure is pure. What it wants next follows from what was done so far, and what
// was done stands in the journal of its run; so after a kill, a restart or a year it is
// built anew from the plan's data, given the journal, and goes on where it was. It
// touches nothing: repair's runner makes each act under the journal, and holds it to
// the bounds that were approved.
//
// What comes of an act is for the procedure to decide about, whether it went well or
// not: a change that could not be made is taken back before the procedure hears of
// it, a tool that ended with an error has its code in [Done]. Only a procedure that
// goes beyond its bounds is ended, and all that it did is taken back.
//
// A procedure belongs to a plan as a name and JSON (repair.Course); a room that has
// one offers
//
//	func Decode(data json.RawMessage) (procedure.Procedure, error)
//
// for repair's table, and refuses there what it would not have written itself: the
// data comes out of a journal.
package procedure

import (
	"encoding/json"
	"slices"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/message"
)

// Procedure is a cure whose steps follow from each other.
type Procedure interface {
	// Bounds is all that it may ever do, known before it begins: what is shown, what is
	// approved, and what each act is held to.
	Bounds() Bounds
	// Next is the next act after what was done, in order; false once it is over. It
	// depends on nothing else, and it comes to an end.
	Next(done []Done) (Act, bool)
	// Story tells what was found and done, so far or in the end.
	Story(done []Done) []message.Line
}

// Bounds is what a procedure may do.
type Bounds struct {
	// Changes are all that it may make, in any order and as often as it likes. Taking
	// one back is always allowed.
	Changes []host.Change `json:"changes,omitempty"`
	Fetches []Fetch       `json:"fetches,omitempty"`
	Asks    []string      `json:"asks,omitempty"` // names of questions
	Tries   bool          `json:"tries,omitempty"`

	Acts     int `json:"acts"`               // at most
	Restarts int `json:"restarts,omitempty"` // at most
	Minutes  int `json:"minutes"`            // as a rule, for the whole

	// Passing says that every change is taken back when it is over, however it ends:
	// it finds out, and does not stay. What was found is then shown, if a [Act.Try]
	// worked while a change stood; it is a cure if it was the install that worked. Of
	// others the changes stay, and the stage that failed is tried again afterwards.
	Passing bool `json:"passing,omitempty"`
	// Lease is after how many minutes without an act the machine takes them back by
	// itself, and the procedure is over: Passing has one, others have none.
	Lease int `json:"lease,omitempty"`
}

// Act is one thing to do: one of Change, Back, Fetch, Ask, Try, or nothing but a
// Restart. Acts are numbered from 0 in the order in which they were asked for.
type Act struct {
	// About names the sentence "procedure.ABOUT" that a person reads while it goes on.
	About string            `json:"about,omitempty"`
	Args  map[string]string `json:"args,omitempty"`

	// Change is made, with what takes it back in the journal before it.
	Change *host.Change `json:"change,omitempty"`
	// Back takes back what the act of that number changed or fetched, to the byte. Where
	// nothing of it stands any more, nothing is done. It fails where a later act changed
	// the same thing, which has to go back first, and where somebody else did: then what
	// they made stays.
	Back  *int           `json:"back,omitempty"`
	Fetch *Fetch         `json:"fetch,omitempty"` // a file is brought; an undo takes it away, unless it was there before
	Ask   *host.Question `json:"ask,omitempty"`   // the machine is asked; the answer is in Done
	Try   bool           `json:"try,omitempty"`   // the stage that failed is repeated; the outcome is in Done

	// Restart says that the machine has to be restarted after this act and before the
	// next, however the act went. A change that answers [host.ErrRestart] asks for the
	// same, and counts towards [Bounds.Restarts].
	Restart bool `json:"restart,omitempty"`
}

// Fetch is a file from the network, whose content is known beforehand.
type Fetch struct {
	URL    string `json:"url"`
	To     string `json:"to"`   // full path on the machine
	Size   int64  `json:"size"` // bytes; 0 unknown
	SHA256 string `json:"sha256,omitempty"`
	SHA1   string `json:"sha1,omitempty"` // hex; where there is no SHA-256
}

// Done is an act and what came of it. After a kill the journal may know less of the
// last act than the machine: it is made again, so that one act may have been tried
// twice and is told once.
type Done struct {
	Act     Act             `json:"act"`
	Began   time.Time       `json:"began"`
	Ended   time.Time       `json:"ended"`
	Skipped bool            `json:"skipped,omitempty"` // what the change asks for was so already
	Err     string          `json:"err,omitempty"`     // it could not be done
	Code    codes.HRESULT   `json:"code,omitzero"`     // of Err; a tool's exit code
	Answer  json.RawMessage `json:"answer,omitempty"`  // of Ask
	Outcome *host.Outcome   `json:"outcome,omitempty"` // of Try
	Started time.Time       `json:"started,omitzero"`  // after a restart: when the machine was started
}

// OK reports that the act was done.
func (d Done) OK() bool { return d.Err == "" }

// Failed reports that an attempt was made and failed; false is no cure: it may not
// have been possible to try.
func (d Done) Failed() bool {
	return d.Outcome != nil && d.Outcome.Result.Failed() && !d.Outcome.Result.Benign()
}

// Worked reports that an attempt was made and ended well.
func (d Done) Worked() bool { return d.Outcome != nil && !d.Failed() }

// Allows reports whether an act keeps to the bounds; n is how many came before it, and
// restarts how many of these had one.
func (b Bounds) Allows(a Act, n, restarts int) bool {
	kinds := 0
	for _, is := range []bool{a.Change != nil, a.Back != nil, a.Fetch != nil, a.Ask != nil, a.Try} {
		if is {
			kinds++
		}
	}
	switch {
	case n >= b.Acts, kinds > 1, kinds == 0 && !a.Restart, a.Restart && restarts >= b.Restarts:
		return false
	case a.Change != nil:
		return slices.ContainsFunc(b.Changes, func(c host.Change) bool { return host.Same([]host.Change{c}, []host.Change{*a.Change}) })
	case a.Back != nil:
		return 0 <= *a.Back && *a.Back < n
	case a.Fetch != nil:
		return slices.Contains(b.Fetches, *a.Fetch)
	case a.Ask != nil:
		return slices.Contains(b.Asks, a.Ask.Name)
	case a.Try:
		return b.Tries
	}
	return true
}
