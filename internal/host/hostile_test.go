package host_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"updoc/internal/host"
	"updoc/internal/host/hosttest"
)

// within holds that f takes no longer than d and never more than so much memory
// of Go's heap above what was there.
func within(t *testing.T, d time.Duration, memory uint64, f func()) {
	t.Helper()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, peak := m.HeapAlloc, uint64(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
	}()
	start := time.Now()
	f()
	took := time.Since(start)
	close(stop)
	<-stopped
	if took > d*slowness {
		t.Errorf("took %v, want at most %v", took, d*slowness)
	}
	if used := max(peak, before) - before; used > memory {
		t.Errorf("used %d MB, want at most %d MB", used>>20, memory>>20)
	}
	t.Logf("%v, %d MB", took.Round(time.Millisecond), (max(peak, before)-before)>>20)
}

// listed opens one file of evidence and returns the paths of what can be read in
// it, and the gaps.
func listed(t *testing.T, name, data string) (paths, gaps []string) {
	t.Helper()
	h, err := host.OpenFS(t.Context(), fstest.MapFS{
		name:        {Data: []byte(data)},
		"notes.txt": {Data: []byte("something that can be read\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	files, err := h.Files(t.Context(), "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Path != "notes.txt" {
			paths = append(paths, f.Path)
		}
	}
	return paths, h.Unreadable()
}

func TestZipSlip(t *testing.T) {
	for _, name := range []string{
		"../CBS.log", "a/../../CBS.log", "/etc/CBS.log", `..\CBS.log`, `a\..\..\CBS.log`, `C:\Windows\CBS.log`, "c:CBS.log",
		`\\server\share\CBS.log`, "CBS\x00.log", "", "..", "a/..",
	} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			files := []hosttest.File{{Name: name, Data: "2031-02-03 04:05:06, Error                 CBS    failed [HRESULT = 0x800f081f]\n"}, {Name: "good.log", Data: "text"}}
			paths, gaps := listed(t, "e.zip", hosttest.Zip(t, files))
			if len(paths) != 1 || paths[0] != "e.zip/good.log" || len(gaps) != 1 {
				t.Errorf("zip: listed %q, gaps %q", paths, gaps)
			}
			if strings.ContainsAny(name, "\x00") { // ends a name in a cabinet
				return
			}
			paths, gaps = listed(t, "e.cab", hosttest.Cabinet(files))
			if len(paths) != 1 || paths[0] != "e.cab/good.log" || len(gaps) != 1 {
				t.Errorf("cabinet: listed %q, gaps %q", paths, gaps)
			}
		})
	}
	// What only looks like it is read.
	paths, _ := listed(t, "e.zip", hosttest.Zip(t, []hosttest.File{{Name: "a/./b/../..CBS.log", Data: "text"}, {Name: "...", Data: "text"}}))
	if len(paths) != 2 || paths[0] != "e.zip/..." || paths[1] != "e.zip/a/..CBS.log" {
		t.Errorf("listed %q", paths)
	}
}

// rawZip writes members whose deflated bytes are given; offset 0 of a member
// shares the data of the first.
func rawZip(t *testing.T, packed []byte, size uint64, sum uint32, names ...string) string {
	t.Helper()
	le := binary.LittleEndian
	header := func(sig uint32, made []uint16, name string) []byte {
		b := le.AppendUint32(nil, sig)
		for _, v := range made {
			b = le.AppendUint16(b, v)
		}
		for _, v := range []uint16{20, 0, 8, 0, 0x5e21} { // needs, flags, deflate, time, date
			b = le.AppendUint16(b, v)
		}
		for _, v := range []uint32{sum, uint32(len(packed)), uint32(size)} {
			b = le.AppendUint32(b, v)
		}
		b = le.AppendUint16(b, uint16(len(name)))
		return le.AppendUint16(b, 0)
	}
	out := append(header(0x04034b50, nil, names[0]), names[0]...)
	out = append(out, packed...)
	directory := len(out)
	for _, n := range names {
		out = append(out, header(0x02014b50, []uint16{20}, n)...)
		out = append(out, make([]byte, 14)...) // comment, disk, attributes, offset 0: they overlap
		out = append(out, n...)
	}
	end := len(out)
	out = le.AppendUint32(out, 0x06054b50)
	for _, v := range []uint16{0, 0, uint16(len(names)), uint16(len(names))} {
		out = le.AppendUint16(out, v)
	}
	out = le.AppendUint32(out, uint32(end-directory))
	out = le.AppendUint32(out, uint32(directory))
	return string(append(out, 0, 0))
}

