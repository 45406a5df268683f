package cause

import (
	"strings"

	"updoc/internal/codes"
	"updoc/internal/facts"
)

// Registry places that causes of system parts read.
const (
	// support.microsoft.com: "Registry key updates for Secure Boot".
	keySecureBoot = `HKLM\SYSTEM\CurrentControlSet\Control\SecureBoot\Servicing`
	// The per-user setting behind "Check for publisher's certificate revocation".
	keySoftwarePublishing = `HKCU\Software\Microsoft\Windows\CurrentVersion\WinTrust\Trust Providers\Software Publishing`
)

// publishingDefault is the State that Windows writes for a new user.
const publishingDefault = 0x23C00

// SYSTEM returns the causes that lie in parts of Windows which updates call upon.
func SYSTEM() []*Cause {
	return []*Cause{
		{
			ID: "scheduled-task-corrupt", Family: "system", Prior: 0.6,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageRestart},
			Remedies: []string{"remove-damaged-task", "remove-damaged-package", "retry-install"},
			Check: evidence(
				conclusive("task-installer-failed"),
				strong("task-cannot-load"),
				moderate("note-task"),
				serviceDisabledInstead("Schedule"),
				missing("TaskScheduler events 146 and 404", "the line with \"RegisterTask failed\" in CBS.log"),
			),
		},
		{
			ID: "wmi-broken", Family: "system", Prior: 0.6,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageSetup, facts.StageScan},
			Remedies: []string{"repair-wmi", "restart-machine", "run-sfc", "run-in-place-upgrade"},
			Check: evidence(
				conclusive("wmi-inconsistent"),
				strong("wmi-installer-failed"),
				strong("wmi-fails-in-setup"),
				moderate("wmi-code"),
				strong("note-wmi"),
				weak("wmi-events"),
				code(Weak, 0x80080005),
				against(Moderate, "wmi-consistent"),
				against(Moderate, "task-installer-failed"),
				serviceDisabledInstead("Winmgmt"),
				missing("winmgmt /verifyrepository"),
			),
		},
		{
			ID: "installer-framework-dotnet", Family: "system", Prior: 1.5,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageSetup},
			Remedies: []string{"repair-named-product", "remove-orphan-service-key", "restart-machine", "install-update-from-catalog", "run-in-place-upgrade"},
			Check: evidence(
				conclusive("ngen-service-start-failed"),
				strong("ngen-failed"),
				strong("netfx-config-unreadable"),
				strong("dotnet-installer-failed"),
				moderate("note-dotnet-broken"),
				moderate("note-dotnet"),
				strong("dotnet-update-named"),
				dotnetUpdateFails,
				against(Moderate, "winre-kb-failed"),
				against(Moderate, "note-prerequisite-missing"),
				dotnetLacksPayload,
				cures("remove-orphan-service-key", "ngen-service-start-failed"),
				missing("the .NET installer's own log in %temp% or Windows\\Temp", "whether C:\\Windows\\Microsoft.NET\\Framework holds its files"),
			),
		},
		{
			ID: "appx-repository-corrupt", Family: "system", Prior: 0.4,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageSetup},
			Remedies: []string{"restart-machine", "rebuild-appx-state-repository", "run-in-place-upgrade"},
			Check: evidence(
				conclusive("appx-repository-corrupt"),
				strong("appx-installer-failed"),
				strong("note-appx"),
				code(Strong, 0x80073CFE),
				missing("AppXDeployment-Server events"),
			),
		},
		{
			ID: "secureboot-2023", Family: "system", Prior: 0.7,
			Stages:   []facts.Stage{facts.StageInstall, facts.StageSetup, facts.StageRestart},
			Remedies: []string{"run-secureboot-2023-steps", "update-firmware", "free-efi-partition-space"},
			Check: evidence(
				strong("secureboot-update-failed"),
				strong("secureboot-installer-failed"),
				moderate("bootmgfw-2023"),
				moderate("secureboot-old-media"),
				secureBootListFails,
				strong("note-secureboot"),
				weak("secureboot-update-pending"),
				secureBootStatus,
				against(Strong, "secureboot-update-done"),
				against(Strong, "task-installer-failed"),
				against(Moderate, "cbs-needs-newer-stack"),
				against(Moderate, "boot-files-no-space"),
				cures("redownload-matching-setup-media", "secureboot-old-media"),
				cures("update-firmware", "secureboot-update-failed"),
				missing("TPM-WMI events 1795 to 1808", `UEFICA2023Status under HKLM\SYSTEM\CurrentControlSet\Control\SecureBoot\Servicing`),
			),
		},
		{
			ID: "crypto-policy-setting", Family: "system", Prior: 0.2,
			Stages:   []facts.Stage{facts.StageVerify, facts.StageInstall},
			Remedies: []string{"restore-signature-check-setting", "tell-policy-owner"},
			Check: evidence(
				conclusive("signature-setting"),
				strong("signature-state-named"),
				moderate("note-signature-setting"),
				code(Strong, 0x80092026),
				publishingState,
				missing(`State under HKCU\...\WinTrust\Trust Providers\Software Publishing`),
			),
		},
	}
}

