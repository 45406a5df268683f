// Package store repairs the component store: the folder from which Windows takes
// every file of itself that it installs, updates or puts back.
//
// [Assess] reads, before anything runs, what servicing's own log and registry say is
// damaged, which sources of good files come into question, and what cannot help. Its
// [Spec] is the repair as data; [Decode] makes the procedure of it.
package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/sorted"
	"updoc/internal/winlog"
)

// State says how it stands with the component store.
type State string

// The states.
const (
	Unknown State = "unknown" // nothing tells: it has to be looked at
	Sound   State = "sound"   // the last look found nothing, and nothing failed since
	Damaged State = "damaged" // the store itself is
	Files   State = "files"   // the store is not known to be, files outside of it are
)

// Fault is something that is damaged, with the line that says so.
type Fault struct {
	winlog.StoreFault
	Source string    `json:"source,omitempty"` // "CBS.log:17"
	At     time.Time `json:"at,omitzero"`      // by the machine's clock
}

// Tried is a look or a repair that was made before.
type Tried struct {
	By     string        `json:"by"` // dism, sfc
	Repair bool          `json:"repair,omitempty"`
	At     time.Time     `json:"at,omitzero"`
	Result codes.HRESULT `json:"result,omitzero"`
	Found  int           `json:"found"`
	Left   int           `json:"left"`
	From   []string      `json:"from,omitempty"` // sources that were given
	Source string        `json:"source"`         // where it stands
}

// Assessment is what is known of a component store without running anything.
type Assessment struct {
	State     State               `json:"state"`
	Faults    []Fault             `json:"faults,omitempty"`    // not repaired, by the newest look
	More      int                 `json:"more,omitempty"`      // further ones that are not named here
	Packages  []host.StorePackage `json:"packages,omitempty"`  // that are neither installed nor gone
	Tried     []Tried             `json:"tried,omitempty"`     // oldest first
	Codes     []Next              `json:"codes,omitempty"`     // that were seen, with what comes after each
	Pending   bool                `json:"pending,omitempty"`   // servicing waits for a restart
	Wandering bool                `json:"wandering,omitempty"` // every look finds other things damaged
	Sources   []Source            `json:"sources"`             // of good files, in the order in which they are asked
	LeftOut   []LeftOut           `json:"leftOut,omitempty"`   // steps and sources that cannot help, and why
	Steps     []string            `json:"steps"`               // what would be done: look, repair, files, verify
}

// LeftOut is a step or a source that is left out.
type LeftOut struct {
	What string       `json:"what"` // look, repair, files; or the name of a source
	Why  message.Line `json:"why"`
}

// Options of Assess.
type Options struct {
	// Image is a source that somebody gave; Index is the Windows in it that was named,
	// 0 to choose.
	Image *host.Image
	Index int
	// Packages are updates that can be fetched from the catalogue.
	Packages []Package
}

// The registry that decides about sources.
// learn.microsoft.com: "Policy CSP - ADMX_Servicing", "Manage additional Windows
// Update settings".
const (
	keyRepair   = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\Servicing`
	keyWSUS     = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU`
	keyUpdate   = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`
	keyWindows  = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	keyServices = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing`
)

// Assess says what is known of the component store, and what a repair would do. It
// is pure.
func Assess(f *facts.Facts, opt Options) Assessment {
	x := assessing{f: f, opt: opt}
	x.out.Sources, x.out.Steps = []Source{}, []string{}
	x.gather()
	x.judge()
	x.codes()
	x.registry()
	x.sources()
	x.steps()
	return x.out
}

type assessing struct {
	f      *facts.Facts
	opt    Options
	checks []check
	lost   []Fault // packages that servicing misses
	out    Assessment
}

// check is a look or a repair with the log that tells of it.
type check struct {
	winlog.StoreCheck
	source string
}

// maxNamed bounds the faults that an assessment names.
const maxNamed = 100

