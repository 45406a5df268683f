//go:build !race

package pac_test

const race = false
