package winlog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// NewTextReader decodes src to UTF-8: UTF-8 with or without a byte order mark,
// UTF-16 in either order with or without one. Bytes that are not UTF-8 are
// passed through; [toUTF8] reads them as Windows-1252 line by line, since logs
// mix both when a message quotes a path in the machine's own code page.
func NewTextReader(src io.Reader) io.Reader {
	size := rawBuffer
	if known, ok := src.(interface{ Len() int }); ok {
		size = min(size, max(known.Len(), textHead)) // the head of a small file needs no more
	}
	return decoded(bufio.NewReaderSize(src, size))
}

const (
	rawBuffer = 64 << 10 // bytes that are read at a time before they are decoded
	textHead  = 512      // bytes by which the encoding is told
)

// decoded is NewTextReader on a buffer that there is already, of textHead at least.
func decoded(br *bufio.Reader) io.Reader {
	head, _ := br.Peek(textHead)
	switch {
	case bytes.HasPrefix(head, utf8BOM):
		br.Discard(3)
		return br
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE}):
		return transform.NewReader(br, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder())
	case bytes.HasPrefix(head, []byte{0xFE, 0xFF}):
		return transform.NewReader(br, unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewDecoder())
	}
	switch utf16Order(head) {
	case 'l':
		return transform.NewReader(br, unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewDecoder())
	case 'b':
		return transform.NewReader(br, unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewDecoder())
	}
	return br
}

// utf16Order guesses UTF-16 without a mark: Western text then has a NUL in
// nearly every other byte. It returns 'l', 'b' or 0.
func utf16Order(head []byte) byte {
	if len(head) < 8 {
		return 0
	}
	var even, odd int
	for i, c := range head[:len(head)&^1] {
		if c == 0 {
			if i&1 == 0 {
				even++
			} else {
				odd++
			}
		}
	}
	switch half := len(head) / 2; {
	case odd*10 >= half*8 && even*10 <= half:
		return 'l'
	case even*10 >= half*8 && odd*10 <= half:
		return 'b'
	}
	return 0
}

// windows1252 are the characters of the bytes 0x80 to 0x9F, of which five have none;
// every other byte is the character of that number. unicode.org: CP1252.TXT.
var windows1252 = [32]rune{
	'€', utf8.RuneError, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', utf8.RuneError, 'Ž', utf8.RuneError,
	utf8.RuneError, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', utf8.RuneError, 'ž', 'Ÿ',
}

// toUTF8 returns line as valid UTF-8, reading it as Windows-1252 if it is not.
func toUTF8(line []byte) []byte {
	if utf8.Valid(line) {
		return line
	}
	out := make([]byte, 0, len(line)+len(line)/2)
	for _, c := range line {
		if c-0x80 < 0x20 {
			out = utf8.AppendRune(out, windows1252[c-0x80])
		} else {
			out = utf8.AppendRune(out, rune(c))
		}
	}
	return out
}

// trimEOL takes CR LF, CR CR LF and trailing NULs off. CR CR LF comes from text
// that went through two conversions, e.g. PowerShell redirection of a console tool.
func trimEOL(line []byte) []byte {
	for n := len(line); n > 0; n-- {
		switch line[n-1] {
		case '\n', '\r', 0:
			continue
		}
		return line[:n]
	}
	return nil
}

// trimLine takes off, besides the line's end, what precedes a line where logs
// were written one behind the other or a machine lost power: byte order marks
// and NULs.
func trimLine(line []byte) []byte {
	line = trimEOL(line)
	for len(line) > 0 {
		switch {
		case line[0] == 0:
			line = line[1:]
		case bytes.HasPrefix(line, utf8BOM):
			line = line[len(utf8BOM):]
		default:
			return line
		}
	}
	return nil
}

var utf8BOM = []byte("\uFEFF")

// wholeRunes cuts off the torn character at the end of a line that was cut.
func wholeRunes(line []byte) []byte {
	for i := len(line) - 1; i >= 0 && i >= len(line)-utf8.UTFMax; i-- {
		if utf8.RuneStart(line[i]) {
			if !utf8.FullRune(line[i:]) {
				return line[:i]
			}
			break
		}
	}
	return line
}

// holeLeast is how many NULs in a row are no text but a hole: where a file has its size
// already and not its data, as after a loss of power, it reads as zeros (learn.microsoft.com:
// SetFileValidData function).
const holeLeast = 16

// holeReader ends the line where a hole begins, leaves the hole out and counts it, so
// that what was written behind it, after the next start, is a line of its own.
type holeReader struct {
	src  io.Reader
	run  int   // NULs just before what is read next
	last byte  // before the run
	lost int64 // bytes of holes
	out  int64 // of them, those that nothing took the place of
}

func (h *holeReader) reset(src io.Reader) { *h = holeReader{src: src, last: '\n'} }

