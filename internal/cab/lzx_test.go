package cab

import (
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// unpack reads a cabinet of one file named "f".
func unpack(t testing.TB, cab []byte) ([]byte, error) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(cab), int64(len(cab)))
	if err != nil {
		return nil, err
	}
	if len(r.Files) != 1 || r.Files[0].Name != "f" {
		t.Fatalf("files = %v", r.Files)
	}
	f, err := r.Files[0].Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func single(method uint16, pack func([]byte) []cabBlock, data []byte) []byte {
	var c cabinet
	c.add(method, pack, namedData{"f", data})
	return c.bytes()
}

// sameBytes fails the test with the first difference.
func sameBytes(t testing.TB, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	t.Fatalf("%d bytes, want %d; they differ from %d (frame %d + %d): % x, want % x",
		len(got), len(want), i, i/maxBlock, i%maxBlock, got[i:min(i+16, len(got))], want[i:min(i+16, len(want))])
}

func blocksOf(kinds ...int) func(int) (int, int) {
	i := -1
	return func(int) (int, int) {
		i++
		return kinds[i%len(kinds)], 20_011 + 7001*i%50_000
	}
}

func TestLZX(t *testing.T) {
	// A far repeat: 2.5 MiB, which is more than the largest window.
	far := noise(1_900_000, 4)
	far = append(far, far[:900_000]...)

	tests := []struct {
		name string
		plan lzxPlan
		data []byte
		uses []string // what the encoder must have had occasion for
	}{
		{"one byte", lzxPlan{bits: 15}, []byte{7}, []string{"literals"}},
		{"run of zeros", lzxPlan{bits: 15}, make([]byte, 100_000), []string{"257 bytes", "overlapping", "R0"}},
		{"log, window 15", lzxPlan{bits: 15}, fakeLog(400_000, 1), []string{"verbatim", "matches", "R1", "R2", "across the ring's end"}},
		{"log, window 17, aligned", lzxPlan{bits: 17, next: blocksOf(2)}, fakeLog(400_000, 2), []string{"aligned", "beyond 32 KiB", "across the ring's end"}},
		{"log, window 21", lzxPlan{bits: 21}, fakeLog(400_000, 3), []string{"beyond 32 KiB"}},
		{"far repeat, window 21", lzxPlan{bits: 21, next: blocksOf(1, 2)}, far, []string{"beyond 32 KiB", "257 bytes", "across the ring's end"}},
		{"noise, uncompressed", lzxPlan{bits: 16, next: blocksOf(3)}, noise(200_001, 5), []string{"uncompressed"}},
		{"all kinds in turn", lzxPlan{bits: 18, next: blocksOf(1, 3, 2, 2, 3, 1)}, fakeLog(700_000, 6), []string{"verbatim", "aligned", "uncompressed"}},
		{"blocks of one byte", lzxPlan{bits: 15, next: func(left int) (int, int) { return 1 + left%3, 1 }}, fakeLog(600, 7), []string{"whole word of padding"}},
		{"uncompressed to the end of a frame", lzxPlan{bits: 15, next: func(left int) (int, int) {
			return []int{1, 3}[left%2], []int{12_345, 32_768 - 12_345}[left%2]
		}}, fakeLog(32_768*6, 8), []string{"uncompressed"}},
		{"the same, padded later", lzxPlan{bits: 15, padNext: true, next: func(left int) (int, int) {
			return []int{1, 3}[left%2], []int{12_345, 32_768 - 12_345}[left%2]
		}}, fakeLog(32_768*6, 8), []string{"uncompressed", "pad byte in the next frame"}},
		{"calls", lzxPlan{bits: 21, e8: 200_000}, fakeCode(300_000, 9), []string{"e8"}},
		{"calls, small translation size", lzxPlan{bits: 15, e8: 1_000, next: blocksOf(3, 2)}, fakeCode(150_000, 10), []string{"e8"}},
		{"calls, large translation size", lzxPlan{bits: 17, e8: 1<<31 - 1, next: blocksOf(1, 2)}, fakeCode(150_000, 11), []string{"e8"}},
		{"nothing to translate", lzxPlan{bits: 15, e8: 12_000_000}, bytes.Repeat([]byte("no opcode of that kind. "), 3_000), nil},
		{"last frame shorter than the tail", lzxPlan{bits: 15, e8: 100_000}, append(fakeCode(32_768, 12), 0xe8, 1, 2, 3, 4, 5, 6, 7, 8, 9), []string{"e8"}},
		{"long codes", lzxPlan{bits: 15, next: func(int) (int, int) { return 1, 1 << 23 }}, fibonacci(), []string{"main codes beyond 11 bits"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.plan.used = map[string]int{}
			cab := single(test.plan.method(), packLZX(test.plan), test.data)
			for _, use := range test.uses {
				if test.plan.used[use] == 0 {
					t.Errorf("the encoder made no use of: %s; %v", use, test.plan.used)
				}
			}
			got, err := unpack(t, cab)
			if err != nil {
				t.Fatal(err)
			}
			sameBytes(t, got, test.data)
		})
	}
}

