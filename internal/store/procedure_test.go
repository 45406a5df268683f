package store

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/codes"
	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/procedure"
	"updoc/internal/winlog"
)

// bench is a component store as a procedure sees it: tools end with a code, and
// write down what they found.
type bench struct {
	damage  []winlog.StoreFault      // in the store
	files   []winlog.StoreFault      // outside of it
	has     map[string]bool          // which sources have what is damaged, by their argument; "" is Windows Update
	fails   map[string]codes.HRESULT // what a source ends with otherwise
	once    map[string]codes.HRESULT // what it ends with the first time alone
	lies    bool                     // it ends with 0 and repairs nothing
	silent  bool                     // its log is not to be read
	pending int                      // restarts that servicing wants
	inUse   bool                     // sfc needs a restart for what it puts back
	unready bool                     // the catalogue gives nothing
	log     winlog.StoreLog
	clock   time.Time
	ran     []string
}

func (b *bench) wrote(c winlog.StoreCheck) {
	b.clock = b.clock.Add(time.Minute)
	c.Begin, c.End, c.Whole, c.Line = b.clock, b.clock.Add(30*time.Second), true, 1
	b.log.Checks = append(b.log.Checks, c)
}

// do makes an act.
func (b *bench) do(a procedure.Act) procedure.Done {
	d := procedure.Done{Act: a}
	switch {
	case a.Ask != nil:
		s := host.Store{Log: b.log, Pending: b.pending > 0}
		if b.silent {
			s.Log = winlog.StoreLog{}
		}
		d.Answer, _ = json.Marshal(s)
	case a.Restart:
		b.ran = append(b.ran, "restart")
		b.pending, b.inUse = max(b.pending-1, 0), false
		d.Started = b.clock
	case a.Fetch != nil:
		if b.ran = append(b.ran, "fetch"); b.unready {
			d.Err = "404"
		}
	case a.Change != nil:
		d.Code = b.tool(*a.Change)
		if d.Code.Failed() {
			d.Err = "it failed"
		}
	}
	return d
}

func (b *bench) tool(c host.Change) codes.HRESULT {
	line := strings.ToLower(c.Path + " " + strings.Join(c.Args, " "))
	switch {
	case strings.Contains(line, "scanhealth"):
		b.ran = append(b.ran, "scan")
		b.wrote(winlog.StoreCheck{By: winlog.StoreByDISM, Found: len(b.damage), Faults: b.damage})
	case strings.Contains(line, "startcomponentcleanup"):
		b.ran = append(b.ran, "cleanup")
	case strings.HasPrefix(line, "wusa"), strings.Contains(line, "add-package"):
		b.ran = append(b.ran, "add")
		b.has[""] = true
	case strings.Contains(line, "restorehealth"):
		arg := ""
		if len(c.Args) > 3 {
			arg = strings.TrimPrefix(c.Args[3], "/Source:")
		}
		b.ran = append(b.ran, "restore "+arg)
		h := b.fails[arg]
		if x, ok := b.once[arg]; ok {
			delete(b.once, arg)
			h = x
		} else if b.has[arg] {
			h = 0
		}
		repaired := 0
		if h == 0 && !b.lies {
			repaired, b.damage = len(b.damage), nil
		}
		b.wrote(winlog.StoreCheck{By: winlog.StoreByDISM, Repair: true, Result: h, Found: max(repaired, len(b.damage)), Repaired: repaired})
		return h
	case strings.HasPrefix(line, "sfc"):
		b.ran = append(b.ran, "sfc")
		b.wrote(winlog.StoreCheck{By: winlog.StoreBySFC, Repair: true, Found: len(b.files), Repaired: len(b.files), Restart: b.inUse})
		if !b.inUse {
			b.files = nil
		}
	}
	return 0
}

// treat carries a spec out to its end, as the journal would: the procedure is built
// anew for each act.
func treat(t testing.TB, s Spec, do func(procedure.Act) procedure.Done) []message.Line {
	t.Helper()
	data := mustJSON(t, s)
	var done []procedure.Done
	restarts := 0
	for {
		p, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		a, ok := p.Next(done)
		if !ok {
			return p.Story(done)
		}
		if b := p.Bounds(); !b.Allows(a, len(done), restarts) {
			t.Fatalf("act %d is not within the bounds: %+v\n%+v", len(done), a, b)
		}
		if a.Restart {
			restarts++
		}
		if a.About == "" || !message.English().Has("procedure."+a.About) {
			t.Errorf("no sentence for %q", a.About)
		}
		done = append(done, do(a))
	}
}

func told(lines []message.Line) []string {
	var out []string
	for _, l := range lines {
		out = append(out, strings.TrimPrefix(l.ID, "store."))
	}
	return out
}

