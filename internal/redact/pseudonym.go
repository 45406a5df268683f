package redact

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"unicode"
	"unicode/utf8"
)

// Pseudonyms of names are made of consonants. Without vowels they spell nothing, in any language, and cannot be taken
// for a real name. They are valid DNS labels, NetBIOS names (at most 15 letters) and file names.
//
// The pseudonym of a host has two parts if its name ends in digits: WSUS01 and WSUS02 become h-bcdfghjkmnpq and
// h-bcdfghjqrstv, SRV-01 becomes h-zxwvtsr-qpnmk. So the exception "wsus*" of a proxy, which becomes "h-bcdfghj*", still
// matches both.
const (
	consonants = "bcdfghjkmnpqrstvwxz"
	wordLen    = 8 // of users, organisations, serial numbers: 19^8
	stemLen    = 7 // of hosts: 19^7
	numberLen  = 5

	hostPrefix   = "h-"
	userPrefix   = "user-"
	namePrefix   = "name-"
	serialPrefix = "serial-"
)

// isPseudonym says whether a word is one of our pseudonyms for names, in any letter case.
func isPseudonym(word []byte) bool {
	switch {
	case hasFoldPrefix(word, hostPrefix):
		word = word[len(hostPrefix):]
		if len(word) == stemLen+1+numberLen && word[stemLen] == '-' {
			return allConsonants(word[:stemLen]) && allConsonants(word[stemLen+1:])
		}
		return (len(word) == stemLen || len(word) == stemLen+numberLen) && allConsonants(word)
	case hasFoldPrefix(word, userPrefix), hasFoldPrefix(word, namePrefix):
		word = word[len(userPrefix):]
	case hasFoldPrefix(word, serialPrefix):
		word = word[len(serialPrefix):]
	default:
		return false
	}
	return len(word) == wordLen && allConsonants(word)
}

func allConsonants(b []byte) bool {
	for _, c := range b {
		if byteClass[c]&isConsonant == 0 {
			return false
		}
	}
	return true
}

// appendPseudonym appends the pseudonym of a user, an organisation or a serial number in the name's own letter case.
// Names that differ only in letter case get pseudonyms that differ only in letter case.
func (r *Redactor) appendPseudonym(dst []byte, prefix string, name []byte) []byte {
	start := len(dst)
	dst = append(dst, prefix...)
	dst = append(dst, r.letters(prefix, canonical(name), wordLen)...)
	r.dress(dst[start:], name)
	return dst
}

// appendHostPseudonym does the same for a label of a host name. A stem is what stands before the star of a pattern.
func (r *Redactor) appendHostPseudonym(dst, label []byte, stem bool) []byte {
	start := len(dst)
	name := canonical(label)
	digits := bytes.TrimRight(name, "0123456789")
	head := bytes.TrimRight(digits, "-_")
	if len(head) == 0 {
		head, digits = name, name
	}
	dst = append(dst, hostPrefix...)
	dst = append(dst, r.letters(hostPrefix, head, stemLen)...)
	numbered := len(digits) < len(name)
	if len(head) < len(digits) && (numbered || stem) {
		dst = append(dst, '-')
	}
	if numbered && !stem {
		dst = append(dst, r.letters("number", name, numberLen)...)
	}
	r.dress(dst[start:], label)
	return dst
}

// letters derives n consonants from a name.
func (r *Redactor) letters(space string, name []byte, n int) string {
	return r.derive(space, name, func(sum [32]byte) string {
		b := make([]byte, n)
		v := binary.BigEndian.Uint64(sum[:])
		for i := range b {
			b[i] = consonants[v%uint64(len(consonants))]
			v /= uint64(len(consonants))
		}
		return string(b)
	})
}

// dress gives the lower-case pseudonym p the letter case of word: upper, lower, capitalised, or a mixture that is the
// same for the same mixture.
func (r *Redactor) dress(p, word []byte) {
	switch shape := caseOf(word); shape {
	case lowerCase:
	case upperCase:
		for i := range p {
			p[i] = upper(p[i])
		}
	case capitalised:
		p[0] = upper(p[0])
	case mixedUp, mixedDown:
		sum := r.digest("case", word)
		letters := 0
		for i, c := range p {
			if byteClass[c]&isLower == 0 {
				continue
			}
			// The first three letters say that it is a mixture, and of which sort; the others tell mixtures apart.
			up := sum[letters%len(sum)]&1 == 1
			switch letters {
			case 0:
				up = shape == mixedUp
			case 1:
				up = true
			case 2:
				up = false
			}
			if up {
				p[i] = upper(c)
			}
			letters++
		}
	}
}

type caseShape int

const (
	lowerCase   caseShape = iota // no upper-case letter
	upperCase                    // no lower-case letter
	capitalised                  // the first letter alone is upper case
	mixedUp                      // anything else that begins with an upper-case letter
	mixedDown                    // anything else
)

