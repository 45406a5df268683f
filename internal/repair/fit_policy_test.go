package repair

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/route"
	"updoc/internal/winlog"
)

func TestManager(t *testing.T) {
	for _, tt := range []struct {
		name   string
		m      machine
		device winlog.DeviceRegistration
		owner  string
		known  bool
	}{
		{"nobody looked", machine{}, winlog.DeviceRegistration{}, "", false},
		{"alone", machine{netlogon: alone}, winlog.DeviceRegistration{}, "", true},
		{"a member", machine{netlogon: member}, winlog.DeviceRegistration{}, "the domain that the machine is a member of", true},
		{"ConfigMgr", machine{netlogon: alone, `HKLM\SOFTWARE\Microsoft\CCM`: ""}, winlog.DeviceRegistration{}, "Configuration Manager", true},
		{"MDM", machine{netlogon: alone}, winlog.DeviceRegistration{Known: true, MDMURL: "https://enroll.example/mdm", DomainJoined: winlog.No}, "the device manager (MDM) that the machine is enrolled with", true},
		{"Entra", machine{netlogon: alone}, winlog.DeviceRegistration{Known: true, AzureADJoined: winlog.Yes, DomainJoined: winlog.No}, "the organisation that the machine is joined to (Entra ID)", true},
		{"left the domain", machine{netlogon: member}, winlog.DeviceRegistration{Known: true, AzureADJoined: winlog.No, DomainJoined: winlog.No}, "", true},
		{"in words", machine{"notes.txt": "This is my home PC, error 0x80244022."}, winlog.DeviceRegistration{}, "", true},
		{"in other words", machine{"notes.txt": "Our domain controller sets it by GPO. Error 0x80244022."}, winlog.DeviceRegistration{}, "the organisation that the machine belongs to", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := fit{Facts: tt.m.facts(t)}
			if tt.device.Known {
				f.Device = facts.Fact[winlog.DeviceRegistration]{State: facts.Present, Value: tt.device}
			}
			if owner, known := f.manager(); owner != tt.owner || known != tt.known {
				t.Errorf("%q, %v", owner, known)
			}
		})
	}
}

