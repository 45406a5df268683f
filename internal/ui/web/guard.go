package web

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"updoc/internal/message"
)

// policy forbids a browser all that the page does not need.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// errorStyle is that of a page that is shown to those who may see nothing of ours.
const errorStyle = ":root{color-scheme:light dark}body{font:1rem/1.6 'Segoe UI',system-ui,sans-serif;max-width:34rem;margin:20vh auto 0;padding:0 1rem}h1{font-size:1.5rem}"

func errorStyleSheet() template.CSS { return errorStyle }

func errorPolicy() string {
	sum := sha256.Sum256([]byte(errorStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

// once is a secret that is good for one use.
type once struct {
	mu     sync.Mutex
	secret string
	used   bool
}

func (o *once) take(s string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.used || !same(s, o.secret) {
		return false
	}
	o.used = true
	return true
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// limiter lets so many requests through and then so many a second.
type limiter struct {
	mu   sync.Mutex
	left float64
	last time.Time
}

const (
	burst     = 240 // a page asks for few things; whoever asks for more wants something else
	perSecond = 60
)

func (l *limiter) allow(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last.IsZero() {
		l.left = burst
	} else {
		l.left = min(burst, l.left+now.Sub(l.last).Seconds()*perSecond)
	}
	l.last = now
	if l.left < 1 {
		return false
	}
	l.left--
	return true
}

const cookieName = "updoc"

// guard lets through what came from the page itself, and answers the rest with as
// little as there is to say.
func (p *Page) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Now().Add(answerTime)) // the whole of a request; a drop takes longer and says so
		_ = control.SetWriteDeadline(time.Now().Add(answerTime))
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", errorPolicy())
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), usb=()")
		if r.Host != p.host { // a name that leads here is not ours, whatever it is
			p.refuse(w, r, http.StatusMisdirectedRequest)
			return
		}
		if !p.limit.allow(time.Now()) {
			h.Set("Retry-After", "1")
			p.refuse(w, r, http.StatusTooManyRequests)
			return
		}
		own, unknown := whose(r.Context())
		if !own && unknown == nil {
			p.refuse(w, r, http.StatusForbidden)
			return
		}
		if o := r.Header.Get("Origin"); o != "" && o != p.origin && !(o == "null" && r.Header.Get("Sec-Fetch-Site") == "same-origin") {
			p.refuse(w, r, http.StatusForbidden)
			return
		}
		if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" && r.Header.Get("Sec-Fetch-Dest") != "document" {
			p.refuse(w, r, http.StatusForbidden)
			return
		}
		if t, ok := strings.CutPrefix(r.URL.Path, "/open/"); ok && r.Method == http.MethodGet {
			p.enter(w, r, t)
			return
		}
		c, err := r.Cookie(cookieName)
		if err != nil || !same(c.Value, p.cookie) || len(r.URL.Path) < len(p.base) || !same(r.URL.Path[:len(p.base)], p.base) {
			p.refuse(w, r, http.StatusForbidden)
			return
		}
		trust(r.Context())
		h.Set("Content-Security-Policy", policy)
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		case http.MethodPost:
			if unknown != nil || !p.ours(w, r) {
				p.refuse(w, r, http.StatusForbidden)
				return
			}
		default:
			h.Set("Allow", "GET, HEAD, POST")
			p.refuse(w, r, http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ours reports a command that came out of the page: browsers name where it came from,
// and it holds the secret that only the page holds.
func (p *Page) ours(w http.ResponseWriter, r *http.Request) bool {
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	// A form of a page without a referrer has the origin null (Fetch, "append a request
	// Origin header"); the browser vouches for it in another field then.
	if origin != p.origin && !(origin == "null" && site == "same-origin") {
		return false
	}
	if t := r.Header.Get("X-Csrf"); t != "" { // of a drop, whose body is long
		return same(t, p.csrf)
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	return r.ParseForm() == nil && same(r.PostForm.Get("csrf"), p.csrf)
}

// enter gives the browser that brings the token the cookie. It answers with a page and
// does not redirect: a browser that was sent here by another program would not bring
// the cookie along.
func (p *Page) enter(w http.ResponseWriter, r *http.Request, token string) {
	if c, err := r.Cookie(cookieName); err == nil && same(c.Value, p.cookie) {
		http.Redirect(w, r, p.base+p.At, http.StatusSeeOther)
		return
	}
	if !p.token.take(token) {
		p.refuse(w, r, http.StatusForbidden)
		return
	}
	// The path is a secret too, so that a server on another port, which a browser takes
	// for the same site, is not told the cookie.
	for _, path := range []string{p.base, "/open/"} {
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: p.cookie, Path: path, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	}
	p.write(w, r, http.StatusOK, "enter", map[string]any{"Root": p.base + p.At, "Lang": p.lang(r)})
}

// refuse says that there is nothing here, in words for a person who did nothing wrong.
func (p *Page) refuse(w http.ResponseWriter, r *http.Request, status int) {
	w.Header().Set("Content-Security-Policy", errorPolicy())
	w.Header().Set("Connection", "close")
	words := p.words(r)
	head, text := "ui.refused", "ui.refused-how"
	if status == http.StatusTooManyRequests {
		head, text = "ui.too-many", "ui.too-many-how"
	}
	p.write(w, r, status, "error", map[string]any{"Lang": words.Lang, "Head": words.Text(head), "Text": words.Text(text), "Style": errorStyleSheet()})
}

func (p *Page) lang(r *http.Request) string {
	if p.Lang != "" {
		return message.For(p.Lang).Lang
	}
	return message.Match(r.Header.Get("Accept-Language"))
}

func (p *Page) words(r *http.Request) *message.Catalog { return message.For(p.lang(r)) }

// listener accepts no more connections than can be served: one more, and the oldest one that has not shown the cookie goes.
type listener struct {
	net.Listener
	peer func(client, server netip.AddrPort) (bool, error)
	most int

	mu    sync.Mutex
	conns []*conn // oldest first
}

// conn is a connection.
type conn struct {
	net.Conn
	from    *listener
	own     func() (bool, error) // it is of the user who runs this program; asked once, since the answer costs a long table
	trusted bool                 // it has shown the cookie
	closed  sync.Once
}

func newListener(l net.Listener, peer func(client, server netip.AddrPort) (bool, error), most int) *listener {
	if peer == nil {
		peer = ownPeer
	}
	return &listener{Listener: l, peer: peer, most: most}
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		x := &conn{Conn: c, from: l}
		x.own = sync.OnceValues(func() (bool, error) {
			client, ok1 := addrPort(c.RemoteAddr())
			server, ok2 := addrPort(c.LocalAddr())
			if !ok1 || !ok2 {
				return false, nil
			}
			return l.peer(client, server)
		})
		if old, room := l.add(x); !room {
			_ = x.Close()
			continue
		} else if old != nil {
			_ = old.Close()
		}
		return x, nil
	}
}

// add takes a connection; old is one that goes for it.
func (l *listener) add(c *conn) (old *conn, room bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, c)
	if len(l.conns) <= l.most {
		return nil, true
	}
	i := slices.IndexFunc(l.conns, func(c *conn) bool { return !c.trusted })
	if l.conns[i] == c { // all others are the page's own
		return nil, false
	}
	return l.conns[i], true
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	err := net.ErrClosed
	c.closed.Do(func() {
		c.from.mu.Lock()
		c.from.conns = slices.DeleteFunc(c.from.conns, func(x *conn) bool { return x == c })
		c.from.mu.Unlock()
		err = c.Conn.Close()
	})
	return err
}

func addrPort(a net.Addr) (netip.AddrPort, bool) {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), true
}

