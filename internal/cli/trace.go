package cli

import (
	"bufio"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/proxyauth"
	"updoc/internal/report"
	"updoc/internal/route"
	"updoc/internal/route/pac"
)

var traceFormats = []string{"text", "json", "md", "html"}

// traceFlags are what stands in for the settings of the sick machine.
type traceFlags struct {
	proxy, pac, wsus string
	urls, from       []string
	names            []string
	source, dns      string
	trust            []string
	format, output   string
	as               string
	deep, all        bool
	advice, redacted bool
	plain            bool
	repeat           int
	kerberos         kerberosFlags
}

// maxRepeat bounds the short probes of one way: more would be a load on a server.
const maxRepeat = 50

func newTrace(env *Env) *cobra.Command {
	var t traceFlags
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Walk the route of Windows Update, hop by hop, and predict its error",
		Long: `Sends the requests that Windows Update sends, the way it sends them, and watches
each leg: proxy decision, DNS, TCP, proxy, TLS, HTTP, the update service, the
content. From what it sees it predicts the code that Windows Update reports.

On the sick Windows itself it takes the machine's own settings and walks over
WinHTTP as the account that Windows Update runs as, which takes an administrator,
or with --as user as whoever started it. On any other machine it walks as the current
user and with its own network stack; --proxy, --pac, --wsus, --url and
--source-address stand in for the sick machine's settings, and --from takes them from
its evidence. On the sick Windows they stand in for its own.

Only requests that write nothing on a server are sent, unless --deep is given.
A password in --proxy is used for that proxy alone and never shown.

Exit codes: 0 the route is open, 1 it is broken, 2 wrong usage, 3 nothing could
be walked.`,
		Example: `  updoc trace                                             this Windows; elsewhere Microsoft, directly
  updoc trace --as user                                   this Windows, as the user and not as SYSTEM
  updoc trace --proxy http://proxy.example:8080           through a proxy
  updoc trace --pac http://wpad.example/wpad.dat
  updoc trace --wsus http://WSUS01.corp.example:8530
  updoc trace --url http://download.windowsupdate.com/    one address only
  updoc trace --from evidence.zip                         with that machine's settings`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("redact") {
				t.redacted = t.format == "md" || t.format == "html"
			}
			return env.trace(cmd.Context(), t)
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.proxy, "proxy", "", "the proxy of the sick machine: http://[user:password@]host:port, or a list such as http=a:1;https=b:2")
	f.StringVar(&t.pac, "pac", "", "the address of its proxy configuration script")
	f.StringVar(&t.wsus, "wsus", "", "the WSUS that policy names, letter case as there")
	f.StringArrayVar(&t.urls, "url", nil, "walk this address, and only those given; may be repeated")
	f.StringArrayVar(&t.from, "from", nil, "take the settings from this evidence: a folder, zip or file; may be repeated")
	f.StringArrayVar(&t.names, "name", nil, "the real name behind a pseudonym of redacted evidence: PSEUDONYM=NAME; may be repeated")
	f.StringVar(&t.source, "source-address", "", "send from this address of this machine")
	f.StringVar(&t.dns, "dns", "", "ask this name server (address or address:port) instead of the system's")
	f.StringArrayVar(&t.trust, "trust", nil, "a PEM file of roots to trust beside the system's; may be repeated")
	f.StringVar(&t.as, "as", "", "the account to walk as, on the sick Windows itself: system, or user for yourself (default system if it can be had)")
	t.kerberos.add(cmd)
	f.BoolVar(&t.deep, "deep", false, "go on with calls that may write on a WSUS, with the machine's own id")
	f.IntVar(&t.repeat, "repeat", 0, "ask each way this many times more, to tell a steady line from a flaky one")
	f.BoolVar(&t.all, "all", false, "draw every hop of every way")
	f.BoolVar(&t.advice, "advice", false, "show everything that can be pasted, and not only what fits the cause")
	f.BoolVar(&t.plain, "plain", false, "write it, and do not fill the terminal first")
	f.StringVar(&t.format, "format", "text", "text, json, md (tickets) or html (one file)")
	f.BoolVar(&t.redacted, "redact", false, "replace names and addresses by pseudonyms (on for md and html)")
	f.StringVarP(&t.output, "output", "o", "", "write to this file instead of standard output")
	for name, choices := range map[string][]string{"format": traceFormats, "as": {asSystem, asUser}} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
	}
	return cmd
}

