package repair

import (
	"encoding/json"
	"slices"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/message"
)

// A remedy is fitted to a machine by a function that reads the facts and says
// what would be changed, in order:
//
//	"clear-winhttp-proxy": func(f *fit) {
//		blob := f.Value(connections, "WinHttpSettings")
//		switch {
//		case !blob.Known():
//			f.not("plan.not-looked", "what", `WinHttpSettings`)
//		case f.owner(policyKey) != "":
//			f.not("plan.owned", "owner", f.owner(policyKey))
//		default:
//			f.do(host.Set(connections, "WinHttpSettings", direct))
//		}
//	},
//
// One file per family (fit_proxy.go, fit_network.go, ...). The function is pure
// and sees facts alone, so that the same plan is made on a live machine, from a
// bundle and in a test.
type fitter func(*fit)

// fit is one remedy being fitted to one machine.
type fit struct {
	*facts.Facts
	diagnosis cause.Diagnosis
	run       string
	relay     *Relay // that runs on the machine, nil if none does
	out       Treatment
	why       Line
	standing  bool // each run does of itself what the remedy is: it has no steps
}

// fitters lists every remedy that is more than its sentence.
func fitters() map[string]fitter {
	all := map[string]fitter{}
	for _, family := range []map[string]fitter{
		fitAgent(), fitIsolate(), fitNetwork(), fitPolicy(), fitProxy(), fitServices(), fitServicing(), fitState(), fitSystem(),
	} {
		for id, f := range family {
			all[id] = f
		}
	}
	return all
}

// Carried says how a remedy is carried out on a machine that it fits:
// automatic, guided or advice.
func Carried(r Remedy) string {
	if _, ok := fitters()[r.ID]; !ok {
		return Advice // its sentence is all there is
	}
	if slices.Contains(ledOnly, r.ID) {
		return Guided
	}
	return r.How
}

// fit fits the chosen remedy; a line with an id says why it does not fit.
func (c Choice) fit(f *facts.Facts, d cause.Diagnosis, run string) (Treatment, Line) {
	return c.fitTo(f, d, Options{Run: run})
}

func (c Choice) fitTo(f *facts.Facts, d cause.Diagnosis, opt Options) (Treatment, Line) {
	x := &fit{Facts: f, diagnosis: d, run: opt.Run, relay: opt.Relay, out: Treatment{
		ID: c.ID, Risk: c.Risk, How: c.How, Minutes: c.Minutes, Restart: c.Restart, Causes: c.Causes, Chance: c.Chance,
	}}
	if came := x.trial(); came == host.TrialShown || came == host.TrialAlike {
		x.not("plan.trial." + came)
	} else if f, ok := fitters()[c.ID]; ok {
		f(x)
	}
	idle := len(x.out.Steps) == 0 && x.out.Course == nil && !x.standing
	if x.why.ID == "" && len(x.out.Lead) == 0 && (c.How != Automatic || idle && c.Risk != RiskNone) {
		x.lead("remedy." + c.ID + ".how")
	}
	if idle && x.out.How == Automatic && c.Risk != RiskNone {
		x.out.How = Guided // nothing for updoc to change: a person is led
	}
	return x.out, x.why
}

// trial is what came of the remedy where it was an experiment of the last day, with the
// failure that is to be cured now.
func (f *fit) trial() string {
	now := failure(f.Facts)
	for _, t := range f.Repairs.Value.Trials {
		if t.Remedy == f.out.ID && t.Code == now.Code && t.Stage == string(now.Stage) {
			return t.Came
		}
	}
	return ""
}

// do adds changes that the host can take back.
func (f *fit) do(changes ...host.Change) {
	for _, c := range changes {
		f.out.Steps = append(f.out.Steps, Step{Change: c})
	}
}

// step adds a step that needs more than its change.
func (f *fit) step(s Step) { f.out.Steps = append(f.out.Steps, s) }

// run adds a tool whose effect needs no undo; lasting says why.
func (f *fit) runs(lasting, tool string, args ...string) {
	f.step(Step{Change: host.Change{Kind: host.Run, Path: tool, Args: args}, Lasting: lasting})
}

// again fits a remedy that is tried more often, with growing pauses in minutes: time
// may cure.
func again(times, pause int, fitted fitter) fitter {
	return func(f *fit) {
		f.out.Again, f.out.Pause = times, pause
		fitted(f)
	}
}

// course has a procedure do the work: the named one of the table courses, made of what
// spec is as JSON. What that cannot say is a mistake of the fitter's, and refused when
// the plan is checked.
func (f *fit) course(name string, spec any) {
	data, _ := json.Marshal(spec)
	f.out.Course = &Course{Name: name, Data: data}
}

// lead adds a sentence for the person: what to do, or what to tell whom.
// Arguments come as name, value, name, value.
func (f *fit) lead(id string, args ...string) {
	f.out.Lead = append(f.out.Lead, message.Say(id, args...))
}

// not says why the remedy does not fit this machine. The first reason counts.
func (f *fit) not(id string, args ...string) {
	if f.why.ID == "" {
		f.why = message.Say(id, args...)
	}
}

// aside is where something is moved: beside where it stood, named for the run.
func (f *fit) aside(path string) string { return path + ".updoc-" + f.run }
