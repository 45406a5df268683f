package cause

import (
	"slices"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/winlog"
)

// Codes that a file gives which somebody else holds open or refuses.
var codesHeld = []codes.HRESULT{0x80070020, 0x8024800F, 0x80070021, 0x80070005, 0x80240022, 0x80070012}

// Codes of a program or file that somebody refuses.
var codesRefused = []codes.HRESULT{0x80070005, 0x80070020, 0x800704EC, 0x800711C7}

// Codes with which servicing ends when a part that it wants to renew is gone.
var codesPartGone = []codes.HRESULT{
	0x80073701, 0x80073712, 0x80070002, 0x80070003, 0x80070490, 0x80073CFA, 0x80073CF1, 0x80073D02,
}

// facilityCBS is the upper half of the codes of servicing; all of them fit but
// those that say where a feature may be fetched from, or what must come first.
const facilityCBS = 0x800F

var codesNotPartGone = []codes.HRESULT{0x800F0906, 0x800F0907, 0x800F0950, 0x800F0954, 0x800F0823, 0x800F081E}

// filterAntivirus is the load order group of antivirus filters.
const filterAntivirus = "FSFilter Anti-Virus"

// CONFLICT returns the causes that lie in other people's software.
func CONFLICT() []*Cause {
	return []*Cause{
		{
			ID: "third-party-antivirus", Family: "conflict", Prior: 3,
			Stages:   []facts.Stage{facts.StageDownload, facts.StageInstall, facts.StageSetup, facts.StageVerify},
			LeadsTo:  []string{"corrupt-download"},
			Remedies: []string{"test-without-antivirus-shield", "add-antivirus-exclusions", "uninstall-third-party-antivirus", "tell-vendor-conflict"},
			Check: evidence(
				issueOf("third-party-antivirus"),
				strong("av-blocks", "av-holds-file"),
				helped(Strong, "av-off-helped"),
				antivirusProved,
				trial("test-without-antivirus-shield"),
				strong("av-ate-file"),
				moderate("av-compat-block"),
				antivirusNamed,
				strong("note-av-refuses-sha2"),
				both(Strong, "av-named", "note-fine-without-it"),
				helped(Moderate, "av-excluded-folders"),
				antivirusFilters,
				registeredAntivirus,
				weak("av-registered", "av-in-filter-list"),
				weak("file-in-use"),
				code(Strong, 0x800700E1, 0x800700E2),
				against(Moderate, "app-control-blocked", "app-control-event"),
				antivirusCures,
				missing("fltmc filters", "which antivirus Windows Security lists", "who holds the file that the log names"),
			),
		},
		{
			ID: "third-party-filter-driver", Family: "conflict", Prior: 1,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageSetup, facts.StageRestart},
			Remedies: []string{"check-file-locks", "stop-interfering-program", "tell-vendor-conflict", "run-clean-boot"},
			Check: evidence(
				helped(Strong, "filter-blamed"),
				foreignEncryption,
				strong("thawed-at-restart"),
				moderate("note-filter-driver"),
				moderate("note-filter-product"),
				moderate("setup-filter-rule"),
				moderate("csi-filter-blocks"),
				foreignFilters,
				cures("stop-interfering-program", "filter-blamed", "thawed-at-restart", "note-foreign-encryption"),
				missing("fltmc filters", "UpperFilters and LowerFilters of disk classes"),
			),
		},
		{
			ID: "third-party-software-conflict", Family: "conflict", Prior: 1.5,
			Stages:   []facts.Stage{facts.StageScan, facts.StageInstall, facts.StageSetup, facts.StageDownload},
			Remedies: []string{"check-file-locks", "stop-interfering-program", "run-clean-boot", "uninstall-blocking-program"},
			Check: evidence(
				issueOf("third-party-software-conflict"),
				helped(Strong, "clean-boot-helped"),
				strong("note-clean-boot"),
				helped(Conclusive, "program-toggled"),
				helped(Strong, "program-blamed"),
				strong("service-stopped-by"),
				strong("memory-eaten", "volume-unasked"),
				strong("note-packet-tool"),
				strong("shell-patcher"),
				strong("program-folder-in-migration"),
				strong("task-touches-updates"),
				strong("wu-foreign-caller"),
				moderate("setup-script-failed"),
				weak("plugin-aborts-setup", "migration-unit-rule"),
				weak("program-named"),
				weak("file-in-use"),
				against(Moderate, "av-blocks"),
				cures("close-programs", "memory-eaten"),
				cures("run-clean-boot", "clean-boot-helped", "note-clean-boot", "memory-eaten"),
				cures("uninstall-blocking-program", "program-blamed"),
				cures("uninstall-blocking-program", "shell-patcher"),
				cures("stop-interfering-program", "note-packet-tool", "task-touches-updates", "service-stopped-by", "program-blamed", "program-toggled"),
				missing("one attempt after a clean boot", "who holds the file that the log names"),
			),
		},
		{
			ID: "third-party-software-reboot", Family: "conflict", Prior: 0.4,
			Stages:   []facts.Stage{facts.StageSetup, facts.StageInstall},
			Remedies: []string{"stop-interfering-program", "retry-feature-update", "tell-vendor-conflict"},
			Check: evidence(
				strong("note-program-restarts"),
				restartedByProgram,
				moderate("shutdown-stops-setup"),
				code(Weak, 0x8007045B),
				against(Strong, "setup-cancelled"), // by a person
				against(Moderate, "hang-detected"),
				missing("event 1074 of User32 at the minute of the restart"),
			),
		},
		{
			ID: "removed-system-component", Family: "conflict", Prior: 1.5,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageSetup},
			LeadsTo:  []string{"component-store-corrupt", "missing-payload-source"},
			Remedies: []string{"reinstall-removed-component", "run-dism-restorehealth-from-source", "run-in-place-upgrade"},
			Check: evidence(
				edgeRemoved,
				strong("edge-step-failed"),
				strong("modified-windows"),
				moderate("image-tool"),
				strong("deleted-files-of-windows"),
				strong("store-part-deleted"),
				helped(Strong, "component-back-helped"),
				componentRemoved,
				debloated,
				cures("reinstall-removed-component", "edge-removed", "edge-step-failed", "component-back-helped"),
				cures("run-in-place-upgrade", "modified-windows", "deleted-files-of-windows"),
				missing("what was removed, and with which tool", "the package that CBS.log names first"),
			),
		},
		{
			ID: "edr-wdac-block", Family: "conflict", Prior: 0.8,
			Stages:   []facts.Stage{facts.StageDownload, facts.StageInstall, facts.StageSetup},
			Remedies: []string{"tell-security-team-blocking", "check-file-locks", "retry-install"},
			Check: evidence(
				conclusive("app-control-event"),
				strong("app-control-blocked"),
				helped(Strong, "edr-blamed"),
				endpointNamed,
				moderate("app-control-named"),
				moderate("dismhost-refused"),
				managedFilters,
				weak("app-control-event-other"),
				code(Strong, 0x800711C7),
				code(Moderate, 0x800704EC),
				missing("events of CodeIntegrity, AppLocker and Windows Defender at the minute of the failure", "the console of the endpoint protection"),
			),
		},
	}
}

