package isolate

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/procedure"
)

// pc carries out the acts of a search on a machine in memory, as a runner would.
type pc struct {
	culprits [][]string // names; it fails while all of one of these have effect
	stuck    []string   // services that cannot be switched off
	once     bool       // what worked once cannot fail again
	code     func(effect map[string]bool) codes.HRESULT

	disabled, stopped map[string]bool // as the machine has them
	effect            map[string]bool
	cured             bool
	restarts          int
	most              int // changes that stood at once
}

func newPC(d Data, culprits ...[]string) *pc {
	p := &pc{culprits: culprits, disabled: map[string]bool{}, stopped: map[string]bool{}, effect: map[string]bool{}}
	for _, e := range d.Entries {
		p.effect[e.Name] = true
	}
	return p
}

func nameOf(c host.Change) string {
	switch c.Kind {
	case host.ValueDel:
		return c.Name
	case host.Move:
		return c.Path[strings.LastIndexByte(c.Path, '\\')+1:]
	}
	return strings.TrimPrefix(c.Path, "task/")
}

// carryOut makes acts until the search is over or n were made.
func (p *pc) carryOut(t *testing.T, pr procedure.Procedure, done []procedure.Done, n int) []procedure.Done {
	t.Helper()
	b, restarts := pr.Bounds(), 0
	for _, d := range done {
		if d.Act.Restart {
			restarts++
		}
	}
	for ; n > 0; n-- {
		act, more := pr.Next(done)
		if !more {
			return done
		}
		if !b.Allows(act, len(done), restarts) {
			t.Fatalf("act %d, %+v, is out of bounds", len(done), act)
		}
		d := procedure.Done{Act: act}
		switch {
		case act.Change != nil:
			name := nameOf(*act.Change)
			switch {
			case slices.Contains(p.stuck, name):
				d.Err = "access denied"
			case act.Change.Kind == host.ServiceStop:
				d.Skipped = p.stopped[name]
				p.stopped[name], p.effect[name] = true, false
			default:
				d.Skipped = p.disabled[name]
				p.disabled[name] = true
			}
		case act.Back != nil:
			c := done[*act.Back].Act.Change
			if c == nil {
				t.Fatalf("act %d takes back act %d, which changed nothing", len(done), *act.Back)
			}
			name := nameOf(*c)
			switch {
			case c.Kind != host.ServiceStop:
				delete(p.disabled, name)
			case p.disabled[name]:
				t.Fatalf("act %d starts %s, which is disabled", len(done), name)
			default:
				delete(p.stopped, name)
				p.effect[name] = true
			}
		case act.Try:
			d.Outcome = &host.Outcome{Result: p.try()}
		}
		if act.Restart {
			restarts++
			p.restarts++
			for name := range p.effect {
				p.effect[name] = !p.disabled[name]
			}
			clear(p.stopped)
			for name := range p.disabled {
				p.stopped[name] = true
			}
		}
		p.most = max(p.most, len(p.disabled))
		done = append(done, d)
	}
	return done
}

func (p *pc) try() codes.HRESULT {
	if p.cured {
		return 0
	}
	if p.code != nil {
		return p.code(p.effect)
	}
	for _, together := range p.culprits {
		if !slices.ContainsFunc(together, func(n string) bool { return !p.effect[n] }) {
			return 0x80240438
		}
	}
	p.cured = p.once
	return 0
}

// data is a stock of n services and as many tasks, Run values and shortcuts.
func data(t *testing.T, n int, stage string) Data {
	t.Helper()
	var s host.Startup
	for i := range n {
		org := fmt.Sprintf("Maker %d", i/3)
		e := service3rd(fmt.Sprintf("Svc%d", i), org)
		e.Stops = i%5 != 0
		if i%7 == 3 {
			e.Needs = []string{fmt.Sprintf("svc%d", i-1)}
		}
		s.Entries = append(s.Entries, e)
		other := host.StartupEntry{Kind: host.StartRun, Name: fmt.Sprintf("Run%d", i), Where: `HKCU\Software\Microsoft\Windows\CurrentVersion\Run`, File: e.File, Program: signed(org, org), On: true, Start: -1}
		switch i % 3 {
		case 1:
			other.Kind, other.Name, other.Where = host.StartTask, fmt.Sprintf(`\%s\Task%d`, org, i), ""
		case 2:
			other.Kind, other.Name, other.Where = host.StartFolder, fmt.Sprintf("Link%d.lnk", i), `C:\ProgramData\Microsoft\Windows\Start Menu\Programs\StartUp`
		}
		s.Entries = append(s.Entries, other)
	}
	stock, err := Stock(s, "")
	if err != nil {
		t.Fatal(err)
	}
	return New(stock, "run-1", stage, Limits{})
}

