package authenticode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The longest signatures: that of a catalogue holds the catalogue.
const (
	maxSignature = 4 << 20
	maxCatalogue = 64 << 20
)

// read reads n bytes of a file that ends at size. What is not there is missing.
func read(r io.ReaderAt, size, off, n int64, missing error) ([]byte, error) {
	if off < 0 || n < 0 || off > size || n > size-off {
		return nil, missing
	}
	b := make([]byte, n)
	if _, err := r.ReadAt(b, off); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	} else if err != nil && int64(len(b)) < n {
		return nil, missing
	}
	return b, nil
}

// openPE finds the attribute certificate table of a program. The digest leaves out
// what signing changes: the checksum, the entry of the table, and the table itself.
//
// learn.microsoft.com: "PE Format", Optional Header and The Attribute Certificate
// Table; "Windows Authenticode Portable Executable Signature Format", Calculating the
// PE Image Hash.
func openPE(r io.ReaderAt, size int64) (*signedFile, error) {
	const (
		dosHeader  = 64
		headers    = 4 + 20 // "PE\0\0" and the COFF header
		checksumAt = 64     // in the optional header
		magic32    = 0x10b
		magic64    = 0x20b
		security   = 4 // index of the data directory
	)
	notPE := fmt.Errorf("%w: no PE header", ErrFormat)
	dos, err := read(r, size, 0, dosHeader, notPE)
	if err != nil {
		return nil, err
	}
	at := int64(binary.LittleEndian.Uint32(dos[0x3c:]))
	coff, err := read(r, size, at, headers, notPE)
	if err != nil {
		return nil, err
	}
	if string(coff[:4]) != "PE\x00\x00" {
		return nil, notPE
	}
	opt := at + headers
	optional, err := read(r, size, opt, int64(binary.LittleEndian.Uint16(coff[20:])), notPE)
	if err != nil {
		return nil, err
	}
	if len(optional) < 96 {
		return nil, notPE
	}
	dirs := 0
	switch binary.LittleEndian.Uint16(optional) {
	case magic32:
		dirs = 96
	case magic64:
		dirs = 112
	default:
		return nil, notPE
	}
	entry := dirs + security*8
	if len(optional) < entry+8 || binary.LittleEndian.Uint32(optional[dirs-4:]) <= security {
		return nil, ErrUnsigned // no room for one
	}
	tableAt := int64(binary.LittleEndian.Uint32(optional[entry:]))
	tableLen := int64(binary.LittleEndian.Uint32(optional[entry+4:]))
	switch {
	case tableAt == 0 && tableLen == 0:
		return nil, ErrUnsigned
	case tableAt >= size || tableLen == 0 || tableLen > size-tableAt:
		return nil, fmt.Errorf("%w: its place lies behind the end of the file", ErrStripped)
	case tableAt+tableLen != size:
		return nil, fmt.Errorf("%w: %d bytes stand behind it", ErrMalformed, size-tableAt-tableLen)
	case tableAt < opt+int64(len(optional)) || tableLen > maxSignature:
		return nil, fmt.Errorf("%w: %d bytes at %d", ErrMalformed, tableLen, tableAt)
	}
	table, err := read(r, size, tableAt, tableLen, ErrStripped)
	if err != nil {
		return nil, err
	}
	blob, err := certificate(table)
	if err != nil {
		return nil, err
	}
	span := func(from, to int64) io.Reader { return io.NewSectionReader(r, from, to-from) }
	return &signedFile{PE, []io.Reader{
		span(0, opt+checksumAt),
		span(opt+checksumAt+4, opt+int64(entry)),
		span(opt+int64(entry)+8, tableAt),
	}, blob}, nil
}

// certificate returns the PKCS #7 blob of an attribute certificate table
// (learn.microsoft.com: WIN_CERTIFICATE).
func certificate(table []byte) ([]byte, error) {
	const header, pkcs = 8, 2
	for range 8 {
		if len(table) < header {
			break
		}
		n := int64(binary.LittleEndian.Uint32(table))
		if n < header || n > int64(len(table)) {
			return nil, fmt.Errorf("%w: an entry of %d bytes in a table of %d", ErrMalformed, n, len(table))
		}
		if binary.LittleEndian.Uint16(table[6:]) == pkcs {
			return table[header:n], nil
		}
		table = table[min((n+7)&^7, int64(len(table))):]
	}
	return nil, fmt.Errorf("%w: the table holds none that is known", ErrMalformed)
}

// openCabinet finds the signature behind a cabinet: the cabinet's reserved area says
// where it stands. The digest is of everything up to it, without the reserved fields
// that signing fills, the number in a set, and the sizes of the reserved areas.
func openCabinet(r io.ReaderAt, size int64) (*signedFile, error) {
	const (
		header  = 36 // CFHEADER
		area    = 20 // what signing reserves; its first two bytes are 0, the next 16
		content = header + 4 + area
		reserve = 4 // the flag
	)
	h, err := read(r, size, 0, header, fmt.Errorf("%w: no cabinet", ErrFormat))
	if err != nil {
		return nil, err
	}
	length := int64(binary.LittleEndian.Uint32(h[8:]))
	if binary.LittleEndian.Uint16(h[30:])&reserve == 0 {
		return nil, ErrUnsigned
	}
	if h, err = read(r, size, 0, content, ErrUnsigned); err != nil {
		return nil, err
	}
	if binary.LittleEndian.Uint16(h[header:]) != area || binary.LittleEndian.Uint32(h[header+4:]) != 0x00100000 {
		return nil, ErrUnsigned // the packer reserved something for itself
	}
	at := int64(binary.LittleEndian.Uint32(h[44:]))
	n := int64(binary.LittleEndian.Uint32(h[48:]))
	switch {
	case n == 0 || at >= size || n > size-at:
		return nil, fmt.Errorf("%w: its place is empty or behind the end of the file", ErrStripped)
	case at != length || at < content || n > maxSignature:
		return nil, fmt.Errorf("%w: %d bytes at %d, behind a cabinet of %d", ErrMalformed, n, at, length)
	case size-at-n >= 8:
		return nil, fmt.Errorf("%w: %d bytes stand behind it", ErrMalformed, size-at-n)
	}
	blob, err := read(r, size, at, n, ErrStripped)
	if err != nil {
		return nil, err
	}
	span := func(from, to int64) io.Reader { return io.NewSectionReader(r, from, to-from) }
	return &signedFile{Cabinet, []io.Reader{span(0, 4), span(8, 34), span(56, 60), span(content, at)}, blob}, nil
}

// openCatalogue reads a catalogue, which is nothing but a signature with the list of
// what it vouches for in it.
func openCatalogue(r io.ReaderAt, size int64) (*signedFile, error) {
	if size > maxCatalogue {
		return nil, fmt.Errorf("%w: %d bytes", ErrFormat, size)
	}
	blob, err := read(r, size, 0, size, ErrFormat)
	if err != nil {
		return nil, err
	}
	return &signedFile{Catalogue, nil, blob}, nil
}
