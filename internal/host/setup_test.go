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

// TestUnpackLines: media are unpacked to a folder of one name only, by exactly these lines.
func TestUnpackLines(t *testing.T) {
	const esd, to = `C:\Media\22631.fab.esd`, `C:\Media\updoc-media`
	for _, c := range []Change{UnpackSetup(esd, to), UnpackImage(esd, 6, to)} {
		if err := c.Check(); err != nil {
			t.Error(err)
		}
	}
	for name, c := range map[string]Change{
		"into Windows":          UnpackSetup(esd, `C:\Windows`),
		"over a program":        UnpackSetup(esd, `C:\Program Files\Fabrikam`),
		"a share":               UnpackSetup(esd, `\\pc\x\updoc-media`),
		"climbing":              UnpackSetup(esd, `C:\Media\..\updoc-media`),
		"another kind of image": UnpackSetup(`C:\Media\fab.wim`, to),
		"an image of a share":   UnpackSetup(`\\pc\x\fab.esd`, to),
		"setup as Windows":      UnpackImage(esd, 1, to),
		"no such image":         UnpackImage(esd, -1, to),
		"many images":           UnpackImage(esd, 9999, to),
		"Windows elsewhere":     UnpackImage(esd, 6, `C:\Media`),
	} {
		if err := c.Check(); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	more := UnpackSetup(esd, to)
	more.Args = append(more.Args, "/NoRpFix")
	if err := more.Check(); !errors.Is(err, ErrRefused) {
		t.Errorf("one argument more: %v", err)
	}
}
