package cab

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sort"
)

// This file packs cabinets for the tests. It shares no code and no table with
// the reader: position slots, Huffman codes and checksums are computed here
// in another way. Each cabinet is packed in one goroutine, and so what looks at every
// byte is left alone by the race detector (go:norace): it is there for the reader.

// A cabinet under construction. What is written is exactly what the fields say,
// so that lies can be written too.
type cabinet struct {
	folders        []cabFolder
	files          []cabFile
	setID, index   uint16
	prev, next     [2]string // cabinet and disk
	reserve        [3]int    // bytes in the header, each folder, each block
	sumReserve     bool      // checksums include the blocks' reserved bytes
	noSums         bool
	lengthOverride uint32
}

type cabFolder struct {
	method uint16
	blocks []cabBlock
}

type cabBlock struct {
	data []byte
	size int // uncompressed
}

type cabFile struct {
	name        string
	size, off   uint32
	folder      uint16
	date, clock uint16
	attr        uint16
}

// add puts a folder of files into the cabinet.
func (c *cabinet) add(method uint16, pack func([]byte) []cabBlock, files ...namedData) {
	var all []byte
	for _, f := range files {
		c.files = append(c.files, cabFile{
			name: f.name, size: uint32(len(f.data)), off: uint32(len(all)), folder: uint16(len(c.folders)),
			date: (2031-1980)<<9 | 2<<5 | 3, clock: 4<<11 | 5<<5 | 6/2, attr: AttrArchive,
		})
		all = append(all, f.data...)
	}
	c.folders = append(c.folders, cabFolder{method, pack(all)})
}

type namedData struct {
	name string
	data []byte
}

func (c *cabinet) bytes() []byte {
	le := binary.LittleEndian
	var flags uint16
	var front []byte // what follows the fixed header
	if c.reserve != [3]int{} {
		flags |= 4
		front = le.AppendUint16(front, uint16(c.reserve[0]))
		front = append(front, byte(c.reserve[1]), byte(c.reserve[2]))
		front = append(front, bytes.Repeat([]byte{0xa1}, c.reserve[0])...)
	}
	for i, pair := range [][2]string{c.prev, c.next} {
		if pair[0] != "" {
			flags |= 1 << i
			front = append(front, pair[0]+"\x00"+pair[1]+"\x00"...)
		}
	}
	folderTable := 36 + len(front)
	fileTable := folderTable + len(c.folders)*(8+c.reserve[1])
	var files []byte
	for _, f := range c.files {
		files = le.AppendUint32(files, f.size)
		files = le.AppendUint32(files, f.off)
		for _, w := range []uint16{f.folder, f.date, f.clock, f.attr} {
			files = le.AppendUint16(files, w)
		}
		files = append(files, f.name+"\x00"...)
	}
	var folders, data []byte
	for _, f := range c.folders {
		folders = le.AppendUint32(folders, uint32(fileTable+len(files)+len(data)))
		folders = le.AppendUint16(folders, uint16(len(f.blocks)))
		folders = le.AppendUint16(folders, f.method)
		folders = append(folders, bytes.Repeat([]byte{0xa2}, c.reserve[1])...)
		for _, b := range f.blocks {
			head := le.AppendUint16(le.AppendUint16(nil, uint16(len(b.data))), uint16(b.size))
			head = append(head, bytes.Repeat([]byte{0xa3}, c.reserve[2])...)
			var sum uint32
			if !c.noSums {
				summed := head[:4]
				if c.sumReserve {
					summed = head
				}
				sum = slowSum(b.data) ^ slowSum(summed)
			}
			data = append(append(le.AppendUint32(data, sum), head...), b.data...)
		}
	}
	length := uint32(fileTable + len(files) + len(data))
	if c.lengthOverride != 0 {
		length = c.lengthOverride
	}
	out := []byte("MSCF")
	for _, w := range []uint32{0, length, 0, uint32(fileTable), 0} {
		out = le.AppendUint32(out, w)
	}
	out = append(out, 3, 1)
	for _, w := range []uint16{uint16(len(c.folders)), uint16(len(c.files)), flags, c.setID, c.index} {
		out = le.AppendUint16(out, w)
	}
	for _, part := range [][]byte{front, folders, files, data} {
		out = append(out, part...)
	}
	return out
}