func (env *Env) trace(ctx context.Context, t traceFlags) error {
	if !slices.Contains(traceFormats, t.format) {
		return usage("the formats are "+strings.Join(traceFormats, ", "), "no such format: %q", t.format)
	}
	if err := t.checkAs(env); err != nil {
		return err
	}
	if t.repeat < 0 || t.repeat > maxRepeat {
		return usage("e.g. --repeat 10", "--repeat must be from 0 to %d", maxRepeat)
	}
	// What was asked for wrongly is said before a machine is read.
	if len(t.from) == 0 && len(t.names) > 0 {
		return usage("give the redacted evidence with --from", "--name is for names in evidence")
	}
	if _, err := t.apply(&route.Settings{}); err != nil {
		return err
	}
	bar := env.progress()
	f, err := t.collect(ctx, env, bar)
	if err != nil {
		return err
	}
	var settings route.Settings
	switch {
	case len(t.from) > 0:
		if settings, err = env.realNames(f.RouteSettings(), t.names); err != nil {
			return err
		}
	case t.live(env):
		settings = f.RouteSettings()
	}
	signIn, err := t.apply(&settings)
	if err != nil {
		return err
	}
	prober, err := t.prober(env, f, settings, signIn)
	if err != nil {
		return err
	}
	if t.deep {
		what, why := settings.GoesDeep()
		if what == "" {
			return usage("--from takes the id and the name from the machine's own evidence, --wsus names the server", "--deep: %s", why)
		}
		if _, err := fmt.Fprintln(env.Stderr, "going deep: "+what); err != nil {
			return err
		}
	}
	w, done, err := env.output(t.output)
	if err != nil {
		return err
	}
	x, as, leave, err := t.sender(ctx, env, prober)
	if err != nil {
		return done(err)
	}
	defer leave()
	now := time.Now
	if prober.Now != nil {
		now = prober.Now
	}
	walker := route.Walker{
		Exchanger: x, As: as, Scripts: &pac.Sandbox{},
		Env: pac.Env{Dialect: pac.JScript, Lookup: prober.Lookup, Now: now()},
		Net: prober.Net, Echo: env.Echo, Now: prober.Now, Times: []string{"time.windows.com:123"}, Repeat: t.repeat, Deep: t.deep,
		Done: func(n, total int) { bar.step("walking", n, total) },
	}
	plan := route.PlanOptions{URLs: t.urls, Now: now()}
	if len(t.urls) > 0 {
		plan.Only = []string{"url"}
	}
	walked := prepare(t.format)
	f.AddWalk(walker.Walk(ctx, settings, settings.Plan(plan)))
	bar.done()
	walked()
	if err := ctx.Err(); err != nil {
		return done(err)
	}
	doc := report.New(f, cause.Diagnose(f), report.Options{Redact: t.redacted}).Walked()
	if t.output == "" && t.format == "text" && !t.plain && env.fullScreen() {
		if err := env.showRoute(ctx, doc); err != nil {
			return done(err)
		}
	}
	if err := writeRoute(w, doc, t.format, env.style(w), report.RouteOptions{All: t.all, Advice: t.advice}); err != nil {
		return done(err)
	}
	switch doc.Verdict {
	case "open":
		return done(nil)
	case "broken":
		return done(exit(ExitProblems))
	}
	return done(exit(ExitUnknown))
}

// idleAfter is how long a walk takes where nobody has to be waited for.
const idleAfter = 100 * time.Millisecond

// prepare has everything at hand that the report of a walk is made with, while the walk
// waits for others: it makes the report of one that has a bit of each. Where the walk ends
// at once there is none of that. The returned function is called when it has ended.
func prepare(format string) (walked func()) {
	done := make(chan struct{})
	t := time.AfterFunc(idleAfter, func() {
		defer close(done)
		var f facts.Facts
		f.AddWalk(rehearsal())
		doc := report.New(&f, cause.Diagnose(&f), report.Options{}).Walked()
		_ = writeRoute(io.Discard, doc, format, report.Style{}, report.RouteOptions{})
	})
	return func() {
		if !t.Stop() {
			<-done
		}
	}
}

// rehearsal is a walk of one request with every kind of leg.
func rehearsal() *route.Walk {
	ex := host.Exchange{Request: host.Request{URL: "https://www.example.com/", Method: "GET"}, Hops: []host.Hop{
		{Kind: host.HopDecision},
		{Kind: host.HopDNS, Target: "www.example.com", Addresses: []netip.Addr{netip.IPv4Unspecified()}},
		{Kind: host.HopTCP, Remote: netip.AddrPortFrom(netip.IPv4Unspecified(), 443)},
		{Kind: host.HopProxy, Challenges: []host.Challenge{{Scheme: "Basic"}}},
		{Kind: host.HopTLS, TLS: &host.TLS{Version: "TLS 1.2", Chain: []host.Certificate{{Subject: "www.example.com"}}}},
		{Kind: host.HopHTTP, Fault: host.FaultTimeout},
	}}
	t := route.Trip{Task: route.Task{ID: "url.1", Caller: route.Agent, Request: ex.Request, Vital: true}, Attempts: []route.Attempt{{Walked: true, Exchange: ex}}}
	t.Predict = route.Predict(t.Task.Caller, &ex)
	return &route.Walk{Trips: []route.Trip{t}, Clock: &route.Clock{}}
}

