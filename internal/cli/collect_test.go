package cli

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/host/hosttest"
	"updoc/internal/lab"
	"updoc/internal/route"
	"updoc/internal/winlog"
	"updoc/internal/winlog/evtxtest"
)

// liveHost stands in for a live Windows: files of a recorded one, and answers.
type liveHost struct {
	*host.Recorded
	keys     map[string][]winlog.RegValue
	subkeys  map[string][]string
	services map[string]host.Service
	answers  map[string]string
	denied   []string
	closed   *bool
}

func (l *liveHost) Machine(context.Context) (host.Machine, error) {
	return host.Machine{Name: "KONTOR-PC-31", OS: "Windows 11 Pro 23H2", Build: "22631.3007", Arch: "amd64", Source: "live"}, nil
}

func (l *liveHost) Key(ctx context.Context, p string) (host.Key, error) {
	if slices.Contains(l.denied, p) {
		return host.Key{}, fmt.Errorf("key %s: %w", p, host.ErrDenied)
	}
	for name, values := range l.keys {
		if strings.EqualFold(name, p) {
			return host.Key{Path: p, Values: values, Subkeys: l.subkeys[name], Source: p}, nil
		}
	}
	if k, err := l.Recorded.Key(ctx, p); err == nil {
		return k, nil
	}
	return host.Key{}, fmt.Errorf("key %s: %w", p, host.ErrNotExist)
}

func (l *liveHost) Service(ctx context.Context, name string) (host.Service, error) {
	if s, ok := l.services[strings.ToLower(name)]; ok {
		return s, nil
	}
	return host.Service{}, fmt.Errorf("service %s: %w", name, host.ErrNotExist)
}

func (l *liveHost) Ask(ctx context.Context, q host.Question) (host.Answer, error) {
	if a, ok := l.answers[q.Name]; ok {
		return host.Answer{JSON: json.RawMessage(a), Source: "live " + q.Name}, nil
	}
	return host.Answer{}, fmt.Errorf("ask %s: %w", q.Name, host.ErrNotRecorded)
}

func (l *liveHost) Close() error {
	if l.closed != nil {
		*l.closed = true
	}
	return nil
}

// run runs a command line on a machine.
func runLive(t *testing.T, h host.Reader, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, GOOS: "windows", Version: "test",
		Live: func(context.Context) (host.Reader, error) { return h, nil },
	}
	code = Run(t.Context(), env, args)
	return code, out.String(), errs.String()
}

// secrets are planted in the machine below: credentials, people, machines, numbers.
// None may be in its bundle, in any letter case or encoding.
var secrets = []string{
	// registry
	"Anker-Kette-41", "c2VlOndhc3Nlcg==", "Lsa-Geheim-88", "prx-sieben", "mole-drei.hafenamt.example", "svc-lotse", "frieda.kai", "Frieda Kai",
	"wsus-luv", "S-1-5-21-1203405607-2304506708-3405607809", "BBBBB-CCCCC-DDDDD-FFFFF-GGGGG", "10.83.12.7", "pac-lee", "KONTOR-PC-31",
	"multi-sz-host", "expand-kai", "tief-im-blob", "wow-kai", "hafenamt", "dhcp-kai",
	// services and answers
	"svc-winde", "08-00-5A-91-3C-7E", "10.83.12.99", "fd47:1122:3344::9", "Segel-Flaggen-5", "vpn-boje", "hinnerk", "proxy-antwort", "Tau=Werk90",
	// logs
	"Peil-Lot-62", "bG90c2U6Ym9qZTQy", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJsb3RzZSJ9.d2FzaGVy", "jette.sund", "fs-schuppen", "172.24.5.61", "gesa.deich", "backbord-01",
	"Wanten+Stag7", "VVVVV-WWWWW-XXXXX-YYYYY-22222", "S-1-5-21-999888777-666555444-333222111", "klaas.priel", "aW5zZWwta2V5LTAwNw", "wide-host-8", "Nebelhorn-3",
	// event log, outputs, notes, paths
	"evt-server", "maike.hallig", "Evt-Pass-19", "arne.bake", "Schlick-Watt-77", "AKIAZ3QWERTYUIOP7XYZ", "ghp_Zq8wE3rT6yU1iO4pA7sD2fG5hJ9kL0xCvBnM", "412918-225106-553179-661418-092345-771100-284669-413820",
	"ping-ziel", "5C-26-0A-44-81-D3", "PF9WXYZ1", "tomke.siel", "xoxb-918273645-ZyXwVuTsRqPoNmLkJi",
}

