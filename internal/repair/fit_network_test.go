package repair

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/route"
)

// machine is a machine as files of evidence: "hosts", or registry keys with their
// values in the form of an export.
type machine map[string]string

// facts reads the machine. A name that begins with a root of the registry is a key,
// and its text the lines of an export; "-" is a key that does not exist.
func (m machine) facts(t *testing.T) *facts.Facts {
	t.Helper()
	fsys := fstest.MapFS{}
	export := "Windows Registry Editor Version 5.00\r\n\r\n"
	long := strings.NewReplacer("HKLM", "HKEY_LOCAL_MACHINE", "HKCU", "HKEY_CURRENT_USER", `HKU\`, `HKEY_USERS\`)
	for name, text := range m {
		if root, _, ok := strings.Cut(name, `\`); ok && strings.HasPrefix(root, "HK") {
			export += "[" + long.Replace(name) + "]\r\n" + strings.TrimSpace(text) + "\r\n\r\n"
			continue
		}
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	fsys["settings.reg"] = &fstest.MapFile{Data: []byte(export)}
	h, err := host.OpenFS(t.Context(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return facts.Collect(t.Context(), h, facts.Options{})
}

// told is a plan in a few words, one line a step, for comparison.
func told(t Treatment, why Line) []string {
	if why.ID != "" {
		return []string{"not: " + why.ID}
	}
	out := []string{t.How}
	for _, s := range t.Steps {
		c := s.Change
		text := string(c.Kind) + " " + c.Path
		switch c.Kind {
		case host.ValueSet:
			text += " " + c.Name + " = "
			if n, ok := c.Value.DWord(); ok {
				text += fmt.Sprintf("%#x", n)
			} else if s, ok := c.Value.String(); ok {
				text += s
			} else {
				text += "..."
			}
		case host.ValueDel:
			text += " " + c.Name
		case host.Switch:
			text += " " + c.State
		case host.Run:
			text += " " + strings.Join(c.Args, " ")
		}
		if s.Lease > 0 {
			text += " (for a while)"
		}
		if s.Restart {
			text += " (restart)"
		}
		out = append(out, text)
	}
	for _, l := range t.Lead {
		out = append(out, "lead "+l.ID)
	}
	return out
}

func wantPlan(t *testing.T, id string, f *facts.Facts, want ...string) Treatment {
	t.Helper()
	got, why := fitted(t, id, f)
	if d := cmp.Diff(want, told(got, why)); d != "" {
		t.Errorf("%s (-want +got):\n%s", id, d)
	}
	return got
}

const hostsPath = `C:\Windows\System32\drivers\etc\hosts`

func TestHostsEntries(t *testing.T) {
	const head = "# Copyright of nobody\r\n127.0.0.1 localhost\r\n"
	for _, tt := range []struct {
		name, hosts, want string
	}{
		{"a sunk name", head + "0.0.0.0 fe2cr.update.microsoft.com\r\n1.2.3.4 printer\r\n", head + "# 0.0.0.0 fe2cr.update.microsoft.com\r\n1.2.3.4 printer\r\n"},
		{"other names stay", head + "0.0.0.0\tads.example WWW.UPDATE.microsoft.com. track.example # list\n", head + "# 0.0.0.0\tads.example WWW.UPDATE.microsoft.com. track.example # list\n0.0.0.0 ads.example track.example\n"},
		{"the last line", head + "127.0.0.1 download.windowsupdate.com", head + "# 127.0.0.1 download.windowsupdate.com"},
		{"the last line with others", head + "127.0.0.1 download.windowsupdate.com a.example", head + "# 127.0.0.1 download.windowsupdate.com a.example\r\n127.0.0.1 a.example\r\n"},
		{"a fixed address", head + "203.0.113.7 dl.delivery.mp.microsoft.com\n", head + "# 203.0.113.7 dl.delivery.mp.microsoft.com\n"},
		{"IPv6", "::1 sls.update.microsoft.com\r\n" + head, "# ::1 sls.update.microsoft.com\r\n" + head},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := machine{"hosts": tt.hosts}.facts(t)
			got := wantPlan(t, "comment-out-hosts-entries", f, Automatic, "write "+hostsPath, "run ipconfig /flushdns")
			if d := cmp.Diff(tt.want, string(got.Steps[0].Change.Data)); d != "" {
				t.Errorf("the file (-want +got):\n%s", d)
			}
			again := machine{"hosts": tt.want + "\r\n# kept"}.facts(t)
			wantPlan(t, "comment-out-hosts-entries", again, "not: plan.nothing-to-change")
		})
	}
	t.Run("nothing to silence", func(t *testing.T) {
		f := machine{"hosts": head + "10.1.2.3 wsus.fabrikam.example\n0.0.0.0 ads.example\n"}.facts(t)
		wantPlan(t, "comment-out-hosts-entries", f, "not: plan.nothing-to-change")
	})
	t.Run("nobody looked", func(t *testing.T) {
		wantPlan(t, "comment-out-hosts-entries", machine{}.facts(t), Guided, "lead plan.not-looked", "lead remedy.comment-out-hosts-entries.how")
	})
	t.Run("elsewhere", func(t *testing.T) {
		f := machine{
			"hosts": "0.0.0.0 fe2cr.update.microsoft.com\n",
			`HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`: `"DataBasePath"="D:\\names"`,
		}.facts(t)
		wantPlan(t, "comment-out-hosts-entries", f, Automatic, `write D:\names\hosts`, "run ipconfig /flushdns")
	})
	t.Run("the organisation's own server", func(t *testing.T) {
		policy := map[string]string{keyUpdatePolicy: `"WUServer"="http://WSUS.fabrikam.example:8530"`, keyAUPolicy: `"UseWUServer"=dword:00000001`}
		f := machine{"hosts": "127.0.0.1 wsus.fabrikam.example\n", keyUpdatePolicy: policy[keyUpdatePolicy], keyAUPolicy: policy[keyAUPolicy]}.facts(t)
		wantPlan(t, "comment-out-hosts-entries", f, Automatic, "write "+hostsPath, "run ipconfig /flushdns")
		f = machine{"hosts": "10.0.0.8 wsus.fabrikam.example\n", keyUpdatePolicy: policy[keyUpdatePolicy], keyAUPolicy: policy[keyAUPolicy]}.facts(t)
		wantPlan(t, "comment-out-hosts-entries", f, "not: plan.nothing-to-change")
	})
	t.Run("not plain text", func(t *testing.T) {
		f := machine{"hosts": "0.0.0.0 fe2cr.update.microsoft.com\n"}.facts(t)
		f.HostsText = []byte("0\x00.\x00")
		wantPlan(t, "comment-out-hosts-entries", f, Guided, "lead plan.hosts.by-hand", "lead remedy.comment-out-hosts-entries.how")
		f.HostsText = nil
		wantPlan(t, "comment-out-hosts-entries", f, Guided, "lead plan.hosts.by-hand", "lead remedy.comment-out-hosts-entries.how")
	})
}

// FuzzSilenceHosts: nothing is lost: every line is there as it was, or as a comment.
func FuzzSilenceHosts(f *testing.F) {
	f.Add([]byte("0.0.0.0 fe2cr.update.microsoft.com x.example\r\n# a\n\n1.1.1.1 b"))
	f.Add([]byte("::1 update.microsoft.com"))
	f.Fuzz(func(t *testing.T, text []byte) {
		out, n := silenceHosts(text, "wsus.fabrikam.example")
		if n == 0 && string(out) != string(text) {
			t.Errorf("changed without a change: %q, %q", text, out)
		}
		if again, n := silenceHosts(out, "wsus.fabrikam.example"); n != 0 {
			t.Errorf("%q becomes %q and then %q", text, out, again)
		}
		rest := string(out)
		for line := range strings.Lines(string(text)) {
			i := strings.Index(rest, line)
			if i < 0 {
				t.Fatalf("%q is lost: %q", line, out)
			}
			rest = rest[i+len(line):]
		}
	})
}

func TestClock(t *testing.T) {
	const (
		alone   = `"Start"=dword:00000003`
		member  = `"Start"=dword:00000002`
		netlgon = `HKLM\SYSTEM\CurrentControlSet\Services\Netlogon`
		service = "service-run W32Time"
		resync  = "run w32tm /resync /rediscover"
		reread  = "run w32tm /config /update"
	)
	at := func(d time.Duration) facts.Fact[time.Duration] {
		return facts.Fact[time.Duration]{State: facts.Present, Value: d, Source: "walk clock"}
	}
	for _, tt := range []struct {
		name   string
		m      machine
		offset time.Duration // 0: nobody measured
		want   []string
	}{
		{"nobody measured", machine{}, 0, []string{Automatic, service, resync}},
		{"right", machine{}, 3 * time.Second, []string{"not: plan.clock.right"}},
		{"minutes", machine{}, -17 * time.Minute, []string{Automatic, service, resync}},
		{"whole hours", machine{}, 2*time.Hour + 5*time.Second, []string{Automatic, service, resync, "lead plan.clock.zone"}},
		{
			"disabled",
			machine{keyTime: `"Start"=dword:00000004`},
			time.Hour + 20*time.Minute,
			[]string{Automatic, "service-start W32Time", service, resync},
		},
		{
			"asks nobody",
			machine{keyTime + `\Parameters`: "\"Type\"=\"NoSync\"\r\n\"NtpServer\"=\"\"", netlgon: alone},
			40 * time.Minute,
			[]string{
				Automatic, "value-set " + keyTime + `\Parameters Type = NTP`,
				"value-set " + keyTime + `\Parameters NtpServer = time.windows.com,0x9`, service, reread, resync,
			},
		},
		{"a member of a domain", machine{keyTime + `\Parameters`: `"Type"="NoSync"`, netlgon: member}, 40 * time.Minute, []string{Automatic, service, resync}},
		{
			"a policy",
			machine{keyTime + `\Parameters`: `"Type"="NoSync"`, netlgon: alone, keyTimePolicy + `\Parameters`: `"Type"="NoSync"`},
			40 * time.Minute,
			[]string{Automatic, service, resync},
		},
		{
			"years ahead",
			machine{keyTime + `\Config`: "\"MaxNegPhaseCorrection\"=dword:0000d2f0\r\n\"MaxPosPhaseCorrection\"=dword:0000d2f0"},
			3 * 365 * 24 * time.Hour,
			[]string{
				Automatic, "value-set " + keyTime + `\Config MaxNegPhaseCorrection = 0xffffffff`, service, reread, resync,
				"value-set " + keyTime + `\Config MaxNegPhaseCorrection = 0xd2f0`,
			},
		},
		{
			"years behind",
			machine{keyTime + `\Config`: `"MaxNegPhaseCorrection"=dword:0000d2f0`},
			-9 * 365 * 24 * time.Hour,
			[]string{
				Automatic, "value-set " + keyTime + `\Config MaxPosPhaseCorrection = 0xffffffff`, service, reread, resync,
				"value-del " + keyTime + `\Config MaxPosPhaseCorrection`,
			},
		},
		{"any correction allowed", machine{keyTime + `\Config`: `"MaxNegPhaseCorrection"=dword:ffffffff`}, 900 * time.Hour, []string{Automatic, service, resync}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := tt.m.facts(t)
			if tt.offset != 0 {
				f.Clock = at(tt.offset)
			}
			wantPlan(t, "sync-clock", f, tt.want...)
		})
	}
}

// walked is a walk of one vital request, with how each way ended; "" is well.
func walked(ways map[route.Proxy]host.Fault) *route.Walk {
	trip := route.Trip{Task: route.Task{
		ID: "scan.locator", Vital: true, Caller: route.Agent,
		Request: host.Request{Method: "GET", URL: "https://slscr.update.microsoft.com/sls"},
	}}
	for p, fault := range ways {
		kind := host.HopTCP
		if fault == host.FaultProxyAuth {
			kind = host.HopProxy
		}
		ex := host.Exchange{Request: trip.Task.Request, Hops: []host.Hop{{Kind: kind, Fault: fault, Remote: netip.MustParseAddrPort("203.0.113.9:8080")}}}
		if p.Static != "" {
			ex.Request.Via = host.Via{Proxy: "http://" + p.Static, Source: p.Source}
		}
		trip.Attempts = append(trip.Attempts, route.Attempt{Walked: true, Decision: route.Decision{As: route.System, Proxy: p}, Exchange: ex})
	}
	return &route.Walk{Trips: []route.Trip{trip}}
}

func TestFirewall(t *testing.T) {
	const id = "disable-blocking-firewall-rules"
	rule := func(name, text string) string { return `"` + name + `"="` + text + `"` }
	off := func(name string) string { return "switch firewall-rule/" + name + " off" }
	const head = "v2.31|Action=Block|Active=TRUE|Dir=Out|"
	for _, tt := range []struct {
		name, text string
		blocks     bool
	}{
		{"the service", head + `App=%SystemRoot%\\system32\\svchost.exe|Svc=wuauserv|Name=No updates|`, true},
		{"any service host", head + `App=%SystemRoot%\\System32\\svchost.exe|Name=No updates|`, true},
		{"the web for all", head + "Protocol=6|RPort=80|RPort=443|Name=Web|", true},
		{"a range of ports", head + "Protocol=6|RPort2_10=1-1023|Name=Low|", true},
		{"everything, as it cannot be told from a profile", head + "Name=All|", false},
		{"off", `v2.31|Action=Block|Active=FALSE|Dir=Out|Svc=wuauserv|Name=Off|`, false},
		{"in", `v2.31|Action=Block|Active=TRUE|Dir=In|Svc=wuauserv|Name=In|`, false},
		{"allow", `v2.31|Action=Allow|Active=TRUE|Dir=Out|Svc=wuauserv|Name=Yes|`, false},
		{"another service", head + `App=%SystemRoot%\\system32\\svchost.exe|Svc=spooler|Name=Printing|`, false},
		{"another program", head + `App=C:\\Games\\game.exe|Name=Game|`, false},
		{"another port", head + `Protocol=6|Svc=wuauserv|RPort=445|Name=Shares|`, false},
		{"UDP", head + `Protocol=17|Svc=dosvc|RPort=3544|Name=Teredo|`, false},
		{"some addresses", head + "Svc=wuauserv|RA4=198.51.100.0/255.255.255.0|Name=One net|", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := machine{keyFirewall: rule("{0A}", tt.text)}.facts(t)
			if tt.blocks {
				wantPlan(t, id, f, Automatic, off("{0A}"), "lead plan.firewall.rule")
				return
			}
			wantPlan(t, id, f, "not: plan.firewall.none")
		})
	}
	policy := machine{keyFirewall: rule("x", "v2.31|Action=Allow|"), keyFirewallPolicy: rule("{0B}", head+"Svc=bits|Name=By policy|")}
	wantPlan(t, id, policy.facts(t), "not: plan.firewall.policy")
	wantPlan(t, id, machine{}.facts(t), Guided, "lead plan.not-looked", "lead remedy."+id+".how")
}

func TestFirewallAsWindowsTells(t *testing.T) {
	const id = "disable-blocking-firewall-rules"
	f := machine{}.facts(t)
	tell := func(fw host.Firewall) *facts.Facts {
		f.Firewall = facts.Fact[host.Firewall]{State: facts.Present, Value: fw}
		return f
	}
	block := host.FirewallRule{Name: "{0C}", Display: "No updates", Program: `C:\Windows\System32\svchost.exe`, Service: "wuauserv", Protocol: 6, Ports: "80,443", Remote: "*"}
	wantPlan(t, id, tell(host.Firewall{Blocking: []host.FirewallRule{block}}), Automatic, "switch firewall-rule/{0C} off", "lead plan.firewall.rule")
	block.Policy = true
	wantPlan(t, id, tell(host.Firewall{Blocking: []host.FirewallRule{block}}), "not: plan.firewall.policy")
	profile := host.FirewallProfile{Name: "public", Active: true, Enabled: true, BlockOutbound: true}
	wantPlan(t, id, tell(host.Firewall{Profiles: []host.FirewallProfile{profile}}), Guided, "lead plan.firewall.outbound", "lead remedy."+id+".how")
	wantPlan(t, id, tell(host.Firewall{}), "not: plan.firewall.none")

	f.Security = facts.Fact[host.SecurityProducts]{State: facts.Present, Value: host.SecurityProducts{Products: []host.SecurityProduct{
		{Kind: "antivirus", Name: "Fabrikam Shield"}, {Kind: "antivirus", Name: "Windows Defender", Defender: true},
	}}}
	got := wantPlan(t, "test-without-antivirus-shield", f, Guided, "lead remedy.test-without-antivirus-shield.how", "lead plan.product.seen")
	if got.Lead[1].Args["names"] != "Fabrikam Shield" {
		t.Error(got.Lead[1])
	}
	wantPlan(t, "test-without-third-party-firewall", f, "not: plan.product.none")
}

func TestEncryption(t *testing.T) {
	const (
		id  = "enable-tls12-and-ciphers"
		old = "TLS_RSA_WITH_AES_128_CBC_SHA,TLS_RSA_WITH_3DES_EDE_CBC_SHA"
	)
	f := machine{keyTLS12: "\"Enabled\"=dword:00000000\r\n\"DisabledByDefault\"=dword:00000001", keyWinHTTP: `"DefaultSecureProtocols"=dword:000000a0`}.facts(t)
	wantPlan(t, id, f, Guided, "value-set "+keyTLS12+" Enabled = 0x1 (restart)", "value-set "+keyTLS12+" DisabledByDefault = 0x0 (restart)",
		"value-set "+keyWinHTTP+" DefaultSecureProtocols = 0x8a0 (restart)", "lead remedy."+id+".how")
	f = machine{keyCipherPolicy: `"Functions"="` + old + `"`, netlogon: alone}.facts(t)
	wantPlan(t, id, f, Guided, "value-set "+keyCipherPolicy+" Functions = "+old+","+strings.Join(neededSuites, ",")+" (restart)", "lead remedy."+id+".how")
	f = machine{keyCipherPolicy: `"Functions"="` + old + `"`, netlogon: member}.facts(t)
	wantPlan(t, id, f, "not: plan.owned")
	f = machine{keyCipherPolicy: `"Functions"="` + old + `"`, netlogon: member, keyTLS12: `"Enabled"=dword:00000000`}.facts(t)
	wantPlan(t, id, f, Guided, "value-set "+keyTLS12+" Enabled = 0x1 (restart)", "lead plan.tls.suites")
	f = machine{keyTLS12: `"Enabled"=dword:00000001`, keyWinHTTP: `"Other"=dword:00000000`, keyCipherPolicy: `"Functions"="` + neededSuites[1] + `"`}.facts(t)
	wantPlan(t, id, f, "not: plan.nothing-to-change")
	wantPlan(t, id, machine{}.facts(t), Guided, "lead plan.not-looked", "lead remedy."+id+".how")

	t.Run("a list of strings stays one", func(t *testing.T) {
		f := machine{keyCipherPolicy: `"Functions"=hex(7):41,00,00,00,42,00,00,00,00,00`, netlogon: alone}.facts(t)
		got, _ := fitted(t, id, f)
		list, ok := got.Steps[0].Change.Value.Strings()
		if d := cmp.Diff(append([]string{"A", "B"}, neededSuites...), list); d != "" || !ok {
			t.Error(ok, d)
		}
	})

	const roots = `HKLM\SOFTWARE\Policies\Microsoft\SystemCertificates\AuthRoot`
	wantPlan(t, "enable-root-auto-update", machine{roots: `"DisableRootAutoUpdate"=dword:00000001`, netlogon: alone}.facts(t), Automatic, "value-del "+roots+" DisableRootAutoUpdate")
	wantPlan(t, "enable-root-auto-update", machine{roots: `"DisableRootAutoUpdate"=dword:00000001`, netlogon: member}.facts(t), "not: plan.owned")
	wantPlan(t, "enable-root-auto-update", machine{roots: `"DisableRootAutoUpdate"=dword:00000000`}.facts(t), "not: plan.nothing-to-change")
}

const adapters = `Windows IP Configuration

   Host Name . . . . . . . . . . . . : DESK-7

PPP adapter Fabrikam VPN:

   Connection-specific DNS Suffix  . :
   Description . . . . . . . . . . . : Fortinet SSL VPN Virtual Ethernet Adapter
   Physical Address. . . . . . . . . : 00-09-0F-AA-00-01
   DHCP Enabled. . . . . . . . . . . : No
   Autoconfiguration Enabled . . . . : Yes
   IPv6 Address. . . . . . . . . . . : 2001:db8:9::5(Preferred)
   IPv4 Address. . . . . . . . . . . : 10.9.0.5(Preferred)
   Subnet Mask . . . . . . . . . . . : 255.255.255.0
   Default Gateway . . . . . . . . . : 10.9.0.1

Ethernet adapter Ethernet 2:

   Connection-specific DNS Suffix  . : fabrikam.example
   Description . . . . . . . . . . . : Intel(R) Ethernet Connection
   Physical Address. . . . . . . . . : 00-15-5D-01-02-03
   DHCP Enabled. . . . . . . . . . . : Yes
   Autoconfiguration Enabled . . . . : Yes
   IPv6 Address. . . . . . . . . . . : 2001:db8::5(Preferred)
   IPv4 Address. . . . . . . . . . . : 192.0.2.5(Preferred)
   Subnet Mask . . . . . . . . . . . : 255.255.255.0
   Default Gateway . . . . . . . . . : 192.0.2.1
`

func TestAdapters(t *testing.T) {
	const key = `HKLM\SYSTEM\CurrentControlSet\Services\Tcpip6\Parameters`
	m := machine{"ipconfig-all.txt": adapters}
	wantPlan(t, "test-without-ipv6", m.facts(t), Automatic, "switch ipv6/Ethernet 2 off (for a while)")
	wantPlan(t, "set-lower-mtu", m.facts(t), Guided, "switch mtu/Ethernet 2 1280", "lead plan.mtu.small", "lead remedy.set-lower-mtu.how")
	measured := m.facts(t)
	measured.Route = &route.Walk{Packets: []route.Packets{{To: netip.MustParseAddr("198.51.100.7"), Size: 1452}}}
	wantPlan(t, "set-lower-mtu", measured, Guided, "switch mtu/Ethernet 2 1452", "lead plan.mtu.measured")
	measured.Adapters.Value.Adapters = []host.Adapter{{Name: "Ethernet 2", MTU: 1452}}
	wantPlan(t, "set-lower-mtu", measured, "not: plan.mtu.already")
	measured.Route.Packets = append(measured.Route.Packets, route.Packets{To: netip.MustParseAddr("2001:db8::7"), Size: 1420})
	wantPlan(t, "set-lower-mtu", measured, Guided, "switch mtu6/Ethernet 2 1420", "lead plan.mtu.measured6")
	small := m.facts(t)
	small.Adapters.Value.Adapters = []host.Adapter{{Name: "Ethernet 2", MTU: 1280}}
	wantPlan(t, "set-lower-mtu", small, "not: plan.mtu.already")
	wantPlan(t, "test-without-vpn", m.facts(t), Guided, "lead remedy.test-without-vpn.how", "lead plan.vpn.seen")
	wantPlan(t, "test-without-ipv6", machine{}.facts(t), Guided, "lead plan.not-looked", "lead remedy.test-without-ipv6.how")
	four := strings.ReplaceAll(strings.ReplaceAll(adapters, "2001:db8::5", "fe80::5"), "2001:db8:9::5", "fe80::6")
	wantPlan(t, "test-without-ipv6", machine{"ipconfig-all.txt": four}.facts(t), "not: plan.adapter.none")
	wantPlan(t, "prefer-ipv4-over-ipv6", machine{key: `"DisabledComponents"=dword:00000001`}.facts(t), Guided, "value-set "+key+" DisabledComponents = 0x21 (restart)", "lead remedy.prefer-ipv4-over-ipv6.how")
	wantPlan(t, "prefer-ipv4-over-ipv6", machine{key: `"DisabledComponents"=dword:000000ff`}.facts(t), "not: plan.nothing-to-change")
}

func TestLooksAtTheRoute(t *testing.T) {
	f := machine{}.facts(t)
	wantPlan(t, "run-connectivity-test", f, Automatic, "lead plan.look.not-walked")
	f.Route = walked(map[route.Proxy]host.Fault{{Known: true}: host.FaultTimeout})
	wantPlan(t, "run-connectivity-test", f, Automatic, "lead plan.look.broken", "lead plan.look.answered")
	f.Route.Trips[0].Task.ID = "verify.portal"
	f.Route.Trips[0].Attempts[0].Exchange.Header = []host.Field{{Name: "Location", Value: "https://portal.example.net/login?mac=001122334455"}}
	got := wantPlan(t, "sign-in-captive-portal", f, Guided, "lead remedy.sign-in-captive-portal.how", "lead plan.portal.page")
	if got.Lead[1].Args["host"] != "portal.example.net" {
		t.Error(got.Lead[1])
	}
}

// TestWithoutVPN: adapters of VPNs are switched off for an attempt where the machine is its
// user's own; connections of Windows' own are hung up. What a company forces, what a
// session comes over and what nobody looked at stays.
func TestWithoutVPN(t *testing.T) {
	home := `"Start"=dword:00000003`
	own := host.Adapter{Name: "SurfWind", Index: 11, Type: 53, Up: true, VPN: "WireGuard"}
	dialled := host.Adapter{Name: "Fabrikam", Index: 12, Type: host.IfPPP, Up: true, VPN: "unknown"}
	cable := host.Adapter{Name: "Ethernet", Index: 4, Type: 6, Up: true}
	with := func(a host.Adapter, change func(*host.Adapter)) host.Adapter {
		change(&a)
		return a
	}
	facts1 := func(start string, caller host.Caller, list ...host.Adapter) *facts.Facts {
		f := machine{keyServices + "Netlogon": start}.facts(t)
		f.Adapters = facts.Fact[host.Adapters]{State: facts.Present, Value: host.Adapters{Adapters: list}}
		f.Caller = facts.Fact[host.Caller]{State: facts.Present, Value: caller}
		return f
	}
	here := host.Caller{}
	for _, tt := range []struct {
		f    *facts.Facts
		want []string
	}{
		{facts1(home, here, cable, own), []string{Guided, "switch adapter/SurfWind off (for a while)", "lead plan.vpn.switched"}},
		{facts1(home, here, cable, dialled), []string{Guided, "switch vpn-connection/Fabrikam off (for a while)", "lead plan.vpn.hung-up"}},
		{facts1(home, here, cable), []string{"not: plan.vpn.none"}},
		{facts1(home, here, cable, with(own, func(a *host.Adapter) { a.Up = false })), []string{"not: plan.vpn.none"}},
		{facts1(home, here, cable, own, with(dialled, func(a *host.Adapter) { a.Forced = host.ForcedDevice })), []string{"not: plan.vpn.device-tunnel"}},
		{facts1(home, here, with(dialled, func(a *host.Adapter) { a.Forced = host.ForcedAlways })), []string{"not: plan.vpn.always-on"}},
		{facts1(home, host.Caller{Remote: true, Over: 11}, cable, own), []string{"not: plan.vpn.remote"}},
		{facts1(home, host.Caller{Remote: true}, cable, own), []string{"not: plan.vpn.remote"}},
		{facts1(home, host.Caller{Remote: true, Over: 4}, cable, own), []string{Guided, "switch adapter/SurfWind off (for a while)", "lead plan.vpn.switched"}},
		{facts1(`"Start"=dword:00000002`, here, cable, own), []string{Guided, "lead plan.vpn.managed", "lead remedy.test-without-vpn.how"}},
		{machine{}.facts(t), []string{Guided, "lead remedy.test-without-vpn.how"}},
	} {
		wantPlan(t, "test-without-vpn", tt.f, tt.want...)
	}
	wantPlan(t, "disconnect-vpn-during-updates", facts1(home, here, cable, own), Advice, "lead remedy.disconnect-vpn-during-updates.how", "lead plan.tell.paste")

	again := facts1(home, here, cable, own)
	again.Failures = []facts.Failure{{Code: 0x8024401B, Stage: facts.StageScan}}
	for came, want := range map[string]string{host.TrialShown: "not: plan.trial.shown", host.TrialAlike: "not: plan.trial.alike"} {
		again.Repairs.Value.Trials = []host.Trial{{Remedy: "test-without-vpn", Code: 0x8024401B, Stage: "scan", Came: came}}
		wantPlan(t, "test-without-vpn", again, want)
	}
	again.Repairs.Value.Trials[0].Code = 0x80072EE2 // another failure
	wantPlan(t, "test-without-vpn", again, Guided, "switch adapter/SurfWind off (for a while)", "lead plan.vpn.switched")
}

// TestWithoutProduct: what another maker's is a person pauses, and updoc watches, where
// Windows knows of it and the machine is its user's own.
func TestWithoutProduct(t *testing.T) {
	const how = "lead remedy.test-without-third-party-firewall.how"
	other := host.SecurityProduct{Kind: "firewall", Name: "Fabrikam Firewall", On: true}
	off, virus := other, host.SecurityProduct{Kind: "antivirus", Name: "Fabrikam Shield", On: true}
	off.On = false
	own := host.FirewallProfile{Name: "private", Active: true, Enabled: true}
	on := func(start string, p host.FirewallProfile, list ...host.SecurityProduct) *facts.Facts {
		f := machine{keyServices + "Netlogon": start}.facts(t)
		f.Security = facts.Fact[host.SecurityProducts]{State: facts.Present, Value: host.SecurityProducts{Products: list}}
		f.Firewall = facts.Fact[host.Firewall]{State: facts.Present, Value: host.Firewall{Profiles: []host.FirewallProfile{p}}}
		return f
	}
	const home, member = `"Start"=dword:00000003`, `"Start"=dword:00000002`
	closed, forced := own, own
	closed.Enabled, forced.Enabled, forced.Policy = false, false, true
	const stand, pause = "switch firewall-profile/private on (for a while)", "switch product/firewall/Fabrikam Firewall off (for a while)"
	for _, tt := range []struct {
		f    *facts.Facts
		want []string
	}{
		{on(home, own, other), []string{Guided, stand, pause, how, "lead plan.product.seen", "lead plan.product.firewall-stays", "lead plan.product.watched"}},
		{on(home, closed, other), []string{Guided, stand, pause, how, "lead plan.product.seen", "lead plan.product.firewall-on", "lead plan.product.watched"}},
		{on(home, forced, other), []string{"not: plan.product.firewall-policy"}},
		{on(member, own, other), []string{Guided, how, "lead plan.product.seen"}},
		{on(home, own, off), []string{"not: plan.product.off"}},
		{on(home, own, virus), []string{"not: plan.product.none"}},
	} {
		wantPlan(t, "test-without-third-party-firewall", tt.f, tt.want...)
	}
	got := wantPlan(t, "test-without-antivirus-shield", on(home, own, virus), Guided, "switch product/antivirus/Fabrikam Shield off (for a while)",
		"lead remedy.test-without-antivirus-shield.how", "lead plan.product.seen", "lead plan.product.watched")
	if !got.Steps[0].Unseen {
		t.Error("a shield that is paused alone is not tried")
	}
}
