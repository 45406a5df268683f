package winhost

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"updoc/internal/host"
)

// componentStore answers host.AskStore: servicing's log, and its registry.
func componentStore(ctx context.Context, h *Host, _ map[string]string) (any, error) {
	return host.ReadStore(ctx, h)
}

// image answers host.AskImage: what an image file, a medium or a Windows folder holds.
func image(_ context.Context, _ *Host, args map[string]string) (any, error) {
	p := filepath.Clean(args["path"])
	if !filepath.IsAbs(p) || strings.HasPrefix(p, `\\?\`) || strings.HasPrefix(p, `\\.\`) {
		return nil, fmt.Errorf("%s: %w: not a full path", p, host.ErrNoImage)
	}
	root := filepath.VolumeName(p) + `\`
	name := filepath.ToSlash(strings.TrimPrefix(p[len(filepath.VolumeName(p)):], `\`))
	if name == "" {
		name = "."
	}
	img, err := host.FindImage(os.DirFS(root), name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", p, host.ErrNotExist)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s: %w", p, host.ErrDenied)
	case err != nil:
		return nil, err
	}
	img.Path = root + filepath.FromSlash(img.Path)
	return img, nil
}

// growing is a log that others write to.
type growing struct {
	path string
	at   int64 // up to where it was read
}

// addedAtOnce is how much of what was added is read at a time.
const addedAtOnce = 64 << 10

// more says how large the log is, and what was added since the last time, the newest
// part of it if that is much. A log that cannot be read has no size.
func (g *growing) more() (size int64, added []byte) {
	f, err := os.Open(g.path)
	if err != nil {
		return 0, nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, nil
	}
	size = info.Size()
	if g.at == 0 || size < g.at { // the first time, or begun anew
		g.at = size
		return size, nil
	}
	from := max(g.at, size-addedAtOnce)
	g.at = size
	added = make([]byte, size-from)
	n, _ := f.ReadAt(added, from) // what is there is enough
	return size, added[:n]
}
