package winlog

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type outputCase struct {
	Line    int
	Tool    string
	Command string
	Codes   string
}

func readOutput(t *testing.T, in string) (recs []OutputRecord) {
	t.Helper()
	err := ReadOutput(strings.NewReader(in), func(r OutputRecord) error {
		recs = append(recs, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return recs
}

// withCodes keeps the records that hold codes, in a form that is easy to compare.
func withCodes(recs []OutputRecord) (out []outputCase) {
	for _, r := range recs {
		if len(r.Codes) == 0 {
			continue
		}
		c := outputCase{Line: r.Line, Tool: r.Tool, Command: r.Command}
		for _, code := range r.Codes {
			c.Codes = strings.TrimSpace(c.Codes + " " + code.String())
		}
		out = append(out, c)
	}
	return out
}

func TestReadOutput(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []outputCase
	}{
		"powershell, english": {
			`PS C:\> Add-WindowsCapability -Online -Name Rsat.Dns.Tools~~~~0.0.1.0
Add-WindowsCapability : Add-WindowsCapability failed. Error code = 0x800f0954
At line:1 char:1
+ Add-WindowsCapability -Online -Name Rsat.Dns.Tools~~~~0.0.1.0
+ ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
    + CategoryInfo          : NotSpecified: (:) [Add-WindowsCapability], COMException
    + FullyQualifiedErrorId : Microsoft.Dism.Commands.AddWindowsCapabilityCommand

PS C:\> Get-Date
`,
			[]outputCase{{2, "powershell", "Add-WindowsCapability", "0x800F0954"}},
		},
		"powershell, german, utf-16": {
			utf16LE("\uFEFF" + crlf(`Install-WindowsFeature : Fehler bei der Anforderung zum Hinzufügen von Funktionen auf dem angegebenen Server.
Fehler beim Installieren mindestens einer Rolle. Die Quelldateien wurden nicht gefunden. Fehler: 0x800f081f
In Zeile:1 Zeichen:1
+ Install-WindowsFeature NET-Framework-Core
+ ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
    + CategoryInfo          : InvalidOperation: (@{Vhd=; Credent...Name=localhost}:PSObject) [Install-WindowsFeature], Exception
    + FullyQualifiedErrorId : DISMAPI_Error__Failed_Reading,Microsoft.Windows.ServerManager.Commands.AddWindowsFeatureCommand
`)),
			[]outputCase{{1, "powershell", "Install-WindowsFeature", "0x800F081F"}},
		},
		"powershell, french, two errors without a blank line": {
			`Exception de HRESULT : 0x80240438
Au caractère C:\outils\maj.ps1:12 : 5
+     $r = $s.Search("IsInstalled=0")
+     ~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~
    + CategoryInfo          : OperationStopped: (:) [], COMException
    + FullyQualifiedErrorId : System.Runtime.InteropServices.COMException
Start-Service : Impossible de démarrer le service (0x80070422).
Au caractère Ligne:1 : 1
+ Start-Service wuauserv
    + CategoryInfo          : OpenError: (wuauserv:ServiceController) [Start-Service], ServiceCommandException
    + FullyQualifiedErrorId : CouldNotStartService,Microsoft.PowerShell.Commands.StartServiceCommand
`,
			[]outputCase{{1, "powershell", "", "0x80240438"}, {7, "powershell", "Start-Service", "0x80070422"}},
		},
		"powershell 7, coloured": {
			"\x1b[31;1mAdd-WindowsCapability: \x1b[31;1mAdd-WindowsCapability failed. Error code = 0x800f0950\x1b[0m\n",
			[]outputCase{{1, "powershell", "Add-WindowsCapability", "0x800F0950"}},
		},
		"powershell 7, frame": {
			"Line |\n   2 |  $u.Install()\n     |  ~~~~~~~~~~~~\n     | Exception from HRESULT: 0x80240024\n",
			[]outputCase{{1, "powershell", "", "0x80240024"}},
		},
		"clixml": {
			`#< CLIXML` + "\n" + `<Objs Version="1.1.0.1"><S S="Error">Add-WindowsCapability : Add-WindowsCapability failed. Error code = 0x800f0954_x000D__x000A_</S><S S="Error">At line:1_x000D__x000A_</S></Objs>`,
			[]outputCase{{2, "", "", "0x800F0954"}},
		},
		"ansible": {
			`TASK [Install the monthly updates] *********************************************
fatal: [srv01.fabrikam.example]: FAILED! => {"changed": false, "failed_update_count": 1, "msg": "Searching for updates: Exception from HRESULT: 0x8024402C"}

TASK [other] ****
ok: [srv01.fabrikam.example] => {
    "updates": {
        "1c5b5f6f-0000-4000-8000-000000000001": {
            "failure_hresult_code": 2149842967,
            "installed": false
        }
    }
}
`,
			[]outputCase{{2, "ansible", "Install the monthly updates", "0x8024402C"}, {8, "ansible", "other", "0x80240017"}},
		},
		"ansible, signed": {
			`"failure_hresult_code": -2145107924,`,
			[]outputCase{{1, "ansible", "", "0x8024402C"}},
		},
		"packer": {
			"==> windows-server.hyperv-iso: Running Windows update...\n    windows-server.hyperv-iso: Failed to install updates: 0x80240438\n==> windows-server.hyperv-iso: Provisioning step had errors\n",
			[]outputCase{{2, "packer", "", "0x80240438"}},
		},
		"dsc": {
			"VERBOSE: [SRV02]: LCM:  [ Start  Set      ]  [[Hotfix]KB5000001]\nPowerShell DSC resource MSFT_xWindowsUpdate  failed to execute Set-TargetResource functionality with error message:\n" +
				"Could not install the windows update. Details are stored in the log C:\\windows\\TEMP\\tmpAB12.tmp.etl. Error message is\nWindows update could not be installed because of error 2149842967 \"\"\n",
			[]outputCase{{4, "dsc", "MSFT_xWindowsUpdate", "0x80240017"}},
		},
		"ssm": {
			"07/04/2031 02:35:45 UTC | Info | Searching for Windows Updates.\n07/04/2031 02:35:58 UTC | Error | Searching for updates resulted in error: Exception from HRESULT: 0x80072EE2\n",
			[]outputCase{{2, "ssm", "", "0x80072EE2"}},
		},
		"winget": {
			"C:\\>winget upgrade --all\nFound Example Tool [Example.Tool]\nInstaller failed with exit code: 1618\n0x8a150011 : unknown\n",
			[]outputCase{{3, "winget", "winget upgrade --all", "0x80070652"}, {4, "winget", "winget upgrade --all", "0x8A150011"}},
		},
		"wsl": {
			"C:\\>wsl --install\nError code: Wsl/InstallDistro/WININET_E_NAME_NOT_RESOLVED\nFehlercode: Wsl/Service/0x80070422\n",
			[]outputCase{{2, "wsl", "wsl --install", "0x80072EE7"}, {3, "wsl", "wsl --install", "0x80070422"}},
		},
		"chocolatey": {
			"Chocolatey v2.2.2\nInstalling the following packages:\nKB2919355\nERROR: Running [\"C:\\Windows\\System32\\wusa.exe\" ] was not successful. Exit code was '-2145124329'. See log for possible error messages.\nfinished with Exit code 3010\n",
			[]outputCase{{4, "wusa", "", "0x80240017"}},
		},
		"msiexec log": {
			"MSI (s) (A4:10) [04:05:06:789]: MainEngineThread is returning 1603\nMSI (c) (58:3C) [04:05:07:001]: MainEngineThread is returning 3010\n",
			[]outputCase{{1, "msiexec", "", "0x80070643"}},
		},
		"error lookup tool": {
			"C:\\>err 0x80190197\n# for hex 0x80190197 / decimal -2145844841\n  BG_E_HTTP_ERROR_407    bitsmsg.h\n# 1 matches found for \"0x80190197\"\n",
			[]outputCase{
				{1, "err", "err 0x80190197", "0x80190197"},
				{2, "err", "err 0x80190197", "0x80190197"},
				{3, "err", "err 0x80190197", "0x80190197"},
				{4, "err", "err 0x80190197", "0x80190197"},
			},
		},
		"no codes": {"A line.\n\nAnother: 2019-01-02, version 10.0.19041.3636, {6C0F1A2B-8024-401B-8024-0123456789AB}\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, withCodes(readOutput(t, c.in))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestReadOutputKeepsEveryLine(t *testing.T) {
	in := "one\n\ntwo\nthree\nGet-Thing : four\nAt line:1 char:1\n    + CategoryInfo          : X: (:) [Get-Thing], E\n    + FullyQualifiedErrorId : Y\nfive\n"
	want := []string{"one", "two", "three", "Get-Thing : four\nAt line:1 char:1\n    + CategoryInfo          : X: (:) [Get-Thing], E\n    + FullyQualifiedErrorId : Y", "five"}
	var got []string
	for _, r := range readOutput(t, in) {
		got = append(got, r.Text)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestReadOutputStops(t *testing.T) {
	stop := errors.New("stop")
	n := 0
	err := ReadOutput(strings.NewReader("a\n\nb\n\nc\n"), func(OutputRecord) error {
		n++
		return stop
	})
	if err != stop || n != 1 {
		t.Errorf("err %v after %d records", err, n)
	}
}

func FuzzReadOutput(f *testing.F) {
	f.Add("Get-Thing : x\n+ CategoryInfo : a\n+ FullyQualifiedErrorId : b\n")
	f.Add("PS C:\\> x\nexit code: 1603\nTASK [a] ***\n")
	f.Add("Wsl/a/0x80070422\n_x000D_\x1b[31m")
	f.Fuzz(func(t *testing.T, s string) {
		last := 0
		err := ReadOutput(strings.NewReader(s), func(r OutputRecord) error {
			if r.Line <= last || r.Text == "" {
				t.Fatalf("record %+v after line %d", r, last)
			}
			last = r.Line
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkReadOutput(b *testing.B) {
	text := strings.Repeat("    build.vm: VERBOSE: Looking for updates, nothing to see here at all\r\nInstaller failed with exit code: 1618\r\n\r\n", 2000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if err := ReadOutput(strings.NewReader(text), func(OutputRecord) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
