package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/route"
)

// line is a client and a router in network namespaces of their own, with a real cable
// between them, and the lab's world behind the router. What is wrong with the line is
// told to the kernel.
type line struct {
	world          *lab.World
	client, router string // names of the namespaces
	in, out        int    // and file descriptors of them
}

var lines atomic.Int32

// newLine makes one. Rules for nft are loaded at the router, where the client's packets
// come in by "cable" and leave by it.
func newLine(t *testing.T, spec lab.WorldSpec, nft string, more ...string) *line {
	t.Helper()
	ip := program(t, "ip")
	if nft != "" {
		program(t, "nft")
	}
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	w, err := lab.Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	id := fmt.Sprintf("%d-%d", os.Getpid(), lines.Add(1))
	l := &line{world: w, client: "updoc-c" + id, router: "updoc-r" + id}
	for _, ns := range []string{l.client, l.router} {
		if out, err := exec.Command(ip, "netns", "add", ns).CombinedOutput(); err != nil {
			t.Skipf("no network namespaces here: %s", strings.TrimSpace(string(out)))
		}
		t.Cleanup(func() { _ = exec.Command(ip, "netns", "del", ns).Run() })
	}
	script := []string{
		"@c link add cable type veth peer name cable netns " + l.router,
		"@c addr add 192.0.2.20/24 dev cable", "@c addr add 2001:db8:2::20/64 dev cable nodad", "@c link set cable up", "@c link set lo up",
		"@r addr add 192.0.2.1/24 dev cable", "@r addr add 2001:db8:2::1/64 dev cable nodad", "@r link set cable up", "@r link set lo up",
		"@c route add default via 192.0.2.1", "@c -6 route add default via 2001:db8:2::1",
		// All of the world's addresses are the router's own.
		"@r route add local 198.51.100.0/24 dev lo", "@r route add local 203.0.113.0/24 dev lo", "@r -6 route add local 2001:db8:100::/40 dev lo",
	}
	for _, s := range script {
		ns, args := l.client, strings.Fields(s)
		if args[0] == "@r" {
			ns = l.router
		}
		if out, err := exec.Command(ip, append([]string{"-n", ns}, args[1:]...)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", s, err, out)
		}
	}
	for _, c := range append([]string{nft}, more...) {
		if c == "" {
			continue
		}
		args := append([]string{"netns", "exec", l.router}, strings.Fields(c)...)
		cmd := exec.Command(ip, args...)
		if c == nft {
			cmd = exec.Command(ip, "netns", "exec", l.router, "nft", "-f", "-")
			cmd.Stdin = strings.NewReader(nft)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("this kernel cannot do it: %s: %s", strings.TrimSpace(c), strings.TrimSpace(string(out)))
		}
	}
	l.in, l.out = openNS(t, l.client), openNS(t, l.router)
	l.serve(t)
	return l
}

func openNS(t *testing.T, name string) int {
	t.Helper()
	fd, err := unix.Open("/run/netns/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// within runs f on a thread that is in that namespace, and that ends with f: sockets
// belong to the namespace of the thread that made them.
func within[T any](ns int, f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // never unlocked
		if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
			done <- result{err: err}
			return
		}
		v, err := f()
		done <- result{v, err}
	}()
	r := <-done
	return r.v, r.err
}

// serve listens at the router on the ports of the world and passes connections on to
// the address that the client meant.
func (l *line) serve(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait() })
	for _, port := range []int{80, 443} {
		ln, err := within(l.out, func() (net.Listener, error) { return net.Listen("tcp", fmt.Sprintf(":%d", port)) })
		if err != nil {
			t.Fatal(err)
		}
		context.AfterFunc(ctx, func() { ln.Close() })
		wg.Go(func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				wg.Go(func() { l.pass(ctx, c) })
			}
		})
	}
}

func (l *line) pass(ctx context.Context, c net.Conn) {
	defer c.Close()
	to, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	in, err := l.world.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return
	}
	defer in.Close()
	stop := context.AfterFunc(ctx, func() { c.Close(); in.Close() })
	defer stop()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(in, c)
		if h, ok := in.(interface{ CloseWrite() error }); ok {
			_ = h.CloseWrite()
		}
		close(done)
	}()
	_, _ = io.Copy(c, in)
	c.Close()
	<-done
}

// LookupNetIP and DialContext make the line a network: the world's names, and the
// kernel's own connections.
func (l *line) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	return l.world.LookupNetIP(ctx, network, name)
}

func (l *line) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if strings.HasPrefix(network, "udp") {
		return nil, errors.New("this line carries no packets of UDP")
	}
	return within(l.in, func() (net.Conn, error) { return route.OS{}.DialContext(ctx, network, addr) })
}

func (l *line) walker() route.Walker {
	return route.Walker{
		Exchanger: route.NewProber(route.Prober{Net: l, Roots: l.world.Trusted(), Microsoft: l.world.Roots(), Now: l.world.MachineNow}),
		Net:       l, Now: l.world.MachineNow,
	}
}

// atRouter is a table of nft for what the router does to packets from the client, and
// to those that it sends itself.
func atRouter(input, output string) string {
	return "table inet t {\n chain i { type filter hook input priority 0; " + input + " }\n chain o { type filter hook output priority 0; " + output + " }\n}\n"
}

