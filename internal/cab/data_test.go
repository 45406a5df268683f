package cab

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// fakeLog invents n bytes in the manner of a component-based servicing log.
func fakeLog(n int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 1))
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "2031-02-03 %02d:%02d:%02d, ", i/3600%24, i/60%60, i%60)
		switch rng.IntN(5) {
		case 0:
			fmt.Fprintf(&b, "Info                  CBS    Session: 3%07d_%d initialized by client FabrikamUpdater, external staging directory: (null)\r\n", rng.IntN(1e7), rng.Uint32())
		case 1:
			fmt.Fprintf(&b, "Info                  CBS    Read out cached package applicability for package: Fabrikam-Feature%02d-Package~0123456789abcdef~amd64~~10.0.%d.%d, ApplicableState: %d, CurrentState:%d\r\n", rng.IntN(40), 10000+rng.IntN(99), rng.IntN(5000), 16*rng.IntN(8), 16*rng.IntN(8))
		case 2:
			fmt.Fprintf(&b, "Error                 CSI    %08x (F) STATUS_OBJECT_NAME_NOT_FOUND #%d# from Windows::Fabrikam::Example()[gle=0x%08x]\r\n", i, rng.IntN(1e6), uint32(0xd0000034))
		default:
			fmt.Fprintf(&b, "Info                  CSI    %08x [SR] Verifying %d components\r\n", i, rng.IntN(200))
		}
	}
	return b.Bytes()[:n]
}

// fakeCode invents n bytes that look to E8 translation like x86 code: calls of
// a few targets, some of them out of range, in every place of a frame.
func fakeCode(n int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 2))
	b := make([]byte, 0, n+16)
	for len(b) < n {
		switch rng.IntN(6) {
		case 0, 1: // call rel32
			target := rng.IntN(20) * n / 20
			b = append(b, 0xe8)
			b = binary.LittleEndian.AppendUint32(b, uint32(target-len(b)+1))
		case 2: // anything
			b = append(b, 0xe8)
			b = binary.LittleEndian.AppendUint32(b, rng.Uint32())
		case 3: // overlapping opcodes
			b = append(b, 0xe8, 0xe8, 0, 0)
		default:
			b = append(b, 0x55, 0x8b, 0xec, byte(rng.IntN(256)), 0x5d, 0xc3)
		}
	}
	return b[:n]
}

func noise(n int, seed uint64) []byte {
	b := make([]byte, 0, n+8)
	rng := rand.NewPCG(seed, 3)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, rng.Uint64())
	}
	return b[:n:n]
}

// randomData is n bytes of a mixture that changes now and then: noise, skewed
// bytes, repeats of what is near and far, runs, and calls.
func randomData(rng *rand.Rand, n int) []byte {
	b := make([]byte, 0, n)
	for len(b) < n {
		k := min(n-len(b), 1+rng.IntN(1+rng.IntN(20000)))
		switch kind := rng.IntN(6); {
		case kind == 0:
			b = append(b, noise(k, rng.Uint64())...)
		case kind == 1:
			for range k {
				b = append(b, byte(rng.ExpFloat64()*4))
			}
		case kind == 2:
			b = append(b, bytes.Repeat([]byte{byte(rng.Uint32())}, k)...)
		case kind == 3:
			b = append(b, fakeCode(k, rng.Uint64())...)
		case len(b) > 0:
			back := 1 + rng.IntN(len(b))
			if kind == 4 {
				back = 1 + rng.IntN(min(len(b), 300))
			}
			for range k {
				b = append(b, b[len(b)-back])
			}
		}
	}
	return b
}

// randomPlan is a way to encode with LZX that uses everything there is.
func randomPlan(rng *rand.Rand) lzxPlan {
	p := lzxPlan{bits: 15 + rng.IntN(7), rng: rng, padNext: rng.IntN(2) == 0, used: map[string]int{}}
	if rng.IntN(2) == 0 {
		p.e8 = int32(1 + rng.Uint32N(1<<uint(5+rng.IntN(26))))
	}
	most := 1 << (9 + rng.IntN(9)) // with smaller blocks, a frame might not fit its 16-bit length
	p.next = func(int) (int, int) { return 1 + rng.IntN(3), 1 + rng.IntN(most) }
	return p
}
