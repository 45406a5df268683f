package winlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

// testKey is a key of a hive that a test writes.
type testKey struct {
	name   string
	list   string // kind of the list of subkeys: lh (default), lf, li, ri
	values []RegValue
	subs   []testKey
	predef bool
}

// hiveWriter writes hives as Windows lays them out: one bin, every cell in use.
type hiveWriter struct{ b []byte } // from the first bin on

func buildHive(root testKey) []byte {
	w := &hiveWriter{b: make([]byte, 32)}
	le := binary.LittleEndian
	security := w.cell(append([]byte("sk\x00\x00"), make([]byte, 36)...))
	le.PutUint32(w.b[security+8:], security) // a ring of one
	le.PutUint32(w.b[security+12:], security)
	le.PutUint32(w.b[security+16:], 1)
	le.PutUint32(w.b[security+20:], 20)
	copy(w.b[security+24:], []byte{1, 0, 4, 0x80}) // an empty security descriptor
	top := w.key(root, hiveNone, security)
	if pad := (4096 - len(w.b)%4096) % 4096; pad > 0 {
		free := make([]byte, pad)
		le.PutUint32(free, uint32(pad))
		w.b = append(w.b, free...)
	}
	copy(w.b, "hbin")
	le.PutUint32(w.b[8:], uint32(len(w.b)))

	base := make([]byte, hiveBase)
	copy(base, "regf")
	for off, v := range map[int]uint32{4: 7, 8: 7, 20: 1, 24: 5, 32: 1, 36: top, 40: uint32(len(w.b)), 44: 1} {
		le.PutUint32(base[off:], v)
	}
	copy(base[48:], utf16Units(`\Fabrikam`))
	var sum uint32
	for i := range 127 {
		sum ^= le.Uint32(base[4*i:])
	}
	le.PutUint32(base[508:], sum)
	return append(base, w.b...)
}

// cell writes a cell and returns its offset.
func (w *hiveWriter) cell(data []byte) uint32 {
	off := uint32(len(w.b))
	size := (4 + len(data) + 7) &^ 7
	cell := make([]byte, size)
	binary.LittleEndian.PutUint32(cell, uint32(-size))
	copy(cell[4:], data)
	w.b = append(w.b, cell...)
	return off
}

// testName encodes a name the way Windows does: Latin-1 where it can.
func testName(s string) (b []byte, compressed bool) {
	for _, c := range s {
		if c > 0xFF {
			return utf16Units(s), false
		}
	}
	for _, c := range s {
		b = append(b, byte(c))
	}
	return b, true
}

func (w *hiveWriter) key(k testKey, parent, security uint32) uint32 {
	le := binary.LittleEndian
	name, compressed := testName(k.name)
	node := make([]byte, 76+len(name))
	copy(node, "nk")
	var flags uint16
	if compressed {
		flags |= hiveKeyASCII
	}
	if parent == hiveNone {
		flags |= 0x0C // root, must not be deleted
	}
	if k.predef {
		flags |= hiveKeyPredef
	}
	le.PutUint16(node[2:], flags)
	for off, v := range map[int]uint32{16: parent, 20: uint32(len(k.subs)), 28: hiveNone, 32: hiveNone, 36: uint32(len(k.values)), 40: hiveNone, 44: security, 48: hiveNone} {
		le.PutUint32(node[off:], v)
	}
	if parent == hiveNone {
		le.PutUint32(node[16:], 0)
	}
	le.PutUint16(node[72:], uint16(len(name)))
	copy(node[76:], name)
	off := w.cell(node)

	var values []byte
	for _, v := range k.values {
		values = le.AppendUint32(values, w.value(v))
	}
	if len(values) > 0 {
		at := w.cell(values) // moves w.b
		le.PutUint32(w.b[off+4+40:], at)
	}
	subs := slices.Clone(k.subs)
	slices.SortFunc(subs, func(a, b testKey) int { return strings.Compare(strings.ToUpper(a.name), strings.ToUpper(b.name)) })
	var list []byte
	kind := k.list
	if kind == "" {
		kind = "lh"
	}
	for _, s := range subs {
		sub := w.key(s, off, security)
		list = le.AppendUint32(list, sub)
		switch kind {
		case "lh":
			var hash uint32
			for _, c := range s.name {
				hash = hash*37 + uint32(unicode.ToUpper(c))
			}
			list = le.AppendUint32(list, hash)
		case "lf":
			hint := make([]byte, 4)
			copy(hint, s.name)
			list = append(list, hint...)
		}
	}
	if len(subs) > 0 {
		at := w.list(kind, list, len(subs))
		le.PutUint32(w.b[off+4+28:], at)
	}
	return off
}

