package winhost

import (
	"fmt"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/windows"
)

// places are the folders of this Windows, asked of Windows: environment variables
// are whatever the caller of this process made of them.
type places struct {
	windows string // C:\Windows
	system  string // C:\Windows\System32: the real one, also for a 32-bit process
	data    string // C:\ProgramData
	drive   string // C:
}

func findPlaces() (places, error) {
	var p places
	var err error
	if p.windows, err = windows.GetSystemWindowsDirectory(); err != nil {
		return places{}, fmt.Errorf("find the Windows folder: %w", err)
	}
	if p.system, err = windows.GetSystemDirectory(); err != nil {
		return places{}, fmt.Errorf("find the system folder: %w", err)
	}
	if wow64() {
		// The file system redirector shows a 32-bit process SysWOW64 under the name of
		// System32. learn.microsoft.com: "File System Redirector".
		p.system = filepath.Join(p.windows, "Sysnative")
	}
	if p.data, err = windows.KnownFolderPath(windows.FOLDERID_ProgramData, 0); err != nil {
		return places{}, fmt.Errorf("find ProgramData: %w", err)
	}
	p.drive = filepath.VolumeName(p.windows)
	return p, nil
}

// wow64 reports whether this is a 32-bit process on a 64-bit Windows.
func wow64() bool {
	if unsafe.Sizeof(uintptr(0)) == 8 {
		return false
	}
	var yes bool
	return windows.IsWow64Process(windows.CurrentProcess(), &yes) == nil && yes
}
