package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// download is one file on its way.
type download struct {
	f    *Fetcher
	w    Want
	url  *url.URL
	root *os.Root
	name string // within root
	to   string
	file *os.File

	mu      sync.Mutex
	changed sync.Cond // spans came or went, or it is over
	note    note
	known   bool  // the size, and how the server answers ranges
	single  bool  // it refuses ranges: one stream
	next    spans // what nobody is fetching
	active  map[*job]struct{}
	failed  int // attempts in a row that brought nothing
	refused int // answers to ranges that were none, in a row
	err     error
	over    bool
	leave   context.CancelFunc // ends waiting once it is over
	client  *http.Client

	from    string // where bytes came from last
	allowed int    // connections, fewer once the server is busy
	streams int    // the most at the same time
	retries int
	before  int64 // bytes that were there
	fresh   bool  // ask past caches: what they had was wrong
	blind   bool  // validators of this server change without the file doing so
	saved   int64 // bytes of the last note
	speed   meter
	sums    *sums // of the front, computed while the rest comes
}

// note is what is known of a file that is not whole: PATH.part.json.
type note struct {
	Schema   string `json:"schema"`
	Path     string `json:"path"` // of the address: hosts change from day to day
	SHA256   string `json:"sha256,omitempty"`
	SHA1     string `json:"sha1,omitempty"`
	Size     int64  `json:"size"`
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"`
	Done     spans  `json:"done"`
}

const (
	noteSchema = "updoc.part/1"
	maxNote    = 1 << 20
)

// job is one request at work: the bytes from at on, up to but without to.
type job struct {
	at, to int64
	stop   context.CancelFunc
}

// open opens the part, and takes from the note what may be kept of it.
func (d *download) open() error {
	d.changed.L = &d.mu
	part := d.name + ".part"
	if info, err := d.root.Lstat(part); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%w: something that is no file is in its place", ErrName)
	}
	file, err := d.root.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	d.file = file
	if d.recall(); d.note.Size == 0 {
		return file.Truncate(0)
	}
	return nil
}

// recall reads the note of an earlier download. What does not fit is as if it were not
// there.
func (d *download) recall() {
	d.note = note{Schema: noteSchema, Path: d.url.EscapedPath(), SHA256: d.w.SHA256, SHA1: d.w.SHA1}
	r, err := d.root.Open(d.name + ".part.json")
	if err != nil {
		return
	}
	defer r.Close()
	var n note
	if json.NewDecoder(io.LimitReader(r, maxNote)).Decode(&n) != nil {
		return
	}
	info, err := d.file.Stat()
	if err != nil || n.Schema != noteSchema || n.Path != d.note.Path || n.SHA256 != d.note.SHA256 || n.SHA1 != d.note.SHA1 ||
		n.Size <= 0 || d.w.Size > 0 && n.Size != d.w.Size || !n.Done.valid(min(n.Size, info.Size())) {
		return
	}
	d.note = n
	d.before = n.Done.bytes()
}

func (d *download) close() {
	if d.file != nil {
		_ = d.file.Close()
	}
}

// discard removes what came.
func (d *download) discard() {
	_ = d.file.Close()
	_ = d.root.Remove(d.name + ".part")
	_ = d.root.Remove(d.name + ".part.json")
}

// finish gives the file its name.
func (d *download) finish() (*Got, error) {
	if err := errors.Join(d.file.Truncate(d.note.Size), d.file.Sync(), d.file.Close()); err != nil {
		return nil, err
	}
	if err := d.root.Rename(d.name+".part", d.name); err != nil {
		return nil, err
	}
	_ = d.root.Remove(d.name + ".part.json")
	return &Got{
		Path: d.to, URL: d.from, Size: d.note.Size, SHA256: d.sums.sha256(), SHA1: d.sums.sha1(),
		Before: d.before, Streams: max(1, d.streams), Retries: d.retries,
	}, nil
}

