package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"

	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/redact"
	"updoc/internal/route"
)

const proxyOfWalk = "http://proxy.fabrikam.example:8080"

func millis(n float64) time.Duration { return time.Duration(n * float64(time.Millisecond)) }

// through is the beginning of a way through the proxy of the walk.
func through(rest ...host.Hop) host.Exchange {
	ex := host.Exchange{Request: host.Request{Via: host.Via{Proxy: proxyOfWalk, Source: "winhttp.reg:4"}}}
	ex.Hops = append([]host.Hop{
		{Kind: host.HopDecision, Target: "winhttp.reg:4", Seen: "proxy.fabrikam.example:8080"},
		{Kind: host.HopDNS, Target: "proxy.fabrikam.example", Took: millis(3.2), Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.8")}, Resolver: "192.0.2.53"},
		{Kind: host.HopTCP, Target: "proxy.fabrikam.example:8080", At: millis(3.2), Took: millis(1.1), Remote: netip.MustParseAddrPort("192.0.2.8:8080"), Tried: []host.Dial{{Remote: netip.MustParseAddrPort("192.0.2.8:8080"), Took: millis(1.1)}}},
	}, rest...)
	return timed(ex)
}

// straight is a direct way.
func straight(name string, rest ...host.Hop) host.Exchange {
	ex := host.Exchange{Request: host.Request{Via: host.Via{Source: "beside"}}}
	ex.Hops = append([]host.Hop{
		{Kind: host.HopDecision, Target: "beside", Seen: "direct"},
		{Kind: host.HopDNS, Target: name, Took: millis(12.4), Addresses: []netip.Addr{netip.MustParseAddr("198.51.100.20"), netip.MustParseAddr("2001:db8:100::14")}},
	}, rest...)
	return timed(ex)
}

// timed lets the hops follow each other.
func timed(ex host.Exchange) host.Exchange {
	for i := range ex.Hops {
		ex.Hops[i].At = ex.Took
		ex.Took += ex.Hops[i].Took
		if s := ex.Hops[i].Status; s != 0 {
			ex.Status = s
		}
	}
	return ex
}

func asked407() host.Hop {
	return host.Hop{
		Kind: host.HopProxy, Target: "proxy.fabrikam.example:8080", Took: millis(31.7), Fault: host.FaultProxyAuth, Status: 407, Agent: "1.1 proxy.fabrikam.example (squid/5.7)",
		Challenges: []host.Challenge{{Scheme: "Negotiate"}, {Scheme: "NTLM"}, {Scheme: "Basic", Realm: "Fabrikam web access"}},
	}
}

func handshake() host.Hop {
	return host.Hop{
		Kind: host.HopTLS, Target: "fe3cr.delivery.mp.microsoft.com", Took: millis(41), TLS: &host.TLS{
			Version: "TLS 1.2", Cipher: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", Trusted: true,
			Chain: []host.Certificate{{
				Subject: "fe3cr.delivery.mp.microsoft.com", Issuer: "Microsoft Update Secure Server CA 2.1", Names: []string{"fe3cr.delivery.mp.microsoft.com"},
				NotBefore: at("2025-01-01 00:00:00"), NotAfter: at("2027-01-01 00:00:00"), SHA256: strings.Repeat("ab", 32),
			}},
		},
	}
}

func connected(port uint16) host.Hop {
	return host.Hop{Kind: host.HopTCP, Took: millis(18.5), Remote: netip.AddrPortFrom(netip.MustParseAddr("198.51.100.20"), port)}
}

func trip(id string, caller route.Caller, vital bool, purpose, method, address string, decided int, attempts ...route.Attempt) route.Trip {
	t := route.Trip{
		Task:     route.Task{ID: id, Caller: caller, Vital: vital, Purpose: purpose, Request: host.Request{Method: method, URL: address}},
		Attempts: attempts, Decided: decided,
	}
	if decided >= 0 {
		t.Predict = route.Predict(caller, &attempts[decided].Exchange)
	}
	return t
}

var system = route.Decision{As: route.System, Proxy: route.Proxy{Known: true, Static: "proxy.fabrikam.example:8080", Source: "winhttp.reg:4"}, Why: "the system's proxy, as it is set for WinHTTP"}

func beside(ex host.Exchange) route.Attempt {
	return route.Attempt{Decision: route.Decision{Proxy: route.Proxy{Known: true, Source: "beside"}, Why: "the direct way, to compare"}, Walked: true, Beside: true, Exchange: ex}
}

// proxyWalk is a machine whose proxy wants a sign-in for all but one request.
func proxyWalk() *route.Walk {
	const scan = "https://fe3cr.delivery.mp.microsoft.com/ClientWebService/client.asmx"
	const file = "http://download.windowsupdate.com/c/msdownload/update/software/secu/2026/01/windows11.0-kb5099999-x64_0123456789abcdef0123456789abcdef01234567.cab?P1=1&P2=2"
	content := host.Hop{Kind: host.HopContent, Took: millis(210), Fault: host.FaultRange, Seen: "a range of 1048576 bytes was asked for, the whole of it came"}
	ok := host.Hop{Kind: host.HopHTTP, Took: millis(22), Status: 200, Agent: "Microsoft-IIS/10.0"}
	user := route.Decision{As: route.User, Proxy: route.Proxy{Known: true, Static: "user.fabrikam.example:3128", Source: "settings.reg:9"}, Why: "the user's proxy", Skipped: "policy does not allow the user's proxy for scans of a WSUS"}
	other := host.Exchange{Request: host.Request{Via: host.Via{Proxy: "http://user.fabrikam.example:3128", Source: "settings.reg:9"}}, Took: millis(77), Status: 200, Hops: []host.Hop{{Kind: host.HopHTTP, Status: 200, Took: millis(77)}}}
	return &route.Walk{
		Began: at("2026-03-04 08:00:00"), Took: millis(1234), As: "anna",
		Settings: route.Settings{Machine: system.Proxy, WSUS: "http://WSUS01.corp.fabrikam.example:8530"},
		Trips: []route.Trip{
			trip("scan.config", route.Agent, true, "asks Windows Update for its rules", "POST", scan, 0,
				route.Attempt{Decision: system, Walked: true, Exchange: through(asked407()), Steady: &route.Steady{Sent: 8, Fastest: millis(1), Mean: millis(1.4), Jitter: millis(.2)}},
				route.Attempt{Decision: user, Beside: true, Walked: true, Exchange: other},
				beside(straight("fe3cr.delivery.mp.microsoft.com", connected(443), handshake(), ok))),
			trip("scan.cookie", route.Agent, true, "asks Windows Update for a cookie, without saying who asks", "POST", scan, 0,
				route.Attempt{Decision: system, Walked: true, Exchange: through(asked407())}),
			trip("download.range", route.DO, true, "fetches 1 MiB out of the middle of a file", "GET", file, 0,
				route.Attempt{
					Decision: system, Walked: true, Exchange: through(host.Hop{Kind: host.HopProxy, Took: millis(9), Status: 200, Agent: "1.1 proxy.fabrikam.example (squid/5.7)"}, ok, content),
					Script: &route.ScriptAnswer{URL: "http://pac.fabrikam.example/proxy.pac", List: "PROXY proxy.fabrikam.example:8080", Lower: "DIRECT"},
				},
				beside(straight("download.windowsupdate.com", host.Hop{Kind: host.HopTCP, Took: millis(5000), Fault: host.FaultTimeout, Tried: []host.Dial{{Remote: netip.MustParseAddrPort("198.51.100.20:80"), Fault: host.FaultTimeout}}}))),
			trip("verify.portal", route.Other, false, "sees whether a sign-in page stands before the internet", "GET", "http://www.msftconnecttest.com/connecttest.txt", 0,
				route.Attempt{Decision: system, Walked: true, Exchange: through(ok), Steady: &route.Steady{Sent: 8, Lost: 3, Mean: millis(2)}}),
			trip("store.catalog", route.Store, false, "asks the Store what it knows of itself", "GET", "https://storeedgefd.dsx.mp.microsoft.com/", -1,
				route.Attempt{Decision: route.Decision{Why: "the Store uses the user's proxy"}, Gap: "its proxy setting is not known"}),
		},
		Stray: []route.Observation{{ID: "line-unsteady", Hop: host.HopTCP, Seen: "3 of 8 short requests to www.msftconnecttest.com were lost or late (fastest 1ms, jitter 4ms)"}},
		Clock: &route.Clock{Offset: -(26*time.Hour + 3*time.Minute), Uncertainty: millis(420), Agree: 2, Sources: []route.ClockSource{
			{Name: "time.windows.com:123 (SNTP)", Fault: "timeout"}, {Name: "www.example.com", Offset: -(26*time.Hour + 3*time.Minute), Uncertainty: millis(520)}, {Name: "www.example.net", Offset: -(26*time.Hour + 3*time.Minute), Uncertainty: millis(500)},
		}},
		Gaps: []string{"store.catalog: its proxy setting is not known"},
	}
}

func openWalk() *route.Walk {
	ok := host.Hop{Kind: host.HopHTTP, Took: millis(22), Status: 200, Agent: "Microsoft-IIS/10.0"}
	direct := route.Decision{As: route.System, Proxy: route.Proxy{Known: true, Source: "no --proxy was given"}, Why: "the system has no proxy set"}
	w := &route.Walk{Began: at("2026-03-04 08:00:00"), Took: millis(98), As: "anna", Clock: &route.Clock{Offset: millis(300), Uncertainty: millis(500), Agree: 3}}
	for i, u := range []string{"https://fe3cr.delivery.mp.microsoft.com/ClientWebService/client.asmx", "http://download.windowsupdate.com/x.cab"} {
		w.Trips = append(w.Trips, trip(fmt.Sprintf("scan.%d", i), route.Agent, true, "asks Windows Update for its rules", "POST", u, 0,
			route.Attempt{Decision: direct, Walked: true, Exchange: straight("fe3cr.delivery.mp.microsoft.com", connected(443), handshake(), ok), Steady: &route.Steady{Sent: 8, Fastest: millis(9), Mean: millis(11), Jitter: millis(1.5)}}))
	}
	return w
}

// unwalked is a plan that was stopped before anything was answered.
func unwalked() *route.Walk {
	return &route.Walk{
		Began: at("2026-03-04 08:00:00"), As: "anna",
		Trips: []route.Trip{trip("scan.config", route.Agent, true, "asks Windows Update for its rules", "POST", "https://fe3cr.delivery.mp.microsoft.com/", -1, route.Attempt{Decision: system, Gap: "stopped before it was answered"})},
		Gaps:  []string{"scan.config: stopped before it was answered"},
	}
}

func causeOfWalk() *Document {
	return &Document{Verdict: "problems", Causes: []Cause{causeOf("proxy-auth-required", "A proxy wants a password that Windows Update cannot give", .97,
		Evidence{"conclusive", true, "walk scan.config", "fe3cr.delivery.mp.microsoft.com through proxy.fabrikam.example:8080: HTTP 407"})}}
}

// renderRoute writes a walk in one of the formats.
func renderRoute(t *testing.T, doc *RouteDocument, format string) string {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch format {
	case "txt":
		err = RouteText(&b, doc, Style{}, RouteOptions{})
	case "all":
		err = RouteText(&b, doc, Style{ASCII: true}, RouteOptions{All: true, Advice: true})
	case "json":
		err = WriteRouteJSON(&b, doc)
	case "md":
		err = RouteMarkdown(&b, doc)
	case "html":
		err = RouteHTML(&b, doc)
	}
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return b.String()
}

func TestRouteGolden(t *testing.T) {
	for name, doc := range map[string]*RouteDocument{
		"proxy":    NewRoute(proxyWalk(), causeOfWalk()),
		"open":     NewRoute(openWalk(), nil),
		"unwalked": NewRoute(unwalked(), nil),
		"empty":    NewRoute(&route.Walk{As: "anna"}, nil),
	} {
		for _, format := range []string{"txt", "all", "json", "md", "html"} {
			if name != "proxy" && format != "txt" && format != "html" {
				continue
			}
			t.Run(name+"."+format, func(t *testing.T) {
				have := renderRoute(t, doc, format)
				if format == "html" {
					have = strings.Replace(have, pageStyle+routeStyle, "/* page.css, route.css */", 1)
					have = regexp.MustCompile(`sha256-[^ ]*=`).ReplaceAllString(have, "sha256-HASH")
				}
				path := filepath.Join("testdata", "route-"+name+"."+format)
				if format == "all" {
					path = filepath.Join("testdata", "route-"+name+"-all.txt")
				}
				if *update {
					if err := os.WriteFile(path, []byte(have), 0o644); err != nil {
						t.Fatal(err)
					}
					return
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := gocmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), have); diff != "" {
					t.Errorf("%s (-want +have); if it is meant: go test ./internal/report -run TestRouteGolden -update\n%s", path, diff)
				}
			})
		}
	}
}

