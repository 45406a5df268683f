// Package wim reads files out of Windows images: install.wim of a medium, and packages
// of Windows 11 24H2 and later, which are images too.
//
// Microsoft, "Windows Imaging File Format (WIM)", 2007. A file of the format is a head, resources,
// a table of where they are, and XML that describes the images. A resource is plain, or
// compressed in chunks of 32 KiB, each by itself, so that it is read at any place. An image
// is one resource with its directories; contents are named there by their SHA-1. What is
// compressed with LZX or not at all is read; solid resources (install.esd) and XPRESS
// are not. Nothing is unpacked to disk, and every size is bounded by what the file has.
package wim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"unicode/utf16"

	"github.com/Microsoft/go-winio/wim/lzx"
)

// ErrFormat says that a file is no image, or one that is not read here: compressed in
// another way, in several parts, damaged.
var ErrFormat = errors.New("not an image that can be looked into")

const (
	headerSize   = 208
	tableEntry   = 50 // of the table of resources
	maxResources = 1 << 19
	maxFiles     = 10_000 // that are listed
	maxImages    = 128
	maxEntries   = 1 << 20    // that are looked at in all, in the folders on the way: System32 has 5000
	chunk        = 32 << 10   // of compressed resources
	flagXPRESS   = 0x00020000 // of the header
	flagLZX      = 0x00040000
	flagLZMS     = 0x00080000
	resMetadata  = 0x02 // of a resource
	resPacked    = 0x04
	resSpanned   = 0x08
)

// File is an image file. It may be used by one goroutine at a time.
type File struct {
	r    io.ReaderAt
	size int64
	lzx  bool
	data map[[20]byte]resource // by SHA-1
	dirs []resource            // what images hold: directories
	seen int                   // entries that were looked at
}

// resource is a piece of the file.
type resource struct {
	at, packed, size int64
	compressed       bool
}

// Open reads the head of an image file of a size, and the table of what is in it.
func Open(r io.ReaderAt, size int64) (*File, error) {
	le := binary.LittleEndian
	h := make([]byte, headerSize)
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), h); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	flags := le.Uint32(h[16:])
	switch {
	case string(h[:8]) != "MSWIM\x00\x00\x00" || le.Uint32(h[8:]) != headerSize:
		return nil, ErrFormat
	case flags&(flagXPRESS|flagLZMS) != 0, flags&flagLZX != 0 && le.Uint32(h[20:]) != chunk:
		return nil, fmt.Errorf("%w: compressed otherwise", ErrFormat)
	case le.Uint16(h[42:]) != 1:
		return nil, fmt.Errorf("%w: one of several parts", ErrFormat)
	}
	m := &File{r: r, size: size, lzx: flags&flagLZX != 0, data: map[[20]byte]resource{}}
	res, err := m.resource(h[48:])
	if err != nil {
		return nil, err
	}
	if res.size > maxResources*tableEntry {
		return nil, fmt.Errorf("%w: %d bytes of tables", ErrFormat, res.size)
	}
	table, err := m.open(res)
	if err != nil {
		return nil, err
	}
	for n := int64(0); n+tableEntry <= res.size; n += tableEntry {
		var e [tableEntry]byte
		if _, err := io.ReadFull(table, e[:]); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		res, err := m.resource(e[:])
		if err != nil {
			return nil, err
		}
		if e[7]&resMetadata != 0 {
			if len(m.dirs) == maxImages {
				return nil, fmt.Errorf("%w: more than %d images", ErrFormat, maxImages)
			}
			m.dirs = append(m.dirs, res)
			continue
		}
		m.data[[20]byte(e[30:50])] = res
	}
	return m, nil
}

// resource reads a resource header: seven bytes of length, flags, place, true length.
func (m *File) resource(b []byte) (resource, error) {
	le := binary.LittleEndian
	packed := le.Uint64(b) &^ (0xff << 56)
	at, size := le.Uint64(b[8:]), le.Uint64(b[16:])
	if at > uint64(m.size) || packed > uint64(m.size)-at || size > 1<<40 || b[7]&resSpanned != 0 {
		return resource{}, fmt.Errorf("%w: %d bytes at %d", ErrFormat, packed, at)
	}
	res := resource{int64(at), int64(packed), int64(size), b[7]&resPacked != 0}
	if res.compressed && !m.lzx || !res.compressed && res.packed != res.size {
		return resource{}, fmt.Errorf("%w: a resource of %d bytes in %d", ErrFormat, size, packed)
	}
	return res, nil
}

