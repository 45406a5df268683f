package upgrade

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf16"
)

// Microsoft's ISO files hold their files in UDF 1.02; the ISO 9660 part beside it has
// one text that says so. This reads what such files use of ECMA-167 and "Universal
// Disk Format": one partition, files in extents, nothing that is rewritten.
//
// Every structure begins with a tag: its kind (2 bytes), ..., at 4 the sum of the
// other 15 bytes.

const (
	udfSector   = 2048
	udfAnchor   = 256     // the sector where the way in is always written down
	udfMaxDir   = 4 << 20 // bytes of one directory
	udfMaxParts = 4096    // extents of one file: an image of 16 GB has 20
)

// The kinds of structures that are read. ECMA-167 3/7.2.1, 4/7.2.1.
const (
	tagAnchor     = 2
	tagPartition  = 5
	tagVolume     = 6
	tagEnd        = 8
	tagFileSet    = 256
	tagName       = 257
	tagFile       = 261
	tagFileLonger = 266
)

// udf is a file system in a file.
type udf struct {
	r     io.ReaderAt
	size  int64
	start int64 // of the partition, in bytes
	root  udfFile
}

// udfFile is a file or a directory.
type udfFile struct {
	dir     bool
	size    int64
	data    []byte // of a file so small that it lies in its own entry
	extents []udfExtent
}

// udfExtent is a piece of a file; at -1 it was never written and reads as zeros.
type udfExtent struct{ at, size int64 }

// openUDF finds the root of the file system.
func openUDF(r io.ReaderAt, size int64) (*udf, error) {
	u := &udf{r: r, size: size, start: -1}
	anchor, err := u.sector(udfAnchor*udfSector, tagAnchor)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotUDF, err)
	}
	le := binary.LittleEndian
	length, at := int64(le.Uint32(anchor[16:])), int64(le.Uint32(anchor[20:]))*udfSector
	var set int64 = -1
	const most = 64 // descriptors of a volume; there are six
	for n := int64(0); n < min(length/udfSector, most); n++ {
		d, err := u.read(at+n*udfSector, udfSector)
		if err != nil {
			return nil, err
		}
		switch kind, ok := tag(d); {
		case !ok || kind == tagEnd:
			n = most
		case kind == tagPartition:
			u.start = int64(le.Uint32(d[188:])) * udfSector
		case kind == tagVolume:
			if block := le.Uint32(d[212:]); block != udfSector {
				return nil, fmt.Errorf("%w: blocks of %d bytes", ErrNotUDF, block)
			}
			if d[440] != 1 { // a map that is more than the partition itself
				return nil, fmt.Errorf("%w: of a kind for discs that are rewritten", ErrNotUDF)
			}
			set = int64(le.Uint32(d[252:])) * udfSector
		}
	}
	if u.start < 0 || set < 0 {
		return nil, fmt.Errorf("%w: no volume", ErrNotUDF)
	}
	fsd, err := u.sector(u.start+set, tagFileSet)
	if err != nil {
		return nil, err
	}
	if u.root, err = u.entry(int64(le.Uint32(fsd[404:]))); err != nil {
		return nil, err
	}
	if !u.root.dir {
		return nil, fmt.Errorf("the root is no directory: %w", ErrDamaged)
	}
	return u, nil
}

// tag returns the kind of a structure, and whether its tag is whole.
func tag(d []byte) (kind uint16, ok bool) {
	var sum byte
	for i, b := range d[:16] {
		if i != 4 {
			sum += b
		}
	}
	kind = binary.LittleEndian.Uint16(d)
	return kind, kind != 0 && sum == d[4]
}

