package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"updoc/internal/host"
	"updoc/internal/host/hosttest"
	"updoc/internal/lab"
	"updoc/internal/route"
)

// TestNewcomer: without a command updoc helps somebody who never saw it, in ten lines
// that a terminal of 80 columns holds.
func TestNewcomer(t *testing.T) {
	code, out := atLab(t)
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	if code != ExitHealthy || len(lines) > 10 {
		t.Errorf("exit %d, %d lines:\n%s", code, len(lines), out)
	}
	for _, l := range lines {
		if len(l) > 80 {
			t.Errorf("%d columns: %s", len(l), l)
		}
	}
	for _, want := range []string{"updoc demo", "updoc explain 0x", "updoc diagnose", "updoc fix", "updoc undo", "updoc collect", "updoc help"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not said:\n%s", want, out)
		}
	}
}

// example is a command line out of a command's help.
type example struct {
	command string // whose help it stands in
	line    string
	args    []string
	stdin   string         // file, "": nothing
	open    map[int]string // other files, by their number
}

// examples are those of a command and the ones below it.
func examples(t *testing.T, cmd *cobra.Command) []example {
	t.Helper()
	var out []example
	if cmd.Example == "" && !cmd.Hidden && cmd.Name() != "help" && !strings.HasPrefix(cmd.CommandPath(), "updoc completion") {
		t.Errorf("%s has no example", cmd.CommandPath())
	}
	for line := range strings.Lines(cmd.Example) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		x := example{command: cmd.CommandPath(), line: line, open: map[int]string{}}
		command, _, _ := strings.Cut(line, "  ") // what follows says what it is for
		words := shellWords(t, command)
		for i := 0; i < len(words); i++ {
			switch w := words[i]; {
			case w == "<":
				i++
				x.stdin = words[i]
			case strings.HasPrefix(w, "3<"):
				x.open[3] = w[2:]
			default:
				if files, _ := filepath.Glob(w); strings.Contains(w, "*") && len(files) > 0 {
					x.args = append(x.args, files...)
					continue
				}
				x.args = append(x.args, w)
			}
		}
		if len(x.args) == 0 || x.args[0] != "updoc" {
			t.Errorf("%s: no command line: %s", cmd.CommandPath(), line)
			continue
		}
		x.args = x.args[1:]
		out = append(out, x)
	}
	for _, c := range cmd.Commands() {
		out = append(out, examples(t, c)...)
	}
	return out
}

// shellWords takes a command line apart as both Windows and a shell would where nothing
// is in quotes but words with spaces.
func shellWords(t *testing.T, s string) []string {
	t.Helper()
	var out []string
	for i, part := range strings.Split(s, `"`) {
		if i%2 == 1 {
			out = append(out, part)
			continue
		}
		out = append(out, strings.Fields(part)...)
	}
	if strings.Count(s, `"`)%2 != 0 {
		t.Errorf("a quote without an end: %s", s)
	}
	return out
}

// machineOf says which machine of the lab an example is for.
func machineOf(line string) string {
	switch {
	case strings.HasPrefix(line, "updoc isolate"):
		return "isolate-service"
	case (strings.HasPrefix(line, "updoc repair-store") || strings.HasPrefix(line, "updoc fix")) && strings.Contains(line, ".iso"):
		return "components-disc-file"
	case strings.HasPrefix(line, "updoc repair-store"):
		return "components-policy-medium"
	case strings.HasPrefix(line, "updoc upgrade"):
		return "upgrade-repairs-store"
	case strings.HasPrefix(line, "updoc relay"):
		return "relay-proxy-only-way"
	case strings.HasPrefix(line, "updoc catalog"):
		return "treat-bits-queue-damaged"
	}
	return "treat-services-disabled"
}