// serviceDisabledInstead speaks against damage when the service that would
// answer is switched off: then the service is the cause, and another family's.
func serviceDisabledInstead(name string) rule {
	return func(l *look) {
		if s := l.Service(name); s.State == facts.Present && s.Value.Start == startDisabled {
			l.Against(Strong, s.Source, "the service %s is disabled", name)
		}
	}
}

// dotnetLacksPayload speaks against damage when .NET 3.5 is being added and only
// lacks its files.
func dotnetLacksPayload(l *look) {
	if _, ok := l.Mark("feature-needs-payload"); !ok {
		return
	}
	for _, h := range []codes.HRESULT{0x800F081F, 0x800F0906, 0x800F0907, 0x800F0954, 0x800F0950} {
		if seen, ok := l.Code(h); ok {
			l.add(false, Strong, seen)
			return
		}
	}
}

// dotnetUpdateFails counts failures whose update is one of .NET.
func dotnetUpdateFails(l *look) {
	for _, f := range l.Failures {
		if f.Code != 0 && strings.Contains(f.Update.Title, ".NET") && len(f.Seen) > 0 {
			l.add(true, Strong, f.Seen[0])
			return
		}
	}
}

// secureBootListFails counts an update of the Secure Boot lists that ended with
// the general installer error: the firmware refused it.
// support.microsoft.com: KB5012170.
func secureBootListFails(l *look) {
	kb, ok := l.Mark("secureboot-dbx-kb")
	if !ok {
		return
	}
	if _, failed := l.Code(0x800F0922); failed {
		l.add(true, Strong, kb)
		return
	}
	l.add(true, Weak, kb)
}

// secureBootStatus reads how far the certificates of 2023 got.
func secureBootStatus(l *look) {
	if e := l.DWord(keySecureBoot, "UEFICA2023Error"); e.State == facts.Present && e.Value != 0 {
		l.For(Strong, e.Source, "UEFICA2023Error = 0x%X", e.Value)
	}
	if s := l.Text(keySecureBoot, "UEFICA2023Status"); s.State == facts.Present && strings.EqualFold(s.Value, "Updated") {
		l.Against(Strong, s.Source, "UEFICA2023Status = %s", s.Value)
	}
}

// publishingState compares the signature setting with what Windows writes.
func publishingState(l *look) {
	v := l.DWord(keySoftwarePublishing, "State")
	switch {
	case v.State == facts.Present && v.Value != publishingDefault:
		l.For(Moderate, v.Source, "State = 0x%X instead of 0x%X", v.Value, publishingDefault)
	case v.State == facts.Present:
		l.Against(Moderate, v.Source, "State has its default 0x%X", v.Value)
	}
}
