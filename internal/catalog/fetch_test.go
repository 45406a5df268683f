package catalog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const small = 3<<20 + 4321

func TestFetch(t *testing.T) {
	t.Parallel()
	always := func(what string) func(int64, *http.Request) string {
		return func(int64, *http.Request) string { return what }
	}
	// sometimes strikes all but each third request.
	sometimes := func(what string) func(int64, *http.Request) string {
		return func(n int64, _ *http.Request) string {
			if n%3 == 0 {
				return ""
			}
			return what
		}
	}
	first := func(k int64, what string) func(int64, *http.Request) string {
		return func(n int64, _ *http.Request) string {
			if n > k {
				return ""
			}
			return what
		}
	}
	// behind strikes all pieces but the first.
	behind := func(what string) func(int64, *http.Request) string {
		return func(_ int64, r *http.Request) string {
			if r.Header.Get("Range") == "" || strings.HasPrefix(r.Header.Get("Range"), "bytes=0-") {
				return ""
			}
			return what
		}
	}
	for name, tt := range map[string]struct {
		fault func(int64, *http.Request) string
		err   error
	}{
		"clean":                   {nil, nil},
		"resets":                  {sometimes("reset"), nil},
		"cut":                     {sometimes("cut"), nil},
		"short bodies":            {sometimes("less"), nil},
		"ranges refused with 200": {always("whole"), nil},
		"ranges refused with 416": {func(_ int64, r *http.Request) string {
			return map[bool]string{true: "416"}[r.Header.Get("Range") != ""]
		}, nil},
		"ranges refused, and cut":    {first(1, "416"), nil},
		"refused later":              {behind("whole"), nil},
		"another range":              {always("other"), nil},
		"another range now and then": {sometimes("other"), nil},
		"other bytes than it says":   {behind("lies"), nil}, // the digest shows it, and one stream mends it
		"busy":                       {first(4, "503"), nil},
		"errors of the server":       {first(5, "500"), nil},
		"the length is not told": {func(_ int64, r *http.Request) string {
			return map[bool]string{true: "416", false: "unknown"}[r.Header.Get("Range") != ""]
		}, nil},
		"a page at first":              {first(2, "page"), nil},
		"always a page":                {always("page"), ErrPage},
		"packed on the way":            {always("gzip"), ErrRanges},
		"a flipped bit in every piece": {always("flip"), ErrDigest},
		"a flipped bit once":           {first(2, "flip"), nil},
		"not there":                    {always("404"), &StatusError{404, "catalog.s.download.windowsupdate.com"}},
		"a proxy wants a sign-in":      {always("407"), ErrSignIn},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, &cdn{content: content{small, 1}, fault: tt.fault})
			f := c.fetcher()
			f.Piece = 256 << 10
			to := filepath.Join(t.TempDir(), "x.msu")
			got, err := f.Fetch(t.Context(), c.content.want(there), to)
			var status *StatusError
			switch {
			case errors.As(tt.err, &status):
				var is *StatusError
				if !errors.As(err, &is) || *is != *status {
					t.Fatalf("%v, want %v", err, tt.err)
				}
			case !errors.Is(err, tt.err):
				t.Fatalf("%v, want %v", err, tt.err)
			}
			if tt.err != nil {
				if _, err := os.Stat(to); !os.IsNotExist(err) {
					t.Errorf("the file has its name all the same: %v", err)
				}
				return
			}
			c.content.whole(t, to)
			w := c.content.want(there)
			if got.SHA256 != w.SHA256 || got.SHA1 != w.SHA1 || got.Size != small || got.Path != to || got.URL != there {
				t.Errorf("%+v", got)
			}
			left, _ := filepath.Glob(to + "?*")
			if len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if p := c.peak.Load(); p > defaultConnections {
				t.Errorf("%d requests at the same time", p)
			}
		})
	}
}

