package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// Overlay is a machine on which changes stand in memory alone, above whatever its
// Base answers: a cure is rehearsed on it without touching anything. What the base
// does not know of files is taken to be as a change expects it, so that a plan can
// be rehearsed on a bundle, which holds no folders; of everything else, what was
// not recorded stays unknown.
type Overlay struct {
	Base Reader
	// Strict says that the base knows every file there is: what it does not list does
	// not exist.
	Strict bool

	mu       sync.Mutex
	keys     map[string]*Key      // by lower-case path; nil: dropped
	services map[string]*overlaid // by lower-case name
	files    map[string]*node     // by lower-case path; nil: gone
	settings map[string]string    // by lower-case path
	ran      []Change
}

// overlaid is a service as the overlay has it.
type overlaid struct {
	Service
	delayed bool
	sddl    string
}

// node is a file or folder as the overlay has it.
type node struct {
	path     string
	folder   bool
	data     []byte
	modified time.Time
	sddl     string
}

// NewOverlay returns an overlay that changes nothing yet.
func NewOverlay(base Reader) *Overlay {
	return &Overlay{
		Base: base, keys: map[string]*Key{}, services: map[string]*overlaid{}, files: map[string]*node{}, settings: map[string]string{},
	}
}

// Ran returns the tools that would have run, in order.
func (o *Overlay) Ran() []Change {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.ran)
}

// Machine implements [Reader].
func (o *Overlay) Machine(ctx context.Context) (Machine, error) { return o.Base.Machine(ctx) }

// Files implements [Reader] with the base's files; what the overlay changed of them
// shows in Open.
func (o *Overlay) Files(ctx context.Context, pattern string) ([]File, error) {
	return o.Base.Files(ctx, pattern)
}

// Open implements [Reader].
func (o *Overlay) Open(ctx context.Context, f File) (io.ReadCloser, error) {
	o.mu.Lock()
	for _, n := range o.files {
		if n != nil && !n.folder && n.data != nil && onMachine(f.Path, n.path) {
			o.mu.Unlock()
			return io.NopCloser(strings.NewReader(string(n.data))), nil
		}
	}
	o.mu.Unlock()
	return o.Base.Open(ctx, f)
}

