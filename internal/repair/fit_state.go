package repair

// fitState fits the remedies for restarts, disk, files.
func fitState() map[string]fitter {
	return map[string]fitter{}
}
