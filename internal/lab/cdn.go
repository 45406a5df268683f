package lab

import (
	"crypto/sha1" //nolint:gosec // the digest that update metadata names
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"updoc/internal/sorted"
)

// Content is what is wrong with the content that a host serves.
type Content struct {
	Host   string `json:"host,omitempty"`   // pattern; "" is every host
	Path   string `json:"path,omitempty"`   // pattern; "" is every file
	Fault  string `json:"fault"`            // ContentWhole, ...
	After  int64  `json:"after,omitempty"`  // of ContentCut: bytes that come; half if zero
	Rate   int    `json:"rate,omitempty"`   // of ContentSlow: bytes a second
	Times  int    `json:"times,omitempty"`  // only the first so many requests; 0: all
	Method string `json:"method,omitempty"` // "" is every method
}

// Faults of content.
const (
	ContentWhole   = "no-range"    // 200 and the whole file, whatever range was asked for
	ContentRefused = "range-416"   // ranges are answered 416
	ContentOther   = "other-range" // 206 with a range that nobody asked for
	ContentCut     = "cut"         // the connection ends before the body does
	ContentShort   = "short"       // a shorter length is announced, and sent
	ContentCorrupt = "corrupt"     // other bytes
	ContentSlow    = "slow"        // few bytes a second
	ContentNoSize  = "no-length"   // no Content-Length
	ContentMissing = "missing"     // 404
)

func (c *Content) check() error {
	known := []string{ContentWhole, ContentRefused, ContentOther, ContentCut, ContentShort, ContentCorrupt, ContentSlow, ContentNoSize, ContentMissing}
	if !slices.Contains(known, c.Fault) {
		return fmt.Errorf("content of %q: unknown fault %q", c.Host, c.Fault)
	}
	return nil
}

// store holds the world's files. Their bytes are made from their names when they are
// first asked for, and are the same in every world with the same seed.
type store struct {
	seed  uint64
	files map[string]*file // by name
}

// file is one piece of content.
type file struct {
	name string
	size int
	make func() []byte
	once sync.Once
	data []byte
	one  [sha1.Size]byte
	two  [sha256.Size]byte
}

func newStore(seed uint64) *store {
	s := &store{seed: seed, files: map[string]*file{}}
	// The lists of roots that every Windows fetches from ctldl.windowsupdate.com. Sizes
	// are near the real ones.
	for name, size := range map[string]int{"authrootstl.cab": 71 << 10, "disallowedcertstl.cab": 4900, "pinrulesstl.cab": 12 << 10} {
		inner := strings.TrimSuffix(name, "stl.cab") + ".stl"
		b := cabinet(inner, s.bytes(name, size))
		s.files[name] = &file{name: name, size: len(b), make: func() []byte { return b }}
	}
	// What people and programs fetch to see whether content comes through.
	// learn.microsoft.com: Using WUA to scan for updates offline; verify cache node
	// functionality of Connected Cache.
	const scan, picture = "wsusscn2.cab", "Microsoft.png"
	s.files[scan] = &file{name: scan, size: packed("package.cab", 5<<20), make: func() []byte { return cabinet("package.cab", s.bytes(scan, 5<<20)) }}
	s.files[picture] = &file{name: picture, size: 13 << 10, make: func() []byte {
		return append([]byte("\x89PNG\r\n\x1a\n"), s.bytes(picture, 13<<10-8)...)
	}}
	for i, size := range []int{3<<20 + 4321, 1<<20 + 77, 40 << 10} {
		name := fmt.Sprintf("windows10.0-kb50%05d-x64.cab", 10001+i)
		s.files[name] = &file{name: name, size: packed("payload.bin", size), make: func() []byte { return cabinet("payload.bin", s.bytes(name, size)) }}
	}
	return s
}

// bytes makes bytes that do not compress, from a name.
func (s *store) bytes(name string, n int) []byte {
	var key [32]byte
	sum := sha256.Sum256([]byte(name))
	copy(key[:], sum[:])
	binary.LittleEndian.PutUint64(key[:], binary.LittleEndian.Uint64(key[:])^s.seed)
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(key).Read(b)
	return b
}

