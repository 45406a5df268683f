package winhost

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// Rights that an administrator has and that nobody uses unasked.
// learn.microsoft.com: "Privilege Constants".
const (
	seSecurity      = "SeSecurityPrivilege"      // audit lists
	seTakeOwnership = "SeTakeOwnershipPrivilege" // an owner that one is oneself
	seRestore       = "SeRestorePrivilege"       // any other owner, such as TrustedInstaller
	seBackup        = "SeBackupPrivilege"
)

// withPrivileges calls f with the rights that this account has of those. They hold
// for f alone: the thread that runs it gets a token of its own.
func withPrivileges(f func() error, names ...string) error {
	runtime.LockOSThread()
	if err := windows.ImpersonateSelf(windows.SecurityImpersonation); err != nil {
		runtime.UnlockOSThread()
		return wrap("impersonate", err)
	}
	defer func() {
		if windows.RevertToSelf() == nil {
			runtime.UnlockOSThread()
		} // else the thread ends with its goroutine, and its token with it
	}()
	var token windows.Token
	if err := windows.OpenThreadToken(windows.CurrentThread(), windows.TOKEN_ADJUST_PRIVILEGES|windows.TOKEN_QUERY, true, &token); err != nil {
		return wrap("open the thread's token", err)
	}
	defer func() { _ = token.Close() }() // it was opened
	for _, name := range names {
		n, err := windows.UTF16PtrFromString(name)
		if err != nil {
			return err
		}
		p := windows.Tokenprivileges{PrivilegeCount: 1}
		p.Privileges[0].Attributes = windows.SE_PRIVILEGE_ENABLED
		if err := windows.LookupPrivilegeValue(nil, n, &p.Privileges[0].Luid); err != nil {
			return wrap("privilege "+name, err)
		}
		// Success also says that this account has no such right: what needs it is
		// denied then, and says so.
		if err := windows.AdjustTokenPrivileges(token, false, &p, 0, nil, nil); err != nil {
			return wrap("privilege "+name, err)
		}
	}
	return f()
}

// partsOf says which parts of a descriptor an SDDL text speaks of, and what one
// has to be allowed in order to read and to write them.
func partsOf(sd *windows.SECURITY_DESCRIPTOR) (parts windows.SECURITY_INFORMATION, privileges []string, err error) {
	control, _, err := sd.Control()
	if err != nil {
		return 0, nil, err
	}
	if owner, _, err := sd.Owner(); err == nil && owner != nil {
		parts |= windows.OWNER_SECURITY_INFORMATION
		privileges = append(privileges, seTakeOwnership, seRestore)
	}
	if group, _, err := sd.Group(); err == nil && group != nil {
		parts |= windows.GROUP_SECURITY_INFORMATION
		privileges = append(privileges, seTakeOwnership, seRestore)
	}
	if control&windows.SE_DACL_PRESENT != 0 {
		parts |= windows.DACL_SECURITY_INFORMATION
	}
	if control&windows.SE_SACL_PRESENT != 0 {
		parts |= windows.SACL_SECURITY_INFORMATION
		privileges = append(privileges, seSecurity)
	}
	if parts == 0 {
		return 0, nil, errors.New("the descriptor says nothing")
	}
	return parts, privileges, nil
}

// parse reads an SDDL text.
func parse(sddl string) (sd *windows.SECURITY_DESCRIPTOR, parts windows.SECURITY_INFORMATION, privileges []string, err error) {
	if sd, err = windows.SecurityDescriptorFromString(sddl); err != nil {
		return nil, 0, nil, wrap("security descriptor "+sddl, err)
	}
	if parts, privileges, err = partsOf(sd); err != nil {
		return nil, 0, nil, fmt.Errorf("security descriptor %s: %w", sddl, err)
	}
	return sd, parts, privileges, nil
}

// inverseSDDL compares what is with what is wanted, both as Windows writes them.
func inverseSDDL(c host.Change, now string) ([]host.Change, error) {
	sd, _, _, err := parse(c.SDDL)
	if err != nil {
		return nil, err
	}
	if grants(now, sd.String()) {
		return []host.Change{c}, nil
	}
	return []host.Change{{Kind: c.Kind, Path: c.Path, SDDL: now}}, nil
}

// serviceSDDL reads those parts of a service's descriptor of which like speaks.
func serviceSDDL(name, like string) (string, error) {
	_, parts, privileges, err := parse(like)
	if err != nil {
		return "", err
	}
	access := uint32(windows.READ_CONTROL)
	if parts&windows.SACL_SECURITY_INFORMATION != 0 {
		access |= windows.ACCESS_SYSTEM_SECURITY
	}
	var text string
	err = withPrivileges(func() error {
		s, err := openService(name, access)
		if err != nil {
			return err
		}
		defer closeService(s)
		buf := make([]uint64, 64<<10/8)
		var needed uint32
		if err := queryServiceObjectSecurity(s, parts, (*byte)(unsafe.Pointer(&buf[0])), uint32(len(buf)*8), &needed); err != nil {
			return wrap("security of service "+name, err)
		}
		text = (*windows.SECURITY_DESCRIPTOR)(unsafe.Pointer(&buf[0])).String()
		return nil
	}, privileges...)
	return text, err
}

