package report

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/redact"
)

func at(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", s)
	if err != nil {
		panic(err)
	}
	return t
}

func moment(s string) *time.Time { t := at(s); return &t }

// causeOf makes a cause with sentences of the test's own, so that the goldens do
// not change with the catalogue.
func causeOf(id, title string, p float64, evidence ...Evidence) Cause {
	return Cause{
		ID: id, Title: title, Probability: p,
		Plain: "Windows keeps a copy of every part of itself, and that copy is damaged. An update builds on it and stops. " +
			"Your own files are not touched by this: emptying the update cache does not help, mending the copy does.",
		Stage: "install", Root: true, Evidence: append([]Evidence{}, evidence...), Missing: []string{}, Explains: []string{"0x80073712"}, Remedies: []string{"dism-restorehealth"},
	}
}

func remedyOf(id, title, risk, restart string, minutes int) Remedy {
	return Remedy{
		ID: id, Title: title, How: "As administrator: DISM /Online /Cleanup-Image /RestoreHealth. It fetches sound copies of the damaged parts; nothing of yours is changed.",
		Mode: "automatic", Risk: risk, Minutes: minutes, Restart: restart,
	}
}

// problemsDocument is a made-up PC in Münster whose component store is damaged.
func problemsDocument() *Document {
	first := causeOf("component-store-corrupt", "The store from which Windows repairs itself is damaged", 0.913,
		Evidence{"conclusive", true, "CBS.log:4711", "(p)  CSI Payload Corrupt (n)  amd64_fabrikam-shell_31bf3856ad364e35_10.0.22621.3447_none_0123456789abcdef\\größe.dll"},
		Evidence{"strong", true, "dism-output.txt:9", "The component store is repairable."},
		Evidence{"weak", false, "sfc-output.txt:3", "Windows Resource Protection did not find any integrity violations."})
	first.Missing = []string{"DISM /Online /Cleanup-Image /ScanHealth"}
	second := causeOf("disk-hardware-failure", "The disk or the memory returns wrong data", 0.051, Evidence{"weak", true, "System.evtx:812", "disk/153 The IO operation at logical block address 0x7c6b8 was retried."})
	third := causeOf("package-corrupt", "One package of an update is damaged", 0.024)
	doc := &Document{
		Schema: Schema, Verdict: "problems",
		Machine: Machine{Name: "MUENSTER-07", OS: "Windows 11 Pro 23H2", Build: "22631.3447", Arch: "amd64", Source: "bundle"},
		Failures: []Failure{
			{
				Kind: "error", Code: "0x80073712", Symbol: "ERROR_SXS_COMPONENT_STORE_CORRUPT", Meaning: "The component store is damaged.", Stage: "install", Count: 7,
				Update: Update{Title: "2024-05 Cumulative Update for Windows 11 Version 23H2 (KB5099901)", KB: "KB5099901", ID: "7d4f1c5e-0c4b-4a39-9c55-2f0f8d2b1a01"},
				First:  moment("2024-05-14 21:03:11"), Last: moment("2024-05-29 08:40:02"),
				Seen: []Seen{{"CBS.log:4702", "Failed to resolve package 'Package_for_RollupFix~31bf3856ad364e35~amd64~~22621.3447.1.7' [HRESULT = 0x80073712 - ERROR_SXS_COMPONENT_STORE_CORRUPT]"}},
			},
			{
				Kind: "error", Code: "0x800F081F", Symbol: "CBS_E_SOURCE_MISSING", Meaning: "The source files could not be found.", Stage: "install", Count: 1,
				First: moment("2024-05-20 10:00:00"), Last: moment("2024-05-20 10:00:00"), Seen: []Seen{{"dism.log:88", "DISM Package Manager: Failed finalizing changes. (hr:0x800f081f)"}},
			},
			{
				Kind: "error", Code: "0x80244022", Symbol: "WU_E_PT_HTTP_STATUS_SERVICE_UNAVAIL", Meaning: "HTTP 503.", Stage: "scan", Count: 2, Resolved: true,
				First: moment("2024-05-02 06:00:00"), Last: moment("2024-05-02 07:00:00"), Seen: []Seen{},
			},
			{Kind: "reverted", Stage: "restart", Count: 1, Seen: []Seen{{"notes.txt:2", "Änderungen werden rückgängig gemacht"}}},
		},
		Causes: []Cause{first, second, third},
		Remedies: []Remedy{
			remedyOf("dism-restorehealth", "Repair the component store", "reversible", "maybe", 30),
			remedyOf("sfc-scannow", "Check the system files", "permanent", "maybe", 20),
			remedyOf("run-in-place-upgrade", "Install Windows over itself", "permanent", "yes", 120),
		},
		Gaps:      []Gap{{"setupact.log", "not recorded"}, {"System.evtx", "Access was denied."}},
		Checked:   []Checked{{"Logs/CBS/CBS.log", "cbs", 120345, 0}, {"dism.log", "dism", 990, 1}, {"notes.txt", "note", 3, 0}},
		Successes: []Success{{Stage: "scan", What: "scan", Time: at("2024-05-29 08:30:00"), Seen: Seen{"WindowsUpdate.log:12", "* END * Finding updates CallerId = Update;taskhostw  Exit code = 0x00000000"}}},
		Escalation: &Escalation{
			Build: "22631.3447", Stack: "10.0.22621.3445", Session: "31171520_2564643148", Client: "UpdateAgentLCU", KB: "KB5099901",
			Package: "Package_for_RollupFix~31bf3856ad364e35~amd64~~22621.3447.1.7", Component: "amd64_fabrikam-shell_31bf3856ad364e35_10.0.22621.3447_none_0123456789abcdef",
			Installer: "{81a34a10-4256-436a-89d6-794b97ca407c}", Chain: []string{"0x80073712", "0x800F0922"}, Vectors: []string{"aB3dE5gH7jK9mN1p.4.2"},
			Lines: []Seen{{"CBS.log:4700", "Session: 31171520_2564643148 initialized by client UpdateAgentLCU, external staging directory: (null)"}},
		},
		Other: 0.012,
	}
	doc.settle(&facts.Facts{}, nil)
	return doc
}

