package winhost

import (
	"path"
	"strings"
)

// base is a folder that evidence lies below.
type base int

const (
	windowsFolder base = iota // C:\Windows
	systemFolder              // C:\Windows\System32, the 64-bit one
	dataFolder                // C:\ProgramData
	driveRoot                 // C:\
)

// place is a folder of evidence: files that match one of the patterns there, and
// of those the newest so many.
type place struct {
	base     base
	folder   string // with slashes, below the base
	patterns string // of path.Match, lower case, separated by blanks
	newest   int    // per pattern; 0: all, within reason
}

// evidence lists where a live machine keeps what tells of updating. It is a fixed
// list: updoc does not look around in other people's files.
func evidence() []place {
	setup := "setupact.log setuperr.log compatdata*.xml scanresult.xml setupdiagresults.xml"
	return []place{
		{windowsFolder, "", "windowsupdate.log", 0},
		{windowsFolder, "Logs/WindowsUpdate", "*.etl", 6},
		{windowsFolder, "Logs/CBS", "cbs.log checksur.log checksur.persist.log", 0},
		{windowsFolder, "Logs/CBS", "cbspersist_*.log cbspersist_*.cab", 3},
		{windowsFolder, "Logs/DISM", "dism.log", 0},
		{windowsFolder, "Logs/MoSetup", "bluebox.log updateagent.log", 0},
		{windowsFolder, "Logs/SetupDiag", "setupdiagresults.xml setupdiagresults.log", 0},
		{windowsFolder, "Panther", setup, 5},
		{windowsFolder, "Panther/NewOs", setup, 5},
		{windowsFolder, "Panther/UnattendGC", "setupact.log setuperr.log", 0},
		{driveRoot, "$WINDOWS.~BT/Sources/Panther", setup, 5},
		{driveRoot, "$WINDOWS.~BT/Sources/Rollback", "setupact.log setuperr.log", 0},
		{driveRoot, "$WINDOWS.~BT/Sources/Rollback/setupapi", "setupapi.*.log", 3},
		{systemFolder, "LogFiles/SetupCln", "setupact.log setuperr.log", 0},
		{windowsFolder, "INF", "setupapi.dev.log setupapi.setup.log setupapi.offline.log", 0},
		{windowsFolder, "SoftwareDistribution", "reportingevents.log", 0},
		{windowsFolder, "CCM/Logs", "wuahandler*.log scanagent*.log updatesdeployment*.log updateshandler*.log updatesstore*.log locationservices*.log contenttransfermanager*.log datatransferservice*.log cas*.log", 2},
		{systemFolder, "drivers/etc", "hosts", 0},
	}
}

// matches reports whether a base name fits one of the patterns, and which.
func (p place) matches(name string) (pattern string, ok bool) {
	low := strings.ToLower(name)
	for pat := range strings.FieldsSeq(p.patterns) {
		if ok, err := path.Match(pat, low); ok && err == nil {
			return pat, true
		}
	}
	return "", false
}

// listed reports whether the file rel below a base is evidence.
func listed(b base, rel string) bool {
	dir, name := path.Split(rel)
	for _, p := range evidence() {
		if _, ok := p.matches(name); ok && p.base == b && strings.EqualFold(p.folder, strings.TrimSuffix(dir, "/")) {
			return true
		}
	}
	return false
}
