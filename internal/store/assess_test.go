package store

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/winlog"
)

// head is what every machine of these tests has.
const head = `Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion]
"CurrentBuild"="22631"
"EditionID"="Professional"

`

func reg(key, value string) string {
	return "[" + strings.Replace(key, "HKLM", "HKEY_LOCAL_MACHINE", 1) + "]\n" + value + "\n\n"
}

// look is a report of DISM in CBS.log at a day of March 2031.
func look(day int, repair bool, result string, repaired int, faults ...string) string {
	var b strings.Builder
	line := func(s string) { fmt.Fprintf(&b, "2031-03-%02d 04:05:06, Info                  CBS    %s\r\n", day, s) }
	line("Exec: Session processing started.  Client: Manual, Session(DISM Package Manager Provider Store Corruption Detect/Repair): 1_1")
	line("Checking System Update Readiness.")
	for _, f := range faults {
		line("(p)\t" + f)
	}
	operation := "Detect only "
	if repair {
		operation = "Detect and Repair "
	}
	line("Operation: " + operation)
	line("Operation result: " + result)
	line(fmt.Sprintf("Total Detected Corruption:\t%d", len(faults)))
	line(fmt.Sprintf("Total Repaired Corruption:\t%d", repaired))
	line("Total Operation Time: 294 seconds.")
	return b.String()
}

const (
	payload = `CSI Payload Corrupt	(n)			amd64_fabrikam-paper_31bf3856ad364e35_10.0.22631.2506_none_0011223344556677\paper.dll`
	mum     = `CBS MUM Missing	(n)			Package_for_KB5099001~31bf3856ad364e35~amd64~~22631.1.1.0`
)

