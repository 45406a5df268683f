package winlog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A machine that loses power leaves zeros in the logs that were being written. What
// stands behind them is read, they are counted, and no line is unread by them.
func TestHole(t *testing.T) {
	head := "2031-02-03 04:05:06, Info                  CBS    Session: 30792633_1 initialized by client DISM.\r\n"
	torn := "2031-02-03 04:05:07, Info                  CBS    Exec: Proc"
	next := "2031-02-03 05:00:00, Error                 CBS    Failed [HRESULT = 0x800f0831 - CBS_E_STORE_CORRUPTION]\r\n"
	for _, n := range []int{holeLeast, 4096, MaxLine, MaxLine + 1, 5 * MaxLine} {
		for _, before := range []string{"", head, head + torn} {
			t.Run(fmt.Sprint(n, "/", len(before)), func(t *testing.T) {
				log := before + string(make([]byte, n)) + next + head
				var texts []string
				st, err := Scan(context.Background(), CBS, bytes.NewReader([]byte(log)), Options{}, func(r *Record) error {
					texts = append(texts, fmt.Sprintf("%d %s %s", r.Line, r.Code, r.Text))
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				want := []string{}
				if before != "" {
					want = append(want, "1 0x00000000 Session: 30792633_1 initialized by client DISM.")
				}
				if before == head+torn {
					want = append(want, "2 0x00000000 Exec: Proc")
				}
				want = append(want, fmt.Sprintf("%d 0x800F0831 Failed [HRESULT = 0x800f0831 - CBS_E_STORE_CORRUPTION]", len(want)+1))
				want = append(want, fmt.Sprintf("%d 0x00000000 Session: 30792633_1 initialized by client DISM.", len(want)+1))
				if diff := cmp.Diff(want, texts); diff != "" {
					t.Error(diff)
				}
				if st.Lost != int64(n) || st.Unread != 0 || st.Cut != 0 || st.Bytes != int64(len(log)) {
					t.Errorf("%+v", st)
				}
			})
		}
	}
}

// The bytes of a text that lost its encoding, or of a padded field, are no hole.
func TestNoHole(t *testing.T) {
	log := "a\x00b\x00c\x00d\x00\nname\x00\x00\x00\x00\x00\x00\x00\x00 x\n"
	n := 0
	st, err := Scan(context.Background(), Note, bytes.NewReader([]byte(log)), Options{}, func(*Record) error { n++; return nil })
	if err != nil || st.Lost != 0 || n != 2 {
		t.Errorf("%d records, %+v, %v", n, st, err)
	}
}

// TestSparseHole holds that a sparse scan finds behind holes, wherever they lie, what a
// full one finds.
func TestSparseHole(t *testing.T) {
	log := bigServicingLog(sparseFrom + 3*sparseBlock)
	for _, h := range []struct{ at, n int }{
		{1000, 4096},                              // within a line
		{sparseBlock - 3000, 6000},                // over the end of a block
		{2*sparseBlock - 16, 16},                  // up to it
		{2*sparseBlock + 5000, sparseBlock + 333}, // longer than one
		{4*sparseBlock - 5, 2 * MaxLine},          // longer than a line may be
	} {
		clear(log[h.at:][:h.n])
		for i := h.at + h.n; log[i] != '\n'; i++ { // and the next line begins right behind it
			log[i] = 0
			if log[i+1] == '\n' {
				log[i+1] = 0
				break
			}
		}
	}
	path := filepath.Join(t.TempDir(), "CBS.log")
	if err := os.WriteFile(path, log, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	scan := func(src io.Reader, opt Options) (telltale, Stats) {
		var lost Stats
		st, err := Scan(context.Background(), CBS, src, opt, func(*Record) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		lost.Lost, lost.Lines, lost.Unread = st.Lost, st.Lines, st.Unread
		if s, ok := src.(io.Seeker); ok {
			if _, err := s.Seek(0, io.SeekStart); err != nil {
				t.Fatal(err)
			}
		}
		return tell(t, src, opt), lost
	}
	sparse := Options{Sparse: true, Size: int64(len(log))}
	want, full := scan(bytes.NewReader(log), Options{})
	if full.Lost == 0 {
		t.Fatal("no hole was made")
	}
	for name, src := range map[string]io.Reader{"file": file, "read": bytes.NewReader(log), "stream": struct{ io.ReadSeeker }{bytes.NewReader(log)}} {
		got, st := scan(src, sparse)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(telltale{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if st.Lost != full.Lost || st.Lines != full.Lines {
			t.Errorf("%s: %+v, the full scan %+v", name, st, full)
		}
	}
}
