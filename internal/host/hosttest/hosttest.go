// Package hosttest is the suite that every host passes: a recorded bundle, a
// simulated machine, a live Windows. What passes it can be diagnosed.
package hosttest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"updoc/internal/host"
	"updoc/internal/winlog"
)

// Fixture says what a host must answer. Empty parts are not tested.
type Fixture struct {
	Source string // of the Machine: live, bundle, lab

	Files   map[string]winlog.Kind // by base name; no others may be listed if Only is set
	Only    bool
	Content map[string]string // whole files, by base name
	Begin   map[string]string // what a file begins with, for files that live

	Values   []Value  // registry values that are there
	NoValues []Value  // keys that were read in whole and lack the value
	Subkeys  []Value  // keys with the name of one subkey
	NoKeys   []string // keys that do not exist
	Unasked  []string // keys that nobody recorded

	Services        map[string]host.Service // only State and Start count, and Account and Binary unless empty
	NoServices      []string
	UnaskedServices []string

	Answers        map[string]string // JSON by question
	UnaskedAnswers []string
}

// Value is a registry value; Text is compared with a REG_SZ, Number with a
// REG_DWORD if Text is empty.
type Value struct {
	Key, Name, Text string
	Number          uint32
}

// Suite runs the tests of h.
func Suite(t *testing.T, h host.Reader, want Fixture) {
	t.Helper()
	s := &suite{h, want}
	t.Run("machine", s.machine)
	t.Run("files", s.files)
	t.Run("content", s.content)
	t.Run("registry", s.registry)
	t.Run("services", s.services)
	t.Run("answers", s.answers)
	t.Run("concurrently", s.concurrently)
	t.Run("cancelled", s.cancelled)
}

type suite struct {
	h    host.Reader
	want Fixture
}

func (s *suite) machine(t *testing.T) {
	m, err := s.h.Machine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.want.Source != "" && m.Source != s.want.Source {
		t.Errorf("source %q, want %q", m.Source, s.want.Source)
	}
}

// list returns what matches pattern, which must hold of each.
func (s *suite) list(t *testing.T, pattern string) []host.File {
	t.Helper()
	files, err := s.h.Files(t.Context(), pattern)
	if err != nil {
		t.Fatalf("files %s: %v", pattern, err)
	}
	for _, f := range files {
		if ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(path.Base(f.Path))); err != nil || !ok {
			t.Errorf("%s does not match %s", f.Path, pattern)
		}
	}
	return files
}

func (s *suite) files(t *testing.T) {
	all := s.list(t, "*")
	kinds := map[string]winlog.Kind{}
	for _, f := range all {
		kinds[path.Base(f.Path)] = f.Kind
		if _, ok := s.want.Files[path.Base(f.Path)]; !ok && s.want.Only {
			t.Errorf("lists %s", f.Path)
		}
	}
	for name, kind := range s.want.Files {
		if got, ok := kinds[name]; !ok || got != kind {
			t.Errorf("%s: listed %v as %q, want %q", name, ok, got, kind)
		}
		for _, pattern := range []string{name, strings.ToUpper(name), strings.ToLower(name), "*" + path.Ext(name)} {
			if !slices.ContainsFunc(s.list(t, pattern), func(f host.File) bool { return path.Base(f.Path) == name }) {
				t.Errorf("the pattern %s does not list %s", pattern, name)
			}
		}
	}
	again := s.list(t, "*")
	if !slices.EqualFunc(all, again, func(a, b host.File) bool { return a.Path == b.Path }) && s.want.Only {
		t.Error("listing again gives another order")
	}
	if got := s.list(t, "no-such-file.*"); len(got) > 0 {
		t.Errorf("no-such-file.* lists %d files", len(got))
	}
	if _, err := s.h.Files(t.Context(), "[bad"); !errors.Is(err, path.ErrBadPattern) {
		t.Errorf("a malformed pattern gives %v", err)
	}
	if _, err := s.h.Open(t.Context(), host.File{Path: "nobody/listed/this"}); !errors.Is(err, host.ErrNotExist) && !errors.Is(err, host.ErrNotRecorded) {
		t.Errorf("opening a file that was not listed gives %v", err)
	}
}

// read returns a file's content, which is the same however often it is opened.
func (s *suite) read(t *testing.T, name string) string {
	t.Helper()
	files := s.list(t, name)
	if len(files) == 0 {
		t.Errorf("%s is not listed", name)
		return ""
	}
	var before string
	for i := range 2 {
		rc, err := s.h.Open(t.Context(), files[0])
		if err != nil {
			t.Errorf("open %s: %v", name, err)
			return ""
		}
		b, err := io.ReadAll(io.LimitReader(rc, 16<<20))
		if err != nil {
			t.Errorf("read %s: %v", name, err)
		}
		if err := rc.Close(); err != nil {
			t.Errorf("close %s: %v", name, err)
		}
		if i == 1 && !strings.HasPrefix(string(b), before) {
			t.Errorf("%s reads otherwise when opened again", name)
		}
		before = string(b)
	}
	return before
}

func (s *suite) content(t *testing.T) {
	for name, want := range s.want.Content {
		if got := s.read(t, name); got != want {
			t.Errorf("%s holds %.80q, want %.80q", name, got, want)
		}
	}
	for name, want := range s.want.Begin {
		if got := s.read(t, name); !strings.HasPrefix(got, want) {
			t.Errorf("%s holds %.80q, want %.80q", name, got, want)
		}
	}
}

