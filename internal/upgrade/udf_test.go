package upgrade

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
)

// volume is a UDF volume being written: sectors from the anchor on.
type volume struct{ b []byte }

const partitionStart = 300 // sector

// at returns a sector.
func (v *volume) at(sector int) []byte {
	if need := (sector - udfAnchor + 1) * udfSector; len(v.b) < need {
		v.b = append(v.b, make([]byte, need-len(v.b))...)
	}
	return v.b[(sector-udfAnchor)*udfSector:][:udfSector]
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
	block := len(v.b)/udfSector + udfAnchor - partitionStart
	for i := 0; i == 0 || i*udfSector < len(data); i++ {
		copy(v.at(partitionStart+block+i), data[min(i*udfSector, len(data)):])
	}
	return uint32(block)
}

// file writes the entry of a file whose bytes are written, in extents of at most piece
// bytes.
func (v *volume) file(kind byte, data []byte, piece int) uint32 {
	le := binary.LittleEndian
	d := make([]byte, udfSector)
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
	binary.LittleEndian.PutUint32(d[20:], udfSector)
	binary.LittleEndian.PutUint32(d[24:], icb)
	sign(d, tagName)
	d = append(d, id...)
	return append(d, make([]byte, -len(d)&3)...)
}

// udfVolume writes a volume with setup.exe and sources/install.wim.
func udfVolume(wim []byte) []byte {
	v := &volume{}
	le := binary.LittleEndian
	v.at(partitionStart) // the file set, written last
	setup := v.file(5, []byte("MZ"), 0)
	image := v.file(5, wim, udfSector)
	sources := v.file(4, slices.Concat(name("", false, 0), name("Other", true, setup), name("INSTALL.WIM", true, image)), 0)
	root := v.file(4, slices.Concat(name("", false, 0), name("Sources", false, sources), name("setup.exe", false, setup)), udfSector)
	set := v.at(partitionStart)
	le.PutUint32(set[404:], root)
	sign(set, tagFileSet)
	anchor := v.at(udfAnchor)
	le.PutUint32(anchor[16:], 4*udfSector)
	le.PutUint32(anchor[20:], 260)
	sign(anchor, tagAnchor)
	part := v.at(260)
	le.PutUint32(part[188:], partitionStart)
	sign(part, tagPartition)
	logical := v.at(261)
	le.PutUint32(logical[212:], udfSector)
	logical[440] = 1
	sign(logical, tagVolume)
	sign(v.at(262), tagEnd)
	return v.b
}

// disc is a volume with the sectors before the anchor, which hold nothing.
type disc []byte

func (d disc) size() int64 { return udfAnchor*udfSector + int64(len(d)) }

func (d disc) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for ; n < len(p) && off < udfAnchor*udfSector; n, off = n+1, off+1 {
		p[n] = 0
	}
	if n == len(p) {
		return n, nil
	}
	k, err := bytes.NewReader(d).ReadAt(p[n:], off-udfAnchor*udfSector)
	return n + k, err
}

func TestUDF(t *testing.T) {
	wim := bytes.Repeat([]byte("0123456789abcdef"), 700) // several extents, the last one not full
	d := disc(udfVolume(wim))
	u, err := openUDF(d, d.size())
	if err != nil {
		t.Fatal(err)
	}
	f, err := u.open("sources/install.wim")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(f, 0, f.size))
	if err != nil || !bytes.Equal(got, wim) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	part := make([]byte, 100)
	if _, err := f.ReadAt(part, udfSector-50); err != nil || !bytes.Equal(part, wim[udfSector-50:][:100]) {
		t.Errorf("over the end of an extent: %q, %v", part, err)
	}
	for _, name := range []string{"sources/install.esd", "setup.exe/x", "nothing", ""} {
		if _, err := u.open(name); !errors.Is(err, fs.ErrNotExist) {
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
	u, err := openUDF(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	r, err := u.open("SOURCES/Install.ESD")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(r, 0, r.size))
	if err != nil || !bytes.Equal(got, big) {
		t.Errorf("%d bytes of %d, %v", len(got), len(big), err)
	}
	if _, err := u.open("sources/a long name with ünicode.txt"); err != nil {
		t.Error(err)
	}
}

func TestUDFDamaged(t *testing.T) {
	whole := udfVolume([]byte(strings.Repeat("x", 5000)))
	for sector := range len(whole) / udfSector {
		b := bytes.Clone(whole)
		clear(b[sector*udfSector:][:udfSector])
		d := disc(b)
		u, err := openUDF(d, d.size())
		if err != nil {
			continue
		}
		if f, err := u.open("sources/install.wim"); err == nil {
			_, _ = io.ReadAll(io.NewSectionReader(f, 0, f.size))
		}
	}
	for n := 0; n < len(whole); n += udfSector {
		d := disc(whole[:n])
		if u, err := openUDF(d, d.size()); err == nil {
			_, _ = u.open("sources/install.wim")
		}
	}
	if _, err := openUDF(bytes.NewReader(nil), 0); !errors.Is(err, ErrNotUDF) {
		t.Errorf("an empty file: %v", err)
	}
}

func FuzzUDF(f *testing.F) {
	f.Add(udfVolume([]byte("MSWIM")))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := disc(b)
		u, err := openUDF(d, d.size())
		if err != nil {
			return
		}
		for _, name := range append(imageFiles, "setup.exe") {
			file, err := u.open(name)
			if err != nil {
				continue
			}
			if n, err := io.Copy(io.Discard, io.NewSectionReader(file, 0, min(file.size, 1<<20))); err == nil && n != min(file.size, 1<<20) {
				t.Errorf("%s: %d bytes of %d, and no error", name, n, file.size)
			}
		}
	})
}

func BenchmarkUDF(b *testing.B) {
	d := disc(udfVolume(bytes.Repeat([]byte("x"), 1<<20)))
	for b.Loop() {
		u, err := openUDF(d, d.size())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := u.open("sources/install.wim"); err != nil {
			b.Fatal(err)
		}
	}
}
