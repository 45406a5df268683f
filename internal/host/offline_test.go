package host_test

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// shelf is a PC that a disk was put into: its own registry, with two hives of the
// other Windows, and the other's volume as D:.
type shelf struct{ host.Reader }

func (shelf) Machine(context.Context) (host.Machine, error) { return host.Machine{Source: "lab"}, nil }

func (shelf) Files(context.Context, string) ([]host.File, error) {
	return nil, nil
}

func (shelf) Service(context.Context, string) (host.Service, error) {
	return host.Service{}, errors.New("a service of the PC that runs was asked")
}

func (shelf) Key(_ context.Context, p string) (host.Key, error) {
	text := func(name, s string) winlog.RegValue {
		return winlog.RegValue{Name: name, Type: winlog.RegSZ, Data: wide(s + "\x00")}
	}
	named := func(name string, n byte) winlog.RegValue { v := number(n); v.Name = name; return v }
	values, ok := map[string][]winlog.RegValue{
		"HKLM": nil, `HKLM\soft`: nil, `HKLM\soft\Classes`: nil, `HKLM\sys`: nil, `HKLM\SOFTWARE`: nil,
		`HKLM\sys\Select`: {named("Current", 2)}, `HKLM\sys\ControlSet001`: nil, `HKLM\sys\ControlSet002`: nil,
		`HKLM\sys\ControlSet002\Services`: nil, `HKLM\sys\ControlSet002\Services\bits`: {named("Start", 4)},
		`HKLM\soft\Microsoft\Windows NT\CurrentVersion`: {text("SystemRoot", `C:\WINDOWS`), text("ProductName", "Windows 11 Pro"), text("CurrentBuild", "22631")},
		`HKLM\sys\ControlSet002\Control\Session Manager`: {{
			Name: "PendingFileRenameOperations", Type: winlog.RegMultiSZ,
			Data: wide(`\??\C:\a` + "\x00\x00" + `\??\C:\Windows\SoftwareDistribution` + "\x00" + `\??\C:\Windows\SoftwareDistribution.updoc-r1` + "\x00\x00"),
		}},
	}[p]
	if !ok {
		return host.Key{}, host.ErrNotExist
	}
	return host.Key{Path: p, Values: values}, nil
}

