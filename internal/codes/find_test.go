package codes

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Every text here is invented; the forms are those of real logs and posts.
func TestFind(t *testing.T) {
	for _, test := range []struct {
		text string
		want string // codes with blanks between; each as Code.String gives it
	}{
		// WindowsUpdate.log, both formats.
		{"2031-02-03\t04:05:06:789\t 712\t1a2b\tPT\tWARNING: SyncUpdates failure, error = 0x8024401B, soap client error = 10, soap error code = 0, HTTP status code = 407", "0x8024401B 0x8024401B"},
		{"2031/02/03 04:05:06.1234567 4321  8765  ProtocolTalker  *FAILED* [8024401B] SyncUpdates failure", "0x8024401B"},
		{"2031/02/03 04:05:06.1234567 4321  8765  Agent  * END * Finding updates CallerId = UpdateOrchestrator, Id = 7, Exit code = 0x80240022 (cV = aB3.1)", "0x80240022"},
		{"2031/02/03 04:05:06.1234567 4321  8765  Shared  * END * Service exit Exit code = 0x240001", "0x00240001"},
		{"2031-02-03\t04:05:06:789\t 712\t1a2b\tMisc\tWARNING: SendRequest failed with hr = 80072eef. Proxy List used: <(null)>", "0x80072EEF"},
		{"WARNING: DownloadFileInternal failed for http://wsus.fabrikam.example/x.cab: error 0x80190194", "0x80190194"},
		{"*FAILED* [80248ABC] not in any table", "0x80248ABC"},
		{"MapToSusHResult mapped Nws error 0x803d0006 to 0x8024401c", "0x803D0006 0x8024401C"},
		{`"ErrorCode":-2145123272,"RecoveryAction":5,"StatusCode":-2143485946`, "0x80240438 0x803D0006"},

		// CBS.log, dism.log, setup logs.
		{"2031-02-03 04:05:06, Error                 CBS    Failed to resolve package [HRESULT = 0x800f081f - CBS_E_SOURCE_MISSING]", "0x800F081F"},
		{"2031-02-03 04:05:06, Info                  CBS    Startup: Processing complete. [HRESULT = 0x80070bc2 - ERROR_SUCCESS_REBOOT_REQUIRED]", "0x80070BC2"},
		{"2031-02-03 04:05:06, Error                 CSI    0000002a (F) c0000034 [Error,Facility=(system),Code=52 (0x0034)] #12# from X", "0xC0000034"},
		{"2031-02-03 04:05:06, Error                 CSI    0000002b (F) STATUS_OBJECT_PATH_NOT_FOUND #13# from X", "0xC000003A"},
		{"DISM   DISM Package Manager: PID=1234 TID=5678 Failed. - CDISMPackageManager::Internal_Finalize(hr:0x800f0831)", "0x800F0831"},
		{"2031-02-03 04:05:06, Error                 MOUPG  CSetupHost::Execute(433): Result = 0xC1900101, Extend = 0x40017", "0xC1900101-0x40017"},
		{"SetupHost: Reporting error event -> [0xC1900101, 0x20017]", "0xC1900101-0x20017"},
		{"Completion status: HRESULT_FROM_WIN32(ERROR_ADVANCED_INSTALLER_FAILED)", "0x80073713"},
		{"Hydration failed with error NTSTATUS_FROM_WIN32(ERROR_INVALID_DATA) .", "0x8007000D"},
		{"Failed to add driver. Error: 0xD0000034[gle=0x00000002]", "0xD0000034"},
		{"<<<  [Exit status: FAILURE(0xe0000219)]", ""},
		{`winget: 0x8a15005e : The server certificate did not match any of the expected values.`, "0x8A15005E"},
		{"<<<  [Exit status: FAILURE(0x800f0203)]", "0x800F0203"},

		// ReportingEvents.log, event logs, ConfigMgr, ESENT, MSI.
		{"{11111111-2222-3333-4444-555555555555}\t2031-02-03 04:05:06:789+0100\t1\t148 [AGENT_DETECTION_FAILED]\t101\t{00000000-0000-0000-0000-000000000000}\t0\t8024401b\tUpdateOrchestrator\tFailure", "0x8024401B"},
		{`<Data Name="errorCode">0x8024401b</Data>`, "0x8024401B"},
		{`<Data Name="errorCode">2149859355</Data>`, "0x8024401B"},
		{`<Data Name="hr">2149859355</Data>`, "0x8024401B"},
		{`<![LOG[Failed to get targeted update, error = 0x87d00215.]LOG]!><time="04:05:06.789+060" date="02-03-2031" component="X">`, "0x87D00215"},
		{"wuaueng.dll (712) SUS20ClientDataStore: Database recovery failed with unexpected error -550.", "0xC8000226"},
		{"wuaueng.dll (712) SUS20ClientDataStore: An attempt to open the file failed with system error 32 (0x00000020). The operation will fail with error -1032 (0xfffffbf8).", "0x80070020 0xC8000408"},
		{"Product: Fabrikam Tool -- Error 1603. The installer returned exit code 1603.", "0x80070643 0x80070643"},
		{"MainEngineThread is returning 1618", ""},
		{"Update finished. MSI exit code 1618.", "0x80070652"},
		{"wusa.exe ended, exit code 2359302", "0x00240006"},
		{"Setup ended with return code 3010", "0x80070BC2"},
		{"DISM exit code 87", "0x80070057"},
		{"ExitCode=1641", "0x80070669"},

		// What people write.
		{"Since Tuesday I get error 0x80070643 when KB5000001 installs.", "0x80070643"},
		{"Windows update error code: 80244019", "0x80244019"},
		{"Fehlercode: 0x80070002, bitte um Hilfe", "0x80070002"},
		{"Fehler 80070422", "0x80070422"},
		{"erreur 12029 pendant la recherche", "0x80072EFD"},
		{"it says (80072EFE)", "0x80072EFE"},
		{"Unknown error «80070490» for state 5", "0x80070490"},
		{"netsh gave: System error 5 has occurred.", "0x80070005"},
		{"net start wuauserv -> error 1058", "0x80070422"},
		{"WinHttp: error 12007", "0x80072EE7"},
		{"err=12175", "0x80072F8F"},
		{"The remote server returned an error: (407) Proxy Authentication Required.", "0x8024401B"},
		{"HTTP/1.1 407 Proxy Authentication Required", "0x8024401B"},
		{"curl says HTTP/2 403 \r\n", "0x80244018"},
		{"HTTP status 502 from the gateway", "0x80244021"},
		{"HTTP 503", "0x80244022"},
		{"404 Not Found", "0x80244019"},
		{"We couldn't install Windows 11. 0xC1900101 - 0x20017 The installation failed in the SAFE_OS phase", "0xC1900101-0x20017"},
		{"0xC1900101–0x30018", "0xC1900101-0x30018"},
		{"C1900101-40017", "0xC1900101-0x40017"},
		{"0x8007001F - 0x3000D", "0x8007001F-0x3000D"},
		{"hresult -2145107941 from the script", "0x8024401B"},
		{"HResult: −2145124329", "0x80240017"},
		{"WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQ (0x8024401B)", "0x8024401B"},
		{"got wu_e_no_connection again", "0x8024001F"},
		{"connect: WSAETIMEDOUT", "0x8007274C"},
		{"first 0x80240022, then 0x8024401B;0x80072EE2", "0x80240022 0x8024401B 0x80072EE2"},
		{"8024401Bh", "0x8024401B"},
		{"https://forum.example.com/windows-update-error-80244019", "0x80244019"},
		{"0xFFFFFFFF80070005", "0x80070005"},
		{"hr=0x9ABCDEF0, err=0x8ABCDEF0", "0x8ABCDEF0"},

		// Not codes: addresses and dumps.
		{"ntdll.dll+0x80240022", ""},
		{"Exception at address 0x80541234 (base address 0x80070000)", ""},
		{"mov eax, 0x8054a1b2", ""},
		{"fffff802`80070005 fffff802`80070006", ""},
		{"80070000: 4d 5a 90 00 03 00 00 00", ""},
		{"80070002 00000000 80070003 80070005", ""},
		{"HKEY_LOCAL_MACHINE = 0x80000002, GENERIC_READ = 0x80000000", ""},
		{"handle 0x80070006 closed", ""},
		// GUIDs and hashes.
		{"{80244019-1234-5678-9abc-def012345678}", ""},
		{"80070005-1111-2222-3333-444444444444", ""},
		{"11111111-2222-3333-8007-800700058007", ""},
		{"sha1 80070005d41d8cd98f00b204e9800998ecf8427e", ""},
		{"Content\\80\\80070005.cab and /files/80070643/x", ""},
		{"SoftwareDistribution\\Download\\80070643", ""},
		// KBs, versions, packages, numbers, dates.
		{"KB5034441 KB80070643 kb 8007064", ""},
		{"10.0.22631.3007 and 1.80240022.3 and 80240022.1", ""},
		{"Package_for_RollupFix~31bf3856ad364e35~amd64~~22621.3007.1.10", ""},
		{"amd64_microsoft-windows-servicingstack_31bf3856ad364e35_10.0.22621.3007_none_80070005", ""},
		{"2031-02-03 04:05:06.407, 407 files, 12007 rows, 1618 times", ""},
		{"80240022 bytes copied, 80070005 KB free", ""},
		{"port 12007 on 192.0.2.1:407, tel. 2149859355-17", ""},
		{"phone 0049 2149859300, order 8024402", ""},
		{"error: 2 files were skipped", ""},
		{"Error 5 of 7", ""},
		{"12:40:7 error 12:30", ""},
		{"HTTP 200, HTTP status 304, HTTP/1.1 206 Partial Content", ""},
		{"Exit code = 0x00000000, exit code 0, exit code 1, exit code 2", ""},
		{"cafebabe deadbeef 0xdeadbeef 0xCAFEBABE", ""},
		{"0x80", ""},
		{"0x8024401", ""},
		{"0x8024401B0", ""},
		{"x8024401B", ""},
		{"error_handler PROCESSOR_ARCHITECTURE _WU_E_ WU_E_", ""},
		{"epoch 1767225600, ms 1767225600123", ""},
		{"range 5-12007, -407, 100%-407", ""},
		{"", ""},
		{"0x", ""},
		{"-", ""},
	} {
		var got []string
		for _, m := range Find(test.text) {
			got = append(got, m.String())
			checkMatch(t, test.text, m)
		}
		if want := strings.Fields(test.want); !slices.Equal(got, want) {
			t.Errorf("Find(%q)\n got %v\nwant %v", test.text, got, want)
		}
	}
}

