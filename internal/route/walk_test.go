package route

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/route/pac"
)

// The test binary plays the child that evaluates configuration scripts.
func TestMain(m *testing.M) {
	if os.Getenv(pac.Role) == pac.Child {
		os.Exit(pac.Serve(os.Stdin, os.Stdout, nil))
	}
	os.Exit(m.Run())
}

// world opens a world of the lab for one test, which must leave no goroutine.
func world(t *testing.T, spec lab.WorldSpec) (*lab.World, *Prober) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	w, err := lab.Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.Close()
		goleak.VerifyNone(t, before)
	})
	return w, NewProber(Prober{Net: w, Roots: w.Trusted(), Microsoft: w.Roots(), Now: w.MachineNow})
}

// TestWalkBounds: twenty addresses by three decisions with one of them in a black hole.
// The walk ends half a second after its slowest single probe at the latest, and never
// holds more than 64 connections.
func TestWalkBounds(t *testing.T) {
	const hole = "fe2cr.update.microsoft.com"
	w, prober := world(t, lab.WorldSpec{
		Proxies: []lab.Proxy{{Name: "proxy1.fabrikam.example"}, {Name: "proxy2.fabrikam.example"}},
		Paths: []lab.Path{
			{From: "*", To: hole, Fault: lab.PathDrop},
			{From: "*", Latency: lab.Duration(15 * time.Millisecond)},
		},
	})
	var urls []string
	for _, name := range []string{
		"slscr.update.microsoft.com", hole, "fe3cr.delivery.mp.microsoft.com", "statsfe2.update.microsoft.com", "settings-win.data.microsoft.com",
		"download.windowsupdate.com", "ctldl.windowsupdate.com", "www.microsoft.com", "www.example.com", "www.example.org",
	} {
		urls = append(urls, "https://"+name+"/", "https://"+name+"/a")
	}
	s := Settings{
		Machine: Proxy{Known: true, Static: "proxy1.fabrikam.example:8080"}, User: Proxy{Known: true, Static: "proxy2.fabrikam.example:8080"},
		Internet: Proxy{Known: true},
	}
	plan := s.Plan(PlanOptions{URLs: urls, Only: []string{"url"}})
	if len(plan) != 20 {
		t.Fatalf("%d requests are planned", len(plan))
	}
	for i := range plan { // three decisions each, the direct one among them
		plan[i].Decisions = []Decision{
			{Proxy: s.Machine, Why: "the system's proxy"},
			{Proxy: s.User, Why: "the user's proxy", After: unreached()},
			{Proxy: Proxy{Known: true}, Why: "direct", After: unreached()},
		}
	}
	walker := Walker{Exchanger: prober, Net: w, Now: w.MachineNow, Times: []string{"time.windows.com:123"}}
	walk := walker.Walk(t.Context(), s, plan)
	slowest, walked := time.Duration(0), 0
	for i := range walk.Trips {
		for _, a := range walk.Trips[i].Attempts {
			if a.Walked {
				walked++
				slowest = max(slowest, a.Exchange.Took)
			}
			if broken := a.Exchange.Broken() != nil; broken != strings.Contains(a.Exchange.Request.URL, hole) && a.Exchange.Status/100 != 4 {
				t.Errorf("%s by %s: %s", a.Exchange.Request.URL, a.Decision.Why, a.Exchange.Broken().Tell())
			}
		}
	}
	if walked != 60 {
		t.Errorf("%d ways were walked, want 60", walked)
	}
	if slowest < leastTime {
		t.Errorf("nothing waited: the slowest probe took %s", slowest)
	}
	if walk.Took > slowest+500*time.Millisecond {
		t.Errorf("the walk took %s, its slowest probe %s", walk.Took, slowest)
	}
	peak, open := w.Peak()
	if peak > 64 || peak < 20 {
		t.Errorf("%d connections at once", peak)
	}
	if open != 0 {
		t.Errorf("%d connections are still open", open)
	}
	t.Logf("%s, slowest probe %s, %d connections at once", walk.Took.Round(time.Millisecond), slowest.Round(time.Millisecond), peak)
}

