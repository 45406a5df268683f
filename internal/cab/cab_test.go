package cab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

func open(t testing.TB, cab []byte) *Reader {
	t.Helper()
	r, err := NewReader(bytes.NewReader(cab), int64(len(cab)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// contents reads every file through Open; an error takes the place of content.
func contents(r *Reader) (list []any) {
	for _, f := range r.Files {
		rc, err := f.Open()
		if err != nil {
			list = append(list, err)
			continue
		}
		b, err := io.ReadAll(rc)
		if cerr := rc.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			list = append(list, err)
			continue
		}
		list = append(list, b)
	}
	return list
}

// everything is a cabinet of all methods with files that cross blocks, empty
// files at every place, and an empty folder.
func everything() (*cabinet, map[string][]byte) {
	plan := lzxPlan{bits: 17, e8: 90_000, next: blocksOf(1, 2, 3)}
	groups := []struct {
		method uint16
		pack   func([]byte) []cabBlock
	}{{0, packNone}, {1, packMSZIP}, {plan.method(), packLZX(plan)}, {1, packMSZIP}}
	c := new(cabinet)
	want := map[string][]byte{}
	for g, group := range groups {
		var files []namedData
		for i, data := range [][]byte{
			nil, fakeLog(10_000, 1), nil, fakeCode(70_000, 2), noise(25_536-10_000, 3), // ends with a block
			fakeLog(32_768, 4), fakeLog(1, 5), nil,
		} {
			name := fmt.Sprintf("%d/file%d.bin", g, i)
			want[name] = data
			files = append(files, namedData{fmt.Sprintf(`%d\file%d.bin`, g, i), data})
		}
		c.add(group.method, group.pack, files...)
	}
	c.add(1, packMSZIP, namedData{"empty", nil})
	want["empty"] = nil
	return c, want
}

func TestReader(t *testing.T) {
	base := func(change func(c *cabinet)) func() (*cabinet, map[string][]byte) {
		return func() (*cabinet, map[string][]byte) {
			c, want := everything()
			change(c)
			return c, want
		}
	}
	tests := []struct {
		name string
		make func() (*cabinet, map[string][]byte)
	}{
		{"plain", everything},
		{"no checksums", base(func(c *cabinet) { c.noSums = true })},
		{"reserved areas", base(func(c *cabinet) { c.reserve = [3]int{6144, 7, 255}; c.sumReserve = true })},
		{"reserved areas outside the checksums", base(func(c *cabinet) { c.reserve = [3]int{1, 0, 3} })},
		{"in a set", base(func(c *cabinet) {
			c.prev, c.next = [2]string{"one.cab", "Disk 1"}, [2]string{"three.cab", ""}
			c.setID, c.index = 0x1234, 1
		})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, want := test.make()
			cab := append(c.bytes(), "a signature follows"...)
			r := open(t, cab)
			if r.Prev != c.prev[0] || r.Next != c.next[0] || r.SetID != c.setID || r.Index != c.index || r.Missing != 0 {
				t.Errorf("header = %q %q %#x %d, missing %d", r.Prev, r.Next, r.SetID, r.Index, r.Missing)
			}
			if len(r.Files) != len(want) {
				t.Fatalf("%d files, want %d", len(r.Files), len(want))
			}
			for i, got := range contents(r) {
				f := r.Files[i]
				data, ok := got.([]byte)
				if !ok {
					t.Fatalf("%s: %v", f.Name, got)
				}
				if int64(len(data)) != f.Size {
					t.Errorf("%s: %d bytes of %d", f.Name, len(data), f.Size)
				}
				sameBytes(t, data, want[f.Name])
			}
			seen := 0
			err := r.Walk(func(f *File, content io.Reader) error {
				if f != r.Files[seen] {
					t.Errorf("file %d of the walk is %s", seen, f.Name)
				}
				seen++
				if seen%3 == 0 {
					return nil // not every file is wanted
				}
				return iotest.TestReader(content, want[f.Name])
			})
			if err != nil || seen != len(want) {
				t.Errorf("walked %d files: %v", seen, err)
			}
		})
	}
}

func TestMetadata(t *testing.T) {
	c := &cabinet{files: []cabFile{
		{name: `Windows\Logs\CBS\CbsPersist_20310203040506.log`, date: 51<<9 | 2<<5 | 3, clock: 4<<11 | 5<<5 | 3, attr: AttrArchive | AttrReadOnly},
		{name: "\u00e4rger.log", date: 0x21, attr: AttrNameUTF8},
		{name: "\xe4rger \x80.log", date: 51<<9 | 13<<5 | 1},
		{name: "\xe4rger.log", attr: AttrNameUTF8, date: 51<<9 | 2<<5 | 30},
		{name: "clock", date: 51<<9 | 2<<5 | 3, clock: 24 << 11},
	}, folders: []cabFolder{{method: 3 | 21<<8}}}
	want := []File{
		{Name: "Windows/Logs/CBS/CbsPersist_20310203040506.log", Modified: time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC), Attributes: 0x21},
		{Name: "ärger.log", Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), Attributes: 0x80},
		{Name: "ärger €.log"},
		{Name: "ärger.log", Attributes: 0x80},
		{Name: "clock"},
	}
	for i, f := range open(t, c.bytes()).Files {
		w := want[i]
		if f.Name != w.Name || !f.Modified.Equal(w.Modified) || f.Attributes != w.Attributes || f.Method.String() != "LZX:21" {
			t.Errorf("file %d = %q %v %#x %v, want %q %v %#x", i, f.Name, f.Modified, f.Attributes, f.Method, w.Name, w.Modified, w.Attributes)
		}
	}
}

