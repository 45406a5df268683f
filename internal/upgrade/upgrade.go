// Package upgrade installs Windows over itself, keeping files and programs: the cure
// where nothing smaller helps. It reads installation media, says before anything starts
// whether they fit the machine and what would stop setup, and holds the way through
// scan, setup and restarts as a [procedure.Procedure].
//
// It touches nothing. What blocks an upgrade is named and never hidden: no option that
// passes over warnings is ever used.
package upgrade

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Errors of reading media. Test with errors.Is.
var (
	ErrNoMedia  = errors.New("no installation media")
	ErrTooLarge = errors.New("larger than such a file ever is")
	ErrDamaged  = errors.New("damaged")
)

// Version is a version of Windows: build and revision, such as 22631.3007. Revision 0
// is unknown.
type Version struct {
	Build    int `json:"build"`
	Revision int `json:"revision,omitempty"`
}

func (v Version) String() string {
	if v.Revision == 0 {
		return strconv.Itoa(v.Build)
	}
	return fmt.Sprintf("%d.%d", v.Build, v.Revision)
}

// Compare orders versions; an unknown revision is as good as any.
func (v Version) Compare(w Version) int {
	if c := cmp.Compare(v.Build, w.Build); c != 0 || v.Revision == 0 || w.Revision == 0 {
		return c
	}
	return cmp.Compare(v.Revision, w.Revision)
}

// ParseVersion reads "22631", "22631.3007" or "10.0.22631.3007"; the zero value is no version.
func ParseVersion(s string) Version {
	s = strings.TrimPrefix(strings.TrimSpace(s), "10.0.")
	build, revision, _ := strings.Cut(s, ".")
	b, err := strconv.Atoi(build)
	if err != nil || b < 0 {
		return Version{}
	}
	r, err := strconv.Atoi(revision)
	if err != nil || r < 0 {
		r = 0
	}
	return Version{b, r}
}