func collect(t testing.TB, files map[string]string) *facts.Facts {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	rec, err := host.OpenFS(t.Context(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Close()
	return facts.Collect(t.Context(), rec, facts.Options{})
}

func sources(a Assessment) string {
	var out []string
	for _, s := range a.Sources {
		out = append(out, strings.TrimSpace(string(s.Kind)+" "+s.Arg))
	}
	return strings.Join(out, ", ")
}

func leftOut(a Assessment) string {
	var out []string
	for _, l := range a.LeftOut {
		out = append(out, l.What+": "+strings.TrimPrefix(l.Why.ID, "store.not."))
	}
	return strings.Join(out, ", ")
}

func TestAssess(t *testing.T) {
	right := host.ImageEntry{Index: 6, Edition: "Professional", Arch: "amd64", Build: "22631.3007"}
	disc := func(e ...host.ImageEntry) *host.Image {
		return &host.Image{Path: `D:\sources\install.wim`, Kind: host.ImageWIM, Entries: e}
	}
	change := func(f func(*host.ImageEntry)) host.ImageEntry { e := right; f(&e); return e }
	for name, tt := range map[string]struct {
		log, reg string
		opt      Options
		state    State
		steps    string
		sources  string
		leftOut  string
		kbs      string
	}{
		"nothing is known":                  {"", "", Options{}, Unknown, "look repair files verify", "update", "", ""},
		"a look found nothing":              {look(1, false, "0x0", 0), "", Options{}, Sound, "", "update", "look: looked, repair: sound, files: sound", ""},
		"damage is known":                   {look(1, false, "0x0", 0, payload), "", Options{}, Damaged, "repair files verify", "update", "look: known", ""},
		"it was repaired":                   {look(1, false, "0x0", 0, payload) + look(2, true, "0x0", 1, payload), "", Options{}, Sound, "", "update", "look: looked, repair: sound, files: sound", ""},
		"a repair failed, and a later look": {look(1, true, "0x800f081f", 0, payload) + look(2, false, "0x0", 0), "", Options{}, Sound, "", "update", "look: looked, repair: sound, files: sound", ""},
		"a package is missing":              {look(1, false, "0x0", 0, mum), "", Options{Packages: fetched.Packages}, Damaged, "repair files verify", "update, package", "look: known", "KB5099001"},
		"a package of something else":       {look(1, false, "0x0", 0, payload), "", Options{Packages: fetched.Packages}, Damaged, "repair files verify", "update", "look: known", ""},
		"policy forbids Windows Update": {
			look(1, false, "0x0", 0, payload), reg(keyRepair, `"UseWindowsUpdate"=dword:00000002`),
			Options{},
			Damaged, "", "",
			"Windows Update: policy-never, look: known, repair: source, files: files", "",
		},
		"policy names a place": {
			look(1, false, "0x0", 0, payload), reg(keyRepair, "\"UseWindowsUpdate\"=dword:00000002\n\"LocalSourcePath\"=\"\\\\\\\\pc-2\\\\media\""),
			Options{},
			Damaged, "repair files verify", "policy",
			"Windows Update: policy-never, look: known", "",
		},
		"policy forbids, a medium is given": {
			look(1, false, "0x0", 0, payload), reg(keyRepair, `"UseWindowsUpdate"=dword:00000002`),
			Options{Image: disc(change(func(e *host.ImageEntry) { e.Index, e.Edition = 1, "Core" }), right)},
			Damaged, "repair files verify",
			`image wim:D:\sources\install.wim:6`, "Windows Update: policy-never, look: known", "",
		},
		"a WSUS has nothing for repairs": {
			look(1, false, "0x0", 0, payload), reg(keyWSUS, `"UseWUServer"=dword:00000001`), Options{}, Damaged, "", "", "Windows Update: wsus, look: known, repair: source, files: files", "",
		},
		"a WSUS, and repairs go to Microsoft": {
			look(1, false, "0x0", 0, payload), reg(keyWSUS, `"UseWUServer"=dword:00000001`) + reg(keyRepair, `"RepairContentServerSource"=dword:00000002`), Options{}, Damaged, "repair files verify", "update", "look: known", "",
		},
		"the wrong build": {
			look(1, false, "0x0", 0, payload), "", Options{Image: disc(change(func(e *host.ImageEntry) { e.Build = "26100.1742" }))}, Damaged, "repair files verify", "update", `D:\sources\install.wim: build, look: known`, "",
		},
		"the wrong edition": {
			look(1, false, "0x0", 0, payload), "", Options{Image: disc(change(func(e *host.ImageEntry) { e.Edition = "Core" }))}, Damaged, "repair files verify", "update", `D:\sources\install.wim: edition, look: known`, "",
		},
		"the wrong number": {
			look(1, false, "0x0", 0, payload), "", Options{Image: disc(change(func(e *host.ImageEntry) { e.Index, e.Edition = 1, "Core" }), right), Index: 1}, Damaged, "repair files verify", "update", `D:\sources\install.wim: edition, look: known`, "",
		},
		"a number that it has not": {
			look(1, false, "0x0", 0, payload), "", Options{Image: disc(right), Index: 9}, Damaged, "repair files verify", "update", `D:\sources\install.wim: index, look: known`, "",
		},
		"a medium of the same family": {
			look(1, false, "0x0", 0, payload), "", Options{Image: disc(change(func(e *host.ImageEntry) { e.Build = "22621.3007" }))}, Damaged, "repair files verify", `update, image wim:D:\sources\install.wim:6`, "look: known", "",
		},
		"a medium that is older than what is damaged": {
			look(1, false, "0x0", 0, payload), "", Options{Image: disc(change(func(e *host.ImageEntry) { e.Build = "22631.2428" }))}, Damaged, "repair files verify", "update", `D:\sources\install.wim: older, look: known`, "",
		},
		"another machine's Windows": {
			look(1, false, "0x0", 0, payload), "", Options{Image: &host.Image{Path: `\\pc-2\windows`, Kind: host.ImageFolder, Entries: []host.ImageEntry{{Build: "22631.3447"}}}}, Damaged, "repair files verify", `update, folder \\pc-2\windows`, "look: known", "",
		},
		"another machine of another build": {
			look(1, false, "0x0", 0, payload), "", Options{Image: &host.Image{Path: `\\pc-2\windows`, Kind: host.ImageFolder, Entries: []host.ImageEntry{{Build: "19045.4046"}}}}, Damaged, "repair files verify", "update", `\\pc-2\windows: build, look: known`, "",
		},
		"an ISO file": {
			look(1, false, "0x0", 0, payload), "", Options{Image: &host.Image{Path: `C:\win.iso\sources\install.wim`, Kind: host.ImageWIM, Entries: []host.ImageEntry{right}}}, Damaged, "repair files verify", `update, image wim:C:\win.iso\sources\install.wim:6`, "look: known", "",
		},
		"a restart is due": {
			look(1, false, "0x0", 0, payload), reg(keyServices+`\RebootPending`, "@=\"\""), Options{}, Damaged, "", "update", "look: pending, repair: pending, files: pending", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"servicing.reg": head + tt.reg}
			if tt.log != "" {
				files["CBS.log"] = tt.log
			}
			f := collect(t, files)
			f.Machine.Arch = "amd64"
			a := Assess(f, tt.opt)
			type short struct{ State, Steps, Sources, LeftOut, KBs string }
			want := short{string(tt.state), tt.steps, tt.sources, tt.leftOut, tt.kbs}
			have := short{string(a.State), strings.Join(a.Steps, " "), sources(a), leftOut(a), strings.Join(a.KBs(), " ")}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Error(diff)
			}
			for _, l := range a.LeftOut {
				if !message.English().Has(l.Why.ID) {
					t.Errorf("no sentence %s", l.Why.ID)
				}
			}
			if s, ok := a.Spec(); ok {
				if _, err := Decode(mustJSON(t, s)); err != nil {
					t.Errorf("its spec is refused: %v", err)
				}
			}
		})
	}
}

