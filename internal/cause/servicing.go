package cause

import (
	"strings"

	"updoc/internal/codes"
	"updoc/internal/facts"
)

// Codes with which the component store itself says that it is damaged; the many
// others that damage may cause stand in explains.
// learn.microsoft.com: "Fix Windows Update corruptions and installation failures".
var codesStore = []codes.HRESULT{0x80073712, 0x800F0831, 0x8007371B, 0x80073713, 0x800F0900, 0x800705B9, 0x800F0904, 0x800F0905}

// SERVICING returns the causes that lie in the component store and in the
// packages handed to it.
func SERVICING() []*Cause {
	return []*Cause{
		{
			ID: "component-store-corrupt", Family: "servicing", Prior: 8,
			Stages: []facts.Stage{facts.StageInstall, facts.StageVerify, facts.StageRestart, facts.StageSetup},
			Remedies: []string{
				"run-dism-restorehealth", "run-dism-restorehealth-from-source", "run-in-place-upgrade", "install-missing-package-from-catalog",
				"install-latest-cumulative-update", "restore-missing-payload-file", "remove-damaged-package", "import-servicing-registry", "run-sfc",
			},
			Check: evidence(
				strong("cbs-package-manifest-missing", "cbs-pin-deployment-missing", "cbs-mum-missing"),
				strong("cbs-payload-corrupt", "cbs-manifest-corrupt", "checksur-unrepaired"),
				strong("cbs-store-corrupt", "cbs-assembly-missing", "cbs-unserviceable"),
				strong("cbs-catalog-damaged", "cbs-registry-value-wrong", "components-hive-unreadable"),
				strong("cbs-file-missing-in-store", "csi-store-path-missing"),
				strong("psfx-delta-fails", "psfx-delta-combination"),
				strong("update-source-missing"),
				strong("servicing-stack-folder-damaged", "trustedinstaller-error-126"),
				strong("dism-found-corruption"),
				moderate("sfc-cannot-repair"),
				moderate("psfx-payload-missing"),
				moderate("tiworker-crashed"),
				strong("oc-package-unreadable"),
				moderate("perf-counters-damaged"),
				strong("event-provider-conflict"),
				moderate("dism-restore-failed"),
				weak("sfc-could-not-run"),
				weak("note-interrupted-update"),
				weak("note-upgrade-fails-without-lead"),
				weak("note-named-old-kb-missing"),
				code(Weak, codesStore...),
				against(Moderate, "dism-store-healthy"),
				storeMended,
				against(Weak, "sfc-all-fine"),
				against(Moderate, "sfc-known-false"),
				storeCures,
				missing("CBS.log around the first failing line", "DISM /Online /Cleanup-Image /ScanHealth"),
			),
		},
		{
			ID: "missing-payload-source", Family: "servicing", Prior: 1.5,
			Stages: []facts.Stage{facts.StageInstall, facts.StageVerify},
			Remedies: []string{
				"install-feature-from-local-source", "run-dism-restorehealth-from-source", "enable-features-from-windows-update",
				"check-update-policies", "check-proxy-state", "run-in-place-upgrade",
			},
			Check: evidence(
				strong("repair-source-unreadable"),
				moderate("repair-source-missing"),
				strong("source-policy-disallows"),
				weak("source-missing"),
				moderate("source-index-missing"),
				both(Moderate, "feature-needs-payload", "source-missing"),
				moderate("net35-payload-blocked"),
				moderate("feature-needs-payload"),
				moderate("note-media-source"),
				moderate("wim-index-or-build-differs"),
				code(Weak, 0x800F0906, 0x800F0907),
				against(Moderate, "cbs-package-manifest-missing", "cbs-pin-deployment-missing", "update-source-missing"),
				sourceCures,
				missing("whether a repair or a feature asked for files, and from where", "the policy on optional components and repair"),
			),
		},
		{
			ID: "missing-ssu-prerequisite", Family: "servicing", Prior: 1.5,
			Stages:   []facts.Stage{facts.StageInstall},
			Remedies: []string{"install-servicing-stack", "install-latest-cumulative-update", "install-legacy-agent-and-sha2", "retry-install"},
			Check: evidence(
				conclusive("cbs-needs-newer-stack"),
				moderate("note-old-servicing-stack"),
				code(Strong, 0x800F0823, 0x80242017),
				missing("the line with \"requires Servicing Stack\" in CBS.log"),
			),
		},
		{
			ID: "missing-checkpoint-prerequisite", Family: "servicing", Prior: 0.7,
			Stages: []facts.Stage{facts.StageInstall},
			Remedies: []string{
				"install-checkpoint-updates-together", "install-missing-package-from-catalog", "install-update-from-catalog", "check-package-applicability",
			},
			Check: evidence(
				conclusive("dism-checkpoint-content-missing"),
				strong("note-checkpoint"),
				moderate("note-prerequisite-missing"),
				weak("dism-msu-unattend-fails"),
				code(Strong, 0x80070228, 0x800F0838),
				cures("install-missing-package-from-catalog", "note-prerequisite-missing"),
				missing("the build of the image and the files in the folder of the .msu"),
			),
		},
		{
			ID: "superseded-or-not-applicable", Family: "servicing", Prior: 2,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageScan},
			Remedies: []string{"tell-nothing-to-repair", "check-package-applicability", "hide-update", "install-latest-cumulative-update"},
			Check: evidence(
				strong("wusa-already-installed"),
				strong("note-superseded"),
				moderate("update-not-applicable"),
				moderate("note-fails-on-some-machines"),
				moderate("driver-already-present"),
				code(Weak, 0x80240017, 0x800F081E),
				against(Strong, "cbs-needs-newer-stack"),
				against(Moderate, "note-prerequisite-missing", "note-checkpoint"),
				against(Moderate, "note-wrong-package"),
				against(Moderate, "operations-pending"),
				against(Strong, "note-wsus-uncleaned", "note-wsus-scan-endless"), // the server is full of superseded updates
				missing("what is installed already, and what replaces the update"),
			),
		},
		{
			ID: "wrong-architecture", Family: "servicing", Prior: 0.6,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageSetup},
			Remedies: []string{"check-package-applicability", "install-update-from-catalog", "redownload-matching-setup-media"},
			Check: evidence(
				architectureDiffers,
				strong("note-wrong-package"),
				weak("update-not-applicable"),
				code(Weak, 0x80240017, 0x800F081E, 0x800700C1, 0x800B0001),
				against(Moderate, "note-superseded", "wusa-already-installed"),
				missing("edition, build, language and architecture of machine and package"),
			),
		},
		{
			ID: "feature-on-demand-conflict", Family: "servicing", Prior: 0.5,
			Stages:   []facts.Stage{facts.StageSetup, facts.StageInstall},
			LeadsTo:  []string{"component-store-corrupt"},
			Remedies: []string{"remove-optional-features", "reinstall-removed-component", "run-dism-restorehealth", "retry-feature-update"},
			Check: evidence(
				strong("fod-fails"),
				weak("oc-package-unreadable"),
				moderate("fod-identity-mismatch"),
				strong("note-remove-optional-feature"),
				missing("the list of installed optional features", "setupact.log around the failing package"),
			),
		},
		{
			ID: "language-pack-damage", Family: "servicing", Prior: 0.8,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageSetup},
			LeadsTo:  []string{"component-store-corrupt"},
			Remedies: []string{"repair-language-packs", "remove-orphan-package-references", "run-dism-restorehealth", "run-in-place-upgrade"},
			Check: evidence(
				issueOf("language-pack-damage"),
				strong("language-package-fails"),
				moderate("note-language-pack"),
				languagesBesideStore,
				weak("fod-identity-mismatch"),
				against(Moderate, "setup-options-from-file"), // setup was told to take foreign packs along
				missing("DISM /Online /Get-Packages: language packs and their state"),
			),
		},
	}
}

