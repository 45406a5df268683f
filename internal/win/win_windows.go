// Package win holds what updoc needs of Windows itself and is no business of any
// other room: for now, the hardening of the process.
package win

import "golang.org/x/sys/windows"

// HardenDLLSearch limits the search for DLLs to the system directory, before
// anything else is loaded. An error is not fatal: only Windows 7 without
// KB2533623 lacks the call, and there every import is from the system anyway.
// learn.microsoft.com: "SetDefaultDllDirectories", "Dynamic-Link Library Security".
func HardenDLLSearch() {
	_ = windows.SetDefaultDllDirectories(windows.LOAD_LIBRARY_SEARCH_SYSTEM32)
}
