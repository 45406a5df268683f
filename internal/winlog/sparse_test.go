package winlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/codes"
)

// bigServicingLog makes a log of at least n bytes: mostly ordinary lines, some
// that matter, some repeated, some of several lines, and runs of sfc, which finds and
// repairs files.
func bigServicingLog(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	clock := 0
	for i := 0; b.Len() < n; i++ {
		if clock++; r.IntN(20000) == 0 {
			clock += 3600
		}
		at := fmt.Sprintf("2031-%02d-%02d %02d:%02d:%02d, ", 1+clock/86400/28%12, 1+clock/86400%28, clock/3600%24, clock/60%60, clock%60)
		sfc := func(format string, args ...any) {
			fmt.Fprintf(&b, "%sInfo                  CSI    %08x [SR] %s\r\n", at, i, fmt.Sprintf(format, args...))
		}
		file := r.IntN(300)
		switch k := r.IntN(1000); {
		case k < 5:
			fmt.Fprintf(&b, "%sError                 CBS    Failed to resolve package %d [HRESULT = 0x800f0831 - CBS_E_STORE_CORRUPTION]\r\n", at, r.IntN(50))
		case k < 30:
			sfc("Cannot repair member file [l:10]'file%d.dll' of Component%d, version 10.0.1.%d, arch amd64, hash mismatch", file, file%7, file%3)
		case k < 40:
			sfc("This component was referenced by [l:99]'Package_%d_for_KB5012345~31bf3856ad364e35~amd64~~10.0.1.2.'", r.IntN(9))
		case k < 45:
			fmt.Fprintf(&b, "%sInfo                  CBS    Session: 30792633_%d initialized by client DISM.\r\n", at, i)
		case k < 50:
			fmt.Fprintf(&b, "%sInfo                  CBS    Exec: Processing complete.  Session: %d, Package: A [HRESULT = 0x00000000 - S_OK]\r\n", at, i)
		case k < 55:
			fmt.Fprintf(&b, "%sInfo                  CBS    Operation: Detect and Repair\r\n(p)\tCSI Payload Corrupt\tamd64_%d\r\nTotal Detected Corruption:\t%d\r\n", at, i, i)
		case k < 60:
			sfc(`Could not reproject corrupted file \??\C:\Windows\System32\\[l:10]'file%d.dll'; source file in store is also corrupted`, file)
		case k < 63:
			sfc(`Repaired file \??\C:\Windows\WinSxS\amd64_component%d_31bf3856ad364e35_10.0.1.%d_none_0123456789abcdef\[l:10]'file%d.dll' by copying from backup`, file%7, file%3, file)
		case k < 300:
			sfc("Verifying %d components", r.IntN(100))
		case r.IntN(4000) == 0:
			sfc("Repairing %d components", r.IntN(100))
		case r.IntN(4000) == 0:
			sfc("Verify and Repair Transaction completed. All files and registry keys listed in this transaction have been successfully repaired")
		default:
			fmt.Fprintf(&b, "%sInfo                  CBS    Appl: package %d, applicable state: Installed, x86 Exec %x\r\n", at, i, r.Uint32())
		}
	}
	return b.Bytes()
}

// telltale is what a diagnosis takes from a scan.
type telltale struct {
	Codes      map[string]int       // how often each failing line was said
	Last       map[string]time.Time // and when the last time
	Frames     map[string]int
	Repairs    string // what sfc reports: a hash of the records in their order
	Store      StoreLog
	Lines      int
	FirstError int
}

func tell(t *testing.T, src io.Reader, opt Options) telltale {
	t.Helper()
	out := telltale{Codes: map[string]int{}, Last: map[string]time.Time{}, Frames: map[string]int{}}
	var store StoreReader
	repairs := sha256.New()
	st, err := Scan(context.Background(), CBS, src, opt, func(r *Record) error {
		store.Record(r)
		switch text := string(r.Text); {
		case r.Code != 0:
			out.Codes[text] += 1 + r.Repeats
			for _, at := range []time.Time{r.Time, r.Until} {
				if at.After(out.Last[text]) {
					out.Last[text] = at
				}
			}
			if out.FirstError == 0 {
				out.FirstError = r.Line
			}
		case strings.Contains(text, "[SR] Verifying"):
		case strings.Contains(text, "[SR] "):
			fmt.Fprintln(repairs, r.Line, r.Time, r.Level, string(r.Component), text, r.Repeats, r.Continued, r.Loose)
		case strings.Contains(text, "Session: "), strings.HasPrefix(text, "(p)"), strings.HasPrefix(text, "Total "):
			out.Frames[text] += 1 + r.Repeats
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	out.Store, out.Lines, out.Repairs = store.Log(), st.Lines, fmt.Sprintf("%x", repairs.Sum(nil))
	return out
}

// TestSparse holds that a sparse scan finds what a full one finds, with the same line
// numbers, counts and times, whether the file is read at random or as a stream.
func TestSparse(t *testing.T) {
	log := bigServicingLog(sparseFrom + sparseBlock + 17)
	want := tell(t, bytes.NewReader(log), Options{})
	if n := len(want.Store.Checks); n < 10 {
		t.Fatalf("the log has %d runs of sfc", n)
	}
	for name, src := range map[string]io.Reader{"read": bytes.NewReader(log), "stream": io.MultiReader(bytes.NewReader(log))} {
		if diff := cmp.Diff(want, tell(t, src, Options{Sparse: true, Size: int64(len(log))})); diff != "" {
			t.Errorf("%s: a sparse scan tells something else than a full one: %.3000s", name, diff)
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

// FuzzSparseFind holds that blocks of any size take every line of a file once, and
// that what they find stands in their text, whatever the bytes.
func FuzzSparseFind(f *testing.F) {
	f.Add(bigServicingLog(4<<10), uint16(300))
	f.Add([]byte("0x8\n\n(\nTotal \n2031-02-03 04:05:06, E"), uint16(1))
	f.Add([]byte("2031-02-03 04:05:06, Info                  CSI    00000006 [SR] Cannot repair member file\n0x80070002"), uint16(1<<15))
	f.Fuzz(func(t *testing.T, data []byte, size uint16) {
		lines, long := bytes.Count(data, []byte("\n")), slices.ContainsFunc(bytes.SplitAfter(data, []byte("\n")), func(l []byte) bool { return len(l) > MaxLine })
		if len(data) > 0 && data[len(data)-1] != '\n' {
			lines++
		}
		var b block
		var w window
		total, end := int64(0), int64(len(data))
		for from := int64(0); from < end; {
			to := min(from+64+int64(size), end)
			w.open(bytes.NewReader(data), from, end)
			b.fill(&w, to, newParser(CBS))
			total += b.bytes
			lines -= b.lines
			for _, h := range b.hits {
				if h.from < 0 || h.to <= h.from || int(h.to) > len(b.text) || h.line < 1 || int(h.line) > b.lines || h.repeats < 0 {
					t.Fatalf("hit %+v of %d lines, %d bytes", h, b.lines, len(b.text))
				}
			}
			from = to
		}
		if lines != 0 || total != end && !long {
			t.Fatalf("%d lines and %d bytes were not taken once", lines, end-total)
		}
	})
}
