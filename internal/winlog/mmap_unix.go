//go:build linux || darwin

package winlog

import (
	"io"
	"os"
	"syscall"
)

// mapper maps stretches of a regular file into memory, which spares copying what
// is only looked at. Nil, or a nil view, means that the file must be read.
type mapper struct {
	fd   int
	size int64
	page int64
}

func newMapper(src io.ReaderAt, size int64) *mapper {
	f, ok := src.(*os.File)
	if !ok {
		return nil
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() < size {
		return nil
	}
	return &mapper{int(f.Fd()), size, int64(os.Getpagesize())}
}

// view maps [from, to), or up to the end of the file. unmap must be called.
func (m *mapper) view(from, to int64) (data []byte, unmap func()) {
	if m == nil {
		return nil, nil
	}
	start := from &^ (m.page - 1)
	all, err := syscall.Mmap(m.fd, start, int(min(to, m.size)-start), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, nil
	}
	return all[from-start:], func() { _ = syscall.Munmap(all) }
}
