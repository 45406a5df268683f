package win

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

func pipeName(t *testing.T) string {
	t.Helper()
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}

// The user's own process of the same program gets in and both sides talk; a pipe of
// the same name cannot be made by a second one, and a server that is not the process
// that was started is told before anything is said.
func TestPipe(t *testing.T) {
	user, err := User()
	if err != nil {
		t.Fatal(err)
	}
	name := pipeName(t)
	l, err := Listen(name, user)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if second, err := Listen(name, user); err == nil {
		_ = second.Close()
		t.Fatal("the pipe was made twice")
	}
	said := make(chan error, 1)
	go func() {
		c, err := l.Accept(t.Context(), user)
		if err == nil && (c.PID != windows.GetCurrentProcessId() || c.User != user) {
			err = errors.New("it is not known who called")
		}
		b := make([]byte, 5)
		if err == nil {
			_, err = io.ReadFull(l, b)
		}
		if err == nil {
			_, err = l.Write(b)
		}
		said <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := Dial(ctx, name, windows.GetCurrentProcessId())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	heard := make(chan error, 1)
	go func() { // while it is being written to
		b := make([]byte, 5)
		if _, err := io.ReadFull(conn, b); err != nil || string(b) != "hello" {
			heard <- fmt.Errorf("heard %q, %w", b, err)
		}
		close(heard)
	}()
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-said, <-heard); err != nil {
		t.Fatal(err)
	}
	if _, err := l.caller("S-1-5-21-9-9-9-1001"); !errors.Is(err, ErrStranger) {
		t.Errorf("another user's process was let in: %v", err)
	}
}

// A server that is not the process that was started is told apart before anything is
// said to it, and waiting for somebody who does not come ends.
func TestPipeStrangers(t *testing.T) {
	user, err := User()
	if err != nil {
		t.Fatal(err)
	}
	name := pipeName(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, name, 4); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a pipe that is not there: %v", err)
	}
	l, err := Listen(name, user)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := l.Accept(ctx, user); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody came: %v", err)
	}
	if c, err := Dial(t.Context(), name, windows.GetCurrentProcessId()+4); !errors.Is(err, ErrStranger) {
		if err == nil {
			_ = c.Close()
		}
		t.Errorf("a server that was not started was taken for the one that was: %v", err)
	}
}

// Nobody can put another program in the place of one that is pinned.
func TestPin(t *testing.T) {
	pin, err := Pin()
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(exe, exe+".aside"); err == nil {
		_ = os.Rename(exe+".aside", exe) // so that the rest can run
		t.Error("the program was renamed while it was pinned")
	}
	if f, err := os.OpenFile(exe, os.O_WRONLY, 0); err == nil {
		_ = f.Close()
		t.Error("the program could be written to while it was pinned")
	}
	if err := pin.Close(); err != nil {
		t.Error(err)
	}
}

func TestElevateRefusesQuoting(t *testing.T) {
	for _, arg := range []string{"", "two words", `a"b`, `c:\x`, "line\nbreak", "ü"} {
		if p, err := Elevate(`C:\nowhere\updoc.exe`, arg); err == nil {
			_ = p.Close()
			t.Errorf("%q was passed on", arg)
		}
	}
}
