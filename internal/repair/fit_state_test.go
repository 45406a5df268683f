package repair

import "testing"

const (
	scanFails     = "2031/03/03 08:00:02.0000000 1032  4120  Agent           *FAILED* [80072EE7] Send request\r\n2031/03/03 08:00:05.0000000 1032  4120  Agent           * END * Finding updates CallerId = UpdateOrchestrator  Id = 7, Exit code = 0x80072EE7 (cV = aB3.0.0)\r\n"
	downloadFails = "2031/03/03 08:00:05.0000000 1032  4120  Agent           * END * Downloading updates CallerId = UpdateOrchestrator  Id = 7, Exit code = 0x80D01001 (cV = aB3.0.0)\r\n"
	installFails  = "2031/03/03 08:00:04.0000000 1032  4120  Handler         Install complete for update ID: AD27E52B-9E18-408A-9DF2-8688E5273FBF.1 Return code is 0x80070002. Requires Reboot:No\r\n"
)

func TestFitState(t *testing.T) {
	timeout := func(n string) map[string]string {
		return map[string]string{"ti.reg": export(`[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\TrustedInstaller]`, `"Start"=dword:00000003`, n)}
	}
	fitAll(t, []fitCase{
		{name: "a scan failed", remedy: "retry-scan", files: map[string]string{"WindowsUpdate.log": scanFails}},
		{name: "a scan failed", remedy: "retry-install", files: map[string]string{"WindowsUpdate.log": scanFails}, why: "plan.other-stage"},
		{name: "an install failed", remedy: "retry-scan", files: map[string]string{"WindowsUpdate.log": installFails}, why: "plan.other-stage"},
		{name: "an install failed", remedy: "retry-install", files: map[string]string{"WindowsUpdate.log": installFails}},
		{
			name: "a restart first", remedy: "retry-install",
			files: map[string]string{"WindowsUpdate.log": installFails, "cbs.reg": export(rebootPending)}, why: "plan.restart-first",
		},
		{name: "any", remedy: "wait-and-retry", files: map[string]string{"WindowsUpdate.log": scanFails}},
		{name: "nobody looked", remedy: "retry-scan-against-microsoft-update", lead: []string{"remedy.retry-scan-against-microsoft-update.how"}},
		{
			name: "no server", remedy: "retry-scan-against-microsoft-update",
			files: map[string]string{"p.reg": export(`[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate]`, `"ElevateNonAdmins"=dword:00000001`)},
			why:   "plan.no-server",
		},
		{
			name: "forbidden", remedy: "retry-scan-against-microsoft-update",
			files: map[string]string{"p.reg": export(`[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate]`, `"WUServer"="http://wsus.fabrikam.example:8530"`, `"DoNotConnectToWindowsUpdateInternetLocations"=dword:00000001`)},
			why:   "plan.policy-forbids",
		},
		{name: "nobody looked", remedy: "restart-machine", lead: []string{"remedy.restart-machine.how", "plan.fast-startup"}},
		{
			name: "without fast startup", remedy: "restart-machine",
			files: map[string]string{"power.reg": export(`[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Session Manager\Power]`, `"HiberbootEnabled"=dword:00000000`)},
			lead:  []string{"remedy.restart-machine.how"},
		},
		{
			name: "not set", remedy: "raise-servicing-timeout", files: timeout(""),
			steps: []string{`value-set HKLM\SYSTEM\CurrentControlSet\Services\TrustedInstaller BlockTimeIncrement=10800 (restart)`},
		},
		{name: "set", remedy: "raise-servicing-timeout", files: timeout(`"BlockTimeIncrement"=dword:00002a30`), why: "plan.nothing-to-change"},
		{
			name: "the drive of Windows", remedy: "reset-txf-log",
			files: map[string]string{"nt.reg": export(`[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion]`, `"SystemRoot"="D:\\WINDOWS"`)},
			steps: []string{`run fsutil resource setautoreset true D:\ (restart)`}, lead: []string{"remedy.reset-txf-log.how"},
		},
		{name: "a hundred", remedy: "grow-txf-log", steps: []string{"switch txf-log/C: 100 (restart)"}},
		{
			name: "nothing waits", remedy: "revert-pending-actions-offline",
			files: map[string]string{"cbs.reg": export(`[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing]`)},
			why:   "plan.nothing-pending",
		},
		{
			name: "something waits", remedy: "revert-pending-actions-offline", files: map[string]string{"cbs.reg": export(rebootPending)},
			lead: []string{"remedy.revert-pending-actions-offline.how"},
		},
		{
			name: "entries", remedy: "remove-stale-driver-operation",
			files: map[string]string{"cbs.reg": export(`[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\DriverOperations\1]`, `[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\DriverOperations\1\30021234_7]`)},
			lead:  []string{"plan.below", "remedy.remove-stale-driver-operation.how"},
		},
		{name: "nobody looked", remedy: "clean-old-setup-folders", lead: []string{"remedy.clean-old-setup-folders.how"}},
		{name: "setup waits", remedy: "clean-old-setup-folders", files: map[string]string{"cbs.reg": export(rebootPending)}, why: "plan.restart-first"},
		{
			name: "aside", remedy: "rename-setupconfig-ini",
			steps: []string{`move C:\Users\Default\AppData\Local\Microsoft\Windows\WSUS\SetupConfig.ini > C:\Users\Default\AppData\Local\Microsoft\Windows\WSUS\SetupConfig.ini.updoc-20310507-1`},
		},
	})
}
