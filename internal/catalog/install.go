package catalog

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"updoc/internal/authenticode"
	"updoc/internal/wim"
)

// Why a package is not installed although its digest or its signature holds.
var (
	ErrAnother  = errors.New("it is another package than it is called")
	ErrUnproven = errors.New("nothing says that it is what it should be")
)

// Trust says by whom packages have to be signed. The zero value asks for Microsoft.
type Trust struct {
	Roots []*x509.Certificate // nil: Microsoft's
	Now   time.Time           // zero: the clock's
	// Witness, if not nil, is a second opinion on a file whose signature was found good:
	// that of Windows itself, which knows what was revoked.
	Witness func(path string) error
}

// Checked is a package whose signature was looked at.
type Checked struct {
	*Package
	// Signer is who signed the package; nil for an image, which bears no signature of its
	// own: what is in it does, and Windows checks that as it installs it.
	Signer *authenticode.Signer `json:"signer,omitempty"`
	// Inside are the signed cabinets that an image was found to hold.
	Inside []Inside `json:"inside,omitempty"`
}

// Inside is a cabinet in an image, and who signed it.
type Inside struct {
	Name   string              `json:"name"`
	Signer authenticode.Signer `json:"signer"`
}

// Check identifies a package and verifies its signature. Errors wrap those of
// authenticode, or are an [ErrPackage].
func (t Trust) Check(path string) (*Checked, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	c, err := t.look(f, info.Size(), filepath.Base(path))
	if err == nil && c.Signer != nil && t.Witness != nil {
		if err := t.Witness(path); err != nil {
			return nil, fmt.Errorf("not trusted by Windows: %w", err)
		}
	}
	return c, err
}

// look is Check without the witness.
func (t Trust) look(r io.ReaderAt, size int64, name string) (*Checked, error) {
	p, err := Identify(r, size, name)
	if err != nil {
		// One that was damaged is told by what its signature says of it.
		if _, serr := authenticode.Verify(r, size, t.options()); errors.Is(serr, authenticode.ErrDigest) || errors.Is(serr, authenticode.ErrStripped) {
			return nil, serr
		}
		return nil, err
	}
	if p.Kind == KindWIM {
		c := &Checked{Package: p}
		return c, c.lookInside(r, size, t)
	}
	sig, err := authenticode.Verify(r, size, t.options())
	if err != nil {
		return nil, err
	}
	return &Checked{Package: p, Signer: &sig.Signer}, nil
}

// lookInside verifies the cabinets in an image, as far as it can be read here. One that
// is not good is refused; that all are good says nothing of what else is in the image.
func (c *Checked) lookInside(r io.ReaderAt, size int64, t Trust) error {
	err := cabinets(r, size, func(name string, b []byte) error {
		sig, err := authenticode.Verify(bytes.NewReader(b), int64(len(b)), t.options())
		if err != nil {
			return err
		}
		c.Inside = append(c.Inside, Inside{name, sig.Signer})
		var p Package
		if p.readCabinet(bytes.NewReader(b), int64(len(b)), false) == nil && !p.Stack && (c.Identity == "" || p.Build != "") {
			p.Kind = KindWIM
			if p.KB == "" {
				p.KB = c.KB
			}
			c.Package = &p
		}
		return nil
	})
	if errors.Is(err, wim.ErrFormat) {
		return nil // its digest says that it is what was meant
	}
	return err
}

func (t Trust) options() authenticode.Options {
	return authenticode.Options{Roots: t.Roots, Now: t.Now}
}

// Source is where packages lie that are to be installed: a kit, or a single file.
type Source struct {
	Kit    *Kit
	dir    string
	single bool // no kit: nobody wrote down what the file should be
}

// OpenSource opens a kit by its folder or its kit.json, or a package by itself.
func OpenSource(path string) (*Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if info.IsDir() {
		path = filepath.Join(path, KitName)
	}
	dir, name := filepath.Split(path)
	if name == KitName {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("open kit: %w", err)
		}
		defer f.Close()
		k, err := ReadKit(f)
		if err != nil {
			return nil, err
		}
		return &Source{Kit: k, dir: dir}, nil
	}
	if err := checkPackageName(name); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	file := KitFile{Name: name, Size: info.Size(), Target: true}
	if m := nameDigest.FindStringSubmatch(name); m != nil {
		file.SHA1 = strings.ToLower(m[1]) // the catalogue puts it into the name
	}
	kb := fileKB(name)
	u := KitUpdate{KB: kb, Title: name, Folder: ".", Files: []KitFile{file}}
	return &Source{Kit: &Kit{Schema: KitSchema, Updates: []KitUpdate{u}}, dir: dir, single: true}, nil
}

// Ready is an update whose packages lie, verified, in a folder of their own on the
// machine.
type Ready struct {
	KitUpdate
	Checked
	Dir  string // the folder
	File string // the package to install, in it
}

