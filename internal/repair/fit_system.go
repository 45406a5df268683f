package repair

// fitSystem fits the remedies for everything else of Windows.
func fitSystem() map[string]fitter {
	return map[string]fitter{}
}
