package codes

import (
	"fmt"
	"strconv"
	"strings"
)

// Form is how a person wrote a code.
type Form uint8

// The forms that [Parse] and [Find] know.
const (
	FormHex        Form = iota + 1 // 0x8024401B, 8024401b, 8024401Bh
	FormDecimal                    // 2149859355
	FormSigned                     // -2145107941
	FormSymbol                     // WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQ
	FormHTTPStatus                 // 407
	FormWinHTTP                    // 12007
	FormWin32                      // 1058, 1618, 0x5
	FormNTSTATUS                   // 0xC0000034, 0xD0000034
	FormJET                        // -1032, 0xFFFFFBF8
	FormPair                       // 0xC1900101-0x20017
)

func (f Form) String() string {
	names := [...]string{"unknown", "hex", "decimal", "signed", "symbol", "http-status", "winhttp", "win32", "ntstatus", "jet", "pair"}
	if int(f) < len(names) {
		return names[f]
	}
	return names[0]
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
	return fmt.Sprintf("%v-0x%X", c.HRESULT, c.Extend)
}

// MarshalText writes the form of [Code.String].
func (c Code) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

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
	Suggest []Info // near misses, best first; at most 3
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
)

func (r Reason) String() string {
	names := [...]string{"unknown", "empty", "too long to be a code", "not a code", "number out of range", "an extend code without its result code"}
	if int(r) < len(names) {
		return names[r]
	}
	return names[0]
}

func (e *ParseError) Error() string { return fmt.Sprintf("%q: %v", e.Given, e.Reason) }

// Parse reads one code in any form in which a person may have it.
// The error is a [*ParseError].
func Parse(s string) (Code, error) {
	t := strings.TrimSpace(s)
	if d, ok := strings.CutPrefix(strings.ToLower(t), "0x"); ok {
		t = d
	}
	if len(t) == 8 {
		if v, err := strconv.ParseUint(t, 16, 32); err == nil {
			return Code{HRESULT: HRESULT(v), Given: s, Form: FormHex}, nil
		}
	}
	if i, ok := BySymbol(t); ok {
		return Code{HRESULT: i.Code, Given: s, Form: FormSymbol}, nil
	}
	return Code{}, &ParseError{Given: s, Reason: NotACode, Suggest: Near(t, 3)}
}
