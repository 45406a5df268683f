package repair

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/procedure"
	"updoc/internal/winlog"
)

const folder = `C:\ProgramData\updoc\packages\run-1\`

// kit is a servicing stack, an update that may need it, and a language's.
func kit() Install {
	return Install{[]InstallPackage{
		{File: folder + `1\windows10.0-kb5999124-x64.msu`, Identity: "Package_for_ServicingStack_3374~31bf3856ad364e35~amd64~~22621.3374.1.0", Title: "KB5999124", Stack: true},
		{File: folder + `2\windows10.0-kb5999123-x64.msu`, Identity: "Package_for_RollupFix~31bf3856ad364e35~amd64~~22621.3374.1.7", Build: "22621.3374", Title: "KB5999123"},
		{File: folder + `3\windows10.0-kb5999125-x64.cab`, Identity: "Package_for_KB5999125~31bf3856ad364e35~amd64~~10.0.1.0", Title: "KB5999125"},
	}}
}

// installer plays a machine on which packages end as they are told to, one result a
// try; "restart" wants one.
func play(t *testing.T, in Install, results map[string][]string) (order []string, done []procedure.Done) {
	t.Helper()
	p := installing{in}
	b := p.Bounds()
	at := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	restarts := 0
	for n := 0; ; n++ {
		act, more := p.Next(done)
		if !more {
			return order, done
		}
		if !b.Allows(act, n, restarts) {
			t.Fatalf("act %d keeps not to the bounds: %+v, after %v", n, act, order)
		}
		at = at.Add(time.Minute)
		d := procedure.Done{Act: act, Began: at, Ended: at.Add(time.Second)}
		restart := act.Restart
		if act.Change == nil {
			order = append(order, "restart")
		} else {
			file := act.Change.Args[0]
			if act.Change.Path == "dism" {
				file = act.Change.Args[2]
			}
			kb := file[strings.Index(file, "kb"):][:9]
			order = append(order, act.Change.Path+" "+kb)
			r := "0"
			if list := results[kb]; len(list) > 0 {
				r, results[kb] = list[0], list[1:]
			}
			switch r {
			case "0":
			case "restart":
				restart = true
				order = append(order, "restart")
			default:
				if err := d.Code.UnmarshalText([]byte(r)); err != nil {
					t.Fatal(err)
				}
				d.Err = "it failed"
			}
		}
		if restart {
			restarts++
			at = at.Add(time.Minute)
			d.Started = at
		}
		done = append(done, d)
	}
}

func TestInstalling(t *testing.T) {
	for _, c := range []struct {
		name    string
		results map[string][]string
		order   []string
		story   []string
	}{
		{
			"all go well",
			map[string][]string{"kb5999123": {"restart"}},
			[]string{"wusa kb5999124", "wusa kb5999123", "restart", "dism kb5999125"},
			[]string{"install.installed", "install.restart", "install.installed"},
		},
		{
			"there already, and not for this machine",
			map[string][]string{"kb5999124": {"0x00240006"}, "kb5999123": {"0x80240017"}},
			[]string{"wusa kb5999124", "wusa kb5999123", "dism kb5999125"},
			[]string{"install.already", "install.not-applicable", "install.installed"},
		},
		{
			"something waits for a restart",
			map[string][]string{"kb5999124": {"0x80070BC9"}},
			[]string{"wusa kb5999124", "restart", "wusa kb5999124", "wusa kb5999123", "dism kb5999125"},
			[]string{"install.installed", "install.installed", "install.installed"},
		},
		{
			"busy, whatever is done",
			map[string][]string{"kb5999124": {"0x80070652", "0x80070652", "0x80070652", "0x80070652", "0x80070652"}},
			[]string{"wusa kb5999124", "restart", "wusa kb5999124", "restart", "wusa kb5999124", "restart", "wusa kb5999124"},
			[]string{"install.busy", "install.not-reached", "install.not-reached"},
		},
		{
			"a store that is damaged",
			map[string][]string{"kb5999123": {"0x80073712"}},
			[]string{"wusa kb5999124", "wusa kb5999123"},
			[]string{"install.installed", "install.store-damaged", "install.not-reached"},
		},
		{
			"a code that nobody knows",
			map[string][]string{"kb5999124": {"0x80DEAD00"}},
			[]string{"wusa kb5999124"},
			[]string{"install.failed", "install.not-reached", "install.not-reached"},
		},
	} {
		order, done := play(t, kit(), c.results)
		if diff := cmp.Diff(c.order, order); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		var story []string
		for _, l := range (installing{kit()}).Story(done) {
			story = append(story, l.ID)
			if text := message.English().Text(l.ID); !message.English().Has(l.ID) || !strings.Contains(text, "{name}") {
				t.Errorf("%s: %s says nothing", c.name, l.ID)
			}
		}
		if diff := cmp.Diff(c.story, story); diff != "" {
			t.Errorf("%s, story (-want +got):\n%s", c.name, diff)
		}
	}
}

// An update that wants a newer servicing stack has it first if it is in the kit.
func TestInstallingStack(t *testing.T) {
	in := kit()
	in.Packages[0], in.Packages[1] = in.Packages[1], in.Packages[0]
	order, _ := play(t, in, map[string][]string{"kb5999123": {"0x800F0823"}})
	if diff := cmp.Diff([]string{"wusa kb5999123", "wusa kb5999124", "wusa kb5999123", "dism kb5999125"}, order); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	in.Packages = in.Packages[:1]
	order, done := play(t, in, map[string][]string{"kb5999123": {"0x800F0823"}})
	if len(order) != 1 || (installing{in}).Story(done)[0].ID != "install.newer-stack" {
		t.Errorf("without the stack: %v", order)
	}
}

// Every outcome of the table has a sentence that says what to do next.
func TestInstallOutcomes(t *testing.T) {
	table, err := installOutcomes()
	if err != nil || len(table) < 40 {
		t.Fatalf("%d rows, %v", len(table), err)
	}
	for code, outcome := range table {
		if !message.English().Has("install." + outcome) {
			t.Errorf("%v: install.%s has no sentence", code, outcome)
		}
	}
	// What DISM ends with, each with its own outcome: none may be taken for a success.
	for _, code := range []codes.HRESULT{0x800F081E, 0x800F0823, 0x800F0831, 0x800F0922, 0x80073712, 0x800F0988, 0x8007371B, 0x80070032, 0x8007000B, 0x80070002, 0x80070057} {
		if o := outcomeOf(procedure.Done{Err: "x", Code: code}); o == "failed" || o == "installed" {
			t.Errorf("%v is %s", code, o)
		}
	}
	for _, bad := range []string{"0x1", "x\ty", "0x80070002\ta\n0x80070002\tb", "0x80070002\t"} {
		if _, err := parseInstalls(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestInstallRefused(t *testing.T) {
	for name, change := range map[string]func(*Install){
		"nothing":           func(in *Install) { in.Packages = nil },
		"too much":          func(in *Install) { in.Packages = make([]InstallPackage, maxInstall+1) },
		"a program":         func(in *Install) { in.Packages[0].File = folder + "x.exe" },
		"from a share":      func(in *Install) { in.Packages[0].File = `\\fabrikam.example\x\y.msu` },
		"a way out":         func(in *Install) { in.Packages[0].File = folder + `..\..\x.msu` },
		"a strange name":    func(in *Install) { in.Packages[0].Identity = `a~b~c~d~e\f` },
		"a strange build":   func(in *Install) { in.Packages[0].Build = "22621" },
		"without a title":   func(in *Install) { in.Packages[0].Title = "" },
		"another file type": func(in *Install) { in.Packages[0].File = folder + "x.ps1" },
	} {
		in := kit()
		change(&in)
		data, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeInstall(data); err == nil {
			t.Errorf("%s: taken", name)
		}
		if _, _, err := InstallPlan(&facts.Facts{}, in, "run-1"); err == nil {
			t.Errorf("%s: planned", name)
		}
	}
	if _, err := decodeInstall(json.RawMessage(`{"packages":[],"run":"format C:"}`)); err == nil {
		t.Error("unknown fields are taken")
	}
}

// registryReader answers from a table of keys.
type registryReader struct {
	host.Reader
	keys map[string]map[string]any
	err  error
}

func (r registryReader) Key(_ context.Context, p string) (host.Key, error) {
	if r.err != nil {
		return host.Key{}, r.err
	}
	values, ok := r.keys[p]
	if !ok {
		return host.Key{}, host.ErrNotExist
	}
	k := host.Key{Path: p}
	for name, v := range values {
		switch v := v.(type) {
		case int:
			k.Values = append(k.Values, winlog.RegValue{Name: name, Type: winlog.RegDWord, Data: []byte{byte(v), byte(v >> 8), byte(v >> 16), 0}})
		case string:
			var data []byte
			for _, c := range v {
				data = append(data, byte(c), 0)
			}
			k.Values = append(k.Values, winlog.RegValue{Name: name, Type: winlog.RegSZ, Data: append(data, 0, 0)})
		}
	}
	return k, nil
}

func TestInstallProof(t *testing.T) {
	in := Install{kit().Packages[1:2]}
	p := in.Packages[0]
	machine := func(state, ubr int, build string) registryReader {
		keys := map[string]map[string]any{keyWindows: {"CurrentBuild": build, "UBR": ubr}}
		if state >= 0 {
			keys[keyCBSPackages+`\`+p.Identity] = map[string]any{"CurrentState": state}
		}
		return registryReader{keys: keys}
	}
	const failed, unknown, pending, good = "failed", "unknown", "restart", "good"
	for _, c := range []struct {
		name string
		r    registryReader
		want string
	}{
		{"installed", machine(0x70, 3374, "22621"), good},
		{"installed, on the sister release", machine(0x70, 3374, "22631"), good},
		{"a later one is installed", machine(0x50, 3900, "22631"), good},
		{"a later one is there, this never was", machine(-1, 3900, "22631"), good},
		{"waits for a restart", machine(0x60, 3007, "22631"), pending},
		{"staged", machine(0x40, 3007, "22631"), failed},
		{"not there", machine(-1, 3007, "22631"), failed},
		{"installed by name and not by build", machine(0x70, 3007, "22631"), unknown},
		{"another Windows", machine(-1, 9999, "19045"), failed},
		{"nobody may look", registryReader{err: host.ErrDenied}, unknown},
	} {
		out, err := (&Plan{Treatments: []Treatment{{ID: installRemedy, Course: course(t, in)}}}).Proved(c.r, nil).Try(t.Context(), host.Attempt{})
		got := good
		switch {
		case err != nil:
			got = unknown
		case out.Restart:
			got = pending
		case out.Result.Failed():
			got = failed
		}
		if got != c.want {
			t.Errorf("%s: %s (%+v, %v), want %s", c.name, got, out, err, c.want)
		}
	}
	if _, err := (installProof{in, machine(0x70, 3007, "22631")}).Try(t.Context(), host.Attempt{}); !errors.Is(err, ErrContradiction) {
		t.Errorf("%v", err)
	}
	own := installProof{}
	if got := (&Plan{Treatments: []Treatment{{ID: "run-sfc"}}}).Proved(nil, own); got == nil {
		t.Error("another plan has lost its agent")
	}
}

func course(t *testing.T, in Install) *Course {
	t.Helper()
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	return &Course{Name: installCourse, Data: data}
}

func FuzzDecodeInstall(f *testing.F) {
	data, err := json.Marshal(kit())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(data))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodeInstall(b)
		if err != nil {
			return
		}
		for _, c := range p.Bounds().Changes {
			if err := c.Check(); err != nil {
				t.Error(err)
			}
		}
		if _, more := p.Next(nil); !more {
			t.Error("nothing to do")
		}
	})
}
