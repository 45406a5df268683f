package winlog

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
)

// A servicing log of hundreds of megabytes holds millions of lines that say that
// something was looked at and found in order. A sparse scan passes over those:
// blocks are searched in parallel for lines that can matter, found by what stands
// at a fixed column and by the bytes "0x8", and only these are parsed, still in
// parallel, and delivered in order.
// The end of the file, where the present trouble is, is parsed in whole.

const (
	sparseFrom  = 8 << 20 // smaller files are parsed in whole
	sparseTail  = 1 << 20 // so is the end of larger ones
	sparseBlock = 2 << 20 // small enough that the blocks under way take little memory
	sparseExtra = 4 << 10 // read beyond a block for its last line
)

// block is a stretch of the file: the lines that begin in it.
type block struct {
	own   []byte // read into, where the file cannot be mapped
	buf   []byte // what the hits point into
	unmap func() // gives a mapped buf back, nil if it is not
	hits  []sparseHit
	recs  []Record // of the hits; Loose: to be parsed as it is delivered, beside the record before
	said  [saidSlots]saidLine
	lines int
	bytes int64
	lost  int64 // of them, what the file system lost
	torn  bool  // there are NULs in it: lines may end where a hole begins
	cut   bool  // its last line is longer than MaxLine
	err   error
	ready chan struct{}
}

// sparseHit is a line that can matter, and how many more in its block say the same.
type sparseHit struct{ line, from, to, repeats int }

func scanSparse(ctx context.Context, src io.ReaderAt, size int64, p *parser, fn func(*Record) error) (Stats, error) {
	head := make([]byte, 512)
	n, err := src.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return Stats{}, err
	}
	if isUTF16(head[:n]) {
		return scanLines(ctx, io.NewSectionReader(src, 0, size), p, fn)
	}
	tail, err := lineStart(src, size-sparseTail)
	if err != nil {
		return Stats{}, err
	}
	file := newMapper(src, size)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	// Workers fill blocks, the caller's goroutine parses them in order.
	workers := max(2, runtime.GOMAXPROCS(0))
	jobs := make(chan func())
	order := make(chan *block, 2*workers)
	pool := sync.Pool{New: func() any { return new(block) }}
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
			case jobs <- func() {
				defer close(b.ready)
				b.fill(src, file, off, min(off+sparseBlock, tail), p)
			}:
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
		if err == nil {
			err = b.deliver(p, &rec, &st, fn)
		}
		st.Bytes += b.bytes
		b.release()
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
	return st, st.rest(ctx, io.NewSectionReader(src, tail, size-tail), p, fn)
}

// scanSparseStream is the sparse scan of a source that cannot be read at random:
// a member of an archive.
func scanSparseStream(ctx context.Context, src io.Reader, size int64, p *parser, fn func(*Record) error) (Stats, error) {
	head := make([]byte, 512)
	n, err := io.ReadFull(src, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return Stats{}, err
	}
	src = io.MultiReader(bytes.NewReader(head[:n]), src)
	if isUTF16(head[:n]) {
		return scanLines(ctx, src, p, fn)
	}
	var st Stats
	var rec Record
	b := &block{own: make([]byte, 0, sparseBlock+MaxLine)}
	for st.Bytes < size-sparseTail {
		if err := ctx.Err(); err != nil {
			return st, err
		}
		have := len(b.own)
		n, err := io.ReadFull(src, b.own[have:have+sparseBlock-have%sparseBlock])
		b.own = b.own[:have+n]
		stop := bytes.LastIndexByte(b.own, '\n') + 1
		if err != nil || stop == 0 && len(b.own) > MaxLine {
			stop = len(b.own) // the end, or a line that is cut here
		}
		if stop > 0 {
			b.buf, b.hits = b.own, b.hits[:0]
			b.tear(0, stop)
			b.find(0, stop)
			b.parse(p)
			if derr := b.deliver(p, &rec, &st, fn); derr != nil {
				return st, derr
			}
			st.Bytes += int64(stop)
			b.own = append(b.own[:0], b.own[stop:]...)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return st, nil
		case err != nil:
			return st, err
		}
	}
	return st, st.rest(ctx, io.MultiReader(bytes.NewReader(b.own), src), p, fn)
}

func isUTF16(head []byte) bool {
	return utf16Order(head) != 0 || bytes.HasPrefix(head, []byte{0xFF, 0xFE}) || bytes.HasPrefix(head, []byte{0xFE, 0xFF})
}

// parse reads the hits that are records by themselves.
func (b *block) parse(p *parser) {
	b.recs = slices.Grow(b.recs[:0], len(b.hits))[:len(b.hits)]
	for i, h := range b.hits {
		rec := &b.recs[i]
		*rec = Record{Fields: rec.Fields[:0]}
		rec.Loose = !p.parse(toUTF8(trimLine(b.buf[h.from:h.to])), rec) || rec.Continued
	}
}

