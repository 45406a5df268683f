package catalog

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/lab"
	"updoc/internal/message"
)

func TestReleases(t *testing.T) {
	t.Parallel()
	all, err := releases()
	if err != nil || len(all) < 25 {
		t.Fatalf("%d releases, %v", len(all), err)
	}
	for i, r := range all {
		if i > 0 && all[i-1].build >= r.build || len(r.client)+len(r.server) == 0 {
			t.Errorf("%+v", r)
		}
		for _, n := range slices.Concat(r.client, r.server) {
			if n != simple(n) {
				t.Errorf("%q is not as titles are compared", n)
			}
		}
	}
}

func TestScope(t *testing.T) {
	t.Parallel()
	for title, want := range map[string]string{
		"2024-06 Cumulative Update for Windows 11 Version 23H2 for x64-based Systems (KB5099001)":                  "22631",
		"2025-10 Cumulative Update for Windows 11, version 25H2 for x64-based Systems (KB5099001) (26200.6899)":    "26200",
		"2022-10 Cumulative Update for Windows 11 for x64-based Systems (KB5099001)":                               "22000",
		"2024-06 Cumulative Update for Windows 10 Version 22H2 for x64-based Systems (KB5099001)":                  "19045",
		"2024-06 Cumulative Update for Windows Server 2019 for x64-based Systems (KB5099001)":                      "17763s",
		"2024-06 Cumulative Update for Windows 10 Version 1809 for x64-based Systems (KB5099001)":                  "17763",
		"2024-06 Cumulative Update for Microsoft server operating system version 21H2 for x64-based Systems (KB1)": "20348s",
		"2024-06 Cumulative Update for Microsoft server operating system, version 22H2 for x64-based Systems":      "20349s",
		"2026-01 Cumulative Update for Microsoft server operating system version 24H2 for x64-based Systems":       "26100s",
		"Security Monthly Quality Rollup for Windows Server 2012 R2 for x64-based Systems":                         "9600s",
		"Security Monthly Quality Rollup for Windows Server 2012 for x64-based Systems":                            "9200s",
		"Security Only Quality Update for Windows 8.1 for x64-based Systems":                                       "9600",
		"Security Monthly Quality Rollup for Windows Server 2008 R2 for Itanium-based Systems":                     "7601s",
		"Security Monthly Quality Rollup for Windows Server 2008 for x86-based Systems":                            "6002s 6003s",
		"Windows 10, version 1903 and later":                                                                       "18362-19045",
		"Windows 11":                                                                                               "22000-",
		"Windows 10":                                                                                               "10240-19045",
		"Windows Malicious Software Removal Tool x64":                                                              "",
		"Update for Microsoft Office 2016 (KB5099001)":                                                             "",
		"Microsoft Server Operating System-24H2":                                                                   "26100s",
	} {
		s := read(title)
		var got []string
		for _, b := range s.client {
			got = append(got, fmt.Sprint(b))
		}
		for _, b := range s.server {
			got = append(got, fmt.Sprint(b, "s"))
		}
		if s.from > 0 {
			to := fmt.Sprint(s.to)
			if s.to == lastBuild {
				to = ""
			}
			got = append(got, fmt.Sprintf("%d-%s", s.from, to))
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("%s: %q, want %q", title, g, want)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	row := func(n int, title, products string, date string) Row {
		d, err := time.Parse("2006-01-02", date)
		if err != nil {
			t.Fatal(err)
		}
		return Row{ID: fmt.Sprintf("00000000-0000-4000-8000-%012d", n), Title: title, Products: products, Date: d, KB: kbIn(title)}
	}
	june := row(1, "2026-06 Cumulative Update for Windows 11 Version 23H2 for x64-based Systems (KB5099006)", "Windows 11", "2026-06-09")
	july := row(2, "2026-07 Cumulative Update for Windows 11 Version 23H2 for x64-based Systems (KB5099007)", "Windows 11", "2026-07-14")
	arm := row(3, "2026-07 Cumulative Update for Windows 11 Version 23H2 for ARM64-based Systems (KB5099007)", "Windows 11", "2026-07-14")
	other := row(4, "2026-07 Cumulative Update for Windows 11 Version 24H2 for x64-based Systems (KB5099008)", "Windows 11", "2026-07-14")
	dynamic := row(5, "2026-07 Dynamic Cumulative Update for Windows 11 Version 23H2 for x64-based Systems (KB5099007)", "Windows 11 GDR-DU", "2026-07-14")
	preview := row(6, "2026-07 Cumulative Update Preview for Windows 11 Version 23H2 for x64-based Systems (KB5099009)", "Windows 11", "2026-07-28")
	server := row(7, "2026-07 Cumulative Update for Microsoft server operating system version 24H2 for x64-based Systems (KB5099010)", "Microsoft Server Operating System-24H2", "2026-07-14")
	built := row(8, "2026-07 Cumulative Update for Windows 11, version 25H2 for x64-based Systems (KB5099011) (26200.7100)", "Windows 11", "2026-07-14")
	tool := row(9, "Windows Malicious Software Removal Tool x64 - v5.140 (KB5099012)", "Windows 10, Windows 10, version 1903 and later, Windows 11", "2026-07-14")
	ltsb := row(10, "2026-07 Cumulative Update for Windows 10 Version 1607 for x64-based Systems (KB5099013)", "Windows 10 LTSB", "2026-07-14")
	office := row(11, "Security Update for Fabrikam Word 2016 (KB5099014) 64-Bit Edition", "Fabrikam Office", "2026-07-14")
	spelling := row(12, "2026-07 Update for spelling in Windows 11 Version 23H2 for x64-based Systems (KB5099015)", "Windows 11", "2026-07-14")

	later := row(15, "2029-07 Cumulative Update for Windows 11, version 29H1 for x64-based Systems (KB5099018) (31000.7)", "Windows 11", "2029-07-14")

	pc := Target{Build: "22631.3007", Arch: "amd64", Edition: "Professional", Language: "en-us"}
	for name, tt := range map[string]struct {
		list  []Candidate
		t     Target
		asked Asked
		fits  []int          // ids
		left  map[int]string // why
		notes map[int][]string
	}{
		"each for its own reason": {
			[]Candidate{{Row: june}, {Row: july}, {Row: arm}, {Row: other}, {Row: dynamic}, {Row: preview}, {Row: server}, {Row: tool}, {Row: ltsb}, {Row: office}},
			pc,
			Asked{},
			[]int{2, 9},
			map[int]string{1: "superseded", 3: "architecture", 4: "product", 5: "dynamic", 6: "preview", 7: "product", 10: "product", 11: "no-product"},
			nil,
		},
		"a preview that was asked for": {[]Candidate{{Row: preview}}, pc, Asked{Name: true}, []int{6}, nil, map[int][]string{6: {"preview"}}},
		"superseded by one that was found": {
			[]Candidate{{Row: july}, {Row: row(13, "2026-07 Update for Windows 11 Version 23H2 for x64-based Systems (KB5099016)", "Windows 11", "2026-07-01"), Details: &Details{SupersededBy: []Ref{{ID: july.ID, Title: july.Title}}}}},
			pc,
			Asked{},
			[]int{2},
			map[int]string{13: "superseded"},
			nil,
		},
		"superseded by one that was not asked for": {
			[]Candidate{{Row: june, Details: &Details{Restart: "Can request restart", SupersededBy: []Ref{{ID: july.ID, Title: july.Title}}}}},
			pc,
			Asked{Name: true},
			[]int{1},
			nil,
			map[int][]string{1: {"restart", "superseded"}},
		},
		"older than what the machine has": {[]Candidate{{Row: built}}, Target{Build: "26200.7100", Arch: "amd64"}, Asked{}, nil, map[int]string{8: "not-newer"}, nil},
		"newer than what the machine has": {[]Candidate{{Row: built}}, Target{Build: "26200.7099", Arch: "amd64"}, Asked{}, []int{8}, nil, nil},
		"the server of that build":        {[]Candidate{{Row: server}, {Row: other}}, Target{Build: "26100.1", Arch: "amd64", Server: true}, Asked{}, []int{7}, map[int]string{4: "product"}, nil},
		"the client of that build":        {[]Candidate{{Row: server}, {Row: other}}, Target{Build: "26100.1", Arch: "amd64"}, Asked{}, []int{4}, map[int]string{7: "product"}, nil},
		"long-term, on another edition":   {[]Candidate{{Row: ltsb}}, Target{Build: "14393.1", Arch: "amd64", Edition: "Professional"}, Asked{}, nil, map[int]string{10: "edition"}, nil},
		"its stack comes by itself": {
			[]Candidate{{Row: ltsb}},
			Target{Build: "14393.1", Arch: "amd64"},
			Asked{},
			[]int{10},
			nil,
			map[int][]string{10: {"stack"}},
		},
		"long-term":                       {[]Candidate{{Row: ltsb}}, Target{Build: "14393.1", Arch: "amd64", Edition: "EnterpriseS"}, Asked{}, []int{10}, nil, nil},
		"another language":                {[]Candidate{{Row: spelling, Details: &Details{Languages: "German, French"}}}, pc, Asked{}, nil, map[int]string{12: "language"}, nil},
		"its language":                    {[]Candidate{{Row: spelling, Details: &Details{Languages: "German, French"}}}, Target{Build: "22631", Arch: "amd64", Language: "de-at"}, Asked{}, []int{12}, nil, nil},
		"a build that nobody knows yet":   {[]Candidate{{Row: tool}, {Row: july}}, Target{Build: "29999.1", Arch: "amd64"}, Asked{}, nil, map[int]string{9: "product", 2: "product"}, nil},
		"a release that nobody knows yet": {[]Candidate{{Row: later}}, Target{Build: "31000.1", Arch: "amd64"}, Asked{}, []int{15}, nil, nil},
		"a later release":                 {[]Candidate{{Row: later}}, pc, Asked{}, nil, map[int]string{15: "product"}, nil},
		"the details know the architecture": {
			[]Candidate{{Row: row(14, "Update for Windows 11 Version 23H2 (KB5099017)", "Windows 11", "2026-07-01"), Details: &Details{Architecture: "ARM64"}}}, pc, Asked{}, nil, map[int]string{14: "architecture"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := Choose(tt.list, tt.t, tt.asked)
			number := func(id string) (n int) { fmt.Sscan(strings.TrimLeft(id[24:], "0"), &n); return n }
			var fits []int
			notes := map[int][]string{}
			for _, f := range c.Fits {
				n := number(f.ID)
				fits = append(fits, n)
				for _, l := range f.Notes {
					notes[n] = append(notes[n], strings.TrimPrefix(l.ID, "catalog.note."))
					told(t, l)
				}
			}
			left := map[int]string{}
			for _, l := range c.Left {
				left[number(l.Row.ID)] = strings.TrimPrefix(l.Why.ID, "catalog.left.")
				told(t, l.Why)
			}
			if d := cmp.Diff(tt.fits, fits); d != "" {
				t.Error(d)
			}
			if tt.left == nil {
				tt.left = map[int]string{}
			}
			if d := cmp.Diff(tt.left, left); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(tt.notes, notes); tt.notes != nil && d != "" {
				t.Error(d)
			}
		})
	}
}

// told: every reason has a sentence with all that it names.
func told(t *testing.T, l message.Line) {
	t.Helper()
	var args []any
	for k, v := range l.Args {
		args = append(args, k, v)
	}
	if !message.English().Has(l.ID) {
		t.Errorf("no sentence %s", l.ID)
	} else if s := message.English().Text(l.ID, args...); strings.ContainsAny(s, "{}") {
		t.Errorf("%s: %q", l.ID, s)
	}
}

func TestParseTarget(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"22631.3007/amd64": "22631.3007/amd64", "10.0.26100.1/x64": "26100.1/amd64", "26100/x64/server": "26100/amd64/server", "20348.2/x64": "20348.2/amd64/server",
		"19045/x86": "19045/386", "26200.1/ARM64": "26200.1/arm64", "22631": "", "22631/mips": "", "x/amd64": "", "22631./amd64": "", "22631.1/amd64/client": "", "": "",
	} {
		got, err := ParseTarget(s)
		if want == "" && err == nil || want != "" && (err != nil || got.String() != want) {
			t.Errorf("%q: %s, %v, want %q", s, got, err, want)
		}
	}
}

// Of an update with checkpoints all files are taken, the one to install last; of one with
// a file for each architecture or language, those that fit.
func TestPick(t *testing.T) {
	t.Parallel()
	const id = "00000000-0000-4000-8000-000000000001"
	f := func(name, archs string, languages ...string) File {
		return File{Update: id, Name: name, Architectures: archs, Languages: languages}
	}
	for name, tt := range map[string]struct {
		files []File
		want  []string
		left  int
	}{
		"checkpoints": {
			[]File{f("windows11.0-kb5099011-x64_0.msu", "AMD64"), f("windows11.0-kb5089980-x64_0.msu", "AMD64"), f("windows11.0-kb5089970-x64_0.msu", "AMD64")},
			[]string{"windows11.0-kb5089970-x64_0.msu", "windows11.0-kb5089980-x64_0.msu", "windows11.0-kb5099011-x64_0.msu"},
			0,
		},
		"architectures": {[]File{f("a-arm64.cab", ""), f("a-x64.cab", ""), f("a-x86.cab", "")}, []string{"a-x64.cab"}, 2},
		"languages":     {[]File{f("lp-de.cab", "", "de"), f("lp-fr.cab", "", "fr"), f("lp.cab", "", "all")}, []string{"lp-de.cab", "lp.cab"}, 1},
		"twice":         {[]File{f("a-x64.cab", ""), f("A-X64.cab", "")}, []string{"a-x64.cab"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := Pick(Row{ID: id, KB: "KB5099011"}, tt.files, Target{Build: "26200.1", Arch: "amd64", Language: "de-de"})
			var got []string
			for _, x := range s.Files {
				got = append(got, x.Name)
			}
			if d := cmp.Diff(tt.want, got); d != "" || len(s.Left) != tt.left || (len(s.Notes) > 0) != (len(got) > 1) {
				t.Errorf("%s left %v, %v", d, s.Left, s.Notes)
			}
			for _, l := range s.Notes {
				told(t, l)
			}
		})
	}
}

// On the lab's catalogue each machine gets its own update, alone.
func TestChooseOnSite(t *testing.T) {
	t.Parallel()
	_, c, _ := site(t, lab.WorldSpec{})
	for target, want := range map[string]string{
		"26200.1000/amd64":        "2026-10 Cumulative Update for Windows 11, version 25H2 for x64-based Systems (KB5090211) (26200.9100)",
		"26100.1000/arm64":        "2026-10 Cumulative Update for Windows 11 Version 24H2 for ARM64-based Systems (KB5090211) (26100.9100)",
		"26100.1000/amd64/server": "2026-10 Cumulative Update for Microsoft server operating system version 24H2 for x64-based Systems (KB5090212) (26100.9100)",
		"22631.1/amd64":           "2026-10 Cumulative Update for Windows 11 Version 23H2 for x64-based Systems (KB5090213)",
		"19045.1/386":             "2026-10 Cumulative Update for Windows 10 Version 22H2 for x86-based Systems (KB5090214)",
		"17763.1/amd64/server":    "2026-10 Cumulative Update for Windows Server 2019 for x64-based Systems (KB5090216)",
	} {
		tg, err := ParseTarget(target)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Search(t.Context(), Query{Text: "cumulative update for systems"})
		if err != nil {
			t.Fatal(err)
		}
		var list []Candidate
		for _, r := range got.Rows {
			list = append(list, Candidate{Row: r})
		}
		var fits []string
		for _, f := range Choose(list, tg, Asked{}).Fits {
			if !strings.Contains(f.Title, ".NET") {
				fits = append(fits, f.Title)
			}
		}
		if d := cmp.Diff([]string{want}, fits); d != "" {
			t.Errorf("%s: %s", target, d)
		}
	}
}
