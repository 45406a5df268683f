package store

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/procedure"
)

// Source is where a repair takes good files from.
type Source struct {
	Kind SourceKind `json:"kind"`
	Name string     `json:"name,omitempty"` // for people: a path, numbers of updates
	// Arg is what DISM is given as /Source:, see [host.RepairSource]; "" lets Windows
	// choose, which asks policy's own locations and then the update service.
	Arg      string    `json:"arg,omitempty"`
	Packages []Package `json:"packages,omitempty"` // that are installed first
}

// SourceKind says what a source is.
type SourceKind string

// The kinds of sources, in the order in which they are asked: the update service has
// the files of exactly this build, a medium those of one build, the catalogue whole
// packages.
const (
	FromUpdate  SourceKind = "update"  // Windows Update
	FromPolicy  SourceKind = "policy"  // the locations that policy names
	FromImage   SourceKind = "image"   // a medium, or an image file
	FromFolder  SourceKind = "folder"  // a mounted image, or another machine's Windows
	FromPackage SourceKind = "package" // packages of the catalogue
)

// Package is a file of an update: one that can be fetched, of which is known beforehand
// what it has to be, or one that lies on the machine already and has no address.
type Package struct {
	KB     string          `json:"kb"`
	Fetch  procedure.Fetch `json:"fetch"`
	Image  bool            `json:"image,omitempty"`  // a .msu of Windows 11 24H2 and later, which DISM reads; wusa reads others
	Beside bool            `json:"beside,omitempty"` // a checkpoint that another one builds on: it lies beside that and is not installed itself
}

// sources lists what comes into question, in order.
func (x *assessing) sources() {
	locations := x.f.Text(keyRepair, "LocalSourcePath").Value
	if why, ok := x.noUpdate(); ok {
		x.out.LeftOut = append(x.out.LeftOut, LeftOut{"Windows Update", why})
		if locations != "" {
			x.out.Sources = append(x.out.Sources, Source{Kind: FromPolicy, Name: locations})
		}
	} else {
		name := ""
		if locations != "" { // Windows asks these first by itself
			name = locations
		}
		x.out.Sources = append(x.out.Sources, Source{Kind: FromUpdate, Name: name})
	}
	if x.opt.Image != nil {
		if s, why := x.given(*x.opt.Image); why.ID == "" {
			x.out.Sources = append(x.out.Sources, s)
		} else {
			x.out.LeftOut = append(x.out.LeftOut, LeftOut{x.opt.Image.Path, why})
		}
	}
	x.catalogue()
}

// noUpdate says why Windows Update can give no files.
// learn.microsoft.com: "Configure a Windows Repair Source", ".NET Framework 3.5
// installation errors" (0x800F0906, 0x800F0907).
func (x *assessing) noUpdate() (message.Line, bool) {
	const (
		never  = 2 // UseWindowsUpdate: never attempt to download payload
		direct = 2 // RepairContentServerSource: from Windows Update instead of WSUS
	)
	f := x.f
	switch {
	case f.DWord(keyRepair, "UseWindowsUpdate").Value == never:
		return message.Say("store.not.policy-never"), true
	case f.DWord(keyWSUS, "UseWUServer").Value == 1 && f.DWord(keyRepair, "RepairContentServerSource").Value != direct:
		return message.Say("store.not.wsus"), true
	case f.DWord(keyUpdate, "DoNotConnectToWindowsUpdateInternetLocations").Value == 1:
		return message.Say("store.not.policy-internet"), true
	}
	if s := f.Service("wuauserv"); s.State == facts.Present && s.Value.Start == disabled {
		return message.Say("store.not.service"), true
	}
	if h, what, ok := x.deadRoute(); ok {
		return message.Say("store.not.route", "code", h.String(), "what", what), true
	}
	return message.Line{}, false
}

const disabled = 4 // SERVICE_DISABLED

// deadRoute says that the way to the update service does not work: by the walk where
// somebody walked, else by scans that fail.
func (x *assessing) deadRoute() (h codes.HRESULT, what string, dead bool) {
	if w := x.f.Route; w != nil {
		for i := range w.Trips {
			t := &w.Trips[i]
			if t.Task.Vital && t.Deciding() != nil && t.Predict.Code.Failed() {
				return t.Predict.Code, t.Task.Purpose, true
			}
		}
		return 0, "", false
	}
	for _, s := range x.f.Suffering() {
		if s.Stage == facts.StageScan && s.Code.Failed() {
			return s.Code, "scan", true
		}
	}
	return 0, "", false
}

// families are builds that share their component store: an enablement package makes
// the later of the earlier. learn.microsoft.com: "Windows 11 release information".
var families = [][]int{{19041, 19042, 19043, 19044, 19045}, {22621, 22631}, {26100, 26200}}

// Related reports that two builds are the same, or of one family.
func Related(a, b int) bool {
	return a == b || slices.ContainsFunc(families, func(f []int) bool { return slices.Contains(f, a) && slices.Contains(f, b) })
}

// machine is what a source has to fit.
func (x *assessing) machine() (build, revision int, edition, arch string) {
	f := x.f
	text := f.Machine.Build
	edition, arch = f.Text(keyWindows, "EditionID").Value, f.Machine.Arch
	if f.Edition.State == facts.Present {
		e := f.Edition.Value
		if e.Build != "" {
			text = e.Build
		}
		if e.Product != "" {
			edition = e.Product
		}
		if e.Arch != "" {
			arch = e.Arch
		}
	}
	if text == "" {
		text = f.Text(keyWindows, "CurrentBuild").Value
	}
	build, revision = split(text)
	return build, revision, edition, arch
}

