package repair

import (
	"cmp"
	"slices"
	"strings"

	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/winlog"
)

// fitServicing fits the remedies for the component store and what is installed
// into it.
func fitServicing() map[string]fitter {
	return map[string]fitter{
		"run-dism-scanhealth":                  fitScanStore,
		"run-dism-restorehealth":               fitRestoreHealth,
		"run-dism-restorehealth-from-source":   fitFromSource,
		"run-sfc":                              fitSystemFiles,
		"run-component-cleanup":                fitCleanStore,
		"reset-reserved-storage":               fitReserve,
		"remove-damaged-package":               fitRemovePackage,
		"hide-update":                          fitHide,
		"uninstall-faulty-update":              fitUninstall,
		"install-update-from-catalog":          fitFromCatalogue,
		"install-latest-cumulative-update":     fitFromCatalogue,
		"install-missing-package-from-catalog": fitMissingPackage,
		"install-servicing-stack":              guide("cbs-needs-newer-stack", "note-old-servicing-stack"),
		"install-checkpoint-updates-together":  fitCheckpoints,
		"install-feature-from-local-source":    fitFromMedia,
		"install-legacy-agent-and-sha2":        fitLegacyAgent,
		"remove-orphan-package-references":     fitOrphanPackage,
		"import-servicing-registry":            guide("cbs-registry-value-wrong", "components-hive-unreadable"),
		"restore-missing-payload-file":         guideNamed("cbs-file-missing-in-store", "csi-store-path-missing", "driver-step-path-missing", "driver-step-file-missing", "driver-step-not-found", "cbs-payload-corrupt", "cbs-manifest-corrupt", "servicing-stack-folder-damaged"),
		"run-in-place-upgrade":                 fitUpgrade,
		"redownload-matching-setup-media":      fitFromMedia,
		"repair-language-packs":                guide("language-package-fails", "note-language-pack"),
		"remove-optional-features":             guide("fod-fails", "fod-identity-mismatch", "note-remove-optional-feature"),
		"reinstall-removed-component":          guide("edge-removed", "edge-step-failed", "component-removed", "removed-packages"),
		"read-servicing-log":                   fitRead(winlog.CBS),
		"check-package-applicability":          fitApplicability,
	}
}

// fitScanStore looks through the store; where a repair already said what is wrong
// there is nothing to find out.
func fitScanStore(f *fit) {
	f.runs("plan.lasting.only-looks", "dism", "/Online", "/Cleanup-Image", "/ScanHealth")
}

func fitCleanStore(f *fit) {
	if !f.restartPending() {
		f.runs("", "dism", "/Online", "/Cleanup-Image", "/StartComponentCleanup")
	}
}

