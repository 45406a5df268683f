//go:build freebsd || dragonfly

package pac

import "math"

// rlim is a resource limit in the type that the system's structure has.
func rlim(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
