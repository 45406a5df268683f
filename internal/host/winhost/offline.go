package winhost

import (
	"fmt"
	"strings"

	"updoc/internal/host"
)

// offlineRoot accepts the folder in which the volume of a Windows stands: D:\ or, if
// it is mounted there, C:\mount.
func offlineRoot(dir string) (string, error) {
	root := strings.TrimRight(strings.ReplaceAll(dir, "/", `\`), `\`)
	if len(root) < 2 || root[1] != ':' || strings.ContainsAny(root[2:], ":*?\"<>|") || strings.Contains(root, `..`) {
		return "", fmt.Errorf("%q: %w: not a full path with a drive letter", dir, host.ErrRefused)
	}
	return root, nil
}
