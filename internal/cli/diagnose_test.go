package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/facts"
	"updoc/internal/report"
)

// TestSeveralMachinesAgree holds that machines which are diagnosed together share
// their pseudonyms, and that those of another run are others.
func TestSeveralMachinesAgree(t *testing.T) {
	var groups []group
	for _, name := range []string{"a", "b"} {
		dir := filepath.Join(t.TempDir(), name)
		log := strings.Join([]string{
			`2031/02/03 08:00:03.0000000 1204  3320  ProtocolTalker  *FAILED* [80244022] Server URL = http://wsus-bern.fabrikam.example:8530/ClientWebService/client.asmx`,
			`2031/02/03 08:00:09.0000000 1204  3320  Agent           * END * Finding updates CallerId = UpdateOrchestrator, Id = 4, Exit code = 0x80244022`, "",
		}, "\r\n")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "WindowsUpdate.log"), []byte(log), 0o644); err != nil {
			t.Fatal(err)
		}
		groups = append(groups, group{name: dir, paths: []string{dir}})
	}
	servers := func() (list [][]string) {
		docs, err := diagnoseAll(context.Background(), groups, facts.Options{}, report.Options{Redact: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range docs {
			b, err := json.Marshal(d.doc)
			if err != nil || strings.Contains(string(b), "wsus-bern") {
				t.Fatalf("%v: %s", err, b)
			}
			names := regexp.MustCompile(`h-[a-z]{7,}(\.h-[a-z]{7,})*`).FindAllString(string(b), -1)
			slices.Sort(names)
			list = append(list, slices.Compact(names))
		}
		return list
	}
	once, again := servers(), servers()
	if d := cmp.Diff(once[0], once[1]); d != "" || len(once[0]) == 0 {
		t.Errorf("two machines of one run name the same server differently: %v\n%s", once, d)
	}
	if cmp.Equal(once, again) {
		t.Errorf("two runs have the same pseudonyms: %v", once)
	}
}
