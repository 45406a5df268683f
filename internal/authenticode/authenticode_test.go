package authenticode

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"updoc/internal/lab"
)

var now = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

// publisher signs as Microsoft would, under a test's root.
func publisher(t testing.TB) *lab.Publisher {
	t.Helper()
	p, err := lab.NewPublisher("Microsoft Corporation", "Microsoft Windows", now)
	if err != nil {
		t.Fatal(err)
	}
	p.Stamped = now.Add(-time.Hour)
	return p
}

func trusting(p *lab.Publisher) Options {
	return Options{Roots: []*x509.Certificate{p.Root}, Now: now}
}

func verify(b []byte, opt Options) (*Signature, error) {
	return Verify(bytes.NewReader(b), int64(len(b)), opt)
}

// samples are one file of each format, signed.
func samples(t testing.TB, p *lab.Publisher) map[Format][]byte {
	t.Helper()
	out := map[Format][]byte{}
	for format, f := range map[Format]func() ([]byte, error){
		PE: func() ([]byte, error) { return p.Program(lab.Program64([]byte("fabrikam widgets"))) },
		Cabinet: func() ([]byte, error) {
			return p.Cabinet(lab.Cabinet(lab.Packed{Name: "update.mum", Data: []byte("<assembly/>")}))
		},
		Catalogue: func() ([]byte, error) { return p.Catalogue([]byte("one file"), []byte("another")) },
	} {
		b, err := f()
		if err != nil {
			t.Fatal(err)
		}
		out[format] = b
	}
	return out
}

func TestGood(t *testing.T) {
	p := publisher(t)
	for _, old := range []bool{false, true} {
		p.Old = old
		for format, b := range samples(t, p) {
			sig, err := verify(b, trusting(p))
			if err != nil {
				t.Errorf("%s, old timestamp %v: %v", format, old, err)
				continue
			}
			s := sig.Signer
			if sig.Format != format || s.Name != "Microsoft Windows" || s.Organization != "Microsoft Corporation" || s.Root != "Test Root for Packages" || len(s.Thumbprint) != 40 {
				t.Errorf("%s: %+v", format, sig)
			}
			if !s.Time.Equal(p.Stamped) {
				t.Errorf("%s, old timestamp %v: signed at %s, want %s", format, old, s.Time, p.Stamped)
			}
		}
	}
}

func TestVouches(t *testing.T) {
	p := publisher(t)
	sig, err := verify(samples(t, p)[Catalogue], trusting(p))
	if err != nil {
		t.Fatal(err)
	}
	if !sig.Vouches([]byte("one file")) || !sig.Vouches([]byte("another")) || sig.Vouches([]byte("a third")) || len(sig.Members) != 2 {
		t.Errorf("the catalogue vouches for the wrong files: %d members", len(sig.Members))
	}
}

// Every byte of the content counts, and few others may be anything: no flip of one
// changes what is believed.
func TestFlippedByte(t *testing.T) {
	p := publisher(t)
	full := os.Getenv("UPDOC_FULL") != ""
	for format, b := range samples(t, p) {
		good, err := verify(b, trusting(p))
		if err != nil {
			t.Fatal(err)
		}
		seen := map[error]int{}
		var passed []int
		content := contentOf(format, b)
		for i := range b {
			if (i < content[0] || i >= content[1]) && i%3 != 0 && !full {
				continue
			}
			c := slices.Clone(b)
			c[i] ^= 0x40
			sig, err := verify(c, trusting(p))
			switch {
			case err == nil && sig.Signer == good.Signer:
				passed = append(passed, i)
			case err == nil && sig.Signer.Time.IsZero(): // a stamp that is none of ours any more
				passed = append(passed, i)
			case err == nil:
				t.Errorf("%s: byte %d changed who signed: %+v", format, i, sig.Signer)
			}
			for _, why := range reasons {
				if errors.Is(err, why) {
					seen[why]++
				}
			}
		}
		if format != Catalogue && seen[ErrDigest] == 0 || seen[ErrForged] == 0 || seen[ErrTimestamp] == 0 {
			t.Errorf("%s: not all reasons were seen: %v", format, seen)
		}
		t.Logf("%s: %d of %d bytes may be anything", format, len(passed), len(b))
		for _, i := range passed {
			if content[0] <= i && i < content[1] {
				t.Errorf("%s: byte %d of the content may be anything", format, i)
			}
		}
	}
}

// contentOf is where the content lies: behind the headers, before the signature.
func contentOf(f Format, b []byte) [2]int {
	switch f {
	case PE:
		return [2]int{512, 1024}
	case Cabinet:
		return [2]int{60, int(binary.LittleEndian.Uint32(b[44:]))}
	}
	return [2]int{}
}

