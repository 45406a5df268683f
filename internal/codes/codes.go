// Package codes is what updoc knows about the numbers with which Windows
// Update fails: HRESULTs, the Win32, WinHTTP, HTTP, NTSTATUS and ESE codes
// wrapped inside them, and the extend codes of Windows Setup.
//
// The knowledge is data: three tab-separated tables, embedded as text, sorted
// and searched in place. Nothing is parsed, compiled or allocated before the
// first question, because the package sits in the start of every command.
//
// Sources: learn.microsoft.com "Windows Update error codes by component",
// "Upgrade error codes" and "Upgrade resolution procedures", [MS-ERREF], and
// the public headers that each row of data/codes.tsv names.
package codes

// An HRESULT is a result as COM reports it: a severity bit, a facility and a
// code of 16 bits. See [MS-ERREF] 2.1.
type HRESULT uint32

// Bits of an HRESULT, [MS-ERREF] 2.1.
const (
	severityBit HRESULT = 1 << 31 // S: failed
	severityR   HRESULT = 1 << 30 // R: with S set, the upper severity bit of an NTSTATUS
	customerBit HRESULT = 1 << 29 // C: defined outside Microsoft
	ntBit       HRESULT = 1 << 28 // N: an NTSTATUS mapped by HRESULT_FROM_NT
)

const upperHex = "0123456789ABCDEF"

// String returns h as people and Microsoft's documents write it: "0x8024401B".
func (h HRESULT) String() string {
	b := [10]byte{0: '0', 1: 'x'}
	for i, v := 9, uint32(h); i > 1; i, v = i-1, v>>4 {
		b[i] = upperHex[v&0xF]
	}
	return string(b[:])
}

// Failed reports whether the severity bit is set. Some codes carry it and
// mean success all the same: see [HRESULT.Benign].
func (h HRESULT) Failed() bool { return h&severityBit != 0 }

// Symbol returns the first symbolic name of h, or "" if the table has none.
func (h HRESULT) Symbol() string {
	row, ok := findRow(h)
	if !ok {
		return ""
	}
	s := row.field(colSymbols)
	for i := range len(s) {
		if s[i] == '|' {
			return s[:i]
		}
	}
	return s
}

// MarshalText writes the form of [HRESULT.String].
func (h HRESULT) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads any form that [Parse] reads.
func (h *HRESULT) UnmarshalText(text []byte) error {
	c, err := Parse(string(text))
	if err != nil {
		return err
	}
	*h = c.HRESULT
	return nil
}
