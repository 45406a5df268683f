package winhost

import "testing"

func TestDiscOf(t *testing.T) {
	type found struct {
		at                   int
		before, disc, inside string
	}
	for arg, want := range map[string]found{
		`/Source:wim:C:\Media\Win 11.ISO\sources\install.wim:6`: {1, "/Source:wim:", `C:\Media\Win 11.ISO`, "sources/install.wim:6"},
		`/source:esd:\\pc-2\media\w.iso\sources\install.esd:1`:  {1, "/source:esd:", `\\pc-2\media\w.iso`, "sources/install.esd:1"},
		`/Source:C:\w.iso\Windows`:                              {1, "/Source:", `C:\w.iso`, "Windows"},
		`/Source:wim:D:\sources\install.wim:6`:                  {at: -1},
		`/Source:wim:D:\isolated.iso.d\install.wim:6`:           {at: -1},
		`/Source:C:\mount\Windows`:                              {at: -1},
		`/PackagePath:C:\w.iso\x.cab`:                           {at: -1},
		`/Source:`:                                              {at: -1},
		`/Source:\.iso\x`:                                       {at: -1},
	} {
		at, before, disc, inside := discOf([]string{"/RestoreHealth", arg})
		if have := (found{at, before, disc, inside}); have != want {
			t.Errorf("%s: %+v, want %+v", arg, have, want)
		}
	}
}