// deflated is n bytes of the letter a, packed, with their checksum.
func deflated(t *testing.T, n int64) ([]byte, uint32) {
	t.Helper()
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestSpeed)
	sum := crc32.NewIEEE()
	if _, err := io.CopyN(io.MultiWriter(w, sum), letters{}, n); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return b.Bytes(), sum.Sum32()
}

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestZipBomb(t *testing.T) {
	packed, sum := deflated(t, 20<<20)
	var names []string
	for i := range 400 {
		names = append(names, fmt.Sprintf("%03d.log", i))
	}
	overlapping := rawZip(t, packed, 20<<20, sum, names...)
	if zr, err := zip.NewReader(strings.NewReader(overlapping), int64(len(overlapping))); err != nil || len(zr.File) != 400 {
		t.Fatalf("the test's own archive: %v", err)
	}
	t.Run("members that share their data", func(t *testing.T) {
		within(t, 2*time.Second, 64<<20, func() {
			paths, gaps := listed(t, "e.zip", overlapping)
			if n := len(paths); n == 0 || n > 4 || len(gaps) == 0 {
				t.Errorf("%d of %d members are read, %d gaps", n, len(names), len(gaps))
			}
		})
	})
	t.Run("one large member", func(t *testing.T) {
		big, sum := deflated(t, 128<<20)
		data := rawZip(t, big, 128<<20, sum, "CBS.log")
		within(t, time.Second, 32<<20, func() {
			paths, gaps := listed(t, "e.zip", data)
			if len(paths) != 0 || len(gaps) != 1 || !strings.Contains(gaps[0], "e.zip/CBS.log: unpacks to 134217728 bytes") {
				t.Errorf("listed %q, gaps %q", paths, gaps)
			}
		})
	})
	t.Run("archives in archives", func(t *testing.T) {
		// Sixteen copies of sixteen copies of ...: the layers of 42.zip.
		packed, sum := deflated(t, 8<<20)
		layer := rawZip(t, packed, 8<<20, sum, "0.log")
		for range 5 {
			var files []hosttest.File
			for i := range 16 {
				files = append(files, hosttest.File{Name: fmt.Sprintf("%02d.zip", i), Data: layer})
			}
			layer = hosttest.Zip(t, files)
		}
		within(t, 5*time.Second, 128<<20, func() {
			paths, gaps := listed(t, "42.zip", layer)
			if len(paths) > 200 || len(gaps) == 0 || !strings.Contains(strings.Join(gaps, "\n"), "nested deeper than 3") {
				t.Errorf("%d members are read, gaps %q", len(paths), gaps[:min(3, len(gaps))])
			}
		})
	})
	t.Run("a member that lies about its size", func(t *testing.T) {
		h, err := host.OpenFS(t.Context(), fstest.MapFS{"e.zip": {Data: []byte(rawZip(t, packed, 1000, sum, "CBS.log"))}})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		files, _ := h.Files(t.Context(), "*")
		rc, err := h.Open(t.Context(), files[0])
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, rc); n > 1000 || !errors.Is(err, zip.ErrFormat) {
			t.Errorf("%d bytes of 1000, %v", n, err)
		}
	})
	t.Run("many members", func(t *testing.T) {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for i := range 25_000 {
			m, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("%d.log", i)})
			if err != nil {
				t.Fatal(err)
			}
			m.Write([]byte("line\n"))
		}
		w.Close()
		within(t, 3*time.Second, 400<<20, func() {
			paths, gaps := listed(t, "e.zip", b.String())
			if len(paths) < 19_900 || len(paths) > 20_000 || !strings.Contains(strings.Join(gaps, "\n"), "more than 20000 files") {
				t.Errorf("%d listed, %d gaps", len(paths), len(gaps))
			}
		})
	})
	t.Run("a table of contents without end", func(t *testing.T) {
		long := make([]string, 300_000)
		for i := range long {
			long[i] = "x"
		}
		data := rawZip(t, packed[:10], 10, 0, long...)
		// Packed, it is small: it comes inside another archive.
		data = hosttest.Zip(t, []hosttest.File{{Name: "in.zip", Data: data}})
		within(t, time.Second, 96<<20, func() {
			paths, gaps := listed(t, "e.zip", data)
			if len(paths) != 0 || len(gaps) != 1 || !strings.Contains(gaps[0], "table of contents") {
				t.Errorf("%d listed, gaps %.300q", len(paths), gaps)
			}
		})
	})
	t.Run("encrypted", func(t *testing.T) {
		data := []byte(hosttest.Zip(t, []hosttest.File{{Name: "CBS.log", Data: "text"}}))
		at := bytes.Index(data, []byte("PK\x01\x02"))
		data[at+8] |= 1
		paths, gaps := listed(t, "e.zip", string(data))
		if len(paths) != 0 || len(gaps) != 1 || !strings.Contains(gaps[0], "e.zip/CBS.log: encrypted") {
			t.Errorf("listed %q, gaps %q", paths, gaps)
		}
	})
}

