package cab

import (
	"bytes"
	"io"
	"testing"
)

func BenchmarkReader(b *testing.B) {
	log := fakeLog(4<<20, 50)
	code := fakeCode(1<<20, 51)
	aligned := lzxPlan{bits: 21, next: func(int) (int, int) { return 2, 1 << 18 }}
	verbatim := lzxPlan{bits: 21, next: func(int) (int, int) { return 1, 1 << 18 }}
	calls := lzxPlan{bits: 21, e8: 1 << 20, next: aligned.next}
	benches := []struct {
		name   string
		method uint16
		pack   func([]byte) []cabBlock
		data   []byte
	}{
		{"none", 0, packNone, log},
		{"MSZIP", 1, packMSZIP, log},
		{"LZX/log/verbatim", verbatim.method(), packLZX(verbatim), log},
		{"LZX/log/aligned", aligned.method(), packLZX(aligned), log},
		{"LZX/code", calls.method(), packLZX(calls), code},
		{"LZX/noise", verbatim.method(), packLZX(verbatim), noise(1<<20, 52)},
	}
	for _, bench := range benches {
		b.Run(bench.name, func(b *testing.B) {
			cab := single(bench.method, bench.pack, bench.data)
			r, err := NewReader(bytes.NewReader(cab), int64(len(cab)))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(bench.data)))
			b.ReportAllocs()
			b.ReportMetric(float64(len(bench.data))/float64(len(cab)), "ratio")
			for b.Loop() {
				f, err := r.Files[0].Open()
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, f); err != nil || n != int64(len(bench.data)) {
					b.Fatal(n, err)
				}
				f.Close()
			}
		})
	}
}
