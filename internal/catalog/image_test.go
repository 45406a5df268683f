package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"updoc/internal/authenticode"
	"updoc/internal/lab"
)

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
	binary.LittleEndian.PutUint32(xpress[16:], 0x20000) // XPRESS
	if c, err := trustIn(p).Check(write(xpress)); err != nil || len(c.Inside) != 0 || c.KB != "KB5999126" {
		t.Errorf("%+v, %v", c, err)
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