func caseOf(word []byte) caseShape {
	letters, uppers := 0, 0
	firstUpper := false
	for i := 0; i < len(word); {
		c, n := rune(word[i]), 1
		if c >= utf8.RuneSelf {
			if c, n = utf8.DecodeRune(word[i:]); c == utf8.RuneError && n == 1 {
				c = rune(word[i]) // an ANSI code page: its letters are where Latin-1 has them
			}
		}
		i += n
		switch {
		case unicode.IsUpper(c):
			if letters == 0 {
				firstUpper = true
			}
			letters++
			uppers++
		case unicode.IsLower(c):
			letters++
		}
	}
	switch {
	case uppers == 0:
		return lowerCase
	case uppers == letters:
		return upperCase
	case firstUpper && (uppers == 1 || bytes.IndexByte(word, ' ') > 0): // also "Anna Beispiel", which no script compares
		return capitalised
	case firstUpper:
		return mixedUp
	default:
		return mixedDown
	}
}

// canonical folds a name so that all its spellings give one pseudonym: letter case, and Latin-1 against UTF-8.
func canonical(word []byte) []byte {
	if !utf8.Valid(word) {
		runes := make([]rune, len(word))
		for i, c := range word {
			runes[i] = rune(c)
		}
		word = []byte(string(runes))
	}
	return bytes.ToLower(word)
}

// GUIDs of machines and tenants become GUIDs of version 8 (RFC 9562: free for private schemes) whose first group is
// guidMark, by which they are recognised.
const guidMark = "edac7ed0"

// guidAt says whether a GUID without braces begins at b[i:], bounded on both sides.
func guidAt(b []byte, i int) bool {
	if i < 0 || i+36 > len(b) {
		return false
	}
	for j := range 36 {
		c := b[i+j]
		switch j {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if byteClass[c]&isHex == 0 {
				return false
			}
		}
	}
	return (i == 0 || !joinsWord(b[i-1])) && (i+36 == len(b) || !joinsWord(b[i+36]))
}

// appendGUID appends the pseudonym of a GUID in its letter case. The empty GUID stays empty: it means "none".
func (s *scanner) appendGUID(dst, guid []byte) []byte {
	if foldEqual(guid[:8], guidMark) || bytes.Equal(guid, []byte("00000000-0000-0000-0000-000000000000")) {
		return append(dst, guid...)
	}
	s.count(ID, canonical(guid))
	p := s.r.derive("guid", canonical(guid), func(sum [32]byte) string {
		h := hex.EncodeToString(sum[:12])
		return guidMark + "-" + h[:4] + "-8" + h[4:7] + "-a" + h[7:10] + "-" + h[10:22]
	})
	start := len(dst)
	dst = append(dst, p...)
	if caseOf(guid) == upperCase {
		for i := start; i < len(dst); i++ {
			dst[i] = upper(dst[i])
		}
	}
	return dst
}

// The classes of a byte. Bytes above 0x7F count as letters: they are parts of letters in UTF-8 and letters in the ANSI
// code pages.
const (
	isDigit = 1 << iota
	isLower
	isUpper
	isHigh
	isHex
	isConsonant
	isSpace
	isToken // may stand in base64, URL-safe base64 or a JWT

	isLetter = isLower | isUpper | isHigh
	isAlnum  = isDigit | isLetter
)

var byteClass = func() (t [256]uint8) {
	for c := range 256 {
		switch b := byte(c); {
		case b >= '0' && b <= '9':
			t[c] = isDigit | isHex | isToken
		case b >= 'a' && b <= 'z':
			t[c] = isLower | isToken
			t[c-'a'+'A'] = isUpper | isToken
			if b <= 'f' {
				t[c] |= isHex
				t[c-'a'+'A'] |= isHex
			}
		case b == ' ' || b == '\t' || b == '\r' || b == '\v' || b == '\f':
			t[c] = isSpace
		case b >= 0x80:
			t[c] = isHigh
		}
	}
	for _, c := range []byte(consonants) {
		t[c] |= isConsonant
		t[upper(c)] |= isConsonant
	}
	for _, c := range []byte("+/=-_.") {
		t[c] |= isToken
	}
	return t
}()

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		c -= 'a' - 'A'
	}
	return c
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// joinsWord says whether a byte beside a name would make it part of a longer word.
func joinsWord(c byte) bool { return byteClass[c]&isAlnum != 0 || c == '_' }

// foldEqual compares b with s, which is in lower case and ASCII.
func foldEqual(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range len(s) {
		if lower(b[i]) != s[i] {
			return false
		}
	}
	return true
}

// hasFoldPrefix is foldEqual for the beginning of b.
func hasFoldPrefix(b []byte, s string) bool { return len(b) >= len(s) && foldEqual(b[:len(s)], s) }

// foldIndex returns the first place of s, in lower case and ASCII, in b at or after from, or -1.
func foldIndex(b []byte, s string, from int) int {
	for i := from; i+len(s) <= len(b); i++ {
		if lower(b[i]) == s[0] && foldEqual(b[i:i+len(s)], s) {
			return i
		}
	}
	return -1
}
