package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"updoc/internal/durable"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/isolate"
	"updoc/internal/lab"
	"updoc/internal/redact"
	"updoc/internal/repair"
)

// crowdedPC makes the machine of a scenario on which entries of the given numbers are in
// the way, and lets it fail.
func crowdedPC(t testing.TB, entries int, breaks ...[]int) string {
	t.Helper()
	s, err := lab.Load("isolate-service")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Crowd(entries, breaks...); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m, err := lab.NewMachine(dir, s)
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.Try(t.Context(), host.Attempt{Stage: "scan"})
	if err != nil || out.Result.String() != s.Cure.Result {
		t.Fatalf("its scan ends with %v, %v", out.Result, err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// isolation plans a search on a machine, as the command does.
func isolation(t testing.TB, p labPatient) *repair.Plan {
	t.Helper()
	x, err := examine(t.Context(), p, repair.RiskRestart, true, (&Env{}).progress())
	if err != nil {
		t.Fatal(err)
	}
	plan, why := repair.One(x.facts, x.diagnosis, isolateRemedy, repair.Options{Run: x.plan.Run})
	if why.ID != "" || plan.Treatments[0].Course == nil {
		t.Fatalf("no search: %+v", why)
	}
	plan.Treatments[0].How = repair.Automatic
	return plan
}

// blamed is what a finished run names, with the entries that fail together joined.
func blamed(t testing.TB, j *repair.Journal) []string {
	t.Helper()
	var out []string
	for _, told := range j.Story() {
		for _, l := range told.Lines {
			switch {
			case l.ID == "isolate.blame" || l.ID == "isolate.conflict":
				out = append(out, "")
			case strings.HasPrefix(l.ID, "isolate.culprit."):
				name := l.Args["name"]
				if l.Args["kind"] == "service" { // by its name, not by what people see
					_, n, _ := strings.Cut(name, " part ")
					name = "Service" + n
				}
				if out[len(out)-1] != "" {
					name = out[len(out)-1] + "+" + name
				}
				out[len(out)-1] = name
			}
		}
	}
	slices.Sort(out)
	return out
}

// TestIsolate: whichever of two hundred programs is in the way, it is named, and the
// machine is as before.
func TestIsolate(t *testing.T) {
	for _, tt := range []struct {
		entries int
		breaks  [][]int
	}{
		{200, [][]int{{2}}},
		{80, [][]int{{79}}},
		{40, [][]int{{17}}},
		{40, [][]int{{30}}},
		{40, [][]int{{11}, {14}}},
		{40, [][]int{{31, 7}}},
		{40, [][]int{{}}}, // nothing that starts with Windows is to blame
	} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			t.Parallel()
			breaks := tt.breaks
			dir := crowdedPC(t, tt.entries, breaks...)
			p := opened(t, dir)
			before := snapshot(t, p)
			plan := isolation(t, p)
			names := entryNames(t, plan)
			j, err := repair.CreateJournal(durable.OS{}, filepath.Join(dir, "updoc", plan.Run), plan, p.Now())
			if err != nil {
				t.Fatal(err)
			}
			r := guardedRunner(p, dir, j)
			res, err := r.Run(t.Context())
			restarts := 0
			for res == repair.Restart && err == nil {
				if g, err := p.Guarded(); err != nil || g.Run != plan.Run {
					t.Fatalf("nobody stands guard: %+v, %v", g, err)
				}
				restarts++
				if err := p.Restart(); err != nil {
					t.Fatal(err)
				}
				res, err = r.Run(t.Context())
			}
			want := repair.Shown
			var culprits []string
			for _, together := range breaks {
				var list []string
				for _, n := range together {
					list = append(list, names[n])
				}
				slices.Sort(list)
				culprits = append(culprits, strings.Join(list, "+"))
			}
			if len(breaks[0]) == 0 {
				want, culprits = repair.NotCured, nil
			}
			slices.Sort(culprits)
			got := blamed(t, j)
			for i := range got {
				list := strings.Split(got[i], "+")
				slices.Sort(list)
				got[i] = strings.Join(list, "+")
			}
			slices.Sort(got)
			if err != nil || res != want || !slices.Equal(got, culprits) {
				t.Errorf("%s, %v, blames %q, want %q", res, err, got, culprits)
			}
			if d := differ(before, snapshot(t, p)); len(d) > 0 {
				t.Errorf("after the search:\n%s", strings.Join(d, "\n"))
			}
			if _, err := p.Guarded(); !errors.Is(err, host.ErrNotExist) {
				t.Errorf("the guard stands still: %v", err)
			}
			t.Logf("%d restarts, %d entries of the journal", restarts, len(j.Entries()))
		})
	}
}

