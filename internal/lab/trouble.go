package lab

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Trouble is what is wrong with the answers of servers. Proxies have their rules.
type Trouble struct {
	Host   string `json:"host,omitempty"`   // pattern; "" is every host
	On     string `json:"on,omitempty"`     // an operation ("SyncUpdates") or pattern of a path ("/Content/*"); "" is every request
	Method string `json:"method,omitempty"` // "" is every method
	Times  int    `json:"times,omitempty"`  // only the first so many requests; 0: all

	Delay      Duration `json:"delay,omitzero"`       // before the answer begins
	Status     int      `json:"status,omitempty"`     // answered instead, with a small page of IIS
	RetryAfter string   `json:"retryAfter,omitempty"` //
	Location   string   `json:"location,omitempty"`   // of a redirect
	SOAP       string   `json:"soap,omitempty"`       // ErrorCode of a fault, with status 500: "ServerBusy"
	Message    string   `json:"message,omitempty"`    // of the fault: for InvalidParameters the parameter
	Body       string   `json:"body,omitempty"`       // BodyPage, ...
	Reset      bool     `json:"reset,omitempty"`      // torn down instead of an answer
}

// Bodies that nobody should meet.
const (
	BodyPage     = "html"      // a web page, with status 200
	BodyEmpty    = "empty"     // 200 and nothing
	BodyGarbage  = "garbage"   // bytes that mean nothing, with the right type
	BodyNotHTTP  = "not-http"  // another protocol's greeting
	BodyHeaders  = "headers"   // header fields without end
	BodySlow     = "slow"      // a byte each second
	BodyBomb     = "bomb"      // gzip of a gigabyte
	BodyDeep     = "deep"      // XML that nests for ever
	BodyEndless  = "endless"   // a body without end
	BodyLoop     = "loop"      // a redirect to itself
	BodyCut      = "cut"       // fewer bytes than announced
	BodyFaultXML = "soap-html" // a fault that is a web page with status 500
)

func (t *Trouble) check() error {
	bodies := []string{"", BodyPage, BodyEmpty, BodyGarbage, BodyNotHTTP, BodyHeaders, BodySlow, BodyBomb, BodyDeep, BodyEndless, BodyLoop, BodyCut, BodyFaultXML}
	if !slices.Contains(bodies, t.Body) {
		return fmt.Errorf("trouble of %q: unknown body %q", t.Host, t.Body)
	}
	if t.Status != 0 && (t.Status < 200 || t.Status > 999) {
		return fmt.Errorf("trouble of %q: no such status: %d", t.Host, t.Status)
	}
	if strings.HasPrefix(t.On, "/") && t.SOAP != "" {
		return fmt.Errorf("trouble of %q: a SOAP fault is for an operation, not for %s", t.Host, t.On)
	}
	return nil
}

// trouble answers a request if something is wrong with that answer, and reports
// whether it did. It is asked twice: by path, and by operation once it is known.
func (w *World) trouble(v *visit, rw http.ResponseWriter, r *http.Request, operation string) bool {
	for i := range w.spec.Troubles {
		t := &w.spec.Troubles[i]
		byOperation := t.SOAP != "" || t.On != "" && t.On != "*" && !strings.HasPrefix(t.On, "/")
		if byOperation != (operation != "") || !w.concerns(t.Host, v, r) || t.Method != "" && t.Method != r.Method {
			continue
		}
		if byOperation && t.On != "" && !wild(t.On, operation) || !byOperation && t.On != "" && !wild(t.On, r.URL.Path) {
			continue
		}
		if !w.strike(&t.Times) {
			continue
		}
		if w.sleep(r.Context(), time.Duration(t.Delay)) != nil {
			panic(http.ErrAbortHandler)
		}
		if t.Reset {
			seenOf(rw).Fault = "reset"
			v.conn.Reset()
			panic(http.ErrAbortHandler)
		}
		if t.SOAP == "" && t.Body == "" && t.Status == 0 {
			continue // only the delay
		}
		t.answer(w, rw, r, operation)
		return true
	}
	return false
}

// concerns reports whether a host pattern means a request: by the host that it names,
// or by the site that it came to.
func (w *World) concerns(pattern string, v *visit, r *http.Request) bool {
	if fits(pattern, hostOnly(r.Host), v.server.Port()) {
		return true
	}
	return v.site != nil && slices.ContainsFunc(v.site.names, func(n string) bool { return fits(pattern, n, v.server.Port()) })
}

func (t *Trouble) answer(w *World, rw http.ResponseWriter, r *http.Request, operation string) {
	h := rw.Header()
	if t.RetryAfter != "" {
		h.Set("Retry-After", t.RetryAfter)
	}
	if t.Location != "" {
		h.Set("Location", t.Location)
	}
	if t.SOAP != "" {
		w.fault(rw, r, &soapFault{code: "Client", error: t.SOAP, message: t.Message, method: operation})
		return
	}
	if t.Body == "" {
		iisPage(rw, t.Status)
		return
	}
	status := t.Status
	if status == 0 {
		status = http.StatusOK
	}
	t.hostile(rw, r, status)
}

