package cab

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var cabinets = flag.String("cabinets", "testdata/*.cab", "`glob` of cabinets to compare with what other programs extract")

// An oracle is another program that extracts cabinets with a decoder of its own.
type oracle struct {
	name string
	args func(cabinet, dir string) []string
}

var oracles = []oracle{
	{"cabextract", func(cabinet, dir string) []string { return []string{"-q", "-d", dir, cabinet} }},   // libmspack
	{"bsdtar", func(cabinet, dir string) []string { return []string{"-x", "-C", dir, "-f", cabinet} }}, // libarchive
	{"7z", func(cabinet, dir string) []string { return []string{"x", "-y", "-bd", "-o" + dir, cabinet} }},
}

// extract returns the directory with what the program made of the cabinet, or
// the program's error.
func (o oracle) extract(t *testing.T, cabinet string) (string, error) {
	t.Helper()
	path, err := exec.LookPath(o.name)
	if err != nil {
		t.Skipf("%s is not installed: its reading of the cabinet is not compared", o.name)
	}
	dir := t.TempDir()
	if out, err := exec.Command(path, o.args(cabinet, dir)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", o.name, err, out)
	}
	return dir, nil
}

// Other programs accept what the tests' encoder makes and agree about every byte:
// the encoder and the decoder do not merely share a mistake.
func TestOraclesAgree(t *testing.T) {
	want := map[string][]byte{}
	var c cabinet
	add := func(method uint16, pack func([]byte) []cabBlock, data ...[]byte) {
		var files []namedData
		for _, d := range data {
			name := fmt.Sprintf("f%02d.bin", len(want))
			want[name] = d
			files = append(files, namedData{name, d})
		}
		c.add(method, pack, files...)
	}
	add(0, packNone, fakeLog(70_000, 30), nil, noise(11, 31))
	add(1, packMSZIP, fakeLog(170_000, 32), fakeCode(50_000, 33), noise(1, 34))
	for bits := 15; bits <= 21; bits++ {
		plan := lzxPlan{bits: bits, next: blocksOf(1, 2, 3, 2), e8: int32(bits%2) * 150_000}
		add(plan.method(), packLZX(plan), fakeLog(300_000, uint64(bits)), fakeCode(100_001, uint64(bits)))
	}
	far := noise(2_050_000, 35)
	plan := lzxPlan{bits: 21, next: blocksOf(2, 3, 1)}
	add(plan.method(), packLZX(plan), append(far, far[:400_000]...))
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 0x0c))
		plan := randomPlan(rng)
		add(plan.method(), packLZX(plan), randomData(rng, 1+rng.IntN(100_000)))
	}

	path := filepath.Join(t.TempDir(), "all.cab")
	if err := os.WriteFile(path, c.bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	read(t, path, func(f *File, content []byte) {
		sameBytes(t, content, want[f.Name])
	})
	for _, o := range oracles {
		t.Run(o.name, func(t *testing.T) {
			dir, err := o.extract(t, path)
			if err != nil {
				t.Fatal(err)
			}
			for name, data := range want {
				got, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, data) {
					t.Errorf("%s understands %s in another way", o.name, name)
				}
			}
		})
	}
}

// read calls fn for each file of a cabinet.
func read(t *testing.T, path string, fn func(f *File, content []byte)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(file, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	err = r.Walk(func(f *File, content io.Reader) error {
		b, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		fn(f, b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// compare returns the first error in reading the cabinet. If dir is not empty,
// every file must be there, too, and be the same.
func compare(t *testing.T, path, dir string) error {
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(file, info.Size())
	if err != nil {
		return err
	}
	return r.Walk(func(f *File, content io.Reader) error {
		b, err := io.ReadAll(content)
		if err != nil || dir == "" {
			return err
		}
		name, ok := SafeName(f.Name)
		if !ok {
			t.Logf("unsafe name %q", f.Name)
			return nil
		}
		want, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if errors.Is(err, os.ErrNotExist) && !strings.HasPrefix(path, "testdata") {
			t.Logf("%q was extracted under another name", f.Name)
			return nil
		} else if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, want) {
			t.Errorf("%q differs", f.Name)
		}
		return nil
	})
}
