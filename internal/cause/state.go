package cause

import (
	"updoc/internal/codes"
	"updoc/internal/facts"
)

// Registry places that causes of servicing state read.
const (
	keyCBS              = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing`
	keyTrustedInstaller = `HKLM\SYSTEM\CurrentControlSet\Services\TrustedInstaller`
)

// Start types of a service; learn.microsoft.com: QUERY_SERVICE_CONFIG.
const (
	startManual   = 3
	startDisabled = 4
)

// STATE returns the causes that lie in work that is running, waits or was cut off.
func STATE() []*Cause {
	return []*Cause{
		{
			ID: "installer-busy", Family: "state", Prior: 1.5,
			Stages:   []facts.Stage{facts.StageInstall},
			Remedies: []string{"wait-other-install", "wait-and-retry", "restart-machine", "retry-install"},
			Check: evidence(
				conclusive("msi-already-running"),
				moderate("agent-install-refused"),
				moderate("agent-operation-in-progress"),
				moderate("cbs-busy"),
				moderate("note-other-install-running"),
				code(Strong, 0x80070652),
				code(Weak, 0x80240016, 0x80240009, 0x800F0902),
				missing("which installation is running: msiexec, TiWorker, another deployment tool"),
			),
		},
		{
			ID: "pending-operations-stuck", Family: "state", Prior: 3.5,
			Stages:  []facts.Stage{facts.StageInstall, facts.StageRestart, facts.StageSetup},
			LeadsTo: []string{"installer-busy"},
			Remedies: []string{
				"restart-machine", "revert-pending-actions-offline", "run-in-place-upgrade", "set-trustedinstaller-auto-until-restart",
				"remove-stale-driver-operation", "clean-old-setup-folders",
			},
			Check: evidence(
				conclusive("driver-queue-unreadable", "driver-queue-identity-missing", "driver-queue-value-missing"),
				strong("cbs-pending-transaction"),
				strong("operations-pending"),
				bootOperationFails,
				moderate("fast-startup"),
				moderate("restart-does-not-clear"),
				conclusive("restart-first"),
				moderate("restart-pending"),
				pendingNamed,
				moderate("revert-pending-fails"),
				moderate("undoing-loop"),
				moderate("post-reboot-still-pending"),
				strong("setup-cleanup-pending"),
				moderate("trustedinstaller-start-by-policy"),
				code(Strong, 0x800F0806, 0xC1900107),
				code(Weak, 0x80242014, 0x80070BC2, 0x800F082F),
				sessionsPending,
				keysPending,
				restartWaits,
				against(Moderate, "log-full", "rm-not-active"),
				against(Moderate, "msi-already-running"),
				cures("remove-stale-driver-operation", "driver-queue-unreadable", "driver-queue-identity-missing"),
				cures("repair-named-registry-value", "driver-queue-value-missing"),
				cures("set-trustedinstaller-auto-until-restart", "driver-queue-unreadable", "driver-queue-identity-missing", "driver-queue-value-missing"),
				trustedInstallerHeld,
				cures("restart-machine", "fast-startup"),
				cures("revert-pending-actions-offline", "applying-update-operation", "boot-stuck-updating", "wusa-already-installed"),
				cures("restart-machine", "setup-cleanup-pending"),
				cures("clean-old-setup-folders", "setup-cleanup-pending"),
				missing("DISM /Online /Get-Packages: what is Install Pending", "how the service TrustedInstaller starts"),
			),
		},
		{
			ID: "servicing-hang-timeout", Family: "state", Prior: 1,
			Stages:  []facts.Stage{facts.StageInstall, facts.StageRestart},
			LeadsTo: []string{"pending-operations-stuck"},
			Remedies: []string{
				"raise-servicing-timeout", "retry-install", "run-in-place-upgrade", "install-latest-cumulative-update",
				"tell-vm-owner-raise-resources", "test-without-antivirus-shield",
			},
			Check: evidence(
				conclusive("hang-detected"),
				moderate("servicing-aborted"),
				strong("block-time-increment"),
				moderate("note-slow-then-rolled-back"),
				strong("note-servicing-takes-hours"),
				weak("note-slow-machine"),
				code(Strong, 0x800F0920),
				code(Moderate, 0x800F0821),
				cures("raise-servicing-timeout", "hang-detected"),
				missing("\"HangDetect\" in CBS.log"),
			),
		},
		{
			ID: "transaction-log-full", Family: "state", Prior: 0.8,
			Stages: []facts.Stage{facts.StageInstall, facts.StageRestart},
			Remedies: []string{
				"reset-txf-log", "rename-txr-logs", "restart-machine", "run-dism-restorehealth", "remove-ghost-devices", "grow-txf-log",
				"revert-pending-actions-offline", "run-chkdsk-repair", "free-disk-space",
			},
			Check: evidence(
				strong("log-full"),
				conclusive("rm-not-active"),
				strong("transaction-not-active"),
				moderate("cbs-transaction-fails"),
				moderate("ktm-event"),
				moderate("note-txr"),
				helped(Strong, "txf-reset-helped"),
				weak("note-4k-disk"),
				weak("status-log-full"),
				code(Strong, 0x800719E4, 0x80071A91, 0x80071A92, 0x80071AA1, 0x80071AB1, 0xC0190003, 0x80071A2D),
				both(Moderate, "drivers-log-full", "note-ghost-devices"),
				transactionCures,
				missing("events of Ntfs and KtmRm around the failure", "fsutil resource info C:\\"),
			),
		},
	}
}

// bootOperationFails counts work at start that hangs or ended with a fatal error.
// Two of its codes tell of the log it writes to, not of the work itself.
func bootOperationFails(l *look) {
	if seen, logFull := l.first([]string{"status-log-full", "transaction-not-active"}); logFull {
		l.add(false, Weak, seen)
		return
	}
	if seen, ok := l.Mark("applying-update-operation"); ok {
		l.add(true, Strong, seen)
	} else if seen, ok := l.Mark("boot-stuck-updating"); ok {
		l.add(true, Moderate, seen)
	}
}

// sessionsPending reads whether an exclusive servicing session still waits.
func sessionsPending(l *look) {
	v := l.DWord(keyCBS+`\SessionsPending`, "Exclusive")
	if v.State != facts.Present || v.Value == 0 {
		return
	}
	w := Moderate
	if _, refused := l.Code(0x80070BC9); refused {
		w = Strong // servicing refuses work, and here is the work it waits for
	}
	l.For(w, v.Source, "SessionsPending\\Exclusive = %d", v.Value)
}

// keysPending reads the keys that exist only while servicing waits for a restart.
// One is there after every update, so it tells little alone.
func keysPending(l *look) {
	for _, name := range []string{"RebootPending", "PackagesPending", "RebootInProgress"} {
		if k := l.Subkeys(keyCBS + `\` + name); k.State == facts.Present {
			l.For(Weak, k.Source, "Component Based Servicing\\%s is there", name)
			return
		}
	}
}

// trustedInstallerHeld asks whether the start type keeps servicing from running
// at the next start: servicing sets it to Automatic by itself when a transaction
// waits, and a policy that puts it back leaves the transaction open.
// learn.microsoft.com: "Common Windows Update errors", 0x80070BC9.
func trustedInstallerHeld(l *look) {
	if _, ok := l.Mark("trustedinstaller-start-by-policy"); ok {
		l.Cure("set-trustedinstaller-auto-until-restart", "tell-policy-owner")
		return
	}
	start := l.DWord(keyTrustedInstaller, "Start")
	if start.State == facts.Present && start.Value == startDisabled {
		l.For(Moderate, start.Source, "TrustedInstaller is disabled")
		l.Cure("set-trustedinstaller-auto-until-restart")
		return
	}
	if s := l.Service("TrustedInstaller"); s.State == facts.Present && s.Value.Start == startDisabled {
		l.For(Moderate, s.Source, "TrustedInstaller is disabled")
		l.Cure("set-trustedinstaller-auto-until-restart")
		return
	}
	if _, stuck := l.Mark("cbs-pending-transaction"); stuck && start.State == facts.Present && start.Value == startManual {
		l.For(Weak, start.Source, "TrustedInstaller starts on demand although a transaction waits")
	}
}

// transactionCures tells the logs of the registry (TxR) from those of the file
// system (TxF), and a full log from a damaged one.
func transactionCures(l *look) {
	_, damaged := l.first([]string{"rm-not-active"})
	_, drivers := l.first([]string{"drivers-log-full", "note-ghost-devices"})
	_, full := l.first([]string{"log-full"})
	_, lost := l.first([]string{"transaction-not-active"})
	has := func(hs ...codes.HRESULT) bool {
		for _, h := range hs {
			if _, ok := l.Code(h); ok {
				return true
			}
		}
		return false
	}
	switch {
	case damaged || has(0x80071A91, 0x80071A92, 0x80071AA1):
		l.Cure("reset-txf-log", "restart-machine", "run-dism-restorehealth")
	case drivers && (full || has(0x800719E4)):
		l.Cure("remove-ghost-devices", "rename-txr-logs", "restart-machine")
	case lost || has(0xC0190003):
		l.Cure("restart-machine", "revert-pending-actions-offline", "grow-txf-log")
	case has(0x80071AB1):
		l.Cure("grow-txf-log", "free-disk-space", "rename-txr-logs")
	case full || has(0x800719E4):
		l.Cure("rename-txr-logs", "remove-ghost-devices", "restart-machine")
	}
}

// pendingNamed: files and keys of pending work are named, and not as what was
// cleared away in vain.
func pendingNamed(l *look) {
	if seen, ok := l.Mark("note-pending-xml"); ok && !l.triedInVain(seen) {
		l.add(true, Moderate, seen)
	}
}