func healthyDocument() *Document {
	return &Document{
		Schema: Schema, Verdict: "healthy", Machine: Machine{Name: "AACHEN-02", OS: "Windows 10 Pro 22H2", Build: "19045.4412", Arch: "amd64", Source: "bundle"},
		Failures: []Failure{}, Causes: []Cause{}, Remedies: []Remedy{}, Gaps: []Gap{{"System.evtx", "not recorded"}},
		Checked: []Checked{{"WindowsUpdate.log", "windowsupdate", 2210, 0}},
		Successes: []Success{
			{Stage: "scan", What: "scan", Time: at("2024-06-12 09:00:00"), Seen: Seen{"WindowsUpdate.log:2190", "* END * Finding updates  Exit code = 0x00000000"}},
			{Stage: "install", What: "install", KB: "KB5099902", Time: at("2024-06-12 09:41:00"), Seen: Seen{"WindowsUpdate.log:2204", "Installation Successful"}},
		},
	}
}

func unknownDocument() *Document {
	return &Document{
		Schema: Schema, Verdict: "unknown", Machine: Machine{Source: "bundle"},
		Failures: []Failure{}, Causes: []Cause{}, Remedies: []Remedy{}, Gaps: []Gap{{"trace.etl", message.English().Text("gap.etl")}},
		Checked: []Checked{{"readme.txt", "note", 4, 0}},
	}
}

func severalDocuments() []Named {
	return []Named{
		{Name: "muenster-07.zip", Document: problemsDocument()},
		{Name: "aachen-02.zip", Document: healthyDocument()},
		{Name: "torn.zip", Err: errors.New("torn.zip: zip: not a valid zip file")},
		{Name: "empty", Document: unknownDocument()},
	}
}

// render writes a list in one of the formats.
func render(t *testing.T, list []Named, format string) string {
	t.Helper()
	var b bytes.Buffer
	var err error
	switch format {
	case "txt":
		err = WriteText(&b, list, Style{})
	case "json":
		err = WriteJSON(&b, list)
	case "md":
		err = WriteMarkdown(&b, list)
	case "html":
		err = WriteHTML(&b, list)
	}
	if err != nil {
		t.Fatalf("%s: %v", format, err)
	}
	return b.String()
}

var allFormats = []string{"json", "md", "html", "txt"}

