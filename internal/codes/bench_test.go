package codes

import (
	"strings"
	"testing"
)

func BenchmarkLookup(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Lookup(0x8024401B); !ok {
			b.Fatal("not found")
		}
	}
}

func BenchmarkSymbol(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if HRESULT(0x8024401B).Symbol() == "" {
			b.Fatal("not found")
		}
	}
}

// BenchmarkSymbolIndex measures what the first symbol in a run costs.
func BenchmarkSymbolIndex(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if len(buildSymbolIndex()) == 0 {
			b.Fatal("empty")
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, s := range []string{"0x8024401B", "-2145107941", "407", "0xC1900101 - 0x20017", "WU_E_NO_SERVICE"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if Decode(0x80072EE7).Win32 != 12007 {
			b.Fatal("wrong")
		}
	}
}

func BenchmarkNear(b *testing.B) {
	for _, s := range []string{"0x8024401", "WU_E_NO_SERVCE", "proxy auth", "-214510794"} {
		b.Run(s, func(b *testing.B) {
			for b.Loop() {
				Near(s, 3)
			}
		})
	}
}

// BenchmarkFind runs over a megabyte of log in which one line in a hundred
// (sparse) or each line (dense) holds a code.
func BenchmarkFind(b *testing.B) {
	const (
		plain  = "2031/02/03 04:05:06.1234567 4321  8765  Agent           * START * Finding updates CallerId = UpdateOrchestrator, Id = 7, ServiceID = {11111111-2222-3333-4444-555555555555}\r\n"
		failed = "2031/02/03 04:05:06.1234567 4321  8765  ProtocolTalker  *FAILED* [8024401B] SyncUpdates failure, soap client error = 10, HTTP status code = 407\r\n"
	)
	for _, bench := range []struct{ name, block string }{
		{"sparse", strings.Repeat(plain, 99) + failed},
		{"dense", failed},
	} {
		text := strings.Repeat(bench.block, 1<<20/len(bench.block))
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if len(Find(text)) == 0 {
					b.Fatal("nothing found")
				}
			}
		})
	}
}
