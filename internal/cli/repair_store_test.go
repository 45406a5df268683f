package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/durable"
	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/repair"
	"updoc/internal/store"
)

// storeRun runs repair-store, and returns what its JSON tells.
func storeRun(t *testing.T, args ...string) (code int, told []map[string]json.RawMessage, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, GOOS: "linux", Version: "test", Getenv: func(string) string { return "" },
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
	code = Run(t.Context(), env, append([]string{"repair-store", "--format", "json"}, args...))
	for line := range strings.Lines(out.String()) {
		var v map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		told = append(told, v)
	}
	return code, told, errs.String()
}

// storeStory is the story of a run by its journal, as ids without their beginning, and
// the result.
func storeStory(t *testing.T, dir string, told []map[string]json.RawMessage) (story, result string) {
	t.Helper()
	for _, v := range told {
		if string(v["kind"]) != `"result"` {
			continue
		}
		var run string
		if err := errors.Join(json.Unmarshal(v["run"], &run), json.Unmarshal(v["result"], &result)); err != nil {
			t.Fatal(err)
		}
		j, err := repair.OpenJournal(durable.OS{}, filepath.Join(dir, "updoc", run))
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, p := range j.Story() {
			for _, l := range p.Lines {
				if id, ok := strings.CutPrefix(l.ID, "store."); ok {
					ids = append(ids, id)
				}
			}
		}
		story = strings.Join(ids, ",")
	}
	return story, result
}