// TestAssessLanguages: what a console printed is of no account, in whatever language
// and encoding; the log says the same everywhere.
func TestAssessLanguages(t *testing.T) {
	utf16 := func(s string) string {
		var b strings.Builder
		b.WriteString("\xFF\xFE")
		for _, r := range s {
			b.WriteByte(byte(r))
			b.WriteByte(byte(r >> 8))
		}
		return b.String()
	}
	log := look(1, true, "0x800f081f", 0, payload, mum)
	var first *Assessment
	for name, output := range map[string]string{
		"English":  "[==========================100.0%==========================]\r\n\r\nError: 0x800f081f\r\n\r\nThe source files could not be found.\r\n",
		"German":   "[==========================100.0%==========================]\r\n\r\nFehler: 0x800f081f\r\n\r\nDie Quelldateien konnten nicht gefunden werden.\r\n",
		"Japanese": "[==========================100.0%==========================]\r\n\r\nエラー: 0x800f081f\r\n\r\nソース ファイルが見つかりませんでした。\r\n",
	} {
		for _, wide := range []bool{false, true} {
			text := output
			if wide {
				text = utf16(output)
			}
			f := collect(t, map[string]string{"CBS.log": log, "dism-output.txt": text, "servicing.reg": head})
			a := Assess(f, Options{})
			if a.State != Damaged || len(a.Faults) != 2 || len(a.Codes) == 0 || a.Codes[0].Code != 0x800F081F {
				t.Errorf("%s: %+v", name, a)
			}
			if first == nil {
				first = &a
			} else if diff := cmp.Diff(*first, a); diff != "" {
				t.Errorf("%s, UTF-16 %v: %s", name, wide, diff)
			}
		}
	}
}

// TestAssessRealLogs: the real logs, as a person read them.
func TestAssessRealLogs(t *testing.T) {
	for name, tt := range map[string]struct {
		state     State
		wandering bool
		names     []string // all of what it has to name
		leftOut   string
	}{
		"loghub-Windows_2k-CBS.log": {state: Unknown},
		// Three files of a printer driver, of which sfc names the package.
		"alborz25-CBS.log": {state: Damaged, names: []string{`Amd64\CNBJ2530.DPB`, "6.2.9200.16384", "6.2.9200.16430", "6.2.9200.20531", "KB2769165"}, leftOut: "look: known"},
		// Another dozen of files in each look: the memory or the disk.
		"WinErros-CBS.log":   {state: Damaged, wandering: true, names: []string{"esent.dll"}, leftOut: "look: wandering, repair: wandering, files: wandering"},
		"scarlaglen-CBS.log": {state: Damaged, names: []string{"UserExperience-FileExp", "10.0.22621.3810"}, leftOut: "look: known"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile("../../../shared/logs/" + name)
			if err != nil {
				t.Skipf("NOT RUN: the real logs are not here: %v", err)
			}
			a := Assess(collect(t, map[string]string{"CBS.log": string(b)}), Options{})
			if a.State != tt.state || a.Wandering != tt.wandering || leftOut(a) != tt.leftOut {
				t.Errorf("%s, wandering %v, left out %s", a.State, a.Wandering, leftOut(a))
			}
			all := fmt.Sprintf("%+v", a.Faults)
			for _, s := range tt.names {
				if !strings.Contains(all, s) {
					t.Errorf("it does not name %s", s)
				}
			}
		})
	}
}

// TestFaultLines: people are told the component, the file, the package and the number.
func TestFaultLines(t *testing.T) {
	var many []Fault
	for i := range 9 {
		x := torn
		x.File = fmt.Sprintf("%d.svg", i)
		many = append(many, Fault{StoreFault: x})
	}
	owned := torn
	owned.Component, owned.Package, owned.KB = "Fabrikam-Pen", gone.Package, gone.KB
	lines := FaultLines(append(many, Fault{StoreFault: owned}, Fault{StoreFault: gone}, Fault{StoreFault: loose}, Fault{StoreFault: winlog.StoreFault{Kind: winlog.FaultMetadata, Component: "x"}}), 2, 4)
	var text []string
	for _, l := range lines {
		args := []any{}
		for k, v := range l.Args {
			args = append(args, k, v)
		}
		if !message.English().Has(l.ID) {
			t.Errorf("no sentence %s", l.ID)
		}
		text = append(text, message.English().Text(l.ID, args...))
	}
	want := []string{
		"9 files of " + torn.Component + " 10.0.22631.1 are damaged or missing in the component store, among them 0.svg, 1.svg, 2.svg.",
		"paper.dll of Fabrikam-Pen 10.0.22631.1 is damaged or missing in the component store.",
		"It belongs to " + gone.Package + ", which came with KB5099001.",
		"The package " + gone.Package + " is damaged or missing.",
		"It came with KB5099001.",
		`C:\Windows\System32\paper.dll is damaged.`,
		"And 3 more.",
	}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Error(diff)
	}
}
