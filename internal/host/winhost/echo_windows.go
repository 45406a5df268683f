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
	if !to.Is4() || size < echoHeaders || size > 65535 {
		return false, fmt.Errorf("ping %s with %d bytes: not asked", to, size)
	}
	wait := longestEcho
	if by, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(by))
	}
	if wait < time.Millisecond || ctx.Err() != nil {
		return false, nil
	}
	file, err := invoke(dllNetwork, "IcmpCreateFile")
	if missing(err) {
		return false, err
	}
	if windows.Handle(file) == windows.InvalidHandle {
		return false, wrap("IcmpCreateFile", err)
	}
	defer func() { _, _ = invoke(dllNetwork, "IcmpCloseHandle", file) }()
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
		for status := firstIPStatus; status <= lastIPStatus; status++ {
			if is(err, windows.Errno(status)) {
				return false, nil
			}
		}
		return false, wrap("IcmpSendEcho2", err)
	}
	reply := (*echoReply)(unsafe.Pointer(&buf[0]))
	return reply.status == 0 && int(reply.size) == size-echoHeaders, nil
}
