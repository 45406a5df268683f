package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"updoc/internal/durable"
	"updoc/internal/host"
	"updoc/internal/repair"
	"updoc/internal/winlog"
)

// atLab runs a command line and returns its exit code and what it said.
func atLab(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	var buf bytes.Buffer
	code = Run(t.Context(), Env{
		Stdin: strings.NewReader(""), Stdout: &buf, Stderr: &buf, GOOS: "linux", Version: "test",
		Getenv: func(string) string { return "" },
	}, args)
	return code, buf.String()
}

// begun is a sick machine on which a run of these treatments was begun.
func begun(t *testing.T, run string, treatments ...repair.Treatment) (dir string) {
	t.Helper()
	_, dir = sickPC(t, "treat-services-disabled")
	begin(t, dir, run, treatments...)
	return dir
}

func begin(t *testing.T, dir, run string, treatments ...repair.Treatment) {
	t.Helper()
	p := opened(t, dir)
	plan := &repair.Plan{Schema: repair.Schema, Run: run, Causes: []string{}, Treatments: treatments}
	plan.Failure.Stage = "scan"
	if _, err := repair.CreateJournal(durable.OS{}, filepath.Join(dir, "updoc", run), plan, p.Now()); err != nil {
		t.Fatal(err)
	}
	p.Close()
}

// scheduled says what the machine starts by itself: "" if nothing.
func scheduled(t *testing.T, dir, name string) (host.Task, string) {
	t.Helper()
	p := opened(t, dir)
	defer p.Close()
	task, err := p.Scheduled(t.Context(), name)
	if errors.Is(err, host.ErrNotExist) {
		return task, ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return task, task.Program + " " + strings.Join(task.Args, " ")
}

func notes(t *testing.T, dir string) string {
	t.Helper()
	p := opened(t, dir)
	defer p.Close()
	list, err := p.Notes()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, n := range list {
		fmt.Fprintf(&b, "%d %s %s\n", n.ID, n.Level, n.Text)
	}
	return b.String()
}

const resumes = `C:\ProgramData\updoc\updoc.exe resume --at-start --user S-1-5-21-1111111111-2222222222-3333333333-1001`

var restarts = repair.Treatment{ID: "restart-machine", Risk: repair.RiskRestart, How: repair.Automatic, Restart: "yes"}

// A run that waits for a restart is gone on with by the machine itself, and the task
// that did it is gone then.
func TestResumesByItself(t *testing.T) {
	dir := begun(t, "r1", restarts)
	if code, out := atLab(t, "resume", "--lab", dir); code != ExitRestart {
		t.Fatalf("exit %d\n%s", code, out)
	}
	task, line := scheduled(t, dir, host.TaskResume)
	if line != resumes || !task.AtStart || !task.At.IsZero() || task.About == "" {
		t.Errorf("scheduled %q, %+v", line, task)
	}
	// Started before the restart it changes nothing.
	if code, out := atLab(t, "resume", "--lab", dir, "--at-start"); code != ExitRestart {
		t.Fatalf("exit %d\n%s", code, out)
	}
	p := opened(t, dir)
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if code, out := atLab(t, append([]string{"resume", "--lab", dir}, task.Args[1:]...)...); code != ExitProblems || !strings.Contains(out, "Not cured") {
		t.Fatalf("exit %d\n%s", code, out)
	}
	if _, line := scheduled(t, dir, host.TaskResume); line != "" {
		t.Errorf("still scheduled: %s", line)
	}
	log := notes(t, dir)
	for _, want := range []string{"1 information updoc goes on with run r1.", "4 information updoc, run r1, ", "5 warning updoc, run r1: Not cured."} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in the event log:\n%s", want, log)
		}
	}
	if p := opened(t, dir); p.KeptAwake() {
		t.Error("it is kept awake")
	}
}

