package codes

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestDecode(t *testing.T) {
	named := func(v uint32, symbol string) Named { return Named{Value: v, Symbol: symbol} }
	for _, test := range []struct {
		code HRESULT
		want Structure
	}{
		{0x8024401B, Structure{Failed: true, Severity: SeverityError, Facility: named(0x24, "WINDOWSUPDATE"), Code: 0x401B, Component: named(4, "PT"), HTTP: 407}},
		{0x80244005, Structure{Failed: true, Severity: SeverityError, Facility: named(0x24, "WINDOWSUPDATE"), Code: 0x4005, Component: named(4, "PT"), SOAP: 5}},
		{0x8024400A, Structure{Failed: true, Severity: SeverityError, Facility: named(0x24, "WINDOWSUPDATE"), Code: 0x400A, Component: named(4, "PT"), SOAP: 10}},
		{0x80244000, Structure{Failed: true, Severity: SeverityError, Facility: named(0x24, "WINDOWSUPDATE"), Code: 0x4000, Component: named(4, "PT")}},
		{0x80248ABC, Structure{Failed: true, Severity: SeverityError, Facility: named(0x24, "WINDOWSUPDATE"), Code: 0x8ABC, Component: named(8, "DS")}},
		{0x00240005, Structure{Severity: SeveritySuccess, Facility: named(0x24, "WINDOWSUPDATE"), Code: 5, Component: named(0, "AGENT")}},
		{0x80070005, Structure{Failed: true, Severity: SeverityError, Facility: named(7, "WIN32"), Code: 5, Win32: 5}},
		{0x80072EE7, Structure{Failed: true, Severity: SeverityError, Facility: named(7, "WIN32"), Code: 0x2EE7, Win32: 12007}},
		{0x80190197, Structure{Failed: true, Severity: SeverityError, Facility: named(0x19, "HTTP"), Code: 0x197, HTTP: 407}},
		{0x801901AD, Structure{Failed: true, Severity: SeverityError, Facility: named(0x19, "HTTP"), Code: 0x1AD, HTTP: 429}},
		{0x80194002, Structure{Failed: true, Severity: SeverityError, Facility: named(0x19, "HTTP"), Code: 0x4002}},
		{0x8020002B, Structure{Failed: true, Severity: SeverityError, Facility: named(0x20, "BACKGROUNDCOPY"), Code: 0x2B}},
		{0x80D02002, Structure{Failed: true, Severity: SeverityError, Facility: named(0xD0, "DELIVERY_OPTIMIZATION"), Code: 0x2002}},
		{0x800F081F, Structure{Failed: true, Severity: SeverityError, Facility: named(0xF, "CBS"), Code: 0x81F}},
		{0x800F0203, Structure{Failed: true, Severity: SeverityError, Facility: named(0xF, "SETUPAPI"), Code: 0x203}},
		{0x800F1000, Structure{Failed: true, Severity: SeverityError, Facility: named(0xF, "SETUPAPI"), Code: 0x1000}},
		{0x800B0109, Structure{Failed: true, Severity: SeverityError, Facility: named(0xB, "CERT"), Code: 0x109}},
		{0x80090326, Structure{Failed: true, Severity: SeverityError, Facility: named(9, "SECURITY"), Code: 0x326}},
		{0x80131500, Structure{Failed: true, Severity: SeverityError, Facility: named(0x13, "URT"), Code: 0x1500}},
		{0x803D0010, Structure{Failed: true, Severity: SeverityError, Facility: named(0x3D, "WEBSERVICES"), Code: 0x10}},
		{0x803D0018, Structure{Failed: true, Severity: SeverityError, Facility: named(0x3D, "WEBSERVICES"), Code: 0x18, HTTP: 407}},
		{0x80508007, Structure{Failed: true, Severity: SeverityError, Facility: named(0x50, "WINDOWS_DEFENDER"), Code: 0x8007}},
		{0x87D00692, Structure{Failed: true, Severity: SeverityError, Facility: named(0x7D0, "CCM"), Code: 0x692}},
		{0x80004005, Structure{Failed: true, Severity: SeverityError, Facility: named(0, "NULL"), Code: 0x4005}},
		{0xA0040001, Structure{Failed: true, Customer: true, Severity: SeverityError, Facility: named(4, "ITF"), Code: 1}},
		{0x87770001, Structure{Failed: true, Severity: SeverityError, Facility: named(0x777, ""), Code: 1}},
		{0xC1900101, Structure{Failed: true, Severity: SeverityError, Facility: named(0x190, "MOSETUP"), Code: 0x101}},
		{0xC1800118, Structure{Failed: true, Severity: SeverityError, Facility: named(0x180, "SETUP"), Code: 0x118}},
		{0xC1420127, Structure{Failed: true, Severity: SeverityError, Facility: named(0x142, "WIMMOUNT"), Code: 0x127}},
		{0xC0000034, Structure{Failed: true, Severity: SeverityError, Facility: named(0, "NT"), Code: 0x34, NTSTATUS: 0xC0000034}},
		{0xC0190001, Structure{Failed: true, Severity: SeverityError, Facility: named(0x19, "TRANSACTION"), Code: 1, NTSTATUS: 0xC0190001}},
		{0xC0150004, Structure{Failed: true, Severity: SeverityError, Facility: named(0x15, "SXS_ERROR_CODE"), Code: 4, NTSTATUS: 0xC0150004}},
		{0xC0070005, Structure{Failed: true, Severity: SeverityError, Facility: named(7, "NTWIN32"), Code: 5, NTSTATUS: 0xC0070005, Win32: 5, Inner: 0x80070005}},
		{0xD0000034, Structure{Failed: true, Severity: SeverityError, Facility: named(0, "NT"), Code: 0x34, NTSTATUS: 0xC0000034, Inner: 0xC0000034}},
		{0x90000005, Structure{Failed: true, Severity: SeverityWarning, Facility: named(0, "NT"), Code: 5, NTSTATUS: 0x80000005, Inner: 0x80000005}},
		{0xC8000226, Structure{Failed: true, Severity: SeverityError, Facility: named(0x800, "ESE"), Code: 0x226, JET: -550}},
		{0xFFFFFBF8, Structure{Failed: true, Severity: SeverityError, Facility: named(0xFFF, "ESE"), Code: 0xFBF8, JET: -1032, Inner: 0xC8000408}},
		{0, Structure{Severity: SeveritySuccess, Facility: named(0, "NULL")}},
	} {
		test.want.HRESULT = test.code
		got := Decode(test.code)
		if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(Structure{}, "Pieces"), cmpopts.IgnoreFields(Named{}, "Meaning")); diff != "" {
			t.Errorf("Decode(%v) (-want +got):\n%s", test.code, diff)
		}
		if (got.Facility.Symbol != "") != (got.Facility.Meaning != "") && got.Facility.Symbol != "NULL" {
			t.Errorf("Decode(%v): facility %+v", test.code, got.Facility)
		}
	}
}

