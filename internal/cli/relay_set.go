package cli

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"updoc/internal/durable"
	"updoc/internal/host"
	"updoc/internal/relay"
	"updoc/internal/repair"
	"updoc/internal/report"
	"updoc/internal/route"
	"updoc/internal/route/pac"
)

// relayRemedy is what 'updoc relay --set' carries out.
const relayRemedy = "use-relay"

// relaySet has the update services of a machine use a relay while it runs. The
// settings are a run like any other, each change of which has a lease: whoever comes
// first after the relay was killed takes them back.
func (env *Env) relaySet(ctx context.Context, t relayFlags) error {
	if t.before != "" || t.bypass != "" || t.pac != "" {
		return usage("leave them out", "--set reads from the machine what --before, --bypass and --pac say")
	}
	if err := t.checkLease(); err != nil {
		return err
	}
	on := treating{lab: t.lab, format: "text"}
	return on.held(ctx, env, func(p Patient, state string) error { return env.relaySetOn(ctx, &on, p, state, t) })
}

func (env *Env) relaySetOn(ctx context.Context, on *treating, p Patient, state string, t relayFlags) error {
	if err := on.endRelays(ctx, env, p, state); err != nil {
		return err
	}
	bar := env.progress()
	x, err := examine(ctx, p, repair.RiskReversible, true, bar)
	bar.done()
	if err != nil {
		return err
	}
	settings := x.facts.RouteSettings()
	if t.proxy == "" {
		t.proxy = settings.Machine.Static
	}
	proxy, err := t.address()
	if err != nil {
		return err
	}
	lead, why := repair.Redirect(x.facts)
	if why.ID != "" {
		return notRelayed(why)
	}
	r, err := t.signIn(env, proxy)
	if err != nil {
		return err
	}
	way := env.surround(p, r)
	for _, l := range lead {
		if r.Scripts == nil {
			r.Scripts = map[string]relay.Before{}
		}
		r.Scripts[l.Script] = decisionOf(ctx, way, settings, l.Now)
	}
	if err := r.Try(ctx); err != nil {
		return &hinted{fmt.Errorf("the relay would not help: %w", err), "nothing was changed; check the address, the name and the password", ExitProblems}
	}
	l, err := t.open()
	if err != nil {
		return err
	}
	defer l.Close()
	// The relay ends what it set before the lease of the run is over.
	minutes := int((t.lease+time.Minute-1)/time.Minute) + 1
	plan, why := repair.One(x.facts, x.diagnosis, relayRemedy, repair.Options{
		Run: x.plan.Run, Relay: &repair.Relay{Address: l.Addr().String(), Minutes: minutes},
	})
	if why.ID != "" {
		return notRelayed(why)
	}
	if err := report.PlanText(env.Stdout, plan, false, env.style(env.Stdout)); err != nil {
		return err
	}
	if !t.yes {
		if err := newAsker(env, false).must(ctx, "Set it?",
			"nobody is there to agree", "--yes sets it without asking"); err != nil {
			return err
		}
	}
	j, err := repair.CreateJournal(durable.OS{}, filepath.Join(state, plan.Run), plan, p.Now())
	if err != nil {
		return notAllowed(err)
	}
	return on.relayed(ctx, env, on.runner(env, p, state, j), r, l, t.lease)
}

func notRelayed(why repair.Line) error {
	return &hinted{
		fmt.Errorf("not on this machine: %s", report.Sentence(why)),
		"'updoc fix --plan --advice' has the words for whoever runs the proxy", ExitProblems,
	}
}

// relayed serves a relay while the settings of a run lead to it, until the lease ends
// or the context does.
func (t *treating) relayed(ctx context.Context, env *Env, run *repair.Runner, r *relay.Relay, l net.Listener, lease time.Duration) error {
	// Three things end after one another: the lease, then the settings, then the relay,
	// so that nobody is ever led to a relay that is gone.
	leased, expire := context.WithTimeout(ctx, lease)
	defer expire()
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	served := make(chan error, 1)
	go func() {
		err := r.Serve(serving, l)
		expire()
		served <- err
	}()
	fmt.Fprintf(env.Stdout, "\nrelay   %s -> %s\nlease   until %s; Ctrl-C ends it and takes the settings back\n",
		l.Addr(), r.Proxy, time.Now().Add(lease).Format(time.DateTime))
	run.Agent = relayedAgent{run.Agent, leased, func(out host.Outcome, err error) bool { return env.tellRelayed(r, out, err) }}
	run.Approve = func(context.Context, repair.Treatment) (bool, error) { return true, nil }
	res, err := run.Run(context.WithoutCancel(ctx)) // which ends with the lease, and takes back what it did
	stop()
	serveErr := <-served
	fmt.Fprintln(env.Stdout)
	env.tellStats(r)
	if err != nil {
		return &hinted{err, "'updoc undo' takes the settings back", ExitBroken}
	}
	left := slices.ContainsFunc(run.Journal.Entries(), func(e repair.Entry) bool { return e.Kind == repair.EntryConflict })
	switch {
	case res == repair.Broken:
		fmt.Fprintln(env.Stdout, "The settings could not be made; what was made of them is taken back.")
	case left:
		fmt.Fprintln(env.Stdout, "Somebody changed a setting meanwhile: it is left as it is. The others are taken back.")
	default:
		fmt.Fprintln(env.Stdout, "The settings are taken back.")
	}
	switch {
	case serveErr != nil:
		return serveErr
	case res == repair.Shown, res == repair.Cured:
		return nil // it served its time
	}
	return exitOf(res)
}

