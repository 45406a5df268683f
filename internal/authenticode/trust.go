package authenticode

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"embed"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// The roots under which Microsoft signs Windows, its updates and its programs, each
// with its SHA-256 in trust_test.go. The root of 1997, which certified MD5, is none
// of them. learn.microsoft.com: "Required trusted root certificates".
//
//go:embed roots/*.der
var rootFiles embed.FS

// Roots returns Microsoft's roots for signed code.
func Roots() ([]*x509.Certificate, error) {
	list, err := rootFiles.ReadDir("roots")
	if err != nil {
		return nil, fmt.Errorf("read roots: %w", err)
	}
	var out []*x509.Certificate
	for _, f := range list {
		b, err := rootFiles.ReadFile("roots/" + f.Name())
		if err != nil {
			return nil, fmt.Errorf("read roots: %w", err)
		}
		c, err := x509.ParseCertificate(b)
		if err != nil {
			return nil, fmt.Errorf("read root %s: %w", f.Name(), err)
		}
		out = append(out, c)
	}
	return out, nil
}

// Until then Microsoft signed updates with SHA-1 too, and an attacker could not make
// what was signed before: that takes a second preimage.
// support.microsoft.com: "SHA-1 Windows content to be retired August 3, 2020".
var sha1Until = time.Date(2020, 8, 31, 0, 0, 0, 0, time.UTC)

var oidLifetime = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 10, 3, 13} // szOID_KP_LIFETIME_SIGNING

func describe(c *x509.Certificate) Signer {
	s := Signer{Name: c.Subject.CommonName, Issuer: c.Issuer.CommonName, Expires: c.NotAfter}
	if o := c.Subject.Organization; len(o) > 0 {
		s.Organization = o[0]
	}
	fp := sha1.Sum(c.Raw) // the name that Windows gives to certificates; it protects nothing here
	s.Thumbprint = strings.ToUpper(hex.EncodeToString(fp[:]))
	return s
}

// trust decides whether a signature is good, and completes who signed.
func (s *signed) trust(who *Signer, opt Options) error {
	if _, err := s.info.check(s.kind, s.content, s.leaf); err != nil {
		return err
	}
	when, err := s.timestamp(opt)
	if err != nil {
		return err
	}
	who.Time = when
	at := when
	if at.IsZero() || slices.ContainsFunc(s.leaf.UnknownExtKeyUsage, oidLifetime.Equal) {
		at = opt.Now
	}
	chain, err := chainTo(s.leaf, s.certs, opt.Roots, at, x509.ExtKeyUsageCodeSigning)
	if err != nil {
		return err
	}
	who.Root = chain[len(chain)-1].Subject.CommonName
	if (s.info.hash == crypto.SHA1 || s.digest.Algorithm == crypto.SHA1) && !at.Before(sha1Until) {
		return fmt.Errorf("%w: SHA-1 in %d", ErrWeak, at.Year())
	}
	if !opt.Accept(*who) {
		return fmt.Errorf("%w: %s, %s", ErrSigner, who.Name, who.Organization)
	}
	return nil
}

// timestamp is when it was signed, by a timestamp that can be trusted; zero if there
// is none. One that is about another signature is an error, one by an authority that
// nobody here knows is none.
func (s *signed) timestamp(opt Options) (time.Time, error) {
	for _, a := range s.info.unsigned {
		var t time.Time
		var tsa *x509.Certificate
		var bag []*x509.Certificate
		var err error
		switch {
		case a.kind.Equal(oidTimestamp):
			t, tsa, bag, err = s.rfc3161(a.values)
		case a.kind.Equal(oidCountersign):
			t, tsa, err = s.countersigned(a.values)
			bag = s.certs
		default:
			continue
		}
		if err != nil {
			return time.Time{}, fmt.Errorf("%w: %w", ErrTimestamp, err)
		}
		if _, err := chainTo(tsa, append(bag, s.certs...), opt.Roots, t, x509.ExtKeyUsageTimeStamping); err == nil && !t.After(opt.Now) {
			return t, nil
		}
	}
	return time.Time{}, nil
}

// rfc3161 reads a timestamp token over the signature (RFC 3161, 2.4.2).
func (s *signed) rfc3161(in cryptobyte.String) (time.Time, *x509.Certificate, []*x509.Certificate, error) {
	var token, info, imprint, alg, value cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !in.ReadASN1Element(&token, der.SEQUENCE) {
		return time.Time{}, nil, nil, malformed("the timestamp")
	}
	t, err := parseSigned(token)
	if err != nil {
		return time.Time{}, nil, nil, err
	}
	content := cryptobyte.String(t.content)
	if !t.kind.Equal(oidTSTInfo) || !content.ReadASN1(&info, der.SEQUENCE) || !info.SkipASN1(der.INTEGER) || !info.SkipASN1(der.OBJECT_IDENTIFIER) ||
		!info.ReadASN1(&imprint, der.SEQUENCE) || !imprint.ReadASN1(&alg, der.SEQUENCE) || !alg.ReadASN1ObjectIdentifier(&oid) ||
		!imprint.ReadASN1(&value, der.OCTET_STRING) || !info.SkipASN1(der.INTEGER) {
		return time.Time{}, nil, nil, malformed("the timestamp")
	}
	when, ok := readTime(info)
	if !ok {
		return time.Time{}, nil, nil, malformed("the time of the timestamp")
	}
	h, err := hashByOID(oid)
	if err != nil {
		return time.Time{}, nil, nil, err
	}
	if !bytes.Equal(value, sum(h, s.info.signature)) {
		return time.Time{}, nil, nil, errors.New("it is about another one")
	}
	_, err = t.info.check(t.kind, t.content, t.leaf)
	return when, t.leaf, t.certs, err
}

