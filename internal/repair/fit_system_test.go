package repair

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
)

// seenOn collects the facts of a machine of which these files tell.
func seenOn(t testing.TB, files map[string]string) *facts.Facts {
	t.Helper()
	fsys := fstest.MapFS{"systeminfo.txt": {Data: []byte("Host Name:                 DESK-4\r\nOS Name:                   Microsoft Windows 11 Pro\r\nOS Version:                10.0.22631 N/A Build 22631\r\nSystem Type:               x64-based PC\r\n")}}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	h, err := host.OpenFS(t.Context(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	return facts.Collect(t.Context(), h, facts.Options{})
}

// export is a registry export; a line that begins with [ opens a key.
func export(lines ...string) string {
	return "Windows Registry Editor Version 5.00\r\n\r\n" + strings.Join(lines, "\r\n") + "\r\n"
}

// starts is what sc qc says of services, by name and start type.
func starts(pairs ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(&b, "[SC] QueryServiceConfig SUCCESS\r\n\r\nSERVICE_NAME: %s\r\n        TYPE               : 20  WIN32_SHARE_PROCESS\r\n        START_TYPE         : %s\r\n\r\n", pairs[i], pairs[i+1])
	}
	return b.String()
}

// states is what sc query says of services, by name and state.
func states(pairs ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		fmt.Fprintf(&b, "SERVICE_NAME: %s\r\n        TYPE               : 20  WIN32_SHARE_PROCESS\r\n        STATE              : %s\r\n        WIN32_EXIT_CODE    : 0  (0x0)\r\n\r\n", pairs[i], pairs[i+1])
	}
	return b.String()
}

const testRun = "20310507-1"

// fitted fits one remedy, alone, and holds the plan to the rules of all plans.
func fitted(t testing.TB, id string, f *facts.Facts, findings ...string) (Treatment, Line) {
	t.Helper()
	r, ok := Lookup(id)
	if !ok {
		t.Fatalf("there is no remedy %s", id)
	}
	var d cause.Diagnosis
	for _, c := range findings {
		d.Findings = append(d.Findings, cause.Finding{Cause: &cause.Cause{ID: c}})
	}
	x, why := Choice{Remedy: r}.fit(f, d, testRun)
	p := Plan{Schema: Schema, Run: testRun, Treatments: []Treatment{x}}
	if err := p.Check(); err != nil {
		t.Errorf("%s: %v", id, err)
	}
	words := message.English()
	said := append([]Line{}, x.Lead...)
	if why.ID != "" {
		said = append(said, why)
	}
	for _, s := range x.Steps {
		if s.Lasting != "" {
			said = append(said, Line{ID: s.Lasting})
		}
	}
	for _, l := range said {
		text := words.Text(l.ID)
		for name, value := range l.Args {
			if value == "" {
				t.Errorf("%s: %s has no value in %s", id, name, l.ID)
			}
			text = strings.ReplaceAll(text, "{"+name+"}", "...")
		}
		if !words.Has(l.ID) || strings.Contains(text, "{") {
			t.Errorf("%s says %s: %q", id, l.ID, text)
		}
	}
	return x, why
}

// brief writes steps as lines.
func brief(t Treatment) []string {
	var out []string
	for _, s := range t.Steps {
		c := s.Change
		line := string(c.Kind) + " " + c.Path
		switch {
		case c.Value != nil && len(c.Value.Data) == 4:
			line += fmt.Sprintf(" %s=%d", c.Name, binary.LittleEndian.Uint32(c.Value.Data))
		case c.Value != nil:
			text, _ := c.Value.String()
			if list, ok := c.Value.Strings(); ok {
				text = fmt.Sprint(list)
			}
			line += " " + c.Name + "=" + text
		case c.Name != "":
			line += " " + c.Name
		case c.To != "":
			line += " > " + c.To
		case c.Start != nil:
			line += fmt.Sprintf(" %d", c.Start.Type)
			if c.Start.Delayed {
				line += " delayed"
			}
		case c.State != "":
			line += " " + c.State
		case len(c.Triggers) > 0:
			for _, t := range c.Triggers {
				line += fmt.Sprintf(" %d/%d/%s", t.Type, t.Action, t.Subtype)
			}
		case len(c.Needs) > 0:
			line += " " + strings.Join(c.Needs, " ")
		case len(c.Args) > 0:
			line += " " + strings.Join(c.Args, " ")
		}
		if s.Restart {
			line += " (restart)"
		}
		out = append(out, line)
	}
	return out
}

