package win_test

import (
	"os"
	"os/exec"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/win"
)

const confined = "UPDOC_TEST_CONFINED"

// A confined process can neither take the memory of the machine nor start another.
func TestConfine(t *testing.T) {
	switch os.Getenv(confined) {
	case "":
		if windows.NewLazySystemDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil {
			t.Skip("limits of job objects: Wine takes them and does not hold to them")
		}
	case "memory":
		if err := win.Confine(192<<20, time.Minute); err != nil {
			t.Fatal(err)
		}
		held := [][]byte{}
		for range 64 {
			b := make([]byte, 16<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			held = append(held, b)
		}
		t.Logf("held %d MiB", 16*len(held))
		return
	case "process":
		if err := win.Confine(192<<20, time.Minute); err != nil {
			t.Fatal(err)
		}
		if exec.Command(os.Args[0], "-test.run", "none").Run() == nil {
			t.Log("started another")
			return
		}
		os.Exit(7)
	}
	for what, fails := range map[string]bool{"memory": true, "process": true} {
		cmd := exec.Command(os.Args[0], "-test.run", "TestConfine")
		cmd.Env = append(os.Environ(), confined+"="+what)
		if out, err := cmd.CombinedOutput(); (err != nil) != fails {
			t.Errorf("%s: %v\n%.400s", what, err, out)
		}
	}
}

// The structure is the one of winnt.h on 64-bit Windows.
func TestJobSize(t *testing.T) {
	if n := unsafe.Sizeof(windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{}); n != 144 {
		t.Errorf("%d bytes", n)
	}
}
