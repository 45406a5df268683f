package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/host/hosttest"
	"updoc/internal/lab"
	"updoc/internal/repair"
)

// shippedHive is HKLM\SYSTEM as Windows is shipped, as far as services of updating go.
func shippedHive() []byte {
	service := func(name, file, display string) hosttest.HiveKey {
		return hosttest.HiveKey{
			Name: name,
			Values: []hosttest.Value{
				{Name: "Type", Number: 0x20},
				{Name: "Start", Number: 3},
				{Name: "ErrorControl", Number: 1},
				{Name: "ObjectName", Text: "LocalSystem"},
				{Name: "ImagePath", Text: `%systemroot%\system32\svchost.exe -k netsvcs -p`},
				{Name: "DisplayName", Text: display},
			},
			Keys: []hosttest.HiveKey{{Name: "Parameters", Values: []hosttest.Value{{Name: "ServiceDll", Text: `%systemroot%\system32\` + file}}}},
		}
	}
	return hosttest.Hive(hosttest.HiveKey{Keys: []hosttest.HiveKey{
		{Name: "Select", Values: []hosttest.Value{{Name: "Current", Number: 1}}},
		{Name: "ControlSet001", Keys: []hosttest.HiveKey{{Name: "Services", Keys: []hosttest.HiveKey{
			service("BITS", "qmgr.dll", `@%SystemRoot%\system32\qmgr.dll,-1000`), service("wuauserv", "wuaueng.dll", `@%systemroot%\system32\wuaueng.dll,-105`),
		}}}},
	}})
}

// TestFixFromAnImage: services that are gone, and of which the machine keeps no copy, come
// from the image of its own Windows; another Windows is refused by what it lacks; the undo
// takes them away again.
func TestFixFromAnImage(t *testing.T) {
	hive := lab.Packed{Name: `Windows\System32\config\SYSTEM`, Data: shippedHive()}
	media := func(build string, editions ...string) lab.MediaSpec {
		return lab.MediaSpec{Editions: editions, Language: "en-US", Build: build}
	}
	good := media("22631.2861", "Core", "Professional")
	arm := good
	arm.Arch = "arm64"
	esd := good.Install(hive)
	esd[18] = 0x08 // LZMS, as the Media Creation Tool brings it
	for _, tt := range []struct {
		name, source string
		file         []byte
		code         int
		stderr       string // ids are English: what is told of an image that does not do
	}{
		{"an ISO file", `D:\windows.iso`, good.Disc(hive), ExitProblems, ""},
		{"an image", `D:\install.wim`, good.Install(hive), ExitProblems, ""},
		{"the index of it", `D:\install.wim:2`, good.Install(hive), ExitProblems, ""},
		{"the build before the enablement package", `D:\install.wim`, media("22621.1", "Professional").Install(hive), ExitProblems, ""},
		{"another index", `D:\install.wim:1`, good.Install(hive), ExitUsage, "Core"},
		{"another build", `D:\install.wim`, media("26100.1", "Professional").Install(hive), ExitUsage, "26100.1"},
		{"another edition", `D:\install.wim`, media("22631.2861", "Core").Install(hive), ExitUsage, "Core"},
		{"another processor", `D:\install.wim`, arm.Install(hive), ExitUsage, "arm64"},
		{"packed in another way", `D:\install.esd`, esd, ExitUnknown, "/Export-Image"},
		{"no such file", `D:\install.wim`, nil, ExitUsage, "there is no"},
		{"an image without a registry", `D:\install.wim`, good.Install(), ExitUnknown, "SYSTEM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, dir := sickPC(t, "treat-services-deleted")
			forgetShadow(t, dir)
			if tt.file != nil {
				name, _, _ := strings.Cut(strings.TrimPrefix(tt.source, `D:\`), ":")
				if err := os.MkdirAll(filepath.Join(dir, "files", "D"), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "files", "D", name), tt.file, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			p := opened(t, dir)
			before := snapshot(t, p)
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			var out, errs bytes.Buffer
			run := func(args ...string) int {
				out.Reset()
				errs.Reset()
				env := Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, GOOS: "linux", Version: "test", Getenv: func(string) string { return "" }}
				return Run(t.Context(), env, append(args, "--lab", dir))
			}
			if code := run("fix", "--plan", "--no-network", "--source", tt.source); code != tt.code || !strings.Contains(errs.String(), tt.stderr) {
				t.Fatalf("exit code %d, want %d\n%s%s", code, tt.code, &out, &errs)
			}
			if tt.code == ExitProblems {
				if !strings.Contains(out.String(), "as Windows is shipped") {
					t.Errorf("where they are from is not said:\n%s", &out)
				}
				env := Env{Stdout: &out, Stderr: &errs, GOOS: "linux", Version: "test", Getenv: func(string) string { return "" }}
				tr := treating{lab: dir, format: "text", blind: true}
				p, state, err := tr.patient(t.Context(), &env)
				if err != nil {
					t.Fatal(err)
				}
				how := fixing{maxRisk: repair.RiskRestart, source: tt.source}
				x, err := examine(t.Context(), p, how.maxRisk, true, env.progress())
				if err == nil {
					err = x.shipped(t.Context(), &env, p, tr.place, how)
				}
				if err == nil {
					err = tr.begin(t.Context(), &env, p, state, x.plan, &asker{env: &env, in: bufio.NewReader(strings.NewReader("y\ny\n")), here: true})
				}
				if err := errors.Join(err, p.Close()); err != nil || !strings.Contains(out.String(), "Cured") {
					t.Fatalf("%v\n%s%s", err, &out, &errs)
				}
				if code := run("undo"); code != ExitHealthy {
					t.Fatalf("undo: %d\n%s%s", code, &out, &errs)
				}
			}
			after := snapshot(t, opened(t, dir))
			for k := range after { // what the tries wrote
				if strings.HasSuffix(k, ".log") || strings.Contains(k, "updoc") {
					delete(after, k)
					delete(before, k)
				}
			}
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("after the undo (-before +after):\n%s", diff)
			}
		})
	}
}

// forgetShadow takes the shadow copy of a machine away.
func forgetShadow(t *testing.T, dir string) {
	t.Helper()
	name := filepath.Join(dir, "machine.json")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	delete(all, "shadow")
	if b, err = json.Marshal(all); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFixAsksForAnImage: where the plan could do more with an image, a person at a terminal
// is asked for one, and again for what does not do; nobody else is.
func TestFixAsksForAnImage(t *testing.T) {
	good := lab.MediaSpec{Editions: []string{"Core", "Professional"}, Language: "en-US", Build: "22631.2861"}
	_, dir := sickPC(t, "treat-services-deleted")
	forgetShadow(t, dir)
	if err := os.MkdirAll(filepath.Join(dir, "files", "D"), 0o700); err != nil {
		t.Fatal(err)
	}
	image := good.Install(lab.Packed{Name: `Windows\System32\config\SYSTEM`, Data: shippedHive()})
	if err := os.WriteFile(filepath.Join(dir, "files", "D", "install.wim"), image, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	env := Env{Stdout: &out, Stderr: &errs, GOOS: "linux", Version: "test", Getenv: func(string) string { return "" }}
	tr := treating{lab: dir, format: "text", blind: true}
	p, _, err := tr.patient(t.Context(), &env)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, tt := range []struct {
		typed  string
		here   bool
		wants  bool   // an image still
		stderr string // what was wrong with what was typed
	}{
		{"D:\\nothing.iso\n\"D:\\install.wim\"\n", true, false, "there is no"},
		{"\n", true, true, ""},
		{"D:\\install.wim\n", false, true, ""},
	} {
		out.Reset()
		errs.Reset()
		how := fixing{maxRisk: repair.RiskRestart}
		x, err := examine(t.Context(), p, how.maxRisk, true, env.progress())
		if err == nil && !x.plan.WantsImage() {
			t.Fatal("nothing is asked for")
		}
		if err == nil {
			err = x.askSource(t.Context(), &env, p, tr.place, how, &asker{env: &env, in: bufio.NewReader(strings.NewReader(tt.typed)), here: tt.here})
		}
		if err != nil || x.plan.WantsImage() != tt.wants || !strings.Contains(errs.String(), tt.stderr) || strings.Contains(out.String(), "microsoft.com/software-download") != tt.here {
			t.Errorf("%q: %v, wants one still: %v\n%s%s", tt.typed, err, x.plan.WantsImage(), &out, &errs)
		}
	}
}