// all fetches until the file is whole and its digests hold. It begins anew when the file
// changed meanwhile, and once when it turned out wrong: by then it asks for one stream,
// past all caches, since pieces of two files make a third.
func (d *download) all(ctx context.Context) error {
	for changes, wrongs := 0, 0; ; {
		err := d.source(ctx)
		var wrong *DigestError
		switch {
		case errors.Is(err, ErrMoving) && changes < maxRestarts:
			changes++
			d.blind = changes == maxRestarts // then the digest alone decides
		case errors.As(err, &wrong) && wrongs == 0 && (d.before > 0 || d.streams > 1 || d.retries > 0):
			wrongs++
			d.fresh, d.single = true, true
		case errors.As(err, &wrong):
			d.discard()
			return err
		default:
			return err
		}
		if err := d.anew(); err != nil {
			return err
		}
	}
}

// anew forgets all that came.
func (d *download) anew() error {
	d.note.Size, d.note.ETag, d.note.Modified, d.note.Done = 0, "", "", nil
	d.before, d.known = 0, false
	if err := d.root.Remove(d.name + ".part.json"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.file.Truncate(0)
}

// source fetches over https if the host speaks it, else as the catalogue names it.
func (d *download) source(ctx context.Context) error {
	if d.url.Scheme == "http" && !d.known {
		safe := *d.url
		safe.Scheme, safe.Host = "https", strings.TrimSuffix(safe.Host, ":80")
		if d.speaks(ctx, &safe) {
			d.url = &safe
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.run(ctx)
}

// speaks reports whether an address answers for the file.
func (d *download) speaks(ctx context.Context, u *url.URL) bool {
	ctx, cancel := context.WithTimeout(ctx, upgradeTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, u.String(), nil)
	if err != nil {
		return false
	}
	req.Header.Set("User-Agent", userAgent)
	resp, err := d.client.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// run fetches what is missing with several connections, and computes the digests of what
// is there.
func (d *download) run(ctx context.Context) error {
	busy, leave := context.WithCancel(ctx)
	defer leave()
	d.next, d.active, d.err, d.over, d.failed, d.refused = nil, map[*job]struct{}{}, nil, false, 0, 0
	d.leave, d.allowed = leave, d.f.connections()
	d.saved, d.sums, d.speed = d.note.Done.bytes(), newSums(), meter{at: time.Now()}
	if size := d.note.Size; size > 0 {
		d.next = d.note.Done.gaps(size)
		if err := d.f.space(filepath.Dir(d.to), size-d.note.Done.bytes()); err != nil {
			return err
		}
	} else {
		d.next = spans{{0, endless}} // the first answer says how much there is
	}
	stop := context.AfterFunc(ctx, func() { d.end(ctx.Err()) })
	defer stop()
	var workers, others sync.WaitGroup
	for i := range d.allowed {
		workers.Go(func() { d.work(busy, i) })
	}
	var hashed, saved error
	others.Go(func() { hashed = d.hash(ctx) })
	others.Go(func() { saved = d.save() })
	others.Go(d.tell)
	workers.Wait()
	d.end(nil)
	others.Wait()
	switch {
	case d.err != nil:
		return d.err
	case saved != nil:
		return fmt.Errorf("note what has come: %w", saved)
	case hashed != nil:
		return fmt.Errorf("read back: %w", hashed)
	case d.w.Size > 0 && d.note.Size != d.w.Size:
		return fmt.Errorf("%w: %d bytes, not %d", ErrSize, d.note.Size, d.w.Size)
	}
	return d.sums.check(d.w)
}

// endless stands for the end of a file whose size is not known.
const endless = int64(1) << 62

// end stops everything; the first reason counts.
func (d *download) end(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.over {
		d.finishWith(err)
	}
}

// finishWith is the end, with the lock held.
func (d *download) finishWith(err error) {
	d.over, d.err = true, err
	for j := range d.active {
		j.stop()
	}
	d.leave()
	d.changed.Broadcast()
}

// work is one connection: it takes what is missing until nothing is.
func (d *download) work(ctx context.Context, i int) {
	buf := make([]byte, 256<<10)
	for missed := 0; ; {
		one, stop := context.WithCancel(ctx)
		j := d.take(i, stop)
		if j == nil {
			stop()
			return
		}
		was := j.at
		err := d.request(one, j, buf)
		stop()
		if j.at > was {
			missed = 0
		} else if err != nil {
			missed++
		}
		if pause := d.back(j, was, missed, err); pause > 0 {
			_ = sleep(ctx, d.f.Sleep, pause) // what ends it is seen by take
		}
	}
}

// take waits for something to fetch; nil once there is nothing left.
func (d *download) take(i int, stop context.CancelFunc) *job {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		switch {
		case d.over:
			return nil
		case d.single:
			if len(d.active) > 0 {
				break
			}
			end := d.note.Size
			if end == 0 {
				end = endless
			}
			gaps := d.note.Done.gaps(end)
			if d.next = nil; len(gaps) == 0 {
				d.finishWith(nil)
				return nil
			}
			return d.start(&job{at: gaps[0].From, to: end, stop: stop})
		case i >= d.allowed, i > 0 && !d.known: // others do it
		case len(d.next) > 0:
			s := d.next[0]
			j := &job{at: s.From, to: min(s.To, s.From+d.f.piece()), stop: stop}
			if s.From = j.to; s.From < s.To {
				d.next[0] = s
			} else {
				d.next = d.next[1:]
			}
			return d.start(j)
		case len(d.active) == 0:
			d.finishWith(nil)
			return nil
		default:
			if j := d.split(stop); j != nil {
				return d.start(j)
			}
		}
		d.changed.Wait()
	}
}

func (d *download) start(j *job) *job {
	d.active[j] = struct{}{}
	d.streams = max(d.streams, len(d.active))
	return j
}

// minSplit is what is worth a request of its own near the end.
const minSplit = 512 << 10

// split takes the second half of what the slowest connection has left to do, so that a
// slow one does not keep the end.
func (d *download) split(stop context.CancelFunc) *job {
	var most *job
	for j := range d.active {
		if j.to-j.at >= 2*minSplit && (most == nil || j.to-j.at > most.to-most.at) {
			most = j
		}
	}
	if most == nil {
		return nil
	}
	half := most.at + (most.to-most.at)/2
	j := &job{at: half, to: most.to, stop: stop}
	most.to = half
	return j
}

// back takes a job back, puts what it did not bring among what is missing, and decides
// what its error means: how long to wait, or that it is over. missed is how often in a row
// this connection brought nothing.
func (d *download) back(j *job, was int64, missed int, err error) (pause time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer d.changed.Broadcast()
	delete(d.active, j)
	if !d.single && j.at < j.to {
		d.next = d.next.add(span{j.at, j.to})
	}
	if err == nil || d.over || errors.Is(err, context.Canceled) { // the latter: others do it
		return 0
	}
	var busy *busyError
	var last *finalError
	if errors.As(err, &last) {
		d.finishWith(last.err)
		return 0
	}
	d.retries++
	if errors.As(err, &busy) {
		d.allowed = max(1, d.allowed/2)
		pause = busy.after
	}
	const some = 64 << 10
	switch {
	case j.at-was >= some:
		return pause
	case j.at > was:
		return max(pause, firstPause)
	}
	if missed >= 3 && len(d.active) > 0 { // the server may allow no more connections than the others
		d.allowed = max(1, d.allowed-1)
	}
	limit := d.f.tries()
	if d.known && !d.single {
		limit += d.allowed - 1 // all connections fail at the same time
	}
	if d.failed++; d.failed >= limit {
		d.finishWith(err)
		return 0
	}
	return max(pause, backoff(missed))
}

// backoff is how long to wait after so many failures in a row: twice as long each time,
// and not the same for all.
func backoff(n int) time.Duration {
	p := min(longestPause, firstPause<<min(max(n-1, 0), 10))
	return p/2 + rand.N(p/2+1)
}

// finalError is one that another attempt would not change.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

func final(err error) error { return &finalError{err} }

// busyError says that the server has too much to do.
type busyError struct {
	err   error
	after time.Duration
}

func (e *busyError) Error() string { return e.err.Error() }
func (e *busyError) Unwrap() error { return e.err }

// request makes one request and writes what it brings.
func (d *download) request(ctx context.Context, j *job, buf []byte) error {
	// A connection that brings nothing is given up.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := fmt.Errorf("nothing came for %s", d.f.stall())
	watch := time.AfterFunc(d.f.stall(), func() { cancel(stalled) })
	defer watch.Stop()

	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url.String(), nil)
	if err != nil {
		return final(err)
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", "*/*")
	req.Header.Set("Accept-Encoding", "identity")
	if d.fresh {
		req.Header.Set("Cache-Control", "no-cache")
	}
	d.mu.Lock()
	at, to, ranged := j.at, j.to, !d.single || j.at > 0 && !d.fresh && d.refused < 2*maxRefused
	etag := d.note.ETag
	d.mu.Unlock()
	if ranged {
		rest := strconv.FormatInt(to-1, 10)
		if to == endless {
			rest = ""
		}
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%s", at, rest))
		if etag != "" && !d.blind {
			req.Header.Set("If-Range", etag)
		}
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return d.netError(ctx, err)
	}
	defer resp.Body.Close()
	watch.Reset(d.f.stall())
	skip, err := d.answer(j, resp, ranged, at, to)
	if err != nil {
		return err
	}
	return d.copy(ctx, j, resp, skip, buf, watch)
}

// netError tells errors of rules from those of the network.
func (d *download) netError(ctx context.Context, err error) error {
	for _, rule := range []error{ErrHost, ErrClear, ErrSignIn, ErrWay} {
		if errors.Is(err, rule) {
			return final(plain(err))
		}
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return plain(err)
}

// maxRefused is how many answers in a row may be none to the range that was asked for,
// before ranges are given up. A stream that breaks tries a range again, some times: if that
// is answered, there are several connections again.
const maxRefused = 3

// answer looks at the head of an answer: what its body is, how much of it to skip.
func (d *download) answer(j *job, resp *http.Response, ranged bool, at, to int64) (skip int64, err error) {
	host := resp.Request.URL.Host
	switch s := resp.StatusCode; {
	case s == http.StatusPartialContent, s == http.StatusOK:
	case s == http.StatusRequestedRangeNotSatisfiable && ranged:
		return 0, d.refuse(fmt.Errorf("%w: it says that there are none", ErrRanges))
	case s == http.StatusProxyAuthRequired:
		return 0, final(ErrSignIn)
	case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable:
		return 0, &busyError{&StatusError{s, host}, retryAfter(resp.Header.Get("Retry-After"))}
	case s >= 500, s == http.StatusRequestTimeout:
		return 0, &StatusError{s, host}
	default:
		return 0, final(&StatusError{s, host})
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "text/html" || kind == "application/xhtml+xml" {
		return 0, ErrPage // it may be a moment's: a proxy that is overloaded
	}
	if enc := resp.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return 0, fmt.Errorf("%w: something on the way packs it (%.20q)", ErrRanges, enc)
	}
	etag, modified := strong(resp.Header.Get("ETag")), resp.Header.Get("Last-Modified")
	d.mu.Lock()
	defer d.mu.Unlock()
	size := int64(0) // of the whole file; 0 unknown
	if resp.StatusCode == http.StatusPartialContent {
		first, last, total, ok := contentRange(resp.Header.Get("Content-Range"))
		if !ranged || !ok || first != at || last >= to || last < first {
			return 0, d.refuseLocked(fmt.Errorf("%w: %.60q to bytes %d-%d", ErrRanges, resp.Header.Get("Content-Range"), at, to-1))
		}
		if size = total; size == 0 && d.note.Size == 0 && d.w.Size == 0 {
			return 0, d.refuseLocked(fmt.Errorf("%w: the size of the whole is not told", ErrRanges))
		}
	} else {
		size = max(0, resp.ContentLength)
	}
	if d.known || d.note.Size > 0 {
		// What came before must be of the same file.
		if size > 0 && d.note.Size > 0 && size != d.note.Size || !d.blind && (changed(d.note.ETag, etag) || d.note.ETag == "" && changed(d.note.Modified, modified)) {
			return 0, final(fmt.Errorf("%w: %s had %d bytes, and has %d now", ErrMoving, host, d.note.Size, size))
		}
	}
	if d.known && d.note.Size == 0 && size > 0 { // told only now
		d.note.Size, j.to = size, size
	}
	if !d.known {
		if err := d.learn(j, resp.StatusCode == http.StatusOK, size, etag, modified); err != nil {
			return 0, err
		}
	}
	d.from = resp.Request.URL.String()
	if resp.StatusCode == http.StatusPartialContent {
		d.refused = 0
		if size := d.note.Size; d.single && size > 0 {
			d.single = false
			j.to = min(j.at+d.f.piece(), size)
			d.next = append(spans(nil), d.note.Done...).add(span{j.at, j.to}).gaps(size)
			d.changed.Broadcast()
		}
		return 0, nil
	}
	// The whole file, whatever was asked for: what is there already is read past.
	if ranged {
		if d.refused++; at > 0 && !d.single && d.refused < maxRefused {
			return 0, fmt.Errorf("%w: the whole file instead of a range", ErrRanges)
		}
	}
	d.toSingle(j)
	return j.at, nil
}

// learn takes from the first answer how large the file is and whether ranges are
// answered. The lock is held.
func (d *download) learn(j *job, whole bool, size int64, etag, modified string) error {
	if d.w.Size > 0 && size > 0 && size != d.w.Size {
		return final(fmt.Errorf("%w: %d bytes, not %d", ErrSize, size, d.w.Size))
	}
	if size == 0 {
		size = max(d.w.Size, d.note.Size)
	}
	if size > 0 {
		if err := d.f.space(filepath.Dir(d.to), size-d.note.Done.bytes()); err != nil {
			return final(err)
		}
	}
	d.known = true
	fresh := d.note.Size == 0
	d.note.Size, d.note.ETag, d.note.Modified = size, etag, modified
	if fresh && size > 0 && !whole && !d.single {
		j.to = min(j.at+d.f.piece(), size)
		d.next = nil
		if j.to < size {
			d.next = spans{{j.to, size}}
		}
	}
	d.changed.Broadcast()
	return nil
}

// toSingle goes over to one stream, which this job is, with the whole file before it. The
// lock is held.
func (d *download) toSingle(j *job) {
	d.single = true
	for other := range d.active {
		if other != j {
			other.stop()
		}
	}
	j.at, j.to = d.note.Done.front(), d.note.Size
	if j.to == 0 {
		j.to = endless
	}
	d.changed.Broadcast()
}

func (d *download) refuse(err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refuseLocked(err)
}

// refuseLocked counts an answer that is none to the range that was asked for; after a few
// of them in a row there will be one stream.
func (d *download) refuseLocked(err error) error {
	if d.refused++; d.refused >= maxRefused && !d.single {
		d.single, d.failed = true, 0
		for other := range d.active {
			other.stop()
		}
	}
	return err
}

// copy writes the body to where it belongs.
func (d *download) copy(ctx context.Context, j *job, resp *http.Response, skip int64, buf []byte, watch *time.Timer) error {
	if skip > 0 {
		r := &watched{resp.Body, watch, d.f.stall()}
		if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(r, skip), buf); err != nil {
			return d.netError(ctx, err)
		}
	}
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			watch.Reset(d.f.stall())
			d.mu.Lock()
			at := j.at
			n64 := min(int64(n), j.to-at)
			d.mu.Unlock()
			if n64 > 0 {
				if _, werr := d.file.WriteAt(buf[:n64], at); werr != nil {
					return final(werr)
				}
			}
			if d.wrote(j, n64) { // another connection does the rest, or all is there
				return nil
			}
		}
		switch {
		case err == io.EOF:
			return d.atEnd(j)
		case err != nil:
			return d.netError(ctx, err)
		}
	}
}

// wrote counts bytes; it reports that the job is done.
func (d *download) wrote(j *job, n int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	front := d.note.Done.front()
	d.note.Done = d.note.Done.add(span{j.at, j.at + n})
	j.at += n
	d.failed = 0
	d.speed.add(n)
	if d.note.Done.front() != front {
		d.changed.Broadcast()
	}
	return j.at >= j.to
}

// atEnd is where a body ends before the job does: of a file whose size nobody told that
// is its end, otherwise the rest is asked for again. net/http tells an end that came too
// early where a length was announced.
func (d *download) atEnd(j *job) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if j.to == endless && d.single && d.note.Size == 0 {
		d.note.Size, j.to = j.at, j.at
		return nil
	}
	return io.ErrUnexpectedEOF
}

// watched is a body that tells the watch of every byte.
type watched struct {
	r     io.Reader
	watch *time.Timer
	stall time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.watch.Reset(w.stall)
	}
	return n, err
}

// hash computes the digests of the front while the rest comes.
func (d *download) hash(ctx context.Context) error {
	for {
		d.mu.Lock()
		for d.note.Done.front() == d.sums.n && !d.over {
			d.changed.Wait()
		}
		front, over, err := d.note.Done.front(), d.over, d.err
		d.mu.Unlock()
		if err != nil || over && front == d.sums.n {
			return nil
		}
		if err := d.sums.read(ctx, d.file, front); err != nil {
			return err
		}
	}
}

// save notes what has come, now and then and at the end. It does not wait for the disk:
// on one that is busy that takes minutes, and what a killed process wrote is there all the
// same. After a loss of power the note may promise more than there is; the digest then
// shows it, and the file is fetched anew.
func (d *download) save() error {
	for {
		d.mu.Lock()
		for d.note.Done.bytes()-d.saved < saveEvery && !d.over {
			d.changed.Wait()
		}
		n, over := d.note, d.over
		n.Done = append(spans(nil), n.Done...)
		whole := over && d.err == nil
		d.mu.Unlock()
		if whole || n.Size == 0 {
			if over {
				return nil
			}
		} else if err := d.write(n); err != nil {
			return err
		}
		d.saved = n.Done.bytes()
		if over {
			return nil
		}
	}
}

func (d *download) write(n note) error {
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	name := d.name + ".part.json"
	if err := d.root.WriteFile(name+".new", b, 0o644); err != nil {
		return err
	}
	return d.root.Rename(name+".new", name)
}

// tell reports progress while there is any.
func (d *download) tell() {
	if d.f.Progress == nil {
		return
	}
	say := func() {
		d.mu.Lock()
		p := Progress{Name: d.name, Done: d.note.Done.bytes(), Total: d.note.Size, Rate: d.speed.rate()}
		d.mu.Unlock()
		if p.Rate > 0 && p.Total > p.Done {
			p.Left = time.Duration(float64(p.Total-p.Done) / float64(p.Rate) * float64(time.Second))
		}
		d.f.Progress(p)
	}
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	done := make(chan struct{})
	go func() {
		d.mu.Lock()
		for !d.over {
			d.changed.Wait()
		}
		d.mu.Unlock()
		close(done)
	}()
	for {
		select {
		case <-tick.C:
			say()
		case <-done:
			say()
			return
		}
	}
}

// meter measures the rate over the last seconds.
type meter struct {
	at    time.Time
	bytes [8]int64 // of a second each
}

func (m *meter) add(n int64) {
	m.roll()
	m.bytes[0] += n
}

func (m *meter) roll() {
	for now := time.Now(); now.Sub(m.at) >= time.Second; m.at = m.at.Add(time.Second) {
		copy(m.bytes[1:], m.bytes[:])
		m.bytes[0] = 0
	}
}

// rate leaves the second out that is not over.
func (m *meter) rate() int64 {
	m.roll()
	var sum, n int64
	for _, b := range m.bytes[1:] {
		if sum += b; b > 0 {
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / n
}

// strong returns an ETag that may be compared byte by byte; RFC 9110 section 8.8.3.
func strong(etag string) string {
	if len(etag) < 2 || len(etag) > 256 || etag[0] != '"' || etag[len(etag)-1] != '"' {
		return ""
	}
	return etag
}

// changed reports two validators that are known and differ.
func changed(a, b string) bool { return a != "" && b != "" && a != b }

// contentRange reads "bytes 0-1023/4096"; total is 0 where it is "*".
func contentRange(s string) (first, last, total int64, ok bool) {
	s, ok = strings.CutPrefix(strings.TrimSpace(s), "bytes ")
	where, of, slash := strings.Cut(s, "/")
	a, b, dash := strings.Cut(where, "-")
	if !ok || !slash || !dash {
		return 0, 0, 0, false
	}
	number := func(s string) int64 {
		n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 62)
		if err != nil {
			ok = false
		}
		return int64(n)
	}
	first, last = number(a), number(b)
	if strings.TrimSpace(of) != "*" {
		if total = number(of); total <= last {
			ok = false
		}
	}
	return first, last, total, ok
}

// retryAfter reads seconds; dates are not worth their clocks.
func retryAfter(s string) time.Duration {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, longestPause)
}
