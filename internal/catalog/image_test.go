package catalog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"updoc/internal/authenticode"
	"updoc/internal/lab"
)

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

// unpack reads every file of an image.
func unpack(t testing.TB, b []byte) map[string][]byte {
	t.Helper()
	m, err := openImage(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	files, err := m.files()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		r, err := m.open(f.resource)
		if err == nil {
			out[f.name], err = io.ReadAll(r)
		}
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
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
		"chunk.bin": bytes.Repeat([]byte{0, 1, 2, 3}, imageChunk/4), "program.exe": bytes.Repeat([]byte{0xe8, 1, 2, 3, 0, 0x90, 0x55}, 20_000),
	}
	dir := t.TempDir()
	for name, b := range files {
		writeFile(t, filepath.Join(dir, "in", name), b)
		writeFile(t, filepath.Join(dir, "in", "folder", "below.txt"), b) // what lies deeper is not looked for
	}
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
		wim := filepath.Join(dir, strings.ReplaceAll(c.how, " ", "-")+".wim")
		run(append([]string{"capture", filepath.Join(dir, "in"), wim}, c.args...)...)
		b, err := os.ReadFile(wim)
		if err != nil {
			t.Fatal(err)
		}
		if !c.read {
			if _, err := openImage(bytes.NewReader(b), int64(len(b))); !errors.Is(err, errImage) {
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

// The signed cabinets in an image are looked at; one that is not good refuses it.
func TestImageInside(t *testing.T) {
	p, other := testPublisher(t), testPublisher(t)
	u := lab.UpdatePackage{KB: "KB5999126", Version: "26100.2033.1.9", Arch: "amd64", Title: "x", Parents: []string{"10.0.26100.1"}, Content: make([]byte, 5000)}
	good := must1[[]byte](t)(u.Image(p))
	write := func(b []byte) string {
		path := filepath.Join(t.TempDir(), "windows11.0-kb5999126-x64.msu")
		writeFile(t, path, b)
		return path
	}
	c, err := trustIn(p).Check(write(good))
	if err != nil {
		t.Fatal(err)
	}
	if c.Kind != KindWIM || c.KB != "KB5999126" || c.Build != "26100.2033" || c.Signer != nil || len(c.Inside) != 2 || c.Inside[0].Signer.Name != "Microsoft Windows" {
		t.Errorf("%+v, inside %+v", c.Package, c.Inside)
	}
	at := bytes.Index(good, []byte("MSCF"))
	flipped := slices.Clone(good)
	flipped[at+200] ^= 1
	for name, x := range map[string]struct {
		b    []byte
		t    Trust
		want error
	}{
		"a flipped byte in a cabinet": {flipped, trustIn(p), authenticode.ErrDigest},
		"never signed":                {must1[[]byte](t)(u.Image(nil)), trustIn(p), authenticode.ErrUnsigned},
		"another root":                {good, trustIn(other), authenticode.ErrRoot},
	} {
		if _, err := x.t.Check(write(x.b)); !errors.Is(err, x.want) || !strings.Contains(err.Error(), "in it") {
			t.Errorf("%s: %v, want %v", name, err, x.want)
		}
	}
	// One that cannot be looked into is left to its digest.
	xpress := slices.Clone(good)
	binary.LittleEndian.PutUint32(xpress[16:], flagXPRESS)
	if c, err := trustIn(p).Check(write(xpress)); err != nil || len(c.Inside) != 0 || c.KB != "KB5999126" {
		t.Errorf("%+v, %v", c, err)
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
	m, err := openImage(bytes.NewReader(b), int64(len(b)))
	if err == nil {
		_ = m.cabinets(func(string, []byte) error { return nil })
	}
}

func FuzzImage(f *testing.F) {
	f.Add(lab.WIM(lab.Packed{Name: "a.cab", Data: []byte("MSCF")}, lab.Packed{Name: "b.cab", Data: make([]byte, 40_000)}))
	f.Fuzz(func(t *testing.T, b []byte) { readImage(b) })
}

func BenchmarkImage(b *testing.B) {
	wim := lab.WIM(lab.Packed{Name: "a.cab", Data: append([]byte("MSCF"), make([]byte, 8<<20)...)})
	b.SetBytes(int64(len(wim)))
	for b.Loop() {
		readImage(wim)
	}
}

func BenchmarkIdentify(b *testing.B) {
	u := update()
	u.Content = make([]byte, 8<<20)
	msu, err := u.MSU(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(msu)))
	for b.Loop() {
		if _, err := Identify(bytes.NewReader(msu), int64(len(msu)), fmt.Sprintf("%s.msu", u.KB)); err != nil {
			b.Fatal(err)
		}
	}
}
