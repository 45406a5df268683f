package cause

import "updoc/internal/facts"

// DRIVERS returns the causes that lie in drivers and device entries.
func DRIVERS() []*Cause {
	return []*Cause{
		{
			ID: "driver-store-missing-files", Family: "drivers", Prior: 1.2,
			Stages: []facts.Stage{facts.StageInstall, facts.StageRestart, facts.StageSetup},
			Remedies: []string{
				"restore-deleted-service", "restore-missing-payload-file", "run-in-place-upgrade", "repair-named-registry-value", "run-dism-restorehealth",
			},
			Check: evidence(
				driverStepFails,
				strong("csi-driver-path-missing"),
				strong("driver-package-missing-file"),
				moderate("setupapi-file-missing"),
				strong("wimmount-missing"),
				strong("note-inbox-driver"),
				driverStoreCures,
				missing("the .inf that CBS.log names after \"Doqe: Recording result\"", "setupapi.dev.log around the same minute"),
			),
		},
		{
			ID: "driver-incompatible", Family: "drivers", Prior: 6,
			Stages: []facts.Stage{facts.StageSetup, facts.StageInstall, facts.StageRestart},
			Remedies: []string{
				"run-setupdiag", "update-or-remove-driver", "unplug-devices", "update-firmware", "run-clean-boot", "tell-vendor-conflict", "run-in-place-upgrade",
				"retry-feature-update",
			},
			Check: evidence(
				issueOf("driver-incompatible"),
				strong("upgrade-driver-rule"),
				strong("driver-hardblock"),
				strong("driver-package-refused"),
				strong("note-driver-cured"),
				strong("sector-size"),
				hardwareNamedBesideUpgrade,
				moderate("bluescreen"),
				moderate("setup-devices-last"),
				moderate("driver-update-failed"),
				weak("device-install-failed"),
				against(Strong, "driver-step-failed"),
				against(Moderate, "device-exists-already", "driver-already-present"),
				cures("update-or-remove-driver", "upgrade-driver-rule", "driver-hardblock", "driver-package-refused", "note-driver-cured", "sector-size", "driver-update-failed"),
				cures("run-setupdiag", "note-upgrade-fails-without-lead"),
				cures("run-in-place-upgrade", "note-upgrade-fails-without-lead"),
				missing("SetupDiag on the logs of the failed upgrade", "setupapi.dev.log", "devices with a warning in Device Manager"),
			),
		},
		{
			ID: "stale-device-registry", Family: "drivers", Prior: 0.4,
			Stages:   []facts.Stage{facts.StageInstall},
			Remedies: []string{"remove-stale-device-key", "remove-ghost-devices", "retry-install"},
			Check: evidence(
				conclusive("device-exists-already"),
				strong("root-devices-installer-failed"),
				moderate("note-stale-device"),
				weak("note-ghost-devices"),
				code(Strong, 0x800F0207),
				missing("the device that setupapi.dev.log names"),
			),
		},
	}
}

// driverStepFails counts the driver step of an update that rolled back. When its
// result is a full log the drivers are not at fault.
func driverStepFails(l *look) {
	seen, ok := l.Mark("driver-step-failed")
	if !ok {
		return
	}
	if _, full := l.Mark("drivers-log-full"); full {
		l.add(false, Moderate, seen)
		return
	}
	w := Strong
	if _, told := l.first([]string{"driver-step-inf", "driver-step-file-missing", "driver-step-path-missing", "driver-step-invalid-data", "driver-step-not-found"}); told {
		w = Conclusive
	}
	l.add(true, w, seen)
}

// driverStoreCures reads what is gone: a service key comes back from a twin or a
// shadow copy, a folder from the component store, a damaged database from a
// repair of Windows over itself only.
func driverStoreCures(l *look) {
	seen := func(ids ...string) bool { _, ok := l.first(ids); return ok }
	switch {
	case seen("wimmount-missing"):
		l.Cure("restore-deleted-service")
	case seen("driver-step-invalid-data"):
		l.Cure("repair-named-registry-value", "run-in-place-upgrade")
	case seen("driver-step-not-found"):
		l.Cure("restore-missing-payload-file", "repair-named-registry-value", "run-in-place-upgrade")
	case seen("driver-step-path-missing"):
		l.Cure("restore-missing-payload-file", "run-in-place-upgrade")
	case seen("driver-step-file-missing"):
		l.Cure("restore-deleted-service", "restore-missing-payload-file")
	}
}

// hardwareNamedBesideUpgrade counts a device that somebody names only when an
// upgrade rolled back: people list their hardware on any occasion.
func hardwareNamedBesideUpgrade(l *look) {
	seen, ok := l.Mark("note-hardware-named")
	if !ok {
		return
	}
	for _, f := range l.Failures {
		if f.Code == 0xC1900101 {
			l.add(true, Moderate, seen)
			return
		}
	}
	l.add(true, Weak, seen)
}
