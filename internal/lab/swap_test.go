package lab_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/tools/txtar"

	"updoc/internal/cause"
	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/host"
)

// A code says what failed, not why. testdata/swaps holds one archive a code, and
// in it, one folder a cause: what a machine leaves behind that has this code for
// this reason. The code itself stands in none of them, so that each half can be
// taken away.

// swapFloor is the share of a code under which the order of its causes is not
// held: a share of two in a hundred is a guess, and the guesses at what the
// table does not know are as large.
const swapFloor = 0.03

type swap struct {
	code   codes.Match
	causes []string // in the order of the archive
	files  map[string]fstest.MapFS
}

func loadSwap(t *testing.T, name string) swap {
	t.Helper()
	ar, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSuffix(path.Base(name), ".txtar")
	found := codes.Find(text)
	if len(found) != 1 || !found[0].Code.HRESULT.Failed() {
		t.Fatalf("%s is not named after one failing code", name)
	}
	s := swap{code: found[0], files: map[string]fstest.MapFS{}}
	for _, f := range ar.Files {
		id, file, ok := strings.Cut(f.Name, "/")
		if !ok {
			t.Fatalf("%s: %s: want cause/file", name, f.Name)
		}
		if strings.Contains(strings.ToLower(string(f.Data)), strings.ToLower(s.code.Code.HRESULT.String()[2:])) {
			t.Fatalf("%s: %s holds the code, which must be given apart", name, f.Name)
		}
		if s.files[id] == nil {
			s.causes = append(s.causes, id)
			s.files[id] = fstest.MapFS{}
		}
		s.files[id][file] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(string(f.Data), "\n", "\r\n"))}
	}
	return s
}

func diagnoseFS(t *testing.T, fsys fstest.MapFS) cause.Diagnosis {
	t.Helper()
	h, err := host.OpenFS(context.Background(), fsys)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	return cause.Diagnose(facts.Collect(context.Background(), h, facts.Options{}))
}

func order(d cause.Diagnosis) []string {
	var out []string
	for _, x := range d.Findings {
		out = append(out, x.ID)
	}
	return out
}

// top prints the head of a ranking.
func top(d cause.Diagnosis) string {
	var b strings.Builder
	for _, x := range d.Findings[:4] {
		fmt.Fprintf(&b, "%s %.2f  ", x.ID, x.Probability)
		for _, e := range x.Evidence {
			fmt.Fprintf(&b, "[%v %v %.60q] ", e.For, e.Weight, e.Seen)
		}
	}
	return b.String()
}

// TestSwaps: under one code the evidence decides; without evidence the table
// does; without the code the evidence still does.
func TestSwaps(t *testing.T) {
	names, err := fs.Glob(os.DirFS("."), "testdata/swaps/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 20 {
		t.Errorf("%d codes, want 20", len(names))
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(path.Base(name), ".txtar"), func(t *testing.T) {
			s := loadSwap(t, name)
			if len(s.causes) < 2 {
				t.Errorf("evidence of %d causes, want two", len(s.causes))
			}
			h, extend := s.code.Code.HRESULT, s.code.Code.Extend
			text := strings.TrimSuffix(path.Base(name), ".txtar")
			code := fstest.MapFS{"notes.txt": {Data: []byte("Windows Update stops with error " + text + ".\r\n")}}

			alone := diagnoseFS(t, code)
			checkPrior(t, h, extend, alone)

			for _, id := range s.causes {
				if !slices.ContainsFunc(cause.Usual(h, extend), func(u cause.Share) bool { return u.Cause == id }) {
					t.Errorf("%s is not among the causes of the code", id)
				}
				both := maps.Clone(code)
				maps.Copy(both, s.files[id])
				if d := diagnoseFS(t, both); d.Findings[0].ID != id {
					t.Errorf("with evidence of %s: %s", id, top(d))
				}
				if d := diagnoseFS(t, s.files[id]); d.Findings[0].ID != id {
					t.Errorf("evidence of %s without the code: %s", id, top(d))
				}
				if d := diagnoseFS(t, code); !slices.Equal(order(d), order(alone)) {
					t.Errorf("with the evidence taken away: %s, before: %s", top(d), top(alone))
				}
			}
		})
	}
}

// checkPrior: with nothing but the code, the causes stand in the order of the
// table, and what would tell the first ones apart is named.
func checkPrior(t *testing.T, h codes.HRESULT, extend uint32, d cause.Diagnosis) {
	t.Helper()
	usual := cause.Usual(h, extend)
	if len(usual) == 0 {
		t.Fatal("the table does not know the code")
	}
	share := map[string]float64{}
	for _, u := range usual {
		share[u.Cause] = u.Weight
	}
	last := 1.0
	for i, x := range d.Findings {
		w := share[x.ID]
		if w < swapFloor {
			if i < 2 && len(usual) > i && usual[i].Weight >= swapFloor {
				t.Errorf("%s, with a share of %.2f, is number %d: %s", x.ID, w, i+1, top(d))
			}
			continue
		}
		if w > last {
			t.Errorf("%s, with a share of %.2f, stands after one of %.2f: %s", x.ID, w, last, top(d))
		}
		last = w
	}
	if len(d.Findings[0].Missing) == 0 {
		t.Errorf("nothing is named that would settle %s", d.Findings[0].ID)
	}
	if d.Outcome != cause.Problems {
		t.Errorf("outcome %s, want problems", d.Outcome)
	}
}
