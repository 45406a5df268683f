package report

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/redact"
	"updoc/internal/winlog"
	"updoc/internal/winlog/evtxtest"
)

// planted are made-up secrets of an invented shipping company, spread over the
// evidence below. None may be in a redacted report, in any letter case.
var planted = []string{
	// credentials
	"Hafen-Licht-41", "cHJ4OlNlZWhhZmVuNDI=", "bW9ld2VuZmVkZXJ3aW5kNTU", "Kran!Wippe8", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJrcmFuIn0.c2VlYmFlcg",
	"Lachs-Netz77", "Buhne-Watt-19", "Ufer-Wind-3", "Tide+Pegel66", "sealed-salt-884213",
	"Moewe#Anker12", "QX4TB-9WKM2-7HRVD-J3PCF-8YGNL", "482917-118206-553179-660418-092345-771100-284669-413820", "NRDKEY-7c1e55a90f", "Lotse/Boje-58", "Knoten-Schlag-27", "Pier-Nebel-83",
	"Dorsch=Netz78", "Scholle", "Ebbe-und-Flut",
	// keys that nothing but their shape betrays
	"AKIAQ7RMBLTWFRK3WXYZ", "ghp_K7mQ2xR9vT4wZ8bN3cL6pJ1sD5fG0hYaEuIo", "xoxb-204817331-aQ7rMbLtWfRk3WxYzPeGel", "glpat-WaTtEnMeErSaNd42kUtTeR",
	// people
	"prxdienst", "ottilie.graf", "Ottilie Graf", "svc-rollout", "svc-cmklient", "ewald.stint", "svc-bitsjob", "henrike.moor", "jasperk", "fiete.lund", "lars.huk", "jdoe",
	// machines and domains
	"prx-eins", "nordwerk", "wsus-kiel", "fs-lager3", "mp-cm01", "blob-proxy", "netsh-prx7", "WERFT-PC-204", "dc-nord1", "intranet-kai", "pac-mole", "sqlkontor", "Kai Sued Verwaltung",
	// numbers that name one machine
	"S-1-5-21-1111222233-3444555566-2788990011", "10.77.31.5", "192.168.177.23", "172.20.9.41", "fd12:3456:789a::17", "3C-52-82-AF-91-07",
	"00330-80417-39125-AA417", "6b1f9d02-7a55-4c1e-8e0f-aa9031c7d215", "10.77.31.9", "PF3NRDW7", "e2c4a8f0-51b7-4d3c-9a60-1f8b7d2e4c93",
}

