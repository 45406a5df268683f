package wusp

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/host"
)

func testServer() Server { return Server{Base: testBase, Now: testNow} }

// The header fields and their order are those of a wire capture of a Windows 11
// 25H2 agent; Accept-Encoding stands only in the probe with it.
func TestRequestHeader(t *testing.T) {
	tests := []struct {
		name string
		r    host.Request
		url  string
		want []string
	}{
		{
			"plain", testServer().GetConfig(), testBase + "/ClientWebService/client.asmx",
			[]string{
				"Cache-Control: no-cache", "Connection: Keep-Alive", "Pragma: no-cache", "Content-Type: text/xml; charset=utf-8",
				"User-Agent: Windows-Update-Agent/1507.2601.30012.0 Client-Protocol/2.90",
				`SOAPAction: "http://www.microsoft.com/SoftwareDistribution/Server/ClientWebService/GetConfig"`, "MS-CV: ",
			},
		},
		{
			"xpress", WithXpress(testServer().GetConfig()), testBase + "/ClientWebService/client.asmx",
			[]string{
				"Cache-Control: no-cache", "Connection: Keep-Alive", "Pragma: no-cache", "Content-Type: text/xml; charset=utf-8",
				"Accept-Encoding: xpress", "User-Agent: Windows-Update-Agent/1507.2601.30012.0 Client-Protocol/2.90",
				`SOAPAction: "http://www.microsoft.com/SoftwareDistribution/Server/ClientWebService/GetConfig"`, "MS-CV: ",
			},
		},
		{
			"authorization", testServer().GetAuthorizationCookie(Config{}, testClientID, "pc7.fabrikam.example"), testBase + "/SimpleAuthWebService/SimpleAuth.asmx",
			[]string{
				"Cache-Control: no-cache", "Connection: Keep-Alive", "Pragma: no-cache", "Content-Type: text/xml; charset=utf-8",
				"User-Agent: Windows-Update-Agent/1507.2601.30012.0 Client-Protocol/2.90",
				`SOAPAction: "http://www.microsoft.com/SoftwareDistribution/Server/SimpleAuthWebService/GetAuthorizationCookie"`,
			},
		},
		{
			"ticketed", Server{Base: modernBase, Ticketed: true, Pinned: true, Agent: "10.0.10011.16384", Now: testNow}.GetCookie(nil, Cookie{}, testChange),
			"https://fe3cr.delivery.mp.microsoft.com/ClientWebService/client.asmx",
			[]string{
				"Cache-Control: no-cache", "Connection: Keep-Alive", "Pragma: no-cache", "Content-Type: application/soap+xml; charset=utf-8",
				"User-Agent: Windows-Update-Agent/10.0.10011.16384 Client-Protocol/2.90", "MS-CV: ",
			},
		},
		{
			"content", Range("http://cdn.example/a.cab", 1048576, 2097151), "http://cdn.example/a.cab",
			[]string{"Connection: Keep-Alive", "Accept: */*", "Range: bytes=1048576-2097151", "User-Agent: Microsoft-Delivery-Optimization/10.1", "Content-Length: 0"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.r.URL != tt.url {
				t.Errorf("URL %s, want %s", tt.r.URL, tt.url)
			}
			var got []string
			for _, f := range tt.r.Header {
				if f.Name == "MS-CV" {
					base, tail, _ := strings.Cut(f.Value, ".")
					if len(base) != 16 || tail != "1.0.0.2.1" {
						t.Errorf("MS-CV %q", f.Value)
					}
					f.Value = ""
				}
				got = append(got, f.Name+": "+f.Value)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRequestBody(t *testing.T) {
	open := func(name string) string {
		ns := nsClient
		if name == opAuth {
			ns = nsAuth
		}
		return `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><` + name + ` xmlns="` + ns + `">`
	}
	end := func(name string) string { return `</` + name + `></s:Body></s:Envelope>` }
	cookie := Cookie{Expiration: "2031-05-06T08:08:09Z", Data: testCookie}
	s := testServer()
	config := Config{AuthInfo: []AuthPlugIn{{"SimpleTargeting", "Elsewhere/Auth.asmx"}}}
	tests := []struct {
		name string
		r    host.Request
		want string
	}{
		{opConfig, s.GetConfig(), `<protocolVersion>2.90</protocolVersion>`},
		{opAuth, s.GetAuthorizationCookie(config, testClientID, `a&b<c>"`), `<clientId>` + testClientID + `</clientId><dnsName>a&amp;b&lt;c&gt;&#34;</dnsName>`},
		{opCookie, s.GetCookie([]AuthCookie{{"SimpleTargeting", "QUFB"}}, Cookie{}, testChange), `<authCookies><AuthorizationCookie><PlugInId>SimpleTargeting</PlugInId><CookieData>QUFB</CookieData></AuthorizationCookie></authCookies>` +
			`<oldCookie><Expiration>2031-05-06T07:08:09Z</Expiration></oldCookie><lastChange>` + testChange + `</lastChange><currentTime>2031-05-06T07:08:09Z</currentTime><protocolVersion>2.90</protocolVersion>`},
		{opCookie, s.StaleCookie(), `<oldCookie><Expiration>2031-05-06T07:08:09Z</Expiration></oldCookie><lastChange>1970-01-01T00:00:00Z</lastChange><currentTime>2031-05-06T07:08:09Z</currentTime><protocolVersion>2.90</protocolVersion>`},
		{opSync, s.SyncUpdates(cookie, nil, nil), `<cookie><Expiration>2031-05-06T08:08:09Z</Expiration><EncryptedData>` + testCookie + `</EncryptedData></cookie><parameters><ExpressQuery>false</ExpressQuery><SkipSoftwareSync>false</SkipSoftwareSync><NeedTwoGroupOutOfScopeUpdates>true</NeedTwoGroupOutOfScopeUpdates><AlsoPerformRegularSync>true</AlsoPerformRegularSync></parameters>`},
		{opSync, s.SyncUpdates(cookie, []int{3, 1}, []int{7}), `<cookie><Expiration>2031-05-06T08:08:09Z</Expiration><EncryptedData>` + testCookie + `</EncryptedData></cookie><parameters><ExpressQuery>false</ExpressQuery><InstalledNonLeafUpdateIDs><int>3</int><int>1</int></InstalledNonLeafUpdateIDs><OtherCachedUpdateIDs><int>7</int></OtherCachedUpdateIDs><SkipSoftwareSync>false</SkipSoftwareSync><NeedTwoGroupOutOfScopeUpdates>true</NeedTwoGroupOutOfScopeUpdates><AlsoPerformRegularSync>true</AlsoPerformRegularSync></parameters>`},
		{opExtended, s.GetExtendedUpdateInfo(cookie, []int{9}), `<cookie><Expiration>2031-05-06T08:08:09Z</Expiration><EncryptedData>` + testCookie + `</EncryptedData></cookie><revisionIDs><int>9</int></revisionIDs><infoTypes><XmlUpdateFragmentType>Extended</XmlUpdateFragmentType><XmlUpdateFragmentType>LocalizedProperties</XmlUpdateFragmentType></infoTypes><locales><string>en-US</string><string>en</string></locales>`},
		{opLocations, s.GetFileLocations(cookie, []string{"000102030405060708090a0b0c0d0e0f10111213", "zz", "00"}), `<cookie><Expiration>2031-05-06T08:08:09Z</Expiration><EncryptedData>` + testCookie + `</EncryptedData></cookie><fileDigests><base64Binary>AAECAwQFBgcICQoLDA0ODxAREhM=</base64Binary></fileDigests>`},
	}
	for _, tt := range tests {
		if got, want := string(tt.r.Body), open(tt.name)+tt.want+end(tt.name); got != want {
			t.Errorf("%s:\n got %s\nwant %s", tt.r.ID, got, want)
		}
	}
	if got, want := s.GetAuthorizationCookie(config, "a", "b").URL, testBase+"/Elsewhere/Auth.asmx"; got != want {
		t.Errorf("authorization at %s, want %s", got, want)
	}
	reg := string(s.RegisterComputer(cookie, Computer{DNSName: "pc7.fabrikam.example", OSMajor: 10, OSBuild: 26200, Locale: "fr-FR", Architecture: "AMD64", NewProduct: 48}).Body)
	for _, want := range []string{
		"<DnsName>pc7.fabrikam.example</DnsName><OSMajorVersion>10</OSMajorVersion><OSMinorVersion>0</OSMinorVersion><OSBuildNumber>26200</OSBuildNumber>",
		"<ClientVersionMajorNumber>1507</ClientVersionMajorNumber><ClientVersionMinorNumber>2601</ClientVersionMinorNumber><ClientVersionBuildNumber>30012</ClientVersionBuildNumber><ClientVersionQfeNumber>0</ClientVersionQfeNumber>",
	} {
		if !strings.Contains(reg, want) {
			t.Errorf("registration lacks %s:\n%s", want, reg)
		}
	}
}

// What is sent to FE3 is a well-formed SOAP 1.2 message whose ticket is empty.
func TestTicketedBody(t *testing.T) {
	r := Server{Base: modernBase, Ticketed: true, Now: testNow}.GetCookie(nil, Cookie{}, testChange)
	text := map[string]string{}
	d := xml.NewDecoder(strings.NewReader(string(r.Body)))
	var at []xml.Name
	tickets := 0
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in %s", err, r.Body)
		}
		switch e := tok.(type) {
		case xml.StartElement:
			at = append(at, e.Name)
			if e.Name.Local == "WindowsUpdateTicketsToken" {
				tickets++
			}
		case xml.EndElement:
			at = at[:len(at)-1]
		case xml.CharData:
			text[at[len(at)-1].Local] = string(e)
			if at[len(at)-1].Local == "WindowsUpdateTicketsToken" {
				t.Error("a ticket that is not empty")
			}
		}
	}
	id := text["MessageID"]
	delete(text, "MessageID")
	if !strings.HasPrefix(id, "urn:uuid:") || len(id) != len("urn:uuid:")+36 {
		t.Errorf("MessageID %q", id)
	}
	want := map[string]string{
		"Action": nsClient + "/GetCookie", "To": modernBase + "/ClientWebService/client.asmx",
		"Created": "2031-05-06T07:08:09Z", "Expires": "2031-05-06T07:13:09Z", "Expiration": "2031-05-06T07:08:09Z",
		"lastChange": testChange, "currentTime": "2031-05-06T07:08:09Z", "protocolVersion": "2.90",
	}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Error(diff)
	}
	if tickets != 1 {
		t.Errorf("%d tickets, want an empty one", tickets)
	}
	if header(r, "SOAPAction") != "" {
		t.Error("SOAP 1.2 has no SOAPAction")
	}
}

// Letter case is kept, because PAC scripts may mind it; credentials are not.
func TestBase(t *testing.T) {
	tests := []struct{ base, want string }{
		{"http://WSUS01:8530", "http://WSUS01:8530"},
		{" https://Wsus.Fabrikam.Example:8531/ ", "https://Wsus.Fabrikam.Example:8531"},
		{"http://joe:s3cr3t-hunter2@WSUS01:8530/", "http://WSUS01:8530"},
		{"http://joe:p@ss@WSUS01:8530/Sub", "http://WSUS01:8530/Sub"},
		{"http://[2001:db8::5]:8530", "http://[2001:db8::5]:8530"},
		{"wsus01", "wsus01"},
	}
	for _, tt := range tests {
		if got, want := WSUS(tt.base).GetConfig().URL, tt.want+"/ClientWebService/client.asmx"; got != want {
			t.Errorf("%s: %s, want %s", tt.base, got, want)
		}
	}
	for _, tt := range []struct{ base, want string }{
		{"https://wsus.example:8531", "http://wsus.example:8530"},
		{"https://wsus.example", "http://wsus.example"},
		{"https://wsus.example:443/", "http://wsus.example"},
		{"https://[2001:db8::5]:8531", "http://[2001:db8::5]:8530"},
		{"https://[2001:db8::5]", "http://[2001:db8::5]"},
		{"http://wsus.example:8530", "http://wsus.example:8530"},
	} {
		if got := ContentBase(tt.base); got != tt.want {
			t.Errorf("content of %s at %s, want %s", tt.base, got, tt.want)
		}
	}
	f := File{Name: "Fix.EXE", SHA1: "000102030405060708090a0b0c0d0e0f101112ab"}
	if got, want := ContentURL("https://wsus.example:8531", f), "http://wsus.example:8530/Content/AB/000102030405060708090A0B0C0D0E0F101112AB.exe"; got != want {
		t.Errorf("content URL %s, want %s", got, want)
	}
}

// The same call at the same time is the same request, so that recordings can be walked;
// other calls have other ids.
func TestRequestsRepeat(t *testing.T) {
	s := testServer()
	if diff := cmp.Diff(s.GetConfig(), s.GetConfig()); diff != "" {
		t.Error(diff)
	}
	later := s
	later.Now = s.Now.Add(1)
	ids := map[string]bool{}
	for _, r := range []host.Request{s.GetConfig(), later.GetConfig(), s.StaleCookie()} {
		ids[header(r, "MS-CV")] = true
	}
	if len(ids) != 3 {
		t.Errorf("correlation vectors repeat: %v", ids)
	}
}
