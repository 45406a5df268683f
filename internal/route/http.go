package route

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"

	"updoc/internal/host"
	"updoc/internal/proxyauth"
)

// answer is one HTTP answer: its head, and a reader of its body.
type answer struct {
	status int
	header []host.Field
	size   int64 // Content-Length; -1 if there is none
	body   io.Reader
	close  bool // the connection cannot be used again
}

func (a *answer) values(name string) []string {
	var out []string
	for _, f := range a.header {
		if strings.EqualFold(f.Name, name) {
			out = append(out, f.Value)
		}
	}
	return out
}

func (a *answer) get(name string) string {
	if v := a.values(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

var (
	errNotHTTP = errors.New("the answer is not HTTP")
	errEndless = errors.New("a head without an end")
)

// readAnswer reads the head of an answer: field by field, as it came, and within
// bounds. Interim answers (1xx) are passed over.
func readAnswer(in *bufio.Reader, method string) (*answer, error) {
	for {
		a, err := readHead(in)
		if err != nil {
			return nil, err
		}
		if a.status >= 100 && a.status < 200 && a.status != http.StatusSwitchingProtocols {
			continue
		}
		return a, a.frame(in, method)
	}
}

func readHead(in *bufio.Reader) (*answer, error) {
	left := maxHead
	line := func() (string, error) {
		var b []byte
		for {
			part, err := in.ReadSlice('\n')
			if left -= len(part); left < 0 {
				return "", errEndless
			}
			b = append(b, part...)
			switch {
			case err == nil:
				return strings.TrimRight(string(b), "\r\n"), nil
			case err == bufio.ErrBufferFull:
				continue
			case err == io.EOF && len(b) > 0:
				return "", io.ErrUnexpectedEOF
			}
			return "", err
		}
	}
	if first, err := in.Peek(5); err == nil && string(first) != "HTTP/" {
		return nil, errNotHTTP
	}
	status, err := line()
	if err != nil {
		return nil, err
	}
	proto, rest, _ := strings.Cut(status, " ")
	code, _, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	a := &answer{size: -1}
	a.status, err = strconv.Atoi(code)
	if err != nil || a.status < 100 || a.status > 999 || !strings.HasPrefix(proto, "HTTP/") {
		return nil, errNotHTTP
	}
	a.close = proto == "HTTP/1.0"
	for {
		l, err := line()
		if err != nil {
			return nil, err
		}
		if l == "" {
			return a, nil
		}
		if l[0] == ' ' || l[0] == '\t' { // a folded line (RFC 9112 section 5.2)
			if n := len(a.header); n > 0 {
				a.header[n-1].Value += " " + strings.TrimSpace(l)
			}
			continue
		}
		name, value, ok := strings.Cut(l, ":")
		if !ok {
			return nil, errNotHTTP
		}
		if len(a.header) == maxFields {
			return nil, errEndless
		}
		a.header = append(a.header, host.Field{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value)})
	}
}

// frame finds where the body ends. RFC 9112 section 6.3.
func (a *answer) frame(in *bufio.Reader, method string) error {
	for _, v := range append(a.values("Connection"), a.values("Proxy-Connection")...) {
		switch v = strings.ToLower(v); {
		case strings.Contains(v, "close"):
			a.close = true
		case strings.Contains(v, "keep-alive"):
			a.close = false
		}
	}
	if v := a.get("Content-Length"); v != "" {
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		if err != nil || n < 0 {
			return errNotHTTP
		}
		a.size = n
	}
	switch {
	case method == http.MethodHead || a.status == http.StatusNoContent || a.status == http.StatusNotModified,
		method == http.MethodConnect && a.status/100 == 2:
		a.body = strings.NewReader("")
	case strings.EqualFold(a.get("Transfer-Encoding"), "chunked"):
		a.body = httputil.NewChunkedReader(in)
		a.close = true // trailers are not read
	case a.size >= 0:
		a.body = io.LimitReader(in, a.size)
	default:
		a.body, a.close = in, true
	}
	return nil
}

// writeHead writes a request's head: the fields of the request in their order,
// and those that are missing.
func writeHead(b *bytes.Buffer, method, target, hostName string, fields []host.Field, extra []host.Field, body []byte) {
	fmt.Fprintf(b, "%s %s HTTP/1.1\r\n", method, target)
	has := func(name string) bool {
		for _, f := range fields {
			if strings.EqualFold(f.Name, name) {
				return true
			}
		}
		return false
	}
	if !has("Host") {
		fmt.Fprintf(b, "Host: %s\r\n", hostName)
	}
	for _, f := range append(fields[:len(fields):len(fields)], extra...) {
		fmt.Fprintf(b, "%s: %s\r\n", lineOnly(f.Name), lineOnly(f.Value))
	}
	if len(body) > 0 && !has("Content-Length") {
		fmt.Fprintf(b, "Content-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
}

// lineOnly keeps a value from breaking out of its line.
func lineOnly(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return -1
		}
		return r
	}, s)
}

