package report

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/cause"
	"updoc/internal/codes"
	"updoc/internal/message"
	"updoc/internal/repair"
)

func explainText80(t *testing.T, given string, all bool) string {
	t.Helper()
	c, err := codes.Parse(given)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteExplanations(&b, Explain([]codes.Code{c}), "text", Style{}, all); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestExplainGolden(t *testing.T) {
	tests := []struct {
		file, given, format string
		all                 bool
	}{
		{"407.txt", "0x8024401B", "text", false},
		{"407-all.txt", "0x8024401B", "text", true},
		{"407.md", "0x8024401B", "md", false},
		{"bare-407.txt", "407", "text", false},
		{"pair.txt", "0xC1900101-0x20017", "text", false},
		{"wrapper.txt", "0x80240022", "text", false},
		{"success.txt", "0xC1900210", "text", false},
		{"restart.txt", "0x00240005", "text", false},
		{"structure.txt", "0x80245555", "text", false},
		{"ntstatus.txt", "0xD0000034", "text", false},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			c, err := codes.Parse(tt.given)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := WriteExplanations(&b, Explain([]codes.Code{c}), tt.format, Style{}, tt.all); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", "explain", tt.file)
			if *update {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("%s is stale (go test ./internal/report -run TestExplainGolden -update) or wrong:\n%s", path, diff)
			}
		})
	}
}

// TestExplainWidth holds that no line of any common code is wider than a screen
// and that only printable ASCII is written where nothing else may be.
func TestExplainWidth(t *testing.T) {
	for _, h := range commonCodes(t) {
		for _, all := range []bool{false, true} {
			var b bytes.Buffer
			doc := Explain([]codes.Code{{HRESULT: h, Given: h.String(), Form: codes.FormHex}})
			if err := WriteExplanations(&b, doc, "text", Style{ASCII: true}, all); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(b.String(), "\n")
			for _, l := range lines {
				if utf8.RuneCountInString(l) > 80 {
					t.Errorf("%v: %d columns: %s", h, utf8.RuneCountInString(l), l)
				}
				if i := strings.IndexFunc(l, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
					t.Errorf("%v: %q in %q", h, l[i:], l)
				}
			}
			if !all && len(lines) > 48 {
				t.Errorf("%v: %d lines do not fit a screen", h, len(lines))
			}
		}
	}
}

