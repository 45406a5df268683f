//go:build !windows

package route

import (
	"errors"
	"slices"
	"syscall"
)

var (
	errnoRefused  = []syscall.Errno{syscall.ECONNREFUSED}
	errnoReset    = []syscall.Errno{syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED}
	errnoTimedOut = []syscall.Errno{syscall.ETIMEDOUT}
	// Linux makes EACCES of ICMPv6 "administratively prohibited", which a router sends
	// (RFC 4443 section 3.1), and EPERM of what its own packet filter drops.
	errnoUnreachable = []syscall.Errno{syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EADDRNOTAVAIL, syscall.ENETDOWN, syscall.EACCES}
	errnoBlocked     = []syscall.Errno{syscall.EPERM}
)

func isErrno(err error, list []syscall.Errno) bool {
	var e syscall.Errno
	return errors.As(err, &e) && slices.Contains(list, e)
}
