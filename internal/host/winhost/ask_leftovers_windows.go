package winhost

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/windows"

	"updoc/internal/host"
)

// leftovers finds what the registry names and the disk lacks, and old files.
func leftovers(ctx context.Context, h *Host, _ map[string]string) (any, error) {
	return host.FindLeftovers(ctx, h, drives{h.places}, h.places.windows, time.Now())
}

// drives is the file system of this machine.
type drives struct{ places }

// real is where a path leads for this process: a 32-bit one is shown SysWOW64 in
// the place of System32.
func (d drives) real(p string) string {
	dir := d.windows + `\System32\`
	if wow64() && len(p) > len(dir) && strings.EqualFold(p[:len(dir)], dir) {
		return d.system + p[len(dir)-1:]
	}
	return p
}

// Exists implements host.FileSystem.
func (d drives) Exists(p string) (bool, error) {
	info, err := stat(d.real(p))
	return info != nil, err
}

// List implements host.FileSystem.
func (d drives) List(p string, each func(host.Listed) bool) error {
	f, err := os.Open(long(d.real(p)))
	if err != nil {
		return wrap("list "+p, err)
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(256) // a folder of temporary files may have a million
		for _, e := range entries {
			if e.Type()&(fs.ModeSymlink|fs.ModeIrregular|fs.ModeDevice) != 0 {
				continue
			}
			info, err := e.Info()
			if err != nil {
				continue // it has just gone
			}
			if !each(host.Listed{Name: e.Name(), Folder: e.IsDir(), Size: info.Size(), Modified: info.ModTime()}) {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return wrap("list "+p, err)
		}
	}
}

// InUse implements host.FileSystem: whoever opened the file without letting others
// rename it keeps it where it is. Nothing is read, so that no scanner looks at it.
func (d drives) InUse(p string) bool {
	f, err := openNode(d.real(p), windows.DELETE)
	if err != nil {
		return true
	}
	closeHandle(f)
	return false
}
