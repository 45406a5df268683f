//go:build unix

package win_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"updoc/internal/win"
)

func TestStateDir(t *testing.T) {
	base := t.TempDir()
	t.Setenv("XDG_STATE_HOME", base)
	want := filepath.Join(base, "updoc")
	for range 2 {
		if got, err := win.StateDir(); err != nil || got != want {
			t.Fatalf("%s, %v", got, err)
		}
	}
	if info, err := os.Stat(want); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.Chmod(want, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := win.StateDir(); !errors.Is(err, win.ErrForeign) {
		t.Errorf("one that everybody may write to: %v", err)
	}
	if err := errors.Join(os.Remove(want), os.Symlink(t.TempDir(), want)); err != nil {
		t.Fatal(err)
	}
	if _, err := win.StateDir(); !errors.Is(err, win.ErrForeign) {
		t.Errorf("a link: %v", err)
	}
}
