package winhost

// questions lists what can be asked of a live machine besides its registry,
// services and files.
func questions() map[string]question {
	return map[string]question{}
}