// TestWalkWritesNothing: a whole walk of a machine with a WSUS changes nothing on any
// server, and says who it is to none.
func TestWalkWritesNothing(t *testing.T) {
	w, prober := world(t, lab.WorldSpec{WSUS: []lab.WSUS{{Name: "wsus.fabrikam.example"}}})
	direct := Proxy{Known: true}
	s := Settings{
		Machine: direct, Internet: direct, User: direct, WSUS: "http://wsus.fabrikam.example:8530", UseWSUS: true, FromMicrosoft: []string{"quality"},
		ClientID: "1b4e28ba-2fa1-4d2e-883f-0016d3cca427", Computer: "pc07.fabrikam.example",
	}
	walker := Walker{Exchanger: prober, Net: w, Now: w.MachineNow, Repeat: 3}
	walk := walker.Walk(t.Context(), s, s.Plan(PlanOptions{Now: w.MachineNow()}))
	for _, trip := range walk.Trips {
		if a := trip.Deciding(); a != nil && a.Exchange.Broken() != nil {
			t.Errorf("%s: %s", trip.Task.ID, a.Exchange.Broken().Tell())
		}
	}
	if wrote := w.Wrote(); len(wrote) > 0 {
		t.Errorf("the walk wrote: %+v", wrote[0])
	}
	requests := 0
	for _, e := range w.Log() {
		if e.Kind != "request" {
			continue
		}
		requests++
		switch e.Action {
		case "", "GetConfig", "GetCookie":
		default:
			t.Errorf("%s %s calls %s", e.Method, e.Target, e.Action)
		}
		if e.Client != "" || strings.Contains(e.Target, s.ClientID) {
			t.Errorf("%s %s says who asks", e.Method, e.Target)
		}
		switch e.Method {
		case "GET", "HEAD", "POST":
		default:
			t.Errorf("the method %s was sent", e.Method)
		}
	}
	if requests < 15 {
		t.Errorf("%d requests were seen", requests)
	}
}

// TestWalkHostile: the lab's worst answers, through the walker: each ends, is named and
// predicted, and none of them only because the time was over.
func TestWalkHostile(t *testing.T) {
	for body, want := range map[string]host.Fault{
		lab.BodyPage: host.FaultPortal, lab.BodyEmpty: host.FaultAnswer, lab.BodyGarbage: host.FaultAnswer, lab.BodyNotHTTP: host.FaultNotHTTP,
		lab.BodyHeaders: host.FaultEndless, lab.BodyBomb: host.FaultAnswer, lab.BodyDeep: host.FaultEndless, lab.BodyEndless: host.FaultEndless,
		lab.BodySlow: host.FaultTimeout, lab.BodyLoop: host.FaultRedirect, lab.BodyCut: host.FaultLength, lab.BodyFaultXML: host.FaultStatus,
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // its time stands still while there is work, however busy the machine
				w, err := lab.Open(lab.WorldSpec{Troubles: []lab.Trouble{{Host: "fe2cr.update.microsoft.com", Body: body}}})
				if err != nil {
					t.Fatal(err)
				}
				defer w.Close()
				s := Settings{Machine: Proxy{Known: true}, User: Proxy{Known: true}, Internet: Proxy{Known: true}}
				walker := Walker{Exchanger: NewProber(Prober{Net: w, Roots: w.Trusted(), Microsoft: w.Roots(), Now: w.MachineNow}), Now: w.MachineNow}
				walk := walker.Walk(t.Context(), s, s.Plan(PlanOptions{Only: []string{"scan.config"}, Now: w.MachineNow()}))
				trip := &walk.Trips[0]
				if trip.Deciding() == nil || trip.Deciding().Exchange.Broken() == nil {
					t.Fatal("it is told as sound")
				}
				b := trip.Deciding().Exchange.Broken()
				if b.Fault != want {
					t.Errorf("told as %s, want %s", b.Tell(), want)
				}
				if trip.Predict.Code == 0 {
					t.Errorf("nothing is predicted for %s", b.Tell())
				}
			})
		})
	}
}

