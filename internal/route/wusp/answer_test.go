package wusp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/host"
)

func TestReadConfig(t *testing.T) {
	want := Config{
		LastChange: testChange, IsRegistrationRequired: true,
		AuthInfo:   []AuthPlugIn{{"SimpleTargeting", "SimpleAuthWebService/SimpleAuth.asmx"}},
		Properties: []Property{{"MaxExtendedUpdatesPerRequest", "4"}, {"ProtocolVersion", "3.2"}},
	}
	body := soap11(wrap(opConfig, configResult))
	prefixed := `<q:Envelope xmlns:q="http://schemas.xmlsoap.org/soap/envelope/"><q:Body><z:GetConfigResponse xmlns:z="` + nsClient + `"><z:GetConfigResult>` +
		`<z:LastChange>` + testChange + `</z:LastChange><z:IsRegistrationRequired>1</z:IsRegistrationRequired><z:AuthInfo><z:AuthPlugInInfo><z:PlugInID>SimpleTargeting</z:PlugInID><z:ServiceUrl><![CDATA[SimpleAuthWebService/]]>SimpleAuth.asmx</z:ServiceUrl></z:AuthPlugInInfo></z:AuthInfo>` +
		`<y:LastChange xmlns:y="urn:other">1999</y:LastChange><z:Properties><z:ConfigurationProperty><z:Name>MaxExtendedUpdatesPerRequest</z:Name><z:Value>4</z:Value></z:ConfigurationProperty><z:ConfigurationProperty><z:Value>3.2</z:Value><!-- any order --><z:Name>ProtocolVersion</z:Name></z:ConfigurationProperty></z:Properties></z:GetConfigResult></z:GetConfigResponse></q:Body></q:Envelope>`
	for name, ex := range map[string]host.Exchange{
		"SOAP 1.1":        answer(200, body),
		"SOAP 1.2":        answer(200, soap12(wrap(opConfig, configResult))),
		"other prefixes":  answer(200, prefixed),
		"BOM, space":      answer(200, "\xef\xbb\xbf\r\n "+body+"\n"),
		"xpress":          answer(200, string(xpressed([]byte(body))), "Content-Encoding", "xpress"),
		"identity":        answer(200, body, "Content-Encoding", "identity"),
		"ascii":           answer(200, `<?xml version="1.0" encoding="US-ASCII"?>`+body),
		"text/html named": answer(200, body, "Content-Type", "text/html"),
	} {
		got, err := ReadConfig(ex)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got := want.MaxExtended(); got != 4 {
		t.Errorf("at most %d revisions, want 4", got)
	}
	for _, bad := range []string{"", "0", "1", "-5", "99999", "x"} {
		if got := (&Config{Properties: []Property{{"MaxExtendedUpdatesPerRequest", bad}}}).MaxExtended(); got != 50 {
			t.Errorf("%q: at most %d revisions, want 50", bad, got)
		}
	}
}

// Answers that are none, each told apart.
func TestReadHostile(t *testing.T) {
	good := soap11(wrap(opConfig, configResult))
	deep := strings.Repeat("<a>", 70)
	var many strings.Builder
	for i := range 100 {
		fmt.Fprintf(&many, `a%d="" `, i)
	}
	attrs := "<a " + many.String() + "/>"
	tests := []struct {
		name  string
		ex    host.Exchange
		hop   host.HopKind
		fault host.Fault
		seen  string
	}{
		{"refused", broken(host.HopTCP, host.FaultRefused), host.HopTCP, host.FaultRefused, "seen"},
		{"nobody", host.Exchange{}, host.HopHTTP, host.FaultClosed, "no answer"},
		{"empty", answer(200, ""), host.HopService, host.FaultAnswer, "nothing where an envelope is due"},
		{"stopped pool", answer(503, "<html><body>Service Unavailable</body></html>", "Retry-After", "30"), host.HopHTTP, host.FaultStatus, "HTTP 503, Retry-After: 30"},
		{"wrong site", answer(404, "<html>"), host.HopHTTP, host.FaultStatus, "HTTP 404"},
		{"proxy asks", answer(407, ""), host.HopHTTP, host.FaultStatus, "HTTP 407"},
		{"redirect", answer(302, "", "Location", "http://login.example/"), host.HopHTTP, host.FaultRedirect, "HTTP 302"},
		{"network authentication", answer(511, "<html>"), host.HopHTTP, host.FaultPortal, "HTTP 511"},
		{"portal", answer(200, "<!DOCTYPE html><html><title>Sign in</title>", "Content-Type", "text/html"), host.HopHTTP, host.FaultPortal, "a web page instead of an envelope"},
		{"portal that lies", answer(200, "\n<HTML><p>Welcome"), host.HopHTTP, host.FaultPortal, "a web page instead of an envelope"},
		{"server page", answer(500, "<!DOCTYPE html><html>Server Error in '/' Application", "Content-Type", "text/html"), host.HopHTTP, host.FaultStatus, "HTTP 500"},
		{"server text", answer(500, "Internal Server Error", "Content-Type", "text/plain"), host.HopHTTP, host.FaultStatus, "HTTP 500"},
		{"server XML", answer(500, "<error/>"), host.HopHTTP, host.FaultStatus, "HTTP 500"},
		{"result with 500", answer(500, good), host.HopHTTP, host.FaultStatus, "HTTP 500"},
		{"text", answer(200, "Hello"), host.HopService, host.FaultAnswer, "the envelope ends in the middle"},
		{"other XML", answer(200, "<feed/>"), host.HopService, host.FaultAnswer, `not an envelope of SOAP 1.1 or 1.2: "feed"`},
		{"other envelope", answer(200, `<Envelope xmlns="urn:mine"><Body/></Envelope>`), host.HopService, host.FaultAnswer, `not an envelope of SOAP 1.1 or 1.2: "Envelope"`},
		{"prefix only", answer(200, `<s:Envelope><s:Body/></s:Envelope>`), host.HopService, host.FaultAnswer, `not an envelope of SOAP 1.1 or 1.2: "Envelope"`},
		{"empty body", answer(200, soap11("")), host.HopService, host.FaultAnswer, "an envelope without an answer"},
		{"another answer", answer(200, soap11(wrap(opCookie, cookieResult))), host.HopService, host.FaultAnswer, `an answer to something else: "GetCookieResponse"`},
		{"another namespace", answer(200, soap11(strings.ReplaceAll(wrap(opConfig, configResult), nsClient, "urn:x"))), host.HopService, host.FaultAnswer, `an answer to something else: "GetConfigResponse"`},
		{"no result", answer(200, soap11(`<GetConfigResponse xmlns="`+nsClient+`"/>`)), host.HopService, host.FaultAnswer, "a response without a result"},
		{"no content", answer(200, soap11(wrap(opConfig, ""))), host.HopService, host.FaultAnswer, "an answer without LastChange"},
		{"boolean", answer(200, soap11(wrap(opConfig, "<IsRegistrationRequired>perhaps</IsRegistrationRequired>"))), host.HopService, host.FaultAnswer, "IsRegistrationRequired: not a boolean"},
		{"cut in a tag", answer(200, good[:len(good)-3]), host.HopService, host.FaultAnswer, "the envelope ends in the middle"},
		{"cut in the text", answer(200, good[:len(good)/2]), host.HopService, host.FaultAnswer, "the envelope ends in the middle"},
		{"cut before the end", answer(200, strings.TrimSuffix(good, "</s:Envelope>")), host.HopService, host.FaultAnswer, "the envelope ends in the middle"},
		{"two envelopes", answer(200, good+good), host.HopService, host.FaultAnswer, "something follows the envelope"},
		{"more after it", answer(200, good+"<script/>"), host.HopService, host.FaultAnswer, "something follows the envelope"},
		{"crossed tags", answer(200, soap11("<a><b></a></b>")), host.HopService, host.FaultAnswer, `an answer to something else: "a"`},
		{"bomb", answer(200, `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>`+good), host.HopService, host.FaultAnswer, "a document type, which SOAP forbids"},
		{"entity", answer(200, soap11(`<GetConfigResponse xmlns="`+nsClient+`"><GetConfigResult><LastChange>&a;</LastChange></GetConfigResult></GetConfigResponse>`)), host.HopService, host.FaultAnswer, "not XML: line 1"},
		{"other encoding", answer(200, `<?xml version="1.0" encoding="UTF-16"?>`+good), host.HopService, host.FaultAnswer, "an encoding other than UTF-8"},
		{"deep", answer(200, soap11(`<GetConfigResponse xmlns="`+nsClient+`">`+deep)), host.HopService, host.FaultAnswer, "elements nested more than 64 deep: beyond what an update service sends"},
		{"attributes", answer(200, soap11(`<GetConfigResponse xmlns="`+nsClient+`">`+attrs)), host.HopService, host.FaultAnswer, "more than 64 attributes: beyond what an update service sends"},
		{"long tag", answer(200, `<s:Envelope `+strings.Repeat(`a="" `, 1<<20)), host.HopService, host.FaultAnswer, "a tag or text of more than 2097152 bytes: beyond what an update service sends"},
		{"long text", answer(200, soap11(`<GetConfigResponse xmlns="`+nsClient+`"><GetConfigResult><LastChange>`+strings.Repeat("9", 3<<20))), host.HopService, host.FaultAnswer, "a tag or text of more than 2097152 bytes: beyond what an update service sends"},
		{"many elements", answer(200, soap11(`<GetConfigResponse xmlns="`+nsClient+`">`+strings.Repeat("<a/>", 600_000))), host.HopService, host.FaultAnswer, "more than 524288 elements: beyond what an update service sends"},
		{"giant", func() host.Exchange {
			ex := answer(200, good)
			ex.Length = 80 << 20
			return ex
		}(), host.HopService, host.FaultAnswer, "83886080 bytes, which is more than was kept"},
		{"gzip", answer(200, "\x1f\x8b\x08", "Content-Encoding", "gzip"), host.HopService, host.FaultAnswer, "Content-Encoding: gzip, which nobody asked for"},
		{"xpress unnamed", answer(200, string(xpressed([]byte(good)))), host.HopService, host.FaultAnswer, "the body is xpress, but no Content-Encoding says so"},
		{"xpress undone", answer(200, good, "Content-Encoding", "xpress"), host.HopService, host.FaultAnswer, "Content-Encoding: xpress, but the body is plain"},
		{"xpress cut", answer(200, string(xpressed([]byte(good))[:80]), "Content-Encoding", "xpress"), host.HopService, host.FaultAnswer, "not xpress: a block ends early"},
		{"control characters", answer(200, "<x\x1b[31mred/>"), host.HopService, host.FaultAnswer, "not XML: line 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadConfig(tt.ex)
			e := problem(t, err)
			if e.Hop != tt.hop || e.Fault != tt.fault || e.Seen != tt.seen {
				t.Errorf("got %s/%s %q\nwant %s/%s %q", e.Hop, e.Fault, e.Seen, tt.hop, tt.fault, tt.seen)
			}
			marked := e.Mark(tt.ex)
			b := marked.Broken()
			if b == nil || b != &marked.Hops[len(marked.Hops)-1] || b.Kind != tt.hop || b.Fault != tt.fault {
				t.Errorf("marked with %+v", b)
			}
			if n := len(tt.ex.Hops); n > 0 && tt.fault != host.FaultRefused && tt.ex.Broken() != nil {
				t.Error("marking changed the exchange that was read")
			}
		})
	}
}

