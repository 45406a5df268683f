package host

import (
	"slices"
	"strconv"
	"strings"
)

// toolLines are the command lines that a Run may have, one a line and nothing
// else: whoever can write to a journal must not be able to have fsutil or dism do
// something else as an administrator. What stands in braces is see [argument].
//
// learn.microsoft.com: "Windows commands", "DISM Operating System Package
// Servicing Command-Line Options", "Windows Update Standalone Installer in Windows",
// "Configure and manage Microsoft Defender Antivirus with the MpCmdRun.exe
// command-line tool".
const toolLines = `
chkdsk /scan
chkdsk {drive} /scan
cleanmgr /sagerun:407
dism /Online /Cleanup-Image /CheckHealth
dism /Online /Cleanup-Image /ScanHealth
dism /Online /Cleanup-Image /RestoreHealth
dism /Online /Cleanup-Image /RestoreHealth /Source:{source} /LimitAccess
dism /Online /Cleanup-Image /StartComponentCleanup
dism /Online /Add-Package /PackagePath:{update} /NoRestart
dism /Online /Remove-Package /PackageName:{package} /NoRestart
dism /Online /Set-ReservedStorageState /State:Disabled
dism /Online /Set-ReservedStorageState /State:Enabled
fsutil resource setautoreset true {root}
gpupdate /target:computer /force /wait:300
ipconfig /flushdns
mpcmdrun -SignatureUpdate
msdt /id WindowsUpdateDiagnostic
reagentc /disable
reagentc /enable
reagentc /info
sfc /scannow
sfc /verifyonly
sfc /verifyfile={file}
usoclient StartDownload
usoclient StartInstall
usoclient StartScan
w32tm /config /update
w32tm /resync
w32tm /resync /rediscover
winmgmt /salvagerepository
winmgmt /verifyrepository
wsreset
wusa {update} /quiet /norestart
`

// mayRun reports whether a tool may be run with these arguments.
func mayRun(tool string, args []string) bool {
	if tool == ToolSetup {
		return mayInstall(args)
	}
	if tool == "dism" && mayUnpack(args) {
		return true
	}
	for line := range strings.Lines(toolLines) {
		words := strings.Fields(line)
		if len(words) == len(args)+1 && words[0] == tool && slices.EqualFunc(words[1:], args, argument) {
			return true
		}
	}
	return false
}

// argument reports whether an argument is what the table has in its place: the
// same word, or the same beginning and then
//
//	{drive}     C:
//	{root}      C:\
//	{package}   a full package identity that is not the servicing stack's
//	{file}      the full path of a file below C:\Windows
//	{source}    wim:PATH:INDEX, esd:PATH:INDEX, or the path of a folder; a path may be a share's
//	{update}    the full path of an .msu or .cab
func argument(word, arg string) bool {
	begin, kind, ok := strings.Cut(word, "{")
	if !ok {
		return equalFold(word, arg)
	}
	if len(arg) < len(begin) || !equalFold(arg[:len(begin)], begin) {
		return false
	}
	arg = arg[len(begin):]
	switch kind {
	case "drive}":
		return len(arg) == 2 && localPath(arg+`\x`)
	case "root}":
		return len(arg) == 3 && localPath(arg+"x")
	case "package}":
		return PackageName(arg) && !strings.Contains(strings.ToLower(arg), "servicingstack")
	case "file}":
		return localPath(arg) && len(arg) > len(`C:\Windows\`) && equalFold(arg[1:len(`C:\Windows\`)], `:\Windows\`)
	case "source}":
		return RepairSource(arg)
	case "update}":
		low := strings.ToLower(arg)
		return localPath(arg) && (strings.HasSuffix(low, ".msu") || strings.HasSuffix(low, ".cab")) && len(arg) <= maxSourcePath
	}
	return false
}

// maxSourcePath bounds a path that a tool is given: what Windows takes without a prefix.
const maxSourcePath = 259

// RepairSource reports an argument that DISM takes as /Source: one Windows of an image
// file, or a Windows folder, on a drive or on a share.
// learn.microsoft.com: "Configure a Windows Repair Source".
func RepairSource(s string) bool {
	for _, kind := range []string{"wim", "esd"} {
		rest, ok := strings.CutPrefix(strings.ToLower(s), kind+":")
		if !ok {
			continue
		}
		i := strings.LastIndexByte(rest, ':')
		if i < 0 {
			return false
		}
		index, err := strconv.Atoi(rest[i+1:])
		return err == nil && 0 < index && index <= maxImages && strconv.Itoa(index) == rest[i+1:] &&
			strings.HasSuffix(rest[:i], "."+kind) && sourcePath(rest[:i])
	}
	return sourcePath(s)
}

// sourcePath accepts a full path on a drive, or one on a share: \\SERVER\SHARE\...
func sourcePath(p string) bool {
	if len(p) > maxSourcePath {
		return false
	}
	share, ok := strings.CutPrefix(p, `\\`)
	if !ok {
		return localPath(p)
	}
	server, rest, ok := strings.Cut(share, `\`)
	name := func(r rune) bool {
		return 'a' <= r|0x20 && r|0x20 <= 'z' || '0' <= r && r <= '9' || r == '-' || r == '_' || r == '.'
	}
	return ok && server != "" && len(server) <= 253 && strings.TrimFunc(server, name) == "" && strings.Trim(server, ".") != "" &&
		localPath(`C:\`+rest)
}

// PackageName reports a full package identity: name, token, architecture,
// language, version.
func PackageName(s string) bool {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.~"
	return strings.Count(s, "~") == 4 && len(s) <= 250 && s[0] != '~' && strings.Trim(s, letters) == ""
}
