package codes

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Form is how a person, a log or a program wrote a code.
type Form uint8

// The forms that [Parse] and [Find] know.
const (
	FormHex        Form = iota + 1 // 0x8024401B, 8024401b, 8024401Bh
	FormDecimal                    // 2149859355
	FormSigned                     // -2145107941
	FormSymbol                     // WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQ
	FormHTTPStatus                 // 407
	FormWinHTTP                    // 12007
	FormWin32                      // 1058, exit codes 1618 and 3010, 0x5
	FormNTSTATUS                   // 0xC0000034, 0xD0000034
	FormJET                        // -1032, 0xFFFFFBF8
	FormPair                       // 0xC1900101-0x20017
)

// String returns a short name: "hex", "http-status", ...
func (f Form) String() string {
	switch f {
	case FormHex:
		return "hex"
	case FormDecimal:
		return "decimal"
	case FormSigned:
		return "signed"
	case FormSymbol:
		return "symbol"
	case FormHTTPStatus:
		return "http-status"
	case FormWinHTTP:
		return "winhttp"
	case FormWin32:
		return "win32"
	case FormNTSTATUS:
		return "ntstatus"
	case FormJET:
		return "jet"
	case FormPair:
		return "pair"
	}
	return "unknown"
}

// Code is a code that somebody typed or that stood in a text.
type Code struct {
	HRESULT
	Extend uint32 // extend code of Windows Setup, 0 if none
	Given  string // as written
	Form   Form
}

// String returns the canonical form: "0x8024401B" or "0xC1900101-0x20017".
func (c Code) String() string {
	if c.Extend == 0 {
		return c.HRESULT.String()
	}
	return c.HRESULT.String() + "-0x" + strings.ToUpper(strconv.FormatUint(uint64(c.Extend), 16))
}

// MarshalText writes the form of [Code.String].
func (c Code) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads any form that [Parse] reads.
func (c *Code) UnmarshalText(text []byte) error {
	p, err := Parse(string(text))
	if err != nil {
		return err
	}
	*c = p
	return nil
}

// Phase returns the setup phase of the extend code, the zero value if the
// code has none.
func (c Code) Phase() Named {
	if c.Extend == 0 {
		return Named{}
	}
	p, _ := Extend(c.Extend)
	return p
}

// Operation returns the setup operation of the extend code, the zero value if
// the code has none.
func (c Code) Operation() Named {
	if c.Extend == 0 {
		return Named{}
	}
	_, o := Extend(c.Extend)
	return o
}

// ParseError says why a text is no code and what was perhaps meant.
type ParseError struct {
	Given   string // as written, cut to a printable length
	Reason  Reason
	Suggest []Info // what was perhaps meant, best first; at most 3
}

// Reason is why [Parse] refused.
type Reason uint8

// The reasons of a [ParseError].
const (
	Empty      Reason = iota + 1 // nothing but blanks or punctuation
	TooLong                      // longer than any code
	NotACode                     // none of the known forms
	OutOfRange                   // a number, but too large or too small for any code
	ExtendOnly                   // an extend code of Windows Setup without its result code
	Several                      // more than one code
)

// String returns a phrase that completes "... is ".
func (r Reason) String() string {
	switch r {
	case Empty:
		return "empty"
	case TooLong:
		return "too long to be a code"
	case NotACode:
		return "not a code"
	case OutOfRange:
		return "a number out of the range of codes"
	case ExtendOnly:
		return "an extend code without its result code"
	case Several:
		return "more than one code"
	}
	return "unknown"
}

func (e *ParseError) Error() string { return fmt.Sprintf("%q is %v", e.Given, e.Reason) }

const (
	maxGiven = 256 // bytes that Parse looks at: a code, and a few words around it
	maxShown = 64  // bytes of the given text in an error
)

// Parse reads one code in any form in which a person may have it:
//
//	0x8024401B  8024401b  0X8024401B  8024401Bh  0xFFFFFFFF8024401B
//	-2145107941  2149859355
//	WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQ   in any letter case
//	407      an HTTP status, as the update agent reports it
//	12007    a WinHTTP error
//	1058     a Win32 error, or an exit code that is one (1618, 3010)
//	-1032    an ESE error
//	0xC1900101-0x20017   a result of Windows Setup with its extend code,
//	         with any dash, comma or blanks between
//
// Quotes, brackets and punctuation around it do not matter, nor do words, as
// long as there is exactly one code among them. Where a number can be read in
// more than one way, Parse takes the first of [Readings].
//
// The error is always a [*ParseError].
func Parse(s string) (Code, error) {
	r, reason := readings(s)
	if len(r) > 0 {
		return r[0], nil
	}
	e := &ParseError{Given: s, Reason: reason}
	if len(s) > maxShown {
		e.Given = strings.ToValidUTF8(s[:maxShown], "") + "..."
	}
	switch reason {
	case Empty, TooLong:
	case Several:
		for _, m := range Find(s) {
			if i, ok := Lookup(m.HRESULT); ok && len(e.Suggest) < 3 {
				e.Suggest = append(e.Suggest, i)
			}
		}
	default:
		e.Suggest = Near(s, 3)
	}
	return Code{}, e
}