// fibonacci is data whose byte frequencies make Huffman codes as long as can be.
func fibonacci() []byte {
	var b []byte
	for i, x, y := 0, 1, 1; i < 24; i, x, y = i+1, y, x+y {
		b = append(b, bytes.Repeat([]byte{byte(i)}, x)...)
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
	return b
}

// Any data, encoded in any way, comes back.
func TestLZXRoundTrip(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 20
	}
	used := map[string]int{}
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 0xcab))
		plan := randomPlan(rng)
		data := randomData(rng, 1+rng.IntN(1<<(1+rng.IntN(18))))
		got, err := unpack(t, single(plan.method(), packLZX(plan), data))
		if err != nil {
			t.Fatalf("seed %d, %d bytes, window %d: %v", seed, len(data), plan.bits, err)
		}
		if !bytes.Equal(got, data) {
			t.Logf("seed %d, window %d, E8 size %d", seed, plan.bits, plan.e8)
			sameBytes(t, got, data)
		}
		for k, n := range plan.used {
			used[k] += n
		}
	}
	if testing.Short() {
		return
	}
	for _, use := range []string{
		"verbatim", "aligned", "uncompressed", "literals", "matches", "R0", "R1", "R2", "beyond 32 KiB", "257 bytes",
		"overlapping", "across the ring's end", "e8", "whole word of padding",
		"pretree symbol 17", "pretree symbol 18", "pretree symbol 19",
	} {
		if used[use] == 0 {
			t.Errorf("no round used: %s", use)
		}
	}
	t.Log(used)
}

// Streams that no encoder writes are refused, and say why.
func TestLZXErrors(t *testing.T) {
	// head begins a block; trees writes its trees for the main symbols in use.
	head := func(p *lzxPacker, kind uint32) {
		p.put(kind, 3)
		p.put(100, 24)
	}
	trees := func(p *lzxPacker, symbols ...int) {
		lens := make([]int, len(p.mainLens))
		for _, s := range symbols {
			lens[s] = 1
		}
		p.putLens(p.mainLens[:256], lens[:256])
		p.putLens(p.mainLens[256:], lens[256:])
		p.putLens(p.longLens, make([]int, len(p.longLens)))
	}
	tests := []struct {
		name  string
		write func(p *lzxPacker)
		want  string
	}{
		{"block type 0", func(p *lzxPacker) { head(p, 0) }, "block type 0"},
		{"block type 7", func(p *lzxPacker) { head(p, 7) }, "block type 7"},
		{"aligned tree", func(p *lzxPacker) { head(p, 2); p.put(0o11111111, 24) }, "aligned offset tree"},
		{"pretree", func(p *lzxPacker) { head(p, 1); p.put(0x1111, 16) }, "pretree"},
		{"empty pretree", func(p *lzxPacker) { head(p, 1); p.put(0, 16*5) }, "no code"},
		{"main tree", func(p *lzxPacker) { head(p, 1); trees(p, 'a', 'b', 'c') }, "main tree"},
		{"length tree", func(p *lzxPacker) {
			head(p, 1)
			p.putLens(p.mainLens[:256], make([]int, 256))
			p.putLens(p.mainLens[256:], make([]int, len(p.mainLens)-256))
			p.putLens(p.longLens, append([]int{1, 1, 1}, make([]int, 246)...))
		}, "length tree"},
		{"tree with a run beyond its end", func(p *lzxPacker) {
			head(p, 1)
			// Symbols 17 and 18 with codes 0 and 1: five runs of 51 leave one.
			for i := range 20 {
				p.put(map[int]uint32{17: 1, 18: 1}[i], 4)
			}
			for range 5 {
				p.put(0b1_11111, 6)
			}
			p.put(0, 5)
		}, "run beyond its end"},
		{"empty main tree", func(p *lzxPacker) { head(p, 1); trees(p) }, "no code"},
		{"match without a past", func(p *lzxPacker) { head(p, 1); trees(p, 'a', 256); p.put(1, 1) }, "match 1 bytes back"},
		{"match of a length without tree", func(p *lzxPacker) {
			head(p, 1)
			trees(p, 'a', 256+7)
			p.put(0b01, 2)
		}, "no code"},
		{"aligned match without tree", func(p *lzxPacker) {
			head(p, 2)
			p.put(0, 24)
			trees(p, 'a', 256+8*8)
			p.put(0b01, 2)
		}, "no code"},
		{"match longer than the frame", func(p *lzxPacker) {
			head(p, 1)
			trees(p, 'a', 256)
			p.put(0, 9)
			p.put(1, 1)
		}, "crosses the end"},
		{"offsets of zero", func(p *lzxPacker) {
			p.recent = [3]int{}
			p.data, p.before = []byte("abcd"), make([]int, 4)
			p.block(3, 4)
			head(p, 1)
			trees(p, 'a', 256)
			p.put(1, 1)
		}, "match 0 bytes back"},
		{"uncompressed without offsets", func(p *lzxPacker) { head(p, 3) }, "ends early"},
		{"nothing", func(*lzxPacker) {}, "block type 0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := &lzxPacker{lzxPlan: lzxPlan{bits: 15, used: map[string]int{}}, last: map[uint32]int{}, mainLens: make([]int, 256+8*30), longLens: make([]int, 249)}
			p.put(0, 1)
			test.write(p)
			p.align()
			out, err := newLZX(15).decode(p.frame, 10)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q, %v; want %q", out, err, test.want)
			}
		})
	}
}
