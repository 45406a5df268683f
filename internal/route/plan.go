package route

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"updoc/internal/host"
	"updoc/internal/route/wusp"
)

// PlanOptions narrows or widens a plan.
type PlanOptions struct {
	URLs []string  // addresses to ask besides, whoever would ask them
	Only []string  // beginnings of task ids ("scan", "wsus.config", "url"); empty: all
	Now  time.Time // what the messages that carry a time say
}

// What the plan's requests are made of.
const (
	reportURL     = "https://statsfe2.update.microsoft.com/ReportingWebService/ReportingWebService.asmx"
	portalURL     = "http://www.msftconnecttest.com/connecttest.txt"
	rootListURL   = "http://ctldl.windowsupdate.com/msdownload/update/v3/static/trustedr/en/disallowedcertstl.cab"
	storeFrontURL = "https://storeedgefd.dsx.mp.microsoft.com/v9.0/packageManifests/9WZDNCRFJBMP"
	geoURL        = "https://geo.prod.do.dsp.mp.microsoft.com/geo"
	keyValueURL   = "https://kv501.prod.do.dsp.mp.microsoft.com/all"

	// The catalogue for scans without a connection: one address that has held for
	// years, and larger than any range that is asked of it.
	// learn.microsoft.com: Using WUA to Scan for Updates Offline.
	contentURL = "http://download.windowsupdate.com/microsoftupdate/v6/wsusscan/wsusscn2.cab"

	// The picture that Microsoft has one fetch to see whether a Connected Cache works;
	// a cache gets it from the second host.
	// learn.microsoft.com: Verify cache node functionality.
	pictureName = "/filestreamingservice/files/7bc846e0-af9c-49be-a03d-bb04428c9bb5/Microsoft.png"
	pictureFrom = "dl.delivery.mp.microsoft.com"
)

// anyBuild is named where the machine's own build is not known.
const anyBuild = "26200.8037"

const (
	sourceScan     = "[MS-WUSP] 3.1.5; learn.microsoft.com: Windows Update security"
	sourceLocator  = "update logs: \"SLS Making request with URL\"; learn.microsoft.com: Windows Update security"
	sourceWSUSTest = "learn.microsoft.com: Windows Update scan failures (checks with a browser)"
	sourceContent  = "learn.microsoft.com: Windows Update issues troubleshooting; HTTP Requirements for BITS Downloads"
	sourceEndpoint = "learn.microsoft.com: Delivery Optimization endpoints"
	sourceRoots    = "learn.microsoft.com: Manage connection endpoints for Windows 11 (ctldl.windowsupdate.com)"
	sourceNCSI     = "learn.microsoft.com: NCSI overview"
	sourceNoPublic = "ADMX_WindowsUpdate: Do not connect to any Windows Update Internet locations"
)

// Plan returns the requests that Windows Update would send from this machine, in
// the order of an update's life: asking where the service is, scanning, fetching
// content, verifying, reporting. Each carries the proxy decisions of its caller.
// What policy leaves out is left out. No request of a plan writes anything on a
// server.
func (s Settings) Plan(opt PlanOptions) []Task {
	p := planner{Settings: s, opt: opt}
	if p.asksMicrosoft() {
		p.scan()
	}
	if p.usesWSUS() {
		p.wsus()
	}
	p.content()
	p.store()
	p.verify()
	p.report()
	p.urls()
	if len(opt.Only) > 0 {
		p.tasks = slices.DeleteFunc(p.tasks, func(t Task) bool {
			return !slices.ContainsFunc(opt.Only, func(id string) bool { return t.ID == id || strings.HasPrefix(t.ID, id+".") })
		})
	}
	return p.tasks
}

// planner collects the tasks of one plan.
type planner struct {
	Settings
	opt   PlanOptions
	tasks []Task
}

// usesWSUS: WUServer counts only together with UseWUServer.
// learn.microsoft.com: Manage additional Windows Update settings.
func (s Settings) usesWSUS() bool { return s.UseWSUS && s.WSUS != "" }

// closed: the policy against Microsoft's addresses works only on a machine that has
// a WSUS, as its own text says.
func (s Settings) closed() bool { return s.NoInternet && s.usesWSUS() }

// asksMicrosoft: the public service is scanned if there is no WSUS, or if policy
// takes a class of updates from it all the same.
// learn.microsoft.com: Use Windows Update client policies and WSUS together.
func (s Settings) asksMicrosoft() bool {
	return !s.usesWSUS() || len(s.FromMicrosoft) > 0 && !s.closed()
}

func (p *planner) add(t Task, own bool) {
	t.Request.ID = t.ID
	if t.Decisions == nil {
		t.Decisions = p.Decide(t.Caller, own)
	}
	p.tasks = append(p.tasks, t)
}