func procedureOf(t *testing.T, d Data) procedure.Procedure {
	t.Helper()
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ids(lines []message.Line) (out []string) {
	for _, l := range lines {
		out = append(out, l.ID)
		if text := message.English().Text(l.ID); text == l.ID {
			out = append(out, "no sentence "+l.ID)
		}
		text := message.English().Text(l.ID, pairs(l.Args)...)
		if strings.Contains(text, "{") {
			out = append(out, "open argument in "+text)
		}
	}
	return out
}

func pairs(args map[string]string) (out []any) {
	for k, v := range args {
		out = append(out, k, v)
	}
	return out
}

func TestProcedure(t *testing.T) {
	for _, tt := range []struct {
		name     string
		stage    string
		culprits [][]string
		pc       func(*pc)
		want     []string // of the story, in this order
		blamed   []string
	}{
		{"a service", "scan", [][]string{{"Svc6"}}, nil, []string{"isolate.blame", "isolate.culprit.service", "isolate.advice.other", "isolate.effort"}, []string{"Svc6 service"}},
		{"a service that cannot be stopped", "scan", [][]string{{"Svc5"}}, nil, []string{"isolate.blame", "isolate.culprit.service"}, []string{"Svc5 service"}},
		{"a task", "scan", [][]string{{`\Maker 2\Task7`}}, nil, []string{"isolate.blame", "isolate.culprit.task"}, []string{`\Maker 2\Task7`}},
		{"a Run value", "scan", [][]string{{"Run12"}}, nil, []string{"isolate.culprit.run"}, []string{"Run12"}},
		{"a shortcut", "scan", [][]string{{"Link8.lnk"}}, nil, []string{"isolate.culprit.folder"}, []string{"Link8.lnk"}},
		{"two", "scan", [][]string{{"Svc6"}, {"Run0"}}, nil, []string{"isolate.blame", "isolate.culprit.run", "isolate.blame", "isolate.culprit.service", "isolate.several"}, []string{"Run0", "Svc6 service"}},
		{"a conflict", "scan", [][]string{{"Svc4", "Run9"}}, nil, []string{"isolate.conflict", "isolate.culprit.service", "isolate.culprit.run"}, []string{"Svc4 service", "Run9"}},
		{"what others need", "scan", [][]string{{"Svc2"}}, nil, []string{"isolate.blame", "isolate.culprit.service"}, []string{"Svc2 service"}},
		{"what needs others", "scan", [][]string{{"Svc3"}}, nil, []string{"isolate.blame", "isolate.culprit.service"}, []string{"Svc3 service"}},
		{"nothing", "scan", [][]string{{}}, nil, []string{"isolate.none", "isolate.effort"}, nil},
		{"healthy", "scan", nil, nil, []string{"isolate.healthy"}, nil},
		{"one cannot be switched off and is to blame", "scan", [][]string{{"Svc6"}}, func(p *pc) { p.stuck = []string{"Svc6"} }, []string{"isolate.none", "isolate.stubborn"}, nil},
		{"one cannot be switched off and is not", "scan", [][]string{{"Svc6"}}, func(p *pc) { p.stuck = []string{"Svc1", "Svc10"} }, []string{"isolate.blame", "isolate.culprit.service", "isolate.stubborn", "isolate.stubborn"}, []string{"Svc6 service"}},
		{"something is needed for updating", "scan", nil, func(p *pc) {
			p.code = func(effect map[string]bool) codes.HRESULT {
				if !effect["Svc9"] {
					return 0x8024402C
				}
				return 0x80240438
			}
		}, []string{"isolate.different"}, nil},
		{"an install, once", "install", [][]string{{"Svc6"}}, func(p *pc) { p.once = true }, []string{"isolate.narrowed", "isolate.suspect"}, nil},
		{"an install, nothing", "install", [][]string{{}}, func(p *pc) { p.once = true }, []string{"isolate.none"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := data(t, 15, tt.stage)
			p, pr := newPC(d, tt.culprits...), procedureOf(t, d)
			if tt.pc != nil {
				tt.pc(p)
			}
			done := p.carryOut(t, pr, nil, 10_000)
			story := pr.Story(done)
			got := ids(story)
			at := 0
			for _, id := range got {
				if at < len(tt.want) && id == tt.want[at] {
					at++
				}
			}
			if at < len(tt.want) || slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, " ") }) {
				t.Errorf("story %q, want %q in it", got, tt.want)
			}
			var blamed []string
			for _, l := range story {
				if strings.HasPrefix(l.ID, "isolate.culprit.") {
					blamed = append(blamed, l.Args["name"])
				}
			}
			slices.Sort(blamed)
			slices.Sort(tt.blamed)
			if !slices.Equal(blamed, tt.blamed) {
				t.Errorf("blames %q, want %q", blamed, tt.blamed)
			}
			t.Logf("%d acts, %d restarts", len(done), p.restarts)
		})
	}
}

