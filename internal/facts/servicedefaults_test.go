package facts

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/host"
)

func TestServiceDefaults(t *testing.T) {
	table, err := serviceDefaults()
	if err != nil || len(table) < 15 {
		t.Fatalf("%d rows, %v", len(table), err)
	}
	for i, d := range table {
		for _, c := range []host.Change{{Kind: host.ServiceTriggers, Path: d.name, Triggers: d.Triggers.Value}, {Kind: host.ServiceNeeds, Path: d.name, Needs: d.Needs.Value}} {
			if err := c.Check(); err != nil {
				t.Errorf("%s, builds %d to %d: %v", d.name, d.from, d.to, err)
			}
		}
		for _, e := range table[:i] {
			if strings.EqualFold(d.name, e.name) && d.from <= e.to && e.from <= d.to {
				t.Errorf("%s: two rows for build %d", d.name, max(d.from, e.from))
			}
		}
	}
	for _, bad := range []string{
		"x\nwuauserv\t1\t2\trpcss\t-", "x\nwuauserv\t2\t1\trpcss\t-\tS", "x\nwuauserv\ta\t1\trpcss\t-\tS", "x\nwuauserv\t1\t2\trpcss\t5/1\tS", "x\nwuauserv\t1\t2\trpcss\t5/a/b\tS", "x\nwuauserv\t1\t2\trpcss\t5/1/b/1=z\tS",
	} {
		if rows, err := parseServiceDefaults(bad); err == nil {
			t.Errorf("%q: %+v", bad, rows)
		}
	}
}

func TestServiceDefault(t *testing.T) {
	policies := []host.Trigger{
		{Type: 5, Action: 1, Subtype: "659fcae6-5bdb-4da9-b1ff-ca2a178d46e0"}, // MACHINE_POLICY_PRESENT_GUID
		{Type: 5, Action: 1, Subtype: "54fb46c8-f089-464c-b1fd-59d1b62c3b50"}, // USER_POLICY_PRESENT_GUID
	}
	for build, want := range map[string]ServiceDefault{
		"22631.3007": {Needs: Fact[[]string]{State: Present, Value: []string{"rpcss"}}, Triggers: Fact[[]host.Trigger]{State: Present, Value: policies}},
		"26100":      {Needs: Fact[[]string]{State: Present, Value: []string{"rpcss"}}},
		"7601":       {}, "": {}, "x": {}, "99999": {},
	} {
		got := (&Facts{Machine: host.Machine{Build: build}}).ServiceDefault("WuAuServ")
		got.Needs.Source, got.Triggers.Source = "", ""
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("build %q (-want +got):\n%s", build, diff)
		}
	}
}

// scConfig is what sc qc says of a service.
func scConfig(name, start string, needs ...string) string {
	return "[SC] QueryServiceConfig SUCCESS\r\n\r\nSERVICE_NAME: " + name + "\r\n        TYPE               : 20  WIN32_SHARE_PROCESS\r\n        START_TYPE         : " + start +
		"\r\n        ERROR_CONTROL      : 1   NORMAL\r\n        BINARY_PATH_NAME   : x.exe\r\n        LOAD_ORDER_GROUP   : \r\n        TAG                : 0\r\n        DISPLAY_NAME       : " + name +
		"\r\n        DEPENDENCIES       : " + strings.Join(needs, "\r\n                           : ") + "\r\n        SERVICE_START_NAME : LocalSystem\r\n\r\n"
}

