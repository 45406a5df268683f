package cause

import (
	"slices"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/facts"
)

// Registry places that causes of setup read.
const (
	// Accounts that have or had a profile here, one subkey for each SID.
	keyProfileList = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList`
	// What the appraiser found when it looked at the machine for an upgrade.
	keyRequirements = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\AppCompatFlags\HwReqChk`
	keyIndicators   = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\AppCompatFlags\TargetVersionUpgradeExperienceIndicators`
)

// targets are the names under which the appraiser keeps its answers, by release.
var targets = []string{"GE25H2", "GE24H2", "NI23H2", "NI22H2", "CO21H2"}

// Codes of a system or device requirement that is not met.
var codesRequirement = []codes.HRESULT{0xC1900200, 0xC1900201, 0xC1900202, 0xC1900203, 0xC1900124, 0x80888002}

// SETUP returns the causes that stop an upgrade to a new version.
func SETUP() []*Cause {
	return []*Cause{
		{
			ID: "user-account-missing-profile", Family: "setup", Prior: 1,
			Stages:   []facts.Stage{facts.StageSetup, facts.StageInstall},
			Remedies: []string{"run-setupdiag", "clean-profile-list", "retry-feature-update"},
			Check: evidence(
				conclusive("profile-rule"),
				conclusive("profile-offline-path"),
				conclusive("profile-mismatch"),
				moderate("profile-in-setup"),
				strong("note-profile"),
				helped(Moderate, "note-profile-cured"),
				strong("per-user-installer-fails"),
				migrationStops,
				profileFailsAtEnd,
				profileEntries,
				weak("profile-event"),
				cures("clean-profile-list", "per-user-installer-fails", "profile-rule", "profile-offline-path", "profile-mismatch", "profile-in-setup", "note-profile", "note-profile-cured"),
				missing("ProfileList: entries that end in .bak, lie twice or name no folder", "the profile or object that setuperr.log names last"),
			),
		},
		{
			ID: "app-incompatible-block", Family: "setup", Prior: 1.5,
			Stages:   []facts.Stage{facts.StageSetup},
			Remedies: []string{"run-setupdiag", "uninstall-blocking-program", "retry-feature-update"},
			Check: evidence(
				conclusive("app-block"),
				conclusive("app-block-screen"),
				helped(Strong, "note-app-blocks"),
				moderate("app-block-attention"),
				moderate("app-still-blocked"),
				moderate("app-block-code"),
				against(Strong, "hardware-rule", "hardware-block-report", "compat-gated", "compat-fod", "media-language-rule"),
				against(Moderate, "hardware-screen", "driver-hardblock"),
				cures("uninstall-blocking-program", "app-block", "app-block-screen", "note-app-blocks", "app-block-attention", "app-still-blocked"),
				missing("CompatData*.xml in C:\\$WINDOWS.~BT\\Sources\\Panther", "SetupDiag on the logs of the failed upgrade"),
			),
		},
		{
			ID: "hardware-unsupported", Family: "setup", Prior: 1.2,
			Stages:   []facts.Stage{facts.StageSetup, facts.StageScan},
			Remedies: []string{"check-setup-requirements", "tell-hardware-unsupported", "update-firmware"},
			Check: evidence(
				conclusive("hardware-rule"),
				conclusive("hardware-block-report"),
				conclusive("hardware-not-capable"),
				conclusive("hardware-screen"),
				conclusive("processor-too-new"),
				strong("processor-features-hidden"),
				strong("clover-trail"),
				requirementNamed,
				moderate("hardware-setup-line"),
				requirementsRead,
				virtualInstead,
				against(Strong, "media-tool-edition", "media-installation-drives"),
				cures("update-firmware", "note-hardware-off"),
				missing("TPM, processor, Secure Boot, memory and disk against the requirements", "HwReqChk below AppCompatFlags"),
			),
		},
		{
			ID: "boot-config-mbr", Family: "setup", Prior: 1,
			Stages:   []facts.Stage{facts.StageSetup},
			Remedies: []string{"run-setupdiag", "unplug-devices", "convert-mbr-to-gpt", "update-firmware"},
			Check: evidence(
				conclusive("boot-layout-screen"),
				strong("boot-mode-rule"),
				strong("note-two-boot-disks"),
				both(Strong, "note-two-boot-disks", "boot-files-no-space"),
				helped(Strong, "two-boot-disks-helped"),
				helped(Strong, "boot-mode-changed"),
				strong("mbr2gpt-failed"),
				moderate("mbr2gpt"),
				moderate("note-boot-mode"),
				moderate("boot-store-unreadable"),
				conclusive("boot-layout-unknown"),
				moderate("boot-setup-line"),
				legacyStart,
				code(Strong, 0x80073BC3, 0x80073B92),
				cures("unplug-devices", "note-two-boot-disks", "two-boot-disks-helped"),
				cures("convert-mbr-to-gpt", "boot-layout-screen", "mbr2gpt", "mbr2gpt-failed", "legacy-firmware"),
				missing("disks, their partition styles and system partitions", "whether the machine starts by UEFI (msinfo32)"),
			),
		},
		{
			ID: "setupconfig-invalid", Family: "setup", Prior: 0.3,
			Stages:   []facts.Stage{facts.StageSetup},
			Remedies: []string{"rename-setupconfig-ini", "retry-feature-update", "read-update-log"},
			Check: evidence(
				conclusive("setupconfig-result"),
				strong("setupconfig-bad"),
				strong("setup-options-from-file"),
				strong("setupconfig-named"),
				strong("setup-command-line"),
				strong("unattend-bad"),
				code(Strong, 0xC190010A, 0xC190010C, 0xC190010D),
				missing(`SetupConfig.ini in %SystemDrive%\Users\Default\AppData\Local\Microsoft\Windows\WSUS`, "the command line that setup was started with"),
			),
		},
		{
			ID: "setup-media-mismatch", Family: "setup", Prior: 1,
			Stages:   []facts.Stage{facts.StageSetup},
			Remedies: []string{"redownload-matching-setup-media", "retry-feature-update", "check-disk-health"},
			Check: evidence(
				conclusive("media-language-rule"),
				conclusive("media-tool-edition"),
				strong("media-mismatch-screen"),
				strong("media-mismatch-note"),
				strong("media-damaged"),
				strong("media-setup-line"),
				moderate("media-rule"),
				moderate("media-tool-language"),
				code(Moderate, 0xC190010B, 0xC1900130, 0xC1900131, 0xC1900100, 0x8007025D),
				against(Moderate, "disk-bad-block", "note-bad-hardware"),
				missing("edition, language, architecture and build of the media and of the machine"),
			),
		},
		{
			ID: "virtual-machine-resources", Family: "setup", Prior: 0.5,
			Stages:   []facts.Stage{facts.StageSetup, facts.StageInstall},
			Remedies: []string{"tell-vm-owner-raise-resources", "check-setup-requirements", "retry-feature-update"},
			Check: evidence(
				virtualLacks,
				both(Strong, "memory-short", "note-vm"),
				moderate("setup-out-of-memory"),
				weak("memory-short"),
				missing("memory, processors, firmware and TPM that the virtual machine is given"),
			),
		},
	}
}

// atSetup reports whether an upgrade is among the failures.
func (l *look) atSetup() bool {
	return slices.ContainsFunc(l.Failures, func(f facts.Failure) bool { return f.Stage == facts.StageSetup && !f.Resolved })
}

// migrationStops counts an object that stopped the migration. Below a user's
// folder or key it is his profile; elsewhere it is a file of some program.
func migrationStops(l *look) {
	if seen, ok := l.Mark("migration-object-in-users"); ok {
		l.add(true, Moderate, seen)
		return
	}
	if seen, ok := l.first([]string{"migration-unit-rule", "migration-object"}); ok {
		l.add(true, Weak, seen)
	}
}

// profileFailsAtEnd counts an upgrade that ends with "data invalid" or "not
// found" after everything was copied: at that point setup only puts profiles in
// order. Field reports of 0xC1900101-0x50016 with 0x8007000D beside it.
func profileFailsAtEnd(l *look) {
	for _, f := range l.Failures {
		if f.Extend == 0x50016 && len(f.Seen) > 0 {
			if seen, ok := l.hit([]codes.HRESULT{0x8007000D, 0x80070002, 0x80070003, 0x80070534, 0x800707E7}); ok {
				l.add(true, Strong, seen)
			}
			return
		}
	}
}

// profileEntries reads the list of profiles: Windows renames an entry to .bak
// when it could not load the profile, and the account then has two.
func profileEntries(l *look) {
	keys := l.Subkeys(keyProfileList)
	if keys.State != facts.Present {
		return
	}
	have := map[string]bool{}
	for _, k := range keys.Value {
		have[strings.ToLower(k)] = true
	}
	for _, k := range keys.Value {
		sid, renamed := strings.CutSuffix(strings.ToLower(k), ".bak")
		if !renamed {
			continue
		}
		if have[sid] {
			l.For(Strong, keyProfileList, "%s lies beside the entry of the same account", k)
		} else {
			l.For(Moderate, keyProfileList, "%s", k)
		}
		l.Cure("clean-profile-list")
		return
	}
}

// requirementNamed counts what somebody says the machine lacks. People name their
// processor on any occasion, so it counts beside a refusal only.
func requirementNamed(l *look) {
	if seen, ok := l.Mark("note-hardware"); ok {
		l.add(true, Strong, seen)
		return
	}
	seen, ok := l.first([]string{"note-bypass-tool"})
	if ok && l.safeOS() {
		l.add(true, Moderate, seen)
		return
	}
	seen, ok = l.first([]string{"note-hardware-off", "note-old-processor"})
	if !ok {
		return
	}
	if _, refused := l.hit(codesRequirement); refused {
		l.add(true, Strong, seen)
		return
	}
	l.add(true, Weak, seen)
}

// requirementsRead reads what the appraiser measured and why it says no.
func requirementsRead(l *look) {
	if v := l.Value(keyRequirements, "HwReqChkVars"); v.State == facts.Present {
		list, _ := v.Value.Strings()
		for _, s := range list {
			name, value, _ := strings.Cut(s, "=")
			switch {
			case strings.EqualFold(value, "FALSE") && !strings.EqualFold(name, "SQ_SecureBootEnabled"),
				strings.EqualFold(name, "SQ_TpmVersion") && (value == "0" || value == "1"):
				l.For(Moderate, v.Source, "%s", s)
				return
			}
		}
	}
	for _, t := range targets {
		v := l.Value(keyIndicators+`\`+t, "RedReason")
		if v.State != facts.Present {
			continue
		}
		list, ok := v.Value.Strings()
		if s, isText := v.Value.String(); !ok && isText {
			list = []string{s}
		}
		for _, s := range list {
			if requirement(s) {
				l.For(Strong, v.Source, "%s: RedReason = %s", t, s)
				return
			}
		}
	}
}

// requirement reports whether a reason of the appraiser is a part of the machine.
func requirement(reason string) bool {
	for _, s := range []string{"Tpm", "Uefi", "SecureBoot", "Cpu", "Processor", "Memory", "SystemDriveSize", "Disk", "Popcnt", "Sse4"} {
		if strings.Contains(strings.ToLower(reason), strings.ToLower(s)) {
			return true
		}
	}
	return false
}

// virtualInstead: what a virtual machine lacks its owner can give it.
func virtualInstead(l *look) {
	if seen, ok := l.Mark("processor-not-listed"); ok { // it is the host's, and no setting of the machine gives another
		l.add(true, Strong, seen)
		return
	}
	if seen, ok := l.Mark("note-vm"); ok {
		if _, lacks := l.first([]string{"vm-lacks", "vm-memory"}); lacks {
			l.add(false, Conclusive, seen)
		}
	}
}

// legacyStart counts a machine that starts the old way, which matters only for
// an upgrade that was refused or went back before its first start.
func legacyStart(l *look) {
	seen, ok := l.Mark("legacy-firmware")
	if !ok {
		return
	}
	_, refused := l.hit([]codes.HRESULT{0xC1900200})
	if refused || l.safeOS() {
		l.add(true, Moderate, seen)
	}
}

// safeOS reports an upgrade that went back in the small system that setup starts
// in between: the phase is the upper half of the extend code.
// learn.microsoft.com: "Windows upgrade error codes".
func (l *look) safeOS() bool {
	return slices.ContainsFunc(l.Failures, func(f facts.Failure) bool { return f.Code == 0xC1900101 && f.Extend>>16 == 2 })
}

// virtualLacks counts a virtual machine together with what it is not given;
// neither says anything alone.
func virtualLacks(l *look) {
	vm, ok := l.Mark("note-vm")
	if !ok {
		return
	}
	cured, helped := l.Mark("vm-resources-helped")
	lacks, short := l.first([]string{"vm-lacks", "vm-memory", "vm-out-of-memory"})
	switch {
	case helped && short && !l.vain():
		l.add(true, Conclusive, cured)
	case helped && !l.vain():
		l.add(true, Strong, cured)
	case short:
		l.add(true, Strong, lacks)
	default:
		if _, refused := l.hit(codesRequirement); refused {
			l.add(true, Moderate, vm)
			return
		}
		if l.atSetup() {
			l.add(true, Weak, vm)
		}
	}
}
