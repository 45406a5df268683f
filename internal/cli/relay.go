package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"updoc/internal/host"
	"updoc/internal/proxyauth"
	"updoc/internal/relay"
	"updoc/internal/route"
	"updoc/internal/route/pac"
)

// Leases of a relay.
const (
	defaultLease = 2 * time.Hour
	maxLease     = 24 * time.Hour
)

// relayFlags are the flags of updoc relay.
type relayFlags struct {
	proxy, user, listen string
	passwordFD          int
	own                 []string
	lease               time.Duration
	before, bypass, pac string
	kerberos            kerberosFlags
	set, yes            bool
	lab                 string
}

func newRelay(env *Env) *cobra.Command {
	var t relayFlags
	cmd := &cobra.Command{
		Use:   "relay [--set] --proxy HOST:PORT",
		Short: "Forward update requests through a proxy that wants a sign-in, on loopback",
		Long: `For the machine whose proxy will not let the update services through and that
nobody can change: a forwarder on loopback that answers the proxy's challenge and
passes requests for update hosts on, nothing else. It ends with its lease.

It serves a configuration script that sends update hosts to the relay and leaves
every other destination with the decision it had; --before, --bypass and --pac say
what that was. On Windows only the services that update it may use the relay.

With --set it reads the proxy settings of this machine, has those of the update
services lead to the relay, and tries whether updates are found then. The settings
are taken back when the relay ends: with Ctrl-C, with its lease, and also if it is
killed. It takes an administrator.

The password is asked for, or read from a file descriptor, never taken from the
command line, and held in memory only.`,
		Example: `  updoc relay --proxy proxy.example:8080 --user FABRIKAM\anna
  updoc relay --proxy proxy.example:8080 --user anna --password-fd 3 3<secret
  updoc relay --proxy proxy.example:8080 --kerberos
  updoc relay --set --user FABRIKAM\anna         for the proxy that Windows' services have
  updoc relay --proxy proxy.example:8080 --user anna --own wsus.corp.example:8530 --lease 30m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if t.set {
				return env.relaySet(cmd.Context(), t)
			}
			return env.relay(cmd.Context(), t)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&t.set, "set", false, "have the update services of this machine use the relay while it runs")
	f.BoolVarP(&t.yes, "yes", "y", false, "with --set: do not ask before the settings are changed")
	f.StringVar(&t.lab, "lab", "", "with --set: the simulated machine in this directory")
	f.StringVar(&t.proxy, "proxy", "", "the proxy to forward to: host:port; default with --set: the one that Windows' services have")
	f.StringVar(&t.user, "user", "", `who signs in at it: name, DOMAIN\name or name@domain`)
	f.IntVar(&t.passwordFD, "password-fd", -1, "read the password from this file descriptor (its first line) instead of asking")
	t.kerberos.add(cmd)
	f.StringVar(&t.listen, "listen", "127.0.0.1:0", "where to listen; loopback only")
	f.StringArrayVar(&t.own, "own", nil, "an update server of your own to let through: host or host:port; may be repeated")
	f.DurationVar(&t.lease, "lease", defaultLease, "how long the relay lives, at most 24h")
	f.StringVar(&t.before, "before", "", "the proxy list that other destinations keep; default: the direct way")
	f.StringVar(&t.bypass, "bypass", "", "its exceptions")
	f.StringVar(&t.pac, "pac", "", "the configuration script whose decisions other destinations keep: address or file")
	return cmd
}

func (env *Env) relay(ctx context.Context, t relayFlags) error {
	proxy, err := t.address()
	if err != nil {
		return err
	}
	before, err := t.decisions(ctx)
	if err != nil {
		return err
	}
	r, err := t.signIn(env, proxy)
	if err != nil {
		return err
	}
	r.Before, r.Admit = before, env.Admit
	l, err := t.open()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, t.lease)
	defer cancel()
	fmt.Fprintf(env.Stdout, "relay   %s -> %s\nscript  http://%s%s\nlease   until %s; Ctrl-C ends it\n",
		l.Addr(), r.Proxy, l.Addr(), relay.PACPath, time.Now().Add(t.lease).Format(time.DateTime))
	err = r.Serve(ctx, l)
	env.tellStats(r)
	return err
}

// address is the proxy that the flags name: "proxy.example:8080".
func (t *relayFlags) address() (string, error) {
	address, creds := proxyauth.CutUserinfo(t.proxy)
	if !creds.IsEmpty() {
		return "", usage("give the name with --user; the password is asked for", "--proxy holds credentials, and other users can read command lines")
	}
	list := route.ParseProxyList(address)
	if len(list.Entries) != 1 || list.Entries[0].Scheme != "http" {
		return "", usage("e.g. --proxy proxy.example:8080", "--proxy is not the address of one http proxy")
	}
	if err := t.checkLease(); err != nil {
		return "", err
	}
	e := list.Entries[0]
	return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))), nil
}

func (t *relayFlags) checkLease() error {
	if t.lease <= 0 || t.lease > maxLease {
		return usage("e.g. --lease 2h", "--lease must be more than nothing and at most %s", maxLease)
	}
	return nil
}

// signIn asks for what the proxy wants, and returns a relay that has it.
func (t *relayFlags) signIn(env *Env, proxy string) (*relay.Relay, error) {
	r := &relay.Relay{Proxy: proxy, Own: t.own}
	if t.user != "" {
		password := ""
		if !t.kerberos.wanted() || t.passwordFD >= 0 {
			var err error
			if password, err = env.password(t.passwordFD); err != nil {
				return nil, err
			}
		}
		r.Credentials = proxyauth.ParseLogin(t.user, password)
	}
	if t.kerberos.wanted() {
		r.Tokens = t.kerberos.tickets(r.Credentials)(proxy)
		if _, err := r.Tokens.Token(nil); err != nil {
			return nil, usage("kinit NAME@REALM first, or give --keytab FILE with --user NAME@REALM", "%w", err)
		}
		if r.Credentials.Password.IsEmpty() {
			r.Credentials = proxyauth.Credentials{}
		}
	}
	return r, nil
}

func (t *relayFlags) open() (net.Listener, error) {
	l, err := relay.Listen(t.listen)
	if err != nil {
		return nil, usage("choose a free port of this machine, e.g. --listen 127.0.0.1:0", "listen: %w", err)
	}
	return l, nil
}

func (env *Env) tellStats(r *relay.Relay) {
	s := r.Stats()
	fmt.Fprintf(env.Stdout, "passed %d, failed %d, refused: %d other destinations, %d other programs, %d other machines, %d too many, %d malformed; %d bytes sent, %d received\n",
		s.Passed, s.Failed, s.RefusedHost, s.RefusedProgram, s.RefusedPeer, s.RefusedBusy, s.Malformed, s.Sent, s.Received)
}

// decisions reads what other destinations keep.
func (t *relayFlags) decisions(ctx context.Context) (relay.Before, error) {
	b := relay.Before{Static: t.before, Bypass: t.bypass}
	if t.pac == "" {
		return b, nil
	}
	hint := "give the address of the script, e.g. http://wpad.example/wpad.dat, or a file"
	if isWeb(t.pac) {
		var err error
		if b.Script, err = fetchScript(ctx, route.NewProber(route.Prober{}), t.pac); err != nil {
			return b, usage(hint, "fetch --pac: %w", err)
		}
		return b, nil
	}
	text, err := os.ReadFile(t.pac)
	if err != nil {
		return b, usage(hint, "read --pac: %w", err)
	}
	b.Script = string(text)
	return b, nil
}

// fetchScript gets the text of a configuration script.
func fetchScript(ctx context.Context, x host.Exchanger, address string) (string, error) {
	ex, err := x.Exchange(ctx, host.Request{ID: "relay.script", Method: "GET", URL: address, Keep: pac.MaxScript})
	switch broken := ex.Broken(); {
	case err != nil:
		return "", err
	case broken != nil:
		return "", errors.New(broken.Tell())
	case ex.Status != 200:
		return "", fmt.Errorf("HTTP %d", ex.Status)
	}
	return string(ex.Body), nil
}

// password reads the password from a descriptor, or asks for it without showing it.
func (env *Env) password(fd int) (string, error) {
	if fd >= 0 {
		f := os.NewFile(uintptr(fd), "password")
		if f == nil {
			return "", usage("e.g. --password-fd 3 3<secret", "--password-fd %d is not open", fd)
		}
		defer f.Close()
		return firstLine(f)
	}
	in, ok := env.Stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return "", usage("e.g. --password-fd 3 3<secret", "nobody can be asked for the password here")
	}
	fmt.Fprint(env.Stderr, "Password for the proxy (not shown): ")
	b, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(env.Stderr)
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(b), nil
}

func firstLine(r io.Reader) (string, error) {
	const maxPassword = 4 << 10
	line, err := bufio.NewReader(io.LimitReader(r, maxPassword)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", usage("e.g. --password-fd 3 3<secret", "the password cannot be read")
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", usage("put it on the first line", "the password is empty")
	}
	return line, nil
}
