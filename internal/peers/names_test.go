//go:build linux

package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"updoc/internal/host"
	"updoc/internal/route"
)

// named is a network whose names a real name server tells, and in which nobody is at
// any address: packets of these tests stay on loopback.
type named struct{ route.OS }

func (n named) DialContext(_ context.Context, network, addr string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s: %w", addr, syscall.ECONNREFUSED)}
}

// TestDnsmasq: names as dnsmasq tells them, and as it does not.
func TestDnsmasq(t *testing.T) {
	t.Parallel()
	dnsmasq := program(t, "dnsmasq")
	silent, err := net.ListenPacket("udp", "127.0.0.1:0") // a forwarder that never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	_, silentPort, _ := net.SplitHostPort(silent.LocalAddr().String())
	port := freePort(t)
	server := fmt.Sprintf("127.0.0.1:%d", port)
	start(
		t, func() bool { return answers(server) }, dnsmasq,
		"-k", "-C", "/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces", "--listen-address=127.0.0.1", "--user=root", "--pid-file=", fmt.Sprintf("--port=%d", port),
		"--address=/ready.example/192.0.2.1",
		"--address=/slscr.update.microsoft.com/", // NXDOMAIN
		"--address=/fe2cr.update.microsoft.com/0.0.0.0", "--address=/fe2cr.update.microsoft.com/::",
		"--server=/fe3cr.delivery.mp.microsoft.com/127.0.0.1#"+silentPort,
		"--address=/download.windowsupdate.com/10.9.9.9",
		"--address=/ctldl.windowsupdate.com/203.0.113.99", "--address=/www.msftconnecttest.com/203.0.113.99", "--address=/dl.delivery.mp.microsoft.com/203.0.113.99",
		"--host-record=empty.example,2001:db8::9",
	)
	n := named{route.OS{DNS: server}}
	w := walk(
		t, route.Walker{Exchanger: route.NewProber(route.Prober{Net: n})}, direct(),
		"scan.locator", "scan.config", "scan.cookie", "download.range", "download.delivery", "verify",
	)
	holds(
		t, w,
		expect{"scan.locator", host.HopDNS, host.FaultNoName, 0x80072EE7},
		expect{"scan.config", host.HopDNS, host.FaultSunk, 0x80240438},
		expect{"scan.cookie", host.HopDNS, host.FaultNoResolver, 0x8024402C},
		expect{"download.range", host.HopTCP, host.FaultRefused, 0x80072EFD},
	)
	if took := hop(deciding(t, w, "scan.cookie"), host.HopDNS).Took; took < 4*time.Second || took > 15*time.Second {
		t.Errorf("a silent name server is given up on after %s", took)
	}
	private, shared := false, false
	for _, o := range w.Stray {
		private = private || o.ID == "resolver-lies" && strings.Contains(o.Seen, "10.9.9.9")
		shared = shared || o.ID == "resolver-lies" && strings.Contains(o.Seen, "203.0.113.99")
	}
	if !private || !shared {
		t.Errorf("a name server that lies is told by %v", w.Stray)
	}
}

// TestDnsmasqGone: nothing listens where the name server should be.
func TestDnsmasqGone(t *testing.T) {
	t.Parallel()
	n := named{route.OS{DNS: fmt.Sprintf("127.0.0.1:%d", freePort(t))}}
	w := walk(t, route.Walker{Exchanger: route.NewProber(route.Prober{Net: n})}, direct(), "scan.config")
	holds(t, w, expect{"scan.config", host.HopDNS, host.FaultNoResolver, 0x8024402C})
}

// answers reports that a name server is there.
func answers(server string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	addrs, err := route.OS{DNS: server}.LookupNetIP(ctx, "ip4", "ready.example")
	return err == nil && len(addrs) == 1
}

// TestChrony: two time servers that are two hours ahead and agree, beside one that is
// right: the clock of this machine is behind, by those that agree.
func TestChrony(t *testing.T) {
	t.Parallel()
	chronyd, faketime := program(t, "chronyd"), program(t, "faketime")
	ahead := 2 * time.Hour
	var servers []string
	for i, lie := range []bool{true, true, false} {
		port := freePort(t)
		dir := openDir(t, map[string]string{"chrony.conf": fmt.Sprintf("port %d\nbindaddress 127.0.0.1\nallow 127.0.0.1\nlocal stratum 3\ncmdport 0\nbindcmdaddress /\npidfile DIR/pid%d\n", port, i)})
		args := []string{chronyd, "-x", "-d", "-u", "root", "-f", dir + "/chrony.conf"}
		replaceIn(t, dir+"/chrony.conf", "DIR", dir)
		if lie {
			args = append([]string{faketime, "-f", "+2h"}, args...)
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		start(t, func() bool { _, err := askTime(address); return err == nil }, args[0], args[1:]...)
		servers = append(servers, address)
	}
	nowhere := named{}
	w := route.Walker{Exchanger: route.NewProber(route.Prober{Net: nowhere}), Net: loopback{}, Times: servers}
	out := w.Walk(t.Context(), direct(), nil)
	c := out.Clock
	if c == nil || c.Agree != 2 || (c.Offset+ahead).Abs() > 2*time.Second || c.Uncertainty > 2*time.Second {
		t.Fatalf("the clock: %+v, want 2h behind by two that agree", c)
	}
	for i, s := range c.Sources {
		if s.Fault != "" {
			t.Errorf("source %d: %+v", i, s)
		}
	}
	// One liar alone is no witness, and a tie tells nothing.
	w.Times = servers[1:]
	if c := w.Walk(t.Context(), direct(), nil).Clock; c == nil || c.Agree != 0 || len(c.Sources) != 2 {
		t.Errorf("two that contradict each other: %+v", c)
	}
	// A time server that is not there is a fault of its own and no error.
	w.Times = []string{fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	if c := w.Walk(t.Context(), direct(), nil).Clock; c == nil || len(c.Sources) != 1 || c.Sources[0].Fault == "" {
		t.Errorf("nobody there: %+v", c)
	}
}

// loopback is a network of addresses alone.
type loopback struct{ route.OS }

func (loopback) LookupNetIP(_ context.Context, _, name string) ([]netip.Addr, error) {
	a, err := netip.ParseAddr(name)
	if err != nil || !a.IsLoopback() {
		return nil, errors.New("not on loopback")
	}
	return []netip.Addr{a}, nil
}
