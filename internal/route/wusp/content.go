package wusp

import (
	"context"
	"crypto/sha1" // the protocol's key of a file
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strconv"
	"strings"

	"updoc/internal/host"
)

// PieceSize is what Delivery Optimization asks for at once: closed ranges of 1 MiB,
// the last one shorter (seen on the wire).
const PieceSize = 1 << 20

// ContentBase is where a WSUS keeps the content: always plain HTTP, on the port
// below the TLS port, or 80 beside 443. learn.microsoft.com: Configure WSUS (content
// stays on HTTP).
func ContentBase(base string) string {
	base = cleanBase(base)
	scheme, rest, ok := strings.Cut(base, "://")
	if !ok || !strings.EqualFold(scheme, "https") {
		return base
	}
	authority, tail, slash := strings.Cut(rest, "/")
	if slash {
		tail = "/" + tail
	}
	name, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		name, port = authority[:i], authority[i+1:]
	}
	if n, err := strconv.Atoi(port); err == nil && n != 443 {
		return "http://" + name + ":" + strconv.Itoa(n-1) + tail
	}
	return "http://" + name + tail
}

// ContentURL is the address of a file on a WSUS: a directory named after the last byte of
// its SHA-1 digest, and the digest with the extension of the file's name.
func ContentURL(base string, f File) string {
	sum := strings.ToUpper(f.SHA1)
	if len(sum) != 40 {
		return ""
	}
	return ContentBase(base) + "/Content/" + sum[38:] + "/" + sum + strings.ToLower(path.Ext(f.Name))
}

// Head asks for a file's length, as BITS does before it fetches anything.
// learn.microsoft.com: HTTP Requirements for BITS Downloads.
func Head(address string) host.Request {
	return host.Request{ID: opContent + ".head", Method: "HEAD", URL: address, Header: []host.Field{
		{Name: "Connection", Value: "Keep-Alive"},
		{Name: "Accept", Value: "*/*"},
		{Name: "Accept-Encoding", Value: "identity"},
		{Name: "User-Agent", Value: "Microsoft BITS/7.8"},
	}}
}

// Range asks for a closed range of a file, both ends included, as Delivery
// Optimization does, with its Content-Length on a GET that has no body.
func Range(address string, first, last int64) host.Request {
	return host.Request{
		ID: opContent + ".range", Method: "GET", URL: address, Keep: int(min(last-first+1, PieceSize)),
		Header: []host.Field{
			{Name: "Connection", Value: "Keep-Alive"},
			{Name: "Accept", Value: "*/*"},
			{Name: "Range", Value: fmt.Sprintf("bytes=%d-%d", first, last)},
			{Name: "User-Agent", Value: "Microsoft-Delivery-Optimization/10.1"},
			{Name: "Content-Length", Value: "0"},
		},
	}
}

// Object is what a server says about a file.
type Object struct {
	Size     int64
	ETag     string
	Modified string
}

// ReadHead reads the answer to Head. size is what the metadata says, or -1.
func ReadHead(ex host.Exchange, size int64) (Object, error) {
	o := Object{Size: -1, ETag: clean(ex.Get("ETag"), 200), Modified: clean(ex.Get("Last-Modified"), 60)}
	if err := arrived(&ex, 200); err != nil {
		return o, err
	}
	fail := func(fault host.Fault, seen string) (Object, error) {
		return o, &Error{Operation: opContent, Hop: host.HopContent, Fault: fault, Status: ex.Status, Seen: seen}
	}
	length := ex.Get("Content-Length")
	n, err := strconv.ParseInt(length, 10, 64)
	switch {
	case length == "":
		return fail(host.FaultLength, "no Content-Length")
	case err != nil || n < 0:
		return fail(host.FaultLength, "Content-Length: "+clean(length, 40))
	case size >= 0 && n != size:
		o.Size = n
		return fail(host.FaultLength, fmt.Sprintf("%d bytes, the metadata speaks of %d", n, size))
	}
	o.Size = n
	if strings.EqualFold(strings.TrimSpace(ex.Get("Accept-Ranges")), "none") {
		return fail(host.FaultRange, "Accept-Ranges: none")
	}
	if enc := encoding(&ex); enc != "" {
		return fail(host.FaultHeader, "Content-Encoding: "+enc)
	}
	return o, nil
}

// ReadRange checks the answer to Range: 206, exactly that range of a file of that
// size (-1: unknown), all of it, and no encoding.
func ReadRange(ex host.Exchange, first, last, size int64) error {
	fail := func(fault host.Fault, seen string) error {
		return &Error{Operation: opContent, Hop: host.HopContent, Fault: fault, Status: ex.Status, Seen: seen}
	}
	if ex.Broken() == nil {
		switch {
		case ex.Status == 200 && !isPage(&ex, ex.Body):
			return fail(host.FaultRange, "a range was asked for, the whole file came")
		case ex.Status == 416:
			return fail(host.FaultRange, "HTTP 416")
		}
	}
	if err := arrived(&ex, 206); err != nil {
		return err
	}
	got := ex.Get("Content-Range")
	a, b, total, ok := parseContentRange(got)
	switch n := last - first + 1; {
	case !ok:
		return fail(host.FaultRange, "Content-Range: "+clean(got, 60))
	case a != first || b != last:
		return fail(host.FaultRange, fmt.Sprintf("bytes %d-%d came instead of %d-%d", a, b, first, last))
	case size >= 0 && total >= 0 && total != size:
		return fail(host.FaultLength, fmt.Sprintf("a file of %d bytes, the metadata speaks of %d", total, size))
	case ex.Length != n:
		return fail(host.FaultLength, fmt.Sprintf("%d bytes came of %d", ex.Length, n))
	}
	if enc := encoding(&ex); enc != "" {
		return fail(host.FaultHeader, "Content-Encoding: "+enc)
	}
	return nil
}

