package winhost

import (
	"strings"
	"testing"
)

func TestReadSetupEnd(t *testing.T) {
	const (
		at    = "2031-03-04 10:20:05, Info                  "
		gives = at + "MOUPG  SetupHost: Reporting error event -> [0x80070032, 0x50013]\r\n"
		went  = at + "SP     Rollback: Showing splash window with restoring text: Restoring your previous version of Windows.\r\n"
		well  = at + "SP     ExecuteOperations: Successfully processed execution phase Post OOBE\r\n"
	)
	for _, c := range []struct {
		name, log string
		want      setupEnd
	}{
		{"nothing", "", setupEnd{}},
		{"other lines", at + "MOUPG  x\r\n", setupEnd{}},
		{"a result", gives, setupEnd{Result: 0x80070032, Extend: 0x50013}},
		{"the last one counts", strings.Replace(gives, "0x80070032", "0xC1900208", 1) + gives, setupEnd{Result: 0x80070032, Extend: 0x50013}},
		{"taken back", went + gives, setupEnd{Result: 0x80070032, Extend: 0x50013, Rolled: true}},
		{"it worked after it had failed", went + gives + well, setupEnd{}},
		{"torn", gives[:len(gives)-8], setupEnd{}},
		{"not a number", strings.Replace(gives, "50013", "zz", 1), setupEnd{}},
	} {
		got, err := readSetupEnd(strings.NewReader(c.log))
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	if _, err := readSetupEnd(strings.NewReader(strings.Repeat("x", 2<<20))); err == nil {
		t.Error("a line without an end is taken")
	}
}

func FuzzReadSetupEnd(f *testing.F) {
	f.Add("x SetupHost: Reporting error event -> [0x80070032, 0x50013]\nRollback:\n")
	f.Add("SetupHost: Reporting error event -> [0x, 0x]\n")
	f.Fuzz(func(t *testing.T, s string) { _, _ = readSetupEnd(strings.NewReader(s)) })
}