// list writes a list of subkeys; ri as two lists li.
func (w *hiveWriter) list(kind string, entries []byte, count int) uint32 {
	le := binary.LittleEndian
	if kind == "ri" {
		half := count / 2
		a, b := w.list("li", entries[:4*half], half), w.list("li", entries[4*half:], count-half)
		return w.cell(le.AppendUint32(le.AppendUint32([]byte{'r', 'i', 2, 0}, a), b))
	}
	return w.cell(append([]byte{kind[0], kind[1], byte(count), byte(count >> 8)}, entries...))
}

func (w *hiveWriter) value(v RegValue) uint32 {
	le := binary.LittleEndian
	name, compressed := testName(v.Name)
	b := make([]byte, 20+len(name))
	copy(b, "vk")
	le.PutUint16(b[2:], uint16(len(name)))
	le.PutUint32(b[12:], v.Type)
	if compressed && len(name) > 0 {
		le.PutUint16(b[16:], 1)
	}
	copy(b[20:], name)
	size := len(v.Data)
	switch {
	case size <= 4:
		le.PutUint32(b[4:], uint32(size)|1<<31)
		copy(b[8:12], v.Data)
	case size <= hiveSegment:
		le.PutUint32(b[4:], uint32(size))
		le.PutUint32(b[8:], w.cell(v.Data))
	default:
		var list []byte
		for part := range slices.Chunk(v.Data, hiveSegment) {
			// Windows leaves four spare bytes at the end of each segment.
			list = le.AppendUint32(list, w.cell(append(bytes.Clone(part), 0, 0, 0, 0)))
		}
		count := uint16(len(list) / 4)
		le.PutUint32(b[4:], uint32(size))
		le.PutUint32(b[8:], w.cell(append(le.AppendUint32(le.AppendUint16([]byte("db"), count), w.cell(list)), 0, 0, 0, 0)))
	}
	return w.cell(b)
}

func sampleHive() testKey {
	big := make([]byte, 40_000)
	for i := range big {
		big[i] = byte(i * 7)
	}
	return testKey{name: "ROOT", subs: []testKey{
		{name: "Microsoft", list: "lf", subs: []testKey{
			{name: "Windows", list: "li", values: []RegValue{
				{"", RegSZ, utf16Text("default")},
				{"Number", RegDWord, []byte{1, 2, 3, 4}},
				{"Long", RegQWord, []byte{1, 2, 3, 4, 5, 6, 7, 8}},
				{"Short", RegBinary, []byte{9}},
				{"Empty", RegBinary, nil},
				{"Größe", RegSZ, utf16Text("Ä")},
				{"日本", RegExpandSZ, utf16Text("%x%")},
				{"Big", RegBinary, big},
				{"Edge", RegBinary, big[:hiveSegment]},
				{"Edge1", RegBinary, big[:hiveSegment+1]},
			}, subs: []testKey{{name: "a"}, {name: "b"}, {name: "Привет"}}},
			{name: "Handle", predef: true, values: []RegValue{{"x", RegSZ, nil}}},
		}},
		{name: "Many", list: "ri", subs: manyKeys(300)},
	}}
}

func manyKeys(n int) []testKey {
	keys := make([]testKey, n)
	for i := range keys {
		keys[i] = testKey{name: fmt.Sprintf("Key%04d", i), values: []RegValue{{"i", RegDWord, binary.LittleEndian.AppendUint32(nil, uint32(i))}}}
	}
	return keys
}

