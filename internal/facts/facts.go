// Package facts turns what a machine answered into what can be reasoned about:
// failures, recognised log signatures, settings with the place they were read.
//
// Collect never fails. What could not be read is a [Gap]; what was not recorded
// is unknown, and unknown is never absent.
package facts

import (
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/route"
	"updoc/internal/winlog"
)

// State is the answer to "is it so?".
type State uint8

// The three answers.
const (
	Unknown State = iota
	Absent
	Present
)

// Fact is a value with its state and the place it was read.
type Fact[T any] struct {
	State  State
	Value  T
	Source string // "policies.reg:12", "netsh-winhttp-show-proxy.txt", a registry path, an API
}

// Known reports whether somebody looked.
func (f Fact[T]) Known() bool { return f.State != Unknown }

// Stage is where in an update's life something happens.
type Stage string

// The stages in order; StageAny stands in tables only.
const (
	StageAny      Stage = "any"
	StageScan     Stage = "scan"
	StageDownload Stage = "download"
	StageVerify   Stage = "verify"
	StageInstall  Stage = "install"
	StageRestart  Stage = "restart"
	StageSetup    Stage = "setup"
)

// FailureKind says what kind of trouble a failure is.
type FailureKind string

// The kinds. All but KindError may come without a code.
const (
	KindError       FailureKind = "error"
	KindNotOffered  FailureKind = "not-offered"
	KindStuck       FailureKind = "stuck"
	KindReverted    FailureKind = "reverted"
	KindReinstalls  FailureKind = "reinstalls"
	KindRestartLoop FailureKind = "restart-loop"
	KindNoBoot      FailureKind = "no-boot"
)

// Update names what was being installed; any part may be empty.
type Update struct{ Title, KB, ID string }

// Failure is one observed trouble.
type Failure struct {
	Kind        FailureKind
	Code        codes.HRESULT // 0 if there is none
	Extend      uint32        // setup extend code, 0 if there is none
	Stage       Stage
	Update      Update
	First, Last time.Time // zero if unknown
	Count       int
	Seen        []Seen  // the telling lines, first ones first, a few at most
	Weight      float64 // 0..1: how much this failure is what the person suffers from
	Resolved    bool    // the same thing succeeded later
	Consequence bool    // follows from another failure seen before it
}

// Seen is a piece of evidence: the very line, and where it stands.
type Seen struct {
	Source string // "CBS.log:17"
	Text   string // the line, bounded, as read (not yet escaped or redacted)
	Time   time.Time
	Code   codes.HRESULT

	Dismissed bool // a note says that this was tried in vain, or is not to blame
}

// Gap is something that was not looked at, with the reason.
type Gap struct{ Source, Why string }

// Source is one file that was read.
type Source struct {
	Path  string
	Kind  winlog.Kind
	Stats winlog.Stats
	// Harmless counts the failing results in it that healthy machines write too, each
	// line once (noise.tsv).
	Harmless int
}

// Facts is all that is known about a machine. The zero value knows nothing.
type Facts struct {
	Machine  host.Machine
	Failures []Failure // the telling ones first
	Gaps     []Gap
	Sources  []Source

	settled bool // all that failed ended well later

	marks    map[string][]Seen      // recognised signatures by id
	codes    map[codes.HRESULT]Seen // where a failing code was seen, noise left out
	registry registryReader
	services map[string]Fact[host.Service] // by lower-case name
	events   map[string]Fact[bool]         // by lower-case name: whether sc listed what starts or stops it

	Hosts     Fact[[]HostsLine]                // the hosts file
	HostsText []byte                           // the same as it is; nil if it is not known, or too large to be changed
	WinHTTP   Fact[winlog.WinHTTPProxy]        // the machine's WinHTTP proxy
	Filters   Fact[[]winlog.Filter]            // loaded file system filter drivers
	Network   Fact[winlog.IPConfiguration]     // adapters, name servers, tunnels
	Device    Fact[winlog.DeviceRegistration]  // Entra and domain membership
	Recovery  Fact[winlog.RecoveryEnvironment] // Windows RE
	Clock     Fact[time.Duration]              // measured offset, positive: the machine is ahead
	Servicing Servicing                        // what CBS.log and DISM say of the component store
	StoreLogs []StoreLog                       // what each servicing log tells of looks at the component store, and of its repairs
	KBs       []string                         // updates that notes and outputs name
	Installed []string                         // updates that a list of what is installed holds, or some of them
	Texts     []Text                           // what was written about failures, a few KB a file
	Successes []Success                        // scans, downloads, installs and repairs that ended well
	Answers                                    // what the machine was asked beside its registry, services and files
	Slept     []Seen                           // when the machine went to sleep and woke up, the newest
	Route     *route.Walk                      // the walk of the machine's update route; nil: nobody walked
}

// HostsLine is one mapping of the hosts file.
type HostsLine struct {
	winlog.HostsEntry
	Source string
}

// Text is what a file says, in its own words: a note or an output whole, of a log
// the lines that tell of trouble. Bounded, as read.
type Text struct {
	Source  string
	Text    string
	Written bool // a note, or a console's output: what somebody chose to show
	Note    bool // a person's own words
}

// Success is something that ended well; the newest of each stage tells a healthy machine.
type Success struct {
	Stage  Stage
	What   string // "scan", "install", "restorehealth", "sfc"
	Update Update
	Seen   Seen
}

// Servicing is the first failing servicing session, for escalation.
type Servicing struct {
	StackVersion string // "10.0.22621.3672"
	Session      string // "31171520_2564643148"
	Client       string // who asked: "UpdateAgentLCU", "DISM Package Manager Provider"
	Package      string // failing package
	Component    string // failing component or file
	Installer    string // failing advanced installer
	KB           string
	Chain        []codes.HRESULT // results in the order in which they were passed up
	Seen         []Seen
}
