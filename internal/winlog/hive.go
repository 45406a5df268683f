package winlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
)

// Registry hives, the files behind the registry's branches:
//
//	base block  4 KiB  "regf", two sequence numbers, version, root key, size
//	hive bins          "hbin" blocks made of cells: size i32 (negative: in use),
//	                   then "nk" (key), "vk" (value), "lf" "lh" "li" "ri" (lists
//	                   of subkeys), "db" (data of more than 16344 bytes), or data
//
// All references are offsets from the end of the base block. Microsoft does not
// document the format; M. Suhanov, "Windows registry file format specification"
// does. A hive that is copied from a running machine is behind: its last changes
// are still in its .LOG files, which are not applied here.

const (
	hiveBase      = 4096
	hiveMaxDepth  = 512 // as deep as Windows lets keys nest
	hiveMaxList   = 8   // lists of lists of subkeys
	hivePageSize  = 64 << 10
	hivePages     = 128   // pages held: 8 MiB
	hiveSegment   = 16344 // bytes of data in one cell of big data
	hiveNone      = 0xFFFFFFFF
	hiveKeyASCII  = 0x20 // flag of a key: its name is Latin-1
	hiveKeyPredef = 0x40 // flag of a key: a handle, its value fields mean something else

	currentControlSet = "CurrentControlSet"
)

// ErrHiveDirty says that a hive was in use when it was copied: everything in it
// was read, but the machine's latest changes are in log files beside it.
var ErrHiveDirty = errors.New("the hive was copied while it was in use, its latest changes are missing")

var (
	errNotHive = errors.New("not a registry hive")
	// errHiveLoop stops a hive that refers to the same cells over and over.
	errHiveLoop = errors.New("registry hive refers to its own parts too often")
)

