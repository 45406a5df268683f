package pac_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/route/pac"
)

func box() *pac.Sandbox { return &pac.Sandbox{} }

func call(t testing.TB, address string) pac.Call {
	t.Helper()
	c, err := pac.NewCall(address)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func lookup(_ context.Context, host string) ([]netip.Addr, error) {
	switch strings.ToLower(host) {
	case "www.fabrikam.example":
		return []netip.Addr{netip.MustParseAddr("2001:db8::80"), netip.MustParseAddr("198.51.100.80")}, nil
	case "wsus01.corp.fabrikam.example", "wsus01":
		return []netip.Addr{netip.MustParseAddr("10.20.0.5")}, nil
	}
	return nil, errors.New("no such host")
}

var env = pac.Env{
	Now:       time.Date(2027, 3, 1, 9, 30, 0, 0, time.FixedZone("", 2*60*60)), // a Monday
	Addresses: []netip.Addr{netip.MustParseAddr("10.20.8.41"), netip.MustParseAddr("2001:db8:8::41")},
	Lookup:    lookup,
}

// The scripts of testdata are invented in the style of real ones. Each begins
// with comment lines "url => list", "url !> fault" that say what it decides.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.pac")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d scripts: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var calls []pac.Call
			var want []string
			for line := range strings.Lines(string(script)) {
				rule, ok := strings.CutPrefix(line, "//? ")
				if !ok {
					continue
				}
				address, result, ok := strings.Cut(strings.TrimSpace(rule), " => ")
				if !ok {
					t.Fatalf("no rule: %q", line)
				}
				calls, want = append(calls, call(t, address)), append(want, result)
			}
			results, err := box().Evaluate(t.Context(), script, env, calls)
			if err != nil || len(results) != len(calls) || len(calls) == 0 {
				t.Fatalf("%d results: %v", len(results), err)
			}
			for i, r := range results {
				got := r.List
				if r.Err != nil {
					got = "error " + string(r.Err.Fault)
				}
				if got != want[i] {
					t.Errorf("%s => %s, want %s (%v)", r.Call.URL, got, want[i], r.Err)
				}
			}
			// WinHTTP decides the same, except about the script that it cannot read.
			old := env
			old.Dialect = pac.JScript
			again, err := box().Evaluate(t.Context(), script, old, calls)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range again {
				if filepath.Base(file) == "modern.pac" {
					if r.Err == nil || r.Err.Fault != pac.FaultDialect || r.Err.Line != 4 {
						t.Errorf("JScript reads %s: %q, %v", r.Call.URL, r.List, r.Err)
					}
				} else if r.List != results[i].List {
					t.Errorf("JScript: %s => %s, %v", r.Call.URL, r.List, r.Err)
				}
			}
		})
	}
}

