package upgrade

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/procedure"
)

func spec(t *testing.T, path string, opt Options) Spec {
	t.Helper()
	m := media()
	m.Path = path
	checks := Assess(healthy().facts(t), &m)
	s, err := NewSpec(MachineOf(healthy().facts(t)), m, checks, opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func decode(t *testing.T, s Spec) procedure.Procedure {
	t.Helper()
	data, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fake is a machine to carry a course out on.
type fake struct {
	scan, setup codes.HRESULT
	states      []host.SetupState // answers, one after the other; the last one stays
	mounted     bool              // it was so already
	unmountable bool
	update      codes.HRESULT
	unpack      codes.HRESULT
}

// run carries a course out and returns what was done.
func (f fake) run(t *testing.T, p procedure.Procedure) []procedure.Done {
	t.Helper()
	var done []procedure.Done
	b, restarts := p.Bounds(), 0
	at := time.Date(2031, 3, 4, 5, 0, 0, 0, time.UTC)
	for {
		a, more := p.Next(done)
		if !more {
			return done
		}
		if !b.Allows(a, len(done), restarts) {
			t.Fatalf("act %d, %+v, is beyond the bounds", len(done), a)
		}
		at = at.Add(time.Minute)
		d := procedure.Done{Act: a, Began: at, Ended: at}
		fail := func(h codes.HRESULT) {
			if h != 0 {
				d.Err, d.Code = "ended with "+h.String(), h
			}
		}
		switch {
		case a.Restart:
			restarts++
			d.Started = at.Add(time.Second)
		case a.Ask != nil:
			d.Answer, _ = json.Marshal(f.states[0])
			if len(f.states) > 1 {
				f.states = f.states[1:]
			}
		case a.Try:
			d.Outcome = &host.Outcome{Result: f.update}
		case a.Change != nil && a.Change.Kind == host.Switch:
			d.Skipped = f.mounted
			if f.unmountable {
				fail(0x80070570)
			}
		case a.Change != nil && a.Change.Path == "dism":
			fail(f.unpack)
		case a.Change != nil && a.Change.Kind != host.Run:
		case a.Change != nil && slices.Contains(a.Change.Args, "scanonly"):
			fail(f.scan)
		case a.Change != nil:
			fail(f.setup)
		}
		done = append(done, d)
	}
}

func told(p procedure.Procedure, done []procedure.Done) []string {
	var out []string
	for _, l := range p.Story(done) {
		out = append(out, strings.TrimPrefix(l.ID, "upgrade.story."))
	}
	return out
}

func abouts(done []procedure.Done) []string {
	var out []string
	for _, d := range done {
		out = append(out, strings.TrimPrefix(d.Act.About, "upgrade."))
	}
	return out
}

func TestCourse(t *testing.T) {
	const iso = `C:\media\fab.iso`
	good := host.SetupState{Percent: -1, Build: "22631.2861", Installed: time.Date(2031, 3, 4, 7, 0, 0, 0, time.UTC)}
	before := good
	before.Installed = time.Date(2030, 3, 4, 7, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		path  string
		opt   Options
		on    fake
		acts  string
		story string
	}{
		{
			"cured from a folder", `D:\`,
			Options{},
			fake{scan: 0xC1900210, states: []host.SetupState{good}},
			"scan setup restart state update", "clean installed updated",
		},
		{
			"cured from an ISO file", iso,
			Options{},
			fake{scan: 0xC1900210, states: []host.SetupState{good}},
			"mount scan setup restart state unmount update", "clean installed updated",
		},
		{
			"the file was mounted before, and stays so", iso,
			Options{},
			fake{mounted: true, scan: 0xC1900210, states: []host.SetupState{good}},
			"mount scan setup restart state update", "clean installed updated",
		},
		{"a file that cannot be mounted", iso, Options{}, fake{unmountable: true}, "mount", "not-mounted"},
		{
			"media are made first", `C:\Media\fab.esd`,
			Options{},
			fake{scan: 0xC1900210, states: []host.SetupState{good}},
			"unpack unpack unpack scan setup restart state update", "clean installed left-over updated",
		},
		{"of which nothing can be made", `C:\Media\fab.esd`, Options{}, fake{unpack: 0x80070570}, "unpack unpack", "not-unpacked"},
		{"only looked", iso, Options{Look: true}, fake{scan: 0xC1900210}, "mount scan unmount", "clean"},
		{
			"a program is in the way, and named", iso,
			Options{},
			fake{scan: 0xC1900208, states: []host.SetupState{{Reports: [][]byte{[]byte(compatXML)}}}},
			"mount scan blocks unmount", "block-program block-program block-device block-driver block-requirement",
		},
		{"something unnamed is in the way", `D:\`, Options{}, fake{scan: 0xC1900208, states: []host.SetupState{{}}}, "scan blocks", "blocked"},
		{"the machine is not good enough", `D:\`, Options{}, fake{scan: 0xC1900200, states: []host.SetupState{{}}}, "scan blocks", "requirements"},
		{"nothing would be kept", `D:\`, Options{}, fake{scan: 0xC1900204, states: []host.SetupState{{}}}, "scan blocks", "choice"},
		{"no room", `D:\`, Options{}, fake{scan: 0xC190020E, states: []host.SetupState{{}}}, "scan blocks", "space"},
		{
			"setup fails before the restart", iso,
			Options{},
			fake{scan: 0xC1900210, setup: 0x8007042B, states: []host.SetupState{{Result: 0x8007042B, Extend: 0x4000D, Build: "22631.3007"}}},
			"mount scan setup state unmount", "clean failed-in",
		},
		{
			"setup is taken back after the restart", `D:\`,
			Options{},
			fake{scan: 0xC1900210, states: []host.SetupState{{Result: 0xC1900101, Extend: 0x20017, Rolled: true, Build: "22631.3007"}}},
			"scan setup restart state", "clean rolled-back failed-in",
		},
		{
			"setup needs another restart", `D:\`,
			Options{},
			fake{scan: 0xC1900210, states: []host.SetupState{{Running: true, Percent: 80, Build: "22631.2861"}, good}},
			"scan setup restart state restart state update", "clean installed updated",
		},
		{
			"setup never ends", `D:\`,
			Options{},
			fake{scan: 0xC1900210, states: []host.SetupState{{Running: true, Percent: 80}}},
			"scan setup" + strings.Repeat(" restart state", rounds), "clean still-running",
		},
		{
			"it was no cure", `D:\`,
			Options{},
			fake{scan: 0xC1900210, update: 0x80073712, states: []host.SetupState{good}},
			"scan setup restart state update", "clean installed update-fails",
		},
		{
			"nothing was installed, and nothing says why", `D:\`,
			Options{},
			fake{scan: 0xC1900210, states: []host.SetupState{before}},
			"scan setup restart state", "clean unknown",
		},
		{
			"nobody knows how it ended", `D:\`,
			Options{},
			fake{scan: 0xC1900210, states: []host.SetupState{{Build: "19045.1"}}},
			"scan setup restart state", "clean unknown",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := decode(t, spec(t, c.path, c.opt))
			done := c.on.run(t, p)
			if got := strings.Join(abouts(done), " "); got != c.acts {
				t.Errorf("did %s\nwant %s", got, c.acts)
			}
			if got := strings.Join(told(p, done), " "); got != c.story {
				t.Errorf("told %s\nwant %s", got, c.story)
			}
			// It is pure: after a kill at any place the same comes next.
			for i := range done {
				a, more := p.Next(done[:i:i])
				if x, _ := json.Marshal(a); !more || string(x) != mustJSON(t, done[i].Act) {
					t.Errorf("after %d acts comes %s", i, x)
				}
			}
		})
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestOptions: the options of setup follow from the case.
func TestOptions(t *testing.T) {
	x, m := healthy(), media()
	x.volumes.Volumes[0].Protected = "on"
	f := x.facts(t)
	s, err := NewSpec(MachineOf(f), m, Assess(f, &m), Options{Drivers: true, Logs: `C:\ProgramData\updoc\setup`})
	if err != nil {
		t.Fatal(err)
	}
	want := `D:\ /auto upgrade /quiet /noreboot /dynamicupdate nodrivers /eula accept /showoobe none /bitlocker alwayssuspend /copylogs C:\ProgramData\updoc\setup`
	if got := strings.Join(s.install().Args, " "); got != want {
		t.Errorf("%s", got)
	}
	want = `D:\ /auto upgrade /quiet /compat scanonly /dynamicupdate nodrivers /eula accept /copylogs C:\ProgramData\updoc\setup`
	if got := strings.Join(s.scan().Args, " "); got != want {
		t.Errorf("%s", got)
	}
	x.edition.Build, m.Images[1].Build = "19045.4000", "19041.2000"
	f = x.facts(t)
	s, err = NewSpec(MachineOf(f), m, Assess(f, &m), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(s.install().Args, "/eula") {
		t.Error("setup of Windows 10 does not know /eula")
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := spec(t, `D:\`, Options{})
	for name, edit := range map[string]func(*Spec){
		"a share":          func(s *Spec) { s.Media = `\\pc\x` },
		"a relative path":  func(s *Spec) { s.Media = `media` },
		"a path that goes": func(s *Spec) { s.Media = `C:\a\..\b` },
		"logs on a share":  func(s *Spec) { s.Logs = `\\pc\x` },
		"no target":        func(s *Spec) { s.Target = Version{} },
		"no edition":       func(s *Spec) { s.Machine.Edition = "" },
		"no image of many": func(s *Spec) { s.Media = `C:\Media\fab.esd` },
		"an image of one":  func(s *Spec) { s.Index = 3 },
		"a foreign check":  func(s *Spec) { s.Notes = []string{"x"} },
	} {
		s := good
		edit(&s)
		data, err := s.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(data); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	for _, data := range []string{"", "null", "{}", "[]", "{"} {
		if _, err := Decode(json.RawMessage(data)); err == nil {
			t.Errorf("%q is taken", data)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"media":"D:\\","machine":{"edition":"Core"},"target":{"build":22631}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decode(data)
		if err != nil {
			return
		}
		for _, c := range p.Bounds().Changes {
			if err := c.Check(); err != nil {
				t.Errorf("%v", err)
			}
		}
		done := fake{scan: 0xC1900210, states: []host.SetupState{{Build: "22631.1"}}}.run(t, p)
		p.Story(done)
	})
}
