package codes

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	const proxyAuth = 0x8024401B
	for _, test := range []struct {
		in     string
		want   HRESULT
		extend uint32
		form   Form
	}{
		// The ways in which one code is written.
		{"0x8024401B", proxyAuth, 0, FormHex},
		{"0x8024401b", proxyAuth, 0, FormHex},
		{"0X8024401B", proxyAuth, 0, FormHex},
		{"8024401b", proxyAuth, 0, FormHex},
		{"8024401B", proxyAuth, 0, FormHex},
		{"8024401Bh", proxyAuth, 0, FormHex},
		{"0x8024401BL", proxyAuth, 0, FormHex},
		{"0x000000008024401B", proxyAuth, 0, FormHex},
		{"0xFFFFFFFF8024401B", proxyAuth, 0, FormHex},
		{"ffffffff8024401b", proxyAuth, 0, FormHex},
		{"-2145107941", proxyAuth, 0, FormSigned},
		{"−2145107941", proxyAuth, 0, FormSigned}, // U+2212
		{"2149859355", proxyAuth, 0, FormDecimal},
		{"18446744071564443675", proxyAuth, 0, FormDecimal},
		{"WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQ", proxyAuth, 0, FormSymbol},
		{"wu_e_pt_http_status_proxy_auth_req", proxyAuth, 0, FormSymbol},
		{"407", proxyAuth, 0, FormHTTPStatus},

		// What surrounds it in mails and web pages.
		{" 0x8024401B\r\n", proxyAuth, 0, FormHex},
		{"(0x8024401B)", proxyAuth, 0, FormHex},
		{"“0x8024401B”", proxyAuth, 0, FormHex},
		{"[8024401B].", proxyAuth, 0, FormHex},
		{"\u00a00x8024401B\u200b", proxyAuth, 0, FormHex},
		{"０ｘ８０２４４０１Ｂ", proxyAuth, 0, FormHex},
		{"Error code: 0x8024401B", proxyAuth, 0, FormHex},
		{"HRESULT 8024401B", proxyAuth, 0, FormHex},
		{"HTTP 407", proxyAuth, 0, FormHTTPStatus},
		{"HTTP/1.1 407 Proxy Authentication Required", proxyAuth, 0, FormHTTPStatus},
		{"WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQ (0x8024401B)", proxyAuth, 0, FormSymbol},
		{"KB5000001 failed with 0x80070643", 0x80070643, 0, FormHex},

		// HTTP: the agent's own code if it has one, else that of BITS.
		{"403", 0x80244018, 0, FormHTTPStatus},
		{"404", 0x80244019, 0, FormHTTPStatus},
		{"503", 0x80244022, 0, FormHTTPStatus},
		{"505", 0x80244024, 0, FormHTTPStatus},
		{"402", 0x80190192, 0, FormHTTPStatus},
		{"416", 0x801901A0, 0, FormHTTPStatus},
		{"429", 0x801901AD, 0, FormHTTPStatus},
		{"302", 0x8019012E, 0, FormHTTPStatus},

		// WinHTTP, Win32, exit codes.
		{"12002", 0x80072EE2, 0, FormWinHTTP},
		{"12007", 0x80072EE7, 0, FormWinHTTP},
		{"12029", 0x80072EFD, 0, FormWinHTTP},
		{"12175", 0x80072F8F, 0, FormWinHTTP},
		{"error 12007", 0x80072EE7, 0, FormWinHTTP},
		{"0x2EE7", 0x80072EE7, 0, FormWinHTTP},
		{"2", 0x80070002, 0, FormWin32},
		{"5", 0x80070005, 0, FormWin32},
		{"112", 0x80070070, 0, FormWin32},
		{"1058", 0x80070422, 0, FormWin32},
		{"1603", 0x80070643, 0, FormWin32},
		{"1618", 0x80070652, 0, FormWin32},
		{"3010", 0x80070BC2, 0, FormWin32},
		{"1641", 0x80070669, 0, FormWin32},
		{"14098", 0x80073712, 0, FormWin32},
		{"0x00000005", 0x80070005, 0, FormWin32},
		{"0x5", 0x80070005, 0, FormWin32},
		{"0x652", 0x80070652, 0, FormWin32},
		{"487", 0x800701E7, 0, FormWin32}, // no HTTP status

		// Windows Setup.
		{"0xC1900101-0x20017", 0xC1900101, 0x20017, FormPair},
		{"0xC1900101 - 0x20017", 0xC1900101, 0x20017, FormPair},
		{"0xC1900101 – 0x20017", 0xC1900101, 0x20017, FormPair},
		{"0xC1900101 0x20017", 0xC1900101, 0x20017, FormPair},
		{"0xC1900101, 0x20017", 0xC1900101, 0x20017, FormPair},
		{"0xc1900101/0x00020017", 0xC1900101, 0x20017, FormPair},
		{"C1900101-20017", 0xC1900101, 0x20017, FormPair},
		{"0xC1900101, extend 0x20017", 0xC1900101, 0x20017, FormPair},
		{"Result = 0xC1900101, Extend = 0x40017", 0xC1900101, 0x40017, FormPair},
		{"0x80070070-0x60000", 0x80070070, 0x60000, FormPair},
		{"0xC1900101", 0xC1900101, 0, FormHex},
		{"0xC1900210", 0xC1900210, 0, FormHex},

		// NTSTATUS, as it is and wrapped with FACILITY_NT_BIT.
		{"0xC0000034", 0xC0000034, 0, FormNTSTATUS},
		{"C0000034", 0xC0000034, 0, FormNTSTATUS},
		{"0xD0000034", 0xD0000034, 0, FormNTSTATUS},
		{"STATUS_OBJECT_NAME_NOT_FOUND", 0xC0000034, 0, FormSymbol},

		// ESE, as Windows Update wraps it.
		{"-1032", 0xC8000408, 0, FormJET},
		{"0xFFFFFBF8", 0xC8000408, 0, FormJET},
		{"-550", 0xC8000226, 0, FormJET},
		{"0xC8000226", 0xC8000226, 0, FormHex},
		{"JET_errDatabaseDirtyShutdown", 0xC8000226, 0, FormSymbol},

		// Successes.
		{"0x240005", 0x00240005, 0, FormHex},
		{"240005", 0x00240005, 0, FormHex},
		{"0x00240005", 0x00240005, 0, FormHex},
		{"2359301", 0x00240005, 0, FormDecimal},
		{"0", 0, 0, FormDecimal},
		{"0x0", 0, 0, FormHex},

		// Not in the table.
		{"0x80248ABC", 0x80248ABC, 0, FormHex},
		{"80248abc", 0x80248ABC, 0, FormHex},
		{"0x41303", 0x00041303, 0, FormHex}, // a success of Task Scheduler
	} {
		c, err := Parse(test.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", test.in, err)
			continue
		}
		if c.HRESULT != test.want || c.Extend != test.extend || c.Form != test.form {
			t.Errorf("Parse(%q) = %v %v, want %v-%x %v", test.in, c, c.Form, test.want, test.extend, test.form)
		}
		if c.Given != test.in {
			t.Errorf("Parse(%q): given %q", test.in, c.Given)
		}
		again, err := Parse(c.String())
		if err != nil || again.HRESULT != c.HRESULT || again.Extend != c.Extend {
			t.Errorf("Parse(%q) = %v, %v, want %v", c.String(), again, err, c)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, test := range []struct {
		in      string
		reason  Reason
		suggest HRESULT // the first suggestion, 0 if none is expected
	}{
		{"", Empty, 0},
		{" \t", Empty, 0},
		{"()", Empty, 0},
		{strings.Repeat("8", 1000), TooLong, 0},
		{"hello", NotACode, 0},
		{"KB5000001", NotACode, 0},
		{"deadbeef", NotACode, 0},
		{"12345678", NotACode, 0},
		{"11111111-2222-3333-4444-555555555555", NotACode, 0},
		{"10.0.22631.3007", NotACode, 0},
		{"-1", OutOfRange, 0},
		{"99999999999", OutOfRange, 0},
		{"99999999999999999999999", OutOfRange, 0},
		{"0x123456789", OutOfRange, 0},
		{"0x20017", ExtendOnly, 0},
		{"20017", ExtendOnly, 0},
		{"0x80240022 0x8024401B", Several, 0x80240022},
		{"8O24401B", NotACode, 0x8024401B},
		{"0x8024401lB", NotACode, 0},
		{"0x8024O1B", NotACode, 0x8024401B},
		{"WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQUIRED", NotACode, 0x8024401B},
		{"PROXY_AUTH_REQ", NotACode, 0x8024401B},
		{"WU_E_NO_SERVCE", NotACode, 0x80240001},
	} {
		c, err := Parse(test.in)
		var pe *ParseError
		if !errors.As(err, &pe) {
			t.Errorf("Parse(%.40q) = %v, %v", test.in, c, err)
			continue
		}
		if pe.Reason != test.reason {
			t.Errorf("Parse(%.40q): reason %v, want %v", test.in, pe.Reason, test.reason)
		}
		if c != (Code{}) {
			t.Errorf("Parse(%.40q) = %v beside an error", test.in, c)
		}
		if len(pe.Suggest) > 3 || len(pe.Given) > maxShown+3 {
			t.Errorf("Parse(%.40q): %d suggestions, given %d bytes", test.in, len(pe.Suggest), len(pe.Given))
		}
		if test.suggest != 0 && (len(pe.Suggest) == 0 || pe.Suggest[0].Code != test.suggest) {
			t.Errorf("Parse(%.40q): suggests %v, want %v first", test.in, codesOf(pe.Suggest), test.suggest)
		}
		if pe.Error() == "" || strings.Contains(pe.Error(), "unknown") {
			t.Errorf("Parse(%.40q): %v", test.in, pe)
		}
	}
}

func TestReadings(t *testing.T) {
	for _, test := range []struct {
		in   string
		want []HRESULT
	}{
		{"407", []HRESULT{0x8024401B, 0x80190197}},
		{"402", []HRESULT{0x80190192, 0x8024402B}},
		{"500", []HRESULT{0x8024401F, 0x801901F4, 0x800701F4}},
		{"206", []HRESULT{0x800700CE, 0x801900CE}},
		{"12007", []HRESULT{0x80072EE7}},
		{"0x8024401B", []HRESULT{0x8024401B}},
		{"nonsense", nil},
		{"", nil},
	} {
		var got []HRESULT
		for _, c := range Readings(test.in) {
			got = append(got, c.HRESULT)
			if c.Given != test.in {
				t.Errorf("Readings(%q): given %q", test.in, c.Given)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("Readings(%q) = %v, want %v", test.in, got, test.want)
		}
	}
}

func codesOf(infos []Info) (out []HRESULT) {
	for _, i := range infos {
		out = append(out, i.Code)
	}
	return out
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"0x8024401B", "8024401bh", "-2145107941", "2149859355", "407", "12007", "0xC1900101 – 0x20017", "WU_E_NO_SERVICE", "-1032",
		"0xFFFFFFFF8024401B", "0x20017", "PROXY_AUTH", "０ｘ８０", "\xff\xfe", "0x", "-", "h", "0x80070005, extend", "error -1032 (0xfffffbf8)",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := Parse(s)
		if err != nil {
			var pe *ParseError
			if !errors.As(err, &pe) || pe.Reason == 0 || len(pe.Suggest) > 3 {
				t.Fatalf("Parse(%q): %#v", s, err)
			}
			if r := Readings(s); r != nil {
				t.Fatalf("Readings(%q) = %v beside an error", s, r)
			}
			return
		}
		if c.Given != s || c.Form == 0 {
			t.Fatalf("Parse(%q) = %+v", s, c)
		}
		again, err := Parse(c.String())
		if err != nil || again.HRESULT != c.HRESULT || again.Extend != c.Extend {
			t.Fatalf("Parse(%q) = %v, but Parse(%q) = %v, %v", s, c, c.String(), again, err)
		}
		Decode(c.HRESULT)
	})
}