// fitCase is a machine, a remedy, and what becomes of it.
type fitCase struct {
	name     string
	remedy   string
	files    map[string]string
	findings []string
	steps    []string
	lead     []string // ids
	why      string   // id
}

func fitAll(t *testing.T, cases []fitCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.remedy+"/"+c.name, func(t *testing.T) {
			x, why := fitted(t, c.remedy, seenOn(t, c.files), c.findings...)
			if why.ID != c.why {
				t.Fatalf("left out because of %q, want %q", why.ID, c.why)
			}
			if why.ID != "" {
				return
			}
			if diff := cmp.Diff(c.steps, brief(x)); diff != "" {
				t.Error(diff)
			}
			var lead []string
			for _, l := range x.Lead {
				lead = append(lead, l.ID)
			}
			if diff := cmp.Diff(c.lead, lead); diff != "" {
				t.Error("lead:", diff)
			}
		})
	}
}

const (
	missingFolder = `2031-02-12 04:44:31, Error                 CSI    00000c0d (F) STATUS_OBJECT_NAME_NOT_FOUND #9920147# from Windows::Rtl::SystemImplementation::DirectFileSystemProvider::SysCreateFile(flags = (AllowSharingViolation), handle = {provider=NULL, handle=0, name= ("null")}, da = (SYNCHRONIZE|FILE_READ_ATTRIBUTES), oa = @0xa84fbfe0b8->OBJECT_ATTRIBUTES {s:48; rd:NULL; on:[78]"\??\C:\ProgramData\Microsoft\Windows\Start Menu\Programs\Fabrikam Tools"; a:(OBJ_CASE_INSENSITIVE)}, iosb = @0xa84fbfe098)` + "\r\n"
	refusedFile   = `2031-04-16 02:10:59, Error                 CSI    00000a71 (F) STATUS_ACCESS_DENIED #4409312# from Windows::Rtl::SystemImplementation::DirectFileSystemProvider::SysCreateFile(flags = (AllowSharingViolation), handle = {provider=NULL, handle=0, name= ("null")}, da = (DELETE|SYNCHRONIZE), oa = @0xd5b2e7e3a8->OBJECT_ATTRIBUTES {s:48; rd:NULL; on:[56]"\??\C:\Windows\System32\spool\drivers\x64\3\unifab.gpd"; a:(OBJ_CASE_INSENSITIVE)}, disp = Invalid)[gle=0xd0000022]` + "\r\n"
	csiHeader     = "2031-02-12 04:44:30, Info                  CBS    Starting TrustedInstaller initialization.\r\n"
)

