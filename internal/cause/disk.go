package cause

import (
	"strings"

	"updoc/internal/facts"
)

// keyReserves says what reserved storage is doing.
const keyReserves = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\ReserveManager`

// DISK returns the causes that lie in room and in the hardware below it.
func DISK() []*Cause {
	return []*Cause{
		{
			ID: "disk-full-system", Family: "disk", Prior: 4,
			Stages:   []facts.Stage{facts.StageDownload, facts.StageInstall, facts.StageSetup},
			LeadsTo:  []string{"transaction-log-full", "corrupt-download", "datastore-corrupt"},
			Remedies: []string{"free-disk-space", "use-external-drive-for-setup", "clean-old-setup-folders", "run-component-cleanup"},
			Check: evidence(
				strong("disk-full"),
				conclusive("setup-needs-space", "note-disk-empty-room"),
				conclusive("status-log-full"),
				strong("note-disk-full"),
				moderate("note-wants-space"),
				weak("note-old-setup-folders"),
				code(Moderate, 0x80070070, 0xC190020E, 0x80070027),
				against(Strong, "boot-files-no-space", "winre-no-space"),
				against(Moderate, "note-small-boot-partition"),
				systemRoom,
				missing("free space of the system drive"),
			),
		},
		{
			ID: "disk-full-esp-srp", Family: "disk", Prior: 0.9,
			Stages:   []facts.Stage{facts.StageSetup, facts.StageInstall},
			LeadsTo:  []string{"secureboot-2023"},
			Remedies: []string{"free-efi-partition-space", "check-disk-health", "retry-install"},
			Check: evidence(
				issueOf("disk-full-esp-srp"),
				conclusive("boot-files-no-space"),
				strong("note-small-boot-partition"),
				bootPartitionRoom,
				against(Strong, "note-two-boot-disks"),
				missing("free space of the EFI or system reserved partition"),
			),
		},
		{
			ID: "wre-partition-too-small", Family: "disk", Prior: 1.2,
			Stages:   []facts.Stage{facts.StageInstall},
			Remedies: []string{"resize-winre-partition", "hide-update", "tell-known-issue"},
			Check: evidence(
				issueOf("wre-partition-too-small"),
				strong("winre-no-space"),
				winreUpdateFails,
				both(Strong, "winre-no-space", "dism-image-no-space"),
				against(Strong, "winre-disabled", "winre-gone"),
				against(Moderate, "dotnet-update-named"),
				against(Moderate, "msi-product-named"), // not an update of the recovery environment
				recoveryRoom,
				missing("reagentc /info", "size and free space of the recovery partition"),
			),
		},
		{
			ID: "temp-folder-full", Family: "disk", Prior: 0.4,
			Stages:   []facts.Stage{facts.StageInstall},
			Remedies: []string{"move-old-temp-files", "free-disk-space", "retry-install"},
			Check: evidence(
				conclusive("temp-names-exhausted"),
				moderate("note-temp-folder"),
				moderate("temp-path-wrong"),
				against(Moderate, "msi-already-running"),
				missing("number of files in C:\\Windows\\Temp"),
			),
		},
		{
			ID: "hardware-fault", Family: "disk", Prior: 1.5,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageSetup, facts.StageVerify, facts.StageDownload, facts.StageRestart},
			LeadsTo:  []string{"component-store-corrupt", "corrupt-download", "datastore-corrupt", "catroot2-corrupt", "transaction-log-full"},
			Remedies: []string{"check-disk-health", "run-memory-test", "run-chkdsk-repair", "tell-hardware-fault"},
			Check: evidence(
				strong("disk-bad-block"),
				moderate("disk-io-errors"),
				strong("hardware-error-events"),
				strong("file-system-damaged"),
				moderate("ntfs-damage-event"),
				strong("io-error-code"),
				strong("note-bad-hardware"),
				strong("note-bad-memory"),
				weak("disk-io-retries"),
				unrelatedDamage,
				both(Moderate, "download-digest-bad", "hash-mismatch"),
				code(Strong, 0x80070017, 0x8007045D, 0x80070571, 0x8007001E, 0x8007001D, 0x800703F8, 0x800703E7),
				code(Weak, 0x80070570),
				cures("run-memory-test", "note-bad-memory", "hardware-error-events"),
				cures("check-disk-health", "disk-bad-block", "disk-io-errors", "note-bad-hardware", "file-system-damaged", "ntfs-damage-event"),
				cures("tell-hardware-fault", "disk-bad-block", "note-bad-hardware"),
				cures("run-chkdsk-repair", "file-system-damaged", "ntfs-damage-event"),
				missing("disk, Ntfs and WHEA-Logger events", "SMART values of the disk", "a memory test"),
			),
		},
		{
			ID: "reserved-storage", Family: "disk", Prior: 0.2,
			Stages:   []facts.Stage{facts.StageInstall},
			Remedies: []string{"restart-machine", "reset-reserved-storage", "retry-install"},
			Check: evidence(
				strong("reserved-storage-in-use"),
				moderate("reserved-storage-named"),
				code(Strong, 0x800F0975),
				reserveScenario,
				missing("DISM /Online /Get-ReservedStorageState"),
			),
		},
		{
			ID: "winre-disabled", Family: "disk", Prior: 0.7,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageSetup},
			Remedies: []string{"restore-recovery-environment", "resize-winre-partition", "hide-update"},
			Check: evidence(
				conclusive("winre-gone"),
				strong("winre-disabled"),
				moderate("winre-image-missing"),
				weak("winre-kb-failed"),
				against(Strong, "winre-enabled"),
				missing("reagentc /info"),
			),
		},
	}
}

// winreUpdateFails counts an update of the recovery environment that ended with
// the general installer error: 0x80070643 stands for "too little room" there.
// support.microsoft.com: KB5034441, KB5028997.
func winreUpdateFails(l *look) {
	kb, named := l.Mark("winre-kb-failed")
	if !named {
		return
	}
	if _, ok := l.Code(0x80070643); ok {
		l.add(true, Strong, kb)
		return
	}
	l.add(true, Moderate, kb)
}

// unrelatedDamage looks at which components are damaged. One faulty update
// damages files of one component; a disk or memory that returns wrong data hits
// whatever is read.
func unrelatedDamage(l *look) {
	components := map[string]bool{}
	var last facts.Seen
	for _, seen := range l.Marks("sr-component-damaged") {
		_, after, ok := strings.Cut(seen.Text, " of ")
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(after, ",")
		components[name] = true
		last = seen
	}
	if len(components) >= 3 {
		l.add(true, Moderate, last)
	}
}

// reserveScenario reads whether an operation holds the reserve at the moment.
func reserveScenario(l *look) {
	v := l.DWord(keyReserves, "ActiveScenario")
	if v.State == facts.Present && v.Value != 0 {
		l.For(Weak, v.Source, "ReserveManager ActiveScenario = %d", v.Value)
	}
}