// An experiment is ended by the machine itself when its time is over, if the process
// that made it was killed.
func TestExperimentEndsByItself(t *testing.T) {
	const key = `HKCU\Software\Fabrikam`
	tr := repair.Treatment{ID: "test-without-ipv6", Risk: repair.RiskReversible, How: repair.Automatic, Steps: []repair.Step{
		{Change: host.Set(key, "A", winlog.RegValue{Type: winlog.RegDWord, Data: []byte{1, 0, 0, 0}}), Lease: 10},
	}}
	dir := begun(t, "r1", tr)
	p := opened(t, dir)
	state := filepath.Join(dir, "updoc")
	j, err := repair.OpenJournal(durable.OS{}, filepath.Join(state, "r1"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	r := (&treating{format: "text"}).runner(&Env{Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }}, p, state, j)
	r.Agent = killer{}
	ended := p.Now().Add(10 * time.Minute)
	func() {
		defer func() {
			if x := recover(); x != any(errPower) {
				t.Fatal(x)
			}
		}()
		_, _ = r.Run(t.Context())
	}()
	p.World().Advance(11 * time.Minute)
	task, line := scheduled(t, dir, host.TaskResume)
	if line != resumes || task.At.Before(ended.Add(-time.Minute)) || task.At.After(ended.Add(time.Minute)) {
		t.Fatalf("scheduled %q at %v, want %v", line, task.At, ended)
	}
	if err := p.Restart(); err != nil { // which also writes down what time it is
		t.Fatal(err)
	}
	p.Close()

	// Another account, and the user is not signed in: it waits.
	if code, out := atLab(t, "resume", "--lab", dir, "--at-start", "--user", "S-1-5-21-1-2-3-1002"); code != ExitHealthy || !strings.Contains(out, "signed in") {
		t.Fatalf("exit %d\n%s", code, out)
	}
	if _, line := scheduled(t, dir, host.TaskResume); !strings.HasSuffix(line, "-1002") {
		t.Errorf("scheduled %q", line)
	}
	if code, out := atLab(t, append([]string{"resume", "--lab", dir}, task.Args[1:]...)...); code == ExitUsage || !strings.Contains(out, "taken back") {
		t.Fatalf("exit %d\n%s", code, out)
	}
	p = opened(t, dir)
	if _, err := p.Key(t.Context(), key); !errors.Is(err, host.ErrNotExist) {
		t.Errorf("it stands: %v", err)
	}
	p.Close()
	if _, line := scheduled(t, dir, host.TaskResume); line != "" {
		t.Errorf("still scheduled: %s", line)
	}
}

type killer struct{}

func (killer) Try(context.Context, host.Attempt) (host.Outcome, error) { panic(errPower) }

// What needs a person waits for one, and the machine does not start it again and again.
func TestWaitsForPerson(t *testing.T) {
	guided := repair.Treatment{ID: "sync-clock", Risk: repair.RiskReversible, How: repair.Guided}
	dir := begun(t, "r1", restarts, guided)
	if code, out := atLab(t, "resume", "--lab", dir); code != ExitRestart {
		t.Fatalf("exit %d\n%s", code, out)
	}
	p := opened(t, dir)
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if code, out := atLab(t, "resume", "--lab", dir, "--at-start"); code != ExitBroken || !strings.Contains(out, "updoc resume") {
		t.Fatalf("exit %d\n%s", code, out)
	}
	if _, line := scheduled(t, dir, host.TaskResume); line != "" {
		t.Errorf("still scheduled: %s", line)
	}
	if log := notes(t, dir); !strings.Contains(log, "waits for a person") {
		t.Errorf("event log:\n%s", log)
	}
	if code, out := atLab(t, "history", "--lab", dir); code != ExitHealthy || !strings.Contains(out, "unfinished") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// Two runs wait, one task serves both; taking one back leaves the other its task.
func TestOneTaskForAllRuns(t *testing.T) {
	dir := begun(t, "r1", restarts)
	begin(t, dir, "r2", restarts)
	for range 2 {
		if code, out := atLab(t, "resume", "--lab", dir); code != ExitRestart {
			t.Fatalf("exit %d\n%s", code, out)
		}
		if code, out := atLab(t, "undo", "--lab", dir, "r1"); code != ExitHealthy {
			t.Fatalf("exit %d\n%s", code, out)
		}
	}
	if code, out := atLab(t, "undo", "--lab", dir, "r2"); code != ExitHealthy {
		t.Fatalf("exit %d\n%s", code, out)
	}
	if _, line := scheduled(t, dir, host.TaskResume); line != "" {
		t.Errorf("still scheduled: %s", line)
	}
}

// The copy that LocalSystem runs is the program to the byte, whatever lay there.
func TestInstall(t *testing.T) {
	state, src := t.TempDir(), filepath.Join(t.TempDir(), "updoc.exe")
	program := bytes.Repeat([]byte("MZ\x90\x00"), 10_000)
	if err := os.WriteFile(src, program, 0o600); err != nil {
		t.Fatal(err)
	}
	to, err := install(durable.OS{}, src, state)
	if err != nil || filepath.Dir(to) != state {
		t.Fatal(to, err)
	}
	for _, lies := range [][]byte{program, nil, program[:100], []byte("something else")} {
		if err := os.WriteFile(to, lies, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := install(durable.OS{}, src, state)
		if err != nil || again != to {
			t.Fatal(again, err)
		}
		if b, err := os.ReadFile(to); err != nil || sha256.Sum256(b) != sha256.Sum256(program) {
			t.Errorf("over %d bytes: %d bytes, %v", len(lies), len(b), err)
		}
	}
	if _, err := install(durable.OS{}, src+"x", state); err == nil {
		t.Error("copied what is not there")
	}
	other := filepath.Join(state, "updoc-of-somebody-else.exe")
	if err := os.WriteFile(other, program, 0o600); err != nil {
		t.Fatal(err)
	}
	_, dir := sickPC(t, "treat-services-disabled")
	a := attendance{p: opened(t, dir), state: state}
	a.tidy(t.Context())
	if left, _ := filepath.Glob(filepath.Join(state, "*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// A copy that could not be deleted while it ran goes when the machine is opened next;
// one that somebody has just made stays.
func TestLeftCopies(t *testing.T) {
	_, dir := sickPC(t, "treat-services-disabled")
	state := filepath.Join(dir, "updoc")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{"updoc-0011223344556677.exe": time.Hour, "updoc-8899aabbccddeeff.exe": 0, "updoc.lock": time.Hour} {
		p, at := filepath.Join(state, name), time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(p, []byte("MZ"), 0o600), os.Chtimes(p, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	if code, out := atLab(t, "history", "--lab", dir); code != ExitHealthy {
		t.Fatalf("exit %d\n%s", code, out)
	}
	left, err := filepath.Glob(filepath.Join(state, "updoc*"))
	if want := []string{filepath.Join(state, "updoc-8899aabbccddeeff.exe"), filepath.Join(state, "updoc.lock")}; err != nil || !slices.Equal(left, want) {
		t.Errorf("left %v, %v, want %v", left, err, want)
	}
}
