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
	left  int64 // bytes that may still be kept
	cut   bool  // something was not read to its end: what is missing is unknown
}

// Bounds of what is kept of exports, and of what one key of a hive may hold.
const (
	maxRegBytes   = 128 << 20
	maxRegEntries = 2_000_000
	regEntryBytes = 160 // what an entry takes besides its name and data
)

type hive struct {
	src  io.ReaderAt
	size int64
	root string // HKLM\SOFTWARE
	name string // SOFTWARE, for quotes
}

// registry reads the registry files when the first key is asked for. A reading
// that was cancelled is not kept.
func (r *Recorded) registry(ctx context.Context) (*registry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reg != nil {
		return r.reg, nil
	}
	reg, err := readRegistry(ctx, r)
	if err != nil {
		return nil, err
	}
	r.reg = reg
	return reg, nil
}

// readRegistry reads the exports of the evidence and opens its hives.
func readRegistry(ctx context.Context, r *Recorded) (*registry, error) {
	reg := &registry{keys: map[string]*Key{}, left: maxRegBytes}
	for _, f := range r.files {
		var err error
		switch f.Kind {
		case winlog.RegExport:
			err = reg.readExport(ctx, f)
		case winlog.RegHive:
			err = reg.openHive(ctx, r, f)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			reg.gaps = append(reg.gaps, fmt.Sprintf("%s: %v", f.Path, reason(err)))
		}
	}
	return reg, nil
}

var errTooMany = errors.New("too many registry values, the rest is not read")

func (reg *registry) readExport(ctx context.Context, f File) error {
	rc, err := f.open()
	if err != nil {
		return err
	}
	defer rc.Close()
	base := path.Base(f.Path)
	err = winlog.ReadRegExport(ctx, rc, func(e winlog.RegEntry) error {
		if reg.left -= int64(len(e.Key) + len(e.Name) + len(e.Data) + regEntryBytes); reg.left < 0 {
			return errTooMany
		}
		reg.add(e, base)
		return nil
	})
	var unread *winlog.UnreadError // single lines that made no sense
	reg.cut = reg.cut || err != nil && !errors.As(err, &unread)
	return err
}

// openHive keeps a hive open for Key.
func (reg *registry) openHive(ctx context.Context, r *Recorded, f File) error {
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
	src, size, err := r.random(ctx, rc, f.Size)
	if err != nil {
		return err
	}
	reg.hives = append(reg.hives, hive{src, size, root, name})
	return nil
}

// key looks one key up in a hive. A hive whose last changes were not written back
// is answered from as it is; one that is damaged leaves unknown what it did not give.
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
		case !e.HasValue && below[0] == '\\' && strings.Count(below, `\`) == 1:
			k.Subkeys = append(k.Subkeys, below[1:])
		}
		return nil
	})
	var unread *winlog.UnreadError
	k.Partial = errors.As(err, &unread) || err != nil && !errors.Is(err, winlog.ErrHiveDirty)
	return k, found
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

// add files one entry under its key and the key under its parents.
func (reg *registry) add(e winlog.RegEntry, file string) {
	if e.Deleted {
		return
	}
	k := reg.key(canonical(e.Key), file, e.Line)
	if e.HasValue {
		k.Values = append(k.Values, e.RegValue)
	}
}

func (reg *registry) key(p, file string, line int) *Key {
	low := strings.ToLower(p)
	if k, ok := reg.keys[low]; ok {
		return k
	}
	k := &Key{Path: p, Source: fmt.Sprintf("%s:%d", file, line)}
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

// Key answers from a bundle, exports and hives. A key that is missing below an exported
// one does not exist; anything else was not recorded.
func (r *Recorded) Key(ctx context.Context, p string) (Key, error) {
	for _, b := range r.bundles {
		if k, err := b.key(p); !errors.Is(err, errNotInBundle) {
			return k, err
		}
	}
	reg, err := r.registry(ctx)
	if err != nil {
		return Key{}, fmt.Errorf("key %s: %w", p, err)
	}
	low := strings.ToLower(canonical(p))
	if k, ok := reg.keys[low]; ok {
		key := *k
		key.Partial = key.Partial || reg.cut
		return key, nil
	}
	for _, h := range reg.hives {
		if _, ok := cutPrefixFold(p, h.root+`\`); !ok {
			continue
		}
		k, ok := h.key(ctx, p)
		switch {
		case ok:
			return k, nil
		case k.Partial:
			return Key{}, fmt.Errorf("key %s: %s is damaged: %w", p, h.name, ErrNotRecorded)
		}
		return Key{Source: k.Source}, fmt.Errorf("key %s: %w", p, ErrNotExist)
	}
	if reg.cut {
		return Key{}, fmt.Errorf("key %s: %w", p, ErrNotRecorded)
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

// Service answers from a bundle, or from the Services keys of the registry, where
// they were recorded. Outputs of sc are files: facts reads those itself.
func (r *Recorded) Service(ctx context.Context, name string) (Service, error) {
	for _, b := range r.bundles {
		if s, ok := b.services[strings.ToLower(name)]; ok {
			return s.Service, s.err
		}
	}
	k, err := r.Key(ctx, `HKLM\SYSTEM\CurrentControlSet\Services\`+name)
	if err != nil {
		return Service{Source: k.Source}, fmt.Errorf("service %s: %w", name, errors.Unwrap(err))
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
