package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"

	"updoc/internal/host"
	"updoc/internal/sorted"
	"updoc/internal/winlog"
)

// registry is a registry, by lower-case path. A key that is there has all its
// parents; the roots are always there.
type registry map[string]*regKey

type regKey struct {
	Path   string            `json:"path"`
	Values []winlog.RegValue `json:"values,omitempty"`
}

// MarshalJSON writes the keys in their order.
func (r registry) MarshalJSON() ([]byte, error) {
	list := make([]*regKey, 0, len(r))
	for _, p := range slices.Sorted(maps.Keys(r)) {
		list = append(list, r[p])
	}
	return json.Marshal(list)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *registry) UnmarshalJSON(b []byte) error {
	var list []*regKey
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*r = registry{}
	for _, k := range list {
		(*r)[strings.ToLower(k.Path)] = k
	}
	return nil
}

// read lays an export over the registry.
func (r registry) read(export []byte) error {
	return winlog.ReadRegExport(context.Background(), bytes.NewReader(export), func(e winlog.RegEntry) error {
		switch {
		case e.Deleted && e.HasValue:
			r.del(e.Key, e.Name)
		case e.Deleted:
			r.drop(e.Key)
		case e.HasValue:
			r.set(e.Key, e.Name, e.RegValue)
		default:
			r.make(e.Key)
		}
		return nil
	})
}

// parent returns the key that a key lies in, "" for those below a root.
func parent(key string) string {
	i := strings.LastIndexByte(key, '\\')
	if i < 0 || !strings.Contains(key[:i], `\`) {
		return ""
	}
	return key[:i]
}

func (r registry) key(p string) *regKey { return r[strings.ToLower(p)] }

// make makes a key with its parents. HKCR and HKCU are keys of their own here.
func (r registry) make(p string) *regKey {
	if k := r.key(p); k != nil {
		return k
	}
	if up := parent(p); up != "" {
		p = r.make(up).Path + p[len(up):]
	}
	k := &regKey{Path: p}
	r[strings.ToLower(p)] = k
	return k
}

// drop removes a key and all below it.
func (r registry) drop(p string) {
	low := strings.ToLower(p)
	maps.DeleteFunc(r, func(q string, _ *regKey) bool { return q == low || strings.HasPrefix(q, low+`\`) })
}

func (r registry) value(p, name string) (winlog.RegValue, bool) {
	if k := r.key(p); k != nil {
		return host.Key{Values: k.Values}.Value(name)
	}
	return winlog.RegValue{}, false
}

func (r registry) set(p, name string, v winlog.RegValue) {
	k := r.make(p)
	v.Name, v.Data = name, slices.Clone(v.Data)
	for i := range k.Values {
		if strings.EqualFold(k.Values[i].Name, name) {
			v.Name = k.Values[i].Name // a value keeps the letter case it was made with
			k.Values[i] = v
			return
		}
	}
	k.Values = append(k.Values, v)
	sorted.By(k.Values, func(a, b winlog.RegValue) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
}

func (r registry) del(p, name string) {
	if k := r.key(p); k != nil {
		k.Values = slices.DeleteFunc(k.Values, func(v winlog.RegValue) bool { return strings.EqualFold(v.Name, name) })
	}
}

// subkeys returns the names below a key.
func (r registry) subkeys(p string) []string {
	var out []string
	low := strings.ToLower(p) + `\`
	for q, k := range r {
		if rest, ok := strings.CutPrefix(q, low); ok && !strings.Contains(rest, `\`) {
			out = append(out, k.Path[len(low):])
		}
	}
	slices.Sort(out)
	return out
}

// text returns a text value, "" if there is none.
func (r registry) text(p, name string) string {
	v, _ := r.value(p, name)
	s, _ := v.String()
	return s
}

func (r registry) number(p, name string) (uint32, bool) {
	v, _ := r.value(p, name)
	return v.DWord()
}

// on reports whether a number is there and not 0.
func (r registry) on(p, name string) bool {
	n, ok := r.number(p, name)
	return ok && n != 0
}

func dword(n uint32) winlog.RegValue {
	return winlog.RegValue{Type: winlog.RegDWord, Data: binary.LittleEndian.AppendUint32(nil, n)}
}

func sz(kind uint32, s string) winlog.RegValue {
	var b []byte
	for _, u := range utf16.Encode([]rune(s + "\x00")) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return winlog.RegValue{Type: kind, Data: b}
}

func multi(list ...string) winlog.RegValue {
	return sz(winlog.RegMultiSZ, strings.Join(list, "\x00")+"\x00")
}

// Key implements [host.Reader]. Everything is known: what is not there does not exist.
func (m *Machine) Key(ctx context.Context, p string) (host.Key, error) {
	if err := ctx.Err(); err != nil {
		return host.Key{}, fmt.Errorf("key %s: %w", p, err)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.now.Registry.answer(p)
}

// answer returns a key as whoever asks for it gets it.
func (r registry) answer(p string) (host.Key, error) {
	if root, rest, _ := strings.Cut(p, `\`); rest == "" {
		return host.Key{Path: root, Subkeys: r.subkeys(root), Source: p}, nil
	}
	k := r.key(p)
	if k == nil {
		return host.Key{Source: p}, fmt.Errorf("key %s: %w", p, host.ErrNotExist)
	}
	return host.Key{Path: k.Path, Values: slices.Clone(k.Values), Subkeys: r.subkeys(p), Source: k.Path}, nil
}

// missingKeys lists a key and those of its parents that do not exist, deepest first.
func (r registry) missingKeys(p string) []host.Change {
	var out []host.Change
	for ; p != "" && r.key(p) == nil; p = parent(p) {
		out = append(out, host.Change{Kind: host.KeyDrop, Path: p})
	}
	return out
}

// inverseKey is the inverse of a change of the registry.
func (r registry) inverse(c host.Change) []host.Change {
	is := []host.Change{c}
	k := r.key(c.Path)
	old, there := r.value(c.Path, c.Name)
	switch c.Kind {
	case host.KeyMake:
		if k != nil {
			return is
		}
		return r.missingKeys(c.Path)
	case host.KeyDrop:
		if k == nil {
			return is
		}
		return []host.Change{{Kind: host.KeyMake, Path: c.Path}}
	case host.ValueSet:
		switch {
		case there && old.Type == c.Value.Type && bytes.Equal(old.Data, c.Value.Data):
			return is
		case there:
			return []host.Change{host.Set(c.Path, c.Name, old)}
		}
		return append([]host.Change{{Kind: host.ValueDel, Path: c.Path, Name: c.Name}}, r.missingKeys(c.Path)...)
	case host.ValueDel:
		if there {
			return []host.Change{host.Set(c.Path, c.Name, old)}
		}
		return is
	}
	return nil
}

// apply makes a change of the registry.
func (r registry) apply(c host.Change) error {
	switch c.Kind {
	case host.KeyMake:
		r.make(c.Path)
	case host.KeyDrop:
		if k := r.key(c.Path); k != nil && (len(k.Values) > 0 || len(r.subkeys(c.Path)) > 0) {
			return fmt.Errorf("%w: the key is not empty", host.ErrInTheWay)
		}
		r.drop(c.Path)
	case host.ValueSet:
		r.set(c.Path, c.Name, *c.Value)
	case host.ValueDel:
		r.del(c.Path, c.Name)
	default:
		return errors.ErrUnsupported
	}
	return nil
}
