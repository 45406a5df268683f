package wusp

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/codes"
	"updoc/internal/host"
)

// Every row of the table, as both versions of SOAP carry it.
func TestFaultRows(t *testing.T) {
	tests := []struct {
		code, kind string
		recovery   Recovery
		hresult    codes.HRESULT
		older      codes.HRESULT
		symbol     string
	}{
		{"InvalidCookie", "Client", Restart, 0x80244015, 0x8024400D, "WU_E_PT_REFRESH_CACHE_REQUIRED"},
		{"ServerChanged", "Client", Restart, 0x80244015, 0x8024400D, "WU_E_PT_REFRESH_CACHE_REQUIRED"},
		{"ConfigChanged", "Client", Restart, 0x80244007, 0x8024400D, "WU_E_PT_SOAPCLIENT_SOAPFAULT"},
		{"CookieExpired", "Client", Renew, 0x80244007, 0x8024400D, "WU_E_PT_SOAPCLIENT_SOAPFAULT"},
		{"RegistrationRequired", "Client", Register, 0x80244007, 0x8024400D, "WU_E_PT_SOAPCLIENT_SOAPFAULT"},
		{"RegistrationNotRequired", "Client", None, 0x80244007, 0x8024400D, "WU_E_PT_SOAPCLIENT_SOAPFAULT"},
		{"InvalidAuthorizationCookie", "Client", Renew, 0x80244007, 0x8024400D, "WU_E_PT_SOAPCLIENT_SOAPFAULT"},
		{"InvalidParameters", "Client", None, 0x80244007, 0x8024400D, "WU_E_PT_SOAPCLIENT_SOAPFAULT"},
		{"InternalServerError", "Server", Later, 0x80244007, 0x8024400E, "WU_E_PT_SOAPCLIENT_SOAPFAULT"},
		{"ServerBusy", "Server", Later, 0x80244007, 0x8024400E, "WU_E_PT_SOAPCLIENT_SOAPFAULT"},
		{"FileLocationChanged", "Client", Locations, 0x80244025, 0x8024400D, "WU_E_PT_FILE_LOCATIONS_CHANGED"},
		{"", "VersionMismatch", None, 0x80244007, 0x8024400B, "WU_E_PT_SOAPCLIENT_SOAPFAULT"},
		{"", "MustUnderstand", None, 0x80244007, 0x8024400C, "WU_E_PT_SOAPCLIENT_SOAPFAULT"},
		{"", "Client", None, 0x80244007, 0x8024400D, "WU_E_PT_SOAPCLIENT_SOAPFAULT"},
		{"", "Server", Later, 0x80244007, 0x8024400E, "WU_E_PT_SOAPCLIENT_SOAPFAULT"},
		{"", "", None, 0x80244007, 0x803D0013, "WU_E_PT_SOAPCLIENT_SOAPFAULT"},
	}
	rows, err := parseFaults(faultsTSV)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != len(tests) {
		t.Errorf("the table has %d rows, %d are tested", len(rows), len(tests))
	}
	newNames := map[string]string{"Client": "Sender", "Server": "Receiver"}
	for _, tt := range tests {
		kind12 := tt.kind
		if n := newNames[kind12]; n != "" {
			kind12 = n
		}
		detail := ""
		if tt.code != "" {
			detail = "<ErrorCode> " + tt.code + "\n</ErrorCode><Message>parameters.X</Message><ID>0d9f7c52-1b1e-4d53-8f0a-3c7a54e9b002</ID><Method>\"" + nsClient + "/SyncUpdates\"</Method>"
		}
		for version, ex := range map[string]host.Exchange{
			"1.1":     answer(500, soap11(`<s:Fault><faultcode>s:`+tt.kind+`</faultcode><faultstring>Fault occurred</faultstring><faultactor>http://x/</faultactor><detail>`+detail+`</detail></s:Fault>`)),
			"1.1, ok": answer(200, soap11(`<s:Fault><faultcode>soap:`+tt.kind+`</faultcode><faultstring>Fault occurred</faultstring><detail>`+detail+`</detail></s:Fault>`)),
			"1.2":     answer(500, soap12(`<env:Fault><env:Code><env:Value>env:`+kind12+`</env:Value><env:Subcode><env:Value>a:Other</env:Value></env:Subcode></env:Code><env:Reason><env:Text xml:lang="en">Fault occurred</env:Text></env:Reason><env:Detail>`+detail+`</env:Detail></env:Fault>`)),
			"xpress":  answer(500, string(xpressed([]byte(soap11(`<s:Fault><faultcode>s:`+tt.kind+`</faultcode><faultstring>Fault occurred</faultstring><detail>`+detail+`</detail></s:Fault>`)))), "Content-Encoding", "xpress"),
		} {
			t.Run(fmt.Sprintf("%s/%s/%s", tt.code, tt.kind, version), func(t *testing.T) {
				_, err := ReadConfig(ex)
				e := problem(t, err)
				if e.Hop != host.HopService || e.Fault != host.FaultSOAP || e.SOAP == nil {
					t.Fatalf("%+v", e)
				}
				f := e.SOAP
				if f.Code != tt.code || f.SOAP != tt.kind || f.Reason != "Fault occurred" || f.Recovery != tt.recovery || f.HResult != tt.hresult || e.Code != tt.hresult {
					t.Errorf("%+v", f)
				}
				if !contains(f.Also, tt.older) {
					t.Errorf("also %v, want %v", f.Also, tt.older)
				}
				if info, ok := codes.Lookup(f.HResult); !ok || info.Symbol() != tt.symbol {
					t.Errorf("%v is %s, want %s", f.HResult, info.Symbol(), tt.symbol)
				}
				if len(f.Meaning) < 30 || !strings.HasSuffix(f.Meaning, ".") || f.Source == "" {
					t.Errorf("meaning %q, source %q", f.Meaning, f.Source)
				}
				if f.Genuine() != (tt.code != "") {
					t.Errorf("genuine: %t", f.Genuine())
				}
				if tt.code != "" && (f.Message != "parameters.X" || f.ID != "0d9f7c52-1b1e-4d53-8f0a-3c7a54e9b002" || f.Method != nsClient+"/SyncUpdates" || e.Seen != tt.code+": parameters.X") {
					t.Errorf("%+v, seen %q", f, e.Seen)
				}
			})
		}
	}
	// Codes that are known to come with a fault must be codes that can be explained.
	for _, r := range rows {
		for _, c := range append(r.also, r.hresult) {
			if _, ok := codes.Lookup(c); !ok {
				t.Errorf("%s: %v is not in the table of codes", r.code, c)
			}
		}
	}
}

