package winhost

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// Control codes that need no right to the device, so that every account may ask.
// learn.microsoft.com: "Disk Management Control Codes".
const (
	ioctlVolumeExtents = 0x00560000 // IOCTL_VOLUME_GET_VOLUME_DISK_EXTENTS
	ioctlDriveLayout   = 0x00070050 // IOCTL_DISK_GET_DRIVE_LAYOUT_EX
	ioctlDriveGeometry = 0x000700A0 // IOCTL_DISK_GET_DRIVE_GEOMETRY_EX
	ioctlPartition     = 0x00070048 // IOCTL_DISK_GET_PARTITION_INFO_EX
)

// partitionInfo is PARTITION_INFORMATION_EX.
type partitionInfo struct {
	Style     uint32 // 0 MBR, 1 GPT, 2 raw
	_         uint32
	Start     int64
	Length    int64
	Number    uint32
	Rewrite   uint8
	IsService uint8
	_         [2]byte
	Detail    [112]byte // the union
}

// driveLayout is the head of DRIVE_LAYOUT_INFORMATION_EX; partitionInfo follow.
type driveLayout struct {
	Style  uint32
	Count  uint32
	Detail [40]byte // the union
}

// volumeExtents is VOLUME_DISK_EXTENTS with room for one; Windows' own volumes
// have no more.
type volumeExtents struct {
	Count  uint32
	_      uint32
	Disk   uint32
	_      uint32
	Start  int64
	Length int64
}

// The most that is listed of each.
const (
	maxVolumes    = 500
	maxDisks      = 64
	maxPartitions = 128
)

// volumes lists file systems, also those without a letter, and the partitions of
// the drives.
func volumes(ctx context.Context, h *Host, _ map[string]string) (any, error) {
	out := host.Volumes{System: h.places.drive, Volumes: []host.Volume{}}
	name := make([]uint16, windows.MAX_PATH)
	find, err := windows.FindFirstVolume(&name[0], uint32(len(name)))
	if err != nil {
		return nil, wrap("FindFirstVolume", err)
	}
	defer windows.FindVolumeClose(find)
	for len(out.Volumes) < maxVolumes && ctx.Err() == nil {
		v := volume(windows.UTF16ToString(name))
		out.Volumes = append(out.Volumes, v)
		if v.Disk >= 0 && !slices.ContainsFunc(out.Disks, func(d host.DiskDrive) bool { return d.Number == v.Disk }) && len(out.Disks) < maxDisks {
			d, err := disk(v.Disk)
			if err != nil {
				out.Unseen = append(out.Unseen, unseenPart(fmt.Sprintf("disk %d", v.Disk), err))
			}
			out.Disks = append(out.Disks, d)
		}
		if err := windows.FindNextVolume(find, &name[0], uint32(len(name))); err != nil {
			if !is(err, windows.ERROR_NO_MORE_FILES) {
				out.Unseen = append(out.Unseen, unseenPart("volumes", wrap("FindNextVolume", err)))
			}
			break
		}
	}
	for i := range out.Volumes { // the role of a partition stands in its disk's table
		v := &out.Volumes[i]
		for _, d := range out.Disks {
			for _, p := range d.Partitions {
				if d.Number == v.Disk && p.Number == v.Partition && v.Role == "" {
					v.Role = p.Role
				}
			}
		}
	}
	if err := bitlocker(ctx, h, out.Volumes); err != nil {
		out.Unseen = append(out.Unseen, unseenPart("bitlocker", err))
	}
	return out, ctx.Err()
}

