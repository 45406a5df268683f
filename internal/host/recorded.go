package host

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"updoc/internal/cab"
	"updoc/internal/sorted"
	"updoc/internal/winlog"
)

// Bounds of a recorded host. Evidence comes from broken and hostile machines:
// nothing in it may cost more than this.
const (
	maxFiles     = 20_000   // a support bundle has hundreds
	maxDepth     = 3        // archives inside archives
	maxExpanded  = 16 << 30 // bytes that all archives together may unpack to
	maxRatio     = 400      // all that comes out of an archive to its own size, above maxRatioFrom; a log packs some 30:1
	maxRatioFrom = 64 << 20
	maxArchive   = 4 << 30 // an archive inside an archive is held in a temporary file
	maxDirectory = 8 << 20 // the table of contents of a zip, which is held in memory; room for maxFiles long names
	sniffBytes   = 64 << 10
	maxHiveBytes = 1 << 30
	maxAnswer    = 16 << 20
)

// ErrNothingReadable is returned by OpenRecorded when no file could be read.
var ErrNothingReadable = errors.New("nothing readable in the evidence")

// Recorded is a machine as its evidence shows it: a bundle, a folder, a zip or a
// few loose files, in which things carry the names they have on a machine, in
// any case and depth. It is immutable once open.
type Recorded struct {
	files    []File
	gaps     []string
	temp     []string // temporary files of nested archives
	closers  []io.Closer
	expanded int64
	looked   int // files seen, readable or not
	bundles  []*bundle

	mu  sync.Mutex
	reg *registry // read once, when first asked
}

// OpenRecorded lists the evidence under the given paths. Files are identified,
// not read; archives are opened and their members listed.
func OpenRecorded(ctx context.Context, paths ...string) (*Recorded, error) {
	r := &Recorded{}
	for _, p := range paths {
		if err := r.addPath(ctx, p); err != nil {
			r.Close()
			return nil, err
		}
	}
	return r.opened(ctx)
}

// OpenFS lists the evidence in a file system, e.g. a scenario of the lab.
func OpenFS(ctx context.Context, fsys fs.FS) (*Recorded, error) {
	r := &Recorded{}
	if err := r.addFS(ctx, fsys); err != nil {
		r.Close()
		return nil, err
	}
	return r.opened(ctx)
}

func (r *Recorded) opened(ctx context.Context) (*Recorded, error) {
	sorted.By(r.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	if err := r.openBundles(ctx); err != nil {
		r.Close()
		return nil, err
	}
	if len(r.files) == 0 && len(r.bundles) == 0 {
		err := fmt.Errorf("%w", ErrNothingReadable)
		if len(r.gaps) > 0 {
			err = fmt.Errorf("%w: %s", ErrNothingReadable, strings.Join(r.gaps[:min(3, len(r.gaps))], "; "))
		}
		r.Close()
		return nil, err
	}
	return r, nil
}

// Close removes the temporary files of nested archives.
func (r *Recorded) Close() error {
	var errs []error
	for _, c := range r.closers {
		errs = append(errs, c.Close())
	}
	for _, t := range r.temp {
		errs = append(errs, os.Remove(t))
	}
	r.closers, r.temp = nil, nil
	return errors.Join(errs...)
}

// Unreadable lists what was found and could not be opened, with the reason.
// What the registry files lack shows once a key was asked for.
func (r *Recorded) Unreadable() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reg == nil {
		return slices.Clone(r.gaps)
	}
	return slices.Concat(r.gaps, r.reg.gaps)
}

func (r *Recorded) gap(format string, args ...any) {
	if len(r.gaps) < 200 {
		r.gaps = append(r.gaps, fmt.Sprintf(format, args...))
	}
}

