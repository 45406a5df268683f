package cli

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"updoc/internal/lab"
)

// scriptWorld is the command
//
//	world [SCENARIO]
//
// of the scripts: it serves a world of the lab until the script ends, in another process,
// as a person would for `updoc trace`. $DNS is its name server then, and $ROOTS the file
// with its roots.
func scriptWorld(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: world [SCENARIO]")
	}
	roots := ts.MkAbs("roots.pem")
	path, err := exec.LookPath("updoc")
	ts.Check(err)
	cmd := exec.Command(path, append([]string{"lab", "--any-port", "--format", "json", "--roots", roots}, args...)...)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	var said bytes.Buffer
	cmd.Stderr = &said
	ts.Check(cmd.Start())
	ts.Defer(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	give := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
	defer give.Stop()
	var doors lab.Doors
	if err := json.NewDecoder(out).Decode(&doors); err != nil {
		ts.Fatalf("no world: %v: %s", err, said.String())
	}
	ts.Setenv("DNS", doors.DNS.String())
	ts.Setenv("ROOTS", roots)
	encoded, err := json.Marshal(doors)
	ts.Check(err)
	ts.Setenv("DOORS", string(encoded))
}

// scriptDoor is the command
//
//	door VARIABLE NAME PORT
//
// of the scripts: it puts into a variable the port at which a name and port of the world
// is found.
func scriptDoor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: door VARIABLE NAME PORT")
	}
	var doors lab.Doors
	ts.Check(json.Unmarshal([]byte(ts.Getenv("DOORS")), &doors))
	port, err := strconv.ParseUint(args[2], 10, 16)
	ts.Check(err)
	d, ok := doors.Find("tcp", args[1], uint16(port))
	if !ok {
		ts.Fatalf("the world has no %s:%d", args[1], port)
	}
	ts.Setenv(args[0], strconv.Itoa(int(d.Real.Port())))
}
