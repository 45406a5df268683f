package winlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/charmap"

	"updoc/internal/codes"
)

// entry is a record in a form that can be kept and compared.
type entry struct {
	Line      int
	Time      string // RFC 3339; "" if absent
	Level     Level
	PID, TID  uint32
	Component string
	Text      string
	Code      codes.HRESULT
	ID        uint32
	Fields    string // "name=value; name=value"
	Continued bool
	Loose     bool
}

func keep(r *Record) entry {
	e := entry{
		Line: r.Line, Level: r.Level, PID: r.PID, TID: r.TID,
		Component: string(r.Component), Text: string(r.Text),
		Code: r.Code, ID: r.ID, Continued: r.Continued, Loose: r.Loose,
	}
	if !r.Time.IsZero() {
		e.Time = r.Time.Format(time.RFC3339Nano)
	}
	for i, f := range r.Fields {
		if i > 0 {
			e.Fields += "; "
		}
		e.Fields += f.Name + "=" + f.Value
	}
	return e
}

// readLog scans text and keeps its records.
func readLog(t testing.TB, kind Kind, text string) ([]entry, Stats) {
	t.Helper()
	var out []entry
	st, err := Scan(t.Context(), kind, strings.NewReader(text), Options{}, func(r *Record) error {
		out = append(out, keep(r))
		return nil
	})
	if err != nil {
		t.Fatalf("scan of %s: %v", kind, err)
	}
	return out, st
}

// lineCase is a single line and what it must become.
type lineCase struct {
	name string
	line string
	want entry // Line is 1 unless set
}

func runLines(t *testing.T, kind Kind, cases []lineCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, st := readLog(t, kind, c.line+"\r\n")
			if c.want.Line == 0 {
				c.want.Line = 1
			}
			if diff := cmp.Diff([]entry{c.want}, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", c.line, diff)
			}
			if unread := st.Unread == 1; unread != c.want.Loose {
				t.Errorf("Unread = %d, Loose = %v", st.Unread, c.want.Loose)
			}
		})
	}
}

// checkScan holds what is true of every scan of whatever bytes.
func checkScan(t *testing.T, kind Kind, data []byte) {
	t.Helper()
	var records, loose, last int
	st, err := Scan(t.Context(), kind, bytes.NewReader(data), Options{}, func(r *Record) error {
		switch {
		case r.Loose:
			loose++
		case !r.Continued:
			records++
		}
		if r.Line < 1 || r.Line < last {
			t.Errorf("line %d after line %d", r.Line, last)
		}
		last = r.Line
		if r.Loose && len(bytes.TrimSpace(r.Text)) == 0 {
			t.Errorf("line %d: loose record without text", r.Line)
		}
		if !utf8.Valid(r.Text) || !utf8.Valid(r.Component) {
			t.Errorf("line %d: not UTF-8: %q %q", r.Line, r.Component, r.Text)
		}
		if r.Code != 0 && !r.Code.Failed() {
			t.Errorf("line %d: code %v is no failure", r.Line, r.Code)
		}
		if !r.Time.IsZero() && (r.Time.Year() < 0 || r.Time.Year() > 10000) {
			t.Errorf("line %d: year %d", r.Line, r.Time.Year())
		}
		return nil
	})
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	if st.Records != records || st.Unread != loose {
		t.Errorf("delivered %d records and %d loose lines, counted %d and %d", records, loose, st.Records, st.Unread)
	}
	if last > st.Lines {
		t.Errorf("record on line %d of %d", last, st.Lines)
	}
	stop := errors.New("stop")
	calls := 0
	_, err = Scan(t.Context(), kind, bytes.NewReader(data), Options{}, func(*Record) error { calls++; return stop })
	if calls > 1 || calls == 1 && !errors.Is(err, stop) {
		t.Errorf("after the callback's error: %d calls, error %v", calls, err)
	}
}

func utf16Bytes(s string, big bool) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		if big {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return string(b)
}

// Three records in which a name needs more than ASCII.
const encoded = "2031/02/03 04:05:06.1234567 1200  1300  Agent           Größe: 5 €\r\n" +
	"2031/02/03 04:05:07.0000000 1200  1301  Handler         *FAILED* [80070005] Zugriff verweigert: C:\\Büro\r\n" +
	"2031/02/03 04:05:08.0000000 1200  1302  Misc            fertig\r\n"

