package wusp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// script is a server that answers each operation from a list, the last of which it repeats.
type script map[string][]host.Exchange

func (sc script) wire() *wire {
	at := map[string]int{}
	return &wire{say: func(r host.Request) host.Exchange {
		list := sc[r.ID]
		if list == nil {
			if name, ok := strings.CutSuffix(r.ID, ".xpress"); ok {
				list = sc[name][:1]
			}
		}
		if len(list) == 0 {
			return answer(404, "")
		}
		i := min(at[r.ID], len(list)-1)
		at[r.ID]++
		ex := list[i]
		if strings.HasSuffix(r.ID, ".xpress") && header(r, "Accept-Encoding") == "xpress" && ex.Get("Content-Encoding") == "" && ex.Status == 200 && bytes.Contains(ex.Body, []byte("LastChange")) && sc[r.ID] == nil {
			ex = answer(200, string(xpressed(ex.Body)), "Content-Encoding", "xpress")
		}
		return ex
	}}
}

func page(updates string, truncated bool) host.Exchange {
	return answer(200, soap11(wrap(opSync, fmt.Sprintf(`<NewUpdates>%s</NewUpdates><Truncated>%t</Truncated><NewCookie>%s</NewCookie>`, updates, truncated, cookieResult))))
}

// healthy is a WSUS with one update to install.
func healthy() script {
	return script{
		opConfig:            {answer(200, soap11(wrap(opConfig, configResult)))},
		opCookie + ".stale": {answer(500, fault11("Client", "ConfigChanged", ""))},
		opAuth:              {answer(200, soap11(wrap(opAuth, `<PlugInId>SimpleTargeting</PlugInId><CookieData>QUJD</CookieData>`)))},
		opCookie:            {answer(200, soap11(wrap(opCookie, cookieResult)))},
		opSync: {
			page(info(1, "Category", "Evaluate", false, always), false),
			page(info(2, "Detectoid", "Evaluate", false, `<IsInstalled><b.Processor/></IsInstalled>`)+info(3, "Software", "Install", true, always), true),
			page(info(4, "Software", "Bundle", true, always), false),
			page("", false),
		},
		opExtended: {answer(200, soap11(wrap(opExtended, `<Updates><Update><ID>3</ID><Xml>`+escape(`<LocalizedProperties><Title>Fix</Title></LocalizedProperties>`)+`</Xml></Update><Update><ID>4</ID><Xml>`+
			escape(`<Files><File Digest="`+sum1B64+`" DigestAlgorithm="SHA1" FileName="Fix.exe" Size="9"/></Files>`)+`</Xml></Update></Updates>`)))},
		opLocations: {answer(200, soap11(wrap(opLocations, `<FileLocations><FileLocation><FileDigest>`+sum1B64+`</FileDigest><Url>`+fileURL+`</Url></FileLocation></FileLocations>`)))},
	}
}

func newSession(w *wire) *Session {
	return &Session{Exchanger: w, Server: WSUS(testBase), Now: func() time.Time { return testNow }, Via: host.Via{Proxy: "http://proxy.example:8080", Source: "test"}}
}

func deepSession(w *wire) *Session {
	s := newSession(w)
	s.Deep, s.ClientID, s.Computer = true, testClientID, "pc7.fabrikam.example"
	return s
}

// By default nothing is sent that could write, and nothing that tells who asks.
func TestScanShallow(t *testing.T) {
	w := healthy().wire()
	s := newSession(w)
	s.ClientID, s.Computer = testClientID, "pc7.fabrikam.example"
	scan, err := s.Scan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if scan.Problem != nil || !scan.Genuine || scan.Xpress != XpressWorks || scan.Config == nil || scan.Config.LastChange != testChange {
		t.Errorf("%+v", scan)
	}
	sent := strings.Fields(w.names())
	slices.Sort(sent)
	if got := strings.Join(sent, " "); got != "GetConfig GetConfig.xpress GetCookie.stale" {
		t.Errorf("sent %s", got)
	}
	for i, r := range w.sent {
		name, _, _ := strings.Cut(r.ID, ".")
		if operation(name).Writes != WritesNothing {
			t.Errorf("%s may write", r.ID)
		}
		if all := fmt.Sprintf("%s %v %s", r.URL, r.Header, r.Body); strings.Contains(all, testClientID) || strings.Contains(all, "pc7") {
			t.Errorf("%s tells who asks: %s", r.ID, all)
		}
		if r.Via != s.Via {
			t.Errorf("%s goes %+v", r.ID, w.sent[i].Via)
		}
	}
	for _, st := range scan.Steps {
		if st.Problem != nil || st.Exchange.Broken() != nil {
			t.Errorf("%s: %v", st.Exchange.Request.ID, st.Problem)
		}
	}
}