// TestWalkHostileScripts: scripts that loop, allocate or are none, evaluated by the real
// child: the walk goes on without them in bounded time and says why.
func TestWalkHostileScripts(t *testing.T) {
	for name, text := range map[string]string{
		"loops":     "function FindProxyForURL(u, h) { for (;;) {} }",
		"recurses":  "function FindProxyForURL(u, h) { return FindProxyForURL(u, h) + 1; }",
		"allocates": "function FindProxyForURL(u, h) { var a = []; for (;;) a.push(new Array(1e6).join('x')); }",
		"is none":   "<html>not found</html>",
		"is binary": "\x00\x01\x02\xff",
		"says much": "function FindProxyForURL(u, h) { var s = 'PROXY a:1;'; for (var i = 0; i < 24; i++) s += s; return s; }",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, err := lab.Open(lab.WorldSpec{Scripts: []lab.Script{{Host: "pac.fabrikam.example", Text: text}}})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			p := Proxy{Known: true, PAC: "http://pac.fabrikam.example/wpad.dat"}
			s := Settings{Machine: p, User: p, Internet: p}
			walker := Walker{
				Exchanger: NewProber(Prober{Net: w, Roots: w.Trusted(), Microsoft: w.Roots(), Now: w.MachineNow}), Now: w.MachineNow,
				Scripts: &pac.Sandbox{}, Env: pac.Env{Dialect: pac.JScript},
			}
			begin := time.Now()
			walk := walker.Walk(t.Context(), s, s.Plan(PlanOptions{Only: []string{"scan.config"}, Now: w.MachineNow()}))
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("it took %s", took)
			}
			a := walk.Trips[0].Deciding()
			switch {
			case a == nil || a.Script == nil:
				t.Fatalf("nothing decided: %v", walk.Gaps)
			case name == "says much":
				if len(a.Script.List) > 64<<10 {
					t.Errorf("%d bytes of a list are kept", len(a.Script.List))
				}
			case a.Script.Fault == "":
				t.Errorf("the script is told as sound: %+v", a.Script)
			case a.Exchange.Broken() != nil:
				t.Errorf("without the script the way is direct and open: %s", a.Exchange.Broken().Tell())
			}
		})
	}
}

// TestWalkStopped: a walk that is stopped ends at once, with gaps and without a fault
// that is nobody's but ours.
func TestWalkStopped(t *testing.T) {
	w, prober := world(t, lab.WorldSpec{Paths: []lab.Path{{To: "*", Fault: lab.PathDrop}}})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	s := Settings{Machine: Proxy{Known: true}, User: Proxy{Known: true}, Internet: Proxy{Known: true}}
	walker := Walker{Exchanger: prober, Net: w, Now: w.MachineNow, Times: []string{"time.windows.com:123"}, Repeat: 5}
	begin := time.Now()
	walk := walker.Walk(ctx, s, s.Plan(PlanOptions{Only: []string{"scan"}, Now: w.MachineNow()}))
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("it ended after %s", took)
	}
	if len(walk.Gaps) == 0 {
		t.Error("nothing is a gap")
	}
	for _, trip := range walk.Trips {
		if a := trip.Deciding(); a != nil && a.Exchange.Broken() != nil && a.Exchange.Broken().Fault == host.FaultTimeout {
			t.Errorf("%s: told as %s", trip.Task.ID, a.Exchange.Broken().Tell())
		}
	}
}

// eyeballs is a network whose addresses answer as a table says.
type eyeballs struct {
	addrs []netip.Addr
	after map[string]time.Duration // until a connection stands or fails
	fails map[string]error
	dials *dialLog
}

// dialLog are the addresses that were dialled, in order.
type dialLog struct {
	mu   sync.Mutex
	list []string
}

func (e eyeballs) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return e.addrs, nil
}

func (e eyeballs) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	ap := netip.MustParseAddrPort(addr)
	e.dials.mu.Lock()
	e.dials.list = append(e.dials.list, ap.Addr().String())
	e.dials.mu.Unlock()
	wait, ok := e.after[ap.Addr().String()]
	if !ok {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
	}
	if err := e.fails[ap.Addr().String()]; err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	return says(okHead+"Content-Length: 0\r\n\r\n").DialContext(ctx, network, addr)
}

