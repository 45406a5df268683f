package main

import (
	"time"

	"updoc/internal/win"
)

// harden keeps a DLL planted beside the program from being loaded: updoc is
// downloaded and started from the Downloads folder.
func harden() { win.HardenDLLSearch() }

// confine limits a process that runs foreign scripts.
func confine(memory int64, cpu time.Duration) error { return win.Confine(memory, cpu) }