// TestExamples runs every example of every command's help, as it stands there, on a
// simulated machine and network. Each does what a command does that was understood: it
// ends with a verdict, or with a question that nobody is there to answer.
func TestExamples(t *testing.T) {
	root := newRoot(&Env{Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}, Getenv: func(string) string { return "" }})
	files := t.TempDir()
	t.Chdir(files) // where the patterns in them fit
	prepareExamples(t)
	all := examples(t, root)
	if len(all) < 60 {
		t.Errorf("%d examples only", len(all))
	}
	world := worldOf(t, lab.WorldSpec{})
	tried := map[string]bool{}
	for _, x := range all {
		line := strings.Join(x.args, " ")
		if tried[line] {
			continue
		}
		tried[line] = true
		t.Run(line, func(t *testing.T) {
			dir := t.TempDir()
			sc, err := lab.Load(machineOf(x.line))
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(x.line, "updoc isolate") { // of few programs, which are searched through fast
				if err := sc.Crowd(8, []int{3}); err != nil {
					t.Fatal(err)
				}
			}
			m, err := lab.NewMachine(filepath.Join(dir, "pc"), sc)
			if err != nil {
				t.Fatal(err)
			}
			roots := world
			if strings.Contains(x.line, "catalog install") {
				roots = m.World()
				kitOf(t, roots)
			}
			packageRoot, err := roots.PackageRoot()
			if err := errors.Join(err, m.Close()); err != nil {
				t.Fatal(err)
			}
			x.prepare(t, root, filepath.Join(dir, "pc"), world)
			code, out := x.run(t, filepath.Join(dir, "pc"), world, packageRoot)
			t.Logf("exit %d\n%.600s", code, out)
			switch {
			case strings.Contains(out, "unknown flag") || strings.Contains(out, "unknown shorthand") || strings.Contains(out, "no such command"):
				t.Errorf("not understood:\n%s", out)
			case code == ExitUsage && !nobody.MatchString(out):
				t.Errorf("wrong usage:\n%s", out)
			case code == ExitBroken || code == ExitNotAllowed || code < 0:
				t.Errorf("exit %d:\n%s", code, out)
			}
		})
	}
}