func TestPolicies(t *testing.T) {
	const (
		stop     = "service-stop wuauserv"
		wsus     = "\"WUServer\"=\"http://wsus.fabrikam.example:8530\"\r\n\"WUStatusServer\"=\"http://wsus.fabrikam.example:8530\""
		use      = `"UseWUServer"=dword:00000001`
		prefix   = "SetPolicyDrivenUpdateSourceFor"
		identity = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate`
		features = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\Servicing`
		delivery = `HKLM\SOFTWARE\Policies\Microsoft\Windows\DeliveryOptimization`
		signing  = `HKCU\Software\Microsoft\Windows\CurrentVersion\WinTrust\Trust Providers\Software Publishing`
		none     = `"Other"=dword:00000001`
	)
	del := func(key, name string) string { return "value-del " + key + " " + name }
	set := func(key, name, v string) string { return "value-set " + key + " " + name + " = " + v }
	how := func(id string) string { return "lead remedy." + id + ".how" }
	for _, tt := range []struct {
		name, id string
		m        machine
		want     []string
	}{
		{"leftovers of a WSUS", "remove-stale-wsus-policy", machine{keyUpdatePolicy: wsus, keyAUPolicy: use, netlogon: alone}, []string{
			Guided, stop, del(keyAUPolicy, "UseWUServer"), del(keyUpdatePolicy, "WUServer"), del(keyUpdatePolicy, "WUStatusServer"), "lead plan.policy.comes-back",
		}},
		{"and Microsoft forbidden", "remove-stale-wsus-policy", machine{keyUpdatePolicy: "\"WUServer\"=\"http://old.example\"\r\n\"DoNotConnectToWindowsUpdateInternetLocations\"=dword:00000001", keyAUPolicy: none, netlogon: alone}, []string{
			Guided, stop, del(keyUpdatePolicy, "WUServer"), del(keyUpdatePolicy, "DoNotConnectToWindowsUpdateInternetLocations"), "lead plan.policy.comes-back",
		}},
		{"and the agent's copy", "remove-stale-wsus-policy", machine{keyUpdatePolicy: `"WUServer"="http://old.example"`, keyAUPolicy: use, netlogon: alone, keyPolicyCache + `CacheSet002\WindowsUpdate\AU`: use, keyPolicyCache + `CacheSet002\WindowsUpdate`: `"TargetGroup"="x"`}, []string{
			Guided, stop, del(keyAUPolicy, "UseWUServer"), del(keyUpdatePolicy, "WUServer"), del(keyPolicyCache+`CacheSet002\WindowsUpdate\AU`, "UseWUServer"), "lead plan.policy.comes-back",
		}},
		{"owned by a domain", "remove-stale-wsus-policy", machine{keyUpdatePolicy: wsus, keyAUPolicy: use, netlogon: member}, []string{"not: plan.owned"}},
		{"nobody knows whose", "remove-stale-wsus-policy", machine{keyUpdatePolicy: wsus, keyAUPolicy: use}, []string{Guided, "lead plan.not-looked", how("remove-stale-wsus-policy")}},
		{"no WSUS", "remove-stale-wsus-policy", machine{keyUpdatePolicy: none, keyAUPolicy: none, netlogon: alone}, []string{"not: plan.policy.no-wsus"}},
		{"nobody looked", "remove-stale-wsus-policy", machine{netlogon: alone}, []string{Guided, "lead plan.not-looked", how("remove-stale-wsus-policy")}},

		{"a block", "remove-leftover-update-policy", machine{keyUpdatePolicy: "\"DisableWindowsUpdateAccess\"=dword:00000001\r\n\"TargetReleaseVersionInfo\"=\"22H2\"\r\n\"WUServer\"=\"http://wsus.fabrikam.example\"", keyAUPolicy: "\"NoAutoUpdate\"=dword:00000000\r\n\"AUOptions\"=dword:00000001", netlogon: alone}, []string{
			Guided, stop, del(keyUpdatePolicy, "DisableWindowsUpdateAccess"), del(keyUpdatePolicy, "TargetReleaseVersionInfo"), del(keyAUPolicy, "AUOptions"), "lead plan.policy.comes-back",
		}},
		{"an invented server", "remove-leftover-update-policy", machine{keyUpdatePolicy: `"WUServer"="http://127.0.0.1"`, keyAUPolicy: use, keyUserUpdate: none, netlogon: alone}, []string{
			Guided, stop, del(keyAUPolicy, "UseWUServer"), del(keyUpdatePolicy, "WUServer"), "lead plan.policy.comes-back",
		}},
		{"an owned block", "remove-leftover-update-policy", machine{keyUpdatePolicy: `"DisableWindowsUpdateAccess"=dword:00000001`, `HKLM\SOFTWARE\Microsoft\CCM`: ""}, []string{"not: plan.owned"}},
		{"no block", "remove-leftover-update-policy", machine{keyUpdatePolicy: none, keyAUPolicy: none, keyUserUpdate: none, netlogon: alone}, []string{"not: plan.policy.no-leftovers"}},

		{"an address without scheme", "correct-wsus-url", machine{keyUpdatePolicy: `"WUServer"=" WSUS.Fabrikam.example:8530/"`, keyAUPolicy: use, netlogon: alone}, []string{
			Guided, stop, set(keyUpdatePolicy, "WUServer", "http://wsus.fabrikam.example:8530"), set(keyUpdatePolicy, "WUStatusServer", "http://wsus.fabrikam.example:8530"), "lead plan.policy.address",
		}},
		{"an address that is well formed", "correct-wsus-url", machine{keyUpdatePolicy: wsus, netlogon: alone}, []string{Guided, "lead plan.policy.ask-address", how("correct-wsus-url")}},
		{"an owned address", "correct-wsus-url", machine{keyUpdatePolicy: `"WUServer"="WSUS"`, netlogon: member}, []string{"not: plan.owned"}},
		{"no address", "correct-wsus-url", machine{keyUpdatePolicy: none, netlogon: alone}, []string{"not: plan.policy.no-wsus"}},

		{"dual scan", "set-scan-source-policy", machine{keyUpdatePolicy: wsus, keyAUPolicy: use, netlogon: alone, keyCurrentVersion: `"CurrentBuild"="19045"`}, []string{
			Guided, stop, set(keyUpdatePolicy, "DisableDualScan", "0x1"), "lead plan.policy.source-wsus",
		}},
		{"half of the classes", "set-scan-source-policy", machine{keyUpdatePolicy: wsus + "\r\n\"" + prefix + "QualityUpdates\"=dword:00000001\r\n\"" + prefix + "FeatureUpdates\"=dword:00000000", keyAUPolicy: use, netlogon: alone}, []string{
			Guided, stop, set(keyUpdatePolicy, prefix+"FeatureUpdates", "0x1"), set(keyUpdatePolicy, prefix+"DriverUpdates", "0x1"), set(keyUpdatePolicy, prefix+"OtherUpdates", "0x1"), set(keyAUPolicy, "UseUpdateClassPolicySource", "0x1"), "lead plan.policy.source-wsus",
		}},
		{"a WSUS that is none", "set-scan-source-policy", machine{keyUpdatePolicy: `"` + prefix + `QualityUpdates"=dword:00000001`, keyAUPolicy: none, netlogon: alone}, []string{
			Guided, stop, del(keyUpdatePolicy, prefix+"QualityUpdates"), "lead plan.policy.source-microsoft",
		}},
		{"one source", "set-scan-source-policy", machine{keyUpdatePolicy: none, keyAUPolicy: none, netlogon: alone}, []string{"not: plan.policy.one-source"}},
		{"owned sources", "set-scan-source-policy", machine{keyUpdatePolicy: wsus, keyAUPolicy: use, netlogon: member}, []string{"not: plan.owned"}},

		{"fetch policies", "refresh-group-policy", machine{netlogon: member}, []string{Automatic, "run gpupdate /target:computer /force /wait:300"}},
		{"fetch from nobody", "refresh-group-policy", machine{netlogon: alone}, []string{"not: plan.policy.nobody"}},

		{"a cloned identity", "reset-wsus-client-id", machine{identity: "\"SusClientId\"=\"6b7d1a1c-0000-4000-8000-0123456789ab\"\r\n\"SusClientIDValidation\"=hex:06,02"}, []string{
			Automatic, stop, del(identity, "SusClientId"), del(identity, "SusClientIdValidation"),
		}},
		{"no identity", "reset-wsus-client-id", machine{identity: none}, []string{"not: plan.policy.no-client-id"}},

		{"features", "enable-features-from-windows-update", machine{features: `"UseWindowsUpdate"=dword:00000002`, netlogon: alone}, []string{
			Guided, set(features, "RepairContentServerSource", "0x2"), del(features, "UseWindowsUpdate"), how("enable-features-from-windows-update"),
		}},
		{"features already", "enable-features-from-windows-update", machine{features: `"RepairContentServerSource"=dword:00000002`, netlogon: alone}, []string{"not: plan.nothing-to-change"}},
		{"features, owned", "enable-features-from-windows-update", machine{features: none, netlogon: member}, []string{"not: plan.owned"}},

		{"simple mode", "set-delivery-optimization-simple-mode", machine{delivery: `"DODownloadMode"=dword:00000064`, netlogon: alone}, []string{Automatic, "service-stop DoSvc", set(delivery, "DODownloadMode", "0x63")}},
		{"simple already", "set-delivery-optimization-simple-mode", machine{delivery: `"DODownloadMode"=dword:00000063`}, []string{"not: plan.nothing-to-change"}},
		{"simple, owned", "set-delivery-optimization-simple-mode", machine{delivery: none, netlogon: member}, []string{"not: plan.owned"}},
		{"simple, managed", "set-delivery-optimization-simple-mode", machine{delivery: none, netlogon: alone, `HKLM\SOFTWARE\Microsoft\PolicyManager\current\device\DeliveryOptimization`: `"DODownloadMode"=dword:00000001`}, []string{"not: plan.owned"}},

		{"signatures", "restore-signature-check-setting", machine{signing: `"State"=dword:00023e00`}, []string{Guided, set(signing, "State", "0x23c00"), how("restore-signature-check-setting")}},
		{"signatures as they are", "restore-signature-check-setting", machine{signing: `"State"=dword:00023c00`}, []string{"not: plan.nothing-to-change"}},

		{"a pause", "resume-paused-updates", machine{keySettings: "\"PauseUpdatesExpiryTime\"=\"2031-05-01T00:00:00Z\"\r\n\"PauseQualityUpdatesStartTime\"=\"2031-04-01T00:00:00Z\""}, []string{
			Guided, del(keySettings, "PauseUpdatesExpiryTime"), del(keySettings, "PauseQualityUpdatesStartTime"), "lead plan.policy.paused-until",
		}},
		{"a pause by policy", "resume-paused-updates", machine{keyUpdatePolicy: `"PauseQualityUpdatesStartTime"="2031-04-01"`, keySettings: none, netlogon: member}, []string{"not: plan.owned"}},
		{"no pause", "resume-paused-updates", machine{keySettings: none}, []string{Guided, "lead plan.policy.not-paused", how("resume-paused-updates")}},

		{"the user's proxy for a WSUS", "enable-wsus-user-proxy-fallback", machine{keyUpdatePolicy: wsus, keyAUPolicy: use, keyUserNet: userProxy, netlogon: alone}, []string{Guided, set(keyUpdatePolicy, "SetProxyBehaviorForUpdateDetection", "0x1"), how("enable-wsus-user-proxy-fallback")}},
		{"the same, owned", "enable-wsus-user-proxy-fallback", machine{keyUpdatePolicy: wsus, keyAUPolicy: use, keyUserNet: userProxy, netlogon: member}, []string{"not: plan.owned"}},
		{"the same, without a WSUS", "enable-wsus-user-proxy-fallback", machine{keyUpdatePolicy: none}, []string{"not: plan.policy.no-wsus"}},

		{"whose policy", "tell-policy-owner", machine{netlogon: member}, []string{Advice, how("tell-policy-owner"), "lead plan.tell.owner"}},
		{"whose server", "tell-wsus-clean-up", machine{keyUpdatePolicy: wsus, keyAUPolicy: use}, []string{Advice, how("tell-wsus-clean-up"), "lead plan.tell.server"}},
		{"a ticket", "renew-device-ticket", machine{`HKLM\SYSTEM\CurrentControlSet\Services\wlidsvc`: `"Start"=dword:00000004`}, []string{Guided, "service-start wlidsvc", "service-run wlidsvc", how("renew-device-ticket")}},
		{"a ticket, nobody looked", "renew-device-ticket", machine{}, []string{Guided, how("renew-device-ticket")}},
		{"which server", "check-wsus-reachability", machine{keyUpdatePolicy: wsus, keyAUPolicy: use}, []string{Automatic, "lead plan.tell.server", "lead plan.look.not-walked"}},
		{"no server", "check-wsus-reachability", machine{keyUpdatePolicy: none}, []string{Automatic, "lead plan.policy.no-wsus"}},
		{"names", "flush-dns-cache", machine{}, []string{Automatic, "run ipconfig /flushdns"}},
		{"which policies", "check-update-policies", machine{keyUpdatePolicy: `"DisableDualScan"=dword:00000001`, keyAUPolicy: use, keyUserUpdate: none, netlogon: alone}, []string{Automatic, "lead plan.tell.no-owner", "lead plan.look.policy"}},
		{"inside", "connect-company-vpn", machine{keyUpdatePolicy: wsus, keyAUPolicy: use}, []string{Advice, how("connect-company-vpn"), "lead plan.policy.inside"}},
	} {
		t.Run(tt.id+"/"+tt.name, func(t *testing.T) { wantPlan(t, tt.id, tt.m.facts(t), tt.want...) })
	}
}