func TestScanXpress(t *testing.T) {
	plainConfig := soap11(wrap(opConfig, configResult))
	packed := string(xpressed([]byte(plainConfig)))
	for name, tt := range map[string]struct {
		ex   host.Exchange
		want Xpress
		seen string
	}{
		"not offered":  {answer(200, plainConfig), XpressUnused, ""},
		"name taken":   {answer(200, packed), XpressBroken, "the body is xpress, but no Content-Encoding says so"},
		"name left":    {answer(200, plainConfig, "Content-Encoding", "xpress"), XpressBroken, "Content-Encoding: xpress, but the body is plain"},
		"recompressed": {answer(200, "\x1f\x8b\x08", "Content-Encoding", "gzip"), XpressBroken, "Content-Encoding: gzip, which nobody asked for"},
		"damaged":      {answer(200, packed[:60], "Content-Encoding", "xpress"), XpressBroken, "not xpress: a block ends early"},
		"refused":      {answer(406, ""), XpressBroken, "HTTP 406"},
		"line broke":   {broken(host.HopTCP, host.FaultTimeout), XpressUnknown, ""},
	} {
		sc := healthy()
		sc[opConfig+".xpress"] = []host.Exchange{tt.ex}
		scan, err := newSession(sc.wire()).Scan(t.Context())
		if err != nil || scan.Xpress != tt.want || (scan.Problem != nil) != (tt.seen != "") || scan.Problem != nil && scan.Problem.Seen != tt.seen {
			t.Errorf("%s: %q, %v, %v", name, scan.Xpress, scan.Problem, err)
		}
	}
}

// Who answers GetConfig is an update service only if it talks like one.
func TestScanGenuine(t *testing.T) {
	sc := healthy()
	sc[opCookie+".stale"] = []host.Exchange{answer(500, soap11(`<s:Fault><faultcode>s:Server</faultcode></s:Fault>`))}
	sc[opConfig] = []host.Exchange{answer(500, fault11("Server", "ServerBusy", ""))}
	scan, err := newSession(sc.wire()).Scan(t.Context())
	if err != nil || !scan.Genuine || scan.Problem == nil || scan.Problem.SOAP.Code != "ServerBusy" || scan.Problem.Code != 0x80244007 {
		t.Errorf("busy: %+v, %v", scan, err)
	}
	sc[opConfig] = []host.Exchange{answer(200, "<!doctype html><html>")}
	scan, err = newSession(sc.wire()).Scan(t.Context())
	if err != nil || scan.Genuine || scan.Problem == nil || scan.Problem.Fault != host.FaultPortal || scan.Config != nil {
		t.Errorf("portal: %+v, %v", scan, err)
	}
	sc[opConfig] = []host.Exchange{answer(200, soap11(wrap(opConfig, "<LastChange>x</LastChange>")))}
	scan, err = newSession(sc.wire()).Scan(t.Context())
	if err != nil || scan.Problem == nil || scan.Problem.Code != 0x80244027 {
		t.Errorf("no authorization service: %+v, %v", scan.Problem, err)
	}
}

