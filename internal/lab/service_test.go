package lab

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"updoc/internal/cab"
)

// talker is the smallest update client: it pastes strings, so that it agrees with the
// service by the wire alone.
type talker struct {
	t    *testing.T
	c    *http.Client
	base string // "http://wsus01.fabrikam.example:8530/ClientWebService/client.asmx"
	ns   string
}

func (k talker) say(op, inner string) got {
	k.t.Helper()
	body := `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><` + op + ` xmlns="` + k.ns + `">` + inner + `</` + op + `></s:Body></s:Envelope>`
	g, err := do(k.t, k.c, "POST", k.base, map[string]string{"Content-Type": "text/xml; charset=utf-8", "SOAPAction": `"` + k.ns + "/" + op + `"`}, body)
	if err != nil {
		k.t.Fatalf("%s: %v", op, err)
	}
	return g
}

func between(s []byte, tag string) string {
	m := regexp.MustCompile(`<` + tag + `(?: [^>]*)?>([^<]*)</` + tag + `>`).FindSubmatch(s)
	if m == nil {
		return ""
	}
	return string(m[1])
}

func every(s []byte, tag string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`<`+tag+`(?: [^>]*)?>([^<]*)</`+tag+`>`).FindAllSubmatch(s, -1) {
		out = append(out, string(m[1]))
	}
	return out
}

const (
	testClient = "http://www.microsoft.com/SoftwareDistribution/Server/ClientWebService"
	testAuth   = "http://www.microsoft.com/SoftwareDistribution/Server/SimpleAuthWebService"
	testReport = "http://www.microsoft.com/SoftwareDistribution"
	testID     = "5f6e1b1c-3c1c-4d5d-9a0f-0b6f2f3c4d5e"
)

// cookie does what a client does before its first SyncUpdates.
func (k talker) cookie() string {
	k.t.Helper()
	g := k.say("GetConfig", "<protocolVersion>2.90</protocolVersion>")
	last := between(g.body, "LastChange")
	if g.status != 200 || last == "" {
		k.t.Fatalf("GetConfig: %d %s", g.status, g.body)
	}
	auth := talker{k.t, k.c, strings.Replace(k.base, "/ClientWebService/client.asmx", "/"+between(g.body, "ServiceUrl"), 1), testAuth}
	g = auth.say("GetAuthorizationCookie", "<clientId>"+testID+"</clientId><dnsName>ws-7.fabrikam.example</dnsName>")
	if g.status != 200 || between(g.body, "PlugInId") != "SimpleTargeting" || len(between(g.body, "CookieData")) != 496 {
		k.t.Fatalf("GetAuthorizationCookie: %d %s", g.status, g.body)
	}
	g = k.say("GetCookie", "<authCookies><AuthorizationCookie><PlugInId>SimpleTargeting</PlugInId><CookieData>"+between(g.body, "CookieData")+"</CookieData></AuthorizationCookie></authCookies><lastChange>"+last+"</lastChange><currentTime>2026-01-01T00:00:00Z</currentTime><protocolVersion>2.90</protocolVersion>")
	if g.status != 200 {
		k.t.Fatalf("GetCookie: %d %s", g.status, g.body)
	}
	return cookieOf(g.body)
}

func cookieOf(b []byte) string {
	return "<cookie><Expiration>" + between(b, "Expiration") + "</Expiration><EncryptedData>" + between(b, "EncryptedData") + "</EncryptedData></cookie>"
}

// sync pages until the service has nothing new, and returns the leaves.
func (k talker) sync(cookie string) (leaves []string, pages int) {
	k.t.Helper()
	var has, cached string
	for pages = 1; pages < 50; pages++ {
		g := k.say("SyncUpdates", cookie+"<parameters><ExpressQuery>false</ExpressQuery><InstalledNonLeafUpdateIDs>"+has+"</InstalledNonLeafUpdateIDs><OtherCachedUpdateIDs>"+cached+"</OtherCachedUpdateIDs><SkipSoftwareSync>false</SkipSoftwareSync></parameters>")
		if g.status != 200 {
			k.t.Fatalf("SyncUpdates: %d %s", g.status, g.body)
		}
		cookie = cookieOf(g.body)
		infos := regexp.MustCompile(`<UpdateInfo><ID>(\d+)</ID>.*?<IsLeaf>(true|false)</IsLeaf>`).FindAllSubmatch(g.body, -1)
		if len(infos) == 0 {
			return leaves, pages
		}
		for _, m := range infos {
			if string(m[2]) == "true" {
				leaves = append(leaves, string(m[1]))
				cached += "<int>" + string(m[1]) + "</int>"
			} else {
				has += "<int>" + string(m[1]) + "</int>"
			}
		}
	}
	return leaves, pages
}