// hostile answers with what no server should send. Whatever has no end ends with the
// connection.
func (t *Trouble) hostile(rw http.ResponseWriter, r *http.Request, status int) {
	h := rw.Header()
	send := func(kind string, body []byte) {
		h.Set("Content-Type", kind)
		h.Set("Content-Length", strconv.Itoa(len(body)))
		rw.WriteHeader(status)
		if r.Method != http.MethodHead {
			_, _ = rw.Write(body)
		}
	}
	switch t.Body {
	case BodyPage:
		send("text/html; charset=utf-8", []byte(blockPage))
	case BodyFaultXML:
		status = http.StatusInternalServerError
		send("text/html; charset=utf-8", []byte("<html><head><title>Runtime Error</title></head><body><h1>Server Error in '/ClientWebService' Application.</h1></body></html>"))
	case BodyEmpty:
		send("text/xml; charset=utf-8", nil)
	case BodyGarbage:
		send("text/xml; charset=utf-8", bytes.Repeat([]byte{0x00, 0xff, 0xfe, '<', 0x80, '&'}, 400))
	case BodyLoop:
		status = http.StatusFound
		h.Set("Location", r.URL.RequestURI())
		send("text/html", nil)
	case BodyCut:
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Length", "4096")
		rw.WriteHeader(status)
		_, _ = rw.Write(make([]byte, 1024))
		_ = http.NewResponseController(rw).Flush()
		panic(http.ErrAbortHandler)
	case BodyBomb:
		h.Set("Content-Type", "text/xml; charset=utf-8")
		h.Set("Content-Encoding", "gzip")
		rw.WriteHeader(status)
		bomb(rw)
	case BodyDeep:
		h.Set("Content-Type", "text/xml; charset=utf-8")
		rw.WriteHeader(status)
		pump(rw, bytes.Repeat([]byte("<a>"), 4<<10), 1<<40)
	case BodyEndless:
		h.Set("Content-Type", "application/octet-stream")
		rw.WriteHeader(status)
		pump(rw, make([]byte, 32<<10), 1<<40)
	case BodySlow:
		h.Set("Content-Type", "text/xml; charset=utf-8")
		rw.WriteHeader(status)
		c := http.NewResponseController(rw)
		for {
			if _, err := rw.Write([]byte(" ")); err != nil || c.Flush() != nil || pause(r, time.Second) != nil {
				return
			}
		}
	case BodyHeaders, BodyNotHTTP:
		takeOver(rw, r, func(c net.Conn) {
			if t.Body == BodyNotHTTP {
				_, _ = io.WriteString(c, "220 mail.fabrikam.example ESMTP ready\r\n")
				return
			}
			_, _ = fmt.Fprintf(c, "HTTP/1.1 %d OK\r\n", status)
			pump(c, []byte("X-Padding: "+strings.Repeat("x", 1000)+"\r\n"), 1<<40)
		})
	}
}

// bomb writes a gigabyte of blanks as gzip: one member of a mebibyte, which is packed
// once, again and again (RFC 1952 section 2.2), so that only whoever unpacks it has work.
func bomb(w io.Writer) {
	const member, size = 1 << 20, 1 << 30
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(bytes.Repeat([]byte(" "), member))
	_ = z.Close()
	pump(w, packed.Bytes(), int64(packed.Len())*(size/member))
}

// pump writes the same bytes until so many are out or nobody takes more.
func pump(w io.Writer, b []byte, most int64) {
	for n := int64(0); n < most; n += int64(len(b)) {
		if _, err := w.Write(b); err != nil {
			return
		}
	}
}

// pause sleeps while the request lives.
func pause(r *http.Request, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-r.Context().Done():
		return r.Context().Err()
	}
}

var errTaken = errors.New("the connection cannot be taken over")

// takeOver gives a request's connection to a function, and closes it afterwards.
func takeOver(rw http.ResponseWriter, r *http.Request, f func(net.Conn)) error {
	v := visitOf(r)
	if !v.world.begin() {
		return errTaken
	}
	defer v.world.busy.Done()
	c, buf, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		return fmt.Errorf("take over: %w", err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Time{})
	if n := buf.Reader.Buffered(); n > 0 { // what the client said beyond its request
		first, _ := buf.Reader.Peek(n)
		c = &replay{Conn: c, first: append([]byte(nil), first...)}
	}
	f(c)
	return nil
}

// replay is a connection of which some bytes were read too early.
type replay struct {
	net.Conn
	first []byte
}

func (c *replay) Read(p []byte) (int, error) {
	if len(c.first) > 0 {
		n := copy(p, c.first)
		c.first = c.first[n:]
		return n, nil
	}
	return c.Conn.Read(p)
}

const blockPage = `<!DOCTYPE html><html><head><title>Access blocked</title></head><body><h1>Access blocked</h1>` +
	`<p>This site was blocked by the administrator's web policy.</p></body></html>`

// iisPage is the small page that IIS shows for a status.
func iisPage(rw http.ResponseWriter, status int) {
	text := http.StatusText(status)
	h := rw.Header()
	if h.Get("Server") == "" {
		h.Set("Server", "Microsoft-IIS/10.0")
		if status == http.StatusServiceUnavailable { // where no application pool runs, http.sys answers
			h.Set("Server", "Microsoft-HTTPAPI/2.0")
		}
	}
	h.Set("Content-Type", "text/html")
	if status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h["WWW-Authenticate"] = []string{"Negotiate", "NTLM"}
	}
	body := fmt.Sprintf("<!DOCTYPE html PUBLIC \"-//W3C//DTD HTML 4.01//EN\"><HTML><HEAD><TITLE>%s</TITLE></HEAD><BODY><h2>%s</h2><hr><p>HTTP Error %d. %s.</p></BODY></HTML>", text, text, status, text)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	rw.WriteHeader(status)
	_, _ = io.WriteString(rw, body)
}
