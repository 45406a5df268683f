package winhost

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"updoc/internal/cab"
	"updoc/internal/host"
	"updoc/internal/winlog"
)

// A log of servicing that has grown to its bound is closed, and packed into a cabinet
// of which it is the only file: CbsPersist_20240305091407.cab. It is read as it is
// unpacked, and never lies on the disk.

// Bounds of what is unpacked. A log that is packed has 50 MB, after long trouble some
// hundred, and packs to a twentieth or a thirtieth.
const (
	maxPacked      = 256 << 20 // of one log, unpacked
	maxPackedInAll = 512 << 20 // of all of them
	maxPackedRatio = 400

	sniffBytes = 64 << 10 // of a file, to say what it is
)

var errPacked = errors.New("not one log in a cabinet")

// file is what a packed log is read from.
type file interface {
	io.ReaderAt
	io.Closer
}

// packedLog finds the log in a cabinet.
func packedLog(src io.ReaderAt, size int64) (*cab.File, error) {
	r, err := cab.NewReader(src, size)
	if err != nil {
		return nil, err
	}
	if len(r.Files) != 1 {
		return nil, fmt.Errorf("%w: %d files", errPacked, len(r.Files))
	}
	m := r.Files[0]
	if m.Size < 0 || m.Size > maxPacked || m.Size/maxPackedRatio > size {
		return nil, fmt.Errorf("%d bytes unpack to %d, more than the %d that are read", size, m.Size, int64(maxPacked))
	}
	return m, nil
}

// packedFile is a cabinet's log as a file of evidence: its path is that of the cabinet
// with the name of the log below it.
func packedFile(cabinet host.File, src io.ReaderAt) (host.File, error) {
	m, err := packedLog(src, cabinet.Size)
	if err != nil {
		return host.File{}, err
	}
	name, ok := cab.SafeName(m.Name)
	if !ok || strings.Contains(name, "/") {
		return host.File{}, fmt.Errorf("%w: it is called %q", errPacked, m.Name)
	}
	content, err := m.Open()
	if err != nil {
		return host.File{}, err
	}
	defer content.Close()
	head, err := io.ReadAll(io.LimitReader(content, sniffBytes))
	if err != nil && len(head) == 0 {
		return host.File{}, err
	}
	f := host.File{Path: cabinet.Path + "/" + name, Size: m.Size, Modified: cabinet.Modified}
	if f.Kind = winlog.Identify(f.Path, head); f.Kind == winlog.Archive || f.Kind == winlog.Binary {
		return host.File{}, fmt.Errorf("%w: it is %s", errPacked, f.Kind)
	}
	return f, nil
}

// openPacked reads the log in a cabinet; to close it closes the cabinet.
func openPacked(src file, size int64) (io.ReadCloser, error) {
	m, err := packedLog(src, size)
	if err != nil {
		return nil, errors.Join(err, src.Close())
	}
	content, err := m.Open()
	if err != nil {
		return nil, errors.Join(err, src.Close())
	}
	return &unpacking{content, src}, nil
}

type unpacking struct {
	io.ReadCloser
	src io.Closer
}

func (u *unpacking) Close() error { return errors.Join(u.ReadCloser.Close(), u.src.Close()) }

// cabinetOf returns the cabinet that a path leads into, if it does.
func cabinetOf(p string) (cabinet string, ok bool) {
	dir, name := path.Split(p)
	dir = strings.TrimSuffix(dir, "/")
	return dir, name != "" && strings.EqualFold(path.Ext(dir), ".cab")
}