// commonCodes are the codes that people meet: those the table calls common, and
// those that a cause is known to give.
func commonCodes(t *testing.T) []codes.HRESULT {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "codes", "data", "common.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var list []codes.HRESULT
	for _, hex := range strings.Fields(string(b)) {
		c, err := codes.Parse("0x" + hex)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c.HRESULT)
	}
	for _, c := range cause.Catalogue() {
		for _, k := range cause.CodesOf(c.ID) {
			list = append(list, k.Code)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func TestCommonCodesHaveTexts(t *testing.T) {
	words := message.English()
	b, err := os.ReadFile(filepath.Join("..", "codes", "data", "common.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, hex := range strings.Fields(string(b)) {
		if !words.Has("code.0x" + hex) {
			t.Errorf("0x%s has no text", hex)
		}
	}
	n := 0
	for _, key := range words.Keys() {
		id, ok := strings.CutPrefix(key, "code.")
		if !ok {
			continue
		}
		id, part, _ := strings.Cut(id, ".")
		c, err := codes.Parse(id)
		if err != nil || c.String() != id {
			t.Errorf("%s: %s is not the canonical form of a code: %v %v", key, id, c, err)
		}
		switch part {
		case "":
			n++
		case "not", "inner":
		default:
			t.Errorf("%s: no such part: %s", key, part)
		}
	}
	if n < 160 {
		t.Errorf("%d codes have a text, want at least 160", n)
	}
}

// TestRemediesOfTheFacts reads the table of the design, where it is at hand.
func TestRemediesOfTheFacts(t *testing.T) {
	words := message.English()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "facts", "remedies.tsv"))
	if err != nil {
		t.Skip("the table of facts is not at hand: ", err)
	}
	for l := range strings.Lines(string(b)) {
		if hex, _, _ := strings.Cut(l, "\t"); strings.HasPrefix(hex, "0x") && !words.Has("code."+hex) {
			t.Errorf("%s has no text", hex)
		}
	}
}

func TestEveryRemedyHasTexts(t *testing.T) {
	words := message.English()
	for _, r := range repair.Catalogue() {
		title, how := "remedy."+r.ID+".title", "remedy."+r.ID+".how"
		if !words.Has(title) || !words.Has(how) {
			t.Errorf("%s has no texts", r.ID)
			continue
		}
		if n := utf8.RuneCountInString(words.Text(title)); n > 60 {
			t.Errorf("%s: the title has %d characters", r.ID, n)
		}
		if strings.HasSuffix(words.Text(title), ".") || !strings.HasSuffix(words.Text(how), ".") {
			t.Errorf("%s: a title has no full stop, an instruction has one", r.ID)
		}
		if r.Risk == repair.RiskOutside && strings.Contains(words.Text(how), "As administrator") {
			t.Errorf("%s: somebody else must act, but the text says what to type", r.ID)
		}
	}
}

func TestAdviceHasTexts(t *testing.T) {
	words := message.English()
	want := func(key string) {
		if !words.Has(key) {
			t.Errorf("no text: %s", key)
		}
	}
	for _, a := range cause.CommonAdvice() {
		for _, part := range []string{".title", ".mends", ".what", ".0x8024401B"} {
			want("advice." + a.ID + part)
		}
		if len(a.Harms) > 0 || a.Dangerous {
			want("advice." + a.ID + ".harm")
		}
		for _, id := range a.Remedies {
			if _, ok := repair.Lookup(id); !ok {
				t.Errorf("%s: no such remedy: %s", a.ID, id)
			}
		}
	}
	for _, s := range cause.CommonSuspects() {
		for _, part := range []string{".title", ".shows", ".0x8024401B"} {
			want("suspect." + s.ID + part)
		}
	}
	for _, c := range cause.Catalogue() {
		if id := cause.FirstLook(c.Family); id != "" {
			r, ok := repair.Lookup(id)
			if !ok || r.Risk != repair.RiskNone {
				t.Errorf("first look %s of %s: %v %v", id, c.Family, ok, r.Risk)
			}
		}
	}
	for info := range codes.All() {
		if !words.Has("family." + info.Family) {
			t.Fatalf("family %s of %v has no name", info.Family, info.Code)
		}
		for _, p := range codes.Decode(info.Code).Pieces {
			if !words.Has("piece." + string(p.Kind)) {
				t.Fatalf("piece %s of %v has no name", p.Kind, info.Code)
			}
		}
	}
}

// TestOurTexts holds the files of this catalogue to plain characters: they are
// written to terminals that may show nothing else.
func TestOurTexts(t *testing.T) {
	for _, name := range []string{"explain", "codes", "advice", "guide", "remedies"} {
		b, err := os.ReadFile(filepath.Join("..", "message", "en", name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range strings.Split(string(b), "\n") {
			if at := strings.IndexFunc(l, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsControl(r) }); at >= 0 {
				t.Errorf("%s.txt:%d: %q", name, i+1, l[at:])
			}
		}
	}
}

func TestExplainKinds(t *testing.T) {
	tests := []struct {
		given, kind    string
		causes, advice bool
	}{
		{"0x8024401B", kindError, true, true},
		{"0x80240022", kindWrapper, true, false},
		{"0xC1900101", kindWrapper, true, true},
		{"0xC1900101-0x20017", kindError, true, true},
		{"0xC1900210", kindSuccess, false, false},
		{"0x00240005", kindRestart, false, false},
		{"3010", kindRestart, false, false},
		{"0", kindSuccess, false, false},
		{"0x00240006", kindSuccess, false, false},
		{"0xC0070002", kindError, true, true}, // an NTSTATUS that carries a Win32 error
	}
	for _, tt := range tests {
		c, err := codes.Parse(tt.given)
		if err != nil {
			t.Fatal(err)
		}
		e := Explain([]codes.Code{c}).Codes[0]
		if e.Kind != tt.kind {
			t.Errorf("%s: kind %s, want %s", tt.given, e.Kind, tt.kind)
		}
		if got := len(e.Causes) > 0; got != tt.causes {
			t.Errorf("%s: %d causes", tt.given, len(e.Causes))
		}
		if got := len(e.Advice) > 0; got != tt.advice {
			t.Errorf("%s: %d pieces of advice", tt.given, len(e.Advice))
		}
		if e.Meaning == "" || tt.kind == kindWrapper && e.Inner == "" {
			t.Errorf("%s: meaning %q, inner %q", tt.given, e.Meaning, e.Inner)
		}
		if !slices.IsSortedFunc(e.Causes, func(a, b UsualCause) int {
			if a.Share > b.Share {
				return -1
			}
			if a.Share < b.Share {
				return 1
			}
			return 0
		}) {
			t.Errorf("%s: causes are not in order: %v", tt.given, e.Causes)
		}
		if tt.kind == kindWrapper && e.Remedies[0].ID != "read-inner-code" {
			t.Errorf("%s: first of all %s, want a look inside", tt.given, e.Remedies[0].ID)
		}
		if tt.causes && e.Remedies[0].Risk != "none" {
			t.Errorf("%s: %s comes before any look", tt.given, e.Remedies[0].ID)
		}
	}
}

// TestProxySignInIsNeverTheCache is what this program began with.
func TestProxySignInIsNeverTheCache(t *testing.T) {
	e := Explain([]codes.Code{{HRESULT: 0x8024401B, Given: "0x8024401B", Form: codes.FormHex}}).Codes[0]
	for _, r := range e.Remedies {
		if strings.Contains(r.ID, "softwaredistribution") || strings.Contains(r.ID, "reset") || strings.Contains(r.ID, "upgrade") {
			t.Errorf("%s is offered", r.ID)
		}
	}
	i := slices.IndexFunc(e.Advice, func(o Opinion) bool { return o.ID == "reset-folders" })
	if i < 0 || e.Advice[i].Verdict != "cannot" || !e.Advice[i].Special {
		t.Errorf("emptying SoftwareDistribution: %+v", e.Advice)
	}
	for _, o := range slices.Concat(e.Advice, e.Suspects) {
		if !o.Special {
			t.Errorf("%s has no sentence of its own for this code", o.ID)
		}
	}
	if len(e.ByHand) < 5 {
		t.Errorf("%d steps by hand", len(e.ByHand))
	}
	text := explainText80(t, "0x8024401B", true)
	for _, want := range []string{"netsh winhttp show proxy", "bitsadmin /util /getieproxy", "Get-WindowsUpdateLog", "Windows 10", "Windows 11", "five minutes"} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
			t.Errorf("the long form does not speak of %q", want)
		}
	}
}

