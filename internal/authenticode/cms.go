package authenticode

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

const (
	maxCertificates = 64
	maxNested       = 4
	maxMembers      = 1 << 20
)

// RFC 2315 and 2985; "Windows Authenticode Portable Executable Signature Format";
// [MS-OSHARED] 2.3.2.4; RFC 3161.
var (
	oidSigned        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidSigningTime   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidCountersign   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 6}
	oidIndirectData  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 4} // SPC_INDIRECT_DATA_OBJID
	oidNested        = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 4, 1} // szOID_NESTED_SIGNATURE
	oidTimestamp     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 3, 3, 1} // szOID_RFC3161_counterSign
	oidCTL           = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 10, 1}   // szOID_CTL
	oidTSTInfo       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
)

// signed is a PKCS #7 SignedData with one signer, as Authenticode has it.
type signed struct {
	kind    asn1.ObjectIdentifier // of the content
	content []byte                // that the digest is of: without its tag and length
	certs   []*x509.Certificate
	leaf    *x509.Certificate
	info    signerInfo

	digest  Digest   // of a file, in an indirect data content
	members []Digest // of a catalogue
}

// signerInfo is how one signer signed.
type signerInfo struct {
	issuer    []byte // DER of the name
	serial    *big.Int
	hash      crypto.Hash
	attrs     []byte // the signed attributes as they are hashed: a SET; nil: there are none
	signature []byte
	unsigned  []attribute
}

type attribute struct {
	kind   asn1.ObjectIdentifier
	values cryptobyte.String
}

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

// parseSigned takes a signature apart. Zeros that fill it up to eight bytes are no
// part of it; anything else behind it was never signed and is refused.
// learn.microsoft.com: "Microsoft Security Advisory 2915720".
func parseSigned(blob []byte) (*signed, error) {
	in := cryptobyte.String(blob)
	var outer, content, data cryptobyte.String
	var kind asn1.ObjectIdentifier
	if !in.ReadASN1(&outer, der.SEQUENCE) || !outer.ReadASN1ObjectIdentifier(&kind) || !kind.Equal(oidSigned) ||
		!outer.ReadASN1(&content, explicit(0)) || !content.ReadASN1(&data, der.SEQUENCE) {
		return nil, malformed("no PKCS #7 signed data")
	}
	if len(in) >= 8 || len(bytes.Trim(in, "\x00")) > 0 {
		return nil, malformed("something stands behind it")
	}
	s := &signed{}
	var inner, signers cryptobyte.String
	var certs cryptobyte.String
	var has bool
	if !data.SkipASN1(der.INTEGER) || !data.SkipASN1(der.SET) || !data.ReadASN1(&inner, der.SEQUENCE) ||
		!data.ReadOptionalASN1(&certs, &has, explicit(0)) || !data.SkipOptionalASN1(explicit(1)) || !data.ReadASN1(&signers, der.SET) {
		return nil, malformed("the signed data")
	}
	if err := s.readContent(inner); err != nil {
		return nil, err
	}
	for n := 0; !certs.Empty(); n++ {
		var one cryptobyte.String
		var tag der.Tag
		if n == maxCertificates || !certs.ReadAnyASN1Element(&one, &tag) {
			return nil, malformed("the certificates")
		}
		if c, err := x509.ParseCertificate(one); err == nil { // one that is odd is one that is missing
			s.certs = append(s.certs, c)
		}
	}
	var info cryptobyte.String
	if !signers.ReadASN1(&info, der.SEQUENCE) || !signers.Empty() {
		return nil, malformed("it has not one signer")
	}
	var err error
	if s.info, err = parseSigner(info); err != nil {
		return nil, err
	}
	if s.leaf = s.info.find(s.certs); s.leaf == nil {
		return nil, malformed("the signer's certificate is not in it")
	}
	return s, nil
}

func explicit(n uint8) der.Tag { return der.Tag(n).Constructed().ContextSpecific() }

