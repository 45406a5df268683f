package winlog

import (
	"bytes"
	"time"

	"updoc/internal/codes"
)

// The small scanners that the line formats share. They work on bytes, keep
// nothing and never allocate.

// number reads decimal digits at the start of b and returns the value, how many
// digits there were, and whether it fits 32 bits.
func number(b []byte) (v uint32, n int, ok bool) {
	var w uint64
	for n < len(b) && b[n]-'0' <= 9 {
		if w = w*10 + uint64(b[n]-'0'); w > 1<<32-1 {
			return 0, 0, false
		}
		n++
	}
	return uint32(w), n, n > 0
}

// digits reads exactly n decimal digits at the start of b.
func digits(b []byte, n int) (v int, ok bool) {
	if len(b) < n {
		return 0, false
	}
	for _, c := range b[:n] {
		if c-'0' > 9 {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, true
}

// hexDigit returns the value of a hex digit, or 16.
func hexDigit(c byte) byte {
	switch {
	case c-'0' <= 9:
		return c - '0'
	case c|0x20-'a' <= 5:
		return c | 0x20 - 'a' + 10
	}
	return 16
}

// hex reads hex digits at the start of b.
func hex(b []byte) (v uint32, n int) {
	for n < len(b) && n < 9 {
		d := hexDigit(b[n])
		if d > 15 {
			break
		}
		v = v<<4 | uint32(d)
		n++
	}
	return v, n
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func skipSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	return b
}

// word splits b at the first blank.
func word(b []byte) (w, rest []byte) {
	for i, c := range b {
		if isSpace(c) {
			return b[:i], b[i:]
		}
	}
	return b, nil
}

// civil builds a time from already validated parts without the normalising work
// of time.Date, which would dominate the parsing of a line.
// Days-from-civil after H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
func civil(year, month, day, hour, min, sec int, nsec int) (time.Time, bool) {
	if month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || min > 59 || sec > 60 || year < 1 {
		return time.Time{}, false
	}
	y := year
	if month <= 2 {
		y--
	}
	era := y / 400
	yoe := y - era*400
	mp := (month + 9) % 12
	doy := (153*mp+2)/5 + day - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	days := era*146097 + doe - 719468
	return time.Unix(int64(days)*86400+int64(hour*3600+min*60+sec), int64(nsec)).UTC(), true
}

// dateTime reads "YYYY-MM-DD HH:MM:SS" (or with slashes) at the start of b. With
// gap false the blank between date and time may be missing. It returns the rest.
func dateTime(b []byte) (t time.Time, rest []byte, ok bool) {
	if len(b) < 18 || (b[4] != '-' && b[4] != '/') || b[7] != b[4] {
		return t, b, false
	}
	year, ok1 := digits(b, 4)
	month, ok2 := digits(b[5:], 2)
	day, ok3 := digits(b[8:], 2)
	c := b[10:]
	if isSpace(c[0]) || c[0] == 'T' {
		c = c[1:]
	}
	if !ok1 || !ok2 || !ok3 || len(c) < 8 || c[2] != ':' || c[5] != ':' {
		return t, b, false
	}
	hour, ok1 := digits(c, 2)
	min, ok2 := digits(c[3:], 2)
	sec, ok3 := digits(c[6:], 2)
	if !ok1 || !ok2 || !ok3 {
		return t, b, false
	}
	t, ok = civil(year, month, day, hour, min, sec, 0)
	return t, c[8:], ok
}

// fraction reads ".fffffff" or ":mmm" at the start of b.
func fraction(b []byte) (ns int, rest []byte) {
	if len(b) < 2 || (b[0] != '.' && b[0] != ':' && b[0] != ',') {
		return 0, b
	}
	i, unit := 1, 100_000_000
	for i < len(b) && i <= 9 && b[i]-'0' <= 9 {
		ns += int(b[i]-'0') * unit
		unit /= 10
		i++
	}
	if i == 1 {
		return 0, b
	}
	return ns, b[i:]
}

// failingCode returns the first failing HRESULT or NTSTATUS that text shows as a
// result: written with 0x, in brackets as *FAILED* does, or as eight bare digits
// after one of codeIntroductions. Eight digits that stand elsewhere (addresses,
// hashes, versions) are no codes.
func failingCode(text []byte) codes.HRESULT {
	// A code is a run of eight or ten letters and digits, so eight bytes with a
	// break among them are passed over from the last break on.
	for i := 0; i+8 <= len(text); {
		k := i + 7
		for k >= i && alnum[text[k]] {
			k--
		}
		if k >= i {
			i = k + 1
			continue
		}
		start := i
		for i += 8; i < len(text) && alnum[text[i]]; i++ {
		}
		run := text[start:i]
		switch {
		case len(run) == 10 && run[0] == '0' && run[1]|0x20 == 'x':
			run = run[2:]
		case len(run) == 8 && (run[0] == '8' || run[0]|0x20 == 'c' || run[0]|0x20 == 'd') && introducesCode(text, start, i):
		default:
			continue
		}
		if v, n := hex(run); n == 8 && plausible(v) {
			return codes.HRESULT(v)
		}
	}
	return 0
}

// plausible keeps what can be a failing result: severity set and a facility that
// is not all ones (0xFFFFFFFF and friends are markers, not codes). 0x80000000 to
// 0x80000007 are the predefined registry keys of winreg.h.
func plausible(v uint32) bool {
	switch v >> 28 {
	case 0x8:
		return v&0x0FFFFFF8 != 0
	case 0xC, 0xD:
		return v&0x0FFFFFFF != 0
	}
	return false
}

func isAlnum(c byte) bool { return alnum[c] }

// alnum is a table because failingCode asks it about every byte of a log.
var alnum = func() (t [256]bool) {
	for c := range t {
		t[c] = byte(c)-'0' <= 9 || byte(c)|0x20-'a' <= 25 || c == '_'
	}
	return t
}()

var codeIntroductions = [][]byte{[]byte("HRESULT "), []byte("(F) "), []byte("error "), []byte("hr = "), []byte("hr="), []byte("code "), []byte("code = "), []byte("Error "), []byte("failed "), []byte("error: "), []byte("error = "), []byte("Error = "), []byte("HRESULT: "), []byte("hr: ")}

func introducesCode(text []byte, start, end int) bool {
	if start > 0 && text[start-1] == '[' && end < len(text) && text[end] == ']' {
		return true
	}
	before := text[:start]
	for _, s := range codeIntroductions {
		if bytes.HasSuffix(before, s) {
			return true
		}
	}
	return false
}
