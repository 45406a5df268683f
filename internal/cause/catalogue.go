package cause

import "slices"

// Catalogue returns every cause, in the order of the families.
func Catalogue() []*Cause {
	return slices.Concat(
		// families are added here, one file each
		PROXY(), NETWORK(), SERVER(),
	)
}
