package codes

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestString(t *testing.T) {
	for h, want := range map[HRESULT]string{
		0:          "0x00000000",
		5:          "0x00000005",
		0x8024401B: "0x8024401B",
		0xFFFFFFFF: "0xFFFFFFFF",
	} {
		if got := h.String(); got != want {
			t.Errorf("String() = %q, want %q", got, want)
		}
		if got := fmt.Sprint(h); got != want {
			t.Errorf("Sprint = %q, want %q", got, want)
		}
	}
}

func TestJSON(t *testing.T) {
	type doc struct {
		Code   HRESULT `json:"code"`
		Setup  Code    `json:"setup"`
		Signed HRESULT `json:"signed"`
	}
	var d doc
	if err := json.Unmarshal([]byte(`{"code":"8024401b","setup":"0xC1900101 - 0x20017","signed":"-2145107941"}`), &d); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"code":"0x8024401B","setup":"0xC1900101-0x20017","signed":"0x8024401B"}`; string(out) != want {
		t.Errorf("got %s, want %s", out, want)
	}
	if err := json.Unmarshal([]byte(`{"code":"nonsense"}`), &d); err == nil {
		t.Error("nonsense was read as a code")
	}
}

func TestLookup(t *testing.T) {
	i, ok := Lookup(0x8024401B)
	if !ok || i.Code != 0x8024401B || i.Symbol() != "WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQ" || i.Family != "wua-transport" ||
		i.Stage != "scan" || i.HTTPStatus != 407 || !strings.Contains(i.Meaning, "proxy") || i.Unsure || i.Source != "mingw-w64 wuerror.h" {
		t.Errorf("Lookup(0x8024401B) = %+v, %v", i, ok)
	}
	// More than one name, in the order of the table.
	i, _ = Lookup(0x80072EE2)
	if want := []string{"ERROR_WINHTTP_TIMEOUT", "ERROR_INTERNET_TIMEOUT", "WININET_E_TIMEOUT"}; !slices.Equal(i.Symbols, want) {
		t.Errorf("symbols %q, want %q", i.Symbols, want)
	}
	// No name, and only field reports.
	i, ok = Lookup(0x8024A112)
	if !ok || len(i.Symbols) != 0 || i.Symbol() != "" || !i.Unsure || strings.HasSuffix(i.Meaning, "?") {
		t.Errorf("Lookup(0x8024A112) = %+v, %v", i, ok)
	}
	for _, h := range []HRESULT{0, 1, 0x000F0800, 0x8024401B + 0x10000000, 0x80248ABC, 0xFFFFFFFF} {
		if i, ok := Lookup(h); ok || i.Code != 0 || h.Symbol() != "" {
			t.Errorf("Lookup(%v) = %+v", h, i)
		}
	}
}

func TestBySymbol(t *testing.T) {
	for _, name := range []string{"WU_E_PT_HTTP_STATUS_PROXY_AUTH_REQ", "wu_e_pt_http_status_proxy_auth_req", "Wu_E_Pt_Http_Status_Proxy_Auth_Req"} {
		if i, ok := BySymbol(name); !ok || i.Code != 0x8024401B {
			t.Errorf("BySymbol(%q) = %v, %v", name, i.Code, ok)
		}
	}
	// The older value of this name is in the table too; the header's wins.
	if i, _ := BySymbol("WU_E_REDIRECTOR_UNEXPECTED"); i.Code != 0x802450FF {
		t.Errorf("WU_E_REDIRECTOR_UNEXPECTED is %v", i.Code)
	}
	for _, name := range []string{"", "WU_E_", "WU_E_PT_HTTP_STATUS_PROXY_AUTH_RE", "?"} {
		if i, ok := BySymbol(name); ok {
			t.Errorf("BySymbol(%q) = %v", name, i.Code)
		}
	}
}

// TestTable holds the data to its form, and every row to all ways of finding it.
func TestTable(t *testing.T) {
	stages := []string{"scan", "download", "verify", "install", "setup", "any"}
	var rows int
	var last HRESULT
	old := map[string]HRESULT{"WU_E_REDIRECTOR_UNEXPECTED": 0x80245FFF}
	for i := range All() {
		rows++
		if rows > 1 && i.Code <= last {
			t.Errorf("%v stands after %v", i.Code, last)
		}
		last = i.Code
		switch {
		case i.Meaning == "" || strings.HasSuffix(i.Meaning, ".") || strings.HasSuffix(i.Meaning, "?"):
			t.Errorf("%v: meaning %q", i.Code, i.Meaning)
		case !slices.Contains(stages, i.Stage):
			t.Errorf("%v: stage %q", i.Code, i.Stage)
		case i.Family == "" || i.Source == "":
			t.Errorf("%v: family %q, source %q", i.Code, i.Family, i.Source)
		}
		got, ok := Lookup(i.Code)
		if !ok || got.Meaning != i.Meaning || !slices.Equal(got.Symbols, i.Symbols) {
			t.Errorf("Lookup(%v) = %+v, %v", i.Code, got, ok)
		}
		if got := i.Code.Symbol(); got != i.Symbol() {
			t.Errorf("%v.Symbol() = %q, want %q", i.Code, got, i.Symbol())
		}
		if c, err := Parse(i.Code.String()); err != nil || c.HRESULT != i.Code {
			t.Errorf("Parse(%v) = %v, %v", i.Code, c, err)
		}
		if c, err := Parse(fmt.Sprint(int32(i.Code))); err != nil || c.HRESULT != i.Code {
			t.Errorf("Parse(%d) = %v, %v", int32(i.Code), c, err)
		}
		if i.Code.Failed() {
			line := "Error: " + i.Code.String() + "."
			if m := Find(line); len(m) != 1 || m[0].HRESULT != i.Code {
				t.Errorf("Find(%q) = %v", line, m)
			}
		}
		for _, s := range i.Symbols {
			if len(s) > maxSymbol || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" {
				t.Errorf("%v: symbol %q", i.Code, s)
			}
			if old[s] == i.Code {
				continue
			}
			if got, ok := BySymbol(strings.ToLower(s)); !ok || got.Code != i.Code {
				t.Errorf("BySymbol(%q) = %v, %v, want %v", s, got.Code, ok, i.Code)
			}
			if m := Find("got " + s + " here"); len(m) != 1 || m[0].HRESULT != i.Code {
				t.Errorf("Find(%q) = %v", s, m)
			}
		}
	}
	if rows < 4000 {
		t.Errorf("only %d rows", rows)
	}
	for l := range strings.Lines(codesTSV) {
		if strings.Count(l, "\t") != colSource || !strings.HasSuffix(l, "\n") || strings.ContainsAny(l, "\r\"") {
			t.Errorf("malformed line %q", l)
		}
	}
}

// TestTableIsComplete compares with the collection of facts that the table was
// made from, where that is at hand.
func TestTableIsComplete(t *testing.T) {
	data, err := os.ReadFile("../../../shared/facts/codes.tsv")
	if err != nil {
		t.Skipf("the collection of facts is not here: %v", err)
	}
	var rows int
	for l := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimRight(l, "\r\n"), "\t")
		if len(f) < 7 || f[0] == "hex" {
			continue
		}
		rows++
		var h HRESULT
		if _, err := fmt.Sscanf(f[0], "0x%X", &h); err != nil {
			t.Fatalf("%q: %v", f[0], err)
		}
		i, ok := Lookup(h)
		if !ok {
			t.Errorf("%v is missing", h)
			continue
		}
		for s := range strings.SplitSeq(f[1], "|") {
			s, _, _ = strings.Cut(s, " (") // a remark
			if s != "?" && !slices.Contains(i.Symbols, s) {
				t.Errorf("%v: symbol %q is missing", h, s)
			}
		}
		status := ""
		if i.HTTPStatus != 0 {
			status = fmt.Sprint(i.HTTPStatus)
		}
		if i.Family != f[2] || i.Stage != f[3] || status != f[4] || i.Meaning != strings.TrimSuffix(f[5], "?") || i.Unsure != strings.HasSuffix(f[5], "?") {
			t.Errorf("%v: got %+v, want %q", h, i, f)
		}
	}
	if rows == 0 {
		t.Error("no rows in the collection")
	}
}

func TestWrapperAndBenign(t *testing.T) {
	for _, test := range []struct {
		code                     string
		wrapper, benign, restart bool
	}{
		{"0x80240022", true, false, false},
		{"0x8024200B", true, false, false},
		{"0x80240034", true, false, false},
		{"0x80240FFF", true, false, false},
		{"0x80244FFF", true, false, false},
		{"0x80246FFF", true, false, false},
		{"0x80248FFF", true, false, false},
		{"0x802450FF", true, false, false},
		{"0x80070643", true, false, false},
		{"0x00240003", true, false, false},
		{"0xC1900101", true, false, false},
		{"0xC1900101-0x20017", false, false, false},
		{"0x800F0922", false, false, false},
		{"0x8024401B", false, false, false},
		{"0x80240005", false, false, false}, // WU_E_*: not the WU_S_ of the same number
		{"0x00240005", false, true, true},
		{"0x00240001", false, true, false},
		{"0xC1900210", false, true, false},
		{"3010", false, true, true},
		{"1641", false, true, true},
		{"1618", false, false, false},
		{"0", false, true, false},
	} {
		c, err := Parse(test.code)
		if err != nil {
			t.Errorf("%s: %v", test.code, err)
			continue
		}
		if c.Wrapper() != test.wrapper || c.Benign() != test.benign || c.RestartRequired() != test.restart {
			t.Errorf("%s: wrapper %v, benign %v, restart %v", test.code, c.Wrapper(), c.Benign(), c.RestartRequired())
		}
	}
}