// Read never gives more bytes than it read: the end of the line takes the place of a NUL.
func (h *holeReader) Read(p []byte) (int, error) {
	for {
		n, err := h.src.Read(p)
		if n > 0 && (h.run > 0 || bytes.IndexByte(p[:n], 0) >= 0) {
			if n = h.close(p[:n]); n == 0 && err == nil {
				continue
			}
		} else if n > 0 {
			h.last = p[n-1]
		}
		return n, err
	}
}

// close takes holes out of p, in place, and returns how many bytes are left.
func (h *holeReader) close(p []byte) int {
	w := 0
	for _, c := range p {
		switch {
		case c != 0:
			h.run, h.last = 0, c
		case h.run+1 < holeLeast:
			h.run++
		case h.run+1 == holeLeast:
			h.run++
			h.lost += holeLeast
			if h.last == '\n' {
				h.out++
				continue
			}
			c = '\n'
		default:
			h.lost++
			h.out++
			continue
		}
		p[w] = c
		w++
	}
	return w
}

// lineBuffer is what a reader needs that holds one line at a time.
type lineBuffer struct {
	raw, line *bufio.Reader
	holes     holeReader
}

// lineBuffers keeps them: evidence of thousands of small files would else cost a buffer
// of rawBuffer and one of MaxLine each.
var lineBuffers = sync.Pool{New: func() any {
	return &lineBuffer{raw: bufio.NewReaderSize(nil, rawBuffer), line: bufio.NewReaderSize(nil, MaxLine)}
}}

// lineReader decodes src into a buffer that holds a line; done gives it back.
func lineReader(src io.Reader) (b *lineBuffer, done func()) {
	b = lineBuffers.Get().(*lineBuffer)
	b.raw.Reset(src)
	b.holes.reset(decoded(b.raw))
	b.line.Reset(&b.holes)
	return b, func() {
		b.raw.Reset(nil)
		b.holes.reset(nil)
		b.line.Reset(nil)
		lineBuffers.Put(b)
	}
}

// extent is how much of a source was read: bytes in all, and how many of them a file
// system lost.
type extent struct{ bytes, lost int64 }

// eachLine calls fn with every line of src, decoded and without its end. A line
// longer than MaxLine is delivered cut and its rest passed over. A hole ends a line.
func eachLine(ctx context.Context, src io.Reader, fn func(line []byte, cut bool) error) (extent, error) {
	b, done := lineReader(src)
	defer done()
	br := b.line
	var read int64
	all := func() extent { return extent{read + b.holes.out, b.holes.lost} }
	for n := 0; ; n++ {
		if n&0x3FF == 0 {
			if err := ctx.Err(); err != nil {
				return all(), err
			}
		}
		line, err := br.ReadSlice('\n')
		read += int64(len(line))
		cut := errors.Is(err, bufio.ErrBufferFull)
		if cut {
			line = wholeRunes(line)
		}
		if len(line) > 0 {
			if ferr := fn(toUTF8(trimLine(line)), cut); ferr != nil {
				return all(), ferr
			}
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			if cerr := ctx.Err(); cerr != nil {
				return all(), cerr
			}
			line, err = br.ReadSlice('\n')
			read += int64(len(line))
		}
		if errors.Is(err, io.EOF) {
			return all(), nil
		}
		if err != nil {
			return all(), err
		}
	}
}

// scanLines is the plain streaming scan of a line format.
func scanLines(ctx context.Context, src io.Reader, p *parser, fn func(*Record) error) (Stats, error) {
	var st Stats
	var rec Record
	n, err := eachLine(ctx, src, func(line []byte, cut bool) error {
		st.Lines++
		if cut {
			st.Cut++
		}
		return deliver(p, line, st.Lines, &rec, &st, fn)
	})
	st.Bytes, st.Lost = n.bytes, n.lost
	return st, err
}

// deliver parses one line into rec, counts it and hands it on.
func deliver(p *parser, line []byte, number int, rec *Record, st *Stats, fn func(*Record) error) error {
	if len(bytes.TrimSpace(line)) == 0 {
		return nil
	}
	rec.Line, rec.Continued, rec.Loose = number, false, false
	rec.Code, rec.ID, rec.Fields, rec.said = 0, 0, rec.Fields[:0], 0
	if !p.parse(line, rec) {
		*rec = Record{Line: number, Text: line, Code: failingCode(line), Loose: true, Repeats: rec.Repeats, Until: rec.Until}
		st.Unread++
	}
	err := p.hand(rec, st, fn)
	p.inherit(rec)
	return err
}

// hand counts a record that was parsed and hands it on.
func (p *parser) hand(rec *Record, st *Stats, fn func(*Record) error) error {
	if !rec.Continued && !rec.Loose {
		st.Records++
	}
	if isUndecoded(rec.Text) {
		st.Undecoded++
	}
	return fn(rec)
}

// inherit keeps the component of a record for the lines that continue it, when the
// buffer it was read from has long been filled with others.
func (p *parser) inherit(rec *Record) {
	if !rec.Continued {
		p.component = append(p.component[:0], rec.Component...)
		rec.Component = p.component
	}
}
