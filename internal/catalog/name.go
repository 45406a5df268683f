package catalog

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// ErrName says that a name cannot be that of a file.
var ErrName = errors.New("not a name for a file")

// maxName is well below what any file system allows, so that endings can be added.
const maxName = 180

// reserved are names that Windows gives to devices, with any ending.
// learn.microsoft.com: Naming Files, Paths, and Namespaces.
var reserved = []string{"con", "prn", "aux", "nul", "conin$", "conout$"}

// SafeName reports whether a name from a page, an address or a kit may become one in a
// folder: letters, digits and a few signs, no way to lead elsewhere on any system.
func SafeName(name string) error {
	bad := func(why string) error { return fmt.Errorf("%w: %.80q: %s", ErrName, name, why) }
	switch {
	case name == "":
		return bad("it is empty")
	case len(name) > maxName:
		return bad("it is too long")
	case name[0] == '.' || name[0] == '-' || name[0] == '~':
		return bad("it begins with " + name[:1])
	case strings.HasSuffix(name, "."):
		return bad("it ends with a dot")
	}
	for _, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._-+~()", c) >= 0) {
			return bad(fmt.Sprintf("%q has no place in it", c))
		}
	}
	stem, _, _ := strings.Cut(strings.ToLower(name), ".")
	if slices.Contains(reserved, stem) || len(stem) == 4 && (stem[:3] == "com" || stem[:3] == "lpt") && '0' <= stem[3] && stem[3] <= '9' {
		return bad("Windows has a device of that name")
	}
	return nil
}

// kinds are the endings of what the catalogue hands out.
var kinds = []string{".msu", ".cab", ".exe", ".msi", ".msp", ".psf", ".wim", ".esd", ".zip", ".dll", ".txt", ".msix", ".msixbundle"}

// checkPackageName is SafeName for a package.
func checkPackageName(name string) error {
	if err := SafeName(name); err != nil {
		return err
	}
	if !slices.Contains(kinds, strings.ToLower(path.Ext(name))) {
		return fmt.Errorf("%w: %.80q: no package ends like that", ErrName, name)
	}
	return nil
}