// entryNames are the names of the invented entries, by their numbers.
func entryNames(t testing.TB, plan *repair.Plan) map[int]string {
	t.Helper()
	var d isolate.Data
	if err := json.Unmarshal(plan.Treatments[0].Course.Data, &d); err != nil {
		t.Fatal(err)
	}
	out := map[int]string{}
	for _, e := range d.Entries {
		n := 0
		if _, err := fmt.Sscanf(e.Name[strings.IndexAny(e.Name, "0123456789"):], "%d", &n); err != nil {
			t.Fatal(err)
		}
		if i := strings.LastIndex(e.Name, "Task"); i >= 0 {
			_, _ = fmt.Sscanf(e.Name[i:], "Task%d", &n)
		}
		out[n] = e.Name
	}
	return out
}

// guardedRunner is a runner with what is done around it.
func guardedRunner(p labPatient, dir string, j *repair.Journal) *repair.Runner {
	r := runnerFor(p, j)
	attendance{&Env{Stderr: &bytes.Buffer{}}, p, filepath.Join(dir, "updoc"), ""}.attend(r)
	return r
}

// runLine runs a command on a simulated machine.
func runLine(t testing.TB, dir string, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	env := Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }, GOOS: "linux", Sleep: noSleep}
	return Run(t.Context(), env, append(args, "--lab", dir)), out.String()
}

