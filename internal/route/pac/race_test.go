//go:build race && unix

package pac_test

const race = true
