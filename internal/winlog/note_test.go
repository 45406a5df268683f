package winlog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func readNote(t *testing.T, text string) NoteText {
	t.Helper()
	n, err := ReadNote(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNoteSentences(t *testing.T) {
	type line struct {
		Line int
		Text string
	}
	for name, c := range map[string]struct {
		in   string
		want []line
	}{
		"versions and abbreviations": {
			"It is 10.0.19041, e.g. a laptop. See www.example.com for more! Second? yes. Error no. 5 of Nr. 7.\nNext line",
			[]line{{1, "It is 10.0.19041, e.g. a laptop."}, {1, "See www.example.com for more!"}, {1, "Second? yes."}, {1, "Error no. 5 of Nr. 7."}, {2, "Next line"}},
		},
		"list": {
			"1. Restarted the machine. 2 times.\r\n 2. Ran sfc.\r\n\r\n- KB1",
			[]line{{1, "1. Restarted the machine."}, {1, "2 times."}, {2, "2. Ran sfc."}, {4, "- KB1"}},
		},
		"wrapped at a margin": {
			"The update of last month was installed without trouble. This one always\nstops in the middle of the work. Why?\nI do not know",
			[]line{{1, "The update of last month was installed without trouble."}, {1, "This one always stops in the middle of the work."}, {2, "Why?"}, {3, "I do not know"}},
		},
		"german": {
			"Das Update z.B. KB5000001 kommt nicht, d.h. es fehlt. Was nun?",
			[]line{{1, "Das Update z.B. KB5000001 kommt nicht, d.h. es fehlt."}, {1, "Was nun?"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []line
			for _, s := range readNote(t, c.in).Sentences {
				got = append(got, line{s.Line, s.Text})
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestNoteHas(t *testing.T) {
	for _, c := range []struct {
		note, phrase string
		want         bool
	}{
		{"We use a VPN at work.", "vpn", true},
		{"We use a VPN at work.", "VP", false},
		{"We use VPNs.", "vpn*", true},
		{"There is no VPN here.", "vpn", false},
		{"There is no VPN here, but a proxy.", "proxy", true},
		{"No proxy but a VPN.", "vpn", true},
		{"Works without any proxy.", "proxy", false},
		{"We don’t use a proxy.", "proxy", false},
		{"The machine doesn't really like our proxy.", "proxy", true}, // four words between
		{"VPN is not installed.", "vpn", false},
		{"A third-party antivirus is not in use.", "third party antivirus", false},
		{"VPN: none.", "vpn", false},
		{"Antivirus - none", "antivirus", false},
		{"The VPN is not the problem", "vpn", true},
		{"The proxy is not reachable", "proxy", true},
		{"Third-party antivirus installed", "third party antivirus", true},
		{"third party, antivirus", "third party antivirus", true},
		{"The update is not offered.", "not offered", true},
		{"The update is not offered.", "offered", false},
		{"Says it couldn't complete the updates", "couldn't complete the update*", true},
		{"Es gibt kein VPN.", "vpn", false},
		{"Ohne Proxy geht es.", "proxy", false},
		{"Virenscanner ist nicht installiert.", "virenscanner", false},
		{"Ein VPN ist installiert", "vpn", true},
		{"It says that everything here is up to date", "says .. up to date", true},
		{"It says a lot. Everything is up to date", "says .. up to date", false},
		{"It says one two three four five up to date", "says .. up to date", false},
		{"no\nVPN", "vpn", true},
		{"INACCESSIBLE_BOOT_DEVICE after it", "inaccessible_boot_device", true},
		{"", "vpn", false},
		{"vpn", "", false},
		{"vpn", "..", false},
		{"vpn", "*", false},
	} {
		n := readNote(t, c.note)
		s, got := n.Has(c.phrase)
		if got != c.want {
			t.Errorf("%q has %q: %v, want %v", c.note, c.phrase, got, c.want)
		}
		if got && (s.Text == "" || !s.Has(c.phrase)) {
			t.Errorf("%q: sentence %+v", c.note, s)
		}
	}
}

func TestNoteNumbers(t *testing.T) {
	n := readNote(t, "Windows 10 Pro 19043, KB5034441 and kb 5034122 (Windows11.0-KB5033375-x64.msu) fail at 30% and 27,5 Prozent with 0x80070643.\n"+
		"KB5034441 again; 250 % of the time. Not KB12.\n")
	if d := cmp.Diff([]string{"KB5034441", "KB5034122", "KB5033375"}, n.KBs); d != "" {
		t.Errorf("KBs (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]NotePercent{{1, 0, 30}, {1, 0, 27.5}}, n.Percents); d != "" {
		t.Errorf("percents (-want +got):\n%s", d)
	}
	if len(n.Sentences[0].Codes) != 1 || n.Sentences[0].Codes[0].String() != "0x80070643" {
		t.Errorf("codes: %v", n.Sentences[0].Codes)
	}
	if d := cmp.Diff([]string{"KB5034441"}, n.Sentences[1].KBs); d != "" {
		t.Errorf("KBs of the second sentence (-want +got):\n%s", d)
	}
}

func TestNoteVersions(t *testing.T) {
	for in, want := range map[string][]WindowsVersion{
		"Windows 10 Pro 19043":                        {{Product: "Windows 10", Edition: "Pro", Build: 19043}},
		"Windows 11 Enterprise 23H2 (22631.3007)":     {{Product: "Windows 11", Edition: "Enterprise", Release: "23H2", Build: 22631, UBR: 3007}},
		"Server 2012 R2 behind a proxy":               {{Product: "Windows Server 2012 R2"}},
		"Windows Server 2019 Datacenter 1809":         {{Product: "Windows Server 2019", Edition: "Datacenter", Release: "1809"}},
		"Windows 2016":                                {{Product: "Windows Server 2016"}},
		"Win10 version 2004":                          {{Product: "Windows 10", Release: "2004"}},
		"Windows 8.1 and Win7":                        {{Product: "Windows 8.1"}, {Product: "Windows 7"}},
		"version 10.0.19045.4046":                     {{Build: 19045, UBR: 4046}},
		"OS-Build 26100.2161 (24H2)":                  {{Release: "24H2", Build: 26100, UBR: 2161}},
		"Windows 10 IoT Enterprise LTSC":              {{Product: "Windows 10", Edition: "IoT"}},
		"Windows 10 Insider Preview build 14352":      {{Product: "Windows 10", Edition: "Insider", Build: 14352}},
		"From Windows 10 22H2 to Windows 11 23H2":     {{Product: "Windows 10", Release: "22H2"}, {Product: "Windows 11", Release: "23H2", Target: true}},
		"Upgrade auf 24H2 scheitert":                  {{Release: "24H2", Target: true}},
		"SQL Server 2016 and 65000 files since 2004.": nil,
		"port 8080, 12345 files":                      nil,
	} {
		got := readNote(t, in).Versions
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(WindowsVersion{}, "Line", "Text")); d != "" {
			t.Errorf("%q (-want +got):\n%s", in, d)
		}
	}
}

func TestNoteSymptoms(t *testing.T) {
	type sym struct {
		Kind    SymptomKind
		Percent float64
	}
	for in, want := range map[string][]sym{
		"Installation gets stuck at 30% every time.":                                       {{SymptomStuck, 30}},
		"The download hangs on 0 percent for hours.":                                       {{SymptomStuck, 0}},
		"Goes to 20%, then freezes at 61 %.":                                               {{SymptomStuck, 61}},
		"Die Installation bleibt bei 27 % hängen.":                                         {{SymptomStuck, 27}},
		"Windows Update hängt bei der Suche.":                                              {{SymptomStuck, -1}},
		"The update never hangs.":                                                          nil,
		"The mouse hangs sometimes.":                                                       nil,
		"After the restart: Undoing changes made to your computer.":                        {{SymptomReverted, -1}},
		"We couldn’t complete the updates. Undoing changes.":                               {{SymptomReverted, -1}, {SymptomReverted, -1}},
		"Failure configuring Windows updates. Reverting changes. Do not turn off.":         {{SymptomReverted, -1}, {SymptomReverted, -1}},
		"Die Updates konnten nicht abgeschlossen werden":                                   {{SymptomReverted, -1}},
		"Änderungen werden rückgängig gemacht":                                             {{SymptomReverted, -1}},
		"The feature update rolled back to 22H2.":                                          {{SymptomReverted, -1}},
		"Client not receiving any updates since May.":                                      {{SymptomNotOffered, -1}},
		"Windows Update has been checking for updates for six hours.":                      {{SymptomStuck, -1}},
		"The machine is unable to boot now.":                                               {{SymptomNoBoot, -1}},
		"Der PC bekommt keine Updates mehr.":                                               {{SymptomNotOffered, -1}},
		"I rolled the driver back.":                                                        nil,
		"KB5034441 is offered again after every restart.":                                  {{SymptomReinstalls, -1}},
		"It keeps installing the same update.":                                             {{SymptomReinstalls, -1}},
		"Das Update wird immer wieder angeboten.":                                          {{SymptomReinstalls, -1}},
		"The PC is in a boot loop.":                                                        {{SymptomRestartLoop, -1}},
		"Der Rechner startet immer wieder neu.":                                            {{SymptomRestartLoop, -1}},
		"Since the update it won't boot: INACCESSIBLE_BOOT_DEVICE":                         {{SymptomNoBoot, -1}},
		"Der Laptop fährt nicht mehr hoch":                                                 {{SymptomNoBoot, -1}},
		"24H2 is not offered on this PC.":                                                  {{SymptomNotOffered, -1}},
		"It says you're up to date, but the last cumulative update is from March.":         {{SymptomNotOffered, -1}},
		"Windows Update says: You're up to date.":                                          nil, // all is well
		"Es heißt, das Gerät ist auf dem neuesten Stand, obwohl das Update vom Mai fehlt.": {{SymptomNotOffered, -1}},
		"Everything works, no problem at all.":                                             nil,
	} {
		var got []sym
		for _, s := range readNote(t, in).Symptoms {
			got = append(got, sym{s.Kind, s.Percent})
			if s.Text == "" || s.Line != 1 {
				t.Errorf("%q: %+v", in, s)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q (-want +got):\n%s", in, d)
		}
	}
}

func TestSymptomTable(t *testing.T) {
	rows := symptoms().rows
	lines := 0
	for line := range strings.Lines(symptomTable) {
		if strings.TrimSpace(line) != "" && line[0] != '#' {
			lines++
		}
	}
	if len(rows) != lines || lines < 100 {
		t.Fatalf("%d rows of %d lines", len(rows), lines)
	}
	kinds := map[string]bool{"complaint": true, "update": true}
	for _, k := range []SymptomKind{SymptomNotOffered, SymptomStuck, SymptomReverted, SymptomReinstalls, SymptomRestartLoop, SymptomNoBoot} {
		kinds[string(k)] = true
	}
	for _, r := range rows {
		if !kinds[r.kind] || len(r.phrase.words) == 0 {
			t.Errorf("row %+v", r)
		}
		switch r.needs {
		case "", "percent", "complaint", "update":
		default:
			t.Errorf("row %+v needs what nothing gives", r)
		}
	}
}

func FuzzReadNote(f *testing.F) {
	f.Add("It says you're up to date, but KB5034441 is missing. Stuck at 30%!\nWindows 10 Pro 19043", "up .. date")
	f.Add("1. No. 2\xff’s", "no*")
	f.Fuzz(func(t *testing.T, text, phrase string) {
		n, err := ReadNote(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range n.Sentences {
			if s.Line < 1 || i > 0 && s.Line < n.Sentences[i-1].Line || strings.TrimSpace(s.Text) == "" {
				t.Fatalf("sentence %d: %+v", i, s)
			}
			for _, w := range s.words {
				if w.start < 0 || w.end > len(s.Text) || w.start >= w.end {
					t.Fatalf("word %+v in %q", w, s.Text)
				}
			}
		}
		n.Has(phrase)
	})
}

func BenchmarkReadNote(b *testing.B) {
	text := strings.Repeat("The update KB5034441 on Windows 10 Pro 19045 is stuck at 30%, although there is no VPN and the proxy works. It was 0x80070643.\n", 200)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := ReadNote(strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