// TestRouteSchema holds that documents have the shape of docs/route.schema.json, and
// that the schema leaves out no field.
func TestRouteSchema(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "route.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	full := NewRoute(proxyWalk(), causeOfWalk())
	fillZero(reflect.ValueOf(full).Elem(), "x")
	for i := range full.Routes {
		full.Routes[i].Predict.Code = "0x8024401B"
	}
	full.Schema, full.Verdict, full.Clock.State = RouteSchema, "broken", "wrong"
	for name, doc := range map[string]*RouteDocument{
		"proxy": NewRoute(proxyWalk(), causeOfWalk()), "open": NewRoute(openWalk(), nil), "unwalked": NewRoute(unwalked(), nil), "empty": NewRoute(&route.Walk{}, nil), "every": full,
	} {
		var v any
		if err := json.Unmarshal([]byte(renderRoute(t, doc, "json")), &v); err != nil {
			t.Fatal(err)
		}
		for _, e := range check(schema, schema, v, "$") {
			t.Errorf("%s: %s", name, e)
		}
	}
	text := renderRoute(t, NewRoute(proxyWalk(), causeOfWalk()), "json")
	for _, broken := range []string{
		`{}`, strings.Replace(text, "updoc.route/1", "updoc.route/2", 1), strings.Replace(text, `"verdict": "broken"`, `"verdict": "torn"`, 1),
		strings.Replace(text, `"sent": 8`, `"sent": "8"`, 1), strings.Replace(text, `"code": "0x8024401B"`, `"code": "407"`, 1),
	} {
		var v any
		if err := json.Unmarshal([]byte(broken), &v); err != nil {
			t.Fatal(err)
		}
		if len(check(schema, schema, v, "$")) == 0 {
			t.Errorf("the schema takes %.80s", broken)
		}
	}
}

