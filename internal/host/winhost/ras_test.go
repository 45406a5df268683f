package winhost

import (
	"encoding/binary"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

func rasEntry(handle uint64, name string) []byte {
	b := make([]byte, rasSize)
	binary.LittleEndian.PutUint32(b, rasSize)
	binary.LittleEndian.PutUint64(b[rasHandle:], handle)
	for i, u := range utf16.Encode([]rune(name)) {
		binary.LittleEndian.PutUint16(b[rasName+2*i:], u)
	}
	return b
}

func TestRASParse(t *testing.T) {
	two := append(rasEntry(0x1122334455, "Büro"), rasEntry(7, "Fabrikam VPN")...)
	want := []rasConnection{{0x1122334455, "Büro"}, {7, "Fabrikam VPN"}}
	if d := cmp.Diff(want, rasParse(two, 2), cmp.AllowUnexported(rasConnection{})); d != "" {
		t.Error(d)
	}
	if got := rasParse(two[:rasSize+100], 2); len(got) != 1 {
		t.Errorf("cut off: %+v", got)
	}
	if got := rasParse(two, 0); len(got) != 0 {
		t.Errorf("none: %+v", got)
	}
}

func FuzzRASParse(f *testing.F) {
	f.Add(rasEntry(1, "a"), 1)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		if got := rasParse(b, n); len(got) > len(b)/rasSize {
			t.Errorf("%d connections in %d bytes", len(got), len(b))
		}
	})
}
