package repair

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"updoc/internal/cause"
	"updoc/internal/host"
	"updoc/internal/winlog"
)

func TestServicesTable(t *testing.T) {
	table, err := shippedServices()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for i, s := range table {
		if _, twice := at[strings.ToLower(s.name)]; twice {
			t.Errorf("%s stands twice", s.name)
		}
		at[strings.ToLower(s.name)] = i
		if s.start[windows11] == nil || s.start[windows10] == nil {
			t.Errorf("%s: current releases have all of them", s.name)
		}
		for g := windows7; g <= windows11; g++ {
			c := host.Change{Kind: host.ServiceStart, Path: s.name, Start: s.start[g]}
			if s.start[g] != nil && c.Check() != nil {
				t.Errorf("%s: %v", s.name, c.Check())
			}
		}
		if s.how == byManager && s.start[windows10].Type != 2 {
			t.Errorf("%s is started at once and starts on demand", s.name)
		}
		if s.sddl != "" && !strings.HasPrefix(s.sddl, "D:(A;") || strings.Contains(s.sddl, "CCDCLCSWRPWPDTLCRSDRCWDWO") {
			t.Errorf("%s: descriptor %s", s.name, s.sddl)
		}
	}
	for _, after := range [][2]string{{"RpcSs", "wuauserv"}, {"RpcEptMapper", "RpcSs"}, {"DcomLaunch", "RpcSs"}, {"EventSystem", "SENS"}, {"BFE", "mpssvc"}, {"nsi", "Dhcp"}, {"cryptsvc", "wuauserv"}} {
		if at[strings.ToLower(after[0])] > at[strings.ToLower(after[1])] {
			t.Errorf("%s stands behind %s, which depends on it", after[0], after[1])
		}
	}
	for _, s := range stopOrder {
		if _, ok := at[strings.ToLower(s)]; !ok {
			t.Errorf("%s is not in the table", s)
		}
	}
}

const windows11Info = "Host Name:                 DESK-4\r\nOS Name:                   Microsoft Windows 11 Pro\r\nOS Version:                10.0.22631 N/A Build 22631\r\nSystem Type:               x64-based PC\r\n"

// needing is what sc qc says of a service and what it needs.
func needing(name string, needs ...string) string {
	return "[SC] QueryServiceConfig SUCCESS\r\n\r\nSERVICE_NAME: " + name + "\r\n        TYPE               : 20  WIN32_SHARE_PROCESS\r\n        START_TYPE         : 3   DEMAND_START\r\n" +
		"        ERROR_CONTROL      : 1   NORMAL\r\n        BINARY_PATH_NAME   : C:\\Windows\\system32\\svchost.exe -k netsvcs -p\r\n        LOAD_ORDER_GROUP   : \r\n        TAG                : 0\r\n" +
		"        DISPLAY_NAME       : " + name + "\r\n        DEPENDENCIES       : " + strings.Join(needs, "\r\n                           : ") + "\r\n        SERVICE_START_NAME : LocalSystem\r\n\r\n"
}

// none is what sc query says of a service that there is not.
func none(name string) string {
	return "C:\\>sc query " + name + "\r\n[SC] EnumQueryServicesStatus:OpenService FAILED 1060:\r\n\r\nThe specified service does not exist as an installed service.\r\n\r\n"
}

const windows7Info = "Host Name:                 DESK-4\r\nOS Name:                   Microsoft Windows 7 Professional\r\nOS Version:                6.1.7601 Service Pack 1 Build 7601\r\nSystem Type:               x64-based PC\r\n"