func TestEncodings(t *testing.T) {
	want, _ := readLog(t, WindowsUpdate, encoded)
	if len(want) != 3 || want[1].Code != 0x80070005 || want[1].Text != `*FAILED* [80070005] Zugriff verweigert: C:\Büro` {
		t.Fatalf("plain UTF-8: %+v", want)
	}
	windows1252 := strings.NewReplacer("ö", "\xF6", "ß", "\xDF", "€", "\x80", "ü", "\xFC").Replace(encoded)
	mixed := strings.Replace(encoded, "Büro", "B\xFCro", 1) // one line in the code page, the others UTF-8
	half := len(encoded) / 2
	half += strings.Index(encoded[half:], "\n") + 1
	for _, c := range []struct{ name, text string }{
		{"UTF-8 with mark", "\uFEFF" + encoded},
		{"UTF-16LE with mark", "\xFF\xFE" + utf16Bytes(encoded, false)},
		{"UTF-16BE with mark", "\xFE\xFF" + utf16Bytes(encoded, true)},
		{"UTF-16LE without mark", utf16Bytes(encoded, false)},
		{"UTF-16BE without mark", utf16Bytes(encoded, true)},
		{"Windows-1252", windows1252},
		{"UTF-8 and Windows-1252", mixed},
		{"LF", strings.ReplaceAll(encoded, "\r\n", "\n")},
		{"CR CR LF", strings.ReplaceAll(encoded, "\r\n", "\r\r\n")},
		{"no end of the last line", strings.TrimSuffix(encoded, "\r\n")},
		{"NULs at the end", encoded + strings.Repeat("\x00", 500)},
		{"NULs before a line", strings.Replace(encoded, "2031/02/03 04:05:07", strings.Repeat("\x00", 500)+"2031/02/03 04:05:07", 1)},
		{"two files in one, a mark between", encoded[:half] + "\uFEFF" + encoded[half:]},
		{"two UTF-16 files in one", "\xFF\xFE" + utf16Bytes(encoded[:half], false) + "\xFF\xFE" + utf16Bytes(encoded[half:], false)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, st := readLog(t, WindowsUpdate, c.text)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if st.Unread != 0 || st.Records != 3 {
				t.Errorf("Stats = %+v", st)
			}
		})
	}
}

func TestEmptyAndBlank(t *testing.T) {
	for _, kind := range []Kind{WindowsUpdate, CBS, SetupAPI, SetupDiag, Reporting, CMTrace, EventText, Output} {
		for _, text := range []string{"", "\r\n", "  \n\t\n\n", "\xFF\xFE", "\uFEFF", "\x00\x00\x00"} {
			if got, st := readLog(t, kind, text); len(got) != 0 || st.Unread != 0 {
				t.Errorf("%s of %q: %v, %+v", kind, text, got, st)
			}
		}
	}
}

func TestLongLine(t *testing.T) {
	const head = "2031/02/03 04:05:06.1234567 1200  1300  WebServices     "
	text := head + strings.Repeat("ü", 1<<19) + "\r\n" + head + "next\r\n"
	got, st := readLog(t, WindowsUpdate, text)
	if len(got) != 2 || st.Cut != 1 || st.Lines != 2 || st.Records != 2 {
		t.Fatalf("%d records, %+v", len(got), st)
	}
	if n := len(got[0].Text); n < MaxLine-len(head)-utf8.UTFMax || n > MaxLine || strings.Trim(got[0].Text, "ü") != "" {
		t.Errorf("the long line's text has %d bytes and ends in %q", n, got[0].Text[n-8:])
	}
	if got[1].Line != 2 || got[1].Text != "next" {
		t.Errorf("behind the long line: %+v", got[1])
	}
	if st.Bytes != int64(len(text)) {
		t.Errorf("Bytes = %d of %d", st.Bytes, len(text))
	}
}

