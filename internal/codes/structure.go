package codes

import (
	_ "embed"
	"strconv"
	"strings"
)

// facilitiesTSV names the facilities: kind ("hresult", "ntstatus", "setup" for
// results of Windows Setup, "wu" for the components inside facility
// WINDOWSUPDATE), hex value, name, meaning (may be empty).
//
//go:embed data/facilities.tsv
var facilitiesTSV string

// Structure is what the bits of a code say, whether or not the table knows it.
// Each wrapped value is zero when nothing of its kind is wrapped.
type Structure struct {
	HRESULT  HRESULT
	Failed   bool     // severity bit
	Customer bool     // C bit: defined outside Microsoft
	Severity Severity // "success", "error"; of an NTSTATUS also "informational", "warning"

	Facility Named  // number, "WINDOWSUPDATE", "Windows Update agent"; name and meaning may be ""
	Code     uint16 // the low half

	Component Named // facility WINDOWSUPDATE only: the component that owns the code

	Win32    uint32 // Win32 error wrapped in facility WIN32, or in NTWIN32 of an NTSTATUS
	NTSTATUS uint32 // the NTSTATUS that the code is, or wraps with FACILITY_NT_BIT
	JET      int32  // ESE error (negative), wrapped in 0xC8000000 or sign-extended
	HTTP     int    // HTTP status: facility HTTP, or a status that the table gives
	SOAP     int    // "soap client error" of the agent's log, 1 to 10

	// Inner is the code to look up for the wrapped value where it differs from
	// HRESULT: 0xC0000034 for 0xD0000034, 0x80070005 for 0xC0070005. 0 if none.
	Inner HRESULT

	// Pieces say the same as a list in reading order, for display.
	Pieces []Piece
}

// Severity is a severity as [MS-ERREF] calls it.
type Severity string

// The severities. HRESULTs have the first and the last only.
const (
	SeveritySuccess       Severity = "success"
	SeverityInformational Severity = "informational"
	SeverityWarning       Severity = "warning"
	SeverityError         Severity = "error"
)

// Piece is one part of a code taken apart.
type Piece struct {
	// Kind is one of the Piece constants; sentences are keyed by it.
	Kind  PieceKind
	Value int64  // the number as it is: facility, Win32 error, HTTP status, negative ESE error
	Name  string // symbol or facility name, may be ""

	Meaning string // may be ""
}

// PieceKind says which part of a code a [Piece] is.
type PieceKind string

// The kinds of pieces, in the order in which [Decode] lists them.
const (
	PieceSeverity  PieceKind = "severity"
	PieceCustomer  PieceKind = "customer"
	PieceFacility  PieceKind = "facility"
	PieceComponent PieceKind = "component"
	PieceCode      PieceKind = "code"
	PieceWin32     PieceKind = "win32"
	PieceNTSTATUS  PieceKind = "ntstatus"
	PieceJET       PieceKind = "jet"
	PieceHTTP      PieceKind = "http"
	PieceSOAP      PieceKind = "soap"
)

const (
	facilityWin32         = 0x7
	facilityHTTP          = 0x19
	facilitySetupAPI      = 0xF
	facilityWindowsUpdate = 0x24

	winHTTPFirst, winHTTPLast = 12000, 12188 // WINHTTP_ERROR_BASE to WINHTTP_ERROR_LAST

	jetBase           HRESULT = 0xC8000000 // as Windows Update wraps an ESE error: base | -error
	jetFirst, jetLast         = 100, 9999  // magnitudes of JET_err values
)

// FromWin32 wraps a Win32 error as HRESULT_FROM_WIN32 does: 1058 gives
// 0x80070422. A value that is an HRESULT already is returned as it is.
func FromWin32(code uint32) HRESULT {
	if code == 0 || HRESULT(code).Failed() {
		return HRESULT(code)
	}
	return 0x80070000 | HRESULT(code&0xFFFF)
}

// FromNTSTATUS wraps an NTSTATUS as HRESULT_FROM_NT does: 0xC0000034 gives
// 0xD0000034.
func FromNTSTATUS(status uint32) HRESULT { return HRESULT(status) | ntBit }

// FromJET wraps a negative ESE error as Windows Update does: -1032 gives
// 0xC8000408. Other values give 0.
func FromJET(err int32) HRESULT {
	if err > -jetFirst || err < -jetLast {
		return 0
	}
	return jetBase | HRESULT(-err)
}

// httpNotMapped is WU_E_PT_HTTP_STATUS_NOT_MAPPED.
const httpNotMapped HRESULT = 0x8024402B

// FromHTTPStatus returns how an HTTP status is reported by the update agent
// (0x80244016 and following; WU_E_PT_HTTP_STATUS_NOT_MAPPED for a status
// without an own code) and by BITS and Delivery Optimization (0x80190000 +
// status).
func FromHTTPStatus(status int) (agent, transfer HRESULT) {
	const first, last HRESULT = 0x80244016, 0x80244024
	transfer = 0x80190000 | HRESULT(status&0xFFFF)
	for at := lowerBound(first); at < len(codesTSV); {
		row := lineAt(at)
		if row.code() > last {
			break
		}
		if row.httpStatus() == status {
			return row.code(), transfer
		}
		at += len(row) + 1
	}
	return httpNotMapped, transfer
}

