package cause

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"updoc/internal/codes"
	"updoc/internal/facts"
	"updoc/internal/message"
)

var update = flag.Bool("update", false, "learn the vocabulary of the reports anew")

// TestLearnt holds vocabulary.bin to what the reports teach today.
func TestLearnt(t *testing.T) {
	docs, err := wordReports()
	if err != nil {
		t.Fatal(err)
	}
	known := facts.NewRecogniser()
	for i := range docs {
		docs[i].signs = signs(known.Signs(docs[i].text))
	}
	b := newVocabulary(docs).append(nil)
	if *update {
		if err := os.WriteFile("vocabulary.bin", b, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(b) != learnt {
		t.Error("vocabulary.bin is not what the reports teach: go test ./internal/cause -run TestLearnt -update")
	}
	v := readVocabulary(string(b))
	if v == nil || v.reports != float64(len(docs)) || string(v.append(nil)) != string(b) {
		t.Error("a vocabulary that was read is another one")
	}
}

// What is no vocabulary is none, wherever it breaks off.
func FuzzReadVocabulary(f *testing.F) {
	whole := string(newVocabulary([]wordReport{{cause: "a", text: "gateway password"}, {cause: "b", text: "volume full"}}).append(nil))
	for i := range len(whole) + 1 {
		f.Add(whole[:i])
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v := readVocabulary(s); v != nil {
			v.like("gateway password volume full", nil)
		} else if s == whole {
			t.Error("it cannot be read")
		}
	})
}

// wordReport is one text about a cause, with the signs recognised in it.
type wordReport struct {
	cause, text string
	signs       []string
}

// signs names signatures and codes in a way that no word is.
func signs(marks []string, failing []codes.HRESULT) []string {
	out := make([]string, 0, len(marks)+len(failing))
	for _, m := range marks {
		out = append(out, signMark+m)
	}
	for _, h := range failing {
		out = append(out, h.String())
	}
	return out
}

// wordReports reads the reports. "== id" begins the reports of a cause;
// in words/*.txt every line is one, in reports/*.txt the lines "file: text" up to
// the next id are one.
func wordReports() ([]wordReport, error) {
	var out []wordReport
	var names []string
	for _, dir := range []string{"reports", "words"} {
		found, err := filepath.Glob(filepath.Join(dir, "*.txt"))
		if err != nil {
			return nil, err
		}
		names = append(names, found...)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return out, err
		}
		perLine := filepath.Dir(name) == "words"
		id := ""
		for line := range strings.Lines(string(b)) {
			line = strings.TrimSpace(line)
			if next, ok := strings.CutPrefix(line, "== "); ok {
				id = next
				if !perLine {
					out = append(out, wordReport{cause: id})
				}
				continue
			}
			switch {
			case line == "" || line[0] == '#' && id == "":
			case id == "":
				return out, fmt.Errorf("%s: %q stands before the first cause", name, line)
			case perLine:
				out = append(out, wordReport{cause: id, text: line})
			default:
				if file, text, _ := strings.Cut(line, ":"); file != "alt" {
					out[len(out)-1].text += text + "\n"
				}
			}
		}
	}
	texts := message.English()
	for _, c := range Catalogue() {
		for _, part := range []string{".title", ".plain"} {
			out = append(out, wordReport{cause: c.ID, text: texts.Text("cause." + c.ID + part)})
		}
	}
	return out, nil
}

// newVocabulary learns from reports.
func newVocabulary(docs []wordReport) *vocabulary {
	v := &vocabulary{reports: float64(len(docs))}
	held := make([][]string, len(docs)) // the words and signs of each report, each once, sorted
	for d := range docs {
		for word := range eachWord(docs[d].text) {
			held[d] = append(held[d], word)
		}
		held[d] = append(held[d], docs[d].signs...)
		slices.Sort(held[d])
		held[d] = slices.Compact(held[d])
		v.words = append(v.words, held[d]...)
	}
	slices.Sort(v.words)
	v.words = slices.Compact(v.words)
	seenIn := make([]int, len(v.words)) // in how many reports
	parsed := make([][]int, len(docs))
	byCause := map[string]int{}
	for d := range docs {
		if _, ok := byCause[docs[d].cause]; !ok {
			byCause[docs[d].cause] = len(v.causes)
			v.causes = append(v.causes, docs[d].cause)
		}
		for _, word := range held[d] {
			w, _ := v.find(word)
			parsed[d] = append(parsed[d], w)
			seenIn[w]++
		}
	}
	v.idf = make([]float64, len(seenIn))
	for w, n := range seenIn {
		v.idf[w] = math.Log(float64(len(docs)) / float64(n))
	}
	// A cause is the sum of its reports, each of length one, made one long again. One
	// vector serves all causes in turn: a hundred of them would be megabytes.
	of := make([][]int, len(v.causes))
	for d := range docs {
		c := byCause[docs[d].cause]
		of[c] = append(of[c], d)
	}
	v.uses = make([][]use, len(v.idf))
	sum := make([]float64, len(v.idf))
	for c := range v.causes {
		clear(sum)
		for _, d := range of[c] {
			long := v.length(parsed[d])
			for _, w := range parsed[d] {
				sum[w] += v.idf[w] / max(long, math.SmallestNonzeroFloat64)
			}
		}
		square := 0.0
		for _, x := range sum {
			square += x * x
		}
		long := max(math.Sqrt(square), math.SmallestNonzeroFloat64)
		for w, x := range sum {
			if x > 0 {
				v.uses[w] = append(v.uses[w], use{c, x / long})
			}
		}
	}
	return v
}

// append writes a vocabulary as [learnt] says.
func (v *vocabulary) append(b []byte) []byte {
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	number := func(n int) { b = binary.AppendUvarint(b, uint64(n)) }
	all := 0
	for _, list := range v.uses {
		all += len(list)
	}
	number(int(v.reports))
	number(len(v.causes))
	for _, c := range v.causes {
		text(c)
	}
	number(len(v.words))
	number(all)
	for w, word := range v.words {
		text(word)
		number(int(math.Round(v.reports / math.Exp(v.idf[w]))))
		number(len(v.uses[w]))
		for _, u := range v.uses[w] {
			number(u.cause)
			b = binary.BigEndian.AppendUint16(b, uint16(math.Round(u.weight*math.MaxUint16)))
		}
	}
	return b
}
