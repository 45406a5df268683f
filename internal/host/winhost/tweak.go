package winhost

import (
	"slices"
	"strings"
)

// Where Windows keeps what is installed, for all users and for this one.
// learn.microsoft.com: "Uninstall Registry Key".
var installedKeys = []string{
	`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall`,
	`HKLM\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall`,
	`HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall`,
}

// maxInstalled bounds the programs that are looked at; a machine that is full has some
// hundred.
const maxInstalled = 3000

// tweakers are programs that are made to keep updates off, or that can: the names under
// which they are installed begin so. Those that need no installation leave no name.
var tweakers = []string{
	"DoNotSpy", "Destroy Windows 10 Spying", "NTLite", "O&O ShutUp10", "Privatezilla", "Spybot Anti-Beacon", "Stop Updates 10", "StopUpdates10",
	"Ultimate Windows Tweaker", "Update Freezer", "W10Privacy", "Win Updates Disabler", "Winaero Tweaker", "Windows Automatic Updates Manager",
	"Windows Update Blocker", "Windows Update Disabler", "Winpilot", "Wu10Man", "WuMgr",
}

// tools names the tweakers that are installed.
func (r *reading) tools() []string {
	var out []string
	left := maxInstalled
	for _, root := range installedKeys {
		all, ok := r.key("tools", root)
		for _, name := range all.Subkeys {
			if left--; !ok || left < 0 {
				break
			}
			k, ok := r.key("tools", root+`\`+name)
			if !ok {
				continue
			}
			display := strings.TrimSpace(text(k, "DisplayName"))
			if slices.ContainsFunc(tweakers, func(t string) bool { return len(display) >= len(t) && strings.EqualFold(display[:len(t)], t) }) {
				out = appendNew(out, display[:min(len(display), 100)])
			}
		}
	}
	return out
}
