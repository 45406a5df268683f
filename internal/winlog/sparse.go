package winlog

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"
)

// A servicing log of hundreds of megabytes holds millions of lines that say that
// something was looked at and found in order, and thousands that say the same again.
// A sparse scan passes over those: blocks are searched in parallel for lines that can
// matter, found by what stands at a fixed column and by the bytes "0x8"; what a line
// said before in its block is counted there; and only what is left is parsed, still in
// parallel, and delivered in order.
// The end of the file, where the present trouble is, is parsed in whole.

const (
	sparseFrom  = 8 << 20 // smaller files are parsed in whole
	sparseTail  = 1 << 20 // so is the end of larger ones
	sparseBlock = 4 << 20 // so much is searched at a time for lines that say the same
)

// block is what a stretch of the file says: the lines that begin in it.
type block struct {
	text  []byte // the lines that can matter, one behind the other
	hits  []sparseHit
	recs  []Record // of the hits with a line of their own; Loose: to be parsed as it is delivered, beside the record before
	said  [saidSlots]saidLine
	own   int32 // how many hits have a line of their own
	busy  int32 // the hit "Verifying 100 components" with which further ones are counted, -1: none
	lines int
	bytes int64
	lost  int64 // of them, what the file system lost
	cut   int   // lines longer than MaxLine
	err   error
	ready chan struct{}
}