// Readings returns every way in which s can be read as a code, the likeliest
// first; nil if there is none. 407 is an HTTP status as the update agent
// reports it, the same as BITS reports it, and a Win32 error.
func Readings(s string) []Code {
	r, _ := readings(s)
	return r
}

func readings(s string) ([]Code, Reason) {
	if len(s) > maxGiven {
		return nil, TooLong
	}
	t := tidy(s)
	if t == "" {
		return nil, Empty
	}
	r, reason := readToken(t)
	if len(r) == 0 {
		// Not a bare code. Perhaps one with words around it.
		switch m := Find(t); len(m) {
		case 0:
		case 1:
			r = []Code{m[0].Code}
		default:
			reason = Several
		}
	}
	for i := range r {
		r[i].Given = s
	}
	return r, reason
}

// tidy removes what surrounds a code in mails and web pages, and turns the
// dashes, blanks and full-width characters of word processors into ASCII.
func tidy(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
		s = strings.Map(func(r rune) rune {
			switch {
			case r >= 0x2010 && r <= 0x2015, r == 0x2212, r == 0xFE63: // hyphens, dashes, minus
				return '-'
			case r == 0xA0, r == 0x202F, r >= 0x2000 && r <= 0x200A, r == 0x3000: // blanks
				return ' '
			case r == 0xAD, r >= 0x200B && r <= 0x200F, r == 0x2060, r == 0xFEFF: // invisible
				return -1
			case r >= 0x2018 && r <= 0x201F, r == 0xAB, r == 0xBB: // quotes
				return '"'
			case r >= 0xFF01 && r <= 0xFF5E: // full width
				return r - 0xFF01 + '!'
			}
			return r
		}, s)
	}
	const around = " \t\r\n\"'`()[]{}<>.,;:!?*#="
	return strings.Trim(s, around)
}

// readToken reads a tidied text that is nothing but a code.
func readToken(t string) ([]Code, Reason) {
	if n := hexToken(t, 0); n > 0 {
		digits, prefixed := hexDigits(t[:n])
		if n == len(t) {
			if r, reason := readHex(digits, prefixed); len(r) > 0 || reason != 0 {
				return r, reason
			}
		} else if h, ok := failing(digits); ok {
			if ext, end := extendAt(t, n); end == len(t) {
				return []Code{{HRESULT: h, Extend: ext, Form: FormPair}}, 0
			}
		}
	}
	digits, negative := strings.CutPrefix(t, "-")
	if digits != "" && strings.Trim(digits, "0123456789") == "" {
		if negative {
			return readNegative(digits)
		}
		return readDecimal(digits)
	}
	if i, ok := BySymbol(t); ok {
		return []Code{{HRESULT: i.Code, Form: FormSymbol}}, 0
	}
	return nil, NotACode
}

// readHex reads hex digits. Without a prefix only what looks like a code is
// one; the rest may still be a decimal number or a name, which is what a zero
// Reason says.
func readHex(digits string, prefixed bool) ([]Code, Reason) {
	v, ok := hexValue(digits)
	if !ok {
		if prefixed {
			return nil, OutOfRange
		}
		return nil, 0
	}
	h := HRESULT(v)
	_, known := findRow(h)
	hex := []Code{{HRESULT: h, Form: FormHex}}
	if kindOf(h) == kindNTSTATUS {
		hex[0].Form = FormNTSTATUS
	}
	if j := FromJET(int32(v)); j != 0 {
		hex[0] = Code{HRESULT: j, Form: FormJET}
	}
	if !prefixed {
		switch {
		case len(digits) == 8 && (known || plausible(h)),
			len(digits) > 4 && len(digits) != 8 && known:
			return hex, 0
		}
		return nil, 0
	}
	switch {
	case v == 0, known, hex[0].Form == FormJET:
		return hex, 0
	case v <= 0xFFFF:
		return readDecimal(strconv.FormatUint(uint64(v), 10))
	case isExtend(v):
		return nil, ExtendOnly
	case len(digits) < 8 && hexDigit[digits[0]] > 8:
		return nil, NotACode // 0x8024401: a digit is missing
	}
	return hex, 0
}

