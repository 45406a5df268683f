package win

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/windows"
)

func TestCheckState(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "updoc")
	if err := CheckState(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing is there: %v", err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CheckState(dir); !errors.Is(err, ErrForeign) {
		t.Errorf("a file: %v", err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := secureDir(dir, stateRights, windows.WinBuiltinAdministratorsSid); err != nil {
		t.Skip(err)
	}
	if err := CheckState(dir); err != nil {
		t.Error(err)
	}
}
