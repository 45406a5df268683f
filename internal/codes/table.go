package codes

import (
	_ "embed"
	"iter"
	"strconv"
	"strings"
	"sync"
)

// codesTSV holds one line per code, sorted by code: eight upper-case hex
// digits, symbols separated by '|', family, stage, HTTP status, tag of the
// source (see sourcesTSV), meaning. A meaning that ends in '?' is not
// confirmed by a document.
//
//go:embed data/codes.tsv
var codesTSV string

// sourcesTSV explains the tags in the source column of codesTSV.
//
//go:embed data/sources.tsv
var sourcesTSV string

// Columns of codesTSV.
const (
	colCode = iota
	colSymbols
	colFamily
	colStage
	colStatus
	colMeaning
	colSource
)

// Info is one row of the table.
type Info struct {
	Code    HRESULT
	Symbols []string // every known name, the one that documents use first; may be empty

	// Family is the component that owns the code: "wua-transport", "cbs",
	// "winhttp", "win32-service", "setup", ...
	Family string

	// Stage is where in an update's life the code mostly appears: "scan",
	// "download", "verify", "install", "setup", or "any".
	Stage string

	HTTPStatus int    // the HTTP status that the code stands for, 0 if none
	Meaning    string // one phrase, no full stop
	Unsure     bool   // the meaning comes from field reports, not from a document
	Source     string // the header or page the row comes from
}

// Symbol returns the first name, or "".
func (i Info) Symbol() string {
	if len(i.Symbols) == 0 {
		return ""
	}
	return i.Symbols[0]
}

// Lookup returns what the table says about h. It searches the embedded text
// in place: a microsecond, and one allocation for the symbols.
func Lookup(h HRESULT) (Info, bool) {
	row, ok := findRow(h)
	if !ok {
		return Info{}, false
	}
	return row.info(), true
}

// BySymbol returns the row that carries the exact symbolic name, in any
// letter case.
func BySymbol(name string) (Info, bool) {
	h, ok := symbolIndex()[strings.ToUpper(name)]
	if !ok {
		return Info{}, false
	}
	return Lookup(h)
}

// All yields the whole table in the order of the codes.
func All() iter.Seq[Info] {
	return func(yield func(Info) bool) {
		for row := range rows() {
			if !yield(row.info()) {
				return
			}
		}
	}
}

// symbolIndex maps upper-cased symbols to codes. It is built when the first
// symbol has to be recognised, which most runs never need.
var symbolIndex = sync.OnceValue(buildSymbolIndex)

func buildSymbolIndex() map[string]HRESULT {
	index := make(map[string]HRESULT, 5000)
	for row := range rows() {
		for s := range strings.SplitSeq(row.field(colSymbols), "|") {
			s = strings.ToUpper(s)
			if _, dup := index[s]; !dup && s != "" {
				index[s] = row.code()
			}
		}
	}
	return index
}

// A line is one line of codesTSV without its end.
type line string

func rows() iter.Seq[line] {
	return func(yield func(line) bool) {
		for s := range strings.Lines(codesTSV) {
			if !yield(line(strings.TrimSuffix(s, "\n"))) {
				return
			}
		}
	}
}

// findRow searches the sorted text by bisection.
func findRow(h HRESULT) (line, bool) {
	at := lowerBound(h)
	if at == len(codesTSV) {
		return "", false
	}
	l := lineAt(at)
	return l, l.code() == h
}

// lowerBound returns the offset of the first line whose code is at least h.
func lowerBound(h HRESULT) int {
	lo, hi := 0, len(codesTSV) // both always at the start of a line
	for lo < hi {
		mid := lo + (hi-lo)/2
		start := lo + strings.LastIndexByte(codesTSV[lo:mid], '\n') + 1
		if line(codesTSV[start:]).code() < h {
			lo = start + strings.IndexByte(codesTSV[start:], '\n') + 1
		} else {
			hi = start
		}
	}
	return lo
}

func lineAt(start int) line {
	s := codesTSV[start:]
	if end := strings.IndexByte(s, '\n'); end >= 0 {
		s = s[:end]
	}
	return line(s)
}

func (l line) code() HRESULT {
	var v HRESULT
	for i := range 8 {
		v = v<<4 | HRESULT(hexDigit[l[i]]-1)
	}
	return v
}

func (l line) field(n int) string {
	s := string(l)
	for range n {
		_, s, _ = strings.Cut(s, "\t")
	}
	s, _, _ = strings.Cut(s, "\t")
	return s
}

// httpStatus returns the HTTP status of the row, 0 if it has none.
func (l line) httpStatus() int {
	n, _ := strconv.Atoi(l.field(colStatus)) // empty: 0
	return n
}

func (l line) info() Info {
	i := Info{Code: l.code(), Family: l.field(colFamily), Stage: l.field(colStage), Source: source(l.field(colSource))}
	if s := l.field(colSymbols); s != "" {
		i.Symbols = strings.Split(s, "|")
	}
	i.HTTPStatus = l.httpStatus()
	i.Meaning, i.Unsure = strings.CutSuffix(l.field(colMeaning), "?")
	return i
}

// source spells out "bitsmsg+zerrors".
func source(tags string) string {
	var out []string
	for tag := range strings.SplitSeq(tags, "+") {
		for l := range strings.Lines(sourcesTSV) {
			if name, text, _ := strings.Cut(strings.TrimSuffix(l, "\n"), "\t"); name == tag {
				out = append(out, text)
			}
		}
	}
	return strings.Join(out, "; ")
}

// hexDigit maps a byte to its value as a hex digit plus one, and any other
// byte to zero.
var hexDigit = [256]byte{
	'0': 1, '1': 2, '2': 3, '3': 4, '4': 5, '5': 6, '6': 7, '7': 8, '8': 9, '9': 10,
	'a': 11, 'b': 12, 'c': 13, 'd': 14, 'e': 15, 'f': 16,
	'A': 11, 'B': 12, 'C': 13, 'D': 14, 'E': 15, 'F': 16,
}