// scan: the locator, asked for its head and then for its answer, and the two front
// ends that it leads to.
func (p *planner) scan() {
	locator := p.locator(wusp.ServiceWindowsUpdate)
	head := locator
	head.Method = "HEAD"
	p.add(Task{
		ID: "scan.locator.head", Caller: Locator, Request: head,
		Want: Want{Status: []int{200, 304}, Pinned: true}, Purpose: "the service locator, asked for news", Source: sourceLocator,
	}, false)
	p.add(Task{
		ID: "scan.locator", Caller: Locator, Request: locator, Vital: true,
		Want: Want{Body: Cabinet, Pinned: true}, Purpose: "the service locator: where the update service is", Source: sourceLocator,
	}, false)
	p.add(Task{
		ID: "scan.config", Caller: Agent, Request: p.server(wusp.Public()).GetConfig(), Vital: true,
		Want: Want{Body: SOAP, Operation: "GetConfig", Pinned: true}, Purpose: "the rules of Microsoft Update", Source: sourceScan,
	}, false)
	modern := p.server(wusp.Modern())
	p.add(Task{
		ID: "scan.cookie", Caller: Agent, Request: modern.GetCookie(nil, wusp.Cookie{}, modern.Now.UTC().Format(time.RFC3339)), Vital: true,
		// A fault of the service answers the question as well as a cookie does.
		Want: Want{Status: []int{200, 500}, Body: SOAP, Operation: "GetCookie", Pinned: true}, Purpose: "a cookie of Windows Update, without saying who asks", Source: sourceScan,
	}, false)
}

// wsus: the first call of every scan, the service that hands out cookies, and the
// content, which travels over plain HTTP also where the rest does not.
func (p *planner) wsus() {
	base := trimURL(p.WSUS)
	server := p.server(wusp.WSUS(base))
	p.add(Task{
		ID: "wsus.config", Caller: Agent, Request: server.GetConfig(), Vital: true,
		Want: Want{Body: SOAP, Operation: "GetConfig"}, Purpose: "the rules of the WSUS server", Source: "WUServer; " + sourceScan,
	}, true)
	// Going deep identifies the machine there: [Walker.Walk] does so once, with the rules that
	// the server gives.
	p.add(Task{
		ID: "wsus.auth", Caller: Agent, Request: p.get("GET", base+"/SimpleAuthWebService/SimpleAuth.asmx"),
		Purpose: "the sign-in service of the WSUS server", Source: sourceWSUSTest,
	}, true)
	p.add(Task{
		ID: "wsus.content", Caller: p.fetcher(), Request: p.fetch("GET", wusp.ContentBase(base)+"/Content/anonymousCheckFile.txt", nil),
		Want: Want{Body: Bytes}, Purpose: "the content of the WSUS server, by the file that it keeps for such tests", Source: sourceWSUSTest + "; [MS-WUSP] 2.1",
	}, true)
}

// content: from the cache and the alternate server that policy names, and from
// Microsoft's own.
func (p *planner) content() {
	if p.Alternate != "" && p.usesWSUS() {
		p.add(Task{
			ID: "download.alternate", Caller: p.fetcher(), Request: p.fetch("HEAD", trimURL(p.Alternate)+"/", nil),
			Want: reachable(), Purpose: "the alternate download server", Source: "UpdateServiceUrlAlternate",
		}, true)
	}
	if !p.DODisabled {
		for i, name := range cacheHosts(p.CacheHost) {
			id := "download.cache"
			if i > 0 {
				id += "." + strconv.Itoa(i+1)
			}
			p.add(Task{
				ID: id, Caller: DO, Decisions: p.cache(),
				Request: p.fetch("GET", "http://"+name+pictureName+"?cacheHostOrigin="+pictureFrom, nil),
				Want:    Want{Body: Bytes, Length: true}, Purpose: "a file through the Connected Cache", Source: "DOCacheHost; learn.microsoft.com: Verify cache node functionality",
			}, true)
		}
	}
	if p.asksMicrosoft() {
		c := p.fetcher()
		piece := Range{First: wusp.PieceSize, Last: 2*wusp.PieceSize - 1} // not the beginning: a proxy may have that
		p.add(Task{
			ID: "download.head", Caller: c, Request: p.fetch("HEAD", contentURL, nil), Vital: true,
			Want: Want{Length: true}, Purpose: "the length of a file of Windows Update", Source: sourceContent,
		}, false)
		p.add(Task{
			ID: "download.range", Caller: c, Request: p.fetch("GET", contentURL, &piece), Vital: true,
			Want: Want{Range: &piece, Body: Bytes, Length: true}, Purpose: "1 MiB out of the middle of a file", Source: sourceContent,
		}, false)
		p.add(Task{
			ID: "download.delivery", Caller: c, Request: p.fetch("GET", "http://"+pictureFrom+pictureName, nil),
			Want: Want{Body: Bytes, Length: true}, Purpose: "a small file from the other content network", Source: sourceContent,
		}, false)
	}
	if !p.DODisabled && !p.closed() {
		for _, t := range []struct{ id, url, purpose string }{
			{"download.geo", geoURL, "the part of the world, for Delivery Optimization"},
			{"download.rules", keyValueURL, "the rules of Delivery Optimization"},
		} {
			p.add(Task{
				ID: t.id, Caller: DO, Request: p.fetch("GET", t.url+"?doClientVersion="+p.osVersion(), nil),
				Want: Want{Body: Bytes}, Purpose: t.purpose, Source: sourceEndpoint,
			}, false)
		}
	}
}