// TestRacing: addresses of both families are raced as RFC 8305 says, one more each
// quarter of a second, and what failed on the way is told.
func TestRacing(t *testing.T) {
	const a6, a4, b6, b4 = "2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"
	const all = a6 + " " + a4 + " " + b6 + " " + b4
	var addrs []netip.Addr
	for _, s := range []string{a6, b6, a4, b4} {
		addrs = append(addrs, netip.MustParseAddr(s))
	}
	refused := errors.Join(syscall.ECONNREFUSED)
	for name, tt := range map[string]struct {
		after map[string]time.Duration
		fails map[string]error
		dials string // in order
		won   string
		fault host.Fault
		most  time.Duration
	}{
		"the first at once":         {map[string]time.Duration{a6: 0}, nil, a6, a6, "", 0},
		"the other family":          {map[string]time.Duration{a4: 10 * time.Millisecond}, nil, a6 + " " + a4, a4, "", 300 * time.Millisecond},
		"the first is slow and won": {map[string]time.Duration{a6: 300 * time.Millisecond, a4: time.Second}, nil, a6 + " " + a4, a6, "", 300 * time.Millisecond},
		"the third, two are dead":   {map[string]time.Duration{b6: 20 * time.Millisecond}, nil, a6 + " " + a4 + " " + b6, b6, "", 520 * time.Millisecond},
		"the fourth, three are":     {map[string]time.Duration{b4: 0}, nil, all, b4, "", 750 * time.Millisecond},
		"dead, refused, alive":      {map[string]time.Duration{a4: 0, b6: 0}, map[string]error{a4: refused}, a6 + " " + a4 + " " + b6, b6, "", 250 * time.Millisecond},
		"all are dead":              {nil, nil, all, "", host.FaultTimeout, connectTime},
		"refused, the next at once": {map[string]time.Duration{a6: 0, a4: 0}, map[string]error{a6: refused}, a6 + " " + a4, a4, "", 10 * time.Millisecond},
		"all refuse":                {map[string]time.Duration{a6: 0, a4: 0, b6: 0, b4: 0}, map[string]error{a6: refused, a4: refused, b6: refused, b4: refused}, all, "", host.FaultRefused, 10 * time.Millisecond},
		"the preferred one decides": {map[string]time.Duration{a6: time.Second, a4: 0, b6: 0, b4: 0}, map[string]error{a6: syscall.EHOSTUNREACH, a4: refused, b6: refused, b4: refused}, "", "", host.FaultUnreachable, time.Second},
		"this machine's firewall":   {map[string]time.Duration{a6: 0, a4: 0, b6: 0, b4: 0}, map[string]error{a6: errnoBlocked[0], a4: errnoBlocked[0], b6: errnoBlocked[0], b4: errnoBlocked[0]}, "", "", host.FaultBlocked, 10 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var dials dialLog
				p := NewProber(Prober{Net: eyeballs{addrs, tt.after, tt.fails, &dials}})
				ex, err := p.Exchange(t.Context(), host.Request{ID: "t", Method: "GET", URL: "http://www.fabrikam.example/"})
				if err != nil {
					t.Fatal(err)
				}
				h := ex.Hops[1]
				dials.mu.Lock()
				defer dials.mu.Unlock()
				if got := strings.Join(dials.list, " "); tt.dials != "" && got != tt.dials {
					t.Errorf("dialled %s, want %s", got, tt.dials)
				}
				if h.Kind != host.HopTCP || h.Fault != tt.fault {
					t.Errorf("told as %s, want %s", h.Tell(), tt.fault)
				}
				if tt.won != "" && h.Remote.Addr().String() != tt.won {
					t.Errorf("%s won, want %s", h.Remote, tt.won)
				}
				if h.Took > tt.most+time.Millisecond {
					t.Errorf("it took %s, want %s", h.Took, tt.most)
				}
				for _, d := range h.Tried {
					if d.Remote.Port() != 80 || tt.fault != "" && d.Fault == "" {
						t.Errorf("tried: %+v", d)
					}
				}
				time.Sleep(time.Minute) // what lost the race is closed
			})
		})
	}
}

