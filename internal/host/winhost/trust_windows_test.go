package winhost

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"updoc/internal/authenticode"
	"updoc/internal/codes"
	"updoc/internal/lab"
)

// Windows and authenticode agree about what nobody trusts. Wine 8 trusts a chain that
// ends before its root, so of that it is no witness.
func TestTrusted(t *testing.T) {
	p, err := lab.NewPublisher("Microsoft Corporation", "Microsoft Windows", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	program := lab.Program64([]byte("fabrikam"))
	signed, err := p.Program(program)
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), signed...)
	flipped[700] ^= 1
	for _, c := range []struct {
		name string
		file []byte
		here error
	}{
		{"unsigned", program, authenticode.ErrUnsigned},
		{"an unknown root", signed, authenticode.ErrRoot},
		{"a flipped byte", flipped, authenticode.ErrDigest},
	} {
		path := filepath.Join(t.TempDir(), "a.exe")
		if err := os.WriteFile(path, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Unchanged(path); (err != nil) != (c.here == authenticode.ErrDigest) {
			t.Errorf("%s: changed since it was signed: %v", c.name, err)
		}
		err := Trusted(path)
		if c.here == authenticode.ErrRoot && isWine() {
			continue
		}
		var refused *TrustError
		var code codes.HRESULT
		if !errors.As(err, &refused) || !errors.As(err, &code) || !code.Failed() {
			t.Errorf("%s: %v", c.name, err)
		}
		t.Logf("%s: %v", c.name, err)
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = authenticode.Verify(f, int64(len(c.file)), authenticode.Options{})
		f.Close()
		if !errors.Is(err, c.here) {
			t.Errorf("%s: here %v", c.name, err)
		}
	}
	if err := Trusted(filepath.Join(t.TempDir(), "missing.exe")); err == nil {
		t.Error("a file that is not there is trusted")
	}
	if err := Trusted("a\x00b"); err == nil {
		t.Error("no path is trusted")
	}
}
