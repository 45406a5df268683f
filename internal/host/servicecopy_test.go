package host_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"updoc/internal/host"
	"updoc/internal/host/hosttest"
	"updoc/internal/winlog"
)

// lacking is a machine that has every service but some.
type lacking struct {
	host.Reader
	gone []string
}

func (l lacking) Service(_ context.Context, name string) (host.Service, error) {
	for _, g := range l.gone {
		if strings.EqualFold(g, name) {
			return host.Service{}, host.ErrNotExist
		}
	}
	return host.Service{Name: name}, nil
}

func hiveText(name, s string) hosttest.Value          { return hosttest.Value{Name: name, Text: s} }
func hiveNumber(name string, n uint32) hosttest.Value { return hosttest.Value{Name: name, Number: n} }

// updateAgent is the key of a service, with a wide key below it.
func updateAgent(wide int) hosttest.HiveKey {
	parameters := hosttest.HiveKey{Name: "Parameters", Values: []hosttest.Value{hiveText("ServiceDll", `%systemroot%\system32\wuaueng.dll`)}}
	for range wide {
		parameters.Values = append(parameters.Values, hiveNumber(strings.Repeat("v", len(parameters.Values)), 1))
	}
	return hosttest.HiveKey{
		Name: "wuauserv",
		Values: []hosttest.Value{
			hiveNumber("Type", 0x20), hiveNumber("Start", 3), hiveNumber("ErrorControl", 1), hiveText("ImagePath", `%systemroot%\system32\svchost.exe -k netsvcs -p`),
			hiveText("ObjectName", "LocalSystem"), hiveText("DisplayName", "@%systemroot%\\system32\\wuaueng.dll,-105"), hiveNumber("ServiceSidType", 1),
		},
		Keys: []hosttest.HiveKey{parameters, {Name: "TriggerInfo", Keys: []hosttest.HiveKey{{Name: "0", Values: []hosttest.Value{hiveNumber("Type", 5)}}}}, {Name: "Enum"}},
	}
}

// state is an older state of a machine as its two hives.
func state(from, build string, taken time.Time, services ...hosttest.HiveKey) host.OlderState {
	hives := map[string][]byte{
		"SYSTEM": hosttest.Hive(hosttest.HiveKey{Keys: []hosttest.HiveKey{
			{Name: "Select", Values: []hosttest.Value{hiveNumber("Current", 2)}},
			{Name: "ControlSet002", Keys: []hosttest.HiveKey{{Name: "Services", Keys: services}}},
		}}),
		"SOFTWARE": hosttest.Hive(hosttest.HiveKey{Keys: []hosttest.HiveKey{{Name: "Microsoft", Keys: []hosttest.HiveKey{{
			Name: "Windows NT", Keys: []hosttest.HiveKey{{Name: "CurrentVersion", Values: []hosttest.Value{hiveText("CurrentBuild", build)}}},
		}}}}}),
	}
	return host.OlderState{From: from, Taken: taken, Key: host.Hive(func(name string) (io.ReaderAt, int64, error) {
		return bytes.NewReader(hives[name]), int64(len(hives[name])), nil
	})}
}

