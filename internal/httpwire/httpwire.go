// Package httpwire reads and writes HTTP/1.1 messages as they travel: fields in
// their order and with their letter case, bodies as streams, everything within
// bounds. net/http puts names into a form of its own and adds fields by itself; who
// looks for what a proxy changes, or passes messages on unchanged, needs them as
// they are. RFC 9110, RFC 9112.
package httpwire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
)

// Bounds of a head.
const (
	MaxHead   = 64 << 10 // bytes
	MaxFields = 256
)

// Errors of reading. An error of the connection is returned as it is.
var (
	ErrNotHTTP = errors.New("not HTTP")
	ErrEndless = errors.New("a head without an end") // beyond the bounds
)

// Field is one header field.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Message is a request or an answer: its head, and a reader of its body.
type Message struct {
	Method, Target string // of a request: "GET", "/path" or "http://host/path" or "host:443"
	Status         int    // of an answer
	Reason         string // of an answer, as it came
	Old            bool   // HTTP/1.0
	Fields         []Field

	Size    int64     // Content-Length; -1 if there is none
	Chunked bool      // the body travels in chunks; Body gives it without
	Body    io.Reader // never nil
	Close   bool      // nothing can follow on this connection
}

// Values returns the values of all fields of a name, in any letter case.
func (m *Message) Values(name string) []string {
	var out []string
	for _, f := range m.Fields {
		if strings.EqualFold(f.Name, name) {
			out = append(out, f.Value)
		}
	}
	return out
}

