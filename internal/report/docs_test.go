package report

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the generated documents")

// TestDocs holds that the generated documents are what the code says.
func TestDocs(t *testing.T) {
	for name, write := range map[string]func(io.Writer) error{
		"causes.md":   CausesDoc,
		"remedies.md": RemediesDoc,
		"guide.md":    GuideDoc,
	} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("..", "..", "docs", name)
		if *update {
			if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, b.Bytes()) {
			t.Errorf("docs/%s is stale: run go test ./internal/report -run TestDocs -update", name)
		}
	}
}
