package host

import (
	"errors"
	"strings"
	"testing"
)

// TestSetupLines: setup runs from full paths with options that are known, in their
// order, and never with one that hides a block.
func TestSetupLines(t *testing.T) {
	const keep = "|/auto|upgrade|/quiet"
	for _, tt := range []struct {
		line string
		want bool
	}{
		{`D:\` + keep + `|/compat|scanonly|/dynamicupdate|enable`, true},
		{`C:\media\fab.iso` + keep + `|/compat|ScanOnly|/DynamicUpdate|Enable|/eula|accept|/copylogs|C:\ProgramData\updoc\setup`, true},
		{`C:\media` + keep + `|/noreboot|/dynamicupdate|nodrivers|/eula|accept|/showoobe|none|/bitlocker|alwayssuspend|/copylogs|C:\x`, true},
		{`C:\media` + keep + `|/compat|ignorewarning|/dynamicupdate|enable`, false},
		{`C:\media` + keep + `|/dynamicupdate|disable`, false},
		{`C:\media` + keep + `|/dynamicupdate|enable|/compat|scanonly`, false},
		{`C:\media|/auto|clean|/quiet|/dynamicupdate|enable`, false},
		{`C:\media|/quiet|/dynamicupdate|enable`, false},
		{`C:\media` + keep + `|/dynamicupdate|enable|/postoobe|C:\x.cmd`, false},
		{`C:\media` + keep + `|/dynamicupdate|enable|/installdrivers|C:\x`, false},
		{`C:\media` + keep + `|/dynamicupdate|enable|/copylogs|\\pc\share`, false},
		{`C:\media` + keep + `|/dynamicupdate|enable|/copylogs`, false},
		{`\\pc\share` + keep + `|/dynamicupdate|enable`, false},
		{`C:\media\..\x` + keep + `|/dynamicupdate|enable`, false},
		{`D:` + keep + `|/dynamicupdate|enable`, false},
		{``, false},
	} {
		c := Change{Kind: Run, Path: ToolSetup, Args: strings.Split(tt.line, "|")}
		if err := c.Check(); (err == nil) != tt.want || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", tt.line, err)
		}
	}
	if err := (Change{Kind: Run, Path: ToolSetup}).Check(); !errors.Is(err, ErrRefused) {
		t.Errorf("without arguments: %v", err)
	}
	if err := (Change{Kind: Switch, Path: ImageSetting(`C:\media\fab.iso`), State: "on"}).Check(); err != nil {
		t.Error(err)
	}
}
