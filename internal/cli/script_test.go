package cli

import (
	"context"
	"os"
	"runtime"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary serve as updoc in the scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"updoc": func() {
		os.Exit(Run(context.Background(), Env{
			Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
			Getenv: os.Getenv, GOOS: runtime.GOOS, Version: "test",
		}, os.Args[1:]))
	}})
}

// TestScripts runs testdata/*.txtar: command lines with what they print.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("NO_COLOR", "")
			env.Setenv("LANG", "C.UTF-8")
			return nil
		},
	})
}
