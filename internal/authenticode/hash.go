package authenticode

import (
	"bytes"
	"crypto"
	_ "crypto/sha1" // crypto.SHA1.New
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"
	"fmt"
	"hash"
)

// Digest is a hash with the name of its algorithm.
type Digest struct {
	Algorithm crypto.Hash
	Sum       []byte
}

var (
	oidSHA1   = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA512 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
	oidMD2    = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 2}
	oidMD5    = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5}
)

// hashByOID returns the algorithm; MD5 is refused as weak. Flame, in 2012, carried a
// signature of Microsoft's that was made with a collision of MD5.
func hashByOID(oid asn1.ObjectIdentifier) (crypto.Hash, error) {
	switch {
	case oid.Equal(oidSHA1):
		return crypto.SHA1, nil
	case oid.Equal(oidSHA256):
		return crypto.SHA256, nil
	case oid.Equal(oidSHA384):
		return crypto.SHA384, nil
	case oid.Equal(oidSHA512):
		return crypto.SHA512, nil
	case oid.Equal(oidMD2), oid.Equal(oidMD5):
		return 0, fmt.Errorf("%w: MD5 or MD2", ErrWeak)
	}
	return 0, fmt.Errorf("%w: digest algorithm %s", ErrMalformed, oid)
}

func sum(h crypto.Hash, parts ...[]byte) []byte {
	w := h.New()
	for _, p := range parts {
		w.Write(p)
	}
	return w.Sum(nil)
}

// Vouches reports whether a catalogue has a file in it, by the file's bytes. What a
// catalogue says of programs is of their content without the signature, and is not
// found this way.
func (s *Signature) Vouches(file []byte) bool {
	sums := map[crypto.Hash][]byte{}
	for _, m := range s.Members {
		have, ok := sums[m.Algorithm]
		if !ok {
			have = sum(m.Algorithm, file)
			sums[m.Algorithm] = have
		}
		if bytes.Equal(have, m.Sum) {
			return true
		}
	}
	return false
}

// hashSet writes to several hashes at once.
type hashSet map[crypto.Hash]hash.Hash

func (s hashSet) add(h crypto.Hash) error {
	if !h.Available() {
		return fmt.Errorf("%w: %s", ErrMalformed, h)
	}
	if s[h] == nil {
		s[h] = h.New()
	}
	return nil
}

func (s hashSet) sum(h crypto.Hash) []byte { return s[h].Sum(nil) }

// Write implements io.Writer.
func (s hashSet) Write(p []byte) (int, error) {
	for _, h := range s {
		h.Write(p)
	}
	return len(p), nil
}
