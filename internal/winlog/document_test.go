package winlog

import (
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/charmap"
)

// utf16LE encodes s as a redirect of Windows PowerShell does.
func utf16LE(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		b.WriteByte(byte(u))
		b.WriteByte(byte(u >> 8))
	}
	return b.String()
}

// oem850 encodes the few letters outside ASCII that the German and French test
// data use as code page 850, the one of the console there.
func oem850(s string) string {
	return strings.NewReplacer("ä", "\x84", "ö", "\x94", "ü", "\x81", "ß", "\xE1", "Ä", "\x8E", "Ü", "\x9A",
		"é", "\x82", "è", "\x8A", "à", "\x85", "ê", "\x88", "í", "\xA1", "ó", "\xA2", "\u00A0", "\xFF", "’", "'").Replace(s)
}

// oem866 encodes s as code page 866, the one of Russian consoles.
func oem866(s string) string {
	out, err := charmap.CodePage866.NewEncoder().String(s)
	if err != nil {
		panic(err)
	}
	return out
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// utf8Text reports whether s can be saved in another encoding by utf16LE.
func utf8Text(s string) bool { return strings.ToValidUTF8(s, "") == s }

func TestIdentifyDocument(t *testing.T) {
	const dismHead = "\nTool zur Imageverwaltung für die Bereitstellung\nVersion: 10.0.19041.844\n\nAbbildversion: 10.0.19045.2006\n\n"
	for name, c := range map[string]struct {
		in   string
		want Kind
	}{
		"hosts":              {"# local names\n127.0.0.1 localhost\n0.0.0.0\tsls.update.example.com\n", Hosts},
		"hosts, one line":    {"0.0.0.0 fe2.update.example.com\n", Hosts},
		"winhttp, english":   {"\nCurrent WinHTTP proxy settings:\n\n    Direct access (no proxy server).\n", WinHTTPShow},
		"winhttp, japanese":  {directJapanese932, WinHTTPShow},
		"winhttp, advanced":  {"{\n\t\"Proxy\":\t\"a:1\",\n\t\"ProxyBypass\":\t\"\",\n\t\"AutoconfigUrl\":\t\"\",\n\t\"AutoDetect\":\ttrue\n}\n", WinHTTPShow},
		"sc query, russian":  {"\nИмя_службы: cryptsvc\n        Тип                : 30  WIN32\n        Состояние          : 4  RUNNING\n        Код_выхода_Win32   : 0  (0x0)\n", ScQuery},
		"sc, missing":        {"[SC] EnumQueryServicesStatus:OpenService FEHLER 1060:\n\nDer angegebene Dienst ist kein installierter Dienst.\n", ScQuery},
		"Get-Service":        {"\nStatus   Name               DisplayName\n------   ----               -----------\nStopped  wuauserv           Windows Update\n", ScQuery},
		"systeminfo, german": {systeminfoText(sysGerman[:10], "PC-1", "Microsoft Windows 10 Pro", "10.0.19045 Nicht zutreffend Build 19045", "Microsoft Corporation", "Eigenständige Arbeitsstation", "Multiprocessor Free", "x", "", "00330-80000-00000-AA456", "02.01.2030, 03:04:05"), SystemInfo},
		"ver":                {"\r\nMicrosoft Windows [Version 10.0.19045.4046]\r\n", SystemInfo},
		"dism, german":       {dismHead + "[===========================85.9%=================         ] \n\nFehler: 0x800f081f\n\nDie Quelldateien wurden nicht gefunden.\n", DISMOutput},
		"sfc, german":        {"Überprüfung 100 % abgeschlossen.\n\nDer Windows-Ressourcenschutz hat keine Integritätsverletzungen gefunden.\n", SFCOutput},
		"sfc, spanish":       {"Se completó la comprobación de 17%.\nSe completó la comprobación de 54%.\nSe completó la comprobación de 100%.\n\nC:\\Windows\\Logs\\CBS\\CBS.log\n", SFCOutput},
		"ipconfig, french":   {"Configuration IP de Windows\n\nCarte Ethernet Ethernet :\n\n   Suffixe DNS propre à la connexion. . . : box.example\n   Adresse IPv4. . . . . . . . . . . . . .: 192.0.2.33\n   Masque de sous-réseau. . . . . . . . . : 255.255.255.0\n", IPConfig},
		"w32tm, german":      {"Sprungindikator: 0(keine Warnung)\nStratum: 4 (Sekundärreferenz)\nPräzision: -23 (119.209ns pro Tick)\nReferenz-ID: 0xC0000235 (Quell-IP:  192.0.2.53)\nAbrufintervall: 10 (1024s)\n", W32TM},
		"fltmc":              {"Filtername                      Anzahl Instanzen    Höhe      Rahmen\n------------------------------  -------------  ------------  -----\nWdFilter                                5       328010         0\n", FLTMC},
		"dsregcmd":           {dsreg, DSRegCmd},
		"reagentc, french":   {"    État de Windows RE :       Enabled\n    Emplacement de Windows RE :       \\\\?\\GLOBALROOT\\device\\harddisk0\\partition4\\Recovery\\WindowsRE\n\nREAGENTC.EXE : opération réussie.\n", REAgentC},
		"reg export":         {"Windows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Fabrikam]\n\"A\"=dword:00000001\n", RegExport},
		"reg query, german":  {"\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Fabrikam\n    (Standard)    REG_SZ    x\n    N    REG_DWORD    0x1\n", RegExport},
		"event text":         {"Log Name:      System\nSource:        Microsoft-Windows-WindowsUpdateClient\nDate:          2/3/2031 4:05:06 AM\nEvent ID:      20\nTask Category: Windows Update Agent\nLevel:         Error\nDescription:\nInstallation Failure: 0x80070002\n", EventText},
		"event xml":          {"<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='X'/><EventID>20</EventID></System></Event>", EventText},
		"setupdiag, xml":     {"<?xml version=\"1.0\"?>\n<SetupDiag xmlns=\"https://docs.microsoft.com/windows/deployment/upgrade/setupdiag\">\n<Version>1.7.0.0</Version>\n", SetupDiag},
		"setupdiag, text":    {"Matching Profile found: DiskSpaceBlock - 6080AFAC-892E-4903-94EA-7A17E69E549E\nSystem Information:\n", SetupDiag},
		"note":               {"After the update of last week my laptop is stuck at 30%.\nI tried sfc and it found nothing.\n- KB5034441\n", Note},
		"note, german":       {"Seit dem letzten Update hängt mein Rechner bei 30 %.\nIch habe schon alles versucht, aber es geht nicht.\n", Note},
		"note on winhttp":    {"I looked at the WinHTTP proxy settings and they are fine:\nthere is no proxy in this network at all.\n", Note},
		"note with numbers":  {"The machine was at 100% disk for hours, then it said 0x80070643 at 5% and the update was gone.\n", Note},
		"powershell":         {"Add-WindowsCapability : Add-WindowsCapability failed. Error code = 0x800f0954\nAt line:1 char:1\n", Unknown},
		"codes":              {"Error information: 0x80092026\nInstaller encountered an error: 0x80092026\n", Unknown},
		"cbs":                {"2031-02-03 04:05:06, Info                  CBS    Windows Resource Protection did not find any integrity violations. C:\\Windows\\Logs\\CBS\\CBS.log\n2031-02-03 04:05:06, Info                  CBS    x\n", Unknown},
		"cmtrace":            {"<![LOG[DomainJoined : YES, AzureAdJoined : YES]LOG]!><time=\"04:05:06.789+060\" date=\"02-03-2031\" component=\"X\" context=\"\" type=\"1\" thread=\"1\" file=\"x\">\n", Unknown},
		"empty":              {"", Unknown},
		"letters":            {"abc\n", Unknown},
	} {
		if got := identifyDocument([]byte(c.in)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
		head := []byte(utf16LE("\uFEFF" + crlf(strings.ReplaceAll(c.in, "\r", ""))))
		if name != "winhttp, japanese" && c.want != Unknown {
			if got := Identify("renamed.txt", head); got != c.want {
				t.Errorf("%s, as UTF-16: %q, want %q", name, got, c.want)
			}
		}
	}
}

func TestDocumentKindsOfTranscript(t *testing.T) {
	text := "Microsoft Windows [Version 10.0.19045.4046]\n\nC:\\>netsh winhttp show proxy\n\nCurrent WinHTTP proxy settings:\n\n    Proxy Server(s) :  p:8080\n    Bypass List     :  (none)\n\n" +
		"C:\\>sc query wuauserv\n\nSERVICE_NAME: wuauserv\n        TYPE               : 30  WIN32\n        STATE              : 1  STOPPED\n        WIN32_EXIT_CODE    : 1058  (0x422)\n\n" +
		"C:\\>dism /online /cleanup-image /scanhealth\n\nDeployment Image Servicing and Management tool\nVersion: 10.0.19041.3636\n\nImage Version: 10.0.19045.4046\n\n[==========================100.0%==========================] \nThe operation completed successfully.\n"
	if d := cmp.Diff([]Kind{WinHTTPShow, ScQuery, DISMOutput}, DocumentKinds([]byte(text))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestPrompts(t *testing.T) {
	for line, want := range map[string]string{
		`C:\Windows\system32>sc query`: "sc query", `PS C:\> Get-Date`: "Get-Date", `C:>dir`: "dir", `PS HKLM:\SOFTWARE> ls`: "ls", `D:\a b>`: "",
	} {
		if got, ok := afterPrompt(line); !ok || got != want {
			t.Errorf("%q: %q, %v", line, got, ok)
		}
	}
	for _, line := range []string{">>>  [x]", "> quoted", "a > b", "<x>", "C:\\x", "PS: see > below"} {
		if isPrompt(line) {
			t.Errorf("%q is taken for a prompt", line)
		}
	}
}

func TestReadDocumentIsBounded(t *testing.T) {
	lines, err := readDocument(strings.NewReader(strings.Repeat("x\n", maxDocumentLines+10)))
	if err != nil || len(lines) != maxDocumentLines {
		t.Errorf("%d lines, %v", len(lines), err)
	}
	lines, err = readDocument(strings.NewReader(strings.Repeat("a", 3<<20)))
	if err != nil || len(lines) != 1 || len(lines[0]) > MaxLine {
		t.Errorf("%d lines, %v", len(lines), err)
	}
}

func FuzzDocumentKinds(f *testing.F) {
	f.Add([]byte("Current WinHTTP proxy settings:\n\n  a\n1.2.3.4 x\n[SC] x 5:\n"))
	f.Add([]byte("HKEY_LOCAL_MACHINE\\X\n    a    REG_SZ    b\nVerification 8% complete.\n"))
	f.Add([]byte(dsreg))
	f.Fuzz(func(t *testing.T, b []byte) {
		kinds := DocumentKinds(b)
		for i, k := range kinds {
			if k == Unknown || k == Note && len(kinds) > 1 {
				t.Fatalf("%v", kinds)
			}
			for _, other := range kinds[:i] {
				if other == k {
					t.Fatalf("twice: %v", kinds)
				}
			}
		}
	})
}

func BenchmarkDocumentKinds(b *testing.B) {
	text := []byte(strings.Repeat("Some line of an output: with a value of 5 and more words in it\r\n", 500))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		DocumentKinds(text)
	}
}
