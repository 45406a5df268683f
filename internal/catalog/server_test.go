package catalog

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// content is a file of any size that costs nothing: the same noise again and again, with
// its position in every 4 KiB, so that bytes at the wrong place are wrong bytes.
type content struct {
	size int64
	seed uint64
}

const stamp = 4096

var noise = func() []byte {
	b := make([]byte, 64<<10)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}()

func (c content) ReadAt(p []byte, off int64) (int, error) {
	if off >= c.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), c.size-off))
	for i := 0; i < n; {
		at := off + int64(i)
		k := copy(p[i:n], noise[at%int64(len(noise)):])
		i += k
	}
	for at := (off - 7) / stamp * stamp; at < off+int64(n); at += stamp {
		if at < 0 {
			continue
		}
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], uint64(at)^c.seed)
		for k, x := range b {
			if i := at + int64(k) - off; i >= 0 && i < int64(n) {
				p[i] = x
			}
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (c content) reader() io.Reader { return io.NewSectionReader(c, 0, c.size) }

func (c content) want(address string) Want {
	one, two := sha1.New(), sha256.New()
	_, _ = io.CopyBuffer(io.MultiWriter(one, two), struct{ io.Reader }{c.reader()}, make([]byte, 1<<20))
	return Want{URL: address, SHA256: hex.EncodeToString(two.Sum(nil)), SHA1: hex.EncodeToString(one.Sum(nil))}
}

// cdn is a content server on a real socket, with faults that strike some requests.
type cdn struct {
	content content
	etag    string
	fault   func(n int64, r *http.Request) string // what is wrong with the answer to GET number n
	n       atomic.Int64
	open    atomic.Int64
	peak    atomic.Int64
	mu      sync.Mutex
	tag     func(n int64) string // its ETag, where that changes
	address string
}

func serve(t testing.TB, c *cdn) *cdn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if c.etag == "" {
		c.etag = `"1"`
	}
	c.address = l.Addr().String()
	srv := &http.Server{Handler: c, ErrorLog: nil}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return c
}

const there = "http://catalog.s.download.windowsupdate.com/d/msdownload/update/software/secu/2026/01/windows11.0-kb5099001-x64.msu"

// fetcher leads every name to the server; nobody speaks https.
func (c *cdn) fetcher() *Fetcher {
	n := Network{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if strings.HasSuffix(addr, ":443") {
			return nil, errors.New("connection refused")
		}
		return (&net.Dialer{}).DialContext(ctx, network, c.address)
	}}
	return &Fetcher{Transport: n.Transport(), Sleep: func(ctx context.Context, d time.Duration) error { return ctx.Err() }}
}

// set changes what the server does, while it serves.
func (c *cdn) set(f func(*cdn)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c)
}

// strike changes what is wrong with the answers from here on.
func (c *cdn) strike(fault func(n int64, r *http.Request) string) {
	c.set(func(c *cdn) { c.fault = fault })
}