// A whole scan and download, over http and https, that writes nothing.
func TestWSUSScanAndDownload(t *testing.T) {
	w := open(t, `{"wsus":[{"name":"wsus01.fabrikam.example","https":8531,"updates":4,"categories":65}]}`)
	c := browser(t, w, "")
	for _, base := range []string{"http://wsus01.fabrikam.example:8530", "https://wsus01.fabrikam.example:8531"} {
		k := talker{t, c, base + "/ClientWebService/client.asmx", testClient}
		cookie := k.cookie()
		leaves, pages := k.sync(cookie)
		if len(leaves) != 4 || pages != 5 { // 30 + 30 + 5 categories, 4 updates, nothing
			t.Errorf("%s: %d updates in %d pages", base, len(leaves), pages)
		}
		var ids string
		for _, id := range leaves {
			ids += "<int>" + id + "</int>"
		}
		g := k.say("GetExtendedUpdateInfo", cookie+"<revisionIDs>"+ids+"</revisionIDs><infoTypes><XmlUpdateFragmentType>Extended</XmlUpdateFragmentType></infoTypes><locales><string>en</string></locales>")
		urls, digests := every(g.body, "Url"), every(g.body, "FileDigest")
		if g.status != 200 || len(urls) != 4 || len(digests) != 4 {
			t.Fatalf("GetExtendedUpdateInfo: %d %s", g.status, g.body)
		}
		if !strings.HasPrefix(urls[0], "http://wsus01.fabrikam.example:8530/Content/") {
			t.Errorf("content at %s", urls[0])
		}
		for i, u := range urls {
			g := get(t, c, u)
			sum := sha1.Sum(g.body)
			if g.status != 200 || base64.StdEncoding.EncodeToString(sum[:]) != digests[i] {
				t.Errorf("%s: %d, digest %x", u, g.status, sum)
			}
			second := sha256.Sum256(g.body)
			if len(w.Files()) == 0 || !strings.Contains(fmt.Sprint(w.Files()), base64.StdEncoding.EncodeToString(second[:])) {
				t.Errorf("%s: unknown SHA-256", u)
			}
		}
		g = k.say("GetFileLocations", cookie+"<fileDigests><base64Binary>"+digests[0]+"</base64Binary></fileDigests>")
		if between(g.body, "Url") != urls[0] {
			t.Errorf("GetFileLocations: %s", g.body)
		}
	}
	for path, want := range map[string]string{"/clientwebservice/WUSserverversion.xml": "<ServerVersion>", "/SelfUpdate/wuident.cab": "MSCF", "/ClientWebService/client.asmx": "operations", "/SimpleAuthWebService/SimpleAuth.asmx": "operations", "/Content/anonymousCheckFile.txt": ""} {
		if g := get(t, c, "http://wsus01.fabrikam.example:8530"+path); g.status != 200 || !bytes.Contains(g.body, []byte(want)) {
			t.Errorf("%s: %d %.60q", path, g.status, g.body)
		}
	}
	if wrote := w.Wrote(); len(wrote) != 0 {
		t.Errorf("a scan wrote: %+v", wrote)
	}
	named := false
	for _, s := range w.Requests("wsus01.fabrikam.example") {
		named = named || s.Action == "SyncUpdates" && s.Client == testID
	}
	if !named {
		t.Error("the log does not say which client scanned")
	}
}

