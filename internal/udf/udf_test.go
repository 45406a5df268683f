package udf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// volume is a UDF volume being written: sectors from the anchor on.
type volume struct{ b []byte }

const partitionStart = 300 // sector

// at returns a sector.
func (v *volume) at(sector int) []byte {
	if need := (sector - anchorAt + 1) * sectorSize; len(v.b) < need {
		v.b = append(v.b, make([]byte, need-len(v.b))...)
	}
	return v.b[(sector-anchorAt)*sectorSize:][:sectorSize]
}

// sign gives a structure its tag.
func sign(d []byte, kind uint16) {
	binary.LittleEndian.PutUint16(d, kind)
	d[4] = 0
	for i, c := range d[:16] {
		if i != 4 {
			d[4] += c
		}
	}
}

// next appends bytes to the partition and returns their block.
func (v *volume) next(data []byte) uint32 {
	block := len(v.b)/sectorSize + anchorAt - partitionStart
	for i := 0; i == 0 || i*sectorSize < len(data); i++ {
		copy(v.at(partitionStart+block+i), data[min(i*sectorSize, len(data)):])
	}
	return uint32(block)
}

// file writes the entry of a file whose bytes are written, in extents of at most piece
// bytes.
func (v *volume) file(kind byte, data []byte, piece int) uint32 {
	le := binary.LittleEndian
	d := make([]byte, sectorSize)
	d[27] = kind
	le.PutUint64(d[56:], uint64(len(data)))
	if piece == 0 { // inside the entry
		d[34] = 3
		le.PutUint32(d[172:], uint32(len(data)))
		copy(d[176:], data)
	} else {
		n := 0
		for part := range slices.Chunk(data, piece) {
			le.PutUint32(d[176+8*n:], uint32(len(part)))
			le.PutUint32(d[180+8*n:], v.next(part))
			n++
		}
		le.PutUint32(d[172:], uint32(8*n))
	}
	sign(d, tagFile)
	return v.next(d)
}

// name is an entry of a directory; "" is its parent.
func name(text string, wide bool, icb uint32) []byte {
	id := append([]byte{8}, text...)
	if wide {
		id = []byte{16}
		for _, r := range text {
			id = append(id, byte(r>>8), byte(r))
		}
	}
	d := make([]byte, 38, 38+len(id))
	if text == "" {
		id, d[18] = nil, 8
	}
	d[19] = byte(len(id))
	binary.LittleEndian.PutUint32(d[20:], sectorSize)
	binary.LittleEndian.PutUint32(d[24:], icb)
	sign(d, tagName)
	d = append(d, id...)
	return append(d, make([]byte, -len(d)&3)...)
}

// folder is an entry of a directory in a directory.
func folder(text string, icb uint32) []byte {
	d := name(text, false, icb)
	d[18] = 2
	sign(d, tagName)
	return d
}

// newVolume writes a volume with setup.exe and sources/install.wim.
func newVolume(wim []byte) []byte {
	v := &volume{}
	le := binary.LittleEndian
	v.at(partitionStart) // the file set, written last
	setup := v.file(5, []byte("MZ"), 0)
	image := v.file(5, wim, sectorSize)
	sources := v.file(4, slices.Concat(name("", false, 0), name("Other", true, setup), name("INSTALL.WIM", true, image)), 0)
	root := v.file(4, slices.Concat(name("", false, 0), folder("Sources", sources), name("setup.exe", false, setup)), sectorSize)
	set := v.at(partitionStart)
	le.PutUint32(set[404:], root)
	sign(set, tagFileSet)
	anchor := v.at(anchorAt)
	le.PutUint32(anchor[16:], 4*sectorSize)
	le.PutUint32(anchor[20:], 260)
	sign(anchor, tagAnchor)
	part := v.at(260)
	le.PutUint32(part[188:], partitionStart)
	sign(part, tagPartition)
	logical := v.at(261)
	le.PutUint32(logical[212:], sectorSize)
	logical[440] = 1
	sign(logical, tagVolume)
	sign(v.at(262), tagEnd)
	return v.b
}

// disc is a volume with the sectors before the anchor, which hold nothing.
type disc []byte

func (d disc) size() int64 { return anchorAt*sectorSize + int64(len(d)) }

