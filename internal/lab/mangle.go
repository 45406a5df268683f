package lab

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Mangle is what a proxy or a box in the way does to requests and answers on plain or
// opened connections.
type Mangle struct {
	Strip       []string          `json:"strip,omitempty"`       // fields of requests that it takes away: Range, SOAPAction
	StripAnswer []string          `json:"stripAnswer,omitempty"` // fields of answers: Content-Length, Accept-Ranges, ETag
	Set         map[string]string `json:"set,omitempty"`         // fields of requests that it sets: User-Agent
	SetAnswer   map[string]string `json:"setAnswer,omitempty"`   // fields of answers
	Recompress  bool              `json:"recompress,omitempty"`  // it sends gzip, wanted or not
	Refuse      []string          `json:"refuse,omitempty"`      // methods that it does not know: HEAD, POST
	RefuseAs    int               `json:"refuseAs,omitempty"`    // the status for them; 501 if zero
	MaxBody     int64             `json:"maxBody,omitempty"`     // request bodies beyond it get 413
	Cap         int64             `json:"cap,omitempty"`         // answers end after so many bytes
	Page        bool              `json:"page,omitempty"`        // every answer is a block page with status 200
	Append      string            `json:"append,omitempty"`      // it writes this behind every web page and XML answer
	Hidden      bool              `json:"hidden,omitempty"`      // it adds no Via and no X-Cache
}

// refuses answers what the box does not let through.
func (m *Mangle) refuses(rw http.ResponseWriter, r *http.Request, page func(http.ResponseWriter, *http.Request, int, string)) bool {
	for _, method := range m.Refuse {
		if strings.EqualFold(method, r.Method) {
			page(rw, r, or(m.RefuseAs, http.StatusNotImplemented), "ERR_UNSUP_REQ")
			return true
		}
	}
	if m.MaxBody > 0 && r.ContentLength > m.MaxBody {
		page(rw, r, http.StatusRequestEntityTooLarge, "ERR_TOO_BIG")
		return true
	}
	if m.Page {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		rw.Header().Set("Content-Length", strconv.Itoa(len(blockPage)))
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(rw, blockPage)
		}
		return true
	}
	return false
}

// request changes the header of a request.
func (m *Mangle) request(h http.Header) {
	for _, name := range m.Strip {
		h.Del(name)
	}
	for name, value := range m.Set {
		h.Set(name, value)
	}
}

// answer sends an answer on.
func (m *Mangle) answer(rw http.ResponseWriter, r *http.Request, from *http.Response) {
	h := rw.Header()
	body := io.Reader(from.Body)
	kind := h.Get("Content-Type")
	if m.Append != "" && (strings.Contains(kind, "html") || strings.Contains(kind, "xml")) {
		body = io.MultiReader(body, strings.NewReader(m.Append))
		h.Del("Content-Length")
	}
	if m.Recompress && r.Method != http.MethodHead && h.Get("Content-Encoding") != "gzip" && from.StatusCode == http.StatusOK {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.Copy(z, io.LimitReader(body, 64<<20))
		_ = z.Close()
		body = &b
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Length", strconv.Itoa(b.Len()))
	}
	for _, name := range m.StripAnswer {
		h.Del(name)
	}
	for name, value := range m.SetAnswer {
		h.Set(name, value)
	}
	chunked := h.Get("Content-Length") == ""
	rw.WriteHeader(from.StatusCode)
	if r.Method == http.MethodHead {
		return
	}
	if chunked { // sent at once, so that net/http does not find out the length
		_ = http.NewResponseController(rw).Flush()
	}
	if m.Cap > 0 {
		n, _ := io.CopyN(rw, body, m.Cap)
		if n == m.Cap {
			_ = http.NewResponseController(rw).Flush()
			panic(http.ErrAbortHandler)
		}
		return
	}
	if _, err := io.Copy(rw, body); err != nil {
		panic(http.ErrAbortHandler)
	}
}
