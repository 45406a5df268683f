package lab

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func FuzzParseXML(f *testing.F) {
	f.Add(`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><A xmlns="u"><b>1</b></A></s:Body></s:Envelope>`)
	f.Add(strings.Repeat("<a>", 100))
	f.Add(`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`)
	f.Fuzz(func(t *testing.T, s string) {
		e, err := parseXML(strings.NewReader(s))
		if (err == nil) == (e == nil) {
			t.Fatalf("%v, %v", e, err)
		}
		var depth func(*element) int
		depth = func(e *element) int {
			d := 0
			for _, k := range e.kids {
				d = max(d, depth(k))
			}
			return d + 1
		}
		if e != nil && depth(e) > maxDepth {
			t.Fatalf("depth %d", depth(e))
		}
	})
}

func FuzzDNS(f *testing.F) {
	w := open(f, `{"lookups":[{"name":"nx.example","fault":"nxdomain"}]}`)
	q := []byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 'w', 'w', 'w', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 3, 'c', 'o', 'm', 0, 0, 1, 0, 1}
	f.Add(q)
	f.Add(q[:20])
	f.Add(append(bytes.Clone(q[:12]), 0xc0, 12, 0, 1, 0, 1))
	f.Fuzz(func(t *testing.T, q []byte) {
		a := w.dnsAnswer(w.machine, q, 512, nil)
		if a == nil {
			return
		}
		if len(a) > max(512, len(q)) || !bytes.Equal(a[:2], q[:2]) || a[2]&0x80 == 0 {
			t.Fatalf("%x gives %x", q, a)
		}
	})
}

func FuzzNTLM(f *testing.F) {
	first, _ := base64.StdEncoding.DecodeString("TlRMTVNTUAABAAAAB4IIAAAAAAAAAAAAAAAAAAAAAAA=")
	f.Add(first, append([]byte("NTLMSSP\x00\x03\x00\x00\x00"), make([]byte, 100)...))
	f.Add(spnegoReply(first), spnegoReply(bytes.Repeat([]byte("NTLMSSP\x00\x03\x00\x00\x00"), 10)))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		n := &ntlm{domain: "FABRIKAM", host: "PROXY", suffix: "fabrikam.example"}
		if inner, _ := spnegoInner(a); inner != nil {
			a = inner
		}
		if m, err := n.begin(a, time.Unix(1e9, 0)); err == nil && ntlmKind(m) != 2 {
			t.Fatalf("%x", m)
		}
		if inner, _ := spnegoInner(b); inner != nil {
			b = inner
		}
		user, err := n.finish(b, func(string, string) (string, string, bool) { return "jo", "unguessable", true })
		if err == nil {
			t.Fatalf("%s signed in with %x", user, b)
		}
	})
}

func FuzzAuthParams(f *testing.F) {
	f.Add(`username="jo", realm="a \"b\"", nonce=abc, qop=auth`)
	f.Add(`a=",`)
	f.Add(`=,=,=`)
	f.Fuzz(func(t *testing.T, s string) {
		for k := range authParams(s) {
			if k != strings.ToLower(k) {
				t.Fatalf("%q", k)
			}
		}
	})
}

func FuzzFirstBytes(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"))
	f.Add([]byte("CONNECT a.example:443 HTTP/1.1\r\n\r\n"))
	f.Add([]byte{0x16, 3, 1, 0, 4, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > firstBytes {
			return
		}
		complete(b)
		nameIn(b)
	})
}

func FuzzByteRange(f *testing.F) {
	f.Add("bytes=0-9", 100)
	f.Add("bytes=-5", 100)
	f.Add("bytes=7-", 8)
	f.Fuzz(func(t *testing.T, s string, size int) {
		if size <= 0 {
			return
		}
		first, last, ok := byteRange(s, size)
		if ok && (first < 0 || first > last || last >= size) {
			t.Fatalf("%q of %d: %d to %d", s, size, first, last)
		}
	})
}

func FuzzXpress(f *testing.F) {
	f.Add([]byte("abcabcabcabc"))
	f.Add([]byte("0"))
	f.Add(bytes.Repeat([]byte{0}, 40000))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := unxpress(t, xpress(b)); !bytes.Equal(got, b) {
			t.Fatalf("%x becomes %x", b, got)
		}
	})
}

func FuzzParseWorld(f *testing.F) {
	f.Add([]byte(`{"seed":1,"paths":[{"to":"a","fault":"drop","latency":"1s"}],"wsus":[{"name":"w.example"}]}`))
	f.Add([]byte(`{"proxies":[{"name":"192.0.2.7","auth":["NTLM"]}],"scripts":[{"host":"wpad.example","text":"x"}],"middle":[{"opens":"x"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		spec, err := ParseWorld(b)
		if err != nil {
			return
		}
		w, err := Open(spec)
		if err != nil {
			return
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		w, err := Open(WorldSpec{})
		if err != nil {
			b.Fatal(err)
		}
		_ = w.Close()
	}
}

func BenchmarkRequest(b *testing.B) {
	w := open(b, `{}`)
	c := browser(b, w, "")
	for b.Loop() {
		resp, err := c.Get("http://www.example.com/")
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
}

func BenchmarkDownload(b *testing.B) {
	w := open(b, `{}`)
	c := browser(b, w, "")
	var file File
	for _, f := range w.Files() {
		if f.Size > file.Size {
			file = f
		}
	}
	b.SetBytes(file.Size)
	for b.Loop() {
		resp, err := c.Get(file.URLs[0])
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		if err != nil || n != file.Size {
			b.Fatal(n, err)
		}
		_ = resp.Body.Close()
	}
}
