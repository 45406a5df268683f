package repair

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/route"
	"updoc/internal/winlog"
)

// regBinary is a value of an export.
func regBinary(name string, b []byte) string {
	var hex []string
	for _, c := range b {
		hex = append(hex, fmt.Sprintf("%02x", c))
	}
	return fmt.Sprintf("%q=hex:%s", name, strings.Join(hex, ","))
}

// services is the setting of the services with a fixed proxy.
func services(proxy, bypass string) string {
	return regBinary(winHTTPValue, winlog.ProxyBlob{Mark: winlog.MarkWinHTTP, Flags: 3, Proxy: proxy, Bypass: bypass}.Encode())
}

func winHTTPOf(t *testing.T, c host.Change) winlog.ProxyBlob {
	t.Helper()
	b, err := winlog.ParseWinHTTPBlob(c.Value.Data)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestClearWinHTTP(t *testing.T) {
	const (
		dead = "old-proxy.fabrikam.example:8080"
		set  = "value-set " + keyConnections + " WinHttpSettings = ..."
	)
	proxy := route.Proxy{Known: true, Static: dead}
	both := func(through, direct host.Fault) *route.Walk {
		return walked(map[route.Proxy]host.Fault{proxy: through, {Known: true}: direct})
	}
	for _, tt := range []struct {
		name string
		m    machine
		walk *route.Walk
		want []string
	}{
		{"dead, and the direct way is open", machine{keyConnections: services(dead, "<local>")}, both(host.FaultTimeout, ""), []string{Automatic, set}},
		{"nobody walked", machine{keyConnections: services(dead, "")}, nil, []string{Guided, set, "lead plan.proxy.not-walked"}},
		{"it answers", machine{keyConnections: services(dead, "")}, both("", ""), []string{"not: plan.proxy.answers"}},
		{"it refuses, and the direct way is open", machine{keyConnections: services(dead, "")}, both(host.FaultProxyAuth, ""), []string{Guided, set, "lead plan.proxy.refuses"}},
		{"no other way", machine{keyConnections: services(dead, "")}, both(host.FaultProxyAuth, host.FaultTimeout), []string{"not: plan.proxy.no-other-way"}},
		{"a program's own, gone", machine{keyConnections: services("127.0.0.1:8888", "")}, nil, []string{Automatic, set}},
		{"nothing there", machine{keyConnections: `"Other"=dword:00000001`}, nil, []string{"not: plan.proxy.none-set"}},
		{"direct", machine{keyConnections: regBinary(winHTTPValue, winlog.ProxyBlob{Mark: 0x18, Flags: 1}.Encode())}, nil, []string{"not: plan.proxy.none-set"}},
		{"nobody looked", machine{}, nil, []string{Guided, "lead plan.not-looked", "lead remedy.clear-winhttp-proxy.how"}},
		{"an unknown form", machine{keyConnections: regBinary(winHTTPValue, []byte{0x99, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9})}, nil, []string{Guided, "lead plan.proxy.not-understood", "lead remedy.clear-winhttp-proxy.how"}},
		{
			"a policy's own proxy", machine{
				keyConnections: services(dead, ""), keyNetPolicy: "\"ProxySettingsPerUser\"=dword:00000000\r\n\"ProxyServer\"=\"" + dead + `"`,
				`HKLM\SYSTEM\CurrentControlSet\Services\Netlogon`: `"Start"=dword:00000002`,
			}, both(host.FaultTimeout, ""), []string{"not: plan.owned"},
		},
		{
			"a policy for another proxy", machine{
				keyConnections: services(dead, ""), keyNetPolicy: "\"ProxySettingsPerUser\"=dword:00000000\r\n\"ProxyServer\"=\"proxy.fabrikam.example:3128\"",
				`HKLM\SYSTEM\CurrentControlSet\Services\Netlogon`: `"Start"=dword:00000002`,
			}, both(host.FaultTimeout, ""), []string{Automatic, set},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := tt.m.facts(t)
			f.Route = tt.walk
			got := wantPlan(t, "clear-winhttp-proxy", f, tt.want...)
			for _, s := range got.Steps {
				if b := winHTTPOf(t, s.Change); !b.Direct() || b.Proxy != "" || b.Bypass != "" {
					t.Errorf("what is written is not direct: %+v", b)
				}
			}
		})
	}
	t.Run("what is not understood is kept", func(t *testing.T) {
		was := winlog.ProxyBlob{Mark: winlog.MarkWinHTTPNew, Counter: 7, Flags: 3 | winlog.ProxyFlagDetect, Proxy: dead, PAC: "http://p.fabrikam.example/p.pac", Tail: []byte{1, 2, 3}}
		f := machine{keyConnections: regBinary(winHTTPValue, was.Encode())}.facts(t)
		f.Route = both(host.FaultRefused, "")
		got := wantPlan(t, "clear-winhttp-proxy", f, Automatic, set)
		want := was
		want.Flags, want.Proxy = winlog.ProxyFlagDirect|winlog.ProxyFlagDetect, ""
		if d := cmp.Diff(want.Encode(), winHTTPOf(t, got.Steps[0].Change).Encode()); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}

const (
	keyUserNet  = `HKCU\` + keyInternet
	netlogon    = `HKLM\SYSTEM\CurrentControlSet\Services\Netlogon`
	alone       = `"Start"=dword:00000003`
	member      = `"Start"=dword:00000002`
	proxyPolicy = "\"ProxySettingsPerUser\"=dword:00000000\r\n\"ProxyEnable\"=dword:00000001\r\n\"ProxyServer\"=\"proxy.fabrikam.example:3128\""
	userProxy   = "\"ProxyEnable\"=dword:00000001\r\n\"ProxyServer\"=\"proxy.fabrikam.example:3128\"\r\n\"ProxyOverride\"=\"<local>;*.lan\""
	direct      = `"Other"=dword:00000001` // a key that was read, without the value
	setServices = "value-set " + keyConnections + " WinHttpSettings = ..."
)

func TestProxyOfServices(t *testing.T) {
	theirs := route.Proxy{Known: true, Static: "proxy.fabrikam.example:3128"}
	for _, tt := range []struct {
		name, id string
		m        machine
		walk     *route.Walk
		want     []string
		proxy    string // that is written
		bypass   string
	}{
		{"import", "import-winhttp-proxy-from-user", machine{keyConnections: direct, keyUserNet: userProxy}, nil, []string{Automatic, setServices}, "proxy.fabrikam.example:3128", "<local>;*.lan"},
		{"import what is there", "import-winhttp-proxy-from-user", machine{keyConnections: services("proxy.fabrikam.example:3128", "<local>;*.lan"), keyUserNet: userProxy}, nil, []string{"not: plan.nothing-to-change"}, "", ""},
		{"import a script", "import-winhttp-proxy-from-user", machine{keyConnections: direct, keyUserNet: `"AutoConfigURL"="http://p.fabrikam.example/p.pac"`}, nil, []string{"not: plan.proxy.user-has-script"}, "", ""},
		{"import a program's", "import-winhttp-proxy-from-user", machine{keyConnections: direct, keyUserNet: "\"ProxyEnable\"=dword:00000001\r\n\"ProxyServer\"=\"localhost:8888\""}, nil, []string{"not: plan.proxy.user-own-program"}, "", ""},
		{"import nothing", "import-winhttp-proxy-from-user", machine{keyConnections: direct, keyUserNet: `"ProxyEnable"=dword:00000000`}, nil, []string{"not: plan.proxy.user-has-none"}, "", ""},
		{"import, owned", "import-winhttp-proxy-from-user", machine{keyConnections: direct, keyUserNet: userProxy, keyNetPolicy: proxyPolicy, netlogon: member}, nil, []string{"not: plan.owned"}, "", ""},
		{"import what fails", "import-winhttp-proxy-from-user", machine{keyConnections: direct, keyUserNet: userProxy}, walked(map[route.Proxy]host.Fault{theirs: host.FaultProxyAuth}), []string{"not: plan.proxy.fails-too"}, "", ""},
		{"import, nobody looked at the user", "import-winhttp-proxy-from-user", machine{keyConnections: direct}, nil, []string{Guided, "lead plan.not-looked", "lead remedy.import-winhttp-proxy-from-user.how"}, "", ""},

		{"set what works", "set-winhttp-proxy", machine{keyConnections: direct}, walked(map[route.Proxy]host.Fault{theirs: ""}), []string{Guided, setServices, "lead plan.proxy.set"}, "proxy.fabrikam.example:3128", ""},
		{"set the user's", "set-winhttp-proxy", machine{keyConnections: direct, keyUserNet: userProxy}, nil, []string{Guided, setServices, "lead plan.proxy.set"}, "proxy.fabrikam.example:3128", "<local>;*.lan"},
		{"set for https", "set-winhttp-proxy", machine{keyConnections: services("http=a.fabrikam.example:80", "<local>")}, nil, []string{Guided, setServices, "lead plan.proxy.set"}, "http=a.fabrikam.example:80;https=a.fabrikam.example:80", "<local>"},
		{"set nobody knows what", "set-winhttp-proxy", machine{keyConnections: direct}, nil, []string{Guided, "lead remedy.set-winhttp-proxy.how"}, "", ""},
		{"set, owned", "set-winhttp-proxy", machine{keyConnections: direct, keyNetPolicy: proxyPolicy, netlogon: member}, nil, []string{"not: plan.owned"}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := tt.m.facts(t)
			f.Route = tt.walk
			got := wantPlan(t, tt.id, f, tt.want...)
			if tt.proxy == "" || len(got.Steps) == 0 {
				return
			}
			b := winHTTPOf(t, got.Steps[0].Change)
			if b.Proxy != tt.proxy || b.Bypass != tt.bypass || !b.Static() || b.Flags&winlog.ProxyFlagDirect == 0 {
				t.Errorf("writes %+v", b)
			}
		})
	}
}

// The administrator who started updoc has no proxy; the person who sits there has.
func TestProxyOfThePersonSignedIn(t *testing.T) {
	f := machine{keyConnections: direct, keyUserNet: `"ProxyEnable"=dword:00000000`}.facts(t)
	users := func(list ...host.UserProxy) *facts.Facts {
		f.UserProxy = facts.Fact[host.UserProxies]{State: facts.Present, Value: host.UserProxies{Users: list}}
		return f
	}
	frieda := host.UserProxy{Account: "S-1-5-21-1-2-3-1001", Proxy: "proxy.fabrikam.example:3128", Bypass: "<local>"}
	system := host.UserProxy{Account: "S-1-5-18", Proxy: "other.fabrikam.example:1"}
	got := wantPlan(t, "import-winhttp-proxy-from-user", users(system, frieda), Automatic, setServices)
	if b := winHTTPOf(t, got.Steps[0].Change); b.Proxy != frieda.Proxy || b.Bypass != frieda.Bypass {
		t.Errorf("writes %+v", b)
	}
	paul := frieda
	paul.Account, paul.Proxy = "S-1-12-1-9-9-9-9", "third.fabrikam.example:2"
	wantPlan(t, "import-winhttp-proxy-from-user", users(frieda, paul), "not: plan.proxy.user-has-none")
	wantPlan(t, "import-winhttp-proxy-from-user", users(system), "not: plan.proxy.user-has-none")
}

func TestProxyBypass(t *testing.T) {
	const id = "correct-proxy-bypass"
	wsus := func(m machine) machine {
		m[keyUpdatePolicy] = `"WUServer"="http://WSUS.fabrikam.example:8530"`
		m[keyAUPolicy] = `"UseWUServer"=dword:00000001`
		return m
	}
	const proxy = "proxy.fabrikam.example:3128"
	for _, tt := range []struct {
		name          string
		m             machine
		walk          *route.Walk
		before, after string // "" before: another plan
		want          []string
	}{
		{name: "the own server", m: wsus(machine{}), before: "*.lan", after: "*.lan;wsus.fabrikam.example;wsus"},
		{name: "short names go past already", m: wsus(machine{}), before: "<local>", after: "<local>;wsus.fabrikam.example"},
		{name: "misspelt", m: machine{}, before: `*.lan, "10.0.*"; ;häuser.example;*.lan`, after: "*.lan;10.0.*"},
		{name: "complete", m: wsus(machine{}), before: "*.fabrikam.example;<local>", want: []string{"not: plan.proxy.list-complete"}},
		{
			name: "closed without the proxy", m: wsus(machine{}), before: "*.lan", walk: func() *route.Walk {
				w := walked(map[route.Proxy]host.Fault{{Known: true, Static: proxy}: host.FaultProxyDenied, {Known: true}: host.FaultTimeout})
				w.Trips[0].Task.Request.URL = "http://wsus.fabrikam.example:8530/ClientWebService/client.asmx"
				return w
			}(), want: []string{"not: plan.proxy.own-closed"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.m[keyConnections] = services(proxy, tt.before)
			if strings.Contains(tt.before, "ä") { // the registry keeps the code page of the machine
				tt.m[keyConnections] = services(proxy, strings.ReplaceAll(tt.before, "ä", "\xe4"))
			}
			f := tt.m.facts(t)
			f.Route = tt.walk
			if tt.want != nil {
				wantPlan(t, id, f, tt.want...)
				return
			}
			got := wantPlan(t, id, f, Guided, setServices, "lead plan.proxy.bypass")
			if b := winHTTPOf(t, got.Steps[0].Change); b.Bypass != tt.after || b.Proxy != proxy {
				t.Errorf("writes %+v, want the list %q", b, tt.after)
			}
		})
	}
	t.Run("Microsoft's hosts where they are open", func(t *testing.T) {
		f := machine{keyConnections: services(proxy, "<local>")}.facts(t)
		f.Route = walked(map[route.Proxy]host.Fault{{Known: true, Static: proxy}: host.FaultProxyAuth, {Known: true}: ""})
		got := wantPlan(t, id, f, Guided, setServices, "lead plan.proxy.bypass")
		list := winHTTPOf(t, got.Steps[0].Change).Bypass
		for _, name := range []string{"slscr.update.microsoft.com", "fe3cr.delivery.mp.microsoft.com", "download.windowsupdate.com", "au.download.windowsupdate.com"} {
			if !route.Bypass(list, name).Direct {
				t.Errorf("%s does not go past the proxy: %s", name, list)
			}
		}
		if route.Bypass(list, "www.example.com").Direct || !strings.HasPrefix(list, "<local>;") {
			t.Error(list)
		}
	})
	wantPlan(t, id, machine{keyConnections: direct}.facts(t), Guided, "lead plan.proxy.list-elsewhere", "lead remedy.correct-proxy-bypass.how", "lead plan.tell.paste")
}

func TestAccountProxies(t *testing.T) {
	const system = `HKU\S-1-5-18\` + keyInternet
	was := winlog.ProxyBlob{Mark: winlog.MarkConnection, Counter: 41, Flags: 9, PAC: "http://old.example/p.pac", Tail: []byte{4, 3, 2, 1}}
	blobs := func(b winlog.ProxyBlob) string {
		return regBinary("DefaultConnectionSettings", b.Encode()) + "\r\n" + regBinary("SavedLegacySettings", b.Encode())
	}
	two := func(key string) []string {
		return []string{"value-set " + key + `\Connections DefaultConnectionSettings = ...`, "value-set " + key + `\Connections SavedLegacySettings = ...`}
	}
	written := func(t *testing.T, c host.Change) winlog.ProxyBlob {
		t.Helper()
		b, err := winlog.ParseConnectionBlob(c.Value.Data)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	t.Run("BITS", func(t *testing.T) {
		f := machine{system + `\Connections`: blobs(was), keyConnections: services("proxy.fabrikam.example:3128", "<local>")}.facts(t)
		want := append([]string{Guided}, two(system)...)
		want = append(want, "value-set "+system+" ProxyEnable = 0x1", "value-set "+system+" ProxyServer = proxy.fabrikam.example:3128", "value-set "+system+" ProxyOverride = <local>", "lead plan.proxy.set-bits")
		got := wantPlan(t, "set-system-wininet-proxy", f, want...)
		b := written(t, got.Steps[0].Change)
		if d := cmp.Diff(winlog.ProxyBlob{Mark: was.Mark, Counter: 42, Flags: 11, Proxy: "proxy.fabrikam.example:3128", Bypass: "<local>", PAC: was.PAC, Tail: was.Tail}.Encode(), b.Encode()); d != "" {
			t.Error(d)
		}
	})
	t.Run("BITS, owned", func(t *testing.T) {
		f := machine{system + `\Connections`: blobs(was), keyConnections: services("a:1", ""), keyNetPolicy: proxyPolicy, netlogon: member}.facts(t)
		wantPlan(t, "set-system-wininet-proxy", f, "not: plan.owned")
	})
	t.Run("one attempt without the user's", func(t *testing.T) {
		user := winlog.ProxyBlob{Mark: winlog.MarkConnection, Counter: 1, Flags: 3, Proxy: "proxy.fabrikam.example:3128", Tail: make([]byte, 32)}
		f := machine{keyUserNet: userProxy, keyUserNet + `\Connections`: blobs(user)}.facts(t)
		want := []string{Automatic}
		for _, s := range append(two(keyUserNet), "value-set "+keyUserNet+" ProxyEnable = 0x0") {
			want = append(want, s+" (for a while)")
		}
		got := wantPlan(t, "test-without-user-proxy", f, want...)
		if b := written(t, got.Steps[0].Change); b.Flags != 1 || b.Proxy != user.Proxy || b.Counter != 2 {
			t.Errorf("%+v", b)
		}
		f.Route = walked(map[route.Proxy]host.Fault{{Known: true, Static: user.Proxy}: "", {Known: true}: host.FaultTimeout})
		wantPlan(t, "test-without-user-proxy", f, "not: plan.proxy.no-other-way")
	})
	t.Run("detection", func(t *testing.T) {
		found := func(through, direct host.Fault) *route.Walk {
			w := walked(map[route.Proxy]host.Fault{{Known: true, Detect: true}: through, {Known: true}: direct})
			for i, a := range w.Trips[0].Attempts {
				if a.Decision.Proxy.Detect {
					w.Trips[0].Attempts[i].Script = &route.ScriptAnswer{Detected: true, List: "PROXY 203.0.113.1:80"}
					w.Trips[0].Attempts[i].Exchange.Request.Via.Proxy = "http://203.0.113.1:80"
				}
			}
			return w
		}
		m := machine{system + `\Connections`: blobs(was), keyConnections: direct}
		f := m.facts(t)
		f.Route = found(host.FaultProxyAuth, "")
		got := wantPlan(t, "set-proxy-auto-detect", f, append(append([]string{Automatic}, two(system)...), "value-set "+keyMachineNet+`\WinHttp DisableWpad = 0x1`)...)
		if b := written(t, got.Steps[0].Change); b.Flags != 1 {
			t.Errorf("%+v", b)
		}
		f.Route = found("", host.FaultTimeout)
		wantPlan(t, "set-proxy-auto-detect", f, "not: plan.nothing-to-change")
		off := was
		off.Flags = 1
		f = machine{system + `\Connections`: blobs(off)}.facts(t)
		f.Route = found("", host.FaultTimeout)
		got = wantPlan(t, "set-proxy-auto-detect", f, append([]string{Automatic}, two(system)...)...)
		if b := written(t, got.Steps[0].Change); b.Flags != 9 {
			t.Errorf("%+v", b)
		}
		wantPlan(t, "set-proxy-auto-detect", m.facts(t), Guided, "lead plan.not-looked", "lead remedy.set-proxy-auto-detect.how")
	})
}

func TestTellProxy(t *testing.T) {
	f := machine{keyConnections: services("proxy.fabrikam.example:3128", "")}.facts(t)
	for id, want := range map[string][]string{
		"tell-proxy-allow-without-sign-in":   {Advice, "lead remedy.tell-proxy-allow-without-sign-in.how", "lead plan.tell.paste", "lead plan.tell.paste"},
		"tell-proxy-slow-or-down":            {Advice, "lead remedy.tell-proxy-slow-or-down.how"},
		"tell-network-correct-pac-or-wpad":   {Advice, "lead remedy.tell-network-correct-pac-or-wpad.how", "lead plan.tell.paste"},
		"clear-proxy-credentials":            {Guided, "lead remedy.clear-proxy-credentials.how", "lead plan.proxy.credentials"},
		"tell-network-exempt-tls-inspection": {Advice, "lead remedy.tell-network-exempt-tls-inspection.how", "lead plan.tell.paste", "lead plan.tell.paste"},
	} {
		wantPlan(t, id, f, want...)
	}
}

func TestEvidenceIsQuoted(t *testing.T) {
	f := machine{keyUpdatePolicy: `"WUServer"="http://wsus.fabrikam.example:8530"`, keyAUPolicy: `"UseWUServer"=dword:00000001`}.facts(t)
	finding := func(id string, e ...cause.Evidence) cause.Finding {
		x := cause.Finding{Cause: &cause.Cause{ID: id}}
		x.Evidence = e
		return x
	}
	d := cause.Diagnosis{Findings: []cause.Finding{
		finding("wsus-server-overloaded",
			cause.Evidence{For: true, Weight: cause.Weak, Source: "a:1", Seen: "weak"},
			cause.Evidence{For: false, Weight: cause.Strong, Source: "b:1", Seen: "against"},
			cause.Evidence{For: true, Weight: cause.Conclusive, Source: "c:1", Seen: strings.Repeat("ß", 500)},
			cause.Evidence{For: true, Weight: cause.Strong, Source: "c:1", Seen: "strong"},
			cause.Evidence{For: true, Weight: cause.Strong, Source: "d:1", Seen: "strong"},
		),
		finding("proxy-stale", cause.Evidence{For: true, Weight: cause.Conclusive, Source: "e:1", Seen: "of another cause"}),
	}}
	r, _ := Lookup("tell-wsus-clean-up")
	x, _ := Choice{Remedy: r, Causes: []string{"wsus-server-overloaded"}}.fit(f, d, testRun)
	var got []string
	for _, l := range x.Lead {
		got = append(got, l.ID+" "+l.Args["source"]+l.Args["server"]+" "+l.Args["seen"])
	}
	want := []string{
		"remedy.tell-wsus-clean-up.how  ", "plan.tell.server http://wsus.fabrikam.example:8530 ",
		"plan.tell.seen c:1 " + strings.Repeat("ß", quotedRunes), "plan.tell.seen c:1 strong", "plan.tell.seen a:1 weak",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestLooksAtProxies(t *testing.T) {
	f := machine{keyConnections: services("proxy.fabrikam.example:3128", "<local>"), keyUserNet: "\"AutoConfigURL\"=\"http://p.fabrikam.example/p.pac\"\r\n\"AutoDetect\"=dword:00000001"}.facts(t)
	x := wantPlan(t, "check-proxy-state", f, Automatic, "lead plan.look.proxy", "lead plan.look.proxy", "lead plan.look.proxy-unknown", "lead plan.look.proxy-unknown")
	if got := x.Lead[0].Args["setting"]; got != "proxy.fabrikam.example:3128, except for <local>" {
		t.Error(got)
	}
	if got := x.Lead[1].Args["setting"]; got != "the script http://p.fabrikam.example/p.pac, detection" {
		t.Error(got)
	}
}