// vain reports whether the note says that what it lists did not cure.
func (l *look) vain() bool {
	return l.mentioned("note-nothing-helped")
}

// triedInVain reports whether a sentence of a note is about what was tried, where the
// note says that nothing of it cured. What is only said to be there still counts.
func (l *look) triedInVain(seen facts.Seen) bool {
	return l.vain() && trying().MatchString(seen.Text)
}

// trying finds the words for what people do against a failure.
var trying = lazily(`(?i)\b(tried|try|trying|uninstall\w*|disabl\w*|deactivat\w*|remov\w*|turn(ed|ing)? off|switch(ed|ing)? off|reset\w*|renam\w*|delet\w*|clear(ed|ing)|reinstall\w*|repair\w*|ran|without|off:|nothing (helps|helped|works|worked)|versucht|deinstall\w*|deaktivier\w*)`)

// antivirusNamed counts an antivirus that somebody names: more where the code is
// one that a held file gives, nothing where it is listed among what was tried.
func antivirusNamed(l *look) {
	seen, named := l.Mark("av-named")
	named = named && !l.triedInVain(seen)
	_, held := l.hit(codesHeld)
	mention, ok := l.Mark("av-mentioned")
	ok = ok && !l.triedInVain(mention)
	switch {
	case named && held:
		l.add(true, Strong, seen)
	case named:
		l.add(true, Moderate, seen)
	case ok && held:
		l.add(true, Moderate, mention)
	case ok:
		l.add(true, Weak, mention)
	}
}

