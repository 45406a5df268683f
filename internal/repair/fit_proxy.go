package repair

// fitProxy fits the remedies for which proxy, by which setting.
func fitProxy() map[string]fitter {
	return map[string]fitter{}
}
