package route

import (
	"strings"
	"testing"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// answered is an exchange that was answered so.
func answeredSo(method, url string, status int, body string, fields ...host.Field) host.Exchange {
	return host.Exchange{
		Request: host.Request{ID: "t", Method: method, URL: url}, Status: status, Header: fields, Body: []byte(body), Length: int64(len(body)),
		Hops: []host.Hop{{Kind: host.HopHTTP, Target: url, Status: status}},
	}
}

func TestJudge(t *testing.T) {
	const url = "http://download.windowsupdate.com/a.cab"
	f := func(name, value string) host.Field { return host.Field{Name: name, Value: value} }
	ten := &Range{First: 10, Last: 19}
	page := "<!DOCTYPE html><html>Sign in</html>"
	for name, tt := range map[string]struct {
		want  Want
		ex    host.Exchange
		kind  host.HopKind
		fault host.Fault
		seen  string
	}{
		"as it should be":                   {ex: answeredSo("GET", url, 200, "x")},
		"another status":                    {ex: answeredSo("GET", url, 404, ""), kind: host.HopHTTP, fault: host.FaultStatus},
		"a status that is accepted":         {want: Want{Status: []int{200, 404}}, ex: answeredSo("GET", url, 404, "")},
		"come back later":                   {ex: answeredSo("GET", url, 503, page, f("Retry-After", "120"), f("Content-Type", "text/html")), kind: host.HopHTTP, fault: host.FaultStatus, seen: "Retry-After: 120"},
		"a page with a status of its own":   {want: Want{Body: Cabinet}, ex: answeredSo("GET", url, 500, page), kind: host.HopHTTP, fault: host.FaultStatus},
		"sent to the same site":             {ex: answeredSo("GET", url, 302, "", f("Location", "/b?ticket=4711")), kind: host.HopHTTP, fault: host.FaultRedirect, seen: "another path of the same host"},
		"sent to the same site, in full":    {ex: answeredSo("GET", url, 301, "", f("Location", "http://DOWNLOAD.windowsupdate.com/b")), kind: host.HopHTTP, fault: host.FaultRedirect},
		"sent to another site":              {ex: answeredSo("GET", url, 302, "", f("Location", "https://portal.example/?ticket=4711")), kind: host.HopHTTP, fault: host.FaultPortal, seen: "portal.example"},
		"sent nowhere":                      {ex: answeredSo("GET", url, 307, ""), kind: host.HopHTTP, fault: host.FaultRedirect},
		"sent to what makes no sense":       {ex: answeredSo("GET", url, 302, "", f("Location", "http://%zz/")), kind: host.HopHTTP},
		"sign in first":                     {ex: answeredSo("GET", url, 511, page), kind: host.HopHTTP, fault: host.FaultPortal},
		"a page for a cabinet":              {want: Want{Body: Cabinet}, ex: answeredSo("GET", url, 200, page), kind: host.HopHTTP, fault: host.FaultPortal},
		"a page by its type":                {want: Want{Body: Bytes}, ex: answeredSo("GET", url, 200, "Sign in", f("content-type", "text/html; charset=utf-8")), kind: host.HopHTTP, fault: host.FaultPortal},
		"a page for anything":               {ex: answeredSo("GET", url, 200, page)},
		"no cabinet":                        {want: Want{Body: Cabinet}, ex: answeredSo("GET", url, 200, "PK"), kind: host.HopService, fault: host.FaultAnswer},
		"a cabinet":                         {want: Want{Body: Cabinet}, ex: answeredSo("GET", url, 200, "MSCF\x00")},
		"Microsoft's text":                  {want: Want{Body: Text}, ex: answeredSo("GET", url, 200, "Microsoft Connect Test\r\n")},
		"another text":                      {want: Want{Body: Text}, ex: answeredSo("GET", url, 200, "Welcome"), kind: host.HopHTTP, fault: host.FaultPortal},
		"a range":                           {want: Want{Range: ten, Body: Bytes}, ex: answeredSo("GET", url, 206, "0123456789", f("Content-Range", "bytes 10-19/100"), f("Content-Length", "10"))},
		"a range of unknown whole":          {want: Want{Range: ten}, ex: answeredSo("GET", url, 206, "0123456789", f("content-range", "bytes 10-19/*"))},
		"the whole for a range":             {want: Want{Range: ten}, ex: answeredSo("GET", url, 200, "0123456789"), kind: host.HopContent, fault: host.FaultRange},
		"no range":                          {want: Want{Range: ten}, ex: answeredSo("GET", url, 416, ""), kind: host.HopContent, fault: host.FaultRange},
		"another range":                     {want: Want{Range: ten}, ex: answeredSo("GET", url, 206, "0123456789", f("Content-Range", "bytes 0-9/100")), kind: host.HopContent, fault: host.FaultRange, seen: "0-9"},
		"a range that is short":             {want: Want{Range: ten}, ex: answeredSo("GET", url, 206, "012", f("Content-Range", "bytes 10-19/100")), kind: host.HopContent, fault: host.FaultRange},
		"a range of nonsense":               {want: Want{Range: ten}, ex: answeredSo("GET", url, 206, "012", f("Content-Range", "lines 1-2")), kind: host.HopContent, fault: host.FaultRange},
		"a page for a range":                {want: Want{Range: ten, Body: Bytes}, ex: answeredSo("GET", url, 200, page), kind: host.HopHTTP, fault: host.FaultPortal},
		"no length":                         {want: Want{Length: true}, ex: answeredSo("GET", url, 200, "x"), kind: host.HopContent, fault: host.FaultLength},
		"no length of a head":               {want: Want{Length: true}, ex: answeredSo("HEAD", url, 200, ""), kind: host.HopContent, fault: host.FaultLength},
		"the length of a head":              {want: Want{Length: true}, ex: answeredSo("HEAD", url, 200, "", f("content-length", "7"))},
		"packed though nobody asked":        {want: Want{Length: true, Body: Bytes}, ex: answeredSo("GET", url, 200, "x", f("Content-Encoding", "gzip"), f("Content-Length", "1")), kind: host.HopContent, fault: host.FaultHeader},
		"a packed cabinet nobody asked for": {want: Want{Body: Cabinet}, ex: answeredSo("GET", url, 200, "\x1f\x8b", f("Content-Encoding", "gzip")), kind: host.HopService, fault: host.FaultAnswer, seen: "gzip"},
		"packed as identity":                {want: Want{Length: true, Body: Bytes}, ex: answeredSo("GET", url, 200, "x", f("Content-Encoding", "identity"), f("Content-Length", "1"))},
		"soap of another kind":              {want: Want{Body: SOAP, Operation: "GetConfig"}, ex: answeredSo("POST", url, 200, "<a/>"), kind: host.HopService, fault: host.FaultAnswer},
		"soap that is no XML":               {want: Want{Body: SOAP, Operation: "GetConfig"}, ex: answeredSo("POST", url, 200, "MSCF"), kind: host.HopService, fault: host.FaultAnswer},
		"soap that is a page":               {want: Want{Body: SOAP, Operation: "GetConfig"}, ex: answeredSo("POST", url, 200, page), kind: host.HopHTTP, fault: host.FaultPortal},
	} {
		t.Run(name, func(t *testing.T) {
			ex := tt.ex
			judge(tt.want, &ex)
			b := ex.Broken()
			switch {
			case tt.kind == "" && b != nil:
				t.Errorf("told as %s", b.Tell())
			case tt.kind == "":
			case b == nil:
				t.Fatalf("told as sound, want %s", tt.fault)
			case b.Kind != tt.kind || tt.fault != "" && b.Fault != tt.fault || !strings.Contains(b.Seen, tt.seen):
				t.Errorf("told as %s, want %s/%s %q", b.Tell(), tt.kind, tt.fault, tt.seen)
			}
			if b != nil && strings.Contains(b.Seen, "4711") {
				t.Errorf("a ticket is shown: %q", b.Seen)
			}
			caller := Agent
			if tt.want.Range != nil {
				caller = BITS
			}
			if b != nil && predict(caller, b.Kind, b.Fault, b.Status).Code == 0 {
				t.Errorf("nothing is predicted for %s", b.Tell())
			}
		})
	}
	broken := answeredSo("GET", url, 404, "")
	broken.Hops[0].Fault = host.FaultReset
	if judge(Want{}, &broken); len(broken.Hops) != 1 || broken.Hops[0].Fault != host.FaultReset {
		t.Errorf("what broke before is judged again: %+v", broken.Hops)
	}
}

var (
	callers = []Caller{Locator, Agent, Other, BITS, DO, Crypt, Store}
	legs    = []host.HopKind{host.HopDecision, host.HopDNS, host.HopTCP, host.HopProxy, host.HopTLS, host.HopHTTP, host.HopService, host.HopContent}
	faults  = []host.Fault{
		host.FaultPAC, host.FaultNoProxy, host.FaultNoName, host.FaultNoAddress, host.FaultNoResolver, host.FaultSunk, host.FaultRefused, host.FaultTimeout,
		host.FaultReset, host.FaultUnreachable, host.FaultBlocked, host.FaultClosed, host.FaultProxyAuth, host.FaultSignIn, host.FaultProxyDenied, host.FaultProxyGateway,
		host.FaultProxyStatus, host.FaultNotTLS, host.FaultAlert, host.FaultVersion, host.FaultIssuer, host.FaultUntrusted, host.FaultExpired, host.FaultNotYet,
		host.FaultCertName, host.FaultNotHTTP, host.FaultEndless, host.FaultStatus, host.FaultRedirect, host.FaultPortal, host.FaultSOAP, host.FaultAnswer,
		host.FaultRange, host.FaultLength, host.FaultDigest, host.FaultHeader,
	}
)

// TestPredictRows holds that every row of the table is the first that fits something,
// and that it is what is predicted then.
func TestPredictRows(t *testing.T) {
	rows, err := predictRows()
	if err != nil {
		t.Fatal(err)
	}
	statuses := []int{0}
	for _, r := range rows {
		if r.status != 0 {
			statuses = append(statuses, r.status)
		}
		if r.source == "" || r.code == 0 && !r.http {
			t.Errorf("a row without code or source: %+v", r)
		}
	}
	statuses = append(statuses, 299, 418, 599)
	reached := make([]bool, len(rows))
	for _, c := range callers {
		for _, k := range legs {
			for _, f := range faults {
				for _, status := range statuses {
					for i, r := range rows {
						if !r.fits(c, k, f, status) {
							continue
						}
						reached[i] = true
						p := predict(c, k, f, status)
						want := r.code
						if r.http {
							want = codes.HRESULT(0x80190000 + status)
						}
						if f != host.FaultSignIn && (p.Code != want || p.Source != r.source || len(p.Also) != len(r.also)) {
							t.Errorf("%s %s %s %d: %v by %q, want %v by %q", c, k, f, status, p.Code, p.Source, want, r.source)
						}
						break
					}
				}
			}
		}
	}
	for i, ok := range reached {
		if !ok {
			t.Errorf("row %d is never reached: %+v", i+1, rows[i])
		}
	}
}

// TestPredictComplete holds that whatever the prober and the judge can find on a leg
// becomes a code, for every caller. A fault without one would be told as success.
func TestPredictComplete(t *testing.T) {
	torn := []host.Fault{host.FaultTimeout, host.FaultReset, host.FaultClosed, host.FaultNotHTTP, host.FaultEndless}
	found := map[host.HopKind][]host.Fault{
		host.HopDNS:   {host.FaultNoName, host.FaultNoAddress, host.FaultNoResolver, host.FaultSunk},
		host.HopTCP:   {host.FaultRefused, host.FaultTimeout, host.FaultReset, host.FaultUnreachable, host.FaultBlocked, host.FaultClosed},
		host.HopProxy: append([]host.Fault{host.FaultProxyAuth, host.FaultSignIn, host.FaultProxyDenied, host.FaultProxyGateway, host.FaultProxyStatus}, torn...),
		host.HopTLS: {
			host.FaultTimeout, host.FaultReset, host.FaultClosed, host.FaultNotTLS, host.FaultAlert, host.FaultVersion, host.FaultIssuer, host.FaultUntrusted,
			host.FaultExpired, host.FaultNotYet, host.FaultCertName,
		},
		host.HopHTTP:    append([]host.Fault{host.FaultStatus, host.FaultRedirect, host.FaultPortal, host.FaultLength, host.FaultNotTLS, host.FaultAlert}, torn...),
		host.HopService: {host.FaultSOAP, host.FaultAnswer},
		host.HopContent: {host.FaultRange, host.FaultLength, host.FaultHeader, host.FaultDigest},
	}
	for kind, list := range found {
		for _, f := range list {
			for _, c := range callers {
				if kind == host.HopContent && (c != BITS && c != DO) && f == host.FaultRange {
					continue // the others ask for no ranges
				}
				status := 0
				switch f {
				case host.FaultProxyGateway:
					status = 502
				case host.FaultStatus, host.FaultProxyDenied, host.FaultProxyStatus, host.FaultRedirect:
					status = 418
				}
				p := predict(c, kind, f, status)
				if p.Code == 0 || p.Source == "" {
					t.Errorf("%s: %s/%s predicts nothing", c, kind, f)
				}
				if p.Code != 0 && int32(p.Code) >= 0 {
					t.Errorf("%s: %s/%s predicts %v, which is no failure", c, kind, f, p.Code)
				}
				if p.Code != 0 && !p.Agrees(p.Code) {
					t.Errorf("%v does not agree with itself", p.Code)
				}
			}
		}
	}
	if p := Predict(Agent, &host.Exchange{}); p.Code != 0 || p.Agrees(0) {
		t.Errorf("nothing broken predicts %v", p.Code)
	}
}