// volume describes a volume by its own name, \\?\Volume{GUID}\.
func volume(id string) host.Volume {
	v := host.Volume{ID: id, Size: -1, Free: -1, Disk: -1, Partition: -1}
	root := utf16ptr(id)
	v.Drive = windows.GetDriveType(root)
	paths := make([]uint16, 4096)
	var n uint32
	if err := windows.GetVolumePathNamesForVolumeName(root, &paths[0], uint32(len(paths)), &n); err == nil {
		v.Paths = multiString(paths[:min(int(n), len(paths))])
	}
	const cdrom = 5
	if v.Drive != cdrom && v.Drive != windows.DRIVE_REMOVABLE { // an empty drive asks for a medium
		label, system := make([]uint16, 256), make([]uint16, 64)
		var flags uint32
		if err := windows.GetVolumeInformation(root, &label[0], uint32(len(label)), nil, nil, &flags, &system[0], uint32(len(system))); err == nil {
			v.Label, v.FileSystem = windows.UTF16ToString(label), windows.UTF16ToString(system)
			v.ReadOnly = flags&windows.FILE_READ_ONLY_VOLUME != 0
		}
		var free, size, all uint64
		if err := windows.GetDiskFreeSpaceEx(root, &free, &size, &all); err == nil {
			// What is free to all: a quota of the caller's is no limit of the services'.
			v.Size, v.Free = int64(size), int64(all)
		}
	}
	dev, err := openDevice(strings.TrimSuffix(id, `\`))
	if err != nil {
		return v
	}
	defer windows.CloseHandle(dev)
	var extents volumeExtents
	if err := control(dev, ioctlVolumeExtents, unsafe.Pointer(&extents), unsafe.Sizeof(extents)); err == nil && extents.Count == 1 {
		v.Disk = int(extents.Disk)
	}
	var p partitionInfo
	if err := control(dev, ioctlPartition, unsafe.Pointer(&p), unsafe.Sizeof(p)); err == nil {
		v.Partition, v.Role = int(p.Number), p.partition().Role
		if v.Size < 0 {
			v.Size = p.Length
		}
	}
	return v
}

// openDevice opens a device for questions that need no right to it.
func openDevice(name string) (windows.Handle, error) {
	h, err := windows.CreateFile(utf16ptr(name), 0, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		return 0, wrap("open "+name, err)
	}
	return h, nil
}

func control(dev windows.Handle, code uint32, out unsafe.Pointer, size uintptr) error {
	var n uint32
	return windows.DeviceIoControl(dev, code, nil, 0, (*byte)(out), uint32(size), &n, nil)
}

// disk reads the partition table of a drive.
func disk(number int) (host.DiskDrive, error) {
	d := host.DiskDrive{Number: number, Size: -1}
	dev, err := openDevice(fmt.Sprintf(`\\.\PhysicalDrive%d`, number))
	if err != nil {
		return d, err
	}
	defer windows.CloseHandle(dev)
	var geometry struct { // DISK_GEOMETRY_EX
		_    [24]byte
		Size int64
		_    [256]byte
	}
	if err := control(dev, ioctlDriveGeometry, unsafe.Pointer(&geometry), unsafe.Sizeof(geometry)); err == nil {
		d.Size = geometry.Size
	}
	var layout struct {
		driveLayout
		Partitions [maxPartitions]partitionInfo
	}
	if err := control(dev, ioctlDriveLayout, unsafe.Pointer(&layout), unsafe.Sizeof(layout)); err != nil {
		return d, wrap("read the partition table", err)
	}
	d.Style = [...]string{"mbr", "gpt", "raw"}[min(layout.Style, 2)]
	for _, p := range layout.Partitions[:min(int(layout.Count), maxPartitions)] {
		if p.Length > 0 && p.Number > 0 { // an MBR has four rows, empty or not
			d.Partitions = append(d.Partitions, p.partition())
		}
	}
	return d, nil
}

// Types of GPT partitions. learn.microsoft.com: "PARTITION_INFORMATION_GPT".
var partitionRoles = map[string]string{
	"C12A7328-F81F-11D2-BA4B-00A0C93EC93B": host.RoleEFI,
	"E3C9E316-0B5C-4DB8-817D-F92DF00215AE": host.RoleReserved,
	"DE94BBA4-06D1-4D40-A16A-BFD50179D6AC": host.RoleRecovery,
	"EBD0A0A2-B9E5-4433-87C0-68B6B72699C7": host.RoleBasic,
}

func (p *partitionInfo) partition() host.Partition {
	out := host.Partition{Number: int(p.Number), Start: p.Start, Size: p.Length}
	switch p.Style {
	case 1:
		guid := *(*windows.GUID)(unsafe.Pointer(&p.Detail))
		out.Type = strings.Trim(guid.String(), "{}")
		out.Role = partitionRoles[out.Type]
	case 0:
		const recovery = 0x27
		kind, active := p.Detail[0], p.Detail[1] != 0
		out.Type = fmt.Sprintf("0x%02X", kind)
		switch {
		case kind == recovery:
			out.Role = host.RoleRecovery
		case active:
			out.Role = host.RoleSystem
		default:
			out.Role = host.RoleBasic
		}
	}
	return out
}

// multiString splits a list of strings that each end with a NUL.
func multiString(u []uint16) []string {
	var out []string
	for len(u) > 0 {
		end := slices.Index(u, 0)
		if end < 0 {
			end = len(u)
		}
		if end > 0 {
			out = append(out, windows.UTF16ToString(u[:end]))
		}
		u = u[min(end+1, len(u)):]
	}
	return out
}

// bitlocker asks WMI which volumes are encrypted, which only an administrator may.
// learn.microsoft.com: "Win32_EncryptableVolume class": ProtectionStatus 0 off or
// suspended, 1 on, 2 unknown; ConversionStatus 0 not encrypted.
func bitlocker(ctx context.Context, h *Host, list []host.Volume) error {
	rows, err := h.wmi(ctx, `root\CIMV2\Security\MicrosoftVolumeEncryption`, "Win32_EncryptableVolume", maxVolumes,
		"DeviceID", "ProtectionStatus", "ConversionStatus")
	for _, row := range rows {
		id, _ := row["DeviceID"].(string)
		status, ok := row["ProtectionStatus"].(int64)
		conversion, ok2 := row["ConversionStatus"].(int64)
		for i := range list {
			switch v := &list[i]; {
			case !strings.EqualFold(v.ID, id) || !ok:
			case status == 1:
				v.Protected = "on"
			case status == 0 && ok2 && conversion != 0:
				v.Protected = "suspended"
			case status == 0:
				v.Protected = "off"
			}
		}
	}
	return err
}
