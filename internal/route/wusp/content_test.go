package wusp

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"updoc/internal/host"
)

const fileURL = "http://wsus.fabrikam.example:8530/Content/AB/X.exe"

// cdn serves one file with ranges, until a test makes it do otherwise.
type cdn struct {
	data   []byte
	mangle func(r host.Request, ex *host.Exchange)
}

func (c cdn) say(r host.Request) host.Exchange {
	ex := answer(200, "", "Content-Type", "application/octet-stream", "Accept-Ranges", "bytes", "ETag", `"1"`)
	var first, last int
	if _, err := fmt.Sscanf(header(r, "Range"), "bytes=%d-%d", &first, &last); err == nil {
		ex.Status = 206
		ex.Body = bytes.Clone(c.data[first : last+1])
		ex.Header = append(ex.Header, host.Field{Name: "Content-Range", Value: fmt.Sprintf("bytes %d-%d/%d", first, last, len(c.data))}, host.Field{Name: "Content-Length", Value: strconv.Itoa(len(ex.Body))})
		ex.Length = int64(len(ex.Body))
		ex.Body = ex.Body[:min(len(ex.Body), r.Keep)]
	} else {
		ex.Header = append(ex.Header, host.Field{Name: "Content-Length", Value: strconv.Itoa(len(c.data))})
	}
	if c.mangle != nil {
		c.mangle(r, &ex)
	}
	return ex
}

func testFile(n int) ([]byte, File) {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i * 2654435761 >> 13)
	}
	one, two := sha1.Sum(data), sha256.Sum256(data)
	return data, File{Name: "X.exe", Size: int64(n), SHA1: hex.EncodeToString(one[:]), SHA256: hex.EncodeToString(two[:]), URL: fileURL}
}

func set(ex *host.Exchange, name, value string) {
	fresh := answer(ex.Status, "", name, value)
	kept := ex.Header[:0:0]
	for _, f := range ex.Header {
		if f.Name != name {
			kept = append(kept, f)
		}
	}
	ex.Header = kept
	if value != "" {
		ex.Header = append(ex.Header, fresh.Header[len(fresh.Header)-1])
	}
}

func TestProbe(t *testing.T) {
	for _, tt := range []struct {
		size int
		want []string // ranges
	}{
		{5, []string{"", "bytes=0-4"}},
		{PieceSize, []string{"", "bytes=0-1048575"}},
		{PieceSize + 10, []string{"", "bytes=0-1048575", "bytes=1048576-1048585"}},
		{5*PieceSize + 10, []string{"", "bytes=3145728-4194303", "bytes=5242880-5242889"}},
	} {
		data, f := testFile(tt.size)
		w := &wire{say: cdn{data: data}.say}
		s := &Session{Exchanger: w, Via: host.Via{Proxy: "http://proxy.example:3128"}}
		steps, err := s.Probe(t.Context(), f)
		if err != nil || len(steps) != len(tt.want) {
			t.Fatalf("%d: %d steps, %v", tt.size, len(steps), err)
		}
		for i, st := range steps {
			if r := w.sent[i]; st.Problem != nil || header(r, "Range") != tt.want[i] || r.Via.Proxy != "http://proxy.example:3128" {
				t.Errorf("%d: step %d: %v, %s", tt.size, i, st.Problem, header(r, "Range"))
			}
		}
	}
}