// evidence is what the machine left, in every format that has a reader.
func evidence(t *testing.T) fstest.MapFS {
	t.Helper()
	files := map[string]string{
		"WindowsUpdate.log": strings.Join([]string{
			`2024/03/04 08:00:01.0000000 1204  3320  Agent           * START * Finding updates CallerId = UpdateOrchestrator  Id = 4`,
			`2024/03/04 08:00:02.0000000 1204  3320  WebServices     *FAILED* [80072EE7] Proxy List: 'http://prxdienst:Hafen-Licht-41@prx-eins.nordwerk.example:3128', Bypass List: '*.intra.nordwerk.example'`,
			`2024/03/04 08:00:03.0000000 1204  3320  WebServices     *FAILED* [8024401B] sent Proxy-Authorization: Basic cHJ4OlNlZWhhZmVuNDI=`,
			`2024/03/04 08:00:04.0000000 1204  3320  ProtocolTalker  *FAILED* [80244022] Server URL = http://wsus-kiel.nordwerk.example:8530/ClientWebService/client.asmx`,
			`2024/03/04 08:00:05.0000000 1204  3320  DownloadManager *FAILED* [80240034] job http://tlu.dl.delivery.mp.microsoft.com/filestreamingservice/files/0b5c?P1=1710000000&P4=bW9ld2VuZmVkZXJ3aW5kNTU%3d`,
			`2024/03/04 08:00:06.0000000 1204  3320  Agent           *FAILED* [80070005] Caller SID for Applicability: S-1-5-21-1111222233-3444555566-2788990011-1107`,
			`2024/03/04 08:00:07.0000000 1204  3320  Misc            *FAILED* [80072EFD] connect to 10.77.31.5:3128 from 192.168.177.23`,
			`2024/03/04 08:00:09.0000000 1204  3320  Agent           * END * Finding updates CallerId = UpdateOrchestrator, Id = 4, Exit code = 0x8024401B`,
		}, "\r\n"),
		"CBS.log": strings.Join([]string{
			`2024-03-04 08:10:00, Info                  CBS    Session: 31090000_1000000001 initialized by client WindowsUpdateAgent, external staging directory: (null)`,
			`2024-03-04 08:10:01, Error                 CBS    Failed to open C:\Users\ottilie.graf\AppData\Local\Temp\msu\update.mum [HRESULT = 0x80070003 - ERROR_PATH_NOT_FOUND]`,
			`2024-03-04 08:10:02, Error                 CBS    Failed to find source \\fs-lager3\quelle$\sxs [HRESULT = 0x800f081f - CBS_E_SOURCE_MISSING]`,
			`2024-03-04 08:10:03, Error                 CBS    Failed to resolve package on WERFT-PC-204 [HRESULT = 0x80073712 - ERROR_SXS_COMPONENT_STORE_CORRUPT]`,
		}, "\r\n"),
		"dism.log": `2024-03-04 08:12:00, Error                 DISM   DISM Package Manager: PID=4112 TID=900 Failed: /Source:\\fs-lager3\quelle$ as NORDWERK\jasperk - CDISMPackageManager::Internal_Finalize(hr:0x800f0906)` + "\r\n",
		"setupact.log": strings.Join([]string{
			`2024-03-04 09:00:00, Info                  MOUPG  SetupManager: Command line = setup.exe /auto upgrade /pkey QX4TB-9WKM2-7HRVD-J3PCF-8YGNL`,
			`2024-03-04 09:00:01, Error                 MOUPG  Domain join of NORDWERK\svc-rollout with password=Kran!Wippe8 failed, Result = 0x80070056`,
			`2024-03-04 09:00:02, Error                 SP     Operation failed: Install product key QX4TB-9WKM2-7HRVD-J3PCF-8YGNL. Error: 0xC1900101[gle=0x00000001]`,
		}, "\r\n"),
		"setupapi.dev.log": strings.Join([]string{
			`>>>  [Device Install (Hardware initiated) - PCI\VEN_8086&DEV_15B7\3&11583659&0&FE]`,
			`>>>  Section start 2024/03/04 08:20:00.000`,
			`     dvi: {Install} cmd: "C:\Users\fiete.lund\Downloads\driver\setup.exe" -password Knoten-Schlag-27`,
			`!!!  dvi: Error 0xe0000203: copying from \\fs-lager3\treiber failed for user NORDWERK\fiete.lund`,
			`<<<  Section end 2024/03/04 08:20:01.000`,
			`<<<  [Exit status: FAILURE(0xe0000203)]`,
		}, "\r\n"),
		"SetupDiagResults.xml": `<?xml version="1.0" encoding="utf-8"?><SetupDiag xmlns="https://docs.microsoft.com/windows/deployment/upgrade/setupdiag"><Version>1.6.2107.27002</Version><ProfileName>FindRollbackFailure</ProfileName><ProfileGuid>3A43C9B5-05B3-4F7C-A955-88F991BB5A48</ProfileGuid><SystemInfo><MachineName>WERFT-PC-204</MachineName><UserName>henrike.moor</UserName><RegisteredDomain>nordwerk.example</RegisteredDomain></SystemInfo><FailureData>Error: SetupDiag reports rollback failure found. 0xC1900101-0x30018 C:\Users\henrike.moor\x</FailureData></SetupDiag>`,
		"WUAHandler.log": strings.Join([]string{
			`<![LOG[Failed to set server http://mp-cm01.nordwerk.example:8530 for context NORDWERK\svc-cmklient. Error = 0x87d00692.]LOG]!><time="08:30:00.000-60" date="03-04-2024" component="WUAHandler" context="NORDWERK\svc-cmklient" type="3" thread="412" file="sourcemanager.cpp:1242">`,
			`<![LOG[OnSearchComplete - Failed to end search job with token Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJrcmFuIn0.c2VlYmFlcg. Error = 0x8024402c.]LOG]!><time="08:30:01.000-60" date="03-04-2024" component="WUAHandler" context="" type="3" thread="412" file="cwuahandler.cpp:3222">`,
		}, "\r\n"),
		"ReportingEvents.log": "{0F1E2D3C-4B5A-4697-8877-665544332211}\t2024-03-04 08:01:00:000+0100\t1\t148 [AGENT_DETECTION_FAILED]\t101\t{00000000-0000-0000-0000-000000000000}\t0\t80244018\tUpdateOrchestrator\tFailure\tSoftware Synchronization\tWindows Update Client failed to detect for user ewald.stint@nordwerk.example with error 0x80244018.\r\n",
		"policies.reg": "Windows Registry Editor Version 5.00\r\n\r\n" +
			"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate]\r\n\"WUServer\"=\"http://wsus-kiel.nordwerk.example:8530\"\r\n\"WUStatusServer\"=\"http://wsus-kiel.nordwerk.example:8530\"\r\n\"TargetGroup\"=\"Kai Sued Verwaltung\"\r\n\r\n" +
			"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate\\AU]\r\n\"UseWUServer\"=dword:00000001\r\n\r\n" +
			"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\\Connections]\r\n\"WinHttpSettings\"=" + regHex(winlog.ProxyBlob{Mark: winlog.MarkWinHTTP, Flags: winlog.ProxyFlagDirect | winlog.ProxyFlagStatic, Proxy: "blob-proxy.nordwerk.example:8080", Bypass: "<local>;*.intra.nordwerk.example"}.Encode()) + "\r\n\r\n" +
			"[HKEY_CURRENT_USER\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings]\r\n\"ProxyEnable\"=dword:00000001\r\n\"ProxyServer\"=\"prx-eins.nordwerk.example:3128\"\r\n\"AutoConfigURL\"=\"http://pac-mole.nordwerk.example/proxy.pac\"\r\n\r\n" +
			"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Winlogon]\r\n\"DefaultUserName\"=\"jasperk\"\r\n\"DefaultPassword\"=\"Tide+Pegel66\"\r\n",
		"netsh-winhttp-show-proxy.txt": "\r\nCurrent WinHTTP proxy settings:\r\n\r\n    Proxy Server(s) :  netsh-prx7:8080\r\n    Bypass List     :  *.intra.nordwerk.example;172.20.9.41\r\n",
		"ipconfig-all.txt": "\r\nWindows IP Configuration\r\n\r\n   Host Name . . . . . . . . . . . . : WERFT-PC-204\r\n   Primary Dns Suffix  . . . . . . . : nordwerk.example\r\n\r\nEthernet adapter Ethernet:\r\n\r\n" +
			"   Physical Address. . . . . . . . . : 3C-52-82-AF-91-07\r\n   DHCP Enabled. . . . . . . . . . . : Yes\r\n   IPv6 Address. . . . . . . . . . . : fd12:3456:789a::17(Preferred)\r\n   IPv4 Address. . . . . . . . . . . : 192.168.177.23(Preferred)\r\n   Subnet Mask . . . . . . . . . . . : 255.255.255.0\r\n   Default Gateway . . . . . . . . . : 10.77.31.5\r\n   DNS Servers . . . . . . . . . . . : 10.77.31.5\r\n",
		"systeminfo.txt": "\r\nHost Name:                     WERFT-PC-204\r\nOS Name:                       Microsoft Windows 11 Pro\r\nOS Version:                    10.0.22631 N/A Build 22631\r\nRegistered Owner:              Ottilie Graf\r\nRegistered Organization:       Nordwerk Reederei\r\nProduct ID:                    00330-80417-39125-AA417\r\nSystem Type:                   x64-based PC\r\nDomain:                        nordwerk.example\r\nLogon Server:                  \\\\DC-NORD1\r\nHotfix(s):                     1 Hotfix(s) Installed.\r\n                               [01]: KB5099901\r\n",
		"dsregcmd.txt":   "+----------------------------------------------------------------------+\r\n| Device State                                                         |\r\n+----------------------------------------------------------------------+\r\n\r\n             AzureAdJoined : NO\r\n              DomainJoined : YES\r\n                DomainName : NORDWERK\r\n               Device Name : WERFT-PC-204.nordwerk.example\r\n                  DeviceId : 6b1f9d02-7a55-4c1e-8e0f-aa9031c7d215\r\n                  TenantId : e2c4a8f0-51b7-4d3c-9a60-1f8b7d2e4c93\r\n",
		"sc-qc.txt":      "[SC] QueryServiceConfig SUCCESS\r\n\r\nSERVICE_NAME: bits\r\n        TYPE               : 20  WIN32_SHARE_PROCESS\r\n        START_TYPE         : 4   DISABLED\r\n        ERROR_CONTROL      : 1   NORMAL\r\n        BINARY_PATH_NAME   : C:\\Windows\\System32\\svchost.exe -k netsvcs -p\r\n        DISPLAY_NAME       : Background Intelligent Transfer Service\r\n        SERVICE_START_NAME : NORDWERK\\svc-bitsjob\r\n",
		"hosts":          "# Copyright (c) 1993-2009 Microsoft Corp.\r\n10.77.31.9 intranet-kai.nordwerk.example intranet-kai\r\n10.77.31.9 fe2.update.microsoft.com\r\n",
		"events.txt": "Log Name:      System\r\nSource:        Microsoft-Windows-WindowsUpdateClient\r\nDate:          3/4/2024 8:02:00 AM\r\nEvent ID:      20\r\nTask Category: Windows Update Agent\r\nLevel:         Error\r\nUser:          NORDWERK\\jasperk\r\nComputer:      WERFT-PC-204.nordwerk.example\r\nDescription:\r\n" +
			"Installation Failure: Windows failed to install the following update with error 0x80070643: 2024-02 Update for x64-based systems (KB5099903).\r\n",
		"notes.txt": "Update on WERFT-PC-204 fails with 0x80072f8f since Monday, ottilie.graf@nordwerk.example asked me.\r\n" +
			"My password is Lachs-Netz77 and it stops with 0x800705b4.\r\n" +
			"The other password is Dorsch=Netz78 and gives 0x80240017.\r\n" +
			"my password is = Scholle, then 0x8024000e came for user jdoe\r\n" +
			"Password: Ebbe-und-Flut error 0x80246008\r\n" +
			"Erst kam 0x80246007 bei Kennwort: Buhne-Watt-19\r\n" +
			"BitLocker key 482917-118206-553179-660418-092345-771100-284669-413820 after 0x80070bc9\r\n" +
			"It says 0x80072ee2 on the WLAN, Key Content : Ufer-Wind-3\r\n" +
			"It says 0x800f0922 on the laptop with Serial Number: PF3NRDW7\r\n" +
			"It says 0x80096004 for Registered Owner: Ottilie Graf\r\n",
		"powershell-output.txt": "PS C:\\Users\\henrike.moor> Get-WindowsUpdate -ComputerName sqlkontor -Password Moewe#Anker12 ; 0x80246008\r\n" +
			"Get-WindowsUpdate : Exception from HRESULT: 0x80240024 for NORDWERK\\henrike.moor\r\n" +
			"fatal: api_key=NRDKEY-7c1e55a90f rejected with 0x80240438\r\n" +
			"AWS AKIAQ7RMBLTWFRK3WXYZ gave 0x80190193\r\n" +
			"bot xoxb-204817331-aQ7rMbLtWfRk3WxYzPeGel and glpat-WaTtEnMeErSaNd42kUtTeR gave 0x80190190\r\n" +
			"token ghp_K7mQ2xR9vT4wZ8bN3cL6pJ1sD5fG0hYaEuIo gave 0x80190194\r\n" +
			"ConvertTo-SecureString \"sealed-salt-884213\" -AsPlainText -Force : 0x80070057\r\n" +
			"net use Z: \\\\fs-lager3\\quelle Lotse/Boje-58 /user:NORDWERK\\jasperk failed with 0x80070035\r\n" +
			"C:\\> setup.exe /quiet -password Knoten-Schlag-27 returned 0x80070643 for C:\\Users\\fiete.lund\\setup.log\r\n" +
			"bitsadmin /setcredentials job PROXY BASIC lars.huk Pier-Nebel-83 : 0x80200014\r\n" +
			"winrm: http://mp-cm01.nordwerk.example:5985 refused svc account NORDWERK\\svc-cmklient with 0x80338126\r\n" +
			"ping 10.77.31.9 from adapter 3C-52-82-AF-91-07 at fd12:3456:789a::17 ended with 0x80072f78\r\n",
	}
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return fsys
}

