package upgrade

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/procedure"
)

// Name is what a plan calls the course by.
const Name = "upgrade"

// Spec is an upgrade as a plan keeps it: what was decided, and nothing that is found out
// on the way.
type Spec struct {
	Media   string   `json:"media"` // the ISO file or the folder, on the machine
	Machine Machine  `json:"machine"`
	Target  Version  `json:"target"`            // of the media
	Look    bool     `json:"look,omitempty"`    // setup only looks whether it could
	EULA    bool     `json:"eula,omitempty"`    // its setup wants the terms accepted on the command line
	Drive   bool     `json:"drive,omitempty"`   // BitLocker holds the drive of Windows
	Drivers bool     `json:"drivers,omitempty"` // drivers from Windows Update are left out: one of them is what failed
	Logs    string   `json:"logs,omitempty"`    // folder of the machine that setup copies its logs to
	Notes   []string `json:"notes,omitempty"`   // ids of checks that somebody was told of
	Index   int      `json:"index,omitempty"`   // of the Windows in an ESD file, of which media are made first
}

// Options of NewSpec.
type Options struct {
	Look    bool
	Drivers bool   // leave out drivers from Windows Update
	Logs    string // folder of the machine
}

// NewSpec decides how the machine of the checks is upgraded from media that passed them.
func NewSpec(m Machine, media Media, checks []Check, opt Options) (Spec, error) {
	if Stopped(checks) {
		return Spec{}, errors.New("the checks stop the upgrade")
	}
	s := Spec{Media: media.Path, Machine: m, Look: opt.Look, Drivers: opt.Drivers, Logs: opt.Logs}
	for _, x := range media.Images {
		if strings.EqualFold(x.Edition, m.Edition) && strings.EqualFold(x.Arch, m.Arch) {
			s.Target = ParseVersion(x.Build)
			if media.ESD() {
				s.Index = x.Index
			}
		}
	}
	// learn.microsoft.com: "Windows Setup Command-Line Options": /EULA is known since
	// Windows 11, and wanted by a quiet setup since its version 22H2.
	const windows11 = 22000
	s.EULA = s.Target.Build >= windows11
	for _, c := range checks {
		if c.State == Note || c.State == Unknown {
			s.Notes = append(s.Notes, c.ID)
		}
		s.Drive = s.Drive || c.ID == checkBitLocker && c.State != Pass
	}
	return s, s.check()
}

// check holds a spec to what NewSpec makes.
func (s Spec) check() error {
	if !host.SetupMedia(s.Media) {
		return fmt.Errorf("upgrade: %q is no path of media on the machine", s.Media)
	}
	if s.esd() != (s.Index > 0) {
		return fmt.Errorf("upgrade: image %d of %s", s.Index, s.Media)
	}
	for _, c := range append(s.unpack(), s.scan(), s.install()) {
		if err := c.Check(); err != nil {
			return fmt.Errorf("upgrade: %w", err)
		}
	}
	if s.Target.Build <= 0 || s.Machine.Edition == "" {
		return errors.New("upgrade: which Windows becomes which is not said")
	}
	for _, id := range s.Notes {
		if !slices.Contains(CheckIDs(), id) {
			return fmt.Errorf("upgrade: no such check: %q", id)
		}
	}
	return nil
}

// setup is a run of setup with the options that a look and an upgrade have in common.
func (s Spec) setup(own ...string) host.Change {
	args := append([]string{s.root(), "/auto", "upgrade", "/quiet"}, own...)
	dynamic := "enable" // a disabled one can take the machine back to an older revision
	if s.Drivers {
		dynamic = "nodrivers"
	}
	args = append(args, "/dynamicupdate", dynamic)
	if s.EULA {
		args = append(args, "/eula", "accept")
	}
	return host.Change{Kind: host.Run, Path: host.ToolSetup, Args: args}
}

func (s Spec) logs(c host.Change) host.Change {
	if s.Logs != "" {
		c.Args = append(c.Args, "/copylogs", s.Logs)
	}
	return c
}

// scan has setup look at the machine and nothing else.
func (s Spec) scan() host.Change { return s.logs(s.setup("/compat", "scanonly")) }

// install has setup install Windows over itself; the restart is updoc's to make, so that
// it stands in the journal.
func (s Spec) install() host.Change {
	c := s.setup("/noreboot")
	c.Args = append(c.Args, "/showoobe", "none")
	if s.Drive {
		c.Args = append(c.Args, "/bitlocker", "alwayssuspend")
	}
	return s.logs(c)
}

func (s Spec) iso() bool { return Media{Path: s.Media}.ISO() }

func (s Spec) esd() bool { return Media{Path: s.Media}.ESD() }