// deliver hands the hits of a block on and counts its lines.
func (b *block) deliver(p *parser, rec *Record, st *Stats, fn func(*Record) error) error {
	for i, h := range b.hits {
		var err error
		if r := &b.recs[i]; r.Loose {
			rec.Repeats = h.repeats
			err = deliver(p, toUTF8(trimLine(b.buf[h.from:h.to])), st.Lines+h.line, rec, st, fn)
		} else {
			r.Line, r.Repeats = st.Lines+h.line, h.repeats
			*rec = *r
			err = p.hand(rec, st, fn)
		}
		if err != nil {
			return err
		}
	}
	st.Lines += b.lines
	st.Skipped += b.lines - len(b.hits)
	if b.cut {
		st.Cut++
	}
	st.Lost += b.lost
	return nil
}

// rest parses what is left of a source in whole and adds it to the counts.
func (st *Stats) rest(ctx context.Context, src io.Reader, p *parser, fn func(*Record) error) error {
	before := st.Lines
	more, err := scanLines(ctx, src, p, func(r *Record) error {
		r.Line += before
		return fn(r)
	})
	st.Bytes += more.Bytes
	st.Lines += more.Lines
	st.Records += more.Records
	st.Unread += more.Unread
	st.Undecoded += more.Undecoded
	st.Cut += more.Cut
	st.Lost += more.Lost
	return err
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

// fill reads the block, the lines that begin in [from, to), and finds and parses its hits.
func (b *block) fill(src io.ReaderAt, file *mapper, from, to int64, p *parser) {
	b.hits, b.lines, b.bytes, b.lost, b.err, b.cut = b.hits[:0], 0, 0, 0, nil, false
	lead := min(from, holeLeast) // what stands before tells whether a line begins at the very start
	end := int(to - from + lead)
	if b.buf, b.unmap = file.view(from-lead, to+MaxLine); b.buf == nil {
		if b.err = b.read(src, from-lead, end); b.err != nil {
			return
		}
	}
	// A mapped file that shrinks while it is read faults; that must end the scan,
	// not the program.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			b.err, b.hits = errors.New("the file changed while it was read"), b.hits[:0]
		}
	}()
	if end = min(end, len(b.buf)); end == 0 {
		return
	}
	b.tear(int(lead), end)
	start := int(lead)
	if lead > 0 {
		start = b.lineFrom(start, end)
	}
	if start >= end {
		return // inside a line that began earlier
	}
	stop := b.lineFrom(end, len(b.buf))
	b.cut = stop == len(b.buf) && stop >= end+MaxLine && b.buf[stop-1] != 0
	b.find(start, stop)
	b.parse(p)
	b.bytes = int64(stop - start)
}

// tear looks for holes in the block, whose own bytes are buf[from:to].
func (b *block) tear(from, to int) {
	if b.torn = bytes.IndexByte(b.buf, 0) >= 0; b.torn {
		b.lost = lostIn(b.buf, from, to)
	} else {
		b.lost = 0
	}
}

// lineFrom returns where the first line begins at or after at, not after limit: behind
// the end of a line or behind a hole.
func (b *block) lineFrom(at, limit int) int {
	next := limit
	if i := bytes.IndexByte(b.buf[at-1:limit], '\n'); i >= 0 {
		next = at + i
	}
	if !b.torn {
		return next
	}
	for from := max(0, at-holeLeast); ; {
		hole := bytes.Index(b.buf[from:next], zeros[:])
		if hole < 0 {
			return next
		}
		from += hole + holeLeast
		for from < next && b.buf[from] == 0 {
			from++
		}
		if from >= at {
			return from
		}
	}
}

// zeros begin a hole.
var zeros [holeLeast]byte

// release gives the block's memory back.
func (b *block) release() {
	if b.unmap != nil {
		b.unmap()
	}
	b.buf, b.unmap = nil, nil
}

