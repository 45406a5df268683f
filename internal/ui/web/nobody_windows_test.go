package web

import "os/exec"

// asNobody makes a command of another user; there is none here.
func asNobody(name string, args ...string) *exec.Cmd { return exec.Command(name, args...) }