func (s *suite) registry(t *testing.T) {
	for _, v := range s.want.Values {
		for _, p := range []string{v.Key, strings.ToUpper(v.Key), strings.ToLower(v.Key)} {
			k, err := s.h.Key(t.Context(), p)
			if err != nil {
				t.Errorf("key %s: %v", p, err)
				continue
			}
			if k.Source == "" {
				t.Errorf("key %s does not say where it was read", p)
			}
			got, ok := k.Value(strings.ToUpper(v.Name))
			text, _ := got.String()
			number, _ := got.DWord()
			if !ok || v.Text != "" && text != v.Text || v.Text == "" && number != v.Number {
				t.Errorf("%s %s: found %v, %q %d; want %q %d", p, v.Name, ok, text, number, v.Text, v.Number)
			}
		}
	}
	for _, v := range s.want.NoValues {
		k, err := s.h.Key(t.Context(), v.Key)
		if err != nil || k.Partial {
			t.Errorf("key %s: partial %v, %v", v.Key, k.Partial, err)
		}
		if _, ok := k.Value(v.Name); ok {
			t.Errorf("%s has a value %s", v.Key, v.Name)
		}
	}
	for _, v := range s.want.Subkeys {
		k, err := s.h.Key(t.Context(), v.Key)
		if err != nil || !slices.ContainsFunc(k.Subkeys, func(n string) bool { return strings.EqualFold(n, v.Name) }) {
			t.Errorf("key %s has the subkeys %q, want %s among them; %v", v.Key, k.Subkeys, v.Name, err)
		}
	}
	for _, p := range s.want.NoKeys {
		if _, err := s.h.Key(t.Context(), p); !errors.Is(err, host.ErrNotExist) {
			t.Errorf("key %s: %v, want %v", p, err, host.ErrNotExist)
		}
	}
	for _, p := range s.want.Unasked {
		if _, err := s.h.Key(t.Context(), p); !errors.Is(err, host.ErrNotRecorded) {
			t.Errorf("key %s: %v, want %v", p, err, host.ErrNotRecorded)
		}
	}
}

func (s *suite) services(t *testing.T) {
	for name, want := range s.want.Services {
		for _, n := range []string{name, strings.ToUpper(name)} {
			got, err := s.h.Service(t.Context(), n)
			if err != nil {
				t.Errorf("service %s: %v", n, err)
				continue
			}
			if got.State != want.State || got.Start != want.Start ||
				want.Account != "" && got.Account != want.Account || want.Binary != "" && got.Binary != want.Binary {
				t.Errorf("service %s: %+v, want %+v", n, got, want)
			}
			if got.Source == "" {
				t.Errorf("service %s does not say where it was read", n)
			}
		}
	}
	for _, name := range s.want.NoServices {
		if _, err := s.h.Service(t.Context(), name); !errors.Is(err, host.ErrNotExist) {
			t.Errorf("service %s: %v, want %v", name, err, host.ErrNotExist)
		}
	}
	for _, name := range s.want.UnaskedServices {
		if _, err := s.h.Service(t.Context(), name); !errors.Is(err, host.ErrNotRecorded) {
			t.Errorf("service %s: %v, want %v", name, err, host.ErrNotRecorded)
		}
	}
}

func (s *suite) answers(t *testing.T) {
	for name, want := range s.want.Answers {
		got, err := s.h.Ask(t.Context(), host.Question{Name: name})
		if err != nil {
			t.Errorf("ask %s: %v", name, err)
			continue
		}
		if !json.Valid(got.JSON) || strings.TrimSpace(string(got.JSON)) != strings.TrimSpace(want) || got.Source == "" {
			t.Errorf("ask %s: %s from %q, want %s", name, got.JSON, got.Source, want)
		}
	}
	for _, name := range append([]string{"nobody-asks-this"}, s.want.UnaskedAnswers...) {
		_, err := s.h.Ask(t.Context(), host.Question{Name: name})
		if !errors.Is(err, host.ErrNotRecorded) && !errors.Is(err, host.ErrNotExist) {
			t.Errorf("ask %s: %v", name, err)
		}
	}
}

// concurrently asks everything from several goroutines at once, for the race
// detector and for hosts that fill something in on first use.
func (s *suite) concurrently(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, v := range s.want.Values {
				if k, err := s.h.Key(t.Context(), v.Key); err != nil {
					t.Errorf("key %s: %v", v.Key, err)
				} else if _, ok := k.Value(v.Name); !ok {
					t.Errorf("%s lost its value %s", v.Key, v.Name)
				}
			}
			for name, want := range s.want.Content {
				if got := s.read(t, name); got != want {
					t.Errorf("%s reads otherwise among others", name)
				}
			}
		})
	}
	wg.Wait()
}

// cancelled holds that a question whose asker left is no answer: it may come
// from memory, but it never turns what is there into what does not exist.
func (s *suite) cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, v := range s.want.Values {
		if _, err := s.h.Key(ctx, v.Key); errors.Is(err, host.ErrNotExist) {
			t.Errorf("key %s does not exist, says a host that was not given the time to look", v.Key)
		}
	}
	for name := range s.want.Services {
		if _, err := s.h.Service(ctx, name); errors.Is(err, host.ErrNotExist) {
			t.Errorf("service %s does not exist, says a host that was not given the time to look", name)
		}
	}
}