func TestExplainHostileInput(t *testing.T) {
	given := "0x8024401B\x1b[31m\u202e\"><script>|`x`\r\n"
	doc := Explain([]codes.Code{{HRESULT: 0x8024401B, Given: given, Form: codes.FormDecimal}})
	for _, format := range []string{"text", "md", "json"} {
		var b bytes.Buffer
		if err := WriteExplanations(&b, doc, format, Style{}, false); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(b.String(), "\x1b\r\u202e") {
			t.Errorf("%s: an escape reached the output: %q", format, b.String())
		}
		if format == "md" && strings.Contains(b.String(), "`x`") {
			t.Errorf("md: a literal ended early: %q", b.String()[:200])
		}
	}
}

func TestExplainJSON(t *testing.T) {
	var list []codes.Code
	for n := range uint32(maxExplained + 5) {
		list = append(list, codes.Code{HRESULT: codes.HRESULT(0x80244000 + n), Form: codes.FormHex})
	}
	list = append(list, list...)
	var b bytes.Buffer
	if err := WriteExplanations(&b, Explain(list), "json", Style{Color: true}, false); err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc["schema"] != "updoc.explain/1" || len(doc["codes"].([]any)) != maxExplained {
		t.Errorf("schema %v, %d codes", doc["schema"], len(doc["codes"].([]any)))
	}
	if doc["more"].(float64) < 5 {
		t.Errorf("more = %v", doc["more"])
	}
	first := doc["codes"].([]any)[0].(map[string]any)
	for _, key := range []string{"given", "form", "code", "kind", "known", "meaning", "causes", "remedies"} {
		if _, ok := first[key]; !ok {
			t.Errorf("no %q in %v", key, first)
		}
	}
}

func TestSentence(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "no route": "No route.", "HTTP 400": "HTTP 400.", "iSCSI fault": "iSCSI fault.", "aDevice": "aDevice.", "ends so.": "Ends so.",
	} {
		if got := sentence(in); got != want {
			t.Errorf("sentence(%q) = %q, want %q", in, got, want)
		}
	}
}

func BenchmarkExplain(b *testing.B) {
	list := []codes.Code{{HRESULT: 0x8024401B, Given: "0x8024401B", Form: codes.FormHex}}
	b.ReportAllocs()
	for b.Loop() {
		var buf bytes.Buffer
		if err := WriteExplanations(&buf, Explain(list), "text", Style{}, false); err != nil {
			b.Fatal(err)
		}
	}
}
