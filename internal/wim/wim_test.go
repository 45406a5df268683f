package wim_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"updoc/internal/lab"
	"updoc/internal/wim"
)

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestImage(t *testing.T) {
	list := []lab.Packed{{Name: "a.cab", Data: []byte("MSCF and more")}, {Name: "größer.psf", Data: bytes.Repeat([]byte("x"), 100_000)}, {Name: "b.txt", Data: []byte("b")}}
	b := lab.WIM(list...)
	got := unpack(t, b)
	for _, f := range list {
		if !bytes.Equal(got[f.Name], f.Data) {
			t.Errorf("%s: %d bytes", f.Name, len(got[f.Name]))
		}
	}
	if len(got) != len(list) {
		t.Errorf("%d files", len(got))
	}
}

func content(t testing.TB, m *wim.File, f wim.Entry) []byte {
	t.Helper()
	r, err := m.Read(f)
	if err != nil {
		t.Fatalf("%s: %v", f.Name, err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", f.Name, err)
	}
	return b
}

// unpack reads every file of an image.
func unpack(t testing.TB, b []byte) map[string][]byte {
	t.Helper()
	m, err := wim.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	files, err := m.Top()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		out[f.Name] = content(t, m, f)
	}
	return out
}

// wimlib makes images that are read here alike, and reads those that the lab makes.
func TestImageBesideWimlib(t *testing.T) {
	path, err := exec.LookPath("wimlib-imagex")
	if err != nil {
		t.Skip("wimlib-imagex is not installed")
	}
	run := func(args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if out, err := exec.CommandContext(ctx, path, args...).CombinedOutput(); err != nil {
			t.Fatalf("wimlib-imagex %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 70_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	files := map[string][]byte{
		"text.txt": bytes.Repeat([]byte("all work and no play "), 9000), "noise.bin": noise, "one.bin": {1},
		"chunk.bin": bytes.Repeat([]byte{0, 1, 2, 3}, 8192), "program.exe": bytes.Repeat([]byte{0xe8, 1, 2, 3, 0, 0x90, 0x55}, 20_000),
	}
	dir := t.TempDir()
	for name, b := range files {
		writeFile(t, filepath.Join(dir, "in", name), b)
	}
	writeFile(t, filepath.Join(dir, "in", "folder", "below.txt"), files["program.exe"])
	for _, c := range []struct {
		how  string
		args []string
		read bool
	}{
		{"stored", []string{"--compress=none"}, true},
		{"LZX", []string{"--compress=LZX", "--chunk-size=32K"}, true},
		{"LZX with checks", []string{"--compress=LZX", "--chunk-size=32K", "--check"}, true},
		{"XPRESS", []string{"--compress=XPRESS"}, false},
		{"solid LZMS", []string{"--solid"}, false},
	} {
		image := filepath.Join(dir, strings.ReplaceAll(c.how, " ", "-")+".wim")
		run(append([]string{"capture", filepath.Join(dir, "in"), image}, c.args...)...)
		b, err := os.ReadFile(image)
		if err != nil {
			t.Fatal(err)
		}
		if !c.read {
			if _, err := wim.Open(bytes.NewReader(b), int64(len(b))); !errors.Is(err, wim.ErrFormat) {
				t.Errorf("%s: %v", c.how, err)
			}
			continue
		}
		got := unpack(t, b)
		for name, want := range files {
			if !bytes.Equal(got[name], want) {
				t.Errorf("%s: %s: %d bytes of %d", c.how, name, len(got[name]), len(want))
			}
		}
		if len(got) != len(files) {
			t.Errorf("%s: %d files", c.how, len(got))
		}
		m, err := wim.Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		found, err := m.Find(1, "FOLDER/Below.TXT")
		if err != nil {
			t.Fatalf("%s: %v", c.how, err)
		}
		below := files["program.exe"]
		if !bytes.Equal(content(t, m, found), below) {
			t.Errorf("%s: what lies deeper is another: %d bytes", c.how, found.Size)
		}
		r, err := m.Read(found)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 { // in any order
			at := rng.IntN(len(below) - 1)
			p := make([]byte, rng.IntN(min(70_000, len(below)-at)))
			if _, err := r.ReadAt(p, int64(at)); err != nil || !bytes.Equal(p, below[at:at+len(p)]) {
				t.Fatalf("%s: %d bytes at %d: %v", c.how, len(p), at, err)
			}
		}
		for _, missing := range []string{"folder/above.txt", "folder", "text.txt/below.txt", "nowhere/below.txt", ""} {
			if _, err := m.Find(1, missing); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %q: %v", c.how, missing, err)
			}
		}
		if _, err := m.Find(2, "text.txt"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the second image of one: %v", c.how, err)
		}
	}
	ours := filepath.Join(dir, "lab.wim")
	writeFile(t, ours, lab.WIM(lab.Packed{Name: "text.txt", Data: files["text.txt"]}, lab.Packed{Name: "noise.bin", Data: noise}))
	run("verify", ours)
	run("apply", ours, "1", filepath.Join(dir, "out"))
	for _, name := range []string{"text.txt", "noise.bin"} {
		if b, err := os.ReadFile(filepath.Join(dir, "out", name)); err != nil || !bytes.Equal(b, files[name]) {
			t.Errorf("wimlib reads %s of the lab's image otherwise: %v", name, err)
		}
	}
}

// Whatever an image says of itself, it is read in little memory or not at all.
func TestImageHostile(t *testing.T) {
	good := lab.WIM(lab.Packed{Name: "a.cab", Data: []byte("MSCF")}, lab.Packed{Name: "b.cab", Data: make([]byte, 40_000)})
	for i := range min(len(good), 208) {
		for _, v := range []byte{0, 1, 4, 0x7f, 0xff} {
			b := slices.Clone(good)
			b[i] = v
			readImage(b)
		}
	}
	for i := 208; i < len(good); i += 3 {
		b := slices.Clone(good)
		for k := i; k < min(i+8, len(b)); k++ {
			b[k] = 0xff
		}
		readImage(b)
	}
}

func readImage(b []byte) {
	m, err := wim.Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return
	}
	files, _ := m.Top()
	if f, err := m.Find(1, "folder/below.txt"); err == nil {
		files = append(files, f)
	}
	for _, f := range files {
		if f.Size > 1<<20 {
			continue
		}
		if r, err := m.Read(f); err == nil {
			_, _ = io.Copy(io.Discard, r)
		}
	}
}

func FuzzImage(f *testing.F) {
	f.Add(lab.WIM(lab.Packed{Name: "a.cab", Data: []byte("MSCF")}, lab.Packed{Name: "b.cab", Data: make([]byte, 40_000)}))
	f.Fuzz(func(t *testing.T, b []byte) { readImage(b) })
}

func BenchmarkImage(b *testing.B) {
	image := lab.WIM(lab.Packed{Name: "a.cab", Data: append([]byte("MSCF"), make([]byte, 8<<20)...)})
	b.SetBytes(int64(len(image)))
	for b.Loop() {
		readImage(image)
	}
}