func TestWSUSWrites(t *testing.T) {
	w := open(t, `{"wsus":[{"name":"wsus01.fabrikam.example","register":true}]}`)
	k := talker{t, browser(t, w, ""), "http://wsus01.fabrikam.example:8530/ClientWebService/client.asmx", testClient}
	cookie := k.cookie()
	if g := k.say("SyncUpdates", cookie+"<parameters/>"); g.status != 500 || between(g.body, "ErrorCode") != "RegistrationRequired" {
		t.Errorf("unregistered: %d %s", g.status, g.body)
	}
	if g := k.say("RegisterComputer", cookie+"<computerInfo><DnsName>ws-7</DnsName><OSMajorVersion>10</OSMajorVersion></computerInfo>"); g.status != 200 {
		t.Errorf("RegisterComputer: %d %s", g.status, g.body)
	}
	if leaves, _ := k.sync(cookie); len(leaves) != 3 {
		t.Errorf("registered: %v", leaves)
	}
	r := k
	r.base, r.ns = "http://wsus01.fabrikam.example:8530/ReportingWebService/ReportingWebService.asmx", testReport
	if g := r.say("ReportEventBatch", cookie+"<eventBatch><ReportingEvent/></eventBatch>"); between(g.body, "ReportEventBatchResult") != "true" {
		t.Errorf("ReportEventBatch: %s", g.body)
	}
	wrote := w.Wrote()
	if len(wrote) != 2 || wrote[0].Action != "RegisterComputer" || wrote[1].Action != "ReportEventBatch" || wrote[0].Client != testID {
		t.Errorf("wrote: %+v", wrote)
	}
}

func TestWSUSFaults(t *testing.T) {
	ids := strings.Repeat("<int>1</int>", 401)
	for _, tt := range []struct {
		name, op, inner, want string
	}{
		{"old config", "GetCookie", "<authCookies><AuthorizationCookie><PlugInId>SimpleTargeting</PlugInId><CookieData>" + base64.StdEncoding.EncodeToString(make([]byte, 60)) + "</CookieData></AuthorizationCookie></authCookies><lastChange>1970-01-01T00:00:00Z</lastChange>", "ConfigChanged"},
		{"no authorization", "GetCookie", "<lastChange>1970-01-01T00:00:00Z</lastChange>", "InvalidAuthorizationCookie"},
		{"no cookie", "SyncUpdates", "<parameters/>", "InvalidCookie"},
		{"too many ids", "SyncUpdates", "COOKIE<parameters><InstalledNonLeafUpdateIDs>" + ids + "</InstalledNonLeafUpdateIDs></parameters>", "InvalidParameters"},
		{"devices with software", "SyncUpdates", "COOKIE<parameters><SystemSpec><Device/></SystemSpec><SkipSoftwareSync>false</SkipSoftwareSync></parameters>", "InvalidParameters"},
		{"registration not wanted", "RegisterComputer", "COOKIE<computerInfo/>", "RegistrationNotRequired"},
		{"unknown revision", "GetExtendedUpdateInfo", "COOKIE<revisionIDs><int>7</int></revisionIDs>", "InvalidParameters"},
		{"unknown operation", "DoEverything", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, `{"wsus":[{"name":"wsus01.fabrikam.example"}]}`)
			k := talker{t, browser(t, w, ""), "http://wsus01.fabrikam.example:8530/ClientWebService/client.asmx", testClient}
			g := k.say(tt.op, strings.ReplaceAll(tt.inner, "COOKIE", k.cookie()))
			if g.status != 500 || between(g.body, "ErrorCode") != tt.want || !bytes.Contains(g.body, []byte("faultstring")) {
				t.Errorf("%d %s, want %s", g.status, g.body, tt.want)
			}
		})
	}
}

func TestWSUSEndlessAndCookieEnd(t *testing.T) {
	w := open(t, `{"wsus":[{"name":"wsus01.fabrikam.example","endless":true}]}`)
	k := talker{t, browser(t, w, ""), "http://wsus01.fabrikam.example:8530/ClientWebService/client.asmx", testClient}
	cookie := k.cookie()
	has, seen := "", map[string]bool{}
	for range 10 {
		g := k.say("SyncUpdates", cookie+"<parameters><InstalledNonLeafUpdateIDs>"+has+"</InstalledNonLeafUpdateIDs></parameters>")
		news := every(g.body, "ID")
		if between(g.body, "Truncated") != "true" || len(news) == 0 {
			t.Fatalf("it ends: %.200s", g.body)
		}
		for _, m := range regexp.MustCompile(`<UpdateInfo><ID>(\d+)</ID>`).FindAllSubmatch(g.body, -1) {
			if seen[string(m[1])] {
				t.Fatalf("%s twice", m[1])
			}
			seen[string(m[1])] = true
			has += "<int>" + string(m[1]) + "</int>"
		}
	}
	w.Advance(2 * time.Hour)
	if g := k.say("SyncUpdates", cookie+"<parameters/>"); between(g.body, "ErrorCode") != "CookieExpired" {
		t.Errorf("after two hours: %s", g.body)
	}
}

