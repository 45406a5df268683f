package host

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"updoc/internal/winlog"
)

// bundle is what a manifest in the evidence leads to. It does not change once it
// was opened.
type bundle struct {
	dir      string // where the manifest lies
	manifest Manifest

	keys     map[string]keyAnswer // by lower-case path
	services map[string]serviceAnswer
	asked    map[string]askAnswer // by the question's id
}

// Redacted reports that names in the evidence are pseudonyms already: all of it, or
// a part, is a bundle that was redacted.
func (r *Recorded) Redacted() bool {
	return slices.ContainsFunc(r.bundles, func(b *bundle) bool { return b.manifest.Redaction != nil })
}

// addManifest takes a file for a bundle's manifest if it is one.
func (r *Recorded) addManifest(f File, head []byte) bool {
	if !bytes.Contains(head, []byte(`"`+schemaPrefix)) {
		return false
	}
	if len(r.bundles) >= maxBundles {
		r.gap("%s: more than %d bundles, what this one holds is read as loose files", f.Path, maxBundles)
		return false
	}
	b, err := readWhole(f, maxManifest)
	var m Manifest
	if err == nil {
		m, err = readManifest(b)
	}
	if err != nil {
		r.gap("%s: %v", f.Path, reason(err))
		return false
	}
	r.bundles = append(r.bundles, &bundle{dir: path.Dir(f.Path), manifest: m})
	return true
}

