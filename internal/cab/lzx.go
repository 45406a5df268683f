package cab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Where the LZX documents of 1997 contradict real cabinets, [MS-PATCH] and the
// cabinets are right: the aligned offset tree comes before the main tree, an
// uncompressed block has a 24-bit length like the others, windows of 1 and 2
// MiB have 42 and 50 position slots, and trees may be empty.
const (
	minWindow = 15
	maxWindow = 21

	literals     = 256
	lengthHeads  = 8 // main tree symbols per position slot; the last defers to the length tree
	maxSlots     = 50
	lengthCodes  = 249
	alignedCodes = 8
	alignedBits  = 3 // low bits of an offset that the aligned offset tree encodes
	minMatch     = 2

	blockVerbatim     = 1
	blockAligned      = 2
	blockUncompressed = 3

	// maxE8 is where E8 translation ends, after 32,768 blocks.
	maxE8 = 1 << 30
)

// A slot is a range of match offsets: base plus a number of extra bits. Slots
// 0 to 2 stand for the repeated offsets instead.
type slot struct {
	base  uint32
	extra uint8
}

// slots is the table of [MS-PATCH] 2.6.1, with its offset of two taken away.
var slots = func() (table [maxSlots]slot) {
	base := ^uint32(1) // -2: slots 0 to 2 are never added to
	for i := range table {
		extra := 17
		if i < 4 {
			extra = 0
		} else if i < 36 {
			extra = i/2 - 1
		}
		table[i] = slot{base, uint8(extra)}
		base += 1 << extra
	}
	return table
}()

// lzx decodes LZX. Each block of the cabinet holds exactly one frame of 32 KiB,
// and its own whole number of 16-bit words; LZX's own blocks, each with its
// trees, begin and end anywhere. Matches do not cross the end of either.
type lzx struct {
	src []byte // the cabinet's block
	in  bitBuffer

	window []byte // a ring; frames never wrap in it, matches do
	pos    int    // in the window
	total  int64  // bytes decoded before pos
	closed bool   // a frame was short, so it was the last

	begun  bool  // the stream's header was read
	e8size int32 // translation size: nothing to undo if 0

	kind   int  // of the LZX block
	left   int  // bytes to come in it
	pad    bool // a byte follows to make its length even
	recent [3]uint32

	mainLens             [literals + maxSlots*lengthHeads]uint8
	lengthLens           [lengthCodes]uint8
	mainCode, lengthCode code
	alignedCode, preCode code
	mainCodes            int // used of mainLens
	frame                [maxBlock]byte
	preLens              [20]uint8
	alignedLens          [alignedCodes]uint8
}

var (
	errOverrun = errors.New("LZX data ends early")
	errCode    = errors.New("LZX data has a bit string that is no code")
)

func newLZX(windowBits int) *lzx {
	d := &lzx{window: make([]byte, 1<<windowBits)}
	// As many slots as reach across the window.
	n := 0
	for n < maxSlots && int(slots[n].base+2) < len(d.window) {
		n++
	}
	d.mainCodes = literals + n*lengthHeads
	d.reset()
	return d
}

func (d *lzx) reset() {
	d.pos, d.total, d.closed = 0, 0, false
	d.begun, d.e8size = false, 0
	d.kind, d.left, d.pad = 0, 0, false
	d.recent = [3]uint32{1, 1, 1}
	clear(d.mainLens[:])
	clear(d.lengthLens[:])
}

func (d *lzx) decode(src []byte, n int) ([]byte, error) {
	if d.closed {
		return nil, errors.New("LZX block after a short one")
	}
	d.src, d.in = src, bitBuffer{}
	if !d.begun {
		d.begun = true
		if d.take(1) == 1 {
			d.e8size = int32(d.take(16)<<16 | d.take(16))
		}
	}
	begin, end, start := d.pos, d.pos+n, d.total
	for d.pos < end {
		if d.left == 0 {
			if err := d.nextBlock(); err != nil {
				return nil, err
			}
		}
		run := min(d.left, end-d.pos)
		if err := d.run(run); err != nil {
			return nil, fmt.Errorf("%w after %d of %d bytes", err, d.pos-begin, n)
		}
		d.left -= run
	}
	if d.overrun() {
		return nil, errOverrun
	}
	if d.left == 0 && d.pad && d.in.pos < len(src) {
		d.pad = false // it stands at the end of this frame, not at the start of the next
	}
	out := d.window[begin:end]
	if d.pos == len(d.window) {
		d.pos = 0
	}
	if d.e8size != 0 && start < maxE8 && n > e8Tail && bytes.IndexByte(out, 0xe8) >= 0 {
		// Matches refer to the translated bytes: leave the window alone.
		out = d.frame[:copy(d.frame[:], out)]
		undoE8(out, int32(start), d.e8size)
	}
	d.closed = n < maxBlock
	return out, nil
}

