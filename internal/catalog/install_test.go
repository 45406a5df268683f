package catalog

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"updoc/internal/authenticode"
	"updoc/internal/lab"
)

// signedAt is when the test's packages were signed.
var signedAt = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func testPublisher(t testing.TB) *lab.Publisher {
	t.Helper()
	p := must1[*lab.Publisher](t)(lab.NewPublisher("Microsoft Corporation", "Microsoft Windows", signedAt))
	p.Stamped = signedAt.Add(-time.Hour)
	return p
}

func trustIn(p *lab.Publisher) Trust {
	return Trust{Roots: []*x509.Certificate{p.Root}, Now: signedAt}
}

// packages are files of one update, the last of which is to be installed.
type packages []lab.Packed

// testKit writes a kit with an update.
func testKit(t *testing.T, kb string, files packages) (dir string, k *Kit) {
	t.Helper()
	dir = t.TempDir()
	u := KitUpdate{ID: "01234567-89ab-cdef-0123-456789abcdef", KB: kb, Title: kb, Folder: kb}
	for i, f := range files {
		sum, one := sha256.Sum256(f.Data), sha1.Sum(f.Data)
		u.Files = append(u.Files, KitFile{
			Name: f.Name, Size: int64(len(f.Data)), SHA256: hex.EncodeToString(sum[:]), SHA1: hex.EncodeToString(one[:]), Target: i == len(files)-1,
		})
		writeFile(t, filepath.Join(dir, kb, f.Name), f.Data)
	}
	k = &Kit{Schema: KitSchema, Made: signedAt, Updates: []KitUpdate{u}}
	writeKit(t, dir, k)
	return dir, k
}

func writeKit(t *testing.T, dir string, k *Kit) {
	t.Helper()
	writeFile(t, filepath.Join(dir, KitName), must1[[]byte](t)(json.Marshal(k)))
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, b, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestPrepare(t *testing.T) {
	p := testPublisher(t)
	bytesOf := must1[[]byte](t)
	checkpoint := lab.UpdatePackage{KB: "KB5999100", Version: "26100.1742.1.10", Arch: "amd64", Title: "x"}
	image := append([]byte("MSWIM\x00\x00\x00"), make([]byte, 5000)...)
	for _, c := range []struct {
		name  string
		kb    string
		files packages
		kind  PackageKind
	}{
		{"a cabinet", "KB5999123", packages{{Name: "windows10.0-kb5999123-x64.cab", Data: bytesOf(update().Cabinet(p))}}, KindCAB},
		{"a .msu", "KB5999123", packages{{Name: "windows10.0-kb5999123-x64.msu", Data: bytesOf(update().MSU(p))}}, KindMSU},
		{"an image with its checkpoint", "KB5999126", packages{
			{Name: "windows11.0-kb5999100-x64.msu", Data: bytesOf(checkpoint.MSU(p))},
			{Name: "windows11.0-kb5999126-x64.msu", Data: image},
		}, KindWIM},
		{"a program", "KB890830", packages{{Name: "windows-kb890830-x64.exe", Data: bytesOf(p.Program(lab.Program64([]byte("x"))))}}, KindEXE},
	} {
		dir, k := testKit(t, c.kb, c.files)
		for _, path := range []string{dir, filepath.Join(dir, KitName)} {
			s, err := OpenSource(path)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			to := filepath.Join(t.TempDir(), "packages")
			var last, of int64
			ready, err := s.Prepare(t.Context(), to, trustIn(p), func(done, total int64) { last, of = done, total })
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			r := ready[0]
			if len(ready) != 1 || r.Kind != c.kind || r.KitUpdate.KB != c.kb || (r.Signer == nil) != (c.kind == KindWIM) || r.Installable() == (c.kind == KindEXE) {
				t.Errorf("%s: %+v", c.name, r)
			}
			target := k.Updates[0].Files[len(c.files)-1]
			if r.File != filepath.Join(to, "1", target.Name) || last != of || of == 0 {
				t.Errorf("%s: %s, %d of %d bytes told", c.name, r.File, last, of)
			}
			for _, f := range c.files {
				if b, err := os.ReadFile(filepath.Join(r.Dir, f.Name)); err != nil || !bytes.Equal(b, f.Data) {
					t.Errorf("%s: %s was not copied whole: %v", c.name, f.Name, err)
				}
			}
		}
	}
}

// What is not what it should be is refused, said by its name, and not left on the
// machine.
func TestPrepareRefused(t *testing.T) {
	p, other := testPublisher(t), testPublisher(t)
	bytesOf := must1[[]byte](t)
	good := bytesOf(update().MSU(p))
	const name = "windows10.0-kb5999123-x64.msu"
	older := update()
	older.KB, older.Version = "KB5998000", "22621.2000.1.1"
	old := bytesOf(older.MSU(p))
	flipped := slices.Clone(good)
	flipped[len(flipped)/3] ^= 1
	stripped := good[:binary.LittleEndian.Uint32(good[44:])]
	whql := must1[*lab.Publisher](t)(lab.NewPublisher("Microsoft Corporation", "Microsoft Windows Hardware Compatibility Publisher", signedAt))
	for _, c := range []struct {
		name string
		is   []byte // what lies in the kit
		as   []byte // what kit.json was made of
		opt  Trust
		want error
		says string
	}{
		{"a flipped byte", flipped, good, trustIn(p), ErrDigest, "SHA-256"},
		{"a flipped byte, and the kit made to fit", flipped, flipped, trustIn(p), authenticode.ErrDigest, "not what was signed"},
		{"cut off", good[:len(good)-9], good, trustIn(p), ErrSize, "bytes"},
		{"longer", append(slices.Clone(good), 0), good, trustIn(p), ErrSize, "bytes"},
		{"the signature stripped", stripped, stripped, trustIn(p), authenticode.ErrStripped, "taken away"},
		{"never signed", bytesOf(update().MSU(nil)), bytesOf(update().MSU(nil)), trustIn(p), authenticode.ErrUnsigned, "not signed"},
		{"another root", good, good, trustIn(other), authenticode.ErrRoot, "root"},
		{"not Microsoft's roots", good, good, Trust{Now: signedAt}, authenticode.ErrRoot, "root"},
		{"another signer", bytesOf(update().MSU(whql)), bytesOf(update().MSU(whql)), trustIn(whql), authenticode.ErrSigner, "Hardware Compatibility"},
		{"an older update in its place", old, good, trustIn(p), nil, "it is KB5998000 (build 22621.2000), signed by Microsoft Windows"},
		{"an older update, and the kit made to fit", old, old, trustIn(p), ErrAnother, "KB5999123, and it is KB5998000"},
		{"no package", []byte("<html>"), []byte("<html>"), trustIn(p), ErrPackage, "not a package"},
		{"Windows says no", good, good, Trust{Roots: []*x509.Certificate{p.Root}, Now: signedAt, Witness: func(string) error { return fs.ErrPermission }}, fs.ErrPermission, "not trusted by Windows"},
	} {
		dir, _ := testKit(t, "KB5999123", packages{{Name: name, Data: c.as}})
		writeFile(t, filepath.Join(dir, "KB5999123", name), c.is)
		s, err := OpenSource(dir)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "packages")
		_, err = s.Prepare(t.Context(), to, c.opt, nil)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want %v and %q", c.name, err, c.want, c.says)
		}
		if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something is left: %v", c.name, err)
		}
	}
}

