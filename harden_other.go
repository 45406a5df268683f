//go:build !windows

package main

// harden has nothing to do where libraries are not searched for beside the program.
func harden() {}