// nextBlock reads the head of an LZX block and its trees.
func (d *lzx) nextBlock() error {
	if d.pad {
		d.pad = false
		d.in.pos++
	}
	d.kind = int(d.take(3))
	d.left = int(d.take(24))
	switch d.kind {
	case blockAligned:
		for i := range d.alignedLens {
			d.alignedLens[i] = uint8(d.take(3))
		}
		if !d.alignedCode.build(d.alignedLens[:]) {
			return errors.New("LZX aligned offset tree is not a tree")
		}
		fallthrough
	case blockVerbatim:
		if err := d.readLens(d.mainLens[:literals]); err != nil {
			return err
		}
		if err := d.readLens(d.mainLens[literals:d.mainCodes]); err != nil {
			return err
		}
		if err := d.readLens(d.lengthLens[:]); err != nil {
			return err
		}
		if !d.mainCode.build(d.mainLens[:d.mainCodes]) {
			return errors.New("LZX main tree is not a tree")
		}
		if !d.lengthCode.build(d.lengthLens[:]) {
			return errors.New("LZX length tree is not a tree")
		}
	case blockUncompressed:
		d.pad = d.left%2 != 0
		if !d.alignWord(4 * len(d.recent)) {
			return errOverrun
		}
		for i := range d.recent {
			d.recent[i] = binary.LittleEndian.Uint32(d.src[d.in.pos:])
			d.in.pos += 4
		}
	default:
		return fmt.Errorf("LZX block type %d", d.kind)
	}
	if d.overrun() {
		return errOverrun
	}
	return nil
}

// readLens reads code lengths, each stored as the difference, modulo 17, from
// the one that the same symbol had in the block before, under a code of its own.
func (d *lzx) readLens(lens []uint8) error {
	for i := range d.preLens {
		d.preLens[i] = uint8(d.take(4))
	}
	if !d.preCode.build(d.preLens[:]) {
		return errors.New("LZX pretree is not a tree")
	}
	for i := 0; i < len(lens); {
		symbol, ok := d.symbol(&d.preCode)
		if !ok {
			return errCode
		}
		run, zero := 1, false
		switch symbol {
		case 17:
			run, zero = 4+int(d.take(4)), true
		case 18:
			run, zero = 20+int(d.take(5)), true
		case 19:
			run = 4 + int(d.take(1))
			if symbol, ok = d.symbol(&d.preCode); !ok || symbol > maxCodeLen {
				return errCode
			}
		}
		if run > len(lens)-i {
			return errors.New("LZX tree has a run beyond its end")
		}
		var n uint8
		if !zero {
			n = (lens[i] + maxCodeLen + 1 - uint8(symbol)) % (maxCodeLen + 1)
		}
		for range run {
			lens[i] = n
			i++
		}
	}
	return nil
}

// run decodes the next n bytes of the LZX block to the window.
func (d *lzx) run(n int) error {
	if d.kind != blockUncompressed {
		return d.expand(n)
	}
	if n > len(d.src)-d.in.pos {
		return errOverrun
	}
	copy(d.window[d.pos:], d.src[d.in.pos:][:n])
	d.in.pos += n
	d.pos += n
	d.total += int64(n)
	return nil
}

// expand is the inner loop: n bytes of literals and matches. It works on copies
// of the fields, which the compiler can keep in registers.
func (d *lzx) expand(n int) error {
	var (
		src        = d.src
		in         = d.in
		window     = d.window
		pos        = d.pos
		end        = d.pos + n
		before     = int(d.total) - d.pos // so that before+pos bytes were decoded
		r0, r1, r2 = d.recent[0], d.recent[1], d.recent[2]
	)
	for pos < end {
		if in.n < 32 { // usually not: spare the call
			in = in.fill(src)
		}
		entry := d.mainCode.root[in.buf>>(64-rootBits)]
		symbol, width := uint(entry>>4), uint(entry&15)
		if entry == 0 {
			if symbol, width = d.mainCode.long(uint32(in.buf >> 48)); width == 0 {
				return d.stop(in, errCode)
			}
		}
		in = in.drop(width)
		if symbol < literals {
			window[pos] = byte(symbol)
			pos++
			continue
		}

		symbol -= literals
		length := int(symbol%lengthHeads) + minMatch
		if length == minMatch+lengthHeads-1 {
			entry := d.lengthCode.root[in.buf>>(64-rootBits)]
			symbol, width := uint(entry>>4), uint(entry&15)
			if entry == 0 {
				if symbol, width = d.lengthCode.long(uint32(in.buf >> 48)); width == 0 {
					return d.stop(in, errCode)
				}
			}
			in = in.drop(width)
			length += int(symbol)
		}

		offset := r0
		switch i := symbol / lengthHeads; i {
		case 0:
		case 1:
			offset, r1 = r1, r0
		case 2:
			offset, r2 = r2, r0
		default:
			in = in.fill(src)
			slot := slots[i]
			extra := uint(slot.extra)
			offset = slot.base
			if d.kind == blockAligned && extra >= alignedBits {
				extra -= alignedBits
				offset += uint32(in.peek(extra)) << alignedBits
				in = in.drop(extra)
				entry := d.alignedCode.root[in.buf>>(64-rootBits)]
				if entry == 0 { // its codes are too short to be anywhere else
					return d.stop(in, errCode)
				}
				in = in.drop(uint(entry & 15))
				offset += uint32(entry >> 4)
			} else {
				offset += uint32(in.peek(extra))
				in = in.drop(extra)
			}
			r1, r2 = r0, r1
		}
		r0 = offset

		if length > end-pos {
			return d.stop(in, errors.New("LZX match crosses the end of its block"))
		}
		back := int(offset)
		if back < 1 || back > before+pos || back > len(window) {
			return d.stop(in, fmt.Errorf("LZX match %d bytes back", offset))
		}
		from := pos - back
		to := window[pos : pos+length]
		pos += length
		switch {
		case from < 0: // and perhaps across the end of the ring
			for i := range to {
				to[i] = window[(from+i)&(len(window)-1)]
			}
		case back >= length:
			copy(to, window[from:])
		case back == 1:
			c := window[from]
			for i := range to {
				to[i] = c
			}
		default: // a pattern that repeats itself
			for i := range to {
				to[i] = window[from+i]
			}
		}
	}
	d.in = in
	d.recent = [3]uint32{r0, r1, r2}
	d.total += int64(n)
	d.pos = pos
	return nil
}

