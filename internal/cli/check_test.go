package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"updoc/internal/host"
)

// The monthly check is turned on and off, looks, changes nothing, and tells.
func TestCheck(t *testing.T) {
	_, dir := sickPC(t, "treat-services-disabled")
	p := opened(t, dir)
	before := snapshot(t, p)
	p.Close()
	run := func(want int, says string, args ...string) {
		t.Helper()
		if code, out := atLab(t, append([]string{"check", "--lab", dir}, args...)...); code != want || !strings.Contains(out, says) {
			t.Errorf("check %v: exit %d, want %d with %q\n%s", args, code, want, says, out)
		}
	}
	run(ExitHealthy, "is off")
	run(ExitHealthy, "no check yet")
	run(ExitHealthy, "25th", "--monthly", "on")
	task, line := scheduled(t, dir, host.TaskCheck)
	if line != `C:\ProgramData\updoc\updoc.exe check --monthly now` || task.Monthly != 25 || task.AtStart || !task.At.IsZero() {
		t.Errorf("scheduled %q, %+v", line, task)
	}
	run(ExitHealthy, "", "--monthly", "on", "--walk")
	if _, line := scheduled(t, dir, host.TaskCheck); !strings.HasSuffix(line, " now --walk") {
		t.Errorf("scheduled %q", line)
	}
	run(ExitProblems, "", "--monthly", "now")
	run(ExitHealthy, "has a problem")
	if log := notes(t, dir); strings.Count(log, "8 warning The monthly check: Windows Update has a problem.") != 1 || !strings.Contains(log, "Likeliest: ") {
		t.Errorf("event log:\n%s", log)
	}
	b, err := os.ReadFile(filepath.Join(dir, "updoc", checkJSON))
	var last checked
	if err != nil || json.Unmarshal(b, &last) != nil || last.Document.Verdict != "problems" || last.Time.IsZero() {
		t.Errorf("%v\n%s", err, b)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "updoc", checkText)); err != nil || len(text) == 0 {
		t.Error(err)
	}

	// It is nobody's repair: an undo leaves it.
	if code, out := atLab(t, "undo", "--lab", dir); code != ExitHealthy {
		t.Errorf("exit %d\n%s", code, out)
	}
	run(ExitHealthy, "is on")
	run(ExitHealthy, "does not look any more", "--monthly", "off")
	run(ExitHealthy, "is off")
	if _, line := scheduled(t, dir, host.TaskCheck); line != "" {
		t.Errorf("scheduled %q", line)
	}
	if d := differ(before, snapshot(t, opened(t, dir))); len(d) > 0 {
		t.Errorf("changed: %v", d)
	}
	run(ExitUsage, "on, off or now", "--monthly", "daily")
}
