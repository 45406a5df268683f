package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What updoc.exe may weigh, and what looking at a machine without the network may cost.
const (
	maxExe      = 30 << 20
	maxStart    = 50 * time.Millisecond // of processor time, beyond a Go program that does nothing
	maxDiagnose = 3 * time.Second
	maxResident = 80 << 20 // under Wine: with the whole program, which it reads and does not map, and its own libraries
)

// TestFootprint builds the program as it is handed out, and holds its size, what a start
// of it costs, and what a live diagnosis takes. Of several runs the best one counts: the
// others tell of the machine that they ran on.
func TestFootprint(t *testing.T) {
	if os.Getenv("UPDOC_FULL") == "" {
		t.Skip("./test full runs it (UPDOC_FULL=1): it builds the program three times and starts Wine")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	exe := release(ctx, t, "windows", filepath.Join(dir, "updoc.exe"))
	info, err := os.Stat(exe)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("updoc.exe: %.1f MB", float64(info.Size())/(1<<20))
	if info.Size() > maxExe {
		t.Errorf("updoc.exe has %d bytes, want at most %d", info.Size(), maxExe)
	}

	nothing := filepath.Join(dir, "nothing.go")
	if err := os.WriteFile(nothing, []byte("package main\n\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const rounds = 10
	empty := best(ctx, t, rounds, plain(ctx, t, filepath.Join(dir, "nothing"), nothing))
	start := best(ctx, t, rounds, release(ctx, t, runtime.GOOS, filepath.Join(dir, "updoc")), "--version")
	t.Logf("a start: %v of processor time, %v beyond a program that does nothing", start.cpu, start.cpu-empty.cpu)
	if beyond := start.cpu - empty.cpu; beyond > maxStart {
		t.Errorf("a start takes %v of processor time beyond a program that does nothing, want at most %v", beyond, maxStart)
	}

	wine, ok := findWine()
	if !ok {
		t.Log("NOT RUN: a live diagnosis: Wine is not installed")
		return
	}
	b, err := newBed(ctx, wine)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	live := bestIn(ctx, t, b.env, 5, wine.loader, exe, "diagnose", "--no-network", "--format", "json")
	bare := bestIn(ctx, t, b.env, 2, wine.loader, exe, "--version")
	t.Logf("a live diagnosis under Wine: %v, %.1f MB; of these %.1f MB for a start", live.took.Round(10*time.Millisecond), float64(live.resident)/(1<<20), float64(bare.resident)/(1<<20))
	if live.took > maxDiagnose || live.resident > maxResident {
		t.Errorf("want at most %v and %d bytes", maxDiagnose, maxResident)
	}
	var doc struct{ Schema, Verdict string }
	if err := json.Unmarshal(live.out, &doc); err != nil || doc.Schema != "updoc.diagnosis/1" {
		t.Errorf("it wrote no diagnosis: %v: %.300s", err, live.out)
	}
}

// release builds updoc as releases are built.
func release(ctx context.Context, t *testing.T, goos, to string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, "docs/bench/build.sh", to)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build.sh: %v\n%s", err, out)
	}
	return to
}

// plain builds a file.
func plain(ctx context.Context, t *testing.T, to, file string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", to, file)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return to
}

// cost is what a process took.
type cost struct {
	took, cpu time.Duration
	resident  int64 // bytes, at most at once
	out       []byte
}

func best(ctx context.Context, t *testing.T, rounds int, name string, args ...string) cost {
	t.Helper()
	return bestIn(ctx, t, os.Environ(), rounds, name, args...)
}

// bestIn runs a program several times, and takes the least of each figure.
func bestIn(ctx context.Context, t *testing.T, env []string, rounds int, name string, args ...string) cost {
	t.Helper()
	var all []cost
	for range rounds {
		var out bytes.Buffer
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Env, cmd.Stdout, cmd.WaitDelay = env, &out, 2*time.Second
		began := time.Now()
		err := cmd.Run()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() < 0 || cmd.ProcessState.ExitCode() > 3 {
			t.Fatalf("%s %s: %v", filepath.Base(name), strings.Join(args, " "), err)
		}
		usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			t.Skip("this system does not say what a process took")
		}
		all = append(all, cost{time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), int64(usage.Maxrss) << 10, out.Bytes()})
	}
	least := all[0]
	for _, c := range all {
		least.took, least.cpu, least.resident = min(least.took, c.took), min(least.cpu, c.cpu), min(least.resident, c.resident)
	}
	least.out = slices.MaxFunc(all, func(a, b cost) int { return len(a.out) - len(b.out) }).out
	return least
}
