package host_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"updoc/internal/cause"
	"updoc/internal/facts"
	"updoc/internal/host"
	"updoc/internal/host/hosttest"
	"updoc/internal/report"
	"updoc/internal/winlog"
)

// open opens evidence with the temporary files in a folder of their own, and
// holds that Close leaves none.
func open(t *testing.T, paths ...string) *host.Recorded {
	t.Helper()
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("TMP", temp)
	h, err := host.OpenRecorded(t.Context(), paths...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := h.Close(); err != nil {
			t.Errorf("close again: %v", err)
		}
		left, err := os.ReadDir(temp)
		if err != nil || len(left) > 0 {
			t.Errorf("%d temporary files are left, %v", len(left), err)
		}
	})
	return h
}

// packings are the shapes in which the same evidence reaches a helpdesk.
func packings(t *testing.T, files []hosttest.File) map[string][]string {
	t.Helper()
	one := func(name, data string) []string {
		return []string{filepath.Join(hosttest.Dir(t, []hosttest.File{{Name: name, Data: data}}), name)}
	}
	zipped := hosttest.Zip(t, files)
	cabinet := hosttest.Cabinet(files)
	dir := hosttest.Dir(t, files)
	var loose []string
	if err := fs.WalkDir(os.DirFS(dir), ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path.Dir(p) != "answers" { // an answer is known by its folder
			loose = append(loose, filepath.Join(dir, p))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(loose)
	backslashes := slices.Clone(files)
	for i := range backslashes { // as Compress-Archive of Windows PowerShell 5.1 writes them
		backslashes[i].Name = strings.ReplaceAll(backslashes[i].Name, "/", `\`)
	}
	each := []hosttest.File{} // a cabinet for each file, as CbsPersist has it
	for _, f := range files {
		each = append(each, hosttest.File{Name: strings.TrimSuffix(f.Name, path.Ext(f.Name)) + ".cab", Data: hosttest.Cabinet([]hosttest.File{f})})
	}
	return map[string][]string{
		"folder":               {dir},
		"files":                loose,
		"zip":                  one("evidence.zip", zipped),
		"zip with backslashes": one("evidence.zip", hosttest.Zip(t, backslashes)),
		"zip in a zip":         one("ticket.zip", hosttest.Zip(t, []hosttest.File{{Name: "mail/evidence.zip", Data: zipped}})),
		"zip in a folder":      {hosttest.Dir(t, []hosttest.File{{Name: "a/b/evidence.zip", Data: zipped}})},
		"cabinet":              one("evidence.cab", cabinet),
		"cabinet in a zip":     one("evidence.zip", hosttest.Zip(t, []hosttest.File{{Name: "evidence.cab", Data: cabinet}})),
		"zip in a cabinet":     one("evidence.cab", hosttest.Cabinet([]hosttest.File{{Name: "evidence.zip", Data: zipped}, {Name: "second.zip", Data: zipped[:9]}})),
		"cabinets of one file": one("evidence.zip", hosttest.Zip(t, each)),
		"renamed archive":      one("evidence.bin", zipped),
	}
}

func TestRecorded(t *testing.T) {
	files, want := hosttest.Sample()
	for name, paths := range packings(t, files) {
		t.Run(name, func(t *testing.T) {
			want := want
			if name == "files" {
				want.Answers = nil
				want.Files = maps.Clone(want.Files)
				delete(want.Files, "volumes.json")
			}
			hosttest.Suite(t, open(t, paths...), want)
		})
	}
	t.Run("file system", func(t *testing.T) {
		fsys := fstest.MapFS{}
		for _, f := range files {
			fsys[f.Name] = &fstest.MapFile{Data: []byte(f.Data)}
		}
		h, err := host.OpenFS(t.Context(), fsys)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		hosttest.Suite(t, h, want)
	})
}

// diagnosis is what a person is told, without where the evidence lay.
func diagnosis(t *testing.T, h host.Reader) string {
	t.Helper()
	f := facts.Collect(t.Context(), h, facts.Options{})
	doc := report.New(f, cause.Diagnose(f), report.Options{})
	doc.Checked, doc.Gaps = nil, nil
	b, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRecordedDiagnosisDoesNotDependOnPacking(t *testing.T) {
	files, _ := hosttest.Sample()
	shapes := packings(t, files)
	want := diagnosis(t, open(t, shapes["folder"]...))
	if !strings.Contains(want, "0x8024401B") || !strings.Contains(want, `"verdict": "problems"`) {
		t.Fatalf("the sample shows nothing: %s", want)
	}
	for name, paths := range shapes {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(want, diagnosis(t, open(t, paths...))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRecordedHive(t *testing.T) {
	hive := hosttest.Hive(hosttest.HiveKey{Name: "ROOT", Keys: []hosttest.HiveKey{
		{Name: "Select", Values: []hosttest.Value{{Name: "Current", Number: 2}}},
		{Name: "ControlSet001", Keys: []hosttest.HiveKey{{Name: "Services", Keys: []hosttest.HiveKey{
			{Name: "wuauserv", Values: []hosttest.Value{{Name: "Start", Number: 4}}},
		}}}},
		{Name: "ControlSet002", Keys: []hosttest.HiveKey{{Name: "Services", Keys: []hosttest.HiveKey{
			{Name: "wuauserv", Values: []hosttest.Value{{Name: "Start", Number: 3}, {Name: "ObjectName", Text: "LocalSystem"}}},
			{Name: "wuauservice", Keys: []hosttest.HiveKey{{Name: "Parameters"}}},
		}}}},
	}})
	const services = `HKLM\SYSTEM\CurrentControlSet\Services`
	want := hosttest.Fixture{
		Source:     "bundle",
		Files:      map[string]winlog.Kind{"SYSTEM": winlog.RegHive},
		Only:       true,
		Values:     []hosttest.Value{{Key: services + `\wuauserv`, Name: "ObjectName", Text: "LocalSystem"}, {Key: services + `\wuauserv`, Name: "Start", Number: 3}},
		NoValues:   []hosttest.Value{{Key: services + `\wuauserv`, Name: "ImagePath"}},
		Subkeys:    []hosttest.Value{{Key: services, Name: "wuauserv"}, {Key: services + `\wuauservice`, Name: "Parameters"}},
		NoKeys:     []string{services + `\bits`, `HKLM\SYSTEM\Setup`},
		Unasked:    []string{`HKLM\SOFTWARE\Microsoft`, `HKLM\SYSTEMATIC`, `HKCU\Environment`},
		Services:   map[string]host.Service{"wuauserv": {State: -1, Start: 3, Account: "LocalSystem"}},
		NoServices: []string{"bits"},
	}
	packed := []hosttest.File{{Name: "config/SYSTEM", Data: string(hive)}}
	for name, paths := range packings(t, packed) {
		t.Run(name, func(t *testing.T) {
			h := open(t, paths...)
			hosttest.Suite(t, h, want)
			if k, err := h.Key(t.Context(), services+`\wuauserv`); err != nil || len(k.Subkeys) != 0 {
				t.Errorf("a neighbour's keys %q, %v", k.Subkeys, err)
			}
		})
	}

	t.Run("damaged", func(t *testing.T) {
		at := bytes.Index(hive, []byte("lf\x02\x00")) // the list of two services
		broken := bytes.Clone(hive)
		copy(broken[at:], "??")
		h := open(t, hosttest.Dir(t, []hosttest.File{{Name: "SYSTEM", Data: string(broken)}}))
		for _, p := range []string{services + `\wuauserv`, services + `\bits`} {
			if _, err := h.Key(t.Context(), p); err != nil && !errors.Is(err, host.ErrNotRecorded) {
				t.Errorf("key %s of a damaged hive: %v", p, err)
			}
		}
		if _, err := h.Service(t.Context(), "bits"); !errors.Is(err, host.ErrNotRecorded) {
			t.Errorf("a service that a damaged hive does not show: %v, want %v", err, host.ErrNotRecorded)
		}
	})
	t.Run("of an unknown place", func(t *testing.T) {
		h := open(t, hosttest.Dir(t, []hosttest.File{{Name: "hive.bak", Data: string(hive)}}))
		if _, err := h.Key(t.Context(), services); !errors.Is(err, host.ErrNotRecorded) {
			t.Errorf("%v, want %v", err, host.ErrNotRecorded)
		}
		if gaps := h.Unreadable(); len(gaps) != 1 || !strings.Contains(gaps[0], "hive.bak") {
			t.Errorf("gaps %q", gaps)
		}
	})
}

// TestRecordedCutExport: what a damaged or oversized export lacks is unknown.
func TestRecordedCutExport(t *testing.T) {
	var b strings.Builder
	b.WriteString("Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Fabrikam]\r\n\"First\"=\"1\"\r\n")
	line := `="` + strings.Repeat("x", 200<<10) + "\"\r\n"
	for i := range 350 { // more than is kept
		b.WriteString(`"v` + strings.Repeat("i", i+1) + `"` + line)
	}
	b.WriteString("\"Last\"=\"2\"\r\n")
	h := open(t, hosttest.Dir(t, []hosttest.File{{Name: "all.reg", Data: b.String()}}))
	k, err := h.Key(t.Context(), `HKLM\SOFTWARE\Fabrikam`)
	if err != nil || !k.Partial {
		t.Fatalf("partial %v, %v", k.Partial, err)
	}
	if _, ok := k.Value("First"); !ok {
		t.Error("what was read is lost")
	}
	if _, ok := k.Value("Last"); ok {
		t.Error("nothing was cut: the test tests nothing")
	}
	if _, err := h.Key(t.Context(), `HKLM\SOFTWARE\Fabrikam\Below`); !errors.Is(err, host.ErrNotRecorded) {
		t.Errorf("a key that may have been cut off: %v, want %v", err, host.ErrNotRecorded)
	}
	if gaps := h.Unreadable(); len(gaps) != 1 || !strings.Contains(gaps[0], "all.reg") {
		t.Errorf("gaps %q", gaps)
	}
}

// TestRecordedCancelledRegistry: a reading that was cancelled is not kept.
func TestRecordedCancelledRegistry(t *testing.T) {
	files, want := hosttest.Sample()
	h := open(t, hosttest.Dir(t, files))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Key(ctx, want.Values[0].Key); !errors.Is(err, context.Canceled) {
		t.Errorf("first asked with a cancelled context: %v", err)
	}
	hosttest.Suite(t, h, want)
}

func TestRecordedNothingReadable(t *testing.T) {
	empty := hosttest.Dir(t, []hosttest.File{{Name: "CBS.log"}})
	for name, tt := range map[string]struct {
		path, says string
	}{
		"empty folder":        {t.TempDir(), ""},
		"only empty files":    {empty, "CBS.log: empty"},
		"an empty file":       {filepath.Join(empty, "CBS.log"), "CBS.log: empty"},
		"nothing but a mark":  {filepath.Join(hosttest.Dir(t, []hosttest.File{{Name: "out.txt", Data: "\xFF\xFE"}}), "out.txt"), "out.txt: empty"},
		"zip of nothing":      {filepath.Join(hosttest.Dir(t, []hosttest.File{{Name: "a.zip", Data: hosttest.Zip(t, nil)}}), "a.zip"), ""},
		"half a zip":          {filepath.Join(hosttest.Dir(t, []hosttest.File{{Name: "a.zip", Data: "PK\x03\x04rest"}}), "a.zip"), "a.zip: zip: not a valid zip file"},
		"half a cabinet":      {filepath.Join(hosttest.Dir(t, []hosttest.File{{Name: "a.cab", Data: "MSCF\x00\x00"}}), "a.cab"), "malformed cabinet"},
		"a broken nested zip": {filepath.Join(hosttest.Dir(t, []hosttest.File{{Name: "a.zip", Data: hosttest.Zip(t, []hosttest.File{{Name: "b.zip", Data: "PK\x03\x04"}})}}), "a.zip"), "a.zip/b.zip: "},
	} {
		t.Run(name, func(t *testing.T) {
			temp := t.TempDir()
			t.Setenv("TMPDIR", temp)
			_, err := host.OpenRecorded(t.Context(), tt.path)
			if !errors.Is(err, host.ErrNothingReadable) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %v: %s", err, host.ErrNothingReadable, tt.says)
			}
			if left, _ := os.ReadDir(temp); len(left) > 0 {
				t.Errorf("%d temporary files are left", len(left))
			}
		})
	}
	if _, err := host.OpenRecorded(t.Context(), filepath.Join(empty, "missing.zip")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
	if _, err := host.OpenRecorded(t.Context(), os.DevNull); err == nil {
		t.Error("a device was opened")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := host.OpenRecorded(ctx, empty); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestRecordedAnswers(t *testing.T) {
	h := open(t, hosttest.Dir(t, []hosttest.File{
		{Name: "Answers/Volumes.JSON", Data: `[1]`},
		{Name: "answers/broken.json", Data: `{"volumes":`},
		{Name: "elsewhere/agent.json", Data: `{}`},
	}))
	if a, err := h.Ask(t.Context(), host.Question{Name: "volumes"}); err != nil || string(a.JSON) != "[1]" || a.Source != "Answers/Volumes.JSON" {
		t.Errorf("%s from %q, %v", a.JSON, a.Source, err)
	}
	if _, err := h.Ask(t.Context(), host.Question{Name: "broken"}); err == nil || errors.Is(err, host.ErrNotRecorded) {
		t.Errorf("half an answer: %v", err)
	}
	if _, err := h.Ask(t.Context(), host.Question{Name: "agent"}); !errors.Is(err, host.ErrNotRecorded) {
		t.Errorf("a file that is no answer: %v", err)
	}
}
