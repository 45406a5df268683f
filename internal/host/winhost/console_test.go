package winhost

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"updoc/internal/codes"
	"updoc/internal/host"
)

func utf16le(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func TestConsoleText(t *testing.T) {
	oem := func(b []byte) string { return "oem:" + string(b[:3]) }
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"UTF-16 without a mark":       {utf16le("\r\nPrüfung 50 %\r\n"), "\r\nPrüfung 50 %\r\n"},
		"UTF-16 with a mark":          {append([]byte{0xFF, 0xFE}, utf16le("x")...), "x"},
		"UTF-16 of another alphabet":  {utf16le("\r\nПроверка 20% завершена.\r\n"), "\r\nПроверка 20% завершена.\r\n"},
		"UTF-16 that was cut":         {append(utf16le("abc"), 'd'), "abc"},
		"ASCII":                       {[]byte("Version: 10.0\r\n"), "Version: 10.0\r\n"},
		"UTF-8":                       {[]byte("\xEF\xBB\xBFPrüfung"), "Prüfung"},
		"code page":                   {[]byte("Pr\x81fung"), "oem:Pr\x81"},
		"nothing":                     {nil, ""},
		"a NUL in text is no UTF-16":  {[]byte("abc\x00def"), "abc\x00def"},
		"one letter is no UTF-16":     {[]byte("a"), "a"},
		"zeros alone are no UTF-16":   {make([]byte, 8), "\x00\x00\x00\x00\x00\x00\x00\x00"},
		"half a character of a mark":  {[]byte{0xFF}, "oem:"},
		"Chinese in UTF-16 has blank": {utf16le("\r\n开始系统扫描 20%\r\n"), "\r\n开始系统扫描 20%\r\n"},
	} {
		if name == "half a character of a mark" {
			oem := func([]byte) string { return "oem:" }
			if got := consoleText(c.in, oem); got != c.want {
				t.Errorf("%s: %q", name, got)
			}
			continue
		}
		if got := consoleText(c.in, oem); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestPercentOf(t *testing.T) {
	for line, want := range map[string]float64{
		"[===========================62.3%====        ]": 62.3,
		"Verification 20% complete.":                     20,
		"Überprüfung 20 % abgeschlossen.":                20,
		"62,3\u00a0%":                                    62.3, // French
		"%62 tamamlandı":                                 62,   // Turkish
		"Progress: 100.0%":                               100, "5 of 10": -1, "%": -1, "": -1, "1000%": -1, "1.2.3%": -1,
	} {
		got, ok := percentOf(line)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %v %v, want %v", line, got, ok, want)
		}
	}
}

func TestLastLine(t *testing.T) {
	for text, want := range map[string]string{
		"\rChecked 0%.\rChecked 25%.\rChecked 50%.": "Checked 50%.",
		"a\r\nb\r\n\r\n": "b", "": "", "\r\n": "", "only": "only",
	} {
		if got := lastLine(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzConsole(f *testing.F) {
	f.Add([]byte("\r[====  62.3%  ]\r\n"))
	f.Add(utf16le("\rChecked 50%."))
	f.Fuzz(func(t *testing.T, b []byte) {
		line := lastLine(consoleText(b, func(b []byte) string { return strings.ToValidUTF8(string(b), "?") }))
		if strings.ContainsAny(line, "\r\n") {
			t.Errorf("%q is more than a line", line)
		}
		if p, ok := percentOf(line); ok && (p < 0 || p > 100) {
			t.Errorf("%q is %v per cent", line, p)
		}
	})
}

// What a tool ends with is an HRESULT that errors.As finds.
func TestToolResult(t *testing.T) {
	for _, c := range []struct {
		tool string
		code uint32
		want codes.HRESULT
	}{
		{"dism", 0x800F081F, 0x800F081F},
		{"dism", 87, 0x80070057},
		{"sfc", 1, 0x80004005},
		{"chkdsk", 3, 0x80004005},
	} {
		var h codes.HRESULT
		err := toolResult(c.tool, []string{"/x"}, c.code, "banner\r\nfor reasons\r\n")
		if !errors.As(err, &h) || h != c.want || !strings.HasSuffix(err.Error(), "for reasons") {
			t.Errorf("%s %d: %v, want %v", c.tool, c.code, err, c.want)
		}
		if errors.Is(err, host.ErrRestart) {
			t.Errorf("%s %d: wants a restart", c.tool, c.code)
		}
	}
	for _, code := range []uint32{3010, 1641, 0x80070BC2} {
		if err := toolResult("dism", nil, code, ""); !errors.Is(err, host.ErrRestart) {
			t.Errorf("%d: %v", code, err)
		}
	}
	for tool, code := range map[string]uint32{"dism": 0, "chkdsk": 1} {
		if err := toolResult(tool, nil, code, ""); err != nil {
			t.Errorf("%s %d: %v", tool, code, err)
		}
	}
}

func TestTaskEnabled(t *testing.T) {
	task := func(settings string) []byte {
		return append([]byte{0xFF, 0xFE}, utf16le(`<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.4" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task"><Triggers><TimeTrigger><Enabled>false</Enabled></TimeTrigger></Triggers>`+settings+`</Task>`)...)
	}
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"on":                      {task("<Settings><Enabled>true</Enabled></Settings>"), "on"},
		"on unless it says so":    {task("<Settings></Settings>"), "on"},
		"off":                     {task("<Settings><Hidden>true</Hidden><Enabled> False </Enabled></Settings>"), "off"},
		"deeper ones do not mean": {task("<Settings><IdleSettings><Enabled>false</Enabled></IdleSettings></Settings>"), "on"},
		"UTF-8":                   {[]byte("<Task><Settings><Enabled>false</Enabled></Settings></Task>"), "off"},
		"another document":        {[]byte("<Tasks/>"), ""},
		"none":                    {[]byte("<<"), ""},
		"empty":                   {nil, ""},
	} {
		if got, err := taskEnabled(c.in); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

func FuzzTaskEnabled(f *testing.F) {
	f.Add([]byte("<Task><Settings><Enabled>false</Enabled></Settings></Task>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := taskEnabled(b); (err == nil) != (s == "on" || s == "off") {
			t.Errorf("%q, %v", s, err)
		}
	})
}

func TestPending(t *testing.T) {
	list := []string{`\??\C:\other`, "", `\??\C:\Windows\A`, `!\??\C:\Windows\B`, `\??\C:\third`, `\??\C:\fourth`}
	b := multiBytes(list)
	if got := splitMulti(b); !slices.Equal(got, list) {
		t.Errorf("%q", got)
	}
	rest, found := withoutPending(list, `c:\windows\a`, `c:\windows\b`)
	if !found || !slices.Equal(rest, []string{list[0], "", list[4], list[5]}) {
		t.Errorf("%v, %q", found, rest)
	}
	if rest, found := withoutPending(list, `C:\Windows\A`, `C:\third`); found || !slices.Equal(rest, list) {
		t.Errorf("%v, %q", found, rest)
	}
	for _, odd := range [][]byte{nil, {0}, {0, 0}, {'a'}, {'a', 0}} {
		splitMulti(odd)
	}
}

func FuzzPending(f *testing.F) {
	f.Add(multiBytes([]string{"a", "", "b", "c"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		list := splitMulti(b)
		if again := splitMulti(multiBytes(list)); !slices.Equal(again, list) {
			t.Errorf("%q became %q", list, again)
		}
	})
}

func TestEvidence(t *testing.T) {
	for _, p := range evidence() {
		for pat := range strings.FieldsSeq(p.patterns) {
			if pat != strings.ToLower(pat) {
				t.Errorf("%s: patterns are lower case", pat)
			}
			name := strings.ReplaceAll(pat, "*", "x")
			if !listed(p.base, strings.TrimPrefix(p.folder+"/"+strings.ToUpper(name), "/")) {
				t.Errorf("%s/%s is not listed", p.folder, name)
			}
		}
	}
	for _, other := range []string{"Logs/CBS/../../System32/config/SAM", "System32/config/SAM", "Logs/CBS/CBS.log/x", "", "hosts"} {
		if listed(windowsFolder, other) {
			t.Errorf("%q is listed", other)
		}
	}
}

// What comes from a journal cannot make another query of a query.
func TestQuoting(t *testing.T) {
	for in, want := range map[string]string{
		"{ABC}": "'{ABC}'", "Bob's LAN": `'Bob\'s LAN'`, `a\' OR '1'='1`: `'a\\\' OR \'1\'=\'1'`,
	} {
		if got := wqlString(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]bool{
		"0f1e2d3c-4b5a-6978-8796-A5B4C3D2E1F0": true, "0f1e2d3c-4b5a-6978-8796-A5B4C3D2E1F": false,
		"0f1e2d3c 4b5a 6978 8796 A5B4C3D2E1F0": false, "0f1e2d3c-4b5a-6978-8796-A5B4C3D2E1'0": false, "": false,
	} {
		if isGUID(in) != want {
			t.Errorf("%q: %v", in, !want)
		}
	}
}
