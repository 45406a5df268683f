package winhost

import (
	"fmt"

	"updoc/internal/codes"
)

// failure is an error of Windows: what was tried, what Windows said, the same as
// an HRESULT, and which of host's answers it is, if it is one.
type failure struct {
	op   string
	err  error // as the call returned it, an errno as a rule
	code codes.HRESULT
	is   error // host.ErrNotExist, host.ErrDenied or nil
}

func (f *failure) Error() string {
	if s := f.code.Symbol(); s != "" {
		return fmt.Sprintf("%s: %v (%v %s)", f.op, f.err, f.code, s)
	}
	return fmt.Sprintf("%s: %v (%v)", f.op, f.err, f.code)
}

// Unwrap lets errors.Is and errors.As find each of them.
func (f *failure) Unwrap() []error {
	out := []error{f.err, f.code}
	if f.is != nil {
		out = append(out, f.is)
	}
	return out
}