func mustJSON(t testing.TB, v any) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var (
	torn  = winlog.StoreFault{Kind: winlog.FaultPayload, Component: "amd64_fabrikam-paper_31bf3856ad364e35_10.0.22631.1_none_0011223344556677", Version: "10.0.22631.1", File: "paper.dll"}
	gone  = winlog.StoreFault{Kind: winlog.FaultPackage, Package: "Package_for_KB5099001~31bf3856ad364e35~amd64~~22631.1.1.0", KB: "KB5099001"}
	loose = winlog.StoreFault{Kind: winlog.FaultFile, File: `C:\Windows\System32\paper.dll`}
)

const disc = `wim:D:\sources\install.wim:6`

var (
	update  = Source{Kind: FromUpdate}
	medium  = Source{Kind: FromImage, Name: `D:\sources\install.wim, 6`, Arg: disc}
	fetched = Source{Kind: FromPackage, Name: "KB5099001", Packages: []Package{{KB: "KB5099001", Fetch: procedure.Fetch{
		URL: "https://catalog.s.download.windowsupdate.com/d/windows11.0-kb5099001-x64.msu", To: `C:\ProgramData\updoc\packages\windows11.0-kb5099001-x64.msu`,
		SHA256: strings.Repeat("0a", 32),
	}}}}
)