// reason is an error without the path, which a gap names already.
func reason(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func (r *Recorded) addPath(ctx context.Context, p string) error {
	info, err := os.Stat(p)
	if err != nil {
		return err
	}
	if info.IsDir() {
		root, err := os.OpenRoot(p) // unlike os.DirFS it cannot be led out of the folder
		if err != nil {
			return err
		}
		r.closers = append(r.closers, root)
		return r.addFS(ctx, root.FS())
	}
	if !info.Mode().IsRegular() {
		return &fs.PathError{Op: "open", Path: p, Err: errNotRegular}
	}
	return r.addTop(ctx, File{
		Path: filepath.Base(p), Size: info.Size(), Modified: info.ModTime(),
		open: func() (io.ReadCloser, error) { return os.Open(p) },
	})
}

var errNotRegular = errors.New("not a regular file")

// addFS walks a file system. Links are not followed: they may lead in circles, or
// to files that nobody meant to hand over.
func (r *Recorded) addFS(ctx context.Context, fsys fs.FS) error {
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.gap("%s: %v", name, reason(err))
			return nil
		}
		switch {
		case d.IsDir():
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			r.gap("%s: a link, not followed", name)
			return nil
		case !d.Type().IsRegular():
			r.gap("%s: %v", name, errNotRegular)
			return nil
		}
		if r.full(name) {
			return fs.SkipAll
		}
		info, err := d.Info()
		if err != nil {
			r.gap("%s: %v", name, reason(err))
			return nil
		}
		return r.addTop(ctx, File{
			Path: name, Size: info.Size(), Modified: info.ModTime(),
			open: func() (io.ReadCloser, error) { return fsys.Open(name) },
		})
	})
}

// full reports that no more files are read, and says so once.
func (r *Recorded) full(next string) bool {
	if r.looked < maxFiles {
		return false
	}
	if r.looked == maxFiles {
		r.looked++
		r.gap("%s: more than %d files, from this one on they are not read", next, maxFiles)
	}
	return true
}

// budget is what an archive that somebody handed over may cost, with all that is
// in it however deep. Counting each member on its own would let members share
// their data, or archives their own copies.
type budget struct{ packed, spent int64 }

// addTop adds a file that is not inside an archive.
func (r *Recorded) addTop(ctx context.Context, f File) error {
	return r.add(ctx, f, 0, &budget{packed: f.Size})
}

// add identifies one file and, if it is an archive, lists its members instead.
func (r *Recorded) add(ctx context.Context, f File, depth int, b *budget) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.full(f.Path) {
		return nil
	}
	r.looked++
	head, err := readHead(f)
	if err != nil {
		r.gap("%s: %v", f.Path, reason(err))
		return nil
	}
	return r.identify(ctx, f, head, depth, b)
}

// identify files what begins with head under its kind.
func (r *Recorded) identify(ctx context.Context, f File, head []byte, depth int, b *budget) error {
	switch string(head) {
	case "", "\xEF\xBB\xBF", "\xFF\xFE", "\xFE\xFF": // a byte order mark alone is what a shell leaves of no output
		r.gap("%s: empty", f.Path)
		return nil
	}
	if equalFold(path.Base(f.Path), ManifestName) && r.addManifest(f, head) {
		return nil
	}
	f.Kind = winlog.Identify(f.Path, head)
	if f.Kind != winlog.Archive {
		r.files = append(r.files, f)
		return nil
	}
	if depth >= maxDepth {
		r.gap("%s: archives nested deeper than %d are not opened", f.Path, maxDepth)
		return nil
	}
	if err := r.addArchive(ctx, f, depth, b, bytes.HasPrefix(head, []byte(cab.Signature))); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.gap("%s: %v", f.Path, reason(err))
	}
	return nil
}

func readHead(f File) ([]byte, error) {
	rc, err := f.open()
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return beginning(rc)
}

func beginning(src io.Reader) ([]byte, error) {
	head, err := io.ReadAll(io.LimitReader(src, sniffBytes))
	if len(head) > 0 { // a member whose end is damaged still has a beginning
		err = nil
	}
	return head, err
}

// addArchive lists the members of a zip or cabinet. Both need random access; a
// member of another archive is first unpacked into a temporary file.
func (r *Recorded) addArchive(ctx context.Context, f File, depth int, b *budget, cabinet bool) error {
	rc, err := f.open()
	if err != nil {
		return err
	}
	src, size, err := r.random(ctx, rc, f.Size)
	if err != nil {
		return err
	}
	if cabinet {
		return r.addCabinet(ctx, f, src, size, depth, b)
	}
	directory := &metered{src: src, left: maxDirectory}
	zr, err := zip.NewReader(directory, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // names are judged one by one
		return err
	}
	directory.left = math.MaxInt64
	for _, m := range zr.File {
		if m.FileInfo().IsDir() {
			continue
		}
		p, ok := r.member(f, m.Name, m.UncompressedSize64, b)
		switch {
		case !ok:
			continue
		case m.Flags&1 != 0:
			r.gap("%s: encrypted", p)
			continue
		}
		err := r.add(ctx, File{Path: p, Size: int64(m.UncompressedSize64), Modified: m.Modified, open: m.Open}, depth+1, b)
		if err != nil {
			return err
		}
	}
	return nil
}