var reasons = []error{ErrFormat, ErrUnsigned, ErrStripped, ErrMalformed, ErrDigest, ErrForged, ErrTimestamp, ErrRoot, ErrExpired, ErrWeak, ErrSigner}

func TestRefused(t *testing.T) {
	p, other := publisher(t), publisher(t)
	files := samples(t, p)
	at := func(b []byte, off int, v uint32) []byte {
		b = slices.Clone(b)
		binary.LittleEndian.PutUint32(b[off:], v)
		return b
	}
	const entry = 64 + 24 + 112 + 4*8 // of the certificate table, in the program of the lab
	made := func(change func(*lab.Publisher), as string) []byte {
		p := *p
		change(&p)
		b, err := p.Cabinet(lab.Cabinet(lab.Packed{Name: as, Data: []byte(as)}))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	unstamped := made(func(p *lab.Publisher) { p.Stamped = time.Time{} }, "unstamped")
	signedBy := func(org, name string) ([]byte, Options) {
		p, err := lab.NewPublisher(org, name, now)
		if err != nil {
			t.Fatal(err)
		}
		b, err := p.Cabinet(lab.Cabinet(lab.Packed{Name: "a", Data: []byte("a")}))
		if err != nil {
			t.Fatal(err)
		}
		return b, trusting(p)
	}
	fabrikam, asFabrikam := signedBy("Fabrikam", "Fabrikam")
	lookalike, asLookalike := signedBy("Microsoft Corporation Ltd", "Microsoft Corporation")
	whql, asWHQL := signedBy("Microsoft Corporation", "Microsoft Windows Hardware Compatibility Publisher")
	later := func(d time.Duration) Options { return Options{Roots: []*x509.Certificate{p.Root}, Now: now.Add(d)} }
	sigAt := func(b []byte) int { return int(binary.LittleEndian.Uint32(b[44:])) }
	cab := files[Cabinet]
	swapped := slices.Concat(unstamped[:sigAt(unstamped)], cab[sigAt(cab):]) // another file's signature
	binary.LittleEndian.PutUint32(swapped[48:], uint32(len(cab)-sigAt(cab)))

	for _, c := range []struct {
		name string
		file []byte
		opt  Options
		want error
	}{
		{"text", []byte("this is no signed thing"), trusting(p), ErrFormat},
		{"empty", nil, trusting(p), ErrFormat},
		{"DOS program", append([]byte("MZ"), make([]byte, 100)...), trusting(p), ErrFormat},
		{"unsigned program", lab.Program64([]byte("x")), trusting(p), ErrUnsigned},
		{"unsigned cabinet", lab.Cabinet(lab.Packed{Name: "a", Data: []byte("a")}), trusting(p), ErrUnsigned},
		{"stripped cabinet", cab[:sigAt(cab)], trusting(p), ErrStripped},
		{"half a cabinet's signature", cab[:sigAt(cab)+100], trusting(p), ErrStripped},
		{"cabinet with an empty place", at(at(cab[:sigAt(cab)], 44, 0), 48, 0), trusting(p), ErrStripped},
		{"stripped program", files[PE][:1024], trusting(p), ErrStripped},
		{"program with its entry cleared", at(at(files[PE], entry, 0), entry+4, 0), trusting(p), ErrUnsigned},
		{"program with more behind", append(slices.Clone(files[PE]), "extra data"...), trusting(p), ErrMalformed},
		{"cabinet with more behind", append(slices.Clone(cab), "extra data"...), trusting(p), ErrMalformed},
		{"another file's signature", swapped, trusting(p), ErrDigest},
		{"another root", cab, trusting(other), ErrRoot},
		{"Microsoft's roots", cab, Options{Now: now}, ErrRoot},
		{"another signer", fabrikam, asFabrikam, ErrSigner},
		{"a name like Microsoft's", lookalike, asLookalike, ErrSigner},
		{"hardware compatibility", whql, asWHQL, ErrSigner},
		{"expired without timestamp", unstamped, later(60 * 24 * time.Hour), ErrExpired},
		{"expired with timestamp", cab, later(60 * 24 * time.Hour), nil},
		{"not expired, without timestamp", unstamped, trusting(p), nil},
		{"before the timestamp", cab, later(-2 * time.Hour), nil}, // the stamp counts nothing, the certificate is valid
		{"SHA-1 today", made(func(p *lab.Publisher) { p.SHA1 = true }, "weak"), trusting(p), ErrWeak},
		{"catalogue cut off", files[Catalogue][:len(files[Catalogue])-40], trusting(p), ErrMalformed},
	} {
		sig, err := verify(c.file, c.opt)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		for _, other := range reasons {
			if c.want != nil && other != c.want && errors.Is(err, other) {
				t.Errorf("%s: %v is also %v", c.name, err, other)
			}
		}
		if slices.Contains([]error{ErrRoot, ErrSigner, ErrExpired, ErrDigest}, c.want) && (sig == nil || sig.Signer.Name == "") {
			t.Errorf("%s: it is not said who claims to have signed", c.name)
		}
	}
}

// A timestamp of one signature says nothing of another.
func TestForeignTimestamp(t *testing.T) {
	p := publisher(t)
	for _, old := range []bool{false, true} {
		p.Old = old
		b := samples(t, p)[Cabinet]
		s, err := parseSigned(b[binary.LittleEndian.Uint32(b[44:]):])
		if err != nil {
			t.Fatal(err)
		}
		s.info.signature = append([]byte{1}, s.info.signature[1:]...)
		if _, err := s.timestamp(trusting(p)); !errors.Is(err, ErrTimestamp) {
			t.Errorf("old %v: %v, want %v", old, err, ErrTimestamp)
		}
	}
}

func TestAccept(t *testing.T) {
	p, err := lab.NewPublisher("Fabrikam", "Fabrikam Widgets", now)
	if err != nil {
		t.Fatal(err)
	}
	opt := trusting(p)
	opt.Accept = func(s Signer) bool { return s.Organization == "Fabrikam" }
	if _, err := verify(samples(t, p)[PE], opt); err != nil {
		t.Error(err)
	}
}

// The roots are those whose digests Microsoft publishes.
// learn.microsoft.com: "Required trusted root certificates" names them; the digests
// are in the list of participants of the trusted root program.
func TestRoots(t *testing.T) {
	want := map[string]string{
		"Microsoft Root Certificate Authority":      "885de64c340e3ea70658f01e1145f957fcda27aabeea1ab9faa9fdb0102d4077",
		"Microsoft Root Certificate Authority 2010": "df545bf919a2439c36983b54cdfc903dfa4f37d3996d8d84b4c31eec6f3c163e",
		"Microsoft Root Certificate Authority 2011": "847df6a78497943f27fc72eb93f9a637320a02b561d0a91b09e87a7807ed7c61",
	}
	roots, err := Roots()
	if err != nil || len(roots) != len(want) {
		t.Fatalf("%d roots, %v", len(roots), err)
	}
	for _, c := range roots {
		sum := sha256.Sum256(c.Raw)
		if want[c.Subject.CommonName] != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: %x", c.Subject.CommonName, sum)
		}
		if err := checkIssued(c, c, c.NotBefore); err != nil {
			t.Errorf("%s does not certify itself: %v", c.Subject.CommonName, err)
		}
	}
}

