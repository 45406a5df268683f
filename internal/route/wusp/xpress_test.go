package wusp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The examples of [MS-XCA] 3.1.
func TestUnpackSpecification(t *testing.T) {
	for _, tt := range []struct{ packed, want string }{
		{"3f 00 00 00 61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f 70 71 72 73 74 75 76 77 78 79 7a", "abcdefghijklmnopqrstuvwxyz"},
		{"ff ff ff 1f 61 62 63 17 00 0f ff 26 01", strings.Repeat("abc", 100)},
	} {
		got, err := unpack([]byte("before"), unhex(t, tt.packed), len(tt.want))
		if err != nil || string(got) != "before"+tt.want {
			t.Errorf("%s: %q, %v", tt.packed, got, err)
		}
	}
}

func TestExpandRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	noise := make([]byte, 40_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	var xml strings.Builder
	for i := range 500 {
		xml.WriteString(info(i, "Software", "Install", true, always))
	}
	// Runs of every length, so that every form of a match's length occurs.
	var runs []byte
	for n := range 700 {
		runs = append(append(runs, byte(n), byte(n>>8), 'x'), bytes.Repeat([]byte{byte(n * 7)}, n)...)
	}
	for name, in := range map[string][]byte{
		"empty": {}, "one": {'a'}, "two": []byte("ab"), "run": bytes.Repeat([]byte{'a'}, 200_000),
		"noise": noise, "xml": []byte(xml.String()), "runs": runs, "block": bytes.Repeat([]byte("ab"), 8176),
	} {
		packed := xpressed(in)
		out, err := expand(packed, 1<<24)
		if err != nil || !bytes.Equal(out, in) {
			t.Errorf("%s: %d bytes in %d come back as %d: %v", name, len(in), len(packed), len(out), err)
		}
		if len(in) > 8 && !looksPacked(packed) {
			t.Errorf("%s: not recognised", name)
		}
	}
	if looksPacked([]byte("<s:Envelope xmlns")) || looksPacked(nil) {
		t.Error("an envelope taken for xpress")
	}
}

func TestExpandHostile(t *testing.T) {
	block := func(size, packed uint32, data ...byte) []byte {
		return append(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, size), packed), data...)
	}
	bomb := bytes.Repeat(xpressed(make([]byte, 16352)), 2000)
	tests := []struct {
		name string
		in   []byte
		want error
	}{
		{"half a header", []byte{1, 0, 0}, errXpress},
		{"nothing", block(0, 0), errXpress},
		{"too large", block(65536, 4, 0, 0, 0, 0), errXpress},
		{"negative", block(0xffffffff, 4, 0, 0, 0, 0), errXpress},
		{"grows", block(4, 8, 0, 0, 0, 0, 0, 0, 0, 0), errXpress},
		{"block cut", block(100, 50, 1, 2, 3), errXpress},
		{"flags cut", block(100, 3, 0, 0, 0), errXpress},
		{"literal missing", block(100, 4, 0, 0, 0, 0), errXpress},
		{"match missing", block(100, 5, 0, 0, 0, 0x80, 1), errXpress},
		{"match before the block", block(100, 6, 0, 0, 0, 0x80, 0, 0), errXpress},
		{"match too long", block(9, 8, 0, 0, 0, 0x40, 'a', 7, 0, 0), errXpress},
		{"length cut", block(100, 7, 0, 0, 0, 0x40, 'a', 7, 0), errXpress},
		{"long length cut", block(100, 8, 0, 0, 0, 0x40, 'a', 7, 0, 15), errXpress},
		{"longer length cut", block(100, 10, 0, 0, 0, 0x40, 'a', 7, 0, 15, 255, 0), errXpress},
		{"longest length cut", block(100, 12, 0, 0, 0, 0x40, 'a', 7, 0, 15, 255, 0, 0, 1), errXpress},
		{"small in the long form", block(100, 11, 0, 0, 0, 0x40, 'a', 7, 0, 15, 255, 1, 0), errXpress},
		{"bomb", bomb, errBound},
	}
	for _, tt := range tests {
		if out, err := expand(tt.in, 1<<20); !errors.Is(err, tt.want) {
			t.Errorf("%s: %d bytes, %v", tt.name, len(out), err)
		}
	}
	// A length in four bytes, which only blocks beyond 64 KiB need.
	long := block(100, 15, 0, 0, 0, 0x40, 'a', 7, 0, 15, 255, 0, 0, 96, 0, 0, 0)
	if out, err := expand(long, 1000); err != nil || string(out) != strings.Repeat("a", 100) {
		t.Errorf("%q, %v", out, err)
	}
}
