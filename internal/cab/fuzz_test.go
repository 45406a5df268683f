package cab

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// Whatever the bytes are, reading them ends, gives no file more than its size,
// and gives the same through Open as through Walk.
func FuzzReader(f *testing.F) {
	// Seeds are small, for the fuzzer is slow with large ones, and without
	// checksums, for mutations to get through.
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 1))
		plan := randomPlan(rng)
		first := true
		plan.next = func(int) (int, int) {
			if first {
				first = false
				return 3, 101
			}
			return 1 + rng.IntN(2), 40_000
		}
		plan.rng = nil
		c := cabinet{noSums: true, reserve: [3]int{0, 0, int(seed % 2)}}
		c.add(plan.method(), packLZX(plan), namedData{"lzx", randomData(rng, 300)}, namedData{"runs", bytes.Repeat([]byte("abcde"), 7_000)})
		c.add(1, packMSZIP, namedData{"mszip", fakeLog(300, seed)}, namedData{"runs", make([]byte, 33_000)})
		c.add(0, packNone, namedData{"stored", fakeLog(100, seed)})
		b := c.bytes()
		if len(b) > 3_000 {
			f.Fatalf("a seed of %d bytes", len(b))
		}
		f.Add(b)
	}
	const enough = 1 << 20
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			known(t, err)
			return
		}
		first := map[*File][]byte{}
		left := int64(enough)
		err = r.Walk(func(file *File, content io.Reader) error {
			got, err := io.ReadAll(io.LimitReader(content, left))
			if err != nil {
				known(t, err)
			} else {
				first[file] = got
			}
			if left -= int64(len(got)); left <= 0 {
				return io.EOF
			}
			if int64(len(got)) > file.Size || err == nil && int64(len(got)) < file.Size {
				t.Errorf("%d bytes of %d, and %v", len(got), file.Size, err)
			}
			return nil
		})
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, file := range r.Files {
			if i == 10 {
				break
			}
			rc, err := file.Open()
			if err != nil {
				known(t, err)
				continue
			}
			got, err := io.ReadAll(rc)
			rc.Close()
			if want, ok := first[file]; ok != (err == nil) || ok && !bytes.Equal(got, want) {
				t.Errorf("file %d: Open gives %d bytes and %v, Walk %d and %v", i, len(got), err, len(want), ok)
			}
		}
	})
}

// known fails if the error does not say whose fault it is.
func known(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrChecksum) && !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v", err)
	}
}

// The LZX decoder alone, block after block.
func FuzzLZX(f *testing.F) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 2))
		plan := randomPlan(rng)
		for _, b := range packLZX(plan)(randomData(rng, 500)) {
			f.Add(uint8(plan.bits), b.data, uint16(b.size))
		}
	}
	f.Fuzz(func(t *testing.T, window uint8, src []byte, size uint16) {
		d := newLZX(minWindow + int(window)%(maxWindow-minWindow+1))
		n := 1 + int(size)%maxBlock
		for _, n := range []int{maxBlock, maxBlock, n} {
			out, err := d.decode(src, n)
			if err != nil {
				break
			}
			if len(out) != n {
				t.Fatalf("%d bytes, want %d", len(out), n)
			}
		}
		d.reset()
		a, err := d.decode(src, n)
		a = bytes.Clone(a)
		d.reset()
		b, again := d.decode(src, n)
		if (err == nil) != (again == nil) || !bytes.Equal(a, b) {
			t.Fatalf("decoding twice gives %v and %v", err, again)
		}
	})
}

// Any data in any encoding comes back: TestLZXRoundTrip for the fuzzer.
func FuzzLZXRoundTrip(f *testing.F) {
	f.Add(uint64(1), []byte("abababababababab"))
	f.Add(uint64(2), bytes.Repeat([]byte{0xe8, 1, 0, 0, 0}, 40))
	f.Fuzz(func(t *testing.T, seed uint64, data []byte) {
		if len(data) == 0 || len(data) > 100_000 {
			return
		}
		plan := randomPlan(rand.New(rand.NewPCG(seed, 3)))
		got, err := unpack(t, single(plan.method(), packLZX(plan), data))
		if err != nil {
			t.Fatal(err)
		}
		sameBytes(t, got, data)
	})
}
