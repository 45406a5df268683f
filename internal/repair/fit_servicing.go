package repair

// fitServicing fits the remedies for component store, packages, drivers.
func fitServicing() map[string]fitter {
	return map[string]fitter{}
}
