package cab

const (
	// rootBits is how much of a code one table look-up decodes. Longer codes
	// are rare by construction and found by their canonical order instead.
	rootBits = 11
	// maxCodeLen is the longest code LZX can describe.
	maxCodeLen = 16
)

// code is a canonical Huffman code: shorter codes first, and among equals the
// smaller symbol first.
type code struct {
	// root maps the next rootBits bits to symbol<<4 | length, or to 0 where the
	// code is longer or unassigned.
	root [1 << rootBits]uint16
	// sorted lists the symbols in the order of their codes; those of length n
	// begin at index[n]. Their codes, as the high bits of a 16-bit number, fill
	// the range from limit[n-1] to limit[n].
	sorted []uint16
	index  [maxCodeLen + 1]int
	limit  [maxCodeLen + 1]uint32
}

// build makes the code whose symbol i has length lens[i], at most maxCodeLen; 0
// is an unused symbol. It reports whether there is such a code. One that leaves
// bit strings unassigned, or all of them, is accepted: blocks without long
// matches have an empty length tree.
func (c *code) build(lens []uint8) bool {
	var count [maxCodeLen + 1]int
	for _, n := range lens {
		count[n]++
	}
	var next [maxCodeLen + 1]int
	used, total := uint32(0), 0
	for n := 1; n <= maxCodeLen; n++ {
		c.index[n], next[n] = total, total
		total += count[n]
		used += uint32(count[n]) << (maxCodeLen - n)
		c.limit[n] = used
	}
	if used > 1<<maxCodeLen {
		return false
	}
	if cap(c.sorted) < len(lens) {
		c.sorted = make([]uint16, len(lens))
	}
	c.sorted = c.sorted[:total]
	for symbol, n := range lens {
		if n != 0 {
			c.sorted[next[n]] = uint16(symbol)
			next[n]++
		}
	}
	at := 0
	for n := 1; n <= rootBits; n++ {
		for _, symbol := range c.sorted[c.index[n]:][:count[n]] {
			entry := symbol<<4 | uint16(n)
			span := c.root[at : at+1<<(rootBits-n)]
			for i := range span {
				span[i] = entry
			}
			at += len(span)
		}
	}
	clear(c.root[at:])
	return true
}

// long decodes what root does not: the code at the top of the 16 bits b. Its
// length is 0 if there is no such code.
func (c *code) long(b uint32) (symbol, length uint) {
	for n := uint(rootBits + 1); n <= maxCodeLen; n++ {
		if b < c.limit[n] {
			i := c.index[n] + int((b-c.limit[n-1])>>(maxCodeLen-n))
			return uint(c.sorted[i]), n
		}
	}
	return 0, 0
}