// TestRepair: each course of events ends with the right source and the right story.
func TestRepair(t *testing.T) {
	known := []Fault{{StoreFault: torn}}
	for name, tt := range map[string]struct {
		bench bench
		spec  Spec
		ran   string
		told  string
		left  int
	}{
		"Windows Update has it": {
			bench{damage: []winlog.StoreFault{torn}, has: map[string]bool{"": true}},
			Spec{Damage: known, Sources: []Source{update, medium}, Files: true},
			"restore ,sfc", "fault.payload,told.repaired.update,told.files-fine,end.sound", 0,
		},
		"nothing is known: look first": {
			bench{damage: []winlog.StoreFault{torn}, has: map[string]bool{"": true}},
			Spec{Look: true, Sources: []Source{update}, Files: true},
			"scan,restore ,sfc", "fault.payload,told.repaired.update,told.files-fine,end.sound", 0,
		},
		"nothing is damaged": {
			bench{},
			Spec{Look: true, Sources: []Source{update}, Files: true},
			"scan,sfc", "told.nothing-found,told.files-fine,end.sound", 0,
		},
		"only files are": {
			bench{files: []winlog.StoreFault{loose}},
			Spec{Look: true, Sources: []Source{update}, Files: true},
			"scan,sfc", "told.nothing-found,told.files-repaired,end.sound", 0,
		},
		"files in use": {
			bench{files: []winlog.StoreFault{loose}, inUse: true},
			Spec{Look: true, Sources: []Source{update}, Files: true},
			"scan,sfc,restart,sfc", "told.nothing-found,told.files-restart,told.files-repaired,end.sound", 0,
		},
		"the medium has what Windows Update has not": {
			bench{damage: []winlog.StoreFault{torn}, has: map[string]bool{disc: true}, fails: map[string]codes.HRESULT{"": 0x800F081F}},
			Spec{Damage: known, Sources: []Source{update, medium, fetched}, Files: true},
			"restore ,restore " + disc + ",sfc", "fault.payload,told.failed.update,told.repaired.image,told.files-fine,end.sound", 0,
		},
		"the package that is named comes before the medium": {
			bench{damage: []winlog.StoreFault{gone}, has: map[string]bool{}, fails: map[string]codes.HRESULT{"": 0x800F0831, disc: 0x800F0831}},
			Spec{Damage: []Fault{{StoreFault: gone}}, Sources: []Source{update, medium, fetched}, Files: true},
			"restore ,fetch,add,restore ,sfc", "fault.package,fault.update,told.failed.update,told.repaired.package,told.files-fine,end.sound", 0,
		},
		"nobody has it": {
			bench{damage: []winlog.StoreFault{torn}, fails: map[string]codes.HRESULT{"": 0x800F081F, disc: 0x800F081F}, unready: true},
			Spec{Damage: known, Sources: []Source{update, medium, fetched}, Files: true},
			"restore ,restore " + disc + ",fetch", "fault.payload,told.failed.update,told.failed.image,told.not-fetched,code.0x800F081F,told.files-left-out,end.unrepaired", 1,
		},
		"a restart has to end earlier work": {
			bench{damage: []winlog.StoreFault{torn}, has: map[string]bool{"": true}, once: map[string]codes.HRESULT{"": 0x80070BC9}},
			Spec{Damage: known, Sources: []Source{update}},
			"restore ,restart,restore ", "fault.payload,told.failed.update,told.repaired.update,end.sound", 0,
		},
		"servicing waits for a restart already": {
			bench{damage: []winlog.StoreFault{torn}, has: map[string]bool{"": true}, pending: 1},
			Spec{Damage: known, Sources: []Source{update}},
			"restart,restore ", "told.restarted,fault.payload,told.repaired.update,end.sound", 0,
		},
		"a restart that ends nothing": {
			bench{damage: []winlog.StoreFault{torn}, pending: 9},
			Spec{Damage: known, Sources: []Source{update}},
			"restart", "told.still-pending,end.blocked", 1,
		},
		"leftovers are cleaned up once": {
			bench{damage: []winlog.StoreFault{torn}, has: map[string]bool{"": true}, once: map[string]codes.HRESULT{"": 0x800F0988}},
			Spec{Damage: known, Sources: []Source{update}},
			"restore ,cleanup,restore ", "fault.payload,told.failed.update,told.repaired.update,end.sound", 0,
		},
		"somebody holds a file": {
			bench{damage: []winlog.StoreFault{torn}, fails: map[string]codes.HRESULT{"": 0x80070020}},
			Spec{Damage: known, Sources: []Source{update}},
			"restore ,restore ", "fault.payload,told.failed.update,told.failed.update,code.0x80070020,end.unrepaired", 1,
		},
		"a code that no source cures": {
			bench{damage: []winlog.StoreFault{torn}, fails: map[string]codes.HRESULT{"": 0x80070490}},
			Spec{Damage: known, Sources: []Source{update, medium}, Files: true},
			"restore ", "fault.payload,told.failed.update,code.0x80070490,told.files-left-out,end.unrepaired", 1,
		},
		"the exit code says yes and the report says no": {
			bench{damage: []winlog.StoreFault{torn}, has: map[string]bool{"": true}, lies: true},
			Spec{Damage: known, Sources: []Source{update}},
			"restore ", "fault.payload,told.failed.update,code.0x800F081F,end.unrepaired", 1,
		},
		"no log can be read": {
			bench{damage: []winlog.StoreFault{torn}, has: map[string]bool{"": true}, silent: true},
			Spec{Look: true, Sources: []Source{update}, Files: true},
			"scan,restore ,sfc,scan", "told.look-untold,told.repaired.update,told.files-untold,end.unproven", 0,
		},
		"an update that is half installed": {
			bench{has: map[string]bool{}},
			Spec{Look: true, Sources: []Source{update, fetched}, Files: true, Half: []string{gone.Package}},
			"scan,fetch,add,restore ,sfc", "told.nothing-found,told.half,told.repaired.package,told.files-fine,end.sound", 0,
		},
		"an update that is half installed, and nobody has it": {
			bench{},
			Spec{Look: true, Sources: []Source{update}, Files: true, Half: []string{gone.Package}},
			"scan,sfc", "told.nothing-found,told.half,told.files-fine,end.half-left", 0,
		},
		"an update that is half installed, and cannot be fetched": {
			bench{unready: true},
			Spec{Look: true, Sources: []Source{update, fetched}, Files: true, Half: []string{gone.Package}},
			"scan,fetch,sfc", "told.nothing-found,told.half,told.not-fetched,told.files-fine,end.half-left", 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := tt.bench
			b.clock = time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
			story := treat(t, tt.spec, b.do)
			if diff := cmp.Diff(tt.ran, strings.Join(b.ran, ",")); diff != "" {
				t.Error("ran", diff)
			}
			if diff := cmp.Diff(tt.told, strings.Join(told(story), ",")); diff != "" {
				t.Error("told", diff)
			}
			if len(b.damage) != tt.left {
				t.Errorf("%d things are damaged still, want %d", len(b.damage), tt.left)
			}
			for _, l := range story {
				if !message.English().Has(l.ID) {
					t.Errorf("no sentence %s", l.ID)
				}
			}
		})
	}
}

