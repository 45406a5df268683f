package cause

import "updoc/internal/facts"

// keyControl holds RegistrySizeLimit, which old tuning guides set.
const keyControl = `HKLM\SYSTEM\CurrentControlSet\Control`

// FILES returns the causes that lie in rights, folders, links and the registry
// that servicing needs.
func FILES() []*Cause {
	return []*Cause{
		{
			ID: "file-permission-denied", Family: "files", Prior: 2,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageDownload, facts.StageSetup},
			Remedies: []string{"repair-named-permission", "check-file-locks", "run-dism-restorehealth", "run-in-place-upgrade"},
			Check: evidence(
				strong("csi-access-denied"),
				strong("cbs-access-denied"),
				moderate("installer-access-denied"),
				strong("spp-token-permission"),
				moderate("note-permissions-changed"),
				weak("note-access-denied"),
				code(Weak, 0x80070005),
				against(Moderate, "wusa-remote-denied"),
				against(Moderate, "note-service-rights", "sddl-denies", "sddl-of-reset-scripts"), // rights on a service, not on a file
				cures("repair-named-permission", "csi-access-denied", "cbs-access-denied", "spp-token-permission", "installer-access-denied", "note-permissions-changed"),
				missing("the file or key that CBS.log names before the refusal", "security programs at work"),
			),
		},
		{
			ID: "missing-system-folder", Family: "files", Prior: 0.8,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageSetup},
			Remedies: []string{"restore-missing-folder", "run-dism-restorehealth", "run-in-place-upgrade"},
			Check: evidence(
				pathMissing,
				strong("note-folder-missing"),
				weak("note-folder-moved"),
				against(Strong, "csi-link-broken"),
				against(Moderate, "csi-store-path-missing", "csi-driver-path-missing"),
				against(Moderate, "driver-step-failed"),
				cures("restore-missing-folder", "csi-path-missing", "note-folder-missing"),
				missing("the path that CBS.log names with STATUS_OBJECT_NAME_NOT_FOUND"),
			),
		},
		{
			ID: "broken-reparse-point", Family: "files", Prior: 0.5,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageSetup},
			Remedies: []string{"remove-broken-link", "restore-missing-folder", "retry-install"},
			Check: evidence(
				conclusive("csi-link-broken"),
				moderate("profile-linked"),
				against(Moderate, "profile-offline-path"),
				moderate("note-link"),
				helped(Strong, "link-removed-helped"),
				strong("note-folder-moved"),
				code(Strong, 0x80070781, 0x80071129, 0x80071128, 0x80071126),
				cures("remove-broken-link", "csi-link-broken", "note-folder-moved", "link-removed-helped"),
				missing("dir /AL /S of the folder that the log names"),
			),
		},
		{
			ID: "registry-size-limit", Family: "files", Prior: 0.2,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageScan},
			Remedies: []string{"remove-registry-size-limit", "close-programs", "restart-machine"},
			Check: evidence(
				conclusive("components-hive-no-resources"),
				strong("registry-limit-named"),
				registryLimit,
				code(Weak, 0x800705AA),
				against(Strong, "low-virtual-memory", "memory-short", "memory-eaten"),
				missing(`RegistrySizeLimit under HKLM\SYSTEM\CurrentControlSet\Control`),
			),
		},
	}
}

// pathMissing counts a path that is gone unless it lies in the component store
// or the driver store, which have causes of their own.
func pathMissing(l *look) {
	if seen, ok := l.Mark("csi-path-missing"); ok {
		_, store := l.first([]string{"csi-store-path-missing", "csi-driver-path-missing"})
		_, link := l.first([]string{"csi-link-broken"})
		if !store && !link {
			l.add(true, Conclusive, seen)
		}
	}
}

// registryLimit reads the limit itself: any value but 0 keeps hives from growing.
func registryLimit(l *look) {
	v := l.DWord(keyControl, "RegistrySizeLimit")
	switch {
	case v.State == facts.Present && v.Value != 0:
		l.For(Strong, v.Source, "RegistrySizeLimit = %d", v.Value)
	case v.State == facts.Absent:
		l.Against(Moderate, v.Source, "RegistrySizeLimit is not set")
	}
}