// read reads n bytes at off and on to the end of the line they end in.
func (b *block) read(src io.ReaderAt, off int64, n int) error {
	b.own = slices.Grow(b.own[:0], n+sparseExtra)[:n+sparseExtra]
	m, err := src.ReadAt(b.own, off)
	b.own = b.own[:m]
	for err == nil && bytes.IndexByte(b.own[n-1:], '\n') < 0 && len(b.own) < n+MaxLine {
		at := len(b.own)
		b.own = slices.Grow(b.own, 4*sparseExtra)[:at+4*sparseExtra]
		m, err = src.ReadAt(b.own[at:], off+int64(at))
		b.own = b.own[:at+m]
	}
	b.buf = b.own
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Columns of the header that parseServicing reads.
const (
	levelColumn     = 21 // "2031-02-03 04:05:06, Error"
	componentColumn = 43
	textColumn      = 50
)

// saidLine is a line of the block by the hash of what it says.
type saidLine struct {
	hash uint64
	hit  int32 // its index among the hits, plus one; 0: an empty slot
}

// saidSlots is how many different lines of a block are told apart; more than
// that and a repeated line is delivered again, which costs time and no truth.
const saidSlots = 1 << 11

// find collects the lines of buf[start:stop] that can matter.
func (b *block) find(start, stop int) {
	clear(b.said[:])
	buf := b.buf[:stop]
	code := nextCode(buf, start)
	n := 0
	var stamp []byte // of the line "Verifying 100 components" that is the last that a report is made of
	for at := start; at < stop; {
		end := bytes.IndexByte(buf[at:], '\n')
		if end < 0 {
			end = stop
		} else {
			end += at + 1
		}
		if b.torn {
			end = b.lineFrom(at+1, end)
			if len(bytes.TrimLeft(buf[at:end], "\x00")) == 0 {
				at = end
				continue
			}
		}
		n++
		line := buf[at:end]
		headed := len(line) > textColumn+16 && line[levelColumn-2] == ','
		switch {
		case code < end:
			b.hit(n, at, end, headed && !storeReport(line))
			code = nextCode(buf, end)
		case headed:
			if storeReport(line) { // of two reports that say the same each counts
				if !verifying(line) {
					b.hit(n, at, end, false)
					stamp = nil
				} else if now := line[:tenMinutes]; !bytes.Equal(now, stamp) {
					b.hit(n, at, end, false)
					stamp = now
				}
			} else if line[levelColumn] != 'I' || telling(line) {
				b.hit(n, at, end, true)
			}
		case line[0] == '(' || bytes.HasPrefix(line, []byte("Total ")):
			b.hit(n, at, end, false)
		}
		at = end
	}
	b.lines = n
}

// lostIn counts the bytes of holes in buf[from:to]; what stands around it tells whether
// NULs at its edges are a part of one.
func lostIn(buf []byte, from, to int) (lost int64) {
	for at := 0; at < len(buf); {
		i := bytes.Index(buf[at:], zeros[:])
		if i < 0 {
			break
		}
		begin := at + i
		for at = begin; at < len(buf) && buf[at] == 0; at++ {
		}
		lost += int64(max(0, min(at, to)-max(begin, from)))
	}
	return lost
}

// hit adds a line, or counts it with the line of this block that said the same
// before, time and sequence number left out.
func (b *block) hit(n, at, end int, headed bool) {
	h := sparseHit{n, at, min(end, at+MaxLine), 0}
	if headed {
		text := b.buf[at+textColumn : h.to]
		if text[8] == ' ' { // "000001ca [SR] ..."
			text = text[9:]
		}
		sum := maphash.Bytes(lineSeed, text) ^ uint64(b.buf[at+levelColumn])
		slot := &b.said[sum%saidSlots]
		switch {
		case slot.hit == 0:
			*slot = saidLine{sum, int32(len(b.hits) + 1)}
		case slot.hash == sum:
			b.hits[slot.hit-1].repeats++
			return
		}
	}
	b.hits = append(b.hits, h)
}

// lineSeed only makes hashes of lines hard to foresee.
var lineSeed = maphash.MakeSeed()

// telling recognises the ordinary lines that frame a session or report a repair.
func telling(line []byte) bool {
	if line[componentColumn+1] == 'S' { // CSI    00000006 [SR] Cannot repair
		return line[textColumn+9] == '[' && line[textColumn+10] == 'S' && (line[textColumn+14] == 'C' || line[textColumn+14] == 'R')
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

// storeReport recognises the lines of which a [StoreReader] makes reports: those of
// RestoreHealth with their frame, and those of sfc but for two that it writes for every
// hundred components.
func storeReport(line []byte) bool {
	text := line[textColumn:]
	if line[componentColumn+1] == 'S' { // CSI
		if text[8] == '@' {
			return bytes.Contains(text[:min(len(text), 100)], detected)
		}
		if text[9] != '[' || text[10] != 'S' || text[8] != ' ' {
			return false
		}
		said := text[14:]
		return !bytes.HasPrefix(said, []byte("B")) && !bytes.HasPrefix(said, []byte("Verify c"))
	}
	switch text[0] {
	case '(':
		return text[2] == ')' || text[4] == ')'
	case 'C':
		return bytes.HasPrefix(text, readiness)
	case 'E':
		return text[1] == 'x' && (bytes.HasPrefix(text, addSource) || bytes.HasPrefix(text, localOnly) || bytes.HasPrefix(text, repairEnded) || bytes.HasPrefix(text, []byte("Exec: Session processing started")))
	case 'M':
		return bytes.HasPrefix(text, []byte("Mark store corruption"))
	case 'O':
		return bytes.HasPrefix(text, []byte("Operation"))
	case 'R':
		return bytes.HasPrefix(text, noReplacement) || bytes.HasPrefix(text, addMissing)
	case 'S':
		return bytes.HasPrefix(text, []byte("Store corruption"))
	case 'T':
		return bytes.HasPrefix(text, []byte("Total "))
	}
	return false
}

// tenMinutes is the part of a line's time, "2024-07-25 02:0", that stands for so long.
const tenMinutes = 15

// verifying recognises "[SR] Verifying 100 components", which sfc writes a thousand
// times a run: that it still verifies is worth knowing every ten minutes.
func verifying(line []byte) bool {
	return line[componentColumn+1] == 'S' && bytes.HasPrefix(line[textColumn+14:], []byte("Verifying "))
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
