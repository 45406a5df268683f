package lab

import "encoding/binary"

// cabinet packs one file into a cabinet without compressing it, the way the update
// service's small answers come. [MS-CAB] section 2.
func cabinet(name string, data []byte) []byte {
	const block = 32 << 10
	le := binary.LittleEndian
	blocks := max(1, (len(data)+block-1)/block)
	files := uint32(36 + 8)
	first := files + 16 + uint32(len(name)) + 1
	size := int(first) + 8*blocks + len(data)

	out := make([]byte, 0, size)
	out = append(out, "MSCF\x00\x00\x00\x00"...)
	out = le.AppendUint32(out, uint32(size))
	out = le.AppendUint32(out, 0)
	out = le.AppendUint32(out, files)
	out = le.AppendUint32(out, 0)
	out = append(out, 3, 1)             // version 1.3
	out = le.AppendUint16(out, 1)       // folders
	out = le.AppendUint16(out, 1)       // files
	out = append(out, 0, 0, 0, 0, 0, 0) // flags, set, index

	out = le.AppendUint32(out, first)
	out = le.AppendUint16(out, uint16(blocks))
	out = le.AppendUint16(out, 0) // not compressed

	out = le.AppendUint32(out, uint32(len(data)))
	out = append(out, 0, 0, 0, 0, 0, 0)               // offset, folder
	out = le.AppendUint16(out, (2024-1980)<<9|1<<5|9) // date
	out = le.AppendUint16(out, 10<<11)                // time
	out = le.AppendUint16(out, 0x20)                  // archive
	out = append(append(out, name...), 0)

	for i := range blocks {
		b := data[i*block : min(len(data), (i+1)*block)]
		head := le.AppendUint16(le.AppendUint16(nil, uint16(len(b))), uint16(len(b)))
		out = le.AppendUint32(out, cabSum(b)^cabSum(head))
		out = append(append(out, head...), b...)
	}
	return out
}

// cabSum is the checksum of a data block: the exclusive or of its words, of which the
// last, if it is short, is read in the other order. [MS-CAB] section 3.1.
func cabSum(b []byte) uint32 {
	var sum uint32
	for ; len(b) >= 4; b = b[4:] {
		sum ^= binary.LittleEndian.Uint32(b)
	}
	var rest uint32
	for _, c := range b {
		rest = rest<<8 | uint32(c)
	}
	return sum ^ rest
}