// 256 MB through resets, cuts, wrong ranges, short bodies, a busy server and a proxy.
func TestFetchLarge(t *testing.T) {
	t.Parallel()
	size := int64(256 << 20)
	if os.Getenv("UPDOC_FULL") != "" {
		size = 10 << 30
	}
	if testing.Short() {
		size = 32 << 20
	}
	var hit [8]atomic.Int64
	faults := []string{"reset", "cut", "less", "other", "503", "whole", "500", "reset"}
	c := serve(t, &cdn{content: content{size, 5}})
	random := rand.New(rand.NewPCG(1, 2))
	var dice sync.Mutex
	c.strike(func(n int64, r *http.Request) string {
		if n == 1 {
			return ""
		}
		dice.Lock()
		k := random.IntN(24)
		dice.Unlock()
		if k >= len(faults) {
			return ""
		}
		hit[k].Add(1)
		return faults[k]
	})
	f := c.fetcher()
	f.Transport.(*http.Transport).Proxy = proxy(t, c.address, false)
	f.Piece = 2 << 20
	var last Progress
	f.Progress = func(p Progress) {
		if p.Done < last.Done {
			t.Errorf("from %d back to %d", last.Done, p.Done)
		}
		last = p
	}
	w := c.content.want(there)
	to := filepath.Join(t.TempDir(), "x.msu")
	begin := time.Now()
	got, err := f.Fetch(t.Context(), w, to)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	c.content.whole(t, to)
	struck := map[string]int64{}
	for i, n := range faults {
		struck[n] += hit[i].Load()
	}
	if last.Done != size || last.Total != size {
		t.Errorf("%+v", last)
	}
	if got.Retries == 0 || got.Streams < 2 {
		t.Errorf("%+v", got)
	}
	t.Logf("%d MB in %s, %d requests, struck: %v; %+v", size>>20, took.Round(time.Millisecond), c.n.Load(), struck, got)
}

// What came before a stop is not fetched again.
func TestResume(t *testing.T) {
	t.Parallel()
	c := serve(t, &cdn{content: content{16 << 20, 1}})
	f := c.fetcher()
	f.Piece = 1 << 20
	to := filepath.Join(t.TempDir(), "x.msu")
	w := c.content.want(there)
	ctx, cancel := context.WithCancel(t.Context())
	c.strike(func(n int64, _ *http.Request) string {
		if n > 12 {
			cancel()
			return "503"
		}
		return ""
	})
	if _, err := f.Fetch(ctx, w, to); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := os.Stat(to); !os.IsNotExist(err) {
		t.Error("it has its name already")
	}
	c.strike(nil)
	c.n.Store(0)
	got, err := f.Fetch(t.Context(), w, to)
	if err != nil {
		t.Fatal(err)
	}
	c.content.whole(t, to)
	if got.Before < 1<<20 || c.n.Load() > 17 {
		t.Errorf("%d bytes were there, %d requests for the rest", got.Before, c.n.Load())
	}
	// And once it is there, nobody is asked.
	c.n.Store(0)
	if got, err = f.Fetch(t.Context(), w, to); err != nil || got.Before != got.Size || c.n.Load() != 0 {
		t.Errorf("%+v, %v, %d requests", got, err, c.n.Load())
	}
}

// A server that refused ranges and answers them later is fetched from over several
// connections again.
func TestRangesAgain(t *testing.T) {
	t.Parallel()
	c := serve(t, &cdn{content: content{8 << 20, 1}, fault: func(n int64, r *http.Request) string {
		switch {
		case n <= maxRefused && r.Header.Get("Range") != "":
			return "416"
		case n == maxRefused+1:
			return "reset"
		}
		return ""
	}})
	f := c.fetcher()
	f.Piece = 512 << 10
	to := filepath.Join(t.TempDir(), "x.msu")
	got, err := f.Fetch(t.Context(), c.content.want(there), to)
	if err != nil {
		t.Fatal(err)
	}
	c.content.whole(t, to)
	if got.Streams < 2 {
		t.Errorf("%+v", got)
	}
}

// What a process that was killed had fetched is not fetched again.
func TestKilled(t *testing.T) {
	t.Parallel()
	if at := os.Getenv("UPDOC_TEST_FETCH"); at != "" { // the process that is killed
		c := &cdn{content: content{64 << 20, 1}, address: at}
		f := c.fetcher()
		f.Piece = 1 << 20
		_, err := f.Fetch(t.Context(), c.content.want(there), os.Getenv("UPDOC_TEST_TO"))
		t.Fatalf("it was to be killed: %v", err)
	}
	c := serve(t, &cdn{content: content{64 << 20, 1}})
	to := filepath.Join(t.TempDir(), "x.msu")
	cmd := exec.Command(os.Args[0], "-test.run", "^TestKilled$")
	cmd.Env = append(os.Environ(), "UPDOC_TEST_FETCH="+c.address, "UPDOC_TEST_TO="+to)
	enough := make(chan struct{})
	var once sync.Once
	c.strike(func(n int64, r *http.Request) string {
		if n > 48 {
			once.Do(func() { close(enough) })
			<-r.Context().Done()
		}
		return ""
	})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-enough
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	c.strike(nil)
	f := c.fetcher()
	f.Piece = 1 << 20
	got, err := f.Fetch(t.Context(), c.content.want(there), to)
	if err != nil {
		t.Fatal(err)
	}
	c.content.whole(t, to)
	if got.Before < 16<<20 {
		t.Errorf("%d bytes of about 45 MB were there", got.Before)
	}
}

