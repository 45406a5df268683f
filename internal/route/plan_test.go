package route

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"updoc/internal/host"
	"updoc/internal/route/wusp"
)

func ptr[T any](v T) *T { return &v }

var testNow = time.Date(2031, 3, 2, 9, 0, 0, 0, time.UTC)

// Settings of parties that tests share.
var (
	noProxy    = Proxy{Known: true, Source: "netsh-winhttp-show-proxy.txt"}
	netshProxy = Proxy{Known: true, Static: "proxy.fabrikam.example:8080", Bypass: "<local>;*.fabrikam.example", Source: "netsh-winhttp-show-proxy.txt"}
	userPAC    = Proxy{Known: true, PAC: "http://pac.fabrikam.example/proxy.pac", Source: "user.reg:4"}
	userStatic = Proxy{Known: true, Static: "surf.fabrikam.example:3128", Source: "user.reg:4"}
	detecting  = Proxy{Known: true, Detect: true, Source: "user.reg:4"}
	direct     = Proxy{Known: true, Source: "user.reg:4"}
)

// drawn is a plan in few words: a task a line, with an exclamation mark where it is
// vital, and its decisions behind the bar; in brackets those that are not made.
func drawn(plan []Task) string {
	var b strings.Builder
	for _, t := range plan {
		vital := ""
		if t.Vital {
			vital = "!"
		}
		u, err := url.Parse(t.Request.URL)
		if err != nil {
			fmt.Fprintln(&b, t.ID, err)
			continue
		}
		var d []string
		for _, x := range t.Decisions {
			d = append(d, drawnDecision(x))
		}
		fmt.Fprintf(&b, "%s%s %s %s %s://%s | %s\n", t.ID, vital, t.Caller, t.Request.Method, u.Scheme, u.Host, strings.Join(d, ", "))
	}
	return b.String()
}

func drawnDecision(d Decision) string {
	as := map[Account]string{System: "system", NetworkService: "network", LocalService: "local", User: "user"}[d.As]
	var what []string
	if d.Proxy.Detect {
		what = append(what, "wpad")
	}
	if d.Proxy.PAC != "" {
		what = append(what, d.Proxy.PAC)
	}
	if d.Proxy.Static != "" {
		what = append(what, d.Proxy.Static)
	}
	switch {
	case !d.Proxy.Known:
		what = append(what, "unknown")
	case len(what) == 0 && d.Proxy.Source == nobodyLooked:
		what = append(what, "assumed")
	case len(what) == 0:
		what = append(what, "direct")
	}
	s := as + "=" + strings.Join(what, "+")
	if d.After != nil {
		s += "?"
	}
	if d.Skipped != "" {
		s = "[" + s + "]"
	}
	return s
}

