package win

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"unsafe"

	"golang.org/x/sys/windows"
)

// stateRights: owned by the administrators, who have every right, as the system
// has; handed down, and nothing taken from ProgramData, where every user may make
// files.
const stateRights = "O:BAG:SYD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"

func stateDir() (string, error) {
	data, err := windows.KnownFolderPath(windows.FOLDERID_ProgramData, 0)
	if err != nil {
		return "", fmt.Errorf("state directory: %w", err)
	}
	dir := filepath.Join(data, "updoc")
	if err := secureDir(dir, stateRights, windows.WinBuiltinAdministratorsSid, windows.WinLocalSystemSid); err != nil {
		return "", fmt.Errorf("state directory: %w", err)
	}
	return dir, nil
}

// wineUser owns every file under Wine, which knows no other owner. No account of a
// Windows has this identifier: a domain's is never zero.
const wineUser = "S-1-5-21-0-0-0-1000"

// secureDir makes a directory with these rights. One that is there already has to be
// a directory and no link, to belong to one of the owners, and gets the rights anew.
func secureDir(dir, rights string, owners ...windows.WELL_KNOWN_SID_TYPE) error {
	sd, err := windows.SecurityDescriptorFromString(rights)
	if err != nil {
		return fmt.Errorf("rights of %s: %w", dir, err)
	}
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return err
	}
	sa := &windows.SecurityAttributes{SecurityDescriptor: sd}
	sa.Length = uint32(unsafe.Sizeof(*sa))
	err = windows.CreateDirectory(name, sa)
	if err == nil {
		return nil
	}
	if !errors.Is(err, windows.ERROR_ALREADY_EXISTS) {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	h, err := windows.CreateFile(name, windows.READ_CONTROL|windows.WRITE_DAC|windows.FILE_READ_ATTRIBUTES,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, nil, windows.OPEN_EXISTING,
		windows.FILE_FLAG_BACKUP_SEMANTICS|windows.FILE_FLAG_OPEN_REPARSE_POINT, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer func() { _ = windows.CloseHandle(h) }() // it was opened
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &info); err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	if info.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY == 0 || info.FileAttributes&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 {
		return fmt.Errorf("%s: %w: it is a link, or no directory", dir, ErrForeign)
	}
	now, err := windows.GetSecurityInfo(h, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("owner of %s: %w", dir, err)
	}
	owner, _, err := now.Owner()
	if err != nil {
		return fmt.Errorf("owner of %s: %w", dir, err)
	}
	if !slices.ContainsFunc(owners, owner.IsWellKnown) && owner.String() != wineUser {
		return fmt.Errorf("%s: %w: it belongs to %v", dir, ErrForeign, owner)
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return fmt.Errorf("rights of %s: %w", dir, err)
	}
	err = windows.SetSecurityInfo(h, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, dacl, nil)
	if err != nil {
		return fmt.Errorf("rights of %s: %w", dir, err)
	}
	return nil
}