// store: the Store has its own service; the policy against Microsoft's addresses
// stops it, as that policy's text warns.
func (p *planner) store() {
	for _, t := range []Task{
		{
			ID: "store.locator", Caller: Store, Request: p.locator(wusp.ServiceStore),
			Want: Want{Body: Cabinet, Pinned: true}, Purpose: "the service locator: where the Store's updates are", Source: sourceLocator,
		},
		{
			ID: "store.catalog", Caller: Store, Request: p.get("GET", storeFrontURL+"?market=US"),
			Want: Want{Status: []int{200, 400, 404}, Body: Bytes}, Purpose: "what the Store says of itself", Source: "learn.microsoft.com: Manage connection endpoints for Windows 11",
		},
	} {
		if p.closed() {
			t.Decisions = p.Decide(Store, false)
			for i := range t.Decisions {
				t.Decisions[i].Skipped = "policy forbids Microsoft's addresses; the Store does not work without them"
				t.Decisions[i].Source = sourceNoPublic
			}
		}
		p.add(t, false)
	}
}

// verify: the lists of roots, and whether there is an internet at all.
func (p *planner) verify() {
	p.add(Task{
		ID: "verify.roots", Caller: Crypt, Request: p.get("GET", rootListURL), Vital: !p.closed(),
		Want: Want{Body: Cabinet, Length: true}, Purpose: "the list of roots that are no longer trusted", Source: sourceRoots,
	}, false)
	req := p.get("GET", portalURL)
	req.Header = []host.Field{{Name: "Connection", Value: "Close"}, {Name: "User-Agent", Value: "Microsoft NCSI"}}
	p.add(Task{
		ID: "verify.portal", Caller: Other, Request: req, Decisions: inOrder([]Decision{p.system(NetworkService, sourceNCSI)}),
		Want: Want{Body: Text}, Purpose: "the page that shows a sign-in before the internet", Source: sourceNCSI,
	}, false)
}

// report: what was installed is told to whoever was scanned. The services are only
// looked at; a report would be written down.
func (p *planner) report() {
	if p.usesWSUS() {
		base := trimURL(cmp.Or(p.WSUSStatus, p.WSUS))
		p.add(Task{
			ID: "reporting.wsus", Caller: Other, Request: p.get("GET", base+"/ReportingWebService/ReportingWebService.asmx"),
			Want: Want{}, Purpose: "the service of the WSUS server that takes reports", Source: "WUStatusServer; [MS-WUSP] 2.1",
		}, true)
	}
	if p.asksMicrosoft() {
		p.add(Task{
			ID: "reporting.microsoft", Caller: Other, Request: p.get("GET", reportURL),
			Want: reachable(), Purpose: "Microsoft's service for reports", Source: sourceClient,
		}, false)
	}
}

// urls: addresses that somebody wants walked. Who would ask them in Windows is told
// by the table of endpoints.
func (p *planner) urls() {
	for i, raw := range p.opt.URLs {
		t := Task{
			ID: "url." + strconv.Itoa(i+1), Caller: Agent, Vital: true,
			Want: Want{}, Purpose: "an address that was given", Source: "given",
		}
		clean, name := withoutUser(raw)
		own := p.usesWSUS() && name != "" && strings.EqualFold(name, parseTarget(p.WSUS).host)
		e, known := EndpointOf(name)
		switch {
		case known && e.Role == RoleOther:
			t.Caller = Store
		case known && e.Stage == "download" && e.Role == RoleVital:
			t.Caller = p.fetcher()
		case known && e.Stage == "download" && !p.DODisabled:
			t.Caller = DO
		case known && e.Stage == "verify":
			t.Caller = Crypt
		case known && e.Role == RoleHelper:
			t.Caller = Other
		case known && parseTarget(clean).host == "slscr.update.microsoft.com":
			t.Caller = Locator
		}
		t.Request = p.get("GET", clean)
		p.add(t, own)
	}
}