func (u *udf) read(at, n int64) ([]byte, error) {
	if at < 0 || n < 0 || at > u.size || n > u.size-at {
		return nil, fmt.Errorf("it points behind the end of the file: %w", ErrDamaged)
	}
	b := make([]byte, n)
	if k, err := u.r.ReadAt(b, at); int64(k) < n {
		return nil, fmt.Errorf("read at %d: %w", at, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return b, nil
}

// sector reads a structure of a known kind.
func (u *udf) sector(at int64, want uint16) ([]byte, error) {
	d, err := u.read(at, udfSector)
	if err != nil {
		return nil, err
	}
	if kind, ok := tag(d); !ok || kind != want {
		return nil, fmt.Errorf("at %d is no structure %d: %w", at, want, ErrDamaged)
	}
	return d, nil
}

// entry reads the entry of a file, which stands in a block of the partition.
// ECMA-167 4/14.9, 4/14.17.
func (u *udf) entry(block int64) (udfFile, error) {
	d, err := u.read(u.start+block*udfSector, udfSector)
	if err != nil {
		return udfFile{}, err
	}
	le := binary.LittleEndian
	head := 176
	switch kind, ok := tag(d); {
	case ok && kind == tagFile:
	case ok && kind == tagFileLonger:
		head = 216
	default:
		return udfFile{}, fmt.Errorf("block %d is no file: %w", block, ErrDamaged)
	}
	const directory = 4
	f := udfFile{dir: d[27] == directory, size: int64(le.Uint64(d[56:]))}
	attributes, descriptors := int64(le.Uint32(d[head-8:])), int64(le.Uint32(d[head-4:]))
	if f.size < 0 || attributes+descriptors > int64(len(d)-head) {
		return udfFile{}, fmt.Errorf("the entry of block %d: %w", block, ErrDamaged)
	}
	list := d[int64(head)+attributes:][:descriptors]
	const short, long, inside = 0, 1, 3
	switch le.Uint16(d[34:]) & 7 {
	case inside:
		if f.size != descriptors {
			return udfFile{}, fmt.Errorf("the entry of block %d: %w", block, ErrDamaged)
		}
		f.data = list
	case short:
		f.extents, err = u.pieces(list, 8)
	case long:
		f.extents, err = u.pieces(list, 16)
	default:
		err = fmt.Errorf("the entry of block %d: %w", block, ErrDamaged)
	}
	return f, err
}

// pieces reads where a file's bytes lie.
func (u *udf) pieces(list []byte, width int) ([]udfExtent, error) {
	le := binary.LittleEndian
	var out []udfExtent
	for ; len(list) >= width; list = list[width:] {
		length, block := le.Uint32(list), int64(le.Uint32(list[4:]))
		const recorded, more = 0, 3
		e := udfExtent{u.start + block*udfSector, int64(length & (1<<30 - 1))}
		switch kind := length >> 30; {
		case e.size == 0:
			return out, nil
		case kind == more, len(out) == udfMaxParts:
			return nil, fmt.Errorf("a file in too many pieces: %w", ErrTooLarge)
		case kind != recorded:
			e.at = -1
		}
		out = append(out, e)
	}
	return out, nil
}

// ReadAt implements io.ReaderAt.
func (f *udfOpen) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 || off >= f.size {
		return 0, io.EOF
	}
	if rest := f.size - off; int64(len(p)) > rest {
		p, err = p[:rest], io.EOF
	}
	if f.data != nil {
		return copy(p, f.data[off:]), err
	}
	for _, e := range f.extents {
		if off >= e.size {
			off -= e.size
			continue
		}
		part := p[n:]
		if rest := e.size - off; int64(len(part)) > rest {
			part = part[:rest]
		}
		if e.at < 0 {
			clear(part)
		} else if k, rerr := f.u.r.ReadAt(part, e.at+off); k < len(part) {
			return n + k, errors.Join(rerr, io.ErrUnexpectedEOF)
		}
		if n += len(part); n == len(p) {
			return n, err
		}
		off = 0
	}
	return n, io.ErrUnexpectedEOF
}

// udfOpen is a file that is read.
type udfOpen struct {
	udfFile
	u *udf
}

// open finds a file by its path, "sources/install.wim", letter case left out.
func (u *udf) open(path string) (*udfOpen, error) {
	at := u.root
	for name := range strings.SplitSeq(path, "/") {
		if !at.dir {
			return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
		}
		next, err := u.find(at, name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		at = next
	}
	return &udfOpen{at, u}, nil
}

// find looks a name up in a directory. ECMA-167 4/14.4.
func (u *udf) find(dir udfFile, want string) (udfFile, error) {
	if dir.size > udfMaxDir {
		return udfFile{}, fmt.Errorf("a directory of %d bytes: %w", dir.size, ErrTooLarge)
	}
	b := make([]byte, dir.size)
	if _, err := (&udfOpen{dir, u}).ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return udfFile{}, err
	}
	le := binary.LittleEndian
	const fixed, deleted, parent = 38, 4, 8
	for len(b) >= fixed {
		kind, ok := tag(b)
		if !ok || kind != tagName {
			return udfFile{}, fmt.Errorf("a directory: %w", ErrDamaged)
		}
		size := fixed + int(le.Uint16(b[36:])) + int(b[19])
		if size > len(b) {
			return udfFile{}, fmt.Errorf("a directory: %w", ErrDamaged)
		}
		if b[18]&(deleted|parent) == 0 && strings.EqualFold(udfName(b[size-int(b[19]):size]), want) {
			return u.entry(int64(le.Uint32(b[24:])))
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return udfFile{}, fs.ErrNotExist
}

// udfName decodes a name: the first byte says how many bits a letter has.
// OSTA, "Universal Disk Format", 2.1.1.
func udfName(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	letters := b[1:]
	if b[0] != 16 {
		out := make([]rune, len(letters))
		for i, c := range letters {
			out[i] = rune(c)
		}
		return string(out)
	}
	wide := make([]uint16, len(letters)/2)
	for i := range wide {
		wide[i] = binary.BigEndian.Uint16(letters[2*i:])
	}
	return string(utf16.Decode(wide))
}
