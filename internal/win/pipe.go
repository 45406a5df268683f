package win

import (
	"errors"
	"fmt"
	"strings"
)

// Two of updoc's processes on one machine talk over a named pipe: the page, which
// runs with a person's own rights, and the one that repairs with an
// administrator's. Whoever opens the pipe is looked at before a byte of theirs is
// read: see [Caller].

// ErrStranger says that the process at the other end of a pipe is not the one that
// was expected there.
var ErrStranger = errors.New("the process at the other end is not updoc's own")

// ErrDeclined says that the person did not agree to give an administrator's rights.
var ErrDeclined = errors.New("the rights of an administrator were not given")

// Caller is the process at the other end of a pipe.
type Caller struct {
	PID     uint32
	Session uint32 // of the desktop it runs on
	User    string // SID of its user
	Program string // full path of the program it runs, as the kernel says it
	File    fileID // which file that path leads to
}

// fileID tells files apart that stand on this machine.
type fileID struct{ volume, high, low uint32 }

// pipePath is the path of a pipe of updoc; a name that could be any other path is
// refused.
func pipePath(name string) (string, error) {
	if len(name) < 32 || len(name) > 64 || strings.Trim(name, "0123456789abcdef") != "" {
		return "", fmt.Errorf("pipe %q: not a name that updoc makes", name)
	}
	return `\\.\pipe\updoc-` + name, nil
}

// pipeRights is the security descriptor of a pipe of the elevated process: it
// belongs to the administrators; one user may read and write, but make no further
// instance of it; the network may not. The label lets a process of medium integrity
// write.
// learn.microsoft.com: "Named Pipe Security and Access Rights", "Mandatory Integrity Control".
func pipeRights(user string) string {
	return "O:BAG:BAD:P(D;;GA;;;NU)(A;;GA;;;SY)(A;;GA;;;BA)(A;;0x12019b;;;" + user + ")S:(ML;;NW;;;ME)"
}

// strange says why a caller is not the process that was expected: the same program as
// its own, on the same desktop, of that user. The letters of a path do not say enough:
// in a folder that tells capitals apart two files differ by them alone.
func (c Caller) strange(own Caller, user string) error {
	switch {
	case !strings.EqualFold(c.Program, own.Program):
		return fmt.Errorf("%w: it runs another program", ErrStranger)
	case c.File != own.File || c.File == fileID{}:
		return fmt.Errorf("%w: it runs another file", ErrStranger)
	case c.User != user:
		return fmt.Errorf("%w: it belongs to another user", ErrStranger)
	case c.Session != own.Session:
		return fmt.Errorf("%w: it runs on another desktop", ErrStranger)
	}
	return nil
}