type connKey struct{}

func connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// whose reports whether the connection of a request is of the user who runs this
// program; an error says that nobody knows.
func whose(ctx context.Context) (own bool, err error) {
	c, ok := ctx.Value(connKey{}).(*conn)
	if !ok {
		return false, nil
	}
	return c.own()
}

// trust marks the connection of a request as the page's own.
func trust(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		c.from.mu.Lock()
		c.trusted = true
		c.from.mu.Unlock()
	}
}

var errUnknown = errors.New("it is not known whose program this is")

// ownPeer tells another user's program apart, where the kernel tells whose it is in a
// file (proc(5), /proc/net/tcp). On a system without such a file the secrets have to do.
func ownPeer(client, _ netip.AddrPort) (bool, error) {
	const looks = 3 // the table is not read in one moment: what comes and goes can hide a line
	for range looks {
		f, err := os.Open("/proc/net/tcp")
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("%w: %w", errUnknown, err)
		}
		uid, ok := socketOwner(f, client)
		_ = f.Close() // it was read
		if ok {
			return uid == os.Getuid(), nil
		}
	}
	return false, errUnknown
}

// socketOwner finds the user of a socket by its own end, in a table like that of
// /proc/net/tcp.
func socketOwner(r io.Reader, local netip.AddrPort) (uid int, ok bool) {
	if !local.Addr().Is4() {
		return 0, false
	}
	a := local.Addr().As4()
	slices.Reverse(a[:]) // the table has addresses as numbers of this machine: small end first
	want := fmt.Sprintf("%s:%04X", strings.ToUpper(hex.EncodeToString(a[:])), local.Port())
	const longest = 1 << 20 // lines
	lines := bufio.NewScanner(r)
	for n := 0; lines.Scan() && n < longest; n++ {
		f := strings.Fields(lines.Text())
		if len(f) < 8 || f[1] != want {
			continue
		}
		if uid, err := strconv.Atoi(f[7]); err == nil {
			return uid, true
		}
	}
	return 0, false
}