func TestFitServices(t *testing.T) {
	fitAll(t, []fitCase{
		{
			name: "disabled", remedy: "restore-service-start-types",
			files: map[string]string{"sc-qc.txt": starts("wuauserv", "4   DISABLED", "UsoSvc", "4   DISABLED", "DoSvc", "4   DISABLED", "cryptsvc", "2   AUTO_START", "bits", "3   DEMAND_START")},
			steps: []string{
				`value-set HKLM\SYSTEM\CurrentControlSet\Services\DoSvc Start=2`,
				`value-set HKLM\SYSTEM\CurrentControlSet\Services\DoSvc DelayedAutostart=1`,
				"service-start UsoSvc 2 delayed", "service-start wuauserv 3", "service-run UsoSvc",
			},
			lead: []string{"plan.at-next-start"},
		},
		{
			name: "a download needs it", remedy: "restore-service-start-types",
			files: map[string]string{"sc-qc.txt": starts("DoSvc", "4   DISABLED", "WaaSMedicSvc", "4   DISABLED", "BFE", "4   DISABLED"), "WindowsUpdate.log": downloadFails},
			steps: []string{
				`value-set HKLM\SYSTEM\CurrentControlSet\Services\BFE Start=2 (restart)`,
				`value-set HKLM\SYSTEM\CurrentControlSet\Services\DoSvc Start=2 (restart)`,
				`value-set HKLM\SYSTEM\CurrentControlSet\Services\DoSvc DelayedAutostart=1 (restart)`,
				`value-set HKLM\SYSTEM\CurrentControlSet\Services\WaaSMedicSvc Start=3`,
			},
			lead: []string{"plan.at-next-start"},
		},
		{
			name: "in the registry", remedy: "restore-service-start-types",
			files: map[string]string{"services.reg": export(`[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\EventSystem]`, `"Start"=dword:00000004`, `[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\SENS]`, `"Start"=dword:00000004`)},
			steps: []string{"service-start EventSystem 2", "service-start SENS 2", "service-run EventSystem", "service-run SENS"},
		},
		{
			name: "Windows 7", remedy: "restore-service-start-types",
			files: map[string]string{"systeminfo.txt": windows7Info, "sc-qc.txt": starts("wuauserv", "4   DISABLED", "UsoSvc", "4   DISABLED")},
			steps: []string{"service-start wuauserv 2 delayed"},
		},
		{
			name: "manual is not disabled", remedy: "restore-service-start-types",
			files: map[string]string{"sc-qc.txt": starts("wuauserv", "2   AUTO_START", "cryptsvc", "3   DEMAND_START", "TrustedInstaller", "2   AUTO_START")},
			why:   "plan.start-types-fine",
		},
		{
			name: "needs what is gone", remedy: "restore-service-start-types",
			files: map[string]string{"systeminfo.txt": windows11Info, "sc-qc.txt": needing("wuauserv", "RpcSs", "FabrikamGuard"), "sc-query.txt": none("FabrikamGuard")},
			steps: []string{"service-needs wuauserv rpcss"}, lead: []string{"plan.needs-in-vain"},
		},
		{
			name: "needs what is gone, and nobody knows what it needs by itself", remedy: "restore-service-start-types",
			files: map[string]string{"sc-qc.txt": needing("InstallService", "RpcSs", "FabrikamGuard", "FabrikamNet", "+TDI"), "sc-query.txt": none("FabrikamGuard")},
			steps: []string{"service-needs InstallService RpcSs FabrikamNet +TDI"}, lead: []string{"plan.needs-in-vain"},
		},
		{
			name: "needs what is disabled and Windows does not have it need", remedy: "restore-service-start-types",
			files: map[string]string{"systeminfo.txt": windows11Info, "sc-qc.txt": needing("cryptsvc", "RpcSs", "FabrikamTune", "+TDI") + starts("FabrikamTune", "4   DISABLED", "cryptsvc", "2   AUTO_START")},
			steps: []string{"service-needs cryptsvc rpcss +TDI", "service-run cryptsvc"}, lead: []string{"plan.needs-in-vain"},
		},
		{
			name: "the service manager refuses", remedy: "restore-service-start-types",
			files: map[string]string{"systeminfo.txt": windows11Info, "sc-qc.txt": needing("DoSvc", "RpcSs", "FabrikamGuard"), "sc-query.txt": none("FabrikamGuard")},
			steps: []string{
				`value-set HKLM\SYSTEM\CurrentControlSet\Services\DoSvc DependOnService=[rpcss]`,
			},
			lead: []string{"plan.needs-in-vain", "plan.at-next-start"},
		},
		{
			name: "needs what nobody looked for, or what is Windows' own", remedy: "restore-service-start-types",
			files: map[string]string{"systeminfo.txt": windows11Info, "sc-qc.txt": needing("wuauserv", "RpcSs", "FabrikamGuard", "SENS"), "sc-query.txt": none("SENS")},
			why:   "plan.start-types-fine",
		},
		{
			name: "nothing starts it", remedy: "restore-service-start-types",
			files: map[string]string{"systeminfo.txt": windows11Info, "services.reg": export(`[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\wuauserv]`, `"Start"=dword:00000003`, `[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\wuauserv\Parameters]`)},
			steps: []string{"service-triggers wuauserv 5/1/659fcae6-5bdb-4da9-b1ff-ca2a178d46e0 5/1/54fb46c8-f089-464c-b1fd-59d1b62c3b50"}, lead: []string{"plan.triggers-gone"},
		},
		{
			name: "what starts it is switched off", remedy: "restore-service-start-types",
			files: map[string]string{"systeminfo.txt": windows11Info, "services.reg": export(
				`[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\wuauserv]`, `"Start"=dword:00000003`, `[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\wuauserv\TriggerInfo]`,
				`[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\wuauserv\TriggerInfo\0]`, `"Type"=dword:00000005`, `"Action"=dword:00000000`, `"Guid"=hex:e6,ca,9f,65,db,5b,a9,4d,b1,ff,ca,2a,17,8d,46,e0`,
				`[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\wuauserv\TriggerInfo\1]`, `"Type"=dword:00000005`, `"Action"=dword:00000000`, `"Guid"=hex:c8,46,fb,54,89,f0,4c,46,b1,fd,59,d1,b6,2c,3b,50`)},
			steps: []string{
				`value-set HKLM\SYSTEM\CurrentControlSet\Services\wuauserv\TriggerInfo\0 Action=1`,
				`value-set HKLM\SYSTEM\CurrentControlSet\Services\wuauserv\TriggerInfo\1 Action=1`,
			},
			lead: []string{"plan.triggers-gone", "plan.at-next-start"},
		},
		{name: "nobody looked", remedy: "restore-service-start-types", why: "plan.not-looked-start-types"},
		{
			name: "set by policy", remedy: "restore-service-start-types",
			files: map[string]string{"sc-qc.txt": starts("wuauserv", "4   DISABLED"), "notes.txt": "gpresult shows that a GPO sets the startup type of the Windows Update service to disabled.\n"},
			why:   "plan.start-types-by-policy",
		},
		{
			name: "all", remedy: "restart-update-services",
			files: map[string]string{"sc-query.txt": states("wuauserv", "4  RUNNING", "bits", "1  STOPPED")},
			steps: []string{
				"service-stop UsoSvc", "service-stop wuauserv", "service-stop bits", "service-stop DoSvc", "service-stop cryptsvc",
				"service-run cryptsvc", "service-run DoSvc", "service-run bits", "service-run wuauserv", "service-run UsoSvc",
			},
		},
		{
			name: "one is disabled", remedy: "restart-update-services",
			files: map[string]string{"sc-qc.txt": starts("UsoSvc", "4   DISABLED", "DoSvc", "4   DISABLED")},
			steps: []string{"service-stop wuauserv", "service-stop bits", "service-stop cryptsvc", "service-run cryptsvc", "service-run bits", "service-run wuauserv"},
		},
		{
			name: "it hangs", remedy: "restart-update-services",
			files: map[string]string{"sc-query.txt": states("wuauserv", "3  STOP_PENDING")}, why: "plan.hangs-stopping",
		},
		{
			name: "disabled", remedy: "set-trustedinstaller-auto-until-restart",
			files: map[string]string{"sc-qc.txt": starts("TrustedInstaller", "4   DISABLED")},
			steps: []string{"service-start TrustedInstaller 2 (restart)"},
		},
		{
			name: "not asked for", remedy: "set-trustedinstaller-auto-until-restart",
			files: map[string]string{"sc-qc.txt": starts("TrustedInstaller", "3   DEMAND_START")}, why: "plan.log-does-not-ask",
		},
		{
			name: "the faulty descriptor of scripts", remedy: "repair-service-permissions",
			files: map[string]string{"sc-sdshow-bits.txt": "C:\\>sc sdshow bits\r\n\r\nD:(A;;CCLCSWRPWPDTLOCRRC;;;SY)(A;;CCDCLCSWRPWPDTLCRSDRCWDWO;;;SO)\r\n"},
			steps: []string{"service-security bits"},
		},
		{
			name: "an old Windows", remedy: "repair-service-permissions",
			files: map[string]string{"systeminfo.txt": windows7Info}, why: "plan.no-descriptor",
		},
		{
			name: "named by a tool", remedy: "restore-renamed-service-files",
			files: map[string]string{"notes.txt": "In System32 there is only a file called wuaueng_BAK.dll, wuaueng.dll is missing.\n"},
			steps: []string{
				`move C:\Windows\System32\wuaueng_BAK.dll > C:\Windows\System32\wuaueng.dll`,
				`run sfc /verifyfile=C:\Windows\System32\wuaueng.dll`,
			},
		},
		{name: "nothing is named", remedy: "restore-renamed-service-files", why: "plan.name-unknown"},
		{
			name: "named", remedy: "restore-deleted-service",
			files: map[string]string{"sc-query.txt": "[SC] EnumQueryServicesStatus:OpenService FAILED 1060:\r\n\r\nThe specified service does not exist as an installed service.\r\n"},
			lead:  []string{"remedy.restore-deleted-service.how"},
		},
		{
			name: "looked", remedy: "check-service-state",
			files: map[string]string{"sc-qc.txt": starts("wuauserv", "3   DEMAND_START", "bits", "3   DEMAND_START", "cryptsvc", "2   AUTO_START")},
			why:   "plan.looked-already",
		},
		{name: "not looked", remedy: "check-service-state", lead: []string{"remedy.check-service-state.how"}},
	})
}

