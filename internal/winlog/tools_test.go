package winlog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadDISMOutput(t *testing.T) {
	const (
		head   = "\nDeployment Image Servicing and Management tool\nVersion: 10.0.19041.3636\n\nImage Version: 10.0.19045.4046\n\n"
		kopf   = "\nTool zur Imageverwaltung für die Bereitstellung\nVersion: 10.0.19041.844\n\nAbbildversion: 10.0.19045.2006\n\n"
		nihon  = "\n展開イメージのサービスと管理ツール\nバージョン: 10.0.22621.1\n\nイメージのバージョン: 10.0.22631.3007\n\n"
		full   = "[==========================100.0%==========================] "
		prompt = `C:\Windows\system32>`
	)
	for name, c := range map[string]struct {
		in   string
		want []ToolResult
	}{
		"restored, english": {
			head + "[==                         3.8%                           ] \n" + full + "The restore operation completed successfully.\nThe operation completed successfully.\n",
			[]ToolResult{{Line: 3, Version: "10.0.19041.3636", ImageVersion: "10.0.19045.4046", Percent: 100, Finished: true, Outcome: OutcomeRepaired, Hint: true}},
		},
		"source missing, german, code page 850": {
			oem850(kopf + "[===========================85.9%=================         ] \n\nFehler: 0x800f081f\n\nDie Quelldateien wurden nicht gefunden.\n\nDie DISM-Protokolldatei befindet sich unter \"C:\\Windows\\Logs\\DISM\\dism.log\".\n"),
			[]ToolResult{{Line: 3, Version: "10.0.19041.844", ImageVersion: "10.0.19045.2006", Percent: 85.9, Code: 0x800F081F, Error: 0x800F081F, NamesLog: true}},
		},
		"store corrupt, japanese": {
			nihon + "[====                       7.1%                           ]\n\nエラー: 14098\n\nコンポーネント ストアが破損しています。\n",
			[]ToolResult{{Line: 3, Version: "10.0.22621.1", ImageVersion: "10.0.22631.3007", Percent: 7.1, Code: 0x80073712, Error: 14098}},
		},
		"bad option, french": {
			"\nOutil Gestion et maintenance des images de déploiement\nVersion : 10.0.22621.1\n\n\nErreur : 87\n\nL’option cleanup-imag est inconnue.\n",
			[]ToolResult{{Line: 3, Version: "10.0.22621.1", Percent: -1, Code: 0x80070057, Error: 87}},
		},
		"elevation": {
			"\nError: 740\n\nElevated permissions are required to run DISM.\n",
			[]ToolResult{{Line: 2, Percent: -1, Code: 0x800702E4, Error: 740}},
		},
		"finished in an unknown language": {
			nihon + full + "復元操作は正常に完了しました。\n操作は正常に完了しました。\n",
			[]ToolResult{{Line: 3, Version: "10.0.22621.1", ImageVersion: "10.0.22631.3007", Percent: 100, Finished: true}},
		},
		"interrupted": {
			head + "[=====                      9.6%                           ]\n",
			[]ToolResult{{Line: 3, Version: "10.0.19041.3636", ImageVersion: "10.0.19045.4046", Percent: 9.6}},
		},
		"three runs with prompts": {
			prompt + "dism /online /cleanup-image /checkhealth\n" + head + "No component store corruption detected.\nThe operation completed successfully.\n\n" +
				prompt + "dism /online /cleanup-image /scanhealth\n" + head + full + "The component store is repairable.\nThe operation completed successfully.\n\n" +
				prompt + "dism /online /cleanup-image /restorehealth\n" + head + "[=   2.0%   ]\n\nError: 0x800f0954\n\nDISM failed. No operation was performed.\n" +
				prompt + "sfc /scannow\n\nVerification 100% complete.\n",
			[]ToolResult{
				{Line: 4, Command: "dism /online /cleanup-image /checkhealth", Version: "10.0.19041.3636", ImageVersion: "10.0.19045.4046", Percent: -1, Finished: true, Outcome: OutcomeHealthy, Hint: true},
				{Line: 14, Command: "dism /online /cleanup-image /scanhealth", Version: "10.0.19041.3636", ImageVersion: "10.0.19045.4046", Percent: 100, Finished: true, Outcome: OutcomeRepairable, Hint: true},
				{Line: 24, Command: "dism /online /cleanup-image /restorehealth", Version: "10.0.19041.3636", ImageVersion: "10.0.19045.4046", Percent: 2, Code: 0x800F0954, Error: 0x800F0954},
			},
		},
		"two runs without prompts": {
			head + full + "\nDer Komponentenspeicher kann repariert werden.\nDer Vorgang wurde erfolgreich beendet.\n" + head + full + "\n",
			[]ToolResult{
				{Line: 3, Version: "10.0.19041.3636", ImageVersion: "10.0.19045.4046", Percent: 100, Finished: true, Outcome: OutcomeRepairable, Hint: true},
				{Line: 12, Version: "10.0.19041.3636", ImageVersion: "10.0.19045.4046", Percent: 100, Finished: true},
			},
		},
		"listed numbers are no errors": {
			head + "Details for image : install.wim\n\nIndex : 1\nName : Windows 10 Pro\n\nThe operation completed successfully.\n",
			[]ToolResult{{Line: 3, Version: "10.0.19041.3636", ImageVersion: "10.0.19045.4046", Percent: -1, Finished: true}},
		},
		"Repair-WindowsImage": {
			"PS C:\\> Repair-WindowsImage -Online -ScanHealth\n\n\nImageHealthState : Repairable\nRestartNeeded    : False\n",
			[]ToolResult{{Line: 4, Percent: -1, Finished: true, Outcome: OutcomeRepairable}},
		},
		"nothing": {"words and words\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadDISMOutput(strings.NewReader(crlf(c.in)))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestReadSFCOutput(t *testing.T) {
	const begin = "\r\nBeginning system scan.  This process will take some time.\r\n\r\nBeginning verification phase of system scan.\r\n"
	count := "Verification 0% complete.\rVerification 41% complete.\rVerification 100% complete.\r\n\r\n"
	none := "Windows Resource Protection did not find any integrity violations.\r\n"
	spaced := func(s string) string { return strings.Join(strings.Split(s, ""), " ") }
	for name, c := range map[string]struct {
		in   string
		want []ToolResult
	}{
		"healthy":                  {begin + count + none, []ToolResult{{Line: 5, Percent: 100, Finished: true, Outcome: OutcomeHealthy, Hint: true}}},
		"healthy, utf-16, no mark": {utf16LE(begin + count + none), []ToolResult{{Line: 5, Percent: 100, Finished: true, Outcome: OutcomeHealthy, Hint: true}}},
		"appended to another file": {strings.Repeat("# log of repairs\r\n", 40) + utf16LE("\r\n"+count+none), []ToolResult{{Line: 42, Percent: 100, Finished: true, Outcome: OutcomeHealthy, Hint: true}}},
		"blanks between letters":   {spaced("Verification 100% complete.") + "\r\n" + spaced(strings.TrimSpace(none)) + "\r\n", []ToolResult{{Line: 1, Percent: 100, Finished: true, Outcome: OutcomeHealthy, Hint: true}}},
		"interrupted":              {begin + "Verification 8% complete.\r\n", []ToolResult{{Line: 5, Percent: 8}}},
		"sentence alone":           {none, []ToolResult{{Line: 1, Percent: -1, Finished: true, Outcome: OutcomeHealthy, Hint: true}}},
		"refused":                  {begin + "\r\nWindows Resource Protection could not perform the requested operation.\r\n", []ToolResult{{Line: 6, Percent: -1, Outcome: OutcomeRefused, Hint: true}}},
		"pending":                  {"There is a system repair pending which requires reboot to complete.  Restart\r\nWindows and run sfc again.\r\n", []ToolResult{{Line: 1, Percent: -1, Outcome: OutcomePending, Hint: true}}},
		"not repaired": {
			begin + count + "Windows Resource Protection found corrupt files but was unable to fix some of them.\r\nFor online repairs, details are included in the CBS log file located at\r\nwindir\\Logs\\CBS\\CBS.log. For example C:\\Windows\\Logs\\CBS\\CBS.log.\r\n",
			[]ToolResult{{Line: 5, Percent: 100, Finished: true, Outcome: OutcomeUnrepairable, Hint: true, NamesLog: true}},
		},
		"repaired, german, code page 850": {
			oem850("\r\nSystemüberprüfung wird gestartet. Dieser Vorgang kann einige Zeit dauern.\r\n\r\nÜberprüfung 100 % abgeschlossen.\r\n\r\nDer Windows-Ressourcenschutz hat beschädigte Dateien gefunden und erfolgreich repariert.\r\nDetails unter windir\\Logs\\CBS\\CBS.log.\r\n"),
			[]ToolResult{{Line: 4, Percent: 100, Finished: true, Outcome: OutcomeRepaired, Hint: true, NamesLog: true}},
		},
		"healthy, german": {
			"Überprüfung 100 % abgeschlossen.\r\nDer Windows-Ressourcenschutz hat keine Integritätsverletzungen gefunden.\r\n",
			[]ToolResult{{Line: 1, Percent: 100, Finished: true, Outcome: OutcomeHealthy, Hint: true}},
		},
		"found, spanish": {
			"Se completó la comprobación de 100%.\r\n\r\nProtección de recursos de Windows encontró archivos dañados y los reparó correctamente.\r\nC:\\Windows\\Logs\\CBS\\CBS.log\r\n",
			[]ToolResult{{Line: 1, Percent: 100, Finished: true, Outcome: OutcomeFound, NamesLog: true}},
		},
		"turkish sign first": {"Doğrulama %100 tamamlandı.\r\nBilinmeyen.\r\n", []ToolResult{{Line: 1, Percent: 100, Finished: true}}},
		"two runs": {
			"C:\\>sfc /scannow\r\n" + count + none + "\r\nC:\\>sfc /scannow\r\nVerification 12% complete.\r\n",
			[]ToolResult{
				{Line: 2, Command: "sfc /scannow", Percent: 100, Finished: true, Outcome: OutcomeHealthy, Hint: true},
				{Line: 7, Command: "sfc /scannow", Percent: 12},
			},
		},
		"dism is not sfc": {"C:\\>dism /online /cleanup-image /scanhealth\r\n[====100.0%====]\r\nNo component store corruption detected.\r\n", nil},
		"nothing":         {"words\r\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadSFCOutput(strings.NewReader(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func FuzzReadTools(f *testing.F) {
	f.Add("Version: 10.0.19041.844\n\nImage Version: 10.0.19045.1\n\n[== 3.8% ]\n\nError: 87\n")
	f.Add("C:\\>sfc /scannow\nVerification 8% complete.\rVerification 9% complete.\r\n")
	f.Add("V e r i f i c a t i o n   1 0 0 %\n\x00a\x00b\nFehler: -2146498529\n")
	f.Fuzz(func(t *testing.T, s string) {
		for _, read := range []func(r *strings.Reader) ([]ToolResult, error){
			func(r *strings.Reader) ([]ToolResult, error) { return ReadDISMOutput(r) },
			func(r *strings.Reader) ([]ToolResult, error) { return ReadSFCOutput(r) },
		} {
			runs, err := read(strings.NewReader(s))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range runs {
				if r.Percent < -1 || r.Percent > 100 || r.Line < 1 || r.Finished && r.Code != 0 || (r.Error == 0) != (r.Code == 0) {
					t.Fatalf("%+v", r)
				}
			}
		}
	})
}

func BenchmarkReadDISMOutput(b *testing.B) {
	text := "Version: 10.0.19041.844\r\n\r\nImage Version: 10.0.19045.2006\r\n\r\n" + strings.Repeat("[=====                      9.6%                           ] \r\n", 500) + "\r\nError: 0x800f081f\r\n"
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if runs, err := ReadDISMOutput(strings.NewReader(text)); err != nil || len(runs) != 1 {
			b.Fatal(runs, err)
		}
	}
}

func BenchmarkReadSFCOutput(b *testing.B) {
	text := strings.Repeat("Verification 8% complete.\r\n", 500) + "Verification 100% complete.\r\n"
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if runs, err := ReadSFCOutput(strings.NewReader(text)); err != nil || len(runs) != 1 {
			b.Fatal(runs, err)
		}
	}
}
