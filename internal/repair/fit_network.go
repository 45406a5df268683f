package repair

// fitNetwork fits the remedies for names, firewall, clock, certificates, TLS.
func fitNetwork() map[string]fitter {
	return map[string]fitter{}
}