// metered is a source of which only so much may be read.
type metered struct {
	src  io.ReaderAt
	left int64
}

func (m *metered) ReadAt(p []byte, off int64) (int, error) {
	if m.left == math.MaxInt64 { // members are read concurrently, nothing is counted any more
		return m.src.ReadAt(p, off)
	}
	if m.left -= int64(len(p)); m.left < 0 {
		return 0, fmt.Errorf("its table of contents is larger than %d bytes", int64(maxDirectory))
	}
	return m.src.ReadAt(p, off)
}

// addCabinet lists the members of a cabinet. A lone one, such as the log in a
// CbsPersist cabinet, is unpacked when it is read. Several share a compressed
// stream, in which each would have to be found anew: those that can be read are
// unpacked in one go.
func (r *Recorded) addCabinet(ctx context.Context, f File, src io.ReaderAt, size int64, depth int, b *budget) error {
	cr, err := cab.NewReader(src, size)
	if err != nil {
		return err
	}
	if cr.Missing > 0 {
		r.gap("%s: cut off, the last %d bytes are missing", f.Path, cr.Missing)
	}
	if len(cr.Files) == 1 {
		m := cr.Files[0]
		p, ok := r.member(f, m.Name, uint64(m.Size), b)
		if !ok {
			return nil
		}
		return r.add(ctx, File{Path: p, Size: m.Size, Modified: m.Modified, open: m.Open}, depth+1, b)
	}
	var temp *os.File
	var end int64
	return cr.Walk(func(m *cab.File, content io.Reader) error {
		if r.full(f.Path + "/" + m.Name) {
			return nil
		}
		p, ok := r.member(f, m.Name, uint64(m.Size), b)
		if !ok {
			return nil
		}
		r.looked++
		head, err := beginning(abortable{ctx, content})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.gap("%s: %v", p, reason(err))
			return nil
		}
		if winlog.Identify(p, head) == winlog.Binary { // the payload of an update, as a rule
			r.files = append(r.files, File{Path: p, Size: m.Size, Modified: m.Modified, Kind: winlog.Binary, open: m.Open})
			return nil
		}
		if temp == nil {
			if temp, err = r.temporary(); err != nil {
				return err
			}
		}
		n, err := io.Copy(temp, io.MultiReader(bytes.NewReader(head), abortable{ctx, content}))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.gap("%s: after %d bytes: %v", p, n, reason(err))
		}
		from := end
		end += n
		open := func() (io.ReadCloser, error) { return randomFile{io.NewSectionReader(temp, from, n)}, nil }
		return r.identify(ctx, File{Path: p, Size: n, Modified: m.Modified, open: open}, head, depth+1, b)
	})
}

// randomFile is a part of an open file as a file of its own.
type randomFile struct{ *io.SectionReader }

func (randomFile) Close() error { return nil }

// member returns the path of an archive's member, or false, with a gap, if it is
// not to be read: for its name, or for what it would cost.
func (r *Recorded) member(f File, name string, size uint64, b *budget) (string, bool) {
	clean, ok := memberName(name)
	if !ok {
		r.gap("%s: member %q points outside the archive and is not read", f.Path, name)
		return "", false
	}
	p := f.Path + "/" + clean
	switch {
	case size > maxExpanded || r.expanded+int64(size) > maxExpanded:
		r.gap("%s: %d bytes more than the %d that archives may unpack to, not read", p, size, int64(maxExpanded))
		return "", false
	case b.spent+int64(size) > maxRatioFrom && (b.spent+int64(size))/max(b.packed, 1) > maxRatio:
		r.gap("%s: unpacks to %d bytes, which makes more than %d times the archive's own size, not read", p, size, maxRatio)
		return "", false
	}
	r.expanded += int64(size)
	b.spent += int64(size)
	return p, true
}

