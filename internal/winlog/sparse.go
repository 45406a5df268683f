package winlog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"
)

// A servicing log of hundreds of megabytes holds millions of lines that say that
// something was looked at and found in order. A sparse scan passes over those:
// blocks are searched in parallel for lines that can matter, found by what stands
// at a fixed column and by the bytes "0x8", and only these are parsed, in order.
// The end of the file, where the present trouble is, is parsed in whole.

const (
	sparseFrom  = 8 << 20   // smaller files are parsed in whole
	sparseTail  = 1 << 20   // so is the end of larger ones
	sparseBlock = 256 << 10 // fits a processor's second-level cache
	sparseExtra = 4 << 10   // read beyond a block for its last line
)

// block is a stretch of the file: the lines that begin in it.
type block struct {
	buf   []byte
	hits  []sparseHit
	lines int
	bytes int64
	cut   bool // its last line is longer than MaxLine
	err   error
	ready chan struct{}
}

// sparseHit is a line that can matter.
type sparseHit struct{ line, from, to int }

func scanSparse(ctx context.Context, src io.ReaderAt, size int64, p *parser, fn func(*Record) error) (Stats, error) {
	head := make([]byte, 512)
	n, err := src.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return Stats{}, err
	}
	if head = head[:n]; utf16Order(head) != 0 || bytes.HasPrefix(head, []byte{0xFF, 0xFE}) || bytes.HasPrefix(head, []byte{0xFE, 0xFF}) {
		return scanLines(ctx, io.NewSectionReader(src, 0, size), p, fn)
	}
	tail, err := lineStart(src, size-sparseTail)
	if err != nil {
		return Stats{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	// Workers fill blocks, the caller's goroutine parses them in order.
	workers := max(2, runtime.GOMAXPROCS(0))
	jobs := make(chan func())
	order := make(chan *block, 2*workers)
	pool := sync.Pool{New: func() any { return &block{buf: make([]byte, sparseBlock+sparseExtra)} }}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for job := range jobs {
				job()
			}
		})
	}
	defer wg.Wait()
	go func() {
		defer close(jobs)
		defer close(order)
		for off := int64(0); off < tail; off += sparseBlock {
			b := pool.Get().(*block)
			b.ready = make(chan struct{})
			select {
			case order <- b:
			case <-ctx.Done():
				return
			}
			select {
			case jobs <- func() { b.fill(src, off, min(off+sparseBlock, tail)); close(b.ready) }:
			case <-ctx.Done():
				b.err = ctx.Err()
				close(b.ready)
				return
			}
		}
	}()

	var st Stats
	var rec Record
	for b := range order {
		<-b.ready
		if b.err != nil {
			err = errors.Join(err, b.err)
		}
		for _, h := range b.hits {
			if err != nil {
				break
			}
			err = deliver(p, toUTF8(trimEOL(b.buf[h.from:h.to])), st.Lines+h.line, &rec, &st, fn)
		}
		st.Lines += b.lines
		st.Bytes += b.bytes
		st.Skipped += b.lines - len(b.hits)
		if b.cut {
			st.Cut++
		}
		pool.Put(b)
		if err != nil {
			cancel()
		}
	}
	if err != nil {
		return st, err
	}
	if err := ctx.Err(); err != nil {
		return st, err
	}
	before := st.Lines
	rest, err := scanLines(ctx, io.NewSectionReader(src, tail, size-tail), p, func(r *Record) error {
		r.Line += before
		return fn(r)
	})
	st.Bytes += rest.Bytes
	st.Lines += rest.Lines
	st.Records += rest.Records
	st.Unread += rest.Unread
	st.Undecoded += rest.Undecoded
	st.Cut += rest.Cut
	return st, err
}

