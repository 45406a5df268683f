package lab

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tags "golang.org/x/crypto/cryptobyte/asn1"

	"updoc/internal/durable"
	"updoc/internal/sorted"
)

// Publisher signs packages the way Microsoft signs updates, under a root that nobody
// but a test trusts. It shares no code with what verifies signatures; osslsigncode
// says in a test that it does right.
type Publisher struct {
	Root *x509.Certificate

	// Stamped is when a timestamp says that it was signed; zero: there is no timestamp.
	Stamped time.Time
	// Old makes the timestamp a countersignature, as until about 2013, instead of a
	// token of RFC 3161.
	Old bool
	// SHA1 digests the file with SHA-1, as until 2019.
	SHA1 bool

	issuing, leaf, tsa *x509.Certificate
	key, tsaKey        crypto.Signer
}

// NewPublisher makes a root and a signer below it, whose certificate is valid from a
// year before a time to a month after it.
func NewPublisher(organization, name string, now time.Time) (*Publisher, error) {
	p := &Publisher{}
	subject := func(cn string) pkix.Name {
		return pkix.Name{Country: []string{"US"}, Organization: []string{organization}, CommonName: cn}
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make publisher: %w", err)
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make publisher: %w", err)
	}
	tsaKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make publisher: %w", err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048) // as Microsoft's own
	if err != nil {
		return nil, fmt.Errorf("make publisher: %w", err)
	}
	p.key, p.tsaKey = key, tsaKey
	ca := x509.Certificate{
		Subject: subject("Test Root for Packages"), NotBefore: now.Add(-10 * year), NotAfter: now.Add(10 * year),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	end := x509.Certificate{
		Subject: subject(name), NotBefore: now.Add(-year), NotAfter: now.Add(30 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	if p.Root, err = sign(&ca, &ca, rootKey.Public(), rootKey); err != nil {
		return nil, fmt.Errorf("make publisher: %w", err)
	}
	sub := ca
	sub.Subject = subject("Test Code Signing PCA")
	if p.issuing, err = sign(&sub, p.Root, caKey.Public(), rootKey); err != nil {
		return nil, fmt.Errorf("make publisher: %w", err)
	}
	if p.leaf, err = sign(&end, p.issuing, key.Public(), caKey); err != nil {
		return nil, fmt.Errorf("make publisher: %w", err)
	}
	end.Subject, end.ExtKeyUsage = subject("Test Time-Stamp Service"), nil
	end.ExtraExtensions = []pkix.Extension{{ // RFC 3161, 2.3: critical
		Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: []byte{0x30, 0x0a, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 8},
	}}
	if p.tsa, err = sign(&end, p.issuing, tsaKey.Public(), caKey); err != nil {
		return nil, fmt.Errorf("make publisher: %w", err)
	}
	return p, nil
}

var (
	oidData            = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidSignedData      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidAttrType        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidAttrDigest      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidAttrTime        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	oidAttrCounter     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 6}
	oidAttrSigningCert = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47} // signingCertificateV2
	oidAttrStamp       = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 3, 3, 1}
	oidSpcIndirect     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 4}
	oidSpcImage        = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 15}
	oidSpcCabinet      = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 25}
	oidTrustList       = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 10, 1}
	oidCatalogueList   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 12, 1, 1}
	oidCatalogueMember = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 12, 1, 3}
	oidStampInfo       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
	oidSHA256          = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA1            = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidRSA             = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidECDSASHA256     = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
)

// The fields of what says which kind of file was signed: "<<<Obsolete>>>" as a link for
// cabinets, flags and a link for programs.
var (
	linkOnly  = []byte{0xa2, 2, 0x80, 0}
	imageLink = []byte{0x30, 9, 3, 1, 0, 0xa0, 4, 0xa2, 2, 0x80, 0}
)

