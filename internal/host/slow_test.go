//go:build !race

package host_test

// slowness stretches the time limits of the tests.
const slowness = 3