// lineStart returns the offset of the first line that begins at or after off.
func lineStart(src io.ReaderAt, off int64) (int64, error) {
	buf := make([]byte, 32<<10)
	for at := off - 1; ; {
		n, err := src.ReadAt(buf, at)
		if i := bytes.IndexByte(buf[:n], '\n'); i >= 0 {
			return at + int64(i) + 1, nil
		}
		at += int64(n)
		if errors.Is(err, io.EOF) {
			return at, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// fill reads the block and finds its hits.
func (b *block) fill(src io.ReaderAt, from, to int64) {
	b.hits, b.lines, b.bytes, b.err, b.cut = b.hits[:0], 0, 0, nil, false
	// One byte before the block tells whether a line begins at its very start.
	lead := int64(1)
	if from == 0 {
		lead = 0
	}
	want := int(to-from+lead) + sparseExtra
	b.buf = slices.Grow(b.buf[:0], want)[:want]
	n, err := src.ReadAt(b.buf, from-lead)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
		return
	}
	b.buf = b.buf[:n]
	end := min(int(to-from+lead), n)
	start := 0
	if lead == 1 && b.buf[0] != '\n' {
		i := bytes.IndexByte(b.buf[:end], '\n')
		if i < 0 {
			return // inside a line that began earlier
		}
		start = i + 1
	} else {
		start = int(lead)
	}
	if start >= end {
		return
	}
	// The last line may end beyond the block.
	stop := bytes.IndexByte(b.buf[end-1:], '\n')
	for stop < 0 && !errors.Is(err, io.EOF) && len(b.buf) < end+MaxLine {
		var more [sparseExtra * 4]byte
		var m int
		m, err = src.ReadAt(more[:], from-lead+int64(len(b.buf)))
		if err != nil && !errors.Is(err, io.EOF) {
			b.err = err
			return
		}
		b.buf = append(b.buf, more[:m]...)
		stop = bytes.IndexByte(b.buf[end-1:], '\n')
	}
	switch {
	case stop >= 0:
		stop += end
	default:
		stop = len(b.buf)
		b.cut = !errors.Is(err, io.EOF)
	}
	b.find(start, stop)
	b.bytes = int64(stop - start)
}

// Columns of the header that parseServicing reads.
const (
	levelColumn     = 21 // "2031-02-03 04:05:06, Error"
	componentColumn = 43
	textColumn      = 50
)

// find collects the lines of buf[start:stop] that can matter.
func (b *block) find(start, stop int) {
	buf := b.buf[:stop]
	code := nextCode(buf, start)
	n := 0
	for at := start; at < stop; {
		end := bytes.IndexByte(buf[at:], '\n')
		if end < 0 {
			end = stop
		} else {
			end += at + 1
		}
		n++
		line := buf[at:end]
		switch {
		case code < end:
			b.hits = append(b.hits, sparseHit{n, at, min(end, at+MaxLine)})
			code = nextCode(buf, end)
		case len(line) > textColumn+6 && line[levelColumn-2] == ',':
			if line[levelColumn] != 'I' || telling(line) {
				b.hits = append(b.hits, sparseHit{n, at, min(end, at+MaxLine)})
			}
		case line[0] == '(' || bytes.HasPrefix(line, []byte("Total ")):
			b.hits = append(b.hits, sparseHit{n, at, min(end, at+MaxLine)})
		}
		at = end
	}
	b.lines = n
}

// telling recognises the ordinary lines that frame a session or report a repair.
func telling(line []byte) bool {
	if line[componentColumn+1] == 'S' { // CSI    00000006 [SR] Cannot repair
		return len(line) > 66 && line[textColumn+9] == '[' && line[textColumn+10] == 'S' && (line[textColumn+14] == 'C' || line[textColumn+14] == 'R')
	}
	switch text := line[textColumn:]; text[0] {
	case 'E':
		return text[1] == 'x' && text[4] == ':' && bytes.HasPrefix(text, []byte("Exec: Processing complete"))
	case 'S':
		return text[1] == 'e' && text[2] == 's' && text[3] == 's' || bytes.HasPrefix(text, []byte("Startup: restart"))
	case 'L':
		return bytes.HasPrefix(text, []byte("Loaded Servicing Stack"))
	}
	return false
}

// nextCode returns where the next "0x8" begins at or after from, or the end.
func nextCode(buf []byte, from int) int {
	for p := from; p < len(buf); {
		i := bytes.IndexByte(buf[p:], 'x')
		if i < 0 {
			break
		}
		p += i + 1
		if p < len(buf) && buf[p] == '8' && p >= from+2 && buf[p-2] == '0' {
			return p - 2
		}
	}
	return len(buf)
}
