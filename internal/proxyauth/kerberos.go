package proxyauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/credentials"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/spnego"
	"github.com/jcmturner/gokrb5/v8/types"
)

// Kerberos says where tickets come from on a machine without SSPI: a keytab if one is
// named, else the password if there is one, else a file of tickets as kinit leaves it.
type Kerberos struct {
	Credentials        // the user; of "anna@fabrikam.example" the realm is FABRIKAM.EXAMPLE
	Realm       string // "" means that of the user, of a Domain with dots, or the default realm of the configuration
	Config      string // path of krb5.conf; "" means $KRB5_CONFIG or /etc/krb5.conf. Without one, key servers are found by DNS
	Keytab      string // path of a keytab of the user
	Cache       string // path of a ticket file; "" means $KRB5CCNAME or /tmp/krb5cc_UID
}

// Ticket is a Kerberos service ticket, and a [Tokener] made of it for as many
// connections as one likes, at the same time. It does not say when it ends: a domain
// gives service tickets for 600 minutes unless told otherwise, so take a new one every few hours
// (learn.microsoft.com: Maximum lifetime for service ticket).
type Ticket struct {
	Service string // "HTTP/proxy.fabrikam.example"
	Client  string // "anna@FABRIKAM.EXAMPLE"

	ticket messages.Ticket
	key    types.EncryptionKey
	owner  *client.Client // its name alone: it holds no password and runs nothing
}

// Ticket gets a ticket for a service such as "HTTP/proxy.fabrikam.example", where the
// host is the proxy's name as clients are told it; RFC 4559 section 4.1. An address
// will not do: key servers know names.
//
// It asks the key servers, each for at most ten seconds; if ctx ends sooner it returns
// and leaves the question to end by itself. The error does not hold the password.
func (k Kerberos) Ticket(ctx context.Context, service string) (*Ticket, error) {
	type result struct {
		ticket *Ticket
		err    error
	}
	done := make(chan result, 1)
	go func() {
		t, err := k.ticket(service)
		done <- result{t, err}
	}()
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("Kerberos ticket for %s: %w", service, context.Cause(ctx))
	case r := <-done:
		if r.err != nil {
			return nil, fmt.Errorf("Kerberos ticket for %s: %w", service, r.err)
		}
		return r.ticket, nil
	}
}

func (k Kerberos) ticket(service string) (t *Ticket, err error) {
	// The library indexes into ticket files and answers of key servers without
	// looking at their lengths.
	defer func() {
		if r := recover(); r != nil {
			t, err = nil, errors.New("malformed ticket file, keytab or answer of a key server")
		}
	}()
	conf, err := k.config()
	if err != nil {
		return nil, err
	}
	user, realm := k.principal(conf)

	var cl *client.Client
	switch {
	case k.Keytab != "":
		kt, err := keytab.Load(k.Keytab)
		if err != nil {
			return nil, fmt.Errorf("keytab: %w", err)
		}
		cl = client.NewWithKeytab(user, realm, kt, conf, client.DisablePAFXFAST(true))
	case !k.Password.IsEmpty():
		cl = client.NewWithPassword(user, realm, k.Password.Reveal(), conf, client.DisablePAFXFAST(true))
	default:
		cc, err := credentials.LoadCCache(k.cache())
		if err != nil {
			return nil, fmt.Errorf("ticket file: %w", err)
		}
		if cl, err = client.NewFromCCache(cc, conf, client.DisablePAFXFAST(true)); err != nil {
			return nil, fmt.Errorf("ticket file: %w", err)
		}
		user, realm = cl.Credentials.UserName(), cl.Credentials.Domain()
	}
	defer cl.Destroy() // ends the renewal of its tickets
	if err := cl.AffirmLogin(); err != nil {
		return nil, judged(err)
	}
	ticket, key, err := cl.GetServiceTicket(service)
	if err != nil {
		return nil, err
	}
	return &Ticket{
		Service: service, Client: user + "@" + realm,
		ticket: ticket, key: key, owner: &client.Client{Credentials: credentials.New(user, realm)},
	}, nil
}

// judged marks an error by which a key server says that user and password do not go
// together. The library keeps the code of RFC 4120 section 7.5.9 in its text alone.
func judged(err error) error {
	for _, code := range []string{"KDC_ERR_PREAUTH_FAILED", "KDC_ERR_C_PRINCIPAL_UNKNOWN", "KDC_ERR_CLIENT_REVOKED", "KDC_ERR_KEY_EXPIRED", "client password/keytab incorrect"} {
		if strings.Contains(err.Error(), code) {
			return fmt.Errorf("%w by the key server: %w", ErrRefused, err)
		}
	}
	return err
}

// Token makes a fresh token of the ticket. A proxy that answers with a token of its
// own wants something that Kerberos over HTTP does not give: it has refused.
func (t *Ticket) Token(received []byte) ([]byte, error) {
	if received != nil {
		return nil, fmt.Errorf("%w: the ticket for %s", ErrRefused, t.Service)
	}
	init, err := spnego.NewNegTokenInitKRB5(t.owner, t.ticket, t.key)
	if err != nil {
		return nil, fmt.Errorf("Kerberos token for %s: %w", t.Service, err)
	}
	token := spnego.SPNEGOToken{Init: true, NegTokenInit: init}
	b, err := token.Marshal()
	if err != nil {
		return nil, fmt.Errorf("Kerberos token for %s: %w", t.Service, err)
	}
	return b, nil
}

// principal returns the user and the realm, as far as they are known.
func (k Kerberos) principal(conf *config.Config) (user, realm string) {
	user, domain, _ := strings.Cut(k.User, "@")
	if domain == "" && strings.Contains(k.Domain, ".") {
		domain = k.Domain
	}
	return user, cmp.Or(k.Realm, strings.ToUpper(domain), conf.LibDefaults.DefaultRealm)
}

func (k Kerberos) config() (*config.Config, error) {
	path := cmp.Or(k.Config, os.Getenv("KRB5_CONFIG"), "/etc/krb5.conf")
	conf, err := config.Load(path)
	var partly config.UnsupportedDirective
	switch {
	case err == nil, errors.As(err, &partly) && conf != nil:
		return conf, nil
	}
	// The library does not wrap the error of opening the file.
	if _, statErr := os.Stat(path); k.Config == "" && errors.Is(statErr, os.ErrNotExist) {
		conf = config.New()
		conf.LibDefaults.DNSLookupKDC = true
		return conf, nil
	}
	return nil, fmt.Errorf("configuration: %w", err)
}

func (k Kerberos) cache() string {
	path := cmp.Or(k.Cache, os.Getenv("KRB5CCNAME"), "/tmp/krb5cc_"+strconv.Itoa(os.Getuid()))
	return strings.TrimPrefix(path, "FILE:")
}
