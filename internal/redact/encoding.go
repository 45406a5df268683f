package redact

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// An encoding is how a text came and how it has to leave. Registry exports and many redirected outputs of Windows are
// UTF-16LE; everything else is treated as bytes, which covers UTF-8 and the ANSI code pages alike.
type encoding int

const (
	byteText encoding = iota
	utf16LE
	utf16BE
)

// sniffLen is how many bytes are looked at to tell UTF-16 without a byte order mark.
const sniffLen = 512

// sniff tells the encoding from the beginning of a text, and the length of the byte order mark.
func sniff(head []byte) (enc encoding, bom int) {
	switch {
	case bytes.HasPrefix(head, []byte("\xEF\xBB\xBF")):
		return byteText, 3
	case bytes.HasPrefix(head, []byte("\xFF\xFE")):
		return utf16LE, 2
	case bytes.HasPrefix(head, []byte("\xFE\xFF")):
		return utf16BE, 2
	}
	if len(head) < 16 {
		return byteText, 0
	}
	// Without a mark: Latin text in UTF-16 has a zero in every other byte and none in between.
	var zeros [2]int
	for i, c := range head {
		if c == 0 {
			zeros[i&1]++
		}
	}
	half := len(head) / 2
	switch {
	case zeros[0] <= half/20 && zeros[1] >= half*3/4:
		return utf16LE, 0
	case zeros[1] <= half/20 && zeros[0] >= half*3/4:
		return utf16BE, 0
	}
	return byteText, 0
}

// unit reads a UTF-16 code unit.
func (e encoding) unit(b []byte) uint16 {
	if e == utf16LE {
		return uint16(b[0]) | uint16(b[1])<<8
	}
	return uint16(b[1]) | uint16(b[0])<<8
}

func (e encoding) appendUnit(dst []byte, u uint16) []byte {
	if e == utf16LE {
		return append(dst, byte(u), byte(u>>8))
	}
	return append(dst, byte(u>>8), byte(u))
}

// decode appends b to dst as UTF-8 and returns what is left of b because it is not a whole character yet; final says
// that no more follows. Surrogates without a partner, which Windows allows in names, survive as three bytes each.
func (e encoding) decode(dst, b []byte, final bool) (text, rest []byte) {
	for len(b) >= 2 {
		u := e.unit(b)
		c := rune(u)
		n := 2
		if utf16.IsSurrogate(c) && u < 0xDC00 {
			if len(b) < 4 && !final {
				return dst, b
			}
			if len(b) >= 4 {
				if pair := utf16.DecodeRune(c, rune(e.unit(b[2:]))); pair != utf8.RuneError {
					c, n = pair, 4
				}
			}
		}
		if utf16.IsSurrogate(c) {
			dst = append(dst, 0xE0|byte(c>>12), 0x80|byte(c>>6)&0x3F, 0x80|byte(c)&0x3F)
		} else {
			dst = utf8.AppendRune(dst, c)
		}
		b = b[n:]
	}
	return dst, b
}

// encode appends text, as decode made it, to dst in e.
func (e encoding) encode(dst, text []byte) []byte {
	for len(text) > 0 {
		c, n := utf8.DecodeRune(text)
		if c == utf8.RuneError && n == 1 && len(text) >= 3 && text[0] == 0xED && text[1] >= 0xA0 {
			c, n = 0xD000|rune(text[1]&0x3F)<<6|rune(text[2]&0x3F), 3
		}
		text = text[n:]
		if c >= 0x10000 {
			hi, lo := utf16.EncodeRune(c)
			dst = e.appendUnit(e.appendUnit(dst, uint16(hi)), uint16(lo))
			continue
		}
		dst = e.appendUnit(dst, uint16(c))
	}
	return dst
}