// A result has everything in it that a report wants to say.
func TestResult(t *testing.T) {
	const script = `
function FindProxyForURL(url, host) {
	alert("asked for " + host + "\x1b[31m\0");
	if (isInNet(host, "10.0.0.0", "255.0.0.0")) return "DIRECT";
	if (isResolvable("bogus.fabrikam.example")) return "DIRECT";
	return "PROXY svc:Pa55w0rd@proxy.fabrikam.example:8080; PROXY [2001:db8::3]:3128; DIRECT";
}`
	results, err := box().Evaluate(t.Context(), []byte(script), env, []pac.Call{
		call(t, "http://www.fabrikam.example/a"), call(t, "http://wsus01/"), call(t, "http://www.fabrikam.example/b"),
	})
	if err != nil {
		t.Fatal(err)
	}
	r := results[0]
	if r.Err != nil || r.List != "PROXY [removed]@proxy.fabrikam.example:8080; PROXY [2001:db8::3]:3128; DIRECT" {
		t.Errorf("list %q, %v", r.List, r.Err)
	}
	if len(r.Proxies) != 3 || r.Proxies[0].Bad == "" || r.Proxies[1].URL() != "http://[2001:db8::3]:3128" || r.Proxies[2].Kind != pac.Direct {
		t.Errorf("proxies %+v", r.Proxies)
	}
	if diff := cmp.Diff([]string{"asked for www.fabrikam.example\uFFFD[31m\uFFFD"}, r.Alerts); diff != "" {
		t.Error(diff)
	}
	if len(r.Looked) != 2 || r.Looked[0].Host != "www.fabrikam.example" || len(r.Looked[0].Addresses) != 2 ||
		r.Looked[1].Host != "bogus.fabrikam.example" || r.Looked[1].Err == nil {
		t.Errorf("looked up %+v", r.Looked)
	}
	if results[1].List != "DIRECT" || len(results[1].Looked) != 1 {
		t.Errorf("%+v", results[1])
	}
	if len(results[2].Looked) != 2 {
		t.Errorf("a name that was resolved before is not told: %+v", results[2].Looked)
	}
	for _, r := range results {
		if r.Took <= 0 {
			t.Errorf("took %v", r.Took)
		}
		if strings.Contains(fmt.Sprintf("%+v", r), "Pa55w0rd") {
			t.Errorf("a password is told: %+v", r)
		}
	}
}

// The script's clock is the one of the environment, zone and all.
func TestSandboxClock(t *testing.T) {
	const script = `function FindProxyForURL() {
		var d = new Date();
		alert([d.getFullYear(), d.getMonth() + 1, d.getDate(), d.getDay(), d.getHours(), d.getMinutes(), d.getTimezoneOffset()].join());
		return timeRange(9, 0, 9, 45) && weekdayRange("MON") && timeRange(7, "GMT") ? "DIRECT" : "PROXY p:1";
	}`
	results, err := box().Evaluate(t.Context(), []byte(script), env, []pac.Call{call(t, "http://a.example/")})
	if err != nil {
		t.Fatal(err)
	}
	if r := results[0]; r.List != "DIRECT" || !r.Clock || len(r.Alerts) != 1 || r.Alerts[0] != "2027,3,1,1,9,30,-120" {
		t.Errorf("%+v", r)
	}
}

// What one address leaves behind does not reach the next.
func TestFreshEngine(t *testing.T) {
	const script = `var n = 0; function FindProxyForURL() { n++; Object.prototype.left = n; return "PROXY p:" + n; }`
	results, err := box().Evaluate(t.Context(), []byte(script), env, slices.Repeat([]pac.Call{call(t, "http://a.example/")}, 3))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.List != "PROXY p:1" {
			t.Errorf("%q, %v", r.List, r.Err)
		}
	}
}

func TestEncodings(t *testing.T) {
	const script = "// Büro\r\nfunction FindProxyForURL(url, host) {\r\n  return host == 'büro' ? 'PROXY b:1' : 'DIRECT';\r\n}\r\n"
	units := utf16.Encode([]rune(script))
	little, big := []byte{0xFF, 0xFE}, []byte{0xFE, 0xFF}
	for _, u := range units {
		little, big = append(little, byte(u), byte(u>>8)), append(big, byte(u>>8), byte(u))
	}
	for name, b := range map[string][]byte{
		"UTF-8": []byte(script), "UTF-8 with mark": []byte("\xEF\xBB\xBF" + script), "UTF-16LE": little, "UTF-16BE": big,
		"Latin-1": []byte(strings.ReplaceAll(script, "ü", "\xFC")), "carriage returns": []byte(strings.ReplaceAll(script, "\n", "")),
	} {
		results, err := box().Evaluate(t.Context(), b, env, []pac.Call{{URL: "http://x/", Host: "büro"}})
		if err != nil || results[0].List != "PROXY b:1" {
			t.Errorf("%s: %+v, %v", name, results[0], err)
		}
	}
}

