package winhost

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// OwnPeer reports whether the program that holds the client's end of a connection on
// this machine is of the user who runs this one. An error says that Windows does not
// tell. self is the other end, which this process holds.
func OwnPeer(client, self netip.AddrPort) (own bool, err error) {
	pid, err := socketOwner(client, self)
	if err != nil {
		return false, err
	}
	if pid == uint32(os.Getpid()) {
		return true, nil
	}
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return false, wrap("GetTokenUser", err)
	}
	c := peer{pid: pid}
	c.look()
	if c.account == "" { // a browser shields the process that it has at the network
		if c.account, err = userOf(pid); err != nil {
			return false, fmt.Errorf("whose the process behind %v is: %w", client, err)
		}
	}
	// A number is given to another process once the first is gone: the connection still
	// has to be that of the one that was looked at.
	if again, err := socketOwner(client, self); err != nil || again != pid {
		return false, fmt.Errorf("the process behind %v is gone", client)
	}
	return c.account == user.User.Sid.String(), nil
}

var dllTerminal = windows.NewLazySystemDLL("wtsapi32.dll")

// processInfo is WTS_PROCESS_INFOW.
type processInfo struct {
	Session, PID uint32
	Name         *uint16
	User         *windows.SID // nil where Windows does not tell
}

// userOf asks the terminal services, which need no right to a process, for its user.
// learn.microsoft.com: "WTSEnumerateProcessesW function".
func userOf(pid uint32) (string, error) {
	var list *processInfo
	var n uint32
	r, err := invoke(dllTerminal, "WTSEnumerateProcessesW", 0, 0, 1, uintptr(unsafe.Pointer(&list)), uintptr(unsafe.Pointer(&n)))
	if missing(err) {
		return "", err
	}
	if r == 0 || list == nil {
		return "", wrap("WTSEnumerateProcesses", err)
	}
	defer func() { _, _ = invoke(dllTerminal, "WTSFreeMemory", uintptr(unsafe.Pointer(list))) }() // it was given
	for _, p := range unsafe.Slice(list, n) {
		if p.PID == pid && p.User != nil {
			return p.User.String(), nil
		}
	}
	return "", errors.New("nobody tells")
}