// HiveRoot returns the branch that a hive file of that name (or path) holds, or
// "" if the name tells nothing. SAM and SECURITY hold credentials and have none.
func HiveRoot(name string) string {
	base := strings.ToUpper(path.Base(strings.ReplaceAll(name, `\`, "/")))
	for _, ext := range [...]string{".HIV", ".HIVE", ".DAT", ".REGF"} {
		base = strings.TrimSuffix(base, ext)
	}
	switch base {
	case "SOFTWARE", "SYSTEM", "COMPONENTS", "DRIVERS":
		return `HKLM\` + base
	case "NTUSER":
		return "HKCU"
	case "DEFAULT":
		return `HKU\.DEFAULT`
	}
	return ""
}

// ReadHive reads a hive of size bytes and calls fn for every key and value, keys
// before their values and subkeys. Paths begin with root (see [HiveRoot]). In
// HKLM\SYSTEM the control set that Select names as current appears under the name
// CurrentControlSet, which exists only while Windows runs.
//
// It returns the error of fn. After everything that can be read was delivered it
// returns an [*UnreadError] for cells that made no sense and [ErrHiveDirty],
// joined if both apply.
func ReadHive(ctx context.Context, ra io.ReaderAt, size int64, root string, fn func(RegEntry) error) error {
	return readHive(ctx, ra, size, root, nil, fn)
}

// HiveKeys is ReadHive for the keys in want alone, paths as fn sees them, in any
// letter case: their values and the names of the keys directly below them. The
// rest of the hive is not read, so that a key of a large hive costs what leads to
// it. A key that does not exist is not announced.
func HiveKeys(ctx context.Context, ra io.ReaderAt, size int64, root string, want []string, fn func(RegEntry) error) error {
	tree := &hiveWant{}
	for _, w := range want {
		rest, ok := below(w, root)
		if ok {
			tree.add(rest)
		}
	}
	return readHive(ctx, ra, size, root, tree, fn)
}

// below returns what follows root in path.
func below(path, root string) (string, bool) {
	path, root = strings.ToLower(strings.Trim(path, `\`)), strings.ToLower(root)
	rest, ok := strings.CutPrefix(path, root)
	if !ok || rest != "" && rest[0] != '\\' {
		return "", false
	}
	return strings.TrimPrefix(rest, `\`), true
}

// hiveWant is the part of a hive that is asked for: a tree of lower-case names.
// nil means everything.
type hiveWant struct {
	self     bool // this key: its values and the names of its subkeys
	children map[string]*hiveWant
}

func (w *hiveWant) add(path string) {
	for path != "" {
		var name string
		name, path, _ = strings.Cut(path, `\`)
		if w.children == nil {
			w.children = map[string]*hiveWant{}
		}
		next := w.children[name]
		if next == nil {
			next = &hiveWant{}
			w.children[name] = next
		}
		w = next
	}
	w.self = true
}

// child returns what is wanted in or below a subkey: nil for all of it. ok is false
// if nothing is.
func (w *hiveWant) child(name string) (next *hiveWant, ok bool) {
	if w == nil {
		return nil, true
	}
	next, ok = w.children[strings.ToLower(name)]
	return next, ok
}

// delivers tells whether the key itself is delivered.
func (w *hiveWant) delivers() bool { return w == nil || w.self }

// names tells whether subkeys are announced by name that are not delivered.
func (w *hiveWant) names() bool { return w != nil && w.self }

// hive is a hive being read.
type hive struct {
	ctx    context.Context
	ra     io.ReaderAt
	size   int64
	fn     func(RegEntry) error
	unread UnreadError

	pages   map[int64][]byte
	visited map[uint32]struct{} // keys: a key has one place
	budget  int64               // bytes of cells that may still be read
	current string              // lower-case name of the current control set
	failed  error               // of the source
}

func readHive(ctx context.Context, ra io.ReaderAt, size int64, root string, want *hiveWant, fn func(RegEntry) error) error {
	h := &hive{
		ctx: ctx, ra: ra, size: size, fn: fn,
		unread:  UnreadError{What: "cells"},
		pages:   map[int64][]byte{},
		visited: map[uint32]struct{}{},
		// Every cell of an honest hive is read once or twice.
		budget: 8*size + 1<<20,
	}
	if root == "" {
		return errors.New("read registry hive: its place in the registry is not known")
	}
	var base [512]byte
	if size < hiveBase+32 {
		return errNotHive
	}
	if _, err := ra.ReadAt(base[:], 0); err != nil {
		return fmt.Errorf("read registry hive: %w", err)
	}
	if !bytes.HasPrefix(base[:], []byte("regf")) {
		return errNotHive
	}
	top := binary.LittleEndian.Uint32(base[36:])
	if strings.EqualFold(root, `HKLM\SYSTEM`) {
		h.current = h.selected(top)
	}
	if err := h.key(top, root, want, 0); err != nil {
		return fmt.Errorf("read registry hive: %w", err)
	}
	var dirty error
	if binary.LittleEndian.Uint32(base[4:]) != binary.LittleEndian.Uint32(base[8:]) {
		dirty = ErrHiveDirty
	}
	return errors.Join(h.unread.orNil(), dirty)
}

// read fills b from a place in the file through the page cache.
func (h *hive) read(b []byte, off int64) bool {
	if off < 0 || off+int64(len(b)) > h.size {
		return false
	}
	for len(b) > 0 {
		number := off / hivePageSize
		page, ok := h.pages[number]
		if !ok {
			if page, ok = h.load(number); !ok {
				return false
			}
		}
		from := int(off - number*hivePageSize)
		if from >= len(page) {
			return false
		}
		n := copy(b, page[from:])
		b, off = b[n:], off+int64(n)
	}
	return true
}

func (h *hive) load(number int64) ([]byte, bool) {
	if h.failed != nil {
		return nil, false
	}
	var page []byte
	if len(h.pages) >= hivePages {
		for old, p := range h.pages { // any page: the walk jumps about
			delete(h.pages, old)
			page = p[:hivePageSize:hivePageSize]
			break
		}
	} else {
		page = make([]byte, hivePageSize)
	}
	n, err := h.ra.ReadAt(page, number*hivePageSize)
	if err != nil && !errors.Is(err, io.EOF) {
		h.failed = err
		return nil, false
	}
	page = page[:n]
	h.pages[number] = page
	return page, true
}

// cell returns a copy of the first limit bytes of the cell at off, or nil.
func (h *hive) cell(off uint32, limit int) []byte {
	var head [4]byte
	at := hiveBase + int64(off)
	if off == hiveNone || !h.read(head[:], at) {
		return nil
	}
	n := -int64(int32(binary.LittleEndian.Uint32(head[:]))) - 4
	if n < 0 || at+4+n > h.size {
		return nil
	}
	n = min(n, int64(limit))
	h.budget -= n + 8
	if h.budget < 0 {
		return nil
	}
	b := make([]byte, n)
	if !h.read(b, at+4) {
		return nil
	}
	return b
}

// lose counts a cell that makes no sense. It returns the error that ends the
// reading, if there is one behind it.
func (h *hive) lose(off uint32) error {
	switch {
	case h.failed != nil:
		return h.failed
	case h.budget < 0:
		return errHiveLoop
	}
	h.unread.add(int64(off))
	return nil
}

// nk is a key node.
type nk struct {
	name          string
	flags         int
	subkeys, list uint32
	values, vlist uint32
}

func (h *hive) node(off uint32) (nk, bool) {
	const fixed = 76
	b := h.cell(off, fixed+2*1024)
	if len(b) < fixed || b[0] != 'n' || b[1] != 'k' {
		return nk{}, false
	}
	le := binary.LittleEndian
	k := nk{
		flags:   int(le.Uint16(b[2:])),
		subkeys: le.Uint32(b[20:]),
		list:    le.Uint32(b[28:]),
		values:  le.Uint32(b[36:]),
		vlist:   le.Uint32(b[40:]),
	}
	n := int(le.Uint16(b[72:]))
	if n > len(b)-fixed {
		return nk{}, false
	}
	k.name = hiveName(b[fixed:fixed+n], k.flags&hiveKeyASCII != 0)
	return k, true
}

// hiveName decodes a name: Latin-1 if "compressed", else UTF-16.
func hiveName(b []byte, compressed bool) string {
	if !compressed {
		return string(appendUTF16(nil, b))
	}
	out := make([]rune, len(b))
	for i, c := range b {
		out[i] = rune(c)
	}
	return string(out)
}

// key delivers the key at off and what is wanted below it.
func (h *hive) key(off uint32, path string, want *hiveWant, depth int) error {
	if err := h.ctx.Err(); err != nil {
		return err
	}
	if _, again := h.visited[off]; again || depth > hiveMaxDepth {
		return h.lose(off)
	}
	h.visited[off] = struct{}{}
	k, ok := h.node(off)
	if !ok {
		return h.lose(off)
	}
	if want.delivers() {
		if err := h.fn(RegEntry{Key: path}); err != nil {
			return err
		}
		if err := h.values(&k, path); err != nil {
			return err
		}
	}
	if k.subkeys == 0 {
		return nil
	}
	return h.subkeys(k.list, hiveMaxList, func(sub uint32) error {
		s, ok := h.node(sub)
		if !ok {
			return h.lose(sub)
		}
		name := s.name
		if depth == 0 && h.current != "" && strings.EqualFold(name, h.current) {
			if _, asked := want.child(currentControlSet); asked || want.names() {
				name = currentControlSet
			}
		}
		next, ok := want.child(name)
		if want.names() && (!ok || !next.delivers()) {
			if err := h.fn(RegEntry{Key: path + `\` + name}); err != nil {
				return err
			}
		}
		if !ok {
			return nil
		}
		return h.key(sub, path+`\`+name, next, depth+1)
	})
}

// subkeys calls fn for the subkeys that a list names; ri is a list of lists.
func (h *hive) subkeys(off uint32, depth int, fn func(uint32) error) error {
	b := h.cell(off, maxRegData)
	if len(b) < 4 || depth == 0 {
		return h.lose(off)
	}
	step, nested := 4, false
	switch string(b[:2]) {
	case "lf", "lh":
		step = 8 // offset and a hash of the name
	case "li":
	case "ri":
		nested = true
	default:
		return h.lose(off)
	}
	count := int(binary.LittleEndian.Uint16(b[2:]))
	if fit := (len(b) - 4) / step; count > fit {
		count = fit
		if err := h.lose(off); err != nil {
			return err
		}
	}
	for i := range count {
		sub := binary.LittleEndian.Uint32(b[4+i*step:])
		var err error
		if nested {
			err = h.subkeys(sub, depth-1, fn)
		} else {
			err = fn(sub)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *hive) values(k *nk, path string) error {
	if k.values == 0 || k.flags&hiveKeyPredef != 0 {
		return nil
	}
	list := h.cell(k.vlist, maxRegData)
	count := int64(k.values)
	if fit := int64(len(list) / 4); count > fit {
		count = fit
		if err := h.lose(k.vlist); err != nil {
			return err
		}
	}
	for i := range count {
		off := binary.LittleEndian.Uint32(list[4*i:])
		v, ok := h.value(off)
		if !ok {
			if err := h.lose(off); err != nil {
				return err
			}
			continue
		}
		if err := h.fn(RegEntry{Key: path, RegValue: v, HasValue: true}); err != nil {
			return err
		}
	}
	return nil
}

// value reads a "vk" cell and its data. Data of up to four bytes lies in the
// place of its offset.
func (h *hive) value(off uint32) (RegValue, bool) {
	const fixed, resident = 20, 1 << 31
	b := h.cell(off, fixed+2*16384)
	if len(b) < fixed || b[0] != 'v' || b[1] != 'k' {
		return RegValue{}, false
	}
	le := binary.LittleEndian
	n := int(le.Uint16(b[2:]))
	if n > len(b)-fixed {
		return RegValue{}, false
	}
	v := RegValue{Name: hiveName(b[fixed:fixed+n], le.Uint16(b[16:])&1 != 0), Type: le.Uint32(b[12:])}
	size := le.Uint32(b[4:])
	switch {
	case size&resident != 0:
		size &^= resident
		if size > 4 {
			return RegValue{}, false
		}
		v.Data = b[8 : 8+size : 8+size]
	case size > 0:
		if size > maxRegData {
			return RegValue{}, false
		}
		v.Data = h.data(le.Uint32(b[8:]), int(size))
		if len(v.Data) != int(size) {
			return RegValue{}, false
		}
	}
	return v, true
}

// data reads the data of a value: one cell, or since Windows XP for more than
// 16344 bytes a list of cells.
func (h *hive) data(off uint32, size int) []byte {
	b := h.cell(off, size)
	if size <= hiveSegment || len(b) < 8 || b[0] != 'd' || b[1] != 'b' || len(b) >= size {
		return b
	}
	count := int(binary.LittleEndian.Uint16(b[2:]))
	list := h.cell(binary.LittleEndian.Uint32(b[4:]), 4*count)
	if len(list) < 4*count || count != (size+hiveSegment-1)/hiveSegment {
		return nil
	}
	out := make([]byte, 0, size)
	for i := range count {
		part := h.cell(binary.LittleEndian.Uint32(list[4*i:]), min(hiveSegment, size-len(out)))
		if part == nil {
			return nil
		}
		out = append(out, part...)
	}
	return out
}

// selected reads Select\Current in the hive of HKLM\SYSTEM.
func (h *hive) selected(top uint32) string {
	probe := *h
	probe.unread, probe.visited = UnreadError{}, map[uint32]struct{}{}
	number := uint32(0)
	probe.fn = func(e RegEntry) error {
		if e.HasValue && strings.EqualFold(e.Name, "Current") {
			number, _ = e.DWord()
		}
		return nil
	}
	want := &hiveWant{}
	want.add("select")
	if err := probe.key(top, "", want, 0); err != nil || number == 0 || number > 999 {
		return ""
	}
	return fmt.Sprintf("controlset%03d", number)
}