func TestScanDeep(t *testing.T) {
	w := healthy().wire()
	scan, err := deepSession(w).Scan(t.Context())
	if err != nil || scan.Problem != nil {
		t.Fatalf("%v, %v", scan.Problem, err)
	}
	if !scan.Complete || scan.Trips != 4 || len(scan.Updates) != 4 || scan.Titles[3] != "Fix" {
		t.Errorf("%+v", scan)
	}
	if want := (File{Name: "Fix.exe", Size: 9, SHA1: sum1Hex, URL: fileURL}); len(scan.Files) != 1 || scan.Files[0] != want {
		t.Errorf("files %+v", scan.Files)
	}
	if got, want := strings.Join(strings.Fields(w.names())[3:], " "), "GetAuthorizationCookie GetCookie SyncUpdates SyncUpdates SyncUpdates SyncUpdates GetExtendedUpdateInfo GetFileLocations"; got != want {
		t.Errorf("sent %s\nwant %s", got, want)
	}
	// What was learned goes into the next page's request: what is always installed
	// as a prerequisite, the rest as known.
	for i, want := range []string{
		"<ExpressQuery>false</ExpressQuery><SkipSoftwareSync>",
		"<InstalledNonLeafUpdateIDs><int>1</int></InstalledNonLeafUpdateIDs><SkipSoftwareSync>",
		"<InstalledNonLeafUpdateIDs><int>1</int></InstalledNonLeafUpdateIDs><OtherCachedUpdateIDs><int>2</int><int>3</int></OtherCachedUpdateIDs>",
		"<OtherCachedUpdateIDs><int>2</int><int>3</int><int>4</int></OtherCachedUpdateIDs>",
	} {
		if body := string(w.sent[5+i].Body); !strings.Contains(body, want) {
			t.Errorf("page %d: %s", i, body)
		}
	}
	// Nothing that identifies the machine is kept.
	kept, err := json.Marshal(scan)
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range scan.Steps[3:] {
		if st.Exchange.Body != nil || st.Exchange.Request.Body != nil {
			t.Errorf("%s keeps its bodies", st.Operation)
		}
	}
	if bytes.Contains(kept, []byte(testClientID)) || bytes.Contains(kept, []byte("pc7.fabrikam")) {
		t.Error("the machine's id is kept")
	}
}

func TestScanRefusesStrangers(t *testing.T) {
	for name, spoil := range map[string]func(*Session){
		"no id":       func(s *Session) { s.ClientID = "" },
		"null id":     func(s *Session) { s.ClientID = "00000000-0000-0000-0000-000000000000" },
		"odd id":      func(s *Session) { s.ClientID = "{" + testClientID + "}" },
		"injection":   func(s *Session) { s.ClientID = "a</clientId>" },
		"long id":     func(s *Session) { s.ClientID = strings.Repeat("a", 256) },
		"no computer": func(s *Session) { s.Computer = "" },
	} {
		w := healthy().wire()
		s := deepSession(w)
		spoil(s)
		if _, err := s.Scan(t.Context()); !errors.Is(err, ErrIdentity) || len(w.sent) != 0 {
			t.Errorf("%s: %v after %d requests", name, err, len(w.sent))
		}
	}
	// The gate holds for each call, not only at the door.
	w := healthy().wire()
	s := newSession(w)
	s.ClientID, s.Computer = testClientID, "pc7"
	for _, op := range Operations() {
		if op.Writes == WritesNothing {
			continue
		}
		if _, err := s.step(t.Context(), op.Name, host.Request{}, func(host.Exchange) error { return nil }); !errors.Is(err, ErrIdentity) {
			t.Errorf("%s: %v", op.Name, err)
		}
	}
	s.Deep = true
	if _, err := s.step(t.Context(), opRegister, host.Request{}, func(host.Exchange) error { return nil }); err == nil {
		t.Error("a registration nobody asked for")
	}
	if len(w.sent) != 0 {
		t.Errorf("sent %s", w.names())
	}
}