// What proxies do to ranges, lengths and headers, each told apart.
func TestProbeFaults(t *testing.T) {
	data, f := testFile(3*PieceSize + 7)
	head := func(fn func(*host.Exchange)) func(host.Request, *host.Exchange) {
		return func(r host.Request, ex *host.Exchange) {
			if r.Method == "HEAD" {
				fn(ex)
			}
		}
	}
	get := func(fn func(*host.Exchange)) func(host.Request, *host.Exchange) {
		return func(r host.Request, ex *host.Exchange) {
			if r.Method == "GET" {
				fn(ex)
			}
		}
	}
	tests := []struct {
		name   string
		mangle func(host.Request, *host.Exchange)
		step   int
		hop    host.HopKind
		fault  host.Fault
		seen   string
	}{
		{"no HEAD", head(func(ex *host.Exchange) { ex.Status = 405 }), 0, host.HopHTTP, host.FaultStatus, "HTTP 405"},
		{"no length", head(func(ex *host.Exchange) { set(ex, "Content-Length", "") }), 0, host.HopContent, host.FaultLength, "no Content-Length"},
		{"odd length", head(func(ex *host.Exchange) { set(ex, "Content-Length", "-5") }), 0, host.HopContent, host.FaultLength, "Content-Length: -5"},
		{"other length", head(func(ex *host.Exchange) { set(ex, "Content-Length", "99") }), 0, host.HopContent, host.FaultLength, "99 bytes, the metadata speaks of 3145735"},
		{"no ranges", head(func(ex *host.Exchange) { set(ex, "Accept-Ranges", "none") }), 0, host.HopContent, host.FaultRange, "Accept-Ranges: none"},
		{"HEAD encoded", head(func(ex *host.Exchange) { set(ex, "Content-Encoding", "gzip") }), 0, host.HopContent, host.FaultHeader, "Content-Encoding: gzip"},
		{"HEAD portal", head(func(ex *host.Exchange) { ex.Body = []byte("<html>") }), 0, host.HopHTTP, host.FaultPortal, "a web page instead of a file"},
		{"whole file", get(func(ex *host.Exchange) { ex.Status = 200 }), 1, host.HopContent, host.FaultRange, "a range was asked for, the whole file came"},
		{"416", get(func(ex *host.Exchange) { ex.Status = 416 }), 1, host.HopContent, host.FaultRange, "HTTP 416"},
		{"other range", get(func(ex *host.Exchange) { set(ex, "Content-Range", "bytes 0-9/3145735") }), 1, host.HopContent, host.FaultRange, "bytes 0-9 came instead of 2097152-3145727"},
		{"no range header", get(func(ex *host.Exchange) { set(ex, "Content-Range", "") }), 1, host.HopContent, host.FaultRange, "Content-Range: "},
		{"nonsense", get(func(ex *host.Exchange) { set(ex, "Content-Range", "bytes 9-1/2") }), 1, host.HopContent, host.FaultRange, "Content-Range: bytes 9-1/2"},
		{"other file", get(func(ex *host.Exchange) { set(ex, "Content-Range", "bytes 2097152-3145727/4000000") }), 1, host.HopContent, host.FaultLength, "a file of 4000000 bytes, the metadata speaks of 3145735"},
		{"short", get(func(ex *host.Exchange) { ex.Length = 12 }), 1, host.HopContent, host.FaultLength, "12 bytes came of 1048576"},
		{"encoded", get(func(ex *host.Exchange) { set(ex, "Content-Encoding", "br") }), 1, host.HopContent, host.FaultHeader, "Content-Encoding: br"},
		{"portal", get(func(ex *host.Exchange) { ex.Status, ex.Body = 200, []byte("<!doctype html>") }), 1, host.HopHTTP, host.FaultPortal, "a web page instead of a file"},
		{"denied", get(func(ex *host.Exchange) { ex.Status = 403 }), 1, host.HopHTTP, host.FaultStatus, "HTTP 403"},
		{"busy", get(func(ex *host.Exchange) { ex.Status = 429; set(ex, "Retry-After", "7") }), 1, host.HopHTTP, host.FaultStatus, "HTTP 429, Retry-After: 7"},
		{"reset", get(func(ex *host.Exchange) { *ex = broken(host.HopHTTP, host.FaultReset) }), 1, host.HopHTTP, host.FaultReset, "seen"},
	}
	for _, tt := range tests {
		w := &wire{say: cdn{data, tt.mangle}.say}
		steps, err := (&Session{Exchanger: w}).Probe(t.Context(), f)
		if err != nil || len(steps) != 3 {
			t.Errorf("%s: %d steps, %v", tt.name, len(steps), err)
			continue
		}
		p := steps[tt.step].Problem
		if p == nil || p.Hop != tt.hop || p.Fault != tt.fault || p.Seen != tt.seen {
			t.Errorf("%s: %+v", tt.name, p)
		}
		if b := steps[tt.step].Exchange.Broken(); b == nil || b.Kind != tt.hop || b.Fault != tt.fault {
			t.Errorf("%s: marked with %+v", tt.name, b)
		}
	}
}

