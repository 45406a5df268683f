package cause

import (
	"slices"
	"strings"

	"updoc/internal/facts"
)

// servicePath is what Windows starts for a service.
type servicePath struct {
	name   string
	exe    string   // below the folder of Windows
	groups []string // what svchost.exe is told with -k since Windows 7; nil: not looked at
	dlls   []string // in system32, what svchost.exe loads for it (ServiceDll); nil: not looked at
}

// svchost is the program that most services of Windows share.
const svchost = `system32\svchost.exe`

// servicePaths are the programs of the services that carry out updates, as every
// release sets them up (learn.microsoft.com: "Changes to Service Host grouping in
// Windows 10"). Between releases services move from one group to another; another
// program they never get.
var servicePaths = [...]servicePath{
	{"wuauserv", svchost, []string{"netsvcs", "wusvcs"}, []string{"wuaueng.dll", "wuauserv.dll"}}, // the second: Windows XP
	{"UsoSvc", svchost, []string{"netsvcs", "wusvcs"}, []string{"usosvc.dll", "usocore.dll"}},
	{"WaaSMedicSvc", svchost, []string{"wusvcs", "netsvcs"}, nil},
	{"bits", svchost, []string{"netsvcs"}, []string{"qmgr.dll"}},
	{"cryptsvc", svchost, []string{"networkservice", "netsvcs"}, []string{"cryptsvc.dll"}},
	{"DoSvc", svchost, nil, nil}, // of no release before Windows 10, and moved since
	{"TrustedInstaller", `servicing\trustedinstaller.exe`, nil, nil},
	{"msiserver", `system32\msiexec.exe`, nil, nil},
}

// fits says whether a command line is one that Windows gives the service.
func (p servicePath) fits(command string) bool {
	exe, args := splitCommand(strings.ToLower(command))
	below, ok := belowWindows(exe)
	if !ok || below != p.exe {
		return false
	}
	if p.groups == nil {
		return true
	}
	words := strings.Fields(args)
	k := slices.Index(words, "-k")
	return k >= 0 && k+1 < len(words) && slices.Contains(p.groups, words[k+1])
}

// splitCommand splits a command line into the program and what follows.
func splitCommand(s string) (exe, args string) {
	s = strings.TrimSpace(s)
	if rest, ok := strings.CutPrefix(s, `"`); ok {
		exe, args, _ = strings.Cut(rest, `"`)
		return exe, args
	}
	exe, args, _ = strings.Cut(s, " ")
	return exe, args
}

// belowWindows returns the part of a path in lower case below the folder of Windows,
// in any of the ways that the service control manager takes it. The folder is called
// Windows unless somebody chose another name, which then begins with win as a rule.
func belowWindows(path string) (string, bool) {
	path = strings.TrimPrefix(path, `\??\`)
	for _, root := range [...]string{`%systemroot%\`, `%windir%\`, `\systemroot\`} {
		if rest, ok := strings.CutPrefix(path, root); ok {
			return rest, true
		}
	}
	if len(path) < 3 || path[1] != ':' || path[2] != '\\' {
		return "", false
	}
	folder, rest, ok := strings.Cut(path[3:], `\`)
	return rest, ok && strings.HasPrefix(folder, "win")
}

// replacedPaths counts services that start something else than Windows lets them
// start: what a tool or malware put there in place of the service.
func replacedPaths(w Weight) rule {
	return func(l *look) {
		for _, p := range servicePaths {
			replacedLibrary(l, w, p)
			s := l.Service(p.name)
			if s.State != facts.Present || s.Value.Binary == "" || p.fits(s.Value.Binary) {
				continue
			}
			l.For(w, s.Value.ConfiguredIn(), "%s starts %s, which is not what Windows starts", p.name, s.Value.Binary)
		}
	}
}

// replacedLibrary counts a service for which svchost.exe is told to load something
// else than Windows lets it load.
func replacedLibrary(l *look, w Weight, p servicePath) {
	if p.dlls == nil {
		return
	}
	key := `HKLM\SYSTEM\CurrentControlSet\Services\` + p.name + `\Parameters`
	dll := l.Text(key, "ServiceDll")
	if dll.State != facts.Present {
		return
	}
	below, ok := belowWindows(strings.ToLower(strings.TrimSpace(dll.Value)))
	name, inside := strings.CutPrefix(below, `system32\`)
	if !ok || !inside || !slices.Contains(p.dlls, name) {
		l.For(w, dll.Source, "%s loads %s, which is not what Windows loads", p.name, dll.Value)
	}
}
