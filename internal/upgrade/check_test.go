package upgrade

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/fstest"

	"updoc/internal/facts"
	"updoc/internal/host"
)

// fixture is a machine's answers; a test changes what it is about.
type fixture struct {
	edition    host.Edition
	volumes    host.Volumes
	restart    host.PendingRestart
	power      host.Power
	management host.Management
	without    []string // questions that nobody asked
}

func healthy() fixture {
	mains := true
	return fixture{
		edition: host.Edition{Product: "Professional", Release: "23H2", Build: "22631.3007", Arch: "amd64", Language: "de-DE"},
		volumes: host.Volumes{System: "C:", Volumes: []host.Volume{
			{Paths: []string{`C:\`}, Size: 200 << 30, Free: 90 << 30, Role: host.RoleBasic, Protected: "off"},
			{Size: 100 << 20, Free: 60 << 20, Role: host.RoleEFI},
			{Size: 1 << 30, Free: 400 << 20, Role: host.RoleRecovery},
		}},
		power:      host.Power{Mains: &mains, Battery: -1},
		management: host.Management{Joined: "workgroup"},
	}
}

func (x fixture) facts(t *testing.T) *facts.Facts {
	t.Helper()
	files := fstest.MapFS{}
	for name, v := range map[string]any{
		host.AskEdition: x.edition, host.AskVolumes: x.volumes, host.AskRestart: x.restart, host.AskPowerState: x.power, host.AskManagement: x.management,
	} {
		if slices.Contains(x.without, name) {
			continue
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		files["answers/"+name+".json"] = &fstest.MapFile{Data: b}
	}
	h, err := host.OpenFS(context.Background(), files)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	return facts.Collect(context.Background(), h, facts.Options{})
}

func media() Media {
	return Media{Path: `D:\`, File: "sources/install.wim", Setup: true, Images: []host.ImageEntry{
		{Index: 1, Name: "Fab 11 Home", Edition: "Core", Install: "Client", Arch: "amd64", Build: "22631.2861", Languages: []string{"de-DE"}, Default: "de-DE"},
		{Index: 6, Name: "Fab 11 Pro", Edition: "Professional", Install: "Client", Arch: "amd64", Build: "22631.2861", Languages: []string{"de-DE"}, Default: "de-DE"},
	}}
}

// TestAssess: what fits passes, and of what does not each thing is told by its own check
// and no other.
func TestAssess(t *testing.T) {
	for _, c := range []struct {
		name  string
		set   func(*fixture, *Media)
		want  map[string]State // of the checks that do not pass
		stops bool
	}{
		{"all is well", func(*fixture, *Media) {}, nil, false},
		{"other edition", func(f *fixture, _ *Media) { f.edition.Product = "Enterprise" }, map[string]State{checkEdition: Stop}, true},
		{"other language", func(f *fixture, _ *Media) { f.edition.Language = "fr-FR" }, map[string]State{checkLanguage: Stop}, true},
		{"other processor", func(_ *fixture, m *Media) { m.Images[0].Arch, m.Images[1].Arch = "arm64", "arm64" }, map[string]State{checkArch: Stop}, true},
		{"older Windows", func(_ *fixture, m *Media) { m.Images[1].Build = "19041.1" }, map[string]State{checkBuild: Stop}, true},
		{"newer Windows", func(_ *fixture, m *Media) { m.Images[1].Build = "26100.1742" }, map[string]State{checkBuild: Note}, false},
		{"the Windows whose switch was turned", func(_ *fixture, m *Media) { m.Images[1].Build = "22621.1702" }, nil, false},
		{"no setup", func(_ *fixture, m *Media) { m.Setup = false }, map[string]State{checkMedia: Stop}, true},
		{"no Windows", func(_ *fixture, m *Media) { m.Images = m.Images[:0] }, map[string]State{checkMedia: Stop}, true},
		{"only the system that repairs", func(_ *fixture, m *Media) {
			m.Images = []host.ImageEntry{{Index: 1, Edition: "WindowsPE", Install: "WindowsPE", Arch: "amd64", Build: "22631.1"}}
		}, map[string]State{checkMedia: Stop}, true},
		{"edition unknown", func(f *fixture, _ *Media) { f.edition.Product = "" }, map[string]State{checkEdition: Unknown}, true},
		{"language of the media unknown", func(_ *fixture, m *Media) { m.Images[1].Languages, m.Images[1].Default = nil, "" }, map[string]State{checkLanguage: Unknown}, true},
		{"disk nearly full", func(f *fixture, _ *Media) { f.volumes.Volumes[0].Free = 5 << 30 }, map[string]State{checkSpace: Stop}, true},
		{"no room to start from", func(f *fixture, _ *Media) { f.volumes.Volumes[1].Free = 3 << 20 }, map[string]State{checkBoot: Stop}, true},
		{"little room to recover", func(f *fixture, _ *Media) { f.volumes.Volumes[2].Free = 3 << 20 }, map[string]State{checkRecovery: Note}, false},
		{"no recovery partition", func(f *fixture, _ *Media) { f.volumes.Volumes = f.volumes.Volumes[:2] }, map[string]State{checkRecovery: Unknown}, false},
		{"nobody looked at the disks", func(f *fixture, _ *Media) { f.without = []string{host.AskVolumes} }, map[string]State{checkSpace: Unknown, checkBoot: Unknown, checkRecovery: Unknown, checkBitLocker: Unknown}, true},
		{"a restart is due", func(f *fixture, _ *Media) { f.restart.Servicing = true }, map[string]State{checkRestart: Stop}, true},
		{"on the battery", func(f *fixture, _ *Media) { mains := false; f.power.Mains = &mains }, map[string]State{checkPower: Stop}, true},
		{"encrypted", func(f *fixture, _ *Media) { f.volumes.Volumes[0].Protected = "on" }, map[string]State{checkBitLocker: Note}, false},
		{"managed", func(f *fixture, _ *Media) { f.management.Joined = "domain" }, map[string]State{checkManaged: Note}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, m := healthy(), media()
			x.volumes.Volumes = slices.Clone(x.volumes.Volumes)
			if c.want == nil {
				c.want = map[string]State{}
			}
			c.set(&x, &m)
			checks := Assess(x.facts(t), &m)
			got := map[string]State{}
			for _, k := range checks {
				if k.State != Pass {
					got[k.ID] = k.State
				}
			}
			if !maps.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			if Stopped(checks) != c.stops {
				t.Errorf("stops: %v", Stopped(checks))
			}
			// What stops is refused before anything starts.
			if _, err := NewSpec(MachineOf(x.facts(t)), m, checks, Options{}); (err != nil) != c.stops {
				t.Errorf("the plan of it: %v", err)
			}
		})
	}
}

// TestInstallLanguage: what counts is the language that Windows was installed in, and not
// the machine's regional settings.
func TestInstallLanguage(t *testing.T) {
	for id, want := range map[string]string{"0407": "de-DE", "0c0a": "es-ES", "241A": "sr-Latn-RS", "FFFF": "", "": ""} {
		reg := "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Nls\\Language]\r\n\"InstallLanguage\"=\"" + id + "\"\r\n"
		h, err := host.OpenFS(context.Background(), fstest.MapFS{"nls.reg": {Data: []byte(reg)}})
		if err != nil {
			t.Fatal(err)
		}
		if got := MachineOf(facts.Collect(context.Background(), h, facts.Options{})).Language; got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestFixFromSettings(t *testing.T) {
	for build, want := range map[string]bool{"22631.3007": false, "22631.4000": true, "22621.3235": true, "26100.1": true, "19045.4000": false, "22000.1": false} {
		x := healthy()
		x.edition.Build = build
		if got := FixFromSettings(x.facts(t)); got != want {
			t.Errorf("%s: %v", build, got)
		}
	}
	x := healthy()
	x.edition.Build, x.management.Joined = "26100.1", "domain"
	if FixFromSettings(x.facts(t)) {
		t.Error("where an organisation manages updates")
	}
}

func TestVersions(t *testing.T) {
	for s, want := range map[string]Version{"22631": {22631, 0}, "22631.3007": {22631, 3007}, "10.0.19045.1": {19045, 1}, "": {}, "x.y": {}, "-5.1": {}, " 26100.1742 ": {26100, 1742}} {
		if got := ParseVersion(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
	if fmt.Sprint(Version{22631, 0}, Version{22631, 5}) != "22631 22631.5" {
		t.Error(Version{22631, 0}, Version{22631, 5})
	}
	for _, c := range []struct {
		a, b Version
		want int
	}{{Version{1, 0}, Version{1, 5}, 0}, {Version{1, 4}, Version{1, 5}, -1}, {Version{2, 0}, Version{1, 5}, 1}} {
		if got := c.a.Compare(c.b); got != c.want {
			t.Errorf("%v %v: %d", c.a, c.b, got)
		}
	}
}
