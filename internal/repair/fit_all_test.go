package repair

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
)

// TestFittersKnowTheirRemedies: a fitter of a remedy that is not in the catalogue
// would never be asked, one of two families would hide the other's.
func TestFittersKnowTheirRemedies(t *testing.T) {
	seen := map[string]bool{}
	for _, family := range []map[string]fitter{
		fitAgent(), fitNetwork(), fitPolicy(), fitProxy(), fitServices(), fitServicing(), fitState(), fitSystem(),
	} {
		for id := range family {
			if _, ok := Lookup(id); !ok {
				t.Errorf("there is no remedy %s", id)
			}
			if seen[id] {
				t.Errorf("%s has two fitters", id)
			}
			seen[id] = true
		}
	}
	for _, id := range ledOnly {
		if r, ok := Lookup(id); !ok || r.How != Automatic || !seen[id] {
			t.Errorf("%s is called led only", id)
		}
	}
	for _, id := range tweaked {
		if r, ok := Lookup(id); !ok || r.Risk != RiskReversible {
			t.Errorf("%s is no part of what can be taken back", id)
		}
	}
	for _, r := range Catalogue() {
		how := Carried(r)
		switch {
		case how != Automatic && how != Guided && how != Advice:
			t.Errorf("%s is carried out %q", r.ID, how)
		case how == Advice && r.How != Advice:
			t.Errorf("%s is %s by the catalogue, and nothing fits it to a machine", r.ID, r.How)
		case how == Automatic && r.How != Automatic:
			t.Errorf("%s is %s by the catalogue, and carried out by itself", r.ID, r.How)
		}
	}
}

// TestFittersReadKnownSignatures: a signature that nobody writes down would never
// be seen.
func TestFittersReadKnownSignatures(t *testing.T) {
	known := map[string]bool{}
	tables, err := filepath.Glob("../facts/signatures/*.tsv")
	if err != nil || len(tables) == 0 {
		t.Fatalf("no signatures: %v", err)
	}
	for _, name := range tables {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for row := range strings.Lines(string(b)) {
			id, _, _ := strings.Cut(row, "\t")
			known[id] = true
		}
	}
	files, _ := filepath.Glob("fit_*.go")
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || !slices.Contains([]string{"guide", "guideNamed", "leadSeen", "Mark", "Marks"}, called(call)) {
				return true
			}
			for _, arg := range call.Args {
				ast.Inspect(arg, func(n ast.Node) bool {
					if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
						found++
						if id, _ := strconv.Unquote(lit.Value); !known[id] {
							t.Errorf("%s: there is no signature %s", name, id)
						}
					}
					return true
				})
			}
			return true
		})
	}
	if found < 60 {
		t.Errorf("%d signatures found: the test looks in the wrong place", found)
	}
}

func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// evidence is what may be known of a machine, in pieces that fit together in any way.
var evidencePieces = []map[string]string{
	{"systeminfo.txt": windows7Info},
	{"systeminfo.txt": strings.ReplaceAll(windows7Info, "6.1.7601 Service Pack 1 Build 7601", "10.0.26100 N/A Build 26100")},
	{"cbs.reg": export(rebootPending)},
	{"sc-qc.txt": starts("wuauserv", "4   DISABLED", "RpcSs", "4   DISABLED", "BFE", "4   DISABLED", "cryptsvc", "4   DISABLED", "UsoSvc", "4   DISABLED")},
	{"sc-query.txt": states("wuauserv", "4  RUNNING", "cryptsvc", "4  RUNNING", "bits", "3  STOP_PENDING")},
	{"CBS.log": csiHeader + missingFolder + refusedFile},
	{"WindowsUpdate.log": scanFails},
	{"WindowsUpdate.log": installFails},
	{"notes.txt": "A debloat script disabled the services. wuaueng_BAK.dll lies in System32. WinRE partition is missing. The WMI repository is inconsistent. KB5042320 fails with 0x80070643.\n"},
	{"nt.reg": export(`[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion]`, `"SystemRoot"="E:\\Windows\\"`, `"EditionID"="Professional"`)},
	{"odd.reg": export(`[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion]`, `"SystemRoot"="\\\\server\\share"`, `"CurrentBuild"=dword:00000007`, `[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\wuauserv]`, `"Start"="four"`)},
	{
		"answers/leftovers.json": `{"services":[{"name":"clr_optimization_v4.0.30319_32","path":"C:\\x.exe"},{"name":"..\\x","path":""}],"profiles":[{"name":"S-1-5-21-1-2-3-1003","path":"C:\\Users\\x"}],"packages":["a~b~c~~1","\\"],"caches":[{"name":"Temporary Files","path":"C:\\Windows\\Temp","bytes":9999999999},{"name":"..","bytes":-1}],"temp":[{"path":"C:\\Windows\\Temp\\a.tmp"},{"path":"\\\\x\\y"},{"path":""}]}`,
		"leftovers.reg": export(
			`[HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\clr_optimization_v4.0.30319_32]`, `"Start"=dword:00000003`, ``,
			`[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Explorer\VolumeCaches]`, ``,
			`[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Explorer\VolumeCaches\Temporary Files]`, ``,
			`[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList]`, ``,
			`[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList\S-1-5-21-1-2-3-1003]`, `"ProfileImagePath"="C:\\Users\\x"`),
	},
	{"managed.reg": export(
		`[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate]`, `"WUServer"="http://wsus.fabrikam.example:8530"`, `"DisableWindowsUpdateAccess"=dword:00000001`, `"SetProxyBehaviorForUpdateDetection"=dword:00000000`,
		`[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU]`, `"UseWUServer"=dword:00000001`,
		`[HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\PolicyManager\current\device\Update]`, `"AllowAutoUpdate"=dword:00000000`,
		`[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\CurrentVersion\Internet Settings]`, `"ProxySettingsPerUser"=dword:00000000`,
	)},
}

