package route

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"updoc/internal/host"
	"updoc/internal/httpwire"
	"updoc/internal/proxyauth"
)

// request makes the message of a request: its fields in their order, and those that
// are missing.
func request(method, target, hostName string, fields, extra []host.Field, body []byte) []byte {
	m := httpwire.Message{Method: method, Target: target, Fields: append(fields[:len(fields):len(fields)], extra...)}
	if m.Get("Host") == "" {
		m.Fields = append([]host.Field{{Name: "Host", Value: hostName}}, m.Fields...)
	}
	if len(body) > 0 && m.Get("Content-Length") == "" {
		m.Set("Content-Length", strconv.Itoa(len(body)))
	}
	return append(m.AppendHead(nil), body...)
}

// exchange sends one request over the connection and reads the head of its answer.
func (r *run) exchange(ctx context.Context, head []byte, method string) (*httpwire.Message, error) {
	var a *httpwire.Message
	err := r.within(ctx, answerTime, func() error {
		if _, err := r.conn.Write(head); err != nil {
			// A server may have answered and closed before it read everything.
			if in, rerr := httpwire.ReadAnswer(r.in, method); rerr == nil {
				a = in
				return nil
			}
			return err
		}
		var err error
		a, err = httpwire.ReadAnswer(r.in, method)
		return err
	})
	return a, err
}

// headFault tells a failed exchange from an answer that is none.
func headFault(err error) (host.Fault, string) {
	switch {
	case errors.Is(err, httpwire.ErrNotHTTP):
		return host.FaultNotHTTP, ""
	case errors.Is(err, httpwire.ErrEndless):
		return host.FaultEndless, ""
	}
	return faultOf(err)
}

// tunnel makes the proxy hop of an https request: CONNECT.
func (r *run) tunnel(ctx context.Context, proxy *url.URL) bool {
	h := r.begin(host.HopProxy, proxy.Host)
	limited, cancel := r.connecting(ctx)
	defer cancel()
	target := hostPort(r.url)
	extra := []host.Field{{Name: "Proxy-Connection", Value: "Keep-Alive"}, {Name: "Pragma", Value: "no-cache"}}
	for _, f := range r.req.Header {
		if strings.EqualFold(f.Name, "User-Agent") {
			extra = append([]host.Field{f}, extra...)
		}
	}
	a, auth, err := r.throughProxy(limited, proxy, h, http.MethodConnect, target, extra, nil)
	if err != nil {
		fault, seen := headFault(err)
		return r.end(h, fault, seen)
	}
	h.Status, h.Agent, h.Date = a.Status, agentOf(a), dateOf(a)
	if a.Status/100 == 2 {
		h.SignedIn = auth
		return r.end(h, "", "")
	}
	r.keep(ctx, a)
	return r.end(h, r.proxyFault(a), "")
}

// maxLegs bounds the conversation with a proxy; the longest sign-in takes four.
const maxLegs = 8

// throughProxy sends a request to a proxy and signs in if it is asked to and can.
// It returns the last answer, whose body is unread, and the scheme that satisfied
// the proxy.
func (r *run) throughProxy(ctx context.Context, proxy *url.URL, h *host.Hop, method, target string, fields []host.Field, body []byte) (*httpwire.Message, string, error) {
	var client *proxyauth.Client
	if r.p.SignIn != nil {
		if cred, ok := r.p.SignIn(proxy.Host); ok {
			client = &proxyauth.Client{Credentials: cred}
			r.secret = cred
		}
	}
	if r.p.Tokens != nil {
		if client == nil {
			client = &proxyauth.Client{}
		}
		client.Tokens = r.p.Tokens(proxy.Host)
	}
	scheme, authorization := "", ""
	for leg := 1; ; leg++ {
		var extra []host.Field
		if authorization != "" {
			extra = append(extra, host.Field{Name: "Proxy-Authorization", Value: authorization})
		}
		a, err := r.exchange(ctx, request(method, target, r.url.Host, fields, extra, body), method)
		if err != nil {
			return nil, "", err
		}
		if a.Status != http.StatusProxyAuthRequired {
			if client != nil {
				client.Accepted()
			}
			return a, scheme, nil
		}
		offered := proxyauth.ParseChallenges(a.Values("Proxy-Authenticate"))
		if leg == 1 {
			for _, c := range offered {
				h.Challenges = append(h.Challenges, host.Challenge{Scheme: c.Scheme, Realm: c.Realm})
			}
		}
		if client == nil || leg == maxLegs {
			return a, "", nil
		}
		if a.Close {
			client.Reconnected()
		}
		if scheme, authorization, err = client.Answer(method, target, offered); err != nil {
			h.Seen = err.Error()
			r.refused = errors.Is(err, proxyauth.ErrRefused)
			return a, "", nil // the 407 stands
		}
		fresh := client.Fresh()
		if err := r.again(ctx, a, fresh); err != nil {
			return nil, "", err
		}
		if fresh && !a.Close {
			client.Reconnected()
		}
	}
}

