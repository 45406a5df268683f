package main

import "encoding/binary"

// forwarder returns a 64-bit DLL that has one exported function and nothing else:
// whoever calls it gets a function of another DLL. target is "DLL.Function".
// learn.microsoft.com: "PE Format", Export Address Table, forwarder RVA.
func forwarder(name, function, target string) []byte {
	const (
		fileAlign = 0x200  // where the section lies in the file
		imageBase = 0x1000 // and in memory
	)
	le := binary.LittleEndian

	// The only section is the export directory: its table of 40 bytes, one address,
	// one name, one ordinal, and the strings.
	dir := make([]byte, 40+4+4+2, fileAlign)
	at := func(s string) uint32 {
		rva := uint32(imageBase + len(dir))
		dir = append(append(dir, s...), 0)
		return rva
	}
	own, exported, forward := at(name), at(function), at(target)
	size := uint32(len(dir)) // an address inside of this range is a forwarder
	for i, v := range map[int]uint32{
		12: own, 16: 1, 20: 1, 24: 1, // first ordinal; one function, one name
		28: imageBase + 40, 32: imageBase + 44, 36: imageBase + 48,
		40: forward, 44: exported,
	} {
		le.PutUint32(dir[i:], v)
	}

	head := make([]byte, fileAlign)
	copy(head, "MZ")
	le.PutUint32(head[0x3C:], 0x40)
	pe := head[0x40:]
	copy(pe, "PE\x00\x00")
	le.PutUint16(pe[4:], 0x8664)  // x64
	le.PutUint16(pe[6:], 1)       // one section
	le.PutUint16(pe[20:], 240)    // size of the optional header
	le.PutUint16(pe[22:], 0x2022) // executable, large addresses, DLL
	opt := pe[24:]
	le.PutUint16(opt, 0x20B) // PE32+
	for i, v := range map[int]uint32{
		8: fileAlign, 32: imageBase, 36: fileAlign, 40: 6, 48: 6, 56: 2 * imageBase, 60: fileAlign,
		108: 16, 112: imageBase, 116: size, // 16 directories, the first of which is the exports
	} {
		le.PutUint32(opt[i:], v)
	}
	le.PutUint64(opt[24:], 0x66600000)
	le.PutUint16(opt[68:], 3)      // console
	le.PutUint16(opt[70:], 0x0140) // may be moved, no code
	for i, v := range map[int]uint64{72: 0x100000, 80: 0x1000, 88: 0x100000, 96: 0x1000} {
		le.PutUint64(opt[i:], v)
	}
	section := opt[240:]
	copy(section, ".edata")
	for i, v := range map[int]uint32{8: fileAlign, 12: imageBase, 16: fileAlign, 20: fileAlign, 36: 0x40000040} {
		le.PutUint32(section[i:], v)
	}
	return append(head, dir[:fileAlign]...)
}
