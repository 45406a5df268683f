package winlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readReg collects what a registry export holds.
func readReg(t testing.TB, in []byte) ([]RegEntry, error) {
	t.Helper()
	var all []RegEntry
	err := ReadRegExport(context.Background(), bytes.NewReader(in), func(e RegEntry) error {
		all = append(all, e)
		return nil
	})
	return all, err
}

func regKey(line int, key string) RegEntry { return RegEntry{Key: key, Line: line} }

func regVal(line int, key, name string, typ uint32, data []byte) RegEntry {
	return RegEntry{Key: key, RegValue: RegValue{name, typ, data}, HasValue: true, Line: line}
}

const regFile = `Windows Registry Editor Version 5.00

; policies of the kiosk machines
[HKEY_LOCAL_MACHINE\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate]
"WUServer"="http://updates.fabrikam.example:8530"
"Quote \"and\" back\\slash"="a \"quoted\" C:\\Temp\\"
@="default"
"SetPolicyDrivenUpdateSourceForQualityUpdates"=dword:0000001F ; comment
"Long"=hex(b):01,00,00,00,00,00,00,80
"Blob"=hex:18,00,00,00,00,00,00,00,01,00,00,\
  00,00,00,00,00,00,\
  00,00,00
"Expand"=hex(2):25,00,54,00,25,00,00,00
"List"=hex(7):61,00,00,00,00,00,62,00,00,00,00,00
"None"=hex(0):
"Odd"=hex(ffff0012):1,2
"Gone"=-
"Lines"="first
second "
@=-
[-HKEY_LOCAL_MACHINE\SOFTWARE\Fabrikam\Old]
[HKEY_CURRENT_USER\Software\Fabrikam [x]]
"a"=dword:1
[HKEY_USERS\.DEFAULT]
[HKEY_CLASSES_ROOT]
[HKEY_CURRENT_CONFIG\System]
`