func TestCaseSensitive(t *testing.T) {
	script, err := os.ReadFile("testdata/corporate.pac")
	if err != nil {
		t.Fatal(err)
	}
	letters, err := box().CaseSensitive(t.Context(), script, env, []pac.Call{
		call(t, "http://WSUS01.CORP.FABRIKAM.EXAMPLE:8530/ClientWebService/client.asmx"),
		call(t, "http://wsus01.corp.fabrikam.example:8530/ClientWebService/client.asmx"),
		call(t, "http://WWW.example.com/"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if l := letters[0]; !l.Differ() || l.Written.Proxies[0].Kind != pac.HTTP || l.Lower.Proxies[0].Kind != pac.Direct {
		t.Errorf("upper case: %+v", l)
	}
	if l := letters[1]; l.Differ() || l.Written.Proxies[0].Kind != pac.Direct || l.Lower.Call != l.Written.Call {
		t.Errorf("lower case: %+v", l)
	}
	if l := letters[2]; l.Differ() {
		t.Errorf("a public name: %+v", l)
	}
	// Dice are not letters.
	letters, err = box().CaseSensitive(t.Context(), []byte(`function FindProxyForURL(u, h) { return "PROXY p" + Math.floor(Math.random() * 1e9) + ":1" }`), env,
		[]pac.Call{call(t, "http://WSUS01/")})
	if err != nil || letters[0].Differ() || letters[0].Steady || !letters[0].Written.Random {
		t.Errorf("dice: %+v, %v", letters, err)
	}
	// A fault is a decision too: the script that throws for one spelling only.
	letters, err = box().CaseSensitive(t.Context(), []byte(`function FindProxyForURL(u, h) { return {wsus01: "DIRECT"}[h].toString() }`), env,
		[]pac.Call{call(t, "http://WSUS01/")})
	if err != nil || !letters[0].Differ() || letters[0].Written.Err == nil || letters[0].Lower.Err != nil {
		t.Errorf("throws: %+v, %v", letters, err)
	}
}

// What a script does to its child, the parent survives and names.
func TestHostile(t *testing.T) {
	for _, c := range []struct {
		name, script string
		want         []pac.Fault
	}{
		{"endless loop", "for(;;);", []pac.Fault{pac.FaultTime}},
		{"doubled string", "var s = 'x'; for(;;) s += s;", []pac.Fault{pac.FaultMemory, pac.FaultThrown}},
		{"repeated string", "var a = []; for(;;) a.push('x'.repeat(1e8));", []pac.Fault{pac.FaultMemory}},
		{"one large string", "'x'.repeat(1 << 29).replace(/x/g, 'yy')", []pac.Fault{pac.FaultMemory}},
		{"growing array", "var a = []; for(;;) a.push([1,2,3]);", []pac.Fault{pac.FaultMemory}},
		{"large typed array", "var a = []; for (;;) { var b = new Uint8Array(1e8); b.fill(1); a.push(b) }", []pac.Fault{pac.FaultMemory}},
		{"sparse array", "var a = []; a[4294967294] = 1; a.sort(); a.join('xxxxxxxx')", []pac.Fault{pac.FaultMemory, pac.FaultTime, pac.FaultThrown}},
		{"closures", "var f = null; for(;;) f = (function(g) { var x = [g, 1]; return function() { return x } })(f);", []pac.Fault{pac.FaultMemory}},
		{"backtracking", "/^(?=(a+)+$)(a|aa)+\\1$/.test(Array(200).join('a') + 'b')", []pac.Fault{pac.FaultTime}},
		{"backtracking by reference", `/(x+x+)+\1y/.test(Array(100).join('x'))`, []pac.Fault{pac.FaultTime}},
		{"pattern of patterns", "shExpMatch(Array(1e6).join('a'), '*' + Array(5e5).join('a') + 'b')", []pac.Fault{pac.FaultTime}},
		{"recursion of the library", "var a = []; for (var i = 0; i < 1e6; i++) a = [a]; JSON.stringify(a)", []pac.Fault{pac.FaultDepth, pac.FaultMemory, pac.FaultThrown, pac.FaultTime}},
		{"jobs without end", "function f() { Promise.resolve().then(f) } f()", []pac.Fault{pac.FaultTime}},
		{"brackets", strings.Repeat("[", 300<<10), []pac.Fault{pac.FaultSyntax, pac.FaultDepth, pac.FaultMemory}},
		{"braces", strings.Repeat("{", 300<<10), []pac.Fault{pac.FaultSyntax, pac.FaultDepth, pac.FaultMemory}},
		{"nots", "var a = " + strings.Repeat("!", 900<<10) + "1", []pac.Fault{pac.FaultSyntax, pac.FaultDepth, pac.FaultMemory, pac.FaultNoFunction}},
		{"minus in eval", "eval(Array(1e6).join('- ') + '1')", []pac.Fault{pac.FaultTime, pac.FaultSyntax, pac.FaultDepth, pac.FaultMemory, pac.FaultNoFunction, pac.FaultThrown}},
		{"brackets of a pattern", "new RegExp(Array(1e5).join('(') + Array(1e5).join(')'))", []pac.Fault{pac.FaultThrown, pac.FaultDepth, pac.FaultMemory, pac.FaultTime, pac.FaultNoFunction}},
		{"names without end", "for (var i = 0; ; i++) isResolvable('n' + i + '.example');", []pac.Fault{pac.FaultLookups}},
		{"huge script", "//" + strings.Repeat("x", pac.MaxScript), []pac.Fault{pac.FaultSize}},
		{"NUL", "\x00\x00\x00", []pac.Fault{pac.FaultSyntax}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &pac.Sandbox{Time: 700 * time.Millisecond, Memory: 64 << 20}
			if !slices.Contains(c.want, pac.FaultTime) {
				s.Time = 20 * time.Second // so that it is not a busy machine that ends it
			}
			began := time.Now()
			results, err := s.Evaluate(t.Context(), []byte(c.script), env, []pac.Call{call(t, "http://a.example/"), call(t, "http://b.example/")})
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if r.Err == nil || !slices.Contains(c.want, r.Err.Fault) {
					t.Errorf("%v, want %s", r.Err, c.want)
				}
			}
			t.Logf("%v in %v", results[0].Err, time.Since(began).Round(time.Millisecond))
		})
	}
}

// A child that ended over one address leaves the results of those before it.
func TestResultsBeforeTheFault(t *testing.T) {
	const script = `function FindProxyForURL(url, host) {
		if (host == "bomb.example") { var a = []; for(;;) a.push([1,2,3]); }
		if (host == "loop.example") for(;;);
		return "PROXY p:1";
	}`
	s := &pac.Sandbox{Time: time.Second, Memory: 64 << 20}
	calls := []pac.Call{call(t, "http://loop.example/"), call(t, "http://a.example/"), call(t, "http://bomb.example/"), call(t, "http://c.example/")}
	results, err := s.Evaluate(t.Context(), []byte(script), env, calls)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []pac.Fault{pac.FaultTime, "", pac.FaultMemory, pac.FaultMemory} {
		got := pac.Fault("")
		if results[i].Err != nil {
			got = results[i].Err.Fault
		}
		if got != want {
			t.Errorf("%s: %v, want %q", calls[i].Host, results[i].Err, want)
		}
	}
}

// The total of all addresses is bounded, not only each.
func TestTimeOfAll(t *testing.T) {
	s := &pac.Sandbox{Time: 200 * time.Millisecond}
	began := time.Now()
	results, err := s.Evaluate(t.Context(), []byte("for(;;);"), env, slices.Repeat([]pac.Call{call(t, "http://a.example/")}, 100))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Err == nil || r.Err.Fault != pac.FaultTime {
			t.Fatalf("%+v", r)
		}
	}
	t.Logf("took %v", time.Since(began))
}

