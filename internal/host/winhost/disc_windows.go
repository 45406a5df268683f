package winhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// disc is an ISO file as Windows' virtual disks have it.
// learn.microsoft.com: "OpenVirtualDisk function", "AttachVirtualDisk function".
type disc windows.Handle

var dllDisks = windows.NewLazySystemDLL("virtdisk.dll")

// discKind is VIRTUAL_STORAGE_TYPE.
type discKind struct {
	device uint32 // VIRTUAL_STORAGE_TYPE_DEVICE_ISO
	vendor windows.GUID
}

// openDisc opens an ISO file, mounted or not.
func openDisc(path string) (disc, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	const (
		deviceISO  = 1
		accessRead = 0x000D0000 // VIRTUAL_DISK_ACCESS_READ: attach read-only, detach, get information
	)
	kind := discKind{deviceISO, windows.GUID{Data1: 0xEC984AEC, Data2: 0xA0F9, Data3: 0x47E9, Data4: [8]byte{0x90, 0x1F, 0x71, 0x41, 0x5A, 0x66, 0x34, 0x5B}}}
	var h windows.Handle
	err = diskCall("OpenVirtualDisk", uintptr(unsafe.Pointer(&kind)), uintptr(unsafe.Pointer(name)), accessRead, 0, 0, uintptr(unsafe.Pointer(&h)))
	return disc(h), err
}

// diskCall calls a function of virtdisk.dll, which returns an error of Win32.
//
//go:uintptrescapes
func diskCall(name string, args ...uintptr) error {
	r, err := invoke(dllDisks, name, args...)
	var missing *failure
	switch {
	case errors.As(err, &missing):
		return fmt.Errorf("%s: %w", name, host.ErrNotRecorded) // this Windows cannot mount
	case r != 0:
		return wrap(name, windows.Errno(r))
	}
	return nil
}

func (d disc) close() {
	if d != 0 {
		_ = windows.CloseHandle(windows.Handle(d))
	}
}

const (
	readOnly = 1 // ATTACH_VIRTUAL_DISK_FLAG_READ_ONLY
	stays    = 4 // ATTACH_VIRTUAL_DISK_FLAG_PERMANENT_LIFETIME: beyond this handle, until a restart
)

// attach mounts the file and waits for its letter, which comes a moment after the
// device.
func (d disc) attach(ctx context.Context, flags uintptr) error {
	if err := diskCall("AttachVirtualDisk", uintptr(d), 0, flags, 0, 0, 0); err != nil {
		return err
	}
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		_, err := d.root()
		if err == nil || wait > 5*time.Second {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// lendDisc has a tool read out of an ISO file, where one of its arguments leads into one:
// the file is mounted read-only for as long as a process has the handle that is returned,
// which the tool inherits. So whoever kills updoc leaves nothing mounted. 0 is no disc,
// or one that somebody mounted before.
func lendDisc(ctx context.Context, args []string) ([]string, disc, error) {
	at, before, path, inside := discOf(args)
	if at < 0 {
		return args, 0, nil
	}
	if info, err := os.Stat(path); err != nil || info.IsDir() { // a folder with such a name
		return args, 0, err
	}
	d, err := openDisc(path)
	if err != nil {
		return nil, 0, fmt.Errorf("mount %s: %w", path, err)
	}
	device, err := d.device()
	mounted := device != ""
	if err == nil && !mounted {
		err = d.attach(ctx, readOnly)
	}
	var root string
	if err == nil {
		root, err = d.root()
	}
	if err == nil {
		err = windows.SetHandleInformation(windows.Handle(d), windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT)
	}
	if err != nil {
		d.close()
		return nil, 0, fmt.Errorf("mount %s: %w", path, err)
	}
	given := slices.Clone(args)
	given[at] = before + root + strings.ReplaceAll(inside, "/", `\`)
	return given, d, nil
}

// device is the drive that the file is mounted as, `\\.\CDROM1`; "" if it is not.
func (d disc) device() (string, error) {
	buf := make([]uint16, windows.MAX_PATH)
	size := uint32(len(buf) * 2)
	err := diskCall("GetVirtualDiskPhysicalPath", uintptr(d), uintptr(unsafe.Pointer(&size)), uintptr(unsafe.Pointer(&buf[0])))
	var errno windows.Errno
	switch {
	case errors.As(err, &errno) && (errno == windows.ERROR_DEV_NOT_EXIST || errno == windows.ERROR_NOT_READY || errno == windows.ERROR_FILE_NOT_FOUND || errno == windows.ERROR_INVALID_PARAMETER):
		return "", nil
	case err != nil:
		return "", err
	}
	return windows.UTF16ToString(buf), nil
}

// root finds the letter of the drive that the file is mounted as.
func (d disc) root() (string, error) {
	device, err := d.device()
	if err != nil {
		return "", err
	}
	name, ok := strings.CutPrefix(device, `\\.\`)
	if !ok {
		return "", fmt.Errorf("the media are not mounted: %w", host.ErrNotExist)
	}
	for letter := 'C'; letter <= 'Z'; letter++ {
		drive, err := windows.UTF16PtrFromString(string(letter) + ":")
		if err != nil {
			return "", err
		}
		buf := make([]uint16, windows.MAX_PATH)
		if n, err := windows.QueryDosDevice(drive, &buf[0], uint32(len(buf))); err != nil || n == 0 {
			continue
		}
		if strings.EqualFold(windows.UTF16ToString(buf), `\Device\`+name) {
			return string(letter) + `:\`, nil
		}
	}
	return "", fmt.Errorf("%s has no letter: %w", device, host.ErrNotExist)
}

// images mounts ISO files, see host.ImageSetting.
func images() switcher {
	return switcher{
		get: func(_ context.Context, _ *Host, name string) (string, error) {
			if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
				return "", host.ErrNotExist
			}
			d, err := openDisc(name)
			if err != nil {
				return "", err
			}
			defer d.close()
			device, err := d.device()
			if device == "" {
				return "off", err
			}
			return "on", err
		},
		set: func(ctx context.Context, _ *Host, name, state string) error {
			d, err := openDisc(name)
			if err != nil {
				return err
			}
			defer d.close()
			if state != "on" {
				return diskCall("DetachVirtualDisk", uintptr(d), 0, 0)
			}
			return d.attach(ctx, readOnly|stays)
		},
	}
}
