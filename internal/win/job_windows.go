package win

import (
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Confine puts this process into a job of its own, for good: it may commit so many
// bytes in all, use so much processor time, start no process and show no dialog
// when it fails. The job has no name and its handle stays with the process, so it
// ends when the process does. Windows 8 and later let a process that is in a job
// already enter a second one. learn.microsoft.com: "Job Objects", "Nested Jobs",
// "JOBOBJECT_EXTENDED_LIMIT_INFORMATION".
func Confine(memory int64, cpu time.Duration) error {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return fmt.Errorf("create job object: %w", err)
	}
	var limits windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_PROCESS_MEMORY | windows.JOB_OBJECT_LIMIT_PROCESS_TIME |
		windows.JOB_OBJECT_LIMIT_ACTIVE_PROCESS | windows.JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION |
		windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	limits.BasicLimitInformation.PerProcessUserTimeLimit = int64(cpu / 100) // in units of 100 ns
	limits.BasicLimitInformation.ActiveProcessLimit = 1
	limits.ProcessMemoryLimit = uintptr(memory)
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits))); err != nil {
		_ = windows.CloseHandle(job) // it holds nobody yet
		return fmt.Errorf("limit job object: %w", err)
	}
	if err := windows.AssignProcessToJobObject(job, windows.CurrentProcess()); err != nil {
		_ = windows.CloseHandle(job)
		return fmt.Errorf("enter job object: %w", err)
	}
	return nil
}
