// Package cab reads Microsoft Cabinet files, as far as Windows servicing uses
// them: CbsPersist_*.cab logs, update payloads, sls.cab and the like. It
// decompresses MSZIP and LZX while streaming, verifies the checksum of every
// data block, and treats each byte as hostile: memory is bounded by one window
// (at most 2 MiB) and one block (32 KiB), output by the declared sizes.
//
// The container is described in [MS-CAB], "Cabinet File Format". LZX is
// described in "Microsoft LZX Data Compression Format" (Cabinet SDK, 1997) as
// corrected by [MS-PATCH], "LZX DELTA Compression and Decompression"; LZX DELTA
// itself is not read here.
package cab

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Signature is what every cabinet begins with.
const Signature = "MSCF"

// Errors returned by this package wrap one of these, or are errors of the
// io.ReaderAt underneath. A cabinet that ends too early wraps both ErrFormat
// and io.ErrUnexpectedEOF.
var (
	ErrFormat      = errors.New("malformed cabinet")
	ErrChecksum    = errors.New("cabinet data fails its checksum")
	ErrUnsupported = errors.New("unsupported cabinet feature")
)

// Bits of File.Attributes ([MS-CAB] 2.3, CFFILE.attribs).
const (
	AttrReadOnly = 0x01
	AttrHidden   = 0x02
	AttrSystem   = 0x04
	AttrArchive  = 0x20
	AttrExec     = 0x40 // run after extraction
	AttrNameUTF8 = 0x80 // the name is UTF-8, not the packer's code page
)

// maxBlock is the uncompressed size of every block but a folder's last.
const maxBlock = 32 << 10

// Method is how a folder is compressed: CFFOLDER.typeCompress as stored.
type Method uint16

const (
	methodNone = iota
	methodMSZIP
	methodQuantum
	methodLZX
)

func (m Method) kind() int { return int(m & 0x0f) }

// window is the base-two logarithm of the LZX or Quantum window.
func (m Method) window() int { return int(m >> 8 & 0x1f) }

// String names the method the way common archivers do, such as "MSZIP" or
// "LZX:21".
func (m Method) String() string {
	switch m.kind() {
	case methodNone:
		return "none"
	case methodMSZIP:
		return "MSZIP"
	case methodQuantum:
		return fmt.Sprintf("Quantum:%d", m.window())
	case methodLZX:
		return fmt.Sprintf("LZX:%d", m.window())
	}
	return fmt.Sprintf("Method(%#04x)", uint16(m))
}

// A Reader lists the files of one cabinet and opens them. Its fields must not
// be changed. Its methods may be called concurrently if the io.ReaderAt
// allows that.
type Reader struct {
	// Files stand in cabinet order.
	Files []*File

	// SetID and Index place the cabinet in a set that was split over several;
	// Prev and Next are the names of its neighbours, "" at either end.
	SetID, Index uint16
	Prev, Next   string

	// Missing is the number of bytes by which the cabinet is shorter than its
	// header says. It is 0 for a whole cabinet; otherwise files are readable up
	// to the place where the data stops.
	Missing int64

	src         io.ReaderAt
	folders     []folder
	dataReserve int // application bytes in each CFDATA header

	mu   sync.Mutex
	idle *stream // kept by the last Close, so that opening files in order never decompresses twice
}

// A folder is one compressed stream; files are ranges of it.
type folder struct {
	off, end int64 // where its blocks are: cabinet offsets
	blocks   int
	method   Method
	headless bool // begins in the previous cabinet of the set
}

// A File is one entry of a cabinet.
type File struct {
	// Name is as stored, with '/' for '\', decoded from UTF-8 or else
	// Windows-1252. It is not safe to use as a path: see SafeName.
	Name string
	// Size is the uncompressed length in bytes.
	Size int64
	// Modified is the DOS time stamp, which has a resolution of two seconds and
	// no zone: it is the packer's wall clock, given as UTC. It is zero if the
	// cabinet holds no valid date.
	Modified time.Time
	// Attributes are the Attr bits.
	Attributes uint16
	// Method is how the file's folder is compressed.
	Method Method

	r      *Reader
	folder int
	off    int64 // of the first byte in the uncompressed folder
	err    error // why it cannot be opened
}