func TestHostileCabinet(t *testing.T) {
	good := hosttest.Cabinet([]hosttest.File{{Name: "a.log", Data: strings.Repeat("line a\n", 9000)}, {Name: "b.log", Data: "line b\n"}})
	patch := func(at int, b ...byte) string {
		out := []byte(good)
		copy(out[at:], b)
		return string(out)
	}
	const firstFile = 36 + 8
	for name, tt := range map[string]struct {
		data string
		says string
	}{
		"a member larger than its folder": {patch(firstFile, 0xFF, 0xFF, 0xFF, 0x7F), "a.log"},
		"a member beyond its folder":      {patch(firstFile+4, 0xFF, 0xFF, 0xFF, 0x7F), "a.log"},
		"a member of another folder":      {patch(firstFile+8, 9, 0), "a.log"},
		"a member of the next cabinet":    {patch(firstFile+8, 0xFE, 0xFF), "a.log"},
		"more files than bytes":           {patch(28, 0xFF, 0xFF), "e.cab"},
		"more folders than bytes":         {patch(26, 0xFF, 0xFF), "e.cab"},
		"more blocks than there are":      {patch(36+4, 0xFF, 0xFF), ""},
		"files before the folders":        {patch(16, 1, 0), "e.cab"},
		"Quantum":                         {patch(36+6, 2, 7), "e.cab"},
		"a block that claims too much":    {patch(strings.Index(good, "line a")-2, 0xFF, 0xFF), "e.cab"},
		"cut off":                         {good[:len(good)-20_000], "missing"},
		"the signature alone":             {"MSCF", "e.cab"},
	} {
		t.Run(name, func(t *testing.T) {
			within(t, time.Second, 64<<20, func() {
				paths, gaps := listed(t, "e.cab", tt.data)
				if tt.says != "" && !strings.Contains(strings.Join(gaps, "\n"), tt.says) {
					t.Errorf("listed %q, gaps %q", paths, gaps)
				}
			})
		})
	}
	t.Run("files that share their data", func(t *testing.T) {
		// Every other file begins at the start of a folder of 40 MB.
		one := []byte(hosttest.Cabinet([]hosttest.File{{Name: "x", Data: strings.Repeat("a", 40<<20)}}))
		entry := one[firstFile : firstFile+16+2]
		blocks := one[firstFile+len(entry):]
		le := binary.LittleEndian
		var table []byte
		const n = 5000
		for i := range n {
			e := bytes.Clone(entry)
			le.PutUint32(e, 1)
			if i%2 == 1 {
				le.PutUint32(e[4:], 40<<20-1)
			}
			table = append(table, e...)
		}
		head := bytes.Clone(one[:firstFile])
		le.PutUint16(head[28:], n)
		le.PutUint32(head[36:], uint32(firstFile+len(table)))
		le.PutUint32(head[8:], uint32(firstFile+len(table)+len(blocks)))
		data := string(head) + string(table) + string(blocks)
		within(t, 3*time.Second, 200<<20, func() {
			paths, _ := listed(t, "e.cab", data)
			if len(paths) != n {
				t.Errorf("%d listed", len(paths))
			}
		})
	})
}