// plantedHost is a machine whose every part holds secrets.
func plantedHost(t *testing.T) *liveHost {
	t.Helper()
	wide := func(s string) []byte { return []byte(hosttest.UTF16(s)) }
	sz := func(name, text string) winlog.RegValue {
		return winlog.RegValue{Name: name, Type: winlog.RegSZ, Data: wide(text + "\x00")}
	}
	const (
		windows  = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
		internet = `Software\Microsoft\Windows\CurrentVersion\Internet Settings`
		policy   = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`
		tcpip    = `HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`
	)
	blob := winlog.ProxyBlob{Mark: winlog.MarkWinHTTP, Flags: winlog.ProxyFlagDirect | winlog.ProxyFlagStatic, Proxy: "tief-im-blob.hafenamt.example:8080", Bypass: "<local>;*.hafenamt.example"}.Encode()
	l := &liveHost{
		keys: map[string][]winlog.RegValue{
			`HKCU\` + internet: {
				{Name: "ProxyEnable", Type: winlog.RegDWord, Data: []byte{1, 0, 0, 0}},
				sz("ProxyServer", "http://svc-lotse:Anker-Kette-41@prx-sieben.hafenamt.example:3128"), sz("AutoConfigURL", "http://pac-lee.hafenamt.example/wpad.dat"),
				sz("ProxyOverride", "mole-drei.hafenamt.example;10.83.12.7"),
				{Name: "ProxyPassword", Type: winlog.RegBinary, Data: []byte("Lsa-Geheim-88")},
				sz("Authorization", "Basic c2VlOndhc3Nlcg=="),
			},
			`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Internet Settings\Connections`:             {{Name: "WinHttpSettings", Type: winlog.RegBinary, Data: blob}},
			`HKLM\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Internet Settings\Connections`: {{Name: "WinHttpSettings", Type: winlog.RegBinary, Data: winlog.ProxyBlob{Mark: winlog.MarkWinHTTP, Flags: winlog.ProxyFlagDirect | winlog.ProxyFlagStatic, Proxy: "wow-kai.hafenamt.example:1"}.Encode()}},
			policy:         {sz("WUServer", "http://wsus-luv.hafenamt.example:8530"), sz("WUStatusServer", "http://wsus-luv.hafenamt.example:8530")},
			policy + `\AU`: {{Name: "UseWUServer", Type: winlog.RegDWord, Data: []byte{1, 0, 0, 0}}},
			windows:        {sz("RegisteredOwner", "Frieda Kai"), sz("ProductKey", "BBBBB-CCCCC-DDDDD-FFFFF-GGGGG"), sz("CurrentBuildNumber", "22631")},
			windows + `\ProfileList`: {
				{Name: "ProfileImagePath", Type: winlog.RegExpandSZ, Data: wide(`C:\Users\frieda.kai` + "\x00")},
			},
			tcpip: {
				sz("Hostname", "KONTOR-PC-31"), sz("Domain", "hafenamt.example"), sz("SearchList", "hafenamt.example,dhcp-kai.hafenamt.example"),
				{Name: "Hosts", Type: winlog.RegMultiSZ, Data: wide("multi-sz-host.hafenamt.example\x00other.hafenamt.example\x00\x00")},
				{Name: "DataBasePath", Type: winlog.RegExpandSZ, Data: wide(`\\expand-kai\etc` + "\x00")},
			},
		},
		subkeys: map[string][]string{windows + `\ProfileList`: {"S-1-5-18", "S-1-5-21-1203405607-2304506708-3405607809-1001"}, policy: {"AU"}},
		services: map[string]host.Service{
			"wuauserv": {Name: "wuauserv", State: 1, Start: 3, Account: "LocalSystem", Binary: `C:\Windows\system32\svchost.exe -k netsvcs -p`, Source: "SCM"},
			"bits":     {Name: "BITS", State: 1, Start: 4, Account: `HAFENAMT\svc-winde`, Binary: `C:\Windows\system32\svchost.exe -k netsvcs`, Source: "SCM"},
		},
		answers: map[string]string{
			host.AskCaller:   `{"account":"S-1-5-21-1203405607-2304506708-3405607809-1001","elevated":false,"system":false,"at":"2031-02-03T04:05:06Z"}`,
			host.AskAdapters: `{"host":"KONTOR-PC-31","domain":"hafenamt.example","adapters":[{"id":"{11111111-2222-3333-4444-555555555555}","name":"Ethernet","description":"Fabrikam","index":7,"type":6,"up":true,"mtu":1500,"mac":"08-00-5A-91-3C-7E","dhcp":true,"addresses":["10.83.12.99/24","fd47:1122:3344::9/64"],"gateways":["10.83.12.7"],"dns":["10.83.12.7"]},{"id":"{11111111-2222-3333-4444-666666666666}","name":"vpn-boje.hafenamt.example","description":"TAP","index":8,"type":53,"up":true,"mtu":1400,"dhcp":false}]}`,
			host.AskProxy:    `{"static":"http://hinnerk:Segel-Flaggen-5@proxy-antwort.hafenamt.example:8080","user":"hinnerk","note":"it said password: Tau=Werk90\r\nend"}`,
		},
		denied: []string{`HKLM\SYSTEM\Setup`},
	}
	var events bytes.Buffer
	if err := evtxtest.Write(&events, []evtxtest.Event{
		{Provider: "Microsoft-Windows-WindowsUpdateClient", Channel: "System", ID: 25, Level: 2, Time: time.Date(2031, 2, 3, 4, 5, 7, 0, time.UTC), Computer: "KONTOR-PC-31.hafenamt.example", User: "S-1-5-21-1203405607-2304506708-3405607809-1001", Data: []evtxtest.Field{{Name: "errorCode", Value: evtxtest.Hex32(0x8024401B)}, {Name: "serverUrl", Value: "http://evt-server.hafenamt.example:8530"}}},
		{Provider: "Fabrikam", Channel: "Application", ID: 7, Level: 2, Time: time.Date(2031, 2, 3, 4, 5, 8, 0, time.UTC), Data: []evtxtest.Field{{Name: "TargetUserName", Value: "maike.hallig"}, {Name: "Password", Value: "Evt-Pass-19"}, {Name: "text", Value: "C:\\Users\\arne.bake\\x.log\r\nPassword: Schlick-Watt-77"}}},
	}); err != nil {
		t.Fatal(err)
	}
	wu := `2031/02/03 08:04:01.0000000 6104  7340  WebServices     Proxy List: 'http://jette.sund:Peil-Lot-62@prx-sieben.hafenamt.example:3128', Bypass List: '*.hafenamt.example'` + "\r\n" +
		`2031/02/03 08:04:02.0000000 6104  7340  WebServices     *FAILED* [8024401B] sent Proxy-Authorization: Basic bG90c2U6Ym9qZTQy` + "\r\n" +
		`2031/02/03 08:04:03.4485217 6104  7340  ProtocolTalker  *FAILED* [8024401B] SyncUpdates failure, error = 0x8024401B, soap client error = 10, soap error code = 0, HTTP status code = 407` + "\r\n" +
		`2031/02/03 08:04:03.4495217 6104  7340  Agent           Caller SID for Applicability: S-1-5-21-999888777-666555444-333222111-1107` + "\r\n" +
		`2031/02/03 08:04:03.4505217 6104  7340  DownloadManager job http://tlu.dl.delivery.mp.microsoft.com/filestreamingservice/files/0b5c?P1=1710000000&P4=aW5zZWwta2V5LTAwNw%3d` + "\r\n" +
		`2031/02/03 08:04:03.4522324 6104  7340  Agent           * END * Finding updates CallerId = MoUpdateOrchestrator, Id = 11, Exit code = 0x8024401B (cV = w3QpKf0sUEqh1Yzb.1.0.0.1)` + "\r\n"
	files := map[string]string{
		"C/Windows/Logs/WindowsUpdate.log": wu,
		"C/Windows/Logs/CBS/CBS.log": `2031-02-03 08:10:01, Error                 CBS    Failed to open C:\Users\gesa.deich\AppData\Local\Temp\update.mum [HRESULT = 0x80070003 - ERROR_PATH_NOT_FOUND]` + "\r\n" +
			`2031-02-03 08:10:02, Error                 CBS    Failed to find source \\fs-schuppen\quelle$\sxs [HRESULT = 0x800f081f - CBS_E_SOURCE_MISSING]` + "\r\n",
		"C/Windows/Panther/setupact.log": `2031-02-03 09:00:00, Info                  MOUPG  SetupManager: Command line = setup.exe /auto upgrade /pkey VVVVV-WWWWW-XXXXX-YYYYY-22222` + "\r\n" +
			`2031-02-03 09:00:01, Error                 MOUPG  Domain join of HAFENAMT\klaas.priel with password=Wanten+Stag7 failed, Result = 0x80070056` + "\r\n",
		"C/Windows/CCM/Logs/WUAHandler.log":          `<![LOG[OnSearchComplete - Failed to end search job with token Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJsb3RzZSJ9.d2FzaGVy. Error = 0x8024402c.]LOG]!><time="08:30:01.000-60" date="02-03-2031" component="WUAHandler" context="" type="3" thread="412" file="cwuahandler.cpp:3222">` + "\r\n",
		"C/Windows/Logs/DISM/dism.log":               "\xFF\xFE" + hosttest.UTF16(`2031-02-03 08:12:00, Error                 DISM   DISM Package Manager: PID=4112 TID=900 Failed: /Source:\\wide-host-8\quelle$ password=Nebelhorn-3 from 172.24.5.61 (hr:0x800f0906)`+"\r\n"),
		"C/Windows/System32/winevt/Logs/System.evtx": events.String(),
		"C/Users/tomke.siel/Desktop/notes.txt": "Error 0x8024401B since Monday.\r\nServer: backbord-01\r\nBitLocker key 412918-225106-553179-661418-092345-771100-284669-413820\r\n" +
			"AWS AKIAZ3QWERTYUIOP7XYZ and ghp_Zq8wE3rT6yU1iO4pA7sD2fG5hJ9kL0xCvBnM and xoxb-918273645-ZyXwVuTsRqPoNmLkJi\r\nSerial Number: PF9WXYZ1\r\n",
		"C/out/powershell.txt": "PS C:\\Users\\tomke.siel> Test-Connection -ComputerName ping-ziel ; 0x80072ee2\r\nadapter 5C-26-0A-44-81-D3\r\n",
	}
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644, ModTime: time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)}
	}
	var err error
	if l.Recorded, err = host.OpenFS(t.Context(), fsys); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Recorded.Close() })
	return l
}