// TestProcedureIsPure: whatever was done, the same follows; a procedure that is made
// anew after each act goes the same way.
func TestProcedureIsPure(t *testing.T) {
	d := data(t, 12, "scan")
	whole, pr := newPC(d, []string{"Run3"}), procedureOf(t, d)
	want := whole.carryOut(t, pr, nil, 10_000)
	p := newPC(d, []string{"Run3"})
	var done []procedure.Done
	for range want {
		done = p.carryOut(t, procedureOf(t, d), done, 1)
	}
	a, _ := json.Marshal(want)
	b, _ := json.Marshal(done)
	if string(a) != string(b) {
		t.Error("it went another way")
	}
	// A record that somebody else wrote is not followed.
	strange := slices.Clone(want)
	strange[len(strange)/2].Act = procedure.Act{Restart: true, About: "x"}
	if act, more := pr.Next(strange); more {
		t.Errorf("goes on with %+v", act)
	}
	if f, err := d.Finding(strange); !errors.Is(err, errAstray) {
		t.Errorf("finding %+v, error %v", f, err)
	}
	if f, err := d.Finding(want); err != nil || f.State != Found {
		t.Errorf("finding %+v, error %v", f, err)
	}
}

// TestRandomProcedures: acts keep to the bounds, and the finding is right.
func TestRandomProcedures(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for n := range 40 {
		d := data(t, 8+rng.IntN(40), "scan")
		pick := d.Entries[rng.IntN(len(d.Entries))].Name
		p, pr := newPC(d, []string{pick}), procedureOf(t, d)
		done := p.carryOut(t, pr, nil, maxActs)
		f, err := d.Finding(done)
		if err != nil || f.State != Found || len(f.Causes) != 1 || len(f.Causes[0]) != 1 || d.Entries[f.Causes[0][0]].Name != pick {
			t.Errorf("machine %d, %s: %+v, %v", n, pick, f, err)
		}
		if f.Restarts != p.restarts {
			t.Errorf("machine %d: counts %d restarts, there were %d", n, f.Restarts, p.restarts)
		}
		if len(done) > pr.Bounds().Acts/2 {
			t.Errorf("machine %d: %d acts of %d", n, len(done), pr.Bounds().Acts)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := data(t, 3, "scan")
	for name, spoil := range map[string]func(*Data){
		"a driver": func(d *Data) { d.Entries[0].Kind = host.StartDriver },
		"a value elsewhere": func(d *Data) {
			d.Entries[1].Kind, d.Entries[1].Where = host.StartRun, `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`
		},
		"a value below RunOnce": func(d *Data) {
			d.Entries[1].Kind, d.Entries[1].Where = host.StartRun, `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\RunOnce`
		},
		"a file of servicing":    func(d *Data) { d.Entries[1].Kind, d.Entries[1].Where = host.StartFolder, `C:\Windows\WinSxS` },
		"an endless search":      func(d *Data) { d.Limits.Tries = 1 << 30 },
		"no weight":              func(d *Data) { d.Entries[0].Weight = 0 },
		"what needs itself":      func(d *Data) { d.Entries[0].Needs = []int{0} },
		"what needs nothing":     func(d *Data) { d.Entries[0].Needs = []int{99} },
		"twice the same":         func(d *Data) { d.Entries = append(d.Entries, d.Entries[0]) },
		"a task that is stopped": func(d *Data) { d.Entries[1].Kind, d.Entries[1].Live = host.StartTask, true },
		"the installer":          func(d *Data) { d.Entries[0].Name, d.Entries[0].Live = "TrustedInstaller", true },
	} {
		d := good
		d.Entries = slices.Clone(good.Entries)
		spoil(&d)
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(b); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for _, b := range []string{"", "[]", `{"unknown":1}`, "null"} {
		if p, err := Decode([]byte(b)); err == nil {
			t.Errorf("%q: %+v", b, p)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"run":"r","stage":"scan","entries":[{"kind":"service","name":"a","vendor":"v","weight":1,"live":true}],"limits":{"tries":9,"restarts":3}}`))
	f.Add([]byte(`{"run":"r","stage":"install","entries":[{"kind":"task","name":"\\a","vendor":"v","weight":2}],"limits":{"tries":9,"restarts":3,"once":true}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Decode(b)
		if err != nil {
			return
		}
		bounds := p.Bounds()
		for _, c := range bounds.Changes {
			if err := c.Check(); err != nil {
				t.Fatal(err)
			}
		}
		var done []procedure.Done
		for range 40 {
			act, more := p.Next(done)
			if !more {
				break
			}
			if !bounds.Allows(act, len(done), 0) && !act.Restart {
				t.Fatalf("act %+v is out of bounds", act)
			}
			d := procedure.Done{Act: act}
			if act.Try {
				d.Outcome = &host.Outcome{Result: codes.HRESULT(0x80240438 * uint32(len(done)%3&1))}
			}
			done = append(done, d)
		}
		p.Story(done)
	})
}
