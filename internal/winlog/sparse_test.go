package winlog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"updoc/internal/codes"
)

// bigServicingLog makes a log of at least n bytes: mostly ordinary lines, some
// that matter, some repeated, some of several lines.
func bigServicingLog(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		at := fmt.Sprintf("2031-02-%02d %02d:%02d:%02d, ", 1+i/86400%28, i/3600%24, i/60%60, i%60)
		switch k := r.IntN(1000); {
		case k < 5:
			fmt.Fprintf(&b, "%sError                 CBS    Failed to resolve package %d [HRESULT = 0x800f0831 - CBS_E_STORE_CORRUPTION]\r\n", at, r.IntN(50))
		case k < 40:
			fmt.Fprintf(&b, "%sInfo                  CSI    %08x [SR] Cannot repair member file [l:10]'file%02d.dll' of Component\r\n", at, i, r.IntN(30))
		case k < 45:
			fmt.Fprintf(&b, "%sInfo                  CBS    Session: 30792633_%d initialized by client DISM.\r\n", at, i)
		case k < 50:
			fmt.Fprintf(&b, "%sInfo                  CBS    Exec: Processing complete.  Session: %d, Package: A [HRESULT = 0x00000000 - S_OK]\r\n", at, i)
		case k < 55:
			fmt.Fprintf(&b, "(p)\tCSI Payload Corrupt\tamd64_%d\r\nTotal Detected Corruption:\t%d\r\n", i, i)
		case k < 300:
			fmt.Fprintf(&b, "%sInfo                  CSI    %08x [SR] Verifying %d components\r\n", at, i, r.IntN(100))
		default:
			fmt.Fprintf(&b, "%sInfo                  CBS    Appl: package %d, applicable state: Installed, x86 Exec %x\r\n", at, i, r.Uint32())
		}
	}
	return b.Bytes()
}

// telltale is what a diagnosis takes from a scan.
type telltale struct {
	codes, repairs, frames map[string]int
	lines                  int
	firstError             int
}

func tell(t *testing.T, src io.Reader, opt Options) telltale {
	t.Helper()
	out := telltale{codes: map[string]int{}, repairs: map[string]int{}, frames: map[string]int{}}
	st, err := Scan(context.Background(), CBS, src, opt, func(r *Record) error {
		switch {
		case r.Code != 0:
			out.codes[r.Code.String()+string(r.Text)] += 1 + r.Repeats
			if out.firstError == 0 {
				out.firstError = r.Line
			}
		case bytes.Contains(r.Text, []byte("Cannot repair")):
			out.repairs[string(r.Text[9:])] += 1 + r.Repeats
		case bytes.Contains(r.Text, []byte("Session: ")), bytes.HasPrefix(r.Text, []byte("(p)")), bytes.HasPrefix(r.Text, []byte("Total ")):
			out.frames[string(r.Text)] += 1 + r.Repeats
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out.lines = st.Lines
	return out
}

// TestSparse holds that a sparse scan finds what a full one finds, with the same
// line numbers and counts, whether the file is mapped or read.
func TestSparse(t *testing.T) {
	log := bigServicingLog(sparseFrom + 3*sparseBlock + 17)
	path := filepath.Join(t.TempDir(), "CBS.log")
	if err := os.WriteFile(path, log, 0o600); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprint(tell(t, bytes.NewReader(log), Options{}))
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, src := range map[string]io.Reader{"mapped": f, "read": bytes.NewReader(log), "stream": io.MultiReader(bytes.NewReader(log))} {
		if have := fmt.Sprint(tell(t, src, Options{Sparse: true, Size: int64(len(log))})); have != want {
			t.Errorf("%s: a sparse scan tells something else than a full one\nhave %.300s\nwant %.300s", name, have, want)
		}
	}
}

// TestSparseLongLine holds that a line longer than all bounds costs no memory and
// hides no line after it.
func TestSparseLongLine(t *testing.T) {
	log := bytes.Repeat([]byte("y"), sparseFrom+5*sparseBlock)
	log = append(log, "\n2031-02-03 04:05:06, Error                 CBS    Failed [HRESULT = 0x800f081f]\n"...)
	log = append(log, bytes.Repeat([]byte("2031-02-03 04:05:06, Info                  CBS    nothing\n"), sparseTail/50)...)
	for name, src := range map[string]io.Reader{"read": bytes.NewReader(log), "stream": io.MultiReader(bytes.NewReader(log))} {
		var found codes.HRESULT
		st, err := Scan(context.Background(), CBS, src, Options{Sparse: true, Size: int64(len(log))}, func(r *Record) error {
			if r.Code != 0 {
				found = r.Code
			}
			if len(r.Text) > MaxLine {
				t.Fatalf("a line of %d bytes", len(r.Text))
			}
			return nil
		})
		if err != nil || found != 0x800F081F {
			t.Errorf("%s: found %v, %v; %+v", name, found, err, st)
		}
	}
}

func BenchmarkSparse(b *testing.B) {
	log := bigServicingLog(64 << 20)
	b.SetBytes(int64(len(log)))
	for b.Loop() {
		_, err := Scan(context.Background(), CBS, bytes.NewReader(log), Options{Sparse: true, Size: int64(len(log))}, func(*Record) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzSparseFind holds that the search for lines that matter stays within its
// block, in order, whatever the bytes.
func FuzzSparseFind(f *testing.F) {
	f.Add(bigServicingLog(4 << 10))
	f.Add([]byte("0x8\n\n(\nTotal \n2031-02-03 04:05:06, E"))
	f.Add([]byte("2031-02-03 04:05:06, Info                  CSI    00000006 [SR] Cannot repair member file\n0x80070002"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 {
			return
		}
		b := &block{buf: data}
		b.find(0, len(data))
		last, lines := 0, bytes.Count(data, []byte("\n"))
		if data[len(data)-1] != '\n' {
			lines++
		}
		if b.lines != lines {
			t.Fatalf("%d lines, want %d", b.lines, lines)
		}
		for _, h := range b.hits {
			if h.from < last || h.to <= h.from || h.to > len(data) || h.line < 1 || h.line > lines {
				t.Fatalf("hit %+v of %d bytes after %d", h, len(data), last)
			}
			last = h.to
		}
	})
}