// storeCures reads which repair the log asks for. Of all faults of the store
// only a few are mended by the same remedy: a package that is named wants that
// package, a file that is named wants that file, and RestoreHealth without a
// source cannot give what Windows Update no longer carries.
func storeCures(l *look) {
	seen := func(ids ...string) bool { _, ok := l.first(ids); return ok }
	switch {
	case seen("cbs-unserviceable"):
		l.Cure("run-in-place-upgrade")
	case seen("cbs-registry-value-wrong", "event-provider-conflict"):
		l.Cure("repair-named-registry-value", "run-dism-restorehealth", "run-in-place-upgrade")
	case seen("trustedinstaller-error-126"):
		l.Cure("repair-named-registry-value", "install-servicing-stack", "run-in-place-upgrade")
	case seen("servicing-stack-folder-damaged"):
		l.Cure("restore-missing-payload-file", "install-servicing-stack", "run-in-place-upgrade")
	case seen("cbs-catalog-damaged"):
		l.Cure("run-dism-restorehealth", "install-missing-package-from-catalog", "run-in-place-upgrade")
	case seen("cbs-package-manifest-missing", "cbs-pin-deployment-missing", "cbs-mum-missing", "note-named-old-kb-missing"):
		if seen("language-package-fails") {
			l.Cure("repair-language-packs")
		}
		l.Cure("install-missing-package-from-catalog", "run-dism-restorehealth", "run-dism-restorehealth-from-source")
	case seen("cbs-file-missing-in-store", "csi-store-path-missing"):
		l.Cure("restore-missing-payload-file", "run-dism-restorehealth", "install-update-from-catalog")
	case seen("psfx-delta-combination"):
		l.Cure("run-component-cleanup", "install-latest-cumulative-update", "run-dism-restorehealth")
	case seen("language-package-fails"):
		l.Cure("repair-language-packs", "run-dism-restorehealth", "run-dism-restorehealth-from-source")
	case seen("checksur-unrepaired", "repair-source-missing", "update-source-missing"):
		l.Cure("run-dism-restorehealth-from-source", "restore-missing-payload-file", "run-in-place-upgrade")
	case seen("psfx-payload-missing"):
		l.Cure("rename-download-folder", "run-dism-restorehealth", "install-update-from-catalog")
	case seen("tiworker-crashed"):
		l.Cure("restart-machine", "remove-damaged-package", "run-dism-restorehealth")
	case seen("note-upgrade-fails-without-lead"):
		l.Cure("run-dism-scanhealth", "run-in-place-upgrade")
	default:
		storeCuresByCode(l)
	}
}

