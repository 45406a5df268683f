package cause

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/facts"
	"updoc/internal/host"
)

// diagnosed runs the catalogue on files as a machine would leave them.
func diagnosed(t *testing.T, files map[string]string) Diagnosis {
	t.Helper()
	return Diagnose(collected(t, files))
}

func collected(t *testing.T, files map[string]string) *facts.Facts {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	h, err := host.OpenFS(t.Context(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	return facts.Collect(t.Context(), h, facts.Options{})
}

// first names the first finding and what was seen for it, for messages.
func wantFirst(t *testing.T, d Diagnosis, want string) {
	t.Helper()
	if d.Outcome != Problems {
		t.Errorf("outcome %s, want %s", d.Outcome, Problems)
	}
	got := d.Findings[0]
	if got.ID == want && got.Root {
		return
	}
	t.Errorf("first is %s (%.2f, root %v), want %s", got.ID, got.Probability, got.Root, want)
	for _, x := range d.Findings {
		if x.ID == want || x.ID == got.ID {
			for _, e := range x.Evidence {
				t.Logf("%s: for=%v %v %s: %s", x.ID, e.For, e.Weight, e.Source, e.Seen)
			}
		}
	}
}

const (
	scan407 = "2024/03/05 09:14:07.1230456 5120  7332  ProtocolTalker  *FAILED* [8024401B] SyncUpdates failure, error = 0x8024401B, soap client error = 10, soap error code = 0, HTTP status code = 407\r\n" +
		"2024/03/05 09:14:07.1302210 5120  7332  Agent           * END * Finding updates CallerId = UpdateOrchestrator, Id = 6, Exit code = 0x8024401B (cV = kF0m2Pp1xUW3bQz5.1.0.1)\r\n"
	atMicrosoft = "2024/03/05 09:14:06.9902287 5120  7332  ProtocolTalker  ServiceId = {9482F4B4-E343-43B6-B170-9A65BC822C77}, Server URL = https://fe2cr.update.microsoft.com/v6/ClientWebService/client.asmx\r\n"
	atOwnServer = "2024/03/05 09:14:06.9902287 5120  7332  ProtocolTalker  ServiceId = {3DA21691-E39D-4DA6-8A4B-B43877BCB1B7}, Server URL = http://wsus1.fourthcoffee.example:8530/ClientWebService/client.asmx\r\n"
	shouting    = "2024/03/05 09:14:06.9902287 5120  7332  ProtocolTalker  ServiceId = {3DA21691-E39D-4DA6-8A4B-B43877BCB1B7}, Server URL = http://WSUS1.FOURTHCOFFEE.EXAMPLE:8530/ClientWebService/client.asmx\r\n"
	direct      = "Current WinHTTP proxy settings:\r\n\r\n    Direct access (no proxy server).\r\n"
	throughProx = "Current WinHTTP proxy settings:\r\n\r\n    Proxy Server(s) :  proxy.fourthcoffee.example:8080\r\n    Bypass List     :  (none)\r\n"
)

// One code, 0x8024401B, and the evidence beside it decides.
func TestReasonsFor407(t *testing.T) {
	tests := []struct {
		want  string
		files map[string]string
	}{
		{"proxy-auth-required", map[string]string{
			"WindowsUpdate.log": atMicrosoft + scan407, "netsh-winhttp-show-proxy.txt": throughProx,
		}},
		{"proxy-misconfigured-winhttp", map[string]string{
			"WindowsUpdate.log": atOwnServer + scan407, "netsh-winhttp-show-proxy.txt": throughProx,
		}},
		{"proxy-pac-case-sensitive", map[string]string{
			"WindowsUpdate.log": shouting + scan407, "notes.txt": "Everybody gets a proxy.pac by policy.",
		}},
		{"proxy-wpad-wrong", map[string]string{
			"WindowsUpdate.log": atMicrosoft + scan407, "netsh-winhttp-show-proxy.txt": direct,
			"notes.txt": "Nobody set a proxy. The router of the neighbour office answers for wpad, the DNS suffix is shared.",
		}},
		{"proxy-user-only", map[string]string{
			"WindowsUpdate.log": atMicrosoft + scan407,
			"notes.txt":         "The search only works when a user is logged in, over the proxy of that user's settings.",
		}},
		{"proxy-stale", map[string]string{
			"WindowsUpdate.log": atMicrosoft + scan407, "netsh-winhttp-show-proxy.txt": throughProx,
			"notes.txt": "Private use now. The winhttp proxy is from my former employer.",
		}},
		{"proxy-unreachable", map[string]string{
			"WindowsUpdate.log": atMicrosoft + scan407, "netsh-winhttp-show-proxy.txt": throughProx,
			"notes.txt": "The proxy lost its domain membership last night, browsers are asked too.",
		}},
		{"proxy-negotiate-refused", map[string]string{
			"WindowsUpdate.log": atMicrosoft + "2024/03/05 09:14:07.1210456 5120  7332  WebServices     WS error: The HTTP proxy server requires HTTP authentication scheme 'negotiate'.\r\n" + scan407,
		}},
		{"proxy-plain-http-challenged", map[string]string{
			"WindowsUpdate.log": "2024/03/05 09:13:55.0302210 5120  7332  Agent           * START * Finding updates CallerId = UpdateOrchestrator  Id = 6 (cV = kF0m2Pp1xUW3bQz5.1.0.1)\r\n" +
				"2024/03/05 09:14:02.0302210 5120  7332  Agent           * END * Finding updates CallerId = UpdateOrchestrator, Id = 6, Exit code = 0x00000000 (cV = kF0m2Pp1xUW3bQz5.1.0.1)\r\n" +
				"2024/03/05 09:14:44.0302210 5120  7332  DownloadManager * END * Downloading updates CallerId = UpdateOrchestrator, Id = 7, Exit code = 0x80190197\r\n",
		}},
		{"proxy-credentials-cached", map[string]string{
			"WindowsUpdate.log": atMicrosoft + scan407, "notes.txt": "In Credential Manager there is an entry for the proxy with my password of last year.",
		}},
		{"captive-portal", map[string]string{
			"WindowsUpdate.log": atMicrosoft + scan407, "notes.txt": "On the campus wifi there is a login page that I have not seen today.",
		}},
		{"vpn-client", map[string]string{
			"WindowsUpdate.log": atMicrosoft + scan407, "notes.txt": "Without the VPN it works at once.",
		}},
		{"clock-skew", map[string]string{
			"WindowsUpdate.log": atMicrosoft + scan407, "klist-output.txt": "klist failed with 0x80090324: The clocks on the client and server machines are skewed.",
		}},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		seen[tt.want] = true
		t.Run(tt.want, func(t *testing.T) { wantFirst(t, diagnosed(t, tt.files), tt.want) })
	}
	if len(seen) < 12 {
		t.Errorf("%d reasons told apart, want at least 12", len(seen))
	}
}

// The code alone gives the honest ranking and no certainty.
func TestCode407Alone(t *testing.T) {
	d := diagnosed(t, map[string]string{"notes.txt": "Windows Update error 0x8024401B"})
	wantFirst(t, d, "proxy-auth-required")
	if p := d.Findings[0].Probability; p > 0.8 {
		t.Errorf("probability %.2f on the code alone, want at most 0.8", p)
	}
}

func TestBypasses(t *testing.T) {
	tests := []struct {
		list, host string
		want       bool
	}{
		{"", "wsus", false},
		{"<local>", "wsus", true},
		{"<local>", "wsus.corp.example", false},
		{"*.corp.example", "wsus.corp.example", true},
		{"*.CORP.example;<local>", "WSUS.corp.EXAMPLE", true},
		{"*.corp.example", "corp.example", false},
		{"wsus.corp.example:8530", "wsus.corp.example", true},
		{"http://wsus.corp.example", "wsus.corp.example", true},
		{"10.*", "10.2.3.4", true},
		{"*.a.example *.corp.example", "wsus.corp.example", true},
		{"ws*s*.example", "wsus.corp.example", true},
		{"(none)", "none", false},
	}
	for _, tt := range tests {
		if got := bypasses(tt.list, tt.host); got != tt.want {
			t.Errorf("bypasses(%q, %q) = %v, want %v", tt.list, tt.host, got, tt.want)
		}
	}
}

func TestProxyHosts(t *testing.T) {
	tests := []struct {
		list string
		want []string
	}{
		{"", nil},
		{"proxy:8080", []string{"proxy"}},
		{"proxy", []string{"proxy"}},
		{"http=a.example:1;https=b.example:2", []string{"a.example", "b.example"}},
		{"http://127.0.0.1:8888", []string{"127.0.0.1"}},
		{"[::1]:3128 other:80", []string{"::1", "other"}},
		{"<Test:80", []string{"Test"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, proxyHosts(tt.list)); diff != "" {
			t.Errorf("proxyHosts(%q): %s", tt.list, diff)
		}
	}
}

func TestProxyInLine(t *testing.T) {
	tests := []struct{ line, want string }{
		{"  + Proxy list used = 10.0.0.9:3128", "10.0.0.9:3128"},
		{"  + Proxy list used = ", ""},
		{"SendRequest failed with hr = 80072ee2. Proxy List used: <(null)> Bypass List used : <(null)> Auth Schemes used : <>", ""},
		{"SendRequest failed with hr = 80072eef. Proxy List used: <gate:80 > Bypass List used : <(null)> Auth Schemes used : <>", "gate:80"},
		{"  * Default proxy: gate.example:80", "gate.example:80"},
		{"Proxy List: 'gate.example:80', Bypass List: '<local>'", "gate.example:80"},
		{"nothing of the kind", ""},
	}
	for _, tt := range tests {
		if got := proxyInLine(tt.line); got != tt.want {
			t.Errorf("proxyInLine(%q) = %q, want %q", tt.line, got, tt.want)
		}
	}
}

func TestHostsInURLs(t *testing.T) {
	tests := []struct {
		line string
		want []string
	}{
		{"Server URL = https://fe2cr.update.microsoft.com/v6/ClientWebService/client.asmx", []string{"fe2cr.update.microsoft.com"}},
		{"endpoint at 'http://SUP01.Corp.Example:8530/ClientWebService/client.asmx'.", []string{"SUP01.Corp.Example"}},
		{"<https://a.example/x> and http://b.example.", []string{"a.example", "b.example"}},
		{"‘http://%ServerName%/ClientWebService/client.asmx’", nil},
		{"httpd http: https:// http", nil},
		{"HTTPS://[2001:db8::1]:8531/x", []string{"2001:db8::1"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, hostsInURLs(tt.line)); diff != "" {
			t.Errorf("hostsInURLs(%q): %s", tt.line, diff)
		}
	}
}

func FuzzProxyText(f *testing.F) {
	f.Add("http=a:1;https=[::1]:2", "*.x;<local>", "Server URL = https://h/ Proxy List: 'a:1'")
	f.Add("::", "*", "http://http://")
	f.Fuzz(func(t *testing.T, list, bypass, line string) {
		for _, h := range proxyHosts(list) {
			bypasses(bypass, h)
		}
		hostsInURLs(line)
		proxyInLine(line)
		updateHostRole(line)
	})
}

// The binary values in the registry say the same as netsh and Internet Options.
func TestProxyFromRegistry(t *testing.T) {
	const machine = "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\\Connections]\r\n"
	const failed = "2024/03/05 09:14:07.1302210 5120  7332  Agent           * END * Finding updates CallerId = UpdateOrchestrator, Id = 6, Exit code = 0x80072EE2 (cV = kF0m2Pp1xUW3bQz5.1.0.1)\r\n"
	tests := []struct{ name, want, reg string }{
		// flags 3, proxy 127.0.0.1:8888, no bypass list
		{"static on loopback", "proxy-stale", machine + `"WinHttpSettings"=hex:18,00,00,00,00,00,00,00,03,00,00,00,0e,00,00,00,31,32,37,2e,30,2e,30,2e,31,3a,38,38,38,38,00,00,00,00` + "\r\n"},
		// flags 1, nothing; the user has flags 3 and prx:8080
		{"user only", "proxy-user-only", machine + `"WinHttpSettings"=hex:18,00,00,00,00,00,00,00,01,00,00,00,00,00,00,00,00,00,00,00` + "\r\n\r\n" +
			"[HKEY_CURRENT_USER\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\\Connections]\r\n" +
			`"DefaultConnectionSettings"=hex:46,00,00,00,02,00,00,00,03,00,00,00,08,00,00,00,70,72,78,3a,38,30,38,30,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00,00` + "\r\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantFirst(t, diagnosed(t, map[string]string{"WindowsUpdate.log": failed, "internet.reg": tt.reg}), tt.want)
		})
	}
}
