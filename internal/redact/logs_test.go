package redact

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Logs of real machines, in which the names have been replaced already, come out as they are but for a line here and
// there: a SID, a computer name, a signed address.
func TestRealLogs(t *testing.T) {
	files, err := filepath.Glob("../../../shared/logs/*.log")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("the reference logs are not beside the project")
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			in, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			r := &Redactor{}
			out := r.Bytes(in)
			before, after := bytes.Split(in, []byte("\n")), bytes.Split(out, []byte("\n"))
			if len(before) != len(after) {
				t.Fatalf("%d lines became %d", len(before), len(after))
			}
			changed := 0
			for i := range before {
				if !bytes.Equal(before[i], after[i]) {
					changed++
				}
			}
			if changed > 5+len(before)/50 {
				t.Errorf("%d of %d lines changed", changed, len(before))
			}
			if again := r.Bytes(out); !bytes.Equal(again, out) {
				t.Error("redacting twice changed something")
			}
			t.Logf("%d of %d lines changed: %v", changed, len(before), r.Report())
		})
	}
}