func TestLookups(t *testing.T) {
	asked := map[string]int{}
	e := env
	e.Lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
		asked[host]++
		return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
	}
	const script = `function FindProxyForURL(u, h) {
		for (var i = 0; i < 3; i++) { isResolvable("one.example"); dnsResolve("two.example"); }
		isResolvable("a b"); isResolvable(".x"); isResolvable("x/../y"); isResolvable("b\u00fcro.example"); isResolvable("x\0y"); isResolvable(Array(400).join("n"));
		isResolvable("192.0.2.77"); isResolvableEx("2001:db8::1"); isResolvable(undefined); isResolvable("");
		return "DIRECT";
	}`
	s := &pac.Sandbox{Time: 2 * time.Second, Lookups: 2}
	results, err := s.Evaluate(t.Context(), []byte(script), e, slices.Repeat([]pac.Call{call(t, "http://a.example/")}, 2))
	if err != nil || results[0].Err != nil || results[1].Err != nil {
		t.Fatalf("%+v, %v", results, err)
	}
	if diff := cmp.Diff(map[string]int{"one.example": 1, "two.example": 1}, asked); diff != "" {
		t.Error(diff)
	}
	s.Lookups = 1
	results, err = s.Evaluate(t.Context(), []byte(script), e, []pac.Call{call(t, "http://a.example/")})
	if err != nil || results[0].Err == nil || results[0].Err.Fault != pac.FaultLookups {
		t.Errorf("%+v, %v", results, err)
	}
	// Without a resolver no name resolves, and nothing else changes.
	e.Lookup = nil
	results, err = box().Evaluate(t.Context(), []byte(script), e, []pac.Call{call(t, "http://a.example/")})
	if err != nil || results[0].List != "DIRECT" || results[0].Looked[0].Err == nil {
		t.Errorf("%+v, %v", results, err)
	}
}