func checkMatch(t *testing.T, text string, m Match) {
	t.Helper()
	if m.Start < 0 || m.Start >= m.End || m.End > len(text) || m.Given != text[m.Start:m.End] || m.Form == 0 {
		t.Errorf("Find(%q): match %+v", text, m)
	}
}

func TestFindOffsets(t *testing.T) {
	const text = "a 0xC1900101 - 0x20017 b −2145107941, -2145107941. [8024401B] (F) c0000034 [Error,Facility=(system)] HTTP 407; error -1032"
	want := []string{"0xC1900101 - 0x20017", "−2145107941", "8024401B", "c0000034", "407", "-1032"}
	var got []string
	for _, m := range Find(text) {
		checkMatch(t, text, m)
		got = append(got, m.Given)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFindForms(t *testing.T) {
	const text = "0x8024401B; hr=2149859355. -2145107924 / WU_E_NO_SERVICE, HTTP 404; error 12007; exit code 1618! 0xC0000034? error -550, 0xC1900101-0x20017"
	want := []Form{FormHex, FormDecimal, FormSigned, FormSymbol, FormHTTPStatus, FormWinHTTP, FormWin32, FormNTSTATUS, FormJET, FormPair}
	var got []Form
	for _, m := range Find(text) {
		got = append(got, m.Form)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFindBounds(t *testing.T) {
	if n := len(Find(strings.Repeat("0x80070005 and ", MaxMatches+100))); n != MaxMatches {
		t.Errorf("%d matches, want %d", n, MaxMatches)
	}
	// Hostile texts of a megabyte: no quadratic time.
	for _, unit := range []string{
		"0x80070005", "80070005-", "- ", "error ", "error=", "a_", "_", "0", "8", "error 5 ", "(407", "0xC1900101 - ", "-1032 ",
		"8007000h ", "E_", "HTTP/1.1 ", " = = = = 5", "\xe2\x88\x92", "0x80070005, extend ", "code code code ",
	} {
		text := strings.Repeat(unit, 1<<20/len(unit))
		start := time.Now()
		Find(text)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%q: %v for a megabyte", unit, d)
		}
	}
}

func FuzzFind(f *testing.F) {
	for _, s := range []string{
		"0xC1900101 - 0x20017", "[8024401B]", "error −2145107941", "HTTP/1.1 407 Proxy Authentication Required", "WU_E_NO_SERVICE (0x80240001)",
		"(F) c0000034 [Error,Facility=(system)]", "error -1032 (0xfffffbf8)", "exit code 2359302", "\xe2\x88\x92", "0x80070005\xe2\x80", "C1900101-", "code -", "HTTP/1.",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		last := 0
		for _, m := range Find(text) {
			checkMatch(t, text, m)
			if m.Start < last {
				t.Fatalf("Find(%q): match at %d after one that ends at %d", text, m.Start, last)
			}
			last = m.End
			if c, err := Parse(m.String()); err != nil || c.HRESULT != m.HRESULT || c.Extend != m.Extend {
				t.Fatalf("Find(%q): %v, which Parse reads as %v, %v", text, m, c, err)
			}
		}
	})
}
