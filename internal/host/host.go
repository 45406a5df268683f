// Package host says what a machine is to updoc: something that answers
// questions. A live Windows, a recorded bundle and a simulated machine answer
// the same ones, so one diagnosis serves them all.
//
// Three answers are kept apart everywhere: a value, "there is no such thing"
// ([ErrNotExist]) and "nobody looked" ([ErrNotRecorded], [ErrDenied]). What was
// not recorded is a gap, never an absence.
package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"updoc/internal/winlog"
)

// The answers that are not a value. Test with errors.Is.
var (
	ErrNotExist    = errors.New("does not exist")
	ErrNotRecorded = errors.New("not recorded")
	ErrDenied      = errors.New("access denied")
)

// Reader answers questions about a machine. Implementations are safe for
// concurrent use.
type Reader interface {
	// Machine says what can be said at once; empty fields are unknown.
	Machine(ctx context.Context) (Machine, error)
	// Key returns a registry key. Paths begin with HKLM, HKCU, HKU or HKCR and
	// are matched without regard to case.
	Key(ctx context.Context, path string) (Key, error)
	// Files lists what matches a pattern of path.Match, applied to the base name
	// without regard to case.
	Files(ctx context.Context, pattern string) ([]File, error)
	// Open opens a file that Files listed.
	Open(ctx context.Context, f File) (io.ReadCloser, error)
	// Service returns one service.
	Service(ctx context.Context, name string) (Service, error)
	// Ask answers what is none of the above; the answer is JSON whose shape
	// belongs to the question.
	Ask(ctx context.Context, q Question) (Answer, error)
}

// Machine is what a report says in its head. Empty means unknown.
type Machine struct {
	Name   string // computer name
	OS     string // "Windows 11 Pro 23H2"
	Build  string // "22631.3007", or "22631"
	Arch   string // amd64, arm64, 386
	Source string // live, bundle, lab
}

// Key is a registry key as one source saw it.
type Key struct {
	Path    string
	Values  []winlog.RegValue
	Subkeys []string
	Source  string // where it was read: "policies.reg:12"
	// Partial: the source holds some of the key only (an export of single
	// values), so a value that is missing here is unknown, not absent.
	Partial bool
}

// Value returns the named value; the default value has the name "".
func (k Key) Value(name string) (winlog.RegValue, bool) {
	for _, v := range k.Values {
		if equalFold(v.Name, name) {
			return v, true
		}
	}
	return winlog.RegValue{}, false
}

// File is one file of the machine, as listed.
type File struct {
	Path     string // as found: "evidence.zip/Windows/Logs/CBS/CBS.log"
	Size     int64  // bytes, -1 if unknown before reading
	Modified time.Time
	Kind     winlog.Kind
	open     func() (io.ReadCloser, error)
}

// Service is one Windows service. State and Start are the numbers of the
// Service Control Manager (learn.microsoft.com: SERVICE_STATUS, QUERY_SERVICE_CONFIG);
// -1 is unknown.
type Service struct {
	Name    string
	State   int // 1 stopped, 2 start pending, 3 stop pending, 4 running
	Start   int // 0 boot, 1 system, 2 automatic, 3 manual, 4 disabled
	Exit    uint32
	Account string
	Binary  string
	Source  string

	// Settings is where Start, Account and Binary were read if it is another place
	// than Source: sc query tells the state, sc qc the rest.
	Settings string

	// Needs are the services that have to run before it, and groups, which have a +
	// before them; nil is unknown, and none is an empty list.
	Needs []string `json:",omitzero"`

	// What only a running service control manager knows.
	Delayed  bool   // automatic, but some minutes after the start of the machine
	Triggers int    // events that start or stop it
	Process  uint32 // in which it runs; 0: none
}

// ConfiguredIn is where Start, Account and Binary were read.
func (s Service) ConfiguredIn() string { return cmp.Or(s.Settings, s.Source) }

// Question names something to ask; Args narrow it down.
type Question struct {
	Name string            `json:"name"`
	Args map[string]string `json:"args,omitempty"`
}

// Answer is the recorded reply to a Question.
type Answer struct {
	JSON   json.RawMessage
	Source string
}
