package repair

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"updoc/internal/message"
)

func TestCatalogue(t *testing.T) {
	if err := catalogue().err; err != nil {
		t.Fatal(err)
	}
	words := message.English()
	risks := []Risk{RiskNone, RiskReversible, RiskRestart, RiskPermanent, RiskOutside}
	seen := map[string]bool{}
	for _, r := range Catalogue() {
		if seen[r.ID] {
			t.Errorf("%s stands twice", r.ID)
		}
		seen[r.ID] = true
		if got, ok := Lookup(r.ID); !ok || got.ID != r.ID {
			t.Errorf("Lookup(%s) = %+v, %v", r.ID, got, ok)
		}
		if !slices.Contains(risks, r.Risk) {
			t.Errorf("%s: risk %q", r.ID, r.Risk)
		}
		if !slices.Contains([]string{Automatic, Guided, Advice}, r.How) {
			t.Errorf("%s: carried out %q", r.ID, r.How)
		}
		if !slices.Contains([]string{"no", "maybe", "yes"}, r.Restart) {
			t.Errorf("%s: restart %q", r.ID, r.Restart)
		}
		if r.Minutes < 1 || r.Minutes > 24*60 {
			t.Errorf("%s takes %d minutes", r.ID, r.Minutes)
		}
		if r.Risk == RiskRestart && r.Restart == "no" {
			t.Errorf("%s has the risk of a restart and needs none", r.ID)
		}
		if r.Risk == RiskNone && r.Restart == "yes" {
			t.Errorf("%s only looks and restarts the machine", r.ID)
		}
		for _, part := range []string{".title", ".how"} {
			if !words.Has("remedy." + r.ID + part) {
				t.Errorf("there is no text remedy.%s%s", r.ID, part)
			}
		}
		if title := words.Text("remedy." + r.ID + ".title"); len([]rune(title)) > 70 || strings.ContainsAny(title, "{}<>\t\n") {
			t.Errorf("the title of %s is long or not plain: %s", r.ID, title)
		}
	}
	for _, key := range words.Keys() {
		if id, ok := strings.CutPrefix(key, "remedy."); ok {
			id, part, _ := strings.Cut(id, ".")
			if !seen[id] || part != "title" && part != "how" {
				t.Errorf("the text %s belongs to no remedy", key)
			}
		}
	}
	if r, ok := Lookup("no-such-remedy"); ok {
		t.Errorf("Lookup of nothing gives %+v", r)
	}
}

// TestVocabulary compares the catalogue with the project's own list, where that
// is to be had.
func TestVocabulary(t *testing.T) {
	b, err := os.ReadFile(filepath.FromSlash("../../../shared/facts/remedies-vocabulary.tsv"))
	if err != nil {
		t.Skip("../shared/facts/remedies-vocabulary.tsv is not here: the catalogue is not compared with it")
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		cols := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if len(cols) < 6 || cols[0] == "id" {
			continue
		}
		n++
		r, ok := Lookup(cols[0])
		if !ok {
			t.Errorf("remedy %s is not in the catalogue", cols[0])
			continue
		}
		if string(r.Risk) != cols[2] || r.How != cols[3] || r.Restart != cols[5] {
			t.Errorf("remedy %s is %s, %s, restart %s; the list says %s, %s, %s", r.ID, r.Risk, r.How, r.Restart, cols[2], cols[3], cols[5])
		}
	}
	const added = 1 // use-relay: ids may be added
	if n+added != len(Catalogue()) {
		t.Errorf("%d remedies, the list has %d and %d were added", len(Catalogue()), n, added)
	}
}