// slowSum is the CFDATA checksum, byte by byte.
//
//go:norace
func slowSum(b []byte) uint32 {
	var sum uint32
	for i, c := range b {
		shift := i % 4
		if whole := len(b) / 4 * 4; i >= whole {
			shift = len(b) - 1 - i
		}
		sum ^= uint32(c) << (8 * shift)
	}
	return sum
}

// cut divides data into the pieces that blocks hold.
func cut(data []byte) [][]byte {
	var pieces [][]byte
	for len(data) > 0 {
		n := min(len(data), 32768)
		pieces, data = append(pieces, data[:n]), data[n:]
	}
	return pieces
}

func packNone(data []byte) (blocks []cabBlock) {
	for _, p := range cut(data) {
		blocks = append(blocks, cabBlock{p, len(p)})
	}
	return blocks
}

func packMSZIP(data []byte) (blocks []cabBlock) {
	var history []byte
	for _, p := range cut(data) {
		var b bytes.Buffer
		b.WriteString("CK")
		w, err := flate.NewWriterDict(&b, flate.DefaultCompression, history)
		if err != nil {
			panic(err)
		}
		w.Write(p)
		w.Close()
		history = p
		blocks = append(blocks, cabBlock{b.Bytes(), len(p)})
	}
	return blocks
}

// lzxPlan says how packLZX is to encode.
type lzxPlan struct {
	bits int   // of the window
	e8   int32 // translation size, 0 for none
	// next gives kind (1 verbatim, 2 aligned, 3 uncompressed) and size of the
	// next LZX block, of which at most left bytes are used. Nil: verbatim blocks
	// of 100,000 bytes.
	next func(left int) (kind, size int)
	// rng makes the parser take worse matches now and then; nil for never.
	rng *rand.Rand
	// padNext puts the byte that evens an uncompressed block at the start of the
	// next frame instead of the end of this one, where there is a choice.
	padNext bool
	// used counts what was encoded.
	used map[string]int
}

func (p lzxPlan) method() uint16 { return 3 | uint16(p.bits)<<8 }

type lzxToken struct {
	literal byte
	length  int // 0: a literal
	main    int // symbol for a match
	footer  uint32
	extra   int // bits of footer
}

type lzxPacker struct {
	lzxPlan
	data     []byte // translated
	pos      int
	last     map[uint32]int // where three bytes stood last
	before   []int          // by place: where its three bytes stood before, -1 for nowhere
	recent   [3]int
	mainLens []int
	longLens []int

	out    []cabBlock
	frame  []byte
	word   uint32
	filled int // bits of word
	done   int // uncompressed bytes in frame
	needed bool
}

func packLZX(plan lzxPlan) func([]byte) []cabBlock {
	return func(data []byte) []cabBlock {
		p := &lzxPacker{lzxPlan: plan, data: bytes.Clone(data), last: map[uint32]int{}, before: make([]int, len(data)), recent: [3]int{1, 1, 1}}
		if p.used == nil {
			p.used = map[string]int{}
		}
		p.mainLens = make([]int, 256+8*positionSlots(plan.bits))
		p.longLens = make([]int, 249)
		if plan.e8 != 0 {
			for i, frame := range cut(p.data) {
				p.used["e8"] += translate(frame, int64(i)*32768, int64(plan.e8))
			}
			p.put(1, 1)
			p.put(uint32(plan.e8)>>16, 16)
			p.put(uint32(plan.e8)&0xffff, 16)
		} else {
			p.put(0, 1)
		}
		for p.pos < len(p.data) {
			kind, size := 1, 100_000
			if plan.next != nil {
				kind, size = plan.next(len(p.data) - p.pos)
			}
			p.block(kind, min(size, len(p.data)-p.pos))
		}
		p.endFrame()
		return p.out
	}
}

