package host_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/host"
	"updoc/internal/host/hosttest"
	"updoc/internal/winlog"
)

// written is a machine of keys that were written down, as a registry export.
type written struct {
	host.Reader
	keys   map[string]host.Key // by lower-case path
	denied string
}

func (w written) Key(_ context.Context, p string) (host.Key, error) {
	if w.denied != "" && strings.EqualFold(p, w.denied) {
		return host.Key{}, fmt.Errorf("key %s: %w", p, host.ErrDenied)
	}
	k, ok := w.keys[strings.ToLower(p)]
	if !ok {
		return host.Key{}, fmt.Errorf("key %s: %w", p, host.ErrNotExist)
	}
	return k, nil
}

func exported(t testing.TB, text string) written {
	t.Helper()
	w := written{keys: map[string]host.Key{}}
	err := winlog.ReadRegExport(t.Context(), strings.NewReader("Windows Registry Editor Version 5.00\n\n"+text), func(e winlog.RegEntry) error {
		k := w.keys[strings.ToLower(e.Key)]
		if k.Path = e.Key; e.HasValue {
			k.Values = append(k.Values, e.RegValue)
		}
		w.keys[strings.ToLower(e.Key)] = k
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

const (
	firewallKey = `[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\`
	groupKey    = `[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\WindowsFirewall\`
	profiles    = firewallKey + "DomainProfile]\n\"EnableFirewall\"=dword:00000001\n\n" + firewallKey + "StandardProfile]\n\"EnableFirewall\"=dword:00000001\n\n" +
		firewallKey + "PublicProfile]\n\"EnableFirewall\"=dword:00000000\n\n"
	localRules = firewallKey + "FirewallRules]\n\"{0A}\"=\"v2.32|Action=Block|Active=TRUE|Dir=Out|Protocol=6|RPort=443|Svc=wuauserv|Name=Ours|\"\n" +
		"\"CoreNet\"=\"v2.32|Action=Allow|Active=TRUE|Dir=Out|Name=@FirewallAPI.dll,-25405|\"\n\n"
)

// TestReadFirewall: what a domain or a management server brings goes before what the
// machine has, and can make it count nothing.
func TestReadFirewall(t *testing.T) {
	ours := host.FirewallRule{Name: "{0A}", Display: "Ours", Service: "wuauserv", Protocol: 6, Ports: "443", Profiles: 0x7FFFFFFF}
	domain, private, public := host.FirewallProfile{Name: "domain", Enabled: true}, host.FirewallProfile{Name: "private", Enabled: true}, host.FirewallProfile{Name: "public"}
	for name, tt := range map[string]struct {
		text   string
		want   []host.FirewallProfile
		blocks []host.FirewallRule
		rules  int
	}{
		"this machine alone": {profiles + localRules, []host.FirewallProfile{domain, private, public}, []host.FirewallRule{ours}, 2},
		"no rules":           {profiles, []host.FirewallProfile{domain, private, public}, nil, 0},
		"group policy": {
			profiles + localRules + groupKey + "PublicProfile]\n\"EnableFirewall\"=dword:00000001\n\"DefaultOutboundAction\"=dword:00000001\n\n" +
				groupKey + "FirewallRules]\n\"{0B}\"=\"v2.32|Action=Block|Active=TRUE|Dir=Out|Profile=Domain|Name=Theirs|\"\n\n",
			[]host.FirewallProfile{domain, private, {Name: "public", Enabled: true, BlockOutbound: true, Policy: true}},
			[]host.FirewallRule{ours, {Name: "{0B}", Display: "Theirs", Protocol: 256, Profiles: 1, Policy: true}},
			3,
		},
		"a management server": {
			profiles + firewallKey + "Mdm\\FirewallRules]\n\"{0C}\"=\"v2.32|Action=Block|Active=TRUE|Dir=Out|Name=Theirs|\"\n\n",
			[]host.FirewallProfile{domain, private, public},
			[]host.FirewallRule{{Name: "{0C}", Display: "Theirs", Protocol: 256, Profiles: 0x7FFFFFFF, Policy: true}},
			1,
		},
		"local rules count nothing in two profiles": {
			profiles + localRules + groupKey + "DomainProfile]\n\"AllowLocalPolicyMerge\"=dword:00000000\n\n" + groupKey + "PrivateProfile]\n\"AllowLocalPolicyMerge\"=dword:00000000\n\n",
			[]host.FirewallProfile{domain, private, public},
			[]host.FirewallRule{{Name: "{0A}", Display: "Ours", Service: "wuauserv", Protocol: 6, Ports: "443", Profiles: 0x7FFFFFFC}},
			2,
		},
		"nor in any": {
			profiles + localRules + groupKey + "DomainProfile]\n\"AllowLocalPolicyMerge\"=dword:00000000\n\n" + groupKey + "StandardProfile]\n\"AllowLocalPolicyMerge\"=dword:00000000\n\n" +
				groupKey + "PublicProfile]\n\"AllowLocalPolicyMerge\"=dword:00000000\n\n",
			[]host.FirewallProfile{domain, private, public},
			nil, 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := host.ReadFirewall(t.Context(), exported(t, tt.text))
			if err != nil {
				t.Fatal(err)
			}
			want := host.Firewall{Profiles: tt.want, Blocking: append([]host.FirewallRule{}, tt.blocks...), Rules: tt.rules, Service: -1, By: "registry"}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
	if _, err := host.ReadFirewall(t.Context(), exported(t, localRules)); !errors.Is(err, host.ErrNotExist) {
		t.Errorf("without profiles: %v", err)
	}
	w := exported(t, profiles+localRules)
	w.denied = `HKLM\SOFTWARE\Policies\Microsoft\WindowsFirewall\FirewallRules`
	if got, err := host.ReadFirewall(t.Context(), w); err != nil || len(got.Unseen) != 1 || got.Unseen[0].Part != "blocking" || len(got.Blocking) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func ruleOf(t testing.TB, text string) (host.FirewallRule, bool) {
	t.Helper()
	w := exported(t, profiles)
	const key = `HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules`
	w.keys[strings.ToLower(key)] = host.Key{Path: key, Values: []winlog.RegValue{{Name: "id", Type: winlog.RegSZ, Data: []byte(hosttest.UTF16(text + "\x00"))}}}
	got, err := host.ReadFirewall(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Blocking) != 1 {
		return host.FirewallRule{}, false
	}
	return got.Blocking[0], true
}

func TestFirewallRule(t *testing.T) {
	for rule, want := range map[string]*host.FirewallRule{
		`v2.30|Action=Block|Active=TRUE|Dir=Out|Protocol=6|RPort=443|RPort=80|App=%SystemRoot%\System32\svchost.exe|Svc=wuauserv|Name=No updates|`: {
			Name: "id", Display: "No updates", Program: `%SystemRoot%\System32\svchost.exe`, Service: "wuauserv", Protocol: 6, Ports: "443,80", Profiles: 0x7FFFFFFF,
		},
		`v2.10|Action=Block|Active=TRUE|Dir=Out|Profile=Public|RA4=192.0.2.0/255.255.255.0|Name=x|`: {
			Name: "id", Display: "x", Protocol: 256, Profiles: 4, Remote: "192.0.2.0/255.255.255.0",
		},
		`v2.30|Action=Allow|Active=TRUE|Dir=Out|Name=x|`:  nil,
		`v2.30|Action=Block|Active=FALSE|Dir=Out|Name=x|`: nil,
		`v2.30|Action=Block|Active=TRUE|Dir=In|Name=x|`:   nil,
		`nonsense`: nil,
		``:         nil,
	} {
		got, ok := ruleOf(t, rule)
		if ok != (want != nil) {
			t.Errorf("%s: %v", rule, ok)
		} else if ok {
			if d := cmp.Diff(*want, got); d != "" {
				t.Errorf("%s: %s", rule, d)
			}
		}
	}
}

func FuzzFirewallRule(f *testing.F) {
	f.Add("v2.30|Action=Block|Active=TRUE|Dir=Out|Protocol=6|RPort=443|Name=x|")
	f.Fuzz(func(t *testing.T, s string) {
		if r, ok := ruleOf(t, s); ok && (r.Protocol < 0 || r.Protocol > 256 || r.Name != "id") {
			t.Fatalf("%+v", r)
		}
	})
}
