package host

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"updoc/internal/cab"
	"updoc/internal/winlog"
)

// Bounds of a recorded host. Evidence comes from broken and hostile machines:
// nothing in it may cost more than this.
const (
	maxFiles      = 20_000   // a support bundle has hundreds
	maxDepth      = 3        // archives inside archives
	maxExpanded   = 16 << 30 // bytes that all archives together may unpack to
	maxRatio      = 400      // unpacked to packed, above maxRatioFrom; a log packs some 30:1
	maxRatioFrom  = 64 << 20
	maxArchive    = 4 << 30 // an archive inside an archive is held in a temporary file
	sniffBytes    = 64 << 10
	maxHiveBytes  = 1 << 30
	maxRegEntries = 2_000_000
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

	registry func() *registry // read once, when first asked
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
	return r.opened()
}

// OpenFS lists the evidence in a file system, e.g. a scenario of the lab.
func OpenFS(ctx context.Context, fsys fs.FS) (*Recorded, error) {
	r := &Recorded{}
	if err := r.addFS(ctx, fsys, ""); err != nil {
		return nil, err
	}
	return r.opened()
}

func (r *Recorded) opened() (*Recorded, error) {
	if len(r.files) == 0 {
		err := fmt.Errorf("%w", ErrNothingReadable)
		if len(r.gaps) > 0 {
			err = fmt.Errorf("%w: %s", ErrNothingReadable, strings.Join(r.gaps[:min(3, len(r.gaps))], "; "))
		}
		r.Close()
		return nil, err
	}
	slices.SortStableFunc(r.files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	r.registry = sync.OnceValue(func() *registry { return readRegistry(r) })
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
	return errors.Join(errs...)
}

// Unreadable lists what was found and could not be opened, with the reason.
func (r *Recorded) Unreadable() []string { return slices.Concat(r.gaps, r.registry().gaps) }

func (r *Recorded) gap(format string, args ...any) {
	if len(r.gaps) < 200 {
		r.gaps = append(r.gaps, fmt.Sprintf(format, args...))
	}
}

func (r *Recorded) addPath(ctx context.Context, p string) error {
	info, err := os.Stat(p)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return r.addFS(ctx, os.DirFS(p), "")
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file", p)
	}
	return r.add(ctx, File{
		Path: filepath.Base(p), Size: info.Size(), Modified: info.ModTime(),
		open: func() (io.ReadCloser, error) { return os.Open(p) },
	}, 0)
}

// addFS walks a file system. Links are not followed: os.DirFS would leave the tree.
func (r *Recorded) addFS(ctx context.Context, fsys fs.FS, prefix string) error {
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.gap("%s: %v", name, errors.Unwrap(err))
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			r.gap("%s: %v", name, err)
			return nil
		}
		return r.add(ctx, File{
			Path: prefix + name, Size: info.Size(), Modified: info.ModTime(),
			open: func() (io.ReadCloser, error) { return fsys.Open(name) },
		}, 0)
	})
}

// add identifies one file and, if it is an archive, lists its members instead.
func (r *Recorded) add(ctx context.Context, f File, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(r.files) >= maxFiles {
		r.gap("%s: more than %d files, the rest is not read", f.Path, maxFiles)
		return nil
	}
	head, err := readHead(f)
	if err != nil {
		r.gap("%s: %v", f.Path, err)
		return nil
	}
	if len(head) == 0 {
		r.gap("%s: empty", f.Path)
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
	if err := r.addArchive(ctx, f, depth, bytes.HasPrefix(head, []byte("MSCF"))); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.gap("%s: %v", f.Path, err)
	}
	return nil
}

func readHead(f File) ([]byte, error) {
	rc, err := f.open()
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	head, err := io.ReadAll(io.LimitReader(rc, sniffBytes))
	if len(head) > 0 { // a member whose end is damaged still has a beginning
		err = nil
	}
	return head, err
}