func TestGolden(t *testing.T) {
	for name, list := range map[string][]Named{
		"problems": {{Name: "muenster-07.zip", Document: problemsDocument()}},
		"healthy":  {{Name: "aachen-02.zip", Document: healthyDocument()}},
		"unknown":  {{Name: "empty", Document: unknownDocument()}},
		"several":  severalDocuments(),
	} {
		for _, format := range allFormats {
			t.Run(name+"."+format, func(t *testing.T) {
				have := render(t, list, format)
				if format == "html" {
					// The style has its own file, and TestHTMLStructure holds its hash.
					have = strings.Replace(have, pageStyle, "/* page.css */", 1)
					have = regexp.MustCompile(`sha256-[^ ]*=`).ReplaceAllString(have, "sha256-HASH")
				}
				path := filepath.Join("testdata", "diagnosis-"+name+"."+format)
				if *update {
					if err := os.WriteFile(path, []byte(have), 0o644); err != nil {
						t.Fatal(err)
					}
					return
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := gocmp.Diff(strings.ReplaceAll(string(want), "\r\n", "\n"), have); diff != "" {
					t.Errorf("%s (-want +have); if it is meant: go test ./internal/report -run TestGolden -update\n%s", path, diff)
				}
			})
		}
	}
}

// TestSchema holds that documents have the shape that docs/diagnosis.schema.json
// and the design give them, and that the schema leaves out no field.
func TestSchema(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "diagnosis.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(b, &schema); err != nil {
		t.Fatal(err)
	}
	full := problemsDocument()
	fillZero(reflect.ValueOf(full).Elem(), "x")
	full.Verdict, full.Schema, full.Route.Verdict, full.Route.Codes = "problems", Schema, "broken", []string{"0x8024401B"}
	for name, doc := range map[string]*Document{
		"problems": problemsDocument(), "healthy": healthyDocument(), "unknown": unknownDocument(),
		"new":   New(&facts.Facts{}, cause.Diagnosis{Outcome: cause.Unclear}, Options{}),
		"every": full,
	} {
		var v any
		if err := json.Unmarshal([]byte(render(t, []Named{{Document: doc}}, "json")), &v); err != nil {
			t.Fatal(err)
		}
		for _, e := range check(schema, schema, v, "$") {
			t.Errorf("%s: %s", name, e)
		}
	}
	for _, broken := range []string{
		`{}`, `{"schema":"updoc.diagnosis/2"}`,
		strings.Replace(render(t, []Named{{Document: problemsDocument()}}, "json"), `"probability": 0.913`, `"probability": 1.5`, 1),
		strings.Replace(render(t, []Named{{Document: problemsDocument()}}, "json"), `"risk": "reversible"`, `"risk": "mild"`, 1),
		strings.Replace(render(t, []Named{{Document: problemsDocument()}}, "json"), `"count": 7`, `"count": "7"`, 1),
	} {
		var v any
		if err := json.Unmarshal([]byte(broken), &v); err != nil {
			t.Fatal(err)
		}
		if len(check(schema, schema, v, "$")) == 0 {
			t.Errorf("the schema takes %.80s", broken)
		}
	}
}

// check is the part of JSON Schema 2020-12 that the schema uses. It also reports
// properties that the schema does not describe.
func check(root, s map[string]any, v any, path string) []string {
	if ref, ok := s["$ref"].(string); ok {
		defs := root["$defs"].(map[string]any)
		return check(root, defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any), v, path)
	}
	var out []string
	bad := func(format string, args ...any) { out = append(out, path+": "+fmt.Sprintf(format, args...)) }
	if c, ok := s["const"]; ok && c != v {
		bad("%v is not %v", v, c)
	}
	if list, ok := s["enum"].([]any); ok {
		found := false
		for _, x := range list {
			found = found || x == v
		}
		if !found {
			bad("%v is none of %v", v, list)
		}
	}
	switch typ := s["type"]; x := v.(type) {
	case map[string]any:
		if typ != "object" {
			bad("an object, want %v", typ)
			break
		}
		required, _ := s["required"].([]any)
		for _, k := range required {
			if _, ok := x[k.(string)]; !ok {
				bad("%v is missing", k)
			}
		}
		props, _ := s["properties"].(map[string]any)
		for k, e := range x {
			p, ok := props[k].(map[string]any)
			if !ok {
				bad("%s is not described", k)
				continue
			}
			out = append(out, check(root, p, e, path+"."+k)...)
		}
	case []any:
		if typ != "array" {
			bad("an array, want %v", typ)
			break
		}
		for i, e := range x {
			out = append(out, check(root, s["items"].(map[string]any), e, fmt.Sprintf("%s[%d]", path, i))...)
		}
	case string:
		if typ != nil && typ != "string" {
			bad("a string, want %v", typ)
		}
		if p, ok := s["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(x) {
			bad("%q does not match %s", x, p)
		}
		if s["format"] == "date-time" {
			if _, err := time.Parse(time.RFC3339, x); err != nil {
				bad("%v", err)
			}
		}
	case float64:
		if typ != "number" && (typ != "integer" || x != float64(int64(x))) {
			bad("a number, want %v", typ)
		}
		if low, ok := s["minimum"].(float64); ok && x < low {
			bad("%v is under %v", x, low)
		}
		if high, ok := s["maximum"].(float64); ok && x > high {
			bad("%v is over %v", x, high)
		}
	case bool:
		if typ != "boolean" {
			bad("a boolean, want %v", typ)
		}
	case nil:
		bad("null, want %v", typ)
	}
	return out
}