// Cabinet returns a cabinet with a signature behind it; one that was signed before is
// refused. The header grows by the area in which the signature's place stands.
func (p *Publisher) Cabinet(b []byte) ([]byte, error) {
	const header, area = 36, 4 + 20
	le := binary.LittleEndian
	if len(b) < header || string(b[:4]) != "MSCF" || le.Uint16(b[30:])&4 != 0 {
		return nil, errors.New("sign cabinet: it is none, or has a reserved area")
	}
	out := slices.Concat(b[:header], make([]byte, area), b[header:])
	le.PutUint16(out[30:], le.Uint16(out[30:])|4)
	le.PutUint32(out[8:], uint32(len(out)))
	le.PutUint32(out[16:], le.Uint32(out[16:])+area)
	for i := range int(le.Uint16(out[26:])) { // where each folder's data begins
		at := header + area + 8*i
		le.PutUint32(out[at:], le.Uint32(out[at:])+area)
	}
	le.PutUint16(out[header:], 20)
	le.PutUint32(out[header+4:], 0x00100000)
	le.PutUint32(out[44:], uint32(len(out)))
	digest := p.hash(out[:4], out[8:34], out[56:60], out[60:])
	sig, err := p.signature(p.indirect(oidSpcCabinet, linkOnly, digest))
	if err != nil {
		return nil, fmt.Errorf("sign cabinet: %w", err)
	}
	sig = pad8(sig)
	le.PutUint32(out[48:], uint32(len(sig)))
	return append(out, sig...), nil
}

// Program returns a program with a signature behind it.
func (p *Publisher) Program(b []byte) ([]byte, error) {
	le := binary.LittleEndian
	if len(b) < 64 || b[0] != 'M' || b[1] != 'Z' {
		return nil, errors.New("sign program: it is none")
	}
	opt := int(le.Uint32(b[0x3c:])) + 24
	if opt+112+5*8 > len(b) {
		return nil, errors.New("sign program: its header is cut off")
	}
	dirs := opt + 96
	if le.Uint16(b[opt:]) == 0x20b {
		dirs = opt + 112
	}
	entry := dirs + 4*8
	out := pad8(slices.Clone(b))
	digest := p.hash(out[:opt+64], out[opt+68:entry], out[entry+8:])
	sig, err := p.signature(p.indirect(oidSpcImage, imageLink, digest))
	if err != nil {
		return nil, fmt.Errorf("sign program: %w", err)
	}
	sig = pad8(sig)
	le.PutUint32(out[entry:], uint32(len(out)))
	le.PutUint32(out[entry+4:], uint32(8+len(sig)))
	out = le.AppendUint32(out, uint32(8+len(sig)))
	out = le.AppendUint16(le.AppendUint16(out, 0x200), 2) // revision 2, PKCS #7
	return append(out, sig...), nil
}

// Catalogue returns a signed catalogue that vouches for files.
func (p *Publisher) Catalogue(files ...[]byte) ([]byte, error) {
	list := cryptobyte.NewBuilder(nil)
	list.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidCatalogueList) })
		b.AddASN1OctetString(p.hash(files...)[:16])
		b.AddASN1UTCTime(p.leaf.NotBefore.UTC())
		algorithm(b, oidCatalogueMember)
		b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, f := range files {
				b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1OctetString(p.hash(f))
					b.AddASN1(tags.SET, func(b *cryptobyte.Builder) {
						addAttribute(b, oidSpcIndirect, p.indirect(oidSpcCabinet, linkOnly, p.hash(f)))
					})
				})
			}
		})
	})
	content, err := list.Bytes()
	if err != nil {
		return nil, fmt.Errorf("make catalogue: %w", err)
	}
	return p.signedData(oidTrustList, content, content[contentAt(content):])
}

func pad8(b []byte) []byte { return append(b, make([]byte, -len(b)&7)...) }

