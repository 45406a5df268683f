package facts

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"updoc/internal/host"
)

func TestSetupRuleTable(t *testing.T) {
	table := setupRules()
	if table.err != nil {
		t.Fatal(table.err)
	}
	guids := map[string]string{}
	for _, r := range table.rules {
		if len(r.GUID) != 36 || strings.Trim(r.GUID, "0123456789ABCDEF-") != "" {
			t.Errorf("%s: number %q", r.Name, r.GUID)
		}
		// Microsoft's page gives two of its rules one number.
		if other, ok := guids[r.GUID]; ok && r.Name != "DriverPackageMissingFileFailure" {
			t.Errorf("%s and %s have one number", r.Name, other)
		}
		guids[r.GUID] = r.Name
		if r.Rank < 1 || r.Rank > 9 || r.Means == "" {
			t.Errorf("%s: rank %d, means %q", r.Name, r.Rank, r.Means)
		}
		if (r.Cause == "") != (r.Weight == "") {
			t.Errorf("%s: cause %q with weight %q", r.Name, r.Cause, r.Weight)
		}
		if r.Remedy == "" && r.Fails() {
			t.Errorf("%s: no next step", r.Name)
		}
	}
}

// setupLog puts around lines what setup writes whatever happens.
func setupLog(t *testing.T, name, text string) (file, log string) {
	t.Helper()
	kind, lines, _ := strings.Cut(text, "\n")
	if kind == "diag" {
		i := slices.IndexFunc(SetupRules(), func(r SetupRule) bool { return r.Name == name })
		return "SetupDiagResults.log", "SetupDiag v1.7.0.0\r\n\r\nSetupDiag: processing rule: CompatScanOnly.\r\n...No match.\r\n\r\nMatching Profile found: " + name + " - " + SetupRules()[i].GUID + "\r\nSystem Information:\r\n\tMachine Name = HAZEL\r\n"
	}
	const begin = "Info MOUPG **************** SetupHost Logging Begin ****************\n" +
		"Info MOUPG SetupHost::Initialize: CmdLine = [/Install /Media \"/auto\" \"upgrade\" \"/quiet\" \"/showoobe\" \"none\" /MediaPath \"D:\\\"]\n"
	const works = "Info SP OPERATIONTRACK ExecuteOperations: Start execution phase Downlevel\nInfo SP Executing operation: Migrate framework (Full)\n"
	const restarted = "Info SP ExecuteOperations: Successfully processed execution phase Downlevel\nInfo SP OPERATIONTRACK ExecuteOperations: Start execution phase Safe OS\n"
	gives := func(code, extend string) string {
		return "Info MOUPG SetupHost: Reporting error event -> [" + code + ", " + extend + "]\n" +
			"Error MOUPG CSetupManager::Execute(295): Result = " + code + "\nError MOUPG CSetupHost::Execute(433): Result = " + code + "\n" +
			"Info MOUPG **************** SetupHost Logging End ****************\n"
	}
	const gaveUp = "Error SP Operation failed: Migrate framework (Full). Error: 0x8007042B[gle=0x000000b7]\n" +
		"Error SP Operation execution failed: 13. hr = 0x8007042B[gle=0x000000b7]\n" +
		"Error SP CSetupPlatformPrivate::Execute: Execution of operations queue failed, abandoning. Error: 0x8007042B[gle=0x000000b7]\n"
	switch kind {
	case "block":
		lines = begin + lines + gives("0xC1900208", "0x50000")
	case "down":
		lines = begin + works + lines + gaveUp + gives("0x8007042B", "0x5000D")
	case "later":
		lines = begin + works + restarted + lines + gaveUp + "Info SP Rollback: Showing splash window with restoring text: Restoring your previous version of Windows.\n"
	case "whole":
	default:
		t.Fatalf("%s: no such beginning: %q", name, kind)
	}
	var b strings.Builder
	at := time.Date(2031, 3, 4, 10, 0, 0, 0, time.UTC)
	for line := range strings.Lines(lines) {
		level, rest, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
		component, said, _ := strings.Cut(rest, " ")
		fmt.Fprintf(&b, "%s, %-22s%-7s%s\r\n", at.Format(time.DateTime), level, component, said)
		at = at.Add(7 * time.Second)
	}
	return "setupact.log", b.String()
}

