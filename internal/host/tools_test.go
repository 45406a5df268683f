package host

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestToolLines: what may run is exactly what the table has.
func TestToolLines(t *testing.T) {
	const pkg = "Package_for_RollupFix~31bf3856ad364e35~amd64~~22631.3374.1.7"
	for _, tt := range []struct {
		line string // arguments are parted by "|"
		want bool
	}{
		{"dism|/Online|/Cleanup-Image|/RestoreHealth", true},
		{"dism|/online|/cleanup-image|/restorehealth", true},
		{"dism|/Online|/Cleanup-Image|/RestoreHealth|/Source:http://fabrikam.example/x.wim", false},
		{"dism|/Online|/Cleanup-Image", false},
		{"dism|/Online|/Remove-Package|/PackageName:" + pkg + "|/NoRestart", true},
		{"dism|/Online|/Remove-Package|/PackageName:" + pkg, false},
		{"dism|/Online|/Remove-Package|/PackageName:Package_for_ServicingStack_3371~31bf3856ad364e35~amd64~~22621.3371.1.1|/NoRestart", false},
		{"dism|/Online|/Remove-Package|/PackageName:" + pkg + " /Quiet|/NoRestart", false},
		{"dism|/Online|/Remove-Package|/PackageName:|/NoRestart", false},
		{`dism|/Online|/Cleanup-Image|/RestoreHealth|/Source:wim:D:\sources\install.wim:6|/LimitAccess`, true},
		{`dism|/Online|/Cleanup-Image|/RestoreHealth|/Source:esd:D:\sources\install.esd:1|/LimitAccess`, true},
		{`dism|/Online|/Cleanup-Image|/RestoreHealth|/Source:wim:\\pc-2.fabrikam.example\media\install.wim:1|/LimitAccess`, true},
		{`dism|/Online|/Cleanup-Image|/RestoreHealth|/Source:\\PC-2\windows\Windows|/LimitAccess`, true},
		{`dism|/Online|/Cleanup-Image|/RestoreHealth|/Source:C:\mount\Windows|/LimitAccess`, true},
		{`dism|/Online|/Cleanup-Image|/RestoreHealth|/Source:C:\mount\Windows`, false},
		{`dism|/Online|/Cleanup-Image|/RestoreHealth|/Source:wim:D:\sources\install.wim|/LimitAccess`, false},
		{`dism|/Online|/Cleanup-Image|/RestoreHealth|/Source:wim:D:\sources\install.wim:0|/LimitAccess`, false},
		{`dism|/Online|/Cleanup-Image|/RestoreHealth|/Source:wim:D:\sources\install.wim:1:2|/LimitAccess`, false},
		{`dism|/Online|/Cleanup-Image|/RestoreHealth|/Source:wim:D:\sources\install.esd:1|/LimitAccess`, false},
		{`dism|/Online|/Cleanup-Image|/RestoreHealth|/Source:wim:D:\..\install.wim:1|/LimitAccess`, false},
		{`dism|/Online|/Cleanup-Image|/RestoreHealth|/Source:wim:\\?\C:\install.wim:1|/LimitAccess`, false},
		{`dism|/Online|/Cleanup-Image|/RestoreHealth|/Source:\\.\PhysicalDrive0\x|/LimitAccess`, false},
		{`dism|/Online|/Cleanup-Image|/RestoreHealth|/Source:\\pc|/LimitAccess`, false},
		{`dism|/Online|/Cleanup-Image|/RestoreHealth|/Source:\\pc name\x|/LimitAccess`, false},
		{`dism|/Online|/Cleanup-Image|/RestoreHealth|/Source:|/LimitAccess`, false},
		{`dism|/Online|/Add-Package|/PackagePath:C:\ProgramData\updoc\windows11.0-kb5099001-x64.msu|/NoRestart`, true},
		{`dism|/Online|/Add-Package|/PackagePath:C:\x.cab|/NoRestart`, true},
		{`dism|/Online|/Add-Package|/PackagePath:C:\x.exe|/NoRestart`, false},
		{`dism|/Online|/Add-Package|/PackagePath:\\pc\x\y.msu|/NoRestart`, false},
		{`dism|/Online|/Add-Package|/PackagePath:C:\x.cab`, false},
		{`dism|/Image:C:\|/Cleanup-Image|/RevertPendingActions`, false},
		{`fsutil|resource|setautoreset|true|C:\`, true},
		{`fsutil|resource|setautoreset|true|C:\Users`, false},
		{`fsutil|resource|setautoreset|true|\\?\C:\`, false},
		{`fsutil|file|setzerodata|offset=0|length=9|C:\Windows\notepad.exe`, false},
		{"fsutil|usn|deletejournal|/d|C:", false},
		{"chkdsk|C:|/scan", true},
		{"chkdsk|/scan", true},
		{"chkdsk|C:|/f", false},
		{"chkdsk|C:|/scan|/f", false},
		{"chkdsk|C: /f|/scan", false},
		{"chkdsk|1:|/scan", false},
		{"cleanmgr|/sagerun:407", true},
		{"cleanmgr|/verylowdisk", false},
		{"winmgmt|/salvagerepository", true},
		{"winmgmt|/resetrepository", false},
		{"winmgmt|/kill", false},
		{"mpcmdrun|-SignatureUpdate", true},
		{"mpcmdrun|-RemoveDefinitions|-All", false},
		{`mpcmdrun|-DownloadFile|-url|http://fabrikam.example/x|-path|C:\x`, false},
		{`mpcmdrun|-SignatureUpdate|-UNC|\\fabrikam.example\x`, false},
		{`sfc|/verifyfile=C:\Windows\System32\wuaueng.dll`, true},
		{`sfc|/verifyfile=C:\Users\x.dll`, false},
		{`sfc|/verifyfile=C:\Windows\..\x.dll`, false},
		{`sfc|/scannow|/offbootdir=D:\`, false},
		{"msdt|/id|WindowsUpdateDiagnostic", true},
		{`msdt|/path|\\fabrikam.example\x`, false},
		{`msdt|ms-msdt:/id PCWDiagnostic`, false},
		{"reagentc|/setreimage|/path|D:\\", false},
		{"reagentc", false},
		{"wsreset", true},
		{`wusa|C:\ProgramData\updoc\packages\windows10.0-kb5999123-x64.msu|/quiet|/norestart`, true},
		{`wusa|C:\x.msu|/quiet`, false},
		{`wusa|/uninstall|/kb:5999123|/quiet`, false},
		{`wusa|C:\x.msu|/extract:C:\Windows`, false},
		{`wusa|\\fabrikam.example\x.msu|/quiet|/norestart`, false},
		{"wsreset|-i", false},
		{"", false},
		{"cmd|/c|dism", false},
	} {
		words := strings.Split(tt.line, "|")
		c := Change{Kind: Run, Path: words[0], Args: words[1:]}
		if err := c.Check(); (err == nil) != tt.want || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", tt.line, err)
		}
	}
}

// TestToolsAllHaveLines: every tool has a command line, and every line's tool is one.
func TestToolsAllHaveLines(t *testing.T) {
	var have []string
	for line := range strings.Lines(toolLines) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		have = append(have, words[0])
		for _, w := range words[1:] {
			if _, kind, ok := strings.Cut(w, "{"); ok && !slices.Contains([]string{"drive}", "root}", "package}", "file}", "source}", "update}"}, kind) {
				t.Errorf("%s: nobody knows {%s", strings.TrimSpace(line), kind)
			}
		}
	}
	slices.Sort(have)
	if have = slices.Compact(have); !slices.Equal(have, Tools) {
		t.Errorf("lines of %v, tools %v", have, Tools)
	}
}

func FuzzMayRun(f *testing.F) {
	for line := range strings.Lines(toolLines) {
		tool, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		f.Add(tool, strings.ReplaceAll(args, " ", "\x00"))
	}
	f.Add("dism", "/Online\x00/Remove-Package\x00/PackageName:a~b~c~~1\x00/NoRestart")
	f.Fuzz(func(t *testing.T, tool, args string) {
		list := strings.Split(args, "\x00")
		if mayRun(tool, list) && (len(list) > 4 || slices.ContainsFunc(list, func(a string) bool { return strings.ContainsAny(a, "\"%&|<>^\n*?") })) {
			t.Errorf("%s %q", tool, list)
		}
	})
}