func readWhole(f File, limit int64) ([]byte, error) {
	rc, err := f.open()
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	b, err := io.ReadAll(io.LimitReader(rc, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("larger than %d bytes", limit)
	}
	return b, err
}

// openBundles reads the answers of the bundles and gives their evidence the kinds
// and the order that it had on the machine. What somebody has put into a bundle
// later is evidence like any other.
func (r *Recorded) openBundles(ctx context.Context) error {
	for _, b := range r.bundles {
		at := make(map[string]int, len(r.files))
		for i, f := range r.files {
			at[f.Path] = i
		}
		own := map[int]bool{} // files of the bundle
		parts := map[string][]File{}
		var evidence []File
		for _, m := range b.manifest.Files {
			i, ok := at[path.Join(b.dir, m.Name)]
			if !ok || own[i] {
				if m.Role != MemberNote && !ok {
					r.gap("%s: named in the manifest and not there", path.Join(b.dir, m.Name))
				}
				continue
			}
			own[i] = true
			f := r.files[i]
			f.open = check(f.open, m.SHA256)
			if m.Role != MemberEvidence {
				parts[m.Role] = append(parts[m.Role], f)
				continue
			}
			f.Path = path.Join(b.dir, strings.TrimPrefix(m.Name, evidenceDir))
			f.Modified = m.Modified
			if text := f.Kind != winlog.EVTX && f.Kind != winlog.RegHive; text && isText(m.Kind) {
				f.Kind = m.Kind
			}
			if m.Cut != nil {
				r.gap("%s: %d MB of it were left out when it was collected", f.Path, max(m.Cut.Bytes>>20, 1))
			}
			evidence = append(evidence, f)
		}
		for i, f := range r.files {
			if !own[i] {
				evidence = append(evidence, f)
			}
		}
		r.files = evidence
		for _, u := range b.manifest.Unread {
			if u.Kind == "file" {
				r.gap("%s: %s", u.What, u.Why)
			}
		}
		b.open(r, parts)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// isText reports a kind that a manifest may give to a file. What the first bytes
// tell is not for a manifest to say.
func isText(k winlog.Kind) bool {
	switch k {
	case winlog.Unknown, winlog.EVTX, winlog.ETL, winlog.RegHive, winlog.Archive, winlog.Binary:
		return false
	}
	return true
}

// open reads the answers. What cannot be read is a gap.
func (b *bundle) open(r *Recorded, parts map[string][]File) {
	each := func(role string, limit int64, read func([]byte) error) {
		for _, f := range parts[role] {
			text, err := readWhole(f, limit)
			if errors.Is(err, errChanged) {
				r.gap("%s: %v", f.Path, err)
				err = nil
			}
			if err == nil {
				err = read(text)
			}
			if err != nil {
				r.gap("%s: %v", f.Path, reason(err))
			}
		}
	}
	each(MemberKeys, maxManifest, b.readKeys)
	for _, f := range parts[MemberRegistry] {
		if err := b.readValues(f); err != nil {
			r.gap("%s: %v", f.Path, reason(err))
		}
	}
	each(MemberServices, maxManifest, b.readServices)

	b.asked = map[string]askAnswer{}
	texts := map[string][]byte{}
	for _, f := range parts[MemberAnswer] {
		text, err := readWhole(f, maxAnswer)
		if err == nil && !json.Valid(text) {
			err = errors.New("not JSON")
		}
		if err != nil {
			r.gap("%s: %v", f.Path, reason(err))
		}
		if err == nil || errors.Is(err, errChanged) && json.Valid(text) {
			texts[f.Path] = text
		}
	}
	for _, a := range b.manifest.Answers {
		x := askAnswer{Question: a.Question, Answer: Answer{Source: a.Source}}
		name := path.Join(b.dir, a.File)
		x.JSON = texts[name]
		x.err = a.State.error("answer "+a.Name, a.Why, x.JSON != nil)
		if x.err == nil {
			x.Source = cmp.Or(a.Source, name)
		}
		b.asked[a.id()] = x
	}
}

// errFailed is the answer where looking failed and the bundle does not say how.
var errFailed = errors.New("could not be read")

// error is what an answer of a state was; there says that the value is at hand.
func (s AnswerState) error(what, why string, there bool) error {
	switch s {
	case StatePresent:
		if there {
			return nil
		}
	case StateAbsent:
		return fmt.Errorf("%s: %w", what, ErrNotExist)
	case StateDenied:
		return fmt.Errorf("%s: %w", what, ErrDenied)
	case StateFailed:
		if why != "" {
			return errors.New(why)
		}
		return fmt.Errorf("%s: %w", what, errFailed)
	}
	return fmt.Errorf("%s: %w", what, ErrNotRecorded)
}

func (b *bundle) readKeys(text []byte) error {
	var list []keyEntry
	if err := decode(text, &list); err != nil {
		return err
	}
	b.keys = make(map[string]keyAnswer, len(list))
	for _, e := range list {
		a := keyAnswer{path: e.Path, err: e.State.error("key "+e.Path, e.Why, true)}
		a.Source = e.Source
		if a.err == nil {
			a.Key = Key{Path: e.Path, Subkeys: e.Subkeys, Source: cmp.Or(e.Source, keysName), Partial: e.Partial}
		}
		b.keys[strings.ToLower(e.Path)] = a
	}
	return nil
}

// readValues fills in the values. A key whose values are cut off is partial.
func (b *bundle) readValues(f File) error {
	rc, err := f.open()
	if err != nil {
		return err
	}
	defer rc.Close()
	seen := map[string]bool{}
	left := int64(maxRegBytes)
	src := &forgiving{src: rc}
	err = winlog.ReadRegExport(context.Background(), src, func(e winlog.RegEntry) error {
		if left -= int64(len(e.Key) + len(e.Name) + len(e.Data) + regEntryBytes); left < 0 {
			return errTooMany
		}
		id := strings.ToLower(e.Key)
		k, ok := b.keys[id]
		if !ok || k.err != nil || e.Deleted {
			return nil
		}
		if seen[id] = true; e.HasValue {
			k.Values = append(k.Values, e.RegValue)
			b.keys[id] = k
		}
		return nil
	})
	for id, k := range b.keys {
		if k.err == nil && (err != nil || !seen[id]) {
			k.Partial = true
			b.keys[id] = k
		}
	}
	return cmp.Or(err, src.changed)
}

// forgiving reads on to the end what was changed, and remembers it.
type forgiving struct {
	src     io.Reader
	changed error
}

func (f *forgiving) Read(p []byte) (int, error) {
	n, err := f.src.Read(p)
	if errors.Is(err, errChanged) {
		f.changed, err = err, io.EOF
	}
	return n, err
}

func (b *bundle) readServices(text []byte) error {
	var list map[string]serviceEntry
	if err := decode(text, &list); err != nil {
		return err
	}
	b.services = make(map[string]serviceAnswer, len(list))
	for _, name := range slices.Sorted(maps.Keys(list)) {
		e := list[name]
		a := serviceAnswer{name: name, err: e.State.error("service "+name, e.Why, e.Service != nil)}
		if a.Source = e.Source; a.err == nil {
			a.Service = *e.Service
			a.Source = cmp.Or(e.Source, servicesName)
		}
		b.services[strings.ToLower(name)] = a
	}
	return nil
}

// errNotInBundle says that a bundle has nothing to say of a key.
var errNotInBundle = errors.New("not in the bundle")

// key answers as the machine did. Of a key that nobody asked for, the one above it
// may tell that it does not exist.
func (b *bundle) key(p string) (Key, error) {
	for _, id := range []string{strings.ToLower(p), strings.ToLower(canonical(p))} {
		if a, ok := b.keys[id]; ok {
			if errors.Is(a.err, ErrNotRecorded) && len(b.keys) > 0 && a.Source == "" {
				return Key{}, errNotInBundle // an export beside it may know
			}
			return a.Key, a.err
		}
	}
	for id := strings.ToLower(canonical(p)); ; {
		i := strings.LastIndexByte(id, '\\')
		if i < 0 {
			return Key{}, errNotInBundle
		}
		below, _, _ := strings.Cut(strings.ToLower(canonical(p))[i+1:], `\`)
		id = id[:i]
		a, ok := b.keys[id]
		switch {
		case !ok:
			continue
		case errors.Is(a.err, ErrNotExist),
			a.err == nil && !a.Partial && !slices.ContainsFunc(a.Subkeys, func(s string) bool { return equalFold(s, below) }):
			return Key{Source: a.Source}, fmt.Errorf("key %s: %w", p, ErrNotExist)
		}
		return Key{}, errNotInBundle
	}
}

// errChanged says that a member of a bundle is not what was collected.
var errChanged = errors.New("it is not what was collected: its SHA-256 is another one than the manifest's")

// check makes what is opened compare itself with its sum when its end is read.
func check(open func() (io.ReadCloser, error), sum string) func() (io.ReadCloser, error) {
	want, err := hex.DecodeString(sum)
	if err != nil || len(want) != sha256.Size {
		return open
	}
	return func() (io.ReadCloser, error) {
		rc, err := open()
		if err != nil {
			return nil, err
		}
		return &checked{ReadCloser: rc, sum: sha256.New(), want: want}, nil
	}
}

type checked struct {
	io.ReadCloser
	sum  hash.Hash
	want []byte
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.sum.Write(p[:n])
	if errors.Is(err, io.EOF) && !bytes.Equal(c.sum.Sum(nil), c.want) {
		return n, errChanged
	}
	return n, err
}
