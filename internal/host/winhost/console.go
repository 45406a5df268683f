package winhost

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// consoleText turns what a console tool wrote to a pipe into text: UTF-16 from
// those that always write it (sfc, wmic), else the console's code page, in which
// UTF-8 is recognised by itself. codePage decodes the latter.
func consoleText(b []byte, codePage func([]byte) string) string {
	switch {
	case looksUTF16(b):
		return utf16Text(b)
	case utf8.Valid(b):
		return string(bytes.TrimPrefix(b, []byte("\xEF\xBB\xBF")))
	}
	return codePage(b)
}

// looksUTF16 reports whether b is little-endian UTF-16: it says so, or zeros stand
// where the high bytes of line ends, blanks and numbers have them. Those are in
// every language, also where no letter is among the first 256.
func looksUTF16(b []byte) bool {
	if bytes.HasPrefix(b, []byte{0xFF, 0xFE}) {
		return true
	}
	n := min(len(b)/2, 2048)
	var high, low int
	for i := 0; i < 2*n; i += 2 {
		if b[i] == 0 {
			low++
		}
		if b[i+1] == 0 {
			high++
		}
	}
	return n > 0 && low == 0 && high == n || high > 1 && high*8 >= n && high >= 4*low
}

func utf16Text(b []byte) string {
	b = bytes.TrimPrefix(b, []byte{0xFF, 0xFE})
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

// lastLine returns the last line of text in which something stands. Tools draw
// over a line by returning to its beginning.
func lastLine(s string) string {
	for s != "" {
		i := strings.LastIndexAny(s, "\r\n")
		if line := strings.TrimSpace(s[i+1:]); line != "" {
			return line
		}
		s = s[:max(i, 0)]
	}
	return ""
}

// percentOf finds how far a tool says it is: a number before or behind a percent
// sign, in any language: "62.3%", "62,3 %", "%62".
func percentOf(line string) (float64, bool) {
	i := strings.LastIndexByte(line, '%')
	if i < 0 {
		return 0, false
	}
	number := func(c rune) bool { return '0' <= c && c <= '9' || c == '.' || c == ',' }
	before := strings.TrimRight(line[:i], " \u00a0\u202f")
	s := before[len(strings.TrimRightFunc(before, number)):]
	if s == "" {
		after := line[i+1:]
		s = after[:len(after)-len(strings.TrimLeftFunc(after, number))]
	}
	p, err := strconv.ParseFloat(strings.ReplaceAll(strings.Trim(s, ".,"), ",", "."), 64)
	return p, err == nil && 0 <= p && p <= 100
}