func (p *Publisher) hash(parts ...[]byte) []byte {
	h := sha256.New()
	if p.SHA1 {
		h = sha1.New() // as old signatures have it
	}
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

func (p *Publisher) hashID() (crypto.Hash, asn1.ObjectIdentifier) {
	if p.SHA1 {
		return crypto.SHA1, oidSHA1
	}
	return crypto.SHA256, oidSHA256
}

// indirect is an SpcIndirectDataContent.
func (p *Publisher) indirect(kind asn1.ObjectIdentifier, link, digest []byte) []byte {
	_, oid := p.hashID()
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(kind)
			b.AddBytes(link)
		})
		b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
			algorithm(b, oid)
			b.AddASN1OctetString(digest)
		})
	})
	return b.BytesOrPanic() // its parts are all made here
}

// contentAt is how long the tag and the length of an element are.
func contentAt(element []byte) int {
	if element[1] < 0x80 {
		return 2
	}
	return 2 + int(element[1]&0x7f)
}

func algorithm(b *cryptobyte.Builder, oid asn1.ObjectIdentifier) {
	b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1NULL()
	})
}

func addAttribute(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, value []byte) {
	b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddASN1(tags.SET, func(b *cryptobyte.Builder) { b.AddBytes(value) })
	})
}

// setOf orders attributes as DER wants a set to be.
func setOf(attrs ...[]byte) []byte {
	sorted.By(attrs, bytes.Compare)
	return bytes.Join(attrs, nil)
}

func oneAttribute(oid asn1.ObjectIdentifier, add func(*cryptobyte.Builder)) []byte {
	v := cryptobyte.NewBuilder(nil)
	add(v)
	b := cryptobyte.NewBuilder(nil)
	addAttribute(b, oid, v.BytesOrPanic())
	return b.BytesOrPanic()
}

func (p *Publisher) signature(indirect []byte) ([]byte, error) {
	return p.signedData(oidSpcIndirect, indirect, indirect[contentAt(indirect):])
}

// signedData is PKCS #7 around content; digested is the part of it that counts.
func (p *Publisher) signedData(kind asn1.ObjectIdentifier, content, digested []byte) ([]byte, error) {
	h, oid := p.hashID()
	info, err := signerInfo(h, oid, p.leaf, p.key, digested,
		setOf(
			oneAttribute(oidAttrType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(kind) }),
			oneAttribute(oidAttrDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(p.hash(digested)) }),
		), p.stamp)
	if err != nil {
		return nil, err
	}
	certs := [][]byte{p.leaf.Raw, p.issuing.Raw}
	if p.Old && !p.Stamped.IsZero() {
		certs = append(certs, p.tsa.Raw)
	}
	return wrap(1, oid, kind, content, certs, info), nil
}

// wrap makes a ContentInfo of its parts.
func wrap(version int64, hash, kind asn1.ObjectIdentifier, content []byte, certs [][]byte, info []byte) []byte {
	tag := tags.Tag(0).Constructed().ContextSpecific()
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oidSignedData)
		b.AddASN1(tag, func(b *cryptobyte.Builder) {
			b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(version)
				b.AddASN1(tags.SET, func(b *cryptobyte.Builder) { algorithm(b, hash) })
				b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(kind)
					b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(content) })
				})
				b.AddASN1(tag, func(b *cryptobyte.Builder) {
					for _, c := range certs {
						b.AddBytes(c)
					}
				})
				b.AddASN1(tags.SET, func(b *cryptobyte.Builder) { b.AddBytes(info) })
			})
		})
	})
	return b.BytesOrPanic()
}