// TestDeletedService: what is gone comes back from an older state of the same build whose
// file is still there; for the rest a person is led.
func TestDeletedService(t *testing.T) {
	copies := func(build string, here bool) string {
		b, err := json.Marshal(host.ServiceCopies{Looked: 1, Copies: []host.ServiceCopy{{
			Name: "wuauserv", From: "HarddiskVolumeShadowCopy2", Build: build, Here: here, File: `C:\Windows\System32\wuaueng.dll`,
			Keys: []host.ServiceTree{
				{Values: []winlog.RegValue{
					numbered("Type", 0x20), numbered("Start", 3), numbered("ErrorControl", 1),
					named("ImagePath", `C:\Windows\system32\svchost.exe -k netsvcs -p`), named("ObjectName", "LocalSystem"),
				}},
				{Path: "TriggerInfo"},
			},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	gone := "[SC] EnumQueryServicesStatus:OpenService FAILED 1060:\r\n\r\nThe specified service does not exist as an installed service.\r\n"
	info := strings.ReplaceAll(windows7Info, "6.1.7601 Service Pack 1 Build 7601", "10.0.22631 N/A Build 22631")
	for name, tt := range map[string]struct {
		build string
		here  bool
		made  bool
	}{
		"fits":               {"22631", true, true},
		"of another build":   {"22621", true, false},
		"its file is gone":   {"22631", false, false},
		"of no build at all": {"", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := seenOn(t, map[string]string{
				"sc-query-wuauserv.txt": "C:\\>sc query wuauserv\r\n" + gone, "systeminfo.txt": info, "answers/service-copies.json": copies(tt.build, tt.here),
			})
			x, why := fitted(t, "restore-deleted-service", f)
			if made := len(x.Steps) == 1 && x.Steps[0].Change.Kind == host.ServiceMake; why.ID != "" || made != tt.made {
				t.Fatalf("%+v, %v", x.Steps, why)
			}
			led := slices.ContainsFunc(x.Lead, func(l Line) bool { return l.ID == "remedy.restore-deleted-service.how" })
			if led == tt.made || x.How != Guided {
				t.Errorf("%s: %v", x.How, x.Lead)
			}
			plan := New(f, cause.Diagnose(f), Options{Run: "run1", MaxRisk: RiskPermanent})
			if err := plan.Check(); err != nil {
				t.Error(err)
			}
			if !slices.ContainsFunc(plan.Treatments, func(x Treatment) bool { return x.ID == "run-in-place-upgrade" }) {
				t.Errorf("what is left where there is no copy is not named: %+v", plan.LeftOut)
			}
		})
	}
}

func numbered(name string, n uint32) winlog.RegValue {
	v := numberValue(n)
	v.Name = name
	return v
}

func named(name, s string) winlog.RegValue {
	v := textValue(s)
	v.Name = name
	return v
}

// TestNeverStopped: what ends an installation is in no plan of this family.
func TestNeverStopped(t *testing.T) {
	for _, id := range []string{"restart-update-services", "reset-update-components", "rename-softwaredistribution", "rename-catroot2"} {
		x, _ := fitted(t, id, seenOn(t, nil))
		if slices.ContainsFunc(x.Steps, func(s Step) bool {
			return s.Change.Kind == host.ServiceStop && (s.Change.Path == "TrustedInstaller" || s.Change.Path == "msiserver")
		}) {
			t.Errorf("%s ends an installation", id)
		}
	}
}
