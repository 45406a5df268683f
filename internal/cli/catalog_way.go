package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/net/http/httpproxy"

	"updoc/internal/catalog"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/proxyauth"
	"updoc/internal/relay"
	"updoc/internal/route"
	"updoc/internal/route/pac"
)

// wayFlags say how the catalogue is reached from here.
type wayFlags struct {
	trace      traceFlags // of which it has the proxy, the script, the name server, the roots
	user       string
	passwordFD int
	lab        string
}

func (t *wayFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.trace.proxy, "proxy", "", "the proxy to go through: http://host:port, or a list such as http=a:1;https=b:2 (default: this machine's own)")
	f.StringVar(&t.trace.pac, "pac", "", "the address of a proxy configuration script")
	f.StringVar(&t.user, "user", "", `who signs in at the proxy: name, DOMAIN\name or name@domain; the password is asked for`)
	f.IntVar(&t.passwordFD, "password-fd", -1, "read the password from this file descriptor (its first line) instead of asking")
	t.trace.kerberos.add(cmd)
	f.StringVar(&t.trace.dns, "dns", "", "ask this name server (address or address:port) instead of the system's")
	f.StringArrayVar(&t.trace.trust, "trust", nil, "a PEM file of roots to trust beside the system's, for the connection; may be repeated")
	f.StringVar(&t.lab, "lab", "", "the simulated machine in this directory, and the world that it is in")
}

// way is how the catalogue is reached, and the machine that it is reached from.
type way struct {
	env      *Env
	facts    *facts.Facts // of this machine; nil where there is no Windows
	language string       // of its Windows; "" unknown
	roots    []*x509.Certificate
	net      catalog.Network

	settings route.Settings
	prober   *route.Prober
	creds    proxyauth.Credentials
	tokens   func(string) proxyauth.Tokener
	environ  func(*url.URL) (*url.URL, error) // where nothing else says which proxy

	ctx    context.Context // relays live as long
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	via    map[string]string // by scheme and host: the proxy, "" directly
	relays map[string]*within
	done   []func()
}