func setServiceSDDL(name, sddl string) error {
	sd, parts, privileges, err := parse(sddl)
	if err != nil {
		return err
	}
	var access uint32
	if parts&windows.DACL_SECURITY_INFORMATION != 0 {
		access |= windows.WRITE_DAC
	}
	if parts&(windows.OWNER_SECURITY_INFORMATION|windows.GROUP_SECURITY_INFORMATION) != 0 {
		access |= windows.WRITE_OWNER
	}
	if parts&windows.SACL_SECURITY_INFORMATION != 0 {
		access |= windows.ACCESS_SYSTEM_SECURITY
	}
	err = withPrivileges(func() error {
		s, err := openService(name, access)
		if err != nil {
			return err
		}
		defer closeService(s)
		return wrap("security of service "+name, setServiceObjectSecurity(s, parts, sd))
	}, privileges...)
	if err != nil {
		return err
	}
	return flushService(name)
}

// fileSDDL reads those parts of a file's descriptor of which like speaks.
func fileSDDL(p, like string) (string, error) {
	_, parts, privileges, err := parse(like)
	if err != nil {
		return "", err
	}
	var text string
	err = withPrivileges(func() error {
		f, err := openNode(p, accessFor(parts, false))
		if err != nil {
			return err
		}
		defer closeHandle(f)
		sd, err := windows.GetSecurityInfo(f, windows.SE_FILE_OBJECT, parts)
		if err != nil {
			return wrap("security of "+p, err)
		}
		text = sd.String()
		return nil
	}, append(privileges, seBackup)...)
	return text, err
}

// setFileSDDL sets them. What a folder hands down reaches what is in it; a list
// that is not protected gets what its own parent hands down.
// learn.microsoft.com: "SetSecurityInfo", "Automatic Propagation of Inheritable ACEs".
func setFileSDDL(p, sddl string) error {
	d, err := describe(sddl)
	if err != nil {
		return err
	}
	return withPrivileges(func() error {
		f, err := openNode(p, accessFor(d.parts, true))
		if err != nil {
			return err
		}
		defer closeHandle(f)
		return wrap("security of "+p, d.set(f, windows.SE_FILE_OBJECT))
	}, append(d.privileges, seBackup, seRestore)...)
}

// rights is a security descriptor that is to be set.
type rights struct {
	sd           *windows.SECURITY_DESCRIPTOR
	control      windows.SECURITY_DESCRIPTOR_CONTROL
	parts        windows.SECURITY_INFORMATION // that it speaks of
	privileges   []string                     // that setting them takes
	owner, group *windows.SID                 // nil where it does not speak of them
	dacl, sacl   *windows.ACL
}

func describe(sddl string) (d rights, err error) {
	if d.sd, d.parts, d.privileges, err = parse(sddl); err != nil {
		return d, err
	}
	if d.control, _, err = d.sd.Control(); err != nil {
		return d, wrap("security descriptor", err)
	}
	d.owner, _, _ = d.sd.Owner()
	d.group, _, _ = d.sd.Group()
	d.dacl, _, _ = d.sd.DACL()
	d.sacl, _, _ = d.sd.SACL()
	return d, nil
}

// set gives an object the descriptor; lists say whether they take what is handed down.
func (d rights) set(object windows.Handle, kind windows.SE_OBJECT_TYPE) error {
	set := d.parts
	if d.parts&windows.DACL_SECURITY_INFORMATION != 0 {
		set |= choose(d.control&windows.SE_DACL_PROTECTED != 0, windows.PROTECTED_DACL_SECURITY_INFORMATION, windows.UNPROTECTED_DACL_SECURITY_INFORMATION)
	}
	if d.parts&windows.SACL_SECURITY_INFORMATION != 0 {
		set |= choose(d.control&windows.SE_SACL_PROTECTED != 0, windows.PROTECTED_SACL_SECURITY_INFORMATION, windows.UNPROTECTED_SACL_SECURITY_INFORMATION)
	}
	return windows.SetSecurityInfo(object, kind, set, d.owner, d.group, d.dacl, d.sacl)
}

func choose(yes bool, a, b windows.SECURITY_INFORMATION) windows.SECURITY_INFORMATION {
	if yes {
		return a
	}
	return b
}

// accessFor is the access that reading or writing parts of a descriptor takes.
func accessFor(parts windows.SECURITY_INFORMATION, write bool) uint32 {
	access := uint32(windows.READ_CONTROL)
	if write && parts&windows.DACL_SECURITY_INFORMATION != 0 {
		access |= windows.WRITE_DAC
	}
	if write && parts&(windows.OWNER_SECURITY_INFORMATION|windows.GROUP_SECURITY_INFORMATION) != 0 {
		access |= windows.WRITE_OWNER
	}
	if parts&windows.SACL_SECURITY_INFORMATION != 0 {
		access |= windows.ACCESS_SYSTEM_SECURITY
	}
	return access
}