// TestRepairEnds: whatever tools end with and logs tell, a repair keeps to its bounds,
// comes to an end and has a verdict.
func TestRepairEnds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 7))
	all := Codes()
	verdicts := map[Verdict]int{}
	for range 3000 {
		s := Spec{Look: rnd.IntN(2) == 0, Files: rnd.IntN(2) == 0}
		for _, x := range []Source{update, medium, {Kind: FromPolicy, Name: "x"}, fetched} {
			if rnd.IntN(2) == 0 {
				s.Sources = append(s.Sources, x)
			}
		}
		if !s.Look && len(s.Sources) == 0 && !s.Files {
			continue
		}
		clock := time.Unix(0, 0).UTC()
		var log winlog.StoreLog
		story := treat(t, s, func(a procedure.Act) procedure.Done {
			d := procedure.Done{Act: a}
			if rnd.IntN(3) == 0 {
				d.Code, d.Err = all[rnd.IntN(len(all))].Code, "failed"
			}
			if rnd.IntN(20) == 0 {
				d.Code = 0
			}
			if a.Change != nil && rnd.IntN(3) > 0 {
				clock = clock.Add(time.Hour)
				c := winlog.StoreCheck{By: []string{"dism", "sfc"}[rnd.IntN(2)], Begin: clock, End: clock, Whole: rnd.IntN(4) > 0, Found: rnd.IntN(3), Restart: rnd.IntN(4) == 0}
				c.Repaired = rnd.IntN(c.Found + 1)
				log.Checks = append(log.Checks, c)
			}
			if a.Ask != nil {
				d.Answer = mustJSON(t, host.Store{Log: log, Pending: rnd.IntN(5) == 0})
				if rnd.IntN(30) == 0 {
					d.Answer = []byte("{")
				}
			}
			return d
		})
		v := Ended(story)
		if v == Going || !message.English().Has(endsWith+string(v)) {
			t.Fatalf("%+v ended with %q", s, v)
		}
		verdicts[v]++
	}
	t.Logf("%v", verdicts)
	for _, v := range []Verdict{Whole, FilesLeft, Unrepaired, Unproven, Blocked} {
		if verdicts[v] == 0 {
			t.Errorf("%s never came about", v)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	if _, err := Decode(mustJSON(t, Spec{Sources: []Source{update, medium, fetched}, Files: true})); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing": ``, "nothing to do": `{}`, "more": `{"files":true}{}`, "unknown": `{"files":true,"x":1}`,
		"an address":         `{"sources":[{"kind":"image","arg":"http://fabrikam.example/install.wim"}]}`,
		"an argument":        `{"sources":[{"kind":"update","arg":"C:\\x"}]}`,
		"another kind":       `{"sources":[{"kind":"script","arg":"C:\\x"}]}`,
		"a program":          `{"sources":[{"kind":"package","packages":[{"kb":"KB1","fetch":{"url":"https://fabrikam.example/x","to":"C:\\x.exe","size":0}}]}]}`,
		"no package":         `{"sources":[{"kind":"package"}]}`,
		"a name of nothing":  `{"files":true,"half":["x"]}`,
		"too many":           `{"sources":[` + strings.TrimSuffix(strings.Repeat(`{"kind":"update"},`, 9), ",") + `]}`,
		"a name without end": `{"files":true,"damage":[{"kind":"x","file":"` + strings.Repeat("a", 5000) + `"}]}`,
	} {
		if p, err := Decode(json.RawMessage(text)); err == nil {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// TestCodes: every code of the table has a row, a sentence and a step of its own.
func TestCodes(t *testing.T) {
	var have []string
	texts := map[string]bool{}
	for _, n := range Codes() {
		have = append(have, n.Code.String())
		l := n.Line()
		text := message.English().Text(l.ID, "code", "", "symbol", "")
		if !message.English().Has(l.ID) || texts[text] || !strings.Contains(text, "Next:") {
			t.Errorf("%s: %q", n.Code, text)
		}
		texts[text] = true
		if info, ok := codes.Lookup(n.Code); !ok || info.Symbol() != n.Symbol {
			t.Errorf("%s is %s, the table says %s", n.Code, info.Symbol(), n.Symbol)
		}
		if !slices.Contains([]Then{ThenSource, ThenPackage, ThenRestart, ThenAgain, ThenCleanup, ThenStop}, n.Then) || !strings.HasPrefix(n.Page, "learn.microsoft.com: ") {
			t.Errorf("%+v", n)
		}
	}
	want := strings.Fields("0x800F081F 0x800F0906 0x800F0907 0x800F0954 0x800F0831 0x800F0838 0x800F0922 0x800F0982 0x800F0984 0x800F0986 0x800F0988 0x80073701 0x80073712 0x800736B3 0x80070BC9 0x80070002 0x80070003 0x8007000D 0x80070020 0x80070490")
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
	if n, ok := After(0x80004005); ok || n.Then != ThenSource {
		t.Errorf("%+v", n)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"look":true,"sources":[{"kind":"image","arg":"wim:D:\\install.wim:1"}],"files":true}`))
	f.Add([]byte(mustJSON(f, Spec{Sources: []Source{fetched}, Damage: []Fault{{StoreFault: gone}}})))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decode(data)
		if err != nil {
			return
		}
		b := p.Bounds()
		for _, c := range b.Changes {
			if err := c.Check(); err != nil {
				t.Errorf("%v: %v", c, err)
			}
		}
		if a, ok := p.Next(nil); !ok || !b.Allows(a, 0, 0) {
			t.Errorf("it begins with %+v", a)
		}
	})
}

func BenchmarkFaultLines(b *testing.B) {
	var faults []Fault
	for i := range maxNamed {
		x := torn
		x.File = fmt.Sprint(i)
		faults = append(faults, Fault{StoreFault: x})
	}
	for b.Loop() {
		FaultLines(faults, 3, maxTold)
	}
}