func TestDownload(t *testing.T) {
	data, f := testFile(2*PieceSize + 321)
	fetch := func(f File, mangle func(host.Request, *host.Exchange)) (Step, []byte, *wire, error) {
		w := &wire{say: cdn{data, mangle}.say}
		var out bytes.Buffer
		st, err := (&Session{Exchanger: w}).Download(t.Context(), f, 4<<20, &out)
		return st, out.Bytes(), w, err
	}
	st, got, w, err := fetch(f, nil)
	if err != nil || st.Problem != nil || !bytes.Equal(got, data) || len(w.sent) != 3 || st.Exchange.Body != nil {
		t.Fatalf("%d bytes in %d requests, %v, %v", len(got), len(w.sent), st.Problem, err)
	}
	older := f
	older.SHA256 = ""
	if st, _, _, err := fetch(older, nil); err != nil || st.Problem != nil {
		t.Errorf("SHA-1 alone: %v, %v", st.Problem, err)
	}
	for name, spoil := range map[string]func(*File){
		"SHA-1":   func(f *File) { f.SHA1, f.SHA256 = sum1Hex, "" },
		"SHA-256": func(f *File) { f.SHA256 = sum256Hex },
	} {
		g := f
		spoil(&g)
		st, _, _, err := fetch(g, nil)
		if err != nil || st.Problem == nil || st.Problem.Fault != host.FaultDigest || st.Exchange.Broken() == nil || st.Problem.Seen != "another "+name+" than the metadata says" {
			t.Errorf("%s: %v, %v", name, st.Problem, err)
		}
	}
	// A byte that changed on the way, in the last piece.
	st, _, _, err = fetch(f, func(r host.Request, ex *host.Exchange) {
		if len(ex.Body) == 321 {
			ex.Body[300] ^= 1
		}
	})
	if err != nil || st.Problem == nil || st.Problem.Fault != host.FaultDigest {
		t.Errorf("changed byte: %v, %v", st.Problem, err)
	}
	// The way breaks in the middle.
	st, got, w, err = fetch(f, func(r host.Request, ex *host.Exchange) {
		if header(r, "Range") == "bytes=1048576-2097151" {
			*ex = broken(host.HopHTTP, host.FaultReset)
		}
	})
	if err != nil || st.Problem == nil || st.Problem.Fault != host.FaultReset || len(got) != PieceSize || len(w.sent) != 2 {
		t.Errorf("broken: %v, %d bytes, %d requests, %v", st.Problem, len(got), len(w.sent), err)
	}
	st, _, _, err = fetch(f, func(r host.Request, ex *host.Exchange) { ex.Body = ex.Body[:10] })
	if err != nil || st.Problem == nil || st.Problem.Fault != host.FaultLength {
		t.Errorf("less kept than came: %v, %v", st.Problem, err)
	}
	for name, g := range map[string]File{"large": {SHA1: sum1Hex, Size: 5 << 20}, "unknown size": {SHA1: sum1Hex}} {
		if _, _, w, err := fetch(g, nil); !errors.Is(err, ErrTooLarge) || len(w.sent) != 0 {
			t.Errorf("%s: %v after %d requests", name, err, len(w.sent))
		}
	}
	if _, _, _, err := fetch(File{Size: 5}, nil); err == nil {
		t.Error("a file without a digest was fetched")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&Session{Exchanger: &wire{say: cdn{data: data}.say}}).Download(ctx, f, 4<<20, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context ended: %v", err)
	}
	if _, err := (&Session{Exchanger: &wire{say: cdn{data: data}.say}}).Download(t.Context(), f, 4<<20, fullDisk{}); !errors.Is(err, errFull) {
		t.Errorf("full disk: %v", err)
	}
}

var errFull = errors.New("full")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestParseContentRange(t *testing.T) {
	for in, want := range map[string]struct {
		first, last, total int64
		ok                 bool
	}{
		"bytes 0-9/100":                  {0, 9, 100, true},
		"Bytes 5-5/6":                    {5, 5, 6, true},
		"bytes 0-9/*":                    {0, 9, -1, true},
		"bytes 0-9/9":                    {0, 9, 9, false},
		"bytes */100":                    {0, 0, 0, false},
		"bytes 0-9":                      {0, 9, 0, false},
		"items 0-9/100":                  {0, 9, 100, false},
		"bytes -1-9/100":                 {0, 0, 0, false},
		"bytes 0-99999999999999999999/1": {0, 0, 0, false},
		"bytes 0-9/-1":                   {0, 9, -1, false},
		"":                               {0, 0, 0, false},
	} {
		first, last, total, ok := parseContentRange(in)
		if ok != want.ok || ok && (first != want.first || last != want.last || total != want.total) {
			t.Errorf("%q: %d-%d/%d %t", in, first, last, total, ok)
		}
	}
}
