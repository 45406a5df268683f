package lab

import "syscall"

// What the operating system calls what happens to a connection.
// learn.microsoft.com: Windows Sockets error codes.
const (
	errnoRefused     = syscall.Errno(10061) // WSAECONNREFUSED
	errnoReset       = syscall.WSAECONNRESET
	errnoUnreachable = syscall.Errno(10065) // WSAEHOSTUNREACH
	errnoBlocked     = syscall.Errno(10013) // WSAEACCES
	errnoSunk        = syscall.Errno(10049) // WSAEADDRNOTAVAIL: 0.0.0.0 leads nowhere
)
