package main

import "updoc/internal/win"

// harden keeps a DLL planted beside the program from being loaded: updoc is
// downloaded and started from the Downloads folder.
func harden() { win.HardenDLLSearch() }
