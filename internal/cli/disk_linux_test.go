package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mounted puts a disk of its own size where a machine's journals lie.
func mounted(t *testing.T, dir string, flags uintptr, pages int) string {
	t.Helper()
	state := filepath.Join(dir, "updoc")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", state, "tmpfs", flags, sizeOf(pages)); err != nil {
		t.Skipf("a disk of a few kilobytes cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(state, syscall.MNT_DETACH) })
	return state
}

func sizeOf(pages int) string { return fmt.Sprintf("size=%d,mode=700", pages*os.Getpagesize()) }

// TestDiskRefuses: where the journal cannot be written, because its disk is read-only or
// full, nothing is changed, and it is said what to do. Where it fills up in the middle, the
// run stops, and with room again it is taken back whole.
func TestDiskRefuses(t *testing.T) {
	_, sick := sickPC(t, "treat-two-stores-damaged")
	treat := func(t *testing.T, flags uintptr, pages int) (code int, out string, began bool) {
		dir := copyPC(t, sick)
		state := mounted(t, dir, flags, pages)
		before := snapshot(t, opened(t, dir))
		code, out = runLine(t, dir, "fix", "--yes", "--no-network")
		runs, _ := filepath.Glob(filepath.Join(state, "*", "journal.jsonl"))
		if len(runs) > 0 { // with room again it is taken back
			if err := syscall.Mount("tmpfs", state, "tmpfs", syscall.MS_REMOUNT, sizeOf(256)); err != nil {
				t.Fatal(err)
			}
			if code, out := runLine(t, dir, "undo", filepath.Base(filepath.Dir(runs[0]))); code != ExitHealthy {
				t.Errorf("undo: exit code %d\n%s", code, out)
			}
		}
		if d := differ(before, snapshot(t, opened(t, dir))); len(d) > 0 {
			t.Errorf("what is otherwise:\n%s", strings.Join(d, "\n"))
		}
		return code, strings.Join(strings.Fields(out), " "), len(runs) > 0
	}
	if code, out, began := treat(t, syscall.MS_RDONLY, 64); code != ExitNotAllowed || began || !strings.Contains(out, "write-protected") {
		t.Errorf("read-only: exit code %d\n%s", code, out)
	}
	refused, stopped := 0, 0
	for pages := 1; ; pages++ {
		code, out, began := treat(t, 0, pages)
		if code == ExitHealthy {
			break
		}
		if code != ExitBroken || !strings.Contains(out, "the disk is full") || pages > 20 {
			t.Fatalf("%d pages: exit code %d\n%s", pages, code, out)
		}
		if began {
			stopped++
		} else {
			refused++
		}
	}
	if refused == 0 || stopped == 0 {
		t.Errorf("refused %d times, stopped in the middle %d times", refused, stopped)
	}
}