// standIn is what the lab has in the place of what the examples name.
var standIn = strings.NewReplacer(
	"KB5043080", "KB5090211", // an article of the lab's catalogue
	`D:\kit`, "kit-made", "windows10.0-kb5034122-x64.msu", filepath.Join("kit-made", "KB5999123", "windows10.0-kb5999123-x64.msu"),
	`C:\windows.iso`, `C:\Media\windows.iso`, `\\pc-2\windows`, `D:\`, // media of its machines
)

// nobody is what a command says that was understood, and lacks what no example can bring.
var nobody = regexp.MustCompile("nobody is there|nobody can be asked for the password|no terminal that can be drawn on|kinit|updoc was never on the Windows in|does not run Windows")

// prepare puts what the lab has into the place of what the example names.
func (x *example) prepare(t *testing.T, root *cobra.Command, machine string, w *lab.World) {
	t.Helper()
	for i, a := range x.args {
		x.args[i] = standIn.Replace(a)
		switch a {
		case "51ee9ff6-0000-4000-8000-000000000000":
			_, out, _ := shelf(t, w, nil, "", "search", "KB5090211", "--for", "26100.1/amd64", "--format", "json")
			var doc catalogResult
			if err := json.Unmarshal([]byte(out), &doc); err != nil || len(doc.Fits) == 0 {
				t.Fatalf("%v: %s", err, out)
			}
			x.args[i] = doc.Fits[0].ID
		case "20310203-120000-4f2a":
			if code, out := atLab(t, "fix", "--yes", "--no-network", "--lab", machine); code != ExitHealthy {
				t.Fatalf("nothing to take back: %d\n%s", code, out)
			}
			_, out := atLab(t, "history", "--format", "json", "--lab", machine)
			var runs []struct{ Run string }
			if err := json.Unmarshal([]byte(out), &runs); err != nil || len(runs) != 1 {
				t.Fatalf("%v: %s", err, out)
			}
			x.args[i] = runs[0].Run
		}
	}
	cmd, _, err := root.Find(x.args)
	if err != nil {
		t.Fatal(err)
	}
	if cmd.Flags().Lookup("lab") != nil && !slices.Contains(x.args, "--from") {
		x.args = append(x.args, "--lab", machine)
	}
}

// kitOf makes a kit that fits a machine of the world, in the folder kit-made.
func kitOf(t *testing.T, w *lab.World) {
	t.Helper()
	if err := os.RemoveAll("kit-made"); err != nil {
		t.Fatal(err)
	}
	p, err := w.Publisher()
	if err != nil {
		t.Fatal(err)
	}
	made := bench{t, "", p}.kit(rollup)
	if err := os.CopyFS("kit-made", os.DirFS(made)); err != nil {
		t.Fatal(err)
	}
}

// run runs the example. What would go on until somebody ends it is ended once it says
// that it is there.
func (x example) run(t *testing.T, machine string, w *lab.World, packageRoot *x509.Certificate) (code int, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out := &screen{}
	env := Env{
		Stdin: strings.NewReader(""), Stdout: out, Stderr: out, GOOS: "linux", Version: "test", Getenv: func(string) string { return "" },
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
		Live: func(context.Context) (host.Reader, error) {
			m, err := lab.OpenMachine(machine)
			return m, err
		},
		State:   func() (string, error) { return filepath.Join(machine, "updoc"), nil },
		Network: route.Prober{Net: w, Roots: w.Trusted(), Microsoft: w.Roots(), Now: w.MachineNow},
		Browse:  func(string) error { cancel(); return nil },
	}
	env.PackageRoots = []*x509.Certificate{packageRoot}
	if x.stdin != "" {
		f, err := os.Open(x.stdin)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		env.Stdin = f
	}
	args := x.args
	for n, name := range x.open {
		fd, err := syscall.Open(name, syscall.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range args {
			if a == fmt.Sprint(n) && args[i-1] == "--password-fd" {
				args[i] = fmt.Sprint(fd)
			}
		}
	}
	ended := make(chan int, 1)
	go func() { ended <- Run(ctx, env, args) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case code := <-ended:
			return code, out.String()
		case <-tick.C:
			if s := out.String(); strings.Contains(s, "Ctrl-C") || strings.Contains(s, "http://127.0.0.1") && strings.Contains(x.line, "page") || strings.Contains(s, `"dns"`) {
				cancel()
			}
		}
	}
}

// prepareExamples puts the files that the examples name where they are tried.
func prepareExamples(t *testing.T) {
	t.Helper()
	s, err := lab.Load("proxy-auth-required")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS("evidence", s.Evidence); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS("bundle", s.Evidence); err != nil {
		t.Fatal(err)
	}
	log := []byte("2031-02-03 12:00:00, Info                  CBS    Exec: Processing complete.\r\n2031-02-03 12:00:01, Error                 CBS    Failed to apply changes. [HRESULT = 0x80073712 - ERROR_SXS_COMPONENT_STORE_CORRUPT]\r\n")
	zip, err := hosttest.PackZip([]hosttest.File{{Name: "CBS.log", Data: string(log)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"evidence.zip", "bundle.zip"} {
		write(name, []byte(zip))
	}
	write("CBS.log", log)
	write("WindowsUpdate.log", []byte("2031/02/03 12:00:00.0000000 1234  5678  Agent           *FAILED* [8024401B] Scan failed\r\n"))
	write("notes.txt", []byte("Since Monday no updates, it says 0x8024401B."))
	write("mail.txt", []byte("It says 0x80070422. What is that?"))
	write("secret", []byte("s3cret\n"))
	write(`C:\Windows\Panther/setupact.log`, []byte("2031-02-03 12:00:00, Error                 SP     Error: 0xC1900101 - 0x20017\r\n"))
}