// Whose a value is decides, where somebody looked it up, and not whose the machine is.
func TestOwnersOfValues(t *testing.T) {
	m := machine{keyUpdatePolicy: `"DisableWindowsUpdateAccess"=dword:00000001`, keyAUPolicy: `"NoAutoUpdate"=dword:00000001`, netlogon: member}
	drops := []string{
		Guided, "service-stop wuauserv", "value-del " + keyUpdatePolicy + " DisableWindowsUpdateAccess", "value-del " + keyAUPolicy + " NoAutoUpdate",
	}
	for _, tt := range []struct {
		access, auto string
		want         []string
	}{
		{host.OwnerNobody, host.OwnerNobody, append(slices.Clone(drops), "lead plan.policy.comes-back")},
		{host.OwnerNobody, host.OwnerLocal, append(slices.Clone(drops), "lead plan.policy.local-file", "lead plan.policy.comes-back")},
		{host.OwnerTool, host.OwnerNobody, append(slices.Clone(drops), "lead plan.policy.tool", "lead plan.policy.comes-back")},
		{host.OwnerNobody, host.OwnerDomain, []string{"not: plan.owned"}},
		{host.OwnerMDM, host.OwnerNobody, []string{"not: plan.owned"}},
		{host.OwnerConfigMgr, host.OwnerNobody, []string{"not: plan.owned"}},
		{host.OwnerNobody, host.OwnerUnknown, []string{"not: plan.owned"}},
	} {
		f := m.facts(t)
		f.Management = facts.Fact[host.Management]{State: facts.Present, Value: host.Management{Joined: "domain", Tools: []string{"Winaero Tweaker 1.62"}, Owners: []host.Owned{
			{Key: keyUpdatePolicy, Name: "DisableWindowsUpdateAccess", Owner: tt.access}, {Key: keyAUPolicy, Name: "NoAutoUpdate", Owner: tt.auto},
		}}}
		wantPlan(t, "remove-leftover-update-policy", f, tt.want...)
	}
}

