package redact

import (
	"bytes"
	"errors"
	"io"
)

// Bounds of the stream. Lines up to maxLine + overlap are redacted whole; longer ones, such as JSON without line
// breaks, in pieces that are cut where the redaction of the parts is the redaction of the whole.
const (
	maxLine   = 1 << 20
	overlap   = 64 << 10
	cutTries  = 8
	cutStep   = 4 << 10
	readChunk = 64 << 10
)

// Reader returns a reader of the redacted text of src. It holds at most a few MiB. If src fails, the error is returned
// after all whole lines before it; of an unfinished line nothing is passed on, because half a secret is not recognised.
func (r *Redactor) Reader(src io.Reader) io.Reader {
	return &reader{src: src, filter: newFilter(r)}
}

type reader struct {
	src    io.Reader
	filter *filter
	in     []byte
	out    []byte // redacted and not yet read
	off    int
	err    error
}

func (d *reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for idle := 0; d.off == len(d.out); {
		if d.err != nil {
			return 0, d.err
		}
		if d.in == nil {
			d.in = make([]byte, readChunk)
		}
		n, err := d.src.Read(d.in)
		d.out, d.off = d.filter.write(d.out[:0], d.in[:n]), 0
		switch {
		case errors.Is(err, io.EOF):
			d.out = d.filter.close(d.out)
			d.err = io.EOF
		case err != nil:
			d.err = err
		case n == 0:
			if idle++; idle == 100 {
				d.err = io.ErrNoProgress
			}
		default:
			idle = 0
		}
	}
	n := copy(p, d.out[d.off:])
	d.off += n
	return n, nil
}

// A filter takes a text in pieces of any size and gives its redaction.
type filter struct {
	scanner scanner
	sniffed bool
	enc     encoding
	head    []byte // not yet sniffed
	rest    []byte // UTF-16: not yet a whole character
	text    []byte // UTF-16: decoded
	plain   []byte // UTF-16: redacted and not yet encoded
	line    []byte // the unfinished line
}

func newFilter(r *Redactor) *filter { return &filter{scanner: scanner{r: r}} }

// write appends to dst the redaction of what p completes.
func (f *filter) write(dst, p []byte) []byte {
	if !f.sniffed {
		f.head = append(f.head, p...)
		if len(f.head) < sniffLen {
			return dst
		}
		return f.start(dst)
	}
	return f.bytes(dst, p)
}

// start decides on the encoding.
func (f *filter) start(dst []byte) []byte {
	var bom int
	f.enc, bom = sniff(f.head[:min(len(f.head), sniffLen)])
	f.sniffed = true
	dst = append(dst, f.head[:bom]...)
	dst = f.bytes(dst, f.head[bom:])
	f.head = nil
	return dst
}

// close appends what is left.
func (f *filter) close(dst []byte) []byte {
	if !f.sniffed {
		dst = f.start(dst)
	}
	if f.enc == byteText {
		return f.finish(dst)
	}
	f.text, f.rest = f.enc.decode(f.text[:0], f.rest, true)
	f.plain = f.lines(f.plain[:0], f.text)
	f.plain = f.finish(f.plain)
	dst = f.enc.encode(dst, f.plain)
	return append(dst, f.rest...) // half a code unit
}

func (f *filter) bytes(dst, p []byte) []byte {
	if f.enc == byteText {
		return f.lines(dst, p)
	}
	f.rest = append(f.rest, p...)
	var left []byte
	f.text, left = f.enc.decode(f.text[:0], f.rest, false)
	f.rest = f.rest[:copy(f.rest, left)]
	f.plain = f.lines(f.plain[:0], f.text)
	return f.enc.encode(dst, f.plain)
}

