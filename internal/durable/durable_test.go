package durable_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"updoc/internal/durable"
)

// A file that is replaced holds the old or the new text after a crash at any
// point, and the new one once WriteFile returned.
func TestWriteFileSurvives(t *testing.T) {
	const before, after = "what it held before", "and what it holds from now on, which is longer"
	for cut := range 12 {
		for seed := range uint64(20) {
			l := durable.NewLossy(seed)
			if err := durable.WriteFile(l, "dir/file", []byte(before)); err != nil {
				t.Fatal(err)
			}
			calls := 0
			l.Before = func(string) bool { calls++; return calls <= cut }
			err := durable.WriteFile(l, "dir/file", []byte(after))
			l.Before = nil
			l.Crash()
			b, rerr := l.ReadFile("dir/file")
			switch {
			case rerr != nil:
				t.Fatalf("cut %d, seed %d: %v", cut, seed, rerr)
			case string(b) != before && string(b) != after:
				t.Fatalf("cut %d, seed %d: holds %q", cut, seed, b)
			case err == nil && string(b) != after:
				t.Fatalf("cut %d, seed %d: it returned, and %q is there", cut, seed, b)
			case cut == 0 && err == nil:
				t.Fatal("the power was never cut")
			}
		}
	}
}

// The file system keeps no promise that it did not make: what was not synced is
// lost for some seed, and part of it for another.
func TestLossyLoses(t *testing.T) {
	kept := map[string]bool{}
	for seed := range uint64(100) {
		l := durable.NewLossy(seed)
		f, err := l.Create("dir/file")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("abc")); err != nil {
			t.Fatal(err)
		}
		l.Crash()
		b, err := l.ReadFile("dir/file")
		if errors.Is(err, fs.ErrNotExist) {
			kept["no file"] = true
			continue
		}
		kept[string(b)] = true
	}
	for _, want := range []string{"no file", "", "a", "ab", "abc"} {
		if !kept[want] {
			t.Errorf("no seed leaves %q: %v", want, kept)
		}
	}
}

func TestOS(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file")
	for _, text := range []string{"one", "another"} {
		if err := durable.WriteFile(durable.OS{}, name, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if b, err := (durable.OS{}).ReadFile(name); err != nil || string(b) != text {
			t.Errorf("%q, %v", b, err)
		}
	}
	f, err := durable.OS{}.Append(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(" and more")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if b, _ := (durable.OS{}).ReadFile(name); string(b) != "another and more" {
		t.Errorf("%q", b)
	}
	if names, err := (durable.OS{}).ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
	if err := durable.WriteFile(durable.OS{}, filepath.Join(dir, "none", "file"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there gives %v", err)
	}
}

func TestLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	release, err := durable.Lock(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := durable.Lock(name); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if release, err = durable.Lock(name); err != nil {
		t.Fatalf("after the first was given back: %v", err)
	}
	release()
}