const (
	someLocator = "198.51.100.10" // of the lab's world
	someContent = "198.51.100.20"
)

// TestLine: what packet filters and queues do to the route.
func TestLine(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		nft  string
		more []string
		want []expect
	}{
		"healthy": {want: open},
		"SYN dropped": {
			nft: atRouter("ip daddr "+someLocator+" drop; ip6 daddr 2001:db8:100::/48 tcp dport 443 drop; ip daddr "+someContent+" drop;  ip6 daddr 2001:db8:100::/48 drop;", ""),
			want: []expect{
				{"scan.locator", host.HopTCP, host.FaultTimeout, 0x80072EE2},
				{"download.range", host.HopTCP, host.FaultTimeout, 0x80D02002},
			},
		},
		"SYN reset": {
			nft: atRouter("tcp dport {80, 443} reject with tcp reset;", ""),
			want: []expect{
				{"scan.locator", host.HopTCP, host.FaultRefused, 0x80072EFD},
				{"scan.config", host.HopTCP, host.FaultRefused, 0x80240438},
				{"download.range", host.HopTCP, host.FaultRefused, 0x80072EFD},
			},
		},
		"reset in the handshake": { // as firewalls do that read the name in it
			nft: atRouter("tcp dport 443 meta length > 200 reject with tcp reset;", ""),
			want: []expect{
				{"scan.locator", host.HopTLS, host.FaultReset, 0x80072EFE},
				{"scan.config", host.HopTLS, host.FaultReset, 0x80072EFE},
				{task: "download.range"},
			},
		},
		"ICMP unreachable": {
			nft: atRouter("tcp dport 443 reject with icmpx type host-unreachable;", ""),
			want: []expect{
				{"scan.locator", host.HopTCP, host.FaultUnreachable, 0x80072EFD},
				{"scan.config", host.HopTCP, host.FaultUnreachable, 0x80240438},
				{task: "download.range"},
			},
		},
		"ICMP prohibited": {
			nft:  atRouter("tcp dport 80 reject with icmpx type admin-prohibited;", ""),
			want: []expect{{task: "scan.config"}, {"download.range", host.HopTCP, host.FaultUnreachable, 0x80072EFD}},
		},
		"a slow line": { // 1 MiB takes its time and comes
			more: []string{"tc qdisc add dev cable root tbf rate 4mbit burst 32kb latency 400ms"},
			want: []expect{{task: "scan.config"}, {task: "download.range"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, c := range tt.more {
				program(t, strings.Fields(c)[0])
			}
			l := newLine(t, lab.WorldSpec{}, tt.nft, tt.more...)
			w := walk(t, l.walker(), direct(), "scan", "download.head", "download.range")
			holds(t, w, tt.want...)
			if name == "a slow line" {
				if took := deciding(t, w, "download.range").Took; took < 1500*time.Millisecond {
					t.Errorf("1 MiB at 4 Mbit/s in %s", took)
				}
			}
		})
	}
}

// TestLineLoss: three packets of ten are lost, and the line is called unsteady; on a
// line that loses none it is not.
func TestLineLoss(t *testing.T) {
	t.Parallel()
	for name, nft := range map[string]string{"steady": "", "lossy": atRouter("tcp flags syn numgen random mod 100 < 30 drop;", "")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLine(t, lab.WorldSpec{}, nft)
			walker := l.walker()
			walker.Repeat = 12
			w := walk(t, walker, direct(), "scan.config", "download.range", "verify")
			if seen := stray(w, "line-unsteady"); (seen != "") != (nft != "") {
				t.Errorf("unsteady: %q", seen)
			}
		})
	}
}

// TestLineBlackHole: packets to the client of more than 600 bytes vanish, as behind a
// tunnel whose router keeps silent. Small answers come whole.
func TestLineBlackHole(t *testing.T) {
	t.Parallel()
	l := newLine(t, lab.WorldSpec{}, atRouter("", "meta length > 600 drop;"))
	w := walk(t, l.walker(), direct(), "scan.config", "download.range", "verify.portal")
	if seen := stray(w, "mtu"); seen == "" {
		t.Error("no black hole is seen")
	}
	holds(
		t, w,
		expect{task: "verify.portal"},
		expect{"scan.config", host.HopTLS, host.FaultTimeout, 0x80072EE2},
		expect{"download.range", host.HopHTTP, host.FaultTimeout, 0x80D02002},
	)
}

// TestLineIPv6Dead: the machine has addresses and a route for IPv6, and nothing comes
// back. The walk goes on by IPv4 and says what every new connection waits for.
func TestLineIPv6Dead(t *testing.T) {
	t.Parallel()
	l := newLine(t, lab.WorldSpec{}, atRouter("meta nfproto ipv6 tcp dport {80, 443} drop;", ""))
	w := walk(t, l.walker(), direct(), "scan.config", "download.range")
	holds(t, w, expect{task: "scan.config"}, expect{task: "download.range"})
	if seen := stray(w, "ipv6-dead"); !strings.Contains(seen, "timeout") {
		t.Errorf("dead IPv6: %q", seen)
	}
}
