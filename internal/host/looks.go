package host

import (
	"slices"
	"strings"
)

// lookLines are the command lines of which Microsoft says that they change nothing:
// "DISM Operating System Package Servicing Command-Line Options" (/CheckHealth,
// /ScanHealth), "sfc" (/verifyonly, /verifyfile), "REAgentC command-line options"
// (/info), "winmgmt" (/verifyrepository). chkdsk /scan is none of them: it mends what it can
// while the volume is in use.
const lookLines = `
dism /Online /Cleanup-Image /CheckHealth
dism /Online /Cleanup-Image /ScanHealth
reagentc /info
sfc /verifyonly
sfc /verifyfile={file}
winmgmt /verifyrepository
`

// Looks reports that a change is a tool that only looks: there is nothing to take back
// of it. Setup only looks when it is told to scan for what is incompatible and no more
// (learn.microsoft.com: "Windows Setup Command-Line Options", /Compat ScanOnly).
func (c Change) Looks() bool {
	if c.Kind != Run {
		return false
	}
	if c.Path == ToolSetup {
		for i := 1; i < len(c.Args); i++ {
			if equalFold(c.Args[i-1], "/compat") && equalFold(c.Args[i], "scanonly") {
				return true
			}
		}
		return false
	}
	for line := range strings.Lines(lookLines) {
		words := strings.Fields(line)
		if len(words) == len(c.Args)+1 && words[0] == c.Path && slices.EqualFunc(words[1:], c.Args, argument) {
			return true
		}
	}
	return false
}