// flatten lists what a reader must deliver.
func flatten(k testKey, path string) []RegEntry {
	all := []RegEntry{{Key: path}}
	if !k.predef {
		for _, v := range k.values {
			all = append(all, RegEntry{Key: path, RegValue: v, HasValue: true})
		}
	}
	subs := slices.Clone(k.subs)
	slices.SortFunc(subs, func(a, b testKey) int { return strings.Compare(strings.ToUpper(a.name), strings.ToUpper(b.name)) })
	for _, s := range subs {
		all = append(all, flatten(s, path+`\`+s.name)...)
	}
	return all
}

func readHiveAll(b []byte, root string) ([]RegEntry, error) {
	var all []RegEntry
	err := ReadHive(context.Background(), bytes.NewReader(b), int64(len(b)), root, func(e RegEntry) error {
		all = append(all, e)
		return nil
	})
	return all, err
}

func hiveKeysAll(b []byte, root string, want ...string) ([]RegEntry, error) {
	var all []RegEntry
	err := HiveKeys(context.Background(), bytes.NewReader(b), int64(len(b)), root, want, func(e RegEntry) error {
		all = append(all, e)
		return nil
	})
	return all, err
}

// sameData takes empty and absent data for the same.
var sameData = cmp.Transformer("data", func(b []byte) string { return string(b) })

func TestReadHive(t *testing.T) {
	sample := sampleHive()
	got, err := readHiveAll(buildHive(sample), `HKLM\SOFTWARE`)
	if err != nil {
		t.Error(err)
	}
	if d := cmp.Diff(flatten(sample, `HKLM\SOFTWARE`), got, sameData); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestHiveKeys(t *testing.T) {
	b := buildHive(sampleHive())
	got, err := hiveKeysAll(b, `HKLM\SOFTWARE`,
		`hklm\software\MANY\key0007`, `HKLM\SOFTWARE\Microsoft\Windows\`, `HKLM\SOFTWARE\microsoft\windows\b`,
		`HKLM\SOFTWARE\Nowhere`, `HKLM\SYSTEM\Select`, `HKLM\SOFTWAREX\Many`)
	if err != nil {
		t.Error(err)
	}
	windows := sampleHive().subs[0].subs[0]
	want := slices.Concat([]RegEntry{
		{Key: `HKLM\SOFTWARE\Many\Key0007`},
		{Key: `HKLM\SOFTWARE\Many\Key0007`, RegValue: RegValue{"i", RegDWord, []byte{7, 0, 0, 0}}, HasValue: true},
	}, flatten(windows, `HKLM\SOFTWARE\Microsoft\Windows`))
	if d := cmp.Diff(want, got, sameData); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	// Of what is below, the names alone, each once.
	got, err = hiveKeysAll(b, `HKLM\SOFTWARE`, `HKLM\SOFTWARE`, `HKLM\SOFTWARE\Microsoft`, `HKLM\SOFTWARE\Many\Key0001`)
	want = []RegEntry{
		{Key: `HKLM\SOFTWARE`},
		{Key: `HKLM\SOFTWARE\Many`},
		{Key: `HKLM\SOFTWARE\Many\Key0001`},
		{Key: `HKLM\SOFTWARE\Many\Key0001`, RegValue: RegValue{"i", RegDWord, []byte{1, 0, 0, 0}}, HasValue: true},
		{Key: `HKLM\SOFTWARE\Microsoft`},
		{Key: `HKLM\SOFTWARE\Microsoft\Handle`},
		{Key: `HKLM\SOFTWARE\Microsoft\Windows`},
	}
	if d := cmp.Diff(want, got, sameData); d != "" || err != nil {
		t.Errorf("names (-want +got), %v:\n%s", err, d)
	}
	none, err := hiveKeysAll(b, `HKLM\SOFTWARE`)
	if err != nil || len(none) != 0 {
		t.Errorf("nothing: %d entries, %v", len(none), err)
	}
}

func TestHiveControlSet(t *testing.T) {
	set := func(name string) testKey {
		return testKey{name: name, subs: []testKey{{name: "Control", values: []RegValue{{"from", RegSZ, utf16Text(name)}}}}}
	}
	b := buildHive(testKey{name: "ROOT", subs: []testKey{
		set("ControlSet001"),
		set("ControlSet002"),
		{name: "Select", values: []RegValue{{"Current", RegDWord, []byte{2, 0, 0, 0}}, {"Default", RegDWord, []byte{1, 0, 0, 0}}}},
	}})
	from := func(entries []RegEntry) map[string]string {
		m := map[string]string{}
		for _, e := range entries {
			if s, ok := e.String(); ok && e.Name == "from" {
				m[e.Key] = s
			}
		}
		return m
	}
	const root = `HKLM\SYSTEM`
	current, first, second := root+`\CurrentControlSet\Control`, root+`\ControlSet001\Control`, root+`\ControlSet002\Control`
	tests := []struct {
		want []string // nil: ReadHive
		got  map[string]string
	}{
		{nil, map[string]string{current: "ControlSet002", first: "ControlSet001"}},
		{[]string{current}, map[string]string{current: "ControlSet002"}},
		{[]string{root + `\currentcontrolset`, root + `\currentcontrolset\control`}, map[string]string{current: "ControlSet002"}},
		{[]string{second}, map[string]string{second: "ControlSet002"}},
		{[]string{first, current}, map[string]string{first: "ControlSet001", current: "ControlSet002"}},
	}
	for _, tt := range tests {
		entries, err := hiveKeysAll(b, root, tt.want...)
		if tt.want == nil {
			entries, err = readHiveAll(b, root)
		}
		if err != nil {
			t.Error(err)
		}
		if d := cmp.Diff(tt.got, from(entries)); d != "" {
			t.Errorf("%q (-want +got):\n%s", tt.want, d)
		}
	}
	entries, _ := readHiveAll(b, `HKU\Copy`) // not the SYSTEM branch: nothing is renamed
	if d := cmp.Diff(map[string]string{`HKU\Copy\ControlSet001\Control`: "ControlSet001", `HKU\Copy\ControlSet002\Control`: "ControlSet002"}, from(entries)); d != "" {
		t.Error(d)
	}
}

func TestHiveRoot(t *testing.T) {
	for name, want := range map[string]string{
		"SOFTWARE":                          `HKLM\SOFTWARE`,
		`C:\Windows\System32\config\SYSTEM`: `HKLM\SYSTEM`,
		"evidence/software.hiv":             `HKLM\SOFTWARE`,
		"Users/x/NTUSER.DAT":                `HKCU`,
		"DEFAULT":                           `HKU\.DEFAULT`,
		"components":                        `HKLM\COMPONENTS`,
		"SAM":                               "",
		"SECURITY":                          "",
		"sam.hive":                          "",
		"setup.log":                         "",
		"":                                  "",
	} {
		if got := HiveRoot(name); got != want {
			t.Errorf("HiveRoot(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestHiveDamage(t *testing.T) {
	whole := buildHive(sampleHive())
	find := func(b []byte, what string) int {
		i := bytes.Index(b, []byte(what))
		if i < 0 {
			t.Fatalf("%q not found", what)
		}
		return i
	}
	tests := []struct {
		name   string
		damage func(b []byte) []byte
		dirty  bool
		unread bool
	}{
		{"dirty", func(b []byte) []byte { b[4]++; return b }, true, false},
		{"key signature", func(b []byte) []byte { b[find(b, "Key0007")-76] = 'x'; return b }, false, true},
		{"freed cell", func(b []byte) []byte { b[find(b, "Key0007")-76-1] = 0; return b }, false, true},
		{"value signature", func(b []byte) []byte { b[find(b, "Number")-20] = 'x'; return b }, false, true},
		{"size of data", func(b []byte) []byte { b[find(b, "Long")-20+6] = 0xFF; return b }, false, true},
		{"torn", func(b []byte) []byte { return b[:len(b)/2] }, false, true},
		{"both", func(b []byte) []byte { b[4]++; b[find(b, "Number")-20] = 'x'; return b }, true, true},
	}
	n := len(flatten(sampleHive(), ""))
	for _, tt := range tests {
		got, err := readHiveAll(tt.damage(bytes.Clone(whole)), `HKLM\SOFTWARE`)
		var unread *UnreadError
		if errors.As(err, &unread) != tt.unread || errors.Is(err, ErrHiveDirty) != tt.dirty {
			t.Errorf("%s: %v", tt.name, err)
		}
		if tt.unread && len(got) >= n || !tt.unread && len(got) != n || len(got) == 0 {
			t.Errorf("%s: %d of %d entries", tt.name, len(got), n)
		}
	}
	for _, b := range [][]byte{nil, []byte("regf"), make([]byte, 9000)} {
		if _, err := readHiveAll(b, "HKCU"); !errors.Is(err, errNotHive) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
	if _, err := readHiveAll(whole, ""); err == nil {
		t.Error("a hive without a place was read")
	}
	stop := errors.New("enough")
	if err := ReadHive(context.Background(), bytes.NewReader(whole), int64(len(whole)), "HKCU", func(RegEntry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error of the callback: %v", err)
	}
	if err := ReadHive(context.Background(), brokenReader{bytes.NewReader(whole)}, int64(len(whole)), "HKCU", func(RegEntry) error { return nil }); !errors.Is(err, errBroken) {
		t.Errorf("error of the source: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := ReadHive(ctx, bytes.NewReader(whole), int64(len(whole)), "HKCU", func(RegEntry) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

var errBroken = errors.New("bad sector")

// brokenReader reads the base block and nothing else.
type brokenReader struct{ io.ReaderAt }

func (r brokenReader) ReadAt(b []byte, off int64) (int, error) {
	if len(b) > 512 {
		return 0, errBroken
	}
	return r.ReaderAt.ReadAt(b, off)
}

// TestHiveCycles: keys that are their own ancestors, lists that hold themselves.
func TestHiveCycles(t *testing.T) {
	le := binary.LittleEndian
	whole := buildHive(testKey{name: "ROOT", subs: []testKey{{name: "Child", subs: []testKey{{name: "Leaf"}}}}})
	root := le.Uint32(whole[36:])
	rootList := le.Uint32(whole[hiveBase+root+4+28:])
	child := le.Uint32(whole[hiveBase+rootList+8:])
	childList := le.Uint32(whole[hiveBase+child+4+28:])

	loop := bytes.Clone(whole)
	le.PutUint32(loop[hiveBase+childList+8:], root)
	var unread *UnreadError
	got, err := readHiveAll(loop, "HKCU")
	if !errors.As(err, &unread) || unread.Count != 1 || len(got) != 2 {
		t.Errorf("key loop: %d entries, %v", len(got), err)
	}

	// A list of 2000 lists, each of them itself.
	w := &hiveWriter{b: bytes.Clone(whole[hiveBase:])}
	entries := []byte{'r', 'i', 0xD0, 0x07}
	at := uint32(len(w.b))
	for range 2000 {
		entries = le.AppendUint32(entries, at)
	}
	w.cell(entries)
	lists := append(bytes.Clone(whole[:hiveBase]), w.b...)
	le.PutUint32(lists[hiveBase+child+4+28:], at)
	if _, err := readHiveAll(lists, "HKCU"); !errors.Is(err, errHiveLoop) {
		t.Errorf("list loop: %v", err)
	}

	// Deeper than Windows lets keys nest.
	deep := testKey{name: "k"}
	for range hiveMaxDepth + 5 {
		deep = testKey{name: "k", subs: []testKey{deep}}
	}
	got, err = readHiveAll(buildHive(deep), "HKCU")
	if !errors.As(err, &unread) || len(got) != hiveMaxDepth+1 {
		t.Errorf("deep: %d entries, %v", len(got), err)
	}
}

// TestHiveAgainstReged lets chntpw's reged export what this test writes, and
// compares the export with the hive. It tests both readers.
func TestHiveAgainstReged(t *testing.T) {
	tool, err := exec.LookPath("reged")
	if err != nil {
		t.Skip("reged (Debian: chntpw) is not installed")
	}
	dir := t.TempDir()
	// reged knows neither big data nor names outside Latin-1.
	sample := testKey{name: "ROOT", subs: []testKey{
		{name: "Microsoft", list: "lf", values: []RegValue{
			{"Text", RegSZ, utf16Text(`C:\Temp "x"`)},
			{"Number", RegDWord, []byte{1, 2, 3, 4}},
			{"Bytes", RegBinary, bytes.Repeat([]byte{1, 2, 250}, 40)},
			{"Expand", RegExpandSZ, utf16Text("%x%")},
			{"List", RegMultiSZ, utf16Units("a\x00b\x00\x00")},
		}, subs: []testKey{{name: "Empty"}}},
		{name: "Many", list: "ri", subs: manyKeys(30)},
	}}
	hivePath, regPath := filepath.Join(dir, "SOFTWARE"), filepath.Join(dir, "out.reg")
	if err := os.WriteFile(hivePath, buildHive(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "-x", hivePath, `HKEY_LOCAL_MACHINE\SOFTWARE`, `\`, regPath).CombinedOutput()
	if err != nil {
		t.Fatalf("reged: %v\n%s", err, out)
	}
	export, err := os.ReadFile(regPath)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	fromReg, err := readReg(t, export)
	if err != nil {
		t.Fatalf("%v\n%s", err, export)
	}
	for i := range fromReg {
		fromReg[i].Line = 0
	}
	fromHive, err := readHiveAll(buildHive(sample), `HKLM\SOFTWARE`)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(fromHive, fromReg, sameData); d != "" {
		t.Errorf("(-hive +reged):\n%s", d)
	}
}

// TestHiveAgainstHivex lets hivexml read what this test writes.
func TestHiveAgainstHivex(t *testing.T) {
	tool, err := exec.LookPath("hivexml")
	if err != nil {
		t.Skip("hivexml (Debian: libhivex-bin) is not installed")
	}
	path := filepath.Join(t.TempDir(), "SOFTWARE")
	sample := sampleHive()
	sample.subs[0].subs = sample.subs[0].subs[:1] // hivex stumbles over predefined handles
	if err := os.WriteFile(path, buildHive(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, path).CombinedOutput()
	if err != nil {
		t.Fatalf("hivexml: %v\n%s", err, out)
	}
	keys, values := 0, 0
	for _, e := range flatten(sample, "") {
		if e.HasValue {
			values++
		} else {
			keys++
		}
	}
	if n := bytes.Count(out, []byte("<node ")); n != keys {
		t.Errorf("hivexml sees %d keys, want %d", n, keys)
	}
	if n := bytes.Count(out, []byte("<value ")); n != values {
		t.Errorf("hivexml sees %d values, want %d", n, values)
	}
	for _, s := range []string{`name="Windows"`, `name="Привет"`, `key="Größe"`, `key="日本"`, `value="Ä"`} {
		if !bytes.Contains(out, []byte(s)) {
			t.Errorf("hivexml does not show %s", s)
		}
	}
}

func FuzzReadHive(f *testing.F) {
	f.Add(buildHive(testKey{name: "ROOT", list: "lf", subs: []testKey{{name: "a", values: []RegValue{{"v", RegSZ, utf16Text("text")}}}, {name: "ж"}}}))
	f.Add(buildHive(testKey{name: "ROOT", list: "ri", subs: manyKeys(3)}))
	f.Add(buildHive(testKey{name: "ROOT", values: []RegValue{{"big", RegBinary, make([]byte, hiveSegment+1)}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		err := ReadHive(context.Background(), bytes.NewReader(b), int64(len(b)), `HKLM\SYSTEM`, func(e RegEntry) error {
			if !strings.HasPrefix(e.Key, `HKLM\SYSTEM`) || e.Deleted || e.Line != 0 {
				t.Errorf("entry %+v", e)
			}
			total += len(e.Data)
			return nil
		})
		if limit := 8*len(b) + 1<<20; total > limit {
			t.Errorf("%d bytes of data out of %d: %v", total, len(b), err)
		}
		HiveKeys(context.Background(), bytes.NewReader(b), int64(len(b)), "HKCU", []string{`HKCU\a`, `HKCU\key0001`}, func(RegEntry) error { return nil })
	})
}

func BenchmarkReadHive(b *testing.B) {
	root := testKey{name: "ROOT"}
	for i := range 50 {
		root.subs = append(root.subs, testKey{name: fmt.Sprintf("Part%d", i), subs: manyKeys(1000)})
	}
	data := buildHive(root)
	b.Run("all", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := readHiveAll(data, "HKCU"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("one of 50000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if got, err := hiveKeysAll(data, "HKCU", `HKCU\Part40\Key0500`); err != nil || len(got) != 2 {
				b.Fatal(len(got), err)
			}
		}
	})
}

// BenchmarkHiveKeys asks for one key with a large tree below it: the key
// Component Based Servicing of a SOFTWARE hive holds tens of thousands.
func BenchmarkHiveKeys(b *testing.B) {
	packages := manyKeys(200)
	for i := range packages {
		packages[i].subs = manyKeys(200)
	}
	hive := buildHive(testKey{name: "ROOT", subs: []testKey{{name: "Microsoft", values: []RegValue{{"x", RegDWord, []byte{1, 0, 0, 0}}}, subs: packages}}})
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		err := HiveKeys(context.Background(), bytes.NewReader(hive), int64(len(hive)), `HKLM\SOFTWARE`, []string{`HKLM\SOFTWARE\Microsoft`}, func(RegEntry) error {
			n++
			return nil
		})
		if err != nil || n != 1+1+len(packages) {
			b.Fatalf("%d entries, %v", n, err)
		}
	}
}