func TestMethodString(t *testing.T) {
	for m, want := range map[Method]string{0: "none", 1: "MSZIP", 0x1272: "Quantum:18", 0x0f03: "LZX:15", 0x000f: "Method(0x000f)"} {
		if m.String() != want {
			t.Errorf("%v, want %s", m, want)
		}
	}
}

// Each case is a cabinet that is wrong in one way, and the error of each file.
func TestErrors(t *testing.T) {
	log := fakeLog(100_000, 20)
	three := []namedData{{"a", log[:30_000]}, {"b", log[30_000:60_000]}, {"c", log[60_000:]}}
	lzx := lzxPlan{bits: 16, next: blocksOf(1)}
	tests := []struct {
		name string
		make func(c *cabinet)
		want []error // of a, b and c
		says string  // in the first error
	}{
		{"Quantum", func(c *cabinet) { c.add(2|18<<8, packNone, three...) }, []error{ErrUnsupported, ErrUnsupported, ErrUnsupported}, "Quantum:18"},
		{"LZX window too large", func(c *cabinet) { c.add(3|22<<8, packNone, three...) }, []error{ErrUnsupported, ErrUnsupported, ErrUnsupported}, "LZX:22"},
		{"unknown method", func(c *cabinet) { c.add(4, packNone, three...) }, []error{ErrUnsupported, ErrUnsupported, ErrUnsupported}, "Method(0x0004)"},
		{"last file continues", func(c *cabinet) {
			c.next[0] = "two.cab"
			c.add(1, packMSZIP, three...)
			c.files[2].folder = toNext
			c.folders[0].blocks[3].size = 0
		}, []error{nil, nil, ErrUnsupported}, `"two.cab"`},
		{"file before the last shares the split block", func(c *cabinet) {
			c.next[0] = "two.cab"
			c.add(1, packMSZIP, namedData{"a", log[:30_000]}, namedData{"b", log[30_000:99_000]}, namedData{"c", log[99_000:]})
			c.files[2].folder = toNext
			c.folders[0].blocks[3].size = 0
		}, []error{nil, ErrUnsupported, ErrUnsupported}, "block 3"},
		{"first file continues", func(c *cabinet) {
			c.prev[0] = "zero.cab"
			c.add(0, packNone, three[:2]...)
			c.files[0].folder = fromPrev
			c.add(0, packNone, three[2])
		}, []error{ErrUnsupported, ErrUnsupported, nil}, `"zero.cab"`},
		{"file in three cabinets", func(c *cabinet) {
			c.prev[0], c.next[0] = "zero.cab", "two.cab"
			c.add(0, packNone, three[0])
			c.files[0].folder = prevAndNext
			c.add(0, packNone, three[1:]...)
		}, []error{ErrUnsupported, nil, nil}, `"zero.cab", this and "two.cab"`},
		{"no such folder", func(c *cabinet) {
			c.add(0, packNone, three...)
			c.files[1].folder = 1
		}, []error{nil, ErrFormat, nil}, "folder 1 of 1"},
		{"file beyond its folder", func(c *cabinet) {
			c.add(0, packNone, three...)
			c.files[0].size = 1<<32 - 1
			c.files[2].off = 1<<32 - 1
		}, []error{ErrFormat, nil, ErrFormat}, "a folder of 4 blocks"},
		{"file beyond the last block", func(c *cabinet) {
			c.add(0, packNone, three...)
			c.files[2].size++
		}, []error{nil, nil, ErrFormat}, "ends after 4 blocks"},
		{"block of more than 32 KiB", func(c *cabinet) {
			c.add(0, func(b []byte) []cabBlock { return []cabBlock{{b[:40_000], 40_000}, {b[40_000:], 60_000}} }, three...)
			c.files[2].size = 5_000
		}, []error{ErrFormat, ErrFormat, ErrFormat}, "claims 40000 bytes"},
		{"stored size differs", func(c *cabinet) {
			c.add(0, packNone, three...)
			c.folders[0].blocks[1].size--
		}, []error{nil, ErrFormat, ErrFormat}, "32767 bytes stored as 32768"},
		{"MSZIP without signature", func(c *cabinet) {
			c.add(1, packMSZIP, three...)
			c.folders[0].blocks[0].data[0] = 'X'
		}, []error{ErrFormat, ErrFormat, ErrFormat}, "CK signature"},
		{"MSZIP of no bytes", func(c *cabinet) {
			c.add(1, packMSZIP, three...)
			c.folders[0].blocks[3].data = nil
		}, []error{nil, nil, ErrFormat}, "CK signature"},
		{"MSZIP cut", func(c *cabinet) {
			c.add(1, packMSZIP, three...)
			b := &c.folders[0].blocks[3]
			b.data = b.data[:len(b.data)/2]
		}, []error{nil, nil, ErrFormat}, "MSZIP after"},
		{"MSZIP expands to more", func(c *cabinet) {
			c.add(1, packMSZIP, three...)
			c.folders[0].blocks[3].size--
			c.files[2].size--
		}, []error{nil, nil, ErrFormat}, "holds more"},
		{"MSZIP expands to less", func(c *cabinet) {
			c.add(1, packMSZIP, three...)
			c.folders[0].blocks[3].size++
		}, []error{nil, nil, ErrFormat}, "MSZIP after"},
		{"LZX cut", func(c *cabinet) {
			c.add(lzx.method(), packLZX(lzx), three...)
			b := &c.folders[0].blocks[3]
			b.data = b.data[:len(b.data)/2]
		}, []error{nil, nil, ErrFormat}, "ends early"},
		{"LZX short block inside", func(c *cabinet) {
			c.add(lzx.method(), packLZX(lzx), three...)
			c.folders[0].blocks[2].size--
		}, []error{nil, nil, ErrFormat}, ""},
		{"LZX of no bytes", func(c *cabinet) {
			c.add(lzx.method(), packLZX(lzx), three...)
			c.folders[0].blocks[0].data = nil
		}, []error{ErrFormat, ErrFormat, ErrFormat}, "LZX block type 0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var c cabinet
			test.make(&c)
			r := open(t, c.bytes())
			var first error
			for i, got := range contents(r) {
				err, _ := got.(error)
				if !errors.Is(err, test.want[i]) {
					t.Errorf("%s: %v, want %v", r.Files[i].Name, err, test.want[i])
				}
				if err == nil {
					sameBytes(t, got.([]byte), three[i].data[:len(got.([]byte))])
				} else if first == nil {
					first = err
				}
			}
			if first != nil && !bytes.Contains([]byte(first.Error()), []byte(test.says)) {
				t.Errorf("%v; want %q", first, test.says)
			}
			// Walk gives the same files the same fate.
			err := r.Walk(func(f *File, content io.Reader) error {
				i := bytes.IndexByte([]byte("abc"), f.Name[0])
				if _, err := io.Copy(io.Discard, content); !errors.Is(err, test.want[i]) {
					t.Errorf("walk, %s: %v, want %v", f.Name, err, test.want[i])
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestChecksum(t *testing.T) {
	plan := lzxPlan{bits: 15}
	for _, method := range []struct {
		id   uint16
		pack func([]byte) []cabBlock
	}{{0, packNone}, {1, packMSZIP}, {plan.method(), packLZX(plan)}} {
		t.Run(Method(method.id).String(), func(t *testing.T) {
			var c cabinet
			c.reserve[2] = 5
			c.sumReserve = true
			c.add(method.id, method.pack, namedData{"good", noise(65_536, 1)}, namedData{"bad", noise(65_536, 2)})
			cab := c.bytes()
			last := c.folders[0].blocks[3]
			block := len(cab) - len(last.data) - 5 - 8
			for _, i := range []int{4, 6, 8, 12, 13, len(cab) - block - 1} { // sizes, reserved bytes, data
				broken := bytes.Clone(cab)
				broken[block+i] ^= 0x10
				got := contents(open(t, broken))
				if b, ok := got[0].([]byte); !ok || !bytes.Equal(b, noise(65_536, 1)) {
					t.Errorf("byte %d: the file before the corrupted block: %v", i, got[0])
				}
				err, _ := got[1].(error)
				if i == 4 && errors.Is(err, io.ErrUnexpectedEOF) {
					continue // there is nothing to sum
				}
				if !errors.Is(err, ErrChecksum) || errors.Is(err, ErrFormat) {
					t.Errorf("byte %d: %v", i, err)
				}
				if want := fmt.Sprintf("folder 0, block 3 at offset %#x", block); err == nil || !bytes.Contains([]byte(err.Error()), []byte(want)) {
					t.Errorf("byte %d: %v does not say %q", i, err, want)
				}
			}
		})
	}
}

// A cabinet that was cut off somewhere gives what is there, and then an error.
func TestTruncated(t *testing.T) {
	plan := lzxPlan{bits: 15, next: blocksOf(1, 2)}
	var c cabinet
	data := [][]byte{fakeLog(50_000, 1), fakeLog(50_000, 2), fakeLog(50_000, 3)}
	c.add(plan.method(), packLZX(plan), namedData{"0", data[0]}, namedData{"1", data[1]})
	c.add(1, packMSZIP, namedData{"2", data[2]})
	whole := c.bytes()
	listed, complete := false, 0
	for size := range whole {
		if size > 200 && size%7 != 0 && size < len(whole)-20 {
			continue
		}
		r, err := NewReader(bytes.NewReader(whole[:size]), int64(size))
		if err != nil {
			if listed || !errors.Is(err, ErrFormat) {
				t.Fatalf("%d bytes: %v", size, err)
			}
			continue
		}
		listed = true
		if r.Missing != int64(len(whole)-size) {
			t.Errorf("%d bytes: %d are missing", size, r.Missing)
		}
		good := 0
		for i, f := range r.Files {
			rc, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(rc)
			rc.Close()
			if !bytes.HasPrefix(data[i], b) {
				t.Fatalf("%d bytes: file %d is wrong", size, i)
			}
			if err == nil {
				good++
			} else if !errors.Is(err, ErrFormat) || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%d bytes: file %d: %v", size, i, err)
			}
		}
		if good < complete || good == 3 {
			t.Fatalf("%d bytes: %d files are complete, before %d", size, good, complete)
		}
		complete = good
	}
	if complete != 2 {
		t.Errorf("%d files were complete in the end", complete)
	}
}

func TestHeaderErrors(t *testing.T) {
	var c cabinet
	c.add(0, packNone, namedData{"a", []byte("abc")}, namedData{"b", []byte("def")})
	cab := c.bytes()
	le := binary.LittleEndian
	tests := []struct {
		name   string
		change func(b []byte)
		want   error
	}{
		{"signature", func(b []byte) { b[3] = 'f' }, ErrFormat},
		{"version", func(b []byte) { b[25] = 2 }, ErrUnsupported},
		{"folder count", func(b []byte) { le.PutUint16(b[26:], 65535) }, ErrFormat},
		{"file count", func(b []byte) { le.PutUint16(b[28:], 65535) }, ErrFormat},
		{"one file more", func(b []byte) { le.PutUint16(b[28:], 3) }, ErrFormat},
		{"file table in the header", func(b []byte) { le.PutUint32(b[16:], 36) }, ErrFormat},
		{"file table beyond the end", func(b []byte) { le.PutUint32(b[16:], 1<<32-1) }, ErrFormat},
		{"reserved area beyond the end", func(b []byte) { b[30] = 4; le.PutUint16(b[36:], 60000) }, ErrFormat},
		{"names without end", func(b []byte) {
			for i := 44; i < len(b); i++ {
				b[i] = 'x'
			}
		}, ErrFormat},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := bytes.Clone(cab)
			test.change(b)
			if _, err := NewReader(bytes.NewReader(b), int64(len(b))); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
	t.Run("name of 256 bytes", func(t *testing.T) {
		for n, want := range map[int]error{255: nil, 256: ErrFormat} {
			c := cabinet{files: []cabFile{{name: string(bytes.Repeat([]byte{'n'}, n))}, {name: "z", size: 0}}}
			c.add(0, packNone, namedData{"pad", make([]byte, 300)})
			b := c.bytes()
			if _, err := NewReader(bytes.NewReader(b), int64(len(b))); !errors.Is(err, want) {
				t.Errorf("%d bytes: %v, want %v", n, err, want)
			}
		}
	})
}

// Two folders cannot decompress the same blocks.
func TestFoldersDoNotOverlap(t *testing.T) {
	var c cabinet
	c.add(0, packNone, namedData{"a", noise(40_000, 1)})
	c.add(0, packNone, namedData{"b", noise(40_000, 2)})
	b := c.bytes()
	copy(b[36+8:], b[36:36+4]) // folder 1 begins where folder 0 does
	got := contents(open(t, b))
	if err, _ := got[0].(error); !errors.Is(err, ErrFormat) {
		t.Errorf("a: %v", got[0])
	}
	if data, ok := got[1].([]byte); !ok || !bytes.Equal(data, noise(40_000, 1)) {
		t.Errorf("b: %v", got[1])
	}
}

// counter counts the bytes that are read below.
type counter struct {
	io.ReaderAt
	n int64
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

// Opening or walking the files of a folder in order decompresses it once.
func TestOnePass(t *testing.T) {
	var c cabinet
	var files []namedData
	for i := range 50 {
		files = append(files, namedData{fmt.Sprint(i), noise(20_000, uint64(i))})
	}
	plan := lzxPlan{bits: 15}
	c.add(plan.method(), packLZX(plan), files[:25]...)
	c.add(1, packMSZIP, files[25:]...)
	cab := c.bytes()

	for name, readAll := range map[string]func(r *Reader) error{
		"Open": func(r *Reader) error {
			for _, f := range r.Files {
				rc, err := f.Open()
				if err != nil {
					return err
				}
				if _, err := io.Copy(io.Discard, rc); err != nil {
					return err
				}
				rc.Close()
			}
			return nil
		},
		"Walk": func(r *Reader) error {
			return r.Walk(func(_ *File, content io.Reader) error {
				_, err := io.Copy(io.Discard, content)
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			count := &counter{ReaderAt: bytes.NewReader(cab)}
			r, err := NewReader(count, int64(len(cab)))
			if err != nil {
				t.Fatal(err)
			}
			if name == "Walk" { // in whatever order the files are listed
				for i, j := 0, len(r.Files)-1; i < j; i, j = i+1, j-1 {
					r.Files[i], r.Files[j] = r.Files[j], r.Files[i]
				}
			}
			if err := readAll(r); err != nil {
				t.Fatal(err)
			}
			if most := int64(len(cab)) + 128<<10; count.n > most {
				t.Errorf("read %d bytes of a cabinet of %d", count.n, len(cab))
			}
		})
	}
}

// Files may share data, within reason.
func TestSharedData(t *testing.T) {
	var c cabinet
	data := noise(100_000, 1)
	c.add(1, packMSZIP, namedData{"a", data})
	for i := range 20 {
		again := c.files[0]
		again.name = fmt.Sprint("copy", i)
		c.files = append(c.files, again)
	}
	r := open(t, c.bytes())
	good, refused := 0, 0
	err := r.walk(10*100_000, func(f *File, content io.Reader) error {
		switch b, err := io.ReadAll(content); {
		case err == nil && bytes.Equal(b, data):
			good++
		case errors.Is(err, ErrUnsupported):
			refused++
		default:
			t.Errorf("%s: %v", f.Name, err)
		}
		return nil
	})
	if err != nil || good != 11 || refused != 10 {
		t.Errorf("%d read, %d refused: %v", good, refused, err)
	}
}

func TestOpenConcurrently(t *testing.T) {
	c, want := everything()
	r := open(t, c.bytes())
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			for i := range r.Files {
				f := r.Files[(i*(k+1)+k)%len(r.Files)]
				rc, err := f.Open()
				if err != nil {
					t.Error(err)
					return
				}
				b, err := io.ReadAll(rc)
				if err != nil || !bytes.Equal(b, want[f.Name]) {
					t.Errorf("%s: %d bytes, %v", f.Name, len(b), err)
				}
				rc.Close()
			}
		})
	}
	wg.Wait()
}

func TestClosed(t *testing.T) {
	c, _ := everything()
	r := open(t, c.bytes())
	rc, err := r.Files[1].Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(rc.Close(), rc.Close()); err != nil {
		t.Error(err)
	}
	if _, err := rc.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	var late io.Reader
	stop := errors.New("enough")
	err = r.Walk(func(f *File, content io.Reader) error {
		if late = content; f.Size > 0 {
			return stop
		}
		return nil
	})
	if err != stop {
		t.Errorf("walk: %v", err)
	}
	if _, err := late.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("read after the walk: %v", err)
	}
}

// An error of the medium is not the cabinet's fault, and passes.
func TestReadError(t *testing.T) {
	var c cabinet
	c.add(0, packNone, namedData{"a", noise(200_000, 1)})
	cab := c.bytes()
	broken := errors.New("cyclic redundancy check")
	sick := &faulty{Reader: bytes.NewReader(cab), from: 100_000, err: broken}
	r, err := NewReader(sick, int64(len(cab)))
	if err != nil {
		t.Fatal(err)
	}
	if err, _ := contents(r)[0].(error); !errors.Is(err, broken) || errors.Is(err, ErrFormat) {
		t.Errorf("%v", err)
	}
	sick.err = nil
	if _, ok := contents(r)[0].([]byte); !ok {
		t.Errorf("%v", contents(r)[0])
	}
	sick.from, sick.err = 10, broken
	if _, err := NewReader(sick, int64(len(cab))); !errors.Is(err, broken) || errors.Is(err, ErrFormat) {
		t.Errorf("%v", err)
	}
}

type faulty struct {
	*bytes.Reader
	from int64
	err  error
}

func (f *faulty) ReadAt(p []byte, off int64) (int, error) {
	if f.err == nil || off+int64(len(p)) <= f.from {
		return f.Reader.ReadAt(p, off)
	}
	n, _ := f.Reader.ReadAt(p[:max(0, f.from-off)], off)
	return n, f.err
}

// A writer that fails or lies stops io.Copy, and nothing is lost.
func TestWriteTo(t *testing.T) {
	var c cabinet
	data := fakeLog(100_000, 1)
	c.add(1, packMSZIP, namedData{"a", data})
	rc, err := open(t, c.bytes()).Files[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	var got bytes.Buffer
	for _, limit := range []int{10, 40_000, 1 << 20} {
		n, err := rc.(io.WriterTo).WriteTo(&stingy{&got, limit})
		if limit < 1<<20 && err != io.ErrShortWrite || limit == 1<<20 && err != nil {
			t.Errorf("limit %d: %d, %v", limit, n, err)
		}
	}
	sameBytes(t, got.Bytes(), data)
}

// stingy takes left bytes and no more.
type stingy struct {
	w    io.Writer
	left int
}

func (s *stingy) Write(p []byte) (int, error) {
	n := min(len(p), s.left)
	s.left -= n
	return s.w.Write(p[:n])
}
