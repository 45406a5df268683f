package winhost

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"updoc/internal/host"
)

// TestLendDisc: a path into an ISO file becomes one on the drive that it is mounted as,
// and goes with the last handle; a folder that is only called so is left as it is, and
// what is no disc is an error before the tool is started.
func TestLendDisc(t *testing.T) {
	dir := t.TempDir()
	folder, file := filepath.Join(dir, "folder.iso"), filepath.Join(dir, "no disc.iso")
	if err := errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(file, []byte("no disc"), 0o600)); err != nil {
		t.Fatal(err)
	}
	restore := func(path string) []string {
		return []string{"/Online", "/Cleanup-Image", "/RestoreHealth", "/Source:wim:" + path + `\sources\install.wim:6`, "/LimitAccess"}
	}
	for _, args := range [][]string{restore(folder), restore(`D:`), {"/Online", "/Cleanup-Image", "/ScanHealth"}} {
		given, d, err := lendDisc(t.Context(), args)
		if err != nil || d != 0 || !slices.Equal(given, args) {
			t.Errorf("%s: %s, %v, %v", args, given, d, err)
		}
	}
	if _, _, err := lendDisc(t.Context(), restore(filepath.Join(dir, "gone.iso"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, d, err := lendDisc(t.Context(), restore(file)); err == nil || d != 0 {
		t.Errorf("a file that is no disc: %v, %v", d, err)
	}
	h := open(t)
	c := host.Change{Kind: host.Run, Path: "dism", Args: restore(file)}
	if err := h.Apply(t.Context(), c); err == nil {
		t.Error("DISM repairs from what is no disc")
	}
	if isWine() {
		t.Skip("Wine has no virtual disks: mounting an ISO file is not exercised here")
	}
}
