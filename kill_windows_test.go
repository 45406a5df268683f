package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// asUpdoc makes the test program behave as updoc, so that there is a process to kill.
const asUpdoc = "UPDOC_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asUpdoc) != "" {
		os.Exit(run())
	}
	if name := os.Getenv(asStranger); name != "" {
		os.Exit(stranger(name))
	}
	if code, ok := serve(context.Background(), os.Args[1:]); ok { // the helper service is a copy of this program
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func started(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), asUpdoc+"=1")
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// TestLiveKilled: updoc is ended in the middle of a reset, by the operating system
// and at any moment; undo, another process, brings everything back to the byte.
func TestLiveKilled(t *testing.T) {
	underWine(t)
	n := 4
	if os.Getenv("UPDOC_FULL") != "" {
		n = 20
	}
	windir := os.Getenv("SystemRoot")
	dirs := []string{filepath.Join(windir, "SoftwareDistribution"), filepath.Join(windir, "System32", "catroot2")}
	written := time.Date(2031, time.February, 3, 4, 5, 6, 0, time.UTC)
	for i, dir := range dirs {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		for j := range 20 {
			p := filepath.Join(dir, fmt.Sprint("folder", j%3), fmt.Sprint("file", j))
			err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, fmt.Append(nil, i, j), 0o644), os.Chtimes(p, written, written))
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	before := []map[string]string{tree(t, dirs[0]), tree(t, dirs[1])}

	r := rand.New(rand.NewPCG(4, 2))
	midway := 0
	for i := range n {
		cmd := started(t.Context(), "reset", "--yes", "--no-network")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		// Most of its time it looks; it is killed from the moment on at which the first
		// folder is gone, or at any.
		delay := time.Duration(r.IntN(80)) * time.Millisecond
		if i%4 == 3 {
			delay = time.Duration(r.IntN(2000)) * time.Millisecond
		} else {
			gone(t, dirs[0])
		}
		time.Sleep(delay)
		_ = cmd.Process.Kill() // it may be through
		<-ended
		if left, err := filepath.Glob(filepath.Join(windir, "SoftwareDistribution.updoc-*")); err == nil && len(left) > 0 {
			midway++
		}
		out, err := started(t.Context(), "undo").CombinedOutput()
		for j, dir := range dirs {
			if _, err := os.Stat(dir); err != nil {
				t.Fatalf("kill %d: %v; undo said\n%s", i+1, err, out)
			}
			same(t, fmt.Sprintf("kill %d, undo says %v", i+1, err), before[j], tree(t, dir))
		}
	}
	t.Logf("%d of %d kills found it at work", midway, n)
	if midway == 0 {
		t.Error("no kill found it at work: nothing was tested")
	}
}

// gone waits until a folder was renamed.
func gone(t *testing.T, dir string) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(dir); err != nil {
			return
		}
	}
	t.Fatalf("%s was not renamed", dir)
}
