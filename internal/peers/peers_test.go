//go:build linux

package peers

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/proxyauth"
	"updoc/internal/route"
	"updoc/internal/route/pac"
)

// The test binary plays the child that evaluates configuration scripts.
func TestMain(m *testing.M) {
	if os.Getenv(pac.Role) == pac.Child {
		os.Exit(pac.Serve(os.Stdin, os.Stdout, nil))
	}
	// They wait for others most of the time: more of them may run than there are
	// processors.
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f != nil && f.Value.String() == f.DefValue {
		_ = f.Value.Set("12")
	}
	os.Exit(m.Run())
}

// full skips what takes long, or a large package, unless ./test full runs it.
func full(t *testing.T) {
	t.Helper()
	if os.Getenv("UPDOC_FULL") == "" {
		t.Skip("./test full runs it (UPDOC_FULL=1)")
	}
}

// program finds a peer, also where an ordinary user's path does not lead.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin", "/sbin"} {
		if p, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return p
		}
	}
	t.Skip(name + " is not installed")
	return ""
}

// output collects what a child says, for a test that fails.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	const enough = 256 << 10
	if o.b.Len() < enough {
		o.b.Write(p)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start runs a peer in a process group of its own until the test ends, and waits until
// ready says that it serves.
func start(t *testing.T, ready func() bool, name string, args ...string) *output {
	t.Helper()
	out := &output{}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", filepath.Base(name), err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // helpers that outlive it
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(name), out)
		}
	})
	for deadline := time.Now().Add(time.Minute); !ready(); {
		select {
		case <-ended:
			t.Fatalf("%s ended at once:\n%s", filepath.Base(name), out)
		case <-time.After(30 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not serve:\n%s", filepath.Base(name), out)
		}
	}
	return out
}

// listens reports that somebody takes connections there.
func listens(address string) func() bool {
	return func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	}
}

