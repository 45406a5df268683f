package winlog

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Values of binary XML: numbers, times, texts, GUIDs, SIDs and arrays of them.

// integerValue returns the number that a value of an integer type is.
func integerValue(b []byte, typ byte) (uint64, bool) {
	switch {
	case typ < bxInt8 || typ == bxFloat32 || typ == bxFloat64:
		return 0, false
	case typ > bxBool && typ != bxSize && typ != bxHex32 && typ != bxHex64:
		return 0, false
	}
	switch len(b) {
	case 1:
		return uint64(b[0]), true
	case 2:
		return uint64(binary.LittleEndian.Uint16(b)), true
	case 4:
		return uint64(binary.LittleEndian.Uint32(b)), true
	case 8:
		return binary.LittleEndian.Uint64(b), true
	}
	return 0, false
}

// fileTime converts 100 ns units since 1601 UTC; the zero time if out of range.
func fileTime(v uint64) time.Time {
	const unix = 116444736000000000 // 1970-01-01
	if v == 0 || v > 1<<63-1 {
		return time.Time{}
	}
	d := int64(v) - unix
	return time.Unix(d/1e7, d%1e7*100).UTC()
}

// systemTime reads a SYSTEMTIME: year, month, day of week, day, hour, minute,
// second, millisecond, 16 bits each.
func systemTime(b []byte) (time.Time, bool) {
	f := func(i int) int { return int(binary.LittleEndian.Uint16(b[2*i:])) }
	return civil(f(0), f(1), f(3), f(4), f(5), f(6), f(7)%1000*1e6)
}

// appendValue appends a value as Windows renders it in XML.
func appendValue(dst, chunk []byte, v bxValueRef) []byte {
	b := chunk[v.off:v.end]
	if v.typ&bxTypeArray != 0 {
		return appendArray(dst, b, v.typ&^bxTypeArray)
	}
	return appendScalar(dst, b, v.typ)
}

func appendScalar(dst, b []byte, typ byte) []byte {
	switch typ {
	case bxString:
		return appendUTF16(dst, b[:utf16Len(b)])
	case bxANSIString:
		for i, c := range b {
			if c == 0 {
				b = b[:i]
				break
			}
		}
		return append(dst, toUTF8(b)...)
	case bxInt8, bxInt16, bxInt32, bxInt64:
		n, ok := integerValue(b, typ)
		if !ok {
			break
		}
		shift := 64 - 8*len(b)
		return strconv.AppendInt(dst, int64(n)<<shift>>shift, 10)
	case bxUint8, bxUint16, bxUint32, bxUint64:
		if n, ok := integerValue(b, typ); ok {
			return strconv.AppendUint(dst, n, 10)
		}
	case bxBool:
		if n, ok := integerValue(b, typ); ok {
			return strconv.AppendBool(dst, n != 0)
		}
	case bxSize, bxHex32, bxHex64:
		if n, ok := integerValue(b, typ); ok {
			return strconv.AppendUint(append(dst, "0x"...), n, 16)
		}
	case bxFloat32:
		if len(b) == 4 {
			return strconv.AppendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 'g', -1, 32)
		}
	case bxFloat64:
		if len(b) == 8 {
			return strconv.AppendFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(b)), 'g', -1, 64)
		}
	case bxGUID:
		if len(b) == 16 {
			return appendGUID(dst, b)
		}
	case bxFileTime:
		if len(b) == 8 {
			return appendTime(dst, fileTime(binary.LittleEndian.Uint64(b)))
		}
	case bxSystemTime:
		if len(b) == 16 {
			t, _ := systemTime(b)
			return appendTime(dst, t)
		}
	case bxSID:
		if len(b) >= 8 && len(b) >= 8+4*int(b[1]) {
			return appendSID(dst, b)
		}
	}
	const digits = "0123456789ABCDEF"
	for _, c := range b {
		dst = append(dst, digits[c>>4], digits[c&15])
	}
	return dst
}

// appendArray appends the elements with commas between them.
func appendArray(dst, b []byte, typ byte) []byte {
	size := 0
	switch typ {
	case bxString:
		for i := 0; len(b) >= 2; i++ {
			n := utf16Len(b)
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendUTF16(dst, b[:n])
			b = b[min(n+2, len(b)):]
		}
		return dst
	case bxANSIString, bxBinary, bxSID:
		return appendScalar(dst, b, typ)
	case bxInt8, bxUint8:
		size = 1
	case bxInt16, bxUint16:
		size = 2
	case bxInt32, bxUint32, bxHex32, bxFloat32, bxBool:
		size = 4
	case bxInt64, bxUint64, bxHex64, bxFloat64, bxSize, bxFileTime:
		size = 8
	case bxGUID, bxSystemTime:
		size = 16
	default:
		return appendScalar(dst, b, bxBinary)
	}
	for i := 0; len(b) >= size; i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendScalar(dst, b[:size], typ)
		b = b[size:]
	}
	return dst
}

// appendUTF16 appends little-endian UTF-16 as UTF-8.
func appendUTF16(dst, b []byte) []byte {
	for len(b) >= 2 {
		if b[1] == 0 && b[0] < utf8.RuneSelf {
			dst = append(dst, b[0])
			b = b[2:]
			continue
		}
		c := rune(binary.LittleEndian.Uint16(b))
		b = b[2:]
		if utf16.IsSurrogate(c) {
			if len(b) >= 2 {
				if pair := utf16.DecodeRune(c, rune(binary.LittleEndian.Uint16(b))); pair != utf8.RuneError {
					dst = utf8.AppendRune(dst, pair)
					b = b[2:]
					continue
				}
			}
			c = utf8.RuneError
		}
		dst = utf8.AppendRune(dst, c)
	}
	return dst
}

func appendGUID(dst, b []byte) []byte {
	dst = append(dst, '{')
	for i, k := range [16]int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15} {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		const digits = "0123456789abcdef"
		dst = append(dst, digits[b[k]>>4], digits[b[k]&15])
	}
	return append(dst, '}')
}

func appendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	return t.AppendFormat(dst, "2006-01-02T15:04:05.0000000Z")
}

func appendSID(dst, b []byte) []byte {
	dst = append(dst, 'S', '-')
	dst = strconv.AppendUint(dst, uint64(b[0]), 10)
	var authority uint64
	for _, c := range b[2:8] {
		authority = authority<<8 | uint64(c)
	}
	dst = strconv.AppendUint(append(dst, '-'), authority, 10)
	for i := range int(b[1]) {
		dst = strconv.AppendUint(append(dst, '-'), uint64(binary.LittleEndian.Uint32(b[8+4*i:])), 10)
	}
	return dst
}