// packed is the size of a cabinet with one stored file.
func packed(name string, size int) int {
	return 36 + 8 + 16 + len(name) + 1 + 8*max(1, (size+32<<10-1)/(32<<10)) + size
}

// payload is the file of an update's number.
func (s *store) payload(i int) *file {
	return s.files[fmt.Sprintf("windows10.0-kb50%05d-x64.cab", 10001+((i%3)+3)%3)]
}

// find returns the file that a path of a content host means.
func (s *store) find(p string) *file {
	base := strings.ToLower(path.Base(p))
	for _, f := range s.files {
		switch {
		case strings.EqualFold(f.name, base), base == f.guid():
			return f
		case strings.Contains(base, "_") || len(base) > 40: // the digest is part of the name: computed only if it may be asked for
			if strings.Contains(base, f.hex()) {
				return f
			}
		}
	}
	return nil
}

func (s *store) byDigest(digest string) *file {
	for _, f := range s.files {
		if f.sha1() == digest {
			return f
		}
	}
	return nil
}

func (f *file) bytes() []byte {
	f.once.Do(func() {
		f.data = f.make()
		f.one, f.two = sha1.Sum(f.data), sha256.Sum256(f.data)
	})
	return f.data
}

func (f *file) sha1() string   { f.bytes(); return base64.StdEncoding.EncodeToString(f.one[:]) }
func (f *file) sha256() string { f.bytes(); return base64.StdEncoding.EncodeToString(f.two[:]) }
func (f *file) hex() string    { f.bytes(); return hex.EncodeToString(f.one[:]) }
func (f *file) guid() string   { return guidOf("file", f.name) }

// contentPath is where a WSUS keeps a file.
func (f *file) contentPath() string {
	h := strings.ToUpper(f.hex())
	return "/Content/" + h[38:] + "/" + h + path.Ext(f.name)
}

// File is a piece of content, so that a test can check what it was given.
type File struct {
	Name   string
	Size   int64
	SHA1   string // base64, as in update metadata
	SHA256 string
	URLs   []string // where the public service has it
}