// What a service needs in vain is told only where somebody looked: a service that nobody
// asked for, one of Windows' own, and one that runs are none.
func TestLostNeeds(t *testing.T) {
	const info = "Host Name:                 DESK-4\r\nOS Name:                   Microsoft Windows 11 Pro\r\nOS Version:                10.0.22631 N/A Build 22631\r\n"
	const gone = "C:\\>sc query FabrikamGuard\r\n[SC] EnumQueryServicesStatus:OpenService FAILED 1060:\r\n\r\nThe specified service does not exist as an installed service.\r\n"
	export := func(lines ...string) string {
		return "Windows Registry Editor Version 5.00\r\n\r\n" + strings.Join(lines, "\r\n") + "\r\n"
	}
	const services = `[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services`
	const guard = `"DependOnService"=hex(7):52,00,70,00,63,00,53,00,73,00,00,00,47,00,75,00,61,00,72,00,64,00,00,00,00,00`
	for name, tt := range map[string]struct {
		files map[string]string
		want  []LostNeed
	}{
		"gone": {
			map[string]string{"systeminfo.txt": info, "sc-qc.txt": scConfig("wuauserv", "3   DEMAND_START", "rpcss", "FabrikamGuard", "+TDI"), "sc-query.txt": gone},
			[]LostNeed{{Service: "wuauserv", Need: "FabrikamGuard", Gone: true}},
		},
		"gone, of an unknown Windows": {
			map[string]string{"sc-qc.txt": scConfig("wuauserv", "3   DEMAND_START", "rpcss", "FabrikamGuard"), "sc-query.txt": gone},
			[]LostNeed{{Service: "wuauserv", Need: "FabrikamGuard", Gone: true}},
		},
		"disabled": {
			map[string]string{"systeminfo.txt": info, "sc-qc.txt": scConfig("bits", "3   DEMAND_START", "RpcSs", "FabrikamTune") + scConfig("FabrikamTune", "4   DISABLED", "")},
			[]LostNeed{{Service: "bits", Need: "FabrikamTune"}},
		},
		"disabled, of an unknown Windows": {map[string]string{"sc-qc.txt": scConfig("bits", "3   DEMAND_START", "RpcSs", "FabrikamTune") + scConfig("FabrikamTune", "4   DISABLED", "")}, nil},
		"not asked for":                   {map[string]string{"systeminfo.txt": info, "sc-qc.txt": scConfig("wuauserv", "3   DEMAND_START", "rpcss", "FabrikamGuard")}, nil},
		"it runs":                         {map[string]string{"systeminfo.txt": info, "sc-qc.txt": scConfig("wuauserv", "3   DEMAND_START", "rpcss", "FabrikamGuard") + scConfig("FabrikamGuard", "2   AUTO_START", "")}, nil},
		"Windows' own":                    {map[string]string{"systeminfo.txt": info, "sc-qc.txt": scConfig("wuauserv", "3   DEMAND_START", "rpcss") + scConfig("RpcSs", "4   DISABLED", "")}, nil},
		"a registry": {
			map[string]string{"services.reg": export(services+"]", "", services+`\wuauserv]`, `"Start"=dword:00000003`, guard)},
			[]LostNeed{{Service: "wuauserv", Need: "Guard", Gone: true}},
		},
		"one key of a registry": {map[string]string{"services.reg": export(services+`\wuauserv]`, `"Start"=dword:00000003`, guard)}, nil},
		"not a list":            {map[string]string{"services.reg": export(services+"]", "", services+`\wuauserv]`, `"DependOnService"="Guard"`)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := machine(t, tt.files).LostNeeds()
			for i := range got {
				if got[i].Source == "" {
					t.Errorf("%+v: from nowhere", got[i])
				}
				got[i].Source = ""
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Nothing starts a service by itself only where somebody saw all that could: an export of
// one key, or a list of something else, tells nothing.
func TestLostTriggers(t *testing.T) {
	const info = "Host Name:                 DESK-4\r\nOS Name:                   Microsoft Windows 11 Pro\r\nOS Version:                10.0.22631 N/A Build 22631\r\n"
	export := func(lines ...string) string {
		return "Windows Registry Editor Version 5.00\r\n\r\n" + strings.Join(lines, "\r\n") + "\r\n"
	}
	const key = `HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\wuauserv`
	whole := []string{"[" + key + "]", `"Start"=dword:00000003`, "[" + key + `\Parameters]`, `"ServiceMain"="WUServiceMain"`}
	trigger := func(action string) []string {
		return []string{"[" + key + `\TriggerInfo]`, "[" + key + `\TriggerInfo\0]`, `"Type"=dword:00000005`, `"Action"=dword:` + action, `"Guid"=hex:e6,ca,9f,65,db,5b,a9,4d,b1,ff,ca,2a,17,8d,46,e0`}
	}
	with := func(more []string) string { return export(append(append([]string{}, whole...), more...)...) }
	const asked = "C:\\>sc qtriggerinfo wuauserv\r\n[SC] QueryServiceConfig2 %OK%\r\n\r\nSERVICE_NAME: wuauserv\r\n\r\n"
	none := strings.Replace(asked, "%OK%", "ERFOLG", 1) + "        Der Dienst \"wuauserv\" wurde f\u00fcr keine Start- oder Beendigungstrigger registriert.\r\n"
	for name, tt := range map[string]struct {
		files map[string]string
		lost  bool
	}{
		"stripped":                {map[string]string{"systeminfo.txt": info, "wu.reg": with(nil)}, true},
		"of an unknown Windows":   {map[string]string{"wu.reg": with(nil)}, false},
		"an empty key left":       {map[string]string{"systeminfo.txt": info, "wu.reg": with([]string{"[" + key + `\TriggerInfo]`})}, true},
		"switched off one by one": {map[string]string{"systeminfo.txt": info, "wu.reg": with(trigger("00000000"))}, true},
		"one that stops it":       {map[string]string{"systeminfo.txt": info, "wu.reg": with(trigger("00000002"))}, true},
		"there":                   {map[string]string{"systeminfo.txt": info, "wu.reg": with(trigger("00000001"))}, false},
		"a part of an export":     {map[string]string{"systeminfo.txt": info, "wu.reg": export(whole[:2]...)}, false},
		"sc lists none":           {map[string]string{"systeminfo.txt": info, "sc-qtriggerinfo.txt": none}, true},
		"sc lists some": {map[string]string{"systeminfo.txt": info, "sc-qtriggerinfo.txt": strings.Replace(asked, "%OK%", "SUCCESS", 1) +
			"        START SERVICE\r\n          GROUP POLICY                 : 659fcae6-5bdb-4da9-b1ff-ca2a178d46e0 [MACHINE POLICY PRESENT]\r\n"}, false},
		"sc could not ask":       {map[string]string{"systeminfo.txt": info, "sc-qtriggerinfo.txt": "C:\\>sc qtriggerinfo wuauserv\r\n[SC] OpenService FAILED 5:\r\n\r\nAccess is denied.\r\n"}, false},
		"sc said something else": {map[string]string{"systeminfo.txt": info, "sc-qfailure.txt": "C:\\>sc qfailure wuauserv\r\n[SC] QueryServiceConfig2 SUCCESS\r\n\r\nSERVICE_NAME: wuauserv\r\n        RESET_PERIOD (in seconds)    : 86400\r\n"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := machine(t, tt.files).LostTriggers()
			if (len(got) == 1 && got[0].Service == "wuauserv" && len(got[0].Shipped) == 2 && got[0].Source != "") != tt.lost || len(got) > 1 {
				t.Errorf("%+v, want one: %v", got, tt.lost)
			}
		})
	}
}