// Get returns the first of them, "" if there is none.
func (m *Message) Get(name string) string {
	for _, f := range m.Fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// ReadAnswer reads an answer to a request with the given method. Interim answers
// (1xx) are passed over.
func ReadAnswer(in *bufio.Reader, method string) (*Message, error) {
	const maxInterim = 8
	for range maxInterim {
		m, err := readHead(in, true)
		if err != nil {
			return nil, err
		}
		if m.Status >= 100 && m.Status < 200 && m.Status != http.StatusSwitchingProtocols {
			continue
		}
		if err := m.lengths(); err != nil {
			return nil, err
		}
		switch {
		case method == http.MethodHead, m.Status == http.StatusNoContent, m.Status == http.StatusNotModified,
			method == http.MethodConnect && m.Status/100 == 2:
			m.Body = strings.NewReader("")
		case m.Chunked:
			m.Body = newChunks(in)
			m.Close = true // trailers are not read
		case m.Size >= 0:
			m.Body = io.LimitReader(in, m.Size)
		default:
			m.Body, m.Close = in, true
		}
		return m, nil
	}
	return nil, ErrEndless
}

// ReadRequest reads a request.
func ReadRequest(in *bufio.Reader) (*Message, error) {
	m, err := readHead(in, false)
	if err != nil {
		return nil, err
	}
	if err := m.lengths(); err != nil {
		return nil, err
	}
	switch {
	case m.Chunked:
		m.Body = newChunks(in)
		m.Close = true
	case m.Size > 0:
		m.Body = io.LimitReader(in, m.Size)
	default:
		m.Body = strings.NewReader("")
	}
	return m, nil
}

// readHead reads the first line and the fields.
func readHead(in *bufio.Reader, answer bool) (*Message, error) {
	r := lineReader{in: in, left: MaxHead}
	if first, err := in.Peek(5); answer && err == nil && string(first) != "HTTP/" {
		return nil, ErrNotHTTP
	}
	first, err := r.line()
	if err != nil {
		return nil, err
	}
	m := &Message{Size: -1}
	var proto string
	if answer {
		var rest, code string
		proto, rest, _ = strings.Cut(first, " ")
		code, m.Reason, _ = strings.Cut(strings.TrimLeft(rest, " "), " ")
		if m.Status, err = strconv.Atoi(code); err != nil || m.Status < 100 || m.Status > 999 {
			return nil, ErrNotHTTP
		}
	} else {
		parts := strings.Split(first, " ")
		if len(parts) != 3 || parts[0] == "" || parts[1] == "" {
			return nil, ErrNotHTTP
		}
		m.Method, m.Target, proto = parts[0], parts[1], parts[2]
	}
	if !strings.HasPrefix(proto, "HTTP/1.") {
		return nil, ErrNotHTTP
	}
	m.Old = proto == "HTTP/1.0"
	m.Close = m.Old
	for {
		line, err := r.line()
		switch {
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		case err != nil:
			return nil, err
		case line == "":
			return m, nil
		case line[0] == ' ' || line[0] == '\t': // a folded line, RFC 9112 section 5.2
			if n := len(m.Fields); n > 0 {
				m.Fields[n-1].Value += " " + strings.TrimSpace(line)
			}
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		switch {
		case !ok:
			return nil, ErrNotHTTP
		case len(m.Fields) == MaxFields:
			return nil, ErrEndless
		}
		m.Fields = append(m.Fields, Field{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
}

type lineReader struct {
	in   *bufio.Reader
	left int
}

// line returns the next line without its end.
func (r *lineReader) line() (string, error) {
	var b []byte
	for {
		part, err := r.in.ReadSlice('\n')
		if r.left -= len(part); r.left < 0 {
			return "", ErrEndless
		}
		b = append(b, part...)
		switch {
		case err == nil:
			return strings.TrimRight(string(b), "\r\n"), nil
		case err == bufio.ErrBufferFull:
		case err == io.EOF && len(b) > 0:
			return "", io.ErrUnexpectedEOF
		default:
			return "", err
		}
	}
}

// lengths reads what the fields say of the body and the connection. A message whose
// two lengths contradict each other is refused: RFC 9112 section 6.3.
func (m *Message) lengths() error {
	for _, v := range append(m.Values("Connection"), m.Values("Proxy-Connection")...) {
		switch v = strings.ToLower(v); {
		case strings.Contains(v, "close"):
			m.Close = true
		case strings.Contains(v, "keep-alive"):
			m.Close = false
		}
	}
	for i, v := range m.Values("Content-Length") {
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		if err != nil || n < 0 || i > 0 && n != m.Size {
			return ErrNotHTTP
		}
		m.Size = n
	}
	if v := m.Get("Transfer-Encoding"); v != "" {
		if !strings.EqualFold(v, "chunked") {
			return ErrNotHTTP
		}
		m.Chunked, m.Size = true, -1
	}
	return nil
}

// chunks reads a body that travels in chunks. Where the chunks make no sense it says
// ErrNotHTTP; an error of the connection stays what it is. It may read beyond the end of
// the body: nothing follows.
type chunks struct {
	body io.Reader
	err  error // of the connection
}

// source passes reads on and remembers how the connection failed.
type source struct {
	in *bufio.Reader
	c  *chunks
}

func newChunks(in *bufio.Reader) io.Reader {
	c := &chunks{}
	c.body = httputil.NewChunkedReader(source{in, c})
	return c
}

func (s source) Read(b []byte) (int, error) {
	n, err := s.in.Read(b)
	if err != nil {
		s.c.err = err
	}
	return n, err
}

func (c *chunks) Read(b []byte) (int, error) {
	n, err := c.body.Read(b)
	if err != nil && err != io.EOF && c.err == nil {
		err = ErrNotHTTP
	}
	return n, err
}

// AppendHead writes the head of a message: its first line and its fields, each kept
// on its line whatever it holds.
func (m *Message) AppendHead(b []byte) []byte {
	var w bytes.Buffer
	if m.Method != "" {
		fmt.Fprintf(&w, "%s %s HTTP/1.1\r\n", lineOnly(m.Method), lineOnly(m.Target))
	} else {
		fmt.Fprintf(&w, "HTTP/1.1 %03d %s\r\n", m.Status, lineOnly(m.Reason))
	}
	for _, f := range m.Fields {
		fmt.Fprintf(&w, "%s: %s\r\n", lineOnly(f.Name), lineOnly(f.Value))
	}
	w.WriteString("\r\n")
	return append(b, w.Bytes()...)
}

// Set replaces the fields of a name by one, at the place of the first.
func (m *Message) Set(name, value string) {
	at := -1
	kept := m.Fields[:0:0]
	for _, f := range m.Fields {
		if !strings.EqualFold(f.Name, name) {
			kept = append(kept, f)
			continue
		}
		if at < 0 {
			at = len(kept)
			kept = append(kept, Field{f.Name, value})
		}
	}
	if at < 0 {
		kept = append(kept, Field{name, value})
	}
	m.Fields = kept
}

// Drop takes the fields of the given names away.
func (m *Message) Drop(names ...string) {
	kept := m.Fields[:0:0]
next:
	for _, f := range m.Fields {
		for _, n := range names {
			if strings.EqualFold(f.Name, n) {
				continue next
			}
		}
		kept = append(kept, f)
	}
	m.Fields = kept
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