// readDecimal reads an unsigned decimal number.
func readDecimal(digits string) (r []Code, _ Reason) {
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return nil, OutOfRange
	}
	if n>>31 == 1<<33-1 { // a negative HRESULT, sign-extended to 64 bits
		n &= 1<<32 - 1
	}
	if n == 0 {
		return []Code{{Form: FormDecimal}}, 0
	}
	if n <= 0xFFFF {
		return readShort(uint32(n))
	}
	if n > 1<<32-1 {
		return nil, OutOfRange
	}
	h := HRESULT(n)
	if _, known := findRow(h); known || h.Failed() {
		return []Code{{HRESULT: h, Form: FormDecimal}}, 0
	}
	return nil, NotACode
}

// readShort reads a number of at most 16 bits: an HTTP status, a WinHTTP
// error, a Win32 error or an exit code.
func readShort(n uint32) (r []Code, _ Reason) {
	win32 := Code{HRESULT: FromWin32(n), Form: FormWin32}
	_, known := findRow(win32.HRESULT)
	switch {
	case n >= winHTTPFirst && n <= winHTTPLast:
		win32.Form = FormWinHTTP
		return append(r, win32), 0
	case isHTTPFailure(n):
		agent, transfer := FromHTTPStatus(int(n))
		r = append(r, Code{HRESULT: agent, Form: FormHTTPStatus}, Code{HRESULT: transfer, Form: FormHTTPStatus})
		if agent == httpNotMapped {
			r[0], r[1] = r[1], r[0]
		}
		if known {
			r = append(r, win32)
		}
		return r, 0
	case known, n <= maxWin32 && !isExtend(hexFromDecimal(n)):
		r = append(r, win32)
		_, transfer := FromHTTPStatus(int(n))
		if _, ok := findRow(transfer); ok && n >= 100 && n <= 599 {
			r = append(r, Code{HRESULT: transfer, Form: FormHTTPStatus})
		}
		return r, 0
	case isExtend(hexFromDecimal(n)): // "20017", where 0x20017 was meant
		return nil, ExtendOnly
	}
	return nil, NotACode
}

// maxWin32 is the end of the numbers that winerror.h gives to Win32 errors.
const maxWin32 = 15999

// hexFromDecimal returns the number whose hex digits are the decimal digits
// of n: 0x20017 for 20017.
func hexFromDecimal(n uint32) (v uint32) {
	for shift := 0; n > 0; n, shift = n/10, shift+4 {
		v |= n % 10 << shift
	}
	return v
}

// readNegative reads the digits of a negative decimal number: an HRESULT as a
// signed integer, or an ESE error.
func readNegative(digits string) ([]Code, Reason) {
	n, err := strconv.ParseInt("-"+digits, 10, 64)
	if err != nil || n < -1<<31 {
		return nil, OutOfRange
	}
	if j := FromJET(int32(n)); j != 0 {
		return []Code{{HRESULT: j, Form: FormJET}}, 0
	}
	h := HRESULT(uint32(int32(n)))
	if _, known := findRow(h); !known && !plausible(h) {
		return nil, OutOfRange
	}
	return []Code{{HRESULT: h, Form: FormSigned}}, 0
}

// isHTTPFailure reports whether n is an assigned HTTP status that a client
// does not expect: redirects and errors.
func isHTTPFailure(n uint32) bool {
	switch {
	case n >= 300 && n <= 308 && n != 306,
		n >= 400 && n <= 417, n >= 421 && n <= 426, n == 428, n == 429, n == 431, n == 449, n == 451,
		n >= 500 && n <= 511 && n != 509:
		return true
	}
	return false
}

// hexToken returns the length of the run of word characters at text[at:] if
// it is a hex number: 0x and digits, digits and h, or digits alone, of which
// there are at most 16. Otherwise 0.
func hexToken(text string, at int) int {
	n := at
	for n < len(text) && class[text[n]] != 0 && n-at <= 20 {
		n++
	}
	if d, _ := hexDigits(text[at:n]); d == "" {
		return 0
	}
	return n - at
}

// hexDigits returns the digits of a hex token and whether a prefix or suffix
// marks them as hex; "" if it is no such token.
func hexDigits(token string) (digits string, marked bool) {
	d := token
	switch {
	case len(d) > 2 && d[0] == '0' && d[1]|0x20 == 'x':
		d, marked = d[2:], true
		if last := d[len(d)-1] | 0x20; len(d) == 9 && (last == 'l' || last == 'u') { // 0x8024401BL, C source
			d = d[:8]
		}
	case len(d) > 1 && d[len(d)-1]|0x20 == 'h':
		d, marked = d[:len(d)-1], true
	}
	if d == "" || len(d) > 16 {
		return "", false
	}
	for i := range len(d) {
		if hexDigit[d[i]] == 0 {
			return "", false
		}
	}
	return d, marked
}

