package winlog

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// real_lines.tsv is the judgement of a person on what this package makes of 500
// lines of real logs: the lines were drawn at random, each was read beside its
// record, and found right or wrong in all of time, level, component, process and
// thread, id, code, text and whether it continues another. The file holds none
// of their text: name, line number, a hash of the line, a hash of the record,
// and the verdict.
const (
	realLines  = "testdata/real_lines.tsv"
	realSample = 500 // lines in all
	realEach   = 10  // of them from each log, or as many as it has
)

var updateReal = flag.Bool("update-real", false, "draw the lines of real_lines.tsv again; verdicts stay where nothing changed")

// realLine is one row of the file.
type realLine struct {
	file    string
	line    int
	source  string // hash of the line
	record  string // hash of its record
	verdict string // right, wrong; unjudged fails the test
}

func (r realLine) key() string { return r.file + ":" + strconv.Itoa(r.line) }

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return fmt.Sprintf("%x", sum[:6])
}

func (e entry) hash() string { return hashOf(fmt.Sprintf("%#v", e)) }

// realRecords scans a log and returns its lines and the record of each: the one
// that begins on it, or the last before it, of which it is a further line.
func realRecords(t *testing.T, name string) (lines []string, records []entry) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for l := range bytes.Lines(data) {
		lines = append(lines, string(trimEOL(l)))
	}
	records = make([]entry, len(lines)+1)
	scanFile(t, name, func(r *Record) error {
		records[r.Line] = keep(r)
		return nil
	})
	for i := 1; i <= len(lines); i++ {
		if records[i].Line == 0 {
			records[i] = records[i-1]
		}
	}
	return lines, records
}

// drawReal draws the sample.
func drawReal(t *testing.T, names []string) []realLine {
	t.Helper()
	rng := rand.New(rand.NewPCG(20310203, 40506))
	var sample, pool []realLine
	for _, name := range names {
		lines, records := realRecords(t, name)
		var own []realLine
		for i, l := range lines {
			if strings.TrimSpace(l) != "" {
				own = append(own, realLine{filepath.Base(name), i + 1, hashOf(l), records[i+1].hash(), "unjudged"})
			}
		}
		rng.Shuffle(len(own), func(i, j int) { own[i], own[j] = own[j], own[i] })
		n := min(realEach, len(own))
		sample, pool = append(sample, own[:n]...), append(pool, own[n:]...)
	}
	rng.Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
	sample = append(sample, pool[:realSample-len(sample)]...)
	slices.SortFunc(sample, func(a, b realLine) int {
		if a.file != b.file {
			return strings.Compare(a.file, b.file)
		}
		return a.line - b.line
	})
	return sample
}

func readReal(t *testing.T) []realLine {
	t.Helper()
	f, err := os.Open(realLines)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && *updateReal {
			return nil
		}
		t.Fatal(err)
	}
	defer f.Close()
	var out []realLine
	for sc := bufio.NewScanner(f); sc.Scan(); {
		col := strings.Split(sc.Text(), "\t")
		if len(col) != 5 || col[0] == "file" {
			continue
		}
		line, err := strconv.Atoi(col[1])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, realLine{col[0], line, col[2], col[3], col[4]})
	}
	return out
}

func writeReal(t *testing.T, rows []realLine) {
	t.Helper()
	var b strings.Builder
	b.WriteString("file\tline\tline_sha256\trecord_sha256\tverdict\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "%s\t%d\t%s\t%s\t%s\n", r.file, r.line, r.source, r.record, r.verdict)
	}
	if err := os.MkdirAll(filepath.Dir(realLines), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(realLines, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The judgement itself, which needs no logs: complete, and right in at least 99
// of 100 lines.
func TestRealLinesJudged(t *testing.T) {
	if *updateReal {
		t.Skip("the sample is being drawn")
	}
	rows := readReal(t)
	count := map[string]int{}
	for _, r := range rows {
		count[r.verdict]++
	}
	if len(rows) != realSample || count["right"]+count["wrong"] != len(rows) || count["right"]*100 < len(rows)*99 {
		t.Errorf("%d rows: %v", len(rows), count)
	}
	t.Logf("%d of %d lines are read right", count["right"], len(rows))
}

// What was judged right stays as it is.
func TestRealLogsSample(t *testing.T) {
	names := realLogs(t)
	rows := readReal(t)
	if *updateReal {
		old := make(map[string]realLine, len(rows))
		for _, r := range rows {
			old[r.key()] = r
		}
		rows = drawReal(t, names)
		for i, r := range rows {
			if o := old[r.key()]; o.source == r.source && o.record == r.record {
				rows[i].verdict = o.verdict
			}
		}
		writeReal(t, rows)
		return
	}
	byFile := map[string][]realLine{}
	for _, r := range rows {
		byFile[r.file] = append(byFile[r.file], r)
	}
	for _, name := range names {
		lines, records := realRecords(t, name)
		for _, r := range byFile[filepath.Base(name)] {
			switch {
			case r.line > len(lines) || hashOf(lines[r.line-1]) != r.source:
				t.Errorf("%s is another line than the one that was judged", r.key())
			case records[r.line].hash() != r.record && r.verdict == "right":
				t.Errorf("%s was right and has changed: %+v", r.key(), records[r.line])
			case records[r.line].hash() != r.record:
				t.Logf("%s was wrong and has changed: judge it again", r.key())
			}
		}
		delete(byFile, filepath.Base(name))
	}
	for file, rows := range byFile {
		t.Logf("%s is absent: %d lines not looked at", file, len(rows))
	}
}
