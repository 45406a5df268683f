package host

import (
	"bytes"
	"testing"
)

// FuzzWithoutRename: whatever a sick machine's list holds, what is not the pair that was
// asked for stays, and the pair is gone.
func FuzzWithoutRename(f *testing.F) {
	utf16 := func(s string) []byte {
		var b []byte
		for _, r := range s {
			b = append(b, byte(r), 0)
		}
		return b
	}
	const a, b = `C:\a`, `C:\b`
	f.Add(utf16(`\??\C:\a` + "\x00" + `!\??\C:\b` + "\x00\x00"))
	f.Add(utf16(`\??\C:\x` + "\x00\x00" + `\??\c:\A` + "\x00" + `\??\C:\b` + "\x00\x00"))
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, list []byte) {
		rest, found := withoutRename(list, a, b)
		again, more := withoutRename(rest, a, b)
		if more || !bytes.Equal(again, rest) {
			t.Fatalf("%q, then %q", rest, again)
		}
		if len(rest) > len(list)+4 || found && len(rest) >= len(list) { // two NULs that were missing
			t.Fatalf("%d bytes became %d", len(list), len(rest))
		}
	})
}