// TestSetupRules: each way to fail is told by its own log, and no other's is.
func TestSetupRules(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/setup-rules.txtar")
	if err != nil {
		t.Fatal(err)
	}
	logs := map[string]string{}
	for _, f := range archive.Files {
		logs[f.Name] = string(f.Data)
	}
	for _, r := range SetupRules() {
		t.Run(r.Name, func(t *testing.T) {
			text, ok := logs[r.Name]
			if !ok {
				t.Fatal("no log shows it")
			}
			delete(logs, r.Name)
			name, log := setupLog(t, r.Name, text)
			f := machine(t, map[string]string{name: log})
			var got []string
			for _, x := range f.SetupFindings() {
				got = append(got, x.Name)
				if len(x.Seen) == 0 || x.Seen[0].Text == "" {
					t.Errorf("%s: without its line", x.Name)
				}
			}
			if !slices.Equal(got, []string{r.Name}) {
				t.Errorf("told %v\n%s", got, log)
			}
		})
	}
	for name := range logs {
		t.Errorf("%s is in no table", name)
	}
}

// TestSetupRulesNamed: a result of Microsoft's tool is told by the name that it gives,
// in each of its forms.
func TestSetupRulesNamed(t *testing.T) {
	for _, r := range SetupRules() {
		for name, text := range map[string]string{
			"SetupDiagResults.log":  "Matching Profile found: " + r.Name + " - " + r.GUID + "\r\nSystem Information:\r\n",
			"SetupDiagResults.xml":  `<?xml version="1.0" encoding="utf-8"?><SetupDiag><Version>1.7.0.0</Version><ProfileName>` + r.Name + `</ProfileName><ProfileGuid>` + r.GUID + `</ProfileGuid></SetupDiag>`,
			"SetupDiagResults.json": `{"Version":"1.7.0.0","ProfileName":"` + r.Name + `","ProfileGuid":"` + r.GUID + `"}`,
		} {
			found := machine(t, map[string]string{name: text}).SetupFindings()
			if len(found) != 1 || found[0].Name != r.Name {
				t.Errorf("%s, %s: told %+v", name, r.Name, found)
			}
		}
	}
}

// TestSetupSucceededLater: what failed before counts nothing once an upgrade went well,
// and again once one failed after it.
func TestSetupSucceededLater(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/setup-rules.txtar")
	if err != nil {
		t.Fatal(err)
	}
	log := func(name, year string) string {
		i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == name })
		_, text := setupLog(t, name, string(archive.Files[i].Data))
		return strings.ReplaceAll(text, "2031-", year+"-")
	}
	const failed, worked = "HardblockMismatchedLanguage", setupWorked
	for _, tt := range []struct {
		logs []string
		want string
	}{
		{[]string{log(failed, "2031"), log(worked, "2032")}, worked},
		{[]string{log(worked, "2031"), log(failed, "2032")}, failed},
	} {
		files := map[string]string{}
		for i, text := range tt.logs {
			files[fmt.Sprintf("%d/setupact.log", i)] = text
		}
		found := machine(t, files).SetupFindings()
		if len(found) != 1 || found[0].Name != tt.want {
			t.Errorf("told %+v, want %s", found, tt.want)
		}
	}
}

// TestSetupRulesOnRealLogs: what other people's machines wrote is told right.
func TestSetupRulesOnRealLogs(t *testing.T) {
	const logs = "../../../shared/logs/"
	for name, want := range map[string][]string{
		"rickaK77-setupact.log":  {"FindSetupHostReportedFailure"}, // gave up with 0x80070032 after WMI did not answer
		"bitbtrust-setupact.log": nil,                              // a clean installation, which went well
		"bitbtrust-setuperr.log": nil,
	} {
		if _, err := os.Stat(logs + name); err != nil {
			t.Skipf("real logs are not here: %v", err)
		}
		rec, err := host.OpenRecorded(context.Background(), logs+name)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range Collect(context.Background(), rec, Options{}).SetupFindings() {
			got = append(got, x.Name)
		}
		if err := rec.Close(); err != nil {
			t.Error(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: told %v, want %v", name, got, want)
		}
	}
}

// TestSetupRulesInDocs: the page lists every rule with its cause and its next step.
func TestSetupRulesInDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/upgrade.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range SetupRules() {
		quoted := func(s string) string {
			if s != "" {
				s = "`" + s + "`"
			}
			return s
		}
		i := strings.Index(string(page), "\n| "+r.Name+" | "+r.Means+" |")
		if i < 0 {
			t.Errorf("%s is not in docs/upgrade.md, or means something else there", r.Name)
			continue
		}
		row, _, _ := strings.Cut(string(page)[i+1:], "\n")
		if want := "| " + quoted(r.Cause) + " | " + quoted(r.Remedy) + " |"; !strings.HasSuffix(row, want) {
			t.Errorf("%s ends in %q, want %q", r.Name, row, want)
		}
	}
}
