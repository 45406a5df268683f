package winhost

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// AdmitUpdater says why the program that holds the client's end of a connection on
// this machine is no part of updating; nil lets it in. self is the other end, which
// this process holds. Updoc itself is let in.
func AdmitUpdater(client, self netip.AddrPort) error {
	pid, err := socketOwner(client, self)
	if err != nil {
		return err
	}
	if pid == uint32(os.Getpid()) {
		return nil
	}
	c := peer{pid: pid}
	if c.services, err = servicesIn(pid); err != nil {
		return err
	}
	if slices.ContainsFunc(c.services, func(name string) bool { return strings.HasPrefix(name, servicePrefix) }) {
		return nil // updoc's own, which walks as another account
	}
	c.look()
	// A number is given to another process once the first is gone: the connection still
	// has to be that of the one that was looked at.
	if again, err := socketOwner(client, self); err != nil || again != pid {
		return fmt.Errorf("the process behind %v is gone", client)
	}
	system, err := windows.GetSystemDirectory()
	if err != nil {
		return wrap("GetSystemDirectory", err)
	}
	return c.admitted(system)
}

// socketOwner asks for the process that holds an end of a TCP connection.
func socketOwner(local, remote netip.AddrPort) (uint32, error) {
	local, remote = netip.AddrPortFrom(local.Addr().Unmap(), local.Port()), netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	table, err := tcpTable(local.Addr().Is6())
	if err != nil {
		return 0, err
	}
	if pid, ok := connectionOwner(table, local, remote); ok {
		return pid, nil
	}
	return 0, fmt.Errorf("no process holds the connection from %v", local)
}

// tcpTable asks for all ends of TCP connections, and of whom they are.
// learn.microsoft.com: GetExtendedTcpTable.
func tcpTable(six bool) ([]byte, error) {
	const ownerPIDAll = 5 // TCP_TABLE_OWNER_PID_ALL
	family := uintptr(windows.AF_INET)
	if six {
		family = windows.AF_INET6
	}
	const most = 16 << 20 // some hundred thousand connections
	for size := uint32(64 << 10); size <= most; size += 16 << 10 {
		buf := make([]byte, size)
		r, err := invoke(dllNetwork, "GetExtendedTcpTable", uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&size)), 0, family, ownerPIDAll, 0)
		switch code := windows.Errno(r); {
		case missing(err):
			return nil, err
		case code == windows.ERROR_INSUFFICIENT_BUFFER:
			continue // size says what it would have taken; meanwhile there may be more
		case code != windows.ERROR_SUCCESS:
			return nil, wrap("GetExtendedTcpTable", code)
		}
		return buf, nil
	}
	return nil, errors.New("the list of connections is too long")
}

// servicesIn names the services that run in a process. learn.microsoft.com:
// EnumServicesStatusExW.
func servicesIn(pid uint32) ([]string, error) {
	m, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_ENUMERATE_SERVICE)
	if err != nil {
		return nil, wrap("OpenSCManager", err)
	}
	defer closeService(m)
	var out []string
	resume := uint32(0)
	buf := make([]uint64, 32<<10) // 256 KiB, the most that the call fills at once, aligned for its structures
	for range 64 {
		var needed, n uint32
		err := windows.EnumServicesStatusEx(m, windows.SC_ENUM_PROCESS_INFO, windows.SERVICE_WIN32, windows.SERVICE_ACTIVE,
			(*byte)(unsafe.Pointer(&buf[0])), uint32(len(buf)*8), &needed, &n, &resume, nil)
		if err != nil && !is(err, windows.ERROR_MORE_DATA) {
			return nil, wrap("EnumServicesStatusEx", err)
		}
		for _, s := range unsafe.Slice((*windows.ENUM_SERVICE_STATUS_PROCESS)(unsafe.Pointer(&buf[0])), n) {
			if s.ServiceStatusProcess.ProcessId == pid {
				out = append(out, windows.UTF16PtrToString(s.ServiceName))
			}
		}
		if err == nil {
			break
		}
	}
	return out, nil
}

// look adds what the process itself shows. Tokens of services often may not be read
// by an administrator: what is not known lets nobody in.
func (c *peer) look() {
	p, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, c.pid)
	if err != nil {
		return
	}
	defer closeHandle(p)
	buf := make([]uint16, windows.MAX_LONG_PATH)
	n := uint32(len(buf))
	if err := windows.QueryFullProcessImageName(p, 0, &buf[0], &n); err == nil {
		c.image = windows.UTF16ToString(buf[:n])
	}
	var token windows.Token
	if err := windows.OpenProcessToken(p, windows.TOKEN_QUERY, &token); err != nil {
		return
	}
	defer token.Close()
	if user, err := token.GetTokenUser(); err == nil {
		c.account = user.User.Sid.String()
	}
	if groups, err := token.GetTokenGroups(); err == nil {
		for _, g := range groups.AllGroups() {
			if g.Attributes&windows.SE_GROUP_ENABLED != 0 {
				c.groups = append(c.groups, g.Sid.String())
			}
		}
	}
	slices.Sort(c.groups)
}
