package cli

import (
	"context"
	"net/netip"
	"strings"

	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/lab"
	"updoc/internal/proxyauth"
	"updoc/internal/route"
	"updoc/internal/route/pac"
)

// collectScenario collects the facts of a scenario's machine and, where the scenario
// has a world, walks the machine's route in it.
func collectScenario(ctx context.Context, s *lab.Scenario) (*facts.Facts, error) {
	h, err := host.OpenFS(ctx, s.Evidence)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	f := facts.Collect(ctx, h, facts.Options{})
	f.Machine.Source = "lab"
	if s.World == nil {
		return f, ctx.Err()
	}
	w, err := lab.Open(*s.World)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	f.AddWalk(walkWorld(ctx, f, w, s.World.Machine.Login, s.Expect.Deep))
	return f, ctx.Err()
}

// walkWorld walks a machine's route in a world of the lab, with the machine's clock,
// trust and hosts file.
func walkWorld(ctx context.Context, f *facts.Facts, w *lab.World, login *lab.Login, deep bool) *route.Walk {
	settings := f.RouteSettings()
	p := route.Prober{Net: w, Roots: w.Trusted(), Microsoft: w.Roots(), Now: w.MachineNow, MaxTLS: settings.MaxTLS, Hosts: hostsFile(f)}
	if login != nil {
		c := proxyauth.ParseLogin(login.User, login.Password)
		p.SignIn = func(string) (proxyauth.Credentials, bool) { return c, true }
	}
	prober := route.NewProber(p)
	walker := route.Walker{
		Exchanger: prober, As: "the lab", Scripts: &pac.Sandbox{}, Net: w, Echo: w, Now: w.MachineNow,
		Times: []string{"time.windows.com:123"}, Repeat: diagnoseRepeat, Deep: deep,
		Env: pac.Env{Dialect: pac.JScript, Lookup: prober.Lookup, Now: w.MachineNow()},
	}
	return walker.Walk(ctx, settings, settings.Plan(route.PlanOptions{Now: w.MachineNow()}))
}

// diagnoseRepeat is how often a diagnosis asks each way again, to tell a steady line
// from a flaky one.
const diagnoseRepeat = 8

// hostsFile answers for names from a machine's hosts file, with the line that says so;
// nil where nobody read one. Of several lines for a name Windows takes all.
func hostsFile(f *facts.Facts) func(name string) ([]netip.Addr, string) {
	if f.Hosts.State != facts.Present {
		return nil
	}
	type entry struct {
		addrs []netip.Addr
		line  string
	}
	names := map[string]entry{}
	for _, l := range f.Hosts.Value {
		for _, n := range l.Names {
			e := names[n]
			e.addrs = append(e.addrs, l.Addr.Unmap())
			if e.line == "" {
				e.line = l.Source
			}
			names[n] = e
		}
	}
	return func(name string) ([]netip.Addr, string) {
		e := names[strings.ToLower(strings.TrimSuffix(name, "."))]
		return e.addrs, e.line
	}
}