// hostileWalk says h wherever somebody else has a say.
func hostileWalk(h string) *route.Walk {
	w := proxyWalk()
	s := w.Settings
	fill(reflect.ValueOf(w).Elem(), func(string) string { return h })
	w.Settings.Machine.Known = s.Machine.Known
	for i := range w.Trips {
		w.Trips[i].Task.Vital = true
		w.Trips[i].Task.Purpose = "asks"
	}
	return w
}

func TestRouteHostileData(t *testing.T) {
	for i, h := range append(hostile, "\x1b]8;;http://evil.example\x1b\\x\x1b]8;;\x1b\\", "\u202egnp.exe\u2066", strings.Repeat("https://", 900)) {
		for _, redacted := range []bool{false, true} {
			doc := &Document{}
			if redacted {
				doc.redactor = &redact.Redactor{}
			}
			route := NewRoute(hostileWalk(h), doc)
			for _, format := range []string{"txt", "all", "json", "md", "html"} {
				name := fmt.Sprintf("%d, redacted %v", i, redacted)
				text := renderRoute(t, route, format)
				if !utf8.ValidString(text) || len(text) > 1<<20 {
					t.Errorf("%s: %s is not UTF-8, or has %d bytes", name, format, len(text))
				}
				for _, r := range text {
					if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) || format == "all" && r > '~' {
						t.Fatalf("%s: %s holds %U", name, format, r)
					}
				}
				switch format {
				case "txt":
					for l := range strings.Lines(text) {
						if n := utf8.RuneCountInString(l); n > 81 {
							t.Errorf("%s: %d columns: %.120s", name, n, l)
						}
					}
				case "html":
					checkHTML(t, name, text)
				case "md":
					checkMarkdown(t, name, text)
				}
			}
		}
	}
}