// A component is inherited through more lines than the read buffer holds.
func TestComponentOutlivesBuffer(t *testing.T) {
	const further = 20_000
	for _, c := range []struct {
		kind      Kind
		first     string
		component string
	}{
		{CBS, "2031-02-03 04:05:06, Error                 CSI    0000002a Operations:", "CSI"},
		{Reporting, reportFailed, "Azure VM Guest Patching"},
		{SetupAPI, ">>>  [x]\n!!!  sto: Operations:", "sto"},
	} {
		text := c.first + "\n" + strings.Repeat("a further line of the operation, long enough to fill the buffer\n", further)
		got, st := readLog(t, c.kind, text)
		if st.Unread > 0 || len(got) < further {
			t.Fatalf("%s: %+v", c.kind, st)
		}
		first := got[len(got)-further-1]
		for _, e := range got[len(got)-further:] {
			if !e.Continued || e.Component != c.component || e.Level != LevelError || e.Time != first.Time {
				t.Fatalf("%s: line %d inherits %q, %v, %q", c.kind, e.Line, e.Component, e.Level, e.Time)
			}
		}
	}
}

func TestScanStops(t *testing.T) {
	long := strings.Repeat(encoded, 2000)
	for _, kind := range []Kind{WindowsUpdate, CBS, SetupAPI, SetupDiag, Reporting, CMTrace, EventText} {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		_, err := Scan(ctx, kind, strings.NewReader(long), Options{}, func(*Record) error {
			if n++; n == 10 {
				cancel()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) || n > 4000 {
			t.Errorf("%s: %d records after cancelling, error %v", kind, n, err)
		}
		cancel()

		broken := errors.New("disk on fire")
		src := io.MultiReader(strings.NewReader(long), iotest.ErrReader(broken))
		if _, err := Scan(t.Context(), kind, src, Options{}, func(*Record) error { return nil }); !errors.Is(err, broken) {
			t.Errorf("%s: a failing source gives %v", kind, err)
		}
	}
}

func TestFailingCode(t *testing.T) {
	for _, c := range []struct {
		text string
		want codes.HRESULT
	}{
		{"WARNING: SyncUpdates failure, error = 0x8024401B, soap client error = 10", 0x8024401B},
		{"*FAILED* [8024401B] SyncUpdates", 0x8024401B},
		{"Failed to resolve [HRESULT = 0x800f0831 - CBS_E_STORE_CORRUPTION]", 0x800F0831},
		{"(hr:0x800f081f)", 0x800F081F},
		{"SendRequest failed with hr = 80072ee2. Proxy List used: <>", 0x80072EE2},
		{"Error in operation (F) c0000034 [Error,Facility=FACILITY_NTSSTATUS]", 0xC0000034},
		{"Scan failed with error = 0x80244022.", 0x80244022},
		{"Exit code = 0x00000000; Call error code = 0x80240022", 0x80240022},
		{"mapped Nws error 0x803d0010 to 0x8024402c", 0x803D0010},
		{"error 8024402c", 0x8024402C},
		{"hr=0X80070005", 0x80070005},
		{"(0x80080005)[gle=0x000036b7]", 0x80080005},
		{"Result = 0xC1900101[gle=0x00000002]", 0xC1900101},
		{"STATUS 0xD0000034", 0xD0000034},

		{"Exit code = 0x00000000", 0},
		{"gle=0x00000490", 0},
		{"0xFFFFFFFF", 0},
		{"mask 0x80000000, key 0x80000002", 0},
		{"0xC0000000 of memory", 0},
		{"S_FALSE 0x00000001", 0},
		{"hash 8024401b9f3c77aa0011223344556677", 0},
		{"{80244018-8024-4018-8024-401880244018}", 0},
		{"build 80244018", 0},
		{"file_80070005.log", 0},
		{"0x8024401", 0},
		{"0x8024401B1", 0},
		{"0x", 0},
		{"", 0},
		{"Setup360 (0x123) = [80070005", 0},
	} {
		if got := failingCode([]byte(c.text)); got != c.want {
			t.Errorf("failingCode(%q) = %v, want %v", c.text, got, c.want)
		}
	}
}

func TestCivil(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		y, mo, d := 1+rng.IntN(9999), 1+rng.IntN(12), 1+rng.IntN(31)
		h, mi, s, ns := rng.IntN(24), rng.IntN(60), rng.IntN(61), rng.IntN(1e9)
		got, ok := civil(y, mo, d, h, mi, s, ns)
		want := time.Date(y, time.Month(mo), d, h, mi, s, ns, time.UTC)
		if !ok || !got.Equal(want) || got.Location() != time.UTC {
			t.Fatalf("civil(%d, %d, %d, %d, %d, %d, %d) = %v, want %v", y, mo, d, h, mi, s, ns, got, want)
		}
	}
	for _, bad := range [][6]int{{0, 1, 1, 0, 0, 0}, {2031, 0, 1, 0, 0, 0}, {2031, 13, 1, 0, 0, 0}, {2031, 1, 0, 0, 0, 0}, {2031, 1, 32, 0, 0, 0}, {2031, 1, 1, 24, 0, 0}, {2031, 1, 1, 0, 60, 0}, {2031, 1, 1, 0, 0, 61}} {
		if got, ok := civil(bad[0], bad[1], bad[2], bad[3], bad[4], bad[5], 0); ok {
			t.Errorf("civil(%v) = %v", bad, got)
		}
	}
}

func TestNumberAndHex(t *testing.T) {
	for _, c := range []struct {
		in string
		v  uint32
		n  int
		ok bool
	}{{"12 x", 12, 2, true}, {"4294967295", 1<<32 - 1, 10, true}, {"4294967296", 0, 0, false}, {"99999999999999999999999", 0, 0, false}, {"x", 0, 0, false}, {"", 0, 0, false}, {"007", 7, 3, true}} {
		if v, n, ok := number([]byte(c.in)); v != c.v || n != c.n || ok != c.ok {
			t.Errorf("number(%q) = %d, %d, %v", c.in, v, n, ok)
		}
	}
	for _, c := range []struct {
		in string
		v  uint32
		n  int
	}{{"8024401Bz", 0x8024401B, 8}, {"1a2b", 0x1A2B, 4}, {"g", 0, 0}, {"", 0, 0}} {
		if v, n := hex([]byte(c.in)); v != c.v || n != c.n {
			t.Errorf("hex(%q) = %x, %d", c.in, v, n)
		}
	}
}

// realLogs lists the real logs that are not part of the project.
func realLogs(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob("../../../shared/logs/*.log")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Skip("no real logs: ../shared/logs is absent")
	}
	return names
}