func TestCheckAuth(t *testing.T) {
	for _, bad := range []string{"http://evil.example/Auth.asmx", "//evil.example/x", `\\evil\x`, "@evil.example/", "a?b", "../x", "a\r\nb", strings.Repeat("a", 300)} {
		c := Config{AuthInfo: []AuthPlugIn{{"SimpleTargeting", bad}}}
		if e := problem(t, c.CheckAuth()); e.Fault != host.FaultAnswer {
			t.Errorf("%q: %v", bad, e)
		}
	}
	if e := problem(t, (&Config{}).CheckAuth()); e.Code != 0x80244027 {
		t.Errorf("no services: %v, code %v", e, e.Code)
	}
	if err := (&Config{AuthInfo: []AuthPlugIn{{"SimpleTargeting", "SimpleAuthWebService/SimpleAuth.asmx"}}}).CheckAuth(); err != nil {
		t.Error(err)
	}
}

func TestReadCookies(t *testing.T) {
	auth, err := ReadAuthorization(answer(200, `<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>`+wrap(opAuth, `<PlugInId>SimpleTargeting</PlugInId><CookieData> QUJD </CookieData>`)+`</soap:Body></soap:Envelope>`))
	if err != nil || auth != (AuthCookie{"SimpleTargeting", "QUJD"}) {
		t.Errorf("%+v, %v", auth, err)
	}
	c, err := ReadCookie(answer(200, soap12(wrap(opCookie, cookieResult))))
	if err != nil || c != (Cookie{"2031-05-06T08:08:09.5Z", testCookie}) {
		t.Errorf("%+v, %v", c, err)
	}
	for body, want := range map[string]string{
		`<Expiration>x</Expiration>`:                                            "an answer without EncryptedData",
		`<EncryptedData>no base64</EncryptedData>`:                              "a cookie that is not base64",
		`<EncryptedData>` + strings.Repeat("QUJD", 20_000) + `</EncryptedData>`: "a cookie of 80000 bytes: beyond what an update service sends",
	} {
		if _, err := ReadCookie(answer(200, soap11(wrap(opCookie, body)))); problem(t, err).Seen != want {
			t.Errorf("%.40s: %v", body, err)
		}
	}
	if err := ReadRegistration(answer(200, soap11(`<RegisterComputerResponse xmlns="`+nsClient+`"/>`))); err != nil {
		t.Error(err)
	}
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// info is an UpdateInfo in the shape that WSUS sends.
func info(revision int, kind, action string, leaf bool, rules string) string {
	core := fmt.Sprintf(`<UpdateIdentity UpdateID="A0000000-0000-4000-8000-%012X" RevisionNumber="101" /><Properties UpdateType=%q /><Relationships><Prerequisites><AtLeastOne IsCategory="true"><UpdateIdentity UpdateID="ffffffff-0000-4000-8000-000000000000" /></AtLeastOne></Prerequisites></Relationships><ApplicabilityRules>%s</ApplicabilityRules>`, revision, kind, rules)
	return fmt.Sprintf(`<UpdateInfo><ID>%d</ID><Deployment><ID>8059</ID><Action>%s</Action><IsAssigned>true</IsAssigned><LastChangeTime>2031-01-02</LastChangeTime><AutoSelect>0</AutoSelect><AutoDownload>0</AutoDownload><SupersedenceBehavior>0</SupersedenceBehavior></Deployment><IsLeaf>%t</IsLeaf><Xml>%s</Xml></UpdateInfo>`, revision, action, leaf, escape(core))
}

const always = `<IsInstalled><True /></IsInstalled>`

func TestReadUpdates(t *testing.T) {
	got, err := ReadUpdates(answer(200, soap11(wrap(opSync, `<NewUpdates>`+
		info(11, "Category", "Evaluate", false, always)+
		info(12, "Detectoid", "Evaluate", false, `<IsInstalled><b.Processor Architecture="9" /></IsInstalled>`)+
		info(13, "Software", "Install", true, `<IsInstallable><True/></IsInstallable><IsInstalled><And><True/></And></IsInstalled>`)+
		`</NewUpdates><OutOfScopeRevisionIDs><int>4</int><int>5</int></OutOfScopeRevisionIDs><ChangedUpdates><UpdateInfo/></ChangedUpdates><Truncated>true</Truncated><NewCookie>`+cookieResult+`</NewCookie><DriverSyncNotNeeded>true</DriverSyncNotNeeded>`))))
	if err != nil {
		t.Fatal(err)
	}
	evaluate, install := Deployment{ID: 8059, Action: "Evaluate", Assigned: true}, Deployment{ID: 8059, Action: "Install", Assigned: true}
	want := Page{
		New: []Update{
			{Revision: 11, ID: "a0000000-0000-4000-8000-00000000000b", Number: 101, Type: "Category", Always: true, Deployment: evaluate},
			{Revision: 12, ID: "a0000000-0000-4000-8000-00000000000c", Number: 101, Type: "Detectoid", Deployment: evaluate},
			{Revision: 13, ID: "a0000000-0000-4000-8000-00000000000d", Number: 101, Type: "Software", IsLeaf: true, Deployment: install},
		},
		OutOfScope: 2, Changed: 1, Truncated: true, DriverSyncNeedless: true,
		Cookie: Cookie{"2031-05-06T08:08:09.5Z", testCookie},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for body, seen := range map[string]string{
		`<NewUpdates><UpdateInfo><ID>x</ID></UpdateInfo></NewUpdates>`:                                           "ID: not a number",
		`<NewUpdates><UpdateInfo><ID>7</ID><Xml>&lt;a&gt;&lt;b</Xml></UpdateInfo></NewUpdates>`:                  "the envelope ends in the middle",
		`<NewUpdates><UpdateInfo><Xml>` + escape(strings.Repeat("<a>", 99)) + `</Xml></UpdateInfo></NewUpdates>`: "metadata of revision 0: elements nested more than 64 deep: beyond what an update service sends",
		`<NewUpdates>` + strings.Repeat("<UpdateInfo/>", 20_001) + `</NewUpdates>`:                               "more than 20000 of UpdateInfo: beyond what an update service sends",
	} {
		if _, err := ReadUpdates(answer(200, soap11(wrap(opSync, body)))); problem(t, err).Seen != seen {
			t.Errorf("%.60s: %v", body, err)
		}
	}
}

const (
	sum1B64   = "AAECAwQFBgcICQoLDA0ODxAREhM="
	sum1Hex   = "000102030405060708090a0b0c0d0e0f10111213"
	sum256B64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	sum256Hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
)

func TestReadExtended(t *testing.T) {
	files := `<ExtendedProperties DefaultPropertiesLanguage="en" Handler="http://schemas.microsoft.com/msus/2002/12/UpdateHandlers/CommandLineInstallation" MaxDownloadSize="2500000" /><Files>` +
		`<File Digest="` + sum1B64 + `" DigestAlgorithm="SHA1" FileName="Fix.exe" Size="2500000" Modified="2031-01-02T03:04:05Z"><AdditionalDigest Algorithm="SHA256">` + sum256B64 + `</AdditionalDigest></File>` +
		`<File Digest="broken" DigestAlgorithm="SHA1" FileName="No.exe" Size="1"/>` +
		`<File Digest="` + sum256B64 + `" DigestAlgorithm="SHA256" FileName="Odd.exe" Size="1"/></Files><HandlerSpecificData type="cmd:CommandLineInstallation"><InstallCommand Program="Fix.exe" /></HandlerSpecificData>`
	title := `<LocalizedProperties><Language>en</Language><Title>Fix &amp; more</Title><Description>x</Description></LocalizedProperties>`
	got, err := ReadExtended(answer(200, soap11(wrap(opExtended, `<Updates><Update><ID>13</ID><Xml>`+escape(files)+`</Xml></Update><Update><ID>13</ID><Xml>`+escape(title)+`</Xml></Update></Updates>`+
		`<FileLocations><FileLocation><FileDigest>`+sum1B64+`</FileDigest><Url>http://wsus.fabrikam.example:8530/Content/13/X.exe</Url></FileLocation></FileLocations>`))))
	if err != nil {
		t.Fatal(err)
	}
	want := Extended{
		Titles:    map[int]string{13: "Fix & more"},
		Files:     []File{{Name: "Fix.exe", Size: 2500000, SHA1: sum1Hex, SHA256: sum256Hex, URL: "http://wsus.fabrikam.example:8530/Content/13/X.exe"}},
		Locations: []FileLocation{{sum1Hex, "http://wsus.fabrikam.example:8530/Content/13/X.exe"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, url := range []string{"file:///etc/passwd", "ftp://x/", "javascript:1", "", "http://a b/", "http://x/\u0007", "http://" + strings.Repeat("a", 5000)} {
		_, _, err := ReadLocations(answer(200, soap11(wrap(opLocations, `<FileLocations><FileLocation><FileDigest>`+sum1B64+`</FileDigest><Url>`+url+`</Url></FileLocation></FileLocations>`))))
		if problem(t, err).Fault != host.FaultAnswer {
			t.Errorf("%.30q: %v", url, err)
		}
	}
	locations, next, err := ReadLocations(answer(200, soap11(wrap(opLocations, `<FileLocations><FileLocation><FileDigest>`+sum1B64+`</FileDigest><Url> HTTPS://cdn.example/x </Url></FileLocation></FileLocations><NewCookie>`+cookieResult+`</NewCookie>`))))
	if err != nil || next.Data != testCookie || len(locations) != 1 || locations[0] != (FileLocation{sum1Hex, "HTTPS://cdn.example/x"}) {
		t.Errorf("%v %v %v", locations, next, err)
	}
}
