// Package sorted puts lists in order.
package sorted

import "sort"

// By sorts s as compare orders its elements; those that it calls equal stay as they
// stood. The generic sorts of package slices are quicker on long lists, and are compiled
// anew for each type: with them the program was half a megabyte larger.
func By[E any](s []E, compare func(a, b E) int) {
	sort.SliceStable(s, func(i, j int) bool { return compare(s[i], s[j]) < 0 })
}
