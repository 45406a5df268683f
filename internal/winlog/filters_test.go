package winlog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadFilters(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []Filter
	}{
		"filters, english": {
			"\nFilter Name                     Num Instances    Altitude    Frame\n------------------------------  -------------  ------------  -----\nbindflt                                 1       409800         0\nExampleAV                               4       321550.7       0\nWdFilter                                5       328010         0\nExampleCrypt                            2       141010         1\noldflt                                          <Legacy>\n",
			[]Filter{
				{Line: 4, Name: "bindflt", Instances: 1, Altitude: "409800", Group: "FSFilter Top", Microsoft: true},
				{Line: 5, Name: "ExampleAV", Instances: 4, Altitude: "321550.7", Group: "FSFilter Anti-Virus"},
				{Line: 6, Name: "WdFilter", Instances: 5, Altitude: "328010", Group: "FSFilter Anti-Virus", Microsoft: true},
				{Line: 7, Name: "ExampleCrypt", Instances: 2, Altitude: "141010", Frame: 1, Group: "FSFilter Encryption"},
				{Line: 8, Name: "oldflt", Instances: -1, Legacy: true},
			},
		},
		"filters, german": {
			oem850("Filtername                      Anzahl Instanzen    Höhe      Rahmen\n------------------------------  -------------  ------------  -----\nExampleBackup                           3       281000         0\n"),
			[]Filter{{Line: 3, Name: "ExampleBackup", Instances: 3, Altitude: "281000", Group: "FSFilter Continuous Backup"}},
		},
		"instances, japanese head": {
			"フィルター            ボリューム名                              階層        インスタンス名       フレーム   SprtFtrs  VlStatus\n--------------------  -------------------------------------  ------------  ----------------------  -----   --------  --------\n" +
				"ExampleAV             C:                                        321550     ExampleAV Instance      0     0000000f  \nExampleAV             \\Device\\Mup                               321550     ExampleAV Instance      0     0000000f  \nWof                   C:                                         40700     Wof Instance              0     0000000f  \n",
			[]Filter{
				{Line: 3, Name: "ExampleAV", Instances: -1, Altitude: "321550", Group: "FSFilter Anti-Virus", Volumes: []string{"C:", `\Device\Mup`}},
				{Line: 5, Name: "Wof", Instances: -1, Altitude: "40700", Group: "FSFilter Bottom", Microsoft: true, Volumes: []string{"C:"}},
			},
		},
		"denied": {"Attach failed with error: 0x80070005 (Access is denied.)\n", nil},
		"prose":  {"we saw 5 errors in 2031 and 3 more\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadFilters(strings.NewReader(crlf(c.in)))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestFilterGroup(t *testing.T) {
	for altitude, want := range map[string]string{
		"320000": "FSFilter Anti-Virus", "329999": "FSFilter Anti-Virus", "319999": "", "145000.1234567890": "FSFilter Encryption",
		"385201": "FSFilter Activity Monitor", "": "", "x": "", "189900": "FSFilter HSM", "20000": "FSFilter System",
	} {
		if got := FilterGroup(altitude); got != want {
			t.Errorf("%q: %q, want %q", altitude, got, want)
		}
	}
	for i, g := range filterGroups {
		if g.from > g.to || i > 0 && g.to >= filterGroups[i-1].from {
			t.Errorf("range %+v", g)
		}
	}
}

func FuzzReadFilters(f *testing.F) {
	f.Add("WdFilter  5  328010  0\nx  C:  321550  x Instance  0  0000000f\nold <Legacy>\n")
	f.Fuzz(func(t *testing.T, s string) {
		list, err := ReadFilters(strings.NewReader(s))
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range list {
			if v.Name == "" || v.Line < 1 || v.Altitude == "" && !v.Legacy {
				t.Fatalf("%+v", v)
			}
		}
	})
}

func BenchmarkReadFilters(b *testing.B) {
	text := strings.Repeat("WdFilter                                5       328010         0\r\n", 200)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if l, err := ReadFilters(strings.NewReader(text)); err != nil || len(l) != 1 {
			b.Fatal(l, err)
		}
	}
}
