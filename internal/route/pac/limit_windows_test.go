package pac_test

// childless is not asked here: Windows keeps no dead children.
func childless() bool { return true }