// split reads "22631.2428".
func split(s string) (build, revision int) {
	b, r, _ := strings.Cut(s, ".")
	build, _ = strconv.Atoi(b)
	revision, _ = strconv.Atoi(r)
	return build, revision
}

// given fits an image that somebody gave, or says why it does not fit.
func (x *assessing) given(img host.Image) (Source, message.Line) {
	build, _, _, _ := x.machine()
	switch {
	case len(img.Entries) == 0:
		return Source{}, message.Say("store.not.image")
	case build == 0:
		return Source{}, message.Say("store.not.machine")
	}
	if img.Kind == host.ImageFolder {
		e := img.Entries[0]
		if b, _ := split(e.Build); b != 0 && !Related(b, build) {
			return Source{}, message.Say("store.not.build", "have", e.Build, "want", strconv.Itoa(build))
		}
		if !host.RepairSource(img.Path) {
			return Source{}, message.Say("store.not.path")
		}
		return Source{Kind: FromFolder, Name: img.Path, Arg: img.Path}, message.Line{}
	}
	e, why := x.pick(img)
	if why.ID != "" {
		return Source{}, why
	}
	s := Source{Kind: FromImage, Name: img.Path + ", " + strconv.Itoa(e.Index), Arg: string(img.Kind) + ":" + img.Path + ":" + strconv.Itoa(e.Index)}
	if !host.RepairSource(s.Arg) {
		return Source{}, message.Say("store.not.path")
	}
	return s, message.Line{}
}

// pick finds the Windows in an image file that fits, or says why none does.
func (x *assessing) pick(img host.Image) (host.ImageEntry, message.Line) {
	build, _, edition, arch := x.machine()
	why := message.Line{}
	for _, e := range img.Entries {
		if x.opt.Index != 0 && e.Index != x.opt.Index {
			continue
		}
		if why = x.misfit(e, build, edition, arch); why.ID == "" {
			return e, why
		}
	}
	switch {
	case why.ID == "": // the index that was named is none of it
		return host.ImageEntry{}, message.Say("store.not.index", "index", strconv.Itoa(x.opt.Index), "count", strconv.Itoa(len(img.Entries)))
	case x.opt.Index == 0 && why.ID == "store.not.edition":
		var have []string
		for _, e := range img.Entries {
			have = append(have, e.Edition)
		}
		why = message.Say("store.not.edition", "have", strings.Join(have, ", "), "want", edition)
	}
	return host.ImageEntry{}, why
}

// Fit finds the Windows in an image that is the machine's own: its build or one that has
// the same files, its edition and its processor. Index 0 looks at all of them; a Windows
// folder has one, of which only the build is known.
func Fit(f *facts.Facts, img host.Image, index int) (host.ImageEntry, message.Line) {
	x := assessing{f: f, opt: Options{Index: index}}
	build, _, _, _ := x.machine()
	switch {
	case len(img.Entries) == 0:
		return host.ImageEntry{}, message.Say("store.not.image")
	case build == 0:
		return host.ImageEntry{}, message.Say("store.not.machine")
	case img.Kind != host.ImageFolder:
		return x.pick(img)
	}
	e := img.Entries[0]
	if b, _ := split(e.Build); !Related(b, build) {
		return host.ImageEntry{}, message.Say("store.not.build", "have", e.Build, "want", strconv.Itoa(build))
	}
	return e, message.Line{}
}

// misfit says why one Windows of an image is no source for this machine.
func (x *assessing) misfit(e host.ImageEntry, build int, edition, arch string) message.Line {
	b, revision := split(e.Build)
	switch {
	case arch != "" && e.Arch != "" && e.Arch != arch:
		return message.Say("store.not.arch", "have", e.Arch, "want", arch)
	case !Related(b, build):
		return message.Say("store.not.build", "have", e.Build, "want", strconv.Itoa(build))
	case edition != "" && !strings.EqualFold(e.Edition, edition):
		return message.Say("store.not.edition", "have", e.Edition, "want", edition)
	case revision > 0 && x.allNewer(revision):
		return message.Say("store.not.older", "have", e.Build)
	}
	return message.Line{}
}

// allNewer reports that everything that is known to be damaged came with updates
// after a revision: an image of that one holds none of it.
func (x *assessing) allNewer(revision int) bool {
	for _, f := range x.out.Faults {
		_, r := split(strings.TrimPrefix(f.Version, "10.0."))
		if !strings.HasPrefix(f.Version, "10.0.") || r <= revision {
			return false
		}
	}
	return len(x.out.Faults) > 0 && x.out.More == 0
}

// catalogue adds the packages of the catalogue that hold what is damaged.
func (x *assessing) catalogue() {
	wanted := x.out.KBs()
	var s Source
	for _, p := range x.opt.Packages {
		if slices.Contains(wanted, p.KB) {
			s.Packages = append(s.Packages, p)
		}
	}
	if len(s.Packages) == 0 {
		return
	}
	var names []string
	for _, p := range s.Packages {
		if !slices.Contains(names, p.KB) {
			names = append(names, p.KB)
		}
	}
	s.Kind, s.Name = FromPackage, strings.Join(names, ", ")
	x.out.Sources = append(x.out.Sources, s)
}

// KBs are the updates that a damaged or missing package, or one that is half
// installed, belongs to: those that the catalogue is asked for.
func (a Assessment) KBs() []string {
	var out []string
	add := func(kb string) {
		if kb != "" && !slices.Contains(out, kb) {
			out = append(out, kb)
		}
	}
	for _, f := range a.Faults {
		add(f.KB)
	}
	for _, p := range a.Packages {
		add(p.KB())
	}
	return out
}

// base is the last part of a path of Windows.
func base(p string) string { return path.Base(strings.ReplaceAll(p, `\`, "/")) }