func TestPublicFaces(t *testing.T) {
	w := open(t, `{"time":"2026-03-04T05:06:07Z"}`)
	c := browser(t, w, "")
	k := talker{t, c, "https://fe2cr.update.microsoft.com/v6/ClientWebService/client.asmx", testClient}
	g := k.say("GetConfig", "<protocolVersion>2.90</protocolVersion>")
	if g.status != 200 || !bytes.Contains(g.body, []byte("Anonymous")) || !bytes.Contains(g.body, []byte("<Value>4.2</Value>")) || !bytes.HasPrefix(g.body, []byte("<s:Envelope")) {
		t.Errorf("v6: %d %s", g.status, g.body)
	}
	const secured = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header><a:Action s:mustUnderstand="1">` + testClient + `/GetCookie</a:Action><a:MessageID>urn:uuid:1</a:MessageID>
		<o:Security s:mustUnderstand="1" xmlns:o="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"><Timestamp xmlns="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"><Created>%s</Created><Expires>%s</Expires></Timestamp>
		<wuws:WindowsUpdateTicketsToken xmlns:wuws="http://schemas.microsoft.com/msus/2014/10/WindowsUpdateAuthorization"/></o:Security></s:Header><s:Body><GetCookie xmlns="` + testClient + `"><lastChange>2015-10-21T17:01:07Z</lastChange><protocolVersion>2.50</protocolVersion></GetCookie></s:Body></s:Envelope>`
	ask := func(at time.Time) got {
		g, err := do(t, c, "POST", "https://fe3cr.delivery.mp.microsoft.com/ClientWebService/client.asmx", map[string]string{"Content-Type": "application/soap+xml; charset=utf-8"},
			fmt.Sprintf(secured, at.UTC().Format(time.RFC3339), at.Add(5*time.Minute).UTC().Format(time.RFC3339)))
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	if g := ask(w.Now()); g.status != 200 || between(g.body, "EncryptedData") == "" || !strings.HasPrefix(g.header.Get("Content-Type"), "application/soap+xml") {
		t.Errorf("fe3: %d %s", g.status, g.body)
	}
	for _, late := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		if g := ask(w.Now().Add(late)); g.status != 500 || !bytes.Contains(g.body, []byte("MessageExpired")) {
			t.Errorf("clock off by %v: %d %s", late, g.status, g.body)
		}
	}
	g, err := do(t, c, "POST", "https://fe3cr.delivery.mp.microsoft.com/ClientWebService/client.asmx", map[string]string{"Content-Type": "text/xml"}, "<a/>")
	if err != nil || g.status != 415 {
		t.Errorf("SOAP 1.1 at fe3: %d, %v", g.status, err)
	}
	// A proxy that takes SOAPAction away.
	g, err = do(t, c, "POST", k.base, map[string]string{"Content-Type": "text/xml"}, `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><GetConfig xmlns="`+testClient+`"/></s:Body></s:Envelope>`)
	if err != nil || g.status != 500 || !bytes.Contains(g.body, []byte("SOAPAction")) {
		t.Errorf("no SOAPAction: %d %s, %v", g.status, g.body, err)
	}
}

func TestTroubles(t *testing.T) {
	const host = "http://wsus01.fabrikam.example:8530"
	for _, tt := range []struct {
		name, trouble, path string
		check               func(g got, err error) bool
	}{
		{"503", `{"host":"wsus01*","status":503,"retryAfter":"120"}`, "/ClientWebService/wusserverversion.xml", func(g got, err error) bool { return g.status == 503 && g.header.Get("Retry-After") == "120" }},
		{"401", `{"on":"/ClientWebService/*","status":401}`, "/ClientWebService/client.asmx", func(g got, err error) bool {
			return g.status == 401 && len(g.header["Www-Authenticate"]) == 2
		}},
		{"403 elsewhere", `{"on":"/Content/*","status":403}`, "/SelfUpdate/wuident.cab", func(g got, err error) bool { return g.status == 200 }},
		{"other host", `{"host":"www.example.com","status":503}`, "/SelfUpdate/wuident.cab", func(g got, err error) bool { return g.status == 200 }},
		{"page", `{"body":"html"}`, "/x", func(g got, err error) bool {
			return g.status == 200 && strings.HasPrefix(g.header.Get("Content-Type"), "text/html")
		}},
		{"empty", `{"body":"empty"}`, "/x", func(g got, err error) bool { return g.status == 200 && len(g.body) == 0 }},
		{"garbage", `{"body":"garbage"}`, "/x", func(g got, err error) bool { return g.status == 200 && len(g.body) > 1000 }},
		{"loop", `{"body":"loop"}`, "/x", func(g got, err error) bool { return g.status == 302 && g.header.Get("Location") == "/x" }},
		{"redirect", `{"status":301,"location":"http://www.example.com/"}`, "/x", func(g got, err error) bool {
			return g.status == 301 && g.header.Get("Location") == "http://www.example.com/"
		}},
		{"cut", `{"body":"cut"}`, "/x", func(g got, err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) && len(g.body) == 1024 }},
		{"not http", `{"body":"not-http"}`, "/x", func(g got, err error) bool { return err != nil && strings.Contains(err.Error(), "malformed HTTP") }},
		{"headers", `{"body":"headers"}`, "/x", func(g got, err error) bool { return err != nil && strings.Contains(err.Error(), "exceeded") }},
		{"endless", `{"body":"endless"}`, "/x", func(g got, err error) bool { return len(g.body) > 1<<20 }},
		{"deep", `{"body":"deep"}`, "/x", func(g got, err error) bool { return bytes.HasPrefix(g.body, []byte("<a><a><a>")) }},
		{"bomb", `{"body":"bomb"}`, "/x", func(g got, err error) bool { return len(g.body) > 1<<20 }},
		{"slow", `{"body":"slow"}`, "/x", func(g got, err error) bool { return err != nil && len(g.body) < 4 }},
		{"reset", `{"reset":true}`, "/x", func(g got, err error) bool { return errors.Is(err, errnoReset) }},
		{"once", `{"status":503,"times":1}`, "/SelfUpdate/wuident.cab", func(g got, err error) bool { return g.status == 503 }},
		{"delay", `{"delay":"30ms"}`, "/SelfUpdate/wuident.cab", func(g got, err error) bool { return g.status == 200 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, `{"wsus":[{"name":"wsus01.fabrikam.example"}],"troubles":[`+tt.trouble+`]}`)
			c := browser(t, w, "")
			c.Timeout = 2 * time.Second
			began := time.Now()
			g, err := do(t, c, "GET", host+tt.path, nil, "")
			if !tt.check(g, err) {
				t.Errorf("%d %d bytes %v, %v", g.status, len(g.body), g.header, err)
			}
			if tt.name == "delay" && time.Since(began) < 30*time.Millisecond {
				t.Error("no delay")
			}
			if tt.name == "once" {
				if g := get(t, c, host+tt.path); g.status != 200 {
					t.Errorf("second time: %d", g.status)
				}
			}
		})
	}
	for _, tt := range []struct{ trouble, code string }{
		{`{"on":"SyncUpdates","soap":"ServerBusy"}`, "ServerBusy"},
		{`{"on":"SyncUpdates","soap":"ServerChanged"}`, "ServerChanged"},
		{`{"host":"wsus01.fabrikam.example:8530","soap":"InternalServerError"}`, "InternalServerError"},
		{`{"on":"Sync*","soap":"FileLocationChanged","message":"x"}`, "FileLocationChanged"},
	} {
		w := open(t, `{"wsus":[{"name":"wsus01.fabrikam.example"}],"troubles":[`+tt.trouble+`]}`)
		k := talker{t, browser(t, w, ""), host + "/ClientWebService/client.asmx", testClient}
		if g := k.say("SyncUpdates", "<parameters/>"); g.status != 500 || between(g.body, "ErrorCode") != tt.code || between(g.body, "Method") == "" {
			t.Errorf("%s: %d %s", tt.trouble, g.status, g.body)
		}
	}
}

func TestContentFaults(t *testing.T) {
	w := open(t, `{}`)
	var file File
	for _, f := range w.Files() {
		if strings.Contains(f.Name, "kb5010001") {
			file = f
		}
	}
	whole := get(t, browser(t, w, ""), file.URLs[0]).body
	for _, tt := range []struct {
		name, content, ranges string
		check                 func(g got, err error) bool
	}{
		{"range", `{"host":"nobody","fault":"no-range"}`, "bytes=1048576-2097151", func(g got, _ error) bool {
			return g.status == 206 && bytes.Equal(g.body, whole[1<<20:2<<20]) && g.header.Get("Content-Range") == fmt.Sprintf("bytes 1048576-2097151/%d", file.Size) && g.header.Get("ETag") != "" && g.header.Get("Last-Modified") != ""
		}},
		{"last bytes", `{"host":"nobody","fault":"no-range"}`, "bytes=-10", func(g got, _ error) bool {
			return g.status == 206 && bytes.Equal(g.body, whole[len(whole)-10:])
		}},
		{"beyond", `{"host":"nobody","fault":"no-range"}`, "bytes=99999999-", func(g got, _ error) bool {
			return g.status == 416 && g.header.Get("Content-Range") == fmt.Sprintf("bytes */%d", file.Size)
		}},
		{"none", `{"fault":"no-range"}`, "bytes=5-9", func(g got, _ error) bool {
			return g.status == 200 && bytes.Equal(g.body, whole) && g.header.Get("Accept-Ranges") == ""
		}},
		{"refused", `{"fault":"range-416"}`, "bytes=5-9", func(g got, _ error) bool { return g.status == 416 }},
		{"other", `{"fault":"other-range"}`, "bytes=5000-5999", func(g got, _ error) bool {
			return g.status == 206 && len(g.body) == 1000 && !bytes.Equal(g.body, whole[5000:6000]) && !strings.HasPrefix(g.header.Get("Content-Range"), "bytes 5000-")
		}},
		{"other at the start", `{"fault":"other-range"}`, "bytes=0-99", func(g got, _ error) bool {
			return g.status == 206 && !strings.HasPrefix(g.header.Get("Content-Range"), "bytes 0-99/")
		}},
		{"cut", `{"fault":"cut","after":1234}`, "bytes=0-9999", func(g got, err error) bool {
			return g.status == 206 && len(g.body) == 1234 && errors.Is(err, io.ErrUnexpectedEOF)
		}},
		{"short", `{"fault":"short"}`, "bytes=0-9999", func(g got, err error) bool { return err == nil && len(g.body) == 7500 }},
		{"corrupt", `{"fault":"corrupt"}`, "bytes=0-9999", func(g got, _ error) bool {
			return len(g.body) == 10000 && !bytes.Equal(g.body, whole[:10000])
		}},
		{"no length", `{"fault":"no-length"}`, "bytes=0-9999", func(g got, _ error) bool {
			return g.header.Get("Content-Length") == "" && bytes.Equal(g.body, whole[:10000])
		}},
		{"missing", `{"fault":"missing"}`, "", func(g got, _ error) bool { return g.status == 404 }},
		{"slow", `{"fault":"slow","rate":50000}`, "bytes=0-9999", func(g got, _ error) bool { return bytes.Equal(g.body, whole[:10000]) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, `{"content":[`+tt.content+`]}`)
			h := map[string]string{}
			if tt.ranges != "" {
				h["Range"] = tt.ranges
			}
			began := time.Now()
			g, err := do(t, browser(t, w, ""), "GET", file.URLs[0], h, "")
			if !tt.check(g, err) {
				t.Errorf("%d, %d bytes, %v, %v", g.status, len(g.body), g.header, err)
			}
			if tt.name == "slow" && time.Since(began) < 90*time.Millisecond {
				t.Errorf("took only %v", time.Since(began))
			}
		})
	}
	other := open(t, `{"seed":5}`)
	if other.Files()[0].SHA1 == w.Files()[0].SHA1 {
		t.Error("another seed gives the same bytes")
	}
	if again := open(t, `{}`); again.Files()[0].SHA1 != w.Files()[0].SHA1 {
		t.Error("the same seed gives other bytes")
	}
}

// The project's own reader, which was tested against other programs, reads what the
// lab packs.
func TestCabinets(t *testing.T) {
	for _, size := range []int{0, 1, 32 << 10, 100_003} {
		data := newStore(1).bytes("x", size)
		b := cabinet("inner.bin", data)
		r, err := cab.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatalf("%d: %v", size, err)
		}
		if len(r.Files) != 1 || r.Files[0].Name != "inner.bin" {
			t.Fatalf("%d: %+v", size, r.Files)
		}
		f, err := r.Files[0].Open()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d: %d bytes, %v", size, len(got), err)
		}
	}
}

// unxpress reads plain LZ77 by the pseudocode of [MS-XCA] section 2.4.4.
func unxpress(t testing.TB, b []byte) []byte {
	t.Helper()
	var all []byte
	for len(b) > 0 {
		size, packed := int(binary.LittleEndian.Uint32(b)), int(binary.LittleEndian.Uint32(b[4:]))
		in := b[8 : 8+packed]
		b = b[8+packed:]
		if size == packed {
			all = append(all, in...)
			continue
		}
		var out []byte
		flags, left, at, lastHalf := uint32(0), 0, 0, 0
		for len(out) < size {
			if left == 0 {
				flags, left = binary.LittleEndian.Uint32(in[at:]), 32
				at += 4
			}
			left--
			if flags>>left&1 == 0 {
				out = append(out, in[at])
				at++
				continue
			}
			m := int(binary.LittleEndian.Uint16(in[at:]))
			at += 2
			length, offset := m%8, m/8+1
			if length == 7 {
				if lastHalf == 0 {
					length = int(in[at] % 16)
					lastHalf = at
					at++
				} else {
					length = int(in[lastHalf] / 16)
					lastHalf = 0
				}
				if length == 15 {
					length = int(in[at])
					at++
					if length == 255 {
						length = int(binary.LittleEndian.Uint16(in[at:])) - 15 - 7
						at += 2
					}
					length += 15
				}
				length += 7
			}
			for range length + 3 {
				out = append(out, out[len(out)-offset])
			}
		}
		all = append(all, out...)
	}
	return all
}

func TestXpress(t *testing.T) {
	for _, in := range [][]byte{
		[]byte("abcdefghijklmnopqrstuvwxyz"),
		bytes.Repeat([]byte("abc"), 100),
		bytes.Repeat([]byte("x"), 40000),
		newStore(1).bytes("noise", 20000),
		[]byte(strings.Repeat("<UpdateInfo><ID>1</ID><IsLeaf>true</IsLeaf></UpdateInfo>", 900)),
		[]byte("aaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbaaaaaaaaaaaaaabbbbbbbbbbbbbbcccc"),
	} {
		packed := xpress(in)
		if got := unxpress(t, packed); !bytes.Equal(got, in) {
			t.Errorf("%d bytes do not survive", len(in))
		}
		if bytes.Count(in, in[:3]) > 50 && len(packed) > len(in)/4 {
			t.Errorf("%d bytes become %d", len(in), len(packed))
		}
	}
	// The examples of [MS-XCA] section 3.1.
	if got := fmt.Sprintf("%x", lz77([]byte("abcdefghijklmnopqrstuvwxyz"))); got != "3f0000006162636465666768696a6b6c6d6e6f707172737475767778797a" {
		t.Errorf("letters: %s", got)
	}
	if got := fmt.Sprintf("%x", lz77(bytes.Repeat([]byte("abc"), 100))); got != "ffffff1f61626317000fff2601" {
		t.Errorf("abc: %s", got)
	}
	w := open(t, `{"wsus":[{"name":"wsus01.fabrikam.example"}]}`)
	g, err := do(t, browser(t, w, ""), "POST", "http://wsus01.fabrikam.example:8530/ClientWebService/client.asmx",
		map[string]string{"Content-Type": "text/xml", "Accept-Encoding": "xpress", "SOAPAction": testClient + "/GetConfig"},
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><GetConfig xmlns="`+testClient+`"/></s:Body></s:Envelope>`)
	if err != nil || g.header.Get("Content-Encoding") != "xpress" || !bytes.Contains(unxpress(t, g.body), []byte("GetConfigResult")) {
		t.Errorf("%v %v", g.header, err)
	}
}