func TestFitSystem(t *testing.T) {
	fitAll(t, []fitCase{
		{
			name: "named", remedy: "restore-missing-folder", files: map[string]string{"CBS.log": csiHeader + missingFolder},
			steps: []string{`folder-make C:\ProgramData\Microsoft\Windows\Start Menu\Programs\Fabrikam Tools`},
		},
		{
			name: "a folder of the store", remedy: "restore-missing-folder",
			files: map[string]string{"CBS.log": csiHeader + strings.ReplaceAll(missingFolder, `ProgramData\Microsoft\Windows\Start Menu`, `Windows\WinSxS`)},
			why:   "plan.name-unknown",
		},
		{
			name: "a file", remedy: "restore-missing-folder",
			files: map[string]string{"CBS.log": csiHeader + strings.ReplaceAll(missingFolder, "Fabrikam Tools", "tool.lnk")},
			why:   "plan.name-unknown",
		},
		{
			name: "the folder of a file", remedy: "restore-missing-folder",
			files: map[string]string{"CBS.log": csiHeader + strings.ReplaceAll(strings.ReplaceAll(missingFolder, "Fabrikam Tools", "tool.lnk"), "OBJECT_NAME", "OBJECT_PATH")},
			steps: []string{`folder-make C:\ProgramData\Microsoft\Windows\Start Menu\Programs`},
		},
		{name: "nothing is named", remedy: "restore-missing-folder", why: "plan.name-unknown"},
		{
			name: "named", remedy: "repair-named-permission", files: map[string]string{"CBS.log": csiHeader + refusedFile},
			lead: []string{"plan.object", "plan.seen", "remedy.repair-named-permission.how"},
		},
		{name: "nothing is named", remedy: "repair-named-permission", why: "plan.name-unknown"},
		{
			name: "set", remedy: "remove-registry-size-limit",
			files: map[string]string{"control.reg": export(`[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control]`, `"RegistrySizeLimit"=dword:02000000`)},
			steps: []string{`value-del HKLM\SYSTEM\CurrentControlSet\Control RegistrySizeLimit (restart)`},
			lead:  []string{"remedy.remove-registry-size-limit.how"},
		},
		{name: "not looked", remedy: "remove-registry-size-limit", why: "plan.not-looked"},
		{
			name: "no limit", remedy: "remove-registry-size-limit",
			files: map[string]string{"control.reg": export(`[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control]`, `"RegistrySizeLimit"=dword:00000000`)},
			why:   "plan.nothing-to-change",
		},
		{
			name: "off", remedy: "restore-recovery-environment",
			files: map[string]string{"reagentc.txt": "Windows Recovery Environment (Windows RE) and system reset configuration\r\nInformation:\r\n\r\n    Windows RE status:         Disabled\r\n    Windows RE location:       \r\n    Boot Configuration Data (BCD) identifier: 00000000-0000-0000-0000-000000000000\r\n    Recovery image location:   \r\n    Recovery image index:      0\r\n    Custom image location:     \r\n    Custom image index:        0\r\n\r\nREAGENTC.EXE: Operation Successful.\r\n"},
			steps: []string{"run reagentc /enable"},
			lead:  []string{"remedy.restore-recovery-environment.how"},
		},
		{name: "a look", remedy: "check-disk-health", steps: []string{"run chkdsk C: /scan"}},
		{
			name: "a look first", remedy: "run-chkdsk-repair", steps: []string{"run chkdsk C: /scan"},
			lead: []string{"remedy.run-chkdsk-repair.how"},
		},
		{name: "it is there", remedy: "run-update-troubleshooter", files: map[string]string{"systeminfo.txt": windows7Info}, steps: []string{"run msdt /id WindowsUpdateDiagnostic"}, lead: []string{"remedy.run-update-troubleshooter.how"}},
		{name: "it is gone", remedy: "run-update-troubleshooter", lead: []string{"plan.troubleshooter-retired", "remedy.run-update-troubleshooter.how"}},
		{name: "on", remedy: "install-defender-definitions", steps: []string{"run mpcmdrun -SignatureUpdate"}},
		{name: "off", remedy: "install-defender-definitions", files: map[string]string{"sc-qc.txt": starts("WinDefend", "4   DISABLED")}, why: "plan.defender-off"},
		{name: "salvage", remedy: "repair-wmi", steps: []string{"run winmgmt /salvagerepository"}, lead: []string{"remedy.repair-wmi.how"}},
		{name: "off", remedy: "repair-wmi", files: map[string]string{"sc-qc.txt": starts("Winmgmt", "4   DISABLED")}, why: "plan.service-disabled"},
		{
			name: "services too", remedy: "undo-tweak-tool-settings", files: map[string]string{"sc-qc.txt": starts("wuauserv", "4   DISABLED")},
			steps: []string{"service-start wuauserv 3"}, lead: []string{"remedy.undo-tweak-tool-settings.how"},
		},
		{
			name: "all that it changed", remedy: "undo-tweak-tool-settings",
			files: map[string]string{
				"sc-qc.txt": starts("wuauserv", "4   DISABLED", "UsoSvc", "4   DISABLED"),
				"notes.txt": "In System32 there is only a file called wuaueng_BAK.dll, wuaueng.dll is missing.\n",
			},
			steps: []string{
				`move C:\Windows\System32\wuaueng_BAK.dll > C:\Windows\System32\wuaueng.dll`,
				`run sfc /verifyfile=C:\Windows\System32\wuaueng.dll`,
				"service-start UsoSvc 2 delayed", "service-start wuauserv 3", "service-run UsoSvc",
			},
			lead: []string{"remedy.undo-tweak-tool-settings.how"},
		},
		{name: "nothing known", remedy: "undo-tweak-tool-settings", lead: []string{"remedy.undo-tweak-tool-settings.how"}},
		{
			name: "two entries", remedy: "clean-profile-list",
			files: map[string]string{"profiles.reg": export(`[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList]`, `[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList\S-1-5-21-7-8-9-1001]`, `[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList\S-1-5-21-7-8-9-1001.bak]`)},
			lead:  []string{"plan.below", "remedy.clean-profile-list.how"},
		},
		{name: "no wrapper", remedy: "read-inner-code", why: "plan.no-wrapper"},
	})
}