// exchange sends one request over the connection and reads the head of its answer.
func (r *run) exchange(ctx context.Context, head []byte, method string) (*answer, error) {
	var a *answer
	err := r.within(ctx, answerTime, func() error {
		if _, err := r.conn.Write(head); err != nil {
			// A server may have answered and closed before it read everything.
			if in, rerr := readAnswer(r.in, method); rerr == nil {
				a = in
				return nil
			}
			return err
		}
		var err error
		a, err = readAnswer(r.in, method)
		return err
	})
	return a, err
}

// headFault tells a failed exchange from an answer that is none.
func headFault(err error) (host.Fault, string) {
	switch {
	case errors.Is(err, errNotHTTP):
		return host.FaultNotHTTP, ""
	case errors.Is(err, errEndless):
		return host.FaultEndless, ""
	}
	return faultOf(err)
}

// tunnel makes the proxy hop of an https request: CONNECT.
func (r *run) tunnel(ctx context.Context, proxy *url.URL) bool {
	h := r.begin(host.HopProxy, proxy.Host)
	target := hostPort(r.url)
	extra := []host.Field{{Name: "Proxy-Connection", Value: "Keep-Alive"}, {Name: "Pragma", Value: "no-cache"}}
	for _, f := range r.req.Header {
		if strings.EqualFold(f.Name, "User-Agent") {
			extra = append([]host.Field{f}, extra...)
		}
	}
	a, auth, err := r.throughProxy(ctx, proxy, h, http.MethodConnect, target, extra, nil)
	if err != nil {
		fault, seen := headFault(err)
		return r.end(h, fault, seen)
	}
	h.Status, h.Agent = a.status, agentOf(a)
	if a.status/100 == 2 {
		h.SignedIn = auth
		return r.end(h, "", "")
	}
	r.keep(ctx, a)
	fault, seen := r.proxyFault(a)
	return r.end(h, fault, cmp.Or(h.Seen, seen))
}

// maxLegs bounds the conversation with a proxy; the longest sign-in takes four.
const maxLegs = 8