// arrived checks what every answer with content must be.
func arrived(ex *host.Exchange, accepted int) error {
	if b := ex.Broken(); b != nil {
		return &Error{Operation: opContent, Hop: b.Kind, Fault: b.Fault, Status: ex.Status, Seen: b.Seen}
	}
	if isPage(ex, ex.Body) && ex.Status/100 == 2 {
		return &Error{Operation: opContent, Hop: host.HopHTTP, Fault: host.FaultPortal, Status: ex.Status, Seen: "a web page instead of a file"}
	}
	return status(ex, opContent, accepted)
}

func encoding(ex *host.Exchange) string {
	if enc := clean(ex.Get("Content-Encoding"), 40); !strings.EqualFold(enc, "identity") {
		return enc
	}
	return ""
}

// parseContentRange reads "bytes 0-1023/4096"; total is -1 for "*".
func parseContentRange(s string) (first, last, total int64, ok bool) {
	unit, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
	span, size, slash := strings.Cut(strings.TrimSpace(rest), "/")
	from, to, dash := strings.Cut(span, "-")
	if !strings.EqualFold(unit, "bytes") || !slash || !dash {
		return 0, 0, 0, false
	}
	var err [3]error
	first, err[0] = strconv.ParseInt(from, 10, 64)
	last, err[1] = strconv.ParseInt(to, 10, 64)
	if total = -1; size != "*" {
		total, err[2] = strconv.ParseInt(size, 10, 64)
	}
	return first, last, total, errors.Join(err[:]...) == nil && 0 <= first && first <= last && (total < 0 && size == "*" || last < total)
}

// Probe asks for a file the way Windows does, without fetching it: HEAD, a whole
// piece from its middle, and the last, short one.
func (s *Session) Probe(ctx context.Context, f File) ([]Step, error) {
	var steps []Step
	ask := func(r host.Request, check func(host.Exchange) error) error {
		step, err := s.step(ctx, opContent, r, check)
		if err == nil {
			steps = append(steps, step)
		}
		return err
	}
	size := f.Size
	err := ask(Head(f.URL), func(ex host.Exchange) error {
		o, err := ReadHead(ex, sizeOrAny(f.Size))
		if f.Size <= 0 {
			size = o.Size
		}
		return err
	})
	if err != nil || size <= 0 {
		return steps, err
	}
	pieces := (size + PieceSize - 1) / PieceSize
	middle := pieces / 2
	if middle > 0 && middle == pieces-1 {
		middle = 0
	}
	for i, piece := range []int64{middle, pieces - 1} {
		first := piece * PieceSize
		last := min(first+PieceSize, size) - 1
		r := Range(f.URL, first, last)
		if i == 1 {
			if piece == middle {
				break // a file of one piece
			}
			r.ID = opContent + ".last"
		}
		r.Keep = 4096 // enough to recognise a page
		if err := ask(r, func(ex host.Exchange) error { return ReadRange(ex, first, last, size) }); err != nil {
			return steps, err
		}
	}
	return steps, nil
}

func sizeOrAny(n int64) int64 {
	if n > 0 {
		return n
	}
	return -1
}

// ErrTooLarge says that a file is larger than the caller allows.
var ErrTooLarge = errors.New("larger than allowed")

// Download fetches a whole file piece by piece into w (nil: nowhere) and compares its
// digests, SHA-256 where the metadata has one. It holds one piece in memory. A file of more
// than limit bytes, or of unknown size, is refused. The step is the last exchange, or
// the one that failed, without its body.
func (s *Session) Download(ctx context.Context, f File, limit int64, w io.Writer) (Step, error) {
	if f.Size <= 0 || f.Size > limit {
		return Step{}, fmt.Errorf("download %s of %d bytes, at most %d: %w", clean(f.Name, 80), f.Size, limit, ErrTooLarge)
	}
	if f.SHA1 == "" && f.SHA256 == "" {
		return Step{}, errors.New("download without a digest")
	}
	if w == nil {
		w = io.Discard
	}
	h1, h256 := sha1.New(), sha256.New()
	var step Step
	for first := int64(0); first < f.Size; first += PieceSize {
		last := min(first+PieceSize, f.Size) - 1
		var piece []byte
		var err error
		step, err = s.step(ctx, opContent, Range(f.URL, first, last), func(ex host.Exchange) error {
			piece = ex.Body
			if err := ReadRange(ex, first, last, f.Size); err != nil {
				return err
			}
			if int64(len(piece)) != last-first+1 {
				return &Error{Operation: opContent, Hop: host.HopContent, Fault: host.FaultLength, Status: ex.Status, Seen: "less was kept than came"}
			}
			return nil
		})
		step.Exchange.Body = nil
		if err != nil || step.Problem != nil {
			return step, err
		}
		h1.Write(piece) // a hash does not fail
		h256.Write(piece)
		if _, err := w.Write(piece); err != nil {
			return step, fmt.Errorf("download: %w", err)
		}
	}
	for _, d := range []struct {
		name, want string
		h          hash.Hash
	}{{"SHA-256", f.SHA256, h256}, {"SHA-1", f.SHA1, h1}} {
		if d.want != "" && !strings.EqualFold(d.want, hex.EncodeToString(d.h.Sum(nil))) {
			step.Problem = &Error{Operation: opContent, Hop: host.HopContent, Fault: host.FaultDigest, Status: step.Exchange.Status, Seen: "another " + d.name + " than the metadata says"}
			step.Exchange = step.Problem.Mark(step.Exchange)
			return step, nil
		}
	}
	return step, nil
}
