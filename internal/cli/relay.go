package cli

import (
	"bufio"
	"context"
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
}

func newRelay(env *Env) *cobra.Command {
	var t relayFlags
	cmd := &cobra.Command{
		Use:   "relay --proxy HOST:PORT",
		Short: "Forward update requests through a proxy that wants a sign-in, on loopback",
		Long: `For the machine whose proxy will not let the update services through and that
nobody can change: a forwarder on loopback that answers the proxy's challenge and
passes requests for update hosts on, nothing else. It ends with its lease.

It serves a configuration script that sends update hosts to the relay and leaves
every other destination with the decision it had; --before, --bypass and --pac say
what that was. updoc does not set the script into Windows.

The password is asked for, or read from a file descriptor, never taken from the
command line, and held in memory only.`,
		Example: `  updoc relay --proxy proxy.example:8080 --user FABRIKAM\anna
  updoc relay --proxy proxy.example:8080 --user anna --password-fd 3 3<secret
  updoc relay --proxy proxy.example:8080 --kerberos
  updoc relay --proxy proxy.example:8080 --user anna --own wsus.corp.example:8530 --lease 30m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return env.relay(cmd.Context(), t) },
	}
	f := cmd.Flags()
	f.StringVar(&t.proxy, "proxy", "", "the proxy to forward to: host:port")
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
	address, creds := proxyauth.CutUserinfo(t.proxy)
	if !creds.IsEmpty() {
		return usage("give the name with --user; the password is asked for", "--proxy holds credentials, and other users can read command lines")
	}
	list := route.ParseProxyList(address)
	if len(list.Entries) != 1 || list.Entries[0].Scheme != "http" {
		return usage("e.g. --proxy proxy.example:8080", "--proxy is not the address of one http proxy")
	}
	if t.lease <= 0 || t.lease > maxLease {
		return usage("e.g. --lease 2h", "--lease must be more than nothing and at most %s", maxLease)
	}
	before, err := t.decisions(ctx)
	if err != nil {
		return err
	}
	e := list.Entries[0]
	proxy := net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
	if t.user != "" {
		password := ""
		if !t.kerberos.wanted() || t.passwordFD >= 0 {
			if password, err = env.password(t.passwordFD); err != nil {
				return err
			}
		}
		creds = proxyauth.ParseLogin(t.user, password)
	}
	var tokens proxyauth.Tokener
	if t.kerberos.wanted() {
		tokens = t.kerberos.tickets(creds)(proxy)
		if _, err := tokens.Token(nil); err != nil {
			return usage("kinit NAME@REALM first, or give --keytab FILE with --user NAME@REALM", "%w", err)
		}
		if creds.Password.IsEmpty() {
			creds = proxyauth.Credentials{}
		}
	}
	l, err := relay.Listen(t.listen)
	if err != nil {
		return usage("choose a free port of this machine, e.g. --listen 127.0.0.1:0", "listen: %w", err)
	}
	r := &relay.Relay{Proxy: proxy, Credentials: creds, Tokens: tokens, Own: t.own, Before: before}
	ctx, cancel := context.WithTimeout(ctx, t.lease)
	defer cancel()
	fmt.Fprintf(env.Stdout, "relay   %s -> %s\nscript  http://%s%s\nlease   until %s; Ctrl-C ends it\n",
		l.Addr(), r.Proxy, l.Addr(), relay.PACPath, time.Now().Add(t.lease).Format(time.DateTime))
	err = r.Serve(ctx, l)
	s := r.Stats()
	fmt.Fprintf(env.Stdout, "passed %d, failed %d, refused: %d other destinations, %d other machines, %d too many, %d malformed; %d bytes sent, %d received\n",
		s.Passed, s.Failed, s.RefusedHost, s.RefusedPeer, s.RefusedBusy, s.Malformed, s.Sent, s.Received)
	return err
}

// decisions reads what other destinations keep.
func (t *relayFlags) decisions(ctx context.Context) (relay.Before, error) {
	b := relay.Before{Static: t.before, Bypass: t.bypass}
	if t.pac == "" {
		return b, nil
	}
	hint := "give the address of the script, e.g. http://wpad.example/wpad.dat, or a file"
	if isWeb(t.pac) {
		ex, err := route.NewProber(route.Prober{}).Exchange(ctx, host.Request{ID: "relay.script", Method: "GET", URL: t.pac, Keep: 1 << 20})
		switch broken := ex.Broken(); {
		case err != nil:
			return b, usage(hint, "fetch --pac: %w", err)
		case broken != nil:
			return b, usage(hint, "fetch --pac: %s", broken.Tell())
		case ex.Status != 200:
			return b, usage(hint, "fetch --pac: HTTP %d", ex.Status)
		}
		b.Script = string(ex.Body)
		return b, nil
	}
	text, err := os.ReadFile(t.pac)
	if err != nil {
		return b, usage(hint, "read --pac: %w", err)
	}
	b.Script = string(text)
	return b, nil
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