// again makes the connection ready for another request: the rest of the body is
// read, or a new connection is made where the proxy closes this one or the sign-in
// needs it.
func (r *run) again(ctx context.Context, a *httpwire.Message, fresh bool) error {
	const maxDrain = 256 << 10
	if !a.Close && !fresh {
		return r.within(ctx, answerTime, func() error {
			n, err := io.Copy(io.Discard, io.LimitReader(a.Body, maxDrain))
			if err == nil && n == maxDrain {
				err = httpwire.ErrEndless
			}
			return err
		})
	}
	r.conn.Close()
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	conn, err := r.p.net().DialContext(ctx, "tcp", r.lastTCP())
	if err != nil {
		return err
	}
	r.conn = conn
	r.in.Reset(conn)
	return nil
}

// lastTCP is the address that the connection of this exchange stands on.
func (r *run) lastTCP() string {
	for i := len(r.ex.Hops) - 1; i >= 0; i-- {
		if h := r.ex.Hops[i]; h.Kind == host.HopTCP && h.Remote.IsValid() {
			return h.Remote.String()
		}
	}
	return ""
}

// proxyFault names what a proxy's own refusal means.
func (r *run) proxyFault(a *httpwire.Message) host.Fault {
	switch a.Status {
	case http.StatusProxyAuthRequired:
		if r.refused {
			return host.FaultSignIn
		}
		return host.FaultProxyAuth
	case http.StatusForbidden, http.StatusUnauthorized, http.StatusMethodNotAllowed, http.StatusUnavailableForLegalReasons:
		return host.FaultProxyDenied
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return host.FaultProxyGateway
	}
	return host.FaultProxyStatus
}

