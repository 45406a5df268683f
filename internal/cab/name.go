package cab

import (
	"strings"
	"unicode/utf8"
)

// decodeName turns a stored name into UTF-8 with slashes. Cabinets made by
// Windows tools before the UTF-8 attribute hold the packer's ANSI code page,
// which nothing records; Windows-1252 is the likeliest and loses no byte.
func decodeName(b []byte, isUTF8 bool) string {
	var s strings.Builder
	s.Grow(len(b))
	if isUTF8 && utf8.Valid(b) {
		s.Write(b)
	} else {
		for _, c := range b {
			if c >= 0x80 && c < 0xa0 {
				s.WriteRune(windows1252[c-0x80])
			} else {
				s.WriteRune(rune(c))
			}
		}
	}
	return strings.ReplaceAll(s.String(), `\`, "/")
}

// windows1252 is where Windows-1252 differs from Latin-1: bytes 0x80 to 0x9f.
// The five unassigned ones stay C1 controls, as MultiByteToWideChar has them.
var windows1252 = [32]rune{
	'€', 0x81, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0x8d, 'Ž', 0x8f,
	0x90, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0x9d, 'ž', 'Ÿ',
}

// SafeName turns the name of a File into a relative slash-separated path that
// stays inside the directory it is joined to, on Windows as well as elsewhere:
// empty elements and "." are dropped. It reports false for a name that is
// absolute, has a drive letter or stream (a colon), an element that is ".." or
// that Windows would trim to that or to nothing, a control character, or a DOS
// device such as NUL ("Naming Files, Paths, and Namespaces", learn.microsoft.com).
func SafeName(name string) (string, bool) {
	name = strings.ReplaceAll(name, `\`, "/")
	if strings.HasPrefix(name, "/") || !utf8.ValidString(name) {
		return "", false
	}
	for _, c := range name {
		if c < 0x20 || c == 0x7f || c == ':' {
			return "", false
		}
	}
	var safe []string
	for element := range strings.SplitSeq(name, "/") {
		switch {
		case element == "" || element == ".":
			continue
		case strings.TrimRight(element, ". ") == "" || isDevice(element):
			return "", false
		}
		safe = append(safe, element)
	}
	return strings.Join(safe, "/"), len(safe) > 0
}

// isDevice reports whether Windows opens a device instead of a file of this
// name; an extension, or spaces before it, make no difference.
func isDevice(element string) bool {
	base, _, _ := strings.Cut(element, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, ok := strings.CutPrefix(base, "COM")
	if !ok {
		port, ok = strings.CutPrefix(base, "LPT")
	}
	return ok && utf8.RuneCountInString(port) == 1 && strings.Contains("0123456789¹²³", port)
}
