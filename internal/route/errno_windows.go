package route

import (
	"errors"
	"slices"
	"syscall"
)

// learn.microsoft.com: Windows Sockets Error Codes.
var (
	errnoRefused     = []syscall.Errno{10061}
	errnoReset       = []syscall.Errno{10054, 10053, 10058}
	errnoTimedOut    = []syscall.Errno{10060}
	errnoUnreachable = []syscall.Errno{10051, 10065, 10049, 10050}
	errnoBlocked     = []syscall.Errno{10013} // the filtering platform denies it
)

func isErrno(err error, list []syscall.Errno) bool {
	var e syscall.Errno
	return errors.As(err, &e) && slices.Contains(list, e)
}
