package hosttest

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Dir writes files below a folder of the test and returns it.
func Dir(t testing.TB, files []File) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		p := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(f.Data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Zip packs files; names are taken as they are.
func Zip(t testing.TB, files []File) string {
	t.Helper()
	data, err := PackZip(files)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// PackZip is Zip outside of a test.
func PackZip(files []File) (string, error) {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	packer, err := flate.NewWriter(nil, flate.BestSpeed) // one for all: there may be thirty thousand files
	if err != nil {
		return "", err
	}
	w.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { packer.Reset(w); return packer, nil })
	for _, f := range files {
		m, err := w.CreateHeader(&zip.FileHeader{Name: f.Name, Method: zip.Deflate, Modified: time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)})
		if err != nil {
			return "", err
		}
		if _, err := m.Write([]byte(f.Data)); err != nil {
			return "", err
		}
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return b.String(), nil
}

// Cabinet packs files without compression ([MS-CAB]): one folder, no checksums.
func Cabinet(files []File) string {
	le := binary.LittleEndian
	const block = 32 << 10
	var table, all []byte
	for _, f := range files {
		table = le.AppendUint32(table, uint32(len(f.Data)))
		table = le.AppendUint32(table, uint32(len(all)))
		for _, w := range []uint16{0, (2031-1980)<<9 | 2<<5 | 3, 4<<11 | 5<<5 | 3, 0x20} {
			table = le.AppendUint16(table, w)
		}
		table = append(table, strings.ReplaceAll(f.Name, "/", `\`)+"\x00"...)
		all = append(all, f.Data...)
	}
	var data []byte
	blocks := 0
	for chunk := range slices.Chunk(all, block) {
		data = le.AppendUint32(data, 0)
		data = le.AppendUint16(data, uint16(len(chunk)))
		data = le.AppendUint16(data, uint16(len(chunk)))
		data = append(data, chunk...)
		blocks++
	}
	const head, folder = 36, 8
	out := []byte("MSCF")
	for _, v := range []uint32{0, uint32(head + folder + len(table) + len(data)), 0, head + folder, 0} {
		out = le.AppendUint32(out, v)
	}
	out = append(out, 3, 1)
	for _, v := range []uint16{1, uint16(len(files)), 0, 0, 0} {
		out = le.AppendUint16(out, v)
	}
	out = le.AppendUint32(out, uint32(head+folder+len(table)))
	out = le.AppendUint16(out, uint16(blocks))
	out = le.AppendUint16(out, 0)
	return string(slices.Concat(out, table, data))
}

// HiveKey is a key of a hive to be written.
type HiveKey struct {
	Name   string
	Values []Value
	Keys   []HiveKey
}

// Hive writes a registry hive: one bin, names in ASCII, subkeys in "lf" lists
// (M. Suhanov, "Windows registry file format specification").
func Hive(root HiveKey) []byte {
	w := &hiveWriter{b: make([]byte, 32)} // the head of the bin
	top := w.key(root, 0, 0x0C)
	size := (len(w.b) + 4095) &^ 4095
	if free := size - len(w.b); free > 0 {
		w.b = append(w.b, make([]byte, free)...)
		binary.LittleEndian.PutUint32(w.b[size-free:], uint32(free))
	}
	le := binary.LittleEndian
	copy(w.b, "hbin")
	le.PutUint32(w.b[8:], uint32(size))
	base := make([]byte, 4096)
	copy(base, "regf")
	for off, v := range map[int]uint32{4: 1, 8: 1, 20: 1, 24: 5, 32: 1, 36: top, 40: uint32(size), 44: 1} {
		le.PutUint32(base[off:], v)
	}
	var sum uint32
	for i := 0; i < 508; i += 4 {
		sum ^= le.Uint32(base[i:])
	}
	le.PutUint32(base[508:], sum)
	return append(base, w.b...)
}

type hiveWriter struct{ b []byte }

// cell writes a cell and returns its offset.
func (w *hiveWriter) cell(data []byte) uint32 {
	off := uint32(len(w.b))
	cell := make([]byte, (4+len(data)+7)&^7)
	binary.LittleEndian.PutUint32(cell, uint32(-len(cell)))
	copy(cell[4:], data)
	w.b = append(w.b, cell...)
	return off
}

func (w *hiveWriter) key(k HiveKey, parent uint32, flags uint16) uint32 {
	const none = 0xFFFFFFFF
	le := binary.LittleEndian
	node := append(make([]byte, 76), k.Name...)
	copy(node, "nk")
	le.PutUint16(node[2:], flags|0x20) // the name is Latin-1
	for off, v := range map[int]uint32{16: parent, 20: uint32(len(k.Keys)), 28: none, 32: none, 36: uint32(len(k.Values)), 40: none, 44: none, 48: none} {
		le.PutUint32(node[off:], v)
	}
	le.PutUint16(node[72:], uint16(len(k.Name)))
	off := w.cell(node)
	var list []byte
	for _, v := range k.Values {
		list = le.AppendUint32(list, w.value(v))
	}
	if len(list) > 0 {
		at := w.cell(list)
		le.PutUint32(w.b[off+4+40:], at)
	}
	if len(k.Keys) > 0 {
		subs := slices.SortedFunc(slices.Values(k.Keys), func(a, b HiveKey) int { return strings.Compare(strings.ToUpper(a.Name), strings.ToUpper(b.Name)) })
		list = le.AppendUint16([]byte("lf"), uint16(len(subs)))
		for _, s := range subs {
			list = le.AppendUint32(list, w.key(s, off, 0))
			list = append(list, (s.Name + "\x00\x00\x00\x00")[:4]...)
		}
		at := w.cell(list)
		le.PutUint32(w.b[off+4+28:], at)
	}
	return off
}

func (w *hiveWriter) value(v Value) uint32 {
	le := binary.LittleEndian
	kind, size, data := uint32(4), uint32(1<<31|4), v.Number // a number stands in place of its offset
	if v.Text != "" {
		text := []byte(UTF16(v.Text + "\x00"))
		kind, size, data = 1, uint32(len(text)), w.cell(text)
	}
	b := append(make([]byte, 20), v.Name...)
	copy(b, "vk")
	le.PutUint16(b[2:], uint16(len(v.Name)))
	le.PutUint32(b[4:], size)
	le.PutUint32(b[8:], data)
	le.PutUint32(b[12:], kind)
	le.PutUint16(b[16:], 1) // the name is Latin-1
	return w.cell(b)
}
