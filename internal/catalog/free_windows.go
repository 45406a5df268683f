package catalog

import (
	"syscall"
	"unsafe"
)

// freeSpace is what this user may still write to the disk of a folder, in bytes.
// learn.microsoft.com: GetDiskFreeSpaceExW.
func freeSpace(dir string) (int64, error) {
	name, err := syscall.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	ask := syscall.NewLazyDLL("kernel32.dll").NewProc("GetDiskFreeSpaceExW") // loaded in every process
	if ok, _, err := ask.Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&free)), 0, 0); ok == 0 {
		return 0, err
	}
	return int64(min(free, 1<<62)), nil
}
