package winlog

import (
	"strings"
	"unicode/utf16"
)

// utf16LE encodes s as a redirect of Windows PowerShell does.
func utf16LE(s string) string {
	var b strings.Builder
	for _, u := range utf16.Encode([]rune(s)) {
		b.WriteByte(byte(u))
		b.WriteByte(byte(u >> 8))
	}
	return b.String()
}

// oem850 encodes the few letters outside ASCII that the German and French test
// data use as code page 850, the one of the console there.
func oem850(s string) string {
	return strings.NewReplacer("ä", "\x84", "ö", "\x94", "ü", "\x81", "ß", "\xE1", "Ä", "\x8E", "Ü", "\x9A",
		"é", "\x82", "è", "\x8A", "à", "\x85", "ê", "\x88", "í", "\xA1", "ó", "\xA2", "\u00A0", "\xFF", "’", "'").Replace(s)
}

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// utf8Text reports whether s can be saved in another encoding by utf16LE.
func utf8Text(s string) bool { return strings.ToValidUTF8(s, "") == s }