// root is what setup is started from: the media, or the folder that they are made in.
func (s Spec) root() string {
	if !s.esd() {
		return s.Media
	}
	return s.Media[:max(strings.LastIndexByte(s.Media, '\\'), 0)] + `\` + host.UnpackedMedia
}

// unpack makes media of an ESD file: setup's own files, and the one Windows that is
// needed.
func (s Spec) unpack() []host.Change {
	if !s.esd() {
		return nil
	}
	return []host.Change{
		{Kind: host.FolderMake, Path: s.root()},
		host.UnpackSetup(s.Media, s.root()),
		host.UnpackImage(s.Media, s.Index, s.root()),
	}
}

func (s Spec) mount() host.Change {
	return host.Change{Kind: host.Switch, Path: host.ImageSetting(s.Media), State: "on"}
}

// Encode is what Decode makes a course of.
func (s Spec) Encode() (json.RawMessage, error) { return json.Marshal(s) }

// Decode makes the course of what a plan keeps of it, and refuses what NewSpec would not
// have made.
func Decode(data json.RawMessage) (procedure.Procedure, error) {
	var s Spec
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return course{s}, nil
}

// course is the way through an upgrade:
//
//	mount the ISO, if it is one; make media of the ESD, if it is one
//	look: setup's own scan for what is in the way; ends here if something is
//	setup, as far as it goes while the old Windows runs
//	restart, after which setup works on its own and starts the machine as often as it wants
//	ask how it went
//	try what failed before: the latest cumulative update comes by that
type course struct{ Spec }

// What an act is about: the sentence is procedure.ABOUT.
const (
	aboutMount   = "upgrade.mount"
	aboutUnpack  = "upgrade.unpack"
	aboutScan    = "upgrade.scan"
	aboutBlocks  = "upgrade.blocks"
	aboutSetup   = "upgrade.setup"
	aboutRestart = "upgrade.restart"
	aboutState   = "upgrade.state"
	aboutUnmount = "upgrade.unmount"
	aboutUpdate  = "upgrade.update"
)

// rounds is how often the machine is restarted because setup says that it is not done.
// By itself it restarts three or four times, and updoc may be started in between.
const rounds = 6

// Bounds implements [procedure.Procedure].
func (c course) Bounds() procedure.Bounds {
	b := procedure.Bounds{Changes: []host.Change{c.scan()}, Asks: []string{host.AskSetup}, Acts: 4, Minutes: 15}
	if !c.Look {
		b.Changes = append(b.Changes, c.install())
		b.Acts, b.Restarts, b.Minutes, b.Tries = b.Acts+2*rounds+3, rounds, 120, true
	}
	if c.iso() {
		b.Changes = append([]host.Change{c.mount()}, b.Changes...)
		b.Acts += 2
	}
	if unpack := c.unpack(); len(unpack) > 0 {
		b.Changes = append(unpack, b.Changes...)
		b.Acts += len(unpack)
		b.Minutes += 20
	}
	return b
}

// The results of setup that decide about what comes next.
// learn.microsoft.com: "Windows upgrade error codes", "Windows Setup compatibility scan
// logs"; the symbols are those of mosetup.
const (
	scanClean codes.HRESULT = 0xC1900210 // MOSETUP_E_COMPAT_SCANONLY
	scanBlock codes.HRESULT = 0xC1900208 // MOSETUP_E_COMPAT_INSTALLREQ_BLOCK
)

// clean reports a look that found nothing in the way.
func clean(d procedure.Done) bool { return d.OK() || d.Code == scanClean }

// Next implements [procedure.Procedure].
func (c course) Next(done []procedure.Done) (procedure.Act, bool) {
	t := c.trace(done)
	switch {
	case c.iso() && t.mount == nil:
		mount := c.mount()
		return act(aboutMount, procedure.Act{Change: &mount}, "media", c.Media)
	case c.iso() && !t.mount.OK() && !t.mount.Skipped:
		return procedure.Act{}, false
	case t.unpacked < len(c.unpack()):
		if t.torn != nil {
			return procedure.Act{}, false
		}
		return act(aboutUnpack, procedure.Act{Change: &c.unpack()[t.unpacked]}, "media", c.root())
	case t.scan == nil:
		scan := c.scan()
		return act(aboutScan, procedure.Act{Change: &scan})
	case !clean(*t.scan):
		if t.states == 0 {
			return ask(aboutBlocks, t.scan)
		}
		return c.unmount(t)
	case c.Look:
		return c.unmount(t)
	case t.setup == nil:
		install := c.install()
		return act(aboutSetup, procedure.Act{Change: &install})
	case !t.setup.OK() && t.setup.Started.IsZero():
		if t.states == 0 {
			return ask(aboutState, t.setup)
		}
		return c.unmount(t)
	case t.setup.Started.IsZero() && t.restarts == 0:
		return act(aboutRestart, procedure.Act{Restart: true})
	case t.states == 0 || t.again:
		return ask(aboutState, t.setup)
	case t.state.Running && t.restarts < rounds:
		return act(aboutRestart, procedure.Act{Restart: true})
	case !c.unmounted(t):
		return c.unmount(t)
	case c.installed(t) && !t.tried:
		return act(aboutUpdate, procedure.Act{Try: true})
	}
	return procedure.Act{}, false
}

func act(about string, a procedure.Act, args ...string) (procedure.Act, bool) {
	a.About = about
	if len(args) > 0 {
		a.Args = message.Args(args...)
	}
	return a, true
}

// ask asks how setup ended. What it wrote before a run began is of another one.
func ask(about string, run *procedure.Done) (procedure.Act, bool) {
	since := run.Began.UTC().Format(time.RFC3339)
	return act(about, procedure.Act{Ask: &host.Question{Name: host.AskSetup, Args: map[string]string{host.SetupSince: since}}})
}

// unmount takes the mounted file back, once, and is then over.
func (c course) unmount(t trace) (procedure.Act, bool) {
	if c.unmounted(t) {
		return procedure.Act{}, false
	}
	return act(aboutUnmount, procedure.Act{Back: &t.mountAt}, "media", c.Media)
}

// unmounted: an image that was mounted before is left as it was.
func (c course) unmounted(t trace) bool { return !c.iso() || t.mount.Skipped || t.back }

// trace is what was done, by what it was about.
type trace struct {
	mount, scan, setup *procedure.Done
	mountAt            int
	unpacked           int             // steps of making media that went well
	torn               *procedure.Done // the one that did not
	restarts           int             // that were made
	states             int             // times that setup was asked about
	again              bool
	state              host.SetupState // the last answer
	unread             bool            // the last answer could not be read
	back, tried        bool
	update             *procedure.Done
}

func (c course) trace(done []procedure.Done) trace {
	var t trace
	for i := range done {
		d := &done[i]
		switch d.Act.About {
		case aboutMount:
			t.mount, t.mountAt = d, i
		case aboutUnpack:
			if d.OK() || d.Skipped {
				t.unpacked++
			} else {
				t.torn = d
			}
		case aboutScan:
			t.scan = d
		case aboutSetup:
			t.setup = d
		case aboutRestart:
			t.restarts++
			t.again = true // what was known before it counts nothing
		case aboutBlocks, aboutState:
			t.states++
			t.again = false
			t.state = host.SetupState{Percent: -1}
			t.unread = !d.OK() || json.Unmarshal(d.Answer, &t.state) != nil
		case aboutUnmount:
			t.back = true
		case aboutUpdate:
			t.tried, t.update = true, d
		}
	}
	return t
}

// installed reports that the Windows of the media runs now: of that build, installed since
// setup began, and setup says nothing else.
func (c course) installed(t trace) bool {
	s := t.state
	return t.setup != nil && !t.unread && t.states > 0 && !s.Running && !s.Rolled && s.Result == 0 &&
		SameFamily(ParseVersion(s.Build), c.Target) && s.Installed.After(t.setup.Began)
}

// Story implements [procedure.Procedure].
func (c course) Story(done []procedure.Done) []message.Line {
	t := c.trace(done)
	var out []message.Line
	say := func(id string, args ...string) { out = append(out, message.Say("upgrade.story."+id, args...)) }
	switch {
	case t.mount != nil && !t.mount.OK() && !t.mount.Skipped:
		say("not-mounted", "media", c.Media)
	case t.torn != nil:
		say("not-unpacked", "media", c.Media, "code", t.torn.Code.String())
	case t.scan == nil:
	case clean(*t.scan):
		say("clean")
	default:
		c.objections(t, say)
	}
	switch {
	case t.setup == nil || t.states == 0 || t.again:
	case t.unread:
		say("unknown")
	case c.installed(t):
		say("installed", "build", t.state.Build)
		if c.esd() {
			say("left-over", "media", c.root())
		}
	case t.state.Running:
		say("still-running")
	default:
		c.failure(t, say)
	}
	switch {
	case t.update == nil || t.update.Outcome == nil:
	case t.update.Worked():
		say("updated")
	default:
		say("update-fails", "code", t.update.Outcome.Result.String())
	}
	return out
}

// objections says what the look found in the way: by name where a report names it, and
// what the result means anyhow.
func (c course) objections(t trace, say func(string, ...string)) {
	blocks, _ := Blocks(t.state.Reports)
	named := 0
	for _, b := range blocks {
		if !b.Hard && t.scan.Code != scanBlock {
			continue
		}
		named++
		say("block-"+string(b.Kind), "name", b.Name, "action", b.Action)
	}
	if named > 0 {
		return
	}
	c.result(t.scan.Code, 0, say)
}

func (c course) failure(t trace, say func(string, ...string)) {
	code, extend := t.state.Result, t.state.Extend
	if code == 0 && t.setup != nil {
		code = t.setup.Code
	}
	if t.state.Rolled {
		say("rolled-back")
	}
	c.result(code, extend, say)
}

// result says what a result of setup means.
func (c course) result(code codes.HRESULT, extend uint32, say func(string, ...string)) {
	switch code {
	case 0:
		say("unknown")
	case 0xC1900200, 0xC1900201, 0xC1900202, 0xC1900206:
		say("requirements", "code", code.String())
	case 0xC1900204, 0xC1900205, 0xC1900215:
		say("choice", "code", code.String())
	case scanBlock:
		say("blocked", "code", code.String())
	case 0xC190020C, 0xC190020E, 0xC1900211, 0xC1900212:
		say("space", "code", code.String())
	default:
		if extend != 0 {
			say("failed-in", "code", fmt.Sprintf("%s - 0x%X", code, extend))
			return
		}
		say("failed", "code", code.String())
	}
}