func (c *cdn) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	open := c.open.Add(1)
	defer c.open.Add(-1)
	for {
		p := c.peak.Load()
		if open <= p || c.peak.CompareAndSwap(p, open) {
			break
		}
	}
	n := c.n.Add(1)
	c.mu.Lock()
	content, etag, wrong, tag := c.content, c.etag, c.fault, c.tag
	c.mu.Unlock()
	fault := ""
	if wrong != nil {
		fault = wrong(n, r)
	}
	if tag != nil {
		etag = tag(n)
	}
	want := r.Header.Get("Range")
	liar := content
	liar.seed = 99
	h := rw.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("ETag", etag)
	first, last := int64(0), content.size-1
	status := http.StatusOK
	if ir := r.Header.Get("If-Range"); want != "" && fault != "whole" && (ir == "" || ir == etag) {
		if _, err := fmt.Sscanf(want, "bytes=%d-%d", &first, &last); err != nil {
			last = content.size - 1
		}
		last = min(last, content.size-1)
		if first > last || fault == "416" {
			h.Set("Content-Range", fmt.Sprintf("bytes */%d", content.size))
			http.Error(rw, "", http.StatusRequestedRangeNotSatisfiable)
			return
		}
		status = http.StatusPartialContent
		switch fault {
		case "other":
			first, last = max(0, first-512), max(0, last-512)
			if first == 0 {
				last = max(0, last-1)
			}
		case "lies": // says one range and sends another
			h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, content.size))
			h.Set("Content-Length", fmt.Sprint(last-first+1))
			rw.WriteHeader(status)
			_, _ = io.Copy(rw, io.NewSectionReader(liar, first, last-first+1))
			return
		}
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, content.size))
	}
	switch fault {
	case "503":
		h.Set("Retry-After", "1")
		http.Error(rw, "busy", http.StatusServiceUnavailable)
		return
	case "404", "403", "407", "500":
		var s int
		fmt.Sscan(fault, &s)
		http.Error(rw, "", s)
		return
	case "page":
		h.Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(rw, "<html>sign in here</html>")
		return
	case "gzip":
		h.Set("Content-Encoding", "gzip")
	case "unknown": // the length
		rw.WriteHeader(status)
		_ = http.NewResponseController(rw).Flush()
		_, _ = io.Copy(rw, io.NewSectionReader(content, first, last-first+1))
		return
	case "less": // a shorter length is announced, and sent
		h.Set("Content-Length", fmt.Sprint((last-first+1)*3/4))
		rw.WriteHeader(status)
		_, _ = io.Copy(rw, io.NewSectionReader(content, first, (last-first+1)*3/4))
		return
	}
	body := io.Reader(io.NewSectionReader(content, first, last-first+1))
	if fault == "flip" {
		body = &flipped{r: body}
	}
	h.Set("Content-Length", fmt.Sprint(last-first+1))
	if fault == "reset" || fault == "cut" {
		rw.WriteHeader(status)
		_, _ = io.CopyN(rw, body, (last-first+1)/3)
		_ = http.NewResponseController(rw).Flush()
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			return
		}
		if fault == "reset" {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
		conn.Close()
		return
	}
	rw.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = io.CopyBuffer(struct{ io.Writer }{rw}, body, make([]byte, 256<<10))
	}
}

// flipped changes one bit of the first byte.
type flipped struct {
	r    io.Reader
	done bool
}

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if n > 0 && !f.done {
		p[0] ^= 1
		f.done = true
	}
	return n, err
}

// proxy is a forward proxy on a real socket; sign says that it wants a sign-in.
func proxy(t *testing.T, to string, sign bool) func(*http.Request) (*url.URL, error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	out := &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, to)
	}}
	srv := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if sign {
			rw.Header().Set("Proxy-Authenticate", "NTLM")
			rw.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		if r.Method == http.MethodConnect {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		r.RequestURI = ""
		resp, err := out.RoundTrip(r)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		for k, v := range resp.Header {
			rw.Header()[k] = v
		}
		rw.Header().Add("Via", "1.1 proxy")
		rw.WriteHeader(resp.StatusCode)
		if _, err := io.CopyBuffer(struct{ io.Writer }{rw}, resp.Body, make([]byte, 256<<10)); err != nil {
			panic(http.ErrAbortHandler)
		}
	})}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close(); out.CloseIdleConnections() })
	return http.ProxyURL(&url.URL{Scheme: "http", Host: l.Addr().String()})
}

// whole reports whether a file is the content.
func (c content) whole(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() != c.size {
		t.Fatalf("%d bytes, want %d", info.Size(), c.size)
	}
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); at < c.size; at += int64(len(a)) {
		n, _ := f.ReadAt(a, at)
		m, _ := c.ReadAt(b, at)
		if n != m || !bytes.Equal(a[:n], b[:m]) {
			t.Fatalf("other bytes near %d", at)
		}
	}
}
