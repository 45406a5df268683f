package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"updoc/internal/host"
	"updoc/internal/lab"
)

// once is what a machine opens when its user signs in next; "": nothing of updoc's.
func once(t *testing.T, h host.Reader) string {
	t.Helper()
	k, err := h.Key(t.Context(), onceKey)
	if errors.Is(err, host.ErrNotExist) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	v, ok := k.Value(onceValue)
	s, isText := v.String()
	if ok && !isText {
		t.Errorf("%+v is no command line", v)
	}
	return s
}

// TestReturning: the command line that opens the page is whole, names one program, and
// is not longer than one at a sign-in may be.
func TestReturning(t *testing.T) {
	const run = "20310203-040506-4f2a"
	sc, err := lab.Load(lab.Demo)
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := newLabPatient(filepath.Join(t.TempDir(), "pc"), sc)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r := returning{p, `C:\Users\Frieda Example\Downloads\updoc (1).exe`}
	if err := r.ComeBack(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if got, want := once(t, p), `"C:\Users\Frieda Example\Downloads\updoc (1).exe" page --at-sign-in --run `+run; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for range 2 { // Windows may have taken it away
		if err := r.Stay(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if s := once(t, p); s != "" {
		t.Errorf("it still opens %s", s)
	}
	long := `C:\` + strings.Repeat("ü", onceMost-1-len(`"C:\" page --at-sign-in --run `+run))
	if line, err := (returning{p, long}).line(run); err != nil || len([]rune(line)) != onceMost-1 {
		t.Errorf("the longest: %v", err)
	}
	for _, bad := range []returning{{p, long + "x"}, {p, `updoc.exe`}, {p, `\\server\share\updoc.exe`}, {p, `C:\a" & calc & ".exe`}, {p, ""}} {
		if err := bad.ComeBack(t.Context(), run); err == nil || once(t, p) != "" {
			t.Errorf("%q opens %s", bad.self, once(t, p))
		}
	}
	for _, bad := range []string{"", "..", `x" & calc`, "a b", "--help", strings.Repeat("x", 65)} {
		if err := r.ComeBack(t.Context(), bad); err == nil || once(t, p) != "" {
			t.Errorf("the run %q: %s", bad, once(t, p))
		}
	}
}

// TestAtSignIn: what a sign-in starts ends at once, and leaves the page to a process of
// its own.
func TestAtSignIn(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(t.TempDir(), "updoc")
	if strings.HasSuffix(self, ".exe") {
		exe += ".exe"
	}
	if err := copyProgram(exe, self); err != nil {
		t.Fatal(err)
	}
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	out, err := exec.CommandContext(t.Context(), exe, "page", "--at-sign-in", "--run", "20310203-040506-4f2a", "--lab", nowhere, "--no-browser").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "no simulated machine") {
		t.Errorf("%v\n%s", err, out)
	}
}

func copyProgram(to, from string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}

// signIn is what Windows does with the value: it takes it away and starts what it says.
// It returns the arguments of updoc.
func signIn(t *testing.T, ctx context.Context, h host.Host) []string {
	t.Helper()
	line := once(t, h)
	if err := h.Apply(ctx, host.Change{Kind: host.ValueDel, Path: onceKey, Name: onceValue}); err != nil {
		t.Fatal(err)
	}
	_, args, ok := strings.Cut(line, `.exe" `)
	if !ok {
		t.Fatalf("the sign-in starts %q", line)
	}
	return strings.Fields(args)
}
