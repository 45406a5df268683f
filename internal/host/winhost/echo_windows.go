package winhost

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Echo sends pings as ping.exe does, for which nobody has to be an administrator. It
// implements [updoc/internal/route.Echoer].
type Echo struct{}

// ipOptions is IP_OPTION_INFORMATION, echoReply ICMP_ECHO_REPLY. learn.microsoft.com:
// "IP_OPTION_INFORMATION structure (ipexport.h)", "ICMP_ECHO_REPLY structure (ipexport.h)".
type ipOptions struct {
	ttl, tos, flags, size uint8
	data                  *byte
}

type echoReply struct {
	address, status, trip uint32
	size, _               uint16
	data                  *byte
	options               ipOptions
}

const (
	dontFragment = 0x02 // IP_FLAG_DF
	farAway      = 128  // hops, as many as Windows gives what it sends
	echoHeaders  = 28   // 20 bytes of IPv4, 8 of ICMP
	echoHeaders6 = 48   // 40 bytes of IPv6, 8 of ICMPv6
	icmpError    = 8    // what the buffer for answers has to have room for besides
	longestEcho  = 2 * time.Second
)

// What IcmpSendEcho2 gives for a packet that did not come back: these say that it was
// lost, or was too large for the machine or for a router that said so.
const (
	firstIPStatus = 11000
	lastIPStatus  = 11050
)

// Echo implements route.Echoer. learn.microsoft.com: "IcmpSendEcho2 function (icmpapi.h)".
func (Echo) Echo(ctx context.Context, to netip.Addr, size int) (bool, error) {
	to = to.Unmap()
	if headers := echoHeaders + (echoHeaders6-echoHeaders)*(to.BitLen()/128); !to.IsValid() || size < headers || size > 65535 {
		return false, fmt.Errorf("ping %s with %d bytes: not asked", to, size)
	}
	wait := longestEcho
	if by, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(by))
	}
	if wait < time.Millisecond || ctx.Err() != nil {
		return false, nil
	}
	if to.Is6() {
		return echo6(to, size, wait)
	}
	file, done, err := echoFile("IcmpCreateFile")
	if err != nil {
		return false, err
	}
	defer done()
	four := to.As4()
	payload := make([]byte, size-echoHeaders+1) // never empty, so that it has an address
	options := ipOptions{ttl: farAway, flags: dontFragment}
	buf := make([]uint64, (int(unsafe.Sizeof(echoReply{}))+len(payload)+icmpError+7)/8+2)
	n, err := invoke(
		dllNetwork, "IcmpSendEcho2", file, 0, 0, 0, uintptr(binary.NativeEndian.Uint32(four[:])), uintptr(unsafe.Pointer(&payload[0])), uintptr(size-echoHeaders),
		uintptr(unsafe.Pointer(&options)), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)*8), uintptr(wait.Milliseconds()),
	)
	runtime.KeepAlive(payload)
	if n == 0 {
		return false, echoError("IcmpSendEcho2", err)
	}
	reply := (*echoReply)(unsafe.Pointer(&buf[0]))
	return reply.status == 0 && int(reply.size) == size-echoHeaders, nil
}

// echo6 asks over IPv6, where no router cuts a packet: it is lost, or who sent it is told.
// Windows itself would cut one that is larger than what the adapter takes.
// learn.microsoft.com: "Icmp6SendEcho2 function (icmpapi.h)".
func echo6(to netip.Addr, size int, wait time.Duration) (bool, error) {
	file, done, err := echoFile("Icmp6CreateFile")
	if err != nil {
		return false, err
	}
	defer done()
	from, dest := windows.RawSockaddrInet6{Family: windows.AF_INET6}, windows.RawSockaddrInet6{Family: windows.AF_INET6, Addr: to.As16()}
	payload := make([]byte, size-echoHeaders6+1)
	options := ipOptions{ttl: farAway}
	buf := make([]uint64, (int(unsafe.Sizeof(echoReply6{}))+len(payload)+icmpError+7)/8+4)
	n, err := invoke(
		dllNetwork, "Icmp6SendEcho2", file, 0, 0, 0, uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&dest)), uintptr(unsafe.Pointer(&payload[0])), uintptr(size-echoHeaders6),
		uintptr(unsafe.Pointer(&options)), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)*8), uintptr(wait.Milliseconds()),
	)
	runtime.KeepAlive(payload)
	if n == 0 {
		return false, echoError("Icmp6SendEcho2", err)
	}
	return (*echoReply6)(unsafe.Pointer(&buf[0])).status == 0, nil
}

// echoReply6 is ICMPV6_ECHO_REPLY, whose address is packed: port, flow, address and scope in
// 26 bytes. learn.microsoft.com: "ICMPV6_ECHO_REPLY_LH structure (ipexport.h)".
type echoReply6 struct {
	_            [26]byte
	status, trip uint32
}

// echoFile opens what pings are sent by.
func echoFile(name string) (file uintptr, done func(), err error) {
	file, err = invoke(dllNetwork, name)
	if missing(err) {
		return 0, nil, err
	}
	if windows.Handle(file) == windows.InvalidHandle {
		return 0, nil, wrap(name, err)
	}
	return file, func() { _, _ = invoke(dllNetwork, "IcmpCloseHandle", file) }, nil
}

// echoError is nil for what says that a packet did not come back.
func echoError(name string, err error) error {
	for status := firstIPStatus; status <= lastIPStatus; status++ {
		if is(err, windows.Errno(status)) {
			return nil
		}
	}
	return wrap(name, err)
}
