package isolate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/winlog"
)

// signed is a program of somebody.
func signed(name, org string) host.Program {
	return host.Program{Version: "2.4.1.0", Company: org, Signed: host.SignedInside, Signer: name, Owner: org}
}

func service3rd(name, org string) host.StartupEntry {
	return host.StartupEntry{
		Kind: host.StartService, Name: name, Display: name + " service", File: `C:\Program Files\` + org + `\` + name + ".exe",
		Program: signed(org, org), On: true, Running: true, Stops: true, Start: winlog.ServiceAutoStart, Error: 1,
	}
}

func TestKeep(t *testing.T) {
	plain := service3rd("FabrikamSync", "Fabrikam")
	with := func(f func(*host.StartupEntry)) host.StartupEntry {
		e := plain
		f(&e)
		return e
	}
	for _, tt := range []struct {
		name  string
		entry host.StartupEntry
		want  Reason
	}{
		{"somebody's service", plain, ""},
		{"a service that is started by hand and runs", with(func(e *host.StartupEntry) { e.On, e.Start = false, 3 }), ""},
		{"off", with(func(e *host.StartupEntry) { e.On, e.Running = false, false }), KeepOff},
		{"Windows' own", with(func(e *host.StartupEntry) { e.Program = signed("Microsoft Windows", "Microsoft Corporation") }), KeepMicrosoft},
		{"by a catalogue", with(func(e *host.StartupEntry) {
			e.Program = signed("Microsoft Windows", "Microsoft Corporation")
			e.Signed = host.SignedCatalog
		}), KeepMicrosoft},
		{"Microsoft's own program", with(func(e *host.StartupEntry) { e.Program = signed("Microsoft Corporation", "Microsoft Corporation") }), KeepMicrosoft},
		{"hardware compatibility is not Microsoft's own", with(func(e *host.StartupEntry) {
			e.Program = signed("Microsoft Windows Hardware Compatibility Publisher", "Microsoft Corporation")
			e.Company = "Fabrikam"
		}), ""},
		{"somebody who calls himself Microsoft Windows", with(func(e *host.StartupEntry) { e.Program = signed("Microsoft Windows", "Fabrikam") }), ""},
		{"a signature that does not hold", with(func(e *host.StartupEntry) {
			e.Program = signed("Microsoft Windows", "Microsoft Corporation")
			e.Signed = host.SignedBadly
		}), KeepUnknown},
		{"unsigned, elsewhere", with(func(e *host.StartupEntry) { e.Program = host.Program{Signed: host.SignedNot, Company: "Fabrikam"} }), ""},
		{"unsigned, in Windows' folder", with(func(e *host.StartupEntry) {
			e.Program, e.File = host.Program{Signed: host.SignedNot}, `C:\windows\System32\fab.exe`
		}), KeepUnknown},
		{"in a folder whose name begins as Windows'", with(func(e *host.StartupEntry) {
			e.Program, e.File = host.Program{Signed: host.SignedNot}, `C:\Windows.old\fab.exe`
		}), ""},
		{"nobody could look", with(func(e *host.StartupEntry) { e.Program = host.Program{} }), KeepUnknown},
		{"driver", with(func(e *host.StartupEntry) { e.Kind = host.StartDriver }), KeepDriver},
		{"boot start", with(func(e *host.StartupEntry) { e.Start = 0 }), KeepBoot},
		{"critical", with(func(e *host.StartupEntry) { e.Error = 3 }), KeepBoot},
		{"safe mode", with(func(e *host.StartupEntry) { e.SafeMode = true }), KeepBoot},
		{"protected process", with(func(e *host.StartupEntry) { e.Shielded = true }), KeepPolicy},
		{"encryption by its group", with(func(e *host.StartupEntry) { e.Group = "fsfilter encryption" }), KeepEncryption},
		{"encryption by its name", with(func(e *host.StartupEntry) { e.Display = "Fabrikam Full Disk Encryption Agent" }), KeepEncryption},
		{"VPN", with(func(e *host.StartupEntry) { e.Display = "Fabrikam VPN Agent" }), KeepNetwork},
		{"VPN by its service", with(func(e *host.StartupEntry) { e.Name = "PanGPS" }), KeepNetwork},
		{"wireless", with(func(e *host.StartupEntry) { e.Product = "Fabrikam WLAN Utility" }), KeepNetwork},
		{"antivirus", with(func(e *host.StartupEntry) { e.Display = "Fabrikam AntiVirus Engine" }), KeepSecurity},
		{"management", with(func(e *host.StartupEntry) { e.Name = "BESClient" }), KeepManagement},
		{"the one who helps", with(func(e *host.StartupEntry) { e.Name = "ScreenConnect Client (1a2b)" }), KeepManagement},
		{"fingerprint", with(func(e *host.StartupEntry) { e.Display = "Fingerprint Reader Service" }), KeepSignIn},
		{"guest tools", with(func(e *host.StartupEntry) { e.Name = "VMTools" }), KeepSignIn},
		{"updoc", with(func(e *host.StartupEntry) { e.Name = "updocguard" }), KeepUpdoc},
		{"run once", host.StartupEntry{Kind: host.StartOnce, Name: "x", Program: signed("Fabrikam", "Fabrikam"), On: true, Start: -1}, KeepOnce},
		{"run, off", host.StartupEntry{Kind: host.StartRun, Name: "x", Program: signed("Fabrikam", "Fabrikam"), Start: -1}, KeepOff},
		{"run", host.StartupEntry{Kind: host.StartRun, Name: "x", Program: signed("Fabrikam", "Fabrikam"), On: true, Start: -1}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list, err := Stock(host.Startup{Entries: []host.StartupEntry{tt.entry}}, "")
			if err != nil {
				t.Fatal(err)
			}
			if list[0].Keep != tt.want {
				t.Errorf("kept for %q, want %q", list[0].Keep, tt.want)
			}
		})
	}
}

// TestKeepRoles: who took over a part of Windows is kept with all that belongs to it,
// and so is what that needs.
func TestKeepRoles(t *testing.T) {
	shield := service3rd("ShieldCore", "Contoso")
	helper := service3rd("ContosoHelper", "Contoso")
	helper.File = `C:\Program Files\Common Files\Contoso\helper.exe`
	logon := service3rd("BadgeLogon", "Fabrikam")
	logon.Needs = []string{"badgereader"}
	reader := service3rd("BadgeReader", "Reader Works")
	reader.Needs = []string{"ReaderBase"}
	base := service3rd("ReaderBase", "Reader Works")
	other := service3rd("Other", "Reader Works")
	tray := host.StartupEntry{Kind: host.StartRun, Name: "Shield tray", File: `C:\Program Files\Contoso\tray.exe`, Program: signed("Contoso", "Contoso"), On: true, Start: -1}
	s := host.Startup{
		Entries: []host.StartupEntry{shield, helper, logon, reader, base, other, tray},
		Roles: []host.StartupRole{
			{Role: host.RoleSecurity, Name: "Contoso Shield", File: `C:\Program Files\Contoso\wsc.exe`},
			{Role: host.RoleCredentials, Name: "Badge", File: `C:\Program Files\Fabrikam\badge.dll`},
			{Role: host.RoleLSA, Name: "msv1_0", File: `C:\Windows\System32\msv1_0.dll`},
		},
	}
	list, err := Stock(s, "")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, l := range list {
		got[l.Name] = string(l.Keep) + "/" + l.For
	}
	want := map[string]string{
		"ShieldCore": "security/Contoso Shield", "ContosoHelper": "security/Contoso Shield", "Shield tray": "security/Contoso Shield",
		"BadgeLogon": "sign-in/Badge", "BadgeReader": "needed/BadgeLogon service", "ReaderBase": "needed/BadgeReader service", "Other": "/",
	}
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: kept for %q, want %q", name, got[name], w)
		}
	}
}

func TestTrusted(t *testing.T) {
	s := host.Startup{}
	for i := range 12 {
		e := service3rd(fmt.Sprint("w", i), "Microsoft Corporation")
		e.Program = signed("Microsoft Windows", "Microsoft Corporation")
		s.Entries = append(s.Entries, e)
	}
	if !Trusted(s) {
		t.Error("twelve services of Windows are not enough")
	}
	for i := range s.Entries {
		s.Entries[i].Signed = host.SignedNot
	}
	if Trusted(s) {
		t.Error("a Windows without a single signature is trusted")
	}
}

// TestRules: the table is well made, each reason and kind has its sentence, and what a
// rule is about is found by it.
func TestRules(t *testing.T) {
	table, err := rules()
	if err != nil {
		t.Fatal(err)
	}
	if len(table) < 20 {
		t.Errorf("%d rules", len(table))
	}
	for _, r := range table {
		if r.keep != "" && !message.English().Has("isolate.keep."+string(r.keep)) {
			t.Errorf("no sentence for %q", r.keep)
		}
		for _, p := range r.patterns {
			if p == "" || strings.Trim(p, "* ") == "" || p != strings.ToLower(p) {
				t.Errorf("pattern %q", p)
			}
		}
	}
	for name, kind := range map[string]string{
		"WuMgr": "blocker", "Glasswire Control Service": "net-filter", "Advanced SystemCare Service": "tuner", "Macrium Service": "backup", "Sandboxie Service": "guard", "Fabrikam Notes": "",
	} {
		e := service3rd("x1", "Fabrikam")
		e.Display = name
		list, err := Stock(host.Startup{Entries: []host.StartupEntry{e}}, "")
		if err != nil || list[0].Class != kind || kind != "" && list[0].Weight <= service {
			t.Errorf("%s: %q with weight %v, want %q (%v)", name, list[0].Class, list[0].Weight, kind, err)
		}
	}
	for _, bad := range []string{"name\tx", "nobody\tx\tkeep-boot", "name\tx\tmuch", "name\tx\t-1 kind", "name\tx\t3"} {
		if _, err := readRules(bad); err == nil {
			t.Errorf("%q is no rule", bad)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"abc", "abc", true},
		{"abc", "abcd", false},
		{"a*c", "abbbc", true},
		{"a*c", "abb", false},
		{"*vpn*", "my vpn agent", true},
		{"*", "", true},
		{"", "", true},
		{"", "a", false},
		{"a*b*c", "a1b2b3c", true},
		{"**x", "x", true},
		{"x**", "x", true},
		{strings.Repeat("*a", 30) + "b", strings.Repeat("a", 5000), false},
	} {
		if got := glob(tt.pattern, tt.s); got != tt.want {
			t.Errorf("glob(%q, %.20q) = %v", tt.pattern, tt.s, got)
		}
	}
}

// FuzzGlob holds the matcher to what a regular expression says.
func FuzzGlob(f *testing.F) {
	f.Add("*vpn*", "my vpn agent")
	f.Add("a*b*", "aXbY")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 40 || len(s) > 200 || strings.Contains(s, "\n") || regexp.QuoteMeta(s) != s && !isASCII(s) || !isASCII(pattern) || !isASCII(s) {
			return
		}
		parts := strings.Split(pattern, "*")
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		want := regexp.MustCompile("(?s)^" + strings.Join(parts, ".*") + "$").MatchString(s)
		if got := glob(pattern, s); got != want {
			t.Errorf("glob(%q, %q) = %v", pattern, s, got)
		}
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// TestSentences: what the code says there are words for, and no words nobody says.
func TestSentences(t *testing.T) {
	reasons := []Reason{
		KeepMicrosoft, KeepDriver, KeepBoot, KeepSignIn, KeepEncryption, KeepNetwork, KeepSecurity, KeepManagement, KeepNeeded, KeepOnce, KeepOff, KeepUnknown, KeepPolicy, KeepUpdoc,
	}
	want := []string{
		"procedure.isolate-off", "procedure.isolate-stop", "procedure.isolate-on", "procedure.isolate-try", "procedure.isolate-restart",
		"isolate.untried", "isolate.astray", "isolate.running", "isolate.blame", "isolate.conflict", "isolate.several", "isolate.suspect", "isolate.stubborn", "isolate.effort",
		"isolate.not-stocked", "isolate.not-trusted", "isolate.nothing", "isolate.lead",
	}
	for _, r := range reasons {
		want = append(want, "isolate.keep."+string(r))
		if r != KeepMicrosoft && r != KeepOff {
			want = append(want, "isolate.left-on."+string(r))
		}
	}
	for _, s := range []State{Healthy, Flaky, None, Different, Narrowed, Exhausted} {
		want = append(want, "isolate."+string(s))
	}
	for _, k := range []string{"service", "task", "run", "folder"} {
		want = append(want, "isolate.culprit."+k)
	}
	for _, k := range []string{"blocker", "freezer", "net-filter", "tuner", "guard", "other"} {
		want = append(want, "isolate.advice."+k)
	}
	for _, id := range want {
		if !message.English().Has(id) {
			t.Errorf("no sentence %s", id)
		}
	}
	for _, id := range message.English().Keys() {
		if (strings.HasPrefix(id, "isolate.") || strings.HasPrefix(id, "procedure.isolate-")) && !slices.Contains(want, id) {
			t.Errorf("nobody says %s", id)
		}
	}
}
