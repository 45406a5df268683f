//go:build race && unix

package pac

// shadow is what the race detector maps for itself, in a program built for it.
const shadow = 1 << 40
