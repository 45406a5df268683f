package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"updoc/internal/winlog"
)

// registry is what the exports and hives of the evidence hold, by lower-case path.
type registry struct {
	keys map[string]*Key
	errs []string
}

// readRegistry reads every registry export and hive of the evidence.
func readRegistry(r *Recorded) *registry {
	reg := &registry{keys: map[string]*Key{}}
	for _, f := range r.files {
		var err error
		switch f.Kind {
		case winlog.RegExport:
			err = reg.readExport(f)
		case winlog.RegHive:
			err = reg.readHive(r, f)
		}
		if err != nil {
			reg.errs = append(reg.errs, fmt.Sprintf("%s: %v", f.Path, err))
		}
	}
	return reg
}

var errTooMany = fmt.Errorf("more than %d values, the rest is not read", maxRegEntries)

func (reg *registry) readExport(f File) error {
	rc, err := f.open()
	if err != nil {
		return err
	}
	defer rc.Close()
	n := 0
	return winlog.ReadRegExport(context.Background(), rc, func(e winlog.RegEntry) error {
		if n++; n > maxRegEntries {
			return errTooMany
		}
		reg.add(e, fmt.Sprintf("%s:%d", path.Base(f.Path), e.Line))
		return nil
	})
}

func (reg *registry) readHive(r *Recorded, f File) error {
	rc, err := f.open()
	if err != nil {
		return err
	}
	defer rc.Close()
	ra, ok := rc.(io.ReaderAt)
	size := f.Size
	if !ok {
		file, n, err := r.spool(rc)
		if err != nil {
			return err
		}
		defer file.Close()
		ra, size = file, n
	}
	if size > maxHiveBytes {
		return fmt.Errorf("hive of %d bytes: too large", size)
	}
	root := winlog.HiveRoot(path.Base(f.Path))
	if root == "" {
		return errors.New("a hive whose name does not tell where it belongs")
	}
	n := 0
	return winlog.ReadHive(context.Background(), ra, size, root, func(e winlog.RegEntry) error {
		if n++; n > maxRegEntries {
			return errTooMany
		}
		reg.add(e, path.Base(f.Path)+" "+e.Key)
		return nil
	})
}

// add files one entry under its key and the key under its parents.
func (reg *registry) add(e winlog.RegEntry, source string) {
	if e.Deleted {
		return
	}
	k := reg.key(canonical(e.Key), source)
	if e.HasValue {
		k.Values = append(k.Values, e.RegValue)
	}
}

func (reg *registry) key(p, source string) *Key {
	low := strings.ToLower(p)
	if k, ok := reg.keys[low]; ok {
		return k
	}
	k := &Key{Path: p, Source: source}
	reg.keys[low] = k
	if i := strings.LastIndexByte(p, '\\'); i > 0 {
		if parent, ok := reg.keys[strings.ToLower(p[:i])]; ok {
			parent.Subkeys = append(parent.Subkeys, p[i+1:])
		}
	}
	return k
}

// canonical maps the numbered control sets of hives and exports to the current
// one: evidence rarely holds more than that, and causes ask for it by this name.
func canonical(p string) string {
	const set = `hklm\system\controlset00`
	if low := strings.ToLower(p); strings.HasPrefix(low, set) && len(p) > len(set) {
		return `HKLM\SYSTEM\CurrentControlSet` + p[len(set)+1:]
	}
	return p
}

// Key answers from exports and hives. A key that is missing below an exported
// one does not exist; anything else was not recorded.
func (r *Recorded) Key(_ context.Context, p string) (Key, error) {
	reg := r.registry()
	low := strings.ToLower(canonical(p))
	if k, ok := reg.keys[low]; ok {
		return *k, nil
	}
	for q := low; ; {
		i := strings.LastIndexByte(q, '\\')
		if i < 0 {
			return Key{}, fmt.Errorf("key %s: %w", p, ErrNotRecorded)
		}
		q = q[:i]
		if k, ok := reg.keys[q]; ok && !k.Partial {
			return Key{Source: k.Source}, fmt.Errorf("key %s: %w", p, ErrNotExist)
		}
	}
}

// Service answers from the Services keys of the registry, where they were
// recorded. Outputs of sc are files: facts reads those itself.
func (r *Recorded) Service(ctx context.Context, name string) (Service, error) {
	k, err := r.Key(ctx, `HKLM\SYSTEM\CurrentControlSet\Services\`+name)
	if err != nil {
		return Service{}, fmt.Errorf("service %s: %w", name, errors.Unwrap(err))
	}
	s := Service{Name: name, State: -1, Start: -1, Source: k.Source}
	if v, ok := k.Value("Start"); ok {
		if n, ok := v.DWord(); ok && n <= 4 {
			s.Start = int(n)
		}
	}
	if v, ok := k.Value("ImagePath"); ok {
		s.Binary, _ = v.String()
	}
	if v, ok := k.Value("ObjectName"); ok {
		s.Account, _ = v.String()
	}
	return s, nil
}

// RegistryErrors lists exports and hives that could not be read to their end.
func (r *Recorded) RegistryErrors() []string { return r.registry().errs }