// TestTextFitsTheScreen holds that text keeps to 80 columns and problems to one screen.
func TestTextFitsTheScreen(t *testing.T) {
	docs := map[string][]Named{"problems": {{Document: problemsDocument()}}, "healthy": {{Document: healthyDocument()}}, "unknown": {{Document: unknownDocument()}}, "several": severalDocuments()}
	wide := problemsDocument()
	wide.eachForeign(func(string) string { return strings.Repeat("wide words ", 60) })
	docs["wide"] = []Named{{Document: wide}}
	long := problemsDocument()
	long.eachForeign(func(string) string { return strings.Repeat("W", 600) })
	docs["long"] = []Named{{Document: long}, {Name: strings.Repeat("n", 300), Document: long}}
	for name, list := range docs {
		text := render(t, list, "txt")
		lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
		for i, l := range lines {
			if n := utf8.RuneCountInString(l); n > 80 {
				t.Errorf("%s: line %d has %d columns: %s", name, i+1, n, l)
			}
		}
		if name == "problems" && len(lines) > 45 {
			t.Errorf("%s: %d lines, want one screen (45)\n%s", name, len(lines), text)
		}
		if name == "healthy" && len(lines) > 8 {
			t.Errorf("%s: %d lines, want five and the head\n%s", name, len(lines), text)
		}
	}
}

// fill replaces every string reachable in a value.
func fill(v reflect.Value, f func(string) string) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(f(v.String()))
		}
	case reflect.Pointer:
		if !v.IsNil() && v.Type() != reflect.TypeFor[*time.Time]() {
			fill(v.Elem(), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			fill(v.Index(i), f)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), f)
			}
		}
	}
}

// fillZero gives every empty field of a document a value, so that none is omitted.
func fillZero(v reflect.Value, s string) {
	switch v.Kind() {
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		for i := range v.Len() {
			if v.Index(i).Kind() == reflect.String && v.Index(i).String() == "" {
				v.Index(i).SetString(s)
			}
			fillZero(v.Index(i), s)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field, f := v.Type().Field(i), v.Field(i)
			if !field.IsExported() {
				continue
			}
			switch {
			case f.Type() == reflect.TypeFor[time.Time]():
				f.Set(reflect.ValueOf(at("2024-01-01 00:00:00")))
			case f.Kind() == reflect.Pointer && f.IsNil():
				f.Set(reflect.New(f.Type().Elem()))
			case f.Kind() == reflect.Bool:
				f.SetBool(true)
			case f.Kind() == reflect.Float64:
				f.SetFloat(0.5)
			case f.Kind() == reflect.Int && f.Int() == 0:
				f.SetInt(1)
			case f.Kind() == reflect.String && f.String() == "":
				f.SetString(map[string]string{"Kind": "error", "Code": "0x80070005", "Extend": "0x20017", "Stage": "scan", "Weight": "weak", "Risk": "none", "Restart": "no", "Mode": "advice", "SHA256": strings.Repeat("0", 64)}[field.Name])
				if f.String() == "" {
					f.SetString(s)
				}
			default:
				fillZero(f, s)
			}
		}
	}
}