// Files lists the content of the world.
func (w *World) Files() []File {
	var out []File
	for _, f := range w.store.files {
		u := []string{publicContent(f), "http://download.windowsupdate.com/c/msdownload/update/software/secu/2026/01/" + strings.TrimSuffix(f.name, ".cab") + "_" + f.hex() + ".cab"}
		switch {
		case strings.HasSuffix(f.name, "stl.cab"):
			u = []string{"http://ctldl.windowsupdate.com/msdownload/update/v3/static/trustedr/en/" + f.name}
		case f.name == "wsusscn2.cab":
			u = []string{"http://download.windowsupdate.com/microsoftupdate/v6/wsusscan/" + f.name}
		case f.name == "Microsoft.png":
			u = []string{"http://dl.delivery.mp.microsoft.com/filestreamingservice/files/7bc846e0-af9c-49be-a03d-bb04428c9bb5/" + f.name}
		}
		out = append(out, File{f.name, int64(f.size), f.sha1(), f.sha256(), u})
	}
	sorted.By(out, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// cdn serves content.
type cdn struct {
	w    *World
	wsus bool
}

func (c *cdn) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	h := rw.Header()
	if !c.wsus {
		h.Set("Server", "ECAcc (lab/1)")
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		iisPage(rw, http.StatusMethodNotAllowed)
		return
	}
	if c.wsus && strings.EqualFold(r.URL.Path, "/Content/anonymousCheckFile.txt") {
		h.Set("Content-Type", "text/plain")
		_, _ = io.WriteString(rw, "anonymous")
		return
	}
	f := c.w.store.find(r.URL.Path)
	if f == nil || c.wsus && !strings.EqualFold(r.URL.Path, f.contentPath()) {
		iisPage(rw, http.StatusNotFound)
		return
	}
	c.serve(rw, r, f)
}

func (c *cdn) serve(rw http.ResponseWriter, r *http.Request, f *file) {
	fault := c.w.contentFault(r)
	data := f.bytes()
	h := rw.Header()
	h.Set("Content-Type", "application/octet-stream")
	if path.Ext(f.name) == ".png" {
		h.Set("Content-Type", "image/png")
	}
	h.Set("Last-Modified", c.w.start.Add(-21*24*time.Hour).UTC().Format(http.TimeFormat))
	h.Set("ETag", `"`+f.hex()[:16]+`:0"`)
	h.Set("Accept-Ranges", "bytes")
	if !c.wsus {
		h.Set("Cache-Control", "public, max-age=17280000")
		h.Set("X-Cache", "HIT")
	}
	if fault.Fault == ContentMissing {
		iisPage(rw, http.StatusNotFound)
		return
	}
	if r.Header.Get("If-None-Match") == h.Get("ETag") {
		rw.WriteHeader(http.StatusNotModified)
		return
	}
	status, first, last := http.StatusOK, 0, len(data)-1
	if want := r.Header.Get("Range"); want != "" && fault.Fault != ContentWhole {
		a, b, ok := byteRange(want, len(data))
		if !ok || fault.Fault == ContentRefused {
			h.Set("Content-Range", "bytes */"+strconv.Itoa(len(data)))
			iisPage(rw, http.StatusRequestedRangeNotSatisfiable)
			return
		}
		status, first, last = http.StatusPartialContent, a, b
		if fault.Fault == ContentOther { // as long, but from elsewhere
			move := min(first, 512)
			if move == 0 {
				move = -min(512, len(data)-1-last)
			}
			first, last = first-move, last-move
			if move == 0 {
				last = first + (last-first)/2
			}
		}
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(data)))
	}
	if fault.Fault == ContentWhole {
		h.Del("Accept-Ranges")
	}
	body := data[first : last+1]
	if fault.Fault == ContentCorrupt {
		body = slices.Clone(body)
		for i := len(body) / 2; i < len(body); i += 4096 {
			body[i] ^= 0x20
		}
	}
	if fault.Fault == ContentShort {
		body = body[:len(body)*3/4]
	}
	if fault.Fault != ContentNoSize {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	rw.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	switch fault.Fault {
	case ContentCut:
		n := fault.After
		if n == 0 {
			n = int64(len(body) / 2)
		}
		_, _ = rw.Write(body[:min(int64(len(body)), n)])
		_ = http.NewResponseController(rw).Flush()
		panic(http.ErrAbortHandler)
	case ContentSlow:
		trickle(rw, r, body, max(fault.Rate, 1))
	case ContentNoSize:
		_ = http.NewResponseController(rw).Flush() // so that net/http does not count for us
		_, _ = rw.Write(body)
	default:
		_, _ = rw.Write(body)
	}
}

// trickle writes at a rate.
func trickle(rw http.ResponseWriter, r *http.Request, body []byte, rate int) {
	c := http.NewResponseController(rw)
	step := max(1, rate/10)
	for len(body) > 0 {
		n := min(step, len(body))
		if _, err := rw.Write(body[:n]); err != nil || c.Flush() != nil {
			return
		}
		body = body[n:]
		if pause(r, time.Duration(n)*time.Second/time.Duration(rate)) != nil {
			return
		}
	}
}

func (w *World) contentFault(r *http.Request) Content {
	v := visitOf(r)
	for i := range w.spec.Content {
		c := &w.spec.Content[i]
		if w.concerns(c.Host, v, r) && (c.Path == "" || wild(c.Path, r.URL.Path)) && (c.Method == "" || c.Method == r.Method) && w.strike(&c.Times) {
			return *c
		}
	}
	return Content{}
}

// byteRange reads one range of RFC 9110 section 14.1.2. Several are answered as none,
// which the RFC allows; here they are refused, so that nobody relies on them.
func byteRange(s string, size int) (first, last int, ok bool) {
	spec, found := strings.CutPrefix(s, "bytes=")
	a, b, dash := strings.Cut(spec, "-")
	if !found || !dash || strings.Contains(spec, ",") {
		return 0, 0, false
	}
	if a == "" {
		n, err := strconv.Atoi(b)
		if err != nil || n <= 0 {
			return 0, 0, false
		}
		return max(0, size-n), size - 1, true
	}
	first, err := strconv.Atoi(a)
	if err != nil || first < 0 || first >= size {
		return 0, 0, false
	}
	last = size - 1
	if b != "" {
		if last, err = strconv.Atoi(b); err != nil || last < first {
			return 0, 0, false
		}
	}
	return first, min(last, size-1), true
}