// TestBecause: what is said of a cause begins with the heaviest line that shows it.
func TestBecause(t *testing.T) {
	d := cause.Diagnosis{Findings: []cause.Finding{{
		Cause: &cause.Cause{ID: "hardware-fault"},
		Verdict: cause.Verdict{Evidence: []cause.Evidence{
			{For: false, Weight: cause.Conclusive, Source: "a.txt:1", Seen: "against it"},
			{For: true, Weight: cause.Weak, Source: "b.txt:2", Seen: "weak"},
			{For: true, Weight: cause.Strong, Source: "System.evtx:7", Seen: "disk/7\tbad\x00 block" + strings.Repeat("é", 400)},
		}},
	}}}
	r, _ := Lookup("tell-hardware-fault")
	x, why := Choice{Remedy: r, Causes: []string{"hardware-fault"}}.fit(seenOn(t, nil), d, testRun)
	if why.ID != "" || len(x.Lead) != 2 {
		t.Fatalf("lead %v, left out because of %q", x.Lead, why.ID)
	}
	want := Line{ID: "plan.seen", Args: map[string]string{"source": "System.evtx:7", "line": "disk/7 bad block" + strings.Repeat("é", longestQuote-16) + "..."}}
	if diff := cmp.Diff(want, x.Lead[0]); diff != "" {
		t.Error(diff)
	}
}

func TestNTPath(t *testing.T) {
	for line, want := range map[string]string{
		`on:[72]'\??\C:\Windows\INF\'; a:`:     `C:\Windows\INF`,
		`on:[72]"\??\C:\Program Files\A B"; a`: `C:\Program Files\A B`,
		`'\??\C:\Windows\..\Users'`:            "",
		`'\??\UNC\server\share'`:               "",
		`'\??\C:\Windows\WinSxS\x'`:            "",
		`'\??\C:'`:                             "",
		`no path`:                              "",
		`'\??\C:\a:b'`:                         "",
	} {
		if got := ntPath(line); got != want {
			t.Errorf("ntPath(%q) = %q, want %q", line, got, want)
		}
	}
}

// TestWrapper: a code that only says that something inside failed is named.
func TestWrapper(t *testing.T) {
	f := seenOn(t, nil)
	f.Failures = []facts.Failure{{Code: 0x80240022, Stage: facts.StageInstall}}
	x, why := fitted(t, "read-inner-code", f)
	if why.ID != "" || x.How != Guided || len(x.Lead) != 2 || x.Lead[0].Args["code"] != "0x80240022" {
		t.Errorf("%+v, left out because of %q", x, why.ID)
	}
}
