package win

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A program that gets an administrator's rights must be one that nobody else can put
// something else in the place of: not its file, and not what lies beside it.

// ErrPlace says that others than this user and the administrators may change the file of
// this program, or its folder.
var ErrPlace = errors.New("others may change this program")

// grant is an entry of an access control list that lets somebody do something.
type grant struct {
	sid    string
	rights uint32
}

// learn.microsoft.com: "File Access Rights Constants", "Generic Access Rights".
const (
	// changesFile are the rights to change a file, to delete or rename it, and to take
	// any of these.
	changesFile = 0x2 | 0x4 | // FILE_WRITE_DATA, FILE_APPEND_DATA
		0x10000 | 0x40000 | 0x80000 | // DELETE, WRITE_DAC, WRITE_OWNER
		0x10000000 | 0x40000000 // GENERIC_ALL, GENERIC_WRITE
	// changesFolder are those to put a file into a folder, to delete one in it, to rename
	// the folder. A folder that is made in it does no harm.
	changesFolder = 0x2 | 0x40 | // FILE_ADD_FILE, FILE_DELETE_CHILD
		0x10000 | 0x40000 | 0x80000 | 0x10000000 | 0x40000000
)

// trusted may change everything anyway. learn.microsoft.com: "Well-known SIDs".
var trusted = []string{
	"S-1-5-18",     // the system
	"S-1-5-32-544", // the administrators
	"S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464", // TrustedInstaller
	"S-1-3-4", // whoever owns it, who is looked at by name
}

// strangers names whom of an owner and of those with grants the rights would let change
// what is not theirs. Entries that deny are not counted: who is denied and let in is
// a stranger still.
func strangers(owner string, list []grant, user string, rights uint32) []string {
	known := func(sid string) bool { return sid == user || slices.Contains(trusted, sid) }
	var out []string
	if !known(owner) {
		out = append(out, owner)
	}
	for _, g := range list {
		if g.rights&rights != 0 && !known(g.sid) && !slices.Contains(out, g.sid) {
			out = append(out, g.sid)
		}
	}
	return out
}

func placeError(path string, who []string) error {
	if len(who) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w: %s", path, ErrPlace, strings.Join(who, ", "))
}
