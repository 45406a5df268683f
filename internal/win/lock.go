package win

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// ErrLocked says that another updoc holds a lock.
var ErrLocked = errors.New("another updoc is at work")

// Lock takes the lock of which the file path is the sign, for this process alone,
// or fails with [ErrLocked] at once. The operating system lets go of it when the
// process ends, however it ends; the file stays. Who holds the lock stands in the
// file, for people to read.
func Lock(path string) (release func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := lockFile(f); err != nil {
		defer f.Close()
		if errors.Is(err, ErrLocked) {
			by, _ := io.ReadAll(io.LimitReader(f, 32)) // not knowing it changes nothing
			if pid := strings.TrimSpace(string(by)); pid != "" {
				return nil, fmt.Errorf("%w: process %s", err, pid)
			}
			return nil, err
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := errors.Join(f.Truncate(0), sign(f)); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

func sign(f *os.File) error {
	_, err := fmt.Fprintln(f, os.Getpid())
	return err
}