// gather brings together what all logs tell, in the order of time.
func (x *assessing) gather() {
	logs := x.f.StoreLogs
	if s := x.f.Store; len(logs) == 0 && s.State == facts.Present {
		logs = []facts.StoreLog{{Source: "CBS.log", StoreLog: s.Value.Log}}
	}
	for _, l := range logs {
		for _, c := range l.Checks {
			if !slices.ContainsFunc(x.checks, func(o check) bool { // a log and its copy tell the same
				return o.source != l.Source && o.By == c.By && !c.End.IsZero() && o.Begin.Equal(c.Begin) && o.End.Equal(c.End)
			}) {
				x.checks = append(x.checks, check{c, l.Source})
			}
		}
		for _, m := range l.Missing {
			x.lost = append(x.lost, Fault{m, line(l.Source, m.Line), m.Time})
		}
	}
	sorted.By(x.checks, func(a, b check) int { return a.End.Compare(b.End) })
	for _, c := range x.checks {
		x.out.Tried = append(x.out.Tried, Tried{c.By, c.Repair, c.End, c.Result, c.Found, c.Left(), c.Sources, line(c.source, c.Line)})
	}
	const few = 12
	x.out.Tried = x.out.Tried[max(0, len(x.out.Tried)-few):]
}

func line(source string, n int) string {
	if n == 0 {
		return source
	}
	return fmt.Sprintf("%s:%d", source, n)
}

// last is the newest check of a tool that has something to say; nil if there is none.
func (x *assessing) last(by string) *check {
	for i := len(x.checks) - 1; i >= 0; i-- {
		if c := &x.checks[i]; c.By == by && (c.Whole || c.Found > 0) {
			return c
		}
	}
	return nil
}

// judge decides from the newest looks what is damaged now. DISM's word counts for the
// store; sfc also tells of the store where it finds no good copy in it.
func (x *assessing) judge() {
	dism, sfc := x.last(winlog.StoreByDISM), x.last(winlog.StoreBySFC)
	if dism != nil {
		x.left(dism, func(winlog.StoreFault) bool { return true })
		if dism.Left() == 0 && dism.Whole {
			x.out.State = Sound
		}
	}
	if sfc != nil && (dism == nil || sfc.End.After(dism.End) || dism.Left() > 0) {
		x.left(sfc, func(f winlog.StoreFault) bool {
			return dism == nil || f.Kind == winlog.FaultFile || sfc.End.After(dism.End)
		})
		if dism == nil && sfc.Left() == 0 && sfc.Whole {
			x.out.State = Unknown // the files are as the store has them; nobody looked at the store
		}
	}
	for _, m := range x.lost {
		if dism != nil && dism.Left() == 0 && dism.End.After(m.At) {
			continue
		}
		x.name(m)
	}
	store := slices.ContainsFunc(x.out.Faults, func(f Fault) bool { return f.Kind != winlog.FaultFile })
	switch {
	case store || x.out.More > 0:
		x.out.State = Damaged
	case len(x.out.Faults) > 0:
		x.out.State = Files
	case x.out.State == "":
		x.out.State = Unknown
	}
	switch { // an installation that fails for the store's sake says as much as a look
	case x.out.State == Sound && x.failedSince(dism.End), x.out.State == Unknown && x.failedSince(time.Time{}):
		x.out.State = Damaged
	}
	x.out.Wandering = wandering(x.checks)
}

// left names what a check found and nobody repaired.
func (x *assessing) left(c *check, counts func(winlog.StoreFault) bool) {
	for _, f := range c.Faults {
		if !f.Fixed && counts(f) {
			x.name(Fault{f, line(c.source, f.Line), c.End})
		}
	}
	x.out.More += c.More
	if named := len(c.Faults) + c.More; c.Left() > named { // an excerpt that lost its lines
		x.out.More += c.Left() - named
	}
}

func (x *assessing) name(f Fault) {
	same := func(o Fault) bool {
		return o.Same(f.StoreFault) || f.File != "" && o.Kind == f.Kind && o.Version == f.Version && f.Version != "" && strings.EqualFold(o.File, f.File)
	}
	i := slices.IndexFunc(x.out.Faults, same)
	switch {
	case i >= 0: // sfc knows the package, DISM the component
		o := &x.out.Faults[i]
		o.Package, o.KB = cmp.Or(o.Package, f.Package), cmp.Or(o.KB, f.KB)
	case len(x.out.Faults) == maxNamed:
		x.out.More++
	default:
		x.out.Faults = append(x.out.Faults, f)
	}
}

// storeCodes are failures that only a damaged store explains.
var storeCodes = []codes.HRESULT{0x80073712, 0x800F0831, 0x80073701, 0x800736B3, 0x800F0984, 0x800F0986, 0x800736CC, 0x80073713, 0x8007371B}

