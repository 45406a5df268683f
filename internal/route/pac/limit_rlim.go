//go:build unix && !freebsd && !dragonfly

package pac

// rlim is a resource limit in the type that the system's structure has.
func rlim(n uint64) uint64 { return n }
