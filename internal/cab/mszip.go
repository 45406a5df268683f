package cab

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
)

// mszip decodes MSZIP ("Microsoft MSZIP Data Compression Format"): each block
// is "CK" and one Deflate stream, whose dictionary is the output of the blocks
// before it.
type mszip struct {
	src     bytes.Reader
	inflate io.ReadCloser // also a flate.Resetter
	history int           // bytes before buf[maxBlock:] that were written
	last    int           // bytes of the last block, not yet history
	buf     [2 * maxBlock]byte
	end     [1]byte
}

func (z *mszip) reset() { z.history, z.last = 0, 0 }

func (z *mszip) decode(src []byte, n int) ([]byte, error) {
	if len(src) < 2 || src[0] != 'C' || src[1] != 'K' {
		return nil, errors.New("MSZIP block without its CK signature")
	}
	copy(z.buf[:maxBlock], z.buf[z.last:])
	z.history, z.last = min(maxBlock, z.history+z.last), n

	z.src.Reset(src[2:])
	dict := z.buf[maxBlock-z.history : maxBlock]
	if z.inflate == nil {
		z.inflate = flate.NewReaderDict(&z.src, dict)
	} else if err := z.inflate.(flate.Resetter).Reset(&z.src, dict); err != nil {
		return nil, fmt.Errorf("MSZIP: %v", err)
	}
	out := z.buf[maxBlock:][:n]
	if k, err := io.ReadFull(z.inflate, out); err != nil {
		return nil, fmt.Errorf("MSZIP after %d of %d bytes: %v", k, n, err)
	}
	switch _, err := io.ReadFull(z.inflate, z.end[:]); err {
	case io.EOF:
		return out, nil
	case nil:
		return nil, fmt.Errorf("MSZIP block holds more than its %d bytes", n)
	default:
		return nil, fmt.Errorf("MSZIP after %d bytes: %v", n, err)
	}
}
