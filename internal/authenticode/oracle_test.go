package authenticode

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"updoc/internal/lab"
)

// osslsigncode is a verifier that others wrote.
func osslsigncode(t *testing.T) func(args ...string) ([]byte, error) {
	t.Helper()
	path, err := exec.LookPath("osslsigncode")
	if err != nil {
		t.Skip("osslsigncode is not installed")
	}
	return func(args ...string) ([]byte, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return exec.CommandContext(ctx, path, args...).CombinedOutput()
	}
}

func writePEM(t *testing.T, path string, blocks ...*pem.Block) string {
	t.Helper()
	var b []byte
	for _, x := range blocks {
		b = append(b, pem.EncodeToMemory(x)...)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What the lab signs is good for osslsigncode too; what was damaged is bad for both.
func TestBesideOsslsigncode(t *testing.T) {
	run := osslsigncode(t)
	dir := t.TempDir()
	at := time.Now() // osslsigncode has no clock but the system's
	p, err := lab.NewPublisher("Microsoft Corporation", "Microsoft Windows", at)
	if err != nil {
		t.Fatal(err)
	}
	p.Stamped = at.Add(-time.Hour).Truncate(time.Second)
	ca := writePEM(t, filepath.Join(dir, "root.pem"), &pem.Block{Type: "CERTIFICATE", Bytes: p.Root.Raw})
	files := samples(t, p)
	cat := files[Catalogue]
	delete(files, Catalogue) // osslsigncode verifies these only beside the file that they are about
	type sample struct {
		name string
		file []byte
	}
	var all []sample
	for format, b := range files {
		all = append(all, sample{string(format), b})
		for n, i := range []int{len(b) / 5, len(b) / 3, 700} {
			c := slices.Clone(b)
			c[min(i, len(c)-1)] ^= 1
			all = append(all, sample{fmt.Sprintf("%s, flipped %d", format, n), c})
		}
		unsigned := lab.Program64([]byte("x"))
		if format == Cabinet {
			unsigned = lab.Cabinet(lab.Packed{Name: "x", Data: []byte("x")})
		}
		all = append(all, sample{string(format) + ", unsigned", unsigned})
	}
	old := *p
	old.Old = true
	oldCab, err := old.Cabinet(lab.Cabinet(lab.Packed{Name: "a", Data: []byte("a")}))
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, sample{"cab, old timestamp", oldCab})
	good := 0
	for i, s := range all {
		name := filepath.Join(dir, fmt.Sprint(i)+".bin")
		if err := os.WriteFile(name, s.file, 0o600); err != nil {
			t.Fatal(err)
		}
		out, theirs := run("verify", "-CAfile", ca, "-TSA-CAfile", ca, "-in", name)
		_, ours := verify(s.file, Options{Roots: []*x509.Certificate{p.Root}, Now: at})
		if (ours == nil) != (theirs == nil) {
			t.Errorf("%s: here %v, osslsigncode %v\n%s", s.name, ours, theirs, out)
		}
		if ours == nil {
			good++
			if !bytes.Contains(out, []byte("Timestamp Server Signature verification: ok")) {
				t.Errorf("%s: osslsigncode does not take the timestamp:\n%s", s.name, out)
			}
		}
	}
	if good != 3 {
		t.Errorf("%d of %d files are good", good, len(all))
	}
	name := filepath.Join(dir, "a.cat")
	if err := os.WriteFile(name, cat, 0o600); err != nil {
		t.Fatal(err)
	}
	member := filepath.Join(dir, "member.cab")
	if err := os.WriteFile(member, files[Cabinet], 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _ := run("verify", "-CAfile", ca, "-TSA-CAfile", ca, "-in", name); !bytes.Contains(out, []byte("Signature verification: ok")) {
		t.Errorf("osslsigncode does not take the catalogue:\n%s", out)
	}
}

// What osslsigncode signs is good here, with both kinds of timestamps, and bad as soon
// as a byte is another.
func TestSignedByOsslsigncode(t *testing.T) {
	run := osslsigncode(t)
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	ssl := func(args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), openssl, args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	issue := func(name, subject, ext string) {
		t.Helper()
		if err := os.WriteFile(in(name+".ext"), []byte(ext), 0o600); err != nil {
			t.Fatal(err)
		}
		ssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", in(name+".key"), "-out", in(name+".csr"), "-subj", subject)
		ssl("x509", "-req", "-in", in(name+".csr"), "-CA", in("root.pem"), "-CAkey", in("root.key"), "-CAcreateserial", "-days", "30", "-extfile", in(name+".ext"), "-out", in(name+".pem"))
	}
	ssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", in("root.key"), "-out", in("root.pem"), "-days", "60", "-subj", "/O=Fabrikam/CN=Fabrikam Root")
	issue("leaf", "/O=Microsoft Corporation/CN=Microsoft Corporation", "extendedKeyUsage=codeSigning\nkeyUsage=digitalSignature\n")
	issue("tsa", "/O=Fabrikam/CN=Fabrikam Stamps", "extendedKeyUsage=critical,timeStamping\nkeyUsage=digitalSignature\n")
	b, err := os.ReadFile(in("root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	root, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Roots: []*x509.Certificate{root}, Now: time.Now().Add(time.Minute)}

	for name, file := range map[string][]byte{
		"a.cab": lab.Cabinet(lab.Packed{Name: "a.txt", Data: bytes.Repeat([]byte("hello "), 9000)}, lab.Packed{Name: "b.txt", Data: []byte("b")}),
		"a.exe": lab.Program64([]byte("hello")),
	} {
		if err := os.WriteFile(in(name), file, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, hash := range []string{"sha256", "sha384", "sha512"} {
			for _, stamp := range []bool{false, true} {
				signed := in("signed-" + hash + "-" + fmt.Sprint(stamp) + "-" + name)
				args := []string{"sign", "-certs", in("leaf.pem"), "-key", in("leaf.key"), "-h", hash, "-in", in(name), "-out", signed}
				if stamp {
					args = append(args, "-TSA-certs", in("tsa.pem"), "-TSA-key", in("tsa.key"))
				}
				if out, err := run(args...); err != nil {
					t.Fatalf("%s: %v\n%s", name, err, out)
				}
				b, err := os.ReadFile(signed)
				if err != nil {
					t.Fatal(err)
				}
				sig, err := verify(b, opt)
				if err != nil {
					t.Errorf("%s: %v", signed, err)
					continue
				}
				if sig.Signer.Time.IsZero() == stamp {
					t.Errorf("%s: signed at %s", signed, sig.Signer.Time)
				}
				b[600%len(file)] ^= 1
				if _, err := verify(b, opt); !errors.Is(err, ErrDigest) {
					t.Errorf("%s, flipped: %v", signed, err)
				}
			}
		}
	}
}