func TestWellFormed(t *testing.T) {
	for in, want := range map[string]string{
		"http://wsus.fabrikam.example:8530":            "http://wsus.fabrikam.example:8530",
		"HTTPS://WSUS.Fabrikam.Example:8531/":          "https://wsus.fabrikam.example:8531",
		"wsus":                                         "http://wsus",
		"wsus.fabrikam.example":                        "http://wsus.fabrikam.example",
		"http://http://wsus.fabrikam.example":          "http://wsus.fabrikam.example",
		"http://https//wsus.fabrikam.example":          "https://wsus.fabrikam.example",
		`http:\\wsus.fabrikam.example:8530`:            "http://wsus.fabrikam.example:8530",
		`"http://wsus:8530"`:                           "http://wsus:8530",
		"http://":                                      "",
		"":                                             "",
		"http://user:word@wsus.fabrikam.example":       "",
		"http://wsus one.example":                      "",
		"http://127.0.0.1":                             "",
		"http://[2001:db8::1]:8530":                    "http://[2001:db8::1]:8530",
		"http://wsus.fabrikam.example:port":            "",
		"http://wsus.fabrikam.example:8530/Selfupdate": "http://wsus.fabrikam.example:8530/selfupdate",
	} {
		if got := wellFormed(in); got != want {
			t.Errorf("wellFormed(%q) = %q, want %q", in, got, want)
		}
		if got := wellFormed(want); got != want {
			t.Errorf("wellFormed(%q) = %q", want, got)
		}
	}
}

