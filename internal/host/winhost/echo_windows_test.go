package winhost

import (
	"context"
	"net/netip"
	"testing"
	"time"
	"unsafe"
)

func TestEcho(t *testing.T) {
	for name, s := range map[string][2]uintptr{
		"IP_OPTION_INFORMATION": {unsafe.Sizeof(ipOptions{}), 16},
		"ICMP_ECHO_REPLY":       {unsafe.Sizeof(echoReply{}), 40},
		"ICMPV6_ECHO_REPLY":     {unsafe.Sizeof(echoReply6{}), 36},
	} {
		if s[0] != s[1] {
			t.Errorf("%s has %d bytes, want %d", name, s[0], s[1])
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	self := netip.MustParseAddr("127.0.0.1")
	for _, size := range []int{28, 576, 1400} {
		ok, err := Echo{}.Echo(ctx, self, size)
		if err != nil {
			t.Skipf("this machine sends no pings: %v", err)
		}
		if !ok {
			t.Errorf("%d bytes to this machine itself did not come back", size)
		}
	}
	if ok, err := (Echo{}).Echo(ctx, netip.MustParseAddr("::1"), 47); ok || err == nil {
		t.Errorf("less than the headers: %v, %v", ok, err)
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	if ok, err := (Echo{}).Echo(gone, self, 576); ok || err != nil {
		t.Errorf("after the end: %v, %v", ok, err)
	}
}

func TestEchoOverIPv6(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	for _, size := range []int{48, 1280, 1400} {
		ok, err := Echo{}.Echo(ctx, netip.IPv6Loopback(), size)
		if err != nil {
			t.Skipf("this machine sends no pings over IPv6: %v", err)
		}
		if !ok {
			t.Errorf("%d bytes to this machine itself did not come back", size)
		}
	}
}
