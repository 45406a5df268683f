package cli

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"updoc/internal/proxyauth"
)

// kerberosFlags say where tickets for a proxy come from.
type kerberosFlags struct {
	on                    bool
	keytab, cache, config string
}

func (k *kerberosFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&k.on, "kerberos", false, "sign in at the proxy with a Kerberos ticket: of --keytab, of the password if one is given, else of the tickets that kinit left")
	f.StringVar(&k.keytab, "keytab", "", "take the ticket with this keytab (implies --kerberos)")
	f.StringVar(&k.cache, "ticket-cache", "", "take the ticket from this file (implies --kerberos; default: $KRB5CCNAME or /tmp/krb5cc_UID)")
	f.StringVar(&k.config, "krb5-config", "", "the Kerberos configuration (default: $KRB5_CONFIG or /etc/krb5.conf)")
}

func (k *kerberosFlags) wanted() bool { return k.on || k.keytab != "" || k.cache != "" }

// tickets returns tickets for proxies ("host:port"), of a user who need not be named where
// a ticket file says who it is.
func (k *kerberosFlags) tickets(user proxyauth.Credentials) func(proxy string) proxyauth.Tokener {
	source := proxyauth.Kerberos{Credentials: user, Config: k.config, Keytab: k.keytab, Cache: k.cache}
	var mu sync.Mutex
	held := map[string]*tickets{}
	return func(proxy string) proxyauth.Tokener {
		name, _, err := net.SplitHostPort(proxy)
		if err != nil {
			name = proxy
		}
		service := "HTTP/" + strings.ToLower(name)
		mu.Lock()
		defer mu.Unlock()
		if held[service] == nil {
			held[service] = &tickets{source: source, service: service}
		}
		return held[service]
	}
}

// ticketAge is how long a ticket is used: domains give them for ten hours unless told
// otherwise (learn.microsoft.com: Maximum lifetime for service ticket).
const ticketAge = time.Hour

// ticketTime bounds the question for one.
const ticketTime = 15 * time.Second

// tickets is a [proxyauth.Tokener] that has a fresh ticket whenever it needs one.
type tickets struct {
	source  proxyauth.Kerberos
	service string
	mu      sync.Mutex
	ticket  *proxyauth.Ticket
	taken   time.Time
}

// Token implements [proxyauth.Tokener].
func (t *tickets) Token(received []byte) ([]byte, error) {
	ticket, err := t.get(context.Background())
	if err != nil {
		return nil, err
	}
	return ticket.Token(received)
}

func (t *tickets) get(ctx context.Context) (*proxyauth.Ticket, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ticket != nil && time.Since(t.taken) < ticketAge {
		return t.ticket, nil
	}
	ctx, cancel := context.WithTimeout(ctx, ticketTime)
	defer cancel()
	ticket, err := t.source.Ticket(ctx, t.service)
	if err != nil {
		return nil, err
	}
	t.ticket, t.taken = ticket, time.Now()
	return ticket, nil
}