// Prepare copies packages to a folder that must be empty or missing, an update a folder
// in it, and verifies the copies: what was verified is what is installed, whoever can
// write to the kit. If one of them is not what it should be none is left there.
// progress, if not nil, is told how many bytes of how many are done.
func (s *Source) Prepare(ctx context.Context, to string, trust Trust, progress func(done, total int64)) (out []Ready, err error) {
	var total int64
	for _, u := range s.Kit.Updates {
		for _, f := range u.Files {
			total += f.Size
		}
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return nil, fmt.Errorf("prepare packages: %w", err)
	}
	if entries, err := os.ReadDir(to); err != nil || len(entries) > 0 {
		return nil, errors.Join(err, fmt.Errorf("prepare packages: %s is not empty", to))
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("prepare packages: %w", err), os.RemoveAll(to))
		}
	}()
	if free, err := freeSpace(to); err != nil {
		return nil, err
	} else if free < total+spareSpace {
		return nil, &SpaceError{total + spareSpace, free}
	}
	root, err := os.OpenRoot(s.folder())
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var done int64
	tell := func(n int64) {
		if done += n; progress != nil {
			progress(done, total)
		}
	}
	for i, u := range s.Kit.Updates {
		r := Ready{KitUpdate: u, Dir: filepath.Join(to, strconv.Itoa(i+1))}
		if err := os.Mkdir(r.Dir, 0o700); err != nil {
			return nil, err
		}
		for _, f := range u.Files {
			if err := s.prepare(ctx, root, &r, f, trust, tell); err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name, err)
			}
		}
		out = append(out, r)
	}
	return out, nil
}

func (s *Source) folder() string {
	if s.dir == "" {
		return "."
	}
	return s.dir
}

// prepare copies one file and verifies the copy.
func (s *Source) prepare(ctx context.Context, root *os.Root, r *Ready, f KitFile, trust Trust, tell func(int64)) error {
	in, err := root.Open(filepath.FromSlash(r.Path(&f)))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("it is missing: %w", err)
	}
	if err != nil {
		return err
	}
	defer in.Close()
	at := filepath.Join(r.Dir, f.Name)
	got, err := copyFile(ctx, at, io.LimitReader(in, f.Size+1), tell)
	if err != nil {
		return err
	}
	wrong := func() error {
		if got.n != f.Size {
			return fmt.Errorf("%w: %d bytes, not %d", ErrSize, got.n, f.Size)
		}
		return got.check(Want{SHA256: strings.ToLower(f.SHA256), SHA1: strings.ToLower(f.SHA1)})
	}()
	if wrong != nil {
		if info, err := in.Stat(); err == nil { // what came in its place may have a name
			if c, err := trust.look(in, info.Size(), f.Name); err == nil && c.Signer != nil {
				wrong = fmt.Errorf("%w; it is %s, signed by %s", wrong, c.called(), c.Signer.Name)
			}
		}
		return wrong
	}
	c, err := trust.Check(at)
	if !f.Target { // a checkpoint, or a file that the package takes along
		if errors.Is(err, ErrPackage) {
			return nil
		}
		return err
	}
	if err != nil {
		return err
	}
	switch {
	case c.Signer == nil && f.SHA256 == "" && f.SHA1 == "":
		return fmt.Errorf("%w: an image bears no signature, and there is no kit.json with its digest", ErrUnproven)
	case r.KB != "" && c.KB != "" && !strings.EqualFold(r.KB, c.KB):
		return fmt.Errorf("%w: it is called %s, and it is %s", ErrAnother, r.KB, c.called())
	}
	r.Checked, r.File = *c, at
	return nil
}

// called is what a package is called by people.
func (p *Package) called() string {
	name := p.KB
	if name == "" {
		name = p.Identity
	}
	if p.Build != "" {
		name += " (build " + p.Build + ")"
	}
	return strings.TrimSpace(name)
}

// copyFile writes a file and computes its digests on the way.
func copyFile(ctx context.Context, to string, in io.Reader, tell func(int64)) (*sums, error) {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	s := newSums()
	for {
		n, rerr := in.Read(s.buf)
		if n > 0 {
			s.one.Write(s.buf[:n])
			s.two.Write(s.buf[:n])
			s.n += int64(n)
			tell(int64(n))
			if _, err := f.Write(s.buf[:n]); err != nil {
				return nil, errors.Join(err, f.Close())
			}
		}
		if rerr == nil {
			rerr = ctx.Err()
		}
		if errors.Is(rerr, io.EOF) {
			return s, errors.Join(f.Sync(), f.Close())
		}
		if rerr != nil {
			return nil, errors.Join(rerr, f.Close())
		}
	}
}

// Installable reports whether Windows' own installers take the package; a program has
// to be run by a person.
func (c *Checked) Installable() bool { return c.Kind != KindEXE }
