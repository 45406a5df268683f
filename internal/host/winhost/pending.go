package winhost

import (
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// splitMulti splits the data of PendingFileRenameOperations, a REG_MULTI_SZ of
// which, against the rule for that type, every second string may be empty.
func splitMulti(b []byte) []string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	if n := len(units); n > 0 && units[n-1] == 0 {
		units = units[:n-1] // the NUL that ends the list
	}
	var out []string
	for len(units) > 0 {
		end := 0
		for end < len(units) && units[end] != 0 {
			end++
		}
		out = append(out, string(utf16.Decode(units[:end])))
		units = units[min(end+1, len(units)):]
	}
	return out
}

// multiBytes is the reverse of splitMulti.
func multiBytes(list []string) []byte {
	var b []byte
	for _, s := range list {
		for _, u := range utf16.Encode([]rune(s)) {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
		b = append(b, 0, 0)
	}
	return append(b, 0, 0)
}

// withoutPending takes the pairs that move from to to out of a list, and reports
// whether there were any.
func withoutPending(list []string, from, to string) (rest []string, found bool) {
	same := func(entry, p string) bool {
		entry = strings.TrimPrefix(strings.TrimPrefix(entry, "!"), `\??\`)
		return strings.EqualFold(strings.TrimPrefix(entry, `\\?\`), p)
	}
	for i := 0; i < len(list); i += 2 {
		pair := list[i:min(i+2, len(list))]
		if len(pair) == 2 && same(pair[0], from) && same(pair[1], to) {
			found = true
			continue
		}
		rest = append(rest, pair...)
	}
	return rest, found
}
