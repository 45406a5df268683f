//go:build race

package cli

// The race detector makes memory accesses ten times as slow and keeps several
// bytes for each.
const (
	slowness    = 30
	memorySlack = 10
)