// dateOf is the time that an answer carries, zero if it carries none.
func dateOf(a *httpwire.Message) time.Time {
	at, err := http.ParseTime(a.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return at
}

// agentOf names who answered: what proxies add, else the server's own name.
func agentOf(a *httpwire.Message) string {
	for _, name := range []string{"Via", "Server", "X-Squid-Error"} {
		if v := a.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// ask makes the http hop: the request itself, and its answer.
func (r *run) ask(ctx context.Context, proxy *url.URL) {
	target, absolute := r.url.RequestURI(), proxy != nil && r.url.Scheme == "http"
	h := r.begin(host.HopHTTP, r.url.String())
	if absolute { // content travels so: the proxy reads the request and may answer it itself
		h.Kind, target = host.HopProxy, r.url.String()
	}
	var a *httpwire.Message
	var err error
	if absolute {
		a, h.SignedIn, err = r.throughProxy(ctx, proxy, h, r.req.Method, target, r.req.Header, r.req.Body)
	} else {
		a, err = r.exchange(ctx, request(r.req.Method, target, r.url.Host, r.req.Header, nil, r.req.Body), r.req.Method)
	}
	if err != nil {
		fault, seen := headFault(err)
		r.end(h, fault, seen)
		return
	}
	h.Status, h.Agent = a.Status, agentOf(a)
	if absolute {
		own := a.Status == http.StatusProxyAuthRequired || a.Status >= 400 && proxySpeaks(a)
		if own {
			h.Date = dateOf(a)
			r.keep(ctx, a)
			r.end(h, r.proxyFault(a), "")
			return
		}
		r.end(h, "", "")
		h = r.begin(host.HopHTTP, r.url.String())
		h.Status, h.Agent = a.Status, a.Get("Server")
	}
	r.ex.Status, r.ex.Header = a.Status, a.Fields
	r.ex.Closed = a.Close && !a.Chunked // a chunked body is simply not followed here
	fault, seen := r.keep(ctx, a)
	r.end(h, fault, seen)
}

// proxySpeaks reports that an error page is the proxy's own and not the server's.
// Squid says so itself; others are told by a page that carries no server's mark.
func proxySpeaks(a *httpwire.Message) bool {
	return a.Get("X-Squid-Error") != "" || a.Get("Proxy-Authenticate") != "" || a.Get("Proxy-Status") != "" ||
		a.Get("X-Proxy-Error") != "" || a.Get("Proxy-Connection") != ""
}

// watch notes when the last bytes came.
type watch struct {
	io.Reader
	last time.Time
}

func (w *watch) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	if n > 0 {
		w.last = time.Now()
	}
	return n, err
}

// keep reads the body: the first bytes are kept, the rest is counted.
func (r *run) keep(ctx context.Context, a *httpwire.Message) (host.Fault, string) {
	limit := r.req.Keep
	if limit == 0 {
		limit = keepBody
	}
	var kept bytes.Buffer
	body := &watch{a.Body, time.Now()}
	err := r.within(ctx, bodyTime, func() error {
		n, err := io.Copy(&kept, io.LimitReader(body, int64(limit)))
		r.ex.Length = n
		if err != nil || n < int64(limit) {
			return err
		}
		n, err = io.Copy(io.Discard, io.LimitReader(body, maxBody-n))
		r.ex.Length += n
		if err == nil && r.ex.Length == maxBody && a.Size != maxBody {
			err = httpwire.ErrEndless
		}
		return err
	})
	r.ex.Body = kept.Bytes()
	switch {
	case errors.Is(err, httpwire.ErrEndless):
		return host.FaultEndless, "more than 16 MiB"
	case errors.Is(err, httpwire.ErrNotHTTP):
		return host.FaultNotHTTP, "chunks that make no sense"
	case err != nil:
		fault, _ := faultOf(err)
		if h := &r.ex.Hops[len(r.ex.Hops)-1]; fault == host.FaultTimeout {
			h.Silent = time.Since(body.last)
			return fault, fmt.Sprintf("%d bytes came, the last %s before the end of the wait", r.ex.Length, h.Silent.Round(100*time.Millisecond))
		}
		return fault, fmt.Sprintf("after %d bytes of the body", r.ex.Length)
	case r.req.Method != http.MethodHead && a.Size > r.ex.Length && a.Status != http.StatusNotModified:
		return host.FaultLength, fmt.Sprintf("%d of %d bytes", r.ex.Length, a.Size)
	}
	return "", ""
}

// scrub takes the given password out of everything that was received: some
// proxies send back what they were sent.
func (r *run) scrub() {
	if r.secret.Password.IsEmpty() {
		return
	}
	clean := r.secret.Scrub
	fields := func(list []host.Field) {
		for i := range list {
			list[i].Name, list[i].Value = clean(list[i].Name), clean(list[i].Value)
		}
	}
	fields(r.ex.Header)
	r.ex.Body = []byte(clean(string(r.ex.Body)))
	for i := range r.ex.Hops {
		h := &r.ex.Hops[i]
		h.Seen, h.Agent, h.Target = clean(h.Seen), clean(h.Agent), clean(h.Target)
		for j := range h.Challenges {
			h.Challenges[j].Realm, h.Challenges[j].Scheme = clean(h.Challenges[j].Realm), clean(h.Challenges[j].Scheme)
		}
	}
}
