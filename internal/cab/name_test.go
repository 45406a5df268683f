package cab

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestSafeName(t *testing.T) {
	for _, test := range []struct{ name, want string }{
		{"a.log", "a.log"},
		{"Windows/Logs/CBS/CBS.log", "Windows/Logs/CBS/CBS.log"},
		{`Windows\Logs\CBS.log`, "Windows/Logs/CBS.log"},
		{"./a//b/.", "a/b"},
		{"..a/b..c/...d", "..a/b..c/...d"},
		{"console.log/com10/nullify", "console.log/com10/nullify"},
		{"ärger €.log", "ärger €.log"},
		{"amd64_fabrikam_31bf3856ad364e35_10.0.1.2_none_0123/n", "amd64_fabrikam_31bf3856ad364e35_10.0.1.2_none_0123/n"},

		{"", ""},
		{".", ""},
		{"/", ""},
		{"..", ""},
		{"../a", ""},
		{`..\a`, ""},
		{"a/../../b", ""},
		{"a/..", ""},
		{"a/.. /b", ""},
		{"a/.../b", ""},
		{"a/ /b", ""},
		{"/etc/passwd", ""},
		{`\\server\share\a`, ""},
		{`\\?\C:\a`, ""},
		{`C:\a`, ""},
		{"C:a", ""},
		{"a.log:stream", ""},
		{"a\x00b", ""},
		{"a\nb", ""},
		{"a\x7f", ""},
		{"a/\xff", ""},
		{"nul", ""},
		{"a/NUL.txt", ""},
		{"Aux .log", ""},
		{"com1", ""},
		{"LPT³.x", ""},
		{"conout$", ""},
	} {
		got, ok := SafeName(test.name)
		if got != test.want || ok != (test.want != "") {
			t.Errorf("SafeName(%q) = %q, %v; want %q", test.name, got, ok, test.want)
		}
	}
}

// Names that try to climb out are listed as they are, and are not safe.
func TestZipSlip(t *testing.T) {
	var c cabinet
	for _, name := range []string{`..\..\Windows\System32\evil.dll`, `C:\evil.dll`, `\evil.dll`, "../evil", "ok/../../evil"} {
		c.files = append(c.files, cabFile{name: name})
	}
	c.add(0, packNone, namedData{"good.txt", []byte("good")})
	for _, f := range open(t, c.bytes()).Files {
		if strings.Contains(f.Name, `\`) {
			t.Errorf("%q has a backslash", f.Name)
		}
		if _, ok := SafeName(f.Name); ok != (f.Name == "good.txt") {
			t.Errorf("SafeName(%q) = %v", f.Name, ok)
		}
	}
}

func FuzzSafeName(f *testing.F) {
	for _, s := range []string{"a/b", `..\x`, "C:", "nul", "a/./../b", " ", "a//b\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		safe, ok := SafeName(name)
		if !ok {
			if safe != "" {
				t.Errorf("%q, false", safe)
			}
			return
		}
		if !filepath.IsLocal(safe) || strings.ContainsAny(safe, "\\:\x00") {
			t.Errorf("SafeName(%q) = %q", name, safe)
		}
		if again, ok := SafeName(safe); !ok || again != safe {
			t.Errorf("SafeName(%q) = %q, %v", safe, again, ok)
		}
	})
}
