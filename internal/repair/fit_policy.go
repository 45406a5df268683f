package repair

// fitPolicy fits the remedies for update policy and its owners.
func fitPolicy() map[string]fitter {
	return map[string]fitter{}
}