// Recovery goes as [MS-WUSP] 2.2.2.4 says, once for each fault.
func TestScanRecovers(t *testing.T) {
	fail := func(code string) host.Exchange { return answer(500, fault11("Client", code, "")) }
	tests := []struct {
		name  string
		spoil func(sc script)
		want  string // what is sent after the shallow calls
		code  codes.HRESULT
		left  string // ErrorCode of the problem that remains
	}{
		{
			"ConfigChanged at GetCookie", func(sc script) { sc[opCookie] = append([]host.Exchange{fail("ConfigChanged")}, sc[opCookie]...) },
			"GetAuthorizationCookie GetCookie GetConfig GetAuthorizationCookie GetCookie SyncUpdates SyncUpdates SyncUpdates SyncUpdates GetExtendedUpdateInfo GetFileLocations", 0, "",
		},
		{
			"CookieExpired at the second page", func(sc script) { sc[opSync] = slices.Insert(sc[opSync], 1, fail("CookieExpired")) },
			"GetAuthorizationCookie GetCookie SyncUpdates SyncUpdates GetAuthorizationCookie GetCookie SyncUpdates SyncUpdates SyncUpdates GetExtendedUpdateInfo GetFileLocations", 0, "",
		},
		{
			"ServerChanged at the end", func(sc script) {
				sc[opSync] = slices.Concat(sc[opSync], sc[opSync])
				sc[opExtended] = append([]host.Exchange{fail("ServerChanged")}, sc[opExtended]...)
			},
			"GetAuthorizationCookie GetCookie SyncUpdates SyncUpdates SyncUpdates SyncUpdates GetExtendedUpdateInfo GetConfig GetAuthorizationCookie GetCookie SyncUpdates SyncUpdates SyncUpdates SyncUpdates GetExtendedUpdateInfo GetFileLocations", 0, "",
		},
		{
			"InvalidCookie for ever", func(sc script) { sc[opSync] = []host.Exchange{fail("InvalidCookie")} },
			"GetAuthorizationCookie GetCookie SyncUpdates GetConfig GetAuthorizationCookie GetCookie SyncUpdates", 0x80244015, "InvalidCookie",
		},
		{
			"one fault after another", func(sc script) {
				sc[opSync] = []host.Exchange{fail("InvalidCookie"), fail("CookieExpired"), fail("ConfigChanged")}
			},
			"GetAuthorizationCookie GetCookie SyncUpdates GetConfig GetAuthorizationCookie GetCookie SyncUpdates GetAuthorizationCookie GetCookie SyncUpdates", 0x80244007, "ConfigChanged",
		},
		{
			"unknown computer", func(sc script) { sc[opSync] = []host.Exchange{fail("RegistrationRequired")} },
			"GetAuthorizationCookie GetCookie SyncUpdates", 0x80244007, "RegistrationRequired",
		},
		{
			"limits", func(sc script) {
				sc[opSync] = []host.Exchange{answer(500, fault11("Client", "InvalidParameters", "parameters.InstalledNonLeafUpdateIDs"))}
			},
			"GetAuthorizationCookie GetCookie SyncUpdates", 0x80244007, "InvalidParameters",
		},
		{
			"busy", func(sc script) { sc[opAuth] = []host.Exchange{answer(500, fault11("Server", "ServerBusy", ""))} },
			"GetAuthorizationCookie", 0x80244007, "ServerBusy",
		},
		{
			"files elsewhere", func(sc script) { sc[opExtended] = []host.Exchange{fail("FileLocationChanged")} },
			"GetAuthorizationCookie GetCookie SyncUpdates SyncUpdates SyncUpdates SyncUpdates GetExtendedUpdateInfo", 0x80244025, "FileLocationChanged",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sc := healthy()
			tt.spoil(sc)
			w := sc.wire()
			scan, err := deepSession(w).Scan(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(strings.Fields(w.names())[3:], " "); got != tt.want {
				t.Errorf("sent %s\nwant %s", got, tt.want)
			}
			switch {
			case tt.left == "" && (scan.Problem != nil || !scan.Complete || len(scan.Updates) != 4):
				t.Errorf("%v, complete %t, %d updates", scan.Problem, scan.Complete, len(scan.Updates))
			case tt.left != "" && (scan.Problem == nil || scan.Problem.SOAP == nil || scan.Problem.SOAP.Code != tt.left || scan.Problem.Code != tt.code):
				t.Errorf("%+v", scan.Problem)
			}
		})
	}
}

// An expired cookie is handed back when it is renewed, and an id is sent in lower case.
func TestScanHandsBack(t *testing.T) {
	sc := healthy()
	sc[opSync] = slices.Insert(sc[opSync], 0, answer(500, fault11("Client", "CookieExpired", "")))
	w := sc.wire()
	s := deepSession(w)
	s.ClientID = strings.ToUpper(testClientID)
	if _, err := s.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if body := string(w.sent[3].Body); !strings.Contains(body, "<clientId>"+testClientID+"</clientId><dnsName>pc7.fabrikam.example</dnsName>") {
		t.Error(body)
	}
	first, second := string(w.sent[4].Body), string(w.sent[7].Body)
	if !strings.Contains(first, "<oldCookie><Expiration>2031-05-06T07:08:09Z</Expiration></oldCookie><lastChange>"+testChange+"</lastChange>") {
		t.Error(first)
	}
	if !strings.Contains(second, "<oldCookie><Expiration>2031-05-06T08:08:09.5Z</Expiration><EncryptedData>"+testCookie+"</EncryptedData></oldCookie>") {
		t.Error(second)
	}
}

