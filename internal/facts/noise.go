package facts

import (
	"bytes"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"updoc/internal/codes"
	"updoc/internal/winlog"
)

// Windows writes failing results on healthy machines all the time: answers to
// questions ("is this package there?"), optional values, unsupported calls. A
// result listed in noise.tsv is never a failure by itself. A row whose fifth
// column says "info" holds only for lines that the program itself did not call
// errors.

//go:embed noise.tsv
var noiseData string

// noiseTable holds the rows by code; code 0 stands for any.
type noiseTable map[codes.HRESULT][]noiseRow

type noiseRow struct {
	in    where
	match []byte // lower-case; empty: any text
	info  bool   // errors are none
}

// loadNoise parses the table, once.
var loadNoise = sync.OnceValues(func() (noiseTable, error) {
	t := noiseTable{}
	n := 0
	for line := range strings.Lines(noiseData) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if n == 1 || line == "" || line[0] == '#' {
			continue
		}
		cols := strings.Split(line, "\t")
		if len(cols) < 4 {
			return nil, fmt.Errorf("noise.tsv:%d: want in, code, match, why", n)
		}
		var in where
		for _, w := range strings.Split(cols[0], ",") {
			bit, ok := whereNames[w]
			if !ok {
				return nil, fmt.Errorf("noise.tsv:%d: unknown source %q", n, w)
			}
			in |= bit
		}
		var h uint64
		if cols[1] != "*" {
			var err error
			if h, err = strconv.ParseUint(strings.TrimPrefix(cols[1], "0x"), 16, 32); err != nil {
				return nil, fmt.Errorf("noise.tsv:%d: %w", n, err)
			}
		}
		info := len(cols) > 4 && cols[4] == "info"
		t[codes.HRESULT(h)] = append(t[codes.HRESULT(h)], noiseRow{in, []byte(strings.ToLower(cols[2])), info})
	}
	return t, nil
})

// is reports whether a failing code in a record of this kind of source is noise.
func (t noiseTable) is(in where, h codes.HRESULT, rec *winlog.Record) bool {
	text := rec.Text
	var lower []byte
	for _, rows := range [...][]noiseRow{t[h], t[0]} {
		for _, row := range rows {
			if row.in&in == 0 || row.info && rec.Level >= winlog.LevelError {
				continue
			}
			if len(row.match) == 0 {
				return true
			}
			if lower == nil {
				lower = appendLower(make([]byte, 0, len(text)), text)
			}
			if bytes.Contains(lower, row.match) {
				return true
			}
		}
	}
	return false
}
