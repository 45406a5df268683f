package winhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// The keys at which the hives of a Windows that does not run are loaded. Ones that a
// process left there when it was killed are unloaded first.
const (
	offlineSoftware = "updoc-offline-SOFTWARE"
	offlineSystem   = "updoc-offline-SYSTEM"
)

// OpenOffline opens the Windows whose volume stands in dir, as D:\, to change it from
// this one: its hives SOFTWARE and SYSTEM are loaded, and no user's. done unloads them
// and has to be called. It needs an administrator.
// learn.microsoft.com: "RegLoadKeyW", SE_RESTORE_NAME and SE_BACKUP_NAME.
func OpenOffline(ctx context.Context, dir string) (h *host.Offline, done func() error, err error) {
	root, err := offlineRoot(dir)
	if err != nil {
		return nil, nil, err
	}
	base, err := Open(ctx)
	if err != nil {
		return nil, nil, err
	}
	if strings.EqualFold(root, base.places.drive) {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w: it is the Windows that runs", dir, host.ErrRefused), base.Close())
	}
	if err := enablePrivileges("SeRestorePrivilege", "SeBackupPrivilege"); err != nil {
		return nil, nil, errors.Join(err, base.Close())
	}
	closes := []func() error{base.Close}
	done = func() error {
		var errs []error
		for i := len(closes) - 1; i >= 0; i-- {
			errs = append(errs, closes[i]())
		}
		return errors.Join(errs...)
	}
	for key, file := range map[string]string{offlineSoftware: "SOFTWARE", offlineSystem: "SYSTEM"} {
		unload, err := loadHive(key, root+`\Windows\System32\config\`+file)
		if err != nil {
			return nil, nil, errors.Join(err, done())
		}
		closes = append(closes, unload)
	}
	h, err = host.OpenOffline(ctx, host.Offline{Base: base, Software: `HKLM\` + offlineSoftware, System: `HKLM\` + offlineSystem, Root: root})
	if err != nil {
		return nil, nil, errors.Join(err, done())
	}
	return h, done, nil
}

// loadHive loads a hive below HKEY_LOCAL_MACHINE until unload. The file has to stand
// where its path says: no link leads elsewhere.
func loadHive(name, file string) (unload func() error, err error) {
	node, err := openNode(file, 0)
	if err != nil {
		return nil, fmt.Errorf("load the registry of that Windows: %w", err)
	}
	closeHandle(node) // the registry wants the file for itself
	key, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	p, err := windows.UTF16PtrFromString(file)
	if err != nil {
		return nil, err
	}
	_ = regUnLoadKey(windows.HKEY_LOCAL_MACHINE, key) // left there by a process that was killed; else there is none
	if err := regLoadKey(windows.HKEY_LOCAL_MACHINE, key, p); err != nil {
		return nil, wrap("load "+file, err)
	}
	return func() error {
		if loaded, err := openKey(`HKLM\`+name, windows.KEY_QUERY_VALUE); err == nil {
			err = flush(loaded)
			closeKey(loaded)
			if err != nil {
				return err
			}
		}
		return wrap("unload "+file, regUnLoadKey(windows.HKEY_LOCAL_MACHINE, key))
	}, nil
}

// enablePrivileges enables privileges that the process' token holds.
// learn.microsoft.com: "AdjustTokenPrivileges": that one is not held is told by the
// last error alone, so the token is asked.
func enablePrivileges(names ...string) error {
	var token windows.Token
	if err := windows.OpenProcessToken(windows.CurrentProcess(), windows.TOKEN_ADJUST_PRIVILEGES|windows.TOKEN_QUERY, &token); err != nil {
		return wrap("open the process' token", err)
	}
	defer token.Close()
	for _, name := range names {
		p, err := windows.UTF16PtrFromString(name)
		if err != nil {
			return err
		}
		var luid windows.LUID
		if err := windows.LookupPrivilegeValue(nil, p, &luid); err != nil {
			return wrap("look up "+name, err)
		}
		want := windows.Tokenprivileges{PrivilegeCount: 1, Privileges: [1]windows.LUIDAndAttributes{{Luid: luid, Attributes: windows.SE_PRIVILEGE_ENABLED}}}
		before, size := windows.Tokenprivileges{}, uint32(0)
		if err := windows.AdjustTokenPrivileges(token, false, &want, uint32(unsafe.Sizeof(before)), &before, &size); err != nil {
			return wrap("enable "+name, err)
		}
		if before.PrivilegeCount == 0 && !holdsPrivilege(token, luid) {
			return fmt.Errorf("enable %s: %w", name, host.ErrDenied)
		}
	}
	return nil
}

// holdsPrivilege reports whether a privilege is enabled in a token.
func holdsPrivilege(token windows.Token, luid windows.LUID) bool {
	size := uint32(4 << 10)
	buf := make([]uint64, size/8)
	if err := windows.GetTokenInformation(token, windows.TokenPrivileges, (*byte)(unsafe.Pointer(&buf[0])), size, &size); err != nil {
		return false
	}
	for _, p := range (*windows.Tokenprivileges)(unsafe.Pointer(&buf[0])).AllPrivileges() {
		if p.Luid == luid && p.Attributes&windows.SE_PRIVILEGE_ENABLED != 0 {
			return true
		}
	}
	return false
}