// TestRacingBounded: a name with very many addresses is not dialled without end, and
// exchanges that race share what they may have open.
func TestRacingBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var addrs []netip.Addr
		for i := range 100 {
			addrs = append(addrs, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
		}
		var dials dialLog
		counted := &counting{Net: eyeballs{addrs: addrs, dials: &dials}}
		p := NewProber(Prober{Net: counted})
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() {
				ex, err := p.Exchange(t.Context(), host.Request{ID: "t", Method: "GET", URL: "http://www.fabrikam.example/"})
				if b := ex.Broken(); err != nil || b == nil || b.Fault != host.FaultTimeout || len(b.Tried) > maxDials {
					t.Errorf("told as %s (%v)", b.Tell(), err)
				}
			})
		}
		wg.Wait()
		if counted.peak != maxExchanges+maxSpare || counted.open != 0 || len(p.spare) != 0 || len(p.gate) != 0 {
			t.Errorf("%d connections at once, %d still open, %d and %d places taken", counted.peak, counted.open, len(p.spare), len(p.gate))
		}
	})
}

// counting counts the connections that are being made.
type counting struct {
	Net
	mu         sync.Mutex
	open, peak int
}

func (c *counting) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c.mu.Lock()
	c.open++
	c.peak = max(c.peak, c.open)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.open--
		c.mu.Unlock()
	}()
	return c.Net.DialContext(ctx, network, addr)
}

// lateNames is a network whose resolver takes its time.
type lateNames struct {
	Net
	wait time.Duration
}

func (n lateNames) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	select {
	case <-time.After(n.wait):
		return n.Net.LookupNetIP(ctx, network, name)
	case <-ctx.Done():
		return nil, &net.DNSError{Err: "timeout", Name: name, IsTimeout: true}
	}
}

// TestConnectBudget: name, addresses, tunnel and handshake share one time, counted from
// when the request was asked for, and none of them is called late before it had its own.
func TestConnectBudget(t *testing.T) {
	dead := eyeballs{addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, dials: &dialLog{}}
	for name, tt := range map[string]struct {
		net   Net
		url   string
		proxy string
		asked time.Duration // so long ago
		kind  host.HopKind
		took  time.Duration
	}{
		"names":                 {lateNames{dead, time.Hour}, "https://www.fabrikam.example/", "", 0, host.HopDNS, connectTime},
		"addresses":             {dead, "https://www.fabrikam.example/", "", 0, host.HopTCP, connectTime},
		"names, then addresses": {lateNames{dead, time.Second}, "https://www.fabrikam.example/", "", 0, host.HopTCP, connectTime},
		"late names":            {lateNames{dead, 4 * time.Second}, "https://www.fabrikam.example/", "", 0, host.HopTCP, 4*time.Second + leastTime},
		"handshake":             {drips("", "", time.Hour), "https://192.0.2.1/", "", 0, host.HopTLS, connectTime},
		"late names, handshake": {lateNames{drips("", "", time.Hour), 3 * time.Second}, "https://www.fabrikam.example/", "", 0, host.HopTLS, 3*time.Second + leastTime},
		"tunnel":                {drips("", "", time.Hour), "https://www.fabrikam.example/", "http://192.0.2.1:8080", 0, host.HopProxy, connectTime},
		"no tunnel":             {drips("", "", time.Hour), "http://www.fabrikam.example/", "http://192.0.2.1:8080", 0, host.HopProxy, answerTime},
		"asked for before":      {dead, "https://www.fabrikam.example/", "", 500 * time.Millisecond, host.HopTCP, connectTime - 500*time.Millisecond},
		"asked for long before": {dead, "https://www.fabrikam.example/", "", time.Hour, host.HopTCP, leastTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				ex, err := NewProber(Prober{Net: tt.net}).exchange(t.Context(), host.Request{ID: "t", Method: "GET", URL: tt.url, Via: host.Via{Proxy: tt.proxy}}, begin.Add(-tt.asked))
				if err != nil {
					t.Fatal(err)
				}
				if b := ex.Broken(); b == nil || b.Kind != tt.kind || b.Fault != host.FaultTimeout && b.Fault != host.FaultNoResolver {
					t.Errorf("told as %s, want a late %s", b.Tell(), tt.kind)
				}
				if took := time.Since(begin); took != tt.took {
					t.Errorf("it took %s, want %s", took, tt.took)
				}
				time.Sleep(2 * time.Hour) // the other side ends too
			})
		})
	}
}