// A file that changed meanwhile begins anew, and one that changes again and again is
// told.
func TestChanged(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		now  content
		etag func(n int64) string
		want content
		err  error
	}{
		"another size":         {content{9 << 20, 2}, func(int64) string { return `"2"` }, content{9 << 20, 2}, nil},
		"the same size":        {content{8 << 20, 2}, func(int64) string { return `"2"` }, content{8 << 20, 2}, nil},
		"another tag each day": {content{8 << 20, 1}, func(n int64) string { return fmt.Sprintf(`"%d"`, n) }, content{8 << 20, 1}, nil},
		"an older file":        {content{7 << 20, 3}, func(int64) string { return `"0"` }, content{8 << 20, 1}, ErrDigest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, &cdn{content: content{8 << 20, 1}})
			f := c.fetcher()
			f.Piece, f.Connections = 1<<20, 1
			to := filepath.Join(t.TempDir(), "x.msu")
			ctx, cancel := context.WithCancel(t.Context())
			w := tt.want.want(there)
			c.strike(func(n int64, _ *http.Request) string {
				if n > 4 {
					cancel()
					return "503"
				}
				return ""
			})
			if _, err := f.Fetch(ctx, w, to); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			c.set(func(c *cdn) { c.content, c.fault, c.tag = tt.now, nil, tt.etag })
			_, err := f.Fetch(t.Context(), w, to)
			if !errors.Is(err, tt.err) {
				t.Fatalf("%v, want %v", err, tt.err)
			}
			if tt.err == nil {
				tt.want.whole(t, to)
			}
		})
	}
}

