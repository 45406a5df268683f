package catalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"updoc/internal/durable"
)

// Errors of a download. Each of them says why no file of that name is there.
var (
	ErrHost   = errors.New("not an address of Microsoft's content hosts")
	ErrClear  = errors.New("the server leads away from https")
	ErrDigest = errors.New("the file is not the one that was asked for")
	ErrSize   = errors.New("the file has another size than it should")
	ErrSpace  = errors.New("not enough free space")
	ErrPage   = errors.New("a web page came instead of the file")
	ErrProof  = errors.New("a file without a digest and without a signature check is not fetched")
	ErrRanges = errors.New("the server answers with other bytes than were asked for")
	ErrMoving = errors.New("the file changes while it is fetched")
	ErrBusy   = errors.New("another download of this file is under way")
)

// DigestError is an [ErrDigest] with both digests.
type DigestError struct{ Algorithm, Want, Got string }

func (e *DigestError) Error() string {
	return fmt.Sprintf("%v: its %s is %s, not %s", ErrDigest, e.Algorithm, e.Got, e.Want)
}

// Unwrap returns [ErrDigest].
func (e *DigestError) Unwrap() error { return ErrDigest }

// SpaceError is an [ErrSpace] with the figures, in bytes.
type SpaceError struct{ Need, Free int64 }

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%v: %d MB are needed, %d MB are free", ErrSpace, e.Need>>20+1, e.Free>>20)
}

// Unwrap returns [ErrSpace].
func (e *SpaceError) Unwrap() error { return ErrSpace }

// Want is a file to fetch and how it is told from any other.
type Want struct {
	URL          string
	Size         int64  // bytes; 0 unknown
	SHA256, SHA1 string // hex; each that is given must hold
	// Check looks at the file once it is whole and its digests hold, before it gets its
	// name: its signature. nil: there must be a digest.
	Check func(path string) error
}

// Got is a file that was fetched.
type Got struct {
	Path    string `json:"path"`
	URL     string `json:"url"` // where it came from in the end
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
	SHA1    string `json:"sha1"`
	Before  int64  `json:"before,omitempty"` // bytes that were there from an earlier try, or all of it
	Streams int    `json:"streams"`          // connections that it came over at the same time; 1 where ranges are refused
	Retries int    `json:"retries,omitempty"`
}

// Progress is how far a download is.
type Progress struct {
	Name        string
	Done, Total int64 // bytes; Total 0: unknown
	Rate        int64 // bytes a second over the last seconds; 0: not known yet
	Left        time.Duration
}

// Fetcher brings files over a network that loses, resets, refuses and lies. The zero
// value uses the system's network. A Fetcher may be used by several goroutines.
type Fetcher struct {
	Transport   http.RoundTripper      // nil: [Network]'s zero value
	Hosts       func(host string) bool // nil: [ContentHost]
	Connections int                    // at once, at most 8; 0: 6
	Piece       int64                  // bytes of one request; 0: 8 MiB
	Tries       int                    // in a row without a single byte; 0: 8
	Stall       time.Duration          // how long a connection may bring nothing; 0: 30 s
	Sleep       func(context.Context, time.Duration) error
	Free        func(dir string) (int64, error) // bytes free for this user; nil: the system's
	Progress    func(Progress)                  // called from one goroutine at a time
}

// Defaults and bounds. Delivery Optimization has up to seven connections for one file;
// pieces of 8 MiB make the time between two requests of a connection disappear on lines
// of up to a gigabit.
const (
	maxConnections     = 8
	defaultConnections = 6
	defaultPiece       = 8 << 20
	minPiece           = 64 << 10
	defaultTries       = 8
	defaultStall       = 30 * time.Second
	upgradeTime        = 8 * time.Second // to find out whether a host speaks https
	firstPause         = 250 * time.Millisecond
	longestPause       = 30 * time.Second
	spareSpace         = 32 << 20 // that a disk should keep
	maxRestarts        = 2        // because the file changed
	saveEvery          = 16 << 20 // bytes between two notes of what is there
)

// ContentHost reports whether Microsoft serves packages of the catalogue from a host.
// learn.microsoft.com: Delivery Optimization endpoints.
func ContentHost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, d := range []string{"download.windowsupdate.com", "dl.delivery.mp.microsoft.com"} {
		if host == d || strings.HasSuffix(host, "."+d) {
			return true
		}
	}
	return false
}

// Fetch brings a file to a path, of which the folder must be there. It goes on where an
// earlier Fetch of the same file was stopped. The path names the file only once it is
// whole and proven; until then its bytes are in PATH.part and a note of which of them
// have come in PATH.part.json. A file that is there and is the one that is wanted is left
// as it is.
func (f *Fetcher) Fetch(ctx context.Context, w Want, to string) (*Got, error) {
	got, err := f.fetch(ctx, w, to)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", filepath.Base(to), err)
	}
	return got, nil
}