// readContent reads what was signed. PKCS #7 hashes the content without tag and
// length, RFC 5652 wraps it into an octet string first: the same rule serves both.
func (s *signed) readContent(in cryptobyte.String) error {
	var wrapped, content cryptobyte.String
	var tag der.Tag
	if !in.ReadASN1ObjectIdentifier(&s.kind) || !in.ReadASN1(&wrapped, explicit(0)) || !wrapped.ReadAnyASN1(&content, &tag) || !wrapped.Empty() {
		return malformed("the content")
	}
	s.content = content
	switch {
	case s.kind.Equal(oidIndirectData):
		d, err := indirect(content)
		s.digest = d
		return err
	case s.kind.Equal(oidCTL):
		return s.readMembers(content)
	}
	return nil
}

// indirect reads an SpcIndirectDataContent: what kind of thing, and its digest.
func indirect(in cryptobyte.String) (Digest, error) {
	var info, alg, value cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !in.SkipASN1(der.SEQUENCE) || !in.ReadASN1(&info, der.SEQUENCE) ||
		!info.ReadASN1(&alg, der.SEQUENCE) || !alg.ReadASN1ObjectIdentifier(&oid) || !info.ReadASN1(&value, der.OCTET_STRING) {
		return Digest{}, malformed("the digest")
	}
	h, err := hashByOID(oid)
	if err != nil {
		return Digest{}, err
	}
	if len(value) != h.Size() {
		return Digest{}, malformed("the length of the digest")
	}
	return Digest{h, value}, nil
}

// readMembers reads the list of a catalogue ([MS-CAESO] 2.2, and learn.microsoft.com:
// CTL_INFO): each member has an attribute with the digest of its file.
func (s *signed) readMembers(in cryptobyte.String) error {
	var subjects cryptobyte.String
	var has bool
	ok := in.SkipOptionalASN1(der.INTEGER) && in.SkipASN1(der.SEQUENCE) && in.SkipOptionalASN1(der.OCTET_STRING) && in.SkipOptionalASN1(der.INTEGER) &&
		(in.PeekASN1Tag(der.UTCTime) && in.SkipASN1(der.UTCTime) || in.SkipASN1(der.GeneralizedTime)) &&
		in.SkipOptionalASN1(der.UTCTime) && in.SkipOptionalASN1(der.GeneralizedTime) &&
		in.SkipASN1(der.SEQUENCE) && in.ReadOptionalASN1(&subjects, &has, der.SEQUENCE)
	if !ok {
		return malformed("the catalogue")
	}
	for !subjects.Empty() {
		var subject, id cryptobyte.String
		if len(s.members) == maxMembers || !subjects.ReadASN1(&subject, der.SEQUENCE) || !subject.ReadASN1(&id, der.OCTET_STRING) {
			return malformed("a member of the catalogue")
		}
		attrs, err := readAttributes(subject, der.SET)
		if err != nil {
			return err
		}
		for _, a := range attrs {
			var v cryptobyte.String
			if !a.kind.Equal(oidIndirectData) {
				continue
			}
			if !a.values.ReadASN1(&v, der.SEQUENCE) {
				return malformed("a member of the catalogue")
			}
			d, err := indirect(v)
			switch {
			case errors.Is(err, ErrWeak):
				continue // vouches for nothing
			case err != nil:
				return err
			}
			s.members = append(s.members, d)
		}
	}
	return nil
}

// parseSigner reads a SignerInfo.
func parseSigner(in cryptobyte.String) (signerInfo, error) {
	var i signerInfo
	var who, alg, attrs, sig cryptobyte.String
	var name, element cryptobyte.String
	var oid asn1.ObjectIdentifier
	i.serial = new(big.Int)
	if !in.SkipASN1(der.INTEGER) || !in.ReadASN1(&who, der.SEQUENCE) || !who.ReadASN1Element(&name, der.SEQUENCE) || !who.ReadASN1Integer(i.serial) ||
		!in.ReadASN1(&alg, der.SEQUENCE) || !alg.ReadASN1ObjectIdentifier(&oid) {
		return i, malformed("the signer")
	}
	i.issuer = name
	var err error
	if i.hash, err = hashByOID(oid); err != nil {
		return i, err
	}
	if in.PeekASN1Tag(explicit(0)) {
		if !in.ReadASN1Element(&element, explicit(0)) {
			return i, malformed("the signed attributes")
		}
		// They are hashed as what they are, a SET, and not as they are tagged here.
		i.attrs = append([]byte{byte(der.SET)}, element[1:]...)
	}
	if !in.SkipASN1(der.SEQUENCE) || !in.ReadASN1(&sig, der.OCTET_STRING) {
		return i, malformed("the signature")
	}
	i.signature = sig
	if in.PeekASN1Tag(explicit(1)) {
		if !in.ReadASN1Element(&attrs, explicit(1)) {
			return i, malformed("the unsigned attributes")
		}
		if i.unsigned, err = readAttributes(attrs, explicit(1)); err != nil {
			return i, err
		}
	}
	if !in.Empty() {
		return i, malformed("the signer")
	}
	return i, nil
}

