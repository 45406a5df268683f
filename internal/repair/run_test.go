package repair_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"updoc/internal/codes"
	"updoc/internal/durable"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/procedure"
	"updoc/internal/repair"
	"updoc/internal/winlog"
)

// blank is a machine on which nothing is.
type blank struct{ host.Reader }

func (blank) Machine(context.Context) (host.Machine, error) {
	return host.Machine{Source: "lab"}, nil
}

func (blank) Key(_ context.Context, p string) (host.Key, error) {
	if !strings.Contains(p, `\`) {
		return host.Key{Path: p}, nil // a root is always there
	}
	return host.Key{}, host.ErrNotExist
}

func (blank) Ask(context.Context, host.Question) (host.Answer, error) {
	return host.Answer{}, host.ErrNotRecorded
}

func (blank) Files(context.Context, string) ([]host.File, error) { return nil, nil }

func (blank) Service(_ context.Context, name string) (host.Service, error) {
	if name == "missing" {
		return host.Service{}, host.ErrNotExist
	}
	return host.Service{Name: name, State: 4, Start: 2}, nil
}

func machine() *host.Overlay {
	o := host.NewOverlay(blank{})
	o.Strict = true
	return o
}

// agent answers with its results in turn, the last for good.
type agent struct {
	results []codes.HRESULT
	tried   []host.Attempt
}

func (a *agent) Try(_ context.Context, at host.Attempt) (host.Outcome, error) {
	a.tried = append(a.tried, at)
	r := a.results[0]
	if len(a.results) > 1 {
		a.results = a.results[1:]
	}
	return host.Outcome{Result: r, Stage: at.Stage}, nil
}

var noon = time.Date(2031, 2, 3, 12, 0, 0, 0, time.UTC)

// runner begins a run of the plan on a disk.
func runner(t testing.TB, h host.Host, a host.Agent, disk durable.FS, treatments ...repair.Treatment) *repair.Runner {
	t.Helper()
	p := &repair.Plan{Schema: repair.Schema, Run: "r1", Treatments: treatments}
	p.Failure = repair.Failure{Code: 0x80070422, Stage: facts.StageScan}
	j, err := repair.CreateJournal(disk, "state/r1", p, noon)
	if err != nil {
		t.Fatal(err)
	}
	return &repair.Runner{Host: h, Agent: a, Journal: j, Now: func() time.Time { return noon }}
}

func automatic(id string, changes ...host.Change) repair.Treatment {
	t := repair.Treatment{ID: id, Risk: repair.RiskReversible, How: repair.Automatic}
	for _, c := range changes {
		t.Steps = append(t.Steps, repair.Step{Change: c})
	}
	return t
}

func dword(n byte) winlog.RegValue {
	return winlog.RegValue{Type: winlog.RegDWord, Data: []byte{n, 0, 0, 0}}
}

const policies = `HKLM\SOFTWARE\Fabrikam\Policies`

func kinds(j *repair.Journal) string {
	var out []string
	for _, e := range j.Entries() {
		out = append(out, string(e.Kind))
	}
	return strings.Join(out, " ")
}

// value is a registry value of the machine as text; "-" if there is none.
func value(t testing.TB, h host.Reader, key, name string) string {
	t.Helper()
	k, err := h.Key(t.Context(), key)
	if errors.Is(err, host.ErrNotExist) {
		return "no key"
	}
	if err != nil {
		t.Fatal(err)
	}
	v, ok := k.Value(name)
	if !ok {
		return "-"
	}
	return fmt.Sprint(v.Data)
}

func TestRunStopsAtTheCure(t *testing.T) {
	h, a := machine(), &agent{results: []codes.HRESULT{0x80070422, 0}}
	r := runner(t, h, a, durable.NewLossy(1),
		automatic("flush-dns-cache", host.Set(policies, "A", dword(1))),
		automatic("sync-clock", host.Set(policies, "B", dword(2))),
		automatic("rename-datastore", host.Set(policies, "C", dword(3))))
	res, err := r.Run(t.Context())
	if err != nil || res != repair.Cured {
		t.Fatalf("%s, %v", res, err)
	}
	if got := value(t, h, policies, "B") + value(t, h, policies, "C"); got != "[2 0 0 0]-" {
		t.Errorf("the third treatment was made after the second had cured: %s", got)
	}
	if want := "plan begin done treated tried begin done treated tried end"; kinds(r.Journal) != want {
		t.Errorf("journal: %s, want %s", kinds(r.Journal), want)
	}
	if len(a.tried) != 2 || a.tried[0].Stage != "scan" {
		t.Errorf("tried %v", a.tried)
	}
	u, err := r.Undo(t.Context())
	if err != nil || u.Back != 2 || len(u.Conflicts) != 0 {
		t.Errorf("undo: %+v, %v", u, err)
	}
	if got := value(t, h, policies, "A"); got != "no key" {
		t.Errorf("after undo: %s", got)
	}
	if u, err := r.Undo(t.Context()); err != nil || u.Back != 0 {
		t.Errorf("a second undo: %+v, %v", u, err)
	}
}

// A treatment that cannot be made in whole is taken back at once, and the run goes on.
func TestRunTakesBackHalfATreatment(t *testing.T) {
	h := machine()
	r := runner(t, h, &agent{results: []codes.HRESULT{0}}, durable.NewLossy(1),
		automatic("rename-datastore",
			host.Change{Kind: host.ServiceStop, Path: "wuauserv"},
			host.Change{Kind: host.ServiceRun, Path: "missing"}, // is not there
			host.Change{Kind: host.ServiceRun, Path: "wuauserv"}),
		automatic("sync-clock", host.Set(policies, "A", dword(1))))
	var told []repair.Event
	r.Tell = func(e repair.Event) { told = append(told, e) }
	res, err := r.Run(t.Context())
	if err != nil || res != repair.Cured {
		t.Fatalf("%s, %v", res, err)
	}
	if s, _ := h.Service(t.Context(), "wuauserv"); s.State != 4 {
		t.Errorf("the service was left in state %d", s.State)
	}
	if want := "plan begin done undoing undone failed begin done treated tried end"; kinds(r.Journal) != want {
		t.Errorf("journal: %s, want %s", kinds(r.Journal), want)
	}
	if told[4].Err == "" || told[4].Treatment != "rename-datastore" || told[4].Step != 2 {
		t.Errorf("told %+v", told[4])
	}
}

func TestRunSkipsWhatIsSo(t *testing.T) {
	h := machine()
	c := host.Set(policies, "A", dword(1))
	if err := h.Apply(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	r := runner(t, h, &agent{results: []codes.HRESULT{0x8024401B}}, durable.NewLossy(1), automatic("sync-clock", c))
	if res, err := r.Run(t.Context()); err != nil || res != repair.NotCured {
		t.Fatalf("%s, %v", res, err)
	}
	if u, err := r.Undo(t.Context()); err != nil || u.Back != 0 || value(t, h, policies, "A") != "[1 0 0 0]" {
		t.Errorf("undo took back what was so before: %+v, %v", u, err)
	}
}

func TestUndoReportsConflicts(t *testing.T) {
	h := machine()
	r := runner(t, h, &agent{results: []codes.HRESULT{0}}, durable.NewLossy(1),
		automatic("sync-clock", host.Set(policies, "A", dword(1)), host.Set(policies, "B", dword(1))))
	if _, err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Apply(t.Context(), host.Set(policies, "A", dword(9))); err != nil {
		t.Fatal(err)
	}
	u, err := r.Undo(t.Context())
	if err != nil || u.Back != 1 || len(u.Conflicts) != 1 || u.Conflicts[0].Change.Name != "A" {
		t.Errorf("%+v, %v", u, err)
	}
	if value(t, h, policies, "A") != "[9 0 0 0]" || value(t, h, policies, "B") != "-" {
		t.Errorf("A is %s, B is %s", value(t, h, policies, "A"), value(t, h, policies, "B"))
	}
}

func TestRunWaitsForTheRestart(t *testing.T) {
	h, a := machine(), &agent{results: []codes.HRESULT{0}}
	tr := automatic("raise-servicing-timeout", host.Set(policies, "A", dword(1)))
	tr.Steps[0].Restart = true
	disk := durable.NewLossy(1)
	r := runner(t, h, a, disk, tr)
	started := noon.Add(-time.Hour)
	r.Started = func(context.Context) (time.Time, error) { return started, nil }
	for range 2 {
		if res, err := r.Run(t.Context()); err != nil || res != repair.Restart {
			t.Fatalf("%s, %v", res, err)
		}
	}
	if len(a.tried) != 0 {
		t.Error("it was tried before the restart")
	}
	started = noon.Add(time.Minute)
	var err error
	if r.Journal, err = repair.OpenJournal(disk, "state/r1"); err != nil {
		t.Fatal(err)
	}
	if res, err := r.Run(t.Context()); err != nil || res != repair.Cured {
		t.Fatalf("%s, %v", res, err)
	}
	if want := "plan begin done treated restart tried end"; kinds(r.Journal) != want {
		t.Errorf("journal: %s, want %s", kinds(r.Journal), want)
	}
}

// lazy is a machine that moves what is in use with the next restart.
type lazy struct {
	*host.Overlay
	waiting []host.Change
}

func (l *lazy) Apply(ctx context.Context, c host.Change) error {
	if c.Kind == host.Move || c.Kind == host.Restore {
		l.waiting = append(l.waiting, c)
		return fmt.Errorf("%s is in use: %w", c.Path, host.ErrRestart)
	}
	return l.Overlay.Apply(ctx, c)
}

// What only a restart can move is waited for, and put back with the next one.
func TestLateChanges(t *testing.T) {
	const file = `C:\ProgramData\Fabrikam\a.txt`
	h := &lazy{Overlay: machine()}
	if err := h.Overlay.Apply(t.Context(), host.Change{Kind: host.Write, Path: file, Data: []byte("old")}); err != nil {
		t.Fatal(err)
	}
	disk, started := durable.NewLossy(1), noon.Add(-time.Hour)
	move := host.Change{Kind: host.Move, Path: file, To: file + ".updoc-r1"}
	r := runner(t, h, &agent{results: []codes.HRESULT{0}}, disk, automatic("rename-datastore", move))
	r.Started = func(context.Context) (time.Time, error) { return started, nil }
	for range 2 { // and again, as resume does before the restart
		if res, err := r.Run(t.Context()); err != nil || res != repair.Restart {
			t.Fatalf("%s, %v", res, err)
		}
	}
	if len(h.waiting) != 1 {
		t.Fatalf("asked for %d times", len(h.waiting))
	}
	if err := h.Overlay.Apply(t.Context(), h.waiting[0]); err != nil {
		t.Fatal(err)
	}
	started = noon.Add(time.Minute)
	if res, err := r.Run(t.Context()); err != nil || res != repair.Cured {
		t.Fatalf("%s, %v", res, err)
	}
	u, err := r.Undo(t.Context())
	if err != nil || !u.Restart || u.Back != 1 || len(h.waiting) != 2 || h.waiting[1].Kind != host.Restore {
		t.Errorf("%+v, %v, %v", u, err, h.waiting)
	}
}

// An install that wants a restart is proved after it, and not by its own word.
func TestInstallIsProvedAfterTheRestart(t *testing.T) {
	for _, tt := range []struct {
		after host.Outcome
		want  repair.Result
	}{
		{host.Outcome{}, repair.Cured},
		{host.Outcome{Result: 0x800F0922}, repair.NotCured},
		{host.Outcome{Restart: true}, repair.Unproven},
	} {
		disk := durable.NewLossy(1)
		p := &repair.Plan{Schema: repair.Schema, Run: "r1", Treatments: []repair.Treatment{automatic("sync-clock", host.Set(policies, "A", dword(1)))}}
		p.Failure.Stage = facts.StageInstall
		j, err := repair.CreateJournal(disk, "state/r1", p, noon)
		if err != nil {
			t.Fatal(err)
		}
		started, outcomes := noon.Add(-time.Hour), []host.Outcome{{Restart: true}, tt.after}
		r := &repair.Runner{
			Host: machine(), Journal: j, Now: func() time.Time { return noon },
			Started: func(context.Context) (time.Time, error) { return started, nil },
			Agent: agentFunc(func(a host.Attempt) host.Outcome {
				if a.Stage != "install" {
					t.Errorf("tried %s", a.Stage)
				}
				out := outcomes[0]
				outcomes = outcomes[1:]
				return out
			}),
		}
		for range 2 {
			if res, err := r.Run(t.Context()); err != nil || res != repair.Restart {
				t.Fatalf("%s, %v", res, err)
			}
		}
		started = noon.Add(time.Minute)
		if res, err := r.Run(t.Context()); err != nil || res != tt.want {
			t.Errorf("%+v: %s, %v, want %s", tt.after, res, err, tt.want)
		}
	}
}

type agentFunc func(host.Attempt) host.Outcome

func (f agentFunc) Try(_ context.Context, a host.Attempt) (host.Outcome, error) { return f(a), nil }

// An experiment is taken back when it was looked at, and shows a cause without
// being a cure; killed in between, its lease ends it.
func TestExperiment(t *testing.T) {
	tr := automatic("test-without-ipv6", host.Set(policies, "A", dword(1)))
	tr.Steps[0].Lease = 10
	t.Run("looked at", func(t *testing.T) {
		h := machine()
		r := runner(t, h, &agent{results: []codes.HRESULT{0}}, durable.NewLossy(1), tr)
		if res, err := r.Run(t.Context()); err != nil || res != repair.Shown {
			t.Fatalf("%s, %v", res, err)
		}
		if got := value(t, h, policies, "A"); got != "no key" {
			t.Errorf("it stands still: %s", got)
		}
	})
	t.Run("killed", func(t *testing.T) {
		h := machine()
		r := runner(t, h, dying{}, durable.NewLossy(1), tr)
		if err := life(func() error { _, err := r.Run(t.Context()); return err }); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		if u, err := r.Expired(t.Context()); err != nil || u.Back != 0 {
			t.Errorf("within its time: %+v, %v", u, err)
		}
		r.Now = func() time.Time { return noon.Add(11 * time.Minute) }
		if u, err := r.Expired(t.Context()); err != nil || u.Back != 1 || value(t, h, policies, "A") != "no key" {
			t.Errorf("%+v, %v", u, err)
		}
		r.Agent = &agent{results: []codes.HRESULT{0}}
		if res, err := r.Run(t.Context()); err != nil || res != repair.Left {
			t.Errorf("what was taken back is no proof: %s, %v", res, err)
		}
	})
}

var errKilled = errors.New("killed")

type dying struct{}

func (dying) Try(ctx context.Context, _ host.Attempt) (host.Outcome, error) {
	panic(errKilled)
}

// What time may cure is tried again, with pauses that grow.
func TestTriesAgain(t *testing.T) {
	tr := repair.Treatment{ID: "wait-and-retry", Risk: repair.RiskNone, How: repair.Automatic, Again: 3, Pause: 5}
	a := &agent{results: []codes.HRESULT{0x80244022, 0x80244022, 0x80244022, 0}}
	r := runner(t, machine(), a, durable.NewLossy(1), tr)
	var waited []time.Duration
	r.Sleep = func(_ context.Context, d time.Duration) error { waited = append(waited, d); return nil }
	if res, err := r.Run(t.Context()); err != nil || res != repair.Cured || fmt.Sprint(waited) != "[5m0s 10m0s 20m0s]" {
		t.Errorf("%s, %v, waited %v", res, err, waited)
	}
	a.results = []codes.HRESULT{0x80244022}
	r = runner(t, machine(), a, durable.NewLossy(1), tr)
	a.tried = nil
	r.Sleep = func(context.Context, time.Duration) error { return nil }
	if res, err := r.Run(t.Context()); err != nil || res != repair.NotCured || len(a.tried) != 4 {
		t.Errorf("%s, %v, tried %d times", res, err, len(a.tried))
	}
}

// A person's treatments wait for the person; without one they are passed over.
func TestApproval(t *testing.T) {
	guided := automatic("correct-proxy-bypass", host.Set(policies, "A", dword(1)))
	guided.How = repair.Guided
	permanent := automatic("run-sfc", host.Set(policies, "A", dword(1)))
	permanent.Risk = repair.RiskPermanent
	for _, tt := range []struct {
		tr     repair.Treatment
		answer bool
	}{{guided, false}, {guided, true}, {permanent, false}, {permanent, true}} {
		tr, answer, h := tt.tr, tt.answer, machine()
		r := runner(t, h, &agent{results: []codes.HRESULT{0}}, durable.NewLossy(1), tr)
		r.Approve = func(_ context.Context, got repair.Treatment) (bool, error) { return answer, nil }
		res, err := r.Run(t.Context())
		if want := map[bool]repair.Result{true: repair.Cured, false: repair.Left}[answer]; err != nil || res != want || (value(t, h, policies, "A") == "[1 0 0 0]") != answer {
			t.Errorf("%v: %s, %v", answer, res, err)
		}
	}
}

// Nothing is changed where the journal cannot be written.
func TestNoRoomNoChange(t *testing.T) {
	disk := durable.NewLossy(1)
	disk.Room = 200
	p := &repair.Plan{Schema: repair.Schema, Run: "r1", Treatments: []repair.Treatment{automatic("sync-clock", host.Set(policies, "A", dword(1)))}}
	if _, err := repair.CreateJournal(disk, "state/r1", p, noon); !errors.Is(err, durable.ErrFull) {
		t.Fatalf("%v", err)
	}
	disk.Room = 900 // the plan fits, its first entry does not
	h := machine()
	r := runner(t, h, nil, disk, p.Treatments...)
	if len(r.Journal.Entries()) != 1 {
		t.Fatal("no plan")
	}
	disk.Room = 1
	if _, err := r.Run(t.Context()); !errors.Is(err, durable.ErrFull) {
		t.Errorf("%v", err)
	}
	if got := value(t, h, policies, "A"); got != "no key" {
		t.Errorf("changed without a journal: %s", got)
	}
}

func TestJournalRefuses(t *testing.T) {
	disk := durable.NewLossy(1)
	r := runner(t, machine(), nil, disk, automatic("sync-clock", host.Set(policies, "A", dword(1))))
	if _, err := repair.CreateJournal(disk, "state/r1", r.Journal.Plan(), noon); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second run of the same name: %v", err)
	}
	good, err := disk.ReadFile(filepath.Join("state/r1", "journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":             "",
		"no plan":           `{"seq":1,"kind":"begin"}` + "\n",
		"a gap":             string(good) + `{"seq":3,"kind":"begin"}` + "\n" + `{"seq":4,"kind":"done"}` + "\n",
		"no JSON":           string(good) + "}\n" + `{"seq":3,"kind":"done"}` + "\n",
		"another schema":    strings.Replace(string(good), repair.Schema, "updoc.plan/9", 1),
		"a run that climbs": strings.Replace(string(good), `"run":"r1"`, `"run":"../r"`, 1),
		"servicing's key":   strings.Replace(string(good), `SOFTWARE\\Fabrikam\\Policies`, `SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\RebootPending`, 1),
		"no such remedy":    strings.Replace(string(good), "sync-clock", "format-disk", 1),
	} {
		if err := durable.WriteFile(disk, "state/r2/journal.jsonl", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if text == string(good) {
			t.Fatalf("%s: nothing was replaced", name)
		}
		if _, err := repair.OpenJournal(disk, "state/r2"); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// mortal is a machine that dies at a given point: before or after the change of
// that number.
type mortal struct {
	*host.Overlay
	calls, at int
	after     bool
	fails     func(call int) bool // changes that are made by half and fail
}

func (m *mortal) Apply(ctx context.Context, c host.Change) error {
	m.calls++
	if m.calls == m.at && !m.after {
		panic(errKilled)
	}
	if m.fails != nil && m.fails(m.calls) {
		_ = m.Overlay.Apply(ctx, c)
		return fmt.Errorf("%w: %w", errFails, codes.HRESULT(0x80070005))
	}
	err := m.Overlay.Apply(ctx, c)
	if m.calls == m.at {
		panic(errKilled)
	}
	return err
}

// life runs f until it returns or the power goes.
func life(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if p != any(errKilled) {
				panic(p)
			}
			err = errKilled
		}
	}()
	return f()
}

// state is what the machine has of everything that the steps touch.
func state(t *rapid.T, h host.Host, steps []repair.Step) string {
	var b strings.Builder
	for _, s := range steps {
		now, err := h.Inverse(context.Background(), s.Change)
		if s.Change.Passing() {
			continue
		}
		fmt.Fprintf(&b, "%s: ", s.Change.Path+s.Change.Name)
		for _, c := range now {
			v := ""
			if c.Value != nil {
				v = fmt.Sprint(c.Value.Type, c.Value.Data)
			}
			start := ""
			if c.Start != nil {
				start = fmt.Sprint(*c.Start)
			}
			fmt.Fprintf(&b, "%s %s %s %q %s;", c.Kind, v, start, c.Data, c.Modified)
		}
		fmt.Fprintf(&b, "%v\n", err)
	}
	return b.String()
}

func drawValue(t *rapid.T) winlog.RegValue {
	return winlog.RegValue{
		Type: rapid.SampledFrom([]uint32{winlog.RegSZ, winlog.RegBinary, winlog.RegDWord, winlog.RegMultiSZ}).Draw(t, "type"),
		Data: rapid.SliceOfN(rapid.Byte(), 0, 6).Draw(t, "data"),
	}
}

// drawChange draws a change of few things, so that steps meet each other.
func drawChange(t *rapid.T) host.Change {
	key := rapid.SampledFrom([]string{policies, policies + `\Deep\Deeper`, `HKLM\SOFTWARE\Fabrikam\Other`}).Draw(t, "key")
	name := rapid.SampledFrom([]string{"", "A", "B"}).Draw(t, "name")
	file := rapid.SampledFrom([]string{`C:\ProgramData\Fabrikam\a.txt`, `C:\ProgramData\Fabrikam\b.txt`}).Draw(t, "file")
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0:
		return host.Change{Kind: host.ValueDel, Path: key, Name: name}
	case 1:
		return host.Change{Kind: host.KeyMake, Path: key}
	case 2:
		return host.Change{Kind: host.ServiceStart, Path: "bits", Start: &host.Start{Type: rapid.Uint32Range(2, 4).Draw(t, "start")}}
	case 3:
		return host.Change{Kind: rapid.SampledFrom([]host.ChangeKind{host.ServiceRun, host.ServiceStop}).Draw(t, "run"), Path: "cryptsvc"}
	case 4:
		return host.Change{Kind: host.Write, Path: file, Data: []byte(strings.Repeat(rapid.StringN(0, 3, -1).Draw(t, "text"), rapid.IntRange(1, 4000).Draw(t, "times")))}
	case 5:
		return host.Change{Kind: host.FileDrop, Path: file}
	case 6:
		return host.Change{Kind: host.Move, Path: file, To: file + ".updoc-r1"}
	}
	return host.Set(key, name, drawValue(t))
}

// TestKilled: wherever the power goes, in a journal's write or in the middle of a
// change, going on ends the run, and taking it back restores the machine.
func TestKilled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ctx := context.Background()
		h := &mortal{Overlay: machine()}
		for range rapid.IntRange(0, 5).Draw(t, "before") {
			c := drawChange(t)
			if c.Kind == host.Move || c.Check() != nil {
				continue
			}
			_ = h.Overlay.Apply(ctx, c) // a change that finds nothing to act on is no matter here
		}
		var treatments []repair.Treatment
		var all []repair.Step
		for range rapid.IntRange(1, 3).Draw(t, "treatments") {
			tr := automatic("sync-clock")
			for range rapid.IntRange(1, 4).Draw(t, "steps") {
				tr.Steps = append(tr.Steps, repair.Step{Change: drawChange(t)})
			}
			treatments, all = append(treatments, tr), append(all, tr.Steps...)
		}
		before := state(t, h.Overlay, all)

		disk := durable.NewLossy(rapid.Uint64().Draw(t, "seed"))
		plan := &repair.Plan{Schema: repair.Schema, Run: "r1", Treatments: treatments}
		a := &agent{results: []codes.HRESULT{0x80070422}}
		now := func() time.Time { return noon }
		calls, cut := 0, rapid.IntRange(1, 120).Draw(t, "cut")
		h.at, h.after = rapid.IntRange(0, 12).Draw(t, "kill"), rapid.Bool().Draw(t, "after")
		disk.Before = func(string) bool {
			if calls++; calls == cut {
				return false
			}
			return true
		}
		undo := rapid.Bool().Draw(t, "undo")
		finished := false
		for lives := 0; !finished; lives++ {
			if lives > 5 {
				t.Fatal("it never ends")
			}
			err := life(func() error {
				j, err := repair.OpenJournal(disk, "state/r1")
				if errors.Is(err, fs.ErrNotExist) {
					j, err = repair.CreateJournal(disk, "state/r1", plan, noon)
				}
				if err != nil {
					return err
				}
				r := &repair.Runner{Host: h, Agent: a, Journal: j, Now: now}
				if lives == 0 || !undo {
					if _, err := r.Run(ctx); err != nil {
						return err
					}
				}
				u, err := r.Undo(ctx)
				if err != nil {
					return err
				}
				if len(u.Conflicts) > 0 {
					t.Fatalf("conflicts with itself: %+v", u.Conflicts)
				}
				return nil
			})
			switch {
			case errors.Is(err, errKilled), errors.Is(err, durable.ErrLost):
				disk.Crash()
			case err != nil:
				t.Fatal(err)
			default:
				finished = true
			}
		}
		if after := state(t, h.Overlay, all); after != before {
			t.Fatalf("before:\n%s\nafter:\n%s", before, after)
		}
	})
}

// courseJournal is the journal of a course of which some acts were made, whatever it
// wanted.
func courseJournal(t testing.TB, c repair.Course) []byte {
	t.Helper()
	disk := durable.NewLossy(1)
	tr := automatic("run-dism-restorehealth")
	tr.Risk, tr.Course = repair.RiskPermanent, &c
	p := &repair.Plan{Schema: repair.Schema, Run: "r1", Treatments: []repair.Treatment{tr}}
	j, err := repair.CreateJournal(disk, "state/r1", p, noon)
	if err != nil {
		t.Skipf("the course is made otherwise now: %v", err)
	}
	stop := host.Change{Kind: host.ServiceStart, Path: "ExampleFilter", Start: &host.Start{Type: 4}}
	for _, e := range []repair.Entry{
		{Kind: repair.EntryUser, User: "S-1-5-21-1-2-3-1001"},
		{Kind: repair.EntryPoint, Point: &host.RestorePoint{Sequence: 3, New: true}},
		{Kind: repair.EntryWitness, Witness: installed("22631.1", nil)},
		{Kind: repair.EntryAct, Act: &procedure.Act{Ask: &host.Question{Name: host.AskStore}}, Answer: json.RawMessage(`{}`)},
		{Kind: repair.EntryBegin, Step: 1, Act: &procedure.Act{Change: &stop}, Undo: []host.Change{stop}, Until: noon},
		{Kind: repair.EntryDone, Step: 1, After: []host.Change{stop}, Until: noon},
		{Kind: repair.EntryRestart, Step: 1},
		{Kind: repair.EntryStarted, Step: 1, Started: noon},
		{Kind: repair.EntryAct, Step: 2, Act: &procedure.Act{Try: true}, Outcome: &host.Outcome{Result: 0x80073712}},
	} {
		if err := j.Append(e, noon); err != nil {
			t.Fatal(err)
		}
	}
	b, err := disk.ReadFile("state/r1/journal.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What an updoc wrote that knew no courses is gone on with, and taken back.
func TestOldJournal(t *testing.T) {
	const old = `{"seq":1,"time":"2031-02-03T12:00:00Z","kind":"plan","treatment":0,"step":0,"plan":{"schema":"updoc.plan/1","run":"r1","machine":{"Name":"","OS":"","Build":"","Arch":"","Source":"lab"},"failure":{"code":"0x80070422","stage":"install","update":{"Title":"","KB":"KB5999001","ID":""}},"causes":["service-disabled"],"treatments":[{"id":"sync-clock","risk":"reversible","how":"automatic","minutes":2,"restart":"no","causes":[],"chance":0.5,"steps":[{"change":{"kind":"value-set","path":"HKLM\\SOFTWARE\\Fabrikam\\Policies","name":"A","value":{"Name":"","Type":4,"Data":"AQAAAA=="}}}]}],"leftOut":[]}}
{"seq":2,"time":"2031-02-03T12:00:00Z","kind":"begin","treatment":0,"step":0,"undo":[{"kind":"value-del","path":"HKLM\\SOFTWARE\\Fabrikam\\Policies","name":"A"}]}
{"seq":3,"time":"2031-02-03T12:00:00Z","kind":"done","treatment":0,"step":0,"after":[{"kind":"value-set","path":"HKLM\\SOFTWARE\\Fabrikam\\Policies","name":"A","value":{"Name":"","Type":4,"Data":"AQAAAA=="}}]}
{"seq":4,"time":"2031-02-03T12:00:00Z","kind":"treated","treatment":0,"step":0}
{"seq":5,"time":"2031-02-03T12:00:00Z","kind":"restart","treatment":0,"step":0,"tried":{"stage":"install","kb":"KB5999001"},"outcome":{"result":"0x00000000","restart":true}}
`
	disk, h := durable.NewLossy(1), machine()
	if err := durable.WriteFile(disk, "state/r1/journal.jsonl", []byte(old)); err != nil {
		t.Fatal(err)
	}
	if err := h.Apply(t.Context(), host.Set(policies, "A", dword(1))); err != nil {
		t.Fatal(err)
	}
	j, err := repair.OpenJournal(disk, "state/r1")
	if err != nil {
		t.Fatal(err)
	}
	r := &repair.Runner{
		Host: h, Journal: j, Agent: &agent{results: []codes.HRESULT{0}}, Now: func() time.Time { return noon.Add(time.Hour) },
		Started: func(context.Context) (time.Time, error) { return noon.Add(time.Minute), nil }, User: "S-1-5-21-1-2-3-1001",
	}
	if res, err := r.Run(t.Context()); err != nil || res != repair.Cured {
		t.Fatalf("%s, %v", res, err)
	}
	if u, err := r.Undo(t.Context()); err != nil || u.Back != 1 || value(t, h, policies, "A") != "-" {
		t.Errorf("%+v, %v, A is %s", u, err, value(t, h, policies, "A"))
	}
}

func FuzzJournal(f *testing.F) {
	disk := durable.NewLossy(1)
	r := runner(f, machine(), &agent{results: []codes.HRESULT{0}}, disk, automatic("sync-clock", host.Set(policies, "A", dword(1))))
	if _, err := r.Run(f.Context()); err != nil {
		f.Fatal(err)
	}
	good, _ := disk.ReadFile("state/r1/journal.jsonl")
	f.Add(good)
	f.Add(good[:len(good)-20])
	for _, c := range []repair.Course{
		{Name: "store", Data: json.RawMessage(`{"look":true,"sources":[{"kind":"update"}]}`)},
		{Name: "isolate", Data: json.RawMessage(`{"run":"r1","entries":[{"kind":"service","name":"ExampleFilter","weight":1}],"limits":{"tries":20,"restarts":4}}`)},
	} {
		f.Add(courseJournal(f, c))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		disk := durable.NewLossy(1)
		if err := durable.WriteFile(disk, "state/r1/journal.jsonl", b); err != nil {
			t.Fatal(err)
		}
		j, err := repair.OpenJournal(disk, "state/r1")
		if err != nil {
			return
		}
		// What is accepted may be carried out and taken back without a panic, and changes
		// nothing that no plan may change.
		run := &repair.Runner{Host: machine(), Journal: j, Now: func() time.Time { return noon }}
		_, _ = run.Run(t.Context())
		_, _ = run.Undo(t.Context())
	})
}
