package cab

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "make the cabinets in testdata again")

// testdata/golden.tsv says what is in each cabinet of testdata; the digests are of what was packed, not of what this package read.
//
// The cabinets named gcab-*.cab were made by gcab(1), the others by pack_test.go.
func TestGolden(t *testing.T) {
	if *update {
		makeGolden(t)
	}
	table, err := os.ReadFile("testdata/golden.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	paths, err := filepath.Glob("testdata/*.cab")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		read(t, path, func(f *File, content []byte) {
			got.WriteString(goldenLine(path, f.Name, content, f.Method))
		})
	}
	table = bytes.ReplaceAll(table, []byte("\r\n"), []byte("\n")) // as git may check it out on Windows
	if got.String() != string(table) {
		t.Errorf("got:\n%s\nwant:\n%s", got.String(), table)
	}
}

func goldenLine(path, name string, content []byte, m Method) string {
	return fmt.Sprintf("%s\t%s\t%v\t%d\t%x\n", filepath.Base(path), name, m, len(content), sha256.Sum256(content))
}

// Other programs read the cabinets in testdata, and those given with -cabinets,
// to the same bytes. What they refuse, this package may refuse.
func TestCabinetsAgainstOracles(t *testing.T) {
	paths, err := filepath.Glob(*cabinets)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cabinet matches %q: %v", *cabinets, err)
	}
	for _, o := range oracles {
		t.Run(o.name, func(t *testing.T) {
			for _, path := range paths {
				dir, theirs := o.extract(t, path)
				ours := compare(t, path, dir)
				switch {
				case ours != nil && (theirs == nil || strings.HasPrefix(path, "testdata")):
					t.Errorf("%s: %v", path, ours)
				case theirs != nil:
					t.Logf("%s: %v; here: %v", path, theirs, ours)
				}
			}
		})
	}
}

func makeGolden(t *testing.T) {
	log := []namedData{
		{`CbsPersist_20310203040506.log`, fakeLog(90_000, 60)},
		{`empty.log`, nil},
		{`Panther\setupact.log`, fakeLog(40_000, 61)},
	}
	code := []namedData{{"fabrikam.dll", fakeCode(70_000, 62)}, {"readme.txt", fakeLog(1_000, 63)}}
	mixture := append(noise(20_001, 64), fakeLog(60_000, 65)...)

	cabs := map[string]*cabinet{}
	packed := map[string][]namedData{}
	methods := map[string][]Method{}
	add := func(name string, method uint16, pack func([]byte) []cabBlock, files ...namedData) *cabinet {
		if cabs[name] == nil {
			cabs[name] = new(cabinet)
		}
		cabs[name].add(method, pack, files...)
		packed[name] = append(packed[name], files...)
		for range files {
			methods[name] = append(methods[name], Method(method))
		}
		return cabs[name]
	}
	for _, bits := range []int{15, 17, 21} {
		verbatim := lzxPlan{bits: bits}
		aligned := lzxPlan{bits: bits, e8: 100_000, next: blocksOf(2)}
		name := fmt.Sprintf("lzx%d.cab", bits)
		add(name, verbatim.method(), packLZX(verbatim), log...)
		add(name, aligned.method(), packLZX(aligned), code...)
	}
	all := lzxPlan{bits: 16, e8: 1 << 30, next: blocksOf(3, 1, 2)}
	add("kinds.cab", all.method(), packLZX(all), namedData{"mixture.bin", mixture})
	add("methods.cab", 0, packNone, namedData{"stored.bin", mixture[:40_000]})
	add("methods.cab", 1, packMSZIP, log...)
	add("methods.cab", all.method(), packLZX(all), code[1]).reserve = [3]int{20, 4, 8}

	table := map[string]string{}
	for name, c := range cabs {
		path := filepath.Join("testdata", name)
		if err := os.WriteFile(path, c.bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		for i, f := range packed[name] {
			table[path] += goldenLine(path, strings.ReplaceAll(f.name, `\`, "/"), f.data, methods[name][i])
		}
	}
	for name, flags := range map[string][]string{"gcab-none.cab": nil, "gcab-mszip.cab": {"-z"}} {
		path := filepath.Join("testdata", name)
		files := []namedData{{"a.log", fakeLog(80_000, 66)}, {"b.bin", fakeCode(3_000, 67)}}
		gcab(t, path, flags, files)
		for _, f := range files {
			m := Method(len(flags))
			table[path] += goldenLine(path, f.name, f.data, m)
		}
	}
	var b strings.Builder
	paths, _ := filepath.Glob("testdata/*.cab")
	for _, path := range paths {
		b.WriteString(table[path])
	}
	if err := os.WriteFile("testdata/golden.tsv", []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// gcab makes a cabinet with gcab(1), the work of others.
func gcab(t *testing.T, cabinet string, flags []string, files []namedData) {
	t.Helper()
	program, err := exec.LookPath("gcab")
	if err != nil {
		t.Skip("gcab is not installed: no cabinet is made with it")
	}
	dir := t.TempDir()
	args := append(append([]string{"-c", "-n"}, flags...), cabinet)
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path, f.data, 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("gcab: %v\n%s", err, out)
	}
}

// What gcab packs, comes out; larger than what testdata has room for.
func TestGcab(t *testing.T) {
	for _, flags := range [][]string{nil, {"-z"}} {
		t.Run(fmt.Sprint(flags), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "gcab.cab")
			files := []namedData{{"0", fakeLog(700_001, 70)}, {"1", noise(100_000, 71)}, {"2", fakeCode(65_536, 72)}, {"3", []byte("x")}}
			gcab(t, path, flags, files)
			i := 0
			read(t, path, func(f *File, content []byte) {
				if f.Name != files[i].name || !bytes.Equal(content, files[i].data) {
					t.Errorf("%s differs", f.Name)
				}
				i++
			})
			if i != len(files) {
				t.Errorf("%d files", i)
			}
		})
	}
}
