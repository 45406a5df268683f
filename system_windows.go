package main

import (
	"context"
	"time"

	"updoc/internal/host"
	"updoc/internal/host/winhost"
	"updoc/internal/win"
)

// harden keeps a DLL planted beside the program from being loaded: updoc is
// downloaded and started from the Downloads folder.
func harden() { win.HardenDLLSearch() }

// confine limits a process that runs foreign scripts.
func confine(memory int64, cpu time.Duration) error { return win.Confine(memory, cpu) }

// live opens the machine that updoc runs on.
func live(ctx context.Context) (host.Reader, error) { return winhost.Open(ctx) }

// state is where journals lie.
func state() (string, error) { return win.StateDir() }