// storeCuresByCode serves reports that hold a code and no log.
func storeCuresByCode(l *look) {
	for _, c := range []struct {
		code  codes.HRESULT
		cures []string
	}{
		// An earlier package is missing more often than a file is damaged.
		{0x800F0831, []string{"run-dism-restorehealth", "install-missing-package-from-catalog", "run-dism-restorehealth-from-source"}},
		{0x800F0988, []string{"run-component-cleanup", "install-latest-cumulative-update", "run-dism-restorehealth"}},
		{0x800F0991, []string{"rename-download-folder", "run-dism-restorehealth", "install-update-from-catalog"}},
		{0x800F0830, []string{"run-in-place-upgrade"}},
		{0x800706BE, []string{"restart-machine", "remove-damaged-package", "run-dism-restorehealth"}},
	} {
		if _, ok := l.Code(c.code); ok {
			l.Cure(c.cures...)
			return
		}
	}
}

// sourceCures tells a repair without a source from a feature without one.
func sourceCures(l *look) {
	seen := func(ids ...string) bool { _, ok := l.first(ids); return ok }
	repair := seen("repair-source-missing", "repair-source-unreadable", "checksur-unrepaired", "dism-restore-failed", "dism-found-corruption")
	feature := seen("feature-needs-payload", "net35-payload-blocked")
	switch {
	case repair && !feature:
		l.Cure("run-dism-restorehealth-from-source")
	case seen("source-policy-disallows"):
		l.Cure("enable-features-from-windows-update", "install-feature-from-local-source")
	case feature:
		l.Cure("install-feature-from-local-source")
	}
}

// languagesBesideStore counts language packs that somebody names when the code is
// one that half-installed languages give; people name them on other occasions too.
func languagesBesideStore(l *look) {
	seen, ok := l.Mark("note-language-pack")
	if !ok {
		return
	}
	for _, h := range []codes.HRESULT{0x80073701, 0x800736B3, 0x800F0982, 0x800F0984, 0x800F0818} {
		if _, ok := l.Code(h); ok {
			l.add(true, Weak, seen)
			return
		}
	}
}

// architectures as titles of updates and names of packages write them.
var architectures = []struct{ arch, title, mark string }{
	{"amd64", "x64-based", "package-x64"},
	{"386", "x86-based", "package-x86"},
	{"arm64", "arm64-based", "package-arm64"},
}

// architectureDiffers compares the machine with the packages that fail. Titles
// come first: a folder of evidence may name packages for other machines too.
func architectureDiffers(l *look) {
	machine := l.Machine.Arch
	if machine == "" {
		return
	}
	for _, f := range l.Failures {
		title := strings.ToLower(f.Update.Title)
		for _, a := range architectures {
			if a.arch != machine && strings.Contains(title, a.title) {
				l.For(Strong, "", "%s; this machine is %s", f.Update.Title, machine)
				return
			}
		}
	}
	own, foreign := facts.Seen{}, facts.Seen{}
	for _, a := range architectures {
		if seen, ok := l.Mark(a.mark); ok {
			if a.arch == machine {
				own = seen
			} else {
				foreign = seen
			}
		}
	}
	if foreign.Text != "" && own.Text == "" {
		l.add(true, Moderate, foreign)
	}
}

// storeMended: damage that the log itself calls repaired is no damage, as long
// as nothing else fails on the machine.
func storeMended(l *look) {
	if seen, ok := l.Mark("cbs-all-repaired"); ok && len(l.Suffering()) == 0 {
		l.add(false, Conclusive, seen)
	}
}
