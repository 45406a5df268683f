package upgrade

import (
	"fmt"
	"slices"
	"strings"

	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
)

// Machine is what of a machine decides which media fit it. Empty is unknown.
type Machine struct {
	Edition  string  `json:"edition"`  // EditionID
	Arch     string  `json:"arch"`     // amd64, arm64, 386
	Language string  `json:"language"` // of the installation: "de-DE"
	Version  Version `json:"version"`
	Server   bool    `json:"server,omitempty"`
}

const keyCurrentVersion = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`

// MachineOf reads it from the facts.
func MachineOf(f *facts.Facts) Machine {
	m := Machine{Arch: f.Machine.Arch, Version: ParseVersion(f.Machine.Build), Language: installLanguage(f)}
	if f.Edition.State == facts.Present {
		e := f.Edition.Value
		m.Edition = e.Product
		if m.Language == "" {
			m.Language = e.Language
		}
		if m.Arch == "" {
			m.Arch = e.Arch
		}
		if m.Version.Build == 0 {
			m.Version = ParseVersion(e.Build)
		}
	}
	if m.Edition == "" {
		m.Edition = f.Text(keyCurrentVersion, "EditionID").Value
	}
	kind := f.Text(keyCurrentVersion, "InstallationType").Value
	m.Server = strings.HasPrefix(kind, "Server") || strings.HasPrefix(strings.ToLower(m.Edition), "server")
	return m
}

// families are builds that are one Windows with a switch turned: a small package moves a
// machine from one to the next, and their media say the first build, or the last.
// learn.microsoft.com: "Windows 10 release information", "KB5015684: Featured update to
// Windows 10, version 22H2 by using an enablement package"; Windows 11 alike.
var families = [][]int{{19041, 19042, 19043, 19044, 19045}, {22621, 22631}, {26100, 26200}}

// SameFamily reports whether two builds are one Windows.
func SameFamily(a, b Version) bool {
	return a.Build == b.Build || slices.ContainsFunc(families, func(f []int) bool { return slices.Contains(f, a.Build) && slices.Contains(f, b.Build) })
}

// State is how a check ended.
type State string

// The states. What could not be looked at is no pass.
const (
	Pass    State = "pass"
	Note    State = "note"    // goes, and somebody should know
	Stop    State = "stop"    // nothing is started
	Unknown State = "unknown" // could not be looked at; where the check decides about the media, nothing is started
)

// Check is one thing that was looked at before anything starts.
type Check struct {
	ID    string            `json:"id"` // the sentence is upgrade.check.ID.STATE
	State State             `json:"state"`
	Args  map[string]string `json:"args,omitempty"`
}

// Line is the sentence that says how the check ended.
func (c Check) Line() message.Line {
	return message.Line{ID: "upgrade.check." + c.ID + "." + string(c.State), Args: c.Args}
}

// Stops reports whether nothing may be started.
func (c Check) Stops() bool {
	return c.State == Stop || c.State == Unknown && slices.Contains(musts, c.ID)
}

// musts are the checks that have to be known: wrong media would cost programs.
var musts = []string{checkMedia, checkEdition, checkLanguage, checkArch, checkBuild, checkSpace}

// The checks, in their order.
const (
	checkMedia     = "media"
	checkArch      = "arch"
	checkEdition   = "edition"
	checkLanguage  = "language"
	checkBuild     = "build"
	checkSpace     = "space"
	checkBoot      = "boot-partition"
	checkRecovery  = "recovery-partition"
	checkRestart   = "restart"
	checkPower     = "power"
	checkBitLocker = "bitlocker"
	checkManaged   = "managed"
)

// CheckIDs lists what is checked.
func CheckIDs() []string {
	return []string{
		checkMedia, checkArch, checkEdition, checkLanguage, checkBuild, checkSpace, checkBoot, checkRecovery, checkRestart, checkPower, checkBitLocker, checkManaged,
	}
}

// How much room has to be there, in bytes.
const (
	// learn.microsoft.com: "Windows upgrade resolution procedures", 0xC190020E.
	spaceSystem   = 20 << 30
	spaceSystem32 = 16 << 30
	// What media take that are made of one file.
	spaceMedia = 8 << 30
	// learn.microsoft.com: "Couldn't update system reserved partition" needs 15 MB there.
	spaceBoot = 15 << 20
	// support.microsoft.com: "KB5028997: Instructions to manually resize your partition to
	// install the WinRE update".
	spaceRecovery = 250 << 20
)

// Assess checks a machine and, unless it is nil, media against each other. It is pure.
// The checks come in a fixed order, those of the media first.
func Assess(f *facts.Facts, media *Media) []Check {
	a := &assessment{Facts: f, machine: MachineOf(f)}
	if media != nil {
		a.media(*media)
	}
	a.space(media != nil && media.ESD())
	a.restart()
	a.power()
	a.bitlocker()
	a.managed()
	return a.checks
}

// Stopped reports whether any check stops the upgrade.
func Stopped(checks []Check) bool { return slices.ContainsFunc(checks, Check.Stops) }

type assessment struct {
	*facts.Facts
	machine Machine
	checks  []Check
}

func (a *assessment) add(id string, s State, args ...string) {
	a.checks = append(a.checks, Check{ID: id, State: s, Args: message.Args(args...)})
}

// media holds the images against the machine, one property after the other: the first
// that none of the images left has is what does not fit.
func (a *assessment) media(m Media) {
	m0 := a.machine
	images := slices.DeleteFunc(slices.Clone(m.Images), func(x host.ImageEntry) bool { return x.Edition == "" || x.Install == "WindowsPE" })
	switch {
	case !m.Setup || len(images) == 0:
		a.add(checkMedia, Stop, "path", m.Path, "file", m.File)
		return
	default:
		a.add(checkMedia, Pass, "path", m.Path)
	}
	images = a.narrow(checkArch, m0.Arch, images, func(x host.ImageEntry) string { return x.Arch }, strings.EqualFold)
	images = a.narrow(checkEdition, m0.Edition, images, func(x host.ImageEntry) string { return x.Edition }, strings.EqualFold)
	images = a.narrow(checkLanguage, m0.Language, images, func(x host.ImageEntry) string { return strings.Join(spoken(x), ", ") }, func(has, want string) bool {
		return slices.ContainsFunc(strings.Split(has, ", "), func(l string) bool { return strings.EqualFold(l, want) })
	})
	if len(images) == 0 {
		return
	}
	v := ParseVersion(images[0].Build)
	args := []string{"media", v.String(), "machine", m0.Version.String()}
	switch {
	case v.Build == 0 || m0.Version.Build == 0:
		a.add(checkBuild, Unknown, args...)
	case !SameFamily(v, m0.Version) && v.Build < m0.Version.Build:
		a.add(checkBuild, Stop, args...)
	case !SameFamily(v, m0.Version):
		a.add(checkBuild, Note, args...) // an upgrade as well as a repair
	default:
		a.add(checkBuild, Pass, args...)
	}
}

// spoken are the languages that an image has, its own first.
func spoken(x host.ImageEntry) []string {
	out := slices.Clone(x.Languages)
	if x.Default != "" && !slices.Contains(out, x.Default) {
		out = append(out, x.Default)
	}
	return out
}

// narrow keeps the images that have what the machine has.
func (a *assessment) narrow(id, want string, images []host.ImageEntry, has func(host.ImageEntry) string, same func(has, want string) bool) []host.ImageEntry {
	if len(images) == 0 {
		return nil
	}
	var all []string
	for _, x := range images {
		if h := has(x); h != "" && !slices.Contains(all, h) {
			all = append(all, h)
		}
	}
	args := []string{"media", strings.Join(all, ", "), "machine", want}
	if want == "" || len(all) == 0 {
		a.add(id, Unknown, args...)
		return nil
	}
	left := slices.DeleteFunc(images, func(x host.ImageEntry) bool { return !same(has(x), want) })
	if len(left) == 0 {
		a.add(id, Stop, args...)
		return nil
	}
	a.add(id, Pass, args...)
	return left
}

// space looks at every partition that setup writes to.
func (a *assessment) space(unpack bool) {
	v := a.Volumes
	if v.State != facts.Present {
		a.add(checkSpace, Unknown)
		a.add(checkBoot, Unknown)
		a.add(checkRecovery, Unknown)
		return
	}
	need := int64(spaceSystem)
	if a.machine.Arch == "386" {
		need = spaceSystem32
	}
	if unpack {
		need += spaceMedia
	}
	vol, ok := a.volume(func(x host.Volume) bool { return slices.ContainsFunc(x.Paths, a.onSystem) })
	a.room(checkSpace, vol, ok, need, Stop)
	vol, ok = a.volume(func(x host.Volume) bool { return x.Role == host.RoleEFI || x.Role == host.RoleSystem })
	a.room(checkBoot, vol, ok, spaceBoot, Stop)
	vol, ok = a.volume(func(x host.Volume) bool { return x.Role == host.RoleRecovery })
	a.room(checkRecovery, vol, ok, spaceRecovery, Note)
}

func (a *assessment) onSystem(path string) bool {
	return strings.EqualFold(strings.TrimSuffix(path, `\`), strings.TrimSuffix(a.Volumes.Value.System, `\`))
}

func (a *assessment) volume(is func(host.Volume) bool) (host.Volume, bool) {
	list := a.Volumes.Value.Volumes
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i], true
	}
	return host.Volume{Free: -1}, false
}

func (a *assessment) room(id string, v host.Volume, found bool, need int64, short State) {
	args := []string{"need", bytesText(need)}
	switch {
	case !found, v.Free < 0:
		a.add(id, Unknown, args...)
	case v.Free < need:
		a.add(id, short, append(args, "free", bytesText(v.Free))...)
	default:
		a.add(id, Pass, append(args, "free", bytesText(v.Free))...)
	}
}

// bytesText says an amount in the unit that people know it by.
func bytesText(n int64) string {
	if n >= 1<<30 {
		return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%d MB", n>>20)
}

func (a *assessment) restart() {
	switch r := a.Restart; {
	case r.State != facts.Present:
		a.add(checkRestart, Unknown)
	case r.Value.Any() || r.Value.PendingXML:
		a.add(checkRestart, Stop)
	default:
		a.add(checkRestart, Pass)
	}
}

func (a *assessment) power() {
	switch p := a.Power; {
	case p.State != facts.Present || p.Value.Mains == nil:
		a.add(checkPower, Unknown)
	case !*p.Value.Mains:
		a.add(checkPower, Stop, "percent", fmt.Sprint(max(p.Value.Battery, 0)))
	default:
		a.add(checkPower, Pass)
	}
}

// bitlocker asks for the recovery key where the drive of Windows is encrypted: setup
// suspends the protection, and a firmware that changes its mind asks for the key.
func (a *assessment) bitlocker() {
	v, ok := a.volume(func(x host.Volume) bool { return slices.ContainsFunc(x.Paths, a.onSystem) })
	switch {
	case !ok || v.Protected == "":
		a.add(checkBitLocker, Unknown)
	case v.Protected == "off":
		a.add(checkBitLocker, Pass)
	default:
		a.add(checkBitLocker, Note, "drive", strings.TrimSuffix(a.Volumes.Value.System, `\`), "state", v.Protected)
	}
}

// NeedsKey reports whether somebody has to have the recovery key of the drive at hand.
// A drive that could not be looked at may be encrypted.
func NeedsKey(checks []Check) bool {
	return slices.ContainsFunc(checks, func(c Check) bool { return c.ID == checkBitLocker && (c.State == Note || c.State == Unknown) })
}

// managed says that an organisation decides about the machine: it may have its own way
// to install Windows, and its own reasons.
func (a *assessment) managed() {
	switch m := a.Management; {
	case m.State != facts.Present:
		a.add(checkManaged, Unknown)
	case m.Value.Joined == "domain", len(m.Value.Enrolled) > 0, m.Value.ConfigMgr != nil && *m.Value.ConfigMgr:
		a.add(checkManaged, Note, "name", m.Value.Name)
	default:
		a.add(checkManaged, Pass)
	}
}

// FixFromSettings reports whether Windows itself can be installed over itself by its
// settings, which is simpler: System, Recovery, "Fix problems using Windows Update".
// Since the updates of February 2024 of Windows 11 22H2; not where an organisation
// manages updates. support.microsoft.com: "Fix issues by reinstalling the current version
// of Windows".
func FixFromSettings(f *facts.Facts) bool {
	m := MachineOf(f)
	const first, revision, next = 22621, 3235, 22631
	old := (m.Version.Build == first || m.Version.Build == next) && m.Version.Revision != 0 && m.Version.Revision < revision
	if m.Version.Build < first || old || m.Server {
		return false
	}
	managed := f.Management.State == facts.Present && (f.Management.Value.Joined == "domain" || len(f.Management.Value.Enrolled) > 0)
	const policy = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU`
	return !managed && f.DWord(policy, "UseWUServer").Value != 1
}
