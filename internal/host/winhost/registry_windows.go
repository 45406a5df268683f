package winhost

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// Bounds of what one key may hold: the registry has hardly any of its own, and
// what is above is somebody's mistake or trap.
const (
	maxValues  = 20_000
	maxSubkeys = 100_000 // Component Based Servicing\Packages has thousands
	maxKeyData = 64 << 20
	maxName    = 16_384 // characters; learn.microsoft.com: "Registry Element Size Limits"
)

// view makes a 32-bit process see the same registry as any other. The 32-bit view
// of a 64-bit Windows has a path of its own below it: HKLM\SOFTWARE\WOW6432Node.
// learn.microsoft.com: "Accessing an Alternate Registry View".
const view = windows.KEY_WOW64_64KEY

// cutRoot splits a path as the rest of updoc writes it. The users below HKU are
// those whose hives are loaded already.
func cutRoot(p string) (windows.Handle, string, bool) {
	root, rest, _ := strings.Cut(p, `\`)
	h, ok := map[string]windows.Handle{
		"HKLM": windows.HKEY_LOCAL_MACHINE, "HKCU": windows.HKEY_CURRENT_USER,
		"HKU": windows.HKEY_USERS, "HKCR": windows.HKEY_CLASSES_ROOT,
	}[strings.ToUpper(root)]
	return h, rest, ok
}

// openKey opens a key that exists.
func openKey(p string, access uint32) (windows.Handle, error) {
	root, rest, ok := cutRoot(p)
	if !ok {
		return 0, fmt.Errorf("key %s: %w: no such root", p, host.ErrNotExist)
	}
	name, err := windows.UTF16PtrFromString(rest)
	if err != nil {
		return 0, fmt.Errorf("key %s: %w", p, err)
	}
	var key windows.Handle
	if err := windows.RegOpenKeyEx(root, name, 0, access|view, &key); err != nil {
		return 0, wrap("key "+p, err)
	}
	return key, nil
}

func closeKey(key windows.Handle) { _ = windows.RegCloseKey(key) } // a handle that was opened closes

// Key reads a registry key.
func (h *Host) Key(ctx context.Context, p string) (host.Key, error) {
	if err := ctx.Err(); err != nil {
		return host.Key{}, fmt.Errorf("key %s: %w", p, err)
	}
	key, err := openKey(p, windows.KEY_READ)
	if err != nil {
		return host.Key{Source: "registry"}, err
	}
	defer closeKey(key)
	k := host.Key{Path: p, Source: "registry " + p}
	if err := readValues(ctx, key, &k); err != nil {
		return host.Key{}, wrap("values of key "+p, err)
	}
	if err := readSubkeys(ctx, key, &k); err != nil {
		return host.Key{}, wrap("subkeys of key "+p, err)
	}
	return k, nil
}

// readValues reads all values. Name and data come with one call, so that a name
// with a NUL in it, which no call could ask for, is read like any other.
func readValues(ctx context.Context, key windows.Handle, k *host.Key) error {
	var longest uint32
	if err := windows.RegQueryInfoKey(key, nil, nil, nil, nil, nil, nil, nil, nil, &longest, nil, nil); err != nil {
		return err
	}
	name, data := make([]uint16, maxName), make([]byte, max(longest, 1))
	total := 0
	for i := uint32(0); ; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i >= maxValues || total > maxKeyData {
			k.Partial = true
			return nil
		}
		var typ uint32
		nameLen, dataLen := uint32(len(name)), uint32(len(data))
		err := regEnumValue(key, i, &name[0], &nameLen, nil, &typ, &data[0], &dataLen)
		switch {
		case is(err, windows.ERROR_NO_MORE_ITEMS):
			return nil
		case is(err, windows.ERROR_MORE_DATA): // it grew meanwhile
			if dataLen > maxKeyData {
				k.Partial = true
				continue
			}
			data = make([]byte, max(int(dataLen), 2*len(data)))
			i--
			continue
		case err != nil:
			return err
		}
		total += int(nameLen)*2 + int(dataLen)
		k.Values = append(k.Values, winlog.RegValue{
			Name: string(utf16.Decode(name[:nameLen])), Type: typ, Data: append([]byte{}, data[:dataLen]...),
		})
	}
}

func readSubkeys(ctx context.Context, key windows.Handle, k *host.Key) error {
	name := make([]uint16, 256+1) // a key's name has 255 characters at most
	for i := uint32(0); ; i++ {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if i >= maxSubkeys {
			k.Partial = true
			return nil
		}
		n := uint32(len(name))
		err := windows.RegEnumKeyEx(key, i, &name[0], &n, nil, nil, nil, nil)
		switch {
		case is(err, windows.ERROR_NO_MORE_ITEMS):
			return nil
		case err != nil:
			return err
		}
		k.Subkeys = append(k.Subkeys, string(utf16.Decode(name[:n])))
	}
}

// readValue reads one value; ok is false if there is none.
func readValue(key windows.Handle, name string) (v winlog.RegValue, ok bool, err error) {
	n, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return v, false, err
	}
	data := make([]byte, 256)
	for {
		size := uint32(len(data))
		err := windows.RegQueryValueEx(key, n, nil, &v.Type, &data[0], &size)
		switch {
		case is(err, windows.ERROR_FILE_NOT_FOUND):
			return v, false, nil
		case is(err, windows.ERROR_MORE_DATA) && size <= maxKeyData:
			data = make([]byte, max(int(size), 2*len(data)))
			continue
		case err != nil:
			return v, false, err
		}
		v.Name, v.Data = name, data[:size]
		return v, true, nil
	}
}

// inverseRegistry says what restores a key or value.
func (h *Host) inverseRegistry(c host.Change) ([]host.Change, error) {
	one := func(k host.ChangeKind) []host.Change { return []host.Change{{Kind: k, Path: c.Path, Name: c.Name}} }
	key, err := openKey(c.Path, windows.KEY_QUERY_VALUE)
	missing := errors.Is(err, host.ErrNotExist)
	if err != nil && !missing {
		return nil, err
	}
	if !missing {
		defer closeKey(key)
	}
	switch {
	case c.Kind == host.KeyMake && missing:
		return missingKeys(c.Path)
	case c.Kind == host.KeyDrop && missing, c.Kind == host.ValueDel && missing:
		return one(c.Kind), nil
	case c.Kind == host.KeyDrop, c.Kind == host.KeyMake && c.SDDL != "":
		return makeAgain(c)
	case c.Kind == host.KeyMake:
		return one(host.KeyMake), nil
	case missing:
		drops, err := missingKeys(c.Path)
		return append(one(host.ValueDel), drops...), err
	}
	v, ok, err := readValue(key, c.Name)
	if err != nil {
		return nil, wrap("value "+c.Name, err)
	}
	if !ok {
		return one(host.ValueDel), nil
	}
	return []host.Change{host.Set(c.Path, c.Name, v)}, nil
}

// makeAgain is what makes the key of c as it is now, with its descriptor: one that is made
// anew has what its parent hands down, and whoever makes it as its owner. Where the
// descriptor may not be read, it stays what that is.
func makeAgain(c host.Change) ([]host.Change, error) {
	again := host.Change{Kind: host.KeyMake, Path: c.Path}
	now, err := keySDDL(c.Path, keyParts|windows.SACL_SECURITY_INFORMATION)
	if err != nil && !errors.Is(err, host.ErrNotExist) { // the list of audits takes a right that not everybody has
		again.Lacks = host.LacksAudit
		now, err = keySDDL(c.Path, keyParts)
	}
	if err != nil && !errors.Is(err, host.ErrDenied) {
		return nil, err
	}
	if c.Kind == host.KeyMake {
		if sd, _, _, err := parse(c.SDDL); err == nil && grants(now, sd.String()) {
			return []host.Change{c}, nil
		}
	}
	again.SDDL = now
	return []host.Change{again}, nil
}

// keyParts are the parts of a key's descriptor that whoever may read it sees.
const keyParts = windows.OWNER_SECURITY_INFORMATION | windows.GROUP_SECURITY_INFORMATION | windows.DACL_SECURITY_INFORMATION

// keySDDL reads parts of a key's descriptor.
func keySDDL(p string, parts windows.SECURITY_INFORMATION) (text string, err error) {
	var privileges []string
	if parts&windows.SACL_SECURITY_INFORMATION != 0 {
		privileges = append(privileges, seSecurity)
	}
	err = withPrivileges(func() error {
		key, err := openKey(p, accessFor(parts, false))
		if err != nil {
			return err
		}
		defer closeKey(key)
		sd, err := windows.GetSecurityInfo(key, windows.SE_REGISTRY_KEY, parts)
		if err != nil {
			return wrap("security of key "+p, err)
		}
		text = sd.String()
		return nil
	}, privileges...)
	return text, err
}

// setKeySDDL gives a key its descriptor, if it has another, as who restores a registry
// does: the owner may be TrustedInstaller.
func setKeySDDL(p, sddl string) error {
	d, err := describe(sddl)
	if err != nil {
		return err
	}
	if now, err := keySDDL(p, d.parts); err == nil && grants(now, d.sd.String()) {
		return nil
	}
	root, rest, _ := cutRoot(p)
	name, err := windows.UTF16PtrFromString(rest)
	if err != nil {
		return err
	}
	access := accessFor(d.parts, true) | view
	return withPrivileges(func() error {
		const backupRestore = 4 // REG_OPTION_BACKUP_RESTORE, see restoredKey
		var key windows.Handle
		err := windows.RegOpenKeyEx(root, name, 0, access, &key)
		if err != nil {
			err = regCreateKeyEx(root, name, 0, nil, backupRestore, access, nil, &key, nil)
		}
		if err != nil {
			return wrap("open key "+p, err)
		}
		defer closeKey(key)
		return wrap("security of key "+p, d.set(key, windows.SE_REGISTRY_KEY))
	}, append(d.privileges, seBackup, seRestore)...)
}

// missingKeys drops what making the key p makes, the lowest first.
func missingKeys(p string) ([]host.Change, error) {
	var back []host.Change
	for strings.Contains(p, `\`) {
		key, err := openKey(p, windows.KEY_QUERY_VALUE)
		if err == nil {
			closeKey(key)
			break
		}
		if !errors.Is(err, host.ErrNotExist) {
			return nil, err
		}
		back = append(back, host.Change{Kind: host.KeyDrop, Path: p})
		p = p[:strings.LastIndexByte(p, '\\')]
	}
	return back, nil
}

// applyRegistry changes a key or value and has the hive written to the disk.
func (h *Host) applyRegistry(c host.Change) error {
	switch c.Kind {
	case host.KeyMake:
		key, err := makeKey(c.Path)
		if err != nil {
			return err
		}
		defer closeKey(key)
		if c.SDDL != "" {
			if err := setKeySDDL(c.Path, c.SDDL); err != nil {
				return err
			}
		}
		return flush(key)
	case host.KeyDrop:
		return dropKey(c.Path)
	case host.ValueDel:
		key, err := openKey(c.Path, windows.KEY_SET_VALUE|windows.KEY_QUERY_VALUE)
		if errors.Is(err, host.ErrDenied) {
			key, err = restoredKey(c.Path, err)
		}
		if errors.Is(err, host.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		defer closeKey(key)
		name, err := windows.UTF16PtrFromString(c.Name)
		if err != nil {
			return err
		}
		if err := regDeleteValue(key, name); err != nil && !is(err, windows.ERROR_FILE_NOT_FOUND) {
			return wrap("delete value "+c.Name, err)
		}
		return flush(key)
	}
	key, err := makeKey(c.Path)
	if err != nil {
		return err
	}
	defer closeKey(key)
	if err := setValue(key, c.Name, c.Value.Type, c.Value.Data); err != nil {
		return err
	}
	return flush(key)
}

// setValue sets a value to exactly these bytes. RegSetValueEx would not do: of a
// text that lacks its NUL it stores one more character if memory has one behind it.
func setValue(key windows.Handle, name string, typ uint32, b []byte) error {
	n, err := windows.NewNTUnicodeString(name)
	if err != nil {
		return err
	}
	return wrap("set value "+name, ntSetValueKey(key, n, 0, typ, unsafe.SliceData(b), uint32(len(b))))
}

// makeKey opens a key and makes it, and those above it, where it is missing.
func makeKey(p string) (windows.Handle, error) {
	root, rest, ok := cutRoot(p)
	if !ok {
		return 0, fmt.Errorf("key %s: %w: no such root", p, host.ErrNotExist)
	}
	name, err := windows.UTF16PtrFromString(rest)
	if err != nil {
		return 0, err
	}
	var key windows.Handle
	err = wrap("make key "+p, regCreateKeyEx(root, name, 0, nil, 0, windows.KEY_SET_VALUE|windows.KEY_QUERY_VALUE|view, nil, &key, nil))
	if errors.Is(err, host.ErrDenied) {
		return restoredKey(p, err)
	}
	return key, err
}

// restoredKey opens or makes a key as who restores a registry does, for whom descriptors are
// not asked: keys of servicing are TrustedInstaller's, and administrators may only read them.
// The descriptor stays as it is. denied is the error for who has no right to restore.
// learn.microsoft.com: "RegCreateKeyExW function", REG_OPTION_BACKUP_RESTORE.
func restoredKey(p string, denied error) (key windows.Handle, err error) {
	const backupRestore = 4
	root, rest, _ := cutRoot(p)
	name, err := windows.UTF16PtrFromString(rest)
	if err != nil {
		return 0, err
	}
	err = withPrivileges(func() error {
		return regCreateKeyEx(root, name, 0, nil, backupRestore, windows.KEY_SET_VALUE|windows.KEY_QUERY_VALUE|view, nil, &key, nil)
	}, seBackup, seRestore)
	if err != nil {
		return 0, denied
	}
	return key, nil
}

// deleteKey deletes a key that holds nothing. Of one that only TrustedInstaller may delete
// the list of who may is replaced first, and put back if it stays.
func deleteKey(parent windows.Handle, name *uint16, p string) error {
	err := wrap("delete key "+p, regDeleteKeyEx(parent, name, view, 0))
	if !errors.Is(err, host.ErrDenied) {
		return err
	}
	key, denied := restoredKey(p, err)
	if denied != nil {
		return denied
	}
	defer closeKey(key)
	old, read := windows.GetSecurityInfo(key, windows.SE_REGISTRY_KEY, windows.DACL_SECURITY_INFORMATION)
	ours, parsed := windows.SecurityDescriptorFromString("D:P(A;;KA;;;BA)(A;;KA;;;SY)")
	if read != nil || parsed != nil {
		return err
	}
	set := func(sd *windows.SECURITY_DESCRIPTOR) error {
		list, _, err := sd.DACL()
		if err != nil {
			return err
		}
		return windows.SetSecurityInfo(key, windows.SE_REGISTRY_KEY, windows.DACL_SECURITY_INFORMATION, nil, nil, list, nil)
	}
	if set(ours) != nil {
		return err
	}
	if again := regDeleteKeyEx(parent, name, view, 0); again != nil {
		return errors.Join(wrap("delete key "+p, again), wrap("descriptor of key "+p, set(old)))
	}
	return nil
}

// dropKey deletes a key that holds nothing.
func dropKey(p string) error {
	key, err := openKey(p, windows.KEY_QUERY_VALUE)
	if errors.Is(err, host.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var keys, values uint32
	err = windows.RegQueryInfoKey(key, nil, nil, nil, &keys, nil, nil, &values, nil, nil, nil, nil)
	closeKey(key)
	if err != nil {
		return wrap("look into key "+p, err)
	}
	if keys+values > 0 {
		return fmt.Errorf("%w: it has %d subkeys and %d values", host.ErrInTheWay, keys, values)
	}
	above, name := p[:strings.LastIndexByte(p, '\\')], p[strings.LastIndexByte(p, '\\')+1:]
	parent, rest, _ := cutRoot(above)
	if rest != "" {
		if parent, err = openKey(above, windows.KEY_READ); err != nil {
			return err
		}
		defer closeKey(parent)
	}
	n, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return err
	}
	if err := deleteKey(parent, n, p); err != nil && !errors.Is(err, host.ErrNotExist) {
		return err
	}
	return flush(parent)
}

// flush has the changes of a hive written: Windows does so some seconds later by
// itself. learn.microsoft.com: "RegFlushKey".
func flush(key windows.Handle) error { return wrap("write the registry to the disk", regFlushKey(key)) }
