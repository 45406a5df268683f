package cause

import "slices"

// Catalogue returns every cause, in the order of the families.
func Catalogue() []*Cause {
	return slices.Concat(
		// one line a family, one file each
		SERVICING(),
		STATE(),
		FILES(),
		DISK(),
		DRIVERS(),
		SYSTEM(),
		PROXY(), NETWORK(), SERVER(),
		WSUS(), AGENT(),
		CONFLICT(), SETUP(),
		POLICY(), SERVICES(),
		UNKNOWN(), // last: it comes first only where nothing else fits
	)
}