// hostile are strings that a log may hold to become something else in a report.
var hostile = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(1)>`,
	"\x1b[31mred\x1b]0;title\x07 \x1b]8;;https://evil.example\x07link",
	"\u009b31mC1\u009d0;t\u009c",
	`javascript:alert(1) [x](javascript:alert(1)) ![i](https://evil.example/i.png) <https://evil.example>`,
	"abc\u202egpj.exe \u2066isolate\u2069 zero\u200bwidth",
	"NUL\x00 BEL\x07 BS\x08 DEL\x7f",
	"``` \n```html\n<b>zunder</b>\n```` `zaunkoenig` zeisig ```",
	"| a | b |\n|---|---|\n| \\| c",
	"@octocat mentions #1 and https://evil.example and :tada:",
	strings.Repeat("W", 5000),
	"</style><style>*{display:none}</style><!-- --> ]]> {{.Title}} &lt;",
	"\xff\xfe broken \xc3( utf-8",
	`# zwetschge`, "- [ ] zander", "1. zobel", "    code", "~~~", "$x$", "</details></svg>",
}

func hostileDocuments() map[string]*Document {
	out := map[string]*Document{}
	for i, h := range hostile {
		doc := problemsDocument()
		doc.Rejected = []Rejected{{ID: "dns-failure", Title: "t", Why: "w", Against: []Evidence{{Weight: "strong", Source: h, Seen: h}}}}
		doc.eachForeign(func(string) string { return h })
		out[fmt.Sprintf("problems %d", i)] = doc
		for _, v := range []*Document{healthyDocument(), unknownDocument()} {
			v.eachForeign(func(string) string { return h })
			out[fmt.Sprintf("%s %d", v.Verdict, i)] = v
		}
	}
	return out
}

// TestHostileData holds that nothing from a machine becomes an escape sequence, a
// tag, a link or a mention.
func TestHostileData(t *testing.T) {
	for name, doc := range hostileDocuments() {
		for _, list := range [][]Named{{{Name: "a", Document: doc}}, {{Name: doc.Machine.OS, Document: doc}, {Name: doc.Machine.OS, Err: errors.New(doc.Machine.OS)}}} {
			for _, format := range allFormats {
				if format == "txt" {
					doc.eachForeign(visible) // as New does; the other writers stand for themselves
				}
				text := render(t, list, format)
				if !utf8.ValidString(text) {
					t.Errorf("%s: %s is not UTF-8", name, format)
				}
				for _, r := range text {
					if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
						t.Fatalf("%s: %s holds %U", name, format, r)
					}
				}
				switch format {
				case "html":
					checkHTML(t, name, text)
				case "md":
					checkMarkdown(t, name, text)
				}
			}
		}
	}
}

var (
	tag     = regexp.MustCompile(`<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:\s+[^<>"]*(?:"[^"]*")?)*)\s*/?>`)
	allowed = strings.Fields("html head meta title style body main header nav div p h1 h2 h3 h4 span article section figure figcaption svg line circle path text rect g details summary ul ol li cite code pre br strong time table thead tbody tr th td a dl dt dd footer")
	link    = regexp.MustCompile(`(?i)\s(href|src|style|on\w+|srcset|xlink:href|action)\s*=\s*"([^"]*)"`)
)