// TestCollectLeaksNothing collects from a machine whose every part holds secrets.
func TestCollectLeaksNothing(t *testing.T) {
	if len(secrets) < 50 {
		t.Fatalf("%d secrets", len(secrets))
	}
	h := plantedHost(t)
	to := filepath.Join(t.TempDir(), "bundle.zip")
	code, stdout, stderr := runLive(t, h, "collect", "-o", to)
	if code != ExitHealthy || stderr != "" {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	all := unpacked(t, to)
	found := 0
	for _, secret := range secrets {
		for _, form := range forms(secret) {
			for name, content := range all {
				if i := bytes.Index(content, form); i >= 0 {
					found++
					t.Errorf("%s is in %s: %.120q", secret, name, content[max(0, i-50):])
				}
			}
		}
		_, note, _ := strings.Cut(stdout, "SHA-256")
		if strings.Contains(strings.ToLower(note), strings.ToLower(secret)) {
			t.Errorf("the covering note says %s", secret)
		}
	}
	t.Logf("%d secrets planted, %d found in %d members", len(secrets), found, len(all))

	// The planting itself holds: each is in what the machine answers.
	rec := &host.Record{Reader: h}
	facts.Collect(t.Context(), rec, facts.Options{})
	for _, q := range host.Questions() {
		_, _ = rec.Ask(t.Context(), q)
	}
	var raw bytes.Buffer
	if _, err := rec.Write(t.Context(), &raw, host.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(t.TempDir(), "plain.zip")
	if err := os.WriteFile(plain, raw.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	open := unpacked(t, plain)
	for _, secret := range secrets {
		if !slices.ContainsFunc(forms(secret), func(form []byte) bool {
			for _, content := range open {
				if bytes.Contains(content, form) {
					return true
				}
			}
			return false
		}) {
			t.Errorf("%s was not planted", secret)
		}
	}

	// What is redacted keeps its form: an address is an address, and the same one is
	// the same one.
	b, err := host.OpenRecorded(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var net host.Adapters
	var caller host.Caller
	for name, v := range map[string]any{host.AskAdapters: &net, host.AskCaller: &caller} {
		a, err := b.Ask(t.Context(), host.Question{Name: name})
		if err == nil {
			err = json.Unmarshal(a.JSON, v)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if a := net.Adapters; len(a) != 2 || len(a[0].Addresses) != 2 || a[0].Addresses[0].Bits() != 24 || a[0].Gateways[0] != a[0].DNS[0] || !a[0].Addresses[0].Contains(a[0].DNS[0]) ||
		a[0].ID != "{11111111-2222-3333-4444-555555555555}" || a[0].MAC == "" {
		t.Errorf("adapters %+v", a)
	}
	if caller.Elevated || caller.At.IsZero() || !strings.HasPrefix(caller.Account, "S-1-5-21-") {
		t.Errorf("caller %+v", caller)
	}
	profiles, err := b.Key(t.Context(), `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList`)
	if err != nil || len(profiles.Subkeys) != 2 || profiles.Subkeys[0] != "S-1-5-18" || profiles.Subkeys[1] != caller.Account {
		t.Errorf("profiles %q of %s, %v", profiles.Subkeys, caller.Account, err)
	}

	// The bundle leads to the diagnosis of the machine.
	live, fromBundle := diagnosisOf(t, h, "diagnose", "--no-network", "--format", "json"), diagnosisOf(t, h, "diagnose", "--from", to, "--format", "json")
	if live.Verdict != "problems" || live.Verdict != fromBundle.Verdict || len(live.Causes) != len(fromBundle.Causes) {
		t.Fatalf("%s %v, the bundle %s %v", live.Verdict, live.Causes, fromBundle.Verdict, fromBundle.Causes)
	}
	for i, c := range live.Causes {
		if b := fromBundle.Causes[i]; b.ID != c.ID || math.Abs(b.Probability-c.Probability) > 0.005 {
			t.Errorf("cause %d: %v, the bundle says %v", i, c, b)
		}
	}
	if !slices.Contains(fromBundle.Gaps, jsonGap{`HKLM\SYSTEM\Setup`}) {
		t.Errorf("the bundle forgets what was denied: %v", fromBundle.Gaps)
	}
	for _, want := range []string{"does not run as administrator", `HKLM\SYSTEM\Setup`, "This goes into the bundle", "Replaced: ", "How to send it", "updoc diagnose --from THIS.zip", "not read for want of rights: 1", "proxy-auth-required"} {
		if !strings.Contains(strings.Join(strings.Fields(stdout), " "), want) {
			t.Errorf("it does not say %q:\n%s", want, stdout)
		}
	}
}

type jsonDiagnosis struct {
	Verdict string
	Machine struct{ Source string }
	Causes  []struct {
		ID          string
		Probability float64
	}
	Gaps []jsonGap
}

type jsonGap struct{ Source string }

func diagnosisOf(t *testing.T, h host.Reader, args ...string) (d jsonDiagnosis) {
	t.Helper()
	_, stdout, stderr := runLive(t, h, args...)
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	return d
}

// unpacked returns the members of a zip in lower case, and their names.
func unpacked(t *testing.T, file string) map[string][]byte {
	t.Helper()
	zr, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer zr.Close()
	out := map[string][]byte{}
	var names strings.Builder
	for _, f := range zr.File {
		rc, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(rc)
		if err != nil {
			t.Fatal(f.Name, err)
		}
		rc.Close()
		names.WriteString(f.Name + f.Comment + "\n")
		// A .reg file breaks hex into lines.
		out[f.Name] = bytes.ToLower(b)
		if bytes.Contains(b, []byte("=hex")) {
			out[f.Name+" unbroken"] = bytes.ReplaceAll(bytes.ToLower(b), []byte("\\\r\n  "), nil)
		}
	}
	out["names of the members"] = []byte(strings.ToLower(names.String()))
	return out
}

// forms are the ways in which a secret may be written down.
func forms(secret string) [][]byte {
	low := strings.ToLower(secret)
	var out [][]byte
	for _, s := range []string{low, secret, strings.ToUpper(secret)} {
		for _, b := range [][]byte{[]byte(s), []byte(hosttest.UTF16(s))} {
			out = append(out, b, []byte(strings.ToLower(base64.StdEncoding.EncodeToString(b))))
			pairs := make([]string, len(b))
			for i, c := range b {
				pairs[i] = hex.EncodeToString([]byte{c})
			}
			out = append(out, []byte(strings.Join(pairs, ",")), []byte(strings.Join(pairs, "")))
		}
	}
	return out
}

// TestCollectKeepHosts: hosts stay, secrets do not.
func TestCollectKeepHosts(t *testing.T) {
	to := filepath.Join(t.TempDir(), "bundle.zip")
	if code, _, stderr := runLive(t, plantedHost(t), "collect", "--keep-hosts", "-o", to); code != ExitHealthy {
		t.Fatal(stderr)
	}
	all := unpacked(t, to)
	var joined []byte
	for _, b := range all {
		joined = append(joined, b...)
	}
	for _, kept := range []string{"wsus-luv.hafenamt.example", "prx-sieben.hafenamt.example", "10.83.12.7"} {
		if !bytes.Contains(joined, []byte(kept)) {
			t.Errorf("%s is gone", kept)
		}
	}
	for _, gone := range []string{"anker-kette-41", "peil-lot-62", "jette.sund", "gesa.deich", "1203405607"} {
		if bytes.Contains(joined, []byte(gone)) {
			t.Errorf("%s is there", gone)
		}
	}
	if !bytes.Contains(all["manifest.json"], []byte(`"hosts_kept": true`)) {
		t.Error("the manifest does not say that hosts were kept")
	}
}

// TestCollectEvents: the events of --format json are JSON lines, and tell all.
func TestCollectEvents(t *testing.T) {
	to := filepath.Join(t.TempDir(), "bundle.zip")
	closed := false
	h := plantedHost(t)
	h.closed = &closed
	code, stdout, stderr := runLive(t, h, "collect", "--format", "json", "-o", to)
	if code != ExitHealthy || stderr != "" || !closed {
		t.Fatal(code, stderr, closed)
	}
	var kinds []string
	for line := range strings.Lines(stdout) {
		var e struct {
			Kind     string
			Files    json.RawMessage
			Bytes    int64
			Manifest host.Manifest
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if kinds = append(kinds, e.Kind); e.Kind == "done" {
			info, err := os.Stat(to)
			if err != nil || info.Size() != e.Bytes {
				t.Errorf("%d bytes, told were %d; %v", info.Size(), e.Bytes, err)
			}
			if m := e.Manifest; m.Elevated == nil || *m.Elevated || m.Machine.OS != "Windows 11 Pro 23H2" || len(m.Denied) != 1 || m.Services != 2 {
				t.Errorf("manifest %+v", m)
			}
		}
	}
	if kinds = slices.Compact(kinds); kinds[0] != "preview" || kinds[len(kinds)-1] != "done" {
		t.Errorf("events %v", kinds)
	}
}

// TestCollectStopped holds that a collection that is broken off leaves nothing.
func TestCollectStopped(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 30 * time.Millisecond, 60 * time.Millisecond} {
		big := fstest.MapFS{}
		for i := range 4 {
			big[fmt.Sprintf("Windows/Logs/CBS/CBS%d.log", i)] = &fstest.MapFile{Data: bytes.Repeat([]byte("2031-02-03 04:05:06, Info                  CBS    nothing to see here\r\n"), 60_000)}
		}
		r, err := host.OpenFS(t.Context(), big)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), after, context.Canceled)
		var errs bytes.Buffer
		code := Run(ctx, Env{
			Stdout: io.Discard, Stderr: &errs, Getenv: func(string) string { return "" }, Live: func(context.Context) (host.Reader, error) { return &liveHost{Recorded: r}, nil },
		}, []string{"collect", "-o", filepath.Join(dir, "bundle.zip")})
		cancel()
		r.Close()
		left, _ := os.ReadDir(dir)
		whole := code == ExitHealthy && len(left) == 1
		if !whole && (code == ExitHealthy || len(left) > 0) {
			t.Errorf("after %v: exit code %d, left %v\n%s", after, code, left, errs.String())
		}
		if whole {
			os.Remove(filepath.Join(dir, "bundle.zip"))
		}
	}
}

// TestLiveIsNotHere: where no Windows is, what needs one says so.
// hanging is a Windows of which every part that can hang does: the service of the
// event log, whatever is asked, and the disk.
type hanging struct{ *liveHost }

func (h hanging) Files(ctx context.Context, pattern string) ([]host.File, error) {
	time.Sleep(20 * time.Second) // what winhost waits for the event log, whoever asks
	return h.liveHost.Files(ctx, pattern)
}

func (h hanging) Ask(ctx context.Context, q host.Question) (host.Answer, error) {
	<-ctx.Done()
	return host.Answer{}, ctx.Err()
}

func (h hanging) Open(ctx context.Context, f host.File) (io.ReadCloser, error) {
	r, err := h.liveHost.Open(ctx, f)
	return slowly{r}, err
}

type slowly struct{ io.ReadCloser }

func (s slowly) Read(b []byte) (int, error) {
	time.Sleep(time.Second)
	return s.ReadCloser.Read(b[:min(len(b), 64<<10)])
}

// TestCollectEndsInTime: however much of Windows hangs, the bundle is there within a
// minute, and says what is not in it.
func TestCollectEndsInTime(t *testing.T) {
	to := filepath.Join(t.TempDir(), "bundle.zip")
	synctest.Test(t, func(t *testing.T) {
		r, err := host.OpenFS(t.Context(), fstest.MapFS{
			"Windows/Logs/CBS/CBS.log":                    {Data: bytes.Repeat([]byte("2031-02-03 04:05:06, Info                  CBS    nothing to see here\r\n"), 8_000)},
			"Windows/Panther/setupact.log":                {Data: bytes.Repeat([]byte("2031-02-03 04:05:06, Info                  MOUPG  nothing to see here\r\n"), 50_000)},
			"Windows/SoftwareDistribution/x/setuperr.log": {Data: []byte("2031-02-03 04:05:06, Error                 MOUPG  Result = 0x80070002\r\n")},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		began := time.Now()
		code, out, errs := runLive(t, hanging{&liveHost{Recorded: r}}, "collect", "-o", to, "--format", "json")
		if took := time.Since(began); code != ExitHealthy || took > time.Minute {
			t.Errorf("exit code %d after %v\n%s\n%s", code, took, out, errs)
		}
		if !strings.Contains(out, `{"what":"agent","kind":"answer","why":"no answer in time"}`) || !strings.Contains(out, "setupact.log") {
			t.Errorf("what could not be asked is not named\n%s", out)
		}
	})
}

func TestLiveIsNotHere(t *testing.T) {
	for _, err := range []error{nil, errors.New("the registry is not there")} {
		env := Env{Stdout: io.Discard, Getenv: func(string) string { return "" }}
		want := ExitUsage
		if err != nil {
			env.Live, want = func(context.Context) (host.Reader, error) { return nil, err }, ExitUnknown
		}
		var errs bytes.Buffer
		env.Stderr = &errs
		for _, args := range [][]string{{"collect"}, {"diagnose"}} {
			errs.Reset()
			if code := Run(t.Context(), env, args); code != want || !strings.Contains(errs.String(), "updoc: hint: ") || !strings.Contains(errs.String(), "--from") {
				t.Errorf("%v: exit code %d\n%s", args, code, errs.String())
			}
		}
	}
}

// TestDiagnoseLiveWalks holds that this machine is read and its route walked,
// unless that was ruled out.
func TestDiagnoseLiveWalks(t *testing.T) {
	s, err := lab.Load("walk-wsus-refused")
	if err != nil {
		t.Fatal(err)
	}
	w, err := lab.Open(*s.World)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r, err := host.OpenFS(t.Context(), s.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, network := range []bool{true, false} {
		var out, errs bytes.Buffer
		env := Env{
			Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" },
			Live:    func(context.Context) (host.Reader, error) { return liveAlike{r}, nil },
			Network: route.Prober{Net: w, Roots: w.Trusted(), Microsoft: w.Roots(), Now: w.MachineNow},
		}
		args := []string{"diagnose"}
		if !network {
			args = append(args, "--no-network")
		}
		before := len(w.Log())
		code := Run(t.Context(), env, args)
		asked := len(w.Log()) > before
		if network && (code != ExitProblems || !asked || !strings.Contains(out.String(), s.Expect.First) || !strings.Contains(out.String(), "tcp")) {
			t.Errorf("exit code %d, asked %v\n%s\n%s", code, asked, out.String(), errs.String())
		}
		if !network && (asked || strings.Contains(out.String(), "tcp")) {
			t.Errorf("the network was used: exit code %d\n%s", code, out.String())
		}
	}
}

// liveAlike is recorded evidence that says it is live.
type liveAlike struct{ *host.Recorded }

func (liveAlike) Machine(context.Context) (host.Machine, error) {
	return host.Machine{Name: "KT-0007", Source: "live"}, nil
}