// An input that lies about its sizes costs neither memory nor time, and has a reason.
func TestHostileSizes(t *testing.T) {
	p := publisher(t)
	for format, b := range samples(t, p) {
		for i := range b {
			if i > 700 && format != Catalogue {
				break
			}
			if i > 100 && i%3 != 0 {
				continue
			}
			c := slices.Clone(b)
			for k := i; k < min(i+4, len(c)); k++ {
				c[k] = 0xff
			}
			if _, err := verify(c, trusting(p)); err != nil && !slices.ContainsFunc(reasons, func(r error) bool { return errors.Is(err, r) }) {
				t.Fatalf("%s, byte %d: %v is no reason", format, i, err)
			}
		}
	}
}

// An error of the disk is no verdict.
func TestReadError(t *testing.T) {
	p := publisher(t)
	b := samples(t, p)[Cabinet]
	broken := errors.New("the disk fails")
	r := failing{bytes.NewReader(b), 60, broken}
	if _, err := Verify(r, int64(len(b)), trusting(p)); !errors.Is(err, broken) || slices.ContainsFunc(reasons, func(r error) bool { return errors.Is(err, r) }) {
		t.Errorf("%v", err)
	}
}

type failing struct {
	io.ReaderAt
	from int64
	err  error
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}

func FuzzVerify(f *testing.F) {
	p := publisher(f)
	for _, b := range samples(f, p) {
		f.Add(b)
	}
	opt := trusting(p)
	f.Fuzz(func(t *testing.T, b []byte) {
		sig, err := verify(b, opt)
		if err == nil && (sig == nil || sig.Signer.Organization != "Microsoft Corporation") {
			t.Errorf("a good signature by nobody: %+v", sig)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "verify signature: ") {
			t.Errorf("%v", err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	p := publisher(b)
	file, err := p.Cabinet(lab.Cabinet(lab.Packed{Name: "big", Data: make([]byte, 8<<20)}))
	if err != nil {
		b.Fatal(err)
	}
	opt := trusting(p)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if _, err := verify(file, opt); err != nil {
			b.Fatal(err)
		}
	}
}