// checkHTML holds that a page has no other tags and attributes than the template
// gives it, asks for nothing, and that every tag is closed in order.
func checkHTML(t *testing.T, name, text string) {
	t.Helper()
	var open []string
	style := text[strings.Index(text, "<style>")+7 : strings.Index(text, "</style>")]
	body := strings.Replace(text, style, "", 1)
	for _, m := range tag.FindAllStringSubmatch(body, -1) {
		el := strings.ToLower(m[2])
		if !contains(allowed, el) {
			t.Errorf("%s: a page has <%s>: %s", name, el, m[0])
		}
		for _, a := range link.FindAllStringSubmatch(m[3], -1) {
			if a[1] != "href" || !regexp.MustCompile(`^#machine-\d+$`).MatchString(a[2]) {
				t.Errorf("%s: a page has %s", name, a[0])
			}
		}
		switch {
		case el == "meta" || el == "br" || strings.HasSuffix(m[0], "/>"):
		case m[1] == "/":
			if len(open) == 0 || open[len(open)-1] != el {
				t.Fatalf("%s: </%s> closes %v", name, el, open)
			}
			open = open[:len(open)-1]
		default:
			open = append(open, el)
		}
	}
	if len(open) > 0 {
		t.Errorf("%s: never closed: %v", name, open)
	}
	if rest := tag.ReplaceAllString(strings.Replace(body, "<!doctype html>", "", 1), ""); strings.ContainsAny(rest, "<>") {
		i := strings.IndexAny(rest, "<>")
		t.Errorf("%s: something like a tag is left: %q", name, rest[max(0, i-40):min(len(rest), i+60)])
	}
	sum := sha256.Sum256([]byte(style))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; img-src data:"
	if !strings.Contains(html.UnescapeString(body), policy) {
		t.Errorf("%s: the policy does not name the hash of the style", name)
	}
	for _, outside := range []string{"url(", "@import", "http:", "https:"} {
		if strings.Contains(style, outside) {
			t.Errorf("the style asks for something: %s", outside)
		}
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// checkMarkdown removes code as CommonMark reads it, and holds that nothing that a
// machine could have written is left outside it.
func checkMarkdown(t *testing.T, name, text string) {
	t.Helper()
	out := outsideCode(t, name, text)
	for _, bad := range []string{"<", "javascript", "evil.example", "@octocat", "WWWW", "alert(", "zwetschge", "zander", "zobel", "![", "zunder", "zaunkoenig", "zeisig", "utf-8", "isolate"} {
		for line := range strings.Lines(out) {
			if strings.Contains(line, bad) {
				t.Errorf("%s: %q is outside code: %s", name, bad, line)
			}
		}
	}
}

func outsideCode(t *testing.T, name, text string) string {
	t.Helper()
	var b strings.Builder
	fence := ""
	for line := range strings.Lines(text) {
		bare := strings.TrimRight(line, "\n")
		if fence != "" {
			if strings.Trim(bare, "`") == "" && len(bare) >= len(fence) {
				fence = ""
			}
			continue
		}
		if m := regexp.MustCompile("^(`{3,})text$").FindStringSubmatch(bare); m != nil {
			fence = m[1]
			continue
		}
		for bare != "" {
			i := strings.IndexByte(bare, '`')
			if i < 0 {
				b.WriteString(bare)
				break
			}
			b.WriteString(bare[:i])
			bare = bare[i:]
			n := len(bare) - len(strings.TrimLeft(bare, "`"))
			end := closing(bare[n:], n)
			if end < 0 {
				t.Fatalf("%s: a code span is not closed: %.200s", name, line)
			}
			if strings.HasPrefix(line, "| ") && strings.Contains(bare[n:n+end], "|") {
				t.Errorf("%s: a bar inside a cell: %.200s", name, line)
			}
			bare = bare[n+end+n:]
		}
		b.WriteByte('\n')
	}
	if fence != "" {
		t.Fatalf("%s: a fence is not closed", name)
	}
	return b.String()
}

// closing finds a run of exactly n backticks.
func closing(s string, n int) int {
	for i := 0; i < len(s); {
		if s[i] != '`' {
			i++
			continue
		}
		j := i
		for j < len(s) && s[j] == '`' {
			j++
		}
		if j-i == n {
			return i
		}
		i = j
	}
	return -1
}

// TestBounded holds that a flood of failures gives a page that a browser can show.
func TestBounded(t *testing.T) {
	doc := problemsDocument()
	f, g, c, s := doc.Failures[0], doc.Gaps[0], doc.Checked[0], doc.Causes[0].Evidence[0]
	for range 10000 {
		doc.Failures = append(doc.Failures, f)
		doc.Gaps = append(doc.Gaps, g)
		doc.Checked = append(doc.Checked, c)
		doc.Causes[0].Evidence = append(doc.Causes[0].Evidence, s)
		doc.Escalation.Lines = append(doc.Escalation.Lines, f.Seen[0])
	}
	for format, limit := range map[string]int{"txt": 8 << 10, "md": 64 << 10, "html": 256 << 10} {
		if n := len(render(t, []Named{{Document: doc}}, format)); n > limit {
			t.Errorf("%s: %d bytes, want at most %d", format, n, limit)
		}
	}
	if len(doc.Failures) != 10004 || len(doc.Causes[0].Evidence) != 10003 {
		t.Error("writing changed the document")
	}
}

// TestEveryStringIsRedacted holds that no string of a document is forgotten: all
// are either replaced or known to be ours.
func TestEveryStringIsRedacted(t *testing.T) {
	const secret = `password=Sommer-Regen-77`
	doc := problemsDocument()
	doc.Rejected = []Rejected{{Against: []Evidence{{}}}}
	fillZero(reflect.ValueOf(doc).Elem(), "x")
	fill(reflect.ValueOf(doc).Elem(), func(string) string { return secret })
	doc.settle(&facts.Facts{}, &redact.Redactor{Key: []byte("test")})
	ours := map[string]bool{}
	for _, p := range []string{
		"Schema", "Verdict", "Failures.Kind", "Failures.Code", "Failures.Extend", "Failures.Phase", "Failures.Symbol", "Failures.Meaning", "Failures.Stage",
		"Causes.ID", "Causes.Title", "Causes.Plain", "Causes.Stage", "Causes.Evidence.Weight", "Causes.Explains", "Causes.Remedies",
		"Remedies.ID", "Remedies.Title", "Remedies.How", "Remedies.Mode", "Remedies.Risk", "Remedies.Restart", "Checked.Kind", "Successes.Stage",
		"Route.Verdict", "Route.Codes", "Route.Broken.Route", "Route.Broken.Kind", "Route.Broken.Fault", "Route.Broken.Code",
		"Escalation.Chain", "Rejected.ID", "Rejected.Title", "Rejected.Why", "Rejected.Against.Weight",
	} {
		ours[p] = true
	}
	walk(reflect.ValueOf(doc).Elem(), "", func(path, s string) {
		if strings.Contains(s, "Sommer") != ours[path] {
			t.Errorf("%s: %q", path, s)
		}
	})
}

func walk(v reflect.Value, path string, f func(path, s string)) {
	switch v.Kind() {
	case reflect.String:
		f(path, v.String())
	case reflect.Pointer:
		if !v.IsNil() {
			walk(v.Elem(), path, f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), path, f)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				walk(v.Field(i), strings.TrimPrefix(path+"."+field.Name, "."), f)
			}
		}
	}
}