// sparseHit is a line that can matter.
type sparseHit struct {
	line     int32 // its number in the block
	from, to int32 // where it stands in the block's text
	rec      int32 // its record
	like     int32 // the hit before that says the same, -1: none; then nothing but the head stands in the text, and its record is that one's
	repeats  int32 // how many more in the block say the same and are no hits
	until    int32 // where the time of the last of these stands in the text
}

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
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	// Workers fill blocks, the caller's goroutine delivers them in order.
	workers := max(2, runtime.GOMAXPROCS(0))
	jobs := make(chan func(*window))
	blocks := workers + 2 // one is delivered, and one waits for it
	order := make(chan *block, blocks)
	free := make(chan *block, blocks)
	for range blocks {
		free <- new(block)
	}
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			w := new(window)
			for job := range jobs {
				job(w)
			}
		})
	}
	defer wg.Wait()
	go func() {
		defer close(jobs)
		defer close(order)
		for off := int64(0); off < tail; off += sparseBlock {
			var b *block
			select {
			case b = <-free:
			case <-ctx.Done():
				return
			}
			b.ready = make(chan struct{})
			order <- b
			select {
			case jobs <- func(w *window) {
				defer close(b.ready)
				w.open(src, off, tail)
				b.fill(w, min(off+sparseBlock, tail), p)
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
		free <- b
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
	w := &window{src: src}
	w.more(0)
	if isUTF16(w.data[:min(len(w.data), textHead)]) {
		return scanLines(ctx, w.rest(), p, fn)
	}
	var st Stats
	var rec Record
	var b block
	for tail := size - sparseTail; w.off < tail && !w.done(); {
		if err := ctx.Err(); err != nil {
			return st, err
		}
		b.fill(w, min(w.off+sparseBlock, tail), p)
		if b.err != nil {
			return st, b.err
		}
		if err := b.deliver(p, &rec, &st, fn); err != nil {
			return st, err
		}
	}
	w.pass(math.MaxInt64)
	st.Lost += w.lost
	return st, st.rest(ctx, w.rest(), p, fn)
}

// window reads a source in whole lines.
type window struct {
	src    io.Reader
	buf    []byte
	data   []byte // of buf: what was read and not yet taken
	off    int64  // where data begins in the source
	inside bool   // data begins in a line that is passed over
	hole   bool   // data begins in a hole
	from   int64  // what holes lost is counted from here on
	lost   int64  // so much
	err    error  // that ended the source
}

// windowExtra is what is read beyond the lines that are asked for, for the end of the last.
const windowExtra = 4 << 10

// open shows the lines of src that begin at from or after, up to its end: behind the
// end of a line or behind a hole.
func (w *window) open(src io.ReaderAt, from, end int64) {
	*w = window{src: io.NewSectionReader(src, from, end-from), buf: w.buf, off: from, from: from}
	if from == 0 {
		return
	}
	var before [holeLeast]byte
	head := before[max(0, holeLeast-from):]
	if _, w.err = src.ReadAt(head, from-int64(len(head))); w.err != nil {
		return
	}
	nuls := int64(len(head) - len(bytes.TrimRight(head, "\x00")))
	switch {
	case nuls == holeLeast:
		w.hole = true
	case head[len(head)-1] != '\n':
		w.inside = true
		w.src, w.off = io.NewSectionReader(src, from-nuls, end-from+nuls), from-nuls // a hole may begin there
	}
}

// more reads on for the lines that begin before to, and reports whether there was
// more. A window that is full has no room for it.
func (w *window) more(to int64) bool {
	if w.buf == nil {
		w.buf = make([]byte, MaxLine)
	}
	have := copy(w.buf, w.data)
	room := min(int64(len(w.buf)-have), max(to-w.off-int64(have), 0)+windowExtra)
	n := 0
	if w.err == nil {
		n, w.err = io.ReadFull(w.src, w.buf[have:have+int(room)])
	}
	if errors.Is(w.err, io.ErrUnexpectedEOF) {
		w.err = io.EOF
	}
	w.data = w.buf[:have+n]
	return n > 0
}

// take returns the next n bytes.
func (w *window) take(n int) []byte {
	taken := w.data[:n]
	w.data = w.data[n:]
	w.off += int64(n)
	return taken
}

// zeros begin a hole.
var zeros [holeLeast]byte

// solid returns how much of data stands before a hole, and whether there is one.
func (w *window) solid() (n int, hole bool) {
	if bytes.IndexByte(w.data, 0) >= 0 {
		if i := bytes.Index(w.data, zeros[:]); i >= 0 {
			return i, true
		}
	}
	return len(w.data), false
}

// pass goes to the begin of a line, over holes and what is left of a line, and reports
// whether one begins before to.
func (w *window) pass(to int64) bool {
	for w.off < to && (len(w.data) > 0 || w.more(to)) {
		n, hole := w.solid()
		switch {
		case w.hole:
			n = 0
			for own := min(int64(len(w.data)), to-w.off); int64(n) < own && w.data[n] == 0; n++ {
			}
			w.hole = n == len(w.data) || w.data[n] == 0
			w.take(n)
			w.lost += max(0, min(int64(n), w.off-w.from))
		case n == 0:
			w.hole, w.inside = true, false
		case !w.inside:
			return true
		default:
			if i := bytes.IndexByte(w.data[:n], '\n'); i >= 0 {
				n, w.inside = i+1, false
			} else if !hole && w.err == nil {
				n = len(bytes.TrimRight(w.data, "\x00")) // a hole may begin there
			}
			w.take(n)
			if n == 0 && !w.more(to) {
				return false
			}
		}
	}
	return false
}

// lines returns the next lines that begin before to, as many as there are at hand, and
// none at the end. One that is longer than MaxLine comes alone and cut. They are valid
// until the next call.
func (w *window) lines(to int64) (lines []byte, cut bool) {
	for w.pass(to) {
		n, hole := w.solid()
		own := int(min(int64(n), to-w.off))
		if i := bytes.IndexByte(w.data[own-1:n], '\n'); i >= 0 {
			return w.take(own + i), false
		}
		if hole {
			return w.take(n), false
		}
		if i := bytes.LastIndexByte(w.data[:own], '\n'); i >= 0 {
			return w.take(i + 1), false
		}
		if !w.more(to) {
			if w.err != nil {
				return w.take(n), false
			}
			w.inside = true
			return w.take(len(bytes.TrimRight(w.data, "\x00"))), true
		}
	}
	return nil, false
}

// done reports that the source is at its end.
func (w *window) done() bool { return w.err != nil && len(w.data) == 0 }

// rest is the source from here on.
func (w *window) rest() io.Reader { return io.MultiReader(bytes.NewReader(w.data), w.src) }

func isUTF16(head []byte) bool {
	return utf16Order(head) != 0 || bytes.HasPrefix(head, []byte{0xFF, 0xFE}) || bytes.HasPrefix(head, []byte{0xFE, 0xFF})
}

// fill takes the lines of a window that begin before to, and parses those that can matter.
func (b *block) fill(w *window, to int64, p *parser) {
	b.text, b.hits, b.own, b.lines, b.bytes, b.cut, b.err = b.text[:0], b.hits[:0], 0, 0, 0, 0, nil
	clear(b.said[:])
	b.busy = -1
	for {
		lines, cut := w.lines(to)
		if len(lines) == 0 {
			break
		}
		if cut {
			b.cut++
		}
		b.find(lines)
		b.bytes += int64(len(lines))
	}
	b.lost, w.lost = w.lost, 0
	b.bytes += b.lost
	if !errors.Is(w.err, io.EOF) {
		b.err = w.err
	}
	b.parse(p)
}

// maxParsed bounds the records of a block that are parsed beforehand: in a block of
// a real log there are hundreds, in one that somebody made to do harm a million.
const maxParsed = 1 << 12

// parse reads the hits that are records by themselves.
func (b *block) parse(p *parser) {
	b.recs = b.recs[:0]
	for i := range b.hits {
		h := &b.hits[i]
		if h.like >= 0 {
			continue
		}
		if len(b.recs) == maxParsed {
			break
		}
		b.recs = slices.Grow(b.recs, 1)[:len(b.recs)+1]
		rec := &b.recs[h.rec]
		*rec = Record{Fields: rec.Fields[:0]}
		rec.Loose = !p.parse(b.line(h), rec) || rec.Continued
		rec.Said()
	}
}

// line is the line of a hit.
func (b *block) line(h *sparseHit) []byte { return toUTF8(trimLine(b.text[h.from:h.to])) }

// deliver hands the hits of a block on and counts its lines. rec is the record that
// lines which continue one inherit from.
func (b *block) deliver(p *parser, rec *Record, st *Stats, fn func(*Record) error) error {
	var last *Record
	inherit := func() {
		if last != nil {
			*rec = *last
			p.inherit(rec)
		}
	}
	for i := range b.hits {
		h := &b.hits[i]
		own := h
		if h.like >= 0 {
			own = &b.hits[h.like]
			copy(b.text[own.from:], b.text[h.from:h.to])
		}
		var until time.Time
		if h.repeats > 0 {
			until, _, _ = dateTime(b.text[h.until:][:stampLen])
		}
		var err error
		if int(own.rec) < len(b.recs) && !b.recs[own.rec].Loose {
			last = &b.recs[own.rec]
			if h.like >= 0 {
				last.Time, _, _ = dateTime(b.text[h.from:h.to])
			}
			last.Line, last.Repeats, last.Until = st.Lines+int(h.line), int(h.repeats), until
			err = p.hand(last, st, fn)
		} else {
			inherit()
			last = nil
			rec.Repeats, rec.Until = int(h.repeats), until
			err = deliver(p, b.line(own), st.Lines+int(h.line), rec, st, fn)
		}
		if err != nil {
			return err
		}
	}
	inherit()
	st.Bytes += b.bytes
	st.Lines += b.lines
	st.Skipped += b.lines - len(b.hits)
	st.Cut += b.cut
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

// Columns of the header that parseServicing reads.
const (
	stampLen        = 19 // "2031-02-03 04:05:06"
	tenMinutes      = 15 // the part of it, "2031-02-03 04:0", that stands for so long
	levelColumn     = 21 // "2031-02-03 04:05:06, Error"
	componentColumn = 43
	textColumn      = 50
	headLen         = textColumn + 9 // with the number that CSI gives its lines, "000001ca [SR] ..."
)

// find collects the lines that can matter.
func (b *block) find(lines []byte) {
	code := nextCode(lines, 0)
	for at := 0; at < len(lines); {
		end := len(lines)
		if i := bytes.IndexByte(lines[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		b.lines++
		line := lines[at:end]
		coded := code < end
		if coded {
			code = nextCode(lines, end)
		}
		if len(line) > textColumn+16 && line[levelColumn-2] == ',' {
			b.record(line, coded)
		} else if coded || line[0] == '(' && len(line) > len("(p)\tCSI ") || bytes.HasPrefix(line, []byte("Total ")) {
			b.add(line)
		}
		at = end
	}
}

// record takes a line that has a header.
func (b *block) record(line []byte, coded bool) {
	s := sortOf(line)
	switch {
	case s == ordinary && !coded && line[levelColumn] == 'I':
		return
	case s == verifying && b.busy >= 0 && bytes.Equal(line[:tenMinutes], b.text[b.hits[b.busy].from:][:tenMinutes]):
		b.count(b.busy, line)
		return
	}
	sum := said(line)
	slot := &b.said[sum%saidSlots]
	if slot.hit > 0 && slot.sum != sum {
		slot = &b.said[sum>>32%saidSlots]
	}
	switch {
	case slot.hit == 0 || slot.sum != sum:
		b.add(line)
		*slot = saidLine{sum, int32(len(b.hits))}
	case s >= report: // of two that say the same each counts
		b.hits = append(b.hits, sparseHit{line: int32(b.lines), from: int32(len(b.text)), to: int32(len(b.text) + headLen), like: slot.hit - 1})
		b.text = append(b.text, line[:headLen]...)
	default:
		b.count(slot.hit-1, line)
	}
	switch s {
	case verifying:
		b.busy = int32(len(b.hits) - 1)
	case report:
		b.busy = -1
	}
}

// count counts a line with a hit that said the same.
func (b *block) count(hit int32, line []byte) {
	h := &b.hits[hit]
	if h.repeats++; h.repeats == 1 {
		h.until = int32(len(b.text))
		b.text = append(b.text, line[:stampLen]...)
	} else {
		copy(b.text[h.until:], line[:stampLen])
	}
}

// add adds a line that is not known.
func (b *block) add(line []byte) {
	from := int32(len(b.text))
	b.text = append(b.text, line...)
	b.hits = append(b.hits, sparseHit{line: int32(b.lines), from: from, to: int32(len(b.text)), rec: b.own, like: -1})
	b.own++
}

// saidLine is a line of the block by the hash of what it says.
type saidLine struct {
	sum uint64
	hit int32 // its index among the hits, plus one; 0: an empty slot
}

// saidSlots is how many different lines of a block are told apart, each of which has
// two places; more than that and a line is taken for a new one, which costs time and no truth.
const saidSlots = 1 << 11

// said is the hash of what a line says, time and sequence number left out.
func said(line []byte) uint64 {
	text := line[textColumn:]
	if text[8] == ' ' {
		text = text[9:]
	}
	return maphash.Bytes(lineSeed, text) ^ uint64(line[levelColumn])<<8 ^ uint64(line[componentColumn+1])
}

// sort tells what a line that has a header is to a diagnosis.
type sort uint8

const (
	ordinary  sort = iota // nothing, unless it is an error or holds a code
	telling               // it frames a session
	report                // a StoreReader makes reports of it
	verifying             // and of this: sfc is at work, which it says a thousand times a run; that it still is so is worth knowing every ten minutes
)

func sortOf(line []byte) sort {
	text := line[textColumn:]
	if line[componentColumn+1] == 'S' { // CSI
		switch {
		case text[8] == '@':
			if bytes.Contains(text[:min(len(text), 100)], detected) {
				return report
			}
		case text[8] == ' ' && text[9] == '[' && text[10] == 'S':
			return sortOfSFC(text[14:])
		}
		return ordinary
	}
	begins := func(with []byte) bool { return bytes.HasPrefix(text, with) }
	switch text[0] {
	case '(':
		if text[2] == ')' || text[4] == ')' {
			return report
		}
	case 'C':
		if begins(readiness) {
			return report
		}
	case 'E':
		switch {
		case text[1] != 'x':
		case begins(addSource), begins(localOnly), begins(repairEnded), begins(sessionBegun):
			return report
		case begins(sessionEnded):
			return telling
		}
	case 'L':
		if begins(stackLoaded) {
			return telling
		}
	case 'M':
		if begins(markedCorrupt) {
			return report
		}
	case 'O':
		if begins(operation) {
			return report
		}
	case 'R':
		if begins(noReplacement) || begins(addMissing) {
			return report
		}
	case 'S':
		switch {
		case begins(storeCorrupt):
			return report
		case begins(session), begins(restarted):
			return telling
		}
	case 'T':
		if begins(total) {
			return report
		}
	}
	return ordinary
}

// The beginnings of lines that no one but the sparse scan asks for.
var (
	sessionBegun  = []byte("Exec: Session processing started")
	sessionEnded  = []byte("Exec: Processing complete")
	stackLoaded   = []byte("Loaded Servicing Stack")
	markedCorrupt = []byte("Mark store corruption")
	operation     = []byte("Operation")
	storeCorrupt  = []byte("Store corruption")
	session       = []byte("Sess")
	restarted     = []byte("Startup: restart")
	total         = []byte("Total ")
)

// sortOfSFC sorts what stands behind "[SR] ".
func sortOfSFC(said []byte) sort {
	begins := func(with string) bool { return len(said) >= len(with) && string(said[:len(with)]) == with }
	switch {
	case begins("Be"), begins("Verify c"): // Beginning Verify and Repair transaction, and its end
		return ordinary
	case begins("Verifying "):
		return verifying
	}
	return report
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
