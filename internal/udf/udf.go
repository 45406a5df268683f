// Package udf reads the file system of a disc image, as an [fs.FS].
//
// Microsoft's ISO files hold their files in UDF 1.02; the ISO 9660 part beside it has
// one text that says so. This reads what such files use of ECMA-167 and "Universal
// Disk Format": one partition, files in extents, nothing that is rewritten. Nothing is
// mounted and nothing is unpacked; every size is bounded by what the file has.
package udf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf16"
)

// Errors of reading. Test with errors.Is.
var (
	ErrFormat   = errors.New("no UDF file system")
	ErrTooLarge = errors.New("larger than such a file ever is")
	ErrDamaged  = errors.New("damaged")
)

// Every structure begins with a tag: its kind (2 bytes), ..., at 4 the sum of the
// other 15 bytes.

const (
	sectorSize = 2048
	anchorAt   = 256     // the sector where the way in is always written down
	maxDir     = 4 << 20 // bytes of one directory
	maxParts   = 4096    // extents of one file: an image of 16 GB has 20
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

// FS is a file system in a file. It implements [fs.FS], [fs.ReadDirFS] and
// [fs.StatFS]; files that it opens are an [io.ReaderAt]. Names are looked up without
// regard to letter case, as Windows does.
type FS struct {
	r     io.ReaderAt
	size  int64
	start int64 // of the partition, in bytes
	root  node
}

// node is a file or a directory.
type node struct {
	dir     bool
	size    int64
	data    []byte // of a file so small that it lies in its own entry
	extents []extent
}

// extent is a piece of a file; at -1 it was never written and reads as zeros.
type extent struct{ at, size int64 }

// Open finds the root of the file system that a file of a size holds.
func Open(r io.ReaderAt, size int64) (*FS, error) {
	u := &FS{r: r, size: size, start: -1}
	anchor, err := u.sector(anchorAt*sectorSize, tagAnchor)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	le := binary.LittleEndian
	length, at := int64(le.Uint32(anchor[16:])), int64(le.Uint32(anchor[20:]))*sectorSize
	var set int64 = -1
	const most = 64 // descriptors of a volume; there are six
	for n := int64(0); n < min(length/sectorSize, most); n++ {
		d, err := u.read(at+n*sectorSize, sectorSize)
		if err != nil {
			return nil, err
		}
		switch kind, ok := tag(d); {
		case !ok || kind == tagEnd:
			n = most
		case kind == tagPartition:
			u.start = int64(le.Uint32(d[188:])) * sectorSize
		case kind == tagVolume:
			if block := le.Uint32(d[212:]); block != sectorSize {
				return nil, fmt.Errorf("%w: blocks of %d bytes", ErrFormat, block)
			}
			if d[440] != 1 { // a map that is more than the partition itself
				return nil, fmt.Errorf("%w: of a kind for discs that are rewritten", ErrFormat)
			}
			set = int64(le.Uint32(d[252:])) * sectorSize
		}
	}
	if u.start < 0 || set < 0 {
		return nil, fmt.Errorf("%w: no volume", ErrFormat)
	}
	fsd, err := u.sector(u.start+set, tagFileSet)
	if err != nil {
		return nil, err
	}
	if u.root, err = u.node(int64(le.Uint32(fsd[404:]))); err != nil {
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

func (u *FS) read(at, n int64) ([]byte, error) {
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
func (u *FS) sector(at int64, want uint16) ([]byte, error) {
	d, err := u.read(at, sectorSize)
	if err != nil {
		return nil, err
	}
	if kind, ok := tag(d); !ok || kind != want {
		return nil, fmt.Errorf("at %d is no structure %d: %w", at, want, ErrDamaged)
	}
	return d, nil
}

// node reads the entry of a file, which stands in a block of the partition.
// ECMA-167 4/14.9, 4/14.17.
func (u *FS) node(block int64) (node, error) {
	d, err := u.read(u.start+block*sectorSize, sectorSize)
	if err != nil {
		return node{}, err
	}
	le := binary.LittleEndian
	head := 176
	switch kind, ok := tag(d); {
	case ok && kind == tagFile:
	case ok && kind == tagFileLonger:
		head = 216
	default:
		return node{}, fmt.Errorf("block %d is no file: %w", block, ErrDamaged)
	}
	const directory = 4
	f := node{dir: d[27] == directory, size: int64(le.Uint64(d[56:]))}
	attributes, descriptors := int64(le.Uint32(d[head-8:])), int64(le.Uint32(d[head-4:]))
	if f.size < 0 || attributes+descriptors > int64(len(d)-head) {
		return node{}, fmt.Errorf("the entry of block %d: %w", block, ErrDamaged)
	}
	list := d[int64(head)+attributes:][:descriptors]
	const short, long, inside = 0, 1, 3
	switch le.Uint16(d[34:]) & 7 {
	case inside:
		if f.size != descriptors {
			return node{}, fmt.Errorf("the entry of block %d: %w", block, ErrDamaged)
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
func (u *FS) pieces(list []byte, width int) ([]extent, error) {
	le := binary.LittleEndian
	var out []extent
	for ; len(list) >= width; list = list[width:] {
		length, block := le.Uint32(list), int64(le.Uint32(list[4:]))
		const recorded, more = 0, 3
		e := extent{u.start + block*sectorSize, int64(length & (1<<30 - 1))}
		switch kind := length >> 30; {
		case e.size == 0:
			return out, nil
		case kind == more, len(out) == maxParts:
			return nil, fmt.Errorf("a file in too many pieces: %w", ErrTooLarge)
		case kind != recorded:
			e.at = -1
		}
		out = append(out, e)
	}
	return out, nil
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
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

// file is a file or a directory that is read.
type file struct {
	node
	u    *FS
	name string
	at   int64   // of what is read in order
	list []entry // of a directory, once somebody reads it
	next int
}

// Open implements [fs.FS].
func (u *FS) Open(name string) (fs.File, error) {
	n, err := u.find("open", name)
	if err != nil {
		return nil, err
	}
	return &file{node: n, u: u, name: path.Base(name)}, nil
}

// Stat implements [fs.StatFS].
func (u *FS) Stat(name string) (fs.FileInfo, error) {
	n, err := u.find("stat", name)
	if err != nil {
		return nil, err
	}
	return info{path.Base(name), n}, nil
}

// ReadDir implements [fs.ReadDirFS].
func (u *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := u.find("read", name)
	if err == nil && !n.dir {
		err = &fs.PathError{Op: "read", Path: name, Err: errors.New("no directory")}
	}
	if err != nil {
		return nil, err
	}
	list, err := u.entries(n)
	out := make([]fs.DirEntry, len(list))
	for i := range list {
		out[i] = list[i]
	}
	if err != nil {
		err = &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return out, err
}

// find finds a file by its path.
func (u *FS) find(op, name string) (node, error) {
	fail := func(err error) (node, error) { return node{}, &fs.PathError{Op: op, Path: name, Err: err} }
	if !fs.ValidPath(name) {
		return fail(fs.ErrInvalid)
	}
	at := u.root
	if name == "." {
		return at, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if !at.dir {
			return fail(fs.ErrNotExist)
		}
		list, err := u.entries(at)
		if err != nil {
			return fail(err)
		}
		i := slices.IndexFunc(list, func(e entry) bool { return strings.EqualFold(e.name, part) })
		if i < 0 {
			return fail(fs.ErrNotExist)
		}
		if at, err = u.node(list[i].block); err != nil {
			return fail(err)
		}
	}
	return at, nil
}

// entry is a name in a directory.
type entry struct {
	u     *FS
	name  string
	dir   bool
	block int64
}

func (e entry) Name() string { return e.name }
func (e entry) IsDir() bool  { return e.dir }

func (e entry) Type() fs.FileMode {
	if e.dir {
		return fs.ModeDir
	}
	return 0
}

func (e entry) Info() (fs.FileInfo, error) {
	n, err := e.u.node(e.block)
	return info{e.name, n}, err
}

// entries lists a directory. ECMA-167 4/14.4.
func (u *FS) entries(dir node) ([]entry, error) {
	if dir.size > maxDir {
		return nil, fmt.Errorf("a directory of %d bytes: %w", dir.size, ErrTooLarge)
	}
	b := make([]byte, dir.size)
	if _, err := (&file{node: dir, u: u}).ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	le := binary.LittleEndian
	const fixed, directory, deleted, parent = 38, 2, 4, 8
	var out []entry
	for len(b) >= fixed {
		kind, ok := tag(b)
		if !ok || kind != tagName {
			return out, fmt.Errorf("a directory: %w", ErrDamaged)
		}
		size := fixed + int(le.Uint16(b[36:])) + int(b[19])
		if size > len(b) {
			return out, fmt.Errorf("a directory: %w", ErrDamaged)
		}
		if b[18]&(deleted|parent) == 0 {
			name := decodeName(b[size-int(b[19]) : size])
			if name != "." && fs.ValidPath(name) && !strings.Contains(name, "/") {
				out = append(out, entry{u, name, b[18]&directory != 0, int64(le.Uint32(b[24:]))})
			}
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	slices.SortFunc(out, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// info is what is known of a file.
type info struct {
	name string
	node
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) IsDir() bool        { return i.dir }
func (i info) ModTime() time.Time { return time.Time{} }
func (i info) Sys() any           { return nil }

func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}

// Stat implements [fs.File].
func (f *file) Stat() (fs.FileInfo, error) { return info{f.name, f.node}, nil }

// Close implements [fs.File]; the file with the file system stays open.
func (f *file) Close() error { return nil }

// Read implements [fs.File].
func (f *file) Read(p []byte) (int, error) {
	if f.dir {
		return 0, &fs.PathError{Op: "read", Path: f.name, Err: errors.New("a directory")}
	}
	n, err := f.ReadAt(p, f.at)
	f.at += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil // it comes with the next read
	}
	return n, err
}

// ReadDir implements [fs.ReadDirFile].
func (f *file) ReadDir(n int) ([]fs.DirEntry, error) {
	if !f.dir {
		return nil, &fs.PathError{Op: "read", Path: f.name, Err: errors.New("no directory")}
	}
	if f.list == nil {
		list, err := f.u.entries(f.node)
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: f.name, Err: err}
		}
		f.list = list
	}
	rest := f.list[f.next:]
	if n > 0 {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		rest = rest[:min(n, len(rest))]
	}
	f.next += len(rest)
	out := make([]fs.DirEntry, len(rest))
	for i := range rest {
		out[i] = rest[i]
	}
	return out, nil
}

// decodeName decodes a name: the first byte says how many bits a letter has.
// OSTA, "Universal Disk Format", 2.1.1.
func decodeName(b []byte) string {
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
