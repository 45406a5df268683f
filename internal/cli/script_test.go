package cli

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/rogpeppe/go-internal/testscript"

	"updoc/internal/host/hosttest"
	"updoc/internal/route/pac"
)

// TestMain makes the test binary serve as updoc in the scripts.
func TestMain(m *testing.M) {
	if os.Getenv(pac.Role) == pac.Child { // or as the child that evaluates scripts
		os.Exit(pac.Serve(os.Stdin, os.Stdout, nil))
	}
	testscript.Main(m, map[string]func(){"updoc": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		code := Run(ctx, Env{
			Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
			Getenv: os.Getenv, GOOS: runtime.GOOS, Version: "test",
		}, os.Args[1:])
		if to := os.Getenv(peakFile); to != "" {
			status, _ := os.ReadFile("/proc/self/status")
			_ = os.WriteFile(to, status, 0o644)
		}
		os.Exit(code)
	}})
}

// peakFile names the variable with the file that a run leaves its memory figures
// in. What the system tells the parent counts the parent's own memory at the fork.
const peakFile = "UPDOC_TEST_PEAK"

// TestScripts runs testdata/*.txtar: command lines with what they print.
//
// Besides the commands of testscript they may use
//
//	exits CODE updoc ARGS...   run updoc and hold its exit code
//	pack ZIP|CAB FILE...       pack files, under their base names
//	schema FILE [N]            hold that FILE is one JSON diagnosis, or N of them
//	plain FILE                 hold that no control or invisible character is in it
//	world [SCENARIO]           serve a world of the lab until the script ends
//	door VARIABLE NAME PORT    put the port of one of its services into a variable
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("NO_COLOR", "")
			env.Setenv("LANG", "C.UTF-8")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": scriptExits, "pack": scriptPack, "schema": scriptSchema, "plain": scriptPlain,
			"world": scriptWorld, "door": scriptDoor,
		},
	})
}

func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS...")
	}
	got := "0"
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		got = strconv.Itoa(exit.ExitCode())
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != args[0] {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}

func scriptPack(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: pack ZIP|CAB FILE...")
	}
	var files []hosttest.File
	for _, name := range args[1:] {
		files = append(files, hosttest.File{Name: filepath.Base(name), Data: ts.ReadFile(name)})
	}
	data := hosttest.Cabinet(files)
	if strings.EqualFold(filepath.Ext(args[0]), ".zip") {
		var err error
		data, err = hosttest.PackZip(files)
		ts.Check(err)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(data), 0o644))
}

func scriptSchema(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: schema FILE [N]")
	}
	type document struct {
		Schema   string            `json:"schema"`
		Verdict  string            `json:"verdict"`
		Error    string            `json:"error"`
		Machine  map[string]string `json:"machine"`
		Failures []json.RawMessage `json:"failures"`
		Causes   []json.RawMessage `json:"causes"`
		Remedies []json.RawMessage `json:"remedies"`
		Gaps     []json.RawMessage `json:"gaps"`
	}
	data := ts.ReadFile(args[0])
	docs := make([]document, 1)
	var err error
	if len(args) > 1 {
		err = json.Unmarshal([]byte(data), &docs)
		if n, _ := strconv.Atoi(args[1]); n != len(docs) {
			ts.Fatalf("%d diagnoses, want %s", len(docs), args[1])
		}
	} else {
		err = json.Unmarshal([]byte(data), &docs[0])
	}
	ts.Check(err)
	for _, d := range docs {
		if d.Error != "" {
			continue
		}
		if d.Schema != "updoc.diagnosis/1" || d.Verdict == "" || d.Machine["source"] == "" || d.Failures == nil || d.Causes == nil || d.Remedies == nil || d.Gaps == nil {
			ts.Fatalf("a part is missing: %+v", d)
		}
	}
}

func scriptPlain(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		for n, line := range strings.Split(ts.ReadFile(name), "\n") {
			if i := strings.IndexFunc(line, unwanted); (i >= 0) != neg {
				ts.Fatalf("%s:%d: %q", name, n+1, line)
			}
		}
	}
}

// unwanted are the characters that a terminal may obey, or that a person does not
// see: controls of ASCII and beyond, marks of direction, tags, bytes that are no
// character.
func unwanted(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Cs) || r == unicode.ReplacementChar
}