// translate is the encoder's side of E8 translation, written from the
// description of the packer in [MS-PATCH] 2.2.2.
//
//go:norace
func translate(chunk []byte, offset, size int64) (calls int) {
	for i := 0; i < len(chunk)-10; i++ {
		if chunk[i] != 0xe8 {
			continue
		}
		current := offset + int64(i)
		displacement := int64(int32(binary.LittleEndian.Uint32(chunk[i+1:])))
		target := current + displacement
		if target >= 0 && target < size+current {
			if target >= size {
				target = displacement - size
			}
			binary.LittleEndian.PutUint32(chunk[i+1:], uint32(int32(target)))
			calls++
		}
		i += 4
	}
	return calls
}

// positionSlots is how many slots a window needs.
func positionSlots(bits int) int {
	return map[int]int{15: 30, 16: 32, 17: 34, 18: 36, 19: 38, 20: 42, 21: 50}[bits]
}

// position returns the slot of an offset, the bits that follow and their number.
func position(offset int) (slot int, footer uint32, extra int) {
	v := uint32(offset + 2)
	if v < 4 {
		return int(v), 0, 0
	}
	if v >= 1<<18 {
		return 36 + int(v-1<<18)>>17, v & (1<<17 - 1), 17
	}
	top := 0
	for v>>top > 1 {
		top++
	}
	// Two slots for each power of two.
	extra = top - 1
	return 2*top + int(v>>extra)&1, v & (1<<extra - 1), extra
}

//go:norace
func (p *lzxPacker) put(v uint32, n int) {
	for n > 0 {
		n--
		p.word = p.word<<1 | v>>n&1
		if p.filled++; p.filled == 16 {
			p.frame = append(p.frame, byte(p.word), byte(p.word>>8))
			p.word, p.filled = 0, 0
		}
	}
}

func (p *lzxPacker) align() {
	for p.filled != 0 {
		p.put(0, 1)
	}
}

// advance notes n more bytes of the frame and ends it when it is full.
func (p *lzxPacker) advance(n int) {
	p.pos += n
	if p.done += n; p.done == 32768 {
		p.endFrame()
	}
}

func (p *lzxPacker) endFrame() {
	p.align()
	if p.needed && p.done > 0 && !p.padNext {
		p.frame, p.needed = append(p.frame, 0), false
	}
	if len(p.frame) > 65535 {
		panic("frame does not fit into a block")
	}
	if p.done > 0 {
		p.out = append(p.out, cabBlock{p.frame, p.done})
	}
	p.frame, p.done = nil, 0
}

func (p *lzxPacker) block(kind, size int) {
	p.used[[]string{1: "verbatim", 2: "aligned", 3: "uncompressed"}[kind]]++
	if p.needed {
		p.frame, p.needed = append(p.frame, 0), false
		p.used["pad byte in the next frame"]++
	}
	p.put(uint32(kind), 3)
	p.put(uint32(size)>>8, 16)
	p.put(uint32(size)&0xff, 8)
	if kind == 3 {
		if p.filled == 0 {
			p.put(0, 16)
			p.used["whole word of padding"]++
		}
		p.align()
		for _, r := range p.recent {
			p.frame = binary.LittleEndian.AppendUint32(p.frame, uint32(r))
		}
		for left := size; left > 0; {
			n := min(left, 32768-p.done)
			for i := range n {
				p.remember(p.pos + i)
			}
			p.frame = append(p.frame, p.data[p.pos:p.pos+n]...)
			left -= n
			if left == 0 && size%2 == 1 {
				p.needed = true
			}
			p.advance(n)
		}
		if p.needed && p.done > 0 {
			p.frame, p.needed = append(p.frame, 0), false
		}
		return
	}
	tokens := p.parse(p.pos, p.pos+size)

	mainFreq := make([]int, len(p.mainLens))
	longFreq := make([]int, len(p.longLens))
	lowFreq := make([]int, 8)
	for _, t := range tokens {
		if t.length == 0 {
			mainFreq[t.literal]++
			continue
		}
		mainFreq[t.main]++
		if t.length >= 9 {
			longFreq[t.length-9]++
		}
		if t.extra >= 3 {
			lowFreq[t.footer&7]++
		}
	}
	lowLens := codeLengths(lowFreq, 7)
	if max := lowLens[maxIndex(lowLens)]; max == 0 {
		lowLens = []int{3, 3, 3, 3, 3, 3, 3, 3}
	}
	if kind == 2 {
		for _, n := range lowLens {
			p.put(uint32(n), 3)
		}
	}
	mainLens, longLens := codeLengths(mainFreq, 16), codeLengths(longFreq, 16)
	p.putLens(p.mainLens[:256], mainLens[:256])
	p.putLens(p.mainLens[256:], mainLens[256:])
	p.putLens(p.longLens, longLens)
	p.mainLens, p.longLens = mainLens, longLens

	mainCode, longCode, lowCode := assign(mainLens), assign(longLens), assign(lowLens)
	for _, n := range mainLens {
		if n > 11 {
			p.used["main codes beyond 11 bits"]++
		}
	}
	for _, t := range tokens {
		if t.length == 0 {
			p.put(mainCode[t.literal], mainLens[t.literal])
			p.advance(1)
			continue
		}
		p.put(mainCode[t.main], mainLens[t.main])
		if t.length >= 9 {
			p.put(longCode[t.length-9], longLens[t.length-9])
		}
		if kind == 2 && t.extra >= 3 {
			p.put(t.footer>>3, t.extra-3)
			p.put(lowCode[t.footer&7], lowLens[t.footer&7])
		} else {
			p.put(t.footer, t.extra)
		}
		p.advance(t.length)
	}
}

