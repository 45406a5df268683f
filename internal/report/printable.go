package report

import (
	"fmt"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// printable writes JSON with every character escaped that a terminal might obey:
// encoding/json escapes control characters of ASCII only, and a terminal also
// obeys those from U+0080 on. The value stays the same (RFC 8259, section 7).
type printable struct {
	w    io.Writer
	rest []byte // the beginning of a character
}

func (p *printable) Write(b []byte) (int, error) {
	in := append(p.rest, b...)
	out := make([]byte, 0, len(in))
	for len(in) > 0 {
		r, n := utf8.DecodeRune(in)
		switch {
		case r == utf8.RuneError && n == 1 && !utf8.FullRune(in):
			p.rest = append([]byte(nil), in...)
			_, err := p.w.Write(out)
			return len(b), err
		case r < 0x7F, !invisible(r): // encoding/json has escaped the others below
			out = append(out, in[:n]...)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		in = in[n:]
	}
	p.rest = nil
	_, err := p.w.Write(out)
	return len(b), err
}
