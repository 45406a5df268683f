package cause

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// report is one description of a failure with the cause that must come first.
type report struct {
	want  string
	alt   []string
	files map[string]string
}

func readReports(t *testing.T, name string) []report {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var out []report
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "#") && len(out) == 0 {
			continue
		}
		if want, ok := strings.CutPrefix(line, "== "); ok {
			out = append(out, report{want: want, files: map[string]string{}})
			continue
		}
		if len(out) == 0 {
			t.Fatalf("%s: %q stands before the first report", name, line)
		}
		last := &out[len(out)-1]
		file, text, ok := strings.Cut(line, ":")
		switch {
		case !ok:
			t.Fatalf("%s: %q: want file: text", name, line)
		case file == "alt":
			last.alt = strings.Split(strings.TrimSpace(text), ",")
		default:
			last.files[file] += strings.TrimPrefix(text, " ") + "\r\n"
		}
	}
	return out
}

// checkReports holds that nine of ten descriptions lead to their cause, and that they
// do by rules alone: words are learnt from these very reports, so that they would hide a
// rule that broke. What is missed is printed, so that a change which shifts the balance
// is seen.
func checkReports(t *testing.T, name string) {
	t.Helper()
	const wanted = 0.9
	reports := readReports(t, name)
	right, byRules, confident := 0, 0, 0
	for _, r := range reports {
		f := collected(t, r.files)
		if id := diagnose(f, Catalogue(), nil).Findings[0].ID; id == r.want || slices.Contains(r.alt, id) {
			byRules++
		}
		d := Diagnose(f)
		first := d.Findings[0]
		if first.ID == r.want || slices.Contains(r.alt, first.ID) {
			right++
			continue
		}
		if first.Probability > 0.8 {
			confident++
		}
		p := 0.0
		if at := slices.IndexFunc(d.Findings, func(x Finding) bool { return x.ID == r.want }); at >= 0 {
			p = d.Findings[at].Probability
		}
		t.Logf("%s (%.2f) for %s (%.2f): %.160q", first.ID, first.Probability, r.want, p, r.files)
	}
	share := float64(right) / float64(len(reports))
	t.Logf("%d of %d right (%.0f %%), %d by rules alone, %d wrong and sure of it", right, len(reports), 100*share, byRules, confident)
	if share < wanted {
		t.Errorf("%.2f right, want %.2f", share, wanted)
	}
	if byRules*10 < len(reports)*9 {
		t.Errorf("%d of %d right without words, want nine of ten", byRules, len(reports))
	}
	if confident > len(reports)/50 {
		t.Errorf("%d answers are wrong and sure of it", confident)
	}
}

// Descriptions of troubles on the way: proxies, names, firewalls, certificates.
func TestNetworkReports(t *testing.T) { checkReports(t, "reports/network.txt") }