// addArchive lists the members of a zip or cabinet. Both need random access; a
// member of another archive is first unpacked into a temporary file.
func (r *Recorded) addArchive(ctx context.Context, f File, depth int, cabinet bool) error {
	rc, err := f.open()
	if err != nil {
		return err
	}
	ra, ok := rc.(io.ReaderAt)
	size := f.Size
	if !ok {
		file, n, err := r.spool(rc)
		rc.Close()
		if err != nil {
			return err
		}
		ra, size, rc = file, n, file
	}
	r.closers = append(r.closers, rc)
	if cabinet {
		return r.addCabinet(ctx, f, ra, size, depth)
	}
	zr, err := zip.NewReader(ra, size)
	if err != nil {
		return err
	}
	for _, m := range zr.File {
		if m.FileInfo().IsDir() {
			continue
		}
		name, ok := memberName(m.Name)
		if !ok {
			r.gap("%s: member %q points outside the archive and is not read", f.Path, m.Name)
			continue
		}
		if m.Flags&1 != 0 {
			r.gap("%s/%s: encrypted", f.Path, name)
			continue
		}
		if !r.afford(m.UncompressedSize64, m.CompressedSize64) {
			r.gap("%s/%s: unpacks to %d bytes from %d, not read", f.Path, name, m.UncompressedSize64, m.CompressedSize64)
			continue
		}
		err := r.add(ctx, File{
			Path: f.Path + "/" + name, Size: int64(m.UncompressedSize64), Modified: m.Modified,
			open: func() (io.ReadCloser, error) { return limited(m.Open, int64(m.UncompressedSize64)) },
		}, depth+1)
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Recorded) addCabinet(ctx context.Context, f File, ra io.ReaderAt, size int64, depth int) error {
	cr, err := cab.NewReader(ra, size)
	if err != nil {
		return err
	}
	for _, m := range cr.Files {
		name, ok := memberName(m.Name)
		if !ok {
			r.gap("%s: member %q points outside the archive and is not read", f.Path, m.Name)
			continue
		}
		if !r.afford(uint64(m.Size), uint64(size)) {
			r.gap("%s/%s: unpacks to %d bytes from %d, not read", f.Path, name, m.Size, size)
			continue
		}
		err := r.add(ctx, File{Path: f.Path + "/" + name, Size: m.Size, Modified: m.Modified, open: m.Open}, depth+1)
		if err != nil {
			return err
		}
	}
	return nil
}

// afford counts what an archive member will unpack to against the bounds.
func (r *Recorded) afford(unpacked, packed uint64) bool {
	if unpacked > maxRatioFrom && unpacked/max(packed, 1) > maxRatio {
		return false
	}
	if unpacked > maxExpanded || r.expanded+int64(unpacked) > maxExpanded {
		return false
	}
	r.expanded += int64(unpacked)
	return true
}

// limited opens a zip member and stops at its declared size, whatever the
// stream holds.
func limited(open func() (io.ReadCloser, error), size int64) (io.ReadCloser, error) {
	rc, err := open()
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(rc, size), rc}, nil
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

func (r *Recorded) spool(src io.Reader) (*os.File, int64, error) {
	t, err := os.CreateTemp("", "updoc-*.tmp")
	if err != nil {
		return nil, 0, err
	}
	r.temp = append(r.temp, t.Name())
	n, err := io.Copy(t, io.LimitReader(src, maxArchive+1))
	if err == nil && n > maxArchive {
		err = fmt.Errorf("larger than %d bytes", int64(maxArchive))
	}
	if err != nil {
		t.Close()
		return nil, 0, err
	}
	return t, n, nil
}

// Machine knows nothing by itself: facts learns the machine from its evidence.
func (r *Recorded) Machine(context.Context) (Machine, error) { return Machine{Source: "bundle"}, nil }

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

// Ask returns a recorded answer: answers/NAME.json of a bundle.
func (r *Recorded) Ask(_ context.Context, q Question) (Answer, error) {
	for _, f := range r.files {
		if strings.EqualFold(path.Base(f.Path), q.Name+".json") && strings.EqualFold(path.Base(path.Dir(f.Path)), "answers") {
			rc, err := f.open()
			if err != nil {
				return Answer{}, err
			}
			defer rc.Close()
			b, err := io.ReadAll(io.LimitReader(rc, 16<<20))
			return Answer{JSON: b, Source: f.Path}, err
		}
	}
	return Answer{}, fmt.Errorf("answer %s: %w", q.Name, ErrNotRecorded)
}

func equalFold(a, b string) bool { return strings.EqualFold(a, b) }