// onMachine reports whether a file, as it was found in evidence, is the machine's
// file of that path: evidence keeps the end of a path at least.
func onMachine(found, machine string) bool {
	found, machine = strings.ToLower(strings.ReplaceAll(found, `\`, "/")), strings.ToLower(strings.ReplaceAll(machine, `\`, "/"))
	return found == machine || path.Base(found) == path.Base(machine) && (!strings.Contains(found, "/") || strings.HasSuffix(machine, found) || strings.HasSuffix(found, machine[2:]))
}

// Ask implements [Reader].
func (o *Overlay) Ask(ctx context.Context, q Question) (Answer, error) { return o.Base.Ask(ctx, q) }

// Key implements [Reader].
func (o *Overlay) Key(ctx context.Context, p string) (Key, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.key(ctx, p)
}

func (o *Overlay) key(ctx context.Context, p string) (Key, error) {
	low := strings.ToLower(p)
	k, ours := o.keys[low]
	if ours && k == nil {
		return Key{}, fmt.Errorf("key %s: %w", p, ErrNotExist)
	}
	var out Key
	if ours {
		out = *k
	} else {
		var err error
		if out, err = o.Base.Key(ctx, p); err != nil {
			return out, err
		}
	}
	out.Values = slices.Clone(out.Values)
	out.Subkeys = slices.DeleteFunc(slices.Clone(out.Subkeys), func(name string) bool {
		k, ours := o.keys[low+`\`+strings.ToLower(name)]
		return ours && k == nil
	})
	for child, k := range o.keys {
		if rest, ok := strings.CutPrefix(child, low+`\`); ok && k != nil && !strings.Contains(rest, `\`) &&
			!slices.ContainsFunc(out.Subkeys, func(name string) bool { return equalFold(name, rest) }) {
			out.Subkeys = append(out.Subkeys, k.Path[strings.LastIndexByte(k.Path, '\\')+1:])
		}
	}
	return out, nil
}

// Service implements [Reader].
func (o *Overlay) Service(ctx context.Context, name string) (Service, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s, err := o.service(ctx, name)
	if err != nil {
		return Service{}, err
	}
	return s.Service, nil
}

func (o *Overlay) service(ctx context.Context, name string) (*overlaid, error) {
	if s, ok := o.services[strings.ToLower(name)]; ok {
		if s == nil {
			return nil, fmt.Errorf("service %s: %w", name, ErrNotExist)
		}
		c := *s
		return &c, nil
	}
	s, err := o.Base.Service(ctx, name)
	if err != nil {
		return nil, err
	}
	out := &overlaid{Service: s}
	if k, err := o.key(ctx, `HKLM\SYSTEM\CurrentControlSet\Services\`+name); err == nil {
		if v, ok := k.Value("DelayedAutostart"); ok {
			n, _ := v.DWord()
			out.delayed = n != 0
		}
	}
	return out, nil
}

// Inverse implements [Host].
func (o *Overlay) Inverse(ctx context.Context, c Change) ([]Change, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	back, err := o.inverse(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", c.Kind, c.Path, err)
	}
	return back, nil
}

func (o *Overlay) inverse(ctx context.Context, c Change) ([]Change, error) {
	one := func(k ChangeKind) []Change { return []Change{{Kind: k, Path: c.Path, Name: c.Name}} }
	switch c.Kind {
	case KeyMake, KeyDrop:
		_, err := o.key(ctx, c.Path)
		switch {
		case err == nil:
			return one(KeyMake), nil
		case !errors.Is(err, ErrNotExist):
			return nil, err
		case c.Kind == KeyDrop:
			return one(KeyDrop), nil
		}
		return o.missingKeys(ctx, c.Path), nil
	case ValueSet, ValueDel:
		k, err := o.key(ctx, c.Path)
		switch {
		case errors.Is(err, ErrNotExist):
			if c.Kind == ValueDel {
				return one(ValueDel), nil
			}
			return append(one(ValueDel), o.missingKeys(ctx, c.Path)...), nil
		case err != nil:
			return nil, err
		}
		v, ok := k.Value(c.Name)
		switch {
		case ok:
			return []Change{Set(c.Path, c.Name, v)}, nil
		case k.Partial:
			return nil, ErrNotRecorded
		}
		return one(ValueDel), nil
	case ServiceStart, ServiceRun, ServiceStop, ServiceSecurity:
		return o.inverseService(ctx, c)
	case ServiceTriggers, ServiceNeeds:
		s, err := o.service(ctx, c.Path)
		if err != nil {
			return nil, err
		}
		if c.Kind == ServiceNeeds && s.Needs != nil {
			return []Change{{Kind: c.Kind, Path: c.Path, Needs: s.Needs}}, nil
		}
		return inverseRegistration(keyServiceList+`\`+c.Path, c, func(p string) (Key, error) { return o.key(ctx, p) })
	case ServiceMake, ServiceDrop:
		switch s, err := o.service(ctx, c.Path); {
		case errors.Is(err, ErrNotExist):
			return []Change{{Kind: ServiceDrop, Path: c.Path}}, nil
		case err != nil:
			return nil, err
		case c.Kind == ServiceDrop:
			return nil, nil
		case !equalFold(s.Binary, c.Service.Binary):
			return nil, ErrInTheWay
		}
		return []Change{c}, nil
	case Switch:
		state, ok := o.settings[strings.ToLower(c.Path)]
		if !ok {
			return nil, ErrNotRecorded
		}
		return []Change{{Kind: Switch, Path: c.Path, State: state}}, nil
	case Run:
		return nil, nil
	}
	return o.inverseFile(ctx, c)
}

// missingKeys drops the keys that making p would make, the lowest first.
func (o *Overlay) missingKeys(ctx context.Context, p string) []Change {
	var back []Change
	for ; strings.Contains(p, `\`); p = p[:strings.LastIndexByte(p, '\\')] {
		if _, err := o.key(ctx, p); !errors.Is(err, ErrNotExist) {
			break
		}
		back = append(back, Change{Kind: KeyDrop, Path: p})
	}
	return back
}

func (o *Overlay) inverseService(ctx context.Context, c Change) ([]Change, error) {
	s, err := o.service(ctx, c.Path)
	if err != nil {
		return nil, err
	}
	out := Change{Kind: c.Kind, Path: c.Path}
	switch c.Kind {
	case ServiceStart:
		if s.Start < 0 {
			return nil, ErrNotRecorded
		}
		out.Start = &Start{uint32(s.Start), s.delayed}
	case ServiceSecurity:
		if s.sddl == "" {
			return nil, ErrNotRecorded
		}
		out.SDDL = s.sddl
	default:
		switch s.State {
		case -1:
			return nil, ErrNotRecorded
		case 4:
			out.Kind = ServiceRun
		default:
			out.Kind = ServiceStop
		}
	}
	return []Change{out}, nil
}

// Apply implements [Host].
func (o *Overlay) Apply(ctx context.Context, c Change) error {
	if err := c.Check(); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.apply(ctx, c); err != nil {
		return fmt.Errorf("%s %s: %w", c.Kind, c.Path, err)
	}
	return nil
}

func (o *Overlay) apply(ctx context.Context, c Change) error {
	switch c.Kind {
	case KeyMake:
		return o.makeKey(ctx, c.Path)
	case KeyDrop:
		k, err := o.key(ctx, c.Path)
		switch {
		case errors.Is(err, ErrNotExist):
			return nil
		case err != nil:
			return err
		case len(k.Values)+len(k.Subkeys) > 0:
			return ErrInTheWay
		}
		o.keys[strings.ToLower(c.Path)] = nil
		return nil
	case ValueSet, ValueDel:
		return o.setValue(ctx, c)
	case ServiceStart, ServiceRun, ServiceStop, ServiceSecurity:
		return o.setService(ctx, c)
	case ServiceTriggers, ServiceNeeds:
		return o.register(ctx, c)
	case ServiceMake:
		return o.makeService(ctx, c)
	case ServiceDrop:
		low := strings.ToLower(keyServiceList + `\` + c.Path)
		for p := range o.keys {
			if strings.HasPrefix(p, low+`\`) {
				o.keys[p] = nil
			}
		}
		o.keys[low], o.services[strings.ToLower(c.Path)] = nil, nil
		return nil
	case Switch:
		o.settings[strings.ToLower(c.Path)] = c.State
		return nil
	case Run:
		o.ran = append(o.ran, c)
		return nil
	}
	return o.applyFile(ctx, c)
}

// makeKey makes a key and those above it, as the registry does.
func (o *Overlay) makeKey(ctx context.Context, p string) error {
	for {
		_, err := o.key(ctx, p)
		if err == nil {
			return nil
		}
		if !errors.Is(err, ErrNotExist) {
			return err
		}
		o.keys[strings.ToLower(p)] = &Key{Path: p, Source: "rehearsal"}
		i := strings.LastIndexByte(p, '\\')
		if i < 0 {
			return nil
		}
		p = p[:i]
	}
}

func (o *Overlay) setValue(ctx context.Context, c Change) error {
	k, err := o.key(ctx, c.Path)
	switch {
	case errors.Is(err, ErrNotExist) && c.Kind == ValueDel:
		return nil
	case errors.Is(err, ErrNotExist):
		if err := o.makeKey(ctx, c.Path); err != nil {
			return err
		}
		if k, err = o.key(ctx, c.Path); err != nil {
			return err
		}
	case err != nil:
		return err
	}
	i := slices.IndexFunc(k.Values, func(v regValue) bool { return equalFold(v.Name, c.Name) })
	switch {
	case c.Kind == ValueDel && i >= 0:
		k.Values = slices.Delete(k.Values, i, i+1)
	case c.Kind == ValueSet:
		v := *c.Value
		v.Name = c.Name
		if i >= 0 {
			v.Name = k.Values[i].Name
			k.Values[i] = v
		} else {
			k.Values = append(k.Values, v)
		}
	}
	k.Source = "rehearsal"
	o.keys[strings.ToLower(c.Path)] = &k
	return nil
}

func (o *Overlay) makeService(ctx context.Context, c Change) error {
	if s, err := o.service(ctx, c.Path); err == nil && !equalFold(s.Binary, c.Service.Binary) {
		return ErrInTheWay
	}
	if err := o.makeKey(ctx, keyServiceList+`\`+c.Path); err != nil {
		return err
	}
	if err := c.Service.Values(c.Path, func(key string, v *regValue) error {
		if v == nil {
			return o.makeKey(ctx, key)
		}
		return o.setValue(ctx, Set(key, v.Name, *v))
	}); err != nil {
		return err
	}
	o.services[strings.ToLower(c.Path)] = &overlaid{Service: Service{
		Name: c.Path, State: 1, Start: int(c.Start.Type), Account: c.Service.Account, Binary: c.Service.Binary, Source: "rehearsal",
	}, delayed: c.Start.Delayed}
	return nil
}

// register changes what starts a service, or what it needs. Where nobody recorded the
// registry, what the service control manager said of its needs is all there is.
func (o *Overlay) register(ctx context.Context, c Change) error {
	s, err := o.service(ctx, c.Path)
	if err != nil {
		return err
	}
	list, err := RegisteredChanges(keyServiceList+`\`+c.Path, c, func(p string) (Key, error) { return o.key(ctx, p) })
	for _, c := range list {
		if err == nil {
			err = o.apply(ctx, c)
		}
	}
	if c.Kind == ServiceNeeds && (err == nil || s.Needs != nil && errors.Is(err, ErrNotRecorded)) {
		err, s.Needs = nil, append([]string{}, c.Needs...)
		o.services[strings.ToLower(c.Path)] = s
	}
	return err
}

func (o *Overlay) setService(ctx context.Context, c Change) error {
	s, err := o.service(ctx, c.Path)
	if err != nil {
		return err
	}
	switch c.Kind {
	case ServiceStart:
		s.Start, s.delayed = int(c.Start.Type), c.Start.Delayed
	case ServiceSecurity:
		s.sddl = c.SDDL
	case ServiceRun:
		if s.Start == 4 {
			return errDisabled
		}
		s.State = 4
	case ServiceStop:
		s.State = 1
	}
	s.Source = "rehearsal"
	o.services[strings.ToLower(c.Path)] = s
	return nil
}