// open reads a resource. A compressed one is a table of where its chunks begin, and the
// chunks, each by itself; one that would not have become smaller stands as it is.
func (m *File) open(res resource) (*io.SectionReader, error) {
	section := io.NewSectionReader(m.r, res.at, res.packed)
	if !res.compressed {
		return section, nil
	}
	n := (res.size + chunk - 1) / chunk
	width := int64(4)
	if res.size > 1<<32-1 {
		width = 8
	}
	table := width * (n - 1)
	if n < 1 || table > res.packed {
		return nil, fmt.Errorf("%w: %d chunks in %d bytes", ErrFormat, n, res.packed)
	}
	return io.NewSectionReader(&chunks{r: section, table: table, width: width, size: res.size, packed: res.packed}, 0, res.size), nil
}

// chunks reads a compressed resource at any place, and keeps the chunk that it read last.
type chunks struct {
	r                          *io.SectionReader
	table, width, size, packed int64
	held                       int64 // number of the chunk in buf, from 1
	buf                        [chunk]byte
}

// begin is where a chunk begins, behind the table.
func (c *chunks) begin(n int64) (int64, error) {
	if n == 0 {
		return c.table, nil
	}
	if n*c.width > c.table { // the last ends with the resource
		return c.packed, nil
	}
	var b [8]byte
	if _, err := c.r.ReadAt(b[:c.width], (n-1)*c.width); err != nil {
		return 0, err
	}
	return c.table + int64(binary.LittleEndian.Uint64(b[:])&(1<<48-1)), nil
}

// load has a chunk in the buffer and returns what is in it.
func (c *chunks) load(n int64) ([]byte, error) {
	size := min(c.size-n*chunk, chunk)
	if c.held == n+1 {
		return c.buf[:size], nil
	}
	c.held = 0
	from, err := c.begin(n)
	if err != nil {
		return nil, err
	}
	to, err := c.begin(n + 1)
	if err != nil {
		return nil, err
	}
	if from < c.table || to <= from || to > c.packed || to-from > size {
		return nil, fmt.Errorf("%w: a chunk from %d to %d", ErrFormat, from, to)
	}
	src := io.Reader(io.NewSectionReader(c.r, from, to-from))
	if to-from != size {
		d, err := lzx.NewReader(src, int(size))
		if err != nil {
			return nil, err
		}
		src = d
	}
	if _, err := io.ReadFull(src, c.buf[:size]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	c.held = n + 1
	return c.buf[:size], nil
}

// ReadAt implements io.ReaderAt.
func (c *chunks) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		if off >= c.size {
			return n, io.EOF
		}
		b, err := c.load(off / chunk)
		if err != nil {
			return n, err
		}
		k := copy(p[n:], b[off%chunk:])
		n, off = n+k, off+int64(k)
	}
	return n, nil
}

// Entry is a file in an image.
type Entry struct {
	Name string
	Size int64
	res  resource
}

// Read opens what is in a file.
func (m *File) Read(e Entry) (*io.SectionReader, error) { return m.open(e.res) }

