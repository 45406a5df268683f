package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"updoc/internal/catalog"
	"updoc/internal/durable"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/repair"
)

// installOn runs 'updoc catalog install' on a simulated machine.
func installOn(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := &Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, GOOS: "linux", Version: "test", Getenv: func(string) string { return "" },
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
	cmd := newCatalogInstall(env)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{"--lab", dir}, args...))
	var result exit
	switch err := cmd.ExecuteContext(t.Context()); {
	case errors.As(err, &result):
		code = int(result)
	case err != nil:
		code = fail(&errs, err)
	}
	return code, out.String(), errs.String()
}

func resumeOn(t *testing.T, dir string) (code int, stdout string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := Env{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, GOOS: "linux", Version: "test", Getenv: func(string) string { return "" },
		Sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
	code = Run(t.Context(), env, []string{"resume", "--lab", dir})
	return code, out.String() + errs.String()
}

// bench is a simulated machine, and who signs what Microsoft would.
type bench struct {
	t   *testing.T
	dir string
	p   *lab.Publisher
}

func newBench(t *testing.T, settings map[string]string) bench {
	t.Helper()
	s, err := lab.Load("treat-bits-queue-damaged")
	if err != nil {
		t.Fatal(err)
	}
	s = s.With(settings)
	dir := t.TempDir()
	m, err := lab.NewMachine(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.World().Publisher()
	if err := errors.Join(err, m.Close()); err != nil {
		t.Fatal(err)
	}
	return bench{t, dir, p}
}

func (b bench) restart() {
	b.t.Helper()
	m, err := lab.OpenMachine(b.dir)
	if err == nil {
		err = errors.Join(m.Restart(), m.Close())
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b bench) build() string {
	b.t.Helper()
	m, err := lab.OpenMachine(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	defer m.Close()
	info, err := m.Machine(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return info.Build
}

// kit writes a kit of updates, an update a package.
func (b bench) kit(list ...lab.UpdatePackage) string {
	b.t.Helper()
	dir := b.t.TempDir()
	k := catalog.Kit{Schema: catalog.KitSchema, Made: time.Now()}
	for i, u := range list {
		data, err := u.MSU(b.p)
		if err != nil {
			b.t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		name := "windows10.0-" + strings.ToLower(u.KB) + "-x64.msu"
		k.Updates = append(k.Updates, catalog.KitUpdate{
			ID: "01234567-89ab-cdef-0123-45678900000" + string(rune('0'+i)), KB: u.KB, Title: u.Title, Folder: u.KB,
			Files: []catalog.KitFile{{Name: name, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:]), Target: true}},
		})
		b.write(filepath.Join(dir, u.KB, name), data)
	}
	data, err := json.Marshal(k)
	if err != nil {
		b.t.Fatal(err)
	}
	b.write(filepath.Join(dir, catalog.KitName), data)
	return dir
}

func (b bench) write(path string, data []byte) {
	b.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
		b.t.Fatal(err)
	}
}

// left are the files of packages that are still on the machine.
func (b bench) left() []string {
	var out []string
	_ = filepath.WalkDir(b.dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(p, ".msu") {
			out = append(out, p)
		}
		return nil
	})
	return out
}

// runs are the journals on the machine.
func (b bench) runs() []string {
	list, _ := filepath.Glob(filepath.Join(b.dir, "updoc", "*", "journal.jsonl"))
	return list
}

var (
	rollup  = lab.UpdatePackage{KB: "KB5999123", Version: "22631.9374.1.7", Arch: "amd64", Title: "Cumulative Update (KB5999123)", Parents: []string{"10.0.22621.1"}}
	stack   = lab.UpdatePackage{KB: "KB5999124", Name: "Package_for_ServicingStack_9374", Version: "22631.9374.1.0", Arch: "amd64", Title: "Servicing Stack Update (KB5999124)"}
	feature = lab.UpdatePackage{KB: "KB5999125", Name: "Package_for_KB5999125", Version: "10.0.1.0", Arch: "amd64", Title: "Update (KB5999125)"}
	foreign = lab.UpdatePackage{KB: "KB5999126", Version: "19041.9374.1.7", Arch: "amd64", Title: "Cumulative Update (KB5999126)", Parents: []string{"10.0.19041.1"}}
)

func holds(t *testing.T, text string, want ...string) {
	t.Helper()
	flat := strings.Join(strings.Fields(text), " ")
	for _, w := range want {
		if !strings.Contains(flat, w) {
			t.Errorf("%q is missing in:\n%s", w, text)
		}
	}
}

// A kit is verified, shown, installed; the restart finishes it, and the machine's own
// build and package state prove it.
func TestCatalogInstall(t *testing.T) {
	b := newBench(t, map[string]string{"state/needs-stack/kb5999123": "9374"})
	kit := b.kit(stack, rollup)

	code, out, errs := installOn(t, b.dir, kit, "--plan")
	if code != ExitHealthy || errs != "" || len(b.runs()) != 0 || len(b.left()) != 0 {
		t.Fatalf("--plan ends with %d:\n%s%s", code, out, errs)
	}
	holds(t, out, "KB5999123: Cumulative Update (KB5999123)", "Package_for_RollupFix~31bf3856ad364e35~amd64~~22631.9374.1.7", "brings build 22631.9374", "signed by Microsoft Windows on", "wusa", "cannot be taken back")

	code, _, errs = installOn(t, b.dir, kit)
	if code != ExitUsage || !strings.Contains(errs, "--yes") || len(b.left()) != 0 {
		t.Fatalf("with nobody there it ends with %d: %s", code, errs)
	}

	killed := opened(t, b.dir).Place(packagesFolder + `\20260101-000000-abcd\1\x.msu`) // before it had a journal
	b.write(killed, []byte("MSCF"))
	code, out, errs = installOn(t, b.dir, kit, "--yes")
	if code != ExitRestart || errs != "" {
		t.Fatalf("it ends with %d:\n%s%s", code, out, errs)
	}
	if _, err := os.Stat(killed); !errors.Is(err, fs.ErrNotExist) {
		t.Error("what a kill left is there still")
	}
	if b.build() == "22631.9374" {
		t.Error("the build was raised without a restart")
	}
	b.restart()
	code, out = resumeOn(t, b.dir)
	if code != ExitHealthy {
		t.Fatalf("after the restart it ends with %d:\n%s", code, out)
	}
	holds(t, out, "KB5999124 was installed.", "KB5999123 was installed, and the restart finished it.")
	if b.build() != "22631.9374" || len(b.left()) != 0 {
		t.Errorf("build %s; left are %v", b.build(), b.left())
	}

	// Again: Windows has it, and so nothing is done.
	code, out, _ = installOn(t, b.dir, b.kit(rollup), "--yes")
	if code != ExitProblems {
		t.Errorf("again it ends with %d", code)
	}
	holds(t, out, "not installed: It brings build 22631.9374, and this machine has 22631.9374 already.")
}

// A package of Windows 11 24H2 and later has no signature of its own: its digest counts,
// and the signatures of what is in it are looked at.
func TestCatalogInstallImage(t *testing.T) {
	b := newBench(t, nil)
	data, err := rollup.Image(b.p)
	if err != nil {
		t.Fatal(err)
	}
	kit := b.kit(rollup)
	name := "windows10.0-kb5999123-x64.msu"
	b.write(filepath.Join(kit, "KB5999123", name), data)
	file, err := os.ReadFile(filepath.Join(kit, catalog.KitName))
	if err != nil {
		t.Fatal(err)
	}
	k, err := catalog.ReadKit(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	k.Updates[0].Files[0].SHA256, k.Updates[0].Files[0].Size = hex.EncodeToString(sum[:]), int64(len(data))
	if file, err = json.Marshal(k); err != nil {
		t.Fatal(err)
	}
	b.write(filepath.Join(kit, catalog.KitName), file)
	code, out, errs := installOn(t, b.dir, kit, "--yes")
	if code != ExitRestart || errs != "" {
		t.Fatalf("it ends with %d:\n%s%s", code, out, errs)
	}
	holds(t, out, "an image, which bears no signature of its own", "Windows11.0-KB5999123-x64.cab, DesktopDeployment.cab in it: signed by Microsoft Windows", "run dism", "brings build 22631.9374")
	b.restart()
	if code, out = resumeOn(t, b.dir); code != ExitHealthy || b.build() != "22631.9374" {
		t.Errorf("after the restart it ends with %d, build %s:\n%s", code, b.build(), out)
	}
}

// What an installer ends with is told with what to do next, and nothing is claimed.
func TestCatalogInstallFails(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings map[string]string
		list     []lab.UpdatePackage
		code     int
		says     []string
	}{
		{"a damaged store", map[string]string{"state/component-store": "damaged"}, []lab.UpdatePackage{rollup}, ExitProblems, []string{"the component store is damaged (0x80073712)", "updoc repair-store"}},
		{"its servicing stack is missing", map[string]string{"state/needs-stack/kb5999123": "9374"}, []lab.UpdatePackage{rollup}, ExitProblems, []string{"needs a newer servicing stack first (0x800F0823)"}},
		{"the stack comes after it in the kit", map[string]string{"state/needs-stack/kb5999123": "9374"}, []lab.UpdatePackage{rollup, stack}, ExitRestart, nil},
		{"the first fails", map[string]string{"state/results/kb5999125": "0x800F0922"}, []lab.UpdatePackage{feature, rollup}, ExitProblems, []string{"KB5999125 was staged and could not be made final (0x800F0922)", "KB5999123 was not begun"}},
		{"it does not apply after all", map[string]string{"state/results/kb5999125": "0x80240017"}, []lab.UpdatePackage{feature}, ExitProblems, []string{"KB5999125 does not apply to this Windows (0x80240017)"}},
		{"another installation is at work", map[string]string{"state/installer-busy": "yes"}, []lab.UpdatePackage{feature}, ExitRestart, nil},
		{"for another Windows", nil, []lab.UpdatePackage{foreign}, ExitProblems, []string{"not installed: It is for Windows of build 19041, and this machine has 22631"}},
		{"one fits and one does not", nil, []lab.UpdatePackage{foreign, feature}, ExitHealthy, []string{"not installed: It is for Windows of build 19041", "KB5999125 was installed."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, c.settings)
			code, out, errs := installOn(t, b.dir, b.kit(c.list...), "--yes")
			if code != c.code || errs != "" {
				t.Fatalf("it ends with %d, want %d:\n%s%s", code, c.code, out, errs)
			}
			holds(t, out, c.says...)
			if c.code != ExitRestart && len(b.left()) != 0 {
				t.Errorf("left are %v", b.left())
			}
			if c.code != ExitRestart {
				return
			}
			for range 3 {
				b.restart()
				if code, out = resumeOn(t, b.dir); code != ExitRestart {
					break
				}
			}
			if code != ExitHealthy || len(b.left()) != 0 {
				t.Errorf("after restarts it ends with %d; left are %v:\n%s", code, b.left(), out)
			}
		})
	}
}

// A package that is not what it should be is refused by name before anything is
// changed.
func TestCatalogInstallRefuses(t *testing.T) {
	b := newBench(t, nil)
	file := func(kit string) string {
		return filepath.Join(kit, "KB5999123", "windows10.0-kb5999123-x64.msu")
	}
	change := func(f func([]byte) []byte) func(string) {
		return func(kit string) {
			data, err := os.ReadFile(file(kit))
			if err != nil {
				t.Fatal(err)
			}
			b.write(file(kit), f(data))
		}
	}
	for _, c := range []struct {
		name   string
		change func(kit string)
		code   int
		says   []string
	}{
		{"a flipped byte", change(func(d []byte) []byte { d[len(d)/2] ^= 1; return d }), ExitBroken, []string{"windows10.0-kb5999123-x64.msu: the file is not the one that was asked for: its SHA-256 is", "hint: nothing was changed"}},
		{"an older update", func(kit string) {
			old := rollup
			old.KB, old.Version = "KB5998000", "22631.2000.1.1"
			data, err := old.MSU(b.p)
			if err != nil {
				t.Fatal(err)
			}
			b.write(file(kit), data)
		}, ExitBroken, []string{"it is KB5998000 (build 22631.2000), signed by Microsoft Windows"}},
		{"a missing file", func(kit string) { os.Remove(file(kit)) }, ExitBroken, []string{"windows10.0-kb5999123-x64.msu: it is missing"}},
		{"a kit.json that is none", func(kit string) { b.write(filepath.Join(kit, catalog.KitName), []byte("{}")) }, ExitUsage, []string{"not a kit of updoc"}},
		{"no kit", func(kit string) { os.RemoveAll(kit) }, ExitUsage, []string{"hint: name the folder of a kit"}},
	} {
		kit := b.kit(rollup)
		c.change(kit)
		code, out, errs := installOn(t, b.dir, kit, "--yes")
		if code != c.code || !strings.HasPrefix(errs, "updoc: error: ") || len(b.runs()) != 0 || len(b.left()) != 0 {
			t.Errorf("%s: it ends with %d:\n%s%s", c.name, code, out, errs)
		}
		holds(t, errs, c.says...)
	}
	// Signed by somebody whom this machine does not know.
	stranger := newBench(t, nil)
	code, _, errs := installOn(t, b.dir, stranger.kit(rollup), "--yes")
	if code != ExitBroken || !strings.Contains(errs, "does not lead to a trusted root") {
		t.Errorf("a stranger's package: %d, %s", code, errs)
	}
}

func TestCatalogInstallJSON(t *testing.T) {
	b := newBench(t, nil)
	code, out, errs := installOn(t, b.dir, b.kit(feature), "--yes", "--format", "json")
	if code != ExitHealthy || errs != "" {
		t.Fatalf("it ends with %d:\n%s%s", code, out, errs)
	}
	var kinds []string
	for line := range strings.Lines(out) {
		var e struct {
			Kind    string `json:"kind"`
			Result  string `json:"result"`
			Fits    bool   `json:"fits"`
			Package struct {
				Identity string `json:"identity"`
			} `json:"package"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		kinds = append(kinds, e.Kind)
		if e.Kind == "package" && (!e.Fits || e.Package.Identity != feature.Identity()) || e.Kind == "result" && e.Result != "cured" {
			t.Errorf("%s", line)
		}
	}
	if len(kinds) < 4 || kinds[0] != "package" || kinds[1] != "plan" || !slices.Contains(kinds, "result") {
		t.Errorf("%v", kinds)
	}
}

// The power goes at every point of an installation: in the middle of a package, of the
// restart's work, of a write of the journal. Gone on with, both packages are installed,
// and that is proved.
func TestCatalogInstallKilled(t *testing.T) {
	b := newBench(t, map[string]string{"state/needs-stack/kb5999123": "9374"})
	in := repair.Install{}
	m := opened(t, b.dir)
	for i, u := range []lab.UpdatePackage{stack, rollup} {
		data, err := u.MSU(b.p)
		if err != nil {
			t.Fatal(err)
		}
		file := fmt.Sprintf(`%s\run-1\%d\windows10.0-%s-x64.msu`, packagesFolder, i+1, strings.ToLower(u.KB))
		b.write(m.Place(file), data)
		p := repair.InstallPackage{File: file, Identity: u.Identity(), Title: u.KB, Stack: u.KB == stack.KB}
		if u.KB == rollup.KB {
			p.Build = "22631.9374"
		}
		in.Packages = append(in.Packages, p)
	}
	machine, err := m.Machine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan, _, err := repair.InstallPlan(&facts.Facts{Machine: machine}, in, "run-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	kills := 0
	for at := 1; ; at++ {
		if at > 200 {
			t.Fatal("it never ends")
		}
		dir := copyPC(t, b.dir)
		p, points, hit := opened(t, dir), 0, false
		p.Crash = func(string) {
			if points++; points == at {
				panic(errPower)
			}
		}
		run := func(p labPatient, plan *repair.Plan, undo bool) (res repair.Result, err error) {
			defer func() {
				if x := recover(); x != nil {
					if x != any(errPower) {
						panic(x)
					}
					err = errPower
				}
			}()
			state := filepath.Join(dir, "updoc", plan.Run)
			j, err := repair.OpenJournal(durable.OS{}, state)
			if errors.Is(err, fs.ErrNotExist) {
				j, err = repair.CreateJournal(durable.OS{}, state, plan, p.Now())
			}
			if err != nil {
				return "", err
			}
			r := runnerFor(p, j)
			r.Agent = j.Plan().Proved(p, p)
			r.Approve = func(context.Context, repair.Treatment) (bool, error) { return true, nil }
			if undo {
				u, err := r.Undo(t.Context())
				if len(u.Conflicts) > 0 {
					err = errors.Join(err, fmt.Errorf("conflicts: %+v", u.Conflicts))
				}
				return repair.Stopped, err
			}
			for {
				if res, err = r.Run(t.Context()); res != repair.Restart || err != nil {
					return res, err
				}
				if err := p.Restart(); err != nil {
					return "", err
				}
			}
		}
		res, err := run(p, plan, false)
		if errors.Is(err, errPower) {
			hit = true
			kills++
			p = opened(t, dir) // what the process knew is gone
			next := plan
			if at%2 == 0 { // taken back, and begun anew: what was half done is in nobody's way
				if _, err := run(p, plan, true); err != nil {
					t.Fatalf("killed at %d, its undo: %v", at, err)
				}
				again := *plan
				again.Run = "run-2"
				next = &again
			}
			res, err = run(p, next, false)
		}
		info, ierr := p.Machine(t.Context())
		if err != nil || ierr != nil || res != repair.Cured || info.Build != "22631.9374" {
			t.Fatalf("killed at %d (%v): it ends %q with build %s, %v, %v", at, hit, res, info.Build, err, ierr)
		}
		for _, x := range in.Packages {
			s, err := x.Look(t.Context(), p)
			if err != nil || s.State != host.PackageInstalled {
				t.Fatalf("killed at %d: %s is %s, %v", at, x.Title, s.State, err)
			}
		}
		if !hit {
			break
		}
	}
	if kills < 5 {
		t.Errorf("only %d points", kills)
	}
}
