package cab

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"slices"
)

// maxRework bounds how many bytes one Walk decompresses again because files
// overlap. Some packers store equal files once and list them twice; a hostile
// cabinet could list the end of a 2 GiB folder 65,535 times.
const maxRework = 4 << 30

// A decoder decompresses the blocks of one folder, in order.
type decoder interface {
	// reset prepares for the first block of a folder.
	reset()
	// decode returns the n bytes, 1 to maxBlock, that src stands for. They are
	// valid until the next call. Errors say what is wrong with the data; they
	// wrap none of this package's.
	decode(src []byte, n int) ([]byte, error)
}

func (m Method) supported() bool { return m.decoder() != nil }

// decoder returns a constructor rather than a decoder, whose window is large.
func (m Method) decoder() func() decoder {
	switch m.kind() {
	case methodNone:
		return func() decoder { return stored{} }
	case methodMSZIP:
		return func() decoder { return new(mszip) }
	case methodLZX:
		if bits := m.window(); bits >= minWindow && bits <= maxWindow {
			return func() decoder { return newLZX(bits) }
		}
	}
	return nil
}

// stored is the decoder of folders that are not compressed.
type stored struct{}

func (stored) reset() {}

func (stored) decode(src []byte, n int) ([]byte, error) {
	if len(src) != n {
		return nil, fmt.Errorf("%d bytes stored as %d", n, len(src))
	}
	return src, nil
}

// A stream decompresses a folder block by block and holds the latest block.
type stream struct {
	r      *Reader
	folder int
	method Method
	dec    decoder
	in     *bufio.Reader
	head   [dataLen + 255]byte
	data   []byte

	block int   // index of the next block
	next  int64 // its offset in the cabinet
	start int64 // where out begins in the uncompressed folder
	out   []byte
	err   error // from which only rewind recovers
}

func (r *Reader) newStream() *stream {
	return &stream{r: r, folder: -1, in: bufio.NewReaderSize(nil, 64<<10)}
}

// use makes folder i the one that is read, from wherever it was left.
func (s *stream) use(i int) {
	if i == s.folder {
		return
	}
	if m := s.r.folders[i].method; s.dec == nil || m != s.method {
		s.method, s.dec = m, m.decoder()()
	}
	s.folder = i
	s.rewind()
}

func (s *stream) rewind() {
	f := s.r.folders[s.folder]
	s.in.Reset(io.NewSectionReader(s.r.src, f.off, max(0, f.end-f.off)))
	s.dec.reset()
	s.block, s.next, s.start, s.out, s.err = 0, f.off, 0, nil, nil
}

// at returns what the folder holds from off to the end of the block off is in:
// at least one byte, valid until the next call.
func (s *stream) at(off int64) ([]byte, error) {
	if off < s.start {
		s.rewind()
	}
	for s.start+int64(len(s.out)) <= off {
		if s.err == nil {
			s.start += int64(len(s.out))
			s.out, s.err = s.decode()
		}
		if s.err != nil {
			return nil, s.err
		}
	}
	return s.out[off-s.start:], nil
}

// decode reads, verifies and decompresses the next block.
func (s *stream) decode() ([]byte, error) {
	if blocks := s.r.folders[s.folder].blocks; s.block >= blocks {
		return nil, fmt.Errorf("cab: folder %d ends after %d blocks at offset %#x: %w: a file goes on", s.folder, blocks, s.next, ErrFormat)
	}
	head := s.head[:dataLen+s.r.dataReserve]
	if err := s.read(head); err != nil {
		return nil, s.fail(err)
	}
	packed, size := int(binary.LittleEndian.Uint16(head[4:])), int(binary.LittleEndian.Uint16(head[6:]))
	if size == 0 {
		return nil, s.fail(fmt.Errorf("%w: it continues in cabinet %q", ErrUnsupported, s.r.Next))
	}
	if cap(s.data) < packed {
		s.data = make([]byte, packed, max(packed, maxBlock+6<<10)) // what [MS-CAB] says a block may grow to
	}
	s.data = s.data[:packed]
	if err := s.read(s.data); err != nil {
		return nil, s.fail(err)
	}
	if !verify(head, s.data) {
		return nil, s.fail(ErrChecksum)
	}
	if size > maxBlock {
		return nil, s.fail(fmt.Errorf("%w: it claims %d bytes", ErrFormat, size))
	}
	out, err := s.dec.decode(s.data, size)
	if err != nil {
		return nil, s.fail(fmt.Errorf("%w: %w", ErrFormat, err))
	}
	s.block++
	s.next += int64(len(head) + packed)
	return out, nil
}

