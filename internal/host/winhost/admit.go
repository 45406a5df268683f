package winhost

import (
	"crypto/sha1" //nolint:gosec // how Windows makes a service's identifier of its name
	"encoding/binary"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf16"
)

// peer is a process at the other end of a connection on this machine, as far as
// Windows tells.
type peer struct {
	pid      uint32
	services []string // that run in it, by the service control manager
	account  string   // SID, "" if its token may not be read
	groups   []string // SIDs of its token: that of a service is there if the service has one
	image    string   // full path of its program
}

// updateServices fetch what updating needs. Several may run in one process, and with
// others beside them where a machine has little memory: then those are let in too.
// learn.microsoft.com: "Changes to Service Host grouping in Windows 10".
var updateServices = []string{
	"wuauserv", "BITS", "DoSvc", "CryptSvc", "UsoSvc", "WaaSMedicSvc", "uhssvc", "TrustedInstaller",
	"InstallService", "AppXSvc", // what the Store updates
	"WinHttpAutoProxySvc", // decides about proxies for all of them
	"wlidsvc",             // the device's ticket, which the update service asks for
}

// updatePrograms take part in updating and are no services: they run as LocalSystem,
// from the system folder.
var updatePrograms = []string{"mousocoreworker.exe", "sihclient.exe", "usoclient.exe", "usocoreworker.exe", "waasmedicagent.exe", "wuauclt.exe", "wuaucltcore.exe"}

// admitted says why a program is no part of updating. system is the system folder.
func (c peer) admitted(system string) error {
	for _, name := range updateServices {
		if slices.ContainsFunc(c.services, func(s string) bool { return strings.EqualFold(s, name) }) || slices.Contains(c.groups, serviceSID(name)) {
			return nil
		}
	}
	folder, program := "", c.image
	if i := strings.LastIndexByte(c.image, '\\'); i >= 0 {
		folder, program = c.image[:i], c.image[i+1:]
	}
	if c.account == sidSystem && strings.EqualFold(folder, system) && slices.Contains(updatePrograms, strings.ToLower(program)) {
		return nil
	}
	if program == "" {
		program = "a program that is not known"
	}
	return fmt.Errorf("%s (process %d) is no part of Windows Update", program, c.pid)
}

// serviceSID is the identifier of a service, which the control manager puts into the
// token of its process: S-1-5-80 and the SHA-1 of the name in capitals.
// learn.microsoft.com: "Security identifiers", NT SERVICE; SERVICE_SID_INFO.
func serviceSID(name string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(strings.ToUpper(name))) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	sum := sha1.Sum(b) //nolint:gosec // see above
	out := "S-1-5-80"
	for i := 0; i < len(sum); i += 4 {
		out += fmt.Sprintf("-%d", binary.LittleEndian.Uint32(sum[i:]))
	}
	return out
}

// tcpRow is one end of a TCP connection.
type tcpRow struct {
	local, remote netip.AddrPort
	state         uint32 // MIB_TCP_STATE: 5 established
	pid           uint32
}

// tcpRows goes through a table of GetExtendedTcpTable: MIB_TCPTABLE_OWNER_PID, or
// MIB_TCP6TABLE_OWNER_PID for the addresses of IPv6. Addresses and ports stand in it as
// they travel.
func tcpRows(table []byte, six bool) iter.Seq[tcpRow] {
	const (
		row4 = 6 * 4          // state, local address and port, remote address and port, process
		row6 = 2*(16+4+4) + 8 // local address, scope and port, remote likewise, state, process
	)
	le := binary.LittleEndian
	port := func(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
	return func(yield func(tcpRow) bool) {
		if len(table) < 4 {
			return
		}
		n, rows := le.Uint32(table), table[4:]
		for ; n > 0; n-- {
			var r tcpRow
			if !six {
				if len(rows) < row4 {
					return
				}
				r.local = netip.AddrPortFrom(netip.AddrFrom4([4]byte(rows[4:8])), port(rows[8:]))
				r.remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte(rows[12:16])), port(rows[16:]))
				r.state, r.pid, rows = le.Uint32(rows), le.Uint32(rows[20:]), rows[row4:]
			} else {
				if len(rows) < row6 {
					return
				}
				r.local = netip.AddrPortFrom(netip.AddrFrom16([16]byte(rows[:16])), port(rows[20:]))
				r.remote = netip.AddrPortFrom(netip.AddrFrom16([16]byte(rows[24:40])), port(rows[44:]))
				r.state, r.pid, rows = le.Uint32(rows[48:]), le.Uint32(rows[52:]), rows[row6:]
			}
			if !yield(r) {
				return
			}
		}
	}
}

// connectionOwner finds the process whose end of a connection local is, in a table.
func connectionOwner(table []byte, local, remote netip.AddrPort) (pid uint32, ok bool) {
	for r := range tcpRows(table, local.Addr().Is6()) {
		if r.local == local && r.remote == remote {
			return r.pid, r.pid != 0
		}
	}
	return 0, false
}

// answeredAt lists the addresses of this machine at which connections to a port stand.
func answeredAt(table []byte, six bool, port uint16) []netip.Addr {
	const established = 5
	var out []netip.Addr
	for r := range tcpRows(table, six) {
		if a := r.local.Addr().Unmap(); r.state == established && r.local.Port() == port && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}
