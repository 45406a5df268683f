package catalog

import (
	"context"
	"crypto/sha1" //nolint:gosec // the digest that the catalogue names
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
)

// sums computes both digests of a file from its beginning on.
type sums struct {
	one, two hash.Hash
	n        int64 // bytes so far
	buf      []byte
}

func newSums() *sums {
	return &sums{one: sha1.New(), two: sha256.New(), buf: make([]byte, 1<<20)}
}

// read goes on to a position.
func (s *sums) read(ctx context.Context, r io.ReaderAt, to int64) error {
	for s.n < to {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.ReadAt(s.buf[:min(int64(len(s.buf)), to-s.n)], s.n)
		s.one.Write(s.buf[:n])
		s.two.Write(s.buf[:n])
		s.n += int64(n)
		if n == 0 {
			if err == nil {
				err = io.ErrNoProgress
			}
			return err
		}
	}
	return nil
}

func (s *sums) sha1() string   { return hex.EncodeToString(s.one.Sum(nil)) }
func (s *sums) sha256() string { return hex.EncodeToString(s.two.Sum(nil)) }

// check holds the digests to those that are wanted.
func (s *sums) check(w Want) error {
	if got := s.sha256(); w.SHA256 != "" && got != w.SHA256 {
		return &DigestError{"SHA-256", w.SHA256, got}
	}
	if got := s.sha1(); w.SHA1 != "" && got != w.SHA1 {
		return &DigestError{"SHA-1", w.SHA1, got}
	}
	return nil
}
