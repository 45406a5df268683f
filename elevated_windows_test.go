package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"updoc/internal/elevate"
	"updoc/internal/repair"
	"updoc/internal/ui"
	"updoc/internal/win"
)

// asStranger makes a copy of the test program ask the process with the rights for
// something, at the place that this names.
const asStranger = "UPDOC_TEST_STRANGER"

// stranger says what it was answered.
func stranger(name string) int {
	for range 500 { // until the pipe is there
		f, err := os.OpenFile(`\\.\pipe\updoc-`+name, os.O_RDWR, 0)
		if err != nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		defer f.Close()
		if _, err := io.WriteString(f, `{"do":"runs"}`+"\n"); err != nil {
			return 0
		}
		b := make([]byte, 4096)
		n, _ := f.Read(b)
		_, _ = os.Stdout.Write(b[:n])
		return 0
	}
	return 1
}

// TestLiveElevated: the page's process starts one with the rights, which it reaches and
// which does what it is asked; it ends with the one that started it.
func TestLiveElevated(t *testing.T) {
	underWine(t)
	t.Setenv(asUpdoc, "1") // which the new process inherits
	d := &elevate.Doctor{Start: rights.Elevate}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if _, err := d.Undo(ctx, "20310203-040506-none", func(repair.Event) {}); err == nil || errors.Is(err, ui.ErrNotAllowed) {
		t.Fatalf("a run that there is not: %v", err)
	}
	runs, err := d.Runs(ctx)
	if err != nil {
		t.Fatalf("the history: %v", err)
	}
	t.Logf("%d runs", len(runs))
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestLiveStranger: another program of the same user, which knows the place, is told
// nothing, and the process with the rights ends.
func TestLiveStranger(t *testing.T) {
	underWine(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "other.exe")
	if err := os.WriteFile(other, b, 0o700); err != nil {
		t.Fatal(err)
	}
	user, err := win.User()
	if err != nil {
		t.Fatal(err)
	}
	secret := make([]byte, 16)
	if _, err := rand.Read(secret); err != nil {
		t.Fatal(err)
	}
	name := hex.EncodeToString(secret)
	t.Setenv(asUpdoc, "1")
	p, err := win.Elevate(self, "elevated", name, user)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	cmd := exec.CommandContext(t.Context(), other)
	cmd.Env = append(os.Environ(), asStranger+"="+name, asUpdoc+"=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the other program did not reach the pipe: %v", err)
	}
	if s := strings.TrimSpace(string(out)); s != "" {
		t.Errorf("it was answered %q", s)
	}
	for range 500 {
		if p.Done() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the process with the rights is still there")
}