// way opens the way to the catalogue; close ends it.
func (env *Env) way(ctx context.Context, t wayFlags, bar *bar) (*way, error) {
	if t.user != "" && t.trace.proxy == "" && t.trace.pac == "" && env.Live == nil && t.lab == "" && env.environ("https") == "" {
		return nil, usage("name the proxy with --proxy", "--user is for a proxy")
	}
	w := &way{env: env, via: map[string]string{}, relays: map[string]*within{}}
	w.ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := w.open(ctx, t, bar); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *way) open(ctx context.Context, t wayFlags, bar *bar) error {
	base := w.env.Network
	w.roots = w.env.PackageRoots
	switch {
	case t.lab != "":
		p, _, err := openLab(t.lab)
		if err != nil {
			return err
		}
		w.done = append(w.done, func() { _ = p.Close() })
		world := p.(labPatient).World()
		root, err := world.PackageRoot()
		if err != nil {
			return err
		}
		w.roots = []*x509.Certificate{root}
		base = route.Prober{Net: world, Roots: world.Trusted(), Microsoft: world.Roots(), Now: world.MachineNow}
		w.facts, w.language = facts.Collect(ctx, p, facts.Options{}), languageOf(ctx, p)
	case w.env.Live != nil:
		h, done, err := w.env.openLive(ctx)
		if err != nil {
			return err
		}
		w.facts, w.language = facts.Collect(ctx, h, facts.Options{Progress: bar.update}), languageOf(ctx, h)
		done()
		bar.done()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f := w.facts
	if f == nil {
		f = &facts.Facts{}
		if t.trace.proxy == "" && t.trace.pac == "" { // as other programs of this system do
			c := httpproxy.Config{HTTPProxy: w.env.environ("http"), HTTPSProxy: w.env.environ("https"), NoProxy: w.env.environ("no")}
			w.environ = c.ProxyFunc()
		}
	}
	w.settings = f.RouteSettings()
	signIn, err := t.trace.apply(&w.settings)
	if err != nil {
		return err
	}
	if signIn != nil {
		w.creds, _ = signIn("")
	}
	if t.user != "" {
		password := ""
		if !t.trace.kerberos.wanted() || t.passwordFD >= 0 {
			if password, err = w.env.password(t.passwordFD); err != nil {
				return err
			}
		}
		w.creds = proxyauth.ParseLogin(t.user, password)
		signIn = func(string) (proxyauth.Credentials, bool) { return w.creds, true }
	}
	p, err := t.trace.prober(w.env, f, w.settings, signIn)
	if err != nil {
		return err
	}
	if base.Net != nil && t.trace.dns == "" {
		p.Net, p.Roots, p.Microsoft, p.Now = base.Net, base.Roots, base.Microsoft, base.Now
	}
	p.MaxTLS = 0 // this program's own connections are no part of the machine's trouble
	if t.trace.kerberos.wanted() {
		w.tokens = t.trace.kerberos.tickets(w.creds)
		p.Tokens = w.tokens
	}
	w.prober = p
	conf := &tls.Config{RootCAs: p.Roots, Time: p.Now, MinVersion: tls.VersionTLS12}
	if p.Trust != nil {
		if conf.RootCAs, err = x509.SystemCertPool(); err != nil || p.Roots != nil {
			conf.RootCAs = x509.NewCertPool()
		}
		for _, name := range t.trace.trust {
			pem, err := os.ReadFile(name)
			if err != nil {
				return usage("check the path given to --trust", "%w", err)
			}
			conf.RootCAs.AppendCertsFromPEM(pem)
		}
	}
	w.net = catalog.Network{Dial: w.dial, Proxy: w.proxy, TLS: conf}
	return nil
}

// languageOf is the language in which a machine's Windows was installed, "de"; "" if it
// cannot be told.
func languageOf(ctx context.Context, h host.Reader) string {
	key, err := h.Key(ctx, `HKLM\SYSTEM\CurrentControlSet\Control\Nls\Language`)
	if err != nil {
		return ""
	}
	v, _ := key.Value("InstallLanguage")
	text, _ := v.String() // "0407"
	id, err := strconv.ParseUint(text, 16, 16)
	if err != nil {
		return ""
	}
	return languageIDs[id&0x3ff]
}

// languageIDs are the languages of Windows by the lower ten bits of their identifiers, but
// for those that share one. [MS-LCID] section 2.2.
var languageIDs = map[uint64]string{
	0x01: "ar", 0x02: "bg", 0x04: "zh", 0x05: "cs", 0x06: "da", 0x07: "de", 0x08: "el", 0x09: "en", 0x0a: "es", 0x0b: "fi", 0x0c: "fr", 0x0d: "he",
	0x0e: "hu", 0x10: "it", 0x11: "ja", 0x12: "ko", 0x13: "nl", 0x14: "nb", 0x15: "pl", 0x16: "pt", 0x18: "ro", 0x19: "ru", 0x1b: "sk", 0x1d: "sv",
	0x1e: "th", 0x1f: "tr", 0x22: "uk", 0x24: "sl", 0x25: "et", 0x26: "lv", 0x27: "lt",
}

// environ returns the proxy variable of the environment, in the letters in which programs
// look for it.
func (env *Env) environ(scheme string) string {
	for _, name := range []string{strings.ToLower(scheme) + "_proxy", strings.ToUpper(scheme) + "_PROXY"} {
		if v := env.Getenv(name); v != "" && (scheme != "http" || env.Getenv("REQUEST_METHOD") == "") {
			return v
		}
	}
	return ""
}

func (w *way) close() {
	w.cancel()
	w.wg.Wait()
	for _, f := range w.done {
		f()
	}
}

// relayPort marks the addresses of relays within this program.
const relayPort = "1"

// dial connects to a relay of this program, or to the network.
func (w *way) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	w.mu.Lock()
	r := w.relays[addr]
	w.mu.Unlock()
	if r != nil {
		return r.dial(ctx)
	}
	if _, ok := w.prober.Net.(route.OS); ok {
		name, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return w.each(ctx, network, name, port)
	}
	return w.prober.Net.DialContext(ctx, network, addr)
}

// each tries the addresses of a name one after the other, asked of the name server that
// was given.
func (w *way) each(ctx context.Context, network, name, port string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if _, err := netip.ParseAddr(name); err == nil || w.prober.Net.(route.OS).DNS == "" {
		return w.prober.Net.DialContext(ctx, network, net.JoinHostPort(name, port))
	}
	addrs, err := w.prober.Lookup(ctx, name)
	if err != nil {
		return nil, err
	}
	first := fmt.Errorf("%s has no address", name)
	for i, a := range addrs {
		one, cancel := context.WithTimeout(ctx, 5*time.Second)
		c, err := w.prober.Net.DialContext(one, network, net.JoinHostPort(a.Unmap().String(), port))
		cancel()
		if err == nil {
			return c, nil
		}
		if i == 0 {
			first = err
		}
	}
	return nil, first
}

