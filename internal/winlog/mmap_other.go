//go:build !linux && !darwin

package winlog

import "io"

// mapper maps nothing here: blocks are read instead.
type mapper struct{}

func newMapper(io.ReaderAt, int64) *mapper { return nil }

func (*mapper) view(_, _ int64) (data []byte, unmap func()) { return nil, nil }
