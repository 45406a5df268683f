package catalog

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"updoc/internal/wim"
)

// cabinets are the cabinets in an image that Windows reads before anything else in it,
// whole: the larger ones hold what is installed and have catalogues of their own. A package of
// Windows 11 24H2 and later is such an image.
func cabinets(r io.ReaderAt, size int64, fn func(name string, b []byte) error) error {
	m, err := wim.Open(r, size)
	if err != nil {
		return err
	}
	files, err := m.Top()
	if err != nil {
		return err
	}
	for _, f := range files {
		if !strings.HasSuffix(strings.ToLower(f.Name), ".cab") || f.Size > maxInner {
			continue
		}
		src, err := m.Read(f)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(src)
		if err != nil {
			return fmt.Errorf("%w: %w", wim.ErrFormat, err)
		}
		if !bytes.HasPrefix(b, []byte("MSCF")) {
			continue
		}
		if err := fn(f.Name, b); err != nil {
			return fmt.Errorf("%s in it: %w", clip(f.Name), err)
		}
	}
	return nil
}
