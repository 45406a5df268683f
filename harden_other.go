//go:build !windows

package main

import "time"

// harden has nothing to do where libraries are not searched for beside the program.
func harden() {}

// confine has nothing to add where processes have resource limits.
func confine(int64, time.Duration) error { return nil }
