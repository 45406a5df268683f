package lab

import "encoding/binary"

// Packed is a file in a cabinet.
type Packed struct {
	Name string
	Data []byte
}

// cabinet packs one file, the way the update service's small answers come.
func cabinet(name string, data []byte) []byte { return Cabinet(Packed{name, data}) }

// Cabinet packs files, 2 GB of them at most, without compressing them. [MS-CAB]
// section 2.
func Cabinet(list ...Packed) []byte {
	const block = 32 << 10
	le := binary.LittleEndian
	var data []byte
	files := uint32(36 + 8)
	first := files
	for _, f := range list {
		data = append(data, f.Data...)
		first += 16 + uint32(len(f.Name)) + 1
	}
	blocks := max(1, (len(data)+block-1)/block)
	size := int(first) + 8*blocks + len(data)

	out := make([]byte, 0, size)
	out = append(out, "MSCF\x00\x00\x00\x00"...)
	out = le.AppendUint32(out, uint32(size))
	out = le.AppendUint32(out, 0)
	out = le.AppendUint32(out, files)
	out = le.AppendUint32(out, 0)
	out = append(out, 3, 1)       // version 1.3
	out = le.AppendUint16(out, 1) // folders
	out = le.AppendUint16(out, uint16(len(list)))
	out = append(out, 0, 0, 0, 0, 0, 0) // flags, set, index

	out = le.AppendUint32(out, first)
	out = le.AppendUint16(out, uint16(blocks))
	out = le.AppendUint16(out, 0) // not compressed

	at := uint32(0)
	for _, f := range list {
		out = le.AppendUint32(out, uint32(len(f.Data)))
		out = le.AppendUint32(out, at)
		at += uint32(len(f.Data))
		out = append(out, 0, 0)                           // folder
		out = le.AppendUint16(out, (2024-1980)<<9|1<<5|9) // date
		out = le.AppendUint16(out, 10<<11)                // time
		out = le.AppendUint16(out, 0x20)                  // archive
		out = append(append(out, f.Name...), 0)
	}

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
