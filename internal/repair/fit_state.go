package repair

import (
	"slices"

	"updoc/internal/facts"
	"updoc/internal/host"
)

// fitState fits the remedies for state left behind by interrupted work, for
// trying again, and for waiting.
func fitState() map[string]fitter {
	return map[string]fitter{
		"retry-scan":                          fitRetry(facts.StageScan),
		"retry-download":                      fitRetry(facts.StageDownload, facts.StageVerify),
		"retry-install":                       fitRetry(facts.StageInstall, facts.StageRestart),
		"retry-scan-until-complete":           again(7, 0, fitRetry(facts.StageScan)), // each search goes on where the last one was cut off
		"wait-and-retry":                      again(4, 5, fitRetry()),
		"wait-other-install":                  again(3, 5, fitRetry()),
		"retry-scan-against-microsoft-update": fitAskMicrosoft,
		"wait-server-side-fix":                because,
		"retry-feature-update":                fitAgainAfterRestart,
		"restart-machine":                     fitRestartMachine,
		"raise-servicing-timeout":             fitServicingTimeout,
		"reset-txf-log":                       fitResetTransactions,
		"grow-txf-log":                        fitGrowTransactions,
		"rename-txr-logs":                     guide("log-full", "drivers-log-full"),
		"revert-pending-actions-offline":      fitRevertOffline,
		"remove-stale-driver-operation":       fitDriverOperation,
		"clean-old-setup-folders":             fitOldSetup,
		"close-programs":                      guide("memory-eaten", "low-virtual-memory"),
		"keep-awake-during-work":              fitAwake,
		"rename-setupconfig-ini":              fitSetupConfig,
	}
}

// fitRetry does nothing but what follows every treatment: the failed stage is
// tried again. It fits where that stage is what it repeats, or is not known.
func fitRetry(stages ...facts.Stage) fitter {
	return func(f *fit) {
		now := failure(f.Facts)
		known := now.Code != 0 && now.Stage != facts.StageAny
		switch {
		case len(stages) > 0 && known && !slices.Contains(stages, now.Stage):
			f.not("plan.other-stage", "stage", string(now.Stage))
		case now.Stage == facts.StageInstall:
			f.restartPending()
		}
	}
}

// fitAwake does nothing but what every run does: no machine sleeps while a treatment is
// carried out and tried.
func fitAwake(f *fit) {
	f.standing = true
	f.lead("plan.awake")
}

// fitAskMicrosoft: a search at Microsoft besides WSUS, which a policy may forbid.
func fitAskMicrosoft(f *fit) {
	const keyUpdate = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`
	for _, name := range []string{"DoNotConnectToWindowsUpdateInternetLocations", "DisableWindowsUpdateAccess"} {
		if f.DWord(keyUpdate, name).Value == 1 {
			f.not("plan.policy-forbids", "value", name)
			return
		}
	}
	if f.Value(keyUpdate, "WUServer").State == facts.Absent {
		f.not("plan.no-server")
		return
	}
	f.lead("remedy.retry-scan-against-microsoft-update.how")
}

// fitAgainAfterRestart: setup takes no second start while the first waits.
func fitAgainAfterRestart(f *fit) {
	if !f.restartPending() {
		f.lead("remedy." + f.out.ID + ".how")
	}
}

// fitRestartMachine: with fast startup a shutdown keeps the kernel's session, so
// that pending work stays; a restart does not.
// learn.microsoft.com: "Updates may not be installed with Fast Startup".
func fitRestartMachine(f *fit) {
	f.lead("remedy.restart-machine.how")
	if v := f.DWord(keySessionPower, "HiberbootEnabled"); v.State != facts.Absent && v.Value != 0 || !v.Known() {
		f.lead("plan.fast-startup")
	}
}

const (
	keySessionPower     = `HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Power`
	keyTrustedInstaller = keyServices + "TrustedInstaller"
	keyDriverOperations = keyCBS + `\DriverOperations`
	// What Microsoft's article on updates that are taken back after fifteen minutes
	// sets: three hours, in seconds.
	longServicing = 10800
)

// fitServicingTimeout gives the work at start more than its fifteen minutes.
func fitServicingTimeout(f *fit) {
	v := f.DWord(keyTrustedInstaller, "BlockTimeIncrement")
	if v.State == facts.Present && v.Value >= longServicing {
		f.not("plan.nothing-to-change", "what", "BlockTimeIncrement")
		return
	}
	f.step(Step{Change: host.Set(keyTrustedInstaller, "BlockTimeIncrement", numberValue(longServicing)), Restart: true})
}

// fitResetTransactions: NTFS makes its transaction log anew at the next start.
func fitResetTransactions(f *fit) {
	f.step(Step{Change: host.Change{Kind: host.Run, Path: "fsutil", Args: []string{"resource", "setautoreset", "true", f.drive() + `\`}}, Restart: true})
	f.lead("remedy.reset-txf-log.how")
}

// fitGrowTransactions: a hundred containers instead of twenty.
// learn.microsoft.com: "Error C0190003 after you install updates".
func fitGrowTransactions(f *fit) {
	f.step(Step{Change: host.Change{Kind: host.Switch, Path: host.Setting("txf-log", f.drive()), State: "100"}, Restart: true})
}

// fitRevertOffline: only work that waits can be reverted, and only while Windows
// does not run.
func fitRevertOffline(f *fit) {
	if k := f.Subkeys(keyCBS + `\RebootPending`); k.State == facts.Absent {
		if p := f.Subkeys(keyCBS + `\PackagesPending`); p.State == facts.Absent {
			f.not("plan.nothing-pending")
			return
		}
	}
	guide("cbs-pending-transaction", "operations-pending", "undoing-loop", "boot-stuck-updating")(f)
}

// fitOldSetup: while an upgrade waits for its restart its folders are in use.
func fitOldSetup(f *fit) {
	if !f.restartPending() {
		f.lead("remedy.clean-old-setup-folders.how")
	}
}

// fitSetupConfig moves aside what setup takes its options from.
// learn.microsoft.com: "Windows Setup Automation Overview".
func fitSetupConfig(f *fit) {
	path := f.drive() + `\Users\Default\AppData\Local\Microsoft\Windows\WSUS\SetupConfig.ini`
	f.do(host.Change{Kind: host.Move, Path: path, To: f.aside(path)})
}