// realNames asks for the names that redaction took from the evidence: nobody can be
// asked for a pseudonym. An empty answer leaves a name as it is.
func (env *Env) realNames(s route.Settings, given []string) (route.Settings, error) {
	names := map[string]string{}
	for _, g := range given {
		pseudonym, name, ok := strings.Cut(g, "=")
		if !ok || pseudonym == "" || name == "" {
			return s, usage("e.g. --name h-bcdfghj=proxy.corp.example", "--name %q is not PSEUDONYM=NAME", g)
		}
		names[pseudonym] = name
	}
	s = s.Rename(names)
	if len(s.Redacted) == 0 {
		return s, nil
	}
	in, ok := env.Stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return s, usage("give the real names, e.g. --name "+s.Redacted[0]+"=proxy.corp.example", "names in the evidence are redacted: %s", strings.Join(s.Redacted, ", "))
	}
	lines := bufio.NewScanner(in)
	for _, pseudonym := range s.Redacted {
		fmt.Fprintf(env.Stderr, "The real name behind %s (empty: leave it out): ", oneLine(pseudonym))
		if !lines.Scan() {
			break
		}
		if name := strings.TrimSpace(lines.Text()); name != "" {
			names[pseudonym] = name
		}
	}
	return s.Rename(names), nil
}

// collectFor reads the evidence that settings are taken from.
func collectFor(ctx context.Context, from []string) (*facts.Facts, error) {
	if len(from) == 0 {
		return &facts.Facts{}, nil
	}
	groups, err := machines(from)
	if err != nil {
		return nil, err
	}
	if len(groups) > 1 {
		return nil, usage("give the evidence of one machine", "--from names %d machines", len(groups))
	}
	h, err := host.OpenRecorded(ctx, groups[0].paths...)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	return facts.Collect(ctx, h, facts.Options{}), ctx.Err()
}

// live reports that the machine that updoc runs on is the sick one: nothing else was
// named.
func (t *traceFlags) live(env *Env) bool { return env.Live != nil && len(t.from) == 0 }

// ownStack names a flag that only updoc's own network stack can follow: WinHTTP takes
// its name servers, roots and source address from Windows, and no password.
func (t *traceFlags) ownStack() string {
	_, creds := proxyauth.CutUserinfo(t.proxy)
	switch {
	case t.source != "":
		return "--source-address"
	case t.dns != "":
		return "--dns"
	case len(t.trust) > 0:
		return "--trust"
	case t.kerberos.wanted():
		return "--kerberos"
	case !creds.IsEmpty():
		return "a password in --proxy"
	}
	return ""
}

// checkAs holds that the account that was asked for can be walked as.
func (t *traceFlags) checkAs(env *Env) error {
	switch {
	case t.as != "" && t.as != asSystem && t.as != asUser:
		return usage("--as is system or user", "no such account: %q", t.as)
	case t.as == asSystem && (env.As == nil || !t.live(env)):
		return usage("run it on the sick Windows machine, or leave --as out", "only the sick Windows itself can be walked as SYSTEM")
	case t.as == asSystem && t.ownStack() != "":
		return usage("leave one of them out", "%s is for updoc's own network stack, which does not walk as SYSTEM", t.ownStack())
	}
	return nil
}