// freePort is a port of loopback on which nothing listens, on TCP and on UDP.
func freePort(t *testing.T) int {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		c, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
		l.Close()
		if err == nil {
			c.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// openDir is a temporary directory that others may use: a server that is started by
// root goes on as another user.
func openDir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, mode := range map[string]os.FileMode{dir: 0o777, filepath.Dir(dir): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// bed is a lab's world on sockets, that a peer stands before.
type bed struct {
	world *lab.World
	doors *lab.Doors
}

// newBed opens a world. Its services keep their ports, on loopback addresses that no
// other bed has; who may not listen on port 80 cannot have one.
func newBed(t *testing.T, spec lab.WorldSpec) *bed {
	t.Helper()
	for range 10 {
		w, err := lab.Open(spec)
		if err != nil {
			t.Fatal(err)
		}
		// Some second byte of 127.0.0.0/8 that is in use neither by the program's own
		// lab (77) nor by anything that listens on all of 127.0.0.1.
		second := byte(100 + time.Now().UnixNano()/1000%150)
		doors, err := w.Listen(netip.PrefixFrom(netip.AddrFrom4([4]byte{127, second, 0, 0}), 16))
		if err == nil && doors.Same {
			t.Cleanup(func() { w.Close() })
			return &bed{w, doors}
		}
		w.Close()
	}
	t.Skip("no right to listen on ports 80 and 443 of loopback")
	return nil
}

// hosts is the bed as a hosts file, for peers that resolve names by one.
func (b *bed) hosts() string {
	var out strings.Builder
	for _, d := range b.doors.Doors {
		for _, n := range d.Names {
			names := []string{n}
			if prefix := "*.prod.do.dsp"; strings.HasPrefix(n, prefix) { // those that the plan asks for
				names = []string{strings.Replace(n, "*", "geo", 1), strings.Replace(n, "*", "kv501", 1)}
			}
			for _, n := range names {
				if !strings.Contains(n, "*") {
					fmt.Fprintf(&out, "%s %s\n", d.Real.Addr(), n)
				}
			}
		}
	}
	return out.String()
}

// LookupNetIP and DialContext make a bed a network: its names, on real sockets.
func (b *bed) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	for _, d := range b.doors.Doors {
		if slices.Contains(d.Names, name) {
			return []netip.Addr{d.Real.Addr()}, nil
		}
	}
	return route.OS{DNS: b.doors.DNS.String()}.LookupNetIP(ctx, network, name)
}

func (b *bed) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return route.OS{}.DialContext(ctx, network, addr)
}

// prober walks in the bed; login may be nil.
func (b *bed) prober(login *proxyauth.Credentials) *route.Prober {
	p := route.Prober{Net: b, Roots: b.world.Trusted(), Microsoft: b.world.Roots(), Now: b.world.MachineNow}
	if login != nil {
		p.SignIn = func(string) (proxyauth.Credentials, bool) { return *login, true }
	}
	return route.NewProber(p)
}

// through are the settings of a machine whose every account uses one proxy.
func through(proxy string) route.Settings {
	p := route.Proxy{Known: true, Static: proxy, Source: "netsh winhttp show proxy"}
	return route.Settings{
		Machine: p, Internet: p, User: p,
		Accounts: map[route.Account]route.Proxy{route.System: p, route.LocalService: p, route.NetworkService: p},
	}
}

// direct are those of a machine without any.
func direct() route.Settings { return through("") }

// walk walks those requests of a machine's plan.
func walk(t *testing.T, w route.Walker, s route.Settings, only ...string) *route.Walk {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if w.Scripts == nil {
		w.Scripts = &pac.Sandbox{}
	}
	out := w.Walk(ctx, s, s.Plan(route.PlanOptions{Only: only, Now: time.Now()}))
	if len(out.Trips) == 0 {
		t.Fatalf("nothing is planned for %q", only)
	}
	for _, g := range out.Gaps {
		t.Errorf("a gap: %s", g)
	}
	return out
}

// expect is what one request must show: the hop that breaks, its fault, and the code
// that Windows would report. No fault: it is answered as it should be.
type expect struct {
	task  string
	kind  host.HopKind
	fault host.Fault
	code  codes.HRESULT
}

// holds compares a walk with what is expected of it.
func holds(t *testing.T, w *route.Walk, want ...expect) {
	t.Helper()
	for _, e := range want {
		i := slices.IndexFunc(w.Trips, func(trip route.Trip) bool { return trip.Task.ID == e.task })
		if i < 0 {
			t.Errorf("%s was not walked", e.task)
			continue
		}
		a := w.Trips[i].Deciding()
		if a == nil {
			t.Errorf("%s: nothing decided", e.task)
			continue
		}
		got := expect{task: e.task, code: w.Trips[i].Predict.Code}
		b := a.Exchange.Broken()
		if b != nil {
			got.kind, got.fault = b.Kind, b.Fault
		}
		if got != e {
			t.Errorf("%s: %s/%s %v, want %s/%s %v: %s", e.task, got.kind, got.fault, got.code, e.kind, e.fault, e.code, b.Tell())
		}
	}
}

// deciding returns the exchange that decides a task.
func deciding(t *testing.T, w *route.Walk, task string) *host.Exchange {
	t.Helper()
	for i := range w.Trips {
		if w.Trips[i].Task.ID == task && w.Trips[i].Deciding() != nil {
			return &w.Trips[i].Deciding().Exchange
		}
	}
	t.Fatalf("%s was not walked", task)
	return nil
}

// hop returns the first hop of a kind, or nil.
func hop(ex *host.Exchange, kind host.HopKind) *host.Hop {
	for i := range ex.Hops {
		if ex.Hops[i].Kind == kind {
			return &ex.Hops[i]
		}
	}
	return nil
}

// stray returns what a walk says under an observation's name.
func stray(w *route.Walk, id string) string {
	for _, o := range w.Stray {
		if o.ID == id {
			return o.Seen
		}
	}
	return ""
}

// serveFile serves one file on loopback and returns its address.
func serveFile(t *testing.T, contentType, text string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/proxy.pac"
}

func replaceIn(t *testing.T, path, from, to string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(b, []byte(from), []byte(to)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// askTime asks a time server over SNTP, by nothing but RFC 4330, what it says.
func askTime(address string) (time.Time, error) {
	conn, err := net.DialTimeout("udp", address, time.Second)
	if err != nil {
		return time.Time{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
	b := make([]byte, 48)
	b[0] = 4<<3 | 3
	if _, err := conn.Write(b); err != nil {
		return time.Time{}, err
	}
	if _, err := io.ReadFull(conn, b[:48]); err != nil {
		return time.Time{}, err
	}
	if b[1] == 0 || b[0]>>6 == 3 {
		return time.Time{}, errors.New("not in step yet")
	}
	const since1900 = 2208988800
	return time.Unix(int64(binary.BigEndian.Uint32(b[40:]))-since1900, 0), nil
}
