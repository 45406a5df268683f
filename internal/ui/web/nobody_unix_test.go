//go:build unix

package web

import (
	"os/exec"
	"syscall"
)

// asNobody makes a command of another user.
func asNobody(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: true}}
	cmd.Dir = "/"
	return cmd
}
