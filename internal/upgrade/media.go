package upgrade

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"updoc/internal/host"
)

// Media is what a machine would be installed from.
type Media struct {
	Path   string            `json:"path"`   // the ISO file or the folder, as it was given
	File   string            `json:"file"`   // where the images stand: "sources/install.wim"
	Images []host.ImageEntry `json:"images"` // that can be installed
	Setup  bool              `json:"setup"`  // setup.exe is there
}

// ESD reports whether the media are the one file that the Media Creation Tool fetches,
// of which media have to be made first.
func (m Media) ESD() bool { return strings.HasSuffix(strings.ToLower(m.Path), ".esd") }

// ISO reports whether the media are one file, which Windows has to mount first.
func (m Media) ISO() bool { return strings.HasSuffix(strings.ToLower(m.Path), ".iso") }

// The files in which media have their images, in the order in which setup looks for
// them. learn.microsoft.com: "Windows Setup Installation Process".
var imageFiles = []string{"sources/install.wim", "sources/install.esd", "sources/install.swm"}

// OpenMedia reads what media hold: an ISO file, or the folder that one was unpacked or
// mounted to. at is where path is to be read from here, "" if by its own name: path is
// the machine's name of it.
func OpenMedia(path, at string) (Media, error) {
	if at == "" {
		at = path
	}
	info, err := os.Stat(at)
	if err != nil {
		return Media{}, fmt.Errorf("open the media: %w", err)
	}
	m := Media{Path: path}
	if info.IsDir() {
		err = m.read(folder(at))
		return m, err
	}
	f, err := os.Open(at)
	if err != nil {
		return Media{}, fmt.Errorf("open the media: %w", err)
	}
	if m.ESD() {
		err = m.readESD(f, info.Size())
	} else {
		err = m.readISO(f, info.Size())
	}
	return m, errors.Join(err, f.Close())
}

// readESD reads a file of the Media Creation Tool: its first image is setup itself, the
// next two are the small Windows that it starts from.
func (m *Media) readESD(r io.ReaderAt, size int64) error {
	images, err := host.ReadImage(io.NewSectionReader(r, 0, size))
	if err != nil {
		return fmt.Errorf("read %s: %w", m.Path, err)
	}
	m.File, m.Images = m.Path, images
	m.Setup = len(images) > 0 && images[0].Index == 1 && images[0].Edition == ""
	return nil
}

func (m *Media) readISO(r io.ReaderAt, size int64) error {
	u, err := openUDF(r, size)
	if err != nil {
		return fmt.Errorf("read the ISO file %s: %w", m.Path, err)
	}
	return m.read(func(name string) (io.ReaderAt, int64, func() error, error) {
		f, err := u.open(name)
		if err != nil {
			return nil, 0, nil, err
		}
		return f, f.size, func() error { return nil }, nil
	})
}

// opener opens a file of media by its path with slashes, letter case left out.
type opener func(name string) (r io.ReaderAt, size int64, done func() error, err error)

// folder opens files below a folder.
func folder(root string) opener {
	return func(name string) (io.ReaderAt, int64, func() error, error) {
		at := root
		for part := range strings.SplitSeq(name, "/") {
			entries, err := os.ReadDir(at)
			if err != nil {
				return nil, 0, nil, err
			}
			i := slices.IndexFunc(entries, func(e fs.DirEntry) bool { return strings.EqualFold(e.Name(), part) })
			if i < 0 {
				return nil, 0, nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
			}
			at = filepath.Join(at, entries[i].Name())
		}
		f, err := os.Open(at)
		if err != nil {
			return nil, 0, nil, err
		}
		info, err := f.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		if err != nil {
			return nil, 0, nil, errors.Join(err, f.Close())
		}
		return f, info.Size(), f.Close, nil
	}
}

func (m *Media) read(open opener) error {
	if _, _, done, err := open("setup.exe"); err == nil {
		m.Setup = true
		if err := done(); err != nil {
			return err
		}
	}
	for _, name := range imageFiles {
		r, size, done, err := open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("open %s of the media: %w", name, err)
		}
		images, err := host.ReadImage(io.NewSectionReader(r, 0, size))
		if err = errors.Join(err, done()); err != nil {
			return fmt.Errorf("%s of the media: %w", name, err)
		}
		m.File, m.Images = name, images
		return nil
	}
	return fmt.Errorf("%s: %w: it has none of %s", m.Path, ErrNoMedia, strings.Join(imageFiles, ", "))
}
