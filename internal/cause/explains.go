package cause

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"sync"

	"updoc/internal/codes"
	"updoc/internal/sorted"
)

// explains/*.tsv say how often a cause is behind a code: rows "code, cause,
// weight", weight being the share of machines with this code, and nothing else
// known, on which this is the cause. Setup codes may carry their extend code:
// 0xC1900101-0x20017.

//go:embed explains/*.tsv
var explainFiles embed.FS

// codeKey is a code with its extend code, 0 if it has none.
type codeKey struct {
	code   codes.HRESULT
	extend uint32
}

// Share is one row: a cause and its share of a code.
type Share struct {
	Cause  string
	Weight float64
}

type explainTable struct {
	byCode map[codeKey][]Share
	err    error
}

var explains = sync.OnceValue(func() explainTable {
	t := explainTable{byCode: map[codeKey][]Share{}}
	names, _ := fs.Glob(explainFiles, "explains/*.tsv")
	for _, name := range names {
		b, err := explainFiles.ReadFile(name)
		if err != nil {
			t.err = err
			continue
		}
		n := 0
		for line := range strings.Lines(string(b)) {
			n++
			line = strings.TrimRight(line, "\r\n")
			if n == 1 || line == "" || line[0] == '#' {
				continue
			}
			if err := t.row(line); err != nil {
				t.err = fmt.Errorf("%s:%d: %w", name, n, err)
			}
		}
	}
	for _, shares := range t.byCode {
		sorted.By(shares, func(a, b Share) int { return cmp.Compare(b.Weight, a.Weight) })
	}
	return t
})

func (t *explainTable) row(line string) error {
	cols := strings.Split(line, "\t")
	if len(cols) < 3 {
		return fmt.Errorf("%d columns, want code, cause, weight", len(cols))
	}
	text, ext, pair := strings.Cut(cols[0], "-")
	code, err := strconv.ParseUint(strings.TrimSpace(text), 0, 32)
	if err != nil {
		return err
	}
	key := codeKey{code: codes.HRESULT(code)}
	if pair {
		e, err := strconv.ParseUint(strings.TrimSpace(ext), 0, 32)
		if err != nil {
			return err
		}
		key.extend = uint32(e)
	}
	w, err := strconv.ParseFloat(cols[2], 64)
	if err != nil {
		return err
	}
	t.byCode[key] = append(t.byCode[key], Share{cols[1], w})
	return nil
}

// Usual returns the causes of a code with their shares, the commonest first: the
// honest ranking when nothing but the code is known. A setup code with an extend
// code that the table does not have is looked up without it.
func Usual(h codes.HRESULT, extend uint32) []Share {
	t := explains()
	if s, ok := t.byCode[codeKey{h, extend}]; ok {
		return s
	}
	return t.byCode[codeKey{code: h}]
}

// CodeShare is a code and the share of it that a cause has.
type CodeShare struct {
	Name   string // 0x8024401B, or 0xC1900101-0x20017
	Code   codes.HRESULT
	Extend uint32
	Weight float64
}

// CodesOf returns the codes that a cause gives, the most typical first.
func CodesOf(id string) []CodeShare {
	var out []CodeShare
	for key, shares := range explains().byCode {
		for _, s := range shares {
			if s.Cause != id {
				continue
			}
			name := key.code.String()
			if key.extend != 0 {
				name += fmt.Sprintf("-0x%X", key.extend)
			}
			out = append(out, CodeShare{name, key.code, key.extend, s.Weight})
		}
	}
	sorted.By(out, func(a, b CodeShare) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.Name, b.Name))
	})
	return out
}