func (s *stream) read(b []byte) error {
	_, err := io.ReadFull(s.in, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = fmt.Errorf("%w: %w", ErrFormat, io.ErrUnexpectedEOF)
	}
	return err
}

// fail says in which block the stream was when it met err.
func (s *stream) fail(err error) error {
	return fmt.Errorf("cab: folder %d, block %d at offset %#x: %w", s.folder, s.block, s.next, err)
}

// verify compares a block with its checksum; 0 means that it has none.
//
// [MS-CAB] includes the application's reserved bytes, but packers exist that
// leave them out, and readers that do.
func verify(head, data []byte) bool {
	want := binary.LittleEndian.Uint32(head)
	if want == 0 {
		return true
	}
	sum := checksum(data)
	return sum^checksum(head[4:]) == want || sum^checksum(head[4:dataLen]) == want
}

// checksum is CSUMCompute of [MS-CAB] 3.1: the exclusive or of 32-bit words,
// the last of which, if not whole, is read the other way round.
func checksum(b []byte) uint32 {
	var wide uint64
	for ; len(b) >= 8; b = b[8:] {
		wide ^= binary.LittleEndian.Uint64(b)
	}
	sum := uint32(wide) ^ uint32(wide>>32)
	if len(b) >= 4 {
		sum ^= binary.LittleEndian.Uint32(b)
		b = b[4:]
	}
	var tail uint32
	for _, c := range b {
		tail = tail<<8 | uint32(c)
	}
	return sum ^ tail
}

// content is the bytes of one file.
type content struct {
	s        *stream // nil once closed
	off, end int64   // in the uncompressed folder
	err      error
}

func (c *content) peek() ([]byte, error) {
	switch {
	case c.err != nil:
		return nil, c.err
	case c.s == nil:
		return nil, fs.ErrClosed
	case c.off == c.end:
		return nil, io.EOF
	}
	b, err := c.s.at(c.off)
	if err != nil {
		c.err = err
		return nil, err
	}
	return b[:min(int64(len(b)), c.end-c.off)], nil
}

// Read implements io.Reader.
func (c *content) Read(p []byte) (int, error) {
	b, err := c.peek()
	n := copy(p, b)
	c.off += int64(n)
	return n, err
}

// WriteTo implements io.WriterTo, to spare io.Copy a buffer.
func (c *content) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for {
		b, err := c.peek()
		if err == io.EOF {
			return total, nil
		} else if err != nil {
			return total, err
		}
		n, err := w.Write(b)
		c.off += int64(n)
		total += int64(n)
		if err == nil && n < len(b) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return total, err
		}
	}
}

// Close hands the decompressor to the next Open.
func (c *content) Close() error {
	if c.s != nil && c.s.err == nil {
		r := c.s.r
		r.mu.Lock()
		r.idle = c.s
		r.mu.Unlock()
	}
	c.s = nil
	return nil
}

// Open returns the file's content, which is decompressed as it is read; errors
// in the data appear where the data is wrong. Close it when done.
//
// What stands before the file in its folder has to be decompressed too, but
// files that are opened in cabinet order, each after the one before was closed,
// cost one pass.
func (f *File) Open() (io.ReadCloser, error) {
	if f.err != nil {
		return nil, f.err
	}
	f.r.mu.Lock()
	s := f.r.idle
	f.r.idle = nil
	f.r.mu.Unlock()
	if s == nil {
		s = f.r.newStream()
	}
	s.use(f.folder)
	return &content{s: s, off: f.off, end: f.off + f.Size}, nil
}

// Walk calls fn for every file, folder by folder and in the order of their data,
// which is cabinet order unless the packer did something unusual, so that
// each folder is decompressed once. It stops at the first error of fn and
// returns it.
//
// The content is valid until fn returns and need not be read. For a file that
// Open would refuse, reading it gives Open's error.
func (r *Reader) Walk(fn func(f *File, content io.Reader) error) error {
	return r.walk(maxRework, fn)
}

// walk is Walk that decompresses at most rework bytes again.
func (r *Reader) walk(rework int64, fn func(f *File, content io.Reader) error) error {
	order := slices.Clone(r.Files)
	slices.SortStableFunc(order, func(a, b *File) int {
		return cmp.Or(cmp.Compare(a.folder, b.folder), cmp.Compare(a.off, b.off))
	})
	s := r.newStream()
	for _, f := range order {
		c := &content{s: s, off: f.off, end: f.off + f.Size, err: f.err}
		if f.err == nil {
			s.use(f.folder)
			if f.off < s.start {
				rework -= f.off + f.Size
			}
			if rework < 0 {
				c.err = f.fail(ErrUnsupported, "too many files share the same data")
			}
		}
		err := fn(f, c)
		c.s = nil
		if err != nil {
			return err
		}
	}
	return nil
}