// proxy says which proxy an address is asked through: the first of those that the
// machine's settings lead to through which the host answers.
func (w *way) proxy(ctx context.Context, target *url.URL) (*url.URL, error) {
	if w.environ != nil {
		u, err := w.environ(target)
		if err != nil || u == nil || u.Scheme != "http" {
			return u, err
		}
		clean, creds := proxyauth.CutUserinfo(u.String())
		if !creds.IsEmpty() && w.creds.IsEmpty() {
			w.creds = creds
		}
		return w.through(ctx, clean)
	}
	all := []route.Proxy{w.settings.Machine, w.settings.User, w.settings.Internet}
	for _, p := range w.settings.Accounts {
		all = append(all, p)
	}
	direct := true
	for _, p := range all {
		direct = direct && (!p.Known || p.Direct())
	}
	if direct {
		return nil, nil
	}
	key := target.Scheme + "://" + target.Host + "/"
	w.mu.Lock()
	via, ok := w.via[key]
	w.mu.Unlock()
	if !ok {
		var err error
		if via, err = w.decide(ctx, key); err != nil {
			return nil, err
		}
		w.mu.Lock()
		w.via[key] = via
		w.mu.Unlock()
	}
	if via == "" {
		return nil, nil
	}
	return w.through(ctx, via)
}

// noWay says that a host answers through none of the ways that the settings lead to.
type noWay struct {
	host, seen string
	signIn     bool
}

func (e *noWay) Error() string {
	return fmt.Sprintf("%s cannot be reached: %s", strings.TrimSuffix(e.host, "/"), e.seen)
}

// decide walks the ways to a host, as Windows would take them, and returns the proxy of
// the first that leads there; "" is the direct way.
func (w *way) decide(ctx context.Context, address string) (string, error) {
	now := time.Now
	if w.prober.Now != nil {
		now = w.prober.Now
	}
	walker := route.Walker{
		Exchanger: w.prober, As: "updoc", Scripts: &pac.Sandbox{}, Now: w.prober.Now,
		Env: pac.Env{Dialect: pac.JScript, Lookup: w.prober.Lookup, Now: now()},
	}
	walk := walker.Walk(ctx, w.settings, w.settings.Plan(route.PlanOptions{URLs: []string{address}, Only: []string{"url"}, Now: now()}))
	if err := ctx.Err(); err != nil {
		return "", err
	}
	bad := &noWay{host: address, seen: "no way was tried"}
	for i := range walk.Trips {
		for j := range walk.Trips[i].Attempts {
			a := &walk.Trips[i].Attempts[j]
			if !a.Walked {
				continue
			}
			broken := a.Exchange.Broken()
			// A host of content answers 404 to its front page, and is there.
			if broken == nil || broken.Fault == host.FaultStatus || broken.Fault == host.FaultRedirect {
				return a.Exchange.Request.Via.Proxy, nil
			}
			if bad.seen == "no way was tried" || !a.Beside {
				bad.seen = broken.Tell()
			}
			bad.signIn = bad.signIn || broken.Fault == host.FaultProxyAuth || broken.Fault == host.FaultSignIn
		}
	}
	return "", bad
}

// through returns the address at which a proxy is spoken to: its own, or that of a relay
// within this program that signs in there.
func (w *way) through(ctx context.Context, proxy string) (*url.URL, error) {
	u, err := url.Parse(proxy)
	if err != nil || u.Host == "" {
		return nil, usage("e.g. --proxy http://proxy.example:8080", "the address of the proxy makes no sense")
	}
	if w.creds.IsEmpty() && w.tokens == nil {
		return u, nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	addr := net.JoinHostPort(u.Host+".relay", relayPort)
	if w.relays[addr] == nil {
		port := u.Port()
		if port == "" {
			port = "80"
		}
		at := net.JoinHostPort(u.Hostname(), port)
		r := &relay.Relay{Proxy: at, Credentials: w.creds, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return w.prober.Net.DialContext(ctx, network, addr)
		}}
		if w.tokens != nil {
			r.Tokens = w.tokens(at)
		}
		in := newWithin()
		w.relays[addr] = in
		w.wg.Go(func() { _ = r.Serve(w.ctx, in) }) // ends with the command
	}
	return &url.URL{Scheme: "http", Host: addr}, nil
}

// within is a listener that nobody outside this program can reach: what goes through it
// is signed in for.
type within struct {
	conns chan net.Conn
	over  chan struct{}
	once  sync.Once
}

func newWithin() *within { return &within{conns: make(chan net.Conn), over: make(chan struct{})} }

var errOver = errors.New("the relay is closed")

func (l *within) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- inner{far}:
		return inner{near}, nil
	case <-l.over:
		return nil, errOver
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements [net.Listener].
func (l *within) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.over:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (l *within) Close() error {
	l.once.Do(func() { close(l.over) })
	return nil
}

// Addr implements [net.Listener].
func (l *within) Addr() net.Addr { return innerAddr }

var innerAddr = net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:1"))

// inner is one end of a connection within this program, which counts as one of this
// machine.
type inner struct{ net.Conn }

func (inner) LocalAddr() net.Addr  { return innerAddr }
func (inner) RemoteAddr() net.Addr { return innerAddr }