// signerInfo signs attributes; stamp, if not nil, returns an attribute about the
// signature, or nothing.
func signerInfo(h crypto.Hash, oid asn1.ObjectIdentifier, c *x509.Certificate, key crypto.Signer, digested, attrs []byte, stamp func(signature []byte) ([]byte, error)) ([]byte, error) {
	set := cryptobyte.NewBuilder(nil)
	set.AddASN1(tags.SET, func(b *cryptobyte.Builder) { b.AddBytes(attrs) })
	w := h.New()
	w.Write(set.BytesOrPanic())
	sig, err := key.Sign(rand.Reader, w.Sum(nil), h)
	if err != nil {
		return nil, err
	}
	var unsigned []byte
	if stamp != nil {
		if unsigned, err = stamp(sig); err != nil {
			return nil, err
		}
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(c.RawIssuer)
			b.AddASN1BigInt(c.SerialNumber)
		})
		algorithm(b, oid)
		b.AddASN1(tags.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(attrs) })
		if _, ok := key.(*rsa.PrivateKey); ok {
			algorithm(b, oidRSA)
		} else {
			b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidECDSASHA256) })
		}
		b.AddASN1OctetString(sig)
		if unsigned != nil {
			b.AddASN1(tags.Tag(1).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(unsigned) })
		}
	})
	return b.BytesOrPanic(), nil
}

// stamp makes the attribute that says when a signature was made.
func (p *Publisher) stamp(signature []byte) ([]byte, error) {
	if p.Stamped.IsZero() {
		return nil, nil
	}
	digest := func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
	if p.Old {
		info, err := signerInfo(crypto.SHA256, oidSHA256, p.tsa, p.tsaKey, signature, setOf(
			oneAttribute(oidAttrType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidData) }),
			oneAttribute(oidAttrTime, func(b *cryptobyte.Builder) { b.AddASN1UTCTime(p.Stamped.UTC()) }),
			oneAttribute(oidAttrDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(digest(signature)) }),
		), nil)
		return oneAttribute(oidAttrCounter, func(b *cryptobyte.Builder) { b.AddBytes(info) }), err
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 601, 10, 3, 1}) // a policy of examples
		b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
			algorithm(b, oidSHA256)
			b.AddASN1OctetString(digest(signature))
		})
		b.AddASN1BigInt(new(big.Int).SetBytes(digest(signature)[:8]))
		// As Microsoft's authority has it, with parts of a second.
		b.AddASN1(tags.GeneralizedTime, func(b *cryptobyte.Builder) {
			b.AddBytes([]byte(p.Stamped.UTC().Format("20060102150405.999Z")))
		})
	})
	info := b.BytesOrPanic()
	signer, err := signerInfo(crypto.SHA256, oidSHA256, p.tsa, p.tsaKey, info, setOf(
		oneAttribute(oidAttrType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidStampInfo) }),
		oneAttribute(oidAttrDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(digest(info)) }),
		oneAttribute(oidAttrSigningCert, func(b *cryptobyte.Builder) { // RFC 5035
			b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(tags.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1OctetString(digest(p.tsa.Raw)) })
				})
			})
		}),
	), nil)
	if err != nil {
		return nil, err
	}
	octets := cryptobyte.NewBuilder(nil)
	octets.AddASN1OctetString(info)
	token := wrap(3, oidSHA256, oidStampInfo, octets.BytesOrPanic(), [][]byte{p.tsa.Raw, p.issuing.Raw}, signer)
	return oneAttribute(oidAttrStamp, func(b *cryptobyte.Builder) { b.AddBytes(token) }), nil
}

