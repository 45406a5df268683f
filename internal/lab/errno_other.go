//go:build !windows

package lab

import "syscall"

// What the operating system calls what happens to a connection.
const (
	errnoRefused     = syscall.ECONNREFUSED
	errnoReset       = syscall.ECONNRESET
	errnoUnreachable = syscall.EHOSTUNREACH
	errnoBlocked     = syscall.EPERM
	errnoSunk        = syscall.ECONNREFUSED // 0.0.0.0 is this machine itself
)
