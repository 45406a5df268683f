//go:build !windows

package route

import (
	"errors"
	"slices"
	"syscall"
)

var (
	errnoRefused     = []syscall.Errno{syscall.ECONNREFUSED}
	errnoReset       = []syscall.Errno{syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED}
	errnoTimedOut    = []syscall.Errno{syscall.ETIMEDOUT}
	errnoUnreachable = []syscall.Errno{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EADDRNOTAVAIL, syscall.ENETDOWN}
	errnoBlocked     = []syscall.Errno{syscall.EACCES, syscall.EPERM}
)

func isErrno(err error, list []syscall.Errno) bool {
	var e syscall.Errno
	return errors.As(err, &e) && slices.Contains(list, e)
}
