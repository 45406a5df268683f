// Package authenticode tells who signed a file, and whether the file is still what
// was signed: programs and libraries (PE), cabinets, among them the updates of old
// style (.msu), and catalogues (.cat). It builds on every system; on Windows
// WinVerifyTrust is asked as well.
//
// A signature is good here if all of this holds, and the error says which did not:
//
//   - the file's digest is the one that was signed, and nothing stands behind it;
//   - the signature over it was made by the key of the certificate that it names;
//   - that certificate leads to one of the roots, here Microsoft's own three;
//   - every certificate was valid when the file was signed, by a timestamp that leads
//     to the same roots, or is valid now;
//   - the subject is who it has to be: Microsoft itself, and not somebody for whom
//     Microsoft vouches.
//
// Revocation is not asked: that takes a network, and update packages are read where
// there is none. Windows asks again before it installs anything.
//
// The formats are described in "Windows Authenticode Portable Executable Signature
// Format" (Microsoft, 2008), [MS-CAB] and RFC 2315, 3161 and 5652. Every byte is
// hostile: a signature has at most 64 MiB, 64 certificates, and a chain of 8.
package authenticode

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"
)

// Why a signature is not good. Errors of this package wrap one of these, or are
// errors of the io.ReaderAt underneath.
var (
	ErrFormat    = errors.New("neither a program, a cabinet nor a catalogue")
	ErrUnsigned  = errors.New("not signed")
	ErrStripped  = errors.New("there was a signature, and it was taken away")
	ErrMalformed = errors.New("malformed signature")
	ErrDigest    = errors.New("the file is not what was signed")
	ErrForged    = errors.New("the signature was not made by the key of its certificate")
	ErrTimestamp = errors.New("the timestamp does not belong to the signature")
	ErrRoot      = errors.New("the signer's certificate does not lead to a trusted root")
	ErrExpired   = errors.New("the signer's certificate was not valid, and no timestamp says that it was")
	ErrWeak      = errors.New("signed with an algorithm that protects no more")
	ErrSigner    = errors.New("signed by somebody else")
)

// Format is what kind of file it is.
type Format string

// The formats.
const (
	PE        Format = "pe"  // program, library or driver
	Cabinet   Format = "cab" // also the .msu of old style
	Catalogue Format = "cat"
)

// Signature is what a file's signature says. It is good only if there was no error.
type Signature struct {
	Format Format
	Signer Signer
	Digest Digest // of the file, as it was signed; none of a catalogue
	// Members are the digests that a catalogue vouches for: of whole files, and of
	// programs as they are signed. See [Signature.Vouches].
	Members []Digest
}

// Signer is who signed.
type Signer struct {
	Name         string    `json:"name"`                   // common name of the subject
	Organization string    `json:"organization,omitempty"` // of the subject
	Issuer       string    `json:"issuer"`                 // common name of who certified it
	Root         string    `json:"root,omitempty"`         // common name, "" if it leads to none that is trusted
	Thumbprint   string    `json:"thumbprint"`             // SHA-1 of the certificate, upper-case hex, as Windows shows it
	Time         time.Time `json:"time,omitzero"`          // when it was signed, by a trusted timestamp; zero: there is none
	Expires      time.Time `json:"expires"`                // the certificate
}

// Options say whom to trust. The zero value asks for Microsoft's own signature.
type Options struct {
	Roots  []*x509.Certificate // nil: Microsoft's, see [Roots]
	Now    time.Time           // zero: the clock's
	Accept func(Signer) bool   // nil: [Own]
}

// notOwn are subjects under which Microsoft signs what others wrote.
// learn.microsoft.com: "Windows Hardware Compatibility Program Certification
// Process", "Early launch antimalware", "MSIX app package signing".
var notOwn = map[string]bool{
	"Microsoft Windows Hardware Compatibility Publisher":    true,
	"Microsoft Windows Early Launch Anti-malware Publisher": true,
	"Microsoft Windows Third Party Application Component":   true,
	"Microsoft 3rd Party Application Component":             true,
	"Microsoft Marketplace CA G 001":                        true,
}

// Own reports whether a signer is Microsoft itself. That the chain leads to one of
// Microsoft's roots does not say so: drivers of other makers do as well.
func Own(s Signer) bool { return s.Organization == "Microsoft Corporation" && !notOwn[s.Name] }

// Verify checks the signature of the file in the first size bytes of r. The signature
// is not nil, and says who claims to have signed, as soon as it could be read.
func Verify(r io.ReaderAt, size int64, opt Options) (*Signature, error) {
	if opt.Roots == nil {
		roots, err := Roots()
		if err != nil {
			return nil, err
		}
		opt.Roots = roots
	}
	if opt.Now.IsZero() {
		opt.Now = time.Now()
	}
	if opt.Accept == nil {
		opt.Accept = Own
	}
	f, err := open(r, size)
	if err != nil {
		return nil, fmt.Errorf("verify signature: %w", err)
	}
	sig, err := f.verify(opt)
	if err != nil {
		return sig, fmt.Errorf("verify signature: %w", err)
	}
	return sig, nil
}

// signedFile is a file taken apart: which bytes were signed, and the signature.
type signedFile struct {
	format Format
	spans  []io.Reader // what the digest is of, in order
	blob   []byte      // PKCS #7
}

// open finds the signature of a file by what the file begins with.
func open(r io.ReaderAt, size int64) (*signedFile, error) {
	var magic [4]byte
	if _, err := r.ReadAt(magic[:], 0); err != nil {
		if errors.Is(err, io.EOF) {
			err = ErrFormat
		}
		return nil, err
	}
	switch {
	case magic[0] == 'M' && magic[1] == 'Z':
		return openPE(r, size)
	case string(magic[:]) == "MSCF":
		return openCabinet(r, size)
	case magic[0] == 0x30: // a DER sequence
		return openCatalogue(r, size)
	}
	return nil, ErrFormat
}

// verify checks the outer signature and those within it. A file may carry a second
// one for readers that know better algorithms; whichever is good is enough, but the
// file must be what each of them says.
func (f *signedFile) verify(opt Options) (*Signature, error) {
	outer, err := parseSigned(f.blob)
	if err != nil {
		return nil, err
	}
	all := append([]*signed{outer}, outer.nested()...)
	first := f.describe(outer)
	if err := f.digests(all); err != nil {
		return first, err
	}
	var why error
	for _, s := range all {
		sig := f.describe(s)
		err := s.trust(&sig.Signer, opt)
		if err == nil {
			return sig, nil
		}
		if why == nil {
			first, why = sig, err
		}
	}
	return first, why
}

func (f *signedFile) describe(s *signed) *Signature {
	return &Signature{Format: f.format, Signer: describe(s.leaf), Digest: s.digest, Members: s.members}
}

// digests holds the file beside what was signed, reading it once.
func (f *signedFile) digests(all []*signed) error {
	if f.format == Catalogue {
		return nil // it is itself what was signed
	}
	hashes := hashSet{}
	for _, s := range all {
		if len(s.digest.Sum) == 0 {
			return fmt.Errorf("%w: it names no digest of a file", ErrMalformed)
		}
		if err := hashes.add(s.digest.Algorithm); err != nil {
			return err
		}
	}
	for _, span := range f.spans {
		if _, err := io.Copy(hashes, span); err != nil {
			return err
		}
	}
	for _, s := range all {
		if have := hashes.sum(s.digest.Algorithm); string(have) != string(s.digest.Sum) {
			return fmt.Errorf("%w: its %s is %x, signed was %x", ErrDigest, s.digest.Algorithm, have, s.digest.Sum)
		}
	}
	return nil
}
