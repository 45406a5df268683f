package redact

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how often a document may be wrapped in another one.
const maxDepth = 4

// jsonStrings redacts the strings of JSON in their decoded form. A recorded answer holds the whole output of a command
// in one string, with \r\n and \\ and \u003c, in which neither lines nor paths nor elements would be seen.
func (s *scanner) jsonStrings() {
	b := s.cur
	if s.depth >= maxDepth {
		return
	}
	trimmed := bytes.TrimLeft(b, " \t")
	document := len(trimmed) > 0 && bytes.IndexByte([]byte(`{["`), trimmed[0]) >= 0
	s.begin()
	i := 0
	if s.state.inString { // this piece of a long line begins inside a string
		s.state.inString = false
		i = s.jsonString(0)
	}
	for i < len(b) {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			break
		}
		i += n + 1
		if s.isJSONValue(i-1, document) {
			i = s.jsonString(i)
		}
	}
	s.end()
}

// isJSONValue says whether the quote at i opens a string of JSON: the value of a member, or an element of a document
// that begins with this line.
func (s *scanner) isJSONValue(i int, document bool) bool {
	b := s.cur
	k := i - 1
	for k >= 0 && i-k < 16 && (b[k] == ' ' || b[k] == '\t') {
		k--
	}
	switch {
	case k < 0:
		return document
	case b[k] == ':':
		for k--; k >= 0 && i-k < 16 && (b[k] == ' ' || b[k] == '\t'); k-- {
		}
		return k >= 0 && b[k] == '"'
	case b[k] == '[' || b[k] == ',' || b[k] == '{':
		return document
	}
	return false
}

// jsonString redacts the string that begins at i and returns where to go on.
func (s *scanner) jsonString(i int) int {
	b := s.cur
	escaped := false
	end := i
	for ; end < len(b) && b[end] != '"'; end++ {
		if b[end] != '\\' {
			continue
		}
		if end++; end == len(b) && s.partial {
			end-- // the escape goes on in the next piece
			break
		}
		if end == len(b) || bytes.IndexByte([]byte(`"\/bfnrtu`), b[end]) < 0 {
			return i // no JSON: a path between quotes
		}
		escaped = true
	}
	if end == len(b) || b[end] != '"' {
		if !s.partial {
			return i
		}
		s.state.inString, s.openString = true, i
	}
	if !escaped {
		return min(end+1, len(b))
	}
	text, style := unescape(b[i:end])
	n := scanner{r: s.r, dry: s.dry, depth: s.depth + 1, tentative: s.tentative}
	f := filter{scanner: n, sniffed: true}
	redacted := f.close(f.write(nil, text))
	s.findings = append(s.findings, f.scanner.findings...)
	if !bytes.Equal(redacted, text) {
		touched := s.touched || s.state.inString && f.scanner.touched
		s.cut(i, end)
		s.touched = touched
		s.out = style.appendEscaped(s.out, redacted)
	}
	return min(end+1, len(b))
}

// escapeStyle is what an encoder of JSON escapes beside what it must: Go writes < > & as \u003c, PowerShell also ', and
// some everything above ASCII.
type escapeStyle struct {
	runes    map[rune]bool
	nonASCII bool
	slash    bool
}

// unescape decodes the inside of a JSON string. What is not valid in it stays as it stands.
func unescape(b []byte) ([]byte, escapeStyle) {
	var style escapeStyle
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 == len(b) {
			out = append(out, b[i])
			continue
		}
		i++
		switch b[i] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case '/':
			style.slash = true
			out = append(out, '/')
		case 'u':
			c, ok := hex4(b[i+1:])
			if !ok {
				out = append(out, '\\', 'u')
				continue
			}
			i += 4
			if utf16.IsSurrogate(c) {
				if low, ok := lowSurrogate(b[i+1:]); ok {
					if pair := utf16.DecodeRune(c, low); pair != utf8.RuneError {
						c = pair
						i += 6
					}
				}
			}
			if c >= 0x80 {
				style.nonASCII = true
			} else {
				if style.runes == nil {
					style.runes = make(map[rune]bool)
				}
				style.runes[c] = true
			}
			out = utf8.AppendRune(out, c)
		default:
			out = append(out, b[i])
		}
	}
	return out, style
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 || !allHex(b[:4]) {
		return 0, false
	}
	var c rune
	for _, x := range b[:4] {
		c = c<<4 | rune(unhex(x))
	}
	return c, true
}

func lowSurrogate(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	return hex4(b[2:])
}

// appendEscaped encodes a text as the inside of a JSON string.
func (e escapeStyle) appendEscaped(dst, text []byte) []byte {
	for len(text) > 0 {
		c, n := utf8.DecodeRune(text)
		raw := text[:n]
		text = text[n:]
		switch {
		case e.runes[c]:
			dst = appendHex4(dst, uint16(c))
		case c == '"' || c == '\\' || c == '/' && e.slash:
			dst = append(dst, '\\', byte(c))
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < ' ':
			dst = appendHex4(dst, uint16(c))
		case c >= 0x80 && e.nonASCII && (c != utf8.RuneError || n > 1):
			if c >= 0x10000 {
				hi, lo := utf16.EncodeRune(c)
				dst = appendHex4(appendHex4(dst, uint16(hi)), uint16(lo))
				continue
			}
			dst = appendHex4(dst, uint16(c))
		default:
			dst = append(dst, raw...)
		}
	}
	return dst
}

func appendHex4(dst []byte, u uint16) []byte {
	const digits = "0123456789abcdef"
	return append(dst, '\\', 'u', digits[u>>12], digits[u>>8&15], digits[u>>4&15], digits[u&15])
}