// throughProxy sends a request to a proxy and signs in if it is asked to and can.
// It returns the last answer, whose body is unread, and the scheme that satisfied
// the proxy.
func (r *run) throughProxy(ctx context.Context, proxy *url.URL, h *host.Hop, method, target string, fields []host.Field, body []byte) (*answer, string, error) {
	var client *proxyauth.Client
	if r.p.SignIn != nil {
		if cred, ok := r.p.SignIn(proxy.Host); ok {
			client = &proxyauth.Client{Credentials: cred}
			r.secret = cred
		}
	}
	scheme, authorization := "", ""
	for leg := 1; ; leg++ {
		var extra []host.Field
		if authorization != "" {
			extra = append(extra, host.Field{Name: "Proxy-Authorization", Value: authorization})
		}
		var head bytes.Buffer
		writeHead(&head, method, target, r.url.Host, fields, extra, body)
		a, err := r.exchange(ctx, head.Bytes(), method)
		if err != nil {
			return nil, "", err
		}
		if a.status != http.StatusProxyAuthRequired {
			if client != nil {
				client.Accepted()
			}
			return a, scheme, nil
		}
		offered := proxyauth.ParseChallenges(a.values("Proxy-Authenticate"))
		if leg == 1 {
			for _, c := range offered {
				h.Challenges = append(h.Challenges, host.Challenge{Scheme: c.Scheme, Realm: c.Realm})
			}
		}
		if client == nil || leg == maxLegs {
			return a, "", nil
		}
		if a.close {
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
		if fresh && !a.close {
			client.Reconnected()
		}
	}
}

// again makes the connection ready for another request: the rest of the body is
// read, or a new connection is made where the proxy closes this one or the sign-in
// needs it.
func (r *run) again(ctx context.Context, a *answer, fresh bool) error {
	const maxDrain = 256 << 10
	if !a.close && !fresh {
		return r.within(ctx, answerTime, func() error {
			n, err := io.Copy(io.Discard, io.LimitReader(a.body, maxDrain))
			if err == nil && n == maxDrain {
				err = errEndless
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
func (r *run) proxyFault(a *answer) (host.Fault, string) {
	seen := "HTTP " + strconv.Itoa(a.status)
	switch a.status {
	case http.StatusProxyAuthRequired:
		if r.refused {
			return host.FaultSignIn, seen
		}
		return host.FaultProxyAuth, seen
	case http.StatusForbidden, http.StatusUnauthorized, http.StatusMethodNotAllowed, http.StatusUnavailableForLegalReasons:
		return host.FaultProxyDenied, seen
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return host.FaultProxyGateway, seen
	}
	return host.FaultProxyStatus, seen
}

// agentOf names who answered: what proxies add, else the server's own name.
func agentOf(a *answer) string {
	for _, name := range []string{"Via", "Server", "X-Squid-Error"} {
		if v := a.get(name); v != "" {
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
	var a *answer
	var err error
	if absolute {
		a, h.SignedIn, err = r.throughProxy(ctx, proxy, h, r.req.Method, target, r.req.Header, r.req.Body)
	} else {
		var head bytes.Buffer
		writeHead(&head, r.req.Method, target, r.url.Host, r.req.Header, nil, r.req.Body)
		a, err = r.exchange(ctx, head.Bytes(), r.req.Method)
	}
	if err != nil {
		fault, seen := headFault(err)
		r.end(h, fault, seen)
		return
	}
	h.Status, h.Agent = a.status, agentOf(a)
	if absolute {
		own := a.status == http.StatusProxyAuthRequired || a.status >= 400 && proxySpeaks(a)
		if own {
			r.keep(ctx, a)
			fault, seen := r.proxyFault(a)
			r.end(h, fault, cmp.Or(h.Seen, seen))
			return
		}
		r.end(h, "", "")
		h = r.begin(host.HopHTTP, r.url.String())
		h.Status, h.Agent = a.status, a.get("Server")
	}
	r.ex.Status, r.ex.Header = a.status, a.header
	fault, seen := r.keep(ctx, a)
	r.end(h, fault, seen)
}

// proxySpeaks reports that an error page is the proxy's own and not the server's.
// Squid says so itself; others are told by a page that carries no server's mark.
func proxySpeaks(a *answer) bool {
	return a.get("X-Squid-Error") != "" || a.get("Proxy-Authenticate") != "" || a.get("Proxy-Status") != "" ||
		a.get("X-Proxy-Error") != "" || a.get("Proxy-Connection") != ""
}

// keep reads the body: the first bytes are kept, the rest is counted.
func (r *run) keep(ctx context.Context, a *answer) (host.Fault, string) {
	limit := r.req.Keep
	if limit == 0 {
		limit = keepBody
	}
	var kept bytes.Buffer
	err := r.within(ctx, bodyTime, func() error {
		n, err := io.Copy(&kept, io.LimitReader(a.body, int64(limit)))
		r.ex.Length = n
		if err != nil || n < int64(limit) {
			return err
		}
		n, err = io.Copy(io.Discard, io.LimitReader(a.body, maxBody-n))
		r.ex.Length += n
		if err == nil && r.ex.Length == maxBody && a.size != maxBody {
			err = errEndless
		}
		return err
	})
	r.ex.Body = kept.Bytes()
	switch {
	case errors.Is(err, errEndless):
		return host.FaultEndless, "more than 16 MiB"
	case err != nil:
		return faultOf(err)
	case r.req.Method != http.MethodHead && a.size > r.ex.Length && a.status != http.StatusNotModified:
		return host.FaultLength, fmt.Sprintf("%d of %d bytes", r.ex.Length, a.size)
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
