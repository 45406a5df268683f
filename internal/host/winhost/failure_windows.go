package winhost

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/windows"

	"updoc/internal/codes"
	"updoc/internal/host"
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

// Errors by which Windows says that there is no such thing, and that this account
// may not look.
var (
	absent = []windows.Errno{
		windows.ERROR_FILE_NOT_FOUND, windows.ERROR_PATH_NOT_FOUND, windows.ERROR_SERVICE_DOES_NOT_EXIST,
		windows.ERROR_INVALID_DRIVE, windows.ERROR_BAD_NETPATH, windows.ERROR_NOT_READY, windows.ERROR_INVALID_NAME,
		windows.ERROR_KEY_DELETED,
	}
	denied = []windows.Errno{windows.ERROR_ACCESS_DENIED, windows.ERROR_PRIVILEGE_NOT_HELD}
)

// wrap says what was tried when Windows answered err, and keeps the code.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	var status windows.NTStatus
	if errors.As(err, &status) {
		err = status.Errno()
	}
	var errno windows.Errno
	if !errors.As(err, &errno) {
		return &failure{op: op, err: err, code: unexpected}
	}
	f := &failure{op: op, err: errno, code: codes.FromWin32(uint32(errno))}
	switch {
	case slices.Contains(absent, errno):
		f.is = host.ErrNotExist
	case slices.Contains(denied, errno):
		f.is = host.ErrDenied
	}
	return f
}

// unexpected is E_UNEXPECTED, for an error that did not come from Windows.
const unexpected codes.HRESULT = 0x8000FFFF

// is reports whether err comes from one of these errors of Windows.
func is(err error, any ...windows.Errno) bool {
	var errno windows.Errno
	return errors.As(err, &errno) && slices.Contains(any, errno)
}