// A part whose bytes were damaged on the disk is found out, and fetched again.
func TestDamagedPart(t *testing.T) {
	t.Parallel()
	c := serve(t, &cdn{content: content{8 << 20, 1}})
	f := c.fetcher()
	f.Piece, f.Connections = 1<<20, 1
	to := filepath.Join(t.TempDir(), "x.msu")
	w := c.content.want(there)
	ctx, cancel := context.WithCancel(t.Context())
	c.strike(func(n int64, _ *http.Request) string {
		if n > 4 {
			cancel()
			return "503"
		}
		return ""
	})
	if _, err := f.Fetch(ctx, w, to); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	c.strike(nil)
	part, err := os.OpenFile(to+".part", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.WriteAt([]byte("damage"), 1000); err != nil {
		t.Fatal(err)
	}
	part.Close()
	if _, err := f.Fetch(t.Context(), w, to); err != nil {
		t.Fatal(err)
	}
	c.content.whole(t, to)
}

func TestRefused(t *testing.T) {
	t.Parallel()
	c := serve(t, &cdn{content: content{small, 1}})
	w := c.content.want(there)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "folder.msu"), 0o755); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "outside.msu")
	if err := os.Symlink(outside, filepath.Join(dir, "link.msu.part")); err != nil {
		t.Skip(err)
	}
	at := func(u string) Want { w := w; w.URL = u; return w }
	for name, tt := range map[string]struct {
		w    Want
		to   string
		free int64
		err  error
	}{
		"another host":          {at("https://example.com/x.msu"), "x.msu", 0, ErrHost},
		"a host like it":        {at("https://download.windowsupdate.com.example.com/x.msu"), "x.msu", 0, ErrHost},
		"a host that ends so":   {at("https://evildownload.windowsupdate.com/x.msu"), "x.msu", 0, ErrHost},
		"another port":          {at("http://download.windowsupdate.com:8080/x.msu"), "x.msu", 0, ErrHost},
		"a user":                {at("http://a:b@download.windowsupdate.com/x.msu"), "x.msu", 0, ErrHost},
		"a file":                {at("file:///etc/passwd"), "x.msu", 0, ErrHost},
		"no proof":              {Want{URL: there}, "x.msu", 0, ErrProof},
		"a digest that is none": {Want{URL: there, SHA256: "abc"}, "x.msu", 0, ErrProof},
		"a name of a device":    {w, "nul.msu", 0, ErrName},
		"a folder":              {w, "folder.msu", 0, ErrName},
		"a link":                {w, "link.msu", 0, ErrName},
		"no space":              {w, "x.msu", 1 << 20, ErrSpace},
		"another size":          {Want{URL: there, SHA256: w.SHA256, Size: small + 1}, "x.msu", 0, ErrSize},
	} {
		t.Run(name, func(t *testing.T) {
			if info, err := os.Lstat(filepath.Join(dir, "link.msu.part")); tt.to == "link.msu" && (err != nil || info.Mode()&os.ModeSymlink == 0) {
				t.Skip("no links are made here")
			}
			f := c.fetcher()
			if tt.free > 0 {
				f.Free = func(string) (int64, error) { return tt.free, nil }
			}
			_, err := f.Fetch(t.Context(), tt.w, filepath.Join(dir, tt.to))
			if !errors.Is(err, tt.err) {
				t.Errorf("%v, want %v", err, tt.err)
			}
		})
	}
	if _, err := os.Stat(outside); !os.IsNotExist(err) {
		t.Error("a link led out of the folder")
	}
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	c := serve(t, &cdn{content: content{small, 1}})
	inner := c.fetcher().Transport
	for name, tt := range map[string]struct {
		from, to string
		err      error
	}{
		"within":          {"http://download.windowsupdate.com/a.msu", there, nil},
		"elsewhere":       {"http://download.windowsupdate.com/a.msu", "http://cdn.example.net/a.msu", ErrHost},
		"away from https": {"https://download.windowsupdate.com/a.msu", there, ErrClear},
		"without end":     {"http://download.windowsupdate.com/a.msu", "http://download.windowsupdate.com/a.msu", ErrHost},
	} {
		t.Run(name, func(t *testing.T) {
			f := c.fetcher()
			f.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host == "download.windowsupdate.com" && (r.URL.Scheme == "http" || strings.HasPrefix(tt.from, "https")) {
					return &http.Response{StatusCode: 302, Header: http.Header{"Location": {tt.to}}, Body: http.NoBody, Request: r}, nil
				}
				return inner.RoundTrip(r)
			})
			w := c.content.want(tt.from)
			_, err := f.Fetch(t.Context(), w, filepath.Join(t.TempDir(), "a.msu"))
			if !errors.Is(err, tt.err) {
				t.Errorf("%v, want %v", err, tt.err)
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The same file twice at the same time: one of them is told.
func TestTwice(t *testing.T) {
	t.Parallel()
	c := serve(t, &cdn{content: content{small, 1}})
	hold := make(chan struct{})
	begun := make(chan struct{}, 100)
	c.strike(func(int64, *http.Request) string { begun <- struct{}{}; <-hold; return "" })
	w, to := c.content.want(there), filepath.Join(t.TempDir(), "x.msu")
	done := make(chan error, 1)
	go func() {
		_, err := c.fetcher().Fetch(context.Background(), w, to)
		done <- err
	}()
	<-begun
	if _, err := c.fetcher().Fetch(t.Context(), w, to); !errors.Is(err, ErrBusy) {
		t.Errorf("%v, want %v", err, ErrBusy)
	}
	close(hold)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestCheckHolds(t *testing.T) {
	t.Parallel()
	c := serve(t, &cdn{content: content{small, 1}})
	no := errors.New("signed by somebody else")
	to := filepath.Join(t.TempDir(), "x.msu")
	var saw string
	_, err := c.fetcher().Fetch(t.Context(), Want{URL: there, Check: func(path string) error { saw = path; return no }}, to)
	if !errors.Is(err, no) || saw != to+".part" {
		t.Errorf("%v, looked at %s", err, saw)
	}
	if left, _ := filepath.Glob(to + "*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSpans(t *testing.T) {
	t.Parallel()
	var s spans
	for range 2000 {
		a := rand.Int64N(1000)
		s = s.add(span{a, a + rand.Int64N(9)})
		if !s.valid(2000) {
			t.Fatal(s)
		}
	}
	all := spans{}
	for _, x := range s {
		all = all.add(x)
	}
	for _, x := range s.gaps(1010) {
		all = all.add(x)
	}
	if d := cmp.Diff(spans{{0, 1010}}, all); d != "" {
		t.Error(d)
	}
}

func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-1023/4096", "bytes 5-5/*", "bytes */7", "bytes 9-1/20", "bits 0-1/2", "bytes 0-99999999999999999999/3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, total, ok := contentRange(s)
		if ok && (first < 0 || last < 0 || total < 0 || total > 0 && last >= total) {
			t.Errorf("%q: %d-%d/%d", s, first, last, total)
		}
	})
}

func BenchmarkFetch(b *testing.B) {
	c := content{64 << 20, 1}
	srv := serve(b, &cdn{content: c})
	w := c.want(there)
	dir := b.TempDir()
	b.SetBytes(c.size)
	for i := range b.N {
		to := filepath.Join(dir, fmt.Sprintf("x%d.msu", i))
		if _, err := srv.fetcher().Fetch(context.Background(), w, to); err != nil {
			b.Fatal(err)
		}
		os.Remove(to)
	}
}
