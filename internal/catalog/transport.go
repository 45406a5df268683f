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

// Network is the way to the site and to the content. The zero value is the system's,
// directly.
type Network struct {
	Dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	Proxy func(*http.Request) (*url.URL, error) // as [http.Transport] has it
	TLS   *tls.Config
}

// Times of a connection. The rest of a download is bounded by how long nothing comes.
const (
	dialTime      = 15 * time.Second
	handshakeTime = 15 * time.Second
	idleTime      = 60 * time.Second
)

// Transport makes one that suits large files: a connection for each range, since one
// connection that all ranges share is as slow as one range, and bytes as they are.
func (n Network) Transport() *http.Transport {
	t := &http.Transport{
		Proxy: n.Proxy, DialContext: n.Dial, TLSClientConfig: n.TLS,
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
			return &StatusError{resp.StatusCode, "the proxy"}
		},
	}
	t.Protocols.SetHTTP1(true)
	if t.DialContext == nil {
		t.DialContext = (&net.Dialer{Timeout: dialTime}).DialContext
	}
	return t
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
