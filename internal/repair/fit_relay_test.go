package repair

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"updoc/internal/cause"
	"updoc/internal/winlog"
)

// regHex writes bytes as an export does.
func regHex(b []byte) string {
	var parts []string
	for _, x := range b {
		parts = append(parts, hex.EncodeToString([]byte{x}))
	}
	return "hex:" + strings.Join(parts, ",")
}

// TestRelaySettings: a setting of the services leads to the relay where it has room for
// a script; what it held stays below, and each change has a lease. Where there is room
// for one proxy alone, where somebody else decides or nobody looked, nothing is changed.
func TestRelaySettings(t *testing.T) {
	const relayAt = "127.0.0.1:49500"
	static := winlog.ProxyBlob{Mark: winlog.MarkWinHTTPNew, Flags: 3, Proxy: "proxy.fabrikam.example:8080", Bypass: "<local>"}
	old, empty := static, winlog.ProxyBlob{Mark: winlog.MarkWinHTTPNew, Flags: 9}
	old.Mark = winlog.MarkWinHTTP
	short := static.Encode()
	short = short[:len(short)-4] // 0x28 without a third text
	system := winlog.ProxyBlob{Mark: winlog.MarkConnection, Counter: 7, Flags: 9, Tail: make([]byte, 32)}
	const systemKey, networkKey = `HKU\S-1-5-18\` + keyInternet, `HKU\S-1-5-20\` + keyInternet
	build := func(n string) string { return `"CurrentBuild"="` + n + `"` }
	for name, tt := range map[string]struct {
		machine machine
		flags   uint32 // of the services' setting afterwards
		scripts []string
		why     string
	}{
		"a form with room":             {machine{keyConnections: `"WinHttpSettings"=` + regHex(static.Encode()), keyCurrentVersion: build("19045")}, 7, []string{"/services.pac"}, ""},
		"detection gives way":          {machine{keyConnections: `"WinHttpSettings"=` + regHex(empty.Encode()), keyCurrentVersion: build("19045")}, 5, []string{"/services.pac"}, ""},
		"an old form on a new Windows": {machine{keyConnections: `"WinHttpSettings"=` + regHex(old.Encode()), keyCurrentVersion: build("22631")}, 7, []string{"/services.pac"}, ""},
		"nothing set on a new Windows": {machine{keyConnections: `"Other"="x"`, keyCurrentVersion: build("22631")}, 5, []string{"/services.pac"}, ""},
		"accounts as well": {machine{
			keyConnections: `"WinHttpSettings"=` + regHex(static.Encode()), keyCurrentVersion: build("22631"),
			systemKey + `\Connections`: `"DefaultConnectionSettings"=` + regHex(system.Encode()), networkKey + `\Connections`: `"Other"="x"`,
		}, 7, []string{"/services.pac", "/system.pac", "/network.pac"}, ""},
		"an old form on an old Windows": {machine{keyConnections: `"WinHttpSettings"=` + regHex(old.Encode()), keyCurrentVersion: build("19045")}, 0, nil, "plan.relay.fixed-only"},
		"no room in it":                 {machine{keyConnections: `"WinHttpSettings"=` + regHex(short), keyCurrentVersion: build("22631")}, 0, nil, "plan.relay.fixed-only"},
		"not understood":                {machine{keyConnections: `"WinHttpSettings"=hex:99,00,00,00,00,00,00,00,03,00,00,00`, keyCurrentVersion: build("22631")}, 0, nil, "plan.proxy.not-understood"},
		"nobody looked":                 {machine{keyCurrentVersion: build("22631")}, 0, nil, "plan.not-looked"},
		"a policy": {machine{
			keyConnections: `"WinHttpSettings"=` + regHex(static.Encode()), keyCurrentVersion: build("22631"), keyNetPolicy: `"ProxySettingsPerUser"=dword:00000000`,
		}, 0, nil, "plan.owned"},
	} {
		t.Run(name, func(t *testing.T) {
			f := tt.machine.facts(t)
			list, why := Redirect(f)
			if why.ID != tt.why {
				t.Fatalf("why not: %+v, want %s", why, tt.why)
			}
			var scripts []string
			for _, r := range list {
				scripts = append(scripts, r.Script)
			}
			if !slices.Equal(scripts, tt.scripts) {
				t.Errorf("scripts %v, want %v", scripts, tt.scripts)
			}
			p, why := One(f, cause.Diagnosis{}, "use-relay", Options{Run: testRun, Relay: &Relay{Address: relayAt, Minutes: 121}})
			if why.ID != tt.why {
				t.Fatalf("the plan says %+v", why)
			}
			if tt.why != "" {
				return
			}
			if err := p.Check(); err != nil {
				t.Error(err)
			}
			steps := p.Treatments[0].Steps
			for _, s := range steps {
				if s.Lease != 121 {
					t.Errorf("%s %s stands for %d minutes", s.Change.Path, s.Change.Name, s.Lease)
				}
			}
			got, err := winlog.ParseWinHTTPBlob(steps[0].Change.Value.Data)
			if err != nil || got.PAC != "http://"+relayAt+"/services.pac" || got.Flags != tt.flags || got.Mark != winlog.MarkWinHTTPNew || got.Static() && (got.Proxy != static.Proxy || got.Bypass != static.Bypass) {
				t.Errorf("%+v, %v", got, err)
			}
			for i, key := range []string{systemKey, networkKey} {
				if i+1 >= len(tt.scripts) {
					continue
				}
				at := slices.IndexFunc(steps, func(s Step) bool {
					return s.Change.Path == key+`\Connections` && s.Change.Name == "DefaultConnectionSettings"
				})
				if at < 0 {
					t.Fatalf("%s is not changed", key)
				}
				b, err := winlog.ParseConnectionBlob(steps[at].Change.Value.Data)
				if err != nil || !b.Auto() || b.Detect() || b.PAC != "http://"+relayAt+tt.scripts[i+1] {
					t.Errorf("%s: %+v, %v", key, b, err)
				}
			}
		})
	}
}

// Without a relay the remedy says how to start one, and asks nothing.
func TestRelayIsStartedByAPerson(t *testing.T) {
	static := winlog.ProxyBlob{Mark: winlog.MarkWinHTTPNew, Flags: 3, Proxy: "http://proxy.fabrikam.example:8080"}
	f := machine{keyConnections: `"WinHttpSettings"=` + regHex(static.Encode()), keyCurrentVersion: `"CurrentBuild"="22631"`}.facts(t)
	x, why := fitted(t, "use-relay", f)
	if why.ID != "" || x.How != Advice || len(x.Steps) > 0 {
		t.Errorf("%+v, %+v", x, why)
	}
	if told := fmt.Sprint(x.Lead); !strings.Contains(told, "plan.relay.start") || !strings.Contains(told, "proxy.fabrikam.example:8080") {
		t.Error(told)
	}
}
