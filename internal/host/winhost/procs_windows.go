package winhost

import (
	"errors"
	"syscall"

	"golang.org/x/sys/windows"
)

// Functions that not every Windows has, or that Wine lacks, are looked for when
// they are called: that one is missing is an error of the question that needs it,
// and no reason why the program does not start. All come from the system directory.
var (
	dllFilter  = windows.NewLazySystemDLL("fltlib.dll")
	dllEvents  = windows.NewLazySystemDLL("wevtapi.dll")
	dllWinHTTP = windows.NewLazySystemDLL("winhttp.dll")
	dllCrypt   = windows.NewLazySystemDLL("bcrypt.dll")
	dllKernel  = windows.NewLazySystemDLL("kernel32.dll")
	dllNT      = windows.NewLazySystemDLL("ntdll.dll")
	dllNetwork = windows.NewLazySystemDLL("iphlpapi.dll")
	dllDialler = windows.NewLazySystemDLL("rasapi32.dll")
)

// invoke calls a function of Windows; the error is its last error, which means
// something only where the result says that it failed.
//
//go:uintptrescapes
func invoke(dll *windows.LazyDLL, name string, args ...uintptr) (uintptr, error) {
	p := dll.NewProc(name)
	if err := p.Find(); err != nil {
		return 0, &failure{op: name, err: windows.ERROR_PROC_NOT_FOUND, code: 0x8007007F}
	}
	r, _, err := p.Call(args...)
	return r, err
}

// invokeBool calls a function that returns FALSE or NULL when it fails.
//
//go:uintptrescapes
func invokeBool(dll *windows.LazyDLL, name string, args ...uintptr) (uintptr, error) {
	r, err := invoke(dll, name, args...)
	var missing *failure
	switch {
	case r != 0:
		return r, nil
	case errors.As(err, &missing):
		return 0, missing
	case errors.Is(err, windows.ERROR_SUCCESS):
		err = windows.ERROR_GEN_FAILURE
	}
	return 0, wrap(name, err)
}

// missing reports whether err says that this Windows has no such function.
func missing(err error) bool {
	return is(err, windows.ERROR_PROC_NOT_FOUND, windows.ERROR_MOD_NOT_FOUND)
}

func utf16ptr(s string) *uint16 {
	p, err := windows.UTF16PtrFromString(s)
	if err != nil { // a NUL in it: nothing has such a name
		p, _ = windows.UTF16PtrFromString("")
	}
	return p
}

// syscallN calls a method by its address.
//
//go:uintptrescapes
func syscallN(address uintptr, args ...uintptr) uintptr {
	r, _, _ := syscall.SyscallN(address, args...)
	return r
}