// TestLinks: links are named, and neither followed in circles nor out of the tree.
func TestLinks(t *testing.T) {
	outside := filepath.Join(hosttest.Dir(t, []hosttest.File{{Name: "secret.log", Data: "password"}}), "secret.log")
	dir := hosttest.Dir(t, []hosttest.File{{Name: "a/CBS.log", Data: "text"}})
	for from, to := range map[string]string{
		"a/loop": "..", "self": "self", "a/secret.log": outside, "above": filepath.Dir(outside), "gone.log": "nowhere",
	} {
		if err := os.Symlink(to, filepath.Join(dir, filepath.FromSlash(from))); err != nil {
			t.Skipf("links cannot be made here: %v", err)
		}
	}
	h := open(t, dir)
	files, err := h.Files(t.Context(), "*")
	if err != nil || len(files) != 1 || files[0].Path != "a/CBS.log" {
		t.Errorf("listed %v, %v", files, err)
	}
	gaps := strings.Join(h.Unreadable(), "\n")
	for _, name := range []string{"a/loop", "self", "a/secret.log", "above", "gone.log"} {
		if !strings.Contains(gaps, name+": a link, not followed") {
			t.Errorf("%s is not among the gaps:\n%s", name, gaps)
		}
	}
	// A file that becomes a link after it was listed.
	if err := os.Remove(filepath.Join(dir, "a", "CBS.log")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "a", "CBS.log")); err != nil {
		t.Fatal(err)
	}
	if rc, err := h.Open(t.Context(), files[0]); err == nil {
		b, _ := io.ReadAll(rc)
		rc.Close()
		t.Errorf("a link out of the tree was followed: %q", b)
	}
}

// denied is a file system some of whose files may not be read.
type denied struct{ fs.FS }

func (d denied) Open(name string) (fs.File, error) {
	if strings.Contains(name, "denied") {
		return nil, &fs.PathError{Op: "open", Path: "/somewhere/" + name, Err: fs.ErrPermission}
	}
	return d.FS.Open(name)
}

