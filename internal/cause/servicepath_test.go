package cause

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestServicePaths(t *testing.T) {
	tests := []struct {
		name, command string
		want          bool
	}{
		{"wuauserv", `C:\Windows\system32\svchost.exe -k netsvcs -p`, true},
		{"wuauserv", `%systemroot%\system32\svchost.exe -k netsvcs`, true},
		{"wuauserv", `%SystemRoot%\System32\svchost.exe -k wusvcs -p`, true},
		{"wuauserv", `D:\WINNT\System32\svchost.exe -k NetSvcs`, true},
		{"wuauserv", `"C:\Windows\System32\svchost.exe" -k netsvcs`, true},
		{"wuauserv", `C:\Windows\SysWOW64\svchost.exe -k netsvcs`, false},
		{"wuauserv", `C:\Windows\system32\svchost.exe`, false},
		{"wuauserv", `C:\Windows\system32\svchost.exe -k blocked`, false},
		{"wuauserv", `C:\ProgramData\svchost.exe -k netsvcs`, false},
		{"wuauserv", `C:\Windows\system32\svch0st.exe -k netsvcs`, false},
		{"wuauserv", `C:\Users\Public\system32\svchost.exe -k netsvcs`, false},
		{"bits", `C:\Windows\system32\cmd.exe /c exit`, false},
		{"cryptsvc", `C:\Windows\system32\svchost.exe -k NetworkService -p`, true},
		{"TrustedInstaller", `C:\Windows\servicing\TrustedInstaller.exe`, true},
		{"TrustedInstaller", `\SystemRoot\servicing\TrustedInstaller.exe`, true},
		{"TrustedInstaller", `C:\Windows\Temp\TrustedInstaller.exe`, false},
		{"msiserver", `C:\Windows\system32\msiexec.exe /V`, true},
		{"msiserver", ``, false},
	}
	for _, tt := range tests {
		for _, p := range servicePaths {
			if p.name == tt.name && p.fits(tt.command) != tt.want {
				t.Errorf("%s: %q fits: %v, want %v", tt.name, tt.command, !tt.want, tt.want)
			}
		}
	}
}