// readAttributes reads a set of attributes with its tag.
func readAttributes(in cryptobyte.String, tag der.Tag) ([]attribute, error) {
	var set cryptobyte.String
	if !in.ReadASN1(&set, tag) {
		return nil, malformed("attributes")
	}
	var out []attribute
	for !set.Empty() {
		var one cryptobyte.String
		var a attribute
		if len(out) == 64 || !set.ReadASN1(&one, der.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&a.kind) || !one.ReadASN1(&a.values, der.SET) {
			return nil, malformed("an attribute")
		}
		out = append(out, a)
	}
	return out, nil
}

func (i *signerInfo) find(certs []*x509.Certificate) *x509.Certificate {
	for _, c := range certs {
		if c.SerialNumber.Cmp(i.serial) == 0 && bytes.Equal(c.RawIssuer, i.issuer) {
			return c
		}
	}
	return nil
}

// check holds content, signed attributes and signature together; it returns the time
// that the attributes claim, which alone proves nothing.
func (i *signerInfo) check(kind asn1.ObjectIdentifier, content []byte, c *x509.Certificate) (time.Time, error) {
	digest := sum(i.hash, content)
	if i.attrs == nil {
		return time.Time{}, checkSignature(c, i.hash, digest, i.signature)
	}
	attrs, err := readAttributes(i.attrs, der.SET)
	if err != nil {
		return time.Time{}, err
	}
	var same, typed bool
	var claimed time.Time
	for _, a := range attrs {
		switch v := a.values; {
		case a.kind.Equal(oidMessageDigest):
			var have cryptobyte.String
			same = v.ReadASN1(&have, der.OCTET_STRING) && bytes.Equal(have, digest)
		case a.kind.Equal(oidContentType):
			var have asn1.ObjectIdentifier
			typed = v.ReadASN1ObjectIdentifier(&have) && (kind == nil || have.Equal(kind))
		case a.kind.Equal(oidSigningTime):
			claimed, _ = readTime(v)
		}
	}
	if !same || !typed && kind != nil {
		return claimed, fmt.Errorf("%w: its attributes are about other content", ErrForged)
	}
	return claimed, checkSignature(c, i.hash, sum(i.hash, i.attrs), i.signature)
}

// readTime reads a UTCTime or a GeneralizedTime, which may have parts of a second.
func readTime(in cryptobyte.String) (time.Time, bool) {
	var text cryptobyte.String
	var tag der.Tag
	if !in.ReadAnyASN1(&text, &tag) || len(text) > 32 {
		return time.Time{}, false
	}
	layout := "20060102150405Z"
	if tag == der.UTCTime {
		layout = "060102150405Z"
	}
	t, err := time.Parse(layout, string(text)) // a fraction is read after seconds whatever the layout says
	return t, err == nil && (tag == der.UTCTime || tag == der.GeneralizedTime)
}

// nested are the further signatures that a signature carries.
func (s *signed) nested() []*signed {
	var out []*signed
	for _, a := range s.info.unsigned {
		if !a.kind.Equal(oidNested) {
			continue
		}
		for !a.values.Empty() && len(out) < maxNested {
			var one cryptobyte.String
			if !a.values.ReadASN1Element(&one, der.SEQUENCE) {
				break
			}
			if n, err := parseSigned(one); err == nil && n.kind.Equal(s.kind) {
				out = append(out, n)
			}
		}
	}
	return out
}