// stop ends expand with err, or with errOverrun if it comes of the zeros that
// stand for what src does not have.
func (d *lzx) stop(in bitBuffer, err error) error {
	if d.in = in; d.overrun() {
		return errOverrun
	}
	return err
}

// e8Tail is how many bytes at the end of a frame are never translated.
const e8Tail = 10

// undoE8 reverses the translation of x86 calls ([MS-PATCH] 2.2.2) in the frame b,
// which begins at position at: after each 0xE8, the packer has put the target's
// absolute position in place of the relative one.
func undoE8(b []byte, at, size int32) {
	for i := 0; i < len(b)-e8Tail; i += 5 {
		k := bytes.IndexByte(b[i:len(b)-e8Tail], 0xe8)
		if k < 0 {
			return
		}
		i += k
		here := at + int32(i)
		target := int32(binary.LittleEndian.Uint32(b[i+1:]))
		switch {
		case target >= 0 && target < size:
			binary.LittleEndian.PutUint32(b[i+1:], uint32(target-here))
		case target < 0 && target >= -here:
			binary.LittleEndian.PutUint32(b[i+1:], uint32(target+size))
		}
	}
}

// bitBuffer holds bits of a stream of little-endian 16-bit words, the highest
// bit of each coming first. It is passed by value to stay in registers.
type bitBuffer struct {
	buf uint64 // the next bits, from the top; zeros below them
	n   uint   // how many of them there are
	pos int    // in the stream, of the word after them; beyond its end come zeros
}

// fill returns a buffer of at least 32 bits.
func (b bitBuffer) fill(src []byte) bitBuffer {
	if b.n >= 32 {
		return b
	}
	if b.pos+4 <= len(src) {
		w := binary.LittleEndian.Uint32(src[b.pos:])
		b.buf |= uint64(bits.RotateLeft32(w, 16)) << ((32 - b.n) & 63)
		b.n += 32
		b.pos += 4
		return b
	}
	return b.fillLast(src)
}

// fillLast is fill near the end of src.
func (b bitBuffer) fillLast(src []byte) bitBuffer {
	for b.n < 32 {
		var w uint64
		if b.pos < len(src) {
			w = uint64(src[b.pos])
		}
		if b.pos+1 < len(src) {
			w |= uint64(src[b.pos+1]) << 8
		}
		b.buf |= w << (48 - b.n)
		b.n += 16
		b.pos += 2
	}
	return b
}

// peek returns the next n bits, fewer than 32 and no more than there are.
func (b bitBuffer) peek(n uint) uint64 { return b.buf >> 1 >> ((63 - n) & 63) }

func (b bitBuffer) drop(n uint) bitBuffer {
	b.buf <<= n & 63
	b.n -= n
	return b
}

// take consumes the next n bits, at most 31.
func (d *lzx) take(n uint) uint32 {
	d.in = d.in.fill(d.src)
	v := d.in.peek(n)
	d.in = d.in.drop(n)
	return uint32(v)
}

// symbol consumes the next code; false if there is none.
func (d *lzx) symbol(c *code) (uint, bool) {
	d.in = d.in.fill(d.src)
	entry := c.root[d.in.buf>>(64-rootBits)]
	symbol, n := uint(entry>>4), uint(entry&15)
	if entry == 0 {
		symbol, n = c.long(uint32(d.in.buf >> 48))
	}
	d.in = d.in.drop(n)
	return symbol, n > 0
}

// overrun reports whether bits were consumed that src does not have.
func (d *lzx) overrun() bool { return 8*d.in.pos-int(d.in.n) > 8*len(d.src) }

// alignWord goes on to the bytes after the current word, or after the next one
// if the last word was used up; false if there are not n of them.
func (d *lzx) alignWord(n int) bool {
	next := d.in.pos - int(d.in.n/16)*2
	if d.in.n%16 == 0 {
		next += 2
	}
	d.in = bitBuffer{pos: next}
	return next+n <= len(d.src)
}