// TestIsolateCommand: the whole command, with restarts in between.
func TestIsolateCommand(t *testing.T) {
	dir := crowdedPC(t, 60, []int{17})
	code, out := runLine(t, dir, "isolate", "--list")
	if code != ExitHealthy || !strings.Contains(out, "May be switched off for the search, the likeliest first: 60") || !strings.Contains(out, "Maker 0") {
		t.Errorf("list: exit code %d\n%.2000s", code, out)
	}
	code, out = runLine(t, dir, "isolate", "--list", "--format", "json")
	var listed stock
	if err := json.Unmarshal([]byte(out), &listed); code != ExitHealthy || err != nil || !listed.Trusted || len(listed.Entries) < 80 {
		t.Errorf("list: exit code %d, %v, %d entries", code, err, len(listed.Entries))
	}
	if code, out := runLine(t, dir, "isolate", "--plan", "--no-network"); code != ExitHealthy || !strings.Contains(out, "60") {
		t.Errorf("plan: exit code %d\n%s", code, out)
	}
	if code, out := runLine(t, dir, "isolate", "--no-network"); code != ExitUsage {
		t.Errorf("nobody agrees: exit code %d\n%s", code, out)
	}
	code, out = runLine(t, dir, "isolate", "--yes", "--no-network")
	for n := 0; code == ExitRestart && n < 30; n++ {
		m, err := lab.OpenMachine(dir)
		if err != nil {
			t.Fatal(err)
		}
		task, err := m.Scheduled(t.Context(), host.TaskResume)
		if err != nil || !task.AtStart {
			t.Fatalf("it does not go on by itself: %+v, %v", task, err)
		}
		if err := errors.Join(m.Restart(), m.Close()); err != nil {
			t.Fatal(err)
		}
		code, out = runLine(t, dir, "resume", "--at-start")
	}
	if code != ExitProblems || !strings.Contains(out, "breaks updating") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	for _, bad := range [][]string{{"isolate", "--max-restarts", "-1"}, {"isolate", "--from", "x"}, {"isolate", "--format", "html"}, {"stand-guard", "../x"}} {
		if code, out := runLine(t, dir, bad...); code != ExitUsage || !strings.Contains(out, "updoc: hint:") {
			t.Errorf("%v: exit code %d\n%s", bad, code, out)
		}
	}
	other := t.TempDir() // a machine that was not asked
	s, err := lab.Load("treat-hosts-blocked")
	if err != nil {
		t.Fatal(err)
	}
	m, err := lab.NewMachine(other, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if code, out := runLine(t, other, "isolate", "--list"); code != ExitUnknown {
		t.Errorf("not recorded: exit code %d\n%s", code, out)
	}
}

// signedIn is a machine on which somebody's name and password stand among what starts.
type signedIn struct{ labPatient }

const plantedUser, plantedPassword = "gwendolyn.okafor", "Tr0ub4dor-and-3"

func (p signedIn) Ask(ctx context.Context, q host.Question) (host.Answer, error) {
	a, err := p.labPatient.Ask(ctx, q)
	if err != nil || q.Name != host.AskStartup {
		return a, err
	}
	var s host.Startup
	if err := json.Unmarshal(a.JSON, &s); err != nil {
		return a, err
	}
	file := `C:\Users\` + plantedUser + `\AppData\Local\Fabrikam\sync.exe`
	s.Entries = append(s.Entries, host.StartupEntry{
		Kind: host.StartRun, Name: "Fabrikam Sync", Where: `HKCU\Software\Microsoft\Windows\CurrentVersion\Run`, Start: -1, On: true,
		Command: `"` + file + `" --user ` + plantedUser + ` --password ` + plantedPassword, File: file, Program: host.Program{Signed: host.SignedInside, Signer: "Fabrikam", Owner: "Fabrikam"},
	})
	a.JSON, err = json.Marshal(s)
	return a, err
}

// TestIsolateList: what starts with a machine is in its bundle without its people, and
// listed from there as from the machine.
func TestIsolateList(t *testing.T) {
	p := opened(t, crowdedPC(t, 60, []int{17}))
	rec := &host.Record{Reader: signedIn{p}}
	if _, err := rec.Ask(t.Context(), host.Question{Name: host.AskStartup}); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "bundle.zip")
	f, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	_, err = rec.Write(t.Context(), f, host.WriteOptions{Redactor: &redact.Redactor{Key: []byte("x")}})
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	var out, plain bytes.Buffer
	env := Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }, GOOS: "linux"}
	if code := Run(t.Context(), env, []string{"isolate", "--list", "--format", "json", "--from", to}); code != ExitHealthy {
		t.Fatalf("exit code %d\n%s", code, out.String())
	}
	for _, secret := range []string{plantedUser, plantedPassword} {
		if i := strings.Index(strings.ToLower(out.String()), strings.ToLower(secret)); i >= 0 {
			t.Errorf("%s is in the bundle: %.200s", secret, out.String()[max(0, i-100):])
		}
	}
	var listed, live stock
	if err := json.Unmarshal(out.Bytes(), &listed); err != nil {
		t.Fatal(err)
	}
	env.Stdout = &plain
	i := isolating{list: true}
	i.format = "json"
	if err := i.listOf(t.Context(), &env, signedIn{p}); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(plain.Bytes(), &live); err != nil {
		t.Fatal(err)
	}
	kept := func(s stock) (out []string) {
		for _, e := range s.Entries {
			out = append(out, e.Kind+" "+e.Keep)
		}
		return out
	}
	if !slices.Equal(kept(listed), kept(live)) || !listed.Trusted {
		t.Error("what is kept is another from the bundle")
	}
}

// livePC is what another machine recorded, as if it were read from a live one: what
// takes long is asked of it only where somebody needs it.
type livePC struct {
	host.Reader
	startup host.Reader // answers what starts with it
	asked   *int
	fail    error
}

func (p livePC) Machine(ctx context.Context) (host.Machine, error) {
	m, err := p.Reader.Machine(ctx)
	m.Source = "live"
	return m, err
}

func (p livePC) Ask(ctx context.Context, q host.Question) (host.Answer, error) {
	if q.Name != host.AskStartup {
		return p.Reader.Ask(ctx, q)
	}
	if *p.asked++; p.fail != nil {
		return host.Answer{}, p.fail
	}
	return p.startup.Ask(ctx, q)
}

// TestFixStocks: what starts with a live machine is asked for where a search is in the
// plan, once, and nowhere else; what cannot be found out stays unknown.
func TestFixStocks(t *testing.T) {
	_, dir := sickPC(t, "isolate-service")
	crowded := opened(t, dir)
	for name, tt := range map[string]struct {
		scenario string
		fail     error
		asked    int
		course   bool // the plan holds the search itself
	}{
		"a program is in the way":  {"third-party-software-conflict", nil, 1, true},
		"it cannot be found out":   {"third-party-software-conflict", host.ErrDenied, 1, false},
		"something else is broken": {"proxy-auth-required", nil, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := lab.Load(tt.scenario)
			if err != nil {
				t.Fatal(err)
			}
			bundle := t.TempDir()
			if err := os.CopyFS(bundle, s.Evidence); err != nil {
				t.Fatal(err)
			}
			rec, err := host.OpenRecorded(t.Context(), bundle)
			if err != nil {
				t.Fatal(err)
			}
			defer rec.Close()
			asked := 0
			p := livePC{rec, crowded, &asked, tt.fail}
			x, err := examine(t.Context(), p, repair.RiskRestart, true, (&Env{}).progress())
			if err != nil {
				t.Fatal(err)
			}
			if asked != 0 || x.facts.Startup.State != facts.Unknown {
				t.Fatalf("asked %d times before there is a plan, %v", asked, x.facts.Startup.State)
			}
			run := x.plan.Run
			if err := x.stock(t.Context(), p, repair.RiskRestart, (&Env{}).progress()); err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(x.plan.Treatments, func(t repair.Treatment) bool { return t.ID == isolateRemedy })
			if course := i >= 0 && x.plan.Treatments[i].Course != nil; asked != tt.asked || course != tt.course || x.plan.Run != run {
				t.Errorf("asked %d times, a search: %v, run %s", asked, course, x.plan.Run)
			}
			if tt.fail != nil && (i < 0 || x.facts.Startup.State != facts.Unknown || x.plan.Treatments[i].Lead[0].ID != "isolate.not-stocked") {
				t.Errorf("a person is not led: %+v", x.plan.Treatments)
			}
		})
	}
}