// Top lists the files at the top of all images: what a package installs lies there.
func (m *File) Top() ([]Entry, error) {
	var out []Entry
	for i := range m.dirs {
		d, at, err := m.root(i)
		if err != nil {
			return nil, err
		}
		if err := m.list(d, at, func(e node) (bool, error) {
			if len(out) == maxFiles {
				return false, ErrFormat
			}
			if res, ok := m.data[e.hash]; ok && !e.folder {
				out = append(out, Entry{e.name, res.size, res})
			}
			return true, nil
		}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Find returns a file of an image, which count from 1, by its path with slashes, without
// regard to letter case.
func (m *File) Find(image int, path string) (Entry, error) {
	missing := &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	if image < 1 || image > len(m.dirs) {
		return Entry{}, missing
	}
	d, at, err := m.root(image - 1)
	if err != nil {
		return Entry{}, err
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		var found *node
		if err := m.list(d, at, func(e node) (bool, error) {
			if strings.EqualFold(e.name, part) && e.folder == (i < len(parts)-1) {
				found = &e
			}
			return found == nil, nil
		}); err != nil {
			return Entry{}, err
		}
		if found == nil {
			return Entry{}, missing
		}
		if at = found.sub; found.folder {
			continue
		}
		res, ok := m.data[found.hash]
		if !ok {
			return Entry{}, missing
		}
		return Entry{found.name, res.size, res}, nil
	}
	return Entry{}, missing
}

// node is a file or a folder of a directory.
type node struct {
	name   string
	folder bool
	sub    int64 // where a folder's own entries stand
	hash   [20]byte
}

// What stands in an entry, before its name.
const (
	entrySize    = 102
	atAttributes = 8
	atSub        = 16
	atHash       = 64
	atStreams    = 96
	atNameSize   = 100
	folder       = 0x10 // attribute
)

// root opens the directories of an image, and says where those of its root begin:
// security descriptors come first, then the root, whose entry says it.
func (m *File) root(i int) (*io.SectionReader, int64, error) {
	d, err := m.open(m.dirs[i])
	if err != nil {
		return nil, 0, err
	}
	le := binary.LittleEndian
	var b [entrySize]byte
	if _, err := d.ReadAt(b[:4], 0); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if _, err := d.ReadAt(b[:], max(8, (int64(le.Uint32(b[:]))+7)&^7)); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return d, int64(le.Uint64(b[atSub:])), nil
}

// list calls visit for each entry of the folder that begins at a place, until it says no.
func (m *File) list(d *io.SectionReader, at int64, visit func(node) (bool, error)) error {
	le := binary.LittleEndian
	var b [entrySize]byte
	for ; ; m.seen++ {
		if at < 8 || at > d.Size()-8 || m.seen > maxEntries {
			return fmt.Errorf("%w: a directory at %d", ErrFormat, at)
		}
		if _, err := d.ReadAt(b[:8], at); err != nil {
			return fmt.Errorf("%w: %w", ErrFormat, err)
		}
		length := le.Uint64(b[:])
		if length == 0 {
			return nil
		}
		if length < entrySize || length > uint64(d.Size()-at) {
			return fmt.Errorf("%w: an entry of %d bytes", ErrFormat, length)
		}
		if _, err := d.ReadAt(b[:], at); err != nil {
			return fmt.Errorf("%w: %w", ErrFormat, err)
		}
		wide := int64(le.Uint16(b[atNameSize:]))
		if entrySize+wide > int64(length) || wide%2 != 0 {
			return fmt.Errorf("%w: a name of %d bytes", ErrFormat, wide)
		}
		name := make([]byte, wide)
		if _, err := d.ReadAt(name, at+entrySize); err != nil && wide > 0 {
			return fmt.Errorf("%w: %w", ErrFormat, err)
		}
		e := node{folder: le.Uint32(b[atAttributes:])&folder != 0, sub: int64(le.Uint64(b[atSub:])), hash: [20]byte(b[atHash:])}
		u := make([]uint16, wide/2)
		for i := range u {
			u[i] = le.Uint16(name[2*i:])
		}
		e.name = string(utf16.Decode(u))
		at += int64(length+7) &^ 7
		// Further streams stand behind an entry. Where a file has some, its contents may be
		// the first of them that has no name.
		for n := le.Uint16(b[atStreams:]); n > 0; n-- {
			const streamSize, atStreamHash, atStreamName = 38, 16, 36
			var s [streamSize]byte
			if at > d.Size()-streamSize {
				return fmt.Errorf("%w: a stream at %d", ErrFormat, at)
			}
			if _, err := d.ReadAt(s[:], at); err != nil {
				return fmt.Errorf("%w: %w", ErrFormat, err)
			}
			size := le.Uint64(s[:])
			if size < streamSize || size > uint64(d.Size()-at) {
				return fmt.Errorf("%w: a stream of %d bytes", ErrFormat, size)
			}
			if hash := [20]byte(s[atStreamHash:]); e.hash == ([20]byte{}) && le.Uint16(s[atStreamName:]) == 0 {
				e.hash = hash
			}
			at += int64(size+7) &^ 7
		}
		if more, err := visit(e); err != nil || !more {
			return err
		}
	}
}
