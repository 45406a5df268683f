package upgrade

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"updoc/internal/host"
	"updoc/internal/udf"
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
		err = m.read(os.DirFS(at))
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
	u, err := udf.Open(r, size)
	if err != nil {
		return fmt.Errorf("read the ISO file %s: %w", m.Path, err)
	}
	return m.read(u)
}

func (m *Media) read(files fs.FS) error {
	switch _, err := host.LookUp(files, ".", "setup.exe"); {
	case err == nil:
		m.Setup = true
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("open setup.exe of the media: %w", err)
	}
	for _, name := range imageFiles {
		found, err := host.LookUp(files, ".", name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("open %s of the media: %w", name, err)
		}
		images, err := readImages(files, found)
		if err != nil {
			return fmt.Errorf("%s of the media: %w", name, err)
		}
		m.File, m.Images = name, images
		return nil
	}
	return fmt.Errorf("%s: %w: it has none of %s", m.Path, ErrNoMedia, strings.Join(imageFiles, ", "))
}

func readImages(files fs.FS, name string) ([]host.ImageEntry, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, ok := f.(io.ReaderAt)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return host.ReadImage(src)
}
