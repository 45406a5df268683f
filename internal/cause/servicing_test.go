package cause

import (
	"slices"
	"strings"
	"testing"

	"updoc/internal/facts"
)

// plan is the order in which a finding's remedies would be tried.
func plan(x Finding) []string {
	var out []string
	for _, id := range slices.Concat(x.Cures, x.Remedies) {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// wantReport diagnoses evidence and checks the first cause and that the remedy is
// among its first three.
func wantReport(t *testing.T, files map[string]string, cause, remedy string) {
	t.Helper()
	d := diagnosed(t, files)
	wantFirst(t, d, cause)
	for _, x := range d.Findings {
		if x.ID != cause {
			continue
		}
		p := plan(x)
		if i := slices.Index(p, remedy); i < 0 || i > 2 {
			t.Errorf("%s stands at %d of %v", remedy, i, p)
		}
		if i, j := slices.Index(p, "run-in-place-upgrade"), slices.Index(p, remedy); i >= 0 && i < j {
			t.Errorf("in-place upgrade before %s: %v", remedy, p)
		}
	}
}

// What people write about servicing failures, mostly a sentence and a code.
func TestServicingNotes(t *testing.T) {
	tests := []struct{ cause, remedy, note string }{
		{"disk-full-system", "free-disk-space", "There is just 2.1 GB left on C of this small laptop, we are running out of space. 23H2 to 24H2: 0x80070070."},
		{"disk-full-system", "free-disk-space", "The upgrade wants 8 GB more than there is, 0xC190020E."},
		{"disk-full-system", "free-disk-space", "The machine stops at start: Error C01A001D applying update operation 118 of 2034."},
		{"disk-full-esp-srp", "free-efi-partition-space", "0x800f0922 once more. The EFI partition has 100 MB and the maker put firmware backups in it."},
		{"wre-partition-too-small", "resize-winre-partition", "KB5034441 ends with 0x80070643 every day. The recovery partition has 499 MB."},
		{"winre-disabled", "restore-recovery-environment", "KB5034441, 0x80070643. The recovery partition was deleted when the disk was cloned."},
		{"temp-folder-full", "move-old-temp-files", "Adding a role ends with 0x800f0922; there are 70000 files in the Windows temp directory."},
		{"hardware-fault", "check-disk-health", "Another code each time: 0x80070570, 0x8007000d. CrystalDiskInfo says caution."},
		{"hardware-fault", "run-memory-test", "Fresh install, yet corrupt files everywhere and 0x80070570. memtest86 finds errors within a minute."},
		{"file-permission-denied", "repair-named-permission", "0x80070005. A colleague ran takeown on a folder below System32 to get rid of a file."},
		{"broken-reparse-point", "remove-broken-link", "0x80070781; C:\\Users is a junction to a disk that is gone."},
		{"registry-size-limit", "remove-registry-size-limit", "DISM says 0x800705aa. RegistrySizeLimit comes from an old template."},
		{"installer-busy", "wait-other-install", "The MSI of the update ends with 1618."},
		{"pending-operations-stuck", "restart-machine", "Error: 0x800f0806, the operation could not be completed due to pending operations."},
		{"pending-operations-stuck", "restart-machine", "Updates stay pending and never finish on notebooks that are shut down each evening; Fast Startup is on."},
		{"servicing-hang-timeout", "raise-servicing-timeout", "Slow virtual machine, CBS_E_HANG_DETECTED (0x800f0920) after the restart."},
		{"transaction-log-full", "reset-txf-log", "Nothing installs, 0x80071a91."},
		{"component-store-corrupt", "run-dism-restorehealth", "0x80073712 with every update since spring."},
		{"component-store-corrupt", "install-missing-package-from-catalog", "0x800f0831 when the rollup is installed."},
		{"component-store-corrupt", "run-component-cleanup", "The update stops at 0x800f0988."},
		{"missing-payload-source", "install-feature-from-local-source", ".NET Framework 3.5 does not install, 0x800F081F; the plant has no internet."},
		{"missing-ssu-prerequisite", "install-servicing-stack", "0x800f0823, the servicing stack was never approved."},
		{"missing-checkpoint-prerequisite", "install-checkpoint-updates-together", "DISM on the msu of 24H2 fails with 0x80070228."},
		{"superseded-or-not-applicable", "tell-nothing-to-repair", "The update is not applicable to your computer (0x80240017); this year's rollups are in, so it is probably superseded."},
		{"language-pack-damage", "repair-language-packs", "0x800f0982 since two language packs were added with lpksetup."},
		{"driver-incompatible", "update-or-remove-driver", "0xC1900101 - 0x4000D, blue screen in the graphics driver during the upgrade."},
		{"stale-device-registry", "remove-stale-device-key", "Adding the feature ends with 0x800f0207: the device instance cannot be created because it already exists."},
		{"installer-framework-dotnet", "repair-named-product", "The 2025-01 Cumulative Update for .NET Framework 3.5 and 4.8 ends with 0x80070643."},
		{"secureboot-2023", "update-firmware", "KB5012170 fails with 0x800f0922; TPM-WMI event 1795 names the Secure Boot variable."},
		{"wmi-broken", "repair-wmi", "winmgmt says: WMI repository is inconsistent. Setup hangs."},
		{"appx-repository-corrupt", "rebuild-appx-state-repository", "0x80073CFE with the upgrade and with every Store app."},
		{"crypto-policy-setting", "restore-signature-check-setting", "The installer ends with 0x80092026."},
		{"reserved-storage", "reset-reserved-storage", "DISM refuses: reserved storage is in use, 0x800f0975."},
	}
	for _, tt := range tests {
		t.Run(tt.cause, func(t *testing.T) {
			wantReport(t, map[string]string{"notes.txt": tt.note}, tt.cause, tt.remedy)
		})
	}
}

// Of one code, 0x800f0922 or 0x80070002, the log line decides.
func TestServicingLines(t *testing.T) {
	const (
		failed = "2026-05-12 03:04:05, Error                 CBS    "
		info   = "2026-05-12 03:04:05, Info                  CBS    "
		csi    = "2026-05-12 03:04:05, Error                 CSI    "
		path   = ` from Windows::Rtl::SystemImplementation::DirectFileSystemProvider::SysCreateFile(flags = (AllowSharingViolation), on:[40]"\??\`
	)
	tests := []struct{ cause, remedy, log string }{
		{"component-store-corrupt", "install-missing-package-from-catalog", info + "Mark store corruption flag because of package: Package_17_for_KB5070001~31bf3856ad364e35~amd64~~10.0.1.4. [HRESULT = 0x800f0831 - CBS_E_STORE_CORRUPTION]"},
		{"component-store-corrupt", "run-dism-restorehealth-from-source", "(p)\tCSI Payload Corrupt\t(n)\tamd64_microsoft-windows-example_31bf3856ad364e35_10.0.19041.1_none_0123456789abcdef\\example.dll\nRepair failed: Missing replacement payload."},
		{"component-store-corrupt", "run-in-place-upgrade", failed + "Failed to perform operation.  [HRESULT = 0x800f0830 - CBS_E_IMAGE_UNSERVICEABLE]"},
		{"component-store-corrupt", "repair-named-registry-value", info + "Registry value for Package_9_for_KB5070002~31bf3856ad364e35~amd64~~10.0.1.1 is not a dword type. [HRESULT = 0x8007000d - ERROR_INVALID_DATA]"},
		{"component-store-corrupt", "restore-missing-payload-file", csi + `0000001a (F) STATUS_OBJECT_NAME_NOT_FOUND #77#` + path + `C:\Windows\WinSxS\amd64_microsoft-windows-example_31bf3856ad364e35_10.0.1.1_none_00"`},
		{"missing-system-folder", "restore-missing-folder", csi + `0000001a (F) STATUS_OBJECT_NAME_NOT_FOUND #77#` + path + `C:\Windows\Help\Corporate"`},
		{"driver-store-missing-files", "restore-missing-payload-file", csi + `0000001a (F) STATUS_OBJECT_PATH_NOT_FOUND #77#` + path + `C:\Windows\System32\DriverStore\FileRepository\usbprint.inf_amd64_00"`},
		{"driver-store-missing-files", "restore-deleted-service", info + "Doqe: Recording result: 0x80070002, for Inf: cdrom.inf\n" + info + "Doqe: Failed installing driver updates [HRESULT = 0x80070002 - ERROR_FILE_NOT_FOUND]"},
		{"transaction-log-full", "remove-ghost-devices", info + "Doqe: Failed uninstalling driver updates [HRESULT = 0x800719e4 - ERROR_LOG_FULL]"},
		{"broken-reparse-point", "remove-broken-link", csi + "0000001a (F) STATUS_REPARSE_POINT_NOT_RESOLVED #77#" + path + `C:\inetpub\wwwroot"`},
		{"scheduled-task-corrupt", "remove-damaged-task", csi + "0000001a (F) Failed execution of queue item Installer: Task Scheduler ({11111111-2222-3333-4444-555555555555}) with HRESULT HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND).\n" + failed + "Startup: Failed to process advanced operation queue, startupPhase: 0.  A rollback transaction will be created. [HRESULT = 0x800f0922 - CBS_E_INSTALLERS_FAILED]"},
		{"disk-full-esp-srp", "free-efi-partition-space", failed + "ServicingBootFiles failed. Error = 0x70\n" + failed + "Failed to process advanced operation queue [HRESULT = 0x800f0922 - CBS_E_INSTALLERS_FAILED]"},
		{"pending-operations-stuck", "remove-stale-driver-operation", failed + "Doqi: Failed loading driver operations queue. [HRESULT = 0x80070490 - ERROR_NOT_FOUND]"},
		{"installer-framework-dotnet", "remove-orphan-service-key", csi + `0000001a (F) Failed in StartService for [30]"clr_optimization_v4.0.30319_64" with error code 2[gle=0x80004005]`},
	}
	for _, tt := range tests {
		t.Run(tt.cause, func(t *testing.T) {
			wantReport(t, map[string]string{"CBS.log": strings.ReplaceAll(tt.log, "\n", "\r\n") + "\r\n"}, tt.cause, tt.remedy)
		})
	}
}

// What healthy machines write, or what is known to be sound, proves no cause.
func TestServicingNoise(t *testing.T) {
	const info = "2026-05-12 03:04:05, Info                  CBS    "
	tests := map[string]map[string]string{
		"probing":        {"CBS.log": info + "Failed to internally open package. [HRESULT = 0x800f0805 - CBS_E_INVALID_PACKAGE]\r\n"},
		"hang cleared":   {"CBS.log": info + "Clearing HangDetect value\r\n" + info + "Startup: Processing complete. [HRESULT = 0x00000000 - S_OK]\r\n"},
		"no corruption":  {"CBS.log": "Summary:\r\nOperation result: 0x0\r\nTotal Detected Corruption:\t0\r\n\tCSI Payload Corruption:\t0\r\n"},
		"smart pending":  {"CBS.log": info + "Exec: Task package already smart pended by earlier sessions, force package smart pend\r\n"},
		"rules examined": {"SetupDiagResults.log": "SetupDiag: processing rule: DiskSpaceBlockInDownLevel.\r\n..No match.\r\nSetupDiag: processing rule: DeviceInstallHang.\r\n..No match.\r\n"},
		"sound hardware": {"notes.txt": "0x80240438. The memory test found no errors and SMART shows no warnings; the disk is not full."},
		"certificates":   {"notes.txt": "0x8024402C. Secure Boot is on, TPM 2.0 is there."},
	}
	for name, files := range tests {
		t.Run(name, func(t *testing.T) {
			for _, x := range diagnosed(t, files).Findings {
				if x.State == facts.Present && slices.Contains([]Family{"servicing", "state", "files", "disk", "drivers", "system"}, x.Family) {
					t.Errorf("%s is present: %v", x.ID, x.Evidence)
				}
			}
		})
	}
}

func TestServicingRegistry(t *testing.T) {
	const head = "Windows Registry Editor Version 5.00\r\n\r\n"
	tests := []struct {
		cause, reg, note string
		present          bool
	}{
		{"registry-size-limit", `[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control]` + "\r\n\"RegistrySizeLimit\"=dword:00000180\r\n", "0x800705aa", true},
		{"registry-size-limit", `[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control]` + "\r\n\"RegistrySizeLimit\"=dword:00000000\r\n", "0x800705aa", false},
		{"crypto-policy-setting", `[HKEY_CURRENT_USER\Software\Microsoft\Windows\CurrentVersion\WinTrust\Trust Providers\Software Publishing]` + "\r\n\"State\"=dword:00023e00\r\n", "0x80092026", true},
		{"crypto-policy-setting", `[HKEY_CURRENT_USER\Software\Microsoft\Windows\CurrentVersion\WinTrust\Trust Providers\Software Publishing]` + "\r\n\"State\"=dword:00023c00\r\n", "updates fail", false},
		{"pending-operations-stuck", `[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\SessionsPending]` + "\r\n\"Exclusive\"=dword:00000003\r\n", "0x80070bc9", true},
		{"pending-operations-stuck", `[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending]` + "\r\n", "updates fail", false},
	}
	for _, tt := range tests {
		d := diagnosed(t, map[string]string{"export.reg": head + tt.reg, "notes.txt": tt.note})
		i := slices.IndexFunc(d.Findings, func(x Finding) bool { return x.ID == tt.cause })
		if got := d.Findings[i].State == facts.Present; got != tt.present {
			t.Errorf("%s with %q: present %v, want %v: %v", tt.cause, tt.reg, got, tt.present, d.Findings[i].Evidence)
		}
	}
}

func TestArchitectureDiffers(t *testing.T) {
	tests := []struct {
		arch, title string
		want        facts.State
	}{
		{"arm64", "2026-01 Cumulative Update for Windows 11 Version 24H2 for x64-based Systems (KB5074109)", facts.Present},
		{"arm64", "2026-01 Cumulative Update for Windows 11 Version 24H2 for ARM64-based Systems (KB5074109)", facts.Unknown},
		{"amd64", "2026-01 Cumulative Update for Windows 11 Version 24H2 for x64-based Systems (KB5074109)", facts.Unknown},
		{"", "2026-01 Cumulative Update for Windows 11 Version 24H2 for x64-based Systems (KB5074109)", facts.Unknown},
		{"386", "Security Update for Windows (KB4499175)", facts.Unknown},
	}
	for _, tt := range tests {
		f := &facts.Facts{Failures: []facts.Failure{{Code: 0x80240017, Update: facts.Update{Title: tt.title}}}}
		f.Machine.Arch = tt.arch
		if got := evidence(architectureDiffers)(f).State; got != tt.want {
			t.Errorf("%s with %q: state %d, want %d", tt.arch, tt.title, got, tt.want)
		}
	}
}

// TestServicingReports: what servicing, setup and their surroundings say of a
// failure; nine of ten must lead to the cause.
func TestServicingReports(t *testing.T) { checkReports(t, "reports/servicing.txt") }