func maxIndex(v []int) (at int) {
	for i := range v {
		if v[i] > v[at] {
			at = i
		}
	}
	return at
}

//go:norace
func (p *lzxPacker) remember(i int) {
	if i+3 > len(p.data) {
		return
	}
	key := uint32(p.data[i]) | uint32(p.data[i+1])<<8 | uint32(p.data[i+2])<<16
	at, ok := p.last[key]
	if !ok {
		at = -1
	}
	p.before[i], p.last[key] = at, i
}

// parse splits data[pos:end] into literals and matches, which end where a frame
// ends.
//
//go:norace
func (p *lzxPacker) parse(pos, end int) (tokens []lzxToken) {
	frameStart := pos - p.done // where the frame of pos began
	for pos < end {
		limit := min(end-pos, 257, 32768-(pos-frameStart)%32768)
		best, bestOffset, repeat := 0, 0, -1
		for i, r := range p.recent {
			if n := p.match(pos, r, limit); n >= 2 && n > best {
				best, bestOffset, repeat = n, r, i
			}
		}
		if pos+3 <= len(p.data) {
			key := uint32(p.data[pos]) | uint32(p.data[pos+1])<<8 | uint32(p.data[pos+2])<<16
			at, ok := p.last[key]
			for tries := 16; ok && at >= 0 && tries > 0; at, tries = p.before[at], tries-1 {
				offset := pos - at
				if offset > 1<<p.bits-3 {
					break
				}
				if n := p.match(pos, offset, limit); n > best+1 {
					best, bestOffset, repeat = n, offset, -1
				}
			}
		}
		if p.rng != nil && best > 0 {
			switch p.rng.IntN(12) {
			case 0:
				best = 0
			case 1:
				best = 2 + p.rng.IntN(best-1)
			case 2:
				if i := p.rng.IntN(3); p.match(pos, p.recent[i], limit) >= 2 {
					best, bestOffset, repeat = p.match(pos, p.recent[i], limit), p.recent[i], i
				}
			}
		}
		if best < 2 {
			tokens = append(tokens, lzxToken{literal: p.data[pos]})
			p.used["literals"]++
			p.remember(pos)
			pos++
			continue
		}
		t := lzxToken{length: best}
		slot := repeat
		switch repeat {
		case -1:
			slot, t.footer, t.extra = position(bestOffset)
			p.recent = [3]int{bestOffset, p.recent[0], p.recent[1]}
		case 1:
			p.recent[0], p.recent[1] = p.recent[1], p.recent[0]
		case 2:
			p.recent[0], p.recent[2] = p.recent[2], p.recent[0]
		}
		t.main = 256 + 8*slot + min(best-2, 7)
		tokens = append(tokens, t)
		p.count(pos, best, bestOffset, repeat)
		for i := range best {
			p.remember(pos + i)
		}
		pos += best
	}
	return tokens
}

