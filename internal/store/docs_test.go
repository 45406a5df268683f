package store

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"updoc/internal/message"
)

var updateDocs = flag.Bool("update-docs", false, "write the table of codes into docs/repair-store.md")

// docs is the page whose table stands between two marks.
const (
	docs      = "../../docs/repair-store.md"
	docsBegin = "<!-- codes: written by a test -->\n"
	docsEnd   = "<!-- /codes -->\n"
)

// TestDocs: the page has the table as it is.
func TestDocs(t *testing.T) {
	var b strings.Builder
	b.WriteString("| code | what it means here, and what comes next | Microsoft's page |\n|---|---|---|\n")
	for _, n := range Codes() {
		text := message.English().Text(n.Line().ID, "code", "", "symbol", "", "page", "")
		_, text, _ = strings.Cut(text, ": ")
		fmt.Fprintf(&b, "| %s<br>%s | %s | %s |\n", n.Code, n.Symbol, strings.ReplaceAll(text, "|", `\|`), strings.TrimPrefix(n.Page, "learn.microsoft.com: "))
	}
	page, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(page), docsBegin)
	have, after, ok2 := strings.Cut(rest, docsEnd)
	if !ok1 || !ok2 {
		t.Fatal("the page has no place for the table")
	}
	if have == b.String() {
		return
	}
	if !*updateDocs {
		t.Fatal("docs/repair-store.md is not as the table: go test ./internal/store -run TestDocs -update-docs")
	}
	if err := os.WriteFile(docs, []byte(before+docsBegin+b.String()+docsEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
