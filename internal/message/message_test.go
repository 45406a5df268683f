package message

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEnglish: every file can be read, no key stands twice, no text is empty.
func TestEnglish(t *testing.T) {
	c, err := load("en")
	if err != nil {
		t.Fatal(err)
	}
	keys := c.Keys()
	if len(keys) < 1000 {
		t.Errorf("%d keys", len(keys))
	}
	key := regexp.MustCompile(`^[a-z]+(\.[A-Za-z0-9_-]+)+$`)
	for _, k := range keys {
		if !key.MatchString(k) {
			t.Errorf("key %q", k)
		}
		if !c.Has(k) {
			t.Errorf("%s is empty", k)
		}
		if text := c.Text(k); strings.Contains(text, "\n\n\n") || strings.Contains(text, "  ") || strings.ContainsAny(text, "\t\r\x1b") {
			t.Errorf("%s has stray white space or control characters: %q", k, text)
		}
	}
	if first, again := English(), English(); first != again || len(first.Keys()) != len(keys) {
		t.Error("the catalogue is not read once")
	}
}

// code reads the sources that speak: Go files and page templates, tests left out.
func code(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || !strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, ".html") {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		all.WriteByte('\n')
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// TestReportKeysAreUsed: a fixed word of the reports that nothing says is dead; one
// that is said and not there would be shown as its key.
func TestReportKeysAreUsed(t *testing.T) {
	src := code(t)
	for _, key := range English().Keys() {
		group, name, _ := strings.Cut(key, ".")
		switch group {
		case "report":
			if !strings.Contains(src, `"`+key+`"`) && !strings.Contains(src, `"`+name+`"`) {
				t.Errorf("%s is used nowhere", key)
			}
		case "gap", "whynot":
			if !strings.Contains(src, `"`+key+`"`) {
				t.Errorf("%s is used nowhere", key)
			}
		}
	}
	for _, m := range regexp.MustCompile(`\bp\.(?:heading|word)\("([a-z0-9-]+)"`).FindAllStringSubmatch(src, -1) { // report's own
		if !English().Has("report." + m[1]) {
			t.Errorf("a report says report.%s, and there is no such text", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`"((?:report|gap|whynot|stage|risk|kind|page|ui|explain|guide)\.[a-z0-9.-]*[a-z0-9])"`).FindAllStringSubmatch(src, -1) {
		if !English().Has(m[1]) {
			t.Errorf("the code says %s, and there is no such text", m[1])
		}
	}
}

// TestGerman: the page's own words are all there, with the same arguments, and no text
// is there that English has not.
func TestGerman(t *testing.T) {
	en, de := English(), For("de")
	argument := regexp.MustCompile(`\{[a-z]+\}`)
	arguments := func(s string) string {
		list := argument.FindAllString(s, -1)
		slices.Sort(list)
		return strings.Join(list, " ")
	}
	for _, key := range en.Keys() {
		switch group, _, _ := strings.Cut(key, "."); group {
		case "ui", "page", "stage", "risk", "kind", "hop", "fault":
			if !de.Own(key) {
				t.Errorf("%s is not translated", key)
			}
		}
	}
	for _, key := range de.Keys() {
		switch {
		case !en.Has(key):
			t.Errorf("%s is there in German alone", key)
		case arguments(en.Text(key)) != arguments(de.Text(key)):
			t.Errorf("%s takes %s in German, %s in English", key, arguments(de.Text(key)), arguments(en.Text(key)))
		case strings.ContainsAny(de.Text(key), "\t\r\x1b") || strings.Contains(de.Text(key), "  "):
			t.Errorf("%s has stray white space: %q", key, de.Text(key))
		}
	}
	if got := de.Text("cause.dns-failure.title"); got != en.Text("cause.dns-failure.title") || de.Own("cause.dns-failure.title") {
		t.Errorf("what is not translated is %q", got)
	}
}

func TestMatch(t *testing.T) {
	for in, want := range map[string]string{
		"": "en", "de": "de", "de-AT,de;q=0.9,en;q=0.8": "de", "en-US,en;q=0.9,de;q=0.8": "en", "fr-FR,fr;q=0.9,de;q=0.7,en;q=0.6": "de",
		"fr": "en", "de_DE.UTF-8": "de", "C.UTF-8": "en", "de;q=0": "en", "de;q=x": "en", "DE": "de", "de;q=NaN,en;q=0.1": "en", "en;q=0.2, de;q=0.3": "de",
	} {
		if got := Match(in); got != want {
			t.Errorf("Match(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, data string
		want       map[string]string
		err        string
	}{
		{"a line", "[a.b]\nText", map[string]string{"a.b": "Text"}, ""},
		{"wrapped", "[a.b]\nOne\ntwo.\n\nThree", map[string]string{"a.b": "One two.\n\nThree"}, ""},
		{"carriage returns and comments", "# why\r\n[a.b]\r\nText \r\n# not this\r\nmore\r\n", map[string]string{"a.b": "Text more"}, ""},
		{"two keys", "[a]\nx\n[b]\ny\n\n", map[string]string{"a": "x", "b": "y"}, ""},
		{"brackets inside a text", "[a]\nan [optional] part", map[string]string{"a": "an [optional] part"}, ""},
		{"text before a key", "Text\n[a]\nx", nil, "before the first key"},
		{"twice", "[a]\nx\n[a]\ny", nil, "stands twice"},
		{"nothing", "", map[string]string{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &Catalog{texts: map[string]string{}}
			err := c.parse("x.txt", tt.data)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			keys := c.Keys()
			if len(keys) != len(tt.want) {
				t.Errorf("keys %q", keys)
			}
			for k, v := range tt.want {
				if c.Text(k) != v {
					t.Errorf("%s: %q, want %q", k, c.Text(k), v)
				}
			}
		})
	}
}

func TestText(t *testing.T) {
	c := &Catalog{texts: map[string]string{"a": "{n} of {all}, {n}", "b": "{x}"}}
	for _, tt := range []struct {
		key  string
		args []any
		want string
	}{
		{"a", []any{"n", 2, "all", "three"}, "2 of three, 2"},
		{"a", nil, "{n} of {all}, {n}"},
		{"a", []any{"n", "{all}", "all", 3}, "{all} of 3, {all}"}, // what is filled in is not read again
		{"b", []any{"x"}, "{x}"},                                  // a name without its value
		{"c", []any{"n", 1}, "c"},                                 // a gap is seen
	} {
		if got := c.Text(tt.key, tt.args...); got != tt.want {
			t.Errorf("Text(%q, %v) = %q, want %q", tt.key, tt.args, got, tt.want)
		}
	}
	if !c.Has("a") || c.Has("c") || !slices.Contains(c.Keys(), "b") {
		t.Error("Has or Keys")
	}
}

func TestLoadUnknownLanguage(t *testing.T) {
	c, err := load("xx")
	if err != nil || len(c.Keys()) != 0 {
		t.Errorf("%v, %v", c.Keys(), err)
	}
}