// scanFile identifies and scans a file as the program does.
func scanFile(t testing.TB, name string, fn func(*Record) error) (Kind, Stats) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	kind := Identify(name, data[:min(len(data), 64<<10)])
	st, err := Scan(t.Context(), kind, bytes.NewReader(data), Options{}, fn)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return kind, st
}

// Every line of the real logs is read, up to one in a thousand.
func TestRealLogsAreRead(t *testing.T) {
	var b strings.Builder
	for _, name := range realLogs(t) {
		continued := 0
		kind, st := scanFile(t, name, func(r *Record) error {
			if r.Continued {
				continued++
			}
			return nil
		})
		fmt.Fprintf(&b, "\n%-40s %-18s %6d lines %6d records %5d further %3d unread %3d undecoded", filepath.Base(name), kind, st.Lines, st.Records, continued, st.Unread, st.Undecoded)
		if st.Unread*1000 > st.Lines {
			t.Errorf("%s: %d of %d lines unread", filepath.Base(name), st.Unread, st.Lines)
		}
		if st.Records == 0 || st.Cut != 0 {
			t.Errorf("%s: %+v", filepath.Base(name), st)
		}
	}
	t.Log(b.String())
}

// Bytes that are not UTF-8 are read as everybody reads Windows-1252.
func TestWindows1252(t *testing.T) {
	for c := range 256 {
		line := []byte{0xFF, byte(c), 'a'} // 0xFF is never UTF-8
		want, err := charmap.Windows1252.NewDecoder().Bytes(line)
		if err != nil {
			t.Fatal(err)
		}
		if got := toUTF8(line); !bytes.Equal(got, want) {
			t.Errorf("%#x is read as %q, want %q", c, got, want)
		}
	}
}