//go:norace
func (p *lzxPacker) count(pos, length, offset, repeat int) {
	p.used["matches"]++
	if repeat >= 0 {
		p.used[[]string{"R0", "R1", "R2"}[repeat]]++
	}
	if offset > 32768 {
		p.used["beyond 32 KiB"]++
	}
	if length == 257 {
		p.used["257 bytes"]++
	}
	if offset < length {
		p.used["overlapping"]++
	}
	if size := 1 << p.bits; pos >= size && pos%size < offset {
		p.used["across the ring's end"]++
	}
}

//go:norace
func (p *lzxPacker) match(pos, offset, limit int) (n int) {
	if offset > pos || offset > 1<<p.bits-3 {
		return 0
	}
	for n < limit && p.data[pos+n] == p.data[pos+n-offset] {
		n++
	}
	return n
}

// putLens writes code lengths as differences from those before.
func (p *lzxPacker) putLens(before, lens []int) {
	type item struct{ symbol, extra, bits, delta int }
	var items []item
	for i := 0; i < len(lens); {
		same := 1
		for i+same < len(lens) && lens[i+same] == lens[i] {
			same++
		}
		delta := (before[i] - lens[i] + 17) % 17
		switch {
		case lens[i] == 0 && same >= 20:
			same = min(same, 51)
			items = append(items, item{18, same - 20, 5, -1})
		case lens[i] == 0 && same >= 4:
			items = append(items, item{17, same - 4, 4, -1})
		case same >= 4:
			same = min(same, 5)
			items = append(items, item{19, same - 4, 1, delta})
		default:
			same = 1
			items = append(items, item{delta, 0, 0, -1})
		}
		i += same
	}
	freq := make([]int, 20)
	for _, t := range items {
		freq[t.symbol]++
		if t.delta >= 0 {
			freq[t.delta]++
		}
	}
	lens20 := codeLengths(freq, 15)
	code := assign(lens20)
	for _, n := range lens20 {
		p.put(uint32(n), 4)
	}
	for _, t := range items {
		p.used["pretree symbol "+[]string{17: "17", 18: "18", 19: "19"}[max(t.symbol, 17)]]++
		p.put(code[t.symbol], lens20[t.symbol])
		p.put(uint32(t.extra), t.bits)
		if t.delta >= 0 {
			p.put(code[t.delta], lens20[t.delta])
		}
	}
}

// codeLengths gives each symbol in use a Huffman code length of at most limit.
// A lone symbol gets company, because some readers want complete codes.
//
//go:norace
func codeLengths(freq []int, limit int) []int {
	weights := append([]int(nil), freq...)
	used := 0
	for _, w := range weights {
		if w > 0 {
			used++
		}
	}
	lens := make([]int, len(freq))
	if used == 0 {
		return lens
	}
	for i := 0; used < 2; i++ {
		if weights[i] == 0 {
			weights[i] = 1
			used++
		}
	}
	type node struct {
		weight  int
		symbols []int
	}
	for {
		clear(lens)
		var nodes []node
		for i, w := range weights {
			if w > 0 {
				nodes = append(nodes, node{w, []int{i}})
			}
		}
		slices.SortStableFunc(nodes, func(a, b node) int { return cmp.Compare(b.weight, a.weight) })
		for len(nodes) > 1 {
			a, b := nodes[len(nodes)-1], nodes[len(nodes)-2]
			both := append(append([]int(nil), a.symbols...), b.symbols...)
			for _, s := range both {
				lens[s]++
			}
			nodes = nodes[:len(nodes)-2]
			at := sort.Search(len(nodes), func(i int) bool { return nodes[i].weight < a.weight+b.weight })
			nodes = slices.Insert(nodes, at, node{a.weight + b.weight, both})
		}
		if lens[maxIndex(lens)] <= limit {
			return lens
		}
		for i, w := range weights {
			if w > 0 {
				weights[i] = w/3 + 1
			}
		}
	}
}

// assign numbers the codes of the given lengths canonically.
//
//go:norace
func assign(lens []int) []uint32 {
	codes := make([]uint32, len(lens))
	next := uint32(0)
	for n := 1; n <= 16; n++ {
		for s, l := range lens {
			if l == n {
				codes[s] = next
				next++
			}
		}
		next <<= 1
	}
	return codes
}