func TestScanRegisters(t *testing.T) {
	sc := healthy()
	sc[opRegister] = []host.Exchange{answer(200, soap11(`<RegisterComputerResponse xmlns="`+nsClient+`"/>`))}
	w := sc.wire()
	s := deepSession(w)
	s.Register = &Computer{DNSName: "pc7.fabrikam.example"}
	if scan, err := s.Scan(t.Context()); err != nil || scan.Problem != nil || !strings.Contains(w.names(), "GetCookie RegisterComputer SyncUpdates") || strings.Count(w.names(), "RegisterComputer") != 1 {
		t.Errorf("%v, %v: %s", scan.Problem, err, w.names())
	}
	// Only when the server forgot it.
	sc = healthy()
	sc[opConfig] = []host.Exchange{answer(200, soap11(wrap(opConfig, strings.Replace(configResult, ">true<", ">false<", 1))))}
	sc[opRegister] = []host.Exchange{answer(200, soap11(`<RegisterComputerResponse xmlns="`+nsClient+`"/>`))}
	sc[opSync] = slices.Insert(sc[opSync], 0, answer(500, fault11("Client", "RegistrationRequired", "")))
	w = sc.wire()
	s = deepSession(w)
	s.Register = &Computer{DNSName: "pc7.fabrikam.example"}
	if scan, err := s.Scan(t.Context()); err != nil || scan.Problem != nil || !strings.Contains(w.names(), "SyncUpdates RegisterComputer SyncUpdates") {
		t.Errorf("%v, %v: %s", scan.Problem, err, w.names())
	}
}

// A server that never ends is what agents report as too many round trips; a doctor
// stops sooner if told to.
func TestScanEndless(t *testing.T) {
	endless := func() (*wire, *int) {
		n := 0
		sc := healthy()
		w := sc.wire()
		say := w.say
		w.say = func(r host.Request) host.Exchange {
			if r.ID != opSync {
				return say(r)
			}
			n++
			return page(info(n, "Software", "Evaluate", true, always), true)
		}
		return w, &n
	}
	w, n := endless()
	s := deepSession(w)
	s.Pages = 1000
	scan, err := s.Scan(t.Context())
	if err != nil || scan.Problem == nil || scan.Problem.Code != 0x80244010 || *n != MaxTrips || scan.Trips != MaxTrips || scan.Complete {
		t.Errorf("%v, %v after %d trips", scan.Problem, err, *n)
	}
	w, n = endless()
	scan, err = deepSession(w).Scan(t.Context())
	if err != nil || scan.Problem != nil || *n != defaultPages || scan.Complete {
		t.Errorf("%v, %v after %d trips", scan.Problem, err, *n)
	}
	// The same page again and again: a server that says that there is more never ends; one
	// that says it is all keeps no state, and the agent has what there is.
	for _, truncated := range []bool{true, false} {
		sc := healthy()
		sc[opSync] = []host.Exchange{page(info(1, "Category", "Evaluate", false, always), truncated)}
		w = sc.wire()
		scan, err = deepSession(w).Scan(t.Context())
		if err != nil || scan.Trips != 2 || scan.Complete == truncated || (scan.Problem != nil && scan.Problem.Code == 0x80244010) != truncated {
			t.Errorf("truncated %v: %v, %v after %d trips", truncated, scan.Problem, err, scan.Trips)
		}
	}
}

// WSUS refuses more than 400 installed prerequisites, so no more are told.
func TestScanLimits(t *testing.T) {
	var many strings.Builder
	for i := range 450 {
		many.WriteString(info(i+1, "Category", "Evaluate", false, always))
	}
	sc := healthy()
	sc[opSync] = []host.Exchange{page(many.String(), true), page("", false)}
	w := sc.wire()
	if scan, err := deepSession(w).Scan(t.Context()); err != nil || scan.Problem != nil || !scan.Complete {
		t.Fatalf("%v, %v", scan.Problem, err)
	}
	body := string(w.sent[6].Body)
	installed, cached, _ := strings.Cut(body, "</InstalledNonLeafUpdateIDs>")
	if a, b := strings.Count(installed, "<int>"), strings.Count(cached, "<int>"); a != 400 || b != 50 {
		t.Errorf("%d installed, %d cached", a, b)
	}
}