// relayedAgent tries what failed while the settings lead to the relay, and is done when
// the lease is over: an experiment is taken back after its attempt.
type relayedAgent struct {
	host.Agent
	leased context.Context
	tell   func(host.Outcome, error) (useful bool)
}

// Try implements [host.Agent].
func (a relayedAgent) Try(_ context.Context, attempt host.Attempt) (host.Outcome, error) {
	out, err := a.Agent.Try(a.leased, attempt)
	if a.leased.Err() == nil && a.tell(out, err) {
		<-a.leased.Done()
	}
	return out, err
}

// tellRelayed says whether updates are found through the relay; useful is false where
// waiting gains nothing.
func (env *Env) tellRelayed(r *relay.Relay, out host.Outcome, err error) (useful bool) {
	s := r.Stats()
	failed := out.Result.Failed() && !out.Result.Benign()
	switch {
	case err != nil:
		fmt.Fprintf(env.Stdout, "\nWhether Windows Update works through the relay could not be tried: %s\n", oneLine(err.Error()))
		return true
	case !failed && s.Passed > 0:
		fmt.Fprintln(env.Stdout, "\nWindows Update works through the relay. Install what is there now; the relay waits.")
		return true
	case !failed:
		fmt.Fprintln(env.Stdout, "\nWindows Update works, and did not need the relay.")
		return false
	case s.Passed > 0:
		fmt.Fprintf(env.Stdout, "\nThrough the relay requests pass, and Windows Update fails still: %s. 'updoc explain %s' says more.\n", out.Result, out.Result)
		return true
	case s.Scripts == 0:
		fmt.Fprintf(env.Stdout, "\nWindows Update fails as before (%s), and nothing asked for the relay's script: this Windows does not read it there.\n", out.Result)
	default:
		fmt.Fprintf(env.Stdout, "\nWindows Update fails as before (%s), and sent nothing through the relay.\n", out.Result)
	}
	return false
}

// surround tells a relay where it is: on this machine, or in a simulated one's world.
func (env *Env) surround(p Patient, r *relay.Relay) host.Exchanger {
	in, ok := p.(labPatient)
	if !ok {
		r.Admit = env.Admit
		return route.NewProber(env.Network)
	}
	r.Dial = in.World().DialContext
	in.Local = (&net.Dialer{}).DialContext
	in.Script = runScript
	return route.NewProber(route.Prober{Net: in.World(), Roots: in.World().Trusted(), Now: in.World().MachineNow})
}

// runScript asks a configuration script about an address.
func runScript(ctx context.Context, source []byte, address string) (string, error) {
	call, err := pac.NewCall(address)
	if err != nil {
		return "", err
	}
	results, err := (&pac.Sandbox{}).Evaluate(ctx, source, pac.Env{Dialect: pac.JScript}, []pac.Call{call})
	if err != nil {
		return "", err
	}
	if e := results[0].Err; e != nil {
		return "", e
	}
	return results[0].List, nil
}

// decisionOf is how a setting decides, as far as it takes a script: the text of the
// first that can be had, as Windows takes it. Without one the fixed proxy decides.
func decisionOf(ctx context.Context, x host.Exchanger, s route.Settings, p route.Proxy) relay.Before {
	b := relay.Before{Static: p.Static, Bypass: p.Bypass}
	var places []string
	if p.Detect {
		for _, c := range s.WPAD() {
			places = append(places, c.URL)
		}
	}
	if p.PAC != "" {
		places = append(places, p.PAC)
	}
	for _, at := range places {
		text, err := fetchScript(ctx, x, at)
		if err == nil && strings.Contains(text, "FindProxyForURL") {
			b.Script = text
			break
		}
	}
	return b
}

// endRelays takes back what a relay that was killed has left.
func (t *treating) endRelays(ctx context.Context, env *Env, p Patient, state string) error {
	list, err := repair.History(durable.OS{}, state)
	if err != nil {
		return notAllowed(err)
	}
	for _, s := range list {
		if s.Standing == 0 || s.Err != "" {
			continue
		}
		j, err := repair.OpenJournal(durable.OS{}, filepath.Join(state, s.Run))
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(j.Plan().Treatments, func(t repair.Treatment) bool { return t.ID == relayRemedy && len(t.Steps) > 0 }) {
			continue
		}
		fmt.Fprintf(env.Stdout, "Taking back what the relay of run %s left.\n", s.Run)
		if _, err := t.runner(env, p, state, j).Undo(ctx); err != nil {
			return &hinted{err, "run 'updoc undo': it goes on where this stopped", ExitBroken}
		}
	}
	return nil
}
