package host

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"unicode/utf16"
)

// cutReader reads the beginning and the end of a file that is larger than limit,
// in whole lines, with a line between them that says what is missing. A log says
// at its beginning which system wrote it and at its end what happened last.
//
// Of a file whose size nobody knows, the beginning alone is read.
type cutReader struct {
	src      io.Reader
	size     int64 // -1: unknown
	limit    int64
	progress func(files int, bytes int64)

	read int64 // bytes read of src and given out
	at   int64 // where bytes were left out
	left int64 // how many

	unit   int // bytes of a character: 1, or 2 for UTF-16
	order  binary.ByteOrder
	stage  int
	buf    []byte // to be given out before anything else
	buffer [64 << 10]byte
}

// The stages of reading.
const (
	atStart   = iota
	inHead    // up to the cut
	headEnds  // up to the end of the line on which the cut falls
	atCut     // over what is left out
	tailStart // to the beginning of a line
	inTail
)

// longestLine is how far the end of a line is looked for at a cut.
const longestLine = 64 << 10

func (c *cutReader) Read(p []byte) (int, error) {
	for {
		if len(c.buf) > 0 {
			n := copy(p, c.buf)
			c.buf = c.buf[n:]
			return n, nil
		}
		n, err := c.next(p)
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// head is how much is taken from the beginning.
func (c *cutReader) head() int64 { return (c.limit / 8) &^ 1 }

func (c *cutReader) next(p []byte) (int, error) {
	switch c.stage {
	case atStart:
		n, err := io.ReadAtLeast(c.src, c.buffer[:4096], 2)
		c.sniff(c.buffer[:n])
		c.take(int64(n))
		c.buf = c.buffer[:n]
		c.stage = inTail // all of it
		if c.size > c.limit || c.size < 0 {
			c.stage = inHead
		}
		if n > 0 {
			return 0, nil
		}
		if err == io.ErrUnexpectedEOF {
			err = io.EOF
		}
		return 0, err
	case inHead:
		end := c.head()
		if c.size < 0 {
			end = c.limit
		}
		if c.read >= end {
			c.stage = headEnds
			return 0, nil
		}
		return c.pass(p[:min(int64(len(p)), end-c.read)])
	case headEnds:
		line, err := c.line()
		c.buf = line
		c.at = c.read
		c.stage = atCut
		return 0, err
	case atCut:
		if c.size < 0 {
			n, err := io.Copy(io.Discard, c.src)
			c.left = n
			if n > 0 {
				c.buf = c.marker()
			}
			c.stage = inTail
			return 0, err
		}
		skip := max(c.size-c.read-(c.limit-c.head()), 0)
		if c.unit == 2 {
			skip &^= 1
		}
		if skip == 0 {
			c.stage = inTail
			return 0, nil
		}
		n, err := c.skip(skip)
		c.left = n
		c.stage = tailStart
		return 0, err
	case tailStart:
		before := c.read
		line, err := c.line()
		c.left += int64(len(line))
		c.read = before
		c.stage = inTail
		if c.left > 0 {
			c.buf = c.marker()
		}
		return 0, err
	}
	return c.pass(p)
}

// pass reads what is given out.
func (c *cutReader) pass(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.take(int64(n))
	return n, err
}

func (c *cutReader) take(n int64) {
	c.read += n
	if c.progress != nil && n > 0 {
		c.progress(0, n)
	}
}

// sniff looks for UTF-16, whose characters must not be torn.
func (c *cutReader) sniff(head []byte) {
	c.unit = 1
	switch {
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE}):
		c.unit, c.order = 2, binary.LittleEndian
	case bytes.HasPrefix(head, []byte{0xFE, 0xFF}):
		c.unit, c.order = 2, binary.BigEndian
	case len(head) >= 8:
		var even, odd int
		for i, b := range head[:len(head)&^1] {
			if b == 0 {
				even += 1 - i&1
				odd += i & 1
			}
		}
		switch half := len(head) / 2; {
		case odd*10 >= half*8 && even*10 <= half:
			c.unit, c.order = 2, binary.LittleEndian
		case even*10 >= half*8 && odd*10 <= half:
			c.unit, c.order = 2, binary.BigEndian
		}
	}
}

// line reads to the end of the line.
func (c *cutReader) line() ([]byte, error) {
	var out []byte
	one := make([]byte, c.unit)
	if c.unit == 2 && c.read&1 == 1 { // a source gave half a character
		one = one[:1]
	}
	for len(out) < longestLine {
		n, err := io.ReadFull(c.src, one)
		out = append(out, one[:n]...)
		c.take(int64(n))
		if err == io.ErrUnexpectedEOF {
			err = io.EOF
		}
		if err != nil {
			return out, err
		}
		if c.unit == 1 && one[0] == '\n' || len(one) == 2 && c.order.Uint16(one) == '\n' {
			break
		}
		if len(one) < c.unit {
			one = make([]byte, c.unit)
		}
	}
	return out, nil
}

func (c *cutReader) skip(n int64) (int64, error) {
	if s, ok := c.src.(io.Seeker); ok {
		if _, err := s.Seek(n, io.SeekCurrent); err == nil {
			return n, nil
		}
	}
	return io.CopyN(io.Discard, c.src, n)
}

// marker is the line that stands for what was left out. It holds nothing that
// could be taken for a result.
func (c *cutReader) marker() []byte {
	size := fmt.Sprintf("%d MB", c.left>>20)
	if c.left < 1<<20 {
		size = fmt.Sprintf("%d KB", max(c.left>>10, 1))
	}
	text := "[updoc left out " + size + " here]\r\n"
	if c.unit == 1 {
		return []byte(text)
	}
	var out []byte
	for _, u := range utf16.Encode([]rune(text)) {
		b := make([]byte, 2)
		c.order.PutUint16(b, u)
		out = append(out, b...)
	}
	return out
}