// withEventLog adds a binary event log, which is redacted in the report alone.
func withEventLog(t *testing.T, fsys fstest.MapFS) fstest.MapFS {
	t.Helper()
	var b bytes.Buffer
	err := evtxtest.Write(&b, []evtxtest.Event{{
		Provider: "Microsoft-Windows-WindowsUpdateClient", Channel: "System", ID: 20, Level: 2, Time: at("2024-03-04 08:03:00"),
		Computer: "WERFT-PC-204.nordwerk.example", User: "S-1-5-21-1111222233-3444555566-2788990011-1107",
		Data: []evtxtest.Field{
			{Name: "errorCode", Value: evtxtest.Hex32(0x800F0988)},
			{Name: "updateTitle", Value: `2024-03 Update (KB5099904) from http://prxdienst:Hafen-Licht-41@wsus-kiel.nordwerk.example:8530/ for C:\Users\ottilie.graf\x`},
			{Name: "updateGuid", Value: evtxtest.GUID("{11223344-5566-4788-99AA-BBCCDDEEFF00}")},
			{Name: "updateRevisionNumber", Value: uint32(200)},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	out := fstest.MapFS{"System.evtx": {Data: b.Bytes(), Mode: 0o644}}
	for k, v := range fsys {
		out[k] = v
	}
	return out
}

// regHex writes bytes as regedit does.
func regHex(b []byte) string {
	parts := make([]string, len(b))
	for i, c := range b {
		parts[i] = hex.EncodeToString([]byte{c})
	}
	return "hex:" + strings.Join(parts, ",")
}

func diagnose(t *testing.T, fsys fs.FS) (*facts.Facts, cause.Diagnosis) {
	t.Helper()
	h, err := host.OpenFS(context.Background(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	f := facts.Collect(context.Background(), h, facts.Options{})
	return f, cause.Diagnose(f)
}

// leaks returns the planted secrets that a text holds.
func leaks(text string) []string {
	var out []string
	text = strings.ToLower(text)
	for _, s := range planted {
		if strings.Contains(text, strings.ToLower(s)) {
			out = append(out, s)
		}
	}
	return out
}

// around shows where a text holds a secret.
func around(text, secret string) string {
	i := strings.Index(strings.ToLower(text), strings.ToLower(secret))
	return text[max(0, i-100):min(len(text), i+len(secret)+40)]
}

// TestPlantedSecrets holds that no planted secret is in a redacted report of any
// format, and that most of them are in the report that was not redacted, so that
// the test would notice.
func TestPlantedSecrets(t *testing.T) {
	if len(planted) < 50 {
		t.Fatalf("%d secrets", len(planted))
	}
	f, d := diagnose(t, withEventLog(t, evidence(t)))
	list := func(opt Options) []Named {
		return []Named{{Name: "/home/jasperk/WERFT-PC-204", Document: New(f, d, opt)}, {Name: "/home/jasperk/b", Err: fmt.Errorf("open /home/jasperk/b: %w", fs.ErrNotExist)}}
	}
	for _, format := range allFormats {
		t.Run(format, func(t *testing.T) {
			text := render(t, list(Options{Redact: true, WhyNot: true}), format)
			for _, s := range leaks(text) {
				t.Errorf("%s is in the report: …%s…", s, around(text, s))
			}
		})
	}
	shown := leaks(render(t, list(Options{WhyNot: true}), "json"))
	if len(shown) < 40 {
		var hidden []string
		for _, s := range planted {
			if !slices.Contains(shown, s) {
				hidden = append(hidden, s)
			}
		}
		t.Errorf("only %d of %d secrets are quoted when nothing is redacted; never quoted: %q", len(shown), len(planted), hidden)
	}
}

// TestRedactedEvidence holds that evidence which was redacted file by file holds no
// planted secret and leads to the same diagnosis.
func TestRedactedEvidence(t *testing.T) {
	original := evidence(t)
	before, after, redacted := twice(t, original)
	for name, file := range redacted {
		text := string(file.Data)
		if strings.HasSuffix(name, ".reg") {
			text += decodedHex(text)
		}
		for _, s := range leaks(text) {
			t.Errorf("%s: %s is left: …%s…", name, s, around(text, s))
		}
	}
	if diff := cmp.Diff(ranking(before), ranking(after)); diff != "" {
		t.Errorf("the diagnosis of the redacted evidence differs (-original +redacted):\n%s", diff)
	}
	if before.Outcome != cause.Problems {
		t.Errorf("outcome %s", before.Outcome)
	}
}

// TestRedactedScenarios holds that redaction takes nothing from the evidence of any
// simulated machine that its diagnosis needs.
func TestRedactedScenarios(t *testing.T) {
	for _, name := range lab.Names() {
		s, err := lab.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		before, after, _ := twice(t, s.Evidence)
		if diff := cmp.Diff(ranking(before), ranking(after)); diff != "" {
			t.Errorf("%s: the diagnosis of the redacted evidence differs (-original +redacted):\n%s", name, diff)
		}
	}
}

// twice diagnoses evidence as it is and redacted file by file.
func twice(t *testing.T, original fs.FS) (before, after cause.Diagnosis, redacted fstest.MapFS) {
	t.Helper()
	f, before := diagnose(t, original)
	r := &redact.Redactor{}
	r.Learn(redact.Computer, f.Machine.Name)
	redacted = fstest.MapFS{}
	err := fs.WalkDir(original, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		file, err := original.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		b, err := io.ReadAll(r.Reader(file))
		redacted[name] = &fstest.MapFile{Data: b, Mode: 0o644}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, after = diagnose(t, redacted)
	return before, after, redacted
}

// ranking is a diagnosis as a list to compare.
func ranking(d cause.Diagnosis) []string {
	out := []string{string(d.Outcome)}
	for _, x := range d.Findings {
		out = append(out, fmt.Sprintf("%-32s %.6f %v", x.ID, x.Probability, x.Root))
	}
	return out
}

// decodedHex is the text in the binary values of a registry export, in both of the
// widths that Windows uses.
func decodedHex(text string) string {
	var out strings.Builder
	for _, v := range strings.Split(text, "hex:")[1:] {
		v, _, _ = strings.Cut(v, "\r\n\r\n")
		b, _ := hex.DecodeString(strings.NewReplacer(",", "", "\\", "", "\r", "", "\n", "", " ", "").Replace(v))
		out.Write(b)
		for i := 0; i+1 < len(b); i += 2 {
			out.WriteRune(rune(binary.LittleEndian.Uint16(b[i:])))
		}
	}
	return out.String()
}
