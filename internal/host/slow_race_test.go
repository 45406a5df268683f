//go:build race

package host_test

// slowness under the race detector, which makes memory accesses ten times as slow.
const slowness = 30