// memberName returns the cleaned name of an archive member, or false if it
// would leave the archive ("zip slip"). Members are never written under their
// name; the check keeps reports from quoting paths that lie.
func memberName(name string) (string, bool) {
	name = strings.ReplaceAll(name, `\`, "/")
	if name == "" || strings.ContainsRune(name, 0) || strings.HasPrefix(name, "/") || len(name) > 1 && name[1] == ':' {
		return "", false
	}
	clean := path.Clean(name)
	return clean, clean != "." && clean != ".." && !strings.HasPrefix(clean, "../")
}

// random gives random access to what was opened, through a temporary file if
// need be. It owns rc from here on.
func (r *Recorded) random(ctx context.Context, rc io.ReadCloser, size int64) (io.ReaderAt, int64, error) {
	if src, ok := rc.(io.ReaderAt); ok {
		r.closers = append(r.closers, rc)
		return src, size, nil
	}
	defer rc.Close()
	t, err := r.temporary()
	if err != nil {
		return nil, 0, err
	}
	n, err := io.Copy(t, io.LimitReader(abortable{ctx, rc}, maxArchive+1))
	if err == nil && n > maxArchive {
		err = fmt.Errorf("larger than %d bytes", int64(maxArchive))
	}
	return t, n, err
}

// temporary makes a file that Close removes.
func (r *Recorded) temporary() (*os.File, error) {
	t, err := os.CreateTemp("", "updoc-*.tmp")
	if err != nil {
		return nil, err
	}
	r.temp, r.closers = append(r.temp, t.Name()), append(r.closers, t)
	return t, nil
}

// Abortable returns what reads from src until the context ends: unpacking and
// converting take seconds.
func Abortable(ctx context.Context, src io.Reader) io.Reader { return abortable{ctx, src} }

type abortable struct {
	ctx context.Context
	src io.Reader
}

func (a abortable) Read(p []byte) (int, error) {
	if err := a.ctx.Err(); err != nil {
		return 0, err
	}
	return a.src.Read(p)
}

// Machine knows what a bundle's manifest says, and else nothing by itself: facts
// learns the machine from its evidence.
func (r *Recorded) Machine(context.Context) (Machine, error) {
	var m Machine
	if len(r.bundles) > 0 {
		m = Machine(r.bundles[0].manifest.Machine)
	}
	m.Source = "bundle"
	return m, nil
}

// Files lists the evidence whose base name matches pattern.
func (r *Recorded) Files(_ context.Context, pattern string) ([]File, error) {
	var out []File
	for _, f := range r.files {
		ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(path.Base(f.Path)))
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, f)
		}
	}
	return out, nil
}

// Open opens a listed file.
func (r *Recorded) Open(_ context.Context, f File) (io.ReadCloser, error) {
	if f.open == nil {
		return nil, fmt.Errorf("open %s: %w", f.Path, ErrNotRecorded)
	}
	return f.open()
}

// Ask returns a recorded answer: that of a bundle, or answers/NAME.json.
func (r *Recorded) Ask(_ context.Context, q Question) (Answer, error) {
	for _, b := range r.bundles {
		if a, ok := b.asked[q.id()]; ok {
			return a.Answer, a.err
		}
	}
	for _, f := range r.files {
		if strings.EqualFold(path.Base(f.Path), q.Name+".json") && strings.EqualFold(path.Base(path.Dir(f.Path)), "answers") {
			rc, err := f.open()
			if err != nil {
				return Answer{}, err
			}
			defer rc.Close()
			b, err := io.ReadAll(io.LimitReader(rc, maxAnswer))
			if err == nil && !json.Valid(b) {
				err = errors.New("not JSON")
			}
			if err != nil {
				return Answer{}, fmt.Errorf("answer %s: %s: %w", q.Name, f.Path, err)
			}
			return Answer{JSON: b, Source: f.Path}, nil
		}
	}
	return Answer{}, fmt.Errorf("answer %s: %w", q.Name, ErrNotRecorded)
}

func equalFold(a, b string) bool { return strings.EqualFold(a, b) }
