package codes

import (
	_ "embed"
	"strconv"
	"strings"
)

// extendTSV explains the second number of a Windows Setup failure, as in
// 0xC1900101-0x20017: kind (phase, operation, pair), value or result code,
// symbol or extend code, meaning.
//
//go:embed data/extend.tsv
var extendTSV string

// Named is a number with its symbol and meaning.
type Named struct {
	Value   uint32
	Symbol  string // "" if not known
	Meaning string // "" if not known
}

// Extend splits an extend code 0xPPPOO into the phase in which Windows Setup
// stopped and the operation that it was doing then. learn.microsoft.com:
// "Windows upgrade error codes", extend codes.
func Extend(v uint32) (phase, operation Named) {
	phase, operation = Named{Value: v >> 16}, Named{Value: v & 0xFF}
	for r := range extendRows {
		switch {
		case r.kind == "phase" && r.value == phase.Value:
			phase.Symbol, phase.Meaning = r.symbol, r.meaning
		case r.kind == "operation" && r.value == operation.Value:
			operation.Symbol, operation.Meaning = r.symbol, r.meaning
		}
	}
	return phase, operation
}

// Pair returns what Microsoft's resolution procedures say about a result and
// extend code seen together. An ext of 0 asks for the result alone.
func Pair(h HRESULT, ext uint32) (meaning string, ok bool) {
	for r := range extendRows {
		if r.kind != "pair" || HRESULT(r.value) != h {
			continue
		}
		e, _ := strconv.ParseUint(r.symbol, 16, 32) // empty: 0
		if uint32(e) == ext {
			return r.meaning, true
		}
	}
	return "", false
}

// isExtend reports whether v has the shape of an extend code: a known phase,
// a known operation and nothing between them.
func isExtend(v uint32) bool {
	return v >= 0x10000 && v <= 0x6FFFF && v&0xFF00 == 0 && v&0xFF <= 0x20
}

// An extendRow is one line of extendTSV.
type extendRow struct {
	kind    string // "phase", "operation", "pair"
	value   uint32 // phase, operation, or result code of a pair
	symbol  string // symbolic name, or hex extend code of a pair
	meaning string
}

func extendRows(yield func(extendRow) bool) {
	for l := range strings.Lines(extendTSV) {
		f := strings.Split(strings.TrimSuffix(l, "\n"), "\t")
		if len(f) != 4 {
			continue
		}
		v, err := strconv.ParseUint(f[1], 16, 32)
		if err != nil {
			continue
		}
		if !yield(extendRow{kind: f[0], value: uint32(v), symbol: f[2], meaning: f[3]}) {
			return
		}
	}
}
