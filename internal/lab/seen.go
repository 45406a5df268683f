package lab

import (
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Seen is one thing that the world saw: a name that was looked up, a connection, a
// packet, a request. Nothing that was sent as a password is kept, only who it was.
type Seen struct {
	At     time.Time      `json:"at"`             // by the world's true time
	Kind   string         `json:"kind"`           // lookup, connect, packet, request
	From   string         `json:"from,omitempty"` // whose it was: "" the machine, or a proxy's name
	Source netip.AddrPort `json:"source,omitzero"`
	Server netip.AddrPort `json:"server,omitzero"`
	Site   string         `json:"site,omitempty"` // who answered: name and port
	Fault  string         `json:"fault,omitempty"`

	TLS      string      `json:"tls,omitempty"` // the name that was asked for in the handshake
	Method   string      `json:"method,omitempty"`
	Host     string      `json:"host,omitempty"` // of the request, or the name that was looked up
	Target   string      `json:"target,omitempty"`
	Header   http.Header `json:"header,omitempty"`   // of the request, without what signs in
	Action   string      `json:"action,omitempty"`   // the operation of an update service
	Client   string      `json:"client,omitempty"`   // the SusClientId that it named
	User     string      `json:"user,omitempty"`     // who signed in to the proxy
	Received int64       `json:"received,omitempty"` // bytes of the request's body
	Status   int         `json:"status,omitempty"`
	Sent     int64       `json:"sent,omitempty"`  // bytes of the answer's body
	Wrote    bool        `json:"wrote,omitempty"` // it changed something at an update service
}

// maxLog bounds the log of a world.
const maxLog = 100_000

func (w *World) see(s Seen) {
	if s.At.IsZero() {
		s.At = w.Now()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.log) >= maxLog {
		w.forgotten++
		return
	}
	w.log = append(w.log, s)
}

// Log returns what the world has seen so far, in the order in which it ended.
func (w *World) Log() []Seen {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.log)
}

// Requests returns the requests of the log that came to a host that fits a pattern.
func (w *World) Requests(host string) []Seen {
	var out []Seen
	for _, s := range w.Log() {
		if s.Kind == "request" && (fits(host, hostOnly(s.Host), s.Server.Port()) || fits(host, hostOnly(s.Site), s.Server.Port())) {
			out = append(out, s)
		}
	}
	return out
}

// Wrote returns the requests that changed something at an update service.
func (w *World) Wrote() []Seen {
	return slices.DeleteFunc(w.Log(), func(s Seen) bool { return !s.Wrote })
}

// Peak returns how many connections the machine had open at once, at most, and how
// many it has open now.
func (w *World) Peak() (peak, open int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.peak, w.open
}

func hostOnly(hostport string) string {
	h, _ := cutPort(hostport)
	return h
}

// recorder watches an answer while it is written.
type recorder struct {
	http.ResponseWriter
	seen Seen
}

func (r *recorder) WriteHeader(status int) {
	if r.seen.Status == 0 && status >= 200 {
		r.seen.Status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.seen.Status == 0 {
		r.seen.Status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.seen.Sent += int64(n)
	return n, err
}

// Unwrap lets [http.ResponseController] find what the server's writer can do.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// seenOf returns the log's entry of the request that is being answered.
func seenOf(w http.ResponseWriter) *Seen {
	if r, ok := w.(*recorder); ok {
		return &r.seen
	}
	return new(Seen)
}

type counted struct {
	io.ReadCloser
	n *int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	*c.n += int64(n)
	return n, err
}

// serveHTTP answers every HTTP request in the world.
func (w *World) serveHTTP(rw http.ResponseWriter, r *http.Request) {
	v := visitOf(r)
	if v == nil {
		panic(http.ErrAbortHandler)
	}
	rec := &recorder{ResponseWriter: rw, seen: Seen{
		Kind: "request", From: v.from.name, Source: v.source, Server: v.server, Site: v.siteName(),
		Method: r.Method, Host: r.Host, Target: r.RequestURI, Header: withoutSecrets(r.Header),
	}}
	if r.TLS != nil {
		rec.seen.TLS = r.TLS.ServerName
	}
	r.Body = counted{r.Body, &rec.seen.Received}
	defer func() { w.see(rec.seen) }()
	rw.Header().Set("Date", w.timeAt(hostOnly(r.Host)).UTC().Format(http.TimeFormat))
	switch {
	case v.middle != nil:
		w.serveMiddle(v, rec, r)
	case w.trouble(v, rec, r, ""):
	default:
		v.site.http.ServeHTTP(rec, r)
	}
}

// withoutSecrets copies a header; of what signs in, only the scheme stays.
func withoutSecrets(h http.Header) http.Header {
	out := h.Clone()
	for _, name := range []string{"Authorization", "Proxy-Authorization"} {
		for i, v := range out[name] {
			scheme, _, _ := strings.Cut(v, " ")
			out[name][i] = scheme
		}
	}
	return out
}
