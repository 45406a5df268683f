package pac

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"updoc/internal/redact"
)

// Encoding is how the bytes of a script became text.
type Encoding string

// The encodings. Only ASCII, their common part, is read alike by everybody: the
// media type has no charset parameter that WinHTTP is documented to heed, so
// anything else is worth showing.
const (
	ASCII       Encoding = "ASCII"
	UTF8        Encoding = "UTF-8"
	UTF8BOM     Encoding = "UTF-8 with byte order mark"
	UTF16LE     Encoding = "UTF-16LE"
	UTF16BE     Encoding = "UTF-16BE"
	Windows1252 Encoding = "Windows-1252"
)

// Decode turns the bytes of a script into text: by the byte order mark, else as
// UTF-8 if that is what they are, else by the Western code page of Windows.
// Invalid UTF-16 becomes U+FFFD.
func Decode(script []byte) (string, Encoding) {
	if rest, ok := bytes.CutPrefix(script, []byte("\xEF\xBB\xBF")); ok {
		return strings.ToValidUTF8(string(rest), "\uFFFD"), UTF8BOM
	}
	if rest, ok := bytes.CutPrefix(script, []byte("\xFF\xFE")); ok {
		return decode16(rest, binary.LittleEndian), UTF16LE
	}
	if rest, ok := bytes.CutPrefix(script, []byte("\xFE\xFF")); ok {
		return decode16(rest, binary.BigEndian), UTF16BE
	}
	ascii := true
	for _, c := range script {
		ascii = ascii && c < utf8.RuneSelf
	}
	switch {
	case ascii:
		return string(script), ASCII
	case utf8.Valid(script):
		return string(script), UTF8
	}
	runes := make([]rune, len(script))
	for i, c := range script {
		runes[i] = rune(c)
		if c >= 0x80 && c < 0xA0 {
			runes[i] = western[c-0x80]
		}
	}
	return string(runes), Windows1252
}

// western is the part of Windows-1252 that is not Latin-1; the five holes are C1
// controls, as MultiByteToWideChar makes them.
var western = [32]rune{
	0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D, 0x017D, 0x8F,
	0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D, 0x017E, 0x0178,
}

func decode16(b []byte, order binary.ByteOrder) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = order.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

// isPage reports that a text is a web page. No program begins with a less-than
// sign, except for the comment marks that the first browsers wanted.
func isPage(text string) bool {
	text = strings.TrimSpace(text)
	return strings.HasPrefix(text, "<") && !strings.HasPrefix(text, "<!--")
}

// printable makes foreign words fit to be shown: bounded, on one line, without
// control characters and without credentials.
func printable(text string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range hideCredentials(text) {
		if n++; n > most {
			b.WriteString("…")
			break
		}
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			b.WriteByte(' ')
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteRune(utf8.RuneError)
		}
	}
	return b.String()
}

// hideCredentials takes out what stands before an @ in any word: in a list of
// proxies that is a name and a password, which no proxy reads there and people
// write all the same.
func hideCredentials(text string) string {
	if !strings.Contains(text, "@") {
		return text
	}
	var b strings.Builder
	for text != "" {
		end := strings.IndexAny(text, " \t\r\n;,\"'`<>")
		word := text
		if end >= 0 {
			word = text[:end]
		}
		if at := strings.LastIndexByte(word, '@'); at >= 0 {
			start := strings.Index(word[:at], "://")
			if start >= 0 {
				start += len("://")
			}
			b.WriteString(word[:max(start, 0)])
			b.WriteString(redact.Mark)
			word = word[at:]
		}
		b.WriteString(word)
		if end < 0 {
			break
		}
		b.WriteByte(text[end])
		text = text[end+1:]
	}
	return b.String()
}
