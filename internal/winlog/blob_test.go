package winlog

import (
	"bytes"
	hexenc "encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hexenc.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// zeros32 is the usual end of DefaultConnectionSettings.
const zeros32 = "0000000000000000000000000000000000000000000000000000000000000000"

var proxyBlobs = []struct {
	name  string
	hex   string
	parse func([]byte) (ProxyBlob, error)
	want  ProxyBlob
	// direct, static, auto, detect
	flags [4]bool
}{
	{
		"direct", "18000000 00000000 01000000 00000000 00000000", ParseWinHTTPBlob,
		ProxyBlob{Mark: 0x18, Flags: 1},
		[4]bool{true, false, false, false},
	},
	{
		"proxy and bypass", "18000000 00000000 03000000 08000000 7072783a38303830 0d000000 3c6c6f63616c3e3b2a2e6c616e", ParseWinHTTPBlob,
		ProxyBlob{Mark: 0x18, Flags: 3, Proxy: "prx:8080", Bypass: "<local>;*.lan"},
		[4]bool{false, true, false, false},
	},
	{
		"WinHTTP with a tail", "18000000 00000000 01000000 00000000 00000000 05", ParseWinHTTPBlob,
		ProxyBlob{Mark: 0x18, Flags: 1, Tail: []byte{5}},
		[4]bool{true, false, false, false},
	},
	{
		"newer mark with PAC", "28000000 00000000 05000000 00000000 00000000 0e000000 687474703a2f2f702f782e706163 0000", ParseWinHTTPBlob,
		ProxyBlob{Mark: 0x28, Flags: 5, PAC: "http://p/x.pac", Tail: []byte{0, 0}},
		[4]bool{false, false, true, false},
	},
	{
		"newer mark without PAC", "28000000 00000000 09000000 00000000 00000000", ParseWinHTTPBlob,
		ProxyBlob{Mark: 0x28, Flags: 9},
		[4]bool{false, false, false, true},
	},
	{
		"newer mark with something else behind", "28000000 00000000 01000000 00000000 00000000 02000000 01020304", ParseWinHTTPBlob,
		ProxyBlob{Mark: 0x28, Flags: 1, Tail: []byte{2, 0, 0, 0, 1, 2, 3, 4}},
		[4]bool{true, false, false, false},
	},
	{
		"Internet settings", "46000000 02000000 0f000000 08000000 7072783a38303830 0d000000 3c6c6f63616c3e3b2a2e6c616e 0e000000 687474703a2f2f702f782e706163" + zeros32, ParseConnectionBlob,
		ProxyBlob{Mark: 0x46, Counter: 2, Flags: 15, Proxy: "prx:8080", Bypass: "<local>;*.lan", PAC: "http://p/x.pac", Tail: make([]byte, 32)},
		[4]bool{false, true, true, true},
	},
	{
		"old Internet settings", "3c000000 ff010000 01000000 00000000 00000000 00000000 04", ParseConnectionBlob,
		ProxyBlob{Mark: 0x3C, Counter: 511, Flags: 1, Tail: []byte{4}},
		[4]bool{true, false, false, false},
	},
}

func TestProxyBlob(t *testing.T) {
	for _, tt := range proxyBlobs {
		in := unhex(t, tt.hex)
		got, err := tt.parse(in)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if d := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(ProxyBlob{}), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
		if flags := [4]bool{got.Direct(), got.Static(), got.Auto(), got.Detect()}; flags != tt.flags {
			t.Errorf("%s: flags %v, want %v", tt.name, flags, tt.flags)
		}
		if out := got.Encode(); !bytes.Equal(out, in) {
			t.Errorf("%s: encodes to\n% x\nnot\n% x", tt.name, out, in)
		}
	}
}

func TestProxyBlobErrors(t *testing.T) {
	for _, tt := range proxyBlobs {
		in := unhex(t, tt.hex)
		texts := 16 + 4 + len(tt.want.Proxy) + len(tt.want.Bypass)
		for n := range texts {
			if _, err := tt.parse(in[:n]); !errors.Is(err, errBlobShort) {
				t.Errorf("%s cut at %d: %v", tt.name, n, err)
			}
		}
		for _, mark := range []byte{0, 0x17, 0xFF} {
			bad := bytes.Clone(in)
			bad[0] = mark
			if _, err := tt.parse(bad); !errors.Is(err, errBlobMark) {
				t.Errorf("%s with mark %#x: %v", tt.name, mark, err)
			}
		}
	}
	if _, err := ParseConnectionBlob(unhex(t, "18000000 00000000 01000000 00000000 00000000")); !errors.Is(err, errBlobMark) {
		t.Errorf("WinHTTP data as Internet settings: %v", err)
	}
	if _, err := ParseConnectionBlob(unhex(t, "46000000 00000000 01000000 00000000 00000000 01")); !errors.Is(err, errBlobShort) {
		t.Errorf("no PAC: %v", err)
	}
	if _, err := ParseWinHTTPBlob(unhex(t, "18000000 00000000 03000000 ffffffff 41")); !errors.Is(err, errBlobShort) {
		t.Errorf("huge length: %v", err)
	}
}

// TestProxyBlobRoundTrip: what is built, written and read again is the same.
func TestProxyBlobRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		b := make([]byte, r.IntN(40))
		for i := range b {
			b[i] = byte(1 + r.IntN(255))
		}
		return string(b)
	}
	for range 2000 {
		p := ProxyBlob{Counter: r.Uint32(), Flags: r.Uint32(), Proxy: text(), Bypass: text(), Tail: []byte(text())}
		parse := ParseWinHTTPBlob
		switch r.IntN(4) {
		case 0:
			p.Mark = MarkWinHTTP
		case 1:
			p.Mark, p.PAC = MarkWinHTTPNew, "https://wpad.fabrikam.example/"+strings.Repeat("x", r.IntN(20))
		case 2:
			p.Mark, p.PAC, parse = MarkConnection, text(), ParseConnectionBlob
		case 3:
			p.Mark, p.PAC, parse = MarkConnectionOld, text(), ParseConnectionBlob
		}
		got, err := parse(p.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(p, got, cmpopts.IgnoreUnexported(ProxyBlob{}), cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("(-want +got):\n%s", d)
		}
	}
}

func FuzzProxyBlob(f *testing.F) {
	for _, tt := range proxyBlobs {
		f.Add(unhex(f, tt.hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func([]byte) (ProxyBlob, error){ParseWinHTTPBlob, ParseConnectionBlob} {
			if p, err := parse(b); err == nil && !bytes.Equal(p.Encode(), b) {
				t.Errorf("% x encodes to % x", b, p.Encode())
			}
		}
	})
}

func BenchmarkProxyBlob(b *testing.B) {
	in := unhex(b, proxyBlobs[6].hex)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseConnectionBlob(in); err != nil {
			b.Fatal(err)
		}
	}
}