// TestRouteFitsTheScreen: 80 columns, whatever is told; what is drawn hop by hop keeps
// to a screen and a half.
func TestRouteFitsTheScreen(t *testing.T) {
	for name, w := range map[string]*route.Walk{"proxy": proxyWalk(), "open": openWalk(), "wide": hostileWalk(strings.Repeat("wide words ", 90)), "long": hostileWalk(strings.Repeat("W", 900))} {
		for _, format := range []string{"txt", "all"} {
			text := renderRoute(t, NewRoute(w, causeOfWalk()), format)
			for l := range strings.Lines(text) {
				if n := utf8.RuneCountInString(strings.TrimRight(l, "\n")); n > 80 && !strings.HasPrefix(l, "netsh ") {
					t.Errorf("%s, %s: %d columns: %.120s", name, format, n, l)
				}
			}
			if n := strings.Count(text, "\n"); name == "proxy" && format == "txt" && n > 70 {
				t.Errorf("%s: %d lines\n%s", name, n, text)
			}
		}
	}
}

// TestRouteSecrets: what a peer echoes or a setting holds by mistake is not passed on,
// redacted or not; redacted, no name of the organisation is.
func TestRouteSecrets(t *testing.T) {
	const secret = "Sommer-Regen-77"
	w := proxyWalk()
	a := &w.Trips[0].Attempts[0]
	for _, s := range []*string{
		&w.Trips[0].Task.Request.URL, &a.Exchange.Request.Via.Proxy, &a.Exchange.Request.Via.Source, &a.Exchange.Hops[0].Target,
		&a.Exchange.Hops[3].Target, &w.Trips[2].Attempts[0].Script.URL, &w.Settings.WSUS,
	} {
		*s = "http://svc:" + secret + "@proxy.fabrikam.example:8080/x"
	}
	w.Settings.Machine.Static = "http://svc:" + secret + "@proxy.fabrikam.example:8080"
	a.Exchange.Hops[3].Seen = "it says: Proxy-Authorization: Basic " + "c3ZjOlNvbW1lci1SZWdlbi03Nw== for http://svc:" + secret + "@x"
	w.Stray[0].Seen = "see http://svc:" + secret + "@proxy.fabrikam.example/"
	w.Gaps = append(w.Gaps, "url: http://svc:"+secret+"@proxy.fabrikam.example/: no")
	a.Exchange.Hops[3].Challenges[2].Realm = "svc:" + secret + "@proxy"
	doc := causeOfWalk()
	doc.Causes[0].Evidence[0].Seen = "through http://svc:" + secret + "@proxy.fabrikam.example:8080"
	for _, redacted := range []bool{false, true} {
		if redacted {
			doc.redactor, doc.Causes = &redact.Redactor{}, nil // they are redacted with their own document
		}
		out := NewRoute(w, doc)
		for _, format := range []string{"txt", "all", "json", "md", "html"} {
			text := renderRoute(t, out, format)
			for _, s := range []string{secret, "c3ZjOlNvbW1lci1SZWdlbi03Nw"} {
				if strings.Contains(text, s) {
					t.Errorf("redacted %v: %s holds a password: %s", redacted, format, around(text, s))
				}
			}
			for _, name := range []string{"fabrikam", "Fabrikam", "anna"} {
				if redacted && strings.Contains(text, name) {
					t.Errorf("%s names somebody: %s", format, around(text, name))
				}
			}
		}
	}
}

