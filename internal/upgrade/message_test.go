package upgrade

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"updoc/internal/message"
)

// TestSentences: whatever the course and the checks can say there are words for.
func TestSentences(t *testing.T) {
	english := message.English()
	want := []string{}
	for _, id := range CheckIDs() {
		for _, s := range []State{Pass, Note, Stop, Unknown} {
			if can(id, s) {
				want = append(want, Check{ID: id, State: s}.Line().ID)
			}
		}
	}
	for _, about := range []string{aboutMount, aboutUnpack, aboutScan, aboutBlocks, aboutSetup, aboutRestart, aboutState, aboutUnmount, aboutUpdate} {
		want = append(want, "procedure."+about)
	}
	for _, k := range []BlockKind{BlockProgram, BlockDriver, BlockDevice, BlockMachine} {
		want = append(want, "upgrade.story.block-"+string(k))
	}
	f, err := parser.ParseFile(token.NewFileSet(), "course.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if fn, ok := call.Fun.(*ast.Ident); !ok || fn.Name != "say" {
			return true
		}
		if lit, ok := call.Args[0].(*ast.BasicLit); ok {
			id, _ := strconv.Unquote(lit.Value)
			want = append(want, "upgrade.story."+id)
		}
		return true
	})
	if len(want) < 50 {
		t.Fatalf("only %d sentences found", len(want))
	}
	for _, id := range want {
		if !english.Has(id) || strings.TrimSpace(english.Text(id)) == "" {
			t.Errorf("no sentence for %s", id)
		}
	}
}

// can says which states a check has.
func can(id string, s State) bool {
	switch s {
	case Pass:
		return true
	case Unknown:
		return id != checkMedia
	case Note:
		return id == checkBuild || id == checkRecovery || id == checkBitLocker || id == checkManaged
	}
	return id != checkRecovery && id != checkBitLocker && id != checkManaged
}
