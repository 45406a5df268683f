package host

import (
	"strings"
	"testing"
)

// What only looks is one of the lines that may run at all.
func TestLooks(t *testing.T) {
	for line, want := range map[string]bool{
		"dism /Online /Cleanup-Image /ScanHealth":         true,
		"dism /online /cleanup-image /checkhealth":        true,
		"dism /Online /Cleanup-Image /RestoreHealth":      false,
		`sfc /verifyfile=C:\Windows\System32\example.dll`: true,
		"sfc /scannow":     false,
		"chkdsk C: /scan":  false,
		"reagentc /info":   true,
		"reagentc /enable": false,
		"dism /Online /Cleanup-Image /ScanHealth /LimitAcess": false,
	} {
		words := strings.Fields(line)
		if got := (Change{Kind: Run, Path: words[0], Args: words[1:]}).Looks(); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
	for line := range strings.Lines(lookLines) {
		if line = strings.TrimSpace(line); line != "" && !strings.Contains("\n"+toolLines, "\n"+line+"\n") {
			t.Errorf("%s may not run", line)
		}
	}
	if (Change{Kind: Run, Path: ToolSetup, Args: []string{"/auto", "upgrade"}}).Looks() {
		t.Error("setup only looks")
	}
	if !(Change{Kind: Run, Path: ToolSetup, Args: []string{"/auto", "upgrade", "/Compat", "ScanOnly"}}).Looks() {
		t.Error("setup's scan does more than look")
	}
	if (Change{Kind: ServiceStop, Path: "reagentc"}).Looks() {
		t.Error("a service is stopped")
	}
}
