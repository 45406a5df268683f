//go:build race

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// slowness under the race detector, for what runs in this process.
const slowness = 20

// program is a binary that runs as updoc, see TestMain. Time and memory mean
// nothing under the race detector, so it is one that was built without.
func program(t *testing.T) string {
	t.Helper()
	exe, err := plainBinary()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

var plainBinary = sync.OnceValues(func() (string, error) {
	// Beside this binary, in the folder that go test removes.
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	exe := filepath.Join(filepath.Dir(self), "plain-"+filepath.Base(self))
	cmd := exec.Command("go", "test", "-c", "-o", exe, ".")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	return exe, cmd.Run()
})
