package win

import "errors"

// ErrForeign says that the state directory is not one that updoc may trust: a link,
// or made by somebody who is no administrator. What lies in it tells updoc what to
// undo, so it is neither read nor repaired.
var ErrForeign = errors.New("the state directory was not made by an administrator")

// StateDir returns the directory for journals and what they need, and makes it if it
// is missing. On Windows it is C:\ProgramData\updoc, where only administrators and
// the system get in; elsewhere it belongs to the user.
func StateDir() (string, error) { return stateDir() }
