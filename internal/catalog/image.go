package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"

	"github.com/Microsoft/go-winio/wim/lzx"
)

// image is a package of Windows 11 24H2 and later: a WIM file with cabinets in it. Of
// the format only what such a package takes is read; "Windows Imaging File Format
// (WIM)", Microsoft, 2007.
type image struct {
	r    io.ReaderAt
	size int64
	lzx  bool
	data map[[20]byte]resource // by SHA-1
	dirs []resource            // what images hold: directories
}

// resource is a piece of the file.
type resource struct {
	at, packed, size int64
	compressed       bool
}

// errImage says that an image is one that is not read here: compressed in another way,
// in several parts, or none at all.
var errImage = errors.New("not an image that can be looked into")

const (
	imageHeader   = 208
	imageEntry    = 50        // of the table of resources
	maxImageTable = 4 << 20   // bytes; a package holds some tens of files
	maxDirectory  = 4 << 20   // bytes
	imageChunk    = 32 << 10  // of compressed resources
	flagXPRESS    = 0x0020000 // of the header
	flagLZX       = 0x0040000
	flagLZMS      = 0x0080000
	resMetadata   = 0x02 // of a resource
	resCompressed = 0x04
	resSpanned    = 0x08
	maxImageFiles = 10_000
)

func openImage(r io.ReaderAt, size int64) (*image, error) {
	le := binary.LittleEndian
	h := make([]byte, imageHeader)
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), h); err != nil {
		return nil, fmt.Errorf("%w: %w", errImage, err)
	}
	flags := le.Uint32(h[16:])
	switch {
	case string(h[:8]) != "MSWIM\x00\x00\x00" || le.Uint32(h[8:]) != imageHeader:
		return nil, errImage
	case flags&(flagXPRESS|flagLZMS) != 0, flags&flagLZX != 0 && le.Uint32(h[20:]) != imageChunk:
		return nil, fmt.Errorf("%w: compressed otherwise", errImage)
	case le.Uint16(h[42:]) != 1:
		return nil, fmt.Errorf("%w: one of several parts", errImage)
	}
	m := &image{r: r, size: size, lzx: flags&flagLZX != 0, data: map[[20]byte]resource{}}
	table, err := m.read(h[48:], maxImageTable)
	if err != nil {
		return nil, err
	}
	for ; len(table) >= imageEntry; table = table[imageEntry:] {
		res, err := m.resource(table)
		if err != nil {
			return nil, err
		}
		if table[7]&resMetadata != 0 {
			m.dirs = append(m.dirs, res)
			continue
		}
		m.data[[20]byte(table[30:50])] = res
	}
	return m, nil
}

// resource reads a resource header: seven bytes of length, flags, place, true length.
func (m *image) resource(b []byte) (resource, error) {
	le := binary.LittleEndian
	packed := le.Uint64(b) &^ (0xff << 56)
	at, size := le.Uint64(b[8:]), le.Uint64(b[16:])
	if at > uint64(m.size) || packed > uint64(m.size)-at || size > 1<<40 || b[7]&resSpanned != 0 {
		return resource{}, fmt.Errorf("%w: %d bytes at %d", errImage, packed, at)
	}
	res := resource{int64(at), int64(packed), int64(size), b[7]&resCompressed != 0}
	if res.compressed && !m.lzx || !res.compressed && res.packed != res.size {
		return resource{}, fmt.Errorf("%w: a resource of %d bytes in %d", errImage, size, packed)
	}
	return res, nil
}

func (m *image) read(header []byte, limit int64) ([]byte, error) {
	res, err := m.resource(header)
	if err != nil {
		return nil, err
	}
	return m.readAll(res, limit)
}

func (m *image) readAll(res resource, limit int64) ([]byte, error) {
	if res.size > limit {
		return nil, fmt.Errorf("%w: %d bytes of tables", errImage, res.size)
	}
	r, err := m.open(res)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, limit))
	if err == nil && int64(len(b)) != res.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errImage, err)
	}
	return b, nil
}

// open reads a resource. A compressed one is a table of where its chunks begin, and the
// chunks, each by itself; one that would not have become smaller stands as it is.
func (m *image) open(res resource) (io.Reader, error) {
	section := io.NewSectionReader(m.r, res.at, res.packed)
	if !res.compressed {
		return section, nil
	}
	chunks := (res.size + imageChunk - 1) / imageChunk
	width := int64(4)
	if res.size > 1<<32-1 {
		width = 8
	}
	table := width * (chunks - 1)
	if chunks < 1 || table > res.packed {
		return nil, fmt.Errorf("%w: %d chunks in %d bytes", errImage, chunks, res.packed)
	}
	return &imageChunks{r: section, table: table, width: width, left: res.size, packed: res.packed}, nil
}