func TestDecodePieces(t *testing.T) {
	for _, test := range []struct {
		code HRESULT
		want []Piece
	}{
		{0x80072EE7, []Piece{
			{PieceSeverity, 2, "error", ""},
			{PieceFacility, 7, "WIN32", "a Win32 error, wrapped"},
			{PieceCode, 0x2EE7, "ERROR_WINHTTP_NAME_NOT_RESOLVED", "name does not resolve"},
			{PieceWin32, 12007, "ERROR_WINHTTP_NAME_NOT_RESOLVED", "name does not resolve"},
		}},
		{0xD0000034, []Piece{
			{PieceSeverity, 3, "error", ""},
			{PieceFacility, 0, "NT", "general NTSTATUS values"},
			{PieceCode, 0x34, "", ""},
			{PieceNTSTATUS, 0xC0000034, "STATUS_OBJECT_NAME_NOT_FOUND", "object name not found"},
		}},
		{0x80248ABC, []Piece{
			{PieceSeverity, 2, "error", ""},
			{PieceFacility, 0x24, "WINDOWSUPDATE", "Windows Update agent"},
			{PieceComponent, 8, "DS", "data store"},
			{PieceCode, 0x8ABC, "", ""},
		}},
	} {
		if diff := cmp.Diff(test.want, Decode(test.code).Pieces, cmpopts.IgnoreFields(Piece{}, "Meaning")); diff != "" {
			t.Errorf("Decode(%v) (-want +got):\n%s", test.code, diff)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, test := range []struct{ got, want HRESULT }{
		{FromWin32(0), 0},
		{FromWin32(5), 0x80070005},
		{FromWin32(12007), 0x80072EE7},
		{FromWin32(0x8024401B), 0x8024401B},
		{FromNTSTATUS(0xC0000034), 0xD0000034},
		{FromJET(-1032), 0xC8000408},
		{FromJET(-1), 0},
		{FromJET(1032), 0},
		{FromJET(-1 << 31), 0},
	} {
		if test.got != test.want {
			t.Errorf("got %v, want %v", test.got, test.want)
		}
	}
	for status, want := range map[int][2]HRESULT{
		400: {0x80244016, 0x80190190},
		407: {0x8024401B, 0x80190197}, // not 0x8024043C, which is a 407 of another kind
		505: {0x80244024, 0x801901F9},
		302: {0x8024402B, 0x8019012E},
		511: {0x8024402B, 0x801901FF},
		0:   {0x8024402B, 0x80190000},
		-1:  {0x8024402B, 0x8019FFFF},
	} {
		if agent, transfer := FromHTTPStatus(status); agent != want[0] || transfer != want[1] {
			t.Errorf("FromHTTPStatus(%d) = %v, %v, want %v", status, agent, transfer, want)
		}
	}
}
