// Package web draws a visit as a page in the browser of whoever sits at the machine. It
// draws and decides nothing: what it shows is a [ui.State], what it sends is the few
// commands that a [ui.Session] has.
//
// The page is served on the loopback address alone, to the user who started it alone:
//
//   - a connection of another user's program gets no answer, and one of a program that
//     the system does not tell the user of can have nothing done;
//   - the name of the host must be the address itself, so that no name that leads there
//     gets an answer (DNS rebinding);
//   - everything lies below a path that nobody can guess, since cookies are sent to all
//     ports of a host;
//   - the address that opens the page holds a token that is good for one browser, once;
//     from then on a cookie counts that no other site can use;
//   - a command needs a second secret, which stands in the page, and must come from it;
//   - a policy forbids the browser everything that does not come from here, and every
//     script and style in the page itself.
package web

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"

	"updoc/internal/message"
	"updoc/internal/report"
	"updoc/internal/ui"
)

//go:embed views/*.html assets/*
var files embed.FS

// Server serves one visit. The zero value of each field but Session is right.
type Server struct {
	Session *ui.Session
	Lang    string // of the page; "": what the browser asks for
	At      string // the view that it opens with, below the base; "": today
	// Peer reports whether a connection is of the user who runs this program. One of
	// somebody else's gets no answer; where it is not known whose it is, which an error
	// says, it can have nothing done. nil: what /proc/net says, where there is such a thing.
	Peer func(client, server netip.AddrPort) (own bool, err error)
	// Grace is for how long the server goes on after its last page was closed: it may
	// only be loaded anew. 0: 20 seconds. First is for how long it waits for the first:
	// 0 is 5 minutes.
	Grace, First time.Duration
	MaxConns     int   // connections at a time; 0: 200
	MaxDrop      int64 // bytes that may be handed over at a time; 0: 1 GiB
}

const (
	grace      = 20 * time.Second
	first      = 5 * time.Minute
	maxConns   = 200
	maxDrop    = 1 << 30
	maxForm    = 16 << 10
	headerTime = 5 * time.Second  // for the head of a request
	answerTime = 20 * time.Second // for reading the rest of one, and for writing its answer
	idleTime   = 60 * time.Second
)

// Page is a server that listens.
type Page struct {
	*Server
	URL string // opens the page, once

	listener *listener
	origin   string // "http://127.0.0.1:1234"
	host     string
	base     string // path of all pages: "/SECRET/"
	token    *once
	cookie   string
	csrf     string
	views    map[string]*template.Template // by language
	began    time.Time
	limit    limiter

	mu   sync.Mutex
	open int           // pages that listen for news
	more chan struct{} // told when that number changes

	temp  string
	packs packs
}

// Listen opens the loopback address for a page.
func (s *Server) Listen() (*Page, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a page: %w", err)
	}
	p := &Page{Server: s, views: map[string]*template.Template{}, more: make(chan struct{}, 1), began: time.Now()}
	p.listener = newListener(l, s.Peer, or(s.MaxConns, maxConns))
	p.host = l.Addr().String()
	p.origin = "http://" + p.host
	secrets := [4]string{}
	for i := range secrets {
		if secrets[i], err = secret(); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	p.base, p.cookie, p.csrf = "/"+secrets[0]+"/", secrets[1], secrets[2]
	p.token = &once{secret: secrets[3]}
	p.URL = p.origin + "/open/" + secrets[3]
	for _, lang := range []string{"en", "de"} {
		if p.views[lang], err = views(message.For(lang)); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return p, nil
}

// views are the templates of the pages in the words of a catalogue.
func views(words *message.Catalog) (*template.Template, error) {
	t, err := report.Components(words)
	if err != nil {
		return nil, err
	}
	if t, err = t.ParseFS(files, "views/*.html"); err != nil {
		return nil, fmt.Errorf("views of the page: %w", err)
	}
	return t, nil
}

func secret() (string, error) {
	b := make([]byte, 24)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("open a page: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Serve answers until the context ends, or nobody looks any more and nothing is being
// done.
func (p *Page) Serve(ctx context.Context) error {
	temp, err := os.MkdirTemp("", "updoc-page-")
	if err != nil {
		return fmt.Errorf("open a page: %w", err)
	}
	defer os.RemoveAll(temp)
	p.temp = temp
	serving, end := context.WithCancel(ctx)
	defer end()
	server := &http.Server{
		Handler: p.guard(p.routes()), ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxForm,
		ConnContext: connContext, BaseContext: func(net.Listener) context.Context { return serving },
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(p.listener) }()
	select {
	case err = <-done:
		return fmt.Errorf("serve the page: %w", err)
	case <-p.deserted(serving):
	case <-ctx.Done():
	}
	// What listens for news is told that there will be none, and then all is closed.
	end()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(closing); err != nil {
		_ = server.Close()
	}
	<-done
	return nil
}

// deserted is closed once nobody looks any more.
func (p *Page) deserted(ctx context.Context) <-chan struct{} {
	out := make(chan struct{})
	go func() {
		defer close(out)
		wait := time.NewTimer(or(p.First, first))
		defer wait.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-p.more:
				wait.Reset(or(p.Grace, grace))
			case <-wait.C:
				st, changed := p.Session.State()
				if p.lookers() == 0 && !st.Phase.Busy() {
					return
				}
				if p.lookers() == 0 { // what is being done is done to its end
					select {
					case <-ctx.Done():
						return
					case <-changed:
					case <-p.more:
					}
				}
				wait.Reset(or(p.Grace, grace))
			}
		}
	}()
	return out
}

func (p *Page) lookers() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// looks counts a page that listens for news.
func (p *Page) looks(n int) {
	p.mu.Lock()
	p.open += n
	p.mu.Unlock()
	select {
	case p.more <- struct{}{}:
	default:
	}
}
