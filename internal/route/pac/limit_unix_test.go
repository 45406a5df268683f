//go:build unix

package pac_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"updoc/internal/route/pac"
)

// Whatever a script allocates, and however fast, the child never holds much more
// than it may: the limits are measured, not believed.
func TestPeakMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux counts private mappings against RLIMIT_DATA")
	}
	const memory = 64 << 20
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"at once":    "var a = []; for (;;) a.push('x'.repeat(1 << 30));",
		"doubling":   "var s = 'x'; for (;;) s += s;",
		"bit by bit": "var a = []; for (;;) a.push([1, 2, 3]);",
		"typed":      "var a = []; for (;;) { var b = new Uint8Array(1 << 28); b.fill(1); a.push(b) }",
		"garbage":    "for (;;) 'x'.repeat(1 << 22).toUpperCase();",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job, err := json.Marshal(map[string]any{
				"script": script, "now": "2027-03-01T09:30:00Z", "calls": []pac.Call{{URL: "http://a/", Host: "a"}}, "time": 1e9, "memory": memory,
			})
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(self)
			cmd.Env = []string{pac.Role + "=" + pac.Child, "GOTRACEBACK=none"}
			r, w, err := os.Pipe() // stays open: at its end the child ends too
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
			if _, err := w.Write(append(job, '\n')); err != nil {
				t.Fatal(err)
			}
			cmd.Stdin = r
			err = cmd.Run()
			usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
			t.Logf("%v, at most %d MiB, %v of the processor", err, usage.Maxrss>>10, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
			if race {
				return // its memory is not the script's
			}
			if most := int64(memory>>10 + 64<<10 + 48<<10); usage.Maxrss > most {
				t.Errorf("the child held %d KiB, at most %d are allowed", usage.Maxrss, most)
			}
		})
	}
}

// childless reports that this process has no children that it did not wait for.
func childless() bool {
	_, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
	return errors.Is(err, syscall.ECHILD)
}