func TestFindServiceCopies(t *testing.T) {
	day := time.Date(2031, 3, 4, 5, 6, 7, 0, time.UTC)
	old, recent := state("HarddiskVolumeShadowCopy1", "22000", day, updateAgent(0)), state("HarddiskVolumeShadowCopy9", "22631", day.Add(time.Hour), updateAgent(0))
	broken := host.OlderState{From: "HarddiskVolumeShadowCopy4", Taken: day.Add(2 * time.Hour), Key: host.Hive(func(string) (io.ReaderAt, int64, error) {
		return strings.NewReader("no hive at all, however long it may be"), 38, nil
	})}
	sick := lacking{gone: []string{"wuauserv", "bits"}}
	here := func(p string) (bool, error) { return strings.EqualFold(p, `C:\Windows\system32\wuaueng.dll`), nil }
	got, err := host.FindServiceCopies(t.Context(), sick, []host.OlderState{old, broken, recent}, `C:\Windows`, here)
	if err != nil || len(got.Copies) != 2 || got.Looked != 2 || len(got.Unseen) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	c := got.Copies[0]
	if c.From != "HarddiskVolumeShadowCopy9" || c.Build != "22631" || !c.Here || c.Name != "wuauserv" || len(c.Keys) != 4 {
		t.Errorf("the newest copy is %+v", c)
	}
	change := c.Change()
	if err := change.Check(); err != nil {
		t.Error(err)
	}
	values := map[string]bool{}
	_ = change.Service.Values("wuauserv", func(key string, v *winlog.RegValue) error {
		if v != nil {
			values[key+"|"+v.Name] = true
		}
		return nil
	})
	const key = `HKLM\SYSTEM\CurrentControlSet\Services\wuauserv`
	for _, want := range []string{`|ServiceSidType`, `\Parameters|ServiceDll`, `\TriggerInfo\0|Type`} {
		if !values[key+want] {
			t.Errorf("%s%s is not written: %v", key, want, values)
		}
	}
	if values[key+"|ImagePath"] || len(values) != 3 {
		t.Errorf("what the service control manager writes is written too: %v", values)
	}
	// A machine that lacks nothing reads no hive.
	if got, err := host.FindServiceCopies(t.Context(), lacking{}, []host.OlderState{broken}, `C:\Windows`, here); err != nil || len(got.Copies)+len(got.Unseen) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
	// A key with more than a service has is none.
	wide := state("HarddiskVolumeShadowCopy2", "22631", day, updateAgent(400))
	if got, err := host.FindServiceCopies(t.Context(), sick, []host.OlderState{wide}, `C:\Windows`, here); err != nil || len(got.Copies) > 0 || len(got.Unseen) != 1 {
		t.Errorf("%d copies, %v, %v", len(got.Copies), got.Unseen, err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := host.FindServiceCopies(stopped, sick, nil, `C:\Windows`, here); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// TestServiceMakeIsBounded: a journal that somebody wrote to cannot have updoc register
// whatever they like.
func TestServiceMakeIsBounded(t *testing.T) {
	good := func() host.Change {
		return host.Change{Kind: host.ServiceMake, Path: "wuauserv", Start: &host.Start{Type: 3}, Service: &host.Registered{
			Type: 0x20, Error: 1, Binary: `C:\Windows\system32\svchost.exe -k netsvcs -p`, Account: "LocalSystem",
		}}
	}
	if err := good().Check(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*host.Change){
		"another service":      func(c *host.Change) { c.Path = "evil" },
		"no description":       func(c *host.Change) { c.Service = nil },
		"no start type":        func(c *host.Change) { c.Start = nil },
		"starts with the boot": func(c *host.Change) { c.Start.Type = 0 },
		"a driver":             func(c *host.Change) { c.Service.Type = 1 },
		"of a user":            func(c *host.Change) { c.Service.Type = 0xE0 },
		"its failure is fatal": func(c *host.Change) { c.Service.Error = 3 },
		"a program elsewhere":  func(c *host.Change) { c.Service.Binary = `C:\Users\Public\svchost.exe` },
		"below System32":       func(c *host.Change) { c.Service.Binary = `C:\Windows\System32\spool\drivers\x.exe` },
		"it climbs":            func(c *host.Change) { c.Service.Binary = `C:\Windows\System32\..\Temp\x.exe` },
		"a share":              func(c *host.Change) { c.Service.Binary = `\\198.51.100.7\c\windows\system32\x.exe` },
		"an account":           func(c *host.Change) { c.Service.Account = `FABRIKAM\kim` },
		"no account":           func(c *host.Change) { c.Service.Account = "" },
		"too much":             func(c *host.Change) { c.Service.Keys = make([]host.ServiceTree, 1000) },
		"too deep":             func(c *host.Change) { c.Service.Keys = []host.ServiceTree{{Path: `a\b\c\d\e\f`}} },
		"another key":          func(c *host.Change) { c.Service.Keys = []host.ServiceTree{{Path: `\..\other`}} },
	} {
		c := good()
		spoil(&c)
		if err := c.Check(); !errors.Is(err, host.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (host.Change{Kind: host.ServiceDrop, Path: "Dnscache"}).Check(); !errors.Is(err, host.ErrRefused) {
		t.Errorf("a service that was never made is taken away: %v", err)
	}
}
