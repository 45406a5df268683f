package winhost

import (
	"errors"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// What waits for the next restart stands in a value of the session manager: pairs
// of a path to be moved and where to, the second empty for one to be deleted; with
// "!" before a target that may be replaced.
// learn.microsoft.com: "MoveFileExW", MOVEFILE_DELAY_UNTIL_REBOOT.
const (
	sessionManager = `HKLM\SYSTEM\CurrentControlSet\Control\Session Manager`
	pendingName    = "PendingFileRenameOperations"
)

func moveAtRestart(from, to string) error {
	f, err := ptr(from)
	if err != nil {
		return err
	}
	t, err := ptr(to)
	if err != nil {
		return err
	}
	if err := windows.MoveFileEx(f, t, windows.MOVEFILE_DELAY_UNTIL_REBOOT); err != nil {
		return wrap("move "+from+" with the next restart", err)
	}
	key, err := openKey(sessionManager, windows.KEY_QUERY_VALUE)
	if err != nil {
		return err
	}
	defer closeKey(key)
	return flush(key)
}

// pendingHas reports whether the next restart moves from to to.
func pendingHas(from, to string) (bool, error) {
	key, err := openKey(sessionManager, windows.KEY_QUERY_VALUE)
	if err != nil {
		if errors.Is(err, host.ErrNotExist) {
			return false, nil
		}
		return false, err
	}
	defer closeKey(key)
	v, ok, err := readValue(key, pendingName)
	if err != nil || !ok {
		return false, wrap("moves of the next restart", err)
	}
	_, found := withoutPending(multi(v), from, to)
	return found, nil
}

// pendingDrop calls a move of the next restart off. Those of others stay as they
// are, in their order.
func pendingDrop(from, to string) error {
	if waits, err := pendingHas(from, to); err != nil || !waits {
		return err
	}
	key, err := openKey(sessionManager, windows.KEY_QUERY_VALUE|windows.KEY_SET_VALUE)
	if err != nil {
		return err
	}
	defer closeKey(key)
	v, ok, err := readValue(key, pendingName)
	if err != nil || !ok {
		return wrap("moves of the next restart", err)
	}
	rest, _ := withoutPending(multi(v), from, to)
	if len(rest) > 0 {
		err = setValue(key, pendingName, winlog.RegMultiSZ, multiBytes(rest))
	} else if name, nerr := windows.UTF16PtrFromString(pendingName); nerr != nil {
		err = nerr
	} else {
		err = wrap("moves of the next restart", regDeleteValue(key, name))
	}
	if err != nil {
		return err
	}
	return flush(key)
}

func multi(v winlog.RegValue) []string { return splitMulti(v.Data) }