// antivirusProved counts an antivirus that is blamed and whose absence cured.
func antivirusProved(l *look) {
	if !l.vain() {
		both(Conclusive, "av-blocks", "av-off-helped")(l)
	}
}

// endpointNamed counts a managed endpoint protection that somebody names, more
// where a file or a program was refused.
func endpointNamed(l *look) {
	seen, ok := l.Mark("edr-named")
	if !ok || l.triedInVain(seen) {
		return
	}
	if _, refused := l.hit(codesRefused); refused {
		l.add(true, Strong, seen)
		return
	}
	l.add(true, Moderate, seen)
}

// foreign returns the filters that do not come from Microsoft and pass want.
func (l *look) foreign(want func(winlog.Filter) bool) []winlog.Filter {
	var out []winlog.Filter
	for _, f := range l.Filters.Value {
		if !f.Microsoft && want(f) {
			out = append(out, f)
		}
	}
	return out
}

// forFilters records filters as one piece of evidence.
func (l *look) forFilters(w Weight, list []winlog.Filter) {
	if len(list) == 0 {
		return
	}
	names := make([]string, len(list))
	for i, f := range list {
		names[i] = f.Name + " " + f.Altitude
	}
	l.For(w, l.Filters.Source, "filter drivers of other makers: %s", strings.Join(names, ", "))
}

func isAntivirus(f winlog.Filter) bool { return f.Group == filterAntivirus }

// antivirusFilters reads the loaded filters: a foreign antivirus sees every file
// that is written. Where none is loaded, none can stand in the way.
func antivirusFilters(l *look) {
	if l.Filters.State != facts.Present || len(l.Filters.Value) == 0 {
		return
	}
	list := l.foreign(func(f winlog.Filter) bool { return isAntivirus(f) && !isManaged(f) })
	if len(list) == 0 {
		l.Against(Moderate, l.Filters.Source, "no filter driver of a foreign antivirus is loaded")
		return
	}
	w := Weak
	if _, held := l.hit(codesHeld); held {
		w = Moderate
	}
	l.forFilters(w, list)
}

// managed are filters of endpoint protection that an organisation runs.
// learn.microsoft.com: "Allocated filter altitudes".
var managed = []string{
	"csagent", "csdevicecontrol", "sentinelmonitor", "sentineldevicecontrol", "cyprotectdrv", "cyoptics", "cbk7", "carbonblackk", "parity", "ctifile", "cbdisk", "cyvrmtgn",
	"cyvrfsfd", "tedrdrv", "tedrpers", "fekern", "esensor", "elasticendpoint", "elastic-endpoint", "deepinsfs", "fortiedrcollector", "fortiaptfilter", "sophosed", "taniumrecorder",
	"threatlocker", "airlock", "avectodefendpoint", "pgdriver", "vfpd", "swin", "swenum2", "brcow", "morphisec", "epregflt", "hrwfpdrv", "crexpcr", "minicrypto", "cybereasonaps",
}

func isManaged(f winlog.Filter) bool {
	name := strings.ToLower(f.Name)
	for _, m := range managed {
		if name == m || len(m) > 6 && strings.HasPrefix(name, m) {
			return true
		}
	}
	return false
}

// managedFilters counts endpoint protection that is loaded; it is on every
// machine of an organisation, so it tells little by itself.
func managedFilters(l *look) {
	w := Weak
	if _, held := l.hit(codesRefused); held {
		w = Moderate
	}
	l.forFilters(w, l.foreign(isManaged))
}

// foreignFilters counts filters of other makers that are neither antivirus nor
// endpoint protection: encryption, backup, imaging, virtualisation.
func foreignFilters(l *look) {
	if l.Filters.State != facts.Present || len(l.Filters.Value) == 0 {
		return
	}
	list := l.foreign(func(f winlog.Filter) bool { return !isAntivirus(f) && !isManaged(f) })
	if len(list) == 0 {
		l.Against(Moderate, l.Filters.Source, "no filter driver of another maker is loaded")
		return
	}
	w := Weak
	if _, held := l.hit(codesHeld); held {
		w = Moderate
	}
	for _, f := range list {
		if f.Legacy || f.Group == "FSFilter Encryption" {
			w = Moderate
		}
	}
	l.forFilters(w, list)
}

