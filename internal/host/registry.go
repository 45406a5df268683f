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

// registry is what the exports of the evidence hold, by lower-case path, and the
// hives, which are looked into key by key: a SOFTWARE hive holds a million values.
type registry struct {
	keys  map[string]*Key
	hives []hive
	gaps  []string
}

type hive struct {
	src  io.ReaderAt
	size int64
	root string // HKLM\SOFTWARE
	name string // SOFTWARE, for quotes
}

// readRegistry reads the exports of the evidence and opens its hives.
func readRegistry(r *Recorded) *registry {
	reg := &registry{keys: map[string]*Key{}}
	for _, f := range r.files {
		var err error
		switch f.Kind {
		case winlog.RegExport:
			err = reg.readExport(f)
		case winlog.RegHive:
			err = reg.openHive(r, f)
		}
		if err != nil {
			reg.gaps = append(reg.gaps, fmt.Sprintf("%s: %v", f.Path, err))
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

// openHive keeps a hive open for Key.
func (reg *registry) openHive(r *Recorded, f File) error {
	name := path.Base(f.Path)
	root := winlog.HiveRoot(name)
	if root == "" {
		return errors.New("a hive whose name does not tell where it belongs")
	}
	if f.Size > maxHiveBytes {
		return fmt.Errorf("a hive of %d bytes is too large", f.Size)
	}
	rc, err := f.open()
	if err != nil {
		return err
	}
	ra, ok := rc.(io.ReaderAt)
	size := f.Size
	if !ok {
		file, n, err := r.spool(rc)
		rc.Close()
		if err != nil {
			return err
		}
		ra, size, rc = file, n, file
	}
	r.closers = append(r.closers, rc)
	reg.hives = append(reg.hives, hive{ra, size, root, name})
	return nil
}

// key looks one key up in a hive. A hive whose last changes were not written back
// is answered from as it is.
func (h hive) key(ctx context.Context, p string) (Key, bool) {
	k, found := Key{Path: p, Source: h.name + " " + p}, false
	n := 0
	err := winlog.HiveKeys(ctx, h.src, h.size, h.root, []string{p}, func(e winlog.RegEntry) error {
		if n++; n > maxRegEntries {
			return errTooMany
		}
		switch below, ok := cutPrefixFold(e.Key, p); {
		case !ok:
		case below == "":
			found = true
			if e.HasValue {
				k.Values = append(k.Values, e.RegValue)
			}
		case !e.HasValue && strings.Count(below, `\`) == 1:
			k.Subkeys = append(k.Subkeys, below[1:])
		}
		return nil
	})
	k.Partial = err != nil && !errors.Is(err, winlog.ErrHiveDirty)
	return k, found
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
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

// canonical maps the first control set of an export to the current one, which it
// is on nearly every machine; causes ask for the current one. Hives name their
// current set themselves.
func canonical(p string) string {
	if rest, ok := cutPrefixFold(p, `HKLM\SYSTEM\ControlSet001`); ok {
		return `HKLM\SYSTEM\CurrentControlSet` + rest
	}
	return p
}

// Key answers from exports and hives. A key that is missing below an exported
// one does not exist; anything else was not recorded.
func (r *Recorded) Key(ctx context.Context, p string) (Key, error) {
	reg := r.registry()
	low := strings.ToLower(canonical(p))
	if k, ok := reg.keys[low]; ok {
		return *k, nil
	}
	for _, h := range reg.hives {
		if _, ok := cutPrefixFold(p, h.root+`\`); !ok {
			continue
		}
		if k, ok := h.key(ctx, p); ok {
			return k, nil
		}
		return Key{Source: h.name + " " + p}, fmt.Errorf("key %s: %w", p, ErrNotExist)
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