func wide(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func offline(t *testing.T) (*host.Offline, *host.Overlay) {
	t.Helper()
	base := host.NewOverlay(shelf{})
	base.Strict = true
	o, err := host.OpenOffline(t.Context(), host.Offline{Base: base, Software: `HKLM\soft`, System: `HKLM\sys`, Root: "D:"})
	if err != nil {
		t.Fatal(err)
	}
	return o, base
}

var _ host.Host = (*host.Offline)(nil)

// What is changed offline stands where the Windows will find it, is called as it is
// there, and goes back to what it was.
func TestOffline(t *testing.T) {
	ctx := t.Context()
	o, base := offline(t)
	for _, tt := range []struct {
		name   string
		change host.Change
		there  host.Change // what has to hold on the PC that runs
	}{
		{"software", host.Set(`HKLM\SOFTWARE\Fabrikam\Deep`, "A", number(1)), host.Set(`HKLM\soft\Fabrikam\Deep`, "A", number(1))},
		{"system", host.Set(`HKLM\SYSTEM\CurrentControlSet\Control\Fabrikam`, "A", number(1)), host.Set(`HKLM\sys\ControlSet002\Control\Fabrikam`, "A", number(1))},
		{"another set", host.Set(`HKLM\SYSTEM\ControlSet001\Control`, "A", number(1)), host.Set(`HKLM\sys\ControlSet001\Control`, "A", number(1))},
		{"classes", host.Set(`HKCR\.fabrikam`, "", number(1)), host.Set(`HKLM\soft\Classes\.fabrikam`, "", number(1))},
		{"service", host.Change{Kind: host.ServiceStart, Path: "bits", Start: &host.Start{Type: 2, Delayed: true}}, host.Set(`HKLM\sys\ControlSet002\Services\bits`, "DelayedAutostart", number(1))},
		{"triggers", host.Change{Kind: host.ServiceTriggers, Path: "bits", Triggers: []host.Trigger{{Type: 5, Action: 1, Subtype: "659fcae6-5bdb-4da9-b1ff-ca2a178d46e0"}}}, host.Set(`HKLM\sys\ControlSet002\Services\bits\TriggerInfo\0`, "Type", number(5))},
		{"needs", host.Change{Kind: host.ServiceNeeds, Path: "bits", Needs: []string{"RpcSs"}}, host.Set(`HKLM\sys\ControlSet002\Services\bits`, "DependOnService", winlog.RegValue{Type: winlog.RegMultiSZ, Data: []byte("R\x00p\x00c\x00S\x00s\x00\x00\x00\x00\x00")})},
		{"file", host.Change{Kind: host.Write, Path: `C:\ProgramData\Fabrikam\a.txt`, Data: []byte("a")}, host.Change{Kind: host.Write, Path: `D:\ProgramData\Fabrikam\a.txt`, Data: []byte("a")}},
		{"folder", host.Change{Kind: host.FolderMake, Path: `C:\Fabrikam`}, host.Change{Kind: host.FolderMake, Path: `D:\Fabrikam`}},
	} {
		if !o.Able(tt.change) {
			t.Errorf("%s: refused", tt.name)
			continue
		}
		back, err := o.Inverse(ctx, tt.change)
		if err != nil || len(back) == 0 {
			t.Errorf("%s: %v, %v", tt.name, back, err)
			continue
		}
		for _, b := range back {
			if strings.HasPrefix(b.Path, `HKLM\s`) || strings.HasPrefix(b.Path, "D:") {
				t.Errorf("%s: taken back by %s, which is called so elsewhere only", tt.name, b.Path)
			}
		}
		if err := o.Apply(ctx, tt.change); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if holds, err := host.Holds(ctx, o, tt.change); !holds || err != nil {
			t.Errorf("%s: it does not hold: %v", tt.name, err)
		}
		if holds, err := host.Holds(ctx, base, tt.there); !holds || err != nil {
			t.Errorf("%s: it is not where it belongs: %v", tt.name, err)
		}
		for _, b := range back {
			if err := o.Apply(ctx, b); err != nil {
				t.Errorf("%s: back: %v", tt.name, err)
			}
		}
		if again, err := o.Inverse(ctx, tt.change); err != nil || !host.Same(again, back) {
			t.Errorf("%s: back it is %v, %v\n%s", tt.name, again, err, cmp.Diff(back, again))
		}
	}
	if k, err := base.Key(ctx, `HKLM\SOFTWARE\Fabrikam`); err == nil {
		t.Errorf("the PC that runs was changed: %+v", k)
	}
	m, err := o.Machine(ctx)
	if want := (host.Machine{OS: "Windows 11 Pro", Build: "22631", Source: "offline"}); err != nil || m != want {
		t.Errorf("%+v, %v", m, err)
	}
	if s, err := o.Service(ctx, "bits"); err != nil || s.Start != 4 {
		t.Errorf("%+v, %v", s, err)
	}
}

// What only a running Windows can do, and what nobody may, is refused.
func TestOfflineRefuses(t *testing.T) {
	o, _ := offline(t)
	for _, c := range []host.Change{
		host.Set(`HKCU\Software\Fabrikam`, "A", number(1)),
		host.Set(`HKU\S-1-5-18\Software\Fabrikam`, "A", number(1)),
		host.Set(`HKLM\SAM\Fabrikam`, "A", number(1)),
		host.Set(`HKLM\HARDWARE\Fabrikam`, "A", number(1)),
		{Kind: host.KeyDrop, Path: `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`},
		{Kind: host.ServiceSecurity, Path: "bits", SDDL: "D:"},
		{Kind: host.Switch, Path: "ipv6/Ethernet", State: "on"},
		{Kind: host.Run, Path: "wsreset"},
		{Kind: host.Write, Path: `E:\a.txt`},
		{Kind: host.FolderDrop, Path: `C:\Windows\WinSxS\x`},
		{Kind: host.Write, Path: `C:\..\a.txt`},
	} {
		_, err := o.Inverse(t.Context(), c)
		if aerr := o.Apply(t.Context(), c); o.Able(c) || err == nil || aerr == nil {
			t.Errorf("%s %s: able %v, inverse %v, apply %v", c.Kind, c.Path, o.Able(c), err, aerr)
		}
	}
	for _, c := range []host.Change{{Kind: host.ServiceRun, Path: "bits"}, {Kind: host.ServiceStop, Path: "bits"}} {
		if holds, err := host.Holds(t.Context(), o, c); !holds || err != nil || o.Apply(t.Context(), c) != nil {
			t.Errorf("%s: %v", c.Kind, err)
		}
	}
}

// A renaming that waits for the next start is called off with what asked for it; those
// of others stay.
func TestOfflinePending(t *testing.T) {
	o, base := offline(t)
	const old, aside = `C:\Windows\SoftwareDistribution`, `C:\Windows\SoftwareDistribution.updoc-r1`
	if err := o.Apply(t.Context(), host.Change{Kind: host.Restore, Path: aside, To: old}); err != nil {
		t.Fatal(err)
	}
	k, err := base.Key(t.Context(), `HKLM\sys\ControlSet002\Control\Session Manager`)
	v, _ := k.Value("PendingFileRenameOperations")
	if want := wide(`\??\C:\a` + "\x00\x00\x00"); err != nil || string(v.Data) != string(want) {
		t.Errorf("%q, want %q, %v", v.Data, want, err)
	}
}

// A disk without a Windows is none.
func TestOfflineNothing(t *testing.T) {
	for _, keys := range [][]string{nil, {`HKLM\sys\Select`}} {
		_, err := host.OpenOffline(t.Context(), host.Offline{Base: host.NewOverlay(bare{keys: keys}), Software: `HKLM\soft`, System: `HKLM\sys`, Root: "D:"})
		if err == nil {
			t.Errorf("%v: opened", keys)
		}
	}
}