// Program64 is a program for 64-bit Windows that does nothing and was never run:
// headers and one section of data.
func Program64(data []byte) []byte {
	le := binary.LittleEndian
	const pe, opt, optLen, align = 64, 64 + 24, 112 + 16*8, 512
	raw := (len(data) + align - 1) &^ (align - 1)
	out := make([]byte, align+raw)
	copy(out, "MZ")
	le.PutUint32(out[0x3c:], pe)
	copy(out[pe:], "PE\x00\x00")
	le.PutUint16(out[pe+4:], 0x8664) // IMAGE_FILE_MACHINE_AMD64
	le.PutUint16(out[pe+6:], 1)      // sections
	le.PutUint16(out[pe+20:], optLen)
	le.PutUint16(out[pe+22:], 0x22) // executable, large addresses
	o := out[opt:]
	le.PutUint16(o, 0x20b)
	le.PutUint32(o[32:], 4096)  // alignment in memory
	le.PutUint32(o[36:], align) // in the file
	le.PutUint32(o[56:], uint32(4096+(raw+4095)&^4095))
	le.PutUint32(o[60:], align) // size of the headers
	le.PutUint16(o[68:], 3)     // console
	le.PutUint32(o[108:], 16)   // data directories
	s := out[opt+optLen:]
	copy(s, ".rdata")
	le.PutUint32(s[8:], uint32(len(data)))
	le.PutUint32(s[12:], 4096)
	le.PutUint32(s[16:], uint32(raw))
	le.PutUint32(s[20:], align)
	le.PutUint32(s[36:], 0x40000040) // initialised data, readable
	copy(out[align:], data)
	return out
}

// publisherFile holds the keys of the packages of a machine's world, so that what was
// signed in one run of updoc is good in the next.
const publisherFile = "publisher.pem"

// Publisher is who signs the packages of the world's catalogue.
func (w *World) Publisher() (*Publisher, error) { return w.catalogue.publisher() }

// newPublisher makes who signs the packages of the world; a machine's folder keeps it.
func (w *World) newPublisher(organization, name string) (*Publisher, error) {
	if w.own == nil {
		return NewPublisher(organization, name, w.start)
	}
	path := filepath.Join(w.own.dir, publisherFile)
	if b, err := os.ReadFile(path); err == nil {
		if p, err := readPublisher(b); err == nil && p.leaf.Subject.CommonName == name {
			return p, nil
		}
	}
	p, err := NewPublisher(organization, name, w.start)
	if err != nil {
		return nil, err
	}
	b, err := p.pem()
	if err == nil {
		err = durable.WriteFile(durable.OS{}, path, b)
	}
	return p, err
}

// publishedFolder is where a machine's folder keeps packages of its world's catalogue. A
// signature differs each time it is made, and a digest that was read before a restart of
// the machine holds after it.
const publishedFolder = "published"

// published is a package of the catalogue: as it was made first, where a machine stands
// in the world.
func (w *World) published(name string, pack func() []byte) []byte {
	if w.own == nil {
		return pack()
	}
	dir := filepath.Join(w.own.dir, publishedFolder)
	at := filepath.Join(dir, name)
	if b, err := os.ReadFile(at); err == nil {
		return b
	}
	b := pack()
	if err := os.MkdirAll(dir, 0o700); err == nil {
		_ = durable.WriteFile(durable.OS{}, at, b) // else it is made again
	}
	return b
}

func (p *Publisher) pem() ([]byte, error) {
	var out []byte
	for _, c := range []*x509.Certificate{p.Root, p.issuing, p.leaf, p.tsa} {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	for _, k := range []crypto.Signer{p.key, p.tsaKey} {
		b, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			return nil, fmt.Errorf("keep publisher: %w", err)
		}
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b})...)
	}
	return out, nil
}

func readPublisher(b []byte) (*Publisher, error) {
	var certs []*x509.Certificate
	var keys []crypto.Signer
	for {
		block, rest := pem.Decode(b)
		if block == nil {
			break
		}
		b = rest
		if block.Type == "CERTIFICATE" {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("read publisher: %w", err)
			}
			certs = append(certs, c)
			continue
		}
		k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read publisher: %w", err)
		}
		if s, ok := k.(crypto.Signer); ok {
			keys = append(keys, s)
		}
	}
	if len(certs) != 4 || len(keys) != 2 {
		return nil, errors.New("read publisher: it is not whole")
	}
	return &Publisher{Root: certs[0], issuing: certs[1], leaf: certs[2], tsa: certs[3], key: keys[0], tsaKey: keys[1]}, nil
}