// lines redacts the lines that p completes and keeps the rest.
func (f *filter) lines(dst, p []byte) []byte {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			n := min(len(p), maxLine+overlap+1-len(f.line))
			f.line = append(f.line, p[:n]...)
			p = p[n:]
			if len(f.line) > maxLine+overlap {
				dst, n = f.scanner.piece(dst, f.line[:maxLine+overlap])
				f.line = f.line[:copy(f.line, f.line[n:])]
			}
			continue
		}
		line := p[:i]
		if len(f.line) > 0 {
			f.line = append(f.line, line...)
			line = f.line
		}
		dst = f.whole(dst, line, p[i:i+1])
		f.line = f.line[:0]
		p = p[i+1:]
	}
	return dst
}

func (f *filter) finish(dst []byte) []byte {
	if len(f.line) > 0 {
		dst = f.whole(dst, f.line, nil)
		f.line = f.line[:0]
	}
	return f.scanner.flush(dst)
}

// whole redacts a line whose end is known; end is "\n" or empty.
func (f *filter) whole(dst, line, end []byte) []byte {
	for len(line) > maxLine+overlap {
		var n int
		dst, n = f.scanner.piece(dst, line[:maxLine+overlap])
		line = line[n:]
	}
	// A carriage return ends a line as well: progress of DISM and SFC, and wmic with its \r\r\n.
	for {
		i := bytes.IndexByte(line, '\r')
		switch {
		case i < 0:
			return f.scanner.line(dst, line, string(end))
		case i == len(line)-1 && len(end) > 0:
			return f.scanner.line(dst, line[:i], "\r\n")
		}
		dst = f.scanner.line(dst, line[:i], "\r")
		line = line[i+1:]
		if len(line) == 0 && len(end) == 0 {
			return dst
		}
	}
}

// piece redacts the beginning of a long line and says how much of the window it took. A cut is good if the text around
// it gives the same in two parts as in one, so that nothing lies across it and nothing loses its context, and if nothing
// found in the first part reaches up to it, so that no secret of any length goes on behind it.
func (s *scanner) piece(dst, window []byte) ([]byte, int) {
	before, size := s.state, len(dst)
	s.partial = true
	defer func() { s.partial, s.tentative, s.findings = false, false, s.findings[:0] }()
	for try := range cutTries {
		cut := cutPoint(window, maxLine-try*cutStep)
		s.tentative, s.findings = true, s.findings[:0]
		dst = s.redact(dst[:size], window[:cut])
		after := s.state
		if !s.touched && s.cutsWell(before, window, cut) {
			for _, f := range s.findings {
				s.r.count(f.kind, f.value)
			}
			s.state = after
			return dst, cut
		}
		s.state = before
	}
	// One finding covers all of the places tried, so it is a secret of enormous length: go on skipping it.
	s.tentative, s.unclosed = false, 0
	dst = s.redact(dst[:size], window)
	s.state.skip = ' '
	if s.unclosed != 0 {
		s.state.skip = s.unclosed
	}
	return dst, len(window)
}

// cutsWell compares the redaction of the text around a cut with that of its two parts.
func (s *scanner) cutsWell(before state, window []byte, cut int) bool {
	from, to := cut-overlap, cut+overlap-cutTries*cutStep
	if s.state.inString && s.openString < from {
		// Inside a string that began further left; not in the middle of an escape.
		before.inString = true
		for from < cut-overlap/2 && window[from-1] != ' ' {
			from++
		}
	} else {
		before.inString = false
	}
	s.dry++
	defer func() { s.dry-- }()
	s.state = before
	whole := s.redact(nil, window[from:to])
	s.state = before
	parts := s.redact(nil, window[from:cut])
	parts = s.redact(parts, window[cut:to])
	return bytes.Equal(parts, whole)
}

// cutPoint returns a place near at and not after it where a line ends inside a string, or else a token, or at least a
// character.
func cutPoint(window []byte, at int) int {
	if i := bytes.LastIndex(window[at-cutStep:at], []byte(`\n`)); i >= 0 {
		return at - cutStep + i + 2
	}
	if i := bytes.LastIndexAny(window[at-cutStep:at], " \t,;>}"); i >= 0 {
		return at - cutStep + i + 1
	}
	for i := at; i > at-4; i-- {
		if window[i]&0xC0 != 0x80 {
			return i
		}
	}
	return at
}