// A slow resolver costs the script nothing of its own time.
func TestSlowLookup(t *testing.T) {
	e := env
	e.Lookup = func(ctx context.Context, _ string) ([]netip.Addr, error) {
		select {
		case <-time.After(1500 * time.Millisecond):
		case <-ctx.Done():
		}
		return nil, errors.New("nobody answers")
	}
	s := &pac.Sandbox{Time: time.Second}
	results, err := s.Evaluate(t.Context(), []byte(`function FindProxyForURL(u, h) { return isResolvable(h) ? "PROXY p:1" : "DIRECT" }`), e,
		[]pac.Call{call(t, "http://a.example/")})
	if err != nil || results[0].List != "DIRECT" || results[0].Looked[0].Took < time.Second {
		t.Errorf("%+v, %v", results, err)
	}
}

// The end of the context ends the child at once, whatever it does.
func TestCancel(t *testing.T) {
	for name, script := range map[string]string{
		"loop": "for(;;);", "in one step": `/(x+x+)+\1y/.test(Array(100).join('x'))`, "at a name": "isResolvable('slow.example')",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			e := env
			e.Lookup = func(ctx context.Context, _ string) ([]netip.Addr, error) { <-ctx.Done(); return nil, ctx.Err() }
			began := time.Now()
			results, err := (&pac.Sandbox{Time: time.Minute}).Evaluate(ctx, []byte(script), e, []pac.Call{call(t, "http://a.example/")})
			if !errors.Is(err, context.DeadlineExceeded) || len(results) != 1 || results[0].Err == nil || results[0].Err.Fault != pac.FaultChild {
				t.Errorf("%+v, %v", results, err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// Programs that are no children are noticed and ended.
func TestNoChild(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the programs of this test are Unix ones")
	}
	for _, command := range [][]string{
		{"/nonexistent/updoc"},
		{"/bin/echo", "hello"},
		{"/bin/sh", "-c", "echo '{}'; exec sleep 60"},
		{"/bin/sh", "-c", `echo '{"ready":true}'; exec sleep 60`},
		{"/bin/sh", "-c", `echo '{"ready":true}'; echo '{"look":"no name"}'; exec sleep 60`},
		{"/bin/sh", "-c", `echo '{"ready":true}'; read x; exit 3`},
		{"/bin/sh", "-c", "exec cat /dev/zero"},
		{"/bin/sh", "-c", "exec yes"},
	} {
		t.Run(strings.Join(command, " "), func(t *testing.T) {
			t.Parallel()
			s := &pac.Sandbox{Command: command, Silence: 2 * time.Second}
			began := time.Now()
			results, err := s.Evaluate(t.Context(), []byte("x"), env, []pac.Call{call(t, "http://a.example/")})
			if results[0].Err == nil || err == nil && results[0].Err.Fault != pac.FaultTime {
				t.Errorf("%+v, %v", results, err)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// A child never starts children.
func TestNested(t *testing.T) {
	t.Setenv(pac.Role, "anything")
	if _, err := box().Evaluate(t.Context(), []byte("x"), env, []pac.Call{call(t, "http://a.example/")}); err == nil {
		t.Error("a child started a child")
	}
}

// A child whose parent is gone ends, even in the middle of a loop.
func TestOrphan(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = []string{pac.Role + "=" + pac.Child}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, `{"script":"for(;;);","now":"2027-03-01T09:30:00Z","calls":[{"url":"http://a/","host":"a"}],"time":600000000000,"memory":100000000}`)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		t.Fatalf("ended too early: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	in.Close()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Kill()
		t.Error("it goes on without a parent")
		<-ended
	}
}

// The child has nothing of the parent's surroundings.
func TestBareEnvironment(t *testing.T) {
	t.Setenv("UPDOC_TEST_SECRET", "Pa55w0rd")
	if runtime.GOOS == "windows" {
		t.Skip("the program of this test is a Unix one")
	}
	s := &pac.Sandbox{Command: []string{"/bin/sh", "-c", "env >&2; exit 1"}, Time: time.Second}
	_, err := s.Evaluate(t.Context(), []byte("x"), env, []pac.Call{call(t, "http://a.example/")})
	if err == nil || !strings.Contains(err.Error(), pac.Role+"="+pac.Child) || strings.Contains(err.Error(), "Pa55w0rd") {
		t.Errorf("%v", err)
	}
}

func TestBounds(t *testing.T) {
	if _, err := box().Evaluate(t.Context(), nil, env, make([]pac.Call, pac.MaxCalls+1)); err == nil {
		t.Error("too many addresses are taken")
	}
	if results, err := box().Evaluate(t.Context(), nil, env, nil); err != nil || len(results) != 0 {
		t.Errorf("%v, %v", results, err)
	}
	long := pac.Call{URL: "http://a/" + strings.Repeat("x", 1<<20), Host: strings.Repeat("h", 1<<20)}
	results, err := box().Evaluate(t.Context(), []byte("function FindProxyForURL(u, h) { return String(u.length + h.length) }"), env, []pac.Call{long})
	if err != nil || results[0].List != fmt.Sprint(2*pac.MaxURL) {
		t.Errorf("%+v, %v", results, err)
	}
}

// The whole way of one script and twenty addresses, the child's start included.
func BenchmarkEvaluate(b *testing.B) {
	script, err := os.ReadFile("testdata/corporate.pac")
	if err != nil {
		b.Fatal(err)
	}
	var calls []pac.Call
	for i := range 20 {
		calls = append(calls, call(b, fmt.Sprintf("http://host%d.download.fabrikam.example/c/%d.cab", i, i)))
	}
	for b.Loop() {
		results, err := box().Evaluate(b.Context(), script, env, calls)
		if err != nil || results[19].Err != nil {
			b.Fatal(err, results[19].Err)
		}
	}
}
