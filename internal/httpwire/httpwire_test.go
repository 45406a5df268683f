package httpwire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func reader(s string) *bufio.Reader { return bufio.NewReader(strings.NewReader(s)) }

func TestReadAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		method, wire string
		want         Message // without Body
		body         string
		err, bodyErr error
		rest         string // what follows on the connection
	}{
		"a length": {
			wire: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcNEXT",
			want: Message{Status: 200, Reason: "OK", Size: 3, Fields: []Field{{"Content-Length", "3"}}}, body: "abc", rest: "NEXT",
		},
		"letters and order stay": {
			wire: "HTTP/1.1 204 No Content here\r\nb: 1\r\nA:2\r\nB:  3 \r\n\r\n",
			want: Message{Status: 204, Reason: "No Content here", Size: -1, Fields: []Field{{"b", "1"}, {"A", "2"}, {"B", "3"}}},
		},
		"no reason, bare line feeds": {wire: "HTTP/1.1 404\ncontent-length:0\n\n", want: Message{Status: 404, Size: 0, Fields: []Field{{"content-length", "0"}}}},
		"a folded line":              {wire: "HTTP/1.1 200 OK\r\nA: 1\r\n\t 2\r\nContent-Length: 0\r\n\r\n", want: Message{Status: 200, Reason: "OK", Fields: []Field{{"A", "1 2"}, {"Content-Length", "0"}}}},
		"a folded first line":        {wire: "HTTP/1.1 200 OK\r\n folded\r\nContent-Length: 0\r\n\r\n", want: Message{Status: 200, Reason: "OK", Fields: []Field{{"Content-Length", "0"}}}},
		"until the end":              {wire: "HTTP/1.1 200 OK\r\n\r\nall of it", want: Message{Status: 200, Reason: "OK", Size: -1, Close: true}, body: "all of it"},
		"HTTP/1.0":                   {wire: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", want: Message{Status: 200, Reason: "OK", Old: true, Close: true, Size: 1, Fields: []Field{{"Content-Length", "1"}}}, body: "x"},
		"HTTP/1.0 that stays":        {wire: "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", want: Message{Status: 200, Reason: "OK", Old: true, Fields: []Field{{"Connection", "Keep-Alive"}, {"Content-Length", "0"}}}},
		"closes":                     {wire: "HTTP/1.1 200 OK\r\nProxy-Connection: close\r\nContent-Length: 0\r\n\r\n", want: Message{Status: 200, Reason: "OK", Close: true, Fields: []Field{{"Proxy-Connection", "close"}, {"Content-Length", "0"}}}},
		"chunks": {
			wire: "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\nContent-Length: 99\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n",
			want: Message{Status: 200, Reason: "OK", Size: -1, Chunked: true, Close: true, Fields: []Field{{"transfer-encoding", "Chunked"}, {"Content-Length", "99"}}}, body: "abc",
		},
		"a head's answer":            {method: "HEAD", wire: "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", want: Message{Status: 200, Reason: "OK", Size: 500, Fields: []Field{{"Content-Length", "500"}}}},
		"a tunnel":                   {method: "CONNECT", wire: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", want: Message{Status: 200, Reason: "OK", Size: 5, Fields: []Field{{"Content-Length", "5"}}}, rest: "hello"},
		"interim answers":            {wire: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", want: Message{Status: 200, Reason: "OK", Fields: []Field{{"Content-Length", "0"}}}},
		"switched":                   {wire: "HTTP/1.1 101 Switching\r\n\r\nX", want: Message{Status: 101, Reason: "Switching", Size: -1, Close: true}, body: "X"},
		"the same length twice":      {wire: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\nx", want: Message{Status: 200, Reason: "OK", Size: 1, Fields: []Field{{"Content-Length", "1"}, {"content-length", "1"}}}, body: "x"},
		"nothing":                    {wire: "", err: io.EOF},
		"half a head":                {wire: "HTTP/1.1 200 OK\r\nA: b\r\n", err: io.ErrUnexpectedEOF},
		"half a line":                {wire: "HTTP/1.1 20", err: io.ErrUnexpectedEOF},
		"another protocol":           {wire: "220 mail ready\r\n", err: ErrNotHTTP},
		"HTTP/2":                     {wire: "HTTP/2 200\r\n\r\n", err: ErrNotHTTP},
		"a status of letters":        {wire: "HTTP/1.1 OK\r\n\r\n", err: ErrNotHTTP},
		"a status too small":         {wire: "HTTP/1.1 99 X\r\n\r\n", err: ErrNotHTTP},
		"a line without a colon":     {wire: "HTTP/1.1 200 OK\r\nrubbish\r\n\r\n", err: ErrNotHTTP},
		"two lengths":                {wire: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", err: ErrNotHTTP},
		"a negative length":          {wire: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", err: ErrNotHTTP},
		"a length with a sign":       {wire: "HTTP/1.1 200 OK\r\nContent-Length: 1e3\r\n\r\n", err: ErrNotHTTP},
		"a coding that is not known": {wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", err: ErrNotHTTP},
		"a head without an end":      {wire: "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("b", MaxHead), err: ErrEndless},
		"too many fields":            {wire: "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", MaxFields+1) + "\r\n", err: ErrEndless},
		"interim answers for ever":   {wire: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 20), err: ErrEndless},
		"a bad chunk": {
			wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", bodyErr: ErrNotHTTP,
			want: Message{Status: 200, Reason: "OK", Size: -1, Chunked: true, Close: true, Fields: []Field{{"Transfer-Encoding", "chunked"}}},
		},
		"a chunk that is cut": {
			wire: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nab", body: "ab", bodyErr: io.ErrUnexpectedEOF,
			want: Message{Status: 200, Reason: "OK", Size: -1, Chunked: true, Close: true, Fields: []Field{{"Transfer-Encoding", "chunked"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := reader(tt.wire)
			m, err := ReadAnswer(in, tt.method)
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err != nil {
				return
			}
			body, err := io.ReadAll(m.Body)
			if !errors.Is(err, tt.bodyErr) || (err == nil) != (tt.bodyErr == nil) {
				t.Errorf("the body ends with %v, want %v", err, tt.bodyErr)
			}
			if string(body) != tt.body {
				t.Errorf("body %q, want %q", body, tt.body)
			}
			if rest, _ := io.ReadAll(in); tt.rest != "" && string(rest) != tt.rest {
				t.Errorf("%q follows, want %q", rest, tt.rest)
			}
			m.Body = nil
			if diff := cmp.Diff(&tt.want, m); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// An error of the connection in the midst of chunks is not mistaken for bad chunks.
func TestChunksOfABrokenConnection(t *testing.T) {
	broken := errors.New("connection reset")
	in := bufio.NewReader(io.MultiReader(strings.NewReader("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), iotest.ErrReader(broken)))
	m, err := ReadAnswer(in, "GET")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(m.Body); !errors.Is(err, broken) {
		t.Errorf("told as %v", err)
	}
}

func TestReadRequest(t *testing.T) {
	m, err := ReadRequest(reader("POST http://wsus.fabrikam.example/x HTTP/1.1\r\nHost: wsus.fabrikam.example\r\nContent-Length: 2\r\n\r\nhi"))
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(m.Body); m.Method != "POST" || m.Target != "http://wsus.fabrikam.example/x" || string(body) != "hi" || m.Close {
		t.Errorf("%+v, body %q", m, body)
	}
	for _, bad := range []string{"GET /\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n", " / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1 x\r\n\r\n", "GET / HTTP/2.0\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n", "\r\n"} {
		if _, err := ReadRequest(reader(bad)); !errors.Is(err, ErrNotHTTP) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestFields(t *testing.T) {
	m := Message{Method: "GET", Target: "/a\r\nX: y", Fields: []Field{{"Via", "a"}, {"host", "b"}, {"VIA", "c"}}}
	if got := m.Values("via"); len(got) != 2 || m.Get("Via") != "a" || m.Get("nobody") != "" {
		t.Errorf("%q, %q", got, m.Get("Via"))
	}
	m.Set("via", "z")
	m.Set("New", "a\r\nEvil: 1\x00")
	m.Drop("HOST", "none")
	if got, want := string(m.AppendHead([]byte(">"))), ">GET /aX: y HTTP/1.1\r\nVia: z\r\nNew: aEvil: 1\r\n\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	a := Message{Status: 407, Reason: "No\nway"}
	if got, want := string(a.AppendHead(nil)), "HTTP/1.1 407 Noway\r\n\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// FuzzReadAnswer: an answer that is read can be written and read again and says the
// same; what net/http reads too has the same status and length.
func FuzzReadAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", false)
	f.Add("HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n", true)
	f.Add("HTTP/1.0 200\nA:\n b\n\nx", false)
	f.Add("HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", false)
	f.Fuzz(func(t *testing.T, wire string, connect bool) {
		method := http.MethodGet
		if connect {
			method = http.MethodConnect
		}
		m, err := ReadAnswer(reader(wire), method)
		if err != nil {
			return
		}
		check(t, m, len(wire))
		if m.Status < 100 || m.Status > 999 {
			t.Errorf("status %d", m.Status)
		}
		head := m.AppendHead(nil)
		again, err := ReadAnswer(bufio.NewReader(io.MultiReader(bytes.NewReader(head), strings.NewReader(""))), method)
		if err != nil {
			return // HTTP/1.0 became 1.1, or a name lost its only letter
		}
		if again.Status != m.Status || len(again.Fields) > len(m.Fields) {
			t.Errorf("%+v became %+v", m, again)
		}
		if resp, err := http.ReadResponse(reader(wire), &http.Request{Method: method}); err == nil && resp.StatusCode >= 200 && resp.StatusCode != m.Status {
			t.Errorf("status %d, net/http says %d", m.Status, resp.StatusCode)
		}
	})
}

// FuzzReadRequest: the same of requests.
func FuzzReadRequest(f *testing.F) {
	f.Add("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	f.Add("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nProxy-Authorization: Basic x\r\n\r\n")
	f.Add("POST http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
	f.Fuzz(func(t *testing.T, wire string) {
		m, err := ReadRequest(reader(wire))
		if err != nil {
			return
		}
		check(t, m, len(wire))
		if m.Method == "" || m.Target == "" || strings.ContainsAny(m.Method+m.Target, " \n") {
			t.Errorf("%+v", m)
		}
		head := m.AppendHead(nil)
		if again, err := ReadRequest(bufio.NewReader(bytes.NewReader(head))); err == nil && len(again.Fields) > len(m.Fields) {
			t.Errorf("%+v became %+v", m, again)
		}
	})
}

func check(t *testing.T, m *Message, n int) {
	t.Helper()
	if m.Body == nil || m.Size < -1 || len(m.Fields) > MaxFields || m.Chunked && m.Size >= 0 {
		t.Errorf("%+v", m)
	}
	body, _ := io.ReadAll(m.Body)
	if len(body) > n || m.Size >= 0 && int64(len(body)) > m.Size {
		t.Errorf("%d bytes of body out of %d, %d were announced", len(body), n, m.Size)
	}
	for _, f := range m.Fields {
		if strings.ContainsAny(f.Name+f.Value, "\n") {
			t.Errorf("a field of two lines: %q", f)
		}
	}
}
