package wusp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A body in xpress is a sequence of blocks, each behind the size that it has
// unpacked and the size that it has here ([MS-WUSP] 2.1.1). A block is in the plain
// LZ77 format of [MS-XCA] 2.4, unless both sizes are equal: then it is stored.
const (
	blockHeader = 8
	maxBlock    = 65535 // of either size
)

var errXpress = errors.New("not xpress")

// expand unpacks a body of at most limit bytes.
func expand(b []byte, limit int) ([]byte, error) {
	var out []byte
	for len(b) > 0 {
		if len(b) < blockHeader {
			return nil, fmt.Errorf("%w: a block's header ends early", errXpress)
		}
		size, packed := int64(binary.LittleEndian.Uint32(b)), int64(binary.LittleEndian.Uint32(b[4:]))
		b = b[blockHeader:]
		switch {
		case size == 0 || size > maxBlock || packed == 0 || packed > size:
			return nil, fmt.Errorf("%w: a block of %d bytes in %d", errXpress, size, packed)
		case packed > int64(len(b)):
			return nil, fmt.Errorf("%w: a block ends early", errXpress)
		case len(out)+int(size) > limit:
			return nil, fmt.Errorf("more than %d bytes: %w", limit, errBound)
		}
		if packed == size {
			out = append(out, b[:size]...)
		} else {
			var err error
			if out, err = unpack(out, b[:packed], int(size)); err != nil {
				return nil, err
			}
		}
		b = b[packed:]
	}
	return out, nil
}

// unpack appends the size bytes that are packed in b, in the way of [MS-XCA]
// 2.4.4. A match never reaches before the block.
func unpack(out, b []byte, size int) ([]byte, error) {
	start, end := len(out), len(out)+size
	var flags uint32
	at, bits := 0, 0
	nibble := -1 // where the byte is whose high half is the next long length
	for len(out) < end {
		if bits == 0 {
			if at+4 > len(b) {
				return nil, fmt.Errorf("%w: flags are missing", errXpress)
			}
			flags, bits = binary.LittleEndian.Uint32(b[at:]), 32
			at += 4
		}
		bits--
		if flags>>bits&1 == 0 {
			if at == len(b) {
				return nil, fmt.Errorf("%w: a literal is missing", errXpress)
			}
			out = append(out, b[at])
			at++
			continue
		}
		if at+2 > len(b) {
			return nil, fmt.Errorf("%w: a match is missing", errXpress)
		}
		match := int(binary.LittleEndian.Uint16(b[at:]))
		at += 2
		offset, length := match>>3+1, match&7
		if length == 7 {
			// A long length goes on in half a byte, which two matches share, then in
			// a byte, then in two or four that hold all of it.
			if nibble < 0 {
				if at == len(b) {
					return nil, fmt.Errorf("%w: a length is missing", errXpress)
				}
				nibble = at
				length += int(b[at] & 15)
				at++
			} else {
				length += int(b[nibble] >> 4)
				nibble = -1
			}
			if length == 7+15 {
				if at == len(b) {
					return nil, fmt.Errorf("%w: a length is missing", errXpress)
				}
				more := int(b[at])
				at++
				length += more
				if more == 255 {
					var err error
					if length, at, err = longLength(b, at); err != nil {
						return nil, err
					}
				}
			}
		}
		length += 3
		from := len(out) - offset
		if from < start || length > end-len(out) {
			return nil, fmt.Errorf("%w: a match of %d bytes from %d back is outside the block", errXpress, length, offset)
		}
		for range length { // byte by byte: a match may overlap what it makes
			out = append(out, out[from])
			from++
		}
	}
	return out, nil
}

// longLength reads the length of a match in two bytes, or in four if those are zero.
func longLength(b []byte, at int) (length, next int, err error) {
	if at+2 > len(b) {
		return 0, 0, fmt.Errorf("%w: a length is missing", errXpress)
	}
	length = int(binary.LittleEndian.Uint16(b[at:]))
	at += 2
	if length == 0 {
		if at+4 > len(b) {
			return 0, 0, fmt.Errorf("%w: a length is missing", errXpress)
		}
		length = int(binary.LittleEndian.Uint32(b[at:]) & 0x7fffffff)
		at += 4
	}
	if length < 7+15 {
		return 0, 0, fmt.Errorf("%w: a length of %d in the long form", errXpress, length)
	}
	return length, at, nil
}

// looksPacked reports that a body is xpress, whatever its header says.
func looksPacked(b []byte) bool {
	if len(b) < blockHeader+1 {
		return false
	}
	size, packed := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	return size > 0 && size <= maxBlock && packed > 0 && packed <= size && b[2] == 0 && b[3] == 0
}