// fetcher is who fetches content.
func (s Settings) fetcher() Caller {
	if s.DODisabled {
		return BITS
	}
	return DO
}

// reachable accepts every status with which a web server says that it is one. Two
// addresses of the plan have no page that may be fetched.
func reachable() Want { return Want{Status: []int{200, 400, 401, 403, 404, 405, 500}} }

// get is a request as the update agent sends it.
func (p *planner) get(method, address string) host.Request {
	return host.Request{Method: method, URL: address, Header: []host.Field{
		{Name: "Cache-Control", Value: "no-cache"},
		{Name: "Connection", Value: "Keep-Alive"},
		{Name: "Pragma", Value: "no-cache"},
		{Name: "User-Agent", Value: p.userAgent()},
	}}
}

// fetch is a request for content, as Delivery Optimization sends it, with a
// Content-Length on a GET, at which some proxies stumble; or as BITS does.
func (p *planner) fetch(method, address string, r *Range) host.Request {
	h := []host.Field{{Name: "Connection", Value: "Keep-Alive"}, {Name: "Accept", Value: "*/*"}}
	if r != nil {
		h = append(h, host.Field{Name: "Range", Value: fmt.Sprintf("bytes=%d-%d", r.First, r.Last)})
	}
	if p.DODisabled {
		h = append(h, host.Field{Name: "User-Agent", Value: "Microsoft BITS/7.8"})
	} else {
		h = append(h, host.Field{Name: "User-Agent", Value: "Microsoft-Delivery-Optimization/10.1"})
		if method == "GET" {
			h = append(h, host.Field{Name: "Content-Length", Value: "0"})
		}
	}
	req := host.Request{Method: method, URL: address, Header: h}
	if r != nil {
		req.Keep = 4 << 10 // the length is counted, the bytes are of no use
	}
	return req
}

func (p *planner) userAgent() string {
	return "Windows-Update-Agent/" + cmp.Or(p.Agent, wusp.DefaultAgent) + " Client-Protocol/2.90"
}

// osVersion is "10.0.22631.3007".
func (s Settings) osVersion() string {
	if s.build() == 0 {
		return "10.0." + anyBuild
	}
	return "10.0." + s.Build
}

// locator asks the service locator for a service. What real requests say of the
// maker and model of a machine is left out.
func (p *planner) locator(service string) host.Request {
	l := wusp.Locator{Service: service, Build: p.osVersion(), Agent: p.Agent}
	switch p.Arch {
	case "arm64":
		l.Arch = "arm64"
	case "386":
		l.Arch = "x86"
	}
	return l.Request()
}

// server is an update service as this machine's agent speaks to it.
func (p *planner) server(s wusp.Server) wusp.Server {
	s.Agent, s.Now = p.Agent, p.opt.Now
	return s
}

// cacheHosts splits DOCacheHost: names or addresses, separated by commas.
// learn.microsoft.com: Delivery Optimization reference (cache server hostname).
func cacheHosts(s string) []string {
	var out []string
	for name := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' || r == ';' || r == ' ' }) {
		name = strings.TrimSuffix(strings.TrimPrefix(name, "http://"), "/")
		name = name[strings.LastIndexByte(name, '@')+1:]
		if h, port, err := net.SplitHostPort(name); err == nil && port == "80" {
			name = h
		}
		if strings.Count(name, ":") > 1 && !strings.HasPrefix(name, "[") {
			name = "[" + name + "]"
		}
		if name != "" && len(out) < maxCaches {
			out = append(out, name)
		}
	}
	return out
}

// maxCaches bounds the caches that are asked; policy names one or two.
const maxCaches = 4

// trimURL takes blanks and trailing slashes from an address that policy names, and
// the credentials that no policy should hold. All else stays as it is written, the
// letter case included: scripts see it.
func trimURL(s string) string {
	s, _ = withoutUser(strings.TrimSpace(s))
	return strings.TrimRight(s, "/")
}

// withoutUser takes the credentials out of an address; it returns the host as well.
func withoutUser(raw string) (clean, name string) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return raw, parseTarget(raw).host
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if at := strings.LastIndexByte(rest, '@'); at > len(authority) && badPort(authority) {
		// A password with a slash in it: what looks like the host is not one.
		return withoutUser(scheme + "://" + rest[at+1:])
	}
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	clean = scheme + "://" + authority + path
	return clean, parseTarget(clean).host
}

// badPort reports that what stands behind the colon of an authority is no port.
func badPort(authority string) bool {
	_, _, flaw := splitEntry(authority)
	return flaw == FlawPort
}