// TestServicePathsAgree compares the programs and groups with the table they come from.
func TestServicePathsAgree(t *testing.T) {
	f, err := os.Open(filepath.FromSlash("../../../shared/facts/services.tsv"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("../shared/facts/services.tsv is not here: the services are not compared with it")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		row := strings.Split(lines.Text(), "\t")
		for _, p := range servicePaths {
			if len(row) < 8 || row[0] != strings.ToLower(p.name) {
				continue
			}
			seen++
			command := `%SystemRoot%\System32\svchost.exe -k ` + row[7]
			if row[7] == "own process" {
				command = row[6]
			}
			if !p.fits(command) {
				t.Errorf("%s: %q does not fit", p.name, command)
			}
		}
	}
	if seen != len(servicePaths) {
		t.Errorf("%d of %d services are in the table", seen, len(servicePaths))
	}
}

// A service that starts another program is as good as gone; what Windows starts
// says nothing.
func TestReplacedService(t *testing.T) {
	const note = "Windows Update stops with 0x80070424 at once.\r\n"
	qc := func(path string) map[string]string {
		return map[string]string{
			"notes.txt": note,
			"sc-qc.txt": "[SC] QueryServiceConfig SUCCESS\r\n\r\nSERVICE_NAME: wuauserv\r\n        TYPE               : 20  WIN32_SHARE_PROCESS\r\n        START_TYPE         : 3   DEMAND_START\r\n" +
				"        ERROR_CONTROL      : 1   NORMAL\r\n        BINARY_PATH_NAME   : " + path + "\r\n        SERVICE_START_NAME : LocalSystem\r\n",
		}
	}
	count := func(path string) (n int) {
		for _, x := range diagnosed(t, qc(path)).Findings {
			for _, e := range x.Evidence {
				if strings.Contains(e.Seen, "not what Windows starts") {
					if n++; !strings.Contains(e.Seen, path) || !e.For {
						t.Errorf("%s: %+v", x.ID, e)
					}
				}
			}
		}
		return n
	}
	if n := count(`C:\WINDOWS\system32\svchost.exe -k netsvcs -p`); n != 0 {
		t.Errorf("the path of Windows is evidence %d times", n)
	}
	const other = `C:\ProgramData\wu\svchost.exe -k netsvcs`
	if n := count(other); n != 2 {
		t.Errorf("another path is evidence %d times, want 2", n)
	}
	if first := diagnosed(t, qc(other)).Findings[0]; first.ID != "service-missing" || first.Probability < 0.5 {
		t.Errorf("first is %s (%.2f)", first.ID, first.Probability)
	}
}

func TestServiceLibraries(t *testing.T) {
	const head = "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\"
	tests := []struct {
		service, dll string
		replaced     bool
	}{
		{"wuauserv", `%systemroot%\\system32\\wuaueng.dll`, false},
		{"wuauserv", `C:\\Windows\\System32\\WUAUENG.DLL`, false},
		{"bits", `C:\\Windows\\system32\\qmgr.dll`, false},
		{"wuauserv", `C:\\ProgramData\\wuaueng.dll`, true},
		{"bits", `C:\\Windows\\system32\\qmgr2.dll`, true},
	}
	for _, tt := range tests {
		f := collected(t, map[string]string{"services.reg": head + tt.service + "\\Parameters]\r\n\"ServiceDll\"=\"" + tt.dll + "\"\r\n"})
		v := evidence(replacedPaths(Strong))(f)
		if got := len(v.Evidence) == 1; got != tt.replaced {
			t.Errorf("%s loads %s: %+v", tt.service, tt.dll, v.Evidence)
		}
	}
}

// What sc qc said of a service stays beside what sc query says later, and the proof
// names the line that said it.
func TestStateBesideSettings(t *testing.T) {
	f := collected(t, map[string]string{
		"1-sc-qc.txt": "[SC] QueryServiceConfig SUCCESS\r\n\r\nSERVICE_NAME: wuauserv\r\n        TYPE               : 20  WIN32_SHARE_PROCESS\r\n        START_TYPE         : 4   DISABLED\r\n" +
			"        BINARY_PATH_NAME   : C:\\ProgramData\\wu.exe\r\n        SERVICE_START_NAME : LocalSystem\r\n",
		"2-sc-query.txt": "\r\nSERVICE_NAME: wuauserv\r\n        TYPE               : 20  WIN32_SHARE_PROCESS\r\n        STATE              : 1  STOPPED\r\n        WIN32_EXIT_CODE    : 0  (0x0)\r\n",
	})
	for name, r := range map[string]rule{"disabled": disabledServices, "replaced": replacedPaths(Strong)} {
		v := evidence(r)(f)
		if len(v.Evidence) != 1 || !v.Evidence[0].For || v.Evidence[0].Source != "1-sc-qc.txt:3" {
			t.Errorf("%s: %+v", name, v.Evidence)
		}
	}
	if s := f.Service("wuauserv"); s.Value.State != 1 || s.Value.Account != "LocalSystem" || s.Source != "2-sc-query.txt:2" {
		t.Errorf("%+v", s)
	}
}

// A service that starts something else is not counted as there.
func TestReplacedServiceIsFound(t *testing.T) {
	d := diagnosed(t, map[string]string{"sc-qc.txt": "[SC] QueryServiceConfig SUCCESS\r\n\r\nSERVICE_NAME: wuauserv\r\n        TYPE               : 20  WIN32_SHARE_PROCESS\r\n" +
		"        START_TYPE         : 3   DEMAND_START\r\n        BINARY_PATH_NAME   : C:\\Windows\\system32\\svchost.exe -k other\r\n"})
	if first := d.Findings[0]; first.ID != "service-missing" || d.Outcome != Problems {
		t.Errorf("%s: %s, %v", d.Outcome, first.ID, first.State)
	}
}