// imageChunks reads the chunks of a resource one after the other.
type imageChunks struct {
	r                          *io.SectionReader
	table, width, left, packed int64
	n                          int64 // of the next chunk
	out                        []byte
	buf                        [imageChunk]byte
}

// begin is where a chunk begins, behind the table.
func (c *imageChunks) begin(n int64) (int64, error) {
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

// Read implements io.Reader.
func (c *imageChunks) Read(p []byte) (int, error) {
	for len(c.out) == 0 {
		if c.left == 0 {
			return 0, io.EOF
		}
		from, err := c.begin(c.n)
		if err != nil {
			return 0, err
		}
		to, err := c.begin(c.n + 1)
		if err != nil {
			return 0, err
		}
		size := min(c.left, imageChunk)
		if from < c.table || to <= from || to > c.packed || to-from > size {
			return 0, fmt.Errorf("%w: a chunk from %d to %d", errImage, from, to)
		}
		src := io.Reader(io.NewSectionReader(c.r, from, to-from))
		if to-from != size {
			d, err := lzx.NewReader(src, int(size))
			if err != nil {
				return 0, err
			}
			src = d
		}
		if _, err := io.ReadFull(src, c.buf[:size]); err != nil {
			return 0, fmt.Errorf("%w: %w", errImage, err)
		}
		c.out, c.n, c.left = c.buf[:size], c.n+1, c.left-size
	}
	n := copy(p, c.out)
	c.out = c.out[n:]
	return n, nil
}

// imageFile is a file at the top of an image.
type imageFile struct {
	name string
	resource
}

// files lists the files at the top of the images: what is installed lies there.
func (m *image) files() ([]imageFile, error) {
	le := binary.LittleEndian
	var out []imageFile
	for _, dir := range m.dirs {
		b, err := m.readAll(dir, maxDirectory)
		if err != nil {
			return nil, err
		}
		if len(b) < 8 {
			return nil, errImage
		}
		// Security descriptors come first; then the root, whose entry says where its own are.
		const entry, attributes, sub, hash, folder = 102, 8, 16, 64, 0x10
		at := max(8, (int64(le.Uint32(b))+7)&^7)
		if at+entry > int64(len(b)) {
			return nil, errImage
		}
		next := le.Uint64(b[at+sub:])
		for next <= uint64(len(b))-8 {
			e := b[next:]
			length := le.Uint64(e)
			if length == 0 {
				break
			}
			if length < entry || length > uint64(len(e)) || len(out) == maxImageFiles {
				return nil, errImage
			}
			e = e[:length]
			next += (length + 7) &^ 7
			// Further streams stand behind an entry, of which files of packages have none.
			for n := le.Uint16(e[96:]); n > 0; n-- {
				if next > uint64(len(b))-8 || le.Uint64(b[next:]) < 8 || le.Uint64(b[next:]) > uint64(len(b))-next {
					return nil, errImage
				}
				next += (le.Uint64(b[next:]) + 7) &^ 7
			}
			wide := int(le.Uint16(e[100:]))
			if entry+wide > len(e) || wide%2 != 0 {
				return nil, errImage
			}
			res, ok := m.data[[20]byte(e[hash:hash+20])]
			if le.Uint32(e[attributes:])&folder != 0 || !ok {
				continue
			}
			u := make([]uint16, wide/2)
			for i := range u {
				u[i] = le.Uint16(e[entry+2*i:])
			}
			out = append(out, imageFile{string(utf16.Decode(u)), res})
		}
	}
	return out, nil
}

// cabinets are the cabinets in an image that Windows reads before anything else in it,
// whole: the larger ones hold what is installed and have catalogues of their own.
func (m *image) cabinets(fn func(name string, b []byte) error) error {
	files, err := m.files()
	if err != nil {
		return err
	}
	for _, f := range files {
		if !strings.HasSuffix(strings.ToLower(f.name), ".cab") || f.size > maxInner {
			continue
		}
		b, err := m.readAll(f.resource, maxInner)
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(b, []byte("MSCF")) {
			continue
		}
		if err := fn(f.name, b); err != nil {
			return fmt.Errorf("%s in it: %w", clip(f.name), err)
		}
	}
	return nil
}
