package winhost

import (
	"errors"
	"slices"

	"golang.org/x/sys/windows"

	"updoc/internal/codes"
	"updoc/internal/host"
)

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
