package hosttest

import (
	"encoding/binary"
	"unicode/utf16"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// File is a file of a sample.
type File struct {
	Name string // slash-separated
	Data string
}

const (
	windowsUpdateLog = "2031/02/03 08:04:02.3354236 6104  7340  WebServices     Using system proxy\r\n" +
		"2031/02/03 08:04:02.4481232 6104  7340  WebServices     WS error: The server returned HTTP status code '407 (0x197)' with text 'Proxy Authentication Required'.\r\n" +
		"2031/02/03 08:04:03.4485217 6104  7340  ProtocolTalker  *FAILED* [8024401B] SyncUpdates failure, error = 0x8024401B, soap client error = 10, soap error code = 0, HTTP status code = 407\r\n" +
		"2031/02/03 08:04:03.4522324 6104  7340  Agent           * END * Finding updates CallerId = MoUpdateOrchestrator, Id = 11, Exit code = 0x8024401B (cV = w3QpKf0sUEqh1Yzb.1.0.0.1)\r\n"
	cbsLog = "2031-02-03 04:05:06, Info                  CBS    Loaded Servicing Stack v10.0.22621.3672 with Core: C:\\Windows\\servicing\\cbscore.dll\r\n" +
		"2031-02-03 04:05:07, Info                  CBS    Exec: Processing complete.  Session: 31171520_2564643148, Package: Package_for_RollupFix~31bf3856ad364e35~amd64~~22621.3672.1.9 [HRESULT = 0x00000000 - S_OK]\r\n"
	policies = "Windows Registry Editor Version 5.00\r\n\r\n" +
		"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate]\r\n" +
		"\"WUServer\"=\"https://wsus.fabrikam.example:8531\"\r\n\r\n" +
		"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\Microsoft\\Windows\\WindowsUpdate\\AU]\r\n" +
		"\"UseWUServer\"=dword:00000001\r\n\r\n" +
		"[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services]\r\n\r\n" +
		"[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services\\wuauserv]\r\n" +
		"\"Start\"=dword:00000003\r\n" +
		"\"ObjectName\"=\"LocalSystem\"\r\n" +
		"\"ImagePath\"=\"C:\\\\Windows\\\\system32\\\\svchost.exe -k netsvcs -p\"\r\n"
	winhttp = "\r\nCurrent WinHTTP proxy settings:\r\n\r\n" +
		"    Proxy Server(s) :  proxy.fabrikam.example:8080\r\n" +
		"    Bypass List     :  <local>;*.fabrikam.example\r\n"
	note   = "KT-0007 cannot search for updates since Monday, error 0x8024401B.\r\n"
	answer = `{"volumes":[{"name":"C:","free":123456}]}`
)

// Sample is the evidence of a small invented machine, and what a recorded host
// that is given it must answer.
func Sample() ([]File, Fixture) {
	files := []File{
		{"Windows/Logs/CBS/CBS.log", cbsLog},
		{"WindowsUpdate.log", windowsUpdateLog},
		{"answers/volumes.json", answer},
		{"netsh-winhttp-show-proxy.txt", winhttp},
		{"notes.txt", note},
		{"Registry/policies.reg", "\xFF\xFE" + UTF16(policies)},
	}
	const wu = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`
	return files, Fixture{
		Source: "bundle",
		Files: map[string]winlog.Kind{
			"CBS.log": winlog.CBS, "WindowsUpdate.log": winlog.WindowsUpdate, "volumes.json": winlog.Output,
			"netsh-winhttp-show-proxy.txt": winlog.WinHTTPShow, "notes.txt": winlog.Note, "policies.reg": winlog.RegExport,
		},
		Only:    true,
		Content: map[string]string{"CBS.log": cbsLog, "WindowsUpdate.log": windowsUpdateLog, "notes.txt": note},
		Values: []Value{
			{Key: wu, Name: "WUServer", Text: "https://wsus.fabrikam.example:8531"},
			{Key: wu + `\AU`, Name: "UseWUServer", Number: 1},
			{Key: `HKLM\SYSTEM\CurrentControlSet\Services\wuauserv`, Name: "Start", Number: 3},
		},
		NoValues: []Value{{Key: wu, Name: "DisableWindowsUpdateAccess"}},
		Subkeys:  []Value{{Key: wu, Name: "AU"}, {Key: `HKLM\SYSTEM\CurrentControlSet\Services`, Name: "wuauserv"}},
		NoKeys:   []string{wu + `\Missing`, wu + `\AU\Missing\Deeper`},
		Unasked: []string{
			`HKLM\SOFTWARE\Policies\Microsoft\Windows`, `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdateOther`,
			`HKCU\Software`, `HKLM`,
		},
		Services:        map[string]host.Service{"wuauserv": {State: -1, Start: 3, Account: "LocalSystem", Binary: `C:\Windows\system32\svchost.exe -k netsvcs -p`}},
		NoServices:      []string{"bits"},
		Answers:         map[string]string{"volumes": answer},
		UnaskedAnswers:  []string{"firewall"},
		UnaskedServices: nil,
	}
}

// UTF16 encodes text as Windows' own exports are, without the byte order mark.
func UTF16(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}
