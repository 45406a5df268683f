package facts

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// TestChildren: a star reads what is below a key, two read what is below that.
func TestChildren(t *testing.T) {
	const cbs = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\DriverOperations`
	f := machine(t, map[string]string{"cbs.reg": "Windows Registry Editor Version 5.00\r\n\r\n" +
		"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\DriverOperations]\r\n\"Current\"=dword:00000001\r\n\r\n" +
		"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\DriverOperations\\1]\r\n\r\n" +
		"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\DriverOperations\\1\\4]\r\n\"Inf\"=\"lab.inf\"\r\n\r\n" +
		"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\DriverOperations\\1\\4\\Deep]\r\n\"x\"=\"y\"\r\n\r\n" +
		"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList]\r\n\r\n" +
		"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList\\S-1-5-18]\r\n\"Flags\"=dword:0000000c\r\n\r\n"})
	for key, want := range map[string][]string{
		cbs:          {cbs + `\1`},
		cbs + `\1`:   {cbs + `\1\4`},
		cbs + `\1\4`: nil, // is there, and was not asked for
		`HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList`: {`HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList\S-1-5-18`},
		`HKLM\SOFTWARE\Nobody`: nil,
	} {
		if d := cmp.Diff(want, slices.Collect(f.Children(key))); d != "" {
			t.Errorf("%s: %s", key, d)
		}
	}
	if v := f.Text(cbs+`\1\4`, "Inf"); v.Value != "lab.inf" {
		t.Errorf("value %+v", v)
	}
	if v := f.Text(cbs+`\1\4`, "Identity"); v.State != Absent {
		t.Errorf("value %+v", v)
	}
	if v := f.Text(cbs+`\1\4\Deep`, "x"); v.Known() {
		t.Errorf("value %+v", v)
	}
	if !f.Whole(cbs+`\1\4`) || f.Whole(cbs+`\1\4\Deep`) || f.Whole(cbs+`\2`) {
		t.Error("whole")
	}
}

// full is a machine on which every key has as many subkeys.
type full struct {
	asked
	below []string
	asks  *int
}

func (h full) Key(_ context.Context, p string) (host.Key, error) {
	*h.asks++
	return host.Key{Path: p, Subkeys: h.below, Values: []winlog.RegValue{}}, nil
}

// TestChildrenBounded: whoever fills the registry does not hold a diagnosis.
func TestChildrenBounded(t *testing.T) {
	h := full{asks: new(int)}
	for i := range 3000 {
		h.below = append(h.below, fmt.Sprint(i))
	}
	f := Collect(t.Context(), h, Options{})
	if n := *h.asks; n > len(Keys())+maxBelow || n < maxBelow {
		t.Errorf("%d keys asked", n)
	}
	if !slices.ContainsFunc(f.Gaps, func(g Gap) bool { return g.Source == "registry" }) {
		t.Errorf("no gap: %v", f.Gaps)
	}
}

// orphaned is a machine with leftovers, whose keys have one level below them.
type orphaned struct{ asked }

func (orphaned) Key(_ context.Context, p string) (host.Key, error) {
	k := host.Key{Path: p}
	if strings.HasSuffix(p, `\OldDriver`) {
		k.Subkeys = []string{"Parameters"}
	}
	return k, nil
}

// TestLeftoverKeys: what may be taken away is known in whole.
func TestLeftoverKeys(t *testing.T) {
	const pkg = "Package_1_for_KB5030101~31bf3856ad364e35~amd64~~10.0.1.2"
	f := Collect(t.Context(), orphaned{asked{host.AskLeftovers: host.Leftovers{
		Services: []host.Orphan{{Name: "OldDriver", Path: `C:\Windows\System32\drivers\old.sys`}},
		Packages: []string{pkg},
	}}}, Options{})
	if f.Leftovers.State != Present || len(f.Leftovers.Value.Services) != 1 {
		t.Errorf("%+v", f.Leftovers)
	}
	for _, p := range []string{keyServiceList + `\OldDriver`, keyServiceList + `\OldDriver\Parameters`, keyPackages + `\` + pkg} {
		if !f.Whole(p) {
			t.Errorf("%s is not known", p)
		}
	}
	if f.Whole(keyServiceList + `\Spooler`) {
		t.Error("a service that nobody named was read")
	}
}
