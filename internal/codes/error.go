package codes

// Error makes an HRESULT an error of its own, so that whoever wraps one with %w
// keeps it: errors.As(err, &h) finds it however deep it lies.
func (h HRESULT) Error() string { return h.String() }