// TestEveryRouteStringIsRedacted holds that no string of a walk is forgotten.
func TestEveryRouteStringIsRedacted(t *testing.T) {
	const secret = `password=Sommer-Regen-77`
	doc := NewRoute(proxyWalk(), nil)
	fillZero(reflect.ValueOf(doc).Elem(), "x")
	fill(reflect.ValueOf(doc).Elem(), func(string) string { return secret })
	doc.settle(&route.Walk{}, &redact.Redactor{Key: []byte("test")})
	ours := map[string]bool{}
	for _, p := range strings.Fields(`Schema Verdict Routes.ID Routes.Purpose Routes.Caller Routes.State Routes.Predict.Code Routes.Predict.Symbol
		Routes.Predict.Also Routes.Predict.Source Routes.Ways.As Routes.Ways.Why Routes.Ways.Hops.Kind Routes.Ways.Hops.Fault Routes.Ways.Hops.Tried.Fault
		Routes.Ways.Hops.Result Routes.Ways.Hops.TLS.Chain.SHA256 Seen.ID Seen.Hop Clock.State Advice.Kind Advice.Title`) {
		ours[p] = true
	}
	walk(reflect.ValueOf(doc).Elem(), "", func(path, s string) {
		if strings.HasPrefix(path, "Causes.") { // redacted with their own document
			return
		}
		if strings.Contains(s, "Sommer") != ours[path] {
			t.Errorf("%s: %q", path, s)
		}
	})
}

