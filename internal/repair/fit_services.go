package repair

// fitServices fits the remedies for the services that updating needs.
func fitServices() map[string]fitter {
	return map[string]fitter{}
}
