package win

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/windows"
)

// CheckState holds a directory of journals, of a Windows that does not run, to what
// StateDir makes: a directory and no link that belongs to the administrators or the
// system, whose identifiers are the same on every Windows. [ErrForeign] says that it is
// something else.
func CheckState(dir string) error {
	for _, p := range []string{filepath.Dir(dir), dir} {
		info, err := os.Lstat(p)
		if err != nil {
			return fmt.Errorf("state directory: %w", err)
		}
		if info.Mode()&(os.ModeSymlink|os.ModeIrregular) != 0 || !info.IsDir() {
			return fmt.Errorf("state directory: %s: %w: it is a link, or no directory", p, ErrForeign)
		}
	}
	sd, err := windows.GetNamedSecurityInfo(dir, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("state directory: owner of %s: %w", dir, err)
	}
	owner, _, err := sd.Owner()
	if err != nil {
		return fmt.Errorf("state directory: owner of %s: %w", dir, err)
	}
	if !slices.ContainsFunc([]windows.WELL_KNOWN_SID_TYPE{windows.WinBuiltinAdministratorsSid, windows.WinLocalSystemSid}, owner.IsWellKnown) && owner.String() != wineUser {
		return fmt.Errorf("state directory: %s: %w: it belongs to %v", dir, ErrForeign, owner)
	}
	return nil
}