func TestValues(t *testing.T) {
	if s, ok := textValue("Wörter").String(); !ok || s != "Wörter" {
		t.Errorf("%q", s)
	}
	if n, ok := numberValue(0xFFFFFFFF).DWord(); !ok || n != 0xFFFFFFFF {
		t.Error(n)
	}
	if d := cmp.Diff("a", tellValue(textValue(" a "))); d != "" {
		t.Error(d)
	}
}

// anyMachine draws a machine whose settings may be anything: right, wrong, of another
// type, cut off.
func anyMachine(t *rapid.T) machine {
	keys := []string{
		keyConnections, keyMachineNet, keyNetPolicy, keyUserPolicy, keyUserNet, keyUserNet + `\Connections`,
		`HKU\S-1-5-18\` + keyInternet, `HKU\S-1-5-18\` + keyInternet + `\Connections`, `HKU\S-1-5-20\` + keyInternet + `\Connections`,
		keyUpdatePolicy, keyAUPolicy, keyMDMUpdate, keyUserUpdate, keySettings, keyTLS12, keyWinHTTP, keyCipherPolicy,
		keyTime, keyTime + `\Parameters`, keyTime + `\Config`, keyTimePolicy + `\Parameters`, keyFirewall, keyFirewallPolicy, keyTCPIP,
		keyCurrentVersion, netlogon, `HKLM\SOFTWARE\Policies\Microsoft\SystemCertificates\AuthRoot`,
		`HKLM\SYSTEM\CurrentControlSet\Services\Tcpip6\Parameters`, `HKLM\SOFTWARE\Policies\Microsoft\Windows\DeliveryOptimization`,
		`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\Servicing`, `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate`,
		`HKLM\SYSTEM\CurrentControlSet\Services\wuauserv`, `HKLM\SYSTEM\CurrentControlSet\Services\bits`,
	}
	names := []string{
		"WinHttpSettings", "DefaultConnectionSettings", "SavedLegacySettings", "ProxyEnable", "ProxyServer", "ProxyOverride", "AutoConfigURL", "ProxySettingsPerUser",
		"WUServer", "WUStatusServer", "UseWUServer", "DisableWindowsUpdateAccess", "TargetReleaseVersionInfo", "SetPolicyDrivenUpdateSourceForQualityUpdates",
		"DoNotConnectToWindowsUpdateInternetLocations", "PauseUpdatesExpiryTime", "PauseQualityUpdatesStartTime", "Enabled", "DisabledByDefault",
		"DefaultSecureProtocols", "Functions", "Start", "Type", "NtpServer", "MaxNegPhaseCorrection", "MaxPosPhaseCorrection", "{rule}", "DataBasePath",
		"SystemRoot", "CurrentBuild", "DisableRootAutoUpdate", "DisabledComponents", "DODownloadMode", "RepairContentServerSource", "SusClientId",
	}
	blob := winlog.ProxyBlob{Mark: winlog.MarkWinHTTP, Flags: 3, Proxy: "proxy.fabrikam.example:3128", Bypass: "<local>"}
	data := rapid.OneOf(
		rapid.Map(rapid.SampledFrom([]uint32{0, 1, 2, 3, 4, 99, 0xD2F0, 0xFFFFFFFF}), func(n uint32) string { return fmt.Sprintf("dword:%08x", n) }),
		rapid.SampledFrom([]string{
			`""`, `"NoSync"`, `"http://WSUS.fabrikam.example:8530"`, `"wsus"`, `"proxy.fabrikam.example:3128"`, `"http=127.0.0.1:8888"`, `"http://p.fabrikam.example/p.pac"`,
			`"v2.31|Action=Block|Active=TRUE|Dir=Out|Svc=wuauserv|Name=x|"`, `"D:\\names"`, `"%SystemRoot%\\System32\\drivers\\etc"`, `"..\\..\\x"`, `"C:\\Windows"`, `"19045"`, `"2031-05-01"`, `"TLS_A,TLS_B"`,
		}),
		rapid.Custom(func(t *rapid.T) string {
			b := blob
			b.Mark = rapid.SampledFrom([]uint32{0x18, 0x28, 0x46, 0x3C, 0x99}).Draw(t, "mark")
			b.Flags = rapid.Uint32Range(0, 15).Draw(t, "flags")
			raw := b.Encode()
			_, hex, _ := strings.Cut(regBinary("", raw[:rapid.IntRange(0, len(raw)).Draw(t, "length")]), "=")
			return hex
		}),
	)
	m := machine{}
	for _, k := range rapid.SliceOfNDistinct(rapid.SampledFrom(keys), 0, len(keys), rapid.ID[string]).Draw(t, "keys") {
		for name, v := range rapid.MapOfN(rapid.SampledFrom(names), data, 0, 8).Draw(t, "values") {
			m[k] += fmt.Sprintf("%q=%s\r\n", name, v)
		}
		m[k] += "\"Read\"=dword:00000001\r\n"
	}
	if rapid.Bool().Draw(t, "with hosts") {
		m["hosts"] = "127.0.0.1 localhost\n" + rapid.SampledFrom([]string{"", "0.0.0.0 fe2cr.update.microsoft.com x.example", "::1 sls.update.microsoft.com\x00"}).Draw(t, "hosts") + "\n"
	}
	if rapid.Bool().Draw(t, "with adapters") {
		m["ipconfig-all.txt"] = adapters
	}
	return m
}

// anyFacts adds what no file tells.
func anyFacts(t *testing.T, rt *rapid.T, m machine) *facts.Facts {
	f := m.facts(t)
	if rapid.Bool().Draw(rt, "with clock") {
		f.Clock = facts.Fact[time.Duration]{State: facts.Present, Value: time.Duration(rapid.Int64().Draw(rt, "offset"))}
	}
	if rapid.Bool().Draw(rt, "walked") {
		fault := rapid.SampledFrom([]host.Fault{"", host.FaultTimeout, host.FaultProxyAuth, host.FaultSunk})
		f.Route = walked(map[route.Proxy]host.Fault{
			{Known: true, Static: "proxy.fabrikam.example:3128"}: fault.Draw(rt, "through"),
			{Known: true}: fault.Draw(rt, "direct"),
		})
	}
	return f
}

// TestFitAnything: whatever a machine's settings are, every remedy either fits with
// steps that every plan may have, and says only what there are words for, or says why
// it does not.
func TestFitAnything(t *testing.T) {
	words := message.English()
	rapid.Check(t, func(rt *rapid.T) {
		f := anyFacts(t, rt, anyMachine(rt))
		for _, r := range Catalogue() {
			x, why := Choice{Remedy: r}.fit(f, cause.Diagnosis{}, testRun)
			p := Plan{Schema: Schema, Run: testRun, Treatments: []Treatment{x}}
			if err := p.Check(); err != nil {
				rt.Errorf("%s: %v", r.ID, err)
			}
			if why.ID == "" && len(x.Changes()) == 0 && len(x.Lead) == 0 && r.Risk != RiskNone {
				rt.Errorf("%s: neither steps nor words nor why not", r.ID)
			}
			for _, l := range append(x.Lead, why) {
				if l.ID != "" && !words.Has(l.ID) {
					rt.Errorf("%s says %s, and there is no such text", r.ID, l.ID)
				}
			}
			if x.leased() && slices.ContainsFunc(x.Steps, func(s Step) bool { return s.Lease == 0 }) {
				rt.Errorf("%s: an experiment of which something stays", r.ID)
			}
		}
	})
}

// TestOwned: on a machine that somebody manages, with policies for updates and for
// proxies, nothing is written where policies stand, and no proxy setting changes.
func TestOwned(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := anyMachine(rt)
		m[netlogon] = member
		m[keyNetPolicy] = proxyPolicy
		f := anyFacts(t, rt, m)
		for _, r := range Catalogue() {
			x, why := Choice{Remedy: r}.fit(f, cause.Diagnosis{}, testRun)
			if why.ID != "" {
				continue
			}
			for _, s := range x.Steps {
				path := strings.ToLower(s.Change.Path)
				switch {
				case strings.Contains(path, `\policies\`):
					rt.Errorf("%s changes %s", r.ID, s.Change.Path)
				case !strings.Contains(path, strings.ToLower(keyInternet)):
				case s.Change.Name == "DefaultSecureProtocols": // of TLS
				case r.ID == "clear-winhttp-proxy" && !sameProxy(winHTTPNow(f), "proxy.fabrikam.example:3128"):
					// A policy for WinINET owns WinHTTP's setting only where it is its own proxy.
				default:
					rt.Errorf("%s changes %s %s", r.ID, s.Change.Path, s.Change.Name)
				}
			}
		}
	})
}

func winHTTPNow(f *facts.Facts) string {
	b, _ := winlog.ParseWinHTTPBlob(f.Value(keyConnections, winHTTPValue).Value.Data)
	return b.Proxy
}

func TestServerThatAnswersIsNoLeftover(t *testing.T) {
	f := machine{keyUpdatePolicy: `"WUServer"="http://WSUS.fabrikam.example:8530"`, keyAUPolicy: `"UseWUServer"=dword:00000001`, netlogon: alone}.facts(t)
	f.Route = walked(map[route.Proxy]host.Fault{{Known: true}: ""})
	f.Route.Trips[0].Task.Request.URL = "http://wsus.fabrikam.example:8530/ClientWebService/client.asmx"
	wantPlan(t, "remove-stale-wsus-policy", f, "not: plan.policy.server-answers")
	f.Route = walked(map[route.Proxy]host.Fault{{Known: true}: host.FaultTimeout})
	f.Route.Trips[0].Task.Request.URL = "http://wsus.fabrikam.example:8530/ClientWebService/client.asmx"
	if x, why := fitted(t, "remove-stale-wsus-policy", f); why.ID != "" || len(x.Steps) == 0 {
		t.Errorf("%v, %v", x.Steps, why)
	}
}

// FuzzWellFormed: what comes out is an address that stays as it is.
func FuzzWellFormed(f *testing.F) {
	for _, s := range []string{"http://wsus.fabrikam.example:8530", "HTTP:\\\\wsus", `"https//a.b/c"`, "http://http://", "//x", "http://[::1", "a b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := wellFormed(s)
		if out == "" {
			return
		}
		if again := wellFormed(out); again != out {
			t.Errorf("%q becomes %q and then %q", s, out, again)
		}
		if !strings.HasPrefix(out, "http://") && !strings.HasPrefix(out, "https://") || strings.ContainsAny(out, " \"<>\x00") {
			t.Errorf("%q becomes %q", s, out)
		}
	})
}