// TestRouteInADiagnosis: the broken route stands in the document, the page and the
// ticket of a diagnosis, with the pseudonyms of the rest.
func TestRouteInADiagnosis(t *testing.T) {
	f := &facts.Facts{Route: proxyWalk()}
	doc := problemsDocument()
	doc.addRoute(f)
	if doc.Route.Verdict != "broken" || len(doc.Route.Broken) != 2 || doc.Route.Codes[0] != "0x8024401B" {
		t.Fatalf("%+v", doc.Route)
	}
	if b := doc.Route.Broken[0]; b.Kind != "proxy" || b.Fault != "proxy-auth" || b.Code != "0x8024401B" || b.Same != 1 || b.Route != "scan.config" {
		t.Errorf("%+v", b)
	}
	list := []Named{{Document: doc}}
	for _, format := range []string{"html", "md"} {
		text := render(t, list, format)
		for _, want := range []string{"The route of Windows Update is broken", "asks Windows Update for its rules", "Negotiate/NTLM/Basic"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in it", format, want)
			}
		}
		if format == "html" {
			checkHTML(t, "diagnosis", text)
		}
	}
	hidden := problemsDocument()
	hidden.redactor = &redact.Redactor{}
	learn(hidden.redactor, f)
	hidden.addRoute(f)
	for _, format := range allFormats {
		if text := render(t, []Named{{Document: hidden}}, format); strings.Contains(text, "proxy.fabrikam") {
			t.Errorf("%s: %s", format, around(text, "proxy.fabrikam"))
		}
	}
	if got, want := hidden.Route.Broken[0].Proxy, hidden.drawn.Routes[0].Ways[0].Proxy; got != want {
		t.Errorf("two pseudonyms for one proxy: %q, %q", got, want)
	}
}

func TestRouteAddress(t *testing.T) {
	p := &printer{style: Style{Width: 80}}
	for _, tt := range []struct {
		in, want string
		columns  int
	}{
		{"GET http://x.example/a", "GET http://x.example/a", 40},
		{"GET http://x.example/a/very/long/way/to/the/file.cab", "GET http://x.example/…/to/the/file.cab", 40},
		{"GET http://x.example/short?a=" + strings.Repeat("b", 50), "GET http://x.example/short?…", 40},
		{strings.Repeat("a", 30) + strings.Repeat("b", 30), strings.Repeat("a", 24) + "…" + strings.Repeat("b", 15), 40},
		{"?" + strings.Repeat("b", 60), "?…", 40},
	} {
		if got := p.address(tt.in, tt.columns); got != tt.want || utf8.RuneCountInString(got) > tt.columns {
			t.Errorf("%q becomes %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestSpans(t *testing.T) {
	for d, want := range map[time.Duration]string{
		300 * time.Millisecond: "300 ms", 42 * time.Second: "42.0 s", 61 * time.Second: "1 min 1 s", 3*time.Hour + time.Minute: "3 h 1 min", 26 * time.Hour: "1 d 2 h",
	} {
		if got := span2(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

func BenchmarkRouteHTML(b *testing.B) {
	doc := NewRoute(proxyWalk(), causeOfWalk())
	for b.Loop() {
		if err := RouteHTML(&bytes.Buffer{}, doc); err != nil {
			b.Fatal(err)
		}
	}
}

// TestTokens: tokens of every scheme are taken out wherever they stand, and whatever
// looks as if it might hold one is looked at.
func TestTokens(t *testing.T) {
	const secret = "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
	for _, scheme := range []string{"Basic", "BEARER", "digest", "Ntlm", "Negotiate", "ba\u017fic"} {
		for _, blank := range []string{" ", "\t", "  ", " \r\n "} {
			for _, s := range []string{scheme + blank + secret, "Proxy-Authorization: " + scheme + blank + secret + " x", "é " + scheme + blank + secret} {
				if got := withoutSecrets(s); strings.Contains(got, secret) {
					t.Errorf("%q became %q", s, got)
				}
			}
		}
	}
	for _, s := range []string{"", "Basic", "Basic ", "offers Negotiate, NTLM", "digest of a file", "HTTP 407 by squid/5.7", "192.0.2.1:443"} {
		if got := withoutSecrets(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}