func (d disc) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for ; n < len(p) && off < anchorAt*sectorSize; n, off = n+1, off+1 {
		p[n] = 0
	}
	if n == len(p) {
		return n, nil
	}
	k, err := bytes.NewReader(d).ReadAt(p[n:], off-anchorAt*sectorSize)
	return n + k, err
}

func TestUDF(t *testing.T) {
	wim := bytes.Repeat([]byte("0123456789abcdef"), 700) // several extents, the last one not full
	d := disc(newVolume(wim))
	u, err := Open(d, d.size())
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(u, "Sources/INSTALL.WIM", "Sources/Other", "setup.exe"); err != nil {
		t.Error(err)
	}
	got, err := fs.ReadFile(u, "sources/install.wim")
	if err != nil || !bytes.Equal(got, wim) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	o, err := u.Open("sources/install.wim")
	if err != nil {
		t.Fatal(err)
	}
	f := o.(io.ReaderAt)
	part := make([]byte, 100)
	if _, err := f.ReadAt(part, sectorSize-50); err != nil || !bytes.Equal(part, wim[sectorSize-50:][:100]) {
		t.Errorf("over the end of an extent: %q, %v", part, err)
	}
	for _, name := range []string{"sources/install.esd", "setup.exe/x", "nothing"} {
		if _, err := u.Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestUDFOfGenisoimage reads what another program wrote.
func TestUDFOfGenisoimage(t *testing.T) {
	tool, err := exec.LookPath("genisoimage")
	if err != nil {
		t.Skip("genisoimage is not installed")
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "src")
	if err := os.MkdirAll(filepath.Join(src, "sources"), 0o755); err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("fabrikam"), 300_000)
	for name, b := range map[string][]byte{"setup.exe": []byte("MZ"), "sources/install.esd": big, "sources/a long name with ünicode.txt": []byte("x")} {
		if err := os.WriteFile(filepath.Join(src, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	iso := filepath.Join(dir, "fab.iso")
	if out, err := exec.Command(tool, "-quiet", "-udf", "-input-charset", "utf-8", "-J", "-o", iso, src).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := os.Open(iso)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	u, err := Open(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	if err := fs.WalkDir(u, ".", func(name string, _ fs.DirEntry, err error) error { names = append(names, name); return err }); err != nil {
		t.Error(err)
	}
	if want := []string{".", "setup.exe", "sources", "sources/a long name with ünicode.txt", "sources/install.esd"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	got, err := fs.ReadFile(u, "SOURCES/Install.ESD")
	if err != nil || !bytes.Equal(got, big) {
		t.Errorf("%d bytes of %d, %v", len(got), len(big), err)
	}
}

func TestUDFDamaged(t *testing.T) {
	whole := newVolume([]byte(strings.Repeat("x", 5000)))
	for sector := range len(whole) / sectorSize {
		b := bytes.Clone(whole)
		clear(b[sector*sectorSize:][:sectorSize])
		d := disc(b)
		u, err := Open(d, d.size())
		if err != nil {
			continue
		}
		_, _ = fs.ReadFile(u, "sources/install.wim")
	}
	for n := 0; n < len(whole); n += sectorSize {
		d := disc(whole[:n])
		if u, err := Open(d, d.size()); err == nil {
			_, _ = u.Open("sources/install.wim")
		}
	}
	if _, err := Open(bytes.NewReader(nil), 0); !errors.Is(err, ErrFormat) {
		t.Errorf("an empty file: %v", err)
	}
}

func FuzzUDF(f *testing.F) {
	f.Add(newVolume([]byte("MSWIM")))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := disc(b)
		u, err := Open(d, d.size())
		if err != nil {
			return
		}
		for _, name := range []string{"sources/install.wim", "sources", "setup.exe", "."} {
			o, err := u.Open(name)
			if err != nil {
				continue
			}
			if info, _ := o.Stat(); info.IsDir() {
				_, _ = o.(fs.ReadDirFile).ReadDir(-1)
				continue
			} else if n, err := io.Copy(io.Discard, io.LimitReader(o, 1<<20)); err == nil && n != min(info.Size(), 1<<20) {
				t.Errorf("%s: %d bytes of %d, and no error", name, n, info.Size())
			}
		}
	})
}

func BenchmarkUDF(b *testing.B) {
	d := disc(newVolume(bytes.Repeat([]byte("x"), 1<<20)))
	for b.Loop() {
		u, err := Open(d, d.size())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := u.Open("sources/install.wim"); err != nil {
			b.Fatal(err)
		}
	}
}