// Decode reads a code by its structure alone. [MS-ERREF] 2.1 and 2.3 give the
// bits; the facility names are those of winerror.h and ntstatus.h without
// their prefix.
func Decode(h HRESULT) Structure {
	s := Structure{
		HRESULT: h, Failed: h.Failed(), Customer: h&customerBit != 0,
		Severity: SeveritySuccess, Code: uint16(h),
	}
	if s.Failed {
		s.Severity = SeverityError
	}
	switch kind := kindOf(h); kind {
	case kindJET:
		s.JET = jetOf(h)
		if in := FromJET(s.JET); in != h {
			s.Inner = in
		}
		s.Facility = Named{Value: uint32(h>>16) & 0xFFF, Symbol: "ESE", Meaning: "database engine (DataStore.edb, catalog and transfer databases)"}
		s.Customer = false
	case kindNTSTATUS:
		status := h &^ ntBit
		s.NTSTATUS = uint32(status)
		s.Severity = [...]Severity{SeveritySuccess, SeverityInformational, SeverityWarning, SeverityError}[status>>30]
		s.Facility = facility("ntstatus", uint32(status>>16)&0xFFF)
		if status != h {
			s.Inner = status
		}
		if s.Facility.Value == facilityWin32 && s.Code != 0 {
			s.Win32 = uint32(s.Code)
			s.Inner = FromWin32(s.Win32)
		}
	case kindSetup:
		s.Facility = facility("setup", uint32(h>>16)&0xFFF)
	default:
		s.Facility = facility("hresult", uint32(h>>16)&0xFFF)
		switch s.Facility.Value {
		case facilityWin32:
			s.Win32 = uint32(s.Code)
		case facilityHTTP:
			if s.Code >= 100 && s.Code <= 599 {
				s.HTTP = int(s.Code)
			}
		case facilitySetupAPI:
			// SetupAPI and servicing share the number; servicing took the
			// block from 0x800.
			if s.Code >= 0x800 && s.Code < 0x1000 {
				s.Facility.Symbol, s.Facility.Meaning = "CBS", "component-based servicing"
			}
		case facilityWindowsUpdate:
			s.Component = facility("wu", uint32(s.Code>>12))
			if s.Failed && s.Code > 0x4000 && s.Code <= 0x400A {
				s.SOAP = int(s.Code & 0xFF)
			}
		}
	}
	if row, ok := findRow(h); ok && s.HTTP == 0 {
		s.HTTP = row.httpStatus()
	}
	s.Pieces = s.pieces()
	return s
}

func (s *Structure) pieces() []Piece {
	p := make([]Piece, 0, 8)
	add := func(k PieceKind, v int64, name, meaning string) { p = append(p, Piece{k, v, name, meaning}) }
	known := func(h HRESULT) (name, meaning string) {
		i, _ := Lookup(h)
		return i.Symbol(), i.Meaning
	}

	add(PieceSeverity, int64(s.HRESULT>>30), string(s.Severity), "")
	if s.Customer {
		add(PieceCustomer, 1, "", "")
	}
	add(PieceFacility, int64(s.Facility.Value), s.Facility.Symbol, s.Facility.Meaning)
	if s.Component.Symbol != "" {
		add(PieceComponent, int64(s.Component.Value), s.Component.Symbol, s.Component.Meaning)
	}
	name, meaning := known(s.HRESULT)
	add(PieceCode, int64(s.Code), name, meaning)
	if s.NTSTATUS != 0 {
		name, meaning = known(HRESULT(s.NTSTATUS))
		add(PieceNTSTATUS, int64(s.NTSTATUS), name, meaning)
	}
	if s.Win32 != 0 {
		name, meaning = known(FromWin32(s.Win32))
		add(PieceWin32, int64(s.Win32), name, meaning)
	}
	if s.JET != 0 {
		name, meaning = known(FromJET(s.JET))
		add(PieceJET, int64(s.JET), name, meaning)
	}
	if s.HTTP != 0 {
		add(PieceHTTP, int64(s.HTTP), "", "")
	}
	if s.SOAP != 0 {
		add(PieceSOAP, int64(s.SOAP), "", "")
	}
	return p
}

// A kind is how the upper bits of a code have to be read.
type kind uint8

const (
	kindHRESULT kind = iota
	kindNTSTATUS
	kindJET
	kindSetup
)

func kindOf(h HRESULT) kind {
	switch {
	case jetOf(h) != 0:
		return kindJET
	case h&ntBit != 0 && h&severityBit != 0 && h&customerBit == 0:
		return kindNTSTATUS // HRESULT_FROM_NT of a warning or an error
	case h>>28 != 0xC:
		return kindHRESULT
	}
	switch h >> 16 {
	case 0xC142, 0xC180, 0xC190, 0xC770:
		return kindSetup
	}
	return kindNTSTATUS
}

// jetOf returns the ESE error that h is or wraps, 0 if none.
func jetOf(h HRESULT) int32 {
	if n := h &^ jetBase; h&jetBase == jetBase && n >= jetFirst && n <= jetLast {
		return -int32(n)
	}
	if n := int32(h); n <= -jetFirst && n >= -jetLast {
		return n
	}
	return 0
}

// facility looks a number up in facilitiesTSV; the names stay empty if it is
// not known.
func facility(kind string, value uint32) Named {
	f := Named{Value: value}
	for l := range strings.Lines(facilitiesTSV) {
		rest, ok := strings.CutPrefix(l, kind+"\t")
		if !ok {
			continue
		}
		hex, rest, _ := strings.Cut(strings.TrimSuffix(rest, "\n"), "\t")
		if v, err := strconv.ParseUint(hex, 16, 32); err == nil && uint32(v) == value {
			f.Symbol, f.Meaning, _ = strings.Cut(rest, "\t")
			return f
		}
	}
	return f
}
