package winhost

import (
	"strings"

	"updoc/internal/host"
)

// sourceFlag is how DISM is told of the source of a repair.
// learn.microsoft.com: "Repair a Windows Image".
const sourceFlag = "/Source:"

// discOf finds the argument that leads into an ISO file, see host.InDisc: which one it
// is, what stands before the path in it, the file, and the name in that.
func discOf(args []string) (at int, before, disc, inside string) {
	for i, a := range args {
		if len(a) < len(sourceFlag) || !strings.EqualFold(a[:len(sourceFlag)], sourceFlag) {
			continue
		}
		n := len(sourceFlag)
		if kind, _, ok := strings.Cut(a[n:], ":"); ok && len(kind) > 1 { // "wim:", not a drive
			n += len(kind) + 1
		}
		if disc, inside, ok := host.InDisc(a[n:]); ok {
			return i, a[:n], disc, inside
		}
	}
	return -1, "", "", ""
}
