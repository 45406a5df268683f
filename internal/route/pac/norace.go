//go:build !race

package pac

const shadow = 0
