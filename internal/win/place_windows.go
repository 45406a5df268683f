package win

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"
)

// CheckPlace says whether others than a user and the administrators may change this
// program: its file or its folder, by their owners and access control lists. [ErrPlace]
// names them. A file system that keeps no such lists is open to all.
func CheckPlace(user string) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("own program: %w", err)
	}
	return errors.Join(checkPlace(exe, user, changesFile), checkPlace(filepath.Dir(exe), user, changesFolder))
}

func checkPlace(path, user string, rights uint32) error {
	sd, err := windows.GetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("%s: %w: its rights cannot be read: %w", path, ErrPlace, err)
	}
	owner, _, err := sd.Owner()
	if err != nil || owner == nil {
		return fmt.Errorf("%s: %w: nobody owns it", path, ErrPlace)
	}
	list, err := grants(sd)
	if err != nil {
		return fmt.Errorf("%s: %w: its rights cannot be read: %w", path, ErrPlace, err)
	}
	return placeError(path, strangers(owner.String(), list, user, rights))
}

const everyone = "S-1-1-0"

// grants reads the entries that let somebody in. learn.microsoft.com: "ACE_HEADER
// structure": of the kinds of entries that a file may have, those that bear an object's
// type do nothing there, and one that has a condition is taken as if it held.
func grants(sd *windows.SECURITY_DESCRIPTOR) ([]grant, error) {
	dacl, _, err := sd.DACL()
	switch {
	case errors.Is(err, windows.ERROR_OBJECT_NOT_FOUND) || err == nil && dacl == nil: // no list lets everybody in
		return []grant{{everyone, ^uint32(0)}}, nil
	case err != nil:
		return nil, err
	}
	const allowedIf = 9 // ACCESS_ALLOWED_CALLBACK_ACE_TYPE
	var out []grant
	for i := range uint32(dacl.AceCount) {
		var ace *windows.ACCESS_ALLOWED_ACE
		if err := windows.GetAce(dacl, i, &ace); err != nil {
			return nil, err
		}
		if ace.Header.AceFlags&windows.INHERIT_ONLY_ACE != 0 {
			continue // for what is made in the folder
		}
		if t := ace.Header.AceType; t == windows.ACCESS_ALLOWED_ACE_TYPE || t == allowedIf {
			out = append(out, grant{(*windows.SID)(unsafe.Pointer(&ace.SidStart)).String(), uint32(ace.Mask)})
		}
	}
	return out, nil
}

// identify asks which file it is. learn.microsoft.com:
// "BY_HANDLE_FILE_INFORMATION structure".
func identify(path string) (fileID, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return fileID{}, err
	}
	h, err := windows.CreateFile(name, windows.FILE_READ_ATTRIBUTES, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		return fileID{}, fmt.Errorf("%s: %w", path, err)
	}
	defer func() { _ = windows.CloseHandle(h) }() // it was opened
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &info); err != nil {
		return fileID{}, fmt.Errorf("%s: %w", path, err)
	}
	return fileID{info.VolumeSerialNumber, info.FileIndexHigh, info.FileIndexLow}, nil
}