func (f *Fetcher) fetch(ctx context.Context, w Want, to string) (*Got, error) {
	w.SHA256, w.SHA1 = strings.ToLower(w.SHA256), strings.ToLower(w.SHA1)
	u, err := url.Parse(w.URL)
	name := filepath.Base(to)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: it cannot be read", ErrHost)
	case w.SHA256 == "" && w.SHA1 == "" && w.Check == nil:
		return nil, ErrProof
	case w.SHA256 != "" && !isHex(w.SHA256, 64), w.SHA1 != "" && !isHex(w.SHA1, 40), w.Size < 0:
		return nil, fmt.Errorf("%w: what should tell it is malformed", ErrProof)
	}
	if err := checkHost(u, f.hosts()); err != nil {
		return nil, err
	}
	if err := SafeName(name); err != nil {
		return nil, err
	}
	// A root: no link in the folder can lead out of it.
	root, err := os.OpenRoot(filepath.Dir(to))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if got, err := f.there(ctx, root, name, w); got != nil || err != nil {
		if got != nil {
			got.Path = to
		}
		return got, err
	}
	release, err := durable.Lock(to + ".part.lock")
	switch {
	case errors.Is(err, durable.ErrLocked):
		return nil, ErrBusy
	case err != nil:
		return nil, err
	}
	defer func() {
		_ = release()
		_ = root.Remove(name + ".part.lock") // whoever comes next makes it again
	}()
	d := &download{f: f, w: w, url: u, root: root, name: name, to: to, client: f.client()}
	defer d.close()
	defer d.client.CloseIdleConnections()
	if err := d.open(); err != nil {
		return nil, err
	}
	if err := d.all(ctx); err != nil {
		return nil, err
	}
	if w.Check != nil {
		if err := w.Check(to + ".part"); err != nil {
			d.discard()
			return nil, err
		}
	}
	return d.finish()
}

func (f *Fetcher) hosts() func(string) bool {
	if f.Hosts != nil {
		return f.Hosts
	}
	return ContentHost
}

// there looks whether the file is there already, whole and right.
func (f *Fetcher) there(ctx context.Context, root *os.Root, name string, w Want) (*Got, error) {
	info, err := root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: something that is no file is in its place", ErrName)
	case w.SHA1 == "" && w.SHA256 == "", w.Size > 0 && info.Size() != w.Size:
		return nil, nil
	}
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	sums := newSums()
	if err := sums.read(ctx, file, info.Size()); err != nil {
		return nil, err
	}
	if sums.check(w) != nil {
		return nil, nil // another file of that name: it is replaced
	}
	if w.Check != nil {
		if err := w.Check(filepath.Join(root.Name(), name)); err != nil {
			return nil, err
		}
	}
	return &Got{URL: w.URL, Size: info.Size(), SHA256: sums.sha256(), SHA1: sums.sha1(), Before: info.Size()}, nil
}

// client makes the client of one download: redirects stay within the rules.
func (f *Fetcher) client() *http.Client {
	t := f.Transport
	if t == nil {
		t = Network{}.Transport()
	}
	return &http.Client{Transport: t, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		switch {
		case len(via) > 5:
			return fmt.Errorf("%w: it redirects without end", ErrHost)
		case via[len(via)-1].URL.Scheme == "https" && next.URL.Scheme != "https":
			return fmt.Errorf("%w, to %s", ErrClear, next.URL.Host)
		}
		return checkHost(next.URL, f.hosts())
	}}
}

func (f *Fetcher) connections() int {
	if f.Connections <= 0 {
		return defaultConnections
	}
	return min(f.Connections, maxConnections)
}

func (f *Fetcher) piece() int64 {
	if f.Piece <= 0 {
		return defaultPiece
	}
	return max(f.Piece, minPiece)
}

func (f *Fetcher) tries() int {
	if f.Tries <= 0 {
		return defaultTries
	}
	return f.Tries
}

func (f *Fetcher) stall() time.Duration {
	if f.Stall <= 0 {
		return defaultStall
	}
	return f.Stall
}

// space refuses what the disk has no place for.
func (f *Fetcher) space(dir string, need int64) error {
	free := f.Free
	if free == nil {
		free = freeSpace
	}
	have, err := free(dir)
	if err != nil {
		return nil // nobody can tell: the disk will
	}
	if need += spareSpace; have < need {
		return &SpaceError{need, have}
	}
	return nil
}
