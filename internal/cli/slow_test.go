//go:build !race

package cli

import (
	"os"
	"testing"
)

// slowness stretches the time limits of the tests, which other work on the
// machine must not break: they are there to find what takes ten times as long.
const slowness = 5

// program is a binary that runs as updoc, see TestMain.
func program(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}
