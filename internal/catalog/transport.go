package catalog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

// ErrSignIn says that a proxy wants a sign-in.
var ErrSignIn = errors.New("the proxy wants a sign-in")

// ErrWay says that nobody knows a way to a host: [Network].Proxy found none. What it said
// is wrapped as well.
var ErrWay = errors.New("no way there")

// Network is the way to the site and to the content. The zero value is the system's,
// directly.
type Network struct {
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Proxy says which proxy an address is asked through: one by HTTP, or nil.
	Proxy func(ctx context.Context, target *url.URL) (*url.URL, error)
	TLS   *tls.Config
}

// Times of a connection. The rest of a download is bounded by how long nothing comes.
const (
	dialTime      = 15 * time.Second
	handshakeTime = 15 * time.Second
	idleTime      = 60 * time.Second
)

// proxied stands for the host in a [StatusError] where the proxy itself refused.
const proxied = "the proxy"

// Transport makes one that suits large files: a connection for each range, since one
// connection that all ranges share is as slow as one range, and bytes as they are.
func (n Network) Transport() *http.Transport {
	t := &http.Transport{
		DialContext: n.Dial, TLSClientConfig: n.TLS,
		DisableCompression: true, Protocols: new(http.Protocols),
		TLSHandshakeTimeout: handshakeTime, IdleConnTimeout: idleTime,
		MaxIdleConnsPerHost: maxConnections, ReadBufferSize: 64 << 10, MaxResponseHeaderBytes: 64 << 10,
		// A proxy's refusal of a tunnel has no error value of its own.
		OnProxyConnectResponse: func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
			switch resp.StatusCode {
			case http.StatusOK:
				return nil
			case http.StatusProxyAuthRequired:
				return ErrSignIn
			}
			return &StatusError{resp.StatusCode, proxied}
		},
	}
	t.Protocols.SetHTTP1(true)
	if n.Proxy != nil {
		t.Proxy = func(r *http.Request) (*url.URL, error) {
			u, err := n.Proxy(r.Context(), r.URL)
			if err != nil && r.Context().Err() == nil {
				err = fmt.Errorf("%w: %w", ErrWay, err)
			}
			return u, err
		}
	}
	if t.DialContext == nil {
		t.DialContext = (&net.Dialer{Timeout: dialTime}).DialContext
	}
	return t
}

// plain takes from an error of net/http what it says of the request: that it was GET, and
// the whole address.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// checkHost holds an address to Microsoft's content hosts: a page that was tampered with,
// or a proxy, could name any other.
func checkHost(u *url.URL, allowed func(string) bool) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w: %q is not fetched", ErrHost, u.Scheme)
	case u.User != nil:
		return fmt.Errorf("%w: the address names a user", ErrHost)
	case u.Port() != "" && u.Port() != map[string]string{"http": "80", "https": "443"}[u.Scheme]:
		return fmt.Errorf("%w: %s", ErrHost, u.Host)
	case !allowed(u.Hostname()):
		return fmt.Errorf("%w: %s", ErrHost, u.Hostname())
	}
	return nil
}
