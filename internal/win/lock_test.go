package win_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"updoc/internal/win"
)

const locking = "UPDOC_TEST_LOCK"

// A lock keeps others out, says who holds it, and ends with its process.
func TestLock(t *testing.T) {
	if p := os.Getenv(locking); p != "" { // the other process: takes the lock and ends without letting go
		if _, err := win.Lock(p); err != nil {
			fmt.Println(err)
			os.Exit(7)
		}
		os.Exit(0)
	}
	p := filepath.Join(t.TempDir(), "lock")
	other := func() (string, error) {
		cmd := exec.Command(os.Args[0], "-test.run", "TestLock")
		cmd.Env = append(os.Environ(), locking+"="+p)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	release, err := win.Lock(p)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := other(); err == nil || !strings.Contains(out, fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("another process: %v, %s", err, out)
	}
	if _, err := win.Lock(p); !errors.Is(err, win.ErrLocked) {
		t.Errorf("this process again: %v", err)
	}
	release()
	if out, err := other(); err != nil {
		t.Errorf("after it was let go: %v, %s", err, out)
	}
	release, err = win.Lock(p) // the other one ended with it
	if err != nil {
		t.Fatal(err)
	}
	release()
	if _, err := win.Lock(filepath.Join(p, "below a file")); err == nil || errors.Is(err, win.ErrLocked) {
		t.Errorf("a lock that cannot be: %v", err)
	}
}
