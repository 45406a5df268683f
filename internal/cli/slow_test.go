//go:build !race

package cli

// slowness stretches the time limits of the tests, which other work on the
// machine must not break: they are there to find what takes ten times as long.
const slowness = 5

const memorySlack = 1