// failedSince reports that an installation failed for the store's sake later than the
// last look at it. Logs' and failures' times are the machine's wall clock.
func (x *assessing) failedSince(t time.Time) bool {
	return slices.ContainsFunc(x.f.Suffering(), func(s facts.Failure) bool {
		return slices.Contains(storeCodes, s.Code) && s.Last.After(t)
	})
}

// Bounds of a machine whose disk or memory forgets.
const (
	wanderLooks = 3    // looks that found much
	wanderMuch  = 3    // things that a look found damaged
	wanderSame  = 0.25 // of what two looks found together is the same, at most
)

// wandering reports that each look finds other things damaged than the one before,
// with no repair between them that worked: then it is not the store that is sick but
// the memory or the disk, and what is repaired today is damaged tomorrow.
func wandering(checks []check) bool {
	var seen []map[string]bool
	for _, c := range checks {
		found := map[string]bool{}
		for _, f := range c.Faults {
			if f.Kind == winlog.FaultPayload || f.Kind == winlog.FaultFile {
				file := f.File[strings.LastIndexByte(f.File, '\\')+1:]
				found[strings.ToLower(file)] = true
			}
		}
		if len(found) >= wanderMuch {
			seen = append(seen, found)
		}
	}
	others := 0
	for i := 1; i < len(seen); i++ {
		same := 0
		for f := range seen[i] {
			if seen[i-1][f] {
				same++
			}
		}
		if all := len(seen[i]) + len(seen[i-1]) - same; float64(same) <= wanderSame*float64(all) {
			others++
		}
	}
	return others >= wanderLooks-1
}

// codes lists the codes of the table that were seen, what failed last first.
func (x *assessing) codes() {
	add := func(h codes.HRESULT) {
		if n, ok := After(h); ok && !slices.ContainsFunc(x.out.Codes, func(o Next) bool { return o.Code == h }) {
			x.out.Codes = append(x.out.Codes, n)
		}
	}
	for i := len(x.checks) - 1; i >= 0; i-- {
		add(x.checks[i].Result)
	}
	for _, s := range x.f.Suffering() {
		add(s.Code)
	}
	for _, h := range x.f.Servicing.Chain {
		add(h)
	}
}

// registry reads what servicing left behind.
func (x *assessing) registry() {
	if x.f.Restart.State == facts.Present && (x.f.Restart.Value.Servicing || x.f.Restart.Value.InProgress) {
		x.out.Pending = true
	}
	for _, key := range []string{`\RebootPending`, `\RebootInProgress`} {
		if x.f.Subkeys(keyServices+key).State == facts.Present {
			x.out.Pending = true
		}
	}
	if s := x.f.Store; s.State == facts.Present {
		x.out.Pending = x.out.Pending || s.Value.Pending
		for _, p := range s.Value.Packages {
			// What waits for a restart is under way and no leftover.
			if st := host.PackageState(p.State); x.out.Pending && (st == host.PackageInstallPending || st == host.PackageUninstallPending) {
				continue
			}
			x.out.Packages = append(x.out.Packages, p)
		}
	}
}

// steps decides what a repair would do, and says why not the rest.
func (x *assessing) steps() {
	out := &x.out
	not := func(what, id string, args ...string) {
		out.LeftOut = append(out.LeftOut, LeftOut{what, message.Say(id, args...)})
	}
	switch {
	case out.Wandering:
		for _, what := range []string{"look", "repair", "files"} {
			not(what, "store.not.wandering")
		}
		return
	case out.Pending:
		for _, what := range []string{"look", "repair", "files"} {
			not(what, "store.not.pending")
		}
		return
	case out.State == Sound && len(out.Packages) == 0:
		not("look", "store.not.looked")
		not("repair", "store.not.sound")
		not("files", "store.not.sound")
		return
	}
	if out.State == Damaged {
		not("look", "store.not.known")
	} else {
		out.Steps = append(out.Steps, "look")
	}
	if len(out.Sources) == 0 {
		not("repair", "store.not.source")
		if out.State == Damaged {
			not("files", "store.not.files")
			return
		}
	} else {
		out.Steps = append(out.Steps, "repair")
	}
	out.Steps = append(out.Steps, "files", "verify")
}
