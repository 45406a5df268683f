package lab

import "encoding/binary"

// xpressBlock is how much a block of the update service's answers holds.
const xpressBlock = 16352

// xpress writes bytes as the update service does for clients that accept the encoding:
// blocks of the original and the compressed size, then plain LZ77 of [MS-XCA] section
// 2.3, or the bytes themselves where that is no shorter.
func xpress(b []byte) []byte {
	var out []byte
	for len(b) > 0 {
		piece := b[:min(len(b), xpressBlock)]
		b = b[len(piece):]
		packed := lz77(piece)
		if len(packed) >= len(piece) {
			packed = piece
		}
		out = binary.LittleEndian.AppendUint32(out, uint32(len(piece)))
		out = binary.LittleEndian.AppendUint32(out, uint32(len(packed)))
		out = append(out, packed...)
	}
	return out
}

// lz77 compresses one block. [MS-XCA] section 2.3.4.
func lz77(b []byte) []byte {
	const farthest = 8192
	out := make([]byte, 4, 4+len(b))
	flagsAt, flags, count := 0, uint32(0), 0
	half := -1 // where the next length of a match shares a byte
	last := map[[3]byte]int{}
	flag := func(bit uint32) {
		flags = flags<<1 | bit
		if count++; count == 32 {
			binary.LittleEndian.PutUint32(out[flagsAt:], flags)
			flagsAt, flags, count = len(out), 0, 0
			out = append(out, 0, 0, 0, 0)
		}
	}
	for i := 0; i < len(b); {
		length, offset := 0, 0
		if i+3 <= len(b) {
			key := [3]byte(b[i : i+3])
			if at, ok := last[key]; ok && i-at <= farthest {
				offset = i - at
				for i+length < len(b) && b[at+length] == b[i+length] {
					length++
				}
			}
		}
		if length < 3 {
			if i+3 <= len(b) {
				last[[3]byte(b[i:i+3])] = i
			}
			out = append(out, b[i])
			flag(0)
			i++
			continue
		}
		for k := i; k < i+length && k+3 <= len(b); k++ {
			last[[3]byte(b[k:k+3])] = k
		}
		i += length
		out, half = appendMatch(out, half, length-3, offset-1)
		flag(1)
	}
	flags = flags<<(32-count) | (1<<(32-count) - 1) // the end is marked by ones
	binary.LittleEndian.PutUint32(out[flagsAt:], flags)
	return out
}

// appendMatch writes one match: 13 bits of offset and 3 of length, of which more follow
// in half a byte, a byte, and two bytes.
func appendMatch(out []byte, half, length, offset int) ([]byte, int) {
	le := binary.LittleEndian
	out = le.AppendUint16(out, uint16(offset<<3|min(length, 7)))
	if length < 7 {
		return out, half
	}
	length -= 7
	nibble := byte(min(length, 15))
	if half < 0 {
		half = len(out)
		out = append(out, nibble)
	} else {
		out[half] |= nibble << 4
		half = -1
	}
	if length < 15 {
		return out, half
	}
	length -= 15
	out = append(out, byte(min(length, 255)))
	if length < 255 {
		return out, half
	}
	return le.AppendUint16(out, uint16(length+15+7)), half
}