func TestPrepareOneFile(t *testing.T) {
	p := testPublisher(t)
	bytesOf := must1[[]byte](t)
	good := bytesOf(update().MSU(p))
	image := append([]byte("MSWIM\x00\x00\x00"), make([]byte, 5000)...)
	sum := sha1.Sum(image)
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"windows10.0-kb5999123-x64.msu", good, nil},
		{"x.msu", good, nil}, // it does not claim to be anything
		{"windows10.0-kb5998000-x64.msu", good, ErrAnother},
		{"windows11.0-kb5999126-x64.msu", image, ErrUnproven},
		{fmt.Sprintf("windows11.0-kb5999126-x64_%x.msu", sum), image, nil},
		{fmt.Sprintf("windows11.0-kb5999126-x64_%x.msu", sum), append(slices.Clone(image), 0), ErrDigest},
	} {
		path := filepath.Join(t.TempDir(), c.name)
		writeFile(t, path, c.b)
		s, err := OpenSource(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = s.Prepare(t.Context(), filepath.Join(t.TempDir(), "to"), trustIn(p), nil); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	for _, name := range []string{"a.txt.lnk", "a b.msu", "kit.msu/.."} {
		if _, err := OpenSource(filepath.Join(t.TempDir(), name)); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
}

func TestPrepareNeedsEmptyFolder(t *testing.T) {
	p := testPublisher(t)
	dir, _ := testKit(t, "KB5999123", packages{{Name: "windows10.0-kb5999123-x64.msu", Data: must1[[]byte](t)(update().MSU(p))}})
	s, err := OpenSource(dir)
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	mine := filepath.Join(to, "mine.txt")
	writeFile(t, mine, []byte("x"))
	if _, err := s.Prepare(t.Context(), to, trustIn(p), nil); err == nil {
		t.Error("a folder with something in it was used")
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error("and what was in it is gone")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	gone := filepath.Join(t.TempDir(), "to")
	if _, err := s.Prepare(ctx, gone, trustIn(p), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if _, err := os.Stat(gone); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a stopped copy is left")
	}
}

// A link in a kit leads nowhere else.
func TestPrepareLink(t *testing.T) {
	p := testPublisher(t)
	const name = "windows10.0-kb5999123-x64.msu"
	good := must1[[]byte](t)(update().MSU(p))
	dir, _ := testKit(t, "KB5999123", packages{{Name: name, Data: good}})
	outside := filepath.Join(t.TempDir(), "outside.msu")
	writeFile(t, outside, good)
	at := filepath.Join(dir, "KB5999123", name)
	if err := errors.Join(os.Remove(at), os.Symlink(outside, at)); err != nil {
		t.Skip("links cannot be made here: ", err)
	}
	s, err := OpenSource(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prepare(t.Context(), filepath.Join(t.TempDir(), "to"), trustIn(p), nil); err == nil {
		t.Error("a link out of the kit was followed")
	}
}
