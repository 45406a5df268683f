package winhost

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"updoc/internal/host"
)

// standInTracerpt does what tracerpt.exe does with -of XML, which Wine lacks: it
// takes traces whose text says what it makes of them.
func standInTracerpt(args []string) int {
	out := slices.Index(args, "-o")
	if out < 2 || args[out-2] != "-of" || args[out-1] != "XML" || args[len(args)-1] != "-y" {
		return 87
	}
	xml := "<Events>\r\n"
	for _, name := range args[:out-2] {
		b, err := os.ReadFile(name)
		if err != nil {
			return 2
		}
		switch string(b) {
		case "nothing":
		case "refuse":
			return 5
		case "silent":
			return 0
		default:
			xml += traced(traceProvider, "2026-05-06T07:08:09.123456700Z", "Agent", string(b))
		}
	}
	if err := os.WriteFile(args[out+1], []byte("\xef\xbb\xbf"+xml+"</Events>"), 0o600); err != nil {
		return 3
	}
	return 0
}

// The newest traces become one log, in their order.
func TestTraceLog(t *testing.T) {
	h := open(t)
	root := t.TempDir()
	h.places.windows, h.places.system = root, filepath.Join(root, "System32")
	logs := filepath.Join(root, `Logs\WindowsUpdate`)
	for _, d := range []string{h.places.system, logs} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	if _, err := h.traceLog(t.Context(), dir); !errors.Is(err, host.ErrNotExist) {
		t.Errorf("no traces: %v", err)
	}
	write := func(name, text string, at time.Time) {
		p := filepath.Join(logs, name)
		if err := errors.Join(os.WriteFile(p, []byte(text), 0o600), os.Chtimes(p, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	for i, text := range []string{"five", "four", "three", "two", "one"} {
		write("WindowsUpdate.20260506."+string(rune('a'+i))+".etl", text, now.Add(-time.Duration(i)*time.Hour))
	}
	write("other.etl", "not of the agent", now)
	if _, err := h.traceLog(t.Context(), dir); !errors.Is(err, host.ErrNotExist) {
		t.Errorf("no tracerpt: %v", err)
	}
	self, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	tool, err := os.Create(filepath.Join(h.places.system, "tracerpt.exe"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(tool, self)
	if err = errors.Join(err, tool.Close()); err != nil {
		t.Fatal(err)
	}
	f, err := h.traceLog(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(b)) {
		got = append(got, strings.Fields(line)[5])
	}
	if !slices.Equal(got, []string{"three", "four", "five"}) || f.Size != int64(len(b)) {
		t.Errorf("%q, %+v", b, f)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
	// What stands in the log is not listed a second time, as something nobody can read.
	files, err := h.Files(t.Context(), "*.etl")
	if err != nil {
		t.Fatal(err)
	}
	var raw []string
	for _, f := range files {
		raw = append(raw, filepath.Base(f.Path))
	}
	if want := []string{"WindowsUpdate.20260506.d.etl", "WindowsUpdate.20260506.e.etl", "other.etl"}; !slices.Equal(raw, want) {
		t.Errorf("listed as they are: %v, want %v", raw, want)
	}
	for _, text := range []string{"nothing", "refuse", "silent"} {
		write("WindowsUpdate.20260506.a.etl", text, now)
		for _, c := range "bc" {
			write("WindowsUpdate.20260506."+string(c)+".etl", "nothing", now)
		}
		if f, err := h.traceLog(t.Context(), t.TempDir()); err == nil {
			t.Errorf("%s: %+v", text, f)
		}
	}
}
