package pac

import (
	"os"
	"os/exec"
	"syscall"
	"time"
)

// limit leaves the work to the job object that the child's confine function puts
// the process into.
func limit(int64, time.Duration) error { return nil }

// prepare keeps a console window from flashing up.
// learn.microsoft.com: "Process Creation Flags", CREATE_NO_WINDOW.
func prepare(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{HideWindow: true, CreationFlags: 0x08000000}
}

// processorTime is what this process has used of all processors.
// learn.microsoft.com: "GetProcessTimes function".
func processorTime() time.Duration {
	self, err := syscall.GetCurrentProcess()
	if err != nil {
		return 0
	}
	var created, ended, kernel, user syscall.Filetime
	if syscall.GetProcessTimes(self, &created, &ended, &kernel, &user) != nil {
		return 0
	}
	return 100 * (ticks(kernel) + ticks(user))
}

// ticks is a length of time in units of 100 ns.
func ticks(f syscall.Filetime) time.Duration {
	return time.Duration(uint64(f.HighDateTime)<<32 | uint64(f.LowDateTime))
}

// peak is not known here.
func peak(*os.ProcessState) int64 { return 0 }