// Positions and lengths in [MS-CAB] 2.1 to 2.4.
const (
	headerLen = 36
	folderLen = 8
	fileLen   = 16 // and the name
	dataLen   = 8

	flagPrev    = 1
	flagNext    = 2
	flagReserve = 4

	fromPrev     = 0xfffd // CFFILE.iFolder
	toNext       = 0xfffe
	prevAndNext  = 0xffff
	maxNameBytes = 255
)

// NewReader reads the tables of the cabinet in the first size bytes of src.
// What follows the cabinet, as an Authenticode signature does, is ignored.
//
// Tables that do not fit or contradict each other are ErrFormat; a file that
// alone is wrong or unsupported is listed and fails when it is opened.
func NewReader(src io.ReaderAt, size int64) (*Reader, error) {
	t := table{r: bufio.NewReader(io.NewSectionReader(src, 0, size))}
	r := &Reader{src: src}

	h := t.next(headerLen)
	if t.err != nil {
		return nil, t.fail("header")
	}
	if string(h[:4]) != Signature {
		return nil, fmt.Errorf("cab: %w: no %s signature", ErrFormat, Signature)
	}
	if major, minor := h[25], h[24]; major != 1 {
		return nil, fmt.Errorf("cab: %w: version %d.%d", ErrUnsupported, major, minor)
	}
	length := int64(binary.LittleEndian.Uint32(h[8:]))
	files := int64(binary.LittleEndian.Uint32(h[16:]))
	nFolders := int(binary.LittleEndian.Uint16(h[26:]))
	nFiles := int(binary.LittleEndian.Uint16(h[28:]))
	flags := binary.LittleEndian.Uint16(h[30:])
	r.SetID = binary.LittleEndian.Uint16(h[32:])
	r.Index = binary.LittleEndian.Uint16(h[34:])
	r.Missing = max(0, length-size)

	folderReserve := 0
	if flags&flagReserve != 0 {
		if b := t.next(4); t.err == nil {
			folderReserve, r.dataReserve = int(b[2]), int(b[3])
			t.skip(int64(binary.LittleEndian.Uint16(b)))
		}
	}
	if flags&flagPrev != 0 {
		r.Prev = decodeName(t.text(), false)
		t.text() // the disk's label, made for people with floppies
	}
	if flags&flagNext != 0 {
		r.Next = decodeName(t.text(), false)
		t.text()
	}
	if t.err != nil {
		return nil, t.fail("header")
	}

	// Refuse counts that cannot be true before making room for them.
	if need := int64(nFolders) * int64(folderLen+folderReserve); need > size-t.off {
		return nil, fmt.Errorf("cab: folder table at offset %#x: %w: %d folders need %d bytes", t.off, ErrFormat, nFolders, need)
	}
	r.folders = make([]folder, 0, nFolders)
	for range nFolders {
		b := t.next(folderLen)
		if t.err != nil {
			return nil, t.fail("folder table")
		}
		r.folders = append(r.folders, folder{
			off:    int64(binary.LittleEndian.Uint32(b)),
			end:    length,
			blocks: int(binary.LittleEndian.Uint16(b[4:])),
			method: Method(binary.LittleEndian.Uint16(b[6:])),
		})
		t.skip(int64(folderReserve))
	}
	fence(r.folders)

	if files < t.off {
		return nil, fmt.Errorf("cab: file table at offset %#x: %w: it overlaps the folder table", files, ErrFormat)
	}
	t.skip(files - t.off)
	if need := int64(nFiles) * (fileLen + 1); t.err == nil && need > size-t.off {
		return nil, fmt.Errorf("cab: file table at offset %#x: %w: %d files need %d bytes", t.off, ErrFormat, nFiles, need)
	}
	r.Files = make([]*File, 0, nFiles)
	for range nFiles {
		b := t.next(fileLen)
		if t.err != nil {
			return nil, t.fail("file table")
		}
		f := &File{
			r:          r,
			Size:       int64(binary.LittleEndian.Uint32(b)),
			off:        int64(binary.LittleEndian.Uint32(b[4:])),
			folder:     int(binary.LittleEndian.Uint16(b[8:])),
			Modified:   dosTime(binary.LittleEndian.Uint16(b[10:]), binary.LittleEndian.Uint16(b[12:])),
			Attributes: binary.LittleEndian.Uint16(b[14:]),
		}
		f.Name = decodeName(t.text(), f.Attributes&AttrNameUTF8 != 0)
		if t.err != nil {
			return nil, t.fail("file table")
		}
		r.Files = append(r.Files, f)
	}
	r.judge()
	return r, nil
}