// foreignEncryption counts disk encryption that is not Microsoft's: the system
// that setup starts in between cannot read the disk below it. When the upgrade
// went back at that point it is the likeliest reason.
func foreignEncryption(l *look) {
	seen, ok := l.Mark("note-foreign-encryption")
	if !ok {
		return
	}
	for _, f := range l.Failures {
		if f.Stage == facts.StageSetup || f.Code == 0xC1900101 {
			l.add(true, Strong, seen)
			return
		}
	}
	l.add(true, Moderate, seen)
}

// antivirusCures: an upgrade wants the program gone, an update mostly only wants
// it to let go of a file.
func antivirusCures(l *look) {
	if _, ok := l.Mark("av-excluded-folders"); ok {
		l.Cure("add-antivirus-exclusions")
	}
	if _, ok := l.first([]string{"av-compat-block", "av-gone-helped"}); ok || l.atSetup() {
		l.Cure("uninstall-third-party-antivirus")
	}
}

// restartedByProgram counts a restart that another program asked for. Programs do
// so on sound machines too, so setup must have been cut off by a shutdown to make
// it the cause. learn.microsoft.com: Troubleshoot "Shutdown in Progress" Windows error 0x8007045b.
func restartedByProgram(l *look) {
	_, cut := l.hit([]codes.HRESULT{0x8007045B, 0x800704D3, 0xC1900106, 0xC1900102})
	if seen, ok := l.Mark("restart-by-program"); ok {
		if cut {
			l.add(true, Conclusive, seen)
		} else {
			l.add(true, Moderate, seen)
		}
		return
	}
	if seen, ok := l.Mark("restart-by-script"); ok && cut {
		l.add(true, Strong, seen)
	}
}

// partGone reports what servicing shows where parts are missing: its codes, and an
// update that went in and was put back at the restart. A service or a policy that is
// switched off keeps an update from coming; it does not put one back.
func (l *look) partGone() bool {
	if _, ok := l.hit(codesPartGone); ok {
		return true
	}
	return slices.ContainsFunc(l.Failures, func(f facts.Failure) bool {
		return f.Code>>16 == facilityCBS && !slices.Contains(codesNotPartGone, f.Code) || f.Kind == facts.KindReverted && !f.Resolved
	})
}

// edgeRemoved counts a machine without Edge. The cumulative update renews Edge in
// an installer step of its own, so an installer that fails, or an update that is
// put back, settles it.
func edgeRemoved(l *look) {
	seen, ok := l.Mark("edge-removed")
	if !ok {
		return
	}
	_, installer := l.hit([]codes.HRESULT{0x800F0922, 0x800F081F})
	undone := slices.ContainsFunc(l.Failures, func(f facts.Failure) bool { return f.Kind == facts.KindReverted })
	if (installer || undone) && !l.vain() {
		l.add(true, Conclusive, seen)
		return
	}
	l.add(true, Strong, seen)
}

// componentRemoved counts parts of Windows that somebody says were taken out.
// Apps of the Store come and go without harm, so the code must fit.
func componentRemoved(l *look) {
	if _, edge := l.Mark("edge-removed"); edge {
		return // counted already
	}
	seen, ok := l.first([]string{"component-removed", "removed-packages"})
	switch {
	case !ok:
	case l.partGone():
		l.add(true, Strong, seen)
	default:
		l.add(true, Moderate, seen)
	}
}

// settingsOfTools name what a tool switched, so that nothing needs to be supposed of it.
var settingsOfTools = []string{
	"note-services-tuned", "note-service-disabled", "scm-service-disabled", "scm-set-to-disabled", "note-policy-disables", "note-update-policy",
}

// debloated counts tools that may take parts out. They mostly switch services
// and policies off, which is another cause; a code of servicing tells them apart, and
// so does the setting itself where somebody names it: then the tool is how it came.
func debloated(l *look) {
	seen, ok := l.Mark("debloat-tool")
	setting, named := l.first(settingsOfTools)
	_, removed := l.first([]string{"component-removed", "removed-packages", "edge-removed", "deleted-files-of-windows", "store-part-deleted"})
	switch {
	case !ok:
	case named && !removed:
		l.add(false, Moderate, setting)
	case l.partGone():
		l.add(true, Strong, seen)
	default:
		l.add(true, Weak, seen)
	}
}