// fitReserve switches reserved storage off and on, which leaves it on. Windows 10
// has it since version 1903; learn.microsoft.com: "DISM reserved storage command-line options",
// which are those of version 2004.
func fitReserve(f *fit) {
	if n := f.build(); n != 0 && n < 19041 {
		f.not("plan.windows-lacks-it")
		return
	}
	const keyReserves = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\ReserveManager`
	if v := f.DWord(keyReserves, "ShippedWithReserves"); v.State == facts.Present && v.Value == 0 {
		f.not("plan.reserve-off")
		return
	}
	if f.restartPending() {
		return
	}
	set := func(state string) host.Change {
		return host.Change{Kind: host.Run, Path: "dism", Args: []string{"/Online", "/Set-ReservedStorageState", "/State:" + state}}
	}
	f.step(Step{Change: set("Disabled"), Undo: []host.Change{set("Enabled")}})
	f.step(Step{Change: set("Enabled"), Lasting: "plan.lasting.on-again"})
}

// fitRemovePackage takes off the package that the log names. The servicing stack
// is what takes it off, so it is never that.
func fitRemovePackage(f *fit) {
	name := f.Servicing.Package
	switch {
	case !host.PackageName(name):
		f.not("plan.name-unknown")
	case strings.Contains(strings.ToLower(name), "servicingstack"):
		f.not("plan.servicing-stack")
	case f.restartPending():
	default:
		f.lead("plan.object", "name", name)
		f.lead("remedy.remove-damaged-package.how")
		f.step(Step{Change: host.Change{Kind: host.Run, Path: "dism", Args: []string{"/Online", "/Remove-Package", "/PackageName:" + name, "/NoRestart"}}, Restart: true})
	}
}

// fitHide hides the update that fails, until somebody shows it again.
func fitHide(f *fit) {
	id := failure(f.Facts).Update.ID
	if id == "" {
		f.not("plan.update-unknown")
		return
	}
	id, _, _ = strings.Cut(id, ".") // the revision is no part of what is hidden
	f.do(host.Change{Kind: host.Switch, Path: host.Setting("hidden-update", id), State: "yes"})
	if u := failure(f.Facts).Update; u.Title != "" || u.KB != "" {
		f.lead("plan.object", "name", quote(cmp.Or(u.Title, u.KB)))
	}
}

// failingKB is the number of the update that fails, "" if nothing tells.
func (f *fit) failingKB() string {
	if kb := failure(f.Facts).Update.KB; kb != "" {
		return kb
	}
	return f.Servicing.KB
}

// issue returns what Microsoft says of the update that fails: what it says with the
// code that it fails with, before what it says else.
func (f *fit) issue() (facts.KnownIssue, bool) {
	kb, code := f.failingKB(), failure(f.Facts).Code
	var found facts.KnownIssue
	for _, k := range facts.KnownIssues() {
		if !k.Covers(kb) || !k.Fits(f.Machine.Build) || k.Mended(f.Machine.Build) {
			continue
		}
		if k.Code != 0 && k.Code == code {
			return k, true
		}
		if found.KB == "" {
			found = k
		}
	}
	return found, found.KB != ""
}

// fitUninstall names the update; who says that it is faulty is said too.
func fitUninstall(f *fit) {
	if !f.tellIssue() {
		kb := f.failingKB()
		if kb == "" {
			f.not("plan.update-unknown")
			return
		}
		f.lead("plan.object", "name", kb)
	}
	f.lead("remedy.uninstall-faulty-update.how")
}

func (f *fit) tellIssue() bool {
	k, ok := f.issue()
	if ok {
		f.lead("plan.known-issue", "kb", k.KB, "says", orUnknown(k.Says), "fixed", orUnknown(k.FixedBy), "page", orUnknown(k.Source))
	}
	return ok
}

// fitFromCatalogue names what to look for in the catalogue.
func fitFromCatalogue(f *fit) {
	f.leadMachine()
	if kb := f.failingKB(); kb != "" && f.out.ID == "install-update-from-catalog" {
		f.lead("plan.object", "name", kb)
	}
	f.lead("remedy." + f.out.ID + ".how")
}

// fitMissingPackage names the package whose files are gone.
func fitMissingPackage(f *fit) {
	f.leadMachine()
	if host.PackageName(f.Servicing.Package) {
		f.lead("plan.object", "name", f.Servicing.Package)
	}
	guide("cbs-package-manifest-missing", "cbs-pin-deployment-missing", "cbs-mum-missing", "note-named-old-kb-missing", "note-prerequisite-missing")(f)
}

// fitCheckpoints: updates are built on checkpoints since Windows 11 24H2.
// learn.microsoft.com: "Checkpoint cumulative updates and Microsoft Update Catalog usage".
func fitCheckpoints(f *fit) {
	if n := f.build(); n != 0 && n < 26100 {
		f.not("plan.windows-lacks-it")
		return
	}
	fitFromCatalogue(f)
}

// fitLegacyAgent: Windows 10 renews its agent with every cumulative update and
// has always read the signatures of today.
func fitLegacyAgent(f *fit) {
	if f.generation() >= windows10 {
		f.not("plan.newer-windows")
		return
	}
	f.leadMachine()
	f.lead("remedy.install-legacy-agent-and-sha2.how")
}

// fitFromMedia says which media it takes.
func fitFromMedia(f *fit) {
	f.leadMachine()
	f.lead("remedy." + f.out.ID + ".how")
}

// leadMachine says what a package or a medium has to fit.
func (f *fit) leadMachine() {
	if f.Machine.Build == "" && f.Machine.OS == "" {
		return
	}
	arch := map[string]string{"amd64": "x64", "386": "x86", "arm64": "ARM64"}[f.Machine.Arch]
	edition := f.Text(keyCurrentVersion, "EditionID").Value
	f.lead("plan.this-machine", "os", orUnknown(f.Machine.OS), "build", orUnknown(f.Machine.Build), "arch", orUnknown(arch), "edition", orUnknown(edition))
}

// fitRead: logs of these kinds were read with everything else; where there was
// none a person is told where they lie.
func fitRead(kinds ...winlog.Kind) fitter {
	return func(f *fit) {
		for _, s := range f.Sources {
			if slices.Contains(kinds, s.Kind) {
				f.not("plan.looked-already", "what", s.Path)
				return
			}
		}
		f.byHand()
		f.lead("remedy." + f.out.ID + ".how")
	}
}

func fitApplicability(f *fit) {
	f.leadMachine()
	guide("note-wrong-package", "update-not-applicable", "wusa-already-installed")(f)
}