// TestEveryRemedyOnAnyMachine: whatever is known, a fitter gives a plan that obeys
// the rules of plans, or a reason.
func TestEveryRemedyOnAnyMachine(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		files := map[string]string{}
		for i, piece := range evidencePieces {
			if rapid.Bool().Draw(r, strconv.Itoa(i)) {
				for name, text := range piece {
					files[name] = text
				}
			}
		}
		f := seenOn(t, files)
		d := cause.Diagnose(f)
		for _, x := range Catalogue() {
			got, why := Choice{Remedy: x, Causes: x.Cures}.fit(f, d, testRun)
			p := Plan{Schema: Schema, Run: testRun, Treatments: []Treatment{got}}
			if err := p.Check(); err != nil {
				r.Errorf("%s: %v", x.ID, err)
			}
			if why.ID == "" && len(got.Changes()) == 0 && len(got.Lead) == 0 && x.Risk != RiskNone {
				r.Errorf("%s does nothing and says nothing", x.ID)
			}
			for _, s := range got.Steps {
				if s.Restart && x.Restart == "no" {
					r.Errorf("%s asks for a restart and says that it needs none", x.ID)
				}
				if own := files["managed.reg"] != ""; own && why.ID == "" && ownedPlace(s.Change) {
					r.Errorf("%s writes %s, which somebody else owns", x.ID, s.Change.Path)
				}
			}
		}
		if err := New(f, d, Options{Run: testRun, MaxRisk: RiskPermanent}).Check(); err != nil {
			r.Error(err)
		}
	})
}

// ownedPlace says that a change is one of a policy or of a proxy.
func ownedPlace(c host.Change) bool {
	p := strings.ToLower(c.Path)
	return strings.Contains(p, `\policies\microsoft\windows\windowsupdate`) || strings.Contains(p, `\policymanager\`)
}

// TestAutomaticTreats: what the table calls automatic changes something by itself
// on a machine that it fits, or is done by trying again.
func TestAutomaticTreats(t *testing.T) {
	var rich []*facts.Facts
	for _, files := range []map[string]string{
		nil,
		evidencePieces[3], evidencePieces[5], evidencePieces[8],
		{"sc-qc.txt": starts("TrustedInstaller", "4   DISABLED")},
	} {
		rich = append(rich, seenOn(t, files))
	}
	named := seenOn(t, nil)
	named.Failures = []facts.Failure{{Update: facts.Update{ID: "AD27E52B-9E18-408A-9DF2-8688E5273FBF"}}}
	rich = append(rich, named)
	rich = append(rich, seenOn(t, map[string]string{"answers/leftovers.json": `{"temp":[{"path":"C:\\Windows\\Temp\\a.tmp","size":1,"modified":"2031-01-02T03:04:05Z"}]}`}))
	for _, family := range []map[string]fitter{fitAgent(), fitServices(), fitServicing(), fitState(), fitSystem()} {
		for id := range family {
			r, _ := Lookup(id)
			if Carried(r) != Automatic {
				continue
			}
			if r.Risk == RiskNone {
				// What looks is done, or was done with everything else; what only waits and
				// tries again has no steps.
				x, why := fitted(t, id, rich[0])
				if why.ID == "" && len(x.Lead) > 0 && x.How == Automatic {
					t.Errorf("%s is called automatic and leads a person", id)
				}
				continue
			}
			if !slices.ContainsFunc(rich, func(f *facts.Facts) bool {
				x, why := fitted(t, id, f)
				// Every run keeps the machine awake: that takes no step.
				return why.ID == "" && (len(x.Changes()) > 0 || id == "keep-awake-during-work") && x.How == Automatic
			}) {
				t.Errorf("%s is called automatic and does nothing by itself", id)
			}
		}
	}
}