// TestRepairStore: every machine with a damaged store ends with the right source and
// the right story, the update goes in after it, and a second look finds it whole.
func TestRepairStore(t *testing.T) {
	const torn, owner = "fault.payload", "fault.owner"
	type run struct {
		args   []string
		code   int
		result string
		story  string
	}
	medium := []string{"--source", `D:\`}
	tests := map[string][]run{
		"components-update": {{nil, 0, "cured", torn + ",told.repaired.update,told.files-repaired,end.sound"}},
		"components-policy-medium": {
			{nil, ExitProblems, "", ""}, // no source: nothing is begun
			{[]string{"--source", `D:\sources\install.wim:1`}, ExitProblems, "", ""},
			{medium, 0, "cured", torn + ",told.repaired.image,told.files-fine,end.sound"},
		},
		"components-disc-file": {
			{[]string{"--source", `C:\Media\home.iso`}, ExitProblems, "", ""}, // another edition, another build: nothing is begun
			{[]string{"--source", `C:\Media\later.iso`}, ExitProblems, "", ""},
			{[]string{"--source", `C:\Media\windows.iso:1`}, ExitProblems, "", ""},
			{[]string{"--source", `C:\Media\windows.iso`}, 0, "cured", torn + ",told.repaired.image,told.files-fine,end.sound"},
		},
		"components-wsus-place": {{nil, 0, "cured", torn + ",told.repaired.policy,told.files-fine,end.sound"}},
		"components-healthy-machine": {
			{medium, ExitProblems, "not-cured", torn + ",told.failed.update,told.failed.image,code.0x800F081F,told.files-left-out,end.unrepaired"},
			{[]string{"--source", `E:\Windows`}, 0, "cured", torn + ",told.failed.update,told.repaired.folder,told.files-fine,end.sound"},
		},
		"components-package-missing": {
			{append([]string{"--no-network"}, medium...), ExitProblems, "not-cured", "fault.package,fault.update,told.failed.update,told.failed.image,code.0x800F081F,told.files-left-out,end.unrepaired"},
			{nil, 0, "cured", "fault.package,fault.update,told.failed.update,told.repaired.package,told.files-fine,end.sound"},
		},
		"components-half-installed": {
			{[]string{"--no-network"}, ExitProblems, "not-cured", "told.nothing-found,told.half,told.files-fine,end.half-left"},
			{nil, 0, "cured", "told.nothing-found,told.half,told.repaired.package,told.files-fine,end.sound"},
		},
		"components-unrepairable": {{medium, ExitProblems, "not-cured", torn + ",told.failed.update,told.failed.image,code.0x800F081F,told.files-left-out,end.unrepaired"}},
	}
	var names []string
	for name := range tests {
		names = append(names, name)
	}
	slices.Sort(names)
	if diff := cmp.Diff(lab.StoreNames(), names); diff != "" {
		t.Errorf("scenarios: %s", diff)
	}
	for name, runs := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, dir := sickPC(t, name)
			p := opened(t, dir)
			before, keeps := snapshot(t, p), kept(t, p, s.Cure.Keeps)
			if code, _, _ := storeRun(t, "--lab", dir, "--check"); code == 0 {
				t.Error("a look finds nothing")
			}
			if diff := differ(before, snapshot(t, opened(t, dir))); len(diff) > 0 {
				t.Errorf("a look changed %s", diff)
			}
			cured := false
			for _, r := range runs {
				code, told, stderr := storeRun(t, append([]string{"--lab", dir, "--yes"}, r.args...)...)
				story, result := storeStory(t, dir, told)
				story = strings.ReplaceAll(strings.ReplaceAll(story, owner+"-update,", ""), owner+",", "")
				if diff := cmp.Diff(r, run{r.args, code, result, story}, cmp.AllowUnexported(run{})); diff != "" {
					t.Errorf("%v: %s\n%s", r.args, diff, stderr)
				}
				cured = code == 0
			}
			p = opened(t, dir)
			if now := kept(t, p, s.Cure.Keeps); now != keeps {
				t.Errorf("what others decide about was\n%s, is\n%s", keeps, now)
			}
			out, err := p.Try(t.Context(), host.Attempt{Stage: "install"})
			if faulty := name == "components-half-installed"; err != nil || (out.Result == 0) != (cured && !faulty) {
				t.Errorf("the install ends with %v, %v", out.Result, err)
			}
			if cured {
				if code, _, _ := storeRun(t, "--lab", dir, "--check"); code != 0 {
					t.Errorf("a look at the repaired store ends with %d", code)
				}
			}
		})
	}
}

// TestRepairStoreRecorded: another machine's log tells what is damaged, and nothing runs.
func TestRepairStoreRecorded(t *testing.T) {
	name := filepath.Join(t.TempDir(), "CBS.log")
	const line = "2031-02-03 04:05:06, Info                  CBS    "
	log := line + "Checking System Update Readiness.\r\n" + line + "(p)\tCBS MUM Missing\t(n)\t\t\tPackage_for_KB5099001~31bf3856ad364e35~amd64~~22631.1.1.0\r\n" +
		line + "Operation: Detect only \r\n" + line + "Total Detected Corruption:\t1\r\n" + line + "Total Operation Time: 9 seconds.\r\n"
	if err := os.WriteFile(name, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	code, told, stderr := storeRun(t, "--check", "--from", name)
	var a store.Assessment
	if code != ExitProblems || len(told) != 1 || json.Unmarshal(told[0]["assessment"], &a) != nil || a.State != store.Damaged || !slices.Equal(a.KBs(), []string{"KB5099001"}) {
		t.Errorf("%d, %v\n%s", code, told, stderr)
	}
	var out, errs bytes.Buffer
	env := Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, GOOS: "linux", Version: "test", Getenv: func(string) string { return "" }}
	if code := Run(t.Context(), env, []string{"repair-store", "--check", "--from", name}); code != ExitProblems {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	for _, want := range []string{"The component store is damaged.", "Package_for_KB5099001~31bf3856ad364e35~amd64~~22631.1.1.0 is damaged or missing.", "It came with KB5099001.", "CBS.log:1", "1. Windows Update"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
	if err := os.WriteFile(name, []byte(line+"Session: 1_1 initialized by client Fabrikam.\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := storeRun(t, "--from", name); code != ExitUnknown {
		t.Errorf("a log that tells nothing ends with %d", code)
	}
}

func TestRepairStoreUsage(t *testing.T) {
	_, dir := sickPC(t, "components-update")
	for name, tt := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no such source":  {[]string{"--lab", dir, "--source", `D:\gone.wim`}, ExitUsage, "there is no"},
		"no such disc":    {[]string{"--lab", dir, "--source", `C:\gone.iso`}, ExitUsage, "there is no"},
		"no image":        {[]string{"--lab", dir, "--source", `C:\Windows\System32\cryptsvc.dll`}, ExitUsage, "install.wim"},
		"no such package": {[]string{"--lab", dir, "--source", "gone.msu"}, ExitUsage, "updoc catalog download"},
		"no such machine": {[]string{"--lab", filepath.Join(dir, "gone")}, ExitUsage, "no simulated machine"},
		"nobody agrees":   {[]string{"--lab", dir}, ExitUsage, "--yes"},
		"no such log":     {[]string{"--from", filepath.Join(dir, "gone")}, ExitUsage, "--from"},
	} {
		code, _, stderr := storeRun(t, tt.args...)
		if code != tt.code || !strings.Contains(stderr, tt.says) || !strings.Contains(stderr, "updoc: hint:") {
			t.Errorf("%s: %d\n%s", name, code, stderr)
		}
	}
}

// TestLongStages: every stage that a host tells has words.
func TestLongStages(t *testing.T) {
	for _, s := range []string{"store-packages", "store-components", "store-search", "store-download", "store-report", "files-verify", "files-repair", "still"} {
		if id := "store.stage." + s; words(id) == id {
			t.Errorf("no words for %s", id)
		}
	}
	(&bar{}).long(host.Work{What: "dism", Percent: 20, Stage: "store-components", Still: 12 * time.Minute}) // without a terminal nothing is shown
}
