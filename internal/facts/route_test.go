package facts

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/redact"
	"updoc/internal/route"
	"updoc/internal/winlog"
)

// regKey writes one key of a registry export.
func regKey(key string, values ...string) string {
	long := map[string]string{"HKLM": "HKEY_LOCAL_MACHINE", "HKCU": "HKEY_CURRENT_USER", "HKU": "HKEY_USERS"}
	root, rest, _ := strings.Cut(key, `\`)
	return "[" + long[root] + `\` + rest + "]\r\n" + strings.Join(values, "\r\n") + "\r\n\r\n"
}

func regFile(keys ...string) string {
	return "Windows Registry Editor Version 5.00\r\n\r\n" + strings.Join(keys, "")
}

// regBlob writes a binary proxy setting as a value of an export.
func regBlob(name string, b winlog.ProxyBlob) string {
	var hex []string
	for _, c := range b.Encode() {
		hex = append(hex, fmt.Sprintf("%02x", c))
	}
	return fmt.Sprintf("%q=hex:%s", name, strings.Join(hex, ","))
}

const (
	testPolicies = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`
	testInternet = `Software\Microsoft\Windows\CurrentVersion\Internet Settings`
	testShow     = "Current WinHTTP proxy settings:\r\n\r\n    Proxy Server(s) :  proxy.fabrikam.example:8080\r\n    Bypass List     :  <local>;*.fabrikam.example\r\n"
	testIPConfig = "\r\nWindows IP Configuration\r\n\r\n" +
		"   Host Name . . . . . . . . . . . . : PC-0042\r\n" +
		"   Primary Dns Suffix  . . . . . . . : emea.fabrikam.example\r\n" +
		"   Node Type . . . . . . . . . . . . : Hybrid\r\n" +
		"   IP Routing Enabled. . . . . . . . : No\r\n" +
		"   WINS Proxy Enabled. . . . . . . . : No\r\n" +
		"   DNS Suffix Search List. . . . . . : emea.fabrikam.example\r\n\r\n" +
		"Ethernet adapter Ethernet:\r\n\r\n" +
		"   Connection-specific DNS Suffix  . : branch.fabrikam.example\r\n" +
		"   Description . . . . . . . . . . . : Some Ethernet Adapter\r\n" +
		"   Physical Address. . . . . . . . . : 00-15-5D-01-02-03\r\n" +
		"   DHCP Enabled. . . . . . . . . . . : Yes\r\n" +
		"   IPv4 Address. . . . . . . . . . . : 192.0.2.17(Preferred)\r\n" +
		"   Subnet Mask . . . . . . . . . . . : 255.255.255.0\r\n" +
		"   Default Gateway . . . . . . . . . : 192.0.2.1\r\n" +
		"   DHCP Server . . . . . . . . . . . : 192.0.2.2\r\n" +
		"   DNS Servers . . . . . . . . . . . : 192.0.2.3\r\n"
)

func TestRouteSettings(t *testing.T) {
	blob := winlog.ProxyBlob{Mark: winlog.MarkConnection, Counter: 3, Tail: make([]byte, 32)}
	static, script, both := blob, blob, blob
	static.Flags, static.Proxy, static.Bypass = 3, "bits.fabrikam.example:80", "<local>"
	script.Flags, script.PAC = 5, "http://pac.fabrikam.example/p.pac"
	both.Flags, both.Proxy, both.PAC = 0x0F, "surf.fabrikam.example:3128", "http://pac.fabrikam.example/p.pac"
	tests := []struct {
		name  string
		files map[string]string
		check func(*testing.T, route.Settings)
	}{
		{"nothing", map[string]string{"notes.txt": "it does not work"}, func(t *testing.T, s route.Settings) {
			if d := cmp.Diff(route.Settings{Accounts: map[route.Account]route.Proxy{}}, s); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		}},
		{"netsh", map[string]string{"netsh-winhttp-show-proxy.txt": testShow}, func(t *testing.T, s route.Settings) {
			want := route.Proxy{Known: true, Static: "proxy.fabrikam.example:8080", Bypass: "<local>;*.fabrikam.example", Source: "netsh-winhttp-show-proxy.txt"}
			if d := cmp.Diff(want, s.Machine); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if s.User.Known || s.Internet.Known || len(s.Accounts) != 0 {
				t.Errorf("known without evidence: %+v", s)
			}
		}},
		{"the value that netsh writes", map[string]string{"a.reg": regFile(regKey(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\Connections`,
			regBlob("WinHttpSettings", winlog.ProxyBlob{Mark: winlog.MarkWinHTTP, Flags: 3, Proxy: "prx:8080", Bypass: "<local>"})))}, func(t *testing.T, s route.Settings) {
			if !s.Machine.Known || s.Machine.Static != "prx:8080" || s.Machine.Bypass != "<local>" || !strings.HasPrefix(s.Machine.Source, "a.reg") {
				t.Errorf("%+v", s.Machine)
			}
		}},
		{"advproxy of the machine", map[string]string{"netsh-winhttp-show-advproxy.txt": "C:\\>netsh winhttp show advproxy setting-scope=machine\r\n{\r\n\"Proxy\": \"\",\r\n\"ProxyBypass\": \"\",\r\n\"AutoconfigUrl\": \"http://pac.fabrikam.example/p.pac\",\r\n\"AutoDetect\": true\r\n}\r\n"}, func(t *testing.T, s route.Settings) {
			if s.Machine.PAC != "http://pac.fabrikam.example/p.pac" || !s.Machine.Detect {
				t.Errorf("%+v", s.Machine)
			}
		}},
		{"advproxy of the user says nothing of the machine", map[string]string{"netsh-winhttp-show-advproxy.txt": "C:\\>netsh winhttp show advproxy setting-scope=user\r\n{\r\n\"Proxy\": \"a:1\",\r\n\"ProxyBypass\": \"\",\r\n\"AutoconfigUrl\": \"\",\r\n\"AutoDetect\": false\r\n}\r\n"}, func(t *testing.T, s route.Settings) {
			if s.Machine.Known {
				t.Errorf("%+v", s.Machine)
			}
		}},
		{"the user's values and detection", map[string]string{"user.reg": regFile(
			regKey(`HKCU\`+testInternet, `"ProxyEnable"=dword:00000001`, `"ProxyServer"="surf.fabrikam.example:3128"`, `"ProxyOverride"="*.local"`),
			regKey(`HKCU\`+testInternet+`\Connections`, regBlob("DefaultConnectionSettings", both)))}, func(t *testing.T, s route.Settings) {
			if s.User.Static != "surf.fabrikam.example:3128" || s.User.Bypass != "*.local" || !s.User.Detect {
				t.Errorf("%+v", s.User)
			}
		}},
		{"a proxy that is switched off", map[string]string{"user.reg": regFile(regKey(`HKCU\`+testInternet, `"ProxyEnable"=dword:00000000`, `"ProxyServer"="surf.fabrikam.example:3128"`))}, func(t *testing.T, s route.Settings) {
			if !s.User.Known || !s.User.Direct() {
				t.Errorf("%+v", s.User)
			}
		}},
		{"service accounts", map[string]string{"system.reg": regFile(
			regKey(`HKU\S-1-5-18\`+testInternet+`\Connections`, regBlob("DefaultConnectionSettings", static)),
			regKey(`HKU\S-1-5-20\`+testInternet+`\Connections`, regBlob("DefaultConnectionSettings", script)))}, func(t *testing.T, s route.Settings) {
			if got := s.Accounts[route.System]; got.Static != "bits.fabrikam.example:80" || got.Bypass != "<local>" {
				t.Errorf("LocalSystem: %+v", got)
			}
			if got := s.Accounts[route.NetworkService]; got.PAC != "http://pac.fabrikam.example/p.pac" || got.Static != "" {
				t.Errorf("NetworkService: %+v", got)
			}
			if _, ok := s.Accounts[route.LocalService]; ok {
				t.Error("LocalService is known, nobody looked")
			}
		}},
		{"per machine", map[string]string{"a.reg": regFile(
			regKey(`HKLM\SOFTWARE\Policies\Microsoft\Windows\CurrentVersion\Internet Settings`, `"ProxySettingsPerUser"=dword:00000000`),
			regKey(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings`, `"ProxyEnable"=dword:00000001`, `"ProxyServer"="all.fabrikam.example:80"`))}, func(t *testing.T, s route.Settings) {
			if s.Internet.Static != "all.fabrikam.example:80" {
				t.Errorf("%+v", s.Internet)
			}
		}},
		{"per user: machine-wide values say nothing", map[string]string{"a.reg": regFile(
			regKey(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings`, `"ProxyEnable"=dword:00000001`, `"ProxyServer"="all.fabrikam.example:80"`))}, func(t *testing.T, s route.Settings) {
			if s.Internet.Known {
				t.Errorf("%+v", s.Internet)
			}
		}},
		{"WSUS", map[string]string{"policies.reg": regFile(
			regKey(testPolicies, `"WUServer"="http://WSUS01.Fabrikam.example:8530"`, `"WUStatusServer"="http://anna:s3cret@WSUS02.Fabrikam.example:8530"`,
				`"UpdateServiceUrlAlternate"="http://alt.fabrikam.example"`, `"FillEmptyContentUrls"=dword:00000001`, `"SetProxyBehaviorForUpdateDetection"=dword:00000001`,
				`"DoNotConnectToWindowsUpdateInternetLocations"=dword:00000001`, `"DoNotEnforceEnterpriseTLSCertPinningForUpdateDetection"=dword:00000001`),
			regKey(testPolicies+`\AU`, `"UseWUServer"=dword:00000001`))}, func(t *testing.T, s route.Settings) {
			want := route.Settings{
				Accounts: map[route.Account]route.Proxy{}, WSUS: "http://WSUS01.Fabrikam.example:8530", WSUSStatus: "http://WSUS02.Fabrikam.example:8530", UseWSUS: true,
				Alternate: "http://alt.fabrikam.example", FillEmptyURL: true, UserFallback: true, NoInternet: true, NoPinning: true,
			}
			if d := cmp.Diff(want, s); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		}},
		{"WSUS that is not used", map[string]string{"policies.reg": regFile(
			regKey(testPolicies, `"WUServer"="http://wsus.fabrikam.example:8530"`), regKey(testPolicies+`\AU`, `"UseWUServer"=dword:00000000`))}, func(t *testing.T, s route.Settings) {
			if s.UseWSUS || s.WSUS == "" {
				t.Errorf("%+v", s)
			}
		}},
		{"WSUS without the other key", map[string]string{"policies.reg": regFile(regKey(testPolicies, `"WUServer"="http://wsus.fabrikam.example:8530"`))}, func(t *testing.T, s route.Settings) {
			if !s.UseWSUS {
				t.Error("a server that is named is taken to be used unless UseWUServer says no")
			}
		}},
		{"WSUS by management", map[string]string{"mdm.reg": regFile(regKey(`HKLM\SOFTWARE\Microsoft\PolicyManager\current\device\Update`, `"UpdateServiceUrl"="https://wsus.fabrikam.example:8531"`, `"SetPolicyDrivenUpdateSourceForDriverUpdates"=dword:00000000`))}, func(t *testing.T, s route.Settings) {
			if !s.UseWSUS || s.WSUS != "https://wsus.fabrikam.example:8531" || !slices.Equal(s.FromMicrosoft, []string{"driver"}) {
				t.Errorf("%+v", s)
			}
		}},
		{"sources per class", map[string]string{"policies.reg": regFile(
			regKey(testPolicies, `"SetPolicyDrivenUpdateSourceForFeatureUpdates"=dword:00000000`, `"SetPolicyDrivenUpdateSourceForQualityUpdates"=dword:00000001`, `"SetPolicyDrivenUpdateSourceForOtherUpdates"=dword:00000000`),
			regKey(testPolicies+`\AU`, `"UseUpdateClassPolicySource"=dword:00000001`))}, func(t *testing.T, s route.Settings) {
			if !slices.Equal(s.FromMicrosoft, []string{"feature", "other"}) {
				t.Errorf("%v", s.FromMicrosoft)
			}
		}},
		{"sources without their switch", map[string]string{"policies.reg": regFile(regKey(testPolicies, `"SetPolicyDrivenUpdateSourceForFeatureUpdates"=dword:00000000`))}, func(t *testing.T, s route.Settings) {
			if s.FromMicrosoft != nil {
				t.Errorf("%v", s.FromMicrosoft)
			}
		}},
		{"sources on Windows 10 with DisableDualScan", map[string]string{"policies.reg": regFile(
			regKey(testPolicies, `"SetPolicyDrivenUpdateSourceForFeatureUpdates"=dword:00000000`, `"DisableDualScan"=dword:00000001`), regKey(testPolicies+`\AU`, `"UseUpdateClassPolicySource"=dword:00000001`),
			regKey(`HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`, `"CurrentBuildNumber"="19045"`, `"UBR"=dword:00000f4a`))}, func(t *testing.T, s route.Settings) {
			if s.FromMicrosoft != nil || s.Build != "19045.3914" {
				t.Errorf("%v on %s", s.FromMicrosoft, s.Build)
			}
		}},
		{"Delivery Optimization", map[string]string{"policies.reg": regFile(
			regKey(`HKLM\SOFTWARE\Policies\Microsoft\Windows\DeliveryOptimization`, `"DODownloadMode"=dword:00000063`),
			regKey(`HKLM\SOFTWARE\Microsoft\PolicyManager\current\device\DeliveryOptimization`, `"DODownloadMode"=dword:00000001`, `"DOCacheHost"="cache.fabrikam.example"`))}, func(t *testing.T, s route.Settings) {
			if !s.DODisabled || s.CacheHost != "cache.fabrikam.example" {
				t.Errorf("%+v", s)
			}
		}},
		{"suffixes", map[string]string{"ipconfig-all.txt": testIPConfig}, func(t *testing.T, s route.Settings) {
			if d := cmp.Diff([]string{"emea.fabrikam.example", "branch.fabrikam.example"}, s.Suffixes); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if s.Computer != "pc-0042.emea.fabrikam.example" || s.NoWPAD || s.Devolve != 0 {
				t.Errorf("%+v", s)
			}
		}},
		{"a search list", map[string]string{"ipconfig-all.txt": testIPConfig, "dns.reg": regFile(regKey(`HKLM\SOFTWARE\Policies\Microsoft\Windows NT\DNSClient`, `"SearchList"="fabrikam.example,lab.fabrikam.example"`))}, func(t *testing.T, s route.Settings) {
			if d := cmp.Diff([]string{"fabrikam.example", "lab.fabrikam.example"}, s.Suffixes); d != "" || s.Devolve >= 0 {
				t.Errorf("devolves to %d (-want +got):\n%s", s.Devolve, d)
			}
		}},
		{"devolution", map[string]string{"dns.reg": regFile(regKey(`HKLM\SYSTEM\CurrentControlSet\Services\Dnscache\Parameters`, `"DomainNameDevolutionLevel"=dword:00000003`), regKey(`HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`, `"Domain"="a.b.fabrikam.example"`))}, func(t *testing.T, s route.Settings) {
			if s.Devolve != 3 || !slices.Equal(s.Suffixes, []string{"a.b.fabrikam.example"}) {
				t.Errorf("%+v", s)
			}
		}},
		{"no devolution", map[string]string{"dns.reg": regFile(regKey(`HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`, `"UseDomainNameDevolution"=dword:00000000`))}, func(t *testing.T, s route.Settings) {
			if s.Devolve >= 0 {
				t.Errorf("%+v", s)
			}
		}},
		{"no detection", map[string]string{"a.reg": regFile(regKey(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\WinHttp`, `"DisableWpad"=dword:00000001`))}, func(t *testing.T, s route.Settings) {
			if !s.NoWPAD {
				t.Errorf("%+v", s)
			}
		}},
		{"the detecting service is disabled", map[string]string{"a.reg": regFile(regKey(`HKLM\SYSTEM\CurrentControlSet\Services\WinHttpAutoProxySvc`, `"Start"=dword:00000004`))}, func(t *testing.T, s route.Settings) {
			if !s.NoWPAD {
				t.Errorf("%+v", s)
			}
		}},
		{"its own id", map[string]string{"a.reg": regFile(regKey(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate`, `"SusClientId"="6f1d6a0e-7c1b-4d4e-9a53-0b6c1d2e3f40"`))}, func(t *testing.T, s route.Settings) {
			if s.ClientID != "6f1d6a0e-7c1b-4d4e-9a53-0b6c1d2e3f40" || s.Redacted != nil {
				t.Errorf("%+v", s)
			}
		}},
		{"credentials", map[string]string{"user.reg": regFile(regKey(`HKCU\`+testInternet, `"ProxyEnable"=dword:00000001`, `"ProxyServer"="http=anna:s3cret@surf:80"`, `"AutoConfigURL"="http://anna:s3cret@pac.fabrikam.example/"`))}, func(t *testing.T, s route.Settings) {
			if strings.Contains(fmt.Sprintf("%+v", s), "s3cret") || s.User.PAC != "http://pac.fabrikam.example/" {
				t.Errorf("%+v", s.User)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.check(t, machine(t, tt.files).RouteSettings()) })
	}
}

// A redacted bundle: every name that redaction made up is recognised, and no other.
func TestRouteSettingsRedacted(t *testing.T) {
	files := map[string]string{
		"netsh-winhttp-show-proxy.txt": testShow,
		"ipconfig-all.txt":             testIPConfig,
		"a.reg": regFile(
			regKey(testPolicies, `"WUServer"="http://WSUS01.corp.fabrikam.example:8530"`, `"WUStatusServer"="http://10.20.30.40:8530"`),
			regKey(testPolicies+`\AU`, `"UseWUServer"=dword:00000001`),
			regKey(`HKCU\`+testInternet, `"AutoConfigURL"="http://wpad/wpad.dat"`),
			regKey(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate`, `"SusClientId"="6f1d6a0e-7c1b-4d4e-9a53-0b6c1d2e3f40"`)),
	}
	if s := machine(t, files).RouteSettings(); s.Redacted != nil {
		t.Errorf("names of a bundle that nobody redacted: %v", s.Redacted)
	}
	r := &redact.Redactor{Key: []byte("a key")}
	hidden := map[string]string{}
	for name, text := range files {
		hidden[name] = r.String(text)
	}
	s := machine(t, hidden).RouteSettings()
	if s.WSUS == "" || strings.Contains(s.WSUS, "WSUS01") || s.Machine.Static == "" {
		t.Fatalf("%+v", s)
	}
	wsus, status := hostIn(strings.ToLower(s.WSUS)), hostIn(s.WSUSStatus)
	proxy, _, _ := strings.Cut(s.Machine.Static, ":")
	for _, name := range append([]string{wsus, status, strings.ToLower(proxy), strings.ToLower(s.ClientID), strings.ToLower(s.Computer)}, s.Suffixes...) {
		if !slices.Contains(s.Redacted, strings.ToLower(name)) {
			t.Errorf("%q is a pseudonym and not among %v", name, s.Redacted)
		}
	}
	for _, name := range []string{"wpad", "slscr.update.microsoft.com"} {
		if slices.Contains(s.Redacted, name) {
			t.Errorf("%q is no pseudonym", name)
		}
	}
}

func TestIsPseudonym(t *testing.T) {
	for name, want := range map[string]bool{
		"h-bcdfghj": true, "H-BCDFGHJ.example": true, "h-bcdfghjkmnpq": true, "h-bcdfghj-kmnpq.h-zzzzzzz.local": true,
		"h-bcdfgh": false, "h-backups": false, "h-bcdfgh-jkmnpq": false, "x-bcdfghj": false, "host": false, "": false, "h-": false,
		"edac7ed0-0000-8000-a000-000000000000": true, "6f1d6a0e-7c1b-4d4e-9a53-0b6c1d2e3f40": false,
		"3ffe::7": true, "fdec:ac00::1": true, "2001:db8::1": false, "10.0.0.1": false,
	} {
		if isPseudonym(name) != want {
			t.Errorf("isPseudonym(%q) = %v", name, !want)
		}
	}
}