// hexValue returns the value of at most 16 hex digits as 32 bits. It accepts
// leading zeros and the sign extension of a 64-bit number.
func hexValue(digits string) (uint32, bool) {
	var v uint64
	for i := range len(digits) {
		v = v<<4 | uint64(hexDigit[digits[i]]-1)
	}
	if v>>31 == 1<<33-1 {
		v &= 1<<32 - 1
	}
	return uint32(v), v <= 1<<32-1
}

// failing returns the failing HRESULT of exactly eight digits.
func failing(digits string) (HRESULT, bool) {
	v, ok := hexValue(digits)
	return HRESULT(v), ok && len(digits) == 8 && HRESULT(v).Failed()
}

// extendAt reads what may follow a result code: punctuation, perhaps the word
// "extend", and an extend code. It returns the end of it, or 0 if there is
// none.
func extendAt(text string, at int) (ext uint32, end int) {
	const maxGap = 24
	gap, strong := at, false // strong: a dash or the word tells that a bare number belongs to it
	for gap < len(text) && gap-at < maxGap {
		switch c := text[gap]; {
		case c == '-':
			gap, strong = gap+1, true
		case c == 0xE2 && gap+2 < len(text) && isDash(text[gap:gap+3]):
			gap, strong = gap+3, true
		case strings.IndexByte(" \t,;:/+&=[(", c) >= 0:
			gap++
		case c|0x20 == 'e' && foldPrefix(text[gap:], "extended"):
			gap, strong = gap+8, true
		case c|0x20 == 'e' && foldPrefix(text[gap:], "extend"):
			gap, strong = gap+6, true
		case c|0x20 == 'a' && foldPrefix(text[gap:], "and "):
			gap += 4
		case c|0x20 == 'c' && foldPrefix(text[gap:], "code "):
			gap += 5
		default:
			n := hexToken(text, gap)
			digits, prefixed := hexDigits(text[gap : gap+n])
			if gap == at || n == 0 || len(digits) < 5 || !prefixed && (!strong || len(digits) != 5) {
				return 0, 0
			}
			v, ok := hexValue(digits)
			if !ok || !isExtend(v) {
				return 0, 0
			}
			return v, gap + n
		}
	}
	return 0, 0
}

// isDash reports whether the three bytes are a hyphen, dash or minus of
// Unicode.
func isDash(b string) bool {
	return b[1] == 0x80 && b[2] >= 0x90 && b[2] <= 0x95 || b[1] == 0x88 && b[2] == 0x92
}

// foldPrefix reports whether s begins with the lower-case ASCII prefix in any
// letter case.
func foldPrefix(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// plausible reports whether h, which the table need not know, is built like a
// failing code of the components that take part in updating. It is what tells
// a new or undocumented code from a 32-bit address or a hash.
func plausible(h HRESULT) bool {
	code := uint16(h)
	switch h >> 16 {
	case 0x8024, // Windows Update agent
		0x8020, // BITS
		0x80D0, // Delivery Optimization
		0x803D, // web services
		0x8019: // HTTP
		return true
	case 0x8007:
		return code != 0 && code < 0x4000
	case 0x800F:
		return code < 0x300 || code >= 0x800 && code < 0xC00 || code == 0x1000
	case 0x8001, 0x8002, 0x8003, 0x8004, 0x8008, 0x8009, 0x800A, 0x800B, 0x8013, // COM, crypto, trust, .NET
		0x8018, 0x801C, 0x8028, 0x8029, 0x8030, 0x8031, // enrolment, TPM, setup, BitLocker
		0x803F, 0x8050, 0x8087, 0x8088, 0x80AD, // Store, Defender, update agents of devices
		0x8A15,                 // winget
		0x87D0, 0x87E1, 0x8DDD: // Configuration Manager, Store, the former update web site
		// Facility 0 is left out: 0x80000002 is HKEY_LOCAL_MACHINE as often as a code.
		return code != 0 && code < 0x8000
	case 0xC190, 0xC180, 0xC142, 0xC770: // Windows Setup
		return code < 0x1000
	case 0xC000, 0xD000:
		return code != 0 && code < 0xC000
	case 0xC015, 0xC019, 0xD015, 0xD019, 0xC035, 0xC043, 0xC0E9:
		return code < 0x1000
	}
	return jetOf(h) != 0
}
