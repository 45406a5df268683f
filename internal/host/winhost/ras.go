package winhost

import (
	"encoding/binary"
	"slices"
	"unicode/utf16"
)

// A connection of the dialler, RASCONNW, as a 64-bit Windows packs it: four bytes at a
// time, which no Go structure is. learn.microsoft.com: "RASCONNW structure (ras.h)".
const (
	rasSize   = 1388
	rasHandle = 4  // HRASCONN
	rasName   = 12 // 257 characters
	rasChars  = 257
)

// rasConnection is a connection that stands.
type rasConnection struct {
	handle uintptr
	name   string
}

// rasParse reads the connections that the dialler put one behind the other.
func rasParse(buf []byte, count int) []rasConnection {
	var out []rasConnection
	for ; count > 0 && len(buf) >= rasSize; count, buf = count-1, buf[rasSize:] {
		name := make([]uint16, rasChars)
		for i := range name {
			name[i] = binary.LittleEndian.Uint16(buf[rasName+2*i:])
		}
		if end := slices.Index(name, 0); end >= 0 {
			name = name[:end]
		}
		out = append(out, rasConnection{uintptr(binary.LittleEndian.Uint64(buf[rasHandle:])), string(utf16.Decode(name))})
	}
	return out
}