// Told to, a session says all that is installed, as an agent does: then it meets the limit.
func TestScanBeyondLimit(t *testing.T) {
	var many strings.Builder
	for i := range 450 {
		many.WriteString(info(i+1, "Category", "Evaluate", false, always))
	}
	sc := healthy()
	sc[opSync] = []host.Exchange{page(many.String(), true), answer(500, fault11("Client", "InvalidParameters", "parameters.InstalledNonLeafUpdateIDs"))}
	w := sc.wire()
	s := deepSession(w)
	s.Installed = 1000
	scan, err := s.Scan(t.Context())
	if err != nil || scan.Problem == nil || scan.Problem.Code != 0x80244007 || scan.Problem.Seen != "InvalidParameters: parameters.InstalledNonLeafUpdateIDs" {
		t.Fatalf("%v, %v", scan.Problem, err)
	}
	installed, _, _ := strings.Cut(string(w.sent[6].Body), "</InstalledNonLeafUpdateIDs>")
	if n := strings.Count(installed, "<int>"); n != 450 {
		t.Errorf("%d installed", n)
	}
}

func TestScanPublic(t *testing.T) {
	sc := healthy()
	// The public service names other plug-ins, with addresses of their own.
	sc[opConfig] = []host.Exchange{answer(200, soap11(wrap(opConfig, `<LastChange>`+testChange+`</LastChange><IsRegistrationRequired>false</IsRegistrationRequired><AuthInfo><AuthPlugInInfo><PlugInID>Anonymous</PlugInID><ServiceUrl/></AuthPlugInInfo></AuthInfo>`)))}
	w := sc.wire()
	s := deepSession(w)
	s.Server = Public()
	scan, err := s.Scan(t.Context())
	if err != nil || scan.Problem != nil || !scan.Genuine || len(w.sent) != 2 {
		t.Errorf("%v, %v: %s", scan.Problem, err, w.names())
	}
	for _, r := range w.sent {
		if !r.Pinned || r.URL != "https://fe2cr.update.microsoft.com/v6/ClientWebService/client.asmx" {
			t.Errorf("%+v", r)
		}
	}
}

func TestScanModern(t *testing.T) {
	good := answer(200, soap12(wrap(opCookie, cookieResult)))
	sender := func(code string) host.Exchange {
		return answer(500, soap12(`<env:Fault><env:Code><env:Value>env:Sender</env:Value></env:Code><env:Detail><ErrorCode>`+code+`</ErrorCode></env:Detail></env:Fault>`))
	}
	for name, tt := range map[string]struct {
		ex      host.Exchange
		genuine bool
		fault   host.Fault
	}{
		"cookie":   {good, true, ""},
		"changed":  {sender("ConfigChanged"), true, ""},
		"expired":  {sender("CookieExpired"), true, ""},
		"clock":    {answer(500, soap12(`<env:Fault><env:Code><env:Value>env:Sender</env:Value><env:Subcode><env:Value>a:InvalidSecurity</env:Value></env:Subcode></env:Code></env:Fault>`)), false, host.FaultSOAP},
		"refusing": {sender("InvalidParameters"), true, host.FaultSOAP},
		"portal":   {answer(200, "<html>"), false, host.FaultPortal},
	} {
		w := script{opCookie: {tt.ex}}.wire()
		s := newSession(w)
		s.Server = Modern()
		scan, err := s.Scan(t.Context())
		if err != nil || scan.Genuine != tt.genuine || (scan.Problem == nil) != (tt.fault == "") || scan.Problem != nil && scan.Problem.Fault != tt.fault || w.names() != opCookie {
			t.Errorf("%s: %+v, %v", name, scan, err)
		}
	}
}

func TestScanContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := healthy().wire()
	say := w.say
	w.say = func(r host.Request) host.Exchange {
		if r.ID == opSync {
			cancel()
		}
		return say(r)
	}
	scan, err := deepSession(w).Scan(ctx)
	if !errors.Is(err, context.Canceled) || scan == nil || len(scan.Steps) != 6 {
		t.Errorf("%v with %d steps", err, len(scan.Steps))
	}
	if _, err := newSession(w).Scan(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