func TestReadRegExport(t *testing.T) {
	const wu = `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`
	gone := regVal(17, wu, "Gone", 0, nil)
	gone.Deleted = true
	goneDefault := regVal(20, wu, "", 0, nil)
	goneDefault.Deleted = true
	want := []RegEntry{
		regKey(4, wu),
		regVal(5, wu, "WUServer", RegSZ, utf16Text("http://updates.fabrikam.example:8530")),
		regVal(6, wu, `Quote "and" back\slash`, RegSZ, utf16Text(`a "quoted" C:\Temp\`)),
		regVal(7, wu, "", RegSZ, utf16Text("default")),
		regVal(8, wu, "SetPolicyDrivenUpdateSourceForQualityUpdates", RegDWord, []byte{0x1F, 0, 0, 0}),
		regVal(9, wu, "Long", RegQWord, []byte{1, 0, 0, 0, 0, 0, 0, 0x80}),
		regVal(10, wu, "Blob", RegBinary, []byte{0x18, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}),
		regVal(13, wu, "Expand", RegExpandSZ, utf16Text("%T%")),
		regVal(14, wu, "List", RegMultiSZ, []byte("a\x00\x00\x00\x00\x00b\x00\x00\x00\x00\x00")),
		regVal(15, wu, "None", RegNone, []byte{}),
		regVal(16, wu, "Odd", 0xFFFF0012, []byte{1, 2}),
		gone,
		regVal(18, wu, "Lines", RegSZ, utf16Text("first\r\nsecond ")),
		goneDefault,
		{Key: `HKLM\SOFTWARE\Fabrikam\Old`, Deleted: true, Line: 21},
		regKey(22, `HKCU\Software\Fabrikam [x]`),
		regVal(23, `HKCU\Software\Fabrikam [x]`, "a", RegDWord, []byte{1, 0, 0, 0}),
		regKey(24, `HKU\.DEFAULT`),
		regKey(25, `HKCR`),
		regKey(26, `HKCC\System`),
	}
	dos := strings.ReplaceAll(regFile, "\n", "\r\n")
	for name, in := range map[string][]byte{
		"UTF-8":                []byte(regFile),
		"UTF-16":               append([]byte{0xFF, 0xFE}, utf16Units(dos)...),
		"UTF-16 without mark":  utf16Units(dos),
		"UTF-8 with mark, DOS": []byte("\xEF\xBB\xBF" + dos),
	} {
		got, err := readReg(t, in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestReadRegExportANSI(t *testing.T) {
	in := "REGEDIT4\r\n\r\n[HKEY_CURRENT_USER\\Software\\Fabrikam]\r\n" +
		"\"Gr\xF6\xDFe\"=\"\x80 5\"\r\n\"P\"=hex(2):25,74,25,\\\r\n  00\r\n\"L\"=hex(7):e4,00,62,00,00\r\n\"B\"=hex:e4,00\r\n"
	const key = `HKCU\Software\Fabrikam`
	want := []RegEntry{
		regKey(3, key),
		regVal(4, key, "Größe", RegSZ, utf16Text("€ 5")),
		regVal(5, key, "P", RegExpandSZ, utf16Text("%t%")),
		regVal(7, key, "L", RegMultiSZ, utf16Units("ä\x00b\x00\x00")),
		regVal(8, key, "B", RegBinary, []byte{0xE4, 0}),
	}
	got, err := readReg(t, []byte(in))
	if err != nil {
		t.Error(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestReadRegQuery(t *testing.T) {
	const in = `C:\>reg query HKLM\SOFTWARE\Fabrikam /s

HKEY_LOCAL_MACHINE\SOFTWARE\Fabrikam
    (Standard)    REG_SZ    Wert mit    Lücken
    Name with    gap    REG_EXPAND_SZ    %SystemRoot%\x
    Number    REG_DWORD    0xffffffff
    Big    REG_QWORD    0x1ffffffff
    Blob    REG_BINARY    18000000FF
    Empty    REG_SZ    
    NoData    REG_BINARY    
    List    REG_MULTI_SZ    a\0\0c
    None    REG_NONE
    REG_SZ    REG_SZ    REG_DWORD    0x1
    (x)    REG_SZ    an ordinary name
    Swapped    REG_DWORD_BIG_ENDIAN    0x102

HKEY_LOCAL_MACHINE\SOFTWARE\Fabrikam\Empty

HKEY_LOCAL_MACHINE\SOFTWARE\Fabrikam\Old
    <NO NAME>	REG_SZ	XP
    Tabs	REG_DWORD	0x2
    Typed    REG_SZ (1)    z
    Bad    REG_DWORD    two
    Bad2    REG_BINARY    1
    Bad3    REG_FUNNY    1

Suche beendet: 12 Übereinstimmung(en) gefunden.
FEHLER: Der angegebene Registrierungsschlüssel wurde nicht gefunden.
`
	const key = `HKLM\SOFTWARE\Fabrikam`
	want := []RegEntry{
		regKey(3, key),
		regVal(4, key, "", RegSZ, utf16Text("Wert mit    Lücken")),
		regVal(5, key, "Name with    gap", RegExpandSZ, utf16Text(`%SystemRoot%\x`)),
		regVal(6, key, "Number", RegDWord, []byte{0xFF, 0xFF, 0xFF, 0xFF}),
		regVal(7, key, "Big", RegQWord, []byte{0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0}),
		regVal(8, key, "Blob", RegBinary, []byte{0x18, 0, 0, 0, 0xFF}),
		regVal(9, key, "Empty", RegSZ, utf16Text("")),
		regVal(10, key, "NoData", RegBinary, nil),
		regVal(11, key, "List", RegMultiSZ, utf16Units("a\x00\x00c\x00\x00")),
		regVal(12, key, "None", RegNone, nil),
		regVal(13, key, "REG_SZ", RegSZ, utf16Text("REG_DWORD    0x1")),
		regVal(14, key, "(x)", RegSZ, utf16Text("an ordinary name")),
		regVal(15, key, "Swapped", RegDWordBE, []byte{0, 0, 1, 2}),
		regKey(17, key+`\Empty`),
		regKey(19, key+`\Old`),
		regVal(20, key+`\Old`, "", RegSZ, utf16Text("XP")),
		regVal(21, key+`\Old`, "Tabs", RegDWord, []byte{2, 0, 0, 0}),
		regVal(22, key+`\Old`, "Typed", RegSZ, utf16Text("z")),
	}
	got, err := readReg(t, []byte(in))
	var unread *UnreadError
	if !errors.As(err, &unread) || unread.Count != 3 || unread.First != 23 {
		t.Errorf("error %v, want 3 lines from 23", err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestRegQueryLanguages: only the name of the default value is translated.
func TestRegQueryLanguages(t *testing.T) {
	for _, name := range []string{"(Default)", "(Standard)", "(par défaut)", "(Predeterminado)", "(По умолчанию)", "(既定)", "(默认)", "（預設值）", "<NO NAME>"} {
		got, err := readReg(t, []byte("HKEY_CURRENT_USER\\Fabrikam\r\n    "+name+"    REG_SZ    x\r\n"))
		if err != nil || len(got) != 2 || got[1].Name != "" || !got[1].HasValue {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestReadRegExportErrors(t *testing.T) {
	tests := []struct {
		name, in string
		entries  int
		count    int
		first    int64
	}{
		{"broken values", "[HKEY_CURRENT_USER\\a]\n\"x\"=dword:xyz\n\"y\"=hex:1,2,333\n\"z=1\n\"w\" 5\n\"q\"=hex(:1\n\"ok\"=dword:1\n", 2, 5, 2},
		{"text that never ends", "[HKEY_CURRENT_USER\\a]\n\"x\"=\"open\n\"y\"=dword:1\n[HKEY_CURRENT_USER\\b]\n\"z\"=\"open\n[HKEY_CURRENT_USER\\c]\n", 4, 2, 3},
		{"text open at the end", "[HKEY_CURRENT_USER\\a]\n\"x\"=\"open", 1, 1, 2},
		{"unknown root", "[HKEY_NOWHERE\\a]\n\"x\"=\"1\"\n[HKEY_CURRENT_USER\\b]\n", 1, 2, 1},
		{"prose", "[HKEY_CURRENT_USER\\a]\nthis is no value\n", 1, 1, 2},
	}
	for _, tt := range tests {
		got, err := readReg(t, []byte(tt.in))
		var unread *UnreadError
		if !errors.As(err, &unread) {
			t.Errorf("%s: error %v", tt.name, err)
			continue
		}
		if len(got) != tt.entries || unread.Count != tt.count || unread.First != tt.first {
			t.Errorf("%s: %d entries, %+v; %+v", tt.name, len(got), *unread, got)
		}
	}
	for _, in := range []string{"", "Windows Registry Editor Version 5.00\r\n", "FEHLER: nicht gefunden\r\n", "HKEY\n"} {
		if _, err := readReg(t, []byte(in)); !errors.Is(err, errNoKeys) {
			t.Errorf("%q: %v", in, err)
		}
	}
	stop := errors.New("enough")
	err := ReadRegExport(context.Background(), strings.NewReader(regFile), func(RegEntry) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("error of the callback: %v", err)
	}
}

func TestRegValue(t *testing.T) {
	text := RegValue{"n", RegSZ, utf16Text("ä😀")}
	if s, ok := text.String(); !ok || s != "ä😀" {
		t.Errorf("String() = %q, %v", s, ok)
	}
	if _, ok := text.DWord(); ok {
		t.Error("a text is a number")
	}
	if _, ok := text.Strings(); ok {
		t.Error("a text is a list")
	}
	// Programs store texts without NUL, with rubbish behind it, and cut in two.
	for _, data := range [][]byte{[]byte("a\x00"), []byte("a\x00\x00\x00b\x00"), []byte("a\x00\x00")} {
		if s, ok := (RegValue{"", RegExpandSZ, data}).String(); !ok || s != "a" {
			t.Errorf("String() of % x = %q, %v", data, s, ok)
		}
	}
	if _, ok := (RegValue{"", RegBinary, []byte("a\x00")}).String(); ok {
		t.Error("bytes are a text")
	}
	if n, ok := (RegValue{"", RegDWord, []byte{4, 3, 2, 1}}).DWord(); !ok || n != 0x01020304 {
		t.Errorf("DWord() = %#x, %v", n, ok)
	}
	if n, ok := (RegValue{"", RegDWordBE, []byte{4, 3, 2, 1}}).DWord(); !ok || n != 0x04030201 {
		t.Errorf("DWord() = %#x, %v", n, ok)
	}
	if _, ok := (RegValue{"", RegDWord, []byte{4, 3, 2}}).DWord(); ok {
		t.Error("three bytes are a number")
	}
	for data, want := range map[string][]string{
		"":                 {},
		"\x00\x00":         {},
		"a":                {"a"},
		"a\x00\x00":        {"a"},
		"a\x00b\x00\x00":   {"a", "b"},
		"a\x00\x00b\x00":   {"a", "", "b"},
		"a\x00\x00\x00":    {"a", ""},
		"\x00\x00b\x00":    {"", "", "b"},
		"a\x00b":           {"a", "b"},
		"a\x00b\x00c\x00d": {"a", "b", "c", "d"},
	} {
		got, ok := RegValue{"", RegMultiSZ, utf16Units(data)}.Strings()
		if !ok || !cmp.Equal(got, want) {
			t.Errorf("Strings() of %q = %q, %v", data, got, ok)
		}
	}
}

func FuzzReadRegExport(f *testing.F) {
	f.Add([]byte(regFile))
	f.Add(utf16Units(regFile))
	f.Add([]byte("HKEY_CURRENT_USER\\a\n    x    REG_MULTI_SZ    a\\0b\n    y\tREG_DWORD\t0x1\n"))
	f.Add([]byte("REGEDIT4\n[HKEY_CURRENT_USER\\a]\n\"x\"=hex(7):\\\n 1,2,\\\n 3\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		keys := map[string]bool{}
		last := 0
		err := ReadRegExport(context.Background(), bytes.NewReader(in), func(e RegEntry) error {
			if c, ok := canonicalKey(e.Key); !ok || c != e.Key {
				t.Errorf("key %q", e.Key)
			}
			if e.HasValue && !keys[e.Key] {
				t.Errorf("value %q before its key %q", e.Name, e.Key)
			}
			if e.Line < last {
				t.Errorf("line %d after %d", e.Line, last)
			}
			keys[e.Key] = true
			last = e.Line
			return nil
		})
		var unread *UnreadError
		if err != nil && !errors.As(err, &unread) && !errors.Is(err, errNoKeys) {
			t.Error(err)
		}
	})
}

func BenchmarkReadRegExport(b *testing.B) {
	var in bytes.Buffer
	in.WriteString("Windows Registry Editor Version 5.00\r\n\r\n")
	for i := range 20_000 {
		fmt.Fprintf(&in, "[HKEY_LOCAL_MACHINE\\SOFTWARE\\Fabrikam\\Key%d]\r\n\"Name\"=\"Some text of %d\"\r\n\"Number\"=dword:%08x\r\n\"Blob\"=hex:01,02,03,04,05,06,07,08,09,0a,\\\r\n  0b,0c,0d\r\n\r\n", i, i, i)
	}
	for name, data := range map[string][]byte{"UTF-8": in.Bytes(), "UTF-16": append([]byte{0xFF, 0xFE}, utf16Units(in.String())...)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := ReadRegExport(context.Background(), bytes.NewReader(data), func(RegEntry) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