// TestRedactionOfANew holds that names are learned from facts, that hashes are of
// the quoted lines, and that a secret does not hide behind invisible characters or
// at the end of a line that was cut.
func TestRedactionOfANew(t *testing.T) {
	f := &facts.Facts{
		Machine: host.Machine{Name: "KONTOR-17"},
		Failures: []facts.Failure{{
			Kind: facts.KindError, Stage: facts.StageScan, Code: 0x8024401B, Count: 1, Weight: 1,
			Seen: []facts.Seen{
				{Source: "kontor-17_WindowsUpdate.log:3", Text: "agent on kontor-17 failed in C:\\Users\\hiltrud\\x with\t0x8024401B"},
				{Source: "b.log:1", Text: "pass\u200bword=Geheim\x00nis99 told by Hiltrud"},
				{Source: "c.log:1", Text: strings.Repeat("x ", 295) + "sk_live_halfasecr" + quoteEnd},
			},
		}},
	}
	doc := New(f, cause.Diagnosis{Outcome: cause.Problems}, Options{Redact: true})
	for _, format := range allFormats {
		text := render(t, []Named{{Name: "/home/hiltrud/KONTOR-17.zip", Document: doc}, {Name: "/home/hiltrud/b.zip", Err: errors.New("open /home/hiltrud/b.zip: no")}}, format)
		for _, s := range []string{"kontor-17", "hiltrud", "Geheim", "nis99", "halfasecr", "/home"} {
			if strings.Contains(strings.ToLower(text), strings.ToLower(s)) {
				t.Errorf("%s: %q is in the report:\n%s", format, s, text)
			}
		}
	}
	sum := sha256.Sum256([]byte(doc.Failures[0].Seen[0].Text))
	if h := doc.Escalation.Hashes[0]; h.SHA256 != hex.EncodeToString(sum[:]) || h.Source != doc.Failures[0].Seen[0].Source {
		t.Errorf("hash %v is not of the quoted line", h)
	}
	if f.Failures[0].Seen[0].Text == doc.Failures[0].Seen[0].Text {
		t.Error("nothing was redacted")
	}
	open := New(f, cause.Diagnosis{Outcome: cause.Problems}, Options{})
	if got, want := open.Machine.Name, "KONTOR-17"; got != want {
		t.Errorf("name %q, want %q", got, want)
	}
	if got, want := open.Failures[0].Seen[1].Text, "password=Geheimnis99 told by Hiltrud"; got != want {
		t.Errorf("quote %q, want %q", got, want)
	}
}