func contains(list []codes.HRESULT, c codes.HRESULT) bool {
	for _, x := range list {
		if x == c {
			return true
		}
	}
	return false
}

// A front end that finds the time of a message too far from its own says so in the
// subcode of WS-Security, whatever prefix it gives that; free text in its place is not shown.
func TestFaultExpired(t *testing.T) {
	for sub, want := range map[string]bool{"o:MessageExpired": true, "wsu:MessageExpired": true, "MessageExpired": true, "o:InvalidSecurity": false, "Basic am9lOmh1bnRlcjI=": false} {
		_, err := ReadCookie(answer(500, soap12(`<env:Fault><env:Code><env:Value>env:Sender</env:Value><env:Subcode><env:Value>`+sub+`</env:Value></env:Subcode></env:Code></env:Fault>`)))
		e := problem(t, err)
		if e.SOAP == nil || e.SOAP.Expired() != want || e.SOAP.SOAP != "Client" || strings.Contains(e.Seen, "am9l") {
			t.Errorf("%s: %+v, seen %q", sub, e.SOAP, e.Seen)
		}
	}
}

// What a fault holds beyond known words may be anything: it is bounded and stays
// out of what is shown in a line.
func TestFaultHostile(t *testing.T) {
	secret := "Basic am9lOmh1bnRlcjI="
	for name, body := range map[string]string{
		"free code":   fault11("Client", secret+" "+strings.Repeat("x", 9000), "Proxy-Authorization: "+secret),
		"escapes":     fault11("Client", "A&#x85;[2J&#x9b;31mB", "\u202Eright to left "+secret),
		"empty":       soap11(`<s:Fault/>`),
		"twice":       soap11(`<s:Fault><faultcode>s:Client</faultcode><faultcode>s:Server</faultcode><detail><ErrorCode>ServerBusy</ErrorCode><ErrorCode>ConfigChanged</ErrorCode></detail></s:Fault>`),
		"nested":      soap11(`<s:Fault><detail><x><ErrorCode>ServerBusy</ErrorCode></x></detail></s:Fault>`),
		"odd subcode": soap11(`<s:Fault><faultcode>Client.Authentication.` + secret + `</faultcode></s:Fault>`),
	} {
		_, err := ReadConfig(answer(500, body))
		e := problem(t, err)
		if e.SOAP == nil || e.SOAP.Meaning == "" || e.Code != 0x80244007 {
			t.Errorf("%s: %+v", name, e)
			continue
		}
		if strings.Contains(e.Error(), "am9l") || len(e.Seen) > 200 || strings.ContainsAny(e.Seen+e.SOAP.Message+e.SOAP.Code, "\x1b\u009b\u202e") || len(e.SOAP.Code) > 400 {
			t.Errorf("%s: %q / %+v", name, e.Error(), e.SOAP)
		}
		if name == "twice" && (e.SOAP.Code != "ServerBusy" || e.SOAP.SOAP != "Client") {
			t.Errorf("%+v", e.SOAP)
		}
		if name == "nested" && e.SOAP.Genuine() {
			t.Error("an ErrorCode out of place is taken for one")
		}
	}
}

func TestParseFaults(t *testing.T) {
	for in, want := range map[string]string{
		"a\tb":                  "faults.tsv:1: 2 columns, want 6",
		"a\tnone\tx\t0x1\tm\ts": `faults.tsv:1: strconv.ParseUint: parsing "x": invalid syntax`,
	} {
		if _, err := parseFaults(in); err == nil || err.Error() != want {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// Every call says what it does to a server; those of a default session do nothing.
func TestOperations(t *testing.T) {
	got := map[string]Writes{}
	for _, op := range Operations() {
		got[op.Name] = op.Writes
		if op.Why == "" {
			t.Errorf("%s does not say why", op.Name)
		}
	}
	want := map[string]Writes{
		"SLS": "no", "GetConfig": "no", "GetCookie": "no", "GetExtendedUpdateInfo": "no", "GetFileLocations": "no", "content": "no",
		"GetAuthorizationCookie": "may", "SyncUpdates": "may", "RegisterComputer": "yes",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if operation("DropDatabase").Writes != DoesWrite {
		t.Error("an unknown operation is taken for harmless")
	}
}