// countersigned reads a PKCS #9 countersignature: a signer whose content is the
// signature, and whose attributes hold the time.
func (s *signed) countersigned(in cryptobyte.String) (time.Time, *x509.Certificate, error) {
	var info cryptobyte.String
	if !in.ReadASN1(&info, der.SEQUENCE) {
		return time.Time{}, nil, malformed("the countersignature")
	}
	i, err := parseSigner(info)
	if err != nil {
		return time.Time{}, nil, err
	}
	c := i.find(s.certs)
	if c == nil {
		return time.Time{}, nil, malformed("the countersigner's certificate is not in it")
	}
	t, err := i.check(nil, s.info.signature, c)
	if err == nil && t.IsZero() {
		err = malformed("the countersignature has no time")
	}
	return t, c, err
}

// chainTo returns the certificates from leaf to one of the roots, all of them valid
// at a time, for a use. The chain is built here, since crypto/x509 reads no SHA-1
// any more, and updates up to 2020 are certified with it.
func chainTo(leaf *x509.Certificate, bag, roots []*x509.Certificate, at time.Time, use x509.ExtKeyUsage) ([]*x509.Certificate, error) {
	if !slices.Contains(leaf.ExtKeyUsage, use) {
		return nil, fmt.Errorf("%w: its certificate is not made for this", ErrSigner)
	}
	const depth, tries = 8, 64
	left := tries
	var why error
	worse := func(err error) { // the first reason, and a better one than "no root"
		if why == nil || errors.Is(why, ErrRoot) {
			why = err
		}
	}
	var climb func(path []*x509.Certificate) []*x509.Certificate
	climb = func(path []*x509.Certificate) []*x509.Certificate {
		c := path[len(path)-1]
		isRoot := slices.ContainsFunc(roots, c.Equal)
		switch {
		case len(c.UnhandledCriticalExtensions) > 0:
			worse(malformed("a certificate wants something that is not known here"))
			return nil
		case at.Before(c.NotBefore) || at.After(c.NotAfter):
			worse(fmt.Errorf("%w: %s, from %s to %s", ErrExpired, c.Subject.CommonName, c.NotBefore.Format(time.DateOnly), c.NotAfter.Format(time.DateOnly)))
			return nil
		case isRoot:
			return path
		case len(path) == depth:
			return nil
		}
		for _, parent := range slices.Concat(roots, bag) {
			if !bytes.Equal(parent.RawSubject, c.RawIssuer) || slices.ContainsFunc(path, parent.Equal) {
				continue
			}
			if left--; left < 0 {
				return nil
			}
			if !certifies(parent, len(path)-1, use) {
				continue
			}
			if err := checkIssued(parent, c, at); err != nil {
				worse(err)
				continue
			}
			if out := climb(append(slices.Clone(path), parent)); out != nil {
				return out
			}
		}
		worse(fmt.Errorf("%w: it ends at %s", ErrRoot, nameOf(c)))
		return nil
	}
	if out := climb([]*x509.Certificate{leaf}); out != nil {
		return out, nil
	}
	return nil, why
}

func nameOf(c *x509.Certificate) string {
	if c.Issuer.CommonName != "" {
		return c.Issuer.CommonName
	}
	return c.Issuer.String()
}

// certifies reports whether a certificate may certify others for a use; below is how
// many authorities stand between it and the leaf.
func certifies(c *x509.Certificate, below int, use x509.ExtKeyUsage) bool {
	if !c.BasicConstraintsValid || !c.IsCA || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
		return false
	}
	if (c.MaxPathLen > 0 || c.MaxPathLenZero) && below > c.MaxPathLen {
		return false
	}
	return len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || slices.Contains(c.ExtKeyUsage, use) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny)
}

// checkIssued verifies that parent signed child.
func checkIssued(parent, child *x509.Certificate, at time.Time) error {
	if child.SignatureAlgorithm != x509.SHA1WithRSA {
		if err := parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature); err != nil {
			var weak x509.InsecureAlgorithmError
			if errors.As(err, &weak) || errors.Is(err, x509.ErrUnsupportedAlgorithm) {
				return fmt.Errorf("%w: %s is certified with %s", ErrWeak, child.Subject.CommonName, child.SignatureAlgorithm)
			}
			return fmt.Errorf("%w: %s did not certify %s", ErrRoot, parent.Subject.CommonName, child.Subject.CommonName)
		}
		return nil
	}
	if !at.Before(sha1Until) {
		return fmt.Errorf("%w: %s is certified with SHA-1", ErrWeak, child.Subject.CommonName)
	}
	if err := checkSignature(parent, crypto.SHA1, sum(crypto.SHA1, child.RawTBSCertificate), child.Signature); err != nil {
		return fmt.Errorf("%w: %s did not certify %s", ErrRoot, parent.Subject.CommonName, child.Subject.CommonName)
	}
	return nil
}

// checkSignature verifies a signature over a digest.
func checkSignature(c *x509.Certificate, h crypto.Hash, digest, signature []byte) error {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		const weakest = 1024 // bits; older keys can be broken
		if key.N.BitLen() < weakest {
			return fmt.Errorf("%w: a key of %d bits", ErrWeak, key.N.BitLen())
		}
		if rsa.VerifyPKCS1v15(key, h, digest, signature) == nil {
			return nil
		}
		// VeriSign's authority for timestamps signed the bare digest until 2012.
		if h == crypto.SHA1 && rsa.VerifyPKCS1v15(key, 0, digest, signature) == nil {
			return nil
		}
	case *ecdsa.PublicKey:
		if ecdsa.VerifyASN1(key, digest, signature) {
			return nil
		}
	default:
		return malformed("a kind of key that signs no code")
	}
	return ErrForged
}