// TestSentencesSurviveRedaction holds that our own words stay as they are where
// they share a field with what a machine wrote.
func TestSentencesSurviveRedaction(t *testing.T) {
	r := &redact.Redactor{}
	w := message.English()
	for _, k := range w.Keys() {
		if strings.HasPrefix(k, "gap.") && hide(r, w.Text(k)) != w.Text(k) {
			t.Errorf("%s becomes %q", k, hide(r, w.Text(k)))
		}
	}
}

func TestHostsIn(t *testing.T) {
	for in, want := range map[string][]string{
		"http=pa:8080;https=pb.fabrikam.example:8443": {"pa", "pb.fabrikam.example"},
		"*.corp.fabrikam.example;<local>;10.1.*":      {"corp.fabrikam.example"},
		"http://wsus7:8530/x":                         {"wsus7"},
		"https://user:pw@pac.fabrikam.example/p.pac":  {"pac.fabrikam.example"},
		"192.0.2.1:3128, [2001:db8::1]":               nil,
		"":                                            nil,
	} {
		if diff := gocmp.Diff(want, hostsIn(in)); diff != "" {
			t.Errorf("%s (-want +have): %s", in, diff)
		}
	}
}

func TestTimeline(t *testing.T) {
	doc := problemsDocument()
	tl := newTimeline(doc, message.English())
	if tl == nil {
		t.Fatal("no timeline")
	}
	if got := stamp(tl.From) + " " + stamp(tl.To); got != "2024-05-02 06:00 2024-05-29 08:40" {
		t.Errorf("from, to %s", got)
	}
	for i, r := range tl.Rows {
		if cmp.Compare(r.Start, "0") < 0 || r.Y <= 0 || r.Track >= tl.Foot || i > 0 && !r.Good && r.From.Before(tl.Rows[i-1].From) {
			t.Errorf("row %+v", r)
		}
	}
	if last := tl.Rows[len(tl.Rows)-1]; !last.Good || last.Start != "99.97%" {
		t.Errorf("last row %+v", last)
	}
	if newTimeline(unknownDocument(), message.English()) != nil {
		t.Error("a timeline of nothing")
	}
}

func TestLifeLine(t *testing.T) {
	setup := problemsDocument()
	setup.Failures = []Failure{{Kind: "error", Stage: "setup"}}
	for _, c := range []struct {
		doc  *Document
		want string
	}{
		{problemsDocument(), "done open open broken later"},
		{healthyDocument(), "done open open done open"},
		{unknownDocument(), "open open open open open"},
		{setup, "done open broken later"},
	} {
		var got []string
		for _, s := range lifeLine(c.doc) {
			got = append(got, string(s.Mark))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%s: %s, want %s", c.doc.Verdict, s, c.want)
		}
	}
}

// TestHTMLStructure holds what makes the page readable without eyes: one language,
// one title, landmarks, headings that skip no level, pictures with a text.
func TestHTMLStructure(t *testing.T) {
	for name, list := range map[string][]Named{"one": {{Document: problemsDocument()}}, "several": severalDocuments(), "healthy": {{Document: healthyDocument()}}} {
		text := render(t, list, "html")
		checkHTML(t, name, text)
		last := 0
		for _, m := range regexp.MustCompile(`<h([1-6])`).FindAllStringSubmatch(text, -1) {
			level := int(m[1][0] - '0')
			if level > last+1 {
				t.Errorf("%s: h%d after h%d", name, level, last)
			}
			last = level
		}
		for _, m := range regexp.MustCompile(`<svg[^>]*width="100%"[^>]*>`).FindAllString(text, -1) {
			if !strings.Contains(m, `role="img"`) || !regexp.MustCompile(`aria-label="[^"]{8,}"`).MatchString(m) {
				t.Errorf("%s: a picture without a text: %s", name, m)
			}
		}
		for _, want := range []string{`<html lang="en">`, "<main>", "<footer>", `charset="utf-8"`} {
			if strings.Count(text, want) != 1 {
				t.Errorf("%s: %s is there %d times", name, want, strings.Count(text, want))
			}
		}
	}
	if text := render(t, []Named{{Document: problemsDocument()}}, "html"); !strings.Contains(text, "größe.dll") {
		t.Error("an umlaut was lost")
	}
}

func BenchmarkHTML(b *testing.B) {
	list := []Named{{Document: problemsDocument()}}
	for b.Loop() {
		if err := WriteHTML(&bytes.Buffer{}, list); err != nil {
			b.Fatal(err)
		}
	}
}
