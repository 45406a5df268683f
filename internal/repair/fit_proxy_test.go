package repair

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

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
