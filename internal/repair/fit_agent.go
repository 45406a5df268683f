package repair

// fitAgent fits the remedies for the update agent and its stores.
func fitAgent() map[string]fitter {
	return map[string]fitter{}
}
