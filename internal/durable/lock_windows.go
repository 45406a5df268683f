package durable

import (
	"errors"
	"fmt"
	"syscall"
)

// errSharing is ERROR_SHARING_VIOLATION (learn.microsoft.com: "System Error Codes (0-499)").
const errSharing = syscall.Errno(32)

// Lock takes the lock that the file stands for, making it if need be. Another
// process that holds it is [ErrLocked]; a process that ends, however it ends, lets
// go of it. The file is opened for this process alone (learn.microsoft.com:
// "CreateFileW", dwShareMode 0).
func Lock(name string) (release func() error, err error) {
	p, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	h, err := syscall.CreateFile(p, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		if errors.Is(err, errSharing) {
			err = ErrLocked
		}
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return func() error { return syscall.CloseHandle(h) }, nil
}

// What a disk says that takes no more (learn.microsoft.com: "System Error Codes
// (0-499)", "System Error Codes (1000-1299)").
const (
	errHandleDiskFull = syscall.Errno(39)
	errDiskFull       = syscall.Errno(112)
	errQuota          = syscall.Errno(1295) // ERROR_DISK_QUOTA_EXCEEDED
	errWriteProtect   = syscall.Errno(19)
)

// IsFull reports that there is no room, or no more for this user.
func IsFull(err error) bool {
	return errors.Is(err, errHandleDiskFull) || errors.Is(err, errDiskFull) || errors.Is(err, errQuota) || errors.Is(err, ErrFull)
}

// IsReadOnly reports that the disk takes no changes from anybody.
func IsReadOnly(err error) bool { return errors.Is(err, errWriteProtect) }
