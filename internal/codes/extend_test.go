package codes

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestExtend(t *testing.T) {
	for _, test := range []struct {
		value     uint32
		phase, op string
	}{
		{0x20017, "SP_EXECUTION_SAFE_OS", "SP_EXECUTION_OP_BOOT"},
		{0x4000D, "SP_EXECUTION_OOBE_BOOT", "SP_EXECUTION_OP_MIGRATE_DATA"},
		{0x30018, "SP_EXECUTION_FIRST_BOOT", "SP_EXECUTION_OP_SYSPREP"},
		{0x10000, "SP_EXECUTION_DOWNLEVEL", "SP_EXECUTION_OP_UNKNOWN"},
		{0x60000, "", "SP_EXECUTION_OP_UNKNOWN"},
		{0x5007F, "SP_EXECUTION_UNINSTALL", ""},
		{0xFFFFFFFF, "", ""},
	} {
		phase, op := Extend(test.value)
		if phase.Symbol != test.phase || op.Symbol != test.op || phase.Value != test.value>>16 || op.Value != test.value&0xFF {
			t.Errorf("Extend(%#x) = %+v, %+v", test.value, phase, op)
		}
		if (phase.Symbol == "") != (phase.Meaning == "") || (op.Symbol == "") != (op.Meaning == "") {
			t.Errorf("Extend(%#x): meanings %q, %q", test.value, phase.Meaning, op.Meaning)
		}
	}
	c, err := Parse("0xC1900101-0x20017")
	if err != nil || c.Phase().Symbol != "SP_EXECUTION_SAFE_OS" || c.Operation().Symbol != "SP_EXECUTION_OP_BOOT" {
		t.Errorf("%v, %+v, %+v", err, c.Phase(), c.Operation())
	}
	if c := (Code{HRESULT: 0xC1900101}); c.Phase() != (Named{}) || c.Operation() != (Named{}) {
		t.Errorf("a code without extend code has phase %+v, operation %+v", c.Phase(), c.Operation())
	}
}

func TestPair(t *testing.T) {
	for _, test := range []struct {
		code HRESULT
		ext  uint32
		want string // part of the meaning, "" if the pair is not known
	}{
		{0xC1900101, 0x20017, "encryption"},
		{0x80070070, 0x60000, "full"},
		{0xC190020E, 0, "space"},
		{0xC1900101, 0, ""},
		{0xC1900101, 0x20018, ""},
		{0x8024401B, 0x20017, ""},
	} {
		got, ok := Pair(test.code, test.ext)
		if ok != (test.want != "") || !strings.Contains(got, test.want) {
			t.Errorf("Pair(%v, %#x) = %q, %v", test.code, test.ext, got, ok)
		}
	}
}

// TestExtendIsComplete compares with the collection of facts that the table
// was made from, where that is at hand.
func TestExtendIsComplete(t *testing.T) {
	data, err := os.ReadFile("../../../shared/facts/extend_codes.tsv")
	if err != nil {
		t.Skipf("the collection of facts is not here: %v", err)
	}
	for l := range strings.Lines(string(data)) {
		f := strings.Split(l, "\t")
		var v, ext uint32
		switch f[0] {
		case "phase":
			fmt.Sscanf(f[1], "%X", &v)
			if p, _ := Extend(v << 16); p.Symbol != f[2] {
				t.Errorf("phase %s is %q, want %q", f[1], p.Symbol, f[2])
			}
		case "operation":
			fmt.Sscanf(f[1], "%X", &v)
			if _, o := Extend(0x10000 | v); o.Symbol != f[2] {
				t.Errorf("operation %s is %q, want %q", f[1], o.Symbol, f[2])
			}
		case "pair":
			if n, _ := fmt.Sscanf(f[1], "0x%X - 0x%X", &v, &ext); n == 0 {
				t.Errorf("pair %q", f[1])
			}
			if _, ok := Pair(HRESULT(v), ext); !ok {
				t.Errorf("pair %q is missing", f[1])
			}
			if c, err := Parse(f[1]); err != nil || c.HRESULT != HRESULT(v) || c.Extend != ext {
				t.Errorf("Parse(%q) = %v, %v", f[1], c, err)
			}
		}
	}
}
