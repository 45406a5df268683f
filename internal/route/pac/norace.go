//go:build !race && unix

package pac

const shadow = 0
