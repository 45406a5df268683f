package host_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/host/hosttest"
	"updoc/internal/lab"
	"updoc/internal/redact"
	"updoc/internal/winlog"
	"updoc/internal/winlog/evtxtest"
)

// bundled writes a bundle and opens it.
func bundled(t testing.TB, r *host.Record, opt host.WriteOptions) (*host.Recorded, host.Manifest, []byte) {
	t.Helper()
	var b bytes.Buffer
	m, err := r.Write(t.Context(), &b, opt)
	if err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(t.TempDir(), "bundle.zip")
	if err := os.WriteFile(p, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := host.OpenRecorded(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h, m, b.Bytes()
}

// TestRecordSuite holds that a host that is recorded answers as it does alone, and
// that its bundle answers as it did.
func TestRecordSuite(t *testing.T) {
	files, want := hosttest.Sample()
	rec := &host.Record{Reader: open(t, hosttest.Dir(t, files))}
	t.Run("recording", func(t *testing.T) { hosttest.Suite(t, rec, want) })
	h, _, _ := bundled(t, rec, host.WriteOptions{})
	t.Run("bundle", func(t *testing.T) { hosttest.Suite(t, h, want) })
	if u := h.Unreadable(); len(u) > 0 {
		t.Errorf("the bundle has gaps: %q", u)
	}
	again := &host.Record{Reader: h}
	facts.Collect(t.Context(), again, facts.Options{})
	twice, _, _ := bundled(t, again, host.WriteOptions{})
	t.Run("packed again", func(t *testing.T) {
		want := want
		want.Answers, want.NoKeys = nil, nil // nobody asked for them
		hosttest.Suite(t, twice, want)
	})
}

// TestRecordEveryScenario holds that a redacted bundle of a machine leads to the
// diagnosis that the machine leads to.
func TestRecordEveryScenario(t *testing.T) {
	for _, name := range lab.Names() {
		t.Run(name, func(t *testing.T) {
			s, err := lab.Load(name)
			if err != nil {
				t.Fatal(err)
			}
			h, err := host.OpenFS(t.Context(), s.Evidence)
			if errors.Is(err, host.ErrNothingReadable) {
				t.Skip("NOT RUN: the scenario has no evidence but its world")
			}
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			sameBundled(t, h)
		})
	}
}

// TestRecordEveryCase holds the same of real machines, where their evidence is.
func TestRecordEveryCase(t *testing.T) {
	cases, err := filepath.Glob("../../../shared/cases/case-*/evidence")
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Skip("../shared/cases is not here: bundles of real machines are not compared")
	}
	for _, dir := range cases {
		t.Run(filepath.Base(filepath.Dir(dir)), func(t *testing.T) { sameBundled(t, open(t, dir)) })
	}
}

// sameBundled compares the diagnosis of a host with that of its redacted bundle.
func sameBundled(t *testing.T, h host.Reader) {
	t.Helper()
	rec := &host.Record{Reader: h}
	before := cause.Diagnose(facts.Collect(t.Context(), rec, facts.Options{}))
	b, _, _ := bundled(t, rec, host.WriteOptions{Redactor: &redact.Redactor{Key: []byte(t.Name())}})
	same(t, before, cause.Diagnose(facts.Collect(t.Context(), b, facts.Options{})))
}

// same holds that two diagnoses tell the same causes in the same order.
func same(t *testing.T, before, after cause.Diagnosis) {
	t.Helper()
	if diff := cmp.Diff(ranking(before), ranking(after)); diff != "" {
		t.Error(diff)
	}
	if before.Outcome != after.Outcome {
		t.Errorf("outcome %v, was %v", after.Outcome, before.Outcome)
	}
	for i := range min(len(before.Findings), len(after.Findings)) {
		x, y := before.Findings[i].Probability, after.Findings[i].Probability
		if math.Abs(x-y) > 0.005 {
			t.Errorf("%s: probability %.4f, was %.4f", before.Findings[i].ID, y, x)
		}
	}
}

func ranking(d cause.Diagnosis) []string {
	var out []string
	for _, f := range d.Findings {
		if f.Probability >= 0.001 {
			out = append(out, f.ID)
		}
	}
	return out
}

// fixed is a host with given answers.
type fixed struct {
	keys     map[string]host.Key
	errs     map[string]error // by key, service or question
	services map[string]host.Service
	answers  map[string]string
	files    map[string][]byte
	kinds    map[string]winlog.Kind
}

func (f *fixed) Machine(context.Context) (host.Machine, error) {
	return host.Machine{Name: "KT-0007", OS: "Windows 11 Pro 23H2", Build: "22631.3007", Arch: "amd64", Source: "live"}, nil
}

func (f *fixed) Key(_ context.Context, p string) (host.Key, error) {
	if k, ok := f.keys[p]; ok {
		return k, nil
	}
	if err := f.errs[p]; err != nil {
		return host.Key{}, fmt.Errorf("key %s: %w", p, err)
	}
	return host.Key{}, host.ErrNotExist
}

func (f *fixed) Files(context.Context, string) ([]host.File, error) {
	var out []host.File
	for name, b := range f.files {
		k := f.kinds[name]
		if k == "" {
			k = winlog.Identify(name, b[:min(len(b), 64<<10)])
		}
		out = append(out, host.File{Path: name, Size: int64(len(b)), Kind: k})
	}
	slices.SortFunc(out, func(a, b host.File) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

func (f *fixed) Open(_ context.Context, x host.File) (io.ReadCloser, error) {
	if err := f.errs[x.Path]; err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(f.files[x.Path])), nil
}

func (f *fixed) Service(_ context.Context, name string) (host.Service, error) {
	if s, ok := f.services[name]; ok {
		return s, nil
	}
	if err := f.errs[name]; err != nil {
		return host.Service{}, err
	}
	return host.Service{}, host.ErrNotExist
}

func (f *fixed) Ask(_ context.Context, q host.Question) (host.Answer, error) {
	if a, ok := f.answers[q.Name]; ok {
		return host.Answer{JSON: []byte(a), Source: "API"}, nil
	}
	if err := f.errs[q.Name]; err != nil {
		return host.Answer{}, err
	}
	return host.Answer{}, host.ErrNotRecorded
}

// TestRecordLosesNothing holds that every type of value comes back to the byte,
// and that absent, denied, failed and not recorded stay four things.
func TestRecordLosesNothing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var values []winlog.RegValue
	add := func(typ uint32, data []byte) {
		values = append(values, winlog.RegValue{Name: fmt.Sprintf("v%d", len(values)), Type: typ, Data: data})
	}
	wide := func(s string) []byte { return []byte(hosttest.UTF16(s)) }
	for _, s := range []string{"", "\x00", "a\x00", "C:\\Windows\\x \"quotes\" and ; \\\\ and [x]\x00", "no end", "two\x00parts\x00", "line\r\nbreak\x00", "Größe 漢字 😀\x00", "\uFEFFmark\x00", strings.Repeat("long ", 9000) + "\x00", "trailing \x00"} {
		for _, typ := range []uint32{winlog.RegSZ, winlog.RegExpandSZ, winlog.RegMultiSZ, winlog.RegLink} {
			add(typ, wide(s))
		}
	}
	add(winlog.RegSZ, []byte{0x41})                         // half a character
	add(winlog.RegSZ, []byte{0x00, 0xD8, 0x41, 0x00, 0, 0}) // a lone surrogate
	for _, typ := range []uint32{0, 3, 4, 5, 8, 9, 10, 11, 12, 0x10001, 0xFFFF0011, 0xFFFFFFFF} {
		for _, n := range []int{0, 1, 4, 8, 200} {
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(rnd.Uint32())
			}
			add(typ, b)
		}
	}
	values = append(values, winlog.RegValue{Name: "", Type: winlog.RegSZ, Data: wide("default\x00")},
		winlog.RegValue{Name: `odd "name" \ = ]`, Type: winlog.RegDWord, Data: []byte{1, 2, 3, 4}})
	const p, native, wow = `HKLM\SOFTWARE\Fabrikam]\[x`, `HKLM\SOFTWARE\Fabrikam`, `HKLM\SOFTWARE\WOW6432Node\Fabrikam`
	one := func(s string) []winlog.RegValue {
		return []winlog.RegValue{{Name: "View", Type: winlog.RegSZ, Data: wide(s + "\x00")}}
	}
	live := &fixed{
		keys: map[string]host.Key{
			p:      {Path: p, Values: values, Subkeys: []string{"Sub", "Ümlaut"}, Source: `registry`},
			native: {Path: native, Values: one("64"), Source: "registry"},
			wow:    {Path: wow, Values: one("32"), Source: "registry", Partial: true},
		},
		errs:     map[string]error{`HKLM\SECURED`: host.ErrDenied, `HKLM\BROKEN`: errors.New("a device is not working"), "secured": host.ErrDenied, "slow": errors.New("no answer in 5 s")},
		services: map[string]host.Service{"BITS": {Name: "BITS", State: 1, Start: 3, Exit: 0x80070422, Account: "LocalSystem", Binary: "svchost.exe -k netsvcs", Source: "SCM"}},
		answers:  map[string]string{"volumes": `{"volumes":[{"name":"C:","free":123456}]}`},
	}
	rec := &host.Record{Reader: live}
	ctx := t.Context()
	_, _ = rec.Machine(ctx)
	for _, k := range []string{p, native, wow, `HKLM\SECURED`, `HKLM\BROKEN`, `HKLM\Missing`} {
		_, _ = rec.Key(ctx, k)
	}
	for _, s := range []string{"BITS", "secured", "missing"} {
		_, _ = rec.Service(ctx, s)
	}
	for _, q := range []string{"volumes", "slow", "nobody"} {
		_, _ = rec.Ask(ctx, host.Question{Name: q})
	}
	for _, red := range []*redact.Redactor{nil, {}} {
		h, m, _ := bundled(t, rec, host.WriteOptions{Redactor: red})
		for _, path := range []string{p, native, wow} {
			got, err := h.Key(ctx, path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(live.keys[path], got); diff != "" {
				t.Error(diff)
			}
		}
		for path, want := range map[string]error{
			`HKLM\SECURED`: host.ErrDenied, `hklm\secured`: host.ErrDenied, `HKLM\Missing`: host.ErrNotExist,
			`HKLM\Missing\Below`: host.ErrNotExist, p + `\Other`: host.ErrNotExist, p + `\Sub`: host.ErrNotRecorded, p + `\Sub\Below`: host.ErrNotRecorded,
			wow + `\Below`: host.ErrNotRecorded, `HKLM\SECURED\Below`: host.ErrNotRecorded, `HKCU\Software`: host.ErrNotRecorded,
		} {
			if _, err := h.Key(ctx, path); !errors.Is(err, want) {
				t.Errorf("key %s: %v, want %v", path, err, want)
			}
		}
		got, err := h.Service(ctx, "bits")
		if diff := cmp.Diff(live.services["BITS"], got); err != nil || diff != "" {
			t.Error(err, diff)
		}
		for name, want := range map[string]error{"secured": host.ErrDenied, "missing": host.ErrNotExist, "unasked": host.ErrNotRecorded} {
			if _, err := h.Service(ctx, name); !errors.Is(err, want) {
				t.Errorf("service %s: %v, want %v", name, err, want)
			}
		}
		if a, err := h.Ask(ctx, host.Question{Name: "Volumes"}); err != nil || string(a.JSON) != live.answers["volumes"] || a.Source != "API" {
			t.Errorf("answer %s from %q, %v", a.JSON, a.Source, err)
		}
		_, broken := h.Key(ctx, `HKLM\BROKEN`)
		_, slow := h.Ask(ctx, host.Question{Name: "slow"})
		for _, err := range []error{broken, slow} {
			if err == nil || errors.Is(err, host.ErrNotExist) || errors.Is(err, host.ErrNotRecorded) || errors.Is(err, host.ErrDenied) ||
				!strings.Contains(err.Error(), "not working") && !strings.Contains(err.Error(), "no answer in 5 s") {
				t.Errorf("a failure is told as %v", err)
			}
		}
		for _, q := range []string{"nobody", "unasked"} {
			if _, err := h.Ask(ctx, host.Question{Name: q}); !errors.Is(err, host.ErrNotRecorded) {
				t.Errorf("answer %s: %v", q, err)
			}
		}
		if want := []string{`HKLM\SECURED`, "secured"}; !slices.Equal(m.Denied, want) {
			t.Errorf("denied %q, want %q", m.Denied, want)
		}
		if machine, _ := h.Machine(ctx); machine.OS != "Windows 11 Pro 23H2" || machine.Source != "bundle" || machine.Name == "" || (machine.Name == "KT-0007") != (red == nil) {
			t.Errorf("machine %+v", machine)
		}
	}
}

// TestRecordCuts holds that the beginning and the end of a huge file are kept in
// whole lines, in its own encoding, and that what is missing is named.
func TestRecordCuts(t *testing.T) {
	var lines strings.Builder
	for i := range 60_000 {
		fmt.Fprintf(&lines, "2031-02-03 04:05:06, Info                  CBS    line %06d\r\n", i)
	}
	le := "\xFF\xFE" + hosttest.UTF16(lines.String())
	for name, text := range map[string]string{"CBS.log": lines.String(), "CBS-wide.log": le} {
		rec := &host.Record{Reader: &fixed{files: map[string][]byte{name: []byte(text)}}}
		if _, err := rec.Files(t.Context(), "*"); err != nil {
			t.Fatal(err)
		}
		limits := host.Limits{File: 800 << 10}
		if p := rec.Preview(limits); len(p.Files) != 1 || p.Files[0].Take != limits.File || p.Files[0].Size != int64(len(text)) {
			t.Errorf("preview %+v", p)
		}
		for _, red := range []*redact.Redactor{nil, {}} {
			h, m, _ := bundled(t, rec, host.WriteOptions{Limits: limits, Redactor: red})
			files, err := h.Files(t.Context(), "*")
			if err != nil || len(files) != 1 {
				t.Fatal(files, err)
			}
			rc, err := h.Open(t.Context(), files[0])
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(winlog.NewTextReader(rc))
			rc.Close()
			if err != nil {
				t.Fatal(err)
			}
			cut, whole, missing := m.Files[0].Cut, 0, 0
			for line := range strings.Lines(string(b)) {
				switch {
				case len(line) == len("2031-02-03 04:05:06, Info                  CBS    line 000000\r\n") && strings.HasPrefix(line, "2031-02-03"):
					whole++
				case strings.HasPrefix(line, "[updoc left out "):
					missing++
				default:
					t.Errorf("a torn line: %q", line)
				}
			}
			if cut == nil || missing != 1 || !strings.Contains(string(b), "line 000000\r\n") || !strings.HasSuffix(string(b), "line 059999\r\n") {
				t.Fatalf("cut %+v, %d times; begins %.80q", cut, missing, b)
			}
			width := int64(len(text)) / 60_000
			if left := (60_000 - int64(whole)) * width; left != cut.Bytes {
				t.Errorf("%d bytes are missing, the manifest says %d", left, cut.Bytes)
			}
			if got := int64(whole) * width; got > limits.File+200 || got < limits.File-1000 {
				t.Errorf("%d bytes were taken, the limit is %d", got, limits.File)
			}
			if g := h.Unreadable(); len(g) != 1 || !strings.Contains(g[0], "left out") {
				t.Errorf("gaps %q", g)
			}
		}
	}
}

// TestRecordKeepsTheLimits holds that a bundle never grows beyond its limit, that
// what is small is in it, and that what is not is named.
func TestRecordKeepsTheLimits(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	live := &fixed{files: map[string][]byte{"notes.txt": []byte("error 0x80070005\r\n")}}
	noise := func(n int) []byte { // text that does not pack
		b := make([]byte, n)
		for i := range b {
			if b[i] = byte(' ' + rnd.IntN(94)); i%90 == 89 {
				b[i] = '\n'
			}
		}
		return b
	}
	for i := range 6 {
		live.files[fmt.Sprintf("Windows/Logs/CBS/CbsPersist_%d.log", i)] = noise(2 << 20)
	}
	rec := &host.Record{Reader: live}
	if _, err := rec.Files(t.Context(), "*"); err != nil {
		t.Fatal(err)
	}
	limit := int64(4 << 20)
	h, m, b := bundled(t, rec, host.WriteOptions{Limits: host.Limits{Zip: limit}})
	if int64(len(b)) > limit {
		t.Errorf("%d bytes, the limit is %d", len(b), limit)
	}
	named := len(m.Unread)
	for _, f := range m.Files {
		named += 1
		if f.Cut == nil && f.Size != f.Original {
			t.Errorf("%s: %d bytes of %d and no cut named", f.Name, f.Size, f.Original)
		}
	}
	if named != len(live.files) {
		t.Errorf("%d files, of which %d are named", len(live.files), named)
	}
	if files, _ := h.Files(t.Context(), "notes.txt"); len(files) != 1 {
		t.Error("the small file is not in the bundle")
	}
	if len(b) < 3<<20 {
		t.Errorf("%d bytes only: there was room for more", len(b))
	}
	// A limit for all together makes the largest give way.
	for _, f := range rec.Preview(host.Limits{Total: 3 << 20}).Files {
		if want := int64(3<<20-18) / 6; f.Path != "notes.txt" && f.Take != want || f.Path == "notes.txt" && f.Take != f.Size {
			t.Errorf("%s: %d of %d, want %d", f.Path, f.Take, f.Size, want)
		}
	}
}

// TestRecordNamesWhatIsMissing: denied, empty, binary, broken.
func TestRecordNamesWhatIsMissing(t *testing.T) {
	live := &fixed{
		files: map[string][]byte{
			"C:/Windows/Logs/CBS/CBS.log": []byte("2031-02-03 04:05:06, Info                  CBS    x\r\n"), "empty.log": nil,
			"secret.log": []byte("x"), "trace.etl": []byte("x"), "SOFTWARE": []byte("regf"), "payload.bin": {0, 1, 2, 3, 0, 0, 0, 0},
		},
		errs: map[string]error{"secret.log": fmt.Errorf("open: %w", host.ErrDenied)},
	}
	rec := &host.Record{Reader: live}
	_, _ = rec.Files(t.Context(), "*")
	h, m, _ := bundled(t, rec, host.WriteOptions{})
	var got []string
	for _, u := range m.Unread {
		got = append(got, u.What)
	}
	slices.Sort(got)
	if want := []string{"SOFTWARE", "empty.log", "payload.bin", "secret.log", "trace.etl"}; !slices.Equal(got, want) {
		t.Errorf("unread %q, want %q", got, want)
	}
	if !slices.Equal(m.Denied, []string{"secret.log"}) {
		t.Errorf("denied %q", m.Denied)
	}
	if len(h.Unreadable()) != 5 {
		t.Errorf("gaps %q", h.Unreadable())
	}
	if f, _ := h.Files(t.Context(), "CBS.log"); len(f) != 1 || !strings.HasSuffix(f[0].Path, "bundle.zip/C/Windows/Logs/CBS/CBS.log") {
		t.Errorf("files %+v", f)
	}
}

// TestRecordEvents holds that an event log leads to the same records as XML.
func TestRecordEvents(t *testing.T) {
	at := time.Date(2031, 2, 3, 4, 5, 6, 789_000_000, time.UTC)
	events := []evtxtest.Event{
		{Provider: "Microsoft-Windows-WindowsUpdateClient", Channel: "System", ID: 20, Level: 2, Version: 1, Keywords: 0x8000000000000028, PID: 4, TID: 8, Time: at, Computer: "KT-0007.fabrikam.example", Data: []evtxtest.Field{{Name: "errorCode", Value: evtxtest.Hex32(0x800F0922)}, {Name: "updateTitle", Value: "2031-02 Cumulative <Update> & \"more\" (KB5012345)"}, {Name: "updateGuid", Value: evtxtest.GUID("{11111111-2222-3333-4444-555555555555}")}, {Name: "updateRevisionNumber", Value: uint32(200)}}},
		{Provider: "Microsoft-Windows-WindowsUpdateClient", Channel: "System", ID: 19, Level: 4, Time: at, Data: []evtxtest.Field{{Name: "updateTitle", Value: "Security Intelligence Update (KB2267602)"}}},
		{Provider: "Service Control Manager", Channel: "System", ID: 7023, Qualifier: 0xC000, Level: 2, Time: at, Data: []evtxtest.Field{{Value: "Windows Update"}, {Value: "%%1058"}}},
		{Provider: "Service Control Manager", Channel: "System", ID: 7040, Level: 4, Time: at, Data: []evtxtest.Field{{Name: "param1", Value: "x"}, {Name: "param2", Value: "auto"}, {Name: "param3", Value: "demand"}, {Name: "param4", Value: "BITS"}}},
		{Provider: "User32", Channel: "System", ID: 1074, Level: 4, Time: at, Data: []evtxtest.Field{{Value: "C:\\Windows\\system32\\winlogon.exe"}, {Value: "KT-0007"}, {Value: "No title"}, {Value: "0x80020003"}, {Value: "restart"}}},
		{Provider: "Fabrikam", Channel: "Application", ID: 1, Level: 2, Time: at, Data: []evtxtest.Field{{Value: "first line\r\nsecond line\tand 0x80070005 \u0007 😀"}}},
		{Provider: "Microsoft-Windows-Servicing", Channel: "Setup", ID: 3, Level: 2, Time: at, UserData: "CbsPackageChangeState", Data: []evtxtest.Field{{Name: "PackageIdentifier", Value: "KB5012345"}, {Name: "ErrorCode", Value: "0x800f0831"}}},
		{Provider: "Microsoft-Windows-Bits-Client", Channel: "X", ID: 61, Level: 3, Time: at, Data: []evtxtest.Field{{Name: "hr", Value: uint32(2149859355)}}},
	}
	var log bytes.Buffer
	if err := evtxtest.Write(&log, events); err != nil {
		t.Fatal(err)
	}
	rec := &host.Record{Reader: &fixed{files: map[string][]byte{`C:\Windows\System32\winevt\Logs\System.evtx`: log.Bytes()}}}
	_, _ = rec.Files(t.Context(), "*")
	h, m, _ := bundled(t, rec, host.WriteOptions{Redactor: &redact.Redactor{Keep: func(name string) bool { return name == "kt-0007" }}})
	if f := m.Files[0]; f.As != host.AsEvents || f.Name != "files/C/Windows/System32/winevt/Logs/System.evtx.xml" {
		t.Errorf("%+v", f)
	}
	files, _ := h.Files(t.Context(), "System.evtx.xml")
	if len(files) != 1 || files[0].Kind != winlog.EventText {
		t.Fatalf("%+v", files)
	}
	rc, err := h.Open(t.Context(), files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	want := scanned(t, winlog.EVTX, bytes.NewReader(log.Bytes()))
	got := scanned(t, files[0].Kind, rc)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// scanned is what a diagnosis reads of events.
func scanned(t *testing.T, kind winlog.Kind, src io.Reader) []string {
	t.Helper()
	var out []string
	_, err := winlog.Scan(t.Context(), kind, src, winlog.Options{}, func(r *winlog.Record) error {
		var fields []string
		for _, f := range r.Fields {
			if f.Name[0] != '_' {
				fields = append(fields, f.Name+"="+strings.Join(strings.Fields(strings.Map(func(r rune) rune {
					if r < ' ' {
						return ' '
					}
					return r
				}, f.Value)), " "))
			}
		}
		out = append(out, fmt.Sprintf("%s/%d level %d code %X at %v by %d/%d: %q", r.Component, r.ID, r.Level, uint32(r.Code), r.Time.UTC(), r.PID, r.TID, fields))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestBundleTampered holds that a member that was changed afterwards is told of.
func TestBundleTampered(t *testing.T) {
	files, _ := hosttest.Sample()
	rec := &host.Record{Reader: open(t, hosttest.Dir(t, files))}
	facts.Collect(t.Context(), rec, facts.Options{})
	_, _, b := bundled(t, rec, host.WriteOptions{})
	zr, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var members []hosttest.File
	for _, f := range zr.File {
		rc, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(rc)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		switch {
		case strings.HasSuffix(f.Name, "CBS.log"):
			text += "2031-02-03 04:05:08, Info                  CBS    added later\r\n"
		case f.Name == "registry/registry.reg":
			text = strings.ReplaceAll(text, "fabrikam", "contoso")
		case f.Name == "files/notes.txt":
			continue
		}
		members = append(members, hosttest.File{Name: "copy/of/" + f.Name, Data: text}) // in a folder of its own
	}
	members = append(members, hosttest.File{Name: "copy/of/later.txt", Data: "error 0x80070005"})
	h := open(t, hosttest.Dir(t, members))
	gaps := strings.Join(h.Unreadable(), "\n")
	for _, want := range []string{"registry.reg: it is not what was collected", "notes.txt: named in the manifest and not there"} {
		if !strings.Contains(gaps, want) {
			t.Errorf("%q is not among the gaps:\n%s", want, gaps)
		}
	}
	f := facts.Collect(t.Context(), h, facts.Options{})
	if !slices.ContainsFunc(f.Gaps, func(g facts.Gap) bool {
		return strings.Contains(g.Why, "it is not what was collected") && strings.HasSuffix(g.Source, "CBS.log")
	}) {
		t.Errorf("gaps %+v", f.Gaps)
	}
	if list, _ := h.Files(t.Context(), "later.txt"); len(list) != 1 {
		t.Error("what was added to the bundle is not read")
	}
	if k, err := h.Key(t.Context(), `HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate`); err != nil || len(k.Values) == 0 {
		t.Errorf("key %+v, %v", k, err)
	}
}

// TestRecordCancelled holds that a bundle that was not finished is an error, and
// that no temporary file is left.
func TestRecordCancelled(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	live := &fixed{files: map[string][]byte{}}
	for i := range 4 {
		live.files[fmt.Sprintf("CBS%d.log", i)] = bytes.Repeat([]byte("2031-02-03 04:05:06, Info                  CBS    x\r\n"), 100_000)
	}
	rec := &host.Record{Reader: live}
	_, _ = rec.Files(t.Context(), "*")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := rec.Write(ctx, io.Discard, host.WriteOptions{Redactor: &redact.Redactor{}, Progress: func(p host.Progress) {
		if p.Bytes > 1<<20 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v", err, context.Canceled)
	}
	// Too little time is no error: what was not read is named.
	var b bytes.Buffer
	m, err := rec.Write(t.Context(), &b, host.WriteOptions{Redactor: &redact.Redactor{}, Within: time.Millisecond})
	if err != nil || len(m.Unread) != 4 || !strings.Contains(m.Unread[0].Why, "no time") {
		t.Errorf("%v, unread %+v", err, m.Unread)
	}
	if _, err := rec.Write(t.Context(), failing{}, host.WriteOptions{}); err == nil {
		t.Error("a full disk is no error")
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("the disk is full") }

// BenchmarkRecordWrite writes the bundle of a machine with 100 MB of logs.
func BenchmarkRecordWrite(b *testing.B) {
	live := &fixed{files: map[string][]byte{}}
	var line bytes.Buffer
	rnd := rand.New(rand.NewPCG(5, 6))
	for i := 0; line.Len() < 25<<20; i++ {
		fmt.Fprintf(&line, "2031-02-%02d %02d:%02d:%02d, Info                  CBS    Appl: Evaluating package applicability for package Microsoft-Windows-Feature-%d-Package~31bf3856ad364e35~amd64~~10.0.22621.%d, applicable state: Installed\r\n", 1+i/86400%28, i/3600%24, i/60%60, i%60, rnd.IntN(900), rnd.IntN(4000))
	}
	for i := range 4 {
		live.files[fmt.Sprintf("CBS%d.log", i)] = line.Bytes()
	}
	rec := &host.Record{Reader: live}
	_, _ = rec.Files(b.Context(), "*")
	b.SetBytes(4 * int64(line.Len()))
	b.ReportAllocs()
	for b.Loop() {
		out := countBytes(0)
		if _, err := rec.Write(b.Context(), &out, host.WriteOptions{Redactor: &redact.Redactor{}}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(out)/(1<<20), "zipMB")
	}
}

type countBytes int64

func (c *countBytes) Write(p []byte) (int, error) { *c += countBytes(len(p)); return len(p), nil }

// FuzzBundleValue holds that a value of any name, type and content comes back to
// the byte, or its key says that it is not whole.
func FuzzBundleValue(f *testing.F) {
	f.Add("Text", winlog.RegSZ, []byte("a\x00\x00\x00"))
	f.Add("", winlog.RegMultiSZ, []byte("a\x00\x00\x00b\x00\x00\x00\x00\x00"))
	f.Add(`q"\=`, uint32(0xFFFF0011), []byte{1, 2, 3})
	f.Add("two\nlines", winlog.RegDWord, []byte{1, 2, 3, 4})
	f.Add("hex", winlog.RegBinary, bytes.Repeat([]byte{0xAB}, 300))
	f.Fuzz(func(t *testing.T, name string, typ uint32, data []byte) {
		const p = `HKLM\SOFTWARE\Fabrikam`
		v := winlog.RegValue{Name: name, Type: typ, Data: data}
		rec := &host.Record{Reader: &fixed{keys: map[string]host.Key{p: {Path: p, Values: []winlog.RegValue{v}, Source: "x"}}}}
		_, _ = rec.Key(t.Context(), p)
		h, _, _ := bundled(t, rec, host.WriteOptions{})
		k, err := h.Key(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if k.Partial && len(k.Values) == 0 && strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '\uFEFF' || r == '\uFFFD' }) {
			return
		}
		if len(k.Values) != 1 || k.Partial || k.Values[0].Name != name || k.Values[0].Type != typ || !bytes.Equal(k.Values[0].Data, data) {
			t.Errorf("%+v, was %+v; partial %v", k.Values, v, k.Partial)
		}
	})
}

// FuzzBundleRead holds that a bundle that somebody made up is read without harm,
// and that every answer without a value says why.
func FuzzBundleRead(f *testing.F) {
	f.Add(`{"schema":"updoc.bundle/1","files":[{"name":"registry/keys.json","role":"keys"},{"name":"registry/registry.reg","role":"registry"},{"name":"services.json","role":"services"},{"name":"files/x.log","role":"evidence","kind":"evtx"}],"answers":[{"name":"volumes","state":"present","file":"answers/volumes.json"}]}`,
		`[{"path":"HKLM\\A","state":"present","subkeys":["B"]},{"path":"HKLM\\C","state":"denied"}]`, "[HKEY_LOCAL_MACHINE\\A]\r\n\"x\"=dword:1\r\n", `{"bits":{"state":"present","service":{"Start":4}}}`)
	f.Add(`{"schema":"updoc.bundle/2","files":[{"name":"../../etc/passwd","role":"keys"},{"name":"","role":""},{"name":"manifest.json","role":"keys"}]}`, `[null]`, "", `{"bits":{"state":"present"}}`)
	f.Fuzz(func(t *testing.T, manifest, keys, reg, services string) {
		fsys := fstest.MapFS{}
		for name, text := range map[string]string{"manifest.json": manifest, "registry/keys.json": keys, "registry/registry.reg": reg, "services.json": services, "files/x.log": "x", "answers/volumes.json": "{}"} {
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
		h, err := host.OpenFS(t.Context(), fsys)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		known := func(err error) {
			if err != nil && err.Error() == "" {
				t.Error("an error that says nothing")
			}
		}
		for _, p := range []string{`HKLM\A`, `HKLM\A\B`, `HKLM\A\D\E`, `HKLM\C`, `HKLM`, ``} {
			_, err := h.Key(t.Context(), p)
			known(err)
		}
		_, err = h.Service(t.Context(), "bits")
		known(err)
		_, err = h.Ask(t.Context(), host.Question{Name: "volumes"})
		known(err)
		for _, f := range must(h.Files(t.Context(), "*")) {
			if rc, err := h.Open(t.Context(), f); err == nil {
				_, _ = io.Copy(io.Discard, rc)
				rc.Close()
			}
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestBundleHostile: lists of millions of entries, and bundles without end.
func TestBundleHostile(t *testing.T) {
	manifest := func(files string) string { return `{"schema":"updoc.bundle/1","files":[` + files + `]}` }
	many := strings.Repeat("{},", 3<<20)
	for name, files := range map[string][]hosttest.File{
		"members": {{Name: "manifest.json", Data: manifest(many + "{}")}, {Name: "notes.txt", Data: "0x80070005"}},
		"keys": {
			{Name: "manifest.json", Data: manifest(`{"name":"keys.json","role":"keys"}`)},
			{Name: "notes.txt", Data: "0x80070005"},
			{Name: "keys.json", Data: "[" + many + "{}]"},
		},
		"bundles": func() (list []hosttest.File) {
			for i := range 3000 {
				list = append(list, hosttest.File{Name: fmt.Sprintf("%d/manifest.json", i), Data: manifest(`{"name":"a.txt","role":"evidence"}`)}, hosttest.File{Name: fmt.Sprintf("%d/a.txt", i), Data: "x"})
			}
			return list
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			dir := hosttest.Dir(t, files)
			within(t, 3*time.Second, 100<<20, func() {
				h := open(t, dir)
				if len(h.Unreadable()) == 0 {
					t.Error("nothing is said of it")
				}
			})
		})
	}
}
