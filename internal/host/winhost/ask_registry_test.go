package winhost

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// paper is a machine of keys and services that were written down.
type paper struct {
	host.Reader
	keys     map[string]host.Key // by lower-case path
	services map[string]host.Service
	denied   map[string]bool
}

func (p *paper) Key(_ context.Context, path string) (host.Key, error) {
	path = strings.ToLower(path)
	if p.denied[path] {
		return host.Key{}, fmt.Errorf("key %s: %w", path, host.ErrDenied)
	}
	k, ok := p.keys[path]
	if !ok {
		return host.Key{}, fmt.Errorf("key %s: %w", path, host.ErrNotExist)
	}
	return k, nil
}

func (p *paper) Service(_ context.Context, name string) (host.Service, error) {
	s, ok := p.services[strings.ToLower(name)]
	if !ok {
		return host.Service{}, fmt.Errorf("service %s: %w", name, host.ErrNotExist)
	}
	return s, nil
}

// registryOf reads an export as a machine.
func registryOf(t *testing.T, export string) *paper {
	t.Helper()
	p := &paper{keys: map[string]host.Key{}, services: map[string]host.Service{}, denied: map[string]bool{}}
	text := "Windows Registry Editor Version 5.00\r\n\r\n" + strings.ReplaceAll(strings.TrimSpace(export), "\n", "\r\n") + "\r\n"
	err := winlog.ReadRegExport(t.Context(), strings.NewReader(text), func(e winlog.RegEntry) error {
		path := strings.ToLower(e.Key)
		for at := len(path); at > 0; at = strings.LastIndexByte(path[:at], '\\') {
			if _, ok := p.keys[path[:at]]; !ok {
				p.keys[path[:at]] = host.Key{Path: e.Key[:at]}
			}
			if up := strings.LastIndexByte(path[:at], '\\'); up > 0 {
				k := p.keys[path[:up]]
				k.Path = e.Key[:up]
				k.Subkeys = appendNew(k.Subkeys, e.Key[up+1:at])
				p.keys[path[:up]] = k
			}
		}
		if e.HasValue {
			k := p.keys[path]
			k.Values = append(k.Values, e.RegValue)
			p.keys[path] = k
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPendingRestart(t *testing.T) {
	p := registryOf(t, `
[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending]

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\PackagesPending\Package_for_KB5099999~31bf3856ad364e35~amd64~~1.2]

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Session Manager]
"PendingFileRenameOperations"=hex(7):5c,00,3f,00,3f,00,5c,00,43,00,3a,00,5c,00,61,00,00,00,00,00,\
  5c,00,3f,00,3f,00,5c,00,43,00,3a,00,5c,00,62,00,00,00,21,00,5c,00,3f,00,3f,00,5c,00,43,00,3a,00,5c,00,63,00,00,00,00,00

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Session Manager\Power]
"HiberbootEnabled"=dword:00000001

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\ComputerName\ActiveComputerName]
"ComputerName"="OLDNAME"

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName]
"ComputerName"="NEWNAME"`)
	got, err := pendingRestart(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	want := host.PendingRestart{Servicing: true, Packages: 1, Rename: true, Files: 2, Fast: yes(true)}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !got.Any() {
		t.Error("nothing is said to wait")
	}
}

// What an account may not read is said to be unseen; that it is not there is no gap.
func TestPendingRestartDenied(t *testing.T) {
	p := registryOf(t, `[HKEY_LOCAL_MACHINE\SOFTWARE]`)
	p.denied[strings.ToLower(keyServicing+`\RebootPending`)] = true
	got, err := pendingRestart(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if got.Servicing || len(got.Unseen) != 1 || got.Unseen[0].Part != "servicing" {
		t.Errorf("%+v", got)
	}
}

func TestTLSSettings(t *testing.T) {
	p := registryOf(t, `
[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client]
"Enabled"=dword:00000000
"DisabledByDefault"=dword:00000001

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\WinHttp]
"DefaultSecureProtocols"=dword:00000a80`)
	got, err := tlsSettings(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	n := uint32(0xA80)
	want := host.TLSSettings{
		Protocols: []host.TLSProtocol{
			{Version: "SSL 3.0"}, {Version: "TLS 1.0"}, {Version: "TLS 1.1"}, {Version: "TLS 1.2", Enabled: yes(false), Disabled: yes(true)}, {Version: "TLS 1.3"},
		},
		WinHTTP: &n,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestTimeService(t *testing.T) {
	p := registryOf(t, `
[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\W32Time\Parameters]
"Type"="NTP"
"NtpServer"="time.fabrikam.example,0x8"

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\TimeZoneInformation]
"ActiveTimeBias"=dword:ffffffc4
"TimeZoneKeyName"="W. Europe Standard Time"`)
	p.services["w32time"] = host.Service{State: 1, Start: 4}
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	got, err := timeService(t.Context(), p, now)
	if err != nil {
		t.Fatal(err)
	}
	want := host.TimeService{Service: 1, Start: 4, Type: "NTP", Servers: "time.fabrikam.example,0x8", Now: now, Zone: "W. Europe Standard Time", Bias: -60}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestUserProxies(t *testing.T) {
	p := registryOf(t, `
[HKEY_USERS\S-1-5-18\Software\Microsoft\Windows\CurrentVersion\Internet Settings]
"ProxyEnable"=dword:00000000
"ProxyServer"="old.fabrikam.example:8080"

[HKEY_USERS\S-1-5-21-1-2-3-1001\Software\Microsoft\Windows\CurrentVersion\Internet Settings]
"ProxyEnable"=dword:00000001
"ProxyServer"="http=ann:secret@proxy.fabrikam.example:3128;https=proxy.fabrikam.example:3129"
"ProxyOverride"="<local>"
"AutoConfigURL"="http://ann:secret@pac.fabrikam.example/proxy.pac"

[HKEY_USERS\S-1-5-21-1-2-3-1001_Classes]`)
	got, err := userProxies(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	want := host.UserProxies{Users: []host.UserProxy{
		{Account: "S-1-5-18", Off: "old.fabrikam.example:8080"},
		{
			Account: "S-1-5-21-1-2-3-1001", Proxy: "http=proxy.fabrikam.example:3128;https=proxy.fabrikam.example:3129",
			Bypass: "<local>", PAC: "http://pac.fabrikam.example/proxy.pac",
		},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// polFile writes a Registry.pol.
func polFile(settings ...[2]string) []byte {
	var b bytes.Buffer
	b.WriteString("PReg\x01\x00\x00\x00")
	w := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) }
	for _, s := range settings {
		w(uint16('['))
		for _, word := range s {
			w(utf16.Encode([]rune(word)))
			w(uint16(0))
			w(uint16(';'))
		}
		w(uint32(4))
		w(uint16(';'))
		w(uint32(4))
		w(uint16(';'))
		w(uint32(1))
		w(uint16(']'))
	}
	return b.Bytes()
}

const polUpdate = `SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`

// Who owns a policy is who would write it again.
func TestManagement(t *testing.T) {
	const policies = `
[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate]
"WUServer"="http://wsus.fabrikam.example:8530"
"DisableWindowsUpdateAccess"=dword:00000001`
	const applied = policies + `

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Group Policy\History\{35378EAC-683F-11D2-A89A-00C04FBBCFA2}\0]
"GPOName"="{6AC1786C-016F-11D2-945F-00C04FB984F9}"
"DisplayName"="Update ring 2"
"DSPath"="LDAP://CN=Machine,CN={6AC1786C},DC=fabrikam,DC=example"`
	const tweaked = `

[HKEY_LOCAL_MACHINE\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall\{0C1D}_is1]
"DisplayName"="winaero Tweaker 1.62"`
	local, err := parsePolicyFile(polFile([2]string{polUpdate, "WUServer"}, [2]string{polUpdate, "**del.TargetGroup"}))
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		export, joined string
		pol            policyFile
		ccm            bool
		server, access string
	}{
		"a domain":              {applied, "domain", policyFile{}, false, host.OwnerDomain, host.OwnerDomain},
		"the local file":        {policies, "workgroup", local, false, host.OwnerLocal, host.OwnerNobody},
		"configuration manager": {applied, "domain", local, true, host.OwnerConfigMgr, host.OwnerDomain},
		"somebody":              {policies, "workgroup", policyFile{}, false, host.OwnerNobody, host.OwnerNobody},
		"a file unread":         {policies, "workgroup", nil, false, host.OwnerUnknown, host.OwnerUnknown},
		"rules left behind":     {applied, "workgroup", policyFile{}, false, host.OwnerNobody, host.OwnerNobody},
		"a tool":                {policies + tweaked, "workgroup", policyFile{}, false, host.OwnerTool, host.OwnerTool},
		"a tool and a file":     {policies + tweaked, "workgroup", local, false, host.OwnerLocal, host.OwnerTool},
		"a tool in a domain":    {applied + tweaked, "domain", policyFile{}, false, host.OwnerDomain, host.OwnerDomain},
		"another program":       {policies + strings.ReplaceAll(tweaked, "winaero", "Fabrikam"), "workgroup", policyFile{}, false, host.OwnerNobody, host.OwnerNobody},
	} {
		t.Run(name, func(t *testing.T) {
			p := registryOf(t, tt.export)
			if tt.ccm {
				p.services["ccmexec"] = host.Service{State: 4}
			}
			m, err := management(t.Context(), p, tt.joined, "FABRIKAM", tt.pol)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, o := range m.Owners {
				got[o.Name] = o.Owner
			}
			if d := cmp.Diff(map[string]string{"WUServer": tt.server, "DisableWindowsUpdateAccess": tt.access}, got); d != "" {
				t.Error(d)
			}
			if *m.ConfigMgr != tt.ccm {
				t.Errorf("ConfigMgr %v", *m.ConfigMgr)
			}
		})
	}
}

func TestManagementMDM(t *testing.T) {
	p := registryOf(t, `
[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Enrollments\0F2A1D9C-0000-4000-8000-00000000ABCD]
"ProviderID"="MS DM Server"
"DiscoveryServiceFullURL"="https://enrollment.fabrikam.example/discovery.svc"
"EnrollmentType"=dword:00000006
"EnrollmentState"=dword:00000001

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Enrollments\Status]

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\PolicyManager\current\device\Update]
"DeferQualityUpdatesPeriodInDays"=dword:0000000e
"DeferQualityUpdatesPeriodInDays_ProviderSet"=dword:00000001`)
	m, err := management(t.Context(), p, "workgroup", "WORKGROUP", policyFile{})
	if err != nil {
		t.Fatal(err)
	}
	want := []host.Enrollment{{ID: "0F2A1D9C-0000-4000-8000-00000000ABCD", Provider: "MS DM Server", URL: "https://enrollment.fabrikam.example/discovery.svc", Type: 6, State: 1}}
	if d := cmp.Diff(want, m.Enrolled); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]host.Owned{{Key: keyMDM, Name: "DeferQualityUpdatesPeriodInDays", Owner: host.OwnerMDM}}, m.Owners); d != "" {
		t.Error(d)
	}
}

func FuzzPolicyFile(f *testing.F) {
	whole := polFile([2]string{polUpdate, "WUServer"}, [2]string{polUpdate + `\AU`, "UseWUServer"})
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add([]byte("PReg"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := parsePolicyFile(b)
		if err != nil && !errors.Is(err, errPolicyFile) {
			t.Fatal(err)
		}
		if len(got) > len(b)/12 {
			t.Fatalf("%d settings in %d bytes", len(got), len(b))
		}
	})
}

func TestWithoutPassword(t *testing.T) {
	for in, want := range map[string]string{
		"":                                       "",
		"proxy.fabrikam.example:8080":            "proxy.fabrikam.example:8080",
		"ann:pw@proxy.fabrikam.example:8080":     "proxy.fabrikam.example:8080",
		"http://ann:p@w@p.fabrikam.example/x@y":  "http://p.fabrikam.example/x@y",
		"http=a:1;https=ann:pw@b:2;socks=c:3":    "http=a:1;https=b:2;socks=c:3",
		"https=http://ann:pw@p.example:1;http=q": "https=http://p.example:1;http=q",
	} {
		if got := withoutPassword(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestEdition(t *testing.T) {
	p := registryOf(t, `
[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion]
"EditionID"="Professional"
"DisplayVersion"="23H2"
"ReleaseId"="2009"
"CurrentBuildNumber"="22631"
"UBR"=dword:00000bbf

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Session Manager\Environment]
"PROCESSOR_ARCHITECTURE"="ARM64"

[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\SecureBoot\State]
"UEFISecureBootEnabled"=dword:00000000`)
	got, err := edition(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	want := host.Edition{Product: "Professional", Release: "23H2", Build: "22631.3007", Arch: "arm64", Secure: yes(false)}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