// fence ends each folder where the next one begins. Folders that share blocks
// would let a small cabinet cost unbounded time.
func fence(folders []folder) {
	order := make([]*folder, 0, len(folders))
	for i := range folders {
		if folders[i].blocks > 0 {
			order = append(order, &folders[i])
		}
	}
	slices.SortStableFunc(order, func(a, b *folder) int { return cmp.Compare(a.off, b.off) })
	for i := 1; i < len(order); i++ {
		order[i-1].end = min(order[i-1].end, order[i].off)
	}
}

// judge finds, for each file, its folder and whether it can be opened.
func (r *Reader) judge() {
	for _, f := range r.Files {
		// Only a cabinet's first folder can come from the previous one, and it
		// is in that folder that such files are.
		if (f.folder == fromPrev || f.folder == prevAndNext) && len(r.folders) > 0 {
			r.folders[0].headless = true
		}
	}
	for _, f := range r.Files {
		stored := f.folder
		switch stored {
		case fromPrev, prevAndNext:
			f.folder = 0
		case toNext:
			f.folder = len(r.folders) - 1
		}
		if f.folder < 0 || f.folder >= len(r.folders) {
			f.err = f.fail(ErrFormat, "folder %d of %d", stored, len(r.folders))
			continue
		}
		in := &r.folders[f.folder]
		f.Method = in.method
		switch {
		case stored == prevAndNext:
			f.err = f.fail(ErrUnsupported, "it spans the cabinets %q, this and %q", r.Prev, r.Next)
		case stored == toNext:
			f.err = f.fail(ErrUnsupported, "it continues in cabinet %q", r.Next)
		case in.headless:
			f.err = f.fail(ErrUnsupported, "its folder begins in cabinet %q", r.Prev)
		case !in.method.supported():
			f.err = f.fail(ErrUnsupported, "compression %v", in.method)
		case f.off+f.Size > int64(in.blocks)*maxBlock:
			f.err = f.fail(ErrFormat, "bytes %d to %d of a folder of %d blocks", f.off, f.off+f.Size, in.blocks)
		}
	}
}

func (f *File) fail(kind error, format string, args ...any) error {
	return fmt.Errorf("cab: file %q: %w: %s", f.Name, kind, fmt.Sprintf(format, args...))
}

// dosTime decodes MS-DOS date and time words.
func dosTime(date, clock uint16) time.Time {
	y, m, d := int(date>>9)+1980, time.Month(date>>5&0xf), int(date&0x1f)
	hh, mm, ss := int(clock>>11), int(clock>>5&0x3f), int(clock&0x1f)*2
	t := time.Date(y, m, d, hh, mm, ss, 0, time.UTC)
	if t.Month() != m || t.Day() != d || t.Hour() != hh || t.Minute() != mm {
		return time.Time{}
	}
	return t
}

// table reads consecutive records and remembers the first error.
type table struct {
	r   *bufio.Reader
	off int64
	err error
}

// next returns n bytes, at most 4096, that are valid until the next call; nil
// after an error.
func (t *table) next(n int) []byte {
	if t.err != nil {
		return nil
	}
	var b []byte
	if b, t.err = t.r.Peek(n); t.err != nil {
		return nil
	}
	t.skip(int64(n))
	return b
}

func (t *table) skip(n int64) {
	for n > 0 && t.err == nil {
		var k int
		k, t.err = t.r.Discard(int(min(n, 1<<30)))
		t.off += int64(k)
		n -= int64(k)
	}
}

// text returns the bytes before the next NUL.
func (t *table) text() []byte {
	if t.err != nil {
		return nil
	}
	b, err := t.r.Peek(maxNameBytes + 1)
	for i, c := range b {
		if c == 0 {
			t.skip(int64(i) + 1)
			return b[:i]
		}
	}
	if t.err = err; err == nil {
		t.err = fmt.Errorf("%w: a name of more than %d bytes", ErrFormat, maxNameBytes)
	}
	return nil
}

// fail explains the error met in the part of the tables called what.
func (t *table) fail(what string) error {
	err := t.err
	if err == io.EOF {
		err = fmt.Errorf("%w: %w", ErrFormat, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("cab: %s at offset %#x: %w", what, t.off, err)
}
