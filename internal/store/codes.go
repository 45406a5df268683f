package store

import (
	_ "embed"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/message"
)

// Then is what a repair does after it met a code.
type Then string

// What may come next.
const (
	ThenSource  Then = "source"  // the next source of files
	ThenPackage Then = "package" // the package that is named, from the catalogue; then the next source
	ThenRestart Then = "restart" // a restart, and the same again
	ThenAgain   Then = "again"   // the same again, once
	ThenCleanup Then = "cleanup" // what is superseded is cleaned up, and the same again
	ThenStop    Then = "stop"    // no repair of the store helps
)

// Next is the row of one code: what comes after it.
type Next struct {
	Code   codes.HRESULT `json:"code"`
	Symbol string        `json:"symbol"`
	Then   Then          `json:"then"`
	Page   string        `json:"page"` // of Microsoft, that says why
}

// Line says in words what the code means here and what comes next.
func (n Next) Line() message.Line {
	return message.Line{ID: "store.code." + n.Code.String(), Args: map[string]string{"code": n.Code.String(), "symbol": n.Symbol, "page": n.Page}}
}

//go:embed codes.tsv
var codeTable string

// Codes lists the table in its order.
func Codes() []Next {
	var out []Next
	for line := range strings.Lines(codeTable) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if len(f) != 4 || f[0] == "code" || strings.HasPrefix(f[0], "#") {
			continue
		}
		n := Next{Symbol: f[1], Then: Then(f[2]), Page: f[3]}
		if n.Code.UnmarshalText([]byte(f[0])) == nil {
			out = append(out, n)
		}
	}
	return out
}

// After is what comes after a code. One that has no row of its own is met with the
// next source.
func After(h codes.HRESULT) (Next, bool) {
	for _, n := range Codes() {
		if n.Code == h {
			return n, true
		}
	}
	return Next{Code: h, Then: ThenSource}, false
}