func TestUnreadable(t *testing.T) {
	h, err := host.OpenFS(t.Context(), denied{fstest.MapFS{
		"denied.log": {Data: []byte("text")}, "denieddir/a.log": {Data: []byte("text")}, "empty.log": {}, "good.log": {Data: []byte("text")},
		"pipe": {Mode: fs.ModeNamedPipe},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	want := []string{
		"denied.log: permission denied", "denieddir: permission denied", "empty.log: empty", "pipe: not a regular file",
	}
	if got := strings.Join(h.Unreadable(), "\n"); got != strings.ReplaceAll(strings.Join(want, "\n"), "permission denied", fs.ErrPermission.Error()) {
		t.Errorf("gaps:\n%s", got)
	}
}

func TestManyFiles(t *testing.T) {
	fsys := fstest.MapFS{}
	for i := range 30_000 {
		fsys[fmt.Sprintf("%05d.log", i)] = &fstest.MapFile{Data: []byte("line\n")}
	}
	within(t, 5*time.Second, 400<<20, func() {
		h, err := host.OpenFS(t.Context(), fsys)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		files, err := h.Files(t.Context(), "*")
		if err != nil || len(files) != 20_000 || files[19_999].Path != "19999.log" {
			t.Errorf("%d listed, %v", len(files), err)
		}
		if gaps := h.Unreadable(); len(gaps) != 1 || !strings.Contains(gaps[0], "20000.log: more than 20000 files") {
			t.Errorf("gaps %q", gaps)
		}
	})
}

// TestRegistryOfAMillionValues: time and memory stay bounded, and what a
// diagnosis asks for is found.
func TestRegistryOfAMillionValues(t *testing.T) {
	var b strings.Builder
	b.WriteString("Windows Registry Editor Version 5.00\r\n")
	for k := range 1000 {
		fmt.Fprintf(&b, "\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Fabrikam\\Key%04d]\r\n", k)
		for v := range 1000 {
			fmt.Fprintf(&b, "\"Value%04d\"=dword:%08x\r\n", v, k*v)
		}
	}
	h := open(t, hosttest.Dir(t, []hosttest.File{{Name: "million.reg", Data: b.String()}}))
	within(t, 6*time.Second, 400<<20, func() {
		k, err := h.Key(t.Context(), `HKLM\SOFTWARE\Fabrikam\Key0007`)
		if v, ok := k.Value("Value0006"); err != nil || !ok {
			t.Errorf("%v, %v", ok, err)
		} else if n, _ := v.DWord(); n != 42 {
			t.Errorf("42 is read as %d", n)
		}
	})
}

// FuzzOpen: whatever a file holds, opening it ends, its members can be read or
// are refused, and nothing is left behind.
func FuzzOpen(f *testing.F) {
	temp := f.TempDir()
	f.Setenv("TMPDIR", temp)
	files, _ := hosttest.Sample()
	z := hosttest.Zip(f, files)
	f.Add([]byte(z), "e.zip")
	f.Add([]byte(hosttest.Cabinet(files)), "e.cab")
	f.Add([]byte(hosttest.Zip(f, []hosttest.File{{Name: "in.zip", Data: z}, {Name: "in.cab", Data: hosttest.Cabinet(files[:1])}})), "e.zip")
	f.Add([]byte(hosttest.Cabinet([]hosttest.File{{Name: "in.zip", Data: z}, {Name: "SOFTWARE", Data: "regf"}})), "e.cab")
	f.Add(hosttest.Hive(hosttest.HiveKey{Name: "ROOT", Keys: []hosttest.HiveKey{{Name: "Microsoft", Values: []hosttest.Value{{Name: "a", Text: "b"}}}}}), "SOFTWARE")
	f.Add([]byte(files[5].Data), "policies.reg")
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		if !fs.ValidPath(name) || name == "." || len(data) > 1<<20 {
			return
		}
		h, err := host.OpenFS(t.Context(), fstest.MapFS{name: {Data: data}})
		if err != nil {
			return
		}
		list, err := h.Files(t.Context(), "*")
		if err != nil || len(list) == 0 {
			t.Errorf("%d files, %v", len(list), err)
		}
		for _, file := range list {
			rc, err := h.Open(t.Context(), file)
			if err != nil {
				continue
			}
			n, _ := io.Copy(io.Discard, io.LimitReader(rc, 64<<20))
			rc.Close()
			if n > max(64<<10, 2000*int64(len(data))) {
				t.Errorf("%s: %d bytes out of %d", file.Path, n, len(data))
			}
		}
		if _, err := h.Key(t.Context(), `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion`); err != nil && !errors.Is(err, host.ErrNotExist) && !errors.Is(err, host.ErrNotRecorded) {
			t.Errorf("key: %v", err)
		}
		h.Unreadable()
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if left, _ := os.ReadDir(temp); len(left) > 0 {
			t.Errorf("%d temporary files are left", len(left))
		}
	})
}

// BenchmarkOpen measures listing a zip of 2,000 members, most of its work being
// to look at how each begins.
func BenchmarkOpen(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	var files []hosttest.File
	for i := range 2000 {
		line := fmt.Sprintf("2031-02-03 04:05:06, Info                  CBS    line %x\r\n", random.Uint64())
		files = append(files, hosttest.File{Name: fmt.Sprintf("CBS%d.log", i), Data: strings.Repeat(line, 100)})
	}
	fsys := fstest.MapFS{"e.zip": {Data: []byte(hosttest.Zip(b, files))}}
	for b.Loop() {
		h, err := host.OpenFS(b.Context(), fsys)
		if err != nil {
			b.Fatal(err)
		}
		h.Close()
	}
}