// The whole plan for eight machines of the sort that one meets.
func TestPlanOfTypicalMachines(t *testing.T) {
	tests := []struct {
		name string
		s    Settings
	}{
		{"nothing is known", Settings{}},
		{"home", Settings{Machine: noProxy, User: direct, SignedIn: ptr(true), Suffixes: []string{"home.arpa"}, Build: "26100.2454", Arch: "amd64"}},
		{"office with a netsh proxy", Settings{Machine: netshProxy, User: netshProxy, SignedIn: ptr(true)}},
		{"PAC for users only", Settings{Machine: noProxy, User: userPAC, SignedIn: ptr(true), NoWPAD: true}},
		{"WPAD only", Settings{Machine: noProxy, User: detecting, SignedIn: ptr(true), Suffixes: []string{"corp.fabrikam.example"}}},
		{"WSUS over http, Microsoft forbidden", Settings{
			Machine: netshProxy, User: direct, SignedIn: ptr(true), WSUS: "http://WSUS01.Fabrikam.example:8530/", UseWSUS: true, NoInternet: true,
			Alternate: "http://dl.fabrikam.example:8530",
		}},
		{"WSUS over https, user's proxy allowed, drivers from Microsoft", Settings{
			Machine: noProxy, NoWPAD: true, User: userStatic, SignedIn: ptr(true), UserFallback: true, FromMicrosoft: []string{"driver"},
			WSUS: "https://wsus.fabrikam.example:8531", WSUSStatus: "https://report.fabrikam.example:8531", UseWSUS: true, DODisabled: true,
			Accounts: map[Account]Proxy{System: {Known: true, Static: "bits.fabrikam.example:80", Source: "system.reg:3"}},
		}},
		{"Connected Cache, before Windows 10 2004", Settings{Machine: netshProxy, User: userStatic, SignedIn: ptr(true), CacheHost: "cache1.fabrikam.example,10.0.0.7:8080", Build: "18363.1556"}},
		{"nobody signed in", Settings{
			Machine: netshProxy, Internet: userPAC, User: userStatic, SignedIn: ptr(false),
		}},
	}
	golden, err := txtar.ParseFile("testdata/plans.txtar")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, f := range golden.Files {
		want[f.Name] = string(f.Data)
	}
	if len(want) != len(tests) {
		t.Errorf("%d plans are wanted, %d machines are there", len(want), len(tests))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(strings.Split(want[tt.name], "\n"), strings.Split(drawn(tt.s.Plan(PlanOptions{Now: testNow})), "\n")); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// task returns the task of a plan, or fails.
func task(t *testing.T, plan []Task, id string) Task {
	t.Helper()
	i := slices.IndexFunc(plan, func(x Task) bool { return x.ID == id })
	if i < 0 {
		t.Fatalf("the plan has no %s:\n%s", id, drawn(plan))
	}
	return plan[i]
}

func field(r host.Request, name string) string {
	ex := host.Exchange{Header: r.Header}
	return ex.Get(name)
}

// Every task is complete: who, what, why, and by whose word.
func TestTasksAreComplete(t *testing.T) {
	for name, s := range map[string]Settings{
		"public": {}, "wsus": {UseWSUS: true, WSUS: "http://wsus.fabrikam.example:8530", FromMicrosoft: []string{"driver"}, Alternate: "http://x.example", CacheHost: "c.example"},
	} {
		seen := map[string]bool{}
		for _, x := range s.Plan(PlanOptions{Now: testNow, URLs: []string{"http://a.example/"}}) {
			if seen[x.ID] {
				t.Errorf("%s: %s is there twice", name, x.ID)
			}
			seen[x.ID] = true
			if x.Caller == "" || x.Purpose == "" || x.Source == "" || x.Request.ID != x.ID || x.Request.Method == "" || len(x.Request.Header) == 0 {
				t.Errorf("%s: %s lacks something: %+v", name, x.ID, x)
			}
			if len(x.Decisions) == 0 {
				t.Errorf("%s: %s has no decisions", name, x.ID)
			}
			for _, d := range x.Decisions {
				if d.As == "" || d.Why == "" || d.Source == "" {
					t.Errorf("%s: %s: a decision lacks something: %+v", name, x.ID, d)
				}
			}
			if x.Request.Via != (host.Via{}) {
				t.Errorf("%s: %s has a way before it was walked", name, x.ID)
			}
		}
	}
}

// Without Deep nothing is sent that a server writes down: POST requests are GetConfig
// and an anonymous GetCookie alone.
func TestPlanWritesNothing(t *testing.T) {
	s := Settings{UseWSUS: true, WSUS: "http://wsus.fabrikam.example:8530", FromMicrosoft: []string{"driver"}, ClientID: "6f1d6a0e-7c1b-4d4e-9a53-0b6c1d2e3f40", Computer: "pc7.fabrikam.example"}
	for _, x := range s.Plan(PlanOptions{Now: testNow}) {
		body := string(x.Request.Body)
		switch x.Request.Method {
		case "GET", "HEAD":
			if body != "" {
				t.Errorf("%s has a body", x.ID)
			}
		case "POST":
			if !strings.Contains(body, "<GetConfig ") && !strings.Contains(body, "<GetCookie ") {
				t.Errorf("%s sends %s", x.ID, body)
			}
		default:
			t.Errorf("%s is a %s", x.ID, x.Request.Method)
		}
		if strings.Contains(body+x.Request.URL, s.ClientID) || strings.Contains(body, s.Computer) {
			t.Errorf("%s tells who asks", x.ID)
		}
	}
}

func TestPlanRequests(t *testing.T) {
	t.Run("locator", func(t *testing.T) {
		plan := Settings{Build: "22631.3007", Arch: "arm64", Agent: "1309.2410.30012.0"}.Plan(PlanOptions{Now: testNow})
		u := task(t, plan, "scan.locator").Request.URL
		for _, part := range []string{"https://slscr.update.microsoft.com/SLS/", wusp.ServiceWindowsUpdate, "/arm64/10.0.22631.3007/0?", "WUA=1309.2410.30012.0"} {
			if !strings.Contains(u, part) {
				t.Errorf("%s lacks %s", u, part)
			}
		}
		head := task(t, plan, "scan.locator.head")
		if head.Request.Method != "HEAD" || head.Request.URL != u {
			t.Errorf("%+v", head.Request)
		}
		if s := task(t, plan, "store.locator").Request.URL; !strings.Contains(s, wusp.ServiceStore) {
			t.Errorf("%s", s)
		}
		for _, id := range []string{"scan.locator.head", "scan.locator", "scan.config", "scan.cookie", "store.locator"} {
			if !task(t, plan, id).Want.Pinned {
				t.Errorf("%s is pinned in Windows", id)
			}
		}
	})
	t.Run("front ends", func(t *testing.T) {
		plan := Settings{}.Plan(PlanOptions{Now: testNow})
		config := task(t, plan, "scan.config")
		if !strings.HasSuffix(field(config.Request, "SOAPAction"), `/GetConfig"`) || config.Want.Body != SOAP {
			t.Errorf("%+v", config)
		}
		cookie := task(t, plan, "scan.cookie")
		if !strings.HasPrefix(field(cookie.Request, "Content-Type"), "application/soap+xml") || !strings.Contains(string(cookie.Request.Body), "2031-03-02T09:00:00Z") {
			t.Errorf("%s", cookie.Request.Body)
		}
		if !slices.Equal(cookie.Want.Status, []int{200, 500}) {
			t.Errorf("a fault of the service is an answer: %v", cookie.Want.Status)
		}
	})
	t.Run("content", func(t *testing.T) {
		plan := Settings{}.Plan(PlanOptions{})
		x := task(t, plan, "download.range")
		if x.Want.Range == nil || x.Want.Range.Last-x.Want.Range.First+1 != 1<<20 || !x.Want.Length {
			t.Fatalf("%+v", x.Want)
		}
		if got, want := field(x.Request, "Range"), fmt.Sprintf("bytes=%d-%d", x.Want.Range.First, x.Want.Range.Last); got != want {
			t.Errorf("asks for %s, wants %s", got, want)
		}
		if field(x.Request, "Content-Length") != "0" || !strings.HasPrefix(field(x.Request, "User-Agent"), "Microsoft-Delivery-Optimization/") {
			t.Errorf("%v", x.Request.Header)
		}
		if !strings.HasPrefix(x.Request.URL, "http://") {
			t.Errorf("content travels over plain HTTP: %s", x.Request.URL)
		}
		bits := task(t, Settings{DODisabled: true}.Plan(PlanOptions{}), "download.range")
		if field(bits.Request, "Content-Length") != "" || !strings.HasPrefix(field(bits.Request, "User-Agent"), "Microsoft BITS/") {
			t.Errorf("%v", bits.Request.Header)
		}
	})
	t.Run("letter case of the policy", func(t *testing.T) {
		plan := Settings{UseWSUS: true, WSUS: " http://WSUS01.Fabrikam.Example:8530// "}.Plan(PlanOptions{})
		if u := task(t, plan, "wsus.config").Request.URL; u != "http://WSUS01.Fabrikam.Example:8530/ClientWebService/client.asmx" {
			t.Errorf("%s", u)
		}
	})
	t.Run("content of a WSUS with TLS", func(t *testing.T) {
		for wsus, want := range map[string]string{
			"https://WSUS.fabrikam.example:8531": "http://WSUS.fabrikam.example:8530/Content/anonymousCheckFile.txt",
			"https://wsus.fabrikam.example":      "http://wsus.fabrikam.example/Content/anonymousCheckFile.txt",
			"http://wsus.fabrikam.example:8530":  "http://wsus.fabrikam.example:8530/Content/anonymousCheckFile.txt",
			"https://[2001:db8::1]:8531/":        "http://[2001:db8::1]:8530/Content/anonymousCheckFile.txt",
		} {
			if u := task(t, Settings{UseWSUS: true, WSUS: wsus}.Plan(PlanOptions{}), "wsus.content").Request.URL; u != want {
				t.Errorf("%s: %s, want %s", wsus, u, want)
			}
		}
	})
	t.Run("reports", func(t *testing.T) {
		s := Settings{UseWSUS: true, WSUS: "http://wsus.fabrikam.example:8530"}
		if u := task(t, s.Plan(PlanOptions{}), "reporting.wsus").Request.URL; !strings.HasPrefix(u, s.WSUS+"/Reporting") {
			t.Errorf("%s", u)
		}
		s.WSUSStatus = "http://report.fabrikam.example:8530/"
		if u := task(t, s.Plan(PlanOptions{}), "reporting.wsus").Request.URL; !strings.HasPrefix(u, "http://report.fabrikam.example:8530/Reporting") {
			t.Errorf("%s", u)
		}
	})
	t.Run("credentials", func(t *testing.T) {
		s := Settings{UseWSUS: true, WSUS: "http://anna:s3cret@wsus.fabrikam.example:8530", Alternate: "http://anna:s3cret@alt.fabrikam.example", CacheHost: "anna:s3cret@cache"}
		for _, x := range s.Plan(PlanOptions{URLs: []string{"https://anna:s3cr/et@a.example/x", "http://anna:s3cret@b.example"}}) {
			if strings.Contains(x.Request.URL, "s3cr") || strings.Contains(string(x.Request.Body), "s3cr") {
				t.Errorf("%s: %s", x.ID, x.Request.URL)
			}
		}
	})
}

// UseWUServer = 0 leaves WUServer out, and the policy against Microsoft's addresses
// means nothing without a WSUS.
func TestPlanPolicies(t *testing.T) {
	has := func(s Settings, id string) bool {
		return slices.ContainsFunc(s.Plan(PlanOptions{}), func(x Task) bool { return x.ID == id })
	}
	const wsus = "http://wsus.fabrikam.example:8530"
	tests := []struct {
		name string
		s    Settings
		id   string
		want bool
	}{
		{"WSUS that is not used", Settings{WSUS: wsus}, "wsus.config", false},
		{"WSUS that is not used", Settings{WSUS: wsus}, "scan.config", true},
		{"UseWUServer without a server", Settings{UseWSUS: true}, "scan.config", true},
		{"WSUS", Settings{UseWSUS: true, WSUS: wsus}, "scan.config", false},
		{"WSUS: no content from Microsoft", Settings{UseWSUS: true, WSUS: wsus}, "download.range", false},
		{"WSUS: Delivery Optimization still asks", Settings{UseWSUS: true, WSUS: wsus}, "download.geo", true},
		{"policy without WSUS", Settings{NoInternet: true}, "scan.config", true},
		{"policy with WSUS", Settings{NoInternet: true, UseWSUS: true, WSUS: wsus, FromMicrosoft: []string{"feature"}}, "scan.config", false},
		{"policy with WSUS: no services of Delivery Optimization", Settings{NoInternet: true, UseWSUS: true, WSUS: wsus}, "download.geo", false},
		{"alternate without WSUS", Settings{Alternate: "http://alt.example"}, "download.alternate", false},
		{"cache without Delivery Optimization", Settings{DODisabled: true, CacheHost: "cache"}, "download.cache", false},
		{"no Delivery Optimization", Settings{DODisabled: true}, "download.geo", false},
	}
	for _, tt := range tests {
		if got := has(tt.s, tt.id); got != tt.want {
			t.Errorf("%s: %s is there: %v, want %v", tt.name, tt.id, got, tt.want)
		}
	}
	store := task(t, Settings{NoInternet: true, UseWSUS: true, WSUS: wsus}.Plan(PlanOptions{}), "store.catalog")
	for _, d := range store.Decisions {
		if !strings.Contains(d.Skipped, "policy") || d.Source != sourceNoPublic {
			t.Errorf("the Store does not say why it fails: %+v", d)
		}
	}
}

func TestPlanOptions(t *testing.T) {
	s := Settings{Machine: netshProxy, UseWSUS: true, WSUS: "http://wsus.fabrikam.example:8530"}
	ids := func(opt PlanOptions) []string {
		var out []string
		for _, x := range s.Plan(opt) {
			out = append(out, x.ID+" "+string(x.Caller))
		}
		return out
	}
	opt := PlanOptions{Only: []string{"url", "wsus.config"}, URLs: []string{
		"https://fe2cr.update.microsoft.com/x", "http://au.download.windowsupdate.com/y", "http://ctldl.windowsupdate.com/z", "https://storeedgefd.dsx.mp.microsoft.com/",
		"https://slscr.update.microsoft.com/SLS/", "https://statsfe2.update.microsoft.com/", "https://geo.prod.do.dsp.mp.microsoft.com/geo", "http://WSUS.fabrikam.example:8530/selfupdate/wuident.cab",
	}}
	want := []string{"wsus.config agent", "url.1 agent", "url.2 do", "url.3 crypt", "url.4 store", "url.5 locator", "url.6 other", "url.7 do", "url.8 agent"}
	if d := cmp.Diff(want, ids(opt)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	own := task(t, s.Plan(opt), "url.8")
	if own.Decisions[1].Source != sourceProxyBy {
		t.Errorf("the WSUS server is not seen as one's own: %+v", own.Decisions)
	}
	if d := cmp.Diff([]string{"wsus.config agent", "wsus.auth agent", "wsus.content do"}, ids(PlanOptions{Only: []string{"wsus"}})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := ids(PlanOptions{Only: []string{"wsu"}}); got != nil {
		t.Errorf("a part of a word selects %v", got)
	}
}

func TestCacheHosts(t *testing.T) {
	got := cacheHosts("cache1, 10.0.0.7:80;http://cache2.example/ 2001:db8::1 [2001:db8::2]:8080,a,b")
	if d := cmp.Diff([]string{"cache1", "10.0.0.7", "cache2.example", "[2001:db8::1]"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