// collect reads what the settings are taken from: the evidence, this Windows, or
// nothing.
func (t *traceFlags) collect(ctx context.Context, env *Env, bar *bar) (*facts.Facts, error) {
	if !t.live(env) {
		return collectFor(ctx, t.from)
	}
	h, done, err := env.openLive(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	defer bar.done()
	return facts.Collect(ctx, h, facts.Options{Progress: bar.update}), ctx.Err()
}

// sender is who makes the requests of a walk, and the account that it is.
func (t *traceFlags) sender(ctx context.Context, env *Env, prober *route.Prober) (x host.Exchanger, as string, done func(), err error) {
	if !t.live(env) || t.ownStack() != "" {
		return prober, currentUser(), func() {}, nil
	}
	if t.as == "" {
		x, as, done = env.sender(ctx, prober)
		return x, as, done, nil
	}
	if x, as, done, err = env.senderAs(ctx, t.as); err != nil {
		if env.As == nil && t.as == asUser {
			return prober, currentUser(), func() {}, nil
		}
		return nil, "", nil, &hinted{fmt.Errorf("walk as %s: %w", t.as, err), "start updoc as administrator, or walk with --as user", ExitNotAllowed}
	}
	return x, as, done, nil
}

// apply puts the flags over the settings. The credentials of a proxy address are
// taken out of it, so that no setting holds them.
func (t *traceFlags) apply(s *route.Settings) (func(string) (proxyauth.Credentials, bool), error) {
	var signIn func(string) (proxyauth.Credentials, bool)
	if t.proxy != "" || t.pac != "" {
		p := route.Proxy{Known: true, Source: "--proxy"}
		var creds proxyauth.Credentials
		p.Static, creds = proxyauth.CutUserinfo(t.proxy)
		if t.pac != "" {
			t.pac, _ = proxyauth.CutUserinfo(t.pac)
			if !isWeb(t.pac) {
				return nil, usage("WinHTTP reads scripts over http and https only, e.g. http://wpad.example/wpad.dat", "--pac is not an http or https address")
			}
			p.PAC, p.Source = t.pac, "--pac"
		}
		if list := route.ParseProxyList(p.Static); t.proxy != "" && len(list.Entries) == 0 {
			return nil, usage("e.g. --proxy http://proxy.example:8080", "--proxy names no proxy")
		}
		if !creds.IsEmpty() {
			signIn = func(string) (proxyauth.Credentials, bool) { return creds, true }
		}
		s.Machine, s.Internet, s.User = p, p, p
		s.Accounts = map[route.Account]route.Proxy{route.System: p, route.LocalService: p, route.NetworkService: p}
	} else if !s.Machine.Known && len(t.from) == 0 {
		direct := route.Proxy{Known: true, Source: "no --proxy was given"}
		s.Machine, s.Internet, s.User = direct, direct, direct
		s.Accounts = map[route.Account]route.Proxy{route.System: direct, route.LocalService: direct, route.NetworkService: direct}
	}
	if t.wsus != "" {
		if t.wsus, _ = proxyauth.CutUserinfo(t.wsus); !isWeb(t.wsus) {
			return nil, usage("e.g. --wsus http://wsus.corp.example:8530", "--wsus is not an http or https address")
		}
		s.WSUS, s.UseWSUS = t.wsus, true
	}
	for _, raw := range t.urls {
		if !isWeb(raw) {
			return nil, usage("e.g. --url http://download.windowsupdate.com/", "--url is not an http or https address")
		}
	}
	return signIn, nil
}

// isWeb reports an http or https address.
func isWeb(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Hostname() != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// prober is updoc's own network stack, as the flags and, on the sick Windows itself, the
// settings want it.
func (t *traceFlags) prober(env *Env, f *facts.Facts, settings route.Settings, signIn func(string) (proxyauth.Credentials, bool)) (*route.Prober, error) {
	var p route.Prober
	var sys route.OS
	if t.source != "" {
		a, err := netip.ParseAddr(t.source)
		if err != nil {
			return nil, usage("give an IP address of this machine, e.g. --source-address 192.0.2.7", "--source-address %q is not an address", t.source)
		}
		sys.Source = a
	}
	if t.dns != "" {
		if sys.DNS = t.dns; net.ParseIP(t.dns) != nil {
			sys.DNS = net.JoinHostPort(t.dns, "53")
		}
		if _, err := netip.ParseAddrPort(sys.DNS); err != nil {
			return nil, usage("give an address, e.g. --dns 192.0.2.53", "--dns %q is not an address", t.dns)
		}
	}
	if t.live(env) {
		p = env.Network
		p.MaxTLS, p.Hosts = settings.MaxTLS, hostsFile(f)
	}
	if p.Net == nil || t.source != "" || t.dns != "" {
		p.Net = sys
	}
	if signIn != nil {
		p.SignIn = signIn
	}
	if t.kerberos.wanted() {
		_, creds := proxyauth.CutUserinfo(t.proxy)
		p.Tokens = t.kerberos.tickets(creds)
	}
	if len(t.trust) > 0 {
		p.Trust = x509.NewCertPool()
		for _, name := range t.trust {
			pem, err := os.ReadFile(name)
			if err != nil {
				return nil, usage("check the path given to --trust", "%w", err)
			}
			if !p.Trust.AppendCertsFromPEM(pem) {
				return nil, usage("give a PEM file with BEGIN CERTIFICATE blocks", "%s holds no certificate", name)
			}
		}
	}
	return route.NewProber(p), nil
}

func currentUser() string {
	u, err := user.Current()
	if err != nil {
		return "the current user"
	}
	return u.Username
}

func writeRoute(w io.Writer, doc *report.RouteDocument, format string, style report.Style, opt report.RouteOptions) error {
	switch format {
	case "json":
		return report.WriteRouteJSON(w, doc)
	case "md":
		return report.RouteMarkdown(w, doc)
	case "html":
		return report.RouteHTML(w, doc)
	}
	return report.RouteText(w, doc, style, opt)
}
